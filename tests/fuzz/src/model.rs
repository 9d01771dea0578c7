//! Views of arrays as the steps that made them, to be undone one by one: too simple to be wrong.

use afbfs::layout::Pick;

/// What makes a view of a view.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Pick(Vec<Pick>),
    Transpose,
    /// The part of this shape at this byte of every element, in elements of `itemsize` bytes.
    Part {
        offset: u64,
        shape: Vec<u64>,
        itemsize: u64,
    },
    /// `ravel()`
    Flat,
}

/// A view of an array.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The steps, and the shape that each was applied to.
    steps: Vec<(Step, Vec<u64>)>,
    pub(crate) shape: Vec<u64>,
    pub(crate) itemsize: u64,
}

impl Model {
    pub(crate) fn whole(shape: &[u64], itemsize: u64) -> Model {
        Model { steps: Vec::new(), shape: shape.to_vec(), itemsize }
    }

    pub(crate) fn then(mut self, step: Step) -> Model {
        let before = self.shape.clone();
        match &step {
            Step::Pick(picks) => {
                assert_eq!(picks.len(), before.len());
                self.shape = picks
                    .iter()
                    .filter_map(|pick| if let Pick::Span(span) = pick { Some(span.len) } else { None })
                    .collect();
            }
            Step::Transpose => self.shape.reverse(),
            Step::Part { shape, itemsize, .. } => {
                self.shape.extend(shape);
                self.itemsize = *itemsize;
            }
            Step::Flat => self.shape = vec![count(&before)],
        }
        self.steps.push((step, before));
        self
    }

    pub(crate) fn count(&self) -> u64 {
        count(&self.shape)
    }

    /// Coordinates in the array, and the byte within its element, of an element of the view, counted in C order.
    pub(crate) fn locate(&self, number: u64) -> (Vec<u64>, u64) {
        let mut index = unravel(number, &self.shape);
        let mut inside = 0;
        for (step, before) in self.steps.iter().rev() {
            match step {
                Step::Pick(picks) => {
                    let mut indices = index.iter();
                    let mut picked = |pick: &Pick| match *pick {
                        Pick::Index(index) => index,
                        Pick::Span(span) => {
                            let steps = i128::from(*indices.next().expect("an index for each axis"));
                            u64::try_from(i128::from(span.start) + steps * i128::from(span.step)).expect("an index")
                        }
                    };
                    index = picks.iter().map(&mut picked).collect();
                }
                Step::Transpose => index.reverse(),
                Step::Part { offset, shape, itemsize } => {
                    let within = index.split_off(before.len());
                    inside += offset + ravel(&within, shape) * itemsize;
                }
                Step::Flat => index = unravel(index[0], before),
            }
        }
        (index, inside)
    }
}

pub(crate) fn count(shape: &[u64]) -> u64 {
    if shape.contains(&0) { 0 } else { shape.iter().product() }
}

pub(crate) fn ravel(index: &[u64], shape: &[u64]) -> u64 {
    index.iter().zip(shape).fold(0, |number, (&index, &length)| number * length + index)
}

fn unravel(number: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = number;
    let mut index: Vec<u64> = shape.iter().rev().map(|&length| (rest % length, rest /= length).0).collect();
    index.reverse();
    index
}
