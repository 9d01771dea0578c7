//! Checksums of 4 bytes, little-endian, before the bytes or behind them.

use super::{Codec, Damage};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unpack) enum Kind {
    /// The CRC of gzip and ZIP.
    Crc32,
    /// The CRC of Castagnoli.
    Crc32c,
    /// That of zlib.
    Adler32,
    /// That of HDF5: two sums of big-endian words of 16 bits.
    Fletcher32,
}

/// Bytes with their checksum.
#[derive(Clone, Copy, Debug)]
pub(in crate::unpack) struct Checksum {
    pub(in crate::unpack) kind: Kind,
    /// Whether it stands before them.
    pub(in crate::unpack) at_start: bool,
}

impl Codec for Checksum {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Crc32 => "crc32",
            Kind::Crc32c => "crc32c",
            Kind::Adler32 => "adler32",
            Kind::Fletcher32 => "fletcher32",
        }
    }

    fn most(&self, plain: u64) -> u64 {
        plain.saturating_add(4)
    }

    fn decode(&self, mut bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let size = bytes.len().checked_sub(4).ok_or_else(Damage::too_short)?;
        if size > limit {
            return Err(Damage::too_long(limit));
        }
        if self.at_start {
            bytes.rotate_left(4);
        }
        let stored = bytes.split_off(size);
        let computed = match self.kind {
            Kind::Crc32 => crc32fast::hash(&bytes),
            Kind::Crc32c => crc32c::crc32c(&bytes),
            Kind::Adler32 => adler2::adler32_slice(&bytes),
            Kind::Fletcher32 => fletcher32(&bytes),
        };
        let swapped = |sum: u32| sum >> 8 & 0x00ff_00ff | (sum & 0x00ff_00ff) << 8;
        let is_right = stored == computed.to_le_bytes()
            // Of HDF5 before 1.6.3, whose writers had the bytes of the words in their own order.
            || self.kind == Kind::Fletcher32 && stored == swapped(computed).to_le_bytes();
        if is_right { Ok(bytes) } else { Err(Damage("do not have the checksum that is stored with them".into())) }
    }
}

fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (mut first, mut second) = (0_u32, 0_u32);
    // So many words leave the sums below 2^32.
    for block in bytes.chunks(2 * 360) {
        for word in block.chunks(2) {
            first += u32::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u32::from(low));
            second += first;
        }
        (first, second) = (fold(first), fold(second));
    }
    fold(second) << 16 | fold(first)
}
