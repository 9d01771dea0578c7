//! Where overlays are kept, and what becomes of them: checks that they fit their array files, differences, and writing these back.
//!
//! The mechanism is [`store::Shelf`](crate::store::Shelf); here stands what is asked of the folder and of the source. An overlay
//! belongs to a file by its path, inode, length and modification time, as they were when its first page was changed. A
//! file of which one is another by now was changed by somebody else: what the overlay has of it need not fit any more, so nothing
//! is mounted, and nothing of it is committed.
//!
//! *Committing* goes file by file, and can be broken off anywhere and done again:
//!
//! 1. The record says that a commit is under way, durably. From now on another modification time of the array file means nothing.
//! 2. What differs is written to the array file, and synced.
//! 3. The pages are taken out of the map, durably.
//! 4. The record says how the array file is now, and that nothing is under way.
//!
//! Until 3 is done the overlay is what is shown, and it still has all pages.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Stat};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::catalog::{Catalog, Origin};
use crate::format::Files;
use crate::store::{Mark, Record};

mod commit;
mod compare;
mod folder;

pub use commit::{Committed, commit};
pub use compare::{Change, Each, compare};
pub use folder::{Folder, Keeper, Problem};

/// What lies in an array file: one array, in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Offset of the first element, in bytes.
    pub offset: u64,
    /// Bytes of an element.
    pub itemsize: u64,
    /// Lengths of the axes.
    pub shape: Vec<u64>,
}

impl Packed {
    /// The one array in C order that a file is, if it is that.
    pub fn of(catalog: &Catalog, path: &Path) -> Option<Packed> {
        let mut named = catalog.named().filter(|(_, origin)| catalog.root_path().join(catalog.path_of(origin)) == path);
        let origin = match (named.next(), named.next()) {
            (Some((_, origin)), None) => origin,
            (None, _) => Origin::File(path.strip_prefix(catalog.root_path()).ok()?.to_owned()),
            _ => return None,
        };
        let description = catalog.describe(&origin).ok()?.description;
        let layout = description.array.grid.single().filter(|layout| layout.is_c_contiguous())?;
        let is_alone = matches!(description.array.files, Files::Itself) && layout.itemsize > 0;
        is_alone.then(|| Packed { offset: layout.offset, itemsize: layout.itemsize, shape: layout.shape.clone() })
    }

    /// The number of the element in which a byte of the file lies.
    pub fn number(&self, byte: u64) -> Option<u64> {
        let number = byte.checked_sub(self.offset)? / self.itemsize;
        (number < self.shape.iter().product()).then_some(number)
    }

    /// The indices of an element.
    pub fn index(&self, mut number: u64) -> Vec<u64> {
        let mut index: Vec<u64> = Vec::with_capacity(self.shape.len());
        for &length in self.shape.iter().rev() {
            index.push(number % length);
            number /= length;
        }
        index.reverse();
        index
    }

    fn to_json(&self) -> Value {
        json!({ "offset": self.offset, "itemsize": self.itemsize, "shape": self.shape })
    }

    /// What [`overview`] says of a file.
    pub fn from_json(value: &Value) -> Option<Packed> {
        let shape = value["shape"].as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>()?;
        Some(Packed { offset: value["offset"].as_u64()?, itemsize: value["itemsize"].as_u64()?, shape })
    }
}

/// What a mount says of its overlays: where they are, and which arrays lie in the files. By then all that was written is in their
/// files.
pub fn overview(catalog: &Catalog) -> Value {
    let Some(shelf) = catalog.store().shelf() else { return Value::Null };
    if let Err(error) = shelf.save_all() {
        log::error!("overlays: writing them back failed: {error}");
    }
    let bytes = |path: &Path| json!(path.as_os_str().as_bytes());
    let arrays = shelf
        .layers()
        .into_iter()
        .filter_map(|layer| Some((layer.number().to_string(), Packed::of(catalog, &layer.record().path)?.to_json())));
    json!({
        "folder": bytes(&folder::path_of(shelf.folder())),
        "source": bytes(catalog.root_path()),
        "kept": shelf.is_kept(),
        "arrays": arrays.collect::<serde_json::Map<String, Value>>(),
    })
}

/// What lies at the path of an overlay's array file.
fn stat_of(record: &Record) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(rustix::fs::CWD, &record.path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an array file is as it was when the overlay was begun.
///
/// # Errors
/// What is another.
fn check(record: &Record, stat: Option<&Stat>) -> Result<(), String> {
    let Some(stat) = stat else {
        return if record.is_made { Ok(()) } else { Err("is gone".into()) };
    };
    let now = Mark::from(stat);
    let Some(mark) = record.mark else {
        let done = record.is_committing;
        return if done { Ok(()) } else { Err("was made by another program meanwhile".into()) };
    };
    if now.inode != mark.inode {
        return Err("was replaced by another file".into());
    }
    if now.size != mark.size {
        return Err(format!("has {} bytes now, and had {} when it was first changed here", now.size, mark.size));
    }
    if now.mtime != mark.mtime && !record.is_committing {
        return Err("was written by another program since it was first changed here".into());
    }
    Ok(())
}
