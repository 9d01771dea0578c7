//! Numbers in little room.

/// The most letters that a number takes.
pub(super) const LETTERS: usize = 9;

/// A number in at most [`LETTERS`] letters, with as many of its digits as fit, up to 5, or all of a whole number.
pub(super) fn short(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.fract() == 0.0 && value.abs() < 1e7 {
        return format!("{value}");
    }
    // What rounding to 5 digits makes of it says how many stand before the point.
    let rounded = format!("{value:.4e}");
    let exponent = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    if (-4..7).contains(&exponent) {
        let plain = format!("{value:.*}", (4 - exponent).clamp(0, 8) as usize);
        let plain = trimmed(&plain);
        if plain.len() <= LETTERS {
            return plain.to_owned();
        }
    }
    let texts = (0..4).rev().map(|digits| format!("{value:.digits$e}"));
    let mut texts = texts.map(|text| match text.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", trimmed(digits)),
        None => text,
    });
    texts.find(|text| text.len() <= LETTERS).unwrap_or_default()
}

/// Without zeros at the end of a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}
