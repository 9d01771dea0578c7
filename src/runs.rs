//! The bytes of a view, as runs: strided pieces of files.
//!
//! A [`View`] is a selection of an array with its bytes numbered from 0 on, elements in C order, as a file would
//! hold them. [`View::runs`] turns a window of these bytes into an iterator of [`Run`]s, which together are
//! exactly the window, in order. Nothing is allocated per run or per window.
//!
//! Two ways lead there:
//!
//! - *Blocks*, for an array in one piece. When the view is made, axes of length 1 are dropped, axes that follow
//!   each other without a gap are merged, and the innermost ones that are contiguous become one block of bytes.
//!   An odometer then walks the blocks; each plane of it is one run, and so is a row that the window cuts.
//! - *Rows*, for the rest: arrays made of pieces, and steps through `ravel()` of an array that is not C-ordered
//!   (`range/::3` of a Fortran array is not strided). Each row of the last axis is located by division and cut
//!   where cells meet.

use std::ops::Range;
use std::sync::Arc;

use crate::grid::{Grid, Memo};
use crate::layout::{Layout, MAX_NDIM, Pick, Selection, Span};

/// A strided piece of a file: `rows` rows, `pitch` bytes apart, of `count` blocks, `stride` bytes apart, of `length`
/// bytes. The first begins at byte `offset`. What is asked about a run is asked once for all of its rows: a view of
/// short rows costs little more than one of long ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which file of the array, or nothing for the fill value; then `offset` is the byte of the fill
    /// element at which the run begins.
    pub piece: Option<u64>,
    /// Byte offset of the first block in its file.
    pub offset: u64,
    /// Bytes in a block.
    pub length: u64,
    /// Bytes from the start of a block to the start of the next; may be negative.
    pub stride: i64,
    /// Number of blocks in a row, at least 1.
    pub count: u64,
    /// Bytes from the start of a row to the start of the next; may be negative.
    pub pitch: i64,
    /// Number of rows, at least 1.
    pub rows: u64,
}

impl Run {
    /// A run of one row.
    pub fn line(piece: Option<u64>, offset: u64, length: u64, stride: i64, count: u64) -> Run {
        Run { piece, offset, length, stride, count, pitch: 0, rows: 1 }
    }

    /// One row of this run.
    pub fn row(&self, number: u64) -> Run {
        let offset = self.offset.wrapping_add_signed(self.pitch.wrapping_mul(number as i64));
        Run { offset, pitch: 0, rows: 1, ..*self }
    }

    /// Number of rows, or of blocks where there is but one row.
    pub fn parts(&self) -> u64 {
        if self.rows > 1 { self.rows } else { self.count }
    }

    /// Some of its rows, or of its blocks where there is but one row.
    pub fn part(&self, range: Range<u64>) -> Run {
        let len = range.end - range.start;
        if self.rows > 1 {
            Run { rows: len, ..Run { offset: self.row(range.start).offset, ..*self } }
        } else {
            Run { count: len, ..Run { offset: self.block(range.start), ..*self } }
        }
    }

    /// Byte offset of a block, counted through all rows.
    pub fn block(&self, number: u64) -> u64 {
        let (row, column) = (number / self.count, number % self.count);
        self.row(row).offset.wrapping_add_signed(self.stride.wrapping_mul(column as i64))
    }

    /// Number of blocks in all rows.
    pub fn blocks(&self) -> u64 {
        self.rows * self.count
    }

    /// Number of bytes in all blocks.
    pub fn bytes(&self) -> u64 {
        self.blocks() * self.length
    }

    /// First byte and one past the last.
    pub fn reach(&self) -> Range<u64> {
        let far = |step: i64, number: u64| step.wrapping_mul(number as i64 - 1);
        let (across, down) = (far(self.stride, self.count), far(self.pitch, self.rows));
        let low = self.offset.wrapping_add_signed(across.min(0)).wrapping_add_signed(down.min(0));
        let high = self.offset.wrapping_add_signed(across.max(0)).wrapping_add_signed(down.max(0));
        low..high + self.length
    }
}

/// A selection of an array as a sequence of bytes.
#[derive(Clone, Debug)]
pub struct View {
    len: u64,
    path: Path,
}

#[derive(Clone, Debug)]
enum Path {
    Blocks(Box<Blocks>),
    Rows(Box<Rows>),
}

/// Blocks of bytes at the points of a lattice. Invariant: no axis has length 1, none is mergeable with the next.
#[derive(Clone, Debug)]
struct Blocks {
    offset: i64,
    block: u64,
    ndim: usize,
    shape: [u64; MAX_NDIM],
    strides: [i64; MAX_NDIM],
}

/// Elements `start`, `start + step`, ... of a selection in C order.
#[derive(Clone, Debug)]
struct Rows {
    grid: Arc<Grid>,
    selection: Selection,
    start: u64,
    step: u64,
}

impl View {
    /// The bytes of a selection.
    pub fn new(grid: &Arc<Grid>, selection: &Selection) -> View {
        let len = selection.count() * selection.itemsize();
        let path = match grid.single() {
            Some(layout) => Path::Blocks(Box::new(Blocks::new(&selection.place(layout)))),
            None => Path::Rows(Box::new(Rows { grid: grid.clone(), selection: selection.clone(), start: 0, step: 1 })),
        };
        View { len, path }
    }

    /// The bytes of some elements of a selection, counted in C order: of `a.ravel()[span]`.
    pub fn range(grid: &Arc<Grid>, selection: &Selection, span: Span) -> View {
        let len = span.len * selection.itemsize();
        if span.len == 0 {
            return View { len, path: Path::Blocks(Box::new(Blocks::empty())) };
        }
        // A backward walk is a forward walk over the selection with every axis turned round.
        let (selection, start) = if span.step < 0 {
            let picks: Vec<Pick> = (selection.shape().iter())
                .map(|&length| Pick::Span(Span { start: length.saturating_sub(1), step: -1, len: length }))
                .collect();
            (selection.pick(&picks), selection.count() - 1 - span.start)
        } else {
            (selection.clone(), span.start)
        };
        let step = span.step.unsigned_abs();
        if let Some(layout) = grid.single()
            && let Some(blocks) = Blocks::line(&selection.place(layout), start, step, span.len)
        {
            return View { len, path: Path::Blocks(Box::new(blocks)) };
        }
        View { len, path: Path::Rows(Box::new(Rows { grid: grid.clone(), selection, start, step })) }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the view has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The runs of a window of the view's bytes. What lies past the end of the view is left out.
    pub fn runs(&self, window: Range<u64>) -> Runs<'_> {
        let end = window.end.min(self.len);
        let start = window.start.min(end);
        match &self.path {
            Path::Blocks(blocks) => Runs { walk: Walk::Blocks(BlockWalk::new(blocks, start, end)) },
            Path::Rows(rows) => Runs { walk: Walk::Rows(RowWalk { rows, at: start, end, memo: Memo::default() }) },
        }
    }

    /// The bytes of a file that a window of the view is, if it is one contiguous piece of one file.
    pub fn contiguous(&self, window: Range<u64>) -> Option<(u64, Range<u64>)> {
        let mut runs = self.runs(window);
        match (runs.next(), runs.next()) {
            (Some(Run { piece: Some(piece), offset, length, count: 1, rows: 1, .. }), None) => {
                Some((piece, offset..offset + length))
            }
            _ => None,
        }
    }
}

impl Blocks {
    fn empty() -> Blocks {
        Blocks { offset: 0, block: 0, ndim: 0, shape: [0; MAX_NDIM], strides: [0; MAX_NDIM] }
    }

    fn new(layout: &Layout) -> Blocks {
        let mut blocks = Blocks { offset: layout.offset as i64, block: layout.itemsize, ..Blocks::empty() };
        blocks.set_axes(&layout.shape, &layout.strides);
        // The innermost axis, where it has no gaps, is a longer block. Merging has left at most one such.
        if blocks.ndim > 0 && blocks.strides[blocks.ndim - 1] == blocks.block as i64 {
            blocks.ndim -= 1;
            blocks.block *= blocks.shape[blocks.ndim];
        }
        blocks
    }

    /// Elements `start`, `start + step`, ... of a layout in C order, if these lie on one line.
    fn line(layout: &Layout, start: u64, step: u64, len: u64) -> Option<Blocks> {
        let mut blocks = Blocks { offset: layout.offset as i64, block: layout.itemsize, ..Blocks::empty() };
        blocks.set_axes(&layout.shape, &layout.strides);
        if blocks.ndim > 1 {
            return None;
        }
        let stride = if blocks.ndim == 1 { blocks.strides[0] } else { 0 };
        blocks.offset += start as i64 * stride;
        blocks.set_axes(&[len], &[stride.saturating_mul(step as i64)]);
        if blocks.ndim == 1 && blocks.strides[0] == blocks.block as i64 {
            blocks.ndim = 0;
            blocks.block *= len;
        }
        Some(blocks)
    }

    /// Takes the axes over, without those of length 1 and with neighbours merged where one continues the other.
    fn set_axes(&mut self, shape: &[u64], strides: &[i64]) {
        self.ndim = 0;
        for (&length, &stride) in shape.iter().zip(strides).filter(|&(&length, _)| length != 1) {
            let last = self.ndim.wrapping_sub(1);
            if self.ndim > 0 && i128::from(self.strides[last]) == i128::from(stride) * i128::from(length) {
                self.shape[last] *= length;
                self.strides[last] = stride;
            } else {
                self.shape[self.ndim] = length;
                self.strides[self.ndim] = stride;
                self.ndim += 1;
            }
        }
    }
}

/// The runs of a window of a view.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    walk: Walk<'a>,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would allocate for each window")]
enum Walk<'a> {
    Blocks(BlockWalk<'a>),
    Rows(RowWalk<'a>),
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        match &mut self.walk {
            Walk::Blocks(walk) => walk.next(),
            Walk::Rows(walk) => walk.next(),
        }
    }
}

#[derive(Clone, Debug)]
struct BlockWalk<'a> {
    blocks: &'a Blocks,
    /// The view's bytes still to come.
    at: u64,
    end: u64,
    /// Bytes of the current block that are done.
    skip: u64,
    /// The current block's place in the lattice, and its offset in the file.
    index: [u64; MAX_NDIM],
    offset: i64,
}

impl<'a> BlockWalk<'a> {
    fn new(blocks: &'a Blocks, at: u64, end: u64) -> BlockWalk<'a> {
        let mut walk = BlockWalk { blocks, at, end, skip: 0, index: [0; MAX_NDIM], offset: blocks.offset };
        if at < end {
            walk.skip = at % blocks.block;
            let mut number = at / blocks.block;
            for axis in (0..blocks.ndim).rev() {
                walk.index[axis] = number % blocks.shape[axis];
                number /= blocks.shape[axis];
                walk.offset += walk.index[axis] as i64 * blocks.strides[axis];
            }
        }
        walk
    }

    fn next(&mut self) -> Option<Run> {
        let left = self.end - self.at;
        if left == 0 {
            return None;
        }
        let blocks = self.blocks;
        let offset = (self.offset + self.skip as i64) as u64;
        if self.skip > 0 || left < blocks.block || blocks.ndim == 0 {
            let length = left.min(blocks.block - self.skip);
            self.at += length;
            self.skip = 0;
            self.advance(blocks.ndim, 1);
            return Some(Run::line(Some(0), offset, length, length as i64, 1));
        }
        let last = blocks.ndim - 1;
        let count = (left / blocks.block).min(blocks.shape[last] - self.index[last]);
        let stride = if count > 1 { blocks.strides[last] } else { blocks.block as i64 };
        let mut run = Run::line(Some(0), offset, blocks.block, stride, count);
        if last > 0 && count == blocks.shape[last] {
            run.rows = (left / run.bytes()).min(blocks.shape[last - 1] - self.index[last - 1]);
        }
        if run.rows > 1 {
            run.pitch = blocks.strides[last - 1];
            self.advance(last, run.rows);
        } else {
            self.advance(blocks.ndim, count);
        }
        self.at += run.bytes();
        Some(run)
    }

    /// Moves on by so many steps of the last of the first `axes` axes, at most to its end. One step behind the last
    /// element may be more than an offset can say; coming back from there makes up for it.
    fn advance(&mut self, axes: usize, count: u64) {
        let mut count = count;
        for axis in (0..axes).rev() {
            self.index[axis] += count;
            let stride = self.blocks.strides[axis];
            self.offset = self.offset.wrapping_add(stride.wrapping_mul(count as i64));
            if self.index[axis] < self.blocks.shape[axis] {
                return;
            }
            self.offset = self.offset.wrapping_sub(stride.wrapping_mul(self.index[axis] as i64));
            self.index[axis] = 0;
            count = 1;
        }
    }
}

#[derive(Clone, Debug)]
struct RowWalk<'a> {
    rows: &'a Rows,
    at: u64,
    end: u64,
    memo: Memo,
}

impl RowWalk<'_> {
    fn next(&mut self) -> Option<Run> {
        if self.at >= self.end {
            return None;
        }
        let Rows { grid, selection, start, step } = self.rows;
        let itemsize = selection.itemsize();
        let (number, skip) = (self.at / itemsize, self.at % itemsize);
        let mut index = [0; MAX_NDIM];
        let mut rest = start + number * step;
        let shape = selection.shape();
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        // How many of the walk's elements stay in this row of the last axis, and then in this cell.
        let (direction, mut stride, row) = match shape.len().checked_sub(1) {
            Some(last) => {
                let (axis, along) = selection.direction(last);
                (axis, along, (shape[last] - index[last]).div_ceil(*step))
            }
            None => (None, 0, 1),
        };
        let mut coordinates = [0; MAX_NDIM];
        let coordinates = &mut coordinates[..grid.shape().len()];
        let inside = selection.locate(&index[..shape.len()], coordinates);
        let spot = grid.spot_from(coordinates, direction, &mut self.memo);
        stride = stride.saturating_mul(*step as i64);
        let mut count = row;
        if let Some(axis) = direction {
            let here = coordinates[axis];
            let room = if stride > 0 { spot.high - here } else { here + 1 - spot.low };
            count = count.min(room.div_ceil(stride.unsigned_abs().max(1)));
            stride = stride.saturating_mul(spot.stride);
        }
        let offset = (spot.offset + inside) as u64;
        let left = self.end - self.at;
        let mut run = Run::line(spot.piece, offset + skip, itemsize, stride, count);
        if skip > 0 || left < itemsize {
            run.length = left.min(itemsize - skip);
            run.count = 1;
        } else {
            run.count = count.min(left / itemsize);
        }
        self.at += run.length * run.count;
        if run.count == 1 || run.stride == run.length as i64 {
            run.length *= run.count;
            run.count = 1;
            run.stride = run.length as i64;
        }
        Some(run)
    }
}

#[cfg(test)]
pub(crate) mod tests;
