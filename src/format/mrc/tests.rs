//! Headers made by hand, and each file that is refused.
use std::io;

use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, says};
use crate::source::Alone;

/// A volume of 2 sections, 3 rows, 4 columns; `words` replaces words of the header, counted from 0.
fn file(order: ByteOrder, words: &[(usize, i32)]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER + 2 * 3 * 4 * 8];
    let standard = [(0, 4), (1, 3), (2, 2), (3, 2), (7, 4), (8, 3), (9, 2), (16, 1), (17, 2), (18, 3), (22, 1)];
    for (word, number) in standard.into_iter().chain(words.iter().copied()) {
        let number = if order == ByteOrder::Big { number.to_be_bytes() } else { number.to_le_bytes() };
        bytes[4 * word..][..4].copy_from_slice(&number);
    }
    bytes[208..212].copy_from_slice(b"MAP ");
    bytes[212..214].copy_from_slice(if order == ByteOrder::Big { &[0x11, 0x11] } else { &[0x44, 0x44] });
    bytes
}

fn parse(bytes: &[u8]) -> Result<Array, Refusal> {
    Mrc.parse("a.mrc", &Bytes(bytes), &Alone).map(|content| content.into_array().unwrap())
}

fn shown(bytes: &[u8]) -> String {
    let array = parse(bytes).unwrap();
    let layout = array.grid.single().unwrap();
    format!("{} at {} {:?} {:?}", array.dtype, layout.offset, layout.shape, array.dims)
}

fn refused(words: &[(usize, i32)], parts: &[&str]) {
    says(&parse(&file(ByteOrder::Little, words)).unwrap_err(), parts);
}

#[test]
fn every_mode_in_either_order() {
    let modes = [
        (0, "|i1", "|i1"),
        (1, "<i2", ">i2"),
        (2, "<f4", ">f4"),
        (3, "[('real', '<i2'), ('imag', '<i2')]", "[('real', '>i2'), ('imag', '>i2')]"),
        (4, "<c8", ">c8"),
        (6, "<u2", ">u2"),
        (12, "<f2", ">f2"),
    ];
    for (mode, little, big) in modes {
        let wanted = |dtype: &str| format!(r#"{dtype} at 1024 [2, 3, 4] ["z", "y", "x"]"#);
        assert_eq!(shown(&file(ByteOrder::Little, &[(3, mode)])), wanted(little));
        assert_eq!(shown(&file(ByteOrder::Big, &[(3, mode)])), wanted(big));
    }
}

#[test]
fn images_stacks_and_axes() {
    assert_eq!(shown(&file(ByteOrder::Little, &[(2, 1), (22, 0)])), r#"<f4 at 1024 [3, 4] ["y", "x"]"#);
    assert_eq!(shown(&file(ByteOrder::Little, &[(2, 1)])), r#"<f4 at 1024 [1, 3, 4] ["z", "y", "x"]"#);
    let stack = file(ByteOrder::Little, &[(9, 1), (22, 401)]);
    assert_eq!(shown(&stack), r#"<f4 at 1024 [2, 1, 3, 4] ["volume", "z", "y", "x"]"#);
    let turned = file(ByteOrder::Little, &[(16, 3), (17, 1), (18, 2), (23, 96)]);
    assert_eq!(shown(&turned), r#"<f4 at 1120 [2, 3, 4] ["y", "x", "z"]"#);
    assert_eq!(shown(&file(ByteOrder::Little, &[(18, 0)])), r#"<f4 at 1024 [2, 3, 4] ["z", "y", "x"]"#);
}

#[test]
fn old_files_without_a_stamp() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let mut bytes = file(order, &[(3, 1)]);
        assert!(Mrc.knows(&bytes[..512]));
        bytes[208..216].fill(0);
        assert!(!Mrc.knows(&bytes[..512]));
        let wanted = if order == ByteOrder::Big { ">i2" } else { "<i2" };
        assert_eq!(parse(&bytes).unwrap().dtype.to_string(), wanted);
    }
}

#[test]
fn names_of_files() {
    assert_eq!((Mrc.stem("a.MRC"), Mrc.stem("a.rec"), Mrc.stem("a.REC")), (Some("a"), Some("a"), None));
    assert_eq!((Mrc.stem(".map"), Mrc.stem("map")), (Some(".map"), None));
}

#[test]
fn refused_data_of_another_format() {
    struct Beside;
    impl Siblings for Beside {
        fn sibling(&self, _name: &str, _limit: usize) -> io::Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn sibling_len(&self, name: &str) -> io::Result<Option<u64>> {
            Ok((name == "a.par").then_some(1))
        }
    }
    says(&Mrc.parse("a.rec", &Bytes(&[0; 2000]), &Beside).unwrap_err(), &["a.par describes"]);
    Mrc.parse("a.rec", &Bytes(&file(ByteOrder::Big, &[])), &Beside).unwrap();
}

#[test]
fn refused_header_cut_off() {
    says(&parse(&[0; 1023]).unwrap_err(), &["ends within its MRC header"]);
}

#[test]
fn refused_another_kind_of_file() {
    says(&parse(&[0; 2000]).unwrap_err(), &["no machine stamp"]);
}

#[test]
fn refused_modes() {
    refused(&[(3, 101)], &["4 bits", "mode 0 or 6"]);
    refused(&[(3, 5)], &["mode 5"]);
}

#[test]
fn refused_shapes() {
    refused(&[(0, -1)], &["NX = -1"]);
    refused(&[(23, -1)], &["NSYMBT = -1"]);
    refused(&[(9, 0), (22, 401)], &["2 sections, 0 in each"]);
    refused(&[(9, 3), (22, 401)], &["2 sections, 3 in each"]);
    refused(&[(0, i32::MAX), (1, i32::MAX), (2, i32::MAX)], &["cannot be"]);
}

#[test]
fn refused_truncated_data() {
    refused(&[(2, 5)], &["truncated"]);
    refused(&[(23, 2000)], &["truncated"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        words in prop::collection::vec((0..256_usize, any::<i32>()), 0..6),
        small in prop::collection::vec((0..60_usize, -2..500), 0..6),
    ) {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let bytes = file(order, &[&words[..], &small].concat());
            if let Ok(array) = parse(&bytes) {
                let layout = array.grid.single().unwrap();
                prop_assert!(layout.count() == 0 || layout.extent().end <= bytes.len() as u64);
                prop_assert_eq!(array.dims.len(), layout.shape.len());
            }
        }
    }
}
