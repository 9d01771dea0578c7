//! Random reads and writes of files that are covered, against vectors of bytes.

use std::os::fd::OwnedFd;

use proptest::prelude::*;

use super::*;
use crate::runs::Run;

#[derive(Clone, Debug)]
enum Step {
    /// Blocks of so many bytes, so far apart, so many of them, from a place on.
    Write(prop::sample::Index, u64, u64, u64, u8),
    Read(prop::sample::Index, u64, u64, u64),
    /// Another program appends to the file.
    Append(u64),
    /// Another program writes a byte of a page that is not covered.
    Store(prop::sample::Index, u8),
    /// All is closed, and opened again.
    Reopen,
    /// What was changed is written to the file, but for this write in between, which stays.
    Commit(prop::sample::Index, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let length = || prop::sample::select(vec![1u64, 8, 100, 4096, 5000, 30_000]);
    let gap = || prop::sample::select(vec![0u64, 1, 56, 4088, 9000]);
    let step = prop_oneof![
        6 => (index(), length(), gap(), 1u64..40, any::<u8>()).prop_map(|(a, l, g, n, v)| Step::Write(a, l, g, n, v)),
        4 => (index(), length(), gap(), 1u64..40).prop_map(|(a, l, g, n)| Step::Read(a, l, g, n)),
        1 => (1u64..9000).prop_map(Step::Append),
        1 => (index(), any::<u8>()).prop_map(|(at, value)| Step::Store(at, value)),
        1 => Just(Step::Reopen),
        1 => (index(), any::<u8>()).prop_map(|(at, value)| Step::Commit(at, value)),
    ];
    prop::collection::vec(step, 1..24)
}

/// A file, covered, and what it must hold: to whoever reads it here, and to others.
struct Bench {
    folder: tempfile::TempDir,
    plain: fs::File,
    store: Arc<Store>,
    file: Arc<File>,
    shown: Vec<u8>,
    stored: Vec<u8>,
}

fn open_shelf(folder: &tempfile::TempDir) -> Arc<Shelf> {
    let opened: OwnedFd = fs::File::open(folder.path().join("overlays")).unwrap().into();
    Arc::new(Shelf::new(opened, false))
}

fn opened(shelf: &Arc<Shelf>, folder: &tempfile::TempDir) -> (Arc<Store>, Arc<File>) {
    let store = Store::new(tight(8));
    store.cover(shelf.clone());
    let file = store.file(fs::File::open(folder.path().join("array")).unwrap().into()).unwrap();
    (store, file)
}

impl Bench {
    fn new(len: u64) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("overlays")).unwrap();
        let path = folder.path().join("array");
        fs::write(&path, patterns(0..len)).unwrap();
        let plain = fs::File::options().read(true).write(true).open(path).unwrap();
        let (store, file) = opened(&open_shelf(&folder), &folder);
        let shown = patterns(0..len);
        Bench { folder, plain, store, file, stored: shown.clone(), shown }
    }

    fn len(&self) -> u64 {
        self.shown.len() as u64
    }

    /// A place at which so many bytes lie in the file.
    fn place(&self, at: prop::sample::Index, length: u64) -> u64 {
        at.index((self.len() - length.min(self.len()) + 1) as usize) as u64
    }

    /// Blocks that lie in the file: the view, and the bytes of it.
    fn view(&self, start: u64, length: u64, gap: u64, count: u64) -> (View, Vec<u64>) {
        let length = length.min(self.len());
        let count = count.min((self.len() - start - length) / (length + gap) + 1);
        let view = column(start, length, length + gap, count);
        let places = (0..count).flat_map(|k| start + k * (length + gap)..start + k * (length + gap) + length);
        (view, places.collect())
    }

    fn write(&mut self, start: u64, length: u64, gap: u64, count: u64, value: u8) {
        let (view, places) = self.view(start, length, gap, count);
        let data: Vec<u8> = (0..places.len()).map(|k| value.wrapping_add(k as u8)).collect();
        assert_eq!(write(&Files::One(self.file.clone()), &view, 0, &data).unwrap(), data.len());
        for (place, byte) in places.into_iter().zip(data) {
            self.shown[place as usize] = byte;
        }
    }

    fn check(&self, view: &View, places: &[u64]) {
        let files = Files::One(self.file.clone());
        let wanted: Vec<u8> = places.iter().map(|&place| self.shown[place as usize]).collect();
        let stream = Stream::default();
        let found = read(&files, &[], view, 0..view.len(), &stream, <[u8]>::to_vec).unwrap();
        assert!(found == wanted, "read");
        let mut found = vec![0; wanted.len()];
        gather(&files, &[], view, 0..view.len(), &mut found).unwrap();
        assert!(found == wanted, "gathered");
    }

    fn check_all(&self) {
        let whole: Vec<u64> = (0..self.len()).collect();
        self.check(&bytes(0..self.len()), &whole);
        assert!(content(&self.plain) == self.stored, "the file itself");
    }

    fn layer(&self) -> Option<Arc<Layer>> {
        self.store.shelf().unwrap().layers().first().cloned()
    }

    fn is_changed(&self, page: u64) -> bool {
        self.layer().is_some_and(|layer| layer.pages().look().run(page, page + 1).0)
    }

    fn commit(&mut self, place: u64, value: u8) {
        let Some(layer) = self.layer() else { return };
        let shelf = self.store.shelf().unwrap().clone();
        shelf.begin(layer.number()).unwrap();
        let changed = (0..self.len()).filter(|place| self.is_changed(place / PAGE)).collect::<Vec<u64>>();
        for place in changed {
            self.stored[place as usize] = self.shown[place as usize];
        }
        self.plain.write_all_at(&self.stored, 0).unwrap();
        self.write(place, 1, 0, 1, value);
        let mark = Mark::from(&rustix::fs::fstat(&self.plain).unwrap());
        shelf.finish(layer.number(), mark).unwrap();
        let look = layer.pages().look();
        let kept = look.next_changed(0, u64::MAX).unwrap();
        assert_eq!(kept, place / PAGE..place / PAGE + 1, "what was written since stays");
        assert_eq!(look.next_changed(kept.end, u64::MAX), None);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(at, length, gap, count, value) => {
                self.write(self.place(*at, *length), *length, *gap, *count, *value);
            }
            Step::Read(at, length, gap, count) => {
                let (view, places) = self.view(self.place(*at, *length), *length, *gap, *count);
                self.check(&view, &places);
            }
            Step::Append(count) => {
                let more = patterns(self.len()..self.len() + count);
                self.plain.write_all_at(&more, self.len()).unwrap();
                self.shown.extend(&more);
                self.stored.extend(&more);
            }
            Step::Store(at, value) => {
                let place = at.index(self.shown.len());
                self.plain.write_all_at(&[*value], place as u64).unwrap();
                self.stored[place] = *value;
                if !self.is_changed(place as u64 / PAGE) {
                    self.shown[place] = *value;
                }
            }
            Step::Reopen => {
                self.store.shelf().unwrap().save_all().unwrap();
                let shelf = open_shelf(&self.folder);
                for number in shelf.numbers(true).unwrap() {
                    shelf.adopt(shelf.read(number).unwrap(), Some(self.file.id()));
                }
                (self.store, self.file) = opened(&shelf, &self.folder);
            }
            Step::Commit(at, value) => self.commit(self.place(*at, 1), *value),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn reads_show_what_was_written_and_the_file_stays(len in 1u64..150_000, steps in steps()) {
        let mut bench = Bench::new(len);
        for step in &steps {
            bench.step(step);
        }
        bench.check_all();
    }
}

#[test]
fn pages_that_are_written_as_a_whole_are_not_read() {
    let mut bench = Bench::new(10 * PAGE + 5);
    let whole = bench.len();
    bench.write(0, whole, 0, 1, 3);
    assert_eq!(bench.layer().unwrap().pages().look().run(0, 99), (true, 11));
    bench.check_all();
}

#[test]
fn what_lies_past_the_end_is_an_error_and_what_lies_before_is_written() {
    let bench = Bench::new(PAGE + 10);
    let run = |offset, length| Run::line(Some(0), offset, length, length as i64, 1);
    let scatter = |run: &Run, len: usize| bench.file.scatter_run(run, bench.len(), &vec![7; len]);
    assert_eq!(scatter(&run(PAGE + 5, 10), 10), Err((5, Errno::IO)));
    assert_eq!(scatter(&run(PAGE + 10, 1), 1), Err((0, Errno::IO)));
    let columns = Run::line(Some(0), 0, 8, PAGE as i64, 3);
    assert_eq!(scatter(&columns, 24), Err((16, Errno::IO)));
    let mut found = vec![0; 10];
    bench.file.gather_run(&run(PAGE, 10), bench.len(), &mut found).unwrap();
    assert_eq!(found, [7; 10], "the column's block, and the end of the first write");
}

#[test]
fn a_file_that_is_covered_is_never_open_for_writing() {
    let mut bench = Bench::new(PAGE);
    bench.write(0, 8, 0, 1, 1);
    bench.file.touch().unwrap();
    bench.file.sync_all().unwrap();
    assert_eq!(bench.file.writable().unwrap_err(), Errno::ROFS);
    assert!(bench.file.writable.get().is_none());
    bench.file.keep(true).unwrap();
    assert!(bench.file.writable.get().is_none());
}

#[test]
fn writes_at_once_to_one_page_lose_nothing() {
    let bench = Bench::new(64 * PAGE);
    let files = Files::One(bench.file.clone());
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let files = &files;
            scope.spawn(move || {
                for page in 0..64 {
                    let view = bytes(page * PAGE + thread * 512..page * PAGE + (thread + 1) * 512);
                    assert_eq!(write(files, &view, 0, &[thread as u8; 512]).unwrap(), 512);
                }
            });
        }
    });
    let mut found = vec![0; 64 * PAGE as usize];
    gather(&files, &[], &bytes(0..64 * PAGE), 0..64 * PAGE, &mut found).unwrap();
    assert!((0..).zip(&found).all(|(place, &byte)| u64::from(byte) == place % PAGE / 512));
    assert!(content(&bench.plain) == bench.stored);
}

#[test]
fn commits_and_writes_at_once_lose_nothing() {
    let mut bench = Bench::new(16 * PAGE);
    bench.write(0, 16 * PAGE, 0, 1, 0);
    let (shelf, number) = (bench.store.shelf().unwrap().clone(), bench.layer().unwrap().number());
    let files = Files::One(bench.file.clone());
    let done = AtomicBool::new(false);
    let last = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut turn = 0u8;
            while !done.load(Ordering::Relaxed) {
                turn = turn.wrapping_add(1);
                for page in 0..16 {
                    assert_eq!(write(&files, &bytes(page * PAGE + 8..page * PAGE + 16), 0, &[turn; 8]).unwrap(), 8);
                }
                let mut found = [0; 8];
                gather(&files, &[], &bytes(8..16), 0..8, &mut found).unwrap();
                assert_eq!(found, [turn; 8]);
            }
            turn
        });
        for _ in 0..40 {
            shelf.begin(number).unwrap();
            let data = fs::File::from(shelf.open_data(number, OFlags::RDONLY).unwrap());
            let layer = shelf.read(number).unwrap();
            let (look, mut at) = (layer.pages().look(), 0);
            while let Some(pages) = look.next_changed(at, 16) {
                let mut copied = vec![0; ((pages.end - pages.start) * PAGE) as usize];
                data.read_exact_at(&mut copied, pages.start * PAGE).unwrap();
                bench.plain.write_all_at(&copied, pages.start * PAGE).unwrap();
                at = pages.end;
            }
            shelf.finish(number, Mark::from(&rustix::fs::fstat(&bench.plain).unwrap())).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    for page in 0..16 {
        let mut found = [0; 8];
        gather(&files, &[], &bytes(page * PAGE + 8..page * PAGE + 16), 0..8, &mut found).unwrap();
        assert_eq!(found, [last; 8]);
    }
}

#[test]
fn the_inode_of_a_file_that_is_gone_may_be_anothers() {
    let mut bench = Bench::new(PAGE);
    bench.write(0, 8, 0, 1, 1);
    let (shelf, path) = (bench.store.shelf().unwrap().clone(), bench.folder.path().join("array"));
    fs::rename(&path, bench.folder.path().join("other")).unwrap();
    fs::write(&path, "").unwrap();
    let store = Store::new(tight(8));
    store.cover(shelf);
    let file = store.file(fs::File::open(bench.folder.path().join("other")).unwrap().into()).unwrap();
    assert_eq!(file.id(), bench.file.id());
    assert!(!file.is_changed());
    let mut found = vec![0; PAGE as usize];
    gather(&Files::One(file), &[], &bytes(0..PAGE), 0..PAGE, &mut found).unwrap();
    assert!(found == bench.stored);
}
