//! How much each user may have open, so that nobody can use up what there is for all.

use std::collections::HashMap;
use std::sync::Mutex;

use fuser::Errno;

use super::{Adapter, Result};
use crate::fs::Fs;
use crate::store::lock;

/// Bytes of a text that is kept for a handle that count as much as the handle itself.
const BYTES: u64 = 64 << 10;

/// Who has what open.
#[derive(Debug)]
pub(super) struct Shares {
    /// What each may have; nothing where only one user is let in.
    most: Option<u64>,
    /// The user who mounted, who may have all.
    own: u32,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// What each user has.
    users: HashMap<u32, u64>,
    /// Whose each handle is, and what it counts.
    handles: HashMap<u64, (u32, u64)>,
}

impl Shares {
    pub(super) fn new(most: Option<u64>) -> Shares {
        Shares { most, own: rustix::process::geteuid().as_raw(), open: Mutex::default() }
    }

    /// Whether a user may open one more. Requests that come at once may all be the last one.
    fn admits(&self, user: u32) -> bool {
        let Some(most) = self.most.filter(|_| self.limits(user)) else { return true };
        lock(&self.open).users.get(&user).is_none_or(|&has| has < most)
    }

    fn limits(&self, user: u32) -> bool {
        self.most.is_some() && user != 0 && user != self.own
    }

    fn opened(&self, user: u32, handle: u64, bytes: u64) {
        if self.limits(user) {
            let mut open = lock(&self.open);
            let weight = 1 + bytes / BYTES;
            *open.users.entry(user).or_default() += weight;
            open.handles.insert(handle, (user, weight));
        }
    }

    /// Must come before the handle is free to be used again.
    pub(super) fn closing(&self, handle: u64) {
        if self.most.is_none() {
            return;
        }
        let mut open = lock(&self.open);
        let Some((user, weight)) = open.handles.remove(&handle) else { return };
        if let Some(has) = open.users.get_mut(&user) {
            *has -= weight;
            if *has == 0 {
                open.users.remove(&user);
            }
        }
    }
}

impl Adapter {
    /// As [`Adapter::call`], for what opens a handle on behalf of a user: EMFILE where that one has too many.
    pub(super) fn call_to_open<T>(
        &self,
        user: u32,
        handle: impl FnOnce(&T) -> u64,
        open: impl FnOnce(&Fs) -> Result<T>,
    ) -> std::result::Result<T, Errno> {
        let opened = self.call(|fs| if self.shares.admits(user) { open(fs) } else { Err(rustix::io::Errno::MFILE) })?;
        let handle = handle(&opened);
        self.shares.opened(user, handle, self.fs.kept_bytes(handle));
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_share() {
        let shares = Shares { most: Some(3), own: 7, open: Mutex::default() };
        for handle in 0..3 {
            assert!(shares.admits(1000));
            shares.opened(1000, handle, 0);
        }
        assert!(!shares.admits(1000) && shares.admits(1001) && shares.admits(7) && shares.admits(0));
        shares.closing(1);
        assert!(shares.admits(1000));
        // A long text counts as many.
        shares.opened(1001, 1, 10 * BYTES);
        assert!(!shares.admits(1001));
        [0, 1, 2, 3].into_iter().for_each(|handle| shares.closing(handle));
        let open = lock(&shares.open);
        assert!(open.users.is_empty() && open.handles.is_empty());
    }

    #[test]
    fn one_user_alone_may_have_all() {
        let shares = Shares::new(None);
        (0..100).for_each(|handle| shares.opened(1000, handle, 0));
        assert!(shares.admits(1000) && lock(&shares.open).users.is_empty());
        shares.closing(5);
    }
}
