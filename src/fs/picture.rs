//! Slices as pictures, read at any offset, and stored when a whole one was written.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Mutex;

use rustix::io::Errno;

use super::body::Body;
use super::elements::{Bytes, Elements};
use crate::form::Picture;
use crate::form::png::Sum;
use crate::runs::View;
use crate::store::{Stream, lock};

mod draft;
mod pixels;

pub(super) use draft::{Draft, truncate};

type Result<T> = std::result::Result<T, Errno>;

thread_local! {
    /// What is shown.
    static SHOWN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is remembered of a handle's reads.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) stream: Stream,
    /// The checksum of a picture, as far as it was read.
    sum: Mutex<Sum>,
}

/// Elements as pixels.
#[derive(Debug)]
pub(super) struct Painted {
    pub(super) picture: Picture,
    pub(super) elements: Elements,
}

impl Painted {
    /// Hands the bytes of a window of the file to `sink`.
    pub(super) fn read<R>(
        &self,
        view: &View,
        bytes: Bytes<'_>,
        window: Range<u64>,
        reading: &Reading,
        sink: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        // Reads of one handle at a time go on from the same checksum, and whichever ends last leaves its own: each is true.
        let mut sum = *lock(&reading.sum);
        let mut pixels = |at: u64, target: &mut [u8]| self.elements.read(view, bytes, at, target);
        SHOWN.with_borrow_mut(|buffer| {
            buffer.resize((window.end - window.start) as usize, 0);
            self.picture.read(window, buffer, &mut sum, &mut pixels)?;
            *lock(&reading.sum) = sum;
            Ok(sink(buffer))
        })
    }

    /// Takes bytes of a picture that is written.
    pub(super) fn write(&self, draft: &mut Option<Draft>, offset: u64, data: &[u8]) -> Result<usize> {
        // Pictures come with words about them.
        let room = self.picture.len().saturating_mul(2).saturating_add(16 << 20);
        draft.get_or_insert_with(Draft::patches).write(offset, data, room)
    }

    /// Stores a picture that was written.
    ///
    /// # Errors
    /// EINVAL where it is none, or not all of one, or another than ours can be; what `store` answers.
    pub(super) fn store(
        &self,
        draft: &mut Option<Draft>,
        body: &Body,
        bytes: Bytes<'_>,
        store: &dyn Fn(u64, &[u8]) -> Result<usize>,
    ) -> Result<()> {
        draft.as_mut().map_or(Ok(()), |draft| draft.commit(self, body, bytes, store))
    }
}
