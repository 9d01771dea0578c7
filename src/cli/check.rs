//! Whether an array has a view, and the view's canonical name: what NumPy would say of the indices, and what the tree has.

use super::hint::{did_you_mean, near};
use super::place::Facts;
use crate::convert::Element;
use crate::dtype::{DType, Kind, Scalar};
use crate::form::{self, Form, Slice};
use crate::layout::{Pick, count};
use crate::name::{self, Item, Leaf, Step, View};

/// Types that people ask `as/` for.
const COMMON: &[&str] = &[
    "f2",
    "f4",
    "f8",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    "c8",
    "c16",
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bf16",
    "bfloat16",
    "f8_e4m3",
    "f8_e5m2",
    "i3",
    "u3",
    "ibm32",
    "complex64",
    "complex128",
];

/// The array, after some steps down.
struct Below {
    dtype: DType,
    element: Option<String>,
    shape: Vec<u64>,
    dims: Vec<String>,
    steps: Vec<Step>,
    /// Whether the type is that of `value/`, which only the array's format knows.
    is_value: bool,
    is_cast: bool,
    attributes: serde_json::Map<String, serde_json::Value>,
}

/// The canonical view: of those that are the same file, the one with the simplest name.
///
/// # Errors
/// What the array has not, and what it has.
pub(super) fn canonical(view: &View, facts: &Facts) -> Result<View, String> {
    let mut below = Below {
        dtype: facts.dtype.clone(),
        element: facts.element.clone(),
        shape: facts.shape.clone(),
        dims: facts.dims.clone(),
        steps: Vec::new(),
        is_value: false,
        is_cast: false,
        attributes: facts.attributes(),
    };
    let mut last = None;
    for step in &view.steps {
        if *step == Step::Transpose && last == Some(step) {
            return Err("T/T is the array itself: leave both out".to_owned());
        }
        below.take(step)?;
        last = Some(step);
    }
    if view.axes > below.shape.len() {
        let (wants, shape) = (view.axes, shown_shape(&below.shape));
        let has = match below.shape.len() {
            0 => "it has no axes".to_owned(),
            1 => format!("it has 1 axis ({shape})"),
            has => format!("it has {has} axes ({shape})"),
        };
        return Err(format!("too many indices: {has}, and {wants} would be indexed"));
    }
    let picks = below.picks(&view.leaf)?;
    if let (Some(suffix), Some(picks)) = (&view.form, &picks) {
        below.fits(suffix, picks)?;
    }
    let leaf = match picks {
        None => view.leaf.clone(),
        Some(Picked::Flat(range, _)) => Leaf::Flat(range),
        Some(Picked::Axes(picks)) => Leaf::Indexed(below.items(&picks)),
    };
    let mut canonical =
        View { steps: below.steps, leaf, form: view.form.clone().filter(|form| form != "raw"), axes: view.axes };
    untranspose(&mut canonical, below.shape.len());
    Ok(canonical)
}

/// What a leaf picks.
enum Picked {
    /// Of each axis.
    Axes(Vec<Pick>),
    /// Of the elements in C order, so many.
    Flat(Item, u64),
}

impl Below {
    fn take(&mut self, step: &Step) -> Result<(), String> {
        let number = Element::of(&self.dtype, self.element.as_deref());
        match step {
            Step::Transpose => {
                self.shape.reverse();
                self.dims.reverse();
                // With fewer than two axes there is nothing to transpose.
                if self.shape.len() < 2 {
                    return Ok(());
                }
            }
            Step::Field(name) | Step::Part(name) => return self.take_field(name),
            Step::As(_) if self.is_cast => return Err("there is no as/ below another: take the last alone".to_owned()),
            Step::Value if self.is_cast || self.is_value => {
                return Err("there is no value/ below as/ or another value/: put it first".to_owned());
            }
            Step::As(_) | Step::Value if number.is_none() => {
                return Err(format!(
                    "the elements are {}, no numbers that could be converted{}",
                    self.dtype,
                    self.fields()
                ));
            }
            Step::As(name) => {
                let wanted = Element::parse(name).ok_or_else(|| {
                    let hint = near(name, COMMON.iter().copied()).map(|near| format!("; did you mean as/{near}?"));
                    format!(
                        "as/{name}: is no type of numbers{}",
                        hint.unwrap_or_else(|| "; write as/f4, as/i2be".to_owned())
                    )
                })?;
                self.is_cast = true;
                if number == Some(wanted) && !self.is_value {
                    return Ok(());
                }
                (self.dtype, self.element) = (wanted.dtype().0, wanted.dtype().1.map(str::to_owned));
                self.steps.push(Step::As(wanted.name()));
                return Ok(());
            }
            Step::Value => self.is_value = true,
        }
        self.steps.push(step.clone());
        Ok(())
    }

    fn take_field(&mut self, name: &str) -> Result<(), String> {
        if self.is_cast || self.is_value {
            return Err("there are no fields below as/ or value/: put the field first".to_owned());
        }
        let Some(part) = self.dtype.part(name) else {
            let hint = did_you_mean(name, self.dtype.part_names());
            return Err(format!(
                "the elements are {}, which have no field `{name}`{}{hint}",
                self.dtype,
                self.fields()
            ));
        };
        let is_record = matches!(self.dtype, DType::Record(_));
        self.steps.push(if is_record { Step::Field(name.to_owned()) } else { Step::Part(name.to_owned()) });
        self.shape.extend(part.shape);
        self.dims.resize(self.shape.len(), String::new());
        (self.dtype, self.element) = (part.dtype, None);
        Ok(())
    }

    /// The end of a message about a structured type.
    fn fields(&self) -> String {
        match self.dtype.part_names().as_slice() {
            [] => String::new(),
            names => format!("; there are field/{}", names.join(", field/")),
        }
    }

    fn picks(&self, leaf: &Leaf) -> Result<Option<Picked>, String> {
        let items = match leaf {
            Leaf::Fact(_) => return Ok(None),
            Leaf::Indexed(items) => items.clone(),
            Leaf::Named(name, item) => {
                let place = self.dims.iter().position(|dim| !dim.is_empty() && dim == name);
                let axis = place.ok_or_else(|| self.no_axis(name))?;
                vec![Item::Whole; axis].into_iter().chain([item.clone()]).collect()
            }
            Leaf::Flat(item) => return self.flat(item).map(Some),
        };
        let dots = items.iter().position(|item| *item == Item::Ellipsis);
        for (at, item) in items.iter().enumerate() {
            let axis = match dots {
                Some(dots) if at > dots => self.shape.len() + at - items.len(),
                _ => at,
            };
            if let (Item::Index(index), Some(&length)) = (item, self.shape.get(axis)) {
                in_range(index, length, &self.axis_name(axis))?;
            }
        }
        let text = match items.as_slice() {
            [] => "...".to_owned(),
            items => items.iter().map(Item::as_str).collect::<Vec<&str>>().join(","),
        };
        let picks = name::expression(&text, &self.shape);
        picks
            .map(|picks| Some(Picked::Axes(picks)))
            .ok_or_else(|| format!("`{text}` picks nothing of {}", shown_shape(&self.shape)))
    }

    fn flat(&self, item: &Item) -> Result<Picked, String> {
        let total = count(&self.shape);
        if let Item::Index(index) = item {
            in_range(index, total, "the array in C order")?;
        }
        let pick = name::pick(item.as_str(), total).ok_or_else(|| format!("`{}` picks nothing", item.as_str()))?;
        Ok(match pick {
            _ if self.shape.len() == 1 => Picked::Axes(vec![pick]),
            Pick::Span(span) if span.is_all(total) => Picked::Flat(Item::Whole, total),
            Pick::Span(span) => Picked::Flat(Item::Range(name::span_name(span, total)), span.len),
            Pick::Index(mut number) => {
                let mut picks = Vec::with_capacity(self.shape.len());
                for &length in self.shape.iter().rev() {
                    picks.push(Pick::Index(number % length));
                    number /= length;
                }
                picks.reverse();
                Picked::Axes(picks)
            }
        })
    }

    fn items(&self, picks: &[Pick]) -> Vec<Item> {
        let mut items: Vec<Item> = picks
            .iter()
            .zip(&self.shape)
            .map(|(pick, &length)| match pick {
                Pick::Index(index) => Item::Index(index.to_string()),
                Pick::Span(span) if span.is_all(length) => Item::Whole,
                Pick::Span(span) => Item::Range(name::span_name(*span, length)),
            })
            .collect();
        while items.last() == Some(&Item::Whole) {
            items.pop();
        }
        items
    }

    fn axis_name(&self, axis: usize) -> String {
        match self.dims.get(axis).filter(|dim| !dim.is_empty()) {
            Some(dim) => format!("axis {axis} ({dim})"),
            None => format!("axis {axis}"),
        }
    }

    fn no_axis(&self, name: &str) -> String {
        let named: Vec<&str> = self.dims.iter().map(String::as_str).filter(|dim| !dim.is_empty()).collect();
        let hint = did_you_mean(name, named.iter().copied());
        match named.as_slice() {
            [] => format!(
                "no axis is called `{name}`: the axes have numbers, 0 to {}",
                self.shape.len().saturating_sub(1)
            ),
            _ => format!("no axis is called `{name}`; there are {}{hint}", named.join(", ")),
        }
    }

    /// Checks that a form fits.
    fn fits(&self, suffix: &str, picked: &Picked) -> Result<(), String> {
        let Some(form) = Form::of_suffix(suffix) else { return Ok(()) };
        // Of these, only the array's own file tells.
        if self.is_value || suffix == "vrt" {
            return Ok(());
        }
        let length = |pick: &Pick| match pick {
            Pick::Span(span) => Some(span.len),
            Pick::Index(_) => None,
        };
        let shape: Vec<u64> = match picked {
            Picked::Axes(picks) => picks.iter().filter_map(length).collect(),
            Picked::Flat(_, len) => vec![*len],
        };
        let slice = Slice {
            dtype: &self.dtype,
            element: self.element.as_deref(),
            shape: &shape,
            is_fortran: false,
            file: None,
            attributes: &self.attributes,
        };
        if form.face(&slice).is_some() {
            return Ok(());
        }
        let what = self.element.clone().unwrap_or_else(|| self.dtype.to_string());
        Err(format!(
            "the form .{suffix} is for {}; this slice is {what} of shape {}, which has {}",
            form::wants(suffix),
            shown_shape(&shape),
            form::fitting(&slice).iter().map(|suffix| format!(".{suffix}")).collect::<Vec<String>>().join(" ")
        ))
    }
}

/// In two dimensions `T/row/3` is `col/3`.
fn untranspose(view: &mut View, ndim: usize) {
    if ndim != 2 || view.steps.last() != Some(&Step::Transpose) {
        return;
    }
    let Leaf::Indexed(items) = &mut view.leaf else { return };
    match items.as_slice() {
        [index @ Item::Index(_)] => *items = vec![Item::Whole, index.clone()],
        [Item::Whole, index @ Item::Index(_)] => *items = vec![index.clone()],
        _ => return,
    }
    view.steps.pop();
}

fn in_range(index: &str, length: u64, what: &str) -> Result<(), String> {
    if name::pick(index, length).is_some() {
        return Ok(());
    }
    Err(match length {
        0 => format!("index {index} is out of range: {what} has no elements"),
        1 => format!("index {index} is out of range: {what} has 1 index, 0"),
        _ => format!(
            "index {index} is out of range: {what} has {length} indices, 0 to {}, or -{length} to -1",
            length - 1
        ),
    })
}

/// A shape as messages and tables have it.
pub(super) fn shown_shape(shape: &[u64]) -> String {
    match shape {
        [] => "()".to_owned(),
        _ => shape.iter().map(u64::to_string).collect::<Vec<String>>().join("x"),
    }
}

/// What an element is, in words.
pub(super) fn in_words(dtype: &DType, element: Option<&str>) -> String {
    let itemsize = dtype.itemsize();
    let bytes = if itemsize == 1 { "1 byte".to_owned() } else { format!("{itemsize} bytes") };
    let DType::Scalar(Scalar { kind, order, .. }) = dtype else {
        return format!("a record of {} fields, {bytes}", dtype.part_names().len());
    };
    if let Some(element) = element {
        return format!("{element}, which NumPy has not, {bytes}");
    }
    let what = match kind {
        Kind::Bool => "a truth value",
        Kind::Int => "a signed integer",
        Kind::Uint => "an unsigned integer",
        Kind::Float => "a float",
        Kind::Complex => "a complex number",
        Kind::Bytes => "a byte string",
        Kind::Unicode => "a string",
        Kind::Void => "raw bytes",
        Kind::DateTime => "a moment",
        Kind::TimeDelta => "a span of time",
    };
    let order = match order {
        crate::dtype::ByteOrder::Little => ", little-endian",
        crate::dtype::ByteOrder::Big => ", big-endian",
        crate::dtype::ByteOrder::None => "",
    };
    format!("{what}, {bytes}{order}")
}
