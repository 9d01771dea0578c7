//! DICOM (`.dcm`), the images of medicine, where their pixels are stored plainly.
//!
//! Specification: "Digital Imaging and Communications in Medicine (DICOM)", NEMA PS3, parts 3, 5 and 10. A file is
//!
//! | bytes | what                                                                                    |
//! |-------|-----------------------------------------------------------------------------------------|
//! | 128   | anything                                                                                |
//! | 4     | `DICM`                                                                                  |
//! | rest  | data elements: those of group 2 tell how the others are written; then these, by their tags |
//!
//! A data element is its tag (group and element, 2 bytes each), its type (VR, 2 letters; not in the implicit syntax),
//! the length of its value (2 or 4 bytes) and the value; that of a sequence is a row of items, each of them data
//! elements again. The elements of the array are the value of Pixel Data (7FE0,0010), Float Pixel Data (7FE0,0008) or
//! Double Float Pixel Data (7FE0,0009). The transfer syntaxes that are served:
//!
//! | UID                  | what                                                      |
//! |----------------------|-----------------------------------------------------------|
//! | 1.2.840.10008.1.2    | implicit VR, little-endian                                |
//! | 1.2.840.10008.1.2.1  | explicit VR, little-endian                                |
//! | 1.2.840.10008.1.2.2  | explicit VR, big-endian                                   |
//!
//! Shapes are those of pydicom: frames (where there are several), rows, columns, samples (where there are several).
//! Where the samples are stored one plane behind the other (Planar Configuration 1), the array is strided. Elements are
//! served as they are stored; Rescale Slope and Intercept are attributes.
//!
//! Limits, and why:
//!
//! - In all other syntaxes the pixels, or the whole file, are compressed, and elements have no address.
//! - Elements of 1 bit have none either. YBR_FULL_422 and the like have fewer samples of colour than of light, and are
//!   no array.
//! - Bytes of pixels in big-endian words (OW) stand in pairs the wrong way round; no strides lead through them.
//! - The pixels must begin within the first [`MAX_HEADER`] bytes, and sequences nest at most [`MAX_NESTING`] deep.

use serde_json::Value;

use crate::dtype::literal::excerpt;
use crate::dtype::{ByteOrder, Kind};
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES};
use crate::format::{Array, Content, Format, Refusal};
use crate::grid::Grid;
use crate::layout::{Layout, Order, packed_strides};
use crate::source::{ReadAt, Siblings};

mod elements;
mod tags;
#[cfg(test)]
mod tests;

use elements::{DataSet, Pixels};

/// The byte of the file at which the pixels must have begun.
pub const MAX_HEADER: u64 = 256 << 20;

/// The deepest nesting of sequences.
pub const MAX_NESTING: usize = 64;

/// Bytes in front of `DICM`.
const PREAMBLE: usize = 128;

/// The DICOM format.
#[derive(Clone, Copy, Debug)]
pub struct Dicom;

impl Format for Dicom {
    fn name(&self) -> &'static str {
        "dicom"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[".dcm", ".dicom"]
    }

    fn knows(&self, head: &[u8]) -> bool {
        head.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM")
    }

    fn may_hold_many(&self) -> bool {
        false
    }

    fn parse(&self, _file_name: &str, file: &dyn ReadAt, _siblings: &dyn Siblings) -> Result<Content, Refusal> {
        let (set, pixels) = elements::read(file)?;
        let (kind, itemsize) = element(&set, &pixels)?;
        let layout = layout(&set, &pixels, itemsize)?;
        let size = layout.extent().end - pixels.offset;
        if layout.count() > 0 && size > pixels.length {
            return Err(fault(&format!(
                "its header describes {size} bytes of pixels, and there are {}",
                pixels.length
            )));
        }
        header::complete(&layout, file.len())?;
        let dtype = header::scalar(kind, pixels.order, itemsize);
        let mut dims: Vec<String> = ["row", "column", "sample"].map(str::to_owned).to_vec();
        if set.frames()? > 1 {
            dims.insert(0, "frame".into());
        }
        dims.truncate(layout.shape.len());
        Ok(Content::One(Array {
            dims,
            attributes: attributes(&set),
            ..Array::new(self.name(), dtype, Grid::one(layout))
        }))
    }
}

fn fault(what: &str) -> Refusal {
    Refusal(format!("{what}; it is damaged: copy or export it again"))
}

/// The type of the pixels, and their size in bytes.
fn element(set: &DataSet, pixels: &Pixels) -> Result<(Kind, u64), Refusal> {
    let photometric = set.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
    if matches!(&*photometric, "YBR_FULL_422" | "YBR_PARTIAL_422" | "YBR_PARTIAL_420") {
        return Err(Refusal(format!(
            "its samples of colour are fewer than those of light ({photometric}), so that they form no array; convert \
             it to RGB"
        )));
    }
    let bits = match pixels.tag {
        tags::FLOAT_PIXEL_DATA => return Ok((Kind::Float, 4)),
        tags::DOUBLE_FLOAT_PIXEL_DATA => return Ok((Kind::Float, 8)),
        _ => set.count(tags::BITS_ALLOCATED)?,
    };
    let kind = if set.count(tags::PIXEL_REPRESENTATION).unwrap_or(0) == 1 { Kind::Int } else { Kind::Uint };
    match bits {
        8 if pixels.order == ByteOrder::Big && pixels.is_words => Err(Refusal(
            "its pixels are bytes in big-endian words, each pair of them the wrong way round; convert it to \
             explicit VR little-endian"
                .into(),
        )),
        8 | 16 | 32 | 64 => Ok((kind, bits / 8)),
        1 => Err(Refusal("its pixels are single bits, so that none has an address; convert it to 8 bits".into())),
        _ => Err(Refusal(format!("its pixels take {bits} bits each, which no element has; convert it to 16 bits"))),
    }
}

fn layout(set: &DataSet, pixels: &Pixels, itemsize: u64) -> Result<Layout, Refusal> {
    let (frames, rows, columns) = (set.frames()?, set.count(tags::ROWS)?, set.count(tags::COLUMNS)?);
    let samples = set.count(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
    let is_planar = samples > 1 && set.count(tags::PLANAR_CONFIGURATION).unwrap_or(0) == 1;
    let cannot_be = |error| fault(&format!("its header claims an array that cannot be: {error}"));
    let stored = if is_planar { [frames, samples, rows, columns] } else { [frames, rows, columns, samples] };
    let strides = packed_strides(&stored, itemsize, Order::C).map_err(cannot_be)?;
    let strides = if is_planar { [strides[0], strides[2], strides[3], strides[1]].to_vec() } else { strides };
    let shape = vec![frames, rows, columns, samples];
    let mut layout = Layout { offset: pixels.offset, shape, strides, itemsize };
    if samples == 1 {
        layout.shape.pop();
        layout.strides.pop();
    }
    if frames == 1 {
        layout.shape.remove(0);
        layout.strides.remove(0);
    }
    layout.check().map_err(cannot_be)?;
    Ok(layout)
}

impl DataSet {
    fn frames(&self) -> Result<u64, Refusal> {
        let Some(text) = self.text(tags::NUMBER_OF_FRAMES).filter(|text| !text.is_empty()) else { return Ok(1) };
        let frames = text.parse().ok().filter(|&frames| frames > 0);
        frames.ok_or_else(|| fault(&format!("its header gives the number of frames as {}", excerpt(&text))))
    }
}

fn attributes(set: &DataSet) -> serde_json::Map<String, Value> {
    let mut attributes = Attributes::new(MAX_ATTRIBUTES);
    for &(tag, name, kind) in tags::ATTRIBUTES {
        if let Some(value) = set.value(tag, kind) {
            attributes.insert(name, value);
        }
    }
    attributes.into_map()
}
