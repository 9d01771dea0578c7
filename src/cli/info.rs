//! `afbfs info`: everything that is known of an array, and what can be done with it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::check::{in_words, shown_shape};
use super::examples::{Reach, Subject, examples};
use super::ls::{Row, write_table};
use super::place::{Facts, Place};
use super::style::{FAINT, NAME, TITLE, stdout, terminal_width};
use super::table::{human, printable, shortened};
use super::{Failure, SourceArgs};
use crate::catalog::Described;
use crate::convert::{Element, Scaling};
use crate::form::{self, Slice};
use crate::format::physical;
use crate::layout::{Layout, Pick, Selection, Span};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Of a container, and of a folder, the arrays in it are listed; name one behind it. The commands at the end are for this very \
array, and can be run as they stand.

Examples:
  afbfs info data/a.npy
  afbfs info data/log
  afbfs info --json data/a.npy data/hill.npy")]
pub(super) struct Args {
    /// An array file, or a container or folder, and the name of an array in it: a.npy, run.h5/group/x, mnt/a
    #[arg(required = true, value_name = "FILE[/INNER]")]
    paths: Vec<PathBuf>,
    /// Print what info.json holds, and more: members bytes, chunks, physical, views, commands
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for (number, path) in args.paths.iter().enumerate() {
        let found = find(path, &args.source_args)?;
        if args.json {
            match &found {
                Found::Array(report) => reports.push(report.json()),
                Found::Arrays(rows) => reports.extend(rows.iter().map(|facts| facts.info.clone())),
            }
            continue;
        }
        let mut out = io::BufWriter::new(stdout());
        let gap = if number > 0 { "\n" } else { "" };
        let written = out.write_all(gap.as_bytes()).and_then(|()| match found {
            Found::Array(report) => report.write(&mut out),
            Found::Arrays(facts) => {
                writeln!(out, "{TITLE}{}{TITLE:#}: {} arrays", printable(&path.display().to_string()), facts.len())?;
                let rows: Vec<Row> = facts.iter().map(Row::of_facts).collect();
                write_table(&mut out, &rows, terminal_width().unwrap_or(0))
            }
        });
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            outcome => outcome?,
        }
    }
    if args.json { super::print(&serde_json::to_string_pretty(&Value::Array(reports))?) } else { Ok(()) }
}

/// What a path leads to.
enum Found {
    Array(Box<Report>),
    /// Arrays in a container or a folder.
    Arrays(Vec<Facts>),
}

fn find(path: &Path, source_args: &SourceArgs) -> Result<Found, Failure> {
    let (place, inner, reach) = match Place::of_mount(path) {
        Some((place, inner)) => {
            let point = place.shown().to_string();
            (place, inner, Reach::Mounted(point))
        }
        None => {
            let (source, inner) = split(path)?;
            let reach = if source_args.is_plain() { Reach::Source(source.display().to_string()) } else { Reach::File };
            (Place::open(&source, source_args)?, inner, reach)
        }
    };
    // Of one file, its own name is in the path already.
    let name = match place.only() {
        Some(only) if inner.is_empty() => only.to_owned(),
        Some(only) => format!("{only}/{inner}"),
        None => inner.clone(),
    };
    let arrays = |name: &str| -> Vec<Facts> { place.entries(name).into_iter().filter_map(Facts::new).collect() };
    match place.array(&name) {
        Ok((facts, rest)) if rest.trim_matches('/').is_empty() => {
            let described = place.describe(&facts.name);
            Ok(Found::Array(Box::new(Report { shown: path.display().to_string(), facts, described, reach })))
        }
        Ok((facts, rest)) => {
            let shown = path.display();
            Err(Failure(format!(
                "{shown}: `{}` is an array, and `{rest}` a view of it; afbfs expr has views",
                facts.name
            )))
        }
        Err(failure) if !place.is_folder(&name) => Err(failure),
        Err(failure) => match arrays(&name) {
            found if found.is_empty() => Err(failure),
            found => Ok(Found::Arrays(found)),
        },
    }
}

/// The longest part of a path that is there, and the rest.
fn split(path: &Path) -> Result<(PathBuf, String), Failure> {
    let there = |above: &&Path| !above.as_os_str().is_empty() && above.exists();
    let above = path.ancestors().find(there).unwrap_or(Path::new("."));
    let inner = path.strip_prefix(above).unwrap_or(path);
    match inner.to_str() {
        Some(inner) => Ok((above.to_owned(), inner.to_owned())),
        None => Err(Failure(format!("{}: does not exist", path.display()))),
    }
}

/// An array, and how it was reached.
struct Report {
    shown: String,
    facts: Facts,
    described: Option<Described>,
    reach: Reach,
}

/// The scale of the values, where the format has one.
struct Physical {
    dtype: String,
    scaling: Option<Scaling>,
}

impl Report {
    /// Where the elements lie, if they lie in one piece.
    fn layout(&self) -> Option<Layout> {
        let numbers =
            |key: &str| self.facts.info[key].as_array().map(|list| list.iter().filter_map(Value::as_i64).collect());
        let strides: Vec<i64> = numbers("strides")?;
        let offset = self.facts.info["offset"].as_u64()?;
        let layout = Layout { offset, shape: self.facts.shape.clone(), strides, itemsize: self.facts.dtype.itemsize() };
        layout.check().is_ok().then_some(layout)
    }

    /// The file in which the array lies, from the root.
    fn file(&self) -> Option<PathBuf> {
        self.described.as_ref().map(|described| described.description.path.to_path_buf())
    }

    fn chunks(&self) -> Option<Vec<u64>> {
        Some(self.described.as_ref()?.description.array.grid.cell()?.to_vec())
    }

    fn physical(&self) -> Option<Physical> {
        let array = &self.described.as_ref()?.description.array;
        let stored = Element::of(&array.dtype, array.element)?;
        let conversion = physical::values(array, None, stored)?;
        let is_plain = conversion.scaling.is_none() && conversion.from == stored;
        (!is_plain).then(|| Physical { dtype: conversion.to.dtype().0.to_string(), scaling: conversion.scaling })
    }

    /// The forms of the whole array but for the first `count` axes, of which one index is taken.
    fn forms(&self, count: usize) -> Vec<&'static str> {
        let Facts { dtype, element, shape, .. } = &self.facts;
        let selection = Selection::whole(shape, dtype.itemsize());
        if shape.contains(&0) {
            return Vec::new();
        }
        let picks: Vec<Pick> = (shape.iter().enumerate())
            .map(|(axis, &length)| if axis < count { Pick::Index(0) } else { Pick::Span(Span::all(length)) })
            .collect();
        let picked = selection.pick(&picks);
        let (file, whole) = (self.file(), self.layout());
        let layout = whole.map(|whole| picked.place(&whole));
        form::fitting(&Slice {
            dtype,
            element: element.as_deref(),
            shape: picked.shape(),
            is_fortran: layout.as_ref().is_some_and(|layout| layout.is_f_contiguous() && !layout.is_c_contiguous()),
            file: file.as_deref().zip(layout.as_ref()),
            attributes: &self.facts.attributes(),
        })
    }

    /// The forms of the whole array and of parts of it that have others.
    fn views(&self) -> Vec<(&'static str, Vec<String>)> {
        let ndim = self.facts.shape.len();
        let listed = self.facts.info["forms"].as_array().map(Vec::as_slice).unwrap_or_default();
        let whole = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let of = |count: usize| self.forms(count).into_iter().map(str::to_owned).collect::<Vec<String>>();
        let mut views = vec![("whole", whole)];
        if ndim > 2 {
            views.push(("plane", of(ndim - 2)));
        }
        if ndim > 1 {
            views.push(("row", of(ndim - 1)));
        }
        views.retain(|(_, forms)| !forms.is_empty());
        views
    }

    fn commands(&self) -> Vec<super::examples::Example> {
        let layout = self.layout();
        let file = self.file();
        let is_served_in_one = self.chunks().is_none();
        examples(&Subject {
            reach: &self.reach,
            facts: &self.facts,
            layout: layout.as_ref().filter(|_| is_served_in_one),
            file: file.as_deref().and_then(Path::to_str),
        })
    }

    fn json(&self) -> Value {
        let mut info = self.facts.info.clone();
        let (itemsize, bytes) = (self.facts.dtype.itemsize(), self.facts.bytes());
        info["itemsize"] = json!(itemsize);
        info["bytes"] = json!(bytes);
        if let Some(chunks) = self.chunks() {
            info["chunks"] = json!(chunks);
        }
        if let Some(Physical { dtype, scaling }) = self.physical() {
            let (scale, offset) = scaling.as_ref().map_or((1.0, 0.0), |scaling| (scaling.scale, scaling.offset));
            info["physical"] = json!({"dtype": dtype, "scale": scale, "offset": offset, "missing": scaling.map_or(0, |scaling| scaling.missing.len())});
        }
        let views: serde_json::Map<String, Value> =
            self.views().into_iter().map(|(view, forms)| (view.to_owned(), json!(forms))).collect();
        info["views"] = Value::Object(views);
        let commands = self.commands();
        let commands: Vec<Value> =
            commands.iter().map(|example| json!({"what": example.what, "command": example.command})).collect();
        info["commands"] = json!(commands);
        info
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Facts { info, dtype, element, shape, dims, .. } = &self.facts;
        writeln!(out, "{TITLE}{}{TITLE:#}", printable(&self.shown))?;
        let text = |key: &str| info[key].as_str().unwrap_or_default();
        let screen = terminal_width().unwrap_or(usize::MAX);
        let mut line = |key: &str, value: String| -> io::Result<()> {
            // Of lists each line has the name but the first.
            writeln!(out, "  {NAME}{key:13}{NAME:#} {}", shortened(&printable(&value), screen.saturating_sub(16)))
        };
        line("name", self.facts.name.clone())?;
        line("format", text("format").to_owned())?;
        line("dtype", format!("{dtype}: {}", in_words(dtype, element.as_deref())))?;
        let (count, bytes) = (crate::layout::count(shape), self.facts.bytes());
        let axes = if shape.len() == 1 { "1 axis".to_owned() } else { format!("{} axes", shape.len()) };
        line("shape", format!("{}: {axes}, {count} elements", shown_shape(shape)))?;
        if dims.iter().any(|dim| !dim.is_empty()) {
            line(
                "axes",
                dims.iter().enumerate().map(|(axis, dim)| format!("{axis} {dim}")).collect::<Vec<String>>().join(", "),
            )?;
        }
        line("size", if bytes < 1000 { format!("{bytes} bytes") } else { format!("{}: {bytes} bytes", human(bytes)) })?;
        line("file", self.file().map_or_else(|| text("file").to_owned(), |file| file.display().to_string()))?;
        match (self.layout(), self.chunks()) {
            (_, Some(chunks)) => {
                let pieces =
                    shape.iter().zip(&chunks).map(|(&length, &chunk)| length.div_ceil(chunk)).collect::<Vec<u64>>();
                line("pieces", format!("{} of shape {} each", shown_shape(&pieces), shown_shape(&chunks)))?;
            }
            (Some(layout), None) => {
                let extent = layout.extent();
                line("bytes", format!("{} to {} of the file", extent.start, extent.end))?;
                line(
                    "order",
                    match text("order") {
                        "C" => "C: the last index is the fastest in the file".to_owned(),
                        "F" => "F: the first index is the fastest in the file".to_owned(),
                        other => other.to_owned(),
                    },
                )?;
                line("strides", layout.strides.iter().map(i64::to_string).collect::<Vec<String>>().join(" "))?;
            }
            (None, None) => line("bytes", "in pieces".to_owned())?,
        }
        line(
            "writable",
            match (info["writable"].as_bool(), info["read_only"].as_str()) {
                (_, Some(reason)) => format!("no: {reason}"),
                (Some(true), None) => "yes".to_owned(),
                _ => "no: the file cannot be written".to_owned(),
            },
        )?;
        if let Some(Physical { dtype, scaling }) = self.physical() {
            let scale = scaling.map(|Scaling { scale, offset, missing }| {
                let missing = if missing.is_empty() { "" } else { ", and NaN for missing values" };
                format!("stored * {scale:?} + {offset:?}{missing}, ")
            });
            line("value", format!("{}in {dtype}", scale.unwrap_or_default()))?;
        }
        for (view, forms) in self.views() {
            line(&format!("forms: {view}"), forms.join(" "))?;
        }
        for (key, value) in self.facts.attributes() {
            line("attribute", format!("{key}: {value}"))?;
        }
        if let Some(container) = info["container"].as_object() {
            for (key, value) in container {
                line("container", format!("{key}: {value}"))?;
            }
        }
        let commands = self.commands();
        if !commands.is_empty() {
            writeln!(out, "{TITLE}Commands{TITLE:#}")?;
        }
        for example in commands {
            writeln!(out, "  {FAINT}# {}{FAINT:#}\n  {}", example.what, example.command)?;
        }
        Ok(())
    }
}
