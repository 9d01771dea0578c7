//! Files that are written as a whole, by one who wants to know beforehand whether that can be, and afterwards why it could not.

use rustix::io::Errno;

use super::handles::Handle;
use super::io::Source;
use super::spool::Fault;
use super::{Fs, Node};

impl Fs {
    /// The length that what is written to a file must have; nothing where that is for its content to say, as of texts and pictures,
    /// which are stored when they are complete.
    pub fn exact_len(&self, handle: u64) -> Option<u64> {
        match &*self.handles.get(handle).ok()? {
            Handle::File(file) if file.body.text().is_none() && !file.body.is_picture() => Some(file.body.len()),
            _ => None,
        }
    }

    /// Why a file's array may not be written, where its format forbids it: a clause that follows "is read-only: ".
    pub fn why_read_only(&self, inode: u64) -> Option<String> {
        match self.node(inode).ok()? {
            Node::Leaf(tree, ..) => tree.description.array.read_only.clone(),
            _ => None,
        }
    }

    /// Stores what waits to be complete, and makes all that was written durable.
    ///
    /// # Errors
    /// Why it is refused, for people: where in a text, and what is wrong there. The array is then as it was.
    pub fn finish(&self, handle: u64) -> Result<(), String> {
        let fault = |error: Errno| Fault::from(error).to_string();
        match &*self.handles.get(handle).map_err(fault)? {
            Handle::File(file) => {
                self.complete(file, Source::Insistent).map_err(|fault| fault.to_string())?;
            }
            Handle::Text(_) | Handle::Orders(_) | Handle::Folder(_) => {}
        }
        self.fsync(handle, Source::Insistent).map(|_| ()).map_err(fault)
    }
}
