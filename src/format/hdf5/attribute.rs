//! Attributes: what is said about a data set, and what names its axes.
//!
//! An attribute is a name, a type, a shape and a value. Few of them are messages in the object header, many lie in
//! a fractal heap.
//!
//! Axes are named by dimension scales (netCDF's dimensions): `DIMENSION_LIST` has for each axis a list of references
//! to data sets whose names are those of the axis. `DIMENSION_LABELS` has texts. A scale itself names its own axis.
//! netCDF numbers its dimensions (`_Netcdf4Dimid`), and says with these numbers which axes a coordinate variable of
//! several has (`_Netcdf4Coordinates`).

use serde_json::{Map, Value};

use super::btree::Tree;
use super::datatype::{self, Class, Datatype};
use super::file::{Cursor, File, text};
use super::fractal::Heap;
use super::header::{self, Header};
use super::storage::Space;
use super::value::{self, Reader};
use super::{damaged, kind};
use crate::format::Refusal;
use crate::format::header::{Attributes, MAX_ATTRIBUTES};
use crate::layout::MAX_NDIM;

/// So many attributes of an object are read.
const MAX_COUNT: usize = 1024;

/// The largest value that is read, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// The type of the B-tree that has the attributes of an object by the hashes of their names.
const BY_NAME: u8 = 8;

/// What names the axes of a data set.
#[derive(Clone, Debug, Default)]
pub(super) struct Axes {
    /// Texts, one for each axis, or none.
    pub(super) labels: Vec<String>,
    /// For each axis the addresses of its scales, or none.
    pub(super) scales: Vec<Vec<u64>>,
    /// Whether it is a scale itself.
    pub(super) is_scale: bool,
    /// The number of the dimension that it is.
    pub(super) number: Option<u64>,
    /// The numbers of the dimensions that it has.
    pub(super) numbers: Vec<u64>,
}

struct Attribute {
    name: String,
    datatype: Datatype,
    space: Space,
    value: Vec<u8>,
}

/// What the attributes of an object say: values for everybody, and the names of the axes. What cannot be read, has no
/// room, or nothing to stand for it in JSON, is left out: the elements do not depend on it.
pub(super) fn read(file: &File<'_>, header: &Header) -> (Map<String, Value>, Axes) {
    let (mut values, mut axes) = (Attributes::new(MAX_ATTRIBUTES), Axes::default());
    for attribute in attributes(file, header) {
        axes.learn(file, &attribute);
        let Attribute { name, datatype, space, value } = attribute;
        let value = if space.null {
            Some(Value::Null)
        } else {
            Reader::new(file).array(&datatype, &space.shape, &mut Cursor::new(&value, "attribute"))
        };
        if let Some(value) = value {
            values.insert(&name, value);
        }
    }
    (values.into_map(), axes)
}

impl Axes {
    fn learn(&mut self, file: &File<'_>, attribute: &Attribute) {
        let Attribute { datatype, space, value, .. } = attribute;
        let mut cursor = Cursor::new(value, "attribute");
        let count = space.shape.first().map_or(0, |&count| count.min(MAX_NDIM as u64));
        let json = || Reader::new(file).array(datatype, &space.shape, &mut cursor.clone());
        match (attribute.name.as_str(), &datatype.class) {
            ("CLASS", _) => self.is_scale = json().is_some_and(|class| class == "DIMENSION_SCALE"),
            ("_Netcdf4Dimid", _) => self.number = json().and_then(|number| number.as_u64()),
            ("_Netcdf4Coordinates", _) => {
                self.numbers = match json() {
                    Some(Value::Array(numbers)) => numbers.iter().filter_map(Value::as_u64).collect(),
                    number => number.and_then(|number| number.as_u64()).into_iter().collect(),
                }
            }
            ("DIMENSION_LABELS", Class::Text) => {
                let label = |_| {
                    let label = Reader::new(file).one(datatype, &mut cursor);
                    label.and_then(|label| label.as_str().map(str::to_owned)).unwrap_or_default()
                };
                self.labels = (0..count).map(label).collect();
            }
            ("DIMENSION_LIST", Class::Sequence(base)) if base.class == (Class::Reference { object: true }) => {
                let scales = |_| -> Vec<u64> {
                    let found = value::in_heap(&mut cursor, file).map(|(_, bytes)| bytes).unwrap_or_default();
                    let mut references = Cursor::new(&found, "reference");
                    std::iter::from_fn(|| file.address(&mut references).ok()).flatten().collect()
                };
                self.scales = (0..count).map(scales).collect();
            }
            _ => {}
        }
    }
}

/// The attributes of an object that can be read.
fn attributes(file: &File<'_>, header: &Header) -> Vec<Attribute> {
    let messages = header.messages.iter().filter(|message| message.kind == kind::ATTRIBUTE);
    let mut found: Vec<Attribute> =
        (messages.take(MAX_COUNT)).filter_map(|message| attribute(file, &message.resolve(file).ok()?).ok()).collect();
    if let Some(message) = header.find(kind::ATTRIBUTE_INFO) {
        let before = found.len();
        // The order in which they were made is kept apart; names are an order, too.
        if dense(file, &message.body, &mut found).is_err() {
            found.truncate(before);
        }
        found[before..].sort_by(|a, b| a.name.cmp(&b.name));
    }
    found
}

/// Attributes in a fractal heap, if the object has them there.
fn dense(file: &File<'_>, body: &[u8], found: &mut Vec<Attribute>) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(body, "attribute info");
    match cursor.u8()? {
        0 => {}
        version => return Err(cursor.unknown_version(version)),
    }
    let flags = cursor.u8()?;
    cursor.skip(if flags & 1 == 0 { 0 } else { 2 })?;
    let (heap, tree) = (file.address(&mut cursor)?, file.address(&mut cursor)?);
    let (Some(heap), Some(tree)) = (heap, tree) else { return Ok(()) };
    let heap = Heap::open(file, heap)?;
    Tree::open(file, tree, BY_NAME)?.each(file, &mut |record| {
        if found.len() < MAX_COUNT {
            let (id, rest) = record.split_at_checked(8).ok_or_else(|| damaged("an attribute has no id"))?;
            // The flags of the message: a shared one lies in another heap, and only its id is the same.
            let is_shared = rest.first().is_some_and(|flags| flags & 2 != 0);
            let body =
                if is_shared { header::in_shared_heap(file, kind::ATTRIBUTE, id) } else { heap.object(file, id) };
            found.extend(body.and_then(|body| attribute(file, &body)).ok());
        }
        Ok(())
    })
}

/// An attribute message.
fn attribute(file: &File<'_>, body: &[u8]) -> Result<Attribute, Refusal> {
    let mut cursor = Cursor::new(body, "attribute");
    let version = cursor.u8()?;
    if !(1..=3).contains(&version) {
        return Err(cursor.unknown_version(version));
    }
    let flags = cursor.u8()?;
    let flags = if version == 1 { 0 } else { flags };
    let sizes = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
    cursor.skip(if version == 3 { 1 } else { 0 })?;
    // In version 1 every part is padded to a multiple of 8 bytes.
    let [name, datatype, space] = sizes.map(|size| if version == 1 { size.next_multiple_of(8) } else { size });
    let name = cursor.take(name)?.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut datatype = Cursor::new(cursor.take(datatype)?, "datatype");
    let datatype = datatype::read(file, &mut datatype, flags & 1 != 0)?;
    let space = cursor.take(space)?;
    let space = if flags & 2 == 0 {
        Space::parse(file, space)?
    } else {
        Space::parse(file, &header::shared(file, kind::DATASPACE, &mut Cursor::new(space, "dataspace"))?)?
    };
    if cursor.rest.len() > MAX_VALUE {
        return Err(Refusal("an attribute is too large to be shown".into()));
    }
    Ok(Attribute { name: text(name), datatype, space, value: cursor.rest.to_vec() })
}
