//! The lines of a file in their order, and the arrays behind them.

use serde_json::Value;

use super::{MAX_LINE, MAX_STRINGS, MAX_TEXT, Vtk, fault};
use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, Kind};
use crate::format::header::{self, Attributes, Cursor, MAX_ENTRIES, Numbered};
use crate::format::{Array, Format, Member, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::ReadAt;

/// Room for the attributes of an array, in bytes of JSON, roughly.
const ROOM: usize = 1024;

/// Where there is text in the file.
pub(super) struct Text<'a> {
    cursor: Cursor<'a>,
    held: u64,
    /// Bytes of lines that may still be read.
    room: u64,
}

impl Text<'_> {
    /// The next line without blanks at its end; nothing at the end of the file.
    pub(super) fn line(&mut self) -> Result<Option<String>, Refusal> {
        let start = self.cursor.position();
        let mut line = Vec::new();
        while self.cursor.position() < self.held {
            self.room = self
                .room
                .checked_sub(1)
                .ok_or_else(|| fault(&format!("its lines have more than the {MAX_TEXT} bytes that are read")))?;
            match self.cursor.array()? {
                [b'\n'] => return Ok(Some(header::text(&line))),
                [byte] => line.push(byte),
            }
            if line.len() > MAX_LINE {
                return Err(fault(&format!("its line at byte {start} is longer than {MAX_LINE} bytes")));
            }
        }
        Ok(if line.is_empty() { None } else { Some(header::text(&line)) })
    }

    /// The next line that says something about arrays.
    fn statement(&mut self) -> Result<Option<String>, Refusal> {
        while let Some(line) = self.line()? {
            if line.eq_ignore_ascii_case("METADATA") {
                while self.line()?.is_some_and(|line| !line.is_empty()) {}
            } else if !line.is_empty() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Passes over so many strings: each is its length, in 1, 2, 4 or 8 bytes as the uppermost two bits say, and its bytes.
    fn skip_strings(&mut self, count: u64) -> Result<(), Refusal> {
        for _ in 0..count {
            let [first] = self.cursor.array()?;
            let rest = match first >> 6 {
                3 => 0,
                2 => 1,
                1 => 3,
                _ => 7,
            };
            let low = self.cursor.bytes(rest)?;
            let length = low.iter().fold(u64::from(first & 0x3f), |length, &byte| length << 8 | u64::from(byte));
            self.cursor.skip(length)?;
        }
        Ok(())
    }
}

/// What the numbers of an array belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Points,
    Cells,
    File,
}

impl Place {
    fn group(self) -> &'static str {
        match self {
            Place::Points => "point_data",
            Place::Cells => "cell_data",
            Place::File => "field_data",
        }
    }
}

/// An array, as a line describes it.
#[derive(Debug)]
struct Found<'a> {
    group: &'a str,
    name: &'a str,
    of: &'a str,
    place: Place,
    /// How many there are, and how many numbers each has, along these axes.
    count: u64,
    inner: &'a [u64],
}

/// Reads a file.
pub(super) struct Reader<'a> {
    pub(super) text: Text<'a>,
    pub(super) members: Vec<Member>,
    /// Whether cells have offsets, and not counts among their points.
    pub(super) has_offsets: bool,
    names: Numbered,
    /// The shape of a structured grid, z first.
    shape: Option<[u64; 3]>,
    place: Place,
    count: u64,
    /// The cells of which offsets and points follow: what they are called, and how many numbers each takes.
    cells: (String, [u64; 2]),
    /// Whether nobody knows where the next line is.
    is_lost: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn ReadAt) -> Reader<'a> {
        Reader {
            text: Text { cursor: Cursor::new(file, "VTK", u64::MAX), held: file.len(), room: MAX_TEXT },
            members: Vec::new(),
            has_offsets: false,
            names: Numbered::default(),
            shape: None,
            place: Place::File,
            count: 0,
            cells: ("cells".into(), [0, 0]),
            is_lost: false,
        }
    }

    /// Reads all that follows the third line.
    pub(super) fn read(&mut self, attributes: &mut Attributes) -> Result<(), Refusal> {
        while !self.is_lost {
            let Some(line) = self.text.statement()? else { break };
            let words: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
            let keyword = words.first().copied().unwrap_or_default().to_ascii_uppercase();
            if !self.geometry(&keyword, &words, attributes)? && !self.values(&keyword, &words)? {
                self.lose(&line);
            }
        }
        Ok(())
    }

    /// A line that is not known: what follows is not either.
    fn lose(&mut self, line: &str) {
        self.is_lost = true;
        let name = self.names.name("unknown".into());
        let refusal = fault(&format!("its line {} is not known, so that nothing behind it has a place", excerpt(line)));
        self.members.push(Member { path: vec![name], found: Err(refusal) });
    }

    /// A line of the grid or mesh; whether it is one.
    fn geometry(&mut self, keyword: &str, words: &[&str], attributes: &mut Attributes) -> Result<bool, Refusal> {
        let name = keyword.to_ascii_lowercase();
        match (keyword, words) {
            ("DATASET", [_, kind, ..]) => attributes.insert("dataset", (*kind).into()),
            ("DIMENSIONS", [_, lengths @ ..]) if lengths.len() >= 3 => {
                let lengths = [number(lengths[2])?, number(lengths[1])?, number(lengths[0])?];
                self.shape = Some(lengths);
            }
            ("EXTENT", [_, x0, x1, y0, y1, z0, z1]) => {
                let length = |low: &str, high: &str| {
                    let ends = low.parse().ok().zip(high.parse().ok());
                    let length = ends.and_then(|(low, high): (i64, i64)| high.checked_sub(low)?.checked_add(1));
                    length.and_then(|length| u64::try_from(length).ok()).ok_or_else(|| no_number(high))
                };
                self.shape = Some([length(z0, z1)?, length(y0, y1)?, length(x0, x1)?]);
            }
            ("SPACING" | "ASPECT_RATIO" | "ORIGIN", [_, numbers @ ..]) => {
                let name = if keyword == "ORIGIN" { "origin" } else { "spacing" };
                let numbers = numbers.iter().map(|word| word.parse().map(header::float).unwrap_or(Value::Null));
                attributes.insert(name, numbers.collect::<Vec<_>>().into());
            }
            ("POINTS", [_, count, of]) => {
                let (count, place) = (number(count)?, Place::Points);
                self.add(&Found { group: "", name: &name, of, place, count, inner: &[3] }, None)?;
            }
            ("X_COORDINATES" | "Y_COORDINATES" | "Z_COORDINATES", [_, count, of]) => {
                self.add(
                    &Found { group: "", name: &name, of, place: Place::File, count: number(count)?, inner: &[] },
                    None,
                )?;
            }
            ("CELLS" | "POLYGONS" | "LINES" | "VERTICES" | "TRIANGLE_STRIPS", [_, count, size]) => {
                let (count, size) = (number(count)?, number(size)?);
                if self.has_offsets {
                    self.cells = (name, [count, size]);
                } else {
                    self.add(
                        &Found { group: "", name: &name, of: "int", place: Place::File, count: size, inner: &[] },
                        None,
                    )?;
                }
            }
            ("OFFSETS" | "CONNECTIVITY", [_, of]) => {
                let (group, [offsets, points]) = self.cells.clone();
                let count = if keyword == "OFFSETS" { offsets } else { points };
                self.add(&Found { group: &group, name: &name, of, place: Place::File, count, inner: &[] }, None)?;
            }
            ("CELL_TYPES", [_, count]) => {
                let count = number(count)?;
                self.add(&Found { group: "", name: &name, of: "int", place: Place::File, count, inner: &[] }, None)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A line about values; whether it is one.
    fn values(&mut self, keyword: &str, words: &[&str]) -> Result<bool, Refusal> {
        let (place, count) = (self.place, self.count);
        let mut add = |name: &str, of: &str, inner: &[u64], table: Option<&str>| {
            let name = unescaped(name);
            self.add(&Found { group: place.group(), name: &name, of, place, count, inner }, Some((keyword, table)))
        };
        match (keyword, words) {
            ("POINT_DATA", [_, count]) => (self.place, self.count) = (Place::Points, number(count)?),
            ("CELL_DATA", [_, count]) => (self.place, self.count) = (Place::Cells, number(count)?),
            ("SCALARS", [_, name, of, parts @ ..]) => {
                let parts = parts.first().map_or(Ok(1), |parts| number(parts))?;
                let line = self.text.statement()?.unwrap_or_default();
                let mut table = line.split_ascii_whitespace();
                match (table.next(), table.next()) {
                    (Some(word), Some(table)) if word.eq_ignore_ascii_case("LOOKUP_TABLE") => {
                        let (name, kind) = (unescaped(name), Some((keyword, Some(table))));
                        self.add(
                            &Found { group: place.group(), name: &name, of, place, count, inner: &[parts] },
                            kind,
                        )?;
                    }
                    _ => self.lose(&line),
                }
            }
            ("COLOR_SCALARS", [_, name, parts]) => add(name, "unsigned_char", &[number(parts)?], None)?,
            ("VECTORS" | "NORMALS", [_, name, of]) => add(name, of, &[3], None)?,
            ("TENSORS", [_, name, of]) => add(name, of, &[3, 3], None)?,
            ("TENSORS6", [_, name, of]) => add(name, of, &[6], None)?,
            ("TEXTURE_COORDINATES", [_, name, parts, of]) => add(name, of, &[number(parts)?], None)?,
            ("GLOBAL_IDS" | "PEDIGREE_IDS" | "EDGE_FLAGS", [_, name, of]) => add(name, of, &[], None)?,
            ("LOOKUP_TABLE", [_, name, count]) => {
                let (count, name, of) = (number(count)?, unescaped(name), "unsigned_char");
                self.add(
                    &Found { group: "lookup_table", name: &name, of, place: Place::File, count, inner: &[4] },
                    None,
                )?;
            }
            ("FIELD", [_, _, count]) => self.field(number(count)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// So many arrays, each with a line of its own.
    fn field(&mut self, count: u64) -> Result<(), Refusal> {
        for _ in 0..count {
            let line = self.text.statement()?.ok_or_else(|| fault("it ends within the arrays of a FIELD"))?;
            match line.split_ascii_whitespace().take(5).collect::<Vec<_>>()[..] {
                ["NULL_ARRAY"] => {}
                [name, parts, count, of] => {
                    let (name, place) = (unescaped(name), self.place);
                    let (count, inner) = (number(count)?, &[number(parts)?]);
                    self.add(
                        &Found { group: place.group(), name: &name, of, place, count, inner },
                        Some(("FIELD", None)),
                    )?;
                }
                _ => self.lose(&line),
            }
            if self.is_lost {
                break;
            }
        }
        Ok(())
    }

    /// Adds an array whose numbers follow, and passes over them. What is known of it are the keyword and its colours.
    fn add(&mut self, found: &Found, kind: Option<(&str, Option<&str>)>) -> Result<(), Refusal> {
        if self.members.len() as u64 >= MAX_ENTRIES {
            return Err(Refusal(format!("it holds more than {MAX_ENTRIES} arrays; save fewer in a file")));
        }
        let path: Vec<String> = match found.group {
            "" => vec![self.names.name(found.name.to_owned())],
            group => {
                // One name may stand in several groups.
                let name = self.names.name(format!("{group}/{}", found.name));
                vec![group.to_owned(), name.get(group.len() + 1..).unwrap_or_default().to_owned()]
            }
        };
        let array = self.array(found);
        self.is_lost |= array.as_ref().is_err_and(|(_, is_lost)| *is_lost);
        let found = array.map_err(|(refusal, _)| refusal).map(|array| {
            let mut attributes = Attributes::new(ROOM);
            if let Some((keyword, table)) = kind {
                attributes.insert("kind", keyword.to_ascii_lowercase().into());
                if let Some(table) = table {
                    attributes.insert("lookup_table", unescaped(table).into());
                }
            }
            Array { attributes: attributes.into_map(), ..array }
        });
        self.members.push(Member { path, found });
        Ok(())
    }

    /// An array whose numbers follow; or why it is refused, and whether it is unknown where they end.
    fn array(&mut self, found: &Found) -> Result<Array, (Refusal, bool)> {
        let numbers = found.inner.iter().try_fold(found.count, |numbers, &length| numbers.checked_mul(length));
        let numbers = numbers.ok_or_else(|| (fault("its line claims more numbers than any file holds"), true))?;
        let (kind, itemsize) = match &found.of.to_ascii_lowercase()[..] {
            "char" | "signed_char" => (Kind::Int, 1),
            "unsigned_char" => (Kind::Uint, 1),
            "short" => (Kind::Int, 2),
            "unsigned_short" => (Kind::Uint, 2),
            // Numbers of this type are written as int.
            "int" | "vtkidtype" => (Kind::Int, 4),
            "unsigned_int" => (Kind::Uint, 4),
            "long" | "vtktypeint64" => (Kind::Int, 8),
            "unsigned_long" | "vtktypeuint64" => (Kind::Uint, 8),
            "float" => (Kind::Float, 4),
            "double" => (Kind::Float, 8),
            "bit" => {
                let is_lost = self.text.cursor.skip(numbers.div_ceil(8)).is_err();
                let why =
                    "its elements are bits, eight in a byte, so that none has an address; save them as unsigned_char";
                return Err((Refusal(why.into()), is_lost));
            }
            "string" | "utf8_string" => {
                let is_lost = numbers > MAX_STRINGS || self.text.skip_strings(numbers).is_err();
                let why = "its elements are strings of several lengths, so that none has a place of its own";
                return Err((Refusal(why.into()), is_lost));
            }
            of => return Err((fault(&format!("its type {} is not known, nor what follows", excerpt(of))), true)),
        };
        let (mut shape, mut dims) = self.axes(found);
        for &length in found.inner.iter().filter(|_| found.inner != [1]) {
            shape.push(length);
            dims.push(String::new());
        }
        let layout = Layout::packed(self.text.cursor.position(), &shape, itemsize, Order::C)
            .map_err(|error| (fault(&format!("its line claims an array that cannot be: {error}")), true))?;
        header::complete(&layout, self.text.held).map_err(|refusal| (refusal, true))?;
        self.text.cursor.skip(numbers * itemsize).map_err(|refusal| (refusal, true))?;
        let dims = if dims.iter().all(String::is_empty) { Vec::new() } else { dims };
        let dtype = header::scalar(kind, ByteOrder::Big, itemsize);
        Ok(Array { dims, ..Array::new(Vtk.name(), dtype, Grid::one(layout)) })
    }

    /// The axes along which the points or cells lie, and their names.
    fn axes(&self, found: &Found) -> (Vec<u64>, Vec<String>) {
        let lengths = self.shape.map(|shape| match found.place {
            Place::Cells => shape.map(|length| length.saturating_sub(1).max(1)),
            _ => shape,
        });
        let count = |lengths: &[u64; 3]| lengths.iter().try_fold(1_u64, |count, &length| count.checked_mul(length));
        match lengths.filter(|lengths| found.place != Place::File && count(lengths) == Some(found.count)) {
            Some(lengths) => (lengths.to_vec(), ["z", "y", "x"].map(String::from).to_vec()),
            None => (vec![found.count], vec![String::new()]),
        }
    }
}

fn no_number(word: &str) -> Refusal {
    fault(&format!("its lines have {} in the place of a number", excerpt(word)))
}

fn number(word: &str) -> Result<u64, Refusal> {
    word.parse().map_err(|_| no_number(word))
}

/// A name in which characters may be written as their numbers, as in `a%20b`.
fn unescaped(name: &str) -> String {
    let (bytes, mut found) = (name.as_bytes(), Vec::new());
    let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                found.push((16 * high + low) as u8);
                at += 3;
            }
            _ => {
                found.push(byte);
                at += 1;
            }
        }
    }
    header::text(&found)
}
