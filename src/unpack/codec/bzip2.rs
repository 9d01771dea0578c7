//! bzip2: streams one after the other, each with its checksums.

use ::bzip2::bufread::MultiBzDecoder;

use super::{Codec, Damage, read_all};

/// bzip2.
#[derive(Debug)]
pub(in crate::unpack) struct Bzip2;

impl Codec for Bzip2 {
    fn name(&self) -> &'static str {
        "bzip2"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        read_all(MultiBzDecoder::new(&bytes[..]), limit)
    }
}
