//! From record to record, by their markers.

use super::{LOOKS, MAX_RECORDS};
use crate::dtype::ByteOrder;
use crate::format::Refusal;
use crate::source::ReadAt;

/// The marker of a piece of a record that goes on behind it, as GNU Fortran and others write it.
const PIECE: i64 = -2_147_483_639;

/// The markers of a file.
pub(super) struct Markers<'a> {
    file: &'a dyn ReadAt,
    /// Bytes of one.
    size: u64,
    pub(super) order: ByteOrder,
}

/// Where records of one kind lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first byte behind the marker of the first one.
    pub(super) start: u64,
    /// Bytes between the markers.
    pub(super) length: u64,
    /// How many there are.
    pub(super) count: u64,
    /// Bytes from one to the next.
    pub(super) step: u64,
}

impl<'a> Markers<'a> {
    /// Finds out the byte order of markers of so many bytes.
    pub(super) fn find(file: &'a dyn ReadAt, size: u64) -> Result<Markers<'a>, Refusal> {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let markers = Markers { file, size, order };
            if markers.marker(0)? == Some(PIECE) {
                return Err(pieces(0));
            }
            if markers.length(0)?.is_some() {
                return Ok(markers);
            }
        }
        Err(Refusal(format!(
            "its first {size} bytes are no marker of a record, as there is no second one where it would end: it was \
             written as a stream, has markers of {} bytes (marker in the sidecar), or was truncated; correct the sidecar, \
             or leave out format for a file without records",
            12 - size
        )))
    }

    /// The number at this byte; nothing where the file ends.
    fn marker(&self, at: u64) -> Result<Option<i64>, Refusal> {
        let mut bytes = [0; 8];
        let size = self.size as usize;
        if self.file.read_at(&mut bytes[..size], at)? < size {
            return Ok(None);
        }
        let [a, b, c, d, ..] = bytes;
        Ok(Some(match (size, self.order) {
            (4, ByteOrder::Big) => i32::from_be_bytes([a, b, c, d]).into(),
            (4, _) => i32::from_le_bytes([a, b, c, d]).into(),
            (_, ByteOrder::Big) => i64::from_be_bytes(bytes),
            _ => i64::from_le_bytes(bytes),
        }))
    }

    /// The length of the record whose marker is at this byte; nothing where there is none that ends as it begins.
    fn length(&self, at: u64) -> Result<Option<u64>, Refusal> {
        let Some(first) = self.marker(at)? else { return Ok(None) };
        let Ok(length) = u64::try_from(first) else { return Ok(None) };
        let Some(end) = at.checked_add(self.size).and_then(|start| start.checked_add(length)) else { return Ok(None) };
        // No read at an offset that no file has.
        let is_whole = end < self.file.len() && self.marker(end)? == Some(first);
        Ok(is_whole.then_some(length))
    }

    /// The record whose marker is at this byte.
    fn record(&self, at: u64) -> Result<Place, Refusal> {
        let Some(length) = self.length(at)? else {
            return Err(match self.marker(at)? {
                Some(PIECE) => pieces(at),
                None => Refusal(format!(
                    "it ends at byte {at}, where its sidecar has a further record: it was truncated, or has fewer; copy or \
                     write it again, or correct the sidecar"
                )),
                Some(_) => Refusal(format!(
                    "at byte {at} there is no record that ends as it begins: it was truncated, is still being written, or \
                     is damaged; copy or write it again"
                )),
            });
        };
        // The second marker was read.
        Ok(Place { start: at + self.size, length, count: 1, step: length + 2 * self.size })
    }

    /// The places of so many records behind others that are skipped, and of as many behind these that come again and again.
    pub(super) fn places(&self, skip: u64, single: usize, repeated: usize) -> Result<Vec<Place>, Refusal> {
        if skip > MAX_RECORDS {
            return Err(Refusal(format!(
                "its sidecar skips {skip} records, more than the {MAX_RECORDS} that are looked at; write the others into a \
                 file of their own"
            )));
        }
        let mut at = 0;
        for _ in 0..skip {
            at += self.record(at)?.step;
        }
        let mut places = Vec::new();
        for _ in 0..single {
            let place = self.record(at)?;
            at += place.step;
            places.push(place);
        }
        let first = at;
        for _ in 0..repeated {
            let place = self.record(at)?;
            at += place.step;
            places.push(place);
        }
        let (step, rest) = (at - first, self.file.len().saturating_sub(first));
        if repeated > 0 {
            self.repeat(places.get_mut(single..).unwrap_or_default(), step, rest)?;
        } else if rest > 0 {
            return Err(Refusal(format!(
                "behind the records that its sidecar describes {rest} bytes are left over; describe these as well, or add \
                 repeat = true to records that come again"
            )));
        }
        Ok(places)
    }

    /// Sees to it that these records, which take `step` bytes together, come again and again in the `rest` bytes
    /// from the first of them on, and says how often.
    fn repeat(&self, places: &mut [Place], step: u64, rest: u64) -> Result<(), Refusal> {
        let differ = |at: u64| {
            Refusal(format!(
                "its records repeat only up to about byte {at}, where there is another, or a part of one: it was truncated, \
                 is still being written, or its records differ; copy it again, or describe each with [[record]]"
            ))
        };
        let count = rest / step;
        let looks = LOOKS.min(count);
        // The last one is among them, and the first one was read.
        for look in 1..looks {
            let number = u128::from(count - 1) * u128::from(look) / u128::from(looks - 1);
            for place in &*places {
                let at = number as u64 * step + place.start - self.size;
                if self.length(at)? != Some(place.length) {
                    return Err(differ(at));
                }
            }
        }
        if !rest.is_multiple_of(step) {
            return Err(differ(places.first().map_or(0, |place| place.start - self.size) + count * step));
        }
        for place in places {
            (place.count, place.step) = (count, step);
        }
        Ok(())
    }
}

fn pieces(at: u64) -> Refusal {
    Refusal(format!(
        "its record at byte {at} is longer than 2 GiB, and was written in pieces with further markers in between; write it \
         with markers of 8 bytes (gfortran -frecord-marker=8), and marker = 8 in the sidecar"
    ))
}
