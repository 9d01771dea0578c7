//! The elements of a slice file, as they are shown: gathered, and converted where they are not shown as they are stored.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use rustix::io::Errno;

use crate::convert::Conversion;
use crate::runs::View;
use crate::store::{self, Files};

/// Stored bytes that are gathered at once for a conversion.
const CHUNK: u64 = 64 << 10;

thread_local! {
    /// What was gathered.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

type Result<T> = std::result::Result<T, Errno>;

/// How elements are converted, and their bytes.
#[derive(Debug)]
pub(super) struct Elements {
    pub(super) conversion: Option<Conversion>,
    pub(super) stored: u64,
    pub(super) shown: u64,
}

/// Where the bytes of an array are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    pub(super) files: &'a Files,
    pub(super) fill: &'a [u8],
    /// Whether they may be handed over in a mapping, where looking at them may fault: only the kernel may.
    pub(super) lent: bool,
}

impl Bytes<'_> {
    /// As [`store::read`] or [`store::read_copied`].
    pub(super) fn read<R>(
        self,
        view: &View,
        window: Range<u64>,
        stream: &store::Stream,
        sink: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        if self.lent {
            store::read(self.files, self.fill, view, window, stream, sink)
        } else {
            store::read_copied(self.files, self.fill, view, window, sink)
        }
    }
}

/// An element of which a part was written.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Its bytes, as far as they are there.
    pub(super) bytes: Vec<Option<u8>>,
    /// Whether some of them were written since it was last stored.
    pub(super) is_new: bool,
}

impl Elements {
    /// Reads shown bytes of the elements, from byte `at` of them on.
    pub(super) fn read(&self, view: &View, bytes: Bytes<'_>, at: u64, target: &mut [u8]) -> Result<()> {
        if self.conversion.is_none() {
            return store::gather(bytes.files, bytes.fill, view, at..at + target.len() as u64, target);
        }
        // An element that the window cuts is converted by itself.
        let (mut number, skip) = (at / self.shown, (at % self.shown) as usize);
        let mut target = target;
        let size = self.shown as usize;
        let mut one = [0; 64];
        if skip > 0 {
            let length = target.len().min(size - skip);
            self.fetch(view, bytes, number..number + 1, &mut one[..size])?;
            let (now, later) = target.split_at_mut(length);
            now.copy_from_slice(&one[skip..skip + length]);
            (target, number) = (later, number + 1);
        }
        let whole = target.len() / size;
        let (now, rest) = target.split_at_mut(whole * size);
        self.fetch(view, bytes, number..number + whole as u64, now)?;
        if !rest.is_empty() {
            number += whole as u64;
            self.fetch(view, bytes, number..number + 1, &mut one[..size])?;
            rest.copy_from_slice(&one[..rest.len()]);
        }
        Ok(())
    }

    /// The shown bytes of whole elements.
    pub(super) fn fetch(&self, view: &View, bytes: Bytes<'_>, numbers: Range<u64>, target: &mut [u8]) -> Result<()> {
        let Some(conversion) = &self.conversion else {
            let window = numbers.start * self.stored..numbers.end * self.stored;
            return store::gather(bytes.files, bytes.fill, view, window, target);
        };
        STORED.with_borrow_mut(|buffer| {
            buffer.resize(buffer.len().max(CHUNK as usize), 0);
            let most = CHUNK / self.stored.max(1);
            let mut numbers = numbers;
            for target in target.chunks_mut((most * self.shown) as usize) {
                let count = target.len() as u64 / self.shown;
                let window = numbers.start * self.stored..(numbers.start + count) * self.stored;
                if conversion.changes_order_only() {
                    store::gather(bytes.files, bytes.fill, view, window, target)?;
                    conversion.read_in_place(target);
                    numbers.start += count;
                    continue;
                }
                let stored = &mut buffer[..(count * self.stored) as usize];
                store::gather(bytes.files, bytes.fill, view, window, stored)?;
                conversion.read(stored, target);
                numbers.start += count;
            }
            Ok(())
        })
    }

    /// Sorts written bytes into whole elements and parts of others.
    pub(super) fn split(
        &self,
        at: u64,
        data: &[u8],
        split: &mut BTreeMap<u64, Parts>,
        whole: &mut Vec<(u64, Vec<u8>)>,
    ) {
        let size = self.shown as usize;
        let (mut number, skip) = (at / self.shown, (at % self.shown) as usize);
        let mut data = data;
        let mut part = |number: u64, start: usize, data: &[u8], whole: &mut Vec<(u64, Vec<u8>)>| {
            let parts = split.entry(number).or_insert_with(|| Parts { bytes: vec![None; size], is_new: true });
            parts.is_new = true;
            parts.bytes[start..].iter_mut().zip(data).for_each(|(part, &byte)| *part = Some(byte));
            if let Some(element) = parts.bytes.iter().copied().collect::<Option<Vec<u8>>>() {
                split.remove(&number);
                whole.push((number, element));
            }
        };
        if skip > 0 {
            let (now, later) = data.split_at(data.len().min(size - skip));
            part(number, skip, now, whole);
            (data, number) = (later, number + 1);
        }
        let count = data.len() / size;
        let (now, rest) = data.split_at(count * size);
        if !rest.is_empty() {
            part(number + count as u64, 0, rest, whole);
        }
        if count > 0 {
            whole.push((number, now.to_vec()));
            // What waited for them is overtaken.
            split.retain(|waiting, _| !(number..number + count as u64).contains(waiting));
        }
    }
}
