//! Netpbm (`.pgm`, `.ppm`, `.pam`) and its kin of floats (`.pfm`): pictures behind a few words of text.
//!
//! Specifications: pgm(5), ppm(5), pam(5) and pfm(5) of Netpbm. A picture is a header and its samples, row by row:
//!
//! | begins with | goes on with           | shape                  | samples                                         |
//! |-------------|------------------------|------------------------|-------------------------------------------------|
//! | `P5`        | columns, rows, maxval  | `(rows, columns)`      | `\|u1`, or `>u2` from a maxval of 256 on        |
//! | `P6`        | columns, rows, maxval  | `(rows, columns, 3)`   | the same                                        |
//! | `P7`        | lines                  | `(rows, columns, depth)` | the same                                      |
//! | `Pf`        | columns, rows, scale   | `(rows, columns)`      | `f4`, little-endian where the scale is negative |
//! | `PF`, `PF4` | columns, rows, scale   | `(rows, columns, 3)`, 4 | the same                                       |
//!
//! The lines of `P7` are `WIDTH`, `HEIGHT`, `DEPTH` or `MAXVAL` and a number, `TUPLTYPE` and a text, and, as the last,
//! `ENDHDR`. Where the depth is 1 there is no axis for it.
//!
//! Words are separated by blanks or ends of lines; one of these stands behind the last. A `#` and all up to the end of its
//! line are as good as that end; in `P7` they are a line of their own. The rows of floats are stored bottom-up, and
//! shown top-down: the array has a negative stride.
//!
//! Pictures may follow one another in a file. Where all are alike, and equally far from each other, the file is
//! one array with an axis in front; else a folder of `image-0`, `image-1` and so on. `maxval`, `tupltype` and the absolute
//! value of `scale` are attributes.
//!
//! Limits, and why:
//!
//! - Plain pictures (`P1`, `P2`, `P3`) are text, and in `P1` and `P4` samples are single bits: they have no address.
//! - Headers of at most [`MAX_HEADER`] bytes, and at most [`MAX_IMAGES`] pictures.
//! - What follows the last picture, and does not begin as one, is left alone.

use serde_json::{Map, Value};

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES, MAX_TEXT};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;

/// The longest header of a picture that is read, in bytes.
pub const MAX_HEADER: u64 = 64 << 10;

/// The most pictures of a file that are read.
pub const MAX_IMAGES: usize = 1 << 16;

/// The longest word of a header, in bytes.
const MAX_WORD: usize = 64;

/// So far a header may be from the one before it for the bytes in between to be read, rather than passed over.
const NEAR: u64 = 64 << 10;

/// The formats of Netpbm.
#[derive(Clone, Copy, Debug)]
pub struct Pnm;

impl Format for Pnm {
    fn name(&self) -> &'static str {
        "pnm"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".pgm", ".ppm", ".pnm", ".pam", ".pfm", ".pbm"]
    }

    /// The first word, and then a number, a comment, or what a line of `P7` begins with.
    fn knows(&self, head: &[u8]) -> bool {
        let Some((b'P', rest)) = head.split_first() else { return false };
        let after = |count: usize| rest.get(count..).unwrap_or_default();
        match rest {
            [b'7', b'\n', ..] => [&b"#"[..], b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL", b"TUPLTYPE"]
                .iter()
                .any(|w| after(2).starts_with(w)),
            [b'F', b'4', ..] => numbers(after(2)),
            [b'5' | b'6' | b'f' | b'F', ..] => numbers(after(1)),
            _ => false,
        }
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let images = images(file)?;
        if let Some(one) = stacked(&images) {
            return Ok(Content::One(one.array()));
        }
        let member = |(number, image): (usize, Image)| Member {
            path: vec![format!("image-{number}")],
            found: Ok(image.array()),
        };
        let members = images.into_iter().enumerate().map(member).collect();
        Ok(Content::Many(Container { members, attributes: Map::new() }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again, or rename it"))
}

/// Whether three numbers follow, as far as no comment stands between them.
fn numbers(head: &[u8]) -> bool {
    let mut rest = head;
    for _ in 0..3 {
        let word = rest.trim_ascii_start();
        let blanks = rest.len() - word.len();
        let length = word.iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')).count();
        match word {
            [b'#', ..] => return true,
            _ if blanks == 0 || length == 0 => return false,
            _ => rest = &word[length..],
        }
    }
    rest.first().is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'#' | b'e' | b'E'))
}

/// Whether a picture begins at this byte, or behind blanks there.
fn begins(file: &dyn ReadAt, at: u64) -> Result<bool, Refusal> {
    let mut head = [0; 16];
    let count = file.read_at(&mut head, at)?;
    Ok(match head[..count].trim_ascii_start() {
        [b'P', b'1'..=b'7' | b'f' | b'F', behind, ..] => behind.is_ascii_whitespace() || matches!(behind, b'#' | b'4'),
        _ => false,
    })
}

/// All pictures of a file: at least one.
fn images(file: &dyn ReadAt) -> Result<Vec<Image>, Refusal> {
    if !begins(file, 0)? {
        return Err(fault("it does not begin with P1 to P7, Pf or PF, as pictures of Netpbm do"));
    }
    let mut header = Header { cursor: Cursor::new(file, "Netpbm", u64::MAX), start: 0 };
    let mut images = Vec::new();
    loop {
        let image = Image::read(&mut header)?;
        header::complete(&image.layout, file.len())?;
        let end = image.layout.extent().end.max(header.cursor.position());
        images.push(image);
        if !begins(file, end)? {
            return Ok(images);
        }
        if images.len() == MAX_IMAGES {
            return Err(Refusal(format!(
                "it holds more than the {MAX_IMAGES} pictures that are read; split it into several files (pamsplit)"
            )));
        }
        header.go_to(file, end)?;
    }
}

/// All pictures as one, if they are alike and equally far from each other. A single one has no axis in front.
fn stacked(images: &[Image]) -> Option<Image> {
    let (first, rest) = images.split_first()?;
    let mut one = first.clone();
    let Some(second) = rest.first() else { return Some(one) };
    let step = second.layout.offset.checked_sub(first.layout.offset)?;
    let is_next = |pair: &[Image]| match pair {
        [a, b] => a.is_like(b) && a.layout.offset.checked_add(step) == Some(b.layout.offset),
        _ => false,
    };
    if !images.windows(2).all(is_next) {
        return None;
    }
    one.dims.insert(0, "image");
    one.layout.shape.insert(0, images.len() as u64);
    one.layout.strides.insert(0, i64::try_from(step).ok()?);
    one.layout.check().ok().map(|()| one)
}

/// A picture.
#[derive(Clone, Debug)]
struct Image {
    dtype: DType,
    dims: Vec<&'static str>,
    layout: Layout,
    attributes: Map<String, Value>,
}

impl Image {
    /// Reads the header of a picture, up to its first sample.
    fn read(header: &mut Header<'_>) -> Result<Image, Refusal> {
        let magic = header.word()?;
        match &*magic {
            "P5" => Image::integers(header, 1),
            "P6" => Image::integers(header, 3),
            "P7" => Image::pam(header),
            "Pf" => Image::floats(header, 1),
            "PF" => Image::floats(header, 3),
            "PF4" => Image::floats(header, 4),
            "P2" | "P3" => Err(Refusal(format!(
                "its samples are written as text ({magic}), so that none has a place of its own; write it raw: pnmtopnm \
                 IN > OUT"
            ))),
            "P1" | "P4" => Err(Refusal(format!(
                "its samples are single bits ({magic}), so that none has an address; give each a byte: pamdepth 255 \
                 IN > OUT"
            ))),
            _ => Err(fault(&format!("it begins with {}, which Netpbm does not know", excerpt(&magic)))),
        }
    }

    /// What follows `P5` and `P6`.
    fn integers(header: &mut Header<'_>, channels: u64) -> Result<Image, Refusal> {
        let (columns, rows, maxval) = (header.number()?, header.number()?, header.number()?);
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("maxval", maxval.into());
        Image::new(samples(maxval)?, [rows, columns, channels], header, attributes)
    }

    /// What follows `P7`.
    fn pam(header: &mut Header<'_>) -> Result<Image, Refusal> {
        let [mut columns, mut rows, mut depth, mut maxval] = [None; 4];
        let mut tuple = String::new();
        loop {
            let line = header.line()?;
            let (key, value) = line.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((&line, ""));
            let value = value.trim();
            match key {
                _ if key.is_empty() || key.starts_with('#') => {}
                "WIDTH" => columns = Some(number(value)?),
                "HEIGHT" => rows = Some(number(value)?),
                "DEPTH" => depth = Some(number(value)?),
                "MAXVAL" => maxval = Some(number(value)?),
                "TUPLTYPE" => tuple = format!("{tuple} {value}"),
                "ENDHDR" => break,
                _ => return Err(fault(&format!("its header has the line {}, which is none of PAM", excerpt(&line)))),
            }
        }
        let (Some(columns), Some(rows), Some(depth), Some(maxval)) = (columns, rows, depth, maxval) else {
            return Err(fault("its header lacks one of WIDTH, HEIGHT, DEPTH and MAXVAL"));
        };
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("maxval", maxval.into());
        if !tuple.is_empty() && tuple.len() as u64 <= MAX_TEXT {
            attributes.insert("tupltype", tuple.trim().into());
        }
        Image::new(samples(maxval)?, [rows, columns, depth], header, attributes)
    }

    /// What follows `Pf` and its kin: the last row comes first.
    fn floats(header: &mut Header<'_>, channels: u64) -> Result<Image, Refusal> {
        let (columns, rows, scale) = (header.number()?, header.number()?, header.word()?);
        let number = scale.parse().ok().filter(|number: &f64| number.is_finite() && *number != 0.0);
        let number = number.ok_or_else(|| {
            fault(&format!("its header gives the scale {}, whose sign is to tell the byte order", excerpt(&scale)))
        })?;
        let order = if number < 0.0 { ByteOrder::Little } else { ByteOrder::Big };
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("scale", header::float(number.abs()));
        let dtype = header::scalar(Kind::Float, order, 4);
        let mut image = Image::new(dtype, [rows, columns, channels], header, attributes)?;
        if let Some(stride) = image.layout.strides.first_mut() {
            // The extent of all rows was checked.
            image.layout.offset += rows.saturating_sub(1) * stride.unsigned_abs();
            *stride = -*stride;
        }
        Ok(image)
    }

    /// A picture whose samples start where the header has ended.
    fn new(dtype: DType, shape: [u64; 3], header: &Header<'_>, attributes: Attributes) -> Result<Image, Refusal> {
        let dims = ["row", "column", "channel"];
        let (shape, dims) = if shape[2] == 1 { (&shape[..2], &dims[..2]) } else { (&shape[..], &dims[..]) };
        let layout = Layout::packed(header.cursor.position(), shape, dtype.itemsize(), Order::C)
            .map_err(|error| fault(&format!("its header claims a picture that cannot be: {error}")))?;
        if layout.count() == 0 {
            return Err(fault(&format!("its header claims a picture without samples (shape {shape:?})")));
        }
        Ok(Image { dtype, dims: dims.to_vec(), layout, attributes: attributes.into_map() })
    }

    fn is_like(&self, other: &Image) -> bool {
        let facts = |image: &Image| (image.layout.shape.clone(), image.layout.strides.clone());
        self.dtype == other.dtype && facts(self) == facts(other) && self.attributes == other.attributes
    }

    fn array(self) -> Array {
        let Image { dtype, dims, layout, attributes } = self;
        let dims = dims.into_iter().map(str::to_owned).collect();
        Array { dims, attributes, ..Array::new(Pnm.name(), dtype, Grid::one(layout)) }
    }
}

/// The type of integers up to this one.
fn samples(maxval: u64) -> Result<DType, Refusal> {
    match maxval {
        1..=255 => Ok(header::scalar(Kind::Uint, ByteOrder::None, 1)),
        256..=65535 => Ok(header::scalar(Kind::Uint, ByteOrder::Big, 2)),
        _ => Err(fault(&format!("its header gives maxval {maxval}, which is not from 1 to 65535"))),
    }
}

fn number(word: &str) -> Result<u64, Refusal> {
    let digits = Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|word| word.parse().ok());
    number.ok_or_else(|| fault(&format!("its header has {} in the place of a number", excerpt(word))))
}

/// Reads the headers of pictures.
struct Header<'a> {
    cursor: Cursor<'a>,
    /// Offset of the first byte of this one.
    start: u64,
}

impl<'a> Header<'a> {
    /// Goes on with the header at this byte.
    fn go_to(&mut self, file: &'a dyn ReadAt, at: u64) -> Result<(), Refusal> {
        let distance = at.saturating_sub(self.cursor.position());
        if distance > NEAR {
            self.cursor = Cursor::new(file, "Netpbm", u64::MAX);
            self.cursor.skip(at)?;
        } else {
            self.cursor.skip(distance)?;
        }
        self.start = at;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        if self.cursor.position() - self.start >= MAX_HEADER {
            return Err(fault(&format!("its header is longer than the {MAX_HEADER} bytes that are read")));
        }
        self.cursor.array().map(|[byte]| byte)
    }

    /// The next byte, a comment being the end of its line.
    fn uncommented(&mut self) -> Result<u8, Refusal> {
        let mut byte = self.byte()?;
        if byte == b'#' {
            while !matches!(byte, b'\n' | b'\r') {
                byte = self.byte()?;
            }
        }
        Ok(byte)
    }

    /// The next word, and the one blank behind it.
    fn word(&mut self) -> Result<String, Refusal> {
        let mut word = String::new();
        loop {
            let byte = self.uncommented()?;
            if !byte.is_ascii_whitespace() {
                word.push(char::from(byte));
            } else if !word.is_empty() {
                return Ok(word);
            }
            if word.len() > MAX_WORD {
                return Err(fault(&format!("its header has {} in the place of a number", excerpt(&word))));
            }
        }
    }

    fn number(&mut self) -> Result<u64, Refusal> {
        number(&self.word()?)
    }

    /// The rest of the line, and its end.
    fn line(&mut self) -> Result<String, Refusal> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(header::text(&line)),
                byte => line.push(byte),
            }
        }
    }
}
