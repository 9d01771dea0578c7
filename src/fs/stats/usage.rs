//! What was read and written of each array.
//!
//! A handle has the numbers of its array, so that only opening looks them up. So many arrays are kept apart; beyond that those
//! which nobody has open and of which least was read and written become one sum.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::get;
use crate::catalog::Origin;
use crate::store::lock;

/// So many arrays are kept apart.
const MOST: usize = 4096;

/// What was done to an array so far, or to many.
#[derive(Debug, Default)]
pub(in crate::fs) struct Usage {
    opens: AtomicU64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
}

impl Usage {
    pub(in crate::fs) fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(in crate::fs) fn written(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn sums(&self) -> Sums {
        Sums([&self.opens, &self.reads, &self.read_bytes, &self.writes, &self.written_bytes].map(get))
    }

    fn add(&self, sums: Sums) {
        let counters = [&self.opens, &self.reads, &self.read_bytes, &self.writes, &self.written_bytes];
        counters.into_iter().zip(sums.0).for_each(|(counter, sum)| {
            counter.fetch_add(sum, Ordering::Relaxed);
        });
    }
}

/// The numbers of [`Usage`] at some moment: opens, reads, bytes read, writes, bytes written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums([u64; 5]);

impl Sums {
    fn bytes(self) -> u64 {
        self.0[2].saturating_add(self.0[4])
    }

    /// As members of a JSON object.
    pub(super) fn members(self) -> impl Iterator<Item = (String, Value)> {
        let names = ["opens", "reads", "read_bytes", "writes", "written_bytes"];
        names.into_iter().zip(self.0).map(|(name, sum)| (name.to_owned(), sum.into()))
    }
}

/// The arrays that were opened.
#[derive(Debug)]
pub(in crate::fs) struct Arrays {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Origin, Arc<Usage>>,
    /// All that are not known apart.
    others: Arc<Usage>,
    /// How often one became part of these.
    merged: u64,
}

impl Default for Arrays {
    fn default() -> Arrays {
        Arrays { most: MOST, inner: Mutex::default() }
    }
}

impl Arrays {
    /// Notes that an array was opened, and gives its numbers.
    pub(in crate::fs) fn opened(&self, origin: &Origin) -> Arc<Usage> {
        let mut inner = lock(&self.inner);
        let usage = match inner.known.get(origin) {
            Some(usage) => usage.clone(),
            None => inner.admit(origin, self.most),
        };
        usage.opens.fetch_add(1, Ordering::Relaxed);
        usage
    }

    /// What is known of each array, the most used first; of all others together; and how many these are.
    pub(super) fn snapshot(&self) -> (Vec<(Origin, Sums)>, Sums, u64) {
        let inner = lock(&self.inner);
        let mut known: Vec<_> = inner.known.iter().map(|(origin, usage)| (origin.clone(), usage.sums())).collect();
        let (others, merged) = (inner.others.sums(), inner.merged);
        drop(inner);
        known.sort_by(|a, b| b.1.bytes().cmp(&a.1.bytes()).then_with(|| a.0.cmp(&b.0)));
        (known, others, merged)
    }
}

impl Inner {
    fn admit(&mut self, origin: &Origin, most: usize) -> Arc<Usage> {
        if self.known.len() >= most {
            self.merge(most);
        }
        if self.known.len() >= most {
            // All are open.
            self.merged += 1;
            return self.others.clone();
        }
        let usage = Arc::<Usage>::default();
        self.known.insert(origin.clone(), usage.clone());
        usage
    }

    /// Merges the half that was used least, of those that nobody has open, so that this search is rare.
    fn merge(&mut self, most: usize) {
        // Nobody can get hold of one meanwhile: that needs the lock.
        let closed = |usage: &Arc<Usage>| Arc::strong_count(usage) == 1;
        let mut bytes: Vec<u64> =
            self.known.values().filter(|usage| closed(usage)).map(|usage| usage.sums().bytes()).collect();
        let mut room = (most / 2).max(1).min(bytes.len());
        if room == 0 {
            return;
        }
        let limit = *bytes.select_nth_unstable(room - 1).1;
        let (others, merged) = (&self.others, &mut self.merged);
        self.known.retain(|_, usage| {
            let goes = room > 0 && closed(usage) && usage.sums().bytes() <= limit;
            if goes {
                room -= 1;
                *merged += 1;
                others.add(usage.sums());
            }
            !goes
        });
        self.known.shrink_to(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(number: usize) -> Origin {
        Origin::File(format!("{number}.npy").into())
    }

    fn total(arrays: &Arrays) -> Vec<u64> {
        let (known, others, _) = arrays.snapshot();
        (0..5).map(|i| known.iter().map(|(_, sums)| sums.0[i]).sum::<u64>() + others.0[i]).collect()
    }

    #[test]
    fn no_more_are_kept_apart_than_allowed_and_nothing_is_lost() {
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let arrays = Arrays { most: 16, ..Arrays::default() };
            let (mut open, mut expected) = (Vec::new(), vec![0; 5]);
            for _ in 0..2000 {
                let usage = arrays.opened(&origin(rng.usize(..100)));
                let (read, written) = (rng.usize(..1000), rng.usize(..1000));
                usage.read(read);
                usage.written(written);
                let new = [1, 1, read as u64, 1, written as u64];
                expected.iter_mut().zip(new).for_each(|(sum, new)| *sum += new);
                open.push(usage);
                if open.len() > rng.usize(..30) {
                    open.swap_remove(rng.usize(..open.len()));
                }
                assert!(arrays.snapshot().0.len() <= 16);
            }
            assert_eq!(total(&arrays), expected);
        }
    }

    #[test]
    fn those_that_are_used_most_are_kept_and_stand_first() {
        let arrays = Arrays { most: 8, ..Arrays::default() };
        arrays.opened(&origin(1000)).read(5000);
        arrays.opened(&origin(1001)).written(9000);
        let held = arrays.opened(&origin(1002));
        (0..100).for_each(|number| arrays.opened(&origin(number)).read(10));
        held.read(1);
        let (known, others, merged) = arrays.snapshot();
        assert_eq!((&known[0].0, &known[1].0), (&origin(1001), &origin(1000)));
        assert!(known.iter().any(|(known, sums)| *known == origin(1002) && sums.0 == [1, 1, 1, 0, 0]));
        assert_eq!(known.len() as u64 + merged, 103);
        assert_eq!(others.0, [merged, merged, 10 * merged, 0, 0]);
    }

    #[test]
    fn where_all_are_open_one_more_counts_among_the_others() {
        let arrays = Arrays { most: 2, ..Arrays::default() };
        let open: Vec<_> = (0..3).map(|number| arrays.opened(&origin(number))).collect();
        open.iter().for_each(|usage| usage.read(7));
        let (known, others, merged) = arrays.snapshot();
        assert_eq!((known.len(), merged, others.0), (2, 1, [1, 1, 7, 0, 0]));
    }
}
