//! Slices as pictures, read at any offset.

use std::ops::Range;
use std::sync::Mutex;

use rustix::io::Errno;

use super::body::{Bytes, Elements};
use crate::form::Picture;
use crate::form::png::Sum;
use crate::runs::View;
use crate::store::{Stream, lock};

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
    /// Makes the bytes of a window of the file.
    pub(super) fn read(
        &self,
        view: &View,
        bytes: Bytes<'_>,
        window: Range<u64>,
        reading: &Reading,
        target: &mut [u8],
    ) -> Result<(), Errno> {
        // Reads of one handle at a time go on from the same checksum, and whichever ends last leaves its own: each is true.
        let mut sum = *lock(&reading.sum);
        let mut pixels = |at: u64, target: &mut [u8]| self.elements.read(view, bytes, at, target);
        self.picture.read(window, target, &mut sum, &mut pixels)?;
        *lock(&reading.sum) = sum;
        Ok(())
    }
}
