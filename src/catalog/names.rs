//! Under which name an array file appears.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::io::Result;

use super::{Catalog, Origin, is_folder};
use crate::format::{FORMATS, Format, raw, zarr};
use crate::name;

/// That a file is an array file, judged by names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Number of its format in [`FORMATS`].
    pub(super) rank: usize,
    /// The array's name, if it is not taken.
    pub(super) stem: String,
}

/// The name of a file or folder in the source, from the name that the tree shows.
pub(super) fn real_name(shown: &str) -> Option<OsString> {
    let bytes = name::unescape(shown)?.into_owned();
    let fits = !bytes.is_empty() && bytes != b"." && bytes != b".." && !bytes.contains(&b'/') && !bytes.contains(&0);
    fits.then(|| OsString::from_vec(bytes))
}

pub(super) fn shown_name(real: &OsStr) -> String {
    name::escape(real.as_bytes()).into_owned()
}

fn raw_rank() -> usize {
    FORMATS.iter().position(|format| format.name() == raw::Raw.name()).unwrap_or(FORMATS.len())
}

fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

impl Catalog {
    /// Whether a file of this name in a folder is an array file: it exists, and a format knows the name or a sidecar
    /// stands beside it.
    ///
    /// # Errors
    /// What the disk answers, where that leaves open whether it exists.
    pub(super) fn claim(&self, folder: &Path, file: &OsStr) -> Result<Option<Claim>> {
        if !self.serves(file) {
            return Ok(None);
        }
        let shown = shown_name(file);
        let by_name = FORMATS.iter().enumerate().find_map(|(rank, format)| Some((rank, format.stem(&shown)?)));
        let claim = match by_name {
            Some((rank, stem)) => Claim { rank, stem: stem.to_owned() },
            None if self.is_plain_file(&folder.join(with_suffix(file, raw::SIDECAR)))? => {
                let stem = shown.rsplit_once('.').map_or(shown.as_str(), |(stem, _)| stem);
                Claim { rank: raw_rank(), stem: if stem.is_empty() { shown.clone() } else { stem.to_owned() } }
            }
            None => return Ok(None),
        };
        Ok(self.is_file(&folder.join(file))?.then_some(claim))
    }

    /// Whether files of this name are served: where the source is one file, only that.
    pub(super) fn serves(&self, file: &OsStr) -> bool {
        self.only.as_deref().is_none_or(|only| only == file)
    }

    /// The file that appears under a stem, of all that have it. `real` is the stem as the source spells it.
    ///
    /// # Errors
    /// What the disk answers, where that leaves open which one it is.
    pub(super) fn file_with_stem(&self, folder: &Path, stem: &str, real: &OsStr) -> Result<Option<OsString>> {
        let mut seen = None;
        for (rank, format) in FORMATS.iter().enumerate() {
            // The first format takes two looks. Before all others are tried, the folder is asked which are there at all.
            if rank == 1 {
                seen = self.settled_folder(folder);
            }
            let usual = format
                .extensions()
                .iter()
                .flat_map(|&extension| [extension.to_owned(), extension.to_ascii_uppercase()]);
            let there = usual.filter(|extension| seen.as_ref().is_none_or(|seen| seen.may_have(extension)));
            let mut files: Vec<OsString> = there.map(|extension| with_suffix(real, &extension)).collect();
            if rank == raw_rank() {
                seen = seen.or_else(|| self.seen_folder(folder));
                files.extend(seen.iter().flat_map(|seen| seen.unusual(stem)).cloned());
            }
            files.sort();
            for file in files {
                if self.claim(folder, &file)?.is_some_and(|claim| claim.stem == stem && claim.rank == rank) {
                    return Ok(Some(file));
                }
            }
        }
        Ok(None)
    }

    /// Whether a name means something else than what the source has there: an array described by hand, or our own folder.
    pub(super) fn is_reserved(&self, folder: &Path, name: &str) -> bool {
        folder.as_os_str().is_empty() && (name == ".afbfs" || self.named().any(|(named, _)| named == name))
    }

    /// The name under which an array file is listed.
    pub(super) fn listed_name(&self, folder: &Path, file: &OsStr, claim: Claim) -> String {
        let full = shown_name(file);
        if claim.stem == full {
            return full;
        }
        let Some(real) = real_name(&claim.stem) else { return full };
        let taken = self.is_reserved(folder, &claim.stem)
            || (self.only.is_none() && matches!(self.stat_link(&folder.join(&real)), Ok(stat) if is_folder(&stat)))
            || self.claim(folder, &real).is_ok_and(|claim| claim.is_some())
            || (claim.rank > 0
                && self.file_with_stem(folder, &claim.stem, &real).is_ok_and(|first| first.as_deref() != Some(file)));
        if taken { full } else { claim.stem }
    }

    /// Path below the mount under which an array is listed.
    pub fn shown_path(&self, origin: &Origin) -> String {
        self.path_with(origin, |folder, file| match self.claim(folder, file) {
            Ok(Some(claim)) => self.listed_name(folder, file, claim),
            Ok(None) | Err(_) => shown_name(file),
        })
    }

    /// Path below the mount by which an array can always be reached: with the full name of its file, so that no folder need
    /// be looked at to tell it.
    pub fn full_path(&self, origin: &Origin) -> String {
        self.path_with(origin, |_, file| shown_name(file))
    }

    fn path_with(&self, origin: &Origin, name_of: impl FnOnce(&Path, &OsStr) -> String) -> String {
        let path = match origin {
            Origin::Named(number) => {
                let spec = self.options.arrays.get(*number);
                return spec.and_then(|spec| spec.name.clone()).unwrap_or_default();
            }
            Origin::File(path) | Origin::Member(path, _) => path,
        };
        // An array that is a folder is called as that.
        let is_metadata = |name: &OsStr| zarr::METADATA.iter().any(|metadata| name == *metadata);
        if let Some(folder) = path.parent().filter(|_| path.file_name().is_some_and(is_metadata)) {
            return folder.iter().map(shown_name).collect::<Vec<String>>().join("/");
        }
        let (folder, file) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        let mut shown: Vec<String> = folder.iter().map(shown_name).collect();
        shown.push(name_of(folder, file));
        if let Origin::Member(_, member) = origin {
            shown.extend(member.iter().map(|name| super::contents::shown(name)));
        }
        shown.join("/")
    }
}
