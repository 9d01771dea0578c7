//! HDF5: groups of data sets. Also what is HDF5 inside: NetCDF-4, MATLAB 7.3, MINC 2, HDF-EOS 5, Keras, AnnData.
//!
//! Specification: "HDF5 File Format Specification", versions 3.0 and 4.0, of The HDF Group. In short: a file is
//! a web of blocks, each found by its address.
//!
//! | block              | what it says                                                                             |
//! |--------------------|------------------------------------------------------------------------------------------|
//! | superblock         | `\x89HDF\r\n\x1a\n` at byte 0, 512, 1024, 2048, ..., which has the address 0; version 0 to |
//! |                    | 3; sizes of addresses and lengths; the root group                                        |
//! | object header      | messages: what a group, a data set or a named type is (`header`)                         |
//! | links              | names and addresses of objects, in one of three forms (`group`)                          |
//! | heaps              | names, many links and attributes (`fractal`), values of variable length (`file`)         |
//! | B-trees and arrays | where chunks are, in one of six forms (`chunks`, `btree`, `arrays`)                      |
//!
//! A data set has a type (`datatype`), and a shape, a layout, filters and a fill value (`storage`). The
//! elements lie in one block, in the header, or in chunks of one shape, those at the far edges whole. Chunks that went
//! through filters (compression, checksums) do not show the elements and are refused; [`filtered`] says where they are.
//! Groups become folders. Soft links lead to what they name, hard links are names like any other; a group that has
//! several is shown under the first. Attributes become JSON; dimension scales name axes.
//!
//! Limits, and why. They bound what a hostile file can cost; the first three also what is kept in memory:
//!
//! - At most [`MAX_LINKS`] links, and [`MAX_CHUNKS`] chunks in all arrays of a file; a chunk that is stored takes 8 to
//!   16 bytes of memory.
//! - Paths, attributes and the like take at most [`MAX_SIZE`] bytes. Attributes that would take too much are left out.
//! - A block of metadata has at most [`MAX_BLOCK`] bytes. All blocks together may be read about 16 times over.
//! - Groups nest at most 64 deep, types 32 deep, soft links lead on 16 times.
//! - Values of variable length and references have no bytes in the array to show.
//! - Data sets of a header with checksums whose elements lie in that header can only be read.
//!
//! Checksums of metadata are verified, as the library does.

use crate::format::{Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

mod arrays;
mod attribute;
mod btree;
mod checksum;
mod chunks;
mod dataset;
mod datatype;
mod file;
mod fractal;
mod group;
mod header;
mod storage;
mod superblock;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod walk;

pub use chunks::Chunk;
pub use dataset::Filtered;
pub use storage::Filter;

/// What the superblock begins with.
pub const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// What MATLAB writes in front of it.
const MATLAB: &[u8] = b"MATLAB 7.3 MAT-file";

/// The smallest block that a user may have put in front of the superblock; larger ones are powers of two.
const FIRST_USER_BLOCK: u64 = 512;

/// The most links in a file.
pub const MAX_LINKS: usize = 1 << 20;

/// The most chunks in the arrays of a file.
pub const MAX_CHUNKS: usize = 1 << 24;

/// The most bytes that paths, attributes and the like take in memory.
pub const MAX_SIZE: u64 = 512 << 20;

/// The largest block of metadata, in bytes.
pub const MAX_BLOCK: u64 = 64 << 20;

const NAME: &str = "hdf5";

/// Kinds of messages in object headers.
mod kind {
    pub(super) const NIL: u16 = 0x00;
    pub(super) const DATASPACE: u16 = 0x01;
    pub(super) const LINK_INFO: u16 = 0x02;
    pub(super) const DATATYPE: u16 = 0x03;
    pub(super) const OLD_FILL: u16 = 0x04;
    pub(super) const FILL: u16 = 0x05;
    pub(super) const LINK: u16 = 0x06;
    pub(super) const EXTERNAL_FILES: u16 = 0x07;
    pub(super) const LAYOUT: u16 = 0x08;
    pub(super) const GROUP_INFO: u16 = 0x0a;
    pub(super) const FILTERS: u16 = 0x0b;
    pub(super) const ATTRIBUTE: u16 = 0x0c;
    pub(super) const SHARED_TABLE: u16 = 0x0f;
    pub(super) const CONTINUATION: u16 = 0x10;
    pub(super) const SYMBOL_TABLE: u16 = 0x11;
    pub(super) const DRIVER: u16 = 0x14;
    pub(super) const ATTRIBUTE_INFO: u16 = 0x15;
}

/// The HDF5 format.
#[derive(Clone, Copy, Debug)]
pub struct Hdf5;

impl Format for Hdf5 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".h5", ".hdf5", ".he5", ".hdf", ".nc4"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(SIGNATURE) || head.starts_with(MATLAB)
    }

    /// As the library does since 1.10.
    fn is_locked(&self) -> bool {
        true
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let (file, root) = superblock::open(file)?;
        walk::container(&file, root).map(Content::Many)
    }
}

/// The filtered data set at a path of hard links: its chunks, and the filters that they went through.
///
/// # Errors
/// If the file cannot be read, if there is no such data set, or if it could not be an array even without filters.
pub fn filtered(file: &dyn ReadAt, path: &[String]) -> Result<Filtered, Refusal> {
    let (file, root) = superblock::open(file)?;
    let mut header = header::Header::read(&file, root)?;
    for name in path {
        let links = group::links(&file, &header)?;
        let target = links.into_iter().find(|link| link.name == *name).map(|link| link.target);
        header = match target {
            Some(group::Target::Hard(address)) => header::Header::read(&file, address)?,
            _ => return Err(Refusal(format!("it holds no object {}", path.join("/")))),
        };
    }
    dataset::filtered(&file, &header)
}

fn damaged(what: &str) -> Refusal {
    Refusal(format!("{what}: the file is damaged, or was not closed properly; copy it or write it again"))
}
