//! Where rows come from.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use serde_json::{Map, Value};

use super::super::Failure;
use super::super::check::shown_shape;
use super::super::views::{CHUNK, Tree, split};
use super::{Args, Growing, failure};
use crate::dtype::DType;
use crate::form::text::Reader;
use crate::form::{Face, Form, Slice};
use crate::fs::{Access, Source};

/// Rows that are to be added.
pub(super) enum Rows {
    /// Bytes of standard input.
    Bytes,
    /// Text of standard input.
    Text(Box<Reader>),
    /// An array.
    Array { tree: Box<Tree>, data: String },
}

/// Why rows did not come or could not be written.
pub(super) enum Fault {
    /// Something else than the file is at fault.
    Elsewhere(Failure),
    /// The file.
    Here(io::Error),
}

impl Fault {
    /// The failure, where the file has this path.
    pub(super) fn of(self, path: &Path) -> Failure {
        match self {
            Fault::Elsewhere(failure) => failure,
            Fault::Here(error) => failure(path, error),
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault::Elsewhere(failure)
    }
}

impl Rows {
    pub(super) fn new(args: &Args, growing: &Growing) -> Result<Rows, Failure> {
        if let Some(path) = &args.from {
            return array(path, args, growing);
        }
        if !args.text && !args.csv {
            return Ok(Rows::Bytes);
        }
        let attributes = Map::new();
        let dtype = &growing.dtype;
        let slice = Slice { dtype, element: None, shape: &[1], is_fortran: false, file: None, attributes: &attributes };
        let form = Form::of_suffix(if args.csv { "csv" } else { "txt" });
        match form.and_then(|form| form.face(&slice)) {
            Some(Face::Text(face)) => Ok(Rows::Text(Box::new(Arc::new(face).reader(false, u64::MAX)))),
            _ => Err(Failure(format!("{}: elements of the type {dtype} are no text", growing.path.display()))),
        }
    }

    /// Whether a part of a row means that something is wrong with all of it.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self, Rows::Bytes)
    }

    /// Writes all of them to a file, from this byte on, and gives the number of bytes.
    pub(super) fn pour(&mut self, file: &File, start: u64) -> Result<u64, Fault> {
        let mut at = start;
        let mut put = |bytes: &[u8]| {
            file.write_all_at(bytes, at).map_err(Fault::Here)?;
            at += bytes.len() as u64;
            Ok(())
        };
        match self {
            Rows::Bytes => pieces(&mut put)?,
            Rows::Text(reader) => {
                let wrong = |bad: crate::form::text::Bad| {
                    let (line, column, what, token) = (bad.line, bad.column, bad.what, bad.token.escape_debug());
                    Failure(format!(
                        "standard input: line {line}, column {column}: {what}: `{token}`; nothing was added"
                    ))
                };
                let mut elements = Vec::new();
                pieces(&mut |text| {
                    elements.clear();
                    reader.feed(text, &mut elements).map_err(wrong)?;
                    put(&elements)
                })?;
                elements.clear();
                reader.finish_anywhere(&mut elements).map_err(wrong)?;
                put(&elements)?;
            }
            Rows::Array { tree, data } => {
                let handle = tree.open_file(data, Access::default())?;
                loop {
                    // From one mapping or file to the other, by way of the kernel, which may touch what faults.
                    let written = tree.fs.read(handle, at - start, CHUNK, Source::Direct, |bytes| match bytes {
                        [] => Ok(0),
                        _ => rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, at)),
                    });
                    match written.map_err(|error| tree.failure(data, error))? {
                        Ok(0) => break,
                        Ok(count) => at += count as u64,
                        Err(Errno::FAULT) => return Err(tree.failure(data, Errno::IO).into()),
                        Err(error) => return Err(Fault::Here(error.into())),
                    }
                }
                tree.fs.release(handle);
            }
        }
        Ok(at - start)
    }
}

/// Calls `each` with what standard input holds, piece by piece.
fn pieces(each: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut buffer = vec![0; CHUNK];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure(format!("standard input: {error}")).into()),
        }
    }
}

/// The rows of an array, which must be like those that are there.
fn array(path: &Path, args: &Args, growing: &Growing) -> Result<Rows, Failure> {
    let (source, array) = split(path);
    let wrong = |why: String| Failure(format!("--from {}: {why}; nothing was added", path.display()));
    let array = array.to_str().ok_or_else(|| wrong("is not UTF-8".to_owned()))?;
    let tree = Tree::open(&source, &args.source_args)?;
    let info: Value = serde_json::from_str(&tree.text(&format!("{array}/info.json"))?)?;
    let shape: Option<Vec<u64>> = info["shape"].as_array().and_then(|shape| shape.iter().map(Value::as_u64).collect());
    let is_alike = shape.as_ref().and_then(|shape| shape.get(1..)).is_some_and(|row| row == growing.row_shape);
    if !is_alike {
        let (theirs, ours) = (shown_shape(&shape.unwrap_or_default()), shown_shape(&growing.row_shape));
        return Err(wrong(format!("is of shape {theirs}, and rows of shape {ours} are wanted")));
    }
    let dtype = DType::from_json(&info["dtype"]).ok().filter(|_| info["element"].is_null());
    if dtype.as_ref() != Some(&growing.dtype) {
        return Err(wrong(format!(
            "its elements are of another type than {}; name them converted, as in afbfs cat PATH/as/DTYPE/data, which is for a pipe",
            growing.dtype
        )));
    }
    Ok(Rows::Array { tree: Box::new(tree), data: format!("{array}/data") })
}
