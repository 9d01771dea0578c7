//! The bytes of array files: gathered, scattered, lent and synced.
//!
//! A [`File`] is one open array file. It pins a descriptor; its mapping is made when bytes are first asked for
//! and may be let go at any time, when the [`Store`] has more mappings, or more bytes mapped, than its [`Limits`]
//! allow, or when the kernel has no room for another. Files are mapped in windows, so no file is too large (see `maps`).
//!
//! Three rules hold everywhere:
//!
//! 1. What lies past the end of the file is EIO, exact to the byte: the length is asked before each access, and
//!    a fault during the access is caught (see `sys`).
//! 2. A store that faults inside the file is tried again with `pwrite(2)`, which either succeeds or tells why not
//!    (ENOSPC on a full disk).
//! 3. A file that was written is synced before its descriptor is let go, and the first error of a write sticks to
//!    the file: every handle hears of it at its next fsync or close.
//!
//! Where a file cannot be mapped (some network and FUSE file systems; no address space left), `pread(2)` and `pwrite(2)` take over.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::{Errno, Result, retry_on_intr};

mod copy;
mod crew;
mod fetch;
mod files;
mod locks;
mod maps;
mod overlay;
#[cfg(test)]
pub(crate) mod panics;
mod stream;
mod sum;
mod sync;
pub use copy::{gather, read, read_copied, write};
pub use files::{Files, Pieces};
pub use maps::has_room_for_a_thread;
pub use overlay::{Layer, Mark, PAGE, Pages as ChangedPages, Record, Shelf};
pub use stream::Stream;
pub use sum::{Sum, write_summed};
pub use sync::{sync, unwritten};
mod sys;
pub use sys::close_on_exec;
mod tile;

pub use sys::{ProcessUsage, process_usage};

/// `f_type` of tmpfs, from statfs(2).
const TMPFS: u64 = 0x0102_1994;

/// How much may be mapped and open at once. See [`Limits::of_process`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of mappings.
    pub maps: usize,
    /// Bytes mapped.
    pub bytes: u64,
    /// Bytes of the largest window of a file; a multiple of the page size.
    pub window: u64,
    /// What lies between two pieces that are to be read from disk is read along with them if it is no more than so many bytes.
    pub gap: u64,
    /// Files are kept open by descriptors below this one. Those from it on are for what a request opens and closes again, so
    /// that names are found and folders listed however many files are open.
    pub files: u32,
    /// As `files`, for folders that are being listed.
    pub folders: u32,
}

/// What the store has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Windows that were sent straight from the mapping.
    pub borrowed: AtomicU64,
    /// Windows that were gathered into a buffer.
    pub gathered: AtomicU64,
    /// Bytes copied in user space, reading.
    pub bytes_gathered: AtomicU64,
    /// Bytes copied into mappings.
    pub bytes_scattered: AtomicU64,
    /// Accesses that faulted, or lay past the end of a file.
    pub faults: AtomicU64,
    /// Mappings made.
    pub maps: AtomicU64,
    /// Prefetches of pages that were not in memory.
    pub prefetches: AtomicU64,
    /// Pages that these asked for.
    pub pages_asked: AtomicU64,
}

/// All mappings of a process, kept within limits.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    held: Mutex<maps::Held>,
    /// The open files, so that each is open once and its write errors reach everybody.
    files: Mutex<HashMap<FileId, Weak<File>>>,
    /// Where changes go, if the files themselves are not written.
    shelf: OnceLock<Arc<Shelf>>,
    /// What was done.
    pub counters: Counters,
}

/// Identity of a file: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`
    pub inode: u64,
}

/// An open array file.
#[derive(Debug)]
pub struct File {
    id: FileId,
    store: Arc<Store>,
    readable: OwnedFd,
    writable: OnceLock<OwnedFd>,
    /// The length of a block device, which `fstat(2)` does not tell.
    fixed_len: Option<u64>,
    /// Whether it lies in memory (tmpfs): there, reading a hole through a mapping would fill it.
    in_memory: bool,
    /// The mapped windows, few of them.
    windows: RwLock<Vec<maps::Window>>,
    unmappable: AtomicBool,
    /// Writes share it, fills of the kernel's page cache have it alone.
    turns: RwLock<()>,
    /// Held while a write also changes a checksum that the file keeps.
    sums: Mutex<()>,
    locks: Mutex<locks::Locks>,
    dirty: AtomicBool,
    errors: Errors,
    cover: Option<overlay::Cover>,
}

/// The last write error of a file, or of some: a counter of errors above, the errno below.
#[derive(Debug, Default)]
pub struct Errors(AtomicU64);

impl Errors {
    /// Notes an error.
    pub fn record(&self, error: Errno) {
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |mark| {
            Some((((mark >> 32) + 1) << 32) | error.raw_os_error() as u64)
        });
    }

    /// The last error, as a mark: one that differs from an earlier one means a new error.
    pub fn mark(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The error that a mark stands for.
    pub fn of_mark(mark: u64) -> Errno {
        Errno::from_raw_os_error((mark & 0xffff_ffff) as i32)
    }
}

/// Locks, also after a panic elsewhere: what these locks guard is whole after each statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
    #[cfg(test)]
    panics::locked();
    guard
}

/// As [`lock`], together with others who only read.
pub(crate) fn share<T>(shared: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    let guard = shared.read().unwrap_or_else(PoisonError::into_inner);
    #[cfg(test)]
    panics::locked();
    guard
}

/// As [`lock`], for changing what others share.
pub(crate) fn change<T>(shared: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    let guard = shared.write().unwrap_or_else(PoisonError::into_inner);
    #[cfg(test)]
    panics::locked();
    guard
}

impl Store {
    /// A store within limits.
    pub fn new(limits: Limits) -> Arc<Store> {
        Arc::new(Store {
            limits,
            held: Mutex::new(maps::Held::new(&limits)),
            files: Mutex::default(),
            shelf: OnceLock::new(),
            counters: Counters::default(),
        })
    }

    /// Whether files are kept open by such a descriptor ([`Limits::files`]).
    fn keeps(&self, descriptor: &OwnedFd) -> bool {
        (descriptor.as_raw_fd() as u32) < self.limits.files
    }

    /// Whether folders are ([`Limits::folders`]).
    pub fn keeps_folder(&self, descriptor: &OwnedFd) -> bool {
        (descriptor.as_raw_fd() as u32) < self.limits.folders
    }

    /// From now on no file is written that is opened here: changes go to the shelf's overlays, and reads show these.
    pub fn cover(&self, shelf: Arc<Shelf>) {
        // Said once, before any file is opened.
        let _ = self.shelf.set(shelf);
    }

    /// Where changes go, if the files themselves are not written.
    pub fn shelf(&self) -> Option<&Arc<Shelf>> {
        self.shelf.get()
    }

    /// Takes a file over that was opened for reading; one that is open already is shared.
    ///
    /// # Errors
    /// What `fstat(2)` answers; EINVAL if it is neither a regular file nor a block device.
    pub fn file(self: &Arc<Store>, readable: OwnedFd) -> Result<Arc<File>> {
        self.take_over(readable, self.shelf.get())
    }

    /// The same of a file that is written itself in any case.
    ///
    /// # Errors
    /// As [`Store::file`].
    pub fn plain_file(self: &Arc<Store>, readable: OwnedFd) -> Result<Arc<File>> {
        self.take_over(readable, None)
    }

    fn take_over(self: &Arc<Store>, readable: OwnedFd, shelf: Option<&Arc<Shelf>>) -> Result<Arc<File>> {
        let stat = rustix::fs::fstat(&readable)?;
        let id = FileId { device: stat.st_dev, inode: stat.st_ino };
        let known = |files: &HashMap<FileId, Weak<File>>| files.get(&id).and_then(Weak::upgrade);
        if let Some(file) = known(&lock(&self.files)) {
            return Ok(file);
        }
        // Asked without the lock: a disk may take its time to answer, and keeps nobody else waiting.
        let fixed_len = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => None,
            FileType::BlockDevice => Some(rustix::fs::seek(&readable, SeekFrom::End(0))?),
            _ => return Err(Errno::INVAL),
        };
        let in_memory = rustix::fs::fstatfs(&readable).is_ok_and(|fs| fs.f_type as u64 == TMPFS);
        // Readahead would bring pages in that nobody asked for. Where advice is not taken, reads are the same.
        let _ = rustix::fs::fadvise(&readable, 0, None, rustix::fs::Advice::Random);
        let file = Arc::new(File {
            id,
            store: self.clone(),
            readable,
            writable: OnceLock::new(),
            fixed_len,
            in_memory,
            windows: RwLock::default(),
            unmappable: AtomicBool::new(false),
            turns: RwLock::new(()),
            sums: Mutex::new(()),
            locks: Mutex::default(),
            dirty: AtomicBool::new(false),
            errors: Errors::default(),
            cover: shelf.map(|shelf| overlay::Cover::new(shelf, id)),
        });
        let mut files = lock(&self.files);
        // Another thread may have been quicker.
        let first = known(&files);
        if first.is_none() {
            files.insert(id, Arc::downgrade(&file));
        }
        drop(files);
        Ok(first.unwrap_or(file))
    }

    /// Forgets a file that is gone, and its mappings.
    fn dismiss(&self, file: &File) {
        {
            let mut files = lock(&self.files);
            // The same inode may have been opened anew meanwhile.
            if files.get(&file.id).is_some_and(|known| std::ptr::eq(known.as_ptr(), file)) {
                files.remove(&file.id);
            }
        }
        self.forget_windows(file);
    }

    fn fault(&self) {
        self.counters.faults.fetch_add(1, Ordering::Relaxed);
    }
}

impl File {
    /// Which file this is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// A descriptor open for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    /// Its length in bytes, now.
    ///
    /// # Errors
    /// What `fstat(2)` answers.
    pub fn len(&self) -> Result<u64> {
        match self.fixed_len {
            Some(len) => Ok(len),
            None => Ok(rustix::fs::fstat(&self.readable)?.st_size as u64),
        }
    }

    /// Whether it holds no byte.
    ///
    /// # Errors
    /// What `fstat(2)` answers.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// A descriptor open for writing, opened the first time that it is needed.
    ///
    /// # Errors
    /// What `open(2)` answers: EACCES, EROFS, EPERM. EROFS for one that is covered.
    pub fn writable(&self) -> Result<BorrowedFd<'_>> {
        if self.is_covered() {
            return Err(Errno::ROFS);
        }
        if self.writable.get().is_none() {
            // Another thread may have been quicker: then its descriptor serves, and this one goes.
            let _ = self.writable.set(self.open_writable()?);
        }
        self.writable.get().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Whether it can be mapped, for reading or also for writing. What cannot is read and written with `pread(2)` and `pwrite(2)`.
    ///
    /// # Errors
    /// What opening it for writing answers.
    pub fn can_be_mapped(self: &Arc<File>, writable: bool) -> Result<bool> {
        self.try_map(0, 1, writable).map(|found| found.is_some())
    }

    fn open_writable(&self) -> Result<OwnedFd> {
        // The same inode, whatever its name is by now.
        let name = format!("/proc/self/fd/{}", self.readable.as_raw_fd());
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let opened = retry_on_intr(|| rustix::fs::open(name.as_str(), flags, Mode::empty()))?;
        let _ = rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::Random);
        Ok(opened)
    }

    /// Sees to it that the file may stay open, also for writing where that is asked for.
    ///
    /// # Errors
    /// EMFILE where its descriptors are none of those that are kept ([`Limits::files`]); as [`File::writable`].
    pub fn keep(&self, write: bool) -> Result<()> {
        // One that is covered is only read, whatever becomes of it.
        let write = write && !self.is_covered();
        if write && self.writable.get().is_none() {
            let opened = self.open_writable()?;
            if self.store.keeps(&opened) {
                let _ = self.writable.set(opened);
            } else {
                return Err(Errno::MFILE);
            }
        }
        if self.is_passing() { Err(Errno::MFILE) } else { Ok(()) }
    }

    /// Whether one of its descriptors is for passing use: the file is to be let go soon.
    pub fn is_passing(&self) -> bool {
        let mut descriptors = [Some(&self.readable), self.writable.get()].into_iter().flatten();
        !descriptors.all(|descriptor| self.store.keeps(descriptor))
    }

    /// Sets the modification time to now, as a write does; stores into a mapping do it only now and then.
    ///
    /// # Errors
    /// What `utimensat(2)` answers.
    pub fn touch(&self) -> Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        if self.is_covered() {
            return self.set_overlay_times(&Timestamps { last_access: same, last_modification: now });
        }
        let fd = self.writable()?;
        match rustix::fs::futimens(fd, &Timestamps { last_access: same, last_modification: now }) {
            // Only the owner may set one of the times; whoever may write may set both.
            Err(Errno::PERM | Errno::ACCESS) => {
                rustix::fs::futimens(fd, &Timestamps { last_access: now, last_modification: now })
            }
            answer => answer,
        }
    }

    /// Keeps fills of the kernel's page cache out while a write is done. Writes do not exclude each other.
    pub fn writes(&self) -> RwLockReadGuard<'_, ()> {
        share(&self.turns)
    }

    /// Keeps writes out while the kernel's page cache is filled.
    pub fn fills(&self) -> RwLockWriteGuard<'_, ()> {
        change(&self.turns)
    }

    /// Whether it was written since it was last synced as a whole.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// The last write error ([`Errors::mark`]).
    pub fn error_mark(&self) -> u64 {
        self.errors.mark()
    }

    fn record_error(&self, error: Errno) {
        self.errors.record(error);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.is_dirty()
            && let Err(error) = self.sync_all()
        {
            log::error!("device {} inode {}: writing back failed: {error}", self.id.device, self.id.inode);
        }
        self.store.dismiss(self);
    }
}

#[cfg(test)]
mod tests;
