//! Reading a text that somebody wrote: cell by cell, in pieces as they come.

use super::cell::Fault;
use super::{Style, Text};

/// The longest cell, in bytes: no number and no string here is longer.
const LONGEST: usize = 4 << 20;

/// Why a text is none of this slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Line, from 1.
    pub line: u64,
    /// Byte of the line, from 1, at which the cell begins.
    pub column: u64,
    /// The cell, or the start of it.
    pub token: String,
    /// What is wrong with it.
    pub what: &'static str,
    /// Whether it is a number that the type cannot hold.
    pub is_unfit: bool,
}

/// Where a byte of the text falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between cells.
    Between,
    /// In a cell.
    Inside,
    /// Between quotation marks.
    Quoted,
    /// Behind a quotation mark that ends a cell, or is the first of two.
    Quote,
    /// In a comment, up to the end of the line.
    Comment,
}

/// Turns text into elements.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a Text,
    state: State,
    token: Vec<u8>,
    /// Where the cell began.
    began: (u64, u64),
    line: u64,
    column: u64,
    /// Whether the text is a part of a longer one, so that it may end behind a comma.
    is_part: bool,
    /// Whether a cell must follow, as behind a comma.
    awaits: bool,
    /// Whether the line has a cell.
    has_cells: bool,
    /// The element that is being filled, and the column that comes next.
    element: Vec<u8>,
    next: usize,
    /// Elements that are complete.
    done: u64,
    /// How many there may be.
    count: u64,
    /// Cells of a header line that are still to be passed over, if the line is one.
    header: Option<usize>,
}

impl Text {
    /// A reader for the text of `count` elements: all of them, or a part.
    pub fn reader(&self, is_part: bool, count: u64) -> Reader<'_> {
        Reader {
            text: self,
            state: State::Between,
            token: Vec::new(),
            began: (1, 1),
            line: 1,
            column: 0,
            is_part,
            awaits: false,
            has_cells: false,
            element: vec![0; self.itemsize],
            next: 0,
            done: 0,
            count,
            header: (!is_part && !self.head.is_empty()).then_some(0),
        }
    }
}

impl Reader<'_> {
    /// Takes the next piece of the text, and appends the elements that it completes.
    ///
    /// # Errors
    /// The first cell that is none.
    pub fn feed(&mut self, piece: &[u8], elements: &mut Vec<u8>) -> Result<(), Bad> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            if self.state == State::Inside {
                // The rest of the cell at once.
                let has_blanks = self.has_blanks();
                let is_end = |&byte: &u8| self.is_separator(byte) && !(has_blanks && matches!(byte, b' ' | b'\t'));
                let length = piece[at..].iter().position(is_end).unwrap_or(piece.len() - at);
                if length > 0 {
                    self.keep(&piece[at..at + length])?;
                    self.column += length as u64;
                    at += length;
                    continue;
                }
                self.end_cell(elements)?;
            }
            at += 1;
            self.column += 1;
            match (self.state, byte) {
                (State::Comment, b'\n') => self.end_line(elements)?,
                (State::Comment, _) => {}
                (State::Quoted, b'"') => self.state = State::Quote,
                (State::Quote, b'"') => {
                    self.keep(b"\"")?;
                    self.state = State::Quoted;
                }
                (State::Quoted, _) => {
                    self.keep(&[byte])?;
                    if byte == b'\n' {
                        (self.line, self.column) = (self.line + 1, 0);
                    }
                }
                (State::Quote, _) => {
                    self.end_cell(elements)?;
                    if !self.is_separator(byte) {
                        return Err(self.bad("something follows the closing quotation mark", false));
                    }
                    self.between(byte, elements)?;
                }
                (State::Between | State::Inside, _) => self.between(byte, elements)?,
            }
        }
        Ok(())
    }

    /// Takes note that the text has ended.
    ///
    /// # Errors
    /// Where it is no complete text.
    pub fn finish(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        match self.state {
            State::Inside | State::Quote => self.end_cell(elements)?,
            State::Quoted => return Err(self.bad("a quotation mark is not closed", false)),
            State::Between | State::Comment => {}
        }
        if !self.is_part {
            self.end_row(elements)?;
        }
        if self.done < self.count || self.next > 0 {
            self.began = (self.line, self.column);
            return Err(self.bad("the text ends too early: numbers are missing", false));
        }
        Ok(())
    }

    /// Whether nothing but blanks and comments has come so far.
    pub fn is_blank(&self) -> bool {
        self.done == 0 && self.next == 0 && self.state == State::Between && !self.has_cells
    }

    /// A byte between cells.
    fn between(&mut self, byte: u8, elements: &mut Vec<u8>) -> Result<(), Bad> {
        match byte {
            b'\n' => self.end_line(elements)?,
            b' ' | b'\t' | b'\r' => {}
            b',' => {
                if self.text.style == Style::Commas && (self.awaits || !self.has_cells) {
                    self.empty_cell(elements)?;
                }
                (self.awaits, self.has_cells) = (true, true);
            }
            b'[' | b']' if self.text.style == Style::Json => {}
            // A string between commas may begin so.
            b'#' if !self.has_cells && (self.header.is_some() || !self.has_blanks()) => self.state = State::Comment,
            b'"' => {
                self.state = State::Quoted;
                self.began = (self.line, self.column);
            }
            _ => {
                self.state = State::Inside;
                self.began = (self.line, self.column);
                self.keep(&[byte])?;
            }
        }
        Ok(())
    }

    fn is_separator(&self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',')
            || self.text.style == Style::Json && matches!(byte, b'[' | b']')
    }

    /// Whether blanks belong to the cell that comes: to strings between commas, and to names of columns that have some.
    fn has_blanks(&self) -> bool {
        let name = self.header.and_then(|passed| self.text.columns.get(passed)).map(|column| &column.name);
        self.text.style == Style::Commas
            && match name {
                Some(name) if name.contains([' ', '\t']) => true,
                _ => self.text.columns.get(self.next).is_some_and(|column| column.cell.is_string()),
            }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        if self.token.len() + bytes.len() > LONGEST {
            return Err(self.bad("a cell is longer than any number", false));
        }
        self.token.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        self.end_row(elements)?;
        (self.line, self.column) = (self.line + 1, 0);
        self.state = State::Between;
        self.has_cells = false;
        Ok(())
    }

    /// What is missing behind the last comma of a line is an empty cell.
    fn end_row(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        if std::mem::take(&mut self.awaits) && self.text.style == Style::Commas {
            self.empty_cell(elements)?;
        }
        Ok(())
    }

    fn empty_cell(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        self.began = (self.line, self.column);
        self.end_cell(elements)
    }

    fn end_cell(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        (self.awaits, self.has_cells) = (false, true);
        let mut token = std::mem::take(&mut self.token);
        if self.state == State::Inside {
            // Those before the next comma are none of the cell's.
            token.truncate(token.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1));
        }
        self.state = State::Between;
        let outcome = self.take(&token, elements);
        self.token = token;
        if outcome.is_ok() {
            self.token.clear();
        }
        outcome
    }

    fn take(&mut self, token: &[u8], elements: &mut Vec<u8>) -> Result<(), Bad> {
        if let Some(passed) = self.header {
            let is_name = self.text.columns.get(passed).is_some_and(|column| column.name.as_bytes() == token);
            self.header = (is_name && passed + 1 < self.text.columns.len()).then_some(passed + 1);
            if is_name {
                return Ok(());
            }
        }
        if self.done == self.count {
            return Err(self.bad("there are more numbers than elements", false));
        }
        let column = &self.text.columns[self.next];
        let part = &mut self.element[column.offset..column.offset + column.cell.size()];
        column.cell.parse(token, part).map_err(|fault| match fault {
            Fault::Meaning => self.bad("this is no value of the type", false),
            Fault::Range => self.bad("the type cannot hold this", true),
        })?;
        self.next += 1;
        if self.next == self.text.columns.len() {
            elements.extend_from_slice(&self.element);
            self.next = 0;
            self.done += 1;
        }
        Ok(())
    }

    fn bad(&self, what: &'static str, is_unfit: bool) -> Bad {
        let start = &self.token[..self.token.len().min(40)];
        let (line, column) = self.began;
        Bad { line, column, token: String::from_utf8_lossy(start).into_owned(), what, is_unfit }
    }
}
