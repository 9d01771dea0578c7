//! Headers as NumPy and others write them, and each that is refused.
use std::cell::Cell;
use std::io;

use proptest::prelude::*;

use super::*;
use crate::source::Alone;

/// A file of this version with this header and so many bytes of data.
fn file(version: u8, header: &[u8], data: usize) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes()),
        _ => bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes()),
    }
    bytes.extend(header);
    bytes.extend(vec![0; data]);
    bytes
}

fn text(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    Npy.parse("a.npy", &Bytes(bytes), &Alone).map(|content| content.into_array().unwrap())
}

/// A slice as a trait object.
struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn len(&self) -> u64 {
        ReadAt::len(self.0)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

fn check(bytes: &[u8], dtype: &str, offset: u64, shape: &[u64], strides: &[i64]) {
    let array = parse(bytes).unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!(array.format, "npy");
    assert_eq!(array.dtype.to_string(), dtype);
    assert_eq!((layout.offset, &layout.shape[..], &layout.strides[..]), (offset, shape, strides));
    assert_eq!(layout.itemsize, array.dtype.itemsize());
}

fn refused(bytes: &[u8], parts: &[&str]) {
    let message = parse(bytes).unwrap_err().to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert!(message.len() < 400, "{message}");
}

fn header_refused(header: &str, parts: &[&str]) {
    refused(&file(1, header.as_bytes(), 1000), parts);
}

#[test]
fn a_file_of_numpy_save() {
    // numpy.save of numpy.arange(6, dtype='<f4').reshape(2, 3), header and all.
    let mut bytes = b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
    bytes.resize(127, b' ');
    bytes.push(b'\n');
    bytes.resize(128 + 24, 0);
    check(&bytes, "<f4", 128, &[2, 3], &[12, 4]);
}

#[test]
fn every_version() {
    for version in 1..=3 {
        let bytes = file(version, text("'>i2'", "True", "(2, 3)").as_bytes(), 12);
        check(&bytes, ">i2", bytes.len() as u64 - 12, &[2, 3], &[2, 4]);
    }
}

#[test]
fn shapes_of_any_rank() {
    for (shape, expected, data) in
        [("()", &[][..], 8), ("(3,)", &[3], 24), ("(0,)", &[0], 0), ("(3, 0, 2)", &[3, 0, 2], 0)]
    {
        for order in ["True", "False"] {
            let array = parse(&file(1, text("'<f8'", order, shape).as_bytes(), data)).unwrap();
            assert_eq!(array.grid.shape(), expected);
        }
    }
    let ones = format!("({})", "1,".repeat(64));
    assert_eq!(parse(&file(1, text("'|u1'", "False", &ones).as_bytes(), 1)).unwrap().grid.shape(), [1; 64]);
}

#[test]
fn elements_of_no_bytes() {
    for descr in ["'|S0'", "'|V0'", "'<U0'", "[]"] {
        let array = parse(&file(1, text(descr, "False", "(3,)").as_bytes(), 0)).unwrap();
        assert_eq!(array.grid.single().unwrap().strides, [0]);
    }
}

#[test]
fn a_header_of_python_2() {
    let header = b"{'descr': [('x', '<i4'), ('\\xe9', '|S2')], 'fortran_order': False, 'shape': (2L, 3L), }  \n";
    let bytes = file(1, header, 36);
    check(&bytes, "[('x', '<i4'), ('é', '|S2')]", bytes.len() as u64 - 36, &[2, 3], &[18, 6]);
}

#[test]
fn names_that_are_not_ascii() {
    let header = text("[('é', '|u1')]", "False", "(1,)");
    check(&file(3, header.as_bytes(), 1), "[('é', '|u1')]", 12 + header.len() as u64, &[1], &[1]);
    let latin1: Vec<u8> = header.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    check(&file(2, &latin1, 1), "[('é', '|u1')]", 12 + latin1.len() as u64, &[1], &[1]);
    refused(&file(3, &latin1, 1), &["not UTF-8"]);
}

#[test]
fn a_long_header() {
    let fields: String = (0..10_000).map(|i| format!("('field{i}', '<f8'), ")).collect();
    let bytes = file(2, text(&format!("[{fields}]"), "False", "(1,)").as_bytes(), 80_000);
    assert_eq!(parse(&bytes).unwrap().dtype.itemsize(), 80_000);
}

#[test]
fn keys_in_any_order_and_the_last_of_a_key_that_stands_twice() {
    let header = "{'shape': (9,), 'fortran_order': False, \"descr\": '|u1', 'shape': (2,)}";
    check(&file(1, header.as_bytes(), 2), "|u1", 10 + header.len() as u64, &[2], &[1]);
}

#[test]
fn more_data_than_claimed() {
    let bytes = file(1, text("'|u1'", "False", "(2,)").as_bytes(), 100);
    assert_eq!(parse(&bytes).unwrap().grid.shape(), [2]);
}

#[test]
fn stems() {
    for (name, stem) in [
        ("a.npy", Some("a")),
        ("a.b.npy", Some("a.b")),
        (".npy", Some(".npy")),
        ("a.npz", None),
        ("npy", None),
        ("a.npy.gz", None),
    ] {
        assert_eq!(Npy.stem(name), stem);
    }
}

#[test]
fn refused_empty() {
    refused(b"", &["is empty", "save it again"]);
}

#[test]
fn refused_bad_magic() {
    refused(b"NUMPY\x01\0v\0", &["magic", "another kind"]);
    refused(b"x", &["magic", "another kind"]);
}

#[test]
fn refused_unknown_versions() {
    for (major, minor) in [(0, 0), (1, 1), (4, 0), (255, 255)] {
        let mut bytes = file(1, text("'|u1'", "False", "()").as_bytes(), 1);
        (bytes[6], bytes[7]) = (major, minor);
        refused(&bytes, &[&format!("version {major}.{minor}"), "save it again"]);
    }
}

#[test]
fn refused_truncated_header() {
    for version in 1..=3 {
        let bytes = file(version, text("'|u1'", "False", "()").as_bytes(), 0);
        for length in 1..bytes.len() {
            refused(&bytes[..length], &["ends within its .npy header"]);
        }
    }
}

#[test]
fn refused_truncated_data() {
    let bytes = file(1, text("'<f8'", "False", "(2, 3)").as_bytes(), 47);
    let offset = bytes.len() - 47;
    let why =
        format!("the header claims 48 bytes of data at offset {offset}, the file holds only 47: it was truncated");
    refused(&bytes, &[&why]);
}

#[test]
fn refused_header_too_long() {
    let mut bytes = file(2, b"", 0);
    bytes[8..12].copy_from_slice(&(MAX_HEADER + 1).to_le_bytes());
    refused(&bytes, &["more than the 16777216", "too many fields"]);
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(&bytes, &["4294967295 bytes long"]);
}

#[test]
fn refused_no_literal() {
    header_refused("", &["no Python literal", "save it again"]);
    header_refused("{'descr': ", &["no Python literal: the text ends", "at byte 10"]);
    header_refused("__import__('os').system('true')", &["no Python literal"]);
    header_refused(&"(".repeat(60_000), &["no Python literal: too many nested brackets"]);
}

#[test]
fn refused_no_dictionary() {
    header_refused("('<f4', False, (1,))", &["no dictionary"]);
}

#[test]
fn refused_missing_keys() {
    header_refused("{'descr': '<f4', 'fortran_order': False}", &["lacks the key 'shape'"]);
    header_refused("{'descr': '<f4', 'shape': ()}", &["lacks the key 'fortran_order'"]);
    header_refused("{'fortran_order': False, 'shape': ()}", &["lacks the key 'descr'"]);
}

#[test]
fn refused_extra_keys() {
    header_refused("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", &["the key 'x' beside"]);
    header_refused("{1: 2}", &["no string"]);
}

#[test]
fn refused_order() {
    for order in ["1", "'C'", "None"] {
        header_refused(&text("'<f4'", order, "()"), &["'fortran_order'", "neither True nor False"]);
    }
}

#[test]
fn refused_shape() {
    for shape in ["3", "(3)", "[3]", "(3.0,)", "('3',)", "(True,)", "None"] {
        let message = parse(&file(1, text("'<f4'", "False", shape).as_bytes(), 99)).unwrap_err().0;
        assert!(
            message.contains("no tuple of integers") || message.contains("no Python literal"),
            "{shape}: {message}"
        );
    }
}

#[test]
fn refused_negative_shape() {
    header_refused(&text("'<f4'", "False", "(3, -1)"), &["negative length (-1)"]);
}

#[test]
fn refused_huge_shape() {
    for shape in [
        "(9223372036854775807,)",
        "(4294967296, 4294967296)",
        "(4294967296, 4294967296, 4294967296, 4294967296)",
        "(0, 9223372036854775807, 9223372036854775807)",
        "(2305843009213693952,)",
    ] {
        for order in ["False", "True"] {
            header_refused(&text("'<f4'", order, shape), &["larger than any file can be"]);
        }
    }
    header_refused(&text("'|S0'", "False", "(4294967296, 4294967296)"), &["larger than any file can be"]);
    header_refused(&text("'<f4'", "False", "(99999999999999999999,)"), &["more than 64 bits"]);
}

#[test]
fn refused_too_many_axes() {
    header_refused(&text("'<f4'", "False", &format!("({})", "1,".repeat(65))), &["65 axes", "more than 64", "reshape"]);
}

#[test]
fn refused_python_objects() {
    for descr in ["'|O'", "[('x', '<f4'), ('y', [('z', 'O')])]"] {
        header_refused(
            &text(descr, "False", "(3,)"),
            &["holds Python objects (pickled)", "convert it", "allow_pickle=True"],
        );
    }
}

#[test]
fn refused_dtype() {
    header_refused(&text("'<f3'", "False", "(3,)"), &["the dtype in its .npy header", "'<f3' is no element type"]);
    header_refused(&text("[('a', '<f4'), ('a', '<f4')]", "False", "(3,)"), &["'a' names two fields"]);
}

#[test]
fn refused_unreadable() {
    let message = Npy.parse("a.npy", &crate::format::header::tests::Broken, &Alone).unwrap_err().0;
    assert_eq!(message, "cannot be read: the disk is gone");
}

#[test]
fn only_the_header_is_read() {
    /// Remembers the end of what was read, and lies about its length.
    struct Watched<'a>(&'a [u8], Cell<u64>, u64);
    impl ReadAt for Watched<'_> {
        fn len(&self) -> u64 {
            self.2
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.1.set(self.1.get().max(offset + buffer.len() as u64));
            self.0.read_at(buffer, offset)
        }
    }
    for version in 1..=3 {
        let bytes = file(version, text("'<f4'", "False", "(3,)").as_bytes(), 100);
        let watched = Watched(&bytes, Cell::new(0), bytes.len() as u64);
        let header = header(&watched).unwrap();
        assert_eq!((watched.1.get(), header.offset), (header.offset, bytes.len() as u64 - 100));
        // A file that shrinks after its length was asked for.
        let shrunk = Watched(&bytes[..30], Cell::new(0), bytes.len() as u64);
        assert!(super::header(&shrunk).unwrap_err().0.contains("ends within"));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 1..=3_u8, magic: bool) {
        let _ = parse(&bytes);
        let bytes = if magic { file(version, &bytes, 0) } else { [&MAGIC[..], &bytes].concat() };
        let _ = parse(&bytes);
    }

    #[test]
    fn no_mutation_is_too_strange(
        version in 1..=3_u8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let header = text("[(('t', 'x'), '<f4'), ('y', [('z', '>M8[ns]', (2, 3))])]", "True", "(2, 3)");
        let mut bytes = file(version, header.as_bytes(), 312);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(array) = parse(&bytes) {
            prop_assert!(array.grid.single().unwrap().extent().end <= bytes.len() as u64);
        }
    }
}
