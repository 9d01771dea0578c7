//! The session: the handshake, the event loops, and the thread that drops stale pages.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use fuser::{Config, INodeNo, Notifier, ReplyWrite, Session, SessionACL};

use super::Adapter;
use crate::fs::Fs;

/// A mount that answers, ready to serve.
#[derive(Debug)]
pub struct Server {
    session: Session<Adapter>,
    stale: Receiver<Stale>,
}

impl Server {
    /// Shakes hands with the kernel over a descriptor of `/dev/fuse` that is mounted. Afterwards the mount answers.
    ///
    /// # Errors
    /// If the kernel is too old, or the mount is gone already.
    pub fn new(fs: Arc<Fs>, device: OwnedFd, threads: usize, allow_other: bool) -> std::io::Result<Server> {
        let (sender, stale) = channel();
        let mut config = Config::default();
        config.n_threads = Some(threads);
        config.clone_fd = threads > 1;
        let acl = if allow_other { SessionACL::All } else { SessionACL::Owner };
        config.acl = acl;
        let session = Session::from_fd(Adapter::new(fs, sender), device, acl, config)?;
        Ok(Server { session, stale })
    }

    /// Serves requests until the file system is unmounted.
    ///
    /// # Errors
    /// What reading requests met.
    pub fn run(self) -> std::io::Result<()> {
        let notifier = self.session.notifier();
        let stale = self.stale;
        std::thread::Builder::new().name("notifier".into()).spawn(move || drop_stale_pages(&notifier, &stale))?;
        self.session.run()
    }
}

/// Inodes whose cached pages are to be dropped, and the write that waits for it.
pub(super) struct Stale {
    pub(super) inodes: Vec<u64>,
    pub(super) reply: Option<(ReplyWrite, u32)>,
}

fn drop_stale_pages(notifier: &Notifier, stale: &Receiver<Stale>) {
    while let Ok(Stale { inodes, reply }) = stale.recv() {
        for inode in inodes {
            // An inode that the kernel has forgotten has no pages.
            if let Err(error) = notifier.inval_inode(INodeNo(inode), 0, 0)
                && error.raw_os_error() != Some(libc::ENOENT)
            {
                log::warn!("inode {inode}: dropping stale pages: {error}");
            }
        }
        if let Some((reply, count)) = reply {
            reply.written(count);
        }
    }
}
