//! Descriptions in their three places, and each that is refused.
use std::io;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::source::Alone;

const ZEROS: [u8; 4096] = [0; 4096];

/// So many bytes of zeros.
struct Zeros(u64);

impl ReadAt for Zeros {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        ZEROS[..self.0 as usize].read_at(buffer, offset)
    }
}

/// One sibling.
struct Beside(&'static str, String);

impl Siblings for Beside {
    fn sibling_len(&self, _name: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn sibling(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        assert_eq!(limit, MAX_SIDECAR);
        Ok((name == self.0).then(|| self.1.clone().into_bytes()))
    }
}

fn spec(dtype: &str, shape: &[Option<u64>]) -> Spec {
    Spec {
        name: None,
        file: None,
        dtype: DType::parse(dtype).unwrap(),
        shape: shape.to_vec(),
        offset: 0,
        order: Order::C,
        strides: None,
        attributes: Map::new(),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>, parts: &[&str]) {
    let message = result.unwrap_err().0;
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn on_the_command_line() {
    assert_eq!(
        Spec::parse("name=x,file=d/x.bin,dtype=f4,shape=100x200,offset=512,order=F").unwrap(),
        Spec {
            name: Some("x".into()),
            file: Some("d/x.bin".into()),
            offset: 512,
            order: Order::F,
            ..spec("<f4", &[Some(100), Some(200)])
        }
    );
    assert_eq!(
        Spec::parse("dtype=f4, shape = 2x3 ,strides=-800x8,offset=800,").unwrap(),
        Spec { offset: 800, strides: Some(vec![-800, 8]), ..spec("<f4", &[Some(2), Some(3)]) }
    );
}

#[test]
fn commas_in_values() {
    let record = "[('x', '<f4'), ('y', '<i4', (2,))]";
    for text in [
        format!("dtype={record},shape=3"),
        format!("dtype=\"{record}\",shape=3"),
        "dtype=[(\"x\",\"f4\"),(\"y\",\"i4\",2)],shape=(3,)".into(),
        "dtype=[('x','f4'),('y','i4',[2])],shape=[3]".into(),
    ] {
        assert_eq!(Spec::parse(&text).unwrap(), spec(record, &[Some(3)]), "{text}");
    }
    for (text, name) in [
        ("name='a,b',dtype=f4", "a,b"),
        ("name=\"it's\",dtype=f4", "it's"),
        ("name=it's,dtype=f4", "it's"),
        ("name=a(1,2),dtype=f4", "a(1,2)"),
        ("name=a=b,dtype=f4", "a=b"),
        ("name=a),dtype=f4", "a)"),
    ] {
        assert_eq!(Spec::parse(text).unwrap().name.as_deref(), Some(name));
    }
    assert_eq!(Spec::parse("dtype=[('a,]', 'f4')],shape=1").unwrap().dtype.part_names(), ["a,]"]);
}

#[test]
fn shapes() {
    for (text, shape) in [
        ("100x200", &[Some(100), Some(200)][..]),
        ("(100, 200)", &[Some(100), Some(200)]),
        ("[100,200]", &[Some(100), Some(200)]),
        ("(100x200)", &[Some(100), Some(200)]),
        ("7", &[Some(7)]),
        ("(7,)", &[Some(7)]),
        ("0x3", &[Some(0), Some(3)]),
        ("()", &[]),
        ("[]", &[]),
        ("( )", &[]),
        ("scalar", &[]),
        ("?", &[None]),
        ("-1", &[None]),
        ("?x3", &[None, Some(3)]),
        ("2x-1x3", &[Some(2), None, Some(3)]),
    ] {
        assert_eq!(Spec::parse(&format!("dtype=f4,shape={text}")).unwrap().shape, shape, "{text}");
    }
    assert_eq!(Spec::parse("dtype=f4").unwrap().shape, [None]);
}

#[test]
fn in_toml() {
    let expected = Spec {
        name: Some("x".into()),
        file: Some("x.bin".into()),
        offset: 512,
        order: Order::F,
        ..spec("<f4", &[Some(100), Some(200)])
    };
    for shape in ["\"100x200\"", "[100, 200]"] {
        let text = format!("name = 'x'\nfile = 'x.bin'\ndtype = 'f4'\nshape = {shape}\noffset = 512\norder = 'F'\n");
        assert_eq!(Spec::from_toml(&text).unwrap(), expected);
    }
    let record = spec("[('x', '<f4'), ('y', '<i4', (2,)), ('', '|V4')]", &[None, Some(2)]);
    let text = "dtype = [['x', '<f4'], ['y', '<i4', [2]], ['', '|V4']]\nshape = [-1, 2]";
    assert_eq!(Spec::from_toml(text).unwrap(), record);
    let text = "dtype = \"[('x', '<f4'), ('y', '<i4', (2,)), ('', '|V4')]\"\nshape = '?x2'";
    assert_eq!(Spec::from_toml(text).unwrap(), record);
    let strided = Spec { strides: Some(vec![8]), ..spec("<f4", &[Some(3)]) };
    for strides in ["8", "[8]", "'8'"] {
        assert_eq!(Spec::from_toml(&format!("dtype='f4'\nshape=3\nstrides={strides}")).unwrap(), strided);
    }
}

#[test]
fn attributes_in_toml() {
    let text = "dtype='f4'\n[attributes]\nunits='K'\nn=3\nx=[1.5, nan]\nday=2024-02-29\ndeep={a={b=true}}";
    let attributes = Spec::from_toml(text).unwrap().attributes;
    let expected = json!({"units": "K", "n": 3, "x": [1.5, "NaN"], "day": "2024-02-29", "deep": {"a": {"b": true}}});
    assert_eq!(Value::Object(attributes), expected);
}

#[test]
fn in_file_names() {
    for (name, stem, dtype, shape) in [
        ("x_200x100_float32.raw", "x_200x100_float32", "<f4", &[100, 200][..]),
        ("bonsai_256x128x64_uint8.raw", "bonsai_256x128x64_uint8", "|u1", &[64, 128, 256]),
        ("a_b_2x3_f8be.bin", "a_b_2x3_f8be", ">f8", &[3, 2]),
        ("a.b_2x3_float32be.dat", "a.b_2x3_float32be", ">f4", &[3, 2]),
        ("x_02x03_int16.img", "x_02x03_int16", "<i2", &[3, 2]),
        ("x_2x3_c8.data", "x_2x3_c8", "<c8", &[3, 2]),
        ("x_2x0_b1.vol", "x_2x0_b1", "|b1", &[0, 2]),
    ] {
        let found = Spec::from_file_name(name).unwrap();
        let shape: Vec<_> = shape.iter().copied().map(Some).collect();
        let expected = Spec { name: Some(stem.into()), file: Some(name.into()), ..spec(dtype, &shape) };
        assert_eq!(found, expected);
        assert_eq!(Raw.stem(name), Some(stem));
    }
}

#[test]
fn not_in_file_names() {
    for name in [
        "",
        "x",
        "x.raw",
        "_2x3_f4.raw",
        "2x3_f4.raw",
        "x_2x3.raw",
        "x_f4.raw",
        "x_2x3_f4",
        "x_2x3_f4.txt",
        "x_2x3_f4.RAW",
        "x_2x3_f4.raw.gz",
        "x_2x3_f4.raw.toml",
        "frame_0001_u1.raw",
        "x_2x_f4.raw",
        "x_x3_f4.raw",
        "x_+2x3_f4.raw",
        "x_-2x3_f4.raw",
        "x_2X3_f4.raw",
        "x_?x3_f4.raw",
        "x_2x3_float.raw",
        "x_2x3_int.raw",
        "x_2x3_V2.raw",
        "x_2x3_S5.raw",
        "x_2x3_O.raw",
        "x_2x3_f3.raw",
        "x_2x3_.raw",
        "x_2x3_f4_le.raw",
        "x_2x99999999999999999999_f4.raw",
        "x_2x3_M8[ns].raw",
    ] {
        assert_eq!((Raw.stem(name), Spec::from_file_name(name)), (None, None), "{name}");
    }
    assert_eq!(Spec::from_file_name(&format!("x_{}1_u1.raw", "1x".repeat(64))), None);
}

#[test]
fn the_array() {
    let array = Spec { offset: 16, ..spec(">i2", &[Some(2), Some(3)]) }.array(28).unwrap();
    assert_eq!((array.format, array.dtype.to_string().as_str()), ("raw", ">i2"));
    let layout = array.grid.single().unwrap();
    assert_eq!((layout.offset, &layout.shape[..], &layout.strides[..]), (16, &[2, 3][..], &[6, 2][..]));
    let array = Spec { order: Order::F, ..spec("f4", &[Some(2), Some(3)]) }.array(1000).unwrap();
    assert_eq!(array.grid.single().unwrap().strides, [4, 8]);
    let array = Spec { offset: 8, strides: Some(vec![-8, 4]), ..spec("f4", &[Some(2), Some(2)]) }.array(16).unwrap();
    assert_eq!(array.grid.single().unwrap().strides, [-8, 4]);
    assert_eq!(spec("f4", &[]).array(4).unwrap().grid.shape(), [0; 0]);
    assert_eq!(spec("f4", &[Some(0)]).array(0).unwrap().grid.shape(), [0]);
}

#[test]
fn an_open_axis() {
    for (shape, len, expected) in [
        (&[None][..], 40, &[10][..]),
        (&[None], 0, &[0]),
        (&[None, Some(5)], 40, &[2, 5]),
        (&[Some(2), None], 40, &[2, 5]),
    ] {
        assert_eq!(spec("f4", shape).array(len).unwrap().grid.shape(), expected);
    }
    assert_eq!(Spec { offset: 8, ..spec("f4", &[None]) }.array(40).unwrap().grid.shape(), [8]);
}

#[test]
fn from_a_name() {
    let array = Raw.parse("x_3x2_u1.raw", &Zeros(6), &Alone).unwrap().into_array().unwrap();
    assert_eq!(array.grid.shape(), [2, 3]);
}

#[test]
fn from_a_sidecar() {
    let text = "dtype = 'u1'\nshape = [6]\n[attributes]\nunits = 'm'";
    for name in ["", "name = 'x'\n", "name = 'x.bin'\nfile = 'x.bin'\n"] {
        let array = Raw
            .parse("x.bin", &Zeros(6), &Beside("x.bin.toml", format!("{name}{text}")))
            .unwrap()
            .into_array()
            .unwrap();
        assert_eq!((array.grid.shape(), &array.attributes["units"]), (&[6][..], &json!("m")));
    }
}

#[test]
fn a_sidecar_wins_over_the_name() {
    let beside = Beside("x_3x2_u1.raw.toml", "dtype='u1'\nshape=6".into());
    assert_eq!(Raw.parse("x_3x2_u1.raw", &Zeros(6), &beside).unwrap().into_array().unwrap().grid.shape(), [6]);
}

#[test]
fn refused_without_a_description() {
    refused(Raw.parse("x.bin", &Zeros(6), &Alone), &["nothing describes it", "x.bin.toml", "--array"]);
}

#[test]
fn refused_sidecar_of_another_file() {
    let parse = |text: &str| Raw.parse("x.bin", &Zeros(6), &Beside("x.bin.toml", text.into()));
    refused(parse("dtype='u1'\nfile='y.bin'"), &["its sidecar x.bin.toml", "file must be x.bin", "--array"]);
    refused(parse("dtype='u1'\nname='y'"), &["name must be x or x.bin", "--array"]);
}

#[test]
fn refused_sidecar_that_is_no_toml() {
    let parse = |text: &str| Raw.parse("x.bin", &Zeros(6), &Beside("x.bin.toml", text.into()));
    refused(parse("dtype='u1'\nshape ="), &["its sidecar x.bin.toml: it is not valid TOML: line 2"]);
    refused(keys::table(b"dtype='\xff'"), &["not UTF-8"]);
    refused(Spec::from_toml(&format!("a={}", "[".repeat(10_000))), &["not valid TOML"]);
    refused(Spec::from_toml("dtype='u1'\ndtype='u1'"), &["not valid TOML: line 2"]);
}

#[test]
fn refused_sidecar_that_cannot_be_read() {
    struct TooLarge;
    impl Siblings for TooLarge {
        fn sibling_len(&self, _name: &str) -> io::Result<Option<u64>> {
            Ok(None)
        }

        fn sibling(&self, _: &str, _: usize) -> io::Result<Option<Vec<u8>>> {
            Err(io::Error::other("more than 65536 bytes"))
        }
    }
    refused(Raw.parse("x.bin", &Zeros(6), &TooLarge), &["x.bin.toml", "cannot be read: more than 65536 bytes"]);
}

#[test]
fn refused_unknown_keys() {
    let known = "name, file, dtype, shape, offset, order, strides";
    refused(Spec::parse("dtype=f4,size=3"), &["'size' is no key", known]);
    refused(Spec::parse("f4"), &["'f4' is no KEY=VALUE", known]);
    refused(Spec::parse("attributes=3,dtype=f4"), &["'attributes' is no key"]);
    refused(Spec::from_toml("dtype='f4'\nDtype='f4'"), &["'Dtype' is no key", known, "attributes"]);
}

#[test]
fn refused_keys_that_stand_twice() {
    refused(Spec::parse("dtype=f4,dtype=f4"), &["'dtype' is given twice"]);
}

#[test]
fn refused_unclosed_brackets_and_quotes() {
    for text in ["dtype=[('x', 'f4'),shape=3", "name='x,dtype=f4", "dtype=[('x,'f4')]"] {
        refused(Spec::parse(text), &["not closed"]);
    }
}

#[test]
fn refused_without_a_dtype() {
    refused(Spec::parse(""), &["no dtype", "add one"]);
    refused(Spec::from_toml("shape=3"), &["no dtype"]);
}

#[test]
fn refused_dtype() {
    refused(Spec::parse("dtype=f3"), &["'f3' is no element type"]);
    refused(Spec::parse("dtype=O"), &["Python objects"]);
    refused(Spec::from_toml("dtype=[['x']]"), &["describes no element type"]);
    refused(Spec::from_toml("dtype=3"), &["dtype has a value of the wrong kind"]);
}

#[test]
fn refused_shape() {
    for shape in ["", "x", "2x", "ax2", "2x+3", "2,3.5", "2 3", "99999999999999999999", "0x10x", "(,)"] {
        refused(Spec::parse(&format!("dtype=f4,shape=\"{shape}\"")), &["is no shape", "100x200"]);
    }
    refused(Spec::parse("dtype=f4,shape=2x-2"), &["negative length (-2)"]);
    refused(Spec::parse("dtype=f4,shape=?x-1"), &["more than one axis open"]);
    refused(Spec::parse(&format!("dtype=f4,shape=1{}", "x1".repeat(64))), &["65 axes"]);
    refused(Spec::from_toml("dtype='f4'\nshape=[1.5]"), &["shape must be an array of integers"]);
    refused(Spec::from_toml("dtype='f4'\nshape=true"), &["shape has a value of the wrong kind"]);
    refused(Spec::from_toml("dtype='f4'\nshape=[-1, -1]"), &["more than one axis open"]);
}

#[test]
fn refused_offset() {
    for offset in ["-1", "+1", "1.5", "", "9223372036854775808", "0x10"] {
        refused(Spec::parse(&format!("dtype=f4,offset={offset}")), &["is no offset"]);
    }
    refused(Spec::from_toml("dtype='f4'\noffset=-1"), &["is no offset"]);
}

#[test]
fn refused_order() {
    refused(Spec::parse("dtype=f4,order=fortran"), &["'fortran' is no order", "C (last index fastest)"]);
}

#[test]
fn refused_strides() {
    refused(Spec::parse("dtype=f4,shape=2x2,strides=8"), &["2 axes and 1 strides"]);
    refused(Spec::parse("dtype=f4,shape=2,strides=a"), &["are no strides"]);
    refused(Spec::parse("dtype=f4,shape=2,strides=+8"), &["are no strides"]);
    refused(Spec::parse("dtype=f4,shape=2,strides=8,order=C"), &["both strides and order"]);
    refused(Spec::parse("dtype=f4,shape=?,strides=8").unwrap().array(8), &["leaves an axis open but gives strides"]);
    refused(Spec { strides: Some(vec![]), ..spec("f4", &[Some(1)]) }.array(8), &["1 axes and 0 strides"]);
    let before = Spec { strides: Some(vec![-4]), offset: 3, ..spec("f4", &[Some(2)]) };
    refused(before.array(8), &["before the start of the file", "the offset must be"]);
}

#[test]
fn refused_names_and_files_that_lead_elsewhere() {
    for name in ["", ".", "..", "a/b", "a\0"] {
        refused(Spec::parse(&format!("dtype=f4,name={name}")), &["is no name of an array"]);
    }
    for file in ["", "a\0b"] {
        refused(Spec::parse(&format!("dtype=f4,file={file}")), &["is no path of a file"]);
    }
}

#[test]
fn refused_short_file() {
    let spec = Spec { offset: 512, ..spec("f4", &[Some(100), Some(200)]) };
    assert!(spec.array(80_512).is_ok());
    refused(
        spec.array(80_511),
        &["dtype '<f4', shape 100x200, offset 512", "needs 80512 bytes", "holds only 80511", "correct the description"],
    );
    let strided = Spec { strides: Some(vec![100]), ..self::spec("f4", &[Some(3)]) };
    assert!(strided.array(204).is_ok());
    refused(strided.array(203), &["needs 204 bytes"]);
}

#[test]
fn refused_huge_arrays() {
    for shape in [&[1 << 62][..], &[1 << 32, 1 << 32], &[u64::MAX; 64]] {
        let shape: Vec<_> = shape.iter().copied().map(Some).collect();
        refused(spec("f4", &shape).array(8), &["larger than any file can be"]);
        refused(Spec { strides: Some(vec![i64::MAX; shape.len()]), ..spec("f4", &shape) }.array(8), &["larger than"]);
    }
    refused(Spec { offset: i64::MAX as u64, ..spec("f4", &[Some(1)]) }.array(8), &["larger than"]);
}

#[test]
fn refused_open_axis() {
    refused(spec("f4", &[None]).array(41), &["the 41 bytes from offset 0", "no multiple of the 4", "1 are left over"]);
    refused(Spec { offset: 41, ..spec("f4", &[None]) }.array(40), &["offset 41, the file holds only 40"]);
    refused(spec("f4", &[None, Some(0)]).array(40), &["cannot decide"]);
    refused(spec("S0", &[None]).array(40), &["cannot decide"]);
    refused(spec("f4", &[None, Some(u64::MAX)]).array(40), &["cannot decide"]);
    refused(spec("f4", &[None, None]).array(40), &["more than one axis open"]);
}

const LINE: &str = "name='x',file=x.bin,dtype=[('x','<f4'),('y','i4',(2,))],shape=100x?,offset=512,order=F";
const TOML: &str = "name='x'\ndtype=[['x','<f4']]\nshape=[100,-1]\noffset=512\norder='F'\n[attributes]\na={b=1.5}\n";
const NAME: &str = "x_200x100_float32be.raw";

fn mutation(text: &str, at: usize, cut: usize, insert: &str) -> String {
    let at = at % text.len();
    format!("{}{insert}{}", &text[..at], &text[(at + cut).min(text.len())..])
}

fn try_all(text: &str) {
    for spec in [Spec::parse(text), Spec::from_toml(text)].into_iter().flatten().chain(Spec::from_file_name(text)) {
        for len in [0, 1000, u64::MAX] {
            if let Ok(array) = spec.array(len) {
                assert!(array.grid.single().unwrap().extent().end <= len);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in ".*", likely in "((dtype|shape|offset|strides|name)=[-0-9x?'\"\\[\\](){},f\n.]{0,9}[,\n]){0,4}") {
        try_all(&text);
        try_all(&likely);
        try_all(&format!("dtype='f4',{likely}"));
    }

    #[test]
    fn no_mutation_is_too_strange(at in 0..100_usize, cut in 0..10_usize, insert in ".{0,3}|[-0-9x?'\"\\[\\](){},=_]{0,3}") {
        for text in [LINE, TOML, NAME] {
            try_all(&mutation(text, at, cut, &insert));
        }
    }

    #[test]
    fn any_strides(
        shape in prop::collection::vec(prop_oneof![0..5_u64, any::<u64>()], 0..4),
        strides in prop::collection::vec(prop_oneof![-50..50_i64, any::<i64>()], 4),
        offset in prop_oneof![0..500_u64, any::<u64>()],
        len in prop_oneof![0..1000_u64, any::<u64>()],
    ) {
        let strides = Some(strides[..shape.len()].to_vec());
        let spec = Spec { offset, strides, ..spec("f4", &shape.into_iter().map(Some).collect::<Vec<_>>()) };
        if let Ok(array) = spec.array(len) {
            prop_assert!(array.grid.single().unwrap().extent().end <= len);
        }
    }
}
