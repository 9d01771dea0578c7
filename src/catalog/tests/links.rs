//! Links, and what is neither file nor folder.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::*;
use crate::catalog::Links;
use crate::catalog::Problem;

/// A folder `in` with `in/a.npy` and `in/d/b.npy`, and beside it `out.npy` and `out/c.npy`.
fn inside_and_outside() -> (TempDir, PathBuf) {
    let folder = source(["in/a.npy", "in/d/b.npy", "out.npy", "out/c.npy"]);
    let inside = folder.path().join("in");
    (folder, inside)
}

fn following(folder: &Path) -> Catalog {
    open_with(folder, Options { links: Links::Everywhere, ..Options::default() })
}

/// A link of the folder `in` to `target` shows an array, with and without `follow_links`.
#[track_caller]
fn check_link(target: impl AsRef<Path>, shown: bool, shown_when_followed: bool) {
    let (_keep, inside) = inside_and_outside();
    symlink(target, inside.join("link.npy")).unwrap();
    for (catalog, shown) in [(open(&inside), shown), (following(&inside), shown_when_followed)] {
        let names: Vec<String> = list(&catalog, "").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, if shown { &["a", "d", "link"][..] } else { &["a", "d"] });
        for name in ["link", "link.npy"] {
            assert_eq!(lookup(&catalog, name), shown.then(|| array("link.npy")), "{name}");
        }
        let described = catalog.describe(&file("link.npy"));
        assert_eq!(described.is_ok(), shown, "{described:?}");
    }
}

#[test]
fn links_inside_the_source_are_there() {
    check_link("a.npy", true, true);
    check_link("d/b.npy", true, true);
    check_link("d/../a.npy", true, true);
    // It leads out, and in again.
    check_link("../in/a.npy", true, true);
}

#[test]
fn absolute_links_inside_the_source_are_there() {
    let (_keep, inside) = inside_and_outside();
    symlink(inside.join("d/b.npy"), inside.join("link.npy")).unwrap();
    symlink(inside.join("link.npy"), inside.join("d/again.npy")).unwrap();
    let catalog = open(&inside);
    assert_eq!(lookup(&catalog, "link"), Some(array("link.npy")));
    assert_eq!(catalog.lookup(Path::new("d"), "again").ok(), Some(array("d/again.npy")));
    let real = catalog.describe(&file("d/b.npy")).unwrap().description.id;
    assert_eq!(catalog.describe(&file("link.npy")).unwrap().description.id, real);
    assert_eq!(catalog.describe(&file("d/again.npy")).unwrap().description.id, real);
}

#[test]
fn links_out_of_the_source_are_there_only_if_followed() {
    check_link("../out.npy", false, true);
    check_link("../out/c.npy", false, true);
    let outside = source(["x.npy"]);
    check_link(outside.path().join("x.npy"), false, true);
}

#[test]
fn a_name_that_begins_like_the_source_is_outside() {
    let folder = source(["in/a.npy", "inner.npy"]);
    let inside = folder.path().join("in");
    symlink(folder.path().join("inner.npy"), inside.join("link.npy")).unwrap();
    assert_eq!(lookup(&open(&inside), "link"), None);
}

#[test]
fn links_to_nothing_and_loops_are_not_there() {
    check_link("gone.npy", false, false);
    check_link("link.npy", false, false);
    check_link("../in/link.npy", false, false);
}

#[test]
fn links_to_folders_are_never_there() {
    check_link("d", false, false);
    check_link("../out", false, false);
    check_link(".", false, false);
    let (_keep, inside) = inside_and_outside();
    symlink("d", inside.join("e")).unwrap();
    for catalog in [open(&inside), following(&inside)] {
        assert_eq!(lookup(&catalog, "e"), None);
        assert_eq!(list(&catalog, "").len(), 2);
    }
}

#[test]
fn a_link_takes_no_stem_as_a_folder_would() {
    let (_keep, inside) = inside_and_outside();
    symlink("d", inside.join("a")).unwrap();
    assert_eq!(lookup(&open(&inside), "a"), Some(array("a.npy")));
}

#[test]
fn a_source_that_is_a_link_is_what_it_leads_to() {
    let (keep, inside) = inside_and_outside();
    symlink(&inside, keep.path().join("to-folder")).unwrap();
    symlink(inside.join("a.npy"), keep.path().join("to-file")).unwrap();
    assert_eq!(list(&open(&keep.path().join("to-folder")), ""), list(&open(&inside), ""));
    assert_eq!(list(&open(&keep.path().join("to-file")), ""), [("a".to_owned(), array("a.npy"))]);
}

#[test]
fn pipes_and_sockets_are_not_shown() {
    let folder = source(["b.bin.toml", "b.bin.toml.toml"]);
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("a.npy"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _listener = UnixListener::bind(folder.path().join("b.bin")).unwrap();
    symlink("a.npy", folder.path().join("c.npy")).unwrap();
    let catalog = open(folder.path());
    assert_eq!(list(&catalog, ""), [("b.bin".to_owned(), array("b.bin.toml"))]);
    for name in ["a", "a.npy", "b", "c", "c.npy"] {
        assert_eq!(lookup(&catalog, name), None, "{name}");
    }
    // Whoever names one all the same is not made to wait for a writer.
    assert_eq!(catalog.describe(&file("a.npy")).unwrap_err(), Problem::Errno(Errno::NOENT));
    assert!(Catalog::open(&folder.path().join("a.npy"), Options::default(), store()).is_err());
}

#[test]
fn a_path_does_not_lead_out_of_the_source() {
    let (_keep, inside) = inside_and_outside();
    let catalog = open(&inside);
    symlink("../out", inside.join("e")).unwrap();
    for path in ["../out.npy", "d/../../out.npy", "/etc/passwd", "e/c.npy"] {
        assert_eq!(catalog.stat(&file(path)).unwrap_err(), Errno::NOENT, "{path}");
        assert!(catalog.describe(&file(path)).is_err(), "{path}");
    }
    assert!(catalog.stat(&file("d/../a.npy")).is_ok());
}

#[test]
fn where_others_are_let_in_no_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("private")).unwrap();
    std::fs::write(folder.path().join("private/a.npy"), npy(4)).unwrap();
    std::os::unix::fs::symlink("private/a.npy", folder.path().join("b.npy")).unwrap();
    let catalog = open_with(folder.path(), Options { links: Links::Never, ..Options::default() });
    assert_eq!(catalog.lookup(Path::new(""), "b").ok(), None);
    assert!(catalog.lookup(Path::new("private"), "a").ok().is_some());
    assert!(catalog.describe(&Origin::File("b.npy".into())).is_err());
}

#[test]
fn a_sidecar_is_never_a_link() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.bin"), [0; 4]).unwrap();
    std::fs::write(folder.path().join("secret"), "dtype = 'u1'\nshape = [4]").unwrap();
    std::os::unix::fs::symlink("secret", folder.path().join("x.bin.toml")).unwrap();
    let catalog = open_with(folder.path(), Options::default());
    assert_eq!(catalog.lookup(Path::new(""), "x").ok(), None);
}
