//! Storing converted elements: those that differ from what reading gives, all of them or none.

use std::ops::Range;

use rustix::io::Errno;

use super::elements::{Bytes, Elements};
use crate::convert::Conversion;
use crate::runs::View;
use crate::store;

type Result<T> = std::result::Result<T, Errno>;

/// What storing converted elements takes.
pub(super) struct Context<'a> {
    pub(super) elements: &'a Elements,
    pub(super) view: &'a View,
    pub(super) bytes: Bytes<'a>,
    pub(super) store: &'a dyn Fn(u64, &[u8]) -> Result<usize>,
}

impl Context<'_> {
    /// Stores shown elements, by the number of the first of each stretch: all, or none if one does not fit.
    pub(super) fn put(&self, conversion: &Conversion, stretches: Vec<(u64, Vec<u8>)>) -> Result<()> {
        let mut ready = Vec::with_capacity(stretches.len());
        for (first, shown) in stretches {
            let stored = self.changed(first, &shown, |now| conversion.write(&shown, now).map_err(|_| Errno::RANGE))?;
            ready.push(stored);
        }
        ready.iter().try_for_each(|changes| self.put_changes(changes))
    }

    /// Stores an element of which a part was written: the other part is as it is.
    pub(super) fn complete(&self, conversion: &Conversion, number: u64, parts: &[Option<u8>]) -> Result<()> {
        let mut element = vec![0; self.elements.shown as usize];
        self.elements.fetch(self.view, self.bytes, number..number + 1, &mut element)?;
        element.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part.unwrap_or(*byte));
        self.put(conversion, vec![(number, element)])
    }

    /// The stored bytes of as many elements as are shown, after a change.
    pub(super) fn changed(
        &self,
        first: u64,
        shown: &[u8],
        change: impl FnOnce(&mut [u8]) -> Result<Vec<Range<usize>>>,
    ) -> Result<Changes> {
        let count = shown.len() as u64 / self.elements.shown.max(1);
        let start = first * self.elements.stored;
        let mut stored = vec![0; (count * self.elements.stored) as usize];
        store::gather(self.bytes.files, self.bytes.fill, self.view, start..start + stored.len() as u64, &mut stored)?;
        let ranges = change(&mut stored)?;
        Ok(Changes { start, stored, ranges })
    }

    /// Stores what changed.
    pub(super) fn put_changes(&self, changes: &Changes) -> Result<()> {
        for range in &changes.ranges {
            let mut at = range.start;
            while at < range.end {
                let count = (self.store)(changes.start + at as u64, &changes.stored[at..range.end])?;
                if count == 0 {
                    return Err(Errno::IO);
                }
                at += count;
            }
        }
        Ok(())
    }
}

/// Stored elements, and which bytes of them are to be written.
#[derive(Debug)]
pub(super) struct Changes {
    /// Byte of the view at which they begin.
    start: u64,
    stored: Vec<u8>,
    ranges: Vec<Range<usize>>,
}
