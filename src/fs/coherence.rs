//! Which inodes have pages in the kernel's cache.
//!
//! Programs' own reads pass the page cache by, but mappings and `sendfile(2)` go through it. The kernel fills its
//! pages with reads that carry no lock owner; each such read marks the inode, and a write to the same bytes of
//! the array file, through whatever view, finds the marks and has those pages dropped before it is answered.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::catalog::lock;
use crate::store::FileId;

/// The marks, by array file.
#[derive(Debug, Default)]
pub(super) struct Coherence {
    /// Number of marks, so that writes need not lock where there are none.
    marks: AtomicUsize,
    files: Mutex<HashMap<FileId, HashMap<u64, Range<u64>>>>,
}

impl Coherence {
    /// Notes that the kernel is about to cache pages of an inode that shows bytes in `extent` of a file.
    pub(super) fn mark(&self, file: FileId, inode: u64, extent: Range<u64>) {
        let mut files = lock(&self.files);
        if files.entry(file).or_default().insert(inode, extent).is_none() {
            self.marks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Takes the marks of inodes that may show bytes in `extent` of a file, but leaves that of `kept`.
    pub(super) fn overlapping(&self, file: FileId, extent: &Range<u64>, kept: Option<u64>) -> Vec<u64> {
        if self.marks.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut files = lock(&self.files);
        let Some(inodes) = files.get_mut(&file) else { return Vec::new() };
        let overlaps = |inode: &u64, other: &mut Range<u64>| {
            Some(*inode) != kept && other.start < extent.end && extent.start < other.end
        };
        let found: Vec<u64> = inodes.extract_if(overlaps).map(|(inode, _)| inode).collect();
        if inodes.is_empty() {
            files.remove(&file);
        }
        self.marks.fetch_sub(found.len(), Ordering::SeqCst);
        found
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
