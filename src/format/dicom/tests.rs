//! Files made by hand, in every plain syntax, and each one that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, Sparse, says};
use crate::source::Alone;

const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BIG: &str = "1.2.840.10008.1.2.2";

fn short(uid: &str, number: u16) -> Vec<u8> {
    if uid == BIG { number.to_be_bytes().to_vec() } else { number.to_le_bytes().to_vec() }
}

fn long(uid: &str, number: u32) -> Vec<u8> {
    if uid == BIG { number.to_be_bytes().to_vec() } else { number.to_le_bytes().to_vec() }
}

/// A data element whose value claims to be so long.
fn claimed(uid: &str, (group, number): tags::Tag, vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
    let tag = [short(uid, group), short(uid, number)].concat();
    let head = match vr {
        _ if uid == IMPLICIT || group == 0xfffe => long(uid, length),
        "OB" | "OW" | "OF" | "OD" | "SQ" | "UN" => [vr.as_bytes().to_vec(), vec![0; 2], long(uid, length)].concat(),
        _ => [vr.as_bytes().to_vec(), short(uid, length as u16)].concat(),
    };
    [tag, head, value.to_vec()].concat()
}

fn element(uid: &str, tag: tags::Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    claimed(uid, tag, vr, value.len() as u32, value)
}

/// A file of this syntax with these data elements.
fn file(uid: &str, elements: &[Vec<u8>]) -> Vec<u8> {
    let meta = element(EXPLICIT, tags::TRANSFER_SYNTAX, "UI", uid.as_bytes());
    [vec![0; PREAMBLE], b"DICM".to_vec(), meta, elements.concat()].concat()
}

/// The elements that describe 2 rows and 3 columns of 16 bits, with others in their place or added.
fn described(uid: &str, with: &[(tags::Tag, u16)]) -> Vec<Vec<u8>> {
    let standard = [(tags::ROWS, 2), (tags::COLUMNS, 3), (tags::BITS_ALLOCATED, 16)];
    let kept = standard.iter().filter(|(tag, _)| with.iter().all(|(other, _)| other != tag));
    kept.chain(with).map(|&(tag, number)| element(uid, tag, "US", &short(uid, number))).collect()
}

fn image(uid: &str, with: &[(tags::Tag, u16)], size: usize) -> Vec<u8> {
    let pixels = element(uid, tags::PIXEL_DATA, "OW", &vec![0; size]);
    file(uid, &[described(uid, with), vec![pixels]].concat())
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    Dicom.parse("a.dcm", &Bytes(bytes), &Alone).map(|content| content.into_array().unwrap())
}

fn shown(bytes: &[u8]) -> String {
    let array = parse(bytes).unwrap();
    let layout = array.grid.single().unwrap();
    format!("{} {:?} {:?}", array.dtype, layout.shape, layout.strides)
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

#[test]
fn every_plain_syntax() {
    for (uid, dtype) in [(IMPLICIT, "<u2"), (EXPLICIT, "<u2"), (BIG, ">u2")] {
        let bytes = image(uid, &[], 12);
        assert_eq!(shown(&bytes), format!("{dtype} [2, 3] [6, 2]"));
        assert_eq!(parse(&bytes).unwrap().grid.single().unwrap().offset as usize, bytes.len() - 12);
        assert!(Dicom.knows(&bytes));
    }
}

#[test]
fn sizes_signs_samples_and_frames() {
    let shown = |with: &[(tags::Tag, u16)], size| shown(&image(EXPLICIT, with, size));
    assert_eq!(shown(&[(tags::BITS_ALLOCATED, 8)], 6), "|u1 [2, 3] [3, 1]");
    assert_eq!(shown(&[(tags::BITS_ALLOCATED, 32), (tags::PIXEL_REPRESENTATION, 1)], 24), "<i4 [2, 3] [12, 4]");
    let colours = [(tags::BITS_ALLOCATED, 8), (tags::SAMPLES_PER_PIXEL, 3)];
    assert_eq!(shown(&colours, 18), "|u1 [2, 3, 3] [9, 3, 1]");
    let planes = [&colours[..], &[(tags::PLANAR_CONFIGURATION, 1)]].concat();
    assert_eq!(shown(&planes, 18), "|u1 [2, 3, 3] [3, 1, 6]");
    let frames = element(EXPLICIT, tags::NUMBER_OF_FRAMES, "IS", b"2 ");
    let pixels = element(EXPLICIT, tags::PIXEL_DATA, "OB", &[0; 36]);
    let array = parse(&file(EXPLICIT, &[described(EXPLICIT, &planes), vec![frames, pixels]].concat())).unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!((&layout.shape[..], &layout.strides[..]), (&[2, 2, 3, 3][..], &[18, 3, 1, 6][..]));
    assert_eq!(array.dims, ["frame", "row", "column", "sample"]);
}

#[test]
fn floats() {
    for (tag, vr, size, dtype) in
        [(tags::FLOAT_PIXEL_DATA, "OF", 24, "<f4"), (tags::DOUBLE_FLOAT_PIXEL_DATA, "OD", 48, "<f8")]
    {
        let pixels = element(EXPLICIT, tag, vr, &vec![0; size]);
        let array = parse(&file(EXPLICIT, &[described(EXPLICIT, &[]), vec![pixels]].concat())).unwrap();
        assert_eq!(array.dtype.to_string(), dtype);
    }
}

/// An image behind a sequence.
fn with_sequence(uid: &str, sequence: Vec<u8>) -> Vec<u8> {
    let pixels = element(uid, tags::PIXEL_DATA, "OW", &[0; 12]);
    file(uid, &[vec![sequence], described(uid, &[]), vec![pixels]].concat())
}

#[test]
fn sequences_are_passed_over() {
    for uid in [IMPLICIT, EXPLICIT, BIG] {
        let nested = |depth: usize| {
            let rows = element(uid, tags::ROWS, "US", &short(uid, 99));
            let mut items = rows;
            for _ in 0..depth {
                let end = element(uid, tags::ITEM_END, "", b"");
                let open = [claimed(uid, tags::ITEM, "", u32::MAX, b""), items, end].concat();
                let closed = element(uid, tags::ITEM, "", &element(uid, tags::COLUMNS, "US", &[9, 9]));
                let whole = [open, closed, element(uid, tags::SEQUENCE_END, "", b"")].concat();
                items = claimed(uid, (0x0040, 0xa730), "SQ", u32::MAX, &whole);
            }
            with_sequence(uid, items)
        };
        assert!(shown(&nested(1)).ends_with("[2, 3] [6, 2]"));
        assert!(shown(&nested(MAX_NESTING)).ends_with("[2, 3] [6, 2]"));
        refused(&nested(MAX_NESTING + 1), &["nested more than 64 deep"]);
    }
}

#[test]
fn what_programs_did_not_know_is_implicit_inside() {
    let rows = element(IMPLICIT, tags::ROWS, "", &[99, 0]);
    let items = [element(IMPLICIT, tags::ITEM, "", &rows), element(IMPLICIT, tags::SEQUENCE_END, "", b"")].concat();
    for uid in [EXPLICIT, BIG] {
        let unknown = claimed(uid, (0x0009, 0x1001), "UN", u32::MAX, &items);
        assert!(shown(&with_sequence(uid, unknown)).ends_with("[2, 3] [6, 2]"));
    }
}

#[test]
fn attributes_of_all_kinds() {
    let more = [
        element(EXPLICIT, (0x0008, 0x0060), "CS", b"CT"),
        element(EXPLICIT, (0x0008, 0x0008), "CS", b"ORIGINAL\\PRIMARY "),
        element(EXPLICIT, (0x0028, 0x0030), "DS", b"0.5\\ 2 "),
        element(EXPLICIT, (0x0028, 0x1052), "DS", b"-1024 "),
        element(EXPLICIT, (0x0028, 0x1053), "DS", b"wrong "),
        element(EXPLICIT, tags::PIXEL_REPRESENTATION, "US", &[1, 0]),
        element(EXPLICIT, (0x0028, 0x0120), "SS", &[0xff, 0xff]),
        element(EXPLICIT, (0x0028, 0x0101), "US", &[12, 0]),
        element(EXPLICIT, tags::PIXEL_DATA, "OW", &[0; 12]),
    ];
    let attributes = parse(&file(EXPLICIT, &[described(EXPLICIT, &[]), more.to_vec()].concat())).unwrap().attributes;
    let wanted = json!({
        "RescaleIntercept": -1024, "PixelSpacing": [0.5, 2], "BitsStored": 12, "PixelPaddingValue": -1,
        "TransferSyntaxUID": EXPLICIT, "ImageType": ["ORIGINAL", "PRIMARY"], "Modality": "CT",
    });
    assert_eq!(Value::Object(attributes), wanted);
}

#[test]
fn refused_another_kind_of_file() {
    refused(&[0; 1000], &["DICM"]);
    refused(b"DICM", &["DICM"]);
}

#[test]
fn refused_compressed() {
    let kinds = [
        ("4.50", "JPEG"),
        ("4.70", "JPEG lossless"),
        ("4.80", "JPEG-LS"),
        ("4.90", "JPEG 2000"),
        ("4.102", "MPEG"),
        ("4.201", "high-throughput JPEG 2000"),
        ("5", "RLE"),
    ];
    for (last, name) in kinds {
        refused(&image(&format!("1.2.840.10008.1.2.{last}"), &[], 12), &[&format!("({name})"), "gdcmconv"]);
    }
    refused(&image("1.2.840.10008.1.2.1.99", &[], 12), &["deflated"]);
    let pixels = claimed(EXPLICIT, tags::PIXEL_DATA, "OB", u32::MAX, &[0; 12]);
    refused(&file(EXPLICIT, &[described(EXPLICIT, &[]), vec![pixels]].concat()), &["encapsulated"]);
}

#[test]
fn refused_unknown_syntax() {
    refused(&image("1.2.840.113619.5.2", &[], 12), &["'1.2.840.113619.5.2' is not known"]);
    let rows = element(EXPLICIT, tags::ROWS, "US", &[1, 0]);
    refused(&[vec![0; PREAMBLE], b"DICM".to_vec(), rows].concat(), &["does not give the transfer syntax"]);
}

#[test]
fn refused_no_pixels() {
    refused(&file(EXPLICIT, &described(EXPLICIT, &[])), &["no pixels"]);
}

#[test]
fn refused_missing_elements() {
    let pixels = element(EXPLICIT, tags::PIXEL_DATA, "OW", &[0; 12]);
    refused(&file(EXPLICIT, &[pixels]), &["lacks (0028,0100)"]);
}

#[test]
fn refused_bits() {
    refused(&image(EXPLICIT, &[(tags::BITS_ALLOCATED, 1)], 12), &["single bits"]);
    refused(&image(EXPLICIT, &[(tags::BITS_ALLOCATED, 12)], 12), &["12 bits each"]);
    refused(&image(BIG, &[(tags::BITS_ALLOCATED, 8)], 12), &["wrong way round"]);
}

#[test]
fn refused_fewer_samples_of_colour() {
    let more = [
        element(EXPLICIT, tags::PHOTOMETRIC_INTERPRETATION, "CS", b"YBR_FULL_422"),
        element(EXPLICIT, tags::PIXEL_DATA, "OW", &[0; 12]),
    ];
    refused(&file(EXPLICIT, &[described(EXPLICIT, &[]), more.to_vec()].concat()), &["YBR_FULL_422", "RGB"]);
}

#[test]
fn refused_frames() {
    let more =
        [element(EXPLICIT, tags::NUMBER_OF_FRAMES, "IS", b"0 "), element(EXPLICIT, tags::PIXEL_DATA, "OW", &[0; 12])];
    refused(&file(EXPLICIT, &[described(EXPLICIT, &[]), more.to_vec()].concat()), &["number of frames as '0'"]);
}

#[test]
fn refused_fewer_pixels_than_described() {
    refused(&image(EXPLICIT, &[], 10), &["12 bytes of pixels, and there are 10"]);
}

#[test]
fn refused_too_large() {
    let more = [
        element(EXPLICIT, tags::NUMBER_OF_FRAMES, "IS", b"9999999999999999"),
        element(EXPLICIT, tags::PIXEL_DATA, "OW", &[0; 12]),
    ];
    let with = [(tags::ROWS, u16::MAX), (tags::COLUMNS, u16::MAX)];
    refused(&file(EXPLICIT, &[described(EXPLICIT, &with), more.to_vec()].concat()), &["cannot be"]);
}

#[test]
fn refused_truncated() {
    let bytes = image(EXPLICIT, &[], 12);
    refused(&bytes[..bytes.len() - 1], &["truncated"]);
    refused(&bytes[..bytes.len() - 14], &["ends within its DICOM header"]);
}

#[test]
fn refused_header_too_long() {
    let text = claimed(EXPLICIT, (0x0009, 0x1001), "UN", 1 << 30, b"");
    let found = Dicom.parse("a", &Sparse(&file(EXPLICIT, &[text]), 1 << 40), &Alone);
    says(&found.unwrap_err(), &["longer than the 268435456 bytes"]);
}

#[test]
fn refused_no_item_in_a_sequence() {
    let rows = element(EXPLICIT, tags::ROWS, "US", &[1, 0]);
    let sequence = claimed(EXPLICIT, (0x0008, 0x1140), "SQ", u32::MAX, &rows);
    refused(&with_sequence(EXPLICIT, sequence), &["(0028,0010) in a sequence"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        uid in prop::sample::select(vec![IMPLICIT, EXPLICIT, BIG]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let items = [
            claimed(uid, tags::ITEM, "", u32::MAX, &element(uid, tags::ROWS, "US", &[9, 9])),
            element(uid, tags::ITEM_END, "", b""),
            element(uid, tags::SEQUENCE_END, "", b""),
        ];
        let mut bytes = with_sequence(uid, claimed(uid, (0x0008, 0x1140), "SQ", u32::MAX, &items.concat()));
        let length = bytes.len();
        for (at, byte) in changes {
            // The preamble does not matter.
            bytes[PREAMBLE + at.index(length - PREAMBLE)] = byte;
        }
        bytes.truncate(cut.map_or(length, |cut| cut.index(length)));
        if let Ok(array) = parse(&bytes) {
            let layout = array.grid.single().unwrap();
            prop_assert!(layout.count() == 0 || layout.extent().end <= bytes.len() as u64);
        }
    }
}
