//! Commands for one array, true as they stand.

use super::place::Facts;
use crate::convert::{Code, Element};
use crate::dtype::{ByteOrder, DType, Kind, Scalar};
use crate::form::{self, Slice};
use crate::layout::Layout;
use crate::name::{escape, quote};

/// So many elements of a row are shown at most.
const SHOWN: u64 = 16;
/// So many of a row are plotted or added up.
const PLOTTED: u64 = 1000;

/// How an array can be reached.
pub(super) enum Reach {
    /// By way of this source, with no other options.
    Source(String),
    /// In this mount.
    Mounted(String),
    /// Only as a file.
    File,
}

/// The array that the commands are for.
pub(super) struct Subject<'a> {
    pub(super) reach: &'a Reach,
    pub(super) facts: &'a Facts,
    /// Where its elements lie, if they lie in one piece.
    pub(super) layout: Option<&'a Layout>,
    /// Path of its file.
    pub(super) file: Option<&'a str>,
}

/// A command, and what it does.
pub(super) struct Example {
    pub(super) what: &'static str,
    pub(super) command: String,
}

/// What commands read: the array, or a field of its records that is one number.
struct Target<'a> {
    /// `field/x/` or nothing.
    folder: String,
    dtype: DType,
    element: Option<&'a str>,
}

impl Target<'_> {
    fn of<'a>(facts: &'a Facts) -> Target<'a> {
        let plain = Target { folder: String::new(), dtype: facts.dtype.clone(), element: facts.element.as_deref() };
        let DType::Record(record) = &facts.dtype else { return plain };
        let is_one = |field: &&crate::dtype::Field| field.shape.is_empty() && Element::of(&field.dtype, None).is_some();
        match record.fields().iter().find(is_one) {
            Some(field) => Target {
                folder: format!("field/{}/", escape(field.name.as_bytes())),
                dtype: field.dtype.clone(),
                element: None,
            },
            None => plain,
        }
    }

    fn has(&self, form: &str, shape: &[u64]) -> bool {
        let attributes = serde_json::Map::new();
        let (dtype, element) = (&self.dtype, self.element);
        form::fitting(&Slice { dtype, element, shape, is_fortran: false, file: None, attributes: &attributes })
            .contains(&form)
    }

    /// Whether its text is one real number for each element.
    fn is_real(&self) -> bool {
        let is_time = matches!(&self.dtype, DType::Scalar(Scalar { kind: Kind::DateTime | Kind::TimeDelta, .. }));
        Element::of(&self.dtype, self.element).is_some_and(|element| !element.complex && element.code != Code::Bool)
            && !is_time
    }
}

/// The start of the first row: its path in a tree, and its length.
fn row(shape: &[u64], most: u64) -> (String, Vec<u64>) {
    let Some((&last, before)) = shape.split_last() else { return ("data".to_owned(), Vec::new()) };
    let part = if last > most { format!(":{most}") } else { String::new() };
    let path = match (before.len(), part.is_empty()) {
        (0, true) => "data".to_owned(),
        (0, false) => format!("row/{part}"),
        (1, true) => "row/0".to_owned(),
        (axes, whole) => {
            let zeros = vec!["0"; axes].join(",");
            if whole { format!("slice/{zeros}") } else { format!("slice/{zeros},{part}") }
        }
    };
    (path, vec![last.min(most)])
}

/// The commands that there are for an array.
pub(super) fn examples(subject: &Subject<'_>) -> Vec<Example> {
    let facts = subject.facts;
    let mut all = Vec::new();
    let mut add = |what, command: String| all.push(Example { what, command });
    let is_empty = facts.bytes() == 0;
    if let (Some(code), false) = (memmap(subject), is_empty) {
        add("NumPy, on the file itself", python(&code));
    }
    let point = match subject.reach {
        Reach::File => return all,
        Reach::Mounted(point) => point.clone(),
        Reach::Source(source) => {
            if !is_empty {
                cat(facts, source, &mut add);
            }
            add("a mount of it", format!("mkdir -p mnt && afbfs mount {} mnt", shell(source)));
            "mnt".to_owned()
        }
    };
    if !is_empty {
        in_mount(facts, &format!("{point}/{}", facts.name), &mut add);
    }
    add("all that is known of it", format!("cat {}", shell(&format!("{point}/{}/info.json", facts.name))));
    if matches!(subject.reach, Reach::Source(_)) {
        add("the end of the mount", format!("afbfs umount {point}"));
    }
    all
}

fn cat(facts: &Facts, source: &str, add: &mut dyn FnMut(&'static str, String)) {
    let target = Target::of(facts);
    let (path, shape) = row(&facts.shape, SHOWN);
    let view = |form: &str| shell(&format!("{}/{}{path}{form}", facts.name, target.folder));
    if target.has("txt", &shape) {
        add("the start of its first row, with no mount", format!("afbfs cat {} {}", shell(source), view(".txt")));
    } else {
        add(
            "the start of its first row, with no mount",
            format!("afbfs cat {} {} | od -A d -t x1", shell(source), view("")),
        );
    }
}

fn in_mount(facts: &Facts, folder: &str, add: &mut dyn FnMut(&'static str, String)) {
    let target = Target::of(facts);
    let (path, shape) = row(&facts.shape, SHOWN);
    let view = |path: &str, form: &str| shell(&format!("{folder}/{}{path}{form}", target.folder));
    if let Some(options) = od(&target, shape.iter().product()) {
        add("the start of its first row", format!("od -A d -v {options} {}", view(&path, "")));
    }
    if let &[rows, _] = facts.shape.as_slice()
        && target.has("txt", &[rows])
    {
        add("its first column, a number a line", format!("head -n 5 {}", view("col/0", ".txt")));
    }
    let (long, length) = row(&facts.shape, PLOTTED);
    if target.is_real() && target.has("txt", &length) {
        let program = "{ for (k = 1; k <= NF; k++) { s += $k; n++ } } END { print s / n }";
        add("the mean of its first row, of at most 1000 numbers", format!("awk '{program}' {}", view(&long, ".txt")));
        if length.first().is_some_and(|&length| length > 1) {
            let file = format!("{folder}/{}{long}.txt", target.folder);
            if !file.contains(['\'', '"', '\\', '$', '`', '!']) {
                add("a plot of it", format!("gnuplot -e \"set terminal dumb; plot '{file}' with lines\""));
            }
        }
    }
    let file = quote(&format!("{folder}/{}{path}.npy", target.folder));
    add("NumPy", python(&format!("print(numpy.load({file}, mmap_mode='r'))")));
}

/// How od shows elements: type, bytes of a line, byte order.
fn od(target: &Target<'_>, count: u64) -> Option<String> {
    let DType::Scalar(Scalar { kind, order, itemsize, .. }) = &target.dtype else { return None };
    let (letter, size) = match kind {
        _ if target.element.is_some() => ('x', 1),
        Kind::Int | Kind::DateTime | Kind::TimeDelta => ('d', *itemsize),
        Kind::Uint | Kind::Bool => ('u', *itemsize),
        Kind::Float => ('f', *itemsize),
        Kind::Complex => ('f', itemsize / 2),
        Kind::Void => ('x', 1),
        Kind::Bytes => return Some(format!("-t c -w{}", (itemsize * count).clamp(1, 64))),
        Kind::Unicode => ('x', 4),
    };
    // Of floats it knows no others everywhere.
    let (letter, size) = if letter == 'f' && !matches!(size, 4 | 8 | 16) { ('x', size) } else { (letter, size) };
    let endian = if *order == ByteOrder::Big && size > 1 { " --endian=big" } else { "" };
    // A line of whole elements, all of them where they are few.
    let width = match itemsize * count {
        bytes if bytes <= 256 => bytes,
        _ => itemsize * (256 / itemsize).max(1),
    };
    (width > 0).then(|| format!("-t {letter}{size} -w{width}{endian}"))
}

/// NumPy code that maps the file itself.
fn memmap(subject: &Subject<'_>) -> Option<String> {
    let (layout, file) = (subject.layout?, quote(subject.file?));
    let dtype = match &subject.facts.dtype {
        DType::Record(_) => subject.facts.dtype.to_string(),
        scalar => quote(&scalar.to_string()),
    };
    let tuple = |numbers: &mut dyn Iterator<Item = String>| {
        let numbers: Vec<String> = numbers.collect();
        let comma = if numbers.len() == 1 { "," } else { "" };
        format!("({}{comma})", numbers.join(", "))
    };
    let shape = tuple(&mut layout.shape.iter().map(u64::to_string));
    let offset = layout.offset;
    let array = match (layout.is_c_contiguous(), layout.is_f_contiguous()) {
        (true, _) => format!("numpy.memmap({file}, {dtype}, 'r', {offset}, {shape})"),
        (_, true) => format!("numpy.memmap({file}, {dtype}, 'r', {offset}, {shape}, 'F')"),
        _ => {
            let strides = tuple(&mut layout.strides.iter().map(i64::to_string));
            format!("numpy.ndarray({shape}, {dtype}, numpy.memmap({file}, 'u1', 'r'), {offset}, {strides})")
        }
    };
    let first = if layout.shape.is_empty() { "" } else { "[0]" };
    Some(format!("a = {array}; print(a{first})"))
}

/// A command that runs Python code.
fn python(code: &str) -> String {
    let code = format!("import numpy; {code}");
    if code.contains(['"', '$', '`', '\\', '!']) {
        format!("python3 -c {}", shell(&code))
    } else {
        format!("python3 -c \"{code}\"")
    }
}

/// A word as the shell reads it.
fn shell(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_@%+=:,./-".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    let word = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
    format!("'{}'", word.replace('\'', "'\\''"))
}
