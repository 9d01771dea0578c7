//! The thread that unmounts. All others have given up the right to by the time that they serve.

use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::thread::CapabilitySet;

use super::{Failure, privileges};
use crate::mount::Mount;

/// How to reach the thread.
#[derive(Clone, Debug)]
pub(super) struct Unmounter {
    orders: Sender<Sender<Answer>>,
}

type Answer = Result<(), String>;

impl Unmounter {
    /// Starts the thread, which keeps these capabilities alone; or all rights of an ordinary user, who unmounts by a setuid
    /// helper.
    ///
    /// # Errors
    /// If there is no thread to be had, or the kernel does not take privileges back.
    pub(super) fn start(mounted: Mount, kept: Option<CapabilitySet>) -> Result<Unmounter, Failure> {
        let (orders, ordered) = channel();
        let (started, outcome) = channel();
        let started = std::thread::Builder::new().name("unmounter".into()).spawn(move || {
            let kept = kept.map_or(Ok(()), privileges::keep);
            let stays = kept.is_ok();
            // Whoever asked waits for it.
            let _ = started.send(kept);
            if stays {
                work(&mounted, &ordered);
            }
        });
        started.map_err(|error| super::mount::too_few("the thread of unmounter", &error))?;
        outcome.recv().map_err(Failure::new)?.map_err(Failure::new)?;
        Ok(Unmounter { orders })
    }

    /// Unmounts, if it is still there.
    ///
    /// # Errors
    /// As [`Mount::unmount`].
    pub(super) fn unmount(&self) -> Result<(), Failure> {
        let (sender, answer) = channel();
        let ended = || Failure::new("the thread that unmounts has ended");
        self.orders.send(sender).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?.map_err(Failure)
    }
}

fn work(mounted: &Mount, ordered: &Receiver<Sender<Answer>>) {
    while let Ok(answer) = ordered.recv() {
        // Whoever asked may have ended meanwhile.
        let _ = answer.send(mounted.unmount().map_err(|error| error.to_string()));
    }
}
