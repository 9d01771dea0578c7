//! `.pgm`, `.ppm`, `.pfm`: the raw picture formats of Netpbm.
//!
//! A line with the kind (`P5` grey, `P6` colours, `Pf` and `PF` the same in floats), one with width and height, one with the largest
//! value, then the rows. Samples of two bytes have the highest first. A float map has the byte order in the sign of its third line,
//! negative for little-endian, and its last row first. Specifications: netpbm.sourceforge.net/doc, pgm, ppm, pfm.

use serde_json::Value;

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

pub(super) fn pgm(slice: &Slice<'_>) -> Option<Face> {
    let &[height, width] = slice.shape else { return None };
    integers(slice, "P5", height, width)
}

pub(super) fn ppm(slice: &Slice<'_>) -> Option<Face> {
    let &[height, width, 3] = slice.shape else { return None };
    if !slice.may_have_colours() {
        return None;
    }
    integers(slice, "P6", height, width)
}

fn integers(slice: &Slice<'_>, kind: &str, height: u64, width: u64) -> Option<Face> {
    let whole = match slice.number()? {
        Element { code: Code::Uint(1), complex: false, .. } => 255,
        Element { code: Code::Uint(2), complex: false, .. } => 65535,
        _ => return None,
    };
    // Of a file of Netpbm, the largest value that it has itself; above 255 it has two bytes.
    let known = slice.attributes.get("maxval").and_then(Value::as_u64);
    let most = known.filter(|most| (1..=whole).contains(most) && (*most > 255) == (whole > 255)).unwrap_or(whole);
    let head = format!("{kind}\n{width} {height}\n{most}\n").into_bytes();
    face(slice, Binary { head, big: Some(true), ..Binary::default() })
}

pub(super) fn pfm(slice: &Slice<'_>) -> Option<Face> {
    let Element { code: Code::Float(4), complex: false, big } = slice.number()? else { return None };
    let (kind, height, width) = match *slice.shape {
        [height, width] => ("Pf", height, width),
        [height, width, 3] if slice.may_have_colours() => ("PF", height, width),
        _ => return None,
    };
    let scale = if big { "1.0" } else { "-1.0" };
    let head = format!("{kind}\n{width} {height}\n{scale}\n").into_bytes();
    face(slice, Binary { head, reversed: vec![0], ..Binary::default() })
}

/// There is no picture without a pixel.
fn face(slice: &Slice<'_>, binary: Binary) -> Option<Face> {
    (slice.count() > 0).then_some(Face::Binary(Binary { accepts: Some(means_the_same), ..binary }))
}

fn means_the_same(head: &[u8], ours: &[u8]) -> bool {
    let meaning = |head| {
        let (kind, numbers) = tokens(head)?;
        numbers.iter().all(|number| number.is_finite()).then_some((kind, numbers))
    };
    meaning(head).is_some_and(|meant| meaning(ours) == Some(meant))
}

/// The kind and the three numbers of a header, and nothing behind them.
fn tokens(head: &[u8]) -> Option<(String, [f64; 3])> {
    let text = std::str::from_utf8(head.strip_suffix(b"\n")?).ok()?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut words = lines.flat_map(str::split_ascii_whitespace);
    let kind = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<f64>().ok();
    let numbers = [number()?, number()?, number()?];
    words.next().is_none().then_some((kind, numbers))
}
