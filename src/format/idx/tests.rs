//! Headers of all types, and each that is refused.
use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, array, described, lies_within, says};

fn file(of: u8, shape: &[u32], held: usize) -> Vec<u8> {
    let lengths: Vec<u8> = shape.iter().flat_map(|length| length.to_be_bytes()).collect();
    [&[0, 0, of, shape.len() as u8][..], &lengths, &vec![0; held]].concat()
}

fn refused(bytes: &[u8], parts: &[&str]) {
    says(&array(&Idx, &Bytes(bytes)).unwrap_err(), parts);
}

#[test]
fn every_type() {
    for (of, size, dtype) in
        [(8, 1, "|u1"), (9, 1, "|i1"), (11, 2, ">i2"), (12, 4, ">i4"), (13, 4, ">f4"), (14, 8, ">f8")]
    {
        let found = array(&Idx, &Bytes(&file(of, &[2, 3], 6 * size))).unwrap();
        assert_eq!(described(&found), format!("{dtype} at 12 [2, 3] [{}, {size}]", 3 * size));
    }
    assert_eq!(described(&array(&Idx, &Bytes(&file(8, &[], 1))).unwrap()), "|u1 at 4 [] []");
    assert_eq!(described(&array(&Idx, &Bytes(&file(8, &[0], 0))).unwrap()), "|u1 at 8 [0] [1]");
}

#[test]
fn names_of_mnist() {
    assert_eq!(Idx.stem("train-images-idx3-ubyte"), Some("train-images"));
    assert_eq!(Idx.stem("t10k-labels.idx1-ubyte"), Some("t10k-labels"));
    assert_eq!(Idx.stem("pack.idx"), None);
}

#[test]
fn refused_other_kinds() {
    refused(b"\xfftOc", &["two zeros", "another kind"]);
    refused(&file(10, &[2], 2), &["type 0x0a"]);
}

#[test]
fn refused_truncated_header() {
    refused(b"", &["ends within its IDX header"]);
    refused(&file(8, &[2, 3], 6)[..11], &["ends within its IDX header"]);
}

#[test]
fn refused_truncated() {
    refused(&file(8, &[2, 3], 5), &["claims 6 bytes of elements, the file holds only 5", "truncated"]);
}

#[test]
fn refused_too_long() {
    refused(&file(8, &[2, 3], 7), &["claims 6 bytes of elements (shape [2, 3]), and the file holds 7", "--array"]);
}

#[test]
fn refused_huge() {
    refused(&file(8, &[u32::MAX; 3], 7), &["larger than any file can be"]);
    refused(&file(8, &[1; 65], 1), &["65 axes, more than 64"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100), of in 7..15_u8, ndim in 0..5_u8) {
        let bytes = [&[0, 0, of, ndim][..], &bytes].concat();
        if let Ok(found) = array(&Idx, &Bytes(&bytes)) {
            prop_assert!(lies_within(&found, bytes.len() as u64));
        }
    }
}
