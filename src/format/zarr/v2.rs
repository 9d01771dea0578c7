//! `.zarray`, the metadata of version 2.
//!
//! | key                   | what                                                                     |
//! |-----------------------|--------------------------------------------------------------------------|
//! | `zarr_format`         | 2                                                                        |
//! | `shape`, `chunks`     | the lengths of the axes of the array, and of a chunk                     |
//! | `dtype`               | the type, as NumPy's `dtype.descr`: a string, or a list of fields        |
//! | `order`               | `C` or `F`: the order of the elements in a chunk                         |
//! | `filters`             | null, or a list of codecs, applied first to last                         |
//! | `compressor`          | null, or the codec that is applied after them                            |
//! | `fill_value`          | see `fill`                                                               |
//! | `dimension_separator` | `.`, also where it is left out, or `/`                                   |
//!
//! A codec is an object that says which in `id`, its parameters beside it. Here it gets the name that version 3 has for
//! it, `numcodecs.blosc` for `blosc`: under the short names version 3 has codecs with other parameters, or with another
//! place for the checksum (`crc32c`).
//!
//! As in zarr-python, `order`, `filters` and `fill_value` may be left out, and mean `C` and null.

use serde_json::{Map, Value};

use super::element::Element;
use super::{
    ATTRIBUTES, Extension, Keys, MAX_METADATA, Metadata, NUMCODECS, chunk_lengths, damaged, fill, json, lengths,
    missing,
};
use crate::dtype::{DType, DTypeError};
use crate::format::Refusal;
use crate::source::Siblings;

/// The attribute in which xarray keeps the names of the axes.
const DIMENSIONS: &str = "_ARRAY_DIMENSIONS";

pub(super) fn metadata(object: &Map<String, Value>, siblings: &dyn Siblings) -> Result<Metadata, Refusal> {
    let get = |key: &str| object.get(key).ok_or_else(|| missing(key));
    if get("zarr_format")?.as_u64() != Some(2) {
        return Err(damaged("are not of version 2, as those in .zarray are"));
    }
    let shape = lengths(get("shape")?, "a shape")?;
    let chunk = chunk_lengths(get("chunks")?, &shape)?;
    let codecs = codecs(object.get("filters").unwrap_or(&Value::Null), get("compressor")?)?;
    let dtype = DType::from_json(get("dtype")?).map_err(|error| match error {
        DTypeError::Object => super::variable("Python objects"),
        error => Refusal(format!("the dtype in its metadata cannot be served: {error}")),
    })?;
    let axes = match object.get("order").map_or(Some("C"), Value::as_str) {
        Some("C") => (0..shape.len()).collect(),
        Some("F") => (0..shape.len()).rev().collect(),
        _ => return Err(damaged("give an order that is neither C nor F")),
    };
    let separator = match object.get("dimension_separator") {
        None | Some(Value::Null) => '.',
        Some(Value::String(text)) if text == "." => '.',
        Some(Value::String(text)) if text == "/" => '/',
        Some(_) => return Err(damaged("give a dimension_separator that is neither . nor /")),
    };
    let attributes = attributes(siblings)?;
    let named = attributes.get(DIMENSIONS).and_then(Value::as_array).filter(|names| names.len() == shape.len());
    let dims = named.and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    let element = Element::numpy(dtype);
    Ok(Metadata {
        fill: fill::bytes(object.get("fill_value").unwrap_or(&Value::Null), &element)?,
        dtype: element.dtype,
        element: None,
        shape,
        chunk,
        axes,
        codecs,
        keys: Keys { prefix: "", separator },
        dims: dims.unwrap_or_default(),
        attributes,
    })
}

/// Filters and compressor, in the order in which they were applied.
fn codecs(filters: &Value, compressor: &Value) -> Result<Vec<Extension>, Refusal> {
    let filters = match filters {
        Value::Null => &[],
        Value::Array(filters) => &filters[..],
        _ => return Err(damaged("give filters that are no list")),
    };
    let compressor = Some(compressor).filter(|compressor| !compressor.is_null());
    filters.iter().chain(compressor).map(codec).collect()
}

fn codec(value: &Value) -> Result<Extension, Refusal> {
    let mut configuration = value.as_object().cloned().unwrap_or_default();
    match configuration.shift_remove("id") {
        Some(Value::String(id)) => Ok(Extension { name: format!("{NUMCODECS}{id}"), configuration }),
        _ => Err(damaged("name a filter or compressor without an id")),
    }
}

/// The user's attributes; none where there is no file of them, or one that is too long.
fn attributes(siblings: &dyn Siblings) -> Result<Map<String, Value>, Refusal> {
    let blame = |why: &str| Refusal(format!("its attributes in {ATTRIBUTES} {why}; correct or remove that file"));
    let unreadable = |error: std::io::Error| blame(&format!("cannot be read ({error})"));
    if siblings.sibling_len(ATTRIBUTES).map_err(unreadable)?.is_some_and(|len| len > MAX_METADATA as u64) {
        return Ok(Map::new());
    }
    match siblings.sibling(ATTRIBUTES, MAX_METADATA).map_err(unreadable)? {
        Some(bytes) => json(&bytes).map_err(|why| blame(&why)),
        None => Ok(Map::new()),
    }
}
