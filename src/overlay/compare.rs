//! What an overlay has that its array file has not.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::folder::{Problem, open_folder, read, shown};
use super::{Packed, stat_of};
use crate::store::{Layer, PAGE, Record, Shelf};

/// Bytes that are compared at once.
const AT_ONCE: u64 = 1 << 20;

/// What differs of one array file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The array file, below the source.
    pub file: PathBuf,
    /// Whether it exists only here.
    pub is_made: bool,
    /// The bytes that differ. Where the elements are known, those of neighbouring ones are one range, from the first byte
    /// that differs to the last one.
    pub ranges: Vec<Range<u64>>,
    /// How many bytes differ.
    pub bytes: u64,
}

/// What is called for each file, with what lies in it.
pub type Each<'a> = dyn FnMut(Result<Change, Problem>, Option<&Packed>) -> Result<(), Problem> + 'a;

/// What is called for each stretch of bytes that differs, with the overlay's.
type Difference<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Errno> + 'a;

/// Compares the overlays of a folder with their array files; `packed` tells what lies in the file of an overlay. Those that
/// hold nothing else than their files are left out. Calls `each` with what differs, or why that cannot be told, file by file.
///
/// # Errors
/// If the folder cannot be read; those of `each`.
pub fn compare(
    folder: &Path,
    source: &Path,
    packed: &dyn Fn(&Record, u64) -> Option<Packed>,
    each: &mut Each<'_>,
) -> Result<(), Problem> {
    let unreadable = |error: Errno| Problem(format!("{}: {error}", folder.display()));
    let shelf = Shelf::new(open_folder(folder).map_err(unreadable)?, false);
    for number in shelf.numbers(false).map_err(unreadable)? {
        let layer = read(&shelf, folder, number)?;
        let record = layer.record();
        if layer.pages().is_empty() && !record.is_made {
            continue;
        }
        let packed = packed(&record, number);
        match compare_one(&shelf, &layer, packed.as_ref()) {
            Ok(change) if change.ranges.is_empty() && !change.is_made => {}
            Ok(change) => each(Ok(Change { file: shown(&record, source), ..change }), packed.as_ref())?,
            Err(error) => each(Err(Problem(format!("{}: {error}", record.path.display()))), None)?,
        }
    }
    Ok(())
}

fn compare_one(shelf: &Shelf, layer: &Layer, packed: Option<&Packed>) -> Result<Change, Errno> {
    let sides = Sides::open(shelf, layer)?;
    let (mut ranges, mut bytes): (Vec<Range<u64>>, u64) = (Vec::new(), 0);
    sides.differences(layer, &mut |at, found| {
        let range = at..at + found.len() as u64;
        bytes += found.len() as u64;
        match ranges.last_mut() {
            Some(last) if joins(last, &range, packed) => last.end = range.end,
            _ => ranges.push(range),
        }
        Ok(())
    })?;
    let record = layer.record();
    let is_made = record.is_made && sides.array.is_none();
    Ok(Change { file: record.path, is_made, ranges, bytes })
}

/// Whether a range goes on where another one stops: at the next byte, or in the same element or the next one.
fn joins(last: &Range<u64>, next: &Range<u64>, packed: Option<&Packed>) -> bool {
    let elements = packed.and_then(|packed| Some((packed.number(last.end - 1)?, packed.number(next.start)?)));
    next.start == last.end || elements.is_some_and(|(before, after)| after <= before + 1)
}

/// An overlay and its array file, open.
#[derive(Debug)]
pub(super) struct Sides {
    data: OwnedFd,
    /// Nothing where it does not exist.
    pub(super) array: Option<OwnedFd>,
}

impl Sides {
    pub(super) fn open(shelf: &Shelf, layer: &Layer) -> Result<Sides, Errno> {
        let record = layer.record();
        let data = shelf.open_data(layer.number(), OFlags::RDONLY)?;
        let array = match stat_of(&record)? {
            None if record.is_made => None,
            None => return Err(Errno::NOENT),
            Some(_) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
                let open = |flags| rustix::fs::open(&record.path, flags, Mode::empty());
                // Only the owner may leave the time of access as it is.
                Some(match open(flags | OFlags::NOATIME) {
                    Err(Errno::PERM) => open(flags)?,
                    opened => opened?,
                })
            }
        };
        Ok(Sides { data, array })
    }

    /// Calls `each` with the bytes that differ and where they are, from front to back.
    pub(super) fn differences(&self, layer: &Layer, each: &mut Difference<'_>) -> Result<(), Errno> {
        let data_len = length(&self.data)?;
        let len = match &self.array {
            Some(array) => length(array)?.min(data_len),
            None => data_len,
        };
        if layer.record().is_made {
            return self.compare(0..len, each);
        }
        let (look, last) = (layer.pages().look(), len.div_ceil(PAGE));
        let mut at = 0;
        while let Some(pages) = look.next_changed(at, last) {
            self.compare(pages.start * PAGE..(pages.end * PAGE).min(len), each)?;
            at = pages.end;
        }
        Ok(())
    }

    fn compare(&self, bytes: Range<u64>, each: &mut Difference<'_>) -> Result<(), Errno> {
        let size = (bytes.end - bytes.start).min(AT_ONCE) as usize;
        let (mut ours, mut theirs) = (vec![0; size], vec![0; size]);
        let mut at = bytes.start;
        while at < bytes.end {
            let count = (bytes.end - at).min(AT_ONCE) as usize;
            read_at(&self.data, &mut ours[..count], at)?;
            match &self.array {
                None => each(at, &ours[..count])?,
                Some(array) => {
                    read_at(array, &mut theirs[..count], at)?;
                    let mut done = 0;
                    while let Some(start) = (done..count).find(|&k| ours[k] != theirs[k]) {
                        done = (start..count).find(|&k| ours[k] == theirs[k]).unwrap_or(count);
                        each(at + start as u64, &ours[start..done])?;
                    }
                }
            }
            at += count as u64;
        }
        Ok(())
    }
}

/// The length of a file or block device.
fn length(file: &OwnedFd) -> Result<u64, Errno> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::End(0))
}

fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < buffer.len() {
        match retry_on_intr(|| rustix::io::pread(file.as_fd(), &mut buffer[done..], offset + done as u64))? {
            0 => return Err(Errno::IO),
            count => done += count,
        }
    }
    Ok(())
}
