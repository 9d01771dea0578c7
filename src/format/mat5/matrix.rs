//! Matrices: what stands before their elements, and the arrays that they are.

use super::{Element, MAX_NAME, Mat5, bytes_of, fault};
use crate::dtype::{ByteOrder, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, Numbered};
use crate::format::{Array, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order};

/// Classes that need more than a name.
pub(super) const CELL: u8 = 1;
pub(super) const STRUCT: u8 = 2;
const OBJECT: u8 = 3;
const CHAR: u8 = 4;
const SPARSE: u8 = 5;
const OPAQUE: u8 = 17;

/// What classes are called in MATLAB, from 1 on.
const CLASSES: [&str; 17] = [
    "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16", "int32",
    "uint32", "int64", "uint64", "function", "opaque",
];

/// The most bytes of the names of the fields of a struct.
const MAX_FIELDS: u64 = 1 << 20;

/// Flags behind the class.
const LOGICAL: u8 = 2;
const GLOBAL: u8 = 4;
const COMPLEX: u8 = 8;

/// Types of elements of numbers, and of names.
const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const UTF8: u32 = 16;

/// A matrix, as its flags, shape and name describe it.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) class: u8,
    flags: u8,
    shape: Vec<u64>,
    pub(super) name: String,
}

impl Matrix {
    /// Reads what every matrix begins with, of one that ends at byte `end`.
    pub(super) fn read(cursor: &mut Cursor, end: u64) -> Result<Matrix, Refusal> {
        let start = cursor.position();
        let is_big = cursor.order == ByteOrder::Big;
        let (class, flags) = match bytes_of(cursor, end, &[UINT32], 8, "flags")?[..] {
            [_, _, flags, class, _, _, _, _] if is_big => (class, flags),
            [class, flags, _, _, _, _, _, _] if !is_big => (class, flags),
            _ => return Err(fault(&format!("its matrix at byte {start} does not begin with 8 bytes of flags"))),
        };
        if class == 0 || usize::from(class) > CLASSES.len() {
            return Err(fault(&format!("its matrix at byte {start} is of class {class}, which is not known")));
        }
        let shape = if class == OPAQUE { Vec::new() } else { shape(cursor, end)? };
        let name = bytes_of(cursor, end, &[INT8, UTF8], MAX_NAME, "a name")?;
        Ok(Matrix { class, flags, shape, name: header::text(&name) })
    }

    /// What it is called in MATLAB.
    fn class(&self) -> &'static str {
        if self.flags & LOGICAL != 0 {
            return "logical";
        }
        CLASSES.get(usize::from(self.class).saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The number of its elements; as many as can be counted.
    pub(super) fn count(&self) -> u64 {
        let count = self.shape.iter().try_fold(1_u64, |count, &length| count.checked_mul(length));
        if self.shape.contains(&0) { 0 } else { count.unwrap_or(u64::MAX) }
    }

    /// The names of its parts, in the order in which they are stored; of one that has only one, none.
    pub(super) fn parts(&self) -> Result<&'static [&'static str], Refusal> {
        let is_complex = self.flags & COMPLEX != 0;
        match self.class {
            CHAR | 6..=15 if is_complex => Ok(&["real", "imag"]),
            CHAR | 6..=15 => Ok(&[""]),
            SPARSE if is_complex => Ok(&["ir", "jc", "data", "imag"]),
            SPARSE => Ok(&["ir", "jc", "data"]),
            OBJECT.. => Err(Refusal(format!(
                "it is an object or function of MATLAB (class {}), whose parts only MATLAB knows; save what it holds as \
                 plain arrays, for example with struct(x)",
                self.class()
            ))),
            CELL | STRUCT | 0 => Err(fault("it has no elements of its own")),
        }
    }

    /// A part of it as an array.
    pub(super) fn array(&self, part: &str, found: Element, order: ByteOrder) -> Result<Array, Refusal> {
        let (kind, itemsize) = type_of(found.of).ok_or_else(|| {
            fault(&format!("its elements at byte {} are of type {}, which is not known", found.offset, found.of))
        })?;
        let held = found.size / itemsize;
        if !found.size.is_multiple_of(itemsize) {
            return Err(fault(&format!("its elements take {} bytes, no multiple of {itemsize}", found.size)));
        }
        let is_text = self.class == CHAR && found.of >= UTF8;
        let shape = match self.class {
            SPARSE => &[held][..],
            _ if self.count() == held => &self.shape,
            // Characters of several pieces.
            _ if is_text => &[held],
            _ => {
                let count = self.count();
                return Err(fault(&format!(
                    "its shape claims {count} elements, and it holds {held} of {itemsize} bytes"
                )));
            }
        };
        let layout = Layout::packed(found.offset, shape, itemsize, Order::F)
            .map_err(|error| fault(&format!("the MATLAB header claims an array that cannot be: {error}")))?;
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("class", self.class().into());
        if self.class == SPARSE || shape != self.shape {
            attributes.insert("shape", self.shape.clone().into());
        }
        if is_text {
            attributes.insert("encoding", format!("utf-{}", 8 * itemsize).into());
        }
        if self.flags & GLOBAL != 0 {
            attributes.insert("global", true.into());
        }
        // Indices are of no class.
        if matches!(part, "ir" | "jc") {
            attributes = Attributes::new(MAX_ATTRIBUTES);
        }
        let dtype = header::scalar(kind, order, itemsize);
        Ok(Array { attributes: attributes.into_map(), ..Array::new(Mat5.name(), dtype, Grid::one(layout)) })
    }
}

fn shape(cursor: &mut Cursor, end: u64) -> Result<Vec<u64>, Refusal> {
    let start = cursor.position();
    let bytes = bytes_of(cursor, end, &[INT32, UINT32], 4 * MAX_NDIM as u64, "a shape")?;
    let ndim = bytes.len() / 4;
    if ndim < 2 || !bytes.len().is_multiple_of(4) {
        return Err(fault(&format!("the shape at byte {start} has {} bytes, which are no two axes", bytes.len())));
    }
    let length = |four: &[u8; 4]| {
        let length = if cursor.order == ByteOrder::Big { i32::from_be_bytes(*four) } else { i32::from_le_bytes(*four) };
        u64::try_from(length).map_err(|_| fault(&format!("the shape at byte {start} has an axis of length {length}")))
    };
    bytes.as_chunks().0.iter().map(length).collect()
}

/// Reads the names of the fields of a struct.
pub(super) fn fields(cursor: &mut Cursor, end: u64) -> Result<Vec<String>, Refusal> {
    let length = bytes_of(cursor, end, &[INT32, UINT32], 4, "the length of the names of fields")?;
    let length = match (<[u8; 4]>::try_from(&length[..]), cursor.order) {
        (Ok(four), ByteOrder::Big) => u32::from_be_bytes(four),
        (Ok(four), _) => u32::from_le_bytes(four),
        (Err(_), _) => return Err(fault("the length of the names of fields is no number of 4 bytes")),
    };
    if length == 0 || u64::from(length) > MAX_NAME + 1 {
        return Err(fault(&format!("it has names of fields that take {length} bytes, and 1 to {MAX_NAME} are read")));
    }
    let length = u64::from(length);
    let names = bytes_of(cursor, end, &[INT8, UTF8], MAX_FIELDS, "the names of fields")?;
    let mut numbered = Numbered::default();
    let name = |bytes: &[u8]| match header::text(bytes) {
        name if name.is_empty() => Err(fault("a field has an empty name")),
        name => Ok(numbered.name(name)),
    };
    names.chunks_exact(length as usize).map(name).collect()
}

/// The stored elements of a type.
fn type_of(of: u32) -> Option<(Kind, u64)> {
    Some(match of {
        1 => (Kind::Int, 1),
        2 | 16 => (Kind::Uint, 1),
        3 => (Kind::Int, 2),
        4 | 17 => (Kind::Uint, 2),
        5 => (Kind::Int, 4),
        6 | 18 => (Kind::Uint, 4),
        7 => (Kind::Float, 4),
        9 => (Kind::Float, 8),
        12 => (Kind::Int, 8),
        13 => (Kind::Uint, 8),
        _ => return None,
    })
}
