//! What was written of a file that is stored only as a whole: each byte at its offset, in a file without a name in the folder for
//! temporary files, so that it may be longer than memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

type Result<T> = std::result::Result<T, Errno>;

/// The most places that patches may lie at.
const MAX_PATCHES: usize = 1 << 16;

/// Bytes at their offsets, and gaps between them.
#[derive(Debug, Default)]
pub(super) struct Patches {
    /// Made with the first byte.
    file: Option<File>,
    /// The bytes that were written, in order, without two that touch.
    written: Vec<Range<u64>>,
}

impl Patches {
    /// Takes bytes.
    ///
    /// # Errors
    /// ENOSPC where they lie at too many places; what writing them answers.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unnamed()?),
        };
        file.write_all_at(data, offset).map_err(|error| errno_of(&error))?;
        self.note(offset..offset + data.len() as u64);
        if self.written.len() > MAX_PATCHES { Err(Errno::NOSPC) } else { Ok(()) }
    }

    fn note(&mut self, new: Range<u64>) {
        // Mostly it continues the last.
        if let Some(last) = self.written.last_mut()
            && (last.start..=last.end).contains(&new.start)
        {
            last.end = last.end.max(new.end);
            return;
        }
        let at = self.written.partition_point(|range| range.end < new.start);
        let touched = self.written[at..].iter().take_while(|range| range.start <= new.end).count();
        let start = self.written.get(at).map_or(new.start, |first| first.start.min(new.start));
        let ends = self.written[at..at + touched].iter().map(|range| range.end);
        let whole = if touched > 0 { start..ends.fold(new.end, u64::max) } else { new };
        self.written.splice(at..at + touched, [whole]);
    }

    /// Forgets what lies behind a length.
    pub(super) fn truncate(&mut self, len: u64) -> Result<()> {
        if let Some(file) = &self.file {
            file.set_len(len).map_err(|error| errno_of(&error))?;
        }
        self.written.retain(|range| range.start < len);
        if let Some(last) = self.written.last_mut() {
            last.end = last.end.min(len);
        }
        Ok(())
    }

    /// The bytes that were written, in order.
    pub(super) fn written(&self) -> &[Range<u64>] {
        &self.written
    }

    /// One past the last byte.
    pub(super) fn end(&self) -> u64 {
        self.written.last().map_or(0, |range| range.end)
    }

    /// Whether they are all bytes before this one, and nothing else.
    pub(super) fn end_at(&self, offset: u64) -> bool {
        match &self.written[..] {
            [] => offset == 0,
            [one] => *one == (0..offset),
            _ => false,
        }
    }

    /// Puts what was written over bytes that begin at `start`.
    pub(super) fn overlay(&self, start: u64, bytes: &mut [u8]) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        for range in &self.written {
            let (low, high) = (range.start.max(start), range.end.min(start + bytes.len() as u64));
            if low < high {
                let part = &mut bytes[(low - start) as usize..(high - start) as usize];
                file.read_exact_at(part, low).map_err(|error| errno_of(&error))?;
            }
        }
        Ok(())
    }
}

/// A file without a name, in which bytes wait to be stored.
///
/// # Errors
/// ENOSPC where the folder for temporary files is none, or none that takes files; the log names it.
pub(super) fn unnamed() -> Result<File> {
    tempfile::tempfile().map_err(|error| {
        let folder = std::env::temp_dir();
        log::error!(
            "{}: {error}: what is written as a whole waits there; set TMPDIR to another folder",
            folder.display()
        );
        match errno_of(&error) {
            Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::PERM | Errno::ROFS => Errno::NOSPC,
            error => error,
        }
    })
}

/// The error of a file of ours.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_the_last_write_put_them() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut patches, mut model) = (Patches::default(), vec![None; 200]);
            for _ in 0..rng.usize(1..30) {
                let (start, byte) = (rng.usize(..180), rng.u8(..));
                let end = start + rng.usize(1..20);
                patches.write(start as u64, &vec![byte; end - start]).unwrap();
                model[start..end].fill(Some(byte));
                if rng.u8(..) < 20 {
                    let len = rng.usize(..200);
                    patches.truncate(len as u64).unwrap();
                    model[len..].fill(None);
                }
            }
            let mut found = vec![None; 200];
            for range in patches.written() {
                found[range.start as usize..range.end as usize].fill(Some(()));
            }
            assert_eq!(found, model.iter().map(|byte| byte.map(|_| ())).collect::<Vec<_>>());
            assert!(patches.written().windows(2).all(|pair| pair[0].end < pair[1].start));
            assert_eq!(patches.end(), model.iter().rposition(Option::is_some).map_or(0, |last| last as u64 + 1));
            let mut bytes = [7; 200];
            patches.overlay(0, &mut bytes).unwrap();
            assert_eq!(bytes.to_vec(), model.iter().map(|byte| byte.unwrap_or(7)).collect::<Vec<u8>>());
        }
    }
}
