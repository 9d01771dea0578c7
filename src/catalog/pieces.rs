//! The files of arrays that lie in many: opened as they are needed, a limited number at a time, and made where a write needs
//! one that is missing.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::is_regular;
use super::resolve::Root;
use crate::format::Names;
use crate::store::{File, Pieces, Store, lock};

type Result<T> = std::result::Result<T, Errno>;

/// So many files are held open, of all arrays together. Requests hold those that they use beyond that.
const HELD: usize = 128;

/// For so long a name is taken to lead to the file that it led to; then it is looked up again, since another program may have
/// replaced or removed it.
const TRUSTED: Duration = Duration::from_millis(500);

/// Open files, by array and piece.
#[derive(Debug, Default)]
pub(super) struct Opened {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clock: u64,
    files: HashMap<(u64, u64), Held>,
}

#[derive(Debug)]
struct Held {
    used: u64,
    since: Instant,
    file: Arc<File>,
    errors: Arc<Errors>,
}

/// The last write error of an array's files: a counter of errors above, the errno below.
#[derive(Debug, Default)]
struct Errors(AtomicU64);

impl Errors {
    fn record(&self, error: Errno) {
        let next = |mark: u64| Some((((mark >> 32) + 1) << 32) | error.raw_os_error() as u64);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

/// The files of one array.
#[derive(Debug)]
pub(super) struct ArrayFiles {
    root: Arc<Root>,
    store: Arc<Store>,
    opened: Arc<Opened>,
    /// Tells this array's files from those of others.
    number: u64,
    folder: PathBuf,
    /// The file that describes the array: those that are made have its mode.
    described: PathBuf,
    names: Arc<dyn Names>,
    fill: Vec<u8>,
    errors: Arc<Errors>,
    /// Folders in which files were made, and not yet synced.
    unsynced: Mutex<HashSet<PathBuf>>,
}

impl ArrayFiles {
    pub(super) fn new(
        root: Arc<Root>,
        store: Arc<Store>,
        opened: Arc<Opened>,
        described: &Path,
        names: Arc<dyn Names>,
        fill: Vec<u8>,
    ) -> ArrayFiles {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        ArrayFiles {
            root,
            store,
            opened,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            folder: described.parent().unwrap_or(Path::new("")).to_owned(),
            described: described.to_owned(),
            names,
            fill,
            errors: Arc::default(),
            unsynced: Mutex::default(),
        }
    }

    /// Path of a piece below the source.
    fn path(&self, piece: u64) -> PathBuf {
        self.folder.join(self.names.name(piece))
    }

    fn open_path(&self, path: &Path) -> Result<Option<Arc<File>>> {
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        let opened = match self.root.open_below(path, flags) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !is_regular(&rustix::fs::fstat(&opened)?) {
            return Err(Errno::IO);
        }
        self.store.file(opened).map(Some)
    }

    fn hold(&self, piece: u64, file: &Arc<File>) {
        let mut evicted = Vec::new();
        {
            let mut inner = lock(&self.opened.inner);
            inner.clock += 1;
            if inner.files.len() >= HELD {
                let mut ages: Vec<u64> = inner.files.values().map(|held| held.used).collect();
                let middle = ages.len() / 2;
                let limit = *ages.select_nth_unstable(middle).1;
                evicted.extend(inner.files.extract_if(|_, held| held.used <= limit).map(|(_, held)| held));
            }
            let (file, errors) = (file.clone(), self.errors.clone());
            let held = Held { used: inner.clock, since: Instant::now(), file, errors };
            evicted.extend(inner.files.insert((self.number, piece), held));
        }
        // Written back here, where an error is still noted with the array, and without the lock.
        for Held { file, errors, .. } in evicted {
            if file.is_dirty()
                && let Err(error) = file.sync_all()
            {
                errors.record(error);
            }
        }
    }

    /// Makes the file of a piece, filled, under a name of its own, and then gives it its name, unless another one was quicker.
    fn make(&self, path: &Path, len: u64) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = self.make_folder(parent)?;
        let name = path.file_name().ok_or(Errno::INVAL)?;
        static MADE: AtomicU64 = AtomicU64::new(0);
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{}.partial", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        let described = rustix::fs::fstat(self.root.open_below(&self.described, OFlags::PATH)?)?;
        let mode = Mode::from_raw_mode(described.st_mode & 0o666);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&folder, &temporary, flags, mode)?;
        let outcome = self.fill(&made, len).and_then(|()| {
            // Where that is not allowed it belongs to whoever made it.
            let owner = (rustix::fs::Uid::from_raw(described.st_uid), rustix::fs::Gid::from_raw(described.st_gid));
            let _ = rustix::fs::fchown(&made, Some(owner.0), Some(owner.1));
            rustix::fs::fchmod(&made, mode)?;
            rustix::fs::fdatasync(&made)?;
            match rustix::fs::renameat_with(&folder, &temporary, &folder, name, RenameFlags::NOREPLACE) {
                // Some network file systems cannot; nearly all of them can link.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    rustix::fs::linkat(&folder, &temporary, &folder, name, AtFlags::empty())?;
                    rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty())
                }
                answer => answer,
            }
        });
        if outcome.is_err() {
            let _ = rustix::fs::unlinkat(&folder, &temporary, AtFlags::empty());
        }
        match outcome {
            Ok(()) => {
                lock(&self.unsynced).insert(parent.to_owned());
                Ok(())
            }
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn fill(&self, made: &OwnedFd, len: u64) -> Result<()> {
        if self.fill.iter().all(|&byte| byte == 0) {
            return rustix::fs::ftruncate(made, len);
        }
        let block = self.fill.repeat((64 << 10) / self.fill.len() + 1);
        let mut done = 0;
        while done < len {
            // The next byte of the pattern lies where the last write stopped.
            let start = (done % self.fill.len() as u64) as usize;
            let count = (block.len() - start).min((len - done).try_into().unwrap_or(usize::MAX));
            done += rustix::io::pwrite(made, &block[start..start + count], done)? as u64;
        }
        Ok(())
    }

    /// Opens a folder below the array's, which is made where it does not exist.
    fn make_folder(&self, path: &Path) -> Result<OwnedFd> {
        match self.root.open_below(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT) if path.starts_with(&self.folder) && path != self.folder => {
                let above = self.make_folder(path.parent().unwrap_or(Path::new("")))?;
                let name = path.file_name().ok_or(Errno::INVAL)?;
                match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                lock(&self.unsynced).insert(path.parent().unwrap_or(Path::new("")).to_owned());
                self.root.open_below(path, OFlags::RDONLY | OFlags::DIRECTORY)
            }
            opened => opened,
        }
    }

    fn sync_all(&self) -> Result<()> {
        let mine: Vec<Arc<File>> = {
            let inner = lock(&self.opened.inner);
            let mine = inner.files.iter().filter(|((number, _), _)| *number == self.number);
            mine.map(|(_, held)| held.file.clone()).collect()
        };
        for file in mine.iter().filter(|file| file.is_dirty()) {
            file.sync_all()?;
        }
        let folders = std::mem::take(&mut *lock(&self.unsynced));
        for folder in folders {
            rustix::fs::fsync(self.root.open_below(&folder, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
        }
        Ok(())
    }
}

impl Pieces for ArrayFiles {
    fn open(&self, piece: u64) -> Result<Option<Arc<File>>> {
        {
            let mut inner = lock(&self.opened.inner);
            inner.clock += 1;
            let now = inner.clock;
            if let Some(held) = inner.files.get_mut(&(self.number, piece)).filter(|held| held.since.elapsed() < TRUSTED)
            {
                held.used = now;
                return Ok(Some(held.file.clone()));
            }
        }
        let opened = self.open_path(&self.path(piece))?;
        if let Some(file) = &opened {
            self.hold(piece, file);
        }
        Ok(opened)
    }

    fn create(&self, piece: u64) -> Result<Arc<File>> {
        let len = self.names.created_len().ok_or(Errno::ROFS)?;
        let path = self.path(piece);
        self.make(&path, len)?;
        let file = self.open_path(&path)?.ok_or(Errno::IO)?;
        self.hold(piece, &file);
        Ok(file)
    }

    fn sync(&self) -> Result<()> {
        self.sync_all().inspect_err(|&error| self.errors.record(error))
    }

    fn error_mark(&self) -> u64 {
        self.errors.0.load(Ordering::Acquire)
    }
}

impl Drop for ArrayFiles {
    fn drop(&mut self) {
        if let Err(error) = self.sync_all() {
            log::error!("{}: writing back failed: {error}", self.folder.display());
        }
        lock(&self.opened.inner).files.retain(|(number, _), _| *number != self.number);
    }
}
