//! Which names are one file.

use super::*;
use crate::fs::nodes::SPECIAL;
use crate::fs::{Access, Kind};

/// The names of each group are one file, and no two groups are the same.
#[track_caller]
fn check(groups: &[&[&str]]) {
    let (folder, fs) = serve(&[("a", &[8, 5]), ("cube", &[2, 3, 4]), ("line", &[6])]);
    save_as(folder.path(), "r", "[('x', '<i4'), ('y', '<f8')]", 12, &[7, 2]);
    let mut seen = Vec::new();
    for group in groups {
        let numbers: Vec<u64> = group.iter().map(|path| inode(&fs, path)).collect();
        assert!(numbers.iter().all(|&number| number == numbers[0]), "{group:?} {numbers:?}");
        assert!(!seen.contains(&numbers[0]), "{group:?}");
        seen.push(numbers[0]);
        for (path, number) in group.iter().zip(numbers) {
            assert_eq!(fs.getattr(number).unwrap().inode, number, "{path}");
        }
    }
}

#[test]
fn one_view_is_one_file_by_whatever_name() {
    check(&[
        &["a/data", "a.npy/data", "a/data.raw", "a/slice/...", "a/slice/:,:", "a/row/:", "a/axis/1/..5", "a/col/-9:9"],
        &[
            "a/row/7",
            "a/row/-1",
            "a/row/007",
            "a/axis/0/7.raw",
            "a/axis/-2/7",
            "a/slice/7",
            "a/slice/-1,...",
            "a/T/col/7",
        ],
        &["a/row/0", "a/T/col/0"],
        &["a/col/0", "a/axis/1/0", "a/slice/:,0", "a/slice/...,0", "a/T/row/0", "a/T/axis/0/-5"],
        &["a/range/0:5", "a/range/..5", "a/range/:5:1", "a/range/-40:5", "a/range/:5.raw"],
        &["a/range/1:5"],
        &["a/range/3", "a/range/-37", "a/slice/0,3"],
        // The same byte, but with an axis.
        &["a/range/3:4", "a/range/3:4:9"],
        &["a/slice/::2", "a/row/::2", "a/slice/0:7:2,:"],
        &["a/slice/1:3,::-1"],
        &["a/slice/0,0", "a/slice/-8,-5", "a/T/slice/0,0"],
        &["a/slice/3:3", "a/slice/9:", "a/row/5:2"],
        &["a/T/data", "a/T/slice/..."],
        &["a/shape"],
        &["a/dtype"],
        &["a/T/shape"],
    ]);
}

#[test]
fn arrays_of_other_ranks_and_fields() {
    check(&[
        &["line/data", "line/T/data", "line/slice/:", "line/range/:"],
        &["line/row/2", "line/T/row/2", "line/slice/2", "line/range/2"],
        &["line/range/2:", "line/slice/2:"],
        &["cube/row/1", "cube/axis/0/1", "cube/slice/1"],
        &["cube/axis/2/1", "cube/slice/...,1"],
        // Its elements come in another order than those of axis/2/1.
        &["cube/T/row/1", "cube/T/slice/1"],
        &["r/data"],
        &["r/field/x/data"],
        &["r/field/y/data"],
        &["r/field/x/row/1", "r/field/x/T/col/1"],
        &["r/field/x/T/data", "r/T/field/x/data"],
    ]);
}

#[test]
fn folders_have_one_number_for_each_path() {
    check(&[
        &["a", "a"],
        &["a.npy"],
        &["a/row", "a/row"],
        &["a/axis/0"],
        &["a/col"],
        &["a/axis/1"],
        &["a/axis"],
        &["a/T"],
        &["a/T/row"],
        &["a/range"],
        &["a/slice"],
        &["line/T"],
        &["r/field"],
        &["r/field/x"],
    ]);
}

#[test]
fn what_does_not_exist() {
    let (folder, fs) = serve(&[("a", &[8, 5]), ("line", &[6])]);
    save_as(folder.path(), "r", "[('x', '<i4')]", 4, &[7]);
    for (path, error) in [
        ("a/T/T", Errno::LOOP),
        ("a/row/8", Errno::NOENT),
        ("a/row/-9", Errno::NOENT),
        ("a/row/+1", Errno::NOENT),
        ("a/row/1.npz", Errno::NOENT),
        ("a/row/::0", Errno::NOENT),
        ("a/axis/2", Errno::NOENT),
        ("a/range/40", Errno::NOENT),
        ("a/slice/1,2,3", Errno::NOENT),
        ("a/field", Errno::NOENT),
        ("line/col", Errno::NOENT),
        ("r/field/y", Errno::NOENT),
        ("a/error", Errno::NOENT),
        ("b", Errno::NOENT),
        ("a/data/x", Errno::NOTDIR),
        ("bad/data", Errno::NOENT),
        ("bad/row", Errno::NOENT),
        (".afbfs/x", Errno::NOENT),
    ] {
        assert_eq!(walk(&fs, path), Err(error), "{path}");
    }
    assert_eq!(fs.lookup(12345, OsStr::new("a")).unwrap_err(), Errno::STALE);
}

#[test]
fn a_file_that_cannot_be_served_says_why() {
    let (_folder, fs) = serve(&[]);
    let error = inode(&fs, "bad/error");
    assert_eq!(error, inode(&fs, "bad.npy/error"));
    let handle = fs.open(error, Access::default()).unwrap().handle;
    let text = fs.read(handle, 0, 1000, crate::fs::Source::Direct, <[u8]>::to_vec).unwrap();
    assert!(text.starts_with(b"bad.npy: "), "{}", String::from_utf8_lossy(&text));
    assert_eq!(fs.getattr(error).unwrap().size, text.len() as u64);
}

#[test]
fn the_special_folder_costs_nothing() {
    let (_folder, fs) = serve(&[]);
    assert_eq!(inode(&fs, ".afbfs"), SPECIAL);
    let files = [".afbfs/arrays.json", ".afbfs/stats.json", ".afbfs/version"].map(|path| fs.getattr(inode(&fs, path)));
    assert!(files.iter().all(|attr| attr.as_ref().is_ok_and(|attr| attr.kind == Kind::File && attr.size == 0)));
    assert_eq!(fs.nodes.len(), 0);
}

#[test]
fn another_array_in_the_place_of_one_has_other_numbers() {
    let (folder, fs) = serve(&[("a", &[8, 5])]);
    let paths = ["a/data", "a/row/3", "a/slice/::2", "a/range/5:", "a/shape"];
    let old = paths.map(|path| inode(&fs, path));
    save(folder.path(), "new", &[8, 6]);
    fs::rename(folder.path().join("new.npy"), folder.path().join("a.npy")).unwrap();
    for (path, old) in paths.iter().zip(old) {
        assert_eq!(fs.getattr(old).unwrap_err(), Errno::STALE, "{path}");
        let new = inode(&fs, path);
        assert_ne!(new, old, "{path}");
        assert!(fs.getattr(new).is_ok(), "{path}");
        if *path != "a/shape" {
            assert_eq!(fs.open(old, Access::default()), Err(Errno::STALE), "{path}");
        }
        // The old one goes, and the new one stays what it is.
        fs.forget(old, 1);
        assert_eq!(inode(&fs, path), new, "{path}");
    }
}

#[test]
fn numbers_are_not_used_twice() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10 {
        let numbers: Vec<Vec<u64>> = ["a/row/3", "a/slice/::2"].iter().map(|path| walk(&fs, path).unwrap()).collect();
        let mut once: Vec<u64> = numbers.concat();
        once.iter().for_each(|&number| fs.forget(number, 1));
        assert_eq!(fs.nodes.len(), 0);
        assert!(once.iter().all(|&number| fs.getattr(number).is_err()));
        once.sort_unstable();
        once.dedup();
        assert!(once.into_iter().all(|number| seen.insert(number)));
    }
}
