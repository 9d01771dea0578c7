//! The numbers of a tree's files.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::fs::facts::Fact;
use crate::fs::tree::Leaf;

fn shape() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![Just(0), Just(1), 0..6_u64], 0..5)
}

/// All files of a tree that can be counted.
fn leaves(tree: &Tree) -> Vec<Leaf> {
    let axes = tree.selection.shape().iter().enumerate();
    let indices = axes.flat_map(|(axis, &length)| (0..length).map(move |index| Leaf::Axis(axis, index)));
    [Leaf::Data].into_iter().chain(Fact::ALL.map(Leaf::Fact)).chain(indices).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn each_file_has_a_number_of_its_own(shape in shape(), transposed in any::<bool>()) {
        let (_folder, fs) = serve(&[("a", &shape)]);
        let tree = tree_of(&fs, "a.npy", if transposed { &[Step::Transpose] } else { &[] });
        let leaves = leaves(&tree);
        prop_assert_eq!(tree.files(), leaves.len() as u64);
        let mut numbers = HashSet::new();
        for leaf in leaves {
            let number = tree.number(&leaf).unwrap();
            prop_assert!(number < tree.files() && numbers.insert(number), "{:?} {}", leaf, number);
            prop_assert_eq!(tree.leaf(number), Some(leaf));
        }
        for number in [tree.files(), tree.files() + 1, u64::MAX] {
            prop_assert_eq!(tree.leaf(number), None);
        }
    }
}

#[test]
fn a_tree_too_large_to_count_numbers_its_files_as_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    save_as(folder.path(), "a", "'|V0'", 0, &[1 << 60, 3]);
    let fs = serve_with(folder.path(), Settings::default(), &[]);
    let numbers = ["a/data", "a/shape", "a/row/0", "a/row/1", "a/row/-1", "a/col/2"].map(|path| inode(&fs, path));
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
    assert_eq!(inode(&fs, &format!("a/row/{}", (1_u64 << 60) - 1)), numbers[4]);
    // The folders a, row and col, which are one tree's; the tree of files; and a row or column each.
    assert_eq!(fs.nodes.len(), 1 + 1 + 4);
}
