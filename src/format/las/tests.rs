//! Points of all formats, and each header that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, array, lies_within, says};

/// Bytes of a point, by format.
const SIZES: [u16; 11] = [20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67];

fn file(minor: u8, format: u8, length: u16, count: u64, held: usize) -> Vec<u8> {
    let size: u16 = if minor == 4 { 375 } else { 227 };
    let mut bytes = vec![0; usize::from(size) + held];
    bytes[..4].copy_from_slice(MAGIC);
    (bytes[24], bytes[25]) = (1, minor);
    bytes[94..96].copy_from_slice(&size.to_le_bytes());
    bytes[96..100].copy_from_slice(&u32::from(size).to_le_bytes());
    bytes[104] = format;
    bytes[105..107].copy_from_slice(&length.to_le_bytes());
    if minor == 4 {
        bytes[247..255].copy_from_slice(&count.to_le_bytes());
    } else {
        bytes[107..111].copy_from_slice(&(count as u32).to_le_bytes());
    }
    for (at, number) in [0.01, 0.01, 0.001, 100.0, 200.0, f64::NAN].into_iter().enumerate() {
        bytes[131 + 8 * at..139 + 8 * at].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    array(&Las, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

#[test]
fn points_of_every_format() {
    for (format, size) in SIZES.iter().enumerate() {
        for (minor, start) in [(2, 227), (4, 375)] {
            let found = parse(&file(minor, format as u8, *size, 3, 3 * usize::from(*size))).unwrap();
            let layout = found.grid.single().unwrap();
            assert_eq!((layout.offset, &layout.shape[..], layout.itemsize), (start, &[3][..], (*size).into()));
            assert!(found.dtype.part("X").is_some() && found.dtype.part("extra_bytes").is_none());
        }
    }
    assert_eq!(parse(&file(4, 7, 36, 1, 36)).unwrap().dtype.part("red").unwrap().offset, 30);
}

#[test]
fn extra_bytes_and_attributes() {
    let found = parse(&file(2, 0, 25, 2, 50)).unwrap();
    let part = found.dtype.part("extra_bytes").unwrap();
    assert_eq!((part.offset, part.dtype.to_string()), (20, "|V5".into()));
    let wanted = json!({
        "version": "1.2", "point_format": 0, "scale": [0.01, 0.01, 0.001], "offset": [100.0, 200.0, "NaN"],
    });
    assert_eq!(json!(found.attributes), wanted);
}

#[test]
fn known_by_content() {
    assert!(Las.knows(&file(2, 0, 20, 0, 0)) && !Las.knows(b"LASF") && !Las.knows(b""));
}

#[test]
fn refused_other_kinds() {
    refused(b"~VERSION INFORMATION", &["LASF", "another kind"]);
    refused(&file(5, 0, 20, 0, 0), &["version 1.5 of LAS"]);
    refused(&file(2, 0, 20, 0, 0)[..150], &["ends within its LAS header"]);
}

#[test]
fn refused_compressed() {
    refused(&file(2, 0x80, 20, 0, 0), &["compressed (LAZ)", "laszip"]);
}

#[test]
fn refused_formats() {
    refused(&file(4, 11, 99, 0, 0), &["of format 11"]);
    refused(&file(4, 6, 29, 1, 30), &["points of 29 bytes, and those of format 6 take 30"]);
}

#[test]
fn refused_truncated() {
    refused(&file(2, 0, 20, 3, 59), &["up to byte 287, the file holds only 286", "truncated"]);
    refused(&file(4, 6, 30, u64::MAX, 59), &["larger than any file can be"]);
}

#[test]
fn refused_within_the_header() {
    let mut bytes = file(2, 0, 20, 1, 20);
    bytes[96] = 100;
    refused(&bytes, &["points at byte 100, within the header"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        minor in 0..5_u8,
        format in 0..11_u8,
        changes in prop::collection::vec((0..300_usize, any::<u8>()), 0..6),
        cut in 0..500_usize,
    ) {
        let mut bytes = file(minor, format, 70, 2, 140);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&bytes) {
            prop_assert!(lies_within(&found, bytes.len() as u64));
        }
    }
}
