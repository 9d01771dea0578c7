//! numcodecs' filters that calculate: each decodes to numbers of one type from numbers of another.
//!
//! - `delta`: each number is the sum of those before it, wrapping around where integers overflow;
//! - `fixedscaleoffset`: each is divided by a scale, and an offset added, in floating point;
//! - `astype`, `quantize`: each is converted;
//! - `packbits`: truth values, 8 to a byte and the highest bit first, behind a byte with the number of unused bits.
//!
//! The rules of calculation are NumPy's. Halves (`f2`) and numbers of more than 8 bytes are not known.

use super::{Codec, Damage};
use crate::dtype::{ByteOrder, DType, Kind};

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unpack) struct Type {
    kind: Kind,
    is_big: bool,
    size: usize,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Integer(i128),
    Single(f32),
    Double(f64),
}

impl Type {
    /// The type that a text names, if it is one that can be calculated with.
    pub(in crate::unpack) fn parse(text: &str) -> Option<Type> {
        let DType::Scalar(scalar) = DType::parse(text).ok()? else { return None };
        let is_known = match scalar.kind {
            Kind::Int | Kind::Uint => true,
            Kind::Float => matches!(scalar.itemsize, 4 | 8),
            _ => false,
        };
        let size = usize::try_from(scalar.itemsize).ok()?;
        is_known.then_some(Type { kind: scalar.kind, is_big: scalar.order == ByteOrder::Big, size })
    }

    fn read(self, bytes: &[u8]) -> Number {
        let mut raw = [0; 8];
        raw[..self.size].copy_from_slice(bytes);
        if self.is_big {
            raw[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(raw);
        match (self.kind, self.size) {
            (Kind::Float, 4) => Number::Single(f32::from_bits(bits as u32)),
            (Kind::Float, _) => Number::Double(f64::from_bits(bits)),
            (Kind::Uint, _) => Number::Integer(i128::from(bits)),
            _ => {
                // The sign is the highest bit that the number has.
                let unused = 64 - 8 * self.size as u32;
                Number::Integer(i128::from((bits << unused) as i64 >> unused))
            }
        }
    }

    fn write(self, number: Number, plain: &mut Vec<u8>) {
        let bits = match (self.kind, self.size, number) {
            (Kind::Float, 4, number) => u64::from(number.single().to_bits()),
            (Kind::Float, _, number) => number.double().to_bits(),
            // Integers wrap around; of what is beyond them as a float, C says nothing.
            (_, _, Number::Integer(number)) => number as u64,
            (_, _, number) => number.double() as i128 as u64,
        };
        let mut raw = bits.to_le_bytes();
        let raw = &mut raw[..self.size];
        if self.is_big {
            raw.reverse();
        }
        plain.extend_from_slice(raw);
    }

    /// The type in which NumPy divides numbers of this one.
    fn is_calculated_in_single(self) -> bool {
        self.kind == Kind::Float && self.size == 4
    }
}

impl Number {
    fn single(self) -> f32 {
        match self {
            Number::Integer(number) => number as f32,
            Number::Single(number) => number,
            Number::Double(number) => number as f32,
        }
    }

    fn double(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Single(number) => f64::from(number),
            Number::Double(number) => number,
        }
    }
}

/// A filter that calculates.
#[derive(Clone, Copy, Debug)]
pub(in crate::unpack) struct Numbers {
    pub(in crate::unpack) filter: Filter,
    /// What was encoded, and comes out.
    pub(in crate::unpack) plain: Type,
    /// What it became.
    pub(in crate::unpack) stored: Type,
}

/// What a filter calculates.
#[derive(Clone, Copy, Debug)]
pub(in crate::unpack) enum Filter {
    /// Sums.
    Delta,
    /// `number / scale + offset`
    FixedScaleOffset {
        /// What numbers are divided by.
        scale: f64,
        /// What is added then.
        offset: f64,
    },
    /// Only the type changes.
    AsType,
}

impl Codec for Numbers {
    fn name(&self) -> &'static str {
        match self.filter {
            Filter::Delta => "delta",
            Filter::FixedScaleOffset { .. } => "fixedscaleoffset",
            Filter::AsType => "astype",
        }
    }

    fn most(&self, plain: u64) -> u64 {
        (plain / self.plain.size as u64).saturating_mul(self.stored.size as u64)
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let numbers = bytes.chunks_exact(self.stored.size);
        if !numbers.remainder().is_empty() {
            return Err(Damage::too_short());
        }
        if numbers.len() > limit / self.plain.size {
            return Err(Damage::too_long(limit));
        }
        let mut plain = Vec::with_capacity(numbers.len() * self.plain.size);
        let mut sum = match (self.plain.kind, self.plain.size) {
            (Kind::Float, 4) => Number::Single(0.0),
            (Kind::Float, _) => Number::Double(0.0),
            _ => Number::Integer(0),
        };
        let mut is_first = true;
        for number in numbers {
            let number = self.stored.read(number);
            let result = match self.filter {
                Filter::AsType => number,
                Filter::FixedScaleOffset { scale, offset } if self.stored.is_calculated_in_single() => {
                    Number::Single(number.single() / scale as f32 + offset as f32)
                }
                Filter::FixedScaleOffset { scale, offset } => Number::Double(number.double() / scale + offset),
                Filter::Delta => {
                    sum = match (sum, number) {
                        // The first is no sum: 0 + -0 would be 0.
                        (Number::Single(_), number) if is_first => Number::Single(number.single()),
                        (Number::Double(_), number) if is_first => Number::Double(number.double()),
                        (Number::Single(sum), number) => Number::Single(sum + number.single()),
                        (Number::Double(sum), number) => Number::Double(sum + number.double()),
                        (Number::Integer(sum), Number::Integer(number)) => {
                            // What does not fit is cut when it is written; no sum of so few bytes leaves 128 bits.
                            Number::Integer(sum.wrapping_add(number))
                        }
                        (Number::Integer(_), _) => return Err(Damage::new("differences of integers that are none")),
                    };
                    is_first = false;
                    sum
                }
            };
            self.plain.write(result, &mut plain);
        }
        Ok(plain)
    }
}

/// Truth values in bits.
#[derive(Debug)]
pub(in crate::unpack) struct PackBits;

impl Codec for PackBits {
    fn name(&self) -> &'static str {
        "packbits"
    }

    fn most(&self, plain: u64) -> u64 {
        plain.div_ceil(8) + 1
    }

    fn decode(&self, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Damage> {
        let (&unused, bits) = bytes.split_first().ok_or_else(Damage::too_short)?;
        let count = (bits.len().saturating_mul(8)).checked_sub(usize::from(unused)).ok_or_else(Damage::too_short)?;
        if count > limit {
            return Err(Damage::too_long(limit));
        }
        let values = bits.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        Ok(values.take(count).collect())
    }
}
