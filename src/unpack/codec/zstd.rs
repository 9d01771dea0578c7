//! Zstandard (RFC 8878): frames one after the other, each with a checksum or without.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Codec, Damage, read_all};

/// What every frame begins with.
pub(in crate::unpack) const MAGIC: &[u8; 4] = b"\x28\xb5\x2f\xfd";

/// Zstandard frames.
#[derive(Debug)]
pub(in crate::unpack) struct Zstd;

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        read_all(Frames::new(&bytes[..]), limit)
    }
}

/// Reads frames. The decoder takes one at a time, and leaves the checksum to its user.
pub(in crate::unpack) struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame has begun.
    is_within: bool,
}

impl<R: BufRead> Frames<R> {
    pub(in crate::unpack) fn new(source: R) -> Frames<R> {
        Frames { source, decoder: FrameDecoder::new(), is_within: false }
    }

    /// Begins the next frame, if there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.is_within {
                if !self.begin()? {
                    return Ok(0);
                }
                self.is_within = true;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if self.decoder.is_finished() {
                let (stored, computed) =
                    (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
                if stored.is_some() && stored != computed {
                    return Err(io::Error::other("its checksum is wrong"));
                }
                self.is_within = false;
                continue;
            }
            let step = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&mut self.source, step).map_err(io::Error::other)?;
        }
    }
}
