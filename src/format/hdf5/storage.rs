//! The messages that say how a data set is shaped and stored: dataspace, layout, filters, fill value.
//!
//! | layout     | where the elements are                                                                        |
//! |------------|-----------------------------------------------------------------------------------------------|
//! | compact    | in the message itself                                                                         |
//! | contiguous | in one block; at the undefined address if nothing was ever written                            |
//! | chunked    | in blocks of one shape, found through an index: up to version 3 a B-tree, version 4 has five  |
//! | virtual    | in other data sets, perhaps of other files                                                    |

use super::file::{Cursor, File, text};
use super::{damaged, header::Message};
use crate::format::Refusal;

/// The shape of a data set or an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) shape: Vec<u64>,
    /// The shape to which it may grow; nothing on an axis without a limit.
    pub(super) most: Vec<Option<u64>>,
    /// Whether it has no element and no shape.
    pub(super) null: bool,
}

impl Space {
    /// The dataspace that a message describes.
    pub(super) fn parse(file: &File<'_>, body: &[u8]) -> Result<Space, Refusal> {
        let mut cursor = Cursor::new(body, "dataspace");
        let version = cursor.u8()?;
        let ndim = cursor.u8()?;
        let flags = cursor.u8()?;
        let null = match version {
            1 => cursor.skip(5).map(|()| false)?,
            2 => cursor.u8()? == 2,
            version => return Err(cursor.unknown_version(version)),
        };
        let unlimited = u64::MAX >> (64 - 8 * file.length_size);
        let shape = (0..ndim).map(|_| file.length(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
        let most = if flags & 1 == 0 {
            shape.iter().copied().map(Some).collect()
        } else {
            let most = (0..ndim).map(|_| file.length(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
            most.into_iter().map(|length| (length != unlimited).then_some(length)).collect()
        };
        Ok(Space { shape, most, null })
    }
}

/// Where the elements of a data set are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// At an address within the object header.
    Compact {
        address: u64,
        size: u64,
    },
    Contiguous {
        address: Option<u64>,
    },
    Chunked(Chunked),
    Virtual,
}

/// How a data set is cut into chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    /// Shape of a chunk.
    pub(super) shape: Vec<u64>,
    /// Bytes of an element.
    pub(super) itemsize: u64,
    pub(super) index: Index,
    /// Where the index is; nothing if no chunk was ever written.
    pub(super) address: Option<u64>,
}

/// How chunks are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// Through a version 1 B-tree.
    Tree1,
    /// There is only one, of this size and filter mask where it is filtered.
    Single(Option<(u64, u32)>),
    /// They stand one behind the other.
    Implicit,
    FixedArray,
    ExtensibleArray,
    /// Through a version 2 B-tree.
    Tree2,
}

impl Layout {
    /// The layout that a message describes.
    pub(super) fn parse(file: &File<'_>, message: &Message) -> Result<Layout, Refusal> {
        let mut cursor = Cursor::new(&message.body, "data layout");
        match cursor.u8()? {
            1 | 2 => Layout::old(file, message, &mut cursor),
            version @ 3..=5 => Layout::new(file, message, &mut cursor, version),
            version => Err(cursor.unknown_version(version)),
        }
    }

    fn old(file: &File<'_>, message: &Message, cursor: &mut Cursor<'_>) -> Result<Layout, Refusal> {
        let ndim = usize::from(cursor.u8()?);
        let class = cursor.u8()?;
        cursor.skip(5)?;
        let address = if class == 0 { None } else { file.address(cursor)? };
        match class {
            0 => {
                cursor.skip(4 * ndim)?;
                let size = u64::from(cursor.u32()?);
                Layout::compact(message, cursor, size)
            }
            1 => Ok(Layout::Contiguous { address }),
            2 => Layout::chunked(cursor, ndim, 4, |_| Ok((Index::Tree1, address))),
            class => Err(unknown_class(class)),
        }
    }

    fn new(file: &File<'_>, message: &Message, cursor: &mut Cursor<'_>, version: u8) -> Result<Layout, Refusal> {
        match cursor.u8()? {
            0 => {
                let size = u64::from(cursor.u16()?);
                Layout::compact(message, cursor, size)
            }
            1 => Ok(Layout::Contiguous { address: file.address(cursor)? }),
            2 if version == 3 => {
                let ndim = usize::from(cursor.u8()?);
                let address = file.address(cursor)?;
                Layout::chunked(cursor, ndim, 4, |_| Ok((Index::Tree1, address)))
            }
            2 => {
                let flags = cursor.u8()?;
                let ndim = usize::from(cursor.u8()?);
                let size = usize::from(cursor.u8()?);
                Layout::chunked(cursor, ndim, size, |cursor| {
                    let index = index(file, cursor, flags)?;
                    Ok((index, file.address(cursor)?))
                })
            }
            3 => Ok(Layout::Virtual),
            class => Err(unknown_class(class)),
        }
    }

    fn compact(message: &Message, cursor: &Cursor<'_>, size: u64) -> Result<Layout, Refusal> {
        if (cursor.rest.len() as u64) < size {
            return Err(damaged("a data set claims more elements in its header than are there"));
        }
        Ok(Layout::Compact { address: message.address + (message.body.len() - cursor.rest.len()) as u64, size })
    }

    /// A chunked layout: `ndim` lengths of `size` bytes each, the last of them the element's.
    fn chunked(
        cursor: &mut Cursor<'_>,
        ndim: usize,
        size: usize,
        index: impl FnOnce(&mut Cursor<'_>) -> Result<(Index, Option<u64>), Refusal>,
    ) -> Result<Layout, Refusal> {
        let mut shape = (0..ndim).map(|_| cursor.uint(size)).collect::<Result<Vec<_>, _>>()?;
        let itemsize = shape.pop().ok_or_else(|| damaged("a data set has chunks of no shape"))?;
        let (index, address) = index(cursor)?;
        Ok(Layout::Chunked(Chunked { shape, itemsize, index, address }))
    }
}

/// The index of a chunked layout of version 4. The parameters of the arrays and trees stand in their headers, too.
fn index(file: &File<'_>, cursor: &mut Cursor<'_>, flags: u8) -> Result<Index, Refusal> {
    Ok(match cursor.u8()? {
        1 if flags & 2 != 0 => Index::Single(Some((file.length(cursor)?, cursor.u32()?))),
        1 => Index::Single(None),
        2 => Index::Implicit,
        3 => cursor.skip(1).map(|()| Index::FixedArray)?,
        4 => cursor.skip(5).map(|()| Index::ExtensibleArray)?,
        5 => cursor.skip(6).map(|()| Index::Tree2)?,
        index => {
            return Err(Refusal(format!(
                "its chunks have an index of type {index}, which is not known: it is damaged, or newer than this \
                 program; write it again with h5repack"
            )));
        }
    })
}

fn unknown_class(class: u8) -> Refusal {
    Refusal(format!(
        "its layout is of class {class}, which is not known: it is damaged, or newer than this program; write it \
         again with h5repack"
    ))
}

/// A step of what chunks went through before they were stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its number in the registry of filters.
    pub id: u16,
    /// Its name, where the file gives one.
    pub name: String,
    /// Its parameters.
    pub values: Vec<u32>,
}

impl Filter {
    /// Whether it makes chunks smaller, for all that is known; others order bytes or add a checksum.
    pub(super) fn compresses(&self) -> bool {
        !matches!(self.id, 2 | 3)
    }

    /// What users call it.
    pub fn known_as(&self) -> String {
        let name = match self.id {
            1 => "gzip (deflate)",
            2 => "shuffle",
            3 => "fletcher32 (checksums)",
            4 => "szip",
            5 => "nbit",
            6 => "scale-offset",
            307 => "bzip2",
            32000 => "lzf",
            32001 => "blosc",
            32004 => "lz4",
            32008 => "bitshuffle",
            32013 => "zfp",
            32015 => "zstd",
            32026 => "blosc2",
            id if self.name.is_empty() => return format!("filter {id}"),
            _ => return crate::dtype::literal::excerpt(&self.name),
        };
        name.into()
    }
}

/// The filters that a message describes, in the order in which they were applied.
pub(super) fn filters(body: &[u8]) -> Result<Vec<Filter>, Refusal> {
    let mut cursor = Cursor::new(body, "filter pipeline");
    let version = cursor.u8()?;
    let count = cursor.u8()?;
    match version {
        1 => cursor.skip(6)?,
        2 => {}
        version => return Err(cursor.unknown_version(version)),
    }
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = cursor.u16()?;
        let name_size = if version == 1 || id >= 256 { cursor.u16()?.into() } else { 0 };
        cursor.skip(2)?;
        let values = usize::from(cursor.u16()?);
        // In version 1 names are padded to a multiple of 8, and values to an even number.
        let name = cursor.take(if version == 1 { usize::next_multiple_of(name_size, 8) } else { name_size })?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut filter = Filter { id, name: text(name), values: Vec::new() };
        for _ in 0..values {
            filter.values.push(cursor.u32()?);
        }
        cursor.skip(if version == 1 { values % 2 * 4 } else { 0 })?;
        filters.push(filter);
    }
    Ok(filters)
}

/// The bytes of the element that stands where nothing was written, from the messages of both kinds; none if zeros do.
pub(super) fn fill(new: Option<&[u8]>, old: Option<&[u8]>) -> Result<Vec<u8>, Refusal> {
    const WHAT: &str = "fill value";
    if let Some(body) = new {
        let mut cursor = Cursor::new(body, WHAT);
        let defined = match cursor.u8()? {
            version @ (1 | 2) => {
                cursor.skip(2)?;
                cursor.u8()? != 0 || version == 1
            }
            3 => cursor.u8()? & 0x20 != 0,
            version => return Err(cursor.unknown_version(version)),
        };
        // A size of -1 says that there is none.
        let size = if defined { cursor.u32()? } else { 0 };
        return if size == u32::MAX { Ok(Vec::new()) } else { cursor.take(size as usize).map(<[u8]>::to_vec) };
    }
    let Some(body) = old else { return Ok(Vec::new()) };
    let mut cursor = Cursor::new(body, WHAT);
    let size = cursor.u32()?;
    cursor.take(size as usize).map(<[u8]>::to_vec)
}
