//! `.nii`: a NIfTI file, which nibabel and others read as an array of the slice's own shape.
//!
//! NIfTI-1 has a header of 348 bytes, and NIfTI-2, for axes longer than 32767, one of 540; behind it stand 4 zeros (no extension).
//! Its first axis varies fastest: the elements come in Fortran order, with no copy where they lie so. Byte order is that of the
//! elements. Orientation and spacing are not known: `qform_code` and `sform_code` are 0, spacings 1. Specification: nifti1.h, nifti2.h.

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

/// A header of zeros, and numbers at their places in it.
struct Writer {
    bytes: Vec<u8>,
    big: bool,
}

impl Writer {
    fn put(&mut self, at: usize, little: &[u8]) {
        let place = &mut self.bytes[at..at + little.len()];
        place.copy_from_slice(little);
        if self.big {
            place.reverse();
        }
    }
}

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let Element { code, big, complex } = slice.number()?;
    let kind: i16 = match (code, complex) {
        (Code::Uint(1), _) => 2,
        (Code::Int(2), _) => 4,
        (Code::Int(4), _) => 8,
        (Code::Float(4), false) => 16,
        (Code::Float(4), true) => 32,
        (Code::Float(_), false) => 64,
        (Code::Int(1), _) => 256,
        (Code::Uint(2), _) => 512,
        (Code::Uint(4), _) => 768,
        (Code::Int(8), _) => 1024,
        (Code::Uint(8), _) => 1280,
        (Code::Float(_), true) => 1792,
        _ => return None,
    };
    let ndim = slice.shape.len();
    if ndim == 0 || ndim > 7 || slice.count() == 0 {
        return None;
    }
    let bits = (8 * slice.dtype.itemsize()) as i16;
    let lengths = (0..7).map(|axis| slice.shape.get(axis).copied().unwrap_or(1));
    let is_first = slice.shape.iter().all(|&length| length <= i16::MAX as u64);
    let mut writer = Writer { bytes: vec![0; if is_first { 352 } else { 544 }], big };
    if is_first {
        writer.put(0, &348_i32.to_le_bytes());
        writer.put(40, &(ndim as i16).to_le_bytes());
        lengths.enumerate().for_each(|(axis, length)| writer.put(42 + 2 * axis, &(length as i16).to_le_bytes()));
        writer.put(70, &kind.to_le_bytes());
        writer.put(72, &bits.to_le_bytes());
        (0..8).for_each(|axis| writer.put(76 + 4 * axis, &1_f32.to_le_bytes()));
        writer.put(108, &352_f32.to_le_bytes());
        writer.put(112, &1_f32.to_le_bytes());
        writer.bytes[344..348].copy_from_slice(b"n+1\0");
    } else {
        writer.put(0, &540_i32.to_le_bytes());
        writer.bytes[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
        writer.put(12, &kind.to_le_bytes());
        writer.put(14, &bits.to_le_bytes());
        writer.put(16, &(ndim as i64).to_le_bytes());
        lengths.enumerate().for_each(|(axis, length)| writer.put(24 + 8 * axis, &length.to_le_bytes()));
        (0..8).for_each(|axis| writer.put(104 + 8 * axis, &1_f64.to_le_bytes()));
        writer.put(168, &544_i64.to_le_bytes());
        writer.put(176, &1_f64.to_le_bytes());
    }
    Some(Face::Binary(Binary { head: writer.bytes, is_transposed: true, ..Binary::default() }))
}
