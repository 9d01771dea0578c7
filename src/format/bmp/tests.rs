//! Every header and size of pixels, and each that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Broken, Bytes, Sparse, array, described, lies_within, says};

/// A file of 3 columns with a header of this size, and pixels from byte 200 on, up to byte 300.
fn file(size: u32, rows: i32, bits: u16, compression: u32, masks: &[u32]) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([200, size].map(u32::to_le_bytes).concat());
    if size == 12 {
        bytes.extend([3, rows as u16, 1, bits].map(u16::to_le_bytes).concat());
    } else {
        bytes.extend([3, rows].map(i32::to_le_bytes).concat());
        bytes.extend([1, bits].map(u16::to_le_bytes).concat());
        bytes.extend([compression, 0, 2835, 2834, 0, 0].map(u32::to_le_bytes).concat());
        bytes.extend(masks.iter().flat_map(|mask| mask.to_le_bytes()));
    }
    bytes.resize(300, 0);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    array(&Bmp, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

#[test]
fn every_header() {
    for size in [12, 16, 40, 52, 56, 64, 108, 124] {
        let found = parse(&file(size, 5, 24, 0, &[])).unwrap();
        assert_eq!(described(&found), "|u1 at 250 [5, 3, 3] [-12, 3, -1]");
        assert_eq!((found.dims.join(" "), &found.attributes["channels"]), ("row column channel".into(), &json!("RGB")));
        assert!(Bmp.knows(&file(size, 5, 24, 0, &[])));
    }
    assert!(!Bmp.knows(b"BM") && !Bmp.knows(b"") && !Bmp.knows(&[b'B'; 99]));
}

#[test]
fn every_size_of_pixels_in_both_directions() {
    for (bits, up, down) in [
        (8, "|u1 at 208 [3, 3] [-4, 1]", "|u1 at 200 [3, 3] [4, 1]"),
        (16, "<u2 at 216 [3, 3] [-8, 2]", "<u2 at 200 [3, 3] [8, 2]"),
        (24, "|u1 at 226 [3, 3, 3] [-12, 3, -1]", "|u1 at 202 [3, 3, 3] [12, 3, -1]"),
        (32, "|u1 at 226 [3, 3, 3] [-12, 4, -1]", "|u1 at 202 [3, 3, 3] [12, 4, -1]"),
    ] {
        assert_eq!(described(&parse(&file(40, 3, bits, 0, &[])).unwrap()), up);
        assert_eq!(described(&parse(&file(40, -3, bits, 0, &[])).unwrap()), down);
    }
}

#[test]
fn without_the_first_header() {
    for (size, bits, compression, start) in
        [(12, 24, 0, 14), (12, 8, 0, 12 + 768), (40, 16, 3, 52), (124, 8, 0, 124 + 1024)]
    {
        let bytes = [&file(size, 1, bits, compression, &[1, 2, 4])[14..], &[0; 1000]].concat();
        assert_eq!(parse(&bytes).unwrap().grid.single().unwrap().offset, start);
    }
    let mut bytes = file(40, 1, 8, 0, &[]);
    bytes[46] = 2;
    assert_eq!(parse(&bytes[14..]).unwrap().grid.single().unwrap().offset, 48);
}

#[test]
fn masks() {
    for (masks, channels) in [
        ([0xff_0000, 0xff00, 0xff, 0xff00_0000], "BGRA"),
        ([0xff, 0xff00, 0xff_0000, 0], "RGB"),
        ([0xff00_0000, 0xff_0000, 0xff00, 0xff], "RGBA"),
        ([0xff00_0000, 0xff, 0xff00, 0], "GBXR"),
    ] {
        let found = parse(&file(108, 2, 32, 3, &masks)).unwrap();
        assert_eq!(found.attributes["channels"], channels);
    }
    // A header of 40 bytes has no mask of alpha, unless the compression says so.
    let alpha = [0xff_0000, 0xff00, 0xff, 0xff00_0000];
    assert_eq!(parse(&file(40, 2, 32, 3, &alpha)).unwrap().attributes["channels"], "RGB");
    assert_eq!(parse(&file(40, 2, 32, 6, &alpha)).unwrap().attributes["channels"], "BGRA");
    let found = parse(&file(40, 2, 32, 3, &[0x3ff0_0000, 0xf_fc00, 0x3ff])).unwrap();
    assert_eq!(described(&found), "<u4 at 212 [2, 3] [-12, 4]");
    let wanted = json!({
        "bits": 32, "masks": {"R": "0x3ff00000", "G": "0xffc00", "B": "0x3ff", "A": "0x0"}, "pixels_per_metre": [2835, 2834],
    });
    assert_eq!(json!(found.attributes), wanted);
    let found = parse(&file(40, 2, 16, 3, &[0xf800, 0x7e0, 0x1f])).unwrap();
    assert_eq!(found.attributes["masks"]["R"], "0xf800");
    assert_eq!(parse(&file(12, 2, 16, 0, &[])).unwrap().attributes["masks"]["R"], "0x7c00");
}

#[test]
fn refused_other_kinds() {
    refused(b"\x89PNG\r\n\x1a\n\0\0\0\0", &["magic bytes BM", "another kind"]);
    refused(&file(40, 3, 24, 0, &[])[..50], &["ends within its BMP header"]);
    refused(&[40, 0, 1, 0, 0, 0, 0, 0], &["nor with the length of a header"]);
    refused(&file(41, 3, 24, 0, &[]), &["claims 41 bytes"]);
    assert_eq!(array(&Bmp, &Broken).unwrap_err().0, "cannot be read: the disk is gone");
}

#[test]
fn refused_compressed() {
    for (size, compression, name) in [
        (40, 1, "RLE,"),
        (40, 2, "RLE with 4 bits"),
        (124, 4, "JPEG"),
        (124, 5, "PNG"),
        (64, 3, "CCITT group 3"),
        (64, 4, "RLE with 24 bits"),
    ] {
        refused(&file(size, 3, 8, compression, &[]), &["compressed with", name, "Pillow"]);
    }
    refused(&file(40, 3, 8, 7, &[]), &["compression 7"]);
}

#[test]
fn refused_bits() {
    for bits in [1, 2, 4] {
        refused(&file(40, 3, bits, 0, &[]), &["share a byte", "convert(\"RGB\")"]);
    }
    for (bits, compression) in [(0, 0), (48, 0), (24, 3), (8, 6)] {
        refused(&file(40, 3, bits, compression, &[]), &["not in this form"]);
    }
}

#[test]
fn refused_within_the_header() {
    let mut bytes = file(124, 3, 24, 0, &[]);
    bytes[10] = 137;
    refused(&bytes, &["pixels at byte 137, within the header"]);
}

#[test]
fn refused_sizes() {
    refused(&file(40, 9, 24, 0, &[]), &["up to byte 305", "truncated"]);
    refused(&file(40, -9, 24, 0, &[]), &["up to byte 305", "truncated"]);
    let mut bytes = file(40, i32::MIN, 32, 0, &[]);
    bytes[18..22].copy_from_slice(&i32::MAX.to_le_bytes());
    says(&array(&Bmp, &Sparse(&bytes, 1 << 62)).unwrap_err(), &["larger than any file can be"]);
    bytes[21] = 0xff;
    refused(&bytes, &["claims -1 columns"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        size in prop::sample::select(vec![12_u32, 16, 40, 52, 56, 64, 108, 124]),
        bits in prop::sample::select(vec![8_u16, 16, 24, 32]),
        compression in 0..7_u32,
        rows in -9..9_i32,
        changes in prop::collection::vec((0..70_usize, any::<u8>()), 0..6),
        cut in prop_oneof![Just(300_usize), 0..300_usize],
    ) {
        let mut bytes = file(size, rows, bits, compression, &[0xff, 0xff00, 0xff_0000]);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&bytes) {
            prop_assert!(lies_within(&found, bytes.len() as u64));
        }
    }
}
