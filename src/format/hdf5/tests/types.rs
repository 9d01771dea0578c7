//! Types of elements, of every class.

use super::super::datatype::{Class, Datatype, Served};
use super::*;

/// A type message: class and version, bits of the class, size, and the rest.
fn message(head: u8, bits: u32, size: u32, rest: &[u8]) -> Vec<u8> {
    let bits = bits.to_le_bytes();
    [&[head, bits[0], bits[1], bits[2]][..], &size.to_le_bytes(), rest].concat()
}

fn served(message: &[u8]) -> Result<Served, Refusal> {
    Datatype::parse(message)?.served()
}

fn check(message: &[u8], dtype: &str) {
    let served = served(message).unwrap();
    assert_eq!((served.dtype.to_string().as_str(), served.element, &served.shape[..]), (dtype, None, &[][..]));
}

fn refused(message: &[u8], parts: &[&str]) {
    let refusal = served(message).unwrap_err().0;
    assert!(parts.iter().all(|part| refusal.contains(part)), "{refusal}");
}

fn number(version: u8, bits: u32, size: u8) -> Vec<u8> {
    message(version << 4, bits, size.into(), &[0, 0, 8 * size, 0])
}

/// A float: bits of the class beside the place of the sign, size, and the places and sizes of exponent and mantissa.
fn float(bits: u32, size: u8, [exponent_at, exponent, mantissa]: [u8; 3], bias: u32) -> Vec<u8> {
    let precision = 8 * size;
    let rest = [&[0, 0, precision, 0, exponent_at, exponent, 0, mantissa][..], &bias.to_le_bytes()].concat();
    message(0x11, bits | 0x20 | u32::from(precision - 1) << 8, size.into(), &rest)
}

const SINGLE: [u8; 3] = [23, 8, 23];

/// A member of a compound of version 3.
fn member(name: &str, offset: u8, datatype: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0, offset], datatype].concat()
}

fn compound(size: u32, members: &[Vec<u8>]) -> Vec<u8> {
    message(0x36, members.len() as u32, size, &members.concat())
}

#[test]
fn integers() {
    for version in 1..=5 {
        for (size, names) in [(1, ["|u1", "|u1", "|i1"]), (2, ["<u2", ">u2", "<i2"]), (8, ["<u8", ">u8", "<i8"])] {
            for (bits, name) in [0, 1, 8].into_iter().zip(names) {
                check(&number(version, bits, size), name);
            }
        }
    }
    check(&message(0x14, 1, 4, &[0, 0, 32, 0]), ">u4");
    // An unsigned number of fewer bits, with zeros above.
    check(&message(0x10, 0, 2, &[0, 0, 12, 0]), "<u2");
    for (bits, element) in [(0, "u3"), (1, "u3be"), (8, "i3"), (9, "i3be")] {
        let served = served(&number(1, bits, 3)).unwrap();
        assert_eq!((served.dtype.to_string().as_str(), served.element), ("|V3", Some(element)));
    }
}

#[test]
fn floats() {
    check(&float(0, 2, [10, 5, 10], 15), "<f2");
    check(&float(1, 4, SINGLE, 127), ">f4");
    check(&float(0, 8, [52, 11, 52], 1023), "<f8");
    let extended = [&[0, 0, 80, 0, 64, 15, 0, 64][..], &16383_u32.to_le_bytes()].concat();
    check(&message(0x11, 79 << 8, 16, &extended), "<f16");
    for (bits, size, places, bias, element) in [
        (0, 2, [7, 8, 7], 127, "bf16"),
        (1, 2, [7, 8, 7], 127, "bf16be"),
        (0, 1, [3, 4, 3], 7, "f8_e4m3"),
        (0, 1, [2, 5, 2], 15, "f8_e5m2"),
    ] {
        let served = served(&float(bits, size, places, bias)).unwrap();
        assert_eq!((served.dtype.itemsize(), served.element), (size.into(), Some(element)));
    }
}

#[test]
fn times() {
    for (bits, size, dtype, element) in [(0, 4, "|V4", "unix_d32"), (1, 8, "|V8", "unix_d64be")] {
        let served = served(&message(0x12, bits, size, &[8 * size as u8, 0])).unwrap();
        assert_eq!((served.dtype.to_string().as_str(), served.element), (dtype, Some(element)));
    }
}

#[test]
fn strings_and_opaque_bytes() {
    check(&message(0x13, 0x11, 5, &[]), "|S5");
    check(&message(0x15, 8, 7, b"a tag\0\0\0"), "|V7");
    check(&message(0x15, 16, 8, b"NUMPY:>M8[ns]\0\0\0"), ">M8[ns]");
    check(&message(0x15, 16, 7, b"NUMPY:>M8[ns]\0\0\0"), "|V7");
    check(&message(0x15, 8, 8, b"NUMPY:|O"), "|V8");
}

#[test]
fn enumerations() {
    let names = |version: u8, names: &[&str], values: &[u8]| {
        let mut rest = number(version, 8, 1);
        for name in names {
            rest.extend(name.as_bytes());
            rest.push(0);
            rest.resize(if version < 3 { rest.len() + (8 - (name.len() + 1) % 8) % 8 } else { rest.len() }, 0);
        }
        rest.extend(values);
        message(8 | version << 4, names.len() as u32, 1, &rest)
    };
    for version in 1..=3 {
        check(&names(version, &["FALSE", "TRUE"], &[0, 1]), "|b1");
        check(&names(version, &["TRUE", "FALSE"], &[1, 0]), "|i1");
        check(&names(version, &["RED", "LONGNAME"], &[1, 2]), "|i1");
    }
    let dataset = [space(&[2], &[]), (kind::DATATYPE, names(1, &["RED", "BLUE"], &[1, 0xff])), contiguous(0, 2)];
    let array = single(&Build::new().single(&dataset));
    assert_eq!(array.attributes["enum"], serde_json::from_str::<serde_json::Value>("{\"RED\":1,\"BLUE\":-1}").unwrap());
}

#[test]
fn compounds() {
    let inner = compound(3, &[member("p", 0, &number(3, 8, 1)), member("q", 1, &number(3, 1, 2))]);
    let array = message(0x3a, 0, 12, &[&[2, 2, 0, 0, 0, 3, 0, 0, 0][..], &number(3, 0, 2)].concat());
    // Members in any order, with gaps.
    let message =
        compound(24, &[member("c", 20, &inner), member("a", 0, &float(0, 4, SINGLE, 127)), member("b", 6, &array)]);
    check(
        &message,
        "[('a', '<f4'), ('', '|V2'), ('b', '<u2', (2, 3)), ('', '|V2'), ('c', [('p', '|i1'), ('q', '>u2')]), \
         ('', '|V1')]",
    );
}

#[test]
fn compounds_of_older_versions() {
    let padded = |name: &str, offset: u32| {
        let mut bytes = [name.as_bytes(), &[0]].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        [bytes, offset.to_le_bytes().to_vec()].concat()
    };
    let second = [padded("a", 0), number(1, 0, 2), padded("longname", 2), number(1, 8, 1)].concat();
    check(&message(0x26, 2, 3, &second), "[('a', '<u2'), ('longname', '|i1')]");
    let axes = |lengths: &[u32]| {
        let mut bytes = vec![lengths.len() as u8];
        bytes.resize(12, 0);
        bytes.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
        bytes.resize(28, 0);
        bytes
    };
    let first = [padded("a", 0), axes(&[2, 3]), number(1, 0, 2), padded("b", 12), axes(&[]), number(1, 8, 1)].concat();
    check(&message(0x16, 2, 13, &first), "[('a', '<u2', (2, 3)), ('b', '|i1')]");
}

#[test]
fn complex_numbers() {
    let pair = |names: [&str; 2], bits: u32| {
        let half = float(bits, 4, SINGLE, 127);
        compound(8, &[member(names[0], 0, &half), member(names[1], 4, &half)])
    };
    check(&pair(["r", "i"], 0), "<c8");
    check(&pair(["r", "i"], 1), ">c8");
    check(&pair(["real", "imag"], 0), "[('real', '<f4'), ('imag', '<f4')]");
    let half = float(0, 2, [10, 5, 10], 15);
    check(&compound(4, &[member("r", 0, &half), member("i", 2, &half)]), "[('r', '<f2'), ('i', '<f2')]");
    check(&message(0x5b, 0, 16, &float(0, 8, [52, 11, 52], 1023)), "<c16");
    refused(&message(0x5b, 0, 4, &half), &["complex numbers of a kind that NumPy has no type for"]);
}

#[test]
fn arrays() {
    for version in 1..=3 {
        let dims = [5_u32, 2].iter().flat_map(|length| length.to_le_bytes()).collect::<Vec<_>>();
        let old = [&[2, 0, 0, 0][..], &dims, &[0; 8], &number(1, 0, 2)].concat();
        let new = [&[2][..], &dims, &number(3, 0, 2)].concat();
        let served = served(&message(10 | version << 4, 0, 20, if version < 3 { &old } else { &new })).unwrap();
        assert_eq!((served.dtype.to_string().as_str(), &served.shape[..]), ("<u2", &[5, 2][..]));
    }
    let array = message(0x3a, 0, 4, &[&[1, 2, 0, 0, 0][..], &number(3, 0, 2)].concat());
    let mut build = Build::new();
    let data = build.add(&[7; 8]);
    let alike = fill(&[1, 2, 1, 2]);
    let found = single(&build.single(&[
        space(&[4], &[]),
        (kind::DATATYPE, array.clone()),
        tree_chunks(UNDEFINED, &[2, 4]),
        alike.clone(),
    ]));
    assert_eq!((found.grid.shape(), found.fill), (&[4, 2][..], vec![1, 2]));
    let mut build = Build::new();
    build.add(&[7; 8]);
    let tree = build.add(&chunk_node(0, &[(8, 0, &[0], data)]));
    let messages = [space(&[3], &[]), (kind::DATATYPE, array), tree_chunks(tree, &[2, 4]), alike];
    let found = single(&build.single(&messages));
    assert_eq!(places(&found), [Some(96), Some(98), Some(100), Some(102), None, None]);
}

#[test]
fn refused_types() {
    refused(&message(0x19, 1, 16, &message(0x13, 0, 1, &[])), &["strings of variable length", "fixed length", "'S20'"]);
    refused(&message(0x19, 0, 16, &number(1, 0, 4)), &["of variable length", "another one for the lengths"]);
    refused(&message(0x17, 0, 8, &[]), &["references", "by its path"]);
    refused(&message(0x12, 0, 2, &[16, 0]), &["times of a size that is not known", "store them as integers"]);
    refused(&number(1, 0, 5), &["integers of a size that NumPy has not"]);
    refused(&message(0x10, 8, 2, &[0, 0, 12, 0]), &["use only some of their bits"]);
    refused(&message(0x10, 4, 2, &[0, 0, 12, 0]), &["use only some of their bits"]);
    refused(&message(0x10, 0, 2, &[2, 0, 12, 0]), &["use only some of their bits"]);
    refused(&float(0x41, 4, SINGLE, 127), &["floats of the VAX"]);
    refused(&float(0, 4, SINGLE, 128), &["floats of a kind that NumPy has no type for"]);
    refused(&message(0x11, 0x1f20, 4, &[0, 0, 32, 0, 23, 8, 0, 22, 127, 0, 0, 0]), &["floats of a kind"]);
    let text = message(0x19, 1, 16, &message(0x13, 0, 1, &[]));
    refused(&compound(16, &[member("s", 0, &text)]), &["the field 's'", "strings of variable length"]);
    let overlap = [member("a", 0, &number(3, 0, 4)), member("b", 2, &number(3, 0, 4))];
    refused(&compound(8, &overlap), &["NumPy has no type for", "'b' overlaps another"]);
    let twice = [member("a", 0, &number(3, 0, 1)), member("a", 2, &number(3, 0, 1))];
    refused(&compound(8, &twice), &["'a' names two fields"]);
}

#[test]
fn refused_damaged_types() {
    refused(&[], &["its datatype is shorter than what it claims to hold"]);
    refused(&message(0x00, 0, 4, &[0; 4]), &["its datatype is of version 0"]);
    refused(&message(0x60, 0, 4, &[0; 4]), &["its datatype is of version 6"]);
    refused(&message(0x1c, 0, 4, &[]), &["class 12, which is not known"]);
    refused(&message(0x36, 1, 4, b"name without an end"), &["a name without an end"]);
    refused(
        &message(0x3a, 0, 5, &[&[1, 2, 0, 0, 0][..], &number(3, 0, 2)].concat()),
        &["not as large as its elements"],
    );
    let nested = (0..40).fold(number(3, 0, 1), |inner, _| compound(1, &[member("a", 0, &inner)]));
    refused(&nested, &["nested more than 32 deep"]);
    let class = Datatype::parse(&message(0x17, 1, 12, &[])).unwrap().class;
    assert_eq!(class, Class::Reference { object: false });
}
