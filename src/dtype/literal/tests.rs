//! Literals against what Python reads and writes.
use proptest::prelude::*;

use super::Literal::{Bool, Dict, Int, List, Str, Tuple};
use super::*;

fn text(text: &str) -> Literal {
    Str(text.into())
}

fn check(source: &str, expected: Literal) {
    assert_eq!(Literal::parse(source), Ok(expected), "{source}");
}

fn refused(source: &str, what: &str) {
    let error = Literal::parse(source).unwrap_err();
    assert!(error.to_string().contains(what), "{source:?}: {error}");
    assert!(error.at <= source.len());
}

#[test]
fn constants_and_integers() {
    check("None", Literal::None);
    check(" True\n", Bool(true));
    check("False", Bool(false));
    check("0", Int(0));
    check("-12", Int(-12));
    check("9223372036854775807", Int(i64::MAX));
    check("-9223372036854775808", Int(i64::MIN));
    check("100L", Int(100));
    check("(3L, 4l)", Tuple(vec![Int(3), Int(4)]));
}

#[test]
fn brackets() {
    check("()", Tuple(vec![]));
    check("(1)", Int(1));
    check("((1))", Int(1));
    check("(1,)", Tuple(vec![Int(1)]));
    check("( 1 ,\n\t2 , )", Tuple(vec![Int(1), Int(2)]));
    check("((),)", Tuple(vec![Tuple(vec![])]));
    check("[]", List(vec![]));
    check("[1, [2], (3,)]", List(vec![Int(1), List(vec![Int(2)]), Tuple(vec![Int(3)])]));
    check("{}", Dict(vec![]));
    check("{'a': 1, 'a': (2,), }", Dict(vec![(text("a"), Int(1)), (text("a"), Tuple(vec![Int(2)]))]));
}

#[test]
fn strings() {
    for (source, value) in [
        ("''", ""),
        (r#""it's""#, "it's"),
        (r"'it\'s'", "it's"),
        (r#"'"'"#, "\""),
        (r#""\"""#, "\""),
        (r"'\\'", "\\"),
        (r"'\a\b\f\n\r\t\v'", "\x07\x08\x0c\n\r\t\x0b"),
        (r"'\0\12\1234\778'", "\0\nS4?8"),
        (r"'\777'", "\u{1ff}"),
        (r"'\x41\xe9'", "Aé"),
        (r"'\u00e9\u540d'", "é名"),
        (r"'\U0001f600'", "😀"),
        (r"'\d\8\é\{'", r"\d\8\é\{"),
        ("'a\\\nb\\\r\nc\\\rd'", "abcd"),
        ("u'\\xe9'", "é"),
        ("U\"x\"", "x"),
        ("b'\\xe9\\u0041\\N{x}'", "é\\u0041\\N{x}"),
        ("B''", ""),
        ("'名é'", "名é"),
    ] {
        check(source, text(value));
    }
}

#[test]
fn a_header_of_python_2() {
    check(
        "{'descr': [('x', '<f4'), (u'y', '|S5')], 'fortran_order': False, 'shape': (3L,), }          \n",
        Dict(vec![
            (text("descr"), List(vec![Tuple(vec![text("x"), text("<f4")]), Tuple(vec![text("y"), text("|S5")])])),
            (text("fortran_order"), Bool(false)),
            (text("shape"), Tuple(vec![Int(3)])),
        ]),
    );
}

#[test]
fn what_is_no_value() {
    for source in
        ["x", "Nonesuch", "true", "f4", "1.5", "1e3", "0x10", "1_000", "1a", "1Lx", "r'x'", "f'x'", "bu'x'", "@", "é"]
    {
        refused(source, "this is no");
    }
    refused("", "the text ends");
    refused("  ", "the text ends");
    refused("[", "the text ends");
    refused("-", "expected digits");
    refused("--1", "expected digits");
    refused("007", "begins with a zero");
    refused("9223372036854775808", "more than 64 bits");
    refused("-99999999999999999999999999", "more than 64 bits");
}

#[test]
fn brackets_that_do_not_match() {
    refused("(1 2)", "expected a comma");
    refused("(1]", "expected a comma");
    refused("[1)", "expected a comma");
    refused("(,)", "this is no value");
    refused("[1,,2]", "this is no value");
    refused("{1}", "expected a colon");
    refused("{1: 2 3: 4}", "expected a comma");
    refused("{1:}", "this is no value");
    refused("{**x}", "this is no value");
    refused("1 2", "something follows");
    refused("()x", "something follows");
    refused("'' ''", "something follows");
    refused("''''''", "something follows");
}

#[test]
fn strings_that_are_broken() {
    refused("'", "has no end");
    refused("'a\"", "has no end");
    refused("'\\", "has no end");
    refused("'\\'", "has no end");
    refused("'a\nb'", "end of a line");
    refused(r"'\x4'", "lacks digits");
    refused(r"'\xg0'", "lacks digits");
    refused(r"'\x+1'", "lacks digits");
    refused(r"'\xé'", "lacks digits");
    refused(r"'\u12'", "lacks digits");
    refused(r"'\U0001f60'", "lacks digits");
    refused(r"'\N{DIGIT ONE}'", "by name");
    refused(r"'\ud83d'", "no character");
    refused(r"'\U00110000'", "no character");
}

#[test]
fn nesting_ends_somewhere() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Literal::parse(&nested(MAX_DEPTH)).is_ok());
    refused(&nested(MAX_DEPTH + 1), "nested");
    refused(&"(".repeat(1 << 20), "nested");
    refused(&"{1:".repeat(1 << 20), "nested");
}

#[test]
fn the_number_of_values_ends_somewhere() {
    let list = |values: usize| format!("[{}]", "1,".repeat(values));
    assert!(Literal::parse(&list(MAX_VALUES - 1)).is_ok());
    refused(&list(MAX_VALUES), "too many values");
}

#[test]
fn strings_are_written_as_python_does() {
    for (value, repr) in [
        ("", "''"),
        ("x y", "'x y'"),
        ("it's", "\"it's\""),
        ("\"", "'\"'"),
        ("a\"b'c", r#"'a"b\'c'"#),
        ("a\\\n\r\t", r"'a\\\n\r\t'"),
        ("\0\x1b\x7f\u{80}\u{a0}\u{ad}", r"'\x00\x1b\x7f\x80\xa0\xad'"),
        ("é¡名😀", "'é¡名😀'"),
        ("\u{301}e\u{301}", "'\u{301}e\u{301}'"),
        ("\u{200b}\u{2028}\u{e000}\u{feff}", r"'\u200b\u2028\ue000\ufeff'"),
        ("\u{10ffff}\u{e0001}", r"'\U0010ffff\U000e0001'"),
    ] {
        assert_eq!(Repr(value).to_string(), repr);
    }
}

#[test]
fn excerpts_are_short() {
    assert_eq!(excerpt("abc"), "'abc'");
    assert_eq!(excerpt(&"é".repeat(1000)), format!("'{}'...", "é".repeat(60)));
}

const HEADER: &str =
    "{'descr': [(('t', 'x'), '<f4'), (u'\\xe9', '>i2', (2L, 3))], 'fortran_order': False, 'shape': (-1, 100,), }  \n";

proptest! {
    #[test]
    fn no_text_is_too_strange(text in ".*", likely in "[\\[\\](){}'\",:\\\\xuUNL0-9a-f \n-]*") {
        let _ = Literal::parse(&text);
        let _ = Literal::parse(&likely);
    }

    #[test]
    fn no_mutation_is_too_strange(at in 0..HEADER.len(), cut in 0..10_usize, insert in ".{0,3}") {
        let end = (at + cut).min(HEADER.len());
        let _ = Literal::parse(&format!("{}{insert}{}", &HEADER[..at], &HEADER[end..]));
        let _ = Literal::parse(&HEADER[..at]);
    }

    #[test]
    fn a_string_is_read_as_it_was_written(value in "(.|[\\x00-\\x{ff}'\"\\\\\n])*") {
        check(&Repr(&value).to_string(), Str(value));
    }
}
