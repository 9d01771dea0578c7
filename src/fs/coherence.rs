//! Which inodes have pages in the kernel's cache.
//!
//! Programs' own reads pass the page cache by, but mappings and `sendfile(2)` go through it. The kernel fills its
//! pages with reads that carry no lock owner; each such read marks the inode, and a write to the same bytes of
//! the array file, through whatever view, finds the marks and has those pages dropped before it is answered.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::catalog::Stamp;
use crate::store::{FileId, lock};

/// The marks, by array file.
#[derive(Debug, Default)]
pub(super) struct Coherence {
    /// Number of marks, so that writes need not lock where there are none.
    marks: AtomicUsize,
    files: Mutex<HashMap<FileId, HashMap<u64, Mark>>>,
}

/// That pages of an inode may be cached.
#[derive(Debug)]
struct Mark {
    /// The bytes of the array file among which the inode's lie.
    extent: Range<u64>,
    /// The array file's state at or before the time when they were read.
    stamp: Stamp,
}

impl Mark {
    fn overlaps(&self, extent: &Range<u64>) -> bool {
        self.extent.start < extent.end && extent.start < self.extent.end
    }
}

impl Coherence {
    /// Notes that the kernel is about to cache pages of an inode that shows bytes in `extent` of a file.
    pub(super) fn mark(&self, file: FileId, inode: u64, extent: Range<u64>, stamp: Stamp) {
        let mut files = lock(&self.files);
        if files.entry(file).or_default().insert(inode, Mark { extent, stamp }).is_none() {
            self.marks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether an inode other than `own` may show bytes in `extent` of a file.
    pub(super) fn has_others(&self, file: FileId, own: u64, extent: &Range<u64>) -> bool {
        if self.marks.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let files = lock(&self.files);
        let inodes = files.get(&file).into_iter().flatten();
        inodes.into_iter().any(|(inode, mark)| *inode != own && mark.overlaps(extent))
    }

    /// Takes the marks of inodes that may show bytes in `extent` of a file, but for `except`.
    pub(super) fn overlapping(&self, file: FileId, extent: &Range<u64>, except: Option<u64>) -> Vec<u64> {
        if self.marks.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut files = lock(&self.files);
        let Some(inodes) = files.get_mut(&file) else { return Vec::new() };
        let overlaps = |inode: &u64, mark: &mut Mark| except != Some(*inode) && mark.overlaps(extent);
        let found: Vec<u64> = inodes.extract_if(overlaps).map(|(inode, _)| inode).collect();
        if inodes.is_empty() {
            files.remove(&file);
        }
        self.marks.fetch_sub(found.len(), Ordering::SeqCst);
        found
    }

    /// Whether pages of an inode may be cached, and were all read when the array file was just as it is now.
    pub(super) fn is_cached_since(&self, inode: u64, now: &Stamp) -> bool {
        let files = lock(&self.files);
        files.get(&now.id).and_then(|inodes| inodes.get(&inode)).is_some_and(|mark| mark.stamp == *now)
    }

    /// Drops the mark of an inode that the kernel has forgotten.
    pub(super) fn forget(&self, inode: u64) {
        if self.marks.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut files = lock(&self.files);
        let mut removed = 0;
        files.retain(|_, inodes| {
            removed += usize::from(inodes.remove(&inode).is_some());
            !inodes.is_empty()
        });
        self.marks.fetch_sub(removed, Ordering::SeqCst);
    }
}
