//! IDX (`train-images-idx3-ubyte`): the arrays of MNIST and its kin.
//!
//! Specification: the page of Yann LeCun's MNIST database. Everything is big-endian. A file is
//!
//! | bytes  | what                                                            |
//! |--------|-----------------------------------------------------------------|
//! | 2      | zeros                                                           |
//! | 1      | element type                                                    |
//! | 1      | number of axes                                                  |
//! | 4 each | their lengths                                                   |
//! | rest   | the elements, the last index fastest                            |
//!
//! | type | element | type | element |
//! |------|---------|------|---------|
//! | 0x08 | `\|u1`  | 0x0C | `>i4`   |
//! | 0x09 | `\|i1`  | 0x0D | `>f4`   |
//! | 0x0B | `>i2`   | 0x0E | `>f8`   |
//!
//! Limits, and why:
//!
//! - A file must be exactly as long as its header says. Such files do not grow, and there are some whose header has other
//!   lengths of axes than the elements: nothing else tells.
//! - Names that merely end in `.idx` are not claimed: most of those are indices of something.

use crate::dtype::{ByteOrder, Kind};
use crate::format::header::{self, Cursor};
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The IDX format.
#[derive(Clone, Copy, Debug)]
pub struct Idx;

impl Format for Idx {
    fn name(&self) -> &'static str {
        "idx"
    }

    /// The names of MNIST end in a hyphen or a dot, `idx`, the number of axes, and a type.
    fn extensions(&self) -> &'static [&'static str] {
        &[
            "-idx1-ubyte",
            "-idx2-ubyte",
            "-idx3-ubyte",
            "-idx4-ubyte",
            "-idx2-int",
            ".idx1-ubyte",
            ".idx2-ubyte",
            ".idx3-ubyte",
            ".idx4-ubyte",
            ".idx2-int",
        ]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "IDX", 4 + 4 * u64::from(u8::MAX));
        cursor.order = ByteOrder::Big;
        let [zero, nought, of, ndim] = cursor.array()?;
        let (kind, itemsize) = match of {
            _ if (zero, nought) != (0, 0) => {
                return Err(fault("it does not begin with two zeros, as IDX does"));
            }
            0x08 => (Kind::Uint, 1),
            0x09 => (Kind::Int, 1),
            0x0b => (Kind::Int, 2),
            0x0c => (Kind::Int, 4),
            0x0d => (Kind::Float, 4),
            0x0e => (Kind::Float, 8),
            _ => return Err(fault(&format!("its header names type 0x{of:02x}, which IDX does not know"))),
        };
        let shape = (0..ndim).map(|_| cursor.u32().map(u64::from)).collect::<Result<Vec<u64>, Refusal>>()?;
        let offset = cursor.position();
        let layout = Layout::packed(offset, &shape, itemsize, Order::C)
            .map_err(|error| fault(&format!("its header claims an array that cannot be: {error}")))?;
        let (claimed, held) = (layout.count() * itemsize, file.len() - offset);
        if claimed > held {
            return Err(Refusal(format!(
                "its header claims {claimed} bytes of elements, the file holds only {held}: it was truncated; copy or \
                 download it again"
            )));
        }
        if claimed < held {
            return Err(Refusal(format!(
                "its header claims {claimed} bytes of elements (shape {shape:?}), and the file holds {held}: the header \
                 or the file is of something else; correct its lengths of axes, or describe the file with --array"
            )));
        }
        let dtype = header::scalar(kind, ByteOrder::Big, itemsize);
        Ok(Content::One(Array::new(self.name(), dtype, Grid::one(layout))))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is a file of another kind, or damaged: rename it, or download it again"))
}
