//! Groups: the links in them.
//!
//! | storage  | where the links are                                                                        |
//! |----------|--------------------------------------------------------------------------------------------|
//! | old      | a symbol table: a version 1 B-tree of nodes (`SNOD`) of entries, their names in a local heap |
//! | compact  | link messages in the object header                                                         |
//! | dense    | link messages in a fractal heap, their ids in a version 2 B-tree                           |

use std::collections::HashSet;

use super::btree::{self, Tree};
use super::file::{Cursor, File, text};
use super::fractal::Heap;
use super::header::Header;
use super::{MAX_LINKS, damaged, kind};
use crate::dtype::literal::excerpt;
use crate::format::Refusal;

/// The longest name of a link, in bytes. File names have at most 255.
const MAX_NAME: usize = 1024;

/// The type of the B-tree that has the links of a group by the hashes of their names.
const BY_NAME: u8 = 5;

/// A link of a group.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) target: Target,
    /// Its number in the order in which links were made, where the group keeps it.
    created: Option<u64>,
}

/// Where a link leads.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// To the object at an address.
    Hard(u64),
    /// To a path in the file.
    Soft(String),
    /// To an object of another file.
    External(String),
    /// Somewhere that only its maker knows.
    Custom(u8),
    /// Nowhere that could be shown.
    Refused(Refusal),
}

/// Whether an object of this header is a group.
pub(super) fn is_group(header: &Header) -> bool {
    let kinds = [kind::SYMBOL_TABLE, kind::LINK_INFO, kind::LINK, kind::GROUP_INFO];
    kinds.into_iter().any(|kind| header.find(kind).is_some())
}

/// The links of a group, in the order in which they were made if it keeps that, else of their names.
pub(super) fn links(file: &File<'_>, header: &Header) -> Result<Vec<Link>, Refusal> {
    let mut links = Vec::new();
    if let Some(message) = header.find(kind::SYMBOL_TABLE) {
        symbol_table(file, &message.body, &mut links)?;
    }
    for message in header.messages.iter().filter(|message| message.kind == kind::LINK) {
        push(&mut links, link(file, &message.resolve(file)?)?)?;
    }
    if let Some(message) = header.find(kind::LINK_INFO) {
        dense(file, &message.body, &mut links)?;
    }
    let mut names = HashSet::with_capacity(links.len());
    if let Some(twice) = links.iter().find(|link| !names.insert(link.name.as_str())) {
        return Err(damaged(&format!("a group has two links called {}", excerpt(&twice.name))));
    }
    if links.iter().all(|link| link.created.is_some()) {
        links.sort_by_key(|link| link.created);
    } else {
        links.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(links)
}

fn push(links: &mut Vec<Link>, link: Link) -> Result<(), Refusal> {
    if links.len() >= MAX_LINKS {
        return Err(Refusal(format!("a group has more than {MAX_LINKS} links; spread them over several files")));
    }
    links.push(link);
    Ok(())
}

/// A link, unless its name is too long.
fn named(bytes: &[u8], target: Target, created: Option<u64>) -> Link {
    let Some((head, _)) = bytes.split_at_checked(MAX_NAME + 1) else {
        return Link { name: text(bytes), target, created };
    };
    let refusal = Refusal(format!(
        "its name is {} bytes long, more than the {MAX_NAME} that are read (the rest is left out here); rename it",
        bytes.len()
    ));
    Link { name: text(&head[..MAX_NAME]), target: Target::Refused(refusal), created }
}

/// A link message.
fn link(file: &File<'_>, body: &[u8]) -> Result<Link, Refusal> {
    let mut cursor = Cursor::new(body, "link");
    match cursor.u8()? {
        1 => {}
        version => return Err(cursor.unknown_version(version)),
    }
    let flags = cursor.u8()?;
    let kind = if flags & 8 == 0 { 0 } else { cursor.u8()? };
    let created = if flags & 4 == 0 { None } else { Some(cursor.uint(8)?) };
    if flags & 16 != 0 {
        cursor.skip(1)?;
    }
    let length = cursor.uint(1 << (flags & 3))?;
    let name = cursor.take_long(length)?;
    let target = match kind {
        0 => Target::Hard(file.address(&mut cursor)?.ok_or_else(|| damaged("a link leads nowhere"))?),
        1 => {
            let length = cursor.u16()?;
            Target::Soft(text(cursor.take(length.into())?))
        }
        64 => {
            cursor.skip(3)?;
            let (file, path) = (cursor.until_nul()?, cursor.until_nul()?);
            Target::External(format!("{} of {}", text(path), text(file)))
        }
        kind => Target::Custom(kind),
    };
    Ok(named(name, target, created))
}

/// Links in a fractal heap, if the group has them there.
fn dense(file: &File<'_>, body: &[u8], links: &mut Vec<Link>) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(body, "link info");
    match cursor.u8()? {
        0 => {}
        version => return Err(cursor.unknown_version(version)),
    }
    let flags = cursor.u8()?;
    cursor.skip(if flags & 1 == 0 { 0 } else { 8 })?;
    let (heap, tree) = (file.address(&mut cursor)?, file.address(&mut cursor)?);
    let (Some(heap), Some(tree)) = (heap, tree) else { return Ok(()) };
    let heap = Heap::open(file, heap)?;
    Tree::open(file, tree, BY_NAME)?.each(file, &mut |record| {
        // The hash of the name stands before the id.
        let id = record.get(4..).ok_or_else(|| damaged("the B-tree of a group has records that are too short"))?;
        push(links, link(file, &heap.object(file, id)?)?)
    })
}

/// Links in a symbol table.
fn symbol_table(file: &File<'_>, body: &[u8], links: &mut Vec<Link>) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(body, "symbol table");
    let lost = || damaged("a symbol table has no address");
    let tree = file.address(&mut cursor)?.ok_or_else(lost)?;
    let heap = file.address(&mut cursor)?.ok_or_else(lost)?;
    let names = local_heap(file, heap)?;
    btree::each_child(file, tree, btree::GROUP, file.length_size, &mut |_, child| symbols(file, child, &names, links))
}

/// The entries of a node of a symbol table.
fn symbols(file: &File<'_>, address: u64, names: &[u8], links: &mut Vec<Link>) -> Result<(), Refusal> {
    const WHAT: &str = "symbol table node";
    let head = file.read(address, 8, WHAT)?;
    let mut cursor = Cursor::new(&head, WHAT);
    cursor.signature(b"SNOD", 1)?;
    cursor.skip(1)?;
    let count = u64::from(cursor.u16()?);
    let entry = (file.length_size + file.offset_size + 24) as u64;
    let entries = file.read(address.saturating_add(8), count * entry, WHAT)?;
    let mut cursor = Cursor::new(&entries, WHAT);
    for _ in 0..count {
        let start = file.length(&mut cursor)?;
        let object = file.address(&mut cursor)?;
        let cached = cursor.u32()?;
        cursor.skip(4)?;
        let mut scratch = Cursor::new(cursor.take(16)?, WHAT);
        let target = match (cached, object) {
            (2, _) => Target::Soft(text(name_at(names, scratch.u32()?.into())?)),
            (_, Some(object)) => Target::Hard(object),
            (_, None) => return Err(damaged("a symbol table has an entry that leads nowhere")),
        };
        push(links, named(name_at(names, start)?, target, None))?;
    }
    Ok(())
}

/// The name in a local heap that begins at an offset.
fn name_at(names: &[u8], start: u64) -> Result<&[u8], Refusal> {
    let mut cursor = Cursor::new(names, "local heap");
    cursor.skip_long(start)?;
    cursor.until_nul()
}

/// The data of a local heap.
fn local_heap(file: &File<'_>, address: u64) -> Result<Vec<u8>, Refusal> {
    const WHAT: &str = "local heap";
    let head = file.read(address, (8 + 2 * file.length_size + file.offset_size) as u64, WHAT)?;
    let mut cursor = Cursor::new(&head, WHAT);
    cursor.signature(b"HEAP", 0)?;
    cursor.skip(3)?;
    let size = file.length(&mut cursor)?;
    file.length(&mut cursor)?;
    let data = file.address(&mut cursor)?.ok_or_else(|| damaged("a local heap has no data"))?;
    file.read(data, size, WHAT)
}
