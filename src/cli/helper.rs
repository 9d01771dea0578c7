//! Mounting by mount(8), which runs a helper for each type:
//!
//! - `fuse.afbfs` and `afbfs`: this program under a name that begins with `mount.`, as
//!   `mount.afbfs SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]`;
//! - `fuse`, with the source `afbfs#SOURCE` (and `fuse.afbfs` where there is no such name): mount.fuse3, which runs
//!   `afbfs SOURCE MOUNTPOINT -o OPTIONS`.
//!
//! Both are turned into the words of `afbfs mount`.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory, Parser};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Cli, Failure, fstab};

/// Exit status of mount(8) for wrong usage.
pub(super) const USAGE: u8 = 1;
/// Exit status of mount(8) for a mount that failed.
pub(super) const FAILED: u8 = 32;

/// Mounts a folder of array files for mount(8)
#[derive(Debug, Parser)]
#[command(name = "mount.afbfs", version, max_term_width = 100)]
pub(super) struct Helper {
    /// Folder of array files, or one array file
    source: PathBuf,
    /// Folder at which the arrays appear
    mountpoint: PathBuf,
    /// Ignore options that are not known
    #[arg(short = 's')]
    sloppy: bool,
    /// Check everything, but mount nothing
    #[arg(short = 'f')]
    fake: bool,
    /// Ignored: there is no /etc/mtab to write to
    #[arg(short = 'n')]
    no_mtab: bool,
    /// Ignored
    #[arg(short = 'v')]
    verbose: bool,
    /// Mount in the mount namespace of this file
    #[arg(short = 'N', value_name = "NAMESPACE")]
    namespace: Option<PathBuf>,
    /// Options as of afbfs mount -o
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Type of the file system: fuse.afbfs or afbfs
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
}

/// The words of `afbfs mount` for a call by mount(8); nothing for any other call.
///
/// # Errors
/// A namespace that cannot be entered, and a user as whom the mount cannot be made. Wrong usage ends the process.
pub(super) fn words(called: &[OsString]) -> Result<Option<Vec<OsString>>, Failure> {
    let name = called.first().map(|name| Path::new(name).file_name().unwrap_or(name).as_bytes());
    if name.is_some_and(|name| name.starts_with(b"mount.")) {
        let helper = Helper::try_parse_from(called).unwrap_or_else(|error| end(&error));
        return translate(helper).map(Some);
    }
    match called {
        [_, source, point, option, list @ ..] if option == "-o" && !is_of_command(source) => {
            let mut words: Vec<OsString> = ["afbfs", "mount", "--unless-mounted"].map(OsString::from).into();
            words.push(option.clone());
            words.extend(list.iter().cloned());
            words.extend(["--".into(), source.clone(), point.clone()]);
            Ok(Some(words))
        }
        _ => Ok(None),
    }
}

/// Prints what clap has to say, and ends with a status of mount(8).
pub(super) fn end(error: &clap::Error) -> ! {
    // Whoever closed standard error has no need of it.
    let _ = error.print();
    std::process::exit(if error.use_stderr() { USAGE.into() } else { 0 })
}

fn is_of_command(word: &OsStr) -> bool {
    let is_option = word.as_bytes().starts_with(b"-");
    is_option || word == "help" || Cli::command().get_subcommands().any(|known| word == known.get_name())
}

fn translate(helper: Helper) -> Result<Vec<OsString>, Failure> {
    let list = helper.options.join(",");
    if fstab::split(&list).any(|option| option.starts_with("setuid=")) {
        return Err(as_user(&helper, &list));
    }
    if let Some(namespace) = &helper.namespace {
        let enter = || {
            let file = std::fs::File::open(namespace)?;
            Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Mount))?)
        };
        enter().map_err(|error: std::io::Error| Failure(format!("{}: {error}", namespace.display())))?;
    }
    let list = if helper.sloppy { fstab::known(&list) } else { list };
    let mut words: Vec<OsString> = ["afbfs", "mount", "-o"].map(OsString::from).into();
    words.push(list.into());
    if helper.fake {
        words.push("--check-only".into());
    }
    words.extend(["--".into(), helper.source.into(), helper.mountpoint.into()]);
    Ok(words)
}

/// `setuid=USER`: mount.fuse3 becomes that user, and runs this program again. Returns only if it cannot be run.
fn as_user(helper: &Helper, list: &str) -> Failure {
    let mut command = Command::new("/sbin/mount.fuse3");
    command.arg(&helper.source).arg(&helper.mountpoint).args(["-t", "fuse.afbfs", "-o", list]);
    let error = command.exec();
    Failure(format!("setuid: /sbin/mount.fuse3, which does it, cannot be run (Debian: apt install fuse3): {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(line: &str) -> Option<String> {
        let called: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let words = words(&called).unwrap()?;
        Some(words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn calls_of_mount_are_told_from_others() {
        for (line, expected) in [
            ("/sbin/mount.afbfs /data /mnt -o ro,threads=2", "afbfs mount -o ro,threads=2 -- /data /mnt"),
            ("mount.fuse.afbfs /data /mnt -n -v -t fuse.afbfs", "afbfs mount -o  -- /data /mnt"),
            ("mount.afbfs /data /mnt -o ro -sf -o what,rw", "afbfs mount -o ro,rw --check-only -- /data /mnt"),
            ("afbfs /data /mnt -o rw,dev,suid", "afbfs mount --unless-mounted -o rw,dev,suid -- /data /mnt"),
        ] {
            assert_eq!(turned(line).as_deref(), Some(expected));
        }
        for line in ["afbfs", "afbfs /data /mnt", "afbfs mount x -o ro y", "afbfs help x -o", "afbfs --help x -o y"] {
            assert_eq!(turned(line), None, "{line}");
        }
    }
}
