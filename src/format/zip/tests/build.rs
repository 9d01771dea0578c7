//! Archives made by hand, right ones and wrong ones.

/// A member; the fields that no test sets are those of a plain stored one.
#[derive(Clone, Debug)]
pub(in crate::format) struct Item {
    pub(in crate::format) name: Vec<u8>,
    pub(in crate::format) body: Vec<u8>,
    pub(in crate::format) flags: u16,
    pub(in crate::format) method: u16,
    /// Extra fields of the local header, before which the zip64 one stands.
    pub(in crate::format) extra: Vec<u8>,
    /// Extra fields of the directory.
    pub(in crate::format) central_extra: Vec<u8>,
    /// Whether sizes and offsets stand in zip64 fields.
    pub(in crate::format) long: bool,
    /// Whether a descriptor begins with its magic.
    pub(in crate::format) signed: bool,
}

pub(in crate::format) fn item(name: &str, body: &[u8]) -> Item {
    Item {
        name: name.as_bytes().to_vec(),
        body: body.to_vec(),
        flags: if name.is_ascii() { 0 } else { 1 << 11 },
        method: 0,
        extra: Vec::new(),
        central_extra: Vec::new(),
        long: false,
        signed: true,
    }
}

/// An archive, and where its parts lie.
#[derive(Clone, Debug)]
pub(in crate::format) struct Built {
    pub(in crate::format) bytes: Vec<u8>,
    /// Of each member: its local header, its body, its descriptor, and where the directory describes it.
    pub(in crate::format) headers: Vec<usize>,
    pub(in crate::format) bodies: Vec<usize>,
    pub(in crate::format) centrals: Vec<usize>,
    /// Where the last record lies.
    pub(in crate::format) end: usize,
}

impl Built {
    /// Overwrites bytes.
    pub(in crate::format) fn with(mut self, at: usize, bytes: &[u8]) -> Built {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// An archive of these members, behind a prefix, with a comment, with or without zip64 records at its end.
pub(in crate::format) fn build(prefix: &[u8], items: &[Item], comment: &[u8], long: bool) -> Built {
    let mut bytes = prefix.to_vec();
    let base = prefix.len();
    let (mut headers, mut bodies, mut centrals) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        headers.push(bytes.len());
        let (crc, len, streamed) = (crc32(&item.body), item.body.len() as u64, item.flags & 8 != 0);
        bytes.extend(b"PK\x03\x04\x2d\0");
        short(&mut bytes, &[item.flags, item.method, 0, 0]);
        let size = if item.long { u32::MAX } else { len as u32 };
        word(&mut bytes, &if streamed { [0; 3] } else { [crc, size, size] });
        let extra = if item.long && !streamed { zip64(&[len, len]) } else { Vec::new() };
        short(&mut bytes, &[item.name.len() as u16, (extra.len() + item.extra.len()) as u16]);
        bytes.extend([&item.name[..], &extra, &item.extra].concat());
        bodies.push(bytes.len());
        bytes.extend(&item.body);
        if streamed {
            bytes.extend(if item.signed { &b"PK\x07\x08"[..] } else { b"" });
            word(&mut bytes, &[crc, len as u32, len as u32]);
        }
    }
    let start = bytes.len();
    for (item, &header) in items.iter().zip(&headers) {
        centrals.push(bytes.len());
        let len = item.body.len() as u64;
        bytes.extend(b"PK\x01\x02\x2d\0\x2d\0");
        short(&mut bytes, &[item.flags, item.method, 0, 0]);
        let (size, offset) = if item.long { (u32::MAX, u32::MAX) } else { (len as u32, (header - base) as u32) };
        word(&mut bytes, &[crc32(&item.body), size, size]);
        let extra = if item.long { zip64(&[len, len, (header - base) as u64]) } else { Vec::new() };
        let extra = [&item.central_extra[..], &extra].concat();
        short(&mut bytes, &[item.name.len() as u16, extra.len() as u16, 0, 0, 0, 0, 0]);
        word(&mut bytes, &[offset]);
        bytes.extend([&item.name[..], &extra].concat());
    }
    let (size, count) = (bytes.len() - start, items.len());
    if long {
        let at = bytes.len() - base;
        bytes.extend(b"PK\x06\x06");
        wide(&mut bytes, &[44]);
        short(&mut bytes, &[45, 45]);
        word(&mut bytes, &[0, 0]);
        wide(&mut bytes, &[count as u64, count as u64, size as u64, (start - base) as u64]);
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        wide(&mut bytes, &[at as u64]);
        word(&mut bytes, &[1]);
    }
    let end = bytes.len();
    bytes.extend(b"PK\x05\x06");
    short(&mut bytes, &[0, 0]);
    short(&mut bytes, &if long { [u16::MAX; 2] } else { [count as u16; 2] });
    word(&mut bytes, &if long { [u32::MAX; 2] } else { [size as u32, (start - base) as u32] });
    short(&mut bytes, &[comment.len() as u16]);
    bytes.extend(comment);
    Built { bytes, headers, bodies, centrals, end }
}

/// A plain archive.
pub(in crate::format) fn plain(items: &[Item]) -> Built {
    build(b"", items, b"", false)
}

fn zip64(values: &[u64]) -> Vec<u8> {
    let mut field = Vec::new();
    short(&mut field, &[1, 8 * values.len() as u16]);
    wide(&mut field, values);
    field
}

fn short(bytes: &mut Vec<u8>, values: &[u16]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn word(bytes: &mut Vec<u8>, values: &[u32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn wide(bytes: &mut Vec<u8>, values: &[u64]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// CRC-32, bit by bit.
pub(in crate::format) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// A slice as a trait object.
#[derive(Debug)]
pub(in crate::format) struct Bytes<'a>(pub(in crate::format) &'a [u8]);

impl crate::source::ReadAt for Bytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}
