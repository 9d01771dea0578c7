//! Sidecars that say what they should, each refusal, and the whole against an enumeration of its members.

use proptest::prelude::*;

use super::*;
use crate::grid::{Grid, Part, Parts};

fn plan(text: &str) -> Plan {
    Plan::from_toml(text.as_bytes()).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// The names of the members that a plan lists.
fn names(plan: &Plan) -> Vec<String> {
    let named = plan.members.named().expect("names that the sidecar says");
    (0..named.count()).map(|number| named.member(number)).collect()
}

fn whole(text: &str) -> Result<Whole, Refusal> {
    let plan = plan(text);
    let member = plan.member().unwrap();
    let named = Arc::new(Named::Listed(names(&plan)));
    let whole = plan.whole(member, named)?;
    let grid =
        Grid::joined(whole.shape(), whole.itemsize(), whole.seams().0, whole.seams().1.clone(), Arc::new(Nowhere));
    plan.array(&whole, grid.unwrap()).map(|_| whole)
}

/// Parts that nobody asks for.
struct Nowhere;

impl Parts for Nowhere {
    fn part(&self, number: u64) -> Part {
        panic!("part {number} is not needed");
    }

    fn digest(&self) -> u64 {
        0
    }
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let Refusal(why) = Plan::from_toml(text.as_bytes()).expect_err(text);
    assert!(why.contains(expected), "{text}: {why}");
}

/// A sidecar that is well-formed, and describes no array.
#[track_caller]
fn impossible(text: &str, expected: &str) {
    let Refusal(why) = whole(text).expect_err(text);
    assert!(why.contains(expected), "{text}: {why}");
}

#[test]
fn patterns_stand_for_names() {
    let named = |text: &str| names(&plan(&format!("files = '{text}'")));
    assert_eq!(named("t{08..11}.npy"), ["t08.npy", "t09.npy", "t10.npy", "t11.npy"]);
    assert_eq!(named("t{8..11}"), ["t8", "t9", "t10", "t11"]);
    assert_eq!(named("{3..1}"), ["3", "2", "1"]);
    assert_eq!(named("{0..20..10}"), ["0", "10", "20"]);
    assert_eq!(named("{5..0..3}"), ["5", "2"]);
    assert_eq!(named("{1..2}/{01..02}.npy"), ["1/01.npy", "1/02.npy", "2/01.npy", "2/02.npy"]);
    assert_eq!(named("one.npy"), ["one.npy"]);
    assert_eq!(names(&plan("files = ['a{1..2}', 'b*']")), ["a{1..2}", "b*"]);
}

#[test]
fn what_matches_is_in_byte_order() {
    let Members::Glob(glob) = plan("files = 'd/s_*.tif'").members else { panic!("no pattern of the shell") };
    let found = ["s_10.tif", "s_9.tif", "s_.tif", "t_1.tif", ".s_1.tif", "s_1.tif.afb.toml"];
    let found = found.into_iter().filter(|name| glob.matches(name)).map(str::to_owned).collect();
    let named = glob.named(found).unwrap();
    let named: Vec<String> = (0..named.count()).map(|number| named.member(number)).collect();
    assert_eq!(named, ["d/s_.tif", "d/s_10.tif", "d/s_9.tif"]);
    assert!(glob.named(Vec::new()).unwrap_err().0.contains("no file matches"));
}

#[test]
fn refused_sidecars() {
    refused("", "names no files");
    refused("files = []", "names no files");
    refused("files = 3", "files must be a text, or an array of texts");
    refused("files = ['a', 3]", "files must be a text, or an array of texts");
    refused("files = 'a'\nfiles = 'b'", "not valid TOML: line 2");
    refused("files = 'a'\ncolour = 1", "'colour' is no key");
    refused("files = 'a'\naxis = 'old'", "axis has a value of the wrong kind");
    refused("files = 'a'\naxis = 0\nnew_axis = 0", "both axis and new_axis");
    refused("files = 'a'\naxis = 0\ndim = 't'", "the name of a new axis");
    refused("files = 'a'\nselect = 1", "select has a value of the wrong kind");
    refused("files = 'a'\ntranspose = 'yes'", "transpose has a value of the wrong kind");
    refused("files = 'a'\nrename = {x = 1}", "rename must be a table of texts");
    refused("files = 'a'\ndtype = 'f5'", "is no element type");
    refused("files = 'a'\ndtype = 4", "dtype has a value of the wrong kind");
    refused("files = 'a'\nshape = [-1]", "none of them negative");
    refused(&format!("files = 'a'\nshape = {:?}", [1; 65]), "65 axes");
    refused("files = 'a'\nlengths = [1, [2]]", "lengths must be");
    refused("files = 'a'\nlengths = [-1]", "lengths must be");
    refused("files = 'a'\nraw = {shape = '3'}", "raw: it gives no dtype");
    refused("files = 'a'\nraw = {dtype = 'f4', name = 'x'}", "raw: the keys name and file");
    refused("files = 'a'\ndtype = 'f4'\nraw = {dtype = 'f4'}", "both dtype and raw");
    refused("files = 'a'\nattributes = 1", "attributes has a value of the wrong kind");
    assert!(Plan::from_toml(b"files = '\xff'").unwrap_err().0.contains("not UTF-8"));
}

#[test]
fn refused_names() {
    for name in ["../a", "/a", "a/../b", "./a", "a//b", "", "a/", ".."] {
        refused(&format!("files = ['{name}']"), "leads out of the sidecar's folder");
        refused(&format!("files = '{name}'"), "leads out of the sidecar's folder");
    }
    refused("files = '../{0..1}'", "leads out");
    refused("files = '../*.npy'", "leads out");
    refused("files = 't{0..1'", "without its }");
    refused("files = 't{a..b}'", "something else in braces");
    refused("files = 't{0..1..0}'", "something else in braces");
    refused("files = 't{0..1..2..3}'", "something else in braces");
    refused("files = 't{-1..1}'", "something else in braces");
    refused("files = 't{0..99999999999999999999}'", "something else in braces");
    refused("files = 't{0..99999999}'", "more than 16777216 files");
    refused("files = '{0..9999}/{0..9999}'", "more than 16777216 files");
    refused("files = '*/a.npy'", "only the last name");
    refused("files = 'a[.npy'", "Pattern syntax error");
}

#[test]
fn refused_wholes() {
    let of = |rest: &str| format!("files = ['a', 'b', 'c']\ndtype = 'f4'\nshape = [3, 5]\n{rest}");
    impossible(&of("axis = 2"), "along axis 2, which there is not");
    impossible(&of("axis = -3"), "along axis -3");
    impossible(&of("new_axis = 3"), "along axis 3");
    impossible(&of("select = '3'"), "selects '3' of members of shape (3, 5)");
    impossible(&of("select = '0'\naxis = 1"), "along axis 1");
    impossible(&of("lengths = [1, 2, 3]"), "gives lengths");
    impossible(&of("axis = 0\nlengths = [1, 2]"), "lengths of 2 members, and has 3");
    impossible(&of("axis = 0\nlengths = [[1, 9223372036854775807], [1, 9223372036854775807], 1, 1]"), "lengths of");
    impossible(&of("axis = 0\nlengths = [1, 2, 9223372036854775807]"), "cannot be");
    impossible(&of("axis = 0\nselect = '2:'\nlengths = [3, 3, 9000000000000000000]"), "cannot be");
    impossible(&of("rename = {x = 'y'}"), "which has none");
    impossible(&of("fill = 'x'"), "is none of the type '<f4'");
    impossible("files = '{0..9}'\ndtype = 'f4'\nshape = [1000000000, 1000000000]", "cannot be");
    let record = |rest: &str| format!("files = ['a']\ndtype = \"[('x', '<f4'), ('y', '<i2')]\"\nshape = [3]\n{rest}");
    impossible(&record("rename = {z = 'y'}"), "'z', which is no field");
    impossible(&record("rename = {x = 'y'}"), "rename: ");
    let axes = vec!["1"; 64].join(", ");
    impossible(&format!("files = ['a']\ndtype = 'u1'\nshape = [{axes}]"), "65 axes");
}

#[test]
fn odd_members_are_told_from_others() {
    let whole = whole("files = ['a', 'b']\ndtype = 'f4'\nshape = [3, 5]\naxis = 0\nlengths = [3, 4]").unwrap();
    let array = |dtype: &str, shape: &[u64]| {
        let dtype = DType::parse(dtype).unwrap();
        let layout = Layout::packed(8, shape, dtype.itemsize(), Order::F).unwrap();
        Array::new("npy", dtype, Grid::one(layout))
    };
    assert_eq!(whole.place(1, &array("f4", &[4, 5])).unwrap().strides, [4, 16]);
    let odd = |number, array: &Array| whole.place(number, array).unwrap_err();
    assert_eq!(odd(0, &array("f4", &[4, 5])), "has the shape (4, 5), and (3, 5) was expected");
    assert_eq!(odd(1, &array(">f4", &[4, 5])), "has elements of type '>f4', and '<f4' was expected");
    let bf16 = Array { element: Some("bf16"), ..array("f4", &[4, 5]) };
    assert_eq!(odd(1, &bf16), "has elements of type bf16, and '<f4' was expected");
    let beside = Array { files: Files::Beside(whole.names().clone()), ..array("f4", &[4, 5]) };
    assert!(odd(1, &beside).contains("one piece in one file"));
}

#[test]
fn what_stands_for_missing_members() {
    let fill = |dtype: &str, rest: &str| {
        let plan = plan(&format!("files = ['a']\n{rest}"));
        plan.fill_bytes(&DType::parse(dtype).unwrap(), None)
    };
    assert_eq!(fill("f4", "").unwrap(), f32::NAN.to_le_bytes());
    assert_eq!(fill(">f8", "").unwrap(), f64::NAN.to_be_bytes());
    assert_eq!(fill("c8", "").unwrap(), [f32::NAN.to_le_bytes(), f32::NAN.to_le_bytes()].concat());
    assert_eq!(fill("<M8[s]", "").unwrap(), i64::MIN.to_le_bytes());
    assert!(fill("i4", "").unwrap().is_empty());
    assert!(fill("f4", "fill = 0").unwrap().is_empty());
    assert_eq!(fill("f4", "fill = inf").unwrap(), f32::INFINITY.to_le_bytes());
    assert_eq!(fill(">i2", "fill = -2").unwrap(), (-2_i16).to_be_bytes());
    assert_eq!(fill("S3", "fill = 'ab'").unwrap(), *b"ab\0");
    assert!(fill("S3", "fill = 'abcd'").is_err());
    assert!(fill("u1", "fill = 256").is_err());
    assert!(plan("files = ['a']\nfill = 1").fill_bytes(&DType::parse("V2").unwrap(), Some("bf16")).is_err());
}

/// Members that all lie in files of their own, each in its own order, at its own offset.
struct Scattered(Whole);

impl Scattered {
    fn array(&self, number: u64) -> Array {
        let order = if number.is_multiple_of(2) { Order::C } else { Order::F };
        let layout = Layout::packed(number * 10, &self.0.shape_of(number), 2, order).unwrap();
        Array::new("npy", self.0.member.dtype.clone(), Grid::one(layout))
    }
}

impl Parts for Scattered {
    fn part(&self, number: u64) -> Part {
        Part { piece: number, layout: Arc::new(self.0.place(number, &self.array(number)).unwrap()) }
    }

    fn digest(&self) -> u64 {
        self.0.digest()
    }
}

proptest! {
    /// Each element of the whole is the one of the member that NumPy would put there.
    #[test]
    fn the_whole_is_made_of_its_members(
        count in 1_u64..5,
        shape in prop::collection::vec(1_u64..5, 1..4),
        axis in 0_usize..4,
        is_new in any::<bool>(),
        transpose in any::<bool>(),
        step in -2_i64..3,
        lengths in prop::collection::vec(0_u64..5, 5),
    ) {
        prop_assume!(step != 0);
        let ndim = shape.len();
        let axis = axis % (ndim + usize::from(is_new));
        let files: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let mut text = format!("files = {files:?}\ndtype = 'i2'\nshape = {shape:?}\ntranspose = {transpose}\n");
        text += &format!("select = '::{step}'\n{} = {axis}\n", if is_new { "new_axis" } else { "axis" });
        let uneven = !is_new && lengths[4] > 1;
        if uneven {
            text += &format!("lengths = {:?}\n", &lengths[..count as usize]);
        }
        let whole = whole(&text).unwrap();
        let (at, seams) = whole.seams();
        prop_assert_eq!(at, axis);
        let parts = Arc::new(Scattered(whole.clone()));
        let grid = Grid::joined(whole.shape(), 2, axis, seams.clone(), parts.clone()).unwrap();
        // Walk the members, and note where each of their elements goes.
        let mut expected = BTreeMap::new();
        let mut start = 0;
        for number in 0..count {
            let own = whole.shape_of(number);
            let mut view = Selection::whole(&own, 2).pick(&name::expression(&format!("::{step}"), &own).unwrap());
            if transpose {
                view = view.transpose();
            }
            let placed = view.place(parts.array(number).grid.single().unwrap());
            for element in 0..placed.count() {
                let (mut index, mut rest, mut offset) = (vec![0; ndim], element, placed.offset as i64);
                for k in (0..ndim).rev() {
                    (index[k], rest) = (rest % placed.shape[k], rest / placed.shape[k]);
                    offset += index[k] as i64 * placed.strides[k];
                }
                if is_new { index.insert(axis, number) } else { index[axis] += start }
                expected.insert(index, (number, offset));
            }
            start += if is_new { 0 } else { placed.shape[axis] };
        }
        prop_assert_eq!(crate::layout::count(whole.shape()), expected.len() as u64);
        for (index, (number, offset)) in &expected {
            for along in 0..whole.shape().len() {
                let spot = grid.spot(index, Some(along));
                prop_assert_eq!((spot.piece, spot.offset), (Some(*number), *offset), "{:?} in {}", index, text);
                for other in spot.low..spot.high {
                    let mut neighbour = index.clone();
                    neighbour[along] = other;
                    let far = offset + (other as i64 - index[along] as i64) * spot.stride;
                    prop_assert_eq!(expected[&neighbour], (*number, far));
                }
            }
        }
    }
}
