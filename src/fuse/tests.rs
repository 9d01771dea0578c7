//! Panics in requests: each costs one request, and what was locked meanwhile is used on.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;

use tempfile::TempDir;

use super::*;
use crate::catalog::{Catalog, Options};
use crate::fs::{ROOT, Settings};
use crate::store::{Limits, Store, panics};

/// Rows of so many bytes, in files without a header.
const ROW: usize = 5000;
const ROWS: usize = 8;

struct Served {
    folder: TempDir,
    adapter: Adapter,
}

fn serve() -> Served {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(folder.path().join(format!("{name}.raw")), vec![7; ROWS * ROW]).unwrap();
        let sidecar = format!("dtype = \"u1\"\nshape = [{ROWS}, {ROW}]\n");
        fs::write(folder.path().join(format!("{name}.raw.toml")), sidecar).unwrap();
    }
    let catalog = Catalog::open(folder.path(), Options::default(), Store::new(Limits::default())).unwrap();
    let fs = Arc::new(Fs::new(Arc::new(catalog), Settings::default()));
    Served { folder, adapter: Adapter::new(fs, channel().0, channel().0, Shares::new(None)) }
}

/// What one program does with an array, request by request. A request that fails ends those that need its answer, and no others.
struct Program<'a> {
    adapter: &'a Adapter,
    array: &'static str,
    failed: usize,
}

impl Program<'_> {
    fn ask<T>(&mut self, f: impl FnOnce(&Fs) -> Result<T>) -> Option<T> {
        let answer = self.adapter.attempt(f);
        if let Err(error) = &answer {
            self.failed += 1;
            assert_eq!(error.code(), libc::EIO, "{}", self.array);
        }
        answer.ok()
    }

    fn tell(&mut self, f: impl FnOnce(&Fs)) {
        self.failed += usize::from(self.adapter.run(Op::Forget, f).is_err());
    }

    fn find(&mut self, names: &[&str]) -> Option<u64> {
        let mut inode = ROOT;
        for name in names {
            inode = self.ask(|fs| fs.lookup(inode, OsStr::new(name)))?.inode;
        }
        Some(inode)
    }

    fn open(&mut self, names: &[&str], write: bool) -> Option<(u64, u64)> {
        let inode = self.find(names)?;
        let access = Access { write, sync: false };
        let opened = |opened: &Opened| opened.handle;
        let answer = self.adapter.call_to_open(0, opened, |fs| fs.open(inode, access));
        self.failed += usize::from(answer.is_err());
        Some((inode, answer.ok()?.handle))
    }

    fn read(&mut self, handle: u64, source: Source) -> Option<Vec<u8>> {
        self.ask(|fs| fs.read(handle, 0, ROW, source, <[u8]>::to_vec))
    }

    /// Writes a row, and reads it, and a column across it. Says how many requests have failed.
    fn run(&mut self, row: usize, value: u8) -> usize {
        let number = row.to_string();
        if let Some((inode, handle)) = self.open(&[self.array, "row", &number], true) {
            let written = self.ask(|fs| fs.write(handle, 0, &[value; ROW], Source::Direct));
            if written.is_some_and(|written| !written.is_put_off()) {
                let kept = self.read(handle, Source::PageCache);
                assert!(kept.is_none_or(|bytes| bytes == [value; ROW]));
            }
            let cached = self.ask(|fs| fs.write(handle, 0, &[value; ROW], Source::Insistent));
            if let Some(written) = cached {
                self.tell(|fs| fs.dropped(&written.cached));
            }
            self.ask(|fs| fs.fsync(handle, Source::Direct));
            self.ask(|fs| fs.getattr(inode));
            self.ask(|fs| fs.flush(handle, Source::Direct));
            self.ask(|fs| Ok(fs.release(handle)));
        }
        if let Some((inode, handle)) = self.open(&[self.array, "col", "4000"], false) {
            let column = self.read(handle, Source::Direct);
            assert!(column.is_none_or(|bytes| bytes.len() == ROWS));
            self.ask(|fs| Ok(fs.release(handle)));
            self.tell(|fs| fs.forget(inode, 1));
        }
        if let Some(handle) = self.ask(|fs| fs.opendir(ROOT)) {
            self.ask(|fs| fs.readdir(handle, 0, &mut |_| true));
            self.tell(|fs| fs.releasedir(handle));
        }
        self.ask(Fs::statfs);
        self.failed
    }
}

fn row_of(served: &Served, array: &str, row: usize) -> Vec<u8> {
    let mut bytes = vec![0; ROW];
    let file = fs::File::open(served.folder.path().join(format!("{array}.raw"))).unwrap();
    file.read_exact_at(&mut bytes, (row * ROW) as u64).unwrap();
    bytes
}

#[test]
fn a_panic_at_any_lock_costs_one_request_and_nobody_else_notices() {
    let served = serve();
    let adapter = &served.adapter;
    let ended = AtomicBool::new(false);
    let turns = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        // Others use the same array and another one all the while.
        for (array, turns) in ["a", "b"].into_iter().zip(&turns) {
            let (served, ended) = (&served, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let value = turns.fetch_add(1, Ordering::Relaxed) as u8;
                    assert_eq!(Program { adapter, array, failed: 0 }.run(5, value), 0, "{array}");
                    assert_eq!(row_of(served, array, 5), [value; ROW]);
                }
            });
        }
        let mut panics = 0;
        loop {
            panics::arm(panics);
            let failed = Program { adapter, array: "a", failed: 0 }.run(2, 1);
            if !panics::disarm() {
                assert_eq!(failed, 0);
                break;
            }
            assert_eq!(failed, 1, "panic {panics}");
            panics += 1;
            // Whoever comes next finds nothing amiss.
            let value = panics as u8;
            assert_eq!(Program { adapter, array: "a", failed: 0 }.run(2, value), 0, "after panic {panics}");
            assert_eq!(row_of(&served, "a", 2), [value; ROW]);
        }
        assert!(panics > 50, "only {panics} locks are taken");
        ended.store(true, Ordering::Relaxed);
    });
    assert!(turns.iter().all(|turns| turns.load(Ordering::Relaxed) > 1));
}
