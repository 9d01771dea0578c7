//! `.tif`: a TIFF without compression, in the byte order that the elements have.
//!
//! A header, a directory for each page, and the pages, each of them one strip. Two axes are a page; a last axis of 3 or 4 unsigned
//! integers of 8 or 16 bits is red, green, blue (and opacity); an axis before the two is that of the pages. A file that would be
//! longer than 4 GiB is a BigTIFF, whose offsets have 8 bytes. Specifications: TIFF 6.0 (Adobe, 1992), and the BigTIFF design of libtiff.

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

/// The most pages: each takes a directory in the header.
const MAX_PAGES: u64 = 2048;

/// Types of values.
const SHORT: u16 = 3;
const LONG: u16 = 4;
const LONG8: u16 = 16;

/// How a header is written.
struct Writer {
    bytes: Vec<u8>,
    big: bool,
    /// Bytes of an offset: 4, or 8 in a BigTIFF.
    offset: usize,
}

impl Writer {
    fn number(&mut self, value: u64, bytes: usize) {
        match self.big {
            true => self.bytes.extend(&value.to_be_bytes()[8 - bytes..]),
            false => self.bytes.extend(&value.to_le_bytes()[..bytes]),
        }
    }

    /// One entry of a directory. Up to as many values as an offset has room for stand in it.
    fn entry(&mut self, tag: u16, kind: u16, values: &[u64]) {
        let size = match kind {
            SHORT => 2,
            LONG => 4,
            _ => 8,
        };
        self.number(tag.into(), 2);
        self.number(kind.into(), 2);
        self.number(values.len() as u64, self.offset);
        let end = self.bytes.len() + self.offset;
        values.iter().for_each(|&value| self.number(value, size));
        self.bytes.resize(end, 0);
    }
}

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let Element { code, big, complex } = slice.number()?;
    // Unsigned, signed, IEEE float, complex.
    let format = match (code, complex) {
        (Code::Uint(1 | 2 | 4 | 8), false) => 1,
        (Code::Int(1 | 2 | 4 | 8), false) => 2,
        (Code::Float(_), false) => 3,
        (code, false) if code.is_half() => 3,
        (Code::Float(_), true) => 6,
        _ => return None,
    };
    let has_colours = matches!(code, Code::Uint(1 | 2)) && slice.may_have_colours();
    let is_colour = |samples: u64| matches!(samples, 3 | 4) && has_colours;
    let (pages, height, width, samples) = match *slice.shape {
        [height, width] => (1, height, width, 1),
        [height, width, samples] if is_colour(samples) => (1, height, width, samples),
        [pages, height, width] => (pages, height, width, 1),
        [pages, height, width, samples] if is_colour(samples) => (pages, height, width, samples),
        _ => return None,
    };
    let itemsize = slice.dtype.itemsize();
    if slice.count() == 0 || pages > MAX_PAGES || height.max(width) > i32::MAX as u64 {
        return None;
    }
    let page = height * width * samples * itemsize;
    let is_large = pages * page + pages * 512 > u32::MAX.into();
    let mut writer = Writer { bytes: Vec::new(), big, offset: if is_large { 8 } else { 4 } };
    writer.bytes.extend(if big { b"MM" } else { b"II" });
    let large = if is_large { LONG8 } else { LONG };
    if is_large {
        [(43, 2), (8, 2), (0, 2), (16, 8)].into_iter().for_each(|(value, bytes)| writer.number(value, bytes));
    } else {
        [(42, 2), (8, 4)].into_iter().for_each(|(value, bytes)| writer.number(value, bytes));
    }
    let entries = if samples == 4 { 12 } else { 11 };
    let (count, entry) = if is_large { (8, 20) } else { (2, 12) };
    let directory = count + entries * entry + writer.offset as u64;
    // Behind the directories stand the bits of each sample, if they fit in no entry, and then, at a multiple of 16, the pages.
    let bits = vec![8 * itemsize; samples as usize];
    let values = writer.bytes.len() as u64 + pages * directory;
    let are_inside = 2 * bits.len() <= writer.offset;
    let start = (values + if are_inside { 0 } else { 2 * bits.len() as u64 }).next_multiple_of(16);
    for number in 0..pages {
        writer.number(entries, count as usize);
        writer.entry(256, LONG, &[width]);
        writer.entry(257, LONG, &[height]);
        if are_inside {
            writer.entry(258, SHORT, &bits);
        } else {
            [(258, 2), (SHORT.into(), 2)].into_iter().for_each(|(value, bytes)| writer.number(value, bytes));
            writer.number(samples, writer.offset);
            writer.number(values, writer.offset);
        }
        writer.entry(259, SHORT, &[1]);
        writer.entry(262, SHORT, &[if samples > 1 { 2 } else { 1 }]);
        writer.entry(273, large, &[start + number * page]);
        writer.entry(277, SHORT, &[samples]);
        writer.entry(278, LONG, &[height]);
        writer.entry(279, large, &[page]);
        writer.entry(284, SHORT, &[1]);
        if samples == 4 {
            writer.entry(338, SHORT, &[2]);
        }
        // One value for all samples is enough for readers, though the specification has one for each.
        let formats = vec![format; if are_inside { samples as usize } else { 1 }];
        writer.entry(339, SHORT, &formats);
        let next = if number + 1 < pages { writer.bytes.len() + writer.offset } else { 0 };
        writer.number(next as u64, writer.offset);
    }
    if !are_inside {
        bits.iter().for_each(|&bits| writer.number(bits, 2));
    }
    writer.bytes.resize(start as usize, 0);
    Some(Face::Binary(Binary { head: writer.bytes, ..Binary::default() }))
}
