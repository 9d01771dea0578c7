//! EHdr (`.hdr` beside a `.bil`, `.bip`, `.bsq` or `.flt`), rasters of ESRI and others.
//!
//! Specification: "BIL, BIP, and BSQ raster files" in the help of ArcGIS; what it leaves open, as GDAL reads it. The header
//! is text, a key and its value on each line, in capitals or not:
//!
//! | key                | what                                                  | where it is missing       |
//! |--------------------|-------------------------------------------------------|---------------------------|
//! | `NROWS`, `NCOLS`   | rows and columns                                      | refused                   |
//! | `NBANDS`           | bands                                                 | 1                         |
//! | `NBITS`            | bits of an element: 8, 16 or 32                       | 8                         |
//! | `PIXELTYPE`        | `SIGNEDINT`, `UNSIGNEDINT` or `FLOAT`                 | unsigned, or see below    |
//! | `BYTEORDER`        | `I` (Intel, `LSBFIRST`) or `M` (Motorola, `MSBFIRST`) | refused, where it matters |
//! | `LAYOUT`           | `BIL`, `BIP` or `BSQ`                                 | `BIL`                     |
//! | `SKIPBYTES`        | bytes before the first element                        | 0                         |
//! | `BANDROWBYTES`     | of BIL: bytes of a row of one band                    | those of its elements     |
//! | `TOTALROWBYTES`    | of BIL and BIP: bytes of a row of all bands           | those of its parts        |
//! | `BANDGAPBYTES`     | of BSQ: bytes between two bands                       | 0                         |
//!
//! Without `PIXELTYPE`, elements of 16 or 32 bits are signed where `NODATA` is negative; those of a `.flt` are floats of 32
//! bits. All other keys (`ULXMAP`, `XDIM`, `NODATA`, ...) are attributes.
//!
//! The elements lie in the first file that there is with the header's name and one of [`ENDINGS`], in small letters or
//! capitals. Whatever the layout, the shape is `(rows, columns, bands)`: see `format/raster.rs`.
//!
//! Limits, and why:
//!
//! - Elements of 1 or 4 bits have no address.
//! - Headers of at most [`MAX_HEADER`] bytes.

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES};
use crate::format::lines::Lines;
use crate::format::raster::{self, Interleave, Raster};
use crate::format::{Array, Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 64 << 10;

/// What the names of data files end in, in this order.
pub const ENDINGS: [&str; 8] = [".bil", ".bip", ".bsq", ".flt", ".dem", ".img", ".bin", ".raw"];

/// The keys that decide where elements lie, and what they are.
const LAYOUT: [&str; 11] = [
    "NROWS",
    "NCOLS",
    "NBANDS",
    "NBITS",
    "PIXELTYPE",
    "BYTEORDER",
    "LAYOUT",
    "SKIPBYTES",
    "BANDROWBYTES",
    "TOTALROWBYTES",
    "BANDGAPBYTES",
];

/// ESRI's format.
#[derive(Clone, Copy, Debug)]
pub struct Ehdr;

impl Format for Ehdr {
    fn name(&self) -> &'static str {
        "ehdr"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".hdr"]
    }

    /// Lines that begin with words, `NROWS` and `NCOLS` among them. In a grid as text there are numbers, too.
    fn knows(&self, head: &[u8]) -> bool {
        if !head.is_ascii() {
            return false;
        }
        let lines = head.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
        let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
        let has = |key: &[u8]| lines.iter().any(|line| first_word(line).eq_ignore_ascii_case(key));
        lines.iter().all(|line| line[0].is_ascii_alphabetic()) && has(b"NROWS") && has(b"NCOLS")
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let header = Header::read(&mut Lines::new(file, "EHdr", MAX_HEADER))?;
        let layout = header.find("LAYOUT").unwrap_or("BIL");
        let interleave = Interleave::parse(layout)
            .ok_or_else(|| fault(&format!("its header gives the LAYOUT {}, not BIL, BIP or BSQ", excerpt(layout))))?;
        let data = raster::data_file(file_name, &ENDINGS, siblings)?;
        let number = |key: &str| header.find(key).map(|_| header.number(key)).transpose();
        let raster = Raster {
            dtype: header.dtype(data.name.to_ascii_lowercase().ends_with(".flt"))?,
            rows: header.number("NROWS")?,
            columns: header.number("NCOLS")?,
            bands: number("NBANDS")?.unwrap_or(1),
            offset: number("SKIPBYTES")?.unwrap_or(0),
            interleave,
            band_row: number("BANDROWBYTES")?,
            row: number("TOTALROWBYTES")?,
            gap: number("BANDGAPBYTES")?.unwrap_or(0),
        };
        let array = raster.array(self.name(), "EHdr", data)?;
        Ok(Content::One(Array { attributes: header.attributes().into_map(), ..array }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or has to be corrected by hand or saved again"))
}

fn first_word(line: &[u8]) -> &[u8] {
    line.split(u8::is_ascii_whitespace).next().unwrap_or_default()
}

/// The keys, in capitals, and their values, in the order of the file.
struct Header(Vec<(String, String)>);

impl Header {
    fn read(lines: &mut Lines<'_>) -> Result<Header, Refusal> {
        let mut fields = Vec::new();
        while let Some(line) = lines.next()? {
            if let Some((key, value)) = line.trim().split_once(|c: char| c.is_ascii_whitespace()) {
                fields.push((key.to_ascii_uppercase(), value.trim().to_owned()));
            }
        }
        Ok(Header(fields))
    }

    /// The value of a key; the last one where it stands there several times.
    fn find(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == key).map(|(_, value)| &**value)
    }

    fn number(&self, key: &str) -> Result<u64, Refusal> {
        let value = self.find(key).ok_or_else(|| fault(&format!("its EHdr header lacks the key {key}")))?;
        value.parse().map_err(|_| fault(&format!("its EHdr header gives {key} {}, not a count", excerpt(value))))
    }

    /// The type of the elements; `is_float` where the data file's name says that they are floats.
    fn dtype(&self, is_float: bool) -> Result<DType, Refusal> {
        let bits = self.find("NBITS").map(|_| self.number("NBITS")).transpose()?;
        let bits = bits.unwrap_or(if is_float { 32 } else { 8 });
        let missing = || ["NODATA", "NODATA_VALUE"].iter().find_map(|key| self.find(key)?.parse::<f64>().ok());
        let kind = match self.find("PIXELTYPE").map(str::to_ascii_uppercase).as_deref() {
            Some("SIGNEDINT") => Kind::Int,
            Some("UNSIGNEDINT") => Kind::Uint,
            Some("FLOAT") => Kind::Float,
            Some(other) => return Err(fault(&format!("its EHdr header gives the PIXELTYPE {}", excerpt(other)))),
            None if is_float => Kind::Float,
            None if bits > 8 && missing().is_some_and(|number| number < 0.0) => Kind::Int,
            None => Kind::Uint,
        };
        if matches!(bits, 1..8) {
            return Err(Refusal(format!(
                "its elements are of {bits} bits (NBITS), so that none has an address; give each a byte: gdal_translate -of \
                 EHdr -co NBITS=8 IN OUT"
            )));
        }
        if !matches!((kind, bits), (Kind::Float, 32) | (Kind::Int | Kind::Uint, 8 | 16 | 32)) {
            return Err(fault(&format!(
                "its EHdr header gives elements of {bits} bits, and there are none of its PIXELTYPE"
            )));
        }
        let order = match self.find("BYTEORDER").map(str::to_ascii_uppercase).as_deref() {
            _ if bits == 8 => ByteOrder::None,
            Some("I" | "LSBFIRST") => ByteOrder::Little,
            Some("M" | "MSBFIRST") => ByteOrder::Big,
            Some(other) => return Err(fault(&format!("its EHdr header gives the BYTEORDER {}", excerpt(other)))),
            None => {
                return Err(Refusal(
                    "its EHdr header lacks the key BYTEORDER, and elements have several bytes; add a line BYTEORDER I \
                     (little-endian) or BYTEORDER M"
                        .into(),
                ));
            }
        };
        Ok(header::scalar(kind, order, bits / 8))
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        for (key, value) in self.0.iter().filter(|(key, _)| !LAYOUT.contains(&&**key)) {
            attributes.insert(key, raster::value(value));
        }
        attributes
    }
}
