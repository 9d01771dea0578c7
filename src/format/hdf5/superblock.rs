//! Where an HDF5 file begins: its signature, its superblock, and what stands in the superblock's extension.

use super::file::{Cursor, File};
use super::header::Header;
use super::{FIRST_USER_BLOCK, SIGNATURE, damaged, kind};
use crate::format::Refusal;
use crate::source::ReadAt;

/// What HDF4 files begin with, which share the extension `.hdf`.
const HDF4: &[u8] = b"\x0e\x03\x13\x01";

const WHAT: &str = "superblock";

/// The longest superblock: 24 bytes, six addresses or lengths of 8, and what a symbol table entry adds.
const MAX_SUPERBLOCK: usize = 112;

/// The file, and the address of its root group.
pub(super) fn open(source: &dyn ReadAt) -> Result<(File<'_>, u64), Refusal> {
    let base = find(source)?;
    let mut block = [0; MAX_SUPERBLOCK];
    let count = source.read_at(&mut block, base)?;
    let block = &block[..count];
    let mut cursor = Cursor::new(block, WHAT);
    cursor.skip(SIGNATURE.len())?;
    match cursor.u8()? {
        version @ (0 | 1) => old(source, base, cursor, version),
        2 | 3 => new(source, base, block, cursor),
        version => Err(cursor.unknown_version(version)),
    }
}

/// The byte at which the signature stands: 0, or 512 or a power of two behind it.
fn find(source: &dyn ReadAt) -> Result<u64, Refusal> {
    let mut head = [0; SIGNATURE.len()];
    let mut begins_as_hdf4 = false;
    let mut at = 0_u64;
    while at < source.len() {
        let count = source.read_at(&mut head, at)?;
        if &head[..count] == SIGNATURE {
            return Ok(at);
        }
        begins_as_hdf4 |= at == 0 && head[..count].starts_with(HDF4);
        at = if at == 0 { FIRST_USER_BLOCK } else { at.saturating_mul(2) };
    }
    Err(Refusal(if begins_as_hdf4 {
        "it is an HDF4 file, which is another format; convert it with h4toh5 or h4tonccf_nc4".into()
    } else if source.is_empty() {
        "it is empty; write it again".into()
    } else {
        "it holds no HDF5 signature: it is a file of another kind, or was truncated or overwritten; rename it or \
         copy it again"
            .into()
    }))
}

/// Sizes of addresses and lengths.
fn sizes(cursor: &mut Cursor<'_>) -> Result<(usize, usize), Refusal> {
    let (offsets, lengths) = (cursor.u8()?, cursor.u8()?);
    if [offsets, lengths].iter().all(|size| matches!(size, 2 | 4 | 8)) {
        Ok((offsets.into(), lengths.into()))
    } else {
        Err(Refusal(format!(
            "its superblock says that addresses take {offsets} bytes and lengths {lengths}; 2, 4 and 8 are known: \
             it is damaged, or must be written again with h5repack"
        )))
    }
}

/// Versions 0 and 1.
fn old<'a>(source: &'a dyn ReadAt, base: u64, mut cursor: Cursor<'_>, version: u8) -> Result<(File<'a>, u64), Refusal> {
    cursor.skip(4)?;
    let (offsets, lengths) = sizes(&mut cursor)?;
    // A reserved byte, ranks of two kinds of B-tree, flags; version 1 adds the rank of a third.
    cursor.skip(if version == 0 { 9 } else { 13 })?;
    let file = File::new(source, base, offsets, lengths);
    // The base address as the file was written: where the superblock was moved, it counts from the superblock.
    cursor.skip(3 * offsets)?;
    if let Some(driver) = file.address(&mut cursor)? {
        let block = file.read(driver, 16, "driver information")?;
        one_file(&block[8..])?;
    }
    // The symbol table entry of the root group.
    cursor.skip(lengths)?;
    let root = file.address(&mut cursor)?.ok_or_else(|| damaged("its superblock names no root group"))?;
    Ok((file, root))
}

/// Versions 2 and 3.
fn new<'a>(
    source: &'a dyn ReadAt,
    base: u64,
    block: &[u8],
    mut cursor: Cursor<'_>,
) -> Result<(File<'a>, u64), Refusal> {
    let (offsets, lengths) = sizes(&mut cursor)?;
    let mut file = File::new(source, base, offsets, lengths);
    cursor.skip(1 + offsets)?;
    let extension = file.address(&mut cursor)?;
    cursor.skip(offsets)?;
    let root = file.address(&mut cursor)?.ok_or_else(|| damaged("its superblock names no root group"))?;
    file.read_checked(0, (block.len() - cursor.rest.len() + 4) as u64, WHAT)?;
    if let Some(extension) = extension {
        let header = Header::read(&file, extension)?;
        if let Some(driver) = header.find(kind::DRIVER) {
            one_file(driver.body.get(1..).unwrap_or_default())?;
        }
        if let Some(table) = header.find(kind::SHARED_TABLE) {
            file.shared = shared_table(&file, &table.body)?;
        }
    }
    Ok((file, root))
}

/// Refuses a file that is only a part: `driver` begins with the name of what the library wrote it with.
fn one_file(driver: &[u8]) -> Result<(), Refusal> {
    let family = driver.starts_with(b"NCSAfami");
    if family || driver.starts_with(b"NCSAmult") {
        let name = if family { "family" } else { "multi" };
        return Err(Refusal(format!(
            "it is one of several files that make up one HDF5 file (the driver '{name}'); join them with h5repart \
             or h5repack"
        )));
    }
    Ok(())
}

/// The heaps of shared messages: for each a bit for each kind of message in it, and its address.
fn shared_table(file: &File<'_>, body: &[u8]) -> Result<Vec<(u16, u64)>, Refusal> {
    const TABLE: &str = "table of shared messages";
    let mut cursor = Cursor::new(body, TABLE);
    cursor.skip(1)?;
    let address = file.address(&mut cursor)?.ok_or_else(|| damaged("its table of shared messages has no address"))?;
    let indexes = u64::from(cursor.u8()?);
    let size = 4 + indexes * (14 + 2 * file.offset_size as u64) + 4;
    let table = file.read_checked(address, size, TABLE)?;
    let mut cursor = Cursor::new(&table, TABLE);
    if cursor.take(4)? != b"SMTB" {
        return Err(damaged("its table of shared messages does not begin with its signature"));
    }
    let mut heaps = Vec::new();
    for _ in 0..indexes {
        cursor.skip(2)?;
        let kinds = cursor.u16()?;
        cursor.skip(10)?;
        file.address(&mut cursor)?;
        if let Some(heap) = file.address(&mut cursor)? {
            heaps.push((kinds, heap));
        }
    }
    Ok(heaps)
}
