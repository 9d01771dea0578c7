//! `afbfs create`: new array files, sparse or filled.
//!
//! What is made has a temporary name until it is whole and durable. `plain` makes files, `zarr` makes folders, and `like` says what an
//! array is that serves as a model.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Map;

use super::progress::Progress;
use super::{Failure, SourceArgs, usage};
use crate::dtype::{DType, Kind, Scalar};
use crate::form::{Face, Form, Slice};
use crate::format::raw::{Raw, parse_shape};
use crate::format::{Format, Refusal};
use crate::layout::{Layout, Order};

mod like;
mod plain;
mod zarr;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
FILE says by its name what is made: NAME.npy; NAME.raw, .bin, .dat, .img, .data or .vol, which get a sidecar \
NAME.raw.toml; a folder NAME.zarr. It is sparse: what nobody wrote reads as zeros and takes no space on the disk. \
Of Zarr, what nobody wrote reads as the fill value. FILE appears when it is whole.

Examples:
  afbfs create a.npy --dtype f4 --shape 1000x2000
  afbfs create b.npy --like a.npy --dtype '>i2' --fill -1
  afbfs create log.npy --dtype \"[('time', 'f8'), ('count', 'u4')]\" --shape 0
  afbfs create c.zarr --dtype f8 --shape 100000x100000 --chunks 1000x1000 --fill nan")]
pub(super) struct Args {
    /// The file, or of Zarr the folder, that is to be made
    file: PathBuf,
    /// Type of the elements, as NumPy writes it: f4, '>i2', S5, or the list of a structured type
    #[arg(long, value_parser = |text: &str| DType::parse(text).map_err(|error| error.to_string()))]
    dtype: Option<DType>,
    /// Length of each axis, last index fastest: 100x200; () for none. The first may be ? in a raw file: as long as the file is
    #[arg(long, value_parser = lengths)]
    shape: Option<Lengths>,
    /// Which index varies fastest in the file: C, the last, or F, the first
    #[arg(long, value_parser = |text: &str| match text {
        "C" | "c" => Ok(Order::C),
        "F" | "f" => Ok(Order::F),
        _ => Err("it is C or F"),
    })]
    order: Option<Order>,
    /// What stands in every element, as in a .txt file: a number, a string, or the columns of a record; zeros if left out
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    fill: Option<String>,
    /// Take what is left out of dtype, shape and order from this array: FILE, or FILE/ARRAY in a folder or container
    #[arg(long, value_name = "ARRAY")]
    like: Option<PathBuf>,
    /// Of Zarr: length of each axis of a chunk; by default chunks have up to 16 MiB
    #[arg(long, value_parser = lengths)]
    chunks: Option<Lengths>,
    /// Of Zarr: the version of the format, by default 3
    #[arg(long, value_name = "VERSION", value_parser = ["2", "3"])]
    zarr_format: Option<String>,
    /// Have space on the disk for all of it from the start
    #[arg(long)]
    allocate: bool,
    /// Replace FILE if it is there
    #[arg(short, long)]
    force: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

/// Lengths of axes; nothing for one that is open.
#[derive(Clone, Debug)]
struct Lengths(Vec<Option<u64>>);

fn lengths(text: &str) -> Result<Lengths, String> {
    parse_shape(text).map(Lengths).map_err(|Refusal(why)| why)
}

impl Lengths {
    /// All lengths, of which none may be open.
    fn known(&self) -> Option<Vec<u64>> {
        self.0.iter().copied().collect()
    }
}

/// What is to be made.
#[derive(Debug)]
struct Wanted {
    dtype: DType,
    shape: Vec<u64>,
    order: Order,
    /// The bytes of an element.
    fill: Vec<u8>,
    /// Whether the first axis is as long as the file.
    is_open: bool,
}

impl Wanted {
    fn new(args: &Args) -> Result<Wanted, Failure> {
        let model = args.like.as_ref().map(|path| like::model(path, args)).transpose()?;
        let (dtype, shape, order) =
            model.map_or((None, None, None), |(dtype, shape, order)| (Some(dtype), Some(shape), order));
        let Some(dtype) = args.dtype.clone().or(dtype) else {
            usage("--dtype is missing, and --like that would say it")
        };
        let given = args.shape.clone().or(shape.map(|shape| Lengths(shape.into_iter().map(Some).collect())));
        let Some(given) = given else { usage("--shape is missing, and --like that would say it") };
        let is_open = matches!(given.0[..], [None, ..]);
        let shape = match &given.0[..] {
            [None, rest @ ..] => Lengths([&[Some(0)], rest].concat()).known(),
            _ => given.known(),
        };
        let Some(shape) = shape else { usage("--shape: only the first axis may be left open") };
        let order = args.order.or(order).unwrap_or(Order::C);
        let fill = match &args.fill {
            Some(text) => element(&dtype, text).map_err(|why| Failure(format!("--fill {text}: {why}")))?,
            None => vec![0; dtype.itemsize() as usize],
        };
        Ok(Wanted { dtype, shape, order, fill, is_open })
    }

    /// Where its elements are behind a header.
    fn layout(&self, file: &Path, header: u64) -> Result<Layout, Failure> {
        let layout = Layout::packed(header, &self.shape, self.dtype.itemsize(), self.order);
        layout.map_err(|error| Failure(format!("{}: cannot be made: {error}; give a smaller shape", file.display())))
    }

    fn is_sparse(&self) -> bool {
        self.fill.iter().all(|&byte| byte == 0)
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let wanted = Wanted::new(args)?;
    // Without a handler, a file beyond the limit of the process ends it instead of being an error.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let name = args.file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let extension = args.file.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    let is_raw = Raw.extensions().contains(&&*format!(".{extension}"));
    if args.chunks.is_some() && extension != "zarr" {
        usage("--chunks: only a .zarr has chunks");
    }
    if args.zarr_format.is_some() && extension != "zarr" {
        usage("--zarr-format: is for a .zarr alone");
    }
    if wanted.is_open && !is_raw {
        usage(
            "--shape: only raw files have an axis that is as long as the file; give 0, and let append make it longer",
        );
    }
    let progress = Progress::new(args.quiet)?;
    let outcome = match &*extension {
        "npy" => plain::npy(args, &wanted, &progress),
        "zarr" if args.allocate => usage("--allocate: a .zarr stores no chunk that nobody wrote"),
        "zarr" => zarr::folder(args, &wanted),
        _ if is_raw => plain::raw(args, &wanted, name, &progress),
        _ => {
            let known = Raw.extensions().join(", ");
            usage(&format!(
                "{}: is called like none of what can be made: .npy, .zarr, or raw: {known}",
                args.file.display()
            ))
        }
    };
    progress.clear();
    outcome
}

/// The bytes of an element that is given as text.
fn element(dtype: &DType, text: &str) -> Result<Vec<u8>, String> {
    let attributes = Map::new();
    let slice = Slice { dtype, element: None, shape: &[1], is_fortran: false, file: None, attributes: &attributes };
    let face = Form::of_suffix("txt").and_then(|form| form.face(&slice));
    let Some(Face::Text(face)) = face else {
        return Err(format!(
            "elements of the type {dtype} cannot be given as text; leave it out, and write them later"
        ));
    };
    // A string is all of the text, also where there are blanks in it.
    let is_string = matches!(dtype, DType::Scalar(Scalar { kind: Kind::Bytes | Kind::Unicode, .. }));
    let quoted = if is_string && !text.starts_with('"') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    };
    let mut reader = Arc::new(face).reader(false, 1);
    let mut bytes = Vec::new();
    let read = reader.feed(quoted.as_bytes(), &mut bytes).and_then(|()| reader.finish(&mut bytes));
    read.map_err(|bad| format!("{} (of the type {dtype})", bad.what))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::element;
    use crate::dtype::DType;

    fn check(dtype: &str, text: &str, expected: &[u8]) {
        assert_eq!(element(&DType::parse(dtype).expect("a type"), text).as_deref(), Ok(expected), "{dtype} {text}");
    }

    #[test]
    fn an_element_is_what_its_text_says() {
        check("f4", "1.5", &1.5_f32.to_le_bytes());
        check(">i2", "-2", &[0xff, 0xfe]);
        check("?", "1", &[1]);
        check("M8[D]", "1970-01-03", &2_i64.to_le_bytes());
        check("S6", "a b", b"a b\0\0\0");
        check("S6", "say \"", b"say \"\0");
        check("S6", "\"a, b\"", b"a, b\0\0");
        check("[('x', 'u1'), ('y', '>u2', (2,))]", "1 2 3", &[1, 0, 2, 0, 3]);
    }

    #[test]
    fn what_is_no_element_is_refused() {
        for (dtype, text) in [("u1", "256"), ("i4", "nan"), ("i4", "1 2"), ("f8", "x"), ("f8", ""), ("S2", "abc")] {
            assert!(element(&DType::parse(dtype).expect("a type"), text).is_err(), "{dtype} {text}");
        }
    }
}
