//! `afbfs append`: adds rows to an array file, so that whatever ends it, the file is an array with the old or the new rows.
//!
//! In every case the elements come first, behind the last row, where no reader looks; then they are made durable; then one step says
//! that they count. What is left behind the last row by a command that was interrupted is overwritten by the next.
//!
//! | file               | what says how many rows there are | the step                                                    |
//! |--------------------|-----------------------------------|-------------------------------------------------------------|
//! | `.npy`             | its header                        | one write of the digits that change, see `header`           |
//! | the same, no room  | the same                          | the file written anew, and renamed (`--rewrite`)            |
//! | raw, `shape = "7"` | its sidecar                       | the sidecar written anew, and renamed                       |
//! | raw, `shape = "?"` | its length                        | the same; before that, the sidecar gives the number of rows |
//!
//! An exclusive `flock(2)` on the file keeps other appenders away; they wait.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Failure, SourceArgs};
use crate::dtype::DType;
use crate::format::npy::MAGIC;

mod header;
mod npy;
mod raw;
mod rows;

use rows::Rows;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
FILE is a .npy file in C order, or a raw file in C order with a sidecar. Rows are what its first axis counts: of an \
array of one axis, elements. They are read up to the end, then they count: a command that is interrupted, even by \
kill -9, leaves the array as it was. Other programs may read the array meanwhile, by way of a mount or not.

Examples:
  afbfs append log.npy < rows.bin
  echo 12.5 7 | afbfs append log.npy --text
  afbfs append all.npy --from part.npy")]
pub(super) struct Args {
    /// The array file
    file: PathBuf,
    /// Read the rows as numbers, as in a .txt file
    #[arg(long, group = "how")]
    text: bool,
    /// Read the rows as in a .csv file; a first line with the names of columns may be there
    #[arg(long, group = "how")]
    csv: bool,
    /// Add the rows of this array, of the same type: FILE, or FILE/ARRAY in a folder or container
    #[arg(long, value_name = "ARRAY", group = "how")]
    from: Option<PathBuf>,
    /// Where a .npy header has no room for more digits, write the file anew, with room
    #[arg(long)]
    rewrite: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

/// An array file that is locked, and where its rows end.
struct Growing {
    /// Its path, which is no link.
    path: PathBuf,
    file: File,
    dtype: DType,
    /// Length of each axis but the first, in elements.
    row_shape: Vec<u64>,
    rows: u64,
    /// Bytes of a row, never 0.
    row: u64,
    /// The byte behind the last row.
    end: u64,
    /// Bytes of the file, of which more may lie there.
    len: u64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let path = args.file.canonicalize().map_err(|error| failure(&args.file, error))?;
    let file = locked(&path)?;
    let mut magic = [0; MAGIC.len()];
    let is_npy = file.read_exact_at(&mut magic, 0).is_ok() && magic == *MAGIC;
    if is_npy { npy::append(args, path, file) } else { raw::append(args, path, file) }
}

/// Opens a file and waits until nobody else appends to it.
fn locked(path: &Path) -> Result<File, Failure> {
    loop {
        let file = File::options().read(true).write(true).open(path).map_err(|error| failure(path, error))?;
        match rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)) {
            // File systems without locks do without.
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {}
            Err(error) => return Err(failure(path, error)),
        }
        // While we waited, another file may have taken its name.
        let (ours, now) = (file.metadata().map_err(|error| failure(path, error))?, path.metadata());
        if now.is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
}

impl Growing {
    /// # Errors
    /// If it has no rows that could be added to.
    fn new(path: PathBuf, file: File, dtype: DType, shape: &[u64], offset: u64) -> Result<Growing, Failure> {
        let refuse = |why: &str| Err(Failure(format!("{}: {why}", path.display())));
        let [rows, row_shape @ ..] = shape else {
            return refuse("is of shape (), and has no rows; only an array of one axis or more grows");
        };
        let row = row_shape.iter().try_fold(dtype.itemsize(), |size, &length| size.checked_mul(length));
        let Some(row) = row.filter(|&row| row > 0) else {
            return refuse("has rows of no bytes, of which none can be added");
        };
        let end = rows.checked_mul(row).and_then(|bytes| bytes.checked_add(offset));
        let Some(end) = end.filter(|&end| i64::try_from(end).is_ok()) else { return refuse("is larger than any file") };
        let len = file.metadata().map_err(|error| failure(&path, error))?.len();
        let row_shape = row_shape.to_vec();
        Ok(Growing { path, file, dtype, row_shape, rows: *rows, row, end, len })
    }

    /// Writes rows behind the last one and makes them durable; `commit` then has them counted.
    fn grow(&self, args: &Args, commit: impl FnOnce(u64) -> Result<(), Failure>) -> Result<(), Failure> {
        let (count, rest) = self.write(args).inspect_err(|_| self.cut())?;
        if count > 0 {
            commit(self.rows + count)?;
        }
        if rest > 0 { Err(self.partial(&format!("{count} rows were added"), rest)) } else { Ok(()) }
    }

    /// Writes rows that do not count yet. Gives their number, and the bytes behind them that were no whole row.
    fn write(&self, args: &Args) -> Result<(u64, u64), Failure> {
        let mut source = Rows::new(args, self)?;
        let bytes = source.pour(&self.file, self.end).map_err(|error| error.of(&self.path))?;
        let (count, rest) = (bytes / self.row, bytes % self.row);
        if rest > 0 && source.is_whole() {
            return Err(self.partial("nothing was added", rest));
        }
        if rest > 0 {
            self.file.set_len(self.end + bytes - rest).map_err(|error| self.failure(error))?;
        }
        if count > 0 {
            self.file.sync_all().map_err(|error| self.failure(error))?;
        }
        Ok((count, rest))
    }

    /// Takes away again what does not count, as far as the file has grown.
    fn cut(&self) {
        if self.file.metadata().is_ok_and(|now| now.len() > self.len) {
            // What stays does no harm.
            let _ = self.file.set_len(self.len);
        }
    }

    fn partial(&self, done: &str, rest: u64) -> Failure {
        let (path, row) = (self.path.display(), self.row);
        Failure(format!("{path}: {done}; the last {rest} bytes are no whole row, which has {row}, and were refused"))
    }

    fn failure(&self, error: impl Into<io::Error>) -> Failure {
        failure(&self.path, error)
    }
}

fn failure(path: &Path, error: impl Into<io::Error>) -> Failure {
    Failure(format!("{}: {}", path.display(), error.into()))
}
