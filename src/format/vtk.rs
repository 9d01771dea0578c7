//! Legacy VTK (`.vtk`), grids and meshes with values at their points and cells.
//!
//! Specification: "VTK File Formats", the simple legacy formats, and the readers and writers of VTK, versions 1 to 5.1. A
//! file is lines of text, some of which are followed by numbers, all big-endian, up to the next line:
//!
//! | line                                       | what follows                                                     |
//! |--------------------------------------------|------------------------------------------------------------------|
//! | `# vtk DataFile Version 5.1`               | a line of title; `BINARY` (`ASCII` is refused)                   |
//! | `DATASET KIND`                             | the lines of a grid or mesh                                      |
//! | `DIMENSIONS`, `EXTENT`, `SPACING`, `ORIGIN` | of a structured grid: x, y, z                                   |
//! | `POINTS n TYPE`                            | n x 3 coordinates                                                |
//! | `X_COORDINATES n TYPE`, ...                | n coordinates                                                    |
//! | `CELLS n size`, `POLYGONS`, `LINES`, ...   | up to version 4: `size` numbers `int`, for each cell its count and points |
//! |                                            | version 5: n numbers behind `OFFSETS TYPE`, `size` behind `CONNECTIVITY TYPE` |
//! | `CELL_TYPES n`                             | n numbers `int`                                                  |
//! | `POINT_DATA n`, `CELL_DATA n`              | values for n points or cells, each one of the next lines:        |
//! | `SCALARS NAME TYPE c`, then `LOOKUP_TABLE NAME` | n x c numbers (c may be left out: 1)                        |
//! | `VECTORS`, `NORMALS`, `TENSORS NAME TYPE`  | n x 3, n x 3, n x 3 x 3 numbers (`TENSORS6`: n x 6)              |
//! | `TEXTURE_COORDINATES NAME c TYPE`          | n x c numbers                                                    |
//! | `GLOBAL_IDS`, `PEDIGREE_IDS`, `EDGE_FLAGS NAME TYPE` | n numbers                                              |
//! | `COLOR_SCALARS NAME c`                     | n x c bytes                                                      |
//! | `LOOKUP_TABLE NAME n`                      | n x 4 bytes                                                      |
//! | `FIELD NAME k`                             | k arrays: a line `NAME c n TYPE`, and n x c numbers              |
//! | `METADATA`                                 | lines up to an empty one, which are passed over                  |
//!
//! | type            | element | type             | element | type                            | element |
//! |-----------------|---------|------------------|---------|---------------------------------|---------|
//! | `char`, `signed_char` | `\|i1` | `unsigned_char` | `\|u1` | `float`                     | `f4`    |
//! | `short`         | `i2`    | `unsigned_short` | `u2`    | `double`                        | `f8`    |
//! | `int`, `vtkIdType` | `i4` | `unsigned_int`   | `u4`    | `bit`                           | refused |
//! | `long`, `vtktypeint64` | `i8` | `unsigned_long`, `vtktypeuint64` | `u8` | `string`       | refused |
//!
//! Members are `points`, `cells` (or `cells/offsets`, `cells/connectivity`), `point_data/NAME`, `cell_data/NAME`,
//! `field_data/NAME`, `lookup_table/NAME` and so on. Values of a structured grid have the axes z, y, x; others have one.
//! Several numbers in one place are one more axis.
//!
//! Limits, and why:
//!
//! - `long` has 8 bytes, as on all but Windows; a file from there has 4, and is refused or shown wrongly.
//! - What follows a line that is not known, or more strings than are read ([`MAX_STRINGS`]), has no known place.

use crate::dtype::literal::excerpt;
use crate::format::header::{Attributes, MAX_ATTRIBUTES};
use crate::format::{Container, Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

mod read;
#[cfg(test)]
mod tests;

use read::Reader;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 4096;

/// The most bytes of all lines, so that a file that is one long text does not take for ever.
pub const MAX_TEXT: u64 = 16 << 20;

/// The most strings that are passed over in an array.
pub const MAX_STRINGS: u64 = 1 << 16;

/// What every file begins with.
const MAGIC: &[u8] = b"# vtk DataFile Version ";

/// The legacy VTK format.
#[derive(Clone, Copy, Debug)]
pub struct Vtk;

impl Format for Vtk {
    fn name(&self) -> &'static str {
        "vtk"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".vtk"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut reader = Reader::new(file);
        let first = reader.text.line()?.unwrap_or_default();
        let Some(version) = first.strip_prefix("# vtk DataFile Version ") else {
            return Err(Refusal(
                "it does not begin with a line that says # vtk DataFile Version: it is a file of another kind; rename it, or \
                 export it again"
                    .into(),
            ));
        };
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("version", version.trim().into());
        attributes.insert("title", reader.text.line()?.unwrap_or_default().into());
        let encoding = reader.text.line()?.unwrap_or_default();
        match &encoding.to_ascii_uppercase()[..] {
            "BINARY" => {}
            "ASCII" => {
                return Err(Refusal(
                    "its numbers are text (ASCII), so that none has a place of its own; write it as binary, for example \
                     with pyvista: pyvista.read('IN.vtk').save('OUT.vtk', binary=True)"
                        .into(),
                ));
            }
            _ => return Err(fault(&format!("its third line is {}, not BINARY", excerpt(&encoding)))),
        }
        let major = version.trim().split('.').next().and_then(|number| number.parse().ok());
        reader.has_offsets = major.is_some_and(|major: u32| major >= 5);
        reader.read(&mut attributes)?;
        if reader.members.is_empty() {
            return Err(Refusal("it holds no array; there is nothing to show".into()));
        }
        Ok(Content::Many(Container { members: reader.members, attributes: attributes.into_map() }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or has to be written again"))
}
