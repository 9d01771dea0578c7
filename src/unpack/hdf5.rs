//! HDF5's data sets whose chunks went through filters.
//!
//! | filter       | number | its parameters that matter                |
//! |--------------|--------|-------------------------------------------|
//! | deflate      | 1      |                                           |
//! | shuffle      | 2      | bytes of an element                       |
//! | fletcher32   | 3      |                                           |
//! | bzip2        | 307    |                                           |
//! | lzf          | 32000  |                                           |
//! | blosc        | 32001  |                                           |
//! | lz4          | 32004  |                                           |
//! | zstd         | 32015  |                                           |
//!
//! Others are refused by name: szip (4), whose decoder is no ordinary library, n-bit (5), scale-offset (6), and the many
//! that are registered.

use std::fs::File;
use std::path::Path;

use super::codec::checksum::{Checksum, Kind};
use super::codec::deflate::Zlib;
use super::codec::shuffle::Shuffle;
use super::codec::{Chain, Codec, blosc, bzip2, lz4, lzf, zstd};
use super::crew::{self, index};
use super::target::{Block, Target};
use super::{Disk, Fault, Job, MAX_CHUNK, Site};
use crate::catalog::Catalog;
use crate::format::Refusal;
use crate::format::hdf5::{self, Filter, Filtered};
use crate::layout::count;
use crate::source::ReadAt;

/// A data set of which the chunks are filtered.
#[derive(Debug)]
pub(super) struct Dataset {
    disk: Disk,
    filtered: Filtered,
    chain: Chain,
    /// Bytes of a chunk.
    bytes: u64,
}

/// How to copy a data set whose chunks are filtered; nothing if none is.
pub(super) fn plan(catalog: &Catalog, path: &Path, names: &[String]) -> Result<Option<Dataset>, Refusal> {
    let opened = catalog.open_file(path).map_err(std::io::Error::from)?;
    let disk = Disk::new(opened.into())?;
    let mut filtered = hdf5::filtered(&disk, names)?;
    if filtered.filters.is_empty() {
        return Ok(None);
    }
    let chain = Chain(filtered.filters.iter().map(codec).collect::<Result<_, _>>()?);
    let itemsize = filtered.array.grid.itemsize();
    let bytes = filtered.chunk.iter().try_fold(itemsize, |bytes, &length| bytes.checked_mul(length));
    let bytes = bytes.filter(|&bytes| bytes <= MAX_CHUNK).ok_or_else(|| {
        Refusal(format!(
            "its chunks have more than the {MAX_CHUNK} bytes that are decoded at once; write it again with smaller ones"
        ))
    })?;
    filtered.chunks.sort_unstable_by_key(|chunk| chunk.cell);
    filtered.chunks.dedup_by_key(|chunk| chunk.cell);
    Ok(Some(Dataset { disk, filtered, chain, bytes }))
}

/// What undoes a filter.
fn codec(filter: &Filter) -> Result<Box<dyn Codec>, Refusal> {
    Ok(match filter.id {
        1 => Box::new(Zlib),
        2 => Box::new(Shuffle { size: filter.values.first().map_or(1, |&size| size as usize) }),
        3 => Box::new(Checksum { kind: Kind::Fletcher32, at_start: false }),
        307 => Box::new(bzip2::Bzip2),
        32000 => Box::new(lzf::Lzf),
        32001 => Box::new(blosc::Blosc),
        32004 => Box::new(lz4::Hdf5Lz4),
        32015 => Box::new(zstd::Zstd),
        _ => {
            let name = filter.known_as();
            return Err(Refusal(format!(
                "its chunks went through the filter {name}, which is not built in; copy it without (h5repack -f NONE, \
                 with the filter's plugin)"
            )));
        }
    })
}

impl Job for Dataset {
    fn bytes(&self) -> u64 {
        count(self.filtered.array.grid.shape()) * self.filtered.array.grid.itemsize()
    }

    fn write(&self, file: File, site: &Site<'_>) -> Result<(), Fault> {
        let Filtered { array, chunk: shape, chunks, .. } = &self.filtered;
        let target = Target::new(file, &array.dtype, array.grid.shape(), site.store)?;
        let counts: Vec<u64> =
            array.grid.shape().iter().zip(shape).map(|(&length, &chunk)| length.div_ceil(chunk)).collect();
        let axes: Vec<usize> = (0..shape.len()).collect();
        let block = |cell: u64| Block {
            origin: index(cell, &counts).iter().zip(shape).map(|(i, chunk)| i * chunk).collect(),
            shape,
            axes: &axes,
        };
        let unpack = |number: u64| {
            let chunk = chunks[number as usize];
            let block = block(chunk.cell);
            let blame = |what: String| Fault(format!("its chunk at {:?}: {what}; copy the file again", block.origin));
            let most = self.chain.most(self.bytes);
            if chunk.size > most {
                let (size, bytes) = (chunk.size, self.bytes);
                return Err(blame(format!("it has {size} bytes, more than the {most} that {bytes} could become")));
            }
            let mut stored = vec![0; chunk.size as usize];
            match self.disk.read_at(&mut stored, chunk.offset) {
                Ok(count) if count == stored.len() => {}
                Ok(_) => return Err(blame("it lies beyond the end of the file, which was truncated".into())),
                Err(error) => return Err(blame(error.to_string())),
            }
            let plain = self.chain.decode(stored, self.bytes as usize, chunk.mask).map_err(blame)?;
            target.put(&block, plain)?;
            site.watch.advance(target.bytes_of(&block));
            Ok(())
        };
        if count(array.grid.shape()) > 0 {
            crew::each(chunks.len() as u64, self.bytes, site.watch, unpack)?;
            if !array.fill.is_empty() {
                let mut stored = chunks.iter().map(|chunk| chunk.cell).peekable();
                for cell in 0..count(&counts) {
                    super::go_on(site.watch)?;
                    if stored.next_if_eq(&cell).is_none() {
                        target.fill(&block(cell), &array.fill)?;
                    }
                }
            }
        }
        target.finish()
    }
}
