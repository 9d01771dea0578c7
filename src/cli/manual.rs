//! `afbfs completions` and `afbfs man`: what the command line says of itself, for shells and for man(1).

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::helper::Helper;
use super::{Cli, Failure};

#[derive(clap::Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete
    shell: Shell,
}

#[derive(clap::Args, Debug)]
pub(super) struct ManArgs {
    /// Folder for the pages; without it, afbfs(1) goes to standard output
    folder: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "afbfs", &mut script);
    super::print(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let Some(folder) = &args.folder else {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        return super::print(page(Man::new(command))?.trim_end());
    };
    let failed = |error: std::io::Error| Failure(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    std::fs::write(folder.join("mount.afbfs.8"), page(Man::new(Helper::command()).section("8"))?).map_err(failed)
}

fn page(man: Man) -> Result<String, Failure> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
