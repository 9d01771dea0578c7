//! SU (`.su`): traces of Seismic Unix, each with a header, and nothing else.
//!
//! Specification: the manual of CWP/SU (`suname`, `sukeyword`), and `segy.h` there. A file is traces of equal length, each
//! a header of 240 bytes, as in [SEG-Y](crate::format::segy), and floats of 4 bytes. Everything is in the byte order of
//! the machine that wrote it: the one in which the number of samples in the first header (bytes 115 and 116) divides
//! the file into traces the last of which says the same.
//!
//! The file is a folder of two arrays, as one of SEG-Y: `data` of shape `(traces, samples)` and `headers`.

use serde_json::Map;

use crate::dtype::{ByteOrder, Kind};
use crate::format::header;
use crate::format::segy::traces::{HEADER, SAMPLES, Traces};
use crate::format::{Container, Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// Where in a trace's header the microseconds from sample to sample stand, counted from 0, and its bytes.
const INTERVAL: (u64, u64) = (116, 2);

/// The SU format.
#[derive(Clone, Copy, Debug)]
pub struct Su;

impl Format for Su {
    fn name(&self) -> &'static str {
        "su"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".su"]
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        if file.len() < HEADER {
            return Err(Refusal("it is shorter than the header of a trace: it was truncated; copy it again".into()));
        }
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let dtype = header::scalar(Kind::Float, order, 4);
            let mut traces = Traces { start: 0, end: file.len(), samples: 0, dtype, element: None, order };
            traces.samples = traces.field(file, 0, SAMPLES)?;
            if traces.samples == 0 || traces.left_over() != 0 {
                continue;
            }
            if traces.field(file, traces.count() - 1, SAMPLES)? == traces.samples {
                traces.check(file, false)?;
                let interval = traces.field(file, 0, INTERVAL)?;
                let attributes = Map::from_iter([("interval".to_owned(), interval.into())]);
                let members = traces.members(self.name(), file.len())?;
                return Ok(Content::Many(Container { members, attributes }));
            }
        }
        Err(Refusal(
            "the number of samples in its first trace divides it into traces in neither byte order: its traces are of \
             different lengths, so that none has a computable place, or it was truncated, or is no SU file; copy it again, \
             or write traces of one length"
                .into(),
        ))
    }
}
