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
mod check;
mod doctor;
mod examples;
mod expr;
mod filter;
mod fstab;
mod hint;
mod info;
mod logging;
mod ls;
mod machines;
mod mount;
mod mounted;
mod path;
mod place;
mod privileges;
mod stat;
mod style;
mod table;
mod umount;
mod unmounter;
mod unpack;

/// Shows every slice of every array file as a plain file.
#[derive(Debug, Parser)]
#[command(name = "afbfs", version, about, max_term_width = 100, arg_required_else_help = true, styles = style::HELP)]
struct Cli {
    /// When to use colours: auto (on a terminal), always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        display_order = 1000
    )]
    color: style::When,
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
    /// Show all that is known of an array, and what can be done with it
    Info(info::Args),
    /// Write a slice to standard output, with no mount
    Cat(cat::Args),
    /// Show what a mount has done so far, or does now
    Stat(stat::Args),
    /// Check whether everything is there that mounting needs
    Doctor(doctor::Args),
    /// Write plain copies of compressed arrays, which can be mapped
    Unpack(unpack::Args),
    /// Print the path of a NumPy expression
    Path(path::Args),
    /// Print the NumPy expression of a path
    Expr(expr::Args),
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
    /// Whether nothing but the source was named.
    fn is_plain(&self) -> bool {
        self.arrays.is_empty() && !self.follow_links
    }

    /// `shared`: other users are let in.
    fn catalog_options(&self, shared: bool) -> crate::catalog::Options {
        let links = match (self.follow_links, shared) {
            (true, _) => Links::Everywhere,
            (false, true) => Links::Never,
            (false, false) => Links::Inside,
        };
        crate::catalog::Options { links, shared, arrays: self.arrays.clone(), update_checksums: false }
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
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse_usage(&error));
    cli.color.hold();
    let outcome = match cli.command {
        Command::Mount(args) => mount::run(args),
        Command::Umount(args) => umount::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Stat(args) => stat::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Unpack(args) => unpack::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Path(args) => path::run(&args),
        Command::Expr(args) => expr::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            let mark = style::WRONG.bold();
            anstream::eprintln!("{mark}afbfs:{mark:#} {message}");
            ExitCode::FAILURE
        }
    }
}

/// Ends with what clap has to say: help to standard output, wrong usage as our other messages.
fn refuse_usage(error: &clap::Error) -> ! {
    const MARK: &str = "error:";
    let said = error.render();
    if !said.to_string().starts_with(MARK) {
        error.exit();
    }
    anstream::eprint!("{}", said.ansi().to_string().replacen(MARK, "afbfs:", 1));
    std::process::exit(error.exit_code());
}

/// Writes a line to standard output. A reader that has gone is no failure.
fn print(line: &str) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
