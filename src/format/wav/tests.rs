//! Chunks in all their ways, and each file that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::Array;
use crate::format::header::tests::{Bytes, Sparse, array, described, lies_within, says};

/// A chunk with its padding.
fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = [&id[..], &(content.len() as u32).to_le_bytes(), content].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let chunks = chunks.concat();
    [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WAVE", &chunks].concat()
}

fn format_chunk(codec: u16, channels: u16, size: u16) -> Vec<u8> {
    let numbers = [codec, channels, 8000, 0, 0, 0, channels.wrapping_mul(size), size.wrapping_mul(8)];
    chunk(b"fmt ", &numbers.map(u16::to_le_bytes).concat())
}

fn extensible(codec: u16, guid: [u8; 12]) -> Vec<u8> {
    let start = [0xfffe_u16, 2, 8000, 0, 0, 0, 8, 32, 22, 20, 3, 0].map(u16::to_le_bytes).concat();
    chunk(b"fmt ", &[&start[..], &u32::from(codec).to_le_bytes(), &guid].concat())
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    array(&Wav, &Bytes(bytes))
}

fn shown(bytes: &[u8]) -> String {
    described(&parse(bytes).unwrap())
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

/// A file of 12 bytes of samples.
fn samples(codec: u16, channels: u16, size: u16) -> Vec<u8> {
    file(&[format_chunk(codec, channels, size), chunk(b"data", &[0; 12])])
}

#[test]
fn samples_of_every_kind() {
    for (codec, size, wanted) in [
        (1, 1, "|u1 at 44 [12] [1]"),
        (1, 2, "<i2 at 44 [6] [2]"),
        (1, 3, "|V3 (i3) at 44 [4] [3]"),
        (1, 4, "<i4 at 44 [3] [4]"),
        (1, 8, "<i8 at 44 [1] [8]"),
        (3, 4, "<f4 at 44 [3] [4]"),
        (3, 8, "<f8 at 44 [1] [8]"),
        (6, 1, "|u1 (alaw) at 44 [12] [1]"),
        (7, 1, "|u1 (mulaw) at 44 [12] [1]"),
    ] {
        assert_eq!(shown(&samples(codec, 1, size)), wanted);
    }
    assert_eq!(shown(&samples(1, 3, 2)), "<i2 at 44 [2, 3] [6, 2]");
    // A frame that is not whole is no frame.
    assert_eq!(shown(&samples(1, 5, 2)), "<i2 at 44 [1, 5] [10, 2]");
    let found = parse(&samples(1, 3, 2)).unwrap();
    assert_eq!(
        (found.dims, json!(found.attributes)),
        (vec!["frame".into(), "channel".into()], json!({"rate": 8000, "bits": 16}))
    );
}

#[test]
fn big_endian() {
    let numbers = [1_u16, 2, 0, 8000, 0, 0, 6, 24].map(u16::to_be_bytes).concat();
    let head = b"RIFX\0\0\0\x30WAVEfmt \0\0\0\x10";
    let bytes = [head, &numbers[..], b"data\0\0\0\x0c", &[0; 12]].concat();
    assert_eq!(shown(&bytes), "|V3 (i3be) at 44 [2, 2] [6, 3]");
    assert_eq!(parse(&bytes).unwrap().attributes["rate"], 8000);
}

#[test]
fn extensible_formats() {
    for guid in GUIDS {
        let bytes = file(&[extensible(1, guid), chunk(b"data", &[0; 16])]);
        assert_eq!(shown(&bytes), "<i4 at 68 [2, 2] [8, 4]");
        assert_eq!(json!(parse(&bytes).unwrap().attributes), json!({"rate": 8000, "channel_mask": 3, "bits": 20}));
    }
}

#[test]
fn chunks_in_any_order_with_padding() {
    let texts = [chunk(b"INAM", b"a title\0"), chunk(b"IART", b"zw\xf6lf"), chunk(b"ICMT", &[b'x'; 5000])].concat();
    let info = chunk(b"LIST", &[b"INFO", &texts[..]].concat());
    let other = chunk(b"LIST", b"adtlINAM\x01\0\0\0x");
    let bytes = file(&[chunk(b"odd ", &[1; 5]), other, chunk(b"data", &[0; 7]), info, format_chunk(1, 1, 1)]);
    assert_eq!(shown(&bytes), "|u1 at 56 [7] [1]");
    let attributes = parse(&bytes).unwrap().attributes;
    assert_eq!(json!(attributes), json!({"INAM": "a title", "IART": "zwölf", "rate": 8000, "bits": 8}));
}

#[test]
fn streamed_data_reaches_to_the_end() {
    for length in [0, UNKNOWN, UNKNOWN_TO_SOX as u32] {
        let mut bytes = samples(1, 1, 2);
        bytes[4] = 0;
        bytes[40..44].copy_from_slice(&length.to_le_bytes());
        assert_eq!(shown(&bytes), "<i2 at 44 [6] [2]");
    }
}

#[test]
fn data_may_be_empty_in_a_file_that_was_closed() {
    let bytes = file(&[format_chunk(1, 1, 2), chunk(b"data", &[]), chunk(b"more", &[0; 12])]);
    assert_eq!(shown(&bytes), "<i2 at 44 [0] [2]");
}

#[test]
fn large_files() {
    for magic in [b"RF64", b"BW64"] {
        let lengths = [1_u64 << 40, 1 << 33, 0].map(u64::to_le_bytes).concat();
        let ds64 = chunk(b"ds64", &[&lengths[..], &[1, 0, 0, 0], b"big ", &(1_u64 << 32).to_le_bytes()].concat());
        let bytes = file(&[ds64, format_chunk(3, 2, 4), b"data\xff\xff\xff\xff".to_vec()]);
        let bytes = [magic, &bytes[4..]].concat();
        let found = array(&Wav, &Sparse(&bytes, 1 << 40)).unwrap();
        assert_eq!(described(&found), format!("<f4 at {} [{}, 2] [8, 4]", bytes.len(), 1_u64 << 30));
        says(&array(&Wav, &Sparse(&bytes, 1 << 20)).unwrap_err(), &["claims 8589934592 bytes of sound", "truncated"]);
    }
}

#[test]
fn known_by_content() {
    assert!(
        [&b"RIFF\0\0\0\0WAVE"[..], b"RIFX....WAVEfmt ", b"RF64....WAVE", b"BW64....WAVE"]
            .iter()
            .all(|head| Wav.knows(head))
    );
    assert!(![&b"RIFF\0\0\0\0AVI "[..], b"RIFF", b""].iter().any(|head| Wav.knows(head)));
    assert_eq!(Wav.stem("a.WAV"), Some("a"));
}

#[test]
fn refused_other_kinds() {
    refused(b"OggS\0\0\0\0WAVE", &["RIFF", "another kind"]);
    refused(b"RIFF\0\0\0\0AVI ", &["RIFF", "another kind"]);
    refused(b"RIFF", &["ends within its WAV header"]);
    refused(b"", &["ends within its WAV header"]);
}

#[test]
fn refused_encoded() {
    for (codec, name) in [(0x11, "IMA ADPCM"), (0x55, "MP3"), (0x1234, "codec 0x1234")] {
        refused(&samples(codec, 1, 1), &[name, "ffmpeg"]);
    }
    refused(&file(&[extensible(1, [7; 12]), chunk(b"data", &[0; 16])]), &["GUID of its own", "ffmpeg"]);
    refused(&file(&[extensible(0x55, GUIDS[0]), chunk(b"data", &[0; 16])]), &["MP3"]);
}

#[test]
fn refused_sizes_that_do_not_fit() {
    for (codec, channels, size) in [(1, 1, 5), (1, 1, 0), (3, 1, 2), (6, 1, 2), (7, 1, 2)] {
        refused(&samples(codec, channels, size), &["which no sample fits into"]);
    }
    let mut bytes = samples(1, 2, 2);
    bytes[32] = 3;
    refused(&bytes, &["frames of 3 bytes for 2 channels"]);
}

#[test]
fn refused_no_channel() {
    refused(&samples(1, 0, 2), &["claims no channel"]);
}

#[test]
fn refused_short_chunks() {
    refused(&file(&[chunk(b"fmt ", &[0; 15])]), &["'fmt ' is too short"]);
    refused(&file(&[chunk(b"fmt ", &[[0xfe, 0xff]; 10].concat())]), &["WAVEFORMATEXTENSIBLE"]);
    let bytes = file(&[chunk(b"ds64", &[0; 24])]);
    refused(&[b"RF64", &bytes[4..]].concat(), &["'ds64' is too short"]);
}

#[test]
fn refused_chunks_that_are_missing() {
    refused(&file(&[chunk(b"data", &[0; 4])]), &["no chunk 'fmt '"]);
    refused(&file(&[format_chunk(1, 1, 2)]), &["no chunk 'data'"]);
}

#[test]
fn refused_truncated() {
    let bytes = samples(1, 1, 2);
    refused(&bytes[..bytes.len() - 1], &["claims 12 bytes of sound at offset 44, the file holds only 11", "truncated"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        magic in prop::sample::select(vec![b"RIFF", b"RIFX", b"RF64"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let info = chunk(b"LIST", &[b"INFO", &chunk(b"INAM", b"a title")[..]].concat());
        let ds64 = chunk(b"ds64", &[7; 40]);
        let mut bytes = file(&[ds64, info.clone(), extensible(1, GUIDS[0]), chunk(b"data", &[0; 20]), info]);
        bytes[..4].copy_from_slice(magic);
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
