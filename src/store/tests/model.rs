//! Random reads and writes against files that are vectors of bytes.

use proptest::prelude::*;

use super::*;
use crate::grid::{Pieces, Place};
use crate::layout::Span;
use crate::runs::tests::{Byte, naive, spans};

/// No file here is longer.
const LARGEST: u64 = 48 * 4096;

/// Every third cell was never written; the others lie backwards in two files.
struct Shuffled {
    cells: u64,
    bytes: u64,
}

impl Pieces for Shuffled {
    fn digest(&self) -> u64 {
        self.cells
    }

    fn place(&self, cell: u64) -> Option<Place> {
        (cell % 3 != 1).then(|| Place { piece: cell % 2, offset: 5 + (self.cells - cell - 1) * self.bytes })
    }
}

/// A view, and for each of its bytes where it lies.
#[derive(Clone, Debug)]
struct Case {
    view: View,
    bytes: Vec<Byte>,
    fill: Vec<u8>,
    pieces: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Read(prop::sample::Index, prop::sample::Index),
    Gather(prop::sample::Index, prop::sample::Index),
    Write(prop::sample::Index, prop::sample::Index, u8),
    /// Another program writes.
    Store(prop::sample::Index, u8),
    /// Another program makes a file shorter, or as long as it was.
    Resize(usize, prop::sample::Index),
    Restore,
}

/// Arrays that spread over many pages.
fn grids() -> impl Strategy<Value = Arc<Grid>> {
    let shape = prop::collection::vec(prop_oneof![9 => 1u64..7, 1 => Just(40)], 0..4);
    let itemsize = prop::sample::select(vec![1u64, 2, 3, 8, 16, 700, 5000]);
    let spread = prop::sample::select(vec![1i64, 2, 5, 61, 600]);
    (shape, itemsize, spread, any::<bool>(), any::<u64>(), any::<bool>())
        .prop_map(|(shape, itemsize, spread, fortran, seed, one)| {
            let order = if fortran { Order::F } else { Order::C };
            if one {
                let mut layout = Layout::packed(seed % 9000, &shape, itemsize, order).unwrap();
                layout.strides.iter_mut().for_each(|stride| *stride *= spread);
                return (layout.extent().end, Grid::one(layout));
            }
            let chunk: Vec<u64> = shape.iter().enumerate().map(|(k, _)| 1 + (seed >> (4 * k)) % 4).collect();
            let cells = shape.iter().zip(&chunk).map(|(length, chunk)| length.div_ceil(*chunk)).product::<u64>();
            let bytes = chunk.iter().product::<u64>() * itemsize;
            let pieces = Arc::new(Shuffled { cells, bytes });
            (5 + cells * bytes, Grid::chunked(&shape, &chunk, itemsize, order, pieces).unwrap())
        })
        .prop_filter("too large", |(end, _)| *end <= LARGEST)
        .prop_map(|(_, grid)| Arc::new(grid))
}

fn cases() -> impl Strategy<Value = Case> {
    let range = prop::option::of((any::<[prop::sample::Index; 2]>(), prop::sample::select(vec![1i64, 2, 7, -1, -3])));
    (grids(), range, any::<bool>(), any::<bool>(), any::<bool>()).prop_flat_map(
        |(grid, range, transposed, part, filled)| {
            let picks: Vec<_> = grid.shape().iter().map(|&length| spans(length)).collect();
            (Just(grid), picks).prop_map(move |(grid, picks)| {
                let mut selection = Selection::whole(grid.shape(), grid.itemsize()).pick(&picks);
                if part && grid.itemsize() == 8 {
                    selection = selection.part(2, &[2], 3).unwrap();
                }
                if transposed {
                    selection = selection.transpose();
                }
                let fill =
                    if filled { (0..grid.itemsize()).map(|i| 0xa0 + i as u8 % 16).collect() } else { Vec::new() };
                let pieces = if grid.single().is_some() { 1 } else { 2 };
                let (view, elements) = viewed(&grid, &selection, range);
                Case { view, bytes: naive(&grid, &selection, elements.into_iter()), fill, pieces }
            })
        },
    )
}

/// The whole selection, or a range of its elements: as a view, and as their numbers.
fn viewed(grid: &Arc<Grid>, selection: &Selection, range: Option<([prop::sample::Index; 2], i64)>) -> (View, Vec<u64>) {
    let count = selection.count();
    let Some(([start, len], step)) = range.filter(|_| count > 0) else {
        return (View::new(grid, selection), (0..count).collect());
    };
    let start = start.index(count as usize) as u64;
    let room = if step > 0 { count - 1 - start } else { start } / step.unsigned_abs() + 1;
    let len = len.index(room as usize + 1) as u64;
    let elements = (0..len as i64).map(|k| (start as i64 + k * step) as u64).collect();
    (View::range(grid, selection, Span { start, step, len }), elements)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (index(), index()).prop_map(|(a, b)| Step::Read(a, b)),
        2 => (index(), index()).prop_map(|(a, b)| Step::Gather(a, b)),
        4 => (index(), index(), any::<u8>()).prop_map(|(a, b, seed)| Step::Write(a, b, seed)),
        1 => (index(), any::<u8>()).prop_map(|(at, value)| Step::Store(at, value)),
        2 => (0usize..2, index()).prop_map(|(piece, len)| Step::Resize(piece, len)),
        1 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 1..20)
}

/// The files as they should be.
struct Model {
    case: Case,
    lens: Vec<usize>,
    pieces: Vec<Vec<u8>>,
}

impl Model {
    /// The bytes of a window, or nothing if one of them is past the end of its file.
    fn read(&self, window: std::ops::Range<usize>) -> Option<Vec<u8>> {
        let byte = |&(piece, offset): &Byte| match piece {
            Some(piece) => self.pieces[piece as usize].get(offset as usize).copied(),
            None => Some(self.case.fill.get(offset as usize).copied().unwrap_or(0)),
        };
        self.case.bytes[window].iter().map(byte).collect()
    }

    /// Byte by byte, until one cannot be written.
    fn write(&mut self, at: usize, data: &[u8]) -> Result<usize> {
        for (done, (&(piece, offset), &value)) in self.case.bytes[at..].iter().zip(data).enumerate() {
            let error = match piece {
                None => Errno::ROFS,
                Some(piece) => match self.pieces[piece as usize].get_mut(offset as usize) {
                    Some(byte) => {
                        *byte = value;
                        continue;
                    }
                    None => Errno::IO,
                },
            };
            return if done > 0 { Ok(done) } else { Err(error) };
        }
        Ok(data.len())
    }
}

struct World {
    model: Model,
    plain: Vec<fs::File>,
    files: Files,
    store: Arc<Store>,
    maps: usize,
}

impl World {
    fn new(case: Case, maps: usize, remote: bool) -> World {
        let store = Store::new(Limits { remote, ..tight(maps) });
        let end = case.bytes.iter().map(|(_, offset)| offset + 1).max().unwrap_or(1);
        let (plain, files): (_, Vec<Arc<File>>) = (0..case.pieces).map(|_| temporary(&store, end)).unzip();
        let files = if case.pieces == 1 { one(&files[0]) } else { Files::Many(Arc::new(Several(files))) };
        let pieces = vec![patterns(0..end); case.pieces];
        let lens = vec![end as usize; case.pieces];
        World { model: Model { case, lens, pieces }, plain, files, store, maps }
    }

    fn window(&self, a: &prop::sample::Index, b: &prop::sample::Index) -> std::ops::Range<usize> {
        let len = self.model.case.bytes.len() + 1;
        let (a, b) = (a.index(len), b.index(len));
        a.min(b)..a.max(b)
    }

    fn step(&mut self, step: &Step) {
        let Model { case: Case { view, fill, .. }, .. } = &self.model;
        match step {
            Step::Read(a, b) => {
                let window = self.window(a, b);
                let found = read(
                    &self.files,
                    fill,
                    view,
                    window.start as u64..window.end as u64,
                    &Stream::default(),
                    <[u8]>::to_vec,
                );
                assert_eq!(found, self.model.read(window).ok_or(Errno::IO));
            }
            Step::Gather(a, b) => {
                let window = self.window(a, b);
                let mut found = vec![0; window.len()];
                let done = gather(&self.files, fill, view, window.start as u64..window.end as u64, &mut found);
                assert_eq!(done.map(|()| found), self.model.read(window).ok_or(Errno::IO));
            }
            Step::Write(a, b, seed) => {
                let window = self.window(a, b);
                let data: Vec<u8> = window.clone().map(|i| (i as u8).wrapping_mul(29) ^ seed).collect();
                let count = write(&self.files, view, window.start as u64, &data);
                assert_eq!(count, self.model.write(window.start, &data));
            }
            Step::Store(at, value) => {
                for (plain, piece) in
                    self.plain.iter().zip(&mut self.model.pieces).filter(|(_, piece)| !piece.is_empty())
                {
                    let at = at.index(piece.len());
                    plain.write_all_at(&[*value], at as u64).unwrap();
                    piece[at] = *value;
                }
            }
            Step::Resize(piece, len) => {
                let piece = piece % self.plain.len();
                let len = len.index(self.model.lens[piece] + 1);
                self.plain[piece].set_len(len as u64).unwrap();
                self.model.pieces[piece].resize(len, 0);
            }
            Step::Restore => {
                for ((plain, piece), &len) in self.plain.iter().zip(&mut self.model.pieces).zip(&self.model.lens) {
                    plain.set_len(len as u64).unwrap();
                    piece.resize(len, 0);
                }
            }
        }
    }

    fn check(&self) {
        for (plain, piece) in self.plain.iter().zip(&self.model.pieces) {
            assert!(content(plain) == *piece, "the file is not what the model says");
        }
        assert!(self.store.mapped().1 <= self.maps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn reads_and_writes_agree_with_files_that_are_vectors(case in cases(), steps in steps(), maps in 1usize..4, remote in any::<bool>()) {
        let mut world = World::new(case, maps, remote);
        for step in &steps {
            world.step(step);
            world.check();
        }
    }
}
