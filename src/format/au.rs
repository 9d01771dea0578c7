//! AU, also called SND (`.au`, `.snd`): sound of Sun and NeXT, uncompressed.
//!
//! Specification: the manual page audio(5) of SunOS; codes of newer encodings as in libsndfile's `au.c`. Numbers are
//! big-endian in a file that begins with `.snd`, and little-endian, the samples included, in one that begins with
//! `dns.` (DEC). A file is
//!
//! | bytes | what                                                       |
//! |-------|------------------------------------------------------------|
//! | 4     | the magic                                                  |
//! | 4     | first byte of the samples                                  |
//! | 4     | bytes of the samples; all ones: as many as the file holds  |
//! | 4     | encoding                                                   |
//! | 4     | frames per second                                          |
//! | 4     | channels                                                   |
//! | rest up to the samples | a text, zeros behind it                   |
//!
//! | encoding | samples              | encoding | samples                                        |
//! |----------|----------------------|----------|------------------------------------------------|
//! | 1        | mu-law               | 6        | IEEE 754 numbers of 4 bytes                    |
//! | 2        | integers of 1 byte   | 7        | of 8 bytes                                     |
//! | 3        | of 2 bytes           | 27       | A-law                                          |
//! | 4        | of 3 bytes           | others   | refused: they need a decoder, or a DSP of NeXT |
//! | 5        | of 4 bytes           |          |                                                |
//!
//! Limits, and why: bytes behind the last whole frame are no samples. Of the text only the start is kept.

use crate::dtype::ByteOrder;
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::sound::{self, Encoding, Sound};
use crate::format::{Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// Bytes of the header without the text.
const HEADER: u64 = 24;

/// The AU format.
#[derive(Clone, Copy, Debug)]
pub struct Au;

impl Format for Au {
    fn name(&self) -> &'static str {
        "au"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".au", ".snd"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        matches!(head.get(..4), Some(b".snd" | b"dns."))
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "AU", u64::MAX);
        match &cursor.array()? {
            b".snd" => cursor.order = ByteOrder::Big,
            b"dns." => {}
            _ => {
                return Err(Refusal(
                    "it does not begin with the magic bytes .snd or dns.: it is a file of another kind, perhaps sound \
                     without a header, or damaged; rename it, or save it again as AU"
                        .into(),
                ));
            }
        }
        let (offset, length, code) = (u64::from(cursor.u32()?), cursor.u32()?, cursor.u32()?);
        let (rate, channels) = (cursor.u32()?, u64::from(cursor.u32()?));
        if offset < HEADER {
            return Err(fault(&format!("its AU header claims sound at byte {offset}, within the header")));
        }
        if channels == 0 {
            return Err(fault("its AU header claims no channel"));
        }
        let encoding = encoding(code, cursor.order)?;
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("rate", rate.into());
        let kept = (offset.min(file.len()) - HEADER).min(MAX_TEXT);
        let text = header::text(&cursor.bytes(kept)?);
        if !text.is_empty() {
            attributes.insert("annotation", text.into());
        }
        let held = file.len().saturating_sub(offset);
        let length = if length == u32::MAX { held } else { length.into() };
        if length > held || offset > file.len() {
            return Err(sound::truncated(length, offset, file.len()));
        }
        // Four bytes of channels times eight of a sample fit.
        let frames = length / (channels * encoding.itemsize());
        Sound { encoding, channels, offset, frames }.array(self.name(), "AU", attributes).map(Content::One)
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: copy or save it again"))
}

fn encoding(code: u32, order: ByteOrder) -> Result<Encoding, Refusal> {
    let codec = match code {
        1 => return Ok(Encoding::logarithmic("mulaw")),
        27 => return Ok(Encoding::logarithmic("alaw")),
        23 => "G.721 ADPCM",
        24 => "G.722 ADPCM",
        25 | 26 => "G.723 ADPCM",
        _ => {
            let bytes = u64::from(code).wrapping_sub(1);
            let number = match code {
                2..=5 => Encoding::int(order, bytes),
                6 => Encoding::float(order, 4),
                7 => Encoding::float(order, 8),
                _ => None,
            };
            return number.ok_or_else(|| sound::encoded(&format!("encoding {code} of AU")));
        }
    };
    Err(sound::encoded(codec))
}
