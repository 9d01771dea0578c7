//! HDF5 files built block by block.

use std::ops::Range;

use super::super::checksum::lookup3;
use super::super::{SIGNATURE, kind};

pub(super) const UNDEFINED: u64 = u64::MAX;

/// A file that grows at its end. Addresses and lengths take 8 bytes.
#[derive(Default)]
pub(super) struct Build {
    pub(super) bytes: Vec<u8>,
    /// The blocks that end in a checksum.
    checked: Vec<Range<usize>>,
}

/// A message: its kind and its body.
pub(super) type Message = (u16, Vec<u8>);

impl Build {
    /// With room for a superblock of any version.
    pub(super) fn new() -> Build {
        Build { bytes: vec![0; 96], ..Build::default() }
    }

    /// Adds a block, and gives its address, a multiple of 8.
    pub(super) fn add(&mut self, block: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let address = self.bytes.len() as u64;
        self.bytes.extend(block);
        address
    }

    /// Adds a block and its checksum.
    pub(super) fn add_checked(&mut self, block: &[u8]) -> u64 {
        let address = self.add(&[block, &lookup3(block).to_le_bytes()].concat());
        self.checked.push(address as usize..self.bytes.len());
        address
    }

    /// Computes all checksums anew, after bytes were changed.
    pub(super) fn seal(&mut self) {
        for Range { start, end } in self.checked.clone() {
            let checksum = lookup3(&self.bytes[start..end - 4]).to_le_bytes();
            self.bytes[end - 4..end].copy_from_slice(&checksum);
        }
    }

    /// Adds an object header of version 1.
    pub(super) fn old_header(&mut self, messages: &[Message]) -> u64 {
        let mut body = Vec::new();
        for (kind, message) in messages {
            let size = message.len().next_multiple_of(8);
            body.extend([&kind.to_le_bytes()[..], &(size as u16).to_le_bytes(), &[0; 4], message].concat());
            body.resize(body.len().next_multiple_of(8), 0);
        }
        let mut head = vec![1, 0];
        head.extend((messages.len() as u16).to_le_bytes());
        head.extend(1_u32.to_le_bytes());
        head.extend((body.len() as u32).to_le_bytes());
        head.extend([0; 4]);
        self.add(&[head, body].concat())
    }

    /// Adds an object header of version 2.
    pub(super) fn header(&mut self, messages: &[Message]) -> u64 {
        let mut body = Vec::new();
        for (kind, message) in messages {
            body.push(*kind as u8);
            body.extend((message.len() as u16).to_le_bytes());
            body.push(0);
            body.extend(message);
        }
        let mut block = b"OHDR\x02\x02".to_vec();
        block.extend((body.len() as u32).to_le_bytes());
        block.extend(body);
        self.add_checked(&block)
    }

    /// Adds a header of a group with these links, of version 2.
    pub(super) fn group(&mut self, links: &[Message]) -> u64 {
        self.header(&[&[(kind::GROUP_INFO, vec![0, 0])], links].concat())
    }

    /// Adds a group with a symbol table: names and objects; an object of 0 is a soft link to the path behind the name.
    pub(super) fn old_group(&mut self, entries: &[(&str, u64)]) -> Message {
        let (mut names, mut symbols) = (vec![0; 8], b"SNOD\x01\x00".to_vec());
        symbols.extend((entries.len() as u16).to_le_bytes());
        let mut place = |name: &str| {
            let start = names.len() as u64;
            names.extend(name.as_bytes());
            names.resize((names.len() + 1).next_multiple_of(8), 0);
            start
        };
        for &(name, object) in entries {
            let (name, target) = name.split_once(" -> ").unwrap_or((name, ""));
            symbols.extend(place(name).to_le_bytes());
            if target.is_empty() {
                symbols.extend(object.to_le_bytes());
                symbols.extend([0; 24]);
            } else {
                symbols.extend(UNDEFINED.to_le_bytes());
                symbols.extend([2, 0, 0, 0, 0, 0, 0, 0]);
                symbols.extend((place(target) as u32).to_le_bytes());
                symbols.extend([0; 12]);
            }
        }
        let data = self.add(&names);
        let heap = self.add(&[&b"HEAP\0\0\0\0"[..], &words(&[names.len() as u64, 1, data])].concat());
        let symbols = self.add(&symbols);
        let mut tree = b"TREE\0\0\x01\0".to_vec();
        tree.extend(words(&[UNDEFINED, UNDEFINED, 0, symbols, 8]));
        let tree = self.add(&tree);
        (kind::SYMBOL_TABLE, words(&[tree, heap]))
    }

    /// The file of version 0 with this root group.
    pub(super) fn old(mut self, root: u64) -> Vec<u8> {
        let mut head = SIGNATURE.to_vec();
        head.extend([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]);
        head.extend(words(&[0, UNDEFINED, self.bytes.len() as u64, UNDEFINED, 0, root]));
        self.bytes[..head.len()].copy_from_slice(&head);
        self.bytes
    }

    /// Writes the superblock of version 2.
    pub(super) fn superblock(&mut self, root: u64, extension: u64) {
        let mut head = SIGNATURE.to_vec();
        head.extend([2, 8, 8, 0]);
        head.extend(words(&[0, extension, self.bytes.len() as u64, root]));
        head.extend(lookup3(&head).to_le_bytes());
        self.bytes[..head.len()].copy_from_slice(&head);
        self.checked.push(0..head.len());
    }

    /// The file of version 2 with this root group.
    pub(super) fn finish(mut self, root: u64) -> Vec<u8> {
        self.superblock(root, UNDEFINED);
        self.bytes
    }

    /// The file whose only data set, called `x`, has these messages.
    pub(super) fn single(mut self, messages: &[Message]) -> Vec<u8> {
        let dataset = self.header(messages);
        let root = self.group(&[hard("x", dataset)]);
        self.finish(root)
    }
}

/// Numbers of 8 bytes.
pub(super) fn words(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn link(kind: u8, name: &str, rest: &[u8]) -> Message {
    let head = [1, 8, kind, name.len() as u8];
    (kind::LINK, [&head[..], name.as_bytes(), rest].concat())
}

pub(super) fn hard(name: &str, object: u64) -> Message {
    link(0, name, &object.to_le_bytes())
}

pub(super) fn soft(name: &str, target: &str) -> Message {
    link(1, name, &[&(target.len() as u16).to_le_bytes(), target.as_bytes()].concat())
}

pub(super) fn external(name: &str, file: &str, path: &str) -> Message {
    let rest = format!("\0{file}\0{path}\0");
    link(64, name, &[&(rest.len() as u16).to_le_bytes(), rest.as_bytes()].concat())
}

pub(super) fn custom(name: &str) -> Message {
    link(200, name, &[0, 0])
}

/// A dataspace of version 2 with this shape, and the largest shape if there is one.
pub(super) fn space(shape: &[u64], most: &[u64]) -> Message {
    let head = [2, shape.len() as u8, u8::from(!most.is_empty()), u8::from(!shape.is_empty())];
    (kind::DATASPACE, [&head[..], &words(shape), &words(most)].concat())
}

/// Little-endian integers of so many bytes.
pub(super) fn integer(size: u8) -> Message {
    (kind::DATATYPE, vec![0x10, 8, 0, 0, size, 0, 0, 0, 0, 0, 8 * size, 0])
}

pub(super) fn contiguous(address: u64, size: u64) -> Message {
    (kind::LAYOUT, [&[3, 1][..], &words(&[address, size])].concat())
}

/// A chunked layout of version 3 with a B-tree.
pub(super) fn tree_chunks(tree: u64, shape: &[u32]) -> Message {
    let mut body = vec![3, 2, shape.len() as u8];
    body.extend(tree.to_le_bytes());
    body.extend(shape.iter().flat_map(|length| length.to_le_bytes()));
    (kind::LAYOUT, body)
}

/// A chunked layout of version 4, where `index` is its number and parameters.
pub(super) fn chunks(shape: &[u8], index: &[u8], address: u64) -> Message {
    let head = [4, 2, 0, shape.len() as u8, 1];
    (kind::LAYOUT, [&head[..], shape, index, &address.to_le_bytes()].concat())
}

/// A fill value of version 3.
pub(super) fn fill(value: &[u8]) -> Message {
    (kind::FILL, [&[3, 0x29][..], &(value.len() as u32).to_le_bytes(), value].concat())
}

/// An attribute of version 3 with a number of 4 bytes.
pub(super) fn attribute(name: &str, value: i32) -> Message {
    let (_, datatype) = integer(4);
    let (_, space) = space(&[], &[]);
    let mut body = vec![3, 0];
    for size in [name.len() + 1, datatype.len(), space.len()] {
        body.extend((size as u16).to_le_bytes());
    }
    body.push(0);
    (kind::ATTRIBUTE, [&body[..], name.as_bytes(), &[0], &datatype, &space, &value.to_le_bytes()].concat())
}

/// A node of a version 1 B-tree of chunks: size, mask and offsets of each chunk, and its address.
pub(super) fn chunk_node(level: u8, chunks: &[(u32, u32, &[u64], u64)]) -> Vec<u8> {
    let mut node = b"TREE\x01".to_vec();
    node.push(level);
    node.extend((chunks.len() as u16).to_le_bytes());
    node.extend(words(&[UNDEFINED, UNDEFINED]));
    for (size, mask, offsets, address) in chunks {
        node.extend([size.to_le_bytes(), mask.to_le_bytes()].concat());
        node.extend(words(offsets));
        node.extend(words(&[0, *address]));
    }
    node
}
