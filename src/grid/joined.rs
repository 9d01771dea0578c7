//! Arrays joined of parts: each is an array of its own, in one piece, at a place that is asked for when it is needed. The
//! parts are of one shape, but for the axis along which they are joined, and may be laid out as they like.

use std::sync::Arc;

use super::Spot;
use crate::layout::Layout;

/// Says where the parts of a joined array lie.
pub trait Parts: Send + Sync {
    /// The place of a part, parts being numbered from 0. Its layout has the shape that the seams leave for it; that of a
    /// part which cannot be had is packed, and its file answers why.
    fn part(&self, number: u64) -> Part;

    /// Equal for two that place every part alike.
    fn digest(&self) -> u64;
}

/// Where a part lies.
#[derive(Clone, Debug)]
pub struct Part {
    /// Number of the file, as the array's own list of files counts.
    pub piece: u64,
    /// Where its elements lie in that.
    pub layout: Arc<Layout>,
}

/// Where one part ends and the next begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seams {
    /// Each index of the axis is a part, which itself has no such axis.
    New,
    /// Each part has so many indices of the axis, more than none.
    Even(u64),
    /// Part `k` begins at number `k` of these, and ends at the next; the first is 0, the last the length of the axis.
    At(Arc<[u64]>),
}

impl Seams {
    /// The part in which an index lies, its first index, and one past its last.
    fn find(&self, index: u64) -> (u64, u64, u64) {
        match self {
            Seams::New => (index, index, index + 1),
            Seams::Even(length) => {
                let number = index / length;
                (number, number * length, (number + 1) * length)
            }
            Seams::At(bounds) => {
                // Of parts without indices the last one begins where the next does.
                let number = bounds.partition_point(|&start| start <= index) - 1;
                (number as u64, bounds[number], bounds[number + 1])
            }
        }
    }
}

/// The part that was asked for last: whoever walks over an array finds each part once, and as it was then.
#[derive(Clone, Debug, Default)]
pub struct Memo(Option<(u64, Part)>);

#[derive(Clone)]
pub(super) struct Joined {
    pub(super) axis: usize,
    pub(super) seams: Seams,
    pub(super) itemsize: u64,
    pub(super) parts: Arc<dyn Parts>,
}

impl Joined {
    /// The number that an axis of the array has in a part.
    fn inner(&self, axis: usize) -> Option<usize> {
        match self.seams {
            Seams::New if axis == self.axis => None,
            Seams::New if axis > self.axis => Some(axis - 1),
            _ => Some(axis),
        }
    }

    pub(super) fn spot(&self, shape: &[u64], coordinates: &[u64], axis: Option<usize>, memo: &mut Memo) -> Spot {
        let (number, start, end) = self.seams.find(coordinates[self.axis]);
        let (_, Part { piece, layout }) = match &memo.0 {
            Some(known) if known.0 == number => known,
            _ => memo.0.insert((number, self.parts.part(number))),
        };
        let mut offset = layout.offset as i64;
        for (k, &i) in coordinates.iter().enumerate() {
            if let Some(inner) = self.inner(k) {
                let i = if k == self.axis { i - start } else { i };
                offset += i as i64 * layout.strides[inner];
            }
        }
        let (stride, low, high) = match axis {
            None => (0, 0, 1),
            Some(axis) => {
                let stride = self.inner(axis).map_or(0, |inner| layout.strides[inner]);
                if axis == self.axis { (stride, start, end) } else { (stride, 0, shape[axis]) }
            }
        };
        Spot { piece: Some(*piece), offset, stride, low, high }
    }
}
