//! Plain copies of what is compressed: `.npy` files, archives whose members are stored, and whatever a `.gz` holds. They
//! can be mapped, which is what the rest of the program lives by.
//!
//! | file      | what it unpacks                                                                          |
//! |-----------|------------------------------------------------------------------------------------------|
//! | `archive` | members of ZIP archives: one array, or the archive anew with all members stored          |
//! | `hdf5`    | data sets whose chunks went through filters                                              |
//! | `nrrd`    | NRRD files whose elements are compressed                                                 |
//! | `served`  | arrays that lie plainly in their file; in a folder of copies they are wanted, too        |
//! | `stream`  | files that were compressed as a whole                                                    |
//! | `zarr`    | arrays whose chunks went through codecs, or lie in shards                                |
//!
//! All write through `target` (the elements of a `.npy` file) or `output` (a file or folder that has its name only
//! once it is whole and durable). What was done to the bytes of a chunk is undone in `codec`.
//!
//! Limits: a chunk of more than [`MAX_CHUNK`] bytes is not decoded, since a decoder needs all of it in memory. Nothing else is
//! held but a few pieces of some MiB, one for each thread.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, Options, Origin, Problem};
use crate::format::zip::Archive;
use crate::format::{FORMATS, Refusal};
use crate::source::ReadAt;
use crate::store::{Limits, Store};

mod archive;
mod codec;
mod crew;
mod hdf5;
mod nrrd;
mod output;
mod served;
mod stream;
mod target;
mod zarr;

pub(crate) use output::Pending;
pub(crate) use target::header;

/// The largest chunk that is decoded, in bytes. Blosc and LZ4 have smaller limits themselves, HDF5 has this one.
pub const MAX_CHUNK: u64 = 1 << 32;

/// Bytes that are read and written at once where there are no chunks.
const PIECE: usize = 1 << 20;

/// So many names are listed in a message.
const LISTED: usize = 12;

/// What is to be unpacked, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// A file, or a folder that is an array or holds some.
    pub file: &'a Path,
    /// The file or folder to be made.
    pub out: &'a Path,
    /// Which of its arrays; all where none is named.
    pub array: Option<&'a str>,
    /// Whether `out` may be replaced.
    pub force: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of files that were written.
    pub written: usize,
    /// The arrays that could not be unpacked, and why.
    pub left_out: Vec<(String, String)>,
}

/// Who looks on, and may end it.
pub trait Watch: Sync {
    /// A file of so many bytes, for the array of this name, is begun.
    fn begin(&self, name: &str, bytes: u64);

    /// So many bytes of it are done.
    fn advance(&self, bytes: u64);

    /// Whether to stop.
    fn is_stopped(&self) -> bool;
}

/// Why nothing was unpacked: what is wrong, with its file's name, and the remedy where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// What is wrong with a file.
    fn of(path: &Path, what: impl fmt::Display) -> Fault {
        Fault(format!("{}: {what}", path.display()))
    }
}

/// Stops where that is wished.
fn go_on(watch: &dyn Watch) -> Result<(), Fault> {
    if watch.is_stopped() { Err(Fault("interrupted; nothing was written".into())) } else { Ok(()) }
}

/// An open file, read as formats do.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    len: u64,
}

impl Disk {
    pub(crate) fn new(file: File) -> io::Result<Disk> {
        let len = file.metadata()?.len();
        Ok(Disk { file, len })
    }
}

impl ReadAt for Disk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// A part of a file, read from start to end.
struct Span<'a> {
    file: &'a Disk,
    at: u64,
    end: u64,
}

impl Read for Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..len], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A copy of one array, not yet made.
trait Job {
    /// Bytes that it will have, about.
    fn bytes(&self) -> u64;

    /// Writes it to a new and empty file, and syncs that.
    fn write(&self, file: File, site: &Site<'_>) -> Result<(), Fault>;
}

/// What all jobs use.
struct Site<'a> {
    catalog: &'a Catalog,
    store: &'a Arc<Store>,
    watch: &'a dyn Watch,
}

/// Unpacks.
///
/// # Errors
/// If something is wrong with what is to be unpacked, or cannot be written. Nothing is left behind then.
pub fn unpack(request: &Request<'_>, watch: &dyn Watch) -> Result<Report, Fault> {
    let Request { file, out, array, .. } = *request;
    let is_folder = std::fs::metadata(file).map_err(|error| Fault::of(file, error))?.is_dir();
    if !is_folder {
        let opened = File::open(file).and_then(Disk::new).map_err(|error| Fault::of(file, error))?;
        let kind = stream::Kind::of(&opened).map_err(|error| Fault::of(file, error))?;
        if let Some(kind) = kind {
            if array.is_some() {
                let what = format!("is a {} file, which holds one file and no named arrays", kind.name());
                return Err(Fault::of(file, format!("{what}; leave --array out")));
            }
            return stream::unpack(request, opened, kind, watch);
        }
        if array.is_none() && is_archive_name(file, out) {
            let archive = Archive::read(&opened).map_err(|refusal| Fault::of(file, refusal))?;
            return archive::rewrite(request, &opened, &archive, watch);
        }
    }
    arrays(request, watch)
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Whether the name says that a ZIP archive is to be written: `.npz`, or what the archive has that is unpacked.
fn is_archive_name(file: &Path, out: &Path) -> bool {
    let is_archive = |extension: &str| matches!(extension, "npz" | "zip" | "pt" | "pth" | "ckpt");
    extension(out) == "npz" || is_archive(&extension(out)) && extension(out) == extension(file)
}

/// Unpacks arrays to `.npy` files.
fn arrays(request: &Request<'_>, watch: &dyn Watch) -> Result<Report, Fault> {
    let Request { file, out, array, .. } = *request;
    let store = Store::new(Limits::default());
    let catalog = Catalog::open(file, Options::default(), store.clone()).map_err(|error| Fault(error.to_string()))?;
    let site = Site { catalog: &catalog, store: &store, watch };
    let mut found = Vec::new();
    let is_file = catalog.only_file().is_some();
    catalog.walk(&mut |path, origin| {
        // Of a container, what is below its own name.
        let name = match path.split_once('/') {
            Some((_, name)) if is_file && matches!(origin, Origin::Member(..)) => name.to_owned(),
            _ => path,
        };
        found.push((name, origin));
    });
    let is_one = extension(out) == "npy";
    if let Some(wanted) = array {
        if !is_one {
            return Err(Fault::of(out, "must end in .npy, since one array is to be written"));
        }
        found.retain(|(name, _)| name == wanted);
        if found.is_empty() {
            let what = format!("holds no array {wanted}; `afbfs ls {}` lists those that it holds", file.display());
            return Err(Fault::of(file, what));
        }
    }
    match &found[..] {
        [] => Err(Fault::of(file, "holds no array")),
        [(name, origin)] if is_one => {
            // An array that is the file needs no other name.
            let is_whole = is_file && !matches!(origin, Origin::Member(..));
            let blame = |what: String| Fault::of(file, if is_whole { what } else { format!("{name}: {what}") });
            let job = plan(&catalog, origin).map_err(|refusal| blame(refusal.0))?;
            let (pending, target) = Pending::file(out, request.force)?;
            watch.begin(name, job.bytes());
            job.write(target, &site).map_err(|Fault(what)| blame(what))?;
            pending.finish()?;
            Ok(Report { written: 1, left_out: Vec::new() })
        }
        _ if is_one => {
            let mut names: Vec<&str> = found.iter().take(LISTED).map(|(name, _)| name.as_str()).collect();
            if found.len() > LISTED {
                names.push("...");
            }
            let names = names.join(", ");
            Err(Fault::of(file, format!("holds several arrays; choose one with --array, or name a folder: {names}")))
        }
        [(_, Origin::File(_) | Origin::Named(_))] if is_file => {
            Err(Fault::of(out, "must end in .npy, since one array is to be written"))
        }
        _ => folder(request, &found, &site),
    }
}

/// Unpacks all of these to a folder.
fn folder(request: &Request<'_>, found: &[(String, Origin)], site: &Site<'_>) -> Result<Report, Fault> {
    let Request { file, out, .. } = *request;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    if FORMATS.iter().any(|format| format.stem(&name).is_some_and(|stem| stem.len() < name.len())) {
        let what = format!("would be a folder of .npy files; name it without .{}", extension(out));
        return Err(Fault::of(out, what));
    }
    let pending = Pending::folder(out, request.force)?;
    let mut report = Report::default();
    for (name, origin) in found {
        go_on(site.watch)?;
        let job = match plan(site.catalog, origin) {
            Ok(job) => job,
            Err(refusal) => {
                report.left_out.push((name.clone(), refusal.0));
                continue;
            }
        };
        site.watch.begin(name, job.bytes());
        let place: PathBuf = format!("{name}.npy").into();
        let target = pending.file_within(&place)?;
        job.write(target, site).map_err(|Fault(what)| Fault::of(file, format!("{name}: {what}")))?;
        report.written += 1;
    }
    if report.written == 0 {
        let why = report.left_out.first().map(|(name, why)| format!("{name}: {why}")).unwrap_or_default();
        return Err(Fault::of(file, why));
    }
    pending.finish()?;
    Ok(report)
}

/// How to copy an array.
fn plan(catalog: &Catalog, origin: &Origin) -> Result<Box<dyn Job>, Refusal> {
    if let Origin::File(path) = origin
        && let Some(job) = zarr::plan(catalog, path)?
    {
        return Ok(Box::new(job));
    }
    let refused = match catalog.describe(origin) {
        Ok(described) => return Ok(Box::new(served::Served::new(described))),
        Err(Problem::Refused(reason)) => Refusal(reason.to_string()),
        Err(Problem::Errno(error)) => return Err(Refusal(format!("cannot be opened: {error}"))),
    };
    let (path, names) = match origin {
        Origin::Member(path, names) => (path, names),
        Origin::File(path) if catalog.format_of(origin) == "nrrd" => {
            return nrrd::plan(catalog, path)?.map(|job| Box::new(job) as Box<dyn Job>).ok_or(refused);
        }
        _ => return Err(refused),
    };
    match catalog.format_of(&Origin::File(path.clone())) {
        "npz" => archive::plan(catalog, path, names).map(|job| Box::new(job) as Box<dyn Job>),
        // What the catalog says is right unless this is its remedy, which fails for a reason of its own.
        "hdf5" => match hdf5::plan(catalog, path, names) {
            Ok(Some(job)) => Ok(Box::new(job)),
            Err(refusal) if refused.0.contains("afbfs unpack") => Err(refusal),
            _ => Err(refused),
        },
        _ => Err(refused),
    }
}
