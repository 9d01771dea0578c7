//! LZMA, in files of xz and of its predecessor (`.lzma`).

use std::io::Read;

use lzma_rust2::{LzmaReader, XzReader};

use super::{Codec, Damage, read_all};

/// The most memory that a decoder takes, in KiB. The dictionaries of `xz -9` have 64 MiB, and one may be 4 GiB.
const MEMORY: u32 = 256 << 10;

/// LZMA.
#[derive(Debug)]
pub(in crate::unpack) enum Lzma {
    /// In the format of xz.
    Xz,
    /// In the format of `.lzma`.
    Alone,
    /// In either: what the first bytes say.
    Auto,
}

impl Codec for Lzma {
    fn name(&self) -> &'static str {
        "lzma"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let is_xz = match self {
            Lzma::Xz => true,
            Lzma::Alone => false,
            Lzma::Auto => bytes.starts_with(MAGIC),
        };
        if is_xz {
            read_all(xz(&bytes[..]), limit)
        } else {
            read_all(LzmaReader::new_mem_limit(&bytes[..], MEMORY, None)?, limit)
        }
    }
}

/// What every xz file begins with.
pub(in crate::unpack) const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";

/// Reads an xz file.
pub(in crate::unpack) fn xz<R: Read>(source: R) -> impl Read {
    XzReader::new_mem_limit(source, true, MEMORY)
}
