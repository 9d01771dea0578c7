//! `afbfs umount`: unmounts, and returns once the process behind the mount has written everything back.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Failure;
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
    let process = process_behind(&point).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // Whatever has a file open in a dead mount can do nothing with it.
    let dead = point.metadata().is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN));
    mount::unmount_path(&point, args.lazy || dead)?;
    if let Some(process) = process.filter(|_| !args.lazy) {
        let ended = |timeout| rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], timeout));
        if ended(Some(&Timespec { tv_sec: 2, tv_nsec: 0 }))? == 0 {
            eprintln!("afbfs: {shown}: unmounted; waiting until everything is written back");
            ended(None)?;
        }
    }
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
