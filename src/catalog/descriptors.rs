//! What is done where descriptors are few: files that no handle needs are closed first, and then opening is EMFILE. The last
//! descriptors are for passing use ([`Limits::files`](crate::store::Limits::files)), so that whatever is open, names are found,
//! arrays described and folders listed.

use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::describe::{Contents, Slot};
use super::{Catalog, Described, Listing, Origin, Problem};
use crate::store::{File, lock};

impl Catalog {
    /// Sees to it that a handle may keep the file of an array open, also for writing where that is asked for.
    ///
    /// # Errors
    /// EMFILE where there are too few descriptors even without the files that no handle needs; ESTALE if the file is another by
    /// now; as [`File::writable`].
    pub fn keep(&self, described: Described, write: bool) -> Result<Described, Errno> {
        match described.file.keep(write) {
            Err(Errno::MFILE | Errno::NFILE) => {}
            kept => return kept.map(|()| described),
        }
        let (origin, id) = (described.description.origin.clone(), described.description.id);
        drop(described);
        self.let_go();
        let described = self.describe(&origin).map_err(|problem| match problem {
            Problem::Errno(error) => error,
            Problem::Refused(_) => Errno::STALE,
        })?;
        if described.description.id != id {
            return Err(Errno::STALE);
        }
        described.file.keep(write)?;
        Ok(described)
    }

    /// Closes the files that no handle needs, so that there are descriptors for others.
    pub(super) fn let_go(&self) {
        let is_unused =
            |_: &Origin, _, slot: &Slot| slot.known.as_ref().is_ok_and(|(_, file)| Arc::strong_count(file) == 1);
        // Closed, and perhaps synced, without the lock.
        let unused = lock(&self.cache).take(is_unused);
        drop(unused);
        self.opened.let_go();
    }

    /// As [`Catalog::list`], for a listing that may stay open.
    ///
    /// # Errors
    /// EMFILE where there are too few descriptors for that; what `open(2)` answers.
    pub fn list_and_keep(&self, folder: &Path) -> Result<Listing, Errno> {
        let is_kept = |listed: &Result<Listing, Errno>| match listed {
            Ok(listing) => self.store.keeps_folder(&listing.fd),
            Err(error) => !matches!(*error, Errno::MFILE | Errno::NFILE),
        };
        let mut listed = self.list(folder);
        if !is_kept(&listed) {
            drop(listed);
            self.let_go();
            listed = self.list(folder);
        }
        if is_kept(&listed) { listed } else { Err(Errno::MFILE) }
    }
}

/// Whether there are too few descriptors for a file that is to stay open.
pub(super) fn is_short(read: &Result<(Arc<Contents>, Arc<File>), Problem>) -> bool {
    match read {
        Ok((_, file)) => file.is_passing(),
        Err(problem) => matches!(problem, Problem::Errno(Errno::MFILE | Errno::NFILE)),
    }
}
