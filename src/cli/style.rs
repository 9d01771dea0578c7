//! Colours: on a terminal only, and as `--color`, `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` say.

use std::io::{IsTerminal, StdoutLock};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Effects, Style};
use clap::builder::Styles;

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Whatever standard output is
    Always,
    /// Never
    Never,
}

impl When {
    /// Has all output of this process coloured so.
    pub(super) fn hold(self) {
        let choice = match self {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Titles.
pub(super) const TITLE: Style = Style::new().effects(Effects::BOLD);
/// Names of arrays.
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();
/// What is wrong.
pub(super) const WRONG: Style = AnsiColor::Red.on_default();
/// What matters less.
pub(super) const FAINT: Style = Style::new().effects(Effects::DIMMED);

/// The styles of `--help` and of messages about wrong usage.
pub(super) const HELP: Styles = Styles::styled()
    .header(TITLE)
    .usage(TITLE)
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new())
    .error(AnsiColor::Red.on_default().effects(Effects::BOLD))
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

/// Standard output, in which styles are kept or left out.
pub(super) fn stdout() -> AutoStream<StdoutLock<'static>> {
    AutoStream::auto(std::io::stdout().lock())
}

/// The width of the terminal that standard output is, in columns.
pub(super) fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    // Some have none.
    Some(if size.ws_col == 0 { 80 } else { size.ws_col.into() })
}
