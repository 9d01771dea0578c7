//! Asking for pages that are not in memory.
//!
//! The mapping is advised to be read at random: a page that is not there costs a wait for the disk of its own, and brings
//! nothing else along. So the pages that a window touches are asked for beforehand, all at once, which lets the disk work on
//! many (cold columns: about seven times as fast). Asking for pages that are there costs more than the copy, though, so that
//! it is found out first, in two steps:
//!
//! 1. A look at the first byte and the last. Who reads on, forwards or backwards, leaves what is in memory on one side of the
//!    window. Each look costs about 1 us, a fifth of what a short column takes.
//! 2. What a look at the ends misses shows in the count of major faults of the thread: it is looked at after a few pieces of a
//!    long run, then after ever more. Once it moves, the rest is asked for.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Result;

use super::{File, Files, sys};
use crate::runs::{Run, View};

/// Runs of so many blocks or fewer are not cut for a look at the faults.
const FEW: u64 = 32;
/// How many times as far each stretch of a run goes as the one before.
const GROWTH: u64 = 4;

/// What is known of the pages that a request touches.
pub(super) struct Watch {
    /// Major faults of the thread so far, or nothing where there is no need to look.
    faults: Option<u64>,
    /// Whether the pieces lie in files of their own, of which nothing is known yet.
    many: bool,
}

impl Watch {
    /// Asks for the pages of a window, if they are not in memory as far as its ends tell.
    pub(super) fn new(files: &Files, view: &View, window: &Range<u64>) -> Watch {
        let Files::One(file) = files else { return Watch { faults: None, many: true } };
        if is_cold(file, view, window) {
            file.store.counters.prefetches.fetch_add(1, Ordering::Relaxed);
            view.runs(window.clone()).for_each(|run| file.ask_for(&run));
            return Watch { faults: None, many: false };
        }
        // A look costs a third of a microsecond: nothing, for a window of more than a few pages.
        let is_long = window.end - window.start > sys::page_size() as u64;
        Watch { faults: is_long.then(sys::major_faults), many: false }
    }

    /// Calls `each` for a run, or for its parts, one after the other.
    ///
    /// # Errors
    /// The first of `each`.
    pub(super) fn each(&mut self, file: &Arc<File>, run: &Run, mut each: impl FnMut(&Run) -> Result<()>) -> Result<()> {
        if self.many && run.reach().end - run.reach().start > sys::page_size() as u64 && !file.holds(run) {
            file.store.counters.prefetches.fetch_add(1, Ordering::Relaxed);
            file.ask_for(run);
        }
        let (mut done, mut step) = (0, FEW);
        loop {
            let left = run.parts() - done;
            let Some(before) = self.faults.filter(|_| left > step) else {
                return each(&run.part(done..done + left));
            };
            each(&run.part(done..done + step))?;
            (done, step) = (done + step, step * GROWTH);
            if sys::major_faults() > before {
                file.store.counters.prefetches.fetch_add(1, Ordering::Relaxed);
                file.ask_for(&run.part(done..run.parts()));
                // What a run later in the window touches may be in memory again.
                self.faults = Some(sys::major_faults());
            }
        }
    }
}

impl File {
    /// Asks for the pages of a run, and for those between them where the gaps are small enough.
    fn ask_for(self: &Arc<File>, run: &Run) {
        let gap = self.store.limits.gap.max(sys::page_size() as u64);
        if run.rows > 1 && run.pitch.unsigned_abs() > gap {
            return (0..run.rows).for_each(|row| self.ask_for(&run.row(row)));
        }
        let Some((map, start)) = self.mapped(run) else { return };
        let reach = run.reach();
        if run.stride.unsigned_abs() <= gap {
            self.want(&map, (reach.start - start) as usize, (reach.end - reach.start) as usize);
        } else {
            let length = run.length as usize;
            (0..run.blocks()).for_each(|k| self.want(&map, (run.block(k) - start) as usize, length));
        }
    }

    /// Asks for a range of pages of a mapping. Advice that is not taken costs only time.
    pub(super) fn want(&self, map: &sys::Map, offset: usize, len: usize) {
        let page = sys::page_size();
        let pages = (offset + len).min(map.len()).div_ceil(page).saturating_sub(offset / page);
        self.store.counters.pages_asked.fetch_add(pages as u64, Ordering::Relaxed);
        let _ = map.will_need(offset, len);
    }

    /// Whether all pages between the first byte of a run and the last are in memory, where that can be told.
    fn holds(self: &Arc<File>, run: &Run) -> bool {
        let reach = run.reach();
        self.mapped(run).is_none_or(|(map, start)| {
            map.is_resident((reach.start - start) as usize, (reach.end - reach.start) as usize)
        })
    }

    /// The mapping in which a run lies, if that is one, and the byte of the file at which it starts.
    fn mapped(self: &Arc<File>, run: &Run) -> Option<(Arc<sys::Map>, u64)> {
        run.piece?;
        let reach = run.reach();
        let (map, start) = self.try_map(reach.start, reach.end, false).ok()??;
        (reach.end - start <= map.len() as u64).then_some((map, start))
    }
}

/// Looks at the pages of the first byte and the last.
fn is_cold(file: &Arc<File>, view: &View, window: &Range<u64>) -> bool {
    let last = window.end.min(view.len()).saturating_sub(1);
    [window.start, last].into_iter().any(|at| {
        let run = view.runs(at..at + 1).next();
        let found = run.and_then(|run| Some((file.mapped(&run)?, run.offset)));
        found.is_some_and(|((map, start), offset)| !map.is_resident((offset - start) as usize, 1))
    })
}
