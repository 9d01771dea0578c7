//! `zarr.json`, the metadata of version 3.
//!
//! | key                    | what                                                                         |
//! |------------------------|------------------------------------------------------------------------------|
//! | `zarr_format`          | 3                                                                            |
//! | `node_type`            | `array`; a `group` holds arrays                                              |
//! | `shape`                | the length of each axis                                                      |
//! | `data_type`            | see `element`                                                                |
//! | `chunk_grid`           | `regular`: `chunk_shape`, the length of each axis of a chunk                 |
//! | `chunk_key_encoding`   | `default` (`c/0/1`) or `v2` (`0.1`), each with a `separator`, `/` or `.`      |
//! | `fill_value`           | see `fill`                                                                   |
//! | `codecs`               | a list, applied first to last                                                |
//! | `attributes`           | the user's, optional                                                         |
//! | `dimension_names`      | a list of strings and nulls, optional                                        |
//! | `storage_transformers` | a list, optional; none is known                                              |
//!
//! What may be extended is an object with a `name` and perhaps a `configuration`, or just the name.
//!
//! A list of codecs has any number that turn arrays into arrays, one that turns an array into bytes, and any number
//! that turn bytes into bytes. The one may be `sharding_indexed`, which has such a list of its own for the chunks in a
//! shard: their byte order is that of the elements. Two kinds say where elements lie and do nothing else. `transpose` with `order` makes
//! axis `order[i]` of its input the axis `i` of its output; early writers wrote `"C"` (no change) and `"F"` (all axes
//! reversed). `bytes`, early on `endian`, writes the elements in C order, in the byte order `endian`, which may be left
//! out where an element has only one, and means `little` if it is left out nevertheless.

use serde_json::{Map, Value};

use super::element::Element;
use super::{Extension, Keys, Metadata, SHARDING, chunk_lengths, damaged, fill, lengths, missing, plain};
use crate::dtype::ByteOrder;
use crate::format::Refusal;
use crate::layout::is_permutation;

/// All keys of the metadata of an array.
const KNOWN: &[&str] = &[
    "zarr_format",
    "node_type",
    "shape",
    "data_type",
    "chunk_grid",
    "chunk_key_encoding",
    "fill_value",
    "codecs",
    "attributes",
    "dimension_names",
    "storage_transformers",
];

/// Whether the metadata are those of a group.
pub(super) fn is_group(object: &Map<String, Value>) -> bool {
    object.get("node_type").is_some_and(|node_type| node_type == "group")
}

pub(super) fn metadata(object: &Map<String, Value>) -> Result<Metadata, Refusal> {
    let get = |key: &str| object.get(key).ok_or_else(|| missing(key));
    if is_group(object) {
        return Err(Refusal("describes a Zarr group, which holds arrays and is none; look into its folders".into()));
    }
    if get("zarr_format")?.as_u64() != Some(3) {
        return Err(damaged("are not of version 3, as those in zarr.json are"));
    }
    if get("node_type")? != "array" {
        return Err(damaged("give a node_type that is neither array nor group"));
    }
    only_known(object)?;
    let shape = lengths(get("shape")?, "a shape")?;
    let grid = Extension::parse(get("chunk_grid")?, "a chunk grid")?;
    if grid.name != "regular" {
        return Err(Refusal(format!(
            "its chunks form a {} grid, and only chunks of one shape are served; write it again with a regular grid",
            plain(&grid.name)
        )));
    }
    let chunk = chunk_lengths(grid.configuration.get("chunk_shape").unwrap_or(&Value::Null), &shape)?;
    let Pipeline { axes, order, codecs } = Pipeline::parse(get("codecs")?, shape.len())?;
    let element = Element::parse(get("data_type")?, order)?;
    Ok(Metadata {
        fill: fill::bytes(get("fill_value")?, &element)?,
        element: element.name(),
        dtype: element.dtype,
        chunk,
        axes,
        codecs,
        keys: keys(&Extension::parse(get("chunk_key_encoding")?, "an encoding of chunk keys")?)?,
        dims: dimension_names(object.get("dimension_names"), shape.len())?,
        attributes: attributes(object.get("attributes"))?,
        shape,
    })
}

/// Refuses what would have to be understood and is not.
fn only_known(object: &Map<String, Value>) -> Result<(), Refusal> {
    let ignorable = |value: &Value| value.get("must_understand") == Some(&Value::Bool(false));
    let unknown = object.iter().find(|(key, value)| !KNOWN.contains(&key.as_str()) && !ignorable(value));
    if let Some((key, _)) = unknown {
        return Err(Refusal(format!(
            "its metadata have the field {}, which must be understood to read it and is not known here; \
             write it again without that extension",
            plain(key)
        )));
    }
    match object.get("storage_transformers") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(list)) => match list.first() {
            None => Ok(()),
            Some(first) => Err(Refusal(format!(
                "its files are rearranged by the storage transformer {}; write it again without",
                plain(&Extension::parse(first, "a storage transformer")?.name)
            ))),
        },
        Some(_) => Err(damaged("give storage_transformers that are no list")),
    }
}

/// What the codecs say about where elements lie, and those that do more.
pub(crate) struct Pipeline {
    /// The axes of a chunk, from the slowest to the fastest.
    pub(crate) axes: Vec<usize>,
    /// The byte order of the elements.
    pub(crate) order: ByteOrder,
    /// What else was done to a chunk, first thing first.
    pub(crate) codecs: Vec<Extension>,
}

impl Pipeline {
    /// The codecs of chunks with so many axes.
    pub(crate) fn parse(value: &Value, ndim: usize) -> Result<Pipeline, Refusal> {
        let list = value.as_array().ok_or_else(|| damaged("give codecs that are no list"))?;
        let codecs = list.iter().map(|codec| Extension::parse(codec, "a codec")).collect::<Result<Vec<_>, _>>()?;
        let mut codecs = codecs.into_iter().peekable();
        let mut axes: Vec<usize> = (0..ndim).collect();
        while let Some(transpose) = codecs.next_if(|codec| codec.name == "transpose") {
            axes = transposed(&axes, transpose.configuration.get("order"))?;
        }
        let bytes = codecs.next_if(|codec| matches!(codec.name.as_str(), "bytes" | "endian"));
        let mut order = match bytes.as_ref().and_then(|codec| codec.configuration.get("endian")) {
            None | Some(Value::Null) => ByteOrder::Little,
            Some(Value::String(order)) if order == "little" => ByteOrder::Little,
            Some(Value::String(order)) if order == "big" => ByteOrder::Big,
            Some(_) => return Err(damaged("give an endian that is neither little nor big")),
        };
        let codecs: Vec<Extension> = codecs.collect();
        if bytes.is_none()
            && let Some(Extension { name, configuration }) = codecs.first()
            && name == SHARDING
        {
            // JSON nests no deeper than its parser allows, and so do shards.
            let inner = configuration.get("codecs").ok_or_else(|| damaged("have shards without codecs"))?;
            order = Pipeline::parse(inner, ndim)?.order;
        }
        if bytes.is_none() && codecs.first().is_none_or(|codec| codec.name == "crc32c") {
            return Err(damaged("have no codec that makes bytes of elements"));
        }
        Ok(Pipeline { axes, order, codecs })
    }
}

/// The axes, from the slowest to the fastest, behind one more `transpose`.
fn transposed(axes: &[usize], order: Option<&Value>) -> Result<Vec<usize>, Refusal> {
    match order {
        Some(Value::String(order)) if order == "C" => return Ok(axes.to_vec()),
        Some(Value::String(order)) if order == "F" => return Ok(axes.iter().rev().copied().collect()),
        _ => {}
    }
    let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
    let order = order.and_then(Value::as_array).and_then(|list| list.iter().map(number).collect::<Option<Vec<_>>>());
    match order {
        Some(order) if is_permutation(&order, axes.len()) => Ok(order.iter().map(|&axis| axes[axis]).collect()),
        _ => Err(damaged("transpose chunks in an order that does not name each axis once")),
    }
}

/// How chunk files are named.
fn keys(encoding: &Extension) -> Result<Keys, Refusal> {
    let (prefix, default) = match encoding.name.as_str() {
        "default" => ("c", '/'),
        "v2" => ("", '.'),
        other => {
            return Err(Refusal(format!(
                "its chunk files are named by the rule {}, which is not known here; write it again with default",
                plain(other)
            )));
        }
    };
    let separator = match encoding.configuration.get("separator") {
        None | Some(Value::Null) => default,
        Some(Value::String(text)) if text == "." => '.',
        Some(Value::String(text)) if text == "/" => '/',
        Some(_) => return Err(damaged("give a separator of chunk keys that is neither . nor /")),
    };
    Ok(Keys { prefix, separator })
}

/// The names of the axes: none, or one for each, empty where it has no name.
fn dimension_names(value: Option<&Value>, ndim: usize) -> Result<Vec<String>, Refusal> {
    let names = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(names)) if names.len() == ndim => names,
        Some(_) => return Err(damaged("give dimension_names that are no list of one for each axis")),
    };
    let name = |value: &Value| match value {
        Value::Null => Ok(String::new()),
        Value::String(name) => Ok(name.clone()),
        _ => Err(damaged("give a dimension a name that is no string")),
    };
    let names = names.iter().map(name).collect::<Result<Vec<_>, _>>()?;
    Ok(if names.iter().all(String::is_empty) { Vec::new() } else { names })
}

fn attributes(value: Option<&Value>) -> Result<Map<String, Value>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(attributes)) => Ok(attributes.clone()),
        Some(_) => Err(damaged("give attributes that are no object")),
    }
}
