//! The kernel: its device, its version, and what it offers when it is asked.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use landlock::LandlockStatus;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Findings;
use super::rights::Means;
use crate::cli::privileges;
use crate::fuse::{Offer, probe};
use crate::mount;

const DEVICE: &str = "/dev/fuse";
/// The first version with shared mappings of files that are read directly, and that with files that are passed through.
const MAPPINGS: (u32, u32) = (6, 6);
const PASSTHROUGH: (u32, u32) = (6, 9);

pub(super) fn check(found: &mut Findings, means: Means) {
    device(found, means);
    kernel(found);
    landlock(found);
    if found.problems() > 0 {
        return found.fact("mounting", "was not tried, since there is a problem");
    }
    trial(found);
}

fn device(found: &mut Findings, means: Means) {
    const CONTAINER: &str = "modprobe fuse (as root); for a container: --device /dev/fuse";
    match fs::metadata(DEVICE) {
        Err(_) => return found.problem(DEVICE, "does not exist", CONTAINER),
        Ok(file) if !file.file_type().is_char_device() => {
            let remedy = "remove or unmount what lies there, and: mknod -m 666 /dev/fuse c 10 229 (as root)";
            return found.problem(DEVICE, "is no device", remedy);
        }
        Ok(_) => {}
    }
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => found.ok(DEVICE, "can be opened"),
        Err(error) if error.raw_os_error() == Some(libc::EACCES) && means == Means::Helper => {
            found.problem(DEVICE, "may not be opened by this user", "chmod 666 /dev/fuse (as root)");
        }
        Err(error) => found.problem(DEVICE, format!("cannot be opened: {error}"), CONTAINER),
    }
}

/// The first two numbers of a version.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(found: &mut Findings) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let beneath = rustix::fs::openat2(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH);
    if let Err(error @ (Errno::NOSYS | Errno::PERM)) = beneath {
        let says = format!("Linux {release}: openat2(2): {error}");
        return found.problem(
            "kernel",
            says,
            "Linux 5.6 or later; in a container, a seccomp filter that allows openat2",
        );
    }
    match version(&release) {
        Some(version) if version < MAPPINGS => found.note(
            "kernel",
            format!("Linux {release}: views cannot be mapped shared"),
            "Linux 6.6 or later; without, programs get ENODEV from mmap with MAP_SHARED",
        ),
        Some(version) if version < PASSTHROUGH => found.note(
            "kernel",
            format!("Linux {release}: no file is passed through"),
            "Linux 6.9 or later; without, --cache pages is slower for whole files",
        ),
        _ => found.ok("kernel", format!("Linux {release}")),
    }
}

fn landlock(found: &mut Findings) {
    match privileges::landlock() {
        Ok(LandlockStatus::Available { effective_abi, .. }) => {
            let says = format!("version {} keeps the process within the source", effective_abi as i32);
            found.ok("Landlock", says);
        }
        Ok(LandlockStatus::NotEnabled) => found.note(
            "Landlock",
            "is switched off: the process is not kept within the source",
            "start the kernel with landlock among the names of lsm=",
        ),
        Ok(LandlockStatus::NotImplemented) => {
            found.fact("Landlock", "is not in this kernel: the process is not kept within the source");
        }
        Err(error) => found.fact("Landlock", format!("the process is not kept within the source: {error}")),
    }
}

/// Mounts nothing somewhere, for a moment.
fn trial(found: &mut Findings) {
    let folder = tempfile::tempdir().or_else(|_| tempfile::tempdir_in("/var/tmp"));
    let point = folder.as_ref().map(|folder| folder.path().canonicalize());
    let Ok(Ok(point)) = point else {
        return found.fact("mounting", "was not tried, since there is no folder for temporary files");
    };
    match handshake(&point) {
        Ok(offer) => {
            let (major, minor) = offer.version;
            let has = |is_there: bool| if is_there { "with" } else { "without" };
            found.ok(
                "mounting",
                format!(
                    "works: FUSE {major}.{minor}, {} shared mappings, {} files passed through",
                    has(offer.shared_mappings),
                    has(offer.passthrough)
                ),
            );
        }
        Err(error) => {
            found.problem("mounting", error, "what the other lines say; then the messages of the kernel (dmesg)")
        }
    }
}

fn handshake(point: &Path) -> Result<Offer, String> {
    let source = "afbfs-doctor".into();
    let options = mount::Options {
        source,
        read_only: true,
        allow_other: false,
        kernel: Vec::new(),
        max_read: None,
        auto_unmount: false,
    };
    let (device, mounted) = mount::mount(point, &options).map_err(|error| error.to_string())?;
    let offer = probe(device);
    // Whatever came of it, nothing stays.
    mounted.unmount().map_err(|error| error.to_string())?;
    offer.map_err(|error| format!("the kernel and afbfs do not agree: {error}"))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions() {
        for (release, expected) in [("6.18.44-fc-v857", Some((6, 18))), ("5.6-rc1", Some((5, 6))), ("7", None)] {
            assert_eq!(version(release), expected);
        }
    }
}
