//! Chunks: the indexes through which they are found, and the table of where they are.
//!
//! | index            | used for                            | what it holds for a chunk                           |
//! |------------------|-------------------------------------|-----------------------------------------------------|
//! | B-tree version 1 | layouts up to version 3             | size (4), filter mask (4), its offset on each axis  |
//! |                  |                                     | and 0 (8 each), address                             |
//! | single chunk     | a chunk as large as the array       | address, in the layout message                      |
//! | implicit         | no filters, all made at the start   | nothing: all stand in a row                         |
//! | fixed array      | no axis without a limit             | address; with filters also size and mask (4)        |
//! | extensible array | one axis without a limit            | the same                                            |
//! | B-tree version 2 | several                             | the same, then its number on each axis (8)          |
//!
//! In a row and in the arrays chunks are numbered as if the array were as large as it may become, in C order; in an
//! extensible array the axis without a limit counts as the first. A chunk outside of the present shape is left out.

use super::btree::{self, Tree};
use super::file::{Cursor, File};
use super::storage::{Chunked, Index, Space};
use super::{arrays, damaged};
use crate::format::Refusal;
use crate::layout::LayoutError;

pub(super) const WHAT: &str = "index of chunks";

/// The types of the B-trees (version 2) of chunks, without filters and with them.
const PLAIN_TREE: u8 = 10;
const FILTERED_TREE: u8 = 11;

/// A chunk that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its number, where those of the array are numbered in C order.
    pub cell: u64,
    /// Byte of the file at which it starts.
    pub offset: u64,
    /// Bytes that it takes.
    pub size: u64,
    /// Bit `n` is set if filter number `n` was not applied.
    pub mask: u32,
}

/// How an array is cut into chunks.
#[derive(Clone, Debug, Hash)]
pub(super) struct Geometry {
    axes: Vec<Axis>,
    /// The axes, slowest first, as an index counts.
    order: Vec<usize>,
    /// Number of chunks of the array.
    pub(super) count: u64,
    /// The most chunks that there may be, if there is a limit.
    pub(super) most: Option<u64>,
    /// Bytes of a chunk.
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Hash)]
struct Axis {
    /// Length of a chunk.
    chunk: u64,
    /// Number of chunks.
    cells: u64,
    /// How far the numbers of neighbours are apart, in the array and in an index.
    step: u64,
    index_step: u64,
}

impl Geometry {
    /// The chunks of an array of this shape.
    pub(super) fn new(space: &Space, layout: &Chunked) -> Result<Geometry, Refusal> {
        let chunk = &layout.shape;
        let beyond = space.shape.iter().zip(&space.most).any(|(&length, most)| most.is_some_and(|most| length > most));
        if chunk.len() != space.shape.len() || chunk.contains(&0) || beyond {
            return Err(damaged("a data set has chunks that do not fit its shape"));
        }
        let too_large = || Refusal(format!("its chunks cannot be: {}", LayoutError::Overflow));
        let bytes = chunk.iter().try_fold(layout.itemsize, |bytes, &length| bytes.checked_mul(length));
        let bytes = bytes.filter(|&bytes| bytes <= i64::MAX as u64).ok_or_else(too_large)?;
        let mut axes: Vec<Axis> = (space.shape.iter().zip(chunk))
            .map(|(length, &chunk)| Axis { chunk, cells: length.div_ceil(chunk), step: 1, index_step: 1 })
            .collect();
        let mut count = 1_u64;
        for axis in axes.iter_mut().rev() {
            axis.step = count;
            count = count.checked_mul(axis.cells).ok_or_else(too_large)?;
        }
        // An index counts as in an array of the largest size, the axis without a limit first.
        let unlimited = space.most.iter().position(Option::is_none);
        let limited = (0..axes.len()).filter(|&axis| Some(axis) != unlimited);
        let order: Vec<usize> = unlimited.into_iter().chain(limited).collect();
        let mut most = Some(1_u64);
        for &axis in order.iter().rev() {
            // A step that no number can count leads to no chunk that an index could have.
            axes[axis].index_step = most.unwrap_or(u64::MAX);
            let largest = space.most[axis].map(|length| length.div_ceil(chunk[axis]));
            most = most.zip(largest).and_then(|(most, largest)| most.checked_mul(largest));
        }
        Ok(Geometry { axes, order, count, most, bytes })
    }

    /// The number of the chunk with these numbers on the axes, if it is one of the array.
    fn cell(&self, mut number: impl FnMut(&Axis) -> Result<u64, Refusal>) -> Result<Option<u64>, Refusal> {
        let mut cell = Some(0);
        for axis in &self.axes {
            let number = number(axis)?;
            cell = cell.filter(|_| number < axis.cells).map(|cell| cell + number * axis.step);
        }
        Ok(cell)
    }

    /// The number of the chunk that has the number `index` in an index.
    fn cell_of(&self, index: u64) -> Option<u64> {
        let (mut rest, mut cell) = (index, 0);
        for &axis in &self.order {
            let Axis { cells, step, index_step, .. } = self.axes[axis];
            // A largest length of 0 makes steps of 0, and no chunk.
            let number = rest.checked_div(index_step).filter(|&number| number < cells)?;
            rest %= index_step;
            cell += number * step;
        }
        Some(cell)
    }

    /// The number in an index of a chunk of the array.
    pub(super) fn index_of(&self, cell: u64) -> Option<u64> {
        self.axes.iter().try_fold(0_u64, |index, axis| {
            let number = cell.checked_div(axis.step)?.checked_rem(axis.cells)?;
            index.checked_add(number.checked_mul(axis.index_step)?)
        })
    }
}

/// Shows every chunk of an array that is stored; `filtered` says whether they went through filters. Those that stand
/// in a row need no index, and are not shown.
pub(super) fn each(
    file: &File<'_>,
    layout: &Chunked,
    geometry: &Geometry,
    filtered: bool,
    visit: &mut dyn FnMut(Chunk) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some(address) = layout.address else { return Ok(()) };
    let plain = geometry.bytes;
    let mut show = |cell: Option<u64>, (address, size, mask): Stored| {
        let Some(cell) = cell else { return Ok(()) };
        let size = if filtered { size } else { plain };
        let offset = file.place(address, size).ok_or_else(|| beyond(address, size))?;
        visit(Chunk { cell, offset, size, mask })
    };
    match layout.index {
        Index::Single(stored) => {
            let (size, mask) = stored.unwrap_or((plain, 0));
            show(geometry.cell_of(0), (address, size, mask))
        }
        Index::Implicit => Err(damaged("its chunks stand in a row though they are filtered")),
        Index::Tree1 => {
            let key_size = 8 * (geometry.axes.len() + 2);
            btree::each_child(file, address, btree::CHUNKS, key_size, &mut |key, address| {
                let mut cursor = Cursor::new(key, WHAT);
                let size = u64::from(cursor.u32()?);
                let mask = cursor.u32()?;
                let cell = geometry.cell(|axis| Ok(cursor.uint(8)? / axis.chunk))?;
                show(cell, (address, size, mask))
            })
        }
        Index::Tree2 => {
            let tree = Tree::open(file, address, if filtered { FILTERED_TREE } else { PLAIN_TREE })?;
            let entry = Entry::new(file, tree.record_size.saturating_sub(8 * geometry.axes.len() as u64), filtered)?;
            tree.each(file, &mut |record| {
                let mut cursor = Cursor::new(record, WHAT);
                let Some(stored) = entry.read(file, &mut cursor)? else { return Ok(()) };
                show(geometry.cell(|_| cursor.uint(8))?, stored)
            })
        }
        Index::FixedArray | Index::ExtensibleArray => {
            let mut entry = |entry: &Entry, index, cursor: &mut Cursor<'_>| match entry.read(file, cursor)? {
                Some(stored) => show(geometry.cell_of(index), stored),
                None => Ok(()),
            };
            if layout.index == Index::FixedArray {
                arrays::fixed(file, address, filtered, geometry.most, &mut entry)
            } else {
                arrays::extensible(file, address, filtered, &mut entry)
            }
        }
    }
}

pub(super) fn beyond(address: u64, bytes: u64) -> Refusal {
    Refusal(format!(
        "its chunk of {bytes} bytes at address {address} lies beyond the end of the file: it was truncated, or is \
         still being written; copy it again"
    ))
}

/// Address, size (with filters) and filter mask of a chunk.
type Stored = (u64, u64, u32);

/// What an array or a version 2 B-tree holds for a chunk: its address; with filters also size and mask.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    /// Bytes of the size, with filters.
    size: Option<usize>,
}

impl Entry {
    /// Entries of so many bytes.
    pub(super) fn new(file: &File<'_>, bytes: u64, filtered: bool) -> Result<Entry, Refusal> {
        let rest = bytes.checked_sub(file.offset_size as u64);
        let size = match (rest, filtered) {
            (Some(0), false) => None,
            (Some(rest @ 5..=12), true) => Some(rest as usize - 4),
            _ => return Err(damaged("its index of chunks has entries of a size that cannot be")),
        };
        Ok(Entry { bytes, size })
    }

    /// What it says of a chunk, or nothing if that is not stored.
    fn read(&self, file: &File<'_>, cursor: &mut Cursor<'_>) -> Result<Option<Stored>, Refusal> {
        let address = file.address(cursor)?;
        let (size, mask) = match self.size {
            Some(size) => (cursor.uint(size)?, cursor.u32()?),
            None => (0, 0),
        };
        Ok(address.map(|address| (address, size, mask)))
    }
}
