//! SEG-Y (`.sgy`, `.segy`): traces of seismics, each with a header.
//!
//! Specifications: "SEG-Y_r2.0" and "SEG-Y_r1.0" of the SEG Technical Standards Committee; Barry et al. 1975 for
//! revision 0. Positions are counted from 1, as there. A file is
//!
//! | bytes        | what                                                                            |
//! |--------------|---------------------------------------------------------------------------------|
//! | 3200         | a text of 40 lines in EBCDIC, or in ASCII                                       |
//! | 400          | the binary header, 3201 to 3600                                                 |
//! | 3200 each    | further texts                                                                   |
//! | for each trace | 240: its header; its samples                                                  |
//! | 3200 each    | (revision 2) trailing texts                                                     |
//!
//! | at   | bytes | of the binary header                                                              |
//! |------|-------|-----------------------------------------------------------------------------------|
//! | 3221 | 2     | samples of a trace (n); in revision 2 rather the 4 bytes at 3269, if they are not 0 |
//! | 3225 | 2     | format of the samples                                                             |
//! | 3297 | 4     | (revision 2) 0x01020304 in the order of the file                                  |
//! | 3501 | 1, 1  | revision                                                                          |
//! | 3503 | 2     | 1 if all traces have n samples                                                    |
//! | 3505 | 2     | number of further texts; -1: up to one that is `((SEG: EndText))`                 |
//! | 3507 | 4     | (revision 2) additional headers of a trace                                        |
//! | 3513 | 8, 8  | (revision 2) number of traces and first byte of the first one, if they are not 0  |
//! | 3529 | 4     | (revision 2) number of trailing texts, if it is known                             |
//!
//! | format | samples                   | format   | samples                                        |
//! |--------|---------------------------|----------|------------------------------------------------|
//! | 1      | IBM floats: `\|V4`, `ibm32` | 9        | `i8`                                         |
//! | 2      | `i4`                      | 10       | `u4`                                           |
//! | 3      | `i2`                      | 11       | `u2`                                           |
//! | 5      | `f4`                      | 12       | `u8`                                           |
//! | 6      | `f8`                      | 15       | `\|V3`, unsigned: `u3be`                       |
//! | 7      | `\|V3`, `i3be`            | 16       | `u1`                                           |
//! | 8      | `i1`                      | 4, others | refused                                       |
//!
//! Files are big-endian; many are little-endian nevertheless, which the format of the samples tells (or, in revision 2,
//! the constant). There the elements are `ibm32le`, `i3` and `u3`.
//!
//! The file is a folder of two arrays: `data` of shape `(traces, samples)`, and `headers` of shape `(traces,)`, structured,
//! with the fields and the names that segyio has. Text and binary header are attributes.
//!
//! Limits, and why:
//!
//! - All traces have n samples. A trace's own count often says something else, in files that are read everywhere, so it
//!   is believed only where the binary header has none or one that the file's length contradicts. Where it differs from
//!   trace to trace (the first, the middle and the last one are looked at), or the length fits neither, a trace has no
//!   computable place, and the file is refused.
//! - Additional trace headers are refused: their number may differ from trace to trace.
//! - At most [`MAX_TEXTS`] further texts.

use serde_json::{Map, Value};

use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ATTRIBUTES};
use crate::format::{Container, Content, Format, Refusal};
use crate::source::{ReadAt, Siblings};

pub(super) mod fields;
#[cfg(test)]
mod tests;
pub(super) mod traces;

use traces::{SAMPLES, Traces};

/// Bytes of a text.
const TEXT: u64 = 3200;

/// Bytes in front of the further texts.
const HEADER: u64 = 3600;

/// The most further texts that are looked through for their end.
pub const MAX_TEXTS: u64 = 256;

/// What ends the further texts, in ASCII and in EBCDIC.
const ENDS: [&[u8; 16]; 2] = [b"((SEG: EndText))", b"\x4d\x4d\xe2\xc5\xc7\x7a\x40\xc5\x95\x84\xe3\x85\xa7\xa3\x5d\x5d"];

/// The SEG-Y format.
#[derive(Clone, Copy, Debug)]
pub struct Segy;

impl Format for Segy {
    fn name(&self) -> &'static str {
        "segy"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".sgy", ".segy", ".seg"]
    }

    /// There is no magic, but lines of 80 characters that begin with C and a number, with no end of line, are no chance.
    fn knows(&self, head: &[u8]) -> bool {
        let starts = |c: u8| (0..7).all(|line| head.get(line * 80) == Some(&c));
        let numbered = |numbers: [&[u8; 2]; 3]| head.get(1..3).is_some_and(|two| numbers.iter().any(|n| *n == two));
        starts(0xc3) && numbered([b"\x40\xf1", b"\xf0\xf1", b"\xf1\x40"])
            || starts(b'C') && numbered([b" 1", b"01", b"1 "])
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "SEG-Y", HEADER);
        let text = cursor.bytes(TEXT)?;
        let binary = Binary::new(cursor.bytes(HEADER - TEXT)?)?;
        let traces = binary.traces(file)?;
        let members = traces.members(self.name(), file.len())?;
        let mut attributes = Attributes::new(MAX_ATTRIBUTES);
        attributes.insert("text", fields::text(&text).into());
        Ok(Content::Many(Container { members, attributes: binary.attributes(attributes) }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or not SEG-Y: copy or export it again"))
}

/// Type of the samples of this format, and its name where NumPy has none.
fn sample(format: i64, order: ByteOrder) -> Option<(DType, Option<&'static str>)> {
    let is_big = order == ByteOrder::Big;
    let named = |big, little| Some(if is_big { big } else { little });
    let (kind, itemsize, element) = match format {
        1 => (Kind::Void, 4, named("ibm32", "ibm32le")),
        2 => (Kind::Int, 4, None),
        3 => (Kind::Int, 2, None),
        5 => (Kind::Float, 4, None),
        6 => (Kind::Float, 8, None),
        7 => (Kind::Void, 3, named("i3be", "i3")),
        8 => (Kind::Int, 1, None),
        9 => (Kind::Int, 8, None),
        10 => (Kind::Uint, 4, None),
        11 => (Kind::Uint, 2, None),
        12 => (Kind::Uint, 8, None),
        15 => (Kind::Void, 3, named("u3be", "u3")),
        16 => (Kind::Uint, 1, None),
        _ => return None,
    };
    Some((header::scalar(kind, order, itemsize), element))
}

/// The binary header.
#[derive(Debug)]
struct Binary {
    bytes: Vec<u8>,
    order: ByteOrder,
    /// The revision without what follows its dot.
    revision: u8,
}

impl Binary {
    /// Finds out the byte order.
    fn new(bytes: Vec<u8>) -> Result<Binary, Refusal> {
        let mut binary = Binary { bytes, order: ByteOrder::Big, revision: 0 };
        let is_format = |binary: &Binary| (1..=16).contains(&binary.int(3225, 2));
        binary.order = match binary.uint(3297, 4) {
            0x0403_0201 => ByteOrder::Little,
            0x0102_0304 => ByteOrder::Big,
            0x0201_0403 => {
                return Err(Refusal(
                    "its bytes are swapped in pairs, so that no number longer than two bytes can be read; swap them back, \
                     for example with dd conv=swab"
                        .into(),
                ));
            }
            _ if is_format(&binary) => ByteOrder::Big,
            _ => ByteOrder::Little,
        };
        if !is_format(&binary) {
            let format = Binary { order: ByteOrder::Big, ..binary }.int(3225, 2);
            return Err(fault(&format!(
                "its binary header gives its samples format {format}, which SEG-Y does not know"
            )));
        }
        // Up to revision 1 this was one number of two bytes, which little-endian files have swapped.
        let (major, minor) = (binary.uint(3501, 1) as u8, binary.uint(3502, 1) as u8);
        binary.revision = if major == 0 && binary.order == ByteOrder::Little { minor } else { major };
        Ok(binary)
    }

    /// The unsigned number at this position.
    fn uint(&self, position: u64, bytes: u64) -> u64 {
        let start = (position - TEXT - 1) as usize;
        traces::uint(&self.bytes[start..start + bytes as usize], self.order)
    }

    /// The signed number at this position.
    fn int(&self, position: u64, bytes: u64) -> i64 {
        let unused = 64 - 8 * bytes;
        (self.uint(position, bytes) << unused).cast_signed() >> unused
    }

    /// A number that revision 2 brought; 0 in earlier ones.
    fn new_int(&self, position: u64, bytes: u64) -> i64 {
        if self.revision >= 2 { self.int(position, bytes) } else { 0 }
    }

    fn attributes(&self, mut attributes: Attributes) -> Map<String, Value> {
        for &(name, position, bytes) in fields::BINARY {
            // Interval and samples may need all bits; segyio shows them so.
            let is_count = (3217..3225).contains(&position);
            let number = if is_count { self.uint(position, bytes) as i64 } else { self.int(position, bytes) };
            attributes.insert(name, number.into());
        }
        attributes.insert("SEGYRevision", self.revision.into());
        attributes.into_map()
    }

    /// Where the traces lie.
    fn traces(&self, file: &dyn ReadAt) -> Result<Traces, Refusal> {
        let format = self.int(3225, 2);
        let (dtype, element) = sample(format, self.order).ok_or_else(|| {
            Refusal(format!(
                "its samples are of format {format} of SEG-Y, which NumPy has nothing for; convert them to IEEE floats \
                 (format 5)"
            ))
        })?;
        let additional = self.new_int(3507, 4);
        if additional != 0 {
            return Err(Refusal(format!(
                "its traces have up to {additional} additional headers, in whatever number, so that no trace has a \
                 computable place; export it again without them"
            )));
        }
        let start = self.start(file)?;
        let end = self.end(file.len()).max(start);
        let mut traces = Traces { start, end, samples: 0, dtype, element, order: self.order };
        let samples = match u64::try_from(self.new_int(3269, 4)) {
            Ok(0) | Err(_) => self.uint(3221, 2),
            Ok(samples) => samples,
        };
        let own = traces.field(file, 0, SAMPLES)?;
        let said = if samples > 0 { samples } else { own };
        let count = u64::try_from(self.new_int(3513, 8)).unwrap_or(0);
        let fits = |samples: &u64| *samples > 0 && Traces { samples: *samples, ..traces.clone() }.left_over() == 0;
        traces.samples = if count > 0 { said } else { [said, own].into_iter().find(fits).unwrap_or(said) };
        if traces.samples == 0 {
            return Err(fault("neither its binary header nor its first trace says how many samples a trace has"));
        }
        if count > 0 {
            traces.end =
                count.checked_mul(traces.size()).and_then(|bytes| bytes.checked_add(start)).unwrap_or(u64::MAX);
        }
        let is_fixed = self.revision >= 1 && self.uint(3503, 2) == 1;
        traces.check(file, is_fixed)?;
        Ok(traces)
    }

    /// First byte of the first trace.
    fn start(&self, file: &dyn ReadAt) -> Result<u64, Refusal> {
        if let Ok(start @ 1..) = u64::try_from(self.new_int(3521, 8)) {
            return if start >= HEADER {
                Ok(start)
            } else {
                Err(fault(&format!("its binary header claims a first trace at byte {start}, within the header")))
            };
        }
        match self.int(3505, 2) {
            texts @ 0.. => Ok(HEADER + TEXT * texts.unsigned_abs()),
            -1 => {
                let mut start = HEADER;
                for _ in 0..MAX_TEXTS {
                    let mut head = [0; 16];
                    let count = file.read_at(&mut head, start)?;
                    start += TEXT;
                    if ENDS.contains(&&head) {
                        return Ok(start);
                    }
                    if count < head.len() {
                        break;
                    }
                }
                Err(fault("its further texts have no end ((SEG: EndText))"))
            }
            texts => Err(fault(&format!("its binary header claims {texts} further texts"))),
        }
    }

    /// One past the last byte that may belong to a trace, in a file of `held` bytes.
    fn end(&self, held: u64) -> u64 {
        let trailing = u64::try_from(self.new_int(3529, 4)).unwrap_or(0);
        held.saturating_sub(trailing * TEXT)
    }
}
