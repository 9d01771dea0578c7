//! Each opcode, as Python writes and reads it, and each thing that is refused.

use proptest::prelude::*;

use super::*;

/// A value as Python would write it, calls as `f(...)`, what was put into them behind a `+`.
fn render(pickle: &Pickle, value: Value, depth: usize) -> String {
    if depth == 0 {
        return "...".into();
    }
    let one = |value| render(pickle, value, depth - 1);
    let all = |values: &[Value]| values.iter().map(|&value| one(value)).collect::<Vec<_>>().join(", ");
    let items = |items: &[(Value, Value)]| {
        items.iter().map(|&(key, value)| format!("{}: {}", one(key), one(value))).collect::<Vec<_>>().join(", ")
    };
    match (value, pickle.node(value)) {
        (Value::None, _) => "None".into(),
        (Value::Bool(flag), _) => flag.to_string(),
        (Value::Int(number), _) => number.to_string(),
        (Value::Text { .. }, _) => format!("'{}'", pickle.text(value).unwrap_or("?")),
        (Value::Other, _) | (_, None) => "-".into(),
        (_, Some(Node::Tuple(values))) => format!("({})", all(values)),
        (_, Some(Node::List(values))) => format!("[{}]", all(values)),
        (_, Some(Node::Dict(pairs))) => format!("{{{}}}", items(pairs)),
        (_, Some(Node::Global(..))) => match pickle.global(value) {
            Some((module, name)) => format!("{module}.{name}"),
            None => "?".into(),
        },
        (_, Some(Node::Persistent(id))) => format!("<{}>", one(*id)),
        (_, Some(Node::Object(object))) => {
            let mut text = format!("{}{}", one(object.callee), one(object.arguments));
            if object.state != Value::None {
                text += &format!("+{}", one(object.state));
            }
            if !object.items.is_empty() {
                text += &format!("+{{{}}}", items(&object.items));
            }
            text
        }
    }
}

fn check(bytes: &[u8], expected: &str) {
    let pickle = Pickle::load(bytes.to_vec()).unwrap();
    assert_eq!(render(&pickle, pickle.root, 8), expected);
}

fn refused(bytes: &[u8], why: &str) {
    assert_eq!(Pickle::load(bytes.to_vec()).unwrap_err(), why);
}

#[test]
fn atoms() {
    check(b"N.", "None");
    check(b"\x80\x05\x95\x01\0\0\0\0\0\0\0\x88.", "true");
    check(b"\x89.", "false");
    check(b"K\xff.", "255");
    check(b"M\x01\x02.", "513");
    check(b"J\xff\xff\xff\xff.", "-1");
    check(b"\x8a\0.", "0");
    check(b"\x8a\x01\x80.", "-128");
    check(b"\x8a\x02\xff\0.", "255");
    check(b"\x8a\x08\0\0\0\0\0\0\0\x80.", &i64::MIN.to_string());
    check(b"\x8b\x02\0\0\0\0\x01.", "256");
    check(b"\x8a\x09123456789.", "-");
    check(b"G12345678.", "-");
}

#[test]
fn strings_and_bytes() {
    check(b"X\x02\0\0\0\xc3\xa9.", "'é'");
    check(b"\x8c\x01a.", "'a'");
    check(b"\x8d\x01\0\0\0\0\0\0\0a.", "'a'");
    check(b"U\x01a.", "'a'");
    check(b"T\x01\0\0\0a.", "'a'");
    check(b"U\x01\xff.", "'?'");
    check(b"C\x01a.", "-");
    check(b"B\x01\0\0\0a.", "-");
    check(b"\x8e\x01\0\0\0\0\0\0\0a.", "-");
    check(b"\x96\x01\0\0\0\0\0\0\0a.", "-");
    let long = [&b"X\x01\x04\0\0"[..], &[b'x'; 1025], b"."].concat();
    check(&long, "-");
}

#[test]
fn containers() {
    check(b").", "()");
    check(b"NK\x01K\x02\x87.", "(None, 1, 2)");
    check(b"K\x01\x85.", "(1)");
    check(b"K\x01K\x02\x86.", "(1, 2)");
    check(b"(K\x01K\x02K\x03K\x04t.", "(1, 2, 3, 4)");
    check(b"].", "[]");
    check(b"]K\x01a(K\x02K\x03e.", "[1, 2, 3]");
    check(b"(K\x01l.", "[1]");
    check(b"\x8f(K\x01\x90.", "[1]");
    check(b"(K\x01\x91.", "[1]");
    check(b"}K\x01K\x02s(K\x03K\x04u.", "{1: 2, 3: 4}");
    check(b"(K\x01K\x02d.", "{1: 2}");
}

#[test]
fn the_stack() {
    check(b"K\x01K\x020.", "1");
    check(b"K\x01(K\x02K\x031.", "1");
    check(b"K\x01(0.", "1");
    check(b"K\x012\x86.", "(1, 1)");
}

#[test]
fn the_memo() {
    check(b"K\x01q\x05h\x05\x86.", "(1, 1)");
    check(b"K\x01r\0\x01\0\0j\0\x01\0\0\x86.", "(1, 1)");
    check(b"K\x07\x94K\x08\x94h\0h\x01\x86.", "(7, 8)");
}

#[test]
fn a_list_within_itself() {
    let pickle = Pickle::load(b"]q\0h\0a.".to_vec()).unwrap();
    assert_eq!(pickle.node(pickle.root), Some(&Node::List(vec![pickle.root])));
}

#[test]
fn names_and_calls() {
    check(b"cos\nsystem\nX\x04\0\0\0true\x85R.", "os.system('true')");
    check(b"\x8c\x02os\x8c\x06system\x93.", "os.system");
    check(b"ca\nB\n)\x81}X\x01\0\0\0xK\x01sb.", "a.B()+{'x': 1}");
    check(b"ca\nB\n)}\x92.", "a.B()");
    check(b"(ca\nB\nK\x01o.", "a.B(1)");
    check(b"ca\nB\n)RK\x01K\x02s.", "a.B()+{1: 2}");
    check(b"ca\nB\n)RK\x01K\x02s(K\x05K\x06e.", "a.B()+{1: 2, 1: 5, 2: 6}");
    check(b"X\x01\0\0\0aQ.", "<'a'>");
    check(b"\x82\x01\x83\x01\x02\x84\x01\x02\x03\x04\x87.", "(-, -, -)");
    check(b"}K\x01b.", "{}");
}

#[test]
fn refused_where_it_ends_early() {
    let whole = b"\x80\x04\x95\x01\0\0\0\0\0\0\0(X\x01\0\0\0aJ\x01\x02\x03\x04q\x01cx\ny\n\x8a\x02\0\x01t.";
    check(whole, "('a', 67305985, x.y, 256)");
    for len in 0..whole.len() {
        refused(&whole[..len], ENDS);
    }
    refused(b"X\xff\xff\xff\xffa.", ENDS);
    refused(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", ENDS);
    refused(b"cos", ENDS);
}

#[test]
fn refused_without_enough_values() {
    for bytes in [
        &b"."[..],
        b"0",
        b"2",
        b"K\x01\x86",
        b"K\x01(\x85",
        b"K\x01(.",
        b"K\x01(0(2",
        b"a",
        b"]a",
        b"K\x01s",
        b"}(K\x01u",
        b"R",
        b"q\x01",
        b"Q",
        b"(o",
        b"(K\x01d",
        b"b",
        b"]b",
    ] {
        refused(bytes, UNDERFLOW);
    }
}

#[test]
fn refused_without_a_mark() {
    for opcode in b"1tledu\x90\x91o" {
        refused(&[b'K', 1, *opcode], "it has no mark where an opcode wants one");
    }
}

#[test]
fn refused_items_of_what_has_none() {
    refused(b"K\x01K\x02a", MISPLACED);
    refused(b")K\x02a", MISPLACED);
    refused(b"]K\x01K\x02s", MISPLACED);
}

#[test]
fn refused_recalling_what_is_not_memoised() {
    refused(b"h\x05", "it recalls what it never memoised");
    refused(b"j\x05\0\0\0", "it recalls what it never memoised");
}

#[test]
fn refused_protocols() {
    refused(b"\x80\x06N.", "it is of a protocol above 5");
    for opcode in b"FILSVPpgi" {
        refused(&[*opcode], "it is of protocol 0 or 1, which torch never wrote into an archive");
    }
}

#[test]
fn refused_buffers_outside() {
    refused(b"\x97", "it refers to buffers outside of the archive");
    refused(b"\x98", "it refers to buffers outside of the archive");
}

#[test]
fn refused_unknown_opcodes() {
    refused(b"z", "it has an unknown opcode");
    refused(b"\xff", "it has an unknown opcode");
}

#[test]
fn refused_too_much() {
    refused(&vec![b'N'; MAX_NODES + 1], TOO_MUCH);
    refused(&vec![b'('; MAX_NODES + 1], TOO_MUCH);
    refused(&b"]0".repeat(MAX_NODES + 1), TOO_MUCH);
    refused(&b"N0".repeat(MAX_STEPS / 2 + 1), TOO_MUCH);
    refused(&vec![b'('; MAX_LEN as usize + 1], TOO_MUCH);
    let memo: Vec<u8> = (0..=MAX_NODES as u32).flat_map(|key| [&b"r"[..], &key.to_le_bytes()].concat()).collect();
    refused(&[b"N", &memo[..]].concat(), TOO_MUCH);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Pickle::load(bytes);
    }

    #[test]
    fn no_program_is_too_strange(
        words in prop::collection::vec(
            prop::sample::select(vec![
                &b"N"[..], b"K\x01", b"(", b"0", b"1", b"2", b"q\x01", b"h\x01", b"\x94", b")", b"]", b"}", b"\x85",
                b"\x87", b"t", b"l", b"a", b"e", b"s", b"u", b"d", b"ca\nb\n", b"\x8c\x01a", b"\x93", b"R", b"\x81",
                b"\x92", b"o", b"b", b"Q",
            ]),
            0..60,
        ),
    ) {
        let mut bytes = words.concat();
        bytes.push(b'.');
        if let Ok(pickle) = Pickle::load(bytes) {
            let _ = super::super::tensors::find(&pickle);
        }
    }
}
