//! MRC and CCP4 (`.mrc`, `.map`), the images and maps of electron microscopy.
//!
//! Specification: "MRC2014" of CCP-EM (Cheng and others, J. Struct. Biol. 192, 2015). A file is
//!
//! | bytes  | what                                                                    |
//! |--------|-------------------------------------------------------------------------|
//! | 1024   | the header                                                              |
//! | NSYMBT | the extended header                                                     |
//! | rest   | the elements, columns fastest, then rows, then sections                 |
//!
//! and of the header, in words of 4 bytes counted from 1:
//!
//! | words   | what                                                                     |
//! |---------|--------------------------------------------------------------------------|
//! | 1-3     | NX, NY, NZ: columns, rows, sections                                      |
//! | 4       | MODE: type of the elements                                               |
//! | 5-7     | index of the first column, row, section                                  |
//! | 8-10    | MX, MY, MZ: intervals along the cell                                     |
//! | 11-16   | size of the cell in angstroms, its angles                                |
//! | 17-19   | which axis of space (1, 2, 3) columns, rows and sections go along        |
//! | 20-22   | minimum, maximum, mean                                                   |
//! | 23      | ISPG: the space group; 0 of images, 401 and more of stacks of volumes    |
//! | 24      | NSYMBT                                                                   |
//! | 27      | type of the extended header                                              |
//! | 50-52   | origin                                                                   |
//! | 53      | `MAP `                                                                   |
//! | 54      | the machine stamp: `44 44` or `44 41` little-endian, `11 11` big-endian  |
//! | 55      | root of the mean square                                                  |
//! | 56-256  | number of labels, and ten of 80 characters                               |
//!
//! | mode | element | mode | element                                | mode | element                      |
//! |------|---------|------|----------------------------------------|------|------------------------------|
//! | 0    | `\|i1`   | 3    | a record of `real` and `imag`, `i2`    | 6    | `u2`                         |
//! | 1    | `i2`    | 4    | `c8`                                   | 12   | `f2`                         |
//! | 2    | `f4`    |      |                                        | 101  | refused: two in a byte       |
//!
//! Shapes are those of mrcfile: sections, rows, columns; of an only image no sections; of a stack of volumes one axis
//! more. Axes are called after the axes of space that they go along.
//!
//! Limits, and why:
//!
//! - Files older than MRC2000 have no `MAP ` and no machine stamp: their byte order is the one in which the mode is
//!   one.
//! - Elements of mode 0 are signed, as MRC2014 says; old files of IMOD have unsigned ones, which `as/u1` shows.

use serde_json::{Value, json};

use crate::dtype::{ByteOrder, DType, Field, Kind, Record};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES};
use crate::format::{Array, Content, Format, Refusal, beside};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// Bytes of the header.
const HEADER: usize = 1024;

/// What is multiplied into the intervals: the space groups of stacks of volumes.
const VOLUME_STACKS: std::ops::RangeInclusive<i32> = 401..=630;

/// The MRC format.
#[derive(Clone, Copy, Debug)]
pub struct Mrc;

impl Format for Mrc {
    fn name(&self) -> &'static str {
        "mrc"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".mrc", ".mrcs", ".map", ".st", ".rec"]
    }

    /// `.REC` in capitals are the data of PAR/REC.
    fn stem<'a>(&self, file_name: &'a str) -> Option<&'a str> {
        let (stem, extension) = file_name.rsplit_once('.')?;
        let is_ours = match extension {
            "rec" => true,
            _ => ["mrc", "mrcs", "map", "st"].iter().any(|ours| extension.eq_ignore_ascii_case(ours)),
        };
        is_ours.then_some(if stem.is_empty() { file_name } else { stem })
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.get(208..212) == Some(b"MAP ") && head.get(212..214).is_some_and(|stamp| order_of(stamp).is_some())
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut bytes = [0; HEADER];
        let count = file.read_at(&mut bytes, 0)?;
        if let Some(par) = beside::partner(file_name, ".par", ".PAR").filter(|_| file_name.ends_with(".rec"))
            && !self.knows(&bytes)
            && siblings.sibling_len(&crate::name::escape(par.as_bytes()))?.is_some()
        {
            return Err(Refusal(format!("it holds the elements that {par} describes; look there")));
        }
        if count < bytes.len() {
            return Err(Refusal("it ends within its MRC header: it was truncated; copy or save it again".into()));
        }
        let header = Header::new(&bytes)?;
        let dtype = header.dtype()?;
        let shape = header.shape()?;
        let offset = HEADER as u64 + header.count(23, "NSYMBT")?;
        let layout = Layout::packed(offset, &shape, dtype.itemsize(), Order::C)
            .map_err(|error| fault(&format!("its MRC header claims an array that cannot be: {error}")))?;
        header::complete(&layout, file.len())?;
        Ok(Content::One(Array {
            dims: header.dims(shape.len()),
            attributes: header.attributes(offset).into_map(),
            ..Array::new(self.name(), dtype, Grid::one(layout))
        }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again"))
}

fn order_of(stamp: &[u8]) -> Option<ByteOrder> {
    match stamp {
        [0x44, 0x44 | 0x41, ..] => Some(ByteOrder::Little),
        [0x11, 0x11, ..] => Some(ByteOrder::Big),
        _ => None,
    }
}

fn is_mode(mode: i32) -> bool {
    matches!(mode, 0..=4 | 6 | 12 | 101)
}

struct Header<'a> {
    bytes: &'a [u8; HEADER],
    order: ByteOrder,
}

impl Header<'_> {
    fn new(bytes: &[u8; HEADER]) -> Result<Header<'_>, Refusal> {
        let orders = match order_of(&bytes[212..]) {
            Some(order) => vec![order],
            None => vec![ByteOrder::Little, ByteOrder::Big],
        };
        let headers = orders.into_iter().map(|order| Header { bytes, order });
        let plausible = |header: &Header<'_>| is_mode(header.int(3)) && (0..3).all(|word| header.int(word) > 0);
        let (mut found, mut mode) = (None, 0);
        for header in headers {
            mode = header.int(3);
            if found.is_none() && (plausible(&header) || order_of(&bytes[212..]).is_some()) {
                found = Some(header);
            }
        }
        found.ok_or_else(|| {
            fault(&format!(
                "it has no machine stamp, and its mode would be {mode}: it does not begin with an MRC header"
            ))
        })
    }

    /// Words are counted from 0 here.
    fn word(&self, word: usize) -> [u8; 4] {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.bytes[4 * word..][..4]);
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    }

    fn int(&self, word: usize) -> i32 {
        i32::from_le_bytes(self.word(word))
    }

    fn float(&self, word: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.word(word)))
    }

    fn count(&self, word: usize, name: &str) -> Result<u64, Refusal> {
        let count = self.int(word);
        u64::try_from(count).map_err(|_| fault(&format!("its MRC header gives {name} = {count}, not a count")))
    }

    fn dtype(&self) -> Result<DType, Refusal> {
        let (kind, itemsize) = match self.int(3) {
            0 => (Kind::Int, 1),
            1 => (Kind::Int, 2),
            2 => (Kind::Float, 4),
            3 => return self.complex_integers(),
            4 => (Kind::Complex, 8),
            6 => (Kind::Uint, 2),
            12 => (Kind::Float, 2),
            101 => {
                return Err(Refusal(
                    "its elements take 4 bits (mode 101), so that no element has an address; write it with mode 0 or 6"
                        .into(),
                ));
            }
            mode => return Err(fault(&format!("its MRC header gives mode {mode}, which is not known"))),
        };
        Ok(header::scalar(kind, self.order, itemsize))
    }

    fn complex_integers(&self) -> Result<DType, Refusal> {
        let part = |name: &str, offset| Field {
            name: name.into(),
            title: None,
            offset,
            dtype: header::scalar(Kind::Int, self.order, 2),
            shape: Vec::new(),
        };
        let record = Record::new(vec![part("real", 0), part("imag", 2)], 4).map_err(header::no_type)?;
        Ok(DType::Record(record.into()))
    }

    fn shape(&self) -> Result<Vec<u64>, Refusal> {
        let (columns, rows) = (self.count(0, "NX")?, self.count(1, "NY")?);
        let (sections, intervals) = (self.count(2, "NZ")?, self.int(9));
        let group = self.int(22);
        if VOLUME_STACKS.contains(&group) {
            let depth = u64::try_from(intervals).ok().filter(|&depth| depth > 0 && sections.is_multiple_of(depth));
            let depth = depth.ok_or_else(|| {
                fault(&format!("its MRC header gives a stack of volumes {sections} sections, {intervals} in each"))
            })?;
            return Ok(vec![sections / depth, depth, rows, columns]);
        }
        Ok(if group == 0 && sections == 1 { vec![rows, columns] } else { vec![sections, rows, columns] })
    }

    /// The axes of space along which sections, rows and columns go.
    fn dims(&self, ndim: usize) -> Vec<String> {
        let numbers = [self.int(18), self.int(17), self.int(16)];
        let mut sorted = numbers;
        sorted.sort_unstable();
        // Many writers leave these out.
        let numbers = if sorted == [1, 2, 3] { numbers } else { [3, 2, 1] };
        let name = |number: i32| ["x", "y", "z"][(number - 1) as usize].to_owned();
        let mut dims: Vec<String> = numbers.map(name).to_vec();
        match ndim {
            2 => dims.remove(0),
            4 => {
                dims.insert(0, "volume".into());
                return dims;
            }
            _ => return dims,
        };
        dims
    }

    fn attributes(&self, offset: u64) -> Attributes {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        let ints = |words: [usize; 3]| json!(words.map(|word| self.int(word)));
        let floats = |words: [usize; 3]| Value::from(words.map(|word| header::float(self.float(word))).to_vec());
        let voxel: Vec<Value> = (0..3)
            .map(|axis| match self.int(7 + axis) {
                0 => 0.0.into(),
                intervals => header::float(self.float(10 + axis) / f64::from(intervals)),
            })
            .collect();
        attributes.insert("voxel_size", voxel.into());
        attributes.insert("start", ints([4, 5, 6]));
        attributes.insert("intervals", ints([7, 8, 9]));
        attributes.insert("cell", floats([10, 11, 12]));
        attributes.insert("cell_angles", floats([13, 14, 15]));
        attributes.insert("map_axes", ints([16, 17, 18]));
        for (name, word) in [("dmin", 19), ("dmax", 20), ("dmean", 21), ("rms", 54)] {
            attributes.insert(name, header::float(self.float(word)));
        }
        attributes.insert("ispg", self.int(22).into());
        attributes.insert("mode", self.int(3).into());
        if offset > HEADER as u64 {
            attributes.insert("exttyp", header::text(&self.bytes[104..108]).into());
        }
        attributes.insert("origin", floats([49, 50, 51]));
        let labels = self.bytes[224..].chunks_exact(80).take(self.int(55).clamp(0, 10) as usize);
        attributes
            .insert("labels", labels.map(|label| Value::from(header::text(label))).collect::<Vec<Value>>().into());
        attributes
    }
}
