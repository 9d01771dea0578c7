//! What long commands show on a terminal, and the signals that end them.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::Failure;
use crate::store::lock;
use crate::unpack::Watch;

/// How often the line that shows progress is written anew, and when it is written first.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on the terminal, and the signals that end it all.
pub(super) struct Progress {
    stopped: Arc<AtomicBool>,
    shown: Option<Mutex<Line>>,
    done: AtomicU64,
}

struct Line {
    name: String,
    bytes: u64,
    /// When it is written next.
    next: Instant,
    is_there: bool,
}

impl Progress {
    /// Begins to listen to signals, and shows progress if standard error is a terminal and nobody wants it quiet.
    ///
    /// # Errors
    /// If the kernel does not let signals be handled.
    pub(super) fn new(is_quiet: bool) -> Result<Progress, Failure> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // The second time it ends the process, whatever it is doing.
            flag::register_conditional_shutdown(signal, 130, stopped.clone())?;
            flag::register(signal, stopped.clone())?;
        }
        let line = || Line { name: String::new(), bytes: 0, next: Instant::now() + PATIENCE, is_there: false };
        let shown = (!is_quiet && std::io::stderr().is_terminal()).then(|| Mutex::new(line()));
        Ok(Progress { stopped, shown, done: AtomicU64::new(0) })
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.shown.as_ref().is_some_and(|line| std::mem::take(&mut lock(line).is_there)) {
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
        if Instant::now() < line.next {
            return;
        }
        (line.next, line.is_there) = (Instant::now() + PAUSE, true);
        let percent = (done.min(line.bytes) as f64 / line.bytes.max(1) as f64) * 100.0;
        let (name, mebibytes) = (&line.name, line.bytes >> 20);
        let _ = write!(std::io::stderr(), "\r{name}: {percent:.0} % of {mebibytes} MiB\x1b[K");
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
