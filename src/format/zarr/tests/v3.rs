//! `zarr.json`.

use super::*;

/// The metadata of a 10 x 7 array in chunks of 4 x 5, with these changes.
pub(super) fn with(changes: Value) -> String {
    let base = json!({
        "zarr_format": 3, "node_type": "array", "shape": [10, 7], "data_type": "int16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 5]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    });
    changed(base, changes)
}

fn array(changes: Value) -> Array {
    parse("zarr.json", &with(changes)).unwrap()
}

#[track_caller]
fn check_refused(changes: Value, parts: &[&str]) {
    refused(parse("zarr.json", &with(changes)), parts);
}

fn bytes(endian: &str) -> Value {
    json!({"name": "bytes", "configuration": {"endian": endian}})
}

fn transpose(order: Value) -> Value {
    json!({"name": "transpose", "configuration": {"order": order}})
}

#[test]
fn an_array_of_zarr_python() {
    // zarr.create_array("a", shape=(3, 2), chunks=(2, 2), dtype="float32", compressors=None, fill_value=nan,
    //                   dimension_names=["y", None], attributes={"k": 1})
    let text = r#"{"shape": [3, 2], "data_type": "float32", "chunk_grid": {"name": "regular",
        "configuration": {"chunk_shape": [2, 2]}}, "chunk_key_encoding": {"name": "default",
        "configuration": {"separator": "/"}}, "fill_value": "NaN", "codecs": [{"name": "bytes",
        "configuration": {"endian": "little"}}], "attributes": {"k": 1}, "dimension_names": ["y", null],
        "zarr_format": 3, "node_type": "array", "storage_transformers": []}"#;
    let array = parse("zarr.json", text).unwrap();
    assert_eq!((array.format, array.dtype.to_string().as_str()), ("zarr", "<f4"));
    assert_eq!(array.grid.shape(), [3, 2]);
    assert_eq!(array.fill, [0, 0, 0xc0, 0x7f]);
    assert_eq!(place(&array, &[2, 1]), ("c/1/0".into(), 4));
    assert_eq!(array.dims, ["y", ""]);
    assert_eq!(Value::Object(array.attributes.clone()), json!({"k": 1}));
    assert_eq!(names(&array).created_len(), Some(16));
    assert_eq!((array.read_only, array.element), (None, None));
}

#[test]
fn names_of_chunks() {
    for (encoding, name, scalar) in [
        (json!({"name": "default"}), "c/2/1", "c"),
        (json!("default"), "c/2/1", "c"),
        (json!({"name": "default", "configuration": {"separator": "."}}), "c.2.1", "c"),
        (json!({"name": "v2"}), "2.1", "0"),
        (json!({"name": "v2", "configuration": {"separator": "/"}}), "2/1", "0"),
    ] {
        assert_eq!(place(&array(json!({"chunk_key_encoding": encoding})), &[9, 6]).0, name);
        let grid = json!({"name": "regular", "configuration": {"chunk_shape": []}});
        let array = array(json!({"chunk_key_encoding": encoding, "shape": [], "chunk_grid": grid}));
        assert_eq!(place(&array, &[]), (scalar.into(), 0));
    }
}

#[test]
fn byte_orders() {
    for (codec, dtype) in [
        (bytes("little"), "<i2"),
        (bytes("big"), ">i2"),
        (json!({"name": "endian", "configuration": {"endian": "big"}}), ">i2"),
        (json!({"name": "bytes"}), "<i2"),
        (json!("bytes"), "<i2"),
        (json!({"name": "bytes", "configuration": {"endian": null}}), "<i2"),
    ] {
        assert_eq!(array(json!({"codecs": [codec]})).dtype.to_string(), dtype);
    }
}

#[test]
fn transposed_chunks() {
    let offsets = |orders: &[Value]| {
        let mut codecs: Vec<Value> = orders.iter().cloned().map(transpose).collect();
        codecs.push(bytes("little"));
        let grid = json!({"name": "regular", "configuration": {"chunk_shape": [2, 3, 4]}});
        let array = array(json!({"shape": [2, 3, 4], "chunk_grid": grid, "codecs": codecs}));
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(|index| place(&array, &index).1 / 2)
    };
    let c = [12, 4, 1];
    assert_eq!(offsets(&[]), c);
    assert_eq!(offsets(&[json!([0, 1, 2])]), c);
    assert_eq!(offsets(&[json!("C")]), c);
    assert_eq!(offsets(&[json!("F")]), [1, 2, 6]);
    assert_eq!(offsets(&[json!([2, 1, 0])]), [1, 2, 6]);
    // Axis 1 becomes the slowest, then 2, then 0: a chunk of 3 x 4 x 2.
    assert_eq!(offsets(&[json!([1, 2, 0])]), [1, 8, 2]);
    assert_eq!(offsets(&[json!([2, 0, 1])]), [3, 1, 6]);
    assert_eq!(offsets(&[json!([1, 2, 0]), json!([2, 0, 1])]), c);
    assert_eq!(offsets(&[json!([1, 2, 0]), json!([1, 2, 0])]), [3, 1, 6]);
    assert_eq!(offsets(&[json!([1, 2, 0]), json!([1, 0, 2])]), [1, 2, 6]);
}

#[test]
fn checksums_are_not_written() {
    let array = array(json!({"codecs": [bytes("big"), {"name": "crc32c"}]}));
    assert_eq!(array.dtype.to_string(), ">i2");
    let why = array.read_only.clone().unwrap();
    assert!(why.contains("CRC-32C") && why.contains("`afbfs unpack`"), "{why}");
    assert_eq!(names(&array).created_len(), None);
    assert_eq!(place(&array, &[9, 6]), ("c/2/1".into(), 12));
}

#[test]
fn types_that_numpy_has() {
    for (name, little, big) in [
        ("bool", "|b1", "|b1"),
        ("int8", "|i1", "|i1"),
        ("uint8", "|u1", "|u1"),
        ("int64", "<i8", ">i8"),
        ("uint32", "<u4", ">u4"),
        ("float16", "<f2", ">f2"),
        ("float64", "<f8", ">f8"),
        ("complex64", "<c8", ">c8"),
        ("complex128", "<c16", ">c16"),
        ("complex_float32", "<c8", ">c8"),
        ("r8", "|V1", "|V1"),
        ("r24", "|V3", "|V3"),
    ] {
        for (endian, dtype) in [("little", little), ("big", big)] {
            let array = array(json!({"data_type": name, "codecs": [bytes(endian)]}));
            assert_eq!((array.dtype.to_string().as_str(), array.element), (dtype, None), "{name}");
        }
        assert_eq!(array(json!({"data_type": {"name": name}})).dtype.to_string(), little);
    }
}

#[test]
fn types_with_parameters() {
    for (name, configuration, dtype) in [
        ("null_terminated_bytes", json!({"length_bytes": 5}), "|S5"),
        ("raw_bytes", json!({"length_bytes": 5}), "|V5"),
        ("fixed_length_utf32", json!({"length_bytes": 12}), ">U3"),
        ("numpy.datetime64", json!({"unit": "s", "scale_factor": 10}), ">M8[10s]"),
        ("numpy.datetime64", json!({"unit": "μs", "scale_factor": 1}), ">M8[us]"),
        ("numpy.datetime64", json!({"unit": "generic", "scale_factor": 1}), ">M8"),
        ("numpy.timedelta64", json!({"unit": "ns", "scale_factor": 1}), ">m8[ns]"),
        ("structured", json!({"fields": [["x", "int32"], ["y", "uint8"]]}), "[('x', '>i4'), ('y', '|u1')]"),
        (
            "struct",
            json!({"fields": [
                {"name": "p", "data_type": {"name": "struct", "configuration": {"fields": [
                    {"name": "x", "data_type": "float32"}, {"name": "b", "data_type": "bfloat16"},
                ]}}},
                {"name": "s", "data_type": {"name": "raw_bytes", "configuration": {"length_bytes": 7}}},
            ]}),
            "[('p', [('x', '>f4'), ('b', '|V2')]), ('s', '|V7')]",
        ),
    ] {
        let data_type = json!({"name": name, "configuration": configuration});
        let array = array(json!({"data_type": data_type, "codecs": [bytes("big")]}));
        assert_eq!(array.dtype.to_string(), dtype);
    }
}

#[test]
fn types_that_numpy_has_not() {
    for (name, dtype, little, big) in [
        ("bfloat16", "|V2", "bf16", "bf16be"),
        ("float8_e4m3fn", "|V1", "f8_e4m3", "f8_e4m3"),
        ("float8_e4m3", "|V1", "f8_e4m3_ieee", "f8_e4m3_ieee"),
        ("float8_e5m2", "|V1", "f8_e5m2", "f8_e5m2"),
        ("float8_e8m0fnu", "|V1", "f8_e8m0", "f8_e8m0"),
        ("int4", "|V1", "int4", "int4"),
        ("complex_float16", "|V4", "complex_float16", "complex_float16be"),
    ] {
        for (endian, element) in [("little", little), ("big", big)] {
            let array = array(json!({"data_type": name, "codecs": [bytes(endian)]}));
            assert_eq!((array.dtype.to_string().as_str(), array.element), (dtype, Some(element)));
        }
    }
}

#[test]
fn refused_codecs() {
    for (codecs, part) in [
        (
            json!([bytes("little"), {"name": "gzip", "configuration": {"level": 1}}]),
            "compressed with gzip; `afbfs unpack`",
        ),
        (json!([bytes("little"), {"name": "zstd"}]), "compressed with zstd;"),
        (
            json!([bytes("little"), {"name": "blosc", "configuration": {"cname": "zstd"}}]),
            "compressed with blosc (zstd);",
        ),
        (json!([bytes("little"), "numcodecs.lz4", "crc32c"]), "encoded with lz4, then crc32c;"),
        (json!(["numcodecs.delta", bytes("little")]), "encoded with delta, then bytes;"),
        (json!([{"name": "packbits"}]), "encoded with packbits;"),
        (json!([bytes("little"), transpose(json!([1, 0]))]), "encoded with transpose;"),
    ] {
        check_refused(json!({"codecs": codecs}), &["its chunks are ", part]);
    }
}

#[test]
fn refused_shards() {
    let sharding = json!({"name": "sharding_indexed", "configuration": {
        "chunk_shape": [2, 1], "codecs": [bytes("little")], "index_codecs": [bytes("little"), {"name": "crc32c"}],
    }});
    check_refused(
        json!({"codecs": [sharding]}),
        &["its chunks (2x1) are packed into shards (4x5)", "`afbfs unpack` writes a plain copy"],
    );
}

#[test]
fn codecs_for_who_decodes() {
    let zstd = json!({"name": "zstd", "configuration": {"level": 3}});
    let text = with(json!({"codecs": [transpose(json!([1, 0])), bytes("big"), zstd, "crc32c"]}));
    let metadata = Metadata::read("zarr.json", &Bytes(text.into()), &Folder::default()).unwrap();
    let names: Vec<&str> = metadata.codecs.iter().map(|codec| codec.name.as_str()).collect();
    assert_eq!(names, ["zstd", "crc32c"]);
    assert_eq!(metadata.codecs[0].configuration["level"], json!(3));
    assert_eq!((metadata.axes, metadata.dtype.to_string().as_str()), (vec![1, 0], ">i2"));
}

#[test]
fn refused_codecs_that_make_no_bytes() {
    for codecs in [json!([]), json!([transpose(json!([1, 0]))]), json!(["crc32c"]), json!(["crc32c", bytes("big")])] {
        check_refused(json!({"codecs": codecs}), &["have no codec that makes bytes of elements"]);
    }
    check_refused(json!({"codecs": "bytes"}), &["codecs that are no list"]);
    check_refused(json!({"codecs": [3]}), &["do not name a codec"]);
    check_refused(json!({"codecs": [{"name": "bytes", "configuration": []}]}), &["do not name a codec"]);
    check_refused(json!({"codecs": "REMOVED"}), &["lack the key codecs"]);
}

#[test]
fn refused_codecs_with_bad_parameters() {
    for order in [json!([0]), json!([0, 0]), json!([0, 2]), json!([-1, 0]), json!("A"), json!(null), json!([0, 1, 2])] {
        check_refused(json!({"codecs": [transpose(order), bytes("big")]}), &["does not name each axis once"]);
    }
    check_refused(json!({"codecs": [bytes("middle")]}), &["an endian that is neither little nor big"]);
}

#[test]
fn refused_types() {
    check_refused(json!({"data_type": "quux"}), &["of the type quux", "not known here"]);
    check_refused(json!({"data_type": "r0"}), &["of the type r0"]);
    check_refused(json!({"data_type": "r12"}), &["12 bits", "no whole bytes"]);
    check_refused(json!({"data_type": 3}), &["do not name a data type"]);
    check_refused(json!({"data_type": "raw_bytes"}), &["raw_bytes no number length_bytes"]);
    check_refused(
        json!({"data_type": {"name": "numpy.datetime64", "configuration": {"scale_factor": 1}}}),
        &["no unit"],
    );
    let weeks = json!({"name": "numpy.datetime64", "configuration": {"unit": "fortnight", "scale_factor": 1}});
    check_refused(json!({"data_type": weeks}), &["the data type in its metadata cannot be served"]);
    let odd = json!({"name": "fixed_length_utf32", "configuration": {"length_bytes": 7}});
    check_refused(json!({"data_type": odd}), &["4-byte characters 7 bytes"]);
    let huge = json!({"name": "raw_bytes", "configuration": {"length_bytes": u64::MAX}});
    check_refused(json!({"data_type": huge}), &["larger than NumPy allows"]);
    check_refused(json!({"data_type": "REMOVED"}), &["lack the key data_type"]);
}

#[test]
fn refused_elements_of_variable_length() {
    for name in ["string", "bytes", "variable_length_utf8", "variable_length_bytes"] {
        check_refused(json!({"data_type": name, "fill_value": ""}), &["strings of variable length", "fixed length"]);
    }
}

#[test]
fn refused_records() {
    let record = |fields: Value| json!({"data_type": {"name": "struct", "configuration": {"fields": fields}}});
    for fields in [json!(null), json!([3]), json!([["x"]]), json!([[1, "int8"]]), json!([{"name": "x"}])] {
        check_refused(record(fields), &["without a list of fields"]);
    }
    check_refused(record(json!([["x", "int8"], ["x", "int8"]])), &["'x' names two fields"]);
    check_refused(record(json!([["x", "string"]])), &["variable length"]);
    let huge = json!({"name": "raw_bytes", "configuration": {"length_bytes": 2_000_000_000}});
    check_refused(record(json!([["x", huge], ["y", huge]])), &["larger than NumPy allows"]);
    let deep =
        (0..33).fold(json!("int8"), |inner, _| json!({"name": "struct", "configuration": {"fields": [["x", inner]]}}));
    // JSON so deep is refused before the type is.
    check_refused(json!({"data_type": deep}), &["recursion limit"]);
}

#[test]
fn refused_grids() {
    check_refused(json!({"chunk_grid": {"name": "rectilinear"}}), &["form a rectilinear grid", "regular"]);
    check_refused(json!({"chunk_grid": {"name": "regular"}}), &["no list of lengths"]);
    let grid = |chunk: Value| json!({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}}});
    check_refused(grid(json!([4])), &["give the array 2 axes, and its chunks 1"]);
    check_refused(grid(json!([4, 0])), &["give chunks the length 0"]);
    check_refused(grid(json!([1_u64 << 62, 5])), &["an array that cannot be"]);
    check_refused(json!({"chunk_grid": "REMOVED"}), &["lack the key chunk_grid"]);
}

#[test]
fn refused_keys() {
    check_refused(json!({"chunk_key_encoding": "suffix"}), &["named by the rule suffix", "default"]);
    let separator = json!({"name": "v2", "configuration": {"separator": "-"}});
    check_refused(json!({"chunk_key_encoding": separator}), &["neither . nor /"]);
    check_refused(json!({"chunk_key_encoding": "REMOVED"}), &["lack the key chunk_key_encoding"]);
}

#[test]
fn fields_that_need_not_be_understood() {
    let ignored = json!({"name": "x", "must_understand": false});
    assert_eq!(array(json!({"x": ignored})), array(json!({})));
    for unknown in [json!({}), json!({"must_understand": true}), json!(false), json!(null)] {
        check_refused(json!({"x": unknown}), &["the field x, which must be understood"]);
    }
}

#[test]
fn refused_storage_transformers() {
    check_refused(json!({"storage_transformers": [{"name": "quux"}]}), &["the storage transformer quux"]);
    check_refused(json!({"storage_transformers": {}}), &["no list"]);
    assert_eq!(array(json!({"storage_transformers": []})), array(json!({"storage_transformers": null})));
}

#[test]
fn refused_names_of_dimensions() {
    for names in [json!(["x"]), json!("xy"), json!([1, 2])] {
        check_refused(json!({"dimension_names": names}), &["dimension"]);
    }
    assert!(array(json!({"dimension_names": [null, null]})).dims.is_empty());
}

#[test]
fn refused_attributes() {
    check_refused(json!({"attributes": [1]}), &["attributes that are no object"]);
    assert!(array(json!({"attributes": {"x": "y".repeat(MAX_ATTRIBUTES)}})).attributes.is_empty());
}

#[test]
fn refused_groups_and_versions() {
    check_refused(json!({"node_type": "group"}), &["a Zarr group", "look into its folders"]);
    check_refused(json!({"node_type": "folder"}), &["neither array nor group"]);
    check_refused(json!({"node_type": "REMOVED"}), &["lack the key node_type"]);
    check_refused(json!({"zarr_format": 2}), &["not of version 3"]);
    check_refused(json!({"zarr_format": "REMOVED"}), &["lack the key zarr_format"]);
}
