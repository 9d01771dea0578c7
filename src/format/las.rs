//! LAS (`.las`): points that a laser measured.
//!
//! Specification: "LAS Specification 1.4 - R15" of the ASPRS, and its predecessors. Everything is little-endian. A file is
//! a header, variable length records, and the points, all equally long:
//!
//! | at  | bytes   | of the header                                                            |
//! |-----|---------|--------------------------------------------------------------------------|
//! | 0   | 4       | the magic `LASF`                                                         |
//! | 24  | 1, 1    | version: 1.0 to 1.4                                                      |
//! | 94  | 2       | bytes of the header                                                      |
//! | 96  | 4       | first byte of the points                                                 |
//! | 104 | 1       | format of the points: 0 to 10; the upper bits say that they are compressed (LAZ) |
//! | 105 | 2       | bytes of a point                                                         |
//! | 107 | 4       | number of points, up to version 1.3                                      |
//! | 131 | 8 each  | scale of x, y, z; offset of x, y, z                                      |
//! | 247 | 8       | (version 1.4) number of points                                           |
//!
//! The array is of shape `(points,)`, structured, with the fields of its format, named as laspy names them; those that
//! share bits of a byte are that byte (`bit_fields`, `raw_classification`, `classification_flags`). Bytes behind
//! the fields of the format are `extra_bytes`. Scale and offset are attributes, by which a coordinate is `X * scale + offset`.
//!
//! Limits, and why: compressed points (LAZ) have no place of their own, and are refused. All points that the header
//! claims must be there.

use serde_json::Value;

use crate::dtype::{ByteOrder, DType, Field, Kind, Record};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES};
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// What every LAS file begins with.
pub const MAGIC: &[u8; 4] = b"LASF";

/// Bytes of the header that are read in every version, and in version 1.4.
const HEADER: u64 = 227;
const HEADER_1_4: u64 = 375;

/// A field: its name and type.
type Part = (&'static str, &'static str);

/// What points have that are of formats 0 to 5, and of formats 6 to 10.
const OLD: [Part; 9] = [
    ("X", "<i4"),
    ("Y", "<i4"),
    ("Z", "<i4"),
    ("intensity", "<u2"),
    ("bit_fields", "|u1"),
    ("raw_classification", "|u1"),
    ("scan_angle_rank", "|i1"),
    ("user_data", "|u1"),
    ("point_source_id", "<u2"),
];
const NEW: [Part; 11] = [
    ("X", "<i4"),
    ("Y", "<i4"),
    ("Z", "<i4"),
    ("intensity", "<u2"),
    ("bit_fields", "|u1"),
    ("classification_flags", "|u1"),
    ("classification", "|u1"),
    ("user_data", "|u1"),
    ("scan_angle", "<i2"),
    ("point_source_id", "<u2"),
    ("gps_time", "<f8"),
];
const TIME: [Part; 1] = [("gps_time", "<f8")];
const COLOURS: [Part; 3] = [("red", "<u2"), ("green", "<u2"), ("blue", "<u2")];
const INFRARED: [Part; 1] = [("nir", "<u2")];
const WAVES: [Part; 7] = [
    ("wavepacket_index", "|u1"),
    ("wavepacket_offset", "<u8"),
    ("wavepacket_size", "<u4"),
    ("return_point_wave_location", "<f4"),
    ("x_t", "<f4"),
    ("y_t", "<f4"),
    ("z_t", "<f4"),
];

/// The LAS format.
#[derive(Clone, Copy, Debug)]
pub struct Las;

impl Format for Las {
    fn name(&self) -> &'static str {
        "las"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".las", ".laz"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC) && matches!(head.get(24..26), Some(&[1, 0..=4]))
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "LAS", HEADER_1_4);
        if cursor.array()? != *MAGIC {
            return Err(fault("it does not begin with the magic bytes LASF"));
        }
        cursor.skip(20)?;
        let [major, minor] = cursor.array()?;
        if major != 1 || minor > 4 {
            return Err(Refusal(format!(
                "it is of version {major}.{minor} of LAS, and only 1.0 to 1.4 are known; convert it to one of these"
            )));
        }
        cursor.skip(68)?;
        let (size, start) = (cursor.u16()?, u64::from(cursor.u32()?));
        let _records = cursor.u32()?;
        let ([format], length, legacy) = (cursor.array()?, u64::from(cursor.u16()?), u64::from(cursor.u32()?));
        if format & 0xc0 != 0 {
            return Err(Refusal(
                "its points are compressed (LAZ), so that none has a place of its own; decompress it, for example with \
                 laszip -i IN.laz -o OUT.las"
                    .into(),
            ));
        }
        cursor.skip(131 - cursor.position())?;
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("version", format!("{major}.{minor}").into());
        attributes.insert("point_format", format.into());
        for name in ["scale", "offset"] {
            let numbers = (0..3).map(|_| cursor.u64().map(|bits| header::float(f64::from_bits(bits))));
            attributes.insert(name, Value::Array(numbers.collect::<Result<_, Refusal>>()?));
        }
        let count = if minor == 4 && u64::from(size) >= HEADER_1_4 {
            cursor.skip(247 - cursor.position())?;
            cursor.u64()?
        } else {
            legacy
        };
        if start < HEADER.min(size.into()) {
            return Err(fault(&format!("its header claims points at byte {start}, within the header")));
        }
        let dtype = point(format, length)?;
        let layout = Layout::packed(start, &[count], length, Order::C)
            .map_err(|error| fault(&format!("its header claims points that cannot be: {error}")))?;
        header::complete(&layout, file.len())?;
        let attributes = attributes.into_map();
        Ok(Content::One(Array { attributes, ..Array::new(self.name(), dtype, Grid::one(layout)) }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is a file of another kind, or damaged: rename it, or copy it again"))
}

/// The type of a point of this format that takes `length` bytes.
fn point(format: u8, length: u64) -> Result<DType, Refusal> {
    let parts: &[&[Part]] = match format {
        0 => &[&OLD],
        1 => &[&OLD, &TIME],
        2 => &[&OLD, &COLOURS],
        3 => &[&OLD, &TIME, &COLOURS],
        4 => &[&OLD, &TIME, &WAVES],
        5 => &[&OLD, &TIME, &COLOURS, &WAVES],
        6 => &[&NEW],
        7 => &[&NEW, &COLOURS],
        8 => &[&NEW, &COLOURS, &INFRARED],
        9 => &[&NEW, &WAVES],
        10 => &[&NEW, &COLOURS, &INFRARED, &WAVES],
        _ => return Err(fault(&format!("its points are of format {format}, and only 0 to 10 are known"))),
    };
    let (mut fields, mut size) = (Vec::new(), 0);
    for &(name, of) in parts.iter().copied().flatten() {
        let dtype = DType::parse(of).map_err(header::no_type)?;
        let itemsize = dtype.itemsize();
        fields.push(Field { name: name.to_owned(), title: None, offset: size, dtype, shape: Vec::new() });
        size += itemsize;
    }
    let extra = length.checked_sub(size).ok_or_else(|| {
        fault(&format!("its header claims points of {length} bytes, and those of format {format} take {size}"))
    })?;
    if extra > 0 {
        let (name, dtype) = ("extra_bytes".to_owned(), header::scalar(Kind::Void, ByteOrder::None, extra));
        fields.push(Field { name, title: None, offset: size, dtype, shape: Vec::new() });
    }
    Ok(DType::Record(Record::new(fields, length).map_err(header::no_type)?.into()))
}
