//! Arrow IPC files, also called Feather version 2 (`.arrow`, `.feather`, `.ipc`): columns, in one batch of rows or in
//! several.
//!
//! Specification: "Arrow Columnar Format", section "IPC File Format", and `File.fbs`, `Message.fbs` and `Schema.fbs` in
//! `apache/arrow`. Metadata are FlatBuffers (see `flat`). A file is
//!
//! | bytes    | what                                                                          |
//! |----------|-------------------------------------------------------------------------------|
//! | 8        | the magic `ARROW1` and two zeros                                              |
//! | ...      | the stream of messages, to which the footer points                            |
//! | n        | the footer: schema, and first byte, length of metadata and of body of each batch |
//! | 4        | n                                                                             |
//! | 6        | `ARROW1`                                                                      |
//!
//! A batch is 4 bytes of ones and 4 of length (older files: the length alone), its metadata, and its body. The metadata say
//! how many rows there are, and where each buffer lies in the body. A column of a primitive type has two: a bitmap of
//! which elements are not null, and the elements.
//!
//! | column                                          | served as                                         |
//! |-------------------------------------------------|---------------------------------------------------|
//! | integers, floats                                | NumPy's                                           |
//! | timestamps, durations, dates in milliseconds    | `M8[unit]`, `m8[unit]`                            |
//! | dates in days, times of day                     | `i4`, `i8`, attribute `unit`                      |
//! | decimals of 128 and 256 bits, intervals         | `\|V16` and so on, with an element name           |
//! | binaries of fixed size                          | `\|Vn`                                            |
//! | lists of fixed size of one of these             | a further axis                                    |
//! | structs                                         | a folder                                          |
//! | dictionary-encoded                              | the indices, attribute `dictionary`               |
//! | truth values (bits), texts, lists, unions, nulls | refused                                          |
//!
//! What stands in the place of a null is any number; how many there are is the attribute `null_count`.
//!
//! A column is one array if all batches but the last have equally many rows, as writers cut them; otherwise there is a
//! folder for each batch, `0` and so on, and a column is an array in each.
//!
//! Limits, and why:
//!
//! - Metadata of at most [`MAX_METADATA`] bytes in all. Of the texts that go with the schema short ones are kept.
//! - Compressed bodies have no elements in them, and are refused. So is version 1 of Feather, and the stream format,
//!   which has no footer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::dtype::ByteOrder;
use crate::format::header::{Attributes, MAX_ATTRIBUTES, MAX_ENTRIES, MAX_LIST, MAX_TEXT};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::{Grid, Pieces, Place};
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

mod columns;
mod flat;
#[cfg(test)]
mod tests;

use columns::{Column, Elements, Walk};
use flat::{Damaged, Table};

/// What every Arrow IPC file begins with; without the zeros it also ends with it.
pub const MAGIC: &[u8; 8] = b"ARROW1\0\0";

/// The most bytes of metadata that are read.
pub const MAX_METADATA: u64 = 64 << 20;

/// Bytes behind the footer.
const TAIL: u64 = 10;

/// The number of the metadata's version 5, in which unions and run-end encoded columns lost their bitmap.
const VERSION_5: i16 = 4;

/// The Arrow IPC file format.
#[derive(Clone, Copy, Debug)]
pub struct Arrow;

impl Format for Arrow {
    fn name(&self) -> &'static str {
        "arrow"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".arrow", ".feather", ".ipc"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let footer = read_footer(file)?;
        let mut room = MAX_METADATA - footer.len() as u64;
        let footer = Table::root(&footer).map_err(|Damaged| damaged("footer"))?;
        let blocks = blocks(&footer).map_err(|Damaged| damaged("footer"))?;
        let batches =
            blocks.iter().map(|block| Batch::read(file, block, &mut room)).collect::<Result<Vec<Batch>, Refusal>>()?;
        let Some(first) = batches.first() else {
            return Err(Refusal("it has no batch of rows, only a schema; there is nothing to show".into()));
        };
        let (columns, attributes) = schema(&footer, first.version).map_err(|Damaged| damaged("footer"))?;
        if (blocks.len() as u64).saturating_mul(columns.len() as u64) > MAX_ENTRIES {
            return Err(Refusal(format!(
                "it has {} batches of {} columns, more than the {MAX_ENTRIES} that are read; write it again in larger \
                 batches",
                blocks.len(),
                columns.len()
            )));
        }
        let batches: Vec<&Batch> = batches.iter().filter(|batch| batch.rows > 0).collect();
        let mut members = Vec::new();
        if is_regular(&batches) {
            for column in columns {
                let found = array(&column, &batches, file.len());
                members.push(Member { path: column.path, found });
            }
        } else {
            for (number, batch) in batches.iter().enumerate() {
                for column in &columns {
                    let path = [&[number.to_string()], &column.path[..]].concat();
                    members.push(Member { path, found: array(column, &[batch], file.len()) });
                }
            }
        }
        if members.is_empty() {
            return Err(Refusal("it has no column; there is nothing to show".into()));
        }
        Ok(Content::Many(Container { members, attributes }))
    }
}

fn damaged(what: &str) -> Refusal {
    Refusal(format!("its {what} contradicts itself: it is damaged; write or copy it again"))
}

/// The bytes of the footer.
fn read_footer(file: &dyn ReadAt) -> Result<Vec<u8>, Refusal> {
    let mut head = [0; 8];
    let count = file.read_at(&mut head, 0)?;
    if head != *MAGIC {
        return Err(Refusal(match &head[..count] {
            [b'F', b'E', b'A', b'1', ..] => {
                "it is of version 1 of Feather; read it with pyarrow.feather.read_table and write it again, \
                 uncompressed"
                    .into()
            }
            [0xff, 0xff, 0xff, 0xff, ..] => {
                "it is a stream of Arrow, which has no footer that says where its batches lie; write it again as a file \
                 (pyarrow.ipc.new_file)"
                    .into()
            }
            _ => "it does not begin with the magic bytes ARROW1: it is a file of another kind, or damaged; rename it, or \
                  write it again"
                .into(),
        }));
    }
    let truncated =
        || Refusal("it does not end with a footer and ARROW1: it was truncated; copy or write it again".into());
    let mut tail = [0; TAIL as usize];
    let start = file.len().checked_sub(TAIL).filter(|start| *start >= 8).ok_or_else(truncated)?;
    if file.read_at(&mut tail, start)? < tail.len() || tail[4..] != MAGIC[..6] {
        return Err(truncated());
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > MAX_METADATA {
        return Err(too_long(length));
    }
    let start = start.checked_sub(length).filter(|start| *start >= 8).ok_or_else(|| damaged("footer"))?;
    exact(file, start, length)?.ok_or_else(truncated)
}

fn too_long(length: u64) -> Refusal {
    Refusal(format!(
        "its metadata claim {length} bytes, more than the {MAX_METADATA} that are read: it is damaged, or has too many \
         batches; write it again in larger ones"
    ))
}

/// The `length` bytes from `start` on, which the caller has limited; nothing if the file does not hold them.
fn exact(file: &dyn ReadAt, start: u64, length: u64) -> Result<Option<Vec<u8>>, Refusal> {
    if start.checked_add(length).is_none_or(|end| end > file.len()) {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize];
    let count = file.read_at(&mut bytes, start)?;
    Ok((count == bytes.len()).then_some(bytes))
}

/// Where a batch lies.
#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    metadata: u64,
    body: u64,
}

/// Where the batches lie.
fn blocks(footer: &Table) -> Result<Vec<Block>, Damaged> {
    let unsigned = |number: i64| u64::try_from(number).map_err(|_| Damaged);
    let block = |bytes: &[u8]| {
        let metadata = unsigned(flat::i32_in(bytes, 8).into())?;
        Ok(Block { offset: unsigned(flat::i64_in(bytes, 0))?, metadata, body: unsigned(flat::i64_in(bytes, 16))? })
    };
    let structs = footer.vector(3, 24)?;
    if structs.len() as u64 / 24 > MAX_ENTRIES {
        return Err(Damaged);
    }
    structs.chunks_exact(24).map(block).collect()
}

/// The columns, and the attributes of the file as a whole. The version of the metadata is that of a batch: footers give
/// the newest that their writer knows.
fn schema(footer: &Table, version: i16) -> Result<(Vec<Column>, Map<String, Value>), Damaged> {
    let schema = footer.table(1)?.ok_or(Damaged)?;
    let order = if schema.i16(0, 0)? == 0 { ByteOrder::Little } else { ByteOrder::Big };
    let mut walk = Walk::new(order, version < VERSION_5);
    walk.fields(schema.tables(1)?, &[])?;
    let mut attributes = Attributes::new(MAX_ATTRIBUTES);
    for pair in schema.tables(2)?.take(MAX_LIST as usize) {
        let pair = pair?;
        if let (Ok(key), Ok(value)) = (pair.text(0, MAX_TEXT), pair.text(1, MAX_TEXT)) {
            attributes.insert(key, value.into());
        }
    }
    Ok((walk.columns, attributes.into_map()))
}

/// A batch of rows.
#[derive(Debug)]
struct Batch {
    /// Of the metadata.
    version: i16,
    rows: u64,
    /// First byte of the body, and its bytes.
    body: u64,
    length: u64,
    /// Nulls of each node.
    nulls: Vec<i64>,
    /// First byte, from the body's, and bytes of each buffer.
    buffers: Vec<(i64, i64)>,
    /// Numbers of the further buffers of views.
    further: Vec<i64>,
    compressed: bool,
}

impl Batch {
    /// Reads the metadata of a batch, if there is room for them.
    fn read(file: &dyn ReadAt, block: &Block, room: &mut u64) -> Result<Batch, Refusal> {
        *room = room.checked_sub(block.metadata).ok_or_else(|| too_long(block.metadata))?;
        let bytes = exact(file, block.offset, block.metadata)?.ok_or_else(|| {
            Refusal("its footer points beyond its end: it was truncated, or is damaged; copy or write it again".into())
        })?;
        // Older files have the length alone.
        let start = if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 };
        let body = block.offset.saturating_add(block.metadata);
        let metadata = bytes.get(start..).unwrap_or_default();
        Batch::parse(metadata, body, block.body).map_err(|Damaged| damaged("batch of rows"))
    }

    fn parse(metadata: &[u8], body: u64, length: u64) -> Result<Batch, Damaged> {
        /// The number of a batch of rows among the kinds of messages.
        const RECORD_BATCH: u8 = 3;
        let message = Table::root(metadata)?;
        if message.u8(1)? != RECORD_BATCH {
            return Err(Damaged);
        }
        let batch = message.table(2)?.ok_or(Damaged)?;
        let pair = |bytes: &[u8]| (flat::i64_in(bytes, 0), flat::i64_in(bytes, 8));
        Ok(Batch {
            version: message.i16(0, 0)?,
            rows: u64::try_from(batch.i64(0)?).map_err(|_| Damaged)?,
            body,
            length,
            nulls: batch.vector(1, 16)?.chunks_exact(16).map(|bytes| pair(bytes).1).collect(),
            buffers: batch.vector(2, 16)?.chunks_exact(16).map(pair).collect(),
            further: batch.vector(4, 8)?.chunks_exact(8).map(|bytes| flat::i64_in(bytes, 0)).collect(),
            compressed: batch.table(3)?.is_some(),
        })
    }

    /// The first byte of elements that take `bytes` bytes, in a file of `held` bytes.
    fn place(&self, elements: &Elements, bytes: u64, held: u64) -> Result<u64, Refusal> {
        if self.compressed {
            return Err(Refusal(
                "it is compressed; write the file again without, for example with pyarrow.feather.write_feather(table, \
                 name, compression='uncompressed')"
                    .into(),
            ));
        }
        let missing = || damaged("batch of rows");
        let further: i64 = self.further.iter().take(elements.views).fold(0, |sum, &count| sum.saturating_add(count));
        let number = elements.buffer.checked_add(usize::try_from(further).map_err(|_| missing())?);
        let &(offset, length) = number.and_then(|number| self.buffers.get(number)).ok_or_else(missing)?;
        let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else { return Err(missing()) };
        if bytes > length || offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(missing());
        }
        let start = self.body.checked_add(offset).ok_or_else(missing)?;
        if start.checked_add(bytes).is_none_or(|end| end > held) {
            return Err(Refusal(format!(
                "its elements lie beyond the {held} bytes of the file: it was truncated; copy or write it again"
            )));
        }
        Ok(start)
    }
}

/// Whether all batches but the last have equally many rows, and the last has no more.
fn is_regular(batches: &[&Batch]) -> bool {
    let Some((last, others)) = batches.split_last() else { return true };
    others.first().is_none_or(|first| others.iter().all(|batch| batch.rows == first.rows) && last.rows <= first.rows)
}

/// A column of these batches, all of one length but the last, as an array.
fn array(column: &Column, batches: &[&Batch], held: u64) -> Result<Array, Refusal> {
    let elements = column.found.as_ref().map_err(Refusal::clone)?;
    let cannot_be =
        |error| Refusal(format!("its metadata claim a column that cannot be: {error}; the file is damaged"));
    let itemsize = elements.dtype.itemsize();
    let shape = |rows: u64| [&[rows], &elements.inner[..]].concat();
    let mut places = Vec::with_capacity(batches.len());
    let (mut rows, mut nulls) = (0_u64, 0_i64);
    for batch in batches {
        let size = Layout::packed(0, &shape(batch.rows), itemsize, Order::C).map_err(cannot_be)?.extent().end;
        places.push(batch.place(elements, size, held)?);
        rows = rows.checked_add(batch.rows).ok_or_else(|| damaged("batch of rows"))?;
        nulls = nulls.saturating_add(batch.nulls.get(column.node).copied().unwrap_or(0));
    }
    let grid = match places[..] {
        [] | [_] => {
            let offset = places.first().copied().unwrap_or(0);
            Layout::packed(offset, &shape(rows), itemsize, Order::C).map(Grid::one)
        }
        [..] if elements.inner.contains(&0) => Layout::packed(0, &shape(rows), itemsize, Order::C).map(Grid::one),
        [..] => {
            let cell = shape(batches[0].rows);
            Grid::chunked(&shape(rows), &cell, itemsize, Order::C, Arc::new(Batches(places)))
        }
    };
    let mut attributes = Map::from_iter([("null_count".to_owned(), nulls.into())]);
    attributes.extend(elements.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let array = Array::new(Arrow.name(), elements.dtype.clone(), grid.map_err(cannot_be)?);
    Ok(Array { element: elements.element, attributes, ..array })
}

/// The places of the elements of a column, a cell for each batch.
#[derive(Debug, Hash)]
struct Batches(Vec<u64>);

impl Pieces for Batches {
    fn place(&self, cell: u64) -> Option<Place> {
        let offset = usize::try_from(cell).ok().and_then(|cell| self.0.get(cell));
        offset.map(|&offset| Place { piece: 0, offset })
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
