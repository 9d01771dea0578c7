//! Grids and meshes made by hand, and each file or array that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::Member;
use crate::format::header::MAX_ENTRIES;
use crate::format::header::tests::{Broken, Bytes, described, is_within, parse, refused, says};

/// A file of lines and so many zeros behind each.
fn file(version: &str, lines: &[(&str, usize)]) -> Vec<u8> {
    let mut bytes = format!("# vtk DataFile Version {version}\na title\nBINARY\n").into_bytes();
    for &(line, zeros) in lines {
        bytes.extend(line.bytes().chain([b'\n']));
        if zeros > 0 {
            bytes.resize(bytes.len() + zeros, 0);
            bytes.push(b'\n');
        }
    }
    bytes
}

/// All arrays: their names, and what they are or why they are refused.
fn members(bytes: &[u8]) -> Vec<String> {
    let line = |member: &Member| {
        let found = member
            .found
            .as_ref()
            .map_or_else(|refusal| refusal.0.clone(), |array| format!("{} {:?}", described(array), array.dims));
        format!("{}: {found}", member.path.join("/"))
    };
    parse(&Vtk, &Bytes(bytes)).unwrap().members.iter().map(line).collect()
}

/// The names, types and shapes of all arrays.
fn brief(bytes: &[u8]) -> Vec<String> {
    let line = |member: &Member| {
        let array = member.found.as_ref().unwrap();
        format!("{} {} {:?}", member.path.join("/"), array.dtype, array.grid.shape())
    };
    parse(&Vtk, &Bytes(bytes)).unwrap().members.iter().map(line).collect()
}

fn refuses(bytes: &[u8], parts: &[&str]) {
    refused(&Vtk, bytes, parts);
}

/// The last array is refused.
fn last_refused(lines: &[(&str, usize)], parts: &[&str]) {
    let bytes = file("4.2", lines);
    let found = parse(&Vtk, &Bytes(&bytes)).unwrap();
    says(found.members.last().unwrap().found.as_ref().unwrap_err(), parts);
}

#[test]
fn a_structured_grid() {
    let lines = [
        ("DATASET STRUCTURED_POINTS", 0),
        ("DIMENSIONS 4 3 2", 0),
        ("SPACING 1 2.5 x", 0),
        ("ORIGIN 0 0 -1", 0),
        ("CELL_DATA 6", 0),
        ("SCALARS c int", 0),
        ("LOOKUP_TABLE mine", 24),
        ("POINT_DATA 24", 0),
        ("VECTORS v%20w float", 288),
    ];
    let bytes = file("3.0", &lines);
    let wanted = [
        r#"cell_data/c: >i4 at 159 [1, 2, 3] [24, 12, 4] ["z", "y", "x"]"#,
        r#"point_data/v w: >f4 at 218 [2, 3, 4, 3] [144, 48, 12, 4] ["z", "y", "x", ""]"#,
    ];
    assert_eq!(members(&bytes), wanted);
    let found = parse(&Vtk, &Bytes(&bytes)).unwrap();
    let wanted = json!({
        "version": "3.0", "title": "a title", "dataset": "STRUCTURED_POINTS", "spacing": [1.0, 2.5, null],
        "origin": [0.0, 0.0, -1.0],
    });
    assert_eq!(json!(found.attributes), wanted);
    let attributes = &found.members[0].found.as_ref().unwrap().attributes;
    assert_eq!(json!(attributes), json!({"kind": "scalars", "lookup_table": "mine"}));
}

#[test]
fn every_type() {
    let types = [
        ("char", "|i1"),
        ("signed_char", "|i1"),
        ("unsigned_char", "|u1"),
        ("short", ">i2"),
        ("unsigned_short", ">u2"),
        ("int", ">i4"),
        ("vtkIdType", ">i4"),
        ("unsigned_int", ">u4"),
        ("long", ">i8"),
        ("vtktypeint64", ">i8"),
        ("unsigned_long", ">u8"),
        ("vtktypeuint64", ">u8"),
        ("float", ">f4"),
        ("DOUBLE", ">f8"),
    ];
    for (word, dtype) in types {
        let size: usize = dtype[2..].parse().unwrap();
        let bytes = file("3.0", &[(&format!("POINTS 2 {word}"), 6 * size)]);
        assert_eq!(brief(&bytes), [format!("points {dtype} [2, 3]")]);
    }
}

#[test]
fn every_kind_of_value() {
    let lines = [
        ("FIELD FieldData 1", 0),
        ("time 1 1 double", 8),
        ("EXTENT 0 1 2 2 -1 0", 0),
        ("point_data 4", 0),
        ("SCALARS a short 2", 0),
        ("LOOKUP_TABLE default", 16),
        ("METADATA\nINFORMATION 1\nNAME x\n", 0),
        ("COLOR_SCALARS b 4", 16),
        ("LOOKUP_TABLE l 5", 20),
        ("NORMALS n float", 48),
        ("TENSORS t float", 144),
        ("TENSORS6 s float", 96),
        ("TEXTURE_COORDINATES c 2 float", 32),
        ("GLOBAL_IDS g vtkIdType", 16),
        ("PEDIGREE_IDS p vtkIdType", 16),
        ("EDGE_FLAGS e int", 16),
        ("FIELD f 4", 0),
        ("one 1 4 char", 4),
        ("NULL_ARRAY", 0),
        ("other 2 3 char", 6),
        ("none 3 0 char", 0),
    ];
    let wanted = [
        "field_data/time >f8 [1]",
        "point_data/a >i2 [2, 1, 2, 2]",
        "point_data/b |u1 [2, 1, 2, 4]",
        "lookup_table/l |u1 [5, 4]",
        "point_data/n >f4 [2, 1, 2, 3]",
        "point_data/t >f4 [2, 1, 2, 3, 3]",
        "point_data/s >f4 [2, 1, 2, 6]",
        "point_data/c >f4 [2, 1, 2, 2]",
        "point_data/g >i4 [2, 1, 2]",
        "point_data/p >i4 [2, 1, 2]",
        "point_data/e >i4 [2, 1, 2]",
        "point_data/one |i1 [2, 1, 2]",
        "point_data/other |i1 [3, 2]",
        "point_data/none |i1 [0, 3]",
    ];
    assert_eq!(brief(&file("3.0", &lines)), wanted);
}

#[test]
fn cells_of_old_and_new_versions() {
    let old = [("POINTS 1 float", 12), ("CELLS 2 7", 28), ("CELL_TYPES 2", 8)];
    assert_eq!(brief(&file("4.2", &old)), ["points >f4 [1, 3]", "cells >i4 [7]", "cell_types >i4 [2]"]);
    let new = [("LINES 0 0", 0), ("POLYGONS 3 5", 0), ("OFFSETS vtktypeint64", 24), ("CONNECTIVITY int", 20)];
    assert_eq!(brief(&file("5.1", &new)), ["polygons/offsets >i8 [3]", "polygons/connectivity >i4 [5]"]);
    let axes = [("X_COORDINATES 2 float", 8), ("Z_COORDINATES 1 double", 8)];
    assert_eq!(brief(&file("3.0", &axes)), ["x_coordinates >f4 [2]", "z_coordinates >f8 [1]"]);
}

#[test]
fn names_twice_and_strings_before_others() {
    let mut bytes = file("3.0", &[("FIELD f 1", 0), ("s 1 4 string", 0)]);
    bytes.extend(b"\xc1a\x80\x01b\x40\x00\x00\x01c\0\0\0\0\0\0\0\x01d\n");
    bytes.extend(b"FIELD f 3\na 1 1 char\n1\na 1 1 char\n2\nb 1 9 bit\n34\n");
    let found = members(&bytes);
    assert!(found[0].starts_with("field_data/s: its elements are strings"));
    assert!(found[1].starts_with("field_data/a: |i1") && found[2].starts_with("field_data/a-2: |i1"));
    assert!(found[3].starts_with("field_data/b: its elements are bits") && found.len() == 4);
}

#[test]
fn known_by_content() {
    assert!(Vtk.knows(&file("3.0", &[])) && !Vtk.knows(b"# vtk") && !Vtk.knows(b""));
}

#[test]
fn refused_ascii() {
    refuses(b"# vtk DataFile Version 3.0\nt\nASCII\n", &["text (ASCII)", "binary=True"]);
}

#[test]
fn refused_headers() {
    refuses(b"solid cube\n", &["does not begin with a line", "another kind"]);
    refuses(b"# vtk DataFile Version 3.0\nt\nASCI\n", &["its third line is 'ASCI'"]);
    refuses(&file("3.0", &[]), &["no array"]);
    says(&parse(&Vtk, &Broken).unwrap_err(), &["the disk is gone"]);
}

#[test]
fn refused_lines() {
    refuses(&file("3.0", &[("DIMENSIONS 1 2 z", 0)]), &["'z' in the place of a number"]);
    refuses(&file("3.0", &[("EXTENT 0 1 0 1 0 -9", 0)]), &["'-9' in the place of a number"]);
    refuses(&file("3.0", &[(&"a".repeat(MAX_LINE + 1), 0)]), &["longer than 4096 bytes"]);
    refuses(&file("3.0", &[(&"\n".repeat(MAX_TEXT as usize), 0)]), &["more than the 16777216 bytes"]);
    refuses(&file("3.0", &[("FIELD f 2", 0), ("x 1 1 char", 1)]), &["within the arrays of a FIELD"]);
    last_refused(&[("BLANKING 5 char", 5)], &["'BLANKING 5 char' is not known"]);
    last_refused(&[("POINT_DATA 1", 0), ("SCALARS s char", 0), ("x", 0)], &["'x' is not known"]);
    last_refused(&[("FIELD f 2", 0), ("x 1 char", 0)], &["'x 1 char' is not known"]);
}

#[test]
fn refused_types() {
    last_refused(&[("POINTS 2 half", 12)], &["'half' is not known"]);
    last_refused(&[("FIELD f 1", 0), ("x 1 65537 string", 65537)], &["strings of several lengths"]);
    last_refused(&[("FIELD f 1", 0), ("x 1 3 bit", 1)], &["bits", "unsigned_char"]);
}

#[test]
fn refused_truncated() {
    last_refused(&[("POINTS 2 float", 0)], &["up to byte 81, the file holds only 57", "truncated"]);
    last_refused(&[("POINTS 18446744073709551615 float", 9)], &["more numbers than any file"]);
    last_refused(&[("POINTS 4611686018427387904 float", 9)], &["claims"]);
}

#[test]
fn refused_too_many() {
    let count = MAX_ENTRIES as usize + 1;
    let lines = "x 1 0 char\n".repeat(count);
    refuses(&file("3.0", &[(&format!("FIELD f {count}"), 0), (&lines, 0)]), &["more than 131072 arrays"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((0..600_usize, any::<u8>()), 0..4),
        cut in 0..900_usize,
    ) {
        let lines = [
            ("DIMENSIONS 2 1 2", 0),
            ("POINTS 4 float", 48),
            ("CELLS 2 3", 0),
            ("OFFSETS vtktypeint64", 16),
            ("CONNECTIVITY vtktypeint64", 24),
            ("POINT_DATA 4", 0),
            ("SCALARS a short 2", 0),
            ("LOOKUP_TABLE default", 16),
            ("FIELD f 2", 0),
            ("b 2 4 double", 64),
            ("s 1 4 string", 32),
        ];
        let mut bytes = file("5.1", &lines);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&Vtk, &Bytes(&bytes)) {
            prop_assert!(is_within(&found, bytes.len() as u64));
            for array in found.members.iter().filter_map(|member| member.found.as_ref().ok()) {
                prop_assert!(array.dims.is_empty() || array.dims.len() == array.grid.shape().len());
            }
        }
    }
}
