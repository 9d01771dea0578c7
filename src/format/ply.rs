//! PLY (`.ply`), points and polygons: named elements, each a table of records.
//!
//! Specification: "The PLY Polygon File Format" by Greg Turk, 1994. A file is lines of text, which end with a line feed, and
//! the elements in the order in which the lines name them:
//!
//! | line                             | what it says                                                             |
//! |----------------------------------|--------------------------------------------------------------------------|
//! | `ply`                            | the magic                                                                |
//! | `format WORD 1.0`                | `binary_little_endian` or `binary_big_endian`; `ascii` is refused        |
//! | `comment ...`, `obj_info ...`    | for people; attributes                                                   |
//! | `element NAME COUNT`             | so many records follow, made of the properties in the next lines         |
//! | `property TYPE NAME`             | a number                                                                 |
//! | `property list TYPE TYPE NAME`   | a count, of the first type, and so many numbers of the second            |
//! | `end_header`                     | the elements follow                                                      |
//!
//! | type             | element | type             | element | type              | element |
//! |------------------|---------|------------------|---------|-------------------|---------|
//! | `char`, `int8`   | `\|i1`  | `short`, `int16` | `i2`    | `int`, `int32`    | `i4`    |
//! | `uchar`, `uint8` | `\|u1`  | `ushort`, `uint16` | `u2`  | `uint`, `uint32`  | `u4`    |
//! | `float`, `float32` | `f4`  | `double`, `float64` | `f8` |                   |         |
//!
//! An element is a member of shape `(records,)`, structured, with a field for each property. A list is two fields, its count
//! (`NAME_count`) and an array of as many numbers.
//!
//! Limits, and why:
//!
//! - Records have places of their own only where a list has the same count in all of them. That is so if the first
//!   record says so, others say the same (all, where there are at most [`CHECKED`], else so many, spread over all), and the
//!   file then ends just where it must. Not every count is read, since that would take as long as reading the file; the
//!   fields `NAME_count` show them all.
//! - Where it is not so, the element is refused, and those behind it: nobody knows where they begin.

use serde_json::Value;

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, DTypeError, Field, Kind, Record};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_LIST, Numbered};
use crate::format::lines::Lines;
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

mod lists;
#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 1 << 20;

/// So many records of an element with lists are looked at.
pub const CHECKED: u64 = 256;

/// The PLY format.
#[derive(Clone, Copy, Debug)]
pub struct Ply;

impl Format for Ply {
    fn name(&self) -> &'static str {
        "ply"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".ply"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(b"ply\nformat ") || head.starts_with(b"ply\r\nformat ")
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut lines = Lines::new(file, "PLY", MAX_HEADER);
        let header = Header::read(&mut lines)?;
        if header.elements.is_empty() {
            return Err(Refusal("it has no element; there is nothing to show".into()));
        }
        let placed = lists::place(&header, lines.position(), file)?;
        let mut names = Numbered::default();
        let members = header.elements.iter().zip(placed).map(|(element, found)| {
            let found = found.and_then(|(start, dtype)| array(element, start, dtype, file.len()));
            Member { path: vec![names.name(element.name.clone())], found }
        });
        Ok(Content::Many(Container { members: members.collect(), attributes: header.attributes() }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or has to be written again"))
}

/// The records of an element, from byte `start` on.
fn array(element: &Element, start: u64, dtype: DType, held: u64) -> Result<Array, Refusal> {
    let layout = Layout::packed(start, &[element.count], dtype.itemsize(), Order::C)
        .map_err(|error| fault(&format!("its PLY header claims records that cannot be: {error}")))?;
    header::complete(&layout, held)?;
    Ok(Array::new(Ply.name(), dtype, Grid::one(layout)))
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    kind: Kind,
    itemsize: u64,
}

impl Number {
    fn of(word: &str) -> Result<Number, Refusal> {
        let (kind, itemsize) = match word {
            "char" | "int8" => (Kind::Int, 1),
            "uchar" | "uint8" => (Kind::Uint, 1),
            "short" | "int16" => (Kind::Int, 2),
            "ushort" | "uint16" => (Kind::Uint, 2),
            "int" | "int32" => (Kind::Int, 4),
            "uint" | "uint32" => (Kind::Uint, 4),
            "float" | "float32" => (Kind::Float, 4),
            "double" | "float64" => (Kind::Float, 8),
            _ => return Err(fault(&format!("its PLY header has {} in the place of a type", excerpt(word)))),
        };
        Ok(Number { kind, itemsize })
    }
}

/// A number, or a list of them with its count.
#[derive(Debug)]
struct Property {
    name: String,
    number: Number,
    count: Option<Number>,
}

/// Records.
#[derive(Debug)]
struct Element {
    name: String,
    count: u64,
    properties: Vec<Property>,
}

impl Element {
    /// The type of its records, if its lists have these counts.
    fn dtype(&self, order: ByteOrder, counts: &[u64]) -> Result<DType, DTypeError> {
        let (mut fields, mut end, mut names) = (Vec::new(), 0, Numbered::default());
        let mut counts = counts.iter();
        let mut push = |name: String, number: Number, shape: Vec<u64>| {
            let dtype = header::scalar(number.kind, order, number.itemsize);
            let field = Field { name: names.name(name), title: None, offset: end, dtype, shape };
            end = field.size().and_then(|size| end.checked_add(size)).ok_or(DTypeError::TooLarge)?;
            fields.push(field);
            Ok::<(), DTypeError>(())
        };
        for property in &self.properties {
            if let Some(count) = property.count {
                push(format!("{}_count", property.name), count, Vec::new())?;
                push(property.name.clone(), property.number, vec![counts.next().copied().unwrap_or(0)])?;
            } else {
                push(property.name.clone(), property.number, Vec::new())?;
            }
        }
        Ok(DType::Record(Record::new(fields, end)?.into()))
    }

    fn has_lists(&self) -> bool {
        self.properties.iter().any(|property| property.count.is_some())
    }
}

/// What the lines say.
#[derive(Debug)]
struct Header {
    order: ByteOrder,
    elements: Vec<Element>,
    /// Lines for people, by their first words.
    remarks: [(&'static str, Vec<Value>); 2],
}

impl Header {
    fn read(lines: &mut Lines) -> Result<Header, Refusal> {
        if lines.next()?.as_deref() != Some("ply") {
            return Err(Refusal(
                "it does not begin with a line that says ply: it is a file of another kind; rename it, or export it again"
                    .into(),
            ));
        }
        let remarks = [("comment", Vec::new()), ("obj_info", Vec::new())];
        let mut header = Header { order: ByteOrder::None, elements: Vec::new(), remarks };
        loop {
            let Some(line) = lines.next()? else {
                return Err(fault("it ends within its PLY header"));
            };
            if line == "end_header" {
                break;
            }
            header.line(&line)?;
        }
        match header.order {
            ByteOrder::None => Err(fault("its PLY header has no line that says format")),
            _ => Ok(header),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Refusal> {
        let words: Vec<&str> = line.split_ascii_whitespace().take(6).collect();
        let unknown = || fault(&format!("its PLY header has a line that is not known: {}", excerpt(line)));
        match words[..] {
            ["format", word, version] => self.order = order(word, version)?,
            ["element", name, count] => {
                let count = count.parse().map_err(|_| unknown())?;
                self.elements.push(Element { name: name.to_owned(), count, properties: Vec::new() });
            }
            ["property", "list", count, number, name] => {
                let count = Number::of(count)?;
                if count.kind == Kind::Float {
                    return Err(fault(&format!("its lists {} are counted in fractions", excerpt(name))));
                }
                let property = Property { name: name.to_owned(), number: Number::of(number)?, count: Some(count) };
                self.elements.last_mut().ok_or_else(unknown)?.properties.push(property);
            }
            ["property", number, name] => {
                let property = Property { name: name.to_owned(), number: Number::of(number)?, count: None };
                self.elements.last_mut().ok_or_else(unknown)?.properties.push(property);
            }
            [first, ..] => {
                let known = self.remarks.iter_mut().find(|(word, _)| *word == first);
                let (word, remarks) = known.ok_or_else(unknown)?;
                if (remarks.len() as u64) < MAX_LIST {
                    remarks.push(line.trim_start()[word.len()..].trim_start().into());
                }
            }
            [] => {}
        }
        Ok(())
    }

    fn attributes(self) -> serde_json::Map<String, Value> {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        for (name, remarks) in self.remarks.into_iter().filter(|(_, remarks)| !remarks.is_empty()) {
            attributes.insert(name, remarks.into());
        }
        attributes.into_map()
    }
}

/// The order of the bytes, from the line `format`.
fn order(word: &str, version: &str) -> Result<ByteOrder, Refusal> {
    match (word, version) {
        ("binary_little_endian", "1.0") => Ok(ByteOrder::Little),
        ("binary_big_endian", "1.0") => Ok(ByteOrder::Big),
        ("ascii", _) => Err(Refusal(
            "its elements are text (ascii), so that no number has a place of its own; write it as binary, for example \
             with plyfile: p = PlyData.read('IN.ply'); p.text = False; p.write('OUT.ply')"
                .into(),
        )),
        _ => Err(fault(&format!("it is of format {} {}, which is not known", excerpt(word), excerpt(version)))),
    }
}
