//! Mounting and unmounting.
//!
//! Root mounts with `mount(2)`, others through the setuid helper `fusermount3`, which hands the descriptor of
//! `/dev/fuse` back over a socket. fuser could do both, but in 0.18 it unmounts whatever is mounted at the path
//! once our own mount has been removed by somebody else; here the mount is known by its device number.

use std::ffi::CString;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};

mod holders;
mod table;

use table::find_device;
pub use table::{Entry, TYPE, containing, find, find_all, is_within};

/// What to mount, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shown as the source by `df` and `mount`.
    pub source: PathBuf,
    /// No writing.
    pub read_only: bool,
    /// Users other than the one who mounts may enter; the kernel checks their rights by mode and ACL.
    pub allow_other: bool,
    /// Further options for the kernel: `noexec`, `noatime`, `nodiratime`.
    pub kernel: Vec<&'static str>,
    /// Bytes of a read that the kernel asks for at once.
    pub max_read: Option<u32>,
    /// Have `fusermount3` wait for this process, and unmount should it die.
    pub auto_unmount: bool,
}

/// Why mounting or unmounting failed.
#[derive(Debug)]
pub struct MountError(String);

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MountError {}

fn fail<T>(message: impl Into<String>) -> Result<T, MountError> {
    Err(MountError(message.into()))
}

/// A mount of ours.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where it is: an absolute path.
    pub point: PathBuf,
    /// Its device number, as `st_dev` gives it.
    pub device: u64,
    /// Whether only the setuid helper can unmount it.
    pub by_helper: bool,
    /// What the helper waits for that unmounts when this process dies: the other end of its socket.
    pub watched: Option<Arc<OwnedFd>>,
    /// The connection to the kernel, which lasts as long as the mount does.
    connection: Arc<OwnedFd>,
}

/// Mounts at an absolute path. The descriptor is that of `/dev/fuse`: who holds it must serve the requests.
///
/// # Errors
/// If there is no `/dev/fuse`, no helper, or no right to mount there.
pub fn mount(point: &Path, options: &Options) -> Result<(OwnedFd, Mount), MountError> {
    let directly = if options.auto_unmount { Err(Errno::PERM) } else { mount_directly(point, options) };
    let (device, socket) = match directly {
        Ok(device) => (device, None),
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) if !Path::new("/dev/fuse").exists() => {
            return fail(
                "/dev/fuse does not exist: load the kernel module (modprobe fuse), or give the container the device",
            );
        }
        Err(Errno::PERM | Errno::ACCESS) => {
            let (device, socket) = mount_by_helper(point, options)?;
            (device, Some(socket))
        }
        Err(Errno::NOSPC) => {
            return fail(format!(
                "{}: there are as many mounts as may be: unmount some, or allow more (sysctl fs.mount-max)",
                point.display()
            ));
        }
        Err(error) => return fail(format!("{}: mounting: {error}", point.display())),
    };
    let connection = match device.try_clone() {
        Ok(connection) => Arc::new(connection),
        Err(error) => return fail(format!("/dev/fuse: {error}")),
    };
    match find(point) {
        Some(entry) => {
            let by_helper = socket.is_some() && !rustix::process::geteuid().is_root();
            let watched = socket.filter(|_| options.auto_unmount).map(Arc::new);
            Ok((device, Mount { point: point.to_owned(), device: entry.device, by_helper, watched, connection }))
        }
        None => fail(format!("{}: was mounted, but is not in /proc/self/mountinfo", point.display())),
    }
}

fn mount_directly(point: &Path, options: &Options) -> Result<OwnedFd, Errno> {
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut data =
        format!("fd={},rootmode=40000,user_id={},group_id={},default_permissions", device.as_raw_fd(), ids.0, ids.1);
    if options.allow_other {
        data.push_str(",allow_other");
    }
    if let Some(bytes) = options.max_read {
        data.push_str(&format!(",max_read={bytes}"));
    }
    let data = CString::new(data).map_err(|_| Errno::INVAL)?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if options.read_only {
        flags |= MountFlags::RDONLY;
    }
    for option in &options.kernel {
        flags |= match *option {
            "noexec" => MountFlags::NOEXEC,
            "noatime" => MountFlags::NOATIME,
            "nodiratime" => MountFlags::NODIRATIME,
            _ => return Err(Errno::INVAL),
        };
    }
    rustix::mount::mount(options.source.as_path(), point, TYPE, flags, data.as_c_str())?;
    Ok(device)
}

/// Asks `fusermount3` to mount. It sends the descriptor over the socket that `_FUSE_COMMFD` names, of which our end is given
/// as well.
fn mount_by_helper(point: &Path, options: &Options) -> Result<(OwnedFd, OwnedFd), MountError> {
    let failed = |error: io::Error| {
        let remedy =
            if error.kind() == io::ErrorKind::WouldBlock { "; allow this user more processes (ulimit -u)" } else { "" };
        MountError(format!("{}: fusermount3: {error}{remedy}", point.display()))
    };
    // Not closed on exec: the helper inherits its end.
    let (theirs, ours) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None)
        .map_err(|error| failed(error.into()))?;
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    // A comma or a backslash in the name would end the option.
    let name = options.source.to_string_lossy().replace('\\', "\\\\").replace(',', "\\,");
    let mut list = format!("fsname={name},subtype=afbfs,default_permissions,nosuid,nodev");
    if options.read_only {
        list.push_str(",ro");
    }
    if options.allow_other {
        list.push_str(",allow_other");
    }
    if let Some(bytes) = options.max_read {
        list.push_str(&format!(",max_read={bytes}"));
    }
    if options.auto_unmount {
        list.push_str(",auto_unmount");
    }
    for option in &options.kernel {
        list.push(',');
        list.push_str(option);
    }
    let helper = Command::new("fusermount3")
        .arg("-o")
        .arg(list)
        .arg("--")
        .arg(point)
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let helper = match helper {
        Ok(helper) => helper,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fail(
                "fusermount3 is not installed: ordinary users need it for mounting (Debian: apt install fuse3)",
            );
        }
        Err(error) => return Err(failed(error)),
    };
    drop(theirs);
    let received = receive_descriptor(&ours);
    match received {
        // It stays, and waits for the end of this process.
        Ok(Some(device)) if options.auto_unmount => Ok((device, ours)),
        Ok(Some(device)) => {
            helper.wait_with_output().map_err(failed)?;
            Ok((device, ours))
        }
        Ok(None) | Err(_) => {
            let output = helper.wait_with_output().map_err(failed)?;
            let said = String::from_utf8_lossy(&output.stderr);
            let hint = if said.contains("user_allow_other") {
                "; without that line in /etc/fuse.conf, mount without --allow-other"
            } else if said.contains("open /dev/fuse") {
                "; ordinary users may mount once root has run: chmod 666 /dev/fuse"
            } else {
                ""
            };
            fail(format!("{}: {}{hint}", point.display(), said.trim()))
        }
    }
}

fn receive_descriptor(socket: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC))?;
    Ok(ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    }))
}

impl Mount {
    /// Where this very mount is by now: a folder above it may have been renamed, or the mount moved.
    ///
    /// Device numbers are used again once a mount is gone. At the path where it was mounted the number is believed; at any
    /// other only while the connection lasts, lest another mount be taken for it.
    pub fn place(&self) -> Option<PathBuf> {
        if find_all(&self.point).iter().any(|entry| entry.device == self.device) {
            return Some(self.point.clone());
        }
        let elsewhere = find_device(self.device)?;
        self.is_connected().then_some(elsewhere.point)
    }

    fn is_connected(&self) -> bool {
        let mut ready = [PollFd::new(&self.connection, PollFlags::IN)];
        poll(&mut ready, Some(&Timespec::default())).is_ok() && !ready[0].revents().contains(PollFlags::ERR)
    }

    /// Unmounts, if it is still there; where it is busy, it goes from the tree at once and ends with its last user.
    ///
    /// # Errors
    /// What `umount2(2)` or the helper answers.
    pub fn unmount(&self) -> Result<(), MountError> {
        let Some(place) = self.place() else { return Ok(()) };
        match unmount_path(&place, false) {
            Err(error) if self.place().as_ref() == Some(&place) => {
                log::warn!("{error}; detaching it");
                unmount_path(&place, true)
            }
            _ => Ok(()),
        }
    }
}

/// Unmounts what is mounted at a path.
///
/// # Errors
/// If it is busy (and not `lazy`), or not the caller's.
pub fn unmount_path(point: &Path, lazy: bool) -> Result<(), MountError> {
    let flags = UnmountFlags::NOFOLLOW | if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    let mut tries = 0;
    let outcome = loop {
        tries += 1;
        match rustix::mount::unmount(point, flags) {
            // Whoever looks at all mounts (`df`) keeps each of them busy for a moment.
            Err(Errno::BUSY) if tries < 10 => std::thread::sleep(Duration::from_millis(30)),
            outcome => break outcome,
        }
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(Errno::PERM) => unmount_by_helper(point, lazy),
        Err(Errno::BUSY) => fail(busy(point)),
        Err(error) => fail(format!("{}: unmounting: {error}", point.display())),
    }
}

/// Says who keeps a mount busy, as far as that can be seen, and what to do.
fn busy(point: &Path) -> String {
    let shown = point.display();
    let holders: String = holders::of(point).iter().map(|holder| format!("\n  {holder}")).collect();
    let who = if holders.is_empty() {
        " something uses it that cannot be seen: a process of another user or in a container, a loop device, swap space"
    } else {
        &holders
    };
    format!(
        "{shown}: busy:{who}\nend what uses it, or wait until that has ended; or detach the mount with: \
         afbfs umount --lazy {shown}"
    )
}

fn unmount_by_helper(point: &Path, lazy: bool) -> Result<(), MountError> {
    let mut command = Command::new("fusermount3");
    command.arg(if lazy { "-uz" } else { "-u" }).arg("--").arg(point).stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return fail(format!("{}: fusermount3: {error}", point.display())),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("busy") { fail(busy(point)) } else { fail(format!("{}: {}", point.display(), said.trim())) }
}

/// The absolute path of a mount point that may be dead: only its parent is looked at.
///
/// # Errors
/// If the parent does not exist.
pub fn absolute(point: &Path) -> io::Result<PathBuf> {
    match point.file_name() {
        Some(name) if name.as_bytes() != b".." => {
            let parent = point.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(parent.canonicalize()?.join(name))
        }
        _ => point.canonicalize(),
    }
}
