//! The only unsafe code: copies that survive a fault, and the system calls that no safe crate wraps.
//!
//! A load or store in a mapping faults with SIGBUS where the file was truncated, where the disk fails, and
//! where a hole cannot be filled because the disk is full. The copy loops below are written in assembly,
//! with labels around them, so that the signal handler can tell a fault in them from any other: it then moves
//! the instruction pointer to a landing pad behind the loops, which returns how much is left to copy. (gVisor's
//! `pkg/safecopy` works this way.) A SIGBUS anywhere else ends the process, as it should.
//!
//! The loops never split an aligned element of up to 8 bytes on the side of the mapping, so that it cannot
//! tear; and being assembly they carry no assumption that nobody else writes to the memory they read.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Once;

use memmap2::{MmapOptions, MmapRaw};

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(include_str!("copy_aarch64.s"));
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(include_str!("copy_x86_64.s"), options(att_syntax));

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_endian = "little")))]
compile_error!("afbfs supports Linux on little-endian x86-64 and aarch64");

// Each returns how much was left when a fault stopped it: bytes, or elements of the strided loops.
unsafe extern "C" {
    fn afbfs_copy_aligned_source(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn afbfs_copy_aligned_target(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn afbfs_copy_strided_1(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_2(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_4(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_8(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize) -> usize;
    fn afbfs_copy_strided_16(dst: *mut u8, dst_stride: isize, src: *const u8, src_stride: isize, count: usize)
    -> usize;
    static afbfs_copy_begin: u8;
    static afbfs_copy_end: u8;
    static afbfs_copy_landing: u8;
}

/// How much of a copy was done when the mapping faulted: at least so much, and less than 32 bytes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes that were copied before the fault.
    pub(super) done: usize,
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

    /// Copies blocks of the mapping into `buffer`, one after the other: `count` blocks of `length` bytes, the first at
    /// `offset`, each `stride` bytes after the one before. The buffer holds just as many bytes.
    ///
    /// # Errors
    /// Where the mapping faults.
    pub(super) fn gather(
        &self,
        buffer: &mut [u8],
        offset: usize,
        length: usize,
        stride: i64,
        count: usize,
    ) -> Result<(), Fault> {
        self.check_blocks(buffer.len(), offset, length, stride, count);
        let (dst, step) = (buffer.as_mut_ptr(), length as isize);
        // SAFETY: the blocks are inside the mapping, and the buffer holds `length * count` bytes.
        let left = unsafe {
            let src = self.raw.as_ptr().add(offset);
            copy_blocks(dst, step, src, stride as isize, length, count, afbfs_copy_aligned_source)
        };
        if left == 0 { Ok(()) } else { Err(Fault { done: buffer.len() - left }) }
    }

    /// The reverse of [`Map::gather`]: copies `data` into blocks of the mapping.
    ///
    /// # Errors
    /// Where the mapping faults; what lies before is written.
    pub(super) fn scatter(
        &self,
        data: &[u8],
        offset: usize,
        length: usize,
        stride: i64,
        count: usize,
    ) -> Result<(), Fault> {
        assert!(self.writable);
        self.check_blocks(data.len(), offset, length, stride, count);
        let (src, step) = (data.as_ptr(), length as isize);
        // SAFETY: the blocks are inside the mapping, which is writable, and `data` holds `length * count` bytes. No
        // reference to the mapping's bytes is held by code that would mind the change (see `borrow`).
        let left = unsafe {
            let dst = self.raw.as_mut_ptr().add(offset);
            copy_blocks(dst, stride as isize, src, step, length, count, afbfs_copy_aligned_target)
        };
        if left == 0 { Ok(()) } else { Err(Fault { done: data.len() - left }) }
    }

    /// Checks that the blocks lie inside the mapping and hold so many bytes.
    fn check_blocks(&self, bytes: usize, offset: usize, length: usize, stride: i64, count: usize) {
        assert_eq!(Some(bytes), length.checked_mul(count));
        let last = offset as i128 + i128::from(stride) * (count.max(1) as i128 - 1);
        let (low, high) = (last.min(offset as i128), last.max(offset as i128) + length as i128);
        assert!(low >= 0 && high <= self.len() as i128, "blocks outside of the mapping");
    }

    /// Makes the stores to a range of bytes durable.
    ///
    /// # Errors
    /// What `msync(2)` answers: the error of a write that failed earlier, too.
    pub(super) fn sync(&self, offset: usize, len: usize) -> io::Result<()> {
        self.raw.flush_range(offset, len)
    }

    /// Asks for a range of pages to be read, without waiting for them.
    ///
    /// # Errors
    /// What `madvise(2)` answers.
    pub(super) fn will_need(&self, offset: usize, len: usize) -> io::Result<()> {
        let end = (offset + len).min(self.len());
        let start = offset / page_size() * page_size();
        self.raw.advise_range(memmap2::Advice::WillNeed, start, end.saturating_sub(start))
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

type Plain = unsafe extern "C" fn(*mut u8, *const u8, usize) -> usize;
type Strided = unsafe extern "C" fn(*mut u8, isize, *const u8, isize, usize) -> usize;

/// Copies blocks, and returns how many bytes were left at a fault.
///
/// # Safety
/// All blocks of both sides must lie in memory that is mapped; `plain` must be one of the copy loops above.
unsafe fn copy_blocks(
    mut dst: *mut u8,
    dst_stride: isize,
    mut src: *const u8,
    src_stride: isize,
    length: usize,
    count: usize,
    plain: Plain,
) -> usize {
    let by_size: Option<Strided> = match length {
        _ if count < 2 => None,
        1 => Some(afbfs_copy_strided_1),
        2 => Some(afbfs_copy_strided_2),
        4 => Some(afbfs_copy_strided_4),
        8 => Some(afbfs_copy_strided_8),
        16 => Some(afbfs_copy_strided_16),
        _ => None,
    };
    if let Some(copy) = by_size {
        // SAFETY: the caller vouches for all blocks.
        return unsafe { copy(dst, dst_stride, src, src_stride, count) } * length;
    }
    for done in 0..count {
        // SAFETY: the caller vouches for all blocks.
        let left = unsafe { plain(dst, src, length) };
        if left > 0 {
            return left + (count - done - 1) * length;
        }
        dst = dst.wrapping_offset(dst_stride);
        src = src.wrapping_offset(src_stride);
    }
    0
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

/// How many pages of a range of a file are in memory, and in which state.
#[cfg(test)]
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
#[cfg(test)]
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
        let (begin, end) = (&raw const afbfs_copy_begin as usize, &raw const afbfs_copy_end as usize);
        let landing = &raw const afbfs_copy_landing as usize;
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
