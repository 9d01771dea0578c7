//! The background process of `afbfs mount`: this program started anew, before it has any thread. It reports on its standard
//! output that the mount answers, or fails with a message on the standard error that it shares with its parent. So the
//! parent's exit status is true, and no fork is needed.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Failure;

/// For how long the background process may take to mount.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it writes once the mount answers.
const READY: &[u8] = b"ready\n";
/// Tells the process that it is the one.
const FLAG: &str = "--background-child";

/// Starts it with these words, and returns once its mount answers.
///
/// # Errors
/// If it cannot be started or does not answer. Where it has said itself why it fails, nothing is left to say.
pub(super) fn start(words: &[OsString]) -> Result<(), Failure> {
    // The subcommand first, then the flag: what follows `--` are no options.
    let (subcommand, rest) =
        words.get(1..).and_then(<[_]>::split_first).ok_or_else(|| Failure::new("no subcommand"))?;
    // Nothing that the caller has open, a lock or a pipe, is kept by the mount.
    crate::store::close_on_exec()?;
    // By its path, so that the process has the name of the program; by way of /proc should that be gone.
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let mut child = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()))
        .arg0("afbfs")
        .arg(subcommand)
        .arg(FLAG)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| super::mount::too_few("the process in the background", &error))?;
    let Some(mut report) = child.stdout.take() else { return Err(Failure::new("no pipe to the background process")) };
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while said != READY {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let waited = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&report, PollFlags::IN)], Some(&timeout)))?;
        if waited == 0 {
            child.kill()?;
            child.wait()?;
            return Err(Failure(format!("the mount did not answer within {} seconds", PATIENCE.as_secs())));
        }
        let mut buffer = [0; 16];
        match report.read(&mut buffer)? {
            0 => {
                child.wait()?;
                return Err(Failure::said());
            }
            count => said.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}

/// Tells the parent that the mount answers, and lets go of the terminal and the current folder.
///
/// # Errors
/// If the parent is gone.
pub(super) fn detach(null: &std::fs::File) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    stdout.write_all(READY)?;
    stdout.flush()?;
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    rustix::stdio::dup2_stderr(null)?;
    std::env::set_current_dir("/")?;
    Ok(())
}
