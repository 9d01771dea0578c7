//! Something to draw on: pixels, each of which is the number of a colour.

use std::convert::Infallible;
use std::ops::Range;

use super::colours::Colour;
use super::font;
use super::picture::{Picture, Sum};

/// Pixels of a dot of a letter, across and down.
const DOT: u32 = 2;

/// Pixels from the top of a line of text to its bottom, and from one letter to the next.
pub(super) const TEXT_HEIGHT: u32 = font::HEIGHT * DOT;
pub(super) const TEXT_ADVANCE: u32 = font::ADVANCE * DOT;

#[derive(Debug)]
pub(super) struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Align {
    /// It begins there.
    Left,
    /// It ends there.
    Right,
}

impl Canvas {
    /// A canvas of the first colour.
    pub(super) fn new(width: u32, height: u32) -> Canvas {
        Canvas { width, height, pixels: vec![0; width as usize * height as usize] }
    }

    /// Pixels of a row from a place on; those that are beyond the edge are left out.
    pub(super) fn row(&mut self, x: Range<u32>, y: u32) -> &mut [u8] {
        let x = x.start.min(self.width)..x.end.min(self.width);
        if y >= self.height || x.is_empty() {
            return &mut [];
        }
        let start = y as usize * self.width as usize;
        &mut self.pixels[start + x.start as usize..start + x.end as usize]
    }

    pub(super) fn set(&mut self, x: u32, y: u32, colour: u8) {
        self.row(x..x + 1, y).fill(colour);
    }

    pub(super) fn fill(&mut self, x: Range<u32>, y: Range<u32>, colour: u8) {
        for y in y {
            self.row(x.clone(), y).fill(colour);
        }
    }

    /// A line of a pixel around a rectangle.
    pub(super) fn frame(&mut self, x: Range<u32>, y: Range<u32>, colour: u8) {
        let (left, top) = (x.start - 1, y.start - 1);
        self.fill(left..x.end + 1, top..y.start, colour);
        self.fill(left..x.end + 1, y.end..y.end + 1, colour);
        self.fill(left..x.start, y.clone(), colour);
        self.fill(x.end..x.end + 1, y, colour);
    }

    /// A text, its upper edge at `y`.
    pub(super) fn text(&mut self, text: &str, x: u32, y: u32, align: Align, colour: u8) {
        let length = text.chars().count() as u32 * TEXT_ADVANCE - (font::ADVANCE - font::WIDTH) * DOT;
        let mut left = match align {
            Align::Left => x,
            Align::Right => x.saturating_sub(length),
        };
        for letter in text.chars() {
            for (down, row) in (0..).zip(font::rows(letter)) {
                for across in (0..font::WIDTH).filter(|across| row >> (font::WIDTH - 1 - across) & 1 == 1) {
                    let (x, y) = (left + across * DOT, y + down * DOT);
                    self.fill(x..x + DOT, y..y + DOT, colour);
                }
            }
            left += TEXT_ADVANCE;
        }
    }

    /// The file.
    pub(super) fn png(&self, palette: &[Colour]) -> Vec<u8> {
        let Some(picture) = Picture::indexed(self.width.into(), self.height.into(), palette) else { return Vec::new() };
        let mut file = vec![0; picture.len() as usize];
        let mut pixels = |at: u64, target: &mut [u8]| -> Result<(), Infallible> {
            target.copy_from_slice(&self.pixels[at as usize..at as usize + target.len()]);
            Ok(())
        };
        let Ok(()) = picture.read(0..picture.len(), &mut file, &mut Sum::default(), &mut pixels);
        file
    }

    /// Length of the file of a canvas.
    pub(super) fn len(width: u32, height: u32, colours: usize) -> Option<u64> {
        let picture = Picture::indexed(width.into(), height.into(), &vec![[0; 3]; colours])?;
        Some(picture.len())
    }
}
