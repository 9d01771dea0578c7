//! Agreement with a model of Python's ranges, names that come back as they went out, and strange texts.

use proptest::prelude::*;

use super::{indices, range};
use crate::layout::{Pick, Span};
use crate::name::*;

/// The indices that a range of Python picks: walk from the clipped start to the clipped stop.
fn naive(start: Option<i128>, stop: Option<i128>, step: i128, length: u64) -> Vec<u64> {
    let length = i128::from(length);
    let clip = |bound: i128| {
        let bound = if bound < 0 { bound + length } else { bound };
        if step > 0 { bound.max(0).min(length) } else { bound.max(-1).min(length - 1) }
    };
    let mut at = start.map_or(if step > 0 { 0 } else { length - 1 }, clip);
    let stop = stop.map_or(if step > 0 { length } else { -1 }, clip);
    let mut indices = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        indices.push(at as u64);
        at += step;
    }
    indices
}

fn is_normal(span: Span) -> bool {
    span.step != 0 && (span.len > 0 || span.start == 0) && (span.len > 1 || span.step == 1)
}

fn bound() -> impl Strategy<Value = Option<i128>> {
    prop_oneof![Just(None), (-12..12_i128).prop_map(Some), any::<i64>().prop_map(|bound| Some(bound.into()))]
}

fn step() -> impl Strategy<Value = i128> {
    prop_oneof![1..5_i128, -5..0_i128, any::<i64>().prop_map(i128::from)].prop_filter("not zero", |&step| step != 0)
}

fn written(bound: Option<i128>) -> String {
    bound.map(|bound| bound.to_string()).unwrap_or_default()
}

fn a_pick(length: u64) -> BoxedStrategy<Pick> {
    let span = (bound(), bound(), step()).prop_map(move |(start, stop, step)| {
        Pick::Span(clip([start, stop, Some(step)], length).expect("the step is not zero"))
    });
    let whole = Just(Pick::Span(Span::all(length)));
    if length == 0 {
        return prop_oneof![span, whole].boxed();
    }
    prop_oneof![span, whole, (0..length).prop_map(Pick::Index)].boxed()
}

fn picked() -> impl Strategy<Value = (Vec<u64>, Vec<Pick>)> {
    prop::collection::vec(0..6_u64, 0..4).prop_flat_map(|shape| {
        let picks: Vec<_> = shape.iter().map(|&length| a_pick(length)).collect();
        (Just(shape), picks)
    })
}

/// What a path of `path_of` picks of an array called `a`.
fn picks_of(path: &str, shape: &[u64]) -> Option<Vec<Pick>> {
    let on = |axis: usize, text: &str| {
        let items: Vec<&str> = (0..axis).map(|_| ":").chain([text]).collect();
        expression(&items.join(","), shape)
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["a", "data"] => expression("...", shape),
        ["a", "row", text] => on(0, text),
        ["a", "col", text] => on(1, text),
        ["a", "axis", k, text] => on(axis(k, shape.len())?, text),
        ["a", "slice", text] => expression(text, shape),
        _ => None,
    }
}

/// Folders in an array's, with no `T` behind another.
fn folders() -> impl Strategy<Value = String> {
    let field = "[a-z'/\\\\\n .%]{1,4}".prop_map(|name| format!("field/{}/", escape(name.as_bytes())));
    let step = prop_oneof![Just("T/".to_owned()), field, Just("field/real/".to_owned())];
    let cast = prop_oneof![Just(""), Just("as/f4/"), Just("as/i2be/"), Just("as/bf16/")];
    (prop::collection::vec(step, 0..4), cast).prop_map(|(mut steps, cast)| {
        steps.dedup_by(|a, b| *a == "T/" && *b == "T/");
        steps.concat() + cast
    })
}

fn item() -> impl Strategy<Value = String> {
    "-?[0-9]{1,2}|(-?[0-9])?:(-?[0-9])?|[0-9]\\.\\.(-?[0-9])?|:(-?[0-9])?:-?[1-9]"
}

fn view() -> impl Strategy<Value = String> {
    let items =
        (prop::collection::vec(item(), 0..3), prop::collection::vec(item(), 0..3)).prop_map(|(mut before, after)| {
            before.push("...".to_owned());
            before.extend(after);
            format!("slice/{}", before.join(","))
        });
    let several = prop::collection::vec(item(), 1..4).prop_map(|items| format!("slice/{}", items.join(",")));
    let on_axis = ("row|col|range|axis/-?[0-3]", item()).prop_map(|(folder, item)| format!("{folder}/{item}"));
    let leaf = prop_oneof![Just("data".to_owned()), items, several, on_axis];
    (folders(), leaf).prop_map(|(folders, leaf)| format!("{folders}{leaf}"))
}

proptest! {
    #[test]
    fn a_path_comes_back_from_its_expression(path in view(), name in "[a-z/]{0,5}[a-z]") {
        let path = format!("{name}/{path}");
        let (array, view) = split(&path, &["npy"]).expect("a path");
        let expression = expression_of(&path, &["npy"]).expect("an expression");
        let back = path_of(&expression).expect("a path");
        prop_assert_eq!(&back, &format!("{}/{}", array, view.path()), "{}", expression);
        // A range of all elements is `data`, so that its expression need not come back.
        let again = expression_of(&back, &["npy"]).expect("an expression");
        prop_assert_eq!(path_of(&again), Ok(back), "{}", again);
    }

    #[test]
    fn any_range_is_pythons(start in bound(), stop in bound(), step in step(), length in 0..10_u64) {
        let text = format!("{}:{}:{step}", written(start), written(stop));
        let picked = range(&text, length).expect("a range");
        prop_assert!(is_normal(picked), "{:?}", picked);
        prop_assert_eq!(indices(Pick::Span(picked)), naive(start, stop, step, length));
    }

    #[test]
    fn a_span_comes_back_from_its_name(start in bound(), stop in bound(), step in step(), length in 0..=i64::MAX as u64) {
        let span = clip([start, stop, Some(step)], length).expect("a range");
        prop_assert!(is_normal(span), "{:?}", span);
        prop_assert_eq!(range(&span_name(span, length), length), Some(span));
        prop_assert_eq!(pick(&span_name(span, length), length), Some(Pick::Span(span)));
    }

    #[test]
    fn picks_come_back_from_their_name((shape, picks) in picked()) {
        let name = expression_name(&picks, &shape);
        prop_assert_eq!(expression(&name, &shape), Some(picks), "{}", name);
    }

    #[test]
    fn an_expression_and_its_path_pick_the_same((shape, picks) in picked(), dots in any::<prop::sample::Index>()) {
        let items = picks.iter().zip(&shape).map(|(&pick, &length)| match pick {
            Pick::Index(index) => index.to_string(),
            Pick::Span(span) => span_name(span, length),
        });
        let mut items: Vec<String> = items.collect();
        items.insert(dots.index(items.len() + 1), "...".to_owned());
        let path = path_of(&format!("a[{}]", items.join(", "))).expect("a path");
        prop_assert_eq!(picks_of(&path, &shape), Some(picks), "{}", path);
    }

    #[test]
    fn any_name_comes_back_from_its_escape(name in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'%'), b'.'..=b'4'], 0..8)) {
        let text = escape(&name);
        prop_assert!(!text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0']));
        let back = unescape(&text);
        prop_assert_eq!(back.as_deref(), Some(&name[..]));
    }

    #[test]
    fn a_text_is_the_escape_of_one_name_at_most(text in "[%0-9A-Fa-f./\u{e9}\"]{0,8}") {
        if let Some(name) = unescape(&text) {
            prop_assert_eq!(escape(&name), text.as_str());
        }
    }

    #[test]
    fn no_text_is_too_strange(
        text in prop_oneof![any::<String>(), "[-+0-9:.,\\[\\]'\"\\\\T ra()%xN\u{e9}]{0,12}", "a[-0-9:.,\\[\\]'T ]{0,12}"],
        length in any::<u64>(),
    ) {
        for text in [text.as_str(), &format!("a[{text}]"), &format!("a.{text}")] {
            let _ = pick(text, length);
            let _ = range(text, length);
            let _ = expression(text, &[length, 3, 0]);
            let _ = axis(text, 3);
            let (stem, form) = split_form(text, &["npy", ""]);
            prop_assert_eq!(form.map_or(stem.to_owned(), |form| format!("{stem}.{form}")), text);
            let _ = unescape(text);
            if let Ok(path) = path_of(text) {
                prop_assert!(!path.ends_with('/'));
            }
            let _ = expression_of(text, &["npy"]);
            let _ = expression_of(&format!("a/{text}"), &["npy"]);
        }
    }
}
