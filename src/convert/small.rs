//! Floating-point numbers that Rust has no type for: those of at most 16 bits, x86's of 80, IBM's of 32.
//!
//! A [`Small`] says how sign, exponent and mantissa share the bits, so that one piece of arithmetic serves all of them:
//!
//! | name          | exponent, mantissa | infinities | source                                            |
//! |---------------|--------------------|------------|---------------------------------------------------|
//! | `f2`          | 5, 10              | yes        | IEEE 754 binary16                                 |
//! | `bf16`        | 8, 7               | yes        | the upper half of a binary32                      |
//! | `f8_e4m3`     | 4, 3               | no         | OCP 8-bit Floating Point Specification (OFP8)     |
//! | `f8_e5m2`     | 5, 2               | yes        | the same                                          |
//!
//! An IBM number is `(-1)^sign * mantissa / 2^24 * 16^(exponent - 64)`, with a sign of 1 bit, an exponent of 7 and a mantissa of
//! 24 without a hidden bit (IBM System/360 Principles of Operation); it has no infinity and no NaN.

/// The bits of x86's extended float: sign, 15 bits of exponent, 64 of mantissa with the leading 1 written out.
pub fn extended(number: f64) -> u128 {
    let bits = number.to_bits();
    let (exponent, fraction) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
    let (exponent, mantissa) = match (exponent, fraction) {
        (0, 0) => (0, 0),
        (0, _) => {
            let shift = fraction.leading_zeros();
            (16383 - 1011 - u64::from(shift), fraction << shift)
        }
        (0x7ff, 0) => (0x7fff, 1 << 63),
        (0x7ff, _) => (0x7fff, 3 << 62),
        _ => (exponent + 16383 - 1023, 1 << 63 | fraction << 11),
    };
    let sign = if number.is_nan() { 0 } else { bits >> 63 };
    u128::from(sign << 15 | exponent) << 64 | u128::from(mantissa)
}

/// A float of at most 16 bits: sign, exponent, mantissa, highest bit first.
#[derive(Debug, PartialEq, Eq)]
pub struct Small {
    is_signed: bool,
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    /// The largest finite number; nothing above it but infinity.
    largest: u64,
    infinity: Option<u64>,
    nan: Option<u64>,
    has_negative_zero: bool,
}

impl Small {
    /// IEEE 754 binary16.
    pub const HALF: Small = Small::ieee(5, 10);
    /// The upper half of a binary32.
    pub const BFLOAT16: Small = Small::ieee(8, 7);

    /// Powers of two, and nothing else.
    pub const EXPONENT: Small =
        Small { is_signed: false, has_negative_zero: false, ..Small::finite(8, 0, 127, 0xfe, Some(0xff)) };

    /// As IEEE 754 would have it: the highest exponent is for infinities and NaN.
    pub const fn ieee(exponent_bits: u32, mantissa_bits: u32) -> Small {
        let infinity = ((1 << exponent_bits) - 1) << mantissa_bits;
        let nan = Some(infinity | 1 << (mantissa_bits - 1));
        let bias = (1 << (exponent_bits - 1)) - 1;
        Small { infinity: Some(infinity), ..Small::finite(exponent_bits, mantissa_bits, bias, infinity - 1, nan) }
    }

    /// Without infinities.
    pub const fn finite(exponent_bits: u32, mantissa_bits: u32, bias: i32, largest: u64, nan: Option<u64>) -> Small {
        let (is_signed, has_negative_zero) = (true, true);
        Small { is_signed, exponent_bits, mantissa_bits, bias, largest, infinity: None, nan, has_negative_zero }
    }

    /// Without infinities, and with the one NaN where the negative zero would be.
    pub const fn unsigned_zero(exponent_bits: u32, mantissa_bits: u32, bias: i32) -> Small {
        let nan = 1 << (exponent_bits + mantissa_bits);
        let finite = Small::finite(exponent_bits, mantissa_bits, bias, nan - 1, Some(nan));
        Small { has_negative_zero: false, ..finite }
    }

    /// Bytes that it takes.
    pub const fn size(&self) -> usize {
        if self.exponent_bits + self.mantissa_bits < 8 {
            1
        } else if self.is_signed {
            2
        } else {
            1
        }
    }

    /// The number of these bits.
    pub fn decode(&self, bits: u64) -> f64 {
        let width = self.exponent_bits + self.mantissa_bits;
        let magnitude = bits & ((1 << width) - 1);
        if Some(magnitude) == self.nan.filter(|nan| nan >> width == 0) || Some(bits) == self.nan {
            return f64::NAN;
        }
        let exponent = (magnitude >> self.mantissa_bits) as i32;
        let mantissa = (magnitude & ((1 << self.mantissa_bits) - 1)) as f64;
        let least = 1 - self.bias - self.mantissa_bits as i32;
        let size = match self.infinity {
            Some(infinity) if magnitude == infinity => f64::INFINITY,
            // Above infinity there are other NaN than the one that is written.
            Some(infinity) if magnitude > infinity => f64::NAN,
            _ if exponent == 0 && self.is_signed => mantissa * 2_f64.powi(least),
            _ => (2_f64.powi(self.mantissa_bits as i32) + mantissa) * 2_f64.powi(exponent - 1 + least),
        };
        if self.is_signed && bits >> width & 1 == 1 { -size } else { size }
    }

    /// The bits that stand for a number that [`Small::encode`] has none for: NaN, or the largest there is.
    pub fn instead_of(&self, number: f64) -> u64 {
        let sign = u64::from(self.is_signed && number < 0.0) << (self.exponent_bits + self.mantissa_bits);
        self.nan.unwrap_or(if number.is_nan() { 0 } else { self.largest | sign })
    }

    /// The bits of the nearest number, of two the even one; nothing if there is none.
    pub fn encode(&self, number: f64) -> Option<u64> {
        if number.is_nan() {
            return self.nan;
        }
        let magnitude = number.abs();
        if !self.is_signed && number <= 2_f64.powi(1 - self.bias) {
            // Below the second of the powers of two there is only the first.
            return (number > 0.0).then_some(u64::from(number >= 1.5 * 2_f64.powi(-self.bias)));
        }
        // The exponent of the numbers just above zero, which have no leading 1, is that of the least ones with it.
        let least = 1 - self.bias;
        let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(least);
        let bits = if magnitude.is_infinite() {
            self.infinity?
        } else {
            let scale = f64::from_bits(((1023 + self.mantissa_bits as i32 - exponent) as u64) << 52);
            // A leading 1 in the units adds 1 to the exponent, and so does rounding up to the next power of two.
            let units = (magnitude * scale).round_ties_even() as u64;
            let bits = (((exponent - least) as u64) << self.mantissa_bits) + units;
            if bits <= self.largest { bits } else { self.infinity? }
        };
        let is_negative = number.is_sign_negative() && (bits != 0 || self.has_negative_zero);
        Some(bits | u64::from(is_negative) << (self.exponent_bits + self.mantissa_bits))
    }
}

/// The number of an x86 extended float, rounded to a double.
pub fn from_extended(bits: u128) -> f64 {
    let (mantissa, high) = (bits as u64, (bits >> 64) as u16);
    let size = match (high & 0x7fff, mantissa << 1) {
        (0x7fff, 0) => f64::INFINITY,
        (0x7fff, _) => return f64::NAN,
        (exponent, _) => {
            // Beyond these a double is infinite, or zero.
            let exponent = (i32::from(exponent) - 16383 - 63).clamp(-1200, 1100);
            match -1074 - exponent {
                // Units of the least double, of which fewer than 53 bits are left: rounded once.
                shift @ 12.. => {
                    let (whole, rest) =
                        (u128::from(mantissa) >> shift.min(100), u128::from(mantissa) << 64 >> shift.min(100));
                    let (rest, half) = (rest as u64, 1 << 63);
                    f64::from_bits(whole as u64 + u64::from(rest > half || rest == half && whole & 1 == 1))
                }
                _ => {
                    let half = exponent / 2;
                    mantissa as f64 * 2_f64.powi(half) * 2_f64.powi(exponent - half)
                }
            }
        }
    };
    if high >> 15 == 1 { -size } else { size }
}

/// The number of an IBM float of 32 bits; every one has a double.
pub fn from_ibm(bits: u32) -> f64 {
    let mantissa = f64::from(bits & 0xff_ffff);
    let exponent = (bits >> 24 & 0x7f) as i32;
    let size = mantissa * 2_f64.powi(4 * (exponent - 64) - 24);
    if bits >> 31 == 1 { -size } else { size }
}

/// The bits of the nearest IBM float of 32 bits, of two the even one; nothing for what it cannot say.
pub fn to_ibm(number: f64) -> Option<u32> {
    if !number.is_finite() {
        return None;
    }
    let sign = u32::from(number.is_sign_negative()) << 31;
    let magnitude = number.abs();
    if magnitude == 0.0 {
        return Some(sign);
    }
    let binary = (magnitude.to_bits() >> 52) as i32 - 1022;
    // The smallest exponent of 16 at which the mantissa is less than 1.
    let mut exponent = binary.div_euclid(4) + i32::from(binary.rem_euclid(4) != 0) + 64;
    exponent = exponent.max(0);
    let units = |exponent: i32| (magnitude * 2_f64.powi(24 - 4 * (exponent - 64))).round_ties_even();
    let mut mantissa = units(exponent);
    if mantissa >= f64::from(1 << 24) {
        exponent += 1;
        mantissa = units(exponent);
    }
    if exponent > 127 { None } else { Some(sign | (exponent as u32) << 24 | mantissa as u32) }
}

#[cfg(test)]
mod tests;
