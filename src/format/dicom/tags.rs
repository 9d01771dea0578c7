//! The data elements that describe the pixels, and those that are attributes.

/// Group and element.
pub(super) type Tag = (u16, u16);

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, backslashes between several.
    Text,
    /// Numbers as text, likewise.
    Numbers,
    /// Integers of 2 bytes.
    Short,
    /// Integers of 2 bytes, signed as the pixels are.
    Pixel,
}

use Kind::{Numbers, Pixel, Short, Text};

pub(super) const TRANSFER_SYNTAX: Tag = (0x0002, 0x0010);
pub(super) const SAMPLES_PER_PIXEL: Tag = (0x0028, 0x0002);
pub(super) const PHOTOMETRIC_INTERPRETATION: Tag = (0x0028, 0x0004);
pub(super) const PLANAR_CONFIGURATION: Tag = (0x0028, 0x0006);
pub(super) const NUMBER_OF_FRAMES: Tag = (0x0028, 0x0008);
pub(super) const ROWS: Tag = (0x0028, 0x0010);
pub(super) const COLUMNS: Tag = (0x0028, 0x0011);
pub(super) const BITS_ALLOCATED: Tag = (0x0028, 0x0100);
pub(super) const PIXEL_REPRESENTATION: Tag = (0x0028, 0x0103);
pub(super) const FLOAT_PIXEL_DATA: Tag = (0x7fe0, 0x0008);
pub(super) const DOUBLE_FLOAT_PIXEL_DATA: Tag = (0x7fe0, 0x0009);
pub(super) const PIXEL_DATA: Tag = (0x7fe0, 0x0010);
pub(super) const ITEM: Tag = (0xfffe, 0xe000);
pub(super) const ITEM_END: Tag = (0xfffe, 0xe00d);
pub(super) const SEQUENCE_END: Tag = (0xfffe, 0xe0dd);

/// The attributes, under DICOM's own names; first what scales the elements.
pub(super) const ATTRIBUTES: &[(Tag, &str, Kind)] = &[
    ((0x0028, 0x1052), "RescaleIntercept", Numbers),
    ((0x0028, 0x1053), "RescaleSlope", Numbers),
    ((0x0028, 0x1054), "RescaleType", Text),
    ((0x0028, 0x0030), "PixelSpacing", Numbers),
    ((0x0018, 0x1164), "ImagerPixelSpacing", Numbers),
    ((0x0018, 0x0050), "SliceThickness", Numbers),
    ((0x0018, 0x0088), "SpacingBetweenSlices", Numbers),
    ((0x0020, 0x0032), "ImagePositionPatient", Numbers),
    ((0x0020, 0x0037), "ImageOrientationPatient", Numbers),
    ((0x0020, 0x1041), "SliceLocation", Numbers),
    ((0x3004, 0x000e), "DoseGridScaling", Numbers),
    ((0x3004, 0x000c), "GridFrameOffsetVector", Numbers),
    ((0x0018, 0x1063), "FrameTime", Numbers),
    (PHOTOMETRIC_INTERPRETATION, "PhotometricInterpretation", Text),
    ((0x0028, 0x0101), "BitsStored", Short),
    ((0x0028, 0x0102), "HighBit", Short),
    ((0x0028, 0x0106), "SmallestImagePixelValue", Pixel),
    ((0x0028, 0x0107), "LargestImagePixelValue", Pixel),
    ((0x0028, 0x0120), "PixelPaddingValue", Pixel),
    ((0x0028, 0x1050), "WindowCenter", Numbers),
    ((0x0028, 0x1051), "WindowWidth", Numbers),
    (TRANSFER_SYNTAX, "TransferSyntaxUID", Text),
    ((0x0008, 0x0016), "SOPClassUID", Text),
    ((0x0008, 0x0018), "SOPInstanceUID", Text),
    ((0x0020, 0x000d), "StudyInstanceUID", Text),
    ((0x0020, 0x000e), "SeriesInstanceUID", Text),
    ((0x0020, 0x0011), "SeriesNumber", Numbers),
    ((0x0020, 0x0012), "AcquisitionNumber", Numbers),
    ((0x0020, 0x0013), "InstanceNumber", Numbers),
    ((0x0008, 0x0008), "ImageType", Text),
    ((0x0008, 0x0060), "Modality", Text),
    ((0x0008, 0x0070), "Manufacturer", Text),
    ((0x0008, 0x1090), "ManufacturerModelName", Text),
    ((0x0008, 0x0020), "StudyDate", Text),
    ((0x0008, 0x0030), "StudyTime", Text),
    ((0x0008, 0x1030), "StudyDescription", Text),
    ((0x0008, 0x103e), "SeriesDescription", Text),
    ((0x0018, 0x0015), "BodyPartExamined", Text),
    ((0x0018, 0x1030), "ProtocolName", Text),
    ((0x0018, 0x5100), "PatientPosition", Text),
    ((0x0018, 0x0060), "KVP", Numbers),
    ((0x0018, 0x0080), "RepetitionTime", Numbers),
    ((0x0018, 0x0081), "EchoTime", Numbers),
    ((0x0018, 0x0087), "MagneticFieldStrength", Numbers),
    ((0x0018, 0x1314), "FlipAngle", Numbers),
    ((0x0054, 0x1001), "Units", Text),
];
