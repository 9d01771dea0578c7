//! The header of NIfTI-1, NIfTI-2 and Analyze, field by field.

use serde_json::Value;

use super::fault;
use crate::dtype::ByteOrder;
use crate::format::Refusal;
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES};

/// Bytes of a header of NIfTI-1 or Analyze, and of one of NIfTI-2.
pub(super) const SHORTEST: usize = 348;
pub(super) const LONGEST: usize = 540;

/// Bytes behind the header that say whether there are extensions.
const EXTENDER: u64 = 4;

/// What a header is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Analyze,
    One,
    Two,
}

/// Types of fields.
#[derive(Clone, Copy)]
enum Of {
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    Text(usize),
}

use Of::{Byte, Double, Float, Int, Long, Short, Text};

/// What becomes an attribute: name, first byte, type and number.
type Fields = &'static [(&'static str, usize, Of, usize)];

const ONE: Fields = &[
    ("scl_slope", 112, Float, 1),
    ("scl_inter", 116, Float, 1),
    ("pixdim", 76, Float, 8),
    ("qform_code", 252, Short, 1),
    ("sform_code", 254, Short, 1),
    ("quatern", 256, Float, 3),
    ("qoffset", 268, Float, 3),
    ("srow_x", 280, Float, 4),
    ("srow_y", 296, Float, 4),
    ("srow_z", 312, Float, 4),
    ("cal_max", 124, Float, 1),
    ("cal_min", 128, Float, 1),
    ("toffset", 136, Float, 1),
    ("slice_start", 74, Short, 1),
    ("slice_end", 120, Short, 1),
    ("slice_code", 122, Byte, 1),
    ("slice_duration", 132, Float, 1),
    ("dim_info", 39, Byte, 1),
    ("intent_code", 68, Short, 1),
    ("intent_p", 56, Float, 3),
    ("intent_name", 328, Text(16), 1),
    ("descrip", 148, Text(80), 1),
    ("aux_file", 228, Text(24), 1),
];

const TWO: Fields = &[
    ("scl_slope", 176, Double, 1),
    ("scl_inter", 184, Double, 1),
    ("pixdim", 104, Double, 8),
    ("qform_code", 344, Int, 1),
    ("sform_code", 348, Int, 1),
    ("quatern", 352, Double, 3),
    ("qoffset", 376, Double, 3),
    ("srow_x", 400, Double, 4),
    ("srow_y", 432, Double, 4),
    ("srow_z", 464, Double, 4),
    ("cal_max", 192, Double, 1),
    ("cal_min", 200, Double, 1),
    ("toffset", 216, Double, 1),
    ("slice_start", 224, Long, 1),
    ("slice_end", 232, Long, 1),
    ("slice_code", 496, Int, 1),
    ("slice_duration", 208, Double, 1),
    ("dim_info", 524, Byte, 1),
    ("intent_code", 504, Int, 1),
    ("intent_p", 80, Double, 3),
    ("intent_name", 508, Text(16), 1),
    ("descrip", 240, Text(80), 1),
    ("aux_file", 320, Text(24), 1),
];

/// What SPM keeps in Analyze's unused fields is as useful as the others: its scale, and in `originator` the origin.
const ANALYZE: Fields = &[
    ("funused1", 112, Float, 1),
    ("funused2", 116, Float, 1),
    ("pixdim", 76, Float, 8),
    ("vox_units", 56, Text(4), 1),
    ("cal_units", 60, Text(8), 1),
    ("cal_max", 124, Float, 1),
    ("cal_min", 128, Float, 1),
    ("glmax", 140, Int, 1),
    ("glmin", 144, Int, 1),
    ("orient", 252, Byte, 1),
    ("originator", 253, Short, 5),
    ("descrip", 148, Text(80), 1),
    ("aux_file", 228, Text(24), 1),
];

/// A header.
pub(super) struct Header<'a> {
    bytes: &'a [u8],
    pub(super) order: ByteOrder,
    pub(super) version: Version,
    is_pair: bool,
}

/// Whether the file begins as NIfTI-2 does.
pub(super) fn is_long(bytes: &[u8]) -> bool {
    order_of(bytes, LONGEST as u32).is_some()
}

/// Whether these bytes are certainly a header, or the beginning of one: Analyze has no magic.
pub(super) fn is_certain(head: &[u8]) -> bool {
    if is_long(head) {
        return is_pair_of_two(head).is_some();
    }
    Header::new(head).is_some_and(|header| match header.version {
        Version::Analyze => header.int(32, Int) == 16384 && header.bytes[38] == b'r' && header.shape().is_ok(),
        Version::One | Version::Two => true,
    })
}

/// Whether the magic of NIfTI-2 is that of a pair; nothing if there is no such magic.
fn is_pair_of_two(bytes: &[u8]) -> Option<bool> {
    match bytes.get(4..12)? {
        b"n+2\0\r\n\x1a\n" => Some(false),
        b"ni2\0\r\n\x1a\n" => Some(true),
        _ => None,
    }
}

/// The order in which the first number is this one.
fn order_of(bytes: &[u8], number: u32) -> Option<ByteOrder> {
    let first = *bytes.first_chunk()?;
    if u32::from_le_bytes(first) == number {
        return Some(ByteOrder::Little);
    }
    (u32::from_be_bytes(first) == number).then_some(ByteOrder::Big)
}

impl Header<'_> {
    /// The header that these bytes begin with, if they do.
    pub(super) fn new(bytes: &[u8]) -> Option<Header<'_>> {
        if let Some(order) = order_of(bytes, LONGEST as u32) {
            let is_pair = is_pair_of_two(bytes)?;
            let bytes = bytes.get(..LONGEST)?;
            return Some(Header { bytes, order, version: Version::Two, is_pair });
        }
        let (order, bytes) = (order_of(bytes, SHORTEST as u32)?, bytes.get(..SHORTEST)?);
        let (version, is_pair) = match &bytes[344..] {
            b"n+1\0" => (Version::One, false),
            b"ni1\0" => (Version::One, true),
            _ => (Version::Analyze, true),
        };
        Some(Header { bytes, order, version, is_pair })
    }

    /// Whether the elements lie in another file.
    pub(super) fn is_pair(&self) -> bool {
        self.is_pair
    }

    fn int(&self, at: usize, of: Of) -> i64 {
        match of {
            Short => i16::from_le_bytes(self.get(at)).into(),
            Int => i32::from_le_bytes(self.get(at)).into(),
            Long => i64::from_le_bytes(self.get(at)),
            _ => self.bytes[at].into(),
        }
    }

    /// The bytes of a number, lowest first.
    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at..at + N]);
        if self.order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    }

    fn float(&self, at: usize, of: Of) -> f64 {
        if matches!(of, Double) { f64::from_le_bytes(self.get(at)) } else { f32::from_le_bytes(self.get(at)).into() }
    }

    pub(super) fn datatype(&self) -> i64 {
        self.int(if self.version == Version::Two { 12 } else { 70 }, Short)
    }

    /// The lengths of the axes, fastest first.
    pub(super) fn shape(&self) -> Result<Vec<u64>, Refusal> {
        let dim = |k: usize| match self.version {
            Version::Two => self.int(16 + 8 * k, Long),
            _ => self.int(40 + 2 * k, Short),
        };
        let ndim = dim(0);
        if !(1..=7).contains(&ndim) {
            return Err(fault(&format!("its header gives {ndim} axes, and there are 1 to 7")));
        }
        let mut shape: Vec<i64> = (1..=ndim as usize).map(dim).collect();
        if self.version == Version::One {
            match shape[..] {
                [-1, 1, 1, ..] => shape[0] = self.int(144, Int),
                [27307, 1, 6, ..] => (shape[0], shape[2]) = (163_842, 1),
                _ => {}
            }
        }
        let length = |&length: &i64| {
            u64::try_from(length).map_err(|_| fault(&format!("its header gives an axis the length {length}")))
        };
        shape.iter().map(length).collect()
    }

    /// The byte at which the elements start, in whichever file.
    pub(super) fn offset(&self) -> Result<u64, Refusal> {
        let offset = match self.version {
            Version::Two => u64::try_from(self.int(168, Long)).ok(),
            _ => Some(self.float(108, Float)).filter(|offset| (0.0..9e15).contains(offset)).map(|offset| offset as u64),
        };
        let offset = offset.ok_or_else(|| fault("its header gives a vox_offset that is no byte of a file"))?;
        let header = self.bytes.len() as u64;
        match offset {
            _ if self.is_pair => Ok(offset),
            0 => Ok(header + EXTENDER),
            _ if offset < header => Err(fault(&format!(
                "its header gives vox_offset {offset}, and ends at byte {header}: elements cannot begin within it"
            ))),
            _ => Ok(offset),
        }
    }

    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        let fields = match self.version {
            Version::Analyze => ANALYZE,
            Version::One => ONE,
            Version::Two => TWO,
        };
        for &(name, at, of, count) in fields {
            let value = |k: usize| match of {
                Byte => self.int(at + k, of).into(),
                Short => self.int(at + 2 * k, of).into(),
                Int => self.int(at + 4 * k, of).into(),
                Long => self.int(at + 8 * k, of).into(),
                Float => header::float(self.float(at + 4 * k, of)),
                Double => header::float(self.float(at + 8 * k, of)),
                Text(length) => Value::from(header::text(&self.bytes[at..at + length])),
            };
            let value = if count == 1 { value(0) } else { (0..count).map(value).collect::<Vec<Value>>().into() };
            if value != "" {
                attributes.insert(name, value);
            }
        }
        let units = match self.version {
            Version::Analyze => return attributes,
            Version::One => self.int(123, Byte),
            Version::Two => self.int(500, Int),
        };
        let space = match units & 7 {
            1 => Some("m"),
            2 => Some("mm"),
            3 => Some("um"),
            _ => None,
        };
        let time = match units & 56 {
            8 => Some("s"),
            16 => Some("ms"),
            24 => Some("us"),
            32 => Some("Hz"),
            40 => Some("ppm"),
            48 => Some("rad/s"),
            _ => None,
        };
        for (name, unit) in [("xyz_unit", space), ("t_unit", time)] {
            if let Some(unit) = unit {
                attributes.insert(name, unit.into());
            }
        }
        attributes
    }
}
