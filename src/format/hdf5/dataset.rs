//! Data sets: from an object header to an array, or to why there is none.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::chunks::{self, Chunk, Geometry};
use super::datatype::{Class, Datatype, Served};
use super::file::{Cursor, File};
use super::header::Header;
use super::storage::{self, Chunked, Filter, Layout, Space};
use super::table::Table;
use super::value::Reader;
use super::{NAME, damaged, kind};
use crate::format::{Array, Refusal};
use crate::grid::Grid;
use crate::layout::{self, Order};

/// So many names of an enumeration are shown.
const MAX_NAMES: usize = 1024;

/// Whether an object of this header is a data set.
pub(super) fn is_dataset(header: &Header) -> bool {
    header.find(kind::LAYOUT).is_some() && header.find(kind::DATATYPE).is_some()
}

/// What the messages of a data set say.
struct Described {
    datatype: Datatype,
    space: Space,
    served: Served,
    layout: Layout,
    filters: Vec<Filter>,
    fill: Vec<u8>,
}

/// Reads the messages, and refuses what no array can be of.
fn described(file: &File<'_>, header: &Header) -> Result<Described, Refusal> {
    let need = |kind, what| {
        let body = header.body(file, kind)?;
        body.ok_or_else(|| damaged(&format!("a data set has no {what}")))
    };
    let datatype = Datatype::parse(&need(kind::DATATYPE, "datatype")?)?;
    let space = Space::parse(file, &need(kind::DATASPACE, "dataspace")?)?;
    let served = datatype.served()?;
    if space.null {
        return Err(Refusal(
            "it holds no element and has no shape (a null dataspace): there is nothing to show".into(),
        ));
    }
    if header.find(kind::EXTERNAL_FILES).is_some() {
        return Err(Refusal(
            "its elements lie in other files (external storage); describe these with --array, or copy it with h5repack"
                .into(),
        ));
    }
    let message = header.find(kind::LAYOUT).ok_or_else(|| damaged("a data set has no layout"))?;
    let layout = Layout::parse(file, message)?;
    let filters = header.body(file, kind::FILTERS)?.map_or(Ok(Vec::new()), |body| storage::filters(&body))?;
    let new = header.body(file, kind::FILL)?;
    let old = header.body(file, kind::OLD_FILL)?;
    let fill = storage::fill(new.as_deref(), old.as_deref())?;
    Ok(Described { datatype, space, served, layout, filters, fill })
}

/// The array that a data set is. `found` counts the chunks of all the arrays of the file.
pub(super) fn array(file: &File<'_>, header: &Header, found: &mut usize) -> Result<Array, Refusal> {
    let described = described(file, header)?;
    let is_chunked = matches!(described.layout, Layout::Chunked(_));
    if is_chunked && !described.filters.is_empty() {
        let names: Vec<String> = described.filters.iter().map(Filter::known_as).collect();
        return Err(Refusal(format!(
            "it is {} with {}, so its elements do not lie in the file as they are: `afbfs unpack` writes a plain copy",
            if described.filters.iter().any(Filter::compresses) { "compressed" } else { "stored" },
            names.join(", ")
        )));
    }
    let (grid, fill) = grid(file, &described, found)?;
    let Described { datatype, served, layout, .. } = described;
    let mut array = Array { element: served.element, fill, ..Array::new(NAME, served.dtype, grid) };
    if header.checked && matches!(layout, Layout::Compact { .. }) {
        array.read_only = Some(
            "its elements lie in an object header, which has a checksum; copy it with h5repack -l CONTI to write to it"
                .into(),
        );
    }
    if let Some(names) = enumeration(&datatype) {
        array.attributes.insert("enum".into(), names);
    }
    Ok(array)
}

/// Where the elements lie, and what stands where none were written.
fn grid(file: &File<'_>, described: &Described, found: &mut usize) -> Result<(Grid, Vec<u8>), Refusal> {
    let Described { space, served, layout, datatype, .. } = described;
    let itemsize = served.dtype.itemsize();
    let shape = [&space.shape[..], &served.shape].concat();
    let cannot_be = |error| Refusal(format!("its shape cannot be: {error}; the file is damaged"));
    let packed = |offset| layout::Layout::packed(offset, &shape, itemsize, Order::C).map_err(cannot_be);
    let whole = packed(0)?;
    let bytes = whole.extent().end;
    let fill = || fill(&described.fill, datatype.size, itemsize);
    let chunked =
        |chunk: &[u64], table| Grid::chunked(&shape, chunk, itemsize, Order::C, Arc::new(table)).map_err(cannot_be);
    match layout {
        // Nothing to place.
        _ if bytes == 0 => Ok((Grid::one(whole), Vec::new())),
        Layout::Compact { address, size } => {
            if *size < bytes {
                return Err(damaged(&format!("its header holds {size} of the {bytes} bytes of its elements")));
            }
            let start = file.place(*address, bytes).ok_or_else(|| truncated(*address, bytes))?;
            Ok((Grid::one(packed(start)?), Vec::new()))
        }
        Layout::Contiguous { address: Some(address) } => {
            let start = file.place(*address, bytes).ok_or_else(|| truncated(*address, bytes))?;
            Ok((Grid::one(packed(start)?), Vec::new()))
        }
        Layout::Contiguous { address: None } => Ok((chunked(&shape, Table::empty())?, fill()?)),
        Layout::Chunked(layout) => {
            if layout.itemsize != datatype.size {
                return Err(damaged("its chunks have elements of another size than its type"));
            }
            let geometry = Geometry::new(space, layout)?;
            let table = Table::read(file, layout, &geometry, found)?;
            let chunk = [&layout.shape[..], &served.shape].concat();
            Ok((chunked(&chunk, table)?, fill()?))
        }
        Layout::Virtual => Err(Refusal(
            "it is a virtual data set, whose elements lie in other data sets, perhaps of other files; open those, or \
             copy it with h5repack"
                .into(),
        )),
    }
}

fn truncated(address: u64, bytes: u64) -> Refusal {
    Refusal(format!(
        "its {bytes} bytes at address {address} lie beyond the end of the file: it was truncated, or is still being \
         written; copy it again"
    ))
}

/// The fill value of an array whose elements are of `itemsize` bytes, `size` of the type in the file.
fn fill(fill: &[u8], size: u64, itemsize: u64) -> Result<Vec<u8>, Refusal> {
    if fill.is_empty() || fill.iter().all(|&byte| byte == 0) {
        return Ok(Vec::new());
    }
    if fill.len() as u64 != size {
        return Err(damaged("its fill value is of another size than its elements"));
    }
    // An array type has many elements in one; they must be filled alike.
    let mut elements = fill.chunks_exact(itemsize as usize);
    let first = elements.next().unwrap_or_default();
    if elements.any(|element| element != first) {
        return Err(Refusal("its fill value is an array of unlike elements; write all of its elements".into()));
    }
    Ok(first.to_vec())
}

/// Names and values of an enumeration that is served as integers.
fn enumeration(datatype: &Datatype) -> Option<Value> {
    let Class::Enum { base, names } = &datatype.class else { return None };
    if datatype.is_bool() {
        return None;
    }
    let mut reader = Reader::alone();
    let values = names
        .iter()
        .take(MAX_NAMES)
        .filter_map(|(name, value)| Some((name.clone(), reader.one(base, &mut Cursor::new(value, "enumeration"))?)));
    Some(Value::Object(values.collect::<Map<_, _>>()))
}

/// A data set whose chunks went through filters: what is needed to undo them.
#[derive(Debug)]
pub struct Filtered {
    /// The array as it would be, except that no chunk has a place.
    pub array: Array,
    /// Shape of a chunk, with the axes that an element adds.
    pub chunk: Vec<u64>,
    /// The filters, in the order in which they were applied.
    pub filters: Vec<Filter>,
    /// The chunks that are stored.
    pub chunks: Vec<Chunk>,
}

/// The filtered data set of this header.
pub(super) fn filtered(file: &File<'_>, header: &Header) -> Result<Filtered, Refusal> {
    let described = described(file, header)?;
    let Layout::Chunked(layout) = &described.layout else {
        return Err(Refusal("it is not chunked, and so not compressed".into()));
    };
    let geometry = Geometry::new(&described.space, layout)?;
    let mut found = Vec::new();
    chunks::each(file, layout, &geometry, true, &mut |chunk| {
        if found.len() >= super::MAX_CHUNKS {
            return Err(Refusal(format!("it has more than {} chunks", super::MAX_CHUNKS)));
        }
        found.push(chunk);
        Ok(())
    })?;
    let nothing = Chunked { address: None, ..layout.clone() };
    let chunk = [&layout.shape[..], &described.served.shape].concat();
    let described = Described { layout: Layout::Chunked(nothing), ..described };
    let (grid, fill) = grid(file, &described, &mut 0)?;
    let Described { served, filters, .. } = described;
    let array = Array { element: served.element, fill, ..Array::new(NAME, served.dtype, grid) };
    Ok(Filtered { array, chunk, filters, chunks: found })
}
