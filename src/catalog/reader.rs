//! What formats read through: array files by `pread(2)`, siblings by name. What was read is remembered, since it tells whether
//! a description still holds.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};

use super::resolve::{Root, absent};
use super::{Catalog, is_regular};
use crate::source::{ReadAt, Siblings};

pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

pub(super) fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buffer.len() {
        match retry_on_intr(|| rustix::io::pread(fd, &mut buffer[done..], offset + done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Reads an array file with `pread(2)`, and remembers what was read.
pub(super) struct Recorder<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) len: u64,
    pub(super) parts: RefCell<Vec<(u64, usize)>>,
    pub(super) hasher: RefCell<DefaultHasher>,
    /// Why the disk did not give something.
    pub(super) failed: &'a Cell<Option<Errno>>,
}

impl ReadAt for Recorder<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = read_at(self.fd, buffer, offset).inspect_err(|&error| self.failed.set(Some(error)))?;
        self.hasher.borrow_mut().write(&buffer[..count]);
        let mut parts = self.parts.borrow_mut();
        match parts.last_mut() {
            Some((start, len)) if *start + *len as u64 == offset => *len += count,
            _ => parts.push((offset, count)),
        }
        Ok(count)
    }
}

/// Reads the siblings of a file, and remembers which, also those that are not there: they may come.
pub(super) struct SiblingRecorder<'a> {
    pub(super) root: &'a Root,
    pub(super) folder: &'a Path,
    pub(super) read: RefCell<Vec<(PathBuf, Option<u64>)>>,
    /// Why the disk did not give something.
    pub(super) failed: &'a Cell<Option<Errno>>,
}

impl SiblingRecorder<'_> {
    /// Notes what may be gone when the file is read again. Whatever a user may not read, or is a link, stays so.
    fn note(&self, error: &io::Error) {
        let lasts = |error: &Errno| matches!(*error, Errno::ACCESS | Errno::PERM) || absent(*error).is_ok();
        if let Some(error) = Errno::from_io_error(error).filter(|error| !lasts(error)) {
            self.failed.set(Some(error));
        }
    }
}

impl Siblings for SiblingRecorder<'_> {
    fn sibling(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(real) = super::names::real_name(name) else { return Ok(None) };
        let path = self.folder.join(real);
        let content = self.root.read_small(&path, limit).inspect_err(|error| self.note(error))?;
        self.read.borrow_mut().push((path, content.as_deref().map(hash_of)));
        Ok(content)
    }

    fn sibling_len(&self, name: &str) -> io::Result<Option<u64>> {
        let Some(real) = super::names::real_name(name) else { return Ok(None) };
        let place = match self.root.open_below(&self.folder.join(real), OFlags::PATH) {
            Ok(place) => place,
            Err(error) => {
                self.note(&error.into());
                return Ok(None);
            }
        };
        let stat = rustix::fs::fstat(place)?;
        Ok(is_regular(&stat).then_some(stat.st_size as u64))
    }
}

impl Catalog {
    /// The contents of a small file below the source, or nothing if there is no regular file.
    pub(super) fn read_small(&self, path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
        self.root.read_small(path, limit)
    }
}

impl Root {
    /// As [`Catalog::read_small`].
    fn read_small(&self, path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
        // A link could tell what its target holds to users who may not read that.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let opened = match self.open_below(path, flags) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&opened)?;
        if !is_regular(&stat) {
            return Ok(None);
        }
        if stat.st_size as u64 > limit as u64 {
            return Err(io::Error::other(format!("{} is larger than {limit} bytes", path.display())));
        }
        let mut content = vec![0; stat.st_size as usize];
        let count = read_at(opened.as_fd(), &mut content, 0)?;
        content.truncate(count);
        Ok(Some(content))
    }
}
