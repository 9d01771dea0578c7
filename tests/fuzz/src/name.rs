//! The names of slices, both ways, against models of Python's ranges and NumPy's subscripts; escapes.

use afbfs::layout::{Pick, Span};
use afbfs::name::{axis, escape, expression, expression_name, path_of, pick, span_name, split_form, unescape};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

use crate::model::{Model, Step, ravel};

pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    escapes(data, &text);
    names(&text);
    paths(&text);
    // An input that ends early says no more.
    let _ = chain(&mut Unstructured::new(data));
}

fn escapes(bytes: &[u8], text: &str) {
    let escaped = escape(bytes);
    assert!(!escaped.is_empty() && escaped != "." && escaped != ".." && !escaped.contains(['/', '\0']));
    assert_eq!(unescape(&escaped).as_deref(), Some(bytes));
    if let Some(name) = unescape(text) {
        assert_eq!(escape(&name), text);
    }
}

fn names(text: &str) {
    for length in [0, 1, 7, 64] {
        let picked = pick(text, length);
        let indices = picked.map(|pick| match pick {
            Pick::Index(index) => vec![index],
            Pick::Span(Span { start, step, len }) => {
                (0..len as i64).map(|k| start.wrapping_add_signed(k * step)).collect()
            }
        });
        assert_eq!(indices, python(text, length), "{text} of {length}");
        assert_eq!(axis(text, length as usize), python_index(text, length).map(|index| index as usize), "{text}");
    }
    for length in [0, 1, 64, 1 << 40, i64::MAX as u64] {
        if let Some(Pick::Span(span)) = pick(text, length) {
            normal(span, length);
            assert_eq!(pick(&span_name(span, length), length), Some(Pick::Span(span)), "{text} of {length}");
        }
    }
    for shape in [&[][..], &[5], &[3, 4], &[2, 0, 7], &[i64::MAX as u64, 1, 1]] {
        let picks = expression(text, shape);
        assert_eq!(picks, subscript(text, shape), "{text} of {shape:?}");
        if let Some(picks) = picks {
            assert_eq!(expression(&expression_name(&picks, shape), shape), Some(picks), "{text} of {shape:?}");
        }
    }
    let (stem, form) = split_form(text, &["npy", "raw", ""]);
    assert_eq!(form.map_or(stem.to_owned(), |form| format!("{stem}.{form}")), text);
}

fn normal(span: Span, length: u64) {
    assert!(span.step != 0 && (span.len > 0 || span.start == 0) && (span.len > 1 || span.step == 1), "{span:?}");
    if let Some(steps) = span.len.checked_sub(1) {
        let last = i128::from(span.start) + i128::from(steps) * i128::from(span.step);
        assert!(span.start < length && (0..i128::from(length)).contains(&last), "{span:?} of {length}");
    }
}

/// A decimal integer; what has too many digits is beyond any bound.
fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let far = if digits == text { 1 << 100 } else { -1 << 100 };
    plain.then(|| text.parse().unwrap_or(far).clamp(-1 << 100, 1 << 100))
}

fn python_index(text: &str, length: u64) -> Option<u64> {
    let index = integer(text)?;
    let index = if index < 0 { index + i128::from(length) } else { index };
    (0..i128::from(length)).contains(&index).then_some(index as u64)
}

/// The indices that an index or a range picks of a short axis.
fn python(text: &str, length: u64) -> Option<Vec<u64>> {
    let separator = if text.contains(':') { ":" } else { ".." };
    if !text.contains(separator) {
        return Some(vec![python_index(text, length)?]);
    }
    let bound = |text: &str| if text.is_empty() { Some(None) } else { integer(text).map(Some) };
    let bounds: Vec<Option<i128>> = text.split(separator).map(bound).collect::<Option<_>>()?;
    if bounds.len() > 3 || separator == ".." && bounds.iter().all(Option::is_none) {
        return None;
    }
    walk(bounds[0], bounds[1], bounds.get(2).copied().flatten().unwrap_or(1), length)
}

/// Walks from the clipped start to the clipped stop.
fn walk(start: Option<i128>, stop: Option<i128>, step: i128, length: u64) -> Option<Vec<u64>> {
    let length = i128::from(length);
    let clip = |bound: i128| {
        let bound = if bound < 0 { bound + length } else { bound };
        if step > 0 { bound.max(0).min(length) } else { bound.max(-1).min(length - 1) }
    };
    let mut at = start.map_or(if step > 0 { 0 } else { length - 1 }, clip);
    let stop = stop.map_or(if step > 0 { length } else { -1 }, clip);
    let mut indices = Vec::new();
    while step != 0 && if step > 0 { at < stop } else { at > stop } {
        indices.push(at as u64);
        at += step;
    }
    (step != 0).then_some(indices)
}

/// An expression, item by item.
fn subscript(text: &str, shape: &[u64]) -> Option<Vec<Pick>> {
    let mut items: Vec<&str> = text.split(',').collect();
    let dots = items.iter().position(|&item| item == "...");
    let missing = (shape.len() + usize::from(dots.is_some())).checked_sub(items.len())?;
    let at = dots.unwrap_or(items.len());
    items.splice(at..at + usize::from(dots.is_some()), std::iter::repeat_n(":", missing));
    items.iter().zip(shape).map(|(item, &length)| pick(item, length)).collect()
}

/// Whatever has a path has one that can be walked.
fn paths(text: &str) {
    for text in [text, &format!("a{text}"), &format!("a[{text}]"), &format!("a.{text}")] {
        if let Ok(path) = path_of(text) {
            assert!(path.contains('/') && !path.ends_with('/') && !path.contains('\0'), "{text}: {path}");
        }
    }
}

/// A chain of subscripts, transpositions and `ravel()` of a small array, as NumPy would take it, and its path.
fn chain(u: &mut Unstructured<'_>) -> Result<()> {
    let mut shape = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        shape.push(u.int_in_range(0..=4)?);
    }
    let (mut text, mut model) = ("a".to_owned(), Model::whole(&shape, 1));
    for _ in 0..u.int_in_range(0..=3)? {
        match u.int_in_range(0..=5)? {
            0 => {
                text += ".T";
                model = model.then(Step::Transpose);
            }
            1 => {
                text += ".ravel()";
                model = model.then(Step::Flat);
            }
            _ => {
                let Some((subscript, picks)) = items(u, &model.shape)? else { return Ok(()) };
                text += &subscript;
                model = model.then(Step::Pick(picks));
            }
        }
    }
    if let Ok(path) = path_of(&text) {
        let followed = follow(&path, &shape).unwrap_or_else(|| panic!("{text} of {shape:?}: there is no {path}"));
        assert_eq!(elements(&followed, &shape), elements(&model, &shape), "{text} of {shape:?}: {path}");
    }
    Ok(())
}

fn elements(model: &Model, shape: &[u64]) -> Vec<u64> {
    (0..model.count()).map(|number| ravel(&model.locate(number).0, shape)).collect()
}

/// A subscript that NumPy takes for this shape, and what it picks.
fn items(u: &mut Unstructured<'_>, shape: &[u64]) -> Result<Option<(String, Vec<Pick>)>> {
    let named = u.int_in_range(0..=shape.len())?;
    let dots = u.int_in_range(0..=2 * named + 1)?;
    let (mut texts, mut picks) = (Vec::new(), Vec::new());
    let whole = |&length: &u64| Pick::Span(Span::all(length));
    for k in 0..=named {
        if k == dots {
            let axes = &shape[picks.len()..picks.len() + shape.len() - named];
            picks.extend(axes.iter().map(whole));
            texts.push(u.choose(&["...", "Ellipsis"])?.to_string());
        }
        let Some(&length) = shape.get(picks.len()).filter(|_| k < named) else { break };
        if length > 0 && u.arbitrary()? {
            let index = u.int_in_range(0..=length - 1)?;
            picks.push(Pick::Index(index));
            texts.push(if u.arbitrary()? { (index as i64 - length as i64).to_string() } else { format!("+{index}") });
        } else {
            let [start, stop, step] = [bound(u)?, bound(u)?, bound(u)?];
            let Some(indices) = walk(start, stop, step.unwrap_or(1), length) else { return Ok(None) };
            let step_of = |pair: &[u64]| pair[1] as i64 - pair[0] as i64;
            picks.push(Pick::Span(Span {
                start: indices.first().copied().unwrap_or(0),
                step: indices.windows(2).next().map_or(1, step_of),
                len: indices.len() as u64,
            }));
            let written = |bound: Option<i128>| bound.map_or(String::new(), |bound| bound.to_string());
            texts.push(format!("{}: {}:{}", written(start), written(stop), written(step)));
        }
    }
    picks.extend(shape[picks.len()..].iter().map(whole));
    if texts.is_empty() {
        return Ok(None);
    }
    Ok(Some((format!("[{}]", texts.join(u.choose(&[",", " , "])?)), picks)))
}

fn bound(u: &mut Unstructured<'_>) -> Result<Option<i128>> {
    Ok(match u.int_in_range(0..=3)? {
        0 | 1 => None,
        2 => Some(u.int_in_range(-6..=6)?),
        _ => Some(u.arbitrary::<i64>()?.into()),
    })
}

/// What lies at a path below the mount.
fn follow(path: &str, shape: &[u64]) -> Option<Model> {
    let mut model = Model::whole(shape, 1);
    let mut parts = path.split('/').skip(1);
    while let Some(part) = parts.next() {
        let before = match part {
            "data" => break,
            "T" => {
                model = model.then(Step::Transpose);
                continue;
            }
            "range" => {
                model = model.then(Step::Flat);
                0
            }
            "slice" => {
                let picks = expression(parts.next()?, &model.shape)?;
                return Some(model.then(Step::Pick(picks)));
            }
            "row" => 0,
            "col" => 1,
            "axis" => axis(parts.next()?, model.shape.len())?,
            _ => return None,
        };
        let picked = pick(parts.next()?, *model.shape.get(before)?)?;
        let mut picks: Vec<Pick> = model.shape.iter().map(|&length| Pick::Span(Span::all(length))).collect();
        picks[before] = picked;
        return Some(model.then(Step::Pick(picks)));
    }
    Some(model)
}
