//! Headers of all revisions in both orders, and each that is refused.
use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, is_within, member, shown};

/// Writes a number at a position as SEG counts.
fn put(bytes: &mut [u8], at: usize, count: usize, value: i64, order: ByteOrder) {
    let target = &mut bytes[at - 1..at - 1 + count];
    target.copy_from_slice(&value.to_be_bytes()[8 - count..]);
    if order == ByteOrder::Little {
        target.reverse();
    }
}

/// A file with `behind` bytes behind the binary header, whose fields (position, bytes, value) are set.
fn file(order: ByteOrder, fields: &[(usize, usize, i64)], behind: usize) -> Vec<u8> {
    let mut bytes = vec![0; 3600 + behind];
    bytes[..3200].fill(b'@');
    bytes[..4].copy_from_slice(b"\xc3\x40\xf1\x40");
    for &(at, count, value) in fields {
        put(&mut bytes, at, count, value, order);
    }
    bytes
}

/// Three traces of 5 samples in this format.
fn traces(order: ByteOrder, format: i64, itemsize: usize, fields: &[(usize, usize, i64)]) -> Vec<u8> {
    file(order, &[&[(3221, 2, 5), (3225, 2, format)], fields].concat(), 3 * (240 + 5 * itemsize))
}

const BIG: ByteOrder = ByteOrder::Big;
const LITTLE: ByteOrder = ByteOrder::Little;

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&Segy, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    crate::format::header::tests::refused(&Segy, bytes, parts);
}

#[test]
fn every_format_in_both_orders() {
    for (format, itemsize, big, little, names) in [
        (1, 4, "|V4", "|V4", [Some("ibm32"), Some("ibm32le")]),
        (2, 4, ">i4", "<i4", [None; 2]),
        (3, 2, ">i2", "<i2", [None; 2]),
        (5, 4, ">f4", "<f4", [None; 2]),
        (6, 8, ">f8", "<f8", [None; 2]),
        (7, 3, "|V3", "|V3", [Some("i3be"), Some("i3")]),
        (8, 1, "|i1", "|i1", [None; 2]),
        (9, 8, ">i8", "<i8", [None; 2]),
        (10, 4, ">u4", "<u4", [None; 2]),
        (11, 2, ">u2", "<u2", [None; 2]),
        (12, 8, ">u8", "<u8", [None; 2]),
        (15, 3, "|V3", "|V3", [Some("u3be"), Some("u3")]),
        (16, 1, "|u1", "|u1", [None; 2]),
    ] {
        for (order, dtype, element) in [(BIG, big, names[0]), (LITTLE, little, names[1])] {
            let container = parse(&traces(order, format, itemsize, &[])).unwrap();
            let stride = 240 + 5 * itemsize;
            assert_eq!(shown(&container, "data"), format!("{dtype} at 3840 [3, 5] [{stride}, {itemsize}]"));
            assert_eq!(member(&container, "data").unwrap().element, element);
            let headers = member(&container, "headers").unwrap();
            assert_eq!(headers.grid.single().unwrap().strides, [stride as i64]);
            let part = headers.dtype.part("INLINE_3D").unwrap();
            assert_eq!((part.offset, part.dtype.to_string()), (188, if order == BIG { ">i4" } else { "<i4" }.into()));
        }
    }
}

#[test]
fn headers_have_no_gaps() {
    let end = fields::TRACE.iter().fold(1, |next, &(name, at, bytes)| {
        assert_eq!(at, next, "{name}");
        at + bytes
    });
    assert_eq!(end, 241);
}

#[test]
fn text_and_binary_header_are_attributes() {
    let mut bytes = traces(BIG, 3, 2, &[(3217, 2, 4000), (3501, 2, 0x100), (3227, 2, -1)]);
    bytes[..5].copy_from_slice(b"\xc3\x40\xf1\xc1\x5a");
    bytes[80] = 0xc3;
    let attributes = parse(&bytes).unwrap().attributes;
    assert_eq!(attributes["text"].as_str().unwrap().trim_end(), "C 1A!\nC");
    let numbers =
        ["Interval", "Samples", "Format", "EnsembleFold", "SEGYRevision"].map(|name| attributes[name].as_i64());
    assert_eq!(numbers, [4000, 5, 3, -1, 1].map(Some));
    bytes[..3200].fill(b' ');
    bytes[..3].copy_from_slice(b"C 1");
    assert_eq!(parse(&bytes).unwrap().attributes["text"], "C 1");
}

#[test]
fn further_texts() {
    let stride = 250;
    let counted = file(BIG, &[(3221, 2, 5), (3225, 2, 3), (3505, 2, 2)], 6400 + 3 * stride);
    assert_eq!(shown(&parse(&counted).unwrap(), "data"), ">i2 at 10240 [3, 5] [250, 2]");
    for end in ENDS {
        let mut ended = file(BIG, &[(3221, 2, 5), (3225, 2, 3), (3505, 2, -1)], 6400 + 3 * stride);
        ended[6800..6816].copy_from_slice(end);
        assert_eq!(shown(&parse(&ended).unwrap(), "data"), ">i2 at 10240 [3, 5] [250, 2]");
    }
}

#[test]
fn the_first_trace_says_what_the_binary_header_does_not() {
    for said in [0, 7] {
        let mut bytes = file(BIG, &[(3221, 2, said), (3225, 2, 3)], 3 * 250);
        for trace in 0..3 {
            put(&mut bytes, 3600 + 250 * trace + 115, 2, 5, BIG);
        }
        assert_eq!(shown(&parse(&bytes).unwrap(), "data"), ">i2 at 3840 [3, 5] [250, 2]");
    }
}

#[test]
fn traces_may_all_say_something_else() {
    let mut bytes = traces(BIG, 3, 2, &[]);
    for trace in 0..3 {
        put(&mut bytes, 3600 + 250 * trace + 115, 2, 99, BIG);
    }
    assert_eq!(shown(&parse(&bytes).unwrap(), "data"), ">i2 at 3840 [3, 5] [250, 2]");
}

#[test]
fn revision_2() {
    for order in [BIG, LITTLE] {
        let constant = (3297, 4, 0x0102_0304);
        // Five samples in the extended field, two traces at byte 4000, and trailing texts.
        let fields = [(3221, 2, 1), (3225, 2, 3), constant, (3501, 1, 2), (3269, 4, 5), (3513, 8, 2), (3521, 8, 4000)];
        let bytes = file(order, &fields, 400 + 2 * 250 + 3200);
        let dtype = if order == BIG { ">i2" } else { "<i2" };
        assert_eq!(shown(&parse(&bytes).unwrap(), "data"), format!("{dtype} at 4240 [2, 5] [250, 2]"));
        let fields = [(3221, 2, 5), (3225, 2, 3), constant, (3501, 1, 2), (3529, 4, 1)];
        let bytes = file(order, &fields, 2 * 250 + 3200);
        assert_eq!(shown(&parse(&bytes).unwrap(), "data"), format!("{dtype} at 3840 [2, 5] [250, 2]"));
    }
}

#[test]
fn no_traces() {
    let bytes = file(BIG, &[(3221, 2, 5), (3225, 2, 3)], 0);
    assert_eq!(shown(&parse(&bytes).unwrap(), "data"), ">i2 at 3840 [0, 5] [250, 2]");
}

#[test]
fn known_by_content() {
    let lines =
        |line: &[u8]| line.iter().copied().chain(std::iter::repeat_n(b'@', 80 - line.len())).collect::<Vec<_>>();
    assert!(Segy.knows(&lines(b"\xc3\x40\xf1").repeat(7)) && Segy.knows(&lines(b"C 1").repeat(7)));
    assert!(!Segy.knows(&lines(b"C 1")) && !Segy.knows(&lines(b"CC").repeat(7)) && !Segy.knows(b""));
}

#[test]
fn refused_truncated_header() {
    for length in [0, 3199, 3599] {
        refused(&traces(BIG, 3, 2, &[])[..length], &["ends within its SEG-Y header"]);
    }
}

#[test]
fn refused_formats() {
    refused(&traces(BIG, 4, 4, &[]), &["format 4 of SEG-Y", "convert"]);
    refused(&traces(BIG, 0, 4, &[]), &["samples format 0, which SEG-Y does not know"]);
    refused(&traces(BIG, 999, 4, &[]), &["samples format 999"]);
}

#[test]
fn refused_bytes_swapped_in_pairs() {
    refused(&traces(BIG, 3, 2, &[(3297, 4, 0x0201_0403)]), &["swapped in pairs", "dd conv=swab"]);
}

#[test]
fn refused_additional_headers() {
    refused(&traces(BIG, 3, 2, &[(3501, 1, 2), (3507, 4, 3)]), &["up to 3 additional headers"]);
}

#[test]
fn refused_no_samples() {
    refused(&file(BIG, &[(3225, 2, 3)], 750), &["how many samples a trace has"]);
}

#[test]
fn refused_traces_of_different_lengths() {
    let bytes = traces(BIG, 3, 2, &[]);
    refused(&bytes[..bytes.len() - 1], &["behind 2 traces of 250 bytes 249 are left over", "different lengths"]);
    let mut bytes = bytes;
    put(&mut bytes, 3600 + 115, 2, 9, BIG);
    put(&mut bytes, 4100 + 115, 2, 8, BIG);
    refused(&bytes, &["first trace claims 9 samples and trace 2 claims 8", "different lengths"]);
    // Unless the header says that it means it.
    put(&mut bytes, 3501, 2, 0x100, BIG);
    put(&mut bytes, 3503, 2, 1, BIG);
    parse(&bytes).unwrap();
}

#[test]
fn refused_truncated() {
    for count in [4, i64::MAX] {
        let bytes = traces(BIG, 3, 2, &[(3501, 1, 2), (3513, 8, count)]);
        refused(&bytes, &["claims traces up to byte", "truncated"]);
    }
    refused(&file(BIG, &[(3221, 2, 5), (3225, 2, 3), (3505, 2, 9)], 750), &["claims traces up to byte 32400"]);
}

#[test]
fn refused_first_trace_within_the_header() {
    refused(&traces(BIG, 3, 2, &[(3501, 1, 2), (3521, 8, 100)]), &["first trace at byte 100, within the header"]);
}

#[test]
fn refused_further_texts() {
    refused(&traces(BIG, 3, 2, &[(3505, 2, -1)]), &["no end ((SEG: EndText))"]);
    refused(&traces(BIG, 3, 2, &[(3505, 2, -2)]), &["claims -2 further texts"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        little in any::<bool>(),
        revision in 0..3_i64,
        changes in prop::collection::vec((3200..4000_usize, any::<u8>()), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let order = if little { LITTLE } else { BIG };
        let mut bytes = traces(order, 5, 4, &[(3501, 1, revision)]);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(container) = parse(&bytes) {
            prop_assert!(is_within(&container, bytes.len() as u64));
        }
    }
}
