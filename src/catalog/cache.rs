//! What was used last: so many things of one kind, of which the oldest go.

use std::collections::HashMap;
use std::hash::Hash;

/// At most so many things, by key.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    clock: u64,
    things: HashMap<K, (u64, V)>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Recent<K, V> {
        Recent { most, clock: 0, things: HashMap::new() }
    }

    /// The thing of a key, which is used by that.
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        self.clock += 1;
        let (used, thing) = self.things.get_mut(key)?;
        *used = self.clock;
        Some(thing)
    }

    /// Remembers, and hands back what is forgotten for it: files are closed, and perhaps synced, without any lock.
    pub(super) fn put(&mut self, key: K, thing: V) -> Vec<V> {
        self.clock += 1;
        let mut forgotten = Vec::new();
        if self.things.len() >= self.most && !self.things.contains_key(&key) {
            // The older half goes, so that this search is rare.
            let mut ages: Vec<u64> = self.things.values().map(|(used, _)| *used).collect();
            let middle = ages.len() / 2;
            let limit = *ages.select_nth_unstable(middle).1;
            forgotten.extend(self.take(|_, used, _| used <= limit));
        }
        forgotten.extend(self.things.insert(key, (self.clock, thing)).map(|(_, thing)| thing));
        forgotten
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.things.remove(key).map(|(_, thing)| thing)
    }

    /// Takes those out for which `which` answers true to key, time of last use, and thing.
    pub(super) fn take(&mut self, which: impl Fn(&K, u64, &V) -> bool) -> Vec<V> {
        self.things.extract_if(|key, (used, thing)| which(key, *used, thing)).map(|(_, (_, thing))| thing).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.things.iter().map(|(key, (_, thing))| (key, thing))
    }
}
