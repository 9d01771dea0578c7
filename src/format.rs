//! Array formats: bytes in, descriptions out.
//!
//! One file per format, its specification on top. A format says which file names are its own
//! ([`Format::stem`]) and turns the header of a file into [`Content`]: an [`Array`], or a [`Container`] of them; it opens nothing and maps nothing.
//! To add one: write `format/NAME.rs`, and add its line to [`FORMATS`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::dtype::DType;
use crate::grid::Grid;
use crate::source::{ReadAt, Siblings};

pub mod afni;
pub mod aiff;
pub mod arrow;
pub mod au;
mod beside;
pub mod bmp;
pub mod dicom;
pub mod edf;
pub mod ehdr;
pub mod envi;
pub mod fits;
pub mod fortran;
pub mod gguf;
pub mod hdf5;
mod header;
pub mod idx;
pub mod las;
mod lines;
pub mod mat4;
pub mod mat5;
pub mod mrc;
pub mod netcdf3;
pub mod nifti;
pub mod npy;
pub mod npz;
pub mod nrrd;
pub mod octave;
pub mod parrec;
pub mod physical;
pub mod ply;
pub mod pnm;
mod raster;
pub mod raw;
pub mod sac;
pub mod safetensors;
pub mod segy;
mod sound;
pub mod stack;
pub mod su;
pub mod tiff;
pub mod torch;
pub mod vecs;
pub mod vtk;
pub mod wav;
pub mod zarr;
pub mod zip;

/// What a format finds in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The file is an array.
    One(Array),
    /// The file is a container of arrays, which becomes a folder of them.
    Many(Container),
}

impl Content {
    /// The array that the file is, if it is one.
    pub fn into_array(self) -> Option<Array> {
        match self {
            Content::One(array) => Some(array),
            Content::Many(_) => None,
        }
    }
}

/// A file that holds arrays under names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Its arrays, also those that cannot be served, in the order of the file.
    pub members: Vec<Member>,
    /// What the format knows about the file as a whole, for the `info.json` of each of its arrays.
    pub attributes: Map<String, Value>,
}

/// A named array of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The groups in which it lies, outermost first, and its own name, as the file spells them; never empty.
    pub path: Vec<String>,
    /// The array, or why it cannot be served.
    pub found: Result<Array, Refusal>,
}

/// An array as a format describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Name of the format, as `info.json` gives it.
    pub format: &'static str,
    /// Type of the elements.
    pub dtype: DType,
    /// What an element is where NumPy has no type for it (`bf16`, `f8_e4m3`, `i3`, `ibm32`); `dtype` then says only
    /// how many bytes it takes (`|V2`).
    pub element: Option<&'static str>,
    /// Where the elements lie.
    pub grid: Arc<Grid>,
    /// The names of the axes, where the format has some: none at all, or one for each axis, empty where it has no name.
    pub dims: Vec<String>,
    /// The bytes of the element that stands where nothing was ever written; zeros if it is empty.
    pub fill: Vec<u8>,
    /// In which files the pieces lie.
    pub files: Files,
    /// Why nothing may be written to it, and the remedy, if so; a clause that follows "is read-only: ".
    pub read_only: Option<String>,
    /// The checksum that a write makes wrong, where the file keeps one over the bytes in which the elements lie.
    pub checksum: Option<Checksum>,
    /// What else the format knows, for `info.json`.
    pub attributes: Map<String, Value>,
}

impl Array {
    /// An array in the file itself, about which no more is known.
    pub fn new(format: &'static str, dtype: DType, grid: Grid) -> Array {
        Array {
            format,
            dtype,
            element: None,
            grid: Arc::new(grid),
            dims: Vec::new(),
            fill: Vec::new(),
            files: Files::Itself,
            read_only: None,
            checksum: None,
            attributes: Map::new(),
        }
    }
}

/// A CRC-32 (the one of ZIP and zlib: reflected polynomial 0xEDB88320) that a file keeps of a part of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// The bytes of the file that it covers. Arrays that share a part of the file have the same.
    pub covers: Range<u64>,
    /// Byte offsets of the fields that hold it, each a little-endian `u32`, and all of one value.
    pub fields: Vec<u64>,
}

/// In which files the pieces of an array lie.
#[derive(Clone, Debug)]
pub enum Files {
    /// All in the described file; every piece has the number 0.
    Itself,
    /// In files beside it, or below its folder.
    Beside(Arc<dyn Names>),
}

/// The names of the files of an array.
pub trait Names: Send + Sync + fmt::Debug {
    /// Path of file number `piece`, relative to the folder of the described file, names joined by `/`. The catalog
    /// sees to it that it never leads out of the source.
    fn name(&self, piece: u64) -> String;

    /// The length in bytes of a file that a write must create where it is missing (first filled with the fill
    /// value), or nothing where missing files cannot be made.
    fn created_len(&self) -> Option<u64>;

    /// Equal for two that give the same names.
    fn digest(&self) -> u64;
}

impl PartialEq for Files {
    fn eq(&self, other: &Files) -> bool {
        match (self, other) {
            (Files::Itself, Files::Itself) => true,
            (Files::Beside(a), Files::Beside(b)) => a.digest() == b.digest(),
            _ => false,
        }
    }
}

/// Why a file cannot be served: what is wrong with it, and the remedy where there is one. Whoever shows it adds
/// the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        Refusal(format!("cannot be read: {error}"))
    }
}

/// So many bytes at the start of a file are shown to [`Format::knows`].
pub const HEAD: usize = 512;

/// An array format.
pub trait Format: Sync {
    /// Its name, lower case, as `info.json` gives it.
    fn name(&self) -> &'static str;

    /// What the names of its files usually end in, in lower case and with the dot.
    fn extensions(&self) -> &'static [&'static str];

    /// The array's name where a file of this name is of this format, judged by the name alone: without one of the
    /// extensions, in whatever case. A file whose name is nothing but an extension keeps it.
    fn stem<'a>(&self, file_name: &'a str) -> Option<&'a str> {
        let ends = |extension: &&str| {
            let start = file_name.len().checked_sub(extension.len())?;
            let (stem, end) = file_name.split_at_checked(start)?;
            end.eq_ignore_ascii_case(extension).then_some(if stem.is_empty() { file_name } else { stem })
        };
        self.extensions().iter().find_map(ends)
    }

    /// Whether a file that begins with these bytes ([`HEAD`] of them, or all that it has) is certainly of this format. What the
    /// content says comes before what the name says.
    fn knows(&self, head: &[u8]) -> bool {
        let _ = head;
        false
    }

    /// Whether a file of this format may be a container, so that it must be opened to know.
    fn may_hold_many(&self) -> bool {
        true
    }

    /// Whether programs of this format lock its files with `flock(2)`, so that we are to do the same.
    fn is_locked(&self) -> bool {
        false
    }

    /// How the array of a file is made of those in others, if it is: whoever can open those makes it.
    ///
    /// # Errors
    /// Why it cannot be served.
    fn plan(&self, file: &dyn ReadAt) -> Result<Option<stack::Plan>, Refusal> {
        let _ = file;
        Ok(None)
    }

    /// What the file holds. `file_name` is the last component of its path.
    ///
    /// # Errors
    /// Why it cannot be served.
    fn parse(&self, file_name: &str, file: &dyn ReadAt, siblings: &dyn Siblings) -> Result<Content, Refusal>;
}

/// All formats. The order decides which of several files of one stem has the stem as its name.
pub static FORMATS: &[&dyn Format] = &[
    &npy::Npy,
    &afni::Afni,
    &aiff::Aiff,
    &arrow::Arrow,
    &au::Au,
    &bmp::Bmp,
    &dicom::Dicom,
    &edf::Edf,
    &fits::Fits,
    &fortran::Fortran,
    &gguf::Gguf,
    &hdf5::Hdf5,
    &idx::Idx,
    &las::Las,
    // Before MRC, whose files may have the same extension as the data of PAR/REC.
    &parrec::ParRec,
    &mrc::Mrc,
    &netcdf3::NetCdf3,
    &nifti::Nifti,
    // Behind NIfTI, whose ancestor has the same extension, and nothing that its content would tell it by.
    &ehdr::Ehdr,
    &envi::Envi,
    &npz::Npz,
    &nrrd::Nrrd,
    // Behind NIfTI, since SPM puts a .mat of the same stem beside its images.
    &mat4::Mat4,
    &mat5::Mat5,
    &octave::Octave,
    &ply::Ply,
    &pnm::Pnm,
    &sac::Sac,
    &safetensors::Safetensors,
    &segy::Segy,
    &su::Su,
    &tiff::Tiff,
    &torch::Torch,
    &vecs::Vecs,
    &vtk::Vtk,
    &wav::Wav,
    &stack::Stack,
    &zarr::Zarr,
    &raw::Raw,
];
