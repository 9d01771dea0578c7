//! `.pt` and `.pth`, the files of `torch.save` and `torch.jit.save` since torch 1.6: ZIP archives of a pickle and its
//! storages.
//!
//! Specification: torch's `torch/serialization.py` and `torch/csrc/jit/serialization/`; the archive itself is read by
//! [`zip`](super::zip). All members lie in one folder, here `P`, named by the file or `archive`:
//!
//! | member            | what                                                                                  |
//! |-------------------|---------------------------------------------------------------------------------------|
//! | `P/data.pkl`      | a pickle of what was saved; see `tensors.rs`         |
//! | `P/data/KEY`      | a storage: the elements of one or several tensors, without gaps                       |
//! | `P/byteorder`     | `little` or `big`, for all storages; `little` where it is missing                     |
//! | `P/constants.pkl`, `P/constants/KEY` | the same again for the constants of TorchScript                    |
//!
//! torch stores all members, never deflated, each at a multiple of 64 bytes: it pads the local header with an extra
//! field called `FB`, by which its archives are known.
//!
//! Each tensor becomes an array; dictionaries, lists and modules around it become groups, and a key is one name, dots
//! and all: `layer1.0.weight`. A tensor that is all that was saved is called `tensor`. Every storage is an array of
//! one axis besides, `storage/KEY`, of the type that its tensors have, else of bytes. Tensors may overlap, and
//! expanded ones have strides of 0: both are what the file says.
//!
//! Limits, and why, beside those of [`zip`](super::zip), [`pickle`] and `tensors.rs`:
//!
//! - The pickle is read as data and never run ([`pickle`]): nothing that it names is imported. Where it cannot be read,
//!   the storages are served all the same, and the member `data.pkl` says why.
//! - Quantised tensors mean nothing without a scale, lazy conjugates and negatives are not what their bytes say,
//!   tensors of the meta device have no bytes: refused each. So are types that are not known.
//! - Files of older versions, a row of pickles or a tar archive, are refused: to find a storage in them one has to run
//!   through several pickles, and no torch since 2020 writes them unless told to.
//! - Nothing is written: see [`READ_ONLY`].

use std::collections::HashMap;

use serde_json::Map;

use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::zip::{Archive, Body, Entry, MAGIC, READ_ONLY, names_in_head, told_apart};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

use element::{BYTE, Element};
use pickle::Pickle;
use tensors::Tensor;

mod element;
pub mod pickle;
mod tensors;
#[cfg(test)]
mod tests;

/// The pickles, the folders of their storages, and the group in which the arrays are shown.
const PARTS: [(&str, &str, Option<&str>); 2] =
    [("data.pkl", "data", None), ("constants.pkl", "constants", Some("constants"))];

/// The group of the storages.
const STORAGE: &str = "storage";

/// The extra field with which torch pads local headers.
const PADDING: &[u8] = b"FB";

/// The format of torch.
#[derive(Clone, Copy, Debug)]
pub struct Torch;

impl Format for Torch {
    fn name(&self) -> &'static str {
        "torch"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".pt", ".pth"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        names_in_head(head).iter().any(|(name, extra)| extra.starts_with(PADDING) || is_root(name))
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        refuse_old(file)?;
        let archive = Archive::read(file)?;
        let names = archive.entries().iter().map(|entry| (archive.name(entry), entry));
        let Some(root) = names.into_iter().map(|(name, _)| name).find(|name| is_root(name.as_bytes())) else {
            return Err(Refusal(
                "it is a ZIP archive without data.pkl, so torch.save did not write it; save it again".into(),
            ));
        };
        let folder = root.strip_suffix(PARTS[0].0).unwrap_or_default();
        let records = Records::new(&archive, file, folder)?;
        let mut members = Vec::new();
        for (pickle, storages, group) in PARTS {
            records.list(pickle, storages, group, &mut members);
        }
        if members.is_empty() {
            return Err(Refusal("it holds no tensor".into()));
        }
        Ok(Content::Many(Container { members: told_apart(members), attributes: Map::new() }))
    }
}

/// Whether a member is the pickle in the folder of all others.
fn is_root(name: &[u8]) -> bool {
    name.strip_suffix(b"/data.pkl").is_some_and(|folder| !folder.is_empty() && !folder.contains(&b'/'))
}

/// Files of older versions begin with a pickle, or are tar archives.
fn refuse_old(file: &dyn ReadAt) -> Result<(), Refusal> {
    let mut head = [0; 512];
    let count = file.read_at(&mut head, 0)?;
    let head = &head[..count];
    // An opcode that says the protocol.
    let is_pickle = matches!(head, [0x80, 1..=5, ..]);
    if !head.starts_with(MAGIC) && (is_pickle || head.get(257..262) == Some(b"ustar")) {
        return Err(Refusal(
            "it is of the layout that torch.save had before version 1.6 (a row of pickles, or a tar archive); load it \
             and save it again: torch.save(torch.load(path), path)"
                .into(),
        ));
    }
    Ok(())
}

/// The members of the folder.
struct Records<'a> {
    file: &'a dyn ReadAt,
    archive: &'a Archive,
    /// By their names below the folder, and in order.
    entries: Vec<(String, &'a Entry)>,
    by_name: HashMap<String, &'a Entry>,
    big: bool,
}

impl<'a> Records<'a> {
    fn new(archive: &'a Archive, file: &'a dyn ReadAt, folder: &str) -> Result<Records<'a>, Refusal> {
        let below = |entry| Some((archive.name(entry).strip_prefix(folder)?.to_owned(), entry));
        let entries: Vec<(String, &Entry)> = archive.entries().iter().filter_map(below).collect();
        // Of several members of one name, each is refused.
        let by_name = entries.iter().cloned().collect();
        let mut records = Records { file, archive, entries, by_name, big: false };
        if let Some(entry) = records.by_name.get("byteorder") {
            let order = archive.body(file, entry).and_then(|body| body.read(file, 16)).map_err(within("byteorder"))?;
            records.big = match order.as_slice() {
                b"little" => false,
                b"big" => true,
                _ => return Err(Refusal("its record byteorder is neither little nor big; it is damaged".into())),
            };
        }
        Ok(records)
    }

    /// Lists what a pickle describes, and its storages.
    fn list(&self, pickle: &str, folder: &str, group: Option<&str>, members: &mut Vec<Member>) {
        let mut bodies: Vec<(&str, Result<Body, Refusal>)> = Vec::new();
        for (name, entry) in &self.entries {
            if let Some(key) = name.strip_prefix(folder).and_then(|name| name.strip_prefix('/')) {
                bodies.push((key, self.archive.body(self.file, entry)));
            }
        }
        let by_key: HashMap<&str, &Result<Body, Refusal>> = bodies.iter().map(|(key, body)| (*key, body)).collect();
        let mut elements = HashMap::new();
        let in_group = |path: Vec<String>| group.map(str::to_owned).into_iter().chain(path).collect();
        match self.by_name.get(pickle).map(|entry| self.described(entry)) {
            None => {}
            Some(Err(refusal)) => members.push(Member { path: vec![pickle.to_owned()], found: Err(refusal) }),
            Some(Ok(described)) => {
                elements = described.storages;
                for (path, tensor) in described.tensors {
                    let found = tensor.and_then(|tensor| match by_key.get(tensor.storage.key.as_str()) {
                        None => Err(Refusal(format!(
                            "its storage {folder}/{} is missing from the archive; save it again",
                            excerpt(&tensor.storage.key)
                        ))),
                        Some(Err(refusal)) => Err(within("storage")(refusal.clone())),
                        Some(Ok(body)) => self.tensor(&tensor, body),
                    });
                    members.push(Member { path: in_group(path), found });
                }
            }
        }
        for (key, body) in bodies {
            let element = elements.get(key).copied().unwrap_or(BYTE);
            let found = body.and_then(|body| self.storage(element, &body));
            let path = [STORAGE].into_iter().chain(group).chain([key]).map(str::to_owned).collect();
            members.push(Member { path, found });
        }
    }

    fn described(&self, entry: &Entry) -> Result<tensors::Described, Refusal> {
        let bytes = self.archive.body(self.file, entry)?.read(self.file, pickle::MAX_LEN)?;
        let pickle = Pickle::load(bytes).map_err(|fault| {
            Refusal(format!("its pickle cannot be read: {fault}; save it again; the storages are served as they are"))
        })?;
        tensors::find(&pickle)
    }

    fn tensor(&self, tensor: &Tensor, body: &Body) -> Result<Array, Refusal> {
        let Tensor { storage, element, offset, shape, strides } = tensor;
        let promised = storage.numel.checked_mul(storage.element.dtype(self.big)?.itemsize());
        let promised = promised.filter(|&promised| promised <= body.len).ok_or_else(|| {
            Refusal(format!(
                "its storage should have {} elements, and has {} bytes: it was truncated; save it again",
                storage.numel, body.len
            ))
        })?;
        let dtype = element.dtype(self.big)?;
        let itemsize = dtype.itemsize();
        let impossible =
            || Refusal("its offset or strides lead beyond its storage; it is damaged: save it again".into());
        let start =
            offset.checked_mul(itemsize).and_then(|start| start.checked_add(body.start)).ok_or_else(impossible)?;
        let bytes = |&stride: &i64| stride.checked_mul(itemsize as i64);
        let strides = strides.iter().map(bytes).collect::<Option<_>>().ok_or_else(impossible)?;
        let layout = Layout { offset: start, shape: shape.clone(), strides, itemsize };
        layout.check().map_err(|error| Refusal(format!("it cannot be: {error}; it is damaged: save it again")))?;
        let extent = layout.extent();
        // Of an array without elements the offset means nothing.
        if !extent.is_empty() && (extent.start < body.start || extent.end > body.start + promised) {
            return Err(impossible());
        }
        Ok(self.array(*element, layout, dtype, body))
    }

    fn storage(&self, element: Element, body: &Body) -> Result<Array, Refusal> {
        let dtype = element.dtype(self.big)?;
        let itemsize = dtype.itemsize();
        if !body.len.is_multiple_of(itemsize) {
            return self.storage(BYTE, body);
        }
        let layout = Layout::packed(body.start, &[body.len / itemsize], itemsize, Order::C)
            .map_err(|error| Refusal(format!("it cannot be: {error}")))?;
        Ok(self.array(element, layout, dtype, body))
    }

    fn array(&self, element: Element, layout: Layout, dtype: DType, body: &Body) -> Array {
        Array {
            element: element.name(self.big),
            read_only: Some(READ_ONLY.into()),
            checksum: Some(body.checksum.clone()),
            ..Array::new(Torch.name(), dtype, Grid::one(layout))
        }
    }
}

/// Says where a refusal comes from.
fn within(what: &str) -> impl Fn(Refusal) -> Refusal {
    move |Refusal(why)| Refusal(format!("its {what}: {why}"))
}
