//! A text that is written from its start to its end, and read as it comes.
//!
//! Where every line can be read by itself, pieces of the text are read by threads of their own while the program writes the next; the elements
//! come together in order. They wait in memory, and beyond some MiB in a file without a name in the folder for temporary files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::io::Errno;

use super::patches::{errno_of, unnamed};
use super::spool::Fault;
use crate::form::Text;
use crate::form::text::{Bad, Reader};
use crate::store::has_room_for_a_thread;

type Result<T> = std::result::Result<T, Errno>;

/// Bytes of text that are read at once.
const PIECE: usize = 1 << 20;
/// Elements that wait in memory, in bytes.
const WAITING: usize = 16 << 20;
/// Elements that are stored at once, in bytes.
const STORED: usize = 1 << 20;

/// A text that is being written.
#[derive(Debug)]
pub(super) struct Stream {
    text: Arc<Text>,
    /// The byte that comes next.
    at: u64,
    /// What was written and is not read yet.
    pending: Vec<u8>,
    reading: Reading,
    parsed: Parsed,
    /// The first fault, after which nothing is read any more.
    bad: Option<Bad>,
    /// Why elements could not be put by. Some of them are lost, so that the text can only be begun anew.
    failed: Option<Errno>,
}

#[derive(Debug)]
enum Reading {
    /// Byte by byte.
    Serial(Box<Reader>),
    /// Piece by piece.
    Parallel(Pieces),
}

/// Pieces of a text that are being read, in order.
#[derive(Debug, Default)]
struct Pieces {
    running: VecDeque<JoinHandle<Piece>>,
    /// Elements and lines of the pieces that are done.
    elements: u64,
    lines: u64,
    /// Whether the next piece begins within a line.
    is_within: bool,
}

/// What a piece of a text is.
type Piece = std::result::Result<(Vec<u8>, Reader), Bad>;

impl Stream {
    /// Nothing so far.
    pub(super) fn new(text: &Arc<Text>) -> Stream {
        let reading = if text.has_plain_lines() {
            Reading::Parallel(Pieces::default())
        } else {
            Reading::Serial(Box::new(text.reader(false, text.count())))
        };
        let (pending, parsed) = (Vec::new(), Parsed::default());
        Stream { text: text.clone(), at: 0, pending, reading, parsed, bad: None, failed: None }
    }

    /// Whether this byte comes next.
    pub(super) fn is_at(&self, offset: u64) -> bool {
        self.at == offset
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Why elements cannot be put by, from then on.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<()> {
        self.failed.map_or(Ok(()), Err)?;
        let taken = self.take(data);
        self.remember(taken)
    }

    fn remember(&mut self, outcome: Result<()>) -> Result<()> {
        if let Err(error) = outcome {
            self.failed = Some(error);
            (self.pending, self.parsed) = (Vec::new(), Parsed::default());
        }
        outcome
    }

    fn take(&mut self, data: &[u8]) -> Result<()> {
        self.at += data.len() as u64;
        if self.bad.is_some() {
            return Ok(());
        }
        match &mut self.reading {
            Reading::Serial(reader) => {
                let mut elements = Vec::new();
                match reader.feed(data, &mut elements) {
                    Ok(()) => self.parsed.push(&elements)?,
                    Err(bad) => self.bad = Some(bad),
                }
                Ok(())
            }
            Reading::Parallel(_) => {
                self.pending.extend_from_slice(data);
                if self.pending.len() >= PIECE { self.read_piece() } else { Ok(()) }
            }
        }
    }

    /// Has what is pending read, up to its last line end, or, in a line without end, up to its last number.
    fn read_piece(&mut self) -> Result<()> {
        let is_blank = |&byte: &u8| matches!(byte, b' ' | b'\n' | b',');
        let cut = match self.pending.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => Some((end + 1, false)),
            // Behind a number, where what follows begins with a separator.
            None => (1..self.pending.len())
                .rev()
                .find(|&at| is_blank(&self.pending[at]) && !is_blank(&self.pending[at - 1]))
                .map(|at| (at, true)),
        };
        let Some((cut, is_within)) = cut else { return Ok(()) };
        let rest = self.pending.split_off(cut);
        let piece = std::mem::replace(&mut self.pending, rest);
        let Reading::Parallel(pieces) = &mut self.reading else { return Ok(()) };
        let mut reader = self.text.reader(true, u64::MAX);
        if std::mem::replace(&mut pieces.is_within, is_within) {
            reader = reader.within_a_line();
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let piece = Arc::new((piece, reader));
        let theirs = piece.clone();
        let read = move || read_whole(&theirs.0, theirs.1.clone(), is_within);
        let builder = std::thread::Builder::new().name("text".into());
        match has_room_for_a_thread().then(|| builder.spawn(read)) {
            Some(Ok(thread)) => pieces.running.push_back(thread),
            // There is no thread to be had: it is read here, behind those before it.
            None | Some(Err(_)) => {
                self.wait_for_all()?;
                return self.take_piece(read_whole(&piece.0, piece.1.clone(), is_within));
            }
        }
        while let Reading::Parallel(Pieces { running, .. }) = &self.reading
            && running.len() > threads
        {
            self.wait_for_piece()?;
        }
        Ok(())
    }

    fn wait_for_all(&mut self) -> Result<()> {
        while matches!(&self.reading, Reading::Parallel(Pieces { running, .. }) if !running.is_empty()) {
            self.wait_for_piece()?;
        }
        Ok(())
    }

    /// Takes the elements of the first piece that is being read.
    fn wait_for_piece(&mut self) -> Result<()> {
        let Reading::Parallel(pieces) = &mut self.reading else { return Ok(()) };
        let Some(thread) = pieces.running.pop_front() else { return Ok(()) };
        self.take_piece(thread.join().map_err(|_| Errno::IO)?)
    }

    fn take_piece(&mut self, piece: Piece) -> Result<()> {
        let Reading::Parallel(pieces) = &mut self.reading else { return Ok(()) };
        match piece {
            _ if self.bad.is_some() => Ok(()),
            Ok((elements, reader)) => {
                pieces.elements += reader.done();
                pieces.lines += reader.lines();
                self.parsed.push(&elements)
            }
            Err(bad) => {
                self.bad = Some(Bad { line: bad.line + pieces.lines, ..bad });
                Ok(())
            }
        }
    }

    /// The last elements of the text, if it is complete as it is.
    pub(super) fn complete(&mut self) -> std::result::Result<Vec<u8>, Fault> {
        self.failed.map_or(Ok(()), Err)?;
        let read = self.wait_for_all();
        self.remember(read)?;
        if let Some(bad) = &self.bad {
            return Err(Fault::Text(bad.clone()));
        }
        let mut rest = Vec::new();
        match &self.reading {
            Reading::Serial(reader) => reader.as_ref().clone().finish(&mut rest).map_err(Fault::Text)?,
            Reading::Parallel(pieces) => {
                let missing = self.text.count().checked_sub(pieces.elements);
                let mut reader = self.text.reader(false, missing.unwrap_or(0));
                if pieces.is_within {
                    reader = reader.within_a_line();
                }
                let outcome = reader.feed(&self.pending, &mut rest).and_then(|()| reader.finish(&mut rest));
                outcome.map_err(|bad| Fault::Text(Bad { line: bad.line + pieces.lines, ..bad }))?;
                if missing.is_none() {
                    return Err(Fault::Text(reader.too_many()));
                }
            }
        }
        Ok(rest)
    }

    /// The elements before those.
    pub(super) fn parsed(&mut self) -> &mut Parsed {
        &mut self.parsed
    }
}

/// Reads a piece of a text.
fn read_whole(piece: &[u8], mut reader: Reader, is_within: bool) -> Piece {
    let mut elements = Vec::with_capacity(piece.len() / 2);
    reader.feed(piece, &mut elements)?;
    // Behind the last number of the piece something stands that ends it.
    reader.feed(if is_within { b" " } else { b"" }, &mut elements)?;
    Ok((elements, reader))
}

/// Elements that a text turned out to be: the last of them in memory, those before in a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    file: Option<File>,
    elements: Vec<u8>,
}

/// What is done with elements, from this number on.
pub(super) type Each<'a> = dyn FnMut(u64, &[u8]) -> std::result::Result<(), Fault> + 'a;

impl Parsed {
    /// Adds elements.
    pub(super) fn push(&mut self, elements: &[u8]) -> Result<()> {
        self.elements.extend_from_slice(elements);
        if self.elements.len() > WAITING {
            self.put_by()?;
        }
        Ok(())
    }

    fn put_by(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unnamed()?),
        };
        let put = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&self.elements));
        put.map_err(|error| errno_of(&error))?;
        self.elements.clear();
        Ok(())
    }

    /// Calls `each` with all elements, of `size` bytes each, and with `rest` behind them.
    pub(super) fn each(&mut self, size: u64, rest: &[u8], each: &mut Each<'_>) -> std::result::Result<(), Fault> {
        let size = size as usize;
        let most = (STORED / size).max(1) * size;
        let mut number = 0;
        let mut next = |elements: &[u8]| {
            let first = number;
            number += (elements.len() / size) as u64;
            each(first, elements)
        };
        if let Some(file) = &mut self.file {
            let mut left = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(0))?;
            let mut buffer = vec![0; most];
            while left > 0 {
                let count = left.min(most as u64) as usize;
                file.read_exact(&mut buffer[..count])?;
                next(&buffer[..count])?;
                left -= count as u64;
            }
        }
        self.elements.chunks(most).chain(rest.chunks(most)).try_for_each(next)
    }
}
