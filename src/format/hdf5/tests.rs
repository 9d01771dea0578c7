//! Files built by hand, of every version of what a file is made of.

use std::io;

use proptest::prelude::*;

use super::*;
use crate::format::{Array, Container, Member};
use crate::layout::Layout;
use crate::source::Alone;

mod build;
mod indexes;
mod refusals;
mod types;

use build::*;

/// A slice as a trait object.
struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn len(&self) -> u64 {
        ReadAt::len(self.0)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    match Hdf5.parse("x.h5", &Bytes(bytes), &Alone)? {
        Content::Many(container) => Ok(container),
        Content::One(_) => panic!("no container"),
    }
}

/// The member at this path, if there is one.
fn member<'a>(container: &'a Container, path: &str) -> Option<&'a Result<Array, Refusal>> {
    container.members.iter().find(|member| member.path.join("/") == path).map(|member| &member.found)
}

/// The only array of a file, called `x`.
fn single(bytes: &[u8]) -> Array {
    member(&parse(bytes).unwrap(), "x").unwrap().clone().unwrap()
}

/// Where every element of an array of few lies, in C order; nothing where it was never written.
fn places(array: &Array) -> Vec<Option<i64>> {
    let shape = array.grid.shape();
    let count: u64 = shape.iter().product();
    let place = |number: u64| {
        let mut rest = number;
        let mut at: Vec<u64> = shape.iter().rev().map(|&length| (rest % length, rest /= length).0).collect();
        at.reverse();
        let spot = array.grid.spot(&at, None);
        spot.piece.map(|_| spot.offset)
    };
    (0..count).map(place).collect()
}

fn layout(array: &Array) -> &Layout {
    array.grid.single().unwrap()
}

fn paths(container: &Container) -> Vec<String> {
    container.members.iter().map(|member| member.path.join("/")).collect()
}

#[test]
fn a_file_of_the_first_version() {
    let mut build = Build::new();
    let data = build.add(&[7; 24]);
    let (kind, body) = space(&[2, 3], &[]);
    let old_space = [&[1, 2, 0, 0, 0, 0, 0, 0][..], &body[4..]].concat();
    let dataset = build.old_header(&[(kind, old_space), integer(4), contiguous(data, 24)]);
    let inner = build.old_group(&[("x", dataset)]);
    let inner = build.old_header(&[inner]);
    let root = build.old_group(&[("g", inner), ("s -> g/x", 0), ("y", dataset)]);
    let root = build.old_header(&[root]);
    let container = parse(&build.old(root)).unwrap();
    assert_eq!(paths(&container), ["g/x", "s", "y"]);
    for Member { found, .. } in &container.members {
        let array = found.as_ref().unwrap();
        assert_eq!((array.format, array.dtype.to_string().as_str()), ("hdf5", "<i4"));
        assert_eq!((layout(array).offset, &layout(array).shape[..]), (data, &[2, 3][..]));
    }
}

#[test]
fn a_file_with_a_user_block() {
    let mut build = Build::new();
    let data = build.add(&[7; 8]);
    let bytes = build.single(&[space(&[2], &[]), integer(4), contiguous(data, 8)]);
    for block in [512, 1024, 8192] {
        let bytes = [vec![b'x'; block], bytes.clone()].concat();
        assert_eq!(layout(&single(&bytes)).offset, data + block as u64);
    }
    assert!(parse(&[vec![b'x'; 513], bytes].concat()).unwrap_err().0.contains("no HDF5 signature"));
}

#[test]
fn a_header_in_several_blocks() {
    let mut build = Build::new();
    let data = build.add(&[7; 8]);
    let (_, layout_body) = contiguous(data, 8);
    let mut more = b"OCHK\x08".to_vec();
    more.extend([layout_body.len() as u8, 0, 0]);
    more.extend(&layout_body);
    // The gap at the end of a block.
    more.extend([0, 0, 0]);
    let address = build.add_checked(&more);
    let continued = (kind::CONTINUATION, words(&[address, more.len() as u64 + 4]));
    let bytes = build.single(&[space(&[2], &[]), continued.clone(), integer(4)]);
    assert_eq!(layout(&single(&bytes)).offset, data);

    // A block that continues itself ends all the same.
    let mut build = Build::new();
    let mut block = b"OCHK\x10\x10\0\0".to_vec();
    let address = build.bytes.len() as u64;
    block.extend(words(&[address, 28]));
    assert_eq!(build.add_checked(&block), address);
    let around = (kind::CONTINUATION, words(&[address, 28]));
    let dataset = build.header(&[space(&[2], &[]), integer(4), contiguous(UNDEFINED, 8), around]);
    let root = build.group(&[hard("x", dataset)]);
    let container = parse(&build.finish(root)).unwrap();
    let refusal = member(&container, "x").unwrap().clone().unwrap_err();
    assert!(refusal.0.contains("too many blocks"), "{refusal}");
}

#[test]
fn every_layout_without_chunks() {
    let header = |layout: Message| {
        let mut build = Build::new();
        let data = build.add(&[7; 8]);
        assert_eq!(data, 96);
        build.single(&[space(&[2], &[]), integer(4), layout])
    };
    let dims = 2_u32.to_le_bytes();
    let old = |version, class, rest: &[u8]| (kind::LAYOUT, [&[version, 1, class, 0, 0, 0, 0, 0][..], rest].concat());
    for version in [1, 2] {
        let array = single(&header(old(version, 1, &[&words(&[96])[..], &dims].concat())));
        assert_eq!((layout(&array).offset, array.read_only), (96, None));
        let compact = [&dims[..], &8_u32.to_le_bytes(), b"abcdefgh"].concat();
        let bytes = header(old(version, 0, &compact));
        let at = bytes.windows(8).position(|window| window == b"abcdefgh").unwrap() as u64;
        assert_eq!(layout(&single(&bytes)).offset, at);
    }
    for version in [3, 4] {
        let array = single(&header((kind::LAYOUT, [&[version, 1][..], &words(&[96, 8])].concat())));
        assert_eq!(layout(&array).offset, 96);
        let bytes = header((kind::LAYOUT, [&[version, 0, 8, 0][..], b"abcdefgh"].concat()));
        let array = single(&bytes);
        let at = bytes.windows(8).position(|window| window == b"abcdefgh").unwrap() as u64;
        assert_eq!(layout(&array).offset, at);
        assert!(array.read_only.unwrap().contains("has a checksum"));
        let array = single(&header((kind::LAYOUT, [&[version, 1][..], &words(&[UNDEFINED, 0])].concat())));
        assert_eq!(places(&array), [None, None]);
    }
}

#[test]
fn elements_in_an_old_header_can_be_written() {
    let mut build = Build::new();
    let compact = (kind::LAYOUT, b"\x03\x00\x04\x00abcd".to_vec());
    let dataset = build.old_header(&[space(&[4], &[]), integer(1), compact]);
    let root = build.group(&[hard("x", dataset)]);
    let bytes = build.finish(root);
    let array = single(&bytes);
    assert_eq!(&bytes[layout(&array).offset as usize..][..4], b"abcd");
    assert_eq!(array.read_only, None);
}

#[test]
fn shapes() {
    for (shape, expected) in [(&[][..], 1), (&[0, 3], 0), (&[2, 3], 6)] {
        let array = single(&Build::new().single(&[space(shape, &[]), integer(1), contiguous(0, 6)]));
        assert_eq!((array.grid.shape(), places(&array).len()), (shape, expected));
    }
}

#[test]
fn fill_values() {
    let fill_of = |message: Option<Message>| {
        let messages = [space(&[2], &[]), integer(4), contiguous(UNDEFINED, 0)];
        single(&Build::new().single(&messages.into_iter().chain(message).collect::<Vec<_>>())).fill
    };
    let value = [1, 2, 3, 4];
    let sized = [&4_u32.to_le_bytes()[..], &value].concat();
    assert!(fill_of(None).is_empty());
    assert_eq!(fill_of(Some(fill(&value))), value);
    assert!(fill_of(Some(fill(&[0; 4]))).is_empty());
    assert_eq!(fill_of(Some((kind::OLD_FILL, sized.clone()))), value);
    assert_eq!(fill_of(Some((kind::FILL, [&[1, 2, 2, 1][..], &sized].concat()))), value);
    assert_eq!(fill_of(Some((kind::FILL, [&[2, 2, 2, 1][..], &sized].concat()))), value);
    assert!(fill_of(Some((kind::FILL, vec![2, 2, 2, 0]))).is_empty());
    assert!(fill_of(Some((kind::FILL, vec![3, 0x19]))).is_empty());
}

#[test]
fn links_of_every_kind() {
    let mut build = Build::new();
    let data = build.add(&[7; 8]);
    let x = build.header(&[space(&[2], &[]), integer(4), contiguous(data, 8)]);
    let named = build.header(&[integer(4)]);
    let start = build.bytes.len().next_multiple_of(8) as u64;
    // The group leads back to itself, and its size does not depend on where.
    let length = {
        let mut other = Build::new();
        other.group(&[hard("x", x), hard("self", start), soft("up", "/g/x")]);
        other.bytes.len() - 96
    };
    let g = build.group(&[hard("x", x), hard("self", start), soft("up", "/g/x")]);
    assert_eq!((g, build.bytes.len() as u64), (start, start + length as u64));
    let root = build.group(&[
        hard("g", g),
        hard("again", g),
        hard("type", named),
        soft("soft", "g/./x"),
        soft("group", "/g"),
        soft("through", "group//x"),
        soft("lost", "/g/y"),
        soft("a", "b"),
        soft("b", "a"),
        external("e", "other.h5", "/y"),
        custom("c"),
        hard("broken", 8),
    ]);
    let container = parse(&build.finish(root)).unwrap();
    let found = |path: &str| match member(&container, path) {
        Some(Ok(array)) => layout(array).offset.to_string(),
        Some(Err(refusal)) => refusal.0.clone(),
        None => "nothing".into(),
    };
    for path in ["again/x", "again/up", "soft", "through"] {
        assert_eq!(found(path), data.to_string(), "{path}");
    }
    for (path, part) in [
        ("again/self", "it is another name of the group '/again'; its arrays are there"),
        ("g", "another name of the group '/again'"),
        ("group", "another name of the group '/again'"),
        ("type", "nothing"),
        ("lost", "it is a soft link to '/g/y', which is not in the file"),
        ("a", "more than 16 others lead on, perhaps in a circle"),
        ("b", "more than 16 others lead on"),
        ("e", "a link to another file ('/y of other.h5'); open that file itself"),
        ("c", "a link of type 200"),
        ("broken", "there is no object header at address 8"),
    ] {
        assert!(found(path).contains(part), "{path}: {}", found(path));
    }
}

#[test]
fn attributes_and_their_limits() {
    let mut build = Build::new();
    let attributes: Vec<Message> = (0..2000).map(|number| attribute(&format!("a{number}"), number)).collect();
    let dataset = build.header(&[&[space(&[], &[]), integer(4), contiguous(UNDEFINED, 0)], &attributes[..]].concat());
    let root = build.group(&[hard("x", dataset), attribute("title", -1)]);
    let container = parse(&build.finish(root)).unwrap();
    assert_eq!(container.attributes, serde_json::from_str("{\"title\": -1}").unwrap());
    let array = member(&container, "x").unwrap().as_ref().unwrap();
    assert_eq!(array.attributes["a0"], 0);
    assert!(array.attributes.len() > 500 && array.attributes.len() <= 1024);
}

#[test]
fn checksums() {
    use super::checksum::lookup3;
    // Published with the function.
    assert_eq!(lookup3(b""), 0xdead_beef);
    assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    // As h5py wrote a superblock.
    let block = [&SIGNATURE[..], &[3, 8, 8, 0], &words(&[0, UNDEFINED, 179, 48])];
    assert_eq!(lookup3(&block.concat()).to_le_bytes(), [149, 85, 86, 139]);
}

#[test]
fn names() {
    for (name, stem) in [("a.h5", Some("a")), ("a.HDF5", Some("a")), ("a.he5", Some("a")), ("a.nc", None)] {
        assert_eq!(Hdf5.stem(name), stem);
    }
    for (head, known) in [
        (&SIGNATURE[..], true),
        (b"MATLAB 7.3 MAT-file, Platform", true),
        (b"MATLAB 5.0 MAT-file", false),
        (b"", false),
    ] {
        assert_eq!(Hdf5.knows(head), known);
    }
}

/// A file with most of what there is.
fn sample() -> Build {
    let mut build = Build::new();
    let data = build.add(&[7; 64]);
    let plain = build.header(&[space(&[2, 3], &[]), integer(4), contiguous(data, 24), attribute("a", 5)]);
    let tree = build.add(&chunk_node(0, &[(16, 0, &[0, 0], data), (16, 0, &[2, 4], data + 16)]));
    let chunked = build.header(&[space(&[3, 5], &[9, 9]), integer(4), tree_chunks(tree, &[2, 2, 4]), fill(&[1; 4])]);
    let fixed = build.fixed_array(&[data, UNDEFINED, data + 16], 1);
    let fixed = build.header(&[space(&[10], &[12]), integer(4), chunks(&[4, 4], &[3, 1], fixed)]);
    let growing = build.extensible_array(&[data, data + 8, UNDEFINED, data + 24, data + 32, data + 40]);
    let parameters = [4, 32, 1, 2, 2, 1];
    let growing = build.header(&[space(&[6], &[UNDEFINED]), integer(4), chunks(&[1, 4], &parameters, growing)]);
    let old = build.old_group(&[("x", plain), ("s -> x", 0)]);
    let old = build.old_header(&[old]);
    let links = [("old", old), ("plain", plain), ("chunked", chunked), ("fixed", fixed), ("growing", growing)];
    let links: Vec<Message> = links.into_iter().map(|(name, object)| hard(name, object)).collect();
    let root = build.group(&[&links[..], &[soft("soft", "old/s"), attribute("title", 1)]].concat());
    build.superblock(root, UNDEFINED);
    build
}

/// All that a description says must be in the file.
fn is_sound(bytes: &[u8]) {
    let Ok(container) = parse(bytes) else { return };
    for array in container.members.iter().filter_map(|member| member.found.as_ref().ok()) {
        let size = array.dtype.itemsize();
        assert!(array.fill.is_empty() || array.fill.len() as u64 == size);
        assert!(array.dims.is_empty() || array.dims.len() == array.grid.shape().len());
        if array.grid.shape().iter().try_fold(1_u64, |n, &length| n.checked_mul(length)).is_some_and(|n| n < 100) {
            for offset in places(array).into_iter().flatten() {
                assert!(offset >= 0 && offset as u64 + size <= bytes.len() as u64);
            }
        }
    }
}

#[test]
fn the_sample_is_whole() {
    let container = parse(&sample().bytes).unwrap();
    assert_eq!(paths(&container), ["chunked", "fixed", "growing", "old/s", "old/x", "plain", "soft"]);
    assert!(container.members.iter().all(|member| member.found.is_ok()), "{container:?}");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300), version in 0..4_u8) {
        is_sound(&bytes);
        is_sound(&[&SIGNATURE[..], &[version, 0, 0, 0, 0, 8, 8], &bytes].concat());
        is_sound(&[&SIGNATURE[..], &[version, 8, 8], &bytes].concat());
    }

    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8),
        sealed: bool,
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut build = sample();
        for (at, byte, bit) in changes {
            let at = at.index(build.bytes.len());
            build.bytes[at] = if bit { build.bytes[at] ^ 1 << (byte % 8) } else { byte };
        }
        if sealed {
            build.seal();
        }
        build.bytes.truncate(cut.map_or(build.bytes.len(), |cut| cut.index(build.bytes.len())));
        is_sound(&build.bytes);
    }
}
