//! `afbfs ls`: the arrays in files and folders, as a table or as JSON.
//!
//! For a screen the rows are kept until their widths are known. For programs each is written as it is found, unless they are
//! to be sorted.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anstyle::Style;
use rustix::io::Errno;
use serde_json::Value;

use super::check::shown_shape;
use super::filter::Filter;
use super::place::{Facts, Place};
use super::style::{FAINT, NAME, TITLE, WRONG, stdout, terminal_width};
use super::table::{self, Column, human, plain};
use super::{Failure, SourceArgs, mounted};
use crate::catalog::{Catalog, Problem};
use crate::fs::walk_arrays;
use crate::store::{Limits, Store};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
On a terminal the table fits its width: long names and types lose their middle, sizes have units of 1024. Otherwise \
nothing is shortened, sizes are bytes, and a tab stands between two cells, for cut, awk -F '\\t' and sort -t \"$(printf '\\t')\". \
Files that are not served come last, and say why in the place of the format.

Examples:
  afbfs ls data
  afbfs ls --dtype float --ndim 2 --sort size --reverse data
  afbfs ls --name 'h*' --min-size 1K data
  afbfs ls data | awk -F '\\t' 'NR > 1 { bytes += $5 } END { print bytes }'
  afbfs ls --errors data
  afbfs ls --json data")]
pub(super) struct Args {
    /// Files and folders, or a mount
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    /// Sort by this, the smallest first; otherwise they come in the order of their paths
    #[arg(long, value_name = "KEY")]
    sort: Option<Key>,
    /// The largest first
    #[arg(short, long, requires = "sort")]
    reverse: bool,
    /// Only what is not served: the file, the reason and the remedy
    #[arg(long)]
    errors: bool,
    /// Print what .afbfs/arrays.json holds
    #[arg(long)]
    json: bool,
    /// Lay the table out for a screen so wide, whatever standard output is; 0: as wide as need be
    #[arg(short, long, value_name = "COLUMNS", conflicts_with = "json")]
    width: Option<usize>,
    #[command(flatten)]
    source_args: SourceArgs,
}

/// What rows are sorted by; those that are alike, by their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Key {
    Path,
    Size,
    Dtype,
    Format,
    Ndim,
}

/// An array, or a file that is not served.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    dtype: String,
    shape: String,
    ndim: usize,
    order: String,
    bytes: u64,
    format: String,
    error: Option<String>,
    /// The entry, where JSON was asked for.
    json: Option<String>,
}

const TITLES: [&str; 6] = ["NAME", "DTYPE", "SHAPE", "ORDER", "SIZE", "FORMAT"];

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut list = List::new(args);
    for path in &args.paths {
        // Where there are several, a name alone would not say of which.
        let prefix = (args.paths.len() > 1).then(|| path.display().to_string());
        list.add(path, prefix.as_deref(), &args.source_args)?;
    }
    list.finish()
}

/// Rows on their way.
struct List<'a> {
    args: &'a Args,
    width: Option<usize>,
    out: io::BufWriter<anstream::AutoStream<io::StdoutLock<'static>>>,
    rows: Vec<Row>,
    refused: Vec<Row>,
    written: usize,
    /// Folders that cannot be read, and why.
    unread: Vec<String>,
}

impl List<'_> {
    fn new(args: &Args) -> List<'_> {
        let width = if args.json { None } else { args.width.or_else(terminal_width) };
        let (rows, refused, unread) = (Vec::new(), Vec::new(), Vec::new());
        List { args, width, out: io::BufWriter::new(stdout()), rows, refused, written: 0, unread }
    }

    fn add(&mut self, path: &Path, prefix: Option<&str>, source_args: &SourceArgs) -> Result<(), Failure> {
        // A folder of a mount holds no array files, but the process behind it knows what it shows.
        if let Some((Place::Mount(point), below)) = Place::of_mount(path)
            && !path.is_file()
        {
            return self.add_mounted(&point, &below, prefix);
        }
        let catalog = Catalog::open(path, source_args.catalog_options(false), Store::new(Limits::default()))?;
        let is_one = catalog.only_file().is_some();
        let mut outcome = Ok(());
        let mut has_stacks = false;
        let unread = walk_arrays(&catalog, false, &mut |entry| {
            has_stacks |= entry["format"] == "stack";
            if outcome.is_ok() {
                outcome = self.take(&entry, "", prefix, is_one);
            }
        });
        let shown = |(folder, error): (PathBuf, Errno)| {
            let folder = if folder.as_os_str().is_empty() { path.to_owned() } else { path.join(folder) };
            format!("{}: {error}", folder.display())
        };
        self.unread.extend(unread.into_iter().map(shown));
        if has_stacks {
            catalog.walk(&mut |shown, origin| {
                // Of a stack that is not served its row says why.
                if let Err(Problem::Refused(why)) = catalog.survey_of(&origin)
                    && catalog.describe(&origin).is_ok()
                {
                    eprintln!("afbfs: {shown}: {why}");
                }
            });
        }
        Ok(outcome?)
    }

    /// Adds the arrays at a path of a mount, or below it.
    fn add_mounted(&mut self, point: &Path, below: &str, prefix: Option<&str>) -> Result<(), Failure> {
        let list = point.join(".afbfs/arrays.json");
        let shown = list.display();
        let text = std::fs::read(&list).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOTCONN) => mounted::died(point),
            Some(libc::EACCES) => Failure(format!("{shown}: {error}: the list is for the user who mounted")),
            _ => Failure(format!("{shown}: {error}")),
        })?;
        let entries: Vec<Value> = serde_json::from_slice(&text)?;
        let mut found = entries.iter().filter(|entry| is_below(name_of(entry), below)).peekable();
        if found.peek().is_none() && !point.join(below).is_dir() {
            return Err(Failure(format!("{}: there is no such array or folder", point.join(below).display())));
        }
        Ok(found.try_for_each(|entry| self.take(entry, below, prefix, false))?)
    }

    /// Takes an entry, whose name is told from the folder `below` on.
    fn take(&mut self, entry: &Value, below: &str, prefix: Option<&str>, is_one: bool) -> io::Result<()> {
        let taken = self.row(entry, below, prefix, is_one);
        if taken.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            // Nobody reads any more, and the walk may take long.
            std::process::exit(0);
        }
        taken
    }

    fn row(&mut self, entry: &Value, below: &str, prefix: Option<&str>, is_one: bool) -> io::Result<()> {
        let Some(mut row) = Row::of(entry, &self.args.filter) else { return Ok(()) };
        let is_it = !below.is_empty() && row.name == below;
        let start = if is_it { below.rfind('/') } else { Some(below.len()).filter(|&len| len > 0) };
        row.name.drain(..start.map_or(0, |slash| slash + 1));
        if self.args.errors && row.error.is_none() {
            return Ok(());
        }
        if let Some(prefix) = prefix {
            row.name = under(prefix, &row.name, is_one || is_it);
        }
        if self.args.json {
            row.json = Some(serde_json::to_string_pretty(entry)?);
        }
        let is_kept = self.width.is_some() || self.args.sort.is_some();
        match row.error {
            Some(_) if !self.args.json => self.refused.push(row),
            _ if is_kept => self.rows.push(row),
            _ => self.write(&row)?,
        }
        Ok(())
    }

    /// Writes a row for programs.
    fn write(&mut self, row: &Row) -> io::Result<()> {
        let is_first = self.written == 0;
        self.written += 1;
        if let Some(json) = &row.json {
            self.out.write_all(if is_first { b"[" } else { b"," })?;
            return json.lines().try_for_each(|line| write!(self.out, "\n  {line}"));
        }
        if is_first {
            writeln!(self.out, "{}", TITLES.join("\t"))?;
        }
        writeln!(self.out, "{}", row.cells(u64::to_string(&row.bytes)).map(|cell| plain(&cell)).join("\t"))
    }

    fn finish(mut self) -> Result<(), Failure> {
        let outcome = self.write_rest().and_then(|()| self.out.flush());
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        match &self.unread[..] {
            [] => Ok(()),
            [folder] => Err(Failure(format!("{folder}; what it holds is not listed"))),
            [first, others @ ..] => {
                Err(Failure(format!("{first}; what it and {} more hold is not listed", others.len())))
            }
        }
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        if let Some(key) = self.args.sort {
            rows.sort_by(|a, b| key.compare(a, b).then_with(|| a.name.cmp(&b.name)));
            if self.args.reverse {
                rows.reverse();
            }
        }
        let refused = std::mem::take(&mut self.refused);
        if self.args.json {
            rows.iter().try_for_each(|row| self.write(row))?;
            return self.out.write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" });
        }
        let Some(width) = self.width else {
            return rows.iter().chain(&refused).try_for_each(|row| self.write(row));
        };
        if !rows.is_empty() {
            write_table(&mut self.out, &rows, width)?;
        }
        write_refused(&mut self.out, &refused, !rows.is_empty())
    }
}

/// Under which name an entry of `arrays.json` is listed.
fn name_of(entry: &Value) -> &str {
    // Of a container it may be one array among many.
    entry["path"].as_str().or(entry["file"].as_str()).unwrap_or_default()
}

/// Whether a name is that of a folder, or lies in it.
fn is_below(name: &str, folder: &str) -> bool {
    let rest = name.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A name below the path that was given for its source.
fn under(prefix: &str, name: &str, is_one: bool) -> String {
    if !is_one {
        return format!("{}/{name}", prefix.trim_end_matches('/'));
    }
    // Of one file, its own name is in the path already.
    match name.split_once('/') {
        Some((_, member)) => format!("{prefix}/{member}"),
        None => prefix.to_owned(),
    }
}

/// Writes arrays for a screen.
pub(super) fn write_table(out: &mut dyn Write, rows: &[Row], width: usize) -> io::Result<()> {
    let column = |title, style, is_right, may_shrink| Column { title, style, is_right, may_shrink };
    let [name, dtype, shape, order, size, format] = TITLES;
    let columns = [
        column(name, NAME, false, true),
        column(dtype, Style::new(), false, true),
        column(shape, Style::new(), false, true),
        column(order, FAINT, false, false),
        column(size, Style::new(), true, false),
        column(format, FAINT, false, false),
    ];
    let cells: Vec<[String; 6]> = rows.iter().map(|row| row.cells(human(row.bytes)).map(|cell| plain(&cell))).collect();
    table::write(out, &columns, &cells, width)
}

fn write_refused(out: &mut dyn Write, refused: &[Row], has_above: bool) -> io::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let above = if has_above { "\n" } else { "" };
    writeln!(out, "{above}{TITLE}Not served:{TITLE:#}")?;
    refused.iter().try_for_each(|row| {
        let (name, why) = (plain(&row.name), row.error.as_deref().unwrap_or_default());
        writeln!(out, "  {WRONG}{name}{WRONG:#}: {}", plain(why))
    })
}

impl Key {
    fn compare(self, a: &Row, b: &Row) -> std::cmp::Ordering {
        match self {
            Key::Path => a.name.cmp(&b.name),
            Key::Size => a.bytes.cmp(&b.bytes),
            Key::Dtype => a.dtype.cmp(&b.dtype),
            Key::Format => a.format.cmp(&b.format),
            Key::Ndim => a.ndim.cmp(&b.ndim),
        }
    }
}

impl Row {
    /// The row of an entry of `arrays.json`, if it is among those that are asked for.
    fn of(entry: &Value, filter: &Filter) -> Option<Row> {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        if let Some(error) = entry["error"].as_str() {
            let row = Row::new(name_of(entry).to_owned(), text("format"), Some(error.to_owned()));
            return filter.has_refused(&row.name, &row.format).then_some(row);
        }
        let facts = Facts::new(entry.clone())?;
        filter.has(&facts).then(|| Row::of_facts(&facts))
    }

    fn new(name: String, format: String, error: Option<String>) -> Row {
        let empty = String::new;
        Row { name, format, error, dtype: empty(), shape: empty(), ndim: 0, order: empty(), bytes: 0, json: None }
    }

    /// The row of an array.
    pub(super) fn of_facts(facts: &Facts) -> Row {
        let text = |key: &str| facts.info[key].as_str().unwrap_or_default().to_owned();
        Row {
            dtype: facts.element.clone().unwrap_or_else(|| facts.dtype.to_string()),
            shape: shown_shape(&facts.shape),
            ndim: facts.shape.len(),
            order: text("order"),
            bytes: facts.bytes(),
            ..Row::new(facts.name.clone(), text("format"), None)
        }
    }

    fn cells(&self, size: String) -> [String; 6] {
        let dash = || "-".to_owned();
        match &self.error {
            Some(error) => [self.name.clone(), dash(), dash(), dash(), dash(), format!("not served: {error}")],
            None => [&self.name, &self.dtype, &self.shape, &self.order, &size, &self.format].map(String::clone),
        }
    }
}
