//! Headers of both kinds, places of samples, and each header that is refused.
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::header::tests::{Bytes, member, shown};

/// A signal: label, samples in a record.
type Spec<'a> = (&'a str, u64);

fn padded(text: impl ToString, length: usize) -> Vec<u8> {
    let mut bytes = text.to_string().into_bytes();
    bytes.resize(length, b' ');
    bytes
}

fn header(version: &[u8; 8], records: i64, signals: &[Spec]) -> Vec<u8> {
    let mut bytes = version.to_vec();
    for (text, length) in [("X X X X", 80), ("Startdate X", 80), ("02.01.26", 8), ("03.04.05", 8)] {
        bytes.extend(padded(text, length));
    }
    bytes.extend(padded(HEADER as usize * (signals.len() + 1), 8));
    bytes.extend(padded("EDF+C", 44));
    bytes.extend([padded(records, 8), padded("0.5", 8), padded(signals.len(), 4)].concat());
    bytes.extend(signals.iter().flat_map(|(label, _)| padded(label, 16)));
    for (text, length) in
        [("AgCl", 80), ("uV", 8), ("-100", 8), ("100.5", 8), ("-2048", 8), ("2047", 8), ("HP:0.1Hz", 80)]
    {
        bytes.extend(padded(text, length).repeat(signals.len()));
    }
    bytes.extend(signals.iter().flat_map(|(_, samples)| padded(samples, 8)));
    bytes.extend(padded("", 32).repeat(signals.len()));
    bytes
}

/// A header and so many bytes behind it.
fn file(version: &[u8; 8], records: i64, signals: &[Spec], data: usize) -> Vec<u8> {
    let mut bytes = header(version, records, signals);
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    crate::format::header::tests::parse(&Edf, &Bytes(bytes))
}

fn refused(bytes: &[u8], parts: &[&str]) {
    crate::format::header::tests::refused(&Edf, bytes, parts);
}

/// The offsets of all elements.
fn offsets(array: &Array) -> Vec<i64> {
    (0..array.grid.shape()[0]).map(|i| array.grid.spot(&[i], Some(0)).offset).collect()
}

#[test]
fn signals_of_different_rates() {
    let container = parse(&file(EDF, 3, &[("EEG", 2), ("ECG", 1)], 18)).unwrap();
    let (eeg, ecg) = (member(&container, "EEG").unwrap(), member(&container, "ECG").unwrap());
    assert_eq!((eeg.dtype.to_string(), eeg.element), ("<i2".into(), None));
    assert_eq!(offsets(eeg), [768, 770, 774, 776, 780, 782]);
    assert_eq!(offsets(ecg), [772, 778, 784]);
    let wanted = json!({
        "unit": "uV", "transducer": "AgCl", "prefilter": "HP:0.1Hz", "rate": 4.0, "physical_min": -100.0,
        "physical_max": 100.5, "digital_min": -2048.0, "digital_max": 2047.0, "scale": 200.5 / 4095.0,
        "offset": -100.0 + 2048.0 * (200.5 / 4095.0),
    });
    assert_eq!(json!(eeg.attributes), wanted);
    let wanted = json!({
        "patient": "X X X X", "recording": "Startdate X", "start_date": "02.01.26", "start_time": "03.04.05",
        "variant": "EDF+C", "records": 3, "record_duration": 0.5,
    });
    assert_eq!(json!(container.attributes), wanted);
}

#[test]
fn samples_of_three_bytes() {
    let container = parse(&file(BDF, 2, &[("A1", 2), ("A2", 1)], 18)).unwrap();
    let found = member(&container, "A1").unwrap();
    assert_eq!((found.dtype.to_string(), found.element), ("|V3".into(), Some("i3")));
    assert_eq!(offsets(found), [768, 771, 777, 780]);
}

#[test]
fn one_signal_is_contiguous() {
    let container = parse(&file(EDF, 3, &[("a", 2)], 12)).unwrap();
    assert_eq!(shown(&container, "a"), "<i2 at 512 [6] [2]");
}

#[test]
fn annotations_are_rows_of_bytes() {
    let container = parse(&file(EDF, 2, &[("a", 1), ("EDF Annotations", 3)], 16)).unwrap();
    assert_eq!(shown(&container, "EDF Annotations"), "|u1 at 770 [2, 6] [8, 1]");
    let container = parse(&file(BDF, 2, &[("a", 1), ("BDF Annotations", 3)], 24)).unwrap();
    assert_eq!(shown(&container, "BDF Annotations"), "|u1 at 771 [2, 9] [12, 1]");
}

#[test]
fn names_that_stand_twice_get_a_number() {
    let container = parse(&file(EDF, 0, &[("a", 1), ("a-2", 1), ("a", 1), ("a", 1), ("", 1)], 0)).unwrap();
    let names: Vec<_> = container.members.iter().map(|member| &member.path[0][..]).collect();
    assert_eq!(names, ["a", "a-2", "a-3", "a-4", "signal-5"]);
}

#[test]
fn records_that_are_being_written_are_counted() {
    let container = parse(&file(EDF, -1, &[("a", 2), ("b", 1)], 17)).unwrap();
    assert_eq!(member(&container, "a").unwrap().grid.shape(), [4]);
    assert_eq!(container.attributes["records"], 2);
}

#[test]
fn no_samples() {
    let container = parse(&file(EDF, 2, &[("a", 0), ("b", 1)], 4)).unwrap();
    assert_eq!(shown(&container, "a"), "<i2 at 768 [0] [2]");
    assert_eq!(shown(&container, "b"), "<i2 at 768 [2] [2]");
    let container = parse(&file(EDF, 99_999_999, &[("a", 0)], 0)).unwrap();
    assert_eq!(shown(&container, "a"), "<i2 at 512 [0] [2]");
}

#[test]
fn known_by_content() {
    assert!(Edf.knows(&header(EDF, 1, &[("a", 1)])) && Edf.knows(BDF));
    assert!(!Edf.knows(EDF) && !Edf.knows(&[b' '; 512]) && !Edf.knows(b""));
}

#[test]
fn refused_other_kinds() {
    refused(b"{ HeaderID = EH:000001", &["neither", "another kind"]);
    refused(b"0    ", &["ends within its EDF header"]);
}

#[test]
fn refused_truncated_header() {
    let bytes = header(EDF, 1, &[("a", 1)]);
    for length in [8, 100, 255, 256, 479] {
        refused(&bytes[..length], &["ends within its EDF header"]);
    }
}

#[test]
fn refused_truncated() {
    refused(&file(EDF, 3, &[("a", 2)], 11), &["claims 3 records of 4 bytes, the file holds only 2", "truncated"]);
}

#[test]
fn refused_numbers() {
    let bytes = header(EDF, 1, &[("a", 1)]);
    let with = |at: usize, text: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + text.len()].copy_from_slice(text);
        bytes
    };
    refused(&with(252, b"x"), &["'x' in the place of a number of signals"]);
    refused(&with(252, b"0"), &["claims 0 signals"]);
    refused(&with(184, b"x"), &["in the place of a length of the header"]);
    refused(&with(184, b"511"), &["claims a length of '511', and 1 signals make it 512"]);
    refused(&with(236, b"x"), &["in the place of a number of records"]);
    refused(&with(236, b"-2"), &["claims -2 records"]);
    refused(&with(256 + 216, b"1.5"), &["'1.5' in the place of a number of samples"]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        version in prop::sample::select(vec![EDF, BDF]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789- x\0\xff".to_vec())), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file(version, 3, &[("a", 2), ("b", 1), ("EDF Annotations", 3)], 60);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(container) = parse(&bytes) {
            for array in container.members.iter().filter_map(|member| member.found.as_ref().ok()) {
                let last: Vec<u64> = array.grid.shape().iter().map(|&length| length.wrapping_sub(1)).collect();
                if !array.grid.shape().contains(&0) {
                    let end = array.grid.spot(&last, None).offset as u64 + array.grid.itemsize();
                    prop_assert!(end <= bytes.len() as u64);
                }
            }
        }
    }
}
