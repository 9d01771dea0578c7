//! A path below an array's folder, as what it says: steps down, indices, a form. The way back from a path to a NumPy
//! expression.
//!
//! ```text
//! path   = {step "/"} leaf
//! step   = "T" | "value" | "field/" NAME | "as/" DTYPE
//! leaf   = "data" FORM | ("row/" | "col/" | "range/" | "axis/" K "/") item FORM | "slice/" expr FORM | FACT
//! ```
//!
//! | path               | expression       |
//! |--------------------|------------------|
//! | `T`                | `.T`             |
//! | `field/x`          | `['x']`          |
//! | `field/real`       | `.real`          |
//! | `as/f4`            | `.astype('f4')`  |
//! | `slice/3,::2`      | `[3, ::2]`       |
//! | `axis/-2/3`        | `[..., 3, :]`    |
//! | `range/5:9`        | `.ravel()[5:9]`  |
//! | `shape`            | `.shape`         |
//!
//! Where the array's name ends is not written in a path: [`split`] takes the shortest name behind which the rest is a view, so
//! that `T/T/data` is the transpose of `T`.

use super::numpy::{numpy_name, quote};
use super::path::{Item, PathError, check_end, refuse};
use super::unescape;

/// A step down to a folder with the same tree below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `T`.
    Transpose,
    /// `field/NAME`: a field of a record.
    Field(String),
    /// `field/real` and `field/imag`, which are fields of a record where that has some of these names.
    Part(String),
    /// `as/DTYPE`.
    As(String),
    /// `value`.
    Value,
}

/// The file in a tree of views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// What is picked of each axis, whole axes at the end left out; nothing for `data`.
    Indexed(Vec<Item>),
    /// A range of the elements in C order.
    Flat(Item),
    /// An item of an axis that is called by its name.
    Named(String, Item),
    /// A small file about the array.
    Fact(String),
}

/// A file below an array's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The folders, outermost first.
    pub steps: Vec<Step>,
    /// The file in the last of them.
    pub leaf: Leaf,
    /// The suffix of its name, without the dot.
    pub form: Option<String>,
    /// So many axes were written, at least: those at the end that are picked whole are among them, and not in `leaf`.
    pub axes: usize,
}

/// The names that stand in an array's folder.
pub const NAMES: &[&str] = &[
    "data",
    "row",
    "col",
    "axis",
    "range",
    "slice",
    "T",
    "field",
    "as",
    "value",
    "info.json",
    "dtype",
    "shape",
    "strides",
    "offset",
    "order",
    "format",
    "itemsize",
    "ndim",
    "size",
];

const FACTS: &[&str] =
    &["info.json", "dtype", "shape", "strides", "offset", "order", "format", "itemsize", "ndim", "size"];

/// Why a path is none of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoView {
    /// It ends at a folder: what is missing there, with an example.
    Folder(&'static str),
    /// A name that stands in no array's folder.
    Unknown(String),
    /// A name in one of the folders of views that says nothing there: the folder, the name, and what names there look like.
    Malformed(&'static str, String, &'static str),
    /// What comes behind a file.
    Behind(String),
}

impl std::fmt::Display for NoView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(missing) => write!(f, "is a folder; name a file in it, such as {missing}"),
            Self::Unknown(name) => write!(f, "no view is called `{name}`"),
            Self::Malformed(folder, name, names) => write!(f, "`{name}` means nothing in {folder}/; there are {names}"),
            Self::Behind(rest) => write!(f, "`{rest}` stands behind a file, which has nothing below it"),
        }
    }
}

const RANGES: &str = "indices (3, -1) and ranges (2:9, ::2, 2..9)";

impl View {
    /// What a path below an array's folder says; `forms` are the suffixes that there are.
    ///
    /// # Errors
    /// The first name that no array has.
    pub fn parse(path: &str, forms: &[&str]) -> Result<View, NoView> {
        let mut names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
        let mut steps = Vec::new();
        let (leaf, form, axes) = loop {
            let Some(name) = names.next() else { return Err(NoView::Folder("data or row/0")) };
            match name {
                "T" => steps.push(Step::Transpose),
                "value" => steps.push(Step::Value),
                "as" => steps.push(Step::As(names.next().ok_or(NoView::Folder("f4/data"))?.to_owned())),
                "field" => steps.push(field(names.next().ok_or(NoView::Folder("NAME/data"))?)?),
                "row" | "col" | "range" | "axis" | "slice" => break leaf(name, &mut names, forms)?,
                _ if FACTS.contains(&name) => break (Leaf::Fact(name.to_owned()), None, 0),
                _ => match super::split_form(name, forms) {
                    ("data", form) => break (Leaf::Indexed(Vec::new()), form.map(str::to_owned), 0),
                    _ => return Err(NoView::Unknown(name.to_owned())),
                },
            }
        };
        let rest: Vec<&str> = names.collect();
        if rest.is_empty() { Ok(View { steps, leaf, form, axes }) } else { Err(NoView::Behind(rest.join("/"))) }
    }

    /// The path below the array's folder: of several, the simplest.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.steps {
            path += &match step {
                Step::Transpose => "T/".to_owned(),
                Step::Value => "value/".to_owned(),
                Step::As(name) => format!("as/{name}/"),
                Step::Field(name) | Step::Part(name) => format!("field/{}/", super::escape(name.as_bytes())),
            };
        }
        match &self.leaf {
            Leaf::Indexed(items) => path += &indexed(items),
            Leaf::Flat(Item::Whole) => path += "data",
            Leaf::Flat(range) => path += &format!("range/{}", range.as_str()),
            Leaf::Named(axis, item) => path += &format!("axis/{}/{}", super::escape(axis.as_bytes()), item.as_str()),
            Leaf::Fact(fact) => path += fact,
        }
        if let Some(form) = &self.form {
            path.push('.');
            path += form;
        }
        path
    }

    /// The NumPy expression of the elements, whatever the form; `value` writes what `value/` makes of an expression.
    ///
    /// # Errors
    /// What NumPy has no expression for, and what there is instead.
    pub fn expression(
        &self,
        name: &str,
        value: impl Fn(&str) -> Result<String, PathError>,
    ) -> Result<String, PathError> {
        let mut text = name.to_owned();
        for step in &self.steps {
            match step {
                Step::Transpose => text += ".T",
                Step::Field(name) => text += &format!("[{}]", quote(name)),
                Step::Part(name) => text += &format!(".{name}"),
                Step::As(name) => text += &format!(".astype({})", numpy_name(name)?),
                Step::Value => text = value(&text)?,
            }
        }
        match &self.leaf {
            Leaf::Indexed(items) if items.is_empty() => {}
            Leaf::Indexed(items) => {
                let items: Vec<&str> = items.iter().map(Item::as_str).collect();
                text += &format!("[{}]", items.join(", "));
            }
            Leaf::Flat(Item::Whole) => text += ".ravel()",
            Leaf::Flat(range) => text += &format!(".ravel()[{}]", range.as_str()),
            Leaf::Named(axis, _) => {
                return refuse(format!("which axis `{axis}` is, the array says: name its folder with --source"));
            }
            Leaf::Fact(fact) => match fact.as_str() {
                "dtype" => text += ".dtype.str",
                "shape" | "strides" | "itemsize" | "ndim" | "size" => text += &format!(".{fact}"),
                _ => return refuse(format!("`{fact}` is a fact about the file, of which NumPy knows nothing")),
            },
        }
        Ok(text)
    }
}

/// Splits a path into the array's name and the view of it.
///
/// # Errors
/// If it ends in no view.
pub fn split(path: &str, forms: &[&str]) -> Result<(String, View), NoView> {
    let mut first = None;
    for (slash, _) in path.match_indices('/').filter(|(slash, _)| !path[..*slash].trim_matches('/').is_empty()) {
        match View::parse(&path[slash + 1..], forms) {
            Ok(view) => return Ok((path[..slash].trim_end_matches('/').to_owned(), view)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(NoView::Folder("data or row/0")))
}

/// The NumPy expression of a path, over an array that is named as below the mount; the way back of
/// [`path_of`](super::path_of).
///
/// ```
/// assert_eq!(afbfs::name::expression_of("sub/a/field/x/col/7", &["npy"]).unwrap(), "sub/a['x'][:, 7]");
/// ```
///
/// # Errors
/// Where it is no path of a view, or there is no such expression.
pub fn expression_of(path: &str, forms: &[&str]) -> Result<String, PathError> {
    let (name, view) = split(path, forms).map_err(|error| PathError::new(error.to_string()))?;
    let text = view.expression(&name, |_| {
        refuse("the scale and the offset of `value`, the array says: name its folder with --source")
    })?;
    check_end(&name)?;
    Ok(text)
}

fn field(name: &str) -> Result<Step, NoView> {
    let real = unescape(name).and_then(|real| String::from_utf8(real.into_owned()).ok());
    let names = "names of fields, escaped where they fit no file name";
    let real = real.ok_or_else(|| NoView::Malformed("field", name.to_owned(), names))?;
    Ok(if matches!(&*real, "real" | "imag") { Step::Part(real) } else { Step::Field(real) })
}

/// The view of a folder of them, which the names go on to say.
fn leaf<'a>(
    folder: &str,
    names: &mut impl Iterator<Item = &'a str>,
    forms: &[&str],
) -> Result<(Leaf, Option<String>, usize), NoView> {
    let axis = match folder {
        "axis" => Some(names.next().ok_or(NoView::Folder("0/3"))?),
        _ => None,
    };
    let name = names.next().ok_or(NoView::Folder(if folder == "slice" { "0,::2" } else { "0 or 2:9" }))?;
    let (text, form) = super::split_form(name, forms);
    let malformed = |folder, what| NoView::Malformed(folder, text.to_owned(), what);
    let item = |folder| Item::of_name(text).ok_or_else(|| malformed(folder, RANGES));
    let items = match (folder, axis) {
        ("row", _) => vec![item("row")?],
        ("col", _) => vec![Item::Whole, item("col")?],
        ("range", _) => return Ok((Leaf::Flat(item("range")?), form.map(str::to_owned), 0)),
        (_, Some(axis)) => match Item::of_name(axis) {
            Some(Item::Index(number)) => on_axis(&number, item("axis")?),
            _ => return Ok((Leaf::Named(axis_name(axis)?, item("axis")?), form.map(str::to_owned), 0)),
        },
        (_, None) => {
            let what = "indices, ranges and one `...`, separated by commas";
            let items: Option<Vec<Item>> = text.split(',').map(Item::of_name_or_dots).collect();
            let items = items.filter(|items| items.iter().filter(|&item| *item == Item::Ellipsis).count() < 2);
            items.ok_or_else(|| malformed("slice", what))?
        }
    };
    let axes = axes_of(&items);
    Ok((Leaf::Indexed(trimmed(items)), form.map(str::to_owned), axes))
}

/// So many axes do these items stand for, at least.
pub(super) fn axes_of(items: &[Item]) -> usize {
    items.iter().filter(|&item| *item != Item::Ellipsis).count()
}

fn axis_name(name: &str) -> Result<String, NoView> {
    let real = unescape(name).and_then(|real| String::from_utf8(real.into_owned()).ok());
    real.ok_or_else(|| NoView::Malformed("axis", name.to_owned(), "numbers and names of axes"))
}

/// No array has more axes, so that a larger number names none of any.
const MOST_AXES: usize = crate::layout::MAX_NDIM;

/// An item of one axis, negative ones counted from the last.
fn on_axis(number: &str, item: Item) -> Vec<Item> {
    let (is_negative, digits) = (number.starts_with('-'), number.trim_start_matches('-'));
    let places = digits.parse().unwrap_or(MOST_AXES).min(MOST_AXES);
    let mut items = vec![Item::Whole; if is_negative { 0 } else { places }];
    if is_negative {
        items.push(Item::Ellipsis);
    }
    items.push(item);
    items.extend(vec![Item::Whole; if is_negative { places - 1 } else { 0 }]);
    items
}

/// The items but for whole axes at the end. Behind `...` an item's axis is counted from the last, so there the
/// whole axes go only together.
pub(super) fn trimmed(mut items: Vec<Item>) -> Vec<Item> {
    if let Some(at) = items.iter().position(|item| *item == Item::Ellipsis) {
        if items[at + 1..].iter().any(|item| *item != Item::Whole) {
            return items;
        }
        items.truncate(at);
    }
    while items.last() == Some(&Item::Whole) {
        items.pop();
    }
    items
}

fn indexed(items: &[Item]) -> String {
    let whole_axes = items.iter().take_while(|&item| *item == Item::Whole).count();
    match &items[whole_axes..] {
        [] => "data".to_owned(),
        [item @ (Item::Index(_) | Item::Range(_))] => {
            let folder = match whole_axes {
                0 => "row".to_owned(),
                1 => "col".to_owned(),
                axis => format!("axis/{axis}"),
            };
            format!("{folder}/{}", item.as_str())
        }
        _ => format!("slice/{}", items.iter().map(Item::as_str).collect::<Vec<&str>>().join(",")),
    }
}
