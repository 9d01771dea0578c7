//! Open files and folders, by number.

use std::sync::{Arc, RwLock};

use rustix::io::Errno;

use super::listing::OpenFolder;
use super::open::OpenFile;
use crate::store::{change, share};

/// What a handle stands for.
#[derive(Debug)]
pub(super) enum Handle {
    /// Bytes of an array.
    File(Box<OpenFile>),
    /// A text made when it was opened.
    Text(Box<[u8]>),
    /// A text that orders are written to: see `orders`.
    Orders(Box<[u8]>),
    /// A folder that is being listed.
    Folder(OpenFolder),
}

/// All handles.
#[derive(Debug, Default)]
pub(super) struct Handles {
    slots: RwLock<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    handles: Vec<Option<Arc<Handle>>>,
    free: Vec<usize>,
}

impl Handles {
    pub(super) fn insert(&self, handle: Handle) -> u64 {
        let mut slots = change(&self.slots);
        let handle = Some(Arc::new(handle));
        match slots.free.pop() {
            Some(at) => {
                slots.handles[at] = handle;
                at as u64
            }
            None => {
                slots.handles.push(handle);
                slots.handles.len() as u64 - 1
            }
        }
    }

    pub(super) fn get(&self, number: u64) -> Result<Arc<Handle>, Errno> {
        let slots = share(&self.slots);
        slots.handles.get(number as usize).and_then(Clone::clone).ok_or(Errno::BADF)
    }

    pub(super) fn remove(&self, number: u64) -> Option<Arc<Handle>> {
        let mut slots = change(&self.slots);
        let handle = slots.handles.get_mut(number as usize)?.take()?;
        slots.free.push(number as usize);
        Some(handle)
    }

    /// How many handles are open, and how many of them stand for files.
    pub(super) fn count(&self) -> (usize, usize) {
        let slots = share(&self.slots);
        let folders = slots.handles.iter().flatten().filter(|handle| matches!(***handle, Handle::Folder(_))).count();
        let open = slots.handles.len() - slots.free.len();
        (open, open - folders)
    }

    /// All that are open.
    pub(super) fn all(&self) -> Vec<Arc<Handle>> {
        let slots = share(&self.slots);
        slots.handles.iter().flatten().cloned().collect()
    }
}
