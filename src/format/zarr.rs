//! Zarr (placeholder of the branch; replaced by the format).
use crate::format::{Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

/// Names of the files that make a folder an array.
pub const METADATA: &[&str] = &[".zarray", "zarr.json"];
/// The file beside `.zarray` that holds the attributes.
pub const ATTRIBUTES: &str = ".zattrs";
/// The largest description that is read, in bytes.
pub const MAX_METADATA: usize = 16 << 20;

/// Whether the file of this name (one of [`METADATA`]) and content describes an array, and not a group.
pub fn is_array(name: &str, _content: &[u8]) -> bool {
    name == ".zarray"
}

/// The Zarr format.
#[derive(Clone, Copy, Debug)]
pub struct Zarr;

impl Format for Zarr {
    fn name(&self) -> &'static str {
        "zarr"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, _file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        Err(Refusal("is not served yet".into()))
    }
}
