//! Headers made by hand, data in one file and in many, and each file that is refused.

use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, says};
use crate::format::raster::tests::Folder;
use crate::source::Alone;

const FIELDS: [&str; 5] = ["type: short", "dimension: 3", "sizes: 3 4 6", "endian: little", "encoding: raw"];

/// Bytes of all elements of such a header.
const SIZE: usize = 144;

/// A header in which these lines replace those of the same fields, or are added.
fn header(lines: &[&str]) -> Vec<u8> {
    let field = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let replaced = |old: &str| lines.iter().find(|line| field(line) == field(old)).copied();
    let kept = FIELDS.iter().map(|old| replaced(old).unwrap_or(old));
    let added = lines.iter().filter(|line| FIELDS.iter().all(|old| field(old) != field(line))).copied();
    let text: Vec<&str> = ["NRRD0004"].into_iter().chain(kept).chain(added).collect();
    text.join("\n").into_bytes()
}

/// The same, and a file of so many bytes behind it.
fn attached(lines: &[&str], size: usize) -> Vec<u8> {
    [header(lines), b"\n\n".to_vec(), vec![0; size]].concat()
}

fn parse_in(folder: &Folder, bytes: &[u8]) -> Result<Array, Refusal> {
    Nrrd.parse("a.nhdr", &Bytes(bytes), folder).map(|content| content.into_array().unwrap())
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    Nrrd.parse("a.nrrd", &Bytes(bytes), &Alone).map(|content| content.into_array().unwrap())
}

fn refused(lines: &[&str], parts: &[&str]) {
    says(&parse(&attached(lines, SIZE)).unwrap_err(), parts);
}

fn shown(array: &Array) -> String {
    let layout = array.grid.single().unwrap();
    format!("{} {:?} {:?}", array.dtype, layout.shape, layout.strides)
}

#[test]
fn attached_data() {
    let bytes = attached(&[], SIZE);
    let array = parse(&bytes).unwrap();
    assert_eq!(shown(&array), "<i2 [3, 4, 6] [2, 6, 24]");
    assert_eq!(array.grid.single().unwrap().offset as usize, bytes.len() - SIZE);
    assert!(Nrrd.knows(&bytes) && !Nrrd.knows(b"NRRD0006\n"));
    let windows = String::from_utf8(header(&[])).unwrap().replace('\n', "\r\n") + "\r\n\r\n";
    let array = parse(&[windows.as_bytes(), &[0; SIZE]].concat()).unwrap();
    assert_eq!(array.grid.single().unwrap().offset as usize, windows.len());
}

#[test]
fn every_type() {
    let types = [
        ("signed char", "|i1"),
        ("uint8_t", "|u1"),
        ("Short Int", ">i2"),
        ("unsigned short", ">u2"),
        ("int", ">i4"),
        ("uint", ">u4"),
        ("long long int", ">i8"),
        ("ulonglong", ">u8"),
        ("float", ">f4"),
        ("double", ">f8"),
    ];
    for (name, wanted) in types {
        let little = parse(&attached(&[&format!("type: {name}")], 1000)).unwrap();
        assert_eq!(little.dtype.to_string(), wanted.replace('>', "<"));
        let array = parse(&attached(&[&format!("type: {name}"), "endian: BIG"], 1000)).unwrap();
        assert_eq!(array.dtype.to_string(), wanted);
    }
    let block = attached(&["type: block", "block size: 5"], 1000);
    assert_eq!(parse(&block).unwrap().dtype.to_string(), "|V5");
}

#[test]
fn what_is_skipped() {
    let offset = |lines: &[&str], behind: &[u8]| {
        let bytes = [header(lines), b"\n\n".to_vec(), behind.to_vec()].concat();
        let start = bytes.len() - behind.len();
        parse(&bytes).map(|array| array.grid.single().unwrap().offset - start as u64)
    };
    let behind = [&b"a\nbc\n\n"[..], &[0; SIZE + 9]].concat();
    assert_eq!(offset(&["byte skip: 7"], &behind), Ok(7));
    assert_eq!(offset(&["lineskip: 2"], &behind), Ok(5));
    assert_eq!(offset(&["line skip: 3", "byteskip: 2"], &behind), Ok(8));
    assert_eq!(offset(&["byte skip: -1"], &behind), Ok(15));
}

#[test]
fn dims_and_attributes() {
    let lines =
        ["labels: \"x y\" \"\" \"z\"", "kinds: domain time 3-color", "# nothing", "key with blanks:=a: b", "max: 3"];
    let array = parse(&attached(&lines, SIZE)).unwrap();
    assert_eq!(array.dims, ["x y", "", "z"]);
    let wanted = serde_json::json!({
        "labels": ["x y", "", "z"], "kinds": ["domain", "time", "3-color"], "key with blanks": "a: b", "max": 3.0,
    });
    assert_eq!(Value::Object(array.attributes), wanted);
    assert_eq!(parse(&attached(&lines[1..], SIZE)).unwrap().dims, ["", "time", "3-color"]);
    assert!(parse(&attached(&["labels: \"x\""], SIZE)).unwrap().dims.is_empty());
}

#[test]
fn one_file_beside() {
    let folder = Folder::of(&[("x y.raw", 150)]);
    let offset = |line: &str| {
        let array = parse_in(&folder, &header(&["data file: x y.raw", line])).unwrap();
        let Files::Beside(names) = &array.files else { panic!("in the file itself") };
        assert_eq!(names.name(0), "x y.raw");
        array.grid.single().unwrap().offset
    };
    assert_eq!((offset("byte skip: 2"), offset("byte skip: -1")), (2, 6));
}

/// For each index of the last two axes, file and offset.
fn places(lines: &[&str], files: &[(&str, u64)]) -> Vec<(String, i64)> {
    let array = parse_in(&Folder::of(files), &header(lines)).unwrap();
    let Files::Beside(names) = &array.files else { panic!("in the file itself") };
    let place = |y, z| {
        let spot = array.grid.spot(&[1, y, z], Some(0));
        (names.name(spot.piece.unwrap()), spot.offset)
    };
    (0..6).flat_map(|z| (0..4).map(move |y| (y, z))).map(|(y, z)| place(y, z)).collect()
}

#[test]
fn several_files_beside() {
    let numbered: Vec<(String, u64)> = (0..6).map(|k| (format!("f{k:02}"), 30)).collect();
    let numbered: Vec<(&str, u64)> = numbered.iter().map(|(name, len)| (&**name, *len)).collect();
    let slices: Vec<(String, i64)> = (0..24).map(|k| (format!("f{:02}", k / 4), 6 + k % 4 * 6 + 2)).collect();
    assert_eq!(places(&["byte skip: -1", "data file: f%02d 0 5 1"], &numbered), slices);
    let list = "data file: LIST\nf00\nf01\nf02\nf03\nf04\nf05";
    assert_eq!(places(&["byte skip: 6", list], &numbered), slices);
    let halves = [("low", 72), ("high", 72)];
    let wanted: Vec<(String, i64)> =
        (0..24).map(|k| (if k < 12 { "low" } else { "high" }.into(), k % 12 * 6 + 2)).collect();
    assert_eq!(places(&["data file: LIST 3\nlow\nhigh"], &halves), wanted);
    let lines: Vec<(String, u64)> = (0..24).map(|k| (format!("{k}.raw"), 6)).collect();
    let lines: Vec<(&str, u64)> = lines.iter().map(|(name, len)| (&**name, *len)).collect();
    let wanted: Vec<(String, i64)> = (0..24).map(|k| (format!("{k}.raw"), 2)).collect();
    assert_eq!(places(&["data file: %d.raw 0 23 1 1"], &lines), wanted);
}

#[test]
fn refused_another_kind_of_file() {
    says(&parse(b"").unwrap_err(), &["does not begin with NRRD"]);
    says(&parse(&[0; 5000]).unwrap_err(), &["does not begin with NRRD"]);
    says(&parse(b"NRRD0006\n").unwrap_err(), &["'NRRD0006'"]);
}

#[test]
fn refused_lines_and_fields() {
    refused(&["nonsense"], &["'nonsense', which is neither"]);
    refused(&["space: x", "Space : y"], &["'space' twice"]);
    says(&parse(b"NRRD0001\n\n").unwrap_err(), &["lacks the field encoding"]);
    says(&parse(b"NRRD0001\nencoding: raw\n\n").unwrap_err(), &["lacks the field type"]);
}

#[test]
fn refused_header_too_long() {
    let comment = vec![b'#'; MAX_HEADER as usize + 70_000];
    says(&parse(&[b"NRRD0001\n", &comment[..]].concat()).unwrap_err(), &["longer than the 4194304 bytes"]);
}

#[test]
fn refused_types() {
    refused(&["type: char"], &["type 'char'"]);
    refused(&["type: block"], &["lacks the field blocksize"]);
    refused(&["type: block", "block size: 0"], &["blocks of 0 bytes"]);
    refused(&["endian: middle"], &["endian: 'middle'"]);
    refused(&["endian:"], &["endian: ''"]);
    let without = b"NRRD0001\ntype: short\ndimension: 1\nsizes: 1\nencoding: raw\n\n12";
    says(&parse(without).unwrap_err(), &["does not give endian"]);
}

#[test]
fn refused_shapes() {
    refused(&["dimension: 2"], &["dimension: 2 and sizes: '3 4 6'"]);
    refused(&["dimension: 65"], &["65 axes"]);
    refused(&["dimension: x"], &["dimension: 'x', not a count"]);
    refused(&["sizes: 3 4 -6"], &["sizes: '3 4 -6'"]);
    refused(&["sizes: 9999999999 9999999999 9999999999"], &["cannot be"]);
}

#[test]
fn refused_encodings() {
    for encoding in ["gz", "GZIP", "bz2", "bzip2"] {
        refused(&[&format!("encoding: {encoding}")], &["compressed", "afbfs unpack"]);
    }
    for encoding in ["zrl", "txt", "text", "ascii", "hex"] {
        refused(&[&format!("encoding: {encoding}")], &["not stored as they are", "save it again as raw"]);
    }
    refused(&["encoding: other"], &["encoding: 'other'"]);
}

#[test]
fn refused_skips() {
    refused(&["byte skip: -2"], &["byteskip: '-2'"]);
    refused(&["line skip: 100000"], &["skips 100000 lines"]);
    refused(&["line skip: 9"], &["skips more lines than there are"]);
    refused(&["byte skip: 18446744073709551615"], &["cannot be"]);
    let lines = header(&["line skip: 1", "data file: x"]);
    says(&parse_in(&Folder::of(&[("x", 1000)]), &lines).unwrap_err(), &["byte skip"]);
}

#[test]
fn refused_truncated_data() {
    says(&parse(&attached(&[], SIZE - 1)).unwrap_err(), &["truncated"]);
    says(&parse(&attached(&["byte skip: -1"], SIZE - 1)).unwrap_err(), &["truncated"]);
}

#[test]
fn refused_data_files() {
    let folder = Folder::of(&[("x", 144), ("a0", 24), ("a1", 24)]);
    let refuse = |line: &str, parts: &[&str]| says(&parse_in(&folder, &header(&[line])).unwrap_err(), parts);
    refuse("data file: y", &["'y', which is not beside it"]);
    refuse("data file: ..", &["'..'", "no file's name"]);
    refuse("data file: ../x", &["another folder", "one folder"]);
    refuse("data file: LIST", &["names 0 data files"]);
    refuse("data file: LIST\nx", &["1 data files", "want 6"]);
    refuse("data file: LIST 3\na0\na1\na0\na1", &["4 data files", "divides the last size"]);
    refuse("data file: LIST 4\nx", &["between 1 and 3 axes"]);
    refuse("data file: LIST two\nx", &["cannot be understood"]);
    refuse("data file: a%d 0 1 1", &["2 data files", "want 6"]);
    refuse("data file: a%d 0 1 0", &["cannot be understood"]);
    refuse("data file: a%d 5 1 1", &["cannot be understood"]);
    refuse("data file: a%s 0 1 1", &["cannot be understood"]);
    refuse("data file: a%d%d 0 1 1", &["cannot be understood"]);
    refuse("data file: a%d 0 9000000000000000000 1", &["names 16385 data files"]);
    let short = header(&["data file: x", "byte skip: 1"]);
    says(&parse_in(&folder, &short).unwrap_err(), &["holds only 144"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        text in "[ -~\n]{0,300}",
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9),
    ) {
        let folder = Folder::of(&[("x", 144), ("a0", 24)]);
        for line in [&text[..], "data file: x", "data file: LIST 3\nx", "data file: a%1d 0 5 1 2", "line skip: 1"] {
            let mut bytes = attached(&[line], SIZE);
            let length = bytes.len();
            for (at, byte) in &changes {
                bytes[at.index(length)] = *byte;
            }
            if let Ok(array) = parse_in(&folder, &bytes)
                && let Some(layout) = array.grid.single()
            {
                let held = if array.files == Files::Itself { length as u64 } else { 144 };
                prop_assert!(layout.count() == 0 || layout.extent().end <= held);
            }
        }
    }
}
