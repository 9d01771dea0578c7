//! `afbfs cat`: the bytes of files in the tree, with no mount.

use std::io::IsTerminal;
use std::path::PathBuf;

use rustix::io::Errno;

use super::views::{CHUNK, Places, Tree, places};
use super::{Failure, SourceArgs};
use crate::fs::{Access, Source};

/// So many bytes tell whether a file may be shown on a terminal; a pipe holds as many.
const HEAD: usize = 4096;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
A VIEW is a path as below a mount of SOURCE; for one file, its array's name may be left out. SOURCE and VIEW may \
also be one path. Several views come one after the other.

Examples:
  afbfs cat ./data a/row/42 | od -A d -t f8
  afbfs cat ./data/a/row/3.txt
  afbfs cat a.npy as/f4/col/0.csv row/0.csv")]
pub(super) struct Args {
    /// Folder of array files, or one array file, and views in it: SOURCE VIEW..., or SOURCE/VIEW...
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write to a terminal even what is no text
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let is_checked = std::io::stdout().is_terminal() && !args.force;
    for Places { source, views } in places(&args.paths)? {
        let tree = Tree::open(&source, &args.source_args)?;
        for view in views {
            if !copy(&tree, &view, is_checked)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Copies a file to standard output. Gives whether anybody reads on.
fn copy(tree: &Tree, view: &str, is_checked: bool) -> Result<bool, Failure> {
    let handle = tree.open_file(view, Access::default())?;
    if is_checked && !is_text(tree, handle).map_err(|error| tree.failure(view, error))? {
        return Err(Failure(format!(
            "{}: is no text, which a terminal may take for commands; pipe it to od, name a text such as {view}.txt, or \
             give --force",
            tree.shown(view)
        )));
    }
    let mut offset = 0;
    let goes_on = loop {
        // Straight from the array file's mapping to the kernel, which stops at a fault: nothing may look at the bytes here.
        let written = tree
            .fs
            .read(handle, offset, CHUNK, Source::Direct, |bytes| rustix::io::retry_on_intr(|| write_some(bytes)))
            .map_err(|error| tree.failure(view, error))?;
        match written {
            Ok(0) => break true,
            Err(Errno::PIPE) => break false,
            Ok(count) => offset += count as u64,
            Err(Errno::FAULT) => return Err(tree.failure(view, Errno::IO)),
            Err(error) => return Err(Failure(format!("standard output: {error}"))),
        }
    };
    tree.fs.release(handle);
    Ok(goes_on)
}

fn write_some(bytes: &[u8]) -> Result<usize, Errno> {
    if bytes.is_empty() { Ok(0) } else { rustix::io::write(std::io::stdout(), bytes) }
}

/// Whether a file begins with text. Its bytes come by way of a pipe, as the kernel may touch a mapping that faults.
fn is_text(tree: &Tree, handle: u64) -> Result<bool, Errno> {
    let (from, into) = rustix::pipe::pipe()?;
    let piped = tree.fs.read(handle, 0, HEAD, Source::Direct, |bytes| match bytes {
        [] => Ok(0),
        _ => rustix::io::write(&into, bytes),
    })?;
    let count = piped.map_err(|error| if error == Errno::FAULT { Errno::IO } else { error })?;
    let mut head = vec![0; count];
    let count = if count == 0 { 0 } else { rustix::io::read(&from, &mut head)? };
    Ok(looks_like_text(&head[..count]))
}

/// Whether bytes are UTF-8, of which the last character may be cut, and nothing that controls a terminal.
fn looks_like_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t' | '\r'))
}

#[cfg(test)]
mod tests {
    use super::looks_like_text;

    #[test]
    fn only_text_looks_like_it() {
        for text in ["", "1 2.5 -3e4\n", "name\tüöä\r\n"] {
            assert!(looks_like_text(text.as_bytes()), "{text}");
        }
        // A character that the end cuts.
        assert!(looks_like_text(&"ab ü".as_bytes()[..4]));
        for binary in [&b"\0"[..], b"\x93NUMPY", b"\x1b[2J", b"a\x07", "\u{9b}".as_bytes(), b"\xff\xff"] {
            assert!(!looks_like_text(binary), "{binary:?}");
        }
    }
}
