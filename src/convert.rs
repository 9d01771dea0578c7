//! Conversions of elements: what `as/`, `value/` and the forms of slices show instead of the stored bytes.
//!
//! An [`Element`] says how the number of an element is stored; a [`Conversion`] leads from one to another, both ways.
//! Both are pure arithmetic on buffers of whole elements.
//!
//! - *Reading* gives what NumPy's `astype` gives: integers wrap, floats are rounded once. A float becomes the nearest
//!   integer towards zero, saturated, and NaN becomes 0, where NumPy leaves open what comes out.
//! - *Writing* stores an element only if its bytes differ from those that reading gives, so that what is written back unchanged
//!   changes nothing, though a conversion may lose digits. What the stored type cannot hold is refused.
//!
//! Invariant: buffers hold whole elements, as many of the one type as of the other.

use std::fmt;
use std::ops::Range;

pub mod element;
mod native;
pub mod small;
#[cfg(test)]
mod tests;

pub use element::{Code, Element};
use native::Native;

/// Numbers that are converted at once: buffers on the stack, in the processor's first cache.
const BLOCK: usize = 1024;
/// Bytes of the largest number of [`Native`].
const WIDEST: usize = 8;

/// How physical values come from stored ones: `stored * scale + offset`, and NaN where nothing was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// Factor.
    pub scale: f64,
    /// What is added then.
    pub offset: f64,
    /// Stored elements that stand for no value, as bytes. The first is written for NaN.
    pub missing: Vec<Vec<u8>>,
}

/// From one kind of element to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// How elements are stored.
    pub from: Element,
    /// How they are shown.
    pub to: Element,
    /// What is applied on the way.
    pub scaling: Option<Scaling>,
    /// Whether the highest bit of each integer is shown the other way round: signed as unsigned with an offset, or the reverse.
    pub flip: bool,
}

/// A number that the stored type cannot hold: which element of the buffer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit(pub usize);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "element {} is out of the range of the stored type", self.0)
    }
}

impl Conversion {
    /// A conversion as `astype` does it.
    pub fn new(from: Element, to: Element) -> Conversion {
        Conversion { from, to, scaling: None, flip: false }
    }

    /// Whether the bytes stay as they are.
    pub fn is_identity(&self) -> bool {
        self.from == self.to && self.scaling.is_none() && !self.flip
    }

    /// Whether it does no more than turn bytes round.
    pub fn changes_order_only(&self) -> bool {
        self.scaling.is_none() && self.from.code == self.to.code && self.from.complex == self.to.complex
    }

    /// Shows stored elements in their own place, where the conversion does no more than turn bytes round.
    pub fn read_in_place(&self, elements: &mut [u8]) {
        debug_assert!(self.changes_order_only());
        if self.from.big != self.to.big {
            native::swap(elements, self.to.code.size());
        }
        if self.flip {
            flip(elements, self.to);
        }
    }

    /// Shows stored elements.
    pub fn read(&self, stored: &[u8], shown: &mut [u8]) {
        if self.changes_order_only() {
            shown.copy_from_slice(stored);
            self.read_in_place(shown);
            return;
        }
        if self.scaling.is_none()
            && self.from.complex == self.to.complex
            && self.from.is_native()
            && self.to.is_native()
        {
            native::cast(self.from.code.native(), self.to.code.native(), stored, shown);
        } else {
            let blocks = stored.chunks(BLOCK / 2 * self.from.size()).zip(shown.chunks_mut(BLOCK / 2 * self.to.size()));
            blocks.for_each(|(stored, shown)| self.read_block(stored, shown));
        }
        if self.flip {
            flip(shown, self.to);
        }
    }

    fn read_block(&self, stored: &[u8], shown: &mut [u8]) {
        let (mut first, mut second) = ([0; BLOCK * WIDEST], [0; BLOCK * WIDEST]);
        let kind = self.from.code.native();
        let numbers = stored.len() / self.from.code.size();
        decode(self.from, stored, &mut first[..numbers * kind.size()]);
        let count = if self.from.complex && !self.to.complex {
            if self.to.code == Code::Bool {
                join_truth(kind, &mut first[..numbers * kind.size()]);
            }
            drop_imaginary(&mut first, kind.size(), numbers / 2);
            numbers / 2
        } else {
            numbers
        };
        let mut current = (kind, &mut first, &mut second);
        if let Some(Scaling { scale, offset, missing }) = &self.scaling {
            let (kind, source, target) = current;
            native::cast(kind, Native::F64, &source[..count * kind.size()], &mut target[..count * 8]);
            let size = self.from.code.size();
            for (number, stored) in target[..count * 8].chunks_exact_mut(8).zip(stored.chunks_exact(size)) {
                let value = native::float(number) * scale + offset;
                let value = if missing.iter().any(|missing| missing == stored) { f64::NAN } else { value };
                number.copy_from_slice(&value.to_ne_bytes());
            }
            current = (Native::F64, target, source);
        }
        let (kind, source, target) = current;
        let wanted = self.to.code.encoded_from(kind);
        native::cast(kind, wanted, &source[..count * kind.size()], &mut target[..count * wanted.size()]);
        if self.to.complex && !self.from.complex {
            add_imaginary(&target[..count * wanted.size()], source, wanted.size());
            encode(self.to, wanted, &source[..2 * count * wanted.size()], shown);
        } else {
            encode(self.to, wanted, &target[..count * wanted.size()], shown);
        }
    }

    /// Takes shown elements back: changes those of `stored` that differ, and gives their places in it in bytes, in order.
    ///
    /// # Errors
    /// The first that the stored type cannot hold; nothing is changed then that matters.
    pub fn write(&self, shown: &[u8], stored: &mut [u8]) -> Result<Vec<Range<usize>>, Unfit> {
        let mut now = vec![0; shown.len()];
        self.read(stored, &mut now);
        let (size, shown_size) = (self.from.size(), self.to.size());
        let mut changed: Vec<Range<usize>> = Vec::new();
        let pairs = shown.chunks_exact(shown_size).zip(now.chunks_exact(shown_size));
        for number in pairs.enumerate().filter(|(_, (new, now))| new != now).map(|(number, _)| number) {
            match changed.last_mut() {
                Some(range) if range.end == number => range.end += 1,
                _ => changed.push(number..number + 1),
            }
        }
        for range in &changed {
            let target = &mut stored[range.start * size..range.end * size];
            let source = &shown[range.start * shown_size..range.end * shown_size];
            self.store(source, target).map_err(|Unfit(number)| Unfit(range.start + number))?;
        }
        Ok(changed.into_iter().map(|range| range.start * size..range.end * size).collect())
    }

    /// Converts shown elements into stored ones, all of them.
    fn store(&self, shown: &[u8], stored: &mut [u8]) -> Result<(), Unfit> {
        let (mut plain, mut done) = (shown.to_vec(), 0);
        if self.flip {
            flip(&mut plain, self.to);
        }
        let blocks = plain.chunks(BLOCK / 2 * self.to.size()).zip(stored.chunks_mut(BLOCK / 2 * self.from.size()));
        for (shown, stored) in blocks {
            self.store_block(shown, stored).map_err(|Unfit(number)| Unfit(done + number))?;
            done += BLOCK / 2;
        }
        Ok(())
    }

    fn store_block(&self, shown: &[u8], stored: &mut [u8]) -> Result<(), Unfit> {
        let (mut first, mut second) = ([0; BLOCK * WIDEST], [0; BLOCK * WIDEST]);
        if self.changes_order_only() {
            stored.copy_from_slice(shown);
            if self.from.big != self.to.big {
                native::swap(stored, self.from.code.size());
            }
            return Ok(());
        }
        let kind = self.to.code.native();
        let numbers = shown.len() / self.to.code.size();
        decode(self.to, shown, &mut first[..numbers * kind.size()]);
        let count = if self.to.complex && !self.from.complex {
            let parts = native::floats(kind, &first[..numbers * kind.size()]);
            if let Some(number) = parts.iter().skip(1).step_by(2).position(|&imaginary| imaginary != 0.0) {
                return Err(Unfit(number));
            }
            drop_imaginary(&mut first, kind.size(), numbers / 2);
            numbers / 2
        } else {
            numbers
        };
        let mut current = (kind, &mut first, &mut second);
        let mut missing = Vec::new();
        if let Some(scaling) = &self.scaling {
            let (kind, source, target) = current;
            native::cast(kind, Native::F64, &source[..count * kind.size()], &mut target[..count * 8]);
            for (at, number) in target[..count * 8].chunks_exact_mut(8).enumerate() {
                let value = native::float(number);
                let mut value = (value - scaling.offset) / scaling.scale;
                if self.from.code.is_integer() {
                    value = value.round_ties_even();
                }
                if value.is_nan() && !scaling.missing.is_empty() {
                    missing.push(at);
                    value = 0.0;
                }
                number.copy_from_slice(&value.to_ne_bytes());
            }
            current = (Native::F64, target, source);
        }
        let (kind, source, target) = current;
        let numbers = &source[..count * kind.size()];
        if let Some(number) = self.from.code.first_unfit(kind, numbers) {
            return Err(Unfit(if self.from.complex && self.to.complex { number / 2 } else { number }));
        }
        let wanted = self.from.code.encoded_from(kind);
        native::cast(kind, wanted, numbers, &mut target[..count * wanted.size()]);
        if self.from.complex && !self.to.complex {
            add_imaginary(&target[..count * wanted.size()], source, wanted.size());
            encode(self.from, wanted, &source[..2 * count * wanted.size()], stored);
        } else {
            encode(self.from, wanted, &target[..count * wanted.size()], stored);
        }
        let size = self.from.code.size();
        if let Some(scaling) = &self.scaling {
            let is_missing = |element: &[u8]| scaling.missing.iter().any(|missing| missing == element);
            // What would be read as a missing value again is none that can be held.
            let lost = stored
                .chunks_exact(size)
                .enumerate()
                .find(|(at, element)| is_missing(element) && !missing.contains(at));
            if let Some((at, _)) = lost {
                return Err(Unfit(at));
            }
        }
        for at in missing {
            let fill = self.scaling.as_ref().and_then(|scaling| scaling.missing.first());
            if let (Some(fill), Some(element)) = (fill, stored.chunks_exact_mut(size).nth(at)) {
                element.copy_from_slice(fill);
            }
        }
        Ok(())
    }
}

/// The numbers of stored elements, as the machine has them.
fn decode(element: Element, bytes: &[u8], numbers: &mut [u8]) {
    let size = element.code.size();
    if element.big && size > 1 {
        let mut little = [0; BLOCK * element::WIDEST];
        let little = &mut little[..bytes.len()];
        little.copy_from_slice(bytes);
        native::swap(little, size);
        element.code.decode(little, numbers);
    } else {
        element.code.decode(bytes, numbers);
    }
}

/// Stored elements of numbers.
fn encode(element: Element, kind: Native, numbers: &[u8], bytes: &mut [u8]) {
    element.code.encode(kind, numbers, bytes);
    if element.big {
        native::swap(bytes, element.code.size());
    }
}

/// Of pairs of numbers the first of each, moved together.
fn drop_imaginary(numbers: &mut [u8], size: usize, count: usize) {
    for at in 1..count {
        numbers.copy_within(2 * at * size..(2 * at + 1) * size, at * size);
    }
}

/// Of pairs of floats the second goes into the place of a first that is 0: a pair is true if either of them is.
fn join_truth(kind: Native, numbers: &mut [u8]) {
    let is_zero: Vec<bool> = native::floats(kind, numbers).into_iter().step_by(2).map(|real| real == 0.0).collect();
    for (pair, _) in numbers.chunks_exact_mut(2 * kind.size()).zip(is_zero).filter(|(_, is_zero)| *is_zero) {
        pair.copy_within(kind.size().., 0);
    }
}

/// Each number, and a zero behind it.
fn add_imaginary(numbers: &[u8], pairs: &mut [u8], size: usize) {
    for (pair, number) in pairs.chunks_exact_mut(2 * size).zip(numbers.chunks_exact(size)) {
        pair[..size].copy_from_slice(number);
        pair[size..].fill(0);
    }
}

/// Turns the highest bit of each integer round.
fn flip(bytes: &mut [u8], element: Element) {
    let size = element.code.size();
    let high = if element.big { 0 } else { size - 1 };
    bytes.iter_mut().skip(high).step_by(size).for_each(|byte| *byte ^= 0x80);
}
