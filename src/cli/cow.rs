//! `afbfs diff` and `afbfs commit`: what a mount with `--cow` has changed, and writing it into the array files.
//!
//! Both read the folder of the overlays themselves, and the array files. A mount that is asked for its folder saves what was
//! written before it answers; of a commit it hears by orders (see `fs`). Without a mount the command has the folder for itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde_json::{Value, json};

use super::{Failure, SourceArgs, mounted, print};
use crate::catalog::Catalog;
use crate::overlay::{self, Change, Folder, Keeper, Packed, Problem};
use crate::store::{Limits, Mark, Record, Store};

/// Where overlays are.
#[derive(clap::Args, Debug)]
pub(super) struct Place {
    /// Where arrays are mounted with --cow; or, with --cow-dir, what was mounted
    #[arg(value_name = "MOUNTPOINT|SOURCE")]
    place: PathBuf,
    /// With no mount: the folder that keeps the changes
    #[arg(long, value_name = "DIR")]
    cow_dir: Option<PathBuf>,
    #[command(flatten)]
    source_args: SourceArgs,
}

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  afbfs diff /mnt/arrays\n\nLists bytes as START:STOP of the array file, and elements by their indices, \
    where one array in C order is in the file."
)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    place: Place,
    /// Print a list with an entry for each array file
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  afbfs commit /mnt/arrays\n\nFile by file. A file that another program has changed since is left alone, \
    with its changes kept. If the command is ended before it is done, run it again."
)]
pub(super) struct CommitArgs {
    #[command(flatten)]
    place: Place,
}

/// A mount that was asked for its overlays.
#[derive(Debug)]
struct Mounted {
    orders: File,
    said: Value,
}

impl Mounted {
    fn ask(point: &Path, write: bool) -> Result<Mounted, Failure> {
        let shown = point.display();
        let path = point.join(".afbfs/overlay.json");
        let mut orders = File::options().read(true).write(write).open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if point.join(".afbfs/version").exists() => {
                Failure(format!("{shown}: is mounted without --cow: the array files hold what was written"))
            }
            std::io::ErrorKind::NotFound => Failure(format!("{shown}: no arrays are mounted there")),
            _ if error.raw_os_error() == Some(libc::ENOTCONN) => mounted::died(point),
            std::io::ErrorKind::ResourceBusy => Failure(format!("{shown}: another commit is under way there")),
            _ => Failure(format!("{}: {error}", path.display())),
        })?;
        let mut text = Vec::new();
        orders.read_to_end(&mut text)?;
        Ok(Mounted { orders, said: serde_json::from_slice(&text)? })
    }

    /// A path that it said.
    fn path(&self, key: &str) -> Result<PathBuf, Failure> {
        let bytes = self.said[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let bytes = bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()));
        let path = bytes.collect::<Option<Vec<u8>>>().filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| Failure(format!("the mount does not say what its {key} is; see its log")))?;
        Ok(PathBuf::from(OsString::from_vec(path)))
    }

    fn order(&self, order: &str) -> Result<(), Errno> {
        let written = (&self.orders).write(order.as_bytes());
        written.map(|_| ()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

impl Keeper for Mounted {
    fn begin(&self, number: u64) -> Result<(), Errno> {
        self.order(&format!("begin {number}"))
    }

    fn finish(&self, number: u64, mark: Mark) -> Result<(), Errno> {
        let Mark { inode, size, mtime: (seconds, nanoseconds) } = mark;
        self.order(&format!("finish {number} {inode} {size} {seconds} {nanoseconds}"))
    }
}

/// The source of overlays without a mount.
fn source_of(place: &Place) -> Result<Catalog, Failure> {
    let options = place.source_args.catalog_options(false);
    Ok(Catalog::open(&place.place, options, Store::new(Limits::default()))?)
}

/// The folder of overlays without a mount, which must be there.
fn folder_of(path: &Path, catalog: &Catalog) -> Result<Folder, Failure> {
    if !path.is_dir() {
        return Err(Failure(format!("{}: there is no such folder", path.display())));
    }
    let folder = Folder::open(path, catalog.root_path(), true)?;
    folder.load(false)?;
    Ok(folder)
}

pub(super) fn diff(args: &DiffArgs) -> Result<(), Failure> {
    let (mut entries, mut failed) = (Vec::new(), 0);
    let mut each = |change: Result<Change, Problem>, packed: Option<&Packed>| {
        let change = match change {
            Ok(change) => change,
            Err(problem) => {
                failed += 1;
                eprintln!("afbfs: {problem}");
                return Ok(());
            }
        };
        if args.json {
            entries.push(to_json(&change, packed));
            return Ok(());
        }
        show(&change, packed).map_err(|Failure(message)| Problem(message))
    };
    match &args.place.cow_dir {
        Some(path) => {
            let catalog = source_of(&args.place)?;
            let folder = folder_of(path, &catalog)?;
            let packed = |record: &Record, _| Packed::of(&catalog, &record.path);
            overlay::compare(&folder.path, catalog.root_path(), &packed, &mut each)?;
        }
        None => {
            let mounted = Mounted::ask(&args.place.place, false)?;
            let (folder, source) = (mounted.path("folder")?, mounted.path("source")?);
            let packed = |_: &Record, number: u64| Packed::from_json(&mounted.said["arrays"][number.to_string()]);
            overlay::compare(&folder, &source, &packed, &mut each)?;
        }
    }
    if args.json {
        print(&serde_json::to_string_pretty(&Value::Array(entries))?)?;
    }
    all_done(failed, "compared")
}

/// The failure of a command that went on after some files.
fn all_done(failed: usize, done: &str) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        1 => Err(Failure(format!("1 file was not {done}"))),
        _ => Err(Failure(format!("{failed} files were not {done}"))),
    }
}

/// The indices of the first element of a range of bytes and of the last.
fn elements(packed: Option<&Packed>, bytes: &std::ops::Range<u64>) -> Option<[Vec<u64>; 2]> {
    let packed = packed?;
    Some([packed.index(packed.number(bytes.start)?), packed.index(packed.number(bytes.end - 1)?)])
}

fn to_json(change: &Change, packed: Option<&Packed>) -> Value {
    let ranges = change.ranges.iter().map(|range| {
        let mut entry = json!({ "bytes": [range.start, range.end] });
        if let Some([first, last]) = elements(packed, range) {
            (entry["first"], entry["last"]) = (json!(first), json!(last));
        }
        entry
    });
    json!({
        "file": change.file.to_string_lossy(),
        "new": change.is_made,
        "changed": change.bytes,
        "ranges": ranges.collect::<Vec<Value>>(),
    })
}

fn show(change: &Change, packed: Option<&Packed>) -> Result<(), Failure> {
    let new = if change.is_made { ", a new file" } else { "" };
    print(&format!("{}: {}{new}", change.file.display(), counted(change.bytes, "changed")))?;
    for range in &change.ranges {
        let mut line = format!("  bytes {}:{}", range.start, range.end);
        match elements(packed, range) {
            Some([first, last]) if first == last => line += &format!("  element {first:?}"),
            Some([first, last]) => line += &format!("  elements {first:?} to {last:?}"),
            None => {}
        }
        print(&line)?;
    }
    Ok(())
}

fn counted(bytes: u64, done: &str) -> String {
    if bytes == 1 { format!("1 byte {done}") } else { format!("{bytes} bytes {done}") }
}

pub(super) fn commit(args: &CommitArgs) -> Result<(), Failure> {
    let mut failed = 0;
    let mut each = |outcome: Result<overlay::Committed, Problem>| match outcome {
        Ok(committed) => {
            let new = if committed.is_made { ", a new file" } else { "" };
            let line = format!("{}: {}{new}", committed.file.display(), counted(committed.bytes, "written"));
            // What was written is written, whether or not somebody reads of it.
            let _ = print(&line);
        }
        Err(problem) => {
            failed += 1;
            eprintln!("afbfs: {problem}");
        }
    };
    match &args.place.cow_dir {
        Some(path) => {
            let catalog = source_of(&args.place)?;
            let folder = folder_of(path, &catalog)?;
            overlay::commit(&folder.path, catalog.root_path(), &folder.shelf, &mut each)?;
        }
        None => {
            let mounted = Mounted::ask(&args.place.place, true)?;
            let (folder, source) = (mounted.path("folder")?, mounted.path("source")?);
            overlay::commit(&folder, &source, &mounted, &mut each)?;
        }
    }
    all_done(failed, "committed")
}
