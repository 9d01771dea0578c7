//! Archives as torch makes them, and each tensor that is refused.

use proptest::prelude::*;

use super::*;
use crate::format::zip::tests::build::{Built, Bytes, Item, item, plain};
use crate::source::Alone;

/// A pickled string.
fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// A pickled integer.
fn int(number: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &number.to_le_bytes()].concat()
}

fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &parts.concat()[..], b"t"].concat()
}

fn ints(numbers: &[i64]) -> Vec<u8> {
    tuple(&numbers.iter().map(|&number| int(number)).collect::<Vec<_>>())
}

fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(", &items[..], b"u"].concat()
}

fn call(function: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    let (module, name) = function.rsplit_once('.').unwrap();
    [format!("c{module}\n{name}\n").as_bytes(), &tuple(arguments), b"R"].concat()
}

fn storage(class: &str, key: &str, numel: i64) -> Vec<u8> {
    let class = format!("ctorch\n{class}\n").into_bytes();
    [&tuple(&[text("storage"), class, text(key), text("cpu"), int(numel)])[..], b"Q"].concat()
}

/// What `torch.save` makes of a tensor: its class, key and length of storage, and offset, size and strides.
fn tensor(storage: Vec<u8>, offset: i64, size: &[i64], strides: &[i64], more: &[Vec<u8>]) -> Vec<u8> {
    let hooks = call("collections.OrderedDict", &[]);
    let common = [storage, int(offset), ints(size), ints(strides), b"\x89".to_vec(), hooks];
    let function = if more.is_empty() { "torch._utils._rebuild_tensor_v2" } else { "torch._utils._rebuild_tensor_v3" };
    call(function, &[&common[..], more].concat())
}

fn floats() -> Vec<u8> {
    tensor(storage("FloatStorage", "0", 12), 0, &[3, 4], &[4, 1], &[])
}

/// An archive of this pickle and these storages.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Built {
    records(&[("data.pkl", &[b"\x80\x02", pickle, b"."].concat())], storages)
}

fn records(records: &[(&str, &[u8])], storages: &[(&str, &[u8])]) -> Built {
    let torch = |name: String, body: &[u8]| Item { flags: 8, extra: b"FB\x03\0ZZZ".to_vec(), ..item(&name, body) };
    let records = records.iter().map(|(name, body)| torch(format!("a/{name}"), body));
    plain(&records.chain(storages.iter().map(|(key, body)| torch(format!("a/data/{key}"), body))).collect::<Vec<_>>())
}

fn parse(bytes: &[u8]) -> Result<Container, Refusal> {
    match Torch.parse("a.pt", &Bytes(bytes), &Alone)? {
        Content::Many(container) => Ok(container),
        Content::One(_) => panic!("an archive is no array"),
    }
}

/// The paths of the arrays, and for each the dtype, or why there is none.
fn names(built: &Built) -> Vec<(String, String)> {
    let members = parse(&built.bytes).unwrap().members.into_iter();
    let dtype = |array: Array| array.element.map_or(array.dtype.to_string(), str::to_owned);
    members.map(|member| (member.path.join("|"), member.found.map_or_else(|refusal| refusal.0, dtype))).collect()
}

fn found(built: &Built, path: &str) -> Result<Array, Refusal> {
    let members = parse(&built.bytes).unwrap().members;
    members.into_iter().find(|member| member.path.join("|") == path).unwrap().found
}

/// Offset from the start of the first storage, shape and strides of a tensor over twelve numbers of 4 bytes.
fn check(pickle: &[u8], offset: u64, shape: &[u64], strides: &[i64]) {
    let built = archive(pickle, &[("0", &[1; 48])]);
    let array = found(&built, "tensor").unwrap();
    let layout = array.grid.single().unwrap();
    assert_eq!(
        (layout.offset - built.bodies[1] as u64, &layout.shape[..], &layout.strides[..]),
        (offset, shape, strides)
    );
}

fn refused(pickle: &[u8], part: &str) {
    let message = found(&archive(pickle, &[("0", &[1; 48])]), "tensor").unwrap_err().0;
    assert!(message.contains(part), "{message}");
}

fn pickle_refused(pickle: &[u8], part: &str) {
    let built = archive(pickle, &[("0", &[1; 48])]);
    let message = found(&built, "data.pkl").unwrap_err().0;
    assert!(message.contains(part), "{message}");
    assert!(found(&built, "storage|0").is_ok());
}

#[test]
fn a_state_dict() {
    let bytes = tensor(storage("LongStorage", "1", 2), 0, &[2], &[1], &[]);
    let items = [&text("layer1.0.weight")[..], &floats(), &text("layer1.0.num"), &bytes].concat();
    let metadata = dict(&[("_metadata", dict(&[]))]);
    let pickle = [&call("collections.OrderedDict", &[])[..], b"(", &items, b"u", &metadata, b"b"].concat();
    let built = archive(&pickle, &[("0", &[0; 48]), ("1", &[0; 16])]);
    let expected = [("layer1.0.weight", "<f4"), ("layer1.0.num", "<i8"), ("storage|0", "<f4"), ("storage|1", "<i8")];
    assert_eq!(names(&built), expected.map(|(name, dtype)| (name.to_owned(), dtype.to_owned())));
    let array = found(&built, "layer1.0.weight").unwrap();
    assert_eq!(array.format, "torch");
    assert!(array.read_only.unwrap().contains("--update-checksums"));
    let checksum = array.checksum.unwrap();
    assert_eq!(checksum.covers, built.bodies[1] as u64..built.bodies[1] as u64 + 48);
    // The field of the directory, and the descriptor's.
    assert_eq!(checksum.fields, [built.centrals[1] as u64 + 16, built.bodies[1] as u64 + 48 + 4]);
}

#[test]
fn layouts() {
    let of =
        |offset, size: &[i64], strides: &[i64]| tensor(storage("FloatStorage", "0", 12), offset, size, strides, &[]);
    check(&floats(), 0, &[3, 4], &[16, 4]);
    check(&of(0, &[4, 3], &[1, 4]), 0, &[4, 3], &[4, 16]);
    check(&of(5, &[], &[]), 20, &[], &[]);
    check(&of(2, &[1000, 3], &[0, 1]), 8, &[1000, 3], &[0, 4]);
    check(&of(0, &[10, 3], &[1, 1]), 0, &[10, 3], &[4, 4]);
    check(&of(12, &[0, 3], &[3, 1]), 48, &[0, 3], &[12, 4]);
}

#[test]
fn nesting_gives_groups() {
    let list = |parts: &[Vec<u8>]| [b"](", &parts.concat()[..], b"e"].concat();
    let pickle = dict(&[
        ("a", dict(&[("b/c", floats()), ("", floats())])),
        ("l", list(&[b"N".to_vec(), tuple(&[floats()])])),
        ("p", call("torch._utils._rebuild_parameter", &[floats(), b"\x88".to_vec(), dict(&[])])),
        ("t", call("torch.jit._pickle.restore_type_tag", &[dict(&[("x", floats())]), text("Dict")])),
        ("m", [b"c__torch__\nModel\n)\x81", &dict(&[("weight", floats())])[..], b"b"].concat()),
        ("n", [b"cmine\nPair\n", &tuple(&[int(1), floats()])[..], b"\x81"].concat()),
        ("f", call("os.system", &[text("true")])),
    ]);
    // Keys that are no strings.
    let pickle =
        [&pickle[..], b"K\x07", &floats(), b"s\x88", &floats(), b"sN", &floats(), b"s)", &floats(), b"s"].concat();
    let expected = "a|b/c a| l|1|0 p t|x m|weight n|1 7 True None storage|0";
    let found = names(&archive(&pickle, &[("0", &[0; 48])]));
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "), expected);
    assert!(found.iter().all(|(_, dtype)| dtype == "<f4"));
}

#[test]
fn subclasses() {
    let hooks = call("collections.OrderedDict", &[]);
    let arguments =
        tuple(&[storage("FloatStorage", "0", 12), int(0), ints(&[12]), ints(&[1]), b"\x89".to_vec(), hooks]);
    let function = b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec();
    let class = b"cmine\nTensor\n".to_vec();
    check(&call("torch._tensor._rebuild_from_type_v2", &[function, class, arguments, dict(&[])]), 0, &[12], &[4]);
}

#[test]
fn types() {
    for (class, dtype) in [
        ("DoubleStorage", "<f8"),
        ("FloatStorage", "<f4"),
        ("HalfStorage", "<f2"),
        ("BFloat16Storage", "bf16"),
        ("LongStorage", "<i8"),
        ("IntStorage", "<i4"),
        ("ShortStorage", "<i2"),
        ("CharStorage", "|i1"),
        ("ByteStorage", "|u1"),
        ("BoolStorage", "|b1"),
        ("ComplexDoubleStorage", "<c16"),
        ("ComplexFloatStorage", "<c8"),
        ("ComplexHalfStorage", "c4"),
    ] {
        let pickle = tensor(storage(class, "0", 3), 0, &[3], &[1], &[]);
        let built = archive(&pickle, &[("0", &[0; 48])]);
        assert_eq!(names(&built), [("tensor".to_owned(), dtype.to_owned()), ("storage|0".into(), dtype.into())]);
    }
    for (name, dtype) in [
        ("uint16", "<u2"),
        ("uint32", "<u4"),
        ("uint64", "<u8"),
        ("float8_e4m3fn", "f8_e4m3"),
        ("float8_e5m2", "f8_e5m2"),
        ("float8_e4m3fnuz", "f8_e4m3fnuz"),
        ("float8_e5m2fnuz", "f8_e5m2fnuz"),
        ("float8_e8m0fnu", "f8_e8m0"),
        ("float32", "<f4"),
    ] {
        let more = [format!("ctorch\n{name}\n").into_bytes()];
        let pickle = tensor(storage("UntypedStorage", "0", 48), 1, &[3], &[1], &more);
        let built = archive(&pickle, &[("0", &[0; 48])]);
        assert_eq!(names(&built), [("tensor".to_owned(), dtype.to_owned()), ("storage|0".into(), dtype.into())]);
        let layout = found(&built, "tensor").unwrap().grid.single().unwrap().clone();
        assert_eq!(layout.offset, built.bodies[1] as u64 + layout.itemsize);
    }
}

#[test]
fn byte_orders() {
    let pickle = |class| [b"\x80\x02", &tensor(storage(class, "0", 2), 0, &[2], &[1], &[])[..], b"."].concat();
    for (order, class, dtype) in [
        ("little", "FloatStorage", "<f4"),
        ("big", "FloatStorage", ">f4"),
        ("big", "ComplexFloatStorage", ">c8"),
        ("big", "ByteStorage", "|u1"),
        ("big", "BFloat16Storage", "bf16be"),
    ] {
        let built = records(&[("data.pkl", &pickle(class)), ("byteorder", order.as_bytes())], &[("0", &[0; 16])]);
        assert_eq!(names(&built)[0].1, dtype);
    }
}

#[test]
fn storages_without_a_tensor_or_of_several_types() {
    let odd = dict(&[
        ("a", tensor(storage("FloatStorage", "0", 3), 0, &[3], &[1], &[])),
        ("b", tensor(storage("IntStorage", "0", 3), 0, &[3], &[1], &[])),
        ("c", tensor(storage("ShortStorage", "1", 1), 0, &[1], &[1], &[])),
    ]);
    let built = archive(&odd, &[("0", &[0; 12]), ("1", &[0; 3]), ("2", &[0; 5])]);
    let expected =
        [("a", "<f4"), ("b", "<i4"), ("c", "<i2"), ("storage|0", "|u1"), ("storage|1", "|u1"), ("storage|2", "|u1")];
    assert_eq!(names(&built), expected.map(|(name, dtype)| (name.to_owned(), dtype.to_owned())));
}

#[test]
fn torchscript() {
    let data = [b"\x80\x02c__torch__\nModel\n)\x81", &dict(&[("w", floats())])[..], b"b."].concat();
    let constants =
        [b"\x80\x02", &tuple(&[tensor(storage("LongStorage", "0", 2), 0, &[2], &[1], &[])])[..], b"."].concat();
    let built = records(
        &[("constants/0", &[0; 16]), ("constants.pkl", &constants), ("data.pkl", &data), ("code/x.py", b"")],
        &[("0", &[0; 48])],
    );
    let expected = [("w", "<f4"), ("storage|0", "<f4"), ("constants|0", "<i8"), ("storage|constants|0", "<i8")];
    assert_eq!(names(&built), expected.map(|(name, dtype)| (name.to_owned(), dtype.to_owned())));
}

#[test]
fn stems_and_contents() {
    assert_eq!(Torch.stem("a.pt"), Some("a"));
    assert_eq!(Torch.stem("a.b.pth"), Some("a.b"));
    assert_eq!(Torch.stem(".pt"), Some(".pt"));
    assert_eq!(Torch.stem("a.ckpt"), None);
    assert!(Torch.knows(&archive(&floats(), &[]).bytes));
    assert!(Torch.knows(&plain(&[item("x/data.pkl", b"N.")]).bytes));
    assert!(!Torch.knows(&plain(&[item("data.pkl", b"N."), item("x/y/data.pkl", b"")]).bytes));
    assert!(!Torch.knows(b"PK\x03\x04"));
}

#[test]
fn refused_old_layouts() {
    let mut tar = vec![0; 600];
    tar[257..262].copy_from_slice(b"ustar");
    for bytes in [&b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."[..], &tar] {
        let message = parse(bytes).unwrap_err().0;
        assert!(message.contains("before version 1.6") && message.contains("torch.save(torch.load(path), path)"));
    }
}

#[test]
fn refused_other_archives() {
    let message = parse(&plain(&[item("a.txt", b"")]).bytes).unwrap_err().0;
    assert!(message.contains("without data.pkl"), "{message}");
    let message = parse(b"hello").unwrap_err().0;
    assert!(message.contains("does not end as a ZIP archive does"), "{message}");
}

#[test]
fn refused_without_tensors() {
    let message = parse(&archive(&dict(&[("a", int(1))]), &[]).bytes).unwrap_err().0;
    assert_eq!(message, "it holds no tensor");
}

#[test]
fn refused_byte_order() {
    let message = parse(&records(&[("data.pkl", b"N."), ("byteorder", b"middle")], &[]).bytes).unwrap_err().0;
    assert!(message.contains("neither little nor big"), "{message}");
    let message = parse(&records(&[("data.pkl", b"N."), ("byteorder", &[0; 17])], &[]).bytes).unwrap_err().0;
    assert!(message.contains("its byteorder: it is 17 bytes long"), "{message}");
}

#[test]
fn refused_quantised() {
    let arguments = [storage("QUInt8Storage", "0", 12), int(0), ints(&[12]), ints(&[1])];
    refused(&call("torch._utils._rebuild_qtensor", &arguments), "quantised");
    refused(&tensor(storage("QInt8Storage", "0", 12), 0, &[12], &[1], &[]), "quantised");
    let more = [b"ctorch\nqint8\n".to_vec()];
    refused(&tensor(storage("UntypedStorage", "0", 12), 0, &[12], &[1], &more), "quantised");
}

#[test]
fn refused_conjugates_and_negatives() {
    for (key, part) in [("conj", "resolve_conj"), ("neg", "resolve_neg"), ("new", "not known")] {
        let metadata = dict(&[(key, b"\x88".to_vec())]);
        let more = [b"ctorch\ncomplex64\n".to_vec(), metadata];
        refused(&tensor(storage("ComplexFloatStorage", "0", 6), 0, &[6], &[1], &more), part);
    }
    let plain = [b"ctorch\ncomplex64\n".to_vec(), dict(&[("conj", b"\x89".to_vec())])];
    check(&tensor(storage("ComplexFloatStorage", "0", 6), 0, &[6], &[1], &plain), 0, &[6], &[8]);
}

#[test]
fn refused_meta_tensors() {
    refused(&call("torch._utils._rebuild_meta_tensor_no_storage", &[int(0)]), "meta device");
}

#[test]
fn refused_unknown_types() {
    refused(
        &tensor(storage("TernaryStorage", "0", 12), 0, &[12], &[1], &[]),
        "type TernaryStorage, which is not known",
    );
    let more = [b"ctorch\nbits8\n".to_vec()];
    refused(&tensor(storage("UntypedStorage", "0", 12), 0, &[12], &[1], &more), "type bits8, which is not known");
    refused(&tensor(storage("UntypedStorage", "0", 12), 0, &[12], &[1], &[int(3)]), "no dtype where one belongs");
}

#[test]
fn refused_tensors_beyond_their_storage() {
    let of =
        |offset, size: &[i64], strides: &[i64]| tensor(storage("FloatStorage", "0", 12), offset, size, strides, &[]);
    for pickle in [
        of(1, &[12], &[1]),
        of(0, &[13], &[1]),
        of(0, &[2, 2], &[11, 1]),
        of(3, &[2], &[-4]),
        of(i64::MAX, &[1], &[1]),
        of(0, &[2], &[i64::MAX]),
    ] {
        refused(&pickle, "lead beyond its storage");
    }
    // Elements that the storage should not have.
    refused(&tensor(storage("FloatStorage", "0", 11), 0, &[12], &[1], &[]), "lead beyond its storage");
    refused(&of(0, &[1 << 40, 1 << 40], &[0, 0]), "it cannot be: the array is larger");
    refused(&of(0, &[1; 65], &[1; 65]), "no tuples of at most 64 integers");
}

#[test]
fn refused_storages_that_are_short_or_missing() {
    refused(
        &tensor(storage("FloatStorage", "0", 13), 0, &[12], &[1], &[]),
        "should have 13 elements, and has 48 bytes",
    );
    refused(&tensor(storage("FloatStorage", "9", 12), 0, &[12], &[1], &[]), "its storage data/'9' is missing");
    refused(&tensor(storage("FloatStorage", "0", i64::MAX), 0, &[12], &[1], &[]), "should have 9223372036854775807");
}

#[test]
fn refused_deflated_storages() {
    let pickle = [b"\x80\x02", &floats()[..], b"."].concat();
    let built = plain(&[item("a/data.pkl", &pickle), Item { method: 8, ..item("a/data/0", &[0; 48]) }]);
    assert!(found(&built, "tensor").unwrap_err().0.contains("its storage: it is deflated"));
    assert!(found(&built, "storage|0").unwrap_err().0.contains("deflated; `afbfs unpack`"));
    let built = plain(&[Item { method: 8, ..item("a/data.pkl", &pickle) }, item("a/data/0", &[0; 48])]);
    assert!(found(&built, "data.pkl").unwrap_err().0.contains("deflated"));
    assert_eq!(found(&built, "storage|0").unwrap().dtype.to_string(), "|u1");
}

#[test]
fn refused_malformed_tensors() {
    let id = |id: &[Vec<u8>]| [&tuple(id)[..], b"Q"].concat();
    let class = b"ctorch\nFloatStorage\n".to_vec();
    for (pickle, part) in [
        (call("torch._utils._rebuild_tensor_v2", &[int(1)]), "other arguments"),
        (tensor(int(1), 0, &[1], &[1], &[]), "no storage that is known"),
        (
            tensor(id(&[text("module"), class.clone(), text("0"), text("cpu"), int(1)]), 0, &[1], &[1], &[]),
            "no storage",
        ),
        (tensor(id(&[text("storage"), class, text("0")]), 0, &[1], &[1], &[]), "no storage that is known"),
        (tensor(storage("FloatStorage", "0", -1), 0, &[1], &[1], &[]), "a storage of negative length"),
        (tensor(storage("FloatStorage", "0", 12), -1, &[1], &[1], &[]), "a negative offset"),
        (tensor(storage("FloatStorage", "0", 12), 0, &[-1], &[1], &[]), "an axis of negative length"),
        (tensor(storage("FloatStorage", "0", 12), 0, &[1, 1], &[1], &[]), "not as many strides as axes"),
    ] {
        refused(&pickle, part);
    }
}

#[test]
fn refused_pickles_that_cannot_be_read() {
    pickle_refused(b"z", "unknown opcode");
    pickle_refused(b"(", "wants more values");
}

#[test]
fn refused_nesting_too_deep() {
    let deep = [&b"]".repeat(100)[..], &b"a".repeat(99)].concat();
    pickle_refused(&deep, "nested more than 64 deep");
}

#[test]
fn refused_the_same_parts_in_too_many_places() {
    // Forty lists, each of which holds the one before it twice.
    let doubled: Vec<u8> = (0..40).flat_map(|_| b"2\x86".to_vec()).collect();
    pickle_refused(&[&b")"[..], &doubled].concat(), "more than can be listed");
}

#[test]
fn a_list_within_itself() {
    let built = archive(&[&b"]q\0h\0a"[..], &floats(), b"a"].concat(), &[("0", &[0; 48])]);
    assert_eq!(names(&built)[0], ("1".to_owned(), "<f4".to_owned()));
}

#[test]
fn keys_that_stand_twice_are_refused() {
    let pickle = [b"}(K\x01", &floats()[..], &text("1"), &floats(), b"u"].concat();
    let built = archive(&pickle, &[("0", &[0; 48])]);
    assert!(found(&built, "1").unwrap_err().0.contains("several of the file's arrays have this name"));
}

proptest! {
    #[test]
    fn no_mutation_is_too_strange(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        early: bool,
    ) {
        let parameter = call("torch._utils._rebuild_parameter", &[floats(), b"\x88".to_vec(), dict(&[])]);
        let built = archive(&dict(&[("a", floats()), ("b", tuple(&[parameter]))]), &[("0", &[0; 48])]);
        let mut bytes = built.bytes;
        for (at, byte) in changes {
            let at = if early { built.bodies[0] + at.index(300) } else { at.index(bytes.len()) };
            bytes[at] = byte;
        }
        if let Ok(container) = parse(&bytes) {
            for array in container.members.into_iter().filter_map(|member| member.found.ok()) {
                let checksum = array.checksum.unwrap();
                let extent = array.grid.single().unwrap().extent();
                prop_assert!(checksum.covers.end <= bytes.len() as u64);
                let inside = extent.start >= checksum.covers.start && extent.end <= checksum.covers.end;
                prop_assert!(extent.is_empty() || inside);
            }
        }
    }
}
