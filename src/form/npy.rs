//! `.npy`: what `numpy.save` writes.
//!
//! Six bytes of magic, two of version, the length of the rest of the header, and a Python dictionary with the keys
//! `descr`, `fortran_order` and `shape`, padded so that the elements begin at a multiple of 64. The header is byte for byte that of
//! NumPy 2: it leaves room for the first axis (the last one in Fortran order) to grow to 21 digits, and the version is the least that
//! can hold it: 1.0 has two bytes for its length, 2.0 has four, 3.0 is UTF-8.
//!
//! Elements that lie in Fortran order, and not in C order, come in that order, as NumPy has it.

use std::fmt::Write;

use super::{Binary, Face, Slice};
use crate::dtype::DType;
use crate::dtype::literal::Literal;

/// Elements begin at a multiple of so many bytes.
const ALIGNMENT: usize = 64;
/// Digits that the growing axis has room for.
const GROWTH: usize = 21;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let head = header(slice);
    Some(Face::Binary(Binary {
        head,
        is_transposed: slice.is_fortran,
        accepts: Some(means_the_same),
        ..Binary::default()
    }))
}

fn header(slice: &Slice<'_>) -> Vec<u8> {
    let descr = match slice.dtype {
        DType::Scalar(scalar) => format!("'{scalar}'"),
        DType::Record(_) => slice.dtype.to_string(),
    };
    let order = if slice.is_fortran { "True" } else { "False" };
    let mut shape = String::new();
    for length in slice.shape {
        // Writing to a string cannot fail.
        let _ = write!(shape, "{length}, ");
    }
    let shape = match slice.shape.len() {
        1 => shape.trim_end(),
        _ => shape.trim_end_matches(", "),
    };
    let mut text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({shape}), }}");
    let growing = if slice.is_fortran { slice.shape.last() } else { slice.shape.first() };
    if let Some(length) = growing {
        text.extend(std::iter::repeat_n(' ', GROWTH.saturating_sub(length.to_string().len())));
    }
    let latin: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
    let (major, text, digits) = match latin {
        Some(bytes) if padded(&bytes, 2) <= usize::from(u16::MAX) => (1, bytes, 2),
        Some(bytes) => (2, bytes, 4),
        None => (3, text.into_bytes(), 4),
    };
    let length = padded(&text, digits);
    let mut head = MAGIC.to_vec();
    head.extend([major, 0]);
    head.extend(&(length as u32).to_le_bytes()[..digits]);
    let end = head.len() + length - 1;
    head.extend(text);
    head.resize(end, b' ');
    head.push(b'\n');
    head
}

/// Length of the text with its padding, of which there is at least one byte.
fn padded(text: &[u8], digits: usize) -> usize {
    let start = MAGIC.len() + 2 + digits;
    let end = start + text.len() + 1;
    end + (ALIGNMENT - end % ALIGNMENT) - start
}

fn means_the_same(head: &[u8], ours: &[u8]) -> bool {
    meaning(head).is_some_and(|meant| meaning(ours) == Some(meant))
}

/// The dictionary, as NumPy would write it.
fn meaning(head: &[u8]) -> Option<String> {
    let (major, text) = match head.strip_prefix(MAGIC)? {
        [major @ 1, _, _, _, text @ ..] => (major, text),
        [major @ (2 | 3), _, _, _, _, _, text @ ..] => (major, text),
        _ => return None,
    };
    let text: String = match major {
        3 => std::str::from_utf8(text).ok()?.to_owned(),
        _ => text.iter().copied().map(char::from).collect(),
    };
    let literal = Literal::parse(text.trim()).ok()?;
    let Literal::Dict(entries) = literal else { return None };
    let get = |key: &str| {
        entries.iter().find(|(name, _)| matches!(name, Literal::Str(name) if name == key)).map(|(_, value)| value)
    };
    let dtype = DType::from_descr(get("descr")?).ok()?;
    Some(format!("{dtype} {:?} {:?}", get("fortran_order")?, get("shape")?))
}
