//! Fixed and extensible arrays: indexes of chunks by their number.
//!
//! A fixed array is a header (`FAHD`) and one block (`FADB`) of all entries. An extensible array is a header (`EAHD`)
//! and an index block (`EAIB`), which holds the first entries itself, the addresses of the first data blocks (`EADB`),
//! and those of secondary blocks (`EASB`), which hold the addresses of further data blocks. Data blocks double
//! in size with every second "super block", of which the number `n` has `2^(n/2)` data blocks of `2^((n+1)/2)` times
//! the smallest number of entries; those of the first few are in the index block.
//!
//! A block of more entries than a page holds is a prefix and pages, each with a checksum of its own. Bits in front
//! (highest first, a set for each block) say which pages were ever written; the others are not valid.

use super::chunks::{Entry, WHAT};
use super::damaged;
use super::file::{Cursor, File};
use crate::format::Refusal;

/// Takes an entry: its form, its number, and the cursor that stands at it.
type Visit<'v> = &'v mut dyn FnMut(&Entry, u64, &mut Cursor<'_>) -> Result<(), Refusal>;

/// Bytes of signature, version and client, with which every block begins.
const PREFIX: u64 = 6;

/// Shows every entry of a fixed array that may be valid; it has at most so many.
pub(super) fn fixed(
    file: &File<'_>,
    address: u64,
    filtered: bool,
    most: Option<u64>,
    visit: Visit<'_>,
) -> Result<(), Refusal> {
    let size = 8 + (file.length_size + file.offset_size) as u64 + 4;
    let head = file.read_checked(address, size, WHAT)?;
    let mut cursor = Cursor::new(&head, WHAT);
    client(&mut cursor, b"FAHD", filtered)?;
    let entry = Entry::new(file, cursor.u8()?.into(), filtered)?;
    let page = page_size(cursor.u8()?)?;
    let count = file.length(&mut cursor)?;
    let Some(block) = file.address(&mut cursor)? else { return Ok(()) };
    if most.is_some_and(|most| count > most) {
        return Err(damaged("its index of chunks has room for more of them than there can be"));
    }
    let blocks = Blocks { file, entry, filtered, page, signature: b"FADB", prefix: PREFIX + file.offset_size as u64 };
    if count <= page {
        return blocks.whole(block, 0, count, visit);
    }
    let bits = count.div_ceil(page).div_ceil(8);
    let size = bits.saturating_add(blocks.prefix + 4);
    let head = file.read_checked(block, size, WHAT)?;
    let mut cursor = Cursor::new(&head, WHAT);
    client(&mut cursor, b"FADB", filtered)?;
    cursor.skip(file.offset_size)?;
    blocks.pages(block.saturating_add(size), cursor.take_long(bits)?, 0, count, visit)
}

/// Shows every entry of an extensible array that may be valid.
pub(super) fn extensible(file: &File<'_>, address: u64, filtered: bool, visit: Visit<'_>) -> Result<(), Refusal> {
    let (offset, length) = (file.offset_size as u64, file.length_size as u64);
    let head = file.read_checked(address, 12 + 6 * length + offset + 4, WHAT)?;
    let mut cursor = Cursor::new(&head, WHAT);
    client(&mut cursor, b"EAHD", filtered)?;
    let entry = Entry::new(file, cursor.u8()?.into(), filtered)?;
    let bits = u32::from(cursor.u8()?);
    let in_index = u64::from(cursor.u8()?);
    let smallest = u64::from(cursor.u8()?);
    let pointers = u64::from(cursor.u8()?);
    let page = page_size(cursor.u8()?)?;
    cursor.skip(6 * file.length_size)?;
    let Some(index) = file.address(&mut cursor)? else { return Ok(()) };
    let powers = smallest.is_power_of_two() && pointers.is_power_of_two() && pointers > 1;
    if !powers || bits > 64 || bits < smallest.ilog2() {
        return Err(damaged("its index of chunks has blocks of sizes that cannot be"));
    }
    // The number of its first entry stands in front of each block.
    let prefix = PREFIX + offset + u64::from(bits.div_ceil(8));
    let blocks = Blocks { file, entry, filtered, page, signature: b"EADB", prefix };
    let super_blocks = bits - smallest.ilog2() + 1;
    // Those whose data blocks the index block has itself.
    let direct = u32::min(2 * pointers.ilog2(), super_blocks);
    let data_blocks: u64 = (0..direct).map(|number| 1 << (number / 2)).sum();
    let addresses = data_blocks + u64::from(super_blocks - direct);
    let block = file.read_checked(index, PREFIX + offset + in_index * entry.bytes + addresses * offset + 4, WHAT)?;
    let mut cursor = Cursor::new(&block, WHAT);
    client(&mut cursor, b"EAIB", filtered)?;
    cursor.skip(file.offset_size)?;
    each_entry(&mut cursor, entry, 0, in_index, visit)?;
    let mut first = in_index;
    for number in 0..super_blocks {
        // At most 2^32 blocks of at most 2^40 entries.
        let (count, size) = (1_u64 << (number / 2), smallest << number.div_ceil(2));
        if number < direct {
            for nth in 0..count {
                if let Some(address) = file.address(&mut cursor)? {
                    blocks.whole(address, first.saturating_add(nth * size), size, visit)?;
                }
            }
        } else if let Some(address) = file.address(&mut cursor)? {
            secondary(&blocks, address, first, (count, size), visit)?;
        }
        // Past what numbers can count there is no chunk.
        first = first.saturating_add(count.saturating_mul(size));
    }
    Ok(())
}

/// A secondary block: the addresses of `count` data blocks of `size` entries each, and which of their pages were
/// written.
fn secondary(
    blocks: &Blocks<'_>,
    address: u64,
    first: u64,
    (count, size): (u64, u64),
    visit: Visit<'_>,
) -> Result<(), Refusal> {
    let file = blocks.file;
    let is_paged = size > blocks.page;
    let bits = if is_paged { (size / blocks.page).div_ceil(8) } else { 0 };
    let length = (bits + file.offset_size as u64).saturating_mul(count).saturating_add(blocks.prefix + 4);
    let block = file.read_checked(address, length, WHAT)?;
    let mut cursor = Cursor::new(&block, WHAT);
    client(&mut cursor, b"EASB", blocks.filtered)?;
    cursor.skip_long(blocks.prefix - PREFIX)?;
    let mut written = Cursor::new(cursor.take_long(bits * count)?, WHAT);
    for nth in 0..count {
        let written = written.take_long(bits)?;
        let first = first.saturating_add(nth.saturating_mul(size));
        match file.address(&mut cursor)? {
            Some(address) if is_paged => {
                let head = file.read_checked(address, blocks.prefix + 4, WHAT)?;
                client(&mut Cursor::new(&head, WHAT), blocks.signature, blocks.filtered)?;
                blocks.pages(address.saturating_add(blocks.prefix + 4), written, first, size, visit)?;
            }
            Some(address) => blocks.whole(address, first, size, visit)?,
            None => {}
        }
    }
    Ok(())
}

/// The data blocks of an array.
struct Blocks<'f> {
    file: &'f File<'f>,
    entry: Entry,
    filtered: bool,
    /// Entries of a page.
    page: u64,
    signature: &'static [u8; 4],
    /// Bytes in front of the entries.
    prefix: u64,
}

impl Blocks<'_> {
    /// Shows the `count` entries of a block without pages, the first of which has the number `first`.
    fn whole(&self, address: u64, first: u64, count: u64, visit: Visit<'_>) -> Result<(), Refusal> {
        let size = count.saturating_mul(self.entry.bytes).saturating_add(self.prefix + 4);
        let block = self.file.read_checked(address, size, WHAT)?;
        let mut cursor = Cursor::new(&block, WHAT);
        client(&mut cursor, self.signature, self.filtered)?;
        cursor.skip_long(self.prefix - PREFIX)?;
        each_entry(&mut cursor, self.entry, first, count, visit)
    }

    /// Shows the entries of those pages that were written; the first page is at an address.
    fn pages(&self, address: u64, written: &[u8], first: u64, count: u64, visit: Visit<'_>) -> Result<(), Refusal> {
        let full = self.page.saturating_mul(self.entry.bytes).saturating_add(4);
        for number in 0..count.div_ceil(self.page) {
            let is_written = written.get((number / 8) as usize).is_some_and(|bits| bits & (0x80 >> (number % 8)) != 0);
            if is_written {
                let before = number * self.page;
                let held = self.page.min(count - before);
                let start = address.saturating_add(number.saturating_mul(full));
                let size = held.saturating_mul(self.entry.bytes).saturating_add(4);
                let page = self.file.read_checked(start, size, WHAT)?;
                each_entry(&mut Cursor::new(&page, WHAT), self.entry, first.saturating_add(before), held, visit)?;
            }
        }
        Ok(())
    }
}

fn each_entry(cursor: &mut Cursor<'_>, entry: Entry, first: u64, count: u64, visit: Visit<'_>) -> Result<(), Refusal> {
    for number in 0..count {
        let mut one = Cursor::new(cursor.take_long(entry.bytes)?, WHAT);
        visit(&entry, first.saturating_add(number), &mut one)?;
    }
    Ok(())
}

/// Checks the signature of a block, its version, and whose it is.
fn client(cursor: &mut Cursor<'_>, signature: &[u8; 4], filtered: bool) -> Result<(), Refusal> {
    cursor.signature(signature, 0)?;
    match cursor.u8()? {
        client if client == u8::from(filtered) => Ok(()),
        _ => Err(damaged("its index of chunks is not one of chunks that are stored as these are")),
    }
}

fn page_size(bits: u8) -> Result<u64, Refusal> {
    let size = 1_u64.checked_shl(bits.into());
    size.ok_or_else(|| damaged("its index of chunks has pages of a size that cannot be"))
}
