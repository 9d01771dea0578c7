//! Paths below the source folder, which never lead out of it.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};

use super::{Catalog, Links, is_regular};

fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

impl Catalog {
    /// Opens what lies at a path below the source folder.
    ///
    /// A link that leads out of it is ENOENT, unless links are followed. An absolute link whose target lies
    /// inside is followed: the kernel refuses it at first (`EXDEV`), so its target is found, and opened by its own path.
    pub(super) fn open_below(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if self.options.links == Links::Never {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        let beneath = |path: &Path| {
            rustix::io::retry_on_intr(|| rustix::fs::openat2(&self.root, or_dot(path), flags, Mode::empty(), resolve))
        };
        let opened = match beneath(path) {
            // Renames elsewhere made the kernel unsure: EAGAIN means to try again.
            Err(Errno::AGAIN) => beneath(path),
            Err(Errno::XDEV) => {
                let target = rustix::fs::openat(&self.root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                if self.options.links == Links::Everywhere {
                    self.check_device(&rustix::fs::fstat(&target)?)?;
                    rustix::fs::openat(&self.root, path, flags, Mode::empty())
                } else {
                    let real =
                        rustix::fs::readlinkat(CWD, format!("/proc/self/fd/{}", target.as_raw_fd()), Vec::new())?;
                    let real = Path::new(OsStr::from_bytes(real.to_bytes()));
                    beneath(real.strip_prefix(&self.root_path).map_err(|_| Errno::NOENT)?)
                }
            }
            other => other,
        }?;
        self.check_device(&rustix::fs::fstat(&opened)?)?;
        Ok(opened)
    }

    /// Reading our own mount would wait for ourselves.
    fn check_device(&self, stat: &Stat) -> Result<()> {
        if self.own_device.get() == Some(&stat.st_dev) { Err(Errno::NOENT) } else { Ok(()) }
    }

    /// What lies at a path, a link itself and not its target.
    pub(super) fn stat_link(&self, path: &Path) -> Result<Stat> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                let folder = self.open_below(parent, OFlags::PATH | OFlags::DIRECTORY)?;
                let name = path.file_name().ok_or(Errno::INVAL)?;
                rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            }
            _ => rustix::fs::statat(&self.root, or_dot(path), AtFlags::SYMLINK_NOFOLLOW),
        }
    }

    /// Whether a regular file lies at a path, and no link to one.
    pub(super) fn is_plain_file(&self, path: &Path) -> bool {
        matches!(self.stat_link(path), Ok(stat) if is_regular(&stat))
    }

    /// Whether a regular file lies at a path, or a link to one that may be followed.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        match self.stat_link(path) {
            Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink => {
                if self.options.links == Links::Never {
                    return false;
                }
                let target = self.open_below(path, OFlags::PATH).and_then(rustix::fs::fstat);
                matches!(target, Ok(stat) if is_regular(&stat))
            }
            Ok(stat) => is_regular(&stat),
            Err(_) => false,
        }
    }
}
