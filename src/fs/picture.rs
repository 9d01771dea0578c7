//! Slices as pictures, read at any offset, and stored when a whole one was written.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Mutex;

use rustix::io::Errno;

use super::body::{Bytes, Elements};
use crate::form::Picture;
use crate::form::png::Sum;
use crate::runs::View;
use crate::store::{Stream, lock};

mod draft;
mod pixels;

pub(super) use draft::{Draft, truncate};

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
    ) -> Result<R, Errno> {
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

    /// Bytes that somebody may write: pictures come with words about them.
    pub(super) fn room(&self) -> u64 {
        self.picture.len().saturating_mul(2).saturating_add(16 << 20)
    }
}
