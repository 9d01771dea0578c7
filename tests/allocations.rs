//! Reading and writing in the steady state allocate nothing, and no request costs memory in proportion to the array.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use afbfs::catalog::{Catalog, Options};
use afbfs::fs::{Access, Fs, Op, ROOT, Settings, Source};
use afbfs::store::{Limits, Store};
use allocation_counter::measure;

/// A sparse array of float64.
fn save(folder: &Path, name: &str, rows: u64, columns: u64) {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:117}\n").into_bytes());
    assert_eq!(bytes.len(), 128);
    let path = folder.join(format!("{name}.npy"));
    fs::write(&path, &bytes).unwrap();
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(128 + rows * columns * 8).unwrap();
}

fn serve(folder: &Path) -> Fs {
    let catalog = Catalog::open(folder, Options::default(), Store::new(Limits::default())).unwrap();
    Fs::new(Arc::new(catalog), Settings::default())
}

fn lookup(fs: &Fs, path: &str) -> u64 {
    path.split('/').fold(ROOT, |inode, name| fs.lookup(inode, OsStr::new(name)).unwrap().inode)
}

#[test]
fn reading_and_writing_allocate_nothing_in_the_steady_state() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "a", 500, 500);
    let fs = serve(folder.path());
    for path in ["a/data", "a/row/7", "a/col/7", "a/slice/::3,::-5", "a/T/data", "a/range/::7"] {
        let handle = fs.open(lookup(&fs, path), Access { write: true, sync: false }).unwrap().handle;
        let mut data = vec![1; 2000];
        let mut request = |times: u64| {
            for i in 0..times {
                let offset = i * 16;
                // As the adapter does: counting and timing cost no memory, either.
                let begun = fs.begin(Op::Read);
                let count = fs.read(handle, offset, data.len(), Source::Direct, <[u8]>::len).unwrap();
                fs.end(begun);
                data[0] = i as u8;
                let begun = fs.begin(Op::Write);
                assert_eq!(fs.write(handle, offset, &data[..count], Source::Direct).unwrap().count, count);
                fs.end(begun);
            }
        };
        request(20);
        let cost = measure(|| request(100));
        assert_eq!(cost.count_total, 0, "{path}: {cost:?}");
    }
}

#[test]
fn no_request_costs_memory_in_proportion_to_the_array() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "small", 16, 16);
    save(folder.path(), "large", 1 << 20, 1 << 17);
    let fs = serve(folder.path());
    let cost = |array: &str| {
        let open = |view: &str| {
            let inode = lookup(&fs, &format!("{array}/{view}"));
            let handle = fs.open(inode, Access::default()).unwrap().handle;
            fs.read(handle, 0, 100, Source::Direct, <[u8]>::len).unwrap();
            fs.release(handle);
        };
        let views = ["data", "row/3", "col/3", "slice/::-1,::5", "range/5:", "T/data", "T/row/-1"];
        views.iter().for_each(|view| open(view));
        let opened = measure(|| views.iter().for_each(|view| open(view)));
        let listed = measure(|| {
            let row = lookup(&fs, &format!("{array}/row"));
            let handle = fs.opendir(row).unwrap();
            let mut names = 0;
            fs.readdir(handle, 0, &mut |_| {
                names += 1;
                names < 10
            })
            .unwrap();
            fs.releasedir(handle);
        });
        (opened, listed)
    };
    let ((small_open, small_list), (large_open, large_list)) = (cost("small"), cost("large"));
    // The text of a longer number may take some bytes more.
    assert!(large_open.bytes_total <= small_open.bytes_total + 1024, "{small_open:?} {large_open:?}");
    assert!(large_list.bytes_total <= small_list.bytes_total + 1024, "{small_list:?} {large_list:?}");
    assert!(large_open.bytes_max < 64 * 1024, "{large_open:?}");
}
