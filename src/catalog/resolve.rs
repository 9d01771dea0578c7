//! Paths below the source folder, which never lead out of it.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};

use super::{Catalog, Links, is_regular};

fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Whether an error says that nothing is to be found at a path. The others say that nobody knows: the disk fails, or there are
/// too many open files.
///
/// # Errors
/// The error, where it is one of the others.
pub(super) fn absent(error: Errno) -> Result<()> {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL => Ok(()),
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::AGAIN => Ok(()),
        error => Err(error),
    }
}

/// The source folder, from which everything is opened.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) links: Links,
    pub(super) shared: bool,
    /// Whether files stay as they are, as far as that can be.
    pub(super) covered: bool,
    pub(super) own_device: OnceLock<u64>,
}

impl Root {
    /// Opens what lies at a path below the source folder.
    ///
    /// A link that leads out of it is ENOENT, unless links are followed. An absolute link whose target lies
    /// inside is followed: the kernel refuses it at first (`EXDEV`), so its target is found, and opened by its own path.
    pub(super) fn open_below(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        self.open_with_stat(path, flags).map(|(opened, _)| opened)
    }

    /// Opens in such a way that reading does not move the time of access, where files are to stay as they are and
    /// this process may ask for that (the owner may).
    pub(super) fn unnoticed<T>(&self, flags: OFlags, open: impl Fn(OFlags) -> Result<T>) -> Result<T> {
        if !self.covered || flags.contains(OFlags::PATH) {
            return open(flags);
        }
        match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => open(flags),
            opened => opened,
        }
    }

    /// The same as [`Root::open_below`], and what `fstat(2)` says of it.
    pub(super) fn open_with_stat(&self, path: &Path, flags: OFlags) -> Result<(OwnedFd, Stat)> {
        self.unnoticed(flags | OFlags::CLOEXEC, |flags| self.open_now(path, flags))
    }

    fn open_now(&self, path: &Path, flags: OFlags) -> Result<(OwnedFd, Stat)> {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if self.links == Links::Never {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        let beneath = |path: &Path| {
            rustix::io::retry_on_intr(|| rustix::fs::openat2(&self.fd, or_dot(path), flags, Mode::empty(), resolve))
        };
        let opened = match beneath(path) {
            // Renames elsewhere made the kernel unsure: EAGAIN means to try again.
            Err(Errno::AGAIN) => beneath(path),
            Err(Errno::XDEV) => {
                let target = rustix::fs::openat(&self.fd, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                if self.links == Links::Everywhere {
                    self.check_device(&rustix::fs::fstat(&target)?)?;
                    rustix::fs::openat(&self.fd, path, flags, Mode::empty())
                } else {
                    let real =
                        rustix::fs::readlinkat(CWD, format!("/proc/self/fd/{}", target.as_raw_fd()), Vec::new())?;
                    let real = Path::new(OsStr::from_bytes(real.to_bytes()));
                    beneath(real.strip_prefix(&self.path).map_err(|_| Errno::NOENT)?)
                }
            }
            other => other,
        }?;
        let stat = rustix::fs::fstat(&opened)?;
        self.check_device(&stat)?;
        Ok((opened, stat))
    }

    /// Sees to it that whoever may use the described file may use a file of its array as well, and enter the folders in
    /// between: it is the rights to the described file that the kernel checks.
    ///
    /// # Errors
    /// EACCES if they may not.
    pub(super) fn check_rights(&self, described: &Path, path: &Path, stat: &Stat) -> Result<()> {
        let top = described.parent().unwrap_or(Path::new(""));
        let (_, described) = self.open_with_stat(described, OFlags::PATH)?;
        let owner = |stat: &Stat| (stat.st_uid, stat.st_gid);
        let covers = |stat: &Stat, wanted: u32| owner(stat) == owner(&described) && wanted & !stat.st_mode == 0;
        if !covers(stat, described.st_mode & 0o666) {
            return Err(Errno::ACCESS);
        }
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != top) {
            let (_, stat) = self.open_with_stat(folder, OFlags::PATH)?;
            // One that was made here belongs to whoever mounted.
            if stat.st_mode & 0o111 != 0o111 && !covers(&stat, (described.st_mode & 0o444) >> 2) {
                return Err(Errno::ACCESS);
            }
        }
        Ok(())
    }

    /// Reading our own mount would wait for ourselves.
    fn check_device(&self, stat: &Stat) -> Result<()> {
        if self.own_device.get() == Some(&stat.st_dev) { Err(Errno::NOENT) } else { Ok(()) }
    }
}

impl Catalog {
    /// Opens a file below the source folder for reading, by the rules for links.
    ///
    /// # Errors
    /// ENOENT where there is none, or it leads out of the source; EINVAL if it is no regular file; what `open(2)` answers.
    pub fn open_file(&self, path: &Path) -> Result<OwnedFd> {
        let opened = self.open_below(path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK)?;
        if is_regular(&rustix::fs::fstat(&opened)?) { Ok(opened) } else { Err(Errno::INVAL) }
    }

    pub(super) fn open_below(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        self.root.open_below(path, flags)
    }

    /// What lies at a path, a link itself and not its target.
    pub(super) fn stat_link(&self, path: &Path) -> Result<Stat> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                let folder = self.open_below(parent, OFlags::PATH | OFlags::DIRECTORY)?;
                let name = path.file_name().ok_or(Errno::INVAL)?;
                rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            }
            _ => rustix::fs::statat(&self.root.fd, or_dot(path), AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Whether a regular file lies at a path, and no link to one.
    pub(super) fn is_plain_file(&self, path: &Path) -> Result<bool> {
        match self.stat_link(path) {
            Ok(stat) => Ok(is_regular(&stat)),
            Err(error) => absent(error).map(|()| false),
        }
    }

    /// Whether a regular file lies at a path, or a link to one that may be followed.
    pub(super) fn is_file(&self, path: &Path) -> Result<bool> {
        let found = match self.stat_link(path) {
            Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink => {
                if self.root.links == Links::Never {
                    return Ok(false);
                }
                self.open_below(path, OFlags::PATH).and_then(rustix::fs::fstat)
            }
            found => found,
        };
        match found {
            Ok(stat) => Ok(is_regular(&stat)),
            Err(error) => absent(error).map(|()| false),
        }
    }
}
