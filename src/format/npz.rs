//! `.npz`, the files of `numpy.savez`: ZIP archives of `.npy` files.
//!
//! Specification: NumPy's `numpy/lib/_npyio_impl.py` (`savez`). Each array is a member `NAME.npy`, a whole `.npy` file.
//! Any ZIP archive with such members is read the same way, whoever wrote it: what the member's name has before a `/`
//! are groups, `a/b.npy` the array `b` of the group `a`. Members of other names are left out.
//!
//! Limits, and why, beside those of [`zip`](super::zip) and [`npy`]:
//!
//! - The members must be stored: `numpy.savez`, not `numpy.savez_compressed`, which deflates them.
//! - The `.npy` headers of an archive take at most [`MAX_HEADERS`] bytes together, room for as many usual ones as
//!   there may be members.
//! - The archive's comment is an attribute of each of its arrays, unless it is longer than 4096 bytes.
//! - What stands in a member behind its array is left alone, as in a `.npy` file.
//! - An archive without the extension `.npz` is known by a `.npy` member among those at its start, as far as the first
//!   [`HEAD`](super::HEAD) bytes show them. The directory, which lists all, is at its end.
//! - Nothing is written: see [`READ_ONLY`].

use std::cell::Cell;
use std::io;

use serde_json::{Map, Value};

use crate::format::header::MAX_TEXT;
use crate::format::zip::{Archive, Body, READ_ONLY, Window, names_in_head, told_apart};
use crate::format::{Array, Container, Content, Format, Member, Refusal, npy};
use crate::grid::Grid;
use crate::layout::Layout;
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// What ends the name of a member that is an array.
const EXTENSION: &str = ".npy";

/// The most bytes of `.npy` headers that are read, all members together.
pub const MAX_HEADERS: u64 = 64 << 20;

/// The `.npz` format.
#[derive(Clone, Copy, Debug)]
pub struct Npz;

impl Format for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".npz"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        names_in_head(head).iter().any(|(name, _)| name.ends_with(EXTENSION.as_bytes()))
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let archive = Archive::read(file)?;
        let headers = Metered { file, left: Cell::new(MAX_HEADERS) };
        let mut members = Vec::new();
        for entry in archive.entries() {
            let name = archive.name(entry);
            let Some(path) = path(&name) else { continue };
            members.push(Member { path, found: archive.body(file, entry).and_then(|body| array(&headers, body)) });
        }
        if members.is_empty() {
            return Err(Refusal(
                "it is a ZIP archive without any .npy member, so it holds no array; make it with numpy.savez".into(),
            ));
        }
        let mut attributes = Map::new();
        if (1..=MAX_TEXT).contains(&(archive.comment.len() as u64)) {
            attributes.insert("comment".into(), Value::String(archive.comment));
        }
        Ok(Content::Many(Container { members: told_apart(members), attributes }))
    }
}

/// Groups and name of the array that a member is by its name.
pub(crate) fn path(name: &str) -> Option<Vec<String>> {
    let stem = name.strip_suffix(EXTENSION)?;
    let stem = if stem.is_empty() || stem.ends_with('/') { name } else { stem };
    // Empty names lead nowhere, as in a file system.
    Some(stem.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// A file of which only so many bytes are read.
struct Metered<'a> {
    file: &'a dyn ReadAt,
    left: Cell<u64>,
}

impl ReadAt for Metered<'_> {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.left.get().checked_sub(buffer.len() as u64).ok_or_else(|| {
            let why = format!(
                "the .npy headers of the archive are longer than the {MAX_HEADERS} bytes that are read of them; \
                 divide it into several archives"
            );
            io::Error::other(why)
        })?;
        self.left.set(left);
        self.file.read_at(buffer, offset)
    }
}

/// The array of a member.
fn array(file: &dyn ReadAt, body: Body) -> Result<Array, Refusal> {
    let window = Window { file, start: body.start, len: body.len };
    let npy::Header { dtype, shape, order, offset } = npy::header(&window)?;
    let layout = Layout::packed(body.start + offset, &shape, dtype.itemsize(), order).map_err(|error| {
        Refusal(format!("its .npy header claims an array that cannot be: {error}; the header is damaged"))
    })?;
    let (claimed, held) = (layout.extent().end - layout.offset, body.len.saturating_sub(offset));
    if held < claimed {
        return Err(Refusal(format!(
            "the header claims {claimed} bytes of data, the member of the archive holds only {held}: it was truncated \
             before it was archived; save it again"
        )));
    }
    let array = Array::new(Npz.name(), dtype, Grid::one(layout));
    Ok(Array { read_only: Some(READ_ONLY.into()), checksum: Some(body.checksum), ..array })
}
