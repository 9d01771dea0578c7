use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::{Catalog, Item, Options, Origin};
use crate::format::raw::Spec;
use crate::store::{Limits, Store};

mod changes;
mod links;
mod named;
mod properties;

/// What `x.bin.toml` says in these tests.
const SIDECAR: &str = "dtype = 'u1'\nshape = [4]\n";

/// A .npy file of `u1`, one axis of `length`.
fn npy(length: usize) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({length},), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:117}\n").into_bytes());
    bytes.extend((0..length).map(|i| i as u8));
    bytes
}

/// A source folder. Names that end in `/` become folders, `.npy` files and sidecars are well-formed.
fn source<'a, N: AsRef<[u8]> + 'a + ?Sized>(names: impl IntoIterator<Item = &'a N>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        add(folder.path(), name.as_ref());
    }
    folder
}

fn add(folder: &Path, name: &[u8]) {
    let path = folder.join(OsStr::from_bytes(name));
    let content = match name {
        [.., b'/'] => return fs::create_dir_all(path).unwrap(),
        _ if name.ends_with(b".npy") => npy(4),
        _ if name.ends_with(b".toml") => SIDECAR.into(),
        _ => b"abcd".to_vec(),
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn open_with(folder: &Path, options: Options) -> Catalog {
    Catalog::open(folder, options, Store::new(Limits::default())).unwrap()
}

fn open(folder: &Path) -> Catalog {
    open_with(folder, Options::default())
}

fn list(catalog: &Catalog, folder: &str) -> Vec<(String, Item)> {
    let listing = catalog.list(Path::new(folder)).unwrap();
    let mut found = Vec::new();
    catalog
        .entries(&listing, 0, &mut |entry| {
            found.push((entry.name, entry.item));
            true
        })
        .unwrap();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn file(name: impl AsRef<[u8]>) -> Origin {
    Origin::File(PathBuf::from(OsStr::from_bytes(name.as_ref())))
}

fn array(name: impl AsRef<[u8]>) -> Item {
    Item::Array(file(name))
}

fn lookup(catalog: &Catalog, name: &str) -> Option<Item> {
    catalog.lookup(Path::new(""), name).ok()
}

/// The source `names` is listed as `listed`: for each name, the file or folder that it shows.
#[track_caller]
fn check<N: AsRef<[u8]> + ?Sized>(names: &[&N], listed: &[(&str, &N)]) {
    let folder = source(names.iter().copied());
    let catalog = open(folder.path());
    let mut expected: Vec<(String, Item)> = listed
        .iter()
        .map(|(name, item)| match item.as_ref() {
            [path @ .., b'/'] => ((*name).to_owned(), Item::Folder(PathBuf::from(OsStr::from_bytes(path)))),
            path => ((*name).to_owned(), array(path)),
        })
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(list(&catalog, ""), expected);
    for (name, item) in expected {
        assert_eq!(lookup(&catalog, &name), Some(item), "{name}");
    }
}

#[test]
fn an_array_has_its_stem_as_its_name() {
    check(&["a.npy"], &[("a", "a.npy")]);
    check(&["x_2x2_u1.raw"], &[("x_2x2_u1", "x_2x2_u1.raw")]);
    check(&["a.b.npy"], &[("a.b", "a.b.npy")]);
    check(&["a.NPY"], &[("a", "a.NPY")]);
    check(&["a.npy.npy"], &[("a.npy", "a.npy.npy")]);
    check(&["b.bin", "b.bin.toml"], &[("b", "b.bin")]);
}

#[test]
fn what_is_no_array_is_not_shown() {
    check(&["a.txt", "npy", "a.bin", "b.toml", "x_2_u1.raw", "a.npy~"], &[]);
    // Its sidecar is a folder.
    check(&["a.bin", "a.bin.toml/"], &[("a.bin.toml", "a.bin.toml/")]);
}

#[test]
fn the_full_name_works_and_is_not_listed() {
    let folder = source(["a.npy", "b.bin", "b.bin.toml", "c/d.npy"]);
    let catalog = open(folder.path());
    for (name, expected) in [("a.npy", Some(array("a.npy"))), ("b.bin", Some(array("b.bin"))), ("c.npy", None)] {
        assert_eq!(lookup(&catalog, name), expected, "{name}");
    }
    for (name, expected) in [("d", Some(array("c/d.npy"))), ("d.npy", Some(array("c/d.npy"))), ("a", None)] {
        assert_eq!(catalog.lookup(Path::new("c"), name).ok(), expected, "{name}");
    }
    for name in ["", ".", "..", "c/d", "../c", "a\0", "%61", "b.bin.toml", "b.", "a.npy/"] {
        assert_eq!(lookup(&catalog, name), None, "{name}");
    }
}

#[test]
fn a_real_folder_wins_over_a_stem() {
    check(&["a.npy", "a/"], &[("a", "a/"), ("a.npy", "a.npy")]);
    check(&["a.npy/", "a.npy.npy"], &[("a.npy", "a.npy/"), ("a.npy.npy", "a.npy.npy")]);
    check(&["b/", "b.bin", "b.bin.toml"], &[("b", "b/"), ("b.bin", "b.bin")]);
}

#[test]
fn an_array_file_of_just_that_name_wins_over_a_stem() {
    check(&["a.npy", "a", "a.toml"], &[("a", "a"), ("a.npy", "a.npy")]);
    check(&["a.npy", "a.npy.npy"], &[("a", "a.npy"), ("a.npy.npy", "a.npy.npy")]);
    // A file that is no array takes no name.
    check(&["a.npy", "a"], &[("a", "a.npy")]);
}

#[test]
fn npy_comes_before_raw() {
    check(&["a.raw", "a.raw.toml", "a.npy"], &[("a", "a.npy"), ("a.raw", "a.raw")]);
    check(&["x_2x2_u1.raw", "x_2x2_u1.npy"], &[("x_2x2_u1", "x_2x2_u1.npy"), ("x_2x2_u1.raw", "x_2x2_u1.raw")]);
}

#[test]
fn of_two_raw_files_the_first_in_byte_order_has_the_stem() {
    check(&["a.raw", "a.raw.toml", "a.bin", "a.bin.toml"], &[("a", "a.bin"), ("a.raw", "a.raw")]);
    check(&["a.vol", "a.vol.toml", "a.zzz", "a.zzz.toml"], &[("a", "a.vol"), ("a.zzz", "a.zzz")]);
    check(&["a.vol", "a.vol.toml", "a.aaa", "a.aaa.toml"], &[("a", "a.aaa"), ("a.vol", "a.vol")]);
    check(&["x_2x2_u1.dat", "x_2x2_u1.bin"], &[("x_2x2_u1", "x_2x2_u1.bin"), ("x_2x2_u1.dat", "x_2x2_u1.dat")]);
}

#[test]
fn a_sidecar_describes_a_file_of_any_name() {
    check(&["a.weird", "a.weird.toml"], &[("a", "a.weird")]);
    check(&["a", "a.toml"], &[("a", "a")]);
    check(&[".hidden", ".hidden.toml"], &[(".hidden", ".hidden")]);
    check(&["a.b.c", "a.b.c.toml"], &[("a.b", "a.b.c")]);
    // A sidecar may itself be described.
    check(&["a.bin", "a.bin.toml", "a.bin.toml.toml"], &[("a", "a.bin"), ("a.bin.toml", "a.bin.toml")]);
}

/// Once a folder has settled, its names are asked for and not tried; what they lead to is the same.
#[test]
fn stems_are_found_by_the_names_of_a_folder_and_without_them() {
    let names = [
        "a.wav",
        "A.NII",
        "b.foo",
        "b.foo.toml",
        "bc.bar",
        "bc.bar.toml",
        "c.nii.gz",
        "d-idx1-ubyte",
        "e.raw",
        "e.raw.toml",
    ];
    let found = |catalog: &Catalog| ["a", "A", "b", "bc", "c", "d", "e", "x"].map(|name| lookup(catalog, name));
    let folder = source(names);
    let fresh = found(&open(folder.path()));
    let catalog = open(folder.path());
    while catalog.settled_folder(Path::new("")).is_none() {
        std::thread::yield_now();
    }
    assert_eq!(found(&catalog), fresh);
    assert_eq!(fresh.iter().flatten().count(), 7);
    // What comes and goes is noticed.
    add(folder.path(), b"x.odd");
    add(folder.path(), b"x.odd.toml");
    assert_eq!(lookup(&catalog, "x"), Some(array("x.odd")));
    fs::remove_file(folder.path().join("a.wav")).unwrap();
    fs::rename(folder.path().join("c.nii.gz"), folder.path().join("a.vtk")).unwrap();
    assert_eq!(lookup(&catalog, "a"), Some(array("a.vtk")));
    assert_eq!(lookup(&catalog, "c"), None);
}

#[test]
fn stems_that_cannot_be_names_are_not_used() {
    check(&["..npy"], &[("..npy", "..npy")]);
    check(&["...npy"], &[("...npy", "...npy")]);
    check(&[".npy"], &[(".npy", ".npy")]);
    check(&[".npy", ".npy.npy"], &[(".npy", ".npy"), (".npy.npy", ".npy.npy")]);
    check(&["..x", "..x.toml"], &[("..x", "..x")]);
    check(&[".afbfs.npy", ".afbfs/"], &[(".afbfs.npy", ".afbfs.npy")]);
    // Only at the root is `.afbfs` taken.
    let folder = source(["b/.afbfs.npy"]);
    assert_eq!(list(&open(folder.path()), "b"), [(".afbfs".to_owned(), array("b/.afbfs.npy"))]);
}

#[test]
fn names_that_are_not_utf_8_are_escaped() {
    check::<[u8]>(&[b"\xff.npy"], &[("%FF", b"\xff.npy")]);
    check::<[u8]>(&[b"\xff.npy", b"\xff/"], &[("%FF", b"\xff/"), ("%FF.npy", b"\xff.npy")]);
    check::<[u8]>(&[b"\xc3.weird", b"\xc3.weird.toml"], &[("%C3", b"\xc3.weird")]);
    check::<[u8]>(&["é.npy".as_bytes()], &[("é", "é.npy".as_bytes())]);
}

#[test]
fn names_that_look_escaped_are_escaped() {
    check(&["%41.npy", "A.npy"], &[("%2541", "%41.npy"), ("A", "A.npy")]);
    check(&["100%.npy"], &[("100%", "100%.npy")]);
    check(&["%2E/", "%2E.npy"], &[("%252E", "%2E/"), ("%252E.npy", "%2E.npy")]);
    check(&["%FF.weird", "%FF.weird.toml"], &[("%25FF", "%FF.weird")]);
    let folder = source(["A.npy", "B/"]);
    assert_eq!(lookup(&open(folder.path()), "%41"), None);
    assert_eq!(lookup(&open(folder.path()), "%42"), None);
}

#[test]
fn a_listing_goes_on_where_it_stopped() {
    let names: Vec<String> = (0..400).map(|i| format!("a{i}.npy")).chain((0..20).map(|i| format!("f{i}/"))).collect();
    let folder = source(names.iter().map(String::as_str));
    let catalog = open(folder.path());
    let listing = catalog.list(Path::new("")).unwrap();
    for piece in [1, 7, 1000] {
        let (mut found, mut position) = (Vec::new(), 0);
        loop {
            let before = found.len();
            catalog
                .entries(&listing, position, &mut |entry| {
                    position = entry.next;
                    found.push((entry.name, entry.item));
                    found.len() < before + piece
                })
                .unwrap();
            if found.len() == before {
                break;
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, list(&catalog, ""));
        assert_eq!(found.len(), 420);
    }
}

#[test]
fn walking_finds_every_array_under_the_path_that_shows_it() {
    let folder = source(["b/a.npy", "b/c/a.npy", "b/c/a.raw", "b/c/a.raw.toml", "a.npy", "x.txt", "b/c/x.txt"]);
    let catalog = open(folder.path());
    let mut found = Vec::new();
    catalog.walk(&mut |path, origin| found.push((path, origin)));
    let expected = [("a", "a.npy"), ("b/a", "b/a.npy"), ("b/c/a", "b/c/a.npy"), ("b/c/a.raw", "b/c/a.raw")];
    assert_eq!(found, expected.map(|(path, real)| (path.to_owned(), file(real))));
}

fn spec(text: &str) -> Spec {
    Spec::parse(text).unwrap()
}

fn store() -> Arc<Store> {
    Store::new(Limits::default())
}
