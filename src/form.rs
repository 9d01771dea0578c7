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

/// The forms, by suffix (without the dot), as `info.json` lists them.
const FORMS: &[(&str, Make)] = &[
    ("npy", npy::face),
    ("txt", text::txt),
    ("csv", text::csv),
    ("json", text::json),
    ("pgm", pnm::pgm),
    ("ppm", pnm::ppm),
    ("pfm", pnm::pfm),
    ("bmp", bmp::face),
    ("png", png::face),
    ("tif", tif::face),
    ("wav", sound::wav),
    ("au", sound::au),
    ("fits", fits::face),
    ("nii", nii::face),
    ("nrrd", nrrd::face),
    ("mat", mat::face),
    ("vrt", vrt::face),
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
        let place = FORMS.iter().position(|(known, _)| *known == suffix)?;
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
    let fits = FORMS.iter().filter(|(_, make)| make(slice).is_some()).map(|(suffix, _)| *suffix);
    std::iter::once("raw").chain(fits).collect()
}
