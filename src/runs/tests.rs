//! Every run against an enumeration that is too simple to be wrong.

use proptest::prelude::*;

use super::*;
use crate::grid::{Pieces, Place};
use crate::layout::{LayoutError, Order};

/// One byte of a file: its piece and offset, or nothing and the byte of the fill element.
pub(crate) type Byte = (Option<u64>, u64);

/// The bytes of a view, one by one: unravel each element's number, look its coordinates up.
pub(crate) fn naive(grid: &Grid, selection: &Selection, elements: impl Iterator<Item = u64>) -> Vec<Byte> {
    let mut bytes = Vec::new();
    for number in elements {
        let mut rest = number;
        let mut index = vec![0; selection.ndim()];
        for axis in (0..selection.ndim()).rev() {
            index[axis] = rest % selection.shape()[axis];
            rest /= selection.shape()[axis];
        }
        let mut coordinates = vec![0; grid.shape().len()];
        let inside = selection.locate(&index, &mut coordinates);
        let spot = grid.spot(&coordinates, None);
        bytes.extend((0..selection.itemsize()).map(|byte| (spot.piece, (spot.offset + inside) as u64 + byte)));
    }
    bytes
}

fn expand(runs: Runs<'_>) -> Vec<Byte> {
    let mut bytes = Vec::new();
    for run in runs {
        assert!(run.rows >= 1 && run.count >= 1 && run.length >= 1, "{run:?}");
        for row in 0..run.rows as i64 {
            for block in 0..run.count as i64 {
                let start = (run.offset as i64 + row * run.pitch + block * run.stride) as u64;
                bytes.extend((0..run.length).map(|byte| (run.piece, start + byte)));
            }
        }
        check_arithmetic(&run, &bytes[bytes.len() - run.bytes() as usize..]);
    }
    bytes
}

/// What a run says of itself, against its bytes.
fn check_arithmetic(run: &Run, bytes: &[Byte]) {
    let blocks: Vec<u64> = bytes.iter().step_by(run.length as usize).map(|(_, offset)| *offset).collect();
    assert_eq!((0..run.blocks()).map(|block| run.block(block)).collect::<Vec<u64>>(), blocks, "{run:?}");
    let rows = (0..run.rows).map(|row| run.row(row).offset);
    assert!(rows.eq(blocks.iter().copied().step_by(run.count as usize)), "{run:?}");
    let offsets = || bytes.iter().map(|(_, offset)| *offset);
    assert_eq!(Some(run.reach()), offsets().min().zip(offsets().max()).map(|(low, high)| low..high + 1), "{run:?}");
}

/// Every third cell was never written; the others lie backwards in two files.
struct Shuffled {
    cell: u64,
}

impl Pieces for Shuffled {
    fn digest(&self) -> u64 {
        self.cell
    }

    fn place(&self, cell: u64) -> Option<Place> {
        (cell % 3 != 1).then(|| Place { piece: cell % 2, offset: (1000 - cell) * self.cell })
    }
}

#[derive(Clone, Debug)]
struct Case {
    grid: Arc<Grid>,
    selection: Selection,
}

/// Indices and ranges of an axis.
pub(crate) fn spans(length: u64) -> BoxedStrategy<Pick> {
    if length == 0 {
        return Just(Pick::Span(Span { start: 0, step: 1, len: 0 })).boxed();
    }
    let span = (0..length, prop_oneof![Just(1i64), -3i64..=-1, 2i64..=3]).prop_flat_map(move |(start, step)| {
        let room = if step > 0 { length - 1 - start } else { start } / step.unsigned_abs() + 1;
        (0..=room).prop_map(move |len| Pick::Span(Span { start, step, len }))
    });
    prop_oneof![
        2 => Just(Pick::Span(Span::all(length))),
        3 => span,
        2 => (0..length).prop_map(Pick::Index),
    ]
    .boxed()
}

fn grids() -> impl Strategy<Value = Arc<Grid>> {
    let shape = prop::collection::vec(prop_oneof![9 => 1u64..6, 1 => Just(0)], 0..4);
    (shape, prop::sample::select(vec![1u64, 2, 3, 8]), any::<bool>(), any::<u64>(), any::<bool>()).prop_map(
        |(shape, itemsize, fortran, seed, one)| {
            let order = if fortran { Order::F } else { Order::C };
            if one {
                let mut layout = Layout::packed(7, &shape, itemsize, order).unwrap();
                if seed % 3 == 0 {
                    // Rows with padding between them.
                    layout.strides.iter_mut().for_each(|stride| *stride *= 2);
                }
                return Arc::new(Grid::one(layout));
            }
            let chunk: Vec<u64> = shape.iter().enumerate().map(|(k, _)| 1 + (seed >> (4 * k)) % 4).collect();
            let cell = chunk.iter().product::<u64>() * itemsize;
            let pieces = Arc::new(Shuffled { cell });
            if seed % 5 == 0 {
                let mut axes: Vec<usize> = (0..shape.len()).collect();
                axes.rotate_left((seed >> 8) as usize % shape.len().max(1));
                return Arc::new(Grid::permuted(&shape, &chunk, itemsize, &axes, pieces).unwrap());
            }
            Arc::new(Grid::chunked(&shape, &chunk, itemsize, order, pieces).unwrap())
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    grids().prop_flat_map(|grid| {
        let picks: Vec<_> = grid.shape().iter().map(|&length| spans(length)).collect();
        (Just(grid), picks, any::<bool>(), 0u8..4).prop_map(|(grid, picks, transposed, part)| {
            let mut selection = Selection::whole(grid.shape(), grid.itemsize()).pick(&picks);
            if part == 1 && grid.itemsize() == 8 {
                selection = selection.part(2, &[2], 3).unwrap();
            }
            if transposed {
                selection = selection.transpose();
            }
            Case { grid, selection }
        })
    })
}

fn check(view: &View, expected: &[Byte], cuts: &[prop::sample::Index]) {
    assert_eq!(view.len(), expected.len() as u64);
    assert_eq!(expand(view.runs(0..u64::MAX)), expected);
    for pair in cuts.windows(2) {
        let (a, b) = (pair[0].index(expected.len() + 1), pair[1].index(expected.len() + 1));
        let window = a.min(b)..a.max(b);
        let bytes = expand(view.runs(window.start as u64..window.end as u64));
        assert_eq!(bytes, expected[window.clone()], "window {window:?}");
        if let Some((piece, range)) = view.contiguous(window.start as u64..window.end as u64) {
            let whole: Vec<Byte> = range.map(|offset| (Some(piece), offset)).collect();
            assert_eq!(bytes, whole);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn runs_are_the_bytes_of_the_selection(case in cases(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 6)) {
        let view = View::new(&case.grid, &case.selection);
        let expected = naive(&case.grid, &case.selection, 0..case.selection.count());
        check(&view, &expected, &cuts);
    }

    #[test]
    fn runs_of_a_range_are_the_bytes_of_the_raveled_elements(
        case in cases(),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        step in prop_oneof![Just(1i64), Just(-1), 2i64..9, -9i64..-1],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 6),
    ) {
        let count = case.selection.count();
        if count == 0 {
            prop_assert!(View::range(&case.grid, &case.selection, Span::all(0)).is_empty());
            return Ok(());
        }
        let start = ends.0.index(count as usize) as u64;
        let room = if step > 0 { count - 1 - start } else { start } / step.unsigned_abs() + 1;
        let len = ends.1.index(room as usize + 1) as u64;
        let view = View::range(&case.grid, &case.selection, Span { start, step, len });
        let elements = (0..len as i64).map(|k| (start as i64 + k * step) as u64);
        let expected = naive(&case.grid, &case.selection, elements);
        check(&view, &expected, &cuts);
    }

    #[test]
    fn a_layout_in_one_piece_agrees_with_its_grid(case in cases()) {
        if let Some(layout) = case.grid.single() {
            let placed = case.selection.place(layout);
            let grid = Arc::new(Grid::one(placed.clone()));
            let whole = Selection::whole(&placed.shape, placed.itemsize);
            let expected = naive(&case.grid, &case.selection, 0..case.selection.count());
            prop_assert_eq!(naive(&grid, &whole, 0..whole.count()), expected.clone());
            let extent = placed.extent();
            prop_assert!(expected.iter().all(|(_, offset)| extent.contains(offset)));
            if placed.is_c_contiguous() && placed.count() > 0 {
                prop_assert!(expected.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1));
            }
        }
    }
}

#[test]
fn a_packed_array_is_one_run_whatever_its_rank() {
    let grid = Arc::new(Grid::one(Layout::packed(128, &[3, 1, 4, 5], 8, Order::C).unwrap()));
    let view = View::new(&grid, &Selection::whole(&[3, 1, 4, 5], 8));
    let runs: Vec<Run> = view.runs(8..400).collect();
    assert_eq!(runs, [Run::line(Some(0), 136, 392, 392, 1)]);
}

#[test]
fn a_column_is_one_run() {
    let grid = Arc::new(Grid::one(Layout::packed(128, &[100, 50], 8, Order::C).unwrap()));
    let view = View::new(&grid, &Selection::whole(&[100, 50], 8).index(1, 7));
    let runs: Vec<Run> = view.runs(0..u64::MAX).collect();
    assert_eq!(runs, [Run::line(Some(0), 128 + 56, 8, 400, 100)]);
}

#[test]
fn rows_are_one_run_but_for_those_that_the_window_cuts() {
    let grid = Arc::new(Grid::one(Layout::packed(128, &[9, 100, 50], 8, Order::C).unwrap()));
    let every = |step: i64, len: u64| Pick::Span(Span { start: 0, step, len });
    let view = View::new(&grid, &Selection::whole(&[9, 100, 50], 8).pick(&[every(2, 5), every(1, 100), every(5, 9)]));
    // A row is 72 bytes, a plane 7200.
    let line = |plane: u64, row: u64, block: u64, count: u64| {
        Run::line(Some(0), 128 + plane * 80_000 + row * 400 + block * 40, 8, 40, count)
    };
    let plane = |plane: u64, row: u64, rows: u64| Run { pitch: 400, rows, ..line(plane, row, 0, 9) };
    let runs: Vec<Run> = view.runs(7200 + 72 + 56..3 * 7200 + 40).collect();
    let expected = [line(1, 1, 7, 2), plane(1, 2, 98), plane(2, 0, 100), line(3, 0, 0, 5)];
    assert_eq!(runs, expected);
}

#[test]
fn a_window_inside_one_element_touches_only_its_bytes() {
    let grid = Arc::new(Grid::one(Layout::packed(0, &[4, 4], 8, Order::C).unwrap()));
    let view = View::new(&grid, &Selection::whole(&[4, 4], 8).index(1, 2));
    let runs: Vec<Run> = view.runs(11..13).collect();
    assert_eq!(runs, [Run::line(Some(0), 32 + 16 + 3, 2, 2, 1)]);
}

#[test]
fn a_view_of_terabytes_costs_nothing_to_make() {
    let shape = [1 << 20, 1 << 20];
    let grid = Arc::new(Grid::one(Layout::packed(128, &shape, 8, Order::F).unwrap()));
    let selection = Selection::whole(&shape, 8);
    let view = View::range(&grid, &selection, Span { start: 3, step: 7, len: (1 << 40) / 7 });
    let last = view.len() - 8;
    assert_eq!(view.runs(last..view.len()).count(), 1);
}

#[test]
fn parts_without_bytes_that_cannot_be_counted_are_refused() {
    let strings = [i32::MAX as u64; 2];
    let once = Selection::whole(&[2], 8).part(0, &strings, 0).unwrap();
    assert!(View::new(&Arc::new(Grid::one(Layout::packed(0, &[2], 8, Order::C).unwrap())), &once).is_empty());
    assert_eq!(once.part(0, &strings, 0), Err(LayoutError::Overflow));
}

#[test]
fn the_last_byte_may_be_the_last_that_a_file_can_have() {
    let layout = Layout { offset: 0, shape: vec![2, 2], strides: vec![4, 1 << 62], itemsize: 1 };
    layout.check().unwrap();
    let view = View::new(&Arc::new(Grid::one(layout)), &Selection::whole(&[2, 2], 1));
    let offsets: Vec<Byte> = expand(view.runs(0..4));
    assert_eq!(offsets, [0, 1 << 62, 4, (1 << 62) + 4].map(|offset| (Some(0), offset)));
}
