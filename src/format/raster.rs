//! What ENVI and EHdr have in common: a picture of bands, in a file beside a header of text.
//!
//! The elements lie in one of three orders, the slowest axis first:
//!
//! | interleave | order              | gaps that there may be                                |
//! |------------|--------------------|-------------------------------------------------------|
//! | `bsq`      | band, row, column  | behind each band                                      |
//! | `bil`      | row, band, column  | behind the row of each band, and behind that of all   |
//! | `bip`      | row, column, band  | behind each row                                       |
//!
//! Whatever the order, the array has the shape `(rows, columns, bands)`, as the library spectral gives it, and strides.

use serde_json::Value;

use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::beside::{self, Listed};
use crate::format::header::{self, Attributes};
use crate::format::{Array, Refusal};
use crate::grid::Grid;
use crate::layout::Layout;
use crate::source::Siblings;

#[cfg(test)]
pub(in crate::format) mod tests;

/// The order of the axes in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interleave {
    /// Band after band.
    Bsq,
    /// In each row band after band.
    Bil,
    /// In each place band after band.
    Bip,
}

impl Interleave {
    /// The one of this name, in capitals or not.
    pub(super) fn parse(name: &str) -> Option<Interleave> {
        match &*name.to_ascii_lowercase() {
            "bsq" => Some(Interleave::Bsq),
            "bil" => Some(Interleave::Bil),
            "bip" => Some(Interleave::Bip),
            _ => None,
        }
    }
}

/// Where the elements lie in their file.
#[derive(Debug)]
pub(super) struct Raster {
    pub(super) dtype: DType,
    pub(super) rows: u64,
    pub(super) columns: u64,
    pub(super) bands: u64,
    /// First byte of the first element.
    pub(super) offset: u64,
    pub(super) interleave: Interleave,
    /// Bytes of a row of one band (BIL), if they are not those of its elements.
    pub(super) band_row: Option<u64>,
    /// Bytes of a row of all bands (BIL, BIP), if they are not those of its parts.
    pub(super) row: Option<u64>,
    /// Bytes between two bands (BSQ).
    pub(super) gap: u64,
}

impl Raster {
    /// The array in this file. `what` names the format for people.
    pub(super) fn array(self, format: &'static str, what: &str, data: Data) -> Result<Array, Refusal> {
        let strides = self.strides().ok_or_else(|| {
            Refusal(format!(
                "its {what} header claims rows or bands that overlap, or are larger than any file can be; it is damaged: \
                 correct or save it again"
            ))
        })?;
        let Raster { dtype, rows, columns, bands, offset, .. } = self;
        let layout = Layout { offset, shape: vec![rows, columns, bands], strides, itemsize: dtype.itemsize() };
        layout.check().map_err(|error| {
            Refusal(format!("its {what} header claims an array that cannot be: {error}; correct or save it again"))
        })?;
        beside::complete(&data.name, layout.extent().end, data.held)?;
        Ok(Array {
            dims: ["row", "column", "band"].map(str::to_owned).to_vec(),
            files: Listed::files(vec![data.name]),
            ..Array::new(format, dtype, Grid::one(layout))
        })
    }

    /// Bytes from row to row, from column to column, from band to band; nothing where the parts overlap.
    fn strides(&self) -> Option<Vec<i64>> {
        let (size, gap) = (self.dtype.itemsize(), self.gap);
        let line = self.columns.checked_mul(size)?;
        let at_least = |claimed: Option<u64>, needed: u64| {
            claimed.map_or(Some(needed), |claimed| (claimed >= needed).then_some(claimed))
        };
        let strides = match self.interleave {
            Interleave::Bsq => [line, size, self.rows.checked_mul(line)?.checked_add(gap)?],
            Interleave::Bil => {
                let band = at_least(self.band_row, line)?;
                [at_least(self.row, self.bands.checked_mul(band)?)?, size, band]
            }
            Interleave::Bip => {
                [at_least(self.row, self.bands.checked_mul(line)?)?, self.bands.checked_mul(size)?, size]
            }
        };
        strides.into_iter().map(|stride| i64::try_from(stride).ok()).collect()
    }
}

/// A file with elements.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) name: String,
    /// Its length in bytes.
    pub(super) held: u64,
}

/// The first file that there is of those with the name of the header and one of these endings in place of its own, or of
/// those in capitals.
pub(super) fn data_file(file_name: &str, endings: &[&str], siblings: &dyn Siblings) -> Result<Data, Refusal> {
    let stem = beside::partner(file_name, "", "")
        .ok_or_else(|| Refusal("its name has no extension, so that its elements cannot be found; rename it".into()))?;
    let names = endings.iter().flat_map(|end| [format!("{stem}{end}"), format!("{stem}{}", end.to_ascii_uppercase())]);
    beside::first(siblings, names)?.map(|(name, held)| Data { name, held }).ok_or_else(|| {
        let endings: Vec<&str> = endings.iter().copied().filter(|end| !end.is_empty()).collect();
        let (name, endings) = (excerpt(&stem), endings.join(", "));
        Refusal(format!(
            "its elements lie in a file beside it, which is called {name}, perhaps with one of {endings} behind it, and \
             there is none; copy both"
        ))
    })
}

/// A word of a header as an attribute: a number where it is one.
pub(super) fn value(word: &str) -> Value {
    let number = || word.parse().ok().map(header::float);
    word.parse::<i64>().ok().map(Value::from).or_else(number).unwrap_or_else(|| word.into())
}

/// Keeps a text, or the list `{a, b, c}`, as an attribute.
pub(super) fn keep(attributes: &mut Attributes, name: &str, text: &str) {
    let list = text.strip_prefix('{').map(|list| list.strip_suffix('}').unwrap_or(list));
    let kept = match list {
        None => value(text),
        Some(list) if list.trim().is_empty() => Value::Array(Vec::new()),
        Some(list) => {
            let values: Vec<Value> = list.split(',').map(|item| value(item.trim())).collect();
            let all_numbers = values.iter().all(Value::is_number);
            if all_numbers { values.into() } else { list.split(',').map(str::trim).collect::<Vec<&str>>().into() }
        }
    };
    attributes.insert(name, kept);
}
