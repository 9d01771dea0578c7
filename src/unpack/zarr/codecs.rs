//! The codecs that Zarr's metadata name: those of numcodecs, and those of version 3.

use serde_json::{Map, Value};

use crate::dtype::ByteOrder;
use crate::format::Refusal;
use crate::format::zarr::{Extension, Pipeline, SHARDING};
use crate::unpack::codec::checksum::{Checksum, Kind};
use crate::unpack::codec::deflate::{Gzip, Zlib};
use crate::unpack::codec::lzma::Lzma;
use crate::unpack::codec::numbers::{Filter, Numbers, PackBits, Type};
use crate::unpack::codec::shuffle::Shuffle;
use crate::unpack::codec::{Chain, Codec, blosc, bzip2, lz4, zstd};

/// The largest element that numcodecs shuffles.
const MAX_SHUFFLED: u64 = 1 << 20;

/// The codecs of a chunk.
pub(super) fn chain(codecs: &[Extension]) -> Result<Chain, Refusal> {
    let mut chain = Vec::new();
    for extension in codecs {
        chain.extend(codec(extension)?);
    }
    Ok(Chain(chain))
}

/// What undoes a codec; nothing where there is nothing to be undone.
fn codec(extension: &Extension) -> Result<Option<Box<dyn Codec>>, Refusal> {
    let configuration = &extension.configuration;
    let found: Box<dyn Codec> = match extension.common_name() {
        "gzip" => Box::new(Gzip),
        "zlib" => Box::new(Zlib),
        "zstd" => Box::new(zstd::Zstd),
        "lz4" => Box::new(lz4::Lz4),
        "blosc" => Box::new(blosc::Blosc),
        "bz2" => Box::new(bzip2::Bzip2),
        "lzma" => match configuration.get("format").map_or(Some(1), Value::as_u64) {
            Some(0) => Box::new(Lzma::Auto),
            Some(1) => Box::new(Lzma::Xz),
            Some(2) => Box::new(Lzma::Alone),
            _ => return Err(unknown(&format!("{} without a header", extension.described()))),
        },
        "shuffle" => {
            let size = configuration.get("elementsize").map_or(Some(4), Value::as_u64);
            let size = size.filter(|&size| size <= MAX_SHUFFLED).ok_or_else(|| without(extension, "elementsize"))?;
            Box::new(Shuffle { size: size as usize })
        }
        "crc32" => checksum(Kind::Crc32, extension, "start")?,
        "crc32c" => checksum(Kind::Crc32c, extension, "end")?,
        "adler32" => checksum(Kind::Adler32, extension, "start")?,
        "fletcher32" => checksum(Kind::Fletcher32, extension, "end")?,
        "delta" => return numbers(extension, Filter::Delta, "dtype", "astype").map(Some),
        "fixedscaleoffset" => {
            let number = |key: &str| {
                let number = configuration.get(key).and_then(Value::as_f64);
                number.ok_or_else(|| without(extension, key))
            };
            let filter = Filter::FixedScaleOffset { scale: number("scale")?, offset: number("offset")? };
            return numbers(extension, filter, "dtype", "astype").map(Some);
        }
        "quantize" if is_same(configuration, "dtype", "astype") => return Ok(None),
        "quantize" => return numbers(extension, Filter::AsType, "dtype", "astype").map(Some),
        "astype" => return numbers(extension, Filter::AsType, "decode_dtype", "encode_dtype").map(Some),
        "packbits" => Box::new(PackBits),
        // What it rounded stays rounded.
        "bitround" => return Ok(None),
        // Behind filters that calculate. They know numbers in the order of their own types alone.
        "bytes" if configuration.get("endian").is_none_or(|order| order == "little") => return Ok(None),
        "bytes" => return Err(unknown("bytes (big-endian, behind other filters)")),
        _ => return Err(unknown(&extension.described())),
    };
    Ok(Some(found))
}

/// The refusal of a codec.
fn unknown(name: &str) -> Refusal {
    Refusal(format!(
        "its chunks went through the codec {name}, which is not built in; read it with the library that wrote it, and \
         write it again with another"
    ))
}

fn without(extension: &Extension, key: &str) -> Refusal {
    let name = extension.described();
    Refusal(format!("its metadata give the codec {name} no {key} that can be; they are damaged: write them again"))
}

fn checksum(kind: Kind, extension: &Extension, default: &str) -> Result<Box<dyn Codec>, Refusal> {
    let location = match extension.configuration.get("location") {
        None | Some(Value::Null) => default,
        Some(location) => location.as_str().unwrap_or_default(),
    };
    match location {
        "start" => Ok(Box::new(Checksum { kind, at_start: true })),
        "end" => Ok(Box::new(Checksum { kind, at_start: false })),
        _ => Err(without(extension, "location")),
    }
}

/// A filter that calculates numbers of one type from those of another, which may be left out.
fn numbers(extension: &Extension, filter: Filter, plain: &str, stored: &str) -> Result<Box<dyn Codec>, Refusal> {
    let configuration = &extension.configuration;
    let named = |key: &str| configuration.get(key).filter(|value| !value.is_null());
    let parse = |key: &str| {
        let text = named(key).and_then(Value::as_str).ok_or_else(|| without(extension, key))?;
        Type::parse(text).ok_or_else(|| unknown(&format!("{} of the type {text}", extension.described())))
    };
    let plain_type = parse(plain)?;
    let stored = if named(stored).is_some() { parse(stored)? } else { plain_type };
    Ok(Box::new(Numbers { filter, plain: plain_type, stored }))
}

fn is_same(configuration: &Map<String, Value>, plain: &str, stored: &str) -> bool {
    let stored = configuration.get(stored).filter(|value| !value.is_null());
    stored.is_none_or(|stored| Some(stored) == configuration.get(plain))
}

/// The codec `sharding_indexed`.
#[derive(Debug)]
pub(super) struct Sharding {
    /// Shape of a chunk, on the axes of the shard as it is stored.
    pub(super) shape: Vec<u64>,
    /// What was done to the index.
    pub(super) index: Chain,
    /// By how many bytes that made it longer.
    pub(super) index_overhead: u64,
    pub(super) index_order: ByteOrder,
    pub(super) index_at_start: bool,
    /// The codecs of the chunks.
    codecs: Value,
}

/// What is in a shard.
pub(super) enum Inner {
    /// Chunks of elements.
    Elements(Pipeline),
    /// Shards.
    Shard(Pipeline, Sharding),
}

impl Inner {
    /// The axes of a chunk, from the slowest to the fastest, each one of the shard's.
    pub(super) fn axes(&self) -> &[usize] {
        match self {
            Inner::Elements(pipeline) | Inner::Shard(pipeline, _) => &pipeline.axes,
        }
    }
}

impl Sharding {
    /// The codec that comes first among these.
    pub(super) fn new(codecs: &[Extension]) -> Result<Sharding, Refusal> {
        let [sharding, rest @ ..] = codecs else { return Err(unknown(SHARDING)) };
        if !rest.is_empty() {
            return Err(unknown(&format!("{SHARDING}, and then others")));
        }
        let get = |key: &str| sharding.configuration.get(key).ok_or_else(|| without(sharding, key));
        let shape = get("chunk_shape")?.as_array().and_then(|list| list.iter().map(Value::as_u64).collect());
        let shape: Vec<u64> = shape.ok_or_else(|| without(sharding, "chunk_shape"))?;
        let pipeline = Pipeline::parse(get("index_codecs")?, shape.len() + 1)?;
        if !pipeline.axes.iter().copied().eq(0..=shape.len()) {
            return Err(unknown("transpose for the index of shards"));
        }
        if let Some(other) = pipeline.codecs.iter().find(|codec| codec.name != "crc32c") {
            return Err(unknown(&format!("{} for the index of shards", other.described())));
        }
        let index_at_start = match sharding.configuration.get("index_location") {
            None | Some(Value::Null) => false,
            Some(Value::String(place)) if place == "end" => false,
            Some(Value::String(place)) if place == "start" => true,
            Some(_) => return Err(without(sharding, "index_location")),
        };
        Ok(Sharding {
            shape,
            index_overhead: 4 * pipeline.codecs.len() as u64,
            index: chain(&pipeline.codecs)?,
            index_order: pipeline.order,
            index_at_start,
            codecs: get("codecs")?.clone(),
        })
    }

    /// What is in a shard with so many axes.
    pub(super) fn inner(&self, ndim: usize) -> Result<Inner, Refusal> {
        let pipeline = Pipeline::parse(&self.codecs, ndim)?;
        if pipeline.codecs.first().is_some_and(|codec| codec.name == SHARDING) {
            let sharding = Sharding::new(&pipeline.codecs)?;
            Ok(Inner::Shard(pipeline, sharding))
        } else {
            Ok(Inner::Elements(pipeline))
        }
    }
}
