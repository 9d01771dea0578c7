//! SAC (`.sac`): a seismogram, with a header.
//!
//! Specification: "SAC Data File Format" in the manual of SAC (IRIS/EarthScope); names are those of its variables. Words
//! are of 4 bytes. A file is, in either byte order,
//!
//! | bytes      | what                                                                           |
//! |------------|--------------------------------------------------------------------------------|
//! | 280        | 70 floats: `delta` (seconds from sample to sample), `b` (time of the first), ... |
//! | 160        | 40 integers and truth values: `nvhdr` (word 76), `npts` (79), `iftype` (85), `leven` (105), ... |
//! | 192        | 23 texts of 8 bytes, the second one of 16                                      |
//! | 4 x `npts` | the samples, floats                                                            |
//! | 4 x `npts` | a second row of them, where `iftype` or `leven` says so                        |
//! | 176        | (version 7) 22 doubles, a more precise copy of some of the header              |
//!
//! The byte order is the one in which `nvhdr` is 6 or 7. What is -12345 in the header is undefined, and no attribute.
//!
//! | `iftype`, `leven`                   | what is served                                                          |
//! |-------------------------------------|-------------------------------------------------------------------------|
//! | 1 (time series), evenly spaced      | one array                                                               |
//! | 1, unevenly spaced                  | a folder: `y`, `x`                                                      |
//! | 2 (spectrum)                        | a folder: `real`, `imaginary`                                           |
//! | 3 (spectrum)                        | a folder: `amplitude`, `phase`                                          |
//! | 4 (x and y)                         | a folder: `y`, `x`; evenly spaced (as some write it) one array          |
//! | others (51, a volume xyz)           | refused                                                                 |

use serde_json::{Map, Value};

use crate::dtype::{ByteOrder, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

mod names;
#[cfg(test)]
mod tests;

use names::{FLOATS, INTEGERS, TEXTS};

/// Bytes of the header.
const HEADER: u64 = 632;

/// What a number is, and a text begins with, that is not defined.
const UNDEFINED: i32 = -12345;

/// The SAC format.
#[derive(Clone, Copy, Debug)]
pub struct Sac;

impl Format for Sac {
    fn name(&self) -> &'static str {
        "sac"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".sac"]
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let header = Header::read(file)?;
        let count = header.int("npts");
        let count = u64::try_from(count).map_err(|_| fault(&format!("its header claims {count} samples (npts)")))?;
        let is_even = header.int("leven") != 0;
        let rows: &[&str] = match header.int("iftype") {
            1 | 4 if is_even => &[],
            1 | 4 => &["y", "x"],
            2 => &["real", "imaginary"],
            3 => &["amplitude", "phase"],
            other => {
                return Err(Refusal(format!(
                    "it is of a kind (iftype {other}) that is neither a time series nor a spectrum; write it as one"
                )));
            }
        };
        let row = |number: u64| {
            let layout = Layout::packed(HEADER + number * 4 * count, &[count], 4, Order::C)
                .map_err(|error| fault(&format!("its header claims samples that cannot be: {error}")))?;
            header::complete(&layout, file.len())?;
            let dtype = header::scalar(Kind::Float, header.order, 4);
            Ok(Array::new(self.name(), dtype, Grid::one(layout)))
        };
        let attributes = header.attributes();
        if rows.is_empty() {
            return row(0).map(|array| Content::One(Array { attributes, ..array }));
        }
        let member = |(number, name): (u64, &&str)| Member { path: vec![(*name).to_owned()], found: row(number) };
        Ok(Content::Many(Container { members: (0..).zip(rows).map(member).collect(), attributes }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or not SAC: copy or write it again"))
}

/// The header.
#[derive(Debug)]
struct Header {
    floats: Vec<f32>,
    ints: Vec<i32>,
    texts: Vec<String>,
    order: ByteOrder,
}

impl Header {
    fn read(file: &dyn ReadAt) -> Result<Header, Refusal> {
        let versions = [ByteOrder::Little, ByteOrder::Big].map(|order| (order, version(file, order)));
        let known = versions.iter().find(|(_, version)| matches!(version, Ok(6 | 7)));
        let Some(&(order, _)) = known else {
            let [(_, version), _] = versions;
            return Err(fault(&format!("its header is of version {} (nvhdr), and only 6 and 7 are known", version?)));
        };
        let mut cursor = Cursor::new(file, "SAC", HEADER);
        cursor.order = order;
        let floats = FLOATS.iter().map(|_| cursor.u32().map(f32::from_bits)).collect::<Result<_, _>>()?;
        let ints = INTEGERS.iter().map(|_| cursor.u32().map(u32::cast_signed)).collect::<Result<_, _>>()?;
        let texts = TEXTS
            .iter()
            .map(|&(_, length)| Ok(header::text(&cursor.bytes(length)?)))
            .collect::<Result<_, Refusal>>()?;
        Ok(Header { floats, ints, texts, order })
    }

    /// The integer of this name.
    fn int(&self, name: &str) -> i32 {
        INTEGERS.iter().zip(&self.ints).find(|(of, _)| **of == name).map_or(UNDEFINED, |(_, &int)| int)
    }

    /// All that is defined.
    fn attributes(&self) -> Map<String, Value> {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        for (name, &number) in FLOATS.iter().zip(&self.floats) {
            if number != UNDEFINED as f32 && !name.is_empty() {
                // The shortest number that is this one in 4 bytes, not what it is in 8.
                let number = number.to_string().parse().unwrap_or(f64::from(number));
                attributes.insert(name, header::float(number));
            }
        }
        for (name, &number) in INTEGERS.iter().zip(&self.ints) {
            if number != UNDEFINED && !name.is_empty() {
                attributes.insert(name, number.into());
            }
        }
        for ((name, _), text) in TEXTS.iter().zip(&self.texts) {
            if !text.starts_with("-12345") && !text.is_empty() {
                attributes.insert(name, text.as_str().into());
            }
        }
        attributes.into_map()
    }
}

/// The version of the header, if the file is in this order.
fn version(file: &dyn ReadAt, order: ByteOrder) -> Result<u32, Refusal> {
    let mut cursor = Cursor::new(file, "SAC", HEADER);
    cursor.order = order;
    cursor.skip(76 * 4)?;
    cursor.u32()
}
