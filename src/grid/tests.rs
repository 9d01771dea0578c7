//! Cells in every order of their axes, and the grids that cannot be.

use super::*;

/// Cell after cell, each in a file of its own.
struct Files;

impl Pieces for Files {
    fn place(&self, cell: u64) -> Option<Place> {
        Some(Place { piece: cell, offset: 0 })
    }

    fn digest(&self) -> u64 {
        0
    }
}

/// A 5 x 7 x 6 array cut into cells of 2 x 3 x 4, with elements of 2 bytes.
fn grid(axes: &[usize]) -> Grid {
    Grid::permuted(&[5, 7, 6], &[2, 3, 4], 2, axes, Arc::new(Files)).unwrap()
}

#[test]
fn cells_in_every_order_of_their_axes() {
    for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let grid = grid(&axes);
        for number in 0..5 * 7 * 6 {
            let index = [number / 42, number / 6 % 7, number % 6];
            let chunk = [2, 3, 4];
            let cell = (index[0] / 2 * 3 + index[1] / 3) * 2 + index[2] / 4;
            let place = axes.iter().fold(0, |place, &axis| place * chunk[axis] + index[axis] % chunk[axis]);
            for axis in 0..3 {
                let spot = grid.spot(&index, Some(axis));
                assert_eq!((spot.piece, spot.offset), (Some(cell), place as i64 * 2), "{axes:?} {index:?}");
                if index[axis] + 1 < spot.high {
                    let mut next = index;
                    next[axis] += 1;
                    assert_eq!(grid.spot(&next, None).offset, spot.offset + spot.stride, "{axes:?} {index:?}");
                }
            }
        }
    }
}

#[test]
fn the_two_common_orders_are_permutations() {
    for (order, axes) in [(Order::C, [0, 1, 2]), (Order::F, [2, 1, 0])] {
        let chunked = Grid::chunked(&[5, 7, 6], &[2, 3, 4], 2, order, Arc::new(Files)).unwrap();
        assert_eq!(chunked, grid(&axes));
    }
    assert_ne!(grid(&[0, 1, 2]), grid(&[0, 2, 1]));
}

#[test]
fn refused_axes_that_are_not_each_named_once() {
    for axes in [&[][..], &[0], &[0, 0], &[0, 2], &[0, 1, 1], &[1, 0, 2]] {
        let grid = Grid::permuted(&[5, 7], &[2, 3], 1, axes, Arc::new(Files));
        assert_eq!(grid.unwrap_err(), LayoutError::Axes, "{axes:?}");
    }
}

#[test]
fn refused_cells_that_cannot_be() {
    let refuse = |shape: &[u64], chunk: &[u64]| {
        [Order::C, Order::F].map(|order| Grid::chunked(shape, chunk, 1, order, Arc::new(Files)).unwrap_err())
    };
    assert_eq!(refuse(&[5, 7], &[2]), [LayoutError::Rank(1); 2]);
    assert_eq!(refuse(&[5, 7], &[2, 0]), [LayoutError::Overflow; 2]);
    assert_eq!(refuse(&[5, 7], &[u64::MAX, 2]), [LayoutError::Overflow; 2]);
    // The strides fit, the offsets of the last elements do not.
    assert_eq!(refuse(&[3, 1 << 60], &[3, 1 << 62]), [LayoutError::Overflow; 2]);
}
