//! Descriptions in file names: `x_200x100_float32.raw`.

use serde_json::Map;

use super::Spec;
use crate::dtype::{DType, Kind, Scalar};
use crate::layout::{MAX_NDIM, Order};

/// File name extensions of raw data.
const EXTENSIONS: &[&str] = &["raw", "bin", "dat", "img", "data", "vol"];

/// What a file name says.
pub(super) struct Name<'a> {
    /// The array's name: all but the extension.
    pub(super) stem: &'a str,
    /// Length of each axis, the slowest first.
    pub(super) shape: Vec<u64>,
    pub(super) dtype: DType,
}

/// Reads a name of the form `NAME_DIMENSIONS_DTYPE.EXTENSION`.
pub(super) fn parse(file_name: &str) -> Option<Name<'_>> {
    let (stem, extension) = file_name.rsplit_once('.')?;
    if !EXTENSIONS.contains(&extension) {
        return None;
    }
    let (rest, dtype) = stem.rsplit_once('_')?;
    let (name, dimensions) = rest.rsplit_once('_')?;
    if name.is_empty() {
        return None;
    }
    let shape: Vec<u64> = dimensions.split('x').rev().map(dimension).collect::<Option<_>>()?;
    if !(2..=MAX_NDIM).contains(&shape.len()) || !dtype.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let dtype = DType::parse(dtype).ok().filter(is_number)?;
    Some(Name { stem, shape, dtype })
}

fn dimension(text: &str) -> Option<u64> {
    // `parse` alone would allow a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_number(dtype: &DType) -> bool {
    let numbers = [Kind::Bool, Kind::Int, Kind::Uint, Kind::Float, Kind::Complex];
    matches!(dtype, DType::Scalar(Scalar { kind, .. }) if numbers.contains(kind))
}

impl Spec {
    /// What a file name of the kind `x_200x100_float32.raw` says: dimensions with the fastest first, here the shape
    /// `(100, 200)` in C order. Nothing if the name is not of this kind.
    pub fn from_file_name(file_name: &str) -> Option<Spec> {
        let name = parse(file_name)?;
        Some(Spec {
            name: Some(name.stem.into()),
            file: Some(file_name.into()),
            dtype: name.dtype,
            shape: name.shape.into_iter().map(Some).collect(),
            offset: 0,
            order: Order::C,
            strides: None,
            attributes: Map::new(),
        })
    }
}
