//! Element types: texts, Python literals, JSON, and the way back from each; also the descriptions of raw files, which
//! hold types.

use afbfs::dtype::literal::Literal;
use afbfs::dtype::{DType, MAX_ITEMSIZE};
use afbfs::format::raw::Spec;
use serde_json::Value;

use crate::memory::within;

pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let limit = (1 << 20) + 512 * text.len() as u64;
    let parsed = within(limit, "DType::parse", || DType::parse(&text));
    parsed.iter().for_each(round_trip);
    let literal = within(limit, "Literal::parse", || Literal::parse(&text));
    if let Ok(dtype) = literal.map_err(Into::into).and_then(|literal| DType::from_descr(&literal)) {
        round_trip(&dtype);
    }
    if let Ok(dtype) = serde_json::from_str::<Value>(&text).map(|value| DType::from_json(&value)) {
        dtype.iter().for_each(round_trip);
    }
    let spec = within(limit, "Spec::parse", || Spec::parse(&text));
    spec.iter().for_each(|spec| round_trip(&spec.dtype));
}

/// What is written of a type is read as the same type; its parts lie within it.
pub(crate) fn round_trip(dtype: &DType) {
    parts(dtype);
    let (text, json) = (dtype.to_string(), dtype.to_json());
    // NumPy writes a field without a name like padding.
    if !has_unnamed(dtype) {
        assert_eq!(DType::parse(&text).as_ref(), Ok(dtype), "{text}");
        assert_eq!(DType::from_json(&json).as_ref(), Ok(dtype), "{json}");
    }
}

fn has_unnamed(dtype: &DType) -> bool {
    match dtype {
        DType::Scalar(_) => false,
        DType::Record(record) => record.fields().iter().any(|field| field.name.is_empty() || has_unnamed(&field.dtype)),
    }
}

fn parts(dtype: &DType) {
    assert!(dtype.itemsize() <= MAX_ITEMSIZE);
    let mut end = 0;
    for name in dtype.part_names() {
        let part = dtype.part(name).unwrap_or_else(|| panic!("{dtype} has no part {name:?}"));
        assert!(part.offset >= end, "{name:?} of {dtype} overlaps another");
        end = part.offset + part.shape.iter().product::<u64>() * part.dtype.itemsize();
        assert!(end <= dtype.itemsize(), "{name:?} reaches beyond {dtype}");
        parts(&part.dtype);
    }
}
