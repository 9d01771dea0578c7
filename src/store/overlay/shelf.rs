//! The folder in which overlays are kept: of each array file three files, called by a number.
//!
//! | file | what it holds |
//! |---|---|
//! | `N.data` | the changed pages, at the offsets that they have in the array file; else holes |
//! | `N.map` | which pages these are, as bits ([`Pages`]) |
//! | `N.json` | which array file it is, and its state when it was first changed ([`Record`]) |
//!
//! *What survives.* A bit is written to the map only after the page was synced, and taken out of it only after the array file was, so that
//! after a crash at any point the map names whole pages alone. A record is replaced as a whole, by renaming.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::{Errno, Result};

use super::pages::{self, Pages};
use super::record::{Mark, Record};
use crate::store::copy::{read_exact, write_exact};
use crate::store::{FileId, lock};

/// Longest record that is read.
const LONGEST: u64 = 64 << 10;

/// What is known of one overlay. It stays known when its files are closed.
#[derive(Debug)]
pub struct Layer {
    /// By which its files are called.
    pub(super) number: u64,
    /// The pages that were changed.
    pub(super) pages: Pages,
    /// Those that were written since a commit began: they are not dropped by it.
    pub(super) since: Pages,
    pub(super) is_committing: AtomicBool,
    /// Writes share it; whoever takes pages out has it alone.
    pub(super) gate: RwLock<()>,
    /// Held while pages are written for the first time.
    pub(super) first: Mutex<()>,
    /// Whether pages were written since they were last saved.
    pub(super) is_written: AtomicBool,
    /// Whether the time of the data is shown as that of the array file.
    pub(super) is_touched: AtomicBool,
    /// The data is at least so long; 0 until it was asked.
    pub(super) end: AtomicU64,
    saving: Mutex<()>,
    record: Mutex<Record>,
    /// Whether the record, and the names of the files, are not synced yet.
    unsynced: AtomicBool,
}

impl Layer {
    fn new(number: u64, pages: Pages, record: Record, unsynced: bool) -> Layer {
        let is_touched = AtomicBool::new(!pages.is_empty());
        Layer {
            number,
            pages,
            since: Pages::default(),
            is_committing: AtomicBool::new(false),
            gate: RwLock::default(),
            first: Mutex::default(),
            is_written: AtomicBool::new(record.is_made),
            is_touched,
            end: AtomicU64::new(0),
            saving: Mutex::default(),
            record: Mutex::new(record),
            unsynced: AtomicBool::new(unsynced),
        }
    }

    /// By which its files are called.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The pages that were changed.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Which array file it belongs to.
    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }
}

/// A folder of overlays.
#[derive(Debug)]
pub struct Shelf {
    folder: OwnedFd,
    /// Whether what is written is to outlast this process.
    is_kept: bool,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    layers: HashMap<FileId, Arc<Layer>>,
    /// Files that exist here alone, by path.
    made: HashMap<PathBuf, Arc<Layer>>,
    next: u64,
}

/// The file of an overlay that holds its changed pages.
fn data_name(number: u64) -> String {
    format!("{number}.data")
}

fn map_name(number: u64) -> String {
    format!("{number}.map")
}

fn record_name(number: u64) -> String {
    format!("{number}.json")
}

impl Shelf {
    /// The shelf of a folder, with nothing in it that is known. `is_kept`: what is written is to outlast this process.
    pub fn new(folder: OwnedFd, is_kept: bool) -> Shelf {
        Shelf { folder, is_kept, index: Mutex::default() }
    }

    /// A descriptor of the folder.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    fn open(&self, name: &str, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// The numbers of the overlays in the folder. What a crash has left of the making of others is removed if the folder is this
    /// process's own.
    ///
    /// # Errors
    /// What reading the folder answers.
    pub fn numbers(&self, tidy: bool) -> Result<Vec<u64>> {
        let names: Vec<String> = rustix::fs::Dir::read_from(&self.folder)?
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned))
            .collect();
        let number = |name: &str, end: &str| name.strip_suffix(end)?.parse::<u64>().ok();
        let numbers: Vec<u64> = names.iter().filter_map(|name| number(name, ".json")).collect();
        let is_left = |name: &&String| {
            let halves = [".data", ".map"].into_iter().find_map(|end| number(name, end));
            halves.is_some_and(|number| !numbers.contains(&number)) || number(name, ".json.new").is_some()
        };
        for name in names.iter().filter(is_left).filter(|_| tidy) {
            rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty())?;
        }
        let mut numbers = numbers;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads an overlay of the folder; EINVAL where its record is none.
    ///
    /// # Errors
    /// What reading its files answers.
    pub fn read(&self, number: u64) -> Result<Layer> {
        let record = self.open(&record_name(number), OFlags::RDONLY)?;
        let len = rustix::fs::fstat(&record)?.st_size as u64;
        let mut text = vec![0; len.min(LONGEST) as usize];
        read_exact(record.as_fd(), &mut text, 0)?;
        let record = Record::from_json(&text).ok_or(Errno::INVAL)?;
        let pages = Pages::load(self.open(&map_name(number), OFlags::RDONLY)?)?;
        Ok(Layer::new(number, pages, record, false))
    }

    /// Has an overlay that was read be that of a file from now on; one with no `file` is all of a file that does not exist.
    pub fn adopt(&self, layer: Layer, file: Option<FileId>) {
        let mut index = lock(&self.index);
        index.next = index.next.max(layer.number + 1);
        let layer = Arc::new(layer);
        match file {
            Some(file) => drop(index.layers.insert(file, layer)),
            None => drop(index.made.insert(layer.record().path, layer)),
        }
    }

    /// Removes the files of an overlay.
    ///
    /// # Errors
    /// What `unlinkat(2)` answers.
    pub fn remove(&self, number: u64) -> Result<()> {
        for name in [record_name(number), map_name(number), data_name(number)] {
            match rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The overlays that are known, by number.
    pub fn layers(&self) -> Vec<Arc<Layer>> {
        let index = lock(&self.index);
        let mut layers: Vec<Arc<Layer>> = index.layers.values().chain(index.made.values()).cloned().collect();
        layers.sort_unstable_by_key(|layer| layer.number);
        layers
    }

    /// The overlay of a file, if there is one.
    pub(super) fn find(&self, file: FileId) -> Option<Arc<Layer>> {
        lock(&self.index).layers.get(&file).cloned()
    }

    /// The same of a file that was just opened. The inode of one that is gone by now may be another's.
    pub(super) fn find_opened(&self, file: FileId) -> Option<Arc<Layer>> {
        let layer = self.find(file)?;
        let path = layer.record().path;
        let named = rustix::fs::lstat(&path).map(|stat| FileId { device: stat.st_dev, inode: stat.st_ino });
        if named == Ok(file) {
            return Some(layer);
        }
        log::warn!("{}: is gone, and so is what was written to it and not committed", path.display());
        lock(&self.index).layers.remove(&file);
        None
    }

    /// The overlay of an array file, which is made where there is none.
    pub(super) fn make(&self, id: FileId, array: BorrowedFd<'_>) -> Result<Arc<Layer>> {
        let mut index = lock(&self.index);
        if let Some(layer) = index.layers.get(&id) {
            return Ok(layer.clone());
        }
        let stat = rustix::fs::fstat(array)?;
        let record = Record {
            path: path_of(array)?,
            mark: Some(Mark::from(&stat)),
            is_committing: false,
            is_made: false,
            rights: (stat.st_mode & 0o777, stat.st_uid, stat.st_gid),
        };
        let layer = self.start(&mut index, record, |_| Ok(()))?;
        index.layers.insert(id, layer.clone());
        Ok(layer)
    }

    /// Makes the files of a new overlay; the record comes last, and makes it one.
    fn start(
        &self,
        index: &mut Index,
        record: Record,
        fill: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
    ) -> Result<Arc<Layer>> {
        let number = index.next;
        index.next += 1;
        let made = self.open(&data_name(number), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).and_then(|data| {
            fill(data.as_fd())?;
            self.open(&map_name(number), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
            self.write_record(number, &record, false)
        });
        if let Err(error) = made {
            // What is left of it is removed at the next mount.
            let _ = self.remove(number);
            return Err(error);
        }
        Ok(Arc::new(Layer::new(number, Pages::default(), record, true)))
    }

    /// A file that exists here alone, for reading.
    ///
    /// # Errors
    /// What opening it answers.
    pub fn open_made(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let layer = lock(&self.index).made.get(path).cloned();
        layer.map(|layer| self.open_data(layer.number, OFlags::RDONLY)).transpose()
    }

    /// Makes a file that exists here alone, unless it does already, and fills it.
    ///
    /// # Errors
    /// What making or filling it answers.
    pub fn make_file(
        &self,
        path: &Path,
        rights: (u32, u32, u32),
        fill: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut index = lock(&self.index);
        if index.made.contains_key(path) {
            return Ok(());
        }
        let record = Record { path: path.to_owned(), mark: None, is_committing: false, is_made: true, rights };
        let layer = self.start(&mut index, record, |data| {
            fill(data)?;
            if self.is_kept { rustix::fs::fdatasync(data) } else { Ok(()) }
        })?;
        index.made.insert(path.to_owned(), layer);
        Ok(())
    }

    /// Opens the changed pages of an overlay.
    ///
    /// # Errors
    /// What `openat(2)` answers.
    pub fn open_data(&self, number: u64, flags: OFlags) -> Result<OwnedFd> {
        self.open(&data_name(number), flags)
    }

    fn write_record(&self, number: u64, record: &Record, sync: bool) -> Result<()> {
        let (name, new) = (record_name(number), format!("{}.new", record_name(number)));
        let file = self.open(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        write_exact(file.as_fd(), record.to_json().as_bytes(), 0, &mut 0)?;
        if sync {
            rustix::fs::fsync(&file)?;
        }
        rustix::fs::renameat(&self.folder, new.as_str(), &self.folder, name.as_str())?;
        if sync { rustix::fs::fsync(&self.folder) } else { Ok(()) }
    }

    fn change_record(&self, layer: &Layer, sync: bool, change: impl FnOnce(&mut Record)) -> Result<()> {
        let mut record = lock(&layer.record);
        let mut changed = record.clone();
        change(&mut changed);
        self.write_record(layer.number, &changed, sync)?;
        *record = changed;
        Ok(())
    }

    /// Notes how an array file is before its first page is changed (again).
    pub(super) fn note_first(&self, layer: &Layer, array: BorrowedFd<'_>) -> Result<()> {
        let mark = Some(Mark::from(&rustix::fs::fstat(array)?));
        if layer.record().mark == mark {
            return Ok(());
        }
        layer.unsynced.store(true, Ordering::Release);
        self.change_record(layer, false, |record| record.mark = mark)
    }

    /// Writes what is known of an overlay to its files: the pages first, then which they are. If overlays are kept, both are
    /// durable then.
    ///
    /// # Errors
    /// What writing or syncing answers.
    pub fn save(&self, layer: &Layer) -> Result<()> {
        let _turn = lock(&layer.saving);
        // Pages that are added from now on may not be synced yet.
        let unsaved = layer.pages.take_unsaved();
        let is_written = layer.is_written.swap(false, Ordering::AcqRel) || layer.record().is_made;
        if unsaved.is_empty() && !is_written && !layer.unsynced.load(Ordering::Acquire) {
            return Ok(());
        }
        let outcome = self.save_now(layer, &unsaved);
        if outcome.is_err() {
            layer.pages.put_back(&unsaved);
            layer.is_written.store(true, Ordering::Release);
        }
        outcome
    }

    fn save_now(&self, layer: &Layer, unsaved: &[(u64, [u64; 8])]) -> Result<()> {
        if self.is_kept {
            rustix::fs::fdatasync(self.open_data(layer.number, OFlags::RDWR)?)?;
        }
        let map = self.open(&map_name(layer.number), OFlags::RDWR)?;
        pages::save(&map, unsaved)?;
        if self.is_kept {
            rustix::fs::fdatasync(&map)?;
            if layer.unsynced.swap(false, Ordering::AcqRel) {
                let record = self.open(&record_name(layer.number), OFlags::RDONLY);
                let synced = record.and_then(rustix::fs::fsync).and_then(|()| rustix::fs::fsync(&self.folder));
                synced.inspect_err(|_| layer.unsynced.store(true, Ordering::Release))?;
            }
        }
        Ok(())
    }

    /// When the overlay of a file was written: the modification time that is shown of it. Nothing where it was not.
    pub fn mtime(&self, file: FileId) -> Option<(i64, u64)> {
        let layer = self.find(file).filter(|layer| layer.is_touched.load(Ordering::Acquire))?;
        let stat = rustix::fs::statat(&self.folder, data_name(layer.number), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_mtime, stat.st_mtime_nsec))
    }

    /// Syncs the names of files that were made.
    ///
    /// # Errors
    /// What syncing answers.
    pub fn sync_made(&self) -> Result<()> {
        let made: Vec<Arc<Layer>> = lock(&self.index).made.values().cloned().collect();
        made.iter().filter(|layer| layer.unsynced.load(Ordering::Acquire)).try_for_each(|layer| self.save(layer))
    }

    /// Whether what is written is to outlast this process.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Saves all overlays.
    ///
    /// # Errors
    /// The first that one answers.
    pub fn save_all(&self) -> Result<()> {
        self.layers().iter().try_for_each(|layer| self.save(layer))
    }

    fn known(&self, number: u64) -> Result<Arc<Layer>> {
        self.layers().into_iter().find(|layer| layer.number == number).ok_or(Errno::NOENT)
    }

    /// Begins to commit an overlay: from now on it is known what is written again. Its files say so, and which pages there are.
    ///
    /// # Errors
    /// ENOENT where there is none of this number; what writing answers.
    pub fn begin(&self, number: u64) -> Result<()> {
        let layer = self.known(number)?;
        {
            let _alone = layer.gate.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            layer.since.clear();
            layer.is_committing.store(true, Ordering::Release);
        }
        self.save(&layer)?;
        self.change_record(&layer, self.is_kept, |record| record.is_committing = true)
    }

    /// Ends the commit of an overlay whose array file has the pages now, durably, and is as `mark` says: they are dropped, but for
    /// those written since. A file that was made stays here as well.
    ///
    /// # Errors
    /// ENOENT where there is none of this number; EINVAL where no commit of it began; what writing answers.
    pub fn finish(&self, number: u64, mark: Mark) -> Result<()> {
        let layer = self.known(number)?;
        if !layer.is_committing.load(Ordering::Acquire) {
            return Err(Errno::INVAL);
        }
        let _alone = layer.gate.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        layer.pages.keep(&layer.since);
        self.save(&layer)?;
        self.change_record(&layer, self.is_kept, |record| {
            (record.is_committing, record.mark) = (false, Some(mark));
        })?;
        let is_made = layer.record().is_made;
        if layer.pages.is_empty() && !is_made {
            // Nobody reads or writes them by now. Their space is given back.
            let data = self.open_data(number, OFlags::RDWR)?;
            let len = rustix::fs::fstat(&data)?.st_size as u64;
            rustix::fs::ftruncate(&data, 0)?;
            rustix::fs::ftruncate(&data, len)?;
            layer.is_touched.store(false, Ordering::Release);
        }
        layer.is_committing.store(false, Ordering::Release);
        Ok(())
    }

    /// Gives up commits that were begun: what is written again need not be known any more.
    pub fn abandon(&self) {
        for layer in self.layers() {
            layer.is_committing.store(false, Ordering::Release);
        }
    }
}

/// The path of an open file, as it is now.
fn path_of(file: BorrowedFd<'_>) -> Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = PathBuf::from(OsString::from_vec(rustix::fs::readlink(link, Vec::new())?.into_bytes()));
    let (named, open) = (rustix::fs::lstat(&path)?, rustix::fs::fstat(file)?);
    // A file that was removed, or replaced under its name, could not be found again.
    if (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino) { Ok(path) } else { Err(Errno::STALE) }
}
