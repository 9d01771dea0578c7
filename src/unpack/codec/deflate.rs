//! Deflate (RFC 1951), as zlib (RFC 1950) and gzip (RFC 1952) frame it.

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::{Codec, Damage, read_all};

/// Bytes that are decoded at once.
const STEP: usize = 256 << 10;

/// One or several gzip members.
#[derive(Debug)]
pub(in crate::unpack) struct Gzip;

impl Codec for Gzip {
    fn name(&self) -> &'static str {
        "gzip"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        read_all(MultiGzDecoder::new(&bytes[..]), limit)
    }
}

/// A zlib stream.
#[derive(Debug)]
pub(in crate::unpack) struct Zlib;

impl Codec for Zlib {
    fn name(&self) -> &'static str {
        "zlib"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        inflate(&bytes, limit)
    }
}

/// What a zlib stream holds. Unlike a reader, this tells a stream that ends from one that is cut.
pub(super) fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Damage> {
    let mut state = Decompress::new(true);
    let mut plain = Vec::new();
    loop {
        // One byte more than may be, to see that there are more.
        plain.reserve((limit - plain.len() + 1).min(STEP));
        let (taken, given) = (state.total_in(), state.total_out());
        let status = state.decompress_vec(&bytes[taken as usize..], &mut plain, FlushDecompress::None);
        if plain.len() > limit {
            return Err(Damage::too_long(limit));
        }
        match status.map_err(Damage::new)? {
            Status::StreamEnd => return Ok(plain),
            _ if (taken, given) == (state.total_in(), state.total_out()) => return Err(Damage::too_short()),
            _ => {}
        }
    }
}
