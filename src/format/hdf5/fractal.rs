//! Fractal heaps: where groups keep many links, objects many attributes, and files shared messages.
//!
//! The space of a heap is cut into rows of blocks: as many in a row as the table is wide, all of a row of one size,
//! which is that of the first row in the second, too, and doubles from there on. Up to a certain size these are
//! direct blocks, which hold objects; larger ones are indirect: tables again. An object's id says where it is.
//!
//! | id           | what                                                              |
//! |--------------|-------------------------------------------------------------------|
//! | `0x00`...    | offset in the heap's space, length                                |
//! | `0x10`...    | a huge object, alone in the file: its key in a B-tree, or its address and length |
//! | `0x20 + n`.. | a tiny one: `n + 1` bytes in the id itself                        |

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::btree::Tree;
use super::checksum::lookup3;
use super::file::{Cursor, File, encoded_size};
use super::{MAX_BLOCK, damaged};
use crate::format::Refusal;

const WHAT: &str = "fractal heap";

/// The type of the B-tree of huge objects that are found by a key.
const HUGE: u8 = 1;

/// Indirect blocks nest at most so deep: each level at least doubles the space of 64 bits.
const MAX_DEPTH: usize = 64;

/// A fractal heap.
pub(super) struct Heap {
    address: u64,
    id_size: usize,
    /// Whether direct blocks have checksums.
    checked: bool,
    huge: Option<u64>,
    width: u64,
    start_size: u64,
    max_direct: u64,
    /// Bytes of an offset, and of the length of an object.
    offset_size: usize,
    length_size: usize,
    root: Option<u64>,
    /// Rows of the root; if there are none it is a direct block.
    rows: u64,
    /// Blocks that were read.
    blocks: RefCell<HashMap<u64, Rc<Vec<u8>>>>,
    /// Their bytes.
    held: RefCell<u64>,
}

impl Heap {
    /// The heap at an address.
    pub(super) fn open(file: &File<'_>, address: u64) -> Result<Heap, Refusal> {
        let (offset, length) = (file.offset_size as u64, file.length_size as u64);
        let size = 14 + 12 * length + 3 * offset + 12;
        let head = file.read(address, size - 4, WHAT)?;
        let mut cursor = Cursor::new(&head, WHAT);
        cursor.signature(b"FRHP", 0)?;
        let id_size = cursor.u16()?.into();
        if cursor.u16()? > 0 {
            return Err(Refusal("one of its fractal heaps is compressed, which is not read; use h5repack".into()));
        }
        file.read_checked(address, size, WHAT)?;
        let checked = cursor.u8()? & 2 != 0;
        let max_managed = u64::from(cursor.u32()?);
        file.length(&mut cursor)?;
        let huge = file.address(&mut cursor)?;
        file.length(&mut cursor)?;
        file.address(&mut cursor)?;
        cursor.skip(8 * file.length_size)?;
        let width = u64::from(cursor.u16()?);
        let start_size = file.length(&mut cursor)?;
        let max_direct = file.length(&mut cursor)?;
        let bits = cursor.u16()?;
        cursor.skip(2)?;
        let root = file.address(&mut cursor)?;
        let rows = u64::from(cursor.u16()?);
        let powers = [width, start_size, max_direct].iter().all(|size| size.is_power_of_two());
        if !powers || bits > 64 || start_size > max_direct || width.checked_mul(start_size).is_none() {
            return Err(damaged("one of its fractal heaps has blocks of sizes that cannot be"));
        }
        let length_size = usize::min((max_direct.ilog2() as usize).div_ceil(8), encoded_size(max_managed));
        Ok(Heap {
            address,
            id_size,
            checked,
            huge,
            width,
            start_size,
            max_direct,
            offset_size: usize::from(bits).div_ceil(8),
            length_size,
            root,
            rows,
            blocks: RefCell::default(),
            held: RefCell::default(),
        })
    }

    /// The object that an id names.
    pub(super) fn object(&self, file: &File<'_>, id: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut cursor = Cursor::new(id, WHAT);
        let first = cursor.u8()?;
        match first >> 4 {
            0 => {
                let offset = cursor.uint(self.offset_size)?;
                let length = cursor.uint(self.length_size)?;
                file.spend(length)?;
                self.managed(file, offset, length)
            }
            1 => self.huge(file, cursor),
            2 if self.id_size <= 17 => Ok(cursor.take(usize::from(first & 15) + 1)?.to_vec()),
            2 => {
                let length = usize::from(first & 15) << 8 | usize::from(cursor.u8()?);
                Ok(cursor.take(length + 1)?.to_vec())
            }
            _ => Err(damaged("one of its fractal heaps has an object of no known kind")),
        }
    }

    fn huge(&self, file: &File<'_>, mut cursor: Cursor<'_>) -> Result<Vec<u8>, Refusal> {
        let missing = || damaged("one of its fractal heaps lacks a huge object");
        if file.offset_size + file.length_size < self.id_size {
            // Both fit into the id.
            let address = file.address(&mut cursor)?.ok_or_else(missing)?;
            return file.read(address, file.length(&mut cursor)?, WHAT);
        }
        let key_size = usize::min(self.id_size.saturating_sub(1), 8);
        let key = cursor.uint(key_size)?;
        let mut found = None;
        Tree::open(file, self.huge.ok_or_else(missing)?, HUGE)?.each(file, &mut |record| {
            let mut cursor = Cursor::new(record, WHAT);
            let (address, length) = (file.address(&mut cursor)?, file.length(&mut cursor)?);
            if file.length(&mut cursor)? == key {
                found = address.map(|address| (address, length));
            }
            Ok(())
        })?;
        let (address, length) = found.ok_or_else(missing)?;
        file.read(address, length, WHAT)
    }

    /// `length` bytes at an offset in the heap's space.
    fn managed(&self, file: &File<'_>, offset: u64, length: u64) -> Result<Vec<u8>, Refusal> {
        let lost = || damaged("one of its fractal heaps has an object where there is no block");
        let mut address = self.root.ok_or_else(lost)?;
        let (mut rows, mut inside) = (self.rows, offset);
        let mut size = self.start_size;
        if rows > 0 {
            for depth in 0.. {
                let (row, column, start) = self.locate(inside);
                inside -= start;
                size = self.row_size(row).ok_or_else(lost)?;
                if row >= rows || depth == MAX_DEPTH {
                    return Err(lost());
                }
                let table = self.indirect(file, address, rows)?;
                let at = (row * self.width + column) as usize * file.offset_size;
                address = file.address(&mut Cursor::new(&table[at..], WHAT))?.ok_or_else(lost)?;
                if size <= self.max_direct {
                    break;
                }
                // The rows whose blocks all together are as large as this one.
                rows = (size / self.start_size / self.width).checked_ilog2().ok_or_else(lost)?.into();
                rows += 1;
            }
        }
        let block = self.direct(file, address, size)?;
        let object = usize::try_from(inside).ok().zip(usize::try_from(length).ok());
        let object = object.and_then(|(start, length)| block.get(start..start.checked_add(length)?));
        object.map(<[u8]>::to_vec).ok_or_else(lost)
    }

    /// Row and column of the block that holds an offset, and the offset at which it begins.
    fn locate(&self, offset: u64) -> (u64, u64, u64) {
        let first_row = self.width * self.start_size;
        let row = (offset / first_row).checked_ilog2().map_or(0, |power| u64::from(power) + 1);
        let row_start = if row == 0 { 0 } else { first_row << (row - 1) };
        let size = self.row_size(row).unwrap_or(u64::MAX);
        let column = (offset - row_start) / size;
        (row, column, row_start + column * size)
    }

    /// Size of the blocks of a row.
    fn row_size(&self, row: u64) -> Option<u64> {
        1_u64.checked_shl(row.saturating_sub(1) as u32).and_then(|factor| self.start_size.checked_mul(factor))
    }

    /// The addresses in an indirect block of so many rows.
    fn indirect(&self, file: &File<'_>, address: u64, rows: u64) -> Result<Rc<Vec<u8>>, Refusal> {
        let prefix = 5 + file.offset_size + self.offset_size;
        let size = rows
            .checked_mul(self.width)
            .and_then(|entries| entries.checked_mul(file.offset_size as u64)?.checked_add(prefix as u64 + 4))
            .ok_or_else(|| damaged("one of its fractal heaps is larger than a file can be"))?;
        self.block(address, |heap| {
            let block = file.read_checked(address, size, WHAT)?;
            heap.check_prefix(file, &block, b"FHIB")?;
            Ok(block[prefix..].to_vec())
        })
    }

    /// A direct block, prefix and all, since offsets count from its start.
    fn direct(&self, file: &File<'_>, address: u64, size: u64) -> Result<Rc<Vec<u8>>, Refusal> {
        self.block(address, |heap| {
            let mut block = file.read(address, size, WHAT)?;
            heap.check_prefix(file, &block, b"FHDB")?;
            let at = 5 + file.offset_size + heap.offset_size;
            if heap.checked && block.len() >= at + 4 {
                // The checksum was computed with zeros in its place.
                let stored = Cursor::new(&block[at..], WHAT).u32()?;
                block[at..at + 4].fill(0);
                if lookup3(&block) != stored {
                    return Err(damaged("the checksum of a block of one of its fractal heaps is wrong"));
                }
            }
            Ok(block)
        })
    }

    /// Signature, version, and the heap that a block belongs to.
    fn check_prefix(&self, file: &File<'_>, block: &[u8], signature: &[u8; 4]) -> Result<(), Refusal> {
        let mut cursor = Cursor::new(block, WHAT);
        cursor.signature(signature, 0)?;
        if file.address(&mut cursor)? == Some(self.address) {
            Ok(())
        } else {
            Err(damaged("a block of one of its fractal heaps belongs to another"))
        }
    }

    /// A block at hand, or made so.
    fn block(
        &self,
        address: u64,
        read: impl FnOnce(&Heap) -> Result<Vec<u8>, Refusal>,
    ) -> Result<Rc<Vec<u8>>, Refusal> {
        if let Some(block) = self.blocks.borrow().get(&address) {
            return Ok(block.clone());
        }
        let block = Rc::new(read(self)?);
        let (mut blocks, mut held) = (self.blocks.borrow_mut(), self.held.borrow_mut());
        if *held > MAX_BLOCK {
            blocks.clear();
            *held = 0;
        }
        *held += block.len() as u64;
        blocks.insert(address, block.clone());
        Ok(block)
    }
}
