//! Reading image file directories (IFDs): the tags of a page, and their values.
//!
//! | bytes (BigTIFF) | of a directory                                                                         |
//! |-----------------|----------------------------------------------------------------------------------------|
//! | 2 (8)           | number of tags                                                                         |
//! | 12 (20) each    | a tag: 2: its number; 2: its type; 4 (8): how many values; 4 (8): these, or where they are |
//! | 4 (8)           | where the next directory is, or 0                                                      |
//!
//! | type        | a value                  | type   | a value                        |
//! |-------------|--------------------------|--------|--------------------------------|
//! | 1, 2, 6, 7  | 1 byte; 2 is text        | 5, 10  | 8: numerator and denominator   |
//! | 3, 8        | 2 bytes                  | 11, 12 | IEEE 754, 4 and 8 bytes        |
//! | 4, 9, 13    | 4 bytes                  | 16-18  | 8 bytes                        |

use std::cell::Cell;

use super::{MAX_PIECES, MAX_TAGS, fault, too_many, truncated};
use crate::dtype::ByteOrder;
use crate::format::Refusal;
use crate::format::header::{self, MAX_LIST};
use crate::source::ReadAt;

/// All directories may be read about so many times over: by a file whose directories do not share their bytes, twice.
const TIMES: u64 = 4;

/// So many bytes are read of any file.
const FREE: u64 = 64 << 10;

/// A TIFF file, read directory by directory.
pub(super) struct Reader<'a> {
    file: &'a dyn ReadAt,
    pub(super) order: ByteOrder,
    pub(super) is_big: bool,
    /// Bytes that may still be read.
    room: Cell<u64>,
    /// Strips and tiles whose places may still be kept.
    pieces: Cell<u64>,
}

/// The tags of a page.
pub(super) struct Ifd(Vec<Tag>);

/// A tag, as far as it stands in the directory.
#[derive(Clone, Copy)]
struct Tag {
    number: u16,
    kind: u16,
    count: u64,
    /// Its values, or where they are.
    field: [u8; 8],
}

impl<'a> Reader<'a> {
    /// Reads the header. With it goes the place of the first directory.
    pub(super) fn open(file: &'a dyn ReadAt) -> Result<(Reader<'a>, u64), Refusal> {
        let mut head = [0; 16];
        let count = file.read_at(&mut head, 0)?;
        let order = match &head[..2] {
            b"II" => ByteOrder::Little,
            b"MM" => ByteOrder::Big,
            _ => ByteOrder::None,
        };
        let room = file.len().saturating_mul(TIMES).saturating_add(FREE);
        let mut reader = Reader { file, order, is_big: false, room: Cell::new(room), pieces: Cell::new(MAX_PIECES) };
        reader.is_big = match reader.uint(&head[2..4]) {
            42 if order != ByteOrder::None => false,
            43 if order != ByteOrder::None => true,
            _ => {
                return Err(Refusal(
                    "it does not begin with II or MM and the number 42 or 43: it is a file of another kind, or damaged; \
                     rename it, or save it again as TIFF"
                        .into(),
                ));
            }
        };
        if count < if reader.is_big { 16 } else { 8 } {
            return Err(truncated("its header"));
        }
        if reader.is_big && reader.uint(&head[4..8]) != if order == ByteOrder::Big { 8 << 16 } else { 8 } {
            return Err(fault("its BigTIFF header gives offsets another size than 8 bytes"));
        }
        let first = if reader.is_big { reader.uint(&head[8..16]) } else { reader.uint(&head[4..8]) };
        Ok((reader, first))
    }

    /// Length of the file.
    pub(super) fn len(&self) -> u64 {
        self.file.len()
    }

    /// A number of at most 8 bytes.
    fn uint(&self, bytes: &[u8]) -> u64 {
        let join = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        if self.order == ByteOrder::Big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }

    /// The bytes at an offset. Nothing is allocated that the file does not hold.
    fn bytes(&self, at: u64, count: u64, what: &str) -> Result<Vec<u8>, Refusal> {
        if at.checked_add(count).is_none_or(|end| end > self.file.len()) {
            return Err(truncated(what));
        }
        let room = self.room.get().checked_sub(count);
        self.room.set(room.ok_or_else(|| fault("its directories and tables overlap"))?);
        let mut bytes = vec![0; count as usize];
        if self.file.read_at(&mut bytes, at)? < bytes.len() {
            return Err(truncated(what));
        }
        Ok(bytes)
    }

    /// The directory at an offset, and where the next one is; 0 behind the last.
    pub(super) fn ifd(&self, at: u64) -> Result<(Ifd, u64), Refusal> {
        const WHAT: &str = "one of its directories";
        let (head, size, field) = if self.is_big { (8, 20, 12) } else { (2, 12, 8) };
        let count = self.uint(&self.bytes(at, head, WHAT)?);
        if count == 0 || count > MAX_TAGS {
            return Err(fault(&format!("its directory at byte {at} claims {count} tags, and has 1 to {MAX_TAGS}")));
        }
        let next = field as u64 - 4;
        let bytes = self.bytes(at.saturating_add(head), count * size + next, WHAT)?;
        let (entries, next) = bytes.split_at(bytes.len() - next as usize);
        let tag = |entry: &[u8]| {
            let mut tag = Tag {
                number: self.uint(&entry[..2]) as u16,
                kind: self.uint(&entry[2..4]) as u16,
                count: self.uint(&entry[4..field]),
                field: [0; 8],
            };
            tag.field[..entry.len() - field].copy_from_slice(&entry[field..]);
            tag
        };
        Ok((Ifd(entries.chunks_exact(size as usize).map(tag).collect()), self.uint(next)))
    }

    /// The bytes of a tag, at most `most` of its values.
    fn values(&self, tag: &Tag, most: u64) -> Result<Vec<u8>, Refusal> {
        let Some(size) = size(tag.kind) else { return Ok(Vec::new()) };
        let inline = if self.is_big { 8 } else { 4 };
        let length = tag.count.min(most).saturating_mul(size);
        if tag.count.saturating_mul(size) <= inline {
            return Ok(tag.field[..length as usize].to_vec());
        }
        self.bytes(self.uint(&tag.field[..inline as usize]), length, &format!("the values of its tag {}", tag.number))
    }

    /// The numbers of a tag, at most `most` of them; nothing if there is no such tag.
    pub(super) fn numbers(&self, ifd: &Ifd, number: u16, most: u64) -> Result<Option<Vec<u64>>, Refusal> {
        let Some(tag) = ifd.find(number) else { return Ok(None) };
        let size = match tag.kind {
            1 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            kind => return Err(fault(&format!("its tag {number} is of type {kind}, and should be of counts"))),
        };
        let values = self.values(tag, most)?;
        Ok(Some(values.chunks_exact(size).map(|value| self.uint(value)).collect()))
    }

    /// The only number of a tag, or its first.
    pub(super) fn number(&self, ifd: &Ifd, number: u16) -> Result<Option<u64>, Refusal> {
        Ok(self.numbers(ifd, number, 1)?.and_then(|numbers| numbers.first().copied()))
    }

    /// Where `count` strips or tiles lie, or how long they are.
    pub(super) fn table(&self, ifd: &Ifd, number: u16, count: u64) -> Result<Option<Vec<u64>>, Refusal> {
        let Some(tag) = ifd.find(number) else { return Ok(None) };
        if tag.count < count {
            let there = tag.count;
            return Err(fault(&format!(
                "its tag {number} has {there} entries, and the page has {count} strips or tiles"
            )));
        }
        self.numbers(ifd, number, count)
    }

    /// Counts strips or tiles whose places are kept towards those of the file.
    pub(super) fn keep(&self, pieces: u64) -> Result<(), Refusal> {
        self.pieces.set(self.pieces.get().checked_sub(pieces).ok_or_else(too_many)?);
        Ok(())
    }

    /// The floats of a tag, as far as they are that, or fractions.
    pub(super) fn floats(&self, ifd: &Ifd, number: u16) -> Result<Vec<f64>, Refusal> {
        let Some(tag) = ifd.find(number) else { return Ok(Vec::new()) };
        let values = self.values(tag, MAX_LIST)?;
        let float = |value: &[u8]| match tag.kind {
            5 => self.uint(&value[..4]) as f64 / self.uint(&value[4..]) as f64,
            11 => f64::from(f32::from_bits(self.uint(value) as u32)),
            _ => f64::from_bits(self.uint(value)),
        };
        Ok(match tag.kind {
            5 | 12 => values.chunks_exact(8).map(float).collect(),
            11 => values.chunks_exact(4).map(float).collect(),
            _ => Vec::new(),
        })
    }

    /// The texts of a tag, which may stand several times: of each at most `most` bytes.
    pub(super) fn texts(&self, ifd: &Ifd, number: u16, most: u64) -> Result<Vec<String>, Refusal> {
        let tags = ifd.0.iter().filter(|tag| tag.number == number && matches!(tag.kind, 1 | 2 | 7));
        tags.map(|tag| Ok(header::text(&self.values(tag, most)?))).collect()
    }
}

impl Ifd {
    /// The first tag of this number.
    fn find(&self, number: u16) -> Option<&Tag> {
        self.0.iter().find(|tag| tag.number == number)
    }

    /// How many values a tag claims; 0 if there is no such tag.
    pub(super) fn count(&self, number: u16) -> u64 {
        self.find(number).map_or(0, |tag| tag.count)
    }

    /// Whether there is a tag of this number.
    pub(super) fn has(&self, number: u16) -> bool {
        self.find(number).is_some()
    }
}

/// Bytes of a value of this type, if it is known.
fn size(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}
