//! Opening and closing.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::body::{Body, Pending};
use super::coherence::Cached;
use super::facts;
use super::handles::Handle;
use super::picture::Reading;
use super::preview::{self, Content};
use super::stats::usage::Usage;
use super::{Cache, Fs, Leaf, Node, Special, Tree, count, error_text};
use crate::catalog::{Described, Problem, Validity};
use crate::layout::{Layout, Order};
use crate::store::{File, Files, lock};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether it will be written.
    pub write: bool,
    /// Whether each write is to be durable when it returns (`O_SYNC`, `O_DSYNC`).
    pub sync: bool,
}

/// An opened file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its handle.
    pub handle: u64,
    /// Whether closing it matters: it may carry an error, or unwritten state.
    pub flush: bool,
    /// How its bytes reach programs.
    pub path: Path,
}

/// How the bytes of an open file reach programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Each read and write is a request.
    Direct,
    /// The file is the array file itself, byte for byte, so that the kernel may read and map that one instead. The same
    /// holds for all handles of an inode.
    Whole,
    /// Reads go through the kernel's page cache, which is empty at first.
    Cached,
}

/// An open slice file.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) inode: u64,
    pub(super) tree: Arc<Tree>,
    /// What it shows.
    pub(super) body: Arc<Body>,
    /// Where its bytes lie.
    pub(super) files: Files,
    /// The bytes of the file among which the view lies.
    pub(super) extent: Range<u64>,
    pub(super) access: Access,
    /// Whether the handle has the file locked.
    locked: bool,
    pub(super) shared: Arc<Shared>,
    pub(super) validity: Validity,
    /// Whether something was written since the last flush, and ever.
    pub(super) unflushed: AtomicBool,
    pub(super) touched: AtomicBool,
    pub(super) reading: Reading,
    /// The bytes of the array file that are locked where the view is, as a whole; and who has closed a descriptor of late.
    pub(super) lockable: Range<u64>,
    pub(super) closing: Mutex<Vec<u64>>,
    /// What is counted of the array.
    pub(super) usage: Arc<Usage>,
    /// The last write error of the file that this handle has reported.
    pub(super) error_seen: AtomicU64,
}

/// What all handles of an inode share.
#[derive(Debug)]
pub(super) struct Shared {
    /// After a truncation: how far the file was truncated and written again since, in bytes.
    pub(super) written_end: Mutex<Option<u64>>,
    /// What was written and is not stored yet.
    pub(super) pending: Mutex<Pending>,
    /// What the inode shows.
    pub(super) body: Arc<Body>,
    /// The tree in which the view lies.
    pub(super) tree: Arc<Tree>,
    /// The array file: the one that is described.
    pub(super) file: Arc<File>,
    /// Where the array's bytes lie.
    pub(super) files: Files,
    /// Whether the view is the whole file.
    whole: bool,
}

/// The inodes that are open.
#[derive(Debug, Default)]
pub(super) struct Inodes {
    open: Mutex<HashMap<u64, OpenInode>>,
}

#[derive(Debug)]
struct OpenInode {
    handles: usize,
    writers: usize,
    shared: Arc<Shared>,
}

impl Inodes {
    /// Counts a handle in. Whether the view is the whole file is asked of the first handle, and then holds for all.
    fn enter(
        &self,
        inode: u64,
        write: bool,
        tree: &Arc<Tree>,
        body: &Arc<Body>,
        file: &Arc<File>,
        whole: impl FnOnce() -> bool,
    ) -> Arc<Shared> {
        let mut open = lock(&self.open);
        let state = open.entry(inode).or_insert_with(|| {
            let files = tree.description.files(file);
            let (tree, body, file) = (tree.clone(), body.clone(), file.clone());
            let (written_end, pending) = (Mutex::new(None), Mutex::default());
            let shared = Shared { written_end, pending, body, tree, file, files, whole: whole() };
            OpenInode { handles: 0, writers: 0, shared: Arc::new(shared) }
        });
        if write {
            // Whoever wrote a picture may not have been let go yet, though it is stored and closed.
            lock(&state.shared.pending).draft.take_if(|draft| draft.is_stored());
        }
        state.handles += 1;
        state.writers += usize::from(write);
        state.shared.clone()
    }

    /// Counts a handle out. After the last writer, a truncation is over: its written end is given back.
    fn leave(&self, inode: u64, write: bool) -> Option<u64> {
        let mut open = lock(&self.open);
        let state = open.get_mut(&inode)?;
        state.handles -= 1;
        state.writers -= usize::from(write);
        let end = if write && state.writers == 0 { lock(&state.shared.written_end).take() } else { None };
        if write && state.writers == 0 {
            *lock(&state.shared.pending) = Pending::default();
        }
        if state.handles == 0 {
            open.remove(&inode);
        }
        end
    }

    /// The state of an inode that somebody has open for writing.
    pub(super) fn written(&self, inode: u64) -> Option<Arc<Shared>> {
        lock(&self.open).get(&inode).filter(|state| state.writers > 0).map(|state| state.shared.clone())
    }

    /// Whether an inode is open for writing once.
    pub(super) fn is_last_writer(&self, inode: u64) -> bool {
        lock(&self.open).get(&inode).is_some_and(|state| state.writers == 1)
    }

    /// The tree of an open inode.
    pub(super) fn tree(&self, inode: u64) -> Option<Arc<Tree>> {
        lock(&self.open).get(&inode).map(|state| state.shared.tree.clone())
    }

    /// The array file of an open inode.
    pub(super) fn file(&self, inode: u64) -> Option<Arc<File>> {
        lock(&self.open).get(&inode).map(|state| state.shared.file.clone())
    }
}

impl Fs {
    /// Opens a file.
    ///
    /// # Errors
    /// ESTALE where the array file is another by now (look the name up again); EROFS or EACCES for writing where that
    /// cannot be; EISDIR for a folder.
    pub fn open(&self, inode: u64, access: Access) -> Result<Opened, Errno> {
        count(&self.counters.opens, 1);
        let text = |content: String| Handle::Text(content.into_bytes().into_boxed_slice());
        let handle = match self.node(inode)? {
            Node::Folder(_) => return Err(Errno::ISDIR),
            Node::Leaf(tree, leaf, described) if !matches!(leaf, Leaf::Fact(_)) => {
                return self.open_view(inode, tree, &leaf, described.ok_or(Errno::STALE)?, access);
            }
            Node::Special(Special::Overlay) if access.write => self.open_orders()?,
            _ if access.write => return Err(if self.settings.read_only { Errno::ROFS } else { Errno::ACCESS }),
            Node::Leaf(tree, leaf, _) => {
                let Leaf::Fact(fact) = leaf else { return Err(Errno::INVAL) };
                text(facts::content(&self.catalog, &tree, fact, self.settings.read_only))
            }
            Node::Error(origin) => match self.catalog.describe(&origin) {
                Err(Problem::Refused(reason)) => text(error_text(&self.catalog, &origin, &reason)),
                Err(Problem::Errno(error)) => return Err(error),
                Ok(_) => return Err(Errno::STALE),
            },
            Node::Special(special) => text(self.special(special)),
        };
        Ok(Opened { handle: self.handles.insert(handle), flush: false, path: Path::Direct })
    }

    fn open_view(
        &self,
        inode: u64,
        tree: Arc<Tree>,
        leaf: &Leaf,
        described: Described,
        access: Access,
    ) -> Result<Opened, Errno> {
        let content = tree.content(leaf)?;
        if access.write {
            if self.settings.read_only {
                return Err(Errno::ROFS);
            }
            if matches!(content, Content::Preview(_)) {
                return Err(Errno::ACCESS);
            }
            if tree.description.array.read_only.is_some() {
                return Err(Errno::ROFS);
            }
        }
        let described = self.catalog.keep(described, access.write)?;
        let locked = tree.description.locked && self.settings.lock;
        if locked {
            described.file.take_lock(access.write)?;
        }
        let body = match content {
            Content::Body(body) => Arc::new(body),
            Content::Preview(preview) => {
                let drawn = preview::draw(&tree, leaf, &preview, &described.file);
                if locked {
                    described.file.give_up_lock(false);
                }
                let handle = self.handles.insert(Handle::Text(drawn?.into_boxed_slice()));
                return Ok(Opened { handle, flush: false, path: Path::Direct });
            }
        };
        let view = &body.view;
        let mut runs = view.runs(0..view.len());
        let extent = match (runs.next(), runs.next(), tree.description.array.grid.single()) {
            (Some(run), None, Some(_)) => run.reach(),
            (_, _, Some(whole)) => tree.selection_of(leaf).place(whole).extent(),
            (_, _, None) => 0..u64::MAX,
        };
        let lockable = match tree.description.array.grid.single() {
            None if self.is_remote() => {
                let grid = &tree.description.array.grid;
                let packed = Layout::packed(0, grid.shape(), grid.itemsize(), Order::C).map_err(|_| Errno::OVERFLOW)?;
                tree.selection_of(leaf).place(&packed).extent()
            }
            _ => extent.clone(),
        };
        let whole = || {
            let len = view.len();
            let regular = crate::catalog::is_regular(&described.stat);
            let alone = matches!(tree.description.array.files, crate::format::Files::Itself);
            body.is_plain()
                && regular
                && !described.file.is_covered()
                && alone
                && described.stat.st_size as u64 == len
                && view.contiguous(0..len) == Some((0, 0..len))
        };
        let shared = self.inodes.enter(inode, access.write, &tree, &body, &described.file, whole);
        if access.write {
            // A text that another handle wrote, which may not be released yet, is not continued.
            lock(&shared.pending).spool.take_if(|spool| spool.is_stored());
        }
        let path = match self.settings.cache {
            Cache::Pages if shared.whole && !self.is_remote() => Path::Whole,
            Cache::Pages if !access.write => Path::Cached,
            Cache::Pages | Cache::None => Path::Direct,
        };
        let files = shared.files.clone();
        files.refresh();
        let error_seen = AtomicU64::new(files.error_mark());
        let usage = self.arrays.opened(&tree.description.origin);
        let file = OpenFile {
            inode,
            tree,
            body: shared.body.clone(),
            files,
            extent,
            access,
            locked,
            shared,
            validity: Validity::default(),
            unflushed: AtomicBool::new(false),
            touched: AtomicBool::new(false),
            reading: Reading::default(),
            lockable,
            closing: Mutex::default(),
            usage,
            error_seen,
        };
        Ok(Opened {
            handle: self.handles.insert(Handle::File(Box::new(file))),
            flush: access.write || self.is_remote(),
            path,
        })
    }

    /// The array file behind a handle.
    pub fn array_file(&self, handle: u64) -> Option<Arc<File>> {
        match &*self.handles.get(handle).ok()? {
            Handle::File(file) => Some(file.shared.file.clone()),
            Handle::Text(_) | Handle::Orders(_) | Handle::Folder(_) => None,
        }
    }

    /// Bytes of memory that a handle keeps for itself: a text that was made when it was opened.
    pub fn kept_bytes(&self, handle: u64) -> u64 {
        match self.handles.get(handle).as_deref() {
            Ok(Handle::Text(text) | Handle::Orders(text)) => text.len() as u64,
            _ => 0,
        }
    }

    /// Closes a handle. Gives the inodes whose cached pages are to be dropped.
    pub fn release(&self, handle: u64) -> Vec<Cached> {
        let (number, handle) = (handle, self.handles.remove(handle));
        let Some(handle) = handle else { return Vec::new() };
        if let Handle::Orders(_) = &*handle {
            self.close_orders();
        }
        let Handle::File(file) = &*handle else { return Vec::new() };
        let cached = self.give_up_pending(file);
        if let Err(error) = self.publish(file) {
            log::error!(
                "{}: writing back failed: {error}",
                self.catalog.path_of(&file.tree.description.origin).display()
            );
        }
        self.unlock_handle(file, number);
        if file.unflushed.load(Ordering::Acquire)
            && let Err(error) = file.shared.file.touch()
        {
            log::debug!("{}: setting the time: {error}", self.catalog.path_of(&file.tree.description.origin).display());
        }
        if file.locked {
            file.shared.file.give_up_lock(file.access.write);
        }
        if let Some(end) = self.inodes.leave(file.inode, file.access.write)
            && end < file.body.len()
        {
            count(&self.counters.short_overwrites, 1);
            log::warn!(
                "{}: a slice of {} bytes was truncated and only {end} bytes written; the rest is as it was",
                self.catalog.path_of(&file.tree.description.origin).display(),
                file.body.len(),
            );
        }
        cached
    }
}
