//! Texts and pictures that are being written: they are stored when they are complete, all or nothing.
//!
//! A text may be longer than memory, so that it waits in a file without a name in the folder for temporary files, and so do the elements
//! that it turns out to be. After a truncation it is a text of its own, from the first number to the last, in cells of any width.
//! Without one it is patches of the text that the file shows, in place. So it is with pictures.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::body::{Body, Bytes, Elements, Written};
use super::changes::Context;
use super::open::Shared;
use super::picture::{Painted, Reading};
use crate::form::png::Refusal;
use crate::form::text::{Bad, Reader};
use crate::store::lock;

mod parsed;
mod pixels;

use parsed::Parsed;

type Result<T> = std::result::Result<T, Errno>;

/// Bytes that are read at once, and elements that are patched at once.
const CHUNK: usize = 1 << 20;
const PATCHED: u64 = 16 << 10;

/// The most places that patches may lie at.
const MAX_PATCHES: usize = 1 << 16;

/// What a spool turns out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spooled<'a> {
    Text(&'a Written),
    Picture(&'a Painted),
}

impl<'a> Spooled<'a> {
    /// What a user would call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Spooled::Text(_) => "a text",
            Spooled::Picture(_) => "a picture",
        }
    }

    /// Bytes that somebody may write: numbers may be longer than ours, and pictures come with words about them.
    pub(super) fn room(self) -> u64 {
        match self {
            Spooled::Text(written) => written.text.room(),
            Spooled::Picture(painted) => painted.picture.len().saturating_mul(2).saturating_add(16 << 20),
        }
    }

    fn elements(self) -> &'a Elements {
        match self {
            Spooled::Text(written) => &written.elements,
            Spooled::Picture(painted) => &painted.elements,
        }
    }

    /// Takes elements over into `now`, the bytes of as many, where they differ from what is shown of those.
    fn merge(self, parsed: &[u8], now: &mut [u8]) {
        match self {
            Spooled::Text(written) => written.text.merge(parsed, now),
            Spooled::Picture(_) => now.copy_from_slice(parsed),
        }
    }
}

/// Why a text or a picture was not stored.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is no text, or not all of one.
    Text(Bad),
    /// It is no picture, or not all of one, or another.
    Picture(String),
    /// Something else.
    Errno(Errno),
}

impl Fault {
    /// What the program is told.
    pub(super) fn errno(&self) -> Errno {
        match self {
            Fault::Text(bad) if bad.is_unfit => Errno::RANGE,
            Fault::Text(_) | Fault::Picture(_) => Errno::INVAL,
            Fault::Errno(error) => *error,
        }
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Fault {
        Fault::Errno(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Errno(errno_of(&error))
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Text(Bad { line, column, token, what, .. }) => {
                write!(f, "line {line}, column {column}: {what}: `{}`", token.escape_debug())
            }
            Fault::Picture(what) => f.write_str(what),
            Fault::Errno(error) => write!(f, "{error}"),
        }
    }
}

impl From<Refusal<Fault>> for Fault {
    fn from(refusal: Refusal<Fault>) -> Fault {
        match refusal {
            Refusal::Picture(what) => Fault::Picture(what),
            Refusal::Other(fault) => fault,
        }
    }
}

/// A text or a picture that is not stored yet.
#[derive(Debug, Default)]
pub(super) struct Spool {
    /// What was written, each byte at its offset; made with the first byte.
    file: Option<File>,
    /// The bytes that were written, in order, without two that touch.
    written: Vec<Range<u64>>,
    /// Whether it is a text of its own.
    is_whole: bool,
    /// Whether something was written since it was last stored.
    is_new: bool,
}

impl Spool {
    /// A text of its own, empty at first.
    pub(super) fn whole() -> Spool {
        Spool { is_whole: true, ..Spool::default() }
    }

    /// Patches of what there is.
    pub(super) fn patches() -> Spool {
        Spool::default()
    }

    /// Whether something waits to be stored.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Length of the text so far.
    pub(super) fn len(&self) -> u64 {
        self.written.last().map_or(0, |range| range.end)
    }

    /// Takes bytes, of a text that may be `room` bytes long.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], room: u64) -> Result<usize> {
        let end = offset.checked_add(data.len() as u64).filter(|&end| end <= room).ok_or(Errno::FBIG)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(|error| errno_of(&error))?),
        };
        file.write_all_at(data, offset).map_err(|error| errno_of(&error))?;
        self.note(offset..end);
        if self.written.len() > MAX_PATCHES {
            return Err(Errno::NOSPC);
        }
        self.is_new = true;
        Ok(data.len())
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        if let Some(file) = &self.file {
            file.set_len(size).map_err(|error| errno_of(&error))?;
        }
        self.written.retain(|range| range.start < size);
        if let Some(last) = self.written.last_mut() {
            last.end = last.end.min(size);
        }
        self.is_new = true;
        Ok(())
    }

    fn note(&mut self, new: Range<u64>) {
        // Mostly it continues the last.
        match self.written.last_mut() {
            Some(last) if new.start >= last.start && new.start <= last.end => last.end = last.end.max(new.end),
            Some(last) if new.start < last.start => {
                self.written.push(new);
                self.written.sort_unstable_by_key(|range| range.start);
                let mut merged: Vec<Range<u64>> = Vec::with_capacity(self.written.len());
                for range in self.written.drain(..) {
                    match merged.last_mut() {
                        Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                        _ => merged.push(range),
                    }
                }
                self.written = merged;
            }
            _ => self.written.push(new),
        }
    }

    /// Stores what was written, if it is complete.
    pub(super) fn commit(
        &mut self,
        spooled: Spooled<'_>,
        body: &Body,
        bytes: Bytes<'_>,
        store: &dyn Fn(u64, &[u8]) -> Result<usize>,
    ) -> std::result::Result<(), Fault> {
        let context = Context { elements: spooled.elements(), view: &body.view, bytes, store };
        let Some(file) = &self.file else {
            // Nothing was written: only the text of no number is complete so.
            let is_empty = matches!(spooled, Spooled::Text(written) if written.text.count() == 0);
            return if is_empty || !self.is_whole { Ok(()) } else { Err(Fault::Errno(Errno::INVAL)) };
        };
        match spooled {
            Spooled::Text(written) if self.is_whole => {
                let mut parsed = Parsed::default();
                let mut reader = written.text.reader(false, written.text.count());
                read_whole(file, self.len(), &mut reader, &mut parsed)?;
                parsed.apply(spooled, &context, 0)?;
            }
            Spooled::Text(written) => self.commit_patches(file, written, &context)?,
            Spooled::Picture(painted) => {
                let mut parsed = Parsed::default();
                let ours = (!self.is_whole).then_some(body);
                pixels::decode(painted, pixels::Input::new(file, &self.written, ours, bytes), &mut parsed)?;
                parsed.apply(spooled, &context, 0)?;
            }
        }
        self.is_new = false;
        if !self.is_whole {
            self.written.clear();
        }
        Ok(())
    }

    /// Patches leave every cell where it is, so that the text of the elements that they touch is read anew.
    fn commit_patches(&self, file: &File, written: &Written, context: &Context<'_>) -> std::result::Result<(), Fault> {
        let text = &written.text;
        let mut stretches: Vec<Range<u64>> = Vec::new();
        for range in &self.written {
            self.check_head(file, written, range)?;
            let touched = text.elements(range);
            if touched.is_empty() && range.end > text.len() {
                return Err(Fault::Errno(Errno::INVAL));
            }
            match stretches.last_mut() {
                Some(last) if touched.start <= last.end => last.end = last.end.max(touched.end),
                _ => stretches.push(touched),
            }
        }
        // First all of them are read, then all are stored.
        let mut ready = Vec::new();
        for stretch in stretches.into_iter().filter(|stretch| !stretch.is_empty()) {
            let mut parsed = Parsed::default();
            let mut reader = text.reader(true, stretch.end - stretch.start);
            let mut at = stretch.start;
            while at < stretch.end {
                let part = at..stretch.end.min(at + PATCHED);
                let mut shown = Vec::new();
                written.render(context.view, context.bytes, part.clone(), &mut shown)?;
                let start = text.start_of(part.start);
                for range in &self.written {
                    let (low, high) = (range.start.max(start), range.end.min(start + shown.len() as u64));
                    if low < high {
                        file.read_exact_at(&mut shown[(low - start) as usize..(high - start) as usize], low)?;
                    }
                }
                parsed.feed(&mut reader, &shown)?;
                at = part.end;
            }
            parsed.finish(&mut reader)?;
            ready.push((stretch.start, parsed));
        }
        ready.into_iter().try_for_each(|(first, parsed)| parsed.apply(Spooled::Text(written), context, first))
    }

    /// The names of the columns cannot be changed.
    fn check_head(&self, file: &File, written: &Written, range: &Range<u64>) -> std::result::Result<(), Fault> {
        let head = written.text.head();
        let (low, high) = (range.start as usize, (range.end as usize).min(head.len()));
        if low >= high {
            return Ok(());
        }
        let mut patched = vec![0; high - low];
        file.read_exact_at(&mut patched, low as u64)?;
        if patched == head[low..high] { Ok(()) } else { Err(Fault::Errno(Errno::INVAL)) }
    }
}

fn read_whole(file: &File, len: u64, reader: &mut Reader<'_>, parsed: &mut Parsed) -> std::result::Result<(), Fault> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < len {
        let count = (len - at).min(CHUNK as u64) as usize;
        file.read_exact_at(&mut buffer[..count], at)?;
        parsed.feed(reader, &buffer[..count])?;
        at += count as u64;
    }
    parsed.finish(reader)
}

/// Truncates a text or a picture that is being written. What is left of one that was not touched yet becomes the start of a text of its own.
pub(super) fn truncate(shared: &Shared, size: u64) -> Result<()> {
    let mut pending = lock(&shared.pending);
    match &mut pending.spool {
        _ if size == 0 => pending.spool = Some(Spool::whole()),
        Some(spool) if spool.is_whole => spool.truncate(size)?,
        Some(_) => return Err(Errno::INVAL),
        None if size == shared.body.len() => {}
        none => {
            let mut spool = Spool::whole();
            let bytes = Bytes { files: &shared.files, fill: &shared.tree.description.array.fill };
            let (mut at, reading) = (0, Reading::default());
            while at < size {
                let window = at..size.min(at + CHUNK as u64);
                let length = window.end - window.start;
                shared.body.read(bytes, window, &reading, |text| spool.write(at, text, u64::MAX))??;
                at += length;
            }
            *none = Some(spool);
        }
    }
    Ok(())
}
