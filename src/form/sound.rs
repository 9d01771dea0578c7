//! `.wav`, `.au`: sound. One axis is one channel; of two, the first counts frames and the second channels.
//!
//! # WAV
//!
//! RIFF chunks, little-endian: `fmt `, for all but plain integers `fact`, then `data`, padded to an even length. Integers of up to 16
//! bits in at most two channels have the plain `fmt ` of 16 bytes; more, or wider ones, the extensible one of 40; floats that of 18.
//! A single byte is unsigned in WAV. Above 4 GiB the file is an RF64 (EBU Tech 3306), with its lengths in a chunk `ds64`. Source:
//! Microsoft, "Multiple Channel Audio Data and WAVE Files".
//!
//! # AU
//!
//! Six big-endian words: the magic, the offset of the samples, their length, the encoding, the rate, the channels.
//!
//! The rate is that of the array's attributes, and 48000 where these have none.

use super::{Accepts, Binary, Face, Slice};
use crate::convert::{Code, Element};

/// What attributes call the frames per second.
const RATES: [&str; 6] = ["rate", "sample_rate", "samplerate", "sampling_rate", "frame_rate", "fs"];

/// Samples, and how many.
struct Sound {
    code: Code,
    channels: u16,
    frames: u64,
    rate: u32,
    /// Bytes of all samples.
    length: u64,
}

fn sound(slice: &Slice<'_>) -> Option<Sound> {
    let Element { code, complex: false, .. } = slice.number()? else { return None };
    let (frames, channels) = match *slice.shape {
        [frames] => (frames, 1),
        [frames, channels] if channels > 0 => (frames, u16::try_from(channels).ok()?),
        _ => return None,
    };
    let rate = RATES.iter().find_map(|name| slice.attributes.get(*name)?.as_f64());
    let rate = rate.filter(|rate| (1.0..4e9).contains(rate)).map_or(48_000, |rate| rate.round() as u32);
    Some(Sound { code, channels, frames, rate, length: slice.count() * code.size() as u64 })
}

pub(super) fn wav(slice: &Slice<'_>) -> Option<Face> {
    let Sound { code, channels, frames, rate, length } = sound(slice)?;
    let tag: u16 = match code {
        Code::Uint(1) | Code::Int(1..=4) => 1,
        Code::Float(_) => 3,
        _ => return None,
    };
    let size = code.size() as u16;
    let is_extensible = tag == 1 && (size > 2 || channels > 2);
    let block = size.checked_mul(channels)?;
    let mut format = Vec::new();
    format.extend(if is_extensible { 0xfffe } else { tag }.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend(rate.saturating_mul(block.into()).to_le_bytes());
    format.extend(block.to_le_bytes());
    format.extend((8 * size).to_le_bytes());
    if is_extensible {
        let speakers: u32 = match channels {
            1 => 0x4,
            2 => 0x3,
            4 => 0x33,
            6 => 0x3f,
            8 => 0xff,
            _ => 0,
        };
        format.extend(22_u16.to_le_bytes());
        format.extend((8 * size).to_le_bytes());
        format.extend(speakers.to_le_bytes());
        format.extend(tag.to_le_bytes());
        format.extend(b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
    } else if tag != 1 {
        format.extend([0, 0]);
    }
    let mut chunks = chunk(b"fmt ", &format);
    if is_extensible || tag != 1 {
        chunks.extend(chunk(b"fact", &u32::try_from(frames).unwrap_or(u32::MAX).to_le_bytes()));
    }
    let tail = length % 2;
    let whole = 4 + chunks.len() as u64 + 8 + length + tail;
    let mut head = Vec::new();
    match u32::try_from(whole) {
        Ok(whole) => {
            head.extend(b"RIFF");
            head.extend(whole.to_le_bytes());
            head.extend(b"WAVE");
        }
        Err(_) => {
            let lengths = [(whole + 36).to_le_bytes(), length.to_le_bytes(), frames.to_le_bytes()].concat();
            head.extend(b"RF64\xff\xff\xff\xffWAVE");
            head.extend(chunk(b"ds64", &[&lengths[..], &[0; 4]].concat()));
        }
    }
    head.extend(chunks);
    head.extend(b"data");
    head.extend(u32::try_from(length).ok().filter(|_| whole <= u32::MAX.into()).unwrap_or(u32::MAX).to_le_bytes());
    let flip = code == Code::Int(1);
    let accepts = Some(is_same_wav as Accepts);
    Some(Face::Binary(Binary { head, big: Some(false), flip, tail, accepts, ..Binary::default() }))
}

fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [id, &(content.len() as u32).to_le_bytes()[..], content].concat()
}

/// The rate may differ, since there is no place to keep it, and lengths may be left open, as programs do that write them last.
fn is_same_wav(head: &[u8], ours: &[u8]) -> bool {
    let meaning = |head: &[u8]| {
        let mut rest =
            head.strip_prefix(b"RIFF").or_else(|| head.strip_prefix(b"RF64"))?.get(4..)?.strip_prefix(b"WAVE")?;
        let (mut format, mut length) = (None, None);
        while let Some((id, after)) = rest.split_first_chunk::<4>() {
            let (bytes, content) = after.split_first_chunk::<4>()?;
            let bytes = u32::from_le_bytes(*bytes);
            if id == b"data" {
                length = content.is_empty().then_some(bytes);
                break;
            }
            let (content, after) = content.split_at_checked(bytes as usize)?;
            if id == b"fmt " {
                let word = |at: usize| content.get(at..at + 2).map(|word| u16::from_le_bytes([word[0], word[1]]));
                let tag = if word(0)? == 0xfffe { word(24)? } else { word(0)? };
                format = Some((tag, word(2)?, word(12)?, word(14)?));
            }
            rest = after;
        }
        Some((format?, length?))
    };
    let is_open = |length: u32| length == 0 || length >= 0x7fff_0000;
    match (meaning(head), meaning(ours)) {
        (Some((format, length)), Some((own, known))) => format == own && (length == known || is_open(length)),
        _ => false,
    }
}

pub(super) fn au(slice: &Slice<'_>) -> Option<Face> {
    let Sound { code, channels, rate, length, .. } = sound(slice)?;
    let encoding: u32 = match code {
        Code::Int(1) | Code::Uint(1) => 2,
        Code::Int(2) => 3,
        Code::Int(3) => 4,
        Code::Int(4) => 5,
        Code::Float(4) => 6,
        Code::Float(_) => 7,
        _ => return None,
    };
    let mut head = b".snd".to_vec();
    for word in [24, u32::try_from(length).unwrap_or(u32::MAX), encoding, rate, channels.into()] {
        head.extend(word.to_be_bytes());
    }
    let flip = code == Code::Uint(1);
    let accepts = Some(is_same_au as Accepts);
    Some(Face::Binary(Binary { head, big: Some(true), flip, accepts, ..Binary::default() }))
}

/// As for WAV.
fn is_same_au(head: &[u8], ours: &[u8]) -> bool {
    let is_open = matches!(head.get(8..12), Some([0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff]));
    head.get(..8) == ours.get(..8)
        && (is_open || head.get(8..12) == ours.get(8..12))
        && head.get(12..16) == ours.get(12..16)
        && head.get(20..) == ours.get(20..)
}
