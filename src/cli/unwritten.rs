//! What a process that is being unmounted has still to write back, told on standard error while it takes long.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long the first line comes, and then one as often.
const FIRST: Duration = Duration::from_secs(1);
const NEXT: Duration = Duration::from_secs(5);

/// A thread that tells.
#[derive(Debug)]
pub(super) struct Progress {
    done: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Starts telling of a process; `shown` is how the mount point is called.
    pub(super) fn start(shown: String, pid: i32) -> Progress {
        let (done, ended) = channel();
        let thread = std::thread::spawn(move || {
            let mut pause = FIRST;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                eprintln!("afbfs: {shown}: {}", sentence(left(pid)));
                pause = NEXT;
            }
        });
        Progress { done, thread }
    }

    /// Ends it.
    pub(super) fn stop(self) {
        drop(self.done);
        // A thread that only tells has nothing to report.
        let _ = self.thread.join();
    }
}

/// Bytes that wait to be written in the files that a process has open for writing, and in how many; nothing where the kernel
/// does not tell (before Linux 6.5), or the caller may not look.
fn left(pid: i32) -> Option<(u64, usize)> {
    let (mut bytes, mut files, mut seen) = (0, 0, HashSet::new());
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{name}")).unwrap_or_default();
        let path = PathBuf::from(format!("/proc/{pid}/fd/{name}"));
        // Devices and sockets are not to be opened.
        if !is_for_writing(&info) || !fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let file = File::open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        if seen.insert((metadata.dev(), metadata.ino())) {
            let waiting = crate::store::unwritten(&file).ok()?;
            bytes += waiting;
            files += usize::from(waiting > 0);
        }
    }
    Some((bytes, files))
}

/// Whether `flags:` of `/proc/PID/fdinfo/N`, in octal, say so.
fn is_for_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 0o3 != 0)
}

fn sentence(left: Option<(u64, usize)>) -> String {
    match left {
        Some((bytes, files)) if bytes > 0 => {
            let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            format!("{} in {files} are still to be written back", size(bytes))
        }
        _ => "waiting until everything is written back".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB"];
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_put_into_words() {
        assert_eq!(sentence(Some((4096, 1))), "4.0 KiB in 1 file are still to be written back");
        assert_eq!(sentence(Some((5 << 29, 12))), "2.5 GiB in 12 files are still to be written back");
        for unknown in [None, Some((0, 0))] {
            assert_eq!(sentence(unknown), "waiting until everything is written back");
        }
    }

    #[test]
    fn what_waits_in_a_file_is_seen() {
        // Not in memory alone, where nothing waits for a disk.
        let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::io::Write::write_all(&mut file, &vec![1; 1 << 20]).unwrap();
        let pid = std::process::id().try_into().unwrap();
        let Some((bytes, files)) = left(pid) else { return eprintln!("this kernel has no cachestat") };
        assert!(bytes >= 1 << 20 && files >= 1, "{bytes} in {files}");
        assert!(!is_for_writing("flags:\t0100000\n") && is_for_writing("pos:\t0\nflags:\t0100002\n"));
    }
}
