//! The columns of a schema: which of a batch's buffers has the elements of each, and what they are.

use serde_json::Value;

use super::flat::{Damaged, Table, Tables};
use crate::dtype::{ByteOrder, DType, Kind};
use crate::format::Refusal;
use crate::format::header::{self, MAX_ENTRIES, MAX_TEXT, Numbered};

/// The deepest nesting of columns. Real ones nest three or four deep.
const MAX_NESTING: usize = 32;

/// The most bytes of the names of all columns, each with those of the structs around it: a name may stand in many.
const MAX_NAMES: usize = 16 << 20;

/// A column that is an array, or that is refused.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name, behind those of the structs that it lies in.
    pub(super) path: Vec<String>,
    pub(super) found: Result<Elements, Refusal>,
    /// Number of its node among those of a batch.
    pub(super) node: usize,
}

/// The elements of a column.
#[derive(Clone, Debug)]
pub(super) struct Elements {
    pub(super) dtype: DType,
    pub(super) element: Option<&'static str>,
    /// The axes behind the first: those of lists of fixed size.
    pub(super) inner: Vec<u64>,
    /// Number of their buffer among those of a batch, and how many columns of views stand before it: each has further
    /// buffers.
    pub(super) buffer: usize,
    pub(super) views: usize,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// Walks the fields of a schema in the order in which batches have their nodes and buffers.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) columns: Vec<Column>,
    order: ByteOrder,
    /// Whether unions and run-end encoded columns have a bitmap of their own: up to version 4 of the metadata.
    old_bitmaps: bool,
    nodes: usize,
    buffers: usize,
    views: usize,
    fields: u64,
    /// Bytes that the names of columns may still take.
    room: usize,
}

/// A type of the specification, as far as it matters where its elements lie.
enum Type {
    /// One buffer of elements behind the bitmap.
    Plain(DType, Option<&'static str>, Vec<(&'static str, Value)>),
    /// So many buffers, and why they are no array; whether a batch adds further ones.
    Other {
        buffers: usize,
        why: &'static str,
        is_view: bool,
    },
    Struct,
    FixedList(u64),
}

impl Walk {
    pub(super) fn new(order: ByteOrder, old_bitmaps: bool) -> Walk {
        Walk { columns: Vec::new(), order, old_bitmaps, nodes: 0, buffers: 0, views: 0, fields: 0, room: MAX_NAMES }
    }

    /// The fields of the schema, or of a struct at this path.
    pub(super) fn fields(&mut self, fields: Tables, path: &[String]) -> Result<(), Damaged> {
        let mut names = Numbered::default();
        for (number, field) in fields.enumerate() {
            let field = field?;
            let name = field.text(0, MAX_TEXT)?;
            let name = if name.is_empty() { format!("column-{}", number + 1) } else { name.to_owned() };
            let path = [path, &[names.name(name)]].concat();
            let size: usize = path.iter().map(String::len).sum();
            self.room = self.room.checked_sub(size).ok_or(Damaged)?;
            self.field(&field, path)?;
        }
        Ok(())
    }

    fn count(&mut self, path: &[String]) -> Result<usize, Damaged> {
        self.fields += 1;
        if self.fields > MAX_ENTRIES || path.len() > MAX_NESTING {
            return Err(Damaged);
        }
        self.nodes += 1;
        Ok(self.nodes - 1)
    }

    fn field(&mut self, field: &Table, path: Vec<String>) -> Result<(), Damaged> {
        let node = self.count(&path)?;
        let found = match self.type_of(field)? {
            Type::Plain(dtype, element, attributes) => {
                let (buffer, views) = (self.buffers + 1, self.views);
                self.buffers += 2;
                Ok(Elements { dtype, element, inner: Vec::new(), buffer, views, attributes })
            }
            Type::FixedList(length) => {
                self.buffers += 1;
                self.fixed_list(field, length, path.len())?
            }
            Type::Struct => {
                self.buffers += 1;
                return self.fields(field.tables(5)?, &path);
            }
            Type::Other { buffers, why, is_view } => {
                self.pass(field, buffers, is_view, path.len())?;
                Err(refusal(why))
            }
        };
        self.columns.push(Column { path, found, node });
        Ok(())
    }

    /// Passes over a column that is refused, and over its children: their nodes and buffers count.
    fn pass(&mut self, field: &Table, buffers: usize, is_view: bool, depth: usize) -> Result<(), Damaged> {
        self.buffers += buffers;
        self.views += usize::from(is_view);
        if field.table(4)?.is_some() {
            // The children are those of the dictionary.
            return Ok(());
        }
        for child in field.tables(5)? {
            self.child(&child?, depth + 1)?;
        }
        Ok(())
    }

    fn child(&mut self, field: &Table, depth: usize) -> Result<(), Damaged> {
        let known = self.columns.len();
        self.field(field, vec![String::new(); depth])?;
        self.columns.truncate(known);
        Ok(())
    }

    /// A list of fixed size, whose elements are those of its child.
    fn fixed_list(&mut self, field: &Table, length: u64, depth: usize) -> Result<Result<Elements, Refusal>, Damaged> {
        let mut children = field.tables(5)?;
        let (Some(child), None) = (children.next().transpose()?, children.next()) else { return Err(Damaged) };
        let known = self.columns.len();
        self.field(&child, vec![String::new(); depth + 1])?;
        let mut added = self.columns.drain(known..);
        let only = added.next().filter(|column| column.path.len() == depth + 1);
        Ok(match only {
            Some(Column { found: Ok(mut elements), .. }) => {
                elements.inner.insert(0, length);
                Ok(elements)
            }
            Some(Column { found: Err(why), .. }) => Err(why),
            None => Err(refusal("its elements are lists of structs")),
        })
    }

    /// The type of a field.
    fn type_of(&self, field: &Table) -> Result<Type, Damaged> {
        if let Some(dictionary) = field.table(4)? {
            let index = dictionary.table(1)?;
            let attributes = vec![("dictionary", dictionary.i64(0)?.into())];
            return match index {
                Some(index) => self.int(&index, attributes),
                None => Ok(Type::Plain(header::scalar(Kind::Int, self.order, 4), None, attributes)),
            };
        }
        let other = |buffers, why| Ok(Type::Other { buffers, why, is_view: false });
        let views = || Type::Other { buffers: 2, why: "its elements are of various lengths (views)", is_view: true };
        let Some(of) = field.table(3)? else { return Err(Damaged) };
        match field.u8(2)? {
            1 => other(0, "it has no values but nulls, and no buffer"),
            2 => self.int(&of, Vec::new()),
            3 => self.plain(Kind::Float, [2, 4, 8].get(of.i16(0, 0)?.unsigned_abs() as usize), Vec::new()),
            4 | 5 | 19 | 20 => other(3, "its elements are of various lengths (texts or binaries)"),
            6 => other(2, "its elements are bits, so that no element has an address"),
            7 => {
                let attributes = vec![("precision", of.i32(0, 0)?.into()), ("scale", of.i32(1, 0)?.into())];
                let (bytes, element) = match of.i32(2, 128)? {
                    32 => return self.plain(Kind::Int, Some(&4), attributes),
                    64 => return self.plain(Kind::Int, Some(&8), attributes),
                    128 => (16, "decimal128"),
                    256 => (32, "decimal256"),
                    _ => return Err(Damaged),
                };
                Ok(Type::Plain(header::scalar(Kind::Void, self.order, bytes), Some(element), attributes))
            }
            // NumPy's days take eight bytes, Arrow's four.
            8 if of.i16(0, 1)? == 0 => self.plain(Kind::Int, Some(&4), vec![("unit", "D".into())]),
            8 => self.time('M', 1, Vec::new()),
            9 => {
                let bytes = u64::from(of.i32(1, 32)?.unsigned_abs() / 8);
                self.plain(Kind::Int, Some(&bytes), vec![("unit", unit(of.i16(0, 1)?)?.into())])
            }
            10 => {
                let zone = of.text(1, MAX_TEXT)?;
                let zone = (!zone.is_empty()).then(|| ("timezone", zone.into()));
                self.time('M', of.i16(0, 0)?, Vec::from_iter(zone))
            }
            11 => {
                let bytes = *[4, 8, 16].get(of.i16(0, 0)?.unsigned_abs() as usize).ok_or(Damaged)?;
                Ok(Type::Plain(header::scalar(Kind::Void, self.order, bytes), Some("interval"), Vec::new()))
            }
            12 | 17 | 21 => other(2, "its elements are lists of various lengths"),
            13 => Ok(Type::Struct),
            14 => other(usize::from(of.i16(0, 0)? == 1) + 1 + usize::from(self.old_bitmaps), "it is a union"),
            15 => {
                let bytes = u64::try_from(of.i32(0, 0)?).map_err(|_| Damaged)?;
                Ok(Type::Plain(header::scalar(Kind::Void, self.order, bytes), None, Vec::new()))
            }
            16 => Ok(Type::FixedList(u64::try_from(of.i32(0, 0)?).map_err(|_| Damaged)?)),
            18 => self.time('m', of.i16(0, 1)?, Vec::new()),
            22 => other(usize::from(self.old_bitmaps), "it is run-end encoded"),
            23 | 24 => Ok(views()),
            25 | 26 => other(3, "its elements are lists of various lengths (views)"),
            _ => Err(Damaged),
        }
    }

    fn plain(&self, kind: Kind, bytes: Option<&u64>, attributes: Vec<(&'static str, Value)>) -> Result<Type, Damaged> {
        let bytes = *bytes.filter(|bytes| matches!(bytes, 1 | 2 | 4 | 8)).ok_or(Damaged)?;
        Ok(Type::Plain(header::scalar(kind, self.order, bytes), None, attributes))
    }

    fn int(&self, of: &Table, attributes: Vec<(&'static str, Value)>) -> Result<Type, Damaged> {
        let kind = if of.u8(1)? != 0 { Kind::Int } else { Kind::Uint };
        self.plain(kind, Some(&u64::from(of.i32(0, 0)?.unsigned_abs() / 8)), attributes)
    }

    /// A moment (`M`) or a span of time (`m`), which NumPy has too.
    fn time(&self, letter: char, of: i16, attributes: Vec<(&'static str, Value)>) -> Result<Type, Damaged> {
        let order = if self.order == ByteOrder::Big { '>' } else { '<' };
        let dtype = DType::parse(&format!("{order}{letter}8[{}]", unit(of)?)).map_err(|_| Damaged)?;
        Ok(Type::Plain(dtype, None, attributes))
    }
}

fn unit(of: i16) -> Result<&'static str, Damaged> {
    ["s", "ms", "us", "ns"].get(usize::from(of.unsigned_abs())).copied().ok_or(Damaged)
}

fn refusal(why: &str) -> Refusal {
    Refusal(format!("{why}; convert it to a column of a primitive type, and write the file again"))
}
