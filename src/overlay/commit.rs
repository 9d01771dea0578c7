//! Writing overlays to their array files.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::compare::Sides;
use super::folder::{Keeper, Problem, open_folder, read, shown};
use super::{check, stat_of};
use crate::store::{Layer, Mark, Record, Shelf};

/// What was written to an array file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The array file, below the source.
    pub file: PathBuf,
    /// Whether it was made.
    pub is_made: bool,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Writes all overlays of a folder to their array files. Calls `each` with what was written, or why nothing was, file by file.
///
/// # Errors
/// If the folder cannot be read.
pub fn commit(
    folder: &Path,
    source: &Path,
    keeper: &dyn Keeper,
    each: &mut dyn FnMut(Result<Committed, Problem>),
) -> Result<(), Problem> {
    let failed = |error: Errno| Problem(format!("{}: {error}", folder.display()));
    let shelf = Shelf::new(open_folder(folder).map_err(failed)?, false);
    for number in shelf.numbers(false).map_err(failed)? {
        let layer = read(&shelf, folder, number)?;
        let record = layer.record();
        if layer.pages().is_empty() && !record.is_made {
            continue;
        }
        match commit_one(&shelf, folder, number, keeper) {
            Ok((0, false)) => {}
            Ok((bytes, is_made)) => each(Ok(Committed { file: shown(&record, source), is_made, bytes })),
            Err(reason) => each(Err(Problem(format!("{}: {reason}; its changes are kept", record.path.display())))),
        }
    }
    Ok(())
}

/// Commits one overlay. Gives how many bytes were written, and whether the file was made.
fn commit_one(shelf: &Shelf, folder: &Path, number: u64, keeper: &dyn Keeper) -> Result<(u64, bool), String> {
    let said = |error: Errno| error.to_string();
    let record = read(shelf, folder, number).map_err(|problem| problem.0)?.record();
    let before = stat_of(&record).map_err(said)?;
    check(&record, before.as_ref())?;
    // Tried beforehand: what may not be written is not begun.
    if before.is_some() {
        open_array(&record).map_err(|error| format!("cannot be written: {error}"))?;
    }
    keeper.begin(number).map_err(|error| format!("its overlay cannot be written: {error}"))?;
    // By now the files of the overlay hold all that was written until then.
    let layer = read(shelf, folder, number).map_err(|problem| problem.0)?;
    let is_made = before.is_none();
    let (bytes, mark) = if is_made { make(shelf, &layer) } else { patch(shelf, &layer) }.map_err(said)?;
    keeper.finish(number, mark).map_err(|error| format!("its overlay cannot be written: {error}"))?;
    Ok((bytes, is_made))
}

fn open_array(record: &Record) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(&record.path, flags, Mode::empty())
}

/// Writes what differs into an array file, durably.
fn patch(shelf: &Shelf, layer: &Layer) -> Result<(u64, Mark), Errno> {
    let record = layer.record();
    let array = open_array(&record)?;
    // It may have been replaced since it was looked at.
    if record.mark.is_some_and(|mark| rustix::fs::fstat(&array).map(|stat| stat.st_ino) != Ok(mark.inode)) {
        return Err(Errno::STALE);
    }
    let mut written = 0;
    Sides::open(shelf, layer)?.differences(layer, &mut |at, bytes| {
        written += bytes.len() as u64;
        write_at(&array, bytes, at)
    })?;
    rustix::fs::fsync(&array)?;
    Ok((written, Mark::from(&rustix::fs::fstat(&array)?)))
}

/// Makes an array file, which has another name until it is complete and durable.
fn make(shelf: &Shelf, layer: &Layer) -> Result<(u64, Mark), Errno> {
    let record = layer.record();
    let (folder, name) = (record.path.parent().ok_or(Errno::INVAL)?, record.path.file_name().ok_or(Errno::INVAL)?);
    make_folder(folder)?;
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    let partial = folder.join(partial);
    // One that an earlier commit left is written anew.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let array = rustix::fs::open(&partial, flags, Mode::RUSR | Mode::WUSR)?;
    let mut written = 0;
    let (mode, uid, gid) = record.rights;
    let copied = Sides::open(shelf, layer)?.differences(layer, &mut |at, bytes| {
        written += bytes.len() as u64;
        write_at(&array, bytes, at)
    });
    let made = copied.and_then(|()| {
        // Where that is not allowed it belongs to whoever makes it.
        let _ = rustix::fs::fchown(&array, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::fchmod(&array, Mode::from_raw_mode(mode))?;
        rustix::fs::fsync(&array)?;
        rustix::fs::renameat_with(rustix::fs::CWD, &partial, rustix::fs::CWD, &record.path, RenameFlags::NOREPLACE)
    });
    if let Err(error) = made {
        let _ = rustix::fs::unlink(&partial);
        return Err(error);
    }
    rustix::fs::fsync(open_folder(folder)?)?;
    Ok((written, Mark::from(&rustix::fs::fstat(&array)?)))
}

/// Makes a folder and those above it, durably.
fn make_folder(folder: &Path) -> Result<(), Errno> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().ok_or(Errno::NOENT)?;
    make_folder(above)?;
    match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => rustix::fs::fsync(open_folder(above)?),
        Err(error) => Err(error),
    }
}

fn write_at(file: &OwnedFd, bytes: &[u8], offset: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let write = || rustix::io::pwrite(file.as_fd(), &bytes[done..], offset + done as u64);
        match rustix::io::retry_on_intr(write)? {
            0 => return Err(Errno::NOSPC),
            count => done += count,
        }
    }
    Ok(())
}
