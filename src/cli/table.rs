//! Tables: laid out for a screen, or one line for each row with tabs between the cells, for programs.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::style::TITLE;

/// What a text loses its middle for.
const DOTS: char = '…';
/// No column gets narrower for the sake of the screen.
const NARROWEST: usize = 8;
/// Between two columns.
const GAP: usize = 2;

/// A column of a table for a screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) style: Style,
    /// Whether numbers stand in it.
    pub(super) is_right: bool,
    /// Whether its cells may lose their middle.
    pub(super) may_shrink: bool,
}

/// A text as wide as it may be at most, without its middle if need be.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    let take = |letters: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let fits = |letter: &char| {
            used += letter.width().unwrap_or(0);
            used <= room
        };
        letters.take_while(fits).collect::<Vec<char>>()
    };
    let front = take(&mut text.chars(), room.div_ceil(2));
    let back = take(&mut text.chars().rev(), room / 2);
    front.into_iter().chain([DOTS]).chain(back.into_iter().rev()).collect()
}

/// A text with what would end a cell or a line, or work on a terminal, written as an escape; so that names can be told apart,
/// backslashes as well.
pub(super) fn plain(text: &str) -> String {
    printable(&text.replace('\\', "\\\\"))
}

/// The same, with backslashes as they are.
pub(super) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() { plain.extend(letter.escape_default()) } else { plain.push(letter) }
    }
    plain
}

/// Bytes as a number of at most four letters, and a unit of 1024.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let (mut value, mut unit) = (bytes as f64, 0);
    // Not 1024.0K, which would be rounded so.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 9.95 { format!("{value:.0}{}", UNITS[unit]) } else { format!("{value:.1}{}", UNITS[unit]) }
}

/// Writes rows for a screen of this width; 0 is as wide as need be.
pub(super) fn write<const N: usize>(
    out: &mut dyn Write,
    columns: &[Column; N],
    rows: &[[String; N]],
    screen: usize,
) -> io::Result<()> {
    let widths = widths(columns, rows, screen);
    let line = |out: &mut dyn Write, cells: [&str; N], title: bool| {
        let mut blanks = 0;
        for (((cell, column), &width), at) in cells.iter().zip(columns).zip(&widths).zip(0..) {
            let shown = if column.may_shrink { shortened(cell, width) } else { (*cell).to_owned() };
            let space = width.saturating_sub(shown.width());
            let (before, after) = if column.is_right { (space, 0) } else { (0, space) };
            let style = if title { TITLE } else { column.style };
            let gap = if at == 0 { 0 } else { GAP };
            write!(out, "{:blank$}{style}{shown}{style:#}", "", blank = blanks + gap + before)?;
            // None behind the last cell.
            blanks = after;
        }
        writeln!(out)
    };
    line(out, columns.map(|column| column.title), true)?;
    rows.iter().try_for_each(|row| line(out, row.each_ref().map(String::as_str), false))
}

fn widths<const N: usize>(columns: &[Column; N], rows: &[[String; N]], screen: usize) -> [usize; N] {
    let mut widths = columns.map(|column| column.title.width());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut excess = (widths.iter().sum::<usize>() + GAP * (N - 1)).saturating_sub(screen);
    if screen == 0 {
        return widths;
    }
    while excess > 0 {
        let shrinkable = |at: &usize| columns[*at].may_shrink && widths[*at] > NARROWEST;
        let Some(widest) = (0..N).filter(shrinkable).max_by_key(|&at| widths[at]) else { break };
        widths[widest] -= 1;
        excess -= 1;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_loses_its_middle_and_nothing_else() {
        for (text, width, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "ab…ef"),
            ("abcdef", 4, "ab…f"),
            ("abcdef", 1, "…"),
            ("abcdef", 0, ""),
            // Of letters that take two columns, no half.
            ("一二三四", 8, "一二三四"),
            ("一二三四", 7, "一…四"),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, width), expected, "{text} {width}");
        }
    }

    #[test]
    fn sizes_take_four_letters() {
        for (bytes, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (1023, "1.0K"),
            (1024, "1.0K"),
            (10_188, "9.9K"),
            (10_240, "10K"),
            (1_023_487, "999K"),
            (1_023_488, "1.0M"),
            (3 << 30, "3.0G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(human(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn cells_hold_no_tabs_and_no_lines() {
        assert_eq!(plain("a\tb\nc\\d\u{1b}é"), "a\\tb\\nc\\\\d\\u{1b}é");
    }

    #[test]
    fn a_table_is_as_wide_as_the_screen_at_most() {
        let column = |title, may_shrink: bool| Column { title, style: Style::new(), is_right: !may_shrink, may_shrink };
        let columns = [column("NAME", true), column("SIZE", false)];
        let rows = [["a long name of an array".to_owned(), "12".to_owned()], ["b".to_owned(), "3".to_owned()]];
        let written = |screen| {
            let mut out = Vec::new();
            write(&mut anstream::StripStream::new(&mut out), &columns, &rows, screen).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(20), "NAME            SIZE\na long … array    12\nb                  3\n");
        assert_eq!(written(0), written(1000));
        assert!(written(1).lines().all(|line| line.chars().count() == NARROWEST + GAP + 4));
    }
}
