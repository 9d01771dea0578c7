//! The end of an archive: where its directory lies.

use super::{Fields, MAX_DIRECTORY, MAX_MEMBERS, block, damaged, too_many};
use crate::format::Refusal;
use crate::source::ReadAt;

/// Bytes of the record at the end, without the comment.
const END_LEN: usize = 22;

/// Bytes of the zip64 locator, and of what it leads to.
const LOCATOR_LEN: u64 = 20;
const END64_LEN: u64 = 56;

/// What the end of an archive says.
#[derive(Debug)]
pub(super) struct End {
    /// Byte of the file at which the directory starts.
    pub(super) start: u64,
    /// Length of the directory in bytes.
    pub(super) size: u64,
    /// Byte of the file at which the archive starts, from which its offsets count.
    pub(super) base: u64,
    /// Number of members that are claimed.
    pub(super) members: u64,
    /// Whether that number is of 64 bits. Of 16 bits, some writers let it wrap.
    long: bool,
    /// The comment, as it stands there.
    pub(super) comment: Vec<u8>,
}

impl End {
    /// Whether the claimed number of members fits the found one.
    pub(super) fn counts(&self, found: u64) -> bool {
        if self.long { self.members == found } else { self.members == found & 0xffff }
    }
}

/// The claims of either record.
struct Claims {
    disk: u64,
    directory_disk: u64,
    here: u64,
    members: u64,
    size: u64,
    offset: u64,
}

impl Claims {
    /// Whether each of these is the other one's, or all ones, which stands for it.
    fn agree(&self, long: &Claims) -> bool {
        let same = |short: u64, long: u64, ones: u64| short == long || short == ones;
        let (two, four) = (u64::from(u16::MAX), u64::from(u32::MAX));
        same(self.disk, long.disk, two)
            && same(self.directory_disk, long.directory_disk, two)
            && same(self.here, long.here, two)
            && same(self.members, long.members, two)
            && same(self.size, long.size, four)
            && same(self.offset, long.offset, four)
    }
}

/// Finds the end of the archive that ends with the file.
pub(super) fn find(file: &dyn ReadAt) -> Result<End, Refusal> {
    let (at, record) = last_record(file)?;
    let (short, comment) = (|| {
        let mut fields = Fields(record.get(4..)?);
        let claims = Claims {
            disk: fields.u16()?.into(),
            directory_disk: fields.u16()?.into(),
            here: fields.u16()?.into(),
            members: fields.u16()?.into(),
            size: fields.u32()?.into(),
            offset: fields.u32()?.into(),
        };
        fields.u16()?;
        Some((claims, fields.0.to_vec()))
    })()
    .ok_or_else(no_archive)?;
    let (claims, directory_end, long) = match end64(file, at)? {
        None => (short, at, false),
        Some((long, _)) if !short.agree(&long) => {
            return Err(damaged("the two records at its end differ"));
        }
        Some((long, at)) => (long, at, true),
    };
    if claims.disk != 0 || claims.directory_disk != 0 || claims.here != claims.members {
        return Err(Refusal("it is one of several files of a split ZIP archive; join them first (zip -s 0)".into()));
    }
    let Claims { members, size, offset, .. } = claims;
    if members > MAX_MEMBERS {
        return Err(too_many());
    }
    if size > MAX_DIRECTORY {
        return Err(Refusal(format!(
            "its directory is {size} bytes long, more than the {MAX_DIRECTORY} that are read; divide it into several \
             archives"
        )));
    }
    // The directory ends where its end is recorded, as all usual writers have it, and so tells where the archive
    // starts; else, with something between them, the archive starts with the file.
    let begins = |start: u64| size == 0 || matches!(block(file, start, 4), Ok(bytes) if bytes == b"PK\x01\x02");
    let adjoining = directory_end.checked_sub(size).and_then(|start| Some((start, start.checked_sub(offset)?)));
    let apart = offset.checked_add(size).filter(|&end| end <= directory_end).map(|_| (offset, 0));
    let (start, base) = [adjoining, apart]
        .into_iter()
        .flatten()
        .find(|&(start, _)| begins(start))
        .ok_or_else(|| damaged("its directory is not where its end says"))?;
    Ok(End { start, size, base, members, long, comment })
}

/// The record at the end, with the comment, and where it lies.
fn last_record(file: &dyn ReadAt) -> Result<(u64, Vec<u8>), Refusal> {
    let len = file.len();
    // Nearly always without a comment, so that no data is read.
    for comment in [0, u64::from(u16::MAX)] {
        let start = len.saturating_sub(END_LEN as u64 + comment);
        let tail = block(file, start, len - start)?;
        let is_record = |&at: &usize| {
            let record = &tail[at..];
            let comment = record.get(20..END_LEN).and_then(|len| len.try_into().ok()).map(u16::from_le_bytes);
            record.starts_with(b"PK\x05\x06") && comment.is_some_and(|len| record.len() - END_LEN == usize::from(len))
        };
        if let Some(at) = (0..tail.len()).rev().find(is_record) {
            return Ok((start + at as u64, tail[at..].to_vec()));
        }
    }
    Err(no_archive())
}

fn no_archive() -> Refusal {
    Refusal(
        "it does not end as a ZIP archive does: it is a file of another kind, was truncated, or is still being \
         written; copy or make it again"
            .into(),
    )
}

/// The claims of the zip64 record, where there is one before the record at `at`, and where it lies.
fn end64(file: &dyn ReadAt, at: u64) -> Result<Option<(Claims, u64)>, Refusal> {
    let Some(locator_at) = at.checked_sub(LOCATOR_LEN) else { return Ok(None) };
    let locator = block(file, locator_at, LOCATOR_LEN)?;
    let mut fields = Fields(&locator);
    if fields.bytes(4) != Some(b"PK\x06\x07") {
        return Ok(None);
    }
    let lost = || damaged("its zip64 record is not where it should be");
    let stated = (|| {
        fields.u32()?;
        fields.u64()
    })()
    .ok_or_else(lost)?;
    // Something before the archive moves it.
    let places = [stated, locator_at.saturating_sub(END64_LEN)];
    for place in places.into_iter().filter(|&place| place.checked_add(END64_LEN).is_some_and(|end| end <= locator_at)) {
        let record = block(file, place, END64_LEN)?;
        let mut fields = Fields(&record);
        if fields.bytes(4) != Some(b"PK\x06\x06") {
            continue;
        }
        let claims = (|| {
            fields.bytes(12)?;
            Some(Claims {
                disk: fields.u32()?.into(),
                directory_disk: fields.u32()?.into(),
                here: fields.u64()?,
                members: fields.u64()?,
                size: fields.u64()?,
                offset: fields.u64()?,
            })
        })();
        return claims.map(|claims| Some((claims, place))).ok_or_else(lost);
    }
    Err(lost())
}
