//! Locks that programs take on views (`fcntl(2)`, `flock(2)`), as locks on bytes of the array file, where other machines meet them.
//!
//! A view that is one piece of the file is locked byte by byte; of any other the bytes between its first and its last are, and of
//! one in a form or type of its own. An array in many files is locked at the file that describes it, as if its elements lay
//! there in C order.
//!
//! Each owner (a process, or for `flock(2)` an open file) has a descriptor of its own, to which its locks belong; so owners exclude
//! each other, here as elsewhere. What an owner holds is remembered by view and handle, since closing one of them gives its locks up and no
//! others. Before bytes are unlocked what was written is published, and whoever locks some sees what others have published.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::Fs;
use super::handles::Handle;
use super::open::OpenFile;
use crate::store::{FileId, Lock, lock, lock_bytes, test_bytes};

/// A lock that is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who asks.
    pub owner: u64,
    /// Its process.
    pub process: u32,
    /// What it asks for.
    pub lock: Lock,
    /// Bytes of the view.
    pub bytes: Range<u64>,
}

/// The owners of locks, by array file and number.
#[derive(Debug, Default)]
pub(super) struct Ranges(Mutex<Owners>);

type Owners = HashMap<(FileId, u64), Arc<Mutex<Owner>>>;

/// What an owner holds of a file.
#[derive(Debug, Default)]
struct Owner {
    descriptor: Option<Arc<OwnedFd>>,
    held: Vec<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    inode: u64,
    handle: u64,
    process: u32,
    lock: Lock,
    bytes: Range<u64>,
}

impl Owner {
    /// Notes that a view has these bytes locked in another way, or not at all.
    fn note(&mut self, inode: u64, handle: u64, wanted: &Wanted, bytes: &Range<u64>) {
        let (mine, mut held): (Vec<_>, Vec<_>) = self.held.drain(..).partition(|held| held.inode == inode);
        for one in mine {
            held.extend(without(&one.bytes, bytes).map(|bytes| Held { bytes, ..one.clone() }));
        }
        if wanted.lock != Lock::Unlocked {
            held.push(Held { inode, handle, process: wanted.process, lock: wanted.lock, bytes: bytes.clone() });
        }
        self.held = held;
    }

    /// The parts of a range that no view but one has locked.
    fn alone(&self, inode: u64, bytes: &Range<u64>) -> Vec<Range<u64>> {
        let others = self.held.iter().filter(|held| held.inode != inode);
        others.fold(Vec::from([bytes.clone()]), |parts, other| {
            parts.iter().flat_map(|part| without(part, &other.bytes)).collect()
        })
    }
}

/// What is left of a range without another: two parts at most.
fn without(range: &Range<u64>, other: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let before = range.start..range.end.min(other.start);
    let behind = range.start.max(other.end)..range.end;
    [before, behind].into_iter().filter(|part| part.start < part.end)
}

impl Fs {
    /// Whether other machines write to the array files, too, so that locks are to reach these.
    pub fn is_remote(&self) -> bool {
        self.catalog.store().is_remote()
    }

    /// Locks bytes of a view, or unlocks them. Nobody waits.
    ///
    /// # Errors
    /// EAGAIN where another owner's lock excludes it; EBADF for a lock that excludes all others where the file cannot be written;
    /// ENOLCK for bytes that there are not, and where the file system has no locks.
    pub fn lock(&self, handle: u64, wanted: &Wanted) -> Result<(), Errno> {
        let (number, handle) = (handle, self.handles.get(handle)?);
        let Handle::File(file) = &*handle else { return unlocked_or(wanted.lock, Errno::NOLCK) };
        let Some(bytes) = bytes_of(file, &wanted.bytes) else { return unlocked_or(wanted.lock, Errno::NOLCK) };
        if wanted.lock == Lock::Unlocked {
            self.publish(file)?;
        }
        let owner = lock(&self.ranges.0).entry((file.shared.file.id(), wanted.owner)).or_default().clone();
        let mut owner = lock(&owner);
        let descriptor = match &owner.descriptor {
            Some(descriptor) => descriptor.clone(),
            None if wanted.lock == Lock::Unlocked => return Ok(()),
            None => owner.descriptor.insert(Arc::new(file.shared.file.open_for_locks()?)).clone(),
        };
        let parts = match wanted.lock {
            Lock::Unlocked => owner.alone(file.inode, &bytes),
            _ => Vec::from([bytes.clone()]),
        };
        parts.iter().try_for_each(|part| lock_bytes(&*descriptor, wanted.lock, part))?;
        owner.note(file.inode, number, wanted, &bytes);
        drop(owner);
        if wanted.lock != Lock::Unlocked {
            file.files.refresh();
        }
        Ok(())
    }

    /// A lock that excludes the one asked for, and its process where that is one of this machine: else 0.
    ///
    /// # Errors
    /// As [`Fs::lock`].
    pub fn test_lock(&self, handle: u64, wanted: &Wanted) -> Result<Option<(Lock, u32)>, Errno> {
        let handle = self.handles.get(handle)?;
        let Handle::File(file) = &*handle else { return Err(Errno::NOLCK) };
        let Some(bytes) = bytes_of(file, &wanted.bytes) else { return Ok(None) };
        let id = file.shared.file.id();
        let owners: Vec<_> = {
            let owners = lock(&self.ranges.0);
            owners
                .iter()
                .filter(|((of, _), _)| *of == id)
                .map(|((_, number), owner)| (*number, owner.clone()))
                .collect()
        };
        let own = owners.iter().find(|(number, _)| *number == wanted.owner);
        let descriptor = match own.and_then(|(_, owner)| lock(owner).descriptor.clone()) {
            Some(descriptor) => descriptor,
            None => Arc::new(file.shared.file.open_for_locks()?),
        };
        let Some(found) = test_bytes(&*descriptor, wanted.lock, &bytes)? else { return Ok(None) };
        let excludes = |held: &Held| {
            let overlaps = held.bytes.start < bytes.end && bytes.start < held.bytes.end;
            overlaps && (held.lock == Lock::Exclusive || wanted.lock == Lock::Exclusive)
        };
        let others = owners.iter().filter(|(number, _)| *number != wanted.owner);
        let process = others.into_iter().find_map(|(_, owner)| {
            let owner = lock(owner);
            owner.held.iter().find(|held| excludes(held)).map(|held| held.process)
        });
        Ok(Some((found, process.unwrap_or(0))))
    }

    /// Notes that an owner closes a descriptor of a view. It is unlocked once that is flushed.
    pub fn closes(&self, handle: u64, owner: u64) {
        if let Ok(handle) = self.handles.get(handle)
            && let Handle::File(file) = &*handle
        {
            lock(&file.closing).push(owner);
        }
    }

    /// Gives up the locks on a view of those who have closed a descriptor of it.
    pub(super) fn unlock_closed(&self, file: &OpenFile) {
        for owner in std::mem::take(&mut *lock(&file.closing)) {
            self.give_up(file, owner, |held| held.inode == file.inode);
        }
    }

    /// Gives up the locks that were taken through a handle, whose last descriptor is closed.
    pub(super) fn unlock_handle(&self, file: &OpenFile, handle: u64) {
        let id = file.shared.file.id();
        let owners: Vec<u64> =
            lock(&self.ranges.0).keys().filter(|(of, _)| *of == id).map(|(_, number)| *number).collect();
        for owner in owners {
            self.give_up(file, owner, |held| held.inode == file.inode && held.handle == handle);
        }
    }

    fn give_up(&self, file: &OpenFile, number: u64, which: impl Fn(&Held) -> bool) {
        let key = (file.shared.file.id(), number);
        let Some(owner) = lock(&self.ranges.0).get(&key).cloned() else { return };
        {
            let mut owner = lock(&owner);
            let (gone, held): (Vec<_>, Vec<_>) = owner.held.drain(..).partition(which);
            owner.held = held;
            let Some(descriptor) = owner.descriptor.clone() else { return };
            for held in gone {
                // No view but this one: what other handles of it have locked is to stay, too.
                let parts = owner.alone(u64::MAX, &held.bytes);
                let unlock = |part: &Range<u64>| lock_bytes(&*descriptor, Lock::Unlocked, part);
                if let Err(error) = parts.iter().try_for_each(unlock) {
                    log::warn!("{}: unlocking: {error}", self.catalog.path_of(&file.tree.description.origin).display());
                }
            }
        }
        let mut owners = lock(&self.ranges.0);
        // Nobody else has it, nor can get it meanwhile.
        if Arc::strong_count(&owner) == 2 && lock(&owner).held.is_empty() {
            owners.remove(&key);
        }
    }

    /// Has other machines see what was written to a view's files: all who open one of them from now on.
    pub(super) fn publish(&self, file: &OpenFile) -> Result<(), Errno> {
        if self.is_remote() && file.access.write { file.files.publish() } else { Ok(()) }
    }
}

fn unlocked_or(lock: Lock, error: Errno) -> Result<(), Errno> {
    if lock == Lock::Unlocked { Ok(()) } else { Err(error) }
}

/// The bytes of the array file that stand for bytes of a view, if there are any.
fn bytes_of(file: &OpenFile, bytes: &Range<u64>) -> Option<Range<u64>> {
    let len = file.body.len();
    let window = bytes.start.min(len)..bytes.end.min(len);
    if window.start >= window.end {
        return None;
    }
    let exact =
        if file.body.is_plain() && file.files.one().is_some() { file.body.view.contiguous(window) } else { None };
    exact.map(|(_, bytes)| bytes).or_else(|| Some(file.lockable.clone())).filter(|bytes| bytes.start < bytes.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_left_with_two_parts_at_most() {
        let check = |other: Range<u64>, left: &[Range<u64>]| {
            assert_eq!(without(&(10..20), &other).collect::<Vec<_>>(), left);
        };
        check(12..15, &[10..12, 15..20]);
        check(0..15, std::slice::from_ref(&(15..20)));
        check(15..30, std::slice::from_ref(&(10..15)));
        check(0..30, &[]);
        check(20..30, std::slice::from_ref(&(10..20)));
        check(0..10, std::slice::from_ref(&(10..20)));
    }

    #[test]
    fn what_another_view_has_locked_stays_so() {
        let mut owner = Owner::default();
        let wanted = |lock| Wanted { owner: 1, process: 2, lock, bytes: 0..0 };
        owner.note(7, 0, &wanted(Lock::Exclusive), &(0..100));
        owner.note(8, 1, &wanted(Lock::Shared), &(40..60));
        assert_eq!(owner.alone(7, &(0..100)), [0..40, 60..100]);
        owner.note(7, 0, &wanted(Lock::Unlocked), &(10..90));
        let mut held: Vec<_> = owner.held.iter().map(|held| (held.inode, held.bytes.clone())).collect();
        held.sort_by_key(|(inode, bytes)| (*inode, bytes.start));
        assert_eq!(held, [(7, 0..10), (7, 90..100), (8, 40..60)]);
    }
}
