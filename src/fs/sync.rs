//! Writing everything back.

use super::Fs;
use super::handles::Handle;
use crate::catalog::Description;
use crate::store::File;

impl Fs {
    /// Writes back everything, as unmounting does.
    pub fn sync_all(&self) {
        for handle in self.handles.all() {
            if let Handle::File(file) = &*handle {
                sync_file(&file.shared.file);
                self.sync_pieces(&file.tree.description);
            }
        }
        self.catalog.remembered_files().iter().for_each(|file| sync_file(file));
        self.catalog.remembered_in_pieces().iter().for_each(|description| self.sync_pieces(description));
        if let Some(shelf) = self.catalog.store().shelf().filter(|shelf| shelf.is_kept())
            && let Err(error) = shelf.save_all()
        {
            log::error!("overlays: writing back failed: {error}");
        }
    }

    fn sync_pieces(&self, description: &Description) {
        if let Err(error) = description.sync_pieces() {
            log::error!("{}: writing back failed: {error}", self.catalog.path_of(&description.origin).display());
        }
    }
}

fn sync_file(file: &File) {
    if file.is_dirty()
        && let Err(error) = file.sync_all()
    {
        log::error!("device {} inode {}: writing back failed: {error}", file.id().device, file.id().inode);
    }
}
