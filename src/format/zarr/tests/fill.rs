//! Fill values. The bits are those of NumPy and ml_dtypes.

use super::*;

/// The fill value of an array of version 2.
fn old(dtype: Value, value: Value) -> Vec<u8> {
    parse(".zarray", &v2::with(json!({"dtype": dtype, "fill_value": value}))).unwrap().fill
}

fn new_array(data_type: Value, value: Value, endian: &str) -> Result<Array, Refusal> {
    let codecs = json!([{"name": "bytes", "configuration": {"endian": endian}}]);
    parse("zarr.json", &v3::with(json!({"data_type": data_type, "fill_value": value, "codecs": codecs})))
}

/// The fill value of an array of version 3.
fn new(data_type: &str, value: Value) -> Vec<u8> {
    new_array(json!(data_type), value, "little").unwrap().fill
}

#[track_caller]
fn check_refused(data_type: &str, values: impl IntoIterator<Item = Value>) {
    for value in values {
        refused(new_array(json!(data_type), value, "little"), &["as fill value, which is none of the type"]);
    }
}

#[test]
fn zeros_take_no_bytes() {
    for dtype in ["|b1", ">i8", "<f4", "<c8", "|S3", "<U3", "|V3", "<f16"] {
        for value in [json!(null), json!(0), json!(0.0), json!(""), json!(false)] {
            assert!(old(json!(dtype), value).is_empty());
        }
    }
    let record = json!([["x", "<f4"], ["t", "<M8[s]"]]);
    assert!(old(record.clone(), json!(null)).is_empty());
    assert!(old(record, json!("AAAAAAAAAAAAAAAA")).is_empty());
    // An element of no reasonable size costs nothing.
    assert!(old(json!("|S2000000000"), json!("")).is_empty());
}

#[test]
fn truth_values_and_integers() {
    assert_eq!(old(json!("|b1"), json!(true)), [1]);
    assert_eq!(old(json!("|b1"), json!(1)), [1]);
    assert_eq!(new("int8", json!(-128)), [0x80]);
    assert_eq!(new("uint64", json!(u64::MAX)), [0xff; 8]);
    assert_eq!(new("int64", json!(i64::MIN)), i64::MIN.to_le_bytes());
    assert_eq!(old(json!(">i4"), json!(-2)), (-2_i32).to_be_bytes());
    assert_eq!(old(json!("<i4"), json!(3.0)), [3, 0, 0, 0]);
    assert_eq!(old(json!("<i4"), json!("-3")), (-3_i32).to_le_bytes());
}

#[test]
fn floats() {
    for (value, bits) in [
        (json!(0.1), 0x3dcc_cccd_u32),
        (json!("NaN"), 0x7fc0_0000),
        (json!("Infinity"), 0x7f80_0000),
        (json!("-Infinity"), 0xff80_0000),
        (json!("0x7fc00001"), 0x7fc0_0001),
        (json!(-0.0), 0x8000_0000),
        (json!(3), 0x4040_0000),
        (json!("1.5"), 0x3fc0_0000),
        (json!(1e300), 0x7f80_0000),
    ] {
        assert_eq!(new("float32", value.clone()), bits.to_le_bytes());
        assert_eq!(old(json!(">f4"), value), bits.to_be_bytes());
    }
    // The shortest text that is this number, and one that careless reading gets wrong.
    assert_eq!(new("float64", json!(0.1)), 0.1_f64.to_le_bytes());
    let array = parse(
        "zarr.json",
        &v3::with(json!({"data_type": "float64", "fill_value": "HERE"})).replace("\"HERE\"", "1.0715660391465826e-75"),
    );
    assert_eq!(array.unwrap().fill, 1.0715660391465826e-75_f64.to_le_bytes());
    assert_eq!(new("float64", json!("NaN")), 0x7ff8_0000_0000_0000_u64.to_le_bytes());
    // Python's own spelling.
    let bare = v2::with(json!({"dtype": "<f8", "fill_value": "HERE"})).replace("\"HERE\"", "-Infinity");
    assert_eq!(parse(".zarray", &bare).unwrap().fill, f64::NEG_INFINITY.to_le_bytes());
}

#[test]
fn half_floats() {
    for (value, bits) in [
        (json!(1), 0x3c00_u16),
        (json!(-1.5), 0xbe00),
        (json!(0.1), 0x2e66),
        (json!(65504), 0x7bff),
        (json!(65519), 0x7bff),
        (json!(65520), 0x7c00),
        (json!(6e-8), 0x0001),
        (json!(1e-9), 0x0000),
        (json!(6.1e-5), 0x03ff),
        (json!(6.104e-5), 0x0400),
        (json!(-0.0), 0x8000),
        (json!("NaN"), 0x7e00),
        (json!("-Infinity"), 0xfc00),
        (json!("0x7e01"), 0x7e01),
    ] {
        let expected = if bits == 0 { vec![] } else { bits.to_le_bytes().to_vec() };
        assert_eq!(new("float16", value.clone()), expected, "{value}");
    }
}

#[test]
fn extended_floats() {
    for (value, hex) in [
        (json!(1.0), 0x3fff_8000_0000_0000_0000_u128),
        (json!(-0.1), 0xbffb_cccc_cccc_cccc_d000),
        (json!(5e-324), 0x3bcd_8000_0000_0000_0000),
        (json!(1e-310), 0x3bf9_9344_5b87_3158_0000),
        (json!(1.7976931348623157e308), 0x43fe_ffff_ffff_ffff_f800),
        (json!("Infinity"), 0x7fff_8000_0000_0000_0000),
        (json!("NaN"), 0x7fff_c000_0000_0000_0000),
    ] {
        assert_eq!(old(json!("<f16"), value.clone()), hex.to_le_bytes());
        assert_eq!(old(json!(">f16"), value.clone()), hex.to_be_bytes());
        assert_eq!(old(json!("<c32"), json!([0, value]))[16..], hex.to_le_bytes());
    }
}

#[test]
fn small_floats() {
    let numbers = [1.0, -1.5, 0.1, 3.3, 1e-3, -0.0, f64::NAN];
    let json_of = |number: f64| if number.is_nan() { json!("NaN") } else { json!(number) };
    for (name, bits) in [
        ("float8_e3m4", [0x30, 0xb8, 0x06, 0x4a, 0x00, 0x80, 0x78]),
        ("float8_e4m3", [0x38, 0xbc, 0x1d, 0x45, 0x01, 0x80, 0x7c]),
        ("float8_e4m3fn", [0x38, 0xbc, 0x1d, 0x45, 0x01, 0x80, 0x7f]),
        ("float8_e4m3fnuz", [0x40, 0xc4, 0x25, 0x4d, 0x01, 0x00, 0x80]),
        ("float8_e4m3b11fnuz", [0x58, 0xdc, 0x3d, 0x65, 0x08, 0x00, 0x80]),
        ("float8_e5m2", [0x3c, 0xbe, 0x2e, 0x43, 0x14, 0x80, 0x7e]),
        ("float8_e5m2fnuz", [0x40, 0xc2, 0x32, 0x47, 0x18, 0x00, 0x80]),
    ] {
        for (number, byte) in numbers.into_iter().zip(bits) {
            let expected = if byte == 0 { vec![] } else { vec![byte] };
            assert_eq!(new(name, json_of(number)), expected, "{name} {number}");
        }
        assert_eq!(new(name, json!("0x81")), [0x81]);
    }
    for (name, number, byte) in [
        ("float8_e4m3", json!("-Infinity"), 0xf8),
        ("float8_e4m3", json!(300), 0x78),
        ("float8_e4m3fn", json!(300), 0x79),
        ("float8_e5m2", json!(1e9), 0x7c),
        ("float8_e8m0fnu", json!(1), 0x7f),
        ("float8_e8m0fnu", json!(0.1), 0x7c),
        ("float8_e8m0fnu", json!(1e9), 0x9d),
        ("float8_e8m0fnu", json!("NaN"), 0xff),
        ("float6_e2m3fn", json!(-1.5), 0x2c),
        ("float6_e3m2fn", json!(3.3), 0x13),
        ("float4_e2m1fn", json!(3.3), 0x05),
        ("int4", json!(7), 7),
        ("uint2", json!(3), 3),
    ] {
        assert_eq!(new(name, number), [byte], "{name}");
    }
    assert_eq!(new("bfloat16", json!(0.1)), 0x3dcd_u16.to_le_bytes());
    assert_eq!(new("bfloat16", json!("NaN")), 0x7fc0_u16.to_le_bytes());
    assert_eq!(new_array(json!("bfloat16"), json!(1e9), "big").unwrap().fill, 0x4e6e_u16.to_be_bytes());
    let complex = new_array(json!("complex_bfloat16"), json!([1, "0x4e6e"]), "big").unwrap().fill;
    assert_eq!(complex, [0x3f, 0x80, 0x4e, 0x6e]);
}

#[test]
fn complex_numbers() {
    let fill = old(json!(">c16"), json!([-0.0, "NaN"]));
    assert_eq!(fill, [(-0.0_f64).to_be_bytes(), 0x7ff8_0000_0000_0000_u64.to_be_bytes()].concat());
    let fill = new("complex64", json!(["-Infinity", "0x7fc00001"]));
    assert_eq!(fill, [f32::NEG_INFINITY.to_le_bytes(), 0x7fc0_0001_u32.to_le_bytes()].concat());
}

#[test]
fn times() {
    for dtype in [">M8[ns]", ">m8[s]"] {
        for nat in [json!("NaT"), json!(i64::MIN), json!(null)] {
            assert_eq!(old(json!(dtype), nat), i64::MIN.to_be_bytes());
        }
        assert_eq!(old(json!(dtype), json!(-5)), (-5_i64).to_be_bytes());
        assert!(old(json!(dtype), json!(0)).is_empty());
    }
}

#[test]
fn strings_and_bytes() {
    assert_eq!(old(json!("|S5"), json!("eHk=")), *b"xy\0\0\0");
    assert_eq!(old(json!("|S5"), json!("eHk")), *b"xy\0\0\0");
    assert_eq!(old(json!("|V3"), json!("+/8A")), [0xfb, 0xff, 0]);
    assert_eq!(old(json!(">U3"), json!("aé")), [0, 0, 0, b'a', 0, 0, 0, 0xe9, 0, 0, 0, 0]);
    assert_eq!(new("r24", json!([1, 0, 255])), [1, 0, 255]);
    assert_eq!(new("r24", json!("AQD/")), [1, 0, 255]);
}

#[test]
fn records() {
    let record = json!([["x", "<i2"], ["y", "|u1"]]);
    assert_eq!(old(record, json!("AQID")), [1, 2, 3]);
    let pair = json!({"name": "struct", "configuration": {"fields": [["a", "uint16"], ["t", "complex64"]]}});
    let data_type = json!({"name": "structured", "configuration": {"fields": [["p", pair], ["u", "uint8"]]}});
    let value = json!({"p": {"a": 258, "t": [0, 1]}, "u": 3});
    let fill = new_array(data_type.clone(), value, "big").unwrap().fill;
    assert_eq!(fill, [1, 2, 0, 0, 0, 0, 0x3f, 0x80, 0, 0, 3]);
    assert_eq!(new_array(data_type.clone(), json!("AQIAAAAAP4AAAAM="), "big").unwrap().fill, fill);
    for bad in [json!({"p": 0}), json!([1, 2]), json!("AQID"), json!({"p": {"a": 1}, "u": 1}), json!("!")] {
        refused(new_array(data_type.clone(), bad, "big"), &["as fill value, which is none of the type"]);
    }
}

#[test]
fn refused_fill_values_of_another_type() {
    check_refused("bool", [json!(2), json!("true"), json!([])]);
    check_refused("int8", [json!(128), json!(-129), json!(1.5), json!("NaN"), json!(true), json!([1]), json!(1e300)]);
    check_refused("uint64", [json!(-1), json!(18446744073709551616.0)]);
    check_refused("float32", [json!("quux"), json!("0x7fc0"), json!("0x7fc000000"), json!("0x+7fc0000"), json!([1])]);
    check_refused("complex64", [json!([1]), json!([1, 2, 3]), json!("NaN"), json!([true, 1])]);
    check_refused("r16", [json!([1]), json!([1, 256]), json!("AQID"), json!("A"), json!("A?=="), json!(1)]);
    check_refused("float8_e4m3fn", [json!("Infinity"), json!(1e9)]);
    check_refused("float8_e8m0fnu", [json!(-1), json!(-0.0)]);
    check_refused("float4_e2m1fn", [json!("NaN")]);
    check_refused("int4", [json!(8), json!(-9)]);
    check_refused("complex_float16", [json!(1)]);
    refused(parse(".zarray", &v2::with(json!({"dtype": "<U2", "fill_value": "abc"}))), &["\"abc\"", "'<U2'"]);
    refused(parse(".zarray", &v2::with(json!({"dtype": "<M8[s]", "fill_value": "2001-01-01"}))), &["none of the type"]);
}

#[test]
fn refused_fill_values_of_huge_elements() {
    let text = v2::with(json!({"dtype": "|S2000000000", "fill_value": "eHk="}));
    refused(parse(".zarray", &text), &["elements of 2000000000 bytes", "up to 1048576"]);
}

#[test]
fn refused_no_fill_value() {
    refused(parse("zarr.json", &v3::with(json!({"fill_value": "REMOVED"}))), &["lack the key fill_value"]);
}
