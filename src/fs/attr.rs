//! Attributes: sizes, owners, modes, times, and extended attributes.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Stat, StatVfs, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::facts::{self, Fact};
use super::io::Truncated;
use super::preview::Content;
use super::{Folder, Fs, Leaf, Node, Shown, Special, Tree, error_text};
use crate::catalog::{Origin, Problem};

/// Prefix of the extended attributes that tell facts.
const PREFIX: &str = "user.afbfs.";
/// The access control list that the kernel checks.
const ACL: &str = "system.posix_acl_access";
/// `st_blksize`: what programs read at once.
const BLOCK: u32 = 1 << 20;

/// Whether an inode is a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
}

/// The attributes of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// `st_ino`
    pub inode: u64,
    /// Folder or file.
    pub kind: Kind,
    /// Length in bytes.
    pub size: u64,
    /// Preferred request size in bytes.
    pub block_size: u32,
    /// Permission bits.
    pub mode: u32,
    /// Number of names; 1 for folders, which tells programs that it cannot be relied on.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Access time: seconds and nanoseconds.
    pub atime: (i64, u32),
    /// Modification time.
    pub mtime: (i64, u32),
    /// Change time.
    pub ctime: (i64, u32),
}

impl Attr {
    /// `most`: the permission bits that there can be.
    fn new(inode: u64, kind: Kind, size: u64, most: u32, stat: &Stat, shown: Shown) -> Attr {
        Attr {
            inode,
            kind,
            size,
            block_size: BLOCK,
            mode: most & shown.umask.map_or(stat.st_mode, |umask| 0o777 & !umask),
            links: 1,
            uid: shown.uid.unwrap_or(stat.st_uid),
            gid: shown.gid.unwrap_or(stat.st_gid),
            atime: (stat.st_atime, stat.st_atime_nsec as u32),
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }

    /// A file of text about an array file, which nobody may write.
    pub(super) fn of_text(inode: u64, size: u64, stat: &Stat, shown: Shown) -> Attr {
        Attr::new(inode, Kind::File, size, 0o444, stat, shown)
    }
}

/// What `setattr` asks to change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time of the call.
    Now,
    /// Seconds and nanoseconds.
    At(i64, u32),
}

fn timespec(time: Option<SetTime>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(SetTime::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(SetTime::At(seconds, nanos)) => Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}

impl Fs {
    /// The attributes of an inode.
    ///
    /// # Errors
    /// ESTALE where the array file is gone or another, and nobody has it open.
    pub fn getattr(&self, inode: u64) -> Result<Attr, Errno> {
        match self.node(inode)? {
            Node::Folder(folder) => self.attr_of_folder(inode, &folder),
            Node::Special(special) => self.attr_of_special(special),
            Node::Error(origin) => match self.catalog.describe(&origin) {
                Err(Problem::Refused(reason)) => {
                    let len = error_text(&self.catalog, &origin, &reason).len() as u64;
                    Ok(Attr::of_text(inode, len, &self.catalog.stat(&origin)?, self.settings.shown))
                }
                Err(Problem::Errno(error)) => Err(error),
                Ok(_) => Err(Errno::STALE),
            },
            Node::Leaf(tree, leaf, described) => {
                // As the path leads to it, or, once replaced, as the open handles have it.
                let stat = match described {
                    Some(described) => described.stat,
                    None => rustix::fs::fstat(self.inodes.file(inode).ok_or(Errno::STALE)?.fd())?,
                };
                self.attr_of_leaf(inode, &tree, &leaf, &stat)
            }
        }
    }

    pub(super) fn attr_of_leaf(&self, inode: u64, tree: &Tree, leaf: &Leaf, stat: &Stat) -> Result<Attr, Errno> {
        if let Leaf::Fact(fact) = leaf {
            return Ok(Attr::of_text(
                inode,
                facts::content(&self.catalog, tree, *fact, self.settings.read_only).len() as u64,
                stat,
                self.settings.shown,
            ));
        }
        let (len, is_preview) = match leaf {
            Leaf::Formed(..) => {
                let content = tree.content(leaf)?;
                (content.len(), matches!(content, Content::Preview(_)))
            }
            leaf => (tree.len_of(leaf).ok_or(Errno::NOENT)?, false),
        };
        let may_write = tree.description.writable && !self.settings.read_only && !is_preview;
        let most = if may_write { 0o666 } else { 0o444 };
        let mut shown = *stat;
        if may_write && self.settings.readers_write {
            shown.st_mode = (stat.st_mode & 0o444) | ((stat.st_mode & 0o444) >> 1);
        }
        let mut attr = Attr::new(inode, Kind::File, len, most, &shown, self.settings.shown);
        if let Some((seconds, nanos)) = self.catalog.store().shelf().and_then(|shelf| shelf.mtime(tree.description.id))
        {
            attr.mtime = (seconds, nanos as u32);
        }
        Ok(attr)
    }

    pub(super) fn attr_of_folder(&self, inode: u64, folder: &Folder) -> Result<Attr, Errno> {
        let attr = |most, stat: &Stat| Attr::new(inode, Kind::Folder, 0, most, stat, self.settings.shown);
        let views = |stat: &Stat| {
            let mut entered = *stat;
            entered.st_mode = enterable(stat.st_mode);
            attr(0o777, &entered)
        };
        match folder {
            Folder::Source(path) => match self.catalog.only_file() {
                // Without the file the root is still there, with `.afbfs` and nothing else.
                Some(origin) => {
                    Ok(views(&self.catalog.stat(&origin).or_else(|_| rustix::fs::fstat(self.catalog.root()))?))
                }
                None => {
                    let stat = self.catalog.stat_folder(path)?;
                    Ok(attr(0o7777, &stat))
                }
            },
            Folder::Group(group) => Ok(views(&self.catalog.stat(&Origin::File(group.file.clone()))?)),
            Folder::Views(tree, _) => Ok(views(&self.catalog.stat(&tree.origin)?)),
            Folder::Special => {
                let stat = rustix::fs::fstat(self.catalog.root())?;
                Ok(attr(0o555, &stat))
            }
        }
    }

    /// `.afbfs` has the times of the source's folder. The lists of arrays are only for the user who mounted: they name
    /// what lies in folders that others may not enter. So is that of overlays, which takes orders as well.
    pub(super) fn attr_of_special(&self, special: Special) -> Result<Attr, Errno> {
        let stat = rustix::fs::fstat(self.catalog.root())?;
        let mut attr = Attr::new(special.number(), Kind::File, 0, 0o444, &stat, self.settings.shown);
        attr.mode = 0o444;
        if let Special::Arrays | Special::Usage | Special::Overlay = special {
            attr.mode = if special == Special::Overlay { 0o600 } else { 0o400 };
            attr.uid = rustix::process::geteuid().as_raw();
        }
        Ok(attr)
    }

    /// Changes attributes: the length as a truncation within the fixed size, the times those of the array file. Gives the
    /// attributes, and what a truncation did.
    ///
    /// # Errors
    /// EFBIG for growing; EPERM for another owner or mode; what `utimensat(2)` answers.
    pub fn setattr(&self, inode: u64, changes: &Changes, handle: Option<u64>) -> Result<(Attr, Truncated), Errno> {
        let before = self.getattr(inode)?;
        let other_mode = changes.mode.is_some_and(|mode| mode & 0o7777 != before.mode);
        let other_owner =
            changes.uid.is_some_and(|uid| uid != before.uid) || changes.gid.is_some_and(|gid| gid != before.gid);
        if other_mode || other_owner {
            return Err(Errno::PERM);
        }
        let truncated = match changes.size {
            Some(size) => self.truncate(inode, handle, size)?,
            None => Truncated::default(),
        };
        // A truncation brings the time of the call along; the size did not change, so neither does the time.
        if changes.size.is_none() && (changes.atime.is_some() || changes.mtime.is_some()) {
            let Node::Leaf(tree, _, _) = self.node(inode)? else { return Err(Errno::PERM) };
            let times = Timestamps { last_access: timespec(changes.atime), last_modification: timespec(changes.mtime) };
            // An open handle means the file that it has, even if another one has taken its name.
            let file = match self.inodes.file(inode) {
                Some(file) => file,
                None => match self.catalog.describe(&tree.description.origin) {
                    Ok(described) => described.file,
                    Err(Problem::Refused(_)) => return Err(Errno::STALE),
                    Err(Problem::Errno(error)) => return Err(error),
                },
            };
            file.set_times(&times)?;
        }
        Ok((self.getattr(inode)?, truncated))
    }

    /// The value of an extended attribute: `user.afbfs.FACT`, or the array file's ACL.
    ///
    /// # Errors
    /// ENODATA where there is none.
    pub fn getxattr(&self, inode: u64, name: &OsStr) -> Result<Vec<u8>, Errno> {
        if name == ACL {
            return if self.settings.shown.umask.is_some() { Err(Errno::NODATA) } else { self.acl(inode) };
        }
        let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).ok_or(Errno::NODATA)?;
        let (tree, leaf) = self.facts_of(inode)?.ok_or(Errno::NODATA)?;
        match Fact::named(name) {
            Some(Fact::Info) => Err(Errno::NODATA),
            Some(fact) => Ok(facts::text(&tree, &leaf, fact).into_bytes()),
            None => {
                let found = facts::extras(&tree, &leaf).into_iter().find(|(extra, _)| *extra == name);
                found.map(|(_, text)| text.into_bytes()).ok_or(Errno::NODATA)
            }
        }
    }

    /// Names of the extended attributes, each ended by a NUL.
    ///
    /// # Errors
    /// ESTALE where the inode is not known any more.
    pub fn listxattr(&self, inode: u64) -> Result<Vec<u8>, Errno> {
        let mut names = Vec::new();
        if let Some((tree, leaf)) = self.facts_of(inode)? {
            let facts = Fact::ALL.into_iter().filter(|&fact| fact != Fact::Info).map(Fact::name);
            for name in facts.chain(facts::extras(&tree, &leaf).into_iter().map(|(name, _)| name)) {
                names.extend_from_slice(PREFIX.as_bytes());
                names.extend_from_slice(name.as_bytes());
                names.push(0);
            }
        }
        Ok(names)
    }

    /// The view whose facts an inode tells: an array's folder its array's, a slice file its own.
    fn facts_of(&self, inode: u64) -> Result<Option<(std::sync::Arc<Tree>, Leaf)>, Errno> {
        match self.node(inode)? {
            Node::Leaf(_, Leaf::Fact(_), _) | Node::Error(_) | Node::Special(_) => Ok(None),
            Node::Leaf(tree, leaf, _) => Ok(Some((tree, leaf))),
            Node::Folder(folder) => match &folder {
                Folder::Views(views, super::Place::Top) => match self.tree(&views.origin, &views.steps) {
                    Ok((tree, _)) => Ok(Some((tree, Leaf::Data))),
                    Err(Problem::Refused(_)) => Ok(None),
                    Err(Problem::Errno(error)) => Err(error),
                },
                _ => Ok(None),
            },
        }
    }

    fn acl(&self, inode: u64) -> Result<Vec<u8>, Errno> {
        let of_file = |origin: &Origin| read_acl(&self.catalog.locate(origin)?);
        match self.node(inode)? {
            Node::Leaf(tree, Leaf::Fact(_), _) => of_file(&tree.description.origin).map(|acl| masked(acl, 0o4)),
            Node::Leaf(tree, leaf, _) => {
                let may_write = tree.description.writable && !self.settings.read_only && !tree.is_preview(&leaf);
                let acl = of_file(&tree.description.origin)?;
                Ok(match (may_write, self.settings.readers_write) {
                    (false, _) => masked(acl, 0o4),
                    (true, false) => masked(acl, 0o6),
                    (true, true) => {
                        map_permissions(acl, |permissions| (permissions & 0o4) | ((permissions & 0o4) >> 1))
                    }
                })
            }
            Node::Error(origin) => of_file(&origin).map(|acl| masked(acl, 0o4)),
            Node::Folder(folder) => match &folder {
                Folder::Source(path) => match self.catalog.only_file() {
                    Some(origin) => of_file(&origin).map(with_search),
                    None => read_acl(&self.catalog.locate(&Origin::File(path.to_path_buf()))?),
                },
                Folder::Group(group) => of_file(&Origin::File(group.file.clone())).map(with_search),
                Folder::Views(views, _) => of_file(&views.origin).map(with_search),
                Folder::Special => read_acl(&self.catalog.locate(&Origin::File("".into()))?),
            },
            Node::Special(_) => Err(Errno::NODATA),
        }
    }

    /// What `statfs` says of the source's file system.
    ///
    /// # Errors
    /// What `statvfs(2)` answers.
    pub fn statfs(&self) -> Result<StatVfs, Errno> {
        let path = format!("/proc/self/fd/{}", self.catalog.root().as_raw_fd());
        rustix::fs::statvfs(path)
    }
}

/// The mode of a folder made of a file: whoever may read or write the file may enter the folder.
fn enterable(mode: u32) -> u32 {
    (mode & 0o666) | ((mode & 0o444) >> 2) | ((mode & 0o222) >> 1)
}

/// Reads the ACL through `/proc`, as a descriptor opened with `O_PATH` knows no extended attributes.
fn read_acl(place: &impl AsRawFd) -> Result<Vec<u8>, Errno> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let mut value = vec![0; 64 * 1024];
    match rustix::fs::getxattr(path, OsStr::from_bytes(ACL.as_bytes()), value.as_mut_slice()) {
        Ok(len) => {
            value.truncate(len);
            Ok(value)
        }
        // A file system without ACLs has none.
        Err(Errno::OPNOTSUPP) => Err(Errno::NODATA),
        Err(error) => Err(error),
    }
}

/// Changes the permissions of each entry of an ACL, in the kernel's format for extended attributes: a version of 4 bytes,
/// then entries of 8, each a tag, the permissions (2 bytes each, little-endian) and an id.
fn map_permissions(mut acl: Vec<u8>, change: impl Fn(u8) -> u8) -> Vec<u8> {
    for entry in acl.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
        entry[2] = change(entry[2]);
    }
    acl
}

fn masked(acl: Vec<u8>, mask: u8) -> Vec<u8> {
    map_permissions(acl, |permissions| permissions & mask)
}

fn with_search(acl: Vec<u8>) -> Vec<u8> {
    map_permissions(acl, |permissions| enterable(permissions.into()) as u8 & 0o7)
}
