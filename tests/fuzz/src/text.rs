//! Texts of slices: any bytes are read, or refused, alike in one piece and in many; what is read has a text that leads back to it.

use std::sync::Arc;

use afbfs::dtype::DType;
use afbfs::form::{Face, Form, Slice, Text};
use serde_json::Map;

use crate::memory::within;

const TYPES: &[(&str, Option<&str>)] = &[
    ("<i4", None),
    (">u8", None),
    ("?", None),
    ("<f4", None),
    (">f8", None),
    ("<c16", None),
    ("<f16", None),
    ("V2", Some("bf16")),
    ("V1", Some("f8_e8m0")),
    ("V4", Some("ibm32")),
    ("V3", Some("i3")),
    ("V3", None),
    ("S4", None),
    (">U3", None),
    ("<M8[ms]", None),
    ("<M8[7D]", None),
    ("<m8", None),
    ("[('a b', '<i2'), ('c,', 'S3'), ('d', '<f4', (2,))]", None),
];

fn face(number: usize, shape: &[u64], suffix: &str) -> Option<Arc<Text>> {
    let (dtype, element) = TYPES[number % TYPES.len()];
    let (dtype, attributes) = (DType::parse(dtype).expect("a type"), Map::new());
    let slice = Slice { dtype: &dtype, element, shape, is_fortran: false, file: None, attributes: &attributes };
    match Form::of_suffix(suffix)?.face(&slice)? {
        Face::Text(text) => Some(Arc::new(text)),
        _ => None,
    }
}

fn read(text: &Arc<Text>, bytes: &[u8], piece: usize, elements: &mut Vec<u8>) -> Result<(), String> {
    let mut reader = text.reader(false, text.count());
    let outcome = bytes.chunks(piece).try_for_each(|piece| reader.feed(piece, elements));
    outcome.and_then(|()| reader.finish(elements)).map_err(|bad| format!("{bad:?}"))
}

pub(crate) fn target(data: &[u8]) {
    let Some((&[number, kind, piece], data)) = data.split_first_chunk::<3>() else { return };
    let shapes: [&[u64]; 4] = [&[], &[3], &[2, 2], &[0]];
    let suffix = ["txt", "csv", "json"][usize::from(kind % 3)];
    let Some(text) = face(number.into(), shapes[usize::from(kind / 3 % 4)], suffix) else { return };
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let outcome =
        within(1 << 20 | 64 * data.len() as u64, "Reader::feed", || read(&text, data, usize::MAX, &mut whole));
    assert_eq!(read(&text, data, usize::from(piece).max(1), &mut pieces), outcome);
    if outcome.is_err() {
        return;
    }
    assert_eq!(pieces, whole);
    let written = |elements: &[u8]| {
        let mut out = text.head();
        text.render(0..text.count(), elements, &mut out);
        assert_eq!(out.len() as u64, text.len());
        out
    };
    let shown = written(&whole);
    let mut again = Vec::new();
    read(&text, &shown, usize::MAX, &mut again).expect("our own text");
    assert_eq!(written(&again), shown);
    let mut now = whole.clone();
    text.merge(&again, &mut now);
    assert_eq!(now, whole);
}
