//! The plain numbers, each with the name and the text under which it is told.

use super::{Fs, get};
use crate::store;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) key: &'static str,
    pub(super) kind: Type,
    pub(super) help: &'static str,
    pub(super) value: u64,
}

fn counter(key: &'static str, help: &'static str, value: u64) -> Figure {
    Figure { key, kind: Type::Counter, help, value }
}

fn gauge(key: &'static str, help: &'static str, value: u64) -> Figure {
    Figure { key, kind: Type::Gauge, help, value }
}

impl Fs {
    /// All of them, as of now.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let (fs, store) = (&self.counters, &self.catalog.store().counters);
        let (mapped_bytes, mappings) = self.catalog.store().mapped();
        let (handles, files) = self.handles.count();
        let process = store::process_usage();
        let mut figures = vec![
            counter("lookups", "Names that were looked up", get(&fs.lookups)),
            counter("opens", "Files that were opened", get(&fs.opens)),
            counter("reads", "Windows of files that were read", get(&fs.reads)),
            counter("read_bytes", "Bytes that were read", get(&fs.read_bytes)),
            counter("writes", "Windows of files that were written", get(&fs.writes)),
            counter("written_bytes", "Bytes that were written", get(&fs.written_bytes)),
            counter("syncs", "Files that were synced", get(&fs.syncs)),
            counter("errors", "Answers that were errors, but for names that are not there", get(&fs.errors)),
            counter(
                "short_overwrites",
                "Slices that were truncated and not written to their end",
                get(&fs.short_overwrites),
            ),
            counter("faults", "Accesses that faulted, or lay past the end of an array file", get(&store.faults)),
            counter("windows_from_mapping", "Windows that were sent straight from the mapping", get(&store.borrowed)),
            counter("windows_gathered", "Windows that were gathered into a buffer", get(&store.gathered)),
            counter("bytes_gathered", "Bytes that were gathered", get(&store.bytes_gathered)),
            counter("bytes_scattered", "Bytes that were stored into mappings", get(&store.bytes_scattered)),
            counter(
                "prefetches",
                "Windows of which pages were not in memory, and were asked for",
                get(&store.prefetches),
            ),
            counter("headers_read", "Headers of array files that were read", self.catalog.headers_read()),
            gauge("mappings", "Mappings of array files", mappings as u64),
            gauge("mapped_bytes", "Bytes of array files that are mapped", mapped_bytes),
            counter("mappings_made", "Mappings that were made", get(&store.maps)),
            gauge("open_handles", "Open files and folders", handles as u64),
            gauge("inodes", "Inodes that the kernel holds, those of a tree as one", self.nodes.len() as u64),
            gauge("open_files", "Open files", files as u64),
            counter("not_found", "Answers that a name or an attribute is not there", get(&self.stats.not_found)),
            counter("prefetched_pages", "Pages that were asked for ahead of their use", get(&store.pages_asked)),
            counter(
                "major_faults",
                "Times that a page was waited for until it was read from disk",
                process.major_faults,
            ),
            counter("minor_faults", "Page faults that no disk was needed for", process.minor_faults),
            counter("disk_read_bytes", "Bytes that the process had read from disk", process.disk_read_bytes),
            counter("disk_pages", "Pages that the process had read from disk", process.disk_pages),
        ];
        let anonymous = self.stats.anonymous_bytes();
        figures.extend(anonymous.map(|bytes| gauge("rss_anon_bytes", "Private memory of the process", bytes)));
        figures
    }
}
