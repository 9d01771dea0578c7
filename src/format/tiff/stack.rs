//! What programs write into the description of the first page about the axes of a stack.
//!
//! | description             | axes                                                                            |
//! |-------------------------|---------------------------------------------------------------------------------|
//! | `ImageJ=`, `KEY=NUMBER` | frames, slices and channels, in this order unless `order` says another; else images |
//! | JSON with `"shape"`     | (tifffile) the shape of the whole, which ends in that of a page                 |
//!
//! Both may write only the first page with its directory, and the elements of the others behind its own: ImageJ where the
//! file is larger than 4 GiB, tifffile where it is asked to (`"truncated"`).

use serde_json::Value;

use super::page::Page;

/// The axes in front of those of a page.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Stack {
    pub(super) axes: Vec<(String, u64)>,
    /// Whether pages without a directory are no surprise, even where other pages have one.
    pub(super) is_truncated: bool,
}

impl Stack {
    /// What the descriptions of a page say.
    pub(super) fn described(descriptions: &[String], page: &Page) -> Option<Stack> {
        descriptions.iter().find_map(|text| imagej(text, page).or_else(|| shaped(text, page)))
    }

    /// Nothing but how many pages there are.
    pub(super) fn of_pages(count: u64) -> Stack {
        let axes = if count == 1 { Vec::new() } else { vec![("page".to_owned(), count)] };
        Stack { axes, is_truncated: false }
    }

    /// How many pages it is made of, if that can be counted.
    pub(super) fn count(&self) -> Option<u64> {
        self.axes.iter().try_fold(1_u64, |count, (_, length)| count.checked_mul(*length))
    }
}

fn imagej(text: &str, page: &Page) -> Option<Stack> {
    if !text.starts_with("ImageJ=") {
        return None;
    }
    let value = |key: &str| text.lines().find_map(|line| line.trim_end().strip_prefix(key)?.strip_prefix('='));
    let number = |key| value(key).and_then(|value| value.parse().ok()).unwrap_or(1_u64);
    let (frames, slices, mut channels, images) =
        (number("frames"), number("slices"), number("channels"), number("images"));
    // Some writers count the samples of a pixel as channels.
    let samples = match page.shape[..] {
        [planes, _, _] if page.is_planar => planes,
        [_, _, samples] if Some(images) == frames.checked_mul(slices) => samples,
        _ => 1,
    };
    if channels == samples {
        channels = 1;
    }
    let axis = |letter| match letter {
        't' => ("frame".to_owned(), frames),
        'z' => ("slice".to_owned(), slices),
        _ => ("channel".to_owned(), channels),
    };
    // The order is written fastest first.
    let known = |order: &&str| ["czt", "ctz", "zct", "ztc", "tcz", "tzc"].contains(order);
    let order = value("order").filter(known).unwrap_or("czt");
    let axes: Vec<(String, u64)> = order.chars().rev().map(axis).filter(|(_, length)| *length != 1).collect();
    if axes.is_empty() {
        return Some(Stack::of_pages(images));
    }
    Some(Stack { axes, is_truncated: false })
}

fn shaped(text: &str, page: &Page) -> Option<Stack> {
    if !text.starts_with('{') {
        return None;
    }
    let json: Value = serde_json::from_str(text).ok()?;
    let shape: Vec<u64> = json.get("shape")?.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
    let axes = shape.strip_suffix(&page.shape[..])?;
    let name = if axes.len() == 1 { "page" } else { "" };
    let axes = axes.iter().map(|&length| (name.to_owned(), length)).collect();
    Some(Stack { axes, is_truncated: json.get("truncated").and_then(Value::as_bool).unwrap_or(false) })
}
