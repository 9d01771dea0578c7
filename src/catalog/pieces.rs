//! The files of arrays that lie in many: opened as they are needed, a limited number at a time, and made where a write needs
//! one that is missing.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::cache::Recent;
use super::is_regular;
use super::resolve::Root;
use crate::format::Names;
use crate::store::{Errors, File, Pieces, Store, lock};

type Result<T> = std::result::Result<T, Errno>;

/// So many files are held open, of all arrays together. Requests hold those that they use beyond that.
const HELD: usize = 128;

/// For so long a name is taken to lead to the file that it led to; then it is looked up again, since another program may have
/// replaced or removed it.
const TRUSTED: Duration = Duration::from_millis(500);
/// So many names are tried for a file that is being made.
const TRIES: usize = 100;

/// Open files, by array and piece.
#[derive(Debug)]
pub(super) struct Opened {
    pieces: Mutex<Recent<(u64, u64), Held>>,
    /// The members of stacks.
    pub(super) members: super::stack::Opened,
}

impl Default for Opened {
    fn default() -> Opened {
        Opened { pieces: Mutex::new(Recent::new(HELD)), members: super::stack::Opened::default() }
    }
}

impl Opened {
    /// Closes them all.
    pub(super) fn let_go(&self) {
        let all = lock(&self.pieces).take(|_, _, _| true);
        close(all);
        self.members.let_go();
    }
}

/// Lets files go. They are written back here, where an error is still noted with the array, and without the lock.
fn close(files: impl IntoIterator<Item = Held>) {
    for Held { file, errors, .. } in files {
        if file.is_dirty()
            && let Err(error) = file.sync_all()
        {
            errors.record(error);
        }
    }
}

#[derive(Debug)]
struct Held {
    since: Instant,
    file: Arc<File>,
    errors: Arc<Errors>,
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
        // Where the source is not written, pieces are made elsewhere.
        if let Some(shelf) = self.store.shelf()
            && let Some(made) = shelf.open_made(&self.root.path.join(path))?
        {
            return self.store.plain_file(made).map(Some);
        }
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        let (opened, stat) = match self.root.open_with_stat(path, flags) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !is_regular(&stat) {
            return Err(Errno::IO);
        }
        if self.root.shared {
            self.root.check_rights(&self.described, path, &stat)?;
        }
        self.store.file(opened).map(Some)
    }

    /// As [`ArrayFiles::open_path`]; where there are too few descriptors, other pieces are closed for it.
    fn open_and_hold(&self, piece: u64) -> Result<Option<Arc<File>>> {
        let path = self.path(piece);
        let mut opened = self.open_path(&path);
        let is_short = match &opened {
            Ok(file) => file.as_ref().is_some_and(|file| file.is_passing()),
            Err(error) => matches!(*error, Errno::MFILE | Errno::NFILE),
        };
        if is_short {
            drop(opened);
            self.opened.let_go();
            opened = self.open_path(&path);
        }
        if let Ok(Some(file)) = &opened
            && !file.is_passing()
        {
            self.hold(piece, file);
        }
        opened
    }

    fn hold(&self, piece: u64, file: &Arc<File>) {
        let held = Held { since: Instant::now(), file: file.clone(), errors: self.errors.clone() };
        let others = lock(&self.opened.pieces).put((self.number, piece), held);
        // The file itself is among them where it was looked up again.
        close(others.into_iter().filter(|held| !Arc::ptr_eq(&held.file, file)));
    }

    /// Makes the file of a piece, filled, under a name of its own, and then gives it its name, unless another one was quicker.
    fn make(&self, path: &Path, len: u64) -> Result<()> {
        if let Some(shelf) = self.store.shelf() {
            let described = rustix::fs::fstat(self.root.open_below(&self.described, OFlags::PATH)?)?;
            let rights = (described.st_mode & 0o666, described.st_uid, described.st_gid);
            return shelf.make_file(&self.root.path.join(path), rights, |made| self.fill(made, len));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = self.make_folder(parent)?;
        let name = path.file_name().ok_or(Errno::INVAL)?;
        static MADE: AtomicU64 = AtomicU64::new(0);
        let temporary = || {
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}-{}.partial", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
            temporary
        };
        let described = rustix::fs::fstat(self.root.open_below(&self.described, OFlags::PATH)?)?;
        let mode = Mode::from_raw_mode(described.st_mode & 0o666);
        // Never one that somebody else has put there.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |name: &std::ffi::OsString| rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR);
        let mut names = (0..TRIES).map(|_| temporary()).map(|name| open(&name).map(|made| (made, name)));
        let taken = |opened: &Result<_>| matches!(opened, Err(Errno::EXIST));
        let (made, temporary) = names.find(|opened| !taken(opened)).unwrap_or(Err(Errno::IO))?;
        let outcome = self.fill(made.as_fd(), len).and_then(|()| {
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

    fn fill(&self, made: BorrowedFd<'_>, len: u64) -> Result<()> {
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
            let opened = lock(&self.opened.pieces);
            let mine = opened.iter().filter(|((number, _), _)| *number == self.number);
            mine.map(|(_, held)| held.file.clone()).collect()
        };
        for file in mine.iter().filter(|file| file.is_dirty()) {
            file.sync_all()?;
        }
        if let Some(shelf) = self.store.shelf() {
            shelf.sync_made()?;
        }
        let mut folders = std::mem::take(&mut *lock(&self.unsynced)).into_iter();
        let open = |folder: &Path| self.root.open_below(folder, OFlags::RDONLY | OFlags::DIRECTORY);
        let outcome = folders.try_for_each(|folder| rustix::fs::fsync(open(&folder)?));
        // Of those behind one that failed nothing is known yet.
        lock(&self.unsynced).extend(folders);
        outcome
    }
}

impl Pieces for ArrayFiles {
    fn open(&self, piece: u64) -> Result<Option<Arc<File>>> {
        if let Some(held) = lock(&self.opened.pieces).get(&(self.number, piece))
            && held.since.elapsed() < TRUSTED
        {
            return Ok(Some(held.file.clone()));
        }
        self.open_and_hold(piece)
    }

    fn create(&self, piece: u64) -> Result<Arc<File>> {
        let len = self.names.created_len().ok_or(Errno::ROFS)?;
        let path = self.path(piece);
        self.make(&path, len)?;
        self.open_and_hold(piece)?.ok_or(Errno::IO)
    }

    fn let_go(&self) {
        self.opened.let_go();
    }

    fn sync(&self) -> Result<()> {
        self.sync_all().inspect_err(|&error| self.errors.record(error))
    }

    fn error_mark(&self) -> u64 {
        self.errors.mark()
    }
}

impl Drop for ArrayFiles {
    fn drop(&mut self) {
        if let Err(error) = self.sync_all() {
            log::error!("{}: writing back failed: {error}", self.folder.display());
        }
        let mine = lock(&self.opened.pieces).take(|(number, _), _, _| *number == self.number);
        drop(mine);
    }
}
