//! What is written is read again; of long members only the ends are there.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use super::*;
use crate::format::zip::{Archive, STORED};
use crate::unpack::Disk;

fn keepsake(name: &str) -> Keepsake<'_> {
    let is_utf8 = !name.is_ascii();
    Keepsake { name: name.as_bytes(), is_utf8, system: 3, time: 0x5a21_6b3c, attributes: (1, 0o644 << 16) }
}

/// An archive of members of these sizes, whose bytes are holes.
fn written(members: &[(&str, u64)], comment: &[u8]) -> Disk {
    let mut writer = Writer::new(tempfile::tempfile().unwrap());
    for &(name, size) in members {
        writer.begin(&keepsake(name), size, 7).unwrap();
        writer.target.seek(SeekFrom::Current(size as i64)).unwrap();
        writer.at += size;
    }
    let file: File = writer.finish(comment).unwrap();
    Disk::new(file).unwrap()
}

#[track_caller]
fn check(members: &[(&str, u64)]) {
    let disk = written(members, b"a comment");
    let archive = Archive::read(&disk).unwrap();
    assert_eq!(archive.comment, "a comment");
    assert_eq!(archive.entries().len(), members.len());
    for (entry, &(name, size)) in archive.entries().iter().zip(members) {
        assert_eq!(archive.name(entry), name);
        assert_eq!((entry.method, entry.size, entry.crc), (STORED, size, 7));
        let found = archive.keepsake(entry);
        let expected = keepsake(name);
        assert_eq!((found.system, found.time, found.attributes), (3, expected.time, expected.attributes));
        // The directory and the local header agree, or there would be no place.
        let body = archive.body(&disk, entry).unwrap();
        assert_eq!((body.len, body.start % ALIGNMENT), (size, 0), "{name}");
    }
}

#[test]
fn members_of_any_size_begin_at_aligned_bytes() {
    check(&[]);
    check(&[("a.npy", 0), ("größe.npy", 1), ("abcdefghijklmnopqrstuvwxyz012345", 100), ("b", 64)]);
    // Names of every length leave gaps of every length.
    let names: Vec<String> = (1..70).map(|len| "x".repeat(len)).collect();
    let members: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), name.len() as u64)).collect();
    check(&members);
}

#[test]
fn members_and_places_beyond_4_gib() {
    const LONG: u64 = u32::MAX as u64;
    check(&[("just.npy", LONG - 1), ("long.npy", LONG), ("longer.npy", 3 * LONG), ("behind.npy", 10)]);
}

#[test]
fn more_members_than_a_short_count_can_say() {
    let names: Vec<String> = (0..70_000).map(|number| format!("{number}.npy")).collect();
    let members: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    let archive = Archive::read(&written(&members, b"")).unwrap();
    assert_eq!(archive.entries().len(), 70_000);
}
