//! Locks as the programs of a file's format take them: `flock(2)`, shared for reading, exclusive for writing.
//!
//! A lock belongs to an open file and not to a handle, so handles are counted: as long as one of them writes, the lock is
//! exclusive. Nobody waits for a lock. A file with an overlay is only read, whatever its handles do.

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, Result};

use super::{File, lock};

/// How many handles of a file have it locked.
#[derive(Debug, Default)]
pub(super) struct Locks {
    readers: usize,
    writers: usize,
}

impl File {
    /// Takes a lock for one more handle.
    ///
    /// # Errors
    /// EAGAIN where another program has a lock that excludes it.
    pub fn take_lock(&self, write: bool) -> Result<()> {
        let mut locks = lock(&self.locks);
        let write = write && !self.is_covered();
        if write && locks.writers == 0 {
            let writable = self.writable()?;
            // A lock of our own, on another descriptor, would exclude this one as well.
            if locks.readers > 0 {
                quietly(flock(self.fd(), FlockOperation::Unlock))?;
            }
            if let Err(error) = quietly(flock(writable, FlockOperation::NonBlockingLockExclusive)) {
                if locks.readers > 0 {
                    quietly(flock(self.fd(), FlockOperation::NonBlockingLockShared))?;
                }
                return Err(error);
            }
        } else if !write && locks.readers + locks.writers == 0 {
            quietly(flock(self.fd(), FlockOperation::NonBlockingLockShared))?;
        }
        *(if write { &mut locks.writers } else { &mut locks.readers }) += 1;
        Ok(())
    }

    /// Gives up the lock of a handle.
    pub fn give_up_lock(&self, write: bool) {
        let mut locks = lock(&self.locks);
        let write = write && !self.is_covered();
        *(if write { &mut locks.writers } else { &mut locks.readers }) -= 1;
        if locks.writers > 0 {
            return;
        }
        let given_up = match (write, locks.readers) {
            (true, readers) => {
                self.writable().and_then(|writable| flock(writable, FlockOperation::Unlock)).and_then(|()| {
                    if readers > 0 { flock(self.fd(), FlockOperation::NonBlockingLockShared) } else { Ok(()) }
                })
            }
            (false, 0) => flock(self.fd(), FlockOperation::Unlock),
            (false, _) => Ok(()),
        };
        if let Err(error) = quietly(given_up) {
            log::warn!("device {} inode {}: giving a lock up: {error}", self.id.device, self.id.inode);
        }
    }
}

/// File systems without locks do without.
fn quietly(answer: Result<()>) -> Result<()> {
    match answer {
        Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(()),
        answer => answer,
    }
}
