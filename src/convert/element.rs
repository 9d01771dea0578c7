//! How the number of an element is stored, and the names of that.

use std::sync::OnceLock;

use super::native::{self, Native};
use super::small::{self, Small};
use crate::dtype::{ByteOrder, DType, Kind, Scalar};

/// Bytes of the largest number.
pub(super) const WIDEST: usize = 16;

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A truth value in a byte: anything but 0 is true.
    Bool,
    /// A signed integer of 1, 2, 3, 4 or 8 bytes.
    Int(u8),
    /// An unsigned integer of 1, 2, 3, 4 or 8 bytes.
    Uint(u8),
    /// An IEEE 754 number of 4 or 8 bytes.
    Float(u8),
    /// A float of at most 16 bits, by its place in the table of them.
    Small(u8),
    /// x86's float of 80 bits in 16 bytes.
    Extended,
    /// IBM's float of 32 bits.
    Ibm,
}

/// The floats of at most 16 bits that can be converted.
pub(super) static SMALL: [Small; 9] = [
    Small::HALF,
    Small::BFLOAT16,
    Small::finite(4, 3, 7, 0x7e, Some(0x7f)),
    Small::ieee(5, 2),
    Small::unsigned_zero(4, 3, 8),
    Small::unsigned_zero(5, 2, 16),
    Small::ieee(3, 4),
    Small::ieee(4, 3),
    Small::EXPONENT,
];

const HALF: Code = Code::Small(0);
const BFLOAT16: Code = Code::Small(1);

/// All numbers of each small float, by their bits, once they are needed.
static NUMBERS: [OnceLock<Box<[f32]>>; SMALL.len()] = [const { OnceLock::new() }; SMALL.len()];

fn all_numbers(which: usize) -> Box<[f32]> {
    // A float of 32 bits holds every number of a smaller one.
    (0..1_u64 << (8 * SMALL[which].size())).map(|bits| SMALL[which].decode(bits) as f32).collect()
}

/// Names of elements for which NumPy has none: as `element` says them in `info.json`, and others that `as/` takes.
const FOREIGN: &[(&str, Code, bool)] = &[
    ("bf16", BFLOAT16, false),
    ("bf16be", BFLOAT16, true),
    ("f8_e4m3", Code::Small(2), false),
    ("f8_e5m2", Code::Small(3), false),
    ("f8_e4m3fnuz", Code::Small(4), false),
    ("f8_e5m2fnuz", Code::Small(5), false),
    ("f8_e3m4", Code::Small(6), false),
    ("f8_e4m3_ieee", Code::Small(7), false),
    ("f8_e8m0", Code::Small(8), false),
    ("i3", Code::Int(3), false),
    ("i3be", Code::Int(3), true),
    ("u3", Code::Uint(3), false),
    ("u3be", Code::Uint(3), true),
    ("ibm32", Code::Ibm, true),
    ("ibm32le", Code::Ibm, false),
    ("bf16le", BFLOAT16, false),
    ("bfloat16", BFLOAT16, false),
    ("e4m3", Code::Small(2), false),
    ("f8e4m3", Code::Small(2), false),
    ("float8_e4m3", Code::Small(2), false),
    ("float8_e4m3fn", Code::Small(2), false),
    ("e5m2", Code::Small(3), false),
    ("f8e5m2", Code::Small(3), false),
    ("float8_e5m2", Code::Small(3), false),
    ("i3le", Code::Int(3), false),
    ("u3le", Code::Uint(3), false),
    ("ibm32be", Code::Ibm, true),
    ("int24", Code::Int(3), false),
    ("uint24", Code::Uint(3), false),
];

/// How an element is stored that is a number, or a pair of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Element {
    /// The number, or each of the pair.
    pub code: Code,
    /// Whether its highest byte comes first.
    pub big: bool,
    /// Whether it is a pair, real and imaginary part.
    pub complex: bool,
}

impl Element {
    /// A single number.
    pub fn new(code: Code, big: bool) -> Element {
        Element { code, big: big && code.size() > 1, complex: false }
    }

    /// How elements of a type are stored, if they are numbers; `name` says what they are where the type says only how many
    /// bytes they take. Moments and spans of time are their counts.
    pub fn of(dtype: &DType, name: Option<&str>) -> Option<Element> {
        let DType::Scalar(Scalar { kind, order, itemsize, .. }) = dtype else { return None };
        let big = *order == ByteOrder::Big;
        let size = u8::try_from(*itemsize).ok()?;
        if let Some(name) = name {
            let found = FOREIGN.iter().find(|(known, code, _)| *known == name && code.size() == usize::from(size));
            return found.map(|&(_, code, big)| Element::new(code, big));
        }
        let complex = *kind == Kind::Complex;
        let code = match (kind, size) {
            (Kind::Bool, _) => Code::Bool,
            (Kind::Int | Kind::DateTime | Kind::TimeDelta, _) => Code::Int(size),
            (Kind::Uint, _) => Code::Uint(size),
            (Kind::Float, 2) => HALF,
            (Kind::Float, 4 | 8) => Code::Float(size),
            (Kind::Complex, 8 | 16) => Code::Float(size / 2),
            (Kind::Float, 16) | (Kind::Complex, 32) => Code::Extended,
            _ => return None,
        };
        Some(Element { complex, ..Element::new(code, big) })
    }

    /// The element that the name of a folder in `as/` asks for.
    pub fn parse(name: &str) -> Option<Element> {
        if let Some(&(_, code, big)) = FOREIGN.iter().find(|(known, ..)| *known == name) {
            return Some(Element::new(code, big));
        }
        match DType::parse(name).ok()? {
            DType::Scalar(Scalar { kind: Kind::DateTime | Kind::TimeDelta, .. }) => None,
            dtype => Element::of(&dtype, None),
        }
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        self.code.size() * if self.complex { 2 } else { 1 }
    }

    /// The type of such elements, and what they are where NumPy has none for them.
    pub fn dtype(self) -> (DType, Option<&'static str>) {
        let size = self.size() as u64;
        let kind = match self.code {
            Code::Bool => Kind::Bool,
            Code::Int(3) | Code::Uint(3) | Code::Ibm => Kind::Void,
            Code::Int(_) => Kind::Int,
            Code::Uint(_) => Kind::Uint,
            Code::Small(_) if self.code != HALF => Kind::Void,
            Code::Float(_) | Code::Small(_) | Code::Extended if self.complex => Kind::Complex,
            Code::Float(_) | Code::Small(_) | Code::Extended => Kind::Float,
        };
        let order = if self.big { ByteOrder::Big } else { ByteOrder::Little };
        let name =
            (kind == Kind::Void).then(|| FOREIGN.iter().find(|(_, code, big)| *code == self.code && *big == self.big));
        (DType::Scalar(Scalar::new(kind, order, size)), name.flatten().map(|(name, ..)| *name))
    }

    /// The name by which a folder in `as/` asks for it.
    pub fn name(self) -> String {
        let (dtype, name) = self.dtype();
        match name {
            Some(name) => name.to_owned(),
            None => {
                let text = dtype.to_string();
                let order = if self.big { "be" } else { "" };
                format!("{}{order}", text.trim_start_matches(['<', '>', '|']))
            }
        }
    }

    /// Whether the numbers lie in memory as this machine has them.
    pub(super) fn is_native(self) -> bool {
        !self.big && matches!(self.code, Code::Int(1 | 2 | 4 | 8) | Code::Uint(1 | 2 | 4 | 8) | Code::Float(_))
    }
}

impl Code {
    /// How many kinds of [`Code::Small`] there are.
    pub const SMALL_KINDS: usize = SMALL.len();

    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Code::Bool => 1,
            Code::Int(size) | Code::Uint(size) | Code::Float(size) => size.into(),
            Code::Small(which) => SMALL[usize::from(which)].size(),
            Code::Extended => 16,
            Code::Ibm => 4,
        }
    }

    /// Whether it is IEEE 754 binary16.
    pub fn is_half(self) -> bool {
        self == HALF
    }

    /// Whether it has no fraction.
    pub fn is_integer(self) -> bool {
        matches!(self, Code::Bool | Code::Int(_) | Code::Uint(_))
    }

    /// What its numbers are for this machine.
    pub(super) fn native(self) -> Native {
        match self {
            Code::Bool | Code::Uint(1) => Native::U8,
            Code::Uint(2) => Native::U16,
            Code::Uint(3 | 4) => Native::U32,
            Code::Uint(_) => Native::U64,
            Code::Int(1) => Native::I8,
            Code::Int(2) => Native::I16,
            Code::Int(3 | 4) => Native::I32,
            Code::Int(_) => Native::I64,
            Code::Float(4) | Code::Small(_) => Native::F32,
            Code::Float(_) | Code::Extended | Code::Ibm => Native::F64,
        }
    }

    /// What numbers of `kind` are made before they are encoded, so that they are rounded only once.
    pub(super) fn encoded_from(self, kind: Native) -> Native {
        match self {
            Code::Bool | Code::Small(_) if kind == Native::F32 => Native::F32,
            Code::Bool | Code::Small(_) => Native::F64,
            // A float is cut to the range of 24 bits, and not to that of 32.
            Code::Int(3) | Code::Uint(3) if matches!(kind, Native::F32 | Native::F64) => Native::F64,
            _ => self.native(),
        }
    }

    /// Reads little-endian numbers.
    pub(super) fn decode(self, bytes: &[u8], numbers: &mut [u8]) {
        match self {
            Code::Bool => numbers.iter_mut().zip(bytes).for_each(|(number, &byte)| *number = u8::from(byte != 0)),
            Code::Int(3) | Code::Uint(3) => {
                for (number, bytes) in numbers.chunks_exact_mut(4).zip(bytes.chunks_exact(3)) {
                    let sign = if self == Code::Int(3) && bytes[2] >= 0x80 { 0xff } else { 0 };
                    number.copy_from_slice(&[bytes[0], bytes[1], bytes[2], sign]);
                }
            }
            Code::Small(which) => decode_small(which, bytes, numbers),
            Code::Extended => {
                each(bytes, numbers, |bytes: [u8; 16]| small::from_extended(u128::from_le_bytes(bytes)).to_ne_bytes())
            }
            Code::Ibm => each(bytes, numbers, |bytes| small::from_ibm(u32::from_le_bytes(bytes)).to_ne_bytes()),
            Code::Int(_) | Code::Uint(_) | Code::Float(_) => numbers.copy_from_slice(bytes),
        }
    }

    /// Writes little-endian numbers. What does not fit becomes NaN, or the largest number there is.
    pub(super) fn encode(self, kind: Native, numbers: &[u8], bytes: &mut [u8]) {
        match self {
            Code::Bool if kind == Native::F32 => {
                each(numbers, bytes, |number| [u8::from(f32::from_ne_bytes(number) != 0.0)]);
            }
            Code::Bool => each(numbers, bytes, |number| [u8::from(f64::from_ne_bytes(number) != 0.0)]),
            Code::Int(3) | Code::Uint(3) if kind == Native::F64 => {
                let (low, high) = if self == Code::Int(3) { (-8_388_608.0, 8_388_607.0) } else { (0.0, 16_777_215.0) };
                each(numbers, bytes, |number| {
                    let [a, b, c, _] = (f64::from_ne_bytes(number).clamp(low, high) as i32).to_le_bytes();
                    [a, b, c]
                });
            }
            Code::Int(3) | Code::Uint(3) => each(numbers, bytes, |[a, b, c, _]: [u8; 4]| [a, b, c]),
            Code::Small(which) => encode_small(which, kind, numbers, bytes),
            Code::Extended => each(numbers, bytes, |number| small::extended(f64::from_ne_bytes(number)).to_le_bytes()),
            Code::Ibm => each(numbers, bytes, |number| to_ibm(f64::from_ne_bytes(number)).to_le_bytes()),
            Code::Int(_) | Code::Uint(_) | Code::Float(_) => bytes.copy_from_slice(numbers),
        }
    }

    /// The first of some numbers that this code cannot hold.
    pub(super) fn first_unfit(self, kind: Native, numbers: &[u8]) -> Option<usize> {
        let floats = || native::floats(kind, numbers);
        match self {
            Code::Bool => floats().iter().position(|&number| number != 0.0 && number != 1.0),
            Code::Int(3) => floats().iter().position(|number| !(-8_388_608.0..8_388_608.0).contains(&number.trunc())),
            Code::Uint(3) => floats().iter().position(|number| !(0.0..16_777_216.0).contains(&number.trunc())),
            Code::Small(which) => {
                let small = &SMALL[usize::from(which)];
                let fits = |&number: &f64| match small.encode(number) {
                    Some(bits) => number.is_nan() || small.decode(bits).is_infinite() == number.is_infinite(),
                    None => false,
                };
                floats().iter().position(|number| !fits(number))
            }
            Code::Ibm => floats().iter().position(|&number| small::to_ibm(number).is_none()),
            Code::Extended => None,
            Code::Int(_) | Code::Uint(_) | Code::Float(_) => native::first_unfit(kind, self.native(), numbers),
        }
    }
}

/// Converts each `M` bytes into `N`.
fn each<const M: usize, const N: usize>(source: &[u8], target: &mut [u8], convert: impl Fn([u8; M]) -> [u8; N]) {
    let (source, _) = source.as_chunks::<M>();
    let (target, _) = target.as_chunks_mut::<N>();
    target.iter_mut().zip(source).for_each(|(target, &source)| *target = convert(source));
}

fn decode_small(which: u8, bytes: &[u8], numbers: &mut [u8]) {
    if Code::Small(which) == BFLOAT16 {
        return each(bytes, numbers, |bytes| (u32::from(u16::from_le_bytes(bytes)) << 16).to_ne_bytes());
    }
    let table = NUMBERS[usize::from(which)].get_or_init(|| all_numbers(which.into()));
    if SMALL[usize::from(which)].size() == 2 {
        each(bytes, numbers, |bytes| table[usize::from(u16::from_le_bytes(bytes))].to_ne_bytes());
    } else {
        each(bytes, numbers, |[byte]: [u8; 1]| table[usize::from(byte)].to_ne_bytes());
    }
}

fn encode_small(which: u8, kind: Native, numbers: &[u8], bytes: &mut [u8]) {
    let small = &SMALL[usize::from(which)];
    let nearest = |number: f64| small.encode(number).unwrap_or_else(|| small.instead_of(number));
    match (kind, small.size()) {
        (Native::F32, 2) => {
            each(numbers, bytes, |number| (nearest(f32::from_ne_bytes(number).into()) as u16).to_le_bytes());
        }
        (Native::F32, _) => each(numbers, bytes, |number| [nearest(f32::from_ne_bytes(number).into()) as u8]),
        (_, 2) => each(numbers, bytes, |number| (nearest(f64::from_ne_bytes(number)) as u16).to_le_bytes()),
        _ => each(numbers, bytes, |number| [nearest(f64::from_ne_bytes(number)) as u8]),
    }
}

/// The nearest number; the largest for what is larger, and 0 for NaN.
fn to_ibm(number: f64) -> u32 {
    let largest = if number > 0.0 { 0x7fff_ffff } else { 0xffff_ffff };
    small::to_ibm(number).unwrap_or(if number.is_nan() { 0 } else { largest })
}
