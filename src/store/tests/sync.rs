//! What a sync of a view writes, and what it leaves, page by page as the kernel tells.

use std::ops::Range;

use super::*;

/// Pages before and behind the array.
const AROUND: u64 = 8;

/// The kernel may write pages back by itself at any moment. So a page that ought to be dirty has so many chances.
const ATTEMPTS: usize = 5;

/// A file on a disk, whose pages are all in memory, one by one, and clean.
fn on_disk(pages: u64) -> Option<fs::File> {
    let plain = tempfile::tempfile().unwrap();
    // Page by page, or the kernel would keep several in one folio, of which one is dirty only together.
    for number in 0..pages {
        plain.write_all_at(&patterns(number * page()..(number + 1) * page()), number * page()).unwrap();
    }
    if let Err(error) = sys::cachestat(&plain, 0, page()) {
        eprintln!("SKIPPED: cachestat(2): {error}");
        return None;
    }
    plain.sync_all().unwrap();
    if rustix::fs::fstatfs(&plain).unwrap().f_type as u64 == TMPFS || dirty(&plain, 0..pages) > 0 {
        eprintln!("SKIPPED: {} is not on a disk: files there stay dirty", std::env::temp_dir().display());
        return None;
    }
    Some(plain)
}

/// How many of these pages are still to be written.
fn dirty(plain: &fs::File, pages: Range<u64>) -> u64 {
    let cached = sys::cachestat(plain, pages.start * page(), (pages.end - pages.start) * page()).unwrap();
    assert_eq!(cached.cached, pages.end - pages.start, "a page is gone");
    cached.dirty + cached.writeback
}

/// Stores to every page of a file, syncs a window of a view, and checks that the pages `clean` are then written and
/// all others are not.
fn check(pages: u64, view: &View, window: Range<u64>, extent: Range<u64>, clean: impl Fn(u64) -> bool) {
    let Some(plain) = on_disk(pages) else { return };
    for limits in [Limits::default(), tight(1)] {
        let store = Store::new(limits);
        let file = store.file(plain.try_clone().unwrap().into()).unwrap();
        let spared = (0..ATTEMPTS).any(|_| {
            plain.sync_all().unwrap();
            assert_eq!(dirty(&plain, 0..pages), 0);
            let every = column(17, 1, page(), pages);
            assert_eq!(write(&one(&file), &every, 0, &vec![9; pages as usize]), Ok(pages as usize));
            let before = dirty(&plain, 0..pages);
            crate::store::sync(&one(&file), view, window.clone(), extent.clone()).unwrap();
            assert_eq!((0..pages).filter(|&n| clean(n) && dirty(&plain, n..n + 1) > 0).count(), 0, "pages not written");
            let left = (0..pages).filter(|&n| !clean(n)).count() as u64;
            before == pages && dirty(&plain, 0..pages) == left
        });
        assert!(spared, "pages were written that are not the view's");
        assert!(file.is_dirty());
        file.sync_all().unwrap();
        assert!(!file.is_dirty() && dirty(&plain, 0..pages) == 0);
    }
}

/// An array of so many rows, each of some pages, the first at page [`AROUND`], and elements of 8 bytes.
fn rows(count: u64, pages: u64) -> (Arc<Grid>, Selection) {
    let shape = [count, pages * page() / 8];
    let layout = Layout::packed(AROUND * page(), &shape, 8, Order::C).unwrap();
    (Arc::new(Grid::one(layout)), Selection::whole(&shape, 8))
}

fn extent(grid: &Grid, selection: &Selection) -> Range<u64> {
    selection.place(grid.single().unwrap()).extent()
}

#[test]
fn the_sync_of_a_row_writes_its_pages_and_no_others() {
    let (grid, all) = rows(20, 3);
    let row = all.index(0, 5);
    let view = View::new(&grid, &row);
    let first = AROUND + 15;
    check(AROUND + 60 + AROUND, &view, 0..view.len(), extent(&grid, &row), |n| (first..first + 3).contains(&n));
    // A window of it, that begins and ends inside of pages.
    let window = page() + 100..page() + 200;
    check(AROUND + 60 + AROUND, &view, window, extent(&grid, &row), |n| n == first + 1);
}

#[test]
fn the_sync_of_a_column_writes_the_pages_of_its_elements_and_not_those_between() {
    let (grid, all) = rows(20, 4);
    let column = all.index(1, 700);
    let view = View::new(&grid, &column);
    let inside = 700 * 8 / page();
    let touched = move |n: u64| (AROUND..AROUND + 80).contains(&n) && (n - AROUND) % 4 == inside;
    check(AROUND + 80 + AROUND, &view, 0..view.len(), extent(&grid, &column), touched);
    // Few elements of it are synced one by one.
    let window = 5 * 8..8 * 8;
    let few = move |n: u64| touched(n) && (5..8).contains(&((n - AROUND) / 4));
    check(AROUND + 80 + AROUND, &view, window, extent(&grid, &column), few);
}

#[test]
fn the_sync_of_a_dense_view_writes_its_extent_and_nothing_around() {
    // Every second page: synced as one range, with the pages between.
    let (grid, all) = rows(20, 2);
    let column = all.index(1, 3);
    let view = View::new(&grid, &column);
    let within = |n: u64| (AROUND..AROUND + 39).contains(&n);
    check(AROUND + 40 + AROUND, &view, 0..view.len(), extent(&grid, &column), within);
    // Elements on all pages.
    let layout =
        Layout { offset: AROUND * page() + 8, shape: vec![640], strides: vec![page() as i64 / 16], itemsize: 8 };
    let (grid, all) = (Arc::new(Grid::one(layout)), Selection::whole(&[640], 8));
    let view = View::new(&grid, &all);
    let within = |n: u64| (AROUND..AROUND + 40).contains(&n);
    check(AROUND + 40 + AROUND, &view, 0..view.len(), extent(&grid, &all), within);
}

#[test]
fn a_file_that_was_written_is_synced_when_it_is_let_go() {
    let Some(plain) = on_disk(4) else { return };
    let store = Store::new(Limits::default());
    let file = store.file(plain.try_clone().unwrap().into()).unwrap();
    assert!(!file.is_dirty());
    write(&one(&file), &bytes(0..4 * page()), 0, &vec![1; 4 * page() as usize]).unwrap();
    assert!(file.is_dirty());
    drop(file);
    assert_eq!(dirty(&plain, 0..4), 0);
}
