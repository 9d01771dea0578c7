//! Forms: in which shape the bytes of a slice appear, chosen by the suffix of its name.
//!
//! A form turns a [`Slice`] into a [`Face`]: what the file looks like, without any of its elements. Whoever serves it fetches the
//! elements that a request touches, and no others. There are five kinds:
//!
//! - [`Binary`]: a computed header, then the elements, in the order of bytes and axes that the form demands;
//! - [`Text`]: a cell of fixed width for each number, so that the size is known and any offset costs only its own cells;
//! - a document: a small text about the slice, which shows no element;
//! - [`Picture`]: a header, elements, and checksums of them between and behind;
//! - [`Preview`]: a drawing of some of the elements, made when it is opened.
//!
//! A form that does not fit a slice (its type, its rank) has no face for it, and then there is no such file.

use std::path::Path;

use serde_json::{Map, Value};

use crate::convert::Element;
use crate::dtype::DType;
use crate::layout::Layout;

mod bmp;
mod fits;
mod mat;
mod nii;
mod npy;
mod nrrd;
pub mod png;
mod pnm;
mod sound;
#[cfg(test)]
mod tests;
pub mod text;
mod tif;
mod vrt;

pub use png::{Picture, Preview};
pub use text::Text;

/// A slice, as forms see it.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// Type of the elements.
    pub dtype: &'a DType,
    /// What an element is where `dtype` says only how many bytes it takes.
    pub element: Option<&'a str>,
    /// Length of each axis, in elements.
    pub shape: &'a [u64],
    /// Whether the elements lie in Fortran order without gaps, and not in C order.
    pub is_fortran: bool,
    /// The array file, and where in it the elements lie, if they lie there as they are shown, at one distance along each axis.
    pub file: Option<(&'a Path, &'a Layout)>,
    /// What the format knows of the array.
    pub attributes: &'a Map<String, Value>,
}

impl Slice<'_> {
    /// How an element is stored, if it is a number.
    pub fn number(&self) -> Option<Element> {
        Element::of(self.dtype, self.element)
    }

    /// Whether the last axis may be that of colours: not where the format says that they come in another order.
    fn may_have_colours(&self) -> bool {
        !matches!(self.attributes.get("channels"), Some(Value::String(channels)) if !channels.starts_with("RGB"))
    }

    /// Number of elements.
    pub fn count(&self) -> u64 {
        crate::layout::count(self.shape)
    }
}

/// What the file of a slice looks like in a form.
#[derive(Clone, Debug)]
pub enum Face {
    /// A header and elements.
    Binary(Binary),
    /// Numbers in cells.
    Text(Text),
    /// A small file that shows no element.
    Document(Vec<u8>),
    /// Pixels.
    Picture(Picture),
    /// A drawing.
    Preview(Preview),
}

/// Whether a header, the first, says the same as another of the same length.
pub type Accepts = fn(&[u8], &[u8]) -> bool;

/// A header, and elements behind it.
#[derive(Clone, Debug, Default)]
pub struct Binary {
    /// The header.
    pub head: Vec<u8>,
    /// Whether the axes come in reverse order, the first index fastest.
    pub is_transposed: bool,
    /// Axes along which the elements come in reverse order.
    pub reversed: Vec<usize>,
    /// The order of bytes that the elements get, highest first or not; nothing where they keep theirs.
    pub big: Option<bool>,
    /// Whether the highest bit of each integer is turned round.
    pub flip: bool,
    /// Bytes in a row, and the zeros behind each.
    pub rows: Option<(u64, u64)>,
    /// Zeros behind the last element.
    pub tail: u64,
    /// Whether a header of the same length that somebody writes says the same as ours, which comes second. Without it, the
    /// header must be ours.
    pub accepts: Option<Accepts>,
}

impl Binary {
    /// Whether this may be written in place of the header.
    pub fn accepts(&self, head: &[u8]) -> bool {
        let means_the_same = |accepts: Accepts| accepts(head, &self.head);
        head == self.head || head.len() == self.head.len() && self.accepts.is_some_and(means_the_same)
    }
}

/// A form, by its place in the table of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form(u8);

/// What makes the face of a slice, where the form fits.
type Make = fn(&Slice<'_>) -> Option<Face>;

/// The forms, by suffix (without the dot), as `info.json` lists them; and of which slices each is, in words.
const FORMS: &[(&str, Make, &str)] = &[
    ("npy", npy::face, "all slices"),
    ("txt", text::txt, "elements that can be written as text"),
    ("csv", text::csv, "elements that can be written as text"),
    ("json", text::json, "up to 65536 numbers, but no times"),
    ("pgm", pnm::pgm, "u1 and u2 of two axes"),
    ("ppm", pnm::ppm, "u1 and u2 of two axes and a third of 3 colours"),
    ("pfm", pnm::pfm, "f4 of two axes, or a third of 3 colours"),
    ("bmp", bmp::face, "u1 of two axes, or a third of 3 colours"),
    ("png", png::face, "numbers of one or two axes, and u1 and u2 with a third of 3 or 4 colours"),
    ("tif", tif::face, "integers, f2 to f8, c8 and c16 of two axes, or before them one of up to 2048 pages"),
    ("wav", sound::wav, "u1, i1, i2, i3, i4, f4 and f8 of one axis, or frames x channels"),
    ("au", sound::au, "u1, i1, i2, i3, i4, f4 and f8 of one axis, or frames x channels"),
    ("fits", fits::face, "integers, f4 and f8"),
    ("nii", nii::face, "integers, f4, f8, c8 and c16 of up to 7 axes"),
    ("nrrd", nrrd::face, "integers, f4 and f8 of up to 16 axes"),
    ("mat", mat::face, "f8, f4, i4, i2, u2 and u1 of up to two axes"),
    ("vrt", vrt::face, "types that GDAL has, of two or three axes, that lie in one piece"),
];

/// The suffixes of slice names, without the dot.
pub const SUFFIXES: &[&str] = &suffixes();

const fn suffixes() -> [&'static str; FORMS.len() + 1] {
    let mut all = ["raw"; FORMS.len() + 1];
    let mut at = 0;
    while at < FORMS.len() {
        all[at + 1] = FORMS[at].0;
        at += 1;
    }
    all
}

impl Form {
    /// The form of a suffix; nothing for `raw`, the elements as they are.
    pub fn of_suffix(suffix: &str) -> Option<Form> {
        let place = FORMS.iter().position(|(known, ..)| *known == suffix)?;
        u8::try_from(place).ok().map(Form)
    }

    /// Its suffix.
    pub fn suffix(self) -> &'static str {
        FORMS[usize::from(self.0)].0
    }

    /// What a slice looks like in this form; nothing if it does not fit.
    pub fn face(self, slice: &Slice<'_>) -> Option<Face> {
        FORMS[usize::from(self.0)].1(slice)
    }
}

/// The suffixes of the forms that fit a slice.
pub fn fitting(slice: &Slice<'_>) -> Vec<&'static str> {
    let fits = FORMS.iter().filter(|(_, make, _)| make(slice).is_some()).map(|(suffix, ..)| *suffix);
    std::iter::once("raw").chain(fits).collect()
}

/// Of which slices a form is, in words.
pub fn wants(suffix: &str) -> &'static str {
    FORMS.iter().find(|(known, ..)| *known == suffix).map_or("all slices", |(_, _, wants)| wants)
}
