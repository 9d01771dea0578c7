//! Descriptions as keys and values: on the command line, and in TOML.

use serde_json::{Map, Value};

use super::Spec;
use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::Refusal;
use crate::layout::{MAX_NDIM, Order};

/// The keys of a description.
const KEYS: &[&str] = &["name", "file", "dtype", "shape", "offset", "order", "strides"];

/// What a description has said so far.
#[derive(Default)]
struct Keys {
    name: Option<String>,
    file: Option<String>,
    dtype: Option<DType>,
    shape: Option<Vec<Option<u64>>>,
    offset: Option<u64>,
    order: Option<Order>,
    strides: Option<Vec<i64>>,
    attributes: Map<String, Value>,
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(message.into()))
}

impl Spec {
    /// The description in an argument of `--array`: `key=value`, separated by commas. A comma within brackets, or
    /// within the quotes around a value, separates nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Spec, Refusal> {
        let mut keys = Keys::default();
        let mut seen: Vec<&str> = Vec::new();
        for item in split(text)? {
            let Some((key, value)) = item.split_once('=') else {
                return refuse(format!("{} is no KEY=VALUE; the keys are {}", excerpt(item), KEYS.join(", ")));
            };
            let key = key.trim();
            if seen.contains(&key) {
                return refuse(format!("the key {} is given twice", excerpt(key)));
            }
            seen.push(key);
            keys.set_text(key, unquote(value.trim()))?;
        }
        keys.finish()
    }

    /// The description in a sidecar, with the same keys in TOML: `shape` and `strides` may also be arrays of
    /// integers, `dtype` the list of a structured type as [`DType::to_json`] writes it. What a table `attributes`
    /// holds goes to the array's attributes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_toml(text: &str) -> Result<Spec, Refusal> {
        Spec::from_table(table(text.as_bytes())?)
    }

    /// The same, of what the TOML says.
    pub(in crate::format) fn from_table(table: toml::Table) -> Result<Spec, Refusal> {
        let mut keys = Keys::default();
        for (key, value) in table {
            keys.set_toml(&key, value)?;
        }
        keys.finish()
    }
}

impl Keys {
    fn set_text(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        match key {
            "name" => self.name = Some(name(value)?),
            "file" => self.file = Some(file(value)?),
            "dtype" => self.dtype = Some(DType::parse(value).map_err(|error| Refusal(error.to_string()))?),
            "shape" => self.shape = Some(shape(value)?),
            "offset" => self.offset = Some(offset(value)?),
            "order" => self.order = Some(order(value)?),
            "strides" => self.strides = Some(strides(value)?),
            _ => return refuse(format!("{} is no key; the keys are {}", excerpt(key), KEYS.join(", "))),
        }
        Ok(())
    }

    fn set_toml(&mut self, key: &str, value: toml::Value) -> Result<(), Refusal> {
        match (key, &value) {
            ("attributes", toml::Value::Table(_)) => {
                if let Value::Object(attributes) = json(value) {
                    self.attributes = attributes;
                }
            }
            ("attributes", _) => return refuse("attributes must be a table"),
            ("dtype", toml::Value::Array(_)) => {
                self.dtype = Some(DType::from_json(&json(value)).map_err(|error| Refusal(error.to_string()))?);
            }
            ("shape" | "strides", toml::Value::Array(lengths)) => {
                let Some(lengths) = lengths.iter().map(toml::Value::as_integer).collect::<Option<Vec<i64>>>() else {
                    return refuse(format!("{key} must be an array of integers, or a string"));
                };
                if key == "shape" {
                    self.shape = Some(open_lengths(lengths.into_iter().map(length))?);
                } else {
                    self.strides = Some(lengths);
                }
            }
            (_, toml::Value::String(text)) if KEYS.contains(&key) => self.set_text(key, text)?,
            ("shape" | "strides" | "offset", toml::Value::Integer(number)) => {
                self.set_text(key, &number.to_string())?
            }
            _ if KEYS.contains(&key) => return refuse(format!("{key} has a value of the wrong kind")),
            _ => {
                let known = KEYS.join(", ");
                return refuse(format!("{} is no key; the keys are {known} and a table attributes", excerpt(key)));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Spec, Refusal> {
        let Some(dtype) = self.dtype else {
            return refuse("it gives no dtype; add one, such as dtype=f4");
        };
        if self.strides.is_some() && self.order.is_some() {
            return refuse("it gives both strides and order; strides alone say where the elements are");
        }
        let shape = self.shape.unwrap_or_else(|| vec![None]);
        if let Some(strides) = self.strides.as_ref().filter(|strides| strides.len() != shape.len()) {
            let (axes, strides) = (shape.len(), strides.len());
            return refuse(format!("it gives {axes} axes and {strides} strides; give one stride for each axis"));
        }
        Ok(Spec {
            name: self.name,
            file: self.file,
            dtype,
            shape,
            offset: self.offset.unwrap_or(0),
            order: self.order.unwrap_or(Order::C),
            strides: self.strides,
            attributes: self.attributes,
        })
    }
}

/// What a text in TOML says.
pub(in crate::format) fn table(bytes: &[u8]) -> Result<toml::Table, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal("it is not UTF-8".into()))?;
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Refusal(format!("it is not valid TOML: line {line}: {}", error.message()))
    })
}

/// The items between the commas that separate.
fn split(text: &str) -> Result<Vec<&str>, Refusal> {
    let mut items = Vec::new();
    let (mut start, mut brackets, mut quote) = (0, 0_usize, None);
    let mut before = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            // A quote within a plain value, as in an apostrophe, is a character like any other.
            (None, '\'' | '"') if brackets > 0 || before == Some('=') => quote = Some(c),
            (None, '[' | '(') => brackets += 1,
            (None, ']' | ')') if brackets > 0 => brackets -= 1,
            (None, ',') if brackets == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        before = Some(c);
    }
    if brackets > 0 || quote.is_some() {
        return refuse(format!("a bracket or quote is not closed in {}; put the value in quotes", excerpt(text)));
    }
    items.push(&text[start..]);
    // A comma at the end is no fault, and nothing at all says only that the dtype is missing.
    items.retain(|item| !item.trim().is_empty());
    Ok(items)
}

/// What stands between the quotes of a value that has them.
fn unquote(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote));
    inside('\'').or_else(|| inside('"')).unwrap_or(value)
}

fn name(text: &str) -> Result<String, Refusal> {
    if matches!(text, "" | "." | "..") || text.contains(['/', '\0']) {
        return refuse(format!("{} is no name of an array: it must be one folder's name", excerpt(text)));
    }
    Ok(text.into())
}

fn file(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.contains('\0') {
        return refuse(format!("{} is no path of a file", excerpt(text)));
    }
    Ok(text.into())
}

fn order(text: &str) -> Result<Order, Refusal> {
    match text {
        "C" | "c" => Ok(Order::C),
        "F" | "f" => Ok(Order::F),
        _ => refuse(format!("{} is no order; it is C (last index fastest) or F (first index fastest)", excerpt(text))),
    }
}

fn offset(text: &str) -> Result<u64, Refusal> {
    match text.parse::<u64>() {
        Ok(offset) if i64::try_from(offset).is_ok() && !text.starts_with('+') => Ok(offset),
        _ => refuse(format!("{} is no offset; it is a number of bytes from the start of the file", excerpt(text))),
    }
}

/// The parts of `100x200`, also written `(100, 200)`.
fn parts(text: &str) -> Vec<&str> {
    let bare = text.trim();
    let inside = bare.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let inside = inside.or_else(|| bare.strip_prefix('[').and_then(|text| text.strip_suffix(']')));
    let (bare, bracketed) = (inside.unwrap_or(bare).trim(), inside.is_some());
    if bare == "scalar" || (bracketed && bare.is_empty()) {
        return Vec::new();
    }
    let bare = if bracketed { bare.strip_suffix(',').unwrap_or(bare) } else { bare };
    bare.split(if bracketed && bare.contains(',') { ',' } else { 'x' }).map(str::trim).collect()
}

/// The lengths in `100x200`, also written `(100, 200)`; nothing for one of them that is `?` or `-1`.
///
/// # Errors
/// What is wrong with it.
pub fn shape(text: &str) -> Result<Vec<Option<u64>>, Refusal> {
    open_lengths(parts(text).into_iter().map(|part| match part {
        "?" => Ok(None),
        _ if part.starts_with('+') => refuse(no_shape(text)),
        _ => part.parse().map_err(|_| Refusal(no_shape(text))).and_then(length),
    }))
}

fn no_shape(text: &str) -> String {
    format!("{} is no shape; it is written 100x200, with ? for one axis that the file's length decides", excerpt(text))
}

/// The length of an axis, -1 standing for one that the file's length decides.
fn length(number: i64) -> Result<Option<u64>, Refusal> {
    match number {
        -1 => Ok(None),
        _ => match u64::try_from(number) {
            Ok(length) => Ok(Some(length)),
            Err(_) => refuse(format!("the shape has an axis of negative length ({number})")),
        },
    }
}

/// A shape with at most one open axis.
fn open_lengths(lengths: impl Iterator<Item = Result<Option<u64>, Refusal>>) -> Result<Vec<Option<u64>>, Refusal> {
    let lengths: Vec<_> = lengths.collect::<Result<_, _>>()?;
    if lengths.len() > MAX_NDIM {
        return refuse(format!("the shape has {} axes, more than {MAX_NDIM}", lengths.len()));
    }
    if lengths.iter().filter(|length| length.is_none()).count() > 1 {
        return refuse("the shape leaves more than one axis open; give all but one");
    }
    Ok(lengths)
}

fn strides(text: &str) -> Result<Vec<i64>, Refusal> {
    let stride = |part: &str| part.parse().ok().filter(|_| !part.starts_with('+'));
    parts(text).into_iter().map(stride).collect::<Option<_>>().ok_or_else(|| {
        Refusal(format!("{} are no strides; they are written 800x8, in bytes, one for each axis", excerpt(text)))
    })
}

/// A TOML value as JSON. What JSON lacks, moments and numbers that are not finite, becomes a string.
pub(in crate::format) fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) if number.is_finite() => Value::from(number),
        toml::Value::Float(number) => Value::String(number.to_string()),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(json).collect()),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect()),
    }
}
