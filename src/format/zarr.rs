//! Zarr arrays, version 2 and 3: folders of chunk files and one file that describes them.
//!
//! Specifications: "Zarr storage specification version 2" and "Zarr core specification" (version 3.1), with the
//! registered extensions of version 3, all at <https://zarr-specs.readthedocs.io>; where they leave a choice, the
//! reading of zarr-python 3. An array is a folder that holds a file of JSON, and the chunks:
//!
//! | file             | version | what                                                              |
//! |------------------|---------|-------------------------------------------------------------------|
//! | `.zarray`        | 2       | shape, shape of a chunk, element type, codecs, fill value         |
//! | `.zattrs`        | 2       | attributes; `_ARRAY_DIMENSIONS` among them names the axes         |
//! | `zarr.json`      | 3       | all of this, if its `node_type` is `array`                        |
//! | `0.1` or `0/1`   | 2       | the chunk at index (0, 1) of the grid of chunks                   |
//! | `c/0/1` or `c.0.1` | 3     | the same; or named as in version 2                                |
//!
//! The format parses `.zarray` or `zarr.json`; the folder around it is the array. Every chunk is stored whole, also at
//! the far edges, its elements packed in C order, Fortran order (`order` in version 2), or any other order of its axes
//! (the codec `transpose` in version 3). A chunk that has no file was never written and reads as the fill value.
//!
//! The elements of a chunk can be shown where they lie only if nothing was done to their bytes. What was done is a list
//! of codecs:
//!
//! - none: served;
//! - `crc32c`, a checksum of 4 bytes behind the elements: served, read-only, since a write would have to amend it;
//! - compressors, filters, shards: refused. A shard holds many chunks and a table of their places, and all these
//!   tables, one in each file, would have to be read before the first element could be found.
//!
//! Limits, and why:
//!
//! - Metadata of at most [`MAX_METADATA`] bytes; real ones have some hundreds. Attributes of more than
//!   [`MAX_ATTRIBUTES`] bytes of JSON are left out: they are kept in memory for every array.
//! - Fields of version 3 that are not known here are refused unless they say `"must_understand": false`, as the
//!   specification demands. In version 2 they are ignored.
//! - Elements of variable length, and Python objects, have no place of their own in a chunk.
//! - Chunks of one shape only (the chunk grid `regular`).
//! - Whether the chunks are there, and as long as they should be, is not looked at here: there may be millions.
//!
//! Python writes `NaN`, `Infinity` and `-Infinity` into JSON, which has no such words; they are read as the strings
//! that Zarr has for them.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::{Array, Content, Files, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{LayoutError, MAX_NDIM};
use crate::source::{ReadAt, Siblings};

mod chunks;
mod element;
mod fill;
pub mod new;
#[cfg(test)]
mod tests;
mod v2;
mod v3;

use chunks::{Chunks, Keys};
pub(crate) use fill::{element_bytes, is_nothing as is_zeros};
pub(crate) use v3::Pipeline;

/// The names of the files that describe the folder in which they lie. Where there are both, the first holds, as in
/// zarr-python.
pub const METADATA: &[&str] = &[V3, V2];

/// The file that describes an array of version 2.
const V2: &str = ".zarray";

/// The file that describes an array, or a group, of version 3.
const V3: &str = "zarr.json";

/// The file beside `.zarray` that holds the attributes.
pub const ATTRIBUTES: &str = ".zattrs";

/// The longest metadata that are read, in bytes. Parsed JSON takes some thirty times its length.
pub const MAX_METADATA: usize = 1 << 20;

/// The longest attributes that are kept, in bytes of JSON.
pub const MAX_ATTRIBUTES: usize = 64 << 10;

/// What stands in version 3 before the names of codecs that take their parameters as in version 2.
pub(crate) const NUMCODECS: &str = "numcodecs.";

/// The codec that packs many chunks into a file.
pub(crate) const SHARDING: &str = "sharding_indexed";

/// What removes codecs.
const UNPACK: &str = "`afbfs unpack` writes a plain copy";

/// The Zarr format.
#[derive(Clone, Copy, Debug)]
pub struct Zarr;

impl Format for Zarr {
    fn name(&self) -> &'static str {
        "zarr"
    }

    /// None: the array's name is the folder's.
    fn extensions(&self) -> &'static [&'static str] {
        &[]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        Metadata::read(file_name, file, siblings)?.array().map(Content::One)
    }
}

/// Whether the metadata file of this name (one of [`METADATA`]) and content describes an array, well or badly, and not
/// a group, which is a folder of arrays and other groups.
pub fn is_array(file_name: &str, content: &[u8]) -> bool {
    file_name == V2 || !json(content).is_ok_and(|object| v3::is_group(&object))
}

/// The metadata of an array, in terms that both versions share.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    /// Length of each axis, in elements.
    pub(crate) shape: Vec<u64>,
    /// Length of each axis of a chunk, never 0.
    pub(crate) chunk: Vec<u64>,
    /// Type of the elements, in the byte order in which a chunk has them once all `codecs` are undone.
    pub(crate) dtype: DType,
    /// What an element is where NumPy has no type for it.
    pub(crate) element: Option<&'static str>,
    /// The axes of such a chunk, from the slowest to the fastest.
    pub(crate) axes: Vec<usize>,
    /// What was done to such a chunk before it was stored, first thing first.
    pub(crate) codecs: Vec<Extension>,
    /// The bytes of the fill value; none at all where they are zeros.
    pub(crate) fill: Vec<u8>,
    /// How chunk files are named.
    pub(crate) keys: Keys,
    /// Names of the axes, or none.
    pub(crate) dims: Vec<String>,
    /// The user's attributes.
    pub(crate) attributes: Map<String, Value>,
}

/// A thing that metadata name, with its parameters: a codec, a chunk grid, a data type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Extension {
    /// Its name.
    pub(crate) name: String,
    /// Its parameters.
    pub(crate) configuration: Map<String, Value>,
}

impl Metadata {
    /// Reads the metadata file of this name, one of [`METADATA`].
    ///
    /// # Errors
    /// If it describes no array, or one whose elements have no fixed size. Codecs are no reason.
    pub(crate) fn read(file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Metadata, Refusal> {
        let mut metadata = match file_name {
            V2 => v2::metadata(&object(file)?, siblings)?,
            V3 => v3::metadata(&object(file)?)?,
            _ => {
                let names = METADATA.join(" or ");
                return Err(Refusal(format!("is not called {names}, as a file that describes a Zarr array is")));
            }
        };
        // Of an axis without elements, older writers gave the length as that of a chunk.
        for (chunk, &length) in metadata.chunk.iter_mut().zip(&metadata.shape) {
            if *chunk == 0 && length > 0 {
                return Err(damaged("give chunks the length 0"));
            }
            *chunk = (*chunk).max(1);
        }
        if serde_json::to_string(&metadata.attributes).is_ok_and(|text| text.len() > MAX_ATTRIBUTES) {
            metadata.attributes = Map::new();
        }
        Ok(metadata)
    }

    /// The array, if its elements can be shown where they lie.
    ///
    /// # Errors
    /// If codecs are in the way, or no such array can be.
    pub(crate) fn array(self) -> Result<Array, Refusal> {
        let checksums = self.codecs.iter().rev().take_while(|codec| codec.name == "crc32c").count();
        if checksums < self.codecs.len() {
            return Err(self.encoded());
        }
        let impossible = |error: LayoutError| damaged(&format!("claim an array that cannot be ({error})"));
        let size = self.chunk.iter().try_fold(self.dtype.itemsize(), |size, &length| size.checked_mul(length));
        let size = size.ok_or_else(|| impossible(LayoutError::Overflow))?;
        let counts = self.shape.iter().zip(&self.chunk).map(|(&length, &chunk)| length.div_ceil(chunk)).collect();
        // A file made anew would lack its checksum.
        let created_len = (checksums == 0).then_some(size);
        let chunks = Arc::new(Chunks::new(counts, self.keys, created_len));
        let grid = Grid::permuted(&self.shape, &self.chunk, self.dtype.itemsize(), &self.axes, chunks.clone());
        let read_only =
            (checksums > 0).then(|| format!("its chunks end in a CRC-32C, which a write would belie; {UNPACK}"));
        Ok(Array {
            element: self.element,
            dims: self.dims,
            fill: self.fill,
            files: Files::Beside(chunks),
            read_only,
            attributes: self.attributes,
            ..Array::new(Zarr.name(), self.dtype, grid.map_err(impossible)?)
        })
    }

    /// Why the elements cannot be shown where they lie: codecs.
    fn encoded(&self) -> Refusal {
        if let [Extension { name, configuration }, ..] = &self.codecs[..]
            && name == SHARDING
        {
            let inner = configuration.get("chunk_shape").and_then(|shape| lengths(shape, "").ok()).unwrap_or_default();
            let (inner, shard) = (by(&inner), by(&self.chunk));
            return Refusal(format!(
                "its chunks ({inner}) are packed into shards ({shard}), at places that only the shards tell; {UNPACK}"
            ));
        }
        let mut names: Vec<String> = self.codecs.iter().take(4).map(Extension::described).collect();
        if self.codecs.len() > names.len() {
            names.push("more".to_owned());
        }
        let names = names.join(", then ");
        let verb = if self.codecs.iter().all(Extension::is_compressor) { "compressed" } else { "encoded" };
        Refusal(format!("its chunks are {verb} with {names}; {UNPACK}"))
    }
}

impl Extension {
    /// A name alone, or an object with a name and perhaps a configuration.
    pub(crate) fn parse(value: &Value, what: &str) -> Result<Extension, Refusal> {
        let found = match value {
            Value::String(name) => Some((name, None)),
            Value::Object(object) => match object.get("name") {
                Some(Value::String(name)) => Some((name, object.get("configuration"))),
                _ => None,
            },
            _ => None,
        };
        let (name, configuration) = match found {
            Some((name, None | Some(Value::Null))) => (name, Map::new()),
            Some((name, Some(Value::Object(configuration)))) => (name, configuration.clone()),
            _ => return Err(damaged(&format!("do not name {what} as they must, by name and configuration"))),
        };
        Ok(Extension { name: name.clone(), configuration })
    }

    /// The name by which people know a codec.
    pub(crate) fn common_name(&self) -> &str {
        self.name.strip_prefix(NUMCODECS).unwrap_or(&self.name)
    }

    fn is_compressor(&self) -> bool {
        matches!(self.common_name(), "blosc" | "bz2" | "gzip" | "lz4" | "lzma" | "pcodec" | "zfpy" | "zlib" | "zstd")
    }

    /// Its name, and that of the compressor which Blosc drives.
    pub(crate) fn described(&self) -> String {
        match self.configuration.get("cname") {
            Some(Value::String(driven)) => format!("{} ({})", plain(self.common_name()), plain(driven)),
            _ => plain(self.common_name()),
        }
    }
}

/// A name for a message: as it is, or quoted and cut where it is no plain word.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    if !name.is_empty() && name.len() <= 60 && name.chars().all(is_plain) { name.to_owned() } else { excerpt(name) }
}

/// A shape as `3x4`.
fn by(shape: &[u64]) -> String {
    shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

fn damaged(what: &str) -> Refusal {
    Refusal(format!("its metadata {what}; they are damaged, or were not written by a Zarr library: write them again"))
}

/// Why elements without bytes of their own cannot be shown.
fn variable(what: &str) -> Refusal {
    Refusal(format!(
        "its elements are {what}, which have no place of their own in a chunk; convert it to a type of fixed length \
         and write it again"
    ))
}

fn missing(key: &str) -> Refusal {
    damaged(&format!("lack the key {key}"))
}

/// The JSON object that a file is.
fn object(file: &dyn ReadAt) -> Result<Map<String, Value>, Refusal> {
    let len = file.len();
    if len > MAX_METADATA as u64 {
        return Err(Refusal(format!(
            "its metadata are {len} bytes long, more than the {MAX_METADATA} that are read; move attributes elsewhere"
        )));
    }
    let mut bytes = vec![0; len as usize];
    let count = file.read_at(&mut bytes, 0)?;
    json(&bytes[..count]).map_err(|what| damaged(&what))
}

/// An object in JSON as Python writes it, or what is wrong with it.
fn json(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "are not UTF-8".to_owned())?;
    match serde_json::from_str(&quoted(text)) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("are no JSON object".to_owned()),
        Err(error) => Err(format!("are no JSON ({error})")),
    }
}

/// The text with Python's words for numbers that are none put in quotes.
fn quoted(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len() + 16);
    let (mut in_string, mut rest) = (false, text);
    while let Some(next) = rest.chars().next() {
        let word = WORDS.into_iter().find(|word| !in_string && rest.starts_with(word));
        let taken = match (word, next) {
            (Some(word), _) => {
                result.extend(["\"", word, "\""]);
                rest = &rest[word.len()..];
                continue;
            }
            // The byte behind a backslash ends no string; the character to which it may belong stays whole.
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, '"') => {
                in_string = !in_string;
                1
            }
            (None, other) => other.len_utf8(),
        };
        result.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Cow::Owned(result)
}

/// The lengths of axes.
fn lengths(value: &Value, what: &str) -> Result<Vec<u64>, Refusal> {
    let lengths = value.as_array().and_then(|list| list.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
    let lengths = lengths.ok_or_else(|| damaged(&format!("give {what} that is no list of lengths")))?;
    if lengths.len() > MAX_NDIM {
        let ndim = lengths.len();
        return Err(Refusal(format!(
            "its metadata claim {ndim} axes, and neither NumPy nor afbfs has more than {MAX_NDIM}; reshape the array"
        )));
    }
    Ok(lengths)
}

/// The shape of a chunk, which has an axis for each of the array's.
fn chunk_lengths(value: &Value, shape: &[u64]) -> Result<Vec<u64>, Refusal> {
    let chunk = lengths(value, "a shape of chunks")?;
    if chunk.len() != shape.len() {
        let (ndim, chunk_ndim) = (shape.len(), chunk.len());
        return Err(damaged(&format!("give the array {ndim} axes, and its chunks {chunk_ndim}")));
    }
    Ok(chunk)
}
