//! Arrays made of pieces.
//!
//! A [`Grid`] says in which piece of which file an element lies. Most arrays are one piece in one file: a grid
//! of a single cell. Chunked formats cut the array into cells of one shape; each cell is a packed block at some
//! offset of some file, or was never written and reads as the fill value. Where a cell lies is asked of a
//! [`Pieces`], one cell at a time, so that no table of all cells need exist.
//!
//! A third kind is joined of parts that are arrays themselves, each laid out in its own way: see [`Parts`].
//!
//! Cells at the far edges are stored whole, as Zarr and HDF5 store them; what sticks out is never addressed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::layout::{Layout, LayoutError, Order, packed_strides, permuted_strides};

mod joined;

use joined::Joined;
pub use joined::{Memo, Part, Parts, Seams};

/// Where a cell lies: at byte `offset` of file number `piece`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the file, as the array's own list of files counts.
    pub piece: u64,
    /// Byte offset of the cell's first element.
    pub offset: u64,
}

/// Says where the cells of an array lie.
pub trait Pieces: Send + Sync {
    /// The place of a cell, cells being numbered in C order, or nothing if it was never written.
    fn place(&self, cell: u64) -> Option<Place>;

    /// Equal for two that place every cell alike.
    fn digest(&self) -> u64;
}

/// Which piece holds which element of an array.
#[derive(Clone)]
pub struct Grid {
    shape: Vec<u64>,
    cells: Cells,
}

#[derive(Clone)]
enum Cells {
    One(Layout),
    Many(Chunks),
    Joined(Joined),
}

#[derive(Clone)]
struct Chunks {
    shape: Vec<u64>,
    strides: Vec<i64>,
    itemsize: u64,
    pieces: Arc<dyn Pieces>,
}

/// Where an element lies, and how far its cell reaches along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Number of the file, or nothing where the fill value stands.
    pub piece: Option<u64>,
    /// Byte offset of the element; 0 where the fill value stands.
    pub offset: i64,
    /// Bytes from the element to its neighbour along the axis; 0 where the fill value stands.
    pub stride: i64,
    /// First index along the axis that lies in the same cell.
    pub low: u64,
    /// One past the last such index.
    pub high: u64,
}

impl Grid {
    /// An array that lies in one file, in one piece.
    pub fn one(layout: Layout) -> Grid {
        Grid { shape: layout.shape.clone(), cells: Cells::One(layout) }
    }

    /// An array cut into cells of shape `chunk`, each packed in `order`, its elements of `itemsize` bytes.
    ///
    /// # Errors
    /// If the ranks differ, an axis of `chunk` is 0, or a cell is larger than a file can be.
    pub fn chunked(
        shape: &[u64],
        chunk: &[u64],
        itemsize: u64,
        order: Order,
        pieces: Arc<dyn Pieces>,
    ) -> Result<Grid, LayoutError> {
        Grid::cut(shape, chunk, itemsize, packed_strides(chunk, itemsize, order)?, pieces)
    }

    /// As [`Grid::chunked`], with the elements of a cell in any order of its axes: `axes` names them from the slowest
    /// to the fastest.
    ///
    /// # Errors
    /// As [`Grid::chunked`], and if `axes` does not name every axis once.
    pub fn permuted(
        shape: &[u64],
        chunk: &[u64],
        itemsize: u64,
        axes: &[usize],
        pieces: Arc<dyn Pieces>,
    ) -> Result<Grid, LayoutError> {
        Grid::cut(shape, chunk, itemsize, permuted_strides(chunk, itemsize, axes)?, pieces)
    }

    /// An array of this shape, joined of parts along one of its axes.
    ///
    /// # Errors
    /// If such an array cannot be, there is no such axis, or the seams do not fit its length.
    pub fn joined(
        shape: &[u64],
        itemsize: u64,
        axis: usize,
        seams: Seams,
        parts: Arc<dyn Parts>,
    ) -> Result<Grid, LayoutError> {
        Layout::packed(0, shape, itemsize, Order::C)?;
        let length = *shape.get(axis).ok_or(LayoutError::Rank(axis))?;
        let fits = match &seams {
            Seams::New => true,
            Seams::Even(each) => *each > 0 && length % each == 0,
            Seams::At(bounds) => bounds.is_sorted() && bounds.first() == Some(&0) && bounds.last() == Some(&length),
        };
        if !fits {
            return Err(LayoutError::Axes);
        }
        Ok(Grid { shape: shape.to_vec(), cells: Cells::Joined(Joined { axis, seams, itemsize, parts }) })
    }

    fn cut(
        shape: &[u64],
        chunk: &[u64],
        itemsize: u64,
        strides: Vec<i64>,
        pieces: Arc<dyn Pieces>,
    ) -> Result<Grid, LayoutError> {
        if shape.len() != chunk.len() {
            return Err(LayoutError::Rank(chunk.len()));
        }
        if chunk.contains(&0) {
            return Err(LayoutError::Overflow);
        }
        // An array of this shape must itself be possible, wherever its pieces lie, and so must a cell.
        Layout::packed(0, shape, itemsize, Order::C)?;
        Layout { offset: 0, shape: chunk.to_vec(), strides: strides.clone(), itemsize }.check()?;
        Ok(Grid {
            shape: shape.to_vec(),
            cells: Cells::Many(Chunks { shape: chunk.to_vec(), strides, itemsize, pieces }),
        })
    }

    /// Length of each axis, in elements.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes of one element.
    pub fn itemsize(&self) -> u64 {
        match &self.cells {
            Cells::One(layout) => layout.itemsize,
            Cells::Many(chunks) => chunks.itemsize,
            Cells::Joined(joined) => joined.itemsize,
        }
    }

    /// The byte layout of an array in one piece.
    pub fn single(&self) -> Option<&Layout> {
        match &self.cells {
            Cells::One(layout) => Some(layout),
            Cells::Many(_) | Cells::Joined(_) => None,
        }
    }

    /// Length of each axis of a cell, where the array is cut into cells.
    pub fn cell(&self) -> Option<&[u64]> {
        match &self.cells {
            Cells::One(_) | Cells::Joined(_) => None,
            Cells::Many(chunks) => Some(&chunks.shape),
        }
    }

    /// Whether cells of the same coordinates lie at the same places in two arrays in pieces, as far as both have them: they
    /// may differ in the length of the first axis.
    pub fn places_like(&self, other: &Grid) -> bool {
        let (Cells::Many(a), Cells::Many(b)) = (&self.cells, &other.cells) else { return self == other };
        self.shape.iter().skip(1).eq(other.shape.iter().skip(1))
            && (&a.shape, &a.strides) == (&b.shape, &b.strides)
            && a.pieces.digest() == b.pieces.digest()
    }

    /// Where the element at `coordinates` lies, and the reach of its cell along `axis` (of none: as if along an
    /// axis of length 1).
    pub fn spot(&self, coordinates: &[u64], axis: Option<usize>) -> Spot {
        self.spot_from(coordinates, axis, &mut Memo::default())
    }

    /// The same, for whoever goes from one element to the next.
    pub fn spot_from(&self, coordinates: &[u64], axis: Option<usize>, memo: &mut Memo) -> Spot {
        match &self.cells {
            Cells::Joined(joined) => joined.spot(&self.shape, coordinates, axis, memo),
            Cells::One(layout) => {
                let steps = coordinates.iter().zip(&layout.strides).map(|(&i, &stride)| i as i64 * stride);
                let (stride, high) = axis.map_or((0, 1), |axis| (layout.strides[axis], self.shape[axis]));
                Spot { piece: Some(0), offset: layout.offset as i64 + steps.sum::<i64>(), stride, low: 0, high }
            }
            Cells::Many(chunks) => {
                let (mut cell, mut inside) = (0, 0);
                for (k, &i) in coordinates.iter().enumerate() {
                    cell = cell * self.shape[k].div_ceil(chunks.shape[k]) + i / chunks.shape[k];
                    inside += (i % chunks.shape[k]) as i64 * chunks.strides[k];
                }
                let (low, high) = axis.map_or((0, 1), |axis| {
                    let low = coordinates[axis] / chunks.shape[axis] * chunks.shape[axis];
                    (low, low.saturating_add(chunks.shape[axis]).min(self.shape[axis]))
                });
                match chunks.pieces.place(cell) {
                    Some(Place { piece, offset }) => {
                        let stride = axis.map_or(0, |axis| chunks.strides[axis]);
                        Spot { piece: Some(piece), offset: offset as i64 + inside, stride, low, high }
                    }
                    None => Spot { piece: None, offset: 0, stride: 0, low, high },
                }
            }
        }
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cells {
            Cells::One(layout) => f.debug_tuple("Grid").field(layout).finish(),
            Cells::Many(chunks) => {
                f.debug_struct("Grid").field("shape", &self.shape).field("chunk", &chunks.shape).finish_non_exhaustive()
            }
            Cells::Joined(joined) => {
                f.debug_struct("Grid").field("shape", &self.shape).field("axis", &joined.axis).finish_non_exhaustive()
            }
        }
    }
}

impl Hash for Grid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.cells {
            Cells::One(layout) => layout.hash(state),
            Cells::Many(chunks) => {
                (&self.shape, &chunks.shape, &chunks.strides, chunks.pieces.digest()).hash(state);
            }
            Cells::Joined(joined) => {
                (&self.shape, joined.axis, &joined.seams, joined.itemsize, joined.parts.digest()).hash(state);
            }
        }
    }
}

/// Two grids of many cells, or parts, are equal if their [`Pieces`] or [`Parts`] say that they are.
impl PartialEq for Grid {
    fn eq(&self, other: &Grid) -> bool {
        match (&self.cells, &other.cells) {
            (Cells::One(a), Cells::One(b)) => a == b,
            (Cells::Many(a), Cells::Many(b)) => {
                self.shape == other.shape
                    && (&a.shape, &a.strides) == (&b.shape, &b.strides)
                    && a.pieces.digest() == b.pieces.digest()
            }
            (Cells::Joined(a), Cells::Joined(b)) => {
                self.shape == other.shape
                    && (a.axis, &a.seams, a.itemsize) == (b.axis, &b.seams, b.itemsize)
                    && a.parts.digest() == b.parts.digest()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
