//! `afbfs ls`: the arrays in files and folders, as a table or as JSON.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Failure, SourceArgs, print};
use crate::catalog::{Catalog, Problem};
use crate::dtype::DType;
use crate::fs::walk_arrays;
use crate::store::{Limits, Store};

/// The longest type that is written out in the table, in characters.
const WIDEST: usize = 64;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Files and folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print what .afbfs/arrays.json holds
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut entries = Vec::new();
    for path in &args.paths {
        entries.extend(entries_of(path, &args.source_args)?);
    }
    if args.json {
        return print(&serde_json::to_string_pretty(&Value::Array(entries))?);
    }
    let title = ["NAME", "DTYPE", "SHAPE", "ORDER", "FORMAT"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(title).chain(entries.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    for [name, dtype, shape, order, format] in &rows {
        let (w0, w1, w2, w3) = (widths[0], widths[1], widths[2], widths[3]);
        print(format!("{name:w0$}  {dtype:w1$}  {shape:w2$}  {order:w3$}  {format}").trim_end())?;
    }
    Ok(())
}

fn entries_of(path: &Path, source_args: &SourceArgs) -> Result<Vec<Value>, Failure> {
    let catalog = Catalog::open(path, source_args.catalog_options(false), Store::new(Limits::default()))?;
    let mut entries = Vec::new();
    walk_arrays(&catalog, false, &mut |entry| entries.push(entry));
    catalog.walk(&mut |shown, origin| {
        // Of a stack that is not served its row says why.
        if let Err(Problem::Refused(why)) = catalog.survey_of(&origin)
            && catalog.describe(&origin).is_ok()
        {
            eprintln!("afbfs: {shown}: {why}");
        }
    });
    Ok(entries)
}

/// An array's line; of a file that is not served, the reason stands in the place of the format.
fn row(entry: &Value) -> [String; 5] {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    if let Some(error) = entry["error"].as_str() {
        let dash = || "-".to_owned();
        // Of a container it may be one array among many.
        let name = if entry["path"].is_string() { text("path") } else { text("file") };
        return [name, dash(), dash(), dash(), format!("not served: {error}")];
    }
    let dtype = match (&entry["dtype"], entry["element"].as_str()) {
        (_, Some(element)) => element.to_owned(),
        (Value::String(dtype), None) => dtype.clone(),
        (structured, None) => match DType::from_json(structured) {
            Ok(dtype) if dtype.to_string().len() <= WIDEST => dtype.to_string(),
            Ok(dtype) => format!("|V{} of {} fields", dtype.itemsize(), dtype.part_names().len()),
            Err(_) => structured.to_string(),
        },
    };
    let lengths = entry["shape"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shape = if lengths.is_empty() {
        "()".to_owned()
    } else {
        lengths.iter().map(Value::to_string).collect::<Vec<_>>().join("x")
    };
    [text("path"), dtype, shape, text("order"), text("format")]
}
