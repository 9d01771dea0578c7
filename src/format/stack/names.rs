//! The names of the members: a list, all files that match, or ranges.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{INDEX_BITS, MAX_MEMBERS, SIDECAR};
use crate::dtype::literal::excerpt;
use crate::format::{Names, Refusal};

/// Which files are members.
#[derive(Clone, Debug, PartialEq)]
pub enum Members {
    /// These.
    Listed(Vec<String>),
    /// Those of a folder whose names match.
    Glob(Glob),
    /// Those of ranges of numbers.
    Pattern(Pattern),
}

/// Files of a folder whose names match a pattern of the shell.
#[derive(Clone, Debug, PartialEq)]
pub struct Glob {
    /// The folder, from that of the sidecar; empty for that.
    pub folder: String,
    pattern: glob::Pattern,
}

/// A path with ranges of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    parts: Vec<Part>,
    count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Range { first: u64, step: i64, count: u64, width: usize },
}

/// The names of all members, by number.
#[derive(Clone, Debug)]
pub enum Named {
    /// A list.
    Listed(Vec<String>),
    /// Ranges.
    Pattern(Pattern),
}

impl Members {
    /// The names, where the sidecar alone says them.
    pub fn named(&self) -> Option<Named> {
        match self {
            Members::Listed(names) => Some(Named::Listed(names.clone())),
            Members::Pattern(pattern) => Some(Named::Pattern(pattern.clone())),
            Members::Glob(_) => None,
        }
    }

    /// What a text says: ranges, a pattern of the shell, or one file.
    pub(super) fn of_text(text: &str) -> Result<Members, Refusal> {
        if text.contains('{') {
            return Pattern::parse(text).map(Members::Pattern);
        }
        if !text.contains(['*', '?', '[']) {
            return Members::of_list(vec![text.to_owned()]);
        }
        let (folder, last) = text.rsplit_once('/').unwrap_or(("", text));
        if folder.contains(['*', '?', '[']) {
            return refuse(format!("{}: only the last name of a path may have *, ? or [", excerpt(text)));
        }
        if !folder.is_empty() {
            check(folder)?;
        }
        let pattern = glob::Pattern::new(last).map_err(|error| Refusal(format!("{}: {error}", excerpt(text))))?;
        Ok(Members::Glob(Glob { folder: folder.to_owned(), pattern }))
    }

    pub(super) fn of_list(names: Vec<String>) -> Result<Members, Refusal> {
        if names.is_empty() {
            return refuse("it names no files");
        }
        if names.len() as u64 > MAX_MEMBERS {
            return refuse(format!("it names {} files, more than {MAX_MEMBERS}", names.len()));
        }
        names.iter().try_for_each(|name| check(name))?;
        Ok(Members::Listed(names))
    }
}

impl Glob {
    /// Whether a file of the folder is a member. Sidecars of stacks never are, nor are hidden files unless the pattern
    /// begins with a dot.
    pub fn matches(&self, name: &str) -> bool {
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        !name.ends_with(SIDECAR) && self.pattern.matches_with(name, options)
    }

    /// The members, of the names in the folder that match.
    ///
    /// # Errors
    /// If there are none, or too many.
    pub fn named(&self, mut names: Vec<String>) -> Result<Named, Refusal> {
        names.sort_unstable();
        let pattern = excerpt(self.pattern.as_str());
        if names.is_empty() {
            return refuse(format!("no file matches {pattern}"));
        }
        if names.len() as u64 > MAX_MEMBERS {
            return refuse(format!("{} files match {pattern}, more than {MAX_MEMBERS}", names.len()));
        }
        if !self.folder.is_empty() {
            names.iter_mut().for_each(|name| name.insert_str(0, &format!("{}/", self.folder)));
        }
        Ok(Named::Listed(names))
    }
}

impl Pattern {
    /// Reads `t{0000..8759}.npy`.
    ///
    /// # Errors
    /// If it has no range, a bad one, or leads out of the folder.
    pub fn parse(text: &str) -> Result<Pattern, Refusal> {
        let bad = |why: &str| Refusal(format!("the pattern {} {why}", excerpt(text)));
        let (mut parts, mut count, mut rest) = (Vec::new(), 1_u64, text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (inside, behind) = behind.split_once('}').ok_or_else(|| bad("has a { without its }"))?;
            let range = range(inside).ok_or_else(|| {
                bad("has something else in braces than {FIRST..LAST} or {FIRST..LAST..STEP}, of numbers")
            })?;
            let Part::Range { count: here, .. } = range else { continue };
            let so_many = count.checked_mul(here).filter(|&count| count <= MAX_MEMBERS);
            count = so_many.ok_or_else(|| bad(&format!("stands for more than {MAX_MEMBERS} files")))?;
            parts.extend([Part::Text(before.to_owned()), range]);
            rest = behind;
        }
        if parts.is_empty() {
            return Err(bad("has no range, such as {0000..8759}"));
        }
        parts.push(Part::Text(rest.to_owned()));
        let pattern = Pattern { parts, count };
        check(&pattern.name(0))?;
        Ok(pattern)
    }

    fn name(&self, number: u64) -> String {
        let (mut rest, mut texts) = (number, Vec::with_capacity(self.parts.len()));
        for part in self.parts.iter().rev() {
            texts.push(match part {
                Part::Text(text) => text.clone(),
                Part::Range { first, step, count, width } => {
                    let value = first.wrapping_add_signed(step.wrapping_mul((rest % count) as i64));
                    rest /= count;
                    format!("{value:0width$}")
                }
            });
        }
        texts.iter().rev().map(String::as_str).collect()
    }
}

impl Named {
    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Named::Listed(names) => names.len() as u64,
            Named::Pattern(pattern) => pattern.count,
        }
    }

    /// The name of a member, as a path from the sidecar's folder.
    pub fn member(&self, number: u64) -> String {
        match self {
            Named::Listed(names) => {
                usize::try_from(number).ok().and_then(|n| names.get(n)).cloned().unwrap_or_default()
            }
            Named::Pattern(pattern) => pattern.name(number),
        }
    }
}

impl Names for Named {
    fn name(&self, piece: u64) -> String {
        self.member(piece & ((1 << INDEX_BITS) - 1))
    }

    fn created_len(&self) -> Option<u64> {
        None
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Named::Listed(names) => names.hash(&mut hasher),
            Named::Pattern(pattern) => pattern.hash(&mut hasher),
        }
        hasher.finish()
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(message.into()))
}

/// Sees to it that a path stays below the folder.
fn check(path: &str) -> Result<(), Refusal> {
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
        return refuse(format!(
            "{} leads out of the sidecar's folder, or nowhere; members lie in it or below it, so put the sidecar above them",
            excerpt(path)
        ));
    }
    Ok(())
}

/// `0000..8759`, or `0..90..10`; backwards, too.
fn range(text: &str) -> Option<Part> {
    let numbers: Vec<&str> = text.split("..").collect();
    let (first, last, step) = match numbers[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return None,
    };
    let number = |text: &str| {
        let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| is_number)
    };
    // With a zero in front both are of one width, as in the shell.
    let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if is_padded(first) || is_padded(last) { first.len().max(last.len()) } else { 0 };
    let (first, last, step) = (number(first)?, number(last)?, number(step).filter(|&step| step > 0)?);
    let count = first.abs_diff(last) / step + 1;
    let step = if last < first { -(step as i64) } else { step as i64 };
    Some(Part::Range { first, step, count, width })
}
