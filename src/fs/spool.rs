//! Text that is being written: it is stored when it is complete, all or nothing.
//!
//! Text may be longer than memory, so that it waits in a file without a name in the folder for temporary files, and so do the elements
//! that it turns out to be. After a truncation it is a text of its own, from the first number to the last, in cells of any width.
//! Without one it is patches of the text that the file shows, in place.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::body::{Bytes, Written};
use super::changes::{Changes, Context};
use super::open::Shared;
use super::picture::Reading;
use crate::form::text::{Bad, Reader};
use crate::runs::View;
use crate::store::lock;

type Result<T> = std::result::Result<T, Errno>;

/// Bytes that are read at once, and elements that are patched at once.
const CHUNK: usize = 1 << 20;
const PATCHED: u64 = 16 << 10;

/// The most places that patches may lie at.
const MAX_PATCHES: usize = 1 << 16;

/// Why a text was not stored.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is none, or not all of one.
    Text(Bad),
    /// Something else.
    Errno(Errno),
}

impl Fault {
    /// What the program is told.
    pub(super) fn errno(&self) -> Errno {
        match self {
            Fault::Text(bad) if bad.is_unfit => Errno::RANGE,
            Fault::Text(_) => Errno::INVAL,
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
            Fault::Errno(error) => write!(f, "{error}"),
        }
    }
}

/// Text that is not stored yet.
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

    /// Stores the text, if it is a complete one.
    pub(super) fn commit(
        &mut self,
        written: &Written,
        view: &View,
        bytes: Bytes<'_>,
        store: &dyn Fn(u64, &[u8]) -> Result<usize>,
    ) -> std::result::Result<(), Fault> {
        let context = Context { elements: &written.elements, view, bytes, store };
        let Some(file) = &self.file else {
            // Nothing was written: only the text of no number is complete so.
            if written.text.count() > 0 && self.is_whole {
                return Err(Fault::Errno(Errno::INVAL));
            }
            return Ok(());
        };
        if self.is_whole {
            let mut parsed = Parsed::default();
            let mut reader = written.text.reader(false, written.text.count());
            read_whole(file, self.len(), &mut reader, &mut parsed)?;
            parsed.apply(written, &context, 0)?;
        } else {
            self.commit_patches(file, written, &context)?;
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
        ready.into_iter().try_for_each(|(first, parsed)| parsed.apply(written, context, first))
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

/// What is done with elements, from this number on.
type Each<'a> = dyn FnMut(u64, &[u8]) -> std::result::Result<(), Fault> + 'a;

/// Elements that a text turned out to be: the last of them in memory, those before in a file.
#[derive(Debug, Default)]
struct Parsed {
    file: Option<File>,
    elements: Vec<u8>,
}

impl Parsed {
    fn feed(&mut self, reader: &mut Reader<'_>, piece: &[u8]) -> std::result::Result<(), Fault> {
        reader.feed(piece, &mut self.elements).map_err(Fault::Text)?;
        if self.elements.len() > 16 * CHUNK {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all(&self.elements)?;
            self.elements.clear();
        }
        Ok(())
    }

    fn finish(&mut self, reader: &mut Reader<'_>) -> std::result::Result<(), Fault> {
        reader.finish(&mut self.elements).map_err(Fault::Text)
    }

    /// Stores the elements, from number `first` on, where they differ from what is there.
    fn apply(mut self, written: &Written, context: &Context<'_>, first: u64) -> std::result::Result<(), Fault> {
        if let Some(conversion) = &written.elements.conversion
            && !conversion.is_identity()
        {
            // Whether all of them fit is known before the first is stored.
            self.each(written, first, &mut |number, shown| changes(written, context, number, shown).map(|_| ()))?;
        }
        self.each(written, first, &mut |number, shown| {
            context.put_changes(&changes(written, context, number, shown)?)?;
            Ok(())
        })
    }

    fn each(&mut self, written: &Written, first: u64, each: &mut Each<'_>) -> std::result::Result<(), Fault> {
        let size = (written.elements.shown.max(1)) as usize;
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

/// Truncates a text that is being written. What is left of one that was not touched yet becomes the start of a text of its own.
pub(super) fn truncate(shared: &Shared, written: &Written, size: u64) -> Result<()> {
    let mut pending = lock(&shared.pending);
    match &mut pending.spool {
        _ if size == 0 => pending.spool = Some(Spool::whole()),
        Some(spool) if spool.is_whole => spool.truncate(size)?,
        Some(_) => return Err(Errno::INVAL),
        None if size == written.text.len() => {}
        none => {
            let mut spool = Spool::whole();
            let bytes = Bytes { files: &shared.files, fill: &shared.tree.description.array.fill };
            let mut at = 0;
            while at < size {
                let window = at..size.min(at + CHUNK as u64);
                let length = window.end - window.start;
                shared.body.read(bytes, window, &Reading::default(), |text| spool.write(at, text, u64::MAX))??;
                at += length;
            }
            *none = Some(spool);
        }
    }
    Ok(())
}

/// What storing some elements changes.
fn changes(written: &Written, context: &Context<'_>, number: u64, shown: &[u8]) -> std::result::Result<Changes, Fault> {
    let mut now = vec![0; shown.len()];
    let count = shown.len() as u64 / written.elements.shown.max(1);
    written.elements.fetch(context.view, context.bytes, number..number + count, &mut now)?;
    let before = now.clone();
    written.text.merge(shown, &mut now);
    let changes = context.changed(number, &now, |stored| match &written.elements.conversion {
        Some(conversion) => conversion.write(&now, stored).map_err(|_| Errno::RANGE),
        None => {
            stored.copy_from_slice(&now);
            Ok(differing(&before, &now, written.elements.shown as usize))
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
