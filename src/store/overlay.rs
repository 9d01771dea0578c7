//! Writing beside a file instead of into it.
//!
//! A file of a store with a [`Shelf`] is never written. Its changed pages lie in another file, at the same offsets, and a set says which
//! these are ([`Pages`]). Before the first write to a page the rest of it is copied from the array file; a page of which all is
//! written is not. What reads a run of bytes cuts it where pages of the one file and the other meet.
//!
//! Who may do what at the same time:
//!
//! 1. Writes share the layer's gate, and whoever drops pages has it alone, so that no write goes to a page that is dropped.
//! 2. First writes of pages exclude each other, and a page counts as changed only when all of its bytes are there.
//! 3. Reads hold a look at the pages until they are done, and whoever drops pages waits for them.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};

use rustix::fs::{OFlags, Timestamps};
use rustix::io::{Errno, Result};

use super::copy::{read_exact, write_exact};
use super::{File, lock};
use crate::runs::Run;

mod pages;
mod record;
mod shelf;

pub(super) use pages::Look;
pub use pages::{PAGE, Pages};
pub use record::{Mark, Record};
pub use shelf::{Layer, Shelf};

use pages::pages_of;

/// Bytes that are copied at once.
const COPY: u64 = 1 << 20;

/// What a file is covered by.
#[derive(Debug)]
pub(super) struct Cover {
    shelf: Arc<Shelf>,
    layer: OnceLock<Arc<Layer>>,
    data: OnceLock<Arc<File>>,
}

/// The changed pages of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlay<'a> {
    layer: &'a Layer,
    data: &'a Arc<File>,
    shelf: &'a Shelf,
}

type Written = std::result::Result<(), (usize, Errno)>;

impl Cover {
    pub(super) fn new(shelf: &Arc<Shelf>, id: super::FileId) -> Cover {
        let layer = shelf.find_opened(id).map(OnceLock::from).unwrap_or_default();
        Cover { shelf: shelf.clone(), layer, data: OnceLock::new() }
    }
}

impl File {
    /// Whether what is written to it goes to an overlay.
    pub fn is_covered(&self) -> bool {
        self.cover.is_some()
    }

    /// Whether pages of it are in an overlay.
    pub fn is_changed(&self) -> bool {
        let layer = self.cover.as_ref().and_then(|cover| cover.layer.get());
        layer.is_some_and(|layer| !layer.pages.is_empty())
    }

    /// Sets its times.
    ///
    /// # Errors
    /// What `utimensat(2)` answers.
    pub fn set_times(&self, times: &Timestamps) -> Result<()> {
        if self.is_covered() {
            return self.set_overlay_times(times);
        }
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.readable));
        rustix::fs::utimensat(rustix::fs::CWD, path, times, rustix::fs::AtFlags::empty())
    }

    /// Sees to it that it can be written.
    ///
    /// # Errors
    /// As [`File::writable`]; of one that is covered, none.
    pub(super) fn check_writable(&self) -> Result<()> {
        if self.is_covered() { Ok(()) } else { self.writable().map(|_| ()) }
    }

    /// Its overlay, if it has one, ready for a file of so many bytes.
    pub(super) fn overlay(&self, file_len: u64) -> Result<Option<Overlay<'_>>> {
        let Some(cover) = &self.cover else { return Ok(None) };
        let Some(layer) = cover.layer.get() else { return Ok(None) };
        let data = match cover.data.get() {
            Some(data) => data,
            None => {
                let opened = self.store.plain_file(cover.shelf.open_data(layer.number, OFlags::RDONLY)?)?;
                cover.data.get_or_init(|| opened)
            }
        };
        let overlay = Overlay { layer, data, shelf: &cover.shelf };
        overlay.grow(self, file_len)?;
        Ok(Some(overlay))
    }

    /// The same, and one is made if there is none.
    pub(super) fn overlay_to_write(&self, file_len: u64) -> Result<Overlay<'_>> {
        let cover = self.cover.as_ref().ok_or(Errno::INVAL)?;
        if cover.layer.get().is_none() {
            let made = cover.shelf.make(self.id, self.fd())?;
            let _ = cover.layer.set(made);
        }
        self.overlay(file_len)?.ok_or(Errno::IO)
    }

    /// Makes what was written to its overlay durable, where overlays are kept.
    pub(super) fn save_overlay(&self) -> Result<()> {
        let Some(cover) = &self.cover else { return Ok(()) };
        self.dirty.store(false, Ordering::Release);
        if let Some(data) = cover.data.get() {
            // Synced with its map, or not at all.
            data.dirty.store(false, Ordering::Release);
        }
        match cover.layer.get() {
            Some(layer) if cover.shelf.is_kept() => cover.shelf.save(layer).inspect_err(|_| {
                self.dirty.store(true, Ordering::Release);
            }),
            _ => Ok(()),
        }
    }

    /// Sets the times of a covered file: those of its overlay, which are shown from now on.
    pub(super) fn set_overlay_times(&self, times: &Timestamps) -> Result<()> {
        let overlay = self.overlay_to_write(self.len()?)?;
        rustix::fs::futimens(overlay.data.writable()?, times)?;
        overlay.layer.is_touched.store(true, Ordering::Release);
        Ok(())
    }
}

impl Overlay<'_> {
    /// A look at the pages, and the file in which all of a range of bytes lies; nothing where it lies in both.
    pub(super) fn look(&self, file: &Arc<File>, bytes: &Range<u64>) -> (Look<'_>, Option<Arc<File>>) {
        let look = self.layer.pages.look();
        let pages = pages_of(bytes);
        let (is_changed, end) = look.run(pages.start, pages.end);
        let found = (end == pages.end).then(|| if is_changed { self.data.clone() } else { file.clone() });
        (look, found)
    }

    pub(super) fn gather(&self, file: &Arc<File>, run: &Run, target: &mut [u8]) -> Result<()> {
        let look = self.layer.pages.look();
        split(&look, run, |part, at, is_changed| {
            let target = &mut target[at..at + part.bytes() as usize];
            if is_changed { self.data.gather_own(part, target) } else { file.gather_own(part, target) }
        })
    }

    /// Writes a run of a file of so many bytes. What fails tells how much was written, at least.
    pub(super) fn scatter(&self, file: &Arc<File>, run: &Run, file_len: u64, data: &[u8]) -> Written {
        if run.reach().end > file_len {
            file.store.fault();
            return self.scatter_within(file, run, file_len, data);
        }
        let _open = self.layer.gate.read().unwrap_or_else(PoisonError::into_inner);
        if self.layer.is_committing.load(Ordering::Acquire) {
            touched(run, |bytes| self.layer.since.add(pages_of(&bytes)));
        }
        let own = |data_len: u64| {
            let written = self.data.scatter_own(run, data_len, data);
            self.layer.is_written.store(true, Ordering::Release);
            written
        };
        let data_len = self.data.len().map_err(|error| (0, error))?;
        if self.unchanged(run).is_empty() {
            return own(data_len);
        }
        let _first = lock(&self.layer.first);
        let fresh = self.unchanged(run);
        let whole = whole_pages(run, file_len);
        self.prepare(file, &fresh, &whole, file_len).map_err(|error| (0, error))?;
        let written = own(data_len);
        // Of the pages that were not copied, those that are complete.
        let reached = run.offset + written.map_or_else(|(done, _)| done as u64, |()| run.bytes());
        let complete = if written.is_ok() { whole.end } else { (reached / PAGE).clamp(whole.start, whole.end) };
        for pages in &fresh {
            for part in [pages.start..complete.min(pages.end), whole.end.max(pages.start)..pages.end] {
                self.layer.pages.add(part);
            }
        }
        written.map_err(|(done, error)| {
            let lost = reached.saturating_sub(complete * PAGE);
            (if reached < whole.end * PAGE { done - lost.min(done as u64) as usize } else { done }, error)
        })
    }

    /// Writes what lies within the file of a run that goes beyond it.
    fn scatter_within(&self, file: &Arc<File>, run: &Run, file_len: u64, data: &[u8]) -> Written {
        let mut done = 0;
        for block in 0..run.blocks() {
            let offset = run.block(block);
            let there = file_len.saturating_sub(offset).min(run.length);
            if there > 0 {
                let part = Run::line(run.piece, offset, there, there as i64, 1);
                self.scatter(file, &part, file_len, &data[done..done + there as usize])
                    .map_err(|(more, error)| (done + more, error))?;
                done += there as usize;
            }
            if there < run.length {
                return Err((done, Errno::IO));
            }
        }
        Ok(())
    }

    /// Copies pages that are about to be written for the first time, but for those of which all is written.
    fn prepare(&self, file: &File, fresh: &[Range<u64>], whole: &Range<u64>, file_len: u64) -> Result<()> {
        if self.layer.pages.is_empty() {
            self.shelf.note_first(self.layer, file.fd())?;
        }
        for pages in fresh {
            for part in [pages.start..whole.start.min(pages.end), whole.end.max(pages.start)..pages.end] {
                if !part.is_empty() {
                    self.copy(file, part.start * PAGE..(part.end * PAGE).min(file_len))?;
                }
            }
        }
        Ok(())
    }

    fn copy(&self, file: &File, bytes: Range<u64>) -> Result<()> {
        let mut buffer = vec![0; (bytes.end - bytes.start).min(COPY) as usize];
        let mut at = bytes.start;
        while at < bytes.end {
            let part = &mut buffer[..(bytes.end - at).min(COPY) as usize];
            read_exact(file.fd(), part, at)?;
            write_exact(self.data.writable()?, part, at, &mut 0)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// The array file may have grown since: of its last page, if that was changed, the rest is copied.
    fn grow(&self, file: &File, file_len: u64) -> Result<()> {
        if self.layer.end.load(Ordering::Acquire) >= file_len {
            return Ok(());
        }
        let _first = lock(&self.layer.first);
        let end = self.data.len()?;
        if end < file_len {
            let rest = end..end.next_multiple_of(PAGE).min(file_len);
            if !rest.is_empty() && self.layer.pages.look().run(end / PAGE, end / PAGE + 1).0 {
                self.copy(file, rest)?;
            }
            rustix::fs::ftruncate(self.data.writable()?, file_len)?;
        }
        self.layer.end.store(file_len.max(end), Ordering::Release);
        Ok(())
    }

    /// The pages of a run that were not changed yet, in order.
    fn unchanged(&self, run: &Run) -> Vec<Range<u64>> {
        let look = self.layer.pages.look();
        let all = pages_of(&run.reach());
        if look.run(all.start, all.end) == (true, all.end) {
            return Vec::new();
        }
        let mut found: Vec<Range<u64>> = Vec::new();
        touched(run, |bytes| {
            let pages = pages_of(&bytes);
            let mut at = pages.start;
            while at < pages.end {
                let (is_changed, end) = look.run(at, pages.end);
                match found.last_mut() {
                    _ if is_changed => {}
                    Some(last) if at >= last.start && at <= last.end => last.end = last.end.max(end),
                    _ => found.push(at..end),
                }
                at = end;
            }
        });
        // Of a run that goes backwards, or whose rows lie between each other.
        found.sort_unstable_by_key(|pages| pages.start);
        found.dedup_by(|next, last| {
            let joins = next.start <= last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        found
    }
}

/// Calls `each` with the bytes of a run, block by block, or row by row where a row touches every page that it goes over.
fn touched(run: &Run, mut each: impl FnMut(Range<u64>)) {
    for row in 0..run.rows {
        let row = run.row(row);
        if row.stride.unsigned_abs() <= PAGE {
            each(row.reach());
            continue;
        }
        for block in 0..row.count {
            each(row.block(block)..row.block(block) + row.length);
        }
    }
}

/// The pages of which a run of one block writes all bytes.
fn whole_pages(run: &Run, file_len: u64) -> Range<u64> {
    let (start, end) = (run.offset.div_ceil(PAGE), run.offset + run.length);
    // Nothing follows in the last page of the file.
    let end = if end >= file_len { end.div_ceil(PAGE) } else { end / PAGE };
    if run.blocks() == 1 && start < end { start..end } else { start..start }
}

/// Calls `each` for the parts of a run, none of which lies in changed pages and others, with their place in the run's bytes and whether
/// they lie in changed ones.
fn split(look: &Look<'_>, run: &Run, mut each: impl FnMut(&Run, usize, bool) -> Result<()>) -> Result<()> {
    let all = pages_of(&run.reach());
    let (is_changed, end) = look.run(all.start, all.end);
    if end == all.end {
        return each(run, 0, is_changed);
    }
    let mut alike: Option<(u64, bool)> = None;
    for block in 0..=run.blocks() {
        let bytes = run.block(block)..run.block(block).wrapping_add(run.length);
        let is_last = block == run.blocks();
        let pages = if is_last { 0..0 } else { pages_of(&bytes) };
        let (is_changed, end) = look.run(pages.start, pages.end);
        let is_cut = end < pages.end;
        if let Some((first, before)) =
            alike.take_if(|(_, before)| is_last || is_cut || *before != is_changed || block % run.count == 0)
        {
            let (offset, count) = (run.block(first), block - first);
            let part = Run { offset, count, rows: 1, pitch: 0, ..*run };
            each(&part, (first * run.length) as usize, before)?;
        }
        if is_last {
            break;
        }
        if !is_cut {
            alike.get_or_insert((block, is_changed));
            continue;
        }
        let mut at = bytes.start;
        while at < bytes.end {
            let (is_changed, end) = look.run(at / PAGE, pages.end);
            let cut = (end * PAGE).min(bytes.end);
            let part = Run::line(run.piece, at, cut - at, (cut - at) as i64, 1);
            each(&part, (block * run.length + (at - bytes.start)) as usize, is_changed)?;
            at = cut;
        }
    }
    Ok(())
}
