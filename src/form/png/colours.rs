//! Colours: a scale that is perceived as even, from dark violet over green to yellow, and those of the drawing around it.

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

pub(super) const WHITE: Colour = [255, 255, 255];
pub(super) const INK: Colour = [38, 38, 38];
pub(super) const FRAME: Colour = [128, 128, 128];
pub(super) const GRID: Colour = [222, 222, 222];
/// Where there is no number.
pub(super) const MISSING: Colour = [200, 200, 200];
pub(super) const CURVE: Colour = [33, 98, 168];

/// The colour at a place of the scale, from 0 to 1: polynomials close to the colour map viridis of van der Walt and Smith.
pub(super) fn scale(place: f64) -> Colour {
    const POWERS: [[f64; 7]; 3] = [
        [0.27773, 0.10509, -0.33086, -4.63423, 6.22827, 4.77638, -5.43546],
        [0.00541, 1.40461, 0.21485, -5.79910, 14.17993, -13.74515, 4.64585],
        [0.33410, 1.38459, 0.09510, -19.33244, 56.69055, -65.35303, 26.31244],
    ];
    POWERS.map(|powers| {
        let value = powers.iter().rev().fold(0.0, |value, power| value * place + power);
        (value * 255.0).round() as u8
    })
}

/// A mixture: `share` of the second colour.
pub(super) fn mixed(first: Colour, second: Colour, share: f64) -> Colour {
    let mut mixed = first;
    for (value, other) in mixed.iter_mut().zip(second) {
        *value = (f64::from(*value) * (1.0 - share) + f64::from(other) * share).round() as u8;
    }
    mixed
}
