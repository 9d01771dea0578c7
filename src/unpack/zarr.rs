//! Zarr arrays whose chunks went through codecs, or lie in shards.
//!
//! A shard is a file of chunks (the codec `sharding_indexed`). At its end, or at its start, it has an index: for each
//! chunk offset and size (8 bytes each), both all ones for a chunk that is not stored, and perhaps a CRC-32C. The chunks
//! of a shard may be shards again. They are read one by one, so that a shard may be of any size.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::Chain;
use super::crew::{self, index};
use super::target::{Block, Target};
use super::{Disk, Fault, Job, MAX_CHUNK, Site, go_on};
use crate::catalog::Catalog;
use crate::dtype::ByteOrder;
use crate::format::zarr::{METADATA, Metadata, SHARDING};
use crate::format::zip::Window;
use crate::format::{Array, Files, Names, Refusal};
use crate::layout::count;
use crate::source::{Alone, ReadAt};

mod codecs;

use codecs::{Inner, Sharding};

/// A chunk of a shard that is not stored has this for its offset and its size.
const NOWHERE: u64 = u64::MAX;

/// An array of which the chunks are encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The array as it would be without codecs.
    array: Array,
    names: Arc<dyn Names>,
    /// The folder of its files, below the source.
    folder: PathBuf,
    chunks: Chunks,
}

/// Chunks of one kind.
#[derive(Debug)]
struct Chunks {
    /// Length of each axis of the array in a chunk.
    shape: Vec<u64>,
    /// The axes of a chunk as it is stored, from the slowest to the fastest.
    axes: Vec<usize>,
    held: Held,
}

/// What is in a chunk.
#[derive(Debug)]
enum Held {
    /// So many bytes of elements, behind codecs.
    Elements(Chain, u64),
    /// Chunks.
    Shard(Box<Shard>),
}

/// How a shard is read.
#[derive(Debug)]
struct Shard {
    /// Number of chunks on each axis of the shard, in its own order.
    counts: Vec<u64>,
    sharding: Sharding,
    chunks: Chunks,
}

/// How to copy an array whose chunks are encoded; nothing if there is none, or its chunks are not.
pub(super) fn plan(catalog: &Catalog, path: &Path) -> Result<Option<Encoded>, Refusal> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !METADATA.contains(&&*name) {
        return Ok(None);
    }
    let opened = catalog.open_file(path).map_err(std::io::Error::from)?;
    let metadata = Metadata::read(&name, &Disk::new(opened.into())?, &Alone)?;
    if metadata.codecs.is_empty() {
        return Ok(None);
    }
    let itemsize = metadata.dtype.itemsize();
    let held = if metadata.codecs[0].name == SHARDING {
        let sharding = Sharding::new(&metadata.codecs)?;
        Held::Shard(Box::new(Shard::new(&metadata.chunk, &metadata.axes, sharding, itemsize)?))
    } else {
        Held::elements(codecs::chain(&metadata.codecs)?, &metadata.chunk, itemsize)?
    };
    let chunks = Chunks { shape: metadata.chunk.clone(), axes: metadata.axes.clone(), held };
    let array = Metadata { codecs: Vec::new(), ..metadata }.array()?;
    let Files::Beside(names) = array.files.clone() else { return Ok(None) };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Some(Encoded { array, names, folder, chunks }))
}

impl Held {
    fn elements(chain: Chain, shape: &[u64], itemsize: u64) -> Result<Held, Refusal> {
        let bytes = shape.iter().try_fold(itemsize, |bytes, &length| bytes.checked_mul(length));
        match bytes.filter(|&bytes| bytes <= MAX_CHUNK) {
            Some(bytes) => Ok(Held::Elements(chain, bytes)),
            None => Err(Refusal(format!(
                "its chunks have more than the {MAX_CHUNK} bytes that are decoded at once; write it again with smaller \
                 ones"
            ))),
        }
    }
}

impl Shard {
    /// Shards of this shape, whose axes are stored in this order.
    fn new(shape: &[u64], axes: &[usize], sharding: Sharding, itemsize: u64) -> Result<Shard, Refusal> {
        let unfit = || Refusal("its shards cannot be divided into its chunks; its metadata are damaged".into());
        if sharding.shape.len() != axes.len() {
            return Err(unfit());
        }
        let (mut counts, mut chunk) = (Vec::new(), vec![0; shape.len()]);
        for (&length, &axis) in sharding.shape.iter().zip(axes) {
            counts
                .push(shape[axis].checked_div(length).filter(|count| count * length == shape[axis]).ok_or_else(unfit)?);
            chunk[axis] = length;
        }
        let inner = sharding.inner(axes.len())?;
        let inner_axes: Vec<usize> = inner.axes().iter().map(|&axis| axes[axis]).collect();
        let held = match inner {
            Inner::Elements(pipeline) => Held::elements(codecs::chain(&pipeline.codecs)?, &chunk, itemsize)?,
            Inner::Shard(_, sharding) => Held::Shard(Box::new(Shard::new(&chunk, &inner_axes, sharding, itemsize)?)),
        };
        Ok(Shard { counts, sharding, chunks: Chunks { shape: chunk, axes: inner_axes, held } })
    }
}

impl Chunks {
    /// Bytes of the elements that are decoded at once.
    fn bytes(&self) -> u64 {
        match &self.held {
            Held::Elements(_, bytes) => *bytes,
            Held::Shard(shard) => shard.chunks.bytes(),
        }
    }
}

impl Job for Encoded {
    fn bytes(&self) -> u64 {
        count(self.array.grid.shape()) * self.array.grid.itemsize()
    }

    fn write(&self, file: File, site: &Site<'_>) -> Result<(), Fault> {
        let shape = self.array.grid.shape();
        let target = Target::new(file, &self.array.dtype, shape, site.store)?;
        let counts: Vec<u64> =
            shape.iter().zip(&self.chunks.shape).map(|(&length, &chunk)| length.div_ceil(chunk)).collect();
        let copy = Copy { target: &target, fill: &self.array.fill, site };
        crew::each(count(&counts), self.chunks.bytes(), site.watch, |number| {
            let origin = index(number, &counts).iter().zip(&self.chunks.shape).map(|(i, chunk)| i * chunk).collect();
            let name = self.names.name(number);
            let blame = |what: String| Fault(format!("its file {name}: {what}"));
            let opened = match site.catalog.open_file(&self.folder.join(&name)) {
                Ok(opened) => opened,
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
                    return copy.leave(&self.chunks, origin).map_err(|Fault(what)| blame(what));
                }
                Err(error) => return Err(blame(error.to_string())),
            };
            let disk = Disk::new(opened.into()).map_err(|error| blame(error.to_string()))?;
            copy.chunk(&self.chunks, origin, &disk).map_err(|Fault(what)| blame(what))
        })?;
        target.finish()
    }
}

/// Where chunks go.
struct Copy<'a> {
    target: &'a Target,
    fill: &'a [u8],
    site: &'a Site<'a>,
}

impl Copy<'_> {
    /// Fills the place of a chunk that is not stored.
    fn leave(&self, chunks: &Chunks, origin: Vec<u64>) -> Result<(), Fault> {
        let block = Block { origin, shape: &chunks.shape, axes: &chunks.axes };
        self.target.fill(&block, self.fill)?;
        self.site.watch.advance(self.target.bytes_of(&block));
        Ok(())
    }

    /// Unpacks a chunk.
    fn chunk(&self, chunks: &Chunks, origin: Vec<u64>, stored: &dyn ReadAt) -> Result<(), Fault> {
        go_on(self.site.watch)?;
        match &chunks.held {
            Held::Elements(chain, bytes) => {
                let most = chain.most(*bytes);
                let len = stored.len();
                if len > most {
                    return Err(damaged(&format!(
                        "it has {len} bytes, more than the {most} that {bytes} could become"
                    )));
                }
                let bytes = usize::try_from(*bytes).unwrap_or(usize::MAX);
                let plain = chain.decode(read(stored, 0, len)?, bytes, 0).map_err(|what| damaged(&what))?;
                let block = Block { origin, shape: &chunks.shape, axes: &chunks.axes };
                self.site.watch.advance(self.target.bytes_of(&block));
                self.target.put(&block, plain)
            }
            Held::Shard(shard) => self.shard(shard, &chunks.axes, &origin, stored),
        }
    }

    /// Unpacks the chunks of a shard whose axes are stored in this order.
    fn shard(&self, shard: &Shard, axes: &[usize], origin: &[u64], stored: &dyn ReadAt) -> Result<(), Fault> {
        let Shard { counts, sharding, chunks } = shard;
        let number = counts.iter().try_fold(1_u64, |number, &count| number.checked_mul(count));
        let plain = number.and_then(|number| number.checked_mul(16));
        let size =
            plain.and_then(|plain| plain.checked_add(sharding.index_overhead)).filter(|&size| size <= stored.len());
        let (Some(plain), Some(size)) = (plain, size) else {
            return Err(damaged("it is shorter than the index of its chunks"));
        };
        let start = if sharding.index_at_start { 0 } else { stored.len() - size };
        let table = sharding.index.decode(read(stored, start, size)?, plain as usize, 0);
        let table = table.map_err(|what| damaged(&format!("its index: {what}")))?;
        for (number, entry) in (0..).zip(table.chunks_exact(16)) {
            let [offset, len] = [0, 8].map(|at| {
                let bytes = entry[at..at + 8].try_into().unwrap_or_default();
                match sharding.index_order {
                    ByteOrder::Big => u64::from_be_bytes(bytes),
                    _ => u64::from_le_bytes(bytes),
                }
            });
            let mut inner = origin.to_vec();
            for (index, &axis) in index(number, counts).iter().zip(axes) {
                inner[axis] += index * chunks.shape[axis];
            }
            if (offset, len) == (NOWHERE, NOWHERE) {
                self.leave(chunks, inner)?;
                continue;
            }
            if offset.checked_add(len).is_none_or(|end| end > stored.len()) {
                return Err(damaged(&format!("its index places chunk {number} beyond its end")));
            }
            let window = Window { file: stored, start: offset, len };
            self.chunk(chunks, inner, &window).map_err(|Fault(what)| Fault(format!("chunk {number}: {what}")))?;
        }
        Ok(())
    }
}

/// The bytes of a file from `start` on, where it is as long as that.
fn read(file: &dyn ReadAt, start: u64, len: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; len as usize];
    match file.read_at(&mut bytes, start) {
        Ok(count) if count == bytes.len() => Ok(bytes),
        Ok(_) => Err(damaged("it was truncated while it was read")),
        Err(error) => Err(Fault(format!("cannot be read: {error}"))),
    }
}

fn damaged(what: &str) -> Fault {
    Fault(format!("{what}; copy the file again, or write this part of the array again"))
}
