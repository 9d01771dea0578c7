//! Facts about an array, as text files, extended attributes and JSON.

use std::fmt::{Display, Write};

use serde_json::{Value, json};

use super::tree::{Leaf, Tree};
use crate::catalog::Catalog;
use crate::form;
use crate::layout::Layout;

/// A fact that has a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    /// All of them, as JSON.
    Info,
    /// Type of the elements, as NumPy writes it.
    Dtype,
    /// Length of each axis, in elements.
    Shape,
    /// Bytes from one element to the next along each axis; empty for arrays in several pieces.
    Strides,
    /// Byte of the file at which element `[0, 0, ...]` lies; empty for arrays in several pieces.
    Offset,
    /// C, F, or `strided` where the elements are packed in neither order.
    Order,
    /// Name of the file format.
    Format,
    /// Bytes of an element.
    Itemsize,
    /// Number of axes.
    Ndim,
    /// Number of elements.
    Size,
}

impl Fact {
    /// All facts, in the order in which they are listed.
    pub(super) const ALL: [Fact; 10] = [
        Fact::Info,
        Fact::Dtype,
        Fact::Shape,
        Fact::Strides,
        Fact::Offset,
        Fact::Order,
        Fact::Format,
        Fact::Itemsize,
        Fact::Ndim,
        Fact::Size,
    ];

    /// The file's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fact::Info => "info.json",
            Fact::Dtype => "dtype",
            Fact::Shape => "shape",
            Fact::Strides => "strides",
            Fact::Offset => "offset",
            Fact::Order => "order",
            Fact::Format => "format",
            Fact::Itemsize => "itemsize",
            Fact::Ndim => "ndim",
            Fact::Size => "size",
        }
    }

    /// The fact of a name.
    pub(super) fn named(name: &str) -> Option<Fact> {
        Fact::ALL.into_iter().find(|fact| fact.name() == name)
    }
}

fn spaced<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for value in values {
        let gap = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{gap}{value}");
    }
    text
}

/// Where the bytes of a leaf lie in the file: nowhere, if what is shown is not what is stored.
fn place_of(tree: &Tree, leaf: &Leaf) -> Option<Layout> {
    if tree.conversion.is_some() { None } else { tree.layout_of(leaf) }
}

fn order_of(layout: Option<&Layout>) -> &'static str {
    match layout {
        Some(layout) if layout.is_c_contiguous() => "C",
        Some(layout) if layout.is_f_contiguous() => "F",
        _ => "strided",
    }
}

/// The text of a fact about a leaf, without the newline; JSON is not among them.
pub(super) fn text(tree: &Tree, leaf: &Leaf, fact: Fact) -> String {
    let layout = place_of(tree, leaf);
    let shape = tree.shape_of(leaf);
    match fact {
        Fact::Info => String::new(),
        Fact::Dtype => tree.dtype.to_string(),
        Fact::Shape => spaced(&shape),
        Fact::Strides => layout.map_or_else(String::new, |layout| spaced(&layout.strides)),
        Fact::Offset => layout.map_or_else(String::new, |layout| layout.offset.to_string()),
        Fact::Order => order_of(tree.layout_of(leaf).as_ref()).to_owned(),
        Fact::Format => tree.description.array.format.to_owned(),
        Fact::Itemsize => tree.dtype.itemsize().to_string(),
        Fact::Ndim => shape.len().to_string(),
        Fact::Size => crate::layout::count(&shape).to_string(),
    }
}

/// What a format knows beyond the layout, as extended attributes have it: names and texts. The kernel takes no longer ones.
pub(super) fn extras(tree: &Tree, leaf: &Leaf) -> Vec<(&'static str, String)> {
    const LONGEST: usize = 64 << 10;
    // A slice of it has other axes.
    if *leaf != Leaf::Data {
        return Vec::new();
    }
    let array = &tree.description.array;
    let mut extras = Vec::new();
    if let Some(element) = tree.element {
        extras.push(("element", element.to_owned()));
    }
    if tree.dims.iter().any(|dim| !dim.is_empty()) {
        extras.push(("dims", json!(tree.dims).to_string()));
    }
    if !array.attributes.is_empty() {
        extras.push(("attributes", json!(array.attributes).to_string()));
    }
    extras.retain(|(_, text)| text.len() <= LONGEST);
    extras
}

/// The content of a fact's file.
pub(super) fn content(catalog: &Catalog, tree: &Tree, fact: Fact, read_only: bool) -> String {
    let mut content = match fact {
        Fact::Info => pretty(&info(catalog, tree, read_only)),
        _ => text(tree, &Leaf::Data, fact),
    };
    content.push('\n');
    content
}

/// The entry of an array in `arrays.json`; of a tree below it, the same about the view.
pub(super) fn info(catalog: &Catalog, tree: &Tree, read_only: bool) -> Value {
    let description = &tree.description;
    let layout = place_of(tree, &Leaf::Data);
    let mut path = catalog.shown_path(&description.origin);
    for step in &tree.steps {
        match step {
            super::Step::Transpose => path.push_str("/T"),
            super::Step::Value => path.push_str("/value"),
            super::Step::As(element) => {
                path.push_str("/as/");
                path.push_str(&element.name());
            }
            super::Step::Field(name) => {
                path.push_str("/field/");
                path.push_str(&crate::name::escape(name.as_bytes()));
            }
        }
    }
    let mut info = json!({
        "path": path,
        "file": shown_file(catalog, &description.origin),
        "format": description.array.format,
        "dtype": tree.dtype.to_json(),
        "shape": tree.selection.shape(),
        "strides": layout.as_ref().map(|layout| layout.strides.clone()),
        "offset": layout.as_ref().map(|layout| layout.offset),
        "order": order_of(tree.layout_of(&Leaf::Data).as_ref()),
        "writable": description.writable && !read_only,
        "forms": tree.with_slice(&Leaf::Data, form::fitting),
        "attributes": description.array.attributes,
    });
    if let Some(element) = tree.element {
        info["element"] = json!(element);
    }
    if tree.dims.iter().any(|dim| !dim.is_empty()) {
        info["dims"] = json!(tree.dims);
    }
    if !description.container.is_empty() {
        info["container"] = json!(*description.container);
    }
    if let Some(reason) = &description.array.read_only {
        info["read_only"] = json!(reason);
    }
    info
}

/// Path of an array's file as JSON gives it; bytes that are not UTF-8 are escaped.
pub(super) fn shown_file(catalog: &Catalog, origin: &crate::catalog::Origin) -> String {
    let path = catalog.path_of(origin);
    let parts: Vec<String> = path
        .iter()
        .map(|part| match part.to_str() {
            Some(text) => text.to_owned(),
            None => crate::name::escape(std::os::unix::ffi::OsStrExt::as_bytes(part)).into_owned(),
        })
        .collect();
    parts.join("/").replacen("//", "/", 1)
}

/// JSON with one member a line.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
