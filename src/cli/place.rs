//! Where paths lead: into a source, with no mount, or into a mount of one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use serde_json::Value;

use super::hint::did_you_mean;
use super::{Failure, SourceArgs, mounted};
use crate::catalog::{Catalog, Described, Item};
use crate::dtype::DType;
use crate::fs::{Access, Fs, Kind, ROOT, Settings, Source, walk_arrays};
use crate::mount;
use crate::store::{Limits, Store};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;
/// So many names of a folder are looked at for one that may have been meant.
const NAMES: usize = 10_000;

/// A tree of arrays.
pub(super) enum Place {
    /// Of a source.
    Source {
        fs: Box<Fs>,
        /// Path of the one array file or array that is served, below a mount.
        only: Option<String>,
        shown: PathBuf,
    },
    /// A mount, by its path.
    Mount(PathBuf),
}

/// What is known of an array.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// What `info.json` holds.
    pub(super) info: Value,
    /// Path below the mount under which it is listed.
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) element: Option<String>,
    pub(super) shape: Vec<u64>,
    /// Names of the axes, empty where there is none.
    pub(super) dims: Vec<String>,
}

impl Facts {
    /// What an entry of `arrays.json` says; nothing where the file is not served.
    pub(super) fn new(info: Value) -> Option<Facts> {
        let shape: Option<Vec<u64>> = info["shape"].as_array()?.iter().map(Value::as_u64).collect();
        let shape = shape?;
        let names = info["dims"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut dims: Vec<String> = names.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        dims.resize(shape.len(), String::new());
        Some(Facts {
            name: info["path"].as_str()?.to_owned(),
            dtype: DType::from_json(&info["dtype"]).ok()?,
            element: info["element"].as_str().map(str::to_owned),
            shape,
            dims,
            info,
        })
    }

    /// What the format knows beside.
    pub(super) fn attributes(&self) -> serde_json::Map<String, Value> {
        self.info["attributes"].as_object().cloned().unwrap_or_default()
    }

    /// Bytes of all elements.
    pub(super) fn bytes(&self) -> u64 {
        crate::layout::count(&self.shape).saturating_mul(self.dtype.itemsize())
    }
}

impl Place {
    /// A folder of array files, or one of these.
    pub(super) fn open(source: &Path, source_args: &SourceArgs) -> Result<Place, Failure> {
        let catalog = Catalog::open(source, source_args.catalog_options(false), Store::new(Limits::default()))?;
        let mut named = catalog.named();
        let only = match (named.next(), named.next()) {
            (Some((name, _)), None) => Some(name.to_owned()),
            _ => catalog.only_file().map(|origin| catalog.shown_path(&origin)),
        };
        drop(named);
        let fs = Box::new(Fs::new(Arc::new(catalog), Settings::default()));
        Ok(Place::Source { fs, only, shown: source.to_owned() })
    }

    /// The mount of ours in which a path lies, and the way from there.
    pub(super) fn of_mount(path: &Path) -> Option<(Place, String)> {
        let path = super::absolute(path);
        for above in path.ancestors() {
            // The way there may lead over links.
            let real = above.canonicalize().unwrap_or_else(|_| above.to_owned());
            let Some(entry) = mount::find(&real) else { continue };
            let rest = path.strip_prefix(above).ok()?.to_str()?.to_owned();
            return (entry.kind == mount::TYPE).then_some((Place::Mount(above.to_owned()), rest));
        }
        None
    }

    /// As messages name it.
    pub(super) fn shown(&self) -> std::path::Display<'_> {
        match self {
            Place::Source { shown, .. } => shown.display(),
            Place::Mount(point) => point.display(),
        }
    }

    /// The path of the one array or container that the source is.
    pub(super) fn only(&self) -> Option<&str> {
        match self {
            Place::Source { only, .. } => only.as_deref(),
            Place::Mount(_) => None,
        }
    }

    fn find(fs: &Fs, path: &str) -> Result<(u64, Kind), Errno> {
        let mut found = (ROOT, Kind::Folder);
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let attr = fs.lookup(found.0, OsStr::new(name))?;
            found = (attr.inode, attr.kind);
        }
        Ok(found)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        match self {
            Place::Source { fs, .. } => Place::find(fs, path).ok().map(|(_, kind)| kind),
            Place::Mount(point) => {
                let found = point.join(path).metadata().ok()?;
                Some(if found.is_dir() { Kind::Folder } else { Kind::File })
            }
        }
    }

    /// Whether there is a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.kind(path) == Some(Kind::File)
    }

    /// Whether there is a folder.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        self.kind(path) == Some(Kind::Folder)
    }

    /// What a small file says.
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let fs = match self {
            Place::Mount(point) => return std::fs::read(point.join(path)).ok(),
            Place::Source { fs, .. } => fs,
        };
        let (inode, Kind::File) = Place::find(fs, path).ok()? else { return None };
        let handle = fs.open(inode, Access::default()).ok()?.handle;
        let mut content = Vec::new();
        loop {
            let piece = fs.read(handle, content.len() as u64, CHUNK, Source::Direct, <[u8]>::to_vec).ok()?;
            if piece.is_empty() {
                break;
            }
            content.extend(piece);
        }
        fs.release(handle);
        Some(content)
    }

    /// The names in a folder, as many as are worth a look.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        match self {
            Place::Mount(point) => {
                let listed = std::fs::read_dir(point.join(folder)).into_iter().flatten().flatten();
                names.extend(listed.take(NAMES).filter_map(|entry| entry.file_name().into_string().ok()));
            }
            Place::Source { fs, .. } => {
                let open = Place::find(fs, folder).and_then(|(inode, _)| fs.opendir(inode));
                if let Ok(handle) = open {
                    // What could not be listed is not among the names.
                    let _ = fs.readdir(handle, 0, &mut |entry| {
                        names.push(entry.name.to_owned());
                        names.len() < NAMES
                    });
                    fs.releasedir(handle);
                }
            }
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    /// The entries of `arrays.json` of the arrays at a path or below it.
    pub(super) fn entries(&self, path: &str) -> Vec<Value> {
        let mut entries = Vec::new();
        match self {
            Place::Source { fs, .. } => {
                walk_arrays(fs.catalog(), false, &mut |entry| entries.push(entry));
            }
            Place::Mount(_) => {
                let list = self.read(".afbfs/arrays.json");
                let list: Option<Vec<Value>> = list.and_then(|list| serde_json::from_slice(&list).ok());
                entries.extend(list.unwrap_or_default());
            }
        }
        entries.retain(|entry: &Value| {
            let below = entry["path"].as_str().and_then(|found| found.strip_prefix(path));
            path.is_empty() || below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        });
        entries
    }

    /// The array to whose folder a path leads, or into it; and the rest of the path.
    ///
    /// # Errors
    /// If there is none, with a name that may have been meant, or if it is not served, with the reason.
    pub(super) fn array<'a>(&self, path: &'a str) -> Result<(Facts, &'a str), Failure> {
        let found = self.array_from("", path);
        match self.only() {
            // Of one file, its array's name may be left out.
            Some(only) if found.is_err() => match self.array_from(only, path) {
                Ok(again) => Ok(again),
                Err(_) => found,
            },
            _ => found,
        }
    }

    fn array_from<'a>(&self, start: &str, path: &'a str) -> Result<(Facts, &'a str), Failure> {
        let mut folder = start.to_owned();
        let mut rest = path;
        loop {
            let content = |name: &str| self.read(&format!("{folder}/{name}"));
            if let Some(info) = content("info.json")
                && let Some(facts) = serde_json::from_slice(&info).ok().and_then(Facts::new)
            {
                return Ok((facts, rest));
            }
            if let Some(error) = content("error") {
                return Err(Failure(String::from_utf8_lossy(&error).trim_end().to_owned()));
            }
            rest = rest.trim_start_matches('/');
            let Some((name, tail)) = rest.split_once('/').or((!rest.is_empty()).then_some((rest, ""))) else {
                let shown = if path.is_empty() { String::new() } else { format!(" {path}:") };
                return Err(Failure(format!("{}:{shown} is a folder; name an array in it", self.shown())));
            };
            let below = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            if self.kind(&below) != Some(Kind::Folder) {
                if let Place::Mount(point) = self
                    && mounted::is_dead(point)
                {
                    return Err(mounted::died(point));
                }
                let names = self.names(&folder);
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                let shown = self.shown();
                let remedy = if hint.is_empty() { format!("; afbfs ls {shown} lists them") } else { hint };
                return Err(Failure(format!("{shown}: holds no array `{below}`{remedy}")));
            }
            (folder, rest) = (below, tail);
        }
    }

    /// An array as its format describes it; only a source knows that.
    pub(super) fn describe(&self, name: &str) -> Option<Described> {
        let Place::Source { fs, .. } = self else { return None };
        let catalog = fs.catalog();
        let mut item = Item::Folder(PathBuf::new());
        for name in name.split('/') {
            item = match &item {
                Item::Folder(folder) => catalog.lookup(folder, name).ok()?,
                Item::Group(group) => catalog.lookup_in_group(group, name)?,
                Item::Array(_) => return None,
            };
        }
        match item {
            Item::Array(origin) => catalog.describe(&origin).ok(),
            Item::Folder(_) | Item::Group(_) => None,
        }
    }
}
