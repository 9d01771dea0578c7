//! Reading a text that somebody wrote: cell by cell, in pieces as they come.

use std::sync::Arc;

use super::cell::{Cell, Fault};
use super::{Column, Style, Text};

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

/// What holds the numbers of JSON together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    opened: u64,
    closed: u64,
    commas: u64,
}

/// Turns text into elements.
#[derive(Clone, Debug)]
pub struct Reader {
    text: Arc<Text>,
    state: State,
    token: Vec<u8>,
    /// Whether an element is one number.
    is_plain: bool,
    /// Whether blanks within the cell belong to it.
    is_phrase: bool,
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
    /// Of JSON: brackets and commas so far.
    marks: Marks,
    /// Elements that are complete.
    done: u64,
    /// How many there may be.
    count: u64,
    /// Cells of a header line that are still to be passed over, if the line is one.
    header: Option<usize>,
}

impl Text {
    /// The brackets and commas of JSON.
    fn marks(&self) -> Marks {
        let numbers = self.count * self.columns.len() as u64;
        let pairs = if self.columns.len() > 1 { self.count } else { 0 };
        // A list for each index of the axes before the last, and commas between its items, of which the last axis has numbers.
        let (mut lists, mut commas, mut all) = (0, 0, 1);
        for &length in &self.shape {
            lists += all;
            commas += all * length.saturating_sub(1);
            all *= length;
        }
        let commas = if self.count > 0 { numbers - 1 } else { commas };
        Marks { opened: lists + pairs, closed: lists + pairs, commas }
    }

    /// A reader for the text of `count` elements: all of them, or a part.
    pub fn reader(self: &Arc<Self>, is_part: bool, count: u64) -> Reader {
        Reader {
            text: self.clone(),
            state: State::Between,
            token: Vec::new(),
            is_plain: matches!(&self.columns[..], [Column { cell: Cell::Number(..), .. }]),
            is_phrase: false,
            began: (1, 1),
            line: 1,
            column: 0,
            is_part,
            awaits: false,
            has_cells: false,
            element: vec![0; self.itemsize],
            next: 0,
            marks: Marks::default(),
            done: 0,
            count,
            header: (!is_part && !self.head.is_empty()).then_some(0),
        }
    }
}

impl Reader {
    /// As if it had begun further up in the same line.
    pub fn within_a_line(self) -> Reader {
        Reader { has_cells: true, ..self }
    }

    /// Elements that are complete so far.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Line ends that were passed so far.
    pub fn lines(&self) -> u64 {
        self.line - 1
    }

    /// Takes the next piece of the text, and appends the elements that it completes.
    ///
    /// # Errors
    /// The first cell that is none.
    pub fn feed(&mut self, piece: &[u8], elements: &mut Vec<u8>) -> Result<(), Bad> {
        let (mut at, style) = (0, self.text.style);
        while let Some(&byte) = piece.get(at) {
            if self.state == State::Between && self.is_plain {
                at = self.feed_numbers(piece, at, elements);
                if at == piece.len() {
                    break;
                }
            }
            let byte = piece.get(at).copied().unwrap_or(byte);
            if self.state == State::Inside {
                // The rest of the cell at once.
                let ends = |&byte: &u8| is_separator(byte, style) && !(self.is_phrase && is_blank(byte));
                let length = piece[at..].iter().position(ends).unwrap_or(piece.len() - at);
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
                    if !is_separator(byte, style) {
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
        self.end(elements)?;
        if self.done < self.count || self.next > 0 {
            return Err(self.bad("the text ends too early: numbers are missing", false));
        }
        if self.text.style == Style::Json && !self.is_part && self.marks != self.text.marks() {
            return Err(self.bad("the numbers do not stand in lists as the array has them", false));
        }
        Ok(())
    }

    /// The same of a text of any number of elements.
    ///
    /// # Errors
    /// Where it ends within an element.
    pub fn finish_anywhere(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        self.end(elements)?;
        if self.next > 0 { Err(self.bad("the text ends within a record: columns are missing", false)) } else { Ok(()) }
    }

    fn end(&mut self, elements: &mut Vec<u8>) -> Result<(), Bad> {
        match self.state {
            State::Inside | State::Quote => self.end_cell(elements)?,
            State::Quoted => return Err(self.bad("a quotation mark is not closed", false)),
            State::Between | State::Comment => {}
        }
        if !self.is_part {
            self.end_row(elements)?;
        }
        self.began = (self.line, self.column);
        Ok(())
    }

    /// Whether nothing but blanks and comments has come so far.
    pub fn is_blank(&self) -> bool {
        self.done == 0 && self.next == 0 && self.state == State::Between && !self.has_cells
    }

    /// Takes cells of single numbers that lie wholly in the piece, up to what needs a closer look. This is all that there is to
    /// do for most of a text.
    fn feed_numbers(&mut self, piece: &[u8], start: usize, elements: &mut Vec<u8>) -> usize {
        let text = self.text.clone();
        let Some(Column { cell, .. }) = text.columns.first() else { return start };
        let mut at = start;
        while self.done < self.count {
            // Passed over for good, whatever follows: there may be a million of them.
            let blanks = blanks(&piece[at..]);
            at += blanks;
            self.column += blanks as u64;
            let rest = &piece[at..];
            // What is no number is looked at again, slowly, to say what is wrong with it.
            let Some(length) = cell.parse_start(rest, elements) else { break };
            let next = rest.get(length).copied();
            // The piece may end within the number, or something else than a separator may follow.
            if !matches!(next, Some(b' ' | b'\n' | b',')) {
                elements.truncate(elements.len() - self.element.len());
                break;
            }
            self.done += 1;
            (self.awaits, self.has_cells) = (next == Some(b','), next != Some(b'\n'));
            self.marks.commas += u64::from(self.awaits);
            if next == Some(b'\n') {
                (self.line, self.column) = (self.line + 1, 0);
                at += length + 1;
            } else {
                let passed = length + usize::from(self.awaits);
                self.column += passed as u64;
                at += passed;
            }
        }
        at
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
                self.marks.commas += 1;
            }
            b'[' if self.text.style == Style::Json => self.marks.opened += 1,
            b']' if self.text.style == Style::Json => self.marks.closed += 1,
            b'"' if self.text.style == Style::Json => {
                self.began = (self.line, self.column);
                return Err(self.bad("a string is no number", false));
            }
            b'#' if !self.has_cells && (self.header.is_some() || !self.awaits_phrase()) => self.state = State::Comment,
            b'"' => {
                (self.state, self.is_phrase) = (State::Quoted, false);
                self.began = (self.line, self.column);
            }
            _ => {
                (self.state, self.is_phrase) = (State::Inside, self.awaits_phrase());
                self.began = (self.line, self.column);
                self.keep(&[byte])?;
            }
        }
        Ok(())
    }

    /// Whether the next cell is a string, or a name with blanks, between commas.
    fn awaits_phrase(&self) -> bool {
        let names = self.header.and_then(|passed| self.text.columns.get(passed));
        self.text.style == Style::Commas
            && match names {
                Some(column) => column.name.bytes().any(is_blank),
                None => self.text.columns[self.next].cell.is_string(),
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
        self.state = State::Between;
        (self.awaits, self.has_cells) = (false, true);
        let token = std::mem::take(&mut self.token);
        let padding = if self.is_phrase { token.iter().rev().take_while(|&&byte| is_blank(byte)).count() } else { 0 };
        let outcome = self.take(&token[..token.len() - padding], elements);
        let outcome = outcome.map_err(|bad| Bad { token: shown(&token), ..bad });
        self.token = token;
        self.token.clear();
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
            return Err(self.too_many());
        }
        let column = &self.text.columns[self.next];
        // Some programs begin a text with a byte order mark.
        let token =
            if self.began == (1, 1) { token.strip_prefix("\u{feff}".as_bytes()).unwrap_or(token) } else { token };
        // Programs that take our blanks for a part of a cell write them between quotation marks.
        let token = if column.cell.is_string() { token } else { token.trim_ascii() };
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

    /// That there are more numbers than elements.
    pub fn too_many(&self) -> Bad {
        self.bad("there are more numbers than elements", false)
    }

    fn bad(&self, what: &'static str, is_unfit: bool) -> Bad {
        let (line, column) = self.began;
        Bad { line, column, token: shown(&self.token), what, is_unfit }
    }
}

/// A cell, or the start of a long one.
fn shown(token: &[u8]) -> String {
    String::from_utf8_lossy(&token[..token.len().min(40)]).into_owned()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_separator(byte: u8, style: Style) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',') || style == Style::Json && matches!(byte, b'[' | b']')
}

/// Number of blanks with which a text begins; eight at a time, since most of our own text is blanks.
fn blanks(text: &[u8]) -> usize {
    let (eights, _) = text.as_chunks::<8>();
    for (number, eight) in eights.iter().enumerate() {
        let others = u64::from_le_bytes(*eight) ^ u64::from_le_bytes([b' '; 8]);
        if others != 0 {
            return 8 * number + (others.trailing_zeros() / 8) as usize;
        }
    }
    8 * eights.len() + text[8 * eights.len()..].iter().take_while(|&&byte| byte == b' ').count()
}
