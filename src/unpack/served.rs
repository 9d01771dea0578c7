//! Arrays that lie plainly in their file.

use std::fs::File;

use super::target::Target;
use super::{Fault, Job, PIECE, Site, go_on};
use crate::catalog::Described;
use crate::layout::Selection;
use crate::runs::View;
use crate::store;

/// An array as the mount would show it.
#[derive(Debug)]
pub(super) struct Served(Described);

impl Served {
    pub(super) fn new(described: Described) -> Served {
        Served(described)
    }
}

impl Job for Served {
    fn bytes(&self) -> u64 {
        let grid = &self.0.description.array.grid;
        crate::layout::count(grid.shape()) * grid.itemsize()
    }

    fn write(&self, file: File, site: &Site<'_>) -> Result<(), Fault> {
        let Described { description, file: source, .. } = &self.0;
        let (array, files) = (&description.array, description.files(source));
        let (shape, itemsize) = (array.grid.shape(), array.grid.itemsize());
        let target = Target::new(file, &array.dtype, shape, site.store)?;
        let view = View::new(&array.grid, &Selection::whole(shape, itemsize));
        let mut buffer = vec![0; PIECE.min(usize::try_from(view.len()).unwrap_or(PIECE))];
        let mut at = 0;
        while at < view.len() {
            go_on(site.watch)?;
            let len = (view.len() - at).min(buffer.len() as u64);
            let piece = &mut buffer[..len as usize];
            store::gather(&files, &array.fill, &view, at..at + len, piece)
                .map_err(|error| Fault(format!("cannot be read: {error}; it may have been truncated")))?;
            target.put_run(at, piece)?;
            site.watch.advance(len);
            at += len;
        }
        target.finish()
    }
}
