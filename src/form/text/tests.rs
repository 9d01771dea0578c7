//! Texts lead back to the bits they were made of, whatever the bits, and nothing that is read as text does harm.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::form::Form;

/// A text of some elements of a type.
fn text_of(dtype: &str, element: Option<&str>, shape: &[u64], suffix: &str) -> Option<Arc<Text>> {
    let attributes = Map::new();
    let dtype = DType::parse(dtype).expect("a type");
    let slice = Slice { dtype: &dtype, element, shape, is_fortran: false, file: None, attributes: &attributes };
    match Form::of_suffix(suffix)?.face(&slice)? {
        Face::Text(text) => Some(Arc::new(text)),
        face => panic!("{suffix} is no text: {face:?}"),
    }
}

/// The elements that a text is read as, in pieces of some length.
fn read(text: &Arc<Text>, bytes: &[u8], piece: usize) -> Result<Vec<u8>, Bad> {
    let mut reader = text.reader(false, text.count());
    let mut elements = Vec::new();
    bytes.chunks(piece.max(1)).try_for_each(|piece| reader.feed(piece, &mut elements))?;
    reader.finish(&mut elements)?;
    Ok(elements)
}

fn written(text: &Text, elements: &[u8]) -> Vec<u8> {
    let mut out = text.head();
    text.render(0..text.count(), elements, &mut out);
    assert_eq!(out.len() as u64, text.len());
    out
}

/// Types that are not NumPy's are bytes with a name.
const TYPES: &[(&str, Option<&str>)] = &[
    ("?", None),
    ("i1", None),
    ("u1", None),
    ("<i2", None),
    (">u2", None),
    (">i4", None),
    ("<u4", None),
    ("<i8", None),
    (">u8", None),
    ("<f2", None),
    (">f2", None),
    (">f4", None),
    ("<f8", None),
    ("<f16", None),
    (">c8", None),
    ("<c16", None),
    ("<c32", None),
    ("V3", Some("i3")),
    ("V3", Some("u3be")),
    ("V4", Some("ibm32")),
    ("V2", Some("bf16")),
    ("V1", Some("f8_e4m3")),
    ("V1", Some("f8_e5m2")),
    ("V1", Some("f8_e4m3fnuz")),
    ("V1", Some("f8_e5m2fnuz")),
    ("V1", Some("f8_e3m4")),
    ("V1", Some("f8_e4m3_ieee")),
    ("V1", Some("f8_e8m0")),
    ("V1", None),
    ("V5", None),
    ("S1", None),
    ("S7", None),
    ("<U1", None),
    (">U3", None),
    ("<M8[Y]", None),
    ("<M8[M]", None),
    ("<M8[W]", None),
    (">M8[D]", None),
    ("<M8[h]", None),
    ("<M8[m]", None),
    ("<M8[s]", None),
    ("<M8[ms]", None),
    ("<M8[us]", None),
    (">M8[ns]", None),
    ("<M8[ps]", None),
    ("<M8[fs]", None),
    ("<M8[as]", None),
    ("<M8[25s]", None),
    ("<M8[2147483647Y]", None),
    ("<M8[2147483647W]", None),
    ("<M8[2147483647ms]", None),
    ("<M8", None),
    ("<m8[ns]", None),
];

/// Bytes that are likely to matter.
fn random(rng: &mut fastrand::Rng, dtype: &str, len: usize) -> Vec<u8> {
    let letters = b" \t\n\r\x0b\x0c,\"#'[]\0ab-+.e1\xc3\xbc\xff";
    match (dtype.contains('S'), dtype.contains('U')) {
        (true, _) => std::iter::repeat_with(|| letters[rng.usize(..letters.len())]).take(len).collect(),
        (_, true) => {
            let one = |rng: &mut fastrand::Rng| match rng.u8(..4) {
                0 => rng.u32(..),
                1 => rng.char(..).into(),
                _ => letters[rng.usize(..letters.len() - 3)].into(),
            };
            let big = dtype.starts_with('>');
            let bytes = |point: u32| if big { point.to_be_bytes() } else { point.to_le_bytes() };
            (0..len / 4).flat_map(|_| bytes(one(rng))).collect()
        }
        _ => std::iter::repeat_with(|| rng.u8(..)).take(len).collect(),
    }
}

/// Whether several bits have one text, by design.
fn is_ambiguous(dtype: &str, element: Option<&str>) -> bool {
    element.is_some_and(|element| element != "i3" && element != "u3be") || dtype.contains(['f', 'c', '?', 'U'])
}

#[track_caller]
fn check_back(dtype: &str, element: Option<&str>, suffix: &str, elements: &[u8]) {
    let size = DType::parse(dtype).expect("a type").itemsize();
    let count = elements.len() as u64 / size;
    let Some(text) = text_of(dtype, element, &[count], suffix) else { return };
    let what = format!("{dtype} {element:?} {suffix}");
    let shown = written(&text, elements);
    let parsed = read(&text, &shown, usize::MAX).unwrap_or_else(|bad| panic!("{what}: {bad:?}"));
    let mut now = elements.to_vec();
    text.merge(&parsed, &mut now);
    let size = size as usize;
    for (number, (now, before)) in now.chunks(size).zip(elements.chunks(size)).enumerate() {
        assert_eq!(now, before, "{what}: element {number} is another after it was written back");
    }
    if !is_ambiguous(dtype, element) {
        assert!(parsed == elements, "{what}: it is read as something else");
    }
    // Read as a text, the same text comes out of it.
    assert!(written(&text, &parsed) == shown, "{what}: the text of what was read is another");
}

#[test]
fn every_type_leads_back() {
    let mut rng = fastrand::Rng::with_seed(1);
    for &(dtype, element) in TYPES {
        let size = DType::parse(dtype).expect("a type").itemsize() as usize;
        for suffix in ["txt", "csv", "json"] {
            let mut elements = random(&mut rng, dtype, 1500 * size);
            // The ends of the range, and what is next to them.
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                elements.extend(vec![byte; size]);
                let mut only_first = vec![0; size];
                only_first[0] = byte;
                elements.extend(&only_first);
                only_first.reverse();
                elements.extend(&only_first);
                elements.extend(only_first.iter().map(|byte| !byte));
            }
            check_back(dtype, element, suffix, &elements);
        }
    }
}

#[test]
fn every_number_of_8_and_16_bits_leads_back() {
    let bytes: Vec<u8> = (0..=255).collect();
    let words: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    for &(dtype, element) in TYPES {
        match DType::parse(dtype).expect("a type").itemsize() {
            1 if !dtype.starts_with('S') => check_back(dtype, element, "csv", &bytes),
            // JSON is made of so many elements, and no more.
            2 => ["txt", "json"].iter().for_each(|suffix| check_back(dtype, element, suffix, &words)),
            _ => {}
        }
    }
}

#[test]
fn a_million_floats_lead_back() {
    let mut rng = fastrand::Rng::with_seed(2);
    let singles: Vec<u8> = (0..1_000_000).flat_map(|_| rng.u32(..).to_le_bytes()).collect();
    check_back("<f4", None, "txt", &singles);
    // Uniform bits are numbers with many digits; others are short.
    let doubles: Vec<u8> = (0..500_000)
        .flat_map(|number| match number % 4 {
            0 => f64::from_bits(rng.u64(..) & 0x800f_ffff_ffff_ffff).to_le_bytes(),
            1 => (f64::from(rng.i32(..)) / 1000.0).to_le_bytes(),
            _ => rng.u64(..).to_le_bytes(),
        })
        .collect();
    check_back("<f8", None, "csv", &doubles);
}

#[test]
fn what_is_fed_in_pieces_is_read_as_the_whole() {
    let mut rng = fastrand::Rng::with_seed(3);
    for suffix in ["txt", "csv"] {
        let dtype = "[('a', '<i4'), ('b,', 'S5'), ('c', '>c8', (2,)), ('d', '<U2'), ('e', '<M8[s]')]";
        let size = DType::parse(dtype).expect("a type").itemsize() as usize;
        let text = text_of(dtype, None, &[20], suffix).expect("a text");
        let mut elements = random(&mut rng, "i1", 20 * size);
        for element in elements.chunks_mut(size) {
            element[4..9].copy_from_slice(&random(&mut rng, "S", 5));
            element[25..33].copy_from_slice(&random(&mut rng, "<U", 8));
        }
        let mut shown = written(&text, &elements);
        shown.splice(0..0, *b"# a comment\n\n  \t# another, \"\r\n");
        let whole = read(&text, &shown, usize::MAX);
        assert!(whole.is_ok(), "{whole:?}");
        for piece in 1..200 {
            assert_eq!(read(&text, &shown, piece), whole, "pieces of {piece}");
        }
        // Errors are the same, and stand at the same place.
        for at in (0..shown.len()).step_by(7) {
            let mut broken = shown.clone();
            broken[at] = b'"';
            let whole = read(&text, &broken, usize::MAX);
            for piece in [1, 2, 3, 17] {
                assert_eq!(read(&text, &broken, piece), whole, "byte {at}, pieces of {piece}");
            }
        }
    }
}

/// Texts of single numbers, as others may write them.
#[test]
fn single_numbers_in_pieces() {
    let mut rng = fastrand::Rng::with_seed(5);
    let cells = [
        "1",
        "-2",
        "+3",
        "4.",
        ".5",
        "6e1",
        "7E-1",
        "0.125",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e400",
        "1D2",
        "",
        "#",
        "# 9",
        "9#",
        "\"8\"",
        "1_0",
        "0x1",
        "1e",
        "--1",
        "256",
        "1e39",
        "99999999999999999999",
        "true",
        "1.5.2",
        "NA",
        "null",
        "\r",
        "\t",
        "[1",
        "2]",
        "-",
        "e5",
        "infinity",
        "4.9e-324",
        "1.00000000000000011102230246251565404236316680908203125",
        "16777217.0000000001",
        "\u{e9}",
    ];
    for round in 0..20_000 {
        let (dtype, element) = TYPES[rng.usize(..27)];
        let suffix = ["txt", "csv", "json"][rng.usize(..3)];
        let Some(text) = text_of(dtype, element, &[2, 3], suffix) else { continue };
        let mut shown = String::new();
        for _ in 0..rng.usize(5..8) {
            let kind = if rng.u8(..5) > 0 { rng.usize(..9) } else { rng.usize(..cells.len()) };
            shown.push_str(["", "", " ", "         ", "[", "\t"][rng.usize(..6)]);
            shown.push_str(cells[kind]);
            shown.push_str([",", ",", "\n", " ", "\r\n", " ,", "]"][rng.usize(..7)]);
        }
        let whole = read(&text, shown.as_bytes(), usize::MAX);
        for piece in [1, 2, 3, 5, 8, 13] {
            assert_eq!(
                read(&text, shown.as_bytes(), piece),
                whole,
                "round {round}: {dtype} {element:?} {suffix} {shown:?} in pieces of {piece}"
            );
        }
    }
}

/// A look at each of them for each of them would take hours.
#[test]
fn millions_of_blanks_are_passed_over_once() {
    for (suffix, end) in [("txt", ""), ("txt", "x"), ("csv", "\n"), ("json", "[")] {
        let text = text_of("<f8", None, &[2], suffix).unwrap();
        let bad = read(&text, &[&[b' '; 8 << 20][..], end.as_bytes()].concat(), usize::MAX).unwrap_err();
        let place = if end == "\n" { (2, 0) } else { (1, (8 << 20) + u64::from(!end.is_empty())) };
        assert_eq!((bad.line, bad.column), place, "{suffix} {end:?}: {bad:?}");
    }
}

#[test]
fn strings_between_commas_need_no_quotation_marks() {
    let text = text_of("[('a b', 'S6'), ('n', 'i1'), ('c', 'S6')]", None, &[3], "csv").expect("a text");
    let record = |a: &[u8], n: u8, c: &[u8]| {
        let mut bytes = vec![0; 13];
        bytes[..a.len()].copy_from_slice(a);
        bytes[6] = n;
        bytes[7..7 + c.len()].copy_from_slice(c);
        bytes
    };
    let wanted = [record(b"x  y", 1, b""), record(b"", 2, b"#z"), record(b"#w v", 3, b" q ")].concat();
    for head in ["a b,n,c\n", "# a comment, of no matter\r\na b , n,c\r\n", "", "\n"] {
        let whole = format!("{head}x  y ,1,\n,2\t, #z\r\n#w v, 3 ,\" q \"");
        assert_eq!(read(&text, whole.as_bytes(), 1), Ok(wanted.clone()), "{head}");
    }
}

#[test]
fn a_part_of_a_text_is_read_as_it_stands() {
    let mut rng = fastrand::Rng::with_seed(4);
    for (suffix, shape) in [("txt", &[6, 5][..]), ("csv", &[6, 5]), ("json", &[3, 2, 5]), ("csv", &[30])] {
        let text = text_of(">f4", None, shape, suffix).expect("a text");
        let elements = random(&mut rng, "f4", 30 * 4);
        for (start, end) in (0..30).flat_map(|start| (start + 1..=30).map(move |end| (start, end))) {
            let mut shown = Vec::new();
            text.render(start..end, &elements[start as usize * 4..end as usize * 4], &mut shown);
            let mut reader = text.reader(true, end - start);
            let mut parsed = Vec::new();
            let outcome = reader.feed(&shown, &mut parsed).and_then(|()| reader.finish(&mut parsed));
            assert_eq!(outcome, Ok(()), "{suffix} {start}..{end}");
            let mut now = elements[start as usize * 4..end as usize * 4].to_vec();
            text.merge(&parsed, &mut now);
            assert_eq!(now, elements[start as usize * 4..end as usize * 4]);
        }
    }
}

#[test]
fn what_is_larger_than_the_type_is_out_of_range() {
    let check = |dtype: &str, element: Option<&str>, cell: &str, is_unfit: bool| {
        let text = text_of(dtype, element, &[1], "csv").expect("a text");
        let bad = read(&text, cell.as_bytes(), 9).expect_err(cell);
        assert_eq!(bad.is_unfit, is_unfit, "{dtype} {cell}: {bad:?}");
    };
    for cell in ["128", "-129", "1e3", "1e300", "99999999999999999999999999999999999999999999", "inf"] {
        check("i1", None, cell, true);
    }
    for cell in ["x", "1.5", "nan", "1 2", "0x1", "--1", "1e", "\"1\"2", "1,", "", "1e999x", "+-1"] {
        check("i1", None, cell, false);
    }
    for cell in ["1e400", "-1e400", "1D400", "1d999", "-1D999"] {
        check("<f8", None, cell, true);
        check("<f4", None, cell, true);
    }
    for (dtype, element, cell) in [
        ("<f4", None, "3.5e38"),
        ("<f2", None, "65520"),
        ("V2", Some("bf16"), "3.4e38"),
        ("V1", Some("f8_e4m3"), "465"),
        ("V1", Some("f8_e4m3"), "inf"),
        ("V4", Some("ibm32"), "nan"),
        ("V4", Some("ibm32"), "1e76"),
        ("V3", Some("i3"), "8388608"),
        ("V3", Some("u3be"), "-1"),
        ("S2", None, "abc"),
        ("<U1", None, "ab"),
        ("<M8[D]", None, "2024-01-01T12:00"),
        ("<M8[ns]", None, "2400-01-01"),
    ] {
        check(dtype, element, cell, true);
    }
    for cell in
        ["2023-02-29", "2024-13-01", "2024-00-01", "24:00", "2024-01-01T24:00:00", "2024-01-01T00:60", "1-1-1-1"]
    {
        check("<M8[s]", None, cell, false);
    }
}

fn check_any(number: usize, suffix: &str, bytes: &[u8], piece: usize) {
    let (dtype, element) = TYPES[number];
    let Some(text) = text_of(dtype, element, &[3], suffix) else { return };
    let whole = read(&text, bytes, usize::MAX);
    assert_eq!(read(&text, bytes, piece), whole);
    if let Ok(elements) = whole {
        let shown = written(&text, &elements);
        let again = read(&text, &shown, usize::MAX).unwrap_or_else(|bad| panic!("{dtype} {element:?}: {bad:?}"));
        assert_eq!(written(&text, &again), shown);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        number in 0..TYPES.len(), suffix in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1..9_usize,
    ) {
        check_any(number, ["txt", "csv", "json"][suffix], &bytes, piece);
    }

    #[test]
    fn any_words_are_read_or_refused(
        number in 0..TYPES.len(), suffix in 0..3_usize, piece in 1..9_usize,
        words in "([-+]?[0-9]{1,4}([.:eE-][0-9]{1,3})?[ijZ]?|nan|[-]?inf|NaT|1e999|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(T[0-9]{2}(:[0-9.]{1,5})?)?|[ ,\n\t\"#\\[\\]T]){0,12}",
    ) {
        check_any(number, ["txt", "csv", "json"][suffix], words.as_bytes(), piece);
    }
}

#[test]
fn empty_lists_are_counted() {
    assert_eq!(written(&text_of("u1", None, &[2, 3, 0], "json").expect("a text"), &[]), b"[[[],[],[]],[[],[],[]]]\n");
    assert_eq!(written(&text_of("u1", None, &[0, 1 << 40], "json").expect("a text"), &[]), b"[]\n");
    assert!(text_of("u1", None, &[1 << 16, 1 << 16, 0], "json").is_none());
    assert!(text_of("u1", None, &[1 << 40, 0], "json").is_none());
}
