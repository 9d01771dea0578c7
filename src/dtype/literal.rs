//! Python literals, as they occur in the headers of `.npy` files.
//!
//! A subset of what `ast.literal_eval` reads: dictionaries, tuples, lists, strings, integers, `True`, `False` and
//! `None`, together with what Python 2 wrote: `u''`, `b''`, and integers that end in `L`. Not read are floats,
//! complex numbers, sets, comments, raw and triple-quoted strings, and strings joined by standing side by side:
//! no header holds any of them.
//!
//! Limits, so that no input costs more than its own length suggests: [`MAX_DEPTH`] levels, [`MAX_VALUES`] values,
//! integers of 64 bits. A string holds Unicode scalar values, so an escaped lone surrogate is refused.

use std::fmt::{self, Write};

#[cfg(test)]
mod tests;

/// The deepest nesting of brackets; the parser is recursive. A record in a record takes two levels.
pub const MAX_DEPTH: usize = 100;

/// The largest number of values in a literal. A value takes 2 bytes of text at least and 24 of memory, which this
/// bounds; it allows for records of more than 300 000 fields.
pub const MAX_VALUES: usize = 1 << 20;

/// A Python value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// `-3`, and `3L` as Python 2 wrote it
    Int(i64),
    /// `'x'`, and `b'x'` as Latin-1
    Str(String),
    /// `(1, 2)`
    Tuple(Vec<Literal>),
    /// `[1, 2]`
    List(Vec<Literal>),
    /// `{'x': 1}`: the pairs in the order of the text, keys repeated as they were
    Dict(Vec<(Literal, Literal)>),
}

/// Why a text is no literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteralError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bytes of the text.
    pub at: usize,
}

impl fmt::Display for LiteralError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the text", self.what, self.at)
    }
}

impl std::error::Error for LiteralError {}

impl Literal {
    /// The literal that is all of a text, blanks around it aside.
    ///
    /// # Errors
    /// The first thing that is no part of a literal, or exceeds a limit of the module.
    pub fn parse(text: &str) -> Result<Literal, LiteralError> {
        let mut parser = Parser { text, at: 0, values: 0 };
        let value = parser.value(0)?;
        match parser.peek() {
            None => Ok(value),
            Some(_) => parser.fail("something follows the literal"),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Always on a boundary between characters.
    at: usize,
    /// Number of values begun.
    values: usize,
}

type Parsed<T> = Result<T, LiteralError>;

impl Parser<'_> {
    fn fail<T>(&self, what: &'static str) -> Parsed<T> {
        Err(LiteralError { what, at: self.at })
    }

    /// The next byte that is not blank, not consumed.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Parsed<Literal> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return self.fail("too many values");
        }
        if depth > MAX_DEPTH {
            return self.fail("too many nested brackets");
        }
        match self.peek() {
            None => self.fail("the text ends where a value should stand"),
            Some(b'\'' | b'"') => self.string(false),
            Some(b'(') => self.parenthesis(depth),
            Some(b'[') => {
                self.at += 1;
                Ok(Literal::List(self.items(b']', depth)?.0))
            }
            Some(b'{') => self.dict(depth),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            Some(_) => self.word(),
        }
    }

    /// Values up to a closing bracket, and whether a comma stood behind the last.
    fn items(&mut self, close: u8, depth: usize) -> Parsed<(Vec<Literal>, bool)> {
        let (mut items, mut comma) = (Vec::new(), true);
        while !self.accept(close) {
            if !comma {
                return self.fail("expected a comma or a closing bracket");
            }
            items.push(self.value(depth + 1)?);
            comma = self.accept(b',');
        }
        Ok((items, comma))
    }

    fn parenthesis(&mut self, depth: usize) -> Parsed<Literal> {
        self.at += 1;
        let (mut items, comma) = self.items(b')', depth)?;
        match items.pop() {
            Some(only) if items.is_empty() && !comma => Ok(only),
            last => {
                items.extend(last);
                Ok(Literal::Tuple(items))
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Parsed<Literal> {
        self.at += 1;
        let (mut pairs, mut comma) = (Vec::new(), true);
        while !self.accept(b'}') {
            if !comma {
                return self.fail("expected a comma or a closing brace");
            }
            let key = self.value(depth + 1)?;
            if !self.accept(b':') {
                return self.fail("expected a colon");
            }
            pairs.push((key, self.value(depth + 1)?));
            comma = self.accept(b',');
        }
        Ok(Literal::Dict(pairs))
    }

    fn integer(&mut self) -> Parsed<Literal> {
        let start = self.at;
        // Python allows blanks behind the sign; no writer leaves any.
        self.accept(b'-');
        let digits = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
        let zeros = self.text[self.at..].bytes().take_while(|&byte| byte == b'0').count();
        if digits == 0 {
            return self.fail("expected digits");
        }
        if zeros > 0 && zeros < digits {
            return self.fail("an integer begins with a zero");
        }
        self.at += digits;
        let Ok(value) = self.text[start..self.at].parse() else {
            self.at = start;
            return self.fail("an integer of more than 64 bits");
        };
        if matches!(self.text.as_bytes().get(self.at), Some(b'L' | b'l')) {
            self.at += 1;
        }
        match self.text[self.at..].chars().next() {
            Some(next) if next.is_alphanumeric() || matches!(next, '_' | '.') => self.fail("this is no integer"),
            _ => Ok(Literal::Int(value)),
        }
    }

    /// A constant, or a string with a prefix.
    fn word(&mut self) -> Parsed<Literal> {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())];
        let quoted = rest[word.len()..].starts_with(['\'', '"']);
        let value = match word {
            "None" => Literal::None,
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            "u" | "U" | "b" | "B" if quoted => {
                self.at += 1;
                return self.string(word.eq_ignore_ascii_case("b"));
            }
            _ => return self.fail("this is no value of a kind that is read"),
        };
        self.at += word.len();
        Ok(value)
    }

    /// A string from its opening quote on; of bytes, where `\u` and `\U` are no escapes.
    fn string(&mut self, bytes: bool) -> Parsed<Literal> {
        let quote = char::from(self.text.as_bytes()[self.at]);
        self.at += 1;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(plain) = rest.find([quote, '\\', '\n', '\r']) else {
                return self.fail("a string has no end");
            };
            value.push_str(&rest[..plain]);
            self.at += plain;
            match rest.as_bytes()[plain] {
                b'\\' => value.extend(self.escape(bytes)?),
                b'\n' | b'\r' => return self.fail("a string is broken by the end of a line"),
                _ => {
                    self.at += 1;
                    return Ok(Literal::Str(value));
                }
            }
        }
    }

    /// What an escape stands for: usually one character, none for an escaped end of line, two where the
    /// backslash escapes nothing and so stands for itself.
    fn escape(&mut self, bytes: bool) -> Parsed<impl Iterator<Item = char> + use<>> {
        let rest = &self.text[self.at + 1..];
        let Some(letter) = rest.chars().next() else {
            return self.fail("a string has no end");
        };
        let mut length = 1 + letter.len_utf8();
        let mut characters = [None, None];
        match letter {
            '\n' => {}
            '\r' => length += usize::from(rest[1..].starts_with('\n')),
            '\\' | '\'' | '"' => characters[0] = Some(letter),
            'a' => characters[0] = Some('\x07'),
            'b' => characters[0] = Some('\x08'),
            'f' => characters[0] = Some('\x0c'),
            'n' => characters[0] = Some('\n'),
            'r' => characters[0] = Some('\r'),
            't' => characters[0] = Some('\t'),
            'v' => characters[0] = Some('\x0b'),
            '0'..='7' => {
                let digits = rest.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                length = 1 + digits;
                characters[0] = self.code(&rest[..digits], 8)?;
            }
            'x' => {
                characters[0] = self.code(rest.get(1..3).unwrap_or_default(), 16)?;
                length += 2;
            }
            'u' if !bytes => {
                characters[0] = self.code(rest.get(1..5).unwrap_or_default(), 16)?;
                length += 4;
            }
            'U' if !bytes => {
                characters[0] = self.code(rest.get(1..9).unwrap_or_default(), 16)?;
                length += 8;
            }
            'N' if !bytes => return self.fail("characters by name are not read"),
            other => characters = [Some('\\'), Some(other)],
        }
        self.at += length;
        Ok(characters.into_iter().flatten())
    }

    /// The character of this code; never nothing.
    fn code(&self, digits: &str, radix: u32) -> Parsed<Option<char>> {
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return self.fail("an escape lacks digits");
        }
        match u32::from_str_radix(digits, radix).ok().and_then(char::from_u32) {
            Some(character) => Ok(Some(character)),
            None => self.fail("an escape stands for no character"),
        }
    }
}

/// A string as Python's `repr` writes it.
#[derive(Clone, Copy, Debug)]
pub struct Repr<'a>(pub &'a str);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') && !self.0.contains('"') { '"' } else { '\'' };
        f.write_char(quote)?;
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                _ if c == quote => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                _ if is_printable(c) => f.write_char(c)?,
                ..='\u{ff}' => write!(f, "\\x{:02x}", u32::from(c))?,
                ..='\u{ffff}' => write!(f, "\\u{:04x}", u32::from(c))?,
                _ => write!(f, "\\U{:08x}", u32::from(c))?,
            }
        }
        f.write_char(quote)
    }
}

/// Python's `str.isprintable`. Rust's own escapes leave out the same categories of Unicode, except that they also
/// escape combining marks where one begins a string: hence the letter before it.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
}

/// The beginning of a text, quoted: for messages about input of any length.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", Repr(&text[..end])),
        None => Repr(text).to_string(),
    }
}
