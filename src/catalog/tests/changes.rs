//! Descriptions are remembered, and made anew when what they were made from has changed.

use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use super::*;
use crate::catalog::{Described, Problem, Validity};

/// A source with one file, and what it was when it was opened.
struct Fixture {
    folder: TempDir,
    catalog: Catalog,
    name: &'static str,
}

fn fixture(name: &'static str, names: &[&str]) -> Fixture {
    let folder = source(names.iter().copied());
    let catalog = open(folder.path());
    Fixture { folder, catalog, name }
}

impl Fixture {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn describe(&self) -> Described {
        self.catalog.describe(&file(self.name)).unwrap()
    }

    fn shape(&self) -> Vec<u64> {
        self.describe().description.array.grid.shape().to_vec()
    }

    fn refusal(&self) -> String {
        match self.catalog.describe(&file(self.name)) {
            Err(Problem::Refused(reason)) => reason.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Writes a file in place. Its time moves, however fast the test is.
    fn rewrite(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
        self.age(name);
    }

    fn age(&self, name: &str) {
        // Times of the past, each another: the clock's own ticks may be too coarse.
        static AGE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let age = Duration::from_secs(AGE.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let file = fs::File::options().append(true).open(self.path(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + age).unwrap();
    }

    /// How many headers are read for this.
    fn headers(&self, act: impl FnOnce(&Fixture)) -> u64 {
        let before = self.catalog.headers_read();
        act(self);
        self.catalog.headers_read() - before
    }
}

fn same(a: &Described, b: &Described) -> bool {
    Arc::ptr_eq(&a.description, &b.description) && Arc::ptr_eq(&a.file, &b.file)
}

#[test]
fn what_has_not_changed_is_described_once() {
    let a = fixture("a.npy", &["a.npy"]);
    let first = a.describe();
    assert_eq!(a.catalog.headers_read(), 1);
    assert!((0..100).all(|_| same(&a.describe(), &first)));
    assert_eq!(a.catalog.headers_read(), 1);
    // Listing and looking up open nothing.
    assert_eq!(a.headers(|a| assert_eq!(list(&a.catalog, "").len(), 1)), 0);
    assert_eq!(fixture("a.npy", &["a.npy"]).catalog.headers_read(), 0);
}

#[test]
fn a_refusal_is_remembered_too() {
    let a = fixture("a.npy", &["a.npy"]);
    a.rewrite("a.npy", "no header");
    assert_eq!(a.headers(|a| assert!(a.refusal().contains("magic"))), 1);
    assert_eq!(a.headers(|a| assert!(a.refusal().contains("magic"))), 0);
    a.rewrite("a.npy", npy(3));
    assert_eq!(a.shape(), [3]);
}

#[test]
fn new_elements_below_the_old_header_are_the_same_array() {
    let a = fixture("a.npy", &["a.npy"]);
    let first = a.describe();
    let file = fs::OpenOptions::new().write(true).open(a.path("a.npy")).unwrap();
    file.write_all_at(b"zz", 128).unwrap();
    a.age("a.npy");
    assert_eq!(a.headers(|a| assert!(same(&a.describe(), &first))), 0);
    // The attributes are those of now.
    assert_ne!(a.describe().stat.st_mtime, first.stat.st_mtime);
}

#[test]
fn a_rewritten_header_is_noticed() {
    let a = fixture("a.npy", &["a.npy"]);
    let first = a.describe();
    // Of the same length and in the same file.
    let content = String::from_utf8_lossy(&npy(4)[10..]).replace("'|u1'", "'|i1'");
    a.rewrite("a.npy", [&npy(4)[..10], content.as_bytes()].concat());
    let second = a.describe();
    assert_eq!(second.description.id, first.description.id);
    assert_eq!(second.description.array.dtype.to_string(), "|i1");
}

#[test]
fn a_replaced_file_is_noticed() {
    let a = fixture("a.npy", &["a.npy"]);
    let first = a.describe();
    let times = fs::metadata(a.path("a.npy")).unwrap().modified().unwrap();
    // The same length, bytes and times.
    fs::write(a.path("new"), npy(4)).unwrap();
    fs::File::options().append(true).open(a.path("new")).unwrap().set_modified(times).unwrap();
    fs::rename(a.path("new"), a.path("a.npy")).unwrap();
    let second = a.describe();
    assert_ne!(second.description.id, first.description.id);
    assert_eq!(second.description.id, second.file.id());
    assert_eq!(second.description.id.inode, second.stat.st_ino);
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    let a = fixture("a.npy", &["a.npy"]);
    a.describe();
    fs::remove_file(a.path("a.npy")).unwrap();
    assert_eq!(a.catalog.describe(&file("a.npy")).unwrap_err(), Problem::Errno(Errno::NOENT));
}

#[test]
fn growth_is_noticed() {
    let a = fixture("a.npy", &["a.npy"]);
    assert_eq!(a.shape(), [4]);
    a.rewrite("a.npy", npy(6));
    assert_eq!(a.shape(), [6]);

    let b = fixture("b.bin", &["b.bin", "b.bin.toml"]);
    b.rewrite("b.bin.toml", "dtype = 'u1'\nshape = '?'");
    assert_eq!(b.shape(), [4]);
    b.rewrite("b.bin", "123456789");
    assert_eq!(b.shape(), [9]);
    b.rewrite("b.bin", "1");
    assert_eq!(b.shape(), [1]);
}

#[test]
fn a_changed_sidecar_is_noticed() {
    let b = fixture("b.bin", &["b.bin", "b.bin.toml"]);
    assert_eq!(b.shape(), [4]);
    let first = b.describe();
    b.rewrite("b.bin.toml", "dtype = 'u1'\nshape = [2, 2]\n");
    assert_eq!(b.shape(), [2, 2]);
    b.rewrite("b.bin.toml", "dtype = 'u1'\nshape = [5]\n");
    assert!(b.refusal().contains("holds only 4"), "{}", b.refusal());
    b.rewrite("b.bin.toml", SIDECAR);
    assert_eq!(b.shape(), [4]);
    // One that says the same as before is no change of the array.
    let before = b.describe();
    b.age("b.bin.toml");
    assert_eq!(b.headers(|b| assert!(same(&b.describe(), &before))), 0);
    assert_eq!(before.description.array, first.description.array);
}

#[test]
fn a_sidecar_that_comes_or_goes_is_noticed() {
    let x = fixture("x_2x2_u1.raw", &["x_2x2_u1.raw"]);
    assert_eq!(x.shape(), [2, 2]);
    x.rewrite("x_2x2_u1.raw.toml", "dtype = 'u2'\nshape = [2]");
    assert_eq!(x.shape(), [2]);
    fs::remove_file(x.path("x_2x2_u1.raw.toml")).unwrap();
    assert_eq!(x.shape(), [2, 2]);
}

#[test]
fn a_sidecar_with_another_extension_gives_and_takes_a_name() {
    let folder = source(["a.zz"]);
    let catalog = open(folder.path());
    for _ in 0..20 {
        assert_eq!(lookup(&catalog, "a"), None);
        add(folder.path(), b"a.zz.toml");
        assert_eq!(lookup(&catalog, "a"), Some(array("a.zz")));
        fs::remove_file(folder.path().join("a.zz.toml")).unwrap();
    }
}

#[test]
fn the_names_of_a_folder_that_has_long_been_still_are_read_again_once_it_changes() {
    let folder = source(["a.zz", "b.zz"]);
    let catalog = open(folder.path());
    for (name, sidecar) in [("a", "a.zz.toml"), ("b", "b.zz.toml")] {
        assert_eq!(lookup(&catalog, name), None);
        // Long enough for the scan to be relied upon.
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(80) {
            assert_eq!(lookup(&catalog, name), None);
        }
        add(folder.path(), sidecar.as_bytes());
        assert_eq!(lookup(&catalog, name), Some(array(format!("{name}.zz"))));
    }
}

/// Checks before a write what becomes of an array file while a handle has it open.
#[track_caller]
fn check_write(names: &[&str], change: impl FnOnce(&Fixture), expected: Result<(), Errno>) {
    let name = if names[0] == "a.npy" { "a.npy" } else { "b.bin" };
    let a = fixture(name, names);
    let Described { description, file, .. } = a.describe();
    let validity = Validity::default();
    let check = || a.catalog.revalidate(&description, &file, &validity);
    assert_eq!(check(), Ok(()));
    change(&a);
    assert_eq!(check(), expected);
    // A failure is no answer to remember, and a success is one for what follows.
    assert_eq!(check(), expected);
}

#[test]
fn writing_goes_on_while_the_layout_is_the_same() {
    const NPY: &[&str] = &["a.npy"];
    check_write(NPY, |_| {}, Ok(()));
    check_write(NPY, |a| a.age("a.npy"), Ok(()));
    check_write(NPY, |a| a.rewrite("a.npy", [&npy(4)[..128], b"wxyz"].concat()), Ok(()));
    // Rows appended, with the header saying so or not yet.
    check_write(NPY, |a| a.rewrite("a.npy", npy(9)), Ok(()));
    check_write(NPY, |a| a.rewrite("a.npy", [&npy(4)[..], b"wxyz"].concat()), Ok(()));
    // Who has the old file open, goes on with it.
    check_write(NPY, |a| fs::remove_file(a.path("a.npy")).unwrap(), Ok(()));
}

#[test]
fn writing_is_stale_once_the_layout_is_another() {
    const NPY: &[&str] = &["a.npy"];
    check_write(NPY, |a| a.rewrite("a.npy", npy(3)), Err(Errno::STALE));
    check_write(NPY, |a| a.rewrite("a.npy", "no header"), Err(Errno::STALE));
    check_write(NPY, |a| a.rewrite("a.npy", ""), Err(Errno::STALE));
    let retyped = |a: &Fixture| {
        let text = String::from_utf8_lossy(&npy(4)[10..]).replace("'|u1'", "'|i1'");
        a.rewrite("a.npy", [&npy(4)[..10], text.as_bytes()].concat());
    };
    check_write(NPY, retyped, Err(Errno::STALE));
    let moved = |a: &Fixture| {
        let header = [&npy(4)[..8], b"\xb6\x00", &npy(4)[10..127], &[b' '; 64], b"\nwxyz"].concat();
        a.rewrite("a.npy", header);
    };
    check_write(NPY, moved, Err(Errno::STALE));
    // The header is whole: elements that are gone are the store's to refuse, byte by byte.
    check_write(NPY, |a| a.rewrite("a.npy", &npy(4)[..130]), Ok(()));
}

#[test]
fn writing_heeds_the_sidecar() {
    const RAW: &[&str] = &["b.bin", "b.bin.toml"];
    check_write(RAW, |b| b.age("b.bin.toml"), Ok(()));
    check_write(RAW, |b| b.rewrite("b.bin", "longer"), Ok(()));
    check_write(RAW, |b| b.rewrite("b.bin", "abc"), Ok(()));
    check_write(RAW, |b| b.rewrite("b.bin.toml", "dtype = 'u1'\nshape = [2, 2]"), Err(Errno::STALE));
    check_write(RAW, |b| b.rewrite("b.bin.toml", "dtype = 'u1'\nshape = [3]"), Err(Errno::STALE));
    check_write(RAW, |b| b.rewrite("b.bin.toml", "dtype = 'i1'\nshape = [4]"), Err(Errno::STALE));
    check_write(RAW, |b| fs::remove_file(b.path("b.bin.toml")).unwrap(), Err(Errno::STALE));
    let grown = |b: &Fixture| {
        b.rewrite("b.bin", "longer");
        b.rewrite("b.bin.toml", "dtype = 'u1'\nshape = [6]");
    };
    check_write(RAW, grown, Ok(()));
}

#[test]
fn only_so_many_files_stay_open() {
    let names: Vec<String> = (0..2000).map(|i| format!("a{i}.npy")).collect();
    let folder = source(names.iter().map(String::as_str));
    let root = folder.path().canonicalize().unwrap();
    let catalog = open(folder.path());
    // Other tests open files meanwhile: those below this folder count.
    let below = |place: PathBuf| fs::read_link(place).is_ok_and(|path| path.starts_with(&root));
    let open_files =
        || fs::read_dir("/proc/self/fd").unwrap().filter(|entry| below(entry.as_ref().unwrap().path())).count();
    let mut most = 0;
    for (at, name) in names.iter().enumerate() {
        catalog.describe(&file(name)).unwrap();
        if at % 100 == 0 {
            most = most.max(open_files());
        }
    }
    assert!(most.max(open_files()) <= 300, "{most}");
    assert!(catalog.remembered_files().len() > 100);
    // What was used last is still known, what was used long ago is not.
    let before = catalog.headers_read();
    catalog.describe(&file("a1999.npy")).unwrap();
    assert_eq!(catalog.headers_read(), before);
    catalog.describe(&file("a0.npy")).unwrap();
    assert_eq!(catalog.headers_read(), before + 1);
}

#[test]
fn what_is_used_all_the_time_stays_open() {
    let names: Vec<String> = (0..600).map(|i| format!("a{i}.npy")).collect();
    let folder = source(names.iter().map(String::as_str));
    let catalog = open(folder.path());
    for name in &names {
        catalog.describe(&file(name)).unwrap();
        catalog.describe(&file("a0.npy")).unwrap();
    }
    assert_eq!(catalog.headers_read(), 600);
}
