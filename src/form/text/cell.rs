//! One number, or one string, as text, and back.

use std::borrow::Cow;
use std::io::Write;

use super::plain::{Plain, plain};
use super::{Style, small, time};
use crate::convert::{Code, Conversion, Element};
use crate::dtype::{ByteOrder, DType, Kind, Scalar};

/// What a cell shows.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// A number, or a pair of them.
    Number(Element, Style),
    /// Bytes padded with zeros.
    Bytes(usize, Style),
    /// Code points of 4 bytes padded with zeros; whether the highest byte comes first.
    Unicode(usize, bool, Style),
    /// A moment.
    Moment(time::Unit, bool),
    /// A span of time.
    Span(bool),
    /// Bytes of no known meaning, as hexadecimal digits.
    Hexadecimal(usize),
}

/// Why a text is no such number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is something else.
    Meaning,
    /// The type cannot hold it.
    Range,
}

impl Cell {
    pub(super) fn of(dtype: &DType, element: Option<&str>, style: Style) -> Option<Cell> {
        let DType::Scalar(Scalar { kind, order, itemsize, unit }) = dtype else { return None };
        let (big, size) = (*order == ByteOrder::Big, usize::try_from(*itemsize).ok()?);
        match kind {
            Kind::DateTime => Some(
                unit.as_deref().and_then(time::Unit::parse).map_or(Cell::Span(big), |unit| Cell::Moment(unit, big)),
            ),
            Kind::TimeDelta => Some(Cell::Span(big)),
            Kind::Bytes => Some(Cell::Bytes(size, style)),
            Kind::Unicode => Some(Cell::Unicode(size, big, style)),
            _ => match Element::of(dtype, element) {
                Some(number) => Some(Cell::Number(number, style)),
                None => Some(Cell::Hexadecimal(size)),
            },
        }
    }

    /// Bytes of the element.
    pub(super) fn size(&self) -> usize {
        match self {
            Cell::Number(element, _) => element.size(),
            Cell::Bytes(size, _) | Cell::Unicode(size, ..) | Cell::Hexadecimal(size) => *size,
            Cell::Moment(..) | Cell::Span(_) => 8,
        }
    }

    /// Bytes of the longest text.
    pub(super) fn width(&self) -> usize {
        match self {
            Cell::Number(element, style) => {
                let one = match element.code {
                    Code::Bool if *style == Style::Json => 5,
                    Code::Bool => 1,
                    Code::Int(size) => [4, 6, 8, 11, 0, 0, 0, 20][usize::from(size) - 1],
                    Code::Uint(size) => [3, 5, 8, 10, 0, 0, 0, 20][usize::from(size) - 1],
                    Code::Float(4) => 16,
                    Code::Small(_) => small::WIDTH,
                    Code::Float(_) | Code::Extended | Code::Ibm => 24,
                };
                if element.complex { 2 * one + 1 } else { one }
            }
            // Every letter may be a quotation mark, which stands twice, and marks stand around it.
            Cell::Bytes(size, _) => 2 * size + 2,
            Cell::Unicode(size, ..) => size + 2,
            Cell::Hexadecimal(size) => (2 * size).max(2),
            Cell::Moment(unit, _) => unit.width(),
            Cell::Span(_) => 20,
        }
    }

    /// Whether it is a string, which may have blanks in it.
    pub(super) fn is_string(&self) -> bool {
        matches!(self, Cell::Bytes(..) | Cell::Unicode(..))
    }

    /// Whether it is a number with a fraction, which may be none at all, or infinite.
    pub(super) fn is_float(&self) -> bool {
        matches!(self, Cell::Number(number, _) if !number.complex && !number.code.is_integer())
    }

    /// Writes the text, right-aligned, into a cell of blanks as wide as [`Cell::width`].
    pub(super) fn write(&self, element: &[u8], text: &mut [u8]) {
        match self {
            Cell::Number(number, style) if !number.complex => write_number(*number, *style, element, text),
            Cell::Number(number, style) => write_complex(*number, *style, element, text),
            Cell::Bytes(_, style) => {
                let length = element.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                right(&quoted(&element[..length], *style), text);
            }
            Cell::Unicode(_, big, style) => {
                let (points, _) = element.as_chunks::<4>();
                let number = |point: [u8; 4]| if *big { u32::from_be_bytes(point) } else { u32::from_le_bytes(point) };
                let length = points.iter().rposition(|&point| point != [0; 4]).map_or(0, |last| last + 1);
                let letters = points[..length].iter().map(|&point| char::from_u32(number(point)).unwrap_or('\u{fffd}'));
                right(&quoted(letters.collect::<String>().as_bytes(), *style), text);
            }
            Cell::Moment(unit, big) => match integer(element, *big) {
                i64::MIN => right(b"NaT", text),
                count => right(unit.text(count).as_bytes(), text),
            },
            Cell::Span(big) => match integer(element, *big) {
                i64::MIN => right(b"NaT", text),
                count => print(text, format_args!("{count}")),
            },
            Cell::Hexadecimal(0) => right(b"\"\"", text),
            Cell::Hexadecimal(_) => {
                for (digits, byte) in text.chunks_exact_mut(2).zip(element) {
                    let digit = |number: u8| b"0123456789abcdef"[usize::from(number)];
                    digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                }
            }
        }
    }

    /// Reads the number with which a text begins, appends the element, and gives the bytes of the text that it took; nothing where
    /// it is no ordinary number.
    #[inline]
    pub(super) fn parse_start(&self, text: &[u8], elements: &mut Vec<u8>) -> Option<usize> {
        let Cell::Number(number @ Element { complex: false, .. }, _) = self else { return None };
        match number.code {
            Code::Float(8) => {
                let (value, length) =
                    fast_float2::parse_partial::<f64, _>(text).ok().filter(|(value, _)| value.is_finite())?;
                elements.extend_from_slice(&if number.big { value.to_be_bytes() } else { value.to_le_bytes() });
                Some(length)
            }
            Code::Float(_) => {
                let (value, length) =
                    fast_float2::parse_partial::<f32, _>(text).ok().filter(|(value, _)| value.is_finite())?;
                elements.extend_from_slice(&if number.big { value.to_be_bytes() } else { value.to_le_bytes() });
                Some(length)
            }
            _ => {
                let is_letter = |byte: &&u8| matches!(byte, b'+' | b'-' | b'.') || byte.is_ascii_alphanumeric();
                let length = text.iter().take_while(is_letter).count();
                if length == 0 {
                    return None;
                }
                let start = elements.len();
                elements.resize(start + number.size(), 0);
                let parsed = parse_number(*number, &text[..length], &mut elements[start..]);
                if parsed.is_err() {
                    elements.truncate(start);
                }
                parsed.ok().map(|()| length)
            }
        }
    }

    /// Whether reading its text gives the element back, bit by bit, as far as that is plain to see.
    pub(super) fn is_canonical(&self, element: &[u8]) -> bool {
        let Cell::Number(number, _) = self else { return false };
        let mut parts = element.chunks_exact(number.code.size());
        parts.all(|part| match plain(Element { complex: false, ..*number }, part) {
            Plain::Bool(_) => part[0] <= 1,
            Plain::Integer(_) | Plain::Large(_) => true,
            Plain::Single(value) => number.code == Code::Float(4) && !value.is_nan(),
            Plain::Double(value) => number.code == Code::Float(8) && !value.is_nan(),
            Plain::Small(..) => false,
        })
    }

    /// Reads a text, which has no quotation marks around it any more.
    pub(super) fn parse(&self, text: &[u8], element: &mut [u8]) -> Result<(), Fault> {
        match self {
            Cell::Number(number, _) if !number.complex => parse_number(*number, text, element),
            Cell::Number(number, _) => parse_complex(*number, text, element),
            Cell::Bytes(size, _) => {
                if text.len() > *size {
                    return Err(Fault::Range);
                }
                element.fill(0);
                element[..text.len()].copy_from_slice(text);
                Ok(())
            }
            Cell::Unicode(_, big, _) => {
                let letters = std::str::from_utf8(text).map_err(|_| Fault::Meaning)?;
                element.fill(0);
                let mut points = element.as_chunks_mut::<4>().0.iter_mut();
                for letter in letters.chars() {
                    let point = u32::from(letter);
                    *points.next().ok_or(Fault::Range)? = if *big { point.to_be_bytes() } else { point.to_le_bytes() };
                }
                Ok(())
            }
            Cell::Moment(unit, big) => put_integer(unit.parse_moment(word(text)?)?, *big, element),
            Cell::Span(big) => match word(text)? {
                "NaT" => put_integer(i64::MIN, *big, element),
                text => put_integer(text.parse().map_err(|_| Fault::Meaning)?, *big, element),
            },
            Cell::Hexadecimal(size) => {
                let digit = |&digit: &u8| char::from(digit).to_digit(16).map(|digit| digit as u8).ok_or(Fault::Meaning);
                if text.len() != 2 * size {
                    return Err(Fault::Meaning);
                }
                for (byte, digits) in element.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = digit(&digits[0])? << 4 | digit(&digits[1])?;
                }
                Ok(())
            }
        }
    }
}

fn word(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|_| Fault::Meaning)
}

/// Puts a text at the end of a cell.
fn right(text: &[u8], cell: &mut [u8]) {
    if let Some(start) = cell.len().checked_sub(text.len()) {
        cell[start..].copy_from_slice(text);
    }
}

/// Prints at the end of a cell.
fn print(cell: &mut [u8], text: std::fmt::Arguments<'_>) {
    let mut buffer = [0; 40];
    let length = cell.len().min(buffer.len());
    let mut rest = &mut buffer[..length];
    // What does not fit is cut off, which no number is.
    let _ = rest.write_fmt(text);
    let written = length - rest.len();
    right(&buffer[..written], cell);
}

/// A string with quotation marks around it where it would be taken for something else without.
fn quoted(text: &[u8], style: Style) -> Cow<'_, [u8]> {
    let is_special = |byte: &u8| match byte {
        b'"' | b'\n' | b'\r' | b',' | b'#' => true,
        // Between commas a string may have blanks, but for those at its ends.
        b' ' | b'\t' => style == Style::Blanks,
        _ => false,
    };
    let is_blank = |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\t'));
    if !is_blank(text.first()) && !is_blank(text.last()) && !text.iter().any(is_special) {
        return Cow::Borrowed(text);
    }
    let mut quoted = vec![b'"'];
    for &byte in text {
        quoted.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
    }
    quoted.push(b'"');
    Cow::Owned(quoted)
}

/// A string without the quotation marks that may stand around it.
pub(super) fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let Some(inner) = inner else { return Cow::Borrowed(text) };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(byte);
        if byte == b'"' {
            bytes.next();
        }
    }
    Cow::Owned(plain)
}

fn integer(element: &[u8], big: bool) -> i64 {
    let bytes = element.try_into().unwrap_or_default();
    if big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) }
}

fn put_integer(number: i64, big: bool, element: &mut [u8]) -> Result<(), Fault> {
    element.copy_from_slice(&if big { number.to_be_bytes() } else { number.to_le_bytes() });
    Ok(())
}

fn write_number(number: Element, style: Style, element: &[u8], text: &mut [u8]) {
    match plain(number, element) {
        Plain::Bool(truth) if style == Style::Json => right(if truth { b"true" } else { b"false" }, text),
        Plain::Bool(truth) => right(if truth { b"1" } else { b"0" }, text),
        Plain::Integer(number) => right(itoa::Buffer::new().format(number).as_bytes(), text),
        Plain::Large(number) => right(itoa::Buffer::new().format(number).as_bytes(), text),
        Plain::Single(number) if number.is_finite() => {
            right(zmij::Buffer::new().format_finite(number).as_bytes(), text)
        }
        Plain::Single(number) => right(unusual(number.into(), style), text),
        Plain::Double(number) if number.is_finite() => {
            right(zmij::Buffer::new().format_finite(number).as_bytes(), text)
        }
        Plain::Double(number) => right(unusual(number, style), text),
        Plain::Small(which, bits) => match small::text(which, bits) {
            b"nan" => right(unusual(f64::NAN, style), text),
            b"inf" => right(unusual(f64::INFINITY, style), text),
            b"-inf" => right(unusual(f64::NEG_INFINITY, style), text),
            known => right(known, text),
        },
    }
}

/// What is no finite number.
pub(super) fn unusual(number: f64, style: Style) -> &'static [u8] {
    match (style, number.is_nan(), number > 0.0) {
        (Style::Json, true, _) => b"null",
        (Style::Json, false, true) => b"1e999",
        (Style::Json, false, false) => b"-1e999",
        (_, true, _) => b"nan",
        (_, false, true) => b"inf",
        (_, false, false) => b"-inf",
    }
}

/// `1.5-2.5j`
fn write_complex(number: Element, style: Style, element: &[u8], text: &mut [u8]) {
    let one = Element { complex: false, ..number };
    let size = one.size();
    let (mut real, mut imaginary) = ([b' '; 24], [b' '; 24]);
    write_number(one, style, &element[..size], &mut real);
    write_number(one, style, &element[size..], &mut imaginary);
    let (real, imaginary) = (real.trim_ascii(), imaginary.trim_ascii());
    let plus: &[u8] = if imaginary.starts_with(b"-") { b"" } else { b"+" };
    right(&[real, plus, imaginary, b"j"].concat(), text);
}

fn parse_number(number: Element, text: &[u8], element: &mut [u8]) -> Result<(), Fault> {
    let text = word(text)?;
    let big = number.big;
    let mut put = |little: &[u8]| {
        element.copy_from_slice(little);
        if big {
            element.reverse();
        }
        Ok(())
    };
    match number.code {
        Code::Bool => match text {
            "0" | "false" | "False" | "FALSE" => put(&[0]),
            "1" | "true" | "True" | "TRUE" => put(&[1]),
            _ => match float(text)? {
                0.0 => put(&[0]),
                1.0 => put(&[1]),
                _ => Err(Fault::Range),
            },
        },
        Code::Int(size) => {
            let bits = 8 * u32::from(size) - 1;
            let number = whole(text)?;
            if number < -(1 << bits) || number >= 1 << bits {
                return Err(Fault::Range);
            }
            put(&number.to_le_bytes()[..size.into()])
        }
        Code::Uint(size) => {
            let number = whole(text)?;
            if number < 0 || number >= 1 << (8 * u32::from(size)) {
                return Err(Fault::Range);
            }
            put(&number.to_le_bytes()[..size.into()])
        }
        Code::Float(4) => match fast_float2::parse::<f32, _>(text) {
            Ok(number) if number.is_finite() => put(&number.to_le_bytes()),
            _ => {
                let number = float(text)?;
                if number.is_finite() && (number as f32).is_infinite() {
                    return Err(Fault::Range);
                }
                put(&(number as f32).to_le_bytes())
            }
        },
        Code::Float(_) => match fast_float2::parse::<f64, _>(text) {
            Ok(number) if number.is_finite() => put(&number.to_le_bytes()),
            _ => put(&float(text)?.to_le_bytes()),
        },
        Code::Extended | Code::Ibm | Code::Small(_) => {
            let little = Element { big: false, ..number };
            let conversion = Conversion::new(little, Element::new(Code::Float(8), false));
            let mut bytes = [0; 16];
            let stored = &mut bytes[..number.size()];
            let shown = float(text)?.to_le_bytes();
            conversion.write(&shown, stored).map_err(|_| Fault::Range)?;
            put(stored)
        }
    }
}

/// An integer; also one that is written as a float.
fn whole(text: &str) -> Result<i128, Fault> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.into());
    }
    if let Ok(number) = text.parse::<i128>() {
        return Ok(number);
    }
    let number = float(text)?;
    if !number.is_finite() {
        return Err(if number.is_nan() { Fault::Meaning } else { Fault::Range });
    }
    let (mantissa, exponent) = text.split_once(['e', 'E', 'd', 'D']).unwrap_or((text, "0"));
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let behind = behind.trim_end_matches('0');
    let exponent: i32 = exponent.parse().map_err(|_| Fault::Range)?;
    let places = exponent - behind.len() as i32;
    let digits: i128 = format!("{before}{behind}").parse().map_err(|_| Fault::Range)?;
    let ten = |places: i32| 10_i128.checked_pow(places.unsigned_abs()).ok_or(Fault::Range);
    match places {
        _ if digits == 0 => Ok(0),
        0.. => digits.checked_mul(ten(places)?).ok_or(Fault::Range),
        _ if digits % ten(places)? == 0 => Ok(digits / ten(places)?),
        _ => Err(Fault::Meaning),
    }
}

/// A float as programs write them: also with Fortran's exponent `D`, and R's `NA`.
fn float(text: &str) -> Result<f64, Fault> {
    match text.parse::<f64>() {
        Ok(number) if number.is_infinite() => written_out(number, text),
        Ok(number) if number.is_nan() => Ok(f64::NAN),
        Ok(number) => Ok(number),
        Err(_) => match text {
            "NA" | "null" | "-nan" | "NULL" | "NaT" | "" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ if text.contains(['d', 'D']) => {
                let number = text.replace(['d', 'D'], "e").parse().map_err(|_| Fault::Meaning)?;
                if f64::is_infinite(number) { written_out(number, text) } else { Ok(number) }
            }
            _ => Err(Fault::Meaning),
        },
    }
}

/// Infinity is a word, or the one number that JSON has for it; any other in digits is larger than a float can be.
fn written_out(number: f64, text: &str) -> Result<f64, Fault> {
    let has_digits = text.contains(|letter: char| letter.is_ascii_digit());
    if has_digits && text.trim_start_matches('-') != "1e999" { Err(Fault::Range) } else { Ok(number) }
}

fn parse_complex(number: Element, text: &[u8], element: &mut [u8]) -> Result<(), Fault> {
    let one = Element { complex: false, ..number };
    let inner = text.strip_prefix(b"(").and_then(|text| text.strip_suffix(b")")).unwrap_or(text);
    let (real, imaginary) = element.split_at_mut(one.size());
    let Some(both) = inner.strip_suffix(b"j").or_else(|| inner.strip_suffix(b"i")) else {
        parse_number(one, b"0", imaginary)?;
        return parse_number(one, inner, real);
    };
    // The sign between the parts is the last that does not belong to an exponent.
    let is_exponent = |at: usize| at > 0 && matches!(both[at - 1], b'e' | b'E' | b'd' | b'D');
    let split = (1..both.len()).rev().find(|&at| matches!(both[at], b'+' | b'-') && !is_exponent(at));
    match split {
        Some(at) => {
            parse_number(one, &both[..at], real)?;
            parse_number(one, both[at..].strip_prefix(b"+").unwrap_or(&both[at..]), imaginary)
        }
        None => {
            parse_number(one, b"0", real)?;
            parse_number(one, both, imaginary)
        }
    }
}
