//! The file system struct against a model, without a kernel.
//!
//! The model of an array file is a vector of bytes, and of a view a list: for each byte of the view, the byte of the
//! file that it is. The lists are made by walking over indices one by one, with nothing taken from the code under
//! test. Random operations run on both; after each the file equals the model, and every so often all views do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use afbfs::catalog::{Catalog, Options};
use afbfs::fs::{Access, Attr, Changes, Fs, ROOT, Settings, Source};
use afbfs::store::{Limits, Store};
use fastrand::Rng;

const STEPS: usize = 3000;

/// Elements in C order: where each begins in the file.
#[derive(Clone)]
struct Elements {
    shape: Vec<usize>,
    at: Vec<usize>,
    itemsize: usize,
}

impl Elements {
    fn packed(offset: usize, shape: &[usize], itemsize: usize, fortran: bool) -> Elements {
        let count = shape.iter().product();
        let at = (0..count).map(|number| {
            let mut rest = number;
            let mut index = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                index[axis] = rest % shape[axis];
                rest /= shape[axis];
            }
            let mut place = 0;
            let axes: Vec<usize> = if fortran { (0..shape.len()).rev().collect() } else { (0..shape.len()).collect() };
            for axis in axes {
                place = place * shape[axis] + index[axis];
            }
            offset + place * itemsize
        });
        Elements { shape: shape.to_vec(), at: at.collect(), itemsize }
    }

    fn get(&self, index: &[usize]) -> usize {
        let number = index.iter().zip(&self.shape).fold(0, |number, (i, length)| number * length + i);
        self.at[number]
    }

    /// The elements at these indices of each axis, in the order of the lists. Axes in `gone` have one and go.
    fn take(&self, lists: &[Vec<usize>], gone: &[bool]) -> Elements {
        let mut indices: Vec<Vec<usize>> = vec![Vec::new()];
        for list in lists {
            indices = indices.iter().flat_map(|head| list.iter().map(|&i| [&head[..], &[i]].concat())).collect();
        }
        let shape = lists.iter().zip(gone).filter(|(_, gone)| !**gone).map(|(list, _)| list.len()).collect();
        Elements { shape, at: indices.iter().map(|index| self.get(index)).collect(), itemsize: self.itemsize }
    }

    fn transposed(&self) -> Elements {
        let shape: Vec<usize> = self.shape.iter().rev().copied().collect();
        let lists: Vec<Vec<usize>> = shape.iter().map(|&length| (0..length).collect()).collect();
        let mut indices: Vec<Vec<usize>> = vec![Vec::new()];
        for list in &lists {
            indices = indices.iter().flat_map(|head| list.iter().map(|&i| [&head[..], &[i]].concat())).collect();
        }
        let at = indices.iter().map(|index| self.get(&index.iter().rev().copied().collect::<Vec<_>>())).collect();
        Elements { shape, at, itemsize: self.itemsize }
    }

    fn part(&self, offset: usize, itemsize: usize) -> Elements {
        Elements { at: self.at.iter().map(|at| at + offset).collect(), itemsize, shape: self.shape.clone() }
    }

    fn bytes(&self) -> Vec<usize> {
        self.at.iter().flat_map(|&at| at..at + self.itemsize).collect()
    }
}

/// A range as a name, and the indices that Python's `range(n)[start:stop:step]` gives.
fn random_range(rng: &mut Rng, n: usize) -> (String, Vec<usize>) {
    let n = n as i64;
    let end = |rng: &mut Rng| (rng.u8(..4) > 0).then(|| rng.i64(-n - 2..=n + 2));
    let (start, stop, step) = (end(rng), end(rng), [1, 1, 2, 3, -1, -2][rng.usize(..6)]);
    let text = |value: Option<i64>| value.map_or(String::new(), |value| value.to_string());
    let name = if step == 1 {
        format!("{}:{}", text(start), text(stop))
    } else {
        format!("{}:{}:{step}", text(start), text(stop))
    };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |value: i64| (if value < 0 { value + n } else { value }).clamp(low, high);
    let mut at = start.map_or(if step > 0 { low } else { high }, place);
    let stop = stop.map_or(if step > 0 { high } else { low }, place);
    let mut indices = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        indices.push(at as usize);
        at += step;
    }
    (name, indices)
}

fn random_index(rng: &mut Rng, n: usize) -> (String, Vec<usize>) {
    let index = rng.usize(..n);
    let name = if rng.bool() { index.to_string() } else { (index as i64 - n as i64).to_string() };
    (name, vec![index])
}

fn random_pick(rng: &mut Rng, n: usize) -> (String, Vec<usize>, bool) {
    let index = rng.bool() && n > 0;
    let (name, list) = if index { random_index(rng, n) } else { random_range(rng, n) };
    (name, list, index)
}

/// A random path below an array's folder, and the bytes of the file that it shows.
fn random_view(rng: &mut Rng, array: &Array) -> (String, Vec<usize>) {
    let mut path = array.name.clone();
    let mut elements = array.elements.clone();
    if rng.u8(..3) == 0 {
        path.push_str("/T");
        elements = elements.transposed();
    }
    if !array.fields.is_empty() && rng.bool() {
        let &(name, offset, itemsize) = rng.choice(&array.fields).unwrap();
        path.push_str(&format!("/field/{name}"));
        elements = elements.part(offset, itemsize);
    }
    let shape = elements.shape.clone();
    let all = |axis: usize| (0..shape[axis]).collect::<Vec<usize>>();
    let bytes = match rng.u8(..5) {
        0 => {
            path.push_str("/data");
            elements.bytes()
        }
        1 | 2 if !shape.is_empty() => {
            let axis = rng.usize(..shape.len());
            let (name, list, index) = random_pick(rng, shape[axis]);
            path.push_str(&match axis {
                0 if rng.bool() => format!("/row/{name}"),
                1 if rng.bool() => format!("/col/{name}"),
                _ => format!("/axis/{axis}/{name}"),
            });
            let lists: Vec<_> = (0..shape.len()).map(|k| if k == axis { list.clone() } else { all(k) }).collect();
            let gone: Vec<bool> = (0..shape.len()).map(|k| k == axis && index).collect();
            elements.take(&lists, &gone).bytes()
        }
        3 if !shape.is_empty() => {
            let given = rng.usize(1..=shape.len());
            let picks: Vec<_> = (0..given).map(|axis| random_pick(rng, shape[axis])).collect();
            let names: Vec<&str> = picks.iter().map(|(name, ..)| name.as_str()).collect();
            path.push_str(&format!("/slice/{}", names.join(",")));
            let lists: Vec<_> =
                (0..shape.len()).map(|k| picks.get(k).map_or_else(|| all(k), |(_, list, _)| list.clone())).collect();
            let gone: Vec<bool> = (0..shape.len()).map(|k| picks.get(k).is_some_and(|(.., index)| *index)).collect();
            elements.take(&lists, &gone).bytes()
        }
        _ => {
            let (name, list) = random_range(rng, elements.at.len());
            path.push_str(&format!("/range/{name}"));
            Elements { at: list.iter().map(|&i| elements.at[i]).collect(), ..elements }.bytes()
        }
    };
    if rng.u8(..4) == 0 {
        path.push_str(".raw");
    }
    (path, bytes)
}

/// An array file and its model.
struct Array {
    name: String,
    file: PathBuf,
    model: Vec<u8>,
    elements: Elements,
    fields: Vec<(&'static str, usize, usize)>,
}

impl Array {
    fn new(folder: &Path, name: &str, descr: &str, itemsize: usize, shape: &[usize], fortran: bool) -> Array {
        let (order, lengths) = (if fortran { "True" } else { "False" }, shape.iter().map(|n| format!("{n},")));
        let header =
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({}), }}", lengths.collect::<String>());
        let len = (10 + header.len() + 1).next_multiple_of(64) - 10;
        let mut model = b"\x93NUMPY\x01\x00".to_vec();
        model.extend((len as u16).to_le_bytes());
        model.extend(format!("{header:width$}\n", width = len - 1).into_bytes());
        let elements = Elements::packed(model.len(), shape, itemsize, fortran);
        model.extend((0..elements.at.len() * itemsize).map(|i| (i * 31 + i / 251) as u8));
        let file = folder.join(format!("{name}.npy"));
        fs::write(&file, &model).unwrap();
        Array { name: name.to_owned(), file, model, elements, fields: Vec::new() }
    }
}

fn arrays(folder: &Path) -> Vec<Array> {
    let record = "[('x', '<i4'), ('y', '|u1'), ('z', '<f8')]";
    let mut arrays = vec![
        Array::new(folder, "scalar", "'<f8'", 8, &[], false),
        Array::new(folder, "line", "'|u1'", 1, &[700], false),
        Array::new(folder, "plane", "'<f8'", 8, &[40, 30], false),
        Array::new(folder, "fortran", "'>i2'", 2, &[30, 50], true),
        Array::new(folder, "cube", "'|V3'", 3, &[7, 9, 5], true),
        Array::new(folder, "complex", "'<c16'", 16, &[12, 11], false),
        Array::new(folder, "records", record, 13, &[25, 8], true),
        Array::new(folder, "empty", "'<i8'", 8, &[3, 0, 4], false),
    ];
    arrays[5].fields = vec![("real", 0, 8), ("imag", 8, 8)];
    arrays[6].fields = vec![("x", 0, 4), ("y", 4, 1), ("z", 5, 8)];
    arrays
}

struct OpenView {
    array: usize,
    path: String,
    inode: u64,
    handle: u64,
    write: bool,
    bytes: Vec<usize>,
}

struct World {
    fs: Fs,
    arrays: Vec<Array>,
    open: Vec<OpenView>,
    /// For inodes open for writing and truncated: the written end.
    ends: HashMap<u64, usize>,
}

fn lookup(fs: &Fs, path: &str) -> Attr {
    let mut inode = ROOT;
    let mut last = None;
    for name in path.split('/') {
        let attr = fs.lookup(inode, OsStr::new(name)).unwrap_or_else(|error| panic!("{path}: {name}: {error}"));
        inode = attr.inode;
        last = Some(attr);
    }
    last.unwrap()
}

impl World {
    fn step(&mut self, rng: &mut Rng) {
        match rng.u8(..12) {
            0..=2 => self.open(rng),
            3 => self.close(rng),
            4 | 5 => self.read(rng),
            6..=8 => self.write(rng),
            9 => self.truncate(rng),
            10 => self.sync(rng),
            _ => self.store_directly(rng),
        }
    }

    fn open(&mut self, rng: &mut Rng) {
        let array = rng.usize(..self.arrays.len());
        let (path, bytes) = random_view(rng, &self.arrays[array]);
        let attr = lookup(&self.fs, &path);
        assert_eq!(attr.size, bytes.len() as u64, "{path}");
        let write = rng.u8(..4) > 0;
        let opened = self.fs.open(attr.inode, Access { write, sync: rng.u8(..8) == 0 }).unwrap();
        self.open.push(OpenView { array, path, inode: attr.inode, handle: opened.handle, write, bytes });
        if self.open.len() > 12 {
            self.close(rng);
        }
    }

    fn close(&mut self, rng: &mut Rng) {
        if self.open.is_empty() {
            return;
        }
        let view = self.open.swap_remove(rng.usize(..self.open.len()));
        self.fs.flush(view.handle, Source::Direct).unwrap();
        self.fs.release(view.handle);
        if !self.open.iter().any(|other| other.inode == view.inode && other.write) {
            self.ends.remove(&view.inode);
        }
    }

    fn read(&mut self, rng: &mut Rng) {
        let Some(view) = rng.choice(&self.open) else { return };
        let (offset, size) = (rng.usize(..view.bytes.len() + 9), rng.usize(..view.bytes.len() + 9));
        let end = (offset + size).min(view.bytes.len());
        let model = &self.arrays[view.array].model;
        let expected: Vec<u8> = view.bytes[offset.min(end)..end].iter().map(|&at| model[at]).collect();
        let found = self.fs.read(view.handle, offset as u64, size, Source::Direct, <[u8]>::to_vec).unwrap();
        assert_eq!(found, expected, "{} at {offset}, {size} bytes", view.path);
    }

    fn writers(&self) -> Vec<usize> {
        (0..self.open.len()).filter(|&i| self.open[i].write).collect()
    }

    fn write(&mut self, rng: &mut Rng) {
        let Some(&chosen) = rng.choice(&self.writers()) else { return };
        let view = &self.open[chosen];
        let len = view.bytes.len();
        let offset = rng.usize(..len + 3);
        let size = rng.usize(1..len.max(1) + 9);
        let data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(size).collect();
        let answer = self.fs.write(view.handle, offset as u64, &data, Source::Direct);
        if offset >= len {
            assert_eq!(answer.unwrap_err().raw_os_error(), libc::ENOSPC, "{}", view.path);
            return;
        }
        let count = size.min(len - offset);
        assert_eq!(answer.unwrap().count, count, "{}", view.path);
        let model = &mut self.arrays[view.array].model;
        if let Some(end) = self.ends.get_mut(&view.inode) {
            (*end..offset).for_each(|i| model[view.bytes[i]] = 0);
            *end = (*end).max(offset + count);
        }
        (0..count).for_each(|i| model[view.bytes[offset + i]] = data[i]);
    }

    fn truncate(&mut self, rng: &mut Rng) {
        let Some(&chosen) = rng.choice(&self.writers()) else { return };
        let view = &self.open[chosen];
        let size = rng.usize(..view.bytes.len() + 2);
        let handle = rng.bool().then_some(view.handle);
        let changes = Changes { size: Some(size as u64), ..Changes::default() };
        let answer = self.fs.setattr(view.inode, &changes, handle);
        if size > view.bytes.len() {
            assert_eq!(answer.unwrap_err().raw_os_error(), libc::EFBIG);
            return;
        }
        assert_eq!(answer.unwrap().0.size, view.bytes.len() as u64);
        let model = &mut self.arrays[view.array].model;
        let end = self.ends.insert(view.inode, size).unwrap_or(view.bytes.len());
        (end..size).for_each(|i| model[view.bytes[i]] = 0);
    }

    fn sync(&mut self, rng: &mut Rng) {
        if let Some(view) = rng.choice(&self.open) {
            self.fs.fsync(view.handle, Source::Direct).unwrap();
        }
    }

    /// Another program writes to the array file.
    fn store_directly(&mut self, rng: &mut Rng) {
        let array = rng.usize(..self.arrays.len());
        let Array { file, model, elements, .. } = &mut self.arrays[array];
        let Some(&start) = elements.at.iter().min() else { return };
        let at = rng.usize(start..model.len());
        let len = rng.usize(1..=(model.len() - at).min(40));
        let data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        fs::OpenOptions::new().write(true).open(file).unwrap().write_all_at(&data, at as u64).unwrap();
        model[at..at + data.len()].copy_from_slice(&data);
    }

    fn files_agree(&self) {
        for array in &self.arrays {
            assert!(fs::read(&array.file).unwrap() == array.model, "{}", array.name);
        }
    }

    fn views_agree(&self, rng: &mut Rng) {
        for view in &self.open {
            let expected: Vec<u8> = view.bytes.iter().map(|&at| self.arrays[view.array].model[at]).collect();
            let len = expected.len() + rng.usize(..3);
            let found = self.fs.read(view.handle, 0, len, Source::Direct, <[u8]>::to_vec).unwrap();
            assert_eq!(found, expected, "{}", view.path);
        }
    }
}

fn run(seed: u64, limits: Limits) {
    let folder = tempfile::tempdir().unwrap();
    let arrays = arrays(folder.path());
    let catalog = Catalog::open(folder.path(), Options::default(), Store::new(limits)).unwrap();
    let fs = Fs::new(Arc::new(catalog), Settings::default());
    let mut world = World { fs, arrays, open: Vec::new(), ends: HashMap::new() };
    let mut rng = Rng::with_seed(seed);
    for step in 0..STEPS {
        let before = rng.get_seed();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.step(&mut rng);
            world.files_agree();
            if step % 50 == 0 {
                world.views_agree(&mut rng);
            }
        }));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}, step {step}, state {before}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn random_operations_agree_with_the_model() {
    (0..4).for_each(|seed| run(seed, Limits::default()));
}

#[test]
fn windows_that_meet_inside_the_arrays_change_nothing() {
    let limits = Limits { maps: 3, bytes: 1 << 20, window: 4096, ..Limits::default() };
    (100..102).for_each(|seed| run(seed, limits));
}
