//! Reading and writing through handles.

use std::ops::Range;
use std::sync::atomic::Ordering;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::handles::Handle;
use super::open::{OpenFile, Shared};
use super::{Fs, count};
use crate::catalog::Validity;
use crate::runs::View;
use crate::store::{self, File, lock};

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A program's own read or write.
    Direct,
    /// The kernel's page cache: it fills pages, or writes dirty ones back.
    PageCache,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes written.
    pub count: usize,
    /// Inodes whose pages in the kernel's cache are stale by it.
    pub stale: Vec<u64>,
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
            Handle::Text(text) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let end = start.saturating_add(size).min(text.len());
                count(&self.counters.read_bytes, (end - start) as u64);
                Ok(sink(&text[start..end]))
            }
            Handle::File(file) => {
                // Marked before the bytes are read: whoever writes them afterwards finds the mark.
                if source == Source::PageCache {
                    self.coherence.mark(file.files[0].id(), file.inode, file.extent.clone(), file.stamp);
                }
                let window = clip(offset, size, file.view.len());
                count(&self.counters.read_bytes, window.end - window.start);
                store::read(&file.files, &[], &file.view, window, sink)
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
        let file = writer(&handle)?;
        let window = clip(offset, data.len(), file.view.len());
        if data.is_empty() {
            return Ok(Written { count: 0, stale: Vec::new() });
        }
        if window.is_empty() {
            return Err(Errno::NOSPC);
        }
        self.catalog.revalidate(&file.tree.description, &file.files[0], &file.validity)?;
        if source == Source::Direct {
            fill_gap(&file.shared, &file.view, offset)?;
        }
        let data = &data[..(window.end - window.start) as usize];
        let written = store::write(&file.files, &file.view, offset, data)?;
        count(&self.counters.written_bytes, written as u64);
        if let Some(end) = lock(&file.shared.written_end).as_mut() {
            *end = (*end).max(offset + written as u64);
        }
        self.note_write(file, offset..offset + written as u64)?;
        // A page that is written back is no news to its own inode.
        let own = (source == Source::PageCache).then_some(file.inode);
        let stale = self.coherence.overlapping(file.files[0].id(), &file.extent, own);
        Ok(Written { count: written, stale })
    }

    /// Whether the kernel may have pages of other inodes that show bytes of the handle's view.
    pub fn is_cached_elsewhere(&self, handle: u64) -> bool {
        match self.handles.get(handle).as_deref() {
            Ok(Handle::File(file)) => self.coherence.has_others(file.files[0].id(), file.inode, &file.extent),
            _ => false,
        }
    }

    /// Takes the marks of those inodes: their pages are to be dropped.
    pub fn cached_elsewhere(&self, handle: u64) -> Vec<u64> {
        match self.handles.get(handle).as_deref() {
            Ok(Handle::File(file)) => self.coherence.overlapping(file.files[0].id(), &file.extent, Some(file.inode)),
            _ => Vec::new(),
        }
    }

    /// What every write brings along: the time of the first, and durability where it was asked for.
    fn note_write(&self, file: &OpenFile, window: Range<u64>) -> Result<(), Errno> {
        file.unflushed.store(true, Ordering::Release);
        if !file.touched.swap(true, Ordering::AcqRel)
            && let Err(error) = file.files[0].touch()
        {
            log::debug!("{}: setting the time: {error}", self.catalog.path_of(&file.tree.description.origin).display());
        }
        if file.access.sync { store::sync(&file.files, &file.view, window, file.extent.clone()) } else { Ok(()) }
    }

    /// Truncates a file within its fixed size, or extends what was truncated. Gives the inodes whose cached pages are
    /// stale by it.
    ///
    /// # Errors
    /// EFBIG beyond the fixed size; EPERM for files that are not written.
    pub(super) fn truncate(&self, inode: u64, handle: Option<u64>, size: u64) -> Result<Vec<u64>, Errno> {
        let super::Node::Leaf(tree, leaf) = self.node(inode)? else { return Err(Errno::PERM) };
        if matches!(leaf, super::Leaf::Fact(_)) {
            return Err(Errno::PERM);
        }
        if size > tree.len_of(&leaf) {
            return Err(Errno::FBIG);
        }
        let mut stale = Vec::new();
        if let Some(number) = handle {
            let handle = self.handles.get(number)?;
            let file = writer(&handle)?;
            if lock(&file.shared.written_end).is_some_and(|end| end < size) {
                self.catalog.revalidate(&file.tree.description, &file.files[0], &file.validity)?;
                fill_gap(&file.shared, &file.view, size)?;
                self.note_write(file, 0..size)?;
                stale = self.coherence.overlapping(file.files[0].id(), &file.extent, None);
            }
            *lock(&file.shared.written_end) = Some(size);
        } else if let Some(shared) = self.inodes.written(inode) {
            // Opening with O_TRUNC arrives so, after the open. With no writer there is nothing to remember.
            if lock(&shared.written_end).is_some_and(|end| end < size) {
                self.catalog.revalidate(&tree.description, &shared.file, &Validity::default())?;
                fill_gap(&shared, &tree.view(&leaf), size)?;
                shared.file.touch()?;
            }
            *lock(&shared.written_end) = Some(size);
            stale = self.coherence.overlapping(shared.file.id(), &(0..u64::MAX), None);
        }
        Ok(stale)
    }

    /// What closing a descriptor asks for: the time moves if something was written, and a write error is told.
    ///
    /// # Errors
    /// The last write error of the file that this handle has not told yet.
    pub fn flush(&self, handle: u64) -> Result<(), Errno> {
        let handle = self.handles.get(handle)?;
        let Handle::File(file) = &*handle else { return Ok(()) };
        if file.unflushed.swap(false, Ordering::AcqRel)
            && let Err(error) = file.files[0].touch()
        {
            log::debug!("{}: setting the time: {error}", self.catalog.path_of(&file.tree.description.origin).display());
        }
        sticky_error(file)
    }

    /// Makes at least the view's bytes durable, and does not write the rest of the file for it.
    ///
    /// # Errors
    /// EIO, ENOSPC: what writing back met, now or since this handle last heard of it.
    pub fn fsync(&self, handle: u64) -> Result<(), Errno> {
        count(&self.counters.syncs, 1);
        let handle = self.handles.get(handle)?;
        let Handle::File(file) = &*handle else { return Ok(()) };
        let synced = store::sync(&file.files, &file.view, 0..file.view.len(), file.extent.clone());
        sticky_error(file)?;
        synced
    }

    /// Writes back everything, as unmounting does.
    pub fn sync_all(&self) {
        for handle in self.handles.all() {
            if let Handle::File(file) = &*handle {
                file.files.iter().for_each(|file| self.sync_file(file));
            }
        }
        for file in self.catalog.remembered_files() {
            self.sync_file(&file);
        }
    }

    fn sync_file(&self, file: &File) {
        if file.is_dirty()
            && let Err(error) = file.sync_all()
        {
            log::error!("device {} inode {}: writing back failed: {error}", file.id().device, file.id().inode);
        }
    }

    /// Finds data or a hole from `offset` on: as the array file has it where the view is one piece of it, and
    /// otherwise all is data.
    ///
    /// # Errors
    /// ENXIO past the end.
    pub fn seek(&self, handle: u64, offset: u64, hole: bool) -> Result<u64, Errno> {
        let handle = self.handles.get(handle)?;
        let len = match &*handle {
            Handle::Text(text) => text.len() as u64,
            Handle::File(file) => file.view.len(),
            Handle::Folder(_) => return Err(Errno::INVAL),
        };
        if offset >= len {
            return Err(Errno::NXIO);
        }
        if let Handle::File(file) = &*handle
            && let Some((_, bytes)) = file.view.contiguous(0..len)
        {
            let at = bytes.start + offset;
            // A descriptor of its own would be cleaner, but no read of ours uses the position.
            let whence = if hole { SeekFrom::Hole(at) } else { SeekFrom::Data(at) };
            return match rustix::fs::seek(file.files[0].fd(), whence) {
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
        if offset.saturating_add(len) > file.view.len() { Err(Errno::FBIG) } else { Ok(()) }
    }

    /// Copies bytes from one file to another without a detour through the program.
    ///
    /// # Errors
    /// As reading and writing, if not even one byte was copied.
    pub fn copy(&self, from: u64, from_offset: u64, to: u64, to_offset: u64, len: u64) -> Result<Written, Errno> {
        let mut total = Written { count: 0, stale: Vec::new() };
        while (total.count as u64) < len {
            let done = total.count as u64;
            let size = (len - done).min(1 << 20) as usize;
            let outcome = self
                .read(from, from_offset + done, size, Source::Direct, <[u8]>::to_vec)
                .and_then(|bytes| self.write(to, to_offset + done, &bytes, Source::Direct));
            match outcome {
                Ok(written) if written.count == 0 => break,
                Ok(written) => {
                    total.count += written.count;
                    total.stale.extend(written.stale);
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(total)
    }
}

/// After a truncation, a write or an extension beyond the written end fills the gap with zeros.
fn fill_gap(shared: &Shared, view: &View, until: u64) -> Result<(), Errno> {
    let mut end = lock(&shared.written_end);
    let Some(end) = end.as_mut() else { return Ok(()) };
    while *end < until {
        let len = (until - *end).min(ZEROS.len() as u64) as usize;
        *end += store::write(std::slice::from_ref(&shared.file), view, *end, &ZEROS[..len])? as u64;
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
        Handle::File(_) | Handle::Text(_) => Err(Errno::BADF),
        Handle::Folder(_) => Err(Errno::ISDIR),
    }
}

/// Tells the file's last write error to a handle that has not heard of it.
fn sticky_error(file: &OpenFile) -> Result<(), Errno> {
    for array_file in &file.files {
        let mark = array_file.error_mark();
        if file.error_seen.swap(mark, Ordering::AcqRel) != mark {
            return Err(File::error_of(mark));
        }
    }
    Ok(())
}
