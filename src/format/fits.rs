//! FITS (`.fits`), the files of astronomy: images, cubes and tables.
//!
//! Specification: "Definition of the Flexible Image Transport System (FITS)", version 4.0 (IAU FITS Working Group). All
//! is in blocks of 2880 bytes. A file is a row of units (HDU), each of them
//!
//! | bytes              | what                                                                        |
//! |--------------------|-----------------------------------------------------------------------------|
//! | n x 2880           | the header: cards of 80 characters, the last one `END`, padded with blanks   |
//! | as the header says | the data, big-endian, padded to a block                                     |
//!
//! A card is a keyword (8 characters), `= ` where it has a value, and the value: a number, `T` or `F`, or a string in
//! quotes, which may go on in `CONTINUE` cards. `HIERARCH` cards have longer keywords. The first card of the file is
//! `SIMPLE`, that of each further unit `XTENSION`. Of the data tell `BITPIX`, `NAXIS` and `NAXIS1`, `NAXIS2`, ..., the
//! lengths of the axes, fastest first: as NumPy counts, and astropy, the shape is these backwards.
//!
//! | unit                     | array                                                                   |
//! |--------------------------|-------------------------------------------------------------------------|
//! | the first one, `IMAGE`   | `BITPIX` 8 `\|u1`, 16 `>i2`, 32 `>i4`, 64 `>i8`, -32 `>f4`, -64 `>f8`     |
//! | `BINTABLE`               | one axis of records, a field for each column (see `fits/table.rs`)      |
//! | `TABLE`                  | one axis of records of text, `\|S`                                       |
//!
//! A file with one unit that has data is that array; with several it is a container. There a unit has the name that
//! `EXTNAME` gives, with a comma and `EXTVER` behind it where several have that name, or else its number, from 0 on.
//! Elements are served as they are stored: `BSCALE`, `BZERO`, `BLANK`, `TSCALn`, `TZEROn` and `TNULLn` are attributes,
//! like all other keywords.
//!
//! Limits, and why:
//!
//! - Headers of at most [`MAX_HEADER`] bytes and a file of at most [`MAX_UNITS`] units, so that a hostile file costs
//!   little.
//! - Random groups are refused: the standard has deprecated them, and they are no array but parameters between pieces.
//! - Compressed images and tables are refused: their elements have no address.
//! - What stands in the heap behind a table (columns of variable length) is not served, but where it lies: a descriptor
//!   is a field of two integers, the number of elements and the byte within the heap.
//! - Units with checksums are read-only: a write would make the sums wrong.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order};
use crate::source::{ReadAt, Siblings};

mod cards;
mod table;
#[cfg(test)]
mod tests;

use cards::Header;

/// The longest headers that are read, in bytes, all of a file together.
pub const MAX_HEADER: u64 = 64 << 20;

/// The most units of a file.
pub const MAX_UNITS: usize = 1 << 14;

/// The room for the attributes of all units together, as [`MAX_ATTRIBUTES`] counts.
const MAX_ALL_ATTRIBUTES: usize = 4 << 20;

/// What every file begins with.
const MAGIC: &[u8] = b"SIMPLE  =";

/// The FITS format.
#[derive(Clone, Copy, Debug)]
pub struct Fits;

impl Format for Fits {
    fn name(&self) -> &'static str {
        "fits"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".fits", ".fit", ".fts"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.strip_prefix(MAGIC).is_some_and(|rest| rest.starts_with(b"                    T"))
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut units = units(file)?;
        if units.len() == 1
            && let Some(Unit { found, .. }) = units.pop()
        {
            return found.map(Content::One);
        }
        if units.is_empty() {
            return Err(Refusal("it holds headers only, no unit with data; there is nothing to show".into()));
        }
        let attributes = units[0].inherited.clone();
        let names = names(&units);
        let members = units.into_iter().zip(names).map(|(unit, name)| Member { path: vec![name], found: unit.found });
        Ok(Content::Many(Container { members: members.collect(), attributes }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: copy or save it again"))
}

/// A unit that has data.
struct Unit {
    number: usize,
    name: Option<String>,
    version: i64,
    found: Result<Array, Refusal>,
    /// What the first unit says of the whole file, if it has no data itself.
    inherited: Map<String, Value>,
}

/// All units that have data, in the order of the file.
fn units(file: &dyn ReadAt) -> Result<Vec<Unit>, Refusal> {
    let (mut units, mut inherited) = (Vec::<Unit>::new(), Map::new());
    let (mut at, mut room, mut read) = (0, MAX_ALL_ATTRIBUTES, 0);
    for number in 0.. {
        if number > 0 && (at >= file.len() || !cards::begins_with(file, at, b"XTENSION")?) {
            break;
        }
        if number >= MAX_UNITS {
            return Err(Refusal(format!("it has more than the {MAX_UNITS} units that are read; split it")));
        }
        let header = cards::read(file, at, MAX_HEADER - read);
        let (header, size) = match header.and_then(|header| header.data_size().map(|size| (header, size))) {
            Ok(known) => known,
            Err(refusal) if number == 0 => return Err(refusal),
            // Where the next unit would begin is not known.
            Err(refusal) => {
                let found = Err(refusal);
                units.push(Unit { number, name: None, version: 1, found, inherited: inherited.clone() });
                break;
            }
        };
        read += header.end - at;
        if number == 0 && header.axes()?.is_empty() {
            inherited = header.attributes(MAX_ATTRIBUTES).into_map();
        } else if !header.axes()?.is_empty() {
            let (name, version) = (header.text("EXTNAME"), header.integer("EXTVER").unwrap_or(1));
            let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
            let found = array(&header, file.len()).map(|array| {
                let attributes = header.attributes(room.min(MAX_ATTRIBUTES));
                room -= room.min(MAX_ATTRIBUTES) - attributes.room();
                Array { attributes: attributes.into_map(), ..array }
            });
            units.push(Unit { number, name, version, found, inherited: Map::new() });
        }
        let end = header.end.checked_add(size).and_then(|end| end.checked_next_multiple_of(cards::BLOCK));
        at = end.unwrap_or(u64::MAX);
    }
    match &mut units[..] {
        // Of an only array all that is known belongs to it.
        [Unit { found: Ok(array), .. }] => {
            for (key, value) in inherited {
                array.attributes.entry(key).or_insert(value);
            }
        }
        [first, ..] => first.inherited = inherited,
        [] => {}
    }
    Ok(units)
}

/// The names of units, no two alike.
fn names(units: &[Unit]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in units.iter().filter_map(|unit| unit.name.as_deref()) {
        *counts.entry(name).or_default() += 1;
    }
    let mut seen = HashSet::new();
    let mut name = |unit: &Unit| {
        let number = unit.number.to_string();
        // Names that look like numbers could be taken for those of other units.
        let Some(name) = unit.name.as_deref().filter(|name| name.parse::<u64>().is_err()) else { return number };
        let full = if counts[name] > 1 { format!("{name},{}", unit.version) } else { name.to_owned() };
        if seen.insert(full.clone()) { full } else { number }
    };
    units.iter().map(&mut name).collect()
}

/// The array of a unit, in a file of `held` bytes.
fn array(header: &Header, held: u64) -> Result<Array, Refusal> {
    if header.start == 0 && header.flag("SIMPLE") == Some(false) {
        return Err(Refusal(
            "it says of itself that it does not conform to FITS (SIMPLE = F); save it again with a FITS library".into(),
        ));
    }
    if header.flag("GROUPS") == Some(true) && header.axes()?.first() == Some(&0) {
        return Err(Refusal(
            "it holds random groups, which are no array but parameters between pieces; write them as an image or \
             a binary table"
                .into(),
        ));
    }
    let (dtype, layout, dims) = match header.text("XTENSION").map(str::trim) {
        None | Some("IMAGE" | "IUEIMAGE") => image(header)?,
        Some(kind @ ("BINTABLE" | "A3DTABLE")) => {
            if let Some(keyword) = ["ZIMAGE", "ZTABLE"].into_iter().find(|key| header.flag(key) == Some(true)) {
                return Err(Refusal(format!(
                    "it is compressed ({keyword} = T in a {kind}); funpack, of CFITSIO, writes a plain copy"
                )));
            }
            table::binary(header)?
        }
        Some("TABLE") => table::ascii(header)?,
        Some(other) => {
            let other = excerpt(other);
            return Err(Refusal(format!(
                "it is an extension of the unknown type {other}; save it as IMAGE or BINTABLE"
            )));
        }
    };
    header::complete(&layout, held)?;
    let sums =
        ["CHECKSUM", "DATASUM"].into_iter().find(|key| header.text(key).is_some_and(|sum| !sum.trim().is_empty()));
    let read_only = sums.map(|keyword| {
        format!("a write would make its {keyword} wrong; delete the keywords CHECKSUM and DATASUM from its header")
    });
    Ok(Array { dims, read_only, ..Array::new(Fits.name(), dtype, Grid::one(layout)) })
}

/// Type and layout of a unit, and the names of its axes.
type Described = (DType, Layout, Vec<String>);

fn image(header: &Header) -> Result<Described, Refusal> {
    let (kind, itemsize) = match header.bitpix()? {
        8 => (Kind::Uint, 1),
        16 => (Kind::Int, 2),
        32 => (Kind::Int, 4),
        64 => (Kind::Int, 8),
        -32 => (Kind::Float, 4),
        -64 => (Kind::Float, 8),
        other => return Err(fault(&format!("its header gives BITPIX = {other}, which FITS does not know"))),
    };
    if header.integer("PCOUNT").unwrap_or(0) != 0 || header.integer("GCOUNT").unwrap_or(1) != 1 {
        return Err(fault("its header gives an image PCOUNT or GCOUNT, as only tables and random groups may have"));
    }
    let mut shape = header.axes()?;
    shape.reverse();
    let layout = Layout::packed(header.end, &shape, itemsize, Order::C).map_err(cannot_be)?;
    let axis_name = |n: usize| header.text(&format!("CTYPE{n}")).map_or("", str::trim).to_owned();
    let mut dims: Vec<String> = (1..=shape.len().min(MAX_NDIM)).rev().map(axis_name).collect();
    if dims.iter().all(String::is_empty) {
        dims.clear();
    }
    Ok((header::scalar(kind, ByteOrder::Big, itemsize), layout, dims))
}

fn cannot_be(error: crate::layout::LayoutError) -> Refusal {
    fault(&format!("its header claims an array that cannot be: {error}"))
}

impl Header {
    /// All keywords that do not only say how the data lie, as far as there is so much room; those that scale the
    /// elements come first.
    fn attributes(&self, room: usize) -> Attributes {
        let is_scaling = |key: &str| {
            let key = key.trim_end_matches(|c: char| c.is_ascii_digit());
            matches!(key, "BSCALE" | "BZERO" | "BLANK" | "BUNIT" | "TSCAL" | "TZERO" | "TNULL" | "TUNIT")
        };
        let (first, rest): (Vec<_>, Vec<_>) = self.cards.iter().partition(|(key, _)| is_scaling(key));
        let mut attributes = Attributes::new(room);
        let mut seen = HashSet::new();
        for (key, value) in first.into_iter().chain(rest) {
            let is_short = value.as_str().is_none_or(|text| text.len() as u64 <= MAX_TEXT);
            if !is_layout(key) && is_short && seen.insert(key) {
                attributes.insert(key, value.clone());
            }
        }
        attributes
    }
}

/// Whether the description of the array says already what this keyword does.
fn is_layout(key: &str) -> bool {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = matches!(stem, "NAXIS" | "TTYPE");
    numbered || matches!(key, "SIMPLE" | "XTENSION" | "BITPIX" | "EXTEND" | "GCOUNT" | "TFIELDS")
}
