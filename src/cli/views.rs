//! Files of the tree by their paths, with no mount: what `cat`, `cp`, `create --like` and `append --from` name.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::hint::why_missing;
use super::place::Place;
use super::{Failure, SourceArgs, usage};
use crate::catalog::{Catalog, Options, is_array_folder};
use crate::fs::{Access, Fs, Kind, ROOT, Settings, Source};
use crate::store::{Limits, Store};

/// Bytes that are moved at once.
pub(super) const CHUNK: usize = 1 << 20;

/// Names of files in the tree, and what has to be opened for them.
#[derive(Debug, PartialEq)]
pub(super) struct Places {
    pub(super) source: PathBuf,
    pub(super) views: Vec<String>,
}

/// What was typed: SOURCE and then views in it, or paths that are both in one. SOURCE is there, and a view is not: nobody but a mount
/// has files of that name.
pub(super) fn places(paths: &[PathBuf]) -> Result<Vec<Places>, Failure> {
    let text = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| Failure(format!("{}: is not UTF-8; write other bytes of a name as %XX", path.display())))
    };
    if let [source, views @ ..] = paths
        && !views.is_empty()
        && source.exists()
    {
        if source.is_dir() {
            refuse_mount(source);
        }
        let views = views.iter().map(|view| text(view)).collect::<Result<_, _>>()?;
        return Ok(vec![Places { source: source.clone(), views }]);
    }
    let mut places: Vec<Places> = Vec::new();
    for path in paths {
        let (source, view) = split(path);
        if view.as_os_str().is_empty() || source.is_dir() {
            refuse_mount(path);
        }
        if view.as_os_str().is_empty() || path.components().count() == 1 {
            usage(&format!(
                "{}: names no view; add one, such as {0}/a/row/0, or give it as the next argument",
                path.display()
            ));
        }
        let view = text(&view)?;
        match places.last_mut().filter(|last| last.source == source) {
            Some(last) => last.views.push(view),
            None => places.push(Places { source, views: vec![view] }),
        }
    }
    Ok(places)
}

/// What a mount shows are files for every program; below it there are no sources.
fn refuse_mount(path: &Path) {
    if let Some((mount, _)) = Place::of_mount(path) {
        let (path, mount) = (path.display(), mount.shown());
        usage(&format!("{path}: lies in the mount {mount}; use cat or cp on it, or name the source of the mount"));
    }
}

/// A path as the longest part that is there, a folder of arrays or an array file, and the rest.
pub(super) fn split(path: &Path) -> (PathBuf, PathBuf) {
    let mut source = PathBuf::new();
    let mut rest = path.components();
    loop {
        let here = rest.clone();
        let Some(next) = rest.next() else { break };
        let longer = source.join(next);
        if !longer.exists() {
            rest = here;
            break;
        }
        source = longer;
        let is_array = matches!(next, Component::Normal(_)) && (!source.is_dir() || is_array_folder(&source));
        if is_array {
            break;
        }
    }
    if source.as_os_str().is_empty() {
        source.push(".");
    }
    (source, rest.as_path().to_owned())
}

/// The tree of a source.
pub(super) struct Tree {
    pub(super) fs: Fs,
    source: PathBuf,
    source_args: SourceArgs,
    /// The one array that the source is.
    only: Option<String>,
}

impl Tree {
    /// # Errors
    /// If the source cannot be served.
    pub(super) fn open(source: &Path, source_args: &SourceArgs) -> Result<Tree, Failure> {
        Tree::open_with(source, source_args, source_args.catalog_options(false))
    }

    /// As [`Tree::open`], with more options than those of the source.
    ///
    /// # Errors
    /// As [`Tree::open`].
    pub(super) fn open_with(source: &Path, source_args: &SourceArgs, options: Options) -> Result<Tree, Failure> {
        let catalog = Catalog::open(source, options, Store::new(Limits::default()))?;
        let mut named = catalog.named();
        let only = match (named.next(), named.next()) {
            (Some((name, _)), None) => Some(name.to_owned()),
            _ => catalog.only_file().map(|origin| catalog.shown_path(&origin)),
        };
        drop(named);
        let fs = Fs::new(Arc::new(catalog), Settings::default());
        Ok(Tree { fs, source: source.to_owned(), source_args: source_args.clone(), only })
    }

    /// The inode of a file.
    ///
    /// # Errors
    /// If there is none of that name, or a folder: with what to do about it.
    pub(super) fn find(&self, view: &str) -> Result<u64, Failure> {
        let found = match (self.inode(view), &self.only) {
            (Err(Errno::NOENT), Some(only)) => self.inode(&format!("{only}/{view}")),
            (found, _) => found,
        };
        found.map_err(|error| {
            // What is wrong is the array, whose facts are asked for on behalf of its name.
            let named = view.strip_suffix("/info.json").unwrap_or(view);
            let why = || match error {
                Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP => {
                    why_missing(&self.source, &self.source_args, view, &self.shown(named))
                }
                _ => None,
            };
            self.refusal(view).or_else(why).unwrap_or_else(|| self.failure(view, error))
        })
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As [`Tree::find`]; if it may not be opened so.
    pub(super) fn open_file(&self, view: &str, access: Access) -> Result<u64, Failure> {
        let inode = self.find(view)?;
        let opened = self.fs.open(inode, access).map_err(|error| match self.fs.why_read_only(inode) {
            Some(why) if access.write && error == Errno::ROFS => {
                Failure(format!("{}: is read-only: {why}", self.shown(view)))
            }
            _ if access.write && error == Errno::ACCESS && self.is_computed(inode) => Failure(format!(
                "{}: is computed, and cannot be written; write elements of the array, such as data or row/0",
                self.shown(view)
            )),
            _ => self.failure(view, error),
        });
        opened.map(|opened| opened.handle)
    }

    /// Whether a file is no view of an array file.
    fn is_computed(&self, inode: u64) -> bool {
        let Ok(opened) = self.fs.open(inode, Access::default()) else { return false };
        let is_computed = self.fs.array_file(opened.handle).is_none();
        self.fs.release(opened.handle);
        is_computed
    }

    /// A small file as a whole.
    ///
    /// # Errors
    /// As [`Tree::open_file`] and reading.
    pub(super) fn text(&self, view: &str) -> Result<String, Failure> {
        let handle = self.open_file(view, Access::default())?;
        let text = self.fs.read(handle, 0, usize::MAX, Source::Direct, <[u8]>::to_vec);
        self.fs.release(handle);
        text.map(|text| String::from_utf8_lossy(&text).into_owned()).map_err(|error| self.failure(view, error))
    }

    /// What went wrong with a file, and the remedy.
    pub(super) fn failure(&self, view: &str, error: Errno) -> Failure {
        let remedy = match error {
            Errno::NOENT => format!("; afbfs ls {} lists the arrays", self.source.display()),
            Errno::ISDIR => "; it is a folder, name a file in it, such as data or row/0".to_owned(),
            _ => String::new(),
        };
        Failure(format!("{}: {error}{remedy}", self.shown(view)))
    }

    /// A file's path as it would be typed.
    pub(super) fn shown(&self, view: &str) -> String {
        match self.source.to_str() {
            Some(".") => view.to_owned(),
            _ => self.source.join(view).display().to_string(),
        }
    }

    fn inode(&self, view: &str) -> Result<u64, Errno> {
        let mut inode = ROOT;
        let mut kind = Kind::Folder;
        for name in view.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let attr = self.fs.lookup(inode, OsStr::new(name))?;
            (inode, kind) = (attr.inode, attr.kind);
        }
        if kind == Kind::Folder { Err(Errno::ISDIR) } else { Ok(inode) }
    }

    /// What the file `error` says, where the path leads into an array that is not served.
    fn refusal(&self, view: &str) -> Option<Failure> {
        let within = self.only.iter().map(|only| format!("{only}/{view}"));
        let mut paths = std::iter::once(view.to_owned()).chain(within);
        paths.find_map(|path| {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            let inode = ends.into_iter().find_map(|end| self.inode(&format!("{}/error", &path[..end])).ok())?;
            let handle = self.fs.open(inode, Access::default()).ok()?.handle;
            let text = self.fs.read(handle, 0, CHUNK, Source::Direct, <[u8]>::to_vec).ok()?;
            Some(Failure(String::from_utf8_lossy(&text).trim_end().to_owned()))
        })
    }
}
