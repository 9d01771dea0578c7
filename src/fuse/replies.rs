//! Answers that have to wait for other things to be done, or that have these done.

use fuser::{Errno, ReplyWrite};

use super::Adapter;
use super::server::{Job, Write};
use crate::fs::{Begun, Cached, Written};

impl Adapter {
    /// Replies to a write, or has it done later, once pages of other views are dropped: `again` does it.
    pub(super) fn written(
        &self,
        begun: Begun,
        outcome: std::result::Result<Written, Errno>,
        again: impl FnOnce() -> Box<Write>,
        reply: ReplyWrite,
    ) {
        match outcome {
            Err(error) => reply.error(error),
            Ok(written) if written.is_put_off() => {
                return self.send(Job::Write(begun, written.cached, again(), reply));
            }
            Ok(written) => {
                self.drop_pages(written.cached);
                reply.written(written.count as u32);
            }
        }
        self.fs.end(begun);
    }

    /// Has pages dropped, without waiting for it. An fsync that is asked for later is answered after it.
    pub(super) fn drop_pages(&self, cached: Vec<Cached>) {
        if !cached.is_empty() {
            self.send(Job::Drop(cached));
        }
    }

    pub(super) fn send(&self, job: Job) {
        // The notifier lives as long as the session; after it a dropped reply answers by itself.
        let _ = self.jobs.send(job);
    }
}
