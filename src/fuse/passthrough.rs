//! Files that the kernel reads itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use fuser::{BackingId, FileHandle, FopenFlags, ReplyOpen};

use super::{Adapter, DIRECT};
use crate::fs::{Opened, Path};

/// The open inodes that are passed through to their array files, and by how many handles.
pub(super) type Backings = Mutex<HashMap<u64, (usize, BackingId)>>;

impl Adapter {
    pub(super) fn opened(&self, inode: u64, write: bool, opened: Opened, reply: ReplyOpen) {
        let handle = FileHandle(opened.handle);
        let mut flags = if opened.flush { FopenFlags::empty() } else { FopenFlags::FOPEN_NOFLUSH };
        match opened.path {
            Path::Cached => {}
            Path::Whole if self.passthrough.load(Ordering::Relaxed) => {
                // Writes come here, so that other views hear of them; reads and mappings go to the array file.
                if write {
                    flags |= DIRECT;
                }
                return self.opened_whole(inode, handle, flags, reply);
            }
            Path::Whole | Path::Direct => flags |= DIRECT,
        }
        reply.opened(handle, flags);
    }

    /// Passes an open file through to its array file. All handles of an inode share one registration with the kernel.
    fn opened_whole(&self, inode: u64, handle: FileHandle, flags: FopenFlags, reply: ReplyOpen) {
        let mut backings = crate::store::lock(&self.backings);
        if let Some((handles, backing)) = backings.get_mut(&inode) {
            *handles += 1;
            return reply.opened_passthrough(handle, flags, backing);
        }
        let backing = match self.attempt(|fs| Ok(fs.array_file(handle.0))) {
            Ok(Some(file)) => reply.open_backing(file.fd()),
            Ok(None) | Err(_) => Err(std::io::Error::from_raw_os_error(libc::EBADF)),
        };
        match backing {
            Ok(backing) => {
                let (_, backing) = backings.entry(inode).or_insert((1, backing));
                reply.opened_passthrough(handle, flags, backing);
            }
            Err(error) => {
                // Without the right to it (CAP_SYS_ADMIN), or on file systems that are stacked already.
                log::debug!("files are not passed through: {error}");
                self.passthrough.store(false, Ordering::Relaxed);
                reply.opened(handle, flags | DIRECT);
            }
        }
    }

    pub(super) fn released(&self, inode: u64) {
        let mut backings = crate::store::lock(&self.backings);
        if let Some((handles, _)) = backings.get_mut(&inode) {
            *handles -= 1;
            if *handles == 0 {
                backings.remove(&inode);
            }
        }
    }
}
