//! Every index of chunks.

use super::*;

impl Build {
    /// Adds a fixed array of these addresses, `1 << bits` to a page, and gives the address of its header.
    pub(super) fn fixed_array(&mut self, addresses: &[u64], bits: u8) -> u64 {
        let page = 1 << bits;
        let paged = addresses.len() > page;
        let header = self.bytes.len().next_multiple_of(8) as u64;
        let block = (header + 32).next_multiple_of(8);
        let mut head = vec![b'F', b'A', b'H', b'D', 0, 0, 8, bits];
        head.extend(words(&[addresses.len() as u64, block]));
        assert_eq!(self.add_checked(&head), header);
        let mut prefix = [b"FADB\0\0", &header.to_le_bytes()[..]].concat();
        if !paged {
            prefix.extend(words(addresses));
            assert_eq!(self.add_checked(&prefix), block);
            return header;
        }
        // A page of undefined addresses was never written.
        let written = |page: &[u64]| page.iter().any(|&address| address != UNDEFINED);
        let pages: Vec<&[u64]> = addresses.chunks(page).collect();
        let mut bitmap = vec![0; pages.len().div_ceil(8)];
        for (number, page) in pages.iter().enumerate() {
            bitmap[number / 8] |= u8::from(written(page)) << (7 - number % 8);
        }
        prefix.extend(bitmap);
        assert_eq!(self.add_checked(&prefix), block);
        for page in pages {
            // Pages follow without padding; what was never written has no checksum that holds.
            let bytes = words(page);
            let checksum = if written(page) { super::super::checksum::lookup3(&bytes) } else { 0 };
            self.bytes.extend(bytes);
            self.bytes.extend(checksum.to_le_bytes());
        }
        header
    }

    /// Adds an extensible array of these addresses: 1 in the index block, at least 2 in a data block, 2 to a page.
    pub(super) fn extensible_array(&mut self, addresses: &[u64]) -> u64 {
        let header = self.bytes.len().next_multiple_of(8) as u64;
        let index = (header + 72).next_multiple_of(8);
        let mut head = b"EAHD\0\0\x08\x20\x01\x02\x02\x01".to_vec();
        head.extend(words(&[0, 0, 0, 0, 0, addresses.len() as u64, index]));
        assert_eq!(self.add_checked(&head), header);
        let at = |number: usize| addresses.get(number).copied().unwrap_or(UNDEFINED);
        // Two super blocks, of one data block each, are in the index block: of 2 and of 4 entries. Their number is
        // that of the bits, less that of the smallest block, and one: 32. The third one has two blocks of 4 entries.
        let size = 6 + 8 + 8 * (1 + 2 + 30) + 4;
        let first = (index + size).next_multiple_of(8);
        let second = (first + 6 + 8 + 4 + 16 + 4).next_multiple_of(8);
        let third = (second + 6 + 8 + 4 + 32 + 4).next_multiple_of(8);
        let mut block = [b"EAIB\0\0", &header.to_le_bytes()[..]].concat();
        block.extend(words(&[at(0), first, second, third]));
        block.extend(words(&[UNDEFINED; 29]));
        assert_eq!(self.add_checked(&block), index);
        let data = |signature: &[u8], start: u32| {
            [signature, &[0, 0], &header.to_le_bytes()[..], &start.to_le_bytes()].concat()
        };
        for (address, start, count) in [(first, 0, 2), (second, 2, 4)] {
            let entries: Vec<u64> = (1 + start..1 + start + count).map(at).collect();
            let block = [data(b"EADB", start as u32), words(&entries)].concat();
            assert_eq!(self.add_checked(&block), address);
        }
        // The secondary block: a byte of bits and an address for each of its two blocks, which have two pages.
        let paged = (third + 6 + 8 + 4 + 2 + 16 + 4).next_multiple_of(8);
        let block = [data(b"EASB", 6), vec![0x80, 0], words(&[paged, UNDEFINED])].concat();
        assert_eq!(self.add_checked(&block), third);
        assert_eq!(self.add_checked(&data(b"EADB", 6)), paged);
        for page in [[at(7), at(8)], [at(9), at(10)]] {
            let bytes = words(&page);
            let checksum = super::super::checksum::lookup3(&bytes);
            self.bytes.extend(bytes);
            self.bytes.extend(checksum.to_le_bytes());
        }
        header
    }

    /// Adds a version 2 B-tree with these nodes: records of `size` bytes, the root first, its children behind it.
    fn tree(&mut self, kind: u8, size: u16, depth: u16, root: u64, records: u16) -> u64 {
        let mut head = b"BTHD\0".to_vec();
        head.push(kind);
        head.extend(256_u32.to_le_bytes());
        head.extend(size.to_le_bytes());
        head.extend(depth.to_le_bytes());
        head.extend([100, 40]);
        head.extend(root.to_le_bytes());
        head.extend(records.to_le_bytes());
        head.extend(words(&[0]));
        self.add_checked(&head)
    }
}

/// Places of elements of 4 bytes: `None` for `-1`, else the first of each pair plus 4 times what follows.
fn check(array: &Array, expected: &[i64]) {
    let expected: Vec<Option<i64>> = expected.iter().map(|&place| (place >= 0).then_some(place)).collect();
    assert_eq!(places(array), expected);
}

/// A file with 64 bytes at byte 96, and a data set of integers of this shape.
fn file(shape: &[u64], most: &[u64], layout: impl FnOnce(&mut Build) -> Message) -> Array {
    let mut build = Build::new();
    assert_eq!(build.add(&[7; 64]), 96);
    let layout = layout(&mut build);
    single(&build.single(&[space(shape, most), integer(4), layout, fill(&[9; 4])]))
}

#[test]
fn a_tree_of_version_1() {
    let array = file(&[3, 3], &[], |build| {
        let first = build.add(&chunk_node(0, &[(16, 0, &[0, 0], 96), (16, 0, &[0, 2], 112)]));
        // A chunk outside of the shape is left out.
        let second = build.add(&chunk_node(0, &[(16, 0, &[2, 2], 128), (16, 0, &[4, 0], 144)]));
        let root = build.add(&chunk_node(1, &[(16, 0, &[0, 0], first), (16, 0, &[2, 2], second)]));
        tree_chunks(root, &[2, 2, 4])
    });
    check(&array, &[96, 100, 112, 104, 108, 120, -1, -1, 128]);
    assert_eq!(array.fill, [9; 4]);
    for version in [1, 2] {
        let array = file(&[2], &[], |build| {
            let tree = build.add(&chunk_node(0, &[(8, 0, &[0], 96)]));
            let body = [&[version, 2, 2, 0, 0, 0, 0, 0][..], &words(&[tree]), &[2, 0, 0, 0, 4, 0, 0, 0]];
            (kind::LAYOUT, body.concat())
        });
        check(&array, &[96, 100]);
    }
}

#[test]
fn no_index_at_all() {
    for index in [&[1][..], &[2], &[3, 1], &[4, 32, 1, 2, 2, 1], &[5, 0, 1, 0, 0, 100, 40]] {
        let array = file(&[3], &[], |_| chunks(&[2, 4], index, UNDEFINED));
        check(&array, &[-1, -1, -1]);
    }
    let array = file(&[3], &[], |_| tree_chunks(UNDEFINED, &[2, 4]));
    check(&array, &[-1, -1, -1]);
}

#[test]
fn a_single_chunk() {
    let array = file(&[2, 2], &[4, 4], |_| chunks(&[4, 4, 4], &[1], 96));
    check(&array, &[96, 100, 112, 116]);
}

#[test]
fn chunks_in_a_row() {
    let array = file(&[3, 2], &[], |_| chunks(&[2, 1, 4], &[2], 96));
    check(&array, &[96, 104, 100, 108, 112, 120]);
    // Chunks are numbered as in the largest shape.
    let array = file(&[3, 1], &[4, 3], |_| chunks(&[2, 1, 4], &[2], 96));
    check(&array, &[96, 100, 120]);
}

#[test]
fn a_fixed_array() {
    let addresses = [96, UNDEFINED, 112, 120];
    for bits in [0, 1, 2] {
        let array = file(&[2, 3], &[2, 4], |build| {
            let array = build.fixed_array(&addresses, bits);
            chunks(&[2, 1, 4], &[3, bits], array)
        });
        check(&array, &[96, -1, 112, 100, -1, 116]);
    }
}

#[test]
fn a_fixed_array_of_pages_that_were_not_all_written() {
    let addresses: Vec<u64> = (0..20).map(|number| if number == 17 { 96 } else { UNDEFINED }).collect();
    let array = file(&[20], &[], |build| {
        let array = build.fixed_array(&addresses, 1);
        chunks(&[1, 4], &[3, 1], array)
    });
    let expected: Vec<i64> = (0..20).map(|number| if number == 17 { 96 } else { -1 }).collect();
    check(&array, &expected);
}

#[test]
fn an_extensible_array() {
    let addresses: Vec<u64> = (0..9).map(|number| if number == 3 { UNDEFINED } else { 96 + 4 * number }).collect();
    let parameters = [4, 32, 1, 2, 2, 1];
    let array = file(&[9], &[UNDEFINED], |build| {
        let array = build.extensible_array(&addresses);
        chunks(&[1, 4], &parameters, array)
    });
    check(&array, &[96, 100, 104, -1, 112, 116, 120, 124, 128]);
    // The axis that grows counts as the first.
    let array = file(&[2, 3], &[3, UNDEFINED], |build| {
        let array = build.extensible_array(&addresses);
        chunks(&[1, 1, 4], &parameters, array)
    });
    check(&array, &[96, -1, 120, 100, 112, 124]);
}

#[test]
fn a_tree_of_version_2() {
    let most = [UNDEFINED, UNDEFINED];
    let record = |address: u64, row: u64, column: u64| words(&[address, row, column]);
    let array = file(&[2, 3], &most, |build| {
        let leaf = [&b"BTLF\0\x0a"[..], &record(96, 0, 0), &record(104, 0, 2), &record(112, 9, 9)].concat();
        let leaf = build.add_checked(&leaf);
        let tree = build.tree(10, 24, 0, leaf, 3);
        chunks(&[2, 1, 4], &[5, 0, 1, 0, 0, 100, 40], tree)
    });
    check(&array, &[96, -1, 104, 100, -1, 108]);
    // Two levels above the leaves; numbers of records take a byte each.
    let array = file(&[2, 3], &most, |build| {
        let leaves = [(96, 0), (104, 2)]
            .map(|(address, column)| build.add_checked(&[&b"BTLF\0\x0a"[..], &record(address, 0, column)].concat()));
        let mut inner = [&b"BTIN\0\x0a"[..], &record(112, 0, 1)].concat();
        for leaf in leaves {
            inner.extend([&leaf.to_le_bytes()[..], &[1]].concat());
        }
        let inner = build.add_checked(&inner);
        let mut root = [&b"BTIN\0\x0a"[..], &record(120, 1, 1)].concat();
        for count in [1, 0] {
            root.extend([&inner.to_le_bytes()[..], &[count, 3]].concat());
        }
        // The second child is a node without a record, and one child.
        let empty = build.add_checked(&[&b"BTIN\0\x0a"[..], &leaves[0].to_le_bytes()[..], &[1]].concat());
        let at = root.len() - 10;
        root[at..at + 8].copy_from_slice(&empty.to_le_bytes());
        let root = build.add_checked(&root);
        let tree = build.tree(10, 24, 2, root, 1);
        chunks(&[2, 1, 4], &[5, 0, 1, 0, 0, 100, 40], tree)
    });
    check(&array, &[96, 112, 104, 100, 116, 108]);
}

#[test]
fn filtered_chunks_are_listed() {
    let gzip = (kind::FILTERS, vec![2, 2, 2, 0, 1, 0, 1, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 6, 0, 0, 0]);
    let expected = |bytes: &[u8]| {
        let path = ["x".to_owned()];
        let found = filtered(&Bytes(bytes), &path).unwrap();
        let ids: Vec<(u16, Vec<u32>)> = found.filters.into_iter().map(|filter| (filter.id, filter.values)).collect();
        assert_eq!(ids, [(2, vec![4]), (1, vec![6])]);
        assert_eq!((found.chunk, found.array.grid.shape(), found.array.fill), (vec![2], &[3][..], vec![9; 4]));
        let chunks = [(0, 96, 5, 0), (1, 104, 3, 2)];
        assert_eq!(found.chunks, chunks.map(|(cell, offset, size, mask)| Chunk { cell, offset, size, mask }));
        let refusal = member(&parse(bytes).unwrap(), "x").unwrap().clone().unwrap_err();
        assert!(refusal.0.contains("compressed with shuffle, gzip (deflate)"), "{refusal}");
        assert!(refusal.0.contains("`afbfs unpack` writes a plain copy"), "{refusal}");
    };
    let start = || {
        let mut build = Build::new();
        build.add(&[7; 64]);
        build
    };
    let mut build = start();
    let tree = build.add(&chunk_node(0, &[(5, 0, &[0], 96), (3, 2, &[2], 104)]));
    let messages = [space(&[3], &[]), integer(4), fill(&[9; 4]), gzip.clone(), tree_chunks(tree, &[2, 4])];
    expected(&build.single(&messages));

    let mut build = start();
    let header = build.bytes.len().next_multiple_of(8) as u64;
    let mut head = b"FAHD\0\x01\x0e\x0a".to_vec();
    head.extend(words(&[2, header + 32]));
    build.add_checked(&head);
    let mut block = [b"FADB\0\x01", &header.to_le_bytes()[..]].concat();
    for (address, size, mask) in [(96_u64, 5_u16, 0_u32), (104, 3, 2)] {
        block.extend([&address.to_le_bytes()[..], &size.to_le_bytes(), &mask.to_le_bytes()].concat());
    }
    assert_eq!(build.add_checked(&block), header + 32);
    let messages = [space(&[3], &[]), integer(4), fill(&[9; 4]), gzip, chunks(&[2, 4], &[3, 10], header)];
    expected(&build.single(&messages));
}
