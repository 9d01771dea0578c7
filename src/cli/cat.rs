//! `afbfs cat`: the bytes of a file in the tree, with no mount.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Failure, SourceArgs};
use crate::catalog::Catalog;
use crate::fs::{Access, Fs, Kind, ROOT, Settings, Source};
use crate::store::{Limits, Store};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  afbfs cat ./data a/row/42 | od -A d -t f8")]
pub(super) struct Args {
    /// Folder of array files, or one array file
    source: PathBuf,
    /// Path of the slice, as below a mount of SOURCE; for one file, its array's name may be left out
    view: String,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let catalog = Catalog::open(&args.source, args.source_args.catalog_options(false), Store::new(Limits::default()))?;
    let mut named = catalog.named();
    let only = match (named.next(), named.next()) {
        (Some((name, _)), None) => Some(name.to_owned()),
        _ => catalog.only_file().map(|origin| catalog.shown_path(&origin)),
    };
    drop(named);
    let fs = Fs::new(Arc::new(catalog), Settings::default());
    let found = match (find(&fs, &args.view), only) {
        (Err(Errno::NOENT), Some(only)) => find(&fs, &format!("{only}/{}", args.view)),
        (found, _) => found,
    };
    let inode = found.map_err(|error| refusal(&fs, &args.view).unwrap_or_else(|| explain(args, error)))?;
    let handle = fs.open(inode, Access::default()).map_err(|error| explain(args, error))?.handle;
    let mut offset = 0;
    loop {
        // Straight from the array file's mapping to the kernel, which stops at a fault: nothing may look at the bytes here.
        let written = fs
            .read(handle, offset, CHUNK, Source::Direct, |bytes| rustix::io::retry_on_intr(|| write_some(bytes)))
            .map_err(|error| explain(args, error))?;
        match written {
            Ok(0) | Err(Errno::PIPE) => break,
            Ok(count) => offset += count as u64,
            Err(Errno::FAULT) => return Err(explain(args, Errno::IO)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn write_some(bytes: &[u8]) -> Result<usize, Errno> {
    if bytes.is_empty() { Ok(0) } else { rustix::io::write(std::io::stdout(), bytes) }
}

fn find(fs: &Fs, view: &str) -> Result<u64, Errno> {
    let mut inode = ROOT;
    let mut kind = Kind::Folder;
    for name in view.split('/').filter(|name| !name.is_empty() && *name != ".") {
        let attr = fs.lookup(inode, OsStr::new(name))?;
        (inode, kind) = (attr.inode, attr.kind);
    }
    if kind == Kind::Folder { Err(Errno::ISDIR) } else { Ok(inode) }
}

/// What the file `error` says, where the path leads into an array that is not served.
fn refusal(fs: &Fs, view: &str) -> Option<Failure> {
    let ends = view.match_indices('/').map(|(at, _)| at).chain([view.len()]);
    let inode = ends.into_iter().find_map(|end| find(fs, &format!("{}/error", &view[..end])).ok())?;
    let handle = fs.open(inode, Access::default()).ok()?.handle;
    let text = fs.read(handle, 0, CHUNK, Source::Direct, <[u8]>::to_vec).ok()?;
    Some(Failure(String::from_utf8_lossy(&text).trim_end().to_owned()))
}

fn explain(args: &Args, error: Errno) -> Failure {
    if matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP)
        && let Some(why) = super::hint::why_missing(&args.source, &args.source_args, &args.view)
    {
        return why;
    }
    let (view, source) = (&args.view, args.source.display());
    let remedy = match error {
        Errno::NOENT => format!("; afbfs ls {source} lists the arrays"),
        Errno::ISDIR => "; it is a folder, name a file in it, such as data or row/0".to_owned(),
        _ => String::new(),
    };
    Failure(format!("{view} of {source}: {error}{remedy}"))
}
