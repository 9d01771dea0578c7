//! `.png`: a picture of the slice.
//!
//! | slice                                                        | what the file is                              |
//! |--------------------------------------------------------------|-----------------------------------------------|
//! | 2 axes of unsigned integers of 8 or 16 bits                  | the picture itself, grey                      |
//! | the same with a last axis of 3 or 4                          | the picture itself, red, green, blue, opacity |
//! | 2 axes of any other numbers                                  | a preview: colours, and the scale beside them |
//! | 1 axis of numbers                                            | a preview: a line plot                        |
//!
//! The picture itself ([`Picture`]) has its pixels where arithmetic says, so that it is read at any offset, and can be written. A
//! preview ([`Preview`]) is drawn of a limited number of samples, and cannot be written; how long it is, the shape alone says.
//! Specification: W3C, "Portable Network Graphics (PNG) Specification", third edition.

use super::{Face, Slice};
use crate::convert::{Code, Element};
use crate::dtype::{DType, Kind, Scalar};

mod canvas;
mod colours;
mod decode;
mod font;
mod map;
mod number;
mod picture;
mod plot;
mod preview;
#[cfg(test)]
mod tests;

pub use decode::{Each, Line, Refusal};
pub use picture::{Picture, Pixels, Sum};
pub use preview::{Preview, Samples};

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let number = slice.number()?;
    let is_time = matches!(slice.dtype, DType::Scalar(Scalar { kind: Kind::DateTime | Kind::TimeDelta, .. }));
    let depth = match number {
        Element { code: Code::Uint(bytes @ (1 | 2)), complex: false, .. } => Some(8 * bytes),
        _ => None,
    };
    let picture = match (slice.shape, depth) {
        _ if slice.count() == 0 => return None,
        (&[height, width], Some(depth)) => Picture::new(width, height, 1, depth),
        (&[height, width, samples @ (3 | 4)], Some(depth)) if slice.may_have_colours() => {
            Picture::new(width, height, samples as u8, depth)
        }
        _ => None,
    };
    match picture {
        Some(picture) => Some(Face::Picture(picture)),
        None => Preview::new(slice.shape, is_time).map(Face::Preview),
    }
}
