//! Which pages of a file were changed: a set of page numbers, as bits.
//!
//! Bits are kept for stretches of [`STRETCH`] pages, and only for those in which one is set, so that memory grows with what was
//! changed and not with the file. In a file the same bits stand one after the other, as sparse.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::SeekFrom;
use rustix::io::{Errno, Result, retry_on_intr};

/// Bytes of a page, whatever the pages of the machine are: an overlay may come from another one.
pub const PAGE: u64 = 4096;

const WORDS: usize = 8;
/// Pages whose bits are kept together.
const STRETCH: u64 = 64 * WORDS as u64;
/// Bytes of their bits in a file.
const BYTES: usize = 8 * WORDS;

/// Bits of a stretch.
type Bits = [u64; WORDS];

/// A set of pages. Whoever holds a `Look` at it keeps pages from being taken out, but not from being added.
#[derive(Debug, Default)]
pub struct Pages(RwLock<BTreeMap<u64, Stretch>>);

#[derive(Debug, Default)]
struct Stretch {
    words: [AtomicU64; WORDS],
    /// Whether the file has other bits.
    unsaved: AtomicBool,
}

/// A look at a set of pages.
#[derive(Debug)]
pub struct Look<'a>(RwLockReadGuard<'a, BTreeMap<u64, Stretch>>);

/// The pages in which a range of bytes lies.
pub(super) fn pages_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / PAGE..bytes.end.div_ceil(PAGE)
}

impl Pages {
    /// Looks at the pages. A thread looks once at a time.
    pub fn look(&self) -> Look<'_> {
        Look(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether no page is in the set.
    pub fn is_empty(&self) -> bool {
        self.look().next_changed(0, u64::MAX).is_none()
    }

    /// Adds a range of pages.
    pub(super) fn add(&self, pages: Range<u64>) {
        let mut at = pages.start;
        while at < pages.end {
            let (number, end) = (at / STRETCH, pages.end.min((at / STRETCH + 1) * STRETCH));
            let set = |stretch: &Stretch| {
                (at..end).for_each(|page| {
                    stretch.words[(page % STRETCH / 64) as usize].fetch_or(1 << (page % 64), Ordering::AcqRel);
                });
                stretch.unsaved.store(true, Ordering::Release);
            };
            let known = self.look().0.get(&number).map(&set);
            if known.is_none() {
                let mut stretches = self.0.write().unwrap_or_else(PoisonError::into_inner);
                set(stretches.entry(number).or_default());
            }
            at = end;
        }
    }

    /// Takes all pages out but those of another set.
    pub(super) fn keep(&self, others: &Pages) {
        let others = others.look();
        let mut stretches = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (number, stretch) in stretches.iter_mut() {
            let kept = others.0.get(number).map(Stretch::bits).unwrap_or_default();
            for (word, kept) in stretch.words.iter_mut().zip(kept) {
                *word.get_mut() &= kept;
            }
            *stretch.unsaved.get_mut() = true;
        }
    }

    /// Takes all pages out.
    pub(super) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What the file does not have yet, by number of the stretch.
    pub(super) fn take_unsaved(&self) -> Vec<(u64, Bits)> {
        let mut stretches = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let unsaved = stretches.iter_mut().filter_map(|(number, stretch)| {
            std::mem::take(stretch.unsaved.get_mut()).then(|| (*number, stretch.bits()))
        });
        let unsaved = unsaved.collect();
        stretches.retain(|_, stretch| stretch.bits() != Bits::default());
        unsaved
    }

    /// The file does not have this, after all.
    pub(super) fn put_back(&self, unsaved: &[(u64, Bits)]) {
        let mut stretches = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (number, _) in unsaved {
            *stretches.entry(*number).or_default().unsaved.get_mut() = true;
        }
    }

    /// Reads the set from a file.
    ///
    /// # Errors
    /// What reading answers.
    pub fn load(file: impl AsFd) -> Result<Pages> {
        let mut found = BTreeMap::new();
        let mut block = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            at = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
                Ok(data) => data / BYTES as u64 * BYTES as u64,
                Err(Errno::NXIO) => break,
                // A file system that knows no holes.
                Err(_) => at,
            };
            let mut count = 0;
            while count < block.len() {
                match retry_on_intr(|| rustix::io::pread(&file, &mut block[count..], at + count as u64))? {
                    0 => break,
                    more => count += more,
                }
            }
            if count == 0 {
                break;
            }
            block[count..].fill(0);
            for (k, bytes) in block.chunks_exact(BYTES).enumerate().filter(|(_, bytes)| bytes.iter().any(|&b| b != 0)) {
                let words = std::array::from_fn(|word| {
                    let mut le = [0; 8];
                    le.copy_from_slice(&bytes[8 * word..8 * word + 8]);
                    AtomicU64::new(u64::from_le_bytes(le))
                });
                found.insert(at / BYTES as u64 + k as u64, Stretch { words, unsaved: AtomicBool::new(false) });
            }
            at += count.next_multiple_of(BYTES) as u64;
        }
        Ok(Pages(RwLock::new(found)))
    }
}

/// Writes bits of stretches to their places in a file.
pub(super) fn save(file: impl AsFd, unsaved: &[(u64, Bits)]) -> Result<()> {
    for neighbours in unsaved.chunk_by(|a, b| a.0 + 1 == b.0) {
        let bytes: Vec<u8> =
            neighbours.iter().flat_map(|(_, bits)| bits.iter().flat_map(|w| w.to_le_bytes())).collect();
        let at = neighbours[0].0 * BYTES as u64;
        super::super::copy::write_exact(file.as_fd(), &bytes, at, &mut 0)?;
    }
    Ok(())
}

impl Stretch {
    fn bits(&self) -> Bits {
        std::array::from_fn(|word| self.words[word].load(Ordering::Acquire))
    }
}

impl Look<'_> {
    /// Whether a page is in the set, and up to where those that follow are as it is, looked for until `end`.
    pub fn run(&self, page: u64, end: u64) -> (bool, u64) {
        let word = |page: u64| {
            let stretch = self.0.get(&(page / STRETCH))?;
            Some(stretch.words[(page % STRETCH / 64) as usize].load(Ordering::Acquire) >> (page % 64))
        };
        let is_changed = word(page).is_some_and(|word| word & 1 == 1);
        let mut at = page;
        while at < end {
            match word(at) {
                None if is_changed => break,
                None => {
                    let next = self.0.range(at / STRETCH..).next();
                    at = next.map_or(end, |(number, _)| number * STRETCH);
                }
                Some(word) => {
                    let others = if is_changed { !word } else { word };
                    let left = 64 - at % 64;
                    let alike = u64::from(others.trailing_zeros()).min(left);
                    at += alike;
                    if alike < left {
                        break;
                    }
                }
            }
        }
        (is_changed, at.min(end))
    }

    /// The first stretch of pages of the set from a page on, up to `end`.
    pub fn next_changed(&self, page: u64, end: u64) -> Option<Range<u64>> {
        let (is_changed, until) = self.run(page, end);
        let start = if is_changed { page } else { until };
        (start < end).then(|| start..self.run(start, end).1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(pages: &Pages) -> Vec<u64> {
        let (look, mut found, mut at) = (pages.look(), Vec::new(), 0);
        while let Some(range) = look.next_changed(at, u64::MAX) {
            found.extend(range.clone());
            at = range.end;
        }
        found
    }

    fn saved(pages: &Pages, file: &std::fs::File) {
        save(file, &pages.take_unsaved()).unwrap();
    }

    proptest! {
        #[test]
        fn it_is_a_set(ranges in prop::collection::vec((prop_oneof![0u64..3000, 1u64 << 40..(1 << 40) + 3000], 0u64..700), 0..12)) {
            let (pages, mut model) = (Pages::default(), BTreeSet::new());
            let file = tempfile::tempfile().unwrap();
            for (start, len) in ranges {
                pages.add(start..start + len);
                model.extend(start..start + len);
                saved(&pages, &file);
            }
            prop_assert_eq!(all(&pages), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(all(&Pages::load(&file).unwrap()), all(&pages));
            let look = pages.look();
            for &page in model.iter().take(50) {
                let (is_changed, end) = look.run(page, page + 2000);
                prop_assert!(is_changed && (page..end).all(|page| model.contains(&page)));
                prop_assert!(end == page + 2000 || !model.contains(&end));
            }
        }
    }

    #[test]
    fn what_is_taken_out_is_taken_out_of_the_file() {
        let (pages, kept, file) = (Pages::default(), Pages::default(), tempfile::tempfile().unwrap());
        pages.add(3..1200);
        saved(&pages, &file);
        kept.add(5..6);
        kept.add(5000..5001);
        pages.keep(&kept);
        assert_eq!(all(&pages), [5]);
        saved(&pages, &file);
        assert_eq!(all(&Pages::load(&file).unwrap()), [5]);
        pages.keep(&Pages::default());
        assert!(pages.is_empty());
        // A file that could not be written is written again.
        let unsaved = pages.take_unsaved();
        pages.put_back(&unsaved);
        saved(&pages, &file);
        assert!(Pages::load(&file).unwrap().is_empty());
        assert!(pages.take_unsaved().is_empty());
    }
}
