//! The tags of a page that become attributes, under the names that TIFF has for them.

use serde_json::Value;

use super::ifd::{Ifd, Reader};
use super::tag;
use crate::format::Refusal;
use crate::format::header::{self, Attributes, MAX_ATTRIBUTES, MAX_TEXT};

/// Texts, of which the start is kept.
const TEXTS: [(u16, &str); 10] = [
    (tag::DESCRIPTION, "ImageDescription"),
    (271, "Make"),
    (272, "Model"),
    (305, "Software"),
    (306, "DateTime"),
    (315, "Artist"),
    (33432, "Copyright"),
    (tag::GDAL_NODATA, "GDAL_NODATA"),
    (42112, "GDAL_METADATA"),
    (34737, "GeoAsciiParams"),
];

/// Lists of floats, or one.
const FLOATS: [(u16, &str); 8] = [
    (282, "XResolution"),
    (283, "YResolution"),
    (286, "XPosition"),
    (287, "YPosition"),
    (33550, "ModelPixelScale"),
    (33922, "ModelTiepoint"),
    (34264, "ModelTransformation"),
    (34736, "GeoDoubleParams"),
];

/// Lists of whole numbers, or one.
const NUMBERS: [(u16, &str); 5] = [
    (254, "NewSubfileType"),
    (274, "Orientation"),
    (284, "PlanarConfiguration"),
    (tag::EXTRA_SAMPLES, "ExtraSamples"),
    (34735, "GeoKeyDirectory"),
];

/// The attributes of a page.
pub(super) fn read(reader: &Reader<'_>, tags: &Ifd) -> Result<Attributes, Refusal> {
    let mut attributes = Attributes::new(MAX_ATTRIBUTES);
    if let Some(photometric) = reader.number(tags, tag::PHOTOMETRIC)? {
        attributes.insert("PhotometricInterpretation", interpretation(photometric));
        let extra = reader.numbers(tags, tag::EXTRA_SAMPLES, 4)?.unwrap_or_default();
        let samples = reader.number(tags, tag::SAMPLES)?.unwrap_or(1);
        if let Some(channels) = channels(photometric, &extra).filter(|letters| letters.len() as u64 == samples) {
            attributes.insert("channels", channels.into());
        }
    }
    if let Some(unit) = reader.number(tags, 296)? {
        let names = ["none", "inch", "centimeter"];
        let name = usize::try_from(unit).ok().and_then(|unit| names.get(unit.wrapping_sub(1)));
        attributes.insert("ResolutionUnit", name.map_or(unit.into(), |&name| name.into()));
    }
    for (number, name) in NUMBERS {
        if let Some(numbers) = reader.numbers(tags, number, header::MAX_LIST)? {
            insert(&mut attributes, name, numbers.into_iter().map(Value::from).collect());
        }
    }
    for (number, name) in FLOATS {
        insert(&mut attributes, name, reader.floats(tags, number)?.into_iter().map(header::float).collect());
    }
    for (number, name) in TEXTS {
        if let Some(text) = reader.texts(tags, number, MAX_TEXT)?.into_iter().find(|text| !text.is_empty()) {
            attributes.insert(name, text.into());
        }
    }
    Ok(attributes)
}

/// One value, or a list of them.
fn insert(attributes: &mut Attributes, name: &str, values: Vec<Value>) {
    match &values[..] {
        [] => {}
        [only] => attributes.insert(name, only.clone()),
        _ => attributes.insert(name, values.into()),
    }
}

/// What samples mean, as TIFF calls it.
fn interpretation(number: u64) -> Value {
    let name = match number {
        0 => "WhiteIsZero",
        1 => "BlackIsZero",
        2 => "RGB",
        3 => "Palette",
        4 => "TransparencyMask",
        5 => "Separated",
        6 => "YCbCr",
        8 => "CIELab",
        9 => "ICCLab",
        10 => "ITULab",
        32803 => "CFA",
        34892 => "LinearRaw",
        _ => return number.into(),
    };
    name.into()
}

/// A letter for each sample of a pixel, where there are letters for them.
fn channels(photometric: u64, extra: &[u64]) -> Option<String> {
    let colours = match photometric {
        0 | 1 if !extra.is_empty() => "Y",
        2 => "RGB",
        5 => "CMYK",
        6 => "YCC",
        8 => "LAB",
        _ => return None,
    };
    let more = extra.iter().map(|&sample| if matches!(sample, 1 | 2) { 'A' } else { 'X' });
    Some(colours.chars().chain(more).collect())
}
