//! Stacks: one array of the arrays in many files, described by a file `NAME.afb.toml` of our own.
//!
//! The file is TOML, and lies in the folder of the members or above them:
//!
//! | key          | what                                                                             | left out            |
//! |--------------|----------------------------------------------------------------------------------|---------------------|
//! | `files`      | the members, as paths from the sidecar's folder: a list; a text with `*`, `?` or `[...]` in its last name, for all files that match, in byte order; a text with ranges (`t{0000..8759}.npy`, `{2000..2020}/{01..12}.tif`, `{0..90..10}`), the last of which varies fastest | refused |
//! | `axis`       | `"new"`, or the number of an axis of the members along which they follow each other; negative ones count from the last | `"new"` |
//! | `new_axis`   | the number of the new axis in the whole                                          | 0                   |
//! | `dim`        | the name of a new axis                                                           | none                |
//! | `select`     | what is taken of each member, as in `slice/`: `"0, ::2"`                         | all                 |
//! | `transpose`  | `true`: with its axes in reverse order, after `select`                           | `false`             |
//! | `rename`     | a table of new names for fields, by the old ones                                 | none                |
//! | `fill`       | what stands where a member is missing: a number, a text, a list of two for complex ones | NaN, NaT, or zeros |
//! | `dtype`      | type of the elements of a member                                                 | that of the first   |
//! | `shape`      | shape of a member, as it lies in its file                                        | that of the first   |
//! | `lengths`    | for members of unequal lengths along the axis where they are joined: the length of each, or `[length, times]` | all alike |
//! | `raw`        | for members that nothing else describes: a table as in a sidecar of a raw file   | none                |
//! | `attributes` | a table for `info.json`                                                          | none                |
//!
//! A member is an array in one piece, and in one file: that of a file, or one in a container (`x.h5/group/a`). What it is
//! must be said or found out before there is a whole: where the sidecar does not say it, the first member that is there is
//! described, and the last one compared with it. All others are taken to be alike, and described when they are first
//! touched, so that opening a stack of a hundred thousand files opens two, or none. One that turns out to be odd is an error
//! of those elements alone, and named in the log. How a member is laid out is its own affair: where in its file, and in
//! which order of its axes.
//!
//! Of a range, a file may be missing, and reads as `fill`; of a list or of all files that match it may be if `fill` is
//! given. Otherwise that is an error of those elements.
//!
//! This module reads the sidecar, and says what the whole is, given what a member is; the catalog finds the members.
//!
//! Limits, and why: a sidecar of [`MAX_SIDECAR`] bytes, room for a list of some hundred thousand names; [`MAX_MEMBERS`]
//! members, since the number of a piece has to hold what was known of its layout, too; paths that stay below the sidecar's
//! folder, so that whoever sees the one may be let into the other.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::dtype::literal::excerpt;
use crate::dtype::{DType, Field, Kind, Record, Scalar};
use crate::format::raw::Spec;
use crate::format::{Array, Content, Files, Format, Names, Refusal, zarr};
use crate::grid::{Grid, Part, Parts, Seams};
use crate::layout::{Layout, MAX_NDIM, Order, Selection};
use crate::name;
use crate::source::{ReadAt, Siblings};

mod keys;
mod names;
#[cfg(test)]
mod tests;
mod whole;

pub use names::{Glob, Members, Named, Pattern};
pub use whole::shape_text;

/// What the names of sidecars end in.
pub const SIDECAR: &str = ".afb.toml";

/// The largest sidecar that is read, in bytes.
pub const MAX_SIDECAR: u64 = 8 << 20;

/// The most members of a stack.
pub const MAX_MEMBERS: u64 = 1 << INDEX_BITS;

/// So many bits of a piece's number say which member it is.
pub const INDEX_BITS: u32 = 24;

/// The format of stacks.
#[derive(Clone, Copy, Debug)]
pub struct Stack;

impl Format for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[SIDECAR]
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn plan(&self, file: &dyn ReadAt) -> Result<Option<Plan>, Refusal> {
        let len = file.len();
        if len > MAX_SIDECAR {
            return Err(Refusal(format!(
                "is {len} bytes long, more than the {MAX_SIDECAR} that are read; name the files by a pattern"
            )));
        }
        let mut bytes = vec![0; len as usize];
        let count = file.read_at(&mut bytes, 0)?;
        Plan::from_toml(&bytes[..count]).map(Some)
    }

    /// The array as far as the sidecar alone tells it: its members taken to be packed.
    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let unknown = || Refusal("what its members are, or which, only they can tell".into());
        let plan = self.plan(file)?.ok_or_else(unknown)?;
        let whole =
            plan.whole(plan.member().ok_or_else(unknown)?, Arc::new(plan.members.named().ok_or_else(unknown)?))?;
        let (shape, itemsize, (axis, seams)) = (whole.shape().to_vec(), whole.itemsize(), whole.seams());
        let grid = Grid::joined(&shape, itemsize, axis, seams.clone(), Arc::new(Packed(whole.clone())));
        plan.array(&whole, grid.map_err(|error| Refusal(error.to_string()))?).map(Content::One)
    }
}

/// Members that are packed, each in a file of its own.
struct Packed(Whole);

impl Parts for Packed {
    fn part(&self, number: u64) -> Part {
        Part { piece: number, layout: Arc::new(self.0.packed(number)) }
    }

    fn digest(&self) -> u64 {
        self.0.digest()
    }
}

/// What a sidecar says.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which files.
    pub members: Members,
    /// How they are joined.
    pub join: Join,
    /// The name of a new axis; may be empty.
    pub dim: String,
    /// What is taken of each, as an expression.
    pub select: Option<String>,
    /// Whether the axes of what is taken are reversed.
    pub transpose: bool,
    /// Old and new names of fields.
    pub rename: Vec<(String, String)>,
    /// What stands where a member is missing.
    pub fill: Option<Value>,
    /// Type of the elements of a member.
    pub dtype: Option<DType>,
    /// Shape of a member in its file.
    pub shape: Option<Vec<u64>>,
    /// Length along the axis of so many members, then of so many more.
    pub lengths: Vec<(u64, u64)>,
    /// How members are described that do not describe themselves.
    pub raw: Option<Spec>,
    /// The user's attributes.
    pub attributes: Map<String, Value>,
}

/// How members are joined; negative numbers of axes count from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// Along a new axis, of this number in the whole.
    New(i64),
    /// Along an axis of theirs.
    Along(i64),
}

/// What every member is, but for its length along the axis where they are joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Type of the elements.
    pub dtype: DType,
    /// What an element is where NumPy has no type for it.
    pub element: Option<&'static str>,
    /// Length of each axis.
    pub shape: Vec<u64>,
    /// Names of the axes, or none.
    pub dims: Vec<String>,
}

/// The whole, as far as it can be told without its members.
#[derive(Clone, Debug)]
pub struct Whole {
    member: Member,
    names: Arc<Named>,
    /// The axis of a member, in its file, along which they are joined; none for a new one.
    own_axis: Option<usize>,
    /// First member of each length, and the length: none where all are as the expected one.
    lengths: Vec<(u64, u64)>,
    /// What is taken of a member of each length.
    views: BTreeMap<u64, Selection>,
    shape: Vec<u64>,
    axis: usize,
    seams: Seams,
    digest: u64,
}

impl Plan {
    /// Whether a member may be missing.
    pub fn may_lack(&self) -> bool {
        self.fill.is_some() || matches!(self.members, Members::Pattern(_))
    }

    /// What every member is, if the sidecar says it.
    pub fn member(&self) -> Option<Member> {
        if let Some(raw) = &self.raw
            && raw.shape.iter().all(Option::is_some)
        {
            let array = raw.array(i64::MAX as u64).ok()?;
            return Some(Member::of(&array));
        }
        let (dtype, shape) = (self.dtype.clone()?, self.shape.clone()?);
        Some(Member { dtype, element: None, shape, dims: Vec::new() })
    }

    /// The whole of these members, the expected one being like this.
    ///
    /// # Errors
    /// If there can be no such array.
    pub fn whole(&self, member: Member, names: Arc<Named>) -> Result<Whole, Refusal> {
        let count = names.count();
        let view = self.view(&member, &member.shape)?;
        let (axis, own_axis) = self.axes(&view, &member)?;
        let mut whole = Whole {
            own_axis,
            lengths: Vec::new(),
            views: BTreeMap::new(),
            shape: view.shape().to_vec(),
            axis,
            seams: Seams::New,
            digest: 0,
            member,
            names,
        };
        match own_axis {
            None if !self.lengths.is_empty() => {
                return Err(Refusal(
                    "it gives lengths, which only members have that follow each other along an axis".into(),
                ));
            }
            None => {
                whole.shape.insert(axis, count);
                whole.views.insert(0, view);
            }
            Some(own) => self.lay_out(&mut whole, own, view)?,
        }
        let impossible = |error| Refusal(format!("it describes an array that cannot be: {error}"));
        Layout::packed(0, &whole.shape, whole.member.dtype.itemsize(), Order::C).map_err(impossible)?;
        let mut hasher = DefaultHasher::new();
        (whole.names.digest(), &whole.member.dtype, whole.member.element, &whole.member.shape).hash(&mut hasher);
        (self.join, &self.select, self.transpose, &self.rename, &whole.lengths, self.may_lack()).hash(&mut hasher);
        (&whole.shape, self.fill.as_ref().map(Value::to_string), self.raw.as_ref().map(|raw| format!("{raw:?}")))
            .hash(&mut hasher);
        whole.digest = hasher.finish();
        Ok(whole)
    }

    /// Puts members of given, or of one length one behind the other.
    fn lay_out(&self, whole: &mut Whole, own: usize, view: Selection) -> Result<(), Refusal> {
        let count = whole.names.count();
        let usual = whole.member.shape[own];
        let length = view.shape()[whole.axis];
        if self.lengths.is_empty() {
            let too_long = || Refusal("its members together are longer than an array can be".into());
            whole.shape[whole.axis] = length.checked_mul(count).ok_or_else(too_long)?;
            whole.seams = if length == 0 { Seams::At([0, 0].into()) } else { Seams::Even(length) };
            whole.views.insert(usual, view);
            return Ok(());
        }
        let given = self.lengths.iter().try_fold(0_u64, |sum, &(_, times)| sum.checked_add(times));
        if given != Some(count) {
            let given = given.map_or("too many".to_owned(), |given| given.to_string());
            return Err(Refusal(format!("it gives the lengths of {given} members, and has {count}; write it anew")));
        }
        let (mut bounds, mut end) = (vec![0], 0_u64);
        for &(length, times) in &self.lengths {
            let mut shape = whole.member.shape.clone();
            shape[own] = length;
            if !whole.views.contains_key(&length) {
                let view = self.view(&whole.member, &shape)?;
                if self.axes(&view, &whole.member)? != (whole.axis, Some(own)) {
                    return Err(Refusal(format!("what it selects has other axes in members of length {length}")));
                }
                whole.views.insert(length, view);
            }
            whole.lengths.push((bounds.len() as u64 - 1, length));
            let shown = whole.views.get(&length).map_or(0, |view| view.shape()[whole.axis]);
            for _ in 0..times {
                let next = end.checked_add(shown).filter(|&end| end <= i64::MAX as u64);
                end = next.ok_or_else(|| Refusal("its members together are longer than an array can be".into()))?;
                bounds.push(end);
            }
        }
        whole.shape[whole.axis] = end;
        whole.seams = Seams::At(bounds.into());
        Ok(())
    }

    /// What is taken of a member of this shape.
    fn view(&self, member: &Member, shape: &[u64]) -> Result<Selection, Refusal> {
        Layout::packed(0, shape, member.dtype.itemsize(), Order::C)
            .map_err(|error| Refusal(format!("its members cannot be: {error}")))?;
        let mut view = Selection::whole(shape, member.dtype.itemsize());
        if let Some(select) = &self.select {
            let text: String = select.chars().filter(|letter| *letter != ' ').collect();
            let picks = name::expression(&text, shape).ok_or_else(|| {
                let shape = shape_text(shape);
                Refusal(format!("it selects {} of members of shape {shape}, which is nothing there", excerpt(select)))
            })?;
            view = view.pick(&picks);
        }
        Ok(if self.transpose { view.transpose() } else { view })
    }

    /// The axis of the whole along which members are joined, and which one of a member in its file that is.
    fn axes(&self, view: &Selection, member: &Member) -> Result<(usize, Option<usize>), Refusal> {
        let (wanted, ndim) = match self.join {
            Join::New(axis) => (axis, view.ndim() + 1),
            Join::Along(axis) => (axis, view.ndim()),
        };
        let from_end = if wanted < 0 { wanted.saturating_add(ndim as i64) } else { wanted };
        let axis = usize::try_from(from_end).ok().filter(|&axis| axis < ndim).ok_or_else(|| {
            let shape = shape_text(view.shape());
            Refusal(format!("it joins members of shape {shape} along axis {wanted}, which there is not"))
        })?;
        if ndim > MAX_NDIM {
            return Err(Refusal(format!("with the new axis it has {ndim} axes, more than {MAX_NDIM}")));
        }
        match self.join {
            Join::New(_) => Ok((axis, None)),
            Join::Along(_) => {
                let own = view.direction(axis).0.filter(|&own| own < member.shape.len());
                Ok((axis, Some(own.ok_or_else(|| Refusal("it joins members along no axis of theirs".into()))?)))
            }
        }
    }

    /// The array, given its places.
    ///
    /// # Errors
    /// If names of fields or the fill value do not fit the type.
    pub fn array(&self, whole: &Whole, grid: Grid) -> Result<Array, Refusal> {
        let Member { dtype, element, dims, .. } = &whole.member;
        let renamed = self.renamed(dtype)?;
        let mut shown: Vec<String> = Vec::new();
        if let Some(view) = whole.views.values().next() {
            let name = |axis| view.direction(axis).0.and_then(|own| dims.get(own)).cloned().unwrap_or_default();
            shown = (0..view.ndim()).map(name).collect();
        }
        if whole.own_axis.is_none() {
            shown.insert(whole.axis, self.dim.clone());
        }
        if shown.iter().all(String::is_empty) {
            shown.clear();
        }
        Ok(Array {
            element: *element,
            dims: shown,
            fill: self.fill_bytes(&renamed, *element)?,
            files: Files::Beside(whole.names.clone()),
            attributes: self.attributes.clone(),
            ..Array::new(Stack.name(), renamed, grid)
        })
    }

    fn renamed(&self, dtype: &DType) -> Result<DType, Refusal> {
        if self.rename.is_empty() {
            return Ok(dtype.clone());
        }
        let DType::Record(record) = dtype else {
            return Err(Refusal(format!(
                "it renames fields of the type {}, which has none",
                excerpt(&dtype.to_string())
            )));
        };
        if let Some((old, _)) = self.rename.iter().find(|(old, _)| !record.fields().iter().any(|f| f.name == *old)) {
            let names = dtype.part_names().join(", ");
            return Err(Refusal(format!(
                "it renames {}, which is no field; there are {}",
                excerpt(old),
                excerpt(&names)
            )));
        }
        let new = |name: &String| self.rename.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| new).clone();
        let fields = record.fields().iter().map(|field| Field { name: new(&field.name), ..field.clone() }).collect();
        let record = Record::new(fields, record.itemsize()).map_err(|error| Refusal(format!("rename: {error}")))?;
        Ok(DType::Record(Arc::new(record)))
    }

    /// The bytes of the fill value; none where they are zeros.
    fn fill_bytes(&self, dtype: &DType, element: Option<&str>) -> Result<Vec<u8>, Refusal> {
        let nan = || Value::from("NaN");
        let value = match (&self.fill, dtype) {
            (Some(value), _) => value.clone(),
            (None, _) if element.is_some() => Value::Null,
            (None, DType::Scalar(Scalar { kind: Kind::Float, .. })) => nan(),
            (None, DType::Scalar(Scalar { kind: Kind::Complex, .. })) => Value::Array(vec![nan(), nan()]),
            (None, DType::Scalar(Scalar { kind: Kind::DateTime | Kind::TimeDelta, .. })) => Value::from("NaT"),
            (None, _) => Value::Null,
        };
        let name = element.map_or_else(|| dtype.to_string(), str::to_owned);
        let unfit = |why: &str| {
            Refusal(format!("its fill {} is none of the type {}{why}", excerpt(&value.to_string()), excerpt(&name)))
        };
        let bytes = match (&value, dtype) {
            (Value::String(text), DType::Scalar(Scalar { kind: Kind::Bytes, itemsize, .. })) => {
                let mut bytes = text.clone().into_bytes();
                if bytes.len() as u64 > *itemsize {
                    return Err(unfit(""));
                }
                bytes.resize(*itemsize as usize, 0);
                bytes
            }
            _ if zarr::is_zeros(&value) => Vec::new(),
            _ if element.is_some() => return Err(unfit("; only 0 may be given for it")),
            _ => zarr::element_bytes(&value, dtype).ok_or_else(|| unfit(""))?,
        };
        Ok(if bytes.iter().all(|&byte| byte == 0) { Vec::new() } else { bytes })
    }
}
