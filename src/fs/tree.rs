//! The tree of views over one array: what the names in an array's folder mean.

use std::sync::Arc;

use rustix::io::Errno;

use super::body::Body;
use super::elements::Elements;
use super::facts::Fact;
use super::preview::Content;
use crate::catalog::Description;
use crate::convert::{Conversion, Element};
use crate::dtype::DType;
use crate::form::png::Samples;
use crate::form::{Face, Form, Slice};
use crate::format::{Files, physical};
use crate::layout::{Layout, Pick, Selection, Span};
use crate::runs::View;

/// A step down from the array's folder to a folder with the same tree below it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// `T`: the axes in reverse order.
    Transpose,
    /// `field/NAME`: a part of every element.
    Field(Box<str>),
    /// `as/DTYPE`: every element converted.
    As(Element),
    /// `value`: what the elements stand for, by the scale, the offset and the missing values of the format.
    Value,
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
    /// One of the above in a form, which is not itself one of these or a fact.
    Formed(Form, Box<Leaf>),
}

impl Leaf {
    /// The leaf whose elements it shows, and the form.
    pub(super) fn split(&self) -> (Option<Form>, &Leaf) {
        match self {
            Leaf::Formed(form, leaf) => (Some(*form), leaf),
            leaf => (None, leaf),
        }
    }
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
    /// Type of its elements, as they are shown.
    pub(super) dtype: DType,
    /// What an element is where `dtype` says only how many bytes it takes.
    pub(super) element: Option<&'static str>,
    /// How they come from the stored ones.
    pub(super) conversion: Option<Conversion>,
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
    /// ENOENT where a field does not exist, or where converted elements make more bytes than a file can have; ELOOP for a
    /// transpose of a transpose.
    pub(super) fn new(description: Arc<Description>, steps: &[Step]) -> Result<Tree, Errno> {
        let array = &description.array;
        let mut selection = Selection::whole(array.grid.shape(), array.grid.itemsize());
        let mut dtype = array.dtype.clone();
        let mut dims = array.dims.clone();
        dims.resize(selection.ndim(), String::new());
        let mut element = array.element;
        let mut conversion: Option<Conversion> = None;
        let mut canonical: Vec<Step> = Vec::new();
        let mut last = None;
        for step in steps {
            match step {
                Step::Transpose if last == Some(&Step::Transpose) => return Err(Errno::LOOP),
                Step::Transpose => {
                    selection = selection.transpose();
                    dims.reverse();
                }
                Step::As(wanted) => {
                    if steps.iter().filter(|step| matches!(step, Step::As(_))).count() > 1 {
                        return Err(Errno::LOOP);
                    }
                    conversion = Some(match conversion {
                        Some(before) => Conversion { to: *wanted, ..before },
                        None => Conversion::new(Element::of(&dtype, element).ok_or(Errno::NOENT)?, *wanted),
                    });
                }
                Step::Value if conversion.is_some() => return Err(Errno::NOENT),
                Step::Value => {
                    let stored = Element::of(&dtype, element).ok_or(Errno::NOENT)?;
                    let mut fields = canonical.iter().filter_map(|step| match step {
                        Step::Field(name) => Some(&**name),
                        _ => None,
                    });
                    let values = physical::values(array, fields.next(), stored).ok_or(Errno::NOENT)?;
                    conversion = Some(values);
                }
                Step::Field(_) if conversion.is_some() => return Err(Errno::NOENT),
                Step::Field(name) => {
                    let part = dtype.part(name).ok_or(Errno::NOENT)?;
                    selection = selection
                        .part(part.offset, &part.shape, part.dtype.itemsize())
                        .map_err(|_| Errno::NAMETOOLONG)?;
                    (dtype, element) = (part.dtype, None);
                    dims.resize(selection.ndim(), String::new());
                }
            }
            // With fewer than two axes there is nothing to transpose: the same files.
            if *step != Step::Transpose || selection.ndim() > 1 {
                canonical.push(step.clone());
            }
            last = Some(step);
        }
        if conversion.as_ref().is_some_and(Conversion::is_identity) {
            // The same files as without it.
            conversion = None;
            canonical.retain(|step| !matches!(step, Step::As(_) | Step::Value));
        }
        if let Some(conversion) = &conversion {
            (dtype, element) = conversion.to.dtype();
            // A sparse array may have more elements than a file of wider ones can hold.
            let len = selection.count().checked_mul(dtype.itemsize());
            len.filter(|&len| len <= i64::MAX as u64).ok_or(Errno::NOENT)?;
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
        Ok(Tree { description, steps: canonical, selection, dtype, element, conversion, dims, axes, files: next })
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
            Leaf::Slice(_) | Leaf::Range(_) | Leaf::Formed(..) => None,
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
            Leaf::Formed(_, leaf) => self.selection_of(leaf),
            Leaf::Data | Leaf::Range(_) | Leaf::Fact(_) => self.selection.clone(),
        }
    }

    /// Shape of a leaf, in elements.
    pub(super) fn shape_of(&self, leaf: &Leaf) -> Vec<u64> {
        match leaf.split().1 {
            Leaf::Range(span) => vec![span.len],
            leaf => self.selection_of(leaf).shape().to_vec(),
        }
    }

    /// The stored elements of a leaf, in C order.
    fn view(&self, leaf: &Leaf) -> View {
        let grid = &self.description.array.grid;
        match leaf {
            Leaf::Range(span) => View::range(grid, &self.selection, *span),
            _ => View::new(grid, &self.selection_of(leaf)),
        }
    }

    /// Where a leaf's elements lie, if they lie in one piece and at one distance along each axis.
    pub(super) fn layout_of(&self, leaf: &Leaf) -> Option<Layout> {
        let leaf = leaf.split().1;
        let whole = self.description.array.grid.single()?;
        let placed = self.selection_of(leaf).place(whole);
        let Leaf::Range(span) = leaf else { return Some(placed) };
        // A range of a packed array is strided as well.
        if !placed.is_c_contiguous() {
            return None;
        }
        let offset = placed.offset + span.start * placed.itemsize;
        let strides = vec![placed.itemsize as i64 * span.step];
        Some(Layout { offset, shape: vec![span.len], strides, itemsize: placed.itemsize })
    }

    /// Calls `see` with a leaf as forms see it.
    pub(super) fn with_slice<R>(&self, leaf: &Leaf, see: impl FnOnce(&Slice<'_>) -> R) -> R {
        let layout = self.layout_of(leaf);
        let is_fortran = layout.as_ref().is_some_and(|layout| layout.is_f_contiguous() && !layout.is_c_contiguous());
        let is_stored = self.conversion.is_none() && matches!(self.description.array.files, Files::Itself);
        see(&Slice {
            file: layout.as_ref().filter(|_| is_stored).map(|layout| (&*self.description.path, layout)),
            dtype: &self.dtype,
            element: self.element,
            shape: &self.shape_of(leaf),
            is_fortran,
            attributes: &self.description.array.attributes,
        })
    }

    /// What a leaf looks like in a form; nothing if the form does not fit.
    pub(super) fn face(&self, form: Form, leaf: &Leaf) -> Option<Face> {
        self.with_slice(leaf, |slice| form.face(slice))
    }

    /// The content of a leaf.
    ///
    /// # Errors
    /// ENOENT where its form does not fit.
    pub(super) fn content(&self, leaf: &Leaf) -> Result<Content, Errno> {
        let (form, base) = leaf.split();
        let face = match form {
            Some(form) => Some(self.face(form, base).ok_or(Errno::NOENT)?),
            None => None,
        };
        let mut conversion = self.conversion.clone();
        let mut view = None;
        if let Some(Face::Document(_)) = &face {
            let none = Span { start: 0, step: 1, len: 0 };
            view = Some(View::range(&self.description.array.grid, &self.selection, none));
        }
        if let Some(Face::Binary(binary)) = &face
            && (binary.is_transposed || !binary.reversed.is_empty())
        {
            view = Some(View::new(&self.description.array.grid, &arranged(self.selection_of(base), binary)));
        }
        let (big, flip) = match &face {
            Some(Face::Binary(binary)) => (binary.big, binary.flip),
            Some(Face::Picture(_)) => (Some(true), false),
            _ => (None, false),
        };
        if big.is_some() || flip {
            let number = Element::of(&self.dtype, self.element).ok_or(Errno::NOENT)?;
            let mut changed = conversion.unwrap_or_else(|| Conversion::new(number, number));
            let to = Element { big: big.unwrap_or(number.big), ..changed.to };
            changed.to = Element { big: to.big && to.code.size() > 1, ..to };
            changed.flip = flip;
            conversion = Some(changed).filter(|conversion| !conversion.is_identity());
        }
        let elements = Elements { conversion, ..self.elements() };
        Ok(Body::content(view.unwrap_or_else(|| self.view(base)), face, elements))
    }

    /// How its elements are shown in no form.
    pub(super) fn elements(&self) -> Elements {
        Elements {
            conversion: self.conversion.clone(),
            stored: self.selection.itemsize(),
            shown: self.dtype.itemsize(),
        }
    }

    /// Some of the elements of a leaf, those of which its preview is made.
    pub(super) fn sampled(&self, leaf: &Leaf, samples: Samples) -> View {
        let leaf = leaf.split().1;
        match samples {
            Samples::Grid(spans) => {
                let picked = self.selection_of(leaf).pick(&spans.map(Pick::Span));
                View::new(&self.description.array.grid, &picked)
            }
            Samples::Stretches => self.view(leaf),
        }
    }

    /// Whether a leaf is a preview.
    pub(super) fn is_preview(&self, leaf: &Leaf) -> bool {
        matches!(leaf, Leaf::Formed(form, base) if matches!(self.face(*form, base), Some(Face::Preview(_))))
    }

    /// Length of a leaf in bytes; nothing where its form does not fit.
    pub(super) fn len_of(&self, leaf: &Leaf) -> Option<u64> {
        Some(match leaf {
            Leaf::Data => self.selection.count() * self.dtype.itemsize(),
            Leaf::Axis(axis, _) => {
                let others = self.selection.shape().iter().enumerate().filter(|(k, _)| k != axis);
                others.map(|(_, &length)| length).product::<u64>() * self.dtype.itemsize()
            }
            Leaf::Slice(selection) => selection.count() * self.dtype.itemsize(),
            Leaf::Range(span) => span.len * self.dtype.itemsize(),
            Leaf::Fact(_) => 0,
            Leaf::Formed(..) => self.content(leaf).ok()?.len(),
        })
    }

    /// The same file in the tree where it has its number: in two dimensions, `T/row/3` is `col/3`.
    pub(super) fn untransposed(&self, leaf: &Leaf) -> Option<(&[Step], Leaf)> {
        match (self.steps.split_last(), leaf) {
            (Some((Step::Transpose, above)), Leaf::Axis(axis, index)) if self.selection.ndim() == 2 => {
                Some((above, Leaf::Axis(1 - axis, *index)))
            }
            (_, Leaf::Formed(form, leaf)) => {
                let (steps, leaf) = self.untransposed(leaf)?;
                Some((steps, Leaf::Formed(*form, Box::new(leaf))))
            }
            _ => None,
        }
    }
}

/// The elements in the order that a form asks for.
fn arranged(selection: Selection, binary: &crate::form::Binary) -> Selection {
    let picks = selection.shape().iter().enumerate().map(|(axis, &len)| {
        let is_reversed = binary.reversed.contains(&axis) && len > 1;
        Pick::Span(if is_reversed { Span { start: len - 1, step: -1, len } } else { Span::all(len) })
    });
    let picked = selection.pick(&picks.collect::<Vec<Pick>>());
    if binary.is_transposed { picked.transpose() } else { picked }
}
