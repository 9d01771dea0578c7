//! Raw files: elements and nothing else, described from outside.
//!
//! A description ([`Spec`]) comes from one of three places:
//!
//! 1. the command line: `--array 'name=x,file=x.bin,dtype=f4,shape=100x200,offset=512,order=F'`;
//! 2. a sidecar: `x.bin.toml` beside `x.bin`, with the same keys, and attributes of its own in `[attributes]`;
//! 3. the file's name: `x_200x100_float32.raw`, the convention of volume data sets.
//!
//! | key       | what                                                         | left out                       |
//! |-----------|--------------------------------------------------------------|--------------------------------|
//! | `dtype`   | element type, as [`DType::parse`] reads it                   | refused                        |
//! | `shape`   | `100x200`, last index fastest; `()` or `scalar` for no axes; one axis may be `-1` or `?`: as long as the file allows | `?`: one axis, all of the file |
//! | `offset`  | byte of the file at which the element lies whose indices are all 0 | 0                        |
//! | `order`   | `C` or `F`: which index of the shape varies fastest in the file, the last or the first | `C`  |
//! | `strides` | `800x8`: for each axis, bytes from one element to the next, possibly negative; replaces `order` | no gaps |
//! | `name`    | the array's name                                             | from the file's name           |
//! | `file`    | the file, below the folder that is mounted                   | the file that is mounted, or beside the sidecar |
//!
//! In a file name the dimensions stand fastest first, so `x_200x100_float32.raw` is of shape `(100, 200)`. There
//! must be two of them or more, and the type must be a number that says its size (`float32`, `f4be`, not `float`):
//! otherwise too many names would mean an array by chance.
//!
//! A sidecar may also say `format = "fortran"`, and then describes records: see `format/fortran.rs`.
//!
//! A file may be longer than its description says, never shorter. Of an axis of length `?` the rest of the file must
//! be a whole multiple.

use serde_json::{Map, Value};

use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::fortran::{self, Records};
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, LayoutError, Order};
use crate::source::{ReadAt, Siblings};

pub(super) mod keys;
mod name;
#[cfg(test)]
mod tests;

pub use keys::shape as parse_shape;

/// What is added to a file's name to make that of its sidecar: `x.bin` is described by `x.bin.toml`.
pub const SIDECAR: &str = ".toml";

/// The largest sidecar that is read, in bytes. A description takes a few hundred; the rest is room for attributes.
pub const MAX_SIDECAR: usize = 64 << 10;

/// What is said about a raw file.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The array's name, where one is given.
    pub name: Option<String>,
    /// The file, where one is given: a path, relative to the source folder.
    pub file: Option<String>,
    /// Type of the elements.
    pub dtype: DType,
    /// Length of each axis, in elements; nothing for the one, if any, that is as long as the file allows.
    pub shape: Vec<Option<u64>>,
    /// Byte of the file at which the element lies whose indices are all 0.
    pub offset: u64,
    /// Order of the elements in the file, where there are no strides.
    pub order: Order,
    /// For each axis, bytes from one element to the next.
    pub strides: Option<Vec<i64>>,
    /// What else the description says, for `info.json`.
    pub attributes: Map<String, Value>,
}

impl Spec {
    /// The array in a file of `file_len` bytes.
    ///
    /// # Errors
    /// If no such array can be, or the file is too short for it.
    pub fn array(&self, file_len: u64) -> Result<Array, Refusal> {
        let shape = self.lengths(file_len)?;
        let layout = match &self.strides {
            None => Layout::packed(self.offset, &shape, self.dtype.itemsize(), self.order),
            Some(strides) if strides.len() != shape.len() => {
                return Err(Refusal(format!(
                    "its description gives {} axes and {} strides; give one stride for each axis",
                    shape.len(),
                    strides.len()
                )));
            }
            Some(strides) => {
                let itemsize = self.dtype.itemsize();
                let layout = Layout { offset: self.offset, shape, strides: strides.clone(), itemsize };
                layout.check().map(|()| layout)
            }
        };
        let layout = layout.map_err(|error| {
            let remedy = match error {
                LayoutError::BeforeStart => "the offset must be that of the element whose indices are all 0",
                _ => "correct shape, dtype, offset or strides",
            };
            Refusal(format!("its description cannot be: {error}; {remedy}"))
        })?;
        let end = layout.extent().end;
        if end > file_len {
            return Err(Refusal(format!(
                "its description (dtype {}, shape {}, offset {}) needs {end} bytes, the file holds only {file_len}: \
                 correct the description, or the file was truncated",
                excerpt(&self.dtype.to_string()),
                shape_text(&layout.shape),
                self.offset,
            )));
        }
        let attributes = self.attributes.clone();
        Ok(Array { attributes, ..Array::new(Raw.name(), self.dtype.clone(), Grid::one(layout)) })
    }

    /// The shape, with the axis that the file's length decides.
    fn lengths(&self, file_len: u64) -> Result<Vec<u64>, Refusal> {
        let open = self.shape.iter().filter(|length| length.is_none()).count();
        if open == 0 {
            return Ok(self.shape.iter().flatten().copied().collect());
        }
        if open > 1 {
            return Err(Refusal("its description leaves more than one axis open; give all but one".into()));
        }
        if self.strides.is_some() {
            return Err(Refusal("its description leaves an axis open but gives strides; give the whole shape".into()));
        }
        let known =
            self.shape.iter().flatten().try_fold(self.dtype.itemsize(), |size, &length| size.checked_mul(length));
        let step = known.filter(|&size| size > 0).ok_or_else(|| {
            Refusal(
                "its description leaves an axis open that the file's length cannot decide, since one step along it \
                 takes no bytes or too many; give the whole shape"
                    .into(),
            )
        })?;
        let held = file_len.checked_sub(self.offset).ok_or_else(|| {
            Refusal(format!("its description gives offset {}, the file holds only {file_len} bytes", self.offset))
        })?;
        if held % step != 0 {
            return Err(Refusal(format!(
                "its description leaves an axis open, and the {held} bytes from offset {} on are no multiple of the \
                 {step} that one step along it takes ({} are left over); correct offset or dtype, or give the whole shape",
                self.offset,
                held % step
            )));
        }
        Ok(self.shape.iter().map(|length| length.unwrap_or(held / step)).collect())
    }
}

fn shape_text(shape: &[u64]) -> String {
    match shape {
        [] => "()".into(),
        _ => shape.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
    }
}

/// Files that a sidecar or their own name describes.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    /// Those that a sidecar usually describes; any other works as well, but its stem costs a scan of the folder's names, once.
    fn extensions(&self) -> &'static [&'static str] {
        &[".raw", ".bin", ".dat", ".img", ".data", ".vol"]
    }

    /// The name says it all, or nothing.
    fn stem<'a>(&self, file_name: &'a str) -> Option<&'a str> {
        name::parse(file_name).map(|name| name.stem)
    }

    /// A sidecar may describe several kinds of records.
    fn may_hold_many(&self) -> bool {
        true
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let spec = match sidecar(file_name, siblings)? {
            Some(table) if table.contains_key(fortran::FORMAT) => {
                return Records::new(table).map_err(|why| blame(file_name, &why))?.content(file);
            }
            Some(table) => from_sidecar(file_name, table).map_err(|why| blame(file_name, &why))?,
            None => Spec::from_file_name(file_name).ok_or_else(|| {
                Refusal(format!(
                    "nothing describes it; write dtype and shape into {file_name}{SIDECAR}, or into its name \
                     (x_200x100_float32.raw), or give --array"
                ))
            })?,
        };
        spec.array(file.len()).map(Content::One)
    }
}

/// What the sidecar of a file says, if it has one.
pub(super) fn sidecar(file_name: &str, siblings: &dyn Siblings) -> Result<Option<toml::Table>, Refusal> {
    let found = siblings.sibling(&format!("{file_name}{SIDECAR}"), MAX_SIDECAR);
    let Some(bytes) = found.map_err(|error| blame(file_name, &error.into()))? else { return Ok(None) };
    keys::table(&bytes).map(Some).map_err(|why| blame(file_name, &why))
}

/// A refusal for what the sidecar of a file says.
pub(super) fn blame(file_name: &str, Refusal(why): &Refusal) -> Refusal {
    Refusal(format!("its sidecar {file_name}{SIDECAR}: {why}"))
}

/// A sidecar's description. It is about one file, and does not name it otherwise than it is named.
fn from_sidecar(file_name: &str, table: toml::Table) -> Result<Spec, Refusal> {
    let spec = Spec::from_table(table)?;
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    if spec.file.as_ref().is_some_and(|file| file != file_name) {
        return Err(Refusal(format!(
            "the key file must be {file_name}, or left out; describe other files with --array"
        )));
    }
    if spec.name.as_ref().is_some_and(|name| name != file_name && name != stem) {
        return Err(Refusal(format!(
            "the key name must be {stem} or {file_name}, or left out; other names are given with --array"
        )));
    }
    Ok(spec)
}
