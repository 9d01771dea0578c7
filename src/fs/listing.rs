//! Listing folders, as streams: nothing is remembered but the position.

use std::sync::Arc;

use rustix::io::Errno;

use super::facts::Fact;
use super::handles::Handle;
use super::nodes::{SPECIAL, Special};
use super::{Folder, Fs, Kind, Leaf, Node, Place, ROOT, Tree};
use crate::catalog::{Item, Listing, Problem};
use crate::name;

/// The number of an inode that nobody has looked up yet, as FUSE file systems say it.
const UNKNOWN: u64 = 0xffff_ffff;

/// Positions of the names that a source folder shows beside its own: they come last, and no file system's own
/// positions reach so far but that of the end, which may be the largest number of all.
const EXTRAS: u64 = i64::MAX as u64 - (1 << 16);

/// The longest name that the kernel takes, in bytes.
const LONGEST: usize = 255;

/// One name of a folder.
#[derive(Debug)]
pub struct DirEntry<'a> {
    /// Its inode, or a number that says that it is not known.
    pub inode: u64,
    /// Folder or file.
    pub kind: Kind,
    /// The name.
    pub name: &'a str,
    /// Where the listing goes on after it.
    pub next: u64,
}

/// An open folder.
#[derive(Debug)]
pub(super) struct OpenFolder {
    inode: u64,
    names: Names,
}

/// How a folder's names are found.
#[derive(Debug)]
enum Names {
    /// Read from the source folder, as asked.
    Source(Listing),
    /// A few that are known.
    Fixed(Vec<(String, Kind, u64)>),
    /// Numbers from 0 on. The tree's inode numbers are reserved while the folder is open.
    Indices { tree: Arc<Tree>, axis: usize, start: u64, len: u64 },
}

impl Fs {
    /// Opens a folder for listing.
    ///
    /// # Errors
    /// ENOTDIR for files; what opening the source folder answers.
    pub fn opendir(&self, inode: u64) -> Result<u64, Errno> {
        let Node::Folder(folder) = self.node(inode)? else { return Err(Errno::NOTDIR) };
        let names = match &*folder {
            Folder::Source(path) => Names::Source(self.catalog.list(path)?),
            Folder::Special => Names::Fixed(
                Special::ALL.iter().map(|special| (special.name().to_owned(), Kind::File, special.number())).collect(),
            ),
            Folder::Views { origin, steps, place } => match self.tree(origin, steps) {
                Ok((tree, _)) => self.names_of(inode, tree, steps.is_empty(), *place),
                Err(Problem::Refused(_)) if *place == Place::Top => {
                    Names::Fixed(vec![("error".to_owned(), Kind::File, UNKNOWN)])
                }
                Err(Problem::Refused(_)) => return Err(Errno::STALE),
                Err(Problem::Errno(error)) => return Err(error),
            },
        };
        Ok(self.handles.insert(Handle::Folder(OpenFolder { inode, names })))
    }

    /// The names of a folder of views. Below `T` and `field/NAME` (not `top`) only data and the facts are listed, so that
    /// walking the tree ends.
    fn names_of(&self, inode: u64, tree: Arc<Tree>, top: bool, place: Place) -> Names {
        let folder = |name: &str| {
            let number = self.nodes.known_folder(inode, name).unwrap_or(UNKNOWN);
            (name.to_owned(), Kind::Folder, number)
        };
        match place {
            Place::Top => {
                let mut names = vec![("data".to_owned(), Kind::File, UNKNOWN)];
                if top {
                    let ndim = tree.selection.ndim();
                    let shown = [
                        ("row", ndim >= 1),
                        ("col", ndim >= 2),
                        ("axis", ndim >= 1),
                        ("range", true),
                        ("slice", true),
                        ("T", true),
                        ("field", !tree.dtype.part_names().is_empty()),
                    ];
                    names.extend(shown.iter().filter(|(_, shown)| *shown).map(|(name, _)| folder(name)));
                }
                names.extend(Fact::ALL.iter().map(|fact| (fact.name().to_owned(), Kind::File, UNKNOWN)));
                Names::Fixed(names)
            }
            Place::Axes => Names::Fixed((0..tree.selection.ndim()).map(|axis| folder(&axis.to_string())).collect()),
            Place::Fields => {
                let names = tree.dtype.part_names();
                Names::Fixed(names.into_iter().map(|field| folder(&name::escape(field.as_bytes()))).collect())
            }
            Place::Range | Place::Slice => Names::Fixed(Vec::new()),
            Place::Axis(axis) => {
                let length = tree.selection.shape().get(axis).copied().unwrap_or(0);
                let len = if top && length <= self.settings.list_max { length } else { 0 };
                let start = self.nodes.tree(&tree);
                Names::Indices { tree, axis, start, len }
            }
        }
    }

    /// Gives the names of an open folder from a position on (0 at first, then an entry's `next`), until `each` answers
    /// false.
    ///
    /// # Errors
    /// What reading the source folder answers.
    pub fn readdir(&self, handle: u64, position: u64, each: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<(), Errno> {
        let handle = self.handles.get(handle)?;
        let Handle::Folder(open) = &*handle else { return Err(Errno::NOTDIR) };
        // The kernel takes no longer names, escaped or not; the file can be reached by no name then.
        let each = &mut |entry: DirEntry<'_>| entry.name.len() > LONGEST || each(entry);
        match &open.names {
            Names::Source(listing) => self.read_source(open, listing, position, each),
            Names::Fixed(names) => {
                let dots = [(".", open.inode), ("..", UNKNOWN)].map(|(name, inode)| (name, Kind::Folder, inode));
                let names = names.iter().map(|(name, kind, inode)| (name.as_str(), *kind, *inode));
                for (at, (name, kind, inode)) in dots.into_iter().chain(names).enumerate().skip(position as usize) {
                    if !each(DirEntry { inode, kind, name, next: at as u64 + 1 }) {
                        break;
                    }
                }
                Ok(())
            }
            Names::Indices { tree, axis, start, len } => {
                let mut digits = Digits::default();
                for at in position..*len + 2 {
                    let (inode, kind, name) = match at {
                        0 => (open.inode, Kind::Folder, "."),
                        1 => (UNKNOWN, Kind::Folder, ".."),
                        _ => {
                            let number = tree.number(&Leaf::Axis(*axis, at - 2));
                            (number.map_or(UNKNOWN, |number| start + number), Kind::File, digits.of(at - 2))
                        }
                    };
                    if !each(DirEntry { inode, kind, name, next: at + 1 }) {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    fn read_source(
        &self,
        open: &OpenFolder,
        listing: &Listing,
        position: u64,
        each: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let mut more = true;
        if position < EXTRAS {
            self.catalog.entries(listing, position, &mut |entry| {
                let inode = self.nodes.known_folder(open.inode, &entry.name).unwrap_or(UNKNOWN);
                debug_assert!(matches!(entry.item, Item::Folder(_) | Item::Array(_)));
                more = each(DirEntry { inode, kind: Kind::Folder, name: &entry.name, next: entry.next });
                more
            })?;
        }
        if !more {
            return Ok(());
        }
        let mut extras = vec![(".", open.inode), ("..", UNKNOWN)];
        if open.inode == ROOT {
            extras.push((".afbfs", SPECIAL));
            extras.extend(
                self.catalog.named().map(|(name, _)| (name, self.nodes.known_folder(ROOT, name).unwrap_or(UNKNOWN))),
            );
        }
        let ours = EXTRAS..=EXTRAS + extras.len() as u64;
        let done = if ours.contains(&position) { position - EXTRAS } else { 0 };
        for (at, (name, inode)) in extras.into_iter().enumerate().skip(done as usize) {
            if !each(DirEntry { inode, kind: Kind::Folder, name, next: EXTRAS + at as u64 + 1 }) {
                break;
            }
        }
        Ok(())
    }

    /// Closes a folder.
    pub fn releasedir(&self, handle: u64) {
        if let Some(handle) = self.handles.remove(handle)
            && let Handle::Folder(OpenFolder { names: Names::Indices { start, .. }, .. }) = &*handle
        {
            self.nodes.forget(*start, 1);
        }
    }
}

/// Writes numbers without allocating.
#[derive(Default)]
struct Digits {
    buffer: [u8; 20],
}

impl Digits {
    fn of(&mut self, mut number: u64) -> &str {
        let mut at = self.buffer.len();
        loop {
            at -= 1;
            self.buffer[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        // Digits are UTF-8.
        std::str::from_utf8(&self.buffer[at..]).unwrap_or_default()
    }
}
