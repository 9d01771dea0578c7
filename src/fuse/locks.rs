//! Locks that programs wait for: a thread tries again for them, and ends the wait of who gets a signal.
//!
//! Requests that are interrupted are not told of by `fuser`, so the thread looks itself whether a signal is pending for whoever waits. The
//! kernel lets nobody go, not even a program that is killed, before the request is answered.

use std::fs;
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fuser::{Errno, ReplyEmpty, ReplyLock};

use super::Adapter;
use crate::fs::{Op, Wanted};
use crate::store::Lock;

/// How often a lock is tried for.
const POLL: Duration = Duration::from_millis(20);

/// A program that waits for a lock.
#[derive(Debug)]
pub(super) struct Waiting {
    handle: u64,
    wanted: Wanted,
    thread: u32,
    reply: ReplyEmpty,
}

/// What is asked for; the last byte is named, and not the one behind it.
pub(super) fn wanted(owner: u64, process: u32, kind: i32, (first, last): (u64, u64)) -> Wanted {
    let lock = match kind {
        libc::F_RDLCK => Lock::Shared,
        libc::F_WRLCK => Lock::Exclusive,
        _ => Lock::Unlocked,
    };
    Wanted { owner, process, lock, bytes: first..last.saturating_add(1) }
}

impl Adapter {
    pub(super) fn set_lock(&self, handle: u64, wanted: Wanted, wait: Option<u32>, reply: ReplyEmpty) {
        match (self.call(Op::Setlk, |fs| fs.lock(handle, &wanted)), wait) {
            (Ok(()), _) => reply.ok(),
            (Err(error), Some(thread)) if i32::from(error) == libc::EAGAIN => {
                // Should the thread have ended, the reply answers by itself.
                let _ = self.waits.send(Waiting { handle, wanted, thread, reply });
            }
            (Err(error), _) => reply.error(error),
        }
    }

    pub(super) fn get_lock(&self, handle: u64, wanted: &Wanted, (first, last): (u64, u64), reply: ReplyLock) {
        match self.call(Op::Getlk, |fs| fs.test_lock(handle, wanted)) {
            Ok(None) => reply.locked(first, last, libc::F_UNLCK, 0),
            Ok(Some((Lock::Shared, process))) => reply.locked(first, last, libc::F_RDLCK, process),
            Ok(Some((_, process))) => reply.locked(first, last, libc::F_WRLCK, process),
            Err(error) => reply.error(error),
        }
    }
}

/// Serves those who wait, until the mount is gone.
pub(super) fn serve(adapter: &Adapter, waits: &Receiver<Waiting>) {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        let next = if waiting.is_empty() {
            waits.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            waits.recv_timeout(POLL)
        };
        match next {
            Ok(one) => waiting.push(one),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting = waiting.into_iter().filter_map(|one| try_again(adapter, one)).collect();
    }
}

/// Gives the one back who has to wait on.
fn try_again(adapter: &Adapter, one: Waiting) -> Option<Waiting> {
    if is_interrupted(one.thread) {
        one.reply.error(Errno::EINTR);
        return None;
    }
    match adapter.attempt(|fs| match fs.lock(one.handle, &one.wanted) {
        // No error to be counted each time.
        Err(rustix::io::Errno::AGAIN) => Ok(false),
        outcome => outcome.map(|()| true),
    }) {
        Ok(true) => one.reply.ok(),
        Ok(false) => return Some(one),
        Err(error) => one.reply.error(error),
    }
    None
}

/// Whether a thread is gone, or has a signal pending that it does not ignore. Of one in a namespace of which we know nothing, no.
fn is_interrupted(thread: u32) -> bool {
    if thread == 0 {
        return false;
    }
    match fs::read_to_string(format!("/proc/{thread}/status")) {
        Ok(status) => has_signal(&status),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn has_signal(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| u64::from_str_radix(rest.trim(), 16).ok()).unwrap_or(0)
    };
    let pending = mask("SigPnd:") | mask("ShdPnd:");
    pending & !mask("SigBlk:") & !mask("SigIgn:") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_counts_unless_it_is_blocked_or_ignored() {
        let status = |pending: u64, shared: u64, blocked: u64, ignored: u64| {
            format!(
                "Name:\tx\nSigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n"
            )
        };
        assert!(has_signal(&status(1 << 8, 0, 0, 0)) && has_signal(&status(0, 2, 0, 0)));
        assert!(!has_signal(&status(0, 0, 0, 0)) && !has_signal(&status(2, 0, 2, 0)));
        assert!(!has_signal(&status(0, 2, 0, 2)) && has_signal(&status(0, 3, 1, 0)));
    }

    #[test]
    fn a_thread_that_is_gone_waits_no_more() {
        assert!(!is_interrupted(std::process::id()) && !is_interrupted(0));
        let gone = std::process::Command::new("true").spawn().and_then(|mut child| {
            child.wait()?;
            Ok(child.id())
        });
        assert!(is_interrupted(gone.unwrap()));
    }
}
