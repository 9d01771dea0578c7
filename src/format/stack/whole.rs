//! What the whole of a stack tells of its members: which one has which shape, and where the part of it lies that is taken.

use std::sync::Arc;

use super::{Member, Named, Whole};
use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::{Array, Files};
use crate::grid::Seams;
use crate::layout::{Layout, Order};

impl Member {
    /// What an array is.
    pub fn of(array: &Array) -> Member {
        let Array { dtype, element, dims, grid, .. } = array;
        Member { dtype: dtype.clone(), element: *element, shape: grid.shape().to_vec(), dims: dims.clone() }
    }
}

impl Whole {
    /// Number of members.
    pub fn count(&self) -> u64 {
        self.names.count()
    }

    /// The names of the members.
    pub fn names(&self) -> &Arc<Named> {
        &self.names
    }

    /// Length of each axis of the whole.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Bytes of an element.
    pub fn itemsize(&self) -> u64 {
        self.member.dtype.itemsize()
    }

    /// The axis along which members are joined, and how.
    pub fn seams(&self) -> (usize, &Seams) {
        (self.axis, &self.seams)
    }

    /// The axis of a member, in its file, along which they are joined, unless that is a new one.
    pub fn own_axis(&self) -> Option<usize> {
        self.own_axis
    }

    /// Equal for two whose members are the same, and taken alike.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The shape that a member must have in its file.
    pub fn shape_of(&self, number: u64) -> Vec<u64> {
        let mut shape = self.member.shape.clone();
        if let Some(own) = self.own_axis {
            shape[own] = self.length_of(number);
        }
        shape
    }

    fn length_of(&self, number: u64) -> u64 {
        let Some(own) = self.own_axis else { return 0 };
        let at = self.lengths.partition_point(|&(first, _)| first <= number);
        at.checked_sub(1).map_or(self.member.shape[own], |at| self.lengths[at].1)
    }

    /// The layout of what stands for a member that cannot be had.
    pub fn packed(&self, number: u64) -> Layout {
        let layout = self
            .views
            .get(&self.length_of(number))
            .map(|view| Layout::packed(0, view.shape(), view.itemsize(), Order::C));
        // Every length has its view, and the whole of them is possible.
        layout.and_then(Result::ok).unwrap_or_else(|| {
            let ndim = self.shape.len();
            Layout { offset: 0, shape: vec![0; ndim], strides: vec![0; ndim], itemsize: self.itemsize() }
        })
    }

    /// Where that lies which is taken of a member.
    ///
    /// # Errors
    /// What is odd about the member; a clause that follows its name.
    pub fn place(&self, number: u64, array: &Array) -> Result<Layout, String> {
        self.check(&self.shape_of(number), array)?;
        let single = array.grid.single().filter(|_| matches!(array.files, Files::Itself));
        let single = single.ok_or("lies in several pieces, or in another file; a member is one piece in one file")?;
        let view = self.views.get(&self.length_of(number)).ok_or("has no length")?;
        Ok(view.place(single))
    }

    /// Compares a member with what is expected, its shape with this one.
    ///
    /// # Errors
    /// What is odd about it.
    pub fn check(&self, shape: &[u64], array: &Array) -> Result<(), String> {
        let Member { dtype, element, .. } = &self.member;
        let is = |dtype: &DType, element: Option<&str>| match element {
            Some(element) => element.to_owned(),
            None => excerpt(&dtype.to_string()),
        };
        if (&array.dtype, array.element) != (dtype, *element) {
            let (found, expected) = (is(&array.dtype, array.element), is(dtype, *element));
            return Err(format!("has elements of type {found}, and {expected} was expected"));
        }
        if array.grid.shape() != shape {
            let (found, expected) = (shape_text(array.grid.shape()), shape_text(shape));
            return Err(format!("has the shape {found}, and {expected} was expected"));
        }
        Ok(())
    }
}

/// A shape as NumPy writes it.
pub fn shape_text(shape: &[u64]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}
