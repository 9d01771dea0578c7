//! Directories as writers make them, and each that is refused.

use super::*;

pub(in crate::format) mod build;

use build::{Built, Bytes, Item, build, crc32, item, plain};

fn read(bytes: &[u8]) -> Result<Archive, Refusal> {
    Archive::read(&Bytes(bytes))
}

/// Place and length of a member, or why it has none.
type Found = Result<(usize, usize), String>;

/// Each member with its name; its checksum must be where it says.
fn bodies(built: &Built) -> Vec<(String, Found)> {
    let file = Bytes(&built.bytes);
    let archive = read(&built.bytes).unwrap();
    let body = |entry: &Entry| {
        let body = archive.body(&file, entry).map_err(|refusal| refusal.0)?;
        let bytes = &built.bytes[body.start as usize..][..body.len as usize];
        assert_eq!(body.checksum.covers, body.start..body.start + body.len);
        assert!(body.checksum.fields.len() >= 2);
        for &field in &body.checksum.fields {
            assert_eq!(built.bytes[field as usize..][..4], crc32(bytes).to_le_bytes());
        }
        Ok((body.start as usize, body.len as usize))
    };
    archive.entries().iter().map(|entry| (archive.name(entry).into_owned(), body(entry))).collect()
}

fn check(built: &Built, items: &[Item]) {
    let found = bodies(built);
    assert_eq!(found.len(), items.len());
    for (index, (name, body)) in found.into_iter().enumerate() {
        assert_eq!(name.as_bytes(), items[index].name);
        assert_eq!(body, Ok((built.bodies[index], items[index].body.len())));
    }
}

/// The whole file is refused.
fn refused(bytes: &[u8], part: &str) {
    let message = read(bytes).unwrap_err().0;
    assert!(message.contains(part), "{message}");
}

/// The member of this number is refused, all others are found.
fn member_refused(built: &Built, number: usize, part: &str) {
    for (index, (name, body)) in bodies(built).into_iter().enumerate() {
        match body {
            Err(message) => assert!(index == number && message.contains(part), "{name}: {message}"),
            Ok(_) => assert_ne!(index, number, "{name}"),
        }
    }
}

fn three() -> Vec<Item> {
    vec![item("a", b"first"), item("dir/b", b""), item("\u{e9}", b"third member")]
}

#[test]
fn the_check_value_of_the_checksum() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn plain_archives() {
    check(&plain(&three()), &three());
    check(&plain(&[]), &[]);
}

#[test]
fn zip64_records_and_fields() {
    let long: Vec<Item> = three().into_iter().map(|item| Item { long: true, ..item }).collect();
    let other = vec![9, 9, 2, 0, 7, 7];
    let after: Vec<Item> = long.iter().cloned().map(|item| Item { central_extra: other.clone(), ..item }).collect();
    for items in [&three(), &long, &after] {
        for is_long in [false, true] {
            check(&build(b"", items, b"", is_long), items);
            check(&build(b"#!/bin/sh\nexit\n", items, b"a comment", is_long), items);
        }
    }
}

#[test]
fn extra_fields_of_the_local_header_alone() {
    let padding = [&b"FB\x09\0"[..], &[b'Z'; 9]].concat();
    let items: Vec<Item> = three().into_iter().map(|item| Item { extra: padding.clone(), ..item }).collect();
    let built = plain(&items);
    assert_eq!(built.bodies[0] - built.headers[0], 30 + 1 + 13);
    check(&built, &items);
}

#[test]
fn descriptors() {
    for (signed, long) in [(false, false), (true, false), (true, true)] {
        let items: Vec<Item> =
            three().into_iter().map(|item| Item { flags: item.flags | 8, signed, long, ..item }).collect();
        check(&build(b"", &items, b"", long), &items);
    }
}

#[test]
fn a_local_header_with_the_checksum_that_is_also_in_the_descriptor() {
    let built = plain(&[Item { flags: 8, ..item("a", b"xyz") }]);
    let built = built.clone().with(built.headers[0] + 14, &crc32(b"xyz").to_le_bytes());
    let archive = read(&built.bytes).unwrap();
    let body = archive.body(&Bytes(&built.bytes), &archive.entries()[0]).unwrap();
    assert_eq!(body.checksum.fields.len(), 3);
}

#[test]
fn comments() {
    for (comment, text) in
        [(&b"hello"[..], "hello"), (b"PK\x05\x06 PK\x05\x06", "PK\x05\x06 PK\x05\x06"), (b"\x81", "ü")]
    {
        let built = build(b"", &three(), comment, false);
        assert_eq!(read(&built.bytes).unwrap().comment, text);
        check(&built, &three());
    }
    check(&build(b"", &three(), &[b'x'; 65535], true), &three());
}

#[test]
fn names_of_code_page_437() {
    let items = [Item { name: b"\x84\xe1\xff\x01".to_vec(), ..item("", b"") }];
    assert_eq!(bodies(&plain(&items))[0].0, "äß\u{a0}\u{1}");
    let broken = [Item { flags: 1 << 11, ..items[0].clone() }];
    assert_eq!(bodies(&plain(&broken))[0].0, "\u{fffd}\u{fffd}\u{fffd}\u{1}");
}

/// An archive of so many members that have nothing, not even a name.
fn nameless(count: u64) -> Vec<u8> {
    let one = [&b"PK\x01\x02"[..], &[0; 42]].concat();
    let mut bytes = one.repeat(count as usize);
    let size = bytes.len() as u32;
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count as u16; 2].map(u16::to_le_bytes).concat());
    bytes.extend([&size.to_le_bytes()[..], &[0; 6]].concat());
    bytes
}

#[test]
fn more_members_than_16_bits_count() {
    assert_eq!(read(&nameless(70_000)).unwrap().entries().len(), 70_000);
    let items: Vec<Item> = (0..70_000).map(|i| item(&i.to_string(), b"")).collect();
    assert_eq!(read(&build(b"", &items, b"", true).bytes).unwrap().entries().len(), 70_000);
}

#[test]
fn something_between_directory_and_end() {
    let mut built = plain(&three());
    built.bytes.splice(built.end..built.end, *b"PK\x05\x05\x04\0sign");
    check(&built, &three());
}

#[test]
fn heads() {
    let torch = Item { extra: b"FB\x02\0ZZ".to_vec(), ..item("archive/data.pkl", b"x") };
    let built = plain(&[item("a", b"abc"), torch]);
    let names = names_in_head(&built.bytes);
    assert_eq!(names, [(&b"a"[..], &b""[..]), (b"archive/data.pkl", b"FB\x02\0ZZ")]);
    assert_eq!(names_in_head(&built.bytes[..40]).len(), 1);
    assert!(names_in_head(b"PK\x05\x06").is_empty());
}

#[test]
fn refused_no_archive() {
    for bytes in [&b""[..], b"PK", &[0; 100], b"PK\x05\x06"] {
        refused(bytes, "does not end as a ZIP archive does");
    }
}

#[test]
fn refused_truncated() {
    let built = plain(&three());
    for len in 0..built.bytes.len() {
        refused(&built.bytes[..len], "does not end as a ZIP archive does");
    }
}

#[test]
fn refused_split() {
    let built = plain(&three());
    refused(&built.clone().with(built.end + 4, &[1]).bytes, "split ZIP archive");
    refused(&built.clone().with(built.end + 8, &[1]).bytes, "split ZIP archive");
}

#[test]
fn refused_directory_elsewhere() {
    let built = plain(&three());
    refused(&built.clone().with(built.end + 12, &[1]).bytes, "begins no member");
    refused(&built.clone().with(built.end + 12, &[0xff; 3]).bytes, "not where its end says");
    refused(&built.clone().with(built.end + 16, &[0xff; 4]).bytes, "not where its end says");
}

#[test]
fn refused_zip64_records_that_differ_or_are_lost() {
    let built = build(b"", &three(), b"", true);
    refused(&built.clone().with(built.end + 10, &[7, 0]).bytes, "two records at its end differ");
    refused(&built.clone().with(built.end - 76, b"XXXX").bytes, "zip64 record is not where");
}

#[test]
fn refused_counts() {
    let built = plain(&three());
    refused(&built.clone().with(built.end + 8, &[2, 0, 2, 0]).bytes, "lists 3 members and claims 2");
}

#[test]
fn refused_too_many_members_or_too_long_a_directory() {
    let built = build(b"", &three(), b"", true);
    let many = (MAX_MEMBERS + 1).to_le_bytes();
    refused(&built.clone().with(built.end - 52, &[many, many].concat()).bytes, "more than 262144 members");
    let long = (MAX_DIRECTORY + 1).to_le_bytes();
    refused(&built.clone().with(built.end - 36, &long).bytes, "more than the 67108864 that are read");
}

#[test]
fn refused_more_members_than_claimed() {
    refused(&nameless(MAX_MEMBERS + 1), "more than 262144 members");
}

#[test]
fn refused_directory_of_something_else() {
    let built = plain(&three());
    refused(&built.clone().with(built.centrals[1], b"XX").bytes, "begins no member");
    refused(&built.clone().with(built.centrals[2] + 28, &[0xff]).bytes, "cut short");
}

#[test]
fn refused_deflated_encrypted_and_other_methods() {
    for (method, part) in [
        (8, "deflated; `afbfs unpack` writes a plain copy"),
        (9, "compressed with deflate64; extract it"),
        (12, "compressed with bzip2; `afbfs unpack`"),
        (14, "compressed with LZMA; extract it"),
        (93, "compressed with Zstandard; `afbfs unpack`"),
        (95, "compressed with XZ; `afbfs unpack`"),
        (98, "compressed by method 98; extract it"),
    ] {
        let mut items = three();
        items[0].method = method;
        member_refused(&plain(&items), 0, part);
    }
    let mut items = three();
    items[0].flags |= 1;
    member_refused(&plain(&items), 0, "encrypted; extract it");
}

#[test]
fn refused_outside_members() {
    let built = plain(&three());
    member_refused(&built.clone().with(built.centrals[0] + 42, &[0xff; 3]), 0, "outside of the file");
    member_refused(&built.clone().with(built.centrals[0] + 20, &[0xff; 3]), 0, "outside of the file");
    member_refused(&built.clone().with(built.centrals[0] + 34, &[1]), 0, "outside of the file");
    let built = build(b"before", &three(), b"", false);
    let long = build(b"", &[Item { long: true, ..item("a", b"x") }], b"", false);
    let at = long.centrals[0] + 46 + 1 + 4 + 16;
    member_refused(&long.clone().with(at, &[0xff; 8]), 0, "outside of the file");
    check(&built, &three());
}

#[test]
fn refused_overlapping_members() {
    let built = plain(&[item("a", b"first"), item("b", b""), item("c", b"x")]);
    let header = (built.headers[0] as u32).to_le_bytes();
    let same = built.clone().with(built.centrals[2] + 42, &header);
    let found = bodies(&same);
    let is_overlap = |index: usize| matches!(&found[index].1, Err(message) if message.contains("overlaps another"));
    assert!(is_overlap(0) && is_overlap(2) && found[1].1.is_ok());
    // A body that reaches into the next member, which alone the local header tells.
    let longer = built.clone().with(built.headers[0] + 28, &[3]);
    member_refused(&longer, 0, "overlaps another");
}

#[test]
fn refused_names_that_stand_twice() {
    let built = plain(&[item("a", b"1"), item("b", b"2"), item("a", b"3")]);
    let found = bodies(&built);
    assert_eq!(found.iter().filter(|(name, body)| name == "a" && body.is_err()).count(), 2);
    assert!(found[1].1.is_ok());
    assert!(found[0].1.as_ref().unwrap_err().contains("stands twice"));
}

#[test]
fn refused_contradictions() {
    let built = plain(&three());
    for (at, bytes, what) in [
        (0, &b"XX"[..], "place"),
        (26, &[2], "name"),
        (30, b"z", "name"),
        (8, &[8], "method or flags"),
        (6, &[1], "method or flags"),
        (6, &[8], "method or flags"),
        (14, b"\x01\x02", "checksum"),
        (18, &[9], "size"),
        (22, &[9], "size"),
        (22, &[0xff; 4], "size"),
    ] {
        member_refused(&built.clone().with(built.headers[0] + at, bytes), 0, &format!("differ about its {what}"));
    }
    member_refused(&built.clone().with(built.centrals[2] + 24, &[3]), 2, "its two sizes differ");
    let long = build(b"", &[Item { long: true, ..item("a", b"x") }], b"", false);
    member_refused(&long.clone().with(long.headers[0] + 31 + 4, &[9]), 0, "differ about its size");
}

#[test]
fn refused_descriptor() {
    for signed in [false, true] {
        let built = plain(&[Item { flags: 8, signed, ..item("a", b"xyz") }, item("b", b"")]);
        let at = built.bodies[0] + 3 + if signed { 4 } else { 0 };
        member_refused(&built.clone().with(at, b"bad!"), 0, "descriptor behind the bytes");
    }
    let mut cut = plain(&[Item { flags: 8, signed: false, ..item("a", b"xyz") }]);
    let descriptor = cut.bodies[0] + 3;
    cut.bytes.drain(descriptor..descriptor + 12);
    let end = cut.end - 12;
    let start = (descriptor as u32).to_le_bytes();
    member_refused(&cut.with(end + 16, &start), 0, "descriptor behind the bytes");
}

#[test]
fn members_of_one_path_are_refused_once() {
    let member = |name: &str, why: &str| Member { path: vec![name.into()], found: Err(Refusal(why.into())) };
    let members = told_apart(vec![member("a", "1"), member("b", "2"), member("a", "3")]);
    assert_eq!(members.len(), 2);
    assert!(members[0].found.as_ref().unwrap_err().0.contains("several of the file's arrays"));
    assert_eq!(members[1], member("b", "2"));
}
