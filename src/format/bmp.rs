//! BMP, also called DIB (`.bmp`, `.dib`): images of Windows and OS/2.
//!
//! Specification: Microsoft's documentation of `BITMAPFILEHEADER`, `BITMAPCOREHEADER`, `BITMAPINFOHEADER`, `BITMAPV4HEADER`
//! and `BITMAPV5HEADER`; IBM's "Bitmap File Formats" for OS/2. Everything is little-endian. A file is
//!
//! | at | bytes | what                                                                                    |
//! |----|-------|-----------------------------------------------------------------------------------------|
//! | 0  | 2     | `BM`                                                                                    |
//! | 2  | 8     | length of the file, and zeros: not believed, as no program does                         |
//! | 10 | 4     | first byte of the pixels                                                                |
//! | 14 | 4     | bytes of the header that begins here: 12 (core), 16 or 64 (OS/2), 40, 52, 56, 108 (V4), 124 (V5) |
//! | 18 | 4, 4  | columns, rows; rows are negative where the first one stands first (core: 2 and 2, unsigned) |
//! | 26 | 2     | 1                                                                                       |
//! | 28 | 2     | bits of a pixel (core: at 22 and 24)                                                    |
//! | 30 | 4     | 0: plain; 3, 6: with masks; others are compressed                                       |
//! | 38 | 4, 4  | pixels of a metre, across and down                                                      |
//! | 46 | 4     | colours of the palette; 0 with 8 bits: 256                                              |
//! | 54 | 4 each | masks of red, green and blue; of alpha from a header of 56 bytes on, or with 6         |
//! |    |       | the palette; the pixels                                                                 |
//!
//! Of a DIB the first 14 bytes may be missing; then the pixels begin behind the palette, whose colours take 4 bytes (core: 3).
//!
//! A row takes a multiple of 4 bytes. Rows stand from the bottom to the top, so that the stride of rows is negative,
//! unless the number of rows is.
//!
//! | bits   | array                    | elements                                                             |
//! |--------|--------------------------|----------------------------------------------------------------------|
//! | 8      | (row, column)            | `\|u1`: indices into the palette, which most often is grey           |
//! | 16     | (row, column)            | `<u2`: several colours in one; attribute `masks`                     |
//! | 24     | (row, column, channel)   | `\|u1`                                                               |
//! | 32     | (row, column, channel)   | `\|u1` if each mask is a byte, else `<u4` as with 16 bits            |
//! | others |                          | refused: several pixels in a byte, or another format inside          |
//!
//! The attribute `channels` names the last axis: `RGB` or `RGBA` where these bytes of a pixel lie at one distance from each other, though mostly
//! in reverse order in the file, so that the step along the axis is negative, and a byte that says nothing is left out; else the bytes as
//! they are stored, `BGRA` for one.
//!
//! Limits, and why: compressed pixels (RLE, JPEG, PNG inside) have no place of their own, and are refused. The palette is
//! left out, as colours are no elements.

use serde_json::json;

use crate::dtype::{ByteOrder, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES};
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::Layout;
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// Where the second header begins.
const FILE_HEADER: u64 = 14;

/// The lengths of the second header: of OS/2 1, and the others.
const SIZES: [u32; 8] = [12, 16, 40, 52, 56, 64, 108, 124];

/// The longest header.
const HEADER: u64 = FILE_HEADER + 124;

/// The masks of 16 bits and of 32, where a file has none: red, green, blue, alpha.
const USUAL_16: [u32; 4] = [0x7c00, 0x03e0, 0x001f, 0];
const USUAL_32: [u32; 4] = [0x00ff_0000, 0x0000_ff00, 0x0000_00ff, 0];

/// The BMP format.
#[derive(Clone, Copy, Debug)]
pub struct Bmp;

impl Format for Bmp {
    fn name(&self) -> &'static str {
        "bmp"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".bmp", ".dib"]
    }

    /// Two letters are few: the length of the second header must be one of those that there are.
    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(b"BM")
            && head.get(6..10) == Some(&[0; 4])
            && matches!(head.get(14..18), Some(&[size, 0, 0, 0]) if SIZES.contains(&size.into()))
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let header = Header::read(file)?;
        let layout = header.layout()?;
        layout.check().map_err(|error| fault(&format!("its header claims an image that cannot be: {error}")))?;
        header::complete(&layout, file.len())?;
        let dtype = header::scalar(Kind::Uint, ByteOrder::Little, layout.itemsize);
        let dims = ["row", "column", "channel"].iter().take(layout.shape.len());
        Ok(Content::One(Array {
            dims: dims.map(|&name| name.to_owned()).collect(),
            attributes: header.attributes().into_map(),
            ..Array::new(self.name(), dtype, Grid::one(layout))
        }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again, or rename it"))
}

/// Both headers.
#[derive(Debug)]
struct Header {
    /// First byte of the pixels.
    start: u64,
    columns: u64,
    rows: u64,
    is_top_down: bool,
    bits: u16,
    /// Pixels of a metre.
    resolution: [u32; 2],
    /// Which bits of a pixel are red, green, blue and alpha.
    masks: [u32; 4],
}

impl Header {
    fn read(file: &dyn ReadAt) -> Result<Header, Refusal> {
        let mut cursor = Cursor::new(file, "BMP", HEADER);
        let (start, size) = match cursor.array()? {
            [b'B', b'M'] => {
                cursor.skip(8)?;
                (Some(u64::from(cursor.u32()?)), cursor.u32()?)
            }
            [size, 0] if SIZES.contains(&size.into()) && cursor.u16()? == 0 => (None, size.into()),
            _ => return Err(fault("it begins neither with the magic bytes BM nor with the length of a header")),
        };
        let second = cursor.position() - 4;
        let (columns, rows) = match size {
            12 => (cursor.u16()?.into(), cursor.u16()?.into()),
            size if SIZES.contains(&size) => (cursor.u32()?.cast_signed(), cursor.u32()?.cast_signed()),
            _ => return Err(fault(&format!("its second header claims {size} bytes, and BMP has none of this length"))),
        };
        let columns = u64::try_from(columns).map_err(|_| fault(&format!("its header claims {columns} columns")))?;
        let (_planes, bits) = (cursor.u16()?, cursor.u16()?);
        let compression = if size > 16 { cursor.u32()? } else { 0 };
        // OS/2 has compressions of its own under the same numbers.
        plain(compression, bits, size == 64)?;
        let (mut resolution, mut colours) = ([0; 2], 0);
        let mut masks = if bits == 16 { USUAL_16 } else { USUAL_32 };
        if size >= 40 {
            cursor.skip(4)?;
            resolution = [cursor.u32()?, cursor.u32()?];
            colours = cursor.u32()?.into();
            cursor.skip(4)?;
        }
        if matches!(compression, 3 | 6) {
            let alpha = size >= 56 || compression == 6;
            let mut next = |is_there: bool| if is_there { cursor.u32() } else { Ok(0) };
            masks = [next(true)?, next(true)?, next(true)?, next(alpha)?];
        }
        let end = cursor.position().max(second + u64::from(size));
        if bits == 8 && colours == 0 {
            colours = 256;
        }
        let start = start.unwrap_or(end + colours * if size == 12 { 3 } else { 4 });
        if start < end {
            return Err(fault(&format!("its header claims pixels at byte {start}, within the header")));
        }
        let (is_top_down, rows) = (rows < 0, u64::from(rows.unsigned_abs()));
        Ok(Header { start, columns, rows, is_top_down, bits, resolution, masks })
    }

    /// The colour of each byte of a pixel, if they are bytes.
    fn channels(&self) -> Option<String> {
        let mask = |letter: char, mask: u32| (0..4).find(|byte| mask == 0xff << (8 * byte)).map(|byte| (byte, letter));
        match self.bits {
            24 => Some("BGR".into()),
            32 => {
                let mut letters = ['X'; 4];
                for (letter, bits) in "RGBA".chars().zip(self.masks) {
                    match mask(letter, bits) {
                        Some((byte, letter)) => letters[byte] = letter,
                        None if bits == 0 => {}
                        None => return None,
                    }
                }
                Some(letters.iter().collect())
            }
            _ => None,
        }
    }

    fn layout(&self) -> Result<Layout, Refusal> {
        let pixel = u64::from(self.bits) / 8;
        // None of the numbers has more than 32 bits.
        let stride = (self.columns * pixel).next_multiple_of(4);
        let last = stride.checked_mul(self.rows.saturating_sub(1)).and_then(|bytes| bytes.checked_add(self.start));
        let last = last.ok_or_else(|| fault("its header claims an image that is larger than any file can be"))?;
        let (offset, down) = if self.is_top_down { (self.start, stride as i64) } else { (last, -(stride as i64)) };
        let (mut shape, mut strides) = (vec![self.rows, self.columns], vec![down, pixel as i64]);
        let (mut offset, mut itemsize) = (offset, pixel);
        if let Some((_, first, step, count)) = self.shown() {
            offset += first;
            shape.push(count);
            strides.push(step);
            itemsize = 1;
        }
        Ok(Layout { offset, shape, strides, itemsize })
    }

    /// The channels as they are shown, the byte of the first, the step from one to the next, and their number: red, green, blue
    /// and opacity where the bytes lie so that a step leads from one to the next, else as they are stored.
    fn shown(&self) -> Option<(String, u64, i64, u64)> {
        let stored = self.channels()?;
        let place = |letter: char| stored.find(letter).map(|place| place as i64);
        let whole = |stored: String| {
            let count = stored.len() as u64;
            (stored, 0, 1, count)
        };
        let (Some(red), Some(green), Some(blue)) = (place('R'), place('G'), place('B')) else {
            return Some(whole(stored));
        };
        let step = green - red;
        match place('A') {
            _ if blue - green != step => Some(whole(stored)),
            None => Some(("RGB".into(), red as u64, step, 3)),
            Some(alpha) if alpha - blue == step => Some(("RGBA".into(), red as u64, step, 4)),
            Some(_) => Some(whole(stored)),
        }
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("bits", self.bits.into());
        match self.shown() {
            Some((channels, ..)) => attributes.insert("channels", channels.into()),
            None if self.bits > 8 => {
                let masks = self.masks.map(|mask| format!("0x{mask:x}"));
                attributes.insert("masks", json!({"R": masks[0], "G": masks[1], "B": masks[2], "A": masks[3]}));
            }
            None => {}
        }
        if self.resolution != [0; 2] {
            attributes.insert("pixels_per_metre", json!(self.resolution));
        }
        attributes
    }
}

/// Refuses pixels that have no address.
fn plain(compression: u32, bits: u16, is_os2: bool) -> Result<(), Refusal> {
    let codec = match compression {
        0 => None,
        1 => Some("RLE"),
        2 => Some("RLE with 4 bits"),
        3 if is_os2 => Some("CCITT group 3"),
        4 if is_os2 => Some("RLE with 24 bits"),
        3 | 6 => None,
        4 => Some("JPEG"),
        5 => Some("PNG"),
        _ => return Err(fault(&format!("its header names compression {compression}, which BMP does not know"))),
    };
    if let Some(codec) = codec {
        return Err(Refusal(format!(
            "it is compressed with {codec}, so that no pixel has an address; save it uncompressed, for example with Pillow: \
             Image.open(IN).save(OUT)"
        )));
    }
    match bits {
        16 | 32 => Ok(()),
        8 | 24 if compression == 0 => Ok(()),
        1 | 2 | 4 => Err(Refusal(format!(
            "its pixels take {bits} bits, so that several share a byte; save it with 24, for example with Pillow: \
             Image.open(IN).convert(\"RGB\").save(OUT)"
        ))),
        _ => Err(fault(&format!("its header claims pixels of {bits} bits, which BMP has not in this form"))),
    }
}
