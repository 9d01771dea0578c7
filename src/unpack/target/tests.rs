//! Blocks of arrays, put where they belong.

use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::store::Limits;
use crate::unpack::Disk;

/// The bytes of the file that an array becomes, once `put` has filled it.
fn written(dtype: &str, shape: &[u64], put: impl FnOnce(&Target)) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    let store = Store::new(Limits::default());
    let target = Target::new(file.try_clone().unwrap(), &DType::parse(dtype).unwrap(), shape, &store).unwrap();
    put(&target);
    target.finish().unwrap();
    let mut bytes = Vec::new();
    // It was written by position, not from here.
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn headers_are_those_of_numpy() {
    let in_order = |dtype: &str, shape: &[u64], order| {
        let bytes = header(&DType::parse(dtype).unwrap(), shape, order);
        (String::from_utf8(bytes[10..].to_vec()).unwrap(), bytes.len())
    };
    let header = |dtype: &str, shape: &[u64]| in_order(dtype, shape, Order::C);
    let padded = |text: &str, len: usize| (format!("{text:len$}\n"), len + 11);
    // As numpy.save of 2.4 writes them.
    assert_eq!(header("<f8", &[3, 4]), padded("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }", 117));
    assert_eq!(header("|b1", &[]), padded("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", 117));
    assert_eq!(header(">i2", &[70000]), padded("{'descr': '>i2', 'fortran_order': False, 'shape': (70000,), }", 117));
    let fortran = padded("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }", 117);
    assert_eq!(in_order("<f8", &[3, 4], Order::F), fortran);
    assert_eq!(in_order("|b1", &[5], Order::F), header("|b1", &[5]));
}

#[test]
fn headers_of_long_records_and_of_names_beyond_latin_1() {
    use crate::dtype::{Field, Record};
    let record = |name: &str, count: usize| {
        let fields = (0..count).map(|number| Field {
            name: format!("{name}{number}"),
            title: None,
            offset: 4 * number as u64,
            dtype: DType::parse("<f4").unwrap(),
            shape: Vec::new(),
        });
        DType::Record(Arc::new(Record::new(fields.collect(), 4 * count as u64).unwrap()))
    };
    for (name, count, version) in [("x", 2, 1), ("ä", 2, 1), ("x", 5000, 2), ("π", 2, 3)] {
        let dtype = record(name, count);
        let bytes = header(&dtype, &[5], Order::C);
        assert_eq!(bytes[6], version, "{name}");
        assert!(bytes.len().is_multiple_of(64));
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let read = crate::format::npy::header(&Disk::new(file).unwrap()).unwrap();
        assert_eq!((read.dtype, read.shape, read.offset), (dtype, vec![5], bytes.len() as u64));
    }
}

#[test]
fn what_was_not_written_is_zero() {
    let bytes = written("<i4", &[2, 3], |target| {
        let block = Block { origin: vec![1, 0], shape: &[1, 2], axes: &[0, 1] };
        target.put(&block, vec![1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
        target.put_run(8, &[9; 4]).unwrap();
    });
    assert_eq!(bytes.len(), 128 + 24);
    assert_eq!(bytes[128..], [[0; 4], [0; 4], [9; 4], [1, 0, 0, 0], [2, 0, 0, 0], [0; 4]].concat());
    assert_eq!(written("<i4", &[0, 3], |_| {}).len(), 128);
}

#[test]
fn refused_arrays_that_cannot_be() {
    let store = Store::new(Limits::default());
    let file = || tempfile::tempfile().unwrap();
    let dtype = DType::parse("<f8").unwrap();
    let why = Target::new(file(), &dtype, &[1 << 62, 8], &store).unwrap_err();
    assert!(why.to_string().contains("claims an array that cannot be"), "{why}");
}

/// A shape, the shape of a chunk, and an order of the axes.
fn cut() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Vec<usize>)> {
    prop::collection::vec((1_u64..7, 1_u64..5), 0..4).prop_flat_map(|axes| {
        let (shape, chunk): (Vec<u64>, Vec<u64>) = axes.into_iter().unzip();
        let order: Vec<usize> = (0..shape.len()).collect();
        (Just(shape), Just(chunk), Just(order).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn blocks_in_any_order_of_axes_make_up_the_array((shape, chunk, axes) in cut(), left_out in 0_u64..20) {
        let total: u64 = shape.iter().product();
        let fill = [0xff, 0xfe];
        let number = |index: &[u64]| index.iter().zip(&shape).fold(0, |sum, (i, n)| sum * n + i) as u16 + 1;
        let counts: Vec<u64> = shape.iter().zip(&chunk).map(|(n, c)| n.div_ceil(*c)).collect();
        let cell = |index: &[u64]| {
            index.iter().zip(&chunk).zip(&counts).fold(0, |sum, ((i, c), n)| sum * n + i / c)
        };
        let bytes = written("<u2", &shape, |target| {
            for number_of_cell in 0..counts.iter().product() {
                let index = crate::unpack::crew::index(number_of_cell, &counts);
                let origin: Vec<u64> = index.iter().zip(&chunk).map(|(i, c)| i * c).collect();
                let block = Block { origin: origin.clone(), shape: &chunk, axes: &axes };
                if number_of_cell == left_out {
                    target.fill(&block, &fill).unwrap();
                    continue;
                }
                let turned: Vec<u64> = axes.iter().map(|&axis| chunk[axis]).collect();
                let mut bytes = Vec::new();
                for element in 0..chunk.iter().product() {
                    let mut at = origin.clone();
                    for (i, &axis) in crate::unpack::crew::index(element, &turned).iter().zip(&axes) {
                        at[axis] += i;
                    }
                    let is_inside = at.iter().zip(&shape).all(|(i, n)| i < n);
                    bytes.extend(if is_inside { number(&at) } else { 0xdead }.to_le_bytes());
                }
                target.put(&block, bytes).unwrap();
            }
        });
        let body = &bytes[bytes.len() - 2 * total as usize..];
        for (element, found) in (0..total).zip(body.chunks(2)) {
            let index = crate::unpack::crew::index(element, &shape);
            let expected = if cell(&index) == left_out { fill } else { number(&index).to_le_bytes() };
            prop_assert_eq!(found, expected);
        }
    }
}
