//! The folder of a mount's overlays.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::compare::Sides;
use super::{check, stat_of};
use crate::store::{FileId, Layer, Mark, Record, Shelf};

/// Held by the process that has the folder.
const LOCK: &str = "lock";
/// Says of which source the overlays are: its path.
const SOURCE: &str = "source";

/// What is wrong, for people.
#[derive(Debug)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// Who keeps the overlays: their state changes only there.
pub trait Keeper {
    /// See [`Shelf::begin`].
    ///
    /// # Errors
    /// What it answers.
    fn begin(&self, number: u64) -> Result<(), Errno>;

    /// See [`Shelf::finish`].
    ///
    /// # Errors
    /// What it answers.
    fn finish(&self, number: u64, mark: Mark) -> Result<(), Errno>;
}

impl Keeper for Arc<Shelf> {
    fn begin(&self, number: u64) -> Result<(), Errno> {
        Shelf::begin(self, number)
    }

    fn finish(&self, number: u64, mark: Mark) -> Result<(), Errno> {
        Shelf::finish(self, number, mark)
    }
}

/// A folder of overlays that this process has for itself.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub shelf: Arc<Shelf>,
    _lock: OwnedFd,
}

impl Folder {
    /// Opens a folder, which is made where it does not exist, for the overlays of a source.
    ///
    /// # Errors
    /// If it is not the user's own, is in use, or has the overlays of another source.
    pub fn open(path: &Path, source: &Path, is_kept: bool) -> Result<Folder, Problem> {
        let shown = path.display();
        let failed = |error: Errno| Problem(format!("{shown}: {error}"));
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let folder = open_folder(path).map_err(failed)?;
        let stat = rustix::fs::fstat(&folder).map_err(failed)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(Problem(format!("{shown}: belongs to another user; choose a folder of your own")));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(Problem(format!(
                "{shown}: others may write there, and so into your arrays; shut them out with: chmod go-w {shown}"
            )));
        }
        check_source(path, source)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::openat(&folder, LOCK, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {}
            Err(Errno::AGAIN) => {
                return Err(Problem(format!(
                    "{shown}: is in use by another mount; unmount that first, or choose another folder"
                )));
            }
            Err(error) => return Err(failed(error)),
        }
        let path = path.canonicalize().map_err(|error| Problem(format!("{shown}: {error}")))?;
        Ok(Folder { path, shelf: Arc::new(Shelf::new(folder, is_kept)), _lock: lock })
    }

    /// Takes over the overlays that are in the folder. `fit`: those that do not fit their array files any more are refused.
    ///
    /// # Errors
    /// If one does not fit, or is none.
    pub fn load(&self, fit: bool) -> Result<(), Problem> {
        let shown = self.path.display();
        let failed = |error: Errno| Problem(format!("{shown}: {error}"));
        for number in self.shelf.numbers(true).map_err(failed)? {
            let layer = read(&self.shelf, &self.path, number)?;
            let record = layer.record();
            let file = record.path.display();
            let stat = stat_of(&record).map_err(|error| Problem(format!("{file}: {error}")))?;
            let fits = check(&record, stat.as_ref());
            // Nothing was changed, or what was is committed.
            let is_done = if record.is_made {
                record.mark.is_some() && !record.is_committing && fits.is_ok() && is_same(&self.shelf, &layer)
            } else {
                layer.pages().is_empty()
            };
            if is_done {
                self.shelf.remove(number).map_err(failed)?;
                continue;
            }
            if let (true, Err(reason)) = (fit, fits) {
                return Err(Problem(format!(
                    "{file}: {reason}; the changes of it that {shown} keeps do not fit any more. Put the file back as \
                     it was, or give these changes up with: rm {shown}/{number}.*"
                )));
            }
            let id = match stat {
                _ if record.is_made => None,
                Some(stat) => Some(FileId { device: stat.st_dev, inode: stat.st_ino }),
                // Known by its number alone.
                None => Some(FileId { device: u64::MAX, inode: number }),
            };
            self.shelf.adopt(layer, id);
        }
        Ok(())
    }
}

/// Reads an overlay.
pub(super) fn read(shelf: &Shelf, folder: &Path, number: u64) -> Result<Layer, Problem> {
    let shown = folder.display();
    shelf.read(number).map_err(|error| match error {
        Errno::INVAL => {
            Problem(format!("{shown}/{number}.json: is no record of an overlay; is this a folder of afbfs?"))
        }
        error => Problem(format!("{shown}/{number}.json: {error}")),
    })
}

/// Whether the array file of an overlay is there, and holds the same.
fn is_same(shelf: &Shelf, layer: &Layer) -> bool {
    let Ok(sides) = Sides::open(shelf, layer) else { return false };
    let same = sides.differences(layer, &mut |_, _| Err(Errno::STALE));
    sides.array.is_some() && same.is_ok()
}

/// Opens a folder of overlays as it is.
pub(super) fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The path of a folder that is open.
pub(super) fn path_of(folder: BorrowedFd<'_>) -> PathBuf {
    let link = format!("/proc/self/fd/{}", folder.as_raw_fd());
    let path = rustix::fs::readlink(link, Vec::new()).map(std::ffi::CString::into_bytes);
    PathBuf::from(OsString::from_vec(path.unwrap_or_default()))
}

/// Sees to it that the overlays of a folder are those of one source.
fn check_source(folder: &Path, source: &Path) -> Result<(), Problem> {
    let (shown, note) = (folder.display(), folder.join(SOURCE));
    let failed = |error: std::io::Error| Problem(format!("{}: {error}", note.display()));
    match std::fs::read(&note) {
        Ok(found) if found == source.as_os_str().as_bytes() => Ok(()),
        Ok(found) => Err(Problem(format!(
            "{shown}: keeps changes of {}, not of {}; choose another folder",
            String::from_utf8_lossy(&found),
            source.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // What was begun here and not done is begun anew.
            let new = folder.join("source.new");
            let mut others = std::fs::read_dir(folder).map_err(failed)?.filter_map(Result::ok);
            if others.any(|entry| entry.path() != new) {
                return Err(Problem(format!("{shown}: is neither empty nor a folder of overlays; choose another one")));
            }
            std::fs::write(&new, source.as_os_str().as_bytes()).map_err(failed)?;
            std::fs::File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
            std::fs::rename(&new, &note).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The name of an array file as it is shown: below the source.
pub(super) fn shown(record: &Record, source: &Path) -> PathBuf {
    record.path.strip_prefix(source).unwrap_or(&record.path).to_owned()
}
