//! Vectors of all three kinds, and each file that is refused.
use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, described, lies_within, says};
use crate::source::Alone;

fn parse(name: &str, bytes: &[u8]) -> Result<Array, Refusal> {
    Vecs.parse(name, &Bytes(bytes), &Alone).map(|content| content.into_array().unwrap())
}

/// Vectors of these dimensions, with elements of so many bytes.
fn file(dimensions: &[u32], itemsize: usize) -> Vec<u8> {
    dimensions.iter().flat_map(|&n| [&n.to_le_bytes()[..], &vec![0; n as usize * itemsize]].concat()).collect()
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&parse("a.fvecs", bytes).unwrap_err(), parts);
}

#[test]
fn vectors_of_all_kinds() {
    for (name, size, wanted) in [
        ("a.fvecs", 4, "<f4 at 4 [3, 5] [24, 4]"),
        ("a.IVECS", 4, "<i4 at 4 [3, 5] [24, 4]"),
        ("a.bvecs", 1, "|u1 at 4 [3, 5] [9, 1]"),
    ] {
        assert_eq!(described(&parse(name, &file(&[5; 3], size)).unwrap()), wanted);
    }
}

#[test]
fn refused_empty_or_short() {
    refused(b"", &["it is empty"]);
    refused(b"\x01\0", &["ends within the dimension"]);
}

#[test]
fn refused_dimensions() {
    refused(&[0; 12], &["claims 0 dimensions"]);
    refused(&[0xff; 12], &["claims -1 dimensions"]);
    refused(&file(&[2, 2, 2, 2, 3, 1], 4), &["claims 2 dimensions and vector 5 claims", "vectors of one dimension"]);
}

#[test]
fn refused_truncated() {
    let bytes = file(&[5; 3], 4);
    refused(&bytes[..bytes.len() - 1], &["behind 2 vectors of 5 dimensions 23 bytes are left over", "truncated"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(0..4_u8, 0..100), first in 0..5_u8) {
        let bytes = [&[first, 0, 0, 0][..], &bytes].concat();
        if let Ok(found) = parse("a.bvecs", &bytes) {
            prop_assert!(lies_within(&found, bytes.len() as u64));
        }
    }
}
