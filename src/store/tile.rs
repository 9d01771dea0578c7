//! Rows that lie next to each other, copied together.
//!
//! A window of a transposed array is a run of columns, each a few bytes behind the one before. Copied one after the
//! other, each of them fetches every cache line anew, as the lines of the column before are gone by then. Copied in
//! tiles, a few blocks of all columns at a time, each line is fetched once (8192 x 8192 float64: about three times as
//! fast).

use std::ops::Range;

use crate::runs::Run;

/// So many rows are copied together.
const ROWS: u64 = 64;
/// The first bytes of these rows lie so near to each other: on one page, or two.
const NEAR: u64 = 4096;
/// Blocks of a row in a tile. Where the stride is a large power of two, the lines of all blocks compete for the 8 places
/// or so that a first-level cache has for them.
const BLOCKS: u64 = 8;

/// Whether tiles are faster than rows. Blocks of a cache line or more gain nothing.
fn is_tiled(run: &Run) -> bool {
    let (stride, pitch) = (run.stride.unsigned_abs(), run.pitch.unsigned_abs());
    run.rows > 1 && run.count > BLOCKS && run.length < 64 && 0 < pitch && pitch < stride.min(NEAR)
}

/// Calls `each` for the parts of a run, in the order in which they are best copied, with their place among the run's
/// bytes, where their rows are as far apart as those of the run.
///
/// # Errors
/// The first of `each`.
pub(super) fn each<E>(run: &Run, mut each: impl FnMut(&Run, Range<usize>) -> Result<(), E>) -> Result<(), E> {
    if !is_tiled(run) {
        return each(run, 0..run.bytes() as usize);
    }
    let together = (NEAR / run.pitch.unsigned_abs()).clamp(2, ROWS);
    let row_bytes = run.count * run.length;
    for row in (0..run.rows).step_by(together as usize) {
        let rows = together.min(run.rows - row);
        for block in (0..run.count).step_by(BLOCKS as usize) {
            let count = BLOCKS.min(run.count - block);
            let tile = Run { offset: run.block(row * run.count + block), rows, count, ..*run };
            let start = row * row_bytes + block * run.length;
            each(&tile, start as usize..(start + (rows - 1) * row_bytes + count * run.length) as usize)?;
        }
    }
    Ok(())
}
