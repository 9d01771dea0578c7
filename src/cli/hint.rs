//! Names that may have been meant.

use std::path::Path;

use super::check::canonical;
use super::place::Place;
use super::{Failure, SourceArgs};
use crate::form::SUFFIXES;
use crate::name::{NAMES, NoView, View};

/// The name that is nearest to what was typed, if it is near.
pub(super) fn near<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = typed.to_lowercase();
    let names: Vec<&str> = names.into_iter().collect();
    let mut begun = names.iter().filter(|name| lower.len() > 1 && name.to_lowercase().starts_with(&lower));
    if let (Some(whole), None) = (begun.next(), begun.next()) {
        return Some(whole);
    }
    let distance = |name: &&str| strsim::osa_distance(&lower, &name.to_lowercase());
    let (name, distance) =
        names.into_iter().map(|name| (name, distance(&name))).min_by_key(|(_, distance)| *distance)?;
    // Half of a short name may be mistyped; more than three letters make another one.
    (distance <= 3 && 2 * distance <= typed.chars().count()).then_some(name)
}

/// The end of a message: a question, where a name is near.
pub(super) fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    near(typed, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// The message of a path that is none of a view.
pub(super) fn no_view(error: &NoView) -> String {
    let form = |suffix: &str| match did_you_mean(suffix, SUFFIXES.iter().copied()) {
        hint if hint.is_empty() => format!("; the forms are {}", SUFFIXES.join(" ")),
        hint => hint,
    };
    let hint = match error {
        NoView::Unknown(name) => match name.rsplit_once('.') {
            // Its suffix is what is wrong.
            Some(("data", suffix)) => form(suffix),
            _ => match did_you_mean(name, NAMES.iter().copied()) {
                hint if hint.is_empty() => VIEWS.to_owned(),
                hint => hint,
            },
        },
        NoView::Malformed(_, name, _) => match name.rsplit_once('.') {
            Some((_, suffix)) if suffix.starts_with(|first: char| first.is_ascii_alphabetic()) => form(suffix),
            _ => String::new(),
        },
        NoView::Folder(_) | NoView::Behind(_) => String::new(),
    };
    format!("{error}{hint}")
}

const VIEWS: &str = "; there are data, row/I, col/I, axis/K/I, range/R, slice/EXPR, and below T/, field/NAME/, as/DTYPE/ and \
                     value/ the same";

/// Why a source has no file of this path, which `shown` names, and what may have been meant.
pub(super) fn why_missing(source: &Path, source_args: &SourceArgs, path: &str, shown: &str) -> Option<Failure> {
    let place = Place::open(source, source_args).ok()?;
    let (facts, rest) = match place.array(path) {
        Ok(found) => found,
        Err(Failure(why)) => {
            let source = source.display().to_string();
            // It names the source alone.
            let why = why.strip_prefix(&format!("{source}: ")).map_or(why.clone(), |why| format!("{source} {why}"));
            return Some(Failure(format!("{shown}: {why}")));
        }
    };
    let named = |why: String| Failure(format!("{shown}: {why}"));
    match View::parse(rest, SUFFIXES) {
        Ok(view) => canonical(&view, &facts).err().map(named),
        Err(error) => Some(named(no_view(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        for (typed, expected) in [
            ("rwo", Some("row")),
            ("rows", Some("row")),
            ("Row", Some("row")),
            ("clo", Some("col")),
            ("slcie", Some("slice")),
            ("feild", Some("field")),
            ("t", Some("T")),
            // The start of a name, of that name alone.
            ("ran", Some("range")),
            ("sha", Some("shape")),
            ("b", None),
            ("temperature", None),
            ("", None),
        ] {
            assert_eq!(near(typed, NAMES.iter().copied()), expected, "{typed}");
        }
        assert_eq!(near("temprature", ["pressure", "temperature"]), Some("temperature"));
        assert_eq!(did_you_mean("x", ["yes"]), "");
    }
}
