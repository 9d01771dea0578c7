//! NumPy expressions as paths: `afbfs path 'a[42, ::2]'` is `a/slice/42,::2`.
//!
//! An expression is the name of an array and a chain of what the tree can express:
//!
//! ```text
//! NAME { "[" indices "]" | "['FIELD']" | ".T" | ".transpose()" | ".real" | ".imag" | ".ravel()" | ".flatten()" | ".flat"
//!        | ".astype(" DTYPE ")" }
//! ```
//!
//! NAME ends at the first `[`, or where nothing but a chain follows. It may hold whatever a path holds, so `a.npy`
//! and `sub/a.Tmp` are names; an array whose own name ends in `.T` and the like is written with its file's full
//! name (`a.T.npy[3]`), one with a `[` in its name cannot be written.
//!
//! The array's shape is not known here. Of several paths the simplest is taken: `data`, then `row`, `col`, `axis`,
//! then `slice`; axes that are picked whole at the end are left out. Where NumPy would refuse an expression for the
//! array's shape or type, its path does not exist, or shows what remains without the whole axes.
//!
//! In the tree the indices come last. Five rewritings, which never change the bytes, get them there:
//!
//! 1. `a[i][...]` is `a[i, ...]` for integers `i` (a record's fields have numbers in NumPy as well, the tree knows
//!    them by their names only: such a path does not exist);
//! 2. `a[...]['x']` is `a['x'][...]`, and so are `.real` and `.imag`, unless `...` is among the indices (a field may
//!    bring axes of its own, behind those of the array);
//! 3. `.T.T` is nothing, and so is `.T` of one axis, behind `.ravel()`;
//! 4. `a[i, j].T` is `a.T[..., j, i]`, for indices and ranges;
//! 5. `a[...].astype('f4')` is `a.astype('f4')[...]`.

use std::fmt;

use super::numpy::{folder_type, unquote};
use super::view::{self, Leaf, View, trimmed};

/// Why an expression has no path, and what there is instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError(String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PathError {}

impl PathError {
    /// A reason of somebody else's.
    pub fn new(why: String) -> PathError {
        PathError(why)
    }
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, PathError> {
    Err(PathError(why.into()))
}

/// The path, below the mount, of a NumPy expression over an array that is named as below the mount.
///
/// ```
/// assert_eq!(afbfs::name::path_of("sub/a['x'][:, 7]").unwrap(), "sub/a/field/x/col/7");
/// ```
///
/// # Errors
/// What in the expression has no path, and what is possible instead.
pub fn path_of(expression: &str) -> Result<String, PathError> {
    let (name, view) = view_of(expression)?;
    Ok(format!("{name}/{}", view.path()))
}

/// The array's name, and the view of it, of a NumPy expression.
///
/// # Errors
/// As [`path_of`].
pub fn view_of(expression: &str) -> Result<(String, View), PathError> {
    let (name, mut rest) = split_name(expression.trim());
    check_name(name)?;
    let mut chain = Chain::default();
    while !rest.is_empty() {
        let (step, tail) = next_step(rest)?;
        chain.apply(step)?;
        rest = tail.trim_start();
    }
    Ok((name.trim_end_matches('/').to_owned(), chain.view()))
}

/// Checks that the name of an array is read as one in an expression.
///
/// # Errors
/// If it ends in what reads as a part of the expression.
pub fn check_end(name: &str) -> Result<(), PathError> {
    check_name(name)?;
    if split_name(&format!("{name}[0]")).0 != name {
        return refuse(format!(
            "`{name}` would not be read as an array's name in an expression: use the full name of its file, `{name}.npy` or so"
        ));
    }
    Ok(())
}

/// One link of the chain.
#[derive(Debug)]
enum Step {
    Transpose,
    Flatten,
    Field(String),
    Part(String),
    /// What stands between the parentheses of `.astype()`.
    As(String),
    Index(Vec<Item>),
}

/// What stands between the commas of a subscript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// As many whole axes as there are left.
    Ellipsis,
    /// All of an axis.
    Whole,
    /// One index, in decimal.
    Index(String),
    /// `START:STOP` or `START:STOP:STEP`.
    Range(String),
}

impl Item {
    /// What a name in `row/` and its like says: an index or a range.
    pub fn of_name(text: &str) -> Option<Item> {
        if !text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.".contains(&byte)) {
            return None;
        }
        if !text.contains(':') && text.contains("..") {
            // `..` stands for `:` where there is a number.
            let is_one = text.bytes().any(|byte| byte.is_ascii_digit());
            let colons = is_one.then(|| text.split("..").collect::<Vec<&str>>().join(":"))?;
            return slice(&colons).ok().flatten();
        }
        match integer(text) {
            Some(index) => Some(Item::Index(index)),
            None => slice(text).ok().flatten(),
        }
    }

    /// The same, or `...`.
    pub fn of_name_or_dots(text: &str) -> Option<Item> {
        if text == "..." { Some(Item::Ellipsis) } else { Item::of_name(text) }
    }

    /// As a name writes it, and as NumPy does.
    pub fn as_str(&self) -> &str {
        match self {
            Item::Ellipsis => "...",
            Item::Whole => ":",
            Item::Index(text) | Item::Range(text) => text,
        }
    }
}

/// What the chain has built so far.
#[derive(Default)]
struct Chain {
    /// The folders under the array's: `T`, `field/x`.
    steps: Vec<view::Step>,
    /// The type to which the elements are converted, as `as/` has it.
    cast: Option<String>,
    /// Indices, whole axes at the end left out.
    items: Vec<Item>,
    /// So many axes were written.
    axes: usize,
    /// Whether the elements are in one row now.
    flat: bool,
    /// Index or range among them.
    range: Option<Item>,
}

impl Chain {
    fn apply(&mut self, step: Step) -> Result<(), PathError> {
        match step {
            Step::Transpose if self.flat => Ok(()),
            Step::Transpose => {
                self.transpose();
                Ok(())
            }
            Step::Field(_) | Step::Part(_) if self.flat || self.items.contains(&Item::Ellipsis) => {
                refuse("fields and parts have no path behind `...` or `.ravel()`: put them first, as in a['x'][..., 3]")
            }
            Step::Field(_) | Step::Part(_) if self.cast.is_some() => {
                refuse("fields and parts have no path behind `.astype()`: put them first, as in a['x'].astype('f4')")
            }
            Step::Field(name) => {
                self.steps.push(view::Step::Field(name));
                Ok(())
            }
            Step::Part(name) => {
                self.steps.push(view::Step::Part(name));
                Ok(())
            }
            Step::As(_) if self.cast.is_some() => {
                refuse("two conversions have no path: write one `.astype()`, to the type that is wanted in the end")
            }
            Step::As(text) => {
                self.cast = Some(folder_type(&text)?);
                Ok(())
            }
            Step::Flatten => {
                self.flat = true;
                Ok(())
            }
            Step::Index(items) if self.flat => self.index_flat(trimmed(items)),
            Step::Index(items) => self.index(items),
        }
    }

    fn transpose(&mut self) {
        if self.steps.last() == Some(&view::Step::Transpose) {
            self.steps.pop();
        } else {
            self.steps.push(view::Step::Transpose);
        }
        if self.items.is_empty() {
            return;
        }
        if !self.items.contains(&Item::Ellipsis) {
            self.items.push(Item::Ellipsis);
        }
        self.items.reverse();
        self.items = trimmed(std::mem::take(&mut self.items));
    }

    fn index(&mut self, items: Vec<Item>) -> Result<(), PathError> {
        self.axes = self.axes.max(view::axes_of(&self.items) + view::axes_of(&items));
        let items = trimmed(items);
        if items.is_empty() {
            return Ok(());
        }
        if !self.items.iter().all(|item| matches!(item, Item::Index(_))) {
            return refuse("indexing what a range or `...` left has no path: write one subscript, as in a[10:20, 3]");
        }
        self.items.extend(items);
        Ok(())
    }

    fn index_flat(&mut self, items: Vec<Item>) -> Result<(), PathError> {
        if items.is_empty() {
            return Ok(());
        }
        if self.range.is_some() || !self.items.is_empty() {
            return refuse("an element range has a path only of a whole array, and once: a.ravel()[10:20]");
        }
        match <[Item; 1]>::try_from(items) {
            Ok([range @ (Item::Index(_) | Item::Range(_))]) => {
                self.range = Some(range);
                Ok(())
            }
            _ => refuse("behind `.ravel()` there is one axis: write one index or one range, as in a.ravel()[10:20]"),
        }
    }

    fn view(self) -> View {
        let mut steps = self.steps;
        steps.extend(self.cast.map(view::Step::As));
        let leaf = match self.range {
            Some(range) => Leaf::Flat(range),
            None => Leaf::Indexed(self.items),
        };
        View { steps, leaf, form: None, axes: self.axes }
    }
}

/// Splits the array's name off.
fn split_name(expression: &str) -> (&str, &str) {
    let end = expression.find('[').unwrap_or(expression.len());
    let head = &expression[..end];
    for (dot, _) in head.match_indices('.') {
        let (name, mut rest) = expression.split_at(dot);
        let named = !name.is_empty() && !name.ends_with('/');
        while expression.len() - rest.len() < end
            && let Some((_, tail)) = attribute(rest)
        {
            rest = tail.trim_start();
        }
        if named && expression.len() - rest.len() >= end {
            return (name.trim_end(), &expression[dot..]);
        }
    }
    (head.trim_end(), &expression[end..])
}

fn check_name(name: &str) -> Result<(), PathError> {
    const OPERATORS: [&str; 19] =
        ["+", "-", "*", "/", "//", "%", "@", "**", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!="];
    if name.trim_matches('/').is_empty() {
        return refuse("the array's name is missing: write it first, as below the mount: sub/a[42, ::2]");
    }
    if name.contains('\0') {
        return refuse("no array's name holds a NUL byte");
    }
    if name.ends_with(']') {
        return refuse(format!("`{name}` has no opening bracket"));
    }
    if let Some(operator) = name.split(' ').find(|word| OPERATORS.contains(word)) {
        return refuse(format!(
            "`{operator}` is arithmetic, which has no path: ask for the path of each array; if `{name}` is an array's \
             name, write the path by hand: '{name}/row/42'"
        ));
    }
    // The name takes in whatever is not known; a method's call is told by its parentheses.
    if let Some((dot, method)) = name.rmatch_indices('.').next().map(|(dot, _)| (dot, &name[dot + 1..]))
        && let Some((word, _)) = method.split_once('(')
        && method.ends_with(')')
        && !word.is_empty()
        && word.chars().all(is_word)
    {
        return unknown_attribute(&name[dot..]);
    }
    Ok(())
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn unknown_attribute<T>(text: &str) -> Result<T, PathError> {
    refuse(format!(
        "`{text}` has no path: there are .T .transpose() .real .imag .ravel() .flat .flatten() .astype('f4'); for another \
         form add its suffix to the path: a/row/42.npy"
    ))
}

/// Takes an attribute that the tree knows off the front.
fn attribute(text: &str) -> Option<(Step, &str)> {
    if let Some(inner) = text.strip_prefix(".astype(") {
        let (name, rest) = inner.split_once(')')?;
        return Some((Step::As(name.trim().to_owned()), rest));
    }
    let step = |known: &str| match known {
        ".T" | ".transpose()" => Step::Transpose,
        ".real" | ".imag" => Step::Part(known[1..].to_owned()),
        _ => Step::Flatten,
    };
    [".T", ".transpose()", ".real", ".imag", ".ravel()", ".flatten()", ".flat"].into_iter().find_map(|known| {
        let rest = text.strip_prefix(known)?;
        let ends = known.ends_with(')') || !rest.starts_with(|next| is_word(next) || next == '(');
        ends.then(|| (step(known), rest))
    })
}

fn next_step(text: &str) -> Result<(Step, &str), PathError> {
    if let Some(inner) = text.strip_prefix('[') {
        let (items, rest) = split_items(inner)?;
        return Ok((subscript(&items)?, rest));
    }
    if let Some(found) = attribute(text) {
        return Ok(found);
    }
    if text.starts_with('.') {
        return unknown_attribute(text);
    }
    if text.starts_with(|first: char| "+-*/%@&|^<>=!~".contains(first)) {
        return refuse(format!("`{text}` is arithmetic, which has no path: ask for the path of each array"));
    }
    refuse(format!("`{text}` is not understood: after an array come [...], ['field'], .T, .real, .imag, .ravel()"))
}

/// Splits what follows a `[` at its commas, up to the `]` that closes it.
fn split_items(text: &str) -> Result<(Vec<&str>, &str), PathError> {
    let (mut items, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']') if depth == 0 => {
                items.push(text[start..at].trim());
                if items.len() > 1 && items.last() == Some(&"") {
                    items.pop();
                }
                return Ok((items, &text[at + 1..]));
            }
            (None, ']' | ')' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                items.push(text[start..at].trim());
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    refuse(format!("`[{text}` has no closing bracket"))
}

fn subscript(items: &[&str]) -> Result<Step, PathError> {
    if let &[only] = items
        && let Some(name) = unquote(only)?
    {
        return Ok(Step::Field(name));
    }
    let items = items.iter().map(|text| item(text)).collect::<Result<Vec<Item>, _>>()?;
    if items.iter().filter(|&item| *item == Item::Ellipsis).count() > 1 {
        return refuse("`...` may stand once among the indices");
    }
    Ok(Step::Index(items))
}

fn item(text: &str) -> Result<Item, PathError> {
    if text == "..." || text == "Ellipsis" {
        return Ok(Item::Ellipsis);
    }
    if let Some(index) = integer(text) {
        return Ok(Item::Index(index));
    }
    if text.starts_with(|first: char| first.is_ascii_digit() || "-+:N".contains(first))
        && let Some(range) = slice(text)?
    {
        return Ok(range);
    }
    refuse(match text {
        "" => "an index is missing between the brackets: write a number, a range, `...` or 'field'".to_owned(),
        "None" | "newaxis" | "np.newaxis" | "numpy.newaxis" => {
            format!("`{text}` has no path: a new axis changes no bytes, leave it out")
        }
        _ if text.starts_with('[') => {
            format!(
                "the list {text} has no path: ask for one path for each index, or use a range if they are evenly spaced"
            )
        }
        _ if text.starts_with("slice(") => format!("`{text}` is not understood: write START:STOP:STEP"),
        _ if text.starts_with(['\'', '"']) => "a field comes alone in its brackets: a['x'][3]".to_owned(),
        _ if text.contains(['<', '>', '=', '!', '~', '&', '|']) || matches!(text, "True" | "False") => {
            format!("the mask `{text}` has no path: only numbers, ranges and `...` select")
        }
        _ => format!("`{text}` is no index that has a path: write whole numbers, ranges, `...` or a quoted field name"),
    })
}

/// A Python integer in decimal, as the names write it.
fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.trim_start();
    if !digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let digits = digits.replace('_', "");
    Some(match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    })
}

/// A Python slice, as the names write it; nothing where the text is none.
fn slice(text: &str) -> Result<Option<Item>, PathError> {
    let mut parts = Vec::new();
    for part in text.split(':').map(str::trim) {
        match part {
            "" | "None" => parts.push(String::new()),
            _ => match integer(part) {
                Some(number) => parts.push(number),
                None => return Ok(None),
            },
        }
    }
    let (start, stop, step) = match parts.as_slice() {
        [start, stop] => (start, stop, ""),
        [start, stop, step] => (start, stop, step.as_str()),
        _ => return Ok(None),
    };
    Ok(Some(match step {
        "0" => return refuse(format!("`{text}`: the step of a range cannot be 0")),
        "" | "1" if matches!(start.as_str(), "" | "0") && stop.is_empty() => Item::Whole,
        "" | "1" => Item::Range(format!("{start}:{stop}")),
        _ => Item::Range(format!("{start}:{stop}:{step}")),
    }))
}
