//! Metadata of new arrays, without compressor: the way back from what `v2`, `v3`, `element` and `fill` read.
//!
//! What is written is read again and compared, so that no array is made whose description means another.

use serde_json::{Value, json};

use super::{Metadata, V2, V3};
use crate::dtype::{ByteOrder, DType, Field, Kind, Scalar};
use crate::format::Refusal;
use crate::layout::Order;
use crate::source::{Alone, Memory};

/// An array that is to be made.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Type of the elements.
    pub dtype: &'a DType,
    /// Length of each axis, in elements.
    pub shape: &'a [u64],
    /// Length of each axis of a chunk, none of them 0.
    pub chunk: &'a [u64],
    /// Order of the elements in a chunk.
    pub order: Order,
    /// The element that stands where no chunk was written.
    pub fill: &'a [u8],
}

impl New<'_> {
    /// The name and content of the file that describes the array in version 3.
    ///
    /// # Errors
    /// If version 3 has no such type.
    pub fn v3(&self) -> Result<(&'static str, Vec<u8>), Refusal> {
        let mut codecs = Vec::new();
        if self.order == Order::F && self.shape.len() > 1 {
            let reversed: Vec<usize> = (0..self.shape.len()).rev().collect();
            codecs.push(json!({"name": "transpose", "configuration": {"order": reversed}}));
        }
        codecs.push(match byte_order(self.dtype)? {
            ByteOrder::Big => json!({"name": "bytes", "configuration": {"endian": "big"}}),
            ByteOrder::Little => json!({"name": "bytes", "configuration": {"endian": "little"}}),
            ByteOrder::None => json!({"name": "bytes"}),
        });
        let metadata = json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": self.shape,
            "data_type": data_type(self.dtype)?,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill_value(self.dtype, self.fill, true)?,
            "codecs": codecs,
            "attributes": {},
        });
        self.checked(V3, &metadata)
    }

    /// The same in version 2.
    ///
    /// # Errors
    /// If the fill value cannot be written in JSON.
    pub fn v2(&self) -> Result<(&'static str, Vec<u8>), Refusal> {
        let metadata = json!({
            "zarr_format": 2,
            "shape": self.shape,
            "chunks": self.chunk,
            "dtype": self.dtype.to_json(),
            "order": if self.order == Order::F { "F" } else { "C" },
            "filters": null,
            "compressor": null,
            "fill_value": fill_value(self.dtype, self.fill, false)?,
            "dimension_separator": ".",
        });
        self.checked(V2, &metadata)
    }

    fn checked(&self, name: &'static str, metadata: &Value) -> Result<(&'static str, Vec<u8>), Refusal> {
        let text = format!("{metadata:#}\n").into_bytes();
        let read = Metadata::read(name, &Memory(&text), &Alone)?;
        let fill = if self.fill.iter().all(|&byte| byte == 0) { &[] } else { self.fill };
        if read.dtype != *self.dtype || read.shape != self.shape || read.chunk != self.chunk || read.fill != fill {
            return Err(Refusal(format!("Zarr cannot say exactly this type and fill value ({})", self.dtype)));
        }
        Ok((name, text))
    }
}

/// The byte order of all numbers of a type.
fn byte_order(dtype: &DType) -> Result<ByteOrder, Refusal> {
    let record = match dtype {
        DType::Scalar(scalar) => return Ok(scalar.order),
        DType::Record(record) => record,
    };
    record.fields().iter().try_fold(ByteOrder::None, |order, field| match (order, byte_order(&field.dtype)?) {
        (ByteOrder::None, other) => Ok(other),
        (order, other) if other == ByteOrder::None || other == order => Ok(order),
        _ => Err(Refusal(
            "Zarr 3 has no records of both byte orders; give all fields one, or take --zarr-format 2".into(),
        )),
    })
}

fn no_type(dtype: &DType) -> Refusal {
    Refusal(format!("Zarr 3 has no type for {dtype}; take another, or a .npy file"))
}

/// `data_type`, see `element`.
fn data_type(dtype: &DType) -> Result<Value, Refusal> {
    let record = match dtype {
        DType::Scalar(scalar) => return scalar_type(scalar).ok_or_else(|| no_type(dtype)),
        DType::Record(record) => record,
    };
    let mut end = 0;
    let mut fields = Vec::new();
    for Field { name, title, offset, dtype: of, shape } in record.fields() {
        if title.is_some() || !shape.is_empty() || *offset != end {
            return Err(Refusal(format!(
                "Zarr 3 has no records with titles, padding, or arrays as fields ({dtype}); take --zarr-format 2, or a .npy file"
            )));
        }
        end += of.itemsize();
        fields.push(json!([name, data_type(of)?]));
    }
    if end != record.itemsize() {
        return Err(no_type(dtype));
    }
    Ok(json!({"name": "structured", "configuration": {"fields": fields}}))
}

fn scalar_type(scalar: &Scalar) -> Option<Value> {
    let size = scalar.itemsize;
    let sized = |name: &str| json!({"name": name, "configuration": {"length_bytes": size}});
    Some(match scalar.kind {
        Kind::Bool => json!("bool"),
        Kind::Int => json!(format!("int{}", 8 * size)),
        Kind::Uint => json!(format!("uint{}", 8 * size)),
        Kind::Float if size <= 8 => json!(format!("float{}", 8 * size)),
        Kind::Complex if size <= 16 => json!(format!("complex{}", 8 * size)),
        Kind::Float | Kind::Complex => return None,
        Kind::Bytes => sized("null_terminated_bytes"),
        Kind::Unicode => sized("fixed_length_utf32"),
        Kind::Void => sized("raw_bytes"),
        Kind::DateTime => timed("numpy.datetime64", scalar),
        Kind::TimeDelta => timed("numpy.timedelta64", scalar),
    })
}

fn timed(name: &str, scalar: &Scalar) -> Value {
    let unit = scalar.unit.as_deref().unwrap_or("[generic]");
    let unit = unit.trim_matches(['[', ']']);
    let (count, unit) = unit.split_at(unit.bytes().take_while(u8::is_ascii_digit).count());
    json!({"name": name, "configuration": {"unit": unit, "scale_factor": count.parse().unwrap_or(1_u64)}})
}

/// `fill_value`, see `fill`.
fn fill_value(dtype: &DType, element: &[u8], is_v3: bool) -> Result<Value, Refusal> {
    let scalar = match dtype {
        DType::Scalar(scalar) => scalar,
        DType::Record(_) => return Ok(json!(base64(element))),
    };
    let little = |bytes: &[u8]| {
        let mut number = [0; 16];
        number[..bytes.len()].copy_from_slice(bytes);
        if scalar.order == ByteOrder::Big {
            number[..bytes.len()].reverse();
        }
        u128::from_le_bytes(number)
    };
    let signed = |bytes: &[u8]| {
        let unused = 64 - 8 * bytes.len();
        ((little(bytes) as u64) << unused) as i64 >> unused
    };
    Ok(match scalar.kind {
        Kind::Bool => json!(element.first().is_some_and(|&byte| byte != 0)),
        Kind::Int => json!(signed(element)),
        Kind::Uint => json!(little(element) as u64),
        Kind::DateTime | Kind::TimeDelta => match signed(element) {
            i64::MIN => json!("NaT"),
            number => json!(number),
        },
        Kind::Float | Kind::Complex if element.len() > if scalar.kind == Kind::Float { 8 } else { 16 } => {
            return Err(Refusal(format!("Zarr has no type for {dtype}; take another, or a .npy file")));
        }
        Kind::Float => float(little(element), element.len(), is_v3),
        Kind::Complex => {
            let (real, imaginary) = element.split_at(element.len() / 2);
            json!([real, imaginary].map(|part| float(little(part), part.len(), is_v3)))
        }
        Kind::Bytes => json!(base64(trimmed(element, 1))),
        Kind::Unicode => {
            let letter =
                |bytes: &[u8]| u32::try_from(little(bytes)).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            json!(trimmed(element, 4).chunks(4).map(letter).collect::<String>())
        }
        Kind::Void => json!(base64(element)),
    })
}

/// A string without the zeros behind it.
fn trimmed(element: &[u8], unit: usize) -> &[u8] {
    let mut units = element.chunks(unit).rev();
    let zeros = units.by_ref().take_while(|unit| unit.iter().all(|&byte| byte == 0)).count();
    &element[..element.len() - zeros * unit]
}

fn float(bits: u128, size: usize, is_v3: bool) -> Value {
    let (number, is_plain_nan) = match size {
        2 => (crate::convert::small::Small::HALF.decode(bits as u64), bits == 0x7e00),
        4 => (f32::from_bits(bits as u32).into(), bits == 0x7fc0_0000),
        _ => (f64::from_bits(bits as u64), bits == 0x7ff8 << 48),
    };
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() && is_v3 && !is_plain_nan => json!(format!("0x{bits:0width$x}", width = 2 * size)),
        None if number.is_nan() => json!("NaN"),
        None if number > 0.0 => json!("Infinity"),
        None => json!("-Infinity"),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0_usize, |number, &byte| number << 8 | usize::from(byte)) << (8 * (3 - group.len()));
        let digit = |at: usize| char::from(DIGITS[number >> (18 - 6 * at) & 63]);
        text.extend((0..=group.len()).map(digit));
        text.extend(std::iter::repeat_n('=', 3 - group.len()));
    }
    text
}
