//! LZ4 blocks, which do not say how long they are; what is around them does:
//!
//! - numcodecs: the number of bytes (4, little-endian), the block;
//! - HDF5 (filter 32004): the number of bytes (8, big-endian), that of the bytes in a block (4, big-endian), then for each
//!   block its stored size (4, big-endian) and itself, uncompressed where that size is the block's own.

use super::{Codec, Damage, head};

/// LZ4 with the frame of numcodecs.
#[derive(Debug)]
pub(in crate::unpack) struct Lz4;

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let (size, rest) = head(&bytes)?;
        let size = u32::from_le_bytes(size) as usize;
        if size > limit { Err(Damage::too_long(limit)) } else { block(rest, size) }
    }
}

/// LZ4 with the frame of HDF5.
#[derive(Debug)]
pub(in crate::unpack) struct Hdf5Lz4;

impl Codec for Hdf5Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    /// A block may be as small as one byte.
    fn most(&self, plain: u64) -> u64 {
        plain.saturating_mul(6).saturating_add(64 << 10)
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let (size, rest) = head(&bytes)?;
        let (block_size, mut rest) = head(rest)?;
        let size = usize::try_from(u64::from_be_bytes(size)).unwrap_or(usize::MAX);
        let block_size = u32::from_be_bytes(block_size) as usize;
        if size > limit {
            return Err(Damage::too_long(limit));
        }
        if size > 0 && block_size == 0 {
            return Err(Damage::new("blocks of no byte"));
        }
        let mut plain = Vec::new();
        while plain.len() < size {
            let expected = block_size.min(size - plain.len());
            let (stored, behind) = head(rest)?;
            let stored = u32::from_be_bytes(stored) as usize;
            let (data, behind) = behind.split_at_checked(stored).ok_or_else(Damage::too_short)?;
            if stored == expected {
                plain.extend_from_slice(data);
            } else {
                plain.extend(block(data, expected)?);
            }
            rest = behind;
        }
        Ok(plain)
    }
}

/// The block that becomes `size` bytes.
pub(super) fn block(bytes: &[u8], size: usize) -> Result<Vec<u8>, Damage> {
    // No byte stands for more than 255: what claims more is not even tried.
    if size > bytes.len().saturating_mul(255).saturating_add(64) {
        return Err(Damage::too_short());
    }
    let mut plain = vec![0; size];
    match lz4_flex::block::decompress_into(bytes, &mut plain) {
        Ok(count) if count == size => Ok(plain),
        Ok(_) => Err(Damage::too_short()),
        Err(error) => Err(Damage::new(error)),
    }
}
