//! Many hands: the chunks of an array are unpacked by several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::{Fault, Watch, go_on};

/// The most threads.
const MOST: u64 = 8;

/// So much memory all of them take at most, if one alone does not take more.
const MEMORY: u64 = 1 << 30;

/// So many times the bytes of a chunk are held while it is decoded.
const COPIES: u64 = 4;

/// Calls `each` for every number below `count`, each of which takes a chunk of so many bytes, and ends at the first
/// fault.
pub(super) fn each(
    count: u64,
    chunk: u64,
    watch: &dyn Watch,
    each: impl Fn(u64) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let processors = thread::available_parallelism().map_or(1, |number| number.get() as u64);
    let room = MEMORY / chunk.saturating_mul(COPIES).max(1);
    let threads = processors.min(MOST).min(room).min(count).max(1);
    let next = AtomicU64::new(0);
    let fault = Mutex::new(None);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            if let Err(found) = go_on(watch).and_then(|()| each(number)) {
                // All others stop at their next chunk.
                next.store(count, Ordering::Relaxed);
                crate::store::lock(&fault).get_or_insert(found);
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let found = crate::store::lock(&fault).take();
    found.map_or(Ok(()), Err)
}

/// The index of a chunk on each axis: chunks are numbered in C order, and there are so many on each axis.
pub(super) fn index(number: u64, counts: &[u64]) -> Vec<u64> {
    let mut rest = number;
    let mut index: Vec<u64> = counts
        .iter()
        .rev()
        .map(|&count| {
            let index = rest % count.max(1);
            rest /= count.max(1);
            index
        })
        .collect();
    index.reverse();
    index
}
