//! Who keeps a mount busy, read off `/proc`: no request is sent to the mount, which may hang.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::table::{self, Entry, is_within};

/// So many holders are named, and so many uses of each.
const NAMED: usize = 10;

/// Something that uses a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A process: its number, its name, and what it does there.
    Process(u32, String, BTreeSet<String>),
    /// Another mount in it.
    Mount(PathBuf),
    /// So many more.
    More(usize),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Mount(point) => write!(f, "{}: is mounted in it", point.display()),
            Holder::More(count) => write!(f, "and {count} more"),
            Holder::Process(pid, name, uses) => {
                write!(f, "{pid} {name}: ")?;
                let named: Vec<&str> = uses.iter().take(NAMED).map(String::as_str).collect();
                f.write_str(&named.join(", "))?;
                if uses.len() > NAMED { write!(f, " and {} more", uses.len() - NAMED) } else { Ok(()) }
            }
        }
    }
}

/// Who uses the mount on top at a path, as far as the caller may see.
pub(super) fn of(point: &Path) -> Vec<Holder> {
    let Some(entry) = table::find(point) else { return Vec::new() };
    let mut pids: Vec<u32> = numbers(Path::new("/proc")).filter(|&pid| pid != std::process::id()).collect();
    pids.sort_unstable();
    let mounts = table::find_below(point).into_iter().map(|below| Holder::Mount(below.point));
    let processes = pids.into_iter().filter_map(|pid| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let uses = uses(&process, &entry);
        let name = fs::read(process.join("comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(name.trim_ascii_end()).into_owned();
        (!uses.is_empty()).then_some(Holder::Process(pid, name, uses))
    });
    let mut holders: Vec<Holder> = mounts.chain(processes).collect();
    if holders.len() > NAMED {
        let more = holders.split_off(NAMED).len();
        holders.push(Holder::More(more));
    }
    holders
}

/// The entries of a folder whose names are numbers.
fn numbers(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a process does in a mount.
fn uses(process: &Path, entry: &Entry) -> BTreeSet<String> {
    let mut uses = BTreeSet::new();
    for (link, what) in [("cwd", "works in"), ("root", "has as its root"), ("exe", "runs")] {
        if let Ok(path) = fs::read_link(process.join(link))
            && is_within(&path, &entry.point)
        {
            uses.insert(format!("{what} {}", path.display()));
        }
    }
    for number in numbers(&process.join("fdinfo")) {
        // By the number of the mount: a path may lead somewhere else by now.
        let info = fs::read_to_string(process.join(format!("fdinfo/{number}"))).unwrap_or_default();
        if mount_of(&info) == Some(entry.id)
            && let Ok(path) = fs::read_link(process.join(format!("fd/{number}")))
        {
            uses.insert(format!("has {} open", path.display()));
        }
    }
    let maps = fs::read(process.join("maps")).unwrap_or_default();
    for line in maps.split(|&byte| byte == b'\n') {
        if let Some(path) = mapped(line, entry.device) {
            uses.insert(format!("maps {}", path.display()));
        }
    }
    uses
}

/// `mnt_id:` of `/proc/PID/fdinfo/N`.
fn mount_of(info: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// The file of a line of `/proc/PID/maps`, if it is of this device:
/// `7f1c-7f1d r--s 00000000 00:34 5      /mnt/a/data`.
fn mapped(line: &[u8], device: u64) -> Option<&Path> {
    let mut fields = line.split(|&byte| byte == b' ');
    let (major, minor) = std::str::from_utf8(fields.nth(3)?).ok()?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    if rustix::fs::makedev(number(major)?, number(minor)?) != device {
        return None;
    }
    let path = line.iter().position(|&byte| byte == b'/')?;
    Some(Path::new(OsStr::from_bytes(&line[path..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_understood() {
        assert_eq!(mount_of("pos:\t0\nflags:\t0100000\nmnt_id:\t37\nino:\t5\n"), Some(37));
        assert_eq!(mount_of("pos:\t0\n"), None);
        let line = b"7f2a-7f2b r--s 00001000 00:34 5                          /mnt/a b/data (deleted)";
        let device = rustix::fs::makedev(0, 0x34);
        assert_eq!(mapped(line, device), Some(Path::new("/mnt/a b/data (deleted)")));
        assert_eq!(mapped(line, device + 1), None);
        assert_eq!(mapped(b"7ffc-7ffd rw-p 00000000 00:00 0      [stack]", 0), None);
        assert_eq!(mapped(b"", 0), None);
    }

    #[test]
    fn what_uses_a_mount_is_put_into_words() {
        let uses = BTreeSet::from(["works in /mnt".to_owned(), "has /mnt/a open".to_owned()]);
        let holder = Holder::Process(7, "cat".into(), uses);
        assert_eq!(holder.to_string(), "7 cat: has /mnt/a open, works in /mnt");
        let many = (10..30).map(|number| format!("has {number} open")).collect();
        assert!(Holder::Process(7, "cat".into(), many).to_string().ends_with("has 19 open and 10 more"));
    }
}
