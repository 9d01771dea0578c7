//! Records that Fortran wrote (any name), described by a sidecar.
//!
//! Specification: "File format of unformatted sequential files" in the manual of GNU Fortran; other compilers do the
//! same. A file is records, each with its length in bytes before it and, once more, behind it. These markers are integers
//! of 4 bytes or, if the program was compiled so, of 8. What a record holds is said nowhere, and so the file
//! `x.unf` (any name) needs a sidecar `x.unf.toml`:
//!
//! ```toml
//! format = "fortran"
//! dtype = "f4"
//! shape = "100x200"
//! ```
//!
//! | key          | what                                                                       | left out |
//! |--------------|----------------------------------------------------------------------------|----------|
//! | `dtype`      | type of the elements; one that names no byte order has that of the markers | refused  |
//! | `shape`      | shape of one record, an axis `?` being as long as the first record is      | `?`      |
//! | `order`      | `F`, as in Fortran the first index is the fastest, or `C`, the last        | `F`      |
//! | `marker`     | bytes of a marker: 4 or 8                                                  | 4        |
//! | `skip`       | number of records before the first of these                                | 0        |
//! | `attributes` | a table for `info.json`                                                    | nothing  |
//! | `[[record]]` | in place of `dtype` and `shape`, once for each kind of record              |          |
//!
//! All records are one array, with an axis in front: `x/row/3` is the fourth. Where they differ, `[[record]]` tables
//! describe them one by one, in their order, and the file becomes a folder of those that have a `name`; `dtype`, `shape`, `order`
//! and `attributes` as above. Records with `repeat = true`, which must be the last, come again and again up to the end of
//! the file, and each is an array with an axis in front; the others are arrays as they are.
//!
//! The byte order of the markers is the one in which those of the first record are equal.
//!
//! Limits, and why:
//!
//! - A record must be exactly as long as its description, and the file end with a record that is described: nothing else
//!   shows that a description is right. Parts of a record are the fields of a structured type.
//! - Markers are looked at before the records that repeat, in the first of these, in the last, and in some in
//!   between ([`LOOKS`]): in all of them would be a read for each.
//! - At most [`MAX_RECORDS`] records before those that repeat.
//! - Records of more than 2 GiB with markers of 4 bytes are written in pieces, with other markers in between.

use serde_json::{Map, Value};
use toml::{Table, Value as Toml};

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType};
use crate::format::raw::{self, Spec, keys};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::grid::Grid;
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;
mod walk;

use walk::{Markers, Place};

/// The key of a sidecar that says that it is one of these.
pub(super) const FORMAT: &str = "format";

/// The most records that are passed one by one.
pub const MAX_RECORDS: u64 = 1 << 16;

/// So many times at most the markers of records that repeat are looked at.
pub const LOOKS: u64 = 16;

/// The keys of a sidecar, and of a record in it.
const KEYS: [&str; 8] = [FORMAT, "dtype", "shape", "order", "marker", "skip", "attributes", "record"];
const RECORD_KEYS: [&str; 6] = ["name", "dtype", "shape", "order", "attributes", "repeat"];

/// Unformatted sequential files.
#[derive(Clone, Copy, Debug)]
pub struct Fortran;

impl Format for Fortran {
    fn name(&self) -> &'static str {
        "fortran"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".unf"]
    }

    /// No name says what records hold. Their sidecar does, and is found as that of a raw file.
    fn stem<'a>(&self, _file_name: &'a str) -> Option<&'a str> {
        None
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let Some(table) = raw::sidecar(file_name, siblings)? else {
            return Err(Refusal(format!(
                "nothing describes its records; write format = \"fortran\", dtype and shape into {file_name}{}",
                raw::SIDECAR
            )));
        };
        Records::new(table).map_err(|why| raw::blame(file_name, &why))?.content(file)
    }
}

/// What a sidecar says.
#[derive(Debug)]
pub(super) struct Records {
    marker: u64,
    skip: u64,
    /// Kinds of records, in their order.
    kinds: Vec<Kind>,
    /// Whether they are described one by one, so that the file is a folder.
    is_list: bool,
    attributes: Map<String, Value>,
}

/// What a sidecar says about a record.
#[derive(Debug)]
struct Kind {
    /// Nothing where it is no array.
    name: Option<String>,
    repeats: bool,
    /// The keys of a raw file as long as the record.
    table: Table,
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(message.into()))
}

impl Records {
    pub(super) fn new(mut table: Table) -> Result<Records, Refusal> {
        if table.get(FORMAT).and_then(Toml::as_str) != Some(Fortran.name()) {
            return refuse("the key format can only say \"fortran\"; leave it out for a file without records");
        }
        known(&table, &KEYS)?;
        table.remove(FORMAT);
        let marker = count(&mut table, "marker", 4)?;
        if !matches!(marker, 4 | 8) {
            return refuse(format!("markers of {marker} bytes (marker) are not known, only of 4 or 8"));
        }
        let skip = count(&mut table, "skip", 0)?;
        let Some(list) = table.remove("record") else {
            let kinds = vec![Kind { name: None, repeats: true, table }];
            return Ok(Records { marker, skip, kinds, is_list: false, attributes: Map::new() });
        };
        let attributes = match table.remove("attributes").map(keys::json) {
            None => Map::new(),
            Some(Value::Object(attributes)) => attributes,
            Some(_) => return refuse("attributes must be a table"),
        };
        if let Some(key) = table.keys().next() {
            return refuse(format!("where there are [[record]] tables, {key} belongs into each of them"));
        }
        let Toml::Array(list) = list else { return refuse("record must be written as tables, [[record]]") };
        let kinds = list.into_iter().map(Kind::new).collect::<Result<Vec<Kind>, Refusal>>()?;
        if kinds.iter().is_sorted_by_key(|kind| kind.repeats) {
            Ok(Records { marker, skip, kinds, is_list: true, attributes })
        } else {
            refuse("behind a record with repeat = true there can only be others of these")
        }
    }

    /// What is in a file.
    pub(super) fn content(self, file: &dyn ReadAt) -> Result<Content, Refusal> {
        let markers = Markers::find(file, self.marker)?;
        let repeats = self.kinds.iter().filter(|kind| kind.repeats).count();
        let places = markers.places(self.skip, self.kinds.len() - repeats, repeats)?;
        let mut members: Vec<Member> = Vec::new();
        for (number, (kind, place)) in self.kinds.into_iter().zip(places).enumerate() {
            if !self.is_list {
                return kind.array(&place, markers.order).map(Content::One);
            }
            let Some(name) = kind.name.clone() else { continue };
            if members.iter().any(|member| member.path[0] == name) {
                return refuse(format!("its sidecar calls two records {}; give them two names", excerpt(&name)));
            }
            let found = kind.array(&place, markers.order).map_err(|Refusal(why)| {
                Refusal(format!("number {number} of its [[record]] tables, {}: {why}", excerpt(&name)))
            });
            members.push(Member { path: vec![name], found });
        }
        if members.is_empty() {
            return refuse("its sidecar gives no record a name, so that there is nothing to show; add name = \"...\"");
        }
        Ok(Content::Many(Container { members, attributes: self.attributes }))
    }
}

impl Kind {
    fn new(value: Toml) -> Result<Kind, Refusal> {
        let Toml::Table(mut table) = value else { return refuse("record must be written as tables, [[record]]") };
        known(&table, &RECORD_KEYS)?;
        let repeats = match table.remove("repeat") {
            None => false,
            Some(Toml::Boolean(repeats)) => repeats,
            Some(_) => return refuse("repeat must be true or false"),
        };
        let name = match table.get("name") {
            None if table.is_empty() => None,
            None => return refuse("a record that is described has no name; add name = \"...\""),
            Some(Toml::String(name)) => Some(name.clone()),
            Some(_) => return refuse("name must be a string"),
        };
        Ok(Kind { name, repeats, table })
    }

    /// The array of the records at this place, whose markers are of this byte order.
    fn array(self, place: &Place, order: ByteOrder) -> Result<Array, Refusal> {
        let Kind { mut table, repeats, .. } = self;
        table.entry("order").or_insert_with(|| "F".into());
        if let Some(Toml::String(dtype)) = table.get_mut("dtype")
            && order == ByteOrder::Big
            && DType::parse(&format!("{dtype}be")).is_ok()
        {
            dtype.push_str("be");
        }
        let blame =
            |Refusal(why)| Refusal(format!("a record of {} bytes, at byte {}: {why}", place.length, place.start));
        let array = Spec::from_table(table).and_then(|spec| spec.array(place.length)).map_err(blame)?;
        let cannot_be = || Refusal("its records are no array that can be; correct the sidecar".into());
        let mut layout = array.grid.single().cloned().ok_or_else(cannot_be)?;
        let taken = layout.extent().end;
        if taken != place.length {
            return refuse(format!(
                "a record of {} bytes, at byte {}, is described as one of {taken} (dtype {}, shape {:?}); correct dtype or \
                 shape in the sidecar",
                place.length,
                place.start,
                excerpt(&array.dtype.to_string()),
                layout.shape
            ));
        }
        layout.offset = layout.offset.checked_add(place.start).ok_or_else(cannot_be)?;
        let mut dims = Vec::new();
        if repeats {
            layout.shape.insert(0, place.count);
            layout.strides.insert(0, i64::try_from(place.step).map_err(|_| cannot_be())?);
            dims = vec![String::new(); layout.shape.len()];
            dims[0] = "record".to_owned();
        }
        layout
            .check()
            .map_err(|error| Refusal(format!("its records are no array that can be: {error}; correct the sidecar")))?;
        Ok(Array { format: Fortran.name(), dims, grid: Grid::one(layout).into(), ..array })
    }
}

/// Sees to it that there are only these keys.
fn known(table: &Table, keys: &[&str]) -> Result<(), Refusal> {
    match table.keys().find(|key| !keys.contains(&&***key)) {
        None => Ok(()),
        Some(other) => refuse(format!("{} is no key here; the keys are {}", excerpt(other), keys.join(", "))),
    }
}

/// A number that is not negative; this one where it is left out.
fn count(table: &mut Table, key: &str, default: u64) -> Result<u64, Refusal> {
    match table.remove(key) {
        None => Ok(default),
        Some(value) => {
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            number.ok_or_else(|| Refusal(format!("{key} must be a number, and not negative")))
        }
    }
}
