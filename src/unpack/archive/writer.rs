//! Writing a ZIP archive whose members are stored. What the fields are stands in [`zip`](crate::format::zip).
//!
//! Every member begins at a multiple of 64 bytes, as the elements of a `.npy` file do within it, so that they are aligned in
//! the archive as well. An extra field fills the gap: the one that Android's tools use for it.

use std::io::{self, Write};

use crate::format::zip::Keepsake;

/// Members begin at a multiple of this.
const ALIGNMENT: u64 = 64;

/// The extra field that fills gaps, and its least length.
const FILLER: u16 = 0xd935;
const LEAST_FILLER: u64 = 6;

/// The extra field of long numbers, and what stands in their own places.
const ZIP64: u16 = 1;
const ELSEWHERE: u32 = u32::MAX;

/// The versions of the format that a reader must know.
const VERSION: u16 = 20;
const LONG_VERSION: u16 = 45;

const UTF8: u16 = 1 << 11;

/// An archive that is being written.
pub(super) struct Writer<W> {
    target: W,
    at: u64,
    directory: Vec<u8>,
    members: u64,
}

/// A number of 4 bytes, or what says that it is longer; then it goes to `long`.
fn short(number: u64, long: &mut Vec<u8>) -> [u8; 4] {
    match u32::try_from(number) {
        Ok(number) if number != ELSEWHERE => number.to_le_bytes(),
        _ => {
            long.extend(number.to_le_bytes());
            ELSEWHERE.to_le_bytes()
        }
    }
}

impl<W: Write> Writer<W> {
    pub(super) fn new(target: W) -> Writer<W> {
        Writer { target, at: 0, directory: Vec::new(), members: 0 }
    }

    /// Begins a member of so many bytes with this CRC-32; they are written next.
    pub(super) fn begin(&mut self, keepsake: &Keepsake<'_>, size: u64, crc: u32) -> io::Result<()> {
        let Keepsake { name, is_utf8, system, time, attributes: (internal, external) } = *keepsake;
        let flags = if is_utf8 { UTF8 } else { 0 };
        let start = self.at;
        // Here both sizes are long, or none.
        let mut long = Vec::new();
        let sizes = [short(size, &mut long), short(size, &mut long)].concat();
        let version = |long: &[u8]| if long.is_empty() { VERSION } else { LONG_VERSION };
        let fixed = |version: u16| {
            let words = [version, flags, 0];
            let mut bytes: Vec<u8> = words.into_iter().flat_map(u16::to_le_bytes).collect();
            bytes.extend(time.to_le_bytes());
            bytes.extend(crc.to_le_bytes());
            bytes
        };
        let mut extra = field(&long);
        let end = start + 30 + name.len() as u64 + extra.len() as u64;
        let mut gap = end.next_multiple_of(ALIGNMENT) - end;
        if gap > 0 {
            if gap < LEAST_FILLER {
                gap += ALIGNMENT;
            }
            extra.extend(FILLER.to_le_bytes());
            extra.extend((gap as u16 - 4).to_le_bytes());
            extra.extend((ALIGNMENT as u16).to_le_bytes());
            extra.resize(extra.len() + (gap - LEAST_FILLER) as usize, 0);
        }
        let lengths = |extra: &[u8]| [name.len() as u16, extra.len() as u16].map(u16::to_le_bytes).concat();
        let local = [b"PK\x03\x04", &fixed(version(&long))[..], &sizes, &lengths(&extra), name, &extra].concat();
        self.write_all(&local)?;

        let mut long = Vec::new();
        let sizes = [short(size, &mut long), short(size, &mut long)].concat();
        let header = short(start, &mut long);
        let extra = field(&long);
        let version = version(&long);
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend((u16::from(system) << 8 | version).to_le_bytes());
        self.directory.extend(fixed(version));
        self.directory.extend(sizes);
        self.directory.extend(lengths(&extra));
        // No comment, and the first disk.
        self.directory.extend([0; 4]);
        self.directory.extend(internal.to_le_bytes());
        self.directory.extend(external.to_le_bytes());
        self.directory.extend(header);
        self.directory.extend(name);
        self.directory.extend(extra);
        self.members += 1;
        Ok(())
    }

    /// Writes the directory and the end.
    pub(super) fn finish(mut self, comment: &[u8]) -> io::Result<W> {
        let (start, directory, members) = (self.at, std::mem::take(&mut self.directory), self.members);
        let size = directory.len() as u64;
        self.write_all(&directory)?;
        let mut long = Vec::new();
        let fields = [short(size, &mut long), short(start, &mut long)].concat();
        let count = u16::try_from(members).unwrap_or(u16::MAX);
        if !long.is_empty() || count == u16::MAX {
            let end = self.at;
            let mut record = b"PK\x06\x06".to_vec();
            record.extend(44_u64.to_le_bytes());
            record.extend([LONG_VERSION, LONG_VERSION].map(u16::to_le_bytes).concat());
            record.extend([0; 8]);
            record.extend([members, members, size, start].map(u64::to_le_bytes).concat());
            record.extend(b"PK\x06\x07\0\0\0\0");
            record.extend(end.to_le_bytes());
            record.extend(1_u32.to_le_bytes());
            self.write_all(&record)?;
        }
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend([count, count].map(u16::to_le_bytes).concat());
        end.extend(fields);
        end.extend((comment.len() as u16).to_le_bytes());
        end.extend(comment);
        self.write_all(&end)?;
        self.flush()?;
        Ok(self.target)
    }
}

/// The extra field of long numbers, if there are any.
fn field(long: &[u8]) -> Vec<u8> {
    if long.is_empty() {
        return Vec::new();
    }
    [&ZIP64.to_le_bytes(), &(long.len() as u16).to_le_bytes(), long].concat()
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.target.write(bytes)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests;
