//! Files that other machines write, too, on a file system that they share.
//!
//! Nothing of such a file is mapped: the client of a network file system writes mapped pages back as wholes, and with them
//! bytes that nobody here has written. What `pwrite(2)` writes, FUSE sends byte for byte (unless its server asks for a write-back cache),
//! and so do file systems that keep pages apart by locks of their own (Lustre, GPFS, OCFS2). NFS extends it to the whole page where that is in
//! memory; there files are opened for direct I/O, which takes any offset and length on NFS. On FUSE it may not: GlusterFS hands it on to disks that
//! want whole blocks, and tells so only when the bytes are lost.
//!
//! Where there is a page cache it is dropped whenever a view is opened, and the file is opened anew, which is when file systems look
//! whether what they have is still true.

use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Advice, AtFlags, Mode, OFlags, Stat, StatxFlags};
use rustix::io::{Errno, Result, retry_on_intr};

use super::copy::read_exact;
use super::{File, Files, sys};
use crate::runs::Run;

/// Blocks that are no further apart are read at once: so many bytes cross a network in the time that a request takes.
const GAP: u64 = 32 << 10;
/// Bytes that are read at once for the sake of several blocks, at most.
const SPAN: u64 = 1 << 20;

thread_local! {
    /// What is read at once.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Who may share a range of bytes that is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Others who lock it so.
    Shared,
    /// Nobody.
    Exclusive,
    /// Everybody: it is not locked any more.
    Unlocked,
}

/// The same file, opened anew, whatever its name is by now.
pub(super) fn open_again(file: &OwnedFd, flags: OFlags) -> Result<OwnedFd> {
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    retry_on_intr(|| rustix::fs::open(name.as_str(), flags, Mode::empty()))
}

/// The same file, opened for direct I/O, if that takes any offset.
pub(super) fn open_directly(file: &OwnedFd) -> Option<OwnedFd> {
    let opened = open_again(file, OFlags::RDONLY | OFlags::DIRECT).ok()?;
    let mut bytes = [0; 2];
    let read = retry_on_intr(|| rustix::io::pread(&opened, &mut bytes[1..], 1));
    (read == Ok(1)).then_some(opened)
}

/// What `fstat(2)` says, asked of whoever keeps the file, and not of what is remembered here.
///
/// # Errors
/// What `fstat(2)` answers.
pub fn stat_anew(file: impl AsFd) -> Result<Stat> {
    // File systems that know no such thing have no old attributes.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    let _ = rustix::fs::statx(&file, "", flags, StatxFlags::BASIC_STATS);
    rustix::fs::fstat(file)
}

impl File {
    /// Whether other machines write it, too.
    pub(super) fn is_remote(&self) -> bool {
        self.store.limits.remote
    }

    /// Sees to it that what others have closed or synced is read from now on.
    pub fn refresh(&self) {
        if !self.is_remote() {
            return;
        }
        // Opening is when file systems look whether what they remember still holds. Where it fails, reading will say so.
        drop(open_again(&self.readable, OFlags::RDONLY));
        let _ = stat_anew(&self.readable);
        if !self.is_direct {
            let _ = rustix::fs::fadvise(&self.readable, 0, None, Advice::DontNeed);
        }
    }

    /// A descriptor to which locks belong that are taken through it: for writing, where that is allowed.
    ///
    /// # Errors
    /// What `open(2)` answers.
    pub fn open_for_locks(&self) -> Result<OwnedFd> {
        open_again(&self.readable, OFlags::RDWR).or_else(|_| open_again(&self.readable, OFlags::RDONLY))
    }

    /// Gathers a run with few reads, of what lies between the blocks as well.
    pub(super) fn gather_spans(&self, run: &Run, target: &mut [u8]) -> Result<()> {
        let length = run.length as usize;
        let (mut first, blocks) = (0, run.blocks());
        while first < blocks {
            let (span, next) = span_of(run, first);
            let part = &mut target[first as usize * length..next as usize * length];
            if next == first + 1 {
                read_exact(self.fd(), part, span.start)?;
            } else {
                BUFFER.with_borrow_mut(|buffer| {
                    buffer.resize((span.end - span.start) as usize, 0);
                    read_exact(self.fd(), buffer, span.start)?;
                    for (number, block) in (first..next).zip(part.chunks_exact_mut(length)) {
                        let at = (run.block(number) - span.start) as usize;
                        block.copy_from_slice(&buffer[at..at + length]);
                    }
                    Ok(())
                })?;
            }
            first = next;
        }
        Ok(())
    }
}

/// The bytes that are read at once from a block on, and the first block that is not among them.
fn span_of(run: &Run, first: u64) -> (Range<u64>, u64) {
    let reach = |number: u64| run.block(number)..run.block(number) + run.length;
    let (mut span, mut next) = (reach(first), first + 1);
    while next < run.blocks() {
        let block = reach(next);
        let apart = block.start.saturating_sub(span.end).max(span.start.saturating_sub(block.end));
        let joined = span.start.min(block.start)..span.end.max(block.end);
        if apart > GAP || joined.end - joined.start > SPAN {
            break;
        }
        (span, next) = (joined, next + 1);
    }
    (span, next)
}

impl Files {
    /// As [`File::refresh`], of all files.
    pub fn refresh(&self) {
        match self {
            Files::One(file) => file.refresh(),
            Files::Many(pieces) => pieces.refresh(),
        }
    }

    /// Has others see what was written: those who open the file from now on.
    ///
    /// # Errors
    /// As [`File::sync_all`].
    pub fn publish(&self) -> Result<()> {
        match self {
            Files::One(file) if file.is_dirty() => file.sync_all(),
            Files::One(_) => Ok(()),
            Files::Many(pieces) => pieces.sync(),
        }
    }
}

/// Locks a range of bytes for an open file, or unlocks it. Nobody waits.
///
/// # Errors
/// EAGAIN where somebody else's lock excludes it; EBADF where the descriptor is not open for that; ENOLCK.
pub fn lock_bytes(file: impl AsFd, lock: Lock, bytes: &Range<u64>) -> Result<()> {
    match retry_on_intr(|| sys::lock_bytes(&file, lock, bytes)) {
        // As POSIX has it, either of the two.
        Err(Errno::ACCESS) => Err(Errno::AGAIN),
        answer => answer,
    }
}

/// A lock that excludes one of these bytes, if there is any.
///
/// # Errors
/// What `fcntl(2)` answers.
pub fn test_bytes(file: impl AsFd, lock: Lock, bytes: &Range<u64>) -> Result<Option<Lock>> {
    retry_on_intr(|| sys::test_bytes(&file, lock, bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::File as Plain;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn blocks_are_read_at_once_where_little_lies_between_them() {
        let spans = |run: &Run| {
            let (mut spans, mut first) = (Vec::new(), 0);
            while first < run.blocks() {
                let (span, next) = span_of(run, first);
                spans.push((span, next - first));
                first = next;
            }
            spans
        };
        assert_eq!(spans(&Run::line(Some(0), 100, 8, 24, 5)), [(100..204, 5)]);
        assert_eq!(spans(&Run::line(Some(0), 1000, 8, -24, 5)), [(904..1008, 5)]);
        let wide = GAP as i64 + 9;
        let single = |k: u64| (k * wide as u64..k * wide as u64 + 8, 1);
        assert_eq!(spans(&Run::line(Some(0), 0, 8, wide, 3)), [single(0), single(1), single(2)]);
        // No longer than what is read at once.
        let long = spans(&Run::line(Some(0), 0, 8, 4096, 1000));
        assert!(long.len() > 3 && long.iter().all(|(span, _)| span.end - span.start <= SPAN));
        assert_eq!(long.iter().map(|(_, count)| count).sum::<u64>(), 1000);
    }

    #[test]
    fn locks_exclude_each_other_by_bytes_and_by_descriptor() {
        let plain = tempfile::tempfile().unwrap();
        plain.write_all_at(&[0; 100], 0).unwrap();
        let name = format!("/proc/self/fd/{}", plain.as_raw_fd());
        let open = || Plain::options().read(true).write(true).open(&name).unwrap();
        let (one, two) = (open(), open());
        lock_bytes(&one, Lock::Exclusive, &(10..20)).unwrap();
        assert_eq!(lock_bytes(&two, Lock::Shared, &(19..30)), Err(Errno::AGAIN));
        assert_eq!(test_bytes(&two, Lock::Shared, &(0..100)), Ok(Some(Lock::Exclusive)));
        assert_eq!(test_bytes(&one, Lock::Shared, &(0..100)), Ok(None));
        lock_bytes(&two, Lock::Exclusive, &(20..30)).unwrap();
        lock_bytes(&one, Lock::Unlocked, &(10..15)).unwrap();
        lock_bytes(&two, Lock::Shared, &(0..15)).unwrap();
        assert_eq!(test_bytes(&one, Lock::Exclusive, &(0..15)), Ok(Some(Lock::Shared)));
        drop(two);
        lock_bytes(&one, Lock::Exclusive, &(0..100)).unwrap();
    }
}
