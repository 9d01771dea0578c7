//! The header of a `.safetensors` file, read by visitors that see every key: a map would silently keep the last of
//! two entries of one name.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{bits, fault};
use crate::dtype::literal::excerpt;
use crate::format::Refusal;
use crate::format::header::{MAX_ENTRIES, MAX_TEXT};
use crate::layout::MAX_NDIM;

/// The entry of the header that is no tensor.
const METADATA: &str = "__metadata__";

/// What a header says.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Its metadata, as far as the values are short.
    pub(super) metadata: Vec<(String, String)>,
    /// The tensors by name, in the order of the header.
    pub(super) tensors: Vec<(String, Tensor)>,
}

/// The entry of a tensor.
#[derive(Debug, PartialEq)]
pub(super) struct Tensor {
    /// Name of the element type; of an unknown one perhaps only the beginning.
    pub(super) dtype: String,
    /// Length of each axis; no more than one above [`MAX_NDIM`] of them.
    pub(super) shape: Vec<u64>,
    /// The first byte and one past the last, counted from the header's end.
    pub(super) data_offsets: (u64, u64),
    /// Number of elements, unless it is too large.
    count: Option<u64>,
}

impl Tensor {
    /// Bits of all elements, unless they are too many; nothing if the type is unknown.
    pub(super) fn bits(&self) -> Option<Option<u128>> {
        let bits = bits(&self.dtype)?;
        Some(self.count.map(|count| u128::from(count) * u128::from(bits)))
    }
}

/// Parses the text of a header.
pub(super) fn parse(text: &[u8]) -> Result<Header, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let header = Header::deserialize(&mut deserializer).and_then(|header| deserializer.end().map(|()| header));
    header.map_err(|error| {
        // What is in the place of something else is quoted, however long it is.
        let error: String = error.to_string().chars().take(200).collect();
        fault(&format!("its .safetensors header is not what the format demands: {error}"))
    })
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Header, A::Error> {
                let (mut header, mut metadata) = (Header::default(), None);
                while let Some(name) = entries.next_key::<String>()? {
                    if name == METADATA {
                        let twice = metadata.replace(entries.next_value::<Option<Metadata>>()?).is_some();
                        if twice {
                            return Err(A::Error::custom(format!("{METADATA} stands twice")));
                        }
                    } else {
                        if header.tensors.len() as u64 == MAX_ENTRIES {
                            return Err(A::Error::custom(format!("more than {MAX_ENTRIES} tensors")));
                        }
                        let tensor = entries.next_value()?;
                        header.tensors.push((name, tensor));
                    }
                }
                let mut seen = HashSet::with_capacity(header.tensors.len());
                if let Some((twice, _)) = header.tensors.iter().find(|(name, _)| !seen.insert(name)) {
                    return Err(A::Error::custom(format!("the tensor {} stands twice", excerpt(twice))));
                }
                header.metadata = metadata.flatten().map(|Metadata(pairs)| pairs).unwrap_or_default();
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The pairs of the metadata whose values are short.
struct Metadata(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of strings in {METADATA}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Metadata, A::Error> {
                let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
                while let Some((key, value)) = entries.next_entry::<String, String>()? {
                    if value.len() as u64 <= MAX_TEXT {
                        pairs.push((key.clone(), value));
                    }
                    if !seen.insert(key) {
                        return Err(A::Error::custom(format!("a key stands twice in {METADATA}")));
                    }
                    if seen.len() as u64 > MAX_ENTRIES {
                        return Err(A::Error::custom(format!("more than {MAX_ENTRIES} keys in {METADATA}")));
                    }
                }
                Ok(Metadata(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tensor, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Tensor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tensor: an object with dtype, shape and data_offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tensor, A::Error> {
                let (mut dtype, mut shape, mut offsets) = (None, None, None);
                while let Some(key) = entries.next_key::<String>()? {
                    let twice = match key.as_str() {
                        "dtype" => dtype.replace(entries.next_value::<String>()?).is_some(),
                        "shape" => shape.replace(entries.next_value::<Shape>()?).is_some(),
                        "data_offsets" => offsets.replace(entries.next_value()?).is_some(),
                        _ => entries.next_value::<IgnoredAny>().map(|_| false)?,
                    };
                    if twice {
                        return Err(A::Error::custom(format!("a tensor has the key {key} twice")));
                    }
                }
                let missing = |key| move || A::Error::custom(format!("a tensor lacks the key {key}"));
                let mut dtype = dtype.ok_or_else(missing("dtype"))?;
                let Shape { lengths, count } = shape.ok_or_else(missing("shape"))?;
                let data_offsets = offsets.ok_or_else(missing("data_offsets"))?;
                if bits(&dtype).is_none() {
                    // Only for a message.
                    dtype = dtype.chars().take(100).collect();
                }
                Ok(Tensor { dtype, shape: lengths, data_offsets, count })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// The lengths of axes, as many as can matter, and the number of elements, unless it is too large.
struct Shape {
    lengths: Vec<u64>,
    count: Option<u64>,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        struct Lengths;
        impl<'de> Visitor<'de> for Lengths {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the shape of a tensor, a list of lengths")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
                let mut shape = Shape { lengths: Vec::new(), count: Some(1) };
                while let Some(length) = items.next_element::<u64>()? {
                    shape.count = shape.count.and_then(|count| count.checked_mul(length));
                    if shape.lengths.len() <= MAX_NDIM {
                        shape.lengths.push(length);
                    }
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_seq(Lengths)
    }
}
