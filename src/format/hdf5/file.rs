//! The file as the parsers of its structures see it: blocks at addresses, read within limits, and a cursor over them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::checksum::lookup3;
use super::{MAX_BLOCK, damaged};
use crate::format::Refusal;
use crate::source::ReadAt;

/// So many collections of the global heap are kept at hand: their objects are small, and neighbours are asked for
/// one after the other.
const KEPT_COLLECTIONS: usize = 16;

/// What a read costs beside its bytes: as much as that many.
const COST: u64 = 256;

/// The JSON of all the attributes of a file takes about so many bytes of memory at most.
const MAX_SHOWN: u64 = 256 << 20;

/// An HDF5 file.
pub(super) struct File<'a> {
    source: &'a dyn ReadAt,
    len: u64,
    /// Byte of the file that has the address 0.
    base: u64,
    /// Bytes of an address.
    pub(super) offset_size: usize,
    /// Bytes of a length.
    pub(super) length_size: usize,
    /// So many bytes may still be read, or copied: what ends every loop that a hostile file could set up.
    left: Cell<u64>,
    /// For each heap of shared messages: a bit for each kind of message in it, and its address.
    pub(super) shared: Vec<(u16, u64)>,
    /// So much memory may still be spent on the JSON of attributes.
    pub(super) shown: Cell<u64>,
    collections: RefCell<HashMap<u64, Rc<Collection>>>,
}

impl<'a> File<'a> {
    /// A file whose address 0 is at byte `base`, with addresses and lengths of so many bytes.
    pub(super) fn new(source: &'a dyn ReadAt, base: u64, offset_size: usize, length_size: usize) -> File<'a> {
        let len = source.len();
        // A sound file is read about once. Some structures (types, heaps) are asked for by many others.
        let left = Cell::new(len.saturating_mul(16).saturating_add(256 << 20));
        let (shared, shown, collections) = (Vec::new(), Cell::new(MAX_SHOWN), RefCell::default());
        File { source, len, base, offset_size, length_size, left, shared, shown, collections }
    }

    /// The byte of the file at an address, if `size` bytes lie there.
    pub(super) fn place(&self, address: u64, size: u64) -> Option<u64> {
        let start = self.base.checked_add(address)?;
        (start.checked_add(size)? <= self.len).then_some(start)
    }

    /// The `size` bytes at an address. Nothing is allocated for more than the file holds.
    pub(super) fn read(&self, address: u64, size: u64, what: &'static str) -> Result<Vec<u8>, Refusal> {
        let Some(start) = self.place(address, size) else {
            return Err(Refusal(format!(
                "its {what} ({size} bytes at address {address}) lies beyond the end of the file: it was truncated, \
                 or is damaged; copy it again"
            )));
        };
        if size > MAX_BLOCK {
            return Err(Refusal(format!(
                "its {what} claims {size} bytes, more than the {MAX_BLOCK} that are read; it is damaged"
            )));
        }
        self.spend(size + COST)?;
        let mut bytes = vec![0; size as usize];
        let count = self.source.read_at(&mut bytes, start)?;
        if count < bytes.len() {
            return Err(damaged(&format!("it ends within its {what}")));
        }
        Ok(bytes)
    }

    /// Counts bytes that were read or copied, and says when there were too many.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), Refusal> {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.ok_or_else(|| damaged("its structures lead in circles"))?);
        Ok(())
    }

    /// The `size` bytes at an address, fewer only at the end of the file.
    pub(super) fn read_up_to(&self, address: u64, size: u64, what: &'static str) -> Result<Vec<u8>, Refusal> {
        let held = self.len.saturating_sub(self.base).saturating_sub(address);
        self.read(address, size.min(held.max(1)), what)
    }

    /// A block that ends in a checksum, without it.
    pub(super) fn read_checked(&self, address: u64, size: u64, what: &'static str) -> Result<Vec<u8>, Refusal> {
        let mut block = self.read(address, size, what)?;
        let body = block.len().checked_sub(4).ok_or_else(|| damaged(&format!("its {what} is too short")))?;
        let stored = Cursor::new(&block[body..], what).u32()?;
        block.truncate(body);
        if lookup3(&block) != stored {
            return Err(damaged(&format!("the checksum of its {what} at address {address} is wrong")));
        }
        Ok(block)
    }

    /// An object of the global heap: number `index` of the collection at an address.
    pub(super) fn global(&self, address: u64, index: u32) -> Result<Vec<u8>, Refusal> {
        let known = self.collections.borrow().get(&address).cloned();
        let collection = match known {
            Some(collection) => collection,
            None => {
                let collection = Rc::new(Collection::read(self, address)?);
                let mut collections = self.collections.borrow_mut();
                if collections.len() >= KEPT_COLLECTIONS {
                    collections.clear();
                }
                collections.insert(address, collection.clone());
                collection
            }
        };
        let range = u16::try_from(index).ok().and_then(|index| collection.objects.get(&index));
        let object = range.and_then(|range| collection.bytes.get(range.clone()));
        let object = object.ok_or_else(|| damaged(&format!("its global heap at {address} lacks object {index}")))?;
        self.spend(object.len() as u64)?;
        Ok(object.to_vec())
    }

    /// An address, or nothing where it is the undefined one.
    pub(super) fn address(&self, cursor: &mut Cursor<'_>) -> Result<Option<u64>, Refusal> {
        let address = cursor.uint(self.offset_size)?;
        Ok((address != u64::MAX >> (64 - 8 * self.offset_size)).then_some(address))
    }

    /// A length.
    pub(super) fn length(&self, cursor: &mut Cursor<'_>) -> Result<u64, Refusal> {
        cursor.uint(self.length_size)
    }
}

/// A collection of the global heap: `GCOL`, version 1, its size, and objects: number (2), number of references (2),
/// size, bytes, padded to a multiple of 8. Number 0 is what is free.
struct Collection {
    bytes: Vec<u8>,
    objects: HashMap<u16, Range<usize>>,
}

impl Collection {
    fn read(file: &File<'_>, address: u64) -> Result<Collection, Refusal> {
        const WHAT: &str = "global heap";
        let prefix = 8 + file.length_size as u64;
        let head = file.read(address, prefix, WHAT)?;
        let mut cursor = Cursor::new(&head, WHAT);
        cursor.signature(b"GCOL", 1)?;
        cursor.skip(3)?;
        let size =
            file.length(&mut cursor)?.checked_sub(prefix).ok_or_else(|| damaged("its global heap is too short"))?;
        let bytes = file.read(address.saturating_add(prefix), size, WHAT)?;
        let mut objects = HashMap::new();
        let mut cursor = Cursor::new(&bytes, WHAT);
        while cursor.rest.len() >= 8 + file.length_size {
            let number = cursor.u16()?;
            cursor.skip(6)?;
            let size = file.length(&mut cursor)?;
            if number == 0 {
                break;
            }
            let start = bytes.len() - cursor.rest.len();
            let object = cursor.take_long(size)?;
            objects.insert(number, start..start + object.len());
            cursor.skip(usize::min(object.len().next_multiple_of(8) - object.len(), cursor.rest.len()))?;
        }
        Ok(Collection { bytes, objects })
    }
}

/// What is left of the bytes of a structure.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// The bytes of what a message calls `what`.
    pub(super) fn new(rest: &'a [u8], what: &'static str) -> Cursor<'a> {
        Cursor { rest, what }
    }

    /// The next bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| damaged(&format!("its {} is shorter than what it claims to hold", self.what)))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next bytes, where their number is what the file says.
    pub(super) fn take_long(&mut self, count: u64) -> Result<&'a [u8], Refusal> {
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Refusal> {
        self.take(count).map(drop)
    }

    pub(super) fn skip_long(&mut self, count: u64) -> Result<(), Refusal> {
        self.take_long(count).map(drop)
    }

    /// A little-endian number of up to 8 bytes.
    pub(super) fn uint(&mut self, size: usize) -> Result<u64, Refusal> {
        if size > 8 {
            return Err(damaged(&format!("its {} has a number of {size} bytes", self.what)));
        }
        let bytes = self.take(size)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refusal> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        self.uint(2).map(|number| number as u16)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.uint(4).map(|number| number as u32)
    }

    /// The signature of a structure, and its version, which must be this one.
    pub(super) fn signature(&mut self, signature: &[u8; 4], version: u8) -> Result<(), Refusal> {
        if self.take(4)? != signature {
            return Err(damaged(&format!("its {} does not begin with its signature", self.what)));
        }
        match self.u8()? {
            found if found == version => Ok(()),
            found => Err(self.unknown_version(found)),
        }
    }

    /// The refusal of a version that is not known.
    pub(super) fn unknown_version(&self, version: u8) -> Refusal {
        Refusal(format!(
            "its {} is of version {version}, which is not known: it is damaged, or newer than this program; \
             write it again with h5repack",
            self.what
        ))
    }

    /// The bytes before the next NUL, which goes, too.
    pub(super) fn until_nul(&mut self) -> Result<&'a [u8], Refusal> {
        let end = self.rest.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| damaged(&format!("its {} has a name without an end", self.what)))?;
        let name = self.take(end)?;
        self.skip(1)?;
        Ok(name)
    }
}

/// Bytes that a number up to `limit` takes, in the structures that save them.
pub(super) fn encoded_size(limit: u64) -> usize {
    limit.checked_ilog2().unwrap_or(0) as usize / 8 + 1
}

/// A text as the file spells it. What is not UTF-8 is most likely Latin-1, where every byte is the character of its
/// number.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}
