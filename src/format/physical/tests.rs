use serde_json::{Map, Value, json};

use super::*;
use crate::dtype::DType;
use crate::grid::Grid;
use crate::layout::{Layout, Order};

fn array(format: &'static str, dtype: &str, attributes: Value) -> Array {
    let dtype = DType::parse(dtype).unwrap();
    let layout = Layout::packed(0, &[4], dtype.itemsize(), Order::C).unwrap();
    let attributes: Map<String, Value> = attributes.as_object().unwrap().clone();
    Array { attributes, ..Array::new(format, dtype, Grid::one(layout)) }
}

/// What some stored numbers stand for.
fn shown(array: &Array, stored: &[u8]) -> Option<Vec<f64>> {
    let element = Element::of(&array.dtype, None)?;
    let conversion = values(array, None, element)?;
    let count = stored.len() / element.size();
    let mut bytes = vec![0; count * conversion.to.size()];
    conversion.read(stored, &mut bytes);
    Some(match conversion.to.code {
        Code::Float(4) => bytes.chunks(4).map(|number| f32::from_le_bytes(number.try_into().unwrap()).into()).collect(),
        _ => bytes.chunks(8).map(|number| f64::from_le_bytes(number.try_into().unwrap())).collect(),
    })
}

#[track_caller]
fn check(format: &'static str, attributes: Value, expected: &[f64]) {
    let stored: Vec<u8> = [1_i16, 2, -99, 4].iter().flat_map(|number| number.to_be_bytes()).collect();
    let found = shown(&array(format, ">i2", attributes), &stored).unwrap();
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
}

#[test]
fn each_format_has_its_names() {
    let nan = f64::NAN;
    for format in ["netcdf3", "hdf5", "zarr"] {
        check(format, json!({"scale_factor": 0.5, "add_offset": 10, "_FillValue": -99}), &[10.5, 11.0, nan, 12.0]);
        check(format, json!({"missing_value": [-99, 4]}), &[1.0, 2.0, nan, nan]);
    }
    check("fits", json!({"BSCALE": 2, "BZERO": 1, "BLANK": -99}), &[3.0, 5.0, nan, 9.0]);
    check("nifti", json!({"scl_slope": 2, "scl_inter": -1}), &[1.0, 3.0, -199.0, 7.0]);
    check("nifti", json!({"scl_slope": 0, "scl_inter": -1}), &[1.0, 2.0, -99.0, 4.0]);
    check("dicom", json!({"RescaleSlope": 1, "RescaleIntercept": -1024}), &[-1023.0, -1022.0, -1123.0, -1020.0]);
    check("edf", json!({"scale": 0.25, "offset": 0}), &[0.25, 0.5, -24.75, 1.0]);
    check("afni", json!({"BRICK_FLOAT_FACS": [0.5, 0.5]}), &[0.5, 1.0, -49.5, 2.0]);
    check("parrec", json!({"rescale slope": 2, "rescale intercept": 1}), &[3.0, 5.0, -197.0, 9.0]);
    check("envi", json!({"reflectance scale factor": 4, "data ignore value": -99}), &[0.25, 0.5, nan, 1.0]);
    check("tiff", json!({"GDAL_NODATA": "-99"}), &[1.0, 2.0, nan, 4.0]);
    check("npy", json!({}), &[1.0, 2.0, -99.0, 4.0]);
    check("netcdf3", json!({"_Unsigned": "true"}), &[1.0, 2.0, 65437.0, 4.0]);
}

#[test]
fn a_scale_that_varies_is_none() {
    let varies = array("afni", "<i2", json!({"BRICK_FLOAT_FACS": [0.5, 0.25]}));
    assert_eq!(shown(&varies, &[0; 8]), None);
    assert_eq!(shown(&array("parrec", "<i2", json!({"rescale slope": [1, 2]})), &[0; 8]), None);
}

#[test]
fn columns_have_their_own() {
    let record = array("fits", "[('a', '>i2'), ('b', '>i2')]", json!({"TSCAL2": 0.5, "TZERO2": 3, "TNULL1": 7}));
    let element = Element::of(&DType::parse(">i2").unwrap(), None).unwrap();
    let scaling = |field| values(&record, Some(field), element).unwrap().scaling.unwrap();
    assert_eq!(scaling("a").missing, [vec![0, 7]]);
    assert_eq!((scaling("b").scale, scaling("b").offset), (0.5, 3.0));
    let points = array("las", "[('X', '<i4'), ('i', '<u2')]", json!({"scale": [0.01, 1, 1], "offset": [5, 0, 0]}));
    let element = Element::of(&DType::parse("<i4").unwrap(), None).unwrap();
    assert_eq!(values(&points, Some("X"), element).unwrap().scaling.unwrap().offset, 5.0);
    assert_eq!(values(&points, Some("i"), element).unwrap().scaling, None);
}

#[test]
fn a_missing_value_is_one_of_the_type() {
    let element = |text: &str| Element::of(&DType::parse(text).unwrap(), None).unwrap();
    assert_eq!(encoded(&json!(300), element("u1")), None);
    assert_eq!(encoded(&json!(-1), element("u1")), None);
    assert_eq!(encoded(&json!(255), element("u1")), Some(vec![255]));
    assert_eq!(encoded(&json!(255.0), element("u1")), Some(vec![255]));
    assert_eq!(encoded(&json!(0.5), element("i2")), None);
    assert_eq!(encoded(&json!(u64::MAX), element("u8")), Some(vec![255; 8]));
    assert_eq!(encoded(&json!(-9999.9), element("<f4")), Some((-9999.9_f32).to_le_bytes().to_vec()));
    assert_eq!(encoded(&json!("NaN"), element("<f4")).unwrap().len(), 4);
}

#[test]
fn floats_where_they_are_exact() {
    let to = |dtype: &str, attributes: Value| {
        let array = array("netcdf3", dtype, attributes);
        values(&array, None, Element::of(&array.dtype, None).unwrap()).unwrap().to.code
    };
    assert_eq!(to("i2", json!({})), Code::Float(4));
    assert_eq!(to("i2", json!({"add_offset": 32768})), Code::Float(4));
    assert_eq!(to("i2", json!({"add_offset": 0.5})), Code::Float(8));
    assert_eq!(to("i2", json!({"scale_factor": 0.5})), Code::Float(8));
    assert_eq!(to("i4", json!({})), Code::Float(8));
    assert_eq!(to(">f4", json!({})), Code::Float(4));
    assert_eq!(to("f4", json!({"scale_factor": 3})), Code::Float(8));
    assert_eq!(to("c8", json!({})), Code::Float(4));
}
