//! What pages of the kernel's cache held when the kernel got them, so that of a page that it writes back only what a program
//! has changed is stored.
//!
//! The kernel writes whole pages back. Without this, a program that stores to one element through a mapping would also undo what
//! others have stored to the rest of the page meanwhile. Pages are remembered of files that somebody has open for writing,
//! the last [`MOST`] of them; of any other page all is stored. A page is remembered exactly if the last fill of it was: one that was
//! filled without being remembered is forgotten, lest it be compared with something older.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Mutex;

use rustix::io::Errno;

use super::Fs;
use super::io::{Source, fill_until, put};
use super::open::OpenFile;
use crate::store::lock;

/// Bytes of a page, by which fills and writes are aligned.
const PAGE: usize = 4096;

/// Number of pages that are remembered: 64 MiB.
const MOST: usize = 16_384;

/// The pages, by inode and by number.
#[derive(Debug, Default)]
pub(super) struct Served(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    pages: HashMap<u64, HashMap<u64, Box<[u8]>>>,
    /// Every page that is held, oldest first, and some that are not held any more.
    order: VecDeque<(u64, u64)>,
}

impl Held {
    fn remove(&mut self, inode: u64, number: u64) {
        if let Some(pages) = self.pages.get_mut(&inode) {
            pages.remove(&number);
            if pages.is_empty() {
                self.pages.remove(&inode);
            }
        }
    }
}

impl Served {
    /// Remembers what pages of an inode hold from now on.
    pub(super) fn remember(&self, inode: u64, offset: u64, bytes: &[u8]) {
        let mut held = lock(&self.0);
        let Held { pages: held_pages, order } = &mut *held;
        let of_inode = held_pages.entry(inode).or_default();
        for (number, page) in pages(offset, bytes) {
            if of_inode.insert(number, page.into()).is_none() {
                order.push_back((inode, number));
            }
        }
        while held.order.len() > MOST {
            if let Some((inode, number)) = held.order.pop_front() {
                held.remove(inode, number);
            }
        }
    }

    /// Forgets the pages in which a window of an inode lies.
    pub(super) fn forget_pages(&self, inode: u64, window: Range<u64>) {
        let mut held = lock(&self.0);
        if held.pages.contains_key(&inode) {
            let numbers = window.start / PAGE as u64..window.end.div_ceil(PAGE as u64);
            numbers.for_each(|number| held.remove(inode, number));
        }
    }

    /// Forgets all pages of an inode.
    pub(super) fn forget(&self, inode: u64) {
        lock(&self.0).pages.remove(&inode);
    }

    /// Whether all these pages are remembered.
    fn holds(&self, inode: u64, offset: u64, data: &[u8]) -> bool {
        let held = lock(&self.0);
        let of_inode = held.pages.get(&inode);
        let known = |(number, page): (u64, &[u8])| {
            of_inode.and_then(|pages| pages.get(&number)).is_some_and(|before| before.len() >= page.len())
        };
        offset.is_multiple_of(PAGE as u64) && pages(offset, data).all(known)
    }

    /// The parts of `data`, to be written at `offset`, that differ from what was remembered, as whole blocks of `block` bytes, a power
    /// of two up to a page.
    pub(super) fn changed(&self, inode: u64, offset: u64, data: &[u8], block: usize) -> Vec<Range<usize>> {
        let held = lock(&self.0);
        let of_inode = held.pages.get(&inode);
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut add = |run: Range<usize>| match runs.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            _ => runs.push(run),
        };
        let mut start = 0;
        for (number, page) in pages(offset, data) {
            match of_inode.and_then(|pages| pages.get(&number)).filter(|before| before.len() >= page.len()) {
                Some(before) => {
                    for (at, (new, old)) in page.chunks(block).zip(before.chunks(block)).enumerate() {
                        if new != &old[..new.len()] {
                            let at = start + at * block;
                            add(at..at + new.len());
                        }
                    }
                }
                None => add(start..start + page.len()),
            }
            start += page.len();
        }
        runs
    }
}

impl Fs {
    /// Whether it is worth remembering what the kernel fills pages of a file with.
    pub(super) fn remembers(&self, file: &OpenFile) -> bool {
        // Of a picture that is written all is stored.
        let of_parts = file.body.is_plain() || self.is_remote() && !file.body.is_picture();
        of_parts && self.inodes.written(file.inode).is_some()
    }

    /// Writes to a view. After a truncation, what lies between the written end and the write is filled with zeros; meanwhile
    /// no other write of the file goes on, lest it be overwritten.
    pub(super) fn write_from(&self, file: &OpenFile, offset: u64, data: &[u8], source: Source) -> Result<usize, Errno> {
        if source == Source::PageCache && self.is_remote() && !file.body.is_picture() {
            return self.write_changes(file, offset, data);
        }
        let mut written_end = lock(&file.shared.written_end);
        let Some(end) = written_end.as_mut() else {
            drop(written_end);
            return if source == Source::PageCache && file.body.is_plain() {
                self.write_changes(file, offset, data)
            } else {
                put(&file.shared, offset, data)
            };
        };
        if source == Source::PageCache {
            self.served.forget_pages(file.inode, offset..offset + data.len() as u64);
        } else {
            fill_until(end, &file.shared, offset)?;
        }
        let written = put(&file.shared, offset, data)?;
        *end = (*end).max(offset + written as u64);
        Ok(written)
    }

    /// Writes what has changed in pages that the kernel writes back.
    fn write_changes(&self, file: &OpenFile, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        // Elements of up to 8 bytes are written as wholes, so that they never tear.
        let block = 1 << file.tree.dtype.itemsize().trailing_zeros().min(3);
        if self.is_remote() && !self.served.holds(file.inode, offset, data) {
            log::error!(
                "{}: bytes {offset} to {} of a slice that was mapped are not stored: what the page held before is not known any \
                 more, so that others' changes would be undone; map less at a time, or use write(2)",
                self.catalog.path_of(&file.tree.description.origin).display(),
                offset + data.len() as u64,
            );
            return Err(Errno::IO);
        }
        for run in self.served.changed(file.inode, offset, data, block) {
            put(&file.shared, offset + run.start as u64, &data[run])?;
        }
        self.served.remember(file.inode, offset, data);
        Ok(data.len())
    }
}

/// The pages in which bytes lie that start with one, with their numbers. None, should they not start with one.
fn pages(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let aligned = offset.is_multiple_of(PAGE as u64);
    let first = offset / PAGE as u64;
    let whole = bytes.chunks(PAGE).enumerate().map(move |(at, page)| (first + at as u64, page));
    whole.take(if aligned { usize::MAX } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(run: Range<usize>) -> Vec<Range<usize>> {
        Vec::from([run])
    }

    #[test]
    fn only_blocks_that_differ_are_told() {
        let served = Served::default();
        let before: Vec<u8> = (0..2 * PAGE + 100).map(|at| at as u8).collect();
        served.remember(7, PAGE as u64, &before);
        assert_eq!(served.changed(7, PAGE as u64, &before, 8), []);
        let mut after = before.clone();
        for at in [0, 17, 18, 31, PAGE - 1, PAGE, 2 * PAGE + 99] {
            after[at] ^= 1;
        }
        let runs = [0..8, 16..32, PAGE - 8..PAGE + 8, 2 * PAGE + 96..2 * PAGE + 100];
        assert_eq!(served.changed(7, PAGE as u64, &after, 8), runs);
        assert_eq!(served.changed(7, PAGE as u64, &after, 1)[..3], [0..1, 17..19, 31..32]);
        // Part of it, and what is not remembered.
        assert_eq!(served.changed(7, 2 * PAGE as u64, &after[PAGE..], 8)[..1], run(0..8));
        assert_eq!(served.changed(7, 0, &before, 8)[0].start, 0);
        assert_eq!(served.changed(8, PAGE as u64, &after, 8), run(0..after.len()));
    }

    #[test]
    fn what_was_filled_unremembered_is_forgotten() {
        let served = Served::default();
        let bytes = vec![1; 3 * PAGE];
        served.remember(7, 0, &bytes);
        served.remember(9, 0, &bytes);
        served.forget_pages(7, PAGE as u64..2 * PAGE as u64);
        assert_eq!(served.changed(7, 0, &bytes, 8), run(PAGE..2 * PAGE));
        served.forget(7);
        assert_eq!(served.changed(7, 0, &bytes, 8), run(0..3 * PAGE));
        assert_eq!(served.changed(9, 0, &bytes, 8), []);
    }

    #[test]
    fn the_oldest_pages_go() {
        let served = Served::default();
        let page = [5; PAGE];
        for number in 0..MOST as u64 + 10 {
            served.remember(number % 3, number * PAGE as u64, &page);
            if number % 7 == 0 {
                served.forget_pages(number % 3, number * PAGE as u64..(number + 1) * PAGE as u64);
            }
        }
        let held = lock(&served.0);
        let count: usize = held.pages.values().map(HashMap::len).sum();
        assert!(held.order.len() <= MOST && count <= held.order.len());
        drop(held);
        assert_eq!(served.changed(2, 2 * PAGE as u64, &page, 8), run(0..PAGE));
        let last = MOST as u64 + 9;
        assert_eq!(served.changed(last % 3, last * PAGE as u64, &page, 8), []);
    }
}
