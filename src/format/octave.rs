//! Octave's binary files (`save -binary`): named variables, nested.
//!
//! Specification: the functions `save_binary` and `load_binary` of GNU Octave, and what stands in `ls-oct-binary.cc`. A file
//! is `Octave-1-L` (little-endian) or `Octave-1-B` (big-endian), the format of fractions (one byte: 0 IEEE little-endian,
//! 1 IEEE big-endian), and the variables, one behind the other. Numbers are `int32` where nothing else is said:
//!
//! | of a variable                 | what                                                                  |
//! |-------------------------------|-----------------------------------------------------------------------|
//! | length, bytes                 | the name                                                              |
//! | length, bytes                 | a text for people                                                     |
//! | one byte                      | whether it is global                                                  |
//! | one byte                      | 255; or, in old files, 1 scalar, 2 matrix, 3 complex scalar,          |
//! |                               | 4 complex matrix, 6 range, 7 string                                   |
//! | length, bytes                 | the type, if it was 255                                               |
//!
//! | type                                | what follows                                 | becomes                         |
//! |-------------------------------------|----------------------------------------------|---------------------------------|
//! | `scalar`, `complex scalar`, `float ...` | a stored type, a number                  | a member of shape (1, 1)        |
//! | `matrix`, `complex matrix`, `float ...` | a shape, a stored type, numbers          | a member                        |
//! | `bool`, `int8 scalar`, ...          | a number                                     | a member of shape (1, 1)        |
//! | `bool matrix`, `int8 matrix`, ...   | a shape, numbers                             | a member                        |
//! | `string`, `sq_string`               | a shape, characters                          | a member                        |
//! | `... diagonal matrix`               | rows, columns, a stored type, numbers        | a member with the diagonal      |
//! | `sparse ... matrix`                 | -2, rows, columns, count; starts of columns; rows; | a group of `jc`, `ir`,    |
//! |                                     | a stored type (not of bool); numbers         | `data`                          |
//! | `range`, `double_range`             | a stored type, base, limit, increment        | a member, a record of these     |
//! | `cell`                              | a shape, and a variable for each             | a group of `0`, `1`, ...        |
//! | `scalar struct`                     | a count, and so many variables               | a group of them                 |
//! | `struct`                            | a shape, a count, and so many cells          | a group of groups               |
//! | `lazy_index`                        | a variable                                   | what that is                    |
//!
//! A shape is the negative number of axes and their lengths; in old files rows and columns. A stored type is one byte:
//!
//! | byte | element | byte | element | byte | element | byte | element | byte | element |
//! |------|---------|------|---------|------|---------|------|---------|------|---------|
//! | 0    | `\|u1`  | 2    | `u4`    | 4    | `i2`    | 6    | `f4`    | 8    | `u8`    |
//! | 1    | `u2`    | 3    | `\|i1`  | 5    | `i4`    | 7    | `f8`    | 9    | `i8`    |
//!
//! The first index is the fastest. Octave may store numbers in a smaller type if they fit: the array has the type that is
//! stored, and the attribute `class` says what it is in Octave. Complex numbers in integers are records of `real` and `imag`.
//!
//! Limits, and why:
//!
//! - Values do not say how long they are. Behind one of another type (function handles, objects) nothing has a known place:
//!   that variable is refused, and those behind it are not shown.
//! - Files that were compressed as a whole (`save -zip`) are gzip's, and not known.
//! - There is no extension of these files: they are known by their content, whatever their name; `.octave` is taken for one.
//! - Nesting of at most [`MAX_DEPTH`], names of at most [`MAX_NAME`] bytes.

use crate::dtype::ByteOrder;
use crate::dtype::literal::excerpt;
use crate::format::header::{self, Cursor, MAX_ENTRIES, Numbered};
use crate::format::{Array, Container, Content, Format, Member, Refusal};
use crate::source::{ReadAt, Siblings};

#[cfg(test)]
mod tests;
mod value;

use value::Type;

/// The deepest nesting of cells and structs.
pub const MAX_DEPTH: usize = 16;

/// The longest name of a variable, a field or a type, in bytes.
pub const MAX_NAME: u64 = 255;

/// The format of `save -binary`.
#[derive(Clone, Copy, Debug)]
pub struct Octave;

impl Format for Octave {
    fn name(&self) -> &'static str {
        "octave"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".octave"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        order(head).is_some()
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut cursor = Cursor::new(file, "Octave", u64::MAX);
        let magic: [u8; 10] = cursor.array()?;
        let Some(order) = order(&magic) else {
            return Err(fault("it does not begin with Octave-1-L or Octave-1-B"));
        };
        cursor.order = order;
        let [fractions] = cursor.array()?;
        if fractions != u8::from(order == ByteOrder::Big) {
            return Err(Refusal(format!(
                "its fractions are of format {fractions}, those of another machine; load it in Octave, and save it again"
            )));
        }
        let mut variables = Variables { cursor, held: file.len(), members: Vec::new(), is_lost: false };
        let mut names = Numbered::default();
        while !variables.is_lost && variables.cursor.position() < file.len() {
            let variable = variables.variable()?;
            let path = vec![names.name(variable.name.clone())];
            variables.add(path, &variable)?;
        }
        if variables.members.is_empty() {
            return Err(Refusal("it holds no variable; there is nothing to show".into()));
        }
        Ok(Content::Many(Container { members: variables.members, ..Container::default() }))
    }
}

fn order(head: &[u8]) -> Option<ByteOrder> {
    match head {
        [b'O', b'c', b't', b'a', b'v', b'e', b'-', b'1', b'-', b'L', ..] => Some(ByteOrder::Little),
        [b'O', b'c', b't', b'a', b'v', b'e', b'-', b'1', b'-', b'B', ..] => Some(ByteOrder::Big),
        _ => None,
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again"))
}

/// What stands before the value of a variable.
struct Variable {
    name: String,
    is_global: bool,
    of: String,
}

/// The variables, as far as they were read.
struct Variables<'a> {
    cursor: Cursor<'a>,
    held: u64,
    members: Vec<Member>,
    /// Whether nobody knows where the next variable is.
    is_lost: bool,
}

impl Variables<'_> {
    fn int(&mut self) -> Result<i32, Refusal> {
        Ok(self.cursor.u32()? as i32)
    }

    /// A number that counts something.
    fn count(&mut self) -> Result<u64, Refusal> {
        let (at, count) = (self.cursor.position(), self.int()?);
        u64::try_from(count).map_err(|_| fault(&format!("it has {count} at byte {at}, in the place of a count")))
    }

    /// A text with its length.
    fn text(&mut self) -> Result<String, Refusal> {
        let (at, length) = (self.cursor.position(), self.count()?);
        if length > MAX_NAME {
            return Err(fault(&format!("it has a name of {length} bytes at byte {at}, more than {MAX_NAME}")));
        }
        Ok(header::text(&self.cursor.bytes(length)?))
    }

    /// What stands before the next value.
    fn variable(&mut self) -> Result<Variable, Refusal> {
        let at = self.cursor.position();
        let name = self.text()?;
        if name.is_empty() {
            return Err(fault(&format!("its variable at byte {at} has no name")));
        }
        let remark = self.count()?;
        self.cursor.skip(remark)?;
        let [global, of] = self.cursor.array()?;
        let of = match of {
            255 => self.text()?,
            1 => "scalar".into(),
            2 => "matrix".into(),
            3 => "complex scalar".into(),
            4 => "complex matrix".into(),
            6 => "range".into(),
            7 => "string".into(),
            _ => format!("number {of}"),
        };
        Ok(Variable { name, is_global: global != 0, of })
    }

    fn push(&mut self, path: Vec<String>, found: Result<Array, Refusal>) -> Result<(), Refusal> {
        if self.members.len() as u64 >= MAX_ENTRIES {
            return Err(Refusal(format!("it holds more than {MAX_ENTRIES} arrays; save fewer in a file")));
        }
        self.members.push(Member { path, found });
        Ok(())
    }

    /// A value that is refused, and behind which nothing has a place.
    fn lose(&mut self, path: Vec<String>, why: &str) -> Result<(), Refusal> {
        self.is_lost = true;
        self.push(path, Err(Refusal(why.to_owned())))
    }

    /// Adds the members of a variable whose value follows.
    fn add(&mut self, path: Vec<String>, variable: &Variable) -> Result<(), Refusal> {
        if path.len() > MAX_DEPTH {
            let why = format!("it is nested more than {MAX_DEPTH} deep; save it as a variable of its own");
            return self.lose(path, &why);
        }
        match &variable.of[..] {
            "cell" => {
                let count = self.shape()?.iter().try_fold(1_u64, |count, &length| count.checked_mul(length));
                self.nested(path, count.unwrap_or(u64::MAX), true)
            }
            "struct" | "scalar struct" => {
                let mut count = self.int()?;
                if count < 0 {
                    self.lengths(count)?;
                    count = self.int()?;
                }
                let count = u64::try_from(count).map_err(|_| fault("a struct has a negative number of fields"))?;
                self.nested(path, count, false)
            }
            "lazy_index" => {
                let inner = self.variable()?;
                // One within another is none that Octave writes.
                if inner.of == "lazy_index" { self.lose(path, "it is damaged") } else { self.add(path, &inner) }
            }
            of => match Type::of(of) {
                Some(of) => self.value(path, of, variable),
                None => {
                    let why = format!(
                        "its type {} is not known here, nor how long it is, so that the variables behind it are not shown \
                         either; save it in a file of its own",
                        excerpt(of)
                    );
                    self.lose(path, &why)
                }
            },
        }
    }

    /// Adds the members of so many variables in a cell or struct.
    fn nested(&mut self, path: Vec<String>, count: u64, is_cell: bool) -> Result<(), Refusal> {
        if count == 0 {
            let why = "it is a cell or struct that holds nothing; there is nothing to show";
            return self.push(path, Err(Refusal(why.into())));
        }
        let mut names = Numbered::default();
        for index in 0..count {
            let variable = self.variable()?;
            let name = if is_cell { index.to_string() } else { names.name(variable.name.clone()) };
            self.add([&path[..], &[name]].concat(), &variable)?;
            if self.is_lost {
                break;
            }
        }
        Ok(())
    }

    /// Lengths of so many axes, as a negative number.
    fn lengths(&mut self, negative: i32) -> Result<Vec<u64>, Refusal> {
        let ndim = negative.unsigned_abs() as usize;
        if ndim > crate::layout::MAX_NDIM {
            return Err(fault(&format!("it has a shape of {ndim} axes")));
        }
        let lengths = (0..ndim).map(|_| self.count()).collect::<Result<Vec<u64>, Refusal>>()?;
        // Octave takes one length for that of a row.
        Ok(if let [length] = lengths[..] { vec![1, length] } else { lengths })
    }

    fn shape(&mut self) -> Result<Vec<u64>, Refusal> {
        match self.int()? {
            negative @ ..0 => self.lengths(negative),
            rows => Ok(vec![rows as u64, self.count()?]),
        }
    }
}
