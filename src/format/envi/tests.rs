//! Headers made by hand, and each that is refused.
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::format::header::tests::{Bytes, Sparse, lies_within, says};
use crate::format::raster::tests::{Folder, placed};

const FIELDS: [&str; 6] =
    ["samples = 4", "lines = 3", "bands = 5", "data type = 2", "interleave = bsq", "byte order = 1"];

/// Bytes of all elements of such a header.
const SIZE: u64 = 120;

/// A header in which these lines replace those of the same keys, or are added; those that end in `= -` are left out.
fn header(lines: &[&str]) -> Vec<u8> {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let replaced = |old: &str| lines.iter().find(|line| key(line) == key(old)).copied();
    let kept = FIELDS.iter().map(|old| replaced(old).unwrap_or(old)).filter(|line| !line.ends_with("= -"));
    let added = lines.iter().filter(|line| FIELDS.iter().all(|old| key(old) != key(line))).copied();
    ["ENVI"].into_iter().chain(kept).chain(added).collect::<Vec<&str>>().join("\n").into_bytes()
}

fn parse_with(bytes: &[u8], held: u64) -> Result<Array, Refusal> {
    let folder = Folder::of(&[("x.img", held)]);
    Envi.parse("x.hdr", &Bytes(bytes), &folder).map(|content| content.into_array().unwrap())
}

fn refused(lines: &[&str], parts: &[&str]) {
    says(&parse_with(&header(lines), SIZE).unwrap_err(), parts);
}

#[test]
fn every_type() {
    let types = [("1", "|u1"), ("2", ">i2"), ("3", ">i4"), ("4", ">f4"), ("5", ">f8"), ("6", ">c8")];
    let more = [("9", ">c16"), ("12", ">u2"), ("13", ">u4"), ("14", ">i8"), ("15", ">u8")];
    for (number, wanted) in types.into_iter().chain(more) {
        let line = format!("data type = {number}");
        assert_eq!(parse_with(&header(&[&line]), 9999).unwrap().dtype.to_string(), wanted);
        let little = parse_with(&header(&[&line, "byte order = 0"]), 9999).unwrap();
        assert_eq!(little.dtype.to_string(), wanted.replace('>', "<"));
    }
    assert!(parse_with(&header(&["data type = 1", "byte order = -"]), SIZE).is_ok());
}

#[test]
fn every_interleave() {
    for (interleave, wanted) in [("bsq", "[8, 2, 24]"), ("BIL", "[40, 2, 8]"), ("Bip", "[40, 10, 2]")] {
        let line = format!("Interleave = {interleave}");
        let found = parse_with(&header(&["interleave = -", &line]), SIZE).unwrap();
        assert_eq!(placed(&found), format!("x.img: >i2 at 0 [3, 4, 5] {wanted}"));
        assert!(parse_with(&header(&[&line]), SIZE - 1).is_err());
    }
    let found = parse_with(&header(&["header offset = 9"]), SIZE + 9).unwrap();
    assert_eq!(placed(&found), "x.img: >i2 at 9 [3, 4, 5] [8, 2, 24]");
}

#[test]
fn attributes_of_one_line_and_of_several() {
    let lines = [
        "description = {\n  A picture, of\n  something }",
        "; a comment = 3",
        "wavelength = {\n 400.5, 500,\n; in between\n 600}",
        "Band Names = {red, green}",
        "data ignore value = -9999",
        "sensor type = Unknown",
        "map info = {UTM, 1, 2.5}",
        "no value",
    ];
    let found = parse_with(&header(&lines), SIZE).unwrap();
    let wanted = json!({
        "description": "A picture, of\nsomething", "wavelength": [400.5, 500, 600], "band names": ["red", "green"],
        "data ignore value": -9999, "sensor type": "Unknown", "map info": ["UTM", "1", "2.5"],
    });
    assert_eq!(Value::Object(found.attributes), wanted);
}

#[test]
fn wavelengths_of_hundreds_of_bands_are_kept() {
    let list: Vec<String> = (0..450).map(|k| format!("{}.25", 400 + k)).collect();
    let found = parse_with(&header(&[&format!("wavelength = {{{}}}", list.join(", "))]), SIZE).unwrap();
    assert_eq!(found.attributes["wavelength"].as_array().unwrap().len(), 450);
}

#[test]
fn ends_of_lines_and_the_first_line() {
    let windows = String::from_utf8(header(&[])).unwrap().replace('\n', "\r\n");
    assert!(parse_with(windows.as_bytes(), SIZE).is_ok());
    assert!(Envi.knows(&header(&[])) && Envi.knows(windows.as_bytes()) && Envi.knows(b"ENVI \nx"));
    assert!(!Envi.knows(b"ENVI") && !Envi.knows(b"ENVIS\nx") && !Envi.knows(b"\nENVI\n") && !Envi.knows(b""));
}

#[test]
fn refused_other_kinds() {
    says(&parse_with(b"", SIZE).unwrap_err(), &["first line is not ENVI"]);
    says(&parse_with(&[0; 348], SIZE).unwrap_err(), &["first line is not ENVI", "rename it"]);
}

#[test]
fn refused_missing_keys() {
    for key in ["samples", "lines", "bands", "data type", "interleave", "byte order"] {
        refused(&[&format!("{key} = -")], &[&format!("lacks the key {key}")]);
    }
}

#[test]
fn refused_values() {
    refused(&["lines = -3"], &["lines = '-3', not a count"]);
    refused(&["header offset = x"], &["header offset = 'x'"]);
    refused(&["data type = 7"], &["data type = '7'"]);
    refused(&["byte order = 2"], &["byte order = '2'"]);
    refused(&["interleave = tile"], &["interleave = 'tile'"]);
    refused(&["description = { without end"], &["within the braces of 'description'"]);
    refused(&["lines = 99999999999999"], &["truncated"]);
    refused(&["lines = 18446744073709551615"], &["any file can be"]);
    refused(&["header offset = 18446744073709551615"], &["cannot be"]);
}

#[test]
fn refused_compressed() {
    refused(&["file compression = 1"], &["compressed (file compression = '1')", "uncompressed"]);
    assert!(parse_with(&header(&["file compression = 0"]), SIZE).is_ok());
}

#[test]
fn refused_file_types() {
    refused(&["file type = TIFF"], &["file type = 'TIFF'", "ENVI Standard"]);
    refused(&["file type = ENVI Virtual Mosaic"], &["'ENVI Virtual Mosaic'"]);
    for of in TYPES {
        assert!(parse_with(&header(&[&format!("file type = {}", of.to_uppercase())]), SIZE).is_ok());
    }
}

#[test]
fn refused_frame_offsets() {
    refused(&["major frame offsets = {0, 4}"], &["major frame offsets = '{0, 4}'"]);
    refused(&["minor frame offsets = 12"], &["minor frame offsets"]);
    assert!(parse_with(&header(&["major frame offsets = {0, 0}"]), SIZE).is_ok());
}

#[test]
fn refused_header_too_long() {
    let folder = Folder::of(&[("x.img", SIZE)]);
    let why = Envi.parse("x.hdr", &Sparse(b"ENVI\n", 1 << 40), &folder).unwrap_err();
    says(&why, &["longer than the 4194304 bytes"]);
}

#[test]
fn refused_without_data() {
    let why = Envi.parse("y.hdr", &Bytes(&header(&[])), &Folder::of(&[("x.img", SIZE)])).unwrap_err();
    says(&why, &["'y', perhaps with one of .img", "copy both"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        line in "[a-z ]{0,12}=[ -~\n]{0,60}",
        number in any::<u64>(),
        which in 0..FIELDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = FIELDS[which].split('=').next().unwrap_or_default();
        let mut bytes = header(&[&line, &format!("{key}= {number}"), "wavelength = {1,\n2}"]);
        let length = bytes.len();
        for (at, byte) in &changes {
            bytes[at.index(length)] = *byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
            if let Ok(found) = parse_with(bytes, SIZE) {
                prop_assert!(lies_within(&found, SIZE));
            }
        }
    }
}
