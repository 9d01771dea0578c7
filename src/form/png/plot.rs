//! Numbers as a curve, over their indices.
//!
//! The curve is a line from each number to the next. Of many numbers it is noted how far up and down the curve goes in each column of
//! pixels, and that is filled, so that of a million the one that stands out is still seen. Pixels that are covered in part are mixed.

use std::ops::Range;

use super::canvas::{Align, Canvas, TEXT_ADVANCE, TEXT_HEIGHT};
use super::colours::{self, Colour};
use super::number;
use super::preview::bounds;

/// Pixels of the plot, and of what surrounds it.
const WIDTH: u32 = 720;
const HEIGHT: u32 = 300;
const LEFT: u32 = 12 + number::LETTERS as u32 * TEXT_ADVANCE + TICK;
const RIGHT: u32 = 24;
const TOP: u32 = 16;
const BOTTOM: u32 = TICK + TEXT_HEIGHT + 12;
const TICK: u32 = 8;
/// From the frame to the extremes.
const INSIDE: f64 = 12.0;

/// Pixels of the line's thickness, and of a dot's.
const THICKNESS: f64 = 2.0;
const DOT: f64 = 3.5;
/// So few numbers are marked by dots.
const DOTTED: u64 = 72;

/// Numbers of colours; those of the curve from faint to full.
const INK: u8 = 1;
const FRAME: u8 = 2;
const GRID: u8 = 3;
const SHADES: u8 = 32;

/// Length of the file in bytes: all have the same measures.
pub(super) fn len() -> Option<u64> {
    Canvas::len(LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, usize::from(GRID + SHADES) + 1)
}

/// Draws samples, those of some stretches of an array of so many numbers.
pub(super) fn draw(count: u64, stretches: &[Range<u64>], samples: &[f64]) -> Vec<u8> {
    let mut canvas = Canvas::new(LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let bounds = bounds(samples);
    let (low, high) = bounds.unwrap_or((f64::NAN, f64::NAN));
    let half = high / 2.0 - low / 2.0;
    let y_of = |value: f64| {
        let place = if half > 0.0 { (value / 2.0 - low / 2.0) / half } else { 0.5 };
        INSIDE + (1.0 - place) * (f64::from(HEIGHT) - 2.0 * INSIDE)
    };
    let mut labels = vec![(low / 2.0 + high / 2.0, y_of(low))];
    if low < high {
        labels = vec![(high, y_of(high)), (low, y_of(low))];
        let (zero, room) = (y_of(0.0), f64::from(TEXT_HEIGHT) * 1.5);
        if low < 0.0 && high > 0.0 {
            let has_room = labels.iter().all(|(_, y)| (y - zero).abs() > room);
            labels.push((if has_room { 0.0 } else { f64::INFINITY }, zero));
        }
    }
    for (value, y) in labels {
        let y = TOP + if bounds.is_some() { y as u32 } else { HEIGHT / 2 };
        canvas.fill(LEFT..LEFT + WIDTH, y..y + 1, GRID);
        if value != f64::INFINITY {
            canvas.fill(LEFT - TICK + 2..LEFT, y..y + 1, FRAME);
            canvas.text(&number::short(value), LEFT - TICK - 2, y - TEXT_HEIGHT / 2, Align::Right, INK);
        }
    }
    let mut curve = Curve::new(samples.len());
    let inside = 2.0 * DOT;
    let x_of = |index: u64| match count {
        1 => f64::from(WIDTH) / 2.0,
        _ => inside + index as f64 / (count - 1) as f64 * (f64::from(WIDTH) - 2.0 * inside - 0.01),
    };
    let indices = stretches.iter().cloned().flatten();
    let mut before: Option<(f64, f64)> = None;
    for (index, &sample) in indices.zip(samples) {
        let now = sample.is_finite().then(|| (x_of(index), y_of(sample)));
        if let Some(now) = now {
            curve.line(before.unwrap_or(now), now);
            if count <= DOTTED {
                curve.dot(now);
            }
        }
        before = now;
    }
    curve.draw(&mut canvas);
    canvas.frame(LEFT..LEFT + WIDTH, TOP..TOP + HEIGHT, FRAME);
    let below = TOP + HEIGHT + 1;
    for (index, align) in [(0, Align::Left), (count - 1, Align::Right)] {
        let x = LEFT + x_of(index) as u32;
        canvas.fill(x..x + 1, below..below + TICK - 3, FRAME);
        // A text at an end of the axis does not reach beyond it.
        let (x, align) = match align {
            _ if count == 1 => (x - 5, Align::Left),
            Align::Left => (x - 5, align),
            Align::Right => (x + 6, align),
        };
        canvas.text(&index.to_string(), x, below + TICK, align, INK);
    }
    canvas.png(&palette())
}

/// The line itself.
enum Curve {
    /// Few numbers: how much of each pixel it covers.
    Fine(Vec<u8>),
    /// Many: how far up and down it goes in each column of pixels.
    Dense(Vec<Option<(f64, f64)>>),
}

impl Curve {
    fn new(count: usize) -> Curve {
        match count > 2 * WIDTH as usize {
            true => Curve::Dense(vec![None; WIDTH as usize]),
            false => Curve::Fine(vec![0; WIDTH as usize * HEIGHT as usize]),
        }
    }

    /// A line, whose first end is not to the right of the other.
    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((left, first), (right, last)) = (from, to);
        // Where the line is between two places across.
        let reach = |start: f64, end: f64| {
            let place = |x: f64| if right > left { ((x - left) / (right - left)).clamp(0.0, 1.0) } else { 1.0 };
            let y = |x: f64| first + place(x) * (last - first);
            if right > left { (y(start).min(y(end)), y(start).max(y(end))) } else { (first.min(last), first.max(last)) }
        };
        match self {
            Curve::Dense(columns) => {
                for (at, column) in columns.iter_mut().enumerate().take(right as usize + 1).skip(left as usize) {
                    let (low, high) = reach(at as f64, at as f64 + 1.0);
                    *column =
                        Some(column.map_or((low, high), |(lowest, highest)| (lowest.min(low), highest.max(high))));
                }
            }
            Curve::Fine(_) => {
                let wide = THICKNESS + 1.0;
                for column in pixels(left - wide, right + wide, WIDTH) {
                    let (low, high) = reach(f64::from(column) - wide, f64::from(column) + 1.0 + wide);
                    self.cover(column, (low - wide, high + wide), |x, y| distance((x, y), from, to), THICKNESS / 2.0);
                }
            }
        }
    }

    fn dot(&mut self, (x, y): (f64, f64)) {
        for column in pixels(x - DOT - 1.0, x + DOT + 1.0, WIDTH) {
            self.cover(column, (y - DOT - 1.0, y + DOT + 1.0), |across, down| (across - x).hypot(down - y), DOT);
        }
    }

    /// Covers pixels of a column by how far their centres are from what is drawn.
    fn cover(&mut self, column: u32, rows: (f64, f64), distance: impl Fn(f64, f64) -> f64, radius: f64) {
        let Curve::Fine(shades) = self else { return };
        for row in pixels(rows.0, rows.1, HEIGHT) {
            let covered = radius + 0.5 - distance(f64::from(column) + 0.5, f64::from(row) + 0.5);
            let shade = &mut shades[(row * WIDTH + column) as usize];
            *shade = (*shade).max((covered.clamp(0.0, 1.0) * f64::from(SHADES)).round() as u8);
        }
    }

    fn draw(&self, canvas: &mut Canvas) {
        let mut set = |column: u32, row: u32, shade: u8| {
            if shade > 0 {
                canvas.set(LEFT + column, TOP + row, GRID + shade);
            }
        };
        match self {
            Curve::Fine(shades) => {
                for (at, &shade) in (0..).zip(shades) {
                    set(at % WIDTH, at / WIDTH, shade);
                }
            }
            Curve::Dense(columns) => {
                for (column, reach) in (0..).zip(columns) {
                    let Some((low, high)) = reach else { continue };
                    let (low, high) = (low - THICKNESS / 2.0, high + THICKNESS / 2.0);
                    for row in pixels(low, high, HEIGHT) {
                        let covered = high.min(f64::from(row) + 1.0) - low.max(f64::from(row));
                        set(column, row, (covered.clamp(0.0, 1.0) * f64::from(SHADES)).round() as u8);
                    }
                }
            }
        }
    }
}

/// The pixels between two places, of so many.
fn pixels(low: f64, high: f64, count: u32) -> Range<u32> {
    low.floor().max(0.0) as u32..(high.ceil().max(0.0) as u32).min(count)
}

/// From a point to the nearest of a line between two.
fn distance((x, y): (f64, f64), (left, first): (f64, f64), (right, last): (f64, f64)) -> f64 {
    let (across, down) = (right - left, last - first);
    let square = across * across + down * down;
    let place = if square > 0.0 { ((x - left) * across + (y - first) * down) / square } else { 0.0 };
    let place = place.clamp(0.0, 1.0);
    (x - left - place * across).hypot(y - first - place * down)
}

fn palette() -> Vec<Colour> {
    let shades =
        (1..=SHADES).map(|shade| colours::mixed(colours::WHITE, colours::CURVE, f64::from(shade) / f64::from(SHADES)));
    [colours::WHITE, colours::INK, colours::FRAME, colours::GRID].into_iter().chain(shades).collect()
}
