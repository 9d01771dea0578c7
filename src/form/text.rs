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
//! In a `.csv`, strings, NaN and infinities have no blanks before them, as long as lines are short: pandas, R and others would take them for a
//! part of the cell. The blanks stand before a number of the same line, and where there is none, as many empty lines follow it.
//!
//! An array of one axis has an element on each line, as `numpy.savetxt` writes it. Blanks stand before a number, where every program
//! that was tried (awk, sort, datamash, gnuplot, R, NumPy, pandas) passes over them.
//!
//! A text that somebody writes need not have our widths: [`Reader`] takes any numbers separated by blanks, commas or newlines.

use std::ops::Range;

use super::{Face, Slice};
use crate::convert::{Code, Element};
use crate::dtype::{DType, Kind, Scalar};

mod cell;
mod plain;
mod reader;
mod small;
mod time;

use cell::Cell;
pub use reader::{Bad, Reader};

/// The most columns of a record, and the most bytes that its line may take.
const MAX_COLUMNS: usize = 4096;
const MAX_UNIT: u64 = 1 << 20;
/// The longest line that is made as a whole.
const MAX_LINE: u64 = 1 << 16;
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
    /// Whether what is no finite number stands without blanks, so that a line can be made only as a whole.
    is_by_lines: bool,
}

pub(super) fn txt(slice: &Slice<'_>) -> Option<Face> {
    Text::new(slice, Style::Blanks).map(Face::Text)
}

pub(super) fn csv(slice: &Slice<'_>) -> Option<Face> {
    Text::new(slice, Style::Commas).map(Face::Text)
}

pub(super) fn json(slice: &Slice<'_>) -> Option<Face> {
    // Empty lists count as well: those of the axes before the first that has no length.
    let before = slice.shape.iter().take_while(|&&length| length > 0);
    let lists = before.fold(1_u64, |lists, &length| lists.saturating_mul(length));
    let is_time = matches!(slice.dtype, DType::Scalar(Scalar { kind: Kind::DateTime | Kind::TimeDelta, .. }));
    if lists > MAX_JSON || slice.number().is_none() || is_time {
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
        let (shape, per_line) = (slice.shape.to_vec(), per_line.max(1));
        let is_loose = |column: &Column| column.cell.is_string() || column.cell.is_float();
        let is_short = per_line.checked_mul(unit).is_some_and(|len| len <= MAX_LINE);
        let is_by_lines = style == Style::Commas && is_short && columns.iter().any(is_loose);
        Some(Text { style, head, columns, itemsize, shape, count, per_line, unit, is_by_lines })
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

    /// Whether every line can be read by itself: there are no strings, which may hold line ends, and no line that is special.
    pub fn has_plain_lines(&self) -> bool {
        // Of JSON the whole is looked at.
        self.style != Style::Json
            && self.head.is_empty()
            && matches!(&self.columns[..], [Column { cell: Cell::Number(..), .. }])
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
        let together = self.together();
        let (start, end) = (start / together * together, end.div_ceil(together) * together);
        start.min(self.count)..end.min(self.count)
    }

    /// So many elements are made, and read, together: those of a line, or each by itself.
    pub fn together(&self) -> u64 {
        if self.is_by_lines { self.per_line } else { 1 }
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
        if self.is_by_lines {
            let length = self.per_line as usize * unit;
            out[start..].chunks_exact_mut(length).for_each(|line| self.close_up(line));
        }
    }

    /// Takes the blanks before strings, NaN and infinities out of a line, since many programs take them for a part of the cell: there
    /// are as many more before a number of the line, or, where it has none, as many empty lines behind it.
    fn close_up(&self, line: &mut [u8]) {
        let cells = || {
            let mut at = 0;
            self.columns.iter().cycle().map_while(move |column| {
                let place = at..at + column.width;
                at = place.end + 1;
                Some((column, place))
            })
        };
        let count = self.per_line as usize * self.columns.len();
        let blanks =
            |line: &[u8], place: &Range<usize>| line[place.clone()].iter().take_while(|&&byte| byte == b' ').count();
        let is_loose = |line: &[u8], column: &Column, place: &Range<usize>| {
            column.cell.is_string() || column.cell.is_float() && matches!(line[place.end - 1], b'n' | b'f')
        };
        let loose = cells().take(count).filter(|(column, place)| is_loose(line, column, place));
        let mut spare: usize = loose.map(|(_, place)| blanks(line, &place)).sum();
        if spare == 0 {
            return;
        }
        let mut closed = Vec::with_capacity(line.len());
        for (column, place) in cells().take(count) {
            let is_loose = is_loose(line, column, &place);
            let start = if is_loose { place.start + blanks(line, &place) } else { place.start };
            if !is_loose {
                closed.resize(closed.len() + std::mem::take(&mut spare), b' ');
            }
            closed.extend_from_slice(&line[start..=place.end]);
        }
        closed.resize(line.len(), b'\n');
        line.copy_from_slice(&closed);
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
                Some((&length, rest)) => (0..length).map(|_| of(rest)).collect(),
                None => serde_json::Value::Null,
            }
        }
        format!("{}\n", of(&self.shape)).into_bytes()
    }

    /// Takes parsed elements over into `now`, the bytes of as many elements, where they differ from what their text says, and gives the
    /// places that changed, in bytes and in order.
    pub fn merge(&self, parsed: &[u8], now: &mut [u8]) -> Vec<Range<usize>> {
        match self.itemsize {
            0 => Vec::new(),
            // Of most numbers nothing but a comparison is left.
            2 => self.merge_sized::<2>(parsed, now),
            4 => self.merge_sized::<4>(parsed, now),
            8 => self.merge_sized::<8>(parsed, now),
            size => {
                let mut changed = Vec::new();
                for (number, (parsed, now)) in parsed.chunks_exact(size).zip(now.chunks_exact_mut(size)).enumerate() {
                    if parsed != now && self.merge_one(parsed, now) {
                        extend(&mut changed, number, size);
                    }
                }
                changed
            }
        }
    }

    fn merge_sized<const N: usize>(&self, parsed: &[u8], now: &mut [u8]) -> Vec<Range<usize>> {
        let mut changed = Vec::new();
        // Integers and finite floats have a text of their own each, and most elements are such.
        let number = match &self.columns[..] {
            [Column { cell: Cell::Number(number, _), .. }] if !number.complex => Some(*number),
            _ => None,
        };
        let exponent = |element: &[u8; N], big: bool| {
            let high = |at: usize| u16::from(element[if big { at } else { N - 1 - at }]);
            high(0) << 8 | high(1)
        };
        let has_own_text = |element: &[u8; N]| match number {
            Some(Element { code: Code::Int(_) | Code::Uint(_), .. }) => true,
            Some(Element { code: Code::Float(8), big, .. }) => exponent(element, big) & 0x7ff0 != 0x7ff0,
            Some(Element { code: Code::Float(4), big, .. }) => exponent(element, big) & 0x7f80 != 0x7f80,
            _ => false,
        };
        let (parsed, now) = (parsed.as_chunks::<N>().0, now.as_chunks_mut::<N>().0);
        for (number, (parsed, now)) in parsed.iter().zip(now).enumerate() {
            if parsed == now {
                continue;
            }
            if has_own_text(now) {
                *now = *parsed;
                extend(&mut changed, number, N);
            } else if self.merge_one(parsed, now) {
                extend(&mut changed, number, N);
            }
        }
        changed
    }

    /// Takes over an element, column by column; whether it changed.
    fn merge_one(&self, parsed: &[u8], now: &mut [u8]) -> bool {
        let mut is_changed = false;
        for column in &self.columns {
            let place = column.offset..column.offset + column.cell.size();
            let (parsed, now) = (&parsed[place.clone()], &mut now[place]);
            if parsed != now && (column.cell.is_canonical(now) || !column.means(parsed, now)) {
                now.copy_from_slice(parsed);
                is_changed = true;
            }
        }
        is_changed
    }
}

impl Column {
    /// Whether the text of an element is read as another one: several may have one text, as every NaN is `nan`.
    fn means(&self, parsed: &[u8], element: &[u8]) -> bool {
        let (mut text, mut canonical) = (vec![b' '; self.width], vec![0; element.len()]);
        self.cell.write(element, &mut text);
        // It stands at the end of its cell, and begins with no blank.
        let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
        self.cell.parse(&cell::unquoted(&text[start..]), &mut canonical).is_ok() && canonical == parsed
    }
}

/// Adds an element to those that changed.
fn extend(changed: &mut Vec<Range<usize>>, number: usize, size: usize) {
    let (start, end) = (number * size, (number + 1) * size);
    match changed.last_mut() {
        Some(last) if last.end == start => last.end = end,
        _ => changed.push(start..end),
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
