//! Object headers: the messages that say what an object is.
//!
//! Version 1 is a count of messages, one block of them, and blocks that continue it. Version 2 gives every block a
//! signature and a checksum. In both a message is a kind, a size, flags and a body; the body of a shared message
//! says where the real one is: in the header of a named type, or in a heap that the superblock's extension knows.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::file::{Cursor, File};
use super::fractal::Heap;
use super::{damaged, kind};
use crate::format::Refusal;

/// So many blocks may continue a header. The library makes one whenever the last is full, each larger.
const MAX_BLOCKS: usize = 4096;

const WHAT: &str = "object header";

/// The flag of a message whose body says where the message is.
const SHARED: u8 = 2;

/// The header of an object.
pub(super) struct Header {
    /// Whether its blocks have checksums.
    pub(super) checked: bool,
    pub(super) messages: Vec<Message>,
}

/// A message of a header.
pub(super) struct Message {
    pub(super) kind: u16,
    flags: u8,
    pub(super) body: Vec<u8>,
    /// The address of the body.
    pub(super) address: u64,
}

impl Header {
    /// The header at an address.
    pub(super) fn read(file: &File<'_>, address: u64) -> Result<Header, Refusal> {
        let prefix = file.read_up_to(address, 16, WHAT)?;
        if prefix.starts_with(b"OHDR") { new(file, address, &prefix) } else { old(file, address, &prefix) }
    }

    /// The first message of a kind.
    pub(super) fn find(&self, kind: u16) -> Option<&Message> {
        self.messages.iter().find(|message| message.kind == kind)
    }

    /// The body of the first message of a kind, wherever it is.
    pub(super) fn body(&self, file: &File<'_>, kind: u16) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        self.find(kind).map(|message| message.resolve(file)).transpose()
    }
}

impl Message {
    /// The body, wherever it is.
    pub(super) fn resolve(&self, file: &File<'_>) -> Result<Cow<'_, [u8]>, Refusal> {
        if self.flags & SHARED == 0 {
            return Ok(Cow::Borrowed(&self.body));
        }
        shared(file, self.kind, &mut Cursor::new(&self.body, "shared message")).map(Cow::Owned)
    }
}

/// The body of a shared message of a kind, from the reference to it.
pub(super) fn shared(file: &File<'_>, kind: u16, cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Refusal> {
    let version = cursor.u8()?;
    let place = cursor.u8()?;
    match version {
        // Reserved bytes, and the number with which a symbol table entry begins.
        1 => cursor.skip(6 + file.length_size)?,
        2 => {}
        3 if place == 1 => return in_shared_heap(file, kind, cursor.take(8)?),
        3 => {}
        version => return Err(cursor.unknown_version(version)),
    }
    let address = file.address(cursor)?.ok_or_else(|| damaged("a shared message has no address"))?;
    let header = Header::read(file, address)?;
    match header.messages.into_iter().find(|message| message.kind == kind) {
        Some(message) if message.flags & SHARED == 0 => Ok(message.body),
        _ => Err(damaged("a shared message is not where it should be")),
    }
}

/// The body of a message of a kind in the heap of shared ones.
pub(super) fn in_shared_heap(file: &File<'_>, kind: u16, id: &[u8]) -> Result<Vec<u8>, Refusal> {
    let heap = file.shared.iter().find(|(kinds, _)| kinds >> kind & 1 == 1);
    let &(_, heap) = heap.ok_or_else(|| damaged("it shares a message that no table knows"))?;
    Heap::open(file, heap)?.object(file, id)
}

/// A block of messages.
struct Block {
    address: u64,
    size: u64,
}

fn continuation(file: &File<'_>, body: &[u8]) -> Result<Block, Refusal> {
    let mut cursor = Cursor::new(body, WHAT);
    let address = file.address(&mut cursor)?.ok_or_else(|| damaged("an object header is continued nowhere"))?;
    Ok(Block { address, size: file.length(&mut cursor)? })
}

fn push_block(queue: &mut VecDeque<Block>, block: Block, read: usize) -> Result<(), Refusal> {
    if read + queue.len() >= MAX_BLOCKS {
        return Err(damaged("an object header has too many blocks"));
    }
    queue.push_back(block);
    Ok(())
}

/// Version 1.
fn old(file: &File<'_>, address: u64, prefix: &[u8]) -> Result<Header, Refusal> {
    let mut cursor = Cursor::new(prefix, WHAT);
    match cursor.u8()? {
        1 => cursor.skip(7)?,
        _ => return Err(damaged(&format!("there is no object header at address {address}"))),
    }
    let size = u64::from(cursor.u32()?);
    let mut queue = VecDeque::from([Block { address: address.saturating_add(16), size }]);
    let (mut messages, mut read) = (Vec::new(), 0);
    while let Some(block) = queue.pop_front() {
        read += 1;
        let bytes = file.read(block.address, block.size, WHAT)?;
        let mut cursor = Cursor::new(&bytes, WHAT);
        while cursor.rest.len() >= 8 {
            let kind = cursor.u16()?;
            let size = cursor.u16()?;
            let flags = cursor.u8()?;
            cursor.skip(3)?;
            let address = block.address + (bytes.len() - cursor.rest.len()) as u64;
            let body = cursor.take(size.into())?;
            add(file, &mut messages, &mut queue, read, Found { kind, flags, body, address })?;
        }
    }
    Ok(Header { checked: false, messages })
}

/// Version 2.
fn new(file: &File<'_>, address: u64, prefix: &[u8]) -> Result<Header, Refusal> {
    let mut cursor = Cursor::new(prefix, WHAT);
    cursor.signature(b"OHDR", 2)?;
    let flags = cursor.u8()?;
    // Times, and the numbers of attributes at which their storage changes.
    let extra = if flags & 0x20 == 0 { 0 } else { 16 } + if flags & 0x10 == 0 { 0 } else { 4 };
    let size_of_size = 1_usize << (flags & 3);
    let start = 6 + extra + size_of_size as u64;
    let head = if prefix.len() as u64 >= start { prefix.to_vec() } else { file.read(address, start, WHAT)? };
    let mut cursor = Cursor::new(&head, WHAT);
    cursor.skip(6 + extra as usize)?;
    let size = cursor.uint(size_of_size)?;
    let whole = size.saturating_add(start + 4);
    let mut queue = VecDeque::from([Block { address, size: whole }]);
    let (mut messages, mut read) = (Vec::new(), 0);
    while let Some(block) = queue.pop_front() {
        read += 1;
        let bytes = file.read_checked(block.address, block.size, WHAT)?;
        let mut cursor = Cursor::new(&bytes, WHAT);
        if read == 1 {
            cursor.skip_long(start)?;
        } else if cursor.take(4)? != b"OCHK" {
            return Err(damaged("a block that continues an object header does not begin with its signature"));
        }
        let message_head = if flags & 4 == 0 { 4 } else { 6 };
        while cursor.rest.len() >= message_head {
            let kind = cursor.u8()?.into();
            let size = cursor.u16()?;
            let flags = cursor.u8()?;
            cursor.skip(message_head - 4)?;
            let address = block.address + (bytes.len() - cursor.rest.len()) as u64;
            let body = cursor.take(size.into())?;
            add(file, &mut messages, &mut queue, read, Found { kind, flags, body, address })?;
        }
    }
    Ok(Header { checked: true, messages })
}

/// A message in its block.
struct Found<'a> {
    kind: u16,
    flags: u8,
    body: &'a [u8],
    address: u64,
}

/// Keeps a message, or queues the block that it names.
fn add(
    file: &File<'_>,
    messages: &mut Vec<Message>,
    queue: &mut VecDeque<Block>,
    read: usize,
    found: Found<'_>,
) -> Result<(), Refusal> {
    match found.kind {
        kind::NIL => {}
        kind::CONTINUATION => push_block(queue, continuation(file, found.body)?, read)?,
        _ => messages.push(Message {
            kind: found.kind,
            flags: found.flags,
            body: found.body.to_vec(),
            address: found.address,
        }),
    }
    Ok(())
}
