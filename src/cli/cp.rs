//! `afbfs cp`: writes a file of the tree as a whole, with no mount.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::views::{CHUNK, Tree, places};
use super::{Failure, SourceArgs, usage};
use crate::fs::{Access, Changes, Source};
use crate::store::FileId;

/// Bytes from a pipe that wait in memory; what is longer waits in a file.
const WAITING: usize = 16 << 20;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
A VIEW is a path as below a mount of SOURCE; SOURCE and VIEW may also be one path. IN must be as long as the VIEW is, \
or else nothing is written; a text or picture is stored if it is complete. What comes from a pipe waits in memory, \
or if it is long in TMPDIR, until its length is known. The command ends when all is on the disk.

Examples:
  afbfs cp row.bin ./data a/row/42
  afbfs cp picture.png ./data/photo/data.png
  seq 6 | afbfs cp - ./data/a/row/3.txt
  afbfs cat ./data/a/row/0 | afbfs cp - ./data/a/row/1")]
pub(super) struct Args {
    /// A file, or - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Where it goes: SOURCE VIEW, or SOURCE/VIEW
    #[arg(required = true, num_args = 1..=2, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Take an IN that is shorter than the VIEW, and leave the rest as it is; what comes from a pipe is written as it comes
    #[arg(long)]
    partial: bool,
    /// Write arrays in ZIP archives too, and keep their checksums true
    #[arg(long)]
    update_checksums: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut places = places(&args.paths)?;
    let place = places.pop().filter(|place| places.is_empty() && place.views.len() == 1);
    let Some(place) = place else {
        usage("one IN and one VIEW are needed: give SOURCE/VIEW, or a SOURCE that is there and a VIEW in it");
    };
    let view = &place.views[0];
    let mut input = Input::open(&args.input)?;
    let mut options = args.source_args.catalog_options(false);
    options.update_checksums = args.update_checksums;
    let tree = Tree::open_with(&place.source, &args.source_args, options)?;
    let handle = tree.open_file(view, Access { write: true, sync: false })?;
    let target = Target { tree: &tree, view, handle, len: tree.fs.exact_len(handle) };
    let shown = match target.len {
        Some(len) => input.check(len, &target, args.partial).map(|()| 0)?,
        None => target.begin()?,
    };
    let outcome = target.fill(&mut input).and_then(|count| match count {
        0 if shown > 0 => Err(Failure(format!("{}: is empty; nothing was written", input.shown))),
        _ => target.finish(),
    });
    tree.fs.release(handle);
    outcome
}

/// What is read.
struct Input {
    shown: String,
    from: Box<dyn Read>,
    /// Bytes that are still to come, where that is known.
    len: Option<u64>,
    id: FileId,
}

impl Input {
    fn open(path: &Path) -> Result<Input, Failure> {
        let is_standard = path.as_os_str() == "-";
        let shown = if is_standard { "standard input".to_owned() } else { path.display().to_string() };
        let failure = |error: io::Error| Failure(format!("{shown}: {error}"));
        let opened = if is_standard {
            use std::os::fd::AsFd;
            io::stdin().as_fd().try_clone_to_owned().map(File::from)
        } else {
            File::open(path)
        };
        let mut file = opened.map_err(failure)?;
        let found = file.metadata().map_err(failure)?;
        if found.is_dir() {
            return Err(Failure(format!("{shown}: is a folder; name a file, or - for standard input")));
        }
        let len = if found.is_file() {
            // Of standard input, a part may have been read before.
            Some(found.len().saturating_sub(file.stream_position().map_err(failure)?))
        } else {
            None
        };
        let id = FileId { device: found.dev(), inode: found.ino() };
        Ok(Input { from: Box::new(file), shown, len, id })
    }

    /// Makes sure that so many bytes come, or, of a part, no more than that.
    fn check(&mut self, len: u64, target: &Target<'_>, is_part: bool) -> Result<(), Failure> {
        // What comes out of the array file itself would be overwritten before it is read.
        let is_itself = target.tree.fs.array_file(target.handle).is_some_and(|file| file.id() == self.id);
        if self.len.is_none() && !is_part || is_itself {
            self.spool(len)?;
        }
        let Some(found) = self.len else { return Ok(()) };
        let (from, shown) = (&self.shown, target.tree.shown(target.view));
        match found.cmp(&len) {
            Ordering::Less if !is_part => Err(Failure(format!(
                "{from}: has only {found} of the {len} bytes of {shown}; nothing was written: give --partial to write the \
                 start of it"
            ))),
            Ordering::Greater => Err(Failure(format!(
                "{from}: has more than the {len} bytes of {shown}; nothing was written: cut it to that length"
            ))),
            _ => Ok(()),
        }
    }

    /// Reads up to a byte more than wanted, which waits.
    fn spool(&mut self, len: u64) -> Result<(), Failure> {
        let mut spool = tempfile::spooled_tempfile(WAITING);
        let failure = |error: io::Error| Failure(format!("{} waiting in TMPDIR: {error}", self.shown));
        let mut start = (&mut self.from).take(len.saturating_add(1));
        let found = io::copy(&mut start, &mut spool).map_err(failure)?;
        spool.flush().and_then(|()| spool.seek(SeekFrom::Start(0)).map(|_| ())).map_err(failure)?;
        (self.from, self.len) = (Box::new(spool), Some(found));
        Ok(())
    }

    /// The next bytes, as many as fit unless they end.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let mut done = 0;
        while done < buffer.len() {
            match self.from.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure(format!("{}: {error}", self.shown))),
            }
        }
        Ok(done)
    }
}

/// What is written.
struct Target<'a> {
    tree: &'a Tree,
    view: &'a str,
    handle: u64,
    /// Its length, where it has one of its own.
    len: Option<u64>,
}

impl Target<'_> {
    /// Begins a text or a picture anew. Gives the length that it has.
    fn begin(&self) -> Result<u64, Failure> {
        let empty = Changes { size: Some(0), ..Changes::default() };
        let begun = self.tree.fs.setattr(self.tree.find(self.view)?, &empty, Some(self.handle));
        begun.map(|(attr, _)| attr.size).map_err(|error| self.tree.failure(self.view, error))
    }

    /// Writes all that comes, and gives the number of bytes.
    fn fill(&self, input: &mut Input) -> Result<u64, Failure> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let count = input.next(&mut buffer)?;
            if count == 0 {
                break;
            }
            let mut done = 0;
            while done < count {
                done += self.put(at + done as u64, &buffer[done..count], input)?;
            }
            at += count as u64;
        }
        match input.len {
            Some(len) if at < len => {
                Err(Failure(format!("{}: ended after {at} of {len} bytes: it was truncated meanwhile", input.shown)))
            }
            _ => Ok(at),
        }
    }

    fn put(&self, at: u64, bytes: &[u8], input: &Input) -> Result<usize, Failure> {
        if let Some(len) = self.len.filter(|&len| at >= len) {
            let shown = self.tree.shown(self.view);
            return Err(Failure(format!(
                "{}: is longer than {shown}, of which all {len} bytes are written",
                input.shown
            )));
        }
        match self.tree.fs.write(self.handle, at, bytes, Source::Insistent) {
            Ok(written) if written.count > 0 => Ok(written.count),
            Ok(_) => Err(self.tree.failure(self.view, Errno::IO)),
            Err(error) => Err(self.failure(at, error)),
        }
    }

    fn failure(&self, at: u64, error: Errno) -> Failure {
        let shown = self.tree.shown(self.view);
        match error {
            Errno::INVAL => Failure(format!(
                "{shown}: what comes is no such file: its header says another type, shape or order than `afbfs cat` \
                 shows of it ({error})"
            )),
            Errno::RANGE => {
                Failure(format!("{shown}: a number behind byte {at} does not fit the type that is stored ({error})"))
            }
            error => self.tree.failure(self.view, error),
        }
    }

    fn finish(&self) -> Result<(), Failure> {
        self.tree.fs.finish(self.handle).map_err(|why| Failure(format!("{}: {why}", self.tree.shown(self.view))))
    }
}
