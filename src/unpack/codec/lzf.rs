//! LZF, the compressor of h5py (HDF5's filter 32000).
//!
//! Specification: Marc Lehmann's liblzf 3.6, `lzf_d.c`. A stream is a row of
//!
//! - literals: a byte `n` below 32, then `n + 1` bytes;
//! - copies: a byte with the length `l` in its upper 3 bits and the upper 5 bits of the distance below; where `l` is 7, a
//!   byte to be added to it; the lower 8 bits of the distance: `l + 2` bytes, from `distance + 1` bytes before.

use super::{Codec, Damage};

/// LZF.
#[derive(Debug)]
pub(in crate::unpack) struct Lzf;

impl Codec for Lzf {
    fn name(&self) -> &'static str {
        "lzf"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let mut plain = Vec::new();
        let mut rest = &bytes[..];
        let take = |rest: &mut &[u8]| {
            let (&byte, behind) = rest.split_first()?;
            *rest = behind;
            Some(usize::from(byte))
        };
        while let Some(control) = take(&mut rest) {
            if control < 32 {
                let (literals, behind) = rest.split_at_checked(control + 1).ok_or_else(Damage::too_short)?;
                plain.extend_from_slice(literals);
                rest = behind;
            } else {
                let mut length = control >> 5;
                if length == 7 {
                    length += take(&mut rest).ok_or_else(Damage::too_short)?;
                }
                let distance = (control & 31) << 8 | take(&mut rest).ok_or_else(Damage::too_short)?;
                copy_back(&mut plain, distance + 1, length + 2)?;
            }
            if plain.len() > limit {
                return Err(Damage::too_long(limit));
            }
        }
        Ok(plain)
    }
}

/// Appends `length` bytes that stand `distance` bytes before the end, and on, also those that are appended meanwhile.
pub(super) fn copy_back(plain: &mut Vec<u8>, distance: usize, length: usize) -> Result<(), Damage> {
    let start = plain.len().checked_sub(distance).filter(|_| distance > 0);
    let start = start.ok_or_else(|| Damage::new("a copy from before the first byte"))?;
    let mut left = length;
    while left > 0 {
        // What stands there already, which is more each time.
        let count = left.min(plain.len() - start);
        plain.extend_from_within(start..start + count);
        left -= count;
    }
    Ok(())
}
