//! The description of a type as Python and JSON values: `dtype.descr`, read and written.
//!
//! Reading follows `numpy.lib.format.descr_to_dtype`. A type is
//!
//! - a string, the name of a scalar type;
//! - a list of fields, each `(name, type)` or `(name, type, shape)`, one right after the other, where a name may be
//!   `(title, name)`, and a field called `''` of a type without fields that NumPy keeps as void is padding;
//! - in a field, a pair `(type, shape)`, an array of that type.
//!
//! JSON has no tuples, so lists stand for tuples everywhere but in the place of a type.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::literal::{Literal, Repr};
use super::{DType, DTypeError, Field, Kind, MAX_FIELD_NDIM, MAX_ITEMSIZE, Record, Scalar, scalar, size};

impl DType {
    /// The type that `descr` in the header of a `.npy` file describes.
    ///
    /// # Errors
    /// If the literal describes no type, or one that cannot be served.
    pub fn from_descr(literal: &Literal) -> Result<DType, DTypeError> {
        let (dtype, shape) = element(literal)?;
        if shape.is_empty() {
            Ok(dtype)
        } else {
            Err(DTypeError::Malformed("only a field can be an array; give its axes to the array itself"))
        }
    }

    /// The type that a value made by [`DType::to_json`] describes.
    ///
    /// # Errors
    /// If the value describes no type, or one that cannot be served.
    pub fn from_json(value: &Value) -> Result<DType, DTypeError> {
        DType::from_descr(&json_literal(value)?)
    }

    /// The type as JSON: a string, or the list of a structured type, `[["x", "<f4"], ["y", "<i4", [2]], ["", "|V4"]]`,
    /// where a name with a title is `["title", "name"]`.
    pub fn to_json(&self) -> Value {
        let record = match self {
            Self::Scalar(scalar) => return json!(scalar.to_string()),
            Self::Record(record) => record,
        };
        let items = record.items().map(|item| match item {
            Item::Padding(bytes) => json!(["", format!("|V{bytes}")]),
            Item::Field(Field { name, title, dtype, shape, .. }) => {
                let mut parts = vec![title.as_ref().map_or(json!(name), |title| json!([title, name])), dtype.to_json()];
                if !shape.is_empty() {
                    parts.push(json!(shape));
                }
                Value::Array(parts)
            }
        });
        Value::Array(items.collect())
    }
}

fn json_literal(value: &Value) -> Result<Literal, DTypeError> {
    Ok(match value {
        Value::String(text) => Literal::Str(text.clone()),
        Value::Number(number) => Literal::Int(number.as_i64().ok_or(DTypeError::Malformed("a number is no length"))?),
        Value::Array(items) => Literal::List(items.iter().map(json_literal).collect::<Result<_, _>>()?),
        _ => return Err(DTypeError::Malformed("it holds something other than strings, integers and lists")),
    })
}

/// The type of an element, and the shape where it is an array.
fn element(literal: &Literal) -> Result<(DType, Vec<u64>), DTypeError> {
    match literal {
        Literal::Str(text) => Ok((DType::Scalar(scalar::scalar(text)?), Vec::new())),
        Literal::List(fields) => Ok((DType::Record(Arc::new(record(fields)?)), Vec::new())),
        Literal::Tuple(pair) => match &pair[..] {
            [of, shape] => sub_array(element(of)?, shape),
            _ => Err(DTypeError::Malformed("a tuple in the place of a type is a pair of a type and a shape")),
        },
        _ => Err(DTypeError::Malformed("a type is a string, or a list of fields")),
    }
}

/// An array of this shape of an element, which may be an array itself: its axes come last.
fn sub_array((dtype, inner): (DType, Vec<u64>), shape: &Literal) -> Result<(DType, Vec<u64>), DTypeError> {
    let mut lengths = match shape {
        Literal::Int(length) => {
            // NumPy takes a number after a string type without a size as the size.
            if let (DType::Scalar(Scalar { kind, order, itemsize: 0, .. }), Ok(length)) =
                (&dtype, u64::try_from(*length))
                && inner.is_empty()
            {
                let itemsize = if *kind == Kind::Unicode { length.saturating_mul(4) } else { length };
                if itemsize > MAX_ITEMSIZE {
                    return Err(DTypeError::TooLarge);
                }
                return Ok((DType::Scalar(Scalar::new(*kind, *order, itemsize)), inner));
            }
            vec![axis(shape)?]
        }
        Literal::Tuple(lengths) | Literal::List(lengths) => lengths.iter().map(axis).collect::<Result<_, _>>()?,
        _ => return Err(DTypeError::Malformed("the shape of a field is an integer or a tuple of integers")),
    };
    lengths.extend(inner);
    if lengths.len() > MAX_FIELD_NDIM {
        return Err(DTypeError::Rank(lengths.len()));
    }
    Ok((dtype, lengths))
}

fn axis(literal: &Literal) -> Result<u64, DTypeError> {
    match literal {
        Literal::Int(length) => {
            u64::try_from(*length).map_err(|_| DTypeError::Malformed("an axis of a field has a negative length"))
        }
        _ => Err(DTypeError::Malformed("the shape of a field is an integer or a tuple of integers")),
    }
}

fn record(items: &[Literal]) -> Result<Record, DTypeError> {
    let mut fields = Vec::new();
    let mut offset: u64 = 0;
    for item in items {
        let (Literal::Tuple(parts) | Literal::List(parts)) = item else {
            return Err(DTypeError::Malformed("a field is a tuple of a name, a type and perhaps a shape"));
        };
        let (name, (dtype, shape)) = match &parts[..] {
            [name, of] => (name, element(of)?),
            [name, of, shape] => (name, sub_array(element(of)?, shape)?),
            _ => return Err(DTypeError::Malformed("a field is a tuple of a name, a type and perhaps a shape")),
        };
        let size = size(dtype.itemsize(), &shape).ok_or(DTypeError::TooLarge)?;
        if !is_padding(name, &dtype, &shape) {
            let (title, name) = names(name)?;
            fields.push(Field { name, title, offset, dtype, shape });
        }
        offset = offset.checked_add(size).filter(|&end| end <= MAX_ITEMSIZE).ok_or(DTypeError::TooLarge)?;
    }
    Record::new(fields, offset)
}

/// NumPy's rule: an empty name, and a type of class `void` without fields, which every array is.
fn is_padding(name: &Literal, dtype: &DType, shape: &[u64]) -> bool {
    let void = !shape.is_empty() || matches!(dtype, DType::Scalar(Scalar { kind: Kind::Void, .. }));
    void && matches!(name, Literal::Str(name) if name.is_empty())
}

/// Title and name of a field.
fn names(literal: &Literal) -> Result<(Option<String>, String), DTypeError> {
    match literal {
        Literal::Str(name) => return Ok((None, name.clone())),
        Literal::Tuple(pair) | Literal::List(pair) => match &pair[..] {
            [Literal::Str(title), Literal::Str(name)] => return Ok((Some(title.clone()), name.clone())),
            [Literal::None, Literal::Str(name)] => return Ok((None, name.clone())),
            _ => {}
        },
        _ => {}
    }
    Err(DTypeError::Malformed("the name of a field is a string, or a pair of strings, title and name"))
}

/// What stands in the list of a record.
enum Item<'a> {
    /// So many bytes between fields.
    Padding(u64),
    Field(&'a Field),
}

impl Record {
    /// Fields and padding, in order.
    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let mut end = 0;
        let mut gap = move |start: u64, size: u64| {
            let bytes = start - end;
            end = start + size;
            (bytes > 0).then_some(Item::Padding(bytes))
        };
        let fields =
            self.fields.iter().map(|field| (Some(Item::Field(field)), field.offset, field.size().unwrap_or(0)));
        (fields.chain([(None, self.itemsize, 0)]))
            .flat_map(move |(item, start, size)| [gap(start, size), item])
            .flatten()
    }
}

/// As NumPy writes it: `dtype.str` of a scalar, `repr(dtype.descr)` of a record.
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = match self {
            Self::Scalar(scalar) => return scalar.fmt(f),
            Self::Record(record) => record,
        };
        f.write_str("[")?;
        for (index, item) in record.items().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match item {
                Item::Padding(bytes) => write!(f, "('', '|V{bytes}')")?,
                Item::Field(field) => write_field(f, field)?,
            }
        }
        f.write_str("]")
    }
}

fn write_field(f: &mut fmt::Formatter<'_>, field: &Field) -> fmt::Result {
    match &field.title {
        Some(title) => write!(f, "(({}, {}), ", Repr(title), Repr(&field.name))?,
        None => write!(f, "({}, ", Repr(&field.name))?,
    }
    match &field.dtype {
        DType::Scalar(scalar) => write!(f, "'{scalar}'")?,
        DType::Record(_) => write!(f, "{}", field.dtype)?,
    }
    match &field.shape[..] {
        [] => {}
        [length] => write!(f, ", ({length},)")?,
        [first, rest @ ..] => {
            write!(f, ", ({first}")?;
            rest.iter().try_for_each(|length| write!(f, ", {length}"))?;
            f.write_str(")")?;
        }
    }
    f.write_str(")")
}
