//! MATLAB 5 to 7 (`.mat`, as `save -v6` writes it without compression): named variables, nested.
//!
//! Specification: "MAT-File Format" of The MathWorks, the chapter on level 5. (Files of version 7.3 are HDF5.) A file is
//!
//! | bytes | what                                                                                          |
//! |-------|-----------------------------------------------------------------------------------------------|
//! | 116   | a text                                                                                        |
//! | 8     | where data of subsystems are                                                                  |
//! | 2     | the version, 0x0100                                                                           |
//! | 2     | `IM` where numbers are little-endian, `MI` where they are big-endian                          |
//! | rest  | elements: 14, a matrix; 15, a matrix compressed with zlib                                     |
//!
//! An element is its type (4), its length (4) and so many bytes, padded to a multiple of 8; one of up to four bytes may
//! have type and length in 2 bytes each, and the bytes right behind them. A matrix is made of elements: flags (class in the
//! lowest byte; 2 logical, 4 global, 8 complex in the next), shape, name, and then, by its class:
//!
//! | class                          | elements                                   | becomes                             |
//! |--------------------------------|--------------------------------------------|-------------------------------------|
//! | 6 to 15 (`double` ... `uint64`) | the real parts; the imaginary parts, if any | a member; a group of `real`, `imag` |
//! | 4 `char`                       | the codes                                  | a member                            |
//! | 5 sparse                       | rows, starts of columns, parts as above    | a group of `ir`, `jc`, `data`, `imag` |
//! | 1 cell                         | a matrix for each                          | a group of `0`, `1`, ...            |
//! | 2 struct                       | length of names; names; matrices           | a group of its fields               |
//! | 2 struct, several              | the same, all fields of the first one first | a group of groups `0`, `1`, ...    |
//! | 3, 16, 17 objects, functions   |                                            | refused                             |
//!
//! | type | element | type | element | type | element | type | element                     |
//! |------|---------|------|---------|------|---------|------|-----------------------------|
//! | 1    | `\|i1`  | 4    | `u2`    | 7    | `f4`    | 13   | `u8`                        |
//! | 2    | `\|u1`  | 5    | `i4`    | 9    | `f8`    | 16, 17, 18 | `u1`, `u2`, `u4`: text in UTF |
//! | 3    | `i2`    | 6    | `u4`    | 12   | `i8`    |      |                             |
//!
//! The first index is the fastest. MATLAB stores numbers in a smaller type where they fit into it: the array has the type
//! that is stored, and the attribute `class` says what it is in MATLAB. The members of cells and of arrays of structs are
//! counted from 0, the first index fastest.
//!
//! Limits, and why:
//!
//! - A compressed variable has no bytes of its own, and its name is compressed as well: it is refused as `compressed-1` and
//!   so on. MATLAB compresses unless it is told not to.
//! - Text in which a character takes several pieces has no shape, and is one axis of pieces.
//! - Nesting of at most [`MAX_DEPTH`], names of at most [`MAX_NAME`] bytes (MATLAB's have 63).
//! - A nameless variable holds what objects need; it is called `__function_workspace__`, as SciPy calls it.

use crate::dtype::ByteOrder;
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_ENTRIES, Numbered};
use crate::format::{Container, Content, Format, Member, Refusal};
use crate::source::{ReadAt, Siblings};

mod matrix;
#[cfg(test)]
mod tests;

use matrix::Matrix;

/// The deepest nesting of cells and structs.
pub const MAX_DEPTH: usize = 16;

/// The longest name of a variable or field, in bytes.
pub const MAX_NAME: u64 = 255;

/// Bytes of the header.
const HEADER: u64 = 128;

/// Types of elements.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// The format of MATLAB 5 to 7.
#[derive(Clone, Copy, Debug)]
pub struct Mat5;

impl Format for Mat5 {
    fn name(&self) -> &'static str {
        "mat5"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".mat"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        matches!(head.get(124..128), Some(b"\x00\x01IM" | b"\x01\x00MI")) && !head[..4].contains(&0)
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "MATLAB", u64::MAX);
        let text = cursor.bytes(HEADER)?;
        if !self.knows(&text) {
            return Err(fault("it does not begin with a header of MATLAB 5 to 7"));
        }
        cursor.order = if text.ends_with(b"MI") { ByteOrder::Big } else { ByteOrder::Little };
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("header", header::text(&text[..116]).into());
        let mut variables = Variables { cursor, members: Vec::new() };
        variables.read(file.len())?;
        if variables.members.is_empty() {
            return Err(Refusal("it holds no variable; there is nothing to show".into()));
        }
        Ok(Content::Many(Container { members: variables.members, attributes: attributes.into_map() }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again"))
}

/// An element of the file.
#[derive(Clone, Copy, Debug)]
struct Element {
    of: u32,
    /// Where its bytes are, and how many.
    offset: u64,
    size: u64,
    /// Where the next element is.
    end: u64,
}

/// Reads the beginning of an element, of those that end at byte `end`.
fn element(cursor: &mut Cursor, end: u64) -> Result<Element, Refusal> {
    let start = cursor.position();
    let leaves =
        || fault(&format!("its element at byte {start} leads beyond byte {end}, where what it is a part of ends"));
    if end.saturating_sub(start) < 8 {
        return Err(leaves());
    }
    let word = cursor.u32()?;
    let (of, small) = (word & 0xffff, word >> 16);
    if small > 4 {
        return Err(fault(&format!("its element at byte {start} has {small} bytes, where at most 4 fit")));
    }
    let (size, room) = match small {
        0 => {
            let size = u64::from(cursor.u32()?);
            // What is made of elements is padded already, or needs none.
            (size, if matches!(of, MATRIX | COMPRESSED) { size } else { size.next_multiple_of(8) })
        }
        _ => (small.into(), 4),
    };
    let offset = cursor.position();
    if end - offset < size {
        return Err(leaves());
    }
    // The padding behind the last one may be missing.
    Ok(Element { of, offset, size, end: end.min(offset + room) })
}

/// The bytes of the next element, which must have one of these types, and no more than `most` bytes.
fn bytes_of(cursor: &mut Cursor, end: u64, types: &[u32], most: u64, what: &str) -> Result<Vec<u8>, Refusal> {
    let found = element(cursor, end)?;
    if !types.contains(&found.of) || found.size > most {
        let Element { of, size, offset, .. } = found;
        return Err(fault(&format!(
            "its element at byte {offset} has type {of} and {size} bytes, and should be {what}"
        )));
    }
    let bytes = cursor.bytes(found.size)?;
    go_to(cursor, found.end)?;
    Ok(bytes)
}

/// Passes over what stands before byte `end`.
fn go_to(cursor: &mut Cursor, end: u64) -> Result<(), Refusal> {
    let ahead = end.checked_sub(cursor.position());
    cursor.skip(ahead.ok_or_else(|| fault(&format!("what ends at byte {end} holds more than that")))?)
}

/// The variables, as far as they were read.
struct Variables<'a> {
    cursor: Cursor<'a>,
    members: Vec<Member>,
}

impl Variables<'_> {
    /// Reads all variables of a file of `held` bytes.
    fn read(&mut self, held: u64) -> Result<(), Refusal> {
        let (mut names, mut compressed) = (Numbered::default(), 0);
        while self.cursor.position() < held {
            let found = element(&mut self.cursor, held)?;
            match found.of {
                MATRIX => {
                    let matrix = Matrix::read(&mut self.cursor, found.offset + found.size)?;
                    let name = if matrix.name.is_empty() { "__function_workspace__" } else { &matrix.name };
                    let path = vec![names.name(name.to_owned())];
                    self.add(path, &matrix, found.offset + found.size)?;
                }
                COMPRESSED => {
                    compressed += 1;
                    self.refuse(vec![names.name(format!("compressed-{compressed}"))], COMPRESSES)?;
                }
                of => {
                    let at = found.offset;
                    return Err(fault(&format!("its element at byte {at} has type {of}, which is no variable")));
                }
            }
            go_to(&mut self.cursor, found.end)?;
        }
        Ok(())
    }

    fn push(&mut self, member: Member) -> Result<(), Refusal> {
        if self.members.len() as u64 >= MAX_ENTRIES {
            return Err(Refusal(format!("it holds more than {MAX_ENTRIES} arrays; save fewer in a file")));
        }
        self.members.push(member);
        Ok(())
    }

    fn refuse(&mut self, path: Vec<String>, why: &str) -> Result<(), Refusal> {
        self.push(Member { path, found: Err(Refusal(why.to_owned())) })
    }

    /// Adds the members of a matrix that ends at byte `end`, of which the beginning was read.
    fn add(&mut self, path: Vec<String>, matrix: &Matrix, end: u64) -> Result<(), Refusal> {
        match matrix.class {
            matrix::CELL | matrix::STRUCT if path.len() > MAX_DEPTH => {
                self.refuse(path, &format!("it is nested more than {MAX_DEPTH} deep; save it as a variable of its own"))
            }
            matrix::CELL => {
                let count = matrix.count();
                self.nested(path, end, count, (0..count).map(|index| vec![index.to_string()]))
            }
            matrix::STRUCT => {
                let fields = matrix::fields(&mut self.cursor, end)?;
                let count = matrix.count();
                let one = |index: u64, field: &String| match count {
                    1 => vec![field.clone()],
                    _ => vec![index.to_string(), field.clone()],
                };
                // Where there are no fields, nothing is counted.
                let count = if fields.is_empty() { 0 } else { count };
                let names = (0..count).flat_map(|index| fields.iter().map(move |field| one(index, field)));
                self.nested(path, end, count.saturating_mul(fields.len() as u64), names)
            }
            _ => match matrix.parts() {
                Err(refusal) => self.push(Member { path, found: Err(refusal) }),
                Ok(parts) => parts.iter().try_for_each(|&part| {
                    let found = element(&mut self.cursor, end)?;
                    go_to(&mut self.cursor, found.end)?;
                    let path = path.iter().map(String::as_str).chain([part]).filter(|name| !name.is_empty());
                    let path = path.map(str::to_owned).collect();
                    self.push(Member { path, found: matrix.array(part, found, self.cursor.order) })
                }),
            },
        }
    }

    /// Adds the matrices of a cell or struct, which have these names.
    fn nested(
        &mut self,
        path: Vec<String>,
        end: u64,
        count: u64,
        names: impl Iterator<Item = Vec<String>>,
    ) -> Result<(), Refusal> {
        if count == 0 {
            return self.refuse(path, "it is a cell or struct that holds nothing; there is nothing to show");
        }
        for name in names {
            let found = element(&mut self.cursor, end)?;
            let path = [&path[..], &name].concat();
            match (found.of, found.size) {
                (MATRIX, 0) => self.refuse(path, "it is an empty matrix without a type; there is nothing to show")?,
                (MATRIX, size) => {
                    let end = found.offset + size;
                    let matrix = Matrix::read(&mut self.cursor, end)?;
                    self.add(path, &matrix, end)?;
                }
                (of, _) => {
                    let at = found.offset;
                    return Err(fault(&format!("its element at byte {at} has type {of}, and should be a matrix")));
                }
            }
            go_to(&mut self.cursor, found.end)?;
        }
        Ok(())
    }
}

/// Why a compressed variable is refused.
const COMPRESSES: &str = "it is compressed (zlib), even its name, so that no element has a place of its own; save it with \
     save -v6 (MATLAB, Octave) or scipy.io.savemat(..., do_compression=False)";
