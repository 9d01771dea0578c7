//! The `.npy` file that an array becomes: its header, and its elements, put where they belong block by block.
//!
//! Bytes that are zero are not written: the file is made at its full length, and what nobody wrote reads as zeros and takes
//! no space.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Fault, PIECE};
use crate::dtype::DType;
use crate::format::npy::MAGIC;
use crate::grid::Grid;
use crate::layout::{Layout, Order, Pick, Selection, Span};
use crate::runs::View;
use crate::store::{self, Files, Store};

/// Headers end at a multiple of so many bytes.
const ALIGNMENT: usize = 64;

/// NumPy leaves room for the length of the axis along which an array may grow, up to so many digits.
const DIGITS: usize = 21;

/// A `.npy` file in C order.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    files: Files,
    layout: Layout,
}

/// A block of an array, as it is stored somewhere: whole, also where it sticks out of the array.
#[derive(Clone, Debug)]
pub(super) struct Block<'a> {
    /// Index of its first element.
    pub(super) origin: Vec<u64>,
    /// Length of each axis.
    pub(super) shape: &'a [u64],
    /// Its axes from the slowest to the fastest.
    pub(super) axes: &'a [usize],
}

impl Target {
    /// Writes the header of an array to an empty file, and makes room for its elements.
    pub(super) fn new(file: File, dtype: &DType, shape: &[u64], store: &Arc<Store>) -> Result<Target, Fault> {
        let header = header(dtype, shape, Order::C);
        let layout = Layout::packed(header.len() as u64, shape, dtype.itemsize(), Order::C)
            .map_err(|error| Fault(format!("it claims an array that cannot be ({error})")))?;
        let len = layout.extent().end.max(header.len() as u64);
        file.set_len(len).map_err(|error| Fault(format!("a file of {len} bytes cannot be made: {error}")))?;
        file.write_all_at(&header, 0).map_err(unwritable)?;
        let readable = file.try_clone().map_err(unwritable)?;
        let files = Files::One(store.file(readable.into()).map_err(unwritable)?);
        Ok(Target { file, files, layout })
    }

    /// Puts a block where it belongs; what sticks out is left out. `bytes` are its elements, in its order.
    pub(super) fn put(&self, block: &Block<'_>, mut bytes: Vec<u8>) -> Result<(), Fault> {
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let view = self.view(block);
        let stored: Vec<u64> = block.axes.iter().map(|&axis| block.shape[axis]).collect();
        pack(&mut bytes, &stored, view.1.shape(), self.layout.itemsize as usize);
        self.write(&view.0, 0, &bytes[..view.0.len() as usize])
    }

    /// Fills a block with an element.
    pub(super) fn fill(&self, block: &Block<'_>, element: &[u8]) -> Result<(), Fault> {
        if element.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let (view, _) = self.view(block);
        let count = (PIECE / element.len()).max(1).min((view.len() / element.len() as u64) as usize);
        let piece = element.repeat(count);
        let mut at = 0;
        while at < view.len() {
            let len = (view.len() - at).min(piece.len() as u64);
            self.write(&view, at, &piece[..len as usize])?;
            at += len;
        }
        Ok(())
    }

    /// Puts bytes of the elements, in C order, from byte `at` of them on.
    pub(super) fn put_run(&self, at: u64, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        self.file.write_all_at(bytes, self.layout.offset + at).map_err(unwritable)
    }

    /// So many bytes of a block lie within the array.
    pub(super) fn bytes_of(&self, block: &Block<'_>) -> u64 {
        (0..block.shape.len()).map(|axis| self.clipped(block, axis)).product::<u64>() * self.layout.itemsize
    }

    /// Makes all of it durable.
    pub(super) fn finish(self) -> Result<(), Fault> {
        if let Files::One(file) = &self.files {
            file.sync_all().map_err(unwritable)?;
        }
        self.file.sync_all().map_err(unwritable)
    }

    fn clipped(&self, block: &Block<'_>, axis: usize) -> u64 {
        block.shape[axis].min(self.layout.shape[axis].saturating_sub(block.origin[axis]))
    }

    /// The elements of a block that lie within the array, in the order of the block.
    fn view(&self, block: &Block<'_>) -> (View, Selection) {
        let Layout { offset, shape, strides, itemsize } = &self.layout;
        let turned = Layout {
            offset: *offset,
            shape: block.axes.iter().map(|&axis| shape[axis]).collect(),
            strides: block.axes.iter().map(|&axis| strides[axis]).collect(),
            itemsize: *itemsize,
        };
        let span = |&axis: &usize| {
            let len = self.clipped(block, axis);
            Pick::Span(Span { start: if len == 0 { 0 } else { block.origin[axis] }, step: 1, len })
        };
        let picks: Vec<Pick> = block.axes.iter().map(span).collect();
        let selection = Selection::whole(&turned.shape, *itemsize).pick(&picks);
        (View::new(&Arc::new(Grid::one(turned)), &selection), selection)
    }

    fn write(&self, view: &View, at: u64, bytes: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < bytes.len() {
            let count = store::write(&self.files, view, at + done as u64, &bytes[done..]).map_err(unwritable)?;
            if count == 0 {
                return Err(unwritable(std::io::ErrorKind::WriteZero));
            }
            done += count;
        }
        Ok(())
    }
}

/// Why the copy cannot be written.
fn unwritable(error: impl Into<std::io::Error>) -> Fault {
    Fault(format!("the copy cannot be written: {}", error.into()))
}

/// Moves the elements of a packed array of shape `stored` that lie within `wanted` to its start, where they are packed.
fn pack(bytes: &mut [u8], stored: &[u64], wanted: &[u64], itemsize: usize) {
    if stored == wanted || wanted.contains(&0) {
        return;
    }
    // Axes that are whole, from the fastest on, make one row with the first that is not.
    let whole = stored.iter().zip(wanted).rev().take_while(|(stored, wanted)| stored == wanted).count();
    let (outer, inner) = wanted.split_at(wanted.len() - whole - 1);
    let row = inner.iter().product::<u64>() as usize * itemsize;
    let pitch = stored[outer.len()..].iter().product::<u64>() as usize * itemsize;
    let mut index = vec![0; outer.len()];
    for number in 0..outer.iter().product::<u64>() as usize {
        let from = index.iter().zip(stored).fold(0, |from, (&index, &length)| from * length + index) as usize * pitch;
        bytes.copy_within(from..from + row, number * row);
        for (index, &length) in index.iter_mut().zip(outer).rev() {
            *index += 1;
            if *index < length {
                break;
            }
            *index = 0;
        }
    }
}

/// The header that NumPy 2 writes for an array in this order.
pub(crate) fn header(dtype: &DType, shape: &[u64], order: Order) -> Vec<u8> {
    let descr = match dtype {
        DType::Scalar(scalar) => format!("'{scalar}'"),
        DType::Record(_) => dtype.to_string(),
    };
    let lengths = match shape {
        [] => "()".to_owned(),
        [length] => format!("({length},)"),
        _ => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    };
    // What is in both orders is said to be in C order.
    let (is_fortran, growing) = match order {
        Order::F if shape.len() > 1 => ("True", shape.last()),
        _ => ("False", shape.first()),
    };
    let room = growing.map_or(0, |length| DIGITS.saturating_sub(length.to_string().len()));
    let text = format!("{{'descr': {descr}, 'fortran_order': {is_fortran}, 'shape': {lengths}, }}{:room$}", "");
    // Latin-1 where that can spell the names of fields, else UTF-8.
    let latin = text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<Vec<u8>>>();
    let (text, is_latin) = match latin {
        Some(text) => (text, true),
        None => (text.into_bytes(), false),
    };
    let padded = |prefix: usize| (prefix + text.len() + 1).next_multiple_of(ALIGNMENT) - prefix;
    let short = u16::try_from(padded(10)).ok().filter(|_| is_latin);
    let mut bytes = MAGIC.to_vec();
    let len = match short {
        Some(len) => {
            bytes.extend([1, 0]);
            bytes.extend(len.to_le_bytes());
            usize::from(len)
        }
        None => {
            let len = padded(12);
            bytes.extend([if is_latin { 2 } else { 3 }, 0]);
            bytes.extend((len as u32).to_le_bytes());
            len
        }
    };
    let end = bytes.len() + len;
    bytes.extend(text);
    bytes.resize(end - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests;
