//! NetCDF classic (`.nc`): named variables with named dimensions and attributes, one dimension of which may grow.
//!
//! Specification: "The NetCDF Classic Format Specification" in the documentation of netCDF-C. Everything is big-endian,
//! and lists, names and attributes are padded to a multiple of 4 bytes. There are three versions, called CDF-1
//! (classic), CDF-2 (64-bit offset) and CDF-5 (64-bit data). In the table a *count* takes 4 bytes, 8 in CDF-5.
//!
//! | bytes            | what                                                                       |
//! |------------------|----------------------------------------------------------------------------|
//! | 4                | the magic `CDF` and the version: 1, 2 or 5                                 |
//! | a count          | number of records; all ones: as many as the file holds (it was streamed)   |
//! | list, tag 10     | dimensions: name and length (a count); that of length 0 counts the records |
//! | list, tag 12     | attributes of the file: name, type (4), count and values                   |
//! | list, tag 11     | variables: name; count and numbers (counts) of dimensions; attributes as above; |
//! |                  | type (4); size (a count); first byte (4, in CDF-2 and 5: 8)                |
//! | rest             | the variables without records; then the records, one behind the other      |
//!
//! A list is its tag (4), a count and the entries; one without entries may have the tag 0. A name is a count and UTF-8.
//!
//! | type | element              | type | element                |
//! |------|----------------------|------|------------------------|
//! | 1    | byte, `\|i1`         | 7    | ubyte, `\|u1` (CDF-5)  |
//! | 2    | char, `\|S1`         | 8    | ushort, `>u2` (CDF-5)  |
//! | 3    | short, `>i2`         | 9    | uint, `>u4` (CDF-5)    |
//! | 4    | int, `>i4`           | 10   | int64, `>i8` (CDF-5)   |
//! | 5    | float, `>f4`         | 11   | uint64, `>u8` (CDF-5)  |
//! | 6    | double, `>f8`        |      |                        |
//!
//! A variable whose first dimension counts the records has one part in each record. The parts of a record stand in a
//! row, each padded to 4 bytes, so that the variable is strided by the record's size; where there is one such variable
//! only, it is not padded. The size that the header gives for a variable is computed anew: that of a large one does
//! not fit.
//!
//! Limits, and why:
//!
//! - A header of at most [`MAX_HEADER`] bytes, as many dimensions of a variable as netCDF-C allows ([`MAX_DIMS`]).
//! - The elements must all be there, the padding behind the last one need not: netCDF reads files without it.
//! - Short attributes are kept (see the limits in `header`), long ones left out.
//! - A file with the same extension may be HDF5 inside (netCDF-4): that is another format.

use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, MAX_NDIM, Order, packed_strides};
use crate::source::{ReadAt, Siblings};

mod read;
#[cfg(test)]
mod tests;

use read::{Header, Variable};

/// The longest header that is read, in bytes.
pub const MAX_HEADER: u64 = 64 << 20;

/// The most dimensions of a variable.
pub const MAX_DIMS: u64 = 1024;

/// The NetCDF classic format.
#[derive(Clone, Copy, Debug)]
pub struct NetCdf3;

impl Format for NetCdf3 {
    fn name(&self) -> &'static str {
        "netcdf3"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".nc", ".cdf", ".nc3", ".mnc"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        matches!(head, [b'C', b'D', b'F', 1 | 2 | 5, ..])
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let header = read::header(file)?;
        let records = Records::new(&header, file.len())?;
        let members = header.variables.iter().map(|variable| {
            let found = array(variable, &header, &records, file.len());
            Member { path: vec![variable.name.clone()], found }
        });
        let members: Vec<Member> = members.collect();
        header::distinct(&members, "NetCDF")?;
        if members.is_empty() {
            return Err(Refusal(
                "it holds no variable, only dimensions or attributes; there is nothing to show".into(),
            ));
        }
        Ok(Content::Many(Container { members, attributes: header.attributes }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: copy or save it again"))
}

/// An element type of NetCDF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Type {
    id: u32,
    kind: Kind,
    itemsize: u64,
}

impl Type {
    /// The type of this number, in a file of this version.
    fn of(id: u32, version: u8) -> Option<Type> {
        let (kind, itemsize) = match id {
            1 => (Kind::Int, 1),
            2 => (Kind::Bytes, 1),
            3 => (Kind::Int, 2),
            4 => (Kind::Int, 4),
            5 => (Kind::Float, 4),
            6 => (Kind::Float, 8),
            7 => (Kind::Uint, 1),
            8 => (Kind::Uint, 2),
            9 => (Kind::Uint, 4),
            10 => (Kind::Int, 8),
            11 => (Kind::Uint, 8),
            _ => return None,
        };
        (id <= 6 || version == 5).then_some(Type { id, kind, itemsize })
    }

    fn dtype(self) -> DType {
        header::scalar(self.kind, ByteOrder::Big, self.itemsize)
    }
}

/// How the records lie in the file.
#[derive(Debug)]
struct Records {
    count: u64,
    /// Bytes from one to the next.
    size: u64,
}

impl Records {
    fn new(header: &Header, held: u64) -> Result<Records, Refusal> {
        let parts = || header.variables.iter().filter(|variable| variable.has_records(header));
        let size = match (parts().next(), parts().nth(1)) {
            // A single one is packed.
            (Some(only), None) => only.bytes,
            _ => parts()
                .try_fold(0_u64, |size, part| size.checked_add(part.bytes.checked_next_multiple_of(4)?))
                .filter(|&size| size <= i64::MAX as u64)
                .ok_or_else(|| fault("its NetCDF header claims records that are larger than any file can be"))?,
        };
        let count = header.records.unwrap_or_else(|| {
            // Complete is a record whose last element is there for every variable.
            let complete = |part: &Variable| match held.checked_sub(part.begin.saturating_add(part.bytes)) {
                Some(behind) => behind.checked_div(size).map_or(0, |more| more + 1),
                None => 0,
            };
            parts().map(complete).min().unwrap_or(0)
        });
        Ok(Records { count, size })
    }
}

/// A variable as an array, in a file of `held` bytes.
fn array(variable: &Variable, header: &Header, records: &Records, held: u64) -> Result<Array, Refusal> {
    let ndim = variable.dimensions.len();
    if ndim > MAX_NDIM {
        return Err(Refusal(format!(
            "it has {ndim} dimensions, and neither NumPy nor afbfs has more than {MAX_NDIM}; reshape it and save it \
             again"
        )));
    }
    let dimensions = || variable.dimensions.iter().map(|&number| &header.dimensions[number as usize]);
    let has_records = variable.has_records(header);
    if dimensions().skip(1).any(|dimension| dimension.length == 0) {
        return Err(fault("the dimension that counts the records is not its first, as NetCDF demands"));
    }
    let mut shape: Vec<u64> = dimensions().map(|dimension| dimension.length).collect();
    let cannot_be = |error| fault(&format!("the NetCDF header claims a variable that cannot be: {error}"));
    let dtype = variable.of.dtype();
    // The strides do not depend on the length of the first axis, so it need not be known yet.
    let mut strides = packed_strides(&shape, variable.of.itemsize, Order::C).map_err(cannot_be)?;
    if has_records {
        shape[0] = records.count;
        strides[0] = records.size as i64;
    }
    let layout = Layout { offset: variable.begin, shape, strides, itemsize: variable.of.itemsize };
    layout.check().map_err(cannot_be)?;
    let extent = layout.extent();
    if !extent.is_empty() && extent.start < header.end {
        return Err(fault(&format!("it would begin at byte {}, within the NetCDF header", extent.start)));
    }
    header::complete(&layout, held)?;
    Ok(Array {
        dims: dimensions().map(|dimension| dimension.name.clone()).collect(),
        fill: variable.fill.clone(),
        attributes: variable.attributes.clone(),
        ..Array::new(NetCdf3.name(), dtype, Grid::one(layout))
    })
}
