//! AIFF and AIFF-C (`.aif`, `.aiff`, `.aifc`): sound of Apple, uncompressed.
//!
//! Specifications: "Audio Interchange File Format AIFF 1.3" and "AIFF-C" (Apple, 1989 and 1991); codecs that came later as
//! in libsndfile's `aiff.c`. Everything is big-endian. A file is `FORM`, 4 bytes of length, `AIFF` or `AIFC`, and chunks: 4
//! bytes of id, 4 of length, the content, and a byte of padding if the length is odd.
//!
//! | chunk  | content                                                                                      |
//! |--------|----------------------------------------------------------------------------------------------|
//! | `COMM` | 2: channels; 4: frames; 2: bits of a sample; 10: frames per second, an extended IEEE 754 number; in AIFF-C further 4: codec, and its name |
//! | `SSND` | 4: bytes to pass over (n); 4: size of blocks; n; the samples                                 |
//! | `NAME` `AUTH` `(c) ` `ANNO` | a text each, which becomes an attribute                                 |
//!
//! | codec                          | samples                                                              |
//! |--------------------------------|----------------------------------------------------------------------|
//! | none (AIFF), `NONE` `twos`     | big-endian integers of as many bytes as hold the bits                |
//! | `sowt`                         | little-endian ones                                                   |
//! | `in24` `in32`                  | big-endian integers of 3 and of 4 bytes                              |
//! | `42ni` (`42n1`) `23ni`         | little-endian ones                                                   |
//! | `raw `                         | unsigned integers of 1 byte                                          |
//! | `fl32` `FL32` `fl64` `FL64`    | IEEE 754 numbers, big-endian                                         |
//! | `alaw` `ALAW` `ulaw` `ULAW`    | A-law, mu-law                                                        |
//! | others                         | refused: they need a decoder                                         |
//!
//! Limits, and why:
//!
//! - At most [`MAX_CHUNKS`] chunks are looked at, in any order.
//! - All frames that `COMM` claims must lie in `SSND` and in the file. Where a program that writes into a pipe left the length
//!   of `SSND` 0 or all ones, the frames are as many as the file holds.

use crate::dtype::ByteOrder;
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::sound::{self, Encoding, Sound};
use crate::format::{Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The most chunks that are looked at: files have a dozen.
pub const MAX_CHUNKS: usize = 1024;

/// Bytes of a chunk's head.
const CHUNK_HEAD: u64 = 8;

/// The AIFF and AIFF-C formats.
#[derive(Clone, Copy, Debug)]
pub struct Aiff;

impl Format for Aiff {
    fn name(&self) -> &'static str {
        "aiff"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".aif", ".aiff", ".aifc"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(b"FORM") && matches!(head.get(8..12), Some(b"AIFF" | b"AIFC"))
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "AIFF", u64::MAX);
        cursor.order = ByteOrder::Big;
        let (form, _length): ([u8; 4], [u8; 4]) = (cursor.array()?, cursor.array()?);
        let of: [u8; 4] = cursor.array()?;
        if form != *b"FORM" || !matches!(&of, b"AIFF" | b"AIFC") {
            return Err(Refusal(
                "it does not begin with FORM and AIFF or AIFC: it is a file of another kind, or damaged; rename it, or save \
                 it again as AIFF"
                    .into(),
            ));
        }
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        let (common, data) = chunks(&mut cursor, file.len(), of == *b"AIFC", &mut attributes)?;
        let common = common.ok_or_else(|| fault("it has no chunk COMM, which says what its samples are"))?;
        let encoding = common.encoding()?;
        let frame = common.channels * encoding.itemsize();
        let Some(data) = data else {
            if common.frames == 0 {
                let sound = Sound { encoding, channels: common.channels, offset: 0, frames: 0 };
                return sound.array(self.name(), "AIFF", attributes).map(Content::One);
            }
            return Err(fault("it has no chunk SSND, which has the samples"));
        };
        let held = file.len().saturating_sub(data.offset);
        let frames = match data.length {
            None => held / frame,
            Some(length) => {
                // Two bytes of channels times eight of a sample times four of frames fit.
                let claimed = common.frames * frame;
                if claimed > length.min(held) {
                    let end = data.offset.saturating_add(length).min(file.len());
                    return Err(sound::truncated(claimed, data.offset, end));
                }
                common.frames
            }
        };
        let sound = Sound { encoding, channels: common.channels, offset: data.offset, frames };
        sound.array(self.name(), "AIFF", attributes).map(Content::One)
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or was truncated: copy or save it again"))
}

/// What the chunk `COMM` says.
#[derive(Debug)]
struct Common {
    channels: u64,
    frames: u64,
    bits: u16,
    /// `NONE` in AIFF.
    codec: [u8; 4],
}

impl Common {
    fn encoding(&self) -> Result<Encoding, Refusal> {
        let bytes = u64::from(self.bits.div_ceil(8));
        let encoding = match &self.codec {
            b"NONE" | b"twos" => Encoding::int(ByteOrder::Big, bytes),
            b"sowt" => Encoding::int(ByteOrder::Little, bytes),
            b"in24" => Encoding::int(ByteOrder::Big, 3),
            b"in32" => Encoding::int(ByteOrder::Big, 4),
            b"42ni" | b"42n1" => Encoding::int(ByteOrder::Little, 3),
            b"23ni" => Encoding::int(ByteOrder::Little, 4),
            b"raw " => Some(Encoding::unsigned()),
            b"fl32" | b"FL32" => Encoding::float(ByteOrder::Big, 4),
            b"fl64" | b"FL64" => Encoding::float(ByteOrder::Big, 8),
            b"alaw" | b"ALAW" => Some(Encoding::logarithmic("alaw")),
            b"ulaw" | b"ULAW" => Some(Encoding::logarithmic("mulaw")),
            codec => return Err(sound::encoded(&format!("codec {}", codec.escape_ascii()))),
        };
        let is_sound = |bits: &u16| (1..=32).contains(bits);
        encoding.filter(|_| self.codec[..] != b"NONE"[..] || is_sound(&self.bits)).ok_or_else(|| {
            fault(&format!("its chunk COMM claims samples of {} bits, and they have from 1 to 32", self.bits))
        })
    }
}

/// Where the chunk `SSND` has its samples.
#[derive(Debug)]
struct Data {
    offset: u64,
    /// How many bytes, if the writer knew.
    length: Option<u64>,
}

/// Looks at all chunks of a file of `held` bytes.
fn chunks(
    cursor: &mut Cursor,
    held: u64,
    is_aifc: bool,
    attributes: &mut Attributes,
) -> Result<(Option<Common>, Option<Data>), Refusal> {
    let (mut common, mut data) = (None, None);
    for _ in 0..MAX_CHUNKS {
        if held.saturating_sub(cursor.position()) < CHUNK_HEAD {
            break;
        }
        let id: [u8; 4] = cursor.array()?;
        let length = cursor.u32()?;
        let start = cursor.position();
        match &id {
            b"COMM" if common.is_none() => common = Some(comm(cursor, length, is_aifc, attributes)?),
            b"SSND" if data.is_none() => {
                let (skipped, _block) = (cursor.u32()?, cursor.u32()?);
                let inside = 8 + u64::from(skipped);
                let length = match length {
                    0 | u32::MAX => None,
                    _ => Some(u64::from(length).saturating_sub(inside)),
                };
                data = Some(Data { offset: start + inside, length });
                if length.is_none() {
                    break;
                }
            }
            b"NAME" | b"AUTH" | b"(c) " | b"ANNO" if u64::from(length) <= MAX_TEXT.min(held - start) => {
                let name = match &id {
                    b"NAME" => "name",
                    b"AUTH" => "author",
                    b"ANNO" => "annotation",
                    _ => "copyright",
                };
                attributes.insert(name, header::text(&cursor.bytes(length.into())?).into());
            }
            _ => {}
        }
        let next = start + u64::from(length).next_multiple_of(2);
        if next > held {
            break;
        }
        cursor.skip(next - cursor.position().min(next))?;
    }
    Ok((common, data))
}

/// Reads a chunk `COMM`.
fn comm(cursor: &mut Cursor, length: u32, is_aifc: bool, attributes: &mut Attributes) -> Result<Common, Refusal> {
    if length < if is_aifc { 22 } else { 18 } {
        return Err(fault("its chunk COMM is too short"));
    }
    let (channels, frames, bits) = (u64::from(cursor.u16()?), u64::from(cursor.u32()?), cursor.u16()?);
    let rate = extended(cursor.array()?);
    let codec = if is_aifc { cursor.array()? } else { *b"NONE" };
    if channels == 0 {
        return Err(fault("its chunk COMM claims no channel"));
    }
    let whole = rate as u32;
    attributes.insert("rate", if f64::from(whole) == rate { whole.into() } else { header::float(rate) });
    attributes.insert("bits", bits.into());
    Ok(Common { channels, frames, bits, codec })
}

/// A number of 80 bits: sign and exponent in two bytes, the mantissa with its leading one in eight.
fn extended(bytes: [u8; 10]) -> f64 {
    let [a, b, mantissa @ ..] = bytes;
    let exponent = i32::from(u16::from_be_bytes([a & 0x7f, b])) - 16383 - 63;
    let size = u64::from_be_bytes(mantissa) as f64 * 2_f64.powi(exponent);
    if a & 0x80 == 0 { size } else { -size }
}
