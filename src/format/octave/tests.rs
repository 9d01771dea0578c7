//! Variables made by hand, and each file or variable that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Broken, Bytes, described, is_within, parse, refused, says};

const BOTH: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];
const LITTLE: ByteOrder = ByteOrder::Little;

fn ints(order: ByteOrder, numbers: &[i32]) -> Vec<u8> {
    let bytes = |number: &i32| if order == ByteOrder::Big { number.to_be_bytes() } else { number.to_le_bytes() };
    numbers.iter().flat_map(bytes).collect()
}

fn text(order: ByteOrder, text: &str) -> Vec<u8> {
    [ints(order, &[text.len() as i32]), text.into()].concat()
}

/// A variable of this name and type, with its value in parts.
fn variable(order: ByteOrder, name: &str, of: &str, value: &[Vec<u8>]) -> Vec<u8> {
    [text(order, name), text(order, "doc"), vec![0, 255], text(order, of), value.concat()].concat()
}

fn file(order: ByteOrder, variables: &[Vec<u8>]) -> Vec<u8> {
    let head = if order == ByteOrder::Big { b"Octave-1-B\x01" } else { b"Octave-1-L\x00" };
    [&head[..], &variables.concat()].concat()
}

/// A file with one variable.
fn one(of: &str, value: &[Vec<u8>]) -> Vec<u8> {
    file(LITTLE, &[variable(LITTLE, "x", of, value)])
}

/// All members: their names, and what they are or why they are refused.
fn members(bytes: &[u8]) -> Vec<String> {
    let line = |member: &Member| {
        let found = member.found.as_ref().map_or_else(|refusal| refusal.0.clone(), described);
        format!("{}: {found}", member.path.join("/"))
    };
    parse(&Octave, &Bytes(bytes)).unwrap().members.iter().map(line).collect()
}

/// The type and shape of the last member.
fn brief(bytes: &[u8]) -> String {
    let found = parse(&Octave, &Bytes(bytes)).unwrap();
    let array = found.members.last().unwrap().found.as_ref().unwrap();
    format!("{} {:?}", array.dtype, array.grid.shape())
}

fn attributes(bytes: &[u8]) -> serde_json::Value {
    let found = parse(&Octave, &Bytes(bytes)).unwrap();
    json!(found.members.last().unwrap().found.as_ref().unwrap().attributes)
}

fn refuses(bytes: &[u8], parts: &[&str]) {
    refused(&Octave, bytes, parts);
}

/// The last variable is refused.
fn last_refused(bytes: &[u8], parts: &[&str]) {
    let found = parse(&Octave, &Bytes(bytes)).unwrap();
    says(found.members.last().unwrap().found.as_ref().unwrap_err(), parts);
}

fn shape(lengths: &[i32]) -> Vec<u8> {
    ints(LITTLE, &[&[-(lengths.len() as i32)], lengths].concat())
}

#[test]
fn every_stored_type_in_either_order() {
    let types = ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", "u8", "i8"];
    for order in BOTH {
        for (number, dtype) in (0..).zip(types) {
            let size: usize = dtype[1..].parse().unwrap();
            let value = [ints(order, &[-2, 2, 3]), vec![number], vec![0; 6 * size]];
            let bytes = file(order, &[variable(order, "x", "matrix", &value)]);
            let mark = if size == 1 {
                '|'
            } else if order == ByteOrder::Big {
                '>'
            } else {
                '<'
            };
            assert_eq!(members(&bytes), [format!("x: {mark}{dtype} at 48 [2, 3] [{size}, {}]", 2 * size)]);
        }
    }
}

#[test]
fn integers_texts_and_truth() {
    for (class, dtype) in [("int8", "|i1"), ("uint16", "<u2"), ("int32", "<i4"), ("uint64", "<u8")] {
        let size: usize = dtype[2..].parse().unwrap();
        assert_eq!(brief(&one(&format!("{class} scalar"), &[vec![0; size]])), format!("{dtype} [1, 1]"));
        let matrix = one(&format!("{class} matrix"), &[shape(&[2, 1, 3]), vec![0; 6 * size]]);
        assert_eq!(brief(&matrix), format!("{dtype} [2, 1, 3]"));
        assert_eq!(attributes(&matrix), json!({"class": class, "type": format!("{class} matrix")}));
    }
    assert_eq!(brief(&one("bool", &[vec![1]])), "|u1 [1, 1]");
    assert_eq!(brief(&one("bool matrix", &[shape(&[1, 2]), vec![1, 0]])), "|u1 [1, 2]");
    assert_eq!(brief(&one("sq_string", &[shape(&[1, 2]), b"hi".to_vec()])), "|u1 [1, 2]");
    assert_eq!(attributes(&one("string", &[shape(&[0, 0])])), json!({"class": "char", "type": "string"}));
}

#[test]
fn scalars_and_complex_numbers() {
    assert_eq!(brief(&one("scalar", &[vec![7; 9]])), "<f8 [1, 1]");
    assert_eq!(brief(&one("float scalar", &[vec![6; 5]])), "<f4 [1, 1]");
    assert_eq!(brief(&one("complex scalar", &[vec![7; 17]])), "<c16 [1, 1]");
    assert_eq!(brief(&one("float complex matrix", &[shape(&[1, 2]), vec![6; 17]])), "<c8 [1, 2]");
    let narrow = one("complex matrix", &[shape(&[2]), vec![4; 9]]);
    assert_eq!(brief(&narrow), "[('real', '<i2'), ('imag', '<i2')] [1, 2]");
}

#[test]
fn diagonals_ranges_and_sparse_matrices() {
    let diagonal = one("float complex diagonal matrix", &[ints(LITTLE, &[3, 2]), vec![6; 17]]);
    assert_eq!(brief(&diagonal), "<c8 [2]");
    assert_eq!(attributes(&diagonal)["shape"], json!([3, 2]));
    let range = one("double_range", &[vec![7; 25]]);
    assert_eq!(brief(&range), "[('base', '<f8'), ('limit', '<f8'), ('increment', '<f8')] []");
    let index = [ints(LITTLE, &[-2, 3, 1, 2]), ints(LITTLE, &[0, 2]), ints(LITTLE, &[0, 2])];
    let wanted = ["x/jc: <i4 at 58 [2] [4]", "x/ir: <i4 at 66 [2] [4]", "x/data: <f8 at 75 [2] [8]"];
    assert_eq!(members(&one("sparse matrix", &[&index[..], &[vec![7; 17]]].concat())), wanted);
    let truth = one("sparse bool matrix", &[&index[..], &[vec![1; 2]]].concat());
    assert_eq!(brief(&truth), "|u1 [2]");
    assert_eq!(attributes(&truth), json!({"class": "logical", "type": "sparse bool matrix", "shape": [3, 1]}));
}

#[test]
fn cells_structs_and_lazy_indices() {
    let scalar = |name: &str| variable(LITTLE, name, "scalar", &[vec![7; 9]]);
    let cell = |name: &str| variable(LITTLE, name, "cell", &[shape(&[2, 1]), scalar("<cell-element>"), scalar("e")]);
    let bytes = file(
        LITTLE,
        &[
            cell("c"),
            variable(LITTLE, "s", "scalar struct", &[ints(LITTLE, &[3]), scalar("a"), scalar("a"), cell("b")]),
            variable(LITTLE, "t", "struct", &[shape(&[1, 2]), ints(LITTLE, &[1]), cell("f")]),
            variable(LITTLE, "l", "lazy_index", &[scalar("index_value")]),
            variable(LITTLE, "c", "cell", &[shape(&[0, 2])]),
            scalar("end"),
        ],
    );
    let found = members(&bytes);
    let names: Vec<&str> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["c/0", "c/1", "s/a", "s/a-2", "s/b/0", "s/b/1", "t/f/0", "t/f/1", "l", "c-2", "end"]);
    assert!(found[9].contains("holds nothing") && found[10].contains("<f8"));
}

#[test]
fn old_files_and_global_variables() {
    let old = |number: u8, value: &[u8]| {
        file(LITTLE, &[[text(LITTLE, "x"), text(LITTLE, ""), vec![1, number], value.to_vec()].concat()])
    };
    assert_eq!(attributes(&old(1, &[7; 9])), json!({"class": "double", "type": "scalar", "global": true}));
    assert_eq!(brief(&old(2, &[ints(LITTLE, &[2, 1]), vec![3; 3]].concat())), "|i1 [2, 1]");
    assert_eq!(brief(&old(3, &[7; 17])), "<c16 [1, 1]");
    assert_eq!(brief(&old(4, &[ints(LITTLE, &[0, 1]), vec![7]].concat())), "<c16 [0, 1]");
    assert!(brief(&old(6, &[7; 25])).contains("increment"));
    last_refused(&old(7, &ints(LITTLE, &[1, 0])), &["as Octave 2 saved it"]);
    last_refused(&old(5, &ints(LITTLE, &[0])), &["'number 5' is not known"]);
}

#[test]
fn known_by_content() {
    assert!(
        BOTH.iter().all(|&order| Octave.knows(&file(order, &[]))) && !Octave.knows(b"Octave-1-") && !Octave.knows(b"")
    );
}

#[test]
fn refused_headers() {
    refuses(b"# Created by Octave", &["does not begin with Octave-1-L"]);
    refuses(b"Octave-1-L\x01", &["fractions are of format 1"]);
    refuses(b"Octave-1-L", &["ends within its Octave header"]);
    refuses(&file(LITTLE, &[]), &["no variable"]);
    says(&parse(&Octave, &Broken).unwrap_err(), &["the disk is gone"]);
}

#[test]
fn refused_types() {
    for of in ["function handle", "object", "matrices", "sparse float matrix", "half matrix"] {
        let all = [variable(LITTLE, "f", of, &[]), variable(LITTLE, "x", "bool", &[vec![1]])];
        last_refused(&file(LITTLE, &all), &["is not known here", "save it in a file of its own"]);
    }
}

#[test]
fn refused_stored_types() {
    refuses(&one("scalar", &[vec![10; 9]]), &["stored type of its numbers is 10"]);
}

#[test]
fn refused_truncated() {
    let bytes = one("matrix", &[shape(&[2, 1]), vec![7; 16]]);
    last_refused(&bytes, &["up to byte 64, the file holds only 63", "truncated"]);
    let index = [ints(LITTLE, &[-2, 3, 1, 2]), ints(LITTLE, &[0])];
    last_refused(&one("sparse matrix", &index), &["truncated"]);
    for length in 11..40 {
        refuses(&bytes[..length.max(12)], &["ends within its Octave header"]);
    }
}

#[test]
fn refused_shapes_and_counts() {
    refuses(&one("matrix", &[shape(&[1; 65])]), &["a shape of 65 axes"]);
    refuses(&one("matrix", &[shape(&[1, -1])]), &["-1 at byte 43, in the place of a count"]);
    refuses(&one("matrix", &[shape(&[i32::MAX; 3]), vec![7]]), &["larger than any file"]);
    refuses(&one("sparse matrix", &[shape(&[1, 2, 3]), vec![0; 9]]), &["none of rows and columns"]);
    refuses(&one("scalar struct", &[ints(LITTLE, &[-1, 1, -1])]), &["a negative number of fields"]);
}

#[test]
fn refused_names() {
    refuses(&file(LITTLE, &[text(LITTLE, &"a".repeat(256))]), &["a name of 256 bytes at byte 11"]);
    refuses(&file(LITTLE, &[text(LITTLE, "")]), &["at byte 11 has no name"]);
}

#[test]
fn refused_too_deep() {
    let cell = |inner: Vec<u8>| variable(LITTLE, "c", "cell", &[shape(&[1, 1]), inner]);
    let deep = (0..MAX_DEPTH).fold(variable(LITTLE, "x", "bool", &[vec![1]]), |inner, _| cell(inner));
    last_refused(&file(LITTLE, &[deep]), &["nested more than 16 deep"]);
    let lazy = variable(LITTLE, "l", "lazy_index", &[variable(LITTLE, "l", "lazy_index", &[])]);
    last_refused(&file(LITTLE, &[lazy]), &["damaged"]);
}

#[test]
fn refused_too_many() {
    let empty = variable(LITTLE, "x", "cell", &[shape(&[0])]);
    refuses(&file(LITTLE, &[empty.repeat(MAX_ENTRIES as usize + 1)]), &["more than 131072 arrays"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((11..420_usize, any::<u8>()), 0..4),
        cut in 0..700_usize,
        is_big in any::<bool>(),
    ) {
        let order = if is_big { ByteOrder::Big } else { LITTLE };
        let scalar = variable(order, "a", "complex scalar", &[vec![7; 17]]);
        let matrix = variable(order, "m", "matrix", &[ints(order, &[-2, 2, 2]), vec![4; 9]]);
        let sparse = variable(order, "p", "sparse matrix", &[ints(order, &[-2, 2, 1, 1, 0, 1, 0]), vec![7; 9]]);
        let cell = variable(order, "c", "cell", &[ints(order, &[-2, 1, 2]), matrix.clone(), scalar]);
        let tree = variable(order, "s", "scalar struct", &[ints(order, &[2]), cell, sparse]);
        let mut bytes = file(order, &[tree, matrix]);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&Octave, &Bytes(&bytes)) {
            prop_assert!(is_within(&found, bytes.len() as u64));
        }
    }
}
