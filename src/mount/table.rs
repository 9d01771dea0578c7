//! The kernel's table of mounts, `/proc/self/mountinfo`; its format is described in proc(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The file system type of our mounts.
pub const TYPE: &str = "fuse.afbfs";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub point: PathBuf,
    /// Device number, as `st_dev` gives it.
    pub device: u64,
    /// Type of the file system.
    pub kind: String,
    /// What was mounted, as it was called.
    pub source: PathBuf,
    /// The kernel's number for the mount.
    pub id: u64,
}

/// The mount that is on top at a path.
pub fn find(point: &Path) -> Option<Entry> {
    find_all(point).pop()
}

/// All mounts at a path, the topmost last.
pub fn find_all(point: &Path) -> Vec<Entry> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse(&table).filter(|entry| entry.point == point).collect()
}

/// All mounts below a path.
pub(super) fn find_below(point: &Path) -> Vec<Entry> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse(&table).filter(|entry| entry.point != point && is_within(&entry.point, point)).collect()
}

/// A mount of ours with this device number, wherever it is.
pub(super) fn find_device(device: u64) -> Option<Entry> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse(&table).find(|entry| entry.device == device && entry.kind == TYPE)
}

/// The mount in which an absolute path without links lies.
pub fn containing(path: &Path) -> Option<Entry> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    innermost(parse(&table), path)
}

/// Of those that contain a path the innermost; of several at one place the topmost, which is the last.
fn innermost(entries: impl Iterator<Item = Entry>, path: &Path) -> Option<Entry> {
    entries.filter(|entry| is_within(path, &entry.point)).max_by_key(|entry| entry.point.as_os_str().len())
}

fn parse(table: &[u8]) -> impl Iterator<Item = Entry> {
    table.split(|&byte| byte == b'\n').filter_map(parse_line)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: fields 1, 3 and 5 are the number, the
/// device and the mount point; type and source follow the `-` that ends the optional fields.
fn parse_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = std::str::from_utf8(fields.nth(1)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let point = unescape(fields.nth(1)?);
    let mut last = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, source) = (last.next()?, unescape(last.next()?));
    Some(Entry {
        point: PathBuf::from(OsString::from_vec(point)),
        device: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
        kind: String::from_utf8_lossy(kind).into_owned(),
        source: PathBuf::from(OsString::from_vec(source)),
        id,
    })
}

/// Blanks, newlines and backslashes are written as three octal digits after a backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\').then(|| after.get(..3)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(code) => {
                plain.push(code);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// Whether one of two absolute paths lies in the other.
pub fn is_within(inner: &Path, outer: &Path) -> bool {
    inner.as_os_str().as_bytes() == outer.as_os_str().as_bytes() || inner.starts_with(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_understood() {
        let table = b"36 35 98:7 / /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw\n\
            37 35 0:52 / /mnt/x rw shared:1 master:2 - fuse.afbfs /data rw,user_id=0\nnonsense\n";
        let entries: Vec<Entry> = parse(table).collect();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].point, Path::new("/mnt/a b"));
        assert_eq!(entries[0].kind, "ext3");
        assert_eq!(entries[1].device, rustix::fs::makedev(0, 52));
        assert_eq!(entries[1].kind, TYPE);
        assert_eq!((entries[1].source.as_path(), entries[1].id), (Path::new("/data"), 37));
    }

    #[test]
    fn a_path_lies_in_the_innermost_mount_and_there_in_the_topmost() {
        let entry = |point: &str, kind: &str| Entry {
            point: point.into(),
            device: 0,
            kind: kind.into(),
            source: PathBuf::new(),
            id: 0,
        };
        let table = [entry("/", "ext4"), entry("/data", "nfs4"), entry("/data", "tmpfs"), entry("/data/sub", "xfs")];
        for (path, kind) in
            [("/", "ext4"), ("/database", "ext4"), ("/data", "tmpfs"), ("/data/x", "tmpfs"), ("/data/sub/x", "xfs")]
        {
            assert_eq!(innermost(table.iter().cloned(), Path::new(path)).unwrap().kind, kind, "{path}");
        }
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape(b"a\\b\\134\\"), b"a\\b\\\\");
    }
}
