//! Metadata as Zarr libraries write them, and each that is refused.
use std::collections::HashMap;
use std::io;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::Names;

mod fill;
mod v2;
mod v3;

/// A file in memory.
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0[..].read_at(buffer, offset)
    }
}

/// The files of a folder.
#[derive(Default)]
struct Folder(HashMap<&'static str, String>);

impl Siblings for Folder {
    fn sibling(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        match self.0.get(name) {
            Some(text) if text.len() > limit => Err(io::Error::other("too large")),
            found => Ok(found.map(|text| text.clone().into_bytes())),
        }
    }

    fn sibling_len(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.0.get(name).map(|text| text.len() as u64))
    }
}

fn parse(name: &str, text: &str) -> Result<Array, Refusal> {
    parse_in(name, text, &Folder::default())
}

fn parse_in(name: &str, text: &str, folder: &Folder) -> Result<Array, Refusal> {
    let parsed = Zarr.parse(name, &Bytes(text.into()), folder);
    parsed.map(|content| content.into_array().unwrap())
}

/// Metadata with some keys set, or removed where they are set to nothing.
fn changed(base: Value, changes: Value) -> String {
    let Value::Object(mut object) = base else { panic!("{base} is no object") };
    for (key, value) in changes.as_object().unwrap() {
        object.insert(key.clone(), value.clone());
    }
    object.retain(|_, value| *value != json!("REMOVED"));
    Value::Object(object).to_string()
}

fn names(array: &Array) -> &dyn Names {
    match &array.files {
        Files::Beside(names) => &**names,
        Files::Itself => panic!("the chunks are files of their own"),
    }
}

/// The file in which an element lies, and where in it.
fn place(array: &Array, index: &[u64]) -> (String, i64) {
    let spot = array.grid.spot(index, None);
    (names(array).name(spot.piece.unwrap()), spot.offset)
}

#[track_caller]
fn refused(found: Result<Array, Refusal>, parts: &[&str]) {
    let message = found.unwrap_err().0;
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert!(message.len() < 400, "{message}");
}

#[test]
fn names_alone_tell_nothing() {
    for name in [".zarray", "zarr.json", "a.zarr", "0.0"] {
        assert_eq!(Zarr.stem(name), None);
    }
    assert!(!Zarr.knows(b"{\"zarr_format\": 3, \"node_type\": \"array\"}"));
}

#[test]
fn refused_other_files() {
    refused(parse("zarr.jsn", "{}"), &["is not called zarr.json or .zarray"]);
}

#[test]
fn refused_no_json() {
    for name in METADATA {
        refused(parse(name, ""), &["are no JSON", "write them again"]);
        refused(parse(name, "{\"zarr_format\": 3,"), &["are no JSON (EOF"]);
        refused(parse(name, "[2]"), &["are no JSON object"]);
        refused(parse(name, &"[".repeat(100_000)), &["recursion limit"]);
        let latin1 = Zarr.parse(name, &Bytes(b"{\"\xe9\": 1}".to_vec()), &Folder::default());
        refused(latin1.map(|content| content.into_array().unwrap()), &["are not UTF-8"]);
    }
}

#[test]
fn refused_metadata_too_long() {
    let long = " ".repeat(MAX_METADATA + 1);
    refused(parse("zarr.json", &long), &["1048577 bytes long, more than the 1048576"]);
}

#[test]
fn refused_unreadable() {
    let message = Zarr.parse(".zarray", &crate::format::header::tests::Broken, &Folder::default()).unwrap_err().0;
    assert_eq!(message, "cannot be read: the disk is gone");
}

#[test]
fn arrays_and_groups() {
    assert!(is_array(".zarray", b"{}"));
    assert!(is_array("zarr.json", br#"{"zarr_format": 3, "node_type": "array"}"#));
    assert!(!is_array("zarr.json", br#"{"node_type": "group", "zarr_format": 3, "attributes": {"x": NaN}}"#));
    // What is damaged is refused as an array, not shown as a folder of chunks.
    assert!(is_array("zarr.json", br#"{"zarr_format": 3}"#));
    assert!(is_array("zarr.json", b"{"));
}

#[test]
fn numbers_that_json_has_not() {
    for (text, expected) in [
        ("[1, -2]", "[1, -2]"),
        ("[NaN, -Infinity,Infinity]", r#"["NaN", "-Infinity","Infinity"]"#),
        (r#"{"NaN": "-Infinity \" NaN"}"#, r#"{"NaN": "-Infinity \" NaN"}"#),
        (r#"["\\", NaN, "é\é", "\"#, r#"["\\", "NaN", "é\é", "\"#),
    ] {
        assert_eq!(quoted(text), expected);
    }
}

#[test]
fn names_of_chunks() {
    let keys = Keys { prefix: "c", separator: '/' };
    let chunks = Chunks::new(vec![u64::MAX, 10, 0], keys, None);
    assert_eq!(chunks.name(u64::MAX), "c/1844674407370955161/5/0");
    let longest = Chunks::new(vec![1 << 40, 10, 101], keys, None);
    let info = allocation_counter::measure(|| {
        assert_eq!(longest.name((1 << 40) * 1010 - 1).len(), "c/1099511627775/9/100".len());
    });
    assert_eq!(info.count_total, 1);
    let (v2, dotted) = (Keys { prefix: "", ..keys }, Keys { separator: '.', ..keys });
    let digest = |counts: &[u64], keys| Names::digest(&Chunks::new(counts.to_vec(), keys, None));
    for (counts, other) in [(&[2, 3][..], v2), (&[2, 3], dotted), (&[2, 4], keys), (&[2, 3, 1], keys), (&[2], keys)] {
        assert_ne!(digest(counts, other), digest(&[2, 3], keys));
    }
    // An array that grew along its first axis has the files that it had.
    assert_eq!(digest(&[9, 3], keys), digest(&[2, 3], keys));
}

/// Metadata of both versions.
fn any_metadata() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        Just((".zarray", v2::with(json!({"dtype": [["a", "<f4"], ["b", ">M8[ns]", [2]]], "fill_value": "AAAAAAA="})))),
        Just((
            ".zarray",
            v2::with(json!({"filters": [{"id": "delta"}], "compressor": {"id": "blosc", "cname": "lz4"}}))
        )),
        Just(("zarr.json", v3::with(json!({"data_type": "bfloat16", "fill_value": "0x7fc1"})))),
        Just((
            "zarr.json",
            v3::with(json!({
                "data_type": {"name": "struct", "configuration": {"fields": [
                    {"name": "x", "data_type": "complex64"},
                    {"name": "y", "data_type": {"name": "raw_bytes", "configuration": {"length_bytes": 3}}},
                ]}},
                "fill_value": {"x": [1, "NaN"], "y": "AQID"},
                "codecs": [
                    {"name": "transpose", "configuration": {"order": [1, 0]}},
                    {"name": "bytes", "configuration": {"endian": "big"}},
                    "crc32c",
                ],
                "dimension_names": [null, "x"],
            }))
        )),
    ]
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100), second: bool) {
        let _ = Zarr.parse(METADATA[usize::from(second)], &Bytes(bytes), &Folder::default());
    }

    #[test]
    fn no_mutation_is_too_strange(
        (name, text) in any_metadata(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(&b"0123456789-\"[]{},:. <>|abfVSUNx"[..])),
            0..4,
        ),
        far in prop::collection::vec(any::<u64>(), 2),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(content) = Zarr.parse(name, &Bytes(bytes), &Folder::default()) {
            let array = content.into_array().unwrap();
            prop_assert!(array.fill.is_empty() || array.fill.len() as u64 == array.dtype.itemsize());
            let shape = array.grid.shape();
            if !shape.contains(&0) {
                // Whatever the lengths, the elements have places that can be.
                let index: Vec<u64> = shape.iter().zip(&far).map(|(&length, &far)| far % length).collect();
                let spot = array.grid.spot(&index[..], None);
                prop_assert!(spot.offset >= 0);
                if let Some(len) = names(&array).created_len() {
                    prop_assert!(spot.offset as u64 + array.dtype.itemsize() <= len);
                }
                prop_assert!(!names(&array).name(spot.piece.unwrap()).starts_with('/'));
            }
        }
    }
}
