//! Where the elements of an array lie: byte layouts, and the selections that NumPy's basic indexing makes.
//!
//! Two small models, both pure arithmetic:
//!
//! - [`Layout`] is what a file says: the byte `offset` of element `[0, 0, ...]`, and for each axis its length
//!   (`shape`, in elements) and its step (`strides`, in bytes, possibly negative).
//! - [`Selection`] is what a user asks for: an affine map from the coordinates of a view to coordinates of the
//!   array. It knows no bytes but those inside one element (fields and their sub-arrays), so it holds for
//!   arrays in one piece and for arrays made of pieces alike; [`Selection::place`] puts it on a layout.
//!
//! Invariants of a `Layout` made by [`Layout::packed`] or accepted by [`Layout::check`], relied on elsewhere:
//!
//! 1. the rank is at most [`MAX_NDIM`];
//! 2. the number of elements, and that number times `itemsize`, fit in an `i64`;
//! 3. every byte of every element lies at an offset between 0 and `i64::MAX`.

use std::fmt;
use std::ops::Range;

/// The largest rank, as in NumPy 2.
pub const MAX_NDIM: usize = 64;

/// The order in which a packed array stores its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last index varies fastest.
    C,
    /// The first index varies fastest (Fortran).
    F,
}

/// Where an array lies in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Byte offset of the element whose indices are all 0.
    pub offset: u64,
    /// Length of each axis, in elements.
    pub shape: Vec<u64>,
    /// For each axis, bytes from one element to the next.
    pub strides: Vec<i64>,
    /// Bytes of one element.
    pub itemsize: u64,
}

/// Why a layout cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// More axes than [`MAX_NDIM`].
    Rank(usize),
    /// The array, or an offset into it, is larger than a file can be.
    Overflow,
    /// An element would lie before the start of the file.
    BeforeStart,
    /// The order of the axes does not name each of them once.
    Axes,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank(ndim) => write!(f, "the array has {ndim} axes, more than {MAX_NDIM}"),
            Self::Overflow => write!(f, "the array is larger than any file can be (2^63 bytes)"),
            Self::BeforeStart => write!(f, "the strides lead to bytes before the start of the file"),
            Self::Axes => write!(f, "the order of the axes does not name each of them once"),
        }
    }
}

impl std::error::Error for LayoutError {}

impl Layout {
    /// The layout of an array that is stored without gaps from byte `offset` on. NumPy's convention for
    /// arrays without elements holds: an axis of length 0 counts as 1 in the strides.
    ///
    /// # Errors
    /// If the rank is above [`MAX_NDIM`], or the array would be larger than a file can be.
    pub fn packed(offset: u64, shape: &[u64], itemsize: u64, order: Order) -> Result<Layout, LayoutError> {
        let layout =
            Layout { offset, shape: shape.to_vec(), strides: packed_strides(shape, itemsize, order)?, itemsize };
        layout.check()?;
        Ok(layout)
    }

    /// Checks the invariants of the module.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), LayoutError> {
        if self.shape.len() > MAX_NDIM || self.strides.len() != self.shape.len() {
            return Err(LayoutError::Rank(self.shape.len().max(self.strides.len())));
        }
        check_count(&self.shape, self.itemsize)?;
        let (low, high) = self.reach();
        if low < 0 {
            return Err(LayoutError::BeforeStart);
        }
        if high > i128::from(i64::MAX) || self.offset > i64::MAX as u64 {
            return Err(LayoutError::Overflow);
        }
        Ok(())
    }

    /// Lowest byte of an element, and one past the highest.
    fn reach(&self) -> (i128, i128) {
        let start = i128::from(self.offset);
        if self.count() == 0 {
            return (start, start);
        }
        let (mut low, mut high) = (start, start + i128::from(self.itemsize));
        for (&length, &stride) in self.shape.iter().zip(&self.strides) {
            let far = i128::from(length - 1) * i128::from(stride);
            low += far.min(0);
            high += far.max(0);
        }
        (low, high)
    }

    /// Number of elements.
    pub fn count(&self) -> u64 {
        count(&self.shape)
    }

    /// Bytes of the file among which the elements lie; empty where there is no element.
    pub fn extent(&self) -> Range<u64> {
        let (low, high) = self.reach();
        // Invariant 3: both ends are offsets that a file can have.
        low as u64..high as u64
    }

    /// Whether the elements lie in C order without gaps, by NumPy's rules: axes of length 1 have no say, and
    /// an array without elements is contiguous.
    pub fn is_c_contiguous(&self) -> bool {
        is_packed(self.shape.iter().zip(&self.strides).rev(), self.itemsize, &self.shape)
    }

    /// As [`Layout::is_c_contiguous`], for Fortran order.
    pub fn is_f_contiguous(&self) -> bool {
        is_packed(self.shape.iter().zip(&self.strides), self.itemsize, &self.shape)
    }
}

/// Checks invariant 2. Axes of length 0 are passed over, so that it holds for every part of the shape as well.
fn check_count(shape: &[u64], itemsize: u64) -> Result<(), LayoutError> {
    let mut nonzero: u64 = itemsize.max(1);
    for &length in shape.iter().filter(|&&length| length != 0) {
        nonzero = nonzero.checked_mul(length).filter(|&n| n <= i64::MAX as u64).ok_or(LayoutError::Overflow)?;
    }
    Ok(())
}

/// Number of elements of a shape. Only for shapes whose count was checked to fit.
pub fn count(shape: &[u64]) -> u64 {
    if shape.contains(&0) { 0 } else { shape.iter().product() }
}

/// Strides in bytes of a packed array.
///
/// # Errors
/// If the rank is above [`MAX_NDIM`] or a stride does not fit.
pub fn packed_strides(shape: &[u64], itemsize: u64, order: Order) -> Result<Vec<i64>, LayoutError> {
    match order {
        Order::C => nested_strides(shape, itemsize, (0..shape.len()).rev()),
        Order::F => nested_strides(shape, itemsize, 0..shape.len()),
    }
}

/// Strides in bytes of an array that is packed with its axes in any order: `axes` names them from the slowest to the
/// fastest.
///
/// # Errors
/// If `axes` does not name every axis once, the rank is above [`MAX_NDIM`], or a stride does not fit.
pub fn permuted_strides(shape: &[u64], itemsize: u64, axes: &[usize]) -> Result<Vec<i64>, LayoutError> {
    if !is_permutation(axes, shape.len()) {
        return Err(LayoutError::Axes);
    }
    nested_strides(shape, itemsize, axes.iter().rev().copied())
}

/// Whether these are the numbers below `count`, each once.
pub fn is_permutation(numbers: &[usize], count: usize) -> bool {
    let mut seen = vec![false; count];
    let mut first = |&number: &usize| seen.get_mut(number).is_some_and(|seen| !std::mem::replace(seen, true));
    numbers.len() == count && numbers.iter().all(&mut first)
}

/// Strides in bytes of a packed array whose axes are given from the fastest to the slowest.
fn nested_strides(
    shape: &[u64],
    itemsize: u64,
    mut axes: impl Iterator<Item = usize>,
) -> Result<Vec<i64>, LayoutError> {
    if shape.len() > MAX_NDIM {
        return Err(LayoutError::Rank(shape.len()));
    }
    let mut strides = vec![0; shape.len()];
    let mut next = itemsize;
    axes.try_for_each(|axis| {
        strides[axis] = i64::try_from(next).map_err(|_| LayoutError::Overflow)?;
        next = next.checked_mul(shape[axis].max(1)).ok_or(LayoutError::Overflow)?;
        Ok(())
    })?;
    Ok(strides)
}

fn is_packed<'a>(axes: impl Iterator<Item = (&'a u64, &'a i64)>, itemsize: u64, shape: &[u64]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut next = i128::from(itemsize);
    for (&length, &stride) in axes.filter(|&(&length, _)| length != 1) {
        if i128::from(stride) != next {
            return false;
        }
        next *= i128::from(length);
    }
    true
}

/// A range of indices after NumPy's clipping: `len` of them, the first `start`, `step` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// First index; 0 where the range is empty.
    pub start: u64,
    /// Step from one index to the next, never 0; 1 where there are fewer than two.
    pub step: i64,
    /// Number of indices.
    pub len: u64,
}

impl Span {
    /// All indices of an axis.
    pub fn all(len: u64) -> Span {
        Span { start: 0, step: 1, len }
    }

    /// Whether these are all indices of an axis of `length`, in order.
    pub fn is_all(&self, length: u64) -> bool {
        *self == Span::all(length)
    }
}

/// What selects along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// One index; the axis goes.
    Index(u64),
    /// A range of indices; the axis stays.
    Span(Span),
}

/// How an axis of a view moves through the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Along {
    /// Along an axis of the array, by `step` elements.
    Axis { axis: usize, step: i64 },
    /// Inside the element (a sub-array of a field), by `stride` bytes.
    Inside { stride: i64 },
}

/// A view of an array in the array's own coordinates: what NumPy's basic indexing, transposition and field
/// access make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Coordinates in the array of the view's first element.
    base: Vec<u64>,
    /// Byte within the array's element at which the view's first element starts.
    inside: i64,
    along: Vec<Along>,
    shape: Vec<u64>,
    itemsize: u64,
}

impl Selection {
    /// The whole array of this shape, with elements of `itemsize` bytes.
    pub fn whole(shape: &[u64], itemsize: u64) -> Selection {
        Selection {
            base: vec![0; shape.len()],
            inside: 0,
            along: (0..shape.len()).map(|axis| Along::Axis { axis, step: 1 }).collect(),
            shape: shape.to_vec(),
            itemsize,
        }
    }

    /// Length of each axis of the view, in elements.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Bytes of one element of the view.
    pub fn itemsize(&self) -> u64 {
        self.itemsize
    }

    /// Number of elements of the view.
    pub fn count(&self) -> u64 {
        count(&self.shape)
    }

    /// The view's elements at these picks, one for each axis. The picks must lie inside the shape.
    pub fn pick(&self, picks: &[Pick]) -> Selection {
        debug_assert_eq!(picks.len(), self.ndim());
        let mut view = Selection { along: Vec::new(), shape: Vec::new(), ..self.clone() };
        for (&pick, &along) in picks.iter().zip(&self.along) {
            match pick {
                Pick::Index(index) => view.advance(along, index),
                Pick::Span(span) => {
                    if span.len > 0 {
                        view.advance(along, span.start);
                    }
                    view.along.push(match along {
                        Along::Axis { axis, step } => Along::Axis { axis, step: step.saturating_mul(span.step) },
                        Along::Inside { stride } => Along::Inside { stride: stride.saturating_mul(span.step) },
                    });
                    view.shape.push(span.len);
                }
            }
        }
        view
    }

    /// Moves the first element `index` steps along an axis of the view.
    fn advance(&mut self, along: Along, index: u64) {
        // The picked index lies inside the axis, so the sum is a coordinate of the array.
        let index = index as i64;
        match along {
            Along::Axis { axis, step } => {
                self.base[axis] = self.base[axis].wrapping_add_signed(step.wrapping_mul(index))
            }
            Along::Inside { stride } => self.inside += stride.wrapping_mul(index),
        }
    }

    /// One index on one axis, all of the others.
    pub fn index(&self, axis: usize, index: u64) -> Selection {
        let picks: Vec<Pick> = (self.shape.iter().enumerate())
            .map(|(k, &length)| if k == axis { Pick::Index(index) } else { Pick::Span(Span::all(length)) })
            .collect();
        self.pick(&picks)
    }

    /// The axes in reverse order.
    pub fn transpose(&self) -> Selection {
        let mut view = self.clone();
        view.along.reverse();
        view.shape.reverse();
        view
    }

    /// A part of every element: the one at byte `offset` of it, an array of this shape with elements of
    /// `itemsize` bytes, whose axes (packed, C order) follow those of the view.
    ///
    /// # Errors
    /// If the rank would exceed [`MAX_NDIM`], or the number of elements an `i64`, as it may where they take no bytes.
    pub fn part(&self, offset: u64, shape: &[u64], itemsize: u64) -> Result<Selection, LayoutError> {
        let strides = packed_strides(shape, itemsize, Order::C)?;
        let ndim = self.ndim() + shape.len();
        if ndim > MAX_NDIM {
            return Err(LayoutError::Rank(ndim));
        }
        let mut view = self.clone();
        view.inside += i64::try_from(offset).map_err(|_| LayoutError::Overflow)?;
        view.along.extend(strides.into_iter().map(|stride| Along::Inside { stride }));
        view.shape.extend_from_slice(shape);
        view.itemsize = itemsize;
        check_count(&view.shape, itemsize)?;
        Ok(view)
    }

    /// The byte layout of this view of an array that lies in one piece at `layout`.
    pub fn place(&self, layout: &Layout) -> Layout {
        let strides = self.along.iter().map(|&along| match along {
            Along::Axis { axis, step } => layout.strides[axis].saturating_mul(step),
            Along::Inside { stride } => stride,
        });
        let mut offset = layout.offset as i64;
        if self.count() > 0 {
            offset += self.inside;
            for (&index, &stride) in self.base.iter().zip(&layout.strides) {
                offset += index as i64 * stride;
            }
        }
        Layout { offset: offset as u64, shape: self.shape.clone(), strides: strides.collect(), itemsize: self.itemsize }
    }

    /// Coordinates in the array, and the byte inside its element, of the view's element at `index`.
    pub fn locate(&self, index: &[u64], coordinates: &mut [u64]) -> i64 {
        coordinates.copy_from_slice(&self.base);
        let mut inside = self.inside;
        for (&along, &i) in self.along.iter().zip(index) {
            match along {
                Along::Axis { axis, step } => {
                    coordinates[axis] = coordinates[axis].wrapping_add_signed(step.wrapping_mul(i as i64));
                }
                Along::Inside { stride } => inside += stride * i as i64,
            }
        }
        inside
    }

    /// How one axis of the view moves: the array's axis and the step in elements along it, or nothing and the
    /// stride in bytes inside the element.
    pub fn direction(&self, axis: usize) -> (Option<usize>, i64) {
        match self.along[axis] {
            Along::Axis { axis, step } => (Some(axis), step),
            Along::Inside { stride } => (None, stride),
        }
    }
}
