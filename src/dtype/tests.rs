//! Types against what NumPy 2.4 says of them.
use proptest::prelude::*;
use serde_json::json;

use self::numpy::{RECORDS, SCALARS};
use super::literal::Literal;
use super::*;

mod numpy;

fn descr(text: &str) -> Result<DType, DTypeError> {
    DType::from_descr(&Literal::parse(text)?)
}

fn refusal(text: &str) -> String {
    descr(text).unwrap_err().to_string()
}

#[test]
fn scalars_are_what_numpy_says_and_are_written_alike() {
    for &(text, itemsize) in SCALARS {
        let dtype = DType::parse(text).unwrap();
        assert_eq!((dtype.to_string().as_str(), dtype.itemsize()), (text, itemsize));
        assert_eq!(dtype, descr(&format!("'{text}'")).unwrap());
        assert_eq!(dtype.to_json(), json!(text));
        assert_eq!(dtype, DType::from_json(&dtype.to_json()).unwrap());
    }
}

#[test]
fn records_are_what_numpy_says_and_are_written_alike() {
    for &(text, itemsize, rows) in RECORDS {
        let dtype = descr(text).unwrap();
        assert_eq!((dtype.to_string().as_str(), dtype.itemsize()), (text, itemsize));
        assert_eq!(dtype.part_names(), rows.iter().map(|row| row.0).collect::<Vec<_>>(), "{text}");
        for &(name, offset, shape, of) in rows {
            let part = dtype.part(name).unwrap();
            assert_eq!((part.offset, &part.shape[..], part.dtype.to_string().as_str()), (offset, shape, of), "{text}");
        }
        assert_eq!(DType::parse(text).unwrap(), dtype);
        assert_eq!(DType::from_json(&dtype.to_json()).unwrap(), dtype, "{text}");
    }
}

#[test]
fn names_of_scalars() {
    // What NumPy makes of them, except that a byte order may stand behind.
    let names = [
        ("?", "|b1"),
        ("bool", "|b1"),
        ("b", "|i1"),
        ("B", "|u1"),
        ("h", "<i2"),
        ("l", "<i8"),
        ("f4", "<f4"),
        ("=f4", "<f4"),
        ("|f4", "<f4"),
        ("<S5", "|S5"),
        (">V3", "|V3"),
        ("|U4", "<U4"),
        (">b", "|i1"),
        ("a5", "|S5"),
        ("c", "|S1"),
        ("S007", "|S7"),
        ("float32", "<f4"),
        ("float", "<f8"),
        ("half", "<f2"),
        ("single", "<f4"),
        ("double", "<f8"),
        ("longdouble", "<f16"),
        ("complex64", "<c8"),
        ("uint8", "|u1"),
        ("int", "<i8"),
        ("str", "<U0"),
        ("datetime64[ns]", "<M8[ns]"),
        ("timedelta64", "<m8"),
        ("M8[generic]", "<M8"),
        ("M8[1s]", "<M8[s]"),
        ("M8[μs]", "<M8[us]"),
        ("m8[007s]", "<m8[7s]"),
        ("M8[0s]", "<M8[0s]"),
        ("V12", "|V12"),
        ("f8be", ">f8"),
        ("i2le", "<i2"),
        ("u1be", "|u1"),
        ("float32be", ">f4"),
        ("doublebe", ">f8"),
        ("singlele", "<f4"),
        ("M8[ns]be", ">M8[ns]"),
        ("S2147483647", "|S2147483647"),
        ("U536870911", "<U536870911"),
    ];
    for (text, str) in names {
        assert_eq!(DType::parse(text).map(|dtype| dtype.to_string()), Ok(str.into()), "{text}");
    }
}

#[test]
fn what_names_no_type_is_refused() {
    let names = [
        "",
        "<",
        "3",
        "f1",
        "f12",
        "c4",
        "i3",
        "u16",
        "b2",
        "?1",
        "B1",
        "l8",
        "d8",
        "d4",
        "f8[ns]",
        "M4[s]",
        "M8[s",
        "M8[s]x",
        "M8[]",
        "M8[3]",
        "M8[ s]",
        "M8[-3s]",
        "M8[99999999999s]",
        "M8[B]",
        "T",
        " f4",
        "f4 ",
        "F4",
        "FLOAT32",
        "bfloat16",
        "!f4",
        "S-1",
        "S1e3",
        "S+1",
        "<f4be",
        "be",
        "le",
        "bebe",
        "f8bele",
        "f4,i4",
        "(2,)f4",
        "μ",
        "μ4",
        "<μ",
        "i４",
    ];
    for text in names {
        assert!(matches!(DType::parse(text), Err(DTypeError::Unknown(_))), "{text}");
    }
    let long = "x".repeat(10_000);
    assert!(DType::parse(&long).unwrap_err().to_string().len() < 250);
}

#[test]
fn python_objects_are_refused_with_a_remedy() {
    for text in ["'O'", "'|O'", "'|O8'", "'<O4'", "'object'", "[('x', '|O')]", "[('r', [('x', 'O')], (2,))]"] {
        assert_eq!(descr(text), Err(DTypeError::Object), "{text}");
    }
    let text = refusal("'|O'");
    assert!(text.contains("Python objects, which cannot be served") && text.contains("astype"), "{text}");
}

#[test]
fn a_type_that_is_too_large_is_refused() {
    for text in [
        "'S2147483648'",
        "'U536870912'",
        "'V99999999999999999999999'",
        "[('x', '|V2147483647'), ('y', '|V1')]",
        "[('x', '<f8', (268435456,))]",
        "[('x', '<f8', (134217728, 2))]",
        "[('x', '<f8', (0, 1099511627776))]",
        "[('x', '<f8', (9223372036854775807, 9223372036854775807))]",
        "[('x', '|S0', 9223372036854775807)]",
        "[('x', '<U0', 536870912)]",
        "[('', '|V2147483647'), ('', '|V2147483647'), ('x', '|u1')]",
    ] {
        assert_eq!(descr(text), Err(DTypeError::TooLarge), "{text}");
    }
}

#[test]
fn names_that_stand_twice_are_refused() {
    for text in [
        "[('a', '<f4'), ('a', '<i4')]",
        "[('', '<f4'), ('', '<f4')]",
        "[(('t', 'n'), '<f4'), ('t', '<i4')]",
        "[(('t', 'n'), '<f4'), (('t', 'm'), '<i4')]",
        "[(('n', 'n'), '<f4')]",
    ] {
        assert!(matches!(descr(text), Err(DTypeError::Duplicate(_))), "{text}");
    }
    assert_eq!(refusal("[('a', '<f4'), ('a', '<i4')]"), "'a' names two fields; rename one");
}

#[test]
fn what_describes_no_type_is_refused() {
    for text in [
        "3",
        "None",
        "{'names': ['a'], 'formats': ['f4']}",
        "['x', '<f4']",
        "[('x',)]",
        "[('x', '<f4', 2, 3)]",
        "[(3, '<f4')]",
        "[((3, 'n'), '<f4')]",
        "[(('t', 'n', 'z'), '<f4')]",
        "[('x', '<f4', -1)]",
        "[('x', '<f4', (-1,))]",
        "[('x', '<f4', (True,))]",
        "[('x', '<f4', '2')]",
        "[('x', ('<f4', {'a': 1}))]",
        "[('x', ('<f4',))]",
        "('<f4', (2,))",
        "('<f4', 1)",
    ] {
        assert!(matches!(descr(text), Err(DTypeError::Malformed(_))), "{text}: {:?}", descr(text));
    }
    assert!(matches!(DType::parse("[('x', "), Err(DTypeError::Literal(_))));
    for value in [json!(null), json!([["x", "f4", [1.5]]]), json!([["x", "f4", [u64::MAX]]]), json!({"a": 1})] {
        assert!(matches!(DType::from_json(&value), Err(DTypeError::Malformed(_))), "{value}");
    }
}

#[test]
fn a_field_of_too_many_axes_is_refused() {
    let field = |ndim: usize| format!("[('x', '<f4', ({}))]", "1,".repeat(ndim));
    assert!(descr(&field(64)).is_ok());
    assert_eq!(descr(&field(65)), Err(DTypeError::Rank(65)));
}

#[test]
fn nesting_ends_somewhere() {
    let nested = |depth: usize| format!("{}'<f4'{}", "[('x', ".repeat(depth), ")]".repeat(depth));
    let deepest = descr(&nested(MAX_NESTING)).unwrap();
    assert_eq!(deepest.to_string(), nested(MAX_NESTING));
    assert_eq!(descr(&nested(MAX_NESTING + 1)), Err(DTypeError::Nesting));
}

#[test]
fn other_ways_to_write_a_record() {
    // What NumPy makes of them.
    for (text, canonical) in [
        ("[('x', '<f4', 1)]", "[('x', '<f4', (1,))]"),
        ("[('x', '<f4', 2)]", "[('x', '<f4', (2,))]"),
        ("[('x', '<f4', ())]", "[('x', '<f4')]"),
        ("[('x', '<f4', [2])]", "[('x', '<f4', (2,))]"),
        ("[['x', '<f4']]", "[('x', '<f4')]"),
        ("[('x', ('<f4', (2,)))]", "[('x', '<f4', (2,))]"),
        ("[('x', '|S0', 3)]", "[('x', '|S3')]"),
        ("[('x', '<U0', 3)]", "[('x', '<U3')]"),
        ("[('x', ('|V0', 5), (2,))]", "[('x', '|V5', (2,))]"),
        ("[((None, 'n'), '<f4')]", "[('n', '<f4')]"),
        ("[('', '<f4', (2,))]", "[('', '|V8')]"),
        ("[('', [('a', '<f4')], (2,))]", "[('', '|V8')]"),
        ("[('', '|V4'), ('', '|V4')]", "[('', '|V8')]"),
        ("[('', '|V0')]", "[]"),
        ("[('', '<f4')]", "[('', '<f4')]"),
        ("[('', [('a', '<f4')])]", "[('', [('a', '<f4')])]"),
        ("[(('t', ''), '|V4')]", "[(('t', ''), '|V4')]"),
        ("[(('', 'n'), '<f4')]", "[(('', 'n'), '<f4')]"),
        ("('<f4', ())", "<f4"),
        // NumPy writes this one nested, as it was given; the elements and their axes are the same.
        ("[('x', ('<f4', (2,)), (3,))]", "[('x', '<f4', (3, 2))]"),
    ] {
        assert_eq!(descr(text).map(|dtype| dtype.to_string()), Ok(canonical.into()), "{text}");
    }
}

#[test]
fn parts_of_complex_numbers() {
    let dtype = DType::parse(">c16").unwrap();
    assert_eq!(dtype.part_names(), ["real", "imag"]);
    let half = DType::parse(">f8").unwrap();
    assert_eq!(dtype.part("real"), Some(Part { offset: 0, shape: vec![], dtype: half.clone() }));
    assert_eq!(dtype.part("imag"), Some(Part { offset: 8, shape: vec![], dtype: half }));
    assert_eq!(dtype.part("phase"), None);
}

#[test]
fn other_scalars_have_no_parts() {
    let dtype = DType::parse("<f8").unwrap();
    assert_eq!((dtype.part("real"), dtype.part_names()), (None, vec![]));
}

#[test]
fn fields_are_found_by_title_too() {
    let dtype = descr("[(('the title', 'n'), '<f4'), ('m', '<i4', (2,))]").unwrap();
    assert_eq!(dtype.part("the title"), dtype.part("n"));
    assert_eq!(dtype.part("m").unwrap().offset, 4);
    assert_eq!((dtype.part("o"), dtype.part("")), (None, None));
    assert_eq!(dtype.to_json(), json!([[["the title", "n"], "<f4"], ["m", "<i4", [2]]]));
}

#[test]
fn padding_in_json() {
    let dtype = descr("[('x', '<f4'), ('', '|V4'), ('r', [('y', '|u1'), ('', '|V3')], (2, 3))]").unwrap();
    assert_eq!(dtype.to_json(), json!([["x", "<f4"], ["", "|V4"], ["r", [["y", "|u1"], ["", "|V3"]], [2, 3]]]));
}

#[test]
fn fields_that_overlap_or_stick_out_are_refused() {
    let field = |name: &str, offset| Field {
        name: name.into(),
        title: None,
        offset,
        dtype: DType::parse("f4").unwrap(),
        shape: vec![],
    };
    assert!(Record::new(vec![field("a", 0), field("b", 4)], 8).is_ok());
    for (fields, itemsize) in [
        (vec![field("a", 0), field("b", 3)], 8),
        (vec![field("a", 4), field("b", 0)], 8),
        (vec![field("a", 0), field("b", 4)], 7),
    ] {
        assert!(matches!(Record::new(fields, itemsize), Err(DTypeError::Overlap(_))));
    }
    for offset in [u64::MAX, u64::MAX - 3, MAX_ITEMSIZE - 3] {
        assert_eq!(Record::new(vec![field("a", offset)], u64::MAX), Err(DTypeError::TooLarge));
    }
    assert_eq!(Record::new(vec![], MAX_ITEMSIZE + 1), Err(DTypeError::TooLarge));
}

#[test]
fn many_fields_are_found_quickly() {
    let text: String = (0..50_000).map(|i| format!("('f{i}', '<f4'),")).collect();
    let dtype = descr(&format!("[{text}]")).unwrap();
    let offsets = dtype.part_names().into_iter().map(|name| dtype.part(name).unwrap().offset);
    assert!(offsets.eq((0..50_000).map(|i| 4 * i)));
}

fn any_scalar() -> impl Strategy<Value = DType> {
    let names: Vec<&str> = SCALARS.iter().map(|scalar| scalar.0).collect();
    prop::sample::select(names).prop_map(|name| DType::parse(name).unwrap())
}

fn any_dtype() -> impl Strategy<Value = DType> {
    any_scalar().prop_recursive(3, 24, 5, |inner| {
        let field = (".{1,3}", prop::option::of(".{1,3}"), inner, prop::collection::vec(0_u64..4, 0..3), 0_u64..5);
        (prop::collection::vec(field, 0..5), 0_u64..5).prop_filter_map("a name stands twice", |(parts, tail)| {
            let (mut fields, mut end) = (Vec::new(), 0);
            for (name, title, dtype, shape, gap) in parts {
                let field = Field { name, title, offset: end + gap, dtype, shape };
                end = field.offset + field.size()?;
                fields.push(field);
            }
            Some(DType::Record(Arc::new(Record::new(fields, end + tail).ok()?)))
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(dtype in any_dtype()) {
        prop_assert_eq!(DType::from_descr(&Literal::parse(&match &dtype {
            DType::Scalar(_) => format!("'{dtype}'"),
            DType::Record(_) => dtype.to_string(),
        }).unwrap()), Ok(dtype.clone()));
        prop_assert_eq!(DType::parse(&dtype.to_string()), Ok(dtype.clone()));
        prop_assert_eq!(DType::from_json(&dtype.to_json()), Ok(dtype));
    }

    #[test]
    fn no_text_is_too_strange(text in ".*", typed in "[<>|=]?[?a-zA-Z]{0,3}[0-9]{0,12}(\\[[0-9]{0,3}[a-zμ]{0,3}\\]?)?(be|le)?") {
        for text in [text, typed] {
            if let Ok(dtype) = DType::parse(&text) {
                prop_assert_eq!(DType::parse(&dtype.to_string()), Ok(dtype));
            }
        }
    }
}
