//! PAR/REC (`.PAR` and `.REC`), the images that Philips' scanners export.
//!
//! There is no public specification; the header explains itself, and nibabel reads it. The `.PAR` is text: lines that
//! begin with `#` are comments, of which one ends in the version, V4 to V4.2; those with a full stop are general (`.
//! Technique : T1`); the others have one row of numbers for each slice. The `.REC` beside it holds nothing but the
//! slices, little-endian and unsigned. Of a row count, from 0,
//!
//! | column  | what                                                                        |
//! |---------|-----------------------------------------------------------------------------|
//! | 0       | number of the slice                                                         |
//! | 6       | its place among the slices of the `.REC`                                    |
//! | 7       | bits of an element: 8 or 16                                                 |
//! | 9, 10   | columns and rows                                                            |
//! | 11 - 13 | what the scanner's values are: (element x slope + intercept), and its scale |
//!
//! Shapes are those of nibabel: x, y, slice and, where each slice stands there several times, one axis more, of
//! volumes, in Fortran order. Slices may stand in any order in the file; the volumes are told by how often a slice came
//! before.
//!
//! Limits, and why:
//!
//! - Headers of at most [`MAX_HEADER`] bytes and [`MAX_SLICES`] slices.
//! - Slices of several sizes are no array. Neither are recordings that ended within a volume.
//! - Versions before V4 have other columns.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, Kind};
use crate::format::beside::{self, Listed};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_LIST};
use crate::format::lines::Lines;
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::{Grid, Pieces, Place};
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 32 << 20;

/// The most slices.
pub const MAX_SLICES: usize = 1 << 16;

/// Columns that make a row.
const COLUMNS: usize = 14;

/// PAR/REC.
#[derive(Clone, Copy, Debug)]
pub struct ParRec;

impl Format for ParRec {
    fn name(&self) -> &'static str {
        "parrec"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".par"]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut header = Header::read(&mut Lines::new(file, "PAR", MAX_HEADER))?;
        let (itemsize, columns, rows) = header.size()?;
        let slices = header.sort()?;
        let places: Vec<u64> = header.rows.iter().map(|row| row.place).collect();
        let volumes = places.len() as u64 / slices;
        let mut shape = vec![columns, rows, slices];
        let mut dims = vec!["x".to_owned(), "y".to_owned(), "z".to_owned()];
        if volumes > 1 {
            shape.push(volumes);
            dims.push("volume".to_owned());
        }
        let cannot_be = |error| fault(&format!("its PAR header claims an array that cannot be: {error}"));
        let plane = Layout::packed(0, &[columns, rows], itemsize, Order::F).map_err(cannot_be)?.extent().end;
        let end = (places.iter().max().copied().unwrap_or(0) + 1).saturating_mul(plane);
        let data = beside::partner(file_name, ".rec", ".REC")
            .ok_or_else(|| Refusal("its name has no extension, so that its .REC cannot be found; rename it".into()))?;
        beside::complete(&data, end, beside::len_of_plain(siblings, &data)?)?;
        let grid = if places.iter().copied().eq(0..places.len() as u64) {
            Grid::one(Layout::packed(0, &shape, itemsize, Order::F).map_err(cannot_be)?)
        } else {
            let mut chunk = shape.clone();
            chunk[2..].fill(1);
            let pieces = Slices { places, slices, volumes, plane };
            Grid::chunked(&shape, &chunk, itemsize, Order::F, Arc::new(pieces)).map_err(cannot_be)?
        };
        Ok(Content::One(Array {
            dims,
            files: Listed::files(vec![data]),
            attributes: header.attributes().into_map(),
            ..Array::new(self.name(), header::scalar(Kind::Uint, ByteOrder::Little, itemsize), grid)
        }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: export it again"))
}

/// Where slices lie that stand in no order.
struct Slices {
    /// For each slice of each volume, one volume behind the other, its place in the file.
    places: Vec<u64>,
    slices: u64,
    volumes: u64,
    /// Bytes of a slice.
    plane: u64,
}

impl Pieces for Slices {
    fn place(&self, cell: u64) -> Option<Place> {
        // Of cells the volumes are the last axis, which changes fastest.
        let number = cell % self.volumes * self.slices + cell / self.volumes;
        let place = self.places.get(usize::try_from(number).ok()?)?;
        Some(Place { piece: 0, offset: place * self.plane })
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.places, self.plane).hash(&mut hasher);
        hasher.finish()
    }
}

/// What a header says.
struct Header {
    version: String,
    general: Vec<(String, String)>,
    rows: Vec<Row>,
}

/// What it says of a slice.
struct Row {
    slice: i64,
    /// How many rows of the same slice stand before it.
    volume: u64,
    place: u64,
    bits: u64,
    columns: u64,
    rows: u64,
    /// Intercept, slope and scale.
    scale: [f64; 3],
}

impl Row {
    fn new(line: &str) -> Option<Row> {
        let words: Vec<&str> = line.split_whitespace().take(COLUMNS).collect();
        let words: &[&str; COLUMNS] = words.first_chunk()?;
        let float = |word: &str| word.parse().ok();
        Some(Row {
            slice: words[0].parse().ok()?,
            volume: 0,
            place: words[6].parse().ok()?,
            bits: words[7].parse().ok()?,
            columns: words[9].parse().ok()?,
            rows: words[10].parse().ok()?,
            scale: [float(words[11])?, float(words[12])?, float(words[13])?],
        })
    }
}

impl Header {
    fn read(lines: &mut Lines<'_>) -> Result<Header, Refusal> {
        let mut header = Header { version: String::new(), general: Vec::new(), rows: Vec::new() };
        while let Some(line) = lines.next()? {
            let line = line.trim();
            if let Some(comment) = line.strip_prefix('#') {
                if header.version.is_empty() && comment.contains("image export tool") {
                    header.version = comment.split_whitespace().next_back().unwrap_or_default().to_owned();
                }
            } else if let Some((key, value)) = line.strip_prefix('.').and_then(|rest| rest.split_once(':')) {
                // Some keys have colons of their own in them, but none at its end.
                header.general.push((key.trim().to_owned(), value.trim().to_owned()));
            } else if !line.is_empty() {
                let row = Row::new(line).ok_or_else(|| {
                    fault(&format!("it has the line {}, which no PAR header has there", excerpt(line)))
                })?;
                if header.rows.len() == MAX_SLICES {
                    return Err(Refusal(format!("it has more than the {MAX_SLICES} slices that are read; split it")));
                }
                header.rows.push(row);
            }
        }
        match &*header.version {
            "V4" | "V4.1" | "V4.2" => Ok(header),
            "" => Err(fault("it does not say of which version of Philips' image export tool it is")),
            other => Err(Refusal(format!(
                "it is of version {} of Philips' image export tool, and only V4, V4.1 and V4.2 are known; \
                 export it again",
                excerpt(other)
            ))),
        }
    }

    /// Bytes of an element, columns and rows.
    fn size(&self) -> Result<(u64, u64, u64), Refusal> {
        let Some(first) = self.rows.first() else {
            return Err(Refusal("its PAR header has no slice; there is nothing to show".into()));
        };
        let size = |row: &Row| (row.bits, row.columns, row.rows);
        if let Some(other) = self.rows.iter().find(|row| size(row) != size(first)) {
            return Err(Refusal(format!(
                "its slices are of several sizes ({:?} and {:?} bits, columns and rows), and an array has one; export \
                 them one by one",
                size(first),
                size(other)
            )));
        }
        match first.bits {
            8 | 16 => Ok((first.bits / 8, first.columns, first.rows)),
            bits => Err(fault(&format!("its PAR header gives elements of {bits} bits, not 8 or 16"))),
        }
    }

    /// Puts the rows into the order of the array, one volume behind the other, and gives the number of slices.
    fn sort(&mut self) -> Result<u64, Refusal> {
        let mut volumes: HashMap<i64, u64> = HashMap::new();
        let count = self.rows.len();
        for row in &mut self.rows {
            if row.place >= count as u64 {
                return Err(fault(&format!(
                    "its PAR header gives a slice the place {} in a file of {count} slices",
                    row.place
                )));
            }
            let volume = volumes.entry(row.slice).or_default();
            row.volume = *volume;
            *volume += 1;
        }
        let mut counts = volumes.values();
        if let Some(first) = counts.next()
            && let Some(other) = counts.find(|&other| other != first)
        {
            return Err(Refusal(format!(
                "some of its slices were recorded {first} times and others {other} times: the recording ended too \
                 early; take the last rows out of the header"
            )));
        }
        self.rows.sort_by_key(|row| (row.volume, row.slice));
        Ok(volumes.len() as u64)
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("version", self.version.as_str().into());
        for (number, name) in ["rescale intercept", "rescale slope", "scale slope"].into_iter().enumerate() {
            let values: Vec<f64> = self.rows.iter().map(|row| row.scale[number]).collect();
            let is_one = values.iter().all(|value| Some(value) == values.first());
            // One for each slice, one volume behind the other, where they differ.
            if is_one && let Some(&value) = values.first() {
                attributes.insert(name, header::float(value));
            } else if values.len() as u64 <= MAX_LIST {
                attributes.insert(name, values.into_iter().map(header::float).collect::<Vec<Value>>().into());
            }
        }
        for (name, value) in &self.general {
            attributes.insert(name, value.as_str().into());
        }
        attributes
    }
}
