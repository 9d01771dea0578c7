//! WAV (`.wav`): sound, uncompressed.
//!
//! Specifications: "Multimedia Programming Interface and Data Specifications 1.0" (IBM and Microsoft, 1991) for RIFF and
//! `fmt `, Microsoft's documentation of `WAVEFORMATEXTENSIBLE`, EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64) for files
//! of more than 4 GiB. A file is a header of 12 bytes and chunks. The header is `RIFF` (little-endian), `RIFX`
//! (big-endian, the samples included), `RF64` or `BW64`, 4 bytes of length, and `WAVE`. A chunk is
//!
//! | bytes  | what                                                           |
//! |--------|----------------------------------------------------------------|
//! | 4      | its id                                                         |
//! | 4      | its length, without this head                                  |
//! | length | its content, and a byte of padding if the length is odd        |
//!
//! | chunk  | content                                                                                     |
//! |--------|---------------------------------------------------------------------------------------------|
//! | `fmt ` | 2: codec; 2: channels; 4: frames per second; 4: bytes per second; 2: bytes of a frame; 2: bits of a sample; of codec 0xFFFE further 2: length of what follows; 2: valid bits; 4: mask of speakers; 16: a GUID that begins with the codec |
//! | `data` | the samples                                                                                 |
//! | `ds64` | (RF64, BW64) 8: length of the file; 8: length of `data`; 8: number of frames; 4: number of entries; entries of id (4) and length (8). Lengths that are all ones in a chunk stand here |
//! | `LIST` | if it begins with `INFO`: chunks of texts (title, artist, ...), which become attributes      |
//!
//! | codec | samples                                                                                      |
//! |-------|----------------------------------------------------------------------------------------------|
//! | 1     | integers: of one byte unsigned, else signed                                                  |
//! | 3     | IEEE 754 numbers                                                                             |
//! | 6, 7  | A-law, mu-law                                                                                |
//! | others | refused: they need a decoder                                                                |
//!
//! Limits, and why:
//!
//! - Chunks may stand in any order; at most [`MAX_CHUNKS`] are looked at.
//! - Programs that write into a pipe cannot know the length: a `data` chunk of length 0, of all ones, or of 0x7FFFF000
//!   (SoX) where there are fewer bytes reaches to the file's end. (One of length 0 is empty where the file is as long as
//!   its head says.) Any other length must be there.
//! - Bytes behind the last whole frame are no samples.

use crate::dtype::ByteOrder;
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::sound::{self, Encoding, Sound};
use crate::format::{Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The most chunks that are looked at: files have a dozen.
pub const MAX_CHUNKS: usize = 1024;

/// The most entries of a `ds64` chunk that are looked at.
pub const MAX_LENGTHS: u32 = 256;

/// Bytes of a chunk's head.
const CHUNK_HEAD: u64 = 8;

/// A length that stands elsewhere or that nobody knew.
const UNKNOWN: u32 = u32::MAX;

/// What SoX writes where it does not know the length.
const UNKNOWN_TO_SOX: u64 = 0x7fff_f000;

/// What follows the codec in a GUID: of Microsoft's codecs, and of the same ones in Ambisonics.
const GUIDS: [[u8; 12]; 2] = [
    [0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71],
    [0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0],
];

/// The WAV format.
#[derive(Clone, Copy, Debug)]
pub struct Wav;

impl Format for Wav {
    fn name(&self) -> &'static str {
        "wav"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".wav", ".wave", ".bwf", ".rf64", ".bw64"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        matches!(head.get(..4), Some(b"RIFF" | b"RIFX" | b"RF64" | b"BW64")) && head.get(8..12) == Some(b"WAVE")
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "WAV", u64::MAX);
        let mut found = start(&mut cursor, file.len())?;
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        found.walk(&mut cursor, file.len(), &mut attributes)?;
        let fmt = found.fmt.ok_or_else(|| fault("it has no chunk 'fmt ', which says what its samples are"))?;
        let (offset, length) = found.data.ok_or_else(|| fault("it has no chunk 'data', which has the samples"))?;
        let held = file.len().saturating_sub(offset);
        let length = match length {
            None => held,
            Some(UNKNOWN_TO_SOX) if held < UNKNOWN_TO_SOX => held,
            Some(length) if length > held => return Err(sound::truncated(length, offset, file.len())),
            Some(length) => length,
        };
        let frames = length / u64::from(fmt.frame);
        let sound = Sound { encoding: fmt.encoding, channels: fmt.channels.into(), offset, frames };
        sound.array(self.name(), "WAV", attributes).map(Content::One)
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or was truncated: copy or save it again"))
}

/// Reads the head of a file of `held` bytes, and finds the byte order.
fn start(cursor: &mut Cursor, held: u64) -> Result<Chunks, Refusal> {
    let magic: [u8; 4] = cursor.array()?;
    if magic == *b"RIFX" {
        cursor.order = ByteOrder::Big;
    }
    let (length, of) = (cursor.u32()?, cursor.array()?);
    let is_known = matches!(&magic, b"RIFF" | b"RIFX" | b"RF64" | b"BW64") && of == *b"WAVE";
    let is_closed = u64::from(length) + CHUNK_HEAD == held;
    let is_large = matches!(&magic, b"RF64" | b"BW64");
    if is_known { Ok(Chunks { is_large, is_closed, ..Chunks::default() }) } else { Err(other_kind()) }
}

fn other_kind() -> Refusal {
    Refusal(
        "it does not begin with RIFF, RIFX, RF64 or BW64, and WAVE: it is a file of another kind, or damaged; rename it, \
         or save it again as WAV"
            .into(),
    )
}

/// What the chunks say.
#[derive(Debug, Default)]
struct Chunks {
    /// Whether lengths may stand in `ds64`.
    is_large: bool,
    /// Whether the file is as long as its head says: then its writer came to the end.
    is_closed: bool,
    /// Lengths of chunks that do not fit into their heads.
    lengths: Vec<([u8; 4], u64)>,
    fmt: Option<Fmt>,
    /// First byte of the samples, and their length where it is known.
    data: Option<(u64, Option<u64>)>,
}

/// What the samples are.
#[derive(Debug)]
struct Fmt {
    encoding: Encoding,
    channels: u16,
    /// Bytes of a frame, which is one sample for each channel.
    frame: u32,
}

impl Chunks {
    /// Looks at all chunks of a file of `held` bytes.
    fn walk(&mut self, cursor: &mut Cursor, held: u64, attributes: &mut Attributes) -> Result<(), Refusal> {
        for _ in 0..MAX_CHUNKS {
            if held.saturating_sub(cursor.position()) < CHUNK_HEAD {
                break;
            }
            let id: [u8; 4] = cursor.array()?;
            let short = cursor.u32()?;
            let start = cursor.position();
            let length = self.length(id, short);
            match &id {
                b"ds64" if self.is_large => self.lengths(cursor, short)?,
                b"fmt " if self.fmt.is_none() => self.fmt = Some(fmt(cursor, short, attributes)?),
                b"data" if self.data.is_none() => self.data = Some((start, length)),
                b"LIST" if held - start >= length.unwrap_or(u64::MAX) => info(cursor, short, attributes)?,
                _ => {}
            }
            // A chunk that reaches beyond the file is the last one.
            let Some(next) = length.and_then(|length| start.checked_add(length)?.checked_next_multiple_of(2)) else {
                break;
            };
            if next > held {
                break;
            }
            cursor.skip(next - cursor.position().min(next))?;
        }
        Ok(())
    }

    /// The length of a chunk, if it is known.
    fn length(&self, id: [u8; 4], short: u32) -> Option<u64> {
        let long = || self.lengths.iter().find(|(of, _)| *of == id).map(|&(_, length)| length);
        let length = if short == UNKNOWN && self.is_large { long()? } else { short.into() };
        let is_unknown = short == UNKNOWN && (!self.is_large || length == u64::MAX);
        let is_open = id == *b"data" && length == 0 && !self.is_closed;
        (!is_unknown && !is_open).then_some(length)
    }

    /// Reads a `ds64` chunk.
    fn lengths(&mut self, cursor: &mut Cursor, length: u32) -> Result<(), Refusal> {
        if length < 28 {
            return Err(fault("its chunk 'ds64' is too short"));
        }
        let (_file, data, _frames, count) = (cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u32()?);
        self.lengths.push((*b"data", data));
        for _ in 0..count.min((length - 28) / 12).min(MAX_LENGTHS) {
            self.lengths.push((cursor.array()?, cursor.u64()?));
        }
        Ok(())
    }
}

/// Reads a `fmt ` chunk.
fn fmt(cursor: &mut Cursor, length: u32, attributes: &mut Attributes) -> Result<Fmt, Refusal> {
    if length < 16 {
        return Err(fault("its chunk 'fmt ' is too short"));
    }
    let (mut codec, channels, rate) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
    let (_speed, frame, mut bits) = (cursor.u32()?, cursor.u16()?, cursor.u16()?);
    attributes.insert("rate", rate.into());
    if codec == 0xfffe {
        if length < 40 {
            return Err(fault("its chunk 'fmt ' is too short for a WAVEFORMATEXTENSIBLE"));
        }
        let (_rest, valid, mask) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
        let guid: [u8; 16] = cursor.array()?;
        codec = guid_codec(guid, cursor.order)?;
        // Of a codec that is not linear this field means something else, perhaps nothing.
        if (1..=bits).contains(&valid) {
            bits = valid;
        }
        attributes.insert("channel_mask", mask.into());
    }
    if channels == 0 {
        return Err(fault("its chunk 'fmt ' claims no channel"));
    }
    let whole = frame % channels == 0;
    let size = if whole { u64::from(frame / channels) } else { 0 };
    let encoding = match codec {
        1 if size == 1 => Some(Encoding::unsigned()),
        1 => Encoding::int(cursor.order, size),
        3 => Encoding::float(cursor.order, size),
        6 => (size == 1).then(|| Encoding::logarithmic("alaw")),
        7 => (size == 1).then(|| Encoding::logarithmic("mulaw")),
        _ => return Err(sound::encoded(&name(codec))),
    };
    let encoding = encoding.ok_or_else(|| {
        Refusal(format!(
            "its chunk 'fmt ' claims frames of {frame} bytes for {channels} channels of codec {codec}, which no sample \
             fits into; it is damaged: save it again"
        ))
    })?;
    attributes.insert("bits", bits.into());
    Ok(Fmt { encoding, channels, frame: frame.into() })
}

/// The codec that a GUID stands for.
fn guid_codec(guid: [u8; 16], order: ByteOrder) -> Result<u16, Refusal> {
    let [a, b, c, d, rest @ ..] = guid;
    let codec = match order {
        ByteOrder::Big => u32::from_be_bytes([a, b, c, d]),
        _ => u32::from_le_bytes([a, b, c, d]),
    };
    // Two numbers of the GUID follow the order of the file, the rest are bytes.
    let mut usual = rest;
    if order == ByteOrder::Big {
        usual.swap(0, 1);
        usual.swap(2, 3);
    }
    let codec = u16::try_from(codec).ok().filter(|_| GUIDS.contains(&usual));
    codec.ok_or_else(|| sound::encoded("a codec with a GUID of its own"))
}

/// What people call a codec.
fn name(codec: u16) -> String {
    let name = match codec {
        0x02 => "Microsoft ADPCM",
        0x11 => "IMA ADPCM",
        0x31 => "GSM 6.10",
        0x40 => "G.721 ADPCM",
        0x45 | 0x64 => "G.726 ADPCM",
        0x50 => "MPEG",
        0x55 => "MP3",
        0x92 | 0x2000 => "Dolby AC-3",
        0xff => "AAC",
        0x160..=0x163 => "Windows Media Audio",
        0x674f..=0x6751 | 0x676f..=0x6771 => "Vorbis",
        0xf1ac => "FLAC",
        _ => return format!("codec 0x{codec:04x}"),
    };
    name.to_owned()
}

/// Reads the texts of a `LIST` chunk.
fn info(cursor: &mut Cursor, length: u32, attributes: &mut Attributes) -> Result<(), Refusal> {
    let end = cursor.position() + u64::from(length);
    if length < 4 || cursor.array()? != *b"INFO" {
        return Ok(());
    }
    for _ in 0..MAX_CHUNKS {
        if end.saturating_sub(cursor.position()) < CHUNK_HEAD {
            break;
        }
        let id: [u8; 4] = cursor.array()?;
        let length = u64::from(cursor.u32()?);
        let Some(rest) = end.checked_sub(cursor.position() + length) else { break };
        if length <= MAX_TEXT {
            let text = header::text(&cursor.bytes(length)?);
            attributes.insert(&header::text(&id), text.into());
        } else {
            cursor.skip(length)?;
        }
        cursor.skip((length % 2).min(rest))?;
    }
    Ok(())
}
