//! AFNI (`.HEAD` and `.BRIK`), datasets of brain research: sub-bricks of three axes, one behind the other.
//!
//! Specification: `README.attributes` of AFNI. The `.HEAD` is text, blocks of lines that empty lines divide:
//!
//! ```text
//! type = integer-attribute
//! name = BRICK_TYPES
//! count = 2
//! 1 1
//! ```
//!
//! Types are `integer-`, `float-` and `string-attribute`; a string begins with an apostrophe, and a tilde stands for
//! each zero byte. The `.BRIK` beside it holds nothing but elements, the first axis fastest. Of the attributes decide
//!
//! | name                 | what                                                                          |
//! |----------------------|-------------------------------------------------------------------------------|
//! | `DATASET_RANK`       | the second number is that of the sub-bricks                                   |
//! | `DATASET_DIMENSIONS` | the first three numbers are the lengths of the axes                           |
//! | `BRICK_TYPES`        | one for each sub-brick: 0 `\|u1`, 1 `i2`, 2 `i4`, 3 `f4`, 4 `f8`, 5 `c8`, 6 RGB  |
//! | `BYTEORDER_STRING`   | `LSB_FIRST` or `MSB_FIRST`; of old files, where it is missing, the former is assumed |
//!
//! Elements of type 6 are records of the bytes `R`, `G`, `B`. Shapes are those of nibabel: three axes and that of the
//! sub-bricks, also where there is but one, in Fortran order. `BRICK_FLOAT_FACS`, what to multiply the elements of each
//! sub-brick by, is an attribute like all others.
//!
//! Limits, and why:
//!
//! - Headers of at most [`MAX_HEADER`] bytes. Long attributes are left out.
//! - Sub-bricks of several types are no array.
//! - `.BRIK.gz` and the like are compressed as a whole, and so have nothing to point at.

use std::collections::HashMap;

use serde_json::Value;

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Field, Kind, Record};
use crate::format::beside::{self, Listed};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_LIST, MAX_TEXT};
use crate::format::lines::Lines;
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 16 << 20;

/// AFNI's format.
#[derive(Clone, Copy, Debug)]
pub struct Afni;

impl Format for Afni {
    fn name(&self) -> &'static str {
        "afni"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".head"]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let header = Header::read(&mut Lines::new(file, "AFNI", MAX_HEADER))?;
        let shape = header.shape()?;
        let dtype = header.dtype(shape[3])?;
        let layout = Layout::packed(0, &shape, dtype.itemsize(), Order::F)
            .map_err(|error| fault(&format!("its AFNI header claims an array that cannot be: {error}")))?;
        let brick = beside::partner(file_name, ".brik", ".BRIK")
            .ok_or_else(|| Refusal("its name has no extension, so that its .BRIK cannot be found; rename it".into()))?;
        beside::complete(&brick, layout.extent().end, beside::len_of_plain(siblings, &brick)?)?;
        let last = if header.0.contains_key("TAXIS_NUMS") { "t" } else { "" };
        Ok(Content::One(Array {
            dims: ["x", "y", "z", last].map(str::to_owned).to_vec(),
            files: Listed::files(vec![brick]),
            attributes: header.attributes().into_map(),
            ..Array::new(self.name(), dtype, Grid::one(layout))
        }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again"))
}

/// The attributes, with their number in the file.
struct Header(HashMap<String, (usize, Attribute)>);

enum Attribute {
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Text(String),
}

impl Header {
    fn read(lines: &mut Lines<'_>) -> Result<Header, Refusal> {
        let mut attributes = HashMap::new();
        let (mut kind, mut name, mut body) = (String::new(), String::new(), None::<String>);
        loop {
            let line = lines.next()?;
            match (line.as_deref().map(str::trim), &mut body) {
                (None | Some(""), _) => {
                    if let Some(body) = body.take() {
                        let attribute = Attribute::new(&kind, &body).ok_or_else(|| {
                            fault(&format!("the attribute {} of its AFNI header cannot be understood", excerpt(&name)))
                        })?;
                        attributes.insert(std::mem::take(&mut name), (attributes.len(), attribute));
                    }
                    if line.is_none() {
                        break;
                    }
                }
                (Some(line), Some(body)) => {
                    body.push_str(line);
                    body.push(' ');
                }
                (Some(line), None) => match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                    Some(("type", value)) => kind = value.to_owned(),
                    Some(("name", value)) => name = value.to_owned(),
                    Some(("count", _)) => body = Some(String::new()),
                    _ => {
                        return Err(fault(&format!(
                            "it has the line {}, which no AFNI header has there",
                            excerpt(line)
                        )));
                    }
                },
            }
        }
        Ok(Header(attributes))
    }

    fn integers(&self, name: &str) -> Result<&[i64], Refusal> {
        match self.0.get(name) {
            Some((_, Attribute::Integers(numbers))) => Ok(numbers),
            _ => Err(fault(&format!("its AFNI header lacks the numbers {name}"))),
        }
    }

    fn shape(&self) -> Result<[u64; 4], Refusal> {
        let (dimensions, rank) = (self.integers("DATASET_DIMENSIONS")?, self.integers("DATASET_RANK")?);
        let (&[x, y, z, ..], &[3, bricks, ..]) = (dimensions, rank) else {
            return Err(fault("its AFNI header does not give three axes and a number of sub-bricks"));
        };
        let mut shape = [0; 4];
        for (length, claimed) in shape.iter_mut().zip([x, y, z, bricks]) {
            *length = u64::try_from(claimed)
                .map_err(|_| fault(&format!("its AFNI header gives an axis the length {claimed}")))?;
        }
        Ok(shape)
    }

    /// The type of all of so many sub-bricks.
    fn dtype(&self, bricks: u64) -> Result<DType, Refusal> {
        let types = self.integers("BRICK_TYPES")?;
        let Some(&first) = types.first().filter(|_| types.len() as u64 == bricks) else {
            return Err(fault(&format!("its AFNI header gives {} types for {bricks} sub-bricks", types.len())));
        };
        if let Some(other) = types.iter().find(|&&other| other != first) {
            return Err(Refusal(format!(
                "its sub-bricks are of several types ({first} and {other}), and an array is of one; convert it, for \
                 example with 3dTcat or 3dcalc -datum float"
            )));
        }
        let order = match self.0.get("BYTEORDER_STRING") {
            Some((_, Attribute::Text(text))) if text == "MSB_FIRST" => ByteOrder::Big,
            Some((_, Attribute::Text(text))) if text != "LSB_FIRST" => {
                return Err(fault(&format!("its AFNI header gives the byte order {}", excerpt(text))));
            }
            _ => ByteOrder::Little,
        };
        let (kind, itemsize) = match first {
            0 => (Kind::Uint, 1),
            1 => (Kind::Int, 2),
            2 => (Kind::Int, 4),
            3 => (Kind::Float, 4),
            4 => (Kind::Float, 8),
            5 => (Kind::Complex, 8),
            6 => return colours(),
            _ => return Err(fault(&format!("its AFNI header gives the type {first}, which is not known"))),
        };
        Ok(header::scalar(kind, order, itemsize))
    }

    fn attributes(self) -> Attributes {
        let mut all: Vec<(String, (usize, Attribute))> = self.0.into_iter().collect();
        // What the elements are scaled by comes first, the others as they stand in the file.
        all.sort_by_key(|(name, (number, _))| (name != "BRICK_FLOAT_FACS", *number));
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        for (name, (_, attribute)) in all {
            let value: Value = match attribute {
                Attribute::Integers(numbers) if numbers.len() as u64 <= MAX_LIST => numbers.into(),
                Attribute::Floats(numbers) if numbers.len() as u64 <= MAX_LIST => {
                    numbers.into_iter().map(header::float).collect::<Vec<Value>>().into()
                }
                Attribute::Text(text) if text.len() as u64 <= MAX_TEXT => {
                    if text.contains('~') {
                        text.split('~').collect::<Vec<&str>>().into()
                    } else {
                        text.into()
                    }
                }
                _ => continue,
            };
            attributes.insert(&name, value);
        }
        attributes
    }
}

impl Attribute {
    fn new(kind: &str, body: &str) -> Option<Attribute> {
        let words = || body.split_whitespace();
        match kind {
            "integer-attribute" => {
                words().map(|word| word.parse().ok()).collect::<Option<_>>().map(Attribute::Integers)
            }
            "float-attribute" => words().map(|word| word.parse().ok()).collect::<Option<_>>().map(Attribute::Floats),
            "string-attribute" => {
                let text = body.trim().strip_prefix('\'')?;
                Some(Attribute::Text(text.strip_suffix('~').unwrap_or(text).to_owned()))
            }
            _ => None,
        }
    }
}

fn colours() -> Result<DType, Refusal> {
    let field = |(offset, name): (u64, &str)| {
        let dtype = header::scalar(Kind::Uint, ByteOrder::None, 1);
        Field { name: name.into(), title: None, offset, dtype, shape: Vec::new() }
    };
    let record = Record::new((0..).zip(["R", "G", "B"]).map(field).collect(), 3).map_err(header::no_type)?;
    Ok(DType::Record(record.into()))
}
