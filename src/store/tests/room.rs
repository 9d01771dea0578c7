//! What is done where the kernel has no room for another mapping. Its limits are those of a process, so that each test runs in
//! one of its own.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

const MIB: u64 = 1 << 20;

/// Whether this is the process in which a test is to run. If not, it is started, and must succeed.
fn is_apart(test: &str) -> bool {
    const APART: &str = "AFBFS_TEST_APART";
    if std::env::var_os(APART).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("store::tests::room::{test}");
    let done = command.args(["--exact", &name, "--test-threads=1"]).env(APART, "1").output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&done.stderr));
    false
}

/// Allows the process so many bytes of addresses beyond those that it uses.
fn leave(bytes: u64) {
    let pages: u64 = fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    let limit = getrlimit(Resource::As);
    setrlimit(Resource::As, Rlimit { current: Some(pages * page() + bytes), ..limit }).unwrap();
}

/// A file of holes, and a byte in each MiB of it.
fn spotted(store: &Arc<Store>, len: u64) -> (fs::File, Arc<File>) {
    let plain = tempfile::tempfile().unwrap();
    plain.set_len(len).unwrap();
    (0..len / MIB).for_each(|k| plain.write_all_at(&[pattern(k) | 1], k * MIB + k).unwrap());
    let file = store.file(plain.try_clone().unwrap().into()).unwrap();
    (plain, file)
}

/// Reads and writes all over a file, along and across windows.
fn check_all_over(plain: &fs::File, file: &Arc<File>) {
    let len = plain.metadata().unwrap().len();
    let stored = |offset: u64, count: usize| {
        let mut bytes = vec![0; count];
        plain.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    // An element of each MiB, and one of each MiB from the end on.
    let down = column(0, 8, MIB + 1, len / MIB - 1);
    let layout = Layout { offset: len - 8, shape: vec![len / MIB], strides: vec![-(MIB as i64)], itemsize: 8 };
    let up = View::new(&Arc::new(Grid::one(layout)), &Selection::whole(&[len / MIB], 8));
    let expected: Vec<u8> = (0..len / MIB - 1).flat_map(|k| stored(k * (MIB + 1), 8)).collect();
    assert!(expected.iter().step_by(8).all(|byte| byte % 2 == 1), "the column shows what is there");
    check_read(file, &down, &expected);
    for k in 0..len / MIB {
        let window = (k * MIB).saturating_sub(5000)..k * MIB + 5000;
        check_read(file, &bytes(window.clone()), &stored(window.start, (window.end - window.start) as usize));
    }
    let data: Vec<u8> = (0..up.len()).map(|at| (at % 251) as u8).collect();
    assert_eq!(write(&one(file), &up, 0, &data), Ok(data.len()));
    check_read(file, &up, &data);
    data.chunks(8).zip((0..len / MIB).rev()).for_each(|(element, k)| assert_eq!(stored((k + 1) * MIB - 8, 8), element));
    check_read(file, &down, &expected);
}

#[test]
fn a_file_that_is_larger_than_the_address_space_is_mapped_in_smaller_windows() {
    if !is_apart("a_file_that_is_larger_than_the_address_space_is_mapped_in_smaller_windows") {
        return;
    }
    let store = Store::new(Limits::default());
    let files: Vec<_> = (0..3).map(|_| spotted(&store, 1 << 30)).collect();
    leave(400 * MIB);
    let limit = getrlimit(Resource::As).current.unwrap();
    for (plain, file) in files.iter().chain(&files) {
        check_all_over(plain, file);
        let (mapped, maps) = store.mapped();
        assert!(maps > 1 && mapped <= limit / 4, "{mapped} bytes in {maps} mappings");
    }
    // Not each access has made one.
    let made = count(&store.counters.maps);
    check_read(&files[0].1, &bytes(0..8), &content_of_start(&files[0].0));
    check_read(&files[0].1, &bytes(8..16), &[0; 8]);
    assert!(count(&store.counters.maps) <= made + 1);
}

fn content_of_start(plain: &fs::File) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    plain.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn where_nothing_can_be_mapped_files_are_read_and_written() {
    if !is_apart("where_nothing_can_be_mapped_files_are_read_and_written") {
        return;
    }
    let store = Store::new(Limits::default());
    let (plain, file) = spotted(&store, 64 * MIB);
    // Nothing that is needed below has to be allocated from new memory then.
    check_all_over(&plain, &file);
    store.make_room(1);
    assert_eq!(store.mapped(), (0, 0));
    leave(0);
    check_all_over(&plain, &file);
    assert_eq!(store.mapped(), (0, 0));
    leave(200 * MIB);
    check_all_over(&plain, &file);
    assert!(store.mapped().1 > 0, "it is mapped again when there is room");
}

#[test]
fn more_mappings_than_the_kernel_allows_come_and_go() {
    if !is_apart("more_mappings_than_the_kernel_allows_come_and_go") {
        return;
    }
    let most: u64 = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if most > 100_000 {
        eprintln!("SKIPPED: {most} mappings are allowed (vm.max_map_count), and making them takes too long");
        return;
    }
    let store = Store::new(Limits { maps: usize::MAX, window: page(), ..Limits::default() });
    let files: Vec<_> = (0..=most / 500).map(|_| spotted(&store, MIB * 4)).collect();
    for _ in 0..2 {
        for (_, file) in &files {
            // Every second page, as the kernel joins mappings of pages that follow each other.
            let view = column(page(), 1, 2 * page(), 500);
            check_read(file, &view, &[0; 500]);
        }
    }
    let maps = store.mapped().1 as u64;
    assert!(most / 4 < maps && maps < most, "{maps} of {most}");
    assert!(count(&store.counters.maps) > most);
}
