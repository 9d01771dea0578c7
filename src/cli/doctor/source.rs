//! The source: whether it can be read, on what it lies, and what it holds.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::StatVfsMountFlags;

use super::Findings;
use crate::catalog::{Catalog, Problem};
use crate::cli::SourceArgs;
use crate::mount;
use crate::store::{File, Limits, Store};

/// So many arrays are looked at; of more only the names are counted.
const LOOKED_AT: usize = 10_000;
/// So many files that are not served are named.
const NAMED: usize = 3;
/// So much of a reason is told, in characters.
const REASON: usize = 100;

/// File systems whose files other machines change, too.
const NETWORK: &[&str] =
    &["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "lustre", "gpfs", "beegfs", "orangefs"];

pub(super) fn check(found: &mut Findings, path: &Path, source_args: &SourceArgs) {
    let shown = path.display();
    let opened = Catalog::open(path, source_args.catalog_options(false), Store::new(Limits::default()));
    let catalog = match opened {
        Ok(catalog) => catalog,
        Err(error) => {
            let remedy = "name a folder of array files, or one array file, that this user may read";
            return found.problem("source", error.to_string(), remedy);
        }
    };
    if let Err(error) = catalog.root_path().read_dir()
        && catalog.only_file().is_none()
    {
        return found.problem("source", format!("{shown}: cannot be listed: {error}"), format!("chmod u+rx {shown}"));
    }
    file_system(found, catalog.root_path());
    let arrays = Arrays::of(&catalog);
    arrays.tell(found, path);
    if let Some(file) = &arrays.first {
        mappable(found, file);
    }
}

fn file_system(found: &mut Findings, folder: &Path) {
    let kind = mount::containing(folder).map_or("unknown".to_owned(), |entry| entry.kind);
    let flags = rustix::fs::statvfs(folder).map_or(StatVfsMountFlags::empty(), |found| found.f_flag);
    let topic = "file system";
    if NETWORK.contains(&kind.as_str()) || kind.contains("glusterfs") || kind.contains("sshfs") {
        found.fact(
            topic,
            format!(
                "{kind}: other machines have the same files; what they write is seen when the caches let it through, and what \
                 is stored here reaches them once it is synced"
            ),
        );
    } else if kind == "fuse" || kind.starts_with("fuse.") {
        found
            .fact(topic, format!("{kind}: whether files can be mapped, and are up to date, is up to that file system"));
    } else if flags.contains(StatVfsMountFlags::RDONLY) {
        found.fact(topic, format!("{kind}, mounted for reading only: no array can be written"));
    } else {
        found.ok(topic, format!("{kind}: reads, writes and mappings of a file see each other"));
    }
}

fn mappable(found: &mut Findings, file: &Arc<File>) {
    match (file.can_be_mapped(false), file.can_be_mapped(true)) {
        (Ok(false) | Err(_), _) => {
            found.fact(
                "mapping",
                "files of the source cannot be mapped: pread(2) and pwrite(2) take over, which is slower",
            );
        }
        (Ok(true), Ok(false)) => found.fact("mapping", "files can be mapped for reading only: pwrite(2) writes them"),
        (Ok(true), Err(error)) => found.ok("mapping", format!("files can be mapped for reading; writing: {error}")),
        (Ok(true), Ok(true)) => found.ok("mapping", "files can be mapped for reading and writing"),
    }
}

/// What a source holds.
#[derive(Default)]
struct Arrays {
    count: usize,
    served: usize,
    /// Those that are not, each with its reason.
    refused: Vec<String>,
    first: Option<Arc<File>>,
}

impl Arrays {
    fn of(catalog: &Catalog) -> Arrays {
        let mut arrays = Arrays::default();
        catalog.walk(&mut |path, origin| {
            arrays.count += 1;
            if arrays.count > LOOKED_AT {
                return;
            }
            match catalog.describe(&origin) {
                Ok(described) => {
                    arrays.served += 1;
                    arrays.first.get_or_insert(described.file);
                }
                Err(Problem::Refused(reason)) => arrays.refused.push(format!("{path}: {}", short(&reason))),
                Err(Problem::Errno(error)) => arrays.refused.push(format!("{path}: cannot be opened: {error}")),
            }
        });
        arrays
    }

    fn tell(&self, found: &mut Findings, path: &Path) {
        let topic = "arrays";
        let (shown, served) = (path.display(), self.served);
        match (self.count, self.count.saturating_sub(LOOKED_AT)) {
            (0, _) => found.note(
                topic,
                format!("{shown}: no array file that afbfs knows"),
                "describe raw files with --array or a sidecar; afbfs unpack makes plain copies of compressed ones",
            ),
            (_, 0) => found.ok(topic, format!("{served} can be served")),
            (_, more) => found.ok(topic, format!("{served} can be served, {more} more were not looked at")),
        }
        for refused in self.refused.iter().take(NAMED) {
            found.fact(topic, format!("not served: {refused}"));
        }
        if self.refused.len() > NAMED {
            let more = self.refused.len() - NAMED;
            found.note(topic, format!("{more} more are not served"), format!("afbfs ls {shown} says why"));
        }
    }
}

/// The beginning of a reason.
fn short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    match line.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}...", line[..end].trim_end()),
        None => line.to_owned(),
    }
}
