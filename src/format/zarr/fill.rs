//! `fill_value`: the element that stands where no chunk was written.
//!
//! | type                       | JSON                                                                           |
//! |----------------------------|--------------------------------------------------------------------------------|
//! | any                        | null, in version 2: NaT for times, as zarr-python has it, zeros for the rest   |
//! | bool                       | true, false                                                                    |
//! | integers                   | a number without a fraction                                                    |
//! | floats                     | a number; `"NaN"`, `"Infinity"`, `"-Infinity"`; the bits, `"0x7fc00000"`       |
//! | complex                    | a list of two of these                                                         |
//! | times                      | the number of units; `"NaT"`                                                   |
//! | byte strings               | Base64                                                                         |
//! | strings                    | the string                                                                     |
//! | raw bytes                  | Base64, or a list of numbers                                                   |
//! | records                    | Base64 of all bytes, in the array's byte order; an object of the fields' values |
//!
//! Beyond that, as zarr-python takes them: numbers in strings, integers written with a fraction of 0. A 0 or an empty
//! string means zeros for every type.

use serde_json::Value;

use super::damaged;
use super::element::{Code, Element, Foreign};
use crate::convert::small::{Small, extended};
use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind, Scalar};
use crate::format::Refusal;

/// The largest element, in bytes, that may have a fill value other than zeros.
const MAX_FILL: u64 = 1 << 20;

/// The bytes of the fill value; none where they are all zeros.
pub(super) fn bytes(value: &Value, element: &Element) -> Result<Vec<u8>, Refusal> {
    let is_time = |dtype: &DType| matches!(dtype, DType::Scalar(Scalar { kind: Kind::DateTime | Kind::TimeDelta, .. }));
    let itemsize = element.dtype.itemsize();
    let value = match value {
        Value::Null if is_time(&element.dtype) => &Value::from("NaT"),
        value if is_nothing(value) => return Ok(Vec::new()),
        value => value,
    };
    if itemsize > MAX_FILL {
        return Err(Refusal(format!(
            "its elements of {itemsize} bytes have a fill value other than zeros, and only those of up to {MAX_FILL} \
             bytes may; give it the fill value 0"
        )));
    }
    let mut bytes = Vec::new();
    let written = match element.foreign {
        Some(foreign) => write_foreign(value, foreign, element.order, &mut bytes),
        None => write(value, &element.dtype, &mut bytes),
    };
    if written.is_none() {
        let (value, dtype) = (excerpt(&value.to_string()), excerpt(&element.dtype.to_string()));
        let name = element.name().unwrap_or(&dtype);
        return Err(damaged(&format!("give {value} as fill value, which is none of the type {name}")));
    }
    Ok(if bytes.iter().all(|&byte| byte == 0) { Vec::new() } else { bytes })
}

/// The bytes of an element of a type that NumPy knows; nothing if the value is none of the type.
pub(crate) fn element_bytes(value: &Value, dtype: &DType) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if dtype.itemsize() > MAX_FILL {
        return None;
    }
    write(value, dtype, &mut bytes)?;
    Some(bytes)
}

/// Whether a value stands for zeros, whatever the type.
pub(crate) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        // A negative zero has a bit set.
        Value::Number(number) => number.as_f64().is_some_and(|number| number.to_bits() == 0),
        _ => false,
    }
}

/// Appends an element to `bytes`; nothing if the value is none of the type.
fn write(value: &Value, dtype: &DType, bytes: &mut Vec<u8>) -> Option<()> {
    let start = bytes.len();
    let end = start + usize::try_from(dtype.itemsize()).ok()?;
    match (dtype, value) {
        (_, value) if is_nothing(value) => {}
        (DType::Scalar(scalar), value) => write_scalar(value, scalar, bytes)?,
        (DType::Record(_), Value::String(text)) => {
            bytes.extend(base64(text)?);
            if bytes.len() != end {
                return None;
            }
        }
        (DType::Record(record), Value::Object(values)) => {
            for field in record.fields() {
                if !field.shape.is_empty() {
                    return None;
                }
                bytes.resize(start + usize::try_from(field.offset).ok()?, 0);
                write(values.get(&field.name)?, &field.dtype, bytes)?;
            }
        }
        (DType::Record(_), _) => return None,
    }
    if bytes.len() > end {
        return None;
    }
    bytes.resize(end, 0);
    Some(())
}

/// Appends the bytes of a scalar; zeros at its end may be missing.
fn write_scalar(value: &Value, scalar: &Scalar, bytes: &mut Vec<u8>) -> Option<()> {
    let size = usize::try_from(scalar.itemsize).ok()?;
    let order = scalar.order;
    match scalar.kind {
        Kind::Bool => bytes.push(match value {
            Value::Bool(truth) => u8::from(*truth),
            _ => u8::try_from(integer(value)?).ok().filter(|&number| number <= 1)?,
        }),
        Kind::Int => {
            put(integer_within(value, -1 << (8 * size - 1), (1 << (8 * size - 1)) - 1)? as u128, size, order, bytes)
        }
        Kind::Uint => put(integer_within(value, 0, (1 << (8 * size)) - 1)? as u128, size, order, bytes),
        Kind::DateTime | Kind::TimeDelta => {
            let number = match value {
                Value::String(text) if text == "NaT" => i64::MIN.into(),
                _ => integer_within(value, i64::MIN.into(), i64::MAX.into())?,
            };
            put(number as u128, size, order, bytes);
        }
        Kind::Float => put(float(value, size)?, size, order, bytes),
        Kind::Complex => {
            for part in parts(value)? {
                put(float(part, size / 2)?, size / 2, order, bytes);
            }
        }
        Kind::Bytes => bytes.extend(base64(value.as_str()?)?),
        Kind::Unicode => value.as_str()?.chars().for_each(|c| put(u32::from(c).into(), 4, order, bytes)),
        Kind::Void => match value {
            Value::String(text) => bytes.extend(base64(text)?),
            _ => {
                let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
                let list = value.as_array().filter(|list| list.len() == size)?;
                bytes.extend(list.iter().map(byte).collect::<Option<Vec<u8>>>()?);
            }
        },
    }
    Some(())
}

/// Appends an element of a type that NumPy has not.
fn write_foreign(value: &Value, foreign: &Foreign, order: ByteOrder, bytes: &mut Vec<u8>) -> Option<()> {
    let pair = if foreign.numbers == 2 { parts(value)? } else { [value; 2] };
    for value in &pair[..foreign.numbers] {
        let bits = match &foreign.code {
            Code::Integer { least, greatest } => integer_within(value, *least, *greatest)? as u128,
            Code::Float(small) => match hexadecimal(value, foreign.size) {
                Some(bits) => bits,
                None => small.encode(real(value)?)?.into(),
            },
        };
        put(bits, foreign.size, order, bytes);
    }
    Some(())
}

/// Appends the lowest `size` bytes of a number.
fn put(bits: u128, size: usize, order: ByteOrder, bytes: &mut Vec<u8>) {
    let little = bits.to_le_bytes();
    let little = &little[..size.min(16)];
    match order {
        ByteOrder::Big => bytes.extend(little.iter().rev()),
        ByteOrder::Little | ByteOrder::None => bytes.extend(little),
    }
}

/// Real and imaginary part.
fn parts(value: &Value) -> Option<[&Value; 2]> {
    match value.as_array()?.as_slice() {
        [real, imaginary] => Some([real, imaginary]),
        _ => None,
    }
}

fn integer_within(value: &Value, least: i128, greatest: i128) -> Option<i128> {
    integer(value).filter(|number| (least..=greatest).contains(number))
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Some(number.into()),
            (_, Some(number)) => Some(number.into()),
            // So large a float converts to the nearest end of the range, which no type holds.
            _ => number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i128),
        },
        _ => None,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_f64(),
    }
}

/// The bits in `"0x7fc00000"`, which must be all of them.
fn hexadecimal(value: &Value, size: usize) -> Option<u128> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    let are_all = digits.len() == 2 * size && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if are_all { u128::from_str_radix(digits, 16).ok() } else { None }
}

/// The bits of a float of this size.
fn float(value: &Value, size: usize) -> Option<u128> {
    if let Some(bits) = hexadecimal(value, size) {
        return Some(bits);
    }
    let number = real(value)?;
    match size {
        2 => Small::HALF.encode(number).map(u128::from),
        // What a conversion makes of a NaN is not certain.
        4 if number.is_nan() => Some(0x7fc0_0000),
        4 => Some((number as f32).to_bits().into()),
        8 if number.is_nan() => Some(0x7ff8 << 48),
        8 => Some(number.to_bits().into()),
        16 => Some(extended(number)),
        _ => None,
    }
}

/// What Base64 text stands for; padding at its end may be missing.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let number = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(number)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // A single digit is no byte.
    if count == 6 { None } else { Some(bytes) }
}
