//! A PNG that somebody writes in place of ours.
//!
//! It may be compressed, interlaced, and in another colour type and depth, as programs choose the smallest that loses nothing: what counts
//! is that each of its pixels is one that ours can be. It is decoded row by row.

use std::fmt;
use std::io::{BufRead, Seek};

use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};

use super::picture::{Kind, Picture};

/// The most bytes that a decoder takes: for what stands before the pixels, and with rows as long as ours may be.
const LIMIT: u64 = 64 << 20;
const LONGEST: u64 = 512 << 20;

/// Pixels on a line: every `step`th of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number of the row.
    pub row: u64,
    /// Number of the first pixel.
    pub first: u64,
    /// Pixels from one to the next.
    pub step: u64,
}

/// Takes the pixels of a line.
pub type Each<'a, E> = dyn FnMut(Line, &[u8]) -> Result<(), E> + 'a;

/// Why a PNG is not taken.
#[derive(Debug)]
pub enum Refusal<E> {
    /// It is none, it is not complete, or it is another picture than ours can be.
    Picture(String),
    /// What the receiver of pixels answered.
    Other(E),
}

impl<E: fmt::Display> fmt::Display for Refusal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Picture(what) => write!(f, "no such picture: {what}"),
            Refusal::Other(error) => write!(f, "{error}"),
        }
    }
}

impl<E> From<DecodingError> for Refusal<E> {
    fn from(error: DecodingError) -> Refusal<E> {
        Refusal::Picture(error.to_string())
    }
}

impl Picture {
    /// Hands the pixels of a PNG to `each`, in our own colour type and depth, line by line.
    ///
    /// # Errors
    /// A PNG that is not such a picture; what `each` answers.
    pub fn decode<E>(&self, input: impl BufRead + Seek, each: &mut Each<'_, E>) -> Result<(), Refusal<E>> {
        let bytes = self.row().saturating_mul(4).saturating_add(LIMIT).min(LONGEST);
        let mut decoder =
            Decoder::new_with_limits(input, Limits { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) });
        decoder.set_transformations(Transformations::EXPAND);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.ignore_checksums(false);
        let info = decoder.read_header_info()?;
        if (info.width, info.height) != (self.width, self.height) {
            let (width, height) = (info.width, info.height);
            let what = format!("it is {width} x {height}, and must be {} x {}", self.width, self.height);
            return Err(Refusal::Picture(what));
        }
        let is_interlaced = info.interlaced;
        let mut reader = decoder.read_info()?;
        let (colours, depth) = reader.output_color_type();
        let mut line = Vec::new();
        for place in lines(self.width.into(), self.height.into(), is_interlaced) {
            let row = reader.next_row()?.ok_or_else(|| Refusal::Picture("a row is missing".to_owned()))?;
            line.clear();
            self.convert(colours, depth, row.data(), &mut line)
                .map_err(|what| Refusal::Picture(format!("{what}, in row {}", place.row)))?;
            each(place, &line).map_err(Refusal::Other)?;
        }
        reader.finish()?;
        Ok(())
    }

    /// Pixels of one colour type and depth in ours.
    fn convert(&self, colours: ColorType, depth: BitDepth, row: &[u8], line: &mut Vec<u8>) -> Result<(), &'static str> {
        let (ours, has_two) = (self.kind, depth == BitDepth::Sixteen);
        let is_same = matches!(
            (colours, ours),
            (ColorType::Grayscale, Kind::Grey) | (ColorType::Rgb, Kind::Colour) | (ColorType::Rgba, Kind::Opacity)
        );
        if is_same && has_two == (self.depth == 16) {
            line.extend(row);
            return Ok(());
        }
        let samples = colours.samples();
        let size = if has_two { 2 } else { 1 };
        let put = |value: u16, line: &mut Vec<u8>| match self.depth {
            16 => {
                line.extend(value.to_be_bytes());
                Ok(())
            }
            _ if value.is_multiple_of(257) => {
                line.push((value >> 8) as u8);
                Ok(())
            }
            _ => Err("a sample has 16 bits, and ours have 8"),
        };
        for pixel in row.chunks_exact(samples * size) {
            let mut values = [u16::MAX; 4];
            for (value, sample) in values.iter_mut().zip(pixel.chunks_exact(size)) {
                // The same brightness: 255 becomes 65535.
                *value = match *sample {
                    [high, low] => u16::from_be_bytes([high, low]),
                    [byte, ..] => u16::from(byte) * 257,
                    [] => 0,
                };
            }
            let [red, green, blue, opacity] = match samples {
                1 => [values[0], values[0], values[0], u16::MAX],
                2 => [values[0], values[0], values[0], values[1]],
                3 => [values[0], values[1], values[2], u16::MAX],
                _ => values,
            };
            if opacity != u16::MAX && ours != Kind::Opacity {
                return Err("a pixel is transparent");
            }
            if ours == Kind::Grey {
                if red != green || green != blue {
                    return Err("a pixel is not grey");
                }
                put(red, line)?;
                continue;
            }
            [red, green, blue].into_iter().try_for_each(|value| put(value, line))?;
            if ours == Kind::Opacity {
                put(opacity, line)?;
            }
        }
        Ok(())
    }
}

/// The lines of a picture in the order in which a PNG has them.
fn lines(width: u64, height: u64, is_interlaced: bool) -> impl Iterator<Item = Line> {
    /// First column and columns from one to the next, and the same of rows, for each pass of Adam7.
    const PASSES: [[u64; 4]; 7] =
        [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]];
    let passes = if is_interlaced { PASSES.to_vec() } else { vec![[0, 1, 0, 1]] };
    let passes = passes.into_iter().filter(move |&[column, _, row, _]| column < width && row < height);
    passes.flat_map(move |[first, step, row, rows]| {
        (row..height).step_by(rows as usize).map(move |row| Line { row, first, step })
    })
}
