//! Matrices made by hand, and each file that is refused.
use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Broken, Bytes, described, is_within, parse, refused, says, shown};

/// A matrix: its header in this order, and zeros.
fn matrix(order: ByteOrder, words: [u32; 4], name: &str, zeros: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words.into_iter().chain([name.len() as u32 + 1]) {
        bytes.extend(if order == ByteOrder::Big { word.to_be_bytes() } else { word.to_le_bytes() });
    }
    bytes.extend(name.bytes().chain([0]));
    bytes.resize(bytes.len() + zeros, 0);
    bytes
}

fn little(words: [u32; 4], zeros: usize) -> Vec<u8> {
    matrix(ByteOrder::Little, words, "a", zeros)
}

fn refuses(bytes: &[u8], parts: &[&str]) {
    refused(&Mat4, bytes, parts);
}

#[test]
fn every_type_in_either_order() {
    let types = [("f8", 8), ("f4", 4), ("i4", 4), ("i2", 2), ("u2", 2), ("u1", 1)];
    for (digit, (dtype, size)) in (0..).zip(types) {
        for (order, mark, machine) in [(ByteOrder::Little, '<', 0), (ByteOrder::Big, '>', 1000)] {
            let file = matrix(order, [machine + 10 * digit, 3, 2, 0], "x", 6 * size);
            let found = parse(&Mat4, &Bytes(&file)).unwrap();
            let mark = if size == 1 { '|' } else { mark };
            assert_eq!(shown(&found, "x"), format!("{mark}{dtype} at 22 [3, 2] [{size}, {}]", 3 * size));
        }
    }
}

#[test]
fn several_matrices_and_their_classes() {
    let all = [
        little([0, 1, 1, 0], 8),
        matrix(ByteOrder::Little, [51, 1, 4, 0], "text", 4),
        matrix(ByteOrder::Big, [1002, 5, 3, 0], "few", 120),
        matrix(ByteOrder::Little, [0, 0, 0, 0], "none", 0),
        little([20, 2, 1, 0], 8),
    ];
    let found = parse(&Mat4, &Bytes(&all.concat())).unwrap();
    let names: Vec<String> = found.members.iter().map(|member| member.path.join("/")).collect();
    assert_eq!(names, ["a", "text", "few", "none", "a-2"]);
    let classes = found.members.iter().map(|member| member.found.as_ref().unwrap().attributes["class"].clone());
    assert_eq!(classes.collect::<Vec<_>>(), ["double", "char", "sparse", "double", "double"]);
}

#[test]
fn parts_of_complex_numbers() {
    let found = parse(&Mat4, &Bytes(&little([10, 2, 3, 1], 48))).unwrap();
    let parts: Vec<String> = (found.members.iter())
        .map(|member| format!("{} {}", member.path.join("/"), described(member.found.as_ref().unwrap())))
        .collect();
    assert_eq!(parts, ["a/real <f4 at 22 [2, 3] [4, 8]", "a/imag <f4 at 46 [2, 3] [4, 8]"]);
}

#[test]
fn refused_empty() {
    refuses(b"", &["it is empty"]);
}

#[test]
fn refused_another_kind_of_file() {
    refuses(b"MATLAB text file", &["no matrix of MATLAB at byte 0", "another kind"]);
    refuses(&[little([0, 1, 1, 0], 8), vec![0xff; 20]].concat(), &["no matrix of MATLAB at byte 30"]);
}

#[test]
fn refused_other_machines() {
    refuses(&little([2000, 1, 1, 0], 8), &["VAX"]);
    refuses(&matrix(ByteOrder::Big, [4000, 1, 1, 0], "a", 8), &["VAX"]);
}

#[test]
fn refused_types() {
    for of in [60, 3, 100, 900] {
        refuses(&little([of, 1, 1, 0], 8), &[&format!("at byte 0 is {of}, which is not known")]);
    }
}

#[test]
fn refused_flags_and_names() {
    refuses(&little([0, 1, 1, 2], 8), &["2 in the place of a flag"]);
    refuses(&matrix(ByteOrder::Little, [0, 1, 1, 0], "", 8), &["a name of 1 bytes"]);
    refuses(&matrix(ByteOrder::Little, [0, 1, 1, 0], &"a".repeat(256), 8), &["a name of 257 bytes"]);
    refuses(&matrix(ByteOrder::Little, [0, 1, 1, 0], " ", 8), &["an empty name"]);
}

#[test]
fn refused_truncated() {
    refuses(&little([0, 2, 3, 0], 47), &["up to byte 70, the file holds only 69", "truncated"]);
    refuses(&little([0, 2, 3, 1], 95), &["truncated"]);
    refuses(&little([0, 1, 1, 0], 0)[..19], &["ends within its MATLAB header"]);
}

#[test]
fn refused_sizes_that_cannot_be() {
    refuses(&little([0, u32::MAX, u32::MAX, 0], 8), &["larger than any file can be"]);
    refuses(&little([0, u32::MAX, 1 << 26, 1], 8), &["truncated"]);
}

#[test]
fn refused_too_many() {
    let one = little([50, 0, 0, 0], 0);
    refuses(&one.repeat(MAX_ENTRIES as usize + 1), &["more than 131072 matrices"]);
}

#[test]
fn refused_by_the_disk() {
    says(&parse(&Mat4, &Broken).unwrap_err(), &["the disk is gone"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        machine in 0..2_u32,
        digit in 0..6_u32,
        flag in 0..2_u32,
        changes in prop::collection::vec((0..150_usize, any::<u8>()), 0..4),
        cut in 0..300_usize,
    ) {
        let order = if machine == 1 { ByteOrder::Big } else { ByteOrder::Little };
        let mut bytes = matrix(order, [1000 * machine + 10 * digit, 2, 3, flag], "ab", 0);
        let size = [8, 4, 4, 2, 2, 1][digit as usize] * 6 * (flag as usize + 1);
        bytes.resize(bytes.len() + size, 0);
        let mut bytes = bytes.repeat(2);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        if let Ok(found) = parse(&Mat4, &Bytes(&bytes)) {
            prop_assert!(is_within(&found, bytes.len() as u64));
        }
    }
}
