//! Rows of `.npy` files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::super::Failure;
use super::{Args, Growing, failure, header};
use crate::format::Refusal;
use crate::format::npy::{self, Header, MAGIC};
use crate::layout::Order;
use crate::unpack::{self, Disk, Pending};

pub(super) fn append(args: &Args, path: PathBuf, file: File) -> Result<(), Failure> {
    let disk = file.try_clone().and_then(Disk::new).map_err(|error| failure(&path, error))?;
    let found = npy::header(&disk).map_err(|Refusal(why)| Failure(format!("{}: {why}", path.display())))?;
    let Header { dtype, shape, order, offset } = found;
    if order == Order::F && shape.len() > 1 {
        return Err(Failure(format!(
            "{}: is in Fortran order, in which a row lies scattered over the whole file; save it in C order: \
             numpy.save(path, numpy.ascontiguousarray(a))",
            path.display()
        )));
    }
    let mut head = vec![0; offset as usize];
    file.read_exact_at(&mut head, 0).map_err(|error| failure(&path, error))?;
    let growing = Growing::new(path, file, dtype, &shape, offset)?;
    check(&growing)?;
    if !args.rewrite && header::change(&head, growing.rows.saturating_add(1)).is_none() {
        return Err(no_room(&growing));
    }
    growing.grow(args, |rows| match header::change(&head, rows) {
        Some((at, bytes)) => {
            growing.file.write_all_at(&bytes, at as u64).map_err(|error| growing.failure(error))?;
            growing.file.sync_all().map_err(|error| growing.failure(error))
        }
        None if args.rewrite => rewrite(&growing, offset, rows),
        None => {
            growing.cut();
            Err(no_room(&growing))
        }
    })
}

/// Sees to it that all rows are there, and nothing behind them that somebody would miss.
fn check(growing: &Growing) -> Result<(), Failure> {
    let Growing { path, end, len, .. } = growing;
    if len < end {
        let path = path.display();
        return Err(Failure(format!(
            "{path}: was truncated: its header claims {end} bytes, and it has {len}; save it again"
        )));
    }
    let mut next = [0; MAGIC.len()];
    if growing.file.read_exact_at(&mut next, *end).is_ok() && next == *MAGIC {
        return Err(Failure(format!(
            "{}: another array follows this one in the file, and would be overwritten; if it is not wanted: truncate -s \
             {end} FILE",
            path.display()
        )));
    }
    Ok(())
}

fn no_room(growing: &Growing) -> Failure {
    Failure(format!(
        "{}: its header has no room for more digits; nothing was added: --rewrite writes the file anew, with room",
        growing.path.display()
    ))
}

/// Writes a file with a longer header, and all rows, the new ones among them, which takes the place of the old one.
fn rewrite(growing: &Growing, offset: u64, rows: u64) -> Result<(), Failure> {
    let failure = |error: io::Error| growing.failure(error);
    let shape = [&[rows], &growing.row_shape[..]].concat();
    let head = unpack::header(&growing.dtype, &shape, Order::C);
    let (pending, mut file) = Pending::file(&growing.path, true)?;
    let old = growing.file.metadata().map_err(failure)?;
    io::Write::write_all(&mut file, &head).map_err(failure)?;
    let mut from = &growing.file;
    from.seek(SeekFrom::Start(offset)).map_err(failure)?;
    let wanted = rows * growing.row;
    let copied = io::copy(&mut from.take(wanted), &mut file).map_err(failure)?;
    if copied < wanted {
        return Err(failure(io::ErrorKind::UnexpectedEof.into()));
    }
    // The owner can be given only by root; then it is whoever writes.
    let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
    file.set_permissions(old.permissions()).and_then(|()| file.sync_all()).map_err(failure)?;
    pending.finish()?;
    Ok(())
}
