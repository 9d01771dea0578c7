//! Copies between views and buffers.

use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::{Errno, Result, retry_on_intr};

use super::crew::{FEW, gather_rest};
use super::fetch::Watch;
use super::files::{Files, Used};
use super::stream::{AHEAD, Stream};
use super::{File, share, sys, tile};
use crate::runs::{Run, View};

/// What fails tells how many bytes were written before, at least.
type Written = std::result::Result<(), (usize, Errno)>;

/// So many bytes of a file that is not mapped are read and not mapped.
const FEW_BYTES: u64 = 512;

thread_local! {
    /// Where strided windows are gathered: one buffer for each thread, kept for the next request.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Hands the bytes of a window of a view to `sink`: straight from the mapping where they are contiguous,
/// gathered once into a buffer of the thread where not. `files` are the pieces of the array, `fill` is an element
/// for pieces that do not exist (zeros where it is empty), `stream` what the handle read before. The sink must leave looking at the
/// bytes to the kernel, which answers EFAULT where a mapping faults.
///
/// # Errors
/// EIO for bytes past the end of a file, or that cannot be read. The sink is not called then.
pub fn read<R>(
    files: &Files,
    fill: &[u8],
    view: &View,
    window: Range<u64>,
    stream: &Stream,
    sink: impl FnOnce(&[u8]) -> R,
) -> Result<R> {
    let is_next = stream.follow(&window);
    if let Some((piece, bytes)) = view.contiguous(window.clone())
        && let Some((file, file_len)) = Used::of(files).get(piece)?
    {
        if bytes.end > file_len {
            file.store.fault();
            return Err(Errno::IO);
        }
        let overlay = file.overlay(file_len)?;
        // Held until the bytes are handed over.
        let (_look, file) = match &overlay {
            Some(overlay) => {
                let (look, file) = overlay.look(file, &bytes);
                (Some(look), file)
            }
            None => (None, Some(file.clone())),
        };
        if let Some(file) = &file
            && let Some((map, start)) = file.map_for_reading(&bytes)?
        {
            let (offset, len) = ((bytes.start - start) as usize, (bytes.end - bytes.start) as usize);
            let rest = window.start..window.end.saturating_add(AHEAD).min(view.len());
            let room = if is_next { view.contiguous(rest).map_or(0, |(_, rest)| rest.end - bytes.end) } else { 0 };
            stream.prefetch(file, &map, offset..offset + len, room, &window);
            file.store.counters.borrowed.fetch_add(1, Ordering::Relaxed);
            return Ok(sink(map.borrow(offset, len)));
        }
    }
    read_copied(files, fill, view, window, sink)
}

/// As [`read`], but the bytes are always in a buffer, so that `sink` may look at them: a mapping may fault.
///
/// # Errors
/// As [`read`].
pub fn read_copied<R>(
    files: &Files,
    fill: &[u8],
    view: &View,
    window: Range<u64>,
    sink: impl FnOnce(&[u8]) -> R,
) -> Result<R> {
    let len = (window.end.min(view.len()).saturating_sub(window.start)) as usize;
    if len == 0 {
        return Ok(sink(&[]));
    }
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
pub fn gather(files: &Files, fill: &[u8], view: &View, window: Range<u64>, buffer: &mut [u8]) -> Result<()> {
    let mut used = Used::of(files);
    let done = gather_part(view, fill, window.clone(), buffer, &mut used, FEW)?;
    if done < buffer.len() && used.met() >= FEW {
        drop(used);
        let rest = window.start + done as u64..window.end;
        gather_rest(files, fill, view, rest, &mut buffer[done..], done)?;
    }
    if let Some(file) = files.one() {
        file.store.counters.gathered.fetch_add(1, Ordering::Relaxed);
        file.store.counters.bytes_gathered.fetch_add(done as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Copies the front of a window, up to the run before which so many files were met, and gives the number of bytes.
pub(super) fn gather_part(
    view: &View,
    fill: &[u8],
    window: Range<u64>,
    buffer: &mut [u8],
    used: &mut Used<'_>,
    most: usize,
) -> Result<usize> {
    let mut watch = Watch::new(used.files(), view, &window);
    let mut done = 0;
    for run in view.runs(window) {
        if used.met() >= most {
            break;
        }
        let target = &mut buffer[done..done + run.bytes() as usize];
        done += target.len();
        let there = match run.piece {
            Some(piece) => used.get(piece)?,
            None => None,
        };
        let Some((file, len)) = there else {
            fill_with(target, fill, &run);
            continue;
        };
        let mut target = target;
        watch.each(file, &run, |part| {
            let (now, later) = std::mem::take(&mut target).split_at_mut(part.bytes() as usize);
            target = later;
            file.gather_run(part, len, now)
        })?;
    }
    Ok(done)
}

/// Copies `data` into a view from byte `at` on, and returns how many bytes were written: all, or those before the
/// place where it failed. A write to pieces that do not exist is EROFS.
///
/// # Errors
/// If not even one byte could be written: ENOSPC, EIO, what `pwrite(2)` answers.
pub fn write(files: &Files, view: &View, at: u64, data: &[u8]) -> Result<usize> {
    let mut used = Used::of(files);
    let mut done = 0;
    for run in view.runs(at..at + data.len() as u64) {
        let bytes = run.bytes() as usize;
        let outcome = match run.piece {
            None => Err((0, Errno::ROFS)),
            Some(piece) => match used.get_or_create(piece) {
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

/// Blocks of the fill element: of all of it, or of a field's part of it, which every block shows anew. In a file that does
/// not exist the elements follow each other from its first byte on.
fn fill_with(target: &mut [u8], fill: &[u8], run: &Run) {
    if fill.is_empty() {
        target.fill(0);
        return;
    }
    for (k, block) in target.chunks_exact_mut(run.length as usize).enumerate() {
        let phase = (run.block(k as u64) % fill.len() as u64) as usize;
        block.iter_mut().zip(fill.iter().cycle().skip(phase)).for_each(|(byte, &value)| *byte = value);
    }
}

impl File {
    /// The mapping in which a range of bytes lies as a whole, and the byte at which it starts. Nothing where there is none, or
    /// where reading should leave it alone: see `in_memory`.
    pub(super) fn map_for_reading(self: &Arc<File>, bytes: &Range<u64>) -> Result<Option<(Arc<sys::Map>, u64)>> {
        let Some((map, start)) = self.try_map(bytes.start, bytes.end, false)? else { return Ok(None) };
        let (offset, len) = ((bytes.start - start) as usize, (bytes.end - bytes.start) as usize);
        if bytes.end - start > map.len() as u64 || (self.in_memory && !map.is_resident(offset, len)) {
            return Ok(None);
        }
        Ok(Some((map, start)))
    }

    pub(super) fn gather_run(self: &Arc<File>, run: &Run, file_len: u64, target: &mut [u8]) -> Result<()> {
        if run.reach().end > file_len {
            self.store.fault();
            return Err(Errno::IO);
        }
        match self.overlay(file_len)? {
            Some(overlay) => overlay.gather(self, run, target),
            None => self.gather_own(run, target),
        }
    }

    /// Copies a run of this very file, whatever covers it.
    pub(super) fn gather_own(self: &Arc<File>, run: &Run, target: &mut [u8]) -> Result<()> {
        // A mapping costs more than a few bytes of a file of which no more may be wanted.
        if run.blocks() == 1 && run.length <= FEW_BYTES && share(&self.windows).is_empty() {
            return read_exact(self.fd(), target, run.offset);
        }
        let reach = run.reach();
        if let Some((map, start)) = self.map_for_reading(&reach)? {
            let run = Run { offset: run.offset - start, ..*run };
            let pitch = (run.count * run.length) as usize;
            if tile::each(&run, |part, place| map.gather(&mut target[place], pitch, part)).is_ok() {
                return Ok(());
            }
            self.store.fault();
        }
        if run.rows > 1 {
            let rows = target.chunks_exact_mut((run.count * run.length) as usize);
            return (0..).zip(rows).try_for_each(|(row, target)| self.gather_own(&run.row(row), target));
        }
        // Block by block: where windows of the file meet, and where a mapping faults, to learn whether reading does, too.
        self.each_part(run, |part, at| {
            let target = &mut target[at..at + part.length as usize];
            if let Some((map, start)) = self.map_for_reading(&part.reach())?
                && map.gather(target, target.len(), &Run { offset: part.offset - start, ..part }).is_ok()
            {
                return Ok(());
            }
            read_exact(self.fd(), target, part.offset)
        })
    }

    pub(super) fn scatter_run(self: &Arc<File>, run: &Run, file_len: u64, data: &[u8]) -> Written {
        self.dirty.store(true, Ordering::Release);
        if self.is_covered() {
            let overlay = self.overlay_to_write(file_len).map_err(|error| (0, error))?;
            return overlay.scatter(self, run, file_len, data);
        }
        self.scatter_own(run, file_len, data)
    }

    /// Writes a run of this very file.
    pub(super) fn scatter_own(self: &Arc<File>, run: &Run, file_len: u64, data: &[u8]) -> Written {
        let Range { start: low, end: high } = run.reach();
        self.dirty.store(true, Ordering::Release);
        // Bytes past the end are no part of the file: storing them would lose them, writing would make it grow.
        if high <= file_len
            && let Some((map, start)) = self.try_map(low, high, true).map_err(|error| (0, error))?
            && high - start <= map.len() as u64
        {
            if is_overwriting_cold_pages(&map, run, start) {
                match self.write_rest(run, data, 0) {
                    // More than this process may write (RLIMIT_FSIZE), though not more than it may store.
                    Err((0, Errno::FBIG)) => {}
                    outcome => return outcome,
                }
            }
            let mapped = Run { offset: run.offset - start, ..*run };
            let pitch = (run.count * run.length) as usize;
            self.store.counters.bytes_scattered.fetch_add(data.len() as u64, Ordering::Relaxed);
            return tile::each(&mapped, |part, place| {
                // Of a run in tiles nothing counts as done: what is written twice is the same.
                let is_all = place.len() == data.len();
                map.scatter(&data[place], pitch, part).map_err(|fault| if is_all { fault.done } else { 0 })
            })
            .or_else(|done| {
                self.store.fault();
                self.write_rest(run, data, done)
            });
        }
        self.write_rest(run, data, 0)
    }

    /// Writes what a mapping did not take, from byte `done` of the run on, with `pwrite(2)`.
    fn write_rest(self: &Arc<File>, run: &Run, data: &[u8], done: usize) -> Written {
        let mut written = done;
        let outcome = self.each_part(run, |part, at| {
            let end = at + part.length as usize;
            if end <= done {
                return Ok(());
            }
            let skip = done.saturating_sub(at);
            let (data, offset) = (&data[at + skip..end], part.offset + skip as u64);
            let there = self.len()?.saturating_sub(offset).min(data.len() as u64) as usize;
            write_exact(self.writable()?, &data[..there], offset, &mut written)?;
            if there < data.len() {
                self.store.fault();
                return Err(Errno::IO);
            }
            Ok(())
        });
        outcome.map_err(|error| (written, error))
    }

    /// Calls `each` for the blocks of a run, cut where windows of the file meet, with their place in the run's bytes.
    fn each_part(&self, run: &Run, mut each: impl FnMut(Run, usize) -> Result<()>) -> Result<()> {
        let window = self.store.window();
        let mut at = 0;
        for block in 0..run.blocks() {
            let mut offset = run.block(block);
            let end = offset + run.length;
            while offset < end {
                let cut = (offset / window + 1).saturating_mul(window).min(end);
                let length = cut - offset;
                each(Run::line(run.piece, offset, length, length as i64, 1), at)?;
                at += length as usize;
                offset = cut;
            }
        }
        Ok(())
    }
}

/// A store into a page that is not in memory reads it from the disk first, even where all of it is overwritten;
/// `pwrite(2)` of whole pages does not.
fn is_overwriting_cold_pages(map: &sys::Map, run: &Run, start: u64) -> bool {
    let page = sys::page_size() as u64;
    let whole = run.offset.next_multiple_of(page)..(run.offset + run.length) / page * page;
    run.blocks() == 1
        && whole.start < whole.end
        && !map.is_resident((whole.start - start) as usize, (whole.end - whole.start) as usize)
}

pub(super) fn read_exact(fd: BorrowedFd<'_>, mut target: &mut [u8], mut offset: u64) -> Result<()> {
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

/// Counts in `written` what was written, be it all or not.
pub(super) fn write_exact(fd: BorrowedFd<'_>, mut data: &[u8], mut offset: u64, written: &mut usize) -> Result<()> {
    while !data.is_empty() {
        let count = retry_on_intr(|| rustix::io::pwrite(fd, data, offset))?;
        if count == 0 {
            return Err(Errno::NOSPC);
        }
        *written += count;
        offset += count as u64;
        data = &data[count..];
    }
    Ok(())
}
