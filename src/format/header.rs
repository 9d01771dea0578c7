//! What formats with long binary headers have in common: reading one from its start to its end, and keeping what it
//! says within bounds.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, DType, DTypeError, Kind, Scalar};
use crate::format::{Member, Refusal};
use crate::layout::Layout;
use crate::source::ReadAt;

#[cfg(test)]
pub(in crate::format) mod tests;

/// The most arrays, dimensions or keys that a header may name: far more than real files have, and little memory.
pub(super) const MAX_ENTRIES: u64 = 1 << 17;

/// The longest text that is kept as an attribute, in bytes.
pub(super) const MAX_TEXT: u64 = 4096;

/// The longest list that is kept as an attribute, in elements.
pub(super) const MAX_LIST: u64 = 256;

/// The room for attributes of a file as a whole, which the `info.json` of each of its arrays repeats, and for those of
/// one array: in bytes of JSON, roughly.
pub(super) const MAX_ATTRIBUTES: usize = 16 << 10;

/// The first read; each further one is twice as long, up to the largest. Short headers are read together with few
/// elements behind them, long ones in few calls.
const FIRST_READ: u64 = 4 << 10;
const LARGEST_READ: u64 = 64 << 10;

/// A scalar type.
pub(super) fn scalar(kind: Kind, order: ByteOrder, itemsize: u64) -> DType {
    DType::Scalar(Scalar::new(kind, order, itemsize))
}

/// A number as JSON, or the word for what JSON cannot write.
pub(super) fn float(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// A text in bytes that end, at the latest, with a zero; blanks around it are dropped. What is not UTF-8 is taken for Latin-1,
/// in which every byte is the character of its number.
pub(super) fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    text.trim().to_owned()
}

/// Sees to it that no two members have one name; `what` names the format.
pub(super) fn distinct(members: &[Member], what: &str) -> Result<(), Refusal> {
    let mut seen = HashSet::with_capacity(members.len());
    match members.iter().find(|member| !seen.insert(&member.path)) {
        None => Ok(()),
        Some(twice) => {
            let name = excerpt(&twice.path.join("/"));
            Err(Refusal(format!("its {what} header names {name} twice: it is damaged; save it again")))
        }
    }
}

/// Names of arrays, of which a format may use one several times: from the second on they get a number.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    taken: HashSet<String>,
    counts: HashMap<String, u32>,
}

impl Numbered {
    /// The name, or, if it was given already, the first one free of `NAME-2`, `NAME-3`, ...
    pub(super) fn name(&mut self, name: String) -> String {
        let count = self.counts.entry(name.clone()).or_default();
        loop {
            *count += 1;
            let numbered = if *count == 1 { name.clone() } else { format!("{name}-{count}") };
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

/// Sees to it that a file of `held` bytes has all elements. Where there are none, it does not matter where they would
/// be.
pub(super) fn complete(layout: &Layout, held: u64) -> Result<(), Refusal> {
    let extent = layout.extent();
    if extent.is_empty() || extent.end <= held {
        return Ok(());
    }
    Err(Refusal(format!(
        "its elements lie up to byte {}, the file holds only {held}: it was truncated, or is still being written; copy \
         or save it again",
        extent.end
    )))
}

/// Why a type from a table of this program could not be made: for members that are refused rather than lost.
pub(super) fn no_type(error: DTypeError) -> Refusal {
    Refusal(format!("its type cannot be served: {error}"))
}

/// Attributes, as far as there is room for them.
#[derive(Debug)]
pub(super) struct Attributes {
    kept: Map<String, Value>,
    room: usize,
}

impl Attributes {
    /// None so far, and so much room.
    pub(super) fn new(room: usize) -> Attributes {
        Attributes { kept: Map::new(), room }
    }

    /// Keeps a value if it fits; else it is left out.
    pub(super) fn insert(&mut self, name: &str, value: Value) {
        let size = name.len().saturating_add(size(&value));
        if let Some(room) = self.room.checked_sub(size) {
            self.room = room;
            self.kept.insert(name.to_owned(), value);
        }
    }

    /// The room that is left.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// What was kept.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.kept
    }
}

/// About as many bytes as a value takes as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len().saturating_add(8),
        Value::Array(items) => items.iter().fold(8, |sum, item| size(item).saturating_add(sum)),
        _ => 16,
    }
}

/// Reads a header from its start to its end.
pub(super) struct Cursor<'a> {
    file: &'a dyn ReadAt,
    /// The format, for messages.
    what: &'static str,
    /// The byte at which the header must have ended.
    limit: u64,
    /// Order of the bytes in numbers.
    pub(super) order: ByteOrder,
    /// Offset of the next byte.
    at: u64,
    /// What was read ahead: the next byte is `block[used]`.
    block: Vec<u8>,
    used: usize,
    next_read: u64,
}

impl<'a> Cursor<'a> {
    /// At the start of a file, whose header may take `limit` bytes. Numbers are little-endian unless `order` is
    /// changed.
    pub(super) fn new(file: &'a dyn ReadAt, what: &'static str, limit: u64) -> Cursor<'a> {
        let (block, next_read) = (Vec::new(), FIRST_READ);
        Cursor { file, what, limit, order: ByteOrder::Little, at: 0, block, used: 0, next_read }
    }

    /// Offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        self.fill(N as u64)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.block[self.used..self.used + N]);
        self.advance(N);
        Ok(bytes)
    }

    /// The next `count` bytes. Nothing is allocated that the file does not hold.
    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, Refusal> {
        self.fill(count)?;
        let count = count as usize;
        let bytes = self.block[self.used..self.used + count].to_vec();
        self.advance(count);
        Ok(bytes)
    }

    /// Passes over `count` bytes, which need not be read for it.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Refusal> {
        self.check(count)?;
        let held = (self.block.len() - self.used) as u64;
        if count <= held {
            self.advance(count as usize);
        } else {
            self.block.clear();
            self.used = 0;
            self.at += count;
        }
        Ok(())
    }

    /// The next number of 2 bytes.
    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        let bytes = self.array()?;
        Ok(if self.order == ByteOrder::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// The next number of 4 bytes.
    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        let bytes = self.array()?;
        Ok(if self.order == ByteOrder::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// The next number of 8 bytes.
    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        let bytes = self.array()?;
        Ok(if self.order == ByteOrder::Big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn advance(&mut self, count: usize) {
        self.used += count;
        self.at += count as u64;
    }

    /// Whether the header can go on for `count` bytes.
    fn check(&self, count: u64) -> Result<(), Refusal> {
        let end = self.at.checked_add(count);
        if end.is_none_or(|end| end > self.file.len()) {
            return Err(self.ended());
        }
        if end.is_none_or(|end| end > self.limit) {
            let (what, limit) = (self.what, self.limit);
            return Err(Refusal(format!(
                "its {what} header is longer than the {limit} bytes that are read: it is damaged; save it again"
            )));
        }
        Ok(())
    }

    fn ended(&self) -> Refusal {
        let what = self.what;
        Refusal(format!("it ends within its {what} header: it was truncated, or is damaged; copy or save it again"))
    }

    /// Sees to it that the next `count` bytes are in the block.
    fn fill(&mut self, count: u64) -> Result<(), Refusal> {
        let held = (self.block.len() - self.used) as u64;
        if held >= count {
            return Ok(());
        }
        self.check(count)?;
        self.block.drain(..self.used);
        self.used = 0;
        // What is held stays, so that no byte is read twice.
        let start = self.at + held;
        let rest = self.file.len().min(self.limit) - start;
        let length = (count - held).max(self.next_read).min(rest);
        self.block.resize((held + length) as usize, 0);
        let got = self.file.read_at(&mut self.block[held as usize..], start)?;
        self.block.truncate(held as usize + got);
        self.next_read = (self.next_read * 2).min(LARGEST_READ);
        // The file may have shrunk since it was asked for its length.
        if held + got as u64 >= count { Ok(()) } else { Err(self.ended()) }
    }
}
