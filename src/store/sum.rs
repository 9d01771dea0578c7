//! Keeping a checksum true that a file holds of some of its bytes.
//!
//! CRC-32 is linear: what a change of some bytes adds to the sum depends on the old bytes xor the new ones, and on how many
//! bytes follow, not on any other byte. So a write costs the reading of what it overwrites, not of all that the sum covers.
//! The sum is written after the bytes. If the process is killed in between, the file holds the new bytes and the old sum, which
//! its own library then takes for damage; nothing else is lost.

use std::ops::Range;
use std::sync::MutexGuard;

use crc32fast::Hasher;
use rustix::io::{Errno, Result};

use super::{File, Files, gather, lock, write};
use crate::runs::{Run, View};

/// A CRC-32 over bytes of a file, and the places in the file where it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Sum<'a> {
    /// The bytes that it covers.
    pub covers: &'a Range<u64>,
    /// Offset of each copy of it: 4 bytes, little-endian.
    pub fields: &'a [u64],
}

impl File {
    /// Keeps writes out that change a checksum, so that all copies of each are of one value.
    pub fn whole_sums(&self) -> MutexGuard<'_, ()> {
        lock(&self.sums)
    }
}

/// Copies `data` into a view of an array in one file from byte `at` on, as [`write()`] does, and brings the checksum up to date. Such writes to one
/// file exclude each other.
///
/// # Errors
/// As [`write()`]; EIO where the view reaches beyond what the sum covers.
pub fn write_summed(files: &Files, view: &View, at: u64, data: &[u8], sum: Sum<'_>) -> Result<usize> {
    let file = files.one().ok_or(Errno::ROFS)?;
    let _turn = file.whole_sums();
    let window = at..(at + data.len() as u64).min(view.len());
    let mut old = vec![0; (window.end - window.start) as usize];
    gather(files, &[], view, window.clone(), &mut old)?;
    let &[first, ..] = sum.fields else { return Err(Errno::IO) };
    let (len, mut kept) = (file.len()?, [0; 4]);
    file.gather_run(&field(first), len, &mut kept)?;
    let written = write(files, view, at, data)?;
    let mut change = 0;
    let mut done = 0;
    'runs: for run in view.runs(window) {
        for number in 0..run.blocks() {
            let (start, end) = (run.block(number), run.block(number) + run.length);
            let part = done..(done + run.length as usize).min(written);
            if part.is_empty() {
                break 'runs;
            }
            if start < sum.covers.start || end > sum.covers.end {
                return Err(Errno::IO);
            }
            let behind = sum.covers.end - (start + part.len() as u64);
            change ^= effect(&old[part.clone()], &data[part.clone()], behind);
            done = part.end;
        }
    }
    if change != 0 {
        let kept = u32::from_le_bytes(kept) ^ change;
        for &offset in sum.fields {
            file.scatter_run(&field(offset), len, &kept.to_le_bytes()).map_err(|(_, error)| error)?;
        }
    }
    Ok(written)
}

/// The bytes of a checksum that is kept at an offset.
fn field(offset: u64) -> Run {
    Run::line(Some(0), offset, 4, 4, 1)
}

/// By how much a CRC-32 changes where `old` bytes become `new` ones, with `behind` bytes of what it covers behind them.
fn effect(old: &[u8], new: &[u8], behind: u64) -> u32 {
    if old == new {
        return 0;
    }
    // The sums of the two differ by what their difference contributes, whatever stood before them; what follows shifts it.
    let difference = crc32fast::hash(old) ^ crc32fast::hash(new);
    let mut shifted = Hasher::new_with_initial_len(difference, 0);
    shifted.combine(&Hasher::new_with_initial_len(0, behind));
    shifted.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_effect_is_the_difference_of_the_whole_sums(
            whole in prop::collection::vec(any::<u8>(), 1..2000),
            new in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
        ) {
            let at = at.index(whole.len());
            let len = new.len().min(whole.len() - at);
            let mut changed = whole.clone();
            changed[at..at + len].copy_from_slice(&new[..len]);
            let effect = effect(&whole[at..at + len], &new[..len], (whole.len() - at - len) as u64);
            prop_assert_eq!(crc32fast::hash(&whole) ^ effect, crc32fast::hash(&changed));
        }
    }
}
