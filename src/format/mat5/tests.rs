//! Variables made by hand, and each file that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::matrix::{CELL, STRUCT};
use super::*;
use crate::format::Array;
use crate::format::header::tests::{Broken, Bytes, described, is_within, parse, refused, says};

const BOTH: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

fn word(order: ByteOrder, word: u32) -> [u8; 4] {
    if order == ByteOrder::Big { word.to_be_bytes() } else { word.to_le_bytes() }
}

/// An element with its padding.
fn item(order: ByteOrder, of: u32, bytes: &[u8]) -> Vec<u8> {
    let mut item = [&word(order, of)[..], &word(order, bytes.len() as u32), bytes].concat();
    if of != COMPRESSED {
        item.resize(item.len().next_multiple_of(8), 0);
    }
    item
}

/// A small element, with type and length in one word.
fn small(order: ByteOrder, of: u32, bytes: &[u8]) -> Vec<u8> {
    let mut item = word(order, (bytes.len() as u32) << 16 | of).to_vec();
    item.extend(bytes);
    item.resize(8, 0);
    item
}

fn words(order: ByteOrder, of: u32, numbers: &[u32]) -> Vec<u8> {
    item(order, of, &numbers.iter().flat_map(|&number| word(order, number)).collect::<Vec<_>>())
}

/// A matrix of these flags and class, whose parts follow.
fn matrix(order: ByteOrder, flags: u32, shape: &[u32], name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let head = [words(order, 6, &[flags, 0]), words(order, 5, shape), item(order, 1, name.as_bytes())];
    item(order, MATRIX, &[head.concat(), parts.concat()].concat())
}

fn file(order: ByteOrder, variables: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"MATLAB 5.0 MAT-file, by hand".to_vec();
    file.resize(124, b' ');
    file.extend(if order == ByteOrder::Big { b"\x01\x00MI" } else { b"\x00\x01IM" });
    [file, variables.concat()].concat()
}

fn little(variables: &[Vec<u8>]) -> Vec<u8> {
    file(ByteOrder::Little, variables)
}

/// All members: their names, and what they are or why they are refused.
fn members(bytes: &[u8]) -> Vec<String> {
    let line = |member: &Member| {
        let found = member.found.as_ref().map_or_else(|refusal| refusal.0.clone(), described);
        format!("{}: {found}", member.path.join("/"))
    };
    parse(&Mat5, &Bytes(bytes)).unwrap().members.iter().map(line).collect()
}

fn first(bytes: &[u8]) -> Result<Array, Refusal> {
    parse(&Mat5, &Bytes(bytes)).unwrap().members.swap_remove(0).found
}

fn refuses(bytes: &[u8], parts: &[&str]) {
    refused(&Mat5, bytes, parts);
}

/// The first member is refused, and the rest is not.
fn member_refused(variable: Vec<u8>, parts: &[&str]) {
    let good = matrix(ByteOrder::Little, 9, &[1, 1], "good", &[item(ByteOrder::Little, 2, &[7])]);
    let file = little(&[variable, good]);
    says(&first(&file).unwrap_err(), parts);
    assert!(members(&file).last().unwrap().starts_with("good: |u1"));
}

#[test]
fn every_stored_type_in_either_order() {
    let types = [
        (1, "i1"),
        (2, "u1"),
        (3, "i2"),
        (4, "u2"),
        (5, "i4"),
        (6, "u4"),
        (7, "f4"),
        (9, "f8"),
        (12, "i8"),
        (13, "u8"),
    ];
    for order in BOTH {
        for (of, dtype) in types {
            let size: usize = dtype[1..].parse().unwrap();
            let bytes = file(order, &[matrix(order, 6, &[2, 3], "ab", &[item(order, of, &vec![0; 6 * size])])]);
            let mark = if size == 1 {
                '|'
            } else if order == ByteOrder::Big {
                '>'
            } else {
                '<'
            };
            assert_eq!(members(&bytes), [format!("ab: {mark}{dtype} at 192 [2, 3] [{size}, {}]", 2 * size)]);
            assert_eq!(json!(first(&bytes).unwrap().attributes), json!({"class": "double"}));
        }
    }
}

#[test]
fn small_elements() {
    for order in BOTH {
        let parts = [
            words(order, 6, &[0x204 + 5, 0]),
            words(order, 5, &[1, 3]),
            small(order, 1, b"x"),
            small(order, 2, &[1, 0, 1]),
        ];
        let bytes = file(order, &[item(order, MATRIX, &parts.concat())]);
        assert_eq!(members(&bytes), ["x: |u1 at 180 [1, 3] [1, 1]"]);
        assert_eq!(json!(first(&bytes).unwrap().attributes), json!({"class": "logical"}));
    }
}

#[test]
fn complex_and_sparse() {
    let order = ByteOrder::Little;
    let half = item(order, 7, &[0; 8]);
    let complex = matrix(order, 0x807, &[2, 1], "z", &[half.clone(), half.clone()]);
    let sparse = [words(order, 5, &[0, 2]), words(order, 5, &[0, 1, 1, 2]), half.clone(), half];
    let bytes = little(&[complex, matrix(order, 0x805, &[3, 3], "s", &sparse)]);
    let wanted = [
        "z/real: <f4 at 192 [2, 1] [4, 8]",
        "z/imag: <f4 at 208 [2, 1] [4, 8]",
        "s/ir: <i4 at 280 [2] [4]",
        "s/jc: <i4 at 296 [4] [4]",
        "s/data: <f4 at 320 [2] [4]",
        "s/imag: <f4 at 336 [2] [4]",
    ];
    assert_eq!(members(&bytes), wanted);
    let found = parse(&Mat5, &Bytes(&bytes)).unwrap();
    let attributes = found.members.iter().map(|member| json!(member.found.as_ref().unwrap().attributes));
    let data = json!({"class": "sparse", "shape": [3, 3]});
    assert_eq!(attributes.skip(2).collect::<Vec<_>>(), [json!({}), json!({}), data.clone(), data]);
}

#[test]
fn text() {
    let order = ByteOrder::Little;
    let units =
        |of, bytes: &[u8]| first(&little(&[matrix(order, 4, &[1, 2], "t", &[item(order, of, bytes)])])).unwrap();
    let found = units(17, b"h\0i\0");
    assert_eq!(described(&found), "<u2 at 192 [1, 2] [2, 2]");
    assert_eq!(json!(found.attributes), json!({"class": "char", "encoding": "utf-16"}));
    let found = units(16, "né".as_bytes());
    assert_eq!(described(&found), "|u1 at 192 [3] [1]");
    assert_eq!(json!(found.attributes), json!({"class": "char", "shape": [1, 2], "encoding": "utf-8"}));
    assert_eq!(json!(units(4, b"h\0i\0").attributes), json!({"class": "char"}));
}

/// A number as a cell or field.
fn number() -> Vec<u8> {
    matrix(ByteOrder::Little, 9, &[1, 1], "", &[small(ByteOrder::Little, 2, &[7])])
}

/// Names of fields of 4 bytes each.
fn fields(names: &[u8]) -> Vec<u8> {
    [small(ByteOrder::Little, 5, &[4, 0, 0, 0]), item(ByteOrder::Little, 1, names)].concat()
}

fn nested(flags: u8, shape: &[u32], name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    matrix(ByteOrder::Little, flags.into(), shape, name, parts)
}

#[test]
fn cells_and_structs() {
    let cell = nested(CELL, &[1, 2], "", &[number(), item(ByteOrder::Little, MATRIX, b"")]);
    let one = nested(STRUCT, &[1, 1], "s", &[fields(b"a\0\0\0b\0\0\0"), number(), cell]);
    let two = nested(STRUCT, &[2, 1], "t", &[fields(b"a\0\0\0a\0\0\0"), number(), number(), number(), number()]);
    let found = members(&little(&[one, two]));
    let names: Vec<&str> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["s/a", "s/b/0", "s/b/1", "t/0/a", "t/0/a-2", "t/1/a", "t/1/a-2"]);
    assert!(found[2].contains("empty matrix without a type") && found[3].contains("|u1"));
}

#[test]
fn the_header_and_names() {
    let found = parse(&Mat5, &Bytes(&little(&[number(), nested(CELL, &[0, 0], "c", &[])]))).unwrap();
    assert_eq!(json!(found.attributes), json!({"header": "MATLAB 5.0 MAT-file, by hand"}));
    assert_eq!(found.members[0].path, ["__function_workspace__"]);
    for order in BOTH {
        assert!(Mat5.knows(&file(order, &[])));
    }
    assert!(!Mat5.knows(b"") && !Mat5.knows(&[0; 512]));
}

#[test]
fn a_global_variable_and_no_last_padding() {
    let bytes = little(&[matrix(ByteOrder::Little, 0x409, &[1, 3], "g", &[item(ByteOrder::Little, 2, &[0; 3])])]);
    assert_eq!(json!(first(&bytes).unwrap().attributes), json!({"class": "uint8", "global": true}));
    let mut bytes = bytes[..bytes.len() - 5].to_vec();
    bytes[132] -= 5;
    assert_eq!(members(&bytes), ["g: |u1 at 192 [1, 3] [1, 1]"]);
}

#[test]
fn refused_compressed() {
    let packed = item(ByteOrder::Little, COMPRESSED, b"x\x9c\0");
    member_refused(packed.clone(), &["compressed (zlib)", "save -v6"]);
    let names: Vec<_> = parse(&Mat5, &Bytes(&little(&[packed.clone(), packed]))).unwrap().members;
    assert_eq!((&names[0].path[0][..], &names[1].path[0][..]), ("compressed-1", "compressed-2"));
}

#[test]
fn refused_objects_and_functions() {
    member_refused(nested(3, &[1, 1], "o", &[]), &["object or function", "class object"]);
    member_refused(nested(16, &[1, 1], "f", &[]), &["class function"]);
    let opaque = [words(ByteOrder::Little, 6, &[17, 0]), item(ByteOrder::Little, 1, b"q"), vec![0; 8]].concat();
    member_refused(item(ByteOrder::Little, MATRIX, &opaque), &["class opaque"]);
}

#[test]
fn refused_nothing_inside() {
    member_refused(nested(CELL, &[0, 3], "c", &[]), &["holds nothing"]);
    member_refused(nested(STRUCT, &[1, 1], "s", &[fields(b"")]), &["holds nothing"]);
}

#[test]
fn refused_too_deep() {
    let deep = (0..MAX_DEPTH + 1).fold(number(), |inner, _| nested(CELL, &[1, 1], "", &[inner]));
    member_refused(deep, &["nested more than 16 deep"]);
}

#[test]
fn refused_elements() {
    let of = |of, bytes: &[u8]| nested(9, &[1, 3], "x", &[item(ByteOrder::Little, of, bytes)]);
    member_refused(of(8, &[0; 3]), &["of type 8, which is not known"]);
    member_refused(of(3, &[0; 5]), &["take 5 bytes, no multiple of 2"]);
    member_refused(of(2, &[0; 4]), &["claims 3 elements, and it holds 4 of 1 bytes"]);
    let large = nested(9, &[0x7fff_ffff; 4], "x", &[item(ByteOrder::Little, 2, &[0; 3])]);
    member_refused(large, &["claims 18446744073709551615 elements"]);
}

#[test]
fn refused_headers() {
    refuses(&little(&[])[..127], &["ends within its MATLAB header"]);
    refuses(&[0; 128], &["does not begin with a header of MATLAB"]);
    refuses(&little(&[]), &["no variable"]);
    says(&parse(&Mat5, &Broken).unwrap_err(), &["MATLAB header"]);
}

#[test]
fn refused_truncated() {
    let whole = little(&[matrix(ByteOrder::Little, 9, &[1, 9], "x", &[item(ByteOrder::Little, 2, &[0; 9])])]);
    members(&whole);
    for length in 129..whole.len() {
        refuses(&whole[..length], &["damaged"]);
    }
}

#[test]
fn refused_structure() {
    let of = |parts: &[Vec<u8>]| little(&[item(ByteOrder::Little, MATRIX, &parts.concat())]);
    let flags = words(ByteOrder::Little, 6, &[6, 0]);
    let shape = words(ByteOrder::Little, 5, &[1, 1]);
    refuses(&little(&[item(ByteOrder::Little, 9, &[0; 8])]), &["type 9, which is no variable"]);
    refuses(&little(&[small(ByteOrder::Little, 2, &[0; 4]), vec![5, 0, 5, 0, 0, 0, 0, 0]]), &["type 2"]);
    refuses(&little(&[vec![5, 0, 5, 0, 0, 0, 0, 0]]), &["has 5 bytes, where at most 4 fit"]);
    refuses(&of(&[words(ByteOrder::Little, 6, &[6])]), &["8 bytes of flags"]);
    refuses(&of(&[words(ByteOrder::Little, 5, &[6, 0])]), &["should be flags"]);
    refuses(&of(&[words(ByteOrder::Little, 6, &[18, 0])]), &["class 18"]);
    refuses(&of(&[flags.clone(), words(ByteOrder::Little, 5, &[1])]), &["no two axes"]);
    refuses(&of(&[flags.clone(), words(ByteOrder::Little, 5, &[1; 65])]), &["should be a shape"]);
    refuses(&of(&[flags.clone(), words(ByteOrder::Little, 5, &[1, u32::MAX])]), &["an axis of length -1"]);
    refuses(&of(&[flags.clone(), shape.clone(), item(ByteOrder::Little, 1, &[b'a'; 256])]), &["should be a name"]);
    refuses(&of(&[flags, shape]), &["leads beyond"]);
    refuses(&little(&[nested(CELL, &[1, 2], "c", &[number()])]), &["leads beyond"]);
    refuses(&little(&[nested(CELL, &[1, 1], "c", &[item(ByteOrder::Little, 9, &[0; 8])])]), &["should be a matrix"]);
}

#[test]
fn refused_names_of_fields() {
    let of = |parts: Vec<u8>| little(&[nested(STRUCT, &[1, 1], "s", &[parts, number()])]);
    let length = |length: &[u8]| [small(ByteOrder::Little, 5, length), item(ByteOrder::Little, 1, b"abcd")].concat();
    refuses(&of(length(&[4, 0])), &["no number of 4 bytes"]);
    refuses(&of(length(&[0, 0, 0, 0])), &["take 0 bytes"]);
    refuses(&of(length(&[1, 1, 0, 0])), &["take 257 bytes"]);
    refuses(&of(fields(b"\0abc")), &["a field has an empty name"]);
}

#[test]
fn refused_too_many() {
    let flags = words(ByteOrder::Little, 6, &[u32::from(CELL), 0]);
    let head = [flags, words(ByteOrder::Little, 5, &[1, 200_000]), item(ByteOrder::Little, 1, b"c")].concat();
    let cells = [head, item(ByteOrder::Little, MATRIX, b"").repeat(200_000)].concat();
    refuses(&little(&[item(ByteOrder::Little, MATRIX, &cells)]), &["more than 131072 arrays"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((124..900_usize, any::<u8>()), 0..4),
        cut in 0..1200_usize,
    ) {
        let cell = nested(CELL, &[1, 2], "", &[number(), number()]);
        let complex = matrix(ByteOrder::Little, 0x809, &[2, 1], "", &vec![small(ByteOrder::Little, 2, &[0; 2]); 2]);
        let tree = nested(STRUCT, &[1, 1], "s", &[fields(b"a\0\0\0b\0\0\0"), cell, complex]);
        let mut bytes = little(&[tree, nested(9, &[1, 1], "x", &[item(ByteOrder::Little, 2, &[0])])]);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&Mat5, &Bytes(&bytes)) {
            prop_assert!(is_within(&found, bytes.len() as u64));
        }
    }
}
