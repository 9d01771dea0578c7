//! Text that is being written: it is stored when it is complete, all or nothing.
//!
//! After a truncation it is a text of its own, from the first number to the last, in cells of any width: a [`Stream`](super::stream::Stream),
//! which is read as it comes. Without one it is patches of the text that the file shows, in place; they wait in a file without a name in the
//! folder for temporary files.

use std::fmt;
use std::io;
use std::ops::Range;

use rustix::io::Errno;

use super::body::Written;
use super::changes::{Changes, Context};
use super::elements::Bytes;
use super::open::Shared;
use super::patches::{Patches, errno_of};
use super::picture::Reading;
use super::stream::{Parsed, Stream};
use crate::form::text::Bad;
use crate::runs::View;
use crate::store::lock;

type Result<T> = std::result::Result<T, Errno>;

/// Bytes that are read at once, and elements that are patched at once.
const CHUNK: usize = 1 << 20;
const PATCHED: u64 = 16 << 10;

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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Text(Bad { line, column, token, what, .. }) => {
                write!(f, "line {line}, column {column}: {what}")?;
                if token.is_empty() { Ok(()) } else { write!(f, ": `{}`", token.escape_debug()) }
            }
            Fault::Errno(error) => write!(f, "{error}"),
        }
    }
}

/// Text that is not stored yet.
#[derive(Debug)]
pub(super) struct Spool {
    text: Kind,
    /// Whether something was written since it was last stored.
    is_new: bool,
    /// Whether it is stored as it is.
    is_stored: bool,
}

#[derive(Debug)]
enum Kind {
    Whole(Stream),
    Patches(Patches),
}

impl Spool {
    /// A text of its own, empty at first.
    pub(super) fn whole(written: &Written) -> Spool {
        Spool { text: Kind::Whole(Stream::new(&written.text)), is_new: false, is_stored: false }
    }

    /// Patches of what there is.
    pub(super) fn patches() -> Spool {
        Spool { text: Kind::Patches(Patches::default()), is_new: false, is_stored: false }
    }

    /// Whether something waits to be stored.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether it is stored as it is.
    pub(super) fn is_stored(&self) -> bool {
        self.is_stored && !self.is_new
    }

    /// Takes bytes of a text.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], written: &Written) -> Result<usize> {
        let end = offset.checked_add(data.len() as u64);
        match &mut self.text {
            Kind::Whole(stream) if offset == 0 && !stream.is_at(0) => {
                // Begun anew.
                *stream = Stream::new(&written.text);
                stream.write(data)?;
            }
            Kind::Whole(stream) if stream.is_at(offset) => {
                end.filter(|&end| end <= written.text.room()).ok_or(Errno::FBIG)?;
                stream.write(data)?;
            }
            Kind::Whole(_) => return Err(Errno::SPIPE),
            Kind::Patches(patches) if end.is_none_or(|end| end > written.text.len()) && patches.end_at(offset) => {
                // Longer than what was there, and written from its start on: a text of its own, with no truncation before it.
                let mut stream = Stream::new(&written.text);
                let mut at = 0;
                while at < offset {
                    let mut piece = vec![0; (offset - at).min(CHUNK as u64) as usize];
                    patches.overlay(at, &mut piece)?;
                    stream.write(&piece)?;
                    at += piece.len() as u64;
                }
                self.text = Kind::Whole(stream);
                return self.write(offset, data, written);
            }
            Kind::Patches(_) if offset >= written.text.len() => return Err(Errno::NOSPC),
            Kind::Patches(patches) => {
                let fits = (written.text.len() - offset).min(data.len() as u64) as usize;
                patches.write(offset, &data[..fits])?;
                self.is_new = true;
                return Ok(fits);
            }
        }
        self.is_new = true;
        Ok(data.len())
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
        match &mut self.text {
            Kind::Whole(stream) => {
                let rest = stream.complete()?;
                apply(stream.parsed(), rest, written, &context, 0)?;
            }
            Kind::Patches(patches) => {
                commit_patches(patches, written, &context)?;
                *patches = Patches::default();
            }
        }
        (self.is_new, self.is_stored) = (false, true);
        Ok(())
    }
}

/// Stores patches of a text. They leave every cell where it is, so that the text of the elements that they touch is read anew.
fn commit_patches(patches: &Patches, written: &Written, context: &Context<'_>) -> std::result::Result<(), Fault> {
    let text = &written.text;
    // The names of the columns cannot be changed.
    let (head, mut patched) = (text.head(), text.head());
    patches.overlay(0, &mut patched)?;
    if patched != head {
        return Err(Fault::Errno(Errno::INVAL));
    }
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for range in patches.written() {
        let touched = text.elements(range);
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
            let part = at..stretch.end.min(at + PATCHED.next_multiple_of(text.together()));
            let mut shown = Vec::new();
            written.render(context.view, context.bytes, part.clone(), &mut shown)?;
            patches.overlay(text.start_of(part.start), &mut shown)?;
            let mut elements = Vec::new();
            reader.feed(&shown, &mut elements).map_err(Fault::Text)?;
            parsed.push(&elements)?;
            at = part.end;
        }
        let mut rest = Vec::new();
        reader.finish(&mut rest).map_err(Fault::Text)?;
        ready.push((stretch.start, parsed, rest));
    }
    ready.into_iter().try_for_each(|(first, mut parsed, rest)| apply(&mut parsed, rest, written, context, first))
}

/// Stores elements, from number `first` on, where they differ from what is there: those that were parsed, and `rest` behind them.
fn apply(
    parsed: &mut Parsed,
    rest: Vec<u8>,
    written: &Written,
    context: &Context<'_>,
    first: u64,
) -> std::result::Result<(), Fault> {
    let size = written.elements.shown.max(1);
    if written.elements.conversion.as_ref().is_some_and(|conversion| !conversion.is_identity()) {
        // Whether all of them fit is known before the first is stored.
        parsed.each(size, &rest, &mut |number, shown| changes(written, context, first + number, shown).map(|_| ()))?;
    }
    parsed.each(size, &rest, &mut |number, shown| {
        context.put_changes(&changes(written, context, first + number, shown)?)?;
        Ok(())
    })
}

/// Truncates a text that is being written. What is left of one becomes the start of a text of its own, with what was written into it.
pub(super) fn truncate(shared: &Shared, written: &Written, size: u64) -> Result<()> {
    let mut pending = lock(&shared.pending);
    match &mut pending.spool {
        _ if size == 0 => pending.spool = Some(Spool::whole(written)),
        // What is written ends where it ends, and what it replaces has the length that it has.
        Some(Spool { text: Kind::Whole(stream), .. }) if stream.is_at(size) => {}
        _ if size == written.text.len() => {}
        _ if size > written.text.len() => return Err(Errno::FBIG),
        Some(Spool { text: Kind::Whole(_), .. }) => return Err(Errno::INVAL),
        patches => {
            let mut spool = Spool::whole(written);
            let bytes = Bytes { files: &shared.files, fill: &shared.tree.description.array.fill, lent: false };
            let mut at = 0;
            while at < size {
                let window = at..size.min(at + CHUNK as u64);
                let mut piece = shared.body.read(bytes, window, &Reading::default(), <[u8]>::to_vec)?;
                if let Some(Spool { text: Kind::Patches(patches), .. }) = &patches {
                    patches.overlay(at, &mut piece)?;
                }
                at += spool.write(at, &piece, written)? as u64;
            }
            *patches = Some(spool);
        }
    }
    Ok(())
}

/// What storing some elements changes.
fn changes(written: &Written, context: &Context<'_>, number: u64, shown: &[u8]) -> std::result::Result<Changes, Fault> {
    let size = written.elements.shown as usize;
    let Some(conversion) = &written.elements.conversion else {
        return Ok(context.changed(number, shown, |stored| Ok(written.text.merge(shown, stored)))?);
    };
    let mut now = vec![0; shown.len()];
    let count = (shown.len() / size.max(1)) as u64;
    written.elements.fetch(context.view, context.bytes, number..number + count, &mut now)?;
    written.text.merge(shown, &mut now);
    Ok(context.changed(number, &now, |stored| conversion.write(&now, stored).map_err(|_| Errno::RANGE))?)
}
