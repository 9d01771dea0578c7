//! `.zarray`.

use super::*;

/// The metadata of a 10 x 7 array in chunks of 4 x 5, with these changes.
pub(super) fn with(changes: Value) -> String {
    let base = json!({
        "zarr_format": 2, "shape": [10, 7], "chunks": [4, 5], "dtype": ">i2", "order": "C", "filters": null,
        "compressor": null, "fill_value": 0, "dimension_separator": ".",
    });
    changed(base, changes)
}

fn array(changes: Value) -> Array {
    parse(".zarray", &with(changes)).unwrap()
}

#[track_caller]
fn check_refused(changes: Value, parts: &[&str]) {
    refused(parse(".zarray", &with(changes)), parts);
}

#[test]
fn an_array_of_zarr_python() {
    // zarr.create_array("a", shape=(3,), chunks=(2,), dtype="<f8", zarr_format=2, compressors=None, fill_value=1.5)
    let text = r#"{
  "shape": [
    3
  ],
  "chunks": [
    2
  ],
  "dtype": "<f8",
  "fill_value": 1.5,
  "order": "C",
  "filters": null,
  "dimension_separator": ".",
  "compressor": null,
  "zarr_format": 2
}"#;
    let array = parse(".zarray", text).unwrap();
    assert_eq!((array.format, array.dtype.to_string().as_str()), ("zarr", "<f8"));
    assert_eq!((array.grid.shape(), array.grid.itemsize()), (&[3][..], 8));
    assert_eq!(array.fill, 1.5_f64.to_le_bytes());
    assert_eq!((place(&array, &[1]), place(&array, &[2])), (("0".into(), 8), ("1".into(), 0)));
    assert_eq!(names(&array).created_len(), Some(16));
    assert_eq!((array.read_only, array.element), (None, None));
    assert!(array.dims.is_empty() && array.attributes.is_empty());
}

#[test]
fn chunks_in_both_orders() {
    let places = |order: &str| {
        let array = array(json!({"order": order}));
        [[0, 0], [3, 4], [4, 4], [9, 6], [1, 6]].map(|index| place(&array, &index))
    };
    let expected = |offsets: [i64; 5]| {
        let names = ["0.0", "0.0", "1.0", "2.1", "0.1"].map(str::to_owned);
        let mut offsets = offsets.into_iter();
        names.map(|name| (name, offsets.next().unwrap()))
    };
    assert_eq!(places("C"), expected([0, 38, 8, 12, 12]));
    assert_eq!(places("F"), expected([0, 38, 32, 10, 10]));
}

#[test]
fn names_of_chunks() {
    for (separator, name) in [(json!("/"), "2/1"), (json!("."), "2.1"), (json!(null), "2.1"), (json!("REMOVED"), "2.1")]
    {
        assert_eq!(place(&array(json!({"dimension_separator": separator})), &[9, 6]).0, name);
    }
    assert_eq!(place(&array(json!({"shape": [], "chunks": []})), &[]), ("0".into(), 0));
}

#[test]
fn what_may_be_left_out() {
    let sparse = array(json!({"order": "REMOVED", "filters": "REMOVED", "fill_value": "REMOVED", "unknown": [1]}));
    assert_eq!(sparse, array(json!({"filters": []})));
}

#[test]
fn records() {
    let array = array(json!({"dtype": [["x", "<f4"], ["y", ">i2", [2, 3]], ["", "|V2"], ["z", [["a", "|u1"]]]]}));
    assert_eq!(array.dtype.to_string(), "[('x', '<f4'), ('y', '>i2', (2, 3)), ('', '|V2'), ('z', [('a', '|u1')])]");
    assert_eq!(array.grid.itemsize(), 19);
}

#[test]
fn axes_without_elements() {
    // Such metadata were written with chunks of length 0, too.
    let array = array(json!({"shape": [0, 7], "chunks": [0, 7]}));
    assert_eq!(array.grid.shape(), [0, 7]);
    assert_eq!(names(&array).created_len(), Some(14));
}

#[test]
fn attributes() {
    let folder = |text: &str| Folder(HashMap::from([(".zattrs", text.to_owned())]));
    let parse = |text: &str| parse_in(".zarray", &with(json!({})), &folder(text));
    let array = parse(r#"{"_ARRAY_DIMENSIONS": ["time", "x"], "_FillValue": NaN, "units": "°C"}"#).unwrap();
    assert_eq!(array.dims, ["time", "x"]);
    assert_eq!(array.attributes["_FillValue"], json!("NaN"));
    assert_eq!(array.attributes["units"], json!("°C"));
    // What is no list of two names is an attribute like others.
    for other in [r#"["time"]"#, r#"["time", 3]"#, "3"] {
        let array = parse(&format!(r#"{{"_ARRAY_DIMENSIONS": {other}}}"#)).unwrap();
        assert!(array.dims.is_empty() && array.attributes.contains_key("_ARRAY_DIMENSIONS"));
    }
    // Names of axes are kept where all else is too long.
    let long = format!(r#"{{"_ARRAY_DIMENSIONS": ["y", "x"], "history": "{}"}}"#, "x".repeat(MAX_ATTRIBUTES));
    let array = parse(&long).unwrap();
    assert_eq!((array.dims, array.attributes.len()), (vec!["y".to_owned(), "x".to_owned()], 0));
    let array = parse(&" ".repeat(MAX_METADATA + 1)).unwrap();
    assert!(array.dims.is_empty() && array.attributes.is_empty());
    refused(parse("[]"), &["its attributes in .zattrs are no JSON object", "correct or remove"]);
    refused(parse("{"), &["its attributes in .zattrs are no JSON (EOF"]);
}

#[test]
fn refused_attributes_that_cannot_be_read() {
    struct Broken;
    impl Siblings for Broken {
        fn sibling(&self, _: &str, _: usize) -> io::Result<Option<Vec<u8>>> {
            Err(io::Error::other("the disk is gone"))
        }
        fn sibling_len(&self, _: &str) -> io::Result<Option<u64>> {
            Ok(Some(10))
        }
    }
    let parsed = Zarr.parse(".zarray", &Bytes(with(json!({})).into()), &Broken);
    assert!(parsed.unwrap_err().0.contains(".zattrs cannot be read (the disk is gone)"));
}

#[test]
fn refused_compressors() {
    let blosc = json!({"id": "blosc", "cname": "lz4", "clevel": 5});
    check_refused(
        json!({"compressor": blosc}),
        &["its chunks are compressed with blosc (lz4); `afbfs unpack` writes a plain copy"],
    );
    check_refused(json!({"compressor": {"id": "zlib"}}), &["are compressed with zlib;"]);
    check_refused(json!({"compressor": {"id": "quux\n"}}), &["are encoded with 'quux\\n';"]);
    check_refused(json!({"compressor": {}}), &["without an id"]);
    check_refused(json!({"compressor": 3}), &["without an id"]);
    check_refused(json!({"compressor": "REMOVED"}), &["lack the key compressor"]);
}

#[test]
fn refused_filters() {
    let delta = json!({"id": "delta", "dtype": "<i2"});
    check_refused(json!({"filters": [delta]}), &["are encoded with delta; `afbfs unpack`"]);
    check_refused(
        json!({"filters": [delta, {"id": "crc32"}], "compressor": {"id": "zstd"}}),
        &["encoded with delta, then crc32, then zstd;"],
    );
    check_refused(
        json!({"filters": vec![delta; 1000]}),
        &["encoded with delta, then delta, then delta, then delta, then more;"],
    );
    // Where its checksum stands has changed with the versions of the library.
    check_refused(json!({"filters": [{"id": "crc32c"}]}), &["encoded with crc32c;"]);
    check_refused(json!({"filters": {"id": "delta"}}), &["filters that are no list"]);
}

#[test]
fn codecs_for_who_decodes() {
    let text = with(
        json!({"order": "F", "filters": [{"id": "delta", "dtype": "<i2"}], "compressor": {"id": "zlib", "level": 1}}),
    );
    let metadata = Metadata::read(".zarray", &Bytes(text.into()), &Folder::default()).unwrap();
    let [delta, zlib] = &metadata.codecs[..] else { panic!("{:?}", metadata.codecs) };
    assert_eq!((delta.name.as_str(), &delta.configuration["dtype"]), ("numcodecs.delta", &json!("<i2")));
    assert_eq!((zlib.name.as_str(), &zlib.configuration), ("numcodecs.zlib", json!({"level": 1}).as_object().unwrap()));
    assert_eq!((metadata.axes, metadata.chunk), (vec![1, 0], vec![4, 5]));
}

#[test]
fn refused_python_objects() {
    check_refused(
        json!({"dtype": "|O", "filters": [{"id": "vlen-utf8"}]}),
        &["its elements are Python objects", "convert it to a type of fixed length"],
    );
    check_refused(json!({"dtype": [["x", "|O"]]}), &["its elements are Python objects"]);
}

#[test]
fn refused_dtype() {
    check_refused(json!({"dtype": "<f3"}), &["the dtype in its metadata", "'<f3' is no element type"]);
    check_refused(json!({"dtype": {"x": 1}}), &["the dtype in its metadata"]);
    check_refused(json!({"dtype": [["x", "<f4"], ["x", "<f4"]]}), &["'x' names two fields"]);
    check_refused(json!({"dtype": "REMOVED"}), &["lack the key dtype"]);
}

#[test]
fn refused_shapes() {
    for shape in [json!(10), json!([10, -7]), json!([10, 7.5]), json!(null), json!(["10", 7])] {
        check_refused(json!({"shape": shape}), &["a shape that is no list of lengths"]);
    }
    check_refused(json!({"chunks": true}), &["a shape of chunks that is no list of lengths"]);
    check_refused(json!({"chunks": [4]}), &["give the array 2 axes, and its chunks 1"]);
    check_refused(json!({"chunks": [4, 0]}), &["give chunks the length 0"]);
    check_refused(json!({"shape": vec![1; 65], "chunks": vec![1; 65]}), &["65 axes", "more than 64", "reshape"]);
    check_refused(json!({"shape": "REMOVED"}), &["lack the key shape"]);
    check_refused(json!({"chunks": "REMOVED"}), &["lack the key chunks"]);
}

#[test]
fn refused_huge_shapes() {
    let huge = 1_u64 << 62;
    for (shape, chunks) in [
        ([huge, 4], [1, 1]),
        ([3, 1], [u64::MAX, 1]),
        ([3, 1], [huge, 1]),
        ([3, 1 << 60], [3, huge]),
        ([0, u64::MAX], [1, 1]),
    ] {
        check_refused(json!({"shape": shape, "chunks": chunks}), &["an array that cannot be", "larger than any file"]);
    }
}

#[test]
fn refused_orders_and_separators() {
    check_refused(json!({"order": "A"}), &["an order that is neither C nor F"]);
    check_refused(json!({"order": null}), &["an order that is neither C nor F"]);
    check_refused(json!({"dimension_separator": "_"}), &["neither . nor /"]);
    check_refused(json!({"dimension_separator": 1}), &["neither . nor /"]);
}

#[test]
fn refused_versions() {
    for version in [json!(1), json!(3), json!("2"), json!(null)] {
        check_refused(json!({"zarr_format": version}), &["not of version 2"]);
    }
    check_refused(json!({"zarr_format": "REMOVED"}), &["lack the key zarr_format"]);
}
