//! Making writes durable: one view's, or a whole file's.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::{Errno, Result};

use super::{File, Files, sys};
use crate::runs::View;

/// So many ranges are synced one by one. Each such call is a commit of the file system's journal.
const FEW: usize = 8;

/// Makes the bytes of a window of a view durable, and does not write the rest of the file for it. `extent` are the bytes
/// among which the view lies, if it lies in one file. Of an array in many files all are synced that were written.
///
/// A window in few pieces is synced piece by piece. One in many (a column) has the writing of its pages started
/// for all of them, then waited for, and is then committed by syncing the first of them: that writes the file
/// system's journal and flushes the disk. One that touches most pages of its extent is synced as that extent.
///
/// # Errors
/// What `msync(2)` answers. The error then sticks to the file.
pub fn sync(files: &Files, view: &View, window: Range<u64>, extent: Range<u64>) -> Result<()> {
    let file = match files {
        Files::One(file) => file,
        Files::Many(pieces) => return pieces.sync(),
    };
    if file.is_covered() || file.is_remote() {
        return file.sync_all();
    }
    let mine = || {
        let runs = view.runs(window.clone());
        Ranges { runs, current: None, pending: None }.map(|(_, range)| range)
    };
    let most = (extent.end - extent.start) / sys::page_size() as u64 / 2;
    let outcome = if mine().nth(FEW).is_none() {
        mine().try_for_each(|range| file.sync_range(range))
    } else if usize::try_from(most).is_ok_and(|most| mine().nth(most).is_some()) {
        file.sync_range(extent.clone())
    } else {
        file.sync_many(mine)
    };
    outcome.inspect_err(|&error| file.record_error(error))
}

impl File {
    /// Makes everything durable that was written to the file.
    ///
    /// # Errors
    /// What `fdatasync(2)` answers. The error then sticks to the file.
    pub fn sync_all(&self) -> Result<()> {
        if self.is_covered() {
            return self.save_overlay().inspect_err(|&error| self.record_error(error));
        }
        if self.writable.get().is_none() {
            return Ok(());
        }
        self.dirty.store(false, Ordering::Release);
        rustix::fs::fdatasync(self.synced()).inspect_err(|&error| {
            self.dirty.store(true, Ordering::Release);
            self.record_error(error);
        })
    }

    /// The descriptor through which everything is synced. The kernel tells each descriptor of a write error once; told through
    /// two, it would count as two.
    fn synced(&self) -> BorrowedFd<'_> {
        self.writable.get().map_or(self.fd(), AsFd::as_fd)
    }

    fn sync_range(self: &Arc<File>, range: Range<u64>) -> Result<()> {
        // A mapping is synced through the descriptor that it was made of.
        let is_written = self.writable.get().is_some();
        let mut offset = range.start;
        while offset < range.end {
            let mapped = match self.try_map(offset, range.end, is_written) {
                // The file may have lost the permission since it was opened.
                Err(Errno::PERM | Errno::ACCESS) if is_written => None,
                mapped => mapped?,
            };
            let Some((map, start)) = mapped else { return rustix::fs::fdatasync(self.synced()) };
            let end = range.end.min(start + map.len() as u64);
            if end <= offset {
                return Err(Errno::IO);
            }
            map.sync((offset - start) as usize, (end - offset) as usize)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            offset = end;
        }
        Ok(())
    }

    fn sync_many<I: Iterator<Item = Range<u64>>>(self: &Arc<File>, ranges: impl Fn() -> I) -> Result<()> {
        let fd = self.synced();
        for wait in [false, true] {
            for range in ranges() {
                let answer = sys::sync_file_range(fd, range.start, range.end - range.start, wait);
                if let Err(error) = answer {
                    let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                    // A file system that knows no such call syncs the file as a whole.
                    if matches!(error, Errno::NOSYS | Errno::SPIPE | Errno::INVAL | Errno::OPNOTSUPP) {
                        return rustix::fs::fdatasync(fd);
                    }
                    return Err(error);
                }
            }
        }
        ranges().next().map_or(Ok(()), |range| self.sync_range(range))
    }
}

/// How many bytes of a file wait in memory to be written to its disk, or are on their way.
///
/// # Errors
/// ENOSYS before Linux 6.5; EPERM where the caller could not write the file.
pub fn unwritten(file: &std::fs::File) -> std::io::Result<u64> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(0);
    }
    let pages = sys::cachestat(file, 0, len)?;
    Ok((pages.dirty + pages.writeback) * sys::page_size() as u64)
}

/// The pages of a view, as ranges of bytes of its files; neighbours that touch are one.
struct Ranges<'a> {
    runs: crate::runs::Runs<'a>,
    /// A run, and how many of its blocks are done.
    current: Option<(crate::runs::Run, u64)>,
    pending: Option<(u64, Range<u64>)>,
}

impl Ranges<'_> {
    /// The next block's pages, not yet joined with their neighbours.
    fn next_block(&mut self) -> Option<(u64, Range<u64>)> {
        let page = sys::page_size() as u64;
        loop {
            let Some((run, done)) = &mut self.current else {
                let run = self.runs.next()?;
                self.current = Some((run, 0));
                continue;
            };
            let Some(piece) = run.piece.filter(|_| *done < run.blocks()) else {
                self.current = None;
                continue;
            };
            let (low, high) = if run.stride.unsigned_abs() <= page {
                let reach = run.row(*done / run.count).reach();
                *done += run.count;
                (reach.start, reach.end)
            } else {
                let offset = run.block(*done);
                *done += 1;
                (offset, offset + run.length)
            };
            return Some((piece, low / page * page..high.next_multiple_of(page)));
        }
    }
}

impl Iterator for Ranges<'_> {
    type Item = (u64, Range<u64>);

    fn next(&mut self) -> Option<(u64, Range<u64>)> {
        let (piece, mut range) = self.pending.take().or_else(|| self.next_block())?;
        loop {
            match self.next_block() {
                Some((same, next)) if same == piece && next.start <= range.end && next.end >= range.start => {
                    range = range.start.min(next.start)..range.end.max(next.end);
                }
                other => {
                    self.pending = other;
                    return Some((piece, range));
                }
            }
        }
    }
}
