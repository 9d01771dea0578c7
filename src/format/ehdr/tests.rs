//! Headers made by hand, and each that is refused.
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::format::header::tests::{Bytes, Sparse, lies_within, says};
use crate::format::raster::tests::{Folder, placed};

const FIELDS: &str = "NROWS 3\nNCOLS 4\nNBANDS 5\nNBITS 16\nBYTEORDER M\n";

/// Bytes of all elements of such a header.
const SIZE: u64 = 120;

/// A header with further lines; those of the same keys count more.
fn header(lines: &str) -> Vec<u8> {
    format!("{FIELDS}{lines}").into_bytes()
}

fn parse_beside(data: &str, bytes: &[u8], held: u64) -> Result<Array, Refusal> {
    Ehdr.parse("x.hdr", &Bytes(bytes), &Folder::of(&[(data, held)])).map(|content| content.into_array().unwrap())
}

fn parse_with(bytes: &[u8], held: u64) -> Result<Array, Refusal> {
    parse_beside("x.bil", bytes, held)
}

fn refused(lines: &str, parts: &[&str]) {
    says(&parse_with(&header(lines), SIZE).unwrap_err(), parts);
}

#[test]
fn every_type() {
    for (bits, kind, wanted) in [
        (8, "UNSIGNEDINT", "|u1"),
        (8, "signedint", "|i1"),
        (16, "UNSIGNEDINT", ">u2"),
        (16, "SIGNEDINT", ">i2"),
        (32, "UNSIGNEDINT", ">u4"),
        (32, "SIGNEDINT", ">i4"),
        (32, "Float", ">f4"),
    ] {
        let lines = format!("NBITS {bits}\nPIXELTYPE {kind}\n");
        assert_eq!(parse_with(&header(&lines), 999).unwrap().dtype.to_string(), wanted);
        for (order, sign) in [("I", "<"), ("LSBFIRST", "<"), ("msbfirst", ">")] {
            let found = parse_with(&header(&format!("{lines}byteorder {order}")), 999).unwrap();
            assert_eq!(found.dtype.to_string(), wanted.replace('>', sign));
        }
    }
}

#[test]
fn what_is_left_out() {
    let dtype = |data: &str, bytes: &[u8]| parse_beside(data, bytes, 999).unwrap().dtype.to_string();
    assert_eq!(dtype("x.bil", b"NROWS 3\nNCOLS 4\n"), "|u1");
    assert_eq!(dtype("x.flt", b"ncols 4\nnrows 3\nbyteorder LSBFIRST\n"), "<f4");
    assert_eq!(dtype("x.bil", &header("")), ">u2");
    assert_eq!(dtype("x.DEM", &header("NODATA -9999")), ">i2");
    assert_eq!(dtype("x.bil", &header("NODATA_value -1\nNBITS 8")), "|u1");
    let found = parse_with(b"NROWS 3\r\nNCOLS 4\r\n", 12).unwrap();
    assert_eq!(placed(&found), "x.bil: |u1 at 0 [3, 4, 1] [4, 1, 4]");
}

#[test]
fn every_layout_with_gaps() {
    for (lines, end, wanted) in [
        ("", 120, "0 [3, 4, 5] [40, 2, 8]"),
        ("LAYOUT BSQ\nBANDGAPBYTES 6", 144, "0 [3, 4, 5] [8, 2, 30]"),
        ("LAYOUT bil\nBANDROWBYTES 9\nTOTALROWBYTES 50\nSKIPBYTES 7", 151, "7 [3, 4, 5] [50, 2, 9]"),
        ("LAYOUT BIP\nTOTALROWBYTES 41", 122, "0 [3, 4, 5] [41, 10, 2]"),
    ] {
        let found = parse_with(&header(lines), end).unwrap();
        assert_eq!(placed(&found), format!("x.bil: >u2 at {wanted}"));
        says(&parse_with(&header(lines), end - 1).unwrap_err(), &["truncated"]);
    }
}

#[test]
fn attributes() {
    let found = parse_with(&header("ULXMAP 0.5\nnodata -9999\nSOME thing else\nALONE\n"), SIZE).unwrap();
    assert_eq!(Value::Object(found.attributes), json!({"ULXMAP": 0.5, "NODATA": -9999, "SOME": "thing else"}));
}

#[test]
fn known_by_content() {
    assert!(Ehdr.knows(&header("")) && Ehdr.knows(b"ncols\t3\r\n\r\nnrows 4\r\nULXMAP 0"));
    let grid = b"ncols 2\nnrows 1\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2\n";
    assert!(!Ehdr.knows(grid), "a grid as text");
    for other in [&b""[..], b"NROWS 3\n", b"ENVI\nsamples = 3\n", b"NROWS 1\nNCOLS 1\n\xff", &[0; 348]] {
        assert!(!Ehdr.knows(other));
    }
}

#[test]
fn refused_missing_keys() {
    says(&parse_with(b"NROWS 3\n", SIZE).unwrap_err(), &["lacks the key NCOLS"]);
    says(&parse_with(b"", SIZE).unwrap_err(), &["lacks the key NROWS"]);
}

#[test]
fn refused_values() {
    refused("NROWS -3", &["NROWS '-3', not a count"]);
    refused("NBANDS x", &["NBANDS 'x'"]);
    refused("LAYOUT TIFF", &["LAYOUT 'TIFF'"]);
    refused("PIXELTYPE COMPLEX", &["PIXELTYPE 'COMPLEX'"]);
    refused("BYTEORDER VAX", &["BYTEORDER 'VAX'"]);
    refused("NBITS 64", &["elements of 64 bits"]);
    refused("NBITS 0", &["elements of 0 bits"]);
    refused("NBITS 16\nPIXELTYPE FLOAT", &["elements of 16 bits"]);
    refused("BANDROWBYTES 7", &["overlap"]);
    refused("NROWS 18446744073709551615", &["any file can be"]);
    refused("SKIPBYTES 18446744073709551615", &["cannot be"]);
}

#[test]
fn refused_bits() {
    refused("NBITS 1", &["elements are of 1 bits", "gdal_translate"]);
    refused("NBITS 4", &["elements are of 4 bits"]);
}

#[test]
fn refused_without_a_byte_order() {
    says(&parse_with(b"NROWS 3\nNCOLS 4\nNBITS 16\n", SIZE).unwrap_err(), &["lacks the key BYTEORDER", "BYTEORDER I"]);
}

#[test]
fn refused_without_data() {
    let why = Ehdr.parse("y.hdr", &Bytes(&header("")), &Folder::of(&[("x.bil", SIZE)])).unwrap_err();
    says(&why, &["'y', perhaps with one of .bil", "copy both"]);
}

#[test]
fn refused_header_too_long() {
    let folder = Folder::of(&[("x.bil", SIZE)]);
    let why = Ehdr.parse("x.hdr", &Sparse(b"NROWS 3\n", 1 << 40), &folder).unwrap_err();
    says(&why, &["longer than the 65536 bytes"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        line in "[A-Za-z]{0,12} [ -~\n]{0,60}",
        number in any::<u64>(),
        key in prop::sample::select(&LAYOUT[..]),
        layout in prop::sample::select(&["BIL", "BIP", "BSQ"][..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for number in [number, number % 64] {
            let mut bytes = header(&format!("LAYOUT {layout}\n{key} {number}\n{line}"));
            let length = bytes.len();
            for (at, byte) in &changes {
                bytes[at.index(length)] = *byte;
            }
            for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
                if let Ok(found) = parse_with(bytes, 400) {
                    prop_assert!(lies_within(&found, 400));
                }
            }
        }
    }
}
