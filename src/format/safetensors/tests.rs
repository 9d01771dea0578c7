//! Headers as the library writes them, and each that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, Sparse, is_within, member, says, shown};
use crate::format::header::{MAX_ENTRIES, MAX_TEXT};

/// A file with this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn tensor(dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&Safetensors, &Bytes(bytes))
}

fn refused(header: &str, data: usize, parts: &[&str]) {
    crate::format::header::tests::refused(&Safetensors, &file(header, data), parts);
}

/// A file of one tensor is refused.
fn tensor_refused(tensor: &str, data: usize, parts: &[&str]) {
    refused(&format!(r#"{{"a":{tensor}}}"#), data, parts);
}

#[test]
fn a_file_of_the_library() {
    // safetensors.numpy.save({"b": zeros((2, 3), "f4"), "a.w": zeros((2,), "u1")}, {"format": "np"}).
    let header = concat!(
        r#"{"__metadata__":{"format":"np"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#,
        r#""a.w":{"dtype":"U8","shape":[2],"data_offsets":[24,26]}}  "#
    );
    let bytes = file(header, 26);
    let container = parse(&bytes).unwrap();
    let data = 8 + header.len();
    assert_eq!(shown(&container, "b"), format!("<f4 at {data} [2, 3] [12, 4]"));
    assert_eq!(shown(&container, "a.w"), format!("|u1 at {} [2] [1]", data + 24));
    assert_eq!(container.members[0].path, ["b"]);
    assert_eq!(Value::Object(container.attributes), json!({"format": "np"}));
}

#[test]
fn every_dtype() {
    for (dtype, wanted, element) in [
        ("BOOL", "|b1", None),
        ("U8", "|u1", None),
        ("I8", "|i1", None),
        ("U16", "<u2", None),
        ("I16", "<i2", None),
        ("U32", "<u4", None),
        ("I32", "<i4", None),
        ("U64", "<u8", None),
        ("I64", "<i8", None),
        ("F16", "<f2", None),
        ("F32", "<f4", None),
        ("F64", "<f8", None),
        ("C64", "<c8", None),
        ("BF16", "|V2", Some("bf16")),
        ("F8_E4M3", "|V1", Some("f8_e4m3")),
        ("F8_E5M2", "|V1", Some("f8_e5m2")),
        ("F8_E8M0", "|V1", Some("f8_e8m0")),
        ("F8_E4M3FNUZ", "|V1", Some("f8_e4m3fnuz")),
        ("F8_E5M2FNUZ", "|V1", Some("f8_e5m2fnuz")),
    ] {
        let size = u64::from(bits(dtype).unwrap() / 8);
        let container = parse(&file(&format!(r#"{{"a":{}}}"#, tensor(dtype, "[1]", 0, size)), size as usize)).unwrap();
        let array = member(&container, "a").unwrap();
        assert_eq!((array.dtype.to_string().as_str(), array.element), (wanted, element));
    }
}

#[test]
fn tensors_in_any_order_of_the_header_with_other_keys() {
    let header = format!(
        r#" {{"c": {}, "b": {{"x": [{{}}], "data_offsets": [0, 0], "shape": [0], "dtype": "I8"}}, "a": {}}}"#,
        tensor("U8", "[]", 4, 5),
        tensor("I16", "[1, 2]", 0, 4)
    );
    let container = parse(&file(&header, 5)).unwrap();
    let names: Vec<&str> = container.members.iter().map(|member| member.path[0].as_str()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    let data = 8 + header.len();
    assert_eq!(shown(&container, "c"), format!("|u1 at {} [] []", data + 4));
    assert_eq!(shown(&container, "b"), format!("|i1 at {data} [0] [1]"));
}

#[test]
fn metadata_that_is_null_or_long() {
    let long = "x".repeat(MAX_TEXT as usize + 1);
    for (metadata, kept) in [
        ("null".to_owned(), json!({})),
        ("{}".to_owned(), json!({})),
        (format!(r#"{{"long": "{long}", "short": "y"}}"#), json!({"short": "y"})),
    ] {
        let header = format!(r#"{{"__metadata__": {metadata}, "a": {}}}"#, tensor("U8", "[1]", 0, 1));
        assert_eq!(Value::Object(parse(&file(&header, 1)).unwrap().attributes), kept);
    }
}

#[test]
fn known_by_content() {
    for (header, known) in [
        (r#"{"__metadata__":{"format":"pt"}}"#, true),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, true),
        (r#"{"a":{"dtype":"U8"}}"#, false),
        ("{}", false),
    ] {
        assert_eq!(Safetensors.knows(&file(header, 1)), known, "{header}");
    }
    let mut bytes = file(r#"{"__metadata__":{"format":"pt"}}"#, 0);
    bytes[6] = 1;
    assert!(!Safetensors.knows(&bytes));
    assert!(!Safetensors.knows(b"{"));
}

#[test]
fn member_refused_below_a_byte() {
    let header = format!(r#"{{"a":{},"b":{}}}"#, tensor("F4", "[2,3]", 0, 3), tensor("U8", "[1]", 3, 4));
    let container = parse(&file(&header, 4)).unwrap();
    says(member(&container, "a").unwrap_err(), &["smaller than a byte", "(F4)", "unpack"]);
    member(&container, "b").unwrap();
    for dtype in ["F6_E2M3", "F6_E3M2"] {
        let container = parse(&file(&format!(r#"{{"a":{}}}"#, tensor(dtype, "[4]", 0, 3)), 3)).unwrap();
        says(member(&container, "a").unwrap_err(), &["smaller than a byte", dtype]);
    }
}

#[test]
fn member_refused_unknown_dtype() {
    let dtype = "Q".repeat(1000);
    let header = format!(r#"{{"a":{},"b":{}}}"#, tensor(&dtype, "[2]", 0, 4), tensor("U8", "[1]", 4, 5));
    let container = parse(&file(&header, 5)).unwrap();
    says(member(&container, "a").unwrap_err(), &["its dtype 'QQQ", "not known"]);
    member(&container, "b").unwrap();
}

#[test]
fn member_refused_too_many_axes() {
    let shape = format!("[{}1]", "1,".repeat(64));
    let container = parse(&file(&format!(r#"{{"a":{}}}"#, tensor("U8", &shape, 0, 1)), 1)).unwrap();
    says(member(&container, "a").unwrap_err(), &["more than 64 axes", "reshape"]);
}

#[test]
fn member_refused_huge_without_elements() {
    let header = format!(r#"{{"a":{}}}"#, tensor("U8", "[0,4611686018427387904,4611686018427387904]", 0, 0));
    says(member(&parse(&file(&header, 0)).unwrap(), "a").unwrap_err(), &["larger than any file can be"]);
}

#[test]
fn refused_empty() {
    crate::format::header::tests::refused(&Safetensors, b"", &["is empty", "save it again"]);
}

#[test]
fn refused_truncated_header() {
    let bytes = file(&format!(r#"{{"a":{}}}"#, tensor("U8", "[1]", 0, 1)), 0);
    for length in 1..bytes.len() {
        crate::format::header::tests::refused(&Safetensors, &bytes[..length], &["ends within its .safetensors header"]);
    }
}

#[test]
fn refused_header_too_long() {
    let mut bytes = (MAX_HEADER + 1).to_le_bytes().to_vec();
    bytes.push(b'{');
    let parse = |bytes: &[u8]| crate::format::header::tests::parse(&Safetensors, &Sparse(bytes, u64::MAX)).unwrap_err();
    says(&parse(&bytes), &["100000001 bytes long", "more than the 100000000"]);
    says(&parse(b"\x93NUMPY\x01\0"), &["a file of another kind"]);
}

#[test]
fn refused_no_tensor() {
    refused("{}", 0, &["holds no tensor"]);
    refused(r#"{"__metadata__":{"format":"pt"}}"#, 0, &["holds no tensor"]);
}

#[test]
fn refused_truncated_data() {
    tensor_refused(&tensor("F32", "[2]", 0, 8), 7, &["claims 8 bytes of data, the file holds only 7", "truncated"]);
}

#[test]
fn refused_data_left_over() {
    tensor_refused(&tensor("F32", "[2]", 0, 8), 9, &["describes 8 bytes", "holds 9: 1 are left over"]);
}

#[test]
fn refused_overlap() {
    let header = format!(r#"{{"a":{},"b":{}}}"#, tensor("U8", "[4]", 0, 4), tensor("U8", "[4]", 3, 7));
    refused(&header, 7, &["the tensor 'b' overlaps another: it starts at byte 3", "the one before it ends at 4"]);
}

#[test]
fn refused_hole() {
    let header = format!(r#"{{"a":{},"b":{}}}"#, tensor("U8", "[4]", 0, 4), tensor("U8", "[4]", 5, 9));
    refused(&header, 9, &["the tensor 'b' leaves a hole"]);
    tensor_refused(&tensor("U8", "[4]", 1, 5), 5, &["leaves a hole"]);
}

#[test]
fn refused_offsets_in_reverse() {
    tensor_refused(&tensor("U8", "[4]", 4, 0), 4, &["ends before it starts", "[4, 0]"]);
}

#[test]
fn refused_size_that_does_not_fit() {
    tensor_refused(&tensor("F32", "[2]", 0, 7), 7, &["takes 64 bits", "7 bytes by its data_offsets"]);
    tensor_refused(&tensor("F4", "[3]", 0, 2), 2, &["takes 12 bits"]);
    tensor_refused(&tensor("F64", "[2305843009213693952]", 0, 0), 0, &["bits", "0 bytes"]);
    tensor_refused(&tensor("U8", "[4294967296,4294967296]", 0, 0), 0, &["the shape of the tensor 'a' is too large"]);
}

#[test]
fn refused_keys_that_stand_twice() {
    let a = tensor("U8", "[1]", 0, 1);
    refused(&format!(r#"{{"a":{a},"a":{a}}}"#), 1, &["the tensor 'a' stands twice", "save or download it again"]);
    refused(&format!(r#"{{"a":{a},"\u0061":{a}}}"#), 1, &["the tensor 'a' stands twice"]);
    refused(&format!(r#"{{"__metadata__":{{}},"a":{a},"__metadata__":{{}}}}"#), 1, &["__metadata__ stands twice"]);
    refused(&format!(r#"{{"__metadata__":{{"x":"","x":""}},"a":{a}}}"#), 1, &["a key stands twice in __metadata__"]);
    let twice = r#"{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    tensor_refused(twice, 1, &["a tensor has the key dtype twice"]);
}

#[test]
fn refused_missing_keys() {
    for (tensor, key) in [
        (r#"{"shape":[1],"data_offsets":[0,1]}"#, "dtype"),
        (r#"{"dtype":"U8","data_offsets":[0,1]}"#, "shape"),
        (r#"{"dtype":"U8","shape":[1]}"#, "data_offsets"),
    ] {
        tensor_refused(tensor, 1, &[&format!("a tensor lacks the key {key}")]);
    }
}

#[test]
fn refused_other_json() {
    for (header, part) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "an object of tensors"),
        (r#"{"a":1}"#, "a tensor: an object"),
        (r#"{"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}}"#, "a string"),
        (r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, "-1"),
        (r#"{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}"#, "1.5"),
        (r#"{"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}}"#, "u64"),
        (r#"{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}"#, "the shape of a tensor"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, "length 1"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#, "trailing"),
        (r#"{"__metadata__":{"x":1}}"#, "a string"),
        (r#"{"__metadata__":[]}"#, "an object of strings"),
        ("{} {}", "trailing characters"),
    ] {
        refused(header, 1, &["is not what the format demands", part]);
    }
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
    refused(&long, 1, &["is not what the format demands"]);
    refused(&format!(r#"{{"a":{}"#, "[".repeat(5000)), 1, &["is not what the format demands"]);
    crate::format::header::tests::refused(
        &Safetensors,
        b"\x02\0\0\0\0\0\0\0\xff\xff",
        &["not what the format demands"],
    );
}

#[test]
fn refused_too_many() {
    let empty = tensor("U8", "[0]", 0, 0);
    let entries = (0..=MAX_ENTRIES).map(|i| format!(r#""{i}":{empty}"#)).collect::<Vec<_>>().join(",");
    refused(&format!("{{{entries}}}"), 0, &["more than 131072 tensors"]);
    let pairs = (0..=MAX_ENTRIES).map(|i| format!(r#""{i}":"""#)).collect::<Vec<_>>().join(",");
    refused(&format!(r#"{{"__metadata__":{{{pairs}}}}}"#), 0, &["more than 131072 keys"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[\\[{}\\]\",:0-9a]{0,60}",
    ) {
        let _ = parse(&bytes);
        let _ = parse(&file(&text, 0));
    }

    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (a, b) = (tensor("F32", "[2,3]", 0, 24), tensor("BF16", "[3]", 24, 30));
        let mut bytes = file(&format!(r#"{{"__metadata__":{{"x":"y"}},"a":{a},"b":{b}}}"#), 30);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(container) = parse(&bytes) {
            prop_assert!(is_within(&container, bytes.len() as u64));
        }
    }
}
