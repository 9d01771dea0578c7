//! The command: what was typed, and what it does.
//!
//! Each subcommand is a file; [`run`] hands over and turns failures into messages and an exit status (0, 1 for a
//! failure, 2 for wrong usage).

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::catalog::Links;
use crate::format::raw::Spec;

mod append;
mod background;
mod cat;
mod check;
mod cow;
mod cp;
mod create;
mod doctor;
mod examples;
mod expr;
mod filter;
mod fstab;
mod helper;
mod hint;
mod info;
mod logging;
mod ls;
mod manual;
mod mount;
mod mounted;
mod notify;
mod path;
mod place;
mod privileges;
mod progress;
mod size;
mod stack;
mod stat;
mod style;
mod table;
mod umount;
mod unmounter;
mod unpack;
mod unwritten;
mod views;

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
    /// Write slices to standard output, with no mount
    Cat(cat::Args),
    /// Write a file into a slice, with no mount
    Cp(cp::Args),
    /// Make a new array file, sparse or filled
    Create(create::Args),
    /// Add rows from standard input to an array file
    Append(append::Args),
    /// Show what a mount has done so far, or does now
    Stat(stat::Args),
    /// Check whether everything is there that mounting needs
    Doctor(doctor::Args),
    /// Write plain copies of compressed arrays, which can be mapped
    Unpack(unpack::Args),
    /// Write a sidecar that makes one array of many files, or check one
    Stack(stack::Args),
    /// List what a mount with --cow has changed
    Diff(cow::DiffArgs),
    /// Write what a mount with --cow has changed into the array files
    Commit(cow::CommitArgs),
    /// Print the path of a NumPy expression
    Path(path::Args),
    /// Print the NumPy expression of a path
    Expr(expr::Args),
    /// Print what a shell needs to complete the words of afbfs
    #[command(after_help = "Example:\n  afbfs completions bash >~/.local/share/bash-completion/completions/afbfs")]
    Completions(manual::CompletionsArgs),
    /// Write the manual pages, of each subcommand one
    #[command(after_help = "Example:\n  afbfs man man1 && man -l man1/afbfs-mount.1")]
    Man(manual::ManArgs),
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

    /// One of which another process has told.
    fn said() -> Failure {
        Failure(String::new())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error)
    }
}

/// Ends with status 2, as for any wrong usage that is seen only after the arguments have been read.
fn usage(message: &str) -> ! {
    refuse_usage(&clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{message}\n")))
}

/// Where an array lies, as a path that names no file.
fn absolute(path: &std::path::Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Runs the command that was typed, or the mount that mount(8) asks for.
pub fn run() -> ExitCode {
    let called: Vec<OsString> = std::env::args_os().collect();
    match helper::words(&called) {
        Ok(None) => {
            // Usage errors end here, with status 2.
            let cli = Cli::try_parse_from(&called).unwrap_or_else(|error| refuse_usage(&error));
            cli.color.hold();
            conclude(execute(cli.command, &called), ExitCode::FAILURE)
        }
        Ok(Some(words)) => {
            let cli = Cli::try_parse_from(&words).unwrap_or_else(|error| helper::end(&error));
            cli.color.hold();
            conclude(execute(cli.command, &words), helper::FAILED.into())
        }
        Err(failure) => conclude(Err(failure), helper::FAILED.into()),
    }
}

fn execute(command: Command, words: &[OsString]) -> Result<(), Failure> {
    match command {
        Command::Mount(args) => mount::run(args, words),
        Command::Umount(args) => umount::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Diff(args) => cow::diff(&args),
        Command::Commit(args) => cow::commit(&args),
        Command::Stat(args) => stat::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Cp(args) => cp::run(&args),
        Command::Create(args) => create::run(&args),
        Command::Append(args) => append::run(&args),
        Command::Unpack(args) => unpack::run(&args),
        Command::Stack(args) => stack::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Path(args) => path::run(&args),
        Command::Expr(args) => expr::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}

fn conclude(outcome: Result<(), Failure>, failed: ExitCode) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => {
            if !message.is_empty() {
                let mark = style::WRONG.bold();
                anstream::eprintln!("{mark}afbfs:{mark:#} {message}");
            }
            failed
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
