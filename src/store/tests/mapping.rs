//! What is lent, what is copied, and how much is mapped.

use std::os::fd::AsFd;

use super::*;

/// Where an address lies in a file, by the kernel's own list of mappings.
fn file_offset_of(address: usize) -> Option<(u64, u64)> {
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    fs::read_to_string("/proc/self/maps").unwrap().lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (offset, inode) = (hex(fields.nth(1)?), fields.nth(1)?.parse().unwrap());
        let (start, end, address) = (hex(start), hex(end), address as u64);
        (start..end).contains(&address).then(|| (inode, offset + address - start))
    })
}

#[test]
fn a_contiguous_window_is_lent_from_the_mapping() {
    let store = Store::new(Limits { window: 16 * page(), ..Limits::default() });
    let (_plain, file) = temporary(&store, 40 * page());
    let view = bytes(100..40 * page());
    for window in [0..10, 5000..5001, 17 * page()..20 * page(), 39 * page()..40 * page() - 100] {
        let borrowed = count(&store.counters.borrowed);
        let (address, len) = read(&one(&file), &[], &view, window.clone(), &Stream::default(), |bytes| {
            assert!(bytes == patterns(100 + window.start..100 + window.end));
            (bytes.as_ptr() as usize, bytes.len() as u64)
        })
        .unwrap();
        assert_eq!(len, window.end - window.start);
        assert_eq!(file_offset_of(address), Some((file.id().inode, 100 + window.start)));
        assert_eq!(count(&store.counters.borrowed), borrowed + 1);
    }
    assert_eq!(count(&store.counters.gathered), 0);
    assert_eq!(count(&store.counters.bytes_gathered), 0);
}

#[test]
fn a_contiguous_window_in_which_mappings_meet_is_gathered() {
    let store = Store::new(tight(2));
    let (_plain, file) = temporary(&store, 3 * page());
    check_read(&file, &bytes(page() - 1..page() + 1), &patterns(page() - 1..page() + 1));
    assert_eq!(count(&store.counters.borrowed), 0);
    assert_eq!(count(&store.counters.bytes_gathered), 2);
}

#[test]
fn a_strided_window_is_copied_once() {
    let store = Store::new(Limits::default());
    let (_plain, file) = temporary(&store, 64 * page());
    let view = column(40, 8, 640, 300);
    let expected: Vec<u8> = (0..300).flat_map(|k| patterns(40 + 640 * k..48 + 640 * k)).collect();
    let (mut requests, mut total) = (0, 0);
    for window in [0..2400, 0..8, 3..1001, 2399..2400] {
        read(&one(&file), &[], &view, window.clone(), &Stream::default(), |bytes| {
            assert!(bytes == &expected[window.start as usize..window.end as usize]);
            // Part of one element is contiguous, and lent.
            if bytes.len() > 8 {
                requests += 1;
                total += bytes.len() as u64;
                assert!(file_offset_of(bytes.as_ptr() as usize).is_none_or(|(inode, _)| inode != file.id().inode));
            }
        })
        .unwrap();
    }
    assert_eq!((requests, count(&store.counters.borrowed)), (2, 2));
    assert_eq!(count(&store.counters.gathered), requests);
    assert_eq!(count(&store.counters.bytes_gathered), total);
    assert_eq!(count(&store.counters.maps), 1);
}

#[test]
fn a_write_is_copied_into_the_mapping_once() {
    let store = Store::new(Limits::default());
    let (plain, file) = temporary(&store, 16 * page());
    let view = column(40, 8, 640, 100);
    assert_eq!(write(&one(&file), &view, 3, &[0xcc; 500]), Ok(500));
    assert_eq!(count(&store.counters.bytes_scattered), 500);
    let written = content(&plain).iter().zip(patterns(0..16 * page())).filter(|(a, b)| *a != b).count();
    assert!((480..=500).contains(&written), "{written} bytes changed");
    // One that reads has the mapping that wrote.
    check_read(&file, &bytes(0..40), &patterns(0..40));
    assert_eq!(count(&store.counters.maps), 1);
}

#[test]
fn mappings_stay_within_the_limits_and_reading_goes_on() {
    let few = Limits { maps: 3, bytes: 1 << 30, window: 4 * page(), ..Limits::default() };
    let small = Limits { maps: 100, bytes: 9 * page(), window: 4 * page(), ..Limits::default() };
    for limits in [few, small] {
        let store = Store::new(limits);
        let files: Vec<_> = (0..12).map(|_| temporary(&store, 9 * page()).1).collect();
        let whole = bytes(0..9 * page());
        let elements = column(0, 16, page() + 16, 8);
        let expected: Vec<u8> = (0..8).flat_map(|k| patterns((page() + 16) * k..(page() + 16) * k + 16)).collect();
        std::thread::scope(|scope| {
            for first in 0..4 {
                let (store, files, whole, elements, expected) = (&store, &files, &whole, &elements, &expected);
                scope.spawn(move || {
                    for file in files.iter().cycle().skip(3 * first).take(60) {
                        check_read(file, whole, &patterns(0..9 * page()));
                        check_read(file, elements, expected);
                        let (mapped, maps) = store.mapped();
                        assert!(mapped <= limits.bytes && maps <= limits.maps, "{mapped} bytes in {maps} mappings");
                    }
                });
            }
        });
        assert!(store.mapped().1 > 0);
        assert!(count(&store.counters.maps) > 100, "mappings came and went");
        drop(files);
        assert_eq!(store.mapped(), (0, 0));
    }
}

#[test]
fn threads_that_map_the_same_window_at_once_leave_nothing_behind() {
    let store = Store::new(Limits { maps: 2, ..Limits::default() });
    let view = bytes(0..page());
    for _ in 0..300 {
        let (_plain, file) = temporary(&store, page());
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    check_read(&file, &view, &patterns(0..page()));
                });
            }
        });
        let windows = file.windows.read().unwrap().len();
        assert_eq!(store.mapped(), (page() * windows as u64, windows));
        drop(file);
        assert_eq!(store.mapped(), (0, 0));
    }
}

#[test]
fn an_inode_is_open_once_and_anew_after_it_was_let_go() {
    let store = Store::new(Limits::default());
    let named = tempfile::NamedTempFile::new().unwrap();
    named.as_file().set_len(10).unwrap();
    let open = || store.file(fs::File::open(named.path()).unwrap().into()).unwrap();
    let first = open();
    assert!(Arc::ptr_eq(&first, &open()));
    let other = named.path().with_extension("link");
    fs::hard_link(named.path(), &other).unwrap();
    let linked = store.file(fs::File::open(&other).unwrap().into()).unwrap();
    fs::remove_file(other).unwrap();
    assert!(Arc::ptr_eq(&first, &linked), "by another name");
    assert!(!Arc::ptr_eq(&first, &temporary(&store, 10).1));
    assert_eq!(lock(&store.files).len(), 1);
    let before = Arc::downgrade(&first);
    drop((first, linked));
    assert!(lock(&store.files).is_empty());
    let anew = open();
    assert!(before.upgrade().is_none() && !std::ptr::eq(before.as_ptr(), Arc::as_ptr(&anew)));
    assert!(Arc::ptr_eq(&anew, &open()));
}

#[test]
fn what_is_no_array_file_is_refused() {
    let store = Store::new(Limits::default());
    for path in ["/", "/dev/null"] {
        assert_eq!(store.file(fs::File::open(path).unwrap().into()).unwrap_err(), Errno::INVAL, "{path}");
    }
}

#[test]
fn reading_fills_no_hole_of_a_file_in_memory() {
    let Some(plain) = in_memory() else {
        eprintln!("SKIPPED: /dev/shm is no tmpfs");
        return;
    };
    plain.set_len(64 * page()).unwrap();
    plain.write_all_at(&[7; 100], 10 * page()).unwrap();
    let blocks = || rustix::fs::fstat(&plain).unwrap().st_blocks;
    let before = blocks();
    for limits in [Limits::default(), tight(2)] {
        let file = Store::new(limits).file(plain.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let expected = content(&plain);
        check_read(&file, &bytes(0..64 * page()), &expected);
        check_read(&file, &bytes(20 * page()..21 * page()), &vec![0; page() as usize]);
        check_read(&file, &column(8, 8, page(), 64), &[&[0; 80][..], &[7; 8], &[0; 424]].concat());
        check_read(&file, &column(0, 1, 64, page()), &content(&plain).into_iter().step_by(64).collect::<Vec<u8>>());
        assert_eq!(blocks(), before);
    }
    // The check can fail: storing fills.
    let file = Store::new(Limits::default()).file(plain.as_fd().try_clone_to_owned().unwrap()).unwrap();
    write(&one(&file), &bytes(0..page()), 0, &[1]).unwrap();
    assert!(blocks() > before);
}

fn in_memory() -> Option<fs::File> {
    let plain = tempfile::tempfile_in("/dev/shm").ok()?;
    (rustix::fs::fstatfs(&plain).unwrap().f_type as u64 == TMPFS).then_some(plain)
}

/// Pages of a window, and of the file, in the test below.
const WINDOW: u64 = 64;
const PAGES: u64 = 4096;

/// Reads windows, by their numbers, of a file of which nothing is in memory, and counts its pages in memory after each.
/// Nothing where pages cannot be dropped, or not be counted.
fn pages_after(numbers: &[u64]) -> Option<Vec<u64>> {
    let plain = tempfile::tempfile().unwrap();
    plain.write_all_at(&vec![7; (PAGES * page()) as usize], 0).unwrap();
    plain.sync_all().unwrap();
    let cached = || sys::cachestat(&plain, 0, PAGES * page()).map(|stat| stat.cached).ok();
    // Pages that somebody still holds are not dropped at the first time of asking.
    let is_empty = (0..1000).any(|_| {
        rustix::fs::fadvise(&plain, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        cached() == Some(0)
    });
    if !is_empty {
        return None;
    }
    let store = Store::new(Limits::default());
    let file = store.file(plain.try_clone().unwrap().into()).unwrap();
    let view = bytes(0..PAGES * page());
    let stream = Stream::default();
    let after = |number: &u64| {
        let window = number * WINDOW * page()..(number + 1) * WINDOW * page();
        let len = read(&one(&file), &[], &view, window, &stream, <[u8]>::len).unwrap();
        assert_eq!(len as u64, WINDOW * page());
        cached()
    };
    numbers.iter().map(after).collect()
}

#[test]
fn who_reads_on_is_read_ahead_for_and_who_jumps_is_not() {
    let last = PAGES / WINDOW - 1;
    let (Some(jumps), Some(on), Some(end)) =
        (pages_after(&[0, 10, 5]), pages_after(&[3, 4, 5]), pages_after(&[last - 1, last]))
    else {
        eprintln!("SKIPPED: pages cannot be dropped, or not be counted");
        return;
    };
    assert_eq!(jumps, [WINDOW, 2 * WINDOW, 3 * WINDOW]);
    assert_eq!(on[0], WINDOW);
    assert!(on[1] > 3 * WINDOW, "{on:?}");
    // At the end of the view there is nothing more to ask for.
    assert_eq!(end, [WINDOW, 2 * WINDOW]);
}
