//! Headers of all three versions, records in all their ways, and each header that is refused.
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::format::header::tests::{Bytes, Sparse, is_within, member, says, shown};

/// Writes the parts of a header of one version.
#[derive(Clone, Copy)]
struct Writer {
    version: u8,
}

const CDF1: Writer = Writer { version: 1 };
const CDF2: Writer = Writer { version: 2 };
const CDF5: Writer = Writer { version: 5 };

/// A variable: name, dimensions, attributes, type and first byte.
type Var<'a> = (&'a str, &'a [u64], &'a [Vec<u8>], u32, u64);

impl Writer {
    fn count(self, count: u64) -> Vec<u8> {
        if self.version == 5 { count.to_be_bytes().to_vec() } else { (count as u32).to_be_bytes().to_vec() }
    }

    fn padded(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn name(self, name: impl AsRef<[u8]>) -> Vec<u8> {
        [self.count(name.as_ref().len() as u64), self.padded(name.as_ref())].concat()
    }

    fn list(self, tag: u32, entries: &[Vec<u8>]) -> Vec<u8> {
        let tag: u32 = if entries.is_empty() { 0 } else { tag };
        [tag.to_be_bytes().to_vec(), self.count(entries.len() as u64), entries.concat()].concat()
    }

    fn dimension(self, name: &str, length: u64) -> Vec<u8> {
        [self.name(name), self.count(length)].concat()
    }

    fn attribute(self, name: &str, of: u32, count: u64, values: &[u8]) -> Vec<u8> {
        [self.name(name), of.to_be_bytes().to_vec(), self.count(count), self.padded(values)].concat()
    }

    fn variable(self, (name, dimensions, attributes, of, begin): Var) -> Vec<u8> {
        let numbers = dimensions.iter().flat_map(|&number| self.count(number)).collect();
        let begin =
            if self.version == 1 { (begin as u32).to_be_bytes().to_vec() } else { begin.to_be_bytes().to_vec() };
        let (attributes, ndim) = (self.list(12, attributes), self.count(dimensions.len() as u64));
        // The size is one that nobody may trust.
        [self.name(name), ndim, numbers, attributes, of.to_be_bytes().to_vec(), self.count(u64::MAX), begin].concat()
    }

    fn header(self, records: u64, dimensions: &[(&str, u64)], attributes: &[Vec<u8>], variables: &[Var]) -> Vec<u8> {
        let dimensions: Vec<Vec<u8>> = dimensions.iter().map(|&(name, length)| self.dimension(name, length)).collect();
        let variables: Vec<Vec<u8>> = variables.iter().map(|&variable| self.variable(variable)).collect();
        let magic = vec![b'C', b'D', b'F', self.version];
        let lists = [self.list(10, &dimensions), self.list(12, attributes), self.list(11, &variables)];
        [magic, self.count(records), lists.concat()].concat()
    }
}

/// A header, and zeros up to this length.
fn filled(header: Vec<u8>, length: usize) -> Vec<u8> {
    let mut bytes = header;
    assert!(bytes.len() <= length);
    bytes.resize(length, 0);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&NetCdf3, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    crate::format::header::tests::refused(&NetCdf3, bytes, parts);
}

/// The variable `a` of these dimensions, an int at byte 500, is refused in a file of 1000 bytes, and `b` is not.
fn variable_refused(dimensions: &[(&str, u64)], numbers: &[u64], begin: u64, parts: &[&str]) {
    let variables = [("a", numbers, &[][..], 4, begin), ("b", &[][..], &[][..], 4, 996)];
    let container = parse(&filled(CDF5.header(0, dimensions, &[], &variables), 1000)).unwrap();
    says(member(&container, "a").unwrap_err(), parts);
    member(&container, "b").unwrap();
}

#[test]
fn variables_without_records_in_every_version() {
    for writer in [CDF1, CDF2, CDF5] {
        let dimensions = [("y", 2), ("x", 3)];
        let variables =
            [("scalar", &[][..], &[][..], 6, 992), ("map", &[0, 1], &[], 3, 500), ("line", &[1], &[], 2, 600)];
        let container = parse(&filled(writer.header(0, &dimensions, &[], &variables), 1000)).unwrap();
        assert_eq!(shown(&container, "scalar"), ">f8 at 992 [] []");
        assert_eq!(shown(&container, "map"), ">i2 at 500 [2, 3] [6, 2]");
        assert_eq!(shown(&container, "line"), "|S1 at 600 [3] [1]");
        assert_eq!(member(&container, "map").unwrap().dims, ["y", "x"]);
        assert!(member(&container, "scalar").unwrap().dims.is_empty());
    }
}

#[test]
fn every_type() {
    let types = ["|i1", "|S1", ">i2", ">i4", ">f4", ">f8", "|u1", ">u2", ">u4", ">i8", ">u8"];
    for (of, name) in (1..).zip(types) {
        let container = parse(&filled(CDF5.header(0, &[], &[], &[("a", &[], &[], of, 200)]), 208)).unwrap();
        assert_eq!(member(&container, "a").unwrap().dtype.to_string(), name);
    }
}

#[test]
fn records_are_strided_by_their_padded_size() {
    for writer in [CDF1, CDF2, CDF5] {
        let dimensions = [("t", 0), ("x", 3)];
        // Parts of 3, 6, 8 and 12 bytes in records of 4 + 8 + 8 + 12.
        let variables = [
            ("b", &[0, 1][..], &[][..], 1, 800),
            ("s", &[0, 1], &[], 3, 804),
            ("d", &[0], &[], 6, 812),
            ("f", &[0, 1], &[], 5, 820),
            ("x", &[1], &[], 3, 600),
        ];
        let container = parse(&filled(writer.header(5, &dimensions, &[], &variables), 960)).unwrap();
        assert_eq!(shown(&container, "b"), "|i1 at 800 [5, 3] [32, 1]");
        assert_eq!(shown(&container, "s"), ">i2 at 804 [5, 3] [32, 2]");
        assert_eq!(shown(&container, "d"), ">f8 at 812 [5] [32]");
        assert_eq!(shown(&container, "f"), ">f4 at 820 [5, 3] [32, 4]");
        assert_eq!(shown(&container, "x"), ">i2 at 600 [3] [2]");
    }
}

#[test]
fn a_single_variable_with_records_is_packed() {
    for (of, size) in [(1, 1), (2, 1), (3, 2), (4, 4), (5, 4), (6, 8), (7, 1), (8, 2), (9, 4), (10, 8), (11, 8)] {
        let header = CDF5.header(7, &[("t", 0), ("x", 3)], &[], &[("a", &[0, 1], &[], of, 400)]);
        let container = parse(&filled(header, 400 + 21 * size)).unwrap();
        let layout = member(&container, "a").unwrap().grid.single().unwrap().clone();
        assert_eq!((&layout.shape[..], &layout.strides[..]), (&[7, 3][..], &[3 * size as i64, size as i64][..]));
    }
}

#[test]
fn no_records() {
    let dimensions = [("t", 0), ("x", 3)];
    let variables = [("a", &[0, 1][..], &[][..], 3, 400), ("b", &[0], &[], 3, 408)];
    let container = parse(&filled(CDF1.header(0, &dimensions, &[], &variables), 300)).unwrap();
    assert_eq!(shown(&container, "a"), ">i2 at 400 [0, 3] [12, 2]");
    assert_eq!(shown(&container, "b"), ">i2 at 408 [0] [12]");
}

#[test]
fn the_last_padding_need_not_be_there() {
    let variables = [("a", &[0][..], &[][..], 4, 400), ("b", &[0], &[], 1, 404)];
    let bytes = filled(CDF1.header(3, &[("t", 0)], &[], &variables), 400 + 2 * 8 + 5);
    let container = parse(&bytes).unwrap();
    assert_eq!(shown(&container, "b"), "|i1 at 404 [3] [8]");
    // One byte less, and only the variable whose byte that was is lost.
    let container = parse(&bytes[..bytes.len() - 1]).unwrap();
    says(member(&container, "b").unwrap_err(), &["up to byte 421, the file holds only 420", "truncated"]);
    assert_eq!(shown(&container, "a"), ">i4 at 400 [3] [8]");
}

#[test]
fn streamed_records_are_as_many_as_the_file_holds() {
    let variables = [("a", &[0][..], &[][..], 4, 400), ("b", &[0], &[], 1, 404), ("c", &[], &[], 4, 300)];
    for writer in [CDF1, CDF2, CDF5] {
        let header = writer.header(u64::MAX, &[("t", 0)], &[], &variables);
        for (length, records) in [(350, 0), (404, 0), (405, 1), (408, 1), (412, 1), (413, 2), (400 + 8 * 9 + 5, 10)] {
            let container = parse(&filled(header.clone(), length)).unwrap();
            for name in ["a", "b"] {
                assert_eq!(member(&container, name).unwrap().grid.shape(), [records], "{length}");
            }
        }
    }
    let alone = CDF2.header(u64::MAX, &[("t", 0), ("x", 3)], &[], &[("a", &[0, 1], &[], 1, 400)]);
    assert_eq!(parse(&filled(alone, 400 + 11)).unwrap().members[0].found.as_ref().unwrap().grid.shape(), [3, 3]);
    let none = CDF2.header(u64::MAX, &[("x", 3)], &[], &[("a", &[0], &[], 1, 400)]);
    assert_eq!(parse(&filled(none, 403)).unwrap().members[0].found.as_ref().unwrap().grid.shape(), [3]);
}

#[test]
fn as_many_records_as_a_version_can_have() {
    let header = CDF2.header(0xffff_fffe, &[("t", 0)], &[], &[("a", &[0], &[], 6, 400)]);
    let file = Sparse(&header, 1 << 40);
    let container = crate::format::header::tests::parse(&NetCdf3, &file).unwrap();
    assert_eq!(shown(&container, "a"), ">f8 at 400 [4294967294] [8]");
}

#[test]
fn attributes_of_every_type() {
    let attributes = [
        CDF5.attribute("i1", 1, 2, &[0xff, 1]),
        CDF5.attribute("text", 2, 6, "zwölf".as_bytes()),
        CDF5.attribute("ended", 2, 2, b"x\0"),
        CDF5.attribute("i2", 3, 1, &[0xff, 0xfe]),
        CDF5.attribute("i4", 4, 1, &[0xff, 0xff, 0xff, 0xfd]),
        CDF5.attribute("f4", 5, 1, &1.5_f32.to_be_bytes()),
        CDF5.attribute("f8", 6, 2, &[f64::INFINITY.to_be_bytes(), 0.1_f64.to_be_bytes()].concat()),
        CDF5.attribute("u1", 7, 1, &[200]),
        CDF5.attribute("u2", 8, 1, &[0xff, 0xff]),
        CDF5.attribute("u4", 9, 1, &[0xff; 4]),
        CDF5.attribute("i8", 10, 1, &[0xff; 8]),
        CDF5.attribute("u8", 11, 1, &[0xff; 8]),
        CDF5.attribute("none", 4, 0, &[]),
        CDF5.attribute("long", 1, 1001, &[0; 1001]),
        CDF5.attribute("latin", 2, 1, b"\xff"),
    ];
    let wanted = json!({
        "i1": [-1, 1], "text": "zwölf", "ended": "x", "i2": -2, "i4": -3, "f4": 1.5, "f8": ["Infinity", 0.1],
        "u1": 200, "u2": 65535, "u4": 4_294_967_295_u32, "i8": -1, "u8": u64::MAX, "none": [], "latin": "\u{fffd}",
    });
    let header = CDF5.header(0, &[], &attributes, &[("a", &[], &attributes, 4, 4996)]);
    let container = parse(&filled(header, 5000)).unwrap();
    assert_eq!(Value::Object(container.attributes.clone()), wanted);
    assert_eq!(Value::Object(member(&container, "a").unwrap().attributes.clone()), wanted);
}

#[test]
fn the_fill_value_is_one_of_the_type() {
    let same = [CDF1.attribute("_FillValue", 3, 1, &[0x80, 1])];
    let other = [CDF1.attribute("_FillValue", 4, 1, &[0, 0, 0, 1])];
    let two = [CDF1.attribute("_FillValue", 3, 2, &[0, 1, 0, 2])];
    let variables = [
        ("a", &[][..], &same[..], 3, 996),
        ("b", &[], &other, 3, 996),
        ("c", &[], &two, 3, 996),
        ("d", &[], &[], 3, 996),
    ];
    let container = parse(&filled(CDF1.header(0, &[], &[], &variables), 1000)).unwrap();
    let fills = ["a", "b", "c", "d"].map(|name| member(&container, name).unwrap().fill.clone());
    assert_eq!(fills, [vec![0x80, 1], vec![], vec![], vec![]]);
}

#[test]
fn names_that_are_latin_1() {
    let mut header = CDF1.header(0, &[], &[], &[("a", &[], &[], 4, 996)]);
    let at = header.windows(4).rposition(|four| four == b"a\0\0\0").unwrap();
    header[at] = 0xe9;
    assert_eq!(parse(&filled(header, 1000)).unwrap().members[0].path, ["é"]);
}

#[test]
fn attributes_of_many_variables_stay_bounded() {
    let text = [CDF1.attribute("x", 2, 4000, &[b'x'; 4000])];
    let variables: Vec<(String, u64)> = (0..2000).map(|i| (format!("v{i}"), i)).collect();
    let variables: Vec<Var> = variables.iter().map(|(name, _)| (&name[..], &[][..], &text[..], 4, 1 << 24)).collect();
    let header = CDF1.header(0, &[], &[], &variables);
    let container = crate::format::header::tests::parse(&NetCdf3, &Sparse(&header, 1 << 25)).unwrap();
    let kept = container.members.iter().filter(|member| !member.found.as_ref().unwrap().attributes.is_empty()).count();
    assert_eq!(kept, (4 << 20) / 4009);
}

#[test]
fn known_by_content() {
    assert!([&b"CDF\x01"[..], b"CDF\x02", b"CDF\x05..."].iter().all(|head| NetCdf3.knows(head)));
    assert!(![&b"CDF\x03"[..], b"CDF", b"\x89HDF\r\n\x1a\n", b""].iter().any(|head| NetCdf3.knows(head)));
}

#[test]
fn member_refused_truncated() {
    variable_refused(&[("x", 3)], &[0], 989, &["up to byte 1001, the file holds only 1000", "truncated"]);
}

#[test]
fn member_refused_within_the_header() {
    variable_refused(&[("x", 3)], &[0], 40, &["begin at byte 40, within the NetCDF header"]);
}

#[test]
fn member_refused_records_not_first() {
    variable_refused(&[("x", 3), ("t", 0)], &[0, 1], 900, &["not its first"]);
}

#[test]
fn member_refused_too_many_axes() {
    variable_refused(&[("x", 1)], &[0; 65], 996, &["65 dimensions", "more than 64", "reshape"]);
}

#[test]
fn member_refused_huge() {
    variable_refused(&[("x", 1 << 60)], &[0], 1 << 62, &["larger than any file can be"]);
}

#[test]
fn refused_other_kinds() {
    for (magic, parts) in [
        (&b"CDF\x03"[..], &["version 3 of NetCDF", "nccopy"][..]),
        (b"\x89HDF\r\n\x1a\n", &["HDF5 (netCDF-4)"]),
        (b"\xcd\xf3\0\x01", &["NASA's Common Data Format"]),
        (b"GIF8", &["magic bytes CDF", "another kind"]),
        (b"CD", &["ends within its NetCDF header"]),
        (b"", &["ends within its NetCDF header"]),
    ] {
        refused(magic, parts);
    }
}

#[test]
fn refused_truncated_header() {
    for writer in [CDF1, CDF2, CDF5] {
        let attributes = [writer.attribute("t", 2, 5, b"hello")];
        let header = writer.header(2, &[("t", 0)], &attributes, &[("a", &[0], &attributes, 4, 500)]);
        for length in 0..header.len() {
            refused(&header[..length], &["ends within its NetCDF header"]);
        }
    }
}

#[test]
fn refused_wrong_tag() {
    let mut header = CDF1.header(0, &[("x", 3)], &[], &[("a", &[0], &[], 4, 500)]);
    header[11] = 11;
    refused(&header, &["a list with tag 11 in the place of one with tag 10"]);
    let mut header = CDF1.header(0, &[], &[], &[("a", &[], &[], 4, 500)]);
    header[15] = 1;
    refused(&header, &["a list with tag 0 in the place of one with tag 10"]);
}

#[test]
fn refused_claims_of_more_than_there_is() {
    let start = [b"CDF\x05".to_vec(), vec![0; 8]].concat();
    let list = |count: u64| [start.clone(), vec![0, 0, 0, 10], count.to_be_bytes().to_vec()].concat();
    refused(&list(u64::MAX), &["claims 18446744073709551615 entries"]);
    refused(&list(100_000), &["ends within its NetCDF header"]);
    let name = [list(1), u64::MAX.to_be_bytes().to_vec()].concat();
    refused(&name, &["ends within its NetCDF header"]);
    let attribute = CDF5.attribute("x", 11, u64::MAX, &[]);
    refused(&CDF5.header(0, &[], &[attribute], &[]), &["ends within its NetCDF header"]);
}

#[test]
fn refused_header_too_long() {
    let header = CDF5.header(0, &[], &[CDF5.attribute("x", 1, 1 << 40, &[])], &[]);
    let found = crate::format::header::tests::parse(&NetCdf3, &Sparse(&header, 1 << 50));
    says(&found.unwrap_err(), &["longer than the 67108864 bytes"]);
}

#[test]
fn refused_unknown_type() {
    refused(&CDF5.header(0, &[], &[], &[("a", &[], &[], 12, 500)]), &["names type 12"]);
    refused(&CDF2.header(0, &[], &[], &[("a", &[], &[], 7, 500)]), &["names type 7, which version 2 does not know"]);
    refused(&CDF1.header(0, &[], &[CDF1.attribute("x", 0, 0, &[])], &[]), &["names type 0"]);
}

#[test]
fn refused_unknown_dimension() {
    for number in [1, u64::MAX] {
        let header = CDF5.header(0, &[("x", 3)], &[], &[("a", &[number], &[], 4, 500)]);
        refused(&header, &[&format!("gives 'a' a dimension {number} that there is not")]);
    }
}

#[test]
fn refused_too_many_dimensions() {
    let header = CDF5.header(0, &[("x", 1)], &[], &[("a", &[0; 1025], &[], 4, 500)]);
    refused(&header, &["claims 1025 dimensions of 'a'", "more than the 1024"]);
}

#[test]
fn refused_huge_variable() {
    let header = CDF5.header(0, &[("x", 1 << 32)], &[], &[("a", &[0, 0], &[], 4, 500)]);
    refused(&header, &["makes 'a' larger than any file can be"]);
}

#[test]
fn refused_huge_records() {
    let dimensions = [("t", 0), ("x", (1 << 63) - 8)];
    let variables = [("a", &[0, 1][..], &[][..], 1, 500), ("b", &[0, 1], &[], 1, 500)];
    refused(&CDF5.header(1, &dimensions, &[], &variables), &["records that are larger than any file can be"]);
    refused(&CDF5.header(u64::MAX, &dimensions, &[], &variables), &["records that are larger"]);
}

#[test]
fn refused_names_that_stand_twice() {
    let variables = [("a", &[][..], &[][..], 4, 500), ("a", &[], &[], 4, 504)];
    refused(&CDF1.header(0, &[], &[], &variables), &["names 'a' twice"]);
}

#[test]
fn refused_no_variable() {
    refused(&CDF1.header(0, &[("x", 3)], &[], &[]), &["holds no variable"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0..6_u8) {
        let _ = parse(&bytes);
        let _ = parse(&[&[b'C', b'D', b'F', version][..], &bytes].concat());
    }

    #[test]
    fn no_mutation_is_too_strange(
        version in prop::sample::select(vec![1_u8, 2, 5]),
        records in prop::sample::select(vec![0, 3, u64::MAX]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let writer = Writer { version };
        let attributes = [writer.attribute("x", 3, 2, &[1; 4]), writer.attribute("_FillValue", 3, 1, &[1; 2])];
        let variables =
            [("a", &[0, 1][..], &attributes[..], 3, 500), ("b", &[0], &[], 1, 512), ("c", &[1], &[], 6, 400)];
        let header = writer.header(records, &[("t", 0), ("x", 5)], &attributes, &variables);
        let length = header.len();
        let mut bytes = filled(header, 560);
        for (at, byte) in changes {
            let at = at.index(length);
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(container) = parse(&bytes) {
            prop_assert!(is_within(&container, bytes.len() as u64));
        }
    }
}
