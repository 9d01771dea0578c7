//! NIfTI (`.nii`, or `.hdr` and `.img`) and its ancestor Analyze 7.5 (`.hdr` and `.img`), the images of brain research.
//!
//! Specification: `nifti1.h` and `nifti2.h` of the NIfTI Data Format Working Group; "ANALYZE 7.5 File Format" of the
//! Mayo Clinic. A file begins with a header of 348 bytes, of 540 in NIfTI-2, in either byte order, and its first number
//! is this length. Behind it stand, in a `.nii`, extensions and, from `vox_offset` on, the elements; in a pair the
//! `.hdr` ends here and the elements are in the `.img`. Of the header decide
//!
//! | NIfTI-1, Analyze | NIfTI-2     | what                                                                     |
//! |------------------|-------------|--------------------------------------------------------------------------|
//! | 344 (4 bytes)    | 4 (8 bytes) | the magic: `n+1`, `n+2` for one file, `ni1`, `ni2` for a pair; none in Analyze |
//! | 40 (8 x i2)      | 16 (8 x i8) | `dim`: number of axes, 1 to 7, and their lengths, fastest first          |
//! | 70 (i2)          | 12 (i2)     | `datatype`                                                               |
//! | 108 (f4)         | 168 (i8)    | `vox_offset`                                                             |
//!
//! | datatype | element | datatype | element                     | datatype | element                             |
//! |----------|---------|----------|-----------------------------|----------|-------------------------------------|
//! | 2        | `\|u1`  | 64       | `f8`                        | 1280     | `u8`                                |
//! | 4        | `i2`    | 128      | a record of `R`, `G`, `B`   | 1536     | `\|V16`, `f128`                     |
//! | 8        | `i4`    | 256      | `\|i1`                      | 1792     | `c16`                               |
//! | 16       | `f4`    | 512      | `u2`                        | 2048     | `\|V32`, `c256`                     |
//! | 32       | `c8`    | 768, 1024 | `u4`, `i8`                 | 2304     | a record of `R`, `G`, `B`, `A`      |
//!
//! Shapes are those of nibabel: x first, in Fortran order. Elements are served as stored; `scl_slope` and `scl_inter`
//! are attributes.
//!
//! Limits, and why:
//!
//! - Single bits (datatype 1) have no address. `.nii.gz` is compressed as a whole, and so has nothing to point at
//!   either.
//! - A pair is described by its `.hdr`, and its elements are looked for in the `.img` of the same name beside it.
//! - Floats of 128 bits are IEEE's, which the processors and NumPy of this machine do not have: bytes without a
//!   meaning.
//! - FreeSurfer writes vectors that are too long for `dim` with -1 there and their length in `glmin`, or, where they
//!   have
//!   163842 elements, as 27307 x 1 x 6. Both are taken as nibabel takes them.

use crate::dtype::{ByteOrder, DType, Field, Kind, Record};
use crate::format::beside::{self, Listed};
use crate::format::header;
use crate::format::{Array, Content, Files, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order};
use crate::source::{ReadAt, Siblings};

mod fields;
#[cfg(test)]
mod tests;

use fields::{Header, Version};

/// The names of the first axes.
const AXES: [&str; 4] = ["x", "y", "z", "t"];

/// NIfTI and Analyze.
#[derive(Clone, Copy, Debug)]
pub struct Nifti;

impl Format for Nifti {
    fn name(&self) -> &'static str {
        "nifti"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".nii", ".hdr", ".nii.gz"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        fields::is_certain(head)
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let mut bytes = [0; fields::LONGEST];
        // A header of the shorter kind is all that is read of its file, or elements would be taken for a part of it.
        let mut count = file.read_at(&mut bytes[..fields::SHORTEST], 0)?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(Refusal("it is compressed as a whole (gzip); `afbfs unpack` writes a plain copy".into()));
        }
        if fields::is_long(&bytes) {
            count += file.read_at(&mut bytes[fields::SHORTEST..], fields::SHORTEST as u64)?;
        }
        let Some(header) = Header::new(&bytes[..count]) else {
            return Err(if count < fields::SHORTEST || fields::is_long(&bytes) {
                Refusal("it ends within its NIfTI header: it was truncated; copy or save it again".into())
            } else {
                fault("it begins with the header of neither NIfTI nor Analyze")
            });
        };
        let dtype = dtype(&header)?;
        let element = match header.datatype() {
            1536 => Some("f128"),
            2048 => Some("c256"),
            _ => None,
        };
        let shape = header.shape()?;
        let offset = header.offset()?;
        let layout = Layout::packed(offset, &shape, dtype.itemsize(), Order::F)
            .map_err(|error| fault(&format!("its header claims an array that cannot be: {error}")))?;
        let files = if header.is_pair() {
            let image = beside::partner(file_name, ".img", ".IMG").ok_or_else(|| {
                Refusal("its name has no extension, so that its .img cannot be found; rename it".into())
            })?;
            beside::complete(&image, layout.extent().end, beside::len_of_plain(siblings, &image)?)?;
            Listed::files(vec![image])
        } else {
            header::complete(&layout, file.len())?;
            Files::Itself
        };
        let name = |axis: usize| AXES.get(axis).copied().unwrap_or_default().to_owned();
        Ok(Content::One(Array {
            dims: (0..shape.len()).map(name).collect(),
            element,
            files,
            attributes: header.attributes().into_map(),
            ..Array::new(self.name(), dtype, Grid::one(layout))
        }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged, or a file of another kind: save it again"))
}

fn dtype(header: &Header<'_>) -> Result<DType, Refusal> {
    let datatype = header.datatype();
    let (kind, itemsize) = match datatype {
        2 => (Kind::Uint, 1),
        4 => (Kind::Int, 2),
        8 => (Kind::Int, 4),
        16 => (Kind::Float, 4),
        32 => (Kind::Complex, 8),
        64 => (Kind::Float, 8),
        128 => return colours(&["R", "G", "B"]),
        1 => {
            return Err(Refusal(
                "its elements are single bits (datatype 1), so that none has an address; write it with \
                 datatype 2 (uint8)"
                    .into(),
            ));
        }
        // Analyze has no more.
        _ if header.version == Version::Analyze => return Err(unknown(datatype)),
        256 => (Kind::Int, 1),
        512 => (Kind::Uint, 2),
        768 => (Kind::Uint, 4),
        1024 => (Kind::Int, 8),
        1280 => (Kind::Uint, 8),
        1536 => (Kind::Void, 16),
        1792 => (Kind::Complex, 16),
        2048 => (Kind::Void, 32),
        2304 => return colours(&["R", "G", "B", "A"]),
        _ => return Err(unknown(datatype)),
    };
    Ok(header::scalar(kind, header.order, itemsize))
}

fn unknown(datatype: i64) -> Refusal {
    fault(&format!("its header gives datatype {datatype}, which is not known"))
}

/// A record of bytes of these names.
fn colours(names: &[&str]) -> Result<DType, Refusal> {
    let dtype = header::scalar(Kind::Uint, ByteOrder::None, 1);
    let field = |(offset, name): (u64, &&str)| {
        let (name, dtype) = ((*name).to_owned(), dtype.clone());
        Field { name, title: None, offset, dtype, shape: Vec::new() }
    };
    let record = Record::new((0..).zip(names).map(field).collect(), names.len() as u64).map_err(header::no_type)?;
    Ok(DType::Record(record.into()))
}
