//! `data_type`, the element types of version 3.
//!
//! The core types are `bool`, `int8` to `int64`, `uint8` to `uint64`, `float16` to `float64`, `complex64`,
//! `complex128`, and raw bits, `r8`, `r16` and so on. What else there is are extensions: those that zarr-python writes
//! (`null_terminated_bytes`, `raw_bytes`, `fixed_length_utf32`, `numpy.datetime64`, `numpy.timedelta64`, `structured`
//! and its successor `struct`), and small numbers that NumPy has not ([`FOREIGN`]). No type has a byte order of its
//! own: the codec `bytes` gives it.
//!
//! A record is packed. Its fields are pairs of name and type (`structured`) or objects with the keys `name` and
//! `data_type` (`struct`). Small numbers in a field are shown as bytes.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Extension, damaged, plain, variable};
use crate::convert::small::Small;
use crate::dtype::{ByteOrder, DType, DTypeError, Field, Record};
use crate::format::Refusal;

/// Types that NumPy has too, by its letters.
const NUMPY: &[(&str, &str)] = &[
    ("bool", "b1"),
    ("int8", "i1"),
    ("int16", "i2"),
    ("int32", "i4"),
    ("int64", "i8"),
    ("uint8", "u1"),
    ("uint16", "u2"),
    ("uint32", "u4"),
    ("uint64", "u8"),
    ("float16", "f2"),
    ("float32", "f4"),
    ("float64", "f8"),
    ("complex64", "c8"),
    ("complex128", "c16"),
    ("complex_float32", "c8"),
    ("complex_float64", "c16"),
];

/// Types that NumPy has not. Those of less than 8 bits take the low bits of a byte.
const FOREIGN: &[Foreign] = &[
    Foreign::float("bfloat16", ["bf16", "bf16be"], Small::BFLOAT16),
    Foreign::float("float8_e3m4", ["f8_e3m4"; 2], Small::ieee(3, 4)),
    // Plain e4m3 has infinities here; what machine learning calls so has none.
    Foreign::float("float8_e4m3", ["f8_e4m3_ieee"; 2], Small::ieee(4, 3)),
    Foreign::float("float8_e4m3fn", ["f8_e4m3"; 2], Small::finite(4, 3, 7, 0x7e, Some(0x7f))),
    Foreign::float("float8_e4m3fnuz", ["f8_e4m3fnuz"; 2], Small::unsigned_zero(4, 3, 8)),
    Foreign::float("float8_e4m3b11fnuz", ["f8_e4m3b11fnuz"; 2], Small::unsigned_zero(4, 3, 11)),
    Foreign::float("float8_e5m2", ["f8_e5m2"; 2], Small::ieee(5, 2)),
    Foreign::float("float8_e5m2fnuz", ["f8_e5m2fnuz"; 2], Small::unsigned_zero(5, 2, 16)),
    Foreign::float("float8_e8m0fnu", ["f8_e8m0"; 2], Small::EXPONENT),
    Foreign::float("float6_e2m3fn", ["f6_e2m3"; 2], Small::finite(2, 3, 1, 0x1f, None)),
    Foreign::float("float6_e3m2fn", ["f6_e3m2"; 2], Small::finite(3, 2, 3, 0x1f, None)),
    Foreign::float("float4_e2m1fn", ["f4_e2m1"; 2], Small::finite(2, 1, 1, 0x07, None)),
    Foreign::integer("int2", "int2", -2, 1),
    Foreign::integer("int4", "int4", -8, 7),
    Foreign::integer("uint2", "uint2", 0, 3),
    Foreign::integer("uint4", "uint4", 0, 15),
    Foreign::complex("complex_float16", ["complex_float16", "complex_float16be"], Small::HALF),
    Foreign::complex("complex_bfloat16", ["complex_bfloat16", "complex_bfloat16be"], Small::BFLOAT16),
];

/// A type that NumPy has not.
#[derive(Debug, PartialEq)]
pub(super) struct Foreign {
    zarr: &'static str,
    /// What the elements are called, in little-endian and in big-endian order.
    names: [&'static str; 2],
    /// Numbers in an element: 2 where it is complex.
    pub(super) numbers: usize,
    /// Bytes of one of them.
    pub(super) size: usize,
    pub(super) code: Code,
}

/// How a number is coded.
#[derive(Debug, PartialEq)]
pub(super) enum Code {
    Float(Small),
    Integer { least: i128, greatest: i128 },
}

impl Foreign {
    const fn float(zarr: &'static str, names: [&'static str; 2], small: Small) -> Foreign {
        Foreign { zarr, names, numbers: 1, size: small.size(), code: Code::Float(small) }
    }

    const fn complex(zarr: &'static str, names: [&'static str; 2], small: Small) -> Foreign {
        Foreign { numbers: 2, ..Foreign::float(zarr, names, small) }
    }

    const fn integer(zarr: &'static str, name: &'static str, least: i128, greatest: i128) -> Foreign {
        Foreign { zarr, names: [name; 2], numbers: 1, size: 1, code: Code::Integer { least, greatest } }
    }
}

/// The type of the elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    pub(super) dtype: DType,
    /// What it is where `dtype` says only how many bytes it takes.
    pub(super) foreign: Option<&'static Foreign>,
    /// The byte order of what is foreign; a `dtype` knows its own.
    pub(super) order: ByteOrder,
}

impl Element {
    /// A type of NumPy's.
    pub(super) fn numpy(dtype: DType) -> Element {
        Element { dtype, foreign: None, order: ByteOrder::Little }
    }

    /// The type that a `data_type` names, its numbers in this order.
    pub(super) fn parse(value: &Value, order: ByteOrder) -> Result<Element, Refusal> {
        let Extension { name, configuration } = Extension::parse(value, "a data type")?;
        if let Some(foreign) = FOREIGN.iter().find(|foreign| foreign.zarr == name) {
            let dtype = dtype(&format!("|V{}", foreign.numbers * foreign.size))?;
            return Ok(Element { dtype, foreign: Some(foreign), order });
        }
        let mark = if order == ByteOrder::Big { '>' } else { '<' };
        if let Some((_, letters)) = NUMPY.iter().find(|(zarr, _)| *zarr == name) {
            return Ok(Element::numpy(dtype(&format!("{mark}{letters}"))?));
        }
        let number = |key: &str| {
            let found = configuration.get(key).and_then(Value::as_u64);
            found.ok_or_else(|| damaged(&format!("give the data type {} no number {key}", plain(&name))))
        };
        let text = match name.as_str() {
            "null_terminated_bytes" => format!("|S{}", number("length_bytes")?),
            "raw_bytes" => format!("|V{}", number("length_bytes")?),
            "fixed_length_utf32" => match number("length_bytes")? {
                length if length % 4 == 0 => format!("{mark}U{}", length / 4),
                length => return Err(damaged(&format!("give strings of 4-byte characters {length} bytes"))),
            },
            "numpy.datetime64" => format!("{mark}M8{}", unit(&configuration, number("scale_factor")?)?),
            "numpy.timedelta64" => format!("{mark}m8{}", unit(&configuration, number("scale_factor")?)?),
            "struct" | "structured" => return record(&configuration, order).map(Element::numpy),
            "string" | "bytes" | "variable_length_utf8" | "variable_length_bytes" => {
                return Err(variable("strings of variable length"));
            }
            _ => match raw_bits(&name) {
                Some(bits) if bits % 8 == 0 => format!("|V{}", bits / 8),
                Some(bits) => return Err(damaged(&format!("give an element {bits} bits, which are no whole bytes"))),
                None => {
                    return Err(Refusal(format!(
                        "its elements are of the type {}, which is not known here; convert it to another and write \
                         it again",
                        plain(&name)
                    )));
                }
            },
        };
        dtype(&text).map(Element::numpy)
    }

    /// What an element is where NumPy has no type for it.
    pub(super) fn name(&self) -> Option<&'static str> {
        self.foreign.map(|foreign| foreign.names[usize::from(self.order == ByteOrder::Big)])
    }
}

/// The type of NumPy's that a text names.
fn dtype(text: &str) -> Result<DType, Refusal> {
    DType::parse(text).map_err(refuse)
}

fn refuse(error: DTypeError) -> Refusal {
    Refusal(format!("the data type in its metadata cannot be served: {error}"))
}

/// `[10s]`, the unit of a moment or a span of time.
fn unit(configuration: &Map<String, Value>, scale: u64) -> Result<String, Refusal> {
    match configuration.get("unit").and_then(Value::as_str) {
        Some(unit) => Ok(format!("[{scale}{unit}]")),
        None => Err(damaged("give a time no unit")),
    }
}

/// The number in `r16`.
fn raw_bits(name: &str) -> Option<u64> {
    let digits = name.strip_prefix('r')?;
    let is_number =
        digits.starts_with(|c: char| ('1'..='9').contains(&c)) && digits.bytes().all(|c| c.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// A packed record.
fn record(configuration: &Map<String, Value>, order: ByteOrder) -> Result<DType, Refusal> {
    let no_fields = || damaged("give a structured type without a list of fields, each a name and a type");
    let list = configuration.get("fields").and_then(Value::as_array).ok_or_else(no_fields)?;
    let (mut fields, mut offset) = (Vec::new(), 0_u64);
    for item in list {
        let (name, of) = match item {
            Value::Array(pair) => match &pair[..] {
                [Value::String(name), of] => (name, of),
                _ => return Err(no_fields()),
            },
            Value::Object(field) => match (field.get("name"), field.get("data_type")) {
                (Some(Value::String(name)), Some(of)) => (name, of),
                _ => return Err(no_fields()),
            },
            _ => return Err(no_fields()),
        };
        let dtype = Element::parse(of, order)?.dtype;
        let end = offset.checked_add(dtype.itemsize()).ok_or_else(|| refuse(DTypeError::TooLarge))?;
        fields.push(Field { name: name.clone(), title: None, offset, dtype, shape: Vec::new() });
        offset = end;
    }
    Record::new(fields, offset).map(|record| DType::Record(Arc::new(record))).map_err(refuse)
}
