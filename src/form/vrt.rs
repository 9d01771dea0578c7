//! `.vrt`: a description of the array file itself for GDAL, which then reads it with no copy and without the mount.
//!
//! A `VRTRawRasterBand` says at which byte of which file a band begins, and how far its pixels and lines lie apart, in bytes. Two axes
//! are one band; of three, the first counts bands. GDAL reads only files beside or below the `.vrt` this way unless
//! `GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE` is `ALL`. Specification: gdal.org/drivers/raster/vrt.html.

use std::fmt::Write;

use super::{Face, Slice};
use crate::convert::{Code, Element};

/// The most bands.
const MAX_BANDS: u64 = 1024;

pub(super) fn face(slice: &Slice<'_>) -> Option<Face> {
    let (file, layout) = slice.file?;
    let file = file.to_str()?;
    let Element { code, big, complex } = slice.number()?;
    let kind = match (code, complex) {
        (Code::Uint(1), _) => "Byte",
        (Code::Int(1), _) => "Int8",
        (Code::Uint(2), _) => "UInt16",
        (Code::Int(2), _) => "Int16",
        (Code::Uint(4), _) => "UInt32",
        (Code::Int(4), _) => "Int32",
        (Code::Uint(8), _) => "UInt64",
        (Code::Int(8), _) => "Int64",
        (Code::Float(4), false) => "Float32",
        (Code::Float(_), false) => "Float64",
        (Code::Float(4), true) => "CFloat32",
        (Code::Float(_), true) => "CFloat64",
        _ => return None,
    };
    let (bands, height, width) = match *layout.shape {
        [height, width] => (1, height, width),
        [bands, height, width] => (bands, height, width),
        _ => return None,
    };
    let (&pixel, &line) = (layout.strides.last()?, &layout.strides[layout.strides.len() - 2]);
    let band = if bands > 1 { layout.strides[0] } else { 0 };
    // GDAL counts in 32 bits, and wants the pixels of a line one after the other.
    let fits = |step: i64| i32::try_from(step).is_ok();
    if slice.count() == 0
        || bands > MAX_BANDS
        || height.max(width) > i32::MAX as u64
        || !fits(pixel)
        || !fits(line)
        || pixel <= 0
    {
        return None;
    }
    let order = if big { "MSB" } else { "LSB" };
    let name = file.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = format!("<VRTDataset rasterXSize=\"{width}\" rasterYSize=\"{height}\">\n");
    for number in 0..bands {
        let offset = layout.offset.wrapping_add_signed(band * number as i64);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  <VRTRasterBand dataType=\"{kind}\" band=\"{}\" subClass=\"VRTRawRasterBand\">\n    \
             <SourceFilename relativeToVRT=\"0\">{name}</SourceFilename>\n    <ImageOffset>{offset}</ImageOffset>\n    \
             <PixelOffset>{pixel}</PixelOffset>\n    <LineOffset>{line}</LineOffset>\n    <ByteOrder>{order}</ByteOrder>\n  \
             </VRTRasterBand>\n",
            number + 1
        );
    }
    text.push_str("</VRTDataset>\n");
    Some(Face::Document(text.into_bytes()))
}
