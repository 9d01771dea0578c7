//! `.txt`, `.csv`, `.json`: numbers as text, in cells of fixed width.
//!
//! Every element takes the same number of bytes: for each of its numbers a cell, as wide as the longest number of the type, right-aligned,
//! and one separator. So the size of the file is known, and a read at any offset costs only the cells that it touches.
//!
//! | form    | between numbers | at the end of the last axis | records                                              |
//! |---------|-----------------|-----------------------------|------------------------------------------------------|
//! | `.txt`  | a blank         | a newline                   | a line for each, a column for each field             |
//! | `.csv`  | a comma         | a newline                   | the same, below a line with the names of the columns |
//! | `.json` | brackets, commas as JSON has them; NaN is `null`, infinity `1e999` || no form |
//!
//! An array of one axis has an element on each line, as `numpy.savetxt` writes it. Blanks stand before a number, where every program
//! that was tried (awk, sort, datamash, gnuplot, R, NumPy, pandas) passes over them.
//!
//! A text that somebody writes need not have our widths: [`Reader`] takes any numbers separated by blanks, commas or newlines.

use std::ops::Range;

use super::{Face, Slice};
use crate::convert::Element;
use crate::dtype::DType;

mod cell;
mod reader;
mod small;
mod time;

use cell::Cell;
pub use reader::{Bad, Reader};

/// The most columns of a record, and the most bytes that its line may take.
const MAX_COLUMNS: usize = 4096;
const MAX_UNIT: u64 = 1 << 20;
/// The most elements that JSON is made of.
const MAX_JSON: u64 = 1 << 16;

/// What stands around the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Blanks,
    Commas,
    Json,
}

/// A column of an element: one number, or one string.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name, where the element is a record.
    name: String,
    /// Byte of the element at which it starts.
    offset: usize,
    cell: Cell,
    /// Bytes of its text.
    width: usize,
}

/// The text of a slice.
#[derive(Clone, Debug)]
pub struct Text {
    style: Style,
    head: Vec<u8>,
    columns: Vec<Column>,
    itemsize: usize,
    /// Length of each axis, in elements.
    shape: Vec<u64>,
    count: u64,
    /// Elements on a line.
    per_line: u64,
    /// Bytes that an element takes.
    unit: u64,
}

pub(super) fn txt(slice: &Slice<'_>) -> Option<Face> {
    Text::new(slice, Style::Blanks).map(Face::Text)
}

pub(super) fn csv(slice: &Slice<'_>) -> Option<Face> {
    Text::new(slice, Style::Commas).map(Face::Text)
}

pub(super) fn json(slice: &Slice<'_>) -> Option<Face> {
    if slice.count() > MAX_JSON || slice.number().is_none() {
        return None;
    }
    Text::new(slice, Style::Json).map(Face::Text)
}

impl Text {
    fn new(slice: &Slice<'_>, style: Style) -> Option<Text> {
        let mut columns = Vec::new();
        columns_of(slice.dtype, slice.element, 0, "", style, &mut columns)?;
        let is_record = matches!(slice.dtype, DType::Record(_));
        let head = if is_record && style == Style::Commas { header(&columns) } else { Vec::new() };
        let cells: u64 = columns.iter().map(|column| column.width as u64 + 1).sum();
        // JSON has room for all brackets on both sides, those of a pair among them.
        let brackets = slice.shape.len() + usize::from(columns.len() > 1);
        let unit = cells + if style == Style::Json { 2 * brackets as u64 + 1 } else { 0 };
        let per_line = if is_record || slice.shape.len() < 2 { 1 } else { slice.shape.last().copied().unwrap_or(1) };
        if columns.is_empty() || unit > MAX_UNIT {
            return None;
        }
        let itemsize = slice.dtype.itemsize() as usize;
        let count = slice.count();
        count.checked_mul(unit)?.checked_add(head.len() as u64).filter(|&len| len <= i64::MAX as u64)?;
        Some(Text {
            style,
            head,
            columns,
            itemsize,
            shape: slice.shape.to_vec(),
            count,
            per_line: per_line.max(1),
            unit,
        })
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> u64 {
        match (self.style, self.count) {
            (Style::Json, 0) => self.empty_json().len() as u64,
            _ => self.head.len() as u64 + self.count * self.unit,
        }
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of elements.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What precedes the first element.
    pub fn head(&self) -> Vec<u8> {
        if self.style == Style::Json && self.count == 0 { self.empty_json() } else { self.head.clone() }
    }

    /// The elements whose text lies in a window of the file, wholly or in part.
    pub fn elements(&self, window: &Range<u64>) -> Range<u64> {
        let head = self.head.len() as u64;
        let start = window.start.saturating_sub(head) / self.unit;
        let end = window.end.saturating_sub(head).div_ceil(self.unit);
        start.min(self.count)..end.min(self.count)
    }

    /// The byte of the file at which an element's text begins.
    pub fn start_of(&self, element: u64) -> u64 {
        self.head.len() as u64 + element * self.unit
    }

    /// Bytes of text that somebody may write: numbers may be longer than ours.
    pub fn room(&self) -> u64 {
        self.len()
            .saturating_mul(4)
            .saturating_add(self.count.saturating_mul(32 * self.columns.len() as u64))
            .saturating_add(1 << 16)
    }

    /// Appends the text of some elements, by their bytes.
    pub fn render(&self, numbers: Range<u64>, elements: &[u8], out: &mut Vec<u8>) {
        let (start, unit) = (out.len(), self.unit as usize);
        out.resize(start + (numbers.end - numbers.start) as usize * unit, b' ');
        let texts = out[start..].chunks_exact_mut(unit);
        for (at, (number, text)) in numbers.zip(texts).enumerate() {
            self.render_one(number, &elements[at * self.itemsize..(at + 1) * self.itemsize], text);
        }
    }

    fn render_one(&self, number: u64, element: &[u8], text: &mut [u8]) {
        if self.style == Style::Json {
            return self.render_json(number, element, text);
        }
        let separator = if self.style == Style::Commas { b',' } else { b' ' };
        let mut at = 0;
        for column in &self.columns {
            column
                .cell
                .write(&element[column.offset..column.offset + column.cell.size()], &mut text[at..at + column.width]);
            at += column.width + 1;
            text[at - 1] = separator;
        }
        if (number + 1).is_multiple_of(self.per_line) {
            text[at - 1] = b'\n';
        }
    }

    fn render_json(&self, number: u64, element: &[u8], text: &mut [u8]) {
        let ndim = self.shape.len();
        // So many axes begin, or end, with this element.
        let (mut opened, mut closed, mut period) = (0, 0, 1);
        for &length in self.shape.iter().rev() {
            period *= length;
            opened += usize::from(number.is_multiple_of(period));
            closed += usize::from((number + 1).is_multiple_of(period));
        }
        text[ndim - opened..ndim].fill(b'[');
        let mut at = ndim;
        let is_pair = self.columns.len() > 1;
        if is_pair {
            text[at] = b'[';
            at += 1;
        }
        for column in &self.columns {
            column
                .cell
                .write(&element[column.offset..column.offset + column.cell.size()], &mut text[at..at + column.width]);
            at += column.width + 1;
            text[at - 1] = b',';
        }
        at -= 1;
        if is_pair {
            text[at] = b']';
            at += 1;
        }
        text[at..at + closed].fill(b']');
        text[at + closed] = if closed < ndim { b',' } else { b' ' };
        if closed > 0 || ndim < 2 {
            // The last byte is left for it: one more than the brackets take.
            text[self.unit as usize - 1] = b'\n';
        }
    }

    /// Brackets without any number between them.
    fn empty_json(&self) -> Vec<u8> {
        fn of(shape: &[u64]) -> serde_json::Value {
            match shape.split_first() {
                Some((&length, rest)) => (0..length.min(MAX_JSON)).map(|_| of(rest)).collect(),
                None => serde_json::Value::Null,
            }
        }
        format!("{}\n", of(&self.shape)).into_bytes()
    }

    /// Takes parsed elements over into `now`, the bytes of as many elements, where they differ from what their text says.
    pub fn merge(&self, parsed: &[u8], now: &mut [u8]) {
        let mut canonical = Vec::new();
        let pairs = parsed.chunks_exact(self.itemsize.max(1)).zip(now.chunks_exact_mut(self.itemsize.max(1)));
        for (parsed, now) in pairs.filter(|(parsed, now)| parsed != now) {
            for column in &self.columns {
                let place = column.offset..column.offset + column.cell.size();
                let (parsed, now) = (&parsed[place.clone()], &mut now[place]);
                if parsed == now {
                    continue;
                }
                // Several elements may have one text: every NaN is `nan`.
                canonical.clear();
                canonical.resize(now.len(), 0);
                let mut text = vec![b' '; column.width];
                column.cell.write(now, &mut text);
                // It stands at the end of its cell, and begins and ends with no blank.
                let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
                let is_same =
                    column.cell.parse(&cell::unquoted(&text[start..]), &mut canonical).is_ok() && canonical == parsed;
                if !is_same {
                    now.copy_from_slice(parsed);
                }
            }
        }
    }
}

/// The columns of a type.
fn columns_of(
    dtype: &DType,
    element: Option<&str>,
    offset: usize,
    name: &str,
    style: Style,
    columns: &mut Vec<Column>,
) -> Option<()> {
    match dtype {
        DType::Scalar(_) => {
            let mut push = |cell: Cell, offset: usize| {
                let width = cell.width();
                columns.push(Column { name: name.to_owned(), offset, cell, width });
            };
            match Cell::of(dtype, element, style)? {
                // JSON has no word for it: a pair.
                Cell::Number(number, Style::Json) if number.complex => {
                    let part = Element { complex: false, ..number };
                    push(Cell::Number(part, Style::Json), offset);
                    push(Cell::Number(part, Style::Json), offset + part.size());
                }
                cell => push(cell, offset),
            }
        }
        DType::Record(record) => {
            for field in record.fields() {
                let name = if name.is_empty() { field.name.clone() } else { format!("{name}.{}", field.name) };
                let offset = offset + usize::try_from(field.offset).ok()?;
                let count = crate::layout::count(&field.shape);
                if count > MAX_COLUMNS as u64 {
                    return None;
                }
                let size = usize::try_from(field.dtype.itemsize()).ok()?;
                for number in 0..count {
                    let name = if field.shape.is_empty() {
                        name.clone()
                    } else {
                        format!("{name}.{}", index(number, &field.shape))
                    };
                    columns_of(&field.dtype, None, offset + number as usize * size, &name, style, columns)?;
                }
            }
        }
    }
    (columns.len() <= MAX_COLUMNS).then_some(())
}

/// The indices of an element of a small array, with dots between them.
fn index(mut number: u64, shape: &[u64]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for &length in shape.iter().rev() {
        parts.push((number % length).to_string());
        number /= length;
    }
    parts.reverse();
    parts.join(".")
}

/// The line with the names of the columns.
fn header(columns: &[Column]) -> Vec<u8> {
    let is_special =
        |name: &str| name.contains([',', '"', '\n', '\r']) || name.trim_matches([' ', '\t']).len() < name.len();
    let names = columns.iter().map(|column| match is_special(&column.name) {
        true => format!("\"{}\"", column.name.replace('"', "\"\"")),
        false => column.name.clone(),
    });
    format!("{}\n", names.collect::<Vec<String>>().join(",")).into_bytes()
}

#[cfg(test)]
mod tests;
