//! Inodes: which number stands for which file or folder, for as long as the kernel remembers it.
//!
//! Numbers are never used twice. A folder has one for each path; a slice file has one for each canonical view
//! of its array, whatever path led to it. The files of a tree that can be counted (`data`, the facts, and every
//! index of every axis) have consecutive numbers, so that a million of them cost one entry; only slices and
//! ranges have entries of their own. Each entry counts the kernel's references and goes with the last.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::tree::{Leaf, Step, Tree};
use crate::catalog::Origin;
use crate::dtype::DType;
use crate::layout::Selection;
use crate::store::lock;

/// The root folder's number.
pub const ROOT: u64 = 1;
/// Number of the folder `.afbfs`; its files follow.
pub(super) const SPECIAL: u64 = 2;
/// The first number that is given out.
const FIRST: u64 = 16;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// A folder of the source, by its path below it.
    Source(PathBuf),
    /// A folder of views.
    Views {
        /// The array.
        origin: Origin,
        /// The tree in which it lies.
        steps: Vec<Step>,
        /// Its place in the tree.
        place: Place,
    },
    /// `.afbfs`
    Special,
}

/// A folder's place in a tree of views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The folder of the tree itself.
    Top,
    /// `axis`: a folder for each axis.
    Axes,
    /// `row`, `col`, `axis/K`: a file for each index of an axis.
    Axis(usize),
    /// `range`
    Range,
    /// `slice`
    Slice,
    /// `field`: a folder for each part of an element.
    Fields,
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
}

impl Special {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Special; 3] = [Special::Arrays, Special::Stats, Special::Version];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Special::Arrays => "arrays.json",
            Special::Stats => "stats.json",
            Special::Version => "version",
        }
    }

    /// Its number.
    pub(super) fn number(self) -> u64 {
        SPECIAL + 1 + self as u64
    }
}

/// What a number stands for.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A folder.
    Folder(Arc<Folder>),
    /// A file in a tree of views.
    Leaf(Arc<Tree>, Leaf),
    /// The file `error` of an array that cannot be served.
    Error(Origin),
    /// A file under `.afbfs`.
    Special(Special),
}

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Folder(u64, Box<str>),
    /// A tree is what it shows, whichever steps led to it.
    Tree(Origin, Selection, DType),
    Leaf(Origin, Option<Selection>, Leaf),
    Error(Origin),
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    key: Key,
    references: u64,
}

#[derive(Debug)]
enum Entry {
    Folder(Arc<Folder>),
    Tree(Arc<Tree>),
    Leaf(Arc<Tree>, Leaf),
    Error(Origin),
}

/// All inodes that the kernel knows.
#[derive(Debug)]
pub(super) struct Nodes {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    /// By number; a tree's entry stands at the first of its numbers.
    slots: BTreeMap<u64, Slot>,
    numbers: HashMap<Key, u64>,
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes { inner: Mutex::new(Inner { next: FIRST, slots: BTreeMap::new(), numbers: HashMap::new() }) }
    }
}

impl Inner {
    fn insert(&mut self, key: Key, entry: Entry, numbers: u64) -> u64 {
        let number = self.next;
        // 2^64 numbers at 2^48 a tree last for 65 536 of the largest trees; real ones, for ever.
        self.next += numbers;
        self.numbers.insert(key.clone(), number);
        self.slots.insert(number, Slot { entry, key, references: 0 });
        number
    }

    /// The entry of a key, if what it stands for is still `same`; otherwise a new one takes its name.
    fn intern(&mut self, key: Key, same: impl Fn(&Entry) -> bool, make: impl FnOnce() -> (Entry, u64)) -> u64 {
        if let Some(&number) = self.numbers.get(&key)
            && self.slots.get(&number).is_some_and(|slot| same(&slot.entry))
        {
            return number;
        }
        let (entry, numbers) = make();
        self.insert(key, entry, numbers)
    }

    fn refer(&mut self, start: u64) {
        if let Some(slot) = self.slots.get_mut(&start) {
            slot.references += 1;
        }
    }

    /// The entry in whose numbers a number lies.
    fn find(&self, number: u64) -> Option<(u64, &Slot)> {
        let (&start, slot) = self.slots.range(..=number).next_back()?;
        let len = if let Entry::Tree(tree) = &slot.entry { tree.files() } else { 1 };
        (number - start < len).then_some((start, slot))
    }
}

/// Whether two trees show the same array of the same file.
fn same_array(a: &Tree, b: &Tree) -> bool {
    Arc::ptr_eq(&a.description, &b.description)
        || (a.description.id == b.description.id && a.description.array == b.description.array)
}

impl Nodes {
    /// What a number stands for.
    pub(super) fn get(&self, number: u64) -> Option<Node> {
        if number == ROOT {
            return Some(Node::Folder(Arc::new(Folder::Source(PathBuf::new()))));
        }
        if number == SPECIAL {
            return Some(Node::Folder(Arc::new(Folder::Special)));
        }
        if let Some(&special) = Special::ALL.iter().find(|special| special.number() == number) {
            return Some(Node::Special(special));
        }
        let inner = lock(&self.inner);
        let (start, slot) = inner.find(number)?;
        Some(match &slot.entry {
            Entry::Folder(folder) => Node::Folder(folder.clone()),
            Entry::Tree(tree) => Node::Leaf(tree.clone(), tree.leaf(number - start)?),
            Entry::Leaf(tree, leaf) => Node::Leaf(tree.clone(), leaf.clone()),
            Entry::Error(origin) => Node::Error(origin.clone()),
        })
    }

    /// Takes a reference to the folder `name` of a folder, and gives its number.
    pub(super) fn folder(&self, parent: u64, name: &str, folder: Folder) -> u64 {
        let mut inner = lock(&self.inner);
        let same = |entry: &Entry| matches!(entry, Entry::Folder(known) if **known == folder);
        let make = || (Entry::Folder(Arc::new(folder.clone())), 1);
        let number = inner.intern(Key::Folder(parent, name.into()), same, make);
        inner.refer(number);
        number
    }

    /// The number of the folder `name` of a folder, if the kernel knows it.
    pub(super) fn known_folder(&self, parent: u64, name: &str) -> Option<u64> {
        lock(&self.inner).numbers.get(&Key::Folder(parent, name.into())).copied()
    }

    /// Takes a reference to a tree, and gives the first of its numbers.
    pub(super) fn tree(&self, tree: &Arc<Tree>) -> u64 {
        let mut inner = lock(&self.inner);
        let start = intern_tree(&mut inner, tree);
        inner.refer(start);
        start
    }

    /// Takes a reference to a file of a tree, and gives its number.
    pub(super) fn leaf(&self, tree: &Arc<Tree>, leaf: &Leaf) -> u64 {
        let mut inner = lock(&self.inner);
        if let Some(offset) = tree.number(leaf) {
            let start = intern_tree(&mut inner, tree);
            inner.refer(start);
            return start + offset;
        }
        // A slice is its selection of the array, whichever tree it was named in; a range is counted in its tree.
        let counted = (!matches!(leaf, Leaf::Slice(_))).then(|| tree.selection.clone());
        let key = Key::Leaf(tree.description.origin.clone(), counted, leaf.clone());
        let same = |entry: &Entry| matches!(entry, Entry::Leaf(known, _) if same_array(known, tree));
        let number = inner.intern(key, same, || (Entry::Leaf(tree.clone(), leaf.clone()), 1));
        inner.refer(number);
        number
    }

    /// Takes a reference to the file `error` of an array, and gives its number.
    pub(super) fn error(&self, origin: &Origin) -> u64 {
        let mut inner = lock(&self.inner);
        let number = inner.intern(Key::Error(origin.clone()), |_| true, || (Entry::Error(origin.clone()), 1));
        inner.refer(number);
        number
    }

    /// Drops references; with the last, the entry goes.
    pub(super) fn forget(&self, number: u64, references: u64) {
        let mut inner = lock(&self.inner);
        let Some((start, _)) = inner.find(number) else { return };
        let Some(slot) = inner.slots.get_mut(&start) else { return };
        slot.references = slot.references.saturating_sub(references);
        if slot.references == 0
            && let Some(slot) = inner.slots.remove(&start)
            && inner.numbers.get(&slot.key) == Some(&start)
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

fn intern_tree(inner: &mut Inner, tree: &Arc<Tree>) -> u64 {
    let key = Key::Tree(tree.description.origin.clone(), tree.selection.clone(), tree.dtype.clone());
    let same = |entry: &Entry| matches!(entry, Entry::Tree(known) if same_array(known, tree));
    inner.intern(key, same, || (Entry::Tree(tree.clone()), tree.files()))
}

#[cfg(test)]
mod tests;
