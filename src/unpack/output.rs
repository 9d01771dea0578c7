//! A file or a folder that is made beside its final name, and gets that only when it is whole and durable. Until
//! then, whatever ends the work, it is removed again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::{Fault, extension};

/// So many names are tried for what is being made.
const TRIES: u32 = 100;

/// What is being made.
#[derive(Debug)]
pub(crate) struct Pending {
    out: PathBuf,
    temporary: PathBuf,
    is_folder: bool,
    force: bool,
}

impl Pending {
    /// Begins a file.
    pub(crate) fn file(out: &Path, force: bool) -> Result<(Pending, File), Fault> {
        match fs::symlink_metadata(out) {
            Ok(found) if found.is_dir() => return Err(Fault::of(out, "is a folder, and a file is to be written")),
            Ok(_) if !force => return Err(exists(out)),
            _ => {}
        }
        let mut made = None;
        let temporary = beside(out, |path| {
            made = Some(OpenOptions::new().read(true).write(true).create_new(true).open(path)?);
            Ok(())
        })?;
        let pending = Pending { out: out.to_owned(), temporary, is_folder: false, force };
        match made {
            Some(file) => Ok((pending, file)),
            None => Err(Fault::of(out, "cannot be made")),
        }
    }

    /// Begins a folder of `.npy` files.
    pub(super) fn folder(out: &Path, force: bool) -> Result<Pending, Fault> {
        Pending::folder_that(out, force, holds_copies_alone, "more than .npy files")
    }

    /// Begins a folder, which may take the place of one that `may_go`; another `holds` what makes that a loss.
    pub(crate) fn folder_that(
        out: &Path,
        force: bool,
        may_go: fn(&Path) -> io::Result<bool>,
        holds: &str,
    ) -> Result<Pending, Fault> {
        match fs::symlink_metadata(out) {
            Ok(_) if !force => return Err(exists(out)),
            Ok(found) if !found.is_dir() => return Err(Fault::of(out, "is a file, and a folder is to be written")),
            Ok(_) if !may_go(out).map_err(|error| Fault::of(out, error))? => {
                let why = format!("holds {holds}, so that it is not replaced; name another folder, or remove it");
                return Err(Fault::of(out, why));
            }
            _ => {}
        }
        let temporary = beside(out, |path| fs::create_dir(path))?;
        Ok(Pending { out: out.to_owned(), temporary, is_folder: true, force })
    }

    /// A new file in the folder, and the folders that lead to it.
    pub(crate) fn file_within(&self, path: &Path) -> Result<File, Fault> {
        let place = self.temporary.join(path);
        let shown = || self.out.join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|error| Fault::of(&shown(), error))?;
        }
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(place);
        opened.map_err(|error| Fault::of(&shown(), error))
    }

    /// Gives it its name. What was written has been synced.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        let fault = |error: io::Error| Fault::of(&self.out, error);
        if self.is_folder {
            sync_folders(&self.temporary).map_err(fault)?;
        }
        self.rename()?;
        File::open(parent(&self.out)).and_then(|folder| folder.sync_all()).map_err(fault)
    }

    fn rename(&self) -> Result<(), Fault> {
        let rename = |flags| rustix::fs::renameat_with(CWD, &self.temporary, CWD, &self.out, flags);
        let is_there = fs::symlink_metadata(&self.out).is_ok();
        let outcome = if !self.force {
            match rename(RenameFlags::NOREPLACE) {
                // Some file systems do not know the flag.
                Err(Errno::INVAL | Errno::NOSYS) if !is_there => rename(RenameFlags::empty()),
                outcome => outcome,
            }
        } else if self.is_folder && is_there {
            // The old folder gets the temporary name, under which it goes.
            rename(RenameFlags::EXCHANGE)
        } else {
            rename(RenameFlags::empty())
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(exists(&self.out)),
            Err(error) => Err(Fault::of(&self.out, error)),
        }
    }
}

impl Drop for Pending {
    /// Removes what has no name of its own; there is nothing of the kind after success.
    fn drop(&mut self) {
        let removed =
            if self.is_folder { fs::remove_dir_all(&self.temporary) } else { fs::remove_file(&self.temporary) };
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!("{}: {error}; remove it", self.temporary.display());
        }
    }
}

fn exists(out: &Path) -> Fault {
    Fault::of(out, "is there already; choose another name, or replace it with --force")
}

fn parent(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes something under a temporary name in the same folder.
fn beside(out: &Path, mut make: impl FnMut(&Path) -> io::Result<()>) -> Result<PathBuf, Fault> {
    let name = out.file_name().ok_or_else(|| Fault::of(out, "is no name for a file"))?;
    let process = std::process::id();
    let mut number = 0;
    loop {
        // Names have at most 255 bytes, so only the start of this one is taken over.
        let start: String = name.to_string_lossy().chars().take(40).collect();
        let path = parent(out).join(format!(".{start}.afbfs-{process}-{number}"));
        match make(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < TRIES => number += 1,
            Err(error) => return Err(Fault::of(out, error)),
        }
    }
}

/// Whether a folder has nothing but `.npy` files and folders of them.
fn holds_copies_alone(folder: &Path) -> io::Result<bool> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() && extension(&entry.path()) == "npy" => {}
                _ => return Ok(false),
            }
        }
    }
    Ok(true)
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
