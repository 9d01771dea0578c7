//! Reading FlatBuffers: tables whose fields are found by offsets, every one of which is checked.
//!
//! Specification: "FlatBuffers Internals" (flatbuffers.dev). A buffer begins with the position of its root table. A table
//! begins with the distance back to its vtable, which has for each field, in order of their numbers, its distance from
//! the table's start, or 0 where it has its default. Texts, vectors and tables in a field are distances forward. All
//! numbers are little-endian.

/// Something that is not where its offset says, or is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// A table in a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    buffer: &'a [u8],
    at: usize,
}

/// The `N` bytes at a position.
fn bytes<const N: usize>(buffer: &[u8], at: usize) -> Result<[u8; N], Damaged> {
    let end = at.checked_add(N).ok_or(Damaged)?;
    buffer.get(at..end).and_then(|slice| slice.try_into().ok()).ok_or(Damaged)
}

fn u32_at(buffer: &[u8], at: usize) -> Result<usize, Damaged> {
    bytes(buffer, at).map(|four| u32::from_le_bytes(four) as usize)
}

/// Where the distance at a position leads.
fn follow(buffer: &[u8], at: usize) -> Result<usize, Damaged> {
    at.checked_add(u32_at(buffer, at)?).filter(|&to| to < buffer.len()).ok_or(Damaged)
}

impl<'a> Table<'a> {
    /// The root of a buffer.
    pub(super) fn root(buffer: &'a [u8]) -> Result<Table<'a>, Damaged> {
        Ok(Table { buffer, at: follow(buffer, 0)? })
    }

    /// Where the field of this number lies, if it is there.
    fn field(&self, number: usize) -> Result<Option<usize>, Damaged> {
        let back = i64::from(i32::from_le_bytes(bytes(self.buffer, self.at)?));
        let vtable = usize::try_from(self.at as i64 - back).map_err(|_| Damaged)?;
        let size = usize::from(u16::from_le_bytes(bytes(self.buffer, vtable)?));
        let entry = 4 + 2 * number;
        if entry + 2 > size {
            return Ok(None);
        }
        let distance = usize::from(u16::from_le_bytes(bytes(self.buffer, vtable + entry)?));
        Ok((distance != 0).then_some(self.at + distance))
    }

    /// A field of one byte; 0 where it is not there.
    pub(super) fn u8(&self, number: usize) -> Result<u8, Damaged> {
        let Some(at) = self.field(number)? else { return Ok(0) };
        bytes(self.buffer, at).map(u8::from_le_bytes)
    }

    /// A field of two bytes.
    pub(super) fn i16(&self, number: usize, default: i16) -> Result<i16, Damaged> {
        let Some(at) = self.field(number)? else { return Ok(default) };
        bytes(self.buffer, at).map(i16::from_le_bytes)
    }

    /// A field of four bytes.
    pub(super) fn i32(&self, number: usize, default: i32) -> Result<i32, Damaged> {
        let Some(at) = self.field(number)? else { return Ok(default) };
        bytes(self.buffer, at).map(i32::from_le_bytes)
    }

    /// A field of eight bytes; 0 where it is not there.
    pub(super) fn i64(&self, number: usize) -> Result<i64, Damaged> {
        let Some(at) = self.field(number)? else { return Ok(0) };
        bytes(self.buffer, at).map(i64::from_le_bytes)
    }

    /// A table in a field.
    pub(super) fn table(&self, number: usize) -> Result<Option<Table<'a>>, Damaged> {
        let Some(at) = self.field(number)? else { return Ok(None) };
        Ok(Some(Table { buffer: self.buffer, at: follow(self.buffer, at)? }))
    }

    /// A text in a field, of at most `limit` bytes; empty where it is not there.
    pub(super) fn text(&self, number: usize, limit: u64) -> Result<&'a str, Damaged> {
        let bytes = self.vector(number, 1)?;
        if bytes.len() as u64 > limit {
            return Err(Damaged);
        }
        std::str::from_utf8(bytes).map_err(|_| Damaged)
    }

    /// The bytes of a vector of elements of `size` bytes; none where it is not there.
    pub(super) fn vector(&self, number: usize, size: usize) -> Result<&'a [u8], Damaged> {
        let Some(at) = self.field(number)? else { return Ok(&[]) };
        let start = follow(self.buffer, at)?;
        let length = u32_at(self.buffer, start)?.checked_mul(size).ok_or(Damaged)?;
        let start = start + 4;
        let end = start.checked_add(length).ok_or(Damaged)?;
        self.buffer.get(start..end).ok_or(Damaged)
    }

    /// The tables of a vector. Each is found when it is asked for: a vector costs nothing by being long.
    pub(super) fn tables(&self, number: usize) -> Result<Tables<'a>, Damaged> {
        let Some(at) = self.field(number)? else { return Ok(Tables { buffer: self.buffer, at: 0, count: 0 }) };
        let count = self.vector(number, 4)?.len() / 4;
        Ok(Tables { buffer: self.buffer, at: follow(self.buffer, at)? + 4, count })
    }
}

/// The tables of a vector, one after the other.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    buffer: &'a [u8],
    at: usize,
    count: usize,
}

impl<'a> Iterator for Tables<'a> {
    type Item = Result<Table<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let at = self.at;
        self.at += 4;
        Some(follow(self.buffer, at).map(|at| Table { buffer: self.buffer, at }))
    }
}

/// The number of eight bytes in a struct; 0 where there are none.
pub(super) fn i64_in(bytes_of_struct: &[u8], at: usize) -> i64 {
    bytes(bytes_of_struct, at).map_or(0, i64::from_le_bytes)
}

/// The number of four bytes in a struct; 0 where there are none.
pub(super) fn i32_in(bytes_of_struct: &[u8], at: usize) -> i32 {
    bytes(bytes_of_struct, at).map_or(0, i32::from_le_bytes)
}
