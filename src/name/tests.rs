//! Tables of names: what each means, and which mean nothing.

use super::*;

mod oracle;
mod paths;
mod properties;

/// The indices that a name picks, an index being one.
pub(super) fn range(text: &str, count: u64) -> Option<Span> {
    Some(match pick(text, count)? {
        Pick::Index(start) => Span { start, step: 1, len: 1 },
        Pick::Span(span) => span,
    })
}

fn indices(pick: Pick) -> Vec<u64> {
    match pick {
        Pick::Index(index) => vec![index],
        Pick::Span(span) => (0..span.len as i64).map(|i| span.start.wrapping_add_signed(span.step * i)).collect(),
    }
}

/// The numbers, in C order, of the elements that picks leave.
fn elements(picks: &[Pick], shape: &[u64]) -> Vec<u64> {
    picks.iter().zip(shape).fold(vec![0], |numbers, (&pick, &length)| {
        numbers.iter().flat_map(|number| indices(pick).into_iter().map(move |index| number * length + index)).collect()
    })
}

#[test]
fn ranges_mean_what_they_mean_to_python() {
    for &(text, length, (start, step, len)) in oracle::SLICES {
        let expected = Some(Pick::Span(Span { start, step, len }));
        assert_eq!(pick(text, length), expected, "{text} of {length}");
        if text.bytes().any(|byte| byte.is_ascii_digit()) {
            assert_eq!(pick(&text.replace(':', ".."), length), expected, "{text} of {length}, with dots");
        }
    }
}

#[test]
fn expressions_mean_what_they_mean_to_numpy() {
    for &(shape, text, expected) in oracle::EXPRESSIONS {
        let picks = expression(text, shape).unwrap_or_else(|| panic!("{text} of {shape:?}"));
        assert_eq!(elements(&picks, shape), expected, "{text} of {shape:?}");
        assert_eq!(picks.len(), shape.len());
    }
}

#[test]
fn an_index_is_one_element() {
    for (text, expected) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("007", Some(7)),
        ("-1", Some(7)),
        ("-8", Some(0)),
        ("-0", Some(0)),
        ("-008", Some(0)),
        ("8", None),
        ("-9", None),
        ("18446744073709551616", None),
        ("-99999999999999999999999999999999999999999999", None),
        ("99999999999999999999999999999999999999999999", None),
    ] {
        assert_eq!(pick(text, 8), expected.map(Pick::Index), "{text}");
        assert_eq!(range(text, 8), expected.map(|start| Span { start, step: 1, len: 1 }), "{text}");
    }
    assert_eq!(pick("0", 0), None);
    assert_eq!(pick("-1", 0), None);
    assert_eq!(pick(&"0".repeat(200), 1), Some(Pick::Index(0)));
}

#[test]
fn malformed_names_are_none() {
    for text in [
        "",
        "-",
        "--1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "1.0",
        "0x1",
        "1e3",
        "\u{0663}",
        "1\n",
        ".",
        "..",
        "...",
        "....",
        "......",
        "1...2",
        "1.2",
        "1:2..3",
        "1..2:3",
        "1:2:3:4",
        "1..2..3..4",
        "::::",
        ":::",
        "a:b",
        "1:+2",
        "1: 2",
        "1:--2",
        ":-",
        "::0",
        "::-0",
        "1:2:00",
        "1..2..0",
        "1.:2",
        "[1]",
        "1,2",
        ",",
    ] {
        assert_eq!(pick(text, 10), None, "{text:?}");
        assert_eq!(range(text, 10), None, "{text:?}");
    }
}

#[test]
fn malformed_expressions_are_none() {
    for text in
        ["", ",", "1,", ",1", "1,,2", "...,...", "1,2,3", "1,2,3,...", "....,1", "1, 2", "3", "::0", "...,", "1;2"]
    {
        assert_eq!(expression(text, &[3, 3]), None, "{text:?}");
    }
    for text in ["", "0", ":", "...,...", "0,..."] {
        assert_eq!(expression(text, &[]), None, "{text:?}");
    }
}

#[test]
fn axes_have_numbers() {
    for (text, expected) in
        [("0", Some(0)), ("2", Some(2)), ("-1", Some(2)), ("-3", Some(0)), ("02", Some(2)), ("3", None), ("-4", None)]
    {
        assert_eq!(axis(text, 3), expected, "{text}");
    }
    assert_eq!(axis("0", 0), None);
    assert_eq!(axis("0:1", 3), None);
}

#[test]
fn a_form_is_a_known_suffix() {
    for (name, expected) in [
        ("42", ("42", None)),
        ("42.npy", ("42", Some("npy"))),
        ("0..5.npy", ("0..5", Some("npy"))),
        ("0..5", ("0..5", None)),
        ("5...npy", ("5..", Some("npy"))),
        ("....npy", ("...", Some("npy"))),
        ("...,3.txt", ("...,3", Some("txt"))),
        ("42.npz", ("42.npz", None)),
        ("42.NPY", ("42.NPY", None)),
        ("42.npy.txt", ("42.npy", Some("txt"))),
        ("42.npy.", ("42.npy.", None)),
        (".npy", ("", Some("npy"))),
        ("npy", ("npy", None)),
        ("", ("", None)),
    ] {
        assert_eq!(split_form(name, &["npy", "txt"]), expected, "{name}");
    }
}

#[test]
fn canonical_names() {
    for (text, length, expected) in [
        ("0:8", 8, ":"),
        ("::-1", 8, "::-1"),
        ("3:100", 8, "3:"),
        ("0..5", 8, ":5"),
        ("1:8:2", 8, "1::2"),
        ("1:4:2", 8, "1:4:2"),
        ("6:2:-2", 8, "6:3:-2"),
        ("5:6:-1", 8, "0:0"),
        ("5:6", 8, "5:6"),
        (":", 0, ":"),
        ("::-1", 1, ":"),
    ] {
        assert_eq!(range(text, length).map(|span| span_name(span, length)).as_deref(), Some(expected), "{text}");
    }
    for (text, expected) in [
        ("...", "..."),
        (":,:,:", "..."),
        ("1", "1"),
        ("1,...", "1"),
        ("...,1", ":,:,1"),
        ("-1,::1,-1", "1,:,3"),
        ("::-1,1:,:", "::-1,1:"),
    ] {
        let shape = [2, 3, 4];
        let name = expression(text, &shape).map(|picks| expression_name(&picks, &shape));
        assert_eq!(name.as_deref(), Some(expected), "{text}");
    }
    assert_eq!(expression_name(&[], &[]), "...");
}

#[test]
fn escapes() {
    for (name, expected) in [
        (&b"a"[..], "a"),
        ("gr\u{fc}n \u{2205}.npy".as_bytes(), "gr\u{fc}n \u{2205}.npy"),
        (b"100%", "100%"),
        (b"50%off", "50%off"),
        (b"%%", "%%"),
        (b"%41", "%2541"),
        (b"%2f", "%252f"),
        (b"%%41", "%%2541"),
        (b"a/b", "a%2Fb"),
        (b"../../etc", "..%2F..%2Fetc"),
        (b"a\0", "a%00"),
        (b".", "%2E"),
        (b"..", "%2E%2E"),
        (b"...", "..."),
        (b".a", ".a"),
        (b"", "%22%22"),
        (b"\"\"", "\"\""),
        (b"%22%22", "%2522%2522"),
        (b"\xff\xc3", "%FF%C3"),
        (b"%\xff", "%%FF"),
        (b"%4\xff", "%4%FF"),
        (b"new\nline", "new\nline"),
    ] {
        assert_eq!(escape(name), expected);
        assert_eq!(unescape(expected).as_deref(), Some(name), "{expected}");
    }
    for text in ["", ".", "..", "a/b", "a\0", "%41", "%2f", "%2E.", "%22", "%C3%BC", "%2E%2E%2E"] {
        assert_eq!(unescape(text), None, "{text:?}");
    }
}
