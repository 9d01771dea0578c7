//! Runs of random views of random arrays, byte for byte against a walk over elements.

use std::sync::Arc;

use afbfs::grid::{Grid, Pieces, Place};
use afbfs::layout::{Layout, Order, Pick, Selection, Span};
use afbfs::name::pick;
use afbfs::runs::View;
use libfuzzer_sys::arbitrary::{Result, Unstructured};

use crate::model::{Model, Step};

/// The longest window that is looked at byte by byte.
const WINDOW: u64 = 300;

pub(crate) fn target(data: &[u8]) {
    // An input that ends early says no more.
    let _ = check(&mut Unstructured::new(data));
}

/// One byte of a file: its piece and offset, or nothing and the byte of the fill element.
type Byte = (Option<u64>, u64);

/// Where the elements of an array lie, said simply.
enum Truth {
    One(Layout),
    Many { shape: Vec<u64>, chunk: Vec<u64>, itemsize: u64, order: Order, pieces: Scattered },
}

/// Cells at places without any order, some of them nowhere.
#[derive(Clone, Copy)]
struct Scattered(u64);

impl Pieces for Scattered {
    fn place(&self, cell: u64) -> Option<Place> {
        let random = (cell ^ self.0).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (random >> 62 != 0).then_some(Place { piece: random >> 60 & 3, offset: random >> 20 & 0xff_ffff })
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

impl Truth {
    fn byte(&self, coordinates: &[u64], inside: u64) -> Byte {
        match self {
            Truth::One(layout) => {
                let steps =
                    coordinates.iter().zip(&layout.strides).map(|(&i, &stride)| i128::from(i) * i128::from(stride));
                let offset = i128::from(layout.offset) + steps.sum::<i128>() + i128::from(inside);
                (Some(0), u64::try_from(offset).expect("the layout was checked"))
            }
            Truth::Many { shape, chunk, itemsize, order, pieces } => {
                let axes = || 0..shape.len();
                let cell = axes().fold(0, |cell, k| cell * shape[k].div_ceil(chunk[k]) + coordinates[k] / chunk[k]);
                let number = |number: u64, k: usize| number * chunk[k] + coordinates[k] % chunk[k];
                let number = match order {
                    Order::C => axes().fold(0, number),
                    Order::F => axes().rev().fold(0, number),
                };
                match pieces.place(cell) {
                    Some(Place { piece, offset }) => (Some(piece), offset + number * itemsize + inside),
                    None => (None, inside),
                }
            }
        }
    }
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let Some((truth, grid)) = array(u)? else { return Ok(()) };
    let mut selection = Selection::whole(grid.shape(), grid.itemsize());
    let mut model = Model::whole(grid.shape(), grid.itemsize());
    for _ in 0..u.int_in_range(0..=4)? {
        (selection, model) = match u.int_in_range(0..=4)? {
            0 => (selection.transpose(), model.then(Step::Transpose)),
            1 => match part(u, model.itemsize)? {
                Some((offset, shape, itemsize)) => match selection.part(offset, &shape, itemsize) {
                    Ok(part) => (part, model.then(Step::Part { offset, shape, itemsize })),
                    Err(_) => return Ok(()),
                },
                None => continue,
            },
            _ => {
                let picks = model.shape.iter().map(|&length| a_pick(u, length)).collect::<Result<Vec<_>>>()?;
                (selection.pick(&picks), model.then(Step::Pick(picks)))
            }
        };
    }
    assert_eq!((selection.shape(), selection.itemsize()), (&model.shape[..], model.itemsize));

    let view = if u.arbitrary()? {
        let span = match a_pick(u, model.count())? {
            Pick::Index(start) => Span { start, step: 1, len: 1 },
            Pick::Span(span) => span,
        };
        model = model.then(Step::Flat).then(Step::Pick(vec![Pick::Span(span)]));
        View::range(&grid, &selection, span)
    } else {
        View::new(&grid, &selection)
    };
    assert_eq!(view.len(), model.count() * model.itemsize);
    assert_eq!(view.is_empty(), view.len() == 0);
    let len = view.len();
    compare(&view, 0, len.min(WINDOW), &truth, &model);
    compare(&view, len.saturating_sub(WINDOW), len, &truth, &model);
    for _ in 0..3 {
        let start = u.int_in_range(0..=len)?;
        compare(&view, start, start + u.int_in_range(0..=WINDOW.min(len - start))?, &truth, &model);
    }
    assert_eq!(view.runs(len..u64::MAX).next(), None);
    Ok(())
}

fn compare(view: &View, start: u64, end: u64, truth: &Truth, model: &Model) {
    let mut bytes = Vec::new();
    for run in view.runs(start..end) {
        assert!(run.bytes() >= 1, "{run:?}");
        let reach = run.reach();
        for block in 0..run.blocks() {
            assert!(reach.contains(&run.block(block)) && run.block(block) + run.length <= reach.end, "{run:?}");
            bytes.extend((0..run.length).map(|byte| (run.piece, run.block(block) + byte)));
        }
        assert!(bytes.len() as u64 <= end - start, "{run:?} leads out of {start}..{end}");
    }
    let expected = |at: u64| {
        let (coordinates, inside) = model.locate(at / model.itemsize);
        truth.byte(&coordinates, inside + at % model.itemsize)
    };
    let expected: Vec<Byte> = (start..end).map(expected).collect();
    assert_eq!(bytes, expected, "bytes {start}..{end} of {model:?}");
    if let Some((piece, range)) = view.contiguous(start..end) {
        assert!(expected.into_iter().eq(range.map(|offset| (Some(piece), offset))));
    }
}

/// An array of small or of large axes, in one piece or in many, if there can be such a one.
fn array(u: &mut Unstructured<'_>) -> Result<Option<(Truth, Arc<Grid>)>> {
    let large = u.ratio(1, 4)?;
    let mut shape = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        shape.push(if large { u.arbitrary::<u64>()? >> u.int_in_range(1..=63)? } else { u.int_in_range(0..=6)? });
    }
    let itemsize = if u.ratio(1, 16)? { 0 } else { u.int_in_range(1..=20)? };
    let order = if u.arbitrary()? { Order::C } else { Order::F };
    if u.arbitrary()? {
        let offset = if large { u.arbitrary()? } else { u64::from(u.arbitrary::<u16>()?) };
        let Ok(mut layout) = Layout::packed(offset, &shape, itemsize, order) else { return Ok(None) };
        if u.arbitrary()? {
            for stride in &mut layout.strides {
                *stride = if large { u.arbitrary()? } else { u.int_in_range(-50..=50)? };
            }
        }
        let sane = layout.check().is_ok();
        return Ok(sane.then(|| (Truth::One(layout.clone()), Arc::new(Grid::one(layout)))));
    }
    let mut chunk = Vec::new();
    for &length in &shape {
        chunk.push(u.int_in_range(1..=(length + 2).min(1 << 20))?);
    }
    let pieces = Scattered(u.arbitrary()?);
    let grid = Grid::chunked(&shape, &chunk, itemsize, order, Arc::new(pieces));
    Ok(grid.ok().map(|grid| (Truth::Many { shape, chunk, itemsize, order, pieces }, Arc::new(grid))))
}

/// A part that an element of so many bytes can have.
fn part(u: &mut Unstructured<'_>, of: u64) -> Result<Option<(u64, Vec<u64>, u64)>> {
    let itemsize = u.int_in_range(0..=of)?;
    let mut shape = Vec::new();
    for _ in 0..u.int_in_range(0..=2)? {
        shape.push(u.int_in_range(0..=3)?);
    }
    let size = shape.iter().product::<u64>() * itemsize;
    Ok(if size > of { None } else { Some((u.int_in_range(0..=of - size)?, shape, itemsize)) })
}

fn a_pick(u: &mut Unstructured<'_>, length: u64) -> Result<Pick> {
    let bound = |u: &mut Unstructured<'_>| -> Result<String> {
        Ok(match u.int_in_range(0..=3)? {
            0 => String::new(),
            1 => u.arbitrary::<i64>()?.to_string(),
            _ => u.arbitrary::<i8>()?.to_string(),
        })
    };
    let text = match u.int_in_range(0..=3)? {
        0 => ":".to_owned(),
        1 if length > 0 => u.int_in_range(0..=length - 1)?.to_string(),
        _ => format!("{}:{}:{}", bound(u)?, bound(u)?, bound(u)?),
    };
    Ok(pick(&text, length).unwrap_or(Pick::Span(Span::all(length))))
}
