//! Inodes: which number stands for which file or folder, for as long as the kernel remembers it.
//!
//! Numbers are never used twice. A folder has one for each path; a slice file has one for each canonical view
//! of its array, whatever path led to it. What can be counted has consecutive numbers and costs one entry: the files of a
//! tree (`data`, the facts, every index of every axis), and the folders beside each other in a folder of views (`row`, `slice`,
//! `axis/3`). Only slices and ranges have entries of their own. Each entry counts the kernel's references and goes
//! with the last.
//!
//! *Memory.* An entry is found by a digest of what it stands for, not by that itself, and a tree is remembered by how it
//! is found, not by what was found there: some hundred bytes each, so that ten thousand arrays in use are a few MiB. Slices and
//! ranges without end are bounded by having the kernel forget them: of the names that it looked up, only the last
//! [`REMEMBERED`] are left to it ([`Nodes::remember`]).

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::tree::{Leaf, Step, Tree};
use crate::catalog::{Description, Group, Item, Origin};
use crate::layout::MAX_NDIM;
use crate::store::{FileId, lock};

/// The root folder's number.
pub const ROOT: u64 = 1;
/// Number of the folder `.afbfs`; its files follow.
pub(super) const SPECIAL: u64 = 2;
/// The first number that is given out.
const FIRST: u64 = 16;
/// So many names of slices and ranges, those last looked up, are left to the kernel's memory.
const REMEMBERED: usize = 4096;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// A folder of the source, by its path below it.
    Source(Arc<PathBuf>),
    /// A container of arrays, or a group in it.
    Group(Arc<Group>),
    /// A folder of views, and its place among those that belong to one tree.
    Views(Arc<Views>, Place),
    /// `.afbfs`
    Special,
}

impl Folder {
    /// The folder that a name in the source stands for.
    pub(super) fn of_item(item: Item) -> Folder {
        match item {
            Item::Folder(path) => Folder::Source(Arc::new(path)),
            Item::Group(group) => Folder::Group(Arc::new(group)),
            Item::Array(origin) => Folder::Views(Arc::new(Views { origin, steps: Vec::new() }), Place::Top),
        }
    }
}

/// A tree of views, by how it is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Views {
    /// The array.
    pub(super) origin: Origin,
    /// What leads from the array to the tree.
    pub(super) steps: Vec<Step>,
}

/// A folder's place in a tree of views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The folder of the tree itself.
    Top,
    /// `axis`: a folder for each axis.
    Axes,
    /// `range`
    Range,
    /// `slice`
    Slice,
    /// `field`: a folder for each part of an element.
    Fields,
    /// `as`: a folder for each type to which elements can be converted.
    As,
    /// `axis/NAME`: the same as `axis/K`, under the axis's name.
    Named(usize),
    /// `row`: a file for each index of the first axis.
    Row,
    /// `col`: the same of the second axis.
    Col,
    /// `axis/K`: the same of any axis.
    Axis(usize),
}

impl Place {
    /// Its number among the folders of a tree.
    fn number(self) -> u64 {
        match self {
            Place::Top => 0,
            Place::Axes => 1,
            Place::Range => 2,
            Place::Slice => 3,
            Place::Fields => 4,
            Place::Row => 5,
            Place::Col => 6,
            Place::As => 7,
            Place::Axis(axis) => 8 + axis as u64,
            Place::Named(axis) => 8 + (MAX_NDIM + axis) as u64,
        }
    }

    /// How many folders a tree has at most.
    const COUNT: u64 = 8 + 2 * MAX_NDIM as u64;

    fn of_number(number: u64) -> Option<Place> {
        match number {
            0 => Some(Place::Top),
            1 => Some(Place::Axes),
            2 => Some(Place::Range),
            3 => Some(Place::Slice),
            4 => Some(Place::Fields),
            5 => Some(Place::Row),
            6 => Some(Place::Col),
            7 => Some(Place::As),
            _ => match number as usize - 8 {
                axis if axis < MAX_NDIM => Some(Place::Axis(axis)),
                axis => (number < Place::COUNT).then(|| Place::Named(axis - MAX_NDIM)),
            },
        }
    }

    /// The axis whose indices it holds, if it is such a folder.
    pub(super) fn axis(self) -> Option<usize> {
        match self {
            Place::Row => Some(0),
            Place::Col => Some(1),
            Place::Axis(axis) | Place::Named(axis) => Some(axis),
            Place::Top | Place::Axes | Place::Range | Place::Slice | Place::Fields | Place::As => None,
        }
    }
}

/// A file under `.afbfs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// `arrays.json`
    Arrays,
    /// `stats.json`
    Stats,
    /// `version`
    Version,
    /// `metrics`
    Metrics,
    /// `usage.json`
    Usage,
    /// `overlay.json`, where changes go to overlays.
    Overlay,
}

impl Special {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Special; 6] =
        [Special::Arrays, Special::Stats, Special::Version, Special::Metrics, Special::Usage, Special::Overlay];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Special::Arrays => "arrays.json",
            Special::Stats => "stats.json",
            Special::Version => "version",
            Special::Metrics => "metrics",
            Special::Usage => "usage.json",
            Special::Overlay => "overlay.json",
        }
    }

    /// Its number.
    pub(super) fn number(self) -> u64 {
        SPECIAL + 1 + self as u64
    }
}

/// What a number stands for.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// A folder.
    Folder(Folder),
    /// A file in a tree of views.
    Leaf(Arc<Known>, Which),
    /// The file `error` of an array that cannot be served.
    Error(Arc<Origin>),
    /// A file under `.afbfs`.
    Special(Special),
}

/// Which file of a tree.
#[derive(Clone, Debug)]
pub(super) enum Which {
    /// That of this number ([`Tree::leaf`]).
    Number(u64),
    /// This one, which has no number.
    Own(Arc<Leaf>),
}

/// A tree that the kernel has files of: how it is found, and how it is told whether it is still the same.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) views: Arc<Views>,
    id: FileId,
    array: Digest,
    /// How many numbers it has.
    files: u64,
}

/// A hash that no two things of one process share: 128 bits, keyed anew in each process.
type Digest = [u64; 2];

#[derive(Debug)]
struct Slot {
    key: Digest,
    references: u64,
    entry: Entry,
}

#[derive(Debug)]
enum Entry {
    Folder(Arc<PathBuf>),
    Group(Arc<Group>),
    /// The folders of a tree.
    Views(Arc<Views>),
    /// The numbered files of a tree.
    Tree(Arc<Known>),
    /// A file without a number, and its tree.
    Leaf(Arc<(Arc<Known>, Arc<Leaf>)>),
    Error(Arc<Origin>),
}

impl Entry {
    /// How many numbers it has.
    fn numbers(&self) -> u64 {
        match self {
            Entry::Views(_) => Place::COUNT,
            Entry::Tree(known) => known.files,
            Entry::Folder(_) | Entry::Group(_) | Entry::Leaf(_) | Entry::Error(_) => 1,
        }
    }
}

/// All inodes that the kernel knows.
#[derive(Debug)]
pub(super) struct Nodes {
    hashers: [RandomState; 2],
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    /// By number; an entry stands at the first of its numbers.
    slots: BTreeMap<u64, Slot>,
    numbers: HashMap<Digest, u64>,
    /// Names of slices and ranges, as they were looked up: the folder's number and the name.
    names: VecDeque<(u64, Box<str>)>,
}

impl Default for Nodes {
    fn default() -> Nodes {
        let inner = Inner { next: FIRST, slots: BTreeMap::new(), numbers: HashMap::new(), names: VecDeque::new() };
        Nodes { hashers: [RandomState::new(), RandomState::new()], inner: Mutex::new(inner) }
    }
}

impl Inner {
    /// Takes references to the entry of a key, which is made if there is none, and gives its first number.
    fn refer(&mut self, key: Digest, make: impl FnOnce() -> Entry) -> u64 {
        if let Some(&number) = self.numbers.get(&key)
            && let Some(slot) = self.slots.get_mut(&number)
        {
            slot.references += 1;
            return number;
        }
        let (number, entry) = (self.next, make());
        // 2^64 numbers at 2^48 a tree last for 65 536 of the largest trees; real ones, for ever.
        self.next += entry.numbers();
        self.numbers.insert(key, number);
        self.slots.insert(number, Slot { key, references: 1, entry });
        number
    }

    /// The entry in whose numbers a number lies.
    fn find(&self, number: u64) -> Option<(u64, &Slot)> {
        let (&start, slot) = self.slots.range(..=number).next_back()?;
        (number - start < slot.entry.numbers()).then_some((start, slot))
    }
}

/// How the elements of a tree are shown, for digests.
fn shown(tree: &Tree) -> impl Hash {
    let is_value = tree.steps.contains(&Step::Value);
    (&tree.dtype, tree.element, is_value)
}

impl Nodes {
    fn digest(&self, what: &impl Hash) -> Digest {
        self.hashers.each_ref().map(|state| state.hash_one(what))
    }

    /// What a number stands for.
    pub(super) fn get(&self, number: u64) -> Option<Found> {
        if number == ROOT {
            return Some(Found::Folder(Folder::Source(Arc::default())));
        }
        if number == SPECIAL {
            return Some(Found::Folder(Folder::Special));
        }
        if let Some(&special) = Special::ALL.iter().find(|special| special.number() == number) {
            return Some(Found::Special(special));
        }
        let inner = lock(&self.inner);
        let (start, slot) = inner.find(number)?;
        Some(match &slot.entry {
            Entry::Folder(path) => Found::Folder(Folder::Source(path.clone())),
            Entry::Group(group) => Found::Folder(Folder::Group(group.clone())),
            Entry::Views(views) => Found::Folder(Folder::Views(views.clone(), Place::of_number(number - start)?)),
            Entry::Tree(known) => Found::Leaf(known.clone(), Which::Number(number - start)),
            Entry::Leaf(leaf) => Found::Leaf(leaf.0.clone(), Which::Own(leaf.1.clone())),
            Entry::Error(origin) => Found::Error(origin.clone()),
        })
    }

    fn key_of_folder(&self, parent: u64, name: &str, folder: &Folder) -> Digest {
        match folder {
            Folder::Source(path) => self.digest(&("source", parent, name, path)),
            Folder::Group(group) => self.digest(&("group", parent, name, group)),
            Folder::Views(views, _) => self.digest(&("views", parent, name, views)),
            Folder::Special => self.digest(&"special"),
        }
    }

    /// Takes a reference to a folder, and gives its number. `parent` and `name` are those of the folder itself, or, for
    /// the folders within a tree of views, of the tree's.
    pub(super) fn folder(&self, parent: u64, name: &str, folder: &Folder) -> u64 {
        let key = self.key_of_folder(parent, name, folder);
        let mut inner = lock(&self.inner);
        match folder {
            Folder::Source(path) => inner.refer(key, || Entry::Folder(path.clone())),
            Folder::Group(group) => inner.refer(key, || Entry::Group(group.clone())),
            Folder::Views(views, place) => inner.refer(key, || Entry::Views(views.clone())) + place.number(),
            Folder::Special => SPECIAL,
        }
    }

    /// Takes a reference to a folder that belongs to the same tree as `sibling`, a folder with a reference, and gives
    /// its number.
    pub(super) fn beside(&self, sibling: u64, place: Place) -> Option<u64> {
        let mut inner = lock(&self.inner);
        let (start, _) = inner.find(sibling)?;
        inner.slots.get_mut(&start)?.references += 1;
        Some(start + place.number())
    }

    /// The number of a folder that belongs to the same tree as `sibling`.
    pub(super) fn number_beside(&self, sibling: u64, place: Place) -> Option<u64> {
        lock(&self.inner).find(sibling).map(|(start, _)| start + place.number())
    }

    /// The number of a folder, if the kernel knows it or another one of its tree.
    pub(super) fn known_folder(&self, parent: u64, name: &str, folder: &Folder) -> Option<u64> {
        let key = self.key_of_folder(parent, name, folder);
        lock(&self.inner).numbers.get(&key).copied()
    }

    fn digest_of_array(&self, description: &Description) -> Digest {
        let array = &description.array;
        self.digest(&(&array.dtype, &array.grid))
    }

    /// Whether a tree that was found anew is still the one that the kernel knows.
    pub(super) fn is_same(&self, known: &Known, description: &Description) -> bool {
        known.id == description.id && known.array == self.digest_of_array(description)
    }

    fn known(&self, tree: &Tree) -> Known {
        let description = &tree.description;
        let views = Views { origin: description.origin.clone(), steps: tree.steps.clone() };
        let array = self.digest_of_array(description);
        Known { views: Arc::new(views), id: description.id, array, files: tree.files() }
    }

    /// The key of a tree, which is what it shows, whichever steps led to it.
    fn key_of_tree(&self, tree: &Tree) -> Digest {
        let description = &tree.description;
        let array = (&description.origin, description.id, self.digest_of_array(description));
        self.digest(&("tree", array, &tree.selection, shown(tree)))
    }

    /// Takes a reference to a tree, and gives the first of its numbers.
    pub(super) fn tree(&self, tree: &Tree) -> u64 {
        let key = self.key_of_tree(tree);
        lock(&self.inner).refer(key, || Entry::Tree(Arc::new(self.known(tree))))
    }

    /// Takes a reference to a file of a tree, and gives its number.
    pub(super) fn leaf(&self, tree: &Tree, leaf: &Leaf) -> u64 {
        if let Some(offset) = tree.number(leaf) {
            return self.tree(tree) + offset;
        }
        let (form, base) = leaf.split();
        let key = match base {
            // A slice is its selection of the array, whichever tree it was named in; a range is counted in its tree.
            Leaf::Slice(selection) => {
                let description = &tree.description;
                let array = (&description.origin, description.id, self.digest_of_array(description));
                self.digest(&("slice", array, selection, shown(tree), form))
            }
            _ => self.digest(&("leaf", self.key_of_tree(tree), leaf)),
        };
        lock(&self.inner).refer(key, || Entry::Leaf(Arc::new((Arc::new(self.known(tree)), Arc::new(leaf.clone())))))
    }

    /// Takes a reference to the file `error` of an array, and gives its number.
    pub(super) fn error(&self, origin: &Origin) -> u64 {
        let key = self.digest(&("error", origin));
        lock(&self.inner).refer(key, || Entry::Error(Arc::new(origin.clone())))
    }

    /// Whether an inode is a file without a number in its tree.
    pub(super) fn has_own_entry(&self, number: u64) -> bool {
        matches!(lock(&self.inner).find(number), Some((_, Slot { entry: Entry::Leaf(_), .. })))
    }

    /// Notes that a name of a file without a number was looked up, and gives the one that the kernel is to forget for it.
    pub(super) fn remember(&self, parent: u64, name: &str) -> Option<(u64, Box<str>)> {
        let mut inner = lock(&self.inner);
        inner.names.push_back((parent, name.into()));
        if inner.names.len() > REMEMBERED { inner.names.pop_front() } else { None }
    }

    /// Drops references; with the last, the entry goes.
    pub(super) fn forget(&self, number: u64, references: u64) {
        let mut inner = lock(&self.inner);
        let Some((start, _)) = inner.find(number) else { return };
        let Some(slot) = inner.slots.get_mut(&start) else { return };
        slot.references = slot.references.saturating_sub(references);
        if slot.references == 0
            && let Some(slot) = inner.slots.remove(&start)
        {
            inner.numbers.remove(&slot.key);
            // Room that many names needed once is given back.
            if inner.numbers.capacity() > 1024 && inner.numbers.len() < inner.numbers.capacity() / 8 {
                inner.numbers.shrink_to_fit();
            }
        }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        lock(&self.inner).slots.len()
    }
}

#[cfg(test)]
mod tests;
