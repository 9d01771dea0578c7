//! Which inodes have pages in the kernel's cache.
//!
//! Programs' own reads pass the page cache by, but mappings and `sendfile(2)` go through it. The kernel fills its
//! pages with reads that carry no lock owner; each such read marks the inode. A write to the same bytes of the array
//! file, through whatever view, is done only when there is no mark: first the pages are dropped, which makes the kernel
//! write dirty ones back, then their marks are removed, then it is tried again.
//!
//! Fills and writes of one array file exclude each other ([`File::fills`] and [`File::writes`]), so no page is filled with
//! old bytes between the look at the marks and the write. A mark goes only when the pages of the fill that made it have
//! been dropped: a later fill makes it a new one.
//!
//! [`File::fills`]: crate::store::File::fills
//! [`File::writes`]: crate::store::File::writes

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::{FileId, lock};

/// The marks, by array file.
#[derive(Debug, Default)]
pub(super) struct Coherence {
    /// Number of marks, so that writes need not lock where there are none.
    marks: AtomicUsize,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    fills: u64,
    marks: HashMap<FileId, HashMap<u64, Mark>>,
}

/// That pages of an inode may be cached.
#[derive(Debug)]
struct Mark {
    /// The bytes of the array file among which the inode's lie.
    extent: Range<u64>,
    /// Number of the last fill.
    fill: u64,
}

/// An inode that may have pages in the kernel's cache, as of its last fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The inode whose pages are to be dropped.
    pub inode: u64,
    file: FileId,
    extent: Range<u64>,
    fill: u64,
}

impl Coherence {
    /// Whether there are no marks at all.
    pub(super) fn is_empty(&self) -> bool {
        self.marks.load(Ordering::SeqCst) == 0
    }

    /// Notes that the kernel is about to cache pages of an inode that shows bytes in `extent` of a file.
    pub(super) fn mark(&self, file: FileId, inode: u64, extent: Range<u64>) {
        let mut files = lock(&self.files);
        files.fills += 1;
        let fill = files.fills;
        if files.marks.entry(file).or_default().insert(inode, Mark { extent, fill }).is_none() {
            self.marks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The inodes that may show bytes in `extent` of a file, but for `except`.
    pub(super) fn overlapping(&self, file: FileId, extent: &Range<u64>, except: Option<u64>) -> Vec<Cached> {
        if self.is_empty() {
            return Vec::new();
        }
        let files = lock(&self.files);
        let Some(inodes) = files.marks.get(&file) else { return Vec::new() };
        let overlapping = inodes.iter().filter(|(inode, mark)| {
            except != Some(**inode) && mark.extent.start < extent.end && extent.start < mark.extent.end
        });
        let cached =
            |(&inode, mark): (&u64, &Mark)| Cached { inode, file, extent: mark.extent.clone(), fill: mark.fill };
        overlapping.map(cached).collect()
    }

    /// Notes that pages of an inode are about to be put into the kernel's cache, again or still.
    pub(super) fn mark_again(&self, Cached { inode, file, extent, .. }: &Cached) {
        self.mark(*file, *inode, extent.clone());
    }

    /// Removes the marks of inodes whose pages have been dropped, unless they were filled anew meanwhile.
    pub(super) fn dropped(&self, cached: &[Cached]) {
        let mut files = lock(&self.files);
        for Cached { inode, file, fill, .. } in cached {
            let Some(inodes) = files.marks.get_mut(file) else { continue };
            if inodes.get(inode).is_some_and(|mark| mark.fill == *fill) {
                inodes.remove(inode);
                self.marks.fetch_sub(1, Ordering::SeqCst);
            }
            if inodes.is_empty() {
                files.marks.remove(file);
            }
        }
    }

    /// Drops the mark of an inode that the kernel has forgotten.
    pub(super) fn forget(&self, inode: u64) {
        if self.is_empty() {
            return;
        }
        let mut files = lock(&self.files);
        let mut removed = 0;
        files.marks.retain(|_, inodes| {
            removed += usize::from(inodes.remove(&inode).is_some());
            !inodes.is_empty()
        });
        self.marks.fetch_sub(removed, Ordering::SeqCst);
    }
}
