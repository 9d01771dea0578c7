//! Arrays that are a folder: Zarr, without compressor. Only the description is written.

use std::io::{self, Write};
use std::path::Path;

use super::super::{Failure, usage};
use super::{Args, Wanted};
use crate::catalog::is_array_folder;
use crate::format::Refusal;
use crate::format::zarr::new::New;
use crate::unpack::Pending;

/// The largest chunk that is chosen, in bytes.
const CHUNK: u64 = 16 << 20;

pub(super) fn folder(args: &Args, wanted: &Wanted) -> Result<(), Failure> {
    let layout = wanted.layout(&args.file, 0)?;
    let chunk = match &args.chunks {
        None => chosen(&layout.shape, layout.itemsize),
        Some(given) => match given.known() {
            Some(chunk) if chunk.len() == layout.shape.len() && !chunk.contains(&0) => chunk,
            _ => usage("--chunks: needs a length of at least 1 for each axis of the shape"),
        },
    };
    let new =
        New { dtype: &wanted.dtype, shape: &wanted.shape, chunk: &chunk, order: wanted.order, fill: &wanted.fill };
    let described = if args.zarr_format.as_deref() == Some("2") { new.v2() } else { new.v3() };
    let failure = |why: &dyn std::fmt::Display| Failure(format!("{}: cannot be made: {why}", args.file.display()));
    let (name, text) = described.map_err(|Refusal(why)| failure(&why))?;
    let is_array = |folder: &Path| -> io::Result<bool> { Ok(is_array_folder(folder)) };
    let pending = Pending::folder_that(&args.file, args.force, is_array, "no Zarr array")?;
    let mut file = pending.file_within(Path::new(name))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|error| failure(&error))?;
    pending.finish()?;
    Ok(())
}

/// The array, its longest axis halved until a chunk is small enough.
fn chosen(shape: &[u64], itemsize: u64) -> Vec<u64> {
    let mut chunk: Vec<u64> = shape.iter().map(|&length| length.max(1)).collect();
    let size = |chunk: &[u64]| chunk.iter().fold(itemsize, |size, &length| size.saturating_mul(length));
    while size(&chunk) > CHUNK
        && let Some(longest) = chunk.iter_mut().max().filter(|length| **length > 1)
    {
        *longest = longest.div_ceil(2);
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn chunks_are_small_enough_and_none_has_no_length() {
        assert_eq!(chosen(&[1000, 1000], 8), [1000, 1000]);
        assert_eq!(chosen(&[0, 5], 8), [1, 5]);
        assert_eq!(chosen(&[], 8), [0; 0]);
        assert_eq!(chosen(&[4096, 1024], 8), [2048, 1024]);
        assert_eq!(chosen(&[2], 1 << 30), [1]);
    }
}
