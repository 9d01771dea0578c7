//! `.fits`: a FITS file of one image.
//!
//! A header of cards of 80 characters, padded with blanks to a multiple of 2880 bytes, then the elements, big-endian, padded with
//! zeros. `NAXIS1` is the axis that varies fastest: the last one here. FITS has unsigned bytes and signed integers of 16, 32 and 64
//! bits; the others are stored with their highest bit turned round and said to be so by `BZERO`. Specification: FITS Standard 4.0,
//! sections 4.4.1 and 5.2.5.

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

/// Header and elements are padded to a multiple of so many bytes.
const RECORD: u64 = 2880;

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let Element { code, complex: false, .. } = slice.number()? else { return None };
    let (bits, zero) = match code {
        Code::Uint(1) => (8, None),
        Code::Int(2) => (16, None),
        Code::Int(4) => (32, None),
        Code::Int(8) => (64, None),
        Code::Float(4) => (-32, None),
        Code::Float(_) => (-64, None),
        Code::Int(1) => (8, Some("-128")),
        Code::Uint(2) => (16, Some("32768")),
        Code::Uint(4) => (32, Some("2147483648")),
        Code::Uint(8) => (64, Some("9223372036854775808")),
        _ => return None,
    };
    if slice.shape.is_empty() || slice.count() == 0 {
        return None;
    }
    let mut head = Vec::new();
    let mut card =
        |name: &str, value: &str| head.extend(format!("{:<80}", format!("{name:<8}= {value:>20}")).into_bytes());
    card("SIMPLE", "T");
    card("BITPIX", &bits.to_string());
    card("NAXIS", &slice.shape.len().to_string());
    for (axis, length) in slice.shape.iter().rev().enumerate() {
        card(&format!("NAXIS{}", axis + 1), &length.to_string());
    }
    if let Some(zero) = zero {
        card("BSCALE", "1");
        card("BZERO", zero);
    }
    head.extend(format!("{:<80}", "END").into_bytes());
    head.resize(head.len().next_multiple_of(RECORD as usize), b' ');
    let length = slice.count() * slice.dtype.itemsize();
    let tail = length.next_multiple_of(RECORD) - length;
    Some(Face::Binary(Binary { head, big: Some(true), flip: zero.is_some(), tail, ..Binary::default() }))
}
