//! ENVI (`.hdr` beside its data), pictures of remote sensing, often of hundreds of bands.
//!
//! Specification: "ENVI Header Files" in the help of ENVI; what files are called, as in the library spectral. The header
//! is text, and its first line is `ENVI`. On the others stand
//!
//! | line                   | what                                                               |
//! |------------------------|--------------------------------------------------------------------|
//! | `; anything`           | a comment                                                          |
//! | `key = value`          | keys in capitals or not                                            |
//! | `key = {a, b, c}`      | a list, or a text, that may go on over several lines               |
//!
//! | key                        | what                                                           |
//! |----------------------------|----------------------------------------------------------------|
//! | `lines`, `samples`, `bands` | rows, columns and bands                                       |
//! | `data type`                | the elements                                                   |
//! | `byte order`               | 0: little-endian, 1: big-endian                                |
//! | `interleave`               | `bsq`, `bil` or `bip`                                          |
//! | `header offset`            | bytes before the first element; 0 where it is missing          |
//!
//! | data type | element | data type | element | data type | element |
//! |-----------|---------|-----------|---------|-----------|---------|
//! | 1         | `\|u1`  | 5         | `f8`    | 13        | `u4`    |
//! | 2         | `i2`    | 6         | `c8`    | 14        | `i8`    |
//! | 3         | `i4`    | 9         | `c16`   | 15        | `u8`    |
//! | 4         | `f4`    | 12        | `u2`    |           |         |
//!
//! The elements lie beside the header `x.hdr`, in `x` (which may be `x.dat`, where the header is `x.dat.hdr`) or, where
//! there is no such file, in the first of `x.img`, `x.dat` and so on ([`ENDINGS`]), in small letters or capitals.
//! Whatever the interleave, the shape is `(lines, samples, bands)`: see `format/raster.rs`. All other keys are attributes:
//! `wavelength`, `band names`, `map info`, `data ignore value`, scale factors, gains and offsets.
//!
//! Limits, and why:
//!
//! - `file compression` other than 0: the data are compressed, and elements have no address.
//! - Of the values of `file type` only those of [`TYPES`]: others speak of files of another kind.
//! - `major frame offsets` and `minor frame offsets` other than 0 are refused, as spectral does.
//! - Headers of at most [`MAX_HEADER`] bytes; long texts, and lists for which there is no room, are left out.

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::lines::Lines;
use crate::format::raster::{self, Interleave, Raster};
use crate::format::{Array, Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 4 << 20;

/// What the names of data files end in, in this order.
pub const ENDINGS: [&str; 10] = ["", ".img", ".dat", ".sli", ".hyspex", ".raw", ".bin", ".bsq", ".bil", ".bip"];

/// Values of `file type` of which elements are plainly stored.
pub const TYPES: [&str; 5] =
    ["envi standard", "envi classification", "envi spectral library", "envi fft result", "envi"];

/// Room for attributes: lists have as many elements as there are bands.
const ROOM: usize = 2 * MAX_ATTRIBUTES;

/// What the description of the array says already.
const LAYOUT: [&str; 7] = ["lines", "samples", "bands", "data type", "byte order", "interleave", "header offset"];

/// Values that are texts, though they stand in braces.
const TEXTS: [&str; 2] = ["description", "coordinate system string"];

/// ENVI's format.
#[derive(Clone, Copy, Debug)]
pub struct Envi;

impl Format for Envi {
    fn name(&self) -> &'static str {
        "envi"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".hdr"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        line.trim_ascii_end() == b"ENVI" && line.len() < head.len()
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let header = Header::read(&mut Lines::new(file, "ENVI", MAX_HEADER))?;
        header.check()?;
        let raster = Raster {
            dtype: header.dtype()?,
            rows: header.number("lines")?,
            columns: header.number("samples")?,
            bands: header.number("bands")?,
            offset: header.find("header offset").map_or(Ok(0), |_| header.number("header offset"))?,
            interleave: header.interleave()?,
            band_row: None,
            row: None,
            gap: 0,
        };
        let data = raster::data_file(file_name, &ENDINGS, siblings)?;
        let array = raster.array(self.name(), "ENVI", data)?;
        Ok(Content::One(Array { attributes: header.attributes().into_map(), ..array }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or has to be corrected by hand or saved again"))
}

/// The keys, in small letters, and their values, in the order of the file.
struct Header(Vec<(String, String)>);

impl Header {
    fn read(lines: &mut Lines<'_>) -> Result<Header, Refusal> {
        if lines.next()?.as_deref() != Some("ENVI") {
            return Err(Refusal(
                "its first line is not ENVI: it is a file of another kind, or damaged; rename it or save it again"
                    .into(),
            ));
        }
        let mut fields = Vec::new();
        while let Some(line) = lines.next()? {
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(';')) else { continue };
            let (key, mut value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
            while value.starts_with('{') && !value.ends_with('}') {
                let line = lines
                    .next()?
                    .ok_or_else(|| fault(&format!("its ENVI header ends within the braces of {}", excerpt(&key))))?;
                if !line.starts_with(';') {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            }
            fields.push((key, value));
        }
        Ok(Header(fields))
    }

    /// The value of a key; the last one where it stands there several times.
    fn find(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == key).map(|(_, value)| &**value)
    }

    fn get(&self, key: &str) -> Result<&str, Refusal> {
        self.find(key).ok_or_else(|| fault(&format!("its ENVI header lacks the key {key}")))
    }

    fn number(&self, key: &str) -> Result<u64, Refusal> {
        let value = self.get(key)?;
        value.parse().map_err(|_| fault(&format!("its ENVI header gives {key} = {}, not a count", excerpt(value))))
    }

    /// Sees to it that elements are stored as they are.
    fn check(&self) -> Result<(), Refusal> {
        if let Some(way) = self.find("file compression").filter(|way| *way != "0") {
            return Err(Refusal(format!(
                "its elements are compressed (file compression = {}), so that none has a place of its own; save it again \
                 as ENVI Standard, uncompressed",
                excerpt(way)
            )));
        }
        if let Some(other) = self.find("file type").filter(|of| !TYPES.contains(&&*of.to_ascii_lowercase())) {
            return Err(Refusal(format!(
                "its ENVI header gives file type = {}, which is no plain array; save it again as ENVI Standard, or correct \
                 the header",
                excerpt(other)
            )));
        }
        let is_zero = |value: &&str| value.chars().all(|c| matches!(c, '0' | '{' | '}' | ',' | ' '));
        for key in ["major frame offsets", "minor frame offsets"] {
            if let Some(other) = self.find(key).filter(|value| !is_zero(value)) {
                return Err(Refusal(format!(
                    "its ENVI header gives {key} = {}, and pictures with such gaps are not served; save it again without",
                    excerpt(other)
                )));
            }
        }
        Ok(())
    }

    fn dtype(&self) -> Result<DType, Refusal> {
        let (kind, itemsize) = match self.get("data type")? {
            "1" => (Kind::Uint, 1),
            "2" => (Kind::Int, 2),
            "3" => (Kind::Int, 4),
            "4" => (Kind::Float, 4),
            "5" => (Kind::Float, 8),
            "6" => (Kind::Complex, 8),
            "9" => (Kind::Complex, 16),
            "12" => (Kind::Uint, 2),
            "13" => (Kind::Uint, 4),
            "14" => (Kind::Int, 8),
            "15" => (Kind::Uint, 8),
            other => {
                return Err(fault(&format!(
                    "its ENVI header gives data type = {}, which ENVI does not know",
                    excerpt(other)
                )));
            }
        };
        let order = match self.find("byte order") {
            _ if itemsize == 1 => ByteOrder::None,
            Some("0") => ByteOrder::Little,
            Some("1") => ByteOrder::Big,
            Some(other) => return Err(fault(&format!("its ENVI header gives byte order = {}", excerpt(other)))),
            None => return Err(fault("its ENVI header lacks the key byte order, and elements have several bytes")),
        };
        Ok(header::scalar(kind, order, itemsize))
    }

    fn interleave(&self) -> Result<Interleave, Refusal> {
        let name = self.get("interleave")?;
        Interleave::parse(name)
            .ok_or_else(|| fault(&format!("its ENVI header gives interleave = {}, not bsq, bil or bip", excerpt(name))))
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new(ROOM);
        for (key, value) in self.0.iter().filter(|(key, _)| !LAYOUT.contains(&&**key)) {
            let is_list = value.starts_with('{') && !TEXTS.contains(&&**key);
            if is_list {
                raster::keep(&mut attributes, key, value);
            } else if value.len() as u64 <= MAX_TEXT {
                raster::keep(&mut attributes, key, value.trim_matches(['{', '}']).trim());
            }
        }
        attributes
    }
}
