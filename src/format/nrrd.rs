//! NRRD (`.nrrd`; `.nhdr` beside its data), nearly raw raster data.
//!
//! Specification: "Definition of NRRD File Format" of Teem, versions `NRRD0001` to `NRRD0005`. A file begins with lines
//! of text, ended by an empty line or by the end of the file:
//!
//! | line              | what                                                                      |
//! |-------------------|---------------------------------------------------------------------------|
//! | `NRRD000X`        | the magic, the first line                                                 |
//! | `# anything`      | a comment                                                                 |
//! | `field: value`    | a field, in capitals or not                                               |
//! | `key:=value`      | any other knowledge                                                       |
//!
//! | field                     | what                                                                    |
//! |---------------------------|-------------------------------------------------------------------------|
//! | `dimension`, `sizes`      | number of axes; their lengths, fastest first                            |
//! | `type`, `block size`      | the elements: C's names of integers and floats; blocks of so many bytes |
//! | `endian`                  | `little` or `big`, where it matters                                     |
//! | `encoding`                | `raw`; all others are refused                                           |
//! | `line skip`, `byte skip`  | what stands in front of the data; -1 bytes: all but the data            |
//! | `data file`               | where the data are, if not behind the empty line: see [`data`]          |
//!
//! Shapes are those of pynrrd as it reads by default: the fastest axis first, in Fortran order. `labels` name the axes;
//! where there are none, those `kinds` do that say more than `domain` or `space`.
//!
//! Limits, and why:
//!
//! - Encodings other than raw: compressed or written as text, elements have no address.
//! - Headers of at most [`MAX_HEADER`] bytes, at most [`MAX_LINES`] lines to skip, and as many data files as
//!   [`data::MAX_FILES`].
//! - Lines are skipped only where the data follow their header: a data file beside is not read.
//! - Data files must lie in the folder of the header.

use std::collections::HashMap;

use serde_json::Value;

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind, MAX_ITEMSIZE};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::lines::Lines;
use crate::format::{Array, Content, Files, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order};
use crate::source::{ReadAt, Siblings};

pub mod data;
#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 4 << 20;

/// The most lines that are skipped in front of the data.
pub const MAX_LINES: u64 = 1 << 16;

/// The NRRD format.
#[derive(Clone, Copy, Debug)]
pub struct Nrrd;

impl Format for Nrrd {
    fn name(&self) -> &'static str {
        "nrrd"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".nrrd", ".nhdr"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        matches!(head, [b'N', b'R', b'R', b'D', b'0', b'0', b'0', b'1'..=b'5', b'\r' | b'\n', ..])
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut lines = Lines::new(file, "NRRD", MAX_HEADER);
        let header = Header::read(&mut lines)?;
        header.check_encoding()?;
        let dtype = header.dtype()?;
        let shape = header.shape()?;
        let (grid, files) = match header.fields.get("datafile") {
            Some(_) => data::beside(&header, &shape, dtype.itemsize(), siblings)?,
            None => (Grid::one(attached(&header, &shape, dtype.itemsize(), file, &mut lines)?), Files::Itself),
        };
        Ok(Content::One(Array {
            dims: header.dims(shape.len()),
            files,
            attributes: header.attributes().into_map(),
            ..Array::new(self.name(), dtype, grid)
        }))
    }
}

/// Elements that are compressed as one stream.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// Type of the elements.
    pub(crate) dtype: DType,
    /// Length of each axis; the first is the fastest.
    pub(crate) shape: Vec<u64>,
    /// Whether the stream is bzip2's, and not gzip's.
    pub(crate) is_bzip2: bool,
    /// The file beside the header that is the stream, or nothing where it follows the header.
    pub(crate) file: Option<String>,
    /// Byte at which the stream starts.
    pub(crate) start: u64,
    /// So many bytes of what it holds stand before the elements.
    pub(crate) skip: u64,
}

impl Packed {
    /// What the header of a file says, if the elements are compressed.
    ///
    /// # Errors
    /// If they are in another way than as one stream, or the header is damaged.
    pub(crate) fn read(file: &dyn ReadAt) -> Result<Option<Packed>, Refusal> {
        let mut lines = Lines::new(file, "NRRD", MAX_HEADER);
        let header = Header::read(&mut lines)?;
        let is_bzip2 = match &*header.get("encoding")?.to_ascii_lowercase() {
            "gz" | "gzip" => false,
            "bz2" | "bzip2" => true,
            _ => return Ok(None),
        };
        let skip = header.byte_skip()?;
        let skip = skip.ok_or_else(|| fault("its NRRD header skips -1 bytes, which only raw data can"))?;
        let (file, start) = match header.fields.get("datafile") {
            Some(_) => (Some(data::only_file(&header)?), 0),
            None => (None, attached_start(&header, &mut lines)?),
        };
        Ok(Some(Packed { dtype: header.dtype()?, shape: header.shape()?, is_bzip2, file, start, skip }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or has to be corrected by hand or saved again"))
}

fn cannot_be(error: crate::layout::LayoutError) -> Refusal {
    fault(&format!("its NRRD header claims an array that cannot be: {error}"))
}

/// Elements behind the header of the same file.
fn attached(
    header: &Header,
    shape: &[u64],
    itemsize: u64,
    file: &dyn ReadAt,
    lines: &mut Lines<'_>,
) -> Result<Layout, Refusal> {
    let packed = Layout::packed(0, shape, itemsize, Order::F).map_err(cannot_be)?;
    let offset = match header.byte_skip()? {
        None => {
            let start = lines.position();
            let size = packed.extent().end;
            file.len().checked_sub(size).filter(|&offset| offset >= start).ok_or_else(|| {
                let held = file.len().saturating_sub(start);
                Refusal(format!(
                    "its header claims {size} bytes of data, the file holds only {held}: it was truncated, or is still \
                     being written; copy or save it again"
                ))
            })?
        }
        Some(skip) => attached_start(header, lines)?.saturating_add(skip),
    };
    let layout = Layout::packed(offset, shape, itemsize, Order::F).map_err(cannot_be)?;
    header::complete(&layout, file.len())?;
    Ok(layout)
}

/// The byte behind the header and the lines that are to be skipped.
fn attached_start(header: &Header, lines: &mut Lines<'_>) -> Result<u64, Refusal> {
    for _ in 0..header.line_skip()? {
        if lines.next()?.is_none() {
            return Err(fault("its NRRD header skips more lines than there are"));
        }
    }
    Ok(lines.position())
}

/// What a header says.
struct Header {
    /// Values by the names of fields, in small letters and without blanks.
    fields: HashMap<String, String>,
    /// All fields and keys as they stand there, in that order.
    all: Vec<(String, String)>,
    /// The names behind `data file: LIST`.
    list: Vec<String>,
}

impl Header {
    fn read(lines: &mut Lines<'_>) -> Result<Header, Refusal> {
        let magic = lines.next()?.unwrap_or_default();
        match magic.strip_prefix("NRRD000") {
            Some("1" | "2" | "3" | "4" | "5") => {}
            _ if magic.starts_with("NRRD") => {
                return Err(Refusal(format!(
                    "it is of version {} of NRRD, and only NRRD0001 to NRRD0005 are known; save it again",
                    excerpt(&magic)
                )));
            }
            _ => {
                return Err(Refusal(
                    "it does not begin with NRRD: it is a file of another kind, or damaged; rename it or save it again"
                        .into(),
                ));
            }
        }
        let mut header = Header { fields: HashMap::new(), all: Vec::new(), list: Vec::new() };
        let mut is_list = false;
        while let Some(line) = lines.next()?.filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                continue;
            }
            if is_list {
                header.list.push(line.trim().to_owned());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| {
                fault(&format!("its NRRD header has the line {}, which is neither field nor comment", excerpt(&line)))
            })?;
            if let Some(value) = value.strip_prefix('=') {
                header.all.push((name.trim().to_owned(), value.trim().to_owned()));
                continue;
            }
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            let field: String = name.chars().filter(|c| !c.is_whitespace()).collect();
            is_list = field == "datafile" && value.split_whitespace().next() == Some("LIST");
            if header.fields.insert(field, value.clone()).is_some() {
                return Err(fault(&format!("its NRRD header has the field {} twice", excerpt(&name))));
            }
            header.all.push((name, value));
        }
        Ok(header)
    }

    fn get(&self, field: &'static str) -> Result<&str, Refusal> {
        let value = self.fields.get(field).ok_or_else(|| fault(&format!("its NRRD header lacks the field {field}")))?;
        Ok(value)
    }

    fn number(&self, field: &'static str) -> Result<u64, Refusal> {
        let value = self.get(field)?;
        value.parse().map_err(|_| fault(&format!("its NRRD header gives {field}: {}, not a count", excerpt(value))))
    }

    fn dtype(&self) -> Result<DType, Refusal> {
        let (kind, itemsize) = match &*self.get("type")?.to_ascii_lowercase() {
            "signed char" | "int8" | "int8_t" => (Kind::Int, 1),
            "uchar" | "unsigned char" | "uint8" | "uint8_t" => (Kind::Uint, 1),
            "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => (Kind::Int, 2),
            "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => (Kind::Uint, 2),
            "int" | "signed int" | "int32" | "int32_t" => (Kind::Int, 4),
            "uint" | "unsigned int" | "uint32" | "uint32_t" => (Kind::Uint, 4),
            "longlong"
            | "long long"
            | "long long int"
            | "signed long long"
            | "signed long long int"
            | "int64"
            | "int64_t" => (Kind::Int, 8),
            "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => (Kind::Uint, 8),
            "float" => (Kind::Float, 4),
            "double" => (Kind::Float, 8),
            "block" => {
                let size = self.number("blocksize")?;
                if !(1..=MAX_ITEMSIZE).contains(&size) {
                    return Err(fault(&format!("its NRRD header gives blocks of {size} bytes")));
                }
                return Ok(header::scalar(Kind::Void, ByteOrder::None, size));
            }
            other => {
                return Err(fault(&format!(
                    "its NRRD header gives the type {}, which NRRD does not know",
                    excerpt(other)
                )));
            }
        };
        let order = match self.fields.get("endian").map(|order| order.to_ascii_lowercase()).as_deref() {
            _ if itemsize == 1 => ByteOrder::None,
            Some("little") => ByteOrder::Little,
            Some("big") => ByteOrder::Big,
            Some(other) => return Err(fault(&format!("its NRRD header gives endian: {}", excerpt(other)))),
            None => return Err(fault("its NRRD header does not give endian, and elements have several bytes")),
        };
        Ok(header::scalar(kind, order, itemsize))
    }

    fn shape(&self) -> Result<Vec<u64>, Refusal> {
        let (ndim, sizes) = (self.number("dimension")?, self.get("sizes")?);
        if ndim > MAX_NDIM as u64 {
            return Err(Refusal(format!(
                "it has {ndim} axes, and neither NumPy nor afbfs has more than {MAX_NDIM}; reshape it and save it again"
            )));
        }
        let shape: Result<Vec<u64>, _> = sizes.split_whitespace().take(MAX_NDIM + 1).map(str::parse).collect();
        let shape = shape.ok().filter(|shape| shape.len() as u64 == ndim);
        shape.ok_or_else(|| fault(&format!("its NRRD header gives dimension: {ndim} and sizes: {}", excerpt(sizes))))
    }

    fn check_encoding(&self) -> Result<(), Refusal> {
        let encoding = self.get("encoding")?;
        match &*encoding.to_ascii_lowercase() {
            "raw" => Ok(()),
            "gz" | "gzip" | "bz2" | "bzip2" => Err(Refusal(format!(
                "its elements are compressed (encoding: {encoding}); `afbfs unpack` writes a plain copy"
            ))),
            "zrl" | "txt" | "text" | "ascii" | "hex" => Err(Refusal(format!(
                "its elements are not stored as they are (encoding: {encoding}); save it again as raw (unu save -f nrrd -e \
                 raw)"
            ))),
            _ => {
                Err(fault(&format!("its NRRD header gives encoding: {}, which NRRD does not know", excerpt(encoding))))
            }
        }
    }

    /// The bytes to skip; nothing where the data stand at the end.
    fn byte_skip(&self) -> Result<Option<u64>, Refusal> {
        match self.fields.get("byteskip").map(String::as_str) {
            None => Ok(Some(0)),
            Some("-1") => Ok(None),
            Some(_) => self.number("byteskip").map(Some),
        }
    }

    fn line_skip(&self) -> Result<u64, Refusal> {
        let count = if self.fields.contains_key("lineskip") { self.number("lineskip")? } else { 0 };
        if count > MAX_LINES {
            return Err(fault(&format!(
                "its NRRD header skips {count} lines, more than the {MAX_LINES} that are read"
            )));
        }
        Ok(count)
    }

    /// The names of the axes.
    fn dims(&self, ndim: usize) -> Vec<String> {
        let named =
            |names: Vec<String>| (names.len() == ndim && names.iter().any(|name| !name.is_empty())).then_some(names);
        let telling = |kind: &str| {
            if matches!(kind, "domain" | "space" | "none" | "???") { String::new() } else { kind.to_owned() }
        };
        let labels = self.fields.get("labels").and_then(|labels| named(quoted(labels)));
        let kinds = || named(self.fields.get("kinds")?.split_whitespace().map(telling).collect());
        labels.or_else(kinds).unwrap_or_default()
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        for (name, value) in &self.all {
            let field: String = name.chars().filter(|c| !c.is_whitespace()).collect();
            if value.len() as u64 > MAX_TEXT || is_layout(&field) {
                continue;
            }
            let numbers = || value.split_whitespace().map(|word| word.parse().ok().map(header::float)).collect();
            let value = match &*field {
                "spacings" | "thicknesses" | "axismins" | "axismaxs" => {
                    let numbers: Option<Vec<Value>> = numbers();
                    numbers.map_or_else(|| value.as_str().into(), Value::from)
                }
                "min" | "max" | "oldmin" | "oldmax" => {
                    value.parse().map_or_else(|_| value.as_str().into(), header::float)
                }
                "labels" | "units" | "spaceunits" => quoted(value).into(),
                "kinds" | "centers" | "centerings" => value.split_whitespace().collect::<Vec<&str>>().into(),
                _ => value.as_str().into(),
            };
            attributes.insert(name, value);
        }
        attributes
    }
}

/// Whether the description of the array says already what this field does.
fn is_layout(field: &str) -> bool {
    matches!(
        field,
        "type" | "dimension" | "sizes" | "endian" | "encoding" | "datafile" | "byteskip" | "lineskip" | "blocksize"
    )
}

/// The strings of a list of quoted ones.
fn quoted(text: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut rest = text;
    while let Some((_, start)) = rest.split_once('"') {
        let Some((string, behind)) = start.split_once('"') else { break };
        strings.push(string.to_owned());
        rest = behind;
    }
    strings
}
