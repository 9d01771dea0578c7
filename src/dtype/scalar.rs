//! The names of scalar types, read and written.

use std::fmt;

use super::literal::{Literal, excerpt};
use super::{ByteOrder, DType, DTypeError, Kind, MAX_ITEMSIZE, Scalar};

/// Types called by a word or a single letter, with their size in bytes. The words are those of NumPy 2 on 64-bit
/// Linux; letters of strings stand for size 0.
const NAMES: &[(&str, Kind, u64)] = &[
    ("?", Kind::Bool, 1),
    ("bool", Kind::Bool, 1),
    ("bool_", Kind::Bool, 1),
    ("b", Kind::Int, 1),
    ("byte", Kind::Int, 1),
    ("int8", Kind::Int, 1),
    ("h", Kind::Int, 2),
    ("short", Kind::Int, 2),
    ("int16", Kind::Int, 2),
    ("i", Kind::Int, 4),
    ("intc", Kind::Int, 4),
    ("int32", Kind::Int, 4),
    ("l", Kind::Int, 8),
    ("q", Kind::Int, 8),
    ("n", Kind::Int, 8),
    ("p", Kind::Int, 8),
    ("int", Kind::Int, 8),
    ("int_", Kind::Int, 8),
    ("intp", Kind::Int, 8),
    ("long", Kind::Int, 8),
    ("longlong", Kind::Int, 8),
    ("int64", Kind::Int, 8),
    ("B", Kind::Uint, 1),
    ("ubyte", Kind::Uint, 1),
    ("uint8", Kind::Uint, 1),
    ("H", Kind::Uint, 2),
    ("ushort", Kind::Uint, 2),
    ("uint16", Kind::Uint, 2),
    ("I", Kind::Uint, 4),
    ("uintc", Kind::Uint, 4),
    ("uint32", Kind::Uint, 4),
    ("L", Kind::Uint, 8),
    ("Q", Kind::Uint, 8),
    ("N", Kind::Uint, 8),
    ("P", Kind::Uint, 8),
    ("uint", Kind::Uint, 8),
    ("uintp", Kind::Uint, 8),
    ("ulong", Kind::Uint, 8),
    ("ulonglong", Kind::Uint, 8),
    ("uint64", Kind::Uint, 8),
    ("e", Kind::Float, 2),
    ("half", Kind::Float, 2),
    ("float16", Kind::Float, 2),
    ("f", Kind::Float, 4),
    ("single", Kind::Float, 4),
    ("float32", Kind::Float, 4),
    ("d", Kind::Float, 8),
    ("double", Kind::Float, 8),
    ("float", Kind::Float, 8),
    ("float64", Kind::Float, 8),
    ("g", Kind::Float, 16),
    ("longdouble", Kind::Float, 16),
    ("float128", Kind::Float, 16),
    ("F", Kind::Complex, 8),
    ("csingle", Kind::Complex, 8),
    ("complex64", Kind::Complex, 8),
    ("D", Kind::Complex, 16),
    ("cdouble", Kind::Complex, 16),
    ("complex", Kind::Complex, 16),
    ("complex128", Kind::Complex, 16),
    ("G", Kind::Complex, 32),
    ("clongdouble", Kind::Complex, 32),
    ("complex256", Kind::Complex, 32),
    ("c", Kind::Bytes, 1),
    ("S", Kind::Bytes, 0),
    ("a", Kind::Bytes, 0),
    ("bytes", Kind::Bytes, 0),
    ("bytes_", Kind::Bytes, 0),
    ("U", Kind::Unicode, 0),
    ("str", Kind::Unicode, 0),
    ("str_", Kind::Unicode, 0),
    ("unicode", Kind::Unicode, 0),
    ("V", Kind::Void, 0),
    ("void", Kind::Void, 0),
    ("M", Kind::DateTime, 8),
    ("m", Kind::TimeDelta, 8),
];

/// Units of time.
const UNITS: &[&str] = &["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as", "generic"];

impl DType {
    /// The type that a text names: as NumPy writes it (`<f8`, `|S5`, `>U3`, `<M8[ns]`, `V12`, `f4`, `?`), by one of
    /// its names (`float32`, `half`), either with the byte order at the end (`f8be`, `int16le`), or the list of
    /// a structured type (`[('x', '<f4'), ('y', '<i4', (2,))]`). Where none is given the order is little-endian.
    ///
    /// # Errors
    /// If the text names no type, or one that cannot be served.
    pub fn parse(text: &str) -> Result<DType, DTypeError> {
        if text.trim_start().starts_with('[') {
            return DType::from_descr(&Literal::parse(text)?);
        }
        scalar(text).map(DType::Scalar)
    }
}

/// The scalar type that a text names.
pub(super) fn scalar(text: &str) -> Result<Scalar, DTypeError> {
    let unknown = || DTypeError::Unknown(excerpt(text));
    if let Some(scalar) = marked(text)? {
        return Ok(scalar);
    }
    let (stem, order) = (text.strip_suffix("be").map(|stem| (stem, ByteOrder::Big)))
        .or_else(|| text.strip_suffix("le").map(|stem| (stem, ByteOrder::Little)))
        .ok_or_else(unknown)?;
    unmarked(stem, order)?.ok_or_else(unknown)
}

/// A type with the byte order in front or nowhere.
fn marked(text: &str) -> Result<Option<Scalar>, DTypeError> {
    let order = match text.as_bytes().first() {
        // NumPy takes `|` before a number as the machine's own order, which is little-endian.
        Some(b'<' | b'=' | b'|') => ByteOrder::Little,
        Some(b'>') => ByteOrder::Big,
        _ => return unmarked(text, ByteOrder::Little),
    };
    unmarked(&text[1..], order)
}

/// A type of this byte order; nothing if the text names none.
fn unmarked(text: &str, order: ByteOrder) -> Result<Option<Scalar>, DTypeError> {
    if let Some(&(_, kind, itemsize)) = NAMES.iter().find(|(name, ..)| *name == text) {
        return Ok(Some(Scalar::new(kind, order, itemsize)));
    }
    if matches!(text, "O" | "O4" | "O8" | "object" | "object_") {
        return Err(DTypeError::Object);
    }
    if let Some(time) = time(text, order) {
        return Ok(Some(time));
    }
    let Some(letter) = text.chars().next() else { return Ok(None) };
    let Some(size) = decimal(&text[letter.len_utf8()..]) else { return Ok(None) };
    let kind = match (letter, size) {
        ('b', 1) => Kind::Bool,
        ('i', 1 | 2 | 4 | 8) => Kind::Int,
        ('u', 1 | 2 | 4 | 8) => Kind::Uint,
        ('f', 2 | 4 | 8 | 16) => Kind::Float,
        ('c', 8 | 16 | 32) => Kind::Complex,
        ('S' | 'a', _) => Kind::Bytes,
        ('U', _) => Kind::Unicode,
        ('V', _) => Kind::Void,
        _ => return Ok(None),
    };
    let size = if kind == Kind::Unicode { size.saturating_mul(4) } else { size };
    if size > MAX_ITEMSIZE {
        return Err(DTypeError::TooLarge);
    }
    Ok(Some(Scalar::new(kind, order, size)))
}

/// `M8`, `m8[25s]`, `datetime64[ns]` and the like.
fn time(text: &str, order: ByteOrder) -> Option<Scalar> {
    let (name, unit) = text.split_at(text.find('[').unwrap_or(text.len()));
    let kind = match name {
        "M8" | "datetime64" => Kind::DateTime,
        "m8" | "timedelta64" => Kind::TimeDelta,
        _ => return None,
    };
    let unit = if unit.is_empty() { None } else { time_unit(unit)? };
    Some(Scalar { unit, ..Scalar::new(kind, order, 8) })
}

/// A unit in brackets, as NumPy writes it back; the inner nothing is the generic unit.
fn time_unit(text: &str) -> Option<Option<Box<str>>> {
    let text = text.strip_prefix('[')?.strip_suffix(']')?;
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let count = if count.is_empty() { 1 } else { decimal(count).filter(|&count| count <= MAX_ITEMSIZE)? };
    let unit = match UNITS.iter().find(|&&known| known == unit)? {
        &"generic" => return Some(None),
        &"μs" => "us",
        unit => unit,
    };
    Some(Some(if count == 1 { format!("[{unit}]") } else { format!("[{count}{unit}]") }.into()))
}

/// A decimal number; saturates, so that a size beyond all bounds is still a size.
fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// As NumPy's `dtype.str`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            ByteOrder::Little => '<',
            ByteOrder::Big => '>',
            ByteOrder::None => '|',
        };
        let letter = match self.kind {
            Kind::Bool => 'b',
            Kind::Int => 'i',
            Kind::Uint => 'u',
            Kind::Float => 'f',
            Kind::Complex => 'c',
            Kind::Bytes => 'S',
            Kind::Unicode => 'U',
            Kind::Void => 'V',
            Kind::DateTime => 'M',
            Kind::TimeDelta => 'm',
        };
        let size = if self.kind == Kind::Unicode { self.itemsize / 4 } else { self.itemsize };
        write!(f, "{order}{letter}{size}{}", self.unit.as_deref().unwrap_or_default())
    }
}
