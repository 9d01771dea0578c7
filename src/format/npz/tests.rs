//! Archives as NumPy and others make them, and each member that is refused.

use proptest::prelude::*;

use super::*;
use crate::format::zip::tests::build::{Built, Bytes, Item, build, crc32, item, plain};
use crate::source::Alone;

/// A .npy file of so many bytes of data.
fn npy(descr: &str, shape: &str, data: usize) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header.extend(std::iter::repeat_n(' ', 127 - 10 - header.len()));
    header.push('\n');
    [&b"\x93NUMPY\x01\0v\0"[..], header.as_bytes(), &vec![7; data]].concat()
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    match Npz.parse("a.npz", &Bytes(bytes), &Alone)? {
        Content::Many(container) => Ok(container),
        Content::One(_) => panic!("an archive is no array"),
    }
}

fn found(bytes: &[u8]) -> Vec<(String, Result<Array, Refusal>)> {
    parse(bytes).unwrap().members.into_iter().map(|member| (member.path.join("|"), member.found)).collect()
}

fn member_refused(body: &[u8], part: &str) {
    let built = plain(&[item("good.npy", &npy("<f4", "(2, 3)", 24)), item("bad.npy", body)]);
    let members = found(&built.bytes);
    assert!(members[0].1.is_ok());
    let message = &members[1].1.as_ref().unwrap_err().0;
    assert!(message.contains(part), "{message}");
}

fn savez() -> Built {
    // As numpy.savez writes them: zip64 fields in the local headers.
    let array = |name, body: &[u8]| Item { long: true, ..item(name, body) };
    plain(&[
        array("x.npy", &npy("<f4", "(2, 3)", 24)),
        array("a/b/y.npy", &npy(">i2", "(3,)", 6)),
        item("readme.txt", b"!"),
    ])
}

#[test]
fn an_archive_of_numpy_savez() {
    let built = savez();
    let members = found(&built.bytes);
    assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x", "a|b|y"]);
    let array = members[0].1.as_ref().unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!((layout.offset, &layout.shape[..]), (built.bodies[0] as u64 + 128, &[2, 3][..]));
    assert_eq!((array.format, array.dtype.to_string()), ("npz", "<f4".into()));
    assert!(array.read_only.as_ref().unwrap().contains("--update-checksums"));
    let checksum = array.checksum.as_ref().unwrap();
    assert_eq!(checksum.covers, built.bodies[0] as u64..built.bodies[0] as u64 + 152);
    let crc = crc32(&built.bytes[built.bodies[0]..][..152]).to_le_bytes();
    assert_eq!(checksum.fields, [built.centrals[0] as u64 + 16, built.headers[0] as u64 + 14]);
    assert!(checksum.fields.iter().all(|&field| built.bytes[field as usize..][..4] == crc));
    assert_eq!(members[1].1.as_ref().unwrap().dtype.to_string(), ">i2");
}

#[test]
fn names_and_groups() {
    for (name, expected) in [
        ("x.npy", Some(&["x"][..])),
        ("a/b.npy", Some(&["a", "b"])),
        ("/a//b.npy", Some(&["a", "b"])),
        ("../b.npy", Some(&["..", "b"])),
        ("x.npy.npy", Some(&["x.npy"])),
        (".npy", Some(&[".npy"])),
        ("a/.npy", Some(&["a", ".npy"])),
        ("x", None),
        ("x.npy/", None),
        ("x.NPY", None),
    ] {
        assert_eq!(path(name), expected.map(|parts| parts.iter().map(|&part| part.to_owned()).collect()), "{name}");
    }
}

#[test]
fn comments_and_what_stands_before() {
    let built = build(b"#!prefix", &[item("x.npy", &npy("<f4", "(2, 3)", 24))], b"measured twice", false);
    let container = parse(&built.bytes).unwrap();
    assert_eq!(container.attributes["comment"], "measured twice");
    assert!(container.members[0].found.is_ok());
    let long = build(b"", &[item("x.npy", b"")], &[b'x'; 4097], false);
    assert!(parse(&long.bytes).unwrap().attributes.is_empty());
}

#[test]
fn stems_and_contents() {
    assert_eq!(Npz.stem("a.b.npz"), Some("a.b"));
    assert_eq!(Npz.stem(".npz"), Some(".npz"));
    assert_eq!(Npz.stem("a.zip"), None);
    assert!(Npz.knows(&savez().bytes));
    assert!(Npz.knows(&plain(&[item("mimetype", b"x"), item("a.npy", b"")]).bytes));
    assert!(!Npz.knows(&plain(&[item("a.txt", b"")]).bytes));
    assert!(!Npz.knows(b"PK\x03\x04"));
}

#[test]
fn refused_without_arrays() {
    for items in [vec![], vec![item("a.txt", b"x")]] {
        let message = parse(&plain(&items).bytes).unwrap_err().0;
        assert!(message.contains("without any .npy member"), "{message}");
    }
}

#[test]
fn refused_no_npy() {
    member_refused(b"", "it is empty");
    member_refused(b"text", "magic bytes of .npy");
    member_refused(&npy("|O", "(3,)", 24), "Python objects");
}

#[test]
fn refused_impossible_array() {
    member_refused(&npy("<f8", "(4294967296, 4294967296)", 8), "an array that cannot be");
}

#[test]
fn refused_data_that_ends_early() {
    member_refused(&npy("<f4", "(2, 3)", 23), "claims 24 bytes of data, the member of the archive holds only 23");
}

#[test]
fn refused_deflated() {
    let built = plain(&[Item { method: 8, ..item("x.npy", b"...") }]);
    assert!(found(&built.bytes)[0].1.as_ref().unwrap_err().0.contains("deflated; `afbfs unpack`"));
}

#[test]
fn refused_names_that_stand_twice() {
    let body = npy("<f4", "(2, 3)", 24);
    for names in [["x.npy", "x.npy"], ["a/x.npy", "a//x.npy"]] {
        let members = found(&plain(&names.map(|name| item(name, &body))).bytes);
        assert_eq!(members.len(), 1);
        assert!(members[0].1.is_err());
    }
}

#[test]
fn refused_headers_too_long() {
    // Twenty headers of 4 MiB of blanks each, in a file that exists only as far as it is read.
    struct Blanks(u64);
    impl ReadAt for Blanks {
        fn len(&self) -> u64 {
            self.0
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let header = [&b"\x93NUMPY\x02\0"[..], &(4_u32 << 20).to_le_bytes()].concat();
            buffer.fill(b' ');
            if let Some(rest) = header.get(offset as usize..) {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
            }
            Ok(buffer.len())
        }
    }
    let file = Blanks(5 << 20);
    let headers = Metered { file: &file, left: Cell::new(MAX_HEADERS) };
    let body = Body { start: 0, len: 5 << 20, checksum: crate::format::Checksum { covers: 0..0, fields: vec![] } };
    let messages: Vec<String> = (0..20).map(|_| array(&headers, body.clone()).unwrap_err().0).collect();
    assert!(messages[0].contains("no Python literal"), "{}", messages[0]);
    assert!(messages[19].contains("longer than the 67108864 bytes"), "{}", messages[19]);
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        late: bool,
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let streamed = Item { flags: 8, ..item("z.npy", &npy("<f4", "(2, 3)", 24)) };
        let built = build(b"..", &[savez_item(), streamed, item("t", b"x")], b"c", true);
        let mut bytes = built.bytes;
        for (at, byte) in changes {
            // The directory decides most.
            let at = if late { bytes.len() - 1 - at.index(300) } else { at.index(bytes.len()) };
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        if let Ok(container) = parse(&bytes) {
            for array in container.members.into_iter().filter_map(|member| member.found.ok()) {
                let checksum = array.checksum.unwrap();
                prop_assert!(checksum.covers.end <= bytes.len() as u64);
                prop_assert!(checksum.fields.iter().all(|&field| field + 4 <= bytes.len() as u64));
                let extent = array.grid.single().unwrap().extent();
                prop_assert!(extent.start >= checksum.covers.start && extent.end <= checksum.covers.end);
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = Npz.knows(&bytes);
        let _ = Npz.knows(&[&b"PK\x03\x04"[..], &bytes].concat());
        let mut end = plain(&[]).bytes;
        end[10] = bytes.first().copied().unwrap_or(0);
        let _ = parse(&[&bytes[..], &end].concat());
    }
}

fn savez_item() -> Item {
    Item { long: true, ..item("x.npy", &npy("<f4", "(2, 3)", 24)) }
}
