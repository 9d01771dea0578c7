//! `.safetensors`, the weights of neural networks: named tensors, one behind the other.
//!
//! Specification: the section "Format" of the README of `huggingface/safetensors`, and what its Rust crate checks
//! (`SafeTensors::read_metadata`). A file is
//!
//! | bytes  | what                                                                            |
//! |--------|---------------------------------------------------------------------------------|
//! | 8      | length of the header, little-endian                                             |
//! | length | the header: a JSON object in UTF-8, perhaps padded with blanks                  |
//! | rest   | the tensors: little-endian, C order, without gaps, and nothing behind them      |
//!
//! The object has an entry for each tensor, in any order: `{"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}`,
//! the offsets counted from the header's end, the second one past the tensor's last byte. Other keys of an entry are
//! passed over. The entry `__metadata__` is an object of strings. A tensor's name is one name, whatever dots it holds.
//!
//! | dtype                                                        | element                                        |
//! |--------------------------------------------------------------|------------------------------------------------|
//! | `BOOL` `U8` `I8` `U16` `I16` `U32` `I32` `U64` `I64`         | NumPy's                                        |
//! | `F16` `F32` `F64` `C64`                                      | NumPy's; `C64` is two `F32`, `<c8`             |
//! | `BF16`                                                       | `\|V2`, `bf16`                                 |
//! | `F8_E4M3` `F8_E5M2` `F8_E8M0` `F8_E4M3FNUZ` `F8_E5M2FNUZ`    | `\|V1`, and the name in small letters           |
//! | `F4` `F6_E2M3` `F6_E3M2`                                     | refused: several in a byte, none has an address |
//!
//! Limits, and why:
//!
//! - A header of at most [`MAX_HEADER`] bytes, the crate's own limit; a few tensors more than any model has.
//! - A file in which tensors overlap, or leave a hole, or do not end where the file ends is refused as a whole, as
//!   the crate does: one of its tensors would be shown with the bytes of another.
//! - A key that stands twice is refused; the format forbids it, and JSON parsers differ in which one they keep.

use serde_json::{Map, Value};

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order};
use crate::source::{ReadAt, Siblings};

mod json;
#[cfg(test)]
mod tests;

use json::Tensor;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 100_000_000;

/// Bytes of the length in front of the header.
const LENGTH: u64 = 8;

/// The `.safetensors` format.
#[derive(Clone, Copy, Debug)]
pub struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".safetensors"]
    }

    /// There is no magic, but nothing else begins with a length and JSON of such keys.
    fn knows(&self, head: &[u8]) -> bool {
        let Some((length, text)) = head.split_first_chunk() else { return false };
        let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
        u64::from_le_bytes(*length) <= MAX_HEADER
            && (text.starts_with(br#"{"__metadata__":{"#)
                || text.starts_with(br#"{""#) && has(br#""dtype":""#) && has(br#""data_offsets":["#))
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let text = read_header(file)?;
        let data = LENGTH + text.len() as u64;
        let parsed = json::parse(&text)?;
        let mut tensors = parsed.tensors;
        tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
        let held = file.len().saturating_sub(data);
        check_cover(&tensors, held)?;
        let members = tensors.into_iter().map(|(name, tensor)| {
            let found = array(&tensor, data);
            Member { path: vec![name], found }
        });
        let members: Vec<Member> = members.collect();
        if members.is_empty() {
            return Err(Refusal("it holds no tensor, only metadata; there is nothing to show".into()));
        }
        Ok(Content::Many(Container { members, attributes: attributes(parsed.metadata) }))
    }
}

/// The text of the header.
fn read_header(file: &dyn ReadAt) -> Result<Vec<u8>, Refusal> {
    let mut length = [0; LENGTH as usize];
    let count = file.read_at(&mut length, 0)?;
    if count == 0 {
        return Err(Refusal("it is empty; a .safetensors file begins with a header: save it again".into()));
    }
    if count < length.len() {
        return Err(truncated());
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(Refusal(format!(
            "its .safetensors header claims to be {length} bytes long, more than the {MAX_HEADER} that are read: it is \
             damaged, or a file of another kind; save or download it again"
        )));
    }
    // Nothing is allocated for a mere claim.
    if file.len().saturating_sub(LENGTH) < length {
        return Err(truncated());
    }
    let mut text = vec![0; length as usize];
    let count = file.read_at(&mut text, LENGTH)?;
    if count == text.len() { Ok(text) } else { Err(truncated()) }
}

fn truncated() -> Refusal {
    Refusal("it ends within its .safetensors header: it was truncated; copy or download it again".into())
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: save or download it again"))
}

/// Checks that the tensors, in the order of their offsets, cover the `held` bytes behind the header.
fn check_cover(tensors: &[(String, Tensor)], held: u64) -> Result<(), Refusal> {
    let mut end = 0;
    for (name, tensor) in tensors {
        let (start, stop) = tensor.data_offsets;
        let shown = || excerpt(name);
        if stop < start {
            return Err(fault(&format!(
                "the tensor {} ends before it starts (data_offsets [{start}, {stop}])",
                shown()
            )));
        }
        if start != end {
            let what = if start < end { "overlaps another" } else { "leaves a hole in front of it" };
            return Err(fault(&format!(
                "the tensor {} {what}: it starts at byte {start} of the data, and the one before it ends at {end}",
                shown()
            )));
        }
        if let Some(bits) = tensor.bits() {
            let bits = bits.ok_or_else(|| fault(&format!("the shape of the tensor {} is too large", shown())))?;
            if bits % 8 != 0 || bits / 8 != u128::from(stop - start) {
                return Err(fault(&format!(
                    "the tensor {} takes {bits} bits by dtype and shape, and {} bytes by its data_offsets",
                    shown(),
                    stop - start
                )));
            }
        }
        end = stop;
    }
    match end.cmp(&held) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(Refusal(format!(
            "its header claims {end} bytes of data, the file holds only {held}: it was truncated, or is still being \
             written; copy or download it again"
        ))),
        std::cmp::Ordering::Less => Err(fault(&format!(
            "its header describes {end} bytes of data, and the file holds {held}: {} are left over",
            held - end
        ))),
    }
}

/// A tensor as an array, whose file's data start at byte `data`.
fn array(tensor: &Tensor, data: u64) -> Result<Array, Refusal> {
    let (dtype, element) = element(&tensor.dtype)?;
    if tensor.shape.len() > MAX_NDIM {
        return Err(Refusal(format!(
            "it has more than {MAX_NDIM} axes, as no array can; reshape it and save it again"
        )));
    }
    let offset = data.saturating_add(tensor.data_offsets.0);
    let layout = Layout::packed(offset, &tensor.shape, dtype.itemsize(), Order::C).map_err(|error| {
        Refusal(format!("its header claims a tensor that cannot be: {error}; the header is damaged"))
    })?;
    Ok(Array { element, ..Array::new(Safetensors.name(), dtype, Grid::one(layout)) })
}

/// Bits of an element of this dtype; nothing if it is unknown.
fn bits(dtype: &str) -> Option<u8> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// The element type, and its name where NumPy has none.
fn element(dtype: &str) -> Result<(DType, Option<&'static str>), Refusal> {
    let (kind, name) = match dtype {
        "BOOL" => (Kind::Bool, None),
        "U8" | "U16" | "U32" | "U64" => (Kind::Uint, None),
        "I8" | "I16" | "I32" | "I64" => (Kind::Int, None),
        "F16" | "F32" | "F64" => (Kind::Float, None),
        "C64" => (Kind::Complex, None),
        "BF16" => (Kind::Void, Some("bf16")),
        "F8_E4M3" => (Kind::Void, Some("f8_e4m3")),
        "F8_E5M2" => (Kind::Void, Some("f8_e5m2")),
        "F8_E8M0" => (Kind::Void, Some("f8_e8m0")),
        "F8_E4M3FNUZ" => (Kind::Void, Some("f8_e4m3fnuz")),
        "F8_E5M2FNUZ" => (Kind::Void, Some("f8_e5m2fnuz")),
        "F4" | "F6_E2M3" | "F6_E3M2" => {
            return Err(Refusal(format!(
                "its elements ({dtype}) are smaller than a byte and packed, so that no element has an address; unpack \
                 them to a dtype of whole bytes (F8_E4M3, BF16) and save it again"
            )));
        }
        _ => {
            let dtype = excerpt(dtype);
            return Err(Refusal(format!("its dtype {dtype} is not known here; save it again with another dtype")));
        }
    };
    let itemsize = u64::from(bits(dtype).unwrap_or_default() / 8);
    Ok((header::scalar(kind, ByteOrder::Little, itemsize), name))
}

fn attributes(metadata: Vec<(String, String)>) -> Map<String, Value> {
    let mut attributes = Attributes::new(MAX_ATTRIBUTES);
    for (key, value) in metadata {
        attributes.insert(&key, value.into());
    }
    attributes.into_map()
}
