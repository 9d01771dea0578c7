//! Entries are counted, and go with the last reference.

use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::fs::Fs;
use crate::fs::tests::{inode, serve, tree_of, walk};
use crate::fs::{Kind, Node};

/// Paths, and the entry that each needs for itself: folders one for each tree (nothing here), the others by group.
const PATHS: &[(&str, Option<&str>)] = &[
    ("a", None),
    ("a.npy", None),
    ("a/row", None),
    ("a/T", None),
    ("a/T/col", None),
    ("bad", None),
    ("a/data", Some("tree of a")),
    ("a/shape", Some("tree of a")),
    ("a/row/0", Some("tree of a")),
    ("a/row/-1", Some("tree of a")),
    ("a.npy/col/2", Some("tree of a")),
    ("a/T/col/3", Some("tree of a")),
    ("a/T/data", Some("tree of the transpose")),
    ("a/T/dtype", Some("tree of the transpose")),
    ("a/slice/::2", Some("every second")),
    ("a.npy/slice/0:8:2", Some("every second")),
    ("a/row/::2", Some("every second")),
    ("a/slice/1,1", Some("element")),
    ("a/T/slice/1,1", Some("element")),
    ("a/range/3:", Some("range")),
    ("a/T/range/3:", Some("range of the transpose")),
    ("bad/error", Some("error")),
    ("bad.npy/error", Some("error")),
    (".afbfs/version", None),
];

/// What the kernel would remember.
#[derive(Default)]
struct Model {
    /// References to each number.
    references: HashMap<u64, u64>,
    /// The group of each number that is no folder.
    groups: HashMap<u64, &'static str>,
    /// The numbers of the folders that are the first of a tree's; the others follow them.
    trees: BTreeSet<u64>,
}

impl Model {
    fn lookup(&mut self, fs: &Fs, (path, group): (&'static str, Option<&'static str>)) {
        let numbers = walk(fs, path).unwrap();
        for (&number, name) in numbers.iter().zip(path.split('/')).filter(|&(&number, _)| number >= FIRST) {
            *self.references.entry(number).or_default() += 1;
            if fs.getattr(number).unwrap().kind == Kind::Folder && !["row", "col", "slice", "range"].contains(&name) {
                self.trees.insert(number);
            }
        }
        if let Some(group) = group {
            self.groups.insert(numbers[numbers.len() - 1], group);
        }
    }

    fn forget(&mut self, fs: &Fs, number: u64, count: u64) {
        let held = self.references.remove(&number).unwrap();
        let count = count.min(held);
        fs.forget(number, count);
        if held > count {
            self.references.insert(number, held - count);
        }
    }

    fn check(&self, fs: &Fs) {
        let folders = self.references.keys().filter(|number| !self.groups.contains_key(number));
        let trees: HashSet<u64> = folders.map(|number| *self.trees.range(..=number).next_back().unwrap()).collect();
        let groups: HashSet<&str> =
            self.references.keys().filter_map(|number| self.groups.get(number)).copied().collect();
        assert_eq!(fs.nodes.len(), trees.len() + groups.len());
        for &number in self.references.keys() {
            assert!(fs.nodes.get(number).is_some(), "{number}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn entries_last_as_long_as_their_references(
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), 1..4_u64), 0..60)
    ) {
        let (_folder, fs) = serve(&[("a", &[8, 5])]);
        let mut model = Model::default();
        for (forget, which, count) in steps {
            if forget && !model.references.is_empty() {
                let mut numbers: Vec<u64> = model.references.keys().copied().collect();
                numbers.sort_unstable();
                model.forget(&fs, *which.get(&numbers), count);
            } else {
                model.lookup(&fs, *which.get(PATHS));
            }
            model.check(&fs);
        }
        for (number, held) in std::mem::take(&mut model.references) {
            fs.forget(number, held);
        }
        prop_assert_eq!(fs.nodes.len(), 0);
        prop_assert!(lock(&fs.nodes.inner).numbers.is_empty());
        prop_assert!(fs.nodes.get(FIRST).is_none());
    }
}

#[test]
fn the_files_of_an_axis_cost_no_entries() {
    const ROWS: u64 = 100_000;
    let (_folder, fs) = serve(&[("a", &[ROWS, 2])]);
    let numbers = walk(&fs, "a/row").unwrap();
    let row = numbers[1];
    let first = inode(&fs, "a/row/0");
    let before = fs.nodes.len();
    for index in 0..ROWS {
        let attr = fs.lookup(row, std::ffi::OsStr::new(&index.to_string())).unwrap();
        assert_eq!(attr.inode, first + index);
    }
    assert_eq!(fs.nodes.len(), before);
    for index in 0..ROWS {
        fs.forget(first + index, 1);
    }
    fs.forget(first, 1);
    // The walks took two references to `a` and to `row`, which are of one tree.
    assert_eq!(fs.nodes.len(), 1);
    numbers.iter().for_each(|&number| fs.forget(number, 2));
    assert_eq!(fs.nodes.len(), 0);
}

#[test]
fn one_reference_to_any_file_keeps_the_numbers_of_all() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let tree = tree_of(&fs, "a.npy", &[]);
    let row = fs.nodes.leaf(&tree, &Leaf::Axis(0, 7));
    let data = fs.nodes.leaf(&tree, &Leaf::Data);
    fs.nodes.forget(data, 1);
    assert!(matches!(fs.node(row), Ok(Node::Leaf(_, Leaf::Axis(0, 7), Some(_)))));
    assert_eq!(fs.nodes.leaf(&tree, &Leaf::Data), data);
    assert!(matches!(fs.node(data), Ok(Node::Leaf(_, Leaf::Data, Some(_)))));
    // The number behind the last file is that of nothing, and of the next entry.
    let behind = data + tree.files();
    assert!(fs.nodes.get(behind).is_none());
    assert_eq!(fs.nodes.error(&Origin::File("a.npy".into())), behind);
}

#[test]
fn an_open_folder_keeps_the_numbers_of_its_files() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let row = inode(&fs, "a/row");
    let before = fs.nodes.len();
    let handle = fs.opendir(row).unwrap();
    assert_eq!(fs.nodes.len(), before + 1);
    let mut listed = Vec::new();
    fs.readdir(handle, 2, &mut |entry| {
        listed.push(entry.inode);
        true
    })
    .unwrap();
    let looked_up = (0..8).map(|index| inode(&fs, &format!("a/row/{index}")));
    assert!(looked_up.eq(listed.iter().copied()));
    listed.into_iter().for_each(|number| fs.forget(number, 1));
    assert_eq!(fs.nodes.len(), before + 1);
    fs.releasedir(handle);
    assert_eq!(fs.nodes.len(), before);
}

#[test]
fn forgetting_what_is_not_known_does_nothing() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let data = inode(&fs, "a/data");
    let before = fs.nodes.len();
    for number in [0, ROOT, SPECIAL, Special::Version.number(), FIRST + 1000, u64::MAX] {
        fs.forget(number, 1000);
    }
    assert_eq!(fs.nodes.len(), before);
    assert!(fs.nodes.get(ROOT).is_some() && fs.nodes.get(SPECIAL).is_some());
    // More than was taken: the entry goes, and nothing else.
    fs.forget(data, 1000);
    assert_eq!(fs.nodes.len(), before - 1);
    assert!(fs.nodes.get(data).is_none());
}

#[test]
fn of_the_names_of_slices_only_so_many_are_left_to_the_kernel() {
    let (_folder, fs) = serve(&[("a", &[REMEMBERED as u64 + 100, 5])]);
    let folder = inode(&fs, "a/slice");
    let mut numbers = HashMap::new();
    for row in 0..REMEMBERED + 50 {
        let name = format!("{row},0");
        let number = fs.lookup(folder, name.as_ref()).unwrap().inode;
        numbers.insert(name.clone(), number);
        let outdated = fs.outdated_by(number, folder, name.as_ref());
        // The kernel answers so to being told that a name is outdated.
        if let Some((parent, name)) = &outdated {
            assert_eq!(*parent, folder);
            fs.forget(numbers[&**name], 1);
        }
        assert_eq!(
            outdated.map(|(_, name)| name.into_string()),
            row.checked_sub(REMEMBERED).map(|row| format!("{row},0"))
        );
    }
    // Beside them there is the entry of the folders.
    assert_eq!(fs.nodes.len(), REMEMBERED + 1);
    // What has a number of its own anyway costs nothing, and may be remembered for ever.
    let row = fs.lookup(inode(&fs, "a/row"), "3".as_ref()).unwrap().inode;
    assert_eq!(fs.outdated_by(row, folder, "3".as_ref()), None);
}

#[test]
fn an_entry_of_an_array_is_small() {
    // Ten thousand arrays in use are to cost no more than a few MiB: the entry, its place in the table, and what they share.
    let of_entry = size_of::<(u64, Slot)>() + size_of::<(Digest, u64)>() * 2;
    assert!(of_entry <= 120, "{of_entry}");
    assert!(size_of::<Known>() + size_of::<Views>() <= 160, "{} {}", size_of::<Known>(), size_of::<Views>());
}
