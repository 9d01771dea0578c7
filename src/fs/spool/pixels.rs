//! The pixels of a picture that was written.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::super::body::{Body, Bytes};
use super::super::picture::{Painted, Reading};
use super::{CHUNK, Fault, Parsed};
use crate::form::png::Line;

/// What is decoded: what was written, and where nothing was, what the file shows.
pub(super) struct Input<'a> {
    file: &'a File,
    written: &'a [Range<u64>],
    ours: Option<&'a Body>,
    bytes: Bytes<'a>,
    reading: Reading,
    at: u64,
    len: u64,
}

impl<'a> Input<'a> {
    /// What was written into a file, over a body if there is one.
    pub(super) fn new(
        file: &'a File,
        written: &'a [Range<u64>],
        ours: Option<&'a Body>,
        bytes: Bytes<'a>,
    ) -> Input<'a> {
        let end = written.last().map_or(0, |range| range.end);
        let len = ours.map_or(end, |body| body.len().max(end));
        Input { file, written, ours, bytes, reading: Reading::default(), at: 0, len }
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
        for range in self.written {
            let (low, high) = (range.start.max(window.start), range.end.min(window.end));
            if low < high {
                let place = (low - window.start) as usize..(high - window.start) as usize;
                self.file.read_exact_at(&mut target[place], low)?;
            }
        }
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
pub(super) fn decode(painted: &Painted, input: Input<'_>, parsed: &mut Parsed) -> Result<(), Fault> {
    let picture = &painted.picture;
    let (row, pixel) = (picture.row(), picture.pixel() as usize);
    let mut next = 0;
    picture.decode(BufReader::with_capacity(CHUNK / 4, input), &mut |line, pixels| {
        if line == (Line { row: next, first: 0, step: 1 }) {
            next += 1;
            return parsed.append(pixels);
        }
        // Of a picture that comes in passes.
        let at = line.row * row + line.first * pixel as u64;
        parsed.scatter(at, line.step as usize * pixel, pixel, pixels)
    })?;
    Ok(())
}
