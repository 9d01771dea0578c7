//! Elements made by hand, and each file or element that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Broken, Bytes, Sparse, described, is_within, parse, refused, says};

fn file(lines: &[&str], bytes: &[u8]) -> Vec<u8> {
    let head = ["ply", "format binary_little_endian 1.0"].iter().chain(lines).chain(&["end_header"]);
    let head: String = head.map(|line| format!("{line}\n")).collect();
    [head.as_bytes(), bytes].concat()
}

/// Behind the lines of a header, where elements begin.
fn start(lines: &[&str]) -> usize {
    file(lines, b"").len()
}

/// All elements: their names, and what they are or why they are refused.
fn members(bytes: &[u8]) -> Vec<String> {
    let line = |member: &Member| {
        let found = member.found.as_ref().map_or_else(|refusal| refusal.0.clone(), described);
        format!("{}: {found}", member.path.join("/"))
    };
    parse(&Ply, &Bytes(bytes)).unwrap().members.iter().map(line).collect()
}

fn refuses(bytes: &[u8], parts: &[&str]) {
    refused(&Ply, bytes, parts);
}

/// The first element of this name is refused.
fn element_refused(bytes: &[u8], name: &str, parts: &[&str]) {
    let found = parse(&Ply, &Bytes(bytes)).unwrap();
    let member = found.members.iter().find(|member| member.path == [name]).unwrap();
    says(member.found.as_ref().unwrap_err(), parts);
}

const VERTEX: [&str; 3] = ["element vertex 2", "property float x", "property uchar red"];
const FACE: [&str; 2] = ["element face 2", "property list uchar int vertex_indices"];

/// A face of so many corners.
fn face(corners: u8) -> Vec<u8> {
    [vec![corners], vec![0; 4 * usize::from(corners)]].concat()
}

#[test]
fn every_type_in_either_order() {
    let types = [
        ("char int8", "i1"),
        ("uchar uint8", "u1"),
        ("short int16", "i2"),
        ("ushort uint16", "u2"),
        ("int int32", "i4"),
        ("uint uint32", "u4"),
        ("float float32", "f4"),
        ("double float64", "f8"),
    ];
    for (words, dtype) in types {
        for word in words.split(' ') {
            for (order, mark) in [("little", '<'), ("big", '>')] {
                let head =
                    format!("ply\nformat binary_{order}_endian 1.0\nelement v 3\nproperty {word} a\nend_header\n");
                let bytes = [head.as_bytes(), &[0; 24]].concat();
                let mark = if dtype.ends_with('1') { '|' } else { mark };
                let (size, at) = (&dtype[1..], head.len());
                assert_eq!(members(&bytes), [format!("v: [('a', '{mark}{dtype}')] at {at} [3] [{size}]")]);
            }
        }
    }
}

#[test]
fn lists_of_one_count() {
    let lines = [&VERTEX[..], &FACE, &["property uchar flags", "element end 1", "property char c"]].concat();
    let bytes = file(&lines, &[vec![0; 10], face(3), vec![0], face(3), vec![0], vec![0]].concat());
    let at = start(&lines);
    let list = "('vertex_indices_count', '|u1'), ('vertex_indices', '<i4', (3,)), ('flags', '|u1')";
    let wanted = [
        format!("vertex: [('x', '<f4'), ('red', '|u1')] at {at} [2] [5]"),
        format!("face: [{list}] at {} [2] [14]", at + 10),
        format!("end: [('c', '|i1')] at {} [1] [1]", at + 38),
    ];
    assert_eq!(members(&bytes), wanted);
}

#[test]
fn counts_of_every_size() {
    for (word, count) in
        [("uchar", &[2][..]), ("char", &[2]), ("ushort", &[2, 0]), ("short", &[2, 0]), ("int", &[2, 0, 0, 0])]
    {
        let lines = ["element e 1", &format!("property list {word} uchar a")];
        let bytes = file(&lines, &[count, &[7, 8]].concat());
        assert!(members(&bytes)[0].contains("('a', '|u1', (2,))"), "{word}");
    }
    let bytes = b"ply\r\nformat binary_big_endian 1.0\r\nelement e 1\r\nproperty list uint uchar a\r\nend_header\r\n\0\0\0\x02ab";
    assert!(members(bytes)[0].contains("('a', '|u1', (2,))"));
}

#[test]
fn no_records_and_names_twice() {
    let lines = ["element e 0", "property list uchar int a", "property uchar a", "element e 1", "property uchar b"];
    let at = start(&lines);
    let first = format!("e: [('a_count', '|u1'), ('a', '<i4', (0,)), ('a-2', '|u1')] at {at} [0] [2]");
    assert_eq!(members(&file(&lines, &[0])), [first, format!("e-2: [('b', '|u1')] at {at} [1] [1]")]);
}

#[test]
fn attributes_and_knowledge() {
    let lines = ["comment made  by hand", "obj_info a 1", "comment again", "element e 1", "property uchar b"];
    let bytes = file(&lines, &[0]);
    let found = parse(&Ply, &Bytes(&bytes)).unwrap();
    assert_eq!(json!(found.attributes), json!({"comment": ["made  by hand", "again"], "obj_info": ["a 1"]}));
    assert!(Ply.knows(&bytes) && Ply.knows(b"ply\r\nformat ascii") && !Ply.knows(b"ply") && !Ply.knows(b""));
}

#[test]
fn refused_ascii() {
    refuses(b"ply\nformat ascii 1.0\nend_header\n", &["text (ascii)", "text = False"]);
}

#[test]
fn refused_headers() {
    refuses(b"solid cube\n", &["line that says ply", "another kind"]);
    refuses(b"ply\nend_header\n", &["no line that says format"]);
    refuses(b"ply\nformat binary_little_endian 2.0\nend_header\n", &["'2.0', which is not known"]);
    refuses(b"ply\nformat binary_little_endian 1.0\n", &["ends within its PLY header"]);
    refuses(&file(&[], b""), &["no element"]);
    refuses(&file(&["element e x"], b""), &["not known: 'element e x'"]);
    refuses(&file(&["property char x"], b""), &["not known: 'property char x'"]);
    refuses(&file(&["property list char char x"], b""), &["not known"]);
    refuses(&file(&["element e 1", "property half x"], b""), &["'half' in the place of a type"]);
    refuses(&file(&["element e 1", "property list float int x"], b""), &["counted in fractions"]);
    refuses(&file(&["something"], b""), &["not known: 'something'"]);
    says(&parse(&Ply, &Broken).unwrap_err(), &["the disk is gone"]);
}

#[test]
fn refused_header_too_long() {
    let comment = format!("comment {}", "a".repeat(2 << 20));
    refuses(&file(&[&comment], b""), &["longer than the 1048576 bytes"]);
}

#[test]
fn refused_several_counts() {
    let lines = [&FACE[..], &["element e 1", "property uchar b"]].concat();
    let bytes = file(&lines, &[face(3), face(4), vec![0; 4]].concat());
    element_refused(&bytes, "face", &["several counts (3 in its first record, 4 in record 1)", "triangulate"]);
    element_refused(&bytes, "e", &["behind the element 'face'"]);
}

#[test]
fn refused_another_end() {
    let lines = [&FACE[..], &["element e 1", "property uchar b"]].concat();
    let bytes = file(&lines, &[face(3), face(3), vec![0; 2]].concat());
    element_refused(&bytes, "face", &["not all have the count of the first", "would end at byte"]);
    element_refused(&bytes, "e", &["behind the element 'face'"]);
    // Of numbers alone the place is known, whatever follows.
    assert!(members(&file(&VERTEX, &[0; 99]))[0].contains("[2] [5]"));
}

/// What is looked at is spread over all records, and bounded.
#[test]
fn not_every_count_is_read() {
    let lines = ["element face 100000", "property list uchar uchar a"];
    let mut bytes = file(&lines, &[1, 0].repeat(100_000));
    assert!(members(&bytes)[0].contains("[100000] [2]"));
    let last = bytes.len() - 2;
    bytes[last] = 2;
    element_refused(&bytes, "face", &["2 in record 99999"]);
}

#[test]
fn refused_negative_counts() {
    let lines = ["element e 1", "property list short uchar b"];
    element_refused(&file(&lines, &[0, 0x80]), "e", &["is negative"]);
}

#[test]
fn refused_truncated() {
    element_refused(&file(&VERTEX, &[0; 9]), "vertex", &["claims 2 records of 5 bytes", "truncated"]);
    element_refused(&file(&FACE, &face(3)), "face", &["claims 2 records of 13 bytes"]);
    element_refused(&file(&FACE, b""), "face", &["within its lists"]);
    let lines = ["element e 18446744073709551615", "property double a"];
    element_refused(&file(&lines, b""), "e", &["truncated"]);
}

#[test]
fn refused_no_property() {
    element_refused(&file(&["element e 5"], b""), "e", &["no property"]);
}

#[test]
fn refused_too_large() {
    let lines = ["element e 1", "property list uint double b"];
    let bytes = file(&lines, &[0xff; 4]);
    says(
        parse(&Ply, &Sparse(&bytes, 1 << 40)).unwrap().members[0].found.as_ref().unwrap_err(),
        &["larger than NumPy allows"],
    );
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((0..260_usize, any::<u8>()), 0..4),
        count in 0..6_u8,
        cut in 0..400_usize,
    ) {
        let lines = [&VERTEX[..], &FACE, &["property list int short more", "element e 1", "property double d"]].concat();
        let more = [&[count, 0, 0, 0][..], &vec![0; 2 * usize::from(count)]].concat();
        let body = [vec![0; 10], face(count), more.clone(), face(count), more, vec![0; 8]].concat();
        let mut bytes = file(&lines, &body);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&Ply, &Bytes(&bytes)) {
            prop_assert!(is_within(&found, bytes.len() as u64));
        }
    }
}
