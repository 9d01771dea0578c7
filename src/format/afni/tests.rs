//! Headers made by hand, and each file that is refused.
use std::io;

use proptest::prelude::*;

use super::*;
use crate::format::Files;
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

const BRIK: Folder = Folder("a+orig.BRIK", 48);

fn attribute(kind: &str, name: &str, body: &str) -> String {
    format!("\ntype = {kind}-attribute\nname = {name}\ncount = 9\n{body}\n")
}

/// A dataset of 2 x 3 x 4 elements, of one sub-brick of int16, with these attributes in the place of its own.
fn head(with: &[(&str, &str, &str)]) -> String {
    let standard = [
        ("integer", "DATASET_RANK", "3 1 0"),
        ("integer", "DATASET_DIMENSIONS", " 2 3\n 4 0 0"),
        ("integer", "BRICK_TYPES", "1"),
        ("string", "BYTEORDER_STRING", "'LSB_FIRST~"),
    ];
    let kept = standard.iter().filter(|(_, name, _)| with.iter().all(|(_, other, _)| other != name));
    kept.chain(with).map(|(kind, name, body)| attribute(kind, name, body)).collect()
}

fn parse_in(folder: &Folder, name: &str, text: &str) -> Result<Array, Refusal> {
    Afni.parse(name, &Bytes(text.as_bytes()), folder).map(|content| content.into_array().unwrap())
}

fn parse(text: &str) -> Result<Array, Refusal> {
    parse_in(&BRIK, "a+orig.HEAD", text)
}

fn refused(with: &[(&str, &str, &str)], parts: &[&str]) {
    says(&parse(&head(with)).unwrap_err(), parts);
}

#[test]
fn the_elements_lie_beside() {
    let array = parse(&head(&[])).unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!((array.dtype.to_string(), layout.offset), ("<i2".into(), 0));
    assert_eq!((&layout.shape[..], &layout.strides[..]), (&[2, 3, 4, 1][..], &[2, 4, 12, 48][..]));
    let Files::Beside(names) = array.files else { panic!("in the file itself") };
    assert_eq!(names.name(0), "a+orig.BRIK");
    parse_in(&Folder("b.brik", 48), "b.head", &head(&[])).unwrap();
    assert_eq!(Afni.stem("a+orig.HEAD"), Some("a+orig"));
}

#[test]
fn every_type() {
    let types = ["|u1", ">i2", ">i4", ">f4", ">f8", ">c8", "[('R', '|u1'), ('G', '|u1'), ('B', '|u1')]"];
    for (number, wanted) in types.into_iter().enumerate() {
        let of = number.to_string();
        let with = [("integer", "BRICK_TYPES", &*of), ("string", "BYTEORDER_STRING", "'MSB_FIRST~")];
        let array = parse_in(&Folder("a.BRIK", 1000), "a.HEAD", &head(&with)).unwrap();
        assert_eq!(array.dtype.to_string(), wanted);
    }
}

#[test]
fn attributes() {
    let long = "1 ".repeat(300);
    let with = [
        ("float", "DELTA", "1.5 -2\n3e2"),
        ("string", "BRICK_LABS", "'a~b~"),
        ("string", "NOTE", "'two\nlines~"),
        ("integer", "LONG", &long),
        ("float", "BRICK_FLOAT_FACS", "0.5"),
    ];
    let attributes = parse(&head(&with)).unwrap().attributes;
    assert_eq!(attributes.keys().next().map(String::as_str), Some("BRICK_FLOAT_FACS"));
    assert_eq!(attributes["DELTA"], serde_json::json!([1.5, -2.0, 300.0]));
    assert_eq!(attributes["BRICK_LABS"], serde_json::json!(["a", "b"]));
    assert_eq!(attributes["NOTE"], "two lines");
    assert!(!attributes.contains_key("LONG"));
}

#[test]
fn refused_another_kind_of_file() {
    says(&parse("ref: refs/heads/main").unwrap_err(), &["'ref: refs/heads/main', which no AFNI header has"]);
    says(&parse("").unwrap_err(), &["lacks the numbers DATASET_DIMENSIONS"]);
}

#[test]
fn refused_header_too_long() {
    let text = "x".repeat(MAX_HEADER as usize + 70_000);
    says(&parse(&text).unwrap_err(), &["its AFNI header", "16777216 bytes"]);
}

#[test]
fn refused_attributes() {
    refused(&[("integer", "BRICK_TYPES", "one")], &["'BRICK_TYPES'", "cannot be understood"]);
    refused(&[("other", "NOTE", "1")], &["'NOTE'", "cannot be understood"]);
    refused(&[("float", "DATASET_RANK", "3 1")], &["lacks the numbers DATASET_RANK"]);
}

#[test]
fn refused_shapes() {
    refused(&[("integer", "DATASET_RANK", "2 1")], &["three axes"]);
    refused(&[("integer", "DATASET_DIMENSIONS", "2 3")], &["three axes"]);
    refused(&[("integer", "DATASET_DIMENSIONS", "2 3 -4")], &["the length -4"]);
    let most = i64::MAX.to_string();
    refused(&[("integer", "DATASET_DIMENSIONS", &format!("{most} {most} 1"))], &["cannot be"]);
}

#[test]
fn refused_types() {
    refused(&[("integer", "BRICK_TYPES", "1 1")], &["2 types for 1 sub-bricks"]);
    refused(&[("integer", "BRICK_TYPES", "7")], &["type 7"]);
    let with = [("integer", "BRICK_TYPES", "1 3"), ("integer", "DATASET_RANK", "3 2")];
    refused(&with, &["several types (1 and 3)", "3dcalc"]);
    refused(&[("string", "BYTEORDER_STRING", "'PDP~")], &["byte order 'PDP'"]);
}

#[test]
fn refused_data() {
    says(&parse_in(&Folder("b", 48), "a.HEAD", &head(&[])).unwrap_err(), &["'a.BRIK', which is not beside"]);
    says(&parse_in(&Folder("a.BRIK.gz", 48), "a.HEAD", &head(&[])).unwrap_err(), &["compressed", "afbfs unpack"]);
    says(&parse_in(&Folder("a.BRIK", 47), "a.HEAD", &head(&[])).unwrap_err(), &["holds only 47"]);
    says(&parse_in(&BRIK, "HEAD", &head(&[])).unwrap_err(), &["no extension"]);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(
        text in "[ -~\n]{0,100}",
        changes in prop::collection::vec((any::<prop::sample::Index>(), b' '..b'~'), 0..6),
    ) {
        let mut bytes = head(&[("integer", "EXTRA", &text)]).into_bytes();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at.index(length)] = byte;
        }
        if let Ok(array) = parse(&String::from_utf8_lossy(&bytes)) {
            let layout = array.grid.single().unwrap();
            prop_assert!(layout.count() == 0 || layout.extent().end <= 48);
        }
    }
}
