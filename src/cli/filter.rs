//! Which arrays `afbfs ls` shows.

use super::hint::did_you_mean;
use super::place::Facts;
use super::size::parse_size;
use crate::convert::{Code, Element};
use crate::dtype::{ByteOrder, DType, Kind, Scalar};
use crate::format::FORMATS;

/// What is asked of an array; of each list one will do.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Filter {
    /// Only arrays of this type, in any byte order unless it names one (f4, >i2, bf16), or of a kind of types: bool, int,
    /// uint, float, complex, number, bytes, str, void, datetime, timedelta, record
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = Wanted::parse)]
    dtype: Vec<Wanted>,
    /// Only arrays of so many axes
    #[arg(long, value_name = "N", value_delimiter = ',')]
    ndim: Vec<usize>,
    /// Only files of this format (npy, hdf5, zarr)
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_format)]
    format: Vec<String>,
    /// Only arrays of at least SIZE bytes (or 64K, 1M, 1G)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    min_size: Option<u64>,
    /// Only arrays of at most SIZE bytes
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// Only arrays whose path matches, with * ? [abc] and **; a pattern without a slash, whose name does
    #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
    name: Vec<glob::Pattern>,
}

/// A type or a kind of types.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Kind(&'static str),
    /// This type, in this order of bytes or in any.
    Type(DType, bool),
    /// What NumPy has no type for.
    Element(String),
}

const KINDS: &[&str] =
    &["bool", "int", "uint", "float", "complex", "number", "bytes", "str", "void", "datetime", "timedelta", "record"];

impl Wanted {
    fn parse(text: &str) -> Result<Wanted, String> {
        if let Some(kind) = KINDS.iter().find(|kind| **kind == text) {
            return Ok(Wanted::Kind(kind));
        }
        match (DType::parse(text), Element::parse(text)) {
            (Ok(dtype), _) => {
                let is_ordered = text.starts_with(['<', '>']) || text.ends_with("be") || text.ends_with("le");
                Ok(Wanted::Type(dtype, is_ordered))
            }
            (Err(_), Some(element)) => Ok(Wanted::Element(element.name())),
            (Err(error), None) => {
                Err(format!("{error}, and kinds are {}{}", KINDS.join(", "), did_you_mean(text, KINDS.iter().copied())))
            }
        }
    }

    fn fits(&self, facts: &Facts) -> bool {
        match self {
            Wanted::Kind(kind) => is_of_kind(kind, &facts.dtype, facts.element.as_deref()),
            Wanted::Element(name) => facts.element.as_ref() == Some(name),
            Wanted::Type(dtype, is_ordered) => facts.element.is_none() && is_alike(dtype, &facts.dtype, *is_ordered),
        }
    }
}

fn is_alike(wanted: &DType, found: &DType, is_ordered: bool) -> bool {
    match (wanted, found) {
        (DType::Scalar(wanted), DType::Scalar(found)) => {
            let order = if is_ordered { found.order } else { wanted.order };
            let order = if wanted.order == ByteOrder::None { ByteOrder::None } else { order };
            // A string or a time of any length or unit, where none is named.
            let itemsize = if wanted.itemsize == 0 { 0 } else { found.itemsize };
            let unit = wanted.unit.as_ref().and(found.unit.clone());
            *wanted == Scalar { order, itemsize, unit, ..found.clone() } && (!is_ordered || wanted.order == found.order)
        }
        _ => wanted == found,
    }
}

fn is_of_kind(kind: &str, dtype: &DType, element: Option<&str>) -> bool {
    let DType::Scalar(scalar) = dtype else { return kind == "record" };
    let named = match scalar.kind {
        Kind::Bytes => "bytes",
        Kind::Unicode => "str",
        Kind::DateTime => "datetime",
        Kind::TimeDelta => "timedelta",
        _ => match Element::of(dtype, element) {
            None => "void",
            Some(element) if element.complex => "complex",
            Some(element) => match element.code {
                Code::Bool => "bool",
                Code::Int(_) => "int",
                Code::Uint(_) => "uint",
                Code::Float(_) | Code::Small(_) | Code::Extended | Code::Ibm => "float",
            },
        },
    };
    kind == named || kind == "number" && matches!(named, "int" | "uint" | "float" | "complex")
}

fn parse_format(text: &str) -> Result<String, String> {
    let names = || FORMATS.iter().map(|format| format.name());
    if names().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let mut all: Vec<&str> = names().collect();
    all.sort_unstable();
    Err(format!("no format is called so{}; there are {}", did_you_mean(text, names()), all.join(" ")))
}

fn parse_glob(text: &str) -> Result<glob::Pattern, String> {
    glob::Pattern::new(text).map_err(|error| error.to_string())
}

impl Filter {
    /// Whether an array is shown.
    pub(super) fn has(&self, facts: &Facts) -> bool {
        let size = facts.bytes();
        (self.dtype.is_empty() || self.dtype.iter().any(|wanted| wanted.fits(facts)))
            && (self.ndim.is_empty() || self.ndim.contains(&facts.shape.len()))
            && self.min_size.is_none_or(|least| size >= least)
            && self.max_size.is_none_or(|most| size <= most)
            && self.has_name(&facts.name, facts.info["format"].as_str().unwrap_or_default())
    }

    /// Whether a file is shown that is not served, and of which no more is known.
    pub(super) fn has_refused(&self, name: &str, format: &str) -> bool {
        let asks_more =
            !self.dtype.is_empty() || !self.ndim.is_empty() || self.min_size.is_some() || self.max_size.is_some();
        !asks_more && self.has_name(name, format)
    }

    fn has_name(&self, path: &str, format: &str) -> bool {
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let last = path.rsplit('/').next().unwrap_or(path);
        let matches = |pattern: &glob::Pattern| {
            pattern.matches_with(if pattern.as_str().contains('/') { path } else { last }, options)
        };
        (self.format.is_empty() || self.format.iter().any(|wanted| wanted == format))
            && (self.name.is_empty() || self.name.iter().any(matches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(wanted: &str, dtype: &str, element: Option<&str>) -> bool {
        let info = serde_json::json!({"path": "a", "dtype": dtype, "shape": [3], "element": element});
        Wanted::parse(wanted).unwrap().fits(&Facts::new(info).unwrap())
    }

    #[test]
    fn types_are_told_by_name_and_by_kind() {
        for (wanted, dtype, expected) in [
            ("f4", "<f4", true),
            ("f4", ">f4", true),
            ("f4", "<f8", false),
            ("<f4", ">f4", false),
            (">f4", ">f4", true),
            ("f4be", ">f4", true),
            ("float32", ">f4", true),
            ("u1", "|u1", true),
            (">u1", "|u1", true),
            ("float", "<f2", true),
            ("float", "<c8", false),
            ("complex", ">c16", true),
            ("int", "|i1", true),
            ("int", "|u1", false),
            ("int", "<M8[s]", false),
            ("datetime", "<M8[s]", true),
            ("M8", "<M8[s]", true),
            ("M8[ns]", "<M8[s]", false),
            ("M8[s]", ">M8[s]", true),
            ("number", "|b1", false),
            ("number", "<u2", true),
            ("bool", "|b1", true),
            ("S5", "|S5", true),
            ("S5", "|S6", false),
            ("S", "|S6", true),
            ("U3", ">U3", true),
            ("void", "|V2", true),
        ] {
            assert_eq!(fits(wanted, dtype, None), expected, "{wanted} of {dtype}");
        }
        assert!(fits("bf16", "|V2", Some("bf16")) && fits("float", "|V2", Some("bf16")));
        assert!(!fits("void", "|V2", Some("bf16")) && !fits("V2", "|V2", Some("bf16")));
        assert!(Wanted::parse("flaot").unwrap_err().contains("did you mean float?"));
        assert!(parse_format("npz").is_ok() && parse_format("hdf").unwrap_err().contains("did you mean hdf5?"));
    }
}
