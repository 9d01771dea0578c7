//! Headers made by hand, and each file that is refused.
use std::io;

use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, says};

/// A folder in which there is one file, of this name and length.
struct Folder(&'static str, u64);

impl Siblings for Folder {
    fn sibling(&self, _name: &str, _limit: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn sibling_len(&self, name: &str) -> io::Result<Option<u64>> {
        Ok((name == self.0).then_some(self.1))
    }
}

/// A slice of 3 columns and 2 rows of 16 bits: its number and its place in the file.
fn row(slice: i64, place: u64) -> String {
    format!(" {slice} 1 1 1 0 2 {place} 16 100 3 2 0.5 2.5 0.01 more\n")
}

fn par(version: &str, rows: &[String]) -> String {
    let general =
        "# a comment\n\n.    Technique                          :   T1TFE\n.    FOV (ap,fh,rl) [mm]:  1 2 3\n";
    format!("# CLINICAL TRYOUT  Research image export tool     {version}\n{general}#sl ec\n{}\n", rows.concat())
}

fn parse_in(folder: &Folder, name: &str, text: &str) -> Result<Array, Refusal> {
    ParRec.parse(name, &Bytes(text.as_bytes()), folder).map(|content| content.into_array().unwrap())
}

fn parse(rows: &[String]) -> Result<Array, Refusal> {
    parse_in(&Folder("a.REC", 48), "a.PAR", &par("V4.2", rows))
}

fn refused(rows: &[String], parts: &[&str]) {
    says(&parse(rows).unwrap_err(), parts);
}

#[test]
fn slices_in_order() {
    let array = parse(&[row(1, 0), row(2, 1), row(3, 2)]).unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!((array.dtype.to_string(), array.dims), ("<u2".into(), ["x", "y", "z"].map(str::to_owned).to_vec()));
    assert_eq!((&layout.shape[..], &layout.strides[..]), (&[3, 2, 3][..], &[2, 6, 12][..]));
    let volumes = parse(&[row(1, 0), row(2, 1), row(1, 2), row(2, 3)]).unwrap();
    assert_eq!(volumes.grid.single().unwrap().shape, [3, 2, 2, 2]);
}

#[test]
fn slices_in_any_order() {
    let array = parse(&[row(2, 3), row(2, 2), row(1, 0), row(1, 1)]).unwrap();
    assert_eq!((array.grid.shape(), array.grid.single()), (&[3, 2, 2, 2][..], None));
    let offset = |slice, volume| {
        let spot = array.grid.spot(&[1, 1, slice, volume], None);
        assert_eq!(spot.piece, Some(0));
        spot.offset - 8
    };
    let offsets = [offset(0, 0), offset(1, 0), offset(0, 1), offset(1, 1)];
    assert_eq!(offsets, [0, 36, 12, 24]);
    let line = parse(&[row(2, 0), row(1, 1)]).unwrap();
    assert_eq!(line.grid.spot(&[0, 0, 0], Some(2)).offset, 12);
}

#[test]
fn attributes() {
    let attributes = parse(&[row(1, 0), row(2, 1).replace("2.5", "3.5")]).unwrap().attributes;
    assert_eq!((&attributes["rescale intercept"], &attributes["scale slope"]), (&0.5.into(), &0.01.into()));
    assert_eq!(attributes["rescale slope"], serde_json::json!([2.5, 3.5]));
    assert_eq!((&attributes["Technique"], &attributes["version"]), (&"T1TFE".into(), &"V4.2".into()));
}

#[test]
fn refused_another_kind_of_file() {
    let folder = Folder("a.REC", 48);
    says(&parse_in(&folder, "a.PAR", "").unwrap_err(), &["of which version"]);
    says(&parse_in(&folder, "a.PAR", "words\n").unwrap_err(), &["'words', which no PAR header has"]);
    says(&parse_in(&folder, "a.PAR", &par("V3", &[row(1, 0)])).unwrap_err(), &["version 'V3'"]);
}

#[test]
fn refused_header_too_long() {
    let text = "#".repeat(MAX_HEADER as usize + 70_000);
    says(&parse_in(&Folder("a.REC", 48), "a.PAR", &text).unwrap_err(), &["its PAR header", "33554432 bytes"]);
}

#[test]
fn refused_no_slice() {
    refused(&[], &["no slice"]);
}

#[test]
fn refused_too_many_slices() {
    refused(&vec![row(1, 0); MAX_SLICES + 1], &["more than the 65536 slices"]);
}

#[test]
fn refused_several_sizes() {
    refused(&[row(1, 0), row(2, 1).replace(" 3 2 ", " 4 2 ")], &["several sizes ((16, 3, 2) and (16, 4, 2)"]);
    refused(&[row(1, 0).replace(" 16 ", " 12 ")], &["12 bits"]);
}

#[test]
fn refused_ended_too_early() {
    refused(&[row(1, 0), row(2, 1), row(1, 2)], &["ended too early"]);
}

#[test]
fn refused_places() {
    refused(&[row(1, 0), row(2, 2)], &["the place 2 in a file of 2"]);
}

#[test]
fn refused_too_large() {
    refused(&[row(1, 0).replace(" 3 2 ", " 9999999999 9999999999 ")], &["cannot be"]);
}

#[test]
fn refused_data() {
    let text = par("V4", &[row(1, 0), row(2, 1)]);
    says(&parse_in(&Folder("b", 48), "a.PAR", &text).unwrap_err(), &["'a.REC', which is not beside"]);
    says(&parse_in(&Folder("a.rec.gz", 48), "a.par", &text).unwrap_err(), &["compressed", "afbfs unpack"]);
    says(&parse_in(&Folder("a.rec", 23), "a.par", &text).unwrap_err(), &["up to byte 24", "holds only 23"]);
    says(&parse_in(&Folder("a.rec", 48), "a", &text).unwrap_err(), &["no extension"]);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(
        slices in prop::collection::vec((-1..4_i64, 0..5_u64), 0..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), b' '..b'~'), 0..4),
    ) {
        let rows: Vec<String> = slices.iter().map(|&(slice, place)| row(slice, place)).collect();
        let mut bytes = par("V4.1", &rows).into_bytes();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at.index(length)] = byte;
        }
        if let Ok(array) = parse_in(&Folder("a.REC", 48), "a.PAR", &String::from_utf8_lossy(&bytes)) {
            let last: Vec<u64> = array.grid.shape().iter().map(|length| length.saturating_sub(1)).collect();
            if array.grid.shape().iter().all(|&length| length > 0) {
                let end = array.grid.spot(&last, None).offset as u64 + array.grid.itemsize();
                prop_assert!(end <= 48);
            }
        }
    }
}
