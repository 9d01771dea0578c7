//! What the formats of sound have in common: frames of samples, one for each channel, interleaved.
//!
//! A file of one channel is an array of one axis, as the library soundfile gives it; of more, one of shape
//! `(frames, channels)`. Samples are served as stored:
//!
//! | stored                                     | dtype                   | element                              |
//! |--------------------------------------------|-------------------------|--------------------------------------|
//! | integers of 1, 2, 4 or 8 bytes             | `i1` or `u1`, `i2` ...  |                                      |
//! | integers of 3 bytes                        | `\|V3`                  | `i3` little-endian, `i3be` big-endian |
//! | IEEE 754 numbers of 4 or 8 bytes           | `f4`, `f8`              |                                      |
//! | logarithmic (ITU-T G.711)                  | `\|u1`                  | `alaw` or `mulaw`                    |
//!
//! An integer with fewer bits than its bytes have stands in the upper bits, as the formats demand.

use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes};
use crate::format::{Array, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};

/// How a sample is stored.
#[derive(Clone, Debug)]
pub(super) struct Encoding {
    dtype: DType,
    element: Option<&'static str>,
}

impl Encoding {
    /// A number, of a size that NumPy knows.
    fn number(kind: Kind, order: ByteOrder, bytes: u64) -> Encoding {
        Encoding { dtype: header::scalar(kind, order, bytes), element: None }
    }

    /// An integer of 8 bits with an offset of 128.
    pub(super) fn unsigned() -> Encoding {
        Encoding::number(Kind::Uint, ByteOrder::None, 1)
    }

    /// A signed integer of so many bytes.
    pub(super) fn int(order: ByteOrder, bytes: u64) -> Option<Encoding> {
        match bytes {
            1 | 2 | 4 | 8 => Some(Encoding::number(Kind::Int, order, bytes)),
            3 => {
                let element = if order == ByteOrder::Big { "i3be" } else { "i3" };
                Some(Encoding { element: Some(element), ..Encoding::number(Kind::Void, order, 3) })
            }
            _ => None,
        }
    }

    /// An IEEE 754 number of so many bytes.
    pub(super) fn float(order: ByteOrder, bytes: u64) -> Option<Encoding> {
        matches!(bytes, 4 | 8).then(|| Encoding::number(Kind::Float, order, bytes))
    }

    /// A logarithmic sample, `alaw` or `mulaw`.
    pub(super) fn logarithmic(law: &'static str) -> Encoding {
        Encoding { element: Some(law), ..Encoding::unsigned() }
    }

    /// Bytes of a sample.
    pub(super) fn itemsize(&self) -> u64 {
        self.dtype.itemsize()
    }
}

/// The samples of a file.
#[derive(Debug)]
pub(super) struct Sound {
    /// How each is stored.
    pub(super) encoding: Encoding,
    /// How many a frame has.
    pub(super) channels: u64,
    /// Byte of the file at which the first one starts.
    pub(super) offset: u64,
    /// How many frames there are, all of them in the file.
    pub(super) frames: u64,
}

impl Sound {
    /// The array of the samples. `what` names the format for people.
    pub(super) fn array(self, format: &'static str, what: &str, attributes: Attributes) -> Result<Array, Refusal> {
        let Sound { encoding: Encoding { dtype, element }, channels, offset, frames } = self;
        let shape = [frames, channels];
        let shape = if channels == 1 { &shape[..1] } else { &shape };
        let layout = Layout::packed(offset, shape, dtype.itemsize(), Order::C).map_err(|error| {
            Refusal(format!("its {what} header claims sound that cannot be: {error}; the header is damaged"))
        })?;
        let dims = ["frame", "channel"][..shape.len()].iter().map(|&name| name.to_owned()).collect();
        Ok(Array { element, dims, attributes: attributes.into_map(), ..Array::new(format, dtype, Grid::one(layout)) })
    }
}

/// A refusal of samples that only a decoder can give.
pub(super) fn encoded(codec: &str) -> Refusal {
    Refusal(format!(
        "its sound is encoded ({codec}), so that no sample has a place of its own; decode it, for example with ffmpeg \
         -i IN -c:a pcm_s16le OUT.wav"
    ))
}

/// A refusal of samples that are not all there.
pub(super) fn truncated(claimed: u64, offset: u64, held: u64) -> Refusal {
    let held = held.saturating_sub(offset);
    Refusal(format!(
        "its header claims {claimed} bytes of sound at offset {offset}, the file holds only {held}: it was truncated, or \
         is still being written; copy or save it again"
    ))
}
