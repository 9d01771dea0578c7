//! Listing a folder, by names alone and as a stream.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, RawDir, SeekFrom};
use rustix::io::{Errno, Result};

use super::resolve::Root;
use super::{Catalog, Item, Origin, is_folder};
use crate::name;

/// Bytes of directory entries that are asked for at once.
const CHUNK: usize = 16 * 1024;

/// An open listing of a folder.
#[derive(Debug)]
pub struct Listing {
    pub(super) fd: OwnedFd,
    folder: PathBuf,
}

/// One name of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as the tree shows it.
    pub name: String,
    /// What it stands for.
    pub item: Item,
    /// Where the listing goes on after it.
    pub next: u64,
}

impl Catalog {
    /// Opens a folder of the source for listing.
    ///
    /// # Errors
    /// What `open(2)` answers.
    pub fn list(&self, folder: &Path) -> Result<Listing> {
        let fd = self.open_below(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(Listing { fd, folder: folder.to_owned() })
    }

    /// Gives the entries of a listing from a position on (0 at first, then an entry's `next`), until `each` answers
    /// false. The folder's own files and folders come, not the arrays described by hand.
    ///
    /// # Errors
    /// What `getdents64(2)` answers.
    pub fn entries(&self, listing: &Listing, position: u64, each: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        rustix::fs::seek(&listing.fd, SeekFrom::Start(position))?;
        let mut buffer = [MaybeUninit::uninit(); CHUNK];
        let mut names = RawDir::new(&listing.fd, &mut buffer);
        while let Some(entry) = names.next() {
            let entry = entry?;
            let (real, next) = (OsStr::from_bytes(entry.file_name().to_bytes()), entry.next_entry_cookie());
            if real == "." || real == ".." {
                continue;
            }
            if let Some((name, item)) = self.shown(&listing.folder, real, entry.file_type())
                && !each(Entry { name, item, next })
            {
                break;
            }
        }
        Ok(())
    }

    /// How the tree shows a file or folder, if it does.
    fn shown(&self, folder: &Path, real: &OsStr, kind: FileType) -> Option<(String, Item)> {
        let path = folder.join(real);
        let is_dir = match kind {
            FileType::Directory => true,
            FileType::Unknown => matches!(self.stat_link(&path), Ok(stat) if is_folder(&stat)),
            FileType::RegularFile | FileType::Symlink => false,
            _ => return None,
        };
        let (name, item) = if is_dir && self.serves(real) {
            (name::escape(real.as_bytes()).into_owned(), Item::Folder(path))
        } else if is_dir {
            return None;
        } else {
            let name = match self.claim(folder, real) {
                Ok(Some(claim)) => self.listed_name(folder, real, claim),
                // The one file that is served shows even if only its content tells its format.
                Ok(None) if self.only.as_deref() == Some(real) => {
                    self.format_by_content(&path).ok().flatten()?;
                    name::escape(real.as_bytes()).into_owned()
                }
                Ok(None) | Err(_) => return None,
            };
            (name, Item::Array(Origin::File(path)))
        };
        (!self.is_reserved(folder, &name)).then_some((name, item))
    }

    /// Calls `each` with all names of a folder, as the source spells them.
    pub(super) fn each_name(&self, folder: &Path, each: &mut dyn FnMut(&OsStr)) -> Result<()> {
        self.root.each_name(folder, each)
    }

    /// Calls `each` with every array of the source and its path below the mount. Folders are walked in the order of
    /// their names. Gives those that cannot be read, and are left out.
    pub fn walk(&self, each: &mut dyn FnMut(String, Origin)) -> Vec<(PathBuf, Errno)> {
        for (name, origin) in self.named() {
            each(name.to_owned(), origin);
        }
        let mut unread = Vec::new();
        self.walk_folder(Path::new(""), "", each, &mut unread);
        unread
    }

    fn walk_folder(
        &self,
        folder: &Path,
        prefix: &str,
        each: &mut dyn FnMut(String, Origin),
        unread: &mut Vec<(PathBuf, Errno)>,
    ) {
        if let Some(Item::Array(origin)) = self.item_of_folder(folder.to_owned()) {
            return each(prefix.to_owned(), origin);
        }
        let mut found = Vec::new();
        let listed = self.list(folder).and_then(|listing| {
            self.entries(&listing, 0, &mut |entry| {
                found.push((entry.name, entry.item));
                true
            })
        });
        if let Err(error) = listed {
            log::warn!("{}: {error}", self.root.path.join(folder).display());
            unread.push((folder.to_owned(), error));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, item) in found {
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            match item {
                Item::Folder(folder) => self.walk_folder(&folder, &path, each, unread),
                Item::Array(origin) => self.walk_file(&path, origin, each),
                // Listing tells no container from an array file.
                Item::Group(_) => {}
            }
        }
    }
}

impl Root {
    /// As [`Catalog::each_name`].
    pub(super) fn each_name(&self, folder: &Path, each: &mut dyn FnMut(&OsStr)) -> Result<()> {
        let fd = self.open_below(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = [MaybeUninit::uninit(); CHUNK];
        let mut names = RawDir::new(&fd, &mut buffer);
        while let Some(entry) = names.next() {
            each(OsStr::from_bytes(entry?.file_name().to_bytes()));
        }
        Ok(())
    }
}
