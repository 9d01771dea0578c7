//! Arrays that are one file: `.npy`, and raw ones with their sidecar.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use super::super::Failure;
use super::super::progress::Progress;
use super::{Args, Wanted};
use crate::format::raw::{MAX_SIDECAR, SIDECAR, Spec};
use crate::layout::Order;
use crate::unpack::{Pending, Watch, header};

/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

pub(super) fn npy(args: &Args, wanted: &Wanted, progress: &Progress) -> Result<(), Failure> {
    let head = header(&wanted.dtype, &wanted.shape, wanted.order);
    let (pending, file) = Pending::file(&args.file, args.force)?;
    write(args, wanted, &file, &head, progress)?;
    pending.finish()?;
    Ok(())
}

pub(super) fn raw(args: &Args, wanted: &Wanted, name: &str, progress: &Progress) -> Result<(), Failure> {
    let text = sidecar(wanted);
    if text.len() > MAX_SIDECAR || !Spec::from_toml(&text).is_ok_and(|spec| spec.dtype == wanted.dtype) {
        return Err(Failure(format!("{name}: its type cannot be written in a sidecar; make a .npy file")));
    }
    let (pending, file) = Pending::file(&args.file, args.force)?;
    write(args, wanted, &file, &[], progress)?;
    // The description comes first: it is no array while there is no file, and the file would be none without it.
    let is_new = describe(&beside(&args.file), &text, args.force)?;
    pending.finish().inspect_err(|_| {
        if is_new {
            let _ = fs::remove_file(beside(&args.file));
        }
    })?;
    Ok(())
}

/// The path of the sidecar.
fn beside(file: &Path) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(SIDECAR);
    path.into()
}

/// Writes a sidecar. Gives whether it is new: one that says the same may be left from an earlier time.
fn describe(path: &Path, text: &str, force: bool) -> Result<bool, Failure> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(false);
    }
    let (pending, mut file) = Pending::file(path, force)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| unwritable(path, error))?;
    pending.finish()?;
    Ok(true)
}

fn sidecar(wanted: &Wanted) -> String {
    // A string of JSON is one of TOML, but for a character that TOML wants written in another way.
    let quoted = |text: String| serde_json::Value::String(text).to_string().replace('\u{7f}', "\\u007F");
    let mut lengths: Vec<String> = wanted.shape.iter().map(u64::to_string).collect();
    if wanted.is_open {
        lengths[0] = "?".to_owned();
    }
    let shape = if lengths.is_empty() { "()".to_owned() } else { lengths.join("x") };
    let order = if wanted.order == Order::F { "order = \"F\"\n" } else { "" };
    format!("dtype = {}\nshape = \"{shape}\"\n{order}", quoted(wanted.dtype.to_string()))
}

/// Writes header and elements, and makes them durable.
fn write(args: &Args, wanted: &Wanted, file: &File, head: &[u8], progress: &Progress) -> Result<(), Failure> {
    let layout = wanted.layout(&args.file, head.len() as u64)?;
    let elements = layout.extent();
    let failure = |error: io::Error| unwritable(&args.file, error);
    file.set_len(elements.end.max(head.len() as u64)).map_err(failure)?;
    file.write_all_at(head, 0).map_err(failure)?;
    if !elements.is_empty() && (args.allocate || !wanted.is_sparse()) {
        check_room(&args.file, file, elements.end)?;
    }
    if !elements.is_empty() && args.allocate {
        fallocate(file, FallocateFlags::empty(), 0, elements.end).map_err(|error| match error {
            Errno::OPNOTSUPP => {
                Failure(format!("{}: its file system cannot allocate space; leave out --allocate", args.file.display()))
            }
            error => failure(error.into()),
        })?;
    }
    if !wanted.is_sparse() {
        progress.begin(&args.file.file_name().unwrap_or_default().to_string_lossy(), elements.end - elements.start);
        let piece = wanted.fill.repeat((PIECE / wanted.fill.len()).max(1));
        let mut at = elements.start;
        while at < elements.end {
            if progress.is_stopped() {
                return Err(Failure(format!("{}: interrupted; nothing was made", args.file.display())));
            }
            let count = (elements.end - at).min(piece.len() as u64);
            file.write_all_at(&piece[..count as usize], at).map_err(failure)?;
            at += count;
            progress.advance(count);
        }
    }
    file.sync_all().map_err(failure)
}

/// Refuses at once what would fill the disk.
fn check_room(path: &Path, file: &File, needed: u64) -> Result<(), Failure> {
    let Ok(found) = fstatvfs(file) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(Failure(format!(
        "{}: needs {needed} bytes of the disk, which has {free} left; make room, or leave --fill and --allocate out: a \
         sparse file needs none",
        path.display()
    )))
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    let remedy = match Errno::from_io_error(&error) {
        Some(Errno::FBIG) => {
            "; neither its file system nor the limit of this process (ulimit -f) allows so large a file"
        }
        Some(Errno::NOSPC) => "; the disk is full",
        Some(Errno::DQUOT) => "; your share of the disk is used up",
        _ => "",
    };
    Failure(format!("{}: cannot be made: {error}{remedy}", path.display()))
}
