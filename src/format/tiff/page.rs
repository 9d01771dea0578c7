//! A page: from its tags to its type, its shape, and where its strips or tiles lie, or to why it cannot be served.

use super::ifd::{Ifd, Reader};
use super::sample;
use super::{MAX_PIECES, fault, tag, too_many, truncated};
use crate::dtype::DType;
use crate::format::Refusal;
use crate::layout::{Layout, Order};

/// No strip or tile begins here: it was never written.
pub(super) const NOWHERE: u64 = u64::MAX;

/// A page that can be served.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// Where its directory is.
    pub(super) ifd: u64,
    pub(super) dtype: DType,
    /// Rows and columns; the samples of a pixel behind them, or planes in front.
    pub(super) shape: Vec<u64>,
    pub(super) is_planar: bool,
    /// The shape of a strip or a tile.
    pub(super) chunk: Vec<u64>,
    pub(super) places: Places,
    /// The bytes of the element that stands where nothing was written; zeros if it is empty.
    pub(super) fill: Vec<u8>,
}

/// Where the elements of a page are.
#[derive(Clone, Debug)]
pub(super) enum Places {
    /// In C order without gaps, from this byte on.
    Packed(u64),
    /// In strips or tiles that begin at these bytes, or [`NOWHERE`].
    Cut(Vec<u64>),
}

impl Page {
    /// The page of the directory `tags`, which is at byte `ifd`.
    pub(super) fn read(reader: &Reader<'_>, ifd: u64, tags: &Ifd) -> Result<Page, Refusal> {
        plain(reader, tags)?;
        let dtype = sample::read(reader, tags)?;
        let cut = Cut::read(reader, tags, dtype.itemsize())?;
        let places = cut.places(reader, tags)?;
        let is_sparse = matches!(&places, Places::Cut(places) if places.contains(&NOWHERE));
        let fill = if is_sparse { sample::fill(reader, tags, &dtype)? } else { Vec::new() };
        let Cut { shape, chunk, is_planar, .. } = cut;
        Ok(Page { ifd, dtype, shape, is_planar, chunk, places, fill })
    }

    /// Whether two pages have elements of one type and shape.
    pub(super) fn is_like(&self, other: &Page) -> bool {
        (&self.dtype, &self.shape, self.is_planar, &self.fill)
            == (&other.dtype, &other.shape, other.is_planar, &other.fill)
    }

    /// The first byte, if all elements lie in C order without gaps.
    pub(super) fn start(&self) -> Option<u64> {
        match self.places {
            Places::Packed(start) => Some(start),
            Places::Cut(_) => None,
        }
    }

    /// Where its strips or tiles begin.
    pub(super) fn starts(&self) -> Vec<u64> {
        match &self.places {
            Places::Packed(start) => {
                let cut = Cut::new(self.shape.clone(), self.chunk.clone(), self.is_planar, self.dtype.itemsize());
                cut.cells().map(|cell| start + cut.packed(cell)).collect()
            }
            Places::Cut(places) => places.clone(),
        }
    }
}

/// Refuses what is coded in some way.
fn plain(reader: &Reader<'_>, tags: &Ifd) -> Result<(), Refusal> {
    let number = |number| reader.number(tags, number);
    if tags.has(tag::LSM) && !reader.is_big && reader.len() > u32::MAX.into() {
        return Err(Refusal(
            "it is an LSM file of more than 4 GiB, whose offsets lack their upper halves; save it as BigTIFF".into(),
        ));
    }
    let compression = number(tag::COMPRESSION)?.unwrap_or(1);
    if compression != 1 {
        return Err(Refusal(format!(
            "it is compressed with {}, so its elements do not lie in the file as they are; save it uncompressed, for \
             example with tiffcp -c none IN.tif OUT.tif",
            codec(compression)
        )));
    }
    if number(tag::PREDICTOR)?.unwrap_or(1) != 1 {
        return Err(Refusal(
            "it has differences in place of its samples (a predictor); save it without, for example with tiffcp -c none \
             IN.tif OUT.tif"
                .into(),
        ));
    }
    if number(tag::FILL_ORDER)?.unwrap_or(1) != 1 {
        return Err(Refusal(
            "the bits of its bytes are in reverse (FillOrder 2); save it in the usual order, for example with tiffcp -f \
             msb2lsb IN.tif OUT.tif"
                .into(),
        ));
    }
    if number(tag::IMAGE_DEPTH)?.unwrap_or(1) != 1 || number(tag::TILE_DEPTH)?.unwrap_or(1) != 1 {
        return Err(Refusal(
            "it is a volume in one page (ImageDepth); save it with a page for each of its planes".into(),
        ));
    }
    // Luminance and colours are interleaved in blocks, unless each pixel has both.
    if number(tag::PHOTOMETRIC)? == Some(6) && number(tag::PLANAR)? != Some(2) {
        let subsampling = reader.numbers(tags, tag::SUBSAMPLING, 2)?;
        if subsampling.is_none_or(|numbers| numbers != [1, 1]) {
            return Err(Refusal(
                "its colours (YCbCr) are stored for blocks of pixels, so that no pixel has its own; save it as RGB"
                    .into(),
            ));
        }
    }
    Ok(())
}

/// The name of a compression.
fn codec(number: u64) -> String {
    let name = match number {
        2 => "CCITT Huffman coding",
        3 => "CCITT group 3",
        4 => "CCITT group 4",
        5 => "LZW",
        6 | 7 | 34892 => "JPEG",
        8 | 32946 => "Deflate",
        32773 => "PackBits",
        33003 | 33005 | 34712 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        34926 | 50000 => "Zstandard",
        34927 | 50001 => "WebP",
        34933 => "PNG",
        50002 | 52546 => "JPEG XL",
        _ => return format!("codec {number} of TIFF"),
    };
    name.into()
}

/// How a page is cut into strips or tiles.
struct Cut {
    shape: Vec<u64>,
    chunk: Vec<u64>,
    is_planar: bool,
    /// Planes, rows and columns, and of these so many in a strip or tile.
    lengths: [u64; 3],
    cell: [u64; 3],
    /// Bytes of a pixel in a plane.
    pixel: u64,
}

impl Cut {
    /// Of these shapes, which were checked; the elements are of `itemsize` bytes.
    fn new(shape: Vec<u64>, chunk: Vec<u64>, is_planar: bool, itemsize: u64) -> Cut {
        let split = |shape: &[u64]| match *shape {
            [planes, rows, columns] if is_planar => ([planes, rows, columns], itemsize),
            [rows, columns, samples] => ([1, rows, columns], samples * itemsize),
            [rows, columns] => ([1, rows, columns], itemsize),
            _ => ([0; 3], itemsize),
        };
        let ((lengths, pixel), (cell, _)) = (split(&shape), split(&chunk));
        Cut { shape, chunk, is_planar, lengths, cell, pixel }
    }

    fn read(reader: &Reader<'_>, tags: &Ifd, itemsize: u64) -> Result<Cut, Refusal> {
        let need = |number, what: &str| {
            let found = reader.number(tags, number)?.filter(|&number| number > 0);
            found.ok_or_else(|| fault(&format!("one of its directories does not say how many {what} there are")))
        };
        let (columns, rows) = (need(tag::WIDTH, "columns")?, need(tag::LENGTH, "rows")?);
        let (high, wide) = if tags.has(tag::TILE_WIDTH) {
            (need(tag::TILE_LENGTH, "rows in a tile")?, need(tag::TILE_WIDTH, "columns in a tile")?)
        } else if tags.has(tag::ROWS_PER_STRIP) {
            (need(tag::ROWS_PER_STRIP, "rows in a strip")?.min(rows), columns)
        } else {
            (rows, columns)
        };
        let samples = sample::per_pixel(reader, tags)?;
        let (is_planar, around) = match reader.number(tags, tag::PLANAR)?.unwrap_or(1) {
            _ if samples == 1 => (false, None),
            1 => (false, Some(samples)),
            2 => (true, Some(samples)),
            other => return Err(fault(&format!("its PlanarConfiguration is {other}, and can be 1 or 2"))),
        };
        let shaped = |planes: u64, rows, columns| match around {
            None => vec![rows, columns],
            Some(_) if is_planar => vec![planes, rows, columns],
            Some(samples) => vec![rows, columns, samples],
        };
        let (shape, chunk) = (shaped(samples, rows, columns), shaped(1, high, wide));
        for shape in [&shape, &chunk] {
            Layout::packed(0, shape, itemsize, Order::C)
                .map_err(|error| fault(&format!("one of its directories claims a page that cannot be: {error}")))?;
        }
        Ok(Cut::new(shape, chunk, is_planar, itemsize))
    }

    /// How many strips or tiles there are along planes, rows and columns.
    fn counts(&self) -> [u64; 3] {
        [0, 1, 2].map(|axis| self.lengths[axis].div_ceil(self.cell[axis]))
    }

    /// The first plane, row and column of each strip or tile, in the order in which they are numbered.
    fn cells(&self) -> impl Iterator<Item = [u64; 3]> {
        let ([planes, rows, columns], cell) = (self.counts(), self.cell);
        let each = move |plane| (0..rows).flat_map(move |row| (0..columns).map(move |column| [plane, row, column]));
        (0..planes).flat_map(each).map(move |at| [0, 1, 2].map(|axis| at[axis] * cell[axis]))
    }

    /// Where a strip or tile would begin, were the page stored in C order without gaps.
    fn packed(&self, [plane, row, column]: [u64; 3]) -> u64 {
        ((plane * self.lengths[1] + row) * self.lengths[2] + column) * self.pixel
    }

    /// Bytes of a strip or tile up to the end of its last element; what sticks out at the edges is not needed.
    fn reach(&self, cell: [u64; 3]) -> u64 {
        let [_, rows, columns] = [0, 1, 2].map(|axis| self.cell[axis].min(self.lengths[axis] - cell[axis]));
        ((rows - 1) * self.cell[2] + columns) * self.pixel
    }

    /// Where the strips or tiles begin.
    fn places(&self, reader: &Reader<'_>, tags: &Ifd) -> Result<Places, Refusal> {
        let counts = self.counts();
        let count = counts.iter().try_fold(1_u64, |count, &more| count.checked_mul(more));
        let count = count.filter(|&count| count <= MAX_PIECES).ok_or_else(too_many)?;
        let table = |[tiles, strips]: [u16; 2]| match reader.table(tags, tiles, count)? {
            Some(table) => Ok(Some(table)),
            None => reader.table(tags, strips, count),
        };
        let mut places = table([tag::TILE_OFFSETS, tag::STRIP_OFFSETS])?
            .ok_or_else(|| fault("one of its directories does not say where its strips or tiles are"))?;
        let sizes = table([tag::TILE_BYTES, tag::STRIP_BYTES])?;
        for (number, (place, cell)) in places.iter_mut().zip(self.cells()).enumerate() {
            let size = sizes.as_ref().and_then(|sizes| sizes.get(number)).copied();
            if (*place, size) == (0, Some(0)) {
                *place = NOWHERE;
                continue;
            }
            let bytes = self.reach(cell);
            if place.checked_add(bytes).is_none_or(|end| end > reader.len()) {
                return Err(truncated(&format!("its strip or tile {number}, of {bytes} bytes at byte {place},")));
            }
            // Where there is only one, its size is often wrong, and no program looks at it.
            if let Some(size) = size.filter(|&size| count > 1 && size < bytes) {
                return Err(fault(&format!(
                    "its strip or tile {number} has {size} bytes, and the elements in it take {bytes}"
                )));
            }
        }
        let start = places.first().copied().unwrap_or(NOWHERE);
        let follows = |(&place, cell)| place == start.saturating_add(self.packed(cell));
        if start != NOWHERE && self.cell[2] == self.lengths[2] && places.iter().zip(self.cells()).all(follows) {
            return Ok(Places::Packed(start));
        }
        reader.keep(count)?;
        Ok(Places::Cut(places))
    }
}
