//! ZIP archives with compressed members: one array of them, or the archive anew with all members stored.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::codec::{lzma, zstd};
use super::output::Pending;
use super::{Disk, Fault, Job, PIECE, Report, Request, Site, Span, Watch, go_on};
use crate::catalog::Catalog;
use crate::format::npy::Npy;
use crate::format::zip::{Archive, BZIP2, Body, DEFLATED, Entry, STORED, XZ, ZSTD, method_name};
use crate::format::{Format, Refusal, npz};
use crate::source::{Alone, ReadAt};

mod writer;

use writer::Writer;

/// A member, and what must come out of it.
#[derive(Debug)]
struct Packed {
    body: Body,
    method: u16,
    size: u64,
    crc: u32,
}

impl Packed {
    fn find(archive: &Archive, file: &Disk, entry: &Entry) -> Result<Packed, Refusal> {
        let &Entry { method, size, crc, .. } = entry;
        if !matches!(method, STORED | DEFLATED | BZIP2 | ZSTD | XZ) {
            let how = method_name(method);
            return Err(Refusal(format!(
                "it is compressed {how}, which is not built in; extract it, and store it again uncompressed (zip -0)"
            )));
        }
        Ok(Packed { body: archive.place(file, entry)?, method, size, crc })
    }

    /// Reads its bytes, uncompressed.
    fn reader<'a>(&self, file: &'a Disk) -> Box<dyn Read + 'a> {
        let Body { start, len, .. } = self.body;
        let source = BufReader::with_capacity(PIECE / 4, Span { file, at: start, end: start + len });
        match self.method {
            DEFLATED => Box::new(flate2::bufread::DeflateDecoder::new(source)),
            BZIP2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
            ZSTD => Box::new(zstd::Frames::new(source)),
            XZ => Box::new(lzma::xz(source)),
            _ => Box::new(source),
        }
    }

    /// Writes its bytes, if they are those that were archived.
    fn copy(&self, file: &Disk, target: &mut dyn Write, watch: &dyn Watch) -> Result<(), Fault> {
        let damaged = |what: String| Fault(format!("{what}: the archive is damaged; copy it again"));
        let mut reader = self.reader(file);
        let mut buffer = vec![0; PIECE];
        let (mut done, mut sum) = (0, crc32fast::Hasher::new());
        loop {
            go_on(watch)?;
            let count = match reader.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(format!("it cannot be uncompressed ({error})"))),
            };
            if count == 0 {
                break;
            }
            done += count as u64;
            if done > self.size {
                return Err(damaged(format!("it has more than the {} bytes that its directory claims", self.size)));
            }
            sum.update(&buffer[..count]);
            target
                .write_all(&buffer[..count])
                .map_err(|error| Fault(format!("the copy cannot be written: {error}")))?;
            watch.advance(count as u64);
        }
        if done < self.size {
            return Err(damaged(format!("it has {done} of the {} bytes that its directory claims", self.size)));
        }
        if sum.finalize() != self.crc {
            return Err(damaged("its bytes do not have the CRC-32 that is stored with them".into()));
        }
        Ok(())
    }
}

/// The first bytes of what a member holds, uncompressed as far as they are asked for.
struct Start<'a> {
    len: u64,
    held: RefCell<(Box<dyn Read + 'a>, Vec<u8>)>,
}

impl ReadAt for Start<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (reader, bytes) = &mut *self.held.borrow_mut();
        let end = offset.saturating_add(buffer.len() as u64);
        reader.take(end.saturating_sub(bytes.len() as u64)).read_to_end(bytes)?;
        bytes[..].read_at(buffer, offset)
    }
}

/// A member that is a whole `.npy` file, compressed.
#[derive(Debug)]
pub(super) struct Member {
    disk: Disk,
    packed: Packed,
}

/// How to copy an array of an `.npz` file that is compressed.
pub(super) fn plan(catalog: &Catalog, path: &Path, names: &[String]) -> Result<Member, Refusal> {
    let opened = catalog.open_file(path).map_err(io::Error::from)?;
    let disk = Disk::new(opened.into())?;
    let archive = Archive::read(&disk)?;
    let mut found = archive.entries().iter().filter(|entry| npz::path(&archive.name(entry)).as_deref() == Some(names));
    let (Some(entry), None) = (found.next(), found.next()) else {
        return Err(Refusal("several of the file's arrays have this name; save them under others".into()));
    };
    let packed = Packed::find(&archive, &disk, entry)?;
    let start = Start { len: packed.size, held: RefCell::new((packed.reader(&disk), Vec::new())) };
    // An array that could not be mapped when it is unpacked is not unpacked.
    Npy.parse("", &start, &Alone)?;
    drop(start);
    Ok(Member { disk, packed })
}

impl Job for Member {
    fn bytes(&self) -> u64 {
        self.packed.size
    }

    fn write(&self, mut file: File, site: &Site<'_>) -> Result<(), Fault> {
        self.packed.copy(&self.disk, &mut file, site.watch)?;
        file.sync_all().map_err(|error| Fault(format!("the copy cannot be written: {error}")))
    }
}

/// Writes an archive anew, with all of its members stored.
pub(super) fn rewrite(
    request: &Request<'_>,
    file: &Disk,
    archive: &Archive,
    watch: &dyn Watch,
) -> Result<Report, Fault> {
    let Request { file: path, out, force, .. } = *request;
    let total = archive.entries().iter().fold(0_u64, |total, entry| total.saturating_add(entry.size));
    let (pending, target) = Pending::file(out, force)?;
    watch.begin(&out.file_name().unwrap_or_default().to_string_lossy(), total);
    let written = |error: io::Error| Fault::of(out, error);
    let mut writer = Writer::new(BufWriter::with_capacity(PIECE, target));
    for entry in archive.entries() {
        let blame = |what: &dyn std::fmt::Display| Fault::of(path, format!("{}: {what}", archive.name(entry)));
        let packed = Packed::find(archive, file, entry).map_err(|refusal| blame(&refusal))?;
        writer.begin(&archive.keepsake(entry), packed.size, packed.crc).map_err(written)?;
        packed.copy(file, &mut writer, watch).map_err(|fault| blame(&fault))?;
    }
    let target = writer.finish(&archive.raw_comment).map_err(written)?;
    target.into_inner().map_err(|error| written(error.into_error()))?.sync_all().map_err(written)?;
    pending.finish()?;
    Ok(Report { written: 1, left_out: Vec::new() })
}
