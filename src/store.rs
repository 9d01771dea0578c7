//! The bytes of array files: gathered, scattered, lent and synced.
//!
//! A [`File`] is one open array file. It pins a descriptor; its mapping is made when bytes are first asked for
//! and may be let go at any time, when the [`Store`] has more mappings, or more bytes mapped, than its [`Limits`]
//! allow. Files are mapped in windows, so no file is too large.
//!
//! Three rules hold everywhere:
//!
//! 1. What lies past the end of the file is EIO, exact to the byte: the length is asked before each access, and
//!    a fault during the access is caught (see [`sys`]).
//! 2. A store that faults inside the file is tried again with `pwrite(2)`, which either succeeds or tells why not
//!    (ENOSPC on a full disk).
//! 3. A file that was written is synced before its descriptor is let go, and the first error of a write sticks to
//!    the file: every handle hears of it at its next fsync or close.
//!
//! Where a file cannot be mapped (some network and FUSE file systems), `pread(2)` and `pwrite(2)` take over.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::{Errno, Result, retry_on_intr};

use crate::runs::{Run, View};
use std::ops::Range;

mod sync;
pub use sync::sync;
mod sys;

/// How much may be mapped at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of mappings.
    pub maps: usize,
    /// Bytes mapped.
    pub bytes: u64,
    /// Bytes of the largest window of a file; a multiple of the page size.
    pub window: u64,
}

impl Default for Limits {
    /// A quarter of the kernel's default for mappings (`vm.max_map_count`, 65 530), and of the 47 bits of addresses.
    fn default() -> Limits {
        Limits { maps: 16_000, bytes: 1 << 45, window: 1 << 40 }
    }
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
}

/// All mappings of a process, kept within limits.
#[derive(Debug, Default)]
pub struct Store {
    limits: Limits,
    held: Mutex<Held>,
    /// What was done.
    pub counters: Counters,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    /// Oldest first.
    windows: std::collections::VecDeque<Window>,
}

/// One mapping that exists: whose, and which.
#[derive(Debug)]
struct Window {
    file: Weak<File>,
    number: u64,
    bytes: u64,
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
    /// The mapped windows, few of them.
    windows: RwLock<Vec<(u64, Arc<sys::Map>)>>,
    unmappable: AtomicBool,
    dirty: AtomicBool,
    /// The last write error: a counter of errors above, the errno below.
    error: AtomicU64,
}

thread_local! {
    /// Where strided windows are gathered: one buffer for each thread, kept for the next request.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// A store within limits.
    pub fn new(limits: Limits) -> Arc<Store> {
        Arc::new(Store { limits, ..Store::default() })
    }

    /// Takes a file over that was opened for reading.
    ///
    /// # Errors
    /// What `fstat(2)` answers; EINVAL if it is neither a regular file nor a block device.
    pub fn file(self: &Arc<Store>, readable: OwnedFd) -> Result<Arc<File>> {
        let stat = rustix::fs::fstat(&readable)?;
        let fixed_len = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => None,
            FileType::BlockDevice => Some(rustix::fs::seek(&readable, SeekFrom::End(0))?),
            _ => return Err(Errno::INVAL),
        };
        // Readahead would bring pages in that nobody asked for. Where advice is not taken, reads are the same.
        let _ = rustix::fs::fadvise(&readable, 0, None, rustix::fs::Advice::Random);
        Ok(Arc::new(File {
            id: FileId { device: stat.st_dev, inode: stat.st_ino },
            store: self.clone(),
            readable,
            writable: OnceLock::new(),
            fixed_len,
            windows: RwLock::default(),
            unmappable: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            error: AtomicU64::new(0),
        }))
    }

    /// Bytes of files that are mapped, and the number of mappings.
    pub fn mapped(&self) -> (u64, usize) {
        let held = lock(&self.held);
        (held.bytes, held.windows.len())
    }

    /// Notes a new mapping, and lets the oldest go where there are too many.
    fn admit(&self, window: Window) {
        let mut evicted = Vec::new();
        let mut held = lock(&self.held);
        held.bytes += window.bytes;
        held.windows.push_back(window);
        while held.windows.len() > self.limits.maps || held.bytes > self.limits.bytes && held.windows.len() > 1 {
            let Some(oldest) = held.windows.pop_front() else { break };
            held.bytes -= oldest.bytes;
            evicted.push(oldest);
        }
        drop(held);
        for window in evicted {
            if let Some(file) = window.file.upgrade() {
                let mut windows = file.windows.write().unwrap_or_else(PoisonError::into_inner);
                windows.retain(|(number, _)| *number != window.number);
            }
        }
    }

    /// Forgets the mappings of a file that is gone.
    fn dismiss(&self, file: &File) {
        let windows = file.windows.read().unwrap_or_else(PoisonError::into_inner);
        if windows.is_empty() {
            return;
        }
        let mut held = lock(&self.held);
        held.windows.retain(|window| std::ptr::from_ref(file) != window.file.as_ptr());
        held.bytes = held.windows.iter().map(|window| window.bytes).sum();
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
    /// What `open(2)` answers: EACCES, EROFS, EPERM.
    pub fn writable(&self) -> Result<BorrowedFd<'_>> {
        if self.writable.get().is_none() {
            // The same inode, whatever its name is by now.
            let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.readable));
            let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
            let opened = retry_on_intr(|| rustix::fs::open(name.as_str(), flags, Mode::empty()))?;
            let _ = rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::Random);
            // Another thread may have been quicker: then its descriptor serves, and this one goes.
            let _ = self.writable.set(opened);
        }
        self.writable.get().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// The mapping of the window in which byte `offset` lies, and the byte of the file at which it starts.
    fn map(self: &Arc<File>, offset: u64, end: u64, writable: bool) -> Result<(Arc<sys::Map>, u64)> {
        let size = self.store.limits.window;
        let number = offset / size;
        let start = number * size;
        let needed = (end.min(start + size) - start) as usize;
        let usable = |map: &sys::Map| map.len() >= needed && (map.is_writable() || !writable);
        {
            let windows = self.windows.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, map)) = windows.iter().find(|(n, map)| *n == number && usable(map)) {
                return Ok((map.clone(), start));
            }
        }
        let len = (self.len()?.max(end).min(start + size) - start) as usize;
        let keep_writable = writable || self.writable.get().is_some();
        let map = {
            let file = if keep_writable { self.writable()? } else { self.fd() };
            let made = sys::Map::new(file, start, len, keep_writable);
            Arc::new(made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?)
        };
        self.store.counters.maps.fetch_add(1, Ordering::Relaxed);
        let replaced = {
            let mut windows = self.windows.write().unwrap_or_else(PoisonError::into_inner);
            let old = windows.iter().position(|(n, _)| *n == number).map(|at| windows.swap_remove(at));
            windows.push((number, map.clone()));
            old
        };
        if replaced.is_some() {
            let mut held = lock(&self.store.held);
            let this = Arc::as_ptr(self);
            if let Some(at) = held.windows.iter().position(|w| w.file.as_ptr() == this && w.number == number)
                && let Some(old) = held.windows.remove(at)
            {
                held.bytes -= old.bytes;
            }
        }
        self.store.admit(Window { file: Arc::downgrade(self), number, bytes: len as u64 });
        Ok((map, start))
    }

    /// As [`File::map`], or nothing where the file cannot be mapped.
    fn try_map(self: &Arc<File>, offset: u64, end: u64, writable: bool) -> Result<Option<(Arc<sys::Map>, u64)>> {
        if self.unmappable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.map(offset, end, writable) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NODEV | Errno::NOMEM | Errno::OPNOTSUPP | Errno::INVAL | Errno::OVERFLOW) => {
                self.unmappable.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the modification time to now, as a write does; stores into a mapping do it only now and then.
    ///
    /// # Errors
    /// What `utimensat(2)` answers.
    pub fn touch(&self) -> Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let fd = self.writable()?;
        match rustix::fs::futimens(fd, &Timestamps { last_access: same, last_modification: now }) {
            // Only the owner may set one of the times; whoever may write may set both.
            Err(Errno::PERM | Errno::ACCESS) => {
                rustix::fs::futimens(fd, &Timestamps { last_access: now, last_modification: now })
            }
            answer => answer,
        }
    }

    /// Whether it was written since it was last synced as a whole.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// The last write error, as a mark: a mark that differs from an earlier one means a new error.
    pub fn error_mark(&self) -> u64 {
        self.error.load(Ordering::Acquire)
    }

    /// The error that a mark stands for.
    pub fn error_of(mark: u64) -> Errno {
        Errno::from_raw_os_error((mark & 0xffff_ffff) as i32)
    }

    fn record_error(&self, error: Errno) {
        let _ = self.error.fetch_update(Ordering::AcqRel, Ordering::Acquire, |mark| {
            Some((((mark >> 32) + 1) << 32) | error.raw_os_error() as u64)
        });
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

/// The file of a run; `None` is the fill value.
fn file_of(files: &[Arc<File>], piece: u32) -> Result<&Arc<File>> {
    files.get(piece as usize).ok_or(Errno::IO)
}

/// Hands the bytes of a window of a view to `sink`: straight from the mapping where they are contiguous,
/// gathered once into a buffer of the thread where not. `files` are the pieces of the array, `fill` is an element
/// for pieces that do not exist (zeros where it is empty).
///
/// # Errors
/// EIO for bytes past the end of a file, or that cannot be read. The sink is not called then.
pub fn read<R>(
    files: &[Arc<File>],
    fill: &[u8],
    view: &View,
    window: Range<u64>,
    sink: impl FnOnce(&[u8]) -> R,
) -> Result<R> {
    if let Some((piece, bytes)) = view.contiguous(window.clone()) {
        let file = file_of(files, piece)?;
        if let Some((map, start)) = file.try_map(bytes.start, bytes.end, false)?
            && bytes.end - start <= map.len() as u64
        {
            if bytes.end > file.len()? {
                file.store.fault();
                return Err(Errno::IO);
            }
            let (offset, len) = ((bytes.start - start) as usize, (bytes.end - bytes.start) as usize);
            prefetch(file, &map, offset, len);
            file.store.counters.borrowed.fetch_add(1, Ordering::Relaxed);
            return Ok(sink(map.borrow(offset, len)));
        }
    }
    let len = (window.end.min(view.len()) - window.start.min(view.len())) as usize;
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        gather(files, fill, view, window, &mut buffer[..len])?;
        Ok(sink(&buffer[..len]))
    })
}

/// Copies a window of a view into a buffer of the window's length, clipped to the view.
///
/// # Errors
/// EIO for bytes past the end of a file, or that cannot be read.
pub fn gather(files: &[Arc<File>], fill: &[u8], view: &View, window: Range<u64>, buffer: &mut [u8]) -> Result<()> {
    let mut lens = Lens::default();
    prefetch_runs(files, view, window.clone());
    let mut done = 0;
    for run in view.runs(window) {
        let bytes = (run.length * run.count) as usize;
        let target = &mut buffer[done..done + bytes];
        done += bytes;
        match run.piece {
            None => fill_with(target, fill, run.offset as usize),
            Some(piece) => {
                let file = file_of(files, piece)?;
                file.gather_run(&run, lens.of(piece, file)?, target)?;
            }
        }
    }
    if let Some(file) = files.first() {
        file.store.counters.gathered.fetch_add(1, Ordering::Relaxed);
        file.store.counters.bytes_gathered.fetch_add(done as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Copies `data` into a view from byte `at` on, and returns how many bytes were written: all, or those before the
/// place where it failed. A write to pieces that do not exist is EROFS.
///
/// # Errors
/// If not even one byte could be written: ENOSPC, EIO, what `pwrite(2)` answers.
pub fn write(files: &[Arc<File>], view: &View, at: u64, data: &[u8]) -> Result<usize> {
    let mut lens = Lens::default();
    let mut done = 0;
    for run in view.runs(at..at + data.len() as u64) {
        let bytes = (run.length * run.count) as usize;
        let outcome = match run.piece {
            None => Err((0, Errno::ROFS)),
            Some(piece) => match file_of(files, piece).and_then(|file| Ok((file, lens.of(piece, file)?))) {
                Ok((file, len)) => file.scatter_run(&run, len, &data[done..done + bytes]),
                Err(error) => Err((0, error)),
            },
        };
        match outcome {
            Ok(()) => done += bytes,
            Err((written, _)) if done + written > 0 => return Ok(done + written),
            Err((_, error)) => return Err(error),
        }
    }
    Ok(done)
}

/// The lengths of the files of one request, asked once each: mostly there is one.
#[derive(Default)]
struct Lens {
    last: Option<(u32, u64)>,
}

impl Lens {
    fn of(&mut self, piece: u32, file: &File) -> Result<u64> {
        match self.last {
            Some((known, len)) if known == piece => Ok(len),
            _ => {
                let len = file.len()?;
                self.last = Some((piece, len));
                Ok(len)
            }
        }
    }
}

/// Repeats the fill element, from byte `phase` of it on.
fn fill_with(target: &mut [u8], fill: &[u8], phase: usize) {
    if fill.is_empty() {
        target.fill(0);
    } else {
        target.iter_mut().zip(fill.iter().cycle().skip(phase)).for_each(|(byte, &value)| *byte = value);
    }
}

/// First byte and one past the last of a run.
fn reach(run: &Run) -> (u64, u64) {
    let last = run.offset.wrapping_add_signed(run.stride.wrapping_mul(run.count as i64 - 1));
    (run.offset.min(last), run.offset.max(last) + run.length)
}

impl File {
    fn gather_run(self: &Arc<File>, run: &Run, file_len: u64, target: &mut [u8]) -> Result<()> {
        let (low, high) = reach(run);
        if high > file_len {
            self.store.fault();
            return Err(Errno::IO);
        }
        if let Some((map, start)) = self.try_map(low, high, false)?
            && high - start <= map.len() as u64
        {
            let offset = (run.offset - start) as usize;
            return map.gather(target, offset, run.length as usize, run.stride, run.count as usize).map_err(|_| {
                self.store.fault();
                Errno::IO
            });
        }
        self.each_part(run, |part, at| {
            let target = &mut target[at..at + part.length as usize];
            match self.try_map(part.offset, part.offset + part.length, false)? {
                Some((map, start)) => {
                    map.gather(target, (part.offset - start) as usize, target.len(), 0, 1).map_err(|_| Errno::IO)
                }
                None => read_exact(self.fd(), target, part.offset),
            }
        })
        .map_err(|(_, error)| error)
    }

    fn scatter_run(self: &Arc<File>, run: &Run, file_len: u64, data: &[u8]) -> std::result::Result<(), (usize, Errno)> {
        let (low, high) = reach(run);
        self.dirty.store(true, Ordering::Release);
        // Bytes past the end are no part of the file: storing them would lose them, writing would make it grow.
        if high <= file_len
            && let Some((map, start)) = self.try_map(low, high, true).map_err(|error| (0, error))?
            && high - start <= map.len() as u64
        {
            let offset = (run.offset - start) as usize;
            self.store.counters.bytes_scattered.fetch_add(data.len() as u64, Ordering::Relaxed);
            return match map.scatter(data, offset, run.length as usize, run.stride, run.count as usize) {
                Ok(()) => Ok(()),
                Err(fault) => {
                    self.store.fault();
                    self.write_rest(run, data, fault.done)
                }
            };
        }
        self.write_rest(run, data, 0)
    }

    /// Writes what a mapping did not take, from byte `done` of the run on, with `pwrite(2)`.
    fn write_rest(self: &Arc<File>, run: &Run, data: &[u8], done: usize) -> std::result::Result<(), (usize, Errno)> {
        self.each_part(run, |part, at| {
            let end = at + part.length as usize;
            if end <= done {
                return Ok(());
            }
            let skip = done.saturating_sub(at);
            let (data, offset) = (&data[at + skip..end], part.offset + skip as u64);
            if offset + data.len() as u64 > self.len()? {
                self.store.fault();
                return Err(Errno::IO);
            }
            write_exact(self.writable()?, data, offset)
        })
    }

    /// Calls `each` for the blocks of a run, cut where windows of the file meet, with their place in the run's bytes.
    fn each_part(
        &self,
        run: &Run,
        mut each: impl FnMut(Run, usize) -> Result<()>,
    ) -> std::result::Result<(), (usize, Errno)> {
        let mut at = 0;
        for block in 0..run.count {
            let mut offset = run.offset.wrapping_add_signed(run.stride.wrapping_mul(block as i64));
            let end = offset + run.length;
            while offset < end {
                let cut = (offset / self.store.limits.window + 1).saturating_mul(self.store.limits.window).min(end);
                let length = cut - offset;
                let part = Run { piece: run.piece, offset, length, stride: length as i64, count: 1 };
                each(part, at).map_err(|error| (at, error))?;
                at += length as usize;
                offset = cut;
            }
        }
        Ok(())
    }
}

fn read_exact(fd: BorrowedFd<'_>, mut target: &mut [u8], mut offset: u64) -> Result<()> {
    while !target.is_empty() {
        let count = retry_on_intr(|| rustix::io::pread(fd, &mut *target, offset))?;
        if count == 0 {
            return Err(Errno::IO);
        }
        offset += count as u64;
        target = &mut target[count..];
    }
    Ok(())
}

fn write_exact(fd: BorrowedFd<'_>, mut data: &[u8], mut offset: u64) -> Result<()> {
    while !data.is_empty() {
        let count = retry_on_intr(|| rustix::io::pwrite(fd, data, offset))?;
        if count == 0 {
            return Err(Errno::NOSPC);
        }
        offset += count as u64;
        data = &data[count..];
    }
    Ok(())
}

/// Asks for the pages of a contiguous window, if they are not all in memory: with random access advised, the kernel
/// would otherwise read them one by one.
fn prefetch(file: &File, map: &sys::Map, offset: usize, len: usize) {
    if len > sys::page_size() && !map.is_resident(offset, len) {
        file.store.counters.prefetches.fetch_add(1, Ordering::Relaxed);
        // Advice that is not taken costs only time.
        let _ = map.will_need(offset, len);
    }
}

/// Asks for the pages that the runs of a window touch, each by itself, if some of them are not in memory. A look at a few
/// of the blocks decides, because asking for pages that are there costs more than the copy.
fn prefetch_runs(files: &[Arc<File>], view: &View, window: Range<u64>) {
    const PROBES: u64 = 4;
    for run in view.runs(window) {
        let Some(file) = run.piece.and_then(|piece| files.get(piece as usize)) else { continue };
        let page = sys::page_size() as u64;
        let (low, high) = reach(&run);
        if high - low <= page {
            continue;
        }
        let Ok(Some((map, start))) = file.try_map(low, high, false) else { continue };
        if high - start > map.len() as u64 {
            continue;
        }
        let block = |k: u64| (run.offset.wrapping_add_signed(run.stride.wrapping_mul(k as i64)) - start) as usize;
        let length = run.length as usize;
        if (0..=PROBES).all(|probe| map.is_resident(block((run.count - 1) * probe / PROBES), length)) {
            continue;
        }
        file.store.counters.prefetches.fetch_add(1, Ordering::Relaxed);
        if run.stride.unsigned_abs() <= page {
            let _ = map.will_need((low - start) as usize, (high - low) as usize);
        } else {
            (0..run.count).for_each(|k| drop(map.will_need(block(k), length)));
        }
    }
}

#[cfg(test)]
mod tests;
