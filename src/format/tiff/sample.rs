//! What the samples of a page are: their type, how many a pixel has, and what stands where none were written.

use super::ifd::{Ifd, Reader};
use super::{fault, tag};
use crate::dtype::{ByteOrder, DType, Field, Kind, Record, Scalar};
use crate::format::{Refusal, header};

/// The most samples of a pixel.
const MAX_SAMPLES: u64 = u16::MAX as u64;

/// How many samples a pixel has.
pub(super) fn per_pixel(reader: &Reader<'_>, tags: &Ifd) -> Result<u64, Refusal> {
    match reader.number(tags, tag::SAMPLES)?.unwrap_or(1) {
        samples @ 1..=MAX_SAMPLES => Ok(samples),
        samples => Err(fault(&format!("one of its directories claims {samples} samples for a pixel"))),
    }
}

/// The only value of a tag that has one for each sample, if there is one; else `usual`.
fn of_all(reader: &Reader<'_>, tags: &Ifd, number: u16, usual: u64, what: &str) -> Result<u64, Refusal> {
    let values = reader.numbers(tags, number, MAX_SAMPLES)?.unwrap_or_default();
    let first = values.first().copied().unwrap_or(usual);
    if values.iter().any(|&value| value != first) {
        return Err(Refusal(format!("the samples of a pixel are of several {what}; save it with all of one")));
    }
    Ok(first)
}

/// The type of the samples of a page.
pub(super) fn read(reader: &Reader<'_>, tags: &Ifd) -> Result<DType, Refusal> {
    let bits = of_all(reader, tags, tag::BITS, 1, "sizes")?;
    let format = of_all(reader, tags, tag::SAMPLE_FORMAT, 1, "types")?;
    let (kind, sizes, name): (_, &[u64], _) = match format {
        1 | 4 => (Kind::Uint, &[8, 16, 32, 64], "integers"),
        2 => (Kind::Int, &[8, 16, 32, 64], "integers"),
        3 => (Kind::Float, &[16, 32, 64], "floats"),
        5 => (Kind::Void, &[16, 32, 64], "complex integers"),
        6 => (Kind::Complex, &[64, 128], "complex floats"),
        _ => return Err(fault(&format!("its SampleFormat is {format}, which TIFF does not know"))),
    };
    if !sizes.contains(&bits) {
        let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
        return Err(Refusal(format!(
            "its samples are {name}, and the bits of each are {bits}: they share bytes, or NumPy has no such type; save it with \
             samples of {} bits",
            sizes.join(" or ")
        )));
    }
    match format {
        5 => complex_integers(reader.order, bits / 16),
        _ => Ok(header::scalar(kind, reader.order, bits / 8)),
    }
}

/// Two integers, as MRC has them too.
fn complex_integers(order: ByteOrder, itemsize: u64) -> Result<DType, Refusal> {
    let part = |name: &str, offset| Field {
        name: name.into(),
        title: None,
        offset,
        dtype: header::scalar(Kind::Int, order, itemsize),
        shape: Vec::new(),
    };
    let record = Record::new(vec![part("real", 0), part("imag", itemsize)], 2 * itemsize).map_err(header::no_type)?;
    Ok(DType::Record(record.into()))
}

/// The element that stands where nothing was written: that of `GDAL_NODATA`, or zero, which is no bytes.
pub(super) fn fill(reader: &Reader<'_>, tags: &Ifd, dtype: &DType) -> Result<Vec<u8>, Refusal> {
    let texts = reader.texts(tags, tag::GDAL_NODATA, 64)?;
    let Some(text) = texts.first().filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let bytes = match dtype {
        DType::Scalar(scalar) => encode(text, scalar),
        DType::Record(_) => None,
    };
    bytes.ok_or_else(|| {
        Refusal(format!(
            "some of its tiles were never written and stand for {text} (GDAL_NODATA), which its type cannot hold; save it \
             with all of its tiles (gdal_translate -co SPARSE_OK=FALSE)"
        ))
    })
}

/// The bytes of a number in this type, if it can hold it.
fn encode(text: &str, scalar: &Scalar) -> Option<Vec<u8>> {
    let number: f64 = text.parse().ok()?;
    // Whole numbers of 64 bits need not be floats.
    let whole = || text.parse().ok().or_else(|| (number.fract() == 0.0).then_some(number as i128));
    let (mut bytes, part) = match (scalar.kind, scalar.itemsize) {
        (Kind::Float, 2) if number == 0.0 => (vec![0; 2], 2),
        (Kind::Float, 2) if number.is_nan() => (vec![0, 0x7e], 2),
        (Kind::Float, 4) => ((number as f32).to_le_bytes().to_vec(), 4),
        (Kind::Float, 8) => (number.to_le_bytes().to_vec(), 8),
        (Kind::Complex, 8) => ([(number as f32).to_le_bytes(), [0; 4]].concat(), 4),
        (Kind::Complex, 16) => ([number.to_le_bytes(), [0; 8]].concat(), 8),
        (Kind::Int | Kind::Uint, size @ 1..=8) => {
            let whole: i128 = whole()?;
            let (low, high) = match scalar.kind {
                Kind::Int => (-(1_i128 << (8 * size - 1)), 1_i128 << (8 * size - 1)),
                _ => (0, 1_i128 << (8 * size)),
            };
            let held = (low..high).contains(&whole).then(|| whole.to_le_bytes())?;
            (held[..size as usize].to_vec(), size as usize)
        }
        _ => return None,
    };
    if scalar.order == ByteOrder::Big {
        bytes.chunks_exact_mut(part).for_each(<[u8]>::reverse);
    }
    Some(bytes)
}
