//! B-trees, of both versions. They find a link by its name, or a chunk by its coordinates; here they are only listed.
//!
//! Version 1 is of nodes of one form: `TREE`, type, level (0 at the bottom), number of children (2), the addresses of
//! both neighbours, then keys and children in turn, a key at both ends. What the children at the bottom are depends
//! on the type: nodes of a symbol table, or chunks.
//!
//! Version 2 is of records of one size. All its nodes end in a checksum:
//!
//! | node     | what it holds                                                                                        |
//! |----------|------------------------------------------------------------------------------------------------------|
//! | header   | `BTHD`, version 0, type; sizes of a node (4) and of a record (2), depth (2), two percentages; root:  |
//! |          | address, number of its records (2), number of all records                                            |
//! | leaf     | `BTLF`, version 0, type; records                                                                     |
//! | internal | `BTIN`, version 0, type; records; one more child than records: address, number of its records, and   |
//! |          | above the lowest level the number of all records in and below it                                     |
//!
//! Numbers of records take as many bytes as the largest that a node of this size allows.

use super::damaged;
use super::file::{Cursor, File, encoded_size};
use crate::format::Refusal;

/// The deepest tree. One of nodes of 512 bytes that is 16 deep has more records than a file has bytes.
const MAX_DEPTH: usize = 16;

/// Bytes of a node beside its records and children: signature, version, type, checksum.
const NODE_PREFIX: u64 = 10;

const WHAT: &str = "B-tree";

/// What a tree says about itself.
pub(super) struct Tree {
    node_size: u64,
    pub(super) record_size: u64,
    root: Option<Node>,
    /// For each level, leaves first.
    levels: Vec<Level>,
    kind: u8,
}

#[derive(Clone, Copy)]
struct Level {
    /// Bytes of the number of records in one node of this level.
    count_size: usize,
    /// Bytes of the number of all records in and below a node of this level.
    total_size: usize,
    /// The most records of a node.
    most: u64,
    /// The most records in and below a node.
    most_below: u64,
}

#[derive(Clone, Copy)]
struct Node {
    address: u64,
    records: u64,
    level: usize,
}

impl Tree {
    /// The tree at an address, which must be of this type.
    pub(super) fn open(file: &File<'_>, address: u64, kind: u8) -> Result<Tree, Refusal> {
        let size = 16 + file.offset_size as u64 + 2 + file.length_size as u64 + 4;
        let head = file.read_checked(address, size, WHAT)?;
        let mut cursor = Cursor::new(&head, WHAT);
        cursor.signature(b"BTHD", 0)?;
        if cursor.u8()? != kind {
            return Err(damaged("one of its B-trees is of the wrong type"));
        }
        let node_size = u64::from(cursor.u32()?);
        let record_size = u64::from(cursor.u16()?);
        let depth = usize::from(cursor.u16()?);
        cursor.skip(2)?;
        let root = file.address(&mut cursor)?;
        let records = u64::from(cursor.u16()?);
        if depth > MAX_DEPTH || record_size == 0 {
            return Err(damaged("one of its B-trees is too deep, or has records of no bytes"));
        }
        let levels = levels(node_size, record_size, depth, file.offset_size as u64)
            .ok_or_else(|| damaged("one of its B-trees has nodes that hold no record"))?;
        let root = root.map(|address| Node { address, records, level: depth });
        Ok(Tree { node_size, record_size, root, levels, kind })
    }

    /// Shows every record, in no particular order.
    pub(super) fn each(
        &self,
        file: &File<'_>,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut nodes: Vec<Node> = self.root.iter().copied().filter(|root| root.records > 0).collect();
        while let Some(node) = nodes.pop() {
            let block = self.read(file, node)?;
            let mut cursor = Cursor::new(&block, WHAT);
            cursor.signature(if node.level == 0 { b"BTLF" } else { b"BTIN" }, 0)?;
            if cursor.u8()? != self.kind {
                return Err(damaged("a node of one of its B-trees is of the wrong type"));
            }
            for _ in 0..node.records {
                visit(cursor.take_long(self.record_size)?)?;
            }
            if let Some(below) = node.level.checked_sub(1) {
                for _ in 0..=node.records {
                    let address = file.address(&mut cursor)?;
                    let records = cursor.uint(self.levels[below].count_size)?;
                    cursor.skip(if below > 0 { self.levels[below].total_size } else { 0 })?;
                    match address {
                        Some(address) => nodes.push(Node { address, records, level: below }),
                        None => return Err(damaged("a node of one of its B-trees lacks a child")),
                    }
                }
            }
        }
        Ok(())
    }

    /// The used part of a node, which is what the checksum covers.
    fn read(&self, file: &File<'_>, node: Node) -> Result<Vec<u8>, Refusal> {
        let mut size = NODE_PREFIX + node.records * self.record_size;
        if let Some(below) = node.level.checked_sub(1) {
            size += (node.records + 1) * self.levels[below].pointer_size(file.offset_size as u64, below);
        }
        if node.records > self.levels[node.level].most || size > self.node_size {
            return Err(damaged("a node of one of its B-trees claims more records than fit"));
        }
        file.read_checked(node.address, size, WHAT)
    }
}

impl Level {
    /// Bytes of a pointer to a node of this level, number `level`.
    fn pointer_size(&self, offset_size: u64, level: usize) -> u64 {
        offset_size + self.count_size as u64 + if level > 0 { self.total_size as u64 } else { 0 }
    }
}

/// The limits of each level, or nothing where a node holds no record.
fn levels(node_size: u64, record_size: u64, depth: usize, offset_size: u64) -> Option<Vec<Level>> {
    let most = node_size.checked_sub(NODE_PREFIX)? / record_size;
    // The number of records in a node is written as for a leaf, which holds the most of all.
    let count_size = encoded_size(most);
    let mut levels = vec![Level { count_size, total_size: 0, most, most_below: most }];
    for level in 1..=depth {
        let below = levels[level - 1];
        let pointer = below.pointer_size(offset_size, level - 1);
        let most = node_size.checked_sub(NODE_PREFIX + pointer)? / (record_size + pointer);
        let most_below = most.saturating_add(1).saturating_mul(below.most_below).saturating_add(most);
        levels.push(Level { count_size, total_size: encoded_size(most_below), most, most_below });
    }
    levels.iter().all(|level| level.most > 0).then_some(levels)
}

/// The types of version 1 B-trees.
pub(super) const GROUP: u8 = 0;
pub(super) const CHUNKS: u8 = 1;

/// Takes what hangs on a B-tree: the key before it, and its address.
type Visit<'v> = &'v mut dyn FnMut(&[u8], u64) -> Result<(), Refusal>;

/// Shows everything that hangs on a version 1 B-tree with keys of so many bytes.
pub(super) fn each_child(
    file: &File<'_>,
    root: u64,
    kind: u8,
    key_size: usize,
    visit: Visit<'_>,
) -> Result<(), Refusal> {
    let prefix = 8 + 2 * file.offset_size as u64;
    let mut nodes: Vec<(u64, Option<u8>)> = vec![(root, None)];
    while let Some((address, wanted)) = nodes.pop() {
        let head = file.read(address, prefix, WHAT)?;
        let mut cursor = Cursor::new(&head, WHAT);
        if cursor.take(4)? != b"TREE" || cursor.u8()? != kind {
            return Err(damaged("a node of one of its B-trees is not where it should be"));
        }
        let level = cursor.u8()?;
        if wanted.is_some_and(|wanted| wanted != level) {
            return Err(damaged("the nodes of one of its B-trees are of the wrong levels"));
        }
        let count = u64::from(cursor.u16()?);
        let pair = (key_size + file.offset_size) as u64;
        let pairs = file.read(address.saturating_add(prefix), count * pair, WHAT)?;
        let mut cursor = Cursor::new(&pairs, WHAT);
        let at = nodes.len();
        for _ in 0..count {
            let key = cursor.take(key_size)?;
            let child = file.address(&mut cursor)?.ok_or_else(|| damaged("a node of a B-tree lacks a child"))?;
            match level.checked_sub(1) {
                None => visit(key, child)?,
                below => nodes.push((child, below)),
            }
        }
        // The first child is next.
        nodes[at..].reverse();
    }
    Ok(())
}
