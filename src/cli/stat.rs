//! `afbfs stat`: what a mount has done so far, or does now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{Failure, mounted};

mod report;
mod screen;
mod units;
mod watch;

use report::Look;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  afbfs stat /mnt/arrays            what was done so far\n  \
    afbfs stat --watch --arrays /mnt/arrays    what is being done, and with which arrays\n\n\
    Programs may read the same from .afbfs/stats.json, .afbfs/usage.json and, for Prometheus, .afbfs/metrics.")]
pub(super) struct Args {
    /// Where it is mounted
    mountpoint: PathBuf,
    /// Show the N arrays, too, of which most was read and written
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10")]
    arrays: Option<usize>,
    /// Show it anew every SECONDS, with what was done since; q or Ctrl-C ends
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        value_parser = parse_seconds, conflicts_with = "json")]
    watch: Option<Duration>,
    /// Print what .afbfs/stats.json holds, with --arrays what .afbfs/usage.json holds, too
    #[arg(long)]
    json: bool,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("{text}: is no number of seconds from 0.1 to 86400"))
}

/// What a mount said at some moment.
#[derive(Clone, Debug)]
struct Snapshot {
    stats: Value,
    usage: Option<Value>,
}

impl Snapshot {
    fn take(args: &Args, point: &Path) -> Result<Snapshot, Failure> {
        let stats = read(args, point, "stats.json")?;
        let usage = args.arrays.map(|_| read(args, point, "usage.json")).transpose()?;
        Ok(Snapshot { stats, usage })
    }
}

fn read(args: &Args, point: &Path, name: &str) -> Result<Value, Failure> {
    let shown = args.mountpoint.display();
    let bytes = mounted::read(point, name).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOTCONN) => mounted::died(&args.mountpoint),
        Some(libc::EACCES) if name == "usage.json" => {
            Failure(format!("{shown}: only the user who mounted may see the arrays; leave out --arrays"))
        }
        Some(libc::EACCES) => Failure(format!("{shown}: only the user who mounted may enter")),
        Some(libc::ENOENT) => {
            Failure(format!("{shown}: has no .afbfs/{name}: it was mounted by another version of afbfs; mount it anew"))
        }
        _ => Failure(format!("{shown}: .afbfs/{name}: {error}")),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Failure(format!("{shown}: .afbfs/{name}: {error}")))
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let point = mounted::find(&args.mountpoint)?;
    if let Some(every) = args.watch {
        return watch::run(args, &point, every);
    }
    let now = Snapshot::take(args, &point)?;
    if args.json {
        return super::print(&serde_json::to_string_pretty(&together(now, args.arrays))?);
    }
    let look = Look { title: args.mountpoint.display().to_string(), arrays: args.arrays.unwrap_or(0) };
    report::lines(&look, &now, None).iter().try_for_each(|line| super::print(&line.text))
}

/// Both files as one object, with no more arrays than were asked for.
fn together(snapshot: Snapshot, most: Option<usize>) -> Value {
    let mut all = snapshot.stats;
    if let (Some(most), Some(mut usage)) = (most, snapshot.usage) {
        if let Some(arrays) = usage["arrays"].as_array_mut() {
            arrays.truncate(most);
        }
        all["arrays"] = usage["arrays"].take();
        all["other_arrays"] = usage["others"].take();
    }
    all
}
