//! ZIP archives, as far as arrays in them need: where the bytes of a stored member lie. No format of its own;
//! [`npz`](super::npz) and [`torch`](super::torch) read through it.
//!
//! Specification: PKWARE's APPNOTE.TXT 6.3. All numbers are little-endian. From the end of the file backwards:
//!
//! - the end, `PK\5\6`, 22 bytes and a comment: number of this disk (2) and of the directory's (2), members on this
//!   disk (2) and in all (2), size (4) and offset (4) of the directory, length of the comment (2);
//! - the zip64 locator, `PK\6\7`, 20 bytes, right before the end where there is one: a disk (4), offset of the
//!   next (8), number of disks (4);
//! - the zip64 end, `PK\6\6`, 56 bytes: its size (8), versions (2 2), disks (4 4), members (8 8), size (8) and
//!   offset (8) of the directory;
//! - the directory, for each member `PK\1\2`, 46 bytes, name, extra fields, comment: versions (2 2), flags (2),
//!   method (2), time (4), CRC-32 (4), stored size (4), size (4), lengths of the three (2 2 2), disk (2), attributes
//!   (2 4), offset of the local header (4);
//! - for each member the local header, `PK\3\4`, 30 bytes, name, extra fields: version (2), flags (2), method (2),
//!   time (4), CRC-32 (4), stored size (4), size (4), lengths of the two (2 2); right behind it the body, so that its
//!   offset is known from the local header alone, whose extra fields need not be those of the directory; right
//!   behind that, if bit 3 of the flags is set, a descriptor: perhaps `PK\7\8`, then CRC-32 (4) and sizes.
//!
//! A field of the directory that is all ones has its value in the extra field 1 (zip64), which holds, of 8 bytes each
//! and in this order, size, stored size and offset, but only those that are all ones. Offsets count from the
//! first byte of the archive, which need not be that of the file: something may stand before it.
//!
//! Limits, and why:
//!
//! - At most [`MAX_MEMBERS`] members and [`MAX_DIRECTORY`] bytes of directory, all of which is read: a hostile file
//!   costs no more. Archives of arrays have a few thousand members.
//! - Only stored members have bytes to point at. Of a deflated or encrypted one the archive says no more than its name.
//! - An archive that says one thing twice must say the same: sizes, CRC-32, name and method in the directory, in the
//!   local header and in the descriptor. A member for which it does not is refused, and so are members that
//!   overlap, that reach into the directory, or that have one name: readers differ in what they make of those.
//! - The CRC-32 itself is not computed, since that would read all of the data.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::format::{Member, Refusal};
use crate::source::ReadAt;

mod body;
mod end;
#[cfg(test)]
pub(super) mod tests;

pub use body::{BZIP2, Body, DEFLATED, STORED, Window, XZ, ZSTD, method_name};

/// What every local header begins with, and so nearly every archive.
pub const MAGIC: &[u8; 4] = b"PK\x03\x04";

/// The largest number of members.
pub const MAX_MEMBERS: u64 = 1 << 18;

/// The largest directory, in bytes.
pub const MAX_DIRECTORY: u64 = 64 << 20;

/// Why nothing may be written to an array in an archive.
pub const READ_ONLY: &str = "ZIP keeps a checksum of each member, which a write would make wrong; mount it with \
                             --update-checksums, or write to a plain copy that `afbfs unpack` makes";

/// Bytes of a member in the directory, and of a local header, before the name.
const MEMBER_LEN: usize = 46;
const LOCAL_LEN: usize = 30;

/// Flags of a member.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;

/// What a field says whose value is in the zip64 extra field, and that field's number.
const ELSEWHERE: u32 = u32::MAX;
const ZIP64: u16 = 1;

/// An archive's directory.
#[derive(Debug)]
pub struct Archive {
    directory: Vec<u8>,
    entries: Vec<Entry>,
    /// The archive's comment; empty where it has none.
    pub comment: String,
    /// The comment as it is spelled.
    pub raw_comment: Vec<u8>,
}

/// A member as the directory describes it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name within the bytes of the directory.
    name: Range<usize>,
    flags: u16,
    /// How it is compressed: [`STORED`] and the like.
    pub method: u16,
    /// CRC-32 of its bytes, uncompressed.
    pub crc: u32,
    stored: u64,
    /// Its bytes, uncompressed.
    pub size: u64,
    /// Byte of the file at which its local header starts.
    header: u64,
    /// Byte of the file at which the directory has its CRC-32.
    crc_at: u64,
    /// Byte of the file at which the next member or the directory starts.
    limit: u64,
    fault: Option<Fault>,
}

/// What is wrong with a member beside others.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Outside,
    Overlap,
    Twice,
}

impl Archive {
    /// Reads the directory.
    ///
    /// # Errors
    /// If there is none, or it is damaged, or a limit of the module is exceeded.
    pub fn read(file: &dyn ReadAt) -> Result<Archive, Refusal> {
        let end = end::find(file)?;
        let directory = block(file, end.start, end.size)?;
        let mut entries = Vec::new();
        let mut at = 0;
        while at < directory.len() {
            if entries.len() as u64 >= MAX_MEMBERS {
                return Err(too_many());
            }
            let (entry, next) = entry(&directory, at, end.start, end.base).ok_or_else(|| {
                damaged(&format!("byte {at} of its directory begins no member, or one that is cut short"))
            })?;
            entries.push(entry);
            at = next;
        }
        if !end.counts(entries.len() as u64) {
            return Err(damaged(&format!("its directory lists {} members and claims {}", entries.len(), end.members)));
        }
        find_faults(&mut entries, &directory, end.base, end.start);
        let comment = text(&end.comment, false).into_owned();
        Ok(Archive { directory, entries, comment, raw_comment: end.comment })
    }

    /// Its members, in the order of the directory.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A member's name: UTF-8 where it says so, else in code page 437.
    pub fn name(&self, entry: &Entry) -> Cow<'_, str> {
        text(&self.directory[entry.name.clone()], entry.flags & UTF8 != 0)
    }

    /// What the directory says of a member that holds for it compressed or not.
    pub fn keepsake(&self, entry: &Entry) -> Keepsake<'_> {
        let fixed = &self.directory[entry.name.start - MEMBER_LEN..entry.name.start];
        let two = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let four = |at: usize| u32::from(two(at)) | u32::from(two(at + 2)) << 16;
        Keepsake {
            name: &self.directory[entry.name.clone()],
            is_utf8: entry.flags & UTF8 != 0,
            system: fixed[5],
            time: four(12),
            attributes: (two(36), four(38)),
        }
    }
}

/// What the directory says of a member that holds for it compressed or not.
#[derive(Clone, Copy, Debug)]
pub struct Keepsake<'a> {
    /// Its name as it is spelled.
    pub name: &'a [u8],
    /// Whether that is UTF-8 and says so.
    pub is_utf8: bool,
    /// The system on which its attributes have a meaning.
    pub system: u8,
    /// Time and date of its last change, as DOS has them.
    pub time: u32,
    /// Its attributes: the archive's (2 bytes) and the system's (4).
    pub attributes: (u16, u32),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        damaged(match fault {
            Fault::Outside => "its directory places this member outside of the file, or within the directory",
            Fault::Overlap => "this member overlaps another, or the directory",
            Fault::Twice => "this name stands twice in it",
        })
    }
}

fn damaged(what: &str) -> Refusal {
    Refusal(format!("the ZIP archive is damaged, or was made to deceive: {what}; copy or make it again"))
}

fn too_many() -> Refusal {
    Refusal(format!("it has more than {MAX_MEMBERS} members; divide it into several archives"))
}

/// The value of a field of 4 bytes, or of the next 8 of the zip64 field in its place.
fn wide(short: u32, long: &mut Fields<'_>) -> Option<u64> {
    if short == ELSEWHERE { long.u64() } else { Some(u64::from(short)) }
}

/// The zip64 field among extra fields; empty where there is none.
fn zip64(extra: &[u8]) -> Fields<'_> {
    let mut fields = Fields(extra);
    while let (Some(id), Some(len)) = (fields.u16(), fields.u16()) {
        let Some(value) = fields.bytes(usize::from(len)) else { break };
        if id == ZIP64 {
            return Fields(value);
        }
    }
    Fields(&[])
}

/// The member at `at` of the directory, and where the next one starts. `start` is where the directory lies in the file,
/// `base` where the archive does.
fn entry(directory: &[u8], at: usize, start: u64, base: u64) -> Option<(Entry, usize)> {
    let mut fields = Fields(directory.get(at..)?);
    if fields.bytes(4)? != b"PK\x01\x02" {
        return None;
    }
    fields.bytes(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.bytes(4)?;
    let (crc, stored, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let disk = fields.u16()?;
    fields.bytes(6)?;
    let header = fields.u32()?;
    let name = at + MEMBER_LEN..at + MEMBER_LEN + fields.bytes(usize::from(name_len))?.len();
    let mut long = zip64(fields.bytes(usize::from(extra_len))?);
    fields.bytes(usize::from(comment_len))?;
    let size = wide(size, &mut long)?;
    let stored = wide(stored, &mut long)?;
    let header = wide(header, &mut long)?.checked_add(base);
    // A member on another disk lies outside, too.
    let fault = if header.is_none() || !matches!(disk, 0 | u16::MAX) { Some(Fault::Outside) } else { None };
    let header = header.unwrap_or(u64::MAX);
    let entry =
        Entry { name, flags, method, crc, stored, size, header, crc_at: start + at as u64 + 16, limit: start, fault };
    Some((entry, directory.len() - fields.0.len()))
}

/// Finds members that lie outside, overlap, or have one name, and sets the limits of all.
fn find_faults(entries: &mut [Entry], directory: &[u8], base: u64, end: u64) {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_unstable_by_key(|&index| entries[index].header);
    // The member that reaches furthest so far, and to where, extra fields not counted.
    let mut furthest: Option<(usize, u64)> = None;
    let mut next = order.iter().skip(1);
    for &index in &order {
        let next_header = next.next().map_or(end, |&next| entries[next].header.min(end));
        let entry = &mut entries[index];
        let (least, header) = (LOCAL_LEN as u64 + entry.name.len() as u64, entry.header);
        let reach =
            entry.stored.checked_add(least).and_then(|len| len.checked_add(header)).filter(|&reach| reach <= end);
        let Some(reach) = reach.filter(|_| header >= base) else {
            entry.fault = Some(Fault::Outside);
            continue;
        };
        entry.limit = next_header;
        if let Some((other, before)) = furthest
            && before > header
        {
            entry.fault = Some(Fault::Overlap);
            entries[other].fault = Some(Fault::Overlap);
        }
        if furthest.is_none_or(|(_, before)| before < reach) {
            furthest = Some((index, reach));
        }
    }
    let mut seen: HashSet<&[u8]> = HashSet::new();
    let twice: HashSet<&[u8]> =
        entries.iter().map(|entry| &directory[entry.name.clone()]).filter(|name| !seen.insert(name)).collect();
    for entry in entries.iter_mut().filter(|entry| twice.contains(&directory[entry.name.clone()])) {
        entry.fault = Some(Fault::Twice);
    }
}

/// Members of one path cannot be told apart: of each such path one member is left, which is refused.
pub fn told_apart(members: Vec<Member>) -> Vec<Member> {
    let mut seen: HashSet<&[String]> = HashSet::new();
    let twice: HashSet<Vec<String>> =
        members.iter().filter(|member| !seen.insert(&member.path)).map(|member| member.path.clone()).collect();
    if twice.is_empty() {
        return members;
    }
    let mut told: HashSet<Vec<String>> = HashSet::new();
    let mut kept = Vec::new();
    for mut member in members {
        if twice.contains(&member.path) {
            if !told.insert(member.path.clone()) {
                continue;
            }
            member.found = Err(Refusal("several of the file's arrays have this name; save them under others".into()));
        }
        kept.push(member);
    }
    kept
}

/// The names of the members whose local headers lie in the first bytes of a file, each with its extra fields.
pub fn names_in_head(head: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut names = Vec::new();
    let mut rest = Fields(head);
    // Each turn takes 30 bytes at least.
    while rest.bytes(4) == Some(MAGIC) {
        let found = (|| {
            let (_version, flags) = (rest.u16()?, rest.u16()?);
            rest.bytes(10)?;
            let (stored, _size, name_len, extra_len) = (rest.u32()?, rest.u32()?, rest.u16()?, rest.u16()?);
            let name = rest.bytes(usize::from(name_len))?;
            // Long padding may reach beyond the head.
            let extra = rest.bytes(rest.0.len().min(usize::from(extra_len)))?;
            Some((name, extra, if flags & DESCRIPTOR == 0 { stored } else { ELSEWHERE }))
        })();
        let Some((name, extra, stored)) = found else { break };
        names.push((name, extra));
        if rest.bytes(stored as usize).is_none() {
            break;
        }
    }
    names
}

/// Names and comments: UTF-8 if they are said to be, else code page 437, of which the lower half is ASCII.
fn text(bytes: &[u8], utf8: bool) -> Cow<'_, str> {
    const UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█\
                         ▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    if utf8 || bytes.is_ascii() {
        return String::from_utf8_lossy(bytes);
    }
    let upper: Vec<char> = UPPER.chars().collect();
    let letter = |&byte: &u8| match byte.checked_sub(128) {
        Some(index) => upper.get(usize::from(index)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        None => char::from(byte),
    };
    bytes.iter().map(letter).collect::<String>().into()
}

/// The bytes of a file from `start` on. Nothing is allocated for a mere claim.
fn block(file: &dyn ReadAt, start: u64, len: u64) -> Result<Vec<u8>, Refusal> {
    let short = || Refusal("it ends before its directory says so: it was truncated; copy or make it again".into());
    if file.len().saturating_sub(start) < len {
        return Err(short());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| short())?];
    let count = file.read_at(&mut bytes, start)?;
    if count == bytes.len() { Ok(bytes) } else { Err(short()) }
}

/// Fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
