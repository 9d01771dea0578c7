//! Rows of raw files, which a sidecar describes.
//!
//! Where the sidecar leaves the first axis open, the length of the file says how many rows there are, and a file that ends within a row
//! is no array. So the sidecar gives the number while rows are added, and what it said before in a comment ([`NOTE`]), from
//! which this command, or the next after a kill, takes it back.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::{Args, Growing, failure};
use crate::format::Refusal;
use crate::format::raw::{MAX_SIDECAR, SIDECAR, Spec};
use crate::layout::Order;
use crate::unpack::Pending;

/// What stands between the shape of now and the line that is to come back.
const NOTE: &str = " # rows are being added, or were; before: ";

/// A sidecar, and what it says.
struct Sidecar {
    path: PathBuf,
    text: String,
    spec: Spec,
}

pub(super) fn append(args: &Args, path: PathBuf, file: File) -> Result<(), Failure> {
    let sidecar = Sidecar::read(&path)?;
    let refuse = |why: &str| Failure(format!("{}: {why}", path.display()));
    let spec = &sidecar.spec;
    if spec.strides.is_some() || spec.order == Order::F && spec.shape.len() > 1 {
        return Err(refuse("is not in C order, so that a row lies scattered over the file; only C order grows"));
    }
    if spec.shape.iter().skip(1).any(Option::is_none) {
        return Err(refuse("its sidecar leaves another axis open than the first; give its length"));
    }
    let len = file.metadata().map_err(|error| failure(&path, error))?.len();
    let array = spec.array(len).map_err(|Refusal(why)| refuse(&why))?;
    let Some(layout) = array.grid.single() else { return Err(refuse("is in pieces")) };
    let shape = layout.shape.clone();
    let (dtype, offset) = (spec.dtype.clone(), spec.offset);
    let is_open = matches!(spec.shape[..], [None, ..]);
    let growing = Growing::new(path.clone(), file, dtype, &shape, offset)?;
    // Also where it changes only at the end: whether that can be is known before.
    let changed = sidecar.with_rows(growing.rows, is_open)?;
    let at_work = if is_open { changed } else { sidecar.text.clone() };
    // What it says when all is done.
    let kept = without_note(&at_work);
    if at_work != sidecar.text {
        sidecar.write(&at_work)?;
    }
    let grown = growing.grow(args, |rows| match &kept {
        Some(text) => growing.open_again(&sidecar, text, rows),
        None => sidecar.write(&sidecar.with_rows(rows, false)?),
    });
    match (&kept, grown) {
        // Nothing was added, so that the file has the length that it had.
        (Some(text), outcome) => {
            let restored = match fs::read(&sidecar.path) {
                Ok(now) if now == text.as_bytes() => Ok(()),
                _ => growing.open_again(&sidecar, text, growing.rows),
            };
            outcome.and(restored)
        }
        (None, outcome) => outcome,
    }
}

impl Growing {
    /// Has the length of the file say again how many rows there are.
    fn open_again(&self, sidecar: &Sidecar, text: &str, rows: u64) -> Result<(), Failure> {
        let end = self.end + (rows - self.rows) * self.row;
        self.file.set_len(end).and_then(|()| self.file.sync_all()).map_err(|error| self.failure(error))?;
        sidecar.write(text)
    }
}

impl Sidecar {
    fn read(file: &Path) -> Result<Sidecar, Failure> {
        let mut path = OsString::from(file);
        path.push(SIDECAR);
        let path = PathBuf::from(path);
        let is_short = fs::symlink_metadata(&path).map(|found| found.is_file() && found.len() <= MAX_SIDECAR as u64);
        let text = match is_short {
            Ok(true) => fs::read_to_string(&path).map_err(|error| failure(&path, error))?,
            Ok(false) => return Err(Failure(format!("{}: is no file of at most {MAX_SIDECAR} bytes", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Failure(format!(
                    "{}: is no .npy file, and has no sidecar; only .npy files and raw files grow: write dtype and shape into {}",
                    file.display(),
                    path.display()
                )));
            }
            Err(error) => return Err(failure(&path, error)),
        };
        let spec = Spec::from_toml(&text).map_err(|Refusal(why)| Failure(format!("{}: {why}", path.display())))?;
        Ok(Sidecar { path, text, spec })
    }

    /// The text for another number of rows, with the line as it was if that is to come back. All else stays as it is.
    fn with_rows(&self, rows: u64, is_noted: bool) -> Result<String, Failure> {
        let inner = self.spec.shape.iter().skip(1).flatten().map(u64::to_string);
        let shape = std::iter::once(rows.to_string()).chain(inner).collect::<Vec<_>>().join("x");
        let new = format!("shape = \"{shape}\"");
        let line = self.text.lines().find(|line| value(line).is_some()).unwrap_or_default();
        let rest = value(line).map_or("", |value| &line[value.end..]);
        let changed = if is_noted { format!("{new}{NOTE}{line}") } else { format!("{new}{rest}") };
        let text =
            if line.is_empty() { format!("{changed}\n{}", self.text) } else { self.text.replacen(line, &changed, 1) };
        let mut wanted = self.spec.clone();
        if let Some(first) = wanted.shape.first_mut() {
            *first = Some(rows);
        }
        if Spec::from_toml(&text).is_ok_and(|spec| spec == wanted) {
            return Ok(text);
        }
        Err(Failure(format!(
            "{}: its shape cannot be changed by this program; write it into one line: {new}",
            self.path.display()
        )))
    }

    /// Writes it anew under another name, which then becomes its own.
    fn write(&self, text: &str) -> Result<(), Failure> {
        let (pending, mut file) = Pending::file(&self.path, true)?;
        let mode = fs::metadata(&self.path).and_then(|found| file.set_permissions(found.permissions()));
        mode.and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .map_err(|error| failure(&self.path, error))?;
        pending.finish()?;
        Ok(())
    }
}

/// Where the value stands in a line that gives the shape.
fn value(line: &str) -> Option<std::ops::Range<usize>> {
    let rest = line.trim_start().strip_prefix("shape")?.trim_start().strip_prefix('=')?.trim_start();
    let start = line.len() - rest.len();
    let closing = match rest.chars().next()? {
        '[' => ']',
        quote @ ('"' | '\'') => quote,
        _ => {
            let length = rest.find(|letter: char| letter.is_whitespace() || letter == '#').unwrap_or(rest.len());
            return Some(start..start + length);
        }
    };
    Some(start..start + 2 + rest[1..].find(closing)?)
}

/// The text as it was before rows were added to a file whose length says how many there are.
fn without_note(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(NOTE) && value(line).is_some())?;
    let (_, before) = line.split_once(NOTE)?;
    Some(if before.is_empty() { text.replacen(&format!("{line}\n"), "", 1) } else { text.replacen(line, before, 1) })
}

#[cfg(test)]
mod tests {
    use super::{Sidecar, Spec, without_note};

    fn sidecar(text: &str) -> Sidecar {
        Sidecar {
            path: "x.bin.toml".into(),
            text: text.to_owned(),
            spec: Spec::from_toml(text).expect("a description"),
        }
    }

    #[track_caller]
    fn check(before: &str, after: &str) {
        assert_eq!(sidecar(before).with_rows(12, false).ok().as_deref(), Some(after));
    }

    #[test]
    fn the_rest_of_a_sidecar_stays_as_it_is() {
        check("dtype = \"f4\"\nshape = \"7x5\" # rows\n", "dtype = \"f4\"\nshape = \"12x5\" # rows\n");
        check(
            "shape=[7, 5]\ndtype = 'f4'\n[attributes]\nshape = 3\n",
            "shape = \"12x5\"\ndtype = 'f4'\n[attributes]\nshape = 3\n",
        );
        check("  shape = 7#\ndtype = 'u1'", "shape = \"12\"#\ndtype = 'u1'");
    }

    #[test]
    fn what_was_left_open_comes_back() {
        for text in
            ["dtype = 'f4'\nshape = \"?x5\" # open\noffset = 3\n", "dtype = 'f4'\n", "shape = [-1, 2]\ndtype = 'f4'"]
        {
            let noted = sidecar(text).with_rows(12, true).expect("a description");
            assert!(Spec::from_toml(&noted).is_ok_and(|spec| spec.shape[0] == Some(12)), "{noted}");
            assert_eq!(without_note(&noted).as_deref(), Some(text));
        }
        assert_eq!(without_note("dtype = 'f4'\nshape = 3\n"), None);
    }

    #[test]
    fn a_shape_over_several_lines_is_refused() {
        assert!(sidecar("dtype = 'f4'\nshape = [\n7,\n5]\n").with_rows(12, false).is_err());
    }
}
