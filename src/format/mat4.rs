//! MATLAB 4 (`.mat`, as `save -v4` writes it): named matrices.
//!
//! Specification: "MAT-File Format" of The MathWorks, the chapter on level 4. A file is matrices, one behind the other:
//!
//! | bytes   | what                                                                    |
//! |---------|-------------------------------------------------------------------------|
//! | 4       | type: four decimal digits, M O P T                                      |
//! | 4, 4    | rows, columns                                                           |
//! | 4       | 1 if there are imaginary parts, else 0                                  |
//! | 4       | length of the name, with the zero at its end                            |
//! | ...     | the name                                                                |
//! | ...     | the real parts, the first index fastest                                 |
//! | ...     | the imaginary parts, if any, the same way                               |
//!
//! | digit | what it says                                                                        |
//! |-------|-------------------------------------------------------------------------------------|
//! | M     | 0 little-endian, 1 big-endian; 2 to 4 VAX D, VAX G, Cray: refused                    |
//! | O     | 0                                                                                   |
//! | P     | elements: 0 `f8`, 1 `f4`, 2 `i4`, 3 `i2`, 4 `u2`, 5 `\|u1`                            |
//! | T     | 0 numbers, 1 text (a code in each element), 2 sparse                                |
//!
//! A matrix is a member, of two axes. One with imaginary parts is a group of the members `real` and `imag`, since the
//! parts of a number do not stand together. A sparse one has a row, a column (both from 1) and a value in
//! each of its rows, and in the last row the shape, as the file has it; the attribute `class` says `sparse`, and `char` of text.
//!
//! Limits, and why:
//!
//! - The machine's M must agree with the order in which the numbers of the header make sense: it is the only magic there is.
//! - Names of at most [`MAX_NAME`] bytes; MATLAB's have at most 63.

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_ENTRIES, Numbered};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The longest name of a matrix, in bytes.
pub const MAX_NAME: u64 = 255;

/// The MATLAB 4 format.
#[derive(Clone, Copy, Debug)]
pub struct Mat4;

impl Format for Mat4 {
    fn name(&self) -> &'static str {
        "mat4"
    }

    /// Those of the newer formats as well, which are known by their content.
    fn extensions(&self) -> &'static [&'static str] {
        &[".mat"]
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "MATLAB", u64::MAX);
        let mut names = Numbered::default();
        let mut members = Vec::new();
        while cursor.position() < file.len() {
            if members.len() as u64 >= MAX_ENTRIES {
                return Err(Refusal(format!("it holds more than {MAX_ENTRIES} matrices; save fewer in a file")));
            }
            let matrix = Matrix::read(&mut cursor)?;
            let name = names.name(matrix.name.clone());
            for (part, layout) in matrix.parts(cursor.position())? {
                header::complete(&layout, file.len())?;
                cursor.skip(layout.extent().end - layout.extent().start)?;
                let path = [&name[..], part].into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
                members.push(Member { path, found: Ok(matrix.array(layout)) });
            }
        }
        if members.is_empty() {
            return Err(Refusal("it is empty; a MATLAB file holds matrices: save it again".into()));
        }
        Ok(Content::Many(Container { members, ..Container::default() }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again"))
}

/// A matrix, as its header describes it.
#[derive(Debug)]
struct Matrix {
    name: String,
    dtype: DType,
    class: &'static str,
    shape: [u64; 2],
    is_complex: bool,
}

impl Matrix {
    fn read(cursor: &mut Cursor) -> Result<Matrix, Refusal> {
        let start = cursor.position();
        let bytes = cursor.array()?;
        let (little, big) = (u32::from_le_bytes(bytes), u32::from_be_bytes(bytes));
        let (of, order) = match (little, big) {
            (0..1000, _) => (little, ByteOrder::Little),
            (_, 1000..2000) => (big, ByteOrder::Big),
            (2000..5000, _) | (_, 2000..5000) => {
                return Err(Refusal(
                    "its numbers are those of a VAX or a Cray, for which there is no type; convert it in MATLAB".into(),
                ));
            }
            _ => {
                return Err(fault(&format!("there is no matrix of MATLAB at byte {start}, where one should begin")));
            }
        };
        let dtype = dtype(of / 10 % 100, order);
        let class = ["double", "char", "sparse"].get(of as usize % 10);
        let (Some(dtype), Some(class)) = (dtype, class) else {
            return Err(fault(&format!("the type of its matrix at byte {start} is {of}, which is not known")));
        };
        cursor.order = order;
        let shape = [cursor.u32()?.into(), cursor.u32()?.into()];
        let is_complex = match cursor.u32()? {
            0 => false,
            1 => true,
            flag => return Err(fault(&format!("its matrix at byte {start} has {flag} in the place of a flag"))),
        };
        let length = u64::from(cursor.u32()?);
        if !(2..=MAX_NAME + 1).contains(&length) {
            return Err(fault(&format!("its matrix at byte {start} has a name of {length} bytes")));
        }
        let name = header::text(&cursor.bytes(length)?);
        if name.is_empty() {
            return Err(fault(&format!("its matrix at byte {start} has an empty name")));
        }
        Ok(Matrix { name, dtype, class, shape, is_complex })
    }

    /// The names of the parts and where they lie, the first from byte `start` on.
    fn parts(&self, start: u64) -> Result<Vec<(&'static str, Layout)>, Refusal> {
        let packed = |start| {
            Layout::packed(start, &self.shape, self.dtype.itemsize(), Order::F)
                .map_err(|error| fault(&format!("its matrix {} cannot be: {error}", excerpt(&self.name))))
        };
        let first = packed(start)?;
        if !self.is_complex {
            return Ok(vec![("", first)]);
        }
        let second = packed(first.extent().end)?;
        Ok(vec![("real", first), ("imag", second)])
    }

    fn array(&self, layout: Layout) -> Array {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("class", self.class.into());
        Array { attributes: attributes.into_map(), ..Array::new(Mat4.name(), self.dtype.clone(), Grid::one(layout)) }
    }
}

/// The type of elements, by the digits O and P.
fn dtype(digits: u32, order: ByteOrder) -> Option<DType> {
    let (kind, itemsize) = match digits {
        0 => (Kind::Float, 8),
        1 => (Kind::Float, 4),
        2 => (Kind::Int, 4),
        3 => (Kind::Int, 2),
        4 => (Kind::Uint, 2),
        5 => (Kind::Uint, 1),
        _ => return None,
    };
    Some(header::scalar(kind, order, itemsize))
}
