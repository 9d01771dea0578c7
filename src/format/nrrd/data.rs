//! Data in files beside their header. `data file` gives
//!
//! | value                          | what                                                                |
//! |--------------------------------|---------------------------------------------------------------------|
//! | `NAME`                         | one file                                                            |
//! | `FORMAT MIN MAX STEP [SUBDIM]` | files whose names are numbers, in C's `printf` format               |
//! | `LIST [SUBDIM]`                | files whose names are the lines that follow                         |
//!
//! Each of several files holds the fastest SUBDIM axes (all but the slowest one, if nothing is said) for one index of
//! the others; or, where SUBDIM is the number of all axes, as many indices of the slowest axis as any other file.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Header, cannot_be, fault};
use crate::dtype::literal::excerpt;
use crate::format::beside::{self, Listed};
use crate::format::{Files, Refusal};
use crate::grid::{Grid, Pieces, Place};
use crate::layout::{Layout, Order};
use crate::source::Siblings;

/// The most data files of a header: their lengths are all looked at.
pub const MAX_FILES: usize = 1 << 14;

/// The array of this shape whose elements lie in the files that the header names.
pub(super) fn beside(
    header: &Header,
    shape: &[u64],
    itemsize: u64,
    siblings: &dyn Siblings,
) -> Result<(Grid, Files), Refusal> {
    if header.line_skip()? > 0 {
        return Err(Refusal(
            "it skips lines of a data file, which is not read for it; give the bytes to skip instead (byte skip)"
                .into(),
        ));
    }
    let value = header.get("datafile")?;
    let named = Named::new(value, header)?;
    let chunk = named.chunk(shape)?;
    let packed = Layout::packed(0, &chunk, itemsize, Order::F).map_err(cannot_be)?;
    let size = packed.extent().end;
    let skip = header.byte_skip()?;
    let offset = |name: &String| {
        let held = beside::len(siblings, name)?;
        let offset = skip.unwrap_or(held.saturating_sub(size));
        beside::complete(name, offset.saturating_add(size), held)?;
        Ok(offset)
    };
    let offsets: Vec<u64> = named.names.iter().map(offset).collect::<Result<_, Refusal>>()?;
    let grid = match offsets[..] {
        [offset] if chunk == shape => Grid::one(Layout::packed(offset, shape, itemsize, Order::F).map_err(cannot_be)?),
        _ => {
            let counts = shape.iter().zip(&chunk).map(|(&length, &part)| length / part.max(1)).collect();
            let chunk: Vec<u64> = chunk.iter().map(|&length| length.max(1)).collect();
            let pieces = Arc::new(OneEach { counts, offsets });
            Grid::chunked(shape, &chunk, itemsize, Order::F, pieces).map_err(cannot_be)?
        }
    };
    Ok((grid, Listed::files(named.names)))
}

/// The one file in which all elements lie.
pub(super) fn only_file(header: &Header) -> Result<String, Refusal> {
    let several = || {
        Refusal(
            "its elements are compressed in several files; save it again with one, or as raw (unu save -f nrrd -e raw)"
                .into(),
        )
    };
    if header.line_skip()? > 0 {
        return Err(Refusal(
            "it skips lines of a compressed data file; save it again as raw (unu save -f nrrd -e raw)".into(),
        ));
    }
    let mut names = Named::new(header.get("datafile")?, header)?.names;
    names.pop().filter(|_| names.is_empty()).ok_or_else(several)
}

/// A cell in each file, the first index changing fastest from file to file.
struct OneEach {
    /// Number of cells along each axis.
    counts: Vec<u64>,
    /// Byte at which each cell starts.
    offsets: Vec<u64>,
}

impl Pieces for OneEach {
    fn place(&self, cell: u64) -> Option<Place> {
        // Cells are numbered with the last index changing fastest.
        let (mut rest, mut piece) = (cell, 0);
        let mut coordinates = [0; crate::layout::MAX_NDIM];
        for (axis, &count) in self.counts.iter().enumerate().rev() {
            coordinates[axis] = rest % count.max(1);
            rest /= count.max(1);
        }
        for (axis, &count) in self.counts.iter().enumerate().rev() {
            piece = piece * count + coordinates[axis];
        }
        let offset = *self.offsets.get(usize::try_from(piece).ok()?)?;
        Some(Place { piece, offset })
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.counts, &self.offsets).hash(&mut hasher);
        hasher.finish()
    }
}

/// The files, and how many axes each has.
struct Named {
    names: Vec<String>,
    axes: Option<u64>,
}

impl Named {
    fn new(value: &str, header: &Header) -> Result<Named, Refusal> {
        let words: Vec<&str> = value.split_whitespace().take(6).collect();
        let wrong =
            || fault(&format!("its NRRD header gives data file: {}, which cannot be understood", excerpt(value)));
        let named = match words[..] {
            ["LIST"] => Named { names: header.list.clone(), axes: None },
            ["LIST", axes] => Named { names: header.list.clone(), axes: Some(axes.parse().map_err(|_| wrong())?) },
            [format, min, max, step, ref axes @ ..] if format.contains('%') && axes.len() <= 1 => {
                let number = |word: &str| word.parse::<i64>().map_err(|_| wrong());
                let axes = axes.first().map(|axes| axes.parse()).transpose().map_err(|_| wrong())?;
                let format = Pattern::new(format).ok_or_else(wrong)?;
                let numbers = numbers(number(min)?, number(max)?, number(step)?).ok_or_else(wrong)?;
                Named { names: numbers.into_iter().map(|number| format.name(number)).collect(), axes }
            }
            _ => return Ok(Named { names: vec![value.to_owned()], axes: None }),
        };
        if named.names.is_empty() || named.names.len() > MAX_FILES {
            return Err(Refusal(format!(
                "its NRRD header names {} data files, and 1 to {MAX_FILES} can be served; put more slices into each",
                named.names.len()
            )));
        }
        Ok(Named { axes: named.axes.or(Some(u64::MAX)), ..named })
    }

    /// The shape of what each file holds of an array of this shape.
    fn chunk(&self, shape: &[u64]) -> Result<Vec<u64>, Refusal> {
        let (ndim, count) = (shape.len(), self.names.len() as u64);
        let wrong = |wanted: &str| {
            fault(&format!("its NRRD header names {count} data files, and its sizes and their axes want {wanted}"))
        };
        let mut chunk = shape.to_vec();
        let Some(axes) = self.axes else { return Ok(chunk) };
        let axes = if axes == u64::MAX { ndim.saturating_sub(1) as u64 } else { axes };
        let axes = usize::try_from(axes).ok().filter(|&axes| (1..=ndim).contains(&axes) || ndim == 1);
        let axes = axes.ok_or_else(|| wrong(&format!("between 1 and {ndim} axes in each")))?;
        if axes == ndim {
            let slowest = chunk.last_mut().filter(|slowest| slowest.is_multiple_of(count));
            *slowest.ok_or_else(|| wrong("a number that divides the last size"))? /= count;
            return Ok(chunk);
        }
        let wanted = shape[axes..].iter().try_fold(1_u64, |product, &length| product.checked_mul(length));
        if wanted != Some(count) {
            return Err(wrong(&wanted.map_or("more than there can be".into(), |wanted| wanted.to_string())));
        }
        chunk[axes..].fill(1);
        Ok(chunk)
    }
}

/// The numbers from the first to the last, both counted, unless there are too many or none.
fn numbers(min: i64, max: i64, step: i64) -> Option<Vec<i64>> {
    let span = if step < 0 { min.checked_sub(max)? } else { max.checked_sub(min)? };
    let count = usize::try_from(span.checked_div(step.checked_abs()?)?).ok()?.checked_add(1)?;
    // One more than may be is enough to know that there are too many.
    let count = count.min(MAX_FILES + 1);
    (span >= 0).then(|| (0..count as i64).map(|k| min.saturating_add(k.saturating_mul(step))).collect())
}

/// A name with one number in it, as C's `printf` writes it.
struct Pattern {
    before: String,
    after: String,
    is_padded_with_zeros: bool,
    width: usize,
}

impl Pattern {
    fn new(format: &str) -> Option<Pattern> {
        let (before, rest) = format.split_once('%')?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (width, rest) = rest.split_at(digits);
        let after = rest.strip_prefix(['d', 'i', 'u'])?;
        let is_padded_with_zeros = width.starts_with('0');
        let width = if width.is_empty() { 0 } else { width.parse().ok().filter(|&width| width <= 255)? };
        let fits = !after.contains('%');
        fits.then(|| Pattern { before: before.into(), after: after.into(), is_padded_with_zeros, width })
    }

    fn name(&self, number: i64) -> String {
        let (before, after, width) = (&self.before, &self.after, self.width);
        if self.is_padded_with_zeros {
            format!("{before}{number:0width$}{after}")
        } else {
            format!("{before}{number:width$}{after}")
        }
    }
}
