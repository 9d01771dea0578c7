//! Strides of every interleave, with and without gaps, and which file has the elements.
use std::collections::BTreeMap;
use std::io;

use super::*;
use crate::dtype::{ByteOrder, Kind};
use crate::format::Files;
use crate::format::header::tests::{described, says};

/// Files that stand beside the header, and their lengths.
#[derive(Default)]
pub(in crate::format) struct Folder(BTreeMap<String, u64>);

impl Folder {
    pub(in crate::format) fn of(files: &[(&str, u64)]) -> Folder {
        Folder(files.iter().map(|&(name, len)| (name.to_owned(), len)).collect())
    }
}

impl Siblings for Folder {
    fn sibling(&self, _name: &str, _limit: usize) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn sibling_len(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.0.get(name).copied())
    }
}

/// The file in which an array lies, and where.
pub(in crate::format) fn placed(array: &Array) -> String {
    let Files::Beside(names) = &array.files else { panic!("in the file itself") };
    assert_eq!(array.dims, ["row", "column", "band"]);
    format!("{}: {}", names.name(0), described(array))
}

fn raster(interleave: Interleave, band_row: Option<u64>, row: Option<u64>, gap: u64) -> Raster {
    let dtype = header::scalar(Kind::Int, ByteOrder::Big, 2);
    Raster { dtype, rows: 3, columns: 4, bands: 5, offset: 7, interleave, band_row, row, gap }
}

fn array(raster: Raster, held: u64) -> Result<Array, Refusal> {
    raster.array("x", "X", Data { name: "a.img".into(), held })
}

#[test]
fn every_interleave() {
    for (interleave, band_row, row, gap, end, wanted) in [
        (Interleave::Bsq, None, None, 0, 127, "[8, 2, 24]"),
        (Interleave::Bsq, Some(99), Some(999), 6, 151, "[8, 2, 30]"),
        (Interleave::Bil, None, None, 0, 127, "[40, 2, 8]"),
        (Interleave::Bil, Some(9), None, 6, 141, "[45, 2, 9]"),
        (Interleave::Bil, Some(9), Some(50), 0, 151, "[50, 2, 9]"),
        (Interleave::Bip, Some(99), None, 6, 127, "[40, 10, 2]"),
        (Interleave::Bip, None, Some(41), 0, 129, "[41, 10, 2]"),
    ] {
        let found = array(raster(interleave, band_row, row, gap), end).unwrap();
        assert_eq!(placed(&found), format!("a.img: >i2 at 7 [3, 4, 5] {wanted}"));
        let why = array(raster(interleave, band_row, row, gap), end - 1).unwrap_err();
        says(&why, &[&format!("up to byte {end} of 'a.img'"), "truncated"]);
    }
}

#[test]
fn refused_overlaps() {
    let overlaps = |raster| says(&array(raster, 999).unwrap_err(), &["overlap"]);
    overlaps(raster(Interleave::Bil, Some(7), None, 0));
    overlaps(raster(Interleave::Bil, Some(9), Some(44), 0));
    overlaps(raster(Interleave::Bip, None, Some(39), 0));
}

#[test]
fn refused_sizes() {
    for interleave in [Interleave::Bsq, Interleave::Bil, Interleave::Bip] {
        let huge = |rows, columns, bands| {
            let raster = Raster { rows, columns, bands, ..raster(interleave, None, None, u64::MAX) };
            says(&array(raster, 999).unwrap_err(), &["any file can be"]);
        };
        huge(1 << 40, 1 << 40, 1);
        huge(u64::MAX, u64::MAX, u64::MAX);
        huge(3, 1 << 62, 3);
    }
}

#[test]
fn the_first_file_of_that_name() {
    let name =
        |files: &[(&str, u64)]| data_file("x.dat.hdr", &["", ".img", ".bil"], &Folder::of(files)).map(|d| d.name);
    let all = [("x.dat.BIL", 1), ("x.dat.bil", 1), ("x.dat.IMG", 1), ("x.dat.img", 1), ("x.dat", 1)];
    let order: Vec<String> = (1..=all.len()).map(|count| name(&all[..count]).unwrap()).collect();
    assert_eq!(order, all.map(|(name, _)| name));
    says(&name(&[("x.img", 1)]).unwrap_err(), &["'x.dat', perhaps with one of .img, .bil", "there is none"]);
    assert!(data_file(".hdr", &[""], &Folder::of(&[("", 1)])).is_err());
    says(&data_file("x", &[""], &Folder::of(&[])).unwrap_err(), &["no extension"]);
}

#[test]
fn values_and_lists() {
    let mut attributes = Attributes::new(1000);
    for (name, text) in
        [("a", "3"), ("b", "-2.5e3"), ("c", "a, b"), ("d", "{1, 2.5,\n3}"), ("e", "{1, x}"), ("f", "{ }"), ("g", "nan")]
    {
        keep(&mut attributes, name, text);
    }
    let wanted = serde_json::json!({
        "a": 3, "b": -2500.0, "c": "a, b", "d": [1, 2.5, 3], "e": ["1", "x"], "f": [], "g": "NaN",
    });
    assert_eq!(Value::Object(attributes.into_map()), wanted);
}
