//! The numbers again and again, with what was added since the last time.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::report::{self, Line, Look, Style};
use super::screen::{self, Event, Screen};
use super::{Args, Failure, Snapshot};

pub(super) fn run(args: &Args, point: &Path, every: Duration) -> Result<(), Failure> {
    let look = Look { title: args.mountpoint.display().to_string(), arrays: args.arrays.unwrap_or(0) };
    // What can fail at once is said before the terminal is taken over.
    let first = Snapshot::take(args, point)?;
    let outcome = if screen::is_there() {
        on_screen(args, point, every, &look, first)
    } else {
        as_text(args, point, every, &look, first)
    };
    match outcome {
        // Nobody reads it any more.
        Err(Stop::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stop::Io(error)) => Err(error.into()),
        Err(Stop::Failure(failure)) => Err(failure),
        Ok(()) => Ok(()),
    }
}

/// Why there is nothing more to show.
enum Stop {
    Io(io::Error),
    Failure(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failure(failure)
    }
}

/// A picture after the other, until somebody presses q.
fn on_screen(args: &Args, point: &Path, every: Duration, look: &Look, first: Snapshot) -> Result<(), Stop> {
    let screen = Screen::open()?;
    let hint = format!("every {} s; q ends", every.as_secs_f64());
    let mut lines = with_hint(report::lines(look, &first, None), &hint);
    let (mut last, mut next) = (first, Instant::now() + every);
    loop {
        screen.show(&lines)?;
        match screen.wait(next)? {
            Event::Quit => return Ok(()),
            Event::Resized => {}
            Event::Tick => {
                let now = Snapshot::take(args, point)?;
                lines = with_hint(report::lines(look, &now, Some(&last)), &hint);
                // A mount that was slow to answer is not asked the more often for it.
                (last, next) = (now, (next + every).max(Instant::now()));
            }
        }
    }
}

fn with_hint(mut lines: Vec<Line>, hint: &str) -> Vec<Line> {
    if let Some(first) = lines.iter_mut().find(|line| line.style == Style::Title) {
        first.text = format!("{}; {hint}", first.text);
    }
    lines
}

/// One report after the other, for files and pipes.
fn as_text(args: &Args, point: &Path, every: Duration, look: &Look, first: Snapshot) -> Result<(), Stop> {
    write_all(&report::lines(look, &first, None))?;
    let mut last = first;
    loop {
        std::thread::sleep(every);
        let now = Snapshot::take(args, point)?;
        writeln!(io::stdout())?;
        write_all(&report::lines(look, &now, Some(&last)))?;
        last = now;
    }
}

fn write_all(lines: &[Line]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{}", line.text))?;
    out.flush()
}
