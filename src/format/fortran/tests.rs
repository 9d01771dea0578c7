//! Records alike and different, markers of both sizes and orders, and each file and sidecar that is refused.
use std::io;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, Sparse, described, is_within, lies_within, member, says, shown};
use crate::source::Alone;

/// A file with nothing but a sidecar beside it.
struct Sidecar<'a>(&'a str);

impl Siblings for Sidecar<'_> {
    fn sibling(&self, name: &str, _limit: usize) -> io::Result<Option<Vec<u8>>> {
        Ok((name == "x.unf.toml").then(|| self.0.as_bytes().to_vec()))
    }

    fn sibling_len(&self, _name: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// Records of these lengths.
fn records(lengths: &[u32]) -> Vec<u8> {
    let record = |&length: &u32| {
        let marker = length.to_le_bytes();
        [&marker[..], &vec![7; length as usize], &marker].concat()
    };
    lengths.iter().flat_map(record).collect()
}

fn parse(sidecar: &str, bytes: &[u8]) -> Result<Content, Refusal> {
    let sidecar = format!("format = \"fortran\"\n{sidecar}");
    // Raw files hand it over.
    let found = raw::Raw.parse("x.unf", &Bytes(bytes), &Sidecar(&sidecar));
    assert_eq!(found, Fortran.parse("x.unf", &Bytes(bytes), &Sidecar(&sidecar)));
    found
}

fn array(sidecar: &str, bytes: &[u8]) -> Array {
    let array = parse(sidecar, bytes).unwrap().into_array().unwrap();
    assert_eq!(array.format, "fortran");
    array
}

fn container(sidecar: &str, bytes: &[u8]) -> Container {
    match parse(sidecar, bytes).unwrap() {
        Content::Many(container) => container,
        Content::One(_) => panic!("no container"),
    }
}

fn refused(sidecar: &str, bytes: &[u8], parts: &[&str]) {
    says(&parse(sidecar, bytes).unwrap_err(), parts);
}

const SHAPE: &str = "dtype = \"f4\"\nshape = \"2x3\"\n";

#[test]
fn records_that_are_alike() {
    let found = array(SHAPE, &records(&[24; 5]));
    assert_eq!(described(&found), "<f4 at 4 [5, 2, 3] [32, 4, 8]");
    assert_eq!(found.dims, ["record", "", ""]);
    assert_eq!(described(&array(SHAPE, &records(&[24]))), "<f4 at 4 [1, 2, 3] [32, 4, 8]");
    let c = array(&format!("{SHAPE}order = \"C\"\n[attributes]\nunit = \"K\""), &records(&[24; 100]));
    assert_eq!(described(&c), "<f4 at 4 [100, 2, 3] [32, 12, 4]");
    assert_eq!(json!(c.attributes), json!({"unit": "K"}));
}

#[test]
fn shapes_that_the_first_record_decides() {
    assert_eq!(described(&array("dtype = \"f8\"", &records(&[24, 24]))), "<f8 at 4 [2, 3] [32, 8]");
    assert_eq!(described(&array("dtype = \"i2\"\nshape = [2, -1]", &records(&[24]))), "<i2 at 4 [1, 2, 6] [32, 2, 4]");
    assert_eq!(described(&array("dtype = \"f8\"\nshape = \"()\"", &records(&[8; 3]))), "<f8 at 4 [3] [16]");
    assert_eq!(described(&array("dtype = \"f8\"\nshape = [0]", &records(&[0; 3]))), "<f8 at 4 [3, 0] [8, 8]");
}

#[test]
fn records_that_are_skipped() {
    let bytes = records(&[5, 0, 24, 24]);
    assert_eq!(described(&array(&format!("{SHAPE}skip = 2"), &bytes)), "<f4 at 25 [2, 2, 3] [32, 4, 8]");
    assert_eq!(described(&array(&format!("{SHAPE}skip = 3"), &bytes)), "<f4 at 57 [1, 2, 3] [32, 4, 8]");
}

#[test]
fn markers_of_both_sizes_and_orders() {
    let bytes = [&24_u64.to_le_bytes()[..], &[0; 24], &24_u64.to_le_bytes()].concat().repeat(3);
    let found = array(&format!("{SHAPE}marker = 8"), &bytes);
    assert_eq!(described(&found), "<f4 at 8 [3, 2, 3] [40, 4, 8]");
    let bytes = [&24_u64.to_be_bytes()[..], &[0; 24], &24_u64.to_be_bytes()].concat().repeat(3);
    let found = array(&format!("{SHAPE}marker = 8"), &bytes);
    assert_eq!(described(&found), ">f4 at 8 [3, 2, 3] [40, 4, 8]");
    let bytes = [&24_u32.to_be_bytes()[..], &[0; 24], &24_u32.to_be_bytes()].concat();
    for (dtype, wanted) in
        [("f4", ">f4"), ("float32", ">f4"), ("<f4", "<f4"), (">f4", ">f4"), ("f4le", "<f4"), ("V4", "|V4")]
    {
        let found = array(&format!("dtype = \"{dtype}\"\nshape = 6"), &bytes);
        assert_eq!(described(&found), format!("{wanted} at 4 [1, 6] [32, 4]"));
    }
    let found = array("dtype = [[\"a\", \"<f4\"], [\"b\", \">i4\"]]", &bytes);
    assert_eq!(found.dtype.to_string(), "[('a', '<f4'), ('b', '>i4')]");
}

const LIST: &str = "
    [attributes]
    model = 'x'
    [[record]]
    name = 'title'
    dtype = 'S5'
    shape = '()'
    [[record]]
    [[record]]
    name = 'time'
    dtype = 'f8'
    shape = '()'
    repeat = true
    [[record]]
    repeat = true
    [[record]]
    name = 'u'
    dtype = 'f4'
    shape = '2x3'
    repeat = true
    [record.attributes]
    unit = 'm/s'
";

#[test]
fn records_that_differ() {
    let bytes = records(&[5, 9, 8, 3, 24, 8, 3, 24, 8, 3, 24]);
    let found = container(LIST, &bytes);
    assert_eq!(found.members.len(), 3);
    assert_eq!(shown(&found, "title"), "|S5 at 4 [] []");
    assert_eq!(shown(&found, "time"), "<f8 at 34 [3] [59]");
    assert_eq!(shown(&found, "u"), "<f4 at 61 [3, 2, 3] [59, 4, 8]");
    assert_eq!(member(&found, "u").unwrap().dims, ["record", "", ""]);
    assert_eq!(json!(member(&found, "u").unwrap().attributes), json!({"unit": "m/s"}));
    assert_eq!(json!(found.attributes), json!({"model": "x"}));
    refused(LIST, &records(&[5, 9, 8, 3, 24, 8, 3, 24, 8, 3]), &["repeat only up to"]);
    refused(LIST, &records(&[5, 9, 8, 3, 24, 8, 3, 20]), &["repeat only up to"]);
    refused(LIST, &records(&[5, 9, 8, 3]), &["ends at byte 57", "further record"]);
}

#[test]
fn records_described_once() {
    let list = "[[record]]\nname = 'a'\ndtype = 'u1'\n[[record]]\nname = 'b'\ndtype = 'f8'\n";
    let found = container(list, &records(&[3, 16]));
    assert_eq!((shown(&found, "a"), shown(&found, "b")), ("|u1 at 4 [3] [1]".into(), "<f8 at 15 [2] [8]".into()));
    refused(list, &records(&[3, 16, 5]), &["13 bytes are left over", "repeat = true"]);
    // One that is described wrongly leaves the others as they are.
    let found = container(list, &records(&[3, 17]));
    says(member(&found, "b").unwrap_err(), &["number 1", "'b'", "17 bytes"]);
    assert!(member(&found, "a").is_ok());
}

#[test]
fn refused_without_a_sidecar() {
    let why = Fortran.parse("x.unf", &Bytes(&records(&[4])), &Alone).unwrap_err();
    says(&why, &["nothing describes its records", "x.unf.toml"]);
    assert_eq!(Fortran.stem("x.unf"), None);
}

#[test]
fn refused_sidecars() {
    let bytes = records(&[24; 5]);
    let why = raw::Raw.parse("x.unf", &Bytes(&bytes), &Sidecar("format = 'idx'")).unwrap_err();
    says(&why, &["x.unf.toml", "can only say \"fortran\""]);
    for (sidecar, part) in [
        ("", "no dtype"),
        ("dtype = 'f4'\nsize = 3", "'size' is no key here; the keys are format, dtype"),
        ("dtype = 'f4'\noffset = 3", "'offset' is no key here"),
        ("dtype = 'f4'\nmarker = 3", "markers of 3 bytes"),
        ("dtype = 'f4'\nmarker = '4'", "marker must be a number"),
        ("dtype = 'f4'\nskip = -1", "skip must be a number, and not negative"),
        ("dtype = 'f4'\nskip = 99999", "skips 99999 records"),
        ("dtype = 'f4'\norder = 'X'", "'X' is no order"),
        ("dtype = 'f4'\nrecord = []", "dtype belongs into each"),
        ("record = 3", "[[record]]"),
        ("record = [3]", "[[record]]"),
        ("[[record]]\nsize = 3", "'size' is no key here; the keys are name"),
        ("[[record]]\nname = 3", "name must be a string"),
        ("[[record]]\ndtype = 'f4'", "has no name"),
        ("[[record]]\nrepeat = 1", "repeat must be true or false"),
        ("[[record]]\nrepeat = true\n[[record]]", "can only be others of these"),
        ("[[record]]\nrepeat = true", "gives no record a name"),
        ("attributes = 3\n[[record]]", "attributes must be a table"),
    ] {
        refused(sidecar, &bytes, &[part]);
    }
    let twice = "[[record]]\nname = 'a'\ndtype = 'f4'\nrepeat = true\n".repeat(2);
    refused(&twice, &records(&[4; 4]), &["two records 'a'"]);
}

#[test]
fn refused_lengths_of_records() {
    let bytes = records(&[24; 5]);
    refused("dtype = 'f4'\nshape = 5", &bytes, &["record of 24 bytes", "one of 20", "shape [5]"]);
    refused("dtype = 'f4'\nshape = 7", &bytes, &["record of 24 bytes", "needs 28 bytes"]);
    refused("dtype = 'V5'", &bytes, &["record of 24 bytes", "4 are left over"]);
}

#[test]
fn refused_other_files() {
    for bytes in [&b""[..], b"abc", &[1; 4], &[5; 100], &records(&[24])[..31]] {
        refused(SHAPE, bytes, &["no marker of a record", "markers of 8 bytes"]);
    }
    refused(&format!("{SHAPE}marker = 8"), &records(&[24]), &["first 8 bytes", "markers of 4 bytes"]);
}

#[test]
fn refused_records_that_differ() {
    refused(SHAPE, &records(&[24, 24, 20]), &["repeat only up to about byte 64", "[[record]]"]);
    refused(SHAPE, &records(&[24, 24, 20, 28]), &["repeat only up to"]);
    refused(SHAPE, &records(&[24; 3])[..95], &["repeat only up to"]);
    refused(&format!("{SHAPE}skip = 3"), &records(&[24; 3]), &["ends at byte 96"]);
    let mut bytes = records(&[24; 3]);
    bytes[60] = 1;
    refused(&format!("{SHAPE}skip = 2"), &bytes, &["at byte 32 there is no record that ends as it begins"]);
}

#[test]
fn refused_pieces_of_records() {
    let piece = [&(-2_147_483_639_i32).to_le_bytes()[..], &[0; 100]].concat();
    let why =
        Records::new(toml::Table::from_iter([("format".into(), "fortran".into()), ("dtype".into(), "f4".into())]))
            .unwrap()
            .content(&Sparse(&piece, 1 << 32))
            .unwrap_err();
    says(&why, &["byte 0", "longer than 2 GiB", "-frecord-marker=8"]);
    let later = [&records(&[24])[..], &piece].concat();
    refused(&format!("{SHAPE}skip = 1"), &later, &["byte 32", "longer than 2 GiB"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        lengths in prop::collection::vec(0_u32..40, 0..12),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        skip in 0..3,
        marker in prop::sample::select(&[4, 8][..]),
        text in "[ -~\n]{0,60}",
    ) {
        let mut bytes = records(&[&lengths[..], &[8, 3, 24].repeat(3)].concat());
        let length = bytes.len();
        for (at, byte) in &changes {
            bytes[at.index(length)] = *byte;
        }
        let plain = format!("dtype = 'u1'\nskip = {skip}\nmarker = {marker}");
        for sidecar in [&text, &plain, &format!("{plain}\n{text}"), LIST, &format!("skip = {skip}\n{LIST}")] {
            for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
                match parse(sidecar, bytes) {
                    Ok(Content::One(found)) => prop_assert!(lies_within(&found, bytes.len() as u64)),
                    Ok(Content::Many(found)) => prop_assert!(is_within(&found, bytes.len() as u64)),
                    Err(_) => {}
                }
            }
        }
    }
}
