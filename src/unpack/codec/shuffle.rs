//! Shuffles: the bytes, or the bits, of many elements sorted by their place in the element. Compressors like that.
//!
//! Of `n` elements of `size` bytes, a byte shuffle has first the first byte of each, then the second of each, and so on. A bit
//! shuffle has the lowest bit of the first byte of each, 8 to a byte and the lowest first, then the next, up to the
//! highest bit of the last byte. What is left at the end, less than an element, stays as it is; so does all of it
//! where a bit shuffle does not find a multiple of 8 elements.

use super::{Codec, Damage};

/// A byte shuffle.
#[derive(Clone, Copy, Debug)]
pub(in crate::unpack) struct Shuffle {
    /// Bytes of an element.
    pub(in crate::unpack) size: usize,
}

impl Codec for Shuffle {
    fn name(&self) -> &'static str {
        "shuffle"
    }

    fn most(&self, plain: u64) -> u64 {
        plain
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        if bytes.len() > limit {
            return Err(Damage::too_long(limit));
        }
        Ok(if self.size > 1 { unshuffled(&bytes, self.size) } else { bytes })
    }
}

/// The elements that a byte shuffle made these bytes of.
pub(super) fn unshuffled(bytes: &[u8], size: usize) -> Vec<u8> {
    let count = bytes.len() / size;
    let mut plain = vec![0; count * size];
    // Some elements at a time, so that what is written stays at hand.
    const BLOCK: usize = 1024;
    for start in (0..count).step_by(BLOCK) {
        let end = (start + BLOCK).min(count);
        let block = &mut plain[start * size..end * size];
        for place in 0..size {
            let row = &bytes[place * count + start..place * count + end];
            block[place..].iter_mut().step_by(size).zip(row).for_each(|(to, &from)| *to = from);
        }
    }
    plain.extend_from_slice(&bytes[count * size..]);
    plain
}

/// The elements that a bit shuffle made these bytes of.
pub(super) fn bit_unshuffled(bytes: &[u8], size: usize) -> Vec<u8> {
    let count = bytes.len() / size;
    if !count.is_multiple_of(8) {
        return bytes.to_vec();
    }
    let mut plain = vec![0; count * size];
    let row = count / 8;
    for place in 0..size {
        for group in 0..row {
            let mut bits = 0;
            for bit in 0..8 {
                bits |= u64::from(bytes[(8 * place + bit) * row + group]) << (8 * bit);
            }
            for (element, byte) in transposed(bits).to_le_bytes().into_iter().enumerate() {
                plain[(8 * group + element) * size + place] = byte;
            }
        }
    }
    plain.extend_from_slice(&bytes[count * size..]);
    plain
}

/// The matrix of 8 bytes of 8 bits, turned: bit `i` of byte `k` becomes bit `k` of byte `i`. Blocks of 1, 2 and 4 bits
/// change places across the diagonal.
fn transposed(mut bits: u64) -> u64 {
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let swap = (bits ^ bits >> shift) & mask;
        bits ^= swap ^ swap << shift;
    }
    bits
}
