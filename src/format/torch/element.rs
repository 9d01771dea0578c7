//! The element types of torch.

use crate::dtype::DType;
use crate::format::Refusal;

/// An element type: what NumPy calls it, and what else it is called where NumPy has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// As NumPy writes it, without the byte order.
    code: &'static str,
    /// Its name of our own in little-endian files, and in big-endian ones: the dtype then says no order.
    names: Option<[&'static str; 2]>,
}

/// Bytes, which any storage consists of.
pub(super) const BYTE: Element = Element { code: "u1", names: None };

/// The class of the storage, the dtype, NumPy's code, our own names. Younger types have no storages of their own.
type Row = (&'static str, &'static str, &'static str, Option<[&'static str; 2]>);
const ELEMENTS: &[Row] = &[
    ("DoubleStorage", "float64", "f8", None),
    ("FloatStorage", "float32", "f4", None),
    ("HalfStorage", "float16", "f2", None),
    ("BFloat16Storage", "bfloat16", "V2", Some(["bf16", "bf16be"])),
    ("LongStorage", "int64", "i8", None),
    ("IntStorage", "int32", "i4", None),
    ("ShortStorage", "int16", "i2", None),
    ("CharStorage", "int8", "i1", None),
    ("ByteStorage", "uint8", "u1", None),
    ("BoolStorage", "bool", "b1", None),
    ("ComplexDoubleStorage", "complex128", "c16", None),
    ("ComplexFloatStorage", "complex64", "c8", None),
    ("ComplexHalfStorage", "complex32", "V4", Some(["c4", "c4be"])),
    ("UntypedStorage", "", "u1", None),
    ("_UntypedStorage", "", "u1", None),
    ("", "uint16", "u2", None),
    ("", "uint32", "u4", None),
    ("", "uint64", "u8", None),
    ("", "float8_e4m3fn", "V1", Some(["f8_e4m3"; 2])),
    ("", "float8_e5m2", "V1", Some(["f8_e5m2"; 2])),
    ("", "float8_e4m3fnuz", "V1", Some(["f8_e4m3fnuz"; 2])),
    ("", "float8_e5m2fnuz", "V1", Some(["f8_e5m2fnuz"; 2])),
    ("", "float8_e8m0fnu", "V1", Some(["f8_e8m0"; 2])),
];

impl Element {
    /// The elements of a storage of this class.
    pub(super) fn of_storage(class: &str) -> Result<Element, Refusal> {
        if class.starts_with('Q') {
            return Err(quantised());
        }
        Element::find(class, |row| row.0)
    }

    /// The elements of a tensor of this dtype.
    pub(super) fn of_dtype(dtype: &str) -> Result<Element, Refusal> {
        if dtype.starts_with('q') {
            return Err(quantised());
        }
        Element::find(dtype, |row| row.1)
    }

    fn find(name: &str, column: impl Fn(&Row) -> &'static str) -> Result<Element, Refusal> {
        let row = ELEMENTS.iter().find(|row| column(row) == name && !name.is_empty());
        row.map(|&(_, _, code, names)| Element { code, names }).ok_or_else(|| {
            let name: String = name.chars().take(50).collect();
            Refusal(format!("its elements are of torch's type {name}, which is not known; its bytes are in storage/"))
        })
    }

    /// The type, in little-endian or big-endian files.
    pub(super) fn dtype(self, big: bool) -> Result<DType, Refusal> {
        let order = if big { '>' } else { '<' };
        DType::parse(&format!("{order}{}", self.code)).map_err(|error| Refusal(error.to_string()))
    }

    /// Its name where NumPy has none.
    pub(super) fn name(self, big: bool) -> Option<&'static str> {
        self.names.map(|names| names[usize::from(big)])
    }
}

pub(super) fn quantised() -> Refusal {
    Refusal(
        "it is quantised: its elements mean nothing without its scale; save tensor.int_repr(), or tensor.dequantize(); \
         its bytes are in storage/"
            .into(),
    )
}
