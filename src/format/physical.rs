//! What stored elements stand for: scale, offset and missing values, from the attributes in which each format keeps them.
//!
//! | format             | scale, offset                                                     | missing                                    |
//! |--------------------|-------------------------------------------------------------------|--------------------------------------------|
//! | NetCDF, HDF5, Zarr | `scale_factor`, `add_offset` (NetCDF Users Guide, CF conventions) | `_FillValue`, `missing_value`, a fill value other than 0 |
//! | FITS images        | `BSCALE`, `BZERO`                                                 | `BLANK`                                    |
//! | FITS tables        | `TSCALn`, `TZEROn` of the column                                  | `TNULLn`                                   |
//! | NIfTI, Analyze     | `scl_slope` unless it is 0, `scl_inter`                           |                                            |
//! | DICOM              | `RescaleSlope`, `RescaleIntercept`                                |                                            |
//! | EDF, BDF           | `scale`, `offset`                                                 |                                            |
//! | AFNI               | `BRICK_FLOAT_FACS` unless it is 0                                 |                                            |
//! | PAR/REC            | `rescale slope`, `rescale intercept`                              |                                            |
//! | LAS                | `scale` and `offset`, for `X`, `Y` and `Z`                        |                                            |
//! | ENVI               | 1 / `reflectance scale factor`                                    | `data ignore value`                        |
//! | TIFF, EHdr         |                                                                   | `GDAL_NODATA`; `NODATA`                    |
//!
//! `_Unsigned` of NetCDF, and `signtype` of MINC, say that signed integers are to be taken for unsigned ones. Where a scale differs from slice to slice (AFNI, PAR/REC),
//! there is no physical value here.

use serde_json::Value;

use super::Array;
use crate::convert::{Code, Conversion, Element, Scaling};

/// The most values that may stand for a missing one.
const MAX_MISSING: usize = 16;

/// What a format calls its scale, its offset and its missing values.
struct Names {
    scale: &'static str,
    offset: &'static str,
    missing: &'static [&'static str],
}

const CONVENTIONS: Names =
    Names { scale: "scale_factor", offset: "add_offset", missing: &["_FillValue", "missing_value"] };

/// Attributes and what they are of: of the whole array, or of a column.
struct Attributes<'a> {
    array: &'a Array,
}

impl Attributes<'_> {
    /// A number, or a list of equal numbers; nothing where there is none, or where they differ.
    fn number(&self, name: &str) -> Result<Option<f64>, Varies> {
        match self.array.attributes.get(name) {
            Some(Value::Array(list)) => {
                let first = list.first().and_then(real);
                if list.iter().all(|value| real(value) == first) { Ok(first) } else { Err(Varies) }
            }
            Some(value) => Ok(real(value)),
            None => Ok(None),
        }
    }

    /// One number of a list.
    fn nth(&self, name: &str, number: usize) -> Option<f64> {
        real(self.array.attributes.get(name)?.as_array()?.get(number)?)
    }

    /// The values under some names that stand for none.
    fn missing(&self, names: &[&str]) -> Vec<Value> {
        let found = names.iter().filter_map(|name| self.array.attributes.get(*name));
        let each = found.flat_map(|value| match value {
            Value::Array(list) => list.clone(),
            value => vec![value.clone()],
        });
        each.take(MAX_MISSING).collect()
    }
}

/// A number, also one in a text, as TIFF has it.
fn real(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}

/// That a scale is not the same for all elements.
struct Varies;

/// How physical values come from the elements of an array, or of a field of them; nothing where they are not numbers, or where no
/// one scale holds for all.
pub fn values(array: &Array, field: Option<&str>, stored: Element) -> Option<Conversion> {
    let attributes = Attributes { array };
    let (scale, offset, missing) = scaling(&attributes, field).ok()?;
    let says = |name: &str, word: &str| matches!(array.attributes.get(name), Some(Value::String(text)) if text.trim_end_matches('_').eq_ignore_ascii_case(word));
    let is_unsigned = says("_Unsigned", "true") || says("signtype", "unsigned");
    let from = match stored.code {
        Code::Int(size) if is_unsigned => Element { code: Code::Uint(size), ..stored },
        _ => stored,
    };
    let (scale, offset) = (scale.unwrap_or(1.0), offset.unwrap_or(0.0));
    let mut bytes: Vec<Vec<u8>> = missing.iter().filter_map(|value| encoded(value, stored)).collect();
    if field.is_none() && array.fill.len() == stored.size() && array.fill.iter().any(|&byte| byte != 0) {
        bytes.push(array.fill.clone());
    }
    // A float holds every whole number of 24 bits.
    let is_narrow = matches!(from.code, Code::Bool | Code::Int(1 | 2) | Code::Uint(1 | 2) | Code::Small(_));
    let is_whole = scale == 1.0 && offset.fract() == 0.0 && offset.abs() <= 4_194_304.0;
    let is_single = is_narrow && is_whole || from.code == Code::Float(4) && scale == 1.0 && offset == 0.0;
    let to = Element { complex: from.complex, ..Element::new(Code::Float(if is_single { 4 } else { 8 }), false) };
    let scaling =
        (scale != 1.0 || offset != 0.0 || !bytes.is_empty()).then_some(Scaling { scale, offset, missing: bytes });
    match from.complex {
        true => scaling.is_none().then(|| Conversion::new(from, to)),
        false => Some(Conversion { scaling, ..Conversion::new(from, to) }),
    }
}

type Parts = (Option<f64>, Option<f64>, Vec<Value>);

fn scaling(attributes: &Attributes<'_>, field: Option<&str>) -> Result<Parts, Varies> {
    let named = |Names { scale, offset, missing }| {
        Ok((attributes.number(scale)?, attributes.number(offset)?, attributes.missing(missing)))
    };
    let is_set = |scale: &f64| *scale != 0.0 && scale.is_finite();
    match (attributes.array.format, field) {
        ("fits", Some(field)) => {
            let number = attributes.array.dtype.part_names().iter().position(|name| *name == field);
            let Some(number) = number.map(|number| number + 1) else { return Ok((None, None, Vec::new())) };
            let name = |key: &str| format!("{key}{number}");
            let missing = attributes.missing(&[&name("TNULL")]);
            Ok((attributes.number(&name("TSCAL"))?, attributes.number(&name("TZERO"))?, missing))
        }
        ("las", Some(field)) => {
            let axis = ["X", "Y", "Z"].iter().position(|name| *name == field);
            let of_axis = |name: &str| axis.and_then(|axis| attributes.nth(name, axis));
            Ok((of_axis("scale"), of_axis("offset"), Vec::new()))
        }
        // What an array says of its elements, it does not say of their parts.
        (_, Some(_)) => Ok((None, None, Vec::new())),
        ("fits", None) => named(Names { scale: "BSCALE", offset: "BZERO", missing: &["BLANK"] }),
        ("nifti" | "analyze", None) => {
            let (scale, offset, missing) = named(Names { scale: "scl_slope", offset: "scl_inter", missing: &[] })?;
            let scale = scale.filter(is_set);
            Ok((scale, offset.filter(|offset| scale.is_some() && offset.is_finite()), missing))
        }
        ("dicom", None) => named(Names { scale: "RescaleSlope", offset: "RescaleIntercept", missing: &[] }),
        ("edf" | "bdf", None) => named(Names { scale: "scale", offset: "offset", missing: &[] }),
        ("afni", None) => Ok((attributes.number("BRICK_FLOAT_FACS")?.filter(is_set), None, Vec::new())),
        ("parrec", None) => named(Names { scale: "rescale slope", offset: "rescale intercept", missing: &[] }),
        ("envi", None) => {
            let scale = attributes.number("reflectance scale factor")?.filter(is_set).map(|factor| 1.0 / factor);
            Ok((scale, None, attributes.missing(&["data ignore value"])))
        }
        ("tiff", None) => Ok((None, None, attributes.missing(&["GDAL_NODATA"]))),
        ("ehdr", None) => Ok((None, None, attributes.missing(&["NODATA"]))),
        (_, None) => named(CONVENTIONS),
    }
}

/// The stored element that is this number, if there is one.
fn encoded(value: &Value, stored: Element) -> Option<Vec<u8>> {
    if stored.complex {
        return None;
    }
    let (code, bytes) = match (value.as_i64(), value.as_u64()) {
        (Some(number), _) => (Code::Int(8), number.to_le_bytes()),
        (_, Some(number)) => (Code::Uint(8), number.to_le_bytes()),
        _ => (Code::Float(8), real(value)?.to_le_bytes()),
    };
    let there = Conversion::new(Element::new(code, false), stored);
    let back = Conversion::new(stored, Element::new(code, false));
    let (mut element, mut again) = (vec![0; stored.size()], [0; 8]);
    there.read(&bytes, &mut element);
    back.read(&element, &mut again);
    // A number with more digits than the type has is the nearest of it; an integer beyond its range is none.
    let is_one = !stored.code.is_integer()
        || again == bytes
        || (code == Code::Float(8) && f64::from_le_bytes(bytes) == f64::from_le_bytes(again));
    is_one.then_some(element)
}

#[cfg(test)]
mod tests;
