//! A mount of ours, seen from outside: where it is, and what the process behind it says of itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Failure;
use crate::mount::{self, TYPE};

/// For how long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the mount is that somebody calls so.
///
/// # Errors
/// If nothing is mounted there, or something else.
pub(super) fn find(path: &Path) -> Result<PathBuf, Failure> {
    let shown = path.display();
    let mut point = mount::absolute(path).map_err(|error| Failure(format!("{shown}: {error}")))?;
    if mount::find(&point).is_none()
        && let Ok(real) = path.canonicalize()
    {
        // A link to it will do as well.
        point = real;
    }
    match mount::find(&point) {
        None => Err(Failure(format!("{shown}: nothing is mounted there"))),
        Some(entry) if entry.kind != TYPE => {
            let kind = entry.kind;
            Err(Failure(format!("{shown}: is a mount of type {kind}, not of afbfs; use umount {shown}")))
        }
        Some(_) => Ok(point),
    }
}

/// Whether the process behind a mount has died.
pub(super) fn is_dead(point: &Path) -> bool {
    point.metadata().is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
}

/// What is said of it then.
pub(super) fn died(point: &Path) -> Failure {
    let shown = point.display();
    Failure(format!("{shown}: the process of this mount has died; clear it with: afbfs umount {shown}"))
}

/// A file under `.afbfs`.
///
/// # Errors
/// What reading it answers; that it timed out, if the mount hangs.
pub(super) fn read(point: &Path, name: &str) -> io::Result<Vec<u8>> {
    let (sender, answer) = channel();
    let path = point.join(".afbfs").join(name);
    std::thread::spawn(move || sender.send(std::fs::read(path)));
    answer.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
