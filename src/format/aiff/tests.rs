//! Chunks in all their ways, and each file that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::Array;
use crate::format::header::tests::{Bytes, array, described, lies_within, says};

const RATE: [u8; 10] = [0x40, 0x0e, 0xac, 0x44, 0, 0, 0, 0, 0, 0];

fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = [&id[..], &(content.len() as u32).to_be_bytes(), content].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

fn file(of: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    let chunks = chunks.concat();
    [b"FORM", &(chunks.len() as u32 + 4).to_be_bytes()[..], of, &chunks].concat()
}

fn common(channels: u16, frames: u32, bits: u16, codec: &[u8]) -> Vec<u8> {
    let numbers = [&channels.to_be_bytes()[..], &frames.to_be_bytes(), &bits.to_be_bytes()].concat();
    chunk(b"COMM", &[&numbers[..], &RATE, codec].concat())
}

fn data(bytes: usize) -> Vec<u8> {
    chunk(b"SSND", &vec![0; 8 + bytes])
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    array(&Aiff, &Bytes(bytes))
}

fn shown(bytes: &[u8]) -> String {
    described(&parse(bytes).unwrap())
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

#[test]
fn integers_of_aiff() {
    for (bits, bytes, wanted) in [
        (8, 4, "|i1 at 54 [4] [1]"),
        (12, 8, ">i2 at 54 [4] [2]"),
        (16, 8, ">i2 at 54 [4] [2]"),
        (24, 12, "|V3 (i3be) at 54 [4] [3]"),
        (32, 16, ">i4 at 54 [4] [4]"),
    ] {
        assert_eq!(shown(&file(b"AIFF", &[common(1, 4, bits, b""), data(bytes)])), wanted);
    }
    let found = parse(&file(b"AIFF", &[common(2, 3, 16, b""), data(12)])).unwrap();
    assert_eq!(described(&found), ">i2 at 54 [3, 2] [4, 2]");
    assert_eq!(json!(found.attributes), json!({"rate": 44100, "bits": 16}));
}

#[test]
fn every_codec() {
    for (codec, bits, wanted) in [
        (b"NONE", 16, ">i2 at 60 [2] [2]"),
        (b"twos", 24, "|V3 (i3be) at 60 [2] [3]"),
        (b"sowt", 16, "<i2 at 60 [2] [2]"),
        (b"sowt", 24, "|V3 (i3) at 60 [2] [3]"),
        (b"in24", 24, "|V3 (i3be) at 60 [2] [3]"),
        (b"in32", 32, ">i4 at 60 [2] [4]"),
        (b"42ni", 24, "|V3 (i3) at 60 [2] [3]"),
        (b"42n1", 24, "|V3 (i3) at 60 [2] [3]"),
        (b"23ni", 32, "<i4 at 60 [2] [4]"),
        (b"raw ", 8, "|u1 at 60 [2] [1]"),
        (b"fl32", 32, ">f4 at 60 [2] [4]"),
        (b"FL32", 32, ">f4 at 60 [2] [4]"),
        (b"fl64", 64, ">f8 at 60 [2] [8]"),
        (b"alaw", 16, "|u1 (alaw) at 60 [2] [1]"),
        (b"ulaw", 16, "|u1 (mulaw) at 60 [2] [1]"),
    ] {
        let codec = [codec, &b"\0\0"[..]].concat();
        assert_eq!(shown(&file(b"AIFC", &[common(1, 2, bits, &codec), data(16)])), wanted);
    }
}

#[test]
fn chunks_in_any_order_with_texts_and_an_offset() {
    let sound = chunk(b"SSND", &[&[0, 0, 0, 3, 0, 0, 0, 0][..], &[0; 9]].concat());
    let texts = [chunk(b"NAME", b"a name."), chunk(b"(c) ", b"me"), chunk(b"ANNO", &[b'x'; 5000])].concat();
    let bytes = file(b"AIFF", &[sound, texts, common(1, 3, 16, b"")]);
    assert_eq!(shown(&bytes), ">i2 at 31 [3] [2]");
    let wanted = json!({"name": "a name.", "copyright": "me", "rate": 44100, "bits": 16});
    assert_eq!(json!(parse(&bytes).unwrap().attributes), wanted);
}

#[test]
fn streamed_data_reaches_to_the_end() {
    for length in [0, u32::MAX] {
        let mut bytes = file(b"AIFF", &[common(1, 0, 16, b""), data(11)]);
        bytes[42..46].copy_from_slice(&length.to_be_bytes());
        assert_eq!(shown(&bytes), ">i2 at 54 [6] [2]");
    }
}

#[test]
fn no_frames_need_no_chunk() {
    assert_eq!(shown(&file(b"AIFF", &[common(1, 0, 16, b"")])), ">i2 at 0 [0] [2]");
}

#[test]
fn rates() {
    assert_eq!(extended(RATE), 44100.0);
    assert_eq!(extended([0x3f, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1.0);
    assert_eq!(extended([0xbf, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0]), -0.5);
    assert_eq!(extended([0; 10]), 0.0);
    assert_eq!(extended([0x7f, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), f64::INFINITY);
}

#[test]
fn known_by_content() {
    assert!(Aiff.knows(b"FORM\0\0\0\0AIFF") && Aiff.knows(b"FORM\0\0\0\0AIFC"));
    assert!(!Aiff.knows(b"FORM\0\0\0\0ILBM") && !Aiff.knows(b"FORM"));
}

#[test]
fn refused_other_kinds() {
    refused(b"FORM\0\0\0\0ILBM", &["AIFF or AIFC", "another kind"]);
    refused(b"FORM", &["ends within its AIFF header"]);
    refused(b"", &["ends within its AIFF header"]);
}

#[test]
fn refused_encoded() {
    refused(&file(b"AIFC", &[common(1, 2, 16, b"ima4"), data(16)]), &["codec ima4", "ffmpeg"]);
}

#[test]
fn refused_bits() {
    for bits in [0, 33, 64, u16::MAX] {
        refused(&file(b"AIFF", &[common(1, 2, bits, b""), data(16)]), &[&format!("samples of {bits} bits")]);
    }
}

#[test]
fn refused_no_channel() {
    refused(&file(b"AIFF", &[common(0, 2, 16, b""), data(16)]), &["no channel"]);
}

#[test]
fn refused_chunks_that_are_missing_or_short() {
    refused(&file(b"AIFF", &[data(16)]), &["no chunk COMM"]);
    refused(&file(b"AIFF", &[common(1, 2, 16, b"")]), &["no chunk SSND"]);
    refused(&file(b"AIFC", &[common(1, 2, 16, b"")]), &["COMM is too short"]);
}

#[test]
fn refused_truncated() {
    let bytes = file(b"AIFF", &[common(1, 4, 16, b""), data(8)]);
    refused(&bytes[..bytes.len() - 1], &["claims 8 bytes of sound at offset 54, the file holds only 7"]);
    let bytes = file(b"AIFF", &[common(1, 5, 16, b""), data(8), common(1, 4, 16, b"")]);
    refused(&bytes, &["claims 10 bytes of sound at offset 54, the file holds only 8"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        of in prop::sample::select(vec![b"AIFF", b"AIFC"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(of, &[chunk(b"NAME", b"x"), common(2, 4, 16, b"NONE\0\0"), data(16)]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(found) = parse(&bytes) {
            prop_assert!(lies_within(&found, bytes.len() as u64));
        }
    }
}
