//! Slices that are previews: the samples are read, and drawn.

use std::sync::Arc;

use rustix::io::Errno;

use super::body::Body;
use super::elements::Bytes;
use super::{Leaf, Tree};
use crate::convert::{Code, Conversion, Element};
use crate::form::Preview;
use crate::store::File;

/// What a slice file is.
#[derive(Debug)]
pub(super) enum Content {
    /// Elements, in some form.
    Body(Body),
    /// A drawing, which is made when it is opened and cannot be written.
    Preview(Preview),
}

impl Content {
    /// Length of the file in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Content::Body(body) => body.len(),
            Content::Preview(preview) => preview.len(),
        }
    }
}

/// Samples that are read at once.
const CHUNK: u64 = 16 << 10;

/// Draws the preview of a leaf.
///
/// # Errors
/// EIO for samples that the array file does not have or the disk does not give.
pub(super) fn draw(tree: &Tree, leaf: &Leaf, preview: &Preview, file: &Arc<File>) -> Result<Vec<u8>, Errno> {
    let files = tree.description.files(file);
    let bytes = Bytes { files: &files, fill: &tree.description.array.fill, lent: false };
    let (view, elements) = (tree.sampled(leaf, preview.samples()), tree.elements());
    let number = Element::of(&tree.dtype, tree.element).ok_or(Errno::NOENT)?;
    let double = Element { complex: number.complex, ..Element::new(Code::Float(8), false) };
    let conversion = Conversion::new(number, double);
    let mut samples = Vec::new();
    let (mut shown, mut doubles) = (Vec::new(), Vec::new());
    for stretch in preview.stretches() {
        for start in stretch.clone().step_by(CHUNK as usize) {
            let part = start..stretch.end.min(start + CHUNK);
            let count = (part.end - part.start) as usize;
            shown.resize(count * number.size(), 0);
            doubles.resize(count * double.size(), 0);
            elements.fetch(&view, bytes, part, &mut shown)?;
            conversion.read(&shown, &mut doubles);
            let (numbers, _) = doubles.as_chunks();
            let mut numbers = numbers.iter().map(|&bytes| f64::from_le_bytes(bytes));
            while let Some(value) = numbers.next() {
                // How large a complex number is.
                samples.push(if number.complex { value.hypot(numbers.next().unwrap_or(0.0)) } else { value });
            }
        }
    }
    Ok(preview.draw(samples))
}
