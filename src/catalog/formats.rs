//! Of which format an array file is: what its content says, its name, or a sidecar beside it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::reader::read_at;
use super::resolve::absent;
use super::{Catalog, Origin};
use crate::format::{FORMATS, Format, HEAD, raw, zarr};
use crate::name;

impl Catalog {
    /// The format of a file, as its name tells, or a sidecar.
    pub(super) fn format_of_name(&self, folder: &Path, file: &OsStr) -> Result<Option<&'static dyn Format>, Errno> {
        let shown = name::escape(file.as_bytes());
        let by_name = FORMATS.iter().copied().find(|format| format.stem(&shown).is_some());
        let by_metadata = zarr::METADATA.contains(&&*shown).then_some(&zarr::Zarr as &dyn Format);
        match by_name.or(by_metadata) {
            Some(format) => Ok(Some(format)),
            None => Ok(self.claim(folder, file)?.and_then(|claim| FORMATS.get(claim.rank).copied())),
        }
    }

    /// The format of a file that no name tells. This opens the file.
    ///
    /// # Errors
    /// What opening and reading it answers, unless that means that it is not there.
    pub(super) fn format_by_content(&self, path: &Path) -> Result<Option<&'static dyn Format>, Errno> {
        if !self.is_file(path)? {
            return Ok(None);
        }
        match self.open_below(path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK) {
            Ok(opened) => format_of_content(opened.as_fd()),
            Err(error) => absent(error).map(|()| None),
        }
    }

    /// Whether a file may hold several arrays, as far as that can be told without opening it.
    pub(super) fn may_hold_many(&self, origin: &Origin) -> bool {
        let Origin::File(path) = origin else { return false };
        let folder = path.parent().unwrap_or(Path::new(""));
        let by_name = self.format_of_name(folder, path.file_name().unwrap_or_default());
        by_name.ok().flatten().is_none_or(|format| format.may_hold_many())
    }

    /// The format of an array file: what its content says, or, where that says nothing, its name.
    pub fn format_of(&self, origin: &Origin) -> &'static str {
        match origin {
            Origin::File(path) | Origin::Member(path, _) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                let by_name = || self.format_of_name(folder, path.file_name().unwrap_or_default()).ok().flatten();
                self.format_by_content(path).ok().flatten().or_else(by_name).unwrap_or(&raw::Raw).name()
            }
            Origin::Named(_) => raw::Raw.name(),
        }
    }
}

/// The format that a file's content is certainly of.
pub(super) fn format_of_content(fd: BorrowedFd<'_>) -> Result<Option<&'static dyn Format>, Errno> {
    let mut head = [0; HEAD];
    let count = read_at(fd, &mut head, 0)?;
    Ok(FORMATS.iter().copied().find(|format| format.knows(&head[..count])))
}
