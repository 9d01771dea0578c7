//! Headers of lines, read from their start to their end and hardly beyond.

use crate::format::Refusal;
use crate::source::ReadAt;

/// The first read; each further one is twice as long, up to the largest. Short headers are read together with few
/// elements behind them, long ones in few calls.
const FIRST_READ: usize = 1 << 10;
const LARGEST_READ: usize = 64 << 10;

/// Reads the lines of a file.
pub(super) struct Lines<'a> {
    file: &'a dyn ReadAt,
    /// The format, for messages.
    what: &'static str,
    /// The byte at which the lines must have ended.
    limit: u64,
    block: Vec<u8>,
    /// Bytes of the block that were used.
    used: usize,
    /// Offset of the block's first byte.
    start: u64,
    next_read: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(file: &'a dyn ReadAt, what: &'static str, limit: u64) -> Lines<'a> {
        Lines { file, what, limit, block: Vec::new(), used: 0, start: 0, next_read: FIRST_READ }
    }

    /// Offset of the next line.
    pub(super) fn position(&self) -> u64 {
        self.start + self.used as u64
    }

    /// The next line, without its end and blanks there; nothing at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<String>, Refusal> {
        let mut searched = 0;
        let (length, end) = loop {
            let rest = &self.block[self.used..];
            if let Some(end) = rest[searched..].iter().position(|&byte| byte == b'\n') {
                break (searched + end, 1);
            }
            searched = rest.len();
            let at = self.position() + searched as u64;
            if at >= self.limit {
                let (what, limit) = (self.what, self.limit);
                return Err(Refusal(format!(
                    "its {what} header, or what it skips, is longer than the {limit} bytes that are read; it is \
                     damaged, or has to be shortened"
                )));
            }
            self.block.drain(..self.used);
            self.start += self.used as u64;
            self.used = 0;
            self.block.resize(searched + self.next_read, 0);
            self.next_read = (self.next_read * 2).min(LARGEST_READ);
            let count = self.file.read_at(&mut self.block[searched..], at)?;
            self.block.truncate(searched + count);
            if count == 0 {
                break (searched, 0);
            }
        };
        if (length, end) == (0, 0) {
            return Ok(None);
        }
        let line = &self.block[self.used..self.used + length];
        self.used += length + end;
        // Text of old writers is often Latin-1, in which every byte is the character of its number.
        let text = match std::str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            Err(_) => line.iter().copied().map(char::from).collect(),
        };
        Ok(Some(text.trim_end().to_owned()))
    }
}
