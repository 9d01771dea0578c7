//! Images and tables made by hand, and each file or unit that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, is_within, member, says, shown};
use crate::source::Alone;

/// A header of these cards, and zeros for so many bytes of data, both padded.
fn unit(cards: &[&str], data: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards.iter().chain([&"END"]).flat_map(|card| format!("{card:80}").into_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes.resize((bytes.len() + data).next_multiple_of(2880), 0);
    bytes
}

const EMPTY: [&str; 3] = ["SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 0"];
const IMAGE: [&str; 5] =
    ["SIMPLE  =                    T", "BITPIX  = -32", "NAXIS   = 2", "NAXIS1  = 3", "NAXIS2  = 2"];

/// An extension of this type, of 5 rows of 20 bytes.
fn table(kind: &str, cards: &[&str]) -> Vec<u8> {
    let kind = format!("XTENSION= '{kind:8}'");
    let standard = [&kind, "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 20", "NAXIS2  = 5", "PCOUNT  = 0", "GCOUNT  = 1"];
    unit(&[&standard[..], cards].concat(), 100)
}

fn parse(bytes: &[u8]) -> Result<Content, Refusal> {
    Fits.parse("a.fits", &Bytes(bytes), &Alone)
}

fn one(bytes: &[u8]) -> Array {
    parse(bytes).unwrap().into_array().unwrap()
}

fn many(bytes: &[u8]) -> Container {
    crate::format::header::tests::parse(&Fits, &Bytes(bytes)).unwrap()
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

/// The first unit is refused, with its card for a key replaced or left out.
fn image_refused(key: &str, card: &str, parts: &[&str]) {
    let cards: Vec<&str> = IMAGE.iter().map(|old| if old.starts_with(key) { card } else { old }).collect();
    refused(&unit(&cards, 24), parts);
}

#[test]
fn an_image_is_the_file() {
    let array = one(&unit(&IMAGE, 24));
    let layout = array.grid.single().unwrap();
    assert_eq!((array.dtype.to_string(), layout.offset), (">f4".into(), 2880));
    assert_eq!((&layout.shape[..], &layout.strides[..]), (&[2, 3][..], &[12, 4][..]));
    assert!(Fits.knows(&unit(&IMAGE, 24)) && !Fits.knows(b"SIMPLE = T"));
}

#[test]
fn names_are_distinct() {
    let extension = |name: &str, version: &str| {
        let cards = ["XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 1", name, version];
        unit(&cards, 1)
    };
    let [sci, other, number] = ["EXTNAME = 'SCI'", "EXTNAME = 'OTHER'", "EXTNAME = '1'"];
    let units = [
        unit(&IMAGE, 24),
        extension(sci, ""),
        extension(sci, "EXTVER  = 2"),
        extension(sci, "EXTVER  = 2"),
        extension(other, "EXTVER  = 7"),
        extension(number, ""),
    ];
    let container = many(&units.concat());
    let names: Vec<&str> = container.members.iter().map(|member| &*member.path[0]).collect();
    assert_eq!(names, ["0", "SCI,1", "SCI,2", "3", "OTHER", "5"]);
    assert_eq!(shown(&container, "SCI,1"), "|u1 at 8640 [1] [1]");
}

#[test]
fn columns_of_bytes() {
    let cards = [
        "TFIELDS = 5",
        "TTYPE1  = 'x'",
        "TFORM1  = 'I'",
        "TFORM2  = '2E'",
        "TTYPE3  = 'x'",
        "TFORM3  = '6A3'",
        "TTYPE4  = 'col2'",
        "TFORM4  = '0J'",
        "TTYPE5  = 'bits'",
        "TFORM5  = '11X'",
    ];
    let array = one(&[unit(&EMPTY, 0), table("BINTABLE", &cards)].concat());
    let wanted = "[('x', '>i2'), ('col2', '>f4', (2,)), ('col3', '|S3', (2,)), ('col4', '>i4', (0,)), \
                  ('bits', '|u1', (2,)), ('', '|V2')]";
    // The fourth name was taken when its turn came.
    assert_eq!(array.dtype.to_string(), wanted);
    let layout = array.grid.single().unwrap();
    assert_eq!((&layout.shape[..], &layout.strides[..], layout.offset), (&[5][..], &[20][..], 5760));
}

#[test]
fn columns_of_text_in_any_order() {
    let cards = ["TFIELDS = 2", "TBCOL1  = 9", "TFORM1  = 'F10.3'", "TBCOL2  = 1", "TFORM2  = 'A8'", "TTYPE2  = 'n'"];
    let array = one(&[unit(&EMPTY, 0), table("TABLE", &cards)].concat());
    assert_eq!(array.dtype.to_string(), "[('n', '|S8'), ('col1', '|S10'), ('', '|V2')]");
}

#[test]
fn values_of_all_kinds() {
    let more = [
        "INT     =                  -12 / comment",
        "FLOAT   = 1.5D2",
        "WRONG   = inf",
        "NOTHING =                      / undefined",
        "COMPLEX = (1, -2.5)",
        "QUOTE   = 'it''s ''   '",
        "LONG    = 'a&'",
        "CONTINUE  'b&'",
        "CONTINUE  'c' / comment",
        "HIERARCH A B = 'x'",
        "INT     = 13",
        "COMMENT = 'none'",
    ];
    let attributes = one(&unit(&[&IMAGE[..], &more].concat(), 24)).attributes;
    let wanted = json!({
        "INT": -12, "FLOAT": 150.0, "COMPLEX": [1, -2.5], "QUOTE": "it's '", "LONG": "abc", "A B": "x",
        "COMMENT": "none",
    });
    assert_eq!(serde_json::Value::Object(attributes), wanted);
}

#[test]
fn attributes_are_bounded() {
    let cards: Vec<String> =
        (0..1000).map(|n| format!("K{n:<7}= '{}'", "x".repeat(60))).chain(["BSCALE  = 2".into()]).collect();
    let cards: Vec<&str> = IMAGE.into_iter().chain(cards.iter().map(String::as_str)).collect();
    let attributes = one(&unit(&cards, 24)).attributes;
    assert!((100..300).contains(&attributes.len()));
    assert_eq!(attributes["BSCALE"], 2);
}

#[test]
fn sums_make_it_read_only() {
    let read_only = |card: &str| one(&unit(&[&IMAGE[..], &[card]].concat(), 24)).read_only;
    assert_eq!(read_only("DATASUM = '       '"), None);
    assert!(read_only("DATASUM = '123'").unwrap().contains("DATASUM"));
    assert!(read_only("CHECKSUM= 'abc'").unwrap().contains("delete the keywords"));
}

#[test]
fn refused_another_kind_of_file() {
    refused(b"", &["does not begin with SIMPLE"]);
    refused(&[0; 5760], &["does not begin with SIMPLE"]);
}

#[test]
fn refused_header_without_end() {
    refused(&unit(&IMAGE, 24)[..2879], &["ends within a FITS header"]);
    refused(format!("{:2880}", IMAGE[0]).as_bytes(), &["ends within a FITS header"]);
}

#[test]
fn refused_only_headers() {
    refused(&unit(&EMPTY, 0), &["headers only"]);
}

#[test]
fn refused_missing_or_wrong_keywords() {
    image_refused("BITPIX", "", &["does not give BITPIX"]);
    image_refused("BITPIX", "BITPIX  = 12", &["BITPIX = 12"]);
    image_refused("NAXIS ", "NAXIS   = 65", &["65 axes"]);
    image_refused("NAXIS ", "NAXIS   = -1", &["NAXIS = '-1'", "not a count"]);
    image_refused("NAXIS2", "", &["does not give NAXIS2"]);
    image_refused("NAXIS2", "PCOUNT  = 1", &["NAXIS2"]);
}

#[test]
fn refused_not_conforming() {
    image_refused("SIMPLE", "SIMPLE  =                    F", &["does not conform"]);
}

#[test]
fn refused_parameters_of_images() {
    refused(&unit(&[&IMAGE[..], &["PCOUNT  = 1"]].concat(), 28), &["PCOUNT or GCOUNT"]);
}

#[test]
fn refused_random_groups() {
    let cards =
        ["SIMPLE  =                    T", "BITPIX  = -32", "NAXIS   = 2", "NAXIS1  = 0", "NAXIS2  = 2", "GROUPS  = T"];
    refused(&unit(&cards, 8), &["random groups"]);
}

#[test]
fn refused_too_large() {
    image_refused("NAXIS2", "NAXIS2  = 9223372036854775807", &["larger than any file"]);
}

#[test]
fn refused_truncated_data() {
    refused(&unit(&IMAGE, 24)[..2880 + 23], &["truncated"]);
    one(&unit(&IMAGE, 24)[..2880 + 24]);
}

#[test]
fn refused_compressed() {
    let table = table("BINTABLE", &["TFIELDS = 1", "TFORM1  = '1PB(9)'", "ZIMAGE  = T"]);
    let container = many(&[unit(&IMAGE, 24), table].concat());
    says(member(&container, "1").unwrap_err(), &["compressed (ZIMAGE = T", "funpack"]);
    member(&container, "0").unwrap();
}

#[test]
fn refused_unknown_extension() {
    let container = many(&[unit(&IMAGE, 24), table("FOREIGN", &[])].concat());
    says(member(&container, "1").unwrap_err(), &["unknown type 'FOREIGN'"]);
}

#[test]
fn refused_unit_with_a_header_cut_off() {
    let table = table("BINTABLE", &["TFIELDS = 1", "TFORM1  = 'J'"]);
    let container = many(&[&unit(&IMAGE, 24)[..], &table[..2000]].concat());
    says(member(&container, "1").unwrap_err(), &["ends within a FITS header"]);
    member(&container, "0").unwrap();
}

#[test]
fn refused_columns() {
    let refuse = |kind: &str, cards: &[&str], parts: &[&str]| {
        refused(&[unit(&EMPTY, 0), table(kind, cards)].concat(), parts);
    };
    refuse("BINTABLE", &[], &["does not give TFIELDS"]);
    refuse("BINTABLE", &["TFIELDS = 0"], &["without columns"]);
    refuse("BINTABLE", &["TFIELDS = 1000"], &["TFIELDS = 1000"]);
    refuse("BINTABLE", &["TFIELDS = 1"], &["does not give TFORM1"]);
    refuse("BINTABLE", &["TFIELDS = 1", "TFORM1  = '3Z'"], &["TFORM1 = '3Z'"]);
    refuse("BINTABLE", &["TFIELDS = 1", "TFORM1  = '6J'"], &["do not fit into its rows of 20 bytes"]);
    refuse("BINTABLE", &["TFIELDS = 1", "TFORM1  = '9999999999J'"], &["larger than a record"]);
    refuse("TABLE", &["TFIELDS = 1", "TFORM1  = 'A8'"], &["does not give TBCOL1"]);
    refuse("TABLE", &["TFIELDS = 1", "TFORM1  = 'A8'", "TBCOL1  = 0"], &["TBCOL1 = 0"]);
    refuse("TABLE", &["TFIELDS = 1", "TFORM1  = 'Q8'", "TBCOL1  = 1"], &["TFORM1 = 'Q8'"]);
    refuse("TABLE", &["TFIELDS = 1", "TFORM1  = 'A8'", "TBCOL1  = 14"], &["do not fit into its rows"]);
}

#[test]
fn refused_tables_of_other_ranks_or_huge_rows() {
    let refuse = |axes: &[&str], parts: &[&str]| {
        let fixed = ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "TFIELDS = 1", "TFORM1  = 'J'"];
        refused(&[unit(&EMPTY, 0), unit(&[&fixed[..], axes].concat(), 4)].concat(), parts);
    };
    refuse(&["NAXIS   = 1", "NAXIS1  = 4"], &["1 axes instead of 2"]);
    refuse(&["NAXIS   = 2", "NAXIS1  = 3000000000", "NAXIS2  = 1"], &["3000000000 bytes", "split the table"]);
}

#[test]
fn refused_too_many_units() {
    let next = unit(&["XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0"], 0);
    refused(&[unit(&EMPTY, 0), next.repeat(MAX_UNITS)].concat(), &["more than the 16384 units"]);
}

fn is_bounded(content: &Content, held: u64) -> bool {
    let container = match content {
        Content::Many(container) => container.clone(),
        Content::One(array) => {
            let member = Member { path: vec!["a".into()], found: Ok(array.clone()) };
            Container { members: vec![member], attributes: Map::new() }
        }
    };
    is_within(&container, held)
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(text in "[ -~]{0,400}") {
        let _ = parse(text.as_bytes());
        let more = text.as_bytes().chunks(80).map(|card| std::str::from_utf8(card).unwrap());
        let cards: Vec<&str> = IMAGE.into_iter().chain(more).collect();
        let _ = parse(&unit(&cards, 24));
    }

    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let dim = "TDIM2   = '(2,3)'";
        let cards = ["TFIELDS = 3", "TTYPE1  = 'x'", "TFORM1  = 'I'", "TFORM2  = '6A'", dim, "TFORM3  = '1PE(5)'"];
        let text = ["TFIELDS = 2", "TBCOL1  = 9", "TFORM1  = 'F10.3'", "TBCOL2  = 1", "TFORM2  = 'A8'"];
        let mut bytes = [unit(&IMAGE, 24), table("BINTABLE", &cards), table("TABLE", &text)].concat();
        for (at, byte) in changes {
            // Only the cards matter.
            let at = at.index(3 * 1000);
            bytes[at / 1000 * 5760 + at % 1000] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(content) = parse(&bytes) {
            prop_assert!(is_bounded(&content, bytes.len() as u64));
        }
    }
}
