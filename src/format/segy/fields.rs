//! The fields of SEG-Y's trace and binary headers, and the alphabet of its texts.
//!
//! Names are those of segyio, which people know; SEG numbers bytes from 1 on.

/// The fields of a trace header: name, first byte as SEG counts, bytes. They follow each other without a gap.
#[rustfmt::skip]
pub(in crate::format) const TRACE: &[(&str, u64, u64)] = &[
    ("TRACE_SEQUENCE_LINE", 1, 4), ("TRACE_SEQUENCE_FILE", 5, 4), ("FieldRecord", 9, 4), ("TraceNumber", 13, 4),
    ("EnergySourcePoint", 17, 4), ("CDP", 21, 4), ("CDP_TRACE", 25, 4), ("TraceIdentificationCode", 29, 2),
    ("NSummedTraces", 31, 2), ("NStackedTraces", 33, 2), ("DataUse", 35, 2), ("offset", 37, 4),
    ("ReceiverGroupElevation", 41, 4), ("SourceSurfaceElevation", 45, 4), ("SourceDepth", 49, 4),
    ("ReceiverDatumElevation", 53, 4), ("SourceDatumElevation", 57, 4), ("SourceWaterDepth", 61, 4),
    ("GroupWaterDepth", 65, 4), ("ElevationScalar", 69, 2), ("SourceGroupScalar", 71, 2), ("SourceX", 73, 4),
    ("SourceY", 77, 4), ("GroupX", 81, 4), ("GroupY", 85, 4), ("CoordinateUnits", 89, 2),
    ("WeatheringVelocity", 91, 2), ("SubWeatheringVelocity", 93, 2), ("SourceUpholeTime", 95, 2),
    ("GroupUpholeTime", 97, 2), ("SourceStaticCorrection", 99, 2), ("GroupStaticCorrection", 101, 2),
    ("TotalStaticApplied", 103, 2), ("LagTimeA", 105, 2), ("LagTimeB", 107, 2), ("DelayRecordingTime", 109, 2),
    ("MuteTimeStart", 111, 2), ("MuteTimeEND", 113, 2), ("TRACE_SAMPLE_COUNT", 115, 2),
    ("TRACE_SAMPLE_INTERVAL", 117, 2), ("GainType", 119, 2), ("InstrumentGainConstant", 121, 2),
    ("InstrumentInitialGain", 123, 2), ("Correlated", 125, 2), ("SweepFrequencyStart", 127, 2),
    ("SweepFrequencyEnd", 129, 2), ("SweepLength", 131, 2), ("SweepType", 133, 2),
    ("SweepTraceTaperLengthStart", 135, 2), ("SweepTraceTaperLengthEnd", 137, 2), ("TaperType", 139, 2),
    ("AliasFilterFrequency", 141, 2), ("AliasFilterSlope", 143, 2), ("NotchFilterFrequency", 145, 2),
    ("NotchFilterSlope", 147, 2), ("LowCutFrequency", 149, 2), ("HighCutFrequency", 151, 2), ("LowCutSlope", 153, 2),
    ("HighCutSlope", 155, 2), ("YearDataRecorded", 157, 2), ("DayOfYear", 159, 2), ("HourOfDay", 161, 2),
    ("MinuteOfHour", 163, 2), ("SecondOfMinute", 165, 2), ("TimeBaseCode", 167, 2), ("TraceWeightingFactor", 169, 2),
    ("GeophoneGroupNumberRoll1", 171, 2), ("GeophoneGroupNumberFirstTraceOrigField", 173, 2),
    ("GeophoneGroupNumberLastTraceOrigField", 175, 2), ("GapSize", 177, 2), ("OverTravel", 179, 2), ("CDP_X", 181, 4),
    ("CDP_Y", 185, 4), ("INLINE_3D", 189, 4), ("CROSSLINE_3D", 193, 4), ("ShotPoint", 197, 4),
    ("ShotPointScalar", 201, 2), ("TraceValueMeasurementUnit", 203, 2), ("TransductionConstantMantissa", 205, 4),
    ("TransductionConstantPower", 209, 2), ("TransductionUnit", 211, 2), ("TraceIdentifier", 213, 2),
    ("ScalarTraceHeader", 215, 2), ("SourceType", 217, 2), ("SourceEnergyDirectionMantissa", 219, 4),
    ("SourceEnergyDirectionExponent", 223, 2), ("SourceMeasurementMantissa", 225, 4),
    ("SourceMeasurementExponent", 229, 2), ("SourceMeasurementUnit", 231, 2), ("UnassignedInt1", 233, 4),
    ("UnassignedInt2", 237, 4),
];

/// The fields of the binary header, likewise. The extended ones of revision 2 are left out: what they say is in the shape.
#[rustfmt::skip]
pub(in crate::format) const BINARY: &[(&str, u64, u64)] = &[
    ("JobID", 3201, 4), ("LineNumber", 3205, 4), ("ReelNumber", 3209, 4), ("Traces", 3213, 2), ("AuxTraces", 3215, 2),
    ("Interval", 3217, 2), ("IntervalOriginal", 3219, 2), ("Samples", 3221, 2), ("SamplesOriginal", 3223, 2),
    ("Format", 3225, 2), ("EnsembleFold", 3227, 2), ("SortingCode", 3229, 2), ("VerticalSum", 3231, 2),
    ("SweepFrequencyStart", 3233, 2), ("SweepFrequencyEnd", 3235, 2), ("SweepLength", 3237, 2), ("Sweep", 3239, 2),
    ("SweepChannel", 3241, 2), ("SweepTaperStart", 3243, 2), ("SweepTaperEnd", 3245, 2), ("Taper", 3247, 2),
    ("CorrelatedTraces", 3249, 2), ("BinaryGainRecovery", 3251, 2), ("AmplitudeRecovery", 3253, 2),
    ("MeasurementSystem", 3255, 2), ("ImpulseSignalPolarity", 3257, 2), ("VibratoryPolarity", 3259, 2),
];

/// The characters of EBCDIC (IBM's code page 037), all of them in Latin-1.
#[rustfmt::skip]
const EBCDIC: [u8; 256] = [
    0x00, 0x01, 0x02, 0x03, 0x9c, 0x09, 0x86, 0x7f, 0x97, 0x8d, 0x8e, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x9d, 0x85, 0x08, 0x87, 0x18, 0x19, 0x92, 0x8f, 0x1c, 0x1d, 0x1e, 0x1f,
    0x80, 0x81, 0x82, 0x83, 0x84, 0x0a, 0x17, 0x1b, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x05, 0x06, 0x07,
    0x90, 0x91, 0x16, 0x93, 0x94, 0x95, 0x96, 0x04, 0x98, 0x99, 0x9a, 0x9b, 0x14, 0x15, 0x9e, 0x1a,
    0x20, 0xa0, 0xe2, 0xe4, 0xe0, 0xe1, 0xe3, 0xe5, 0xe7, 0xf1, 0xa2, 0x2e, 0x3c, 0x28, 0x2b, 0x7c,
    0x26, 0xe9, 0xea, 0xeb, 0xe8, 0xed, 0xee, 0xef, 0xec, 0xdf, 0x21, 0x24, 0x2a, 0x29, 0x3b, 0xac,
    0x2d, 0x2f, 0xc2, 0xc4, 0xc0, 0xc1, 0xc3, 0xc5, 0xc7, 0xd1, 0xa6, 0x2c, 0x25, 0x5f, 0x3e, 0x3f,
    0xf8, 0xc9, 0xca, 0xcb, 0xc8, 0xcd, 0xce, 0xcf, 0xcc, 0x60, 0x3a, 0x23, 0x40, 0x27, 0x3d, 0x22,
    0xd8, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0xab, 0xbb, 0xf0, 0xfd, 0xfe, 0xb1,
    0xb0, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0xaa, 0xba, 0xe6, 0xb8, 0xc6, 0xa4,
    0xb5, 0x7e, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0xa1, 0xbf, 0xd0, 0xdd, 0xde, 0xae,
    0x5e, 0xa3, 0xa5, 0xb7, 0xa9, 0xa7, 0xb6, 0xbc, 0xbd, 0xbe, 0x5b, 0x5d, 0xaf, 0xa8, 0xb4, 0xd7,
    0x7b, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0xad, 0xf4, 0xf6, 0xf2, 0xf3, 0xf5,
    0x7d, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0xb9, 0xfb, 0xfc, 0xf9, 0xfa, 0xff,
    0x5c, 0xf7, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0xb2, 0xd4, 0xd6, 0xd2, 0xd3, 0xd5,
    0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0xb3, 0xdb, 0xdc, 0xd9, 0xda, 0x9f,
];

/// Text in lines of 80 characters, in EBCDIC or ASCII, whichever it looks like.
pub(in crate::format) fn text(bytes: &[u8]) -> String {
    let count = |blank: u8| bytes.iter().filter(|&&byte| byte == blank).count();
    // The blank of EBCDIC is the @ of ASCII.
    let is_ebcdic = count(b'@') > count(b' ');
    let line = |line: &[u8]| {
        let decoded = line.iter().map(|&byte| if is_ebcdic { EBCDIC[usize::from(byte)] } else { byte });
        let shown = decoded.map(|byte| if byte.is_ascii_control() { ' ' } else { char::from(byte) });
        shown.collect::<String>().trim_end().to_owned()
    };
    bytes.chunks(80).map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}
