//! Vectors of nearest-neighbour benchmarks (`.fvecs`, `.ivecs`, `.bvecs`).
//!
//! Specification: the page of the TEXMEX datasets (IRISA), which are SIFT1M and GIST1M. Everything is little-endian. A file is
//! vectors, each with its dimension (4 bytes) in front: floats of 4 bytes in `.fvecs`, integers of 4 bytes in `.ivecs`,
//! unsigned bytes in `.bvecs`. The array is of shape `(vectors, dimension)`, strided.
//!
//! Limits, and why:
//!
//! - All vectors have one dimension, else none has a computable place. The first, the middle and the last one are looked
//!   at, and the file must be a whole number of them.
//! - At most [`MAX_DIMENSION`] of them: more is a file of another kind.

use crate::dtype::{ByteOrder, Kind};
use crate::format::header;
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::Layout;
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The most dimensions of a vector.
pub const MAX_DIMENSION: u32 = 1 << 24;

/// Bytes of a dimension.
const HEAD: u64 = 4;

/// The `.fvecs`, `.ivecs` and `.bvecs` formats.
#[derive(Clone, Copy, Debug)]
pub struct Vecs;

impl Format for Vecs {
    fn name(&self) -> &'static str {
        "vecs"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".fvecs", ".ivecs", ".bvecs"]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        // The name alone says what the elements are.
        let end = |extension: &str| {
            let start = file_name.len().checked_sub(extension.len());
            start.and_then(|start| file_name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(extension))
        };
        let (kind, itemsize) = match () {
            () if end(".ivecs") => (Kind::Int, 4),
            () if end(".bvecs") => (Kind::Uint, 1),
            () => (Kind::Float, 4),
        };
        if file.is_empty() {
            return Err(Refusal("it is empty, so that nothing tells its dimension; write at least one vector".into()));
        }
        let dimension = dimension(file, 0)?;
        if dimension == 0 || dimension > MAX_DIMENSION {
            return Err(fault(&format!("its first vector claims {} dimensions", dimension.cast_signed())));
        }
        let size = HEAD + u64::from(dimension) * itemsize;
        let (count, rest) = (file.len() / size, file.len() % size);
        if rest != 0 {
            return Err(Refusal(format!(
                "behind {count} vectors of {dimension} dimensions {rest} bytes are left over: it was truncated, or its \
                 vectors are of different dimensions; copy it again, or write vectors of one dimension"
            )));
        }
        for vector in [count / 2, count - 1] {
            let own = self::dimension(file, vector * size)?;
            if own != dimension {
                return Err(fault(&format!(
                    "its first vector claims {dimension} dimensions and vector {vector} claims {}",
                    own.cast_signed()
                )));
            }
        }
        let (shape, strides) = (vec![count, dimension.into()], vec![size as i64, itemsize as i64]);
        let layout = Layout { offset: HEAD, shape, strides, itemsize };
        layout.check().map_err(|error| fault(&format!("its header claims an array that cannot be: {error}")))?;
        let dtype = header::scalar(kind, ByteOrder::Little, itemsize);
        Ok(Content::One(Array::new(self.name(), dtype, Grid::one(layout))))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is a file of another kind, or damaged: rename it, or write vectors of one dimension"))
}

/// The dimension of the vector at this byte.
fn dimension(file: &dyn ReadAt, at: u64) -> Result<u32, Refusal> {
    let mut bytes = [0; HEAD as usize];
    if file.read_at(&mut bytes, at)? < bytes.len() {
        return Err(Refusal("it ends within the dimension of a vector: it was truncated; copy it again".into()));
    }
    Ok(u32::from_le_bytes(bytes))
}
