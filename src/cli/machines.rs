//! Whether other machines write to the source, too, so that it is to be mounted for them (`--shared`).

use std::path::Path;

use super::mount::start;
use super::{Failure, privileges};
use crate::fuse::Server;
use crate::mount;

/// Types of file systems that machines share, as the table of mounts calls them.
const SHARED: &[&str] = &[
    "9p",
    "acfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.davfs",
    "fuse.glusterfs",
    "fuse.juicefs",
    "fuse.lizardfs",
    "fuse.mfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.saunafs",
    "fuse.seaweedfs",
    "fuse.sshfs",
    "gfs2",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "pvfs2",
    "smb3",
    "virtiofs",
];

/// What is known of who writes to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machines {
    /// Whether it is mounted for several machines.
    several: bool,
    /// What there is to say about it.
    note: Option<String>,
}

impl Machines {
    /// Looks at what the source lies on. `asked` is what `--shared` or `--no-shared` said.
    pub(super) fn of(source: &Path, asked: Option<bool>, cow: bool) -> Machines {
        if cow && asked != Some(true) {
            // Nothing is written there, and nobody else sees what is.
            return Machines { several: false, note: None };
        }
        let found = source.canonicalize().ok().and_then(|source| mount::containing(&source));
        Machines::on(found.as_ref().map_or("an unknown file system", |entry| &entry.kind), asked)
    }

    fn on(kind: &str, asked: Option<bool>) -> Machines {
        let is_shared = SHARED.contains(&kind);
        let note = match asked {
            None if is_shared => Some(format!(
                "lies on {kind}, which machines share: mounted as with --shared; if no other one writes there, --no-shared is faster"
            )),
            None if kind == "fuse" || kind.starts_with("fuse.") || kind.starts_with("fuseblk") => {
                Some(format!("lies on {kind}: if other machines write there, too, mount it with --shared"))
            }
            Some(false) if is_shared => Some(format!(
                "lies on {kind}, and is mounted with --no-shared: if another machine writes there, what it wrote may be lost"
            )),
            _ => None,
        };
        Machines { several: asked.unwrap_or(is_shared), note }
    }

    /// Whether it is mounted for several machines. Refuses what cannot be done then.
    ///
    /// # Errors
    /// For `--update-checksums` and `--cow`.
    pub(super) fn check(&self, source: &Path, update_checksums: bool, cow: bool) -> Result<bool, Failure> {
        if self.several && cow {
            return Err(Failure(format!(
                "{}: --cow cannot go with --shared: what is written is shown by this mount alone; leave one of them out",
                source.display()
            )));
        }
        if self.several && update_checksums {
            return Err(Failure(format!(
                "{}: --update-checksums cannot go with --shared: machines that write at once would leave a wrong checksum; \
                 if no other machine writes, mount with --no-shared",
                source.display()
            )));
        }
        Ok(self.several)
    }

    /// Logs what there is to say, and starts the thread that serves those who wait for a lock, if locks are to reach other machines. It
    /// has no capability.
    ///
    /// # Errors
    /// If there is no thread to be had, or the kernel does not take privileges back.
    pub(super) fn start(&self, source: &Path, server: &mut Server) -> Result<(), Failure> {
        if let Some(note) = &self.note {
            log::warn!("{}: {note}", source.display());
        }
        if !self.several {
            return Ok(());
        }
        let serve = server.lock_service();
        let (started, outcome) = std::sync::mpsc::channel();
        start("locks", move || {
            let kept = privileges::keep(privileges::NONE);
            let stays = kept.is_ok();
            // Whoever started it waits for it.
            let _ = started.send(kept);
            if stays {
                serve();
            }
        })?;
        outcome.recv().map_err(Failure::new)?.map_err(Failure::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_unless_somebody_does() {
        let check = |kind, asked, several, word: &str| {
            let found = Machines::on(kind, asked);
            assert_eq!(found.several, several, "{kind} {asked:?}");
            let note = found.note.unwrap_or_default();
            assert!(note.contains(word) && note.is_empty() == word.is_empty(), "{kind} {asked:?}: {note}");
        };
        check("ext4", None, false, "");
        check("ext4", Some(true), true, "");
        check("ext4", Some(false), false, "");
        for kind in ["nfs4", "fuse.glusterfs", "lustre"] {
            check(kind, None, true, "as with --shared");
            check(kind, Some(true), true, "");
            check(kind, Some(false), false, "may be lost");
        }
        check("fuse.bindfs", None, false, "mount it with --shared");
        check("fuse", None, false, "mount it with --shared");
        check("fuse.bindfs", Some(true), true, "");
    }

    #[test]
    fn the_names_are_in_order() {
        assert!(SHARED.is_sorted());
    }
}
