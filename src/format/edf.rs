//! EDF, EDF+, BDF and BDF+ (`.edf`, `.bdf`): recordings of signals in time, of EEG above all.
//!
//! Specifications: Kemp et al. 1992 for EDF, Kemp and Olivan 2003 for EDF+ (both at edfplus.info), and BioSemi's page on
//! BDF. A file is a header of texts in ASCII, padded with blanks, and records. The header is
//!
//! | bytes  | what                                                                                |
//! |--------|-------------------------------------------------------------------------------------|
//! | 8      | `0`, or, in BDF, the byte 0xFF and `BIOSEMI`                                        |
//! | 80, 80 | patient, recording                                                                  |
//! | 8, 8   | day and time of the start: `dd.mm.yy`, `hh.mm.ss`                                   |
//! | 8      | bytes of the header: 256 and 256 more for each signal                               |
//! | 44     | empty or `24BIT`; `EDF+C`, `BDF+C`; `EDF+D`, `BDF+D` where there are gaps in time between records |
//! | 8      | number of records, -1 while it is being recorded                                    |
//! | 8      | seconds of a record                                                                 |
//! | 4      | number of signals                                                                   |
//!
//! and then, of all signals each: 16: label; 80: transducer; 8: unit; 8, 8: physical minimum and maximum; 8, 8: digital
//! minimum and maximum; 80: filters; 8: samples in a record; 32: reserved. A record has the samples of the first signal,
//! those of the second, and so on: little-endian integers of 2 bytes, in BDF of 3 (`|V3`, element `i3`).
//!
//! Each signal is an array of one axis, called by its label. It lies in as many pieces as there are records. A label that
//! stands for several signals gets a number from the second on (`EEG`, `EEG-2`), and one that is empty is `signal-N`.
//! The signal of annotations of EDF+ (`EDF Annotations`, `BDF Annotations`) is no number: it is an array of
//! `u1` of shape `(records, bytes)`, each row the texts of a record.
//!
//! The physical value of a sample is `(sample - digital_min) * (physical_max - physical_min) / (digital_max - digital_min)
//! + physical_min`, which is `sample * scale + offset`; all of these are attributes.
//!
//! Limits, and why:
//!
//! - The records that the header claims must be there. What follows them is left alone. Where it claims -1, there are as
//!   many as the file holds.
//! - The times of records with gaps are in the annotations only.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, Numbered};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::{Grid, Pieces, Place};
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// What every BDF file begins with.
pub const BDF: &[u8; 8] = b"\xffBIOSEMI";

/// What every EDF file begins with.
pub const EDF: &[u8; 8] = b"0       ";

/// Bytes of the header, and those for each signal.
const HEADER: u64 = 256;

/// The EDF and BDF formats.
#[derive(Clone, Copy, Debug)]
pub struct Edf;

impl Format for Edf {
    fn name(&self) -> &'static str {
        "edf"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".edf", ".bdf"]
    }

    /// The version of EDF is no magic, but a date in its place and the length of a header are hardly chance.
    fn knows(&self, head: &[u8]) -> bool {
        let digits = |at: usize| head.get(at..at + 2).is_some_and(|two| two.iter().all(u8::is_ascii_digit));
        let is_dated = [168, 171, 174, 176, 179, 182].into_iter().all(digits) && head[170] == b'.' && head[178] == b'.';
        head.starts_with(BDF) || head.starts_with(EDF) && is_dated
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "EDF", HEADER * 10_000);
        let (recording, attributes) = Recording::read(&mut cursor, file.len())?;
        let mut names = Numbered::default();
        let mut room = MAX_ROOM;
        let mut at = HEADER * (recording.signals.len() as u64 + 1);
        let mut members = Vec::new();
        for (number, signal) in recording.signals.iter().enumerate() {
            let found = recording.array(signal, at, &mut room);
            let label = &signal.label;
            let name = if label.is_empty() { format!("signal-{}", number + 1) } else { label.clone() };
            members.push(Member { path: vec![names.name(name)], found });
            at += signal.samples * recording.itemsize;
        }
        Ok(Content::Many(Container { members, attributes }))
    }
}

/// The room for attributes of all signals, in bytes of JSON, roughly.
const MAX_ROOM: usize = 4 << 20;

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: copy or export it again"))
}

/// A signal, as the header describes it.
#[derive(Debug, Default)]
struct Signal {
    label: String,
    transducer: String,
    unit: String,
    prefilter: String,
    /// Physical minimum and maximum, digital minimum and maximum.
    range: [Option<f64>; 4],
    /// Samples in a record.
    samples: u64,
}

/// What the header says.
#[derive(Debug)]
struct Recording {
    records: u64,
    /// Bytes of a record.
    size: u64,
    /// Seconds of a record.
    duration: Option<f64>,
    /// Bytes of a sample.
    itemsize: u64,
    signals: Vec<Signal>,
}

impl Recording {
    /// Reads the header of a file of `held` bytes, and the attributes of the file as a whole.
    fn read(cursor: &mut Cursor, held: u64) -> Result<(Recording, serde_json::Map<String, Value>), Refusal> {
        let version: [u8; 8] = cursor.array()?;
        let itemsize = match &version {
            BDF => 3,
            EDF => 2,
            _ => {
                return Err(Refusal(
                    "it begins neither with 0 and seven blanks (EDF) nor with 0xFF and BIOSEMI (BDF): it is a file of \
                     another kind, or damaged; rename it, or export it again"
                        .into(),
                ));
            }
        };
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        for (name, length) in [("patient", 80), ("recording", 80), ("start_date", 8), ("start_time", 8)] {
            attributes.insert(name, header::text(&cursor.bytes(length)?).into());
        }
        let length = text(cursor, 8)?;
        attributes.insert("variant", text(cursor, 44)?.into());
        let (records, duration, count) = (text(cursor, 8)?, text(cursor, 8)?, text(cursor, 4)?);
        let count: u64 = number(&count, "a number of signals")?;
        if count == 0 || count > 9999 {
            return Err(fault(&format!("its header claims {count} signals, and there are from 1 to 9999")));
        }
        let bytes = HEADER * (count + 1);
        if number::<u64>(&length, "a length of the header")? != bytes {
            let length = excerpt(&length);
            return Err(fault(&format!("its header claims a length of {length}, and {count} signals make it {bytes}")));
        }
        let duration = duration.parse().ok().filter(|seconds: &f64| seconds.is_finite());
        let signals = signals(cursor, count as usize)?;
        // Fewer than ten thousand numbers of eight digits fit.
        let size = signals.iter().map(|signal| signal.samples).sum::<u64>() * itemsize;
        let there = held.saturating_sub(bytes).checked_div(size).unwrap_or(0);
        let records = match number(&records, "a number of records")? {
            -1 => there,
            claimed => u64::try_from(claimed).map_err(|_| fault(&format!("its header claims {claimed} records")))?,
        };
        if size > 0 && records > there {
            return Err(Refusal(format!(
                "its header claims {records} records of {size} bytes, the file holds only {there}: it was truncated, or is \
                 still being written; copy or export it again"
            )));
        }
        attributes.insert("records", records.into());
        if let Some(duration) = duration {
            attributes.insert("record_duration", header::float(duration));
        }
        Ok((Recording { records, size, duration, itemsize, signals }, attributes.into_map()))
    }

    /// A signal as an array, whose samples of the first record start at byte `start`.
    fn array(&self, signal: &Signal, start: u64, room: &mut usize) -> Result<Array, Refusal> {
        let cannot_be = |error| fault(&format!("the header claims a signal that cannot be: {error}"));
        let mut attributes = Attributes::new(*room);
        let texts = [("unit", &signal.unit), ("transducer", &signal.transducer), ("prefilter", &signal.prefilter)];
        for (name, text) in texts {
            attributes.insert(name, text.as_str().into());
        }
        if let Some(duration) = self.duration.filter(|&seconds| seconds > 0.0) {
            attributes.insert("rate", header::float(signal.samples as f64 / duration));
        }
        signal.scale(&mut attributes);
        *room = attributes.room();
        let attributes = attributes.into_map();
        let bytes = signal.samples * self.itemsize;
        if matches!(&*signal.label, "EDF Annotations" | "BDF Annotations") {
            let (shape, strides) = (vec![self.records, bytes], vec![self.size as i64, 1]);
            let layout = Layout { offset: start, shape, strides, itemsize: 1 };
            layout.check().map_err(cannot_be)?;
            let dtype = header::scalar(Kind::Uint, ByteOrder::None, 1);
            return Ok(Array { attributes, ..Array::new(Edf.name(), dtype, Grid::one(layout)) });
        }
        let (dtype, element) = self.sample();
        let shape =
            [self.records.checked_mul(signal.samples).ok_or_else(|| fault("the header claims too many samples"))?];
        // A file with one signal is contiguous.
        let grid = if bytes == self.size || shape == [0] {
            Layout::packed(start, &shape, self.itemsize, Order::C).map(Grid::one)
        } else {
            let pieces = Arc::new(Records { start, size: self.size });
            Grid::chunked(&shape, &[signal.samples], self.itemsize, Order::C, pieces)
        };
        Ok(Array { element, attributes, ..Array::new(Edf.name(), dtype, grid.map_err(cannot_be)?) })
    }

    /// The type of a sample.
    fn sample(&self) -> (DType, Option<&'static str>) {
        match self.itemsize {
            2 => (header::scalar(Kind::Int, ByteOrder::Little, 2), None),
            bytes => (header::scalar(Kind::Void, ByteOrder::None, bytes), Some("i3")),
        }
    }
}

impl Signal {
    /// The attributes that make a physical value of a sample.
    fn scale(&self, attributes: &mut Attributes) {
        for (name, number) in ["physical_min", "physical_max", "digital_min", "digital_max"].iter().zip(self.range) {
            if let Some(number) = number {
                attributes.insert(name, header::float(number));
            }
        }
        if let [Some(low), Some(high), Some(digital_low), Some(digital_high)] = self.range
            && digital_low != digital_high
        {
            let scale = (high - low) / (digital_high - digital_low);
            attributes.insert("scale", header::float(scale));
            attributes.insert("offset", header::float(low - digital_low * scale));
        }
    }
}

/// The next text of so many bytes.
fn text(cursor: &mut Cursor, bytes: u64) -> Result<String, Refusal> {
    Ok(header::text(&cursor.bytes(bytes)?))
}

/// The whole number in a text; `what` says what it is.
fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| fault(&format!("its header has {} in the place of {what}", excerpt(text))))
}

/// Reads what the header says about the signals.
fn signals(cursor: &mut Cursor, count: usize) -> Result<Vec<Signal>, Refusal> {
    let mut signals: Vec<Signal> = (0..count).map(|_| Signal::default()).collect();
    for signal in &mut signals {
        signal.label = text(cursor, 16)?;
    }
    for signal in &mut signals {
        signal.transducer = text(cursor, 80)?;
    }
    for signal in &mut signals {
        signal.unit = text(cursor, 8)?;
    }
    for bound in 0..4 {
        for signal in &mut signals {
            signal.range[bound] = text(cursor, 8)?.parse().ok().filter(|number: &f64| number.is_finite());
        }
    }
    for signal in &mut signals {
        signal.prefilter = text(cursor, 80)?;
    }
    for signal in &mut signals {
        signal.samples = number::<u32>(&text(cursor, 8)?, "a number of samples")?.into();
    }
    Ok(signals)
}

/// The places of the samples of a signal, a cell for each record.
#[derive(Debug, Hash)]
struct Records {
    /// Byte of the file at which those of the first record start.
    start: u64,
    /// Bytes from one record to the next.
    size: u64,
}

impl Pieces for Records {
    fn place(&self, cell: u64) -> Option<Place> {
        Some(Place { piece: 0, offset: self.start.saturating_add(self.size.saturating_mul(cell)) })
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
