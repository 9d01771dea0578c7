//! Windows over many files, which several threads share.

use std::collections::HashSet;
use std::thread::{self, ThreadId};

use super::*;
use crate::grid::Place;

const FILES: u64 = 200;
/// Bytes of each.
const EACH: u64 = 3;

/// Each cell is a file of its own, and so many of them are there.
#[derive(Debug)]
struct Cells {
    files: Vec<Option<Arc<File>>>,
    /// What opening this one answers.
    bad: Option<(u64, Errno)>,
    by: Mutex<HashSet<ThreadId>>,
}

struct InOrder;

impl crate::grid::Pieces for InOrder {
    fn place(&self, cell: u64) -> Option<Place> {
        Some(Place { piece: cell, offset: 0 })
    }

    fn digest(&self) -> u64 {
        0
    }
}

impl Pieces for Cells {
    fn open(&self, piece: u64) -> Result<Option<Arc<File>>> {
        lock(&self.by).insert(thread::current().id());
        match self.bad {
            Some((bad, error)) if bad == piece => Err(error),
            _ => Ok(self.files[piece as usize].clone()),
        }
    }

    fn create(&self, _piece: u64) -> Result<Arc<File>> {
        Err(Errno::ROFS)
    }

    fn let_go(&self) {}

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn error_mark(&self) -> u64 {
        0
    }
}

/// The files, of which every seventh is missing, what they hold, and all of it as a view.
fn cells(store: &Arc<Store>, bad: Option<(u64, Errno)>) -> (Arc<Cells>, Vec<u8>, View) {
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for number in 0..FILES {
        let (plain, file) = temporary(store, EACH);
        let bytes = [number as u8, (number >> 4) as u8, 7];
        plain.write_all_at(&bytes, 0).unwrap();
        let is_there = number % 7 != 6;
        expected.extend(if is_there { bytes } else { [0xee; EACH as usize] });
        files.push(is_there.then_some(file));
    }
    let grid = Grid::chunked(&[FILES * EACH], &[EACH], 1, Order::C, Arc::new(InOrder)).unwrap();
    let view = View::new(&Arc::new(grid), &Selection::whole(&[FILES * EACH], 1));
    (Arc::new(Cells { files, bad, by: Mutex::default() }), expected, view)
}

#[test]
fn a_window_over_many_files_is_shared_by_threads_and_no_other_is() {
    let store = Store::new(Limits::default());
    let (cells, expected, view) = cells(&store, None);
    let files = Files::Many(cells.clone());
    for (window, is_shared) in [(0..view.len(), true), (5..view.len() - 4, true), (7..40, false), (0..100, false)] {
        let mut found = vec![0; (window.end - window.start) as usize];
        lock(&cells.by).clear();
        gather(&files, &[0xee], &view, window.clone(), &mut found).unwrap();
        assert_eq!(found, expected[window.start as usize..window.end as usize]);
        assert_eq!(lock(&cells.by).len() > 1, is_shared, "{window:?}");
    }
}

#[test]
fn an_error_that_any_of_the_threads_meets_is_the_error_of_the_window() {
    let store = Store::new(Limits::default());
    for bad in [0, 15, 16, 100, 199] {
        let (cells, _, view) = cells(&store, Some((bad, Errno::ACCESS)));
        let mut found = vec![0; view.len() as usize];
        let outcome = gather(&Files::Many(cells), &[], &view, 0..view.len(), &mut found);
        assert_eq!(outcome, Err(Errno::ACCESS), "{bad}");
    }
}
