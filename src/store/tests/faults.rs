//! Files that shrink, that may not be written, and writes that fail later.

use std::os::fd::AsFd;

use rustix::fs::{IFlags, MemfdFlags, SealFlags};

use super::*;

#[test]
fn what_a_truncation_took_is_an_error_to_the_byte_and_the_rest_is_read() {
    for limits in [Limits::default(), tight(2)] {
        let store = Store::new(limits);
        let (plain, file) = temporary(&store, 6 * page());
        let whole = bytes(0..6 * page());
        let elements = column(3, 8, 24, (6 * page() - 16) / 24);
        check_read(&file, &whole, &patterns(0..6 * page()));
        for left in [4 * page() + 1001, 4 * page(), 4 * page() - 1, 9, 1] {
            plain.set_len(left).unwrap();
            let part = |range| read(&one(&file), &[], &whole, range, &Stream::default(), <[u8]>::to_vec);
            assert!(part(0..left) == Ok(patterns(0..left)), "{left} bytes left");
            assert_eq!(part(left - 1..left), Ok(patterns(left - 1..left)));
            let faults = count(&store.counters.faults);
            assert_eq!(part(left..left + 1), Err(Errno::IO));
            assert_eq!(part(left - 1..left + 1), Err(Errno::IO));
            assert_eq!(part(6 * page() - 1..6 * page()), Err(Errno::IO));
            assert_eq!(count(&store.counters.faults), faults + 3);
            // Of the elements, those that are left as a whole.
            let there = (left.saturating_sub(3) / 24) + u64::from(left.saturating_sub(3) % 24 >= 8);
            let part = |range| read(&one(&file), &[], &elements, range, &Stream::default(), <[u8]>::to_vec);
            let expected: Vec<u8> = (0..there).flat_map(|k| patterns(3 + 24 * k..11 + 24 * k)).collect();
            assert!(part(0..8 * there) == Ok(expected), "{left} bytes left");
            assert_eq!(part(0..8 * there + 8), Err(Errno::IO), "{left} bytes left");
        }
    }
}

#[test]
fn a_file_that_has_grown_again_is_read_and_written_again() {
    for limits in [Limits::default(), tight(1)] {
        let store = Store::new(limits);
        let (plain, file) = temporary(&store, 4 * page());
        let (whole, elements) = (bytes(0..4 * page()), column(0, 8, page() / 2, 8));
        read_all(&file, &whole).unwrap();
        for left in [0, 77, page() + 5] {
            plain.set_len(left).unwrap();
            assert_eq!(read_all(&file, &whole), Err(Errno::IO));
            assert_eq!(read_all(&file, &elements), Err(Errno::IO));
            plain.write_all_at(&patterns(0..4 * page()), 0).unwrap();
            check_read(&file, &whole, &patterns(0..4 * page()));
            let data: Vec<u8> = (0..64).map(|i| !i).collect();
            assert_eq!(write(&one(&file), &elements, 0, &data), Ok(64));
            assert_eq!(read_all(&file, &elements), Ok(data));
            plain.write_all_at(&patterns(0..4 * page()), 0).unwrap();
        }
        // Longer than ever: what the mapping did not reach before.
        plain.write_all_at(&patterns(4 * page()..9 * page()), 4 * page()).unwrap();
        let mapped = count(&store.counters.borrowed);
        check_read(&file, &bytes(8 * page()..9 * page()), &patterns(8 * page()..9 * page()));
        assert_eq!(count(&store.counters.borrowed), mapped + 1, "mapped anew");
        check_read(&file, &bytes(7..9 * page()), &patterns(7..9 * page()));
    }
}

#[test]
fn a_write_across_the_end_stops_at_the_end_and_the_file_does_not_grow() {
    for limits in [Limits::default(), tight(1)] {
        for left in [2 * page() + 1001, 2 * page(), 5, 0] {
            let store = Store::new(limits);
            let (plain, file) = temporary(&store, 4 * page());
            let files = &one(&file);
            let (whole, elements) = (bytes(0..4 * page()), column(0, 8, page() / 2, 8));
            // Mapped for writing as a whole, before the end moves.
            assert_eq!(write(files, &whole, 0, &patterns(0..4 * page())), Ok(4 * page() as usize));
            plain.set_len(left).unwrap();
            let data = vec![0xee; 4 * page() as usize];
            let stopped = |left: u64| if left == 0 { Err(Errno::IO) } else { Ok(left as usize) };
            assert_eq!(write(files, &whole, 0, &data), stopped(left));
            assert!(content(&plain) == data[..left as usize]);
            assert_eq!(write(files, &whole, left, &data[..1]), Err(Errno::IO));
            let there: u64 = (0..8).map(|k| left.saturating_sub(k * page() / 2).min(8)).sum();
            assert_eq!(write(files, &elements, 0, &data[..64]), stopped(there));
            assert_eq!(plain.metadata().unwrap().len(), left);
            // What was stored past the end is nowhere.
            plain.set_len(4 * page()).unwrap();
            assert!(content(&plain)[left as usize..].iter().all(|&byte| byte == 0));
        }
    }
}

/// Takes the right to write away, and gives it back so that the file can be removed.
struct Locked<'a> {
    plain: &'a fs::File,
    flags: Option<IFlags>,
}

impl Locked<'_> {
    /// With the error of whoever opens the file for writing.
    fn new(plain: &fs::File) -> (Locked<'_>, Errno) {
        let flags = rustix::fs::ioctl_getflags(plain).unwrap_or(IFlags::empty());
        if rustix::fs::ioctl_setflags(plain, flags | IFlags::IMMUTABLE).is_ok() {
            return (Locked { plain, flags: Some(flags) }, Errno::PERM);
        }
        plain.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        (Locked { plain, flags: None }, Errno::ACCESS)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Some(flags) = self.flags {
            rustix::fs::ioctl_setflags(self.plain, flags).unwrap();
        }
    }
}

#[test]
fn a_file_that_may_not_be_written_gives_the_errno_of_opening_it() {
    let store = Store::new(Limits::default());
    let (plain, file) = temporary(&store, 3 * page());
    let (locked, error) = Locked::new(&plain);
    if locked.flags.is_none() && rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write to every file here, and files cannot be made immutable");
        return;
    }
    let whole = bytes(0..3 * page());
    assert_eq!(file.writable().unwrap_err(), error);
    assert_eq!(write(&one(&file), &whole, 0, b"x"), Err(error));
    assert_eq!(write(&one(&file), &column(0, 1, 99, 9), 0, b"xyz"), Err(error));
    check_read(&file, &whole, &patterns(0..3 * page()));
    drop(locked);
    if error == Errno::PERM {
        assert_eq!(write(&one(&file), &whole, 0, b"x"), Ok(1));
        assert_eq!(content(&plain)[0], b'x');
    }
}

#[test]
fn a_file_sealed_against_writing_can_still_be_read() {
    let store = Store::new(tight(1));
    let sealed = rustix::fs::memfd_create("sealed", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    let plain = fs::File::from(sealed);
    plain.write_all_at(&patterns(0..3 * page()), 0).unwrap();
    rustix::fs::fcntl_add_seals(&plain, SealFlags::WRITE).unwrap();
    let file = store.file(plain.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let whole = bytes(0..3 * page());
    // Opening it for writing is allowed, and only then does it turn out.
    assert_eq!(write(&one(&file), &whole, 0, b"x"), Err(Errno::PERM));
    assert!(file.writable().is_ok());
    check_read(&file, &whole, &patterns(0..3 * page()));
    assert_eq!(read_all(&file, &bytes(5..99)), Ok(patterns(5..99)));
}

#[test]
fn a_file_without_a_mapping_is_an_error_and_its_sync_sticks() {
    // A regular file of 0 bytes that can be opened for writing, but neither mapped nor synced.
    let store = Store::new(Limits::default());
    let plain = fs::File::open("/proc/self/oom_score_adj").unwrap();
    let file = store.file(plain.into()).unwrap();
    let files = &one(&file);
    let view = bytes(0..2);
    file.writable().unwrap();
    assert_eq!(write(files, &view, 0, b"0\n"), Err(Errno::IO));
    assert_eq!(read_all(&file, &view), Err(Errno::IO));
    let mark = file.error_mark();
    assert_eq!(crate::store::sync(files, &view, 0..2, 0..2), Err(Errno::INVAL));
    assert!(file.unmappable.load(Ordering::Relaxed));
    assert_ne!(file.error_mark(), mark);
    assert_eq!(Errors::of_mark(file.error_mark()), Errno::INVAL);
    // The same error once more is a new one.
    let mark = file.error_mark();
    assert_eq!(file.sync_all(), Err(Errno::INVAL));
    assert!(file.error_mark() != mark && Errors::of_mark(file.error_mark()) == Errno::INVAL);
    assert!(file.is_dirty(), "it is not durable, so it stays to be synced");
}
