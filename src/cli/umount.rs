//! `afbfs umount`: unmounts, and returns once the process behind the mount has written everything back. While that takes long,
//! it says how much is left.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::unwritten::Progress;
use super::{Failure, mounted};
use crate::mount;

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
    let point = mounted::find(&args.mountpoint)?;
    // Taken before: after unmounting there is nobody to ask.
    let pid = process_behind(&point);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // Whatever has a file open in a dead mount can do nothing with it.
    let dead = mounted::is_dead(&point);
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
    let stats: serde_json::Value = serde_json::from_slice(&mounted::read(point, "stats.json").ok()?).ok()?;
    Pid::from_raw(i32::try_from(stats.get("pid")?.as_i64()?).ok()?)
}
