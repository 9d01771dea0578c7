//! One number at a time, with Rust's own arithmetic.

use crate::convert::{Code, Element};

/// A number as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    Double(f64),
}

impl Number {
    pub(super) fn double(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Double(number) => number,
        }
    }

    fn single(self) -> f32 {
        match self {
            Number::Integer(number) => number as f32,
            Number::Double(number) => number as f32,
        }
    }
}

/// Exponent bits, mantissa bits, bias, and what the highest patterns are.
const SMALL: [(u32, u32, i32, Top); 9] = [
    (5, 10, 15, Top::Ieee),
    (8, 7, 127, Top::Ieee),
    (4, 3, 7, Top::OneNan),
    (5, 2, 15, Top::Ieee),
    (4, 3, 8, Top::NegativeZero),
    (5, 2, 16, Top::NegativeZero),
    (3, 4, 3, Top::Ieee),
    (4, 3, 7, Top::Ieee),
    (8, 0, 127, Top::Exponent),
];

#[derive(Clone, Copy, PartialEq)]
enum Top {
    Ieee,
    /// All ones are NaN, and nothing is infinite.
    OneNan,
    /// NaN stands where the negative zero would.
    NegativeZero,
    /// No sign and no mantissa; all ones are NaN.
    Exponent,
}

/// The number of the bits of a small float.
pub(in crate::convert) fn small(which: usize, bits: u64) -> f64 {
    let (exponents, mantissas, bias, top) = SMALL[which];
    if top == Top::Exponent {
        return if bits == 0xff { f64::NAN } else { 2_f64.powi(bits as i32 - 127) };
    }
    let width = exponents + mantissas;
    let (exponent, mantissa) = (bits >> mantissas & ((1 << exponents) - 1), bits & ((1 << mantissas) - 1));
    let ones = (1 << exponents) - 1;
    let sign = if bits >> width == 0 { 1.0 } else { -1.0 };
    match top {
        Top::Ieee if exponent == ones && mantissa == 0 => return sign * f64::INFINITY,
        Top::Ieee if exponent == ones => return f64::NAN,
        Top::OneNan if exponent == ones && mantissa == (1 << mantissas) - 1 => return f64::NAN,
        Top::NegativeZero if bits == 1 << width => return f64::NAN,
        _ => {}
    }
    let fraction = mantissa as f64 / f64::from(1 << mantissas);
    let (fraction, exponent) = if exponent == 0 { (fraction, 1) } else { (1.0 + fraction, exponent as i32) };
    sign * fraction * 2_f64.powi(exponent - bias)
}

/// The bits of the nearest number, found among all of them.
pub(in crate::convert) fn to_small(which: usize, number: f64) -> u64 {
    let (exponents, mantissas, _, top) = SMALL[which];
    let width = exponents + mantissas;
    let nan = match top {
        Top::Ieee => ((1 << exponents) - 1) << mantissas | 1 << (mantissas - 1),
        Top::OneNan => (1 << width) - 1,
        Top::NegativeZero => 1 << width,
        Top::Exponent => 0xff,
    };
    if number.is_nan() || top == Top::Exponent && number <= 0.0 {
        return nan;
    }
    let size = number.abs();
    let sign = if number.is_sign_negative() { 1 << width } else { 0 };
    // The positive finite numbers grow with their bits.
    let infinity = ((1_u64 << exponents) - 1) << mantissas;
    let largest = match top {
        Top::Ieee => infinity - 1,
        Top::OneNan => nan - 1,
        Top::NegativeZero => (1 << width) - 1,
        Top::Exponent => 0xfe,
    };
    let (mut low, mut high) = (0, largest + 1);
    while low < high {
        let middle = (low + high) / 2;
        if small(which, middle) < size { low = middle + 1 } else { high = middle }
    }
    // Where one more number would be, what is nearer to that is too large.
    let value = |bits: u64| match bits <= largest {
        true => small(which, bits),
        false => small(which, largest) + (small(which, largest) - small(which, largest - 1)).max(0.0),
    };
    let next = if top == Top::Exponent && low > largest { 2_f64.powi(128) } else { value(low.min(largest + 1)) };
    let nearest = if low == 0 {
        0
    } else {
        let below = value(low - 1);
        match (size - below).partial_cmp(&(next - size)) {
            Some(std::cmp::Ordering::Less) => low - 1,
            Some(std::cmp::Ordering::Greater) => low,
            _ if top == Top::Exponent => low,
            _ => low - (low & 1),
        }
    };
    if nearest > largest {
        return if top == Top::Ieee { infinity | sign } else { nan };
    }
    if nearest == 0 && top == Top::NegativeZero { 0 } else { nearest | sign }
}

/// The number of an IBM float.
pub(in crate::convert) fn ibm(bits: u32) -> f64 {
    let size = f64::from(bits & 0xff_ffff) / 16_777_216.0 * 16_f64.powi((bits >> 24 & 0x7f) as i32 - 64);
    if bits >> 31 == 1 { -size } else { size }
}

/// The nearest IBM float: the first exponent for which the mantissa fits.
pub(in crate::convert) fn to_ibm(number: f64) -> u32 {
    let sign = u32::from(number.is_sign_negative()) << 31;
    if number.is_nan() {
        return 0;
    }
    for exponent in 0..128 {
        let mantissa = (number.abs() * 2_f64.powi(24 - 4 * (exponent - 64))).round_ties_even();
        if mantissa < 16_777_216.0 {
            return sign | (exponent as u32) << 24 | mantissa as u32;
        }
    }
    sign | 0x7fff_ffff
}

/// The number of an x86 extended float, rounded once.
pub(in crate::convert) fn extended(bits: u128) -> f64 {
    let (mantissa, high) = (bits as u64, (bits >> 64) as u32);
    let sign = if high >> 15 & 1 == 1 { -1.0 } else { 1.0 };
    if high & 0x7fff == 0x7fff {
        return if mantissa << 1 == 0 { sign * f64::INFINITY } else { f64::NAN };
    }
    // It is `mantissa * 2^exponent`; units of a double are `2^unit`.
    let exponent = (high & 0x7fff) as i32 - 16383 - 63;
    let unit = (exponent + 64 - mantissa.leading_zeros() as i32 - 53).max(-1074);
    if mantissa == 0 || unit > 1100 {
        return sign * if mantissa == 0 { 0.0 } else { f64::INFINITY };
    }
    let units = match unit - exponent {
        shift @ ..=0 => u128::from(mantissa) << -shift,
        shift @ 1..=100 => {
            let (whole, rest) = (u128::from(mantissa) >> shift, u128::from(mantissa) & ((1 << shift) - 1));
            let half = 1 << (shift - 1);
            whole + u128::from(rest > half || rest == half && whole & 1 == 1)
        }
        _ => 0,
    };
    // Both factors and the product are doubles.
    let (first, second) = (unit.max(-1000), unit - unit.max(-1000));
    sign * (units as f64 * 2_f64.powi(second)) * 2_f64.powi(first)
}

/// The number of stored bytes.
pub(super) fn number_of(element: Element, bytes: &[u8]) -> Number {
    let mut little = [0; 16];
    little[..bytes.len()].copy_from_slice(bytes);
    if element.big {
        little[..bytes.len()].reverse();
    }
    let bits = u128::from_le_bytes(little);
    match element.code {
        Code::Bool => Number::Integer(i128::from(bits != 0)),
        Code::Int(size) => {
            let shift = 128 - 8 * u32::from(size);
            Number::Integer((bits << shift) as i128 >> shift)
        }
        Code::Uint(_) => Number::Integer(bits as i128),
        Code::Float(4) => Number::Double(f32::from_bits(bits as u32).into()),
        Code::Float(_) => Number::Double(f64::from_bits(bits as u64)),
        Code::Small(which) => Number::Double(small(which.into(), bits as u64)),
        Code::Extended => Number::Double(extended(bits)),
        Code::Ibm => Number::Double(ibm(bits as u32)),
    }
}

/// The bytes of a number, as far as the type can hold it.
pub(super) fn stored_as(number: Number, element: Element) -> Vec<u8> {
    let integer = |low: i128, high: i128| match number {
        Number::Integer(number) => number,
        Number::Double(number) => (number as i128).clamp(low, high),
    };
    let bits = match element.code {
        Code::Bool => u128::from(number.double() != 0.0),
        Code::Int(size) => integer(-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1) as u128,
        Code::Uint(size) => integer(0, (1 << (8 * size)) - 1) as u128,
        Code::Float(4) => number.single().to_bits().into(),
        Code::Float(_) => number.double().to_bits().into(),
        Code::Small(which) => to_small(which.into(), number.double()).into(),
        Code::Extended => crate::convert::small::extended(number.double()),
        Code::Ibm => to_ibm(number.double()).into(),
    };
    let mut bytes = bits.to_le_bytes()[..element.code.size()].to_vec();
    if element.big {
        bytes.reverse();
    }
    bytes
}

/// Whether bytes are equal, or both are NaN.
pub(super) fn same(element: Element, one: &[u8], other: &[u8]) -> bool {
    one == other || number_of(element, one).double().is_nan() && number_of(element, other).double().is_nan()
}
