//! Headers in both orders, the kinds of SAC files, and each header that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, array, described, is_within, lies_within, says, shown};

/// A file of which only these words are defined, with `count` samples in its header and `held` behind it.
fn file(big: bool, words: &[(usize, i32)], count: i32, held: usize) -> Vec<u8> {
    let mut numbers = [UNDEFINED; 110];
    numbers[..70].fill((UNDEFINED as f32).to_bits().cast_signed());
    (numbers[76], numbers[79], numbers[85], numbers[105]) = (6, count, 1, 1);
    for &(at, value) in words {
        numbers[at] = value;
    }
    let mut bytes: Vec<u8> =
        numbers.iter().flat_map(|word| if big { word.to_be_bytes() } else { word.to_le_bytes() }).collect();
    bytes.extend(b"ANMO    An event        ");
    bytes.extend(b"-12345  ".repeat(21));
    bytes.resize(632 + 4 * held, 0);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    array(&Sac, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse(bytes).unwrap_err(), parts);
}

#[test]
fn time_series_in_both_orders() {
    for (big, dtype) in [(false, "<f4"), (true, ">f4")] {
        let words = [(0, 0.01_f32.to_bits().cast_signed()), (70, 2026)];
        let found = parse(&file(big, &words, 5, 5)).unwrap();
        assert_eq!(described(&found), format!("{dtype} at 632 [5] [4]"));
        let wanted = json!({
            "delta": 0.01, "nzyear": 2026, "nvhdr": 6, "npts": 5, "iftype": 1, "leven": 1, "kstnm": "ANMO",
            "kevnm": "An event",
        });
        assert_eq!(json!(found.attributes), wanted);
    }
}

#[test]
fn version_7_has_a_footer() {
    assert_eq!(described(&parse(&file(false, &[(76, 7)], 5, 5 + 44)).unwrap()), "<f4 at 632 [5] [4]");
}

#[test]
fn files_of_two_rows() {
    for (words, names) in [
        (&[(105, 0)][..], ["y", "x"]),
        (&[(85, 2)], ["real", "imaginary"]),
        (&[(85, 3)], ["amplitude", "phase"]),
        (&[(85, 4), (105, 0)], ["y", "x"]),
    ] {
        let container = crate::format::header::tests::parse(&Sac, &Bytes(&file(false, words, 5, 10))).unwrap();
        assert_eq!(shown(&container, names[0]), "<f4 at 632 [5] [4]");
        assert_eq!(shown(&container, names[1]), "<f4 at 652 [5] [4]");
        let short = crate::format::header::tests::parse(&Sac, &Bytes(&file(false, words, 5, 9))).unwrap();
        says(short.members[1].found.as_ref().unwrap_err(), &["up to byte 672, the file holds only 668"]);
    }
}

#[test]
fn refused_version() {
    refused(&file(false, &[(76, 5)], 5, 5), &["version 5 (nvhdr)"]);
    refused(&[b' '; 700], &["only 6 and 7 are known"]);
}

#[test]
fn refused_truncated_header() {
    for length in [0, 307, 308, 631] {
        refused(&file(false, &[], 5, 5)[..length], &["ends within its SAC header"]);
    }
}

#[test]
fn refused_kind() {
    refused(&file(false, &[(85, 51)], 5, 5), &["iftype 51"]);
}

#[test]
fn refused_truncated() {
    refused(&file(false, &[], 6, 5), &["up to byte 656, the file holds only 652", "truncated"]);
}

#[test]
fn refused_counts() {
    refused(&file(false, &[], -12345, 5), &["claims -12345 samples"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        big in any::<bool>(),
        changes in prop::collection::vec((0..632_usize, any::<u8>()), 0..8),
        cut in 0..700_usize,
    ) {
        let mut bytes = file(big, &[(105, 0)], 5, 10);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut);
        match Sac.parse("a", &Bytes(&bytes), &crate::source::Alone) {
            Ok(Content::Many(container)) => prop_assert!(is_within(&container, bytes.len() as u64)),
            Ok(Content::One(array)) => prop_assert!(lies_within(&array, bytes.len() as u64)),
            Err(_) => {}
        }
    }
}
