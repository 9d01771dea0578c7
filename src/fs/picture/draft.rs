//! A picture that is being written: it is stored when it is complete, all or nothing.
//!
//! It waits in a file without a name in the folder for temporary files, and so do the pixels that it turns out to have. After a
//! truncation it is a picture of its own; without one it is patches of the one that the file shows, in place.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use rustix::io::Errno;

use super::super::body::Body;
use super::super::changes::Context;
use super::super::elements::Bytes;
use super::super::open::Shared;
use super::super::patches::Patches;
use super::pixels::Pixels;
use super::{Painted, Reading};
use crate::form::png::{Line, Refusal};
use crate::store::lock;

type Result<T> = std::result::Result<T, Errno>;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A picture that is not stored yet.
#[derive(Debug, Default)]
pub(in crate::fs) struct Draft {
    patches: Patches,
    /// Whether it is a picture of its own.
    is_whole: bool,
    /// Whether something was written since it was last stored.
    is_new: bool,
    /// Whether nothing was, since it was stored.
    is_stored: bool,
}

impl Draft {
    /// Patches of what there is.
    pub(super) fn patches() -> Draft {
        Draft::default()
    }

    /// Whether something waits to be stored.
    pub(in crate::fs) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether it is stored, so that it is over for those who begin anew.
    pub(in crate::fs) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Takes bytes, of a picture that may be `room` bytes long.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], room: u64) -> Result<usize> {
        offset.checked_add(data.len() as u64).filter(|&end| end <= room).ok_or(Errno::FBIG)?;
        self.patches.write(offset, data)?;
        (self.is_new, self.is_stored) = (true, false);
        Ok(data.len())
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.patches.truncate(size)?;
        (self.is_new, self.is_stored) = (true, false);
        Ok(())
    }

    /// Stores the picture, if something was written.
    ///
    /// # Errors
    /// EINVAL where it is none, or not all of one, or another than ours can be; what `store` answers.
    pub(super) fn commit(
        &mut self,
        painted: &Painted,
        body: &Body,
        bytes: Bytes<'_>,
        store: &dyn Fn(u64, &[u8]) -> Result<usize>,
    ) -> Result<()> {
        if !self.is_new {
            return Ok(());
        }
        // What was truncated and not written again decodes as no picture.
        let ours = (!self.is_whole).then_some(body);
        let input = Input::new(&self.patches, ours, bytes);
        let mut pixels = Pixels::default();
        decode(painted, input, &mut pixels).map_err(|refusal| {
            log::debug!("a picture that was written is not stored: {refusal}");
            match refusal {
                Refusal::Picture(_) => Errno::INVAL,
                Refusal::Other(error) => error,
            }
        })?;
        let context = Context { elements: &painted.elements, view: &body.view, bytes, store };
        pixels.apply(&context)?;
        (self.is_new, self.is_stored) = (false, true);
        if !self.is_whole {
            self.patches = Patches::default();
        }
        Ok(())
    }
}

/// Truncates a picture that is being written. What is left of one that was not touched yet becomes the start of one of its own.
pub(in crate::fs) fn truncate(shared: &Shared, size: u64) -> Result<()> {
    let mut pending = lock(&shared.pending);
    let whole = || Draft { is_whole: true, ..Draft::default() };
    match &mut pending.draft {
        _ if size == 0 => pending.draft = Some(whole()),
        Some(draft) if draft.is_whole => draft.truncate(size)?,
        Some(_) => return Err(Errno::INVAL),
        None if size == shared.body.len() => {}
        none => {
            let (mut draft, mut at, reading) = (whole(), 0, Reading::default());
            let bytes = Bytes { files: &shared.files, fill: &shared.tree.description.array.fill, lent: false };
            while at < size {
                let window = at..size.min(at + CHUNK as u64);
                let length = window.end - window.start;
                shared.body.read(bytes, window, &reading, |shown| draft.write(at, shown, u64::MAX))??;
                at += length;
            }
            *none = Some(draft);
        }
    }
    Ok(())
}

/// What is decoded: what was written, and where nothing was, what the file shows.
struct Input<'a> {
    patches: &'a Patches,
    ours: Option<&'a Body>,
    bytes: Bytes<'a>,
    reading: Reading,
    at: u64,
    len: u64,
}

impl<'a> Input<'a> {
    /// What was written into a file, over a body if there is one.
    fn new(patches: &'a Patches, ours: Option<&'a Body>, bytes: Bytes<'a>) -> Input<'a> {
        let end = patches.end();
        let len = ours.map_or(end, |body| body.len().max(end));
        Input { patches, ours, bytes, reading: Reading::default(), at: 0, len }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = target.len().min(left);
        let target = &mut target[..count];
        let window = self.at..self.at + count as u64;
        target.fill(0);
        if let Some(body) = self.ours
            && window.start < body.len()
        {
            let window = window.start..window.end.min(body.len());
            body.read(self.bytes, window, &self.reading, |shown| target[..shown.len()].copy_from_slice(shown))?;
        }
        self.patches.overlay(window.start, target)?;
        self.at = window.end;
        Ok(count)
    }
}

impl Seek for Input<'_> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        let at = match place {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Decodes a picture that may be stored in place of another.
fn decode(painted: &Painted, input: Input<'_>, pixels: &mut Pixels) -> std::result::Result<(), Refusal<Errno>> {
    let picture = &painted.picture;
    let (row, pixel) = (picture.row(), picture.pixel() as usize);
    let mut next = 0;
    picture.decode(BufReader::with_capacity(CHUNK, input), &mut |line, bytes| {
        if line == (Line { row: next, first: 0, step: 1 }) {
            next += 1;
            return pixels.append(bytes);
        }
        // Of a picture that comes in passes.
        let at = line.row * row + line.first * pixel as u64;
        pixels.scatter(at, line.step as usize * pixel, pixel, bytes)
    })
}

#[cfg(test)]
mod tests;
