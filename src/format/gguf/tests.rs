//! Headers of either byte order, and each that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, Sparse, is_within, member, says, shown};

/// Writes files of one byte order.
#[derive(Clone, Copy)]
struct Writer {
    big: bool,
}

const LITTLE: Writer = Writer { big: false };
const BIG: Writer = Writer { big: true };

impl Writer {
    fn u32(self, number: u32) -> Vec<u8> {
        if self.big { number.to_be_bytes().to_vec() } else { number.to_le_bytes().to_vec() }
    }

    fn u64(self, number: u64) -> Vec<u8> {
        if self.big { number.to_be_bytes().to_vec() } else { number.to_le_bytes().to_vec() }
    }

    fn string(self, text: impl AsRef<[u8]>) -> Vec<u8> {
        [self.u64(text.as_ref().len() as u64), text.as_ref().to_vec()].concat()
    }

    fn key(self, key: &str, of: u32, value: &[u8]) -> Vec<u8> {
        [self.string(key), self.u32(of), value.to_vec()].concat()
    }

    /// An array of `count` elements of this type, as a value.
    fn array(self, of: u32, count: u64, elements: &[u8]) -> Vec<u8> {
        [self.u32(of), self.u64(count), elements.to_vec()].concat()
    }

    fn tensor(self, name: &str, dimensions: &[u64], of: u32, offset: u64) -> Vec<u8> {
        let lengths: Vec<u8> = dimensions.iter().flat_map(|&length| self.u64(length)).collect();
        let (ndim, of) = (self.u32(dimensions.len() as u32), self.u32(of));
        [self.string(name), ndim, lengths, of, self.u64(offset)].concat()
    }

    /// A file of these keys and tensors, padded to 32 bytes, and so many bytes of data.
    fn file(self, keys: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
        let counts = [self.u64(tensors.len() as u64), self.u64(keys.len() as u64)].concat();
        let mut bytes = [MAGIC.to_vec(), self.u32(3), counts, keys.concat(), tensors.concat()].concat();
        bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
        bytes
    }
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&Gguf, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    crate::format::header::tests::refused(&Gguf, bytes, parts);
}

/// A file with one tensor and this key is refused.
fn key_refused(key: Vec<u8>, parts: &[&str]) {
    refused(&LITTLE.file(&[key], &[LITTLE.tensor("a", &[1], 24, 0)], 1), parts);
}

/// The tensor of a file with no other is refused, and the file not.
fn tensor_refused(tensor: Vec<u8>, data: usize, parts: &[&str]) {
    let container = parse(&LITTLE.file(&[], &[tensor, LITTLE.tensor("b", &[1], 24, 0)], data)).unwrap();
    says(member(&container, "a").unwrap_err(), parts);
    member(&container, "b").unwrap();
}

/// The attributes of a file with these keys.
fn attributes(writer: Writer, keys: &[Vec<u8>]) -> Value {
    Value::Object(parse(&writer.file(keys, &[writer.tensor("a", &[1], 24, 0)], 1)).unwrap().attributes)
}

#[test]
fn tensors_of_either_byte_order() {
    for (writer, mark) in [(LITTLE, '<'), (BIG, '>')] {
        let tensors = [
            writer.tensor("blk.0.w", &[3, 2], 0, 0),
            writer.tensor("q", &[64, 5], 2, 32),
            writer.tensor("s", &[], 28, 224),
            writer.tensor("b", &[3], 30, 256),
        ];
        let bytes = writer.file(&[], &tensors, 262);
        let data = bytes.len() as u64 - 262;
        let container = parse(&bytes).unwrap();
        assert_eq!(shown(&container, "blk.0.w"), format!("{mark}f4 at {data} [2, 3] [12, 4]"));
        let q = format!("[('d', '{mark}f2'), ('qs', '|u1', (16,))] at {} [5, 2] [36, 18]", data + 32);
        assert_eq!(shown(&container, "q"), q);
        assert_eq!(shown(&container, "s"), format!("{mark}f8 at {} [] []", data + 224));
        assert_eq!(shown(&container, "b"), format!("|V2 at {} [3] [2]", data + 256));
        let elements = ["blk.0.w", "q", "s", "b"].map(|name| member(&container, name).unwrap().element);
        assert_eq!(elements, [None, Some("q4_0"), None, Some("bf16")]);
    }
}

#[test]
fn no_elements_past_the_end() {
    let container = parse(&LITTLE.file(&[], &[LITTLE.tensor("a", &[0, 3], 2, 1024)], 0)).unwrap();
    assert_eq!(member(&container, "a").unwrap().grid.shape(), [3, 0]);
}

#[test]
fn version_2() {
    let mut bytes = LITTLE.file(&[], &[LITTLE.tensor("a", &[1], 24, 0)], 1);
    bytes[4] = 2;
    assert!(parse(&bytes).is_ok());
}

#[test]
fn blocks_of_every_type() {
    // Number, elements and bytes of a block, as `GGML_QUANT_SIZES` of the package gguf has them; q2_0 as in ggml.h.
    for (of, block, size) in [
        (0, 1, 4),
        (1, 1, 2),
        (2, 32, 18),
        (3, 32, 20),
        (6, 32, 22),
        (7, 32, 24),
        (8, 32, 34),
        (9, 32, 36),
        (10, 256, 84),
        (11, 256, 110),
        (12, 256, 144),
        (13, 256, 176),
        (14, 256, 210),
        (15, 256, 292),
        (16, 256, 66),
        (17, 256, 74),
        (18, 256, 98),
        (19, 256, 50),
        (20, 32, 18),
        (21, 256, 110),
        (22, 256, 82),
        (23, 256, 136),
        (24, 1, 1),
        (25, 1, 2),
        (26, 1, 4),
        (27, 1, 8),
        (28, 1, 8),
        (29, 256, 56),
        (30, 1, 2),
        (34, 256, 54),
        (35, 256, 66),
        (39, 32, 17),
        (40, 64, 36),
        (41, 128, 18),
        (42, 64, 18),
    ] {
        let container = parse(&LITTLE.file(&[], &[LITTLE.tensor("a", &[2 * block, 3], of, 0)], 6 * size)).unwrap();
        let array = member(&container, "a").unwrap();
        assert_eq!((array.grid.shape(), array.dtype.itemsize()), (&[3, 2][..], size as u64), "type {of}");
        assert_eq!(array.element.is_some(), block > 1 || of == 30, "type {of}");
    }
}

#[test]
fn keys_of_every_type() {
    for writer in [LITTLE, BIG] {
        let half = |number: u16| if writer.big { number.to_be_bytes() } else { number.to_le_bytes() };
        let keys = [
            writer.key("u8", 0, &[200]),
            writer.key("i8", 1, &[200]),
            writer.key("u16", 2, &half(65000)),
            writer.key("i16", 3, &half(65000)),
            writer.key("u32", 4, &writer.u32(4_000_000_000)),
            writer.key("i32", 5, &writer.u32(4_000_000_000)),
            writer.key("f32", 6, &writer.u32(0.5_f32.to_bits())),
            writer.key("bool", 7, &[1]),
            writer.key("string", 8, &writer.string("zwölf")),
            writer.key("array", 9, &writer.array(4, 2, &[writer.u32(1), writer.u32(2)].concat())),
            writer.key("u64", 10, &writer.u64(u64::MAX)),
            writer.key("i64", 11, &writer.u64(u64::MAX)),
            writer.key("f64", 12, &writer.u64(f64::NAN.to_bits())),
            writer.key("bytes", 8, &writer.string(b"\xff")),
            writer.key("texts", 9, &writer.array(8, 2, &[writer.string("a"), writer.string("")].concat())),
            writer.key("nested", 9, &writer.array(9, 2, &[writer.array(0, 1, &[7]), writer.array(4, 0, &[])].concat())),
        ];
        let wanted = json!({
            "u8": 200, "i8": -56, "u16": 65000, "i16": -536, "u32": 4_000_000_000_u32, "i32": -294_967_296,
            "f32": 0.5, "bool": true, "string": "zwölf", "array": [1, 2], "u64": u64::MAX, "i64": -1, "f64": "NaN",
            "bytes": "\u{fffd}", "texts": ["a", ""], "nested": [[7], []],
        });
        assert_eq!(attributes(writer, &keys), wanted);
    }
}

#[test]
fn what_is_long_is_passed_over() {
    let texts: Vec<u8> = (0..1000).flat_map(|i| LITTLE.string(format!("token {i}"))).collect();
    let lists: Vec<u8> = (0..1000).flat_map(|i| LITTLE.array(1, i % 7, &vec![5; (i % 7) as usize])).collect();
    let keys = [
        LITTLE.key("numbers", 9, &LITTLE.array(12, 1000, &[0; 8000])),
        LITTLE.key("tokens", 9, &LITTLE.array(8, 1000, &texts)),
        LITTLE.key("text", 8, &LITTLE.string("x".repeat(70_000))),
        LITTLE.key("lists", 9, &LITTLE.array(9, 1000, &lists)),
        LITTLE.key(
            "one long of two",
            9,
            &LITTLE.array(8, 2, &[LITTLE.string("x".repeat(5000)), LITTLE.string("y")].concat()),
        ),
        // Each is short, all together they are not.
        LITTLE.key("matrix", 9, &LITTLE.array(9, 20, &LITTLE.array(1, 20, &[1; 20]).repeat(20))),
        LITTLE.key("last", 0, &[1]),
    ];
    assert_eq!(attributes(LITTLE, &keys), json!({"last": 1}));
}

#[test]
fn alignment_by_a_key() {
    for alignment in [1_u32, 8, 4096] {
        let tensors = [LITTLE.tensor("a", &[1], 24, 0), LITTLE.tensor("b", &[1], 24, u64::from(alignment))];
        let key = LITTLE.key("general.alignment", 4, &LITTLE.u32(alignment));
        let mut bytes = LITTLE.file(&[key], &[], 0);
        bytes.truncate(24 + 8 + 17 + 4 + 4);
        bytes[8] = 2;
        bytes.extend(tensors.concat());
        let data = (bytes.len() as u64).next_multiple_of(u64::from(alignment));
        bytes.resize(data as usize + alignment as usize + 1, 0);
        let container = parse(&bytes).unwrap();
        assert_eq!(shown(&container, "a"), format!("|i1 at {data} [1] [1]"));
        assert_eq!(shown(&container, "b"), format!("|i1 at {} [1] [1]", data + u64::from(alignment)));
        assert_eq!(container.attributes["general.alignment"], alignment);
    }
}

#[test]
fn member_refused_unknown_type() {
    tensor_refused(LITTLE.tensor("a", &[1], 99, 0), 1, &["its type (99) is not known"]);
}

#[test]
fn member_refused_removed_type() {
    for of in [4, 5, 31, 32, 33, 36, 37, 38] {
        tensor_refused(LITTLE.tensor("a", &[256], of, 0), 1, &[&format!("its type ({of}) was taken out"), "quantise"]);
    }
}

#[test]
fn member_refused_rows_that_are_no_blocks() {
    let parts = &["its rows of 33 elements are no multiple of the 32 that share a block of type q4_0"];
    tensor_refused(LITTLE.tensor("a", &[33], 2, 0), 99, parts);
    tensor_refused(LITTLE.tensor("a", &[], 2, 0), 99, &["its rows of 1 elements"]);
}

#[test]
fn member_refused_offset_off_the_alignment() {
    tensor_refused(LITTLE.tensor("a", &[1], 24, 16), 99, &["its offset 16 is no multiple of the alignment 32"]);
}

#[test]
fn member_refused_too_many_axes() {
    tensor_refused(LITTLE.tensor("a", &[1; 65], 24, 0), 1, &["more than 64 axes"]);
}

#[test]
fn member_refused_huge() {
    for dimensions in [&[1 << 61][..], &[1 << 32, 1 << 32], &[u64::MAX]] {
        tensor_refused(LITTLE.tensor("a", dimensions, 0, 0), 1, &["larger than any file can be"]);
    }
    tensor_refused(LITTLE.tensor("a", &[1], 0, u64::MAX - 31), 1, &["larger than any file can be"]);
}

#[test]
fn member_refused_truncated() {
    tensor_refused(LITTLE.tensor("a", &[2], 24, 32), 33, &["up to byte", "truncated", "save it again"]);
}

#[test]
fn refused_no_gguf() {
    refused(b"ggml\0\0\0\0", &["magic bytes GGUF", "of another kind", "convert"]);
}

#[test]
fn refused_unknown_versions() {
    for version in [0, 1, 4, 99] {
        for writer in [LITTLE, BIG] {
            let mut bytes = writer.file(&[], &[writer.tensor("a", &[1], 24, 0)], 1);
            bytes[4..8].copy_from_slice(&writer.u32(version));
            let why = format!("version {version} of GGUF");
            says(&parse(&bytes).unwrap_err(), &[&why, "convert the model again"]);
        }
    }
}

#[test]
fn refused_truncated_header() {
    let keys = [LITTLE.key("k", 9, &LITTLE.array(8, 1, &LITTLE.string("x")))];
    let bytes = LITTLE.file(&keys, &[LITTLE.tensor("a", &[1], 24, 0)], 1);
    let end = 24 + 9 + 4 + 12 + 9 + (9 + 4 + 8 + 4 + 8);
    for length in 0..end {
        refused(&bytes[..length], &["ends within its GGUF header"]);
    }
    says(member(&parse(&bytes[..end]).unwrap(), "a").unwrap_err(), &["truncated"]);
}

#[test]
fn refused_claims_of_more_than_there_is() {
    let mut bytes = LITTLE.file(&[], &[LITTLE.tensor("a", &[1], 24, 0)], 1);
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&bytes, &["claims 18446744073709551615 tensors"]);
    bytes[8..16].copy_from_slice(&1_u64.to_le_bytes());
    bytes[16..24].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    refused(&bytes, &["claims 1099511627776 keys"]);
    for of in [0, 8, 9, 12] {
        key_refused(LITTLE.key("k", 9, &LITTLE.array(of, u64::MAX, &[])), &["ends within its GGUF header"]);
    }
    key_refused(LITTLE.key("k", 8, &LITTLE.u64(u64::MAX)), &["ends within its GGUF header"]);
    key_refused(LITTLE.u64(u64::MAX), &["ends within its GGUF header"]);
}

#[test]
fn refused_header_too_long() {
    // Empty texts, as many as a sparse file has zeros.
    let key = LITTLE.key("k", 9, &LITTLE.array(8, 1 << 40, &[]));
    let bytes = LITTLE.file(&[key], &[LITTLE.tensor("a", &[1], 24, 0)], 1);
    let file = Sparse(&bytes[..24 + 9 + 4 + 12], u64::MAX);
    let found = crate::format::header::tests::parse(&Gguf, &file);
    says(&found.unwrap_err(), &["longer than the 134217728 bytes"]);
}

#[test]
fn refused_unknown_value() {
    key_refused(LITTLE.key("k", 13, &[0; 8]), &["a value of type 13"]);
    key_refused(LITTLE.key("k", 9, &LITTLE.array(13, 1, &[0; 8])), &["a value of type 13"]);
    key_refused(LITTLE.key("k", 9, &LITTLE.array(13, 1000, &[0; 8])), &["a value of type 13"]);
}

#[test]
fn refused_deep_nesting() {
    for count in [1, 1000] {
        let mut value = LITTLE.array(0, 0, &[]);
        for _ in 0..10_000 {
            value = LITTLE.array(9, count, &value);
        }
        key_refused(LITTLE.key("k", 9, &value), &["nested more than 4 deep"]);
    }
}

#[test]
fn refused_alignment() {
    for alignment in [0, 3, 48] {
        let key = LITTLE.key("general.alignment", 4, &LITTLE.u32(alignment));
        key_refused(key, &[&format!("general.alignment is {alignment}"), "power of two"]);
    }
    key_refused(LITTLE.key("general.alignment", 10, &LITTLE.u64(32)), &["of type 10, and must be of type 4"]);
}

#[test]
fn refused_names_that_are_not_utf8() {
    key_refused([LITTLE.string(b"\xff"), LITTLE.u32(0), vec![0]].concat(), &["not UTF-8"]);
}

#[test]
fn refused_names_that_stand_twice() {
    let tensor = LITTLE.tensor("a", &[1], 24, 0);
    refused(&LITTLE.file(&[], &[tensor.clone(), tensor.clone()], 1), &["names 'a' twice"]);
    let key = LITTLE.key("k", 0, &[1]);
    refused(&LITTLE.file(&[key.clone(), key], &[tensor], 1), &["the key 'k' twice"]);
}

#[test]
fn refused_no_tensor() {
    refused(&LITTLE.file(&[], &[], 0), &["holds no tensor", "vocabulary"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        keys in 0..3_u64,
        tensors in 0..3_u64,
    ) {
        let start = [MAGIC.to_vec(), LITTLE.u32(3), LITTLE.u64(tensors), LITTLE.u64(keys)].concat();
        let _ = parse(&bytes);
        let _ = parse(&[start, bytes].concat());
    }

    #[test]
    fn no_mutation_is_too_strange(
        big: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let writer = Writer { big };
        let texts = writer.array(8, 2, &[writer.string("a"), writer.string("b")].concat());
        let keys = [
            writer.key("k", 9, &writer.array(9, 1, &texts)),
            writer.key("general.alignment", 4, &writer.u32(32)),
        ];
        let tensors = [writer.tensor("a", &[3, 2], 0, 0), writer.tensor("b", &[64, 1, 2], 8, 32)];
        let mut bytes = writer.file(&keys, &tensors, 32 + 34 * 4);
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
