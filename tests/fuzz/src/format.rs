//! A format against arbitrary bytes: whatever they are, it refuses them or describes arrays that lie within them.
//!
//! An input is the bytes of a file. Behind [`SEPARATOR`] may follow those of the one file beside it, and behind another
//! its name. Some of the files are also parsed with a [`HOLE`] in front of or behind all that they hold: a sparse file
//! like that costs its maker nothing, so its length is no excuse for taking as much memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::io;

use afbfs::format::{Array, Content, FORMATS, Files, Format, HEAD, Refusal, zarr};
use afbfs::grid::Spot;
use afbfs::layout::{MAX_NDIM, Selection, Span};
use afbfs::runs::{Run, View};
use afbfs::source::{ReadAt, Siblings};

use crate::dtype::round_trip;
use crate::memory::within;
use crate::model::count;

/// What stands in an input between the file, the file beside it, and its name.
const SEPARATOR: &[u8] = b"\n=====\n";

/// The length of a hole, in bytes.
const HOLE: u64 = 1 << 40;

/// What parsing may take in memory, in bytes: so much whatever the file holds, and so much for each of its bytes. In
/// a file with a hole only the formats' own limits hold.
const FIXED: u64 = 2 << 20;
const PER_BYTE: u64 = 512;
const WITH_HOLE: u64 = 256 << 20;

/// How often parsing may read: so often whatever the file holds, and so often, and so many bytes, for each of its
/// bytes. In a file with a hole every read behind the first few that give [`READ_WITH_HOLE`] bytes together fails.
const READS: u64 = 10_000;
const READ_AGAIN: u64 = 64;
const READ_WITH_HOLE: u64 = 1 << 18;

/// The longest message, in bytes.
const MESSAGE: usize = 4096;

/// The bytes of a view that are looked at, at its start, in its middle, and at its end.
const WINDOW: u64 = 600;

/// So many arrays of a container are looked at closely.
const MEMBERS: usize = 32;

pub(crate) fn check(format: &dyn Format, data: &[u8]) {
    let mut parts = split(data);
    let (file, beside) = (parts.next().unwrap_or_default(), parts.next());
    let name = parts.next().map(String::from_utf8_lossy).filter(|name| !name.is_empty() && !name.contains(['/', '\0']));
    if let Some(stem) = name.as_ref().and_then(|name| format.stem(name)) {
        assert!(!stem.is_empty());
    }
    format.knows(&file[..file.len().min(HEAD)]);
    let names = match (name, format.extensions()) {
        (Some(name), _) => vec![name],
        (None, []) => zarr::METADATA.iter().map(|&name| Cow::Borrowed(name)).collect(),
        (None, [extension, ..]) => vec![Cow::Owned(format!("x{extension}"))],
    };
    let beside = Beside(beside.filter(|bytes| !bytes.is_empty()));
    let size = data.len() as u64;
    for name in names {
        let plain = Watched::new(file, 0, 0);
        let content = within(FIXED + PER_BYTE * size, "parsing", || format.parse(&name, &plain, &beside));
        plain.was_read_at_most(READS + READ_AGAIN * size, (1 << 20) + READ_AGAIN * size);
        check_content(&content, plain.len());
        let again = format.parse(&name, &plain, &beside);
        assert_eq!(content, again, "what the same bytes describe");
        let holes = if has_holes(data) { &[0, file.len()][..] } else { &[] };
        for &at in holes {
            let holed = Watched::new(file, at, HOLE);
            let content = within(WITH_HOLE, "parsing a file with a hole", || format.parse(&name, &holed, &beside));
            check_content(&content, holed.len());
        }
    }
}

/// Whether an input is one of the few that are parsed with holes as well.
fn has_holes(data: &[u8]) -> bool {
    data.iter().fold(data.len(), |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte.into())).is_multiple_of(8)
}

fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let part = rest?;
        let end = part.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        rest = end.map(|end| &part[end + SEPARATOR.len()..]);
        Some(&part[..end.unwrap_or(part.len())])
    })
}

/// A file in memory, perhaps with a hole in it, that counts how it is read.
struct Watched<'a> {
    bytes: &'a [u8],
    hole: std::ops::Range<u64>,
    reads: Cell<u64>,
    taken: Cell<u64>,
}

impl<'a> Watched<'a> {
    fn new(bytes: &'a [u8], at: usize, hole: u64) -> Watched<'a> {
        Watched { bytes, hole: at as u64..at as u64 + hole, reads: Cell::new(0), taken: Cell::new(0) }
    }

    fn was_read_at_most(&self, reads: u64, taken: u64) {
        assert!(self.reads.get() <= reads, "read {} times, more than {reads}", self.reads.get());
        assert!(self.taken.get() <= taken, "read {} bytes, more than {taken}", self.taken.get());
    }
}

impl ReadAt for Watched<'_> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64 + (self.hole.end - self.hole.start)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.len().saturating_sub(offset).min(buffer.len() as u64) as usize;
        self.reads.set(self.reads.get() + 1);
        self.taken.set(self.taken.get() + count as u64);
        if self.hole.is_empty() {
            return self.bytes.read_at(buffer, offset);
        }
        if self.taken.get() > READ_WITH_HOLE {
            return Err(io::Error::other("too much was read"));
        }
        // What lies before the hole, what lies in it, and what lies behind it.
        let (buffer, before) =
            (&mut buffer[..count], self.hole.start.saturating_sub(offset).min(count as u64) as usize);
        let inside = self.hole.end.saturating_sub(offset).min(count as u64) as usize;
        self.bytes.read_at(&mut buffer[..before], offset)?;
        buffer[before..inside].fill(0);
        self.bytes
            .read_at(&mut buffer[inside..], (offset + inside as u64).saturating_sub(self.hole.end - self.hole.start))?;
        Ok(count)
    }
}

/// The same file beside the other, whatever it is called.
struct Beside<'a>(Option<&'a [u8]>);

impl Siblings for Beside<'_> {
    fn sibling(&self, _name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        match self.0 {
            Some(bytes) if bytes.len() > limit => Err(io::ErrorKind::FileTooLarge.into()),
            bytes => Ok(bytes.map(<[u8]>::to_vec)),
        }
    }

    fn sibling_len(&self, _name: &str) -> io::Result<Option<u64>> {
        Ok(self.0.map(|bytes| bytes.len() as u64))
    }
}

fn check_content(content: &Result<Content, Refusal>, len: u64) {
    match content {
        Err(refusal) => check_refusal(refusal),
        Ok(Content::One(array)) => check_array(array, len),
        Ok(Content::Many(container)) => {
            assert!(!container.members.is_empty(), "a container of nothing");
            for member in &container.members {
                assert!(!member.path.is_empty(), "an array without a name");
                member.found.as_ref().err().into_iter().for_each(check_refusal);
            }
            container
                .members
                .iter()
                .filter_map(|member| member.found.as_ref().ok())
                .take(MEMBERS)
                .for_each(|array| check_array(array, len));
        }
    }
}

fn check_refusal(Refusal(why): &Refusal) {
    assert!(!why.is_empty() && why.len() <= MESSAGE, "a message of {} bytes: {why:.200}", why.len());
}

fn check_array(array: &Array, len: u64) {
    let (shape, itemsize) = (array.grid.shape(), array.grid.itemsize());
    assert!(FORMATS.iter().any(|format| format.name() == array.format), "{}", array.format);
    assert!(shape.len() <= MAX_NDIM);
    assert_eq!(itemsize, array.dtype.itemsize());
    assert!(array.dims.is_empty() || array.dims.len() == shape.len(), "{shape:?} has the axes {:?}", array.dims);
    assert!(array.fill.is_empty() || array.fill.len() as u64 == itemsize, "{:?} for {}", array.fill, array.dtype);
    assert!(array.read_only.as_ref().is_none_or(|why| !why.is_empty()));
    round_trip(&array.dtype);
    array.grid.hash(&mut DefaultHasher::new());
    assert!(array.grid.single().is_some() || array.grid.places_like(&array.grid));
    if let Some(layout) = array.grid.single() {
        assert_eq!((&layout.shape[..], layout.itemsize), (shape, itemsize));
        layout.check().unwrap_or_else(|error| panic!("{layout:?}: {error}"));
        assert!(layout.count() == 0 || layout.extent().end <= end_of(array, 0, len), "{layout:?} in {len} bytes");
    }
    if count(shape) > 0 {
        check_spots(array, len);
    }
    check_views(array, len);
}

/// The length of a file of the array, as far as the format says one.
fn end_of(array: &Array, piece: u64, len: u64) -> u64 {
    match &array.files {
        Files::Itself => {
            assert_eq!(piece, 0, "an array in one file has a piece of number {piece}");
            len
        }
        Files::Beside(names) => {
            let name = names.name(piece);
            assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains('\0'), "{name:?}");
            names.digest();
            names.created_len().unwrap_or(i64::MAX as u64)
        }
    }
}

/// Elements at both ends and in between, and all that lies along each axis in their cells.
fn check_spots(array: &Array, len: u64) {
    let (shape, itemsize) = (array.grid.shape(), array.grid.itemsize());
    for part in 0..=8 {
        let coordinates: Vec<u64> = shape.iter().map(|&length| (u128::from(length - 1) * part / 8) as u64).collect();
        for axis in (0..shape.len()).map(Some).chain([None]) {
            let Spot { piece, offset, stride, low, high } = array.grid.spot(&coordinates, axis);
            let here = axis.map_or(0, |axis| coordinates[axis]);
            let length = axis.map_or(1, |axis| shape[axis]);
            assert!(low <= here && here < high && high <= length, "{here} in {low}..{high} of {length}");
            let Some(piece) = piece else { continue };
            let end = i128::from(end_of(array, piece, len)) - i128::from(itemsize);
            for index in [low, high - 1] {
                let start = i128::from(offset) + (i128::from(index) - i128::from(here)) * i128::from(stride);
                assert!((0..=end).contains(&start), "an element of {array:?} at {start}, in a file of {len} bytes");
            }
        }
    }
}

fn check_views(array: &Array, len: u64) {
    let grid = &array.grid;
    let whole = Selection::whole(grid.shape(), grid.itemsize());
    let count = whole.count();
    check_view(&View::new(grid, &whole), count * grid.itemsize(), array, len);
    check_view(&View::new(grid, &whole.transpose()), count * grid.itemsize(), array, len);
    if count > 1 {
        let backward = Span { start: count - 1, step: -1, len: count };
        check_view(&View::range(grid, &whole, backward), count * grid.itemsize(), array, len);
        let wide = Span { start: 1, step: (count / 3).max(1) as i64, len: (count - 1).div_ceil((count / 3).max(1)) };
        check_view(&View::range(grid, &whole, wide), wide.len * grid.itemsize(), array, len);
        for (axis, &length) in grid.shape().iter().enumerate() {
            let last = whole.index(axis, length - 1);
            check_view(&View::new(grid, &last), last.count() * grid.itemsize(), array, len);
        }
    }
}

fn check_view(view: &View, expected: u64, array: &Array, len: u64) {
    assert_eq!(view.len(), expected);
    for start in [0, expected / 2, expected.saturating_sub(WINDOW)] {
        let end = expected.min(start + WINDOW);
        let mut bytes = 0;
        for run in view.runs(start..end) {
            check_run(&run, array, len);
            bytes += run.bytes();
        }
        assert_eq!(bytes, end - start);
    }
}

fn check_run(run: &Run, array: &Array, len: u64) {
    let end = match run.piece {
        Some(piece) => end_of(array, piece, len),
        None => array.grid.itemsize(),
    };
    assert!(run.bytes() > 0 && run.reach().end <= end, "{run:?} in {end} bytes");
}
