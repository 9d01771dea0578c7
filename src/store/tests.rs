//! The store over real files.

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::grid::Grid;
use crate::layout::{Layout, Order, Selection};
use crate::runs::View;

mod crew;
mod faults;
mod mapping;
mod model;
mod overlay;
mod room;
mod sync;

fn page() -> u64 {
    sys::page_size() as u64
}

/// Byte `i` of each file that is made here.
fn pattern(i: u64) -> u8 {
    (i * 7 + i / 256) as u8
}

fn patterns(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(pattern).collect()
}

/// A temporary file of so many bytes, and a store's hold of it.
fn temporary(store: &Arc<Store>, len: u64) -> (fs::File, Arc<File>) {
    let plain = tempfile::tempfile().unwrap();
    plain.write_all_at(&patterns(0..len), 0).unwrap();
    let file = store.file(plain.try_clone().unwrap().into()).unwrap();
    (plain, file)
}

/// Windows of one page, and so many of them.
fn tight(maps: usize) -> Limits {
    Limits { maps, bytes: 1 << 30, window: page(), ..Limits::default() }
}

/// Bytes of one file as a view: an array of bytes.
fn bytes(range: std::ops::Range<u64>) -> View {
    let shape = [range.end - range.start];
    let grid = Arc::new(Grid::one(Layout::packed(range.start, &shape, 1, Order::C).unwrap()));
    View::new(&grid, &Selection::whole(&shape, 1))
}

/// A column of a file: an element of `itemsize` bytes each `stride` bytes.
fn column(offset: u64, itemsize: u64, stride: u64, count: u64) -> View {
    let layout = Layout { offset, shape: vec![count], strides: vec![stride as i64], itemsize };
    View::new(&Arc::new(Grid::one(layout)), &Selection::whole(&[count], itemsize))
}

fn content(plain: &fs::File) -> Vec<u8> {
    let mut content = vec![0; plain.metadata().unwrap().len() as usize];
    plain.read_exact_at(&mut content, 0).unwrap();
    content
}

fn one(file: &Arc<File>) -> Files {
    Files::One(file.clone())
}

/// The files of an array in several, of which none can be made.
#[derive(Debug)]
struct Several(Vec<Arc<File>>);

impl Pieces for Several {
    fn open(&self, piece: u64) -> Result<Option<Arc<File>>> {
        Ok(self.0.get(piece as usize).cloned())
    }

    fn create(&self, _piece: u64) -> Result<Arc<File>> {
        Err(Errno::ROFS)
    }

    fn let_go(&self) {}

    fn sync(&self) -> Result<()> {
        self.0.iter().try_for_each(|file| file.sync_all())
    }

    fn error_mark(&self) -> u64 {
        0
    }
}

fn read_all(file: &Arc<File>, view: &View) -> Result<Vec<u8>> {
    read(&one(file), &[], view, 0..view.len(), &Stream::default(), <[u8]>::to_vec)
}

/// Says little where they differ: they are long.
#[track_caller]
fn check_read(file: &Arc<File>, view: &View, expected: &[u8]) {
    let found = read_all(file, view).unwrap();
    assert_eq!(found.len(), expected.len());
    if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
        panic!("byte {at} is {}, not {}", found[at], expected[at]);
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
