//! Which arrays a folder holds, found on demand.
//!
//! The catalog mirrors the source folder: it resolves a name to a folder or an array file, lists a folder by names
//! alone, and describes an array file when somebody first asks for it. Nothing is read ahead, and what it
//! remembers is bounded: a cache of descriptions and open files that lets the oldest go.
//!
//! *Names.* An array file appears under its stem (`a.npy` as `a`), or under its full name where the stem is taken:
//! by a real folder, by another array file of just that name, by an array described on the command line, or by a
//! file whose format stands earlier in [`FORMATS`](crate::format::FORMATS) (of one format, the first in byte
//! order). The full name always works, unless an array described on the command line has just that name: it hides
//! the file. See `names`.
//!
//! *Identity.* An array file is its device and inode together with a fingerprint: the bytes that its format read,
//! and the siblings that it consulted. When size or times have moved, the fingerprint is compared, and where it
//! differs the header is read anew. See `describe`.
//!
//! *Confinement.* Every path is resolved below the source folder's descriptor with `openat2(2)` and
//! `RESOLVE_BENEATH`, so no link leads out. See `resolve`.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::format::raw::Spec;
use crate::store::{FileId, Store};

mod cache;
mod contents;
mod describe;
mod descriptors;
mod fingerprint;
mod formats;
mod list;
mod names;
mod pieces;
mod reader;
mod resolve;
mod seen;
mod stack;

pub(crate) use contents::is_array_folder;
pub use describe::{Described, Description, Problem, Validity};
pub use list::{Entry, Listing};
pub use stack::Survey;

use cache::Recent;
use describe::{REMEMBERED, Slot};
use pieces::Opened;
use resolve::{Root, absent};
use seen::Folders;

/// Where an array comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A file, by its path below the source folder. An array that is a folder with a file that describes it (Zarr) is that
    /// file.
    File(PathBuf),
    /// An array in a container: the container's path below the source folder, and the groups and the name in it.
    Member(PathBuf, Vec<String>),
    /// An array described on the command line, by its number.
    Named(usize),
}

/// What a name in a folder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A folder of the source, by its path below it.
    Folder(PathBuf),
    /// An array file, which may yet turn out to be malformed.
    Array(Origin),
    /// A container, or a group in it.
    Group(Group),
}

/// A container of arrays, or a group in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The container's path below the source folder.
    pub file: PathBuf,
    /// The groups that lead to it, outermost first; none for the container itself.
    pub path: Vec<String>,
}

/// How the source is served.
#[derive(Debug, Default)]
pub struct Options {
    /// Which links to files are followed.
    pub links: Links,
    /// Arrays described by hand: they appear at the root.
    pub arrays: Vec<Spec>,
    /// Whether other users are let in. The kernel checks their rights by those of the described file, so that files beside it are
    /// served only where they are as open as that.
    pub shared: bool,
    /// Whether arrays may be written over which their file keeps a checksum, which is then brought up to date.
    pub update_checksums: bool,
    /// Whether no file is written, since all changes go to overlays ([`Store::cover`]). Then any file may be changed.
    pub covered: bool,
}

/// Which links to files are followed; those to folders never are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// None. A link leads past the folders that its target lies in, so where other users are let in, following it could
    /// show them what they may not reach.
    Never,
    /// Those whose targets lie in the source.
    #[default]
    Inside,
    /// All.
    Everywhere,
}

/// The arrays of a source: a folder, or a single file.
#[derive(Debug)]
pub struct Catalog {
    root: Arc<Root>,
    only: Option<OsString>,
    options: Options,
    store: Arc<Store>,
    cache: Mutex<Recent<Origin, Slot>>,
    opened: Arc<Opened>,
    folders: Mutex<Folders>,
    headers_read: AtomicU64,
}

/// A file's identity, size and times, as far as they show that it may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Which file.
    pub id: FileId,
    /// Length in bytes.
    pub size: i64,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, u64),
    /// Change time: seconds and nanoseconds.
    pub ctime: (i64, u64),
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Stamp {
        Stamp {
            id: FileId { device: stat.st_dev, inode: stat.st_ino },
            size: stat.st_size,
            mtime: (stat.st_mtime, stat.st_mtime_nsec),
            ctime: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// Why a source cannot be opened.
#[derive(Debug)]
pub struct SourceError {
    message: String,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}

fn fail<T>(message: String) -> Result<T, SourceError> {
    Err(SourceError { message })
}

impl Catalog {
    /// Opens a source: a folder, or one array file.
    ///
    /// # Errors
    /// If it does not exist, is neither, or is a file that no format knows; if an array described by hand has no
    /// name or no file, shares its name with another, or its file does not exist.
    pub fn open(source: &Path, options: Options, store: Arc<Store>) -> Result<Catalog, SourceError> {
        let shown = source.display();
        let root_path = match source.canonicalize() {
            Ok(path) => path,
            Err(error) => return fail(format!("{shown}: {error}")),
        };
        let is_folder = root_path.is_dir() && !contents::is_array_folder(&root_path);
        let (folder, only) = match (root_path.parent(), root_path.file_name()) {
            (Some(parent), Some(name)) if !is_folder => (parent.to_owned(), Some(name.to_owned())),
            _ => (root_path, None),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match rustix::fs::open(&folder, flags, Mode::empty()) {
            Ok(root) => root,
            Err(error) => return fail(format!("{}: {error}", folder.display())),
        };
        let mut options = options;
        complete(&mut options.arrays, only.as_deref());
        let catalog = Catalog {
            root: Arc::new(Root {
                fd: root,
                path: folder,
                links: options.links,
                shared: options.shared,
                remote: store.is_remote(),
                covered: options.covered,
                own_device: OnceLock::new(),
            }),
            only,
            options,
            store,
            cache: Mutex::new(Recent::new(REMEMBERED)),
            opened: Arc::default(),
            folders: Mutex::default(),
            headers_read: AtomicU64::new(0),
        };
        if let Some(only) = &catalog.only
            && catalog.options.arrays.is_empty()
            && !contents::is_array_folder(&catalog.root.path.join(only))
            && matches!(catalog.claim(Path::new(""), only), Ok(None))
            && matches!(catalog.format_by_content(Path::new(only)), Ok(None))
        {
            return fail(format!(
                "{shown}: no array file that afbfs knows; describe it with --array dtype=f4,shape=100x200, or with a sidecar {shown}.toml"
            ));
        }
        catalog.check_named()?;
        Ok(catalog)
    }

    fn check_named(&self) -> Result<(), SourceError> {
        for (number, spec) in self.options.arrays.iter().enumerate() {
            let Some(name) = spec.name.as_deref() else {
                return fail("--array: file= is missing: which file is described?".into());
            };
            if name.is_empty() || name.contains(['/', '\0']) || [".", "..", ".afbfs"].contains(&name) {
                return fail(format!("--array: name={name} cannot be the name of a folder"));
            }
            if self.options.arrays[..number].iter().any(|other| other.name.as_deref() == Some(name)) {
                return fail(format!("--array: two arrays are called {name}"));
            }
            let Some(file) = spec.file.as_deref() else {
                return fail(format!("--array: file= is missing for {name}"));
            };
            if let Err(error) = self.open_named(number) {
                return fail(format!("--array: {file}: {error}"));
            }
            if matches!(self.stat_link(Path::new(name)), Ok(stat) if is_folder(&stat)) {
                return fail(format!("--array: name={name} is the name of a folder of the source; choose another"));
            }
        }
        Ok(())
    }

    /// The source folder's path (that of the file's folder, where the source is one file).
    pub fn root_path(&self) -> &Path {
        &self.root.path
    }

    /// A descriptor of the source folder, opened with `O_PATH`.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.fd.as_fd()
    }

    /// Where bytes are read and written.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Names the device number of our own mount: no file on it is ever served.
    pub fn exclude_device(&self, device: u64) {
        // Said once, after mounting.
        let _ = self.root.own_device.set(device);
    }

    /// Path of an origin below the source folder, for people; that of an array described by hand as it was given.
    pub fn path_of(&self, origin: &Origin) -> PathBuf {
        match origin {
            Origin::File(path) | Origin::Member(path, _) => path.clone(),
            Origin::Named(number) => self
                .options
                .arrays
                .get(*number)
                .and_then(|spec| spec.file.as_ref())
                .map(PathBuf::from)
                .unwrap_or_default(),
        }
    }

    /// Size, times, owner and mode of the file of an origin, as it is now.
    ///
    /// # Errors
    /// ENOENT where it is gone, or leads out of the source.
    pub fn stat(&self, origin: &Origin) -> Result<Stat, Errno> {
        match origin {
            Origin::File(path) | Origin::Member(path, _) => {
                self.root.open_with_stat(path, OFlags::PATH).map(|(_, stat)| stat)
            }
            Origin::Named(_) => self.root.stat(&self.locate(origin)?),
        }
    }

    /// The same of a folder of the source.
    ///
    /// # Errors
    /// ENOENT where it is gone, ENOTDIR where it is no folder any more.
    pub fn stat_folder(&self, folder: &Path) -> Result<Stat, Errno> {
        let (_, stat) = self.root.open_with_stat(folder, OFlags::PATH)?;
        if is_folder(&stat) { Ok(stat) } else { Err(Errno::NOTDIR) }
    }

    /// A descriptor of an origin's file, opened with `O_PATH`.
    ///
    /// # Errors
    /// ENOENT where it is gone, or leads out of the source.
    pub fn locate(&self, origin: &Origin) -> Result<OwnedFd, Errno> {
        match origin {
            Origin::File(path) | Origin::Member(path, _) => self.open_below(path, OFlags::PATH),
            Origin::Named(number) => {
                let path = self.named_path(*number).ok_or(Errno::NOENT)?;
                rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            }
        }
    }

    /// What a name in a folder stands for: a real folder, an array's full name, or a stem.
    ///
    /// # Errors
    /// ENOENT where it stands for nothing; what the disk answers, where that leaves it open.
    pub fn lookup(&self, folder: &Path, name: &str) -> Result<Item, Errno> {
        self.find(folder, name)?.ok_or(Errno::NOENT)
    }

    fn find(&self, folder: &Path, name: &str) -> Result<Option<Item>, Errno> {
        if folder.as_os_str().is_empty()
            && let Some(number) = self.options.arrays.iter().position(|spec| spec.name.as_deref() == Some(name))
        {
            return Ok(Some(Item::Array(Origin::Named(number))));
        }
        let Some(real) = names::real_name(name) else { return Ok(None) };
        if self.serves(&real) {
            let path = folder.join(&real);
            match self.stat_link(&path) {
                Ok(stat) if is_folder(&stat) => return Ok(self.item_of_folder(path)),
                Ok(_) => {}
                Err(error) => absent(error)?,
            }
        }
        if self.claim(folder, &real)?.is_some() {
            return Ok(Some(self.item_of_file(folder.join(real))));
        }
        let path = match self.file_with_stem(folder, name, &real)? {
            Some(file) => folder.join(file),
            // A file known only by its content has its full name, and is not listed.
            None if self.serves(&real) && self.format_by_content(&folder.join(&real))?.is_some() => folder.join(&real),
            None => return Ok(None),
        };
        Ok(Some(self.item_of_file(path)))
    }

    /// The source, where it is one file.
    pub fn only_file(&self) -> Option<Origin> {
        self.only.as_ref().map(|only| Origin::File(PathBuf::from(only)))
    }

    /// The arrays described by hand, and their names.
    pub fn named(&self) -> impl Iterator<Item = (&str, Origin)> {
        let specs = self.options.arrays.iter().enumerate();
        specs.filter_map(|(number, spec)| Some((spec.name.as_deref()?, Origin::Named(number))))
    }

    fn named_path(&self, number: usize) -> Option<PathBuf> {
        Some(self.root.path.join(self.options.arrays.get(number)?.file.as_deref()?))
    }

    /// Whether files outside of the source folder were asked for: those to which links lead, or that were described by hand.
    ///
    /// # Errors
    /// If one of these is gone.
    pub fn is_wider_than_source(&self) -> Result<bool, Errno> {
        for number in 0..self.options.arrays.len() {
            let opened = self.open_named(number)?;
            let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
            let real = rustix::fs::readlinkat(rustix::fs::CWD, path, Vec::new())?;
            if !Path::new(OsStr::from_bytes(real.to_bytes())).starts_with(&self.root.path) {
                return Ok(true);
            }
        }
        Ok(self.root.links == Links::Everywhere)
    }

    fn open_named(&self, number: usize) -> Result<OwnedFd, Errno> {
        let path = self.named_path(number).ok_or(Errno::NOENT)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        self.root.unnoticed(flags, |flags| rustix::fs::open(&path, flags, Mode::empty()))
    }
}

/// Fills in what a description may leave out: the file, where the source is one, and the name, which is then the file's
/// without its extension.
fn complete(arrays: &mut [Spec], only: Option<&OsStr>) {
    for spec in arrays {
        if spec.file.is_none() {
            spec.file = only.and_then(OsStr::to_str).map(str::to_owned);
        }
        if spec.name.is_none() {
            let stem = spec.file.as_deref().and_then(|file| Path::new(file).file_stem()).and_then(OsStr::to_str);
            spec.name = stem.map(str::to_owned);
        }
    }
}

pub(crate) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

pub(crate) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests;
