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

    /// Counts one more for a user, if that one may open one.
    fn enter(&self, user: u32) -> bool {
        let Some(most) = self.most.filter(|_| self.limits(user)) else { return true };
        let mut open = lock(&self.open);
        let has = open.users.entry(user).or_default();
        let may = *has < most;
        *has += u64::from(may);
        may
    }

    /// Takes that back, where nothing was opened.
    fn leave(&self, user: u32) {
        if self.limits(user) {
            lock(&self.open).give_back(user, 1);
        }
    }

    fn limits(&self, user: u32) -> bool {
        self.most.is_some() && user != 0 && user != self.own
    }

    /// What was counted is this handle, which keeps so many bytes.
    fn opened(&self, user: u32, handle: u64, bytes: u64) {
        if self.limits(user) {
            let mut open = lock(&self.open);
            let more = bytes / BYTES;
            *open.users.entry(user).or_default() += more;
            open.handles.insert(handle, (user, 1 + more));
        }
    }

    /// Must come before the handle is free to be used again.
    pub(super) fn closing(&self, handle: u64) {
        if self.most.is_none() {
            return;
        }
        let mut open = lock(&self.open);
        if let Some((user, count)) = open.handles.remove(&handle) {
            open.give_back(user, count);
        }
    }
}

impl Open {
    fn give_back(&mut self, user: u32, count: u64) {
        if let Some(has) = self.users.get_mut(&user) {
            *has = has.saturating_sub(count);
            if *has == 0 {
                self.users.remove(&user);
            }
        }
    }
}

impl Adapter {
    /// As [`Adapter::attempt`], for what opens a handle on behalf of a user: EMFILE where that one has too many.
    pub(super) fn call_to_open<T>(
        &self,
        user: u32,
        handle: impl FnOnce(&T) -> u64,
        open: impl FnOnce(&Fs) -> Result<T>,
    ) -> std::result::Result<T, Errno> {
        if !self.shares.enter(user) {
            return self.attempt(|_| Err(rustix::io::Errno::MFILE));
        }
        let opened = self.attempt(|fs| {
            let opened = open(fs)?;
            let handle = handle(&opened);
            Ok((opened, handle, fs.kept_bytes(handle)))
        });
        let (opened, handle, bytes) = opened.inspect_err(|_| self.shares.leave(user))?;
        self.shares.opened(user, handle, bytes);
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
            assert!(shares.enter(1000));
            shares.opened(1000, handle, 0);
        }
        assert!(!shares.enter(1000) && shares.enter(7) && shares.enter(0));
        shares.closing(1);
        // One that is being opened counts.
        assert!(shares.enter(1000) && !shares.enter(1000));
        shares.leave(1000);
        assert!(shares.enter(1000));
        shares.opened(1000, 3, 0);
        // A long text counts as many.
        assert!(shares.enter(1001));
        shares.opened(1001, 1, 10 * BYTES);
        assert!(!shares.enter(1001));
        [0, 1, 2, 3].into_iter().for_each(|handle| shares.closing(handle));
        let open = lock(&shares.open);
        assert!(open.users.is_empty() && open.handles.is_empty());
    }

    #[test]
    fn one_user_alone_may_have_all() {
        let shares = Shares::new(None);
        (0..100).for_each(|handle| shares.opened(1000, handle, 0));
        assert!(shares.enter(1000) && lock(&shares.open).users.is_empty());
        shares.closing(5);
    }
}
