//! The tree of views over one array: what the names in an array's folder mean.

use std::sync::Arc;

use rustix::io::Errno;

use super::facts::Fact;
use crate::catalog::Description;
use crate::dtype::DType;
use crate::layout::{Pick, Selection, Span};
use crate::runs::View;

/// A step down from the array's folder to a folder with the same tree below it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// `T`: the axes in reverse order.
    Transpose,
    /// `field/NAME`: a part of every element.
    Field(Box<str>),
}

/// A file in a tree of views, in canonical form: two names that mean the same are the same `Leaf`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leaf {
    /// All elements, in C order.
    Data,
    /// One index on one axis.
    Axis(usize, u64),
    /// Basic indexing that is neither of the above.
    Slice(Selection),
    /// A range of the elements in C order.
    Range(Span),
    /// A fact about the array.
    Fact(Fact),
}

/// The axis files of a tree get consecutive numbers only up to so many; an array with more (its elements must be of
/// size 0, or its file sparse beyond any disk) has the others numbered one by one, as they are used.
const NUMBERED: u64 = 1 << 48;

/// An array, or what `T` and `field/NAME` make of it.
#[derive(Debug)]
pub(super) struct Tree {
    /// The array file.
    pub(super) description: Arc<Description>,
    /// How this view comes from the array.
    pub(super) steps: Vec<Step>,
    /// The view.
    pub(super) selection: Selection,
    /// Type of its elements.
    pub(super) dtype: DType,
    /// The names of its axes; empty where there is none.
    pub(super) dims: Vec<String>,
    /// Number of the first file of each axis; empty where they are not numbered.
    axes: Vec<u64>,
    files: u64,
}

impl Tree {
    /// The view of an array after these steps.
    ///
    /// # Errors
    /// ENOENT where a field does not exist, ELOOP for a transpose of a transpose.
    pub(super) fn new(description: Arc<Description>, steps: &[Step]) -> Result<Tree, Errno> {
        let array = &description.array;
        let mut selection = Selection::whole(array.grid.shape(), array.grid.itemsize());
        let mut dtype = array.dtype.clone();
        let mut dims = array.dims.clone();
        dims.resize(selection.ndim(), String::new());
        let mut canonical: Vec<Step> = Vec::new();
        let mut last = None;
        for step in steps {
            match step {
                Step::Transpose if last == Some(&Step::Transpose) => return Err(Errno::LOOP),
                Step::Transpose => {
                    selection = selection.transpose();
                    dims.reverse();
                }
                Step::Field(name) => {
                    let part = dtype.part(name).ok_or(Errno::NOENT)?;
                    selection = selection
                        .part(part.offset, &part.shape, part.dtype.itemsize())
                        .map_err(|_| Errno::NAMETOOLONG)?;
                    dtype = part.dtype;
                    dims.resize(selection.ndim(), String::new());
                }
            }
            // With fewer than two axes there is nothing to transpose: the same files.
            if *step != Step::Transpose || selection.ndim() > 1 {
                canonical.push(step.clone());
            }
            last = Some(step);
        }
        let mut next = Fact::ALL.len() as u64 + 1;
        let mut axes = Vec::with_capacity(selection.ndim());
        for &length in selection.shape() {
            axes.push(next);
            next = next.saturating_add(length);
        }
        if next > NUMBERED {
            axes.clear();
            next = Fact::ALL.len() as u64 + 1;
        }
        Ok(Tree { description, steps: canonical, selection, dtype, dims, axes, files: next })
    }

    /// Number of files with a number of their own.
    pub(super) fn files(&self) -> u64 {
        self.files
    }

    /// The number of a leaf, if it has one.
    pub(super) fn number(&self, leaf: &Leaf) -> Option<u64> {
        match leaf {
            Leaf::Data => Some(0),
            Leaf::Fact(fact) => Some(1 + *fact as u64),
            Leaf::Axis(axis, index) => Some(self.axes.get(*axis)? + index),
            Leaf::Slice(_) | Leaf::Range(_) => None,
        }
    }

    /// The leaf of a number.
    pub(super) fn leaf(&self, number: u64) -> Option<Leaf> {
        if number == 0 {
            return Some(Leaf::Data);
        }
        if let Some(&fact) = Fact::ALL.get(number as usize - 1) {
            return Some(Leaf::Fact(fact));
        }
        // Axes of length 0 share their start with the next: the last that starts at or before the number has it.
        let axis = self.axes.partition_point(|&start| start <= number).checked_sub(1)?;
        let index = number - self.axes[axis];
        (index < self.selection.shape()[axis]).then_some(Leaf::Axis(axis, index))
    }

    /// The canonical leaf of basic indexing.
    pub(super) fn slice(&self, picks: &[Pick]) -> Leaf {
        let shape = self.selection.shape();
        let mut indexed = None;
        for (axis, (&pick, &length)) in picks.iter().zip(shape).enumerate() {
            match pick {
                Pick::Span(span) if span.is_all(length) => {}
                Pick::Index(index) if indexed.is_none() => indexed = Some((axis, index)),
                _ => return Leaf::Slice(self.selection.pick(picks)),
            }
        }
        indexed.map_or(Leaf::Data, |(axis, index)| Leaf::Axis(axis, index))
    }

    /// The leaf of an index or range on one axis.
    pub(super) fn on_axis(&self, axis: usize, pick: Pick) -> Leaf {
        let mut picks: Vec<Pick> = self.selection.shape().iter().map(|&length| Pick::Span(Span::all(length))).collect();
        picks[axis] = pick;
        self.slice(&picks)
    }

    /// The canonical leaf of an index or range of the elements in C order.
    pub(super) fn raveled(&self, pick: Pick) -> Leaf {
        let shape = self.selection.shape();
        match pick {
            _ if shape.len() == 1 => self.slice(&[pick]),
            Pick::Span(span) => Leaf::Range(span),
            Pick::Index(mut number) => {
                let mut picks: Vec<Pick> = Vec::with_capacity(shape.len());
                for &length in shape.iter().rev() {
                    picks.push(Pick::Index(number % length));
                    number /= length;
                }
                picks.reverse();
                self.slice(&picks)
            }
        }
    }

    /// The array's elements that a leaf shows, before a range is taken of them.
    pub(super) fn selection_of(&self, leaf: &Leaf) -> Selection {
        match leaf {
            Leaf::Axis(axis, index) => self.selection.index(*axis, *index),
            Leaf::Slice(selection) => selection.clone(),
            Leaf::Data | Leaf::Range(_) | Leaf::Fact(_) => self.selection.clone(),
        }
    }

    /// Shape of a leaf, in elements.
    pub(super) fn shape_of(&self, leaf: &Leaf) -> Vec<u64> {
        match leaf {
            Leaf::Range(span) => vec![span.len],
            _ => self.selection_of(leaf).shape().to_vec(),
        }
    }

    /// The bytes of a leaf.
    pub(super) fn view(&self, leaf: &Leaf) -> View {
        let grid = &self.description.array.grid;
        match leaf {
            Leaf::Range(span) => View::range(grid, &self.selection, *span),
            _ => View::new(grid, &self.selection_of(leaf)),
        }
    }

    /// Length of a leaf in bytes.
    pub(super) fn len_of(&self, leaf: &Leaf) -> u64 {
        match leaf {
            Leaf::Data => self.selection.count() * self.selection.itemsize(),
            Leaf::Axis(axis, _) => {
                let others = self.selection.shape().iter().enumerate().filter(|(k, _)| k != axis);
                others.map(|(_, &length)| length).product::<u64>() * self.selection.itemsize()
            }
            Leaf::Slice(selection) => selection.count() * selection.itemsize(),
            Leaf::Range(span) => span.len * self.selection.itemsize(),
            Leaf::Fact(_) => 0,
        }
    }

    /// The same file in the tree where it has its number: in two dimensions, `T/row/3` is `col/3`.
    pub(super) fn untransposed(&self, leaf: &Leaf) -> Option<(&[Step], Leaf)> {
        match (self.steps.split_last(), leaf) {
            (Some((Step::Transpose, above)), Leaf::Axis(axis, index)) if self.selection.ndim() == 2 => {
                Some((above, Leaf::Axis(1 - axis, *index)))
            }
            _ => None,
        }
    }
}
