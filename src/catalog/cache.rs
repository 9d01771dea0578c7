//! Descriptions and open files that are remembered, so many of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::describe::Contents;
use super::{Origin, Stamp};
use crate::store::File;

/// So many descriptions and open files are remembered. Handles keep what they use beyond that.
const REMEMBERED: usize = 256;

/// Remembered descriptions and open files.
#[derive(Debug, Default)]
pub(super) struct Cache {
    clock: u64,
    pub(super) slots: HashMap<Origin, Slot>,
}

#[derive(Debug)]
pub(super) struct Slot {
    used: u64,
    pub(super) stamps: Stamps,
    pub(super) known: Known,
}

/// What a file holds, and the file, or the reason why it cannot be served.
type Known = Result<(Arc<Contents>, Arc<File>), Arc<str>>;

/// The file's stamp, and its sidecar's.
pub(super) type Stamps = (Stamp, Option<Stamp>);

impl Cache {
    pub(super) fn get(&mut self, origin: &Origin) -> Option<&mut Slot> {
        self.clock += 1;
        let slot = self.slots.get_mut(origin)?;
        slot.used = self.clock;
        Some(slot)
    }

    /// Remembers, and hands back what is forgotten for it: files are closed, and perhaps synced, without the lock.
    pub(super) fn put(&mut self, origin: Origin, stamps: Stamps, known: Known) -> Vec<Slot> {
        self.clock += 1;
        let mut forgotten = Vec::new();
        if self.slots.len() >= REMEMBERED && !self.slots.contains_key(&origin) {
            // The older half goes, so that this search is rare.
            let mut ages: Vec<u64> = self.slots.values().map(|slot| slot.used).collect();
            let middle = ages.len() / 2;
            let limit = *ages.select_nth_unstable(middle).1;
            forgotten.extend(self.slots.extract_if(|_, slot| slot.used <= limit).map(|(_, slot)| slot));
        }
        forgotten.extend(self.slots.insert(origin, Slot { used: self.clock, stamps, known }));
        forgotten
    }
}
