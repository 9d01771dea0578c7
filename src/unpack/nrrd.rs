//! NRRD files whose elements are compressed as one stream, behind the header or in a file beside it. The copy keeps
//! their order, the first axis fastest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::stream::Kind;
use super::target::header;
use super::{Disk, Fault, Job, PIECE, Site, Span, go_on};
use crate::catalog::Catalog;
use crate::format::Refusal;
use crate::format::nrrd::Packed;
use crate::layout::{Layout, Order};
use crate::source::ReadAt;

/// An array whose elements are compressed.
#[derive(Debug)]
pub(super) struct Stream {
    packed: Packed,
    disk: Disk,
    /// Bytes of the elements.
    bytes: u64,
}

/// How to copy the array of an NRRD file; nothing if it is not compressed.
pub(super) fn plan(catalog: &Catalog, path: &Path) -> Result<Option<Stream>, Refusal> {
    let open = |path: &Path| -> Result<Disk, io::Error> { Disk::new(catalog.open_file(path)?.into()) };
    let mut disk = open(path)?;
    let Some(packed) = Packed::read(&disk)? else { return Ok(None) };
    if let Some(name) = &packed.file {
        if name.contains('/') {
            return Err(Refusal(format!(
                "its elements lie in another folder ({name}); move the file beside the header"
            )));
        }
        disk = open(&path.with_file_name(name))
            .map_err(|error| Refusal(format!("its elements lie in the file {name}, which cannot be read: {error}")))?;
    }
    let layout = Layout::packed(0, &packed.shape, packed.dtype.itemsize(), Order::F)
        .map_err(|error| Refusal(format!("its NRRD header claims an array that cannot be: {error}")))?;
    Ok(Some(Stream { bytes: layout.extent().end, packed, disk }))
}

impl Job for Stream {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write(&self, mut file: File, site: &Site<'_>) -> Result<(), Fault> {
        let Packed { dtype, shape, is_bzip2, start, skip, .. } = &self.packed;
        let unwritable = |error: io::Error| Fault(format!("the copy cannot be written: {error}"));
        file.write_all(&header(dtype, shape, Order::F)).map_err(unwritable)?;
        let kind = if *is_bzip2 { Kind::Bzip2 } else { Kind::Gzip };
        let span = Span { file: &self.disk, at: *start, end: self.disk.len().max(*start) };
        let mut reader = kind.reader(io::BufReader::with_capacity(PIECE, span));
        let mut buffer = vec![0; PIECE];
        let (mut skipped, mut done) = (0, 0);
        loop {
            go_on(site.watch)?;
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(kind.damaged(&error)),
            };
            let before = (skip - skipped).min(count as u64);
            skipped += before;
            let elements = &buffer[before as usize..count];
            done += elements.len() as u64;
            if done > self.bytes {
                return Err(Fault(format!("it has more than the {} bytes that its header claims", self.bytes)));
            }
            file.write_all(elements).map_err(unwritable)?;
            site.watch.advance(elements.len() as u64);
        }
        if done < self.bytes {
            let bytes = self.bytes;
            return Err(Fault(format!("it has {done} of the {bytes} bytes that its header claims; copy it again")));
        }
        file.sync_all().map_err(unwritable)
    }
}
