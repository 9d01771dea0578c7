//! Array formats: bytes in, descriptions out.
//!
//! One file per format, its specification on top. A format says which file names are its own
//! ([`Format::stem`]) and turns the header of a file into an [`Array`]; it opens nothing and maps nothing.
//! To add one: write `format/NAME.rs`, and add its line to [`FORMATS`].

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::dtype::DType;
use crate::grid::Grid;
use crate::source::{ReadAt, Siblings};

pub mod npy;
pub mod raw;

/// What a format finds in a file: one array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Name of the format, as `info.json` gives it.
    pub format: &'static str,
    /// Type of the elements.
    pub dtype: DType,
    /// Where they lie.
    pub grid: Arc<Grid>,
    /// What else the format knows, for `info.json`.
    pub attributes: Map<String, Value>,
}

/// Why a file cannot be served: what is wrong with it, and the remedy where there is one. Whoever shows it adds
/// the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        Refusal(format!("cannot be read: {error}"))
    }
}

/// An array format.
pub trait Format: Sync {
    /// Its name, lower case, as `info.json` gives it.
    fn name(&self) -> &'static str;

    /// The array's name where a file of this name is of this format, judged by the name alone.
    fn stem<'a>(&self, file_name: &'a str) -> Option<&'a str>;

    /// Whether a file that begins with these bytes (16, or all of it) is of this format.
    fn knows(&self, head: &[u8]) -> bool {
        let _ = head;
        false
    }

    /// What the file holds. `file_name` is the last component of its path.
    ///
    /// # Errors
    /// Why it cannot be served.
    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Array, Refusal>;
}

/// All formats. The order decides which of several files of one stem has the stem as its name.
pub static FORMATS: &[&dyn Format] = &[&npy::Npy, &raw::Raw];
