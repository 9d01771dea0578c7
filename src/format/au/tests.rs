//! Headers in both orders, and each that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::Array;
use crate::format::header::tests::{Bytes, array, described, lies_within, says};

/// A big-endian file with 24 bytes of samples.
fn file(offset: u32, length: u32, encoding: u32, channels: u32, text: &[u8]) -> Vec<u8> {
    let numbers = [offset, length, encoding, 8000, channels].map(u32::to_be_bytes).concat();
    [b".snd", &numbers[..], text, &[0; 24]].concat()
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    array(&Au, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

#[test]
fn every_encoding() {
    for (encoding, wanted) in [
        (1, "|u1 (mulaw) at 24 [24] [1]"),
        (2, "|i1 at 24 [24] [1]"),
        (3, ">i2 at 24 [12] [2]"),
        (4, "|V3 (i3be) at 24 [8] [3]"),
        (5, ">i4 at 24 [6] [4]"),
        (6, ">f4 at 24 [6] [4]"),
        (7, ">f8 at 24 [3] [8]"),
        (27, "|u1 (alaw) at 24 [24] [1]"),
    ] {
        assert_eq!(described(&parse(&file(24, 24, encoding, 1, b"")).unwrap()), wanted);
    }
}

#[test]
fn little_endian_with_channels_text_and_no_length() {
    let numbers = [32, u32::MAX, 4, 44100, 3].map(u32::to_le_bytes).concat();
    let bytes = [b"dns.", &numbers[..], b"hello\0\0\0", &[0; 24]].concat();
    let found = parse(&bytes).unwrap();
    assert_eq!(described(&found), "|V3 (i3) at 32 [2, 3] [9, 3]");
    assert_eq!(json!(found.attributes), json!({"rate": 44100, "annotation": "hello"}));
}

#[test]
fn known_by_content() {
    assert!(Au.knows(b".snd\0\0\0\x18") && Au.knows(b"dns."));
    assert!(!Au.knows(b"snd.") && !Au.knows(b""));
}

#[test]
fn refused_other_kinds() {
    refused(b"RIFF", &[".snd", "another kind"]);
    refused(b".snd\0", &["ends within its AU header"]);
    refused(b"", &["ends within its AU header"]);
}

#[test]
fn refused_within_the_header() {
    refused(&file(20, 24, 2, 1, b""), &["sound at byte 20, within the header"]);
}

#[test]
fn refused_no_channel() {
    refused(&file(24, 24, 2, 0, b""), &["no channel"]);
}

#[test]
fn refused_encoded() {
    for (encoding, name) in [(23, "G.721"), (24, "G.722"), (26, "G.723"), (0, "encoding 0 of AU"), (99, "encoding 99")]
    {
        refused(&file(24, 24, encoding, 1, b""), &[name, "ffmpeg"]);
    }
}

#[test]
fn refused_truncated() {
    refused(&file(24, 25, 2, 1, b""), &["claims 25 bytes of sound at offset 24, the file holds only 24"]);
    refused(&file(1000, u32::MAX, 2, 1, b""), &["at offset 1000, the file holds only 0"]);
}

proptest! {
    #[test]
    fn no_header_is_too_strange(
        little in any::<bool>(),
        encoding in 0_u32..30,
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        small in any::<bool>(),
    ) {
        if small && bytes.len() > 20 {
            bytes[..20].copy_from_slice(&[24, 50, encoding, 8000, 2].map(u32::to_be_bytes).concat());
        }
        bytes.splice(..0, *if little { b"dns." } else { b".snd" });
        if let Ok(found) = parse(&bytes) {
            prop_assert!(lies_within(&found, bytes.len() as u64));
        }
    }
}
