//! What the kernel offers, as it says when hands are shaken; nothing is served.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use fuser::{Config, Filesystem, InitFlags, KernelConfig, Request, Session, SessionACL};

use crate::store::lock;

/// What the kernel offers to a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version of the FUSE protocol: major, minor.
    pub version: (u32, u32),
    /// Whether files that are read directly can be mapped shared.
    pub shared_mappings: bool,
    /// Whether a file can be read by the kernel from the one below.
    pub passthrough: bool,
}

struct Probe(Arc<Mutex<Option<Offer>>>);

impl Filesystem for Probe {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let (abi, offered) = (config.kernel_abi(), config.capabilities());
        *lock(&self.0) = Some(Offer {
            version: (abi.0, abi.1),
            shared_mappings: offered.contains(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP),
            passthrough: offered.contains(InitFlags::FUSE_PASSTHROUGH),
        });
        Ok(())
    }
}

/// Shakes hands with the kernel over a descriptor of `/dev/fuse` that is mounted, and closes it: the mount is dead then.
///
/// # Errors
/// If the kernel is too old, or the mount is gone already.
pub fn probe(device: OwnedFd) -> io::Result<Offer> {
    let found = Arc::default();
    Session::from_fd(Probe(Arc::clone(&found)), device, SessionACL::Owner, Config::default())?;
    let offer = *lock(&found);
    offer.ok_or_else(|| io::Error::other("the kernel did not say what it offers"))
}
