//! What tells whether a description still holds: the bytes and the siblings that it was made of, and their stamps.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::reader::{hash_of, read_at};
use super::stack::Watched;
use super::{Catalog, Origin, Stamp};
use crate::format::{Array, raw, zarr};
use crate::store::File;

/// What was read of a file and its siblings to describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Byte offset and length of each part that was read.
    pub(super) parts: Vec<(u64, usize)>,
    /// Hash of their bytes.
    pub(super) hash: u64,
    /// Names and hashes of the siblings that were asked for; of one that did not exist, nothing.
    pub(super) siblings: Vec<(PathBuf, Option<u64>)>,
    /// What a stack is made of, as far as it was looked at.
    pub(super) watched: Option<Watched>,
}

impl Catalog {
    /// Whether what the description was made from is still there, byte for byte.
    pub(super) fn matches(&self, fingerprint: &Fingerprint, file: &File) -> bool {
        let Fingerprint { parts, hash, siblings, watched } = fingerprint;
        let mut hasher = DefaultHasher::new();
        // Most headers are short, and are compared without allocating.
        let (mut short, mut long) = ([0; 1024], Vec::new());
        let buffer = if parts.iter().all(|&(_, len)| len <= short.len()) {
            &mut short[..]
        } else {
            long.resize(64 << 10, 0);
            &mut long[..]
        };
        for &(start, len) in parts {
            for at in (0..len).step_by(buffer.len()) {
                let piece = (len - at).min(buffer.len());
                let piece = &mut buffer[..piece];
                if !matches!(read_at(file.fd(), piece, start + at as u64), Ok(count) if count == piece.len()) {
                    return false;
                }
                hasher.write(piece);
            }
        }
        hasher.finish() == *hash
            && siblings.iter().all(|(path, hash)| {
                matches!(self.read_small(path, raw::MAX_SIDECAR), Ok(content) if content.as_deref().map(hash_of) == *hash)
            })
            && watched.as_ref().is_none_or(|watched| watched.holds(&self.root, &self.store))
    }

    pub(super) fn sidecar_stamp(&self, origin: &Origin) -> Option<Stamp> {
        let Origin::File(path) = origin else { return None };
        // Files that describe themselves have none.
        if path.extension() == Some(OsStr::new("npy")) {
            return None;
        }
        // An array that is a folder has its attributes beside its description.
        if path.file_name() == Some(OsStr::new(zarr::METADATA[0])) {
            return self.stamp_below(&path.with_file_name(zarr::ATTRIBUTES));
        }
        let mut sidecar = path.clone().into_os_string();
        sidecar.push(raw::SIDECAR);
        self.stamp_below(Path::new(&sidecar))
    }

    pub(super) fn watched_stamps(&self, fingerprint: &Fingerprint) -> Vec<Option<Stamp>> {
        let places = fingerprint.watched.iter().flat_map(|watched| &watched.places);
        places.map(|place| self.stamp_below(place)).collect()
    }

    pub(super) fn stamp_below(&self, path: &Path) -> Option<Stamp> {
        let place = self.open_below(path, OFlags::PATH).ok()?;
        Some(Stamp::from(&rustix::fs::fstat(place).ok()?))
    }
}

/// Whether an array is another one that has grown: the same elements at the same places, and more behind.
pub(super) fn continues(old: &Array, new: &Array) -> bool {
    let (a, b) = (&old.grid, &new.grid);
    let same_places = match (a.single(), b.single()) {
        (Some(a), Some(b)) => (a.offset, &a.strides) == (b.offset, &b.strides),
        _ => a.places_like(b),
    };
    old.dtype == new.dtype
        && old.files == new.files
        && (new.read_only.is_none() || new.checksum.is_some())
        && old.checksum == new.checksum
        && same_places
        && a.shape().len() == b.shape().len()
        && a.shape().iter().zip(b.shape()).all(|(old, new)| old <= new)
}
