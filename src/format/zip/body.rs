//! The members of an archive: where their bytes lie.

use super::{
    Archive, DESCRIPTOR, ELSEWHERE, ENCRYPTED, Entry, Fault, Fields, LOCAL_LEN, MAGIC, block, damaged, wide, zip64,
};
use crate::format::{Checksum, Refusal};
use crate::source::ReadAt;

/// So many bytes of the extra fields of a local header are searched for the zip64 one, which writers put first.
const MAX_EXTRA: u64 = 1024;

/// Methods of compression.
pub const STORED: u16 = 0;
/// Raw deflate.
pub const DEFLATED: u16 = 8;
/// bzip2.
pub const BZIP2: u16 = 12;
/// Zstandard.
pub const ZSTD: u16 = 93;
/// An xz file.
pub const XZ: u16 = 95;

/// Where the bytes of a member lie, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its first byte in the file.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Its checksum.
    pub checksum: Checksum,
}

impl Body {
    /// All of its bytes.
    ///
    /// # Errors
    /// If there are more than `limit`, or they cannot be read.
    pub fn read(&self, file: &dyn ReadAt, limit: u64) -> Result<Vec<u8>, Refusal> {
        if self.len > limit {
            return Err(Refusal(format!("it is {} bytes long, more than the {limit} that are read", self.len)));
        }
        block(file, self.start, self.len)
    }
}

/// A part of a file, read like a file.
pub struct Window<'a> {
    /// The whole file.
    pub file: &'a dyn ReadAt,
    /// First byte of the part.
    pub start: u64,
    /// Its length.
    pub len: u64,
}

impl ReadAt for Window<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let rest = self.len.saturating_sub(offset);
        let count = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(0);
        }
        self.file.read_at(&mut buffer[..count], self.start.saturating_add(offset))
    }
}

impl Archive {
    /// Where the bytes of a stored member lie.
    ///
    /// # Errors
    /// If it has none to point at, or the archive contradicts itself about it.
    pub fn body(&self, file: &dyn ReadAt, entry: &Entry) -> Result<Body, Refusal> {
        entry.check()?;
        self.place(file, entry)
    }

    /// Where the bytes of a member lie as they are stored, compressed or not.
    ///
    /// # Errors
    /// If it is encrypted, or the archive contradicts itself about it.
    pub fn place(&self, file: &dyn ReadAt, entry: &Entry) -> Result<Body, Refusal> {
        entry.check_place()?;
        let name = &self.directory[entry.name.clone()];
        let local = block(file, entry.header, (LOCAL_LEN + name.len()) as u64)?;
        let contradiction = |what: &str| {
            damaged(&format!("the directory of the archive and the header of this member differ about its {what}"))
        };
        let mut fields = Fields(&local);
        let fixed = (|| {
            let (magic, _version, flags, method, _time) =
                (fields.u32()?, fields.u16()?, fields.u16()?, fields.u16()?, fields.u32()?);
            let (crc, stored, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
            Some((magic, flags, method, crc, stored, size, fields.u16()?, fields.u16()?))
        })();
        let Some((magic, flags, method, crc, stored, size, name_len, extra_len)) = fixed else {
            return Err(contradiction("place"));
        };
        if magic != u32::from_le_bytes(*MAGIC) {
            return Err(contradiction("place"));
        }
        if usize::from(name_len) != name.len() || fields.0 != name {
            return Err(contradiction("name"));
        }
        if method != entry.method || (flags ^ entry.flags) & (ENCRYPTED | DESCRIPTOR) != 0 {
            return Err(contradiction("method or flags"));
        }
        let extra_start = entry.header + (LOCAL_LEN + name.len()) as u64;
        let start = extra_start + u64::from(extra_len);
        let end = start.checked_add(entry.stored).filter(|&end| end <= entry.limit);
        let end = end.ok_or_else(|| Refusal::from(Fault::Overlap))?;
        let mut copies = vec![entry.crc_at];
        if flags & DESCRIPTOR == 0 {
            let is_long = [stored, size].contains(&ELSEWHERE);
            let extra = block(file, extra_start, if is_long { u64::from(extra_len).min(MAX_EXTRA) } else { 0 })?;
            let sizes = local_sizes(stored, size, &extra);
            if sizes != Some((entry.stored, entry.size)) {
                return Err(contradiction("size"));
            }
            if crc != entry.crc {
                return Err(contradiction("checksum"));
            }
            copies.push(entry.header + 14);
        } else {
            copies.push(descriptor(file, end, entry)?);
            // Left at 0 by most writers, as the specification wants it.
            if crc == entry.crc && crc != 0 {
                copies.push(entry.header + 14);
            }
        }
        Ok(Body { start, len: entry.stored, checksum: Checksum { covers: start..end, fields: copies } })
    }
}

impl Entry {
    /// Whether it lies where it should, and can be read.
    fn check_place(&self) -> Result<(), Refusal> {
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        if self.flags & ENCRYPTED != 0 {
            return Err(Refusal(
                "it is encrypted; extract it with its password, and store it in an archive again".into(),
            ));
        }
        if self.method == STORED && self.stored != self.size {
            return Err(damaged("its two sizes differ in the directory, though it is not compressed"));
        }
        Ok(())
    }

    /// Whether its bytes are stored as they are.
    fn check(&self) -> Result<(), Refusal> {
        self.check_place()?;
        let how = match self.method {
            STORED => return Ok(()),
            DEFLATED => "deflated".to_owned(),
            other => format!("compressed {}", method_name(other)),
        };
        let remedy = match self.method {
            DEFLATED | BZIP2 | ZSTD | XZ => "`afbfs unpack` writes a plain copy",
            _ => "extract it, and store it again uncompressed (zip -0)",
        };
        Err(Refusal(format!("it is {how}; {remedy}")))
    }
}

/// With what, or by which method, a member is compressed, for messages.
pub fn method_name(method: u16) -> String {
    let name = match method {
        DEFLATED => "deflate",
        9 => "deflate64",
        BZIP2 => "bzip2",
        14 => "LZMA",
        ZSTD => "Zstandard",
        XZ => "XZ",
        other => return format!("by method {other}"),
    };
    format!("with {name}")
}

/// The CRC-32 in the descriptor behind a body.
fn descriptor(file: &dyn ReadAt, end: u64, entry: &Entry) -> Result<u64, Refusal> {
    let missing = || damaged("the descriptor behind the bytes of this member is missing, or has another checksum");
    let held = entry.limit - end;
    let bytes = block(file, end, held.min(8))?;
    let mut fields = Fields(&bytes);
    let (first, second) = (fields.u32().ok_or_else(missing)?, fields.u32());
    if first == u32::from_le_bytes(*b"PK\x07\x08") && second == Some(entry.crc) {
        return Ok(end + 4);
    }
    if first == entry.crc { Ok(end) } else { Err(missing()) }
}

/// Stored size and size in a local header, of which the zip64 field may hold both.
fn local_sizes(stored: u32, size: u32, extra: &[u8]) -> Option<(u64, u64)> {
    let mut long = zip64(extra);
    let size = wide(size, &mut long)?;
    let stored = wide(stored, &mut long)?;
    Some((stored, size))
}
