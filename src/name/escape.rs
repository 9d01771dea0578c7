//! Names that do not fit a path component, percent-escaped.
//!
//! The escape is written `%XX`, in upper case, and only where it must be:
//!
//! | what                                  | becomes     | because                                   |
//! |---------------------------------------|-------------|-------------------------------------------|
//! | `/` and NUL                           | `%2F` `%00` | no component may hold them                |
//! | a byte that is not part of any UTF-8  | its `%XX`   | names are text here                       |
//! | `%` before two hexadecimal digits     | `%25`       | it would read as an escape                |
//! | `.` and `..`, as the whole name       | `%2E` each  | they are the folder itself and its parent |
//! | the empty name                        | `%22%22`    | it stands for `""`; a quote never needs an escape, so nothing else is written so |
//!
//! Everything else stays as it is: `100%`, `50%off`, `a b`, control characters. Names and their escapes are one to
//! one: a text that no name is escaped to (`%41`, `%2f`) is no name, so that nothing has two.
//!
//! An escape may be longer than the name, up to three times. Nothing is shortened: a name of more than 255 bytes
//! cannot be told from others without keeping a table. Whoever lists a folder leaves such names out (most
//! programs refuse them), and looks them up all the same when they are asked for.

use std::borrow::Cow;
use std::fmt::Write;

const EMPTY: &str = "%22%22";

/// The name as a path component: `name` itself where that can be one.
pub fn escape(name: &[u8]) -> Cow<'_, str> {
    match name {
        b"" => return Cow::Borrowed(EMPTY),
        b"." => return Cow::Borrowed("%2E"),
        b".." => return Cow::Borrowed("%2E%2E"),
        _ => {}
    }
    if let Ok(text) = str::from_utf8(name)
        && !(0..name.len()).any(|at| must_escape(name, at))
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len() + 8);
    let mut at = 0;
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if must_escape(name, at) {
                push_escaped(&mut text, name[at]);
            } else {
                text.push(letter);
            }
            at += letter.len_utf8();
        }
        for &byte in chunk.invalid() {
            push_escaped(&mut text, byte);
        }
        at += chunk.invalid().len();
    }
    Cow::Owned(text)
}

/// The name that [`escape`] wrote as `text`, or nothing where it writes none so.
///
/// What comes out is a name, not a path: it may hold `/` or be `..`. Look it up among known names; to open a file
/// of that name would lead out of the folder.
pub fn unescape(text: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = text.as_bytes();
    if text == EMPTY {
        return Some(Cow::Borrowed(b""));
    }
    let mut name = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let Some(escaped) = lookalike(bytes, at) {
            name.push(escaped);
            at += 3;
        } else {
            name.push(byte);
            at += 1;
        }
    }
    if escape(&name) != text {
        return None;
    }
    Some(if name == bytes { Cow::Borrowed(bytes) } else { Cow::Owned(name) })
}

/// Whether the ASCII character at `at` cannot stand for itself.
fn must_escape(name: &[u8], at: usize) -> bool {
    matches!(name[at], b'/' | 0) || lookalike(name, at).is_some()
}

/// The byte that `%XX` at `at` means.
fn lookalike(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    if text[at] != b'%' {
        return None;
    }
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

fn push_escaped(text: &mut String, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "%{byte:02X}");
}
