//! `afbfs unpack`: plain, mappable copies of compressed arrays.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::Failure;
use crate::store::lock;
use crate::unpack::{Request, Watch, unpack};

/// How often the line that shows progress is written anew.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(clap::Args, Debug)]
#[command(after_help = "\
OUT is what its name says: one array (OUT.npy), an archive whose members are stored (OUT.npz), or a new folder \
with a .npy file for each array, groups as folders. Of a file that was compressed as a whole (.gz, .zst, .bz2, .xz) \
it is the file inside.

OUT appears when it is whole, and not at all after an error. Arrays of which a folder cannot have a copy are \
named, and the exit status is then 1.

Examples:
  afbfs unpack a.npz plain.npz
  afbfs unpack run.h5 --array group/temperature temperature.npy
  afbfs unpack volume.zarr copies
  afbfs unpack scan.nii.gz scan.nii")]
pub(super) struct Args {
    /// A file, or a folder of arrays (Zarr)
    file: PathBuf,
    /// What is to be written
    out: PathBuf,
    /// Unpack this one of the arrays in FILE, by the name that `afbfs ls FILE` shows below that of the file
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Replace OUT if it is there: a file, or a folder that holds .npy files alone
    #[arg(short, long)]
    force: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The second time it ends the process, whatever it is doing.
        flag::register_conditional_shutdown(signal, 130, stopped.clone())?;
        flag::register(signal, stopped.clone())?;
    }
    let shown = (!args.quiet && std::io::stderr().is_terminal()).then(Mutex::default);
    let progress = Progress { stopped, shown, done: AtomicU64::new(0) };
    let request = Request { file: &args.file, out: &args.out, array: args.array.as_deref(), force: args.force };
    let outcome = unpack(&request, &progress);
    progress.clear();
    let report = outcome?;
    if report.left_out.is_empty() {
        return Ok(());
    }
    for (name, why) in &report.left_out {
        eprintln!("afbfs: {}: {name}: {why}", args.file.display());
    }
    let (left, all) = (report.left_out.len(), report.left_out.len() + report.written);
    Err(Failure(format!("{}: {left} of {all} arrays could not be unpacked; it has the others", args.out.display())))
}

/// A line on the terminal, and the signals that end it all.
struct Progress {
    stopped: Arc<AtomicBool>,
    shown: Option<Mutex<Line>>,
    done: AtomicU64,
}

#[derive(Default)]
struct Line {
    name: String,
    bytes: u64,
    last: Option<Instant>,
}

impl Progress {
    fn clear(&self) {
        if self.shown.as_ref().is_some_and(|line| lock(line).last.is_some()) {
            // To the start of the line, and nothing behind it.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Watch for Progress {
    fn begin(&self, name: &str, bytes: u64) {
        self.done.store(0, Ordering::Relaxed);
        if let Some(line) = &self.shown {
            let mut line = lock(line);
            line.name = name.chars().filter(|letter| !letter.is_control()).take(40).collect();
            line.bytes = bytes;
        }
    }

    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // A line that another thread is writing need not be written twice.
        let Some(mut line) = self.shown.as_ref().and_then(|line| line.try_lock().ok()) else { return };
        if line.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        line.last = Some(Instant::now());
        let percent = (done.min(line.bytes) as f64 / line.bytes.max(1) as f64) * 100.0;
        let (name, mebibytes) = (&line.name, line.bytes >> 20);
        let _ = write!(std::io::stderr(), "\r{name}: {percent:.0} % of {mebibytes} MiB\x1b[K");
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
