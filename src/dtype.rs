//! Element types, as NumPy knows and writes them.
//!
//! A [`DType`] is a [`Scalar`] (`<f8`, `|S5`, `>M8[ns]`) or a [`Record`] of named [`Field`]s, which may nest and
//! may hold small arrays of their own. It comes from the text of a type ([`DType::parse`]), from the `descr` of a
//! `.npy` header ([`DType::from_descr`]) or from its JSON form ([`DType::from_json`]), and is written back as
//! NumPy writes it: [`Display`](std::fmt::Display) gives `dtype.str` of a scalar and `repr(dtype.descr)` of a record.
//!
//! Sizes are those of NumPy on 64-bit Linux. Python objects have no bytes of their own in a file and are refused.
//!
//! Invariants of a [`Record`], made by [`Record::new`] alone, relied on elsewhere:
//!
//! 1. its fields stand in the order of their offsets, do not overlap, and end within its itemsize;
//! 2. no name or title stands for two fields;
//! 3. it is at most [`MAX_ITEMSIZE`] bytes long and nested at most [`MAX_NESTING`] deep.

use std::fmt;
use std::sync::Arc;

mod descr;
pub mod literal;
mod scalar;
#[cfg(test)]
mod tests;

/// The largest element in bytes: NumPy's own limit, a C `int`.
pub const MAX_ITEMSIZE: u64 = i32::MAX as u64;

/// The deepest nesting of records. Everything that walks a type is recursive; real types nest two or three deep.
pub const MAX_NESTING: usize = 32;

/// The largest rank of the array in a field, as in NumPy 2.
pub const MAX_FIELD_NDIM: usize = 64;

/// The order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Lowest byte first, `<`.
    Little,
    /// Highest byte first, `>`.
    Big,
    /// Single bytes, or bytes that are no number: `|`.
    None,
}

/// What the bytes of a scalar mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A truth value in one byte.
    Bool,
    /// A signed integer of 1, 2, 4 or 8 bytes.
    Int,
    /// An unsigned integer of 1, 2, 4 or 8 bytes.
    Uint,
    /// An IEEE 754 number of 2, 4 or 8 bytes, or x86's extended one in 16.
    Float,
    /// Two floats, the real part first: 8, 16 or 32 bytes.
    Complex,
    /// A byte string, padded with zeros.
    Bytes,
    /// A string of 4-byte code points, padded with zeros.
    Unicode,
    /// Bytes of no known meaning.
    Void,
    /// A moment: 8 bytes, a count of units since 1970.
    DateTime,
    /// A span of time: 8 bytes, a count of units.
    TimeDelta,
}

/// An element type without fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scalar {
    /// What the bytes mean.
    pub kind: Kind,
    /// Their order; [`ByteOrder::None`] exactly where NumPy writes `|`.
    pub order: ByteOrder,
    /// Bytes of one element.
    pub itemsize: u64,
    /// The unit of a moment or a span of time with its brackets, `[ns]` or `[25s]`; nothing where it is generic.
    pub unit: Option<Box<str>>,
}

impl Scalar {
    /// A scalar without a unit. The order is kept where it can matter: single bytes have none.
    pub fn new(kind: Kind, order: ByteOrder, itemsize: u64) -> Scalar {
        let ordered = match kind {
            Kind::Bool | Kind::Bytes | Kind::Void => false,
            Kind::Unicode => true,
            _ => itemsize > 1,
        };
        Scalar { kind, order: if ordered { order } else { ByteOrder::None }, itemsize, unit: None }
    }
}

/// A named part of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name; may be empty.
    pub name: String,
    /// A second name, as NumPy allows.
    pub title: Option<String>,
    /// Byte within the record at which it starts.
    pub offset: u64,
    /// Type of its elements.
    pub dtype: DType,
    /// Length of each axis of the array that it is, in elements; empty for a single element.
    pub shape: Vec<u64>,
}

impl Field {
    /// Bytes of the field, or nothing if that is more than [`MAX_ITEMSIZE`].
    pub fn size(&self) -> Option<u64> {
        size(self.dtype.itemsize(), &self.shape)
    }
}

/// Bytes of a packed array, or nothing if that, or an axis, is more than [`MAX_ITEMSIZE`].
fn size(itemsize: u64, shape: &[u64]) -> Option<u64> {
    let bounded = |n: &u64| *n <= MAX_ITEMSIZE;
    if !shape.iter().all(bounded) {
        return None;
    }
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(itemsize, |size, &length| size.checked_mul(length)).filter(bounded)
}

/// A structured element type. See the invariants of the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    fields: Vec<Field>,
    itemsize: u64,
    nesting: usize,
    /// All names and titles, sorted: twice the number of the field, and 1 more for its title.
    lookup: Vec<usize>,
}

impl Record {
    /// A record of `itemsize` bytes.
    ///
    /// # Errors
    /// If one of the invariants of the module would not hold.
    pub fn new(fields: Vec<Field>, itemsize: u64) -> Result<Record, DTypeError> {
        let (mut end, mut nesting) = (0, 1);
        for field in &fields {
            if field.shape.len() > MAX_FIELD_NDIM {
                return Err(DTypeError::Rank(field.shape.len()));
            }
            if field.offset < end {
                return Err(DTypeError::Overlap(literal::excerpt(&field.name)));
            }
            let size = field.size().ok_or(DTypeError::TooLarge)?;
            end = field.offset.checked_add(size).filter(|&end| end <= MAX_ITEMSIZE).ok_or(DTypeError::TooLarge)?;
            if end > itemsize {
                return Err(DTypeError::Overlap(literal::excerpt(&field.name)));
            }
            if let DType::Record(record) = &field.dtype {
                nesting = nesting.max(record.nesting + 1);
            }
        }
        if itemsize > MAX_ITEMSIZE {
            return Err(DTypeError::TooLarge);
        }
        if nesting > MAX_NESTING {
            return Err(DTypeError::Nesting);
        }
        let lookup = lookup(&fields)?;
        Ok(Record { fields, itemsize, nesting, lookup })
    }

    /// The fields in order. What lies between them is padding.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Bytes of one record, padding included.
    pub fn itemsize(&self) -> u64 {
        self.itemsize
    }

    /// The field of this name or title.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let found = self.lookup.binary_search_by(|&key| label(&self.fields, key).unwrap_or_default().cmp(name)).ok()?;
        self.fields.get(self.lookup[found] / 2)
    }
}

/// The name, or the title, that an entry of [`Record::lookup`] stands for.
fn label(fields: &[Field], key: usize) -> Option<&str> {
    let field = &fields[key / 2];
    if key.is_multiple_of(2) { Some(&field.name) } else { field.title.as_deref() }
}

fn lookup(fields: &[Field]) -> Result<Vec<usize>, DTypeError> {
    let mut keys: Vec<usize> = (0..2 * fields.len()).filter(|&key| label(fields, key).is_some()).collect();
    keys.sort_unstable_by_key(|&key| label(fields, key));
    let twice = keys.windows(2).find(|pair| label(fields, pair[0]) == label(fields, pair[1]));
    match twice {
        Some(pair) => Err(DTypeError::Duplicate(literal::excerpt(label(fields, pair[0]).unwrap_or_default()))),
        None => Ok(keys),
    }
}

/// An element type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// Without fields.
    Scalar(Scalar),
    /// With fields.
    Record(Arc<Record>),
}

/// A part of every element: what `field/NAME` shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Byte within the element at which it starts.
    pub offset: u64,
    /// Length of each axis of the array that it is, in elements; empty for a single element.
    pub shape: Vec<u64>,
    /// Type of its elements.
    pub dtype: DType,
}

impl DType {
    /// Bytes of one element.
    pub fn itemsize(&self) -> u64 {
        match self {
            Self::Scalar(scalar) => scalar.itemsize,
            Self::Record(record) => record.itemsize,
        }
    }

    /// A record's field, by name or title; `real` or `imag` of a complex number.
    pub fn part(&self, name: &str) -> Option<Part> {
        match self {
            Self::Record(record) => {
                let Field { offset, dtype, shape, .. } = record.field(name)?;
                Some(Part { offset: *offset, shape: shape.clone(), dtype: dtype.clone() })
            }
            Self::Scalar(Scalar { kind: Kind::Complex, order, itemsize, .. }) => {
                let half = itemsize / 2;
                let offset = match name {
                    "real" => 0,
                    "imag" => half,
                    _ => return None,
                };
                let dtype = DType::Scalar(Scalar::new(Kind::Float, *order, half));
                Some(Part { offset, shape: Vec::new(), dtype })
            }
            Self::Scalar(_) => None,
        }
    }

    /// Names of the parts, in order: the fields of a record, `real` and `imag` of a complex number.
    pub fn part_names(&self) -> Vec<&str> {
        match self {
            Self::Record(record) => record.fields.iter().map(|field| field.name.as_str()).collect(),
            Self::Scalar(Scalar { kind: Kind::Complex, .. }) => vec!["real", "imag"],
            Self::Scalar(_) => Vec::new(),
        }
    }
}

/// Why an element type cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DTypeError {
    /// No name of a type; the text is an excerpt, quoted.
    Unknown(String),
    /// Python objects.
    Object,
    /// Larger than [`MAX_ITEMSIZE`].
    TooLarge,
    /// Records nested deeper than [`MAX_NESTING`].
    Nesting,
    /// A field that is an array of more than [`MAX_FIELD_NDIM`] axes.
    Rank(usize),
    /// A name or title, quoted, that stands for two fields.
    Duplicate(String),
    /// A field, quoted, that starts before the one before it ends, or ends behind its record.
    Overlap(String),
    /// Not of the form that describes a type.
    Malformed(&'static str),
    /// Not even a Python literal.
    Literal(literal::LiteralError),
}

impl fmt::Display for DTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text) => {
                write!(f, "{text} is no element type; types are written as NumPy writes them, such as '<f4' or 'uint8'")
            }
            Self::Object => f.write_str(
                "the elements are Python objects, which cannot be served; convert them to a plain dtype \
                 (numbers, 'S' or 'U' strings, or a structured type), for example with a.astype('f8'), and save again",
            ),
            Self::TooLarge => write!(f, "an element is larger than NumPy allows ({MAX_ITEMSIZE} bytes)"),
            Self::Nesting => write!(f, "the structured type is nested more than {MAX_NESTING} deep"),
            Self::Rank(ndim) => write!(f, "a field is an array of {ndim} axes, more than {MAX_FIELD_NDIM}"),
            Self::Duplicate(name) => write!(f, "{name} names two fields; rename one"),
            Self::Overlap(name) => write!(f, "the field {name} overlaps another, or reaches beyond its record"),
            Self::Malformed(what) => write!(f, "this describes no element type: {what}"),
            Self::Literal(error) => write!(f, "this describes no element type: {error}"),
        }
    }
}

impl std::error::Error for DTypeError {}

impl From<literal::LiteralError> for DTypeError {
    fn from(error: literal::LiteralError) -> DTypeError {
        DTypeError::Literal(error)
    }
}
