//! `.nrrd`: a NRRD file with its data attached, which pynrrd reads as an array of the slice's own shape.
//!
//! Lines of text, an empty one, and the elements. `sizes` has the axis that varies fastest first: the elements come in Fortran order,
//! with no copy where they lie so. Specification: teem.sourceforge.net/nrrd/format.html.

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

/// The most axes.
const MAX_AXES: usize = 16;

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let Element { code, big, complex: false } = slice.number()? else { return None };
    let kind = match code {
        Code::Int(1) => "int8",
        Code::Uint(1) => "uint8",
        Code::Int(2) => "int16",
        Code::Uint(2) => "uint16",
        Code::Int(4) => "int32",
        Code::Uint(4) => "uint32",
        Code::Int(8) => "int64",
        Code::Uint(8) => "uint64",
        Code::Float(4) => "float",
        Code::Float(_) => "double",
        _ => return None,
    };
    let ndim = slice.shape.len();
    if ndim == 0 || ndim > MAX_AXES || slice.count() == 0 {
        return None;
    }
    let sizes: Vec<String> = slice.shape.iter().map(u64::to_string).collect();
    let order = if big { "big" } else { "little" };
    let endian = if code.size() > 1 { format!("endian: {order}\n") } else { String::new() };
    let head =
        format!("NRRD0004\ntype: {kind}\ndimension: {ndim}\nsizes: {}\n{endian}encoding: raw\n\n", sizes.join(" "));
    Some(Face::Binary(Binary { head: head.into_bytes(), is_transposed: true, ..Binary::default() }))
}
