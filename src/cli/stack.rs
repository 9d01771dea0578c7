//! `afbfs stack`: sidecars that make one array of many files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Failure, absolute, print};
use crate::catalog::{Catalog, Options, Problem, Survey};
use crate::dtype::DType;
use crate::format::stack::{MAX_SIDECAR, Plan, SIDECAR, shape_text};
use crate::store::{Limits, Store};
use crate::unpack::Pending;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Every member is looked at, and one that is not like the others is named. FILES are written into OUT as they are given; \
with --pattern, files may be missing, also later.

Examples:
  afbfs stack series.afb.toml --pattern 't{0000..8759}.npy' --dim time
  afbfs stack volume.afb.toml slice_*.tif --new-axis 2
  afbfs stack years.afb.toml y1999.npy y2000.npy y2001.npy --axis 0
  afbfs stack --check series.afb.toml")]
pub(super) struct Args {
    /// The sidecar to be written, NAME.afb.toml, in the folder of the files or above them
    #[arg(value_name = "OUT", value_parser = sidecar)]
    out: PathBuf,
    /// The members in order: files, or arrays in containers (x.h5/group/a)
    #[arg(conflicts_with_all = ["pattern", "check"])]
    files: Vec<PathBuf>,
    /// The members by a pattern, from the folder of OUT: t{0000..8759}.npy, or 'slice_*.tif'
    #[arg(long, value_name = "P", conflicts_with = "check")]
    pattern: Option<String>,
    /// Stack them along a new axis, of this number in the whole (0 if nothing is said)
    #[arg(long, value_name = "K", allow_negative_numbers = true, conflicts_with = "axis")]
    new_axis: Option<i64>,
    /// Let them follow each other along this axis of theirs
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    axis: Option<i64>,
    /// Name of the new axis
    #[arg(long, value_name = "NAME", conflicts_with = "axis")]
    dim: Option<String>,
    /// Take a part of each member, such as '0, ::2'
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    select: Option<String>,
    /// Take each member with its axes in reverse order
    #[arg(long)]
    transpose: bool,
    /// What missing members read as, in TOML: 0, nan, \"text\" (by default NaN, NaT or zeros)
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    fill: Option<String>,
    /// Write nothing: look at every member of OUT
    #[arg(long, conflicts_with_all = ["new_axis", "axis", "dim", "select", "transpose", "fill", "force"])]
    check: bool,
    /// Replace OUT if it is there
    #[arg(short, long)]
    force: bool,
}

fn sidecar(text: &str) -> Result<PathBuf, String> {
    match text.strip_suffix(SIDECAR) {
        Some(stem) if !stem.is_empty() && !stem.ends_with('/') => Ok(PathBuf::from(text)),
        _ => Err(format!("a sidecar is called NAME{SIDECAR}")),
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let out = absolute(&args.out);
    let (Some(folder), Some(name)) = (out.parent(), out.file_name()) else {
        return Err(Failure::new(format!("{}: is no file", args.out.display())));
    };
    let shown = args.out.display();
    let catalog = Catalog::open(folder, Options::default(), Store::new(Limits::default()))?;
    let survey = |plan: &Plan, learn| {
        catalog.survey(Path::new(name), plan, learn).map_err(|problem| match problem {
            Problem::Refused(why) => Failure::new(format!("{shown}: {why}")),
            Problem::Errno(error) => Failure::new(format!("{shown}: {error}")),
        })
    };
    let parse = |text: &[u8]| Plan::from_toml(text).map_err(|why| Failure::new(format!("{shown}: {why}")));
    if args.check {
        let text = std::fs::read(&args.out).map_err(|error| Failure::new(format!("{shown}: {error}")))?;
        return report(&args.out, &survey(&parse(&text)?, false)?);
    }
    let text = described(args, folder)?;
    let found = survey(&parse(text.as_bytes())?, true)?;
    let text = text + &learned(&found);
    if text.len() as u64 > MAX_SIDECAR {
        let remedy = "name the files by --pattern";
        return Err(Failure::new(format!(
            "{shown}: would be longer than the {MAX_SIDECAR} bytes that are read; {remedy}"
        )));
    }
    // What is written is what will be read.
    parse(text.as_bytes())?;
    let (pending, mut file) = Pending::file(&args.out, args.force)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    drop(file);
    pending.finish()?;
    report(&args.out, &found)
}

/// What the arguments say, in TOML.
fn described(args: &Args, folder: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    match &args.pattern {
        Some(pattern) => line("files", &json!(pattern)),
        None => {
            let names = args.files.iter().map(|file| member(file, folder)).collect::<Result<Vec<String>, Failure>>()?;
            let names: Vec<String> = names.iter().map(|name| format!("    {},\n", json!(name))).collect();
            line("files", &format!("[\n{}]", names.concat()));
        }
    }
    match (args.axis, args.new_axis) {
        (Some(axis), _) => line("axis", &axis),
        (None, axis) => line("new_axis", &axis.unwrap_or(0)),
    }
    if let Some(dim) = &args.dim {
        line("dim", &json!(dim));
    }
    if let Some(select) = &args.select {
        line("select", &json!(select));
    }
    if args.transpose {
        line("transpose", &true);
    }
    if let Some(fill) = &args.fill {
        if fill.contains('\n') {
            return Err(Failure::new("--fill: is no value of TOML"));
        }
        line("fill", fill);
    }
    Ok(text)
}

/// What was found out about the members, in TOML.
fn learned(Survey { member, lengths, .. }: &Survey) -> String {
    let mut text = String::new();
    // A type that NumPy has not cannot be said.
    if member.element.is_none() {
        let dtype = match &member.dtype {
            DType::Scalar(_) => json!(member.dtype.to_string()),
            DType::Record(_) => member.dtype.to_json(),
        };
        let _ = writeln!(text, "dtype = {dtype}\nshape = {}", json!(member.shape));
    }
    if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
        let runs: Vec<Value> = lengths
            .chunk_by(|a, b| a == b)
            .map(|run| if run.len() == 1 { json!(run[0]) } else { json!([run[0], run.len()]) })
            .collect();
        let _ = writeln!(text, "lengths = {}", Value::Array(runs));
    }
    text
}

/// The path of a member from the folder of the sidecar.
fn member(file: &Path, folder: &Path) -> Result<String, Failure> {
    let outside = || {
        let (file, folder) = (file.display(), folder.display());
        Failure::new(format!(
            "{file}: does not lie in {folder}, where the sidecar is to be; put that above all members"
        ))
    };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = absolute(file);
    let within = path.strip_prefix(folder).map(Path::to_owned).or_else(|_| {
        // By another way to the same folder; the file itself may be a link.
        let parent = path.parent().map(real).unwrap_or_default();
        parent.join(path.file_name().unwrap_or_default()).strip_prefix(real(folder)).map(Path::to_owned)
    });
    let within = within.map_err(|_| outside())?;
    let name = within.to_str().ok_or_else(|| Failure::new(format!("{}: is not UTF-8; rename it", file.display())))?;
    if name.split('/').any(|part| part == "..") { Err(outside()) } else { Ok(name.to_owned()) }
}

fn report(out: &Path, Survey { member, lengths, missing, count }: &Survey) -> Result<(), Failure> {
    let (shape, dtype) = (shape_text(&member.shape), &member.dtype);
    let uneven = if lengths.windows(2).any(|pair| pair[0] != pair[1]) { ", of unequal lengths" } else { "" };
    let missing = match &missing[..] {
        [] => String::new(),
        [one] => format!("; {one} is missing"),
        [first, .., last] => format!("; {} are missing, {first} to {last}", missing.len()),
    };
    print(&format!("{}: {count} members of {dtype} {shape}{uneven}{missing}", out.display()))
}
