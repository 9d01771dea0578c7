//! What the process may use.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::Findings;
use crate::store::Limits;

/// Fewer descriptors than this are few: an open view takes one or two.
const DESCRIPTORS: u64 = 4096;
/// So much room for temporary files is little.
const ROOM: u64 = 256 << 20;

pub(super) fn check(found: &mut Findings) {
    descriptors(found);
    mappings(found);
    addresses(found);
    temporary(found);
}

fn descriptors(found: &mut Findings) {
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < DESCRIPTORS => found.note(
            "descriptors",
            format!("{most} at most: about half as many views can be open at once"),
            "ulimit -Hn 65536 (as root); systemd: LimitNOFILE=65536",
        ),
        Some(most) => found.ok("descriptors", format!("{most} at most")),
        None => found.ok("descriptors", "as many as wanted"),
    }
}

fn mappings(found: &mut Findings) {
    let wanted = 2 * Limits::default().maps as u64;
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    match text.trim().parse::<u64>() {
        Ok(most) if most < wanted => {
            let says = format!("{most} at most; beyond that files are read with pread(2), which is slower");
            found.note("mappings", says, "sysctl vm.max_map_count=65530 (as root)");
        }
        Ok(most) => found.ok("mappings", format!("{most} at most")),
        Err(_) => found.fact("mappings", "/proc/sys/vm/max_map_count cannot be read"),
    }
}

fn addresses(found: &mut Findings) {
    match getrlimit(Resource::As).current {
        Some(most) => found.note(
            "addresses",
            format!("{most} bytes at most; larger files are read with pread(2), which is slower"),
            "ulimit -v unlimited",
        ),
        None => found.ok("addresses", "as many as wanted"),
    }
}

/// Text and pictures that are written wait there until they are complete.
fn temporary(found: &mut Findings) {
    const REMEDY: &str = "set TMPDIR to a folder that can be written; without, text and pictures cannot be written";
    let folder = std::env::temp_dir();
    let shown = folder.display();
    if let Err(error) = tempfile::tempfile_in(&folder) {
        return found.note("TMPDIR", format!("{shown}: no file can be made there: {error}"), REMEDY);
    }
    match rustix::fs::statvfs(&folder) {
        Ok(space) if space.f_bavail.saturating_mul(space.f_frsize) < ROOM => {
            let room = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
            found.note("TMPDIR", format!("{shown}: only {room} MiB are free"), "set TMPDIR to a folder with more room");
        }
        Ok(space) => {
            let room = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
            found.ok("TMPDIR", format!("{shown}: can be written, {room} MiB are free"));
        }
        Err(error) => found.note("TMPDIR", format!("{shown}: {error}"), REMEDY),
    }
}
