//! `afbfs umount`: unmounts, and returns once the process behind the mount has written everything back. While that takes long,
//! it says how much is left.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Failure;
use super::progress::Progress;
use crate::mount::{self, TYPE};

/// For how long a mount may take to tell its process; one that hangs is unmounted all the same.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where it is mounted
    mountpoint: PathBuf,
    /// Detach a busy mount now; it ends with the last program that uses it
    #[arg(short = 'z', long)]
    lazy: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let shown = args.mountpoint.display();
    let mut point = mount::absolute(&args.mountpoint).map_err(|error| Failure(format!("{shown}: {error}")))?;
    if mount::find(&point).is_none()
        && let Ok(real) = args.mountpoint.canonicalize()
    {
        // A link to it will do as well.
        point = real;
    }
    match mount::find(&point) {
        None => return Err(Failure(format!("{shown}: nothing is mounted there"))),
        Some(entry) if entry.kind != TYPE => {
            let kind = entry.kind;
            return Err(Failure(format!("{shown}: is a mount of type {kind}, not of afbfs; use umount {shown}")));
        }
        Some(_) => {}
    }
    // Taken before: after unmounting there is nobody to ask.
    let pid = process_behind(&point);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // Whatever has a file open in a dead mount can do nothing with it.
    let dead = point.metadata().is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN));
    let progress = pid.map(|pid| Progress::start(shown.to_string(), pid.as_raw_pid()));
    let outcome = mount::unmount_path(&point, args.lazy || dead).map_err(Failure::from);
    let outcome = outcome.and_then(|()| match process.filter(|_| !args.lazy) {
        Some(process) => wait(&process),
        None => Ok(()),
    });
    if let Some(progress) = progress {
        progress.stop();
    }
    if dead && outcome.is_ok() {
        eprintln!("afbfs: {shown}: cleared a mount whose process had died");
    }
    outcome
}

/// Waits until a process has ended.
fn wait(process: &OwnedFd) -> Result<(), Failure> {
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(process, PollFlags::IN)], None))?;
    Ok(())
}

/// The process that serves a mount, as it says itself; none if it is dead or hangs.
fn process_behind(point: &Path) -> Option<Pid> {
    let (sender, answer) = channel();
    let path = point.join(".afbfs/stats.json");
    std::thread::spawn(move || sender.send(std::fs::read(path)));
    let stats: serde_json::Value = serde_json::from_slice(&answer.recv_timeout(PATIENCE).ok()?.ok()?).ok()?;
    Pid::from_raw(i32::try_from(stats.get("pid")?.as_i64()?).ok()?)
}
