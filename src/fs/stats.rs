//! What was asked for, how it ended, and how long it took.
//!
//! Each request costs a few additions to atomic numbers and, where it is timed, two looks at the clock: no lock, and no
//! memory. A snapshot is not one moment's: requests go on while it is taken, and one that is under way is counted as a request
//! before it is among the times.

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::Fs;

mod errnos;
mod figures;
mod metrics;
mod times;
pub(super) mod usage;

pub use times::Times;

use times::Histogram;

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of request, as FUSE knows them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Op {
            $(#[doc = concat!("`", $name, "`")] $kind,)*
        }

        impl Op {
            /// All kinds, in their order.
            pub(super) const ALL: &[Op] = &[$(Op::$kind,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Op::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    Lookup "lookup",
    Open "open",
    Read "read",
    Write "write",
    Getattr "getattr",
    Setattr "setattr",
    CopyFileRange "copy_file_range",
    Flush "flush",
    Fsync "fsync",
    Release "release",
    Opendir "opendir",
    Readdir "readdir",
    Releasedir "releasedir",
    Fsyncdir "fsyncdir",
    Forget "forget",
    Statfs "statfs",
    Getxattr "getxattr",
    Listxattr "listxattr",
    Setxattr "setxattr",
    Removexattr "removexattr",
    Lseek "lseek",
    Getlk "getlk",
    Setlk "setlk",
    Fallocate "fallocate",
    Create "create",
    Mknod "mknod",
    Mkdir "mkdir",
    Symlink "symlink",
    Link "link",
    Unlink "unlink",
    Rmdir "rmdir",
    Rename "rename",
    Readlink "readlink",
    Ioctl "ioctl",
    Bmap "bmap",
    Poll "poll",
}

impl Op {
    /// The kinds that are timed: those that come first.
    const TIMED: usize = 4;
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
#[must_use = "its time is taken when it is given back"]
pub struct Begun {
    op: Op,
    at: Instant,
}

/// All that is counted of requests.
#[derive(Debug)]
pub(super) struct Stats {
    started: Instant,
    started_at: SystemTime,
    requests: [AtomicU64; Op::ALL.len()],
    /// By number; the first one is for numbers past the end.
    errors: [AtomicU64; errnos::COUNT],
    not_found: AtomicU64,
    times: [Histogram; Op::TIMED],
    /// `/proc/self/status`, opened before that is out of reach.
    status: Option<File>,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            started: Instant::now(),
            started_at: SystemTime::now(),
            requests: [const { AtomicU64::new(0) }; _],
            errors: [const { AtomicU64::new(0) }; _],
            not_found: AtomicU64::new(0),
            times: Default::default(),
            status: File::open("/proc/self/status").ok(),
        }
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Stats {
    /// Bytes of memory of the process that are no file's: what `RssAnon` says, in kB, in its status.
    fn anonymous_bytes(&self) -> Option<u64> {
        let mut text = [0; 4096];
        let count = self.status.as_ref()?.read_at(&mut text, 0).ok()?;
        let line = text[..count].split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"RssAnon:"))?;
        std::str::from_utf8(line)
            .ok()?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
            .map(|kilobytes| kilobytes * 1024)
    }

    /// The errors that there were, by name, and how many of each.
    fn errors(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = self.errors.iter().map(get).enumerate().filter(|(_, count)| *count > 0);
        counts.map(|(number, count)| (errnos::name(number), count))
    }

    fn requests(&self) -> impl Iterator<Item = (Op, u64)> {
        Op::ALL.iter().map(|&kind| (kind, get(&self.requests[kind as usize])))
    }

    fn times(&self) -> impl Iterator<Item = (Op, Times)> {
        Op::ALL.iter().zip(&self.times).map(|(&kind, times)| (kind, times.snapshot()))
    }

    fn started_seconds(&self) -> f64 {
        self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
    }
}

impl Fs {
    /// Counts a request.
    pub fn count(&self, op: Op) {
        add(&self.stats.requests[op as usize]);
    }

    /// Counts a request, which begins now.
    pub fn begin(&self, op: Op) -> Begun {
        self.count(op);
        Begun { op, at: Instant::now() }
    }

    /// Takes the time of a request, which was answered, if it is of a kind that is timed.
    pub fn end(&self, begun: Begun) {
        if let Some(times) = self.stats.times.get(begun.op as usize) {
            times.record(u64::try_from(begun.at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// Counts an answer that is an error. That a name is not there is an ordinary answer.
    pub fn count_error(&self, error: Errno) {
        if error == Errno::NOENT || error == Errno::NODATA {
            return add(&self.stats.not_found);
        }
        add(&self.counters.errors);
        let number = usize::try_from(error.raw_os_error()).unwrap_or(0);
        add(self.stats.errors.get(number).unwrap_or(&self.stats.errors[0]));
    }

    /// The content of `stats.json`.
    pub(super) fn stats(&self) -> Value {
        let mut all = Map::new();
        all.insert("pid".into(), std::process::id().into());
        all.extend(self.figures().into_iter().map(|figure| (figure.key.to_owned(), figure.value.into())));
        all.insert("started_seconds".into(), self.stats.started_seconds().into());
        all.insert("uptime_seconds".into(), self.stats.started.elapsed().as_secs_f64().into());
        let requests = self.stats.requests().map(|(kind, count)| (kind.name().to_owned(), count.into()));
        all.insert("requests".into(), Value::Object(requests.collect()));
        let errors = self.stats.errors().map(|(name, count)| (name, count.into()));
        all.insert("errors_by_errno".into(), Value::Object(errors.collect()));
        let times = self.stats.times().map(|(kind, times)| (kind.name().to_owned(), times.to_json()));
        all.insert("latency".into(), Value::Object(times.collect()));
        Value::Object(all)
    }

    /// The content of `usage.json`: what was read and written of each array, those of which most was first, and of all that
    /// are not kept apart any more.
    pub(super) fn usage(&self) -> Value {
        let (arrays, others, merged) = self.arrays.snapshot();
        let entry = |(origin, sums): &(_, usage::Sums)| {
            let mut entry = Map::new();
            entry.insert("path".into(), self.catalog.full_path(origin).into());
            entry.extend(sums.members());
            Value::Object(entry)
        };
        let others: Map<String, Value> =
            std::iter::once(("arrays".to_owned(), merged.into())).chain(others.members()).collect();
        json!({ "arrays": arrays.iter().map(entry).collect::<Vec<Value>>(), "others": others })
    }

    /// The content of `metrics`.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        // A string takes all that is written to it.
        let _ = self.write_metrics(&mut text);
        text
    }
}

/// Writes a line.
fn line(text: &mut String, line: std::fmt::Arguments<'_>) -> std::fmt::Result {
    text.write_fmt(line)?;
    text.write_char('\n')
}

#[cfg(test)]
mod tests;
