//! TIFF and BigTIFF (`.tif`, `.tiff`, `.btf`, `.tf8`; `.stk` of MetaMorph): images, stacks of them, and maps (GeoTIFF).
//!
//! Specifications: "TIFF 6.0" (Aldus, 1992); "The BigTIFF Design" of libtiff, for offsets of 8 bytes; GDAL's documentation
//! of its GTiff driver for sparse files and `GDAL_NODATA`. A file begins with
//!
//! | bytes | of TIFF                                      | bytes | of BigTIFF                  |
//! |-------|----------------------------------------------|-------|-----------------------------|
//! | 2     | `II`: little-endian, `MM`: big-endian        | 2     | the same                    |
//! | 2     | 42                                           | 2     | 43                          |
//! | 4     | where the directory of the first page is     | 4     | 8 and 0: size of an offset  |
//! |       |                                              | 8     | where the directory is      |
//!
//! Each page has a directory of tags (`ifd`), and each directory says where the next one is. Its elements lie in strips of
//! whole rows, of which the last may be shorter, or in tiles, which stick out at the edges. Both are numbered in C order,
//! of separate planes those of the first plane first.
//!
//! | tag      | what                                | tag      | what                                              |
//! |----------|-------------------------------------|----------|---------------------------------------------------|
//! | 256, 257 | columns, rows                       | 273, 279 | where each strip is, and its bytes                |
//! | 258      | bits of each sample                 | 278      | rows of a strip                                   |
//! | 259      | compression; 1: none                | 322, 323 | columns and rows of a tile                        |
//! | 277      | samples of a pixel                  | 324, 325 | where each tile is, and its bytes; 0 and 0: never written |
//! | 284      | 1: pixels; 2: a plane for each sample | 339    | type of the samples                               |
//!
//! | type | elements of so many bits           | type | elements                                                     |
//! |------|------------------------------------|------|--------------------------------------------------------------|
//! | 1, 4 | unsigned integers, 8 to 64         | 5    | complex integers, 16 to 64: records of `real` and `imag`     |
//! | 2    | integers, 8 to 64                  | 6    | complex floats, 64 and 128                                   |
//! | 3    | floats, 16 to 64                   |      |                                                              |
//!
//! A page has the axes row, column and, of several samples, sample; of separate planes sample, row, column. Pages of
//! one type and shape are one array, with an axis in front; where ImageJ or tifffile wrote them, with the axes that
//! these name (`stack`). MetaMorph writes one directory for all its planes, whose number is that of the values of tag 33629.
//! Otherwise the file is a container of `page-0`, `page-1` and so on. What was never written reads as
//! `GDAL_NODATA`, or 0.
//!
//! Limits, and why:
//!
//! - Only pages whose samples lie in the file as they are can be served: no compression, predictor, other order of bits,
//!   colours for blocks of pixels (YCbCr), or samples that are no whole bytes.
//! - Directories that hang on a page (SubIFDs: smaller copies, thumbnails) are not looked at.
//! - At most [`MAX_PAGES`] pages of [`MAX_TAGS`] tags, and [`MAX_PIECES`] strips or tiles that do not follow each other;
//!   each takes 8 bytes of memory.
//! - LSM files of more than 4 GiB are refused: the upper halves of their offsets are lost.
//! - Of long texts the start is kept. Colour maps are left out.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::format::header::{self, MAX_ENTRIES};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::{Grid, Pieces, Place};
use crate::layout::{Layout, LayoutError, Order, packed_strides};
use crate::source::{ReadAt, Siblings};

mod attributes;
mod ifd;
mod page;
mod sample;
mod stack;
#[cfg(test)]
mod tests;

use ifd::Reader;
use page::{NOWHERE, Page};
use stack::Stack;

/// The most pages of a file.
pub const MAX_PAGES: usize = MAX_ENTRIES as usize;

/// The most tags of a page.
pub const MAX_TAGS: u64 = 4096;

/// The most strips or tiles in the arrays of a file, as far as they do not follow each other.
pub const MAX_PIECES: u64 = 1 << 24;

/// So much of a description is searched for the axes of a stack, in bytes.
const MAX_DESCRIPTION: u64 = 64 << 10;

/// The numbers of tags.
mod tag {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const LENGTH: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const DESCRIPTION: u16 = 270;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_BYTES: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_LENGTH: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTES: u16 = 325;
    pub(super) const EXTRA_SAMPLES: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const SUBSAMPLING: u16 = 530;
    pub(super) const IMAGE_DEPTH: u16 = 32997;
    pub(super) const TILE_DEPTH: u16 = 32998;
    /// Of MetaMorph: what it knows of each plane.
    pub(super) const PLANES: u16 = 33629;
    pub(super) const LSM: u16 = 34412;
    pub(super) const GDAL_NODATA: u16 = 42113;
}

/// The TIFF format.
#[derive(Clone, Copy, Debug)]
pub struct Tiff;

const NAME: &str = "tiff";

impl Format for Tiff {
    fn name(&self) -> &'static str {
        NAME
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".tif", ".tiff", ".btf", ".tf8", ".stk"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        matches!(head.get(..4), Some(b"II*\0" | b"MM\0*"))
            || matches!(head.get(..8), Some(b"II+\0\x08\0\0\0" | b"MM\0+\0\x08\0\0"))
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let (reader, first) = Reader::open(file)?;
        let pages = pages(&reader, first)?;
        let good: Vec<&Page> = pages.iter().flatten().collect();
        if good.len() == pages.len() && are_alike(&good) {
            return array(&reader, &good, good.len() == 1).map(Content::One);
        }
        // Where there is nothing to show, one reason stands for all.
        if let (true, Some(Err(why))) = (good.is_empty(), pages.first()) {
            return Err(why.clone());
        }
        let members = pages.iter().enumerate().map(|(number, page)| {
            let found = page.as_ref().map_err(Refusal::clone).and_then(|page| array(&reader, &[page], false));
            Member { path: vec![format!("page-{number}")], found }
        });
        Ok(Content::Many(Container { members: members.collect(), ..Container::default() }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: copy or save it again"))
}

fn truncated(what: &str) -> Refusal {
    Refusal(format!(
        "{what} reaches beyond the end of the file: it was truncated, or is still being written; copy or save it again"
    ))
}

fn too_many() -> Refusal {
    Refusal(format!("it has more than {MAX_PIECES} strips or tiles; save it again with larger ones"))
}

fn cannot_be(error: LayoutError) -> Refusal {
    fault(&format!("its pages claim an array that cannot be: {error}"))
}

/// All pages, from the directory at byte `at` on, also those that cannot be served.
fn pages(reader: &Reader<'_>, mut at: u64) -> Result<Vec<Result<Page, Refusal>>, Refusal> {
    let (mut pages, mut seen) = (Vec::new(), HashSet::new());
    while at != 0 {
        if !seen.insert(at) {
            return Err(fault(&format!("its directories lead in a circle, back to byte {at}")));
        }
        if pages.len() >= MAX_PAGES {
            return Err(Refusal(format!("it has more than {MAX_PAGES} pages; split it into several files")));
        }
        let (tags, next) = reader.ifd(at)?;
        pages.push(Page::read(reader, at, &tags));
        at = next;
    }
    if pages.is_empty() {
        return Err(Refusal("it has no page: it was not closed properly, or is damaged; save it again".into()));
    }
    Ok(pages)
}

/// Whether pages can be one array: all of one type and shape, and stored without gaps or all cut alike.
fn are_alike(pages: &[&Page]) -> bool {
    let Some(first) = pages.first() else { return false };
    pages.iter().all(|page| page.is_like(first))
        && (pages.iter().all(|page| page.start().is_some()) || pages.iter().all(|page| page.chunk == first.chunk))
}

/// The array that pages are, of which there is at least one, and which are alike; `is_whole` says whether there is only one
/// in the file.
fn array(reader: &Reader<'_>, pages: &[&Page], is_whole: bool) -> Result<Array, Refusal> {
    let first = pages[0];
    let (tags, _) = reader.ifd(first.ifd)?;
    let descriptions = reader.texts(&tags, tag::DESCRIPTION, MAX_DESCRIPTION)?;
    let (stack, hidden) = match tags.count(tag::PLANES) {
        planes @ 2.. if pages.len() == 1 => {
            let stack = Stack::of_pages(planes);
            let layout = hidden(first, &stack)?;
            header::complete(&layout, reader.len())?;
            (stack, Some(layout))
        }
        _ => stack(reader, pages, is_whole, &descriptions),
    };
    let grid = match hidden {
        Some(layout) => Grid::one(layout),
        None => grid(reader, pages, &stack)?,
    };
    let own = if first.is_planar { ["sample", "row", "column"] } else { ["row", "column", "sample"] };
    let own = own.iter().take(first.shape.len()).map(|&name| name.to_owned());
    Ok(Array {
        dims: stack.axes.into_iter().map(|(name, _)| name).chain(own).collect(),
        fill: first.fill.clone(),
        attributes: attributes::read(reader, &tags)?.into_map(),
        ..Array::new(NAME, first.dtype.clone(), grid)
    })
}

/// The axes in front of those of a page; where most pages have no directory, also where they all lie.
fn stack(reader: &Reader<'_>, pages: &[&Page], is_whole: bool, descriptions: &[String]) -> (Stack, Option<Layout>) {
    let (first, count) = (pages[0], pages.len() as u64);
    let usual = Stack::of_pages(count);
    let Some(stack) = Stack::described(descriptions, first) else { return (usual, None) };
    if stack.count() == Some(count) {
        return (stack, None);
    }
    let is_hidden = count == 1 && (is_whole || stack.is_truncated);
    let layout = hidden(first, &stack).ok().filter(|_| is_hidden);
    match layout.filter(|layout| layout.count() > 0 && layout.extent().end <= reader.len()) {
        Some(layout) => (stack, Some(layout)),
        None => (usual, None),
    }
}

/// Where pages are of which only this one has a directory: they follow it.
fn hidden(page: &Page, stack: &Stack) -> Result<Layout, Refusal> {
    let start = page.start().ok_or_else(|| fault("its pages do not follow each other"))?;
    Layout::packed(start, &shape(stack, page), page.dtype.itemsize(), Order::C).map_err(cannot_be)
}

/// The shape of a stack of pages.
fn shape(stack: &Stack, page: &Page) -> Vec<u64> {
    stack.axes.iter().map(|(_, length)| *length).chain(page.shape.iter().copied()).collect()
}

/// Where the elements of pages are.
fn grid(reader: &Reader<'_>, pages: &[&Page], stack: &Stack) -> Result<Grid, Refusal> {
    let first = pages[0];
    let (shape, itemsize) = (shape(stack, first), first.dtype.itemsize());
    let starts: Option<Vec<u64>> = pages.iter().map(|page| page.start()).collect();
    let (cell, starts) = match starts {
        Some(starts) => {
            if let Some(step) = step(&starts) {
                let layout = spaced(&shape, stack.axes.len(), starts[0], step, itemsize).map_err(cannot_be)?;
                header::complete(&layout, reader.len())?;
                return Ok(Grid::one(layout));
            }
            (&first.shape, starts)
        }
        None => {
            let mut all = Vec::new();
            for page in pages {
                all.extend(page.starts());
                if all.len() as u64 > MAX_PIECES {
                    return Err(too_many());
                }
            }
            (&first.chunk, all)
        }
    };
    let cell: Vec<u64> = stack.axes.iter().map(|_| 1).chain(cell.iter().copied()).collect();
    Grid::chunked(&shape, &cell, itemsize, Order::C, Arc::new(Table::new(starts))).map_err(cannot_be)
}

/// How far pages are apart, if that is always the same; 0 of a single one.
fn step(starts: &[u64]) -> Option<i64> {
    // Offsets in a file.
    let mut steps = starts.windows(2).map(|pair| pair[1] as i64 - pair[0] as i64);
    let first = steps.next().unwrap_or(0);
    steps.all(|step| step == first).then_some(first)
}

/// The layout of packed pages that are `step` bytes apart; the first `outer` axes count pages.
fn spaced(shape: &[u64], outer: usize, start: u64, step: i64, itemsize: u64) -> Result<Layout, LayoutError> {
    let mut strides = packed_strides(shape, itemsize, Order::C)?;
    let mut stride = step;
    for axis in (0..outer).rev() {
        strides[axis] = stride;
        stride = i64::try_from(shape[axis])
            .ok()
            .and_then(|length| stride.checked_mul(length))
            .ok_or(LayoutError::Overflow)?;
    }
    let layout = Layout { offset: start, shape: shape.to_vec(), strides, itemsize };
    layout.check()?;
    Ok(layout)
}

/// Where the strips or tiles of an array are, or its pages.
#[derive(Debug)]
struct Table {
    starts: Vec<u64>,
    digest: u64,
}

impl Table {
    fn new(starts: Vec<u64>) -> Table {
        let mut hasher = DefaultHasher::new();
        starts.hash(&mut hasher);
        Table { starts, digest: hasher.finish() }
    }
}

impl Pieces for Table {
    fn place(&self, cell: u64) -> Option<Place> {
        let offset = *self.starts.get(usize::try_from(cell).ok()?)?;
        (offset != NOWHERE).then_some(Place { piece: 0, offset })
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}
