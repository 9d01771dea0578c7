//! Listings are streams: from any position, in pieces of any size.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use super::*;

/// The names of a folder, read in pieces of so many names, each with a call that goes on behind the last one.
fn read(fs: &Fs, handle: u64, piece: usize) -> Vec<String> {
    let (mut names, mut position) = (Vec::new(), 0);
    loop {
        let before = names.len();
        fs.readdir(handle, position, &mut |entry| {
            // The kernel has no room for more: what is refused comes again.
            let fits = names.len() < before + piece;
            if fits {
                names.push(entry.name.to_owned());
                position = entry.next;
            }
            fits
        })
        .unwrap();
        if names.len() == before {
            return names;
        }
    }
}

fn names(fs: &Fs, path: &str) -> Vec<String> {
    let number = if path.is_empty() { ROOT } else { inode(fs, path) };
    let handle = fs.opendir(number).unwrap();
    let names = read(fs, handle, usize::MAX);
    fs.releasedir(handle);
    names
}

/// The folder shows just these names, once each and however it is read.
#[track_caller]
fn check(fs: &Fs, path: &str, expected: &[&str]) {
    let number = if path.is_empty() { ROOT } else { inode(fs, path) };
    let handle = fs.opendir(number).unwrap();
    let wanted: BTreeSet<&str> = [".", ".."].into_iter().chain(expected.iter().copied()).collect();
    for piece in [1, 2, 3, 7, 50, expected.len() + 1, usize::MAX] {
        let found = read(fs, handle, piece);
        let shown: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(shown, wanted, "{piece}");
        assert_eq!(found.len(), wanted.len(), "{piece}: {found:?}");
    }
    fs.releasedir(handle);
}

#[test]
fn a_source_folder_is_read_in_pieces_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let arrays: Vec<String> = (0..300).map(|i| format!("array-{i}")).collect();
    fs::create_dir(folder.path().join("deep")).unwrap();
    for name in &arrays {
        save(folder.path(), name, &[1]);
        save(&folder.path().join("deep"), name, &[1]);
    }
    let fs = serve_with(folder.path(), Settings::default(), &["name=hand,file=array-0.npy,dtype=u1"]);
    let mut expected: Vec<&str> = arrays.iter().map(String::as_str).collect();
    check(&fs, "deep", &expected);
    expected.extend(["deep", "hand", ".afbfs"]);
    check(&fs, "", &expected);
}

#[test]
fn our_own_names_come_behind_the_last_of_the_source_wherever_that_ends() {
    let (_folder, fs) = serve(&[]);
    let handle = fs.opendir(ROOT).unwrap();
    // The last name of a folder of ext4 leads to the largest position there is.
    let mut found = Vec::new();
    fs.readdir(handle, i64::MAX as u64, &mut |entry| {
        found.push(entry.name.to_owned());
        true
    })
    .unwrap();
    assert_eq!(found, [".", "..", ".afbfs"]);
}

#[test]
fn an_empty_source_and_small_folders() {
    let folder = tempfile::tempdir().unwrap();
    check(&serve_with(folder.path(), Settings::default(), &[]), "", &[".afbfs"]);
    let (_folder, fs) = serve(&[("a", &[3, 2, 4]), ("none", &[]), ("line", &[0])]);
    let facts = ["info.json", "dtype", "shape", "strides", "offset", "order", "format", "itemsize", "ndim", "size"];
    let with = |names: &[&'static str]| [&["data"], &facts[..], names].concat();
    check(&fs, "", &["a", "none", "line", "bad", ".afbfs"]);
    check(&fs, "a", &with(&["row", "col", "axis", "range", "slice", "T", "as", "value"]));
    check(&fs, "line", &with(&["row", "axis", "range", "slice", "T", "as", "value"]));
    check(&fs, "none", &with(&["range", "slice", "T", "as", "value"]));
    check(&fs, "bad", &["error"]);
    check(&fs, ".afbfs", &["arrays.json", "metrics", "stats.json", "usage.json", "version"]);
    check(&fs, "a/axis", &["0", "1", "2"]);
    check(&fs, "a/axis/2", &["0", "1", "2", "3"]);
    check(&fs, "a/col", &["0", "1"]);
    check(&fs, "line/row", &[]);
    check(&fs, "a/range", &[]);
    check(&fs, "a/slice", &[]);
    // Below `T` only this, so that walking the tree ends.
    check(&fs, "a/T", &with(&[]));
    check(&fs, "a/T/row", &[]);
    check(&fs, "a/as", &[]);
    check(&fs, "a/as/f4", &with(&[]));
    check(&fs, "a/value", &with(&[]));
    let file = inode(&fs, "a/data");
    assert_eq!(fs.opendir(file), Err(Errno::NOTDIR));
}

#[test]
fn an_index_folder_is_read_in_pieces_of_any_size() {
    let (_folder, fs) = serve(&[("a", &[1234, 2])]);
    let expected: Vec<String> = (0..1234).map(|index: u32| index.to_string()).collect();
    check(&fs, "a/row", &expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(names(&fs, "a/row")[2..], expected);
}

#[test]
fn all_indices_are_listed_or_none() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a", &[11, 10]);
    let fs = serve_with(folder.path(), Settings { list_max: 10, ..Settings::default() }, &[]);
    check(&fs, "a/row", &[]);
    check(&fs, "a/col", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert!(walk(&fs, "a/row/10").is_ok());
}

#[test]
fn a_listing_without_end_starts_at_once_and_goes_on_anywhere() {
    const ROWS: u64 = 1 << 40;
    let folder = tempfile::tempdir().unwrap();
    save_as(folder.path(), "a", "'|V0'", 0, &[ROWS]);
    let fs = serve_with(folder.path(), Settings { list_max: u64::MAX, ..Settings::default() }, &[]);
    let handle = fs.opendir(inode(&fs, "a/row")).unwrap();
    let from = |position: u64| {
        let mut found = Vec::new();
        fs.readdir(handle, position, &mut |entry| {
            found.push((entry.name.to_owned(), entry.next));
            found.len() < 3
        })
        .unwrap();
        found
    };
    let names =
        |names: &[(&str, u64)]| names.iter().map(|(name, next)| ((*name).to_owned(), *next)).collect::<Vec<_>>();
    assert_eq!(from(0), names(&[(".", 1), ("..", 2), ("0", 3)]));
    assert_eq!(from(2), names(&[("0", 3), ("1", 4), ("2", 5)]));
    assert_eq!(from(1 << 39)[0], ((ROWS / 2 - 2).to_string(), ROWS / 2 + 1));
    assert_eq!(from(ROWS), names(&[("1099511627774", ROWS + 1), ("1099511627775", ROWS + 2)]));
    assert_eq!(from(ROWS + 2), []);
    assert_eq!(from(u64::MAX), []);
}

#[test]
fn names_that_are_too_long_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a", &[1]);
    for count in [85, 86] {
        let name = [&vec![0xff; count][..], b".npy"].concat();
        fs::copy(folder.path().join("a.npy"), folder.path().join(OsStr::from_bytes(&name))).unwrap();
    }
    let fs = serve_with(folder.path(), Settings::default(), &[]);
    // Three bytes for each of the name's.
    check(&fs, "", &["a", "%FF".repeat(85).as_str(), ".afbfs"]);
    assert!(walk(&fs, &"%FF".repeat(86)).is_ok());
}

#[test]
fn fields_are_listed_by_their_escaped_names() {
    let folder = tempfile::tempdir().unwrap();
    save_as(folder.path(), "r", "[('x/y', '|u1'), ('%41', '|u1'), ('z', '|u1')]", 3, &[4]);
    let fs = serve_with(folder.path(), Settings::default(), &[]);
    check(&fs, "r/field", &["x%2Fy", "%2541", "z"]);
    for name in names(&fs, "r/field").iter().skip(2) {
        assert_eq!(fs.getattr(inode(&fs, &format!("r/field/{name}/row/1"))).unwrap().size, 1);
    }
}
