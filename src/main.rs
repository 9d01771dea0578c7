//! The command `afbfs`; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    afbfs::cli::run()
}
