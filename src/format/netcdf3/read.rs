//! The header of a NetCDF classic file, as it stands there.

use serde_json::{Map, Value};

use super::{Attributes, Cursor, MAX_ATTRIBUTES, MAX_DIMS, MAX_HEADER, Type, fault};
use crate::dtype::ByteOrder;
use crate::dtype::literal::excerpt;
use crate::format::Refusal;
use crate::format::header::{self, MAX_ENTRIES, MAX_LIST, MAX_TEXT};
use crate::source::ReadAt;

/// The tags of lists.
const DIMENSIONS: u32 = 10;
const VARIABLES: u32 = 11;
const ATTRIBUTES: u32 = 12;

/// The attribute that says what stands where nothing was written.
const FILL: &str = "_FillValue";

/// The room for the attributes of all variables together, as [`MAX_ATTRIBUTES`] counts.
const MAX_ALL_ATTRIBUTES: usize = 4 << 20;

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    /// Number of records, unless it is as many as the file holds.
    pub(super) records: Option<u64>,
    pub(super) dimensions: Vec<Dimension>,
    pub(super) attributes: Map<String, Value>,
    pub(super) variables: Vec<Variable>,
    /// One past its last byte.
    pub(super) end: u64,
}

#[derive(Debug)]
pub(super) struct Dimension {
    pub(super) name: String,
    /// Its length; 0 for that which counts the records.
    pub(super) length: u64,
}

#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Numbers of its dimensions.
    pub(super) dimensions: Vec<u32>,
    pub(super) attributes: Map<String, Value>,
    /// The bytes of its fill value, if it has one.
    pub(super) fill: Vec<u8>,
    pub(super) of: Type,
    /// Bytes of its elements, of one record where it has records; without padding.
    pub(super) bytes: u64,
    /// Byte of the file at which it starts.
    pub(super) begin: u64,
}

impl Variable {
    /// Whether its first dimension counts the records.
    pub(super) fn has_records(&self, header: &Header) -> bool {
        self.dimensions.first().is_some_and(|&first| header.dimensions[first as usize].length == 0)
    }
}

/// Reads the header of a file.
pub(super) fn header(file: &dyn ReadAt) -> Result<Header, Refusal> {
    let mut cursor = Cursor::new(file, "NetCDF", MAX_HEADER);
    cursor.order = ByteOrder::Big;
    let version = version(cursor.array()?)?;
    let mut reader = Reader { cursor, version, room: MAX_ALL_ATTRIBUTES };
    let records = match (reader.count()?, version) {
        (u64::MAX, 5) => None,
        (0xffff_ffff, 1 | 2) => None,
        (records, _) => Some(records),
    };
    let dimensions = reader.list(DIMENSIONS, |reader| {
        let (name, length) = (reader.name()?, reader.count()?);
        Ok(Dimension { name, length })
    })?;
    let (attributes, _) = reader.attributes(MAX_ATTRIBUTES)?;
    let variables = reader.list(VARIABLES, |reader| reader.variable(&dimensions))?;
    let end = reader.cursor.position();
    Ok(Header { records, dimensions, attributes: attributes.into_map(), variables, end })
}

/// The version, by the first bytes of the file.
fn version(magic: [u8; 4]) -> Result<u8, Refusal> {
    match magic {
        [b'C', b'D', b'F', version @ (1 | 2 | 5)] => Ok(version),
        [b'C', b'D', b'F', version] => Err(Refusal(format!(
            "it is of version {version} of NetCDF, and only 1, 2 and 5 are known; convert it, for example with \
             nccopy -k cdf5"
        ))),
        [0xcd, 0xf3 | 0xf2, ..] => Err(Refusal(
            "it is a file of NASA's Common Data Format, which only shares the extension .cdf; convert it to NetCDF"
                .into(),
        )),
        [0x89, b'H', b'D', b'F'] => Err(Refusal("it is HDF5 (netCDF-4), not NetCDF classic".into())),
        _ => Err(Refusal(
            "it does not begin with the magic bytes CDF of NetCDF classic: it is a file of another kind, or damaged; \
             rename it or save it again"
                .into(),
        )),
    }
}

/// The bytes of a fill value, with their type, if there is one.
type Fill = Option<(Type, Vec<u8>)>;

struct Reader<'a> {
    cursor: Cursor<'a>,
    version: u8,
    /// Room for attributes of variables.
    room: usize,
}

impl Reader<'_> {
    fn count(&mut self) -> Result<u64, Refusal> {
        if self.version == 5 { self.cursor.u64() } else { self.cursor.u32().map(u64::from) }
    }

    fn list<T>(&mut self, tag: u32, mut entry: impl FnMut(&mut Self) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
        let (found, count) = (self.cursor.u32()?, self.count()?);
        if found != tag && (found, count) != (0, 0) {
            return Err(fault(&format!(
                "its NetCDF header has a list with tag {found} in the place of one with tag {tag}"
            )));
        }
        if count > MAX_ENTRIES {
            return Err(fault(&format!(
                "its NetCDF header has a list that claims {count} entries, more than the {MAX_ENTRIES} that are read"
            )));
        }
        (0..count).map(|_| entry(self)).collect()
    }

    fn name(&mut self) -> Result<String, Refusal> {
        let length = self.count()?;
        let bytes = self.cursor.bytes(length)?;
        self.pad(length)?;
        // Before names were UTF-8 they were often Latin-1, in which every byte is the character of its number.
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect()))
    }

    /// Passes over what follows so many bytes.
    fn pad(&mut self, length: u64) -> Result<(), Refusal> {
        self.cursor.skip(length.wrapping_neg() % 4)
    }

    fn of(&mut self) -> Result<Type, Refusal> {
        let id = self.cursor.u32()?;
        Type::of(id, self.version).ok_or_else(|| {
            fault(&format!("its NetCDF header names type {id}, which version {} does not know", self.version))
        })
    }

    /// Attributes, as far as there is so much room; and the fill value.
    fn attributes(&mut self, room: usize) -> Result<(Attributes, Fill), Refusal> {
        let (mut kept, mut fill) = (Attributes::new(room), None);
        self.list(ATTRIBUTES, |reader| {
            let name = reader.name()?;
            let (of, count) = (reader.of()?, reader.count()?);
            let length = count.saturating_mul(of.itemsize);
            let limit = if of.id == CHAR { MAX_TEXT } else { MAX_LIST };
            if count > limit {
                reader.cursor.skip(length)?;
            } else {
                let bytes = reader.cursor.bytes(length)?;
                kept.insert(&name, value(of, &bytes));
                if name == FILL && count == 1 {
                    fill = Some((of, bytes));
                }
            }
            reader.pad(length)
        })?;
        Ok((kept, fill))
    }

    fn variable(&mut self, dimensions: &[Dimension]) -> Result<Variable, Refusal> {
        let name = self.name()?;
        let ndim = self.count()?;
        if ndim > MAX_DIMS {
            return Err(fault(&format!(
                "its NetCDF header claims {ndim} dimensions of {}, more than the {MAX_DIMS} that are read",
                excerpt(&name)
            )));
        }
        let numbers = (0..ndim).map(|_| {
            let number = self.count()?;
            let known = u32::try_from(number).ok().filter(|&number| (number as usize) < dimensions.len());
            known.ok_or_else(|| {
                fault(&format!("its NetCDF header gives {} a dimension {number} that there is not", excerpt(&name)))
            })
        });
        let numbers = numbers.collect::<Result<Vec<u32>, Refusal>>()?;
        let before = self.room.min(MAX_ATTRIBUTES);
        let (attributes, fill) = self.attributes(before)?;
        self.room -= before - attributes.room();
        let of = self.of()?;
        // The size is not to be trusted.
        self.count()?;
        let begin = if self.version == 1 { self.cursor.u32()?.into() } else { self.cursor.u64()? };
        let lengths = || numbers.iter().map(|&number| dimensions[number as usize].length);
        let skipped = usize::from(lengths().next() == Some(0));
        let bytes = lengths().skip(skipped).try_fold(of.itemsize, |bytes, length| bytes.checked_mul(length));
        let bytes = bytes.filter(|&bytes| bytes <= i64::MAX as u64).ok_or_else(|| {
            fault(&format!("its NetCDF header makes {} larger than any file can be (2^63 bytes)", excerpt(&name)))
        })?;
        let fill = fill.filter(|&(fill, _)| fill == of).map(|(_, bytes)| bytes).unwrap_or_default();
        Ok(Variable { name, dimensions: numbers, attributes: attributes.into_map(), fill, of, bytes, begin })
    }
}

/// The number of the type of characters.
const CHAR: u32 = 2;

/// The value of an attribute: a text, a number, or a list of numbers where there is not just one.
fn value(of: Type, bytes: &[u8]) -> Value {
    if of.id == CHAR {
        // Written from C, texts often end in a zero.
        return String::from_utf8_lossy(bytes).trim_end_matches('\0').into();
    }
    let mut numbers: Vec<Value> = bytes.chunks_exact(of.itemsize as usize).map(|bytes| number(of, bytes)).collect();
    match numbers.pop() {
        Some(only) if numbers.is_empty() => only,
        last => Value::Array(numbers.into_iter().chain(last).collect()),
    }
}

fn number(of: Type, bytes: &[u8]) -> Value {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    let bits = u64::from_be_bytes(wide);
    // Integers of fewer bytes are extended with their sign.
    let unused = 64 - 8 * bytes.len() as u32;
    match of.id {
        5 => header::float(f32::from_bits(bits as u32).into()),
        6 => header::float(f64::from_bits(bits)),
        7..=9 | 11 => bits.into(),
        _ => (bits.cast_signed() << unused >> unused).into(),
    }
}
