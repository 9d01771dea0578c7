//! `.gguf`, the models of llama.cpp: metadata, and named tensors, many of them quantised.
//!
//! Specification: `docs/gguf.md` of `ggml-org/ggml`; `gguf.cpp` there for what readers check, `ggml-common.h` for the
//! blocks of quantised types. Versions 2 and 3 are alike. Numbers are little-endian, or, in a file whose version is
//! (its low two bytes would else be 0), big-endian, the tensors included. A string is its length in 8 bytes and that
//! many bytes of UTF-8. A file is
//!
//! | bytes   | what                                                                                |
//! |---------|-------------------------------------------------------------------------------------|
//! | 4       | the magic `GGUF`, in either byte order                                              |
//! | 4       | version                                                                             |
//! | 8, 8    | number of tensors, number of keys                                                   |
//! | for each key | the key, a string; 4: type of the value; the value                             |
//! | for each tensor | its name, a string; 4: number of dimensions; 8 each: the dimensions, **fastest first** |
//! |         | 4: element type; 8: offset from the start of the data                              |
//! |         | zeros up to a multiple of the alignment: here the data start                        |
//! | rest    | the tensors, each at a multiple of the alignment                                    |
//!
//! Values are, by type from 0 on: u8, i8, u16, i16, u32, i32, f32, bool (1 byte), string, array, u64, i64, f64. An array
//! is the type of its elements in 4 bytes, their number in 8, and the elements. The alignment is the key
//! `general.alignment` (u32, a power of two), or 32.
//!
//! The shape has the dimensions in reverse, as NumPy's C order needs it. The elements of a quantised tensor lie in
//! blocks along the last axis: such an array's elements are the blocks, and its last axis is so many times shorter. A
//! block is a record, its fields those of the C struct (`d`, `qs`, ...), and `element` is the type's name
//! (`q4_K`). See `types` for all.
//!
//! Limits, and why:
//!
//! - Version 1 had shorter lengths, and its files are years gone.
//! - Metadata and list of tensors of at most [`MAX_HEADER`] bytes: the largest vocabularies take a tenth of that.
//! - Keys are attributes where they are short; arrays of more than 256 elements (vocabularies) and longer texts are
//!   passed over, and arrays nested deeper than [`MAX_NESTING`] are refused: llama.cpp refuses any that is nested.
//! - The elements of each tensor must be there; what follows them need not be, not even the last padding.

use std::collections::HashSet;

use serde_json::Value;

use crate::dtype::ByteOrder;
use crate::dtype::literal::excerpt;
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_ENTRIES, MAX_LIST, MAX_TEXT};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;
mod types;

use types::Type;

/// What every GGUF file begins with.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// The most bytes that may stand in front of the tensors.
pub const MAX_HEADER: u64 = 128 << 20;

/// The deepest nesting of arrays in the metadata.
pub const MAX_NESTING: usize = 4;

/// The alignment of tensors where no key gives it.
const ALIGNMENT: u32 = 32;

/// The key that gives it.
const ALIGNMENT_KEY: &str = "general.alignment";

/// The number of the type of texts, and that of arrays.
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The `.gguf` format.
#[derive(Clone, Copy, Debug)]
pub struct Gguf;

impl Format for Gguf {
    fn name(&self) -> &'static str {
        "gguf"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".gguf"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "GGUF", MAX_HEADER);
        let (tensors, keys) = start(&mut cursor)?;
        let (attributes, alignment) = metadata(&mut cursor, keys)?;
        let infos = (0..tensors).map(|_| info(&mut cursor)).collect::<Result<Vec<Info>, Refusal>>()?;
        let data = cursor.position().next_multiple_of(alignment);
        let members = infos.into_iter().map(|info| {
            let found = array(&info, cursor.order, data, alignment, file.len());
            Member { path: vec![info.name], found }
        });
        let members: Vec<Member> = members.collect();
        header::distinct(&members, "GGUF")?;
        if members.is_empty() {
            return Err(Refusal("it holds no tensor, only metadata (a vocabulary); there is nothing to show".into()));
        }
        Ok(Content::Many(Container { members, attributes: attributes.into_map() }))
    }
}

/// Reads magic, version and the numbers of tensors and of keys, and finds the byte order.
fn start(cursor: &mut Cursor) -> Result<(u64, u64), Refusal> {
    if cursor.array()? != *MAGIC {
        return Err(Refusal(
            "it does not begin with the magic bytes GGUF: it is a file of another kind (perhaps an older GGML one), or \
             damaged; convert it with the scripts of llama.cpp, or download it again"
                .into(),
        ));
    }
    let mut version = cursor.u32()?;
    if version & 0xffff == 0 {
        cursor.order = ByteOrder::Big;
        version = version.swap_bytes();
    }
    if !matches!(version, 2 | 3) {
        return Err(Refusal(format!(
            "it is of version {version} of GGUF, and only 2 and 3 are known; convert the model again"
        )));
    }
    let (tensors, keys) = (cursor.u64()?, cursor.u64()?);
    for (count, what) in [(tensors, "tensors"), (keys, "keys")] {
        if count > MAX_ENTRIES {
            return Err(fault(&format!(
                "its GGUF header claims {count} {what}, more than the {MAX_ENTRIES} that are read"
            )));
        }
    }
    Ok((tensors, keys))
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: download or convert it again"))
}

/// Reads the keys. Gives those that are kept, and the alignment.
fn metadata(cursor: &mut Cursor, keys: u64) -> Result<(Attributes, u64), Refusal> {
    let mut attributes = Attributes::new(MAX_ATTRIBUTES);
    let (mut alignment, mut seen) = (ALIGNMENT, HashSet::new());
    for _ in 0..keys {
        let key = string(cursor)?;
        let of = cursor.u32()?;
        if key == ALIGNMENT_KEY {
            alignment = match of {
                4 => cursor.u32()?,
                _ => return Err(fault(&format!("{ALIGNMENT_KEY} is of type {of}, and must be of type 4 (u32)"))),
            };
            if !alignment.is_power_of_two() {
                return Err(fault(&format!("{ALIGNMENT_KEY} is {alignment}, and must be a power of two")));
            }
            attributes.insert(&key, alignment.into());
        } else if let Some(value) = value(cursor, of, 0, &mut { MAX_LIST })? {
            attributes.insert(&key, value);
        }
        if let Some(twice) = seen.replace(key) {
            return Err(fault(&format!("its metadata has the key {} twice", excerpt(&twice))));
        }
    }
    Ok((attributes, u64::from(alignment)))
}

/// A text, whose length is limited by the header's.
fn string(cursor: &mut Cursor) -> Result<String, Refusal> {
    let length = cursor.u64()?;
    let bytes = cursor.bytes(length)?;
    String::from_utf8(bytes).map_err(|_| fault("its GGUF header has a key or a name that is not UTF-8"))
}

/// Reads a value, inside so many arrays, with room for so many elements of lists. Nothing where it is not kept.
fn value(cursor: &mut Cursor, of: u32, nesting: usize, room: &mut u64) -> Result<Option<Value>, Refusal> {
    Ok(Some(match of {
        0 => u8::from_le_bytes(cursor.array()?).into(),
        1 => i8::from_le_bytes(cursor.array()?).into(),
        2 => cursor.u16()?.into(),
        3 => cursor.u16()?.cast_signed().into(),
        4 => cursor.u32()?.into(),
        5 => cursor.u32()?.cast_signed().into(),
        6 => header::float(f32::from_bits(cursor.u32()?).into()),
        7 => (cursor.array()? != [0]).into(),
        STRING => return text(cursor),
        ARRAY => return list(cursor, nesting, room),
        10 => cursor.u64()?.into(),
        11 => cursor.u64()?.cast_signed().into(),
        12 => header::float(f64::from_bits(cursor.u64()?)),
        _ => return Err(unknown_value(of)),
    }))
}

fn unknown_value(of: u32) -> Refusal {
    fault(&format!("its metadata has a value of type {of}, which GGUF does not know"))
}

/// Bytes of a value that is always of the same size.
fn size(of: u32) -> Option<u64> {
    match of {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn text(cursor: &mut Cursor) -> Result<Option<Value>, Refusal> {
    let length = cursor.u64()?;
    if length > MAX_TEXT {
        return cursor.skip(length).map(|()| None);
    }
    // The metadata of a model is no reason not to show its tensors.
    Ok(Some(String::from_utf8_lossy(&cursor.bytes(length)?).into()))
}

/// Reads an array, or passes over it: each element of a list of texts has to be looked at for its length.
fn list(cursor: &mut Cursor, nesting: usize, room: &mut u64) -> Result<Option<Value>, Refusal> {
    if nesting == MAX_NESTING {
        return Err(fault(&format!("its metadata has arrays nested more than {MAX_NESTING} deep")));
    }
    let (of, count) = (cursor.u32()?, cursor.u64()?);
    let keep = count <= *room;
    if let (false, Some(size)) = (keep, size(of)) {
        return cursor.skip(count.saturating_mul(size)).map(|()| None);
    }
    if !keep {
        return (0..count).try_for_each(|_| pass(cursor, of, nesting)).map(|()| None);
    }
    *room -= count;
    let (mut items, mut complete) = (Vec::new(), true);
    for _ in 0..count {
        match value(cursor, of, nesting + 1, room)? {
            Some(item) => items.push(item),
            None => complete = false,
        }
    }
    Ok(complete.then_some(Value::Array(items)))
}

/// Passes over an element of an array that is not kept. It is of no fixed size.
fn pass(cursor: &mut Cursor, of: u32, nesting: usize) -> Result<(), Refusal> {
    match of {
        STRING => {
            let length = cursor.u64()?;
            cursor.skip(length)
        }
        ARRAY => list(cursor, nesting + 1, &mut 0).map(drop),
        _ => Err(unknown_value(of)),
    }
}

/// What the header says about a tensor.
struct Info {
    name: String,
    /// Dimensions, fastest last; no more than one above [`MAX_NDIM`] of them.
    shape: Vec<u64>,
    of: u32,
    offset: u64,
}

fn info(cursor: &mut Cursor) -> Result<Info, Refusal> {
    let name = string(cursor)?;
    let ndim = cursor.u32()?;
    let mut shape = Vec::new();
    for axis in 0..u64::from(ndim) {
        let length = cursor.u64()?;
        if axis <= MAX_NDIM as u64 {
            shape.push(length);
        }
    }
    shape.reverse();
    Ok(Info { name, shape, of: cursor.u32()?, offset: cursor.u64()? })
}

/// A tensor as an array, in a file of `held` bytes whose data start at byte `data`.
fn array(info: &Info, order: ByteOrder, data: u64, alignment: u64, held: u64) -> Result<Array, Refusal> {
    let of = Type::of(info.of).ok_or_else(|| {
        Refusal(if Type::was_removed(info.of) {
            format!("its type ({}) was taken out of GGUF; quantise the model again", info.of)
        } else {
            format!("its type ({}) is not known here; quantise the model to another", info.of)
        })
    })?;
    let dtype = of.dtype(order).map_err(header::no_type)?;
    let shape = shape(info, of)?;
    if !info.offset.is_multiple_of(alignment) {
        return Err(fault(&format!("its offset {} is no multiple of the alignment {alignment}", info.offset)));
    }
    let layout = Layout::packed(data.saturating_add(info.offset), &shape, dtype.itemsize(), Order::C)
        .map_err(|error| fault(&format!("the header claims a tensor that cannot be: {error}")))?;
    header::complete(&layout, held)?;
    Ok(Array { element: of.element(), ..Array::new(Gguf.name(), dtype, Grid::one(layout)) })
}

/// The shape in blocks.
fn shape(info: &Info, of: &Type) -> Result<Vec<u64>, Refusal> {
    let mut shape = info.shape.clone();
    if shape.len() > MAX_NDIM {
        return Err(fault(&format!("it has more than {MAX_NDIM} axes, as no array can")));
    }
    let row = shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(of.block) {
        return Err(fault(&format!(
            "its rows of {row} elements are no multiple of the {} that share a block of type {}",
            of.block, of.name
        )));
    }
    if let Some(last) = shape.last_mut() {
        *last /= of.block;
    }
    Ok(shape)
}
