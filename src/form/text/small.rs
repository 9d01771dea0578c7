//! The texts of floats of at most 16 bits: there are so few that all are kept.

use std::sync::OnceLock;

use super::Style;
use super::cell::unusual;
use crate::convert::{Code, Conversion, Element};

/// Bytes of the longest text of a float of at most 16 bits.
pub(super) const WIDTH: usize = 11;

/// Kinds of such floats.
const KINDS: usize = Code::SMALL_KINDS;

/// The texts of all floats of at most 16 bits, by kind and by their bits, once they are needed.
static SMALL: [OnceLock<Vec<Box<[u8]>>>; KINDS] = [const { OnceLock::new() }; KINDS];

/// The text of a float by its bits, as it stands between blanks.
pub(super) fn text(which: u8, bits: u16) -> &'static [u8] {
    &SMALL[usize::from(which)].get_or_init(|| texts_of_small(which))[usize::from(bits)]
}

fn texts_of_small(which: u8) -> Vec<Box<[u8]>> {
    let (code, double) = (Element::new(Code::Small(which), false), Element::new(Code::Float(8), false));
    let size = code.size();
    let (to_double, from_double) = (Conversion::new(code, double), Conversion::new(double, code));
    let text_of = |bits: u16| {
        let (stored, mut bytes) = (bits.to_le_bytes(), [0; 8]);
        to_double.read(&stored[..size], &mut bytes);
        let number = f64::from_le_bytes(bytes);
        if !number.is_finite() {
            return unusual(number, Style::Blanks).into();
        }
        let text_of = |number: f64| -> Box<[u8]> {
            let mut buffer = zmij::Buffer::new();
            let text = buffer.format_finite(number);
            // A large number of few digits would have many zeros.
            if text.len() <= WIDTH { text.as_bytes().into() } else { format!("{number:e}").into_bytes().into() }
        };
        // The fewest digits that lead back to the same bits.
        for digits in 0..9 {
            let shorter: f64 = format!("{number:.digits$e}").parse().unwrap_or(number);
            let mut back = [0; 2];
            from_double.read(&shorter.to_le_bytes(), &mut back[..size]);
            if back == stored {
                return text_of(shorter);
            }
        }
        text_of(number)
    };
    (0..=u16::try_from((1_u32 << (8 * size)) - 1).unwrap_or(u16::MAX)).map(text_of).collect()
}
