//! Previews: what they are drawn of, and how long they are.
//!
//! The samples are limited, so that a preview of an array of any size touches few of its pages. Of two axes, they are every so many
//! rows and columns. Of one axis, they are short stretches at an even distance: neighbours lie on the same page, and show how
//! far the numbers swing there.

use std::ops::Range;

use super::map::Map;
use super::plot;
use crate::layout::Span;

/// The most samples along each of two axes, and of axes that are very long, where each costs a page.
const ALONG: u64 = 1024;
const LONG: u64 = 1 << 14;
const ALONG_LONG: u64 = 512;
/// Of the shorter axis, at least so many samples are taken though their distance then differs from that on the longer one.
const ACROSS: u64 = 256;

/// All elements of one axis are samples, if there are at most so many; otherwise so many stretches.
const ALL: u64 = 1 << 20;
const STRETCHES: u64 = 1 << 13;
const STRETCH: u64 = 64;

/// A preview of numbers.
#[derive(Clone, Debug)]
pub struct Preview {
    kind: Kind,
    /// Whether the least integer stands for no number.
    is_time: bool,
    len: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    Map(Map, [Span; 2]),
    Plot(u64),
}

/// Which elements are the samples.
#[derive(Clone, Copy, Debug)]
pub enum Samples {
    /// Those at the crossings of some rows and columns.
    Grid([Span; 2]),
    /// Those of [`Preview::stretches`].
    Stretches,
}

impl Preview {
    /// A preview of an array of this shape; nothing unless it has one axis or two, and elements.
    pub(super) fn new(shape: &[u64], is_time: bool) -> Option<Preview> {
        let (kind, len) = match *shape {
            [0] | [0, _] | [_, 0] => return None,
            [count] => (Kind::Plot(count), plot::len()?),
            [height, width] => {
                let longer = height.max(width);
                let step = step_of(longer, if longer > LONG { ALONG_LONG } else { ALONG });
                let span = |length: u64| {
                    let step = step.min(step_of(length, ACROSS));
                    let len = length.div_ceil(step);
                    // What is left over lies on both sides.
                    Span {
                        start: (length - 1 - (len - 1) * step) / 2,
                        step: if len > 1 { step as i64 } else { 1 },
                        len,
                    }
                };
                let spans = [span(height), span(width)];
                let map = Map::new(spans[0].len as u32, spans[1].len as u32);
                let len = map.len()?;
                (Kind::Map(map, spans), len)
            }
            _ => return None,
        };
        Some(Preview { kind, is_time, len })
    }

    /// Length of the file in bytes.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Which elements are the samples.
    pub fn samples(&self) -> Samples {
        match self.kind {
            Kind::Map(_, spans) => Samples::Grid(spans),
            Kind::Plot(_) => Samples::Stretches,
        }
    }

    /// The samples, as ranges of elements: of the grid, or of the one axis.
    pub fn stretches(&self) -> Vec<Range<u64>> {
        match self.kind {
            Kind::Map(_, [rows, columns]) => std::iter::once(0..rows.len * columns.len).collect(),
            Kind::Plot(count) => stretches(count),
        }
    }

    /// Draws the samples.
    pub fn draw(&self, mut samples: Vec<f64>) -> Vec<u8> {
        if self.is_time {
            let never = i64::MIN as f64;
            samples.iter_mut().filter(|sample| **sample == never).for_each(|sample| *sample = f64::NAN);
        }
        match &self.kind {
            Kind::Map(map, _) => map.draw(&samples),
            Kind::Plot(count) => plot::draw(*count, &stretches(*count), &samples),
        }
    }
}

fn step_of(length: u64, most: u64) -> u64 {
    length.div_ceil(most).max(1)
}

fn stretches(count: u64) -> Vec<Range<u64>> {
    if count <= ALL {
        return std::iter::once(0..count).collect();
    }
    let starts = (0..STRETCHES).map(|number| {
        let place = u128::from(number) * u128::from(count - STRETCH) / u128::from(STRETCHES - 1);
        place as u64
    });
    starts.map(|start| start..start + STRETCH).collect()
}

/// The least and the largest finite number.
pub(super) fn bounds(samples: &[f64]) -> Option<(f64, f64)> {
    let mut finite = samples.iter().copied().filter(|sample| sample.is_finite());
    let first = finite.next()?;
    Some(finite.fold((first, first), |(low, high), sample| (low.min(sample), high.max(sample))))
}
