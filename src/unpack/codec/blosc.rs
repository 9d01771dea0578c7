//! Blosc 1: elements shuffled and compressed in blocks.
//!
//! Specification: c-blosc 1.21, `README_CHUNK_FORMAT.rst` and `blosc.c`. All numbers are little-endian:
//!
//! | bytes | what                                                                                                     |
//! |-------|----------------------------------------------------------------------------------------------------------|
//! | 1     | version of the format, 2; Blosc 2 writes higher ones                                                      |
//! | 1     | version of the compressor's format                                                                       |
//! | 1     | flags: 1 byte shuffle, 2 not compressed at all, 4 bit shuffle, 16 blocks are not split; the upper 3 bits say which compressor |
//! | 1     | bytes of an element                                                                                      |
//! | 4     | bytes of all elements                                                                                    |
//! | 4     | bytes of a block; the last may be shorter                                                                |
//! | 4     | bytes of all of this                                                                                     |
//! | 4 each | where each block begins; then the blocks                                                                |
//!
//! A block is one stream, or as many as an element has bytes (see [`Header::streams`]), each for an equal part of
//! the block: its size (4), and itself, uncompressed where that size is the part's own. The shuffle is undone
//! block by block, after the streams have been put together.

use std::io::Read;

use super::lzf::copy_back;
use super::{Codec, Damage, deflate, head, lz4, read_all, shuffle, zstd};

const VERSION: u8 = 2;

const SHUFFLED: u8 = 1;
const COPIED: u8 = 2;
const BIT_SHUFFLED: u8 = 4;
const WHOLE: u8 = 16;

/// Blocks of elements of more bytes are not split.
const MAX_STREAMS: u8 = 16;

/// Nor are blocks of fewer elements.
const MIN_ELEMENTS: usize = 128;

/// Bytes of the header.
const HEADER: usize = 16;

/// Blosc 1.
#[derive(Debug)]
pub(in crate::unpack) struct Blosc;

struct Header {
    flags: u8,
    size: u8,
    plain: usize,
    block: usize,
}

impl Header {
    /// In how many streams a block of so many bytes lies.
    fn streams(&self, bytes: usize) -> usize {
        let is_split = self.flags & WHOLE == 0
            && self.size <= MAX_STREAMS
            && self.block / usize::from(self.size) >= MIN_ELEMENTS
            && bytes == self.block;
        if is_split { usize::from(self.size) } else { 1 }
    }
}

impl Codec for Blosc {
    fn name(&self) -> &'static str {
        "blosc"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let ([version, _, flags, size], rest) = head(&bytes)?;
        let (plain, rest) = head(rest)?;
        let (block, rest) = head(rest)?;
        let (stored, _) = head(rest)?;
        let [plain, block, stored] = [plain, block, stored].map(|number| u32::from_le_bytes(number) as usize);
        if version > VERSION {
            return Err(Damage("are of Blosc 2, which is not built in".into()));
        }
        if plain > limit {
            return Err(Damage::too_long(limit));
        }
        let bytes = bytes.get(..stored).ok_or_else(Damage::too_short)?;
        let body = bytes.get(HEADER..).ok_or_else(Damage::too_short)?;
        if flags & COPIED != 0 {
            return body.get(..plain).map(<[u8]>::to_vec).ok_or_else(Damage::too_short);
        }
        if plain == 0 {
            return Ok(Vec::new());
        }
        if block == 0 || size == 0 {
            return Err(Damage::new("blocks or elements of no byte"));
        }
        let header = Header { flags, size, plain, block };
        let mut plain = Vec::new();
        let mut starts = body;
        while plain.len() < header.plain {
            let (start, behind) = head(starts)?;
            starts = behind;
            let length = header.block.min(header.plain - plain.len());
            let data = bytes.get(u32::from_le_bytes(start) as usize..).ok_or_else(Damage::too_short)?;
            plain.extend(header.block(data, length)?);
        }
        Ok(plain)
    }
}

impl Header {
    /// The block that begins here and becomes `length` bytes.
    fn block(&self, mut data: &[u8], length: usize) -> Result<Vec<u8>, Damage> {
        let streams = self.streams(length);
        // A stream has an equal part; what cannot be divided is not split by any writer, and lost by the library.
        let part = length / streams;
        let mut block = Vec::new();
        for _ in 0..streams {
            let (stored, rest) = head(data)?;
            let stored = u32::from_le_bytes(stored) as usize;
            let (stream, rest) = rest.split_at_checked(stored).ok_or_else(Damage::too_short)?;
            if stored == part {
                block.extend_from_slice(stream);
            } else {
                let bytes = self.stream(stream, part)?;
                if bytes.len() != part {
                    return Err(Damage::new("a block is shorter than it should be"));
                }
                block.extend(bytes);
            }
            data = rest;
        }
        if block.len() != length {
            return Err(Damage::new("a block cannot be divided into its streams"));
        }
        let size = usize::from(self.size);
        Ok(if self.flags & SHUFFLED != 0 && size > 1 {
            shuffle::unshuffled(&block, size)
        } else if self.flags & SHUFFLED == 0 && self.flags & BIT_SHUFFLED != 0 {
            shuffle::bit_unshuffled(&block, size)
        } else {
            block
        })
    }

    /// A stream of the compressor that the flags name.
    fn stream(&self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
        match self.flags >> 5 {
            0 => blosclz(bytes, limit),
            // Both of LZ4 and of its slower sibling LZ4HC.
            1 => lz4::block(bytes, limit),
            2 => snappy(bytes, limit),
            3 => deflate::inflate(bytes, limit),
            4 => read_all(zstd::Frames::new(bytes).take(limit as u64 + 1), limit),
            other => Err(Damage(format!("are of compressor {other}, which Blosc 1 does not have"))),
        }
    }
}

fn snappy(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
    match snap::raw::decompress_len(bytes) {
        Ok(len) if len > limit => Err(Damage::too_long(limit)),
        // No byte stands for more than 64: what claims more is not even tried.
        Ok(len) if len > bytes.len().saturating_mul(64) => Err(Damage::too_short()),
        Ok(_) => snap::raw::Decoder::new().decompress_vec(bytes).map_err(Damage::new),
        Err(error) => Err(Damage::new(error)),
    }
}

/// BloscLZ, of FastLZ's kind: a row of literals (a byte `n` below 32, then `n + 1` bytes) and copies. A copy is
/// a byte with the length in its upper 3 bits and the upper 5 bits of the distance below; where the length is 7, bytes to
/// be added to it, up to and with the first that is not 255; the lower 8 bits of the distance. Where the distance is all
/// ones, 2 bytes follow, big-endian, to be added to 8191 for it. The first byte of all is always a literal's.
fn blosclz(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
    const FAR: usize = 8191;
    let mut plain = Vec::new();
    let mut rest = bytes;
    let take = |rest: &mut &[u8]| {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        Some(usize::from(byte))
    };
    let mut control = take(&mut rest).map(|control| control & 31);
    while let Some(now) = control {
        if now < 32 {
            let (literals, behind) = rest.split_at_checked(now + 1).ok_or_else(Damage::too_short)?;
            plain.extend_from_slice(literals);
            rest = behind;
        } else {
            let mut next = || take(&mut rest).ok_or_else(Damage::too_short);
            let mut length = (now >> 5) + 2;
            if now >> 5 == 7 {
                loop {
                    let more = next()?;
                    length += more;
                    if more != 255 {
                        break;
                    }
                }
            }
            let mut distance = (now & 31) << 8 | next()?;
            if distance == FAR {
                distance = FAR + (next()? << 8 | next()?);
            }
            if length > limit {
                return Err(Damage::too_long(limit));
            }
            copy_back(&mut plain, distance + 1, length)?;
        }
        if plain.len() > limit {
            return Err(Damage::too_long(limit));
        }
        control = take(&mut rest);
    }
    Ok(plain)
}
