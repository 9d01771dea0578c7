//! What a slice file shows: the stored bytes, or what a form and a conversion make of them.
//!
//! Where neither changes a byte, a request is handed to the store as it is. Otherwise the elements that it touches are gathered,
//! converted and put together in a buffer of the thread: work and memory go with the request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::changes::Context;
use super::elements::{Bytes, Elements, Parts};
use super::picture::{Draft, Painted, Reading};
use super::preview::Content;
use super::spool::{Fault, Spool};
use crate::form::{Binary, Face, Text};
use crate::runs::View;
use crate::store::lock;

/// Elements of which a part was written that are kept for their other parts, at most.
const SPLIT: usize = 1024;

thread_local! {
    /// What is shown.
    static SHOWN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

type Result<T> = std::result::Result<T, Errno>;

/// The content of a slice file.
#[derive(Debug)]
pub(super) struct Body {
    /// The stored elements, in the order in which they are shown.
    pub(super) view: View,
    look: Look,
}

#[derive(Debug)]
enum Look {
    /// As they are stored.
    Plain,
    Binary(Box<Shown>),
    Text(Box<Written>),
    Picture(Box<Painted>),
}

/// Elements behind a header, perhaps converted.
#[derive(Debug)]
struct Shown {
    binary: Binary,
    elements: Elements,
}

/// Elements as text.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: Arc<Text>,
    pub(super) elements: Elements,
}

/// What a part of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The header, from this byte on.
    Head(usize),
    /// Elements, from this byte of them on.
    Elements(u64),
    /// Zeros.
    Zeros,
}

/// What was written to a file and is not stored yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The header, if a part of it was written.
    head: Vec<u8>,
    /// Elements of which a part was written.
    split: BTreeMap<u64, Parts>,
    /// The text.
    pub(super) spool: Option<Spool>,
    /// The picture.
    pub(super) draft: Option<Draft>,
}

impl Body {
    pub(super) fn content(view: View, face: Option<Face>, elements: Elements) -> Content {
        let look = match face {
            None if elements.conversion.is_none() => Look::Plain,
            None => Look::Binary(Box::new(Shown { binary: Binary::default(), elements })),
            Some(Face::Binary(binary)) => Look::Binary(Box::new(Shown { binary, elements })),
            Some(Face::Document(head)) => {
                Look::Binary(Box::new(Shown { binary: Binary { head, ..Binary::default() }, elements }))
            }
            Some(Face::Text(text)) => Look::Text(Box::new(Written { text: Arc::new(text), elements })),
            Some(Face::Picture(picture)) => Look::Picture(Box::new(Painted { picture, elements })),
            Some(Face::Preview(preview)) => return Content::Preview(preview),
        };
        Content::Body(Body { view, look })
    }

    /// Length of the file in bytes.
    pub(super) fn len(&self) -> u64 {
        match &self.look {
            Look::Plain => self.view.len(),
            Look::Binary(shown) => shown.end_of_elements(self.view.len()) + shown.binary.tail,
            Look::Text(written) => written.text.len(),
            Look::Picture(painted) => painted.picture.len(),
        }
    }

    /// Whether the file is the stored bytes and no others.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.look, Look::Plain)
    }

    /// The text, where the file is one.
    pub(super) fn text(&self) -> Option<&Written> {
        match &self.look {
            Look::Text(written) => Some(written),
            Look::Plain | Look::Binary(_) | Look::Picture(_) => None,
        }
    }

    /// Whether the file is a picture.
    pub(super) fn is_picture(&self) -> bool {
        matches!(self.look, Look::Picture(_))
    }

    /// Hands the bytes of a window of the file to `sink`.
    ///
    /// # Errors
    /// EIO for bytes that the array file does not have or the disk does not give.
    pub(super) fn read<R>(
        &self,
        bytes: Bytes<'_>,
        window: Range<u64>,
        reading: &Reading,
        sink: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        let shown = match &self.look {
            Look::Plain => return bytes.read(&self.view, window, &reading.stream, sink),
            Look::Text(written) => return self.read_text(written, bytes, &window, sink),
            Look::Picture(painted) => return painted.read(&self.view, bytes, window, reading, sink),
            Look::Binary(shown) => shown,
        };
        let head = shown.binary.head.len() as u64;
        if shown.elements.conversion.is_none()
            && shown.binary.rows.is_none()
            && window.start >= head
            && window.end <= head + self.view.len()
        {
            let window = window.start - head..window.end - head;
            return bytes.read(&self.view, window, &reading.stream, sink);
        }
        SHOWN.with_borrow_mut(|buffer| {
            let length = (window.end - window.start) as usize;
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            let mut parts = Vec::new();
            shown.parts(self.view.len(), &window, |part, place| {
                parts.push((part, place));
                Ok(())
            })?;
            // All elements at once to the front, and then, from the last part on, each to its place further behind.
            let mut elements = parts.iter().filter_map(|(part, place)| match part {
                Part::Elements(at) => Some(*at..*at + place.len() as u64),
                Part::Head(_) | Part::Zeros => None,
            });
            let first = elements.next().unwrap_or_default();
            let start = first.start;
            let end = elements.next_back().unwrap_or(first).end;
            shown.elements.read(&self.view, bytes, start, &mut buffer[..(end - start) as usize])?;
            for (part, place) in parts.into_iter().rev() {
                match part {
                    Part::Head(at) => {
                        let length = place.len();
                        buffer[place].copy_from_slice(&shown.binary.head[at..at + length]);
                    }
                    Part::Zeros => buffer[place].fill(0),
                    Part::Elements(at) => {
                        let from = (at - start) as usize;
                        buffer.copy_within(from..from + place.len(), place.start);
                    }
                }
            }
            Ok(sink(&buffer[..length]))
        })
    }

    fn read_text<R>(
        &self,
        written: &Written,
        bytes: Bytes<'_>,
        window: &Range<u64>,
        sink: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        SHOWN.with_borrow_mut(|buffer| {
            let text = &written.text;
            buffer.clear();
            let numbers = text.elements(window);
            // What lies before the first of them, and after the last, is cut off again.
            let (head, start) = if window.start < text.start_of(0) || text.count() == 0 {
                (text.head(), 0)
            } else {
                (Vec::new(), text.start_of(numbers.start))
            };
            buffer.extend(head);
            written.render(&self.view, bytes, numbers, buffer)?;
            let cut = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX).min(buffer.len());
            Ok(sink(&buffer[cut(window.start)..cut(window.end)]))
        })
    }

    /// Writes into the file: `store` gets the bytes that are to be stored, and where in the view. What is refused changes nothing.
    ///
    /// # Errors
    /// EINVAL for another header; ERANGE for a number that the stored type cannot hold; what `store` answers.
    pub(super) fn write(
        &self,
        pending: &Mutex<Pending>,
        bytes: Bytes<'_>,
        offset: u64,
        data: &[u8],
        store: &dyn Fn(u64, &[u8]) -> Result<usize>,
    ) -> Result<usize> {
        let shown = match &self.look {
            Look::Plain => return store(offset, data),
            Look::Text(written) => {
                let spool = &mut lock(pending).spool;
                return spool.get_or_insert_with(Spool::patches).write(offset, data, written);
            }
            Look::Picture(painted) => return painted.write(&mut lock(pending).draft, offset, data),
            Look::Binary(shown) => shown,
        };
        let mut pending = lock(pending);
        let (mut head, mut stretches) = (None, Vec::new());
        let window = offset..offset + data.len() as u64;
        shown.parts(self.view.len(), &window, |part, place| {
            let data = &data[place];
            match part {
                Part::Head(at) => {
                    let mut whole =
                        if pending.head.is_empty() { shown.binary.head.clone() } else { pending.head.clone() };
                    whole[at..at + data.len()].copy_from_slice(data);
                    if at + data.len() == whole.len() {
                        if !shown.binary.accepts(&whole) {
                            return Err(Errno::INVAL);
                        }
                        whole.clear();
                    }
                    head = Some(whole);
                }
                Part::Elements(at) => stretches.push((at, data)),
                // Between rows nobody reads; behind the last there is nothing else.
                Part::Zeros if shown.binary.rows.is_some() || data.iter().all(|&byte| byte == 0) => {}
                Part::Zeros => return Err(Errno::INVAL),
            }
            Ok(())
        })?;
        let written = match &shown.elements.conversion {
            None => put_all(stretches, store),
            Some(conversion) => {
                let context = Context { elements: &shown.elements, view: &self.view, bytes, store };
                let mut whole = Vec::new();
                let mut split = pending.split.clone();
                for (at, data) in stretches {
                    shown.elements.split(at, data, &mut split, &mut whole);
                }
                context.put(conversion, whole)?;
                while split.len() > SPLIT {
                    let Some((number, parts)) = split.pop_first() else { break };
                    if parts.is_new {
                        context.complete(conversion, number, &parts.bytes)?;
                    }
                }
                pending.split = split;
                Ok(data.len())
            }
        }?;
        if let Some(head) = head {
            pending.head = head;
        }
        Ok(if shown.elements.conversion.is_none() && written < data.len() { written } else { data.len() })
    }

    /// Stores what waits, as when the file is closed. Whoever has the file open too may still write the rest of an element.
    ///
    /// # Errors
    /// Why it is not complete: a part of another header, a text that is none; and what `store` answers.
    pub(super) fn store(
        &self,
        pending: &mut Pending,
        bytes: Bytes<'_>,
        store: &dyn Fn(u64, &[u8]) -> Result<usize>,
    ) -> std::result::Result<(), Fault> {
        let shown = match &self.look {
            Look::Plain => return Ok(()),
            Look::Text(written) => {
                let spool = pending.spool.as_mut();
                return spool.map_or(Ok(()), |spool| spool.commit(written, &self.view, bytes, store));
            }
            Look::Picture(painted) => {
                return painted.store(&mut pending.draft, self, bytes, store).map_err(Fault::Errno);
            }
            Look::Binary(shown) => shown,
        };
        let mut outcome = Ok(());
        if let Some(conversion) = &shown.elements.conversion {
            let context = Context { elements: &shown.elements, view: &self.view, bytes, store };
            for (&number, parts) in pending.split.iter_mut().filter(|(_, parts)| parts.is_new) {
                parts.is_new = false;
                outcome = outcome.and(context.complete(conversion, number, &parts.bytes));
            }
        }
        if pending.head.is_empty() || shown.binary.accepts(&pending.head) {
            pending.head.clear();
            return outcome.map_err(Fault::Errno);
        }
        Err(Errno::INVAL.into())
    }
}

impl Pending {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
            && self.split.values().all(|parts| !parts.is_new)
            && !self.spool.as_ref().is_some_and(Spool::is_new)
            && !self.draft.as_ref().is_some_and(Draft::is_new)
    }
}

/// Stores stretches of elements one after the other, as far as it goes.
fn put_all(stretches: Vec<(u64, &[u8])>, store: &dyn Fn(u64, &[u8]) -> Result<usize>) -> Result<usize> {
    let mut done = 0;
    for (at, data) in stretches {
        match store(at, data) {
            Ok(count) => {
                done += count;
                if count < data.len() {
                    return Ok(done);
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
        }
    }
    Ok(usize::MAX)
}

impl Shown {
    fn end_of_elements(&self, stored: u64) -> u64 {
        let bytes = stored / self.elements.stored.max(1) * self.elements.shown;
        let padding = self.binary.rows.map_or(0, |(row, zeros)| bytes / row.max(1) * zeros);
        self.binary.head.len() as u64 + bytes + padding
    }

    /// Calls `each` with the parts of a window and the bytes of the window that they are.
    fn parts(
        &self,
        stored: u64,
        window: &Range<u64>,
        mut each: impl FnMut(Part, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let head = self.binary.head.len() as u64;
        let end = self.end_of_elements(stored);
        let mut at = window.start;
        while at < window.end {
            let (part, until) = if at < head {
                (Part::Head(at as usize), head)
            } else if at >= end {
                (Part::Zeros, u64::MAX)
            } else if let Some((row, zeros)) = self.binary.rows {
                let (number, inside) = ((at - head) / (row + zeros), (at - head) % (row + zeros));
                let start = head + number * (row + zeros);
                match inside < row {
                    true => (Part::Elements(number * row + inside), start + row),
                    false => (Part::Zeros, start + row + zeros),
                }
            } else {
                (Part::Elements(at - head), end)
            };
            let until = until.min(window.end);
            each(part, (at - window.start) as usize..(until - window.start) as usize)?;
            at = until;
        }
        Ok(())
    }
}

impl Written {
    /// Appends the text of elements.
    pub(super) fn render(&self, view: &View, bytes: Bytes<'_>, numbers: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        let mut elements = vec![0; ((numbers.end - numbers.start) * self.elements.shown) as usize];
        self.elements.fetch(view, bytes, numbers.clone(), &mut elements)?;
        self.text.render(numbers, &elements, out);
        Ok(())
    }
}
