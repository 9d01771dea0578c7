//! Traces with headers of 240 bytes, all equally long, one behind the other: as SEG-Y and SU have them.

use crate::dtype::{ByteOrder, DType, Field, Kind, Record};
use crate::format::header;
use crate::format::segy::fields::TRACE;
use crate::format::{Array, Member, Refusal};
use crate::grid::Grid;
use crate::layout::Layout;
use crate::source::ReadAt;

/// Bytes of a trace's header.
pub(in crate::format) const HEADER: u64 = 240;

/// Where in it the number of samples stands, counted from 0, and its bytes.
pub(in crate::format) const SAMPLES: (u64, u64) = (114, 2);

/// Where traces lie, and what they are.
#[derive(Clone, Debug)]
pub(in crate::format) struct Traces {
    /// First byte of the first one.
    pub(in crate::format) start: u64,
    /// One past the last byte of the last one.
    pub(in crate::format) end: u64,
    /// Samples of a trace.
    pub(in crate::format) samples: u64,
    /// Type of a sample.
    pub(in crate::format) dtype: DType,
    /// Its name where NumPy has none.
    pub(in crate::format) element: Option<&'static str>,
    /// Order of the bytes in headers.
    pub(in crate::format) order: ByteOrder,
}

impl Traces {
    /// Bytes of a trace. Four bytes of samples times eight of a sample fit.
    pub(in crate::format) fn size(&self) -> u64 {
        HEADER + self.samples * self.dtype.itemsize()
    }

    pub(in crate::format) fn count(&self) -> u64 {
        self.end.saturating_sub(self.start) / self.size()
    }

    /// Bytes that are no whole trace.
    pub(in crate::format) fn left_over(&self) -> u64 {
        self.end.saturating_sub(self.start) % self.size()
    }

    /// A field of the header of a trace; 0 if it is not there.
    pub(in crate::format) fn field(&self, file: &dyn ReadAt, trace: u64, at: (u64, u64)) -> Result<u64, Refusal> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..at.1 as usize];
        let start = self.size().checked_mul(trace).and_then(|start| start.checked_add(self.start + at.0));
        let count = file.read_at(bytes, start.unwrap_or(u64::MAX))?;
        Ok(if count == bytes.len() { uint(bytes, self.order) } else { 0 })
    }

    /// Sees to it that the file has all traces, and that they are equally long as far as a few of them tell: unless
    /// they are known to be.
    pub(in crate::format) fn check(&self, file: &dyn ReadAt, is_fixed: bool) -> Result<(), Refusal> {
        if self.end > file.len() {
            return Err(Refusal(format!(
                "its header claims traces up to byte {}, the file holds only {}: it was truncated, or is still being \
                 written; copy or export it again",
                self.end,
                file.len()
            )));
        }
        let (count, size, rest) = (self.count(), self.size(), self.left_over());
        if rest != 0 {
            return Err(Refusal(format!(
                "behind {count} traces of {size} bytes {rest} are left over: its traces are of different lengths, so that \
                 none has a computable place, or it was truncated; copy it again, or export it with traces of one length"
            )));
        }
        if is_fixed || count == 0 {
            return Ok(());
        }
        let first = self.field(file, 0, SAMPLES)?;
        for trace in [count / 2, count - 1] {
            let own = self.field(file, trace, SAMPLES)?;
            if own != 0 && own != first && own != self.samples {
                return Err(Refusal(format!(
                    "its first trace claims {first} samples and trace {trace} claims {own}: its traces are of different \
                     lengths, so that none has a computable place; export it with traces of one length"
                )));
            }
        }
        Ok(())
    }

    /// The arrays `data` and `headers`, of a file of `held` bytes.
    pub(in crate::format) fn members(&self, format: &'static str, held: u64) -> Result<Vec<Member>, Refusal> {
        let (count, stride, itemsize) = (self.count(), self.size() as i64, self.dtype.itemsize());
        let shape = vec![count, self.samples];
        let offset = self.start + HEADER;
        let samples = Layout { offset, shape, strides: vec![stride, itemsize as i64], itemsize };
        let headers = Layout { offset: self.start, shape: vec![count], strides: vec![stride], itemsize: HEADER };
        for layout in [&samples, &headers] {
            layout.check().map_err(|error| {
                Refusal(format!("its header claims traces that cannot be: {error}; the header is damaged"))
            })?;
            header::complete(layout, held)?;
        }
        let names = ["trace".to_owned(), "sample".to_owned()];
        let data = Array { element: self.element, ..Array::new(format, self.dtype.clone(), Grid::one(samples)) };
        let headers = Array::new(format, record(self.order)?, Grid::one(headers));
        Ok(vec![
            Member { path: vec!["data".into()], found: Ok(Array { dims: names.to_vec(), ..data }) },
            Member { path: vec!["headers".into()], found: Ok(Array { dims: names[..1].to_vec(), ..headers }) },
        ])
    }
}

/// The type of a trace's header. Its numbers are signed, as segyio reads them.
fn record(order: ByteOrder) -> Result<DType, Refusal> {
    let field = |&(name, position, bytes): &(&str, u64, u64)| Field {
        name: name.to_owned(),
        title: None,
        offset: position - 1,
        dtype: header::scalar(Kind::Int, order, bytes),
        shape: Vec::new(),
    };
    let record = Record::new(TRACE.iter().map(field).collect(), HEADER).map_err(header::no_type)?;
    Ok(DType::Record(record.into()))
}

/// The unsigned number in these bytes, eight at most.
pub(in crate::format) fn uint(bytes: &[u8], order: ByteOrder) -> u64 {
    let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match order {
        ByteOrder::Little => bytes.iter().rev().fold(0, push),
        _ => bytes.iter().fold(0, push),
    }
}
