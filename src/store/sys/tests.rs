//! The copy loops against a loop over bytes, and their behaviour at a fault.

use std::fs::File;
use std::io::Write;

use super::*;

/// A mapped temporary file whose byte `i` is `i * 7 + i / 256`.
fn mapped(len: usize) -> (File, Map, Vec<u8>) {
    let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let map = Map::new(&file, 0, len, true).unwrap();
    (file, map, bytes)
}

impl Map {
    fn gather_row(&self, buffer: &mut [u8], at: usize, length: usize, stride: i64, count: usize) -> Result<(), Fault> {
        self.gather(buffer, 0, &Run::line(None, at as u64, length as u64, stride, count as u64))
    }

    /// By the loop that needs nothing of the processor.
    fn gather_narrow(&self, buffer: &mut [u8], at: usize) -> usize {
        assert!(at + buffer.len() <= self.len());
        // SAFETY: the bytes lie inside the mapping, and the buffer.
        unsafe { blocks::afbfs_copy_aligned_source(buffer.as_mut_ptr(), self.raw.as_ptr().add(at), buffer.len()) }
    }

    fn scatter_row(&self, data: &[u8], at: usize, length: usize, stride: i64, count: usize) -> Result<(), Fault> {
        self.scatter(data, 0, &Run::line(None, at as u64, length as u64, stride, count as u64))
    }
}

#[test]
fn plain_copies_move_every_byte_at_every_alignment() {
    let (_file, map, bytes) = mapped(4096);
    for offset in 0..17 {
        for len in (1..150).chain([255, 256, 1000]) {
            for shift in 0..9 {
                let mut buffer = vec![0xee; len + shift + 1];
                map.gather_row(&mut buffer[shift..shift + len], offset, len, 0, 1).unwrap();
                assert_eq!(buffer[shift..shift + len], bytes[offset..offset + len]);
                assert_eq!(buffer[shift + len], 0xee);

                let data: Vec<u8> = (0..len + shift).map(|i| (i * 3 + 1) as u8).collect();
                map.scatter_row(&data[shift..], offset, len, 0, 1).unwrap();
                assert_eq!(map.borrow(offset, len), &data[shift..]);
                assert_eq!(map.borrow(offset + len, 8), &bytes[offset + len..offset + len + 8]);
                map.scatter_row(&bytes[offset..offset + len], offset, len, 0, 1).unwrap();
            }
        }
    }
}

#[test]
fn a_processor_without_wide_registers_copies_the_same() {
    let (_file, map, bytes) = mapped(4096);
    for (offset, len) in (0..17).flat_map(|offset| [0, 1, 31, 63, 64, 65, 200, 1000].map(|len| (offset, len))) {
        let mut buffer = vec![0xee; len + 1];
        assert_eq!(map.gather_narrow(&mut buffer[..len], offset), 0);
        assert_eq!((&buffer[..len], buffer[len]), (&bytes[offset..offset + len], 0xee));
    }
}

#[test]
fn strided_copies_move_the_blocks_and_nothing_else() {
    let (_file, map, bytes) = mapped(16384);
    for length in [1, 2, 3, 4, 5, 8, 12, 16, 24, 31] {
        let own = length as i64;
        for stride in [-64i64, -37, -31, -own, own, 31, 32, 61, 100] {
            for count in [1, 2, 3, 7, 50, 67].into_iter().filter(|_| stride.abs() >= own) {
                let offset = 8000;
                let start = |k: i64| (offset as i64 + stride * k) as usize;
                let expected: Vec<u8> =
                    (0..count).flat_map(|k| bytes[start(k)..start(k) + length].iter().copied()).collect();
                let mut buffer = vec![0; length * count as usize];
                map.gather_row(&mut buffer, offset, length, stride, count as usize).unwrap();
                assert_eq!(buffer, expected, "length {length} stride {stride}");

                let data: Vec<u8> = buffer.iter().map(|byte| !byte).collect();
                let mut changed = bytes.clone();
                for k in 0..count {
                    let from = k as usize * length;
                    changed[start(k)..start(k) + length].copy_from_slice(&data[from..from + length]);
                }
                map.scatter_row(&data, offset, length, stride, count as usize).unwrap();
                assert!(map.borrow(0, 16384) == changed);
                map.scatter_row(&bytes, 0, 16384, 0, 1).unwrap();
            }
        }
    }
}

#[test]
fn rows_are_copied_one_behind_the_other_with_any_pitch_on_both_sides() {
    let (_file, map, bytes) = mapped(1 << 16);
    let shapes = [(1, 30, -1), (2, 9, 2), (3, 40, -3), (8, 3, 40), (16, 5, 16), (24, 4, -24), (700, 2, 900)];
    for (length, count, stride) in shapes {
        for pitch in [-2500i64, -8, 0, 24, 4096] {
            for gap in [0, 5, 64] {
                let run = Run { pitch, rows: 6, ..Run::line(None, 20_000, length, stride, count) };
                let apart = (length * count) as usize + gap;
                let places = |row: u64, block: u64| {
                    let there = (20_000 + pitch * row as i64 + stride * block as i64) as usize;
                    (there, row as usize * apart + (block * length) as usize)
                };
                let each = || (0..6).flat_map(|row| (0..count).map(move |block| places(row, block)));
                let mut buffer = vec![0xee; 6 * apart - gap];
                let mut expected = buffer.clone();
                for (there, here) in each() {
                    expected[here..here + length as usize].copy_from_slice(&bytes[there..there + length as usize]);
                }
                map.gather(&mut buffer, apart, &run).unwrap();
                assert!(buffer == expected, "{run:?} {gap}");

                let data: Vec<u8> = (0..buffer.len()).map(|i| (i * 11 + i / 256) as u8).collect();
                let mut changed = bytes.clone();
                for (there, here) in each() {
                    changed[there..there + length as usize].copy_from_slice(&data[here..here + length as usize]);
                }
                map.scatter(&data, apart, &run).unwrap();
                // Where rows overlap, the order in which passes store is not that of the blocks.
                let is_apart = pitch.unsigned_abs() > (stride.unsigned_abs() * (count - 1)) + length;
                assert!(!is_apart || map.borrow(0, 1 << 16) == changed, "{run:?} {gap}");
                map.scatter_row(&bytes, 0, 1 << 16, 0, 1).unwrap();
            }
        }
    }
}

#[test]
fn a_copy_stops_where_the_file_was_truncated() {
    let page = page_size();
    let (file, map, bytes) = mapped(4 * page);
    file.set_len(2 * page as u64).unwrap();
    let mut buffer = vec![0; 3 * page];
    // The loop moves up to 64 bytes a turn, and counts whole turns.
    let there = 2 * page - 5;
    let Err(Fault { done }) = map.gather_row(&mut buffer, 5, 3 * page, 0, 1) else { panic!("no fault") };
    assert!((there - 63..=there).contains(&done), "{done}");
    assert_eq!(buffer[..done], bytes[5..5 + done]);
    let Err(Fault { done }) = map.scatter_row(&buffer, 5, 3 * page, 0, 1) else { panic!("no fault") };
    assert!((there - 63..=there).contains(&done), "{done}");
    // Elements of every size, forwards and backwards, and blocks of an odd size.
    for length in [1, 2, 4, 8, 16, 24] {
        let count = 4 * page / 64;
        let mut buffer = vec![0; length * count];
        let half = length * count / 2;
        assert_eq!(map.gather_row(&mut buffer, 0, length, 64, count), Err(Fault { done: half }), "length {length}");
        assert_eq!(map.scatter_row(&buffer, 0, length, 64, count), Err(Fault { done: half }));
        assert_eq!(map.gather_row(&mut buffer, 4 * page - 64, length, -64, count), Err(Fault { done: 0 }));
        // Rows that end with the file, in whichever direction; of a row that faults some may count as done.
        let (row, stride) = (page / length, length as i64);
        let mut buffer = vec![0; 4 * length * row];
        for stride in [stride, -stride] {
            let first = if stride < 0 { (row - 1) * length } else { 0 };
            let rows =
                Run { pitch: page as i64, rows: 4, ..Run::line(None, first as u64, length as u64, stride, row as u64) };
            let Err(Fault { done }) = map.gather(&mut buffer, length * row, &rows) else { panic!("no fault") };
            assert_eq!(done, 2 * length * row, "length {length}, stride {stride}");
            assert_eq!(map.scatter(&buffer, length * row, &rows), Err(Fault { done }));
        }
    }
    // The file grows again, and so the same mapping serves again.
    file.set_len(4 * page as u64).unwrap();
    map.gather_row(&mut buffer, 5, 3 * page, 0, 1).unwrap();
    assert!(buffer[there..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_mapping_tells_which_pages_are_in_memory() {
    let (_file, map, _bytes) = mapped(64 * page_size());
    assert!(map.is_resident(10, 63 * page_size()), "just written, so in memory");
    map.will_need(3, 10 * page_size()).unwrap();
}

#[test]
#[should_panic(expected = "blocks outside of the mapping")]
fn a_copy_never_leaves_the_mapping() {
    let (_file, map, _bytes) = mapped(4096);
    let _ = map.gather_row(&mut [0; 16], 8, 8, -16, 2);
}

#[test]
fn a_foreign_sigbus_still_ends_the_process() {
    // A child, started from this very test, faults outside of the copy loops.
    if std::env::var_os("AFBFS_TEST_FAULT").is_some() {
        let (file, map, _bytes) = mapped(2 * page_size());
        file.set_len(0).unwrap();
        println!("{}", map.borrow(0, 1)[0]);
        return;
    }
    let test = "store::sys::tests::a_foreign_sigbus_still_ends_the_process";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args([test, "--exact", "--nocapture"]).env("AFBFS_TEST_FAULT", "1").output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(libc::SIGBUS));
}
