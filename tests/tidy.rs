//! The rules of the architecture, read off the sources. Each test first shows that its rule can fail.

use std::fs;
use std::path::Path;

/// The modules under `src`, in order: each imports only from itself and from those before it. Those of one line may
/// import each other.
const ORDER: &[&[&str]] = &[
    &["dtype"],
    &["layout"],
    &["grid"],
    &["runs"],
    &["convert"],
    &["name"],
    &["source"],
    &["form"],
    &["format"],
    &["store"],
    &["catalog"],
    &["unpack"],
    &["overlay"],
    &["fs"],
    &["fuse"],
    &["cli", "config", "mount"],
];

/// Modules of plain arithmetic, and what they may not name.
const PURE: &[&str] = &["dtype", "layout", "grid", "runs", "convert", "name"];
const IMPURE: &[&str] = &["libc", "rustix", "memmap2", "log", "fuser"];

/// Files that may be longer than [`LINES`], each with its reason.
const LONG: &[(&str, &str)] = &[];
const LINES: usize = 500;

/// A word or a punctuation mark of Rust, outside of comments, strings and numbers.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// A file below the top folder. Only Rust has tokens.
struct Source {
    path: String,
    text: String,
    tokens: Vec<Token>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let tokens = if path.ends_with(".rs") { tokens(text) } else { Vec::new() };
        Source { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    fn at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    fn complaint(&self, index: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.tokens[index].line)
    }

    /// The path of the module in this file: `form::npy`. The crate's roots and what is not under `src` have none.
    fn module(&self) -> Option<Vec<&str>> {
        let path = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let module: Vec<&str> = path.strip_suffix("/mod").unwrap_or(path).split('/').collect();
        if matches!(module[..], ["lib" | "main"] | ["bin", ..]) { None } else { Some(module) }
    }

    /// What stands behind `X::`, as places among the tokens: one word, or the first words of a group in braces.
    fn heads(&self, behind: usize) -> Vec<usize> {
        if self.at(behind) != "{" {
            return vec![behind];
        }
        let (mut heads, mut depth) = (Vec::new(), 0);
        for index in behind..self.tokens.len() {
            match self.at(index) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(self.at(index), "{" | ",") && self.at(index + 1) != "}" {
                heads.push(index + 1);
            }
        }
        heads
    }

    /// What is named of the crate's root, `crate::X` or by as many `super` as lead there.
    fn root_names(&self) -> Vec<usize> {
        let depth = self.module().map_or(0, |module| module.len());
        let (mut names, mut braces, mut inline) = (Vec::new(), 0, Vec::new());
        for index in 0..self.tokens.len() {
            match self.at(index) {
                "{" => {
                    braces += 1;
                    if index >= 2 && self.at(index - 2) == "mod" {
                        inline.push(braces);
                    }
                }
                "}" => {
                    if inline.last() == Some(&braces) {
                        inline.pop();
                    }
                    braces -= 1;
                }
                "crate" if self.at(index + 1) == "::" => names.extend(self.heads(index + 2)),
                "super" if !(index >= 2 && self.at(index - 1) == "::" && self.at(index - 2) == "super") => {
                    let mut end = index;
                    while self.at(end) == "super" && self.at(end + 1) == "::" {
                        end += 2;
                    }
                    if end > index && (end - index) / 2 == depth + inline.len() {
                        names.extend(self.heads(end));
                    }
                }
                _ => {}
            }
        }
        names
    }

    /// The attributes, as ranges of tokens inside the brackets.
    fn attributes(&self) -> Vec<std::ops::Range<usize>> {
        let mut attributes = Vec::new();
        for index in 0..self.tokens.len() {
            let open = if self.at(index + 1) == "!" { index + 2 } else { index + 1 };
            if self.at(index) != "#" || self.at(open) != "[" {
                continue;
            }
            let mut depth = 0;
            let close = (open..self.tokens.len()).find(|&end| {
                match self.at(end) {
                    "[" => depth += 1,
                    "]" => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            attributes.push(open + 1..close.unwrap_or(self.tokens.len()));
        }
        attributes
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let letters: Vec<char> = text.chars().collect();
    let at = |index: usize| letters.get(index).copied().unwrap_or('\0');
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (mut found, mut line, mut index) = (Vec::new(), 1, 0);
    while index < letters.len() {
        let start = index;
        let mut token = None;
        match at(index) {
            '/' if at(index + 1) == '/' => {
                while index < letters.len() && at(index) != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => index = comment_end(&letters, index),
            '"' => index = string_end(&letters, index),
            '\'' if at(index + 1) == '\\' => {
                index += 3;
                while index < letters.len() && at(index) != '\'' {
                    index += 1;
                }
                index += 1;
            }
            '\'' if at(index + 2) == '\'' => index += 3,
            // A lifetime, with its name.
            '\'' => {
                index += 1;
                while is_word(at(index)) {
                    index += 1;
                }
            }
            letter if is_word(letter) => {
                while is_word(at(index)) {
                    index += 1;
                }
                let word: String = letters[start..index].iter().collect();
                let hashes = letters[index..].iter().take_while(|&&letter| letter == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && at(index + hashes) == '"' {
                    index = raw_string_end(&letters, index + hashes + 1, hashes);
                } else if !letter.is_ascii_digit() {
                    token = Some(word);
                }
            }
            ':' if at(index + 1) == ':' => {
                index += 2;
                token = Some("::".to_owned());
            }
            letter => {
                index += 1;
                token = (!letter.is_whitespace()).then(|| letter.to_string());
            }
        }
        found.extend(token.map(|text| Token { text, line }));
        index = index.min(letters.len());
        line += letters[start..index].iter().filter(|&&letter| letter == '\n').count();
    }
    found
}

/// Comments nest.
fn comment_end(letters: &[char], start: usize) -> usize {
    let (mut depth, mut index) = (0, start);
    while index < letters.len() {
        match letters[index..] {
            ['/', '*', ..] => (depth, index) = (depth + 1, index + 2),
            ['*', '/', ..] => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            break;
        }
    }
    index
}

fn string_end(letters: &[char], start: usize) -> usize {
    let mut index = start + 1;
    while index < letters.len() && letters[index] != '"' {
        index += if letters[index] == '\\' { 2 } else { 1 };
    }
    index + 1
}

fn raw_string_end(letters: &[char], start: usize, hashes: usize) -> usize {
    let closes = |&index: &usize| {
        letters[index] == '"' && letters[index + 1..].iter().take_while(|&&letter| letter == '#').count() >= hashes
    };
    (start..letters.len()).find(closes).map_or(letters.len(), |index| index + 1 + hashes)
}

fn collect(directory: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("a path below the top").to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "__pycache__" && name != "pictures" {
                collect(&path, sources);
            }
        } else if name.ends_with(".rs") || name.ends_with(".py") || relative.starts_with("scripts/") {
            sources.push(Source::new(&relative, &fs::read_to_string(&path).expect("a text")));
        }
    }
}

/// All that we wrote: Rust and Python below `src` and `tests`, and the scripts.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for directory in ["src", "tests", "scripts"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut sources);
    }
    for expected in ["src/lib.rs", "tests/tidy.rs", "scripts/test"] {
        assert!(sources.iter().any(|source| source.path == expected), "{expected} was not found");
    }
    sources
}

type Rule = fn(&Source) -> Vec<String>;

/// A made-up file against a rule: how many complaints there must be.
#[track_caller]
fn expect(rule: Rule, complaints: usize, path: &str, text: &str) {
    let found = rule(&Source::new(path, text));
    assert_eq!(found.len(), complaints, "the rule itself is broken: {path}: {text}: {found:?}");
}

#[track_caller]
fn check(rule: Rule) {
    let complaints: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn comments_strings_and_lifetimes_are_no_tokens() {
    let text = r###"a /* b /* c */ d */ "e\"f" 'g' '\'' '\u{68}' '"' b"i" r#"j"k"# 'l: m::n<'o> 0x1p // q
        r"\" s br##"t"#"## r#u 'v' "w
        " x"###;
    let found: Vec<String> = tokens(text).into_iter().map(|token| format!("{}{}", token.text, token.line)).collect();
    assert_eq!(found.join(" "), "a1 b1 :1 m1 ::1 n1 <1 >1 s2 r2 #2 u2 x3");
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|modules| modules.contains(&module))
}

fn imports(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some(own) = rank(module[0]) else {
        return vec![format!(
            "{}: the module `{}` has no place: add it to ORDER in tests/tidy.rs, behind all that it imports",
            source.path, module[0]
        )];
    };
    let complain = |&index: &usize| match rank(source.at(index)) {
        Some(other) if other <= own => None,
        Some(_) => Some(format!("`{}` comes before `{}` and cannot import it", module[0], source.at(index))),
        None => {
            Some(format!("`{}` of the crate's root is no module: import it from where it stands", source.at(index)))
        }
    };
    source.root_names().iter().filter_map(|index| Some(source.complaint(*index, &complain(index)?))).collect()
}

#[test]
fn modules_import_only_what_comes_before_them() {
    expect(imports, 0, "src/grid.rs", "use crate::layout::Span; pub(crate) fn f() {} mod tests { use super::*; }");
    expect(imports, 0, "src/form/npy.rs", "use super::Form; use crate::{dtype::{self, DType}, grid}; // crate::cli");
    expect(imports, 0, "src/cli.rs", "use crate::mount; use crate::config;");
    expect(imports, 0, "src/lib.rs", "use crate::fuse;");
    expect(imports, 0, "tests/mount.rs", "use crate::fuse;");
    expect(imports, 1, "src/layout.rs", "use crate::grid::Grid;");
    expect(imports, 1, "src/layout.rs", "fn f() -> crate::grid::Grid { todo() }");
    expect(imports, 2, "src/form/npy.rs", "use crate::{dtype::{self, fs}, format::{npy, fs}, store};");
    expect(imports, 1, "src/form/npy.rs", "use super::super::fs;");
    expect(imports, 1, "src/grid.rs", "mod tests { use super::super::fs; } use super::layout;");
    expect(imports, 1, "src/grid.rs", "use crate::*;");
    expect(imports, 1, "src/grid.rs", "use crate::Error;");
    expect(imports, 1, "src/misc/mod.rs", "");
    check(imports);
}

fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn unsafety(source: &Source) -> Vec<String> {
    if is_below(&source.path, "src/store/sys") {
        return Vec::new();
    }
    let allows = source.attributes().into_iter().filter(|attribute| {
        let has = |word: &str| attribute.clone().any(|index| source.at(index) == word);
        has("unsafe_code") && (has("allow") || has("expect") || has("warn"))
    });
    let words = (0..source.tokens.len()).filter(|&index| source.at(index) == "unsafe");
    let places = allows.map(|attribute| attribute.start).chain(words);
    places.map(|index| source.complaint(index, "unsafe code stands only in src/store/sys")).collect()
}

#[test]
fn unsafe_code_stands_only_in_store_sys() {
    expect(unsafety, 0, "src/store/sys.rs", "#![allow(unsafe_code)] fn f() { unsafe { g() } }");
    expect(unsafety, 0, "src/store/sys/map.rs", "unsafe impl Send for Map {}");
    expect(unsafety, 0, "src/store.rs", "#![deny(unsafe_code)] // unsafe\nconst WORD: &str = \"unsafe\";");
    expect(unsafety, 1, "src/store.rs", "fn f() { unsafe { g() } }");
    expect(unsafety, 1, "src/store/system.rs", "unsafe fn f() {}");
    expect(unsafety, 1, "src/store.rs", "#[allow(unsafe_code)] mod sys;");
    expect(unsafety, 1, "tests/mount.rs", "#![cfg_attr(test, expect(dead_code, unsafe_code))]");
    check(unsafety);
}

fn adapter(source: &Source) -> Vec<String> {
    // The floor of the benchmark, and the disk that fails in tests, are the same library without afbfs.
    let others = ["tests/bench/empty_fuse.rs", "tests/mount/faulty_fuse.rs"];
    if is_below(&source.path, "src/fuse") || others.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let words = (0..source.tokens.len()).filter(|&index| source.at(index) == "fuser");
    words.map(|index| source.complaint(index, "only src/fuse (and two tools of tests) names fuser")).collect()
}

#[test]
fn only_the_adapter_names_fuser() {
    expect(adapter, 0, "src/fuse.rs", "use fuser::Filesystem;");
    expect(adapter, 0, "src/fuse/reply.rs", "use fuser::ReplyData;");
    expect(adapter, 0, "src/fs.rs", "//! Knows nothing of fuser.\nuse std::process::Command; // fusermount3");
    expect(adapter, 0, "tests/bench/empty_fuse.rs", "use fuser::Filesystem;");
    expect(adapter, 1, "src/fs.rs", "fn f(reply: fuser::ReplyData) {}");
    expect(adapter, 1, "tests/bench/other.rs", "use fuser::Filesystem;");
    check(adapter);
}

fn impurity(source: &Source) -> Vec<String> {
    if !source.module().is_some_and(|module| PURE.contains(&module[0])) {
        return Vec::new();
    }
    let mut places = Vec::new();
    for index in 0..source.tokens.len() {
        match source.at(index) {
            "std" if self_standing(source, index) && source.at(index + 1) == "::" => {
                places.extend(source.heads(index + 2).into_iter().filter(|&head| source.at(head) == "fs"));
            }
            // As a path or an import; a number has a logarithm, too.
            word if IMPURE.contains(&word) && self_standing(source, index) => {
                let in_use = index > 0 && matches!(source.at(index - 1), "use" | "crate");
                if in_use || source.at(index + 1) == "::" {
                    places.push(index);
                }
            }
            "use" if source.at(index + 1) == "{" => {
                let heads = source.heads(index + 1);
                places.extend(
                    heads.into_iter().filter(|&head| IMPURE.contains(&source.at(head)) && source.at(head + 1) != "::"),
                );
            }
            _ => {}
        }
    }
    let complaint = |index| source.complaint(index, &format!("a pure module names `{}`", source.at(index)));
    places.into_iter().map(complaint).collect()
}

/// Whether a word begins a path.
fn self_standing(source: &Source, index: usize) -> bool {
    index == 0 || source.at(index - 1) != "::" || index == 1 || !is_segment(source.at(index - 2))
}

fn is_segment(token: &str) -> bool {
    token == ">" || !matches!(token, "use" | "return" | "in" | "as") && token.starts_with(char::is_alphabetic)
}

#[test]
fn pure_modules_touch_nothing_outside() {
    expect(
        impurity,
        0,
        "src/grid.rs",
        "use std::fmt; use std::{io, sync::fs}; fn f(log: f64) { x.log(log); f64::log(1.0, 2.0) }",
    );
    expect(impurity, 0, "src/catalog.rs", "use std::fs; use log::warn;");
    expect(impurity, 1, "src/grid.rs", "use std::fs::File;");
    expect(impurity, 1, "src/grid.rs", "use std::{fmt, fs::{self, File}};");
    expect(impurity, 1, "src/name/tests.rs", "fn f() { std::fs::read(path) }");
    expect(impurity, 1, "src/dtype.rs", "use ::libc::c_int;");
    expect(impurity, 3, "src/convert.rs", "use rustix::mm; use memmap2 as m; extern crate fuser;");
    expect(impurity, 2, "src/runs.rs", "use {log, std::fmt}; fn f() { log::warn!() }");
    check(impurity);
}

fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let excepted = LONG.iter().any(|&(path, _)| path == source.path);
    match (lines > LINES, excepted) {
        (true, false) => vec![format!("{}: {lines} lines, more than {LINES}: split it", source.path)],
        (false, true) => vec![format!("{}: {lines} lines need no exception: take it out of LONG", source.path)],
        _ => Vec::new(),
    }
}

#[test]
fn files_are_short() {
    expect(length, 0, "src/grid.rs", &"\n".repeat(LINES));
    expect(length, 1, "tests/mount/test_reads.py", &"\n".repeat(LINES + 1));
    expect(length, 1, "scripts/setup", &"\n".repeat(LINES + 1));
    let all = sources();
    for &(path, reason) in LONG {
        assert!(!reason.is_empty() && all.iter().any(|source| source.path == path), "LONG: {path}: {reason}");
    }
    check(length);
}

fn belongs_on_top(name: &str) -> bool {
    const NAMES: [&str; 8] =
        ["Cargo.toml", "Cargo.lock", "src", "tests", "scripts", "README.md", "CHANGELOG.md", "target"];
    name.starts_with('.') || name.starts_with("LICENSE") || NAMES.contains(&name)
}

#[test]
fn the_top_folder_holds_nothing_else() {
    assert!(belongs_on_top("src") && belongs_on_top("LICENSE-MIT") && belongs_on_top(".gitignore"));
    assert!(!belongs_on_top("notes.md") && !belongs_on_top("build.rs") && !belongs_on_top("srcs"));
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("a readable folder");
    let names = entries.map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned());
    let strangers: Vec<String> = names.filter(|name| !belongs_on_top(name)).collect();
    assert!(strangers.is_empty(), "these do not belong into the top folder: {}", strangers.join(", "));
}

fn unfinished(source: &Source) -> Vec<String> {
    let ignores = source.attributes().into_iter().flat_map(|attribute| {
        attribute.filter(|&index| source.at(index) == "ignore").map(|index| source.complaint(index, "an ignored test"))
    });
    let macros = (0..source.tokens.len())
        .filter(|&index| matches!(source.at(index), "todo" | "unimplemented") && source.at(index + 1) == "!")
        .map(|index| source.complaint(index, "unfinished code"));
    let doctests = source.text.lines().enumerate().filter(|(_, line)| {
        let comment = ["///", "//!"].iter().find_map(|mark| line.trim_start().strip_prefix(mark));
        let fence = comment.and_then(|text| text.trim_start().strip_prefix("```"));
        fence.is_some_and(|marks| marks.split(',').any(|mark| mark.trim().starts_with("ignore")))
    });
    let doctests = doctests.map(|(number, _)| format!("{}:{}: an ignored example", source.path, number + 1));
    ignores.chain(macros).chain(doctests).collect()
}

#[test]
fn nothing_is_unfinished_or_ignored() {
    expect(unfinished, 0, "src/grid.rs", "/// ```text\n/// ignore\n#[test] fn ignore() { todo(); } // todo!()");
    expect(unfinished, 1, "src/grid.rs", "fn f() { todo!() }");
    expect(unfinished, 1, "src/grid.rs", "fn f() { unimplemented!(\"later\") }");
    expect(unfinished, 1, "tests/mount.rs", "#[test] #[ignore = \"slow\"] fn f() {}");
    expect(unfinished, 1, "tests/mount.rs", "#[cfg_attr(not(feature = \"x\"), ignore)] fn f() {}");
    expect(unfinished, 2, "src/grid.rs", "/// ```ignore\n    //! ```rust,ignore-windows\n");
    check(unfinished);
}
