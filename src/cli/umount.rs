//! `afbfs umount`: unmounts, and returns once the process behind the mount has written everything back.

use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

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
    let process = process_behind(&point).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // Whatever has a file open in a dead mount can do nothing with it.
    mount::unmount_path(&point, args.lazy || mounted::is_dead(&point))?;
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
    let stats: serde_json::Value = serde_json::from_slice(&mounted::read(point, "stats.json").ok()?).ok()?;
    Pid::from_raw(i32::try_from(stats.get("pid")?.as_i64()?).ok()?)
}
