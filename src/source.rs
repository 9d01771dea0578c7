//! What formats read through: bytes at an offset, and the files beside a file.
//!
//! Nothing here touches a file itself. The catalog hands in implementations that use `pread(2)`, so
//! that a file which shrinks while it is parsed is an error or a short read, never a fault.

use std::io;

/// Bytes at an offset of an array file.
pub trait ReadAt {
    /// The file's length in bytes.
    fn len(&self) -> u64;

    /// Whether the file holds no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads into `buffer` from byte `offset` on, and gives the number of bytes read: fewer than the
    /// buffer holds only at the end of the file.
    ///
    /// # Errors
    /// What `pread(2)` answers.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// The small files that stand beside an array file and describe it.
pub trait Siblings {
    /// The contents of the sibling called `name`, or nothing where there is none.
    ///
    /// # Errors
    /// What reading it answers; also where it holds more than `limit` bytes.
    fn sibling(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>>;

    /// The length in bytes of the regular file called `name`, or nothing where there is none.
    ///
    /// # Errors
    /// What looking at it answers.
    fn sibling_len(&self, name: &str) -> io::Result<Option<u64>>;
}

/// Bytes in memory read like a file: what tests and fuzzers hand to a parser.
impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// The same, where something sized is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a>(pub &'a [u8]);

impl ReadAt for Memory<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

/// A file that has nothing beside it.
#[derive(Debug)]
pub struct Alone;

impl Siblings for Alone {
    fn sibling(&self, _name: &str, _limit: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn sibling_len(&self, _name: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }
}
