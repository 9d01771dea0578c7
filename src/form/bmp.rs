//! `.bmp`: a Windows bitmap without compression.
//!
//! A file header of 14 bytes, a `BITMAPINFOHEADER` of 40, for grey pictures 256 colours of 4 bytes, then the rows, the last one first,
//! each padded to a multiple of 4 bytes; colours come as blue, green, red. All numbers are little-endian. Specification: Microsoft,
//! "Bitmap Storage".

use super::{Binary, Face, Slice};
use crate::convert::{Code, Element};

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let Element { code: Code::Uint(1), complex: false, .. } = slice.number()? else { return None };
    let (height, width, samples, reversed) = match *slice.shape {
        [height, width] => (height, width, 1, vec![0]),
        [height, width, 3] if slice.may_have_colours() => (height, width, 3, vec![0, 2]),
        _ => return None,
    };
    let row = width.checked_mul(samples)?;
    let padding = row.wrapping_neg() % 4;
    let colours = if samples == 1 { 256 } else { 0 };
    let offset = 14 + 40 + 4 * colours;
    let size = u32::try_from((row + padding).checked_mul(height)?.checked_add(offset.into())?).ok()?;
    if slice.count() == 0 {
        return None;
    }
    let mut head = b"BM".to_vec();
    for number in [size, 0, offset, 40] {
        head.extend(number.to_le_bytes());
    }
    head.extend(i32::try_from(width).ok()?.to_le_bytes());
    head.extend(i32::try_from(height).ok()?.to_le_bytes());
    head.extend(1_u16.to_le_bytes());
    head.extend((8 * samples as u16).to_le_bytes());
    // No compression; 72 dots an inch.
    for number in [0, size - offset, 2835, 2835, colours, 0] {
        head.extend(number.to_le_bytes());
    }
    head.extend((0..colours as u16).flat_map(|grey| [grey as u8, grey as u8, grey as u8, 0]));
    let rows = Some((row, padding));
    Some(Face::Binary(Binary { head, reversed, rows, accepts: Some(means_the_same), ..Binary::default() }))
}

/// The resolution may differ, and what is often left 0: the sizes, and the number of colours.
fn means_the_same(head: &[u8], ours: &[u8]) -> bool {
    let word = |head: &[u8], at: usize| head.get(at..at + 4).map(<[u8]>::to_vec);
    let same = |at: usize| word(head, at) == word(ours, at);
    let same_or_zero = |at: usize| same(at) || word(head, at) == Some(vec![0; 4]);
    let palette =
        |head: &[u8]| head.get(54..).map(|colours| colours.chunks(4).map(|colour| colour[..3].to_vec()).collect());
    let palettes: [Option<Vec<Vec<u8>>>; 2] = [palette(head), palette(ours)];
    head.starts_with(b"BM")
        && [10, 14, 18, 22, 26, 30].into_iter().all(same)
        && [2, 34].into_iter().all(same_or_zero)
        && palettes[0] == palettes[1]
}
