//! An array that serves as a model.

use std::path::Path;

use serde_json::Value;

use super::super::Failure;
use super::super::views::{Tree, split};
use super::Args;
use crate::dtype::DType;
use crate::layout::Order;

/// Type, shape and order of an array; no order where it is in neither.
pub(super) fn model(path: &Path, args: &Args) -> Result<(DType, Vec<u64>, Option<Order>), Failure> {
    let (source, array) = split(path);
    let array = array.to_str().ok_or_else(|| Failure(format!("{}: is not UTF-8", path.display())))?;
    let tree = Tree::open(&source, &args.source_args)?;
    let info = tree.text(&format!("{array}/info.json"))?;
    let wrong = |why: &str| Failure(format!("--like {}: {why}", path.display()));
    let info: Value = serde_json::from_str(&info).map_err(|error| wrong(&error.to_string()))?;
    if let (Some(element), None) = (info["element"].as_str(), &args.dtype) {
        return Err(wrong(&format!("its elements are of the type {element}, which NumPy has not; give --dtype")));
    }
    let dtype = DType::from_json(&info["dtype"]).map_err(|error| wrong(&error.to_string()))?;
    let lengths = info["shape"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shape = lengths.iter().map(Value::as_u64).collect::<Option<_>>().ok_or_else(|| wrong("it has no shape"))?;
    let order = match info["order"].as_str() {
        Some("C") => Some(Order::C),
        Some("F") => Some(Order::F),
        _ => None,
    };
    Ok((dtype, shape, order))
}
