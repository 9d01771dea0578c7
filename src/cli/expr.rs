//! `afbfs expr`: the NumPy expression of a path.

use std::path::{Path, PathBuf};

use super::hint::no_view;
use super::path::checked;
use super::place::{Facts, Place};
use super::{Failure, SourceArgs, print};
use crate::convert::{Code, Conversion, Element};
use crate::form::SUFFIXES;
use crate::format::physical;
use crate::name::{self, PathError, Step, View};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
It is Python for an array of that name: the bytes of the file are those of EXPRESSION.tobytes(). A form stands behind it as \
a comment. Without --source, and outside of mounts of afbfs, only the path is looked at. Otherwise it must be there, and the \
expression is the canonical one.

Examples:
  afbfs expr a/slice/2,::2               # prints a[2, ::2]
  afbfs expr log/field/at/T/row/0        # prints log['at'].T[0]
  afbfs expr a/as/f4/row/0               # prints a.astype('f4')[0]
  afbfs expr a/row/0.npy                 # prints a[0]  # .npy: numpy.save of it
  afbfs expr --source data a/T/row/-1    # prints a[:, 5]")]
pub(super) struct Args {
    /// Paths of files in the tree, as below a mount, or in one
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Check them against the arrays of this folder or file
    #[arg(short, long, value_name = "SOURCE")]
    source: Option<PathBuf>,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let place = match &args.source {
        Some(source) => Some(Place::open(source, &args.source_args)?),
        None => None,
    };
    args.paths.iter().try_for_each(|path| {
        let mounted;
        let (place, inner) = match &place {
            Some(place) => (Some(place), path.clone()),
            None => match Place::of_mount(Path::new(path)) {
                Some((found, inner)) => {
                    mounted = found;
                    (Some(&mounted), inner)
                }
                None => (None, path.clone()),
            },
        };
        let (text, form) = match place {
            Some(place) => of_place(place, path, &inner)?,
            None => of_text(path)?,
        };
        print(&match form.as_deref() {
            None | Some("raw") => text,
            Some("npy") => format!("{text}  # .npy: numpy.save of it"),
            Some(form) => format!("{text}  # .{form}"),
        })
    })
}

type Found = Result<(String, Option<String>), Failure>;

fn of_text(path: &str) -> Found {
    let failed = |why: String| Failure(format!("{path}: {why}"));
    let (_, view) = name::split(path, SUFFIXES).map_err(|error| failed(no_view(&error)))?;
    let text = name::expression_of(path, SUFFIXES).map_err(|error| failed(error.to_string()))?;
    Ok((text, view.form))
}

fn of_place(place: &Place, path: &str, inner: &str) -> Found {
    let failed = |why: String| Failure(format!("{path}: {why}"));
    let (facts, rest) = place.array(inner)?;
    let view = View::parse(rest, SUFFIXES).map_err(|error| failed(no_view(&error)))?;
    let view = checked(place, &facts, &view, rest).map_err(failed)?;
    // As it was written, up to the array's name: it may lie in a mount.
    let before = path.strip_suffix(inner).unwrap_or_default();
    let name = format!("{before}{}", facts.name);
    let value = |text: &str| value_of(place, &facts, &view, text).map_err(PathError::new);
    let text = view.expression(&name, value).map_err(|error| failed(error.to_string()))?;
    name::check_end(&name).map_err(|error| failed(error.to_string()))?;
    Ok((text, view.form))
}

/// What `value/` makes of an array, as NumPy code.
fn value_of(place: &Place, facts: &Facts, view: &View, text: &str) -> Result<String, String> {
    let described = place.describe(&facts.name);
    let described = described.ok_or("the scale of `value`, a mount does not tell: name its folder with --source")?;
    let array = &described.description.array;
    let (mut dtype, mut element, mut field) = (array.dtype.clone(), array.element, None);
    for step in &view.steps {
        if let Step::Field(name) | Step::Part(name) = step {
            let part = dtype.part(name).ok_or_else(|| format!("there is no field {name}"))?;
            (dtype, element) = (part.dtype, None);
            field.get_or_insert(name.as_str());
        }
    }
    let stored = Element::of(&dtype, element).ok_or("the elements are no numbers")?;
    let Some(Conversion { from, to, scaling, .. }) = physical::values(array, field, stored) else {
        return Err("no one scale holds for the whole array".to_owned());
    };
    let mut text = text.to_owned();
    if element.is_some() {
        text = match name::numpy_name(&stored.name()) {
            Ok(foreign) => format!("{text}.view({foreign})"),
            Err(error) => return Err(error.to_string()),
        };
    } else if from != stored {
        text = format!("{text}.view('{}')", from.dtype().0);
    }
    let shown = to.dtype().0;
    let Some(scaling) = scaling else { return Ok(format!("{text}.astype('{shown}')")) };
    let missing: Vec<String> = scaling.missing.iter().map(|bytes| number(bytes, from)).collect();
    let scaled = format!("{text}.astype('<f8') * {:?} + {:?}", scaling.scale, scaling.offset);
    let value = match missing.as_slice() {
        [] => format!("({scaled})"),
        _ => format!("numpy.where(numpy.isin({text}, [{}]), numpy.nan, {scaled})", missing.join(", ")),
    };
    Ok(if to.code == Code::Float(8) { value } else { format!("{value}.astype('{shown}')") })
}

/// A stored number, as Python writes it.
fn number(bytes: &[u8], stored: Element) -> String {
    let code = match stored.code {
        Code::Int(_) => Code::Int(8),
        Code::Uint(_) | Code::Bool => Code::Uint(8),
        _ => Code::Float(8),
    };
    let mut wide = [0; 8];
    Conversion::new(stored, Element::new(code, false)).read(bytes, &mut wide);
    match code {
        Code::Int(_) => i64::from_le_bytes(wide).to_string(),
        Code::Uint(_) => u64::from_le_bytes(wide).to_string(),
        _ => match f64::from_le_bytes(wide) {
            number if number.is_finite() => format!("{number:?}"),
            number => format!("float('{number}')"),
        },
    }
}
