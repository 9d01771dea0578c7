//! A PNG without compression, any part of which can be made by itself.
//!
//! The pixels stand in stored blocks of deflate, each in a chunk of its own, so that the place of every byte follows from the
//! dimensions, and the checksum of a chunk from the pixels in it:
//!
//! ```text
//! signature, IHDR, PLTE if there is one, IDAT with the 2 bytes with which zlib begins
//! IDAT with a block of 65535 bytes; more of them; IDAT with a block of the rest
//! IDAT with the 4 bytes with which zlib ends, IEND
//! ```
//!
//! Only those 4 bytes, the Adler-32 of all the others, need the whole picture. Who reads from the first byte to the last has them on
//! the way ([`Sum`]); otherwise the picture is read once for them.

use std::ops::Range;

use adler2::Adler32;

/// Bytes of rows in a chunk: as many as a stored block can hold.
const BLOCK: u64 = 65535;
/// What stands before them: length and name of the chunk, head of the block. Behind them stands the checksum of the chunk.
const BEFORE: u64 = 4 + 4 + 5;
const CHECKSUM: u64 = 4;
const CHUNK: u64 = BEFORE + BLOCK + CHECKSUM;
/// The chunk with the end of zlib, and the last one.
const TAIL: u64 = 16 + 12;
/// The largest width and height.
const LONGEST: u64 = i32::MAX as u64;
/// Bytes that are read at once for nothing but their sum.
const PASS: u64 = 256 << 10;

/// What a pixel consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Grey,
    Colour,
    Opacity,
    Palette,
}

/// A picture without compression.
#[derive(Clone, Debug)]
pub struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) kind: Kind,
    /// Bits of a sample: 8 or 16.
    pub(super) depth: u8,
    head: Vec<u8>,
    /// Bytes of the pixels in a row.
    row: u64,
    /// Bytes of all rows, with the byte that stands before each.
    raw: u64,
}

/// The Adler-32 of the rows so far.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    at: u64,
    sum: u32,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { at: 0, sum: Adler32::new().checksum() }
    }
}

impl Sum {
    /// Takes bytes of the rows, from byte `start` on. A reader who begins anew sees the array as it is now.
    fn take(&mut self, start: u64, bytes: &[u8]) {
        if start == 0 {
            *self = Sum::default();
        }
        let known = self.at.checked_sub(start).and_then(|known| usize::try_from(known).ok());
        if let Some(new) = known.and_then(|known| bytes.get(known..)) {
            let mut adler = Adler32::from_checksum(self.sum);
            adler.write_slice(new);
            *self = Sum { at: start + bytes.len() as u64, sum: adler.checksum() };
        }
    }
}

/// Gives bytes of the pixels, rows without gaps, from a byte on.
pub type Pixels<'a, E> = dyn FnMut(u64, &mut [u8]) -> Result<(), E> + 'a;

impl Picture {
    /// A picture of 1 (grey), 3 (colours) or 4 (colours and opacity) samples of `depth` bits for each pixel; nothing if PNG has no room
    /// for it.
    pub fn new(width: u64, height: u64, samples: u8, depth: u8) -> Option<Picture> {
        let kind = match samples {
            1 => Kind::Grey,
            3 => Kind::Colour,
            4 => Kind::Opacity,
            _ => return None,
        };
        Picture::of_kind(width, height, kind, depth, &[])
    }

    /// A picture of at most 256 colours.
    pub(super) fn indexed(width: u64, height: u64, palette: &[[u8; 3]]) -> Option<Picture> {
        Picture::of_kind(width, height, Kind::Palette, 8, palette)
    }

    fn of_kind(width: u64, height: u64, kind: Kind, depth: u8, palette: &[[u8; 3]]) -> Option<Picture> {
        if width == 0 || height == 0 || width.max(height) > LONGEST {
            return None;
        }
        let row = width * kind.samples() * u64::from(depth / 8);
        let raw = (row + 1).checked_mul(height).filter(|&raw| raw <= (i64::MAX / 2) as u64)?;
        let (width, height) = (width as u32, height as u32);
        let mut head = b"\x89PNG\r\n\x1a\n".to_vec();
        let colours = match kind {
            Kind::Grey => 0,
            Kind::Colour => 2,
            Kind::Palette => 3,
            Kind::Opacity => 6,
        };
        let sizes = [width.to_be_bytes(), height.to_be_bytes()];
        chunk(&mut head, b"IHDR", &[sizes.as_flattened(), &[depth, colours, 0, 0, 0]].concat());
        if kind == Kind::Palette {
            chunk(&mut head, b"PLTE", palette.as_flattened());
        }
        // Deflate with a window of 32 KiB, no compression; the number that they are is a multiple of 31.
        chunk(&mut head, b"IDAT", &[0x78, 0x01]);
        Some(Picture { width, height, kind, depth, head, row, raw })
    }

    /// Length of the file in bytes.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> u64 {
        self.end_of_blocks() + TAIL
    }

    /// Bytes of a pixel.
    pub fn pixel(&self) -> u64 {
        self.row / u64::from(self.width)
    }

    /// Bytes of the pixels in a row.
    pub fn row(&self) -> u64 {
        self.row
    }

    fn end_of_blocks(&self) -> u64 {
        self.head.len() as u64 + self.raw + self.raw.div_ceil(BLOCK) * (BEFORE + CHECKSUM)
    }

    /// Makes the bytes of a window of the file, out of pixels in the order of bytes that PNG has, the highest first.
    ///
    /// # Errors
    /// Those of `pixels`.
    pub fn read<E>(
        &self,
        window: Range<u64>,
        target: &mut [u8],
        sum: &mut Sum,
        pixels: &mut Pixels<'_, E>,
    ) -> Result<(), E> {
        let (head, end) = (self.head.len() as u64, self.end_of_blocks());
        let mut at = window.start;
        while at < window.end {
            let target = &mut target[(at - window.start) as usize..(window.end - window.start) as usize];
            let most = window.end - at;
            let count = if at < head {
                let count = most.min(head - at);
                target[..count as usize].copy_from_slice(&self.head[at as usize..(at + count) as usize]);
                count
            } else if at < end {
                let (number, start) = ((at - head) / CHUNK, (at - head) % CHUNK);
                let size = BEFORE + self.block(number) + CHECKSUM;
                let count = most.min(size - start);
                self.read_chunk(number, start..start + count, &mut target[..count as usize], sum, pixels)?;
                count
            } else {
                self.read_tail(at - end, target, sum, pixels)?;
                most
            };
            at += count;
        }
        Ok(())
    }

    /// Bytes of rows in a chunk.
    fn block(&self, number: u64) -> u64 {
        BLOCK.min(self.raw - number * BLOCK)
    }

    fn read_chunk<E>(
        &self,
        number: u64,
        part: Range<u64>,
        target: &mut [u8],
        sum: &mut Sum,
        pixels: &mut Pixels<'_, E>,
    ) -> Result<(), E> {
        let block = self.block(number);
        let whole = 0..BEFORE + block + CHECKSUM;
        let has_checksum = part.end > BEFORE + block;
        if has_checksum && part != whole {
            // All of the chunk, for its checksum.
            let mut chunk = vec![0; whole.end as usize];
            self.read_chunk(number, whole, &mut chunk, sum, pixels)?;
            target.copy_from_slice(&chunk[part.start as usize..part.end as usize]);
            return Ok(());
        }
        let is_last = (number + 1) * BLOCK >= self.raw;
        let mut before = [0; BEFORE as usize];
        before[..4].copy_from_slice(&(block as u32 + 5).to_be_bytes());
        before[4..8].copy_from_slice(b"IDAT");
        before[8] = u8::from(is_last);
        before[9..11].copy_from_slice(&(block as u16).to_le_bytes());
        before[11..].copy_from_slice(&(!(block as u16)).to_le_bytes());
        let (low, high) = (part.start.clamp(BEFORE, BEFORE + block), part.end.clamp(BEFORE, BEFORE + block));
        if part.start < BEFORE {
            let end = part.end.min(BEFORE);
            target[..(end - part.start) as usize].copy_from_slice(&before[part.start as usize..end as usize]);
        }
        if low < high {
            let rows = &mut target[(low - part.start) as usize..(high - part.start) as usize];
            let first = number * BLOCK + low - BEFORE;
            self.rows(first, rows, pixels)?;
            sum.take(first, rows);
        }
        if has_checksum {
            let (chunk, checksum) = target.split_at_mut((BEFORE + block) as usize);
            checksum.copy_from_slice(&crc32fast::hash(&chunk[4..]).to_be_bytes());
        }
        Ok(())
    }

    /// Bytes of rows, each with a 0 before it, which says that its pixels are as they are.
    fn rows<E>(&self, first: u64, target: &mut [u8], pixels: &mut Pixels<'_, E>) -> Result<(), E> {
        let whole = self.row + 1;
        let pixel = |at: u64| at / whole * self.row + (at % whole).saturating_sub(1);
        let (start, end) = (pixel(first), pixel(first + target.len() as u64));
        // The pixels are fetched at once, to the end of the room, and move up row by row.
        let mut from = target.len() - (end - start) as usize;
        if end > start {
            pixels(start, &mut target[from..])?;
        }
        let mut to = 0;
        while to < target.len() {
            let inside = (first + to as u64) % whole;
            if inside == 0 {
                target[to] = 0;
                to += 1;
                continue;
            }
            let count = ((whole - inside).min((target.len() - to) as u64)) as usize;
            if from != to {
                target.copy_within(from..from + count, to);
            }
            (from, to) = (from + count, to + count);
        }
        Ok(())
    }

    fn read_tail<E>(&self, start: u64, target: &mut [u8], sum: &mut Sum, pixels: &mut Pixels<'_, E>) -> Result<(), E> {
        // Behind length and name.
        if start < 16 && start + target.len() as u64 > 8 && sum.at < self.raw {
            let mut rows = vec![0; self.raw.min(PASS) as usize];
            while sum.at < self.raw {
                let (at, count) = (sum.at, PASS.min(self.raw - sum.at) as usize);
                self.rows(at, &mut rows[..count], pixels)?;
                sum.take(at, &rows[..count]);
            }
        }
        let mut tail = Vec::with_capacity(TAIL as usize);
        chunk(&mut tail, b"IDAT", &sum.sum.to_be_bytes());
        chunk(&mut tail, b"IEND", &[]);
        target.copy_from_slice(&tail[start as usize..start as usize + target.len()]);
        Ok(())
    }
}

impl Kind {
    pub(super) fn samples(self) -> u64 {
        match self {
            Kind::Grey | Kind::Palette => 1,
            Kind::Colour => 3,
            Kind::Opacity => 4,
        }
    }
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(name);
    out.extend(data);
    out.extend(crc32fast::hash(&out[start..]).to_be_bytes());
}
