use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use tempfile::TempDir;

use super::tree::{Step, Tree};
use super::{Fs, ROOT, Settings};
use crate::catalog::{Catalog, Options, Origin};
use crate::format::raw::Spec;
use crate::store::{Limits, Store};

mod coherence;
mod inodes;
mod listing;
mod tree;

/// Saves an array of `u1`, its elements a hole of the file.
pub(super) fn save(folder: &Path, name: &str, shape: &[u64]) {
    save_as(folder, name, "'|u1'", 1, shape);
}

pub(super) fn save_as(folder: &Path, name: &str, descr: &str, itemsize: u64, shape: &[u64]) {
    let lengths: String = shape.iter().map(|length| format!("{length},")).collect();
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ({lengths}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\xf6\x00".to_vec();
    bytes.extend(format!("{header:245}\n").into_bytes());
    let path = folder.join(format!("{name}.npy"));
    fs::write(&path, &bytes).unwrap();
    let len = bytes.len() as u64 + shape.iter().product::<u64>() * itemsize;
    fs::File::options().append(true).open(path).unwrap().set_len(len).unwrap();
}

pub(super) fn serve_with(folder: &Path, settings: Settings, arrays: &[&str]) -> Fs {
    let arrays = arrays.iter().map(|text| Spec::parse(text).unwrap()).collect();
    let options = Options { arrays, ..Options::default() };
    Fs::new(Arc::new(Catalog::open(folder, options, Store::new(Limits::default())).unwrap()), settings)
}

/// A source with arrays of these names and shapes, and a file `bad.npy` that is none.
pub(super) fn serve(arrays: &[(&str, &[u64])]) -> (TempDir, Fs) {
    let folder = tempfile::tempdir().unwrap();
    arrays.iter().for_each(|(name, shape)| save(folder.path(), name, shape));
    fs::write(folder.path().join("bad.npy"), "no array").unwrap();
    let fs = serve_with(folder.path(), Settings::default(), &[]);
    (folder, fs)
}

/// Looks a path up, and gives the numbers of all that it leads through.
pub(super) fn walk(fs: &Fs, path: &str) -> Result<Vec<u64>, Errno> {
    let mut numbers = vec![ROOT];
    for name in path.split('/') {
        numbers.push(fs.lookup(numbers[numbers.len() - 1], OsStr::new(name))?.inode);
    }
    Ok(numbers.split_off(1))
}

pub(super) fn inode(fs: &Fs, path: &str) -> u64 {
    *walk(fs, path).unwrap_or_else(|error| panic!("{path}: {error}")).last().unwrap()
}

pub(super) fn tree_of(fs: &Fs, file: &str, steps: &[Step]) -> Arc<Tree> {
    fs.tree(&Origin::File(file.into()), steps).unwrap().0
}
