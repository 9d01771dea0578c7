//! Listing folders, as streams: nothing is remembered but the position.

use std::sync::Arc;

use rustix::io::Errno;

use super::facts::Fact;
use super::handles::Handle;
use super::lookup::is_number;
use super::nodes::SPECIAL;
use super::{Folder, Fs, Kind, Leaf, Node, Place, ROOT, Special, Step, Tree, Views};
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
        let names = match &folder {
            Folder::Source(path) => Names::Source(self.catalog.list_and_keep(path)?),
            Folder::Group(group) => match self.catalog.group_items(group) {
                Ok(items) => {
                    let names = items.into_iter().map(|(name, item)| {
                        let number = self.known_item(inode, &name, item);
                        (name, Kind::Folder, number)
                    });
                    Names::Fixed(names.collect())
                }
                Err(Problem::Refused(_)) => return Err(Errno::STALE),
                Err(Problem::Errno(error)) => return Err(error),
            },
            Folder::Special => {
                let there = Special::ALL.iter().filter(|&&special| self.has_special(special));
                Names::Fixed(there.map(|special| (special.name().to_owned(), Kind::File, special.number())).collect())
            }
            Folder::Views(views, place) => match self.tree(&views.origin, &views.steps) {
                Ok((tree, _)) => self.names_of(inode, tree, views, *place),
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
    fn names_of(&self, inode: u64, tree: Arc<Tree>, views: &Views, place: Place) -> Names {
        let top = views.steps.is_empty();
        let beside = |name: &str, place: Place| {
            (name.to_owned(), Kind::Folder, self.nodes.number_beside(inode, place).unwrap_or(UNKNOWN))
        };
        let below = |name: &str, step: Step| {
            let steps = views.steps.iter().cloned().chain([step]).collect();
            let folder = Folder::Views(Arc::new(Views { origin: views.origin.clone(), steps }), Place::Top);
            (name.to_owned(), Kind::Folder, self.nodes.known_folder(inode, name, &folder).unwrap_or(UNKNOWN))
        };
        match place {
            Place::Top => {
                let mut names = vec![("data".to_owned(), Kind::File, UNKNOWN)];
                if top {
                    let ndim = tree.selection.ndim();
                    let shown = [
                        ("row", Place::Row, ndim >= 1),
                        ("col", Place::Col, ndim >= 2),
                        ("axis", Place::Axes, ndim >= 1),
                        ("range", Place::Range, true),
                        ("slice", Place::Slice, true),
                    ];
                    names
                        .extend(shown.iter().filter(|(.., shown)| *shown).map(|&(name, place, _)| beside(name, place)));
                    names.push(below("T", Step::Transpose));
                    if is_number(&tree) {
                        names.push(beside("as", Place::As));
                        // Not where the scale differs, say.
                        if Tree::new(tree.description.clone(), &[Step::Value]).is_ok() {
                            names.push(below("value", Step::Value));
                        }
                    }
                    names.extend((!tree.dtype.part_names().is_empty()).then(|| beside("field", Place::Fields)));
                }
                names.extend(Fact::ALL.iter().map(|fact| (fact.name().to_owned(), Kind::File, UNKNOWN)));
                Names::Fixed(names)
            }
            Place::Axes => {
                let axes = 0..tree.selection.ndim();
                let numbers = axes.map(|axis| beside(&axis.to_string(), Place::Axis(axis)));
                let named = tree.dims.iter().enumerate().filter(|(axis, dim)| {
                    // Of two axes with one name the first has it; a number is one.
                    !dim.is_empty()
                        && tree.dims.iter().position(|other| other == *dim) == Some(*axis)
                        && name::axis(dim, tree.selection.ndim()).is_none()
                });
                let names = named.map(|(axis, dim)| beside(&name::escape(dim.as_bytes()), Place::Named(axis)));
                Names::Fixed(numbers.chain(names).collect())
            }
            Place::Fields => {
                let fields = tree.dtype.part_names().into_iter();
                let names = fields.map(|field| below(&name::escape(field.as_bytes()), Step::Field(field.into())));
                Names::Fixed(names.collect())
            }
            Place::Range | Place::Slice | Place::As => Names::Fixed(Vec::new()),
            Place::Row | Place::Col | Place::Axis(_) | Place::Named(_) => {
                let axis = place.axis().unwrap_or(0);
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
                let inode = self.known_item(open.inode, &entry.name, entry.item);
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
            let named = self.catalog.named();
            extras.extend(named.map(|(name, origin)| (name, self.known_item(ROOT, name, Item::Array(origin)))));
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

    /// The number of a folder that the source shows under a name, if the kernel knows it.
    fn known_item(&self, parent: u64, name: &str, item: Item) -> u64 {
        self.nodes.known_folder(parent, name, &Folder::of_item(item)).unwrap_or(UNKNOWN)
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
