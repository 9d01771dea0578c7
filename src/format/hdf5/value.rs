//! Values of attributes as JSON: numbers, texts, lists; compounds as objects, complex numbers as pairs.

use serde_json::{Map, Value};

use super::datatype::{Class, Datatype, Member};
use super::file::{Cursor, File, text};
use crate::convert::small::Small;
use crate::dtype::{ByteOrder, DType, Kind, Scalar};
use crate::format::header::float;

const WHAT: &str = "attribute";

/// An attribute whose JSON would take more than about so many bytes of memory is not shown.
const MAX_VALUE: u64 = 128 << 10;

/// What a value takes beside its text.
const COST: u64 = 64;

/// Makes JSON of values, within limits.
pub(super) struct Reader<'f> {
    /// Where what lies in a heap is found; if nowhere it is not shown.
    file: Option<&'f File<'f>>,
    /// Bytes that may still come of the attribute.
    left: u64,
}

impl<'f> Reader<'f> {
    /// For the values of one attribute, which come out of what is left for all of the file.
    pub(super) fn new(file: &'f File<'f>) -> Reader<'f> {
        Reader { file: Some(file), left: file.shown.get().min(MAX_VALUE) }
    }

    /// For values that are not in a heap.
    pub(super) fn alone() -> Reader<'static> {
        Reader { file: None, left: MAX_VALUE }
    }

    /// The values of an array of this shape, nested lists; the value itself if there is no axis, or a single one of
    /// length 1. Nothing where there are too many, or where JSON has nothing for them.
    pub(super) fn array(&mut self, datatype: &Datatype, shape: &[u64], cursor: &mut Cursor<'_>) -> Option<Value> {
        let before = self.left;
        let value = self.nested(datatype, if shape == [1] { &[] } else { shape }, cursor);
        if let Some(file) = self.file {
            file.shown.set(file.shown.get().saturating_sub(before - self.left));
        }
        value
    }

    fn pay(&mut self, bytes: u64) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    fn nested(&mut self, datatype: &Datatype, shape: &[u64], cursor: &mut Cursor<'_>) -> Option<Value> {
        self.pay(COST)?;
        match shape {
            [] => self.one(datatype, cursor),
            [length, inner @ ..] => {
                (0..*length).map(|_| self.nested(datatype, inner, cursor)).collect::<Option<Vec<_>>>().map(Value::Array)
            }
        }
    }

    /// The next value; nothing where JSON has none for it.
    pub(super) fn one(&mut self, datatype: &Datatype, cursor: &mut Cursor<'_>) -> Option<Value> {
        let bytes = cursor.take_long(datatype.size).ok()?;
        let mut cursor = Cursor::new(bytes, WHAT);
        match &datatype.class {
            Class::Plain { dtype: DType::Scalar(Scalar { kind: Kind::Bytes, .. }), .. } => self.words(bytes),
            Class::Plain { dtype: DType::Scalar(scalar), element } => number(scalar, *element, bytes),
            Class::Plain { dtype: DType::Record(_), .. } => None,
            Class::Enum { base, .. } => {
                let value = self.one(base, &mut cursor)?;
                Some(if datatype.is_bool() { Value::Bool(value != 0) } else { value })
            }
            Class::Compound(members) => {
                let mut fields = Map::new();
                for Member { name, offset, datatype } in members {
                    self.pay(COST + name.len() as u64)?;
                    let mut field = Cursor::new(bytes, WHAT);
                    field.skip_long(*offset).ok()?;
                    fields.insert(name.clone(), self.one(datatype, &mut field)?);
                }
                Some(Value::Object(fields))
            }
            Class::Array { shape, base } => self.nested(base, shape, &mut cursor),
            Class::Text => {
                let (_, bytes) = in_heap(&mut cursor, self.file?)?;
                self.words(&bytes)
            }
            Class::Sequence(base) => {
                let (count, bytes) = in_heap(&mut cursor, self.file?)?;
                // No sequence of sequences: each could lead to the next, around in circles.
                let mut reader = Reader { file: None, left: self.left };
                let value = reader.nested(base, &[count.into()], &mut Cursor::new(&bytes, WHAT));
                self.left = reader.left;
                value
            }
            Class::Reference { .. } | Class::Strange(_) => None,
        }
    }

    /// A text, which ends at the first NUL.
    fn words(&mut self, bytes: &[u8]) -> Option<Value> {
        let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        self.pay(bytes.len() as u64)?;
        Some(Value::String(text(bytes)))
    }
}

/// Number of elements, and bytes, of what lies in the global heap.
pub(super) fn in_heap(cursor: &mut Cursor<'_>, file: &File<'_>) -> Option<(u32, Vec<u8>)> {
    let count = cursor.u32().ok()?;
    let address = file.address(cursor).ok()?;
    let index = cursor.u32().ok()?;
    match address {
        Some(address) if count > 0 && index > 0 => Some((count, file.global(address, index).ok()?)),
        _ => Some((0, Vec::new())),
    }
}

/// A number, as JSON has it.
fn number(scalar: &Scalar, element: Option<&str>, bytes: &[u8]) -> Option<Value> {
    let bits_of = |bytes: &[u8]| {
        let bytes: &mut dyn Iterator<Item = &u8> =
            if scalar.order == ByteOrder::Big { &mut bytes.iter() } else { &mut bytes.iter().rev() };
        bytes.fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let float_of = |bytes: &[u8]| match bytes.len() {
        2 => Some(Small::HALF.decode(bits_of(bytes))),
        4 => Some(f64::from(f32::from_bits(bits_of(bytes) as u32))),
        8 => Some(f64::from_bits(bits_of(bytes))),
        _ => None,
    };
    match scalar.kind {
        Kind::Int => {
            let shift = 64 - 8 * bytes.len();
            Some(((bits_of(bytes) << shift) as i64 >> shift).into())
        }
        Kind::Uint => Some(bits_of(bytes).into()),
        Kind::Float if bytes.len() == 4 => Some(single(f32::from_bits(bits_of(bytes) as u32))),
        Kind::Float => float_of(bytes).map(float),
        Kind::Complex => {
            let (real, imaginary) = bytes.split_at(bytes.len() / 2);
            Some(Value::Array(vec![float(float_of(real)?), float(float_of(imaginary)?)]))
        }
        Kind::Void if element == Some("bf16") => {
            let bits = bytes.try_into().map(u16::from_le_bytes).ok()?;
            Some(single(f32::from_bits(u32::from(bits) << 16)))
        }
        _ => None,
    }
}

/// A float32 with the digits that it has, not those of the float64 that it equals.
fn single(value: f32) -> Value {
    if value.is_finite() { float(value.to_string().parse().unwrap_or(f64::from(value))) } else { float(value.into()) }
}
