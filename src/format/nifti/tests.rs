//! Headers made by hand, and each file that is refused.
use std::io;

use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, says};
use crate::source::Alone;

/// A folder in which there are files of these names and lengths.
struct Folder(&'static [(&'static str, u64)]);

impl Siblings for Folder {
    fn sibling(&self, _name: &str, _limit: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn sibling_len(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.0.iter().find(|(other, _)| *other == name).map(|&(_, len)| len))
    }
}

/// NIfTI-1 or Analyze: 2 x 3 int16, with elements where the magic says that they are in the file.
fn one(magic: &[u8; 4], order: ByteOrder) -> Vec<u8> {
    let number = |number: i16| if order == ByteOrder::Big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut bytes = vec![0; 348];
    let size = if order == ByteOrder::Big { 348_u32.to_be_bytes() } else { 348_u32.to_le_bytes() };
    bytes[..4].copy_from_slice(&size);
    for (k, length) in [2, 2, 3].into_iter().enumerate() {
        bytes[40 + 2 * k..][..2].copy_from_slice(&number(length));
    }
    bytes[70..72].copy_from_slice(&number(4));
    bytes[344..].copy_from_slice(magic);
    if magic == b"n+1\0" {
        bytes.resize(352 + 12, 0);
    }
    bytes
}

/// NIfTI-2: the same.
fn two(magic: &[u8; 8]) -> Vec<u8> {
    let mut bytes = vec![0; 544 + 12];
    bytes[..4].copy_from_slice(&540_u32.to_le_bytes());
    bytes[4..12].copy_from_slice(magic);
    bytes[12] = 4;
    for (k, length) in [2, 2, 3].into_iter().enumerate() {
        bytes[16 + 8 * k] = length;
    }
    bytes
}

const SINGLE: &[u8; 4] = b"n+1\0";
const PAIR: &[u8; 4] = b"ni1\0";
const ANALYZE: &[u8; 4] = b"\0\0\0\0";

/// The header with these bytes there.
fn patched(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

fn parse_in(folder: &dyn Siblings, name: &str, bytes: &[u8]) -> Result<Array, Refusal> {
    Nifti.parse(name, &Bytes(bytes), folder).map(|content| content.into_array().unwrap())
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    parse_in(&Alone, "a.nii", bytes)
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

fn shown(array: &Array) -> String {
    let layout = array.grid.single().unwrap();
    format!("{} at {} {:?} {:?}", array.dtype, layout.offset, layout.shape, layout.strides)
}

#[test]
fn one_file_in_either_order() {
    assert_eq!(shown(&parse(&one(SINGLE, ByteOrder::Little)).unwrap()), "<i2 at 352 [2, 3] [2, 4]");
    assert_eq!(shown(&parse(&one(SINGLE, ByteOrder::Big)).unwrap()), ">i2 at 352 [2, 3] [2, 4]");
    assert_eq!(shown(&parse(&two(b"n+2\0\r\n\x1a\n")).unwrap()), "<i2 at 544 [2, 3] [2, 4]");
    let far = patched(&one(SINGLE, ByteOrder::Little), 108, &360_f32.to_le_bytes());
    assert_eq!(shown(&parse(&[&far[..], &[0; 8]].concat()).unwrap()), "<i2 at 360 [2, 3] [2, 4]");
}

#[test]
fn pairs_lie_beside() {
    let folder = Folder(&[("a.img", 12), ("A.IMG", 12), ("x.y.img", 20)]);
    for (magic, name, image) in [(PAIR, "a.hdr", "a.img"), (ANALYZE, "A.HDR", "A.IMG"), (PAIR, "x.y.hdr", "x.y.img")] {
        let array = parse_in(&folder, name, &one(magic, ByteOrder::Big)).unwrap();
        assert_eq!(shown(&array), ">i2 at 0 [2, 3] [2, 4]");
        let Files::Beside(names) = array.files else { panic!("in the file itself") };
        assert_eq!((names.name(0), names.name(1), names.created_len()), (image.into(), String::new(), None));
    }
    let pair = two(b"ni2\0\r\n\x1a\n");
    assert_eq!(shown(&parse_in(&folder, "a.hdr", &pair[..540]).unwrap()), "<i2 at 0 [2, 3] [2, 4]");
}

#[test]
fn what_is_certain() {
    let knows = |bytes: &[u8]| Nifti.knows(&bytes[..bytes.len().min(crate::format::HEAD)]);
    assert!(knows(&one(SINGLE, ByteOrder::Big)) && knows(&one(PAIR, ByteOrder::Little)));
    assert!(knows(&two(b"n+2\0\r\n\x1a\n")) && knows(&two(b"ni2\0\r\n\x1a\n")) && !knows(&two(b"n+3\0\r\n\x1a\n")));
    let analyze = one(ANALYZE, ByteOrder::Little);
    assert!(!knows(&analyze));
    assert!(knows(&patched(&patched(&analyze, 32, &16384_u32.to_le_bytes()), 38, b"r")));
}

#[test]
fn names_of_files() {
    assert_eq!(Nifti.stem("a.nii.gz"), Some("a"));
    assert_eq!((Nifti.stem("a.HDR"), Nifti.stem("a.img")), (Some("a"), None));
}

#[test]
fn attributes_of_each_version() {
    let bytes = patched(&one(SINGLE, ByteOrder::Little), 112, &[2_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat());
    let attributes = parse(&patched(&bytes, 123, &[2 | 8])).unwrap().attributes;
    assert_eq!((&attributes["scl_slope"], &attributes["scl_inter"]), (&2.0.into(), &"NaN".into()));
    assert_eq!((&attributes["xyz_unit"], &attributes["t_unit"]), (&"mm".into(), &"s".into()));
    assert!(!attributes.contains_key("descrip"));
    let bytes = patched(&two(b"n+2\0\r\n\x1a\n"), 240, b"some words\0rest");
    assert_eq!(parse(&bytes).unwrap().attributes["descrip"], "some words");
    let bytes = patched(&one(ANALYZE, ByteOrder::Big), 253, &[0, 1, 0, 2]);
    let attributes = parse_in(&Folder(&[("a.img", 12)]), "a.hdr", &bytes).unwrap().attributes;
    assert_eq!(attributes["originator"], serde_json::json!([1, 2, 0, 0, 0]));
}

#[test]
fn refused_another_kind_of_file() {
    refused(&[0; 1000], &["header of neither NIfTI nor Analyze"]);
    refused(&two(b"n+3\0\r\n\x1a\n"), &["ends within its NIfTI header"]);
}

#[test]
fn refused_header_cut_off() {
    refused(b"", &["ends within its NIfTI header"]);
    refused(&one(SINGLE, ByteOrder::Little)[..347], &["ends within its NIfTI header"]);
    refused(&two(b"n+2\0\r\n\x1a\n")[..539], &["ends within its NIfTI header"]);
}

#[test]
fn refused_compressed() {
    refused(&[0x1f, 0x8b, 8, 0], &["gzip", "afbfs unpack"]);
    let folder = Folder(&[("a.img.gz", 12)]);
    says(&parse_in(&folder, "a.hdr", &one(PAIR, ByteOrder::Little)).unwrap_err(), &["a.img.gz", "afbfs unpack"]);
}

#[test]
fn refused_pair_without_image() {
    let pair = one(PAIR, ByteOrder::Little);
    says(&parse_in(&Alone, "a.hdr", &pair).unwrap_err(), &["'a.img', which is not beside it"]);
    says(&parse_in(&Folder(&[("a.img", 11)]), "a.hdr", &pair).unwrap_err(), &["up to byte 12", "holds only 11"]);
    says(&parse_in(&Alone, "a", &pair).unwrap_err(), &["no extension"]);
}

#[test]
fn refused_types() {
    let with = |datatype: i16| patched(&one(SINGLE, ByteOrder::Little), 70, &datatype.to_le_bytes());
    refused(&with(1), &["single bits"]);
    refused(&with(0), &["datatype 0"]);
    refused(&with(255), &["datatype 255"]);
    let analyze = patched(&one(ANALYZE, ByteOrder::Little), 70, &256_i16.to_le_bytes());
    refused(&analyze, &["datatype 256"]);
}

#[test]
fn refused_shapes() {
    let with = |k: usize, length: i16| patched(&one(SINGLE, ByteOrder::Little), 40 + 2 * k, &length.to_le_bytes());
    refused(&with(0, 0), &["0 axes"]);
    refused(&with(0, 8), &["8 axes"]);
    refused(&with(2, -1), &["the length -1"]);
    let huge = patched(&two(b"n+2\0\r\n\x1a\n"), 24, &(i64::MAX / 2).to_le_bytes());
    refused(&huge, &["cannot be"]);
}

#[test]
fn refused_offsets() {
    let with = |offset: f32| patched(&one(SINGLE, ByteOrder::Little), 108, &offset.to_le_bytes());
    refused(&with(347.0), &["vox_offset 347", "ends at byte 348"]);
    for offset in [-1.0, f32::NAN, f32::INFINITY] {
        refused(&with(offset), &["no byte of a file"]);
    }
}

#[test]
fn refused_truncated_data() {
    let bytes = one(SINGLE, ByteOrder::Little);
    refused(&bytes[..bytes.len() - 1], &["truncated"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        is_two in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = if is_two { two(b"n+2\0\r\n\x1a\n") } else { one(SINGLE, ByteOrder::Big) };
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at.index(length)] = byte;
        }
        bytes.truncate(cut.map_or(length, |cut| cut.index(length)));
        let _ = Nifti.knows(&bytes[..bytes.len().min(512)]);
        if let Ok(array) = parse_in(&Folder(&[("a.img", 100)]), "a.hdr", &bytes) {
            let held = if array.files == Files::Itself { bytes.len() as u64 } else { 100 };
            let layout = array.grid.single().unwrap();
            prop_assert!(layout.count() == 0 || layout.extent().end <= held);
        }
    }
}
