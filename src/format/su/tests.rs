//! Traces in both orders, and each file that is refused.
use proptest::prelude::*;

use super::*;
use crate::format::header::tests::{Bytes, is_within, shown};

fn file(traces: usize, samples: u16, encode: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mut trace = vec![0; 240 + 4 * usize::from(samples)];
    trace[114..116].copy_from_slice(&encode(samples));
    trace[116..118].copy_from_slice(&encode(4000));
    trace.repeat(traces)
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&Su, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    crate::format::header::tests::refused(&Su, bytes, parts);
}

#[test]
fn both_orders() {
    for (encode, dtype) in [(u16::to_le_bytes as fn(u16) -> [u8; 2], "<f4"), (u16::to_be_bytes, ">f4")] {
        let container = parse(&file(3, 5, encode)).unwrap();
        assert_eq!(shown(&container, "data"), format!("{dtype} at 240 [3, 5] [260, 4]"));
        assert_eq!(container.attributes["interval"], 4000);
    }
}

#[test]
fn refused_short() {
    refused(&[0; 239], &["shorter than the header of a trace"]);
}

#[test]
fn refused_where_nothing_fits() {
    let bytes = file(3, 5, u16::to_le_bytes);
    refused(&bytes[..bytes.len() - 1], &["in neither byte order", "different lengths"]);
    refused(&[0; 480], &["in neither byte order"]);
    let mut bytes = bytes;
    bytes[520 + 114] = 6;
    refused(&bytes, &["in neither byte order"]);
}

#[test]
fn refused_traces_of_different_lengths() {
    let mut bytes = file(3, 5, u16::to_le_bytes);
    bytes[260 + 114] = 6;
    refused(&bytes, &["first trace claims 5 samples and trace 1 claims 6"]);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(mut bytes in prop::collection::vec(any::<u8>(), 0..600), samples in 0..50_u8) {
        if bytes.len() > 116 {
            bytes[114..116].copy_from_slice(&[samples, 0]);
        }
        if let Ok(container) = parse(&bytes) {
            prop_assert!(is_within(&container, bytes.len() as u64));
        }
    }
}
