//! `afbfs path`: the path of a NumPy expression.

use std::path::{Path, PathBuf};

use super::check::canonical;
use super::place::{Facts, Place};
use super::{Failure, SourceArgs, print};
use crate::name::{self, View};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without --source, and where the array's name does not lead into a mount of afbfs, only the expression is looked at. Otherwise \
the array must be there, with as many axes, indices and fields, and the path is the canonical one.

Examples:
  afbfs path 'a[2, ::2]'                   # prints a/slice/2,::2
  afbfs path \"log['at'].T[0]\"              # prints log/field/at/T/row/0
  afbfs path \"a[3, ::2].T.astype('f4')\"    # prints a/T/as/f4/slice/...,::2,3
  afbfs path --source data 'a[-1, :]'      # prints a/row/3")]
pub(super) struct Args {
    /// The expression, such as 'a[42, ::2]', "a['x'].T[3]" or 'mnt/a[..., 0]'
    expression: String,
    /// Check it against the arrays of this folder or file
    #[arg(short, long, value_name = "SOURCE")]
    source: Option<PathBuf>,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let expression = &args.expression;
    let failed = |why: String| Failure(format!("{expression}: {why}"));
    let (name, view) = name::view_of(expression).map_err(|error| failed(error.to_string()))?;
    let (place, inner) = match &args.source {
        Some(source) => (Place::open(source, &args.source_args)?, name.clone()),
        None => match Place::of_mount(Path::new(&name)) {
            Some(found) => found,
            None => return print(&format!("{name}/{}", view.path())),
        },
    };
    let (facts, rest) = place.array(&inner)?;
    if !rest.trim_matches('/').is_empty() {
        return Err(failed(format!(
            "`{}` is the array, and `{rest}` lies in its folder: write only its name",
            facts.name
        )));
    }
    let view = checked(&place, &facts, &view, "data").map_err(failed)?;
    // As it was written, up to the array's name.
    let before = name.strip_suffix(&inner).filter(|_| args.source.is_none()).unwrap_or_default();
    print(&format!("{before}{}/{}", facts.name, view.path()))
}

/// The canonical view, if it is there; and so must be the path as it was given.
pub(super) fn checked(place: &Place, facts: &Facts, view: &View, given: &str) -> Result<View, String> {
    let view = canonical(view, facts)?;
    for path in [given, &view.path()] {
        if !place.has(&format!("{}/{path}", facts.name)) {
            return Err(match &view.form {
                Some(form) => format!("the form .{form} is for {}, which this slice is not", crate::form::wants(form)),
                None => format!("{}: has no {path}", facts.name),
            });
        }
    }
    Ok(view)
}
