//! `.npy`, the files of `numpy.save`: one array each.
//!
//! Specification: NumPy's `numpy/lib/_format_impl.py`, which grew out of NEP 1. A file is
//!
//! | bytes  | what                                                                        |
//! |--------|-----------------------------------------------------------------------------|
//! | 6      | the magic `\x93NUMPY`                                                       |
//! | 2      | major and minor version: 1.0, 2.0 or 3.0                                    |
//! | 2 or 4 | length of the header, little-endian: 2 bytes in version 1.0, 4 in the others |
//! | length | the header: the text of a Python dictionary, padded with blanks             |
//! | rest   | the elements, without gaps                                                  |
//!
//! The header is in Latin-1, in version 3.0 in UTF-8. The dictionary has exactly three keys: `descr`, the element
//! type as `numpy.dtype` takes it (see [`DType::from_descr`]); `fortran_order`, a truth value, whether the first
//! index varies fastest; `shape`, a tuple of integers. Writers pad the header so that the elements start at
//! a multiple of 64 bytes (older ones: 16); readers must not rely on it. Python 2 wrote integers with an `L` behind
//! them, which is read in every version.
//!
//! Limits, and why:
//!
//! - A header of at most [`MAX_HEADER`] bytes. Only structured types have headers of more than a few hundred; NumPy
//!   itself reads no more than 10 000 characters unless told to. With the limits of [`literal`](crate::dtype::literal)
//!   this bounds what a hostile file can cost.
//! - Python objects (`O`, also within a record) are stored as a pickle, which has no elements to point at.
//! - Sizes must fit in an `i64`, as file offsets do; at most [`MAX_NDIM`] axes, as in NumPy.
//! - The elements must all be there. More bytes than the header claims are left alone, as `numpy.memmap` does: the
//!   file may be growing.

use crate::dtype::literal::{Literal, excerpt};
use crate::dtype::{DType, DTypeError};
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// What every `.npy` file begins with.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header that is read, in bytes: room for records of hundreds of thousands of fields.
pub const MAX_HEADER: u32 = 16 << 20;

/// The byte behind magic and version.
const VERSION_END: u64 = 8;

/// The `.npy` format.
#[derive(Clone, Copy, Debug)]
pub struct Npy;

/// What the header of a `.npy` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of the elements.
    pub dtype: DType,
    /// Length of each axis, in elements.
    pub shape: Vec<u64>,
    /// Order of the elements in the file.
    pub order: Order,
    /// Byte of the file at which the elements start.
    pub offset: u64,
}

impl Format for Npy {
    fn name(&self) -> &'static str {
        "npy"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".npy"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let Header { dtype, shape, order, offset } = header(file)?;
        let layout = Layout::packed(offset, &shape, dtype.itemsize(), order).map_err(|error| {
            Refusal(format!("its .npy header claims an array that cannot be: {error}; the header is damaged"))
        })?;
        let (claimed, held) = (layout.extent().end - offset, file.len().saturating_sub(offset));
        if held < claimed {
            return Err(Refusal(format!(
                "the header claims {claimed} bytes of data at offset {offset}, the file holds only {held}: it was \
                 truncated, or is still being written; copy or save it again"
            )));
        }
        Ok(Content::One(Array::new(self.name(), dtype, Grid::one(layout))))
    }
}

/// Reads the header of a `.npy` file, and no byte beyond it.
///
/// # Errors
/// If the file does not begin with a header of a known version, if the header breaks the format or exceeds
/// a limit of the module, or if reading fails. Whether the elements are there is not checked.
pub fn header(file: &dyn ReadAt) -> Result<Header, Refusal> {
    let version = version(file)?;
    let at = VERSION_END;
    let (start, length) = match version {
        1 => (at + 2, u32::from(u16::from_le_bytes(exact(file, at)?))),
        _ => (at + 4, u32::from_le_bytes(exact(file, at)?)),
    };
    if length > MAX_HEADER {
        return Err(Refusal(format!(
            "its .npy header claims to be {length} bytes long, more than the {MAX_HEADER} that are read: it is damaged, \
             or its dtype has too many fields; save them as several arrays"
        )));
    }
    let bytes = header_text(file, start, length)?;
    let text = if version >= 3 {
        String::from_utf8(bytes).map_err(|_| fault("its .npy header is not UTF-8, as version 3.0 demands"))?
    } else {
        // Latin-1: every byte is the character of its number.
        bytes.into_iter().map(char::from).collect()
    };
    let literal =
        Literal::parse(&text).map_err(|error| fault(&format!("its .npy header is no Python literal: {error}")))?;
    let (dtype, shape, order) = describe(literal)?;
    Ok(Header { dtype, shape, order, offset: start + u64::from(length) })
}

/// Reads magic and version, and gives the major version.
fn version(file: &dyn ReadAt) -> Result<u8, Refusal> {
    let mut bytes = [0; VERSION_END as usize];
    let count = file.read_at(&mut bytes, 0)?;
    match bytes[..count].strip_prefix(MAGIC) {
        Some(&[major @ 1..=3, 0]) => Ok(major),
        Some(&[major, minor]) => Err(Refusal(format!(
            "it is of version {major}.{minor} of the .npy format, and only 1.0, 2.0 and 3.0 are known; \
             save it again with numpy.save"
        ))),
        Some(_) => Err(truncated_header()),
        None if count == 0 => Err(Refusal("it is empty; a .npy file begins with a header: save it again".into())),
        None if MAGIC.starts_with(&bytes[..count]) => Err(truncated_header()),
        None => Err(Refusal(
            "it does not begin with the magic bytes of .npy: it is a file of another kind, or damaged; \
             rename it or save it again with numpy.save"
                .into(),
        )),
    }
}

/// The `N` bytes from `offset` on.
fn exact<const N: usize>(file: &dyn ReadAt, offset: u64) -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    let count = file.read_at(&mut bytes, offset)?;
    if count == N { Ok(bytes) } else { Err(truncated_header()) }
}

/// The `length` bytes from `offset` on, if the file holds them: nothing is allocated for a mere claim.
fn header_text(file: &dyn ReadAt, offset: u64, length: u32) -> Result<Vec<u8>, Refusal> {
    if file.len().saturating_sub(offset) < u64::from(length) {
        return Err(truncated_header());
    }
    let mut bytes = vec![0; length as usize];
    let count = file.read_at(&mut bytes, offset)?;
    if count == bytes.len() { Ok(bytes) } else { Err(truncated_header()) }
}

fn truncated_header() -> Refusal {
    Refusal("it ends within its .npy header: it was truncated; copy or save it again".into())
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or was not written by numpy.save: save it again"))
}

/// What the dictionary of a header says.
fn describe(literal: Literal) -> Result<(DType, Vec<u64>, Order), Refusal> {
    let Literal::Dict(pairs) = literal else {
        return Err(fault("its .npy header is no dictionary"));
    };
    let (mut descr, mut order, mut shape) = (None, None, None);
    for (key, value) in pairs {
        let Literal::Str(key) = key else {
            return Err(fault("its .npy header has a key that is no string"));
        };
        // Of a key that stands twice Python keeps the last.
        match key.as_str() {
            "descr" => descr = Some(value),
            "fortran_order" => order = Some(value),
            "shape" => shape = Some(value),
            _ => {
                let key = excerpt(&key);
                return Err(fault(&format!(
                    "its .npy header has the key {key} beside 'descr', 'fortran_order' and 'shape'"
                )));
            }
        }
    }
    let missing = |key: &'static str| move || fault(&format!("its .npy header lacks the key '{key}'"));
    let descr = descr.ok_or_else(missing("descr"))?;
    let order = order.ok_or_else(missing("fortran_order"))?;
    let shape = shape.ok_or_else(missing("shape"))?;

    let dtype = DType::from_descr(&descr).map_err(|error| match error {
        DTypeError::Object => Refusal(
            "it holds Python objects (pickled), which have no bytes to show; convert it to a plain dtype and save \
             it again: numpy.save(path, numpy.load(path, allow_pickle=True).astype('f8')), or 'U' for strings"
                .into(),
        ),
        error => Refusal(format!("the dtype in its .npy header cannot be served: {error}")),
    })?;
    let order = match order {
        Literal::Bool(false) => Order::C,
        Literal::Bool(true) => Order::F,
        _ => return Err(fault("'fortran_order' in its .npy header is neither True nor False")),
    };
    Ok((dtype, lengths(&shape)?, order))
}

fn lengths(shape: &Literal) -> Result<Vec<u64>, Refusal> {
    let no_shape = || fault("'shape' in its .npy header is no tuple of integers");
    let Literal::Tuple(lengths) = shape else {
        return Err(no_shape());
    };
    if lengths.len() > MAX_NDIM {
        let ndim = lengths.len();
        return Err(Refusal(format!(
            "its .npy header claims {ndim} axes, and neither NumPy nor afbfs has more than {MAX_NDIM}; \
             reshape the array and save it again"
        )));
    }
    let length = |length: &Literal| match length {
        Literal::Int(length) => u64::try_from(*length)
            .map_err(|_| fault(&format!("'shape' in its .npy header has an axis of negative length ({length})"))),
        _ => Err(no_shape()),
    };
    lengths.iter().map(length).collect()
}
