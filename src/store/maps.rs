//! Mappings, kept within limits.
//!
//! A file is mapped in windows, at multiples of their size. Beyond the [`Limits`] the oldest go. Where the kernel has no room for
//! another (`RLIMIT_AS`, `vm.max_map_count`), the older half of all goes, then the rest; then smaller windows are tried; and
//! where not even the smallest fits, nothing is mapped, and `pread(2)` and `pwrite(2)` serve.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rustix::io::{Errno, Result};
use rustix::process::{Resource, getrlimit};

use super::{File, Limits, Store, change, lock, share, sys};

/// The smallest window that is tried; a multiple of every page size.
const SMALLEST: u64 = 64 << 10;
/// How much smaller each window is than the one that was tried before.
const SHRINKAGE: u64 = 8;
/// The part of the address space that files may take. The rest is for the program, its threads and its buffers.
const SHARE: u64 = 4;
/// Bytes that the stacks of a thread take, and what it allocates first.
const STACKS: usize = 4 << 20;
/// So many of the largest windows may be mapped at once.
const WINDOWS: u64 = 8;

/// All mappings, whosever they are.
#[derive(Debug)]
pub(super) struct Held {
    /// Bytes mapped, and how many may be.
    bytes: u64,
    most: u64,
    /// Bytes of the largest window.
    window: u64,
    /// Oldest first.
    maps: VecDeque<Mapping>,
}

impl Held {
    pub(super) fn new(limits: &Limits) -> Held {
        Held { bytes: 0, most: limits.bytes, window: limits.window, maps: VecDeque::new() }
    }
}

/// One mapping that exists: whose, and which. Invariant: the file has it among its windows, too, or is about to let
/// it go.
#[derive(Debug)]
struct Mapping {
    file: Weak<File>,
    map: Weak<sys::Map>,
    bytes: u64,
}

/// A window of a file that is mapped.
#[derive(Debug)]
pub(super) struct Window {
    /// The byte of the file at which it starts, and the bytes that a window of its kind has; the file may end before.
    start: u64,
    size: u64,
    map: Arc<sys::Map>,
}

impl Window {
    /// Whether bytes from `offset` on lie in it: up to `end`, or as many as a window of its kind can have.
    fn serves(&self, offset: u64, end: u64, writable: bool) -> bool {
        let all = self.start..self.start.saturating_add(self.size);
        all.contains(&offset)
            && self.map.len() as u64 >= end.min(all.end) - self.start
            && (self.map.is_writable() || !writable)
    }
}

impl Default for Limits {
    /// A quarter of the kernel's default for mappings (`vm.max_map_count`, 65 530), and of the 47 bits of addresses.
    fn default() -> Limits {
        Limits {
            maps: 16_000,
            bytes: 1 << 45,
            window: 1 << 40,
            gap: 0,
            files: u32::MAX,
            folders: u32::MAX,
            remote: false,
        }
    }
}

impl Limits {
    /// What this process may: less than the default where the kernel allows it fewer mappings, a smaller address space, or
    /// not many descriptors.
    pub fn of_process(descriptors: u64) -> Limits {
        let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|most| most.trim().parse().ok());
        let default = Limits::default();
        let bytes = default.bytes.min(address_space());
        // For passing use: a few for each request that is under way.
        let files = descriptors - (descriptors / 4).min(64);
        Limits {
            maps: most.map_or(default.maps, |most: usize| default.maps.min(most / SHARE as usize).max(1)),
            bytes,
            window: default.window.min(window_within(bytes)),
            files: files.try_into().unwrap_or(u32::MAX),
            folders: (files + (descriptors - files) / 2).try_into().unwrap_or(u32::MAX),
            ..default
        }
    }
}

/// How many bytes may be mapped in the address space of the process, as large as that is now.
fn address_space() -> u64 {
    getrlimit(Resource::As).current.map_or(u64::MAX, |most| most / SHARE)
}

/// The largest window where so many bytes may be mapped: a power of two, so that windows of all sizes begin at pages.
fn window_within(bytes: u64) -> u64 {
    (bytes / WINDOWS).checked_ilog2().map_or(SMALLEST, |log| SMALLEST.max(1 << log))
}

/// Whether there are addresses left for the stacks of another thread. One that finds none as it begins ends the process.
pub fn has_room_for_a_thread() -> bool {
    memmap2::MmapOptions::new().len(STACKS).map_anon().is_ok()
}

/// Whether there is no room for a mapping.
fn is_short<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Errno::NOMEM | Errno::AGAIN))
}

impl Store {
    /// Bytes of files that are mapped, and the number of mappings.
    pub fn mapped(&self) -> (u64, usize) {
        let held = lock(&self.held);
        (held.bytes, held.maps.len())
    }

    /// Bytes of the largest window.
    pub(super) fn window(&self) -> u64 {
        lock(&self.held).window
    }

    /// Notes a new mapping, in place of an `old` one if there was one, and returns the oldest where there are
    /// too many: they are to be let go.
    fn admit(&self, mapping: Mapping, old: Option<&Arc<sys::Map>>) -> Vec<Mapping> {
        let mut held = lock(&self.held);
        if let Some(old) = old
            && let Some(at) = held.maps.iter().position(|other| other.map.as_ptr() == Arc::as_ptr(old))
            && let Some(old) = held.maps.remove(at)
        {
            held.bytes -= old.bytes;
        }
        held.bytes += mapping.bytes;
        held.maps.push_back(mapping);
        let mut oldest = Vec::new();
        while held.maps.len() > self.limits.maps || held.bytes > held.most && held.maps.len() > 1 {
            oldest.extend(held.take_oldest());
        }
        oldest
    }

    /// Makes room for another mapping: one in `share` of all goes.
    pub(super) fn make_room(&self, share: usize) {
        let oldest: Vec<Mapping> = {
            let mut held = lock(&self.held);
            // The limit of the process may have been lowered meanwhile.
            let most = address_space();
            if most < held.most {
                (held.most, held.window) = (most, held.window.min(window_within(most)));
            }
            (0..held.maps.len().div_ceil(share)).filter_map(|_| held.take_oldest()).collect()
        };
        let_go(oldest);
    }

    /// Forgets the mappings of a file that is gone.
    pub(super) fn forget_windows(&self, file: &File) {
        if share(&file.windows).is_empty() {
            return;
        }
        let mut held = lock(&self.held);
        held.maps.retain(|mapping| std::ptr::from_ref(file) != mapping.file.as_ptr());
        held.bytes = held.maps.iter().map(|mapping| mapping.bytes).sum();
    }
}

impl Held {
    fn take_oldest(&mut self) -> Option<Mapping> {
        let oldest = self.maps.pop_front()?;
        self.bytes -= oldest.bytes;
        Some(oldest)
    }
}

fn let_go(mappings: Vec<Mapping>) {
    for mapping in mappings {
        if let Some(file) = mapping.file.upgrade() {
            let mut windows = change(&file.windows);
            windows.retain(|window| Arc::as_ptr(&window.map) != mapping.map.as_ptr());
        }
    }
}

impl File {
    /// The mapping of the window in which byte `offset` lies, and the byte of the file at which it starts.
    fn map(self: &Arc<File>, offset: u64, end: u64, writable: bool) -> Result<(Arc<sys::Map>, u64)> {
        {
            let windows = share(&self.windows);
            if let Some(window) = windows.iter().find(|window| window.serves(offset, end, writable)) {
                return Ok((window.map.clone(), window.start));
            }
        }
        let mut size = self.store.window();
        let mut outcome = self.map_anew(offset, end, writable, size);
        for share in [2, 1] {
            if is_short(&outcome) {
                self.store.make_room(share);
                outcome = self.map_anew(offset, end, writable, size);
            }
        }
        while is_short(&outcome) && size > SMALLEST {
            size = (size / SHRINKAGE).max(SMALLEST);
            outcome = self.map_anew(offset, end, writable, size);
        }
        outcome
    }

    /// Maps the window of a size in which byte `offset` lies.
    fn map_anew(self: &Arc<File>, offset: u64, end: u64, writable: bool, size: u64) -> Result<(Arc<sys::Map>, u64)> {
        let start = offset / size * size;
        let len = (self.len()?.max(end).min(start + size) - start) as usize;
        let made = if writable {
            sys::Map::new(self.writable()?, start, len, true)
        } else {
            // Writable where that is known to be wanted, so that a write need not map it anew; but a file may have lost
            // the permission since it was opened (sealed, or made append-only).
            let both = self.writable.get().and_then(|file| sys::Map::new(file, start, len, true).ok());
            both.map_or_else(|| sys::Map::new(self.fd(), start, len, false), Ok)
        };
        let map = Arc::new(made.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?);
        self.store.counters.maps.fetch_add(1, Ordering::Relaxed);
        let oldest = {
            // Locked until the mapping is noted, or another thread that maps the same window would not find it there.
            let mut windows = change(&self.windows);
            let same = |window: &Window| (window.start, window.size) == (start, size);
            let old = windows.iter().position(same).map(|at| windows.swap_remove(at).map);
            windows.push(Window { start, size, map: map.clone() });
            let mapping = Mapping { file: Arc::downgrade(self), map: Arc::downgrade(&map), bytes: len as u64 };
            self.store.admit(mapping, old.as_ref())
        };
        let_go(oldest);
        Ok((map, start))
    }

    /// As [`File::map`], or nothing where the file cannot be mapped.
    pub(super) fn try_map(
        self: &Arc<File>,
        offset: u64,
        end: u64,
        writable: bool,
    ) -> Result<Option<(Arc<sys::Map>, u64)>> {
        if self.unmappable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.map(offset, end, writable) {
            Ok(found) => Ok(Some(found)),
            // For now there is no room for another mapping.
            Err(Errno::NOMEM | Errno::AGAIN) => Ok(None),
            Err(Errno::NODEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::OVERFLOW) => {
                self.unmappable.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
