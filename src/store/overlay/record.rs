//! What is noted of an overlay: which array file it belongs to.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde_json::{Value, json};

/// A file as it was at some time, as far as it shows that it has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// `st_ino`
    pub inode: u64,
    /// Length in bytes.
    pub size: i64,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, u64),
}

impl From<&rustix::fs::Stat> for Mark {
    fn from(stat: &rustix::fs::Stat) -> Mark {
        Mark { inode: stat.st_ino, size: stat.st_size, mtime: (stat.st_mtime, stat.st_mtime_nsec) }
    }
}

/// Which array file an overlay belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The array file's path.
    pub path: PathBuf,
    /// The array file when the first page of it was changed; of one that was made, nothing until it is committed.
    pub mark: Option<Mark>,
    /// Whether its pages are being written to the array file, which has another modification time by that.
    pub is_committing: bool,
    /// Whether there is no array file: the overlay is all of it.
    pub is_made: bool,
    /// Permission bits, owner and group of an array file that is to be made.
    pub rights: (u32, u32, u32),
}

impl Record {
    pub(super) fn to_json(&self) -> String {
        let path = match self.path.to_str() {
            Some(path) => json!(path),
            None => json!(self.path.as_os_str().as_bytes()),
        };
        let mark = self.mark.map(|Mark { inode, size, mtime: (seconds, nanoseconds) }| {
            json!({ "inode": inode, "size": size, "mtime": [seconds, nanoseconds] })
        });
        let (is_committing, is_made) = (self.is_committing, self.is_made);
        let (mode, uid, gid) = self.rights;
        json!({
            "path": path,
            "file": mark,
            "committing": is_committing,
            "made": is_made,
            "rights": [mode, uid, gid],
        })
        .to_string()
    }

    pub(super) fn from_json(text: &[u8]) -> Option<Record> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let path = match &value["path"] {
            Value::String(path) => PathBuf::from(path),
            Value::Array(bytes) => {
                let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
                PathBuf::from(OsString::from_vec(bytes.collect::<Option<Vec<u8>>>()?))
            }
            _ => return None,
        };
        let mark = match &value["file"] {
            Value::Null => None,
            file => Some(Mark {
                inode: file["inode"].as_u64()?,
                size: file["size"].as_i64()?,
                mtime: (file["mtime"][0].as_i64()?, file["mtime"][1].as_u64()?),
            }),
        };
        let right = |number: usize| u32::try_from(value["rights"][number].as_u64()?).ok();
        Some(Record {
            path,
            mark,
            is_committing: value["committing"].as_bool()?,
            is_made: value["made"].as_bool()?,
            rights: (right(0)?, right(1)?, right(2)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let mark = Some(Mark { inode: u64::MAX, size: 5, mtime: (-3, 999_999_999) });
        let odd = PathBuf::from(OsString::from_vec(b"/data/\xff\"\n.npy".to_vec()));
        for (path, mark, is_committing) in [("/data/a b.npy".into(), mark, true), (odd, None, false)] {
            let is_made = mark.is_none();
            let record = Record { path, mark, is_committing, is_made, rights: (0o640, 7, u32::MAX) };
            assert_eq!(Record::from_json(record.to_json().as_bytes()), Some(record));
        }
        for bad in ["", "{}", "[]", r#"{"path": 5}"#, r#"{"path": [256]}"#] {
            assert_eq!(Record::from_json(bad.as_bytes()), None, "{bad}");
        }
    }
}
