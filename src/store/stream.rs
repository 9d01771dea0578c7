//! Reading ahead of a program that reads one window after the other.
//!
//! The mapping is advised to be read at random, so that the kernel brings no page that nobody asked for; what a window
//! needs is asked for explicitly. Of a reader that goes on where it stopped, a few windows more are asked for, so that
//! the disk works while the last one is copied (cold, this made streaming about three times as fast). Nobody else pays:
//! a window that is in memory is left at that, unless the ones before it had to be read.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{File, sys};

/// Bytes that are asked for beyond the window.
pub(super) const AHEAD: u64 = 4 << 20;

/// What one handle has read, as far as it shows what it will read next.
#[derive(Debug)]
pub struct Stream {
    /// Where the last window ended; at first, nowhere.
    next: AtomicU64,
    /// Up to where bytes of the view were asked for.
    asked: AtomicU64,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream { next: AtomicU64::new(u64::MAX), asked: AtomicU64::new(0) }
    }
}

impl Stream {
    /// Notes a window, and tells whether it begins where the last one ended.
    pub(super) fn follow(&self, window: &Range<u64>) -> bool {
        self.next.swap(window.end, Ordering::Relaxed) == window.start
    }

    /// Asks for the pages of a contiguous window, if they are not all in memory, and for those behind it, of which there
    /// are `room` bytes: none, unless the reader goes on. `bytes` is the window's place in the mapping.
    pub(super) fn prefetch(&self, file: &File, map: &sys::Map, bytes: Range<usize>, room: u64, window: &Range<u64>) {
        let asked = self.asked.load(Ordering::Relaxed);
        let is_cold = bytes.len() > sys::page_size() && !map.is_resident(bytes.start, bytes.len());
        let goes_on = room > 0 && asked > window.start && asked < window.end + room / 2;
        if !is_cold && !goes_on {
            return;
        }
        let start = if is_cold { bytes.start } else { bytes.start + (asked - window.start) as usize };
        let end = (bytes.end + room as usize).min(map.len());
        if start < end {
            file.store.counters.prefetches.fetch_add(1, Ordering::Relaxed);
            file.want(map, start, end - start);
            self.asked.store(window.end + room, Ordering::Relaxed);
        }
    }
}
