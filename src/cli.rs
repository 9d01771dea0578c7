//! The command: what was typed, and what it does.
//!
//! Each subcommand is a file; [`run`] hands over and turns failures into messages and an exit status (0, 1 for a
//! failure, 2 for wrong usage).

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::catalog::Links;
use crate::format::raw::Spec;

mod cat;
mod cow;
mod fstab;
mod logging;
mod ls;
mod mount;
mod privileges;
mod umount;
mod unmounter;
mod unpack;

/// Shows every slice of every array file as a plain file.
#[derive(Debug, Parser)]
#[command(name = "afbfs", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a folder of array files, or one array file
    Mount(mount::Args),
    /// Unmount, and wait until everything is written back
    Umount(umount::Args),
    /// List the arrays in files and folders
    Ls(ls::Args),
    /// Write a slice to standard output, with no mount
    Cat(cat::Args),
    /// Write plain copies of compressed arrays, which can be mapped
    Unpack(unpack::Args),
    /// List what a mount with --cow has changed
    Diff(cow::DiffArgs),
    /// Write what a mount with --cow has changed into the array files
    Commit(cow::CommitArgs),
    /// Print the path of a NumPy expression
    #[command(after_help = "Example:\n  afbfs path 'a[42, ::2]'      prints a/slice/42,::2")]
    Path {
        /// The expression, such as 'a[42, ::2]' or "a['x'].T[3]"
        expression: String,
    },
}

/// How array files are found; the same for all subcommands that open some.
#[derive(Args, Clone, Debug)]
struct SourceArgs {
    /// Describe a raw file: name=x,file=x.bin,dtype=f4,shape=100x200,offset=512,order=F (may be repeated)
    #[arg(long = "array", value_name = "SPEC", value_parser = parse_spec)]
    arrays: Vec<Spec>,
    /// Follow links that lead out of SOURCE, too, and links at all where other users are let in (links to folders are never
    /// followed)
    #[arg(long)]
    follow_links: bool,
}

fn parse_spec(text: &str) -> Result<Spec, String> {
    Spec::parse(text).map_err(|refusal| refusal.to_string())
}

impl SourceArgs {
    /// `shared`: other users are let in.
    fn catalog_options(&self, shared: bool) -> crate::catalog::Options {
        let links = match (self.follow_links, shared) {
            (true, _) => Links::Everywhere,
            (false, true) => Links::Never,
            (false, false) => Links::Inside,
        };
        crate::catalog::Options { links, shared, arrays: self.arrays.clone(), update_checksums: false, covered: false }
    }
}

/// Why a command failed, for people.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(message: impl fmt::Display) -> Failure {
        Failure(message.to_string())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error)
    }
}

/// Where an array lies, as a path that names no file.
fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Runs the command that was typed.
pub fn run() -> ExitCode {
    // Usage errors end here, with status 2.
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Mount(args) => mount::run(args),
        Command::Umount(args) => umount::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Diff(args) => cow::diff(&args),
        Command::Commit(args) => cow::commit(&args),
        Command::Unpack(args) => unpack::run(&args),
        Command::Path { expression } => path(&expression),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            eprintln!("afbfs: {message}");
            ExitCode::FAILURE
        }
    }
}

fn path(expression: &str) -> Result<(), Failure> {
    let path = crate::name::path_of(expression).map_err(|error| Failure(format!("{expression}: {error}")))?;
    print(&path)
}

/// Writes a line to standard output. A reader that has gone is no failure.
fn print(line: &str) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
