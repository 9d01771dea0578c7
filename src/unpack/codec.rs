//! Codecs: what undoes that which compressors, filters and checksums did to the bytes of a chunk.
//!
//! A [`Chain`] is the list of those that a chunk went through. It is told how many bytes must come out, so that every
//! codec knows the most that its part may give: a chunk that claims more, or goes on for longer, is an error, and memory
//! grows with what was really decoded, never with what a header says.
//!
//! | file       | codecs                                                                                    |
//! |------------|-------------------------------------------------------------------------------------------|
//! | `deflate`  | gzip, zlib                                                                                |
//! | `zstd`     | Zstandard                                                                                 |
//! | `lz4`      | LZ4 blocks, as numcodecs and as HDF5 frame them                                           |
//! | `blosc`    | Blosc 1, with whatever compressor is in it                                                |
//! | `lzf`      | LZF, of h5py                                                                              |
//! | `bzip2`    | bzip2                                                                                     |
//! | `lzma`     | xz, and LZMA as its predecessor wrote it                                                  |
//! | `shuffle`  | bytes or bits of elements that were sorted by their place                                 |
//! | `checksum` | CRC-32, CRC-32C, Adler-32 and Fletcher-32, which are verified                              |
//! | `numbers`  | numcodecs' filters that calculate                                                         |

use std::fmt::{self, Debug};
use std::io::Read;

pub(super) mod blosc;
pub(super) mod bzip2;
pub(super) mod checksum;
pub(super) mod deflate;
pub(super) mod lz4;
pub(super) mod lzf;
pub(super) mod lzma;
pub(super) mod numbers;
pub(super) mod shuffle;
#[cfg(test)]
mod tests;
pub(super) mod zstd;

/// Undoes one thing that was done to the bytes of a chunk.
pub(super) trait Codec: Debug + Send + Sync {
    /// What people call it.
    fn name(&self) -> &'static str;

    /// The most bytes that so many become when they are encoded. Compressors store what they cannot make smaller, and
    /// need a little for saying so.
    fn most(&self, plain: u64) -> u64 {
        plain.saturating_add(plain / 8).saturating_add(64 << 10)
    }

    /// Decodes bytes, to at most `limit` of them.
    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage>;
}

/// Why bytes cannot be decoded: a clause that follows "its data".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) String);

impl Damage {
    pub(super) fn new(what: impl fmt::Display) -> Damage {
        Damage(format!("are damaged ({what})"))
    }

    pub(super) fn too_long(limit: usize) -> Damage {
        Damage(format!("decode to more than the {limit} bytes that there can be"))
    }

    pub(super) fn too_short() -> Damage {
        Damage("end too early".into())
    }
}

impl From<std::io::Error> for Damage {
    fn from(error: std::io::Error) -> Damage {
        if error.kind() == std::io::ErrorKind::UnexpectedEof { Damage::too_short() } else { Damage::new(error) }
    }
}

/// What a chunk went through, first thing first.
#[derive(Debug, Default)]
pub(super) struct Chain(pub(super) Vec<Box<dyn Codec>>);

impl Chain {
    /// The most bytes that a chunk of so many takes where it is stored.
    pub(super) fn most(&self, plain: u64) -> u64 {
        self.0.iter().fold(plain, |bytes, codec| codec.most(bytes))
    }

    /// Decodes a chunk that must have `plain` bytes. Bit `n` of `left_out` is set if codec number `n` was not applied.
    ///
    /// # Errors
    /// What is wrong with the chunk, a clause that follows its name and "its".
    pub(super) fn decode(&self, stored: Vec<u8>, plain: usize, left_out: u32) -> Result<Vec<u8>, String> {
        let is_applied = |number: &usize| *number >= 32 || left_out & 1 << number == 0;
        let applied: Vec<&dyn Codec> =
            self.0.iter().enumerate().filter(|(number, _)| is_applied(number)).map(|(_, codec)| &**codec).collect();
        // What each codec was given when the chunk was written.
        let mut limits = vec![plain as u64];
        for codec in &applied {
            limits.push(codec.most(limits[limits.len() - 1]));
        }
        let mut bytes = stored;
        for (codec, &limit) in applied.iter().zip(&limits).rev() {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            bytes = codec.decode(bytes, limit).map_err(|damage| format!("its {} data {}", codec.name(), damage.0))?;
        }
        if bytes.len() == plain {
            Ok(bytes)
        } else {
            let found = bytes.len();
            Err(format!("it holds {found} bytes where a chunk has {plain}"))
        }
    }
}

/// All that a decoder gives, if that is no more than `limit` bytes.
fn read_all(reader: impl Read, limit: usize) -> Result<Vec<u8>, Damage> {
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(Damage::too_long(limit)) } else { Ok(bytes) }
}

/// The first `N` bytes, and the rest.
fn head<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Damage> {
    let (head, rest) = bytes.split_first_chunk().ok_or_else(Damage::too_short)?;
    Ok((*head, rest))
}
