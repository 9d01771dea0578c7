//! Calling the file system: every request is counted, every error, and a panic is caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuser::Errno;

use super::{Adapter, Result};
use crate::fs::{Fs, Op};

impl Adapter {
    /// Calls the file system. A panic there is a bug, and costs the one request: EIO.
    pub(super) fn attempt<T>(&self, f: impl FnOnce(&Fs) -> Result<T>) -> std::result::Result<T, Errno> {
        let outcome = catch_unwind(AssertUnwindSafe(|| f(&self.fs))).unwrap_or(Err(rustix::io::Errno::IO));
        outcome.map_err(|error| {
            self.fs.count_error(error);
            Errno::from_i32(error.raw_os_error())
        })
    }

    /// As [`Adapter::attempt`], for a request that is not timed and that one call serves.
    pub(super) fn call<T>(&self, op: Op, f: impl FnOnce(&Fs) -> Result<T>) -> std::result::Result<T, Errno> {
        self.fs.count(op);
        self.attempt(f)
    }

    /// As [`Adapter::call`], for what cannot fail.
    pub(super) fn run(&self, op: Op, f: impl FnOnce(&Fs)) -> std::result::Result<(), Errno> {
        self.call(op, |fs| {
            f(fs);
            Ok(())
        })
    }

    /// The answer to a request that is never served.
    pub(super) fn refuse(&self, op: Op, error: Errno) -> Errno {
        self.fs.count_error(rustix::io::Errno::from_raw_os_error(error.into()));
        self.decline(op, error)
    }

    /// The answer to a request whose refusal is no fault of anybody.
    pub(super) fn decline(&self, op: Op, error: Errno) -> Errno {
        self.fs.count(op);
        error
    }
}
