//! The files of chunks: which chunk is in which file, and how the files are called.
//!
//! Chunks are numbered in C order of the grid that they form, and each is a file of that number. How many there are
//! along the first axis has no say in that: an array that grows along it keeps its files.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::format::Names;
use crate::grid::{Pieces, Place};
use crate::layout::MAX_NDIM;

/// How the names of chunk files are made of the indices of the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    /// What stands before the first index, with a separator between them; may be empty.
    pub(crate) prefix: &'static str,
    /// What stands between indices.
    pub(crate) separator: char,
}

/// All chunks of an array.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Number of chunks along each axis.
    counts: Vec<u64>,
    keys: Keys,
    created_len: Option<u64>,
    /// The length of the longest name.
    longest: usize,
}

impl Chunks {
    pub(super) fn new(counts: Vec<u64>, keys: Keys, created_len: Option<u64>) -> Chunks {
        let digits = |&count: &u64| 1 + count.max(1).ilog10() as usize;
        let longest = keys.prefix.len() + 1 + counts.iter().map(|count| digits(count) + 1).sum::<usize>();
        Chunks { counts, keys, created_len, longest }
    }
}

impl Names for Chunks {
    fn name(&self, piece: u64) -> String {
        let mut indices = [0; MAX_NDIM];
        let indices = &mut indices[..self.counts.len()];
        let mut rest = piece;
        for (index, &count) in indices.iter_mut().zip(&self.counts).skip(1).rev() {
            *index = rest % count.max(1);
            rest /= count.max(1);
        }
        if let Some(first) = indices.first_mut() {
            *first = rest;
        }
        let Keys { prefix, separator } = self.keys;
        let mut name = String::with_capacity(self.longest);
        name.push_str(prefix);
        for index in indices {
            if !name.is_empty() {
                name.push(separator);
            }
            // Writing to a string does not fail.
            let _ = write!(name, "{index}");
        }
        if name.is_empty() {
            // The one chunk of an array without axes.
            name.push('0');
        }
        name
    }

    fn created_len(&self) -> Option<u64> {
        self.created_len
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.counts.len(), self.counts.get(1..), self.keys, self.created_len).hash(&mut hasher);
        hasher.finish()
    }
}

impl Pieces for Chunks {
    fn place(&self, cell: u64) -> Option<Place> {
        Some(Place { piece: cell, offset: 0 })
    }

    /// Always the same: every cell is a file of its own.
    fn digest(&self) -> u64 {
        0
    }
}
