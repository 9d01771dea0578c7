//! Datatype messages: what an element is.
//!
//! A message is class and version (half a byte each), 24 bits of the class, the size of an element (4), and what the
//! class adds; the types of members and base types are messages again.
//!
//! | class | elements                | becomes                                                             |
//! |-------|-------------------------|---------------------------------------------------------------------|
//! | 0     | integers                | `i1` to `u8`, in either byte order; of 3 bytes `i3`, `u3` as `V`     |
//! | 1     | floats                  | `f2`, `f4`, `f8`, x86's `f16`; `bf16` and the 8-bit floats as `V`   |
//! | 2     | times                   | `V`: `unix_d32`, `unix_d64`, which the library does not convert     |
//! | 3     | fixed strings           | `S`                                                                 |
//! | 4     | bit fields              | unsigned integers                                                   |
//! | 5     | opaque bytes            | `V`; with a tag of h5py (`NUMPY:M8[ns]`) what that says             |
//! | 6     | compounds               | structured types; a pair of floats called `r` and `i` is complex    |
//! | 7     | references              | refused: addresses within the file                                  |
//! | 8     | enumerations            | their base type; h5py's pair `FALSE`, `TRUE` is `?`                 |
//! | 9     | variable-length         | refused: the elements are scattered over a heap                     |
//! | 10    | arrays                  | more axes, or the sub-array of a field                              |
//! | 11    | complex numbers         | `c8`, `c16`                                                         |

use std::sync::Arc;

use super::file::{Cursor, encoded_size, text};
use super::{damaged, header, kind};
use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Field, Kind, MAX_NESTING, Record, Scalar};
use crate::format::Refusal;

const WHAT: &str = "datatype";

/// A type as a file describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Datatype {
    /// Bytes of an element.
    pub(super) size: u64,
    pub(super) class: Class,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Class {
    /// What has a type of its own: numbers, fixed strings, opaque bytes.
    Plain {
        dtype: DType,
        element: Option<&'static str>,
    },
    /// Names and their values, as the base type stores them.
    Enum {
        base: Box<Datatype>,
        names: Vec<(String, Vec<u8>)>,
    },
    Compound(Vec<Member>),
    Array {
        shape: Vec<u64>,
        base: Box<Datatype>,
    },
    /// A string in the global heap.
    Text,
    /// Elements in the global heap.
    Sequence(Box<Datatype>),
    /// An object's address if so, else a region, an attribute, or an object of another file.
    Reference {
        object: bool,
    },
    /// What cannot be served, and why.
    Strange(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) datatype: Datatype,
}

/// What an element is served as.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) dtype: DType,
    pub(super) element: Option<&'static str>,
    /// The axes that an element adds.
    pub(super) shape: Vec<u64>,
}

impl Datatype {
    /// The type that a message describes.
    pub(super) fn parse(body: &[u8]) -> Result<Datatype, Refusal> {
        datatype(&mut Cursor::new(body, WHAT), 0)
    }

    /// Whether its elements are h5py's truth values.
    pub(super) fn is_bool(&self) -> bool {
        let Class::Enum { names, .. } = &self.class else { return false };
        let value = |index: usize| names.get(index).map(|(name, value)| (name.as_str(), &value[..]));
        self.size == 1 && names.len() == 2 && value(0) == Some(("FALSE", &[0])) && value(1) == Some(("TRUE", &[1]))
    }

    /// What its elements are served as, or why they cannot be.
    pub(super) fn served(&self) -> Result<Served, Refusal> {
        let plain = |dtype: DType, element| Served { dtype, element, shape: Vec::new() };
        match &self.class {
            Class::Plain { dtype, element } => Ok(plain(dtype.clone(), *element)),
            Class::Enum { .. } if self.is_bool() => Ok(plain(scalar(Kind::Bool, ByteOrder::None, 1), None)),
            Class::Enum { base, .. } => base.served(),
            Class::Array { shape, base } => {
                let inner = base.served()?;
                Ok(Served { shape: [&shape[..], &inner.shape].concat(), ..inner })
            }
            Class::Compound(members) => match complex(self.size, members) {
                Some(dtype) => Ok(plain(dtype, None)),
                None => Ok(plain(record(self.size, members)?, None)),
            },
            Class::Text => Err(Refusal(
                "its elements are strings of variable length, which lie scattered over a heap in the file; store them \
                 with a fixed length (in h5py with a dtype like 'S20')"
                    .into(),
            )),
            Class::Sequence(_) => Err(Refusal(
                "its elements are of variable length, and lie scattered over a heap in the file; store them in one \
                 array, with another one for the lengths"
                    .into(),
            )),
            Class::Reference { .. } => Err(Refusal(
                "its elements are references, addresses that mean nothing outside of the HDF5 library; open what they \
                 refer to by its path"
                    .into(),
            )),
            Class::Strange(why) => Err(Refusal(format!("its elements are {why}"))),
        }
    }
}

fn scalar(kind: Kind, order: ByteOrder, size: u64) -> DType {
    DType::Scalar(Scalar::new(kind, order, size))
}

/// The complex type that a pair of floats is.
fn complex(size: u64, members: &[Member]) -> Option<DType> {
    let [r, i] = members else { return None };
    let half = match &r.datatype.class {
        Class::Plain { dtype: DType::Scalar(Scalar { kind: Kind::Float, order, itemsize, .. }), .. } => {
            (*itemsize >= 4).then_some((*order, *itemsize))
        }
        _ => None,
    };
    let (order, itemsize) = half?;
    let is_pair = (r.name.as_str(), r.offset) == ("r", 0) && (i.name.as_str(), i.offset) == ("i", itemsize);
    (is_pair && r.datatype == i.datatype && size == 2 * itemsize).then(|| scalar(Kind::Complex, order, size))
}

fn record(size: u64, members: &[Member]) -> Result<DType, Refusal> {
    let mut fields = Vec::new();
    for Member { name, offset, datatype } in members {
        let Served { dtype, shape, .. } = (datatype.served())
            .map_err(|Refusal(why)| Refusal(format!("its elements have the field {}: {why}", excerpt(name))))?;
        fields.push(Field { name: name.clone(), title: None, offset: *offset, dtype, shape });
    }
    // Members may stand in any order.
    fields.sort_by_key(|field| field.offset);
    let record = Record::new(fields, size);
    record.map(|record| DType::Record(Arc::new(record))).map_err(|error| {
        Refusal(format!("its elements are a compound that NumPy has no type for: {error}; store the fields apart"))
    })
}

/// A type, from its message; `depth` types are around it.
fn datatype(cursor: &mut Cursor<'_>, depth: usize) -> Result<Datatype, Refusal> {
    if depth > MAX_NESTING {
        return Err(damaged(&format!("one of its types is nested more than {MAX_NESTING} deep")));
    }
    let head = cursor.u8()?;
    let (class, version) = (head & 15, head >> 4);
    if !(1..=5).contains(&version) {
        return Err(cursor.unknown_version(version));
    }
    let bits = cursor.uint(3)? as u32;
    let size = u64::from(cursor.u32()?);
    let order = if bits & 1 == 0 { ByteOrder::Little } else { ByteOrder::Big };
    let plain = |dtype| Class::Plain { dtype, element: None };
    let class = match class {
        0 | 4 => integer(cursor, size, order, class == 0 && bits & 8 != 0, bits & 4 != 0)?,
        1 => float(cursor, size, bits)?,
        2 => {
            cursor.skip(2)?;
            time(size, order)
        }
        3 => plain(scalar(Kind::Bytes, ByteOrder::None, size)),
        5 => plain(opaque(cursor.take((bits & 0xff) as usize)?, size)),
        6 => Class::Compound(members(cursor, version, bits & 0xffff, size, depth)?),
        7 => Class::Reference { object: bits & 15 == 0 },
        8 => {
            let base = datatype(cursor, depth + 1)?;
            let names = names(cursor, version, (bits & 0xffff) as usize, base.size)?;
            Class::Enum { base: Box::new(base), names }
        }
        9 => {
            let base = datatype(cursor, depth + 1)?;
            if bits & 15 == 1 { Class::Text } else { Class::Sequence(Box::new(base)) }
        }
        10 => {
            let ndim = cursor.u8()?;
            cursor.skip(if version < 3 { 3 } else { 0 })?;
            let shape = (0..ndim).map(|_| cursor.u32().map(u64::from)).collect::<Result<Vec<_>, _>>()?;
            // The order of the axes, which nothing ever permuted.
            cursor.skip(if version < 3 { 4 * usize::from(ndim) } else { 0 })?;
            array(shape, datatype(cursor, depth + 1)?, size)?
        }
        11 => match datatype(cursor, depth + 1)?.class {
            Class::Plain { dtype: DType::Scalar(Scalar { kind: Kind::Float, order, itemsize, .. }), .. }
                if itemsize >= 4 && size == 2 * itemsize =>
            {
                plain(scalar(Kind::Complex, order, size))
            }
            _ => Class::Strange("complex numbers of a kind that NumPy has no type for; store the parts apart"),
        },
        _ => return Err(damaged(&format!("one of its types is of class {class}, which is not known"))),
    };
    Ok(Datatype { size, class })
}

/// An array of so many elements, which must be as large as the file says.
fn array(shape: Vec<u64>, base: Datatype, size: u64) -> Result<Class, Refusal> {
    let total = shape.iter().try_fold(base.size, |size, &length| size.checked_mul(length));
    if total != Some(size) {
        return Err(damaged("one of its types is an array that is not as large as its elements"));
    }
    Ok(Class::Array { shape, base: Box::new(base) })
}

fn integer(
    cursor: &mut Cursor<'_>,
    size: u64,
    order: ByteOrder,
    signed: bool,
    ones_above: bool,
) -> Result<Class, Refusal> {
    let (offset, precision) = (u64::from(cursor.u16()?), u64::from(cursor.u16()?));
    // An unsigned number with zeros above is the number that all the bits make.
    if offset != 0 || precision > 8 * size || ((signed || ones_above) && precision != 8 * size) {
        return Ok(Class::Strange("integers that use only some of their bits; store them with all of their bits"));
    }
    let kind = if signed { Kind::Int } else { Kind::Uint };
    let (kind, element) = match (size, signed, order) {
        (1 | 2 | 4 | 8, ..) => (kind, None),
        (3, true, ByteOrder::Big) => (Kind::Void, Some("i3be")),
        (3, true, _) => (Kind::Void, Some("i3")),
        (3, false, ByteOrder::Big) => (Kind::Void, Some("u3be")),
        (3, false, _) => (Kind::Void, Some("u3")),
        _ => return Ok(Class::Strange("integers of a size that NumPy has not; store them with 1, 2, 4 or 8 bytes")),
    };
    Ok(Class::Plain { dtype: scalar(kind, order, size), element })
}

fn float(cursor: &mut Cursor<'_>, size: u64, bits: u32) -> Result<Class, Refusal> {
    let (offset, precision) = (cursor.u16()?, u64::from(cursor.u16()?));
    let [exponent_at, exponent, mantissa_at, mantissa] = [cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?];
    let bias = cursor.u32()?;
    let sign_at = bits >> 8 & 0xff;
    let order = match bits & 0x41 {
        0 => ByteOrder::Little,
        1 => ByteOrder::Big,
        _ => return Ok(Class::Strange("floats of the VAX; convert them with h5repack or h5py to IEEE floats")),
    };
    // Without gaps: the sign, the exponent, the mantissa without its leading bit.
    let packed = offset == 0
        && precision == 8 * size
        && mantissa_at == 0
        && exponent_at == mantissa
        && 1 + u64::from(exponent) + u64::from(mantissa) == precision
        && u64::from(sign_at) + 1 == precision;
    let implied = bits >> 4 & 3 == 2;
    let void = |element| Class::Plain { dtype: scalar(Kind::Void, ByteOrder::None, size), element: Some(element) };
    Ok(match (exponent, mantissa, bias) {
        (5, 10, 15) | (8, 23, 127) | (11, 52, 1023) if packed && implied => {
            Class::Plain { dtype: scalar(Kind::Float, order, size), element: None }
        }
        (8, 7, 127) if packed && implied => void(if order == ByteOrder::Big { "bf16be" } else { "bf16" }),
        (4, 3, 7) if packed && implied => void("f8_e4m3"),
        (5, 2, 15) if packed && implied => void("f8_e5m2"),
        // x86 keeps the leading bit of the mantissa, and six bytes that mean nothing.
        (15, 64, 16383) if size == 16 && (offset, precision, exponent_at, sign_at) == (0, 80, 64, 79) => {
            Class::Plain { dtype: scalar(Kind::Float, order, size), element: None }
        }
        _ => Class::Strange("floats of a kind that NumPy has no type for; convert them to float32 or float64"),
    })
}

/// A time: seconds since 1970 by name, but PyTables writes pairs of seconds and microseconds to the larger one. The
/// library converts neither, and so they are bytes.
fn time(size: u64, order: ByteOrder) -> Class {
    let element = match (size, order) {
        (4, ByteOrder::Big) => "unix_d32be",
        (4, _) => "unix_d32",
        (8, ByteOrder::Big) => "unix_d64be",
        (8, _) => "unix_d64",
        _ => return Class::Strange("times of a size that is not known; store them as integers"),
    };
    Class::Plain { dtype: scalar(Kind::Void, ByteOrder::None, size), element: Some(element) }
}

/// What the tag of opaque bytes says, if h5py wrote it.
fn opaque(tag: &[u8], size: u64) -> DType {
    let tag = tag.split(|&byte| byte == 0).next().unwrap_or_default();
    let named = std::str::from_utf8(tag).ok().and_then(|tag| DType::parse(tag.strip_prefix("NUMPY:")?).ok());
    named.filter(|dtype| dtype.itemsize() == size).unwrap_or_else(|| scalar(Kind::Void, ByteOrder::None, size))
}

/// A name that up to version 2 is padded to a multiple of 8 bytes.
fn padded_name(cursor: &mut Cursor<'_>, version: u8) -> Result<String, Refusal> {
    let name = cursor.until_nul()?;
    cursor.skip(if version < 3 { (8 - (name.len() + 1) % 8) % 8 } else { 0 })?;
    Ok(text(name))
}

fn names(cursor: &mut Cursor<'_>, version: u8, count: usize, size: u64) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let names = (0..count).map(|_| padded_name(cursor, version)).collect::<Result<Vec<_>, _>>()?;
    names.into_iter().map(|name| Ok((name, cursor.take_long(size)?.to_vec()))).collect()
}

fn members(cursor: &mut Cursor<'_>, version: u8, count: u32, size: u64, depth: usize) -> Result<Vec<Member>, Refusal> {
    let mut members = Vec::new();
    for _ in 0..count {
        let name = padded_name(cursor, version)?;
        let offset = cursor.uint(if version < 3 { 4 } else { encoded_size(size) })?;
        let mut shape = Vec::new();
        if version == 1 {
            // Members had axes of their own before there were array types; the order of the axes was never used.
            let ndim = usize::from(cursor.u8()?).min(4);
            cursor.skip(11)?;
            for axis in 0..4 {
                let length = cursor.u32()?;
                shape.extend((axis < ndim).then_some(u64::from(length)));
            }
        }
        let mut datatype = datatype(cursor, depth + 1)?;
        if !shape.is_empty() {
            let total = shape.iter().try_fold(datatype.size, |size, &length| size.checked_mul(length));
            let total = total.ok_or_else(|| damaged("one of its types is larger than a file can be"))?;
            datatype = Datatype { size: total, class: array(shape, datatype, total)? };
        }
        members.push(Member { name, offset, datatype });
    }
    Ok(members)
}

/// The type that a message says, or that it says where to find.
pub(super) fn read(file: &super::file::File<'_>, cursor: &mut Cursor<'_>, shared: bool) -> Result<Datatype, Refusal> {
    if shared { Datatype::parse(&header::shared(file, kind::DATATYPE, cursor)?) } else { datatype(cursor, 0) }
}
