//! The elements of a text or a picture, until all of them are known.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::super::changes::{Changes, Context};
use super::{CHUNK, Fault, Spooled};
use crate::form::text::Reader;

/// What is done with elements, from this number on.
type Each<'a> = dyn FnMut(u64, &[u8]) -> std::result::Result<(), Fault> + 'a;

/// Elements that a text or a picture turned out to be: the last of them in memory, those before in a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    file: Option<File>,
    elements: Vec<u8>,
    /// A part of the file that is being changed.
    row: Vec<u8>,
}

fn file_of(file: &mut Option<File>) -> std::result::Result<&mut File, Fault> {
    Ok(match file {
        Some(file) => file,
        none => none.insert(tempfile::tempfile()?),
    })
}

impl Parsed {
    pub(super) fn feed(&mut self, reader: &mut Reader<'_>, piece: &[u8]) -> std::result::Result<(), Fault> {
        reader.feed(piece, &mut self.elements).map_err(Fault::Text)?;
        self.put_aside()
    }

    /// Appends elements.
    pub(super) fn append(&mut self, elements: &[u8]) -> std::result::Result<(), Fault> {
        self.elements.extend(elements);
        self.put_aside()
    }

    /// Puts single elements of `size` bytes in their places, from byte `at` on, `distance` bytes apart.
    pub(super) fn scatter(
        &mut self,
        at: u64,
        distance: usize,
        size: usize,
        elements: &[u8],
    ) -> std::result::Result<(), Fault> {
        let file = file_of(&mut self.file)?;
        let length = (elements.len() / size.max(1)).saturating_sub(1) * distance + size;
        let end = at + length as u64;
        if file.metadata()?.len() < end {
            file.set_len(end)?;
        }
        self.row.resize(length, 0);
        file.read_exact_at(&mut self.row, at)?;
        for (place, element) in self.row.chunks_mut(distance).zip(elements.chunks_exact(size)) {
            place[..size].copy_from_slice(element);
        }
        file.write_all_at(&self.row, at)?;
        Ok(())
    }

    fn put_aside(&mut self) -> std::result::Result<(), Fault> {
        if self.elements.len() > 16 * CHUNK {
            let file = file_of(&mut self.file)?;
            file.write_all(&self.elements)?;
            self.elements.clear();
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, reader: &mut Reader<'_>) -> std::result::Result<(), Fault> {
        reader.finish(&mut self.elements).map_err(Fault::Text)
    }

    /// Stores the elements, from number `first` on, where they differ from what is there.
    pub(super) fn apply(
        mut self,
        spooled: Spooled<'_>,
        context: &Context<'_>,
        first: u64,
    ) -> std::result::Result<(), Fault> {
        if let Some(conversion) = &spooled.elements().conversion
            && !conversion.is_identity()
        {
            // Whether all of them fit is known before the first is stored.
            self.each(spooled, first, &mut |number, shown| changes(spooled, context, number, shown).map(|_| ()))?;
        }
        self.each(spooled, first, &mut |number, shown| {
            context.put_changes(&changes(spooled, context, number, shown)?)?;
            Ok(())
        })
    }

    fn each(&mut self, spooled: Spooled<'_>, first: u64, each: &mut Each<'_>) -> std::result::Result<(), Fault> {
        let size = (spooled.elements().shown.max(1)) as usize;
        let most = (CHUNK / size).max(1) * size;
        let mut number = first;
        if let Some(file) = &mut self.file {
            let mut left = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(0))?;
            let mut buffer = vec![0; most];
            while left > 0 {
                let count = left.min(most as u64) as usize;
                file.read_exact(&mut buffer[..count])?;
                each(number, &buffer[..count])?;
                number += (count / size) as u64;
                left -= count as u64;
            }
        }
        for shown in self.elements.chunks(most) {
            each(number, shown)?;
            number += (shown.len() / size) as u64;
        }
        Ok(())
    }
}

/// What storing some elements changes.
fn changes(
    spooled: Spooled<'_>,
    context: &Context<'_>,
    number: u64,
    shown: &[u8],
) -> std::result::Result<Changes, Fault> {
    let mut now = vec![0; shown.len()];
    let count = shown.len() as u64 / spooled.elements().shown.max(1);
    spooled.elements().fetch(context.view, context.bytes, number..number + count, &mut now)?;
    let before = now.clone();
    spooled.merge(shown, &mut now);
    let changes = context.changed(number, &now, |stored| match &spooled.elements().conversion {
        Some(conversion) => conversion.write(&now, stored).map_err(|_| Errno::RANGE),
        None => {
            stored.copy_from_slice(&now);
            Ok(differing(&before, &now, spooled.elements().shown as usize))
        }
    })?;
    Ok(changes)
}

/// The stretches of elements that differ, in bytes.
fn differing(before: &[u8], now: &[u8], size: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let pairs = before.chunks(size.max(1)).zip(now.chunks(size.max(1))).enumerate();
    for (number, _) in pairs.filter(|(_, (before, now))| before != now) {
        let (start, end) = (number * size, (number + 1) * size);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}
