//! Files that were compressed as a whole: `.gz`, `.zst`, `.bz2`, `.xz`. The copy is the file inside.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};

use super::codec::{lzma, zstd};
use super::output::Pending;
use super::{Disk, Fault, PIECE, Report, Request, Watch, extension, go_on};
use crate::format::npy::MAGIC;
use crate::source::ReadAt;

/// How a file was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Kind {
    /// What the first bytes say.
    pub(super) fn of(file: &Disk) -> std::io::Result<Option<Kind>> {
        let mut head = [0; 10];
        let count = file.read_at(&mut head, 0)?;
        Ok(match &head[..count] {
            // Method 8 is deflate; there is no other.
            [0x1f, 0x8b, 8, ..] => Some(Kind::Gzip),
            // The size of blocks, then the number pi, or that of the square root of pi where there is no block.
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
                if [[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]]
                    .iter()
                    .any(|number| rest == number) =>
            {
                Some(Kind::Bzip2)
            }
            head if head.starts_with(zstd::MAGIC) => Some(Kind::Zstd),
            head if head.starts_with(lzma::MAGIC) => Some(Kind::Xz),
            _ => None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Gzip => "gzip",
            Kind::Zstd => "zstd",
            Kind::Bzip2 => "bzip2",
            Kind::Xz => "xz",
        }
    }

    /// Why a reader failed.
    pub(super) fn damaged(self, error: &std::io::Error) -> Fault {
        Fault(format!("its {} data are damaged, or end too early ({error}); copy it again", self.name()))
    }

    /// Reads what is inside.
    pub(super) fn reader<'a>(self, source: impl BufRead + 'a) -> Box<dyn Read + 'a> {
        match self {
            Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
            Kind::Zstd => Box::new(zstd::Frames::new(source)),
            Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
            Kind::Xz => Box::new(lzma::xz(source)),
        }
    }
}

/// A file that tells how much of it was read.
struct Observed<'a>(File, &'a dyn Watch);

impl Read for Observed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.advance(count as u64);
        Ok(count)
    }
}

/// Writes the file that is inside.
pub(super) fn unpack(request: &Request<'_>, file: Disk, kind: Kind, watch: &dyn Watch) -> Result<Report, Fault> {
    let Request { file: path, out, force, .. } = *request;
    let (pending, mut target) = Pending::file(out, force)?;
    watch.begin(&out.file_name().unwrap_or_default().to_string_lossy(), file.len);
    let mut reader = kind.reader(BufReader::with_capacity(PIECE, Observed(file.file, watch)));
    let mut buffer = vec![0; PIECE];
    let mut is_first = true;
    loop {
        go_on(watch)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::of(path, kind.damaged(&error))),
            }
        }
        let piece = &buffer[..filled];
        if is_first && extension(out) == "npy" && !piece.starts_with(MAGIC) {
            let what = "holds a file that is no .npy; name the copy as the file inside is called";
            return Err(Fault::of(path, what));
        }
        is_first = false;
        if piece.is_empty() {
            break;
        }
        target.write_all(piece).map_err(|error| Fault::of(out, error))?;
    }
    target.sync_all().map_err(|error| Fault::of(out, error))?;
    pending.finish()?;
    Ok(Report { written: 1, left_out: Vec::new() })
}
