//! Pages that the kernel caches are named to it when a write elsewhere makes them stale.

use super::*;
use crate::fs::{Access, Source, Written};

const WRITE: Access = Access { write: true, sync: false };
const NONE: [u64; 0] = [];

fn open(fs: &Fs, path: &str) -> (u64, u64) {
    let inode = inode(fs, path);
    (inode, fs.open(inode, WRITE).unwrap().handle)
}

fn fill(fs: &Fs, handle: u64) {
    fs.read(handle, 0, 4096, Source::PageCache, |_| ()).unwrap();
}

fn inodes(written: &Written) -> Vec<u64> {
    let mut inodes: Vec<u64> = written.cached.iter().map(|cached| cached.inode).collect();
    inodes.sort_unstable();
    inodes
}

/// Writes a byte, as the adapter does it, and gives the inodes whose pages are dropped for it.
fn write(fs: &Fs, handle: u64, source: Source) -> Vec<u64> {
    let mut written = fs.write(handle, 0, b"x", source).unwrap();
    let found = inodes(&written);
    fs.dropped(&written.cached);
    if written.is_put_off() {
        written = fs.write(handle, 0, b"x", source).unwrap();
    }
    assert_eq!(written.count, 1);
    found
}

/// After the kernel has cached `cached`, a write through `written` makes it stale, once, or not at all.
#[track_caller]
fn check(cached: &str, written: &str, expected: bool) {
    let (_folder, fs) = serve(&[("a", &[8, 5]), ("b", &[8, 5])]);
    let ((inode, cached), (_, written)) = (open(&fs, cached), open(&fs, written));
    assert_eq!(write(&fs, written, Source::Direct), NONE);
    fill(&fs, cached);
    assert_eq!(write(&fs, written, Source::Direct), if expected { vec![inode] } else { Vec::new() });
    assert_eq!(write(&fs, written, Source::Direct), NONE);
    // Cached again, it is stale again.
    fill(&fs, cached);
    fill(&fs, cached);
    assert_eq!(write(&fs, written, Source::PageCache).len(), usize::from(expected));
    assert_eq!(write(&fs, written, Source::PageCache), NONE);
}

#[test]
fn a_write_to_the_same_bytes_is_told() {
    check("a/row/2", "a/data", true);
    check("a/data", "a/row/2", true);
    check("a/row/2", "a/slice/1:4,::2", true);
    check("a/col/1", "a/T/data", true);
    check("a/range/3:9", "a/row/1", true);
    check("a/range/3:5", "a/row/0", true);
}

#[test]
fn a_write_to_other_bytes_is_not() {
    check("a/row/2", "a/row/3", false);
    check("a/row/2", "a/row/1", false);
    check("a/slice/:1", "a/slice/1:", false);
    check("a/data", "b/data", false);
}

#[test]
fn reads_that_pass_the_cache_leave_no_mark() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let ((_, row), (_, data)) = (open(&fs, "a/row/2"), open(&fs, "a/data"));
    fs.read(row, 0, 5, Source::Direct, |_| ()).unwrap();
    assert_eq!(write(&fs, data, Source::Direct), NONE);
}

#[test]
fn all_that_overlap_are_told_and_the_others_keep_their_marks() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let views = ["a/row/2", "a/col/0", "a/row/3", "a/data"].map(|path| open(&fs, path));
    views.iter().for_each(|&(_, handle)| fill(&fs, handle));
    let mut expected = vec![views[0].0, views[1].0, views[3].0];
    expected.sort_unstable();
    assert_eq!(write(&fs, open(&fs, "a/slice/2,:3").1, Source::Direct), expected);
    assert_eq!(write(&fs, open(&fs, "a/slice/3,:3").1, Source::Direct), [views[2].0]);
}

#[test]
fn a_program_that_writes_past_the_cache_makes_its_own_file_stale() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let (inode, row) = open(&fs, "a/row/2");
    fill(&fs, row);
    assert_eq!(write(&fs, row, Source::Direct), [inode]);
}

#[test]
fn pages_written_back_are_not_stale_and_stay_cached() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let ((inode, row), (_, data)) = (open(&fs, "a/row/2"), open(&fs, "a/data"));
    fill(&fs, row);
    assert_eq!(write(&fs, row, Source::PageCache), NONE);
    // The kernel still has them: whoever writes to them next must say so.
    assert_eq!(write(&fs, data, Source::Direct), [inode]);
    assert_eq!(write(&fs, data, Source::Direct), NONE);
}

#[test]
fn what_the_kernel_forgot_is_not_told() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let ((inode, row), (_, data)) = (open(&fs, "a/row/2"), open(&fs, "a/data"));
    fill(&fs, row);
    fs.release(row);
    fs.forget(inode, 1);
    assert_eq!(write(&fs, data, Source::Direct), NONE);
}

#[test]
fn copying_tells_too() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    let ((inode, row), (_, to), (_, from)) = (open(&fs, "a/row/2"), open(&fs, "a/data"), open(&fs, "a/T/data"));
    fill(&fs, row);
    let put_off = fs.copy((from, 0), (to, 0), 40, Source::Direct).unwrap();
    assert!(put_off.is_put_off());
    assert_eq!(inodes(&put_off), [inode]);
    fs.dropped(&put_off.cached);
    let written = fs.copy((from, 0), (to, 0), 40, Source::Direct).unwrap();
    assert_eq!((written.count, inodes(&written)), (40, vec![]));
}

#[test]
fn a_write_that_is_put_off_changes_nothing_until_the_pages_of_every_fill_are_gone() {
    let (folder, fs) = serve(&[("a", &[8, 5])]);
    let before = std::fs::read(folder.path().join("a.npy")).unwrap();
    let ((inode, row), (_, data)) = (open(&fs, "a/row/2"), open(&fs, "a/data"));
    fill(&fs, row);
    let first = fs.write(data, 0, b"x", Source::Direct).unwrap();
    assert!(first.is_put_off());
    // Filled again while the pages were dropped: the mark stays.
    fill(&fs, row);
    fs.dropped(&first.cached);
    let second = fs.write(data, 0, b"x", Source::Direct).unwrap();
    assert!(second.is_put_off());
    assert_eq!(inodes(&second), [inode]);
    assert!(std::fs::read(folder.path().join("a.npy")).unwrap() == before);
    // At last it is written all the same, and the pages are to be dropped afterwards.
    let third = fs.write(data, 0, b"x", Source::Insistent).unwrap();
    assert_eq!((third.count, inodes(&third)), (1, vec![inode]));
}
