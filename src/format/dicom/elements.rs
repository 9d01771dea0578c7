//! Data elements, read from the start of a file up to the pixels. Only values that are asked for later are kept.

use std::collections::HashMap;

use serde_json::Value;

use super::tags::{self, Kind, Tag};
use super::{Dicom, MAX_HEADER, MAX_NESTING, PREAMBLE, fault};
use crate::dtype::ByteOrder;
use crate::dtype::literal::excerpt;
use crate::format::header::{self, Cursor, MAX_LIST, MAX_TEXT};
use crate::format::{Format, Refusal};
use crate::source::ReadAt;

/// The length of a value that ends where its last item says so.
const UNDEFINED: u32 = u32::MAX;

/// The data elements that were kept.
pub(super) struct DataSet {
    values: HashMap<Tag, Vec<u8>>,
    order: ByteOrder,
}

/// The value that holds the pixels.
pub(super) struct Pixels {
    pub(super) tag: Tag,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) order: ByteOrder,
    /// Whether they are words of 2 bytes in the eyes of DICOM, whatever they mean.
    pub(super) is_words: bool,
}

/// How data elements are written.
#[derive(Clone, Copy)]
struct Syntax {
    is_explicit: bool,
    order: ByteOrder,
}

/// How those of group 2 are always written.
const META: Syntax = Syntax { is_explicit: true, order: ByteOrder::Little };

/// The head of a data element.
struct Element {
    tag: Tag,
    /// Its type, where it is written.
    vr: Option<[u8; 2]>,
    length: u32,
}

/// Reads the data elements up to the pixels.
pub(super) fn read(file: &dyn ReadAt) -> Result<(DataSet, Pixels), Refusal> {
    let mut head = [0; PREAMBLE + 4];
    if file.read_at(&mut head, 0)? < head.len() || !Dicom.knows(&head) {
        return Err(Refusal(
            "it does not have DICM at byte 128, as DICOM files do: it is a file of another kind, or damaged; rename \
             it or export it again"
                .into(),
        ));
    }
    let mut reader = Reader { cursor: Cursor::new(file, "DICOM", MAX_HEADER), syntax: META };
    reader.cursor.skip(head.len() as u64)?;
    let mut set = DataSet { values: HashMap::new(), order: ByteOrder::Little };
    let mut is_meta = true;
    loop {
        if reader.cursor.position() >= file.len() {
            return Err(Refusal(
                "it holds no pixels, only words about them, or a report; there is nothing to show".into(),
            ));
        }
        let tag = reader.cursor.array()?;
        // Group 2 has this form in every syntax, and comes first.
        if is_meta && tag[..2] != [2, 0] {
            is_meta = false;
            reader.syntax = syntax(set.text(tags::TRANSFER_SYNTAX).as_deref())?;
            set.order = reader.syntax.order;
        }
        let element = reader.rest_of_head(tag)?;
        if matches!(element.tag, tags::PIXEL_DATA | tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA) {
            if element.length == UNDEFINED {
                return Err(Refusal(
                    "its pixels are encapsulated, as only compressed ones are; decompress it, for example with \
                     dcmdjpeg or gdcmconv --raw"
                        .into(),
                ));
            }
            let is_words = element.vr != Some(*b"OB");
            let (offset, length) = (reader.cursor.position(), element.length.into());
            return Ok((set, Pixels { tag: element.tag, offset, length, order: reader.syntax.order, is_words }));
        }
        let is_kept = is_wanted(element.tag) && u64::from(element.length) <= MAX_TEXT;
        if is_kept {
            set.values.insert(element.tag, reader.cursor.bytes(element.length.into())?);
        } else {
            reader.skip(&element, reader.syntax, 0)?;
        }
    }
}

fn is_wanted(tag: Tag) -> bool {
    let pixels = [
        tags::SAMPLES_PER_PIXEL,
        tags::PLANAR_CONFIGURATION,
        tags::NUMBER_OF_FRAMES,
        tags::ROWS,
        tags::COLUMNS,
        tags::BITS_ALLOCATED,
        tags::PIXEL_REPRESENTATION,
    ];
    pixels.contains(&tag) || tags::ATTRIBUTES.iter().any(|&(wanted, ..)| wanted == tag)
}

/// The syntax of this UID.
fn syntax(uid: Option<&str>) -> Result<Syntax, Refusal> {
    let name = match uid {
        None => return Err(fault("its header does not give the transfer syntax, without which it cannot be read")),
        Some("1.2.840.10008.1.2") => return Ok(Syntax { is_explicit: false, order: ByteOrder::Little }),
        Some("1.2.840.10008.1.2.1") => return Ok(META),
        Some("1.2.840.10008.1.2.2") => return Ok(Syntax { is_explicit: true, order: ByteOrder::Big }),
        Some("1.2.840.10008.1.2.1.99") => {
            return Err(Refusal(
                "it is deflated as a whole; decompress it, for example with dcmconv +te or gdcmconv --raw".into(),
            ));
        }
        Some(uid) => compression(uid).ok_or_else(|| {
            Refusal(format!(
                "its transfer syntax {} is not known; convert it to explicit VR little-endian, for example \
                 with dcmconv +te",
                excerpt(uid)
            ))
        })?,
    };
    Err(Refusal(format!(
        "its pixels are compressed ({name}); decompress it, for example with dcmdjpeg or gdcmconv --raw"
    )))
}

/// What the pixels of a transfer syntax are compressed with.
fn compression(uid: &str) -> Option<&'static str> {
    let last = uid.strip_prefix("1.2.840.10008.1.2.")?;
    Some(match last {
        "5" => "RLE",
        "4.50" | "4.51" => "JPEG",
        "4.57" | "4.70" => "JPEG lossless",
        "4.80" | "4.81" => "JPEG-LS",
        "4.90" | "4.91" | "4.92" | "4.93" => "JPEG 2000",
        "4.110" | "4.111" | "4.112" => "JPEG XL",
        "4.201" | "4.202" | "4.203" => "high-throughput JPEG 2000",
        _ if last.starts_with("4.10") => "MPEG",
        _ if last.starts_with("4.") => "one of the older kinds of JPEG",
        _ => return None,
    })
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    syntax: Syntax,
}

impl Reader<'_> {
    fn tag(&self, bytes: [u8; 4]) -> Tag {
        let [a, b, c, d] = bytes;
        match self.syntax.order {
            ByteOrder::Big => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            _ => (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])),
        }
    }

    /// What stands between a tag and the value.
    fn rest_of_head(&mut self, tag: [u8; 4]) -> Result<Element, Refusal> {
        let tag = self.tag(tag);
        self.cursor.order = self.syntax.order;
        // Those that divide items have no type in any syntax.
        if !self.syntax.is_explicit || tag.0 == 0xfffe {
            return Ok(Element { tag, vr: None, length: self.cursor.u32()? });
        }
        let vr = self.cursor.array()?;
        let is_long = matches!(
            &vr,
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV"
        );
        let length = if is_long {
            self.cursor.skip(2)?;
            self.cursor.u32()?
        } else {
            self.cursor.u16()?.into()
        };
        Ok(Element { tag, vr: Some(vr), length })
    }

    /// Passes over a value.
    fn skip(&mut self, element: &Element, syntax: Syntax, depth: usize) -> Result<(), Refusal> {
        if element.length != UNDEFINED {
            return self.cursor.skip(element.length.into());
        }
        // What a program did not know and kept as it was (UN) is implicit inside.
        let is_unknown = element.vr == Some(*b"UN");
        let inside = if is_unknown { Syntax { is_explicit: false, order: ByteOrder::Little } } else { syntax };
        self.syntax = inside;
        self.skip_items(depth + 1)?;
        self.syntax = syntax;
        Ok(())
    }

    /// Passes over the items of a sequence up to its end.
    fn skip_items(&mut self, depth: usize) -> Result<(), Refusal> {
        if depth > MAX_NESTING {
            return Err(fault(&format!("its sequences are nested more than {MAX_NESTING} deep")));
        }
        let syntax = self.syntax;
        loop {
            let tag = self.cursor.array()?;
            let item = self.rest_of_head(tag)?;
            match (item.tag, item.length) {
                (tags::SEQUENCE_END, _) => return Ok(()),
                (tags::ITEM, UNDEFINED) => loop {
                    let tag = self.cursor.array()?;
                    let element = self.rest_of_head(tag)?;
                    if element.tag == tags::ITEM_END {
                        break;
                    }
                    self.skip(&element, syntax, depth)?;
                },
                (tags::ITEM, length) => self.cursor.skip(length.into())?,
                ((group, number), _) => {
                    return Err(fault(&format!(
                        "it has ({group:04X},{number:04X}) in a sequence, in the place of an item"
                    )));
                }
            }
        }
    }
}

impl DataSet {
    /// The text that a data element stands for, without what pads it.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        self.values.get(&tag).map(|bytes| header::text(bytes).trim().to_owned())
    }

    /// A count of 2 bytes that must be there.
    pub(super) fn count(&self, tag: Tag) -> Result<u64, Refusal> {
        let (group, number) = tag;
        let found = self.shorts(tag).and_then(|numbers| numbers.first().copied());
        found
            .map(u64::from)
            .ok_or_else(|| fault(&format!("its header lacks ({group:04X},{number:04X}), which it must have")))
    }

    fn shorts(&self, tag: Tag) -> Option<Vec<u16>> {
        let number = |pair: &[u8]| match (pair, self.order) {
            (&[a, b], ByteOrder::Big) => u16::from_be_bytes([a, b]),
            (&[a, b], _) => u16::from_le_bytes([a, b]),
            _ => 0,
        };
        self.values.get(&tag).map(|bytes| bytes.chunks_exact(2).map(number).collect())
    }

    /// An attribute.
    pub(super) fn value(&self, tag: Tag, kind: Kind) -> Option<Value> {
        let is_signed = self.count(tags::PIXEL_REPRESENTATION) == Ok(1);
        let mut values: Vec<Value> = match kind {
            Kind::Text => self.text(tag)?.split('\\').map(|word| word.trim().into()).collect(),
            Kind::Numbers => self.text(tag)?.split('\\').map(|word| number(word.trim())).collect::<Option<_>>()?,
            Kind::Pixel if is_signed => self.shorts(tag)?.into_iter().map(|number| (number as i16).into()).collect(),
            Kind::Short | Kind::Pixel => self.shorts(tag)?.into_iter().map(Value::from).collect(),
        };
        match values.len() {
            0 => None,
            1 => values.pop().filter(|value| value != ""),
            count => (count as u64 <= MAX_LIST).then(|| values.into()),
        }
    }
}

fn number(word: &str) -> Option<Value> {
    match word.parse::<i64>() {
        Ok(integer) => Some(integer.into()),
        Err(_) => word.parse().ok().map(header::float),
    }
}
