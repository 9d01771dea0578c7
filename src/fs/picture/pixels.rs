//! The pixels of a picture that was written, until all of them are known.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::super::changes::{Changes, Context};
use super::super::patches::errno_of;

type Result<T> = std::result::Result<T, Errno>;

/// Bytes that are kept in memory, and that are stored at once.
const KEPT: usize = 8 << 20;
const CHUNK: u64 = 1 << 20;

/// Pixels as they are shown: the last of them in memory, those before in a file.
#[derive(Debug, Default)]
pub(super) struct Pixels {
    file: Option<File>,
    /// Bytes in the file.
    stored: u64,
    kept: Vec<u8>,
    /// A part of the file that is being changed.
    row: Vec<u8>,
}

impl Pixels {
    /// Appends pixels.
    pub(super) fn append(&mut self, pixels: &[u8]) -> Result<()> {
        self.kept.extend(pixels);
        if self.kept.len() > KEPT {
            let file = made(&mut self.file)?;
            file.write_all_at(&self.kept, self.stored).map_err(|error| errno_of(&error))?;
            self.stored += self.kept.len() as u64;
            self.kept.clear();
        }
        Ok(())
    }

    /// Puts single pixels of `size` bytes in their places, from byte `at` on, `distance` bytes apart.
    pub(super) fn scatter(&mut self, at: u64, distance: usize, size: usize, pixels: &[u8]) -> Result<()> {
        let file = made(&mut self.file)?;
        let length = (pixels.len() / size.max(1)).saturating_sub(1) * distance + size;
        let end = at + length as u64;
        if self.stored < end {
            file.set_len(end).map_err(|error| errno_of(&error))?;
            self.stored = end;
        }
        self.row.resize(length, 0);
        file.read_exact_at(&mut self.row, at).map_err(|error| errno_of(&error))?;
        for (place, pixel) in self.row.chunks_mut(distance).zip(pixels.chunks_exact(size)) {
            place[..size].copy_from_slice(pixel);
        }
        file.write_all_at(&self.row, at).map_err(|error| errno_of(&error))
    }

    /// Stores the pixels where they differ from what is there.
    pub(super) fn apply(&self, context: &Context<'_>) -> Result<()> {
        if context.elements.conversion.is_some() {
            // Whether all of them fit is known before the first is stored.
            self.each(context, &|number, shown| changes(context, number, shown).map(|_| ()))?;
        }
        self.each(context, &|number, shown| context.put_changes(&changes(context, number, shown)?))
    }

    /// Calls `each` with some elements after the other, and the number of the first of them.
    fn each(&self, context: &Context<'_>, each: &dyn Fn(u64, &[u8]) -> Result<()>) -> Result<()> {
        let size = context.elements.shown.max(1);
        let most = (CHUNK / size * size).max(size);
        let (mut at, mut buffer) = (0, Vec::new());
        while at < self.stored
            && let Some(file) = &self.file
        {
            buffer.resize(most.min(self.stored - at) as usize, 0);
            file.read_exact_at(&mut buffer, at).map_err(|error| errno_of(&error))?;
            each(at / size, &buffer)?;
            at += buffer.len() as u64;
        }
        for shown in self.kept.chunks(most as usize) {
            each(at / size, shown)?;
            at += shown.len() as u64;
        }
        Ok(())
    }
}

/// What storing some elements changes.
fn changes(context: &Context<'_>, number: u64, shown: &[u8]) -> Result<Changes> {
    context.changed(number, shown, |stored| match &context.elements.conversion {
        Some(conversion) => conversion.write(shown, stored).map_err(|_| Errno::RANGE),
        None => {
            let ranges = differing(stored, shown, context.elements.shown.max(1) as usize);
            stored.copy_from_slice(shown);
            Ok(ranges)
        }
    })
}

/// The stretches of elements that differ, in bytes.
fn differing(before: &[u8], now: &[u8], size: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let pairs = before.chunks(size).zip(now.chunks(size)).enumerate();
    for (number, _) in pairs.filter(|(_, (before, now))| before != now) {
        let (start, end) = (number * size, (number + 1) * size);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

fn made(file: &mut Option<File>) -> Result<&mut File> {
    Ok(match file {
        Some(file) => file,
        none => none.insert(tempfile::tempfile().map_err(|error| errno_of(&error))?),
    })
}
