//! The file system, as an ordinary struct: names to inodes, inodes to attributes, handles to bytes.
//!
//! It knows nothing of FUSE and is tested without a kernel; [`fuse`](crate::fuse) turns requests into calls. All
//! methods take `&self`, and any number of threads may call them.
//!
//! - `tree`: what the names in an array's folder mean. `facts`: its texts.
//! - `nodes`: which inode number is which file, counted by the kernel's references.
//! - `lookup`, `attr`, `listing`: names, attributes, directories.
//! - `body`, `elements`, `picture`, `preview`: what a slice file shows, in its form and type.
//! - `changes`, `patches`, `spool`, `stream`: what is stored of what was written; text that is being written.
//! - `open`, `io`, `sync`, `whole`: handles, reading and writing, truncation, syncing; a file that is written as a whole.
//! - `orders`: what is written under `.afbfs`.
//! - `coherence`: which inodes have pages in the kernel's cache that a write elsewhere makes stale. `served`: what they held.
//! - `ranges`: locks of programs, as locks on the array file.
//! - `stats`, `special`: what was asked for and how it went; the files under `.afbfs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use crate::catalog::{Catalog, Described, Origin, Problem};

mod attr;
mod body;
mod changes;
mod coherence;
mod elements;
mod facts;
mod handles;
mod io;
mod listing;
mod lookup;
mod nodes;
mod open;
mod orders;
mod patches;
mod picture;
mod preview;
mod ranges;
mod served;
mod special;
mod spool;
mod stats;
mod stream;
mod sync;
mod tree;
mod whole;

pub use attr::{Attr, Changes, Kind, SetTime};
pub use coherence::Cached;
pub use io::{Source, Truncated, Written};
pub use listing::DirEntry;
pub use nodes::ROOT;
pub use open::{Access, Opened, Path};
pub use ranges::Wanted;
pub use special::walk_arrays;
pub use stats::{Begun, Op, Times};

use coherence::Coherence;
use handles::Handles;
use nodes::{Folder, Found, Nodes, Place, Special, Views, Which};
use open::Inodes;
use ranges::Ranges;
use served::Served;
use stats::Stats;
use stats::usage::Arrays;
use tree::{Leaf, Step, Tree};

/// What a mount may do.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether nothing may be written.
    pub read_only: bool,
    /// `row`, `col` and `axis/K` list all their names if there are at most so many, and otherwise none.
    pub list_max: u64,
    /// Whether the kernel may keep what was read.
    pub cache: Cache,
    /// Whether files are locked while they are open, where the programs of their format do so.
    pub lock: bool,
    /// Whether whoever may read a file may change what is shown of it: the changes are that user's own.
    pub readers_write: bool,
    /// Whose the files are shown to be.
    pub shown: Shown,
}

/// Owner, group and mode that are shown, and checked by the kernel, in place of those of the array files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Owner of everything but the list of all arrays.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Permission bits that nobody has; all others are shown, as far as there can be any. Access lists are not.
    pub umask: Option<u32>,
}

/// What the kernel's page cache may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Mappings and `sendfile(2)` alone. Every read sees every write that was done before it, whoever did it.
    None,
    /// Reads of files that are open for reading only. A write through the mount drops what it makes stale before it is
    /// answered; a write to the array file that passes the mount by is seen by the next open. A view that is the whole
    /// file is read by the kernel from there: while it is open, it is as long as the file is.
    Pages,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            read_only: false,
            list_max: 100_000,
            cache: Cache::None,
            lock: true,
            readers_write: false,
            shown: Shown::default(),
        }
    }
}

/// What was done so far, and what went wrong.
#[derive(Debug, Default)]
struct Counters {
    lookups: AtomicU64,
    opens: AtomicU64,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    syncs: AtomicU64,
    errors: AtomicU64,
    short_overwrites: AtomicU64,
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// What an inode is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives as long as a request, and a box would allocate for each")]
enum Node {
    /// A folder.
    Folder(Folder),
    /// A file in a tree of views, and its array file as it is now, unless it is another one by now than the one that is open.
    Leaf(Arc<Tree>, Leaf, Option<Described>),
    /// The file `error` of an array that cannot be served.
    Error(Arc<Origin>),
    /// A file under `.afbfs`.
    Special(Special),
}

/// A mounted source: see the module.
#[derive(Debug)]
pub struct Fs {
    catalog: Arc<Catalog>,
    settings: Settings,
    nodes: Nodes,
    handles: Handles,
    inodes: Inodes,
    coherence: Coherence,
    served: Served,
    ranges: Ranges,
    counters: Counters,
    /// Whether a commit is under way.
    commits: AtomicBool,
    stats: Stats,
    arrays: Arrays,
}

impl Fs {
    /// Serves a catalog.
    pub fn new(catalog: Arc<Catalog>, settings: Settings) -> Fs {
        Fs {
            catalog,
            settings,
            nodes: Nodes::default(),
            handles: Handles::default(),
            inodes: Inodes::default(),
            coherence: Coherence::default(),
            served: Served::default(),
            ranges: Ranges::default(),
            counters: Counters::default(),
            commits: AtomicBool::new(false),
            stats: Stats::default(),
            arrays: Arrays::default(),
        }
    }

    /// The arrays that are served.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What an inode is, as of now.
    ///
    /// # Errors
    /// ESTALE where it is not known, or its array file is gone or another by now and nobody has it open.
    fn node(&self, inode: u64) -> Result<Node, Errno> {
        let (known, which) = match self.nodes.get(inode).ok_or(Errno::STALE)? {
            Found::Folder(folder) => return Ok(Node::Folder(folder)),
            Found::Error(origin) => return Ok(Node::Error(origin)),
            Found::Special(special) => return Ok(Node::Special(special)),
            Found::Leaf(known, which) => (known, which),
        };
        let (tree, described) = match self.tree(&known.views.origin, &known.views.steps) {
            Ok((tree, described)) if self.nodes.is_same(&known, &described.description) => (tree, Some(described)),
            outcome => match (self.inodes.tree(inode), outcome) {
                (Some(tree), _) => (tree, None),
                (None, Ok(_) | Err(Problem::Refused(_) | Problem::Errno(Errno::NOENT))) => return Err(Errno::STALE),
                (None, Err(Problem::Errno(error))) => return Err(error),
            },
        };
        let leaf = match which {
            Which::Number(number) => tree.leaf(number).ok_or(Errno::STALE)?,
            Which::Own(leaf) => Leaf::clone(&leaf),
        };
        Ok(Node::Leaf(tree, leaf, described))
    }

    /// An array as it is now, and the tree after these steps.
    fn tree(&self, origin: &Origin, steps: &[Step]) -> Result<(Arc<Tree>, Described), Problem> {
        let described = self.catalog.describe(origin)?;
        let tree = Tree::new(described.description.clone(), steps)?;
        Ok((Arc::new(tree), described))
    }

    /// The file in its canonical tree.
    fn canonical(&self, tree: Arc<Tree>, leaf: Leaf) -> Result<(Arc<Tree>, Leaf), Errno> {
        match tree.untransposed(&leaf) {
            Some((steps, leaf)) => Ok((Arc::new(Tree::new(tree.description.clone(), steps)?), leaf)),
            None => Ok((tree, leaf)),
        }
    }
}

/// What a file that cannot be served says in its folder's file `error`.
fn error_text(catalog: &Catalog, origin: &Origin, reason: &str) -> String {
    let file = catalog.path_of(origin);
    match origin {
        Origin::Member(_, path) => format!("{}: {}: {reason}\n", file.display(), path.join("/")),
        Origin::File(_) | Origin::Named(_) => format!("{}: {reason}\n", file.display()),
    }
}

#[cfg(test)]
mod tests;
