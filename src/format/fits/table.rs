//! Tables as records. The columns of a binary table follow one another without gaps; `TFORMn` is a count and a letter:
//!
//! | letter | field                                    | letter | field                                       |
//! |--------|------------------------------------------|--------|---------------------------------------------|
//! | `L`    | `\|S1`: `T`, `F` or a zero byte           | `A`    | `\|S` of the count; `rAw`: strings of w       |
//! | `X`    | bits, highest first, in `\|u1`            | `E`    | `>f4`                                       |
//! | `B`    | `\|u1`                                    | `D`    | `>f8`                                       |
//! | `I`    | `>i2`                                    | `C`    | `>c8`                                       |
//! | `J`    | `>i4`                                    | `M`    | `>c16`                                      |
//! | `K`    | `>i8`                                    | `P` `Q`| two `>i4`, two `>i8`: count and heap offset |
//!
//! A count above 1 makes the field an array, whose shape `TDIMn` may give, fastest axis first; of `A` the first axis
//! counts the characters. A column of a text table begins at the character `TBCOLn`, counted from 1, and is as wide as
//! its `TFORMn` says (`A8`, `I6`, `F10.3`, `E15.7`, `D25.17`).

use std::collections::HashSet;
use std::sync::Arc;

use super::{Described, cannot_be, fault};
use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Field, Kind, MAX_ITEMSIZE, Record};
use crate::format::Refusal;
use crate::format::fits::Header;
use crate::format::header;
use crate::layout::{Layout, MAX_NDIM};

/// The most columns that FITS allows.
const MAX_COLUMNS: u64 = 999;

/// A binary table.
pub(super) fn binary(header: &Header) -> Result<Described, Refusal> {
    let mut end = 0_u64;
    let mut fields = Vec::new();
    for n in columns(header)? {
        let (dtype, shape) = column(form(header, n)?, header.text(&format!("TDIM{n}")))
            .ok_or_else(|| unknown(header, n, "no column type of FITS"))?;
        let field = Field { name: String::new(), title: None, offset: end, dtype, shape };
        let size = field.size().ok_or_else(|| unknown(header, n, "larger than a record can be"))?;
        end = end.saturating_add(size);
        fields.push(field);
    }
    described(header, fields)
}

/// A table of text.
pub(super) fn ascii(header: &Header) -> Result<Described, Refusal> {
    let mut fields = Vec::new();
    for n in columns(header)? {
        let begin = header.count(&format!("TBCOL{n}"))?;
        let offset =
            begin.checked_sub(1).ok_or_else(|| fault(&format!("its header gives TBCOL{n} = 0, and 1 is the first")))?;
        let width =
            form(header, n)?.strip_prefix(['A', 'I', 'F', 'E', 'D']).and_then(|rest| number(rest.split('.').next()?));
        let width = width.ok_or_else(|| unknown(header, n, "no column type of FITS"))?;
        let dtype = header::scalar(Kind::Bytes, ByteOrder::None, width);
        fields.push(Field { name: String::new(), title: None, offset, dtype, shape: Vec::new() });
    }
    described(header, fields)
}

/// The numbers of the columns.
fn columns(header: &Header) -> Result<std::ops::RangeInclusive<u64>, Refusal> {
    let count = header.count("TFIELDS")?;
    if count > MAX_COLUMNS {
        return Err(fault(&format!(
            "its header gives TFIELDS = {count}, more than the {MAX_COLUMNS} that FITS allows"
        )));
    }
    Ok(1..=count)
}

fn form(header: &Header, n: u64) -> Result<&str, Refusal> {
    header.text(&format!("TFORM{n}")).map(str::trim).ok_or_else(|| fault(&format!("its header does not give TFORM{n}")))
}

fn unknown(header: &Header, n: u64, what: &str) -> Refusal {
    let form = header.text(&format!("TFORM{n}")).unwrap_or_default();
    fault(&format!("its header gives TFORM{n} = {}, {what}", excerpt(form)))
}

/// A table with these fields, which get their names here.
fn described(header: &Header, mut fields: Vec<Field>) -> Result<Described, Refusal> {
    let axes = header.axes()?;
    let &[width, rows] = &axes[..] else {
        return Err(fault(&format!("its header gives a table {} axes instead of 2", axes.len())));
    };
    if width == 0 || fields.is_empty() {
        return Err(Refusal("it is a table without columns; there is nothing to show".into()));
    }
    if width > MAX_ITEMSIZE {
        return Err(Refusal(format!(
            "its rows take {width} bytes, and records are of at most {MAX_ITEMSIZE}; split the table"
        )));
    }
    let mut seen = HashSet::new();
    for (n, field) in (1..).zip(&mut fields) {
        let named = header.text(&format!("TTYPE{n}")).map(str::trim).filter(|name| !name.is_empty());
        let named = named.filter(|&name| seen.insert(name.to_owned()));
        field.name = named.map_or_else(|| format!("col{n}"), str::to_owned);
        // A name that stands twice, or looks like the one of a column without name.
        if named.is_none() && !seen.insert(field.name.clone()) {
            field.name = format!("col{n}#{n}");
        }
    }
    fields.sort_by_key(|field| field.offset);
    let record = Record::new(fields, width).map_err(|error| {
        fault(&format!("its header describes columns that do not fit into its rows of {width} bytes: {error}"))
    })?;
    let stride = i64::try_from(width).unwrap_or(i64::MAX);
    let layout = Layout { offset: header.end, shape: vec![rows], strides: vec![stride], itemsize: width };
    layout.check().map_err(cannot_be)?;
    Ok((DType::Record(Arc::new(record)), layout, Vec::new()))
}

/// Type and shape of a column of a binary table.
fn column(form: &str, dimensions: Option<&str>) -> Option<(DType, Vec<u64>)> {
    let (digits, rest) = form.split_at(form.find(|c: char| !c.is_ascii_digit())?);
    let count = if digits.is_empty() { 1 } else { number(digits)? };
    let (letter, rest) = rest.split_at_checked(1)?;
    let dimensions =
        dimensions.and_then(axes).filter(|axes| axes.iter().try_fold(1_u64, |n, &m| n.checked_mul(m)) == Some(count));
    let (kind, itemsize) = match letter {
        "L" => (Kind::Bytes, 1),
        "X" => return Some((header::scalar(Kind::Uint, ByteOrder::Big, 1), shape(count.div_ceil(8), None))),
        "B" => (Kind::Uint, 1),
        "I" => (Kind::Int, 2),
        "J" => (Kind::Int, 4),
        "K" => (Kind::Int, 8),
        "E" => (Kind::Float, 4),
        "D" => (Kind::Float, 8),
        "C" => (Kind::Complex, 8),
        "M" => (Kind::Complex, 16),
        "A" => return Some(strings(count, rest, dimensions)),
        "P" | "Q" => {
            let itemsize = if letter == "P" { 4 } else { 8 };
            return Some((header::scalar(Kind::Int, ByteOrder::Big, itemsize), vec![count.checked_mul(2)?]));
        }
        _ => return None,
    };
    Some((header::scalar(kind, ByteOrder::Big, itemsize), shape(count, dimensions)))
}

/// The shape of a field of so many elements.
fn shape(count: u64, dimensions: Option<Vec<u64>>) -> Vec<u64> {
    match dimensions {
        Some(mut axes) => {
            axes.reverse();
            axes
        }
        None if count == 1 => Vec::new(),
        None => vec![count],
    }
}

/// A field of `count` characters: one string, or several of one width.
fn strings(count: u64, rest: &str, dimensions: Option<Vec<u64>>) -> (DType, Vec<u64>) {
    let width = number(rest).filter(|&width| width > 0 && width < count && count.is_multiple_of(width));
    let (width, shape) = match (dimensions, width) {
        (Some(axes), _) => (axes[0], axes[1..].iter().rev().copied().collect()),
        (None, Some(width)) => (width, vec![count / width]),
        (None, None) => (count, Vec::new()),
    };
    (header::scalar(Kind::Bytes, ByteOrder::None, width), shape)
}

/// The axes that a `TDIMn` gives, fastest first.
fn axes(text: &str) -> Option<Vec<u64>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let axes: Option<Vec<u64>> = inner.split(',').map(|length| number(length.trim())).collect();
    axes.filter(|axes| axes.len() <= MAX_NDIM)
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
