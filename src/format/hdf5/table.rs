//! The table of where the chunks of an array are, made when the file is parsed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::chunks::{self, Geometry};
use super::file::File;
use super::storage::{Chunked, Index};
use super::{MAX_CHUNKS, damaged};
use crate::format::Refusal;
use crate::grid::{Pieces, Place};

/// Where the chunks of an array are, as bytes of the file.
#[derive(Debug)]
pub(super) struct Table {
    places: Places,
    digest: u64,
}

#[derive(Debug, Hash)]
enum Places {
    /// The place of every chunk; [`NOWHERE`] for those that are not stored.
    Dense(Vec<u64>),
    /// Number and place of those that are stored, sorted.
    Sparse(Vec<(u64, u64)>),
    /// All stand in a row.
    Row { start: u64, geometry: Geometry },
}

/// No chunk begins here.
const NOWHERE: u64 = u64::MAX;

impl Table {
    /// No chunk at all.
    pub(super) fn empty() -> Table {
        Table::new(Places::Sparse(Vec::new()))
    }

    /// The chunks of an array without filters. `found` counts the chunks of all the arrays of the file.
    pub(super) fn read(
        file: &File<'_>,
        layout: &Chunked,
        geometry: &Geometry,
        found: &mut usize,
    ) -> Result<Table, Refusal> {
        let bytes = geometry.bytes;
        if let (Index::Implicit, Some(address)) = (layout.index, layout.address) {
            let all = geometry.most.and_then(|most| most.checked_mul(bytes));
            let all = all.ok_or_else(|| damaged("its chunks are larger than any file can be"))?;
            let start = file.place(address, all).ok_or_else(|| chunks::beyond(address, all))?;
            return Ok(Table::new(Places::Row { start, geometry: geometry.clone() }));
        }
        let mut places = Vec::new();
        chunks::each(file, layout, geometry, false, &mut |chunk| {
            *found += 1;
            if *found > MAX_CHUNKS {
                return Err(Refusal(format!(
                    "the arrays of the file have more than {MAX_CHUNKS} chunks; write it again with larger ones \
                     (h5repack -l CHUNK=...)"
                )));
            }
            places.push((chunk.cell, chunk.offset));
            Ok(())
        })?;
        places.sort_unstable();
        places.dedup_by_key(|(cell, _)| *cell);
        // The smaller of the two.
        if geometry.count / 2 > places.len() as u64 {
            places.shrink_to_fit();
            return Ok(Table::new(Places::Sparse(places)));
        }
        let mut all = vec![NOWHERE; geometry.count as usize];
        for (cell, place) in places {
            all[cell as usize] = place;
        }
        Ok(Table::new(Places::Dense(all)))
    }

    fn new(places: Places) -> Table {
        let mut hasher = DefaultHasher::new();
        places.hash(&mut hasher);
        Table { places, digest: hasher.finish() }
    }
}

impl Pieces for Table {
    fn place(&self, cell: u64) -> Option<Place> {
        let offset = match &self.places {
            Places::Dense(places) => *places.get(usize::try_from(cell).ok()?)?,
            Places::Sparse(places) => places[places.binary_search_by_key(&cell, |&(cell, _)| cell).ok()?].1,
            // The whole row lies in the file.
            Places::Row { start, geometry } => start + geometry.index_of(cell)? * geometry.bytes,
        };
        (offset != NOWHERE).then_some(Place { piece: 0, offset })
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}
