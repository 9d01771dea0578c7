//! The only unsafe code: copies that survive a fault, and the system calls that no safe crate wraps.
//!
//! A load or store in a mapping faults with SIGBUS where the file was truncated, where the disk fails, and
//! where a hole cannot be filled because the disk is full. The copy loops below are written in assembly,
//! with labels around them, so that the signal handler can tell a fault in them from any other: it then moves
//! the instruction pointer to a landing pad behind the loops, which returns how much is left to copy. (gVisor's
//! `pkg/safecopy` works this way.) A SIGBUS anywhere else ends the process, as it should.
//!
//! The loops never split an aligned element of up to 8 bytes on the side of the mapping, so that it cannot
//! tear (a move of 16 bytes is split, if at all, where the address is a multiple of 8); and being assembly they carry no assumption that nobody else writes to the memory they read.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Once;

use memmap2::{MmapOptions, MmapRaw};

use rustix::io::Errno;

use self::blocks::Mapped;
use super::Lock;
use crate::runs::Run;

mod blocks;

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(include_str!("copy_aarch64.s"));
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(include_str!("copy_x86_64.s"), options(att_syntax));

/// How much of a copy was done when the mapping faulted: at least so much, and perhaps some of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes that were copied before the fault.
    pub(super) done: usize,
}

impl Fault {
    fn of(left: usize, run: &Run) -> Result<(), Fault> {
        if left == 0 { Ok(()) } else { Err(Fault { done: run.bytes() as usize - left }) }
    }
}

/// A window of a file, mapped shared.
#[derive(Debug)]
pub(super) struct Map {
    raw: MmapRaw,
    writable: bool,
}

impl Map {
    /// Maps `len` bytes of a file from byte `offset` on, which must be a multiple of the page size. The file may
    /// be shorter. Pages come one by one, as they are touched or asked for.
    ///
    /// # Errors
    /// What `mmap(2)` answers.
    pub(super) fn new(file: impl AsFd, offset: u64, len: usize, writable: bool) -> io::Result<Map> {
        install_handler();
        let file = file.as_fd().as_raw_fd();
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        let raw = if writable { options.map_raw(file)? } else { options.map_raw_read_only(file)? };
        raw.advise(memmap2::Advice::Random)?;
        Ok(Map { raw, writable })
    }

    /// Length of the window in bytes.
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether stores are allowed.
    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Bytes of the mapping, to be handed to a system call that copies them out: the kernel stops such a copy at
    /// a fault. Whoever reads them in user space instead may be ended by SIGBUS.
    pub(super) fn borrow(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset <= self.len() && len <= self.len() - offset);
        // SAFETY: the range lies inside the mapping, which lives as long as the borrow. Other programs may change
        // the bytes meanwhile; the slice is only passed on to the kernel, so no assumption of ours breaks.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(offset), len) }
    }

    /// Copies the blocks of a run into `buffer`, whose rows begin `pitch` bytes apart and have no gaps in them. The
    /// run's offset counts from the start of the mapping.
    ///
    /// # Errors
    /// Where the mapping faults.
    pub(super) fn gather(&self, buffer: &mut [u8], pitch: usize, run: &Run) -> Result<(), Fault> {
        self.check(buffer.len(), pitch, run);
        let (dst, length) = (buffer.as_mut_ptr(), run.length as isize);
        // SAFETY: the blocks lie inside the mapping, and inside the buffer with its own pitch, which was just checked.
        let left = unsafe {
            let src = self.raw.as_ptr().add(run.offset as usize);
            blocks::copy(
                dst,
                [length, pitch as isize],
                src,
                [run.stride as isize, run.pitch as isize],
                run,
                Mapped::Source,
            )
        };
        Fault::of(left, run)
    }

    /// The reverse of [`Map::gather`]: copies `data` into the blocks of a run of the mapping.
    ///
    /// # Errors
    /// Where the mapping faults; what lies before is written.
    pub(super) fn scatter(&self, data: &[u8], pitch: usize, run: &Run) -> Result<(), Fault> {
        assert!(self.writable);
        self.check(data.len(), pitch, run);
        let (src, length) = (data.as_ptr(), run.length as isize);
        // SAFETY: the blocks lie inside the mapping, which is writable, and inside `data` with its own pitch. No
        // reference to the mapping's bytes is held by code that would mind the change (see `borrow`).
        let left = unsafe {
            let dst = self.raw.as_mut_ptr().add(run.offset as usize);
            blocks::copy(
                dst,
                [run.stride as isize, run.pitch as isize],
                src,
                [length, pitch as isize],
                run,
                Mapped::Target,
            )
        };
        Fault::of(left, run)
    }

    /// Checks that the blocks lie inside the mapping, and fill so many bytes with rows that begin `pitch` bytes apart.
    fn check(&self, bytes: usize, pitch: usize, run: &Run) {
        let wide = |number: u64| i128::from(number) - 1;
        let row = i128::from(run.length) * i128::from(run.count);
        assert!(run.length > 0 && run.count > 0 && run.rows > 0, "no blocks");
        assert!(run.rows == 1 || pitch as i128 >= row, "rows overlap");
        assert_eq!(bytes as i128, if run.rows == 1 { row } else { pitch as i128 * wide(run.rows) + row });
        let across = i128::from(run.stride) * wide(run.count);
        let down = i128::from(run.pitch) * wide(run.rows);
        let low = i128::from(run.offset) + across.min(0) + down.min(0);
        let high = i128::from(run.offset) + across.max(0) + down.max(0) + i128::from(run.length);
        assert!(low >= 0 && high <= self.len() as i128, "blocks outside of the mapping");
    }

    /// Makes the stores to a range of bytes durable.
    ///
    /// # Errors
    /// What `msync(2)` answers: the error of a write that failed earlier, too.
    pub(super) fn sync(&self, offset: usize, len: usize) -> io::Result<()> {
        self.raw.flush_range(offset, len)
    }

    /// Asks for a range of pages to be read, without waiting for them. The kernel takes no more at once than the disk does in
    /// one request, and says nothing of the rest, so that a long range is asked for in parts.
    ///
    /// # Errors
    /// What `madvise(2)` answers.
    pub(super) fn will_need(&self, offset: usize, len: usize) -> io::Result<()> {
        const AT_ONCE: usize = 512 << 10;
        let end = (offset + len).min(self.len());
        let start = offset / page_size() * page_size();
        (start..end)
            .step_by(AT_ONCE)
            .try_for_each(|start| self.raw.advise_range(memmap2::Advice::WillNeed, start, AT_ONCE.min(end - start)))
    }

    /// Whether all pages of a range of bytes are in memory, as far as the kernel tells: it answers yes for files
    /// that the caller may not write.
    pub(super) fn is_resident(&self, offset: usize, len: usize) -> bool {
        const AT_ONCE: usize = 512;
        assert!(offset <= self.len() && len <= self.len() - offset);
        let page = page_size();
        let (mut start, end) = (offset / page * page, offset + len);
        let mut pages = [0u8; AT_ONCE];
        while start < end {
            let span = (end - start).min(AT_ONCE * page);
            let count = span.div_ceil(page);
            // SAFETY: the range lies inside the mapping and starts at a page; `pages` has a byte for each page.
            let answer = unsafe {
                libc::mincore(self.raw.as_mut_ptr().add(start).cast::<c_void>(), span, pages.as_mut_ptr().cast())
            };
            if answer == 0 && pages[..count].iter().any(|page| page & 1 == 0) {
                return false;
            }
            start += span;
        }
        true
    }
}

/// What the process has cost so far, in all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Times that a page was waited for until it was read from disk.
    pub major_faults: u64,
    /// Page faults that no disk was needed for.
    pub minor_faults: u64,
    /// Bytes that were read from disk for the process, ahead of their use or not.
    pub disk_read_bytes: u64,
    /// The same in pages.
    pub disk_pages: u64,
}

/// What the process has cost so far, as getrusage(2) tells it: blocks are of 512 bytes, as `read_bytes` in proc_pid_io(5).
pub fn process_usage() -> ProcessUsage {
    let Some(usage) = usage_of(libc::RUSAGE_SELF) else { return ProcessUsage::default() };
    let disk_read_bytes = usage.ru_inblock as u64 * 512;
    ProcessUsage {
        major_faults: usage.ru_majflt as u64,
        minor_faults: usage.ru_minflt as u64,
        disk_read_bytes,
        disk_pages: disk_read_bytes / page_size() as u64,
    }
}

/// How often this thread has waited for a page to be read from disk.
pub(super) fn major_faults() -> u64 {
    usage_of(libc::RUSAGE_THREAD).map_or(0, |usage| usage.ru_majflt as u64)
}

fn usage_of(who: libc::c_int) -> Option<libc::rusage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the kernel fills the structure, which is large enough, unless it answers an error.
    match unsafe { libc::getrusage(who, usage.as_mut_ptr()) } {
        // SAFETY: the call has succeeded.
        0 => Some(unsafe { usage.assume_init() }),
        _ => None,
    }
}

/// Bytes of a page.
pub(super) fn page_size() -> usize {
    rustix::param::page_size()
}

/// Starts (`wait` false) or finishes (`wait` true) the writing of a range of a file's dirty pages. This alone makes
/// nothing durable: a sync of any range of the file must follow.
///
/// # Errors
/// What `sync_file_range(2)` answers.
pub(super) fn sync_file_range(file: impl AsFd, offset: u64, len: u64, wait: bool) -> io::Result<()> {
    let flags = if wait {
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER
    } else {
        libc::SYNC_FILE_RANGE_WRITE
    };
    // SAFETY: a system call on an open descriptor, with no memory of ours.
    let answer = unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), offset as i64, len as i64, flags) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct flock` of a range, which is not empty. Descriptions of open files have their locks, so there is no process in it.
fn flock_of(lock: Lock, bytes: &Range<u64>) -> libc::flock {
    let kind = match lock {
        Lock::Shared => libc::F_RDLCK,
        Lock::Exclusive => libc::F_WRLCK,
        Lock::Unlocked => libc::F_UNLCK,
    };
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: bytes.start as libc::off_t,
        l_len: (bytes.end - bytes.start) as libc::off_t,
        l_pid: 0,
    }
}

/// Sets or removes a lock, without waiting.
///
/// # Errors
/// What `fcntl(2)` answers.
pub(super) fn lock_bytes(file: impl AsFd, lock: Lock, bytes: &Range<u64>) -> Result<(), Errno> {
    let wanted = flock_of(lock, bytes);
    // SAFETY: the call reads the structure, and the descriptor is open.
    let answer = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &raw const wanted) };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

/// The kind of a lock that excludes such a one, if there is any.
///
/// # Errors
/// What `fcntl(2)` answers.
pub(super) fn test_bytes(file: impl AsFd, lock: Lock, bytes: &Range<u64>) -> Result<Option<Lock>, Errno> {
    let mut found = flock_of(lock, bytes);
    // SAFETY: the call reads the structure and writes to it, and the descriptor is open.
    let answer = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_GETLK, &raw mut found) };
    match (answer, i32::from(found.l_type)) {
        (0, libc::F_UNLCK) => Ok(None),
        (0, libc::F_RDLCK) => Ok(Some(Lock::Shared)),
        (0, _) => Ok(Some(Lock::Exclusive)),
        _ => Err(last_error()),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// How many pages of a range of a file are in memory, and in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Cached {
    /// Pages in memory.
    pub(super) cached: u64,
    /// Those not written back yet.
    pub(super) dirty: u64,
    /// Those that are being written back.
    pub(super) writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// What `cachestat(2)` tells about `len` bytes of a file, `len` above 0.
///
/// # Errors
/// ENOSYS before Linux 6.5; EPERM where the caller could not write the file.
pub(super) fn cachestat(file: impl AsFd, offset: u64, len: u64) -> io::Result<Cached> {
    /// The same on all architectures. The libc crate does not name it.
    const SYS_CACHESTAT: libc::c_long = 451;
    let range = [offset, len];
    let mut cached = Cached::default();
    // SAFETY: the call reads two numbers and writes five, for which there is room; the descriptor is open.
    let answer = unsafe {
        libc::syscall(SYS_CACHESTAT, file.as_fd().as_raw_fd(), range.as_ptr(), &raw mut cached, 0 as libc::c_uint)
    };
    if answer == 0 { Ok(cached) } else { Err(io::Error::last_os_error()) }
}

/// Has the descriptors that were inherited, but for the first three, closed in programs that are run from now on.
///
/// # Errors
/// If there is no `/proc`.
pub fn close_on_exec() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        if let Some(number) =
            name.to_str().and_then(|name| name.parse::<libc::c_int>().ok()).filter(|&number| number > 2)
        {
            // SAFETY: the call touches no memory, and a descriptor of this number stays open; what it refuses is the one
            // that listed the folder, closed by now.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

fn install_handler() {
    static ONCE: Once = Once::new();
    // SAFETY: the handler touches nothing but the context that it is given, so it may run at any moment; the
    // action is fully initialised.
    ONCE.call_once(|| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&raw mut action.sa_mask);
        assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()), 0);
    });
}

extern "C" fn on_sigbus(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid context to an SA_SIGINFO handler. The labels are addresses of code, whose
    // contents are never read here.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let (begin, end) = (&raw const blocks::afbfs_copy_begin as usize, &raw const blocks::afbfs_copy_end as usize);
        let landing = &raw const blocks::afbfs_copy_landing as usize;
        #[cfg(target_arch = "x86_64")]
        {
            let at = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
            if (begin..end).contains(&(*at as usize)) {
                *at = landing as i64;
                return;
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let at = &mut context.uc_mcontext.pc;
            if (begin..end).contains(&(*at as usize)) {
                *at = landing as u64;
                return;
            }
        }
        // Not ours: the default action takes it, when the faulting instruction runs again (or, for a signal that
        // somebody sent, at once).
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
        libc::raise(libc::SIGBUS);
    }
}

#[cfg(test)]
mod tests;
