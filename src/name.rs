//! The names of slices, both ways: what a name selects, and how a selection is called.
//!
//! ```text
//! index  = ["-"] digits                              counts from the end where negative
//! range  = [index] ":" [index] [":" [index]]         START:STOP[:STEP], any part may be left out
//!        | [index] ".." [index] [".." [index]]       the same; at least one part is there
//! item   = index | range
//! expr   = (item | "...") {"," (item | "...")}       at most one "...", at most one item for each axis
//! ```
//!
//! Digits are ASCII, of any number, with leading zeros if need be (`seq -w`). There is no `+`, no blank, no `_`.
//! A range means what it means to Python: half-open, clipped, however large its bounds; its step is not zero. A
//! name that means nothing, or an index out of range, is `None`, which the file system answers with ENOENT.
//!
//! The axes and arrays here are no longer than `i64::MAX`, as [`crate::layout`] guarantees.
//!
//! [`escape`] fits foreign names into path components; [`path_of`] turns a NumPy expression into a path, and
//! [`expression_of`] a path into a NumPy expression.

use crate::layout::{Pick, Span};

mod escape;
mod numpy;
mod path;
#[cfg(test)]
mod tests;
mod view;

pub use escape::{escape, unescape};
pub use numpy::{numpy_name, quote};
pub use path::{Item, PathError, check_end, path_of, view_of};
pub use view::{Leaf, NAMES, NoView, Step, View, expression_of, split};

/// What an index or a range picks on an axis of `length`: the names in `row/`, `col/`, `axis/K/` and
/// `range/`.
pub fn pick(text: &str, length: u64) -> Option<Pick> {
    if text.contains(':') || text.contains("..") {
        Some(Pick::Span(span(text, length)?))
    } else {
        Some(Pick::Index(index(text, length)?))
    }
}

/// One pick for each axis of `shape`: the names in `slice/`. What `...` stands for, and axes past the last item,
/// are picked whole. An array without axes has the one name `...`.
pub fn expression(text: &str, shape: &[u64]) -> Option<Vec<Pick>> {
    let items = text.split(',').count();
    let ellipses = text.split(',').filter(|&item| item == "...").count();
    let filled = shape.len().checked_sub(items - ellipses)?;
    if ellipses > 1 {
        return None;
    }
    let mut picks = Vec::with_capacity(shape.len());
    for item in text.split(',') {
        if item == "..." {
            let axes = &shape[picks.len()..picks.len() + filled];
            picks.extend(axes.iter().map(|&length| Pick::Span(Span::all(length))));
        } else {
            picks.push(pick(item, shape[picks.len()])?);
        }
    }
    picks.extend(shape[picks.len()..].iter().map(|&length| Pick::Span(Span::all(length))));
    Some(picks)
}

/// The axis, of `ndim`, that a number names; negative ones count from the last.
pub fn axis(text: &str, ndim: usize) -> Option<usize> {
    usize::try_from(index(text, ndim as u64)?).ok()
}

/// Splits the form off a name: what follows the last dot, if it is one of the `suffixes` (given without their
/// dots).
pub fn split_form<'a>(name: &'a str, suffixes: &[&str]) -> (&'a str, Option<&'a str>) {
    match name.rsplit_once('.') {
        Some((stem, suffix)) if suffixes.contains(&suffix) => (stem, Some(suffix)),
        _ => (name, None),
    }
}

/// The canonical name of a span on an axis of `length`, in which it must lie: bounds where they are not the
/// defaults, and a step other than 1. [`pick`] reads it back.
pub fn span_name(span: Span, length: u64) -> String {
    let (first, step) = (i128::from(span.start), i128::from(span.step));
    let (length, len) = (i128::from(length), i128::from(span.len));
    if len == 0 && length > 0 {
        return "0:0".to_owned();
    }
    let (default, next) = (if step < 0 { length - 1 } else { 0 }, first + len * step);
    let mut name = String::new();
    if first != default {
        name += &first.to_string();
    }
    name.push(':');
    if (0..length).contains(&next) {
        // Another index would follow: stop right after the last.
        name += &(next - step + step.signum()).to_string();
    }
    if step != 1 {
        name += &format!(":{step}");
    }
    name
}

/// The canonical name of picks, one for each axis of `shape`, which [`expression`] reads back: whole axes at the
/// end are left out, and the whole array is `...`.
pub fn expression_name(picks: &[Pick], shape: &[u64]) -> String {
    let whole = |(pick, &length): (&Pick, &u64)| matches!(pick, Pick::Span(span) if span.is_all(length));
    let named = picks.len() - picks.iter().zip(shape).rev().take_while(|&axis| whole(axis)).count();
    let mut name = String::new();
    for (&pick, &length) in picks.iter().zip(shape).take(named) {
        if !name.is_empty() {
            name.push(',');
        }
        match pick {
            Pick::Index(index) => name += &index.to_string(),
            Pick::Span(span) => name += &span_name(span, length),
        }
    }
    if name.is_empty() { "...".to_owned() } else { name }
}

/// Beyond any bound, and small enough that sums of a few cannot overflow.
const FAR: i128 = 1 << 65;

/// A decimal integer, cut to [`FAR`] on both sides.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(sign * digits.bytes().fold(0, |value, digit| (value * 10 + i128::from(digit - b'0')).min(FAR)))
}

fn index(text: &str, length: u64) -> Option<u64> {
    let (index, length) = (integer(text)?, i128::from(length));
    let index = if index < 0 { index + length } else { index };
    if index < length { u64::try_from(index).ok() } else { None }
}

fn span(text: &str, length: u64) -> Option<Span> {
    let (separator, needs_number) = if text.contains(':') { (":", false) } else { ("..", true) };
    let mut bounds = [None; 3];
    let mut parts = 0;
    for part in text.split(separator) {
        let bound = bounds.get_mut(parts)?;
        if !part.is_empty() {
            *bound = Some(integer(part)?);
        }
        parts += 1;
    }
    if parts < 2 || needs_number && bounds == [None; 3] {
        return None;
    }
    clip(bounds, length)
}

/// Clips START, STOP and STEP to an axis, as CPython's `PySlice_AdjustIndices` does.
fn clip([start, stop, step]: [Option<i128>; 3], length: u64) -> Option<Span> {
    let length = i128::from(length);
    let step = step.unwrap_or(1);
    let (low, high) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let bound = |bound: i128| (if bound < 0 { bound + length } else { bound }).clamp(low, high);
    let (first, last) = if step < 0 { (high, low) } else { (low, high) };
    let (start, stop) = (start.map_or(first, bound), stop.map_or(last, bound));
    let len = match step {
        0 => return None,
        1.. => (stop - start + step - 1).max(0) / step,
        _ => (start - stop - step - 1).max(0) / -step,
    };
    Some(match len {
        0 => Span { start: 0, step: 1, len: 0 },
        1 => Span { start: u64::try_from(start).ok()?, step: 1, len: 1 },
        // A step between two indices of an axis is shorter than the axis.
        _ => Span { start: u64::try_from(start).ok()?, step: i64::try_from(step).ok()?, len: u64::try_from(len).ok()? },
    })
}
