//! The files in which the pieces of an array lie.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use rustix::io::{Errno, Result};

use super::File;

/// So many files are held open for the sake of one request.
const HELD: usize = 64;

/// The files of an array.
#[derive(Clone, Debug)]
pub enum Files {
    /// One, in which all pieces lie.
    One(Arc<File>),
    /// One for each piece.
    Many(Arc<dyn Pieces>),
}

/// An array's files, opened as they are needed.
pub trait Pieces: Debug + Send + Sync {
    /// The file of a piece, or nothing where it does not exist: the fill value stands there.
    ///
    /// # Errors
    /// What opening it answers.
    fn open(&self, piece: u64) -> Result<Option<Arc<File>>>;

    /// The file of a piece, which is made where it does not exist: all of it the fill value.
    ///
    /// # Errors
    /// EROFS where no file can be made; what making it answers.
    fn create(&self, piece: u64) -> Result<Arc<File>>;

    /// Whether the file of a piece may be written, so far as that is known before it is tried.
    ///
    /// # Errors
    /// EROFS where what describes the file forbids it.
    fn may_write(&self, piece: u64) -> Result<()> {
        let _ = piece;
        Ok(())
    }

    /// Closes files that are kept open for later requests, so that there are descriptors for others.
    fn let_go(&self);

    /// Makes durable what was written to any of the files.
    ///
    /// # Errors
    /// What writing back answers, also of files that were let go since the last time.
    fn sync(&self) -> Result<()>;

    /// A mark that changes with each write error, as [`File::error_mark`].
    fn error_mark(&self) -> u64;
}

impl Files {
    /// A mark that changes with each write error.
    pub fn error_mark(&self) -> u64 {
        match self {
            Files::One(file) => file.error_mark(),
            Files::Many(pieces) => pieces.error_mark(),
        }
    }

    /// The one file, if there is no other.
    pub fn one(&self) -> Option<&Arc<File>> {
        match self {
            Files::One(file) => Some(file),
            Files::Many(_) => None,
        }
    }
}

/// The files of one request, each opened once and asked for its length once.
pub(super) struct Used<'a> {
    files: &'a Files,
    len: Option<u64>,
    many: HashMap<u64, Option<(Arc<File>, u64)>>,
    most: usize,
    met: usize,
}

impl<'a> Used<'a> {
    pub(super) fn of(files: &'a Files) -> Used<'a> {
        // A table without entries allocates nothing.
        Used { files, len: None, many: HashMap::new(), most: HELD, met: 0 }
    }

    /// The same, for one of several threads that share a request.
    pub(super) fn among(files: &'a Files, threads: usize) -> Used<'a> {
        Used { most: HELD.div_ceil(threads), ..Used::of(files) }
    }

    /// The files of the array.
    pub(super) fn files(&self) -> &'a Files {
        self.files
    }

    /// How many files of pieces were asked for.
    pub(super) fn met(&self) -> usize {
        self.met
    }

    /// The file of a piece and its length in bytes, or nothing where it does not exist.
    pub(super) fn get(&mut self, piece: u64) -> Result<Option<(&Arc<File>, u64)>> {
        match self.files {
            Files::One(file) => {
                let len = match self.len {
                    Some(len) => len,
                    None => *self.len.insert(file.len()?),
                };
                Ok(Some((file, len)))
            }
            Files::Many(pieces) => {
                if !self.many.contains_key(&piece) {
                    let opened = match pieces.open(piece) {
                        // Those that this request has open may be what is missing.
                        Err(Errno::MFILE | Errno::NFILE) => {
                            self.many.clear();
                            pieces.open(piece)
                        }
                        opened => opened,
                    };
                    let opened = match opened? {
                        Some(file) => {
                            let len = file.len()?;
                            Some((file, len))
                        }
                        None => None,
                    };
                    self.hold(piece, opened);
                }
                Ok(self.many.get(&piece).and_then(Option::as_ref).map(|(file, len)| (file, *len)))
            }
        }
    }

    /// The file of a piece and its length in bytes; made where it does not exist.
    pub(super) fn get_or_create(&mut self, piece: u64) -> Result<(&Arc<File>, u64)> {
        if let Files::Many(pieces) = self.files {
            pieces.may_write(piece)?;
            if self.get(piece)?.is_none() {
                let file = pieces.create(piece)?;
                let len = file.len()?;
                self.hold(piece, Some((file, len)));
            }
        }
        let files = self.files;
        let (file, len) = self.get(piece)?.ok_or(Errno::ROFS)?;
        if let Files::Many(pieces) = files {
            file.check_writable()?;
            if file.is_passing() {
                pieces.let_go();
            }
        }
        Ok((file, len))
    }

    fn hold(&mut self, piece: u64, opened: Option<(Arc<File>, u64)>) {
        let is_passing = |(file, _): &(Arc<File>, u64)| file.is_passing();
        self.met += 1;
        if self.many.len() >= self.most || self.many.values().flatten().any(is_passing) {
            self.many.clear();
        }
        self.many.insert(piece, opened);
    }
}
