//! Neighbouring columns, copied together.
//!
//! A window of a transposed array is a sequence of runs of one shape, each a few bytes behind the one before: columns
//! next to each other. Copied one after the other, each of them fetches every cache line anew, as the lines of the
//! column before are gone by then. Copied in tiles, a few rows of all columns at a time, each line is fetched once
//! (8192 x 8192 float64: about three times as fast).
//!
//! [`Batch`] collects such runs; the result is the same as that of copying them one by one.

use std::sync::Arc;

use rustix::io::Result;

use super::File;
use crate::runs::Run;

/// So many runs are copied together.
const RUNS: usize = 64;
/// The first bytes of the runs lie so near to each other: on one page, or two.
const NEAR: u64 = 4096;
/// Rows of a tile. Where the stride is a large power of two, all lines of a column compete for the 8 places or so that a
/// first-level cache has for them.
const ROWS: u64 = 8;

/// Runs of one shape that lie near each other.
#[derive(Debug)]
pub(super) struct Batch {
    runs: [Run; RUNS],
    len: usize,
}

impl Batch {
    pub(super) fn new(run: Run) -> Batch {
        Batch { runs: [run; RUNS], len: 1 }
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs[..self.len]
    }

    /// Whether a run may join. Blocks of a cache line or more gain nothing.
    pub(super) fn continues_with(&self, run: &Run) -> bool {
        let first = &self.runs[0];
        self.len < RUNS
            && first.count > ROWS
            && first.length < 64
            && first.stride.unsigned_abs() > first.length
            && (first.piece, first.length, first.stride, first.count) == (run.piece, run.length, run.stride, run.count)
            && first.offset.abs_diff(run.offset) < NEAR
    }

    pub(super) fn push(&mut self, run: Run) {
        self.runs[self.len] = run;
        self.len += 1;
    }

    /// Copies the runs into a buffer, one behind the other. Gives false where that is left to others: for a single run,
    /// where they do not lie in one mapping, or where it faults.
    ///
    /// # Errors
    /// What mapping the file answers.
    pub(super) fn gather(&self, file: &Arc<File>, file_len: u64, target: &mut [u8]) -> Result<bool> {
        let first = self.runs[0];
        let low = self.runs().iter().map(|run| run.reach().start).min().unwrap_or(0);
        let high = self.runs().iter().map(|run| run.reach().end).max().unwrap_or(0);
        if self.len < 2 || high > file_len {
            return Ok(false);
        }
        let Some((map, start)) = file.map_for_reading(&(low..high))? else { return Ok(false) };
        let (length, bytes) = (first.length as usize, (first.length * first.count) as usize);
        for row in (0..first.count).step_by(ROWS as usize) {
            let count = (first.count - row).min(ROWS) as usize;
            for (run, target) in self.runs().iter().zip(target.chunks_exact_mut(bytes)) {
                let part = &mut target[row as usize * length..][..count * length];
                if map.gather(part, (run.block(row) - start) as usize, length, run.stride, count).is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
