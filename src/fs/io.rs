//! Reading and writing through handles.

use std::ops::Range;
use std::sync::atomic::Ordering;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::coherence::Cached;
use super::elements::Bytes;
use super::handles::Handle;
use super::open::{OpenFile, Shared};
use super::picture::Reading;
use super::spool::Fault;
use super::{Fs, count};
use crate::catalog::Validity;
use crate::format::Checksum;
use crate::store::{self, Errors, lock};

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A program's own read or write.
    Direct,
    /// The kernel's page cache: it fills pages, or writes dirty ones back.
    PageCache,
    /// A program's own read, of bytes that are not handed to the kernel but copied here.
    Copied,
    /// A program's own write, which was put off so often for the sake of cached pages that it is now done all the same.
    Insistent,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes written.
    pub count: usize,
    /// Inodes whose pages in the kernel's cache show some of the same bytes and are to be dropped ([`Fs::dropped`]). If
    /// there are some and nothing was written, that comes first, and then the write again.
    pub cached: Vec<Cached>,
}

impl Written {
    /// Whether nothing was written because pages are to be dropped first.
    pub fn is_put_off(&self) -> bool {
        self.count == 0 && !self.cached.is_empty()
    }
}

/// What a truncation did that the kernel's cache is to learn of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// The bytes of the file that were filled with zeros, since it had been cut off before them.
    pub zeros: Range<u64>,
    /// Inodes whose pages in the kernel's cache show some of these bytes; the file itself may be one of them.
    pub cached: Vec<Cached>,
}

/// Zeros for gaps.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl Fs {
    /// Hands bytes of a file to `sink`: `size` of them from `offset` on, or those up to the end.
    ///
    /// # Errors
    /// EIO for bytes that the array file does not have or the disk does not give.
    pub fn read<R>(
        &self,
        handle: u64,
        offset: u64,
        size: usize,
        source: Source,
        sink: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Errno> {
        count(&self.counters.reads, 1);
        match &*self.handles.get(handle)? {
            Handle::Folder(_) => Err(Errno::ISDIR),
            Handle::Text(text) | Handle::Orders(text) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let end = start.saturating_add(size).min(text.len());
                count(&self.counters.read_bytes, (end - start) as u64);
                Ok(sink(&text[start..end]))
            }
            Handle::File(file) => {
                let _turn = (source == Source::PageCache).then(|| file.shared.file.fills());
                if source == Source::PageCache {
                    self.coherence.mark(file.shared.file.id(), file.inode, file.extent.clone());
                }
                let window = clip(offset, size, file.body.len());
                // Pages may be filled long after those before them, so that nothing is remembered of these.
                let anew = (source == Source::PageCache && file.body.is_picture()).then(Reading::default);
                let reading = anew.as_ref().unwrap_or(&file.reading);
                let remembered = source == Source::PageCache && self.remembers(file);
                let lent = source != Source::Copied && !remembered;
                file.body.read(Bytes { lent, ..bytes_of(&file.shared) }, window.clone(), reading, |bytes| {
                    if remembered {
                        self.served.remember(file.inode, window.start, bytes);
                    } else if source == Source::PageCache {
                        self.served.forget_pages(file.inode, window.clone());
                    }
                    count(&self.counters.read_bytes, bytes.len() as u64);
                    file.usage.read(bytes.len());
                    sink(bytes)
                })
            }
        }
    }

    /// Writes bytes from `offset` on. What crosses the end is cut off.
    ///
    /// # Errors
    /// ENOSPC at the end or on a full disk; ESTALE where the file is laid out in another way by now; EIO.
    pub fn write(&self, handle: u64, offset: u64, data: &[u8], source: Source) -> Result<Written, Errno> {
        count(&self.counters.writes, 1);
        let handle = self.handles.get(handle)?;
        if let Handle::Orders(_) = &*handle {
            self.order(data)?;
            return Ok(Written { count: data.len(), cached: Vec::new() });
        }
        let file = writer(&handle)?;
        // Text may be longer than ours, and so may pictures.
        let end = if file.body.text().is_some() || file.body.is_picture() { u64::MAX } else { file.body.len() };
        let window = clip(offset, data.len(), end);
        if data.is_empty() {
            return Ok(Written { count: 0, cached: Vec::new() });
        }
        if window.is_empty() {
            return Err(Errno::NOSPC);
        }
        let _turn = file.shared.file.writes();
        // A page that is written back is no news to its own inode.
        let own = (source == Source::PageCache).then_some(file.inode);
        let cached = self.coherence.overlapping(file.shared.file.id(), &file.extent, own);
        if source == Source::Direct && !cached.is_empty() {
            return Ok(Written { count: 0, cached });
        }
        self.catalog.revalidate(&file.tree.description, &file.shared.file, &file.validity)?;
        let data = &data[..(window.end - window.start) as usize];
        let written = self.write_from(file, offset, data, source)?;
        count(&self.counters.written_bytes, written as u64);
        file.usage.written(written);
        self.note_write(file, offset..offset + written as u64)?;
        Ok(Written { count: written, cached })
    }

    /// Notes that the pages of inodes have been dropped.
    pub fn dropped(&self, cached: &[Cached]) {
        self.coherence.dropped(cached);
    }

    /// What every write brings along: the time of the first, and durability where it was asked for.
    fn note_write(&self, file: &OpenFile, window: Range<u64>) -> Result<(), Errno> {
        file.unflushed.store(true, Ordering::Release);
        if !file.touched.swap(true, Ordering::AcqRel)
            && let Err(error) = file.shared.file.touch()
        {
            log::debug!("{}: setting the time: {error}", self.catalog.path_of(&file.tree.description.origin).display());
        }
        match (file.access.sync, &file.tree.description.array.checksum) {
            (false, _) => Ok(()),
            (true, None) if file.body.is_plain() => {
                store::sync(&file.files, &file.body.view, window, file.extent.clone())
            }
            (true, None) => {
                let whole = 0..file.body.view.len();
                store::sync(&file.files, &file.body.view, whole, file.extent.clone())
            }
            (true, Some(_)) => file.shared.file.sync_all(),
        }
    }

    /// Truncates a file within its fixed size, or extends what was truncated.
    ///
    /// # Errors
    /// EFBIG beyond the fixed size; EPERM for files that are not written.
    pub(super) fn truncate(&self, inode: u64, handle: Option<u64>, size: u64) -> Result<Truncated, Errno> {
        let super::Node::Leaf(tree, leaf, _) = self.node(inode)? else { return Err(Errno::PERM) };
        if matches!(leaf, super::Leaf::Fact(_)) || tree.is_preview(&leaf) {
            return Err(Errno::PERM);
        }
        if let Some(shared) = self.inodes.written(inode)
            && shared.body.is_picture()
        {
            return super::picture::truncate(&shared, size).map(|()| Truncated::default());
        }
        if let Some(shared) = self.inodes.written(inode)
            && let Some(text) = shared.body.text()
        {
            return super::spool::truncate(&shared, text, size).map(|()| Truncated::default());
        }
        if size > tree.len_of(&leaf).ok_or(Errno::NOENT)? {
            return Err(Errno::FBIG);
        }
        if let Some(number) = handle {
            let handle = self.handles.get(number)?;
            let file = writer(&handle)?;
            let truncated = self.cut(&file.shared, &file.validity, file.extent.clone(), size)?;
            if !truncated.zeros.is_empty() {
                self.note_write(file, 0..size)?;
            }
            return Ok(truncated);
        }
        // Opening with O_TRUNC arrives so, after the open. With no writer there is nothing to remember.
        let Some(shared) = self.inodes.written(inode) else { return Ok(Truncated::default()) };
        let truncated = self.cut(&shared, &Validity::default(), 0..u64::MAX, size)?;
        if !truncated.zeros.is_empty() {
            shared.file.touch()?;
        }
        Ok(truncated)
    }

    /// Moves the written end to `size`. What was cut off before it is filled with zeros.
    fn cut(&self, shared: &Shared, validity: &Validity, extent: Range<u64>, size: u64) -> Result<Truncated, Errno> {
        let _turn = shared.file.writes();
        let before = *lock(&shared.written_end);
        let mut truncated = Truncated::default();
        if let Some(end) = before.filter(|&end| end < size) {
            self.catalog.revalidate(&shared.tree.description, &shared.file, validity)?;
            fill_gap(shared, size)?;
            truncated =
                Truncated { zeros: end..size, cached: self.coherence.overlapping(shared.file.id(), &extent, None) };
        }
        *lock(&shared.written_end) = Some(size);
        Ok(truncated)
    }

    /// Notes that the kernel is about to keep pages of an inode, which it may have kept before.
    pub fn keeps_again(&self, cached: &Cached) {
        self.coherence.mark_again(cached);
        self.served.forget(cached.inode);
    }

    /// What closing a descriptor asks for: what waits is stored, the time moves if something was written, and a write error is
    /// told. Gives the inodes whose cached pages are to be dropped before text can be stored, if there are some; then it is to be
    /// called again.
    ///
    /// # Errors
    /// EINVAL for text that is none, or not all of one, which is kept for more; ERANGE for a number that does not fit; the last
    /// write error of the file that this handle has not told yet.
    pub fn flush(&self, handle: u64, source: Source) -> Result<Vec<Cached>, Errno> {
        let handle = self.handles.get(handle)?;
        let Handle::File(file) = &*handle else { return Ok(Vec::new()) };
        let outcome = self.flush_file(file, source);
        if outcome.as_ref().map_or(true, Vec::is_empty) {
            self.unlock_closed(file);
        }
        outcome
    }

    fn flush_file(&self, file: &OpenFile, source: Source) -> Result<Vec<Cached>, Errno> {
        if file.access.write && !file.body.is_plain() {
            let cached = self.store_pending(file, source)?;
            if !cached.is_empty() {
                return Ok(cached);
            }
        }
        let published = self.publish(file);
        if file.unflushed.swap(false, Ordering::AcqRel)
            && let Err(error) = file.shared.file.touch()
        {
            log::debug!("{}: setting the time: {error}", self.catalog.path_of(&file.tree.description.origin).display());
        }
        sticky_error(file).and(published).map(|()| Vec::new())
    }

    /// Stores what waits to be complete: text, and elements of which a part was written.
    fn store_pending(&self, file: &OpenFile, source: Source) -> Result<Vec<Cached>, Errno> {
        self.complete(file, source).map_err(|fault| {
            log::debug!("{}: {fault}", self.catalog.path_of(&file.tree.description.origin).display());
            fault.errno()
        })
    }

    /// The same, with the reason where it is refused.
    pub(super) fn complete(&self, file: &OpenFile, source: Source) -> Result<Vec<Cached>, Fault> {
        let shared = &file.shared;
        let _turn = shared.file.writes();
        let mut pending = lock(&shared.pending);
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let cached = self.coherence.overlapping(shared.file.id(), &file.extent, None);
        if source == Source::Direct && !cached.is_empty() {
            return Ok(cached);
        }
        self.catalog.revalidate(&file.tree.description, &shared.file, &file.validity)?;
        let store = |at: u64, data: &[u8]| store_bytes(shared, at, data);
        file.body.store(&mut pending, bytes_of(shared), &store)?;
        drop(pending);
        self.note_write(file, 0..file.body.view.len())?;
        Ok(Vec::new())
    }

    /// Gives up what is not complete as the last one who writes it closes it. Gives the inodes whose cached pages are to be
    /// dropped.
    pub(super) fn give_up_pending(&self, file: &OpenFile) -> Vec<Cached> {
        if !file.access.write || !self.inodes.is_last_writer(file.inode) {
            return Vec::new();
        }
        let shared = &file.shared;
        let _turn = shared.file.writes();
        let mut pending = lock(&shared.pending);
        if pending.is_empty() {
            return Vec::new();
        }
        // What was stored to a mapping arrives only now.
        let store = |at: u64, data: &[u8]| store_bytes(shared, at, data);
        let outcome = match self.catalog.revalidate(&file.tree.description, &shared.file, &file.validity) {
            Ok(()) => file.body.store(&mut pending, bytes_of(shared), &store),
            Err(error) => Err(error.into()),
        };
        if let Err(fault) = outcome {
            log::warn!(
                "{}: what was written is given up, since it is incomplete or wrong; the array is as it was: {fault}",
                self.catalog.path_of(&file.tree.description.origin).display()
            );
        }
        self.coherence.overlapping(shared.file.id(), &file.extent, None)
    }

    /// Makes at least the view's bytes durable, and does not write the rest of the file for it. Gives the inodes whose
    /// cached pages are to be dropped before what waits can be stored, if there are some; then it is to be called again.
    ///
    /// # Errors
    /// EIO, ENOSPC: what writing back met, now or since this handle last heard of it.
    pub fn fsync(&self, handle: u64, source: Source) -> Result<Vec<Cached>, Errno> {
        count(&self.counters.syncs, 1);
        let handle = self.handles.get(handle)?;
        let Handle::File(file) = &*handle else { return Ok(Vec::new()) };
        if file.access.write && !file.body.is_plain() {
            let cached = self.store_pending(file, source)?;
            if !cached.is_empty() {
                return Ok(cached);
            }
        }
        // Of a checksum that changed with the bytes, too.
        if file.tree.description.array.checksum.is_some() && file.shared.file.is_dirty() {
            let synced = file.shared.file.sync_all();
            sticky_error(file)?;
            return synced.map(|()| Vec::new());
        }
        let view = &file.body.view;
        let synced = store::sync(&file.files, view, 0..view.len(), file.extent.clone());
        sticky_error(file)?;
        synced.map(|()| Vec::new())
    }

    /// Whether the kernel may have pages of any view.
    pub fn keeps_pages(&self) -> bool {
        !self.coherence.is_empty()
    }

    /// Finds data or a hole from `offset` on: as the array file has it where the view is one piece of it, and
    /// otherwise all is data.
    ///
    /// # Errors
    /// ENXIO past the end.
    pub fn seek(&self, handle: u64, offset: u64, hole: bool) -> Result<u64, Errno> {
        let handle = self.handles.get(handle)?;
        let len = match &*handle {
            Handle::Text(text) | Handle::Orders(text) => text.len() as u64,
            Handle::File(file) => file.body.len(),
            Handle::Folder(_) => return Err(Errno::INVAL),
        };
        if offset >= len {
            return Err(Errno::NXIO);
        }
        if let Handle::File(file) = &*handle
            && file.files.one().is_some()
            && file.body.is_plain()
            && !file.shared.file.is_changed()
            && let Some((_, bytes)) = file.body.view.contiguous(0..len)
        {
            let at = bytes.start + offset;
            // A descriptor of its own would be cleaner, but no read of ours uses the position.
            let whence = if hole { SeekFrom::Hole(at) } else { SeekFrom::Data(at) };
            return match rustix::fs::seek(file.shared.file.fd(), whence) {
                Ok(found) if found < bytes.end => Ok(found - bytes.start),
                Ok(_) | Err(Errno::NXIO) if hole => Ok(len),
                Ok(_) | Err(Errno::NXIO) => Err(Errno::NXIO),
                Err(_) => Ok(if hole { len } else { offset }),
            };
        }
        Ok(if hole { len } else { offset })
    }

    /// Allocates space: within the fixed size there is nothing to do.
    ///
    /// # Errors
    /// EFBIG beyond it; EOPNOTSUPP for anything but plain allocation.
    pub fn allocate(&self, handle: u64, offset: u64, len: u64, mode: i32) -> Result<(), Errno> {
        const KEEP_SIZE: i32 = 1;
        let handle = self.handles.get(handle)?;
        let file = writer(&handle)?;
        if mode & !KEEP_SIZE != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        if offset.saturating_add(len) > file.body.len() { Err(Errno::FBIG) } else { Ok(()) }
    }

    /// Copies bytes from one file to another without a detour through the program.
    ///
    /// # Errors
    /// As reading and writing, if not even one byte was copied.
    pub fn copy(&self, from: (u64, u64), to: (u64, u64), len: u64, source: Source) -> Result<Written, Errno> {
        let mut total = Written { count: 0, cached: Vec::new() };
        while (total.count as u64) < len {
            let done = total.count as u64;
            let size = (len - done).min(1 << 20) as usize;
            let outcome = self
                .read(from.0, from.1 + done, size, Source::Copied, <[u8]>::to_vec)
                .and_then(|bytes| self.write(to.0, to.1 + done, &bytes, source));
            match outcome {
                Ok(written) if written.is_put_off() && done == 0 => return Ok(written),
                Ok(written) if written.count == 0 => break,
                Ok(written) => {
                    total.count += written.count;
                    total.cached.extend(written.cached);
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(total)
    }
}

/// Where the bytes of an open file's array are.
fn bytes_of(shared: &Shared) -> Bytes<'_> {
    Bytes { files: &shared.files, fill: &shared.tree.description.array.fill, lent: false }
}

/// Writes bytes of a file.
pub(super) fn put(shared: &Shared, offset: u64, data: &[u8]) -> Result<usize, Errno> {
    let store = |at: u64, data: &[u8]| store_bytes(shared, at, data);
    shared.body.write(&shared.pending, bytes_of(shared), offset, data, &store)
}

/// Writes stored bytes, and keeps the checksum true that the file may hold of them.
fn store_bytes(shared: &Shared, at: u64, data: &[u8]) -> Result<usize, Errno> {
    let view = &shared.body.view;
    match &shared.tree.description.array.checksum {
        Some(Checksum { covers, fields }) => {
            store::write_summed(&shared.files, view, at, data, store::Sum { covers, fields })
        }
        None => store::write(&shared.files, view, at, data),
    }
}

/// An extension beyond the written end fills the gap with zeros.
fn fill_gap(shared: &Shared, until: u64) -> Result<(), Errno> {
    match lock(&shared.written_end).as_mut() {
        Some(end) => fill_until(end, shared, until),
        None => Ok(()),
    }
}

pub(super) fn fill_until(end: &mut u64, shared: &Shared, until: u64) -> Result<(), Errno> {
    while *end < until {
        let len = (until - *end).min(ZEROS.len() as u64) as usize;
        *end += put(shared, *end, &ZEROS[..len])? as u64;
    }
    Ok(())
}

/// The window of a view that a request asks for.
fn clip(offset: u64, size: usize, len: u64) -> Range<u64> {
    let start = offset.min(len);
    start..start.saturating_add(size as u64).min(len)
}

fn writer(handle: &Handle) -> Result<&OpenFile, Errno> {
    match handle {
        Handle::File(file) if file.access.write => Ok(file),
        Handle::File(_) | Handle::Text(_) | Handle::Orders(_) => Err(Errno::BADF),
        Handle::Folder(_) => Err(Errno::ISDIR),
    }
}

/// Tells the file's last write error to a handle that has not heard of it.
fn sticky_error(file: &OpenFile) -> Result<(), Errno> {
    let mark = file.files.error_mark();
    if file.error_seen.swap(mark, Ordering::AcqRel) != mark { Err(Errors::of_mark(mark)) } else { Ok(()) }
}
