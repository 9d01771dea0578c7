//! Files made by a small writer of FlatBuffers, and each that is refused.
use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, is_within, member, says, shown};

/// What a field of a table holds.
#[derive(Clone)]
enum Slot {
    None,
    Bytes(Vec<u8>),
    Text(&'static str),
    Table(Vec<Slot>),
    Tables(Vec<Vec<Slot>>),
    /// Elements of so many bytes.
    Structs(usize, Vec<u8>),
}
use Slot::{Structs, Tables, Text};

fn int(number: i32) -> Slot {
    Slot::Bytes(number.to_le_bytes().to_vec())
}

fn short(number: i16) -> Slot {
    Slot::Bytes(number.to_le_bytes().to_vec())
}

fn long(number: i64) -> Slot {
    Slot::Bytes(number.to_le_bytes().to_vec())
}

fn byte(number: u8) -> Slot {
    Slot::Bytes(vec![number])
}

/// Writes a table and all below it, and gives its position.
fn write(buffer: &mut Vec<u8>, slots: &[Slot]) -> usize {
    buffer.resize(buffer.len().next_multiple_of(8), 0);
    let vtable = buffer.len();
    let mut inline = vec![];
    let mut offsets = vec![];
    for slot in slots {
        let size = match slot {
            Slot::None => 0,
            Slot::Bytes(bytes) => bytes.len(),
            _ => 4,
        };
        offsets.push(if size == 0 { 0 } else { 4 + inline.len() as u16 });
        inline.extend(match slot {
            Slot::Bytes(bytes) => bytes.clone(),
            _ => vec![0; size],
        });
    }
    let size = 4 + 2 * slots.len() as u16;
    buffer.extend([size, 4 + inline.len() as u16].iter().chain(&offsets).flat_map(|number| number.to_le_bytes()));
    let table = buffer.len();
    buffer.extend(i32::from(size as i16).to_le_bytes());
    buffer.extend(inline);
    for (slot, offset) in slots.iter().zip(offsets) {
        let at = table + usize::from(offset);
        let vector = |buffer: &mut Vec<u8>, count: usize, bytes: &[u8]| {
            let start = buffer.len();
            buffer.extend((count as u32).to_le_bytes());
            buffer.extend(bytes);
            start
        };
        let target = match slot {
            Slot::None | Slot::Bytes(_) => continue,
            Text(text) => vector(buffer, text.len(), text.as_bytes()),
            Structs(size, bytes) => vector(buffer, bytes.len() / size, bytes),
            Slot::Table(slots) => write(buffer, slots),
            Tables(tables) => {
                let start = vector(buffer, tables.len(), &vec![0; 4 * tables.len()]);
                for (i, slots) in tables.iter().enumerate() {
                    let (at, table) = (start + 4 + 4 * i, write(buffer, slots));
                    buffer[at..at + 4].copy_from_slice(&((table - at) as u32).to_le_bytes());
                }
                start
            }
        };
        buffer[at..at + 4].copy_from_slice(&((target - at) as u32).to_le_bytes());
    }
    assert_eq!(vtable + usize::from(size), table);
    table
}

fn flatbuffer(slots: &[Slot]) -> Vec<u8> {
    let mut buffer = vec![0; 4];
    let root = write(&mut buffer, slots) as u32;
    buffer[..4].copy_from_slice(&root.to_le_bytes());
    buffer
}

/// A field of the schema: name, number and table of its type, children.
fn field(name: &'static str, of: u8, slots: Vec<Slot>, children: Vec<Vec<Slot>>) -> Vec<Slot> {
    vec![Text(name), byte(1), byte(of), Slot::Table(slots), Slot::None, Tables(children)]
}

fn int_field(name: &'static str, bits: i32) -> Vec<Slot> {
    field(name, 2, vec![int(bits), byte(1)], vec![])
}

/// A batch: its rows, and the bytes of each buffer.
type Rows<'a> = (i64, &'a [usize]);

fn file(fields: Vec<Vec<Slot>>, batches: &[Rows], compressed: bool) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let mut blocks = vec![];
    for &(rows, sizes) in batches {
        let (mut buffers, mut body) = (vec![], 0);
        for &size in sizes {
            buffers.extend([body as i64, size as i64].iter().flat_map(|number| number.to_le_bytes()));
            body += size.next_multiple_of(8);
        }
        let nodes = [rows, 1].map(i64::to_le_bytes).concat().repeat(8);
        let compression = if compressed { Slot::Table(vec![]) } else { Slot::None };
        let batch = vec![long(rows), Structs(16, nodes), Structs(16, buffers), compression];
        let mut metadata = flatbuffer(&[short(4), byte(3), Slot::Table(batch), long(body as i64)]);
        metadata.resize(metadata.len().next_multiple_of(8), 0);
        blocks.extend([bytes.len() as i64, metadata.len() as i64 + 8, body as i64].map(i64::to_le_bytes).concat());
        bytes.extend([&[0xff; 4], &(metadata.len() as u32).to_le_bytes()[..], &metadata, &vec![0; body]].concat());
    }
    let pair = vec![Text("key"), Text("value")];
    let schema = vec![short(0), Tables(fields), Tables(vec![pair])];
    let footer = flatbuffer(&[short(4), Slot::Table(schema), Structs(24, vec![]), Structs(24, blocks)]);
    bytes.extend(&footer);
    bytes.extend((footer.len() as u32).to_le_bytes());
    bytes.extend(&MAGIC[..6]);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&Arrow, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    crate::format::header::tests::refused(&Arrow, bytes, parts);
}

/// Type and shape of a column of one batch of three rows.
fn column(of: u8, slots: Vec<Slot>, children: Vec<Vec<Slot>>, buffers: &[usize]) -> Result<String, Refusal> {
    let fields = vec![field("a", of, slots, children), int_field("z", 32)];
    let buffers = [buffers, &[0, 12]].concat();
    let container = parse(&file(fields, &[(3, &buffers)], false)).unwrap();
    // What follows it has its own buffers.
    assert!(shown(&container, "z").starts_with("<i4"));
    let array = member(&container, "a").map_err(Refusal::clone)?;
    let element = array.element.map(|element| format!(" {element}")).unwrap_or_default();
    Ok(format!("{}{element} {:?}", array.dtype, array.grid.shape()))
}

#[test]
fn columns_of_every_type() {
    for (of, slots, size, wanted) in [
        (2, vec![int(8), byte(0)], 1, "|u1 [3]"),
        (2, vec![int(64), byte(1)], 8, "<i8 [3]"),
        (3, vec![short(0)], 2, "<f2 [3]"),
        (3, vec![short(2)], 8, "<f8 [3]"),
        (7, vec![int(10), int(2)], 16, "|V16 decimal128 [3]"),
        (7, vec![int(10), int(2), int(256)], 32, "|V32 decimal256 [3]"),
        (8, vec![short(0)], 4, "<i4 [3]"),
        (8, vec![], 8, "<M8[ms] [3]"),
        (9, vec![short(3), int(64)], 8, "<i8 [3]"),
        (10, vec![short(2), Text("UTC")], 8, "<M8[us] [3]"),
        (11, vec![short(2)], 16, "|V16 interval [3]"),
        (15, vec![int(5)], 5, "|V5 [3]"),
        (18, vec![short(3)], 8, "<m8[ns] [3]"),
    ] {
        assert_eq!(column(of, slots, vec![], &[0, 3 * size]).unwrap(), wanted);
    }
    let list = column(16, vec![int(4)], vec![int_field("item", 16)], &[0, 0, 24]).unwrap();
    assert_eq!(list, "<i2 [3, 4]");
    let nested = field("item", 16, vec![int(2)], vec![int_field("item", 16)]);
    assert_eq!(column(16, vec![int(4)], vec![nested], &[0, 0, 0, 48]).unwrap(), "<i2 [3, 4, 2]");
}

#[test]
fn columns_refused() {
    for (of, slots, children, buffers, word) in [
        (1, vec![], vec![], &[][..], "no values"),
        (5, vec![], vec![], &[0, 16, 9], "various lengths"),
        (6, vec![], vec![], &[0, 1], "bits"),
        (12, vec![], vec![int_field("item", 32)], &[0, 16, 0, 40], "lists of various lengths"),
        (14, vec![short(1)], vec![int_field("item", 32)], &[3, 12, 0, 40], "union"),
        (14, vec![short(0)], vec![int_field("item", 32)], &[3, 0, 40], "union"),
        (16, vec![int(2)], vec![field("item", 6, vec![], vec![])], &[0, 0, 1], "bits"),
        (16, vec![int(2)], vec![field("item", 13, vec![], vec![int_field("x", 8)])], &[0, 0, 0, 6], "structs"),
        (22, vec![], vec![int_field("ends", 32), int_field("x", 8)], &[0, 4, 0, 6], "run-end"),
        (25, vec![], vec![int_field("item", 32)], &[0, 12, 12, 0, 40], "lists"),
    ] {
        says(&column(of, slots, children, buffers).unwrap_err(), &[word, "convert it"]);
    }
}

#[test]
fn structs_are_folders_and_names_are_distinct() {
    let inner = vec![int_field("x", 32), int_field("", 16)];
    let fields = vec![field("s", 13, vec![], inner), int_field("a", 8), int_field("a", 8)];
    let container = parse(&file(fields, &[(2, &[0, 0, 8, 0, 4, 0, 2, 0, 2])], false)).unwrap();
    let paths: Vec<String> = container.members.iter().map(|member| member.path.join("/")).collect();
    assert_eq!(paths, ["s/x", "s/column-2", "a", "a-2"]);
    assert!(container.members.iter().all(|member| member.found.is_ok()));
    assert_eq!(container.attributes["key"], "value");
}

#[test]
fn batches_of_one_length_are_one_array() {
    let batches: [Rows; 4] = [(3, &[8, 12]), (3, &[0, 12]), (0, &[0, 0]), (2, &[0, 8])];
    let container = parse(&file(vec![int_field("a", 32)], &batches, false)).unwrap();
    let array = member(&container, "a").unwrap();
    assert_eq!((array.grid.shape(), array.attributes["null_count"].as_i64()), (&[8][..], Some(3)));
    let spots: Vec<i64> = (0..8).map(|i| array.grid.spot(&[i], Some(0)).offset).collect();
    assert_eq!((spots[2] - spots[0], spots[5] - spots[3], spots[7] - spots[6]), (8, 8, 4));
    assert!(spots[3] > spots[2] + 4 && spots[6] > spots[5] + 4);
}

#[test]
fn batches_of_various_lengths_are_folders() {
    for batches in [[(2, &[0, 8][..]), (3, &[0, 12])], [(3, &[0, 12]), (2, &[0, 8])]] {
        let container = parse(&file(vec![int_field("a", 32)], &batches, false)).unwrap();
        let paths: Vec<String> = container.members.iter().map(|member| member.path.join("/")).collect();
        assert_eq!(paths, if batches[0].0 == 2 { vec!["0/a", "1/a"] } else { vec!["a"] });
    }
}

#[test]
fn no_rows() {
    let container = parse(&file(vec![int_field("a", 32)], &[(0, &[0, 0])], false)).unwrap();
    assert_eq!(member(&container, "a").unwrap().grid.shape(), [0]);
}

#[test]
fn known_by_content() {
    assert!(Arrow.knows(MAGIC) && !Arrow.knows(b"ARROW1") && !Arrow.knows(b""));
}

#[test]
fn refused_other_kinds() {
    refused(b"FEA1....", &["version 1 of Feather", "pyarrow"]);
    refused(b"\xff\xff\xff\xff....", &["stream", "new_file"]);
    refused(b"PAR1", &["ARROW1", "another kind"]);
}

#[test]
fn refused_truncated() {
    let bytes = file(vec![int_field("a", 32)], &[(3, &[0, 12])], false);
    for length in [8, 17, 100, bytes.len() - 1] {
        refused(&bytes[..length], &["does not end with a footer", "truncated"]);
    }
}

#[test]
fn refused_no_batch() {
    refused(&file(vec![int_field("a", 32)], &[], false), &["no batch of rows"]);
}

#[test]
fn refused_no_column() {
    refused(&file(vec![], &[(3, &[])], false), &["no column"]);
}

#[test]
fn refused_footers() {
    let bytes = file(vec![int_field("a", 32)], &[(3, &[0, 12])], false);
    let at = bytes.len() - 10;
    for (length, word) in [(u32::MAX, "metadata claim"), (bytes.len() as u32, "contradicts itself"), (0, "contradicts")]
    {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        refused(&bytes, &[word]);
    }
    let fields = vec![field("a", 99, vec![], vec![])];
    refused(&file(fields, &[(3, &[0, 12])], false), &["footer contradicts itself"]);
}

#[test]
fn refused_nesting() {
    let mut deep = int_field("a", 32);
    for _ in 0..40 {
        deep = field("a", 13, vec![], vec![deep]);
    }
    refused(&file(vec![deep], &[(3, &[0, 12])], false), &["footer contradicts itself"]);
}

#[test]
fn member_refused_compressed() {
    let container = parse(&file(vec![int_field("a", 32)], &[(3, &[0, 12])], true)).unwrap();
    says(member(&container, "a").unwrap_err(), &["compressed", "uncompressed"]);
}

#[test]
fn member_refused_short_buffer() {
    let container = parse(&file(vec![int_field("a", 32), int_field("b", 32)], &[(3, &[0, 11, 0, 12])], false)).unwrap();
    says(member(&container, "a").unwrap_err(), &["batch of rows contradicts itself"]);
    assert!(member(&container, "b").is_ok());
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let inner = vec![int_field("x", 32), field("t", 5, vec![], vec![])];
        let list = field("l", 16, vec![int(2)], vec![int_field("item", 8)]);
        let fields = vec![field("s", 13, vec![], inner), list];
        let mut bytes = file(fields, &[(2, &[0, 0, 8, 0, 12, 4, 0, 0, 4])], false);
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
