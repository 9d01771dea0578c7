//! What the names of a folder tell at a glance, so that not every name is tried that a file might have.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use super::names::shown_name;
use super::{Catalog, Stamp};
use crate::format::{FORMATS, Format, raw};
use crate::store::lock;

/// How many folders are remembered.
const FOLDERS: usize = 64;
/// A folder's times are coarse: it may change again, and its times not, right after a change.
const SETTLED: Duration = Duration::from_millis(50);
/// Some file systems never move the times of a folder.
const REMEMBERED: Duration = Duration::from_secs(1);

/// All extensions that begin with a dot, as they are and in capitals.
static EXTENSIONS: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
    let all = FORMATS.iter().flat_map(|format| format.extensions());
    let dotted = all.filter(|extension| extension.starts_with('.'));
    dotted.flat_map(|extension| [extension.as_bytes().to_vec(), extension.to_ascii_uppercase().into_bytes()]).collect()
});

/// What the names of a folder were seen to be.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of all extensions those that some file has.
    extensions: HashSet<&'static [u8]>,
    /// Files that have a sidecar and an unusual extension, and before each how it is shown; in that order.
    unusual: Vec<(String, OsString)>,
}

/// Some folders, each with its stamp and when it was seen.
#[derive(Debug, Default)]
pub(super) struct Folders {
    seen: HashMap<PathBuf, (Stamp, Instant, Arc<Seen>)>,
}

impl Seen {
    /// Whether some file may have this extension.
    pub(super) fn may_have(&self, extension: &str) -> bool {
        !extension.starts_with('.') || self.extensions.contains(extension.as_bytes())
    }

    /// Files with a sidecar and an unusual extension whose names begin so.
    pub(super) fn unusual(&self, stem: &str) -> impl Iterator<Item = &OsString> {
        let first = self.unusual.partition_point(|(shown, _)| shown.as_str() < stem);
        self.unusual[first..].iter().take_while(move |(shown, _)| shown.starts_with(stem)).map(|(_, file)| file)
    }

    fn note(&mut self, name: &OsStr) {
        let name = name.as_bytes();
        let dots = name.iter().enumerate().filter(|&(_, &byte)| byte == b'.');
        for (dot, _) in dots {
            if let Some(extension) = EXTENSIONS.get(&name[dot..]) {
                self.extensions.insert(extension);
            }
        }
        let Some(described) = name.strip_suffix(raw::SIDECAR.as_bytes()) else { return };
        let extension = described.iter().rposition(|&byte| byte == b'.').map(|dot| &described[dot..]);
        let is_usual = |extension: &[u8]| raw::Raw.extensions().iter().any(|usual| usual.as_bytes() == extension);
        if extension.is_some_and(|extension| !is_usual(extension)) {
            let file = OsString::from_vec(described.to_vec());
            self.unusual.push((shown_name(&file), file));
        }
    }
}

impl Catalog {
    /// What the names of a folder are. Nothing where it cannot be listed, or has changed a moment ago, so that listing it now
    /// would not be the last time.
    pub(super) fn settled_folder(&self, folder: &Path) -> Option<Arc<Seen>> {
        let stamp = Stamp::from(&self.stat_folder(folder).ok()?);
        if let Some((known, when, seen)) = lock(&self.folders).seen.get(folder)
            && *known == stamp
            && when.elapsed() < REMEMBERED
        {
            return Some(seen.clone());
        }
        let changed = SystemTime::UNIX_EPOCH + Duration::new(stamp.ctime.0.max(0) as u64, stamp.ctime.1 as u32);
        SystemTime::now().duration_since(changed).ok().filter(|&age| age > SETTLED)?;
        let (when, seen) = (Instant::now(), self.seen_folder(folder)?);
        let mut folders = lock(&self.folders);
        if folders.seen.len() >= FOLDERS {
            folders.seen.clear();
        }
        folders.seen.insert(folder.to_owned(), (stamp, when, seen.clone()));
        Some(seen)
    }

    /// The same as they are now, at the cost of listing the folder.
    pub(super) fn seen_folder(&self, folder: &Path) -> Option<Arc<Seen>> {
        let mut seen = Seen::default();
        self.each_name(folder, &mut |name| seen.note(name)).ok()?;
        seen.unusual.sort();
        Some(Arc::new(seen))
    }
}
