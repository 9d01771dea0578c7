//! Pictures of every kind, one and several, and each that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, Sparse, array, described, is_within, lies_within, parse, says, shown};
use crate::source::Alone;

/// A header, and so many samples.
fn file(header: &str, samples: usize) -> Vec<u8> {
    [header.as_bytes(), &vec![0; samples]].concat()
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&Pnm.parse("a", &Bytes(bytes), &Alone).unwrap_err(), parts);
}

const PAM: &str = "P7\nWIDTH 3\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n";

#[test]
fn every_kind() {
    for (header, samples, wanted) in [
        ("P5 3 2 255\n", 6, "|u1 at 11 [2, 3] [3, 1]"),
        ("P5 3 2 256\n", 12, ">u2 at 11 [2, 3] [6, 2]"),
        ("P6\n3 2\n1\n", 18, "|u1 at 9 [2, 3, 3] [9, 3, 1]"),
        ("P6\r\n3\t2\r\n65535 ", 36, ">u2 at 15 [2, 3, 3] [18, 6, 2]"),
        (PAM, 24, "|u1 at 65 [2, 3, 4] [12, 4, 1]"),
        ("Pf\n3 2\n1.0\n", 24, ">f4 at 23 [2, 3] [-12, 4]"),
        ("PF\n3 2\n-0.5\n", 72, "<f4 at 48 [2, 3, 3] [-36, 12, 4]"),
        ("PF4\n3 2\n-1e0\n", 96, "<f4 at 61 [2, 3, 4] [-48, 16, 4]"),
    ] {
        let bytes = file(header, samples);
        assert_eq!(described(&array(&Pnm, &Bytes(&bytes)).unwrap()), wanted);
        assert!(Pnm.knows(&bytes), "{header}");
        refused(&bytes[..bytes.len() - 1], &["truncated"]);
    }
}

#[test]
fn comments_wherever_they_may_stand() {
    let text = "P5#a\n# b\n3 # 4\n2#c\r255#d\n";
    let found = array(&Pnm, &Bytes(&file(text, 6))).unwrap();
    assert_eq!(described(&found), format!("|u1 at {} [2, 3] [3, 1]", text.len()));
    let text = "P7\n# one\n\n#two\nMAXVAL 9\nWIDTH 3\n  HEIGHT 2  \nDEPTH 1\nTUPLTYPE a b\nTUPLTYPE c\nENDHDR\n";
    let found = array(&Pnm, &Bytes(&file(text, 6))).unwrap();
    assert_eq!(described(&found), format!("|u1 at {} [2, 3] [3, 1]", text.len()));
    assert_eq!(json!(found.attributes), json!({"maxval": 9, "tupltype": "a b c"}));
}

#[test]
fn axes_and_attributes() {
    let found = array(&Pnm, &Bytes(&file("P6 1 1 7\n", 3))).unwrap();
    assert_eq!(found.dims, ["row", "column", "channel"]);
    assert_eq!(json!(found.attributes), json!({"maxval": 7}));
    let found = array(&Pnm, &Bytes(&file("Pf 1 1 -2.5\n", 4))).unwrap();
    assert_eq!(json!(found.attributes), json!({"scale": 2.5}));
}

#[test]
fn several_that_are_alike() {
    let one = file("P5 3 2 255\n", 6);
    let found = array(&Pnm, &Bytes(&one.repeat(4))).unwrap();
    assert_eq!(described(&found), "|u1 at 11 [4, 2, 3] [17, 3, 1]");
    assert_eq!(found.dims, ["image", "row", "column"]);
    let one = [&file("PF 1 2 -1\n", 24)[..], b"\n"].concat();
    let found = array(&Pnm, &Bytes(&one.repeat(2))).unwrap();
    assert_eq!(described(&found), "<f4 at 22 [2, 2, 1, 3] [35, -12, 12, 4]");
    // Far from each other.
    let one = file("P5 1000 100 255\n", 100_000);
    let found = array(&Pnm, &Bytes(&one.repeat(3))).unwrap();
    assert_eq!(described(&found), "|u1 at 16 [3, 100, 1000] [100016, 1000, 1]");
}

#[test]
fn several_that_differ() {
    let bytes = [file("P5 3 2 255\n", 6), file(PAM, 24), file("P5  3 2 255\n", 6)].concat();
    let found = parse(&Pnm, &Bytes(&bytes)).unwrap();
    assert_eq!(shown(&found, "image-0"), "|u1 at 11 [2, 3] [3, 1]");
    assert_eq!(shown(&found, "image-1"), "|u1 at 82 [2, 3, 4] [12, 4, 1]");
    assert_eq!(shown(&found, "image-2"), "|u1 at 118 [2, 3] [3, 1]");
    let bytes = [file("P5 3 2 255\n", 6), file("P5  3 2 255\n", 6), file("P5 3 2 255\n", 6)].concat();
    assert_eq!(parse(&Pnm, &Bytes(&bytes)).unwrap().members.len(), 3);
}

#[test]
fn what_follows_and_is_no_picture_is_left_alone() {
    let bytes = [&file("P5 3 2 255\n", 6)[..], b"\n\nP8 and so on"].concat();
    assert_eq!(described(&array(&Pnm, &Bytes(&bytes)).unwrap()), "|u1 at 11 [2, 3] [3, 1]");
}

#[test]
fn known_by_content() {
    for known in ["P5\n12 13\n255\n", "P6 #", "P7\n#", "P7\nDEPTH", "PF\n1 1\n-1.0\n", "Pf 1 1 -1e3"] {
        assert!(Pnm.knows(known.as_bytes()), "{known}");
    }
    for other in ["", "P", "P5", "P5 is", "P5 1 2", "P55 1 2 ", "P7 332\n", "P4\n1 1\n", "P5 1 2 3x", "PF Flyers"] {
        assert!(!Pnm.knows(other.as_bytes()), "{other}");
    }
}

#[test]
fn refused_other_kinds() {
    refused(b"", &["does not begin with P1 to P7"]);
    refused(b"\x89PNG\r\n\x1a\n", &["does not begin with P1 to P7", "rename it"]);
    refused(b"P54 1 1 1 ", &["begins with 'P54'"]);
}

#[test]
fn refused_text() {
    refused(b"P2 1 1 1 1", &["as text (P2)", "pnmtopnm IN > OUT"]);
    refused(b"P3\n1 1 1 1 1 1", &["as text (P3)", "pnmtopnm IN > OUT"]);
}

#[test]
fn refused_bits() {
    refused(b"P4 8 1\n1", &["single bits (P4)", "pamdepth 255 IN > OUT"]);
    refused(b"P1\n1 1 1", &["single bits (P1)", "pamdepth 255 IN > OUT"]);
}

#[test]
fn refused_numbers() {
    refused(b"P5 3 x 255\n", &["'x' in the place of a number"]);
    refused(b"P5 3 +2 255\n", &["'+2' in the place of a number"]);
    refused(b"P5 3 99999999999999999999 255\n", &["in the place of a number"]);
    refused(&file(&format!("P5 {}", "1".repeat(70)), 9), &["in the place of a number"]);
    refused(b"P7\nWIDTH\nENDHDR\n", &["'' in the place of a number"]);
}

#[test]
fn refused_maxval() {
    refused(&file("P5 3 2 0\n", 6), &["maxval 0", "1 to 65535"]);
    refused(&file("P6 3 2 65536\n", 99), &["maxval 65536"]);
}

#[test]
fn refused_scale() {
    for scale in ["0", "-0.0", "nan", "inf", "x"] {
        refused(&file(&format!("Pf 3 2 {scale}\n"), 24), &["gives the scale", "byte order"]);
    }
}

#[test]
fn refused_lines() {
    refused(b"P7\nWIDTHS 3\n", &["the line 'WIDTHS 3'"]);
    refused(b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 1\nENDHDR\n", &["lacks one of", "MAXVAL"]);
    refused(b"P7\nWIDTH 3\n", &["ends within its Netpbm header"]);
}

#[test]
fn refused_sizes() {
    refused(b"P5 0 2 255\n", &["without samples"]);
    let huge = format!("P6 {} {} 255\n", u64::MAX, u64::MAX);
    refused(huge.as_bytes(), &["larger than any file can be"]);
}

#[test]
fn refused_header_too_long() {
    let bytes = [&b"P5 "[..], &[b'#'; 70_000]].concat();
    says(&array(&Pnm, &Sparse(&bytes, 1 << 40)).unwrap_err(), &["longer than the 65536 bytes"]);
}

#[test]
fn refused_too_many() {
    let bytes = file("P5 1 1 1\n", 1).repeat(MAX_IMAGES + 1);
    refused(&bytes, &["more than the 65536 pictures", "pamsplit"]);
}

#[test]
fn refused_where_a_further_one_is_truncated() {
    let bytes = file("P5 3 2 255\n", 6).repeat(2);
    refused(&bytes[..bytes.len() - 1], &["truncated"]);
    refused(&bytes[..24], &["ends within its Netpbm header"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        text in "(P[5-7fF]4?[ \n#])?[ 0-9#\n.-]{0,20}[ -~\n]{0,60}",
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = [file("P5 3 2 255\n", 6), file(PAM, 24), file("PF\n3 2\n-0.5\n", 72)].concat();
        for mut bytes in [file(&text, 40), file("Pf 3 2 -1\n", 24).repeat(2), whole] {
            let length = bytes.len();
            for (at, byte) in &changes {
                bytes[at.index(length)] = *byte;
            }
            for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
                match Pnm.parse("a", &Bytes(bytes), &Alone) {
                    Ok(Content::One(found)) => prop_assert!(lies_within(&found, bytes.len() as u64)),
                    Ok(Content::Many(found)) => prop_assert!(is_within(&found, bytes.len() as u64)),
                    Err(_) => {}
                }
            }
        }
    }
}
