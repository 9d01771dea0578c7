//! Values that are arrays.

use super::{Octave, Variable, Variables, fault};
use crate::dtype::{ByteOrder, DType, Field, Kind, Record};
use crate::format::header::{self, Attributes};
use crate::format::{Array, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};

/// Room for the attributes of an array, in bytes of JSON, roughly.
const ROOM: usize = 2048;

/// How a value lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Scalar,
    Matrix,
    Text,
    Diagonal,
    Sparse,
    Range,
}

/// What Octave calls the type of a variable.
#[derive(Clone, Debug)]
pub(super) struct Type {
    form: Form,
    is_complex: bool,
    /// The class of its elements.
    class: &'static str,
    /// How they are stored, where the value does not say it.
    stored: Option<(Kind, u64)>,
}

impl Type {
    pub(super) fn of(word: &str) -> Option<Type> {
        let new = |form, class, stored| Some(Type { form, is_complex: false, class, stored });
        match word {
            "bool" => return new(Form::Scalar, "logical", Some((Kind::Uint, 1))),
            "bool matrix" => return new(Form::Matrix, "logical", Some((Kind::Uint, 1))),
            "sparse bool matrix" => return new(Form::Sparse, "logical", Some((Kind::Uint, 1))),
            "string" | "sq_string" | "char matrix" => return new(Form::Text, "char", Some((Kind::Uint, 1))),
            "range" | "double_range" => return new(Form::Range, "double", None),
            _ => {}
        }
        let (front, form) = word.rsplit_once(' ').unwrap_or(("", word));
        let form = match form {
            "scalar" => Form::Scalar,
            "matrix" => Form::Matrix,
            _ => return None,
        };
        if let Some((class, kind, bytes)) = INTEGERS.iter().find(|(class, ..)| *class == front) {
            return new(form, class, Some((*kind, *bytes)));
        }
        let (is_complex, class, form) = match (front, form) {
            ("", _) => (false, "double", form),
            ("complex", _) => (true, "double", form),
            ("float", _) => (false, "single", form),
            ("float complex", _) => (true, "single", form),
            ("diagonal", Form::Matrix) => (false, "double", Form::Diagonal),
            ("complex diagonal", Form::Matrix) => (true, "double", Form::Diagonal),
            ("float diagonal", Form::Matrix) => (false, "single", Form::Diagonal),
            ("float complex diagonal", Form::Matrix) => (true, "single", Form::Diagonal),
            ("sparse", Form::Matrix) => (false, "double", Form::Sparse),
            ("sparse complex", Form::Matrix) => (true, "double", Form::Sparse),
            _ => return None,
        };
        Some(Type { form, is_complex, class, stored: None })
    }
}

/// Integers, by the class that begins the name of their types.
const INTEGERS: [(&str, Kind, u64); 8] = [
    ("int8", Kind::Int, 1),
    ("int16", Kind::Int, 2),
    ("int32", Kind::Int, 4),
    ("int64", Kind::Int, 8),
    ("uint8", Kind::Uint, 1),
    ("uint16", Kind::Uint, 2),
    ("uint32", Kind::Uint, 4),
    ("uint64", Kind::Uint, 8),
];

impl Variables<'_> {
    /// Adds the members of a value that is an array.
    pub(super) fn value(&mut self, path: Vec<String>, of: Type, variable: &Variable) -> Result<(), Refusal> {
        let mut attributes = Attributes::new(ROOM);
        attributes.insert("class", of.class.into());
        attributes.insert("type", variable.of.as_str().into());
        if variable.is_global {
            attributes.insert("global", true.into());
        }
        let shape = match of.form {
            Form::Scalar => vec![1, 1],
            Form::Matrix => self.shape()?,
            Form::Text => match self.int()? {
                negative @ ..0 => self.lengths(negative)?,
                _ => {
                    return self
                        .lose(path, "it is text as Octave 2 saved it, in lines; load and save it in Octave again");
                }
            },
            Form::Diagonal => {
                let shape = [self.count()?, self.count()?];
                attributes.insert("shape", shape.to_vec().into());
                vec![shape[0].min(shape[1])]
            }
            Form::Sparse => {
                let shape = self.shape()?;
                let [_, columns] = shape[..] else {
                    return Err(fault("it has a sparse matrix that is none of rows and columns"));
                };
                attributes.insert("shape", shape.clone().into());
                let count = self.count()?;
                let index = header::scalar(Kind::Int, self.cursor.order, 4);
                for (name, count) in [("jc", columns.saturating_add(1)), ("ir", count)] {
                    let path = [&path[..], &[name.to_owned()]].concat();
                    self.array(path, index.clone(), &[count], Attributes::new(ROOM))?;
                    if self.is_lost {
                        return Ok(());
                    }
                }
                vec![count]
            }
            Form::Range => Vec::new(),
        };
        let (kind, itemsize) = match of.stored {
            Some(stored) => stored,
            None => {
                let [number] = self.cursor.array()?;
                stored(number)
                    .ok_or_else(|| fault(&format!("the stored type of its numbers is {number}, of 0 to 9")))?
            }
        };
        let dtype = match (of.form, of.is_complex, kind) {
            (Form::Range, ..) => record(&["base", "limit", "increment"], Kind::Float, self.cursor.order, 8)?,
            (_, true, Kind::Float) => header::scalar(Kind::Complex, self.cursor.order, 2 * itemsize),
            (_, true, _) => record(&["real", "imag"], kind, self.cursor.order, itemsize)?,
            _ => header::scalar(kind, self.cursor.order, itemsize),
        };
        let part = (of.form == Form::Sparse).then(|| "data".to_owned());
        self.array(path.into_iter().chain(part).collect(), dtype, &shape, attributes)
    }

    /// Adds an array whose elements follow, and passes over them.
    fn array(&mut self, path: Vec<String>, dtype: DType, shape: &[u64], attributes: Attributes) -> Result<(), Refusal> {
        let layout = Layout::packed(self.cursor.position(), shape, dtype.itemsize(), Order::F)
            .map_err(|error| fault(&format!("the Octave header claims an array that cannot be: {error}")))?;
        if let Err(Refusal(why)) = header::complete(&layout, self.held) {
            return self.lose(path, &why);
        }
        let extent = layout.extent();
        self.cursor.skip(extent.end - extent.start)?;
        let array = Array { attributes: attributes.into_map(), ..Array::new(Octave.name(), dtype, Grid::one(layout)) };
        self.push(path, Ok(array))
    }
}

/// A record of fields of one type.
fn record(names: &[&str], kind: Kind, order: ByteOrder, itemsize: u64) -> Result<DType, Refusal> {
    let field = |(name, number): (&&str, u64)| Field {
        name: (*name).to_owned(),
        title: None,
        offset: number * itemsize,
        dtype: header::scalar(kind, order, itemsize),
        shape: Vec::new(),
    };
    let fields = names.iter().zip(0..).map(field).collect();
    Ok(DType::Record(Record::new(fields, names.len() as u64 * itemsize).map_err(header::no_type)?.into()))
}

/// The stored elements of a type.
fn stored(number: u8) -> Option<(Kind, u64)> {
    Some(match number {
        0 => (Kind::Uint, 1),
        1 => (Kind::Uint, 2),
        2 => (Kind::Uint, 4),
        3 => (Kind::Int, 1),
        4 => (Kind::Int, 2),
        5 => (Kind::Int, 4),
        6 => (Kind::Float, 4),
        7 => (Kind::Float, 8),
        8 => (Kind::Uint, 8),
        9 => (Kind::Int, 8),
        _ => return None,
    })
}
