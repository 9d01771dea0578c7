//! `.mat`: a MATLAB file of version 4 with one matrix, called `data`.
//!
//! Five words: the type, rows, columns, whether there is an imaginary part, and the length of the name; the name; the elements in Fortran
//! order. The type in decimal digits is `MOPT`: the machine (0 little-endian, 1 big-endian), 0, the number (0 double, 1 single, 2 `i4`,
//! 3 `i2`, 4 `u2`, 5 `u1`), 0 for a full matrix. One axis is a row, as scipy has it. Specification: MathWorks, "MAT-File Format",
//! version 4.

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

const NAME: &[u8] = b"data\0";

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let Element { code, big, complex: false } = slice.number()? else { return None };
    let kind = match code {
        Code::Float(8) => 0,
        Code::Float(_) => 1,
        Code::Int(4) => 2,
        Code::Int(2) => 3,
        Code::Uint(2) => 4,
        Code::Uint(1) => 5,
        _ => return None,
    };
    let (rows, columns) = match *slice.shape {
        [] => (1, 1),
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => return None,
    };
    let (rows, columns) = (i32::try_from(rows).ok()?, i32::try_from(columns).ok()?);
    let mut head = Vec::new();
    for word in [if big { 1000 } else { 0 } + 10 * kind, rows, columns, 0, NAME.len() as i32] {
        head.extend(if big { word.to_be_bytes() } else { word.to_le_bytes() });
    }
    head.extend(NAME);
    Some(Face::Binary(Binary { head, is_transposed: true, ..Binary::default() }))
}
