//! The element types of ggml: what a block is made of.

use std::sync::Arc;

use crate::dtype::{ByteOrder, DType, DTypeError, Field, Kind, Record};
use crate::format::header::scalar;

/// A type of ggml.
#[derive(Debug)]
pub(super) struct Type {
    /// Its number in a file.
    id: u32,
    /// Its name, as `ggml_type_name` gives it.
    pub(super) name: &'static str,
    /// Elements of a tensor that share a block.
    pub(super) block: u64,
    kind: Stored,
}

/// How a block is stored.
#[derive(Debug)]
enum Stored {
    /// One number, which NumPy knows.
    Number(Kind, u64),
    /// One number of so many bytes, which it does not know.
    Foreign(u64),
    /// Parts, one behind the other: name, kind and bytes of a number, and how many of them (0: a single one).
    Parts(&'static [(&'static str, Kind, u64, u64)]),
}

use Kind::{Float, Int, Uint};
use Stored::{Foreign, Number, Parts};

/// The scale of a block, and the like: a half-precision number.
const fn half(name: &'static str) -> (&'static str, Kind, u64, u64) {
    (name, Float, 2, 0)
}

/// So many bytes of bit fields.
const fn bytes(name: &'static str, count: u64) -> (&'static str, Kind, u64, u64) {
    (name, Uint, 1, count)
}

const fn number(id: u32, name: &'static str, kind: Kind, itemsize: u64) -> Type {
    Type { id, name, block: 1, kind: Number(kind, itemsize) }
}

const fn blocks(id: u32, name: &'static str, block: u64, parts: &'static [(&'static str, Kind, u64, u64)]) -> Type {
    Type { id, name, block, kind: Parts(parts) }
}

/// The structs of `ggml-common.h`, in the order of `enum ggml_type`.
static TYPES: &[Type] = &[
    number(0, "f32", Float, 4),
    number(1, "f16", Float, 2),
    blocks(2, "q4_0", 32, &[half("d"), bytes("qs", 16)]),
    blocks(3, "q4_1", 32, &[half("d"), half("m"), bytes("qs", 16)]),
    blocks(6, "q5_0", 32, &[half("d"), bytes("qh", 4), bytes("qs", 16)]),
    blocks(7, "q5_1", 32, &[half("d"), half("m"), bytes("qh", 4), bytes("qs", 16)]),
    blocks(8, "q8_0", 32, &[half("d"), ("qs", Int, 1, 32)]),
    blocks(9, "q8_1", 32, &[half("d"), half("s"), ("qs", Int, 1, 32)]),
    blocks(10, "q2_K", 256, &[bytes("scales", 16), bytes("qs", 64), half("d"), half("dmin")]),
    blocks(11, "q3_K", 256, &[bytes("hmask", 32), bytes("qs", 64), bytes("scales", 12), half("d")]),
    blocks(12, "q4_K", 256, &[half("d"), half("dmin"), bytes("scales", 12), bytes("qs", 128)]),
    blocks(13, "q5_K", 256, &[half("d"), half("dmin"), bytes("scales", 12), bytes("qh", 32), bytes("qs", 128)]),
    blocks(14, "q6_K", 256, &[bytes("ql", 128), bytes("qh", 64), ("scales", Int, 1, 16), half("d")]),
    blocks(15, "q8_K", 256, &[("d", Float, 4, 0), ("qs", Int, 1, 256), ("bsums", Int, 2, 16)]),
    blocks(16, "iq2_xxs", 256, &[half("d"), ("qs", Uint, 2, 32)]),
    blocks(17, "iq2_xs", 256, &[half("d"), ("qs", Uint, 2, 32), bytes("scales", 8)]),
    blocks(18, "iq3_xxs", 256, &[half("d"), bytes("qs", 96)]),
    blocks(19, "iq1_s", 256, &[half("d"), bytes("qs", 32), ("qh", Uint, 2, 8)]),
    blocks(20, "iq4_nl", 32, &[half("d"), bytes("qs", 16)]),
    blocks(21, "iq3_s", 256, &[half("d"), bytes("qs", 64), bytes("qh", 8), bytes("signs", 32), bytes("scales", 4)]),
    blocks(22, "iq2_s", 256, &[half("d"), bytes("qs", 64), bytes("qh", 8), bytes("scales", 8)]),
    blocks(23, "iq4_xs", 256, &[half("d"), ("scales_h", Uint, 2, 0), bytes("scales_l", 4), bytes("qs", 128)]),
    number(24, "i8", Int, 1),
    number(25, "i16", Int, 2),
    number(26, "i32", Int, 4),
    number(27, "i64", Int, 8),
    number(28, "f64", Float, 8),
    blocks(29, "iq1_m", 256, &[bytes("qs", 32), bytes("qh", 16), bytes("scales", 8)]),
    Type { id: 30, name: "bf16", block: 1, kind: Foreign(2) },
    blocks(34, "tq1_0", 256, &[bytes("qs", 48), bytes("qh", 4), half("d")]),
    blocks(35, "tq2_0", 256, &[bytes("qs", 64), half("d")]),
    blocks(39, "mxfp4", 32, &[("e", Uint, 1, 0), bytes("qs", 16)]),
    blocks(40, "nvfp4", 64, &[bytes("d", 4), bytes("qs", 32)]),
    blocks(41, "q1_0", 128, &[half("d"), bytes("qs", 16)]),
    blocks(42, "q2_0", 64, &[half("d"), bytes("qs", 16)]),
];

/// Types that files held once, and that ggml reads no more: two that were given up, and six that order the rows of
/// others for one kind of machine.
const REMOVED: [u32; 8] = [4, 5, 31, 32, 33, 36, 37, 38];

impl Type {
    /// The type of this number.
    pub(super) fn of(id: u32) -> Option<&'static Type> {
        TYPES.iter().find(|of| of.id == id)
    }

    /// Whether a number stood for a type once.
    pub(super) fn was_removed(id: u32) -> bool {
        REMOVED.contains(&id)
    }

    /// The name, where NumPy does not know the type.
    pub(super) fn element(&self) -> Option<&'static str> {
        if matches!(self.kind, Number(..)) { None } else { Some(self.name) }
    }

    /// The type of a block, in a file of this byte order.
    pub(super) fn dtype(&self, order: ByteOrder) -> Result<DType, DTypeError> {
        let parts = match self.kind {
            Number(kind, itemsize) => return Ok(scalar(kind, order, itemsize)),
            Foreign(itemsize) => return Ok(scalar(Kind::Void, order, itemsize)),
            Parts(parts) => parts,
        };
        let mut offset = 0;
        let fields = parts.iter().map(|&(name, kind, itemsize, count)| {
            let (dtype, shape) = (scalar(kind, order, itemsize), if count == 0 { vec![] } else { vec![count] });
            let field = Field { name: name.to_owned(), title: None, offset, dtype, shape };
            offset += itemsize * count.max(1);
            field
        });
        let fields = fields.collect();
        Ok(DType::Record(Arc::new(Record::new(fields, offset)?)))
    }
}
