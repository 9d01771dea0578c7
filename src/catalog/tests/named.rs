//! Sources that are one file, and arrays described by hand.

use super::*;

/// Opening this source is refused, and the message says so.
#[track_caller]
fn refused(source: &Path, arrays: &[&str], message: &str) {
    let options = Options { arrays: arrays.iter().map(|text| spec(text)).collect(), ..Options::default() };
    let error = Catalog::open(source, options, store()).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

fn with_arrays(source: &Path, arrays: &[&str]) -> Catalog {
    open_with(source, Options { arrays: arrays.iter().map(|text| spec(text)).collect(), ..Options::default() })
}

#[test]
fn a_source_may_be_one_file() {
    let folder = source(["a.npy", "b.npy", "a.raw", "a.raw.toml", "c/"]);
    let catalog = open(&folder.path().join("a.npy"));
    assert_eq!(catalog.only_file(), Some(file("a.npy")));
    assert_eq!(catalog.root_path(), folder.path().canonicalize().unwrap());
    assert_eq!(list(&catalog, ""), [("a".to_owned(), array("a.npy"))]);
    assert_eq!(lookup(&catalog, "a"), Some(array("a.npy")));
    assert_eq!(lookup(&catalog, "a.npy"), Some(array("a.npy")));
    for other in ["b", "b.npy", "a.raw", "c"] {
        assert_eq!(lookup(&catalog, other), None, "{other}");
    }
    assert_eq!(catalog.describe(&file("a.npy")).unwrap().description.array.grid.shape(), [4]);
}

#[test]
fn one_file_has_its_stem_though_others_of_its_folder_come_before_it() {
    let folder = source(["a.npy", "a.raw", "a.raw.toml", "b.npy", "b/"]);
    for (name, stem) in [("a.raw", "a"), ("b.npy", "b")] {
        let catalog = open(&folder.path().join(name));
        assert_eq!(list(&catalog, ""), [(stem.to_owned(), array(name))]);
        assert_eq!(lookup(&catalog, stem), Some(array(name)));
        assert_eq!(catalog.shown_path(&file(name)), stem);
    }
}

#[test]
fn a_source_that_is_nothing_is_refused() {
    let folder = source(["a.txt"]);
    refused(&folder.path().join("b"), &[], "No such file");
    refused(&folder.path().join("a.txt"), &[], "describe it with --array");
}

#[test]
fn arrays_described_by_hand_stand_at_the_root() {
    let folder = source(["x.bin", "b/", "h.npy"]);
    let catalog = with_arrays(folder.path(), &["name=h,file=x.bin,dtype=u2", "name=i,file=b/../x.bin,dtype=u1"]);
    assert_eq!(lookup(&catalog, "h"), Some(Item::Array(Origin::Named(0))));
    assert_eq!(lookup(&catalog, "i"), Some(Item::Array(Origin::Named(1))));
    assert_eq!(catalog.lookup(Path::new("b"), "i").ok(), None);
    // It takes the name of the file with that stem.
    assert_eq!(list(&catalog, ""), [("b".to_owned(), Item::Folder("b".into())), ("h.npy".to_owned(), array("h.npy"))]);
    assert_eq!(catalog.shown_path(&Origin::Named(1)), "i");
    assert_eq!(catalog.path_of(&Origin::Named(0)), Path::new("x.bin"));
    assert_eq!(catalog.describe(&Origin::Named(0)).unwrap().description.array.grid.shape(), [2]);
    assert_eq!(catalog.describe(&Origin::Named(1)).unwrap().description.array.grid.shape(), [4]);
}

#[test]
fn what_has_the_full_name_of_an_array_described_by_hand_is_not_shown_twice() {
    let folder = source(["a.npy", "a/", "x", "x.toml", ".afbfs", ".afbfs.toml"]);
    let catalog = with_arrays(folder.path(), &["name=a.npy,file=x,dtype=u1", "name=x,file=x,dtype=u1"]);
    assert_eq!(list(&catalog, ""), [("a".to_owned(), Item::Folder("a".into()))]);
}

#[test]
fn bad_descriptions_are_refused() {
    let folder = source(["x.bin", "b/"]);
    for (arrays, message) in [
        (&["dtype=u1,name=b"][..], "file= is missing"),
        (&["dtype=u1"], "file= is missing"),
        (&["name=a,file=y.bin,dtype=u1"], "y.bin"),
        (&["name=.afbfs,file=x.bin,dtype=u1"], "cannot be the name"),
        (&["name=b,file=x.bin,dtype=u1"], "name of a folder"),
        (&["name=a,file=x.bin,dtype=u1", "name=a,file=x.bin,dtype=u2"], "two arrays"),
    ] {
        refused(folder.path(), arrays, message);
    }
}
