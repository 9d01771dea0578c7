//! A terminal that shows one picture after another, and is as it was before once that is over.
//!
//! The sequences are those of ECMA-48 and of xterm, which every terminal of today knows.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::low_level::pipe;

use super::report::{Line, Style};
use crate::cli::table::shortened;

/// The other screen, no cursor, and lines that do not wrap.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// What Ctrl-C sends.
const CTRL_C: u8 = 3;

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The time is up.
    Tick,
    /// The terminal has another size.
    Resized,
    /// Nobody wants to see more.
    Quit,
}

/// The terminal, for as long as it is ours.
pub(super) struct Screen {
    /// How standard input was, if it is a terminal.
    before: Option<Termios>,
    ended: UnixStream,
    resized: UnixStream,
    colours: bool,
}

/// Whether standard output can show pictures.
pub(super) fn is_there() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|kind| kind != "dumb")
}

/// A stream from which a byte can be read for each of these signals.
fn signals(numbers: &[i32]) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    numbers.iter().try_for_each(|&number| pipe::register(number, theirs.try_clone()?).map(drop))?;
    Ok(ours)
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn open() -> io::Result<Screen> {
        let (ended, resized) = (signals(&[SIGINT, SIGTERM, SIGHUP])?, signals(&[SIGWINCH])?);
        let input = io::stdin();
        let before = if input.is_terminal() { Some(tcgetattr(&input)?) } else { None };
        // By https://no-color.org, if it is there and not empty.
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Screen { before, ended, resized, colours };
        if let Some(before) = &screen.before {
            let mut quiet = before.clone();
            quiet.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            tcsetattr(&input, OptionalActions::Flush, &quiet)?;
        }
        put(ENTER)?;
        Ok(screen)
    }

    /// Shows as many of the lines as there is room for.
    pub(super) fn show(&self, lines: &[Line]) -> io::Result<()> {
        let (width, height) = size();
        put(&picture(lines, width, height, self.colours))
    }

    /// Waits for a moment, or for what happens before it.
    pub(super) fn wait(&self, until: Instant) -> io::Result<Event> {
        let input = io::stdin();
        let mut sources: Vec<BorrowedFd<'_>> = vec![self.ended.as_fd(), self.resized.as_fd()];
        sources.extend(self.before.as_ref().map(|_| input.as_fd()));
        loop {
            let mut waiting: Vec<PollFd<'_>> =
                sources.iter().map(|source| PollFd::from_borrowed_fd(*source, PollFlags::IN)).collect();
            let left = until.saturating_duration_since(Instant::now());
            if retry_on_intr(|| poll(&mut waiting, Some(&timespec(left))))? == 0 {
                return Ok(Event::Tick);
            }
            let happened: Vec<bool> = waiting.iter().map(|source| !source.revents().is_empty()).collect();
            if happened[0] {
                return Ok(Event::Quit);
            }
            if happened[1] {
                let _ = rustix::io::read(&self.resized, &mut [0; 64]);
                return Ok(Event::Resized);
            }
            let mut keys = [0; 64];
            let count = retry_on_intr(|| rustix::io::read(&input, &mut keys))?;
            // Without a terminal behind it there is nobody to look.
            if count == 0 || keys[..count].iter().any(|key| [b'q', b'Q', CTRL_C].contains(key)) {
                return Ok(Event::Quit);
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = put(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: span.as_secs() as i64, tv_nsec: span.subsec_nanos().into() }
}

/// Columns and rows.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What draws the lines over what was there before.
fn picture(lines: &[Line], width: usize, height: usize, colours: bool) -> String {
    let mut picture = String::from("\x1b[H");
    for (row, line) in lines.iter().take(height).enumerate() {
        // A title ends with what one can do, which must not be cut off for the sake of a long path.
        let text = match line.style {
            Style::Title => shortened(&line.text, width),
            _ => line.text.chars().take(width).collect(),
        };
        let start = match line.style {
            _ if !colours => "",
            Style::Plain => "",
            Style::Title => "\x1b[1m",
            Style::Heading => "\x1b[36m",
            Style::Alarm => "\x1b[31m",
        };
        let end = if start.is_empty() { "" } else { "\x1b[m" };
        // Each line is wiped before it is written: at the end of a full one that would take its last letter.
        picture += &format!("{}\x1b[K{start}{text}{end}", if row > 0 { "\n" } else { "" });
    }
    // Whatever stood below.
    if lines.len() < height { picture + "\n\x1b[J" } else { picture }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, style: Style) -> Line {
        Line { text: text.into(), style }
    }

    #[test]
    fn a_picture_fits_the_terminal() {
        let lines = [line("title", Style::Title), line("a longer line", Style::Plain), line("below", Style::Alarm)];
        assert_eq!(picture(&lines, 8, 2, false), "\x1b[H\x1b[Ktitle\n\x1b[Ka longer");
        assert_eq!(picture(&lines[..1], 3, 9, true), "\x1b[H\x1b[K\x1b[1mt…e\x1b[m\n\x1b[J");
        assert_eq!(picture(&lines, 0, 0, true), "\x1b[H");
    }
}
