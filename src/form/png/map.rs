//! Numbers as colours, with the scale of the colours beside them.

use super::canvas::{Align, Canvas, TEXT_ADVANCE, TEXT_HEIGHT};
use super::colours::{self, Colour};
use super::number;
use super::preview::bounds;

/// A small picture is enlarged until its longer side has so many pixels, and each side so many.
const ENLARGED: u32 = 320;
const LEAST: u32 = 64;

const MARGIN: u32 = 12;
/// Between the picture and the scale, and how wide that is.
const GAP: u32 = 16;
const BAR: u32 = 20;
/// From the scale to its numbers.
const TICK: u32 = 10;

/// Numbers of colours.
const INK: u8 = 1;
const FRAME: u8 = 2;
const MISSING: u8 = 3;
const SCALE: usize = 4;
const COLOURS: usize = 256;

/// The measures of a picture of samples.
#[derive(Clone, Debug)]
pub(super) struct Map {
    columns: u32,
    /// Pixels of a sample, across and down.
    cell: (u32, u32),
    /// Pixels of all samples.
    size: (u32, u32),
}

impl Map {
    pub(super) fn new(rows: u32, columns: u32) -> Map {
        let factor = ENLARGED.div_ceil(rows.max(columns)).max(1);
        let cell = |count: u32| factor.max(LEAST.div_ceil(count));
        let cell = (cell(columns), cell(rows));
        Map { columns, cell, size: (columns * cell.0, rows * cell.1) }
    }

    fn canvas_size(&self) -> (u32, u32) {
        let (width, height) = self.size;
        let scale = GAP + BAR + TICK + number::LETTERS as u32 * TEXT_ADVANCE;
        (width + 2 * MARGIN + scale, height + 2 * MARGIN)
    }

    /// Length of the file in bytes.
    pub(super) fn len(&self) -> Option<u64> {
        let (width, height) = self.canvas_size();
        Canvas::len(width, height, COLOURS)
    }

    pub(super) fn draw(&self, samples: &[f64]) -> Vec<u8> {
        let (width, height) = self.canvas_size();
        let mut canvas = Canvas::new(width, height);
        let bounds = bounds(samples);
        let (low, high) = bounds.unwrap_or((0.0, 0.0));
        // Halves, as the distance of two numbers may be larger than any.
        let range = high / 2.0 - low / 2.0;
        let colour = |sample: f64| match sample {
            sample if sample.is_nan() => MISSING,
            sample if sample == f64::INFINITY => (COLOURS - 1) as u8,
            sample if sample == f64::NEG_INFINITY => SCALE as u8,
            _ if range <= 0.0 => at_place(0.5),
            sample => at_place((sample / 2.0 - low / 2.0) / range),
        };
        let (across, down) = self.cell;
        for (row, samples) in (0..).zip(samples.chunks(self.columns as usize)) {
            let top = MARGIN + row * down;
            for (column, &sample) in (0..).zip(samples) {
                let left = MARGIN + column * across;
                canvas.fill(left..left + across, top..top + down, colour(sample));
            }
        }
        let (right, bottom) = (MARGIN + self.size.0, MARGIN + self.size.1);
        canvas.frame(MARGIN..right, MARGIN..bottom, FRAME);
        self.draw_scale(&mut canvas, bounds);
        canvas.png(&palette())
    }

    fn draw_scale(&self, canvas: &mut Canvas, bounds: Option<(f64, f64)>) {
        let left = MARGIN + self.size.0 + GAP;
        let (top, height) = (MARGIN, self.size.1);
        for y in 0..height {
            let place = 1.0 - (f64::from(y) + 0.5) / f64::from(height);
            let colour = match bounds {
                None => MISSING,
                Some((low, high)) if low == high => at_place(0.5),
                Some(_) => at_place(place),
            };
            canvas.fill(left..left + BAR, top + y..top + y + 1, colour);
        }
        canvas.frame(left..left + BAR, top..top + height, FRAME);
        let (low, high) = bounds.unwrap_or((f64::NAN, f64::NAN));
        let mut labels = vec![(height / 2, low / 2.0 + high / 2.0)];
        if low < high {
            labels.extend([(0, high), (height - 1, low)]);
            // Of integers next to each other, there is none in the middle.
            if number::short(labels[0].1) == number::short(low) || number::short(labels[0].1) == number::short(high) {
                labels.remove(0);
            }
        }
        for (y, value) in labels {
            let (x, y) = (left + BAR + 1, top + y);
            canvas.fill(x..x + TICK - 5, y..y + 1, FRAME);
            canvas.text(&number::short(value), x + TICK, y - TEXT_HEIGHT / 2, Align::Left, INK);
        }
    }
}

/// The number of the colour at a place of the scale, from 0 to 1.
fn at_place(place: f64) -> u8 {
    let last = (COLOURS - 1 - SCALE) as f64;
    (SCALE as f64 + (place * last).round().clamp(0.0, last)) as u8
}

fn palette() -> Vec<Colour> {
    let scale = (SCALE..COLOURS).map(|at| colours::scale((at - SCALE) as f64 / (COLOURS - 1 - SCALE) as f64));
    [colours::WHITE, colours::INK, colours::FRAME, colours::MISSING].into_iter().chain(scale).collect()
}
