//! Everything that is refused, and why.

use super::*;

fn refused(bytes: &[u8], parts: &[&str]) {
    let message = parse(bytes).unwrap_err().0;
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert!(message.len() < 400, "{message}");
}

/// The member `x`, of several members or the only one, is refused.
fn member_refused(bytes: &[u8], parts: &[&str]) {
    let message = member(&parse(bytes).unwrap(), "x").unwrap().clone().unwrap_err().0;
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert!(message.len() < 400, "{message}");
}

fn messages_refused(messages: &[Message], parts: &[&str]) {
    member_refused(&Build::new().single(messages), parts);
}

/// Integers in two chunks of this layout are refused.
fn chunks_refused(layout: impl FnOnce(&mut Build) -> Message, parts: &[&str]) {
    let mut build = Build::new();
    build.add(&[7; 64]);
    let layout = layout(&mut build);
    member_refused(&build.single(&[space(&[4], &[]), integer(4), layout]), parts);
}

#[test]
fn refused_empty() {
    refused(b"", &["it is empty"]);
}

#[test]
fn refused_without_signature() {
    refused(&[b'x'; 3000], &["no HDF5 signature", "another kind"]);
    refused(&SIGNATURE[..7], &["no HDF5 signature"]);
}

#[test]
fn refused_hdf4() {
    refused(b"\x0e\x03\x13\x01 and so on", &["an HDF4 file", "h4toh5"]);
}

#[test]
fn refused_superblocks() {
    refused(SIGNATURE, &["its superblock is shorter"]);
    refused(&[&SIGNATURE[..], &[4; 100]].concat(), &["its superblock is of version 4", "h5repack"]);
    refused(&[&SIGNATURE[..], &[2, 16, 8, 0], &[0; 100]].concat(), &["addresses take 16 bytes and lengths 8"]);
    let mut build = Build::new();
    let root = build.group(&[]);
    build.superblock(root, UNDEFINED);
    build.bytes[30] ^= 1;
    refused(&build.bytes, &["the checksum of its superblock at address 0 is wrong"]);
    refused(&Build::new().finish(UNDEFINED), &["names no root group"]);
    refused(&Build::new().old(UNDEFINED), &["names no root group"]);
}

#[test]
fn refused_one_file_of_several() {
    let mut build = Build::new();
    let driver = build.add(b"\x01\0\0\0\x08\0\0\0NCSAfami\0\0\0\0\0\0\0\0");
    let root = build.group(&[]);
    let mut bytes = build.old(root);
    bytes[48..56].copy_from_slice(&driver.to_le_bytes());
    refused(&bytes, &["one of several files", "the driver 'family'", "h5repart"]);
    let mut build = Build::new();
    let root = build.group(&[]);
    let extension = build.header(&[(kind::DRIVER, b"\0NCSAmulti".to_vec())]);
    build.superblock(root, extension);
    refused(&build.bytes, &["one of several files", "the driver 'multi'"]);
}

#[test]
fn refused_no_data_set() {
    let mut build = Build::new();
    let named = build.header(&[integer(4)]);
    let root = build.group(&[hard("type", named)]);
    refused(&build.finish(root), &["no data set"]);
}

#[test]
fn refused_root_that_is_no_group() {
    let mut build = Build::new();
    let root = build.header(&[integer(4)]);
    refused(&build.finish(root), &["its root is no group"]);
}

#[test]
fn refused_truncated_metadata() {
    let mut build = Build::new();
    let root = build.group(&[hard("x", 8)]);
    let mut bytes = build.finish(root);
    bytes.truncate(bytes.len() - 1);
    refused(&bytes, &["its object header", "lies beyond the end of the file"]);
}

#[test]
fn refused_damaged_header() {
    let mut build = Build::new();
    let root = build.group(&[hard("x", 8)]);
    let mut bytes = build.finish(root);
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    refused(&bytes, &["the checksum of its object header", "is wrong"]);
}

#[test]
fn refused_links_of_one_name() {
    let mut build = Build::new();
    let dataset = build.header(&[space(&[], &[]), integer(4), contiguous(0, 4)]);
    let group = build.group(&[hard("y", dataset), hard("y", dataset)]);
    let root = build.group(&[hard("x", group)]);
    member_refused(&build.finish(root), &["two links called 'y'"]);
}

#[test]
fn refused_long_names() {
    let mut build = Build::new();
    let dataset = build.header(&[space(&[], &[]), integer(4), contiguous(0, 4)]);
    let name = [b'n'; 1025];
    let (kind, _) = hard("", 0);
    let link = [&[1, 1, 1, 4][..], &name, &dataset.to_le_bytes()].concat();
    let root = build.group(&[(kind, link), hard("x", dataset)]);
    let container = parse(&build.finish(root)).unwrap();
    let refusal = container.members[0].found.clone().unwrap_err().0;
    assert!(refusal.contains("its name is 1025 bytes long"), "{refusal}");
    assert!(container.members[1].found.is_ok());
}

#[test]
fn refused_deep_groups() {
    let mut build = Build::new();
    let dataset = build.header(&[space(&[], &[]), integer(4), contiguous(0, 4)]);
    let mut root = build.group(&[hard("x", dataset)]);
    for _ in 0..100 {
        root = build.group(&[hard("g", root)]);
    }
    let container = parse(&build.finish(root)).unwrap();
    assert_eq!(container.members.len(), 1);
    assert!(container.members[0].found.clone().unwrap_err().0.contains("more than 64 deep"));
}

#[test]
fn refused_null_dataspace() {
    let null = (kind::DATASPACE, vec![2, 0, 0, 2]);
    messages_refused(&[null, integer(4), contiguous(0, 4)], &["null dataspace"]);
}

#[test]
fn refused_damaged_dataspace() {
    let strange = (kind::DATASPACE, vec![3, 0, 0, 2]);
    messages_refused(&[strange, integer(4), contiguous(0, 4)], &["its dataspace is of version 3"]);
    messages_refused(&[integer(4), contiguous(0, 4)], &["has no dataspace"]);
    let short = (kind::DATASPACE, vec![2, 2, 0, 1, 5]);
    messages_refused(&[short, integer(4), contiguous(0, 4)], &["its dataspace is shorter"]);
}

#[test]
fn refused_truncated_data() {
    let messages = [space(&[1000], &[]), integer(4), contiguous(96, 4000)];
    messages_refused(&messages, &["its 4000 bytes at address 96 lie beyond the end of the file", "copy it again"]);
    let messages = [space(&[4], &[]), integer(4), contiguous(u64::MAX - 3, 16)];
    messages_refused(&messages, &["lie beyond the end of the file"]);
}

#[test]
fn refused_shapes_that_cannot_be() {
    for shape in [&[u64::MAX][..], &[1 << 32, 1 << 32], &[0, 1 << 62, 1 << 62]] {
        messages_refused(&[space(shape, &[]), integer(4), contiguous(0, 4)], &["its shape cannot be"]);
        messages_refused(&[space(shape, &[]), integer(4), contiguous(UNDEFINED, 4)], &["its shape cannot be"]);
    }
    let axes = [1; 65];
    messages_refused(&[space(&axes, &[]), integer(4), contiguous(0, 4)], &["65 axes"]);
}

#[test]
fn refused_external_storage() {
    let messages = [space(&[4], &[]), integer(1), contiguous(UNDEFINED, 4), (kind::EXTERNAL_FILES, vec![1; 16])];
    messages_refused(&messages, &["external storage", "--array"]);
}

#[test]
fn refused_virtual_data_set() {
    let layout = (kind::LAYOUT, [&[4, 3][..], &words(&[0]), &[0; 4]].concat());
    messages_refused(&[space(&[4], &[]), integer(1), layout], &["virtual data set", "h5repack"]);
}

#[test]
fn refused_filters() {
    let filters = |list: &[(u16, &str)]| {
        let mut body = vec![1, list.len() as u8, 0, 0, 0, 0, 0, 0];
        for (id, name) in list {
            let size = (name.len() + 1).next_multiple_of(8);
            body.extend([id.to_le_bytes(), (size as u16).to_le_bytes(), [0, 0], [1, 0]].concat());
            body.extend(name.as_bytes());
            body.resize(body.len() + size - name.len(), 0);
            body.extend([0; 8]);
        }
        (kind::FILTERS, body)
    };
    for (list, part) in [
        (&[(1, "deflate")][..], "it is compressed with gzip (deflate), so"),
        (&[(2, "shuffle"), (32015, "zstandard")], "compressed with shuffle, zstd,"),
        (&[(3, "fletcher32")], "stored with fletcher32 (checksums),"),
        (&[(999, "own")], "compressed with 'own',"),
        (&[(999, "")], "compressed with filter 999,"),
    ] {
        let messages = [space(&[4], &[]), integer(4), tree_chunks(UNDEFINED, &[2, 4]), filters(list)];
        messages_refused(&messages, &[part, "`afbfs unpack` writes a plain copy"]);
    }
    // Without chunks there is nothing that was filtered.
    let messages = [space(&[4], &[]), integer(1), contiguous(0, 4), filters(&[(1, "deflate")])];
    assert!(member(&parse(&Build::new().single(&messages)).unwrap(), "x").unwrap().is_ok());
}

#[test]
fn refused_layouts() {
    let layout = |body: &[u8]| [space(&[4], &[]), integer(1), (kind::LAYOUT, body.to_vec())];
    messages_refused(&layout(&[6, 1]), &["its data layout is of version 6"]);
    messages_refused(&layout(&[3, 7]), &["its layout is of class 7"]);
    messages_refused(&layout(&[3, 0, 9, 0, 1, 2]), &["more elements in its header than are there"]);
    messages_refused(&layout(&[3, 0, 2, 0, 1, 2]), &["its header holds 2 of the 4 bytes"]);
    messages_refused(&layout(&[4, 2, 0, 2, 1, 2, 1, 9, 0, 0]), &["an index of type 9"]);
    messages_refused(&layout(&[4, 2, 0, 2, 9, 2, 1, 9, 0, 0]), &["a number of 9 bytes"]);
    messages_refused(&layout(&[4, 2, 0, 0, 1, 1]), &["chunks of no shape"]);
}

#[test]
fn refused_fill_values() {
    let with = |fill: Message| [space(&[4], &[]), integer(4), contiguous(UNDEFINED, 16), fill];
    messages_refused(&with(fill(&[1, 2, 3])), &["its fill value is of another size"]);
    messages_refused(&with((kind::FILL, vec![4, 0])), &["its fill value is of version 4"]);
    let array = [&[0x3a, 0, 0, 0, 4, 0, 0, 0, 1, 2, 0, 0, 0][..], &[0x30, 0, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0]].concat();
    let unlike = [space(&[4], &[]), (kind::DATATYPE, array), contiguous(UNDEFINED, 16), fill(&[1, 2, 1, 3])];
    messages_refused(&unlike, &["an array of unlike elements"]);
}

#[test]
fn refused_chunks_of_another_shape() {
    chunks_refused(|_| tree_chunks(UNDEFINED, &[2, 2, 4]), &["chunks that do not fit its shape"]);
    chunks_refused(|_| tree_chunks(UNDEFINED, &[0, 4]), &["chunks that do not fit its shape"]);
    chunks_refused(|_| tree_chunks(UNDEFINED, &[2, 8]), &["elements of another size than its type"]);
    let larger = [space(&[4], &[3]), integer(4), tree_chunks(UNDEFINED, &[2, 4])];
    messages_refused(&larger, &["chunks that do not fit its shape"]);
    let huge = [
        space(&[4], &[]),
        integer(4),
        (kind::LAYOUT, {
            let mut body = vec![4, 2, 0, 2, 8];
            body.extend(words(&[1 << 62, 4]));
            body.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
            body
        }),
    ];
    messages_refused(&huge, &["its chunks cannot be", "larger than any file can be"]);
}

#[test]
fn refused_chunks_beyond_the_end() {
    let beyond = ["its chunk of 8 bytes at address 9999", "beyond the end of the file"];
    chunks_refused(|build| tree_chunks(build.add(&chunk_node(0, &[(8, 0, &[0], 9999)])), &[2, 4]), &beyond);
    chunks_refused(|_| chunks(&[2, 4], &[1], 9999), &beyond);
    chunks_refused(|_| chunks(&[2, 4], &[2], 9999), &["its chunk of 16 bytes at address 9999", "beyond the end"]);
    chunks_refused(
        |build| {
            let array = build.fixed_array(&[96, 9999], 10);
            chunks(&[2, 4], &[3, 10], array)
        },
        &beyond,
    );
}

#[test]
fn refused_damaged_indexes() {
    let node = |change: fn(&mut Vec<u8>)| {
        move |build: &mut Build| {
            let mut node = chunk_node(1, &[(8, 0, &[0], 0)]);
            change(&mut node);
            let address = build.bytes.len().next_multiple_of(8) as u64;
            // The node is its own child.
            let child = node.len() - 8;
            node[child..].copy_from_slice(&address.to_le_bytes());
            tree_chunks(build.add(&node), &[2, 4])
        }
    };
    chunks_refused(node(|_| ()), &["nodes of one of its B-trees are of the wrong levels"]);
    chunks_refused(node(|node| node[0] = b't'), &["is not where it should be"]);
    chunks_refused(node(|node| node[4] = 0), &["is not where it should be"]);
    chunks_refused(
        |build| {
            let array = build.fixed_array(&[96, 96, 96], 10);
            chunks(&[2, 4], &[3, 10], array)
        },
        &["room for more of them than there can be"],
    );
    chunks_refused(
        |build| {
            let array = build.fixed_array(&[96, 96], 10);
            build.bytes[array as usize + 6] = 9;
            build.seal();
            chunks(&[2, 4], &[3, 10], array)
        },
        &["entries of a size that cannot be"],
    );
    chunks_refused(
        |build| {
            let array = build.fixed_array(&[96, 96], 10);
            build.bytes[array as usize + 40] ^= 1;
            chunks(&[2, 4], &[3, 10], array)
        },
        &["the checksum of its index of chunks"],
    );
}

#[test]
fn refused_hidden_circles() {
    // Each node of the tree has the next for both of its children, so that the ways through it double with each level.
    let mut build = Build::new();
    let mut below = build.add(&chunk_node(0, &[(8, 0, &[0], 96)]));
    for level in 1..=60 {
        below = build.add(&chunk_node(level, &[(8, 0, &[0], below), (8, 0, &[2], below)]));
    }
    let bytes = build.single(&[space(&[4], &[]), integer(4), tree_chunks(below, &[2, 4])]);
    member_refused(&bytes, &["its structures lead in circles"]);
}

#[test]
fn refused_unreadable() {
    let message = Hdf5.parse("a.h5", &crate::format::header::tests::Broken, &Alone).unwrap_err().0;
    assert_eq!(message, "cannot be read: the disk is gone");
}

#[test]
fn refused_unpacking() {
    let bytes = Build::new().single(&[space(&[4], &[]), integer(1), contiguous(0, 4)]);
    let why = |path: &str| filtered(&Bytes(&bytes), &[path.to_owned()]).unwrap_err().0;
    assert!(why("x").contains("not chunked, and so not compressed"));
    assert!(why("y").contains("no object y"));
}
