//! The mount point, by itself and beside the source.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::Findings;
use super::rights::Means;
use crate::mount::{self, TYPE, is_within};

const TOPIC: &str = "mount point";

pub(super) fn check(found: &mut Findings, path: &Path, source: Option<&Path>, means: Means) {
    let shown = path.display();
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return found.problem(TOPIC, format!("{shown}: is not a folder"), "name a folder"),
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => return dead(found, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return found.problem(TOPIC, format!("{shown}: does not exist"), format!("mkdir -p {shown}"));
        }
        Err(error) => {
            return found.problem(TOPIC, format!("{shown}: {error}"), "name a folder that this user may enter");
        }
    }
    let Ok(point) = path.canonicalize() else { return };
    let before = found.0.len();
    taken(found, path, &point);
    if let Some(source) = source.and_then(|source| source.canonicalize().ok()) {
        beside(found, path, &point, &source);
    }
    // fusermount3 lets users mount only where they may write.
    if means == Means::Helper && access(&point, Access::WRITE_OK).is_err() {
        let user = rustix::process::geteuid();
        found.problem(
            TOPIC,
            format!("{shown}: this user may not write there"),
            format!("chown {user} {shown} (as root)"),
        );
    }
    if found.0.len() == before {
        found.ok(TOPIC, format!("{shown}: is an empty folder"));
    }
}

/// A mount whose process has died.
fn dead(found: &mut Findings, path: &Path) {
    let shown = path.display();
    let entry = mount::absolute(path).ok().and_then(|point| mount::find(&point));
    match entry {
        Some(entry) if entry.kind == TYPE => found.note(
            TOPIC,
            format!("{shown}: a mount of afbfs whose process has died"),
            format!("afbfs umount {shown}; or mount there: that clears it"),
        ),
        _ => found.problem(TOPIC, format!("{shown}: a dead mount that is none of afbfs"), format!("umount {shown}")),
    }
}

fn taken(found: &mut Findings, path: &Path, point: &Path) {
    let shown = path.display();
    match mount::find(point) {
        Some(entry) if entry.kind == TYPE => {
            let remedy = format!("afbfs umount {shown}");
            return found.problem(TOPIC, format!("{shown}: arrays are mounted there already"), remedy);
        }
        Some(entry) => {
            found.fact(TOPIC, format!("{shown}: a mount of type {} is there and would be hidden", entry.kind))
        }
        None => {}
    }
    match fs::read_dir(point).map(|entries| entries.take(1).count()) {
        Ok(0) => {}
        Ok(_) => found.fact(TOPIC, format!("{shown}: is not empty; what it holds is hidden while it is mounted")),
        Err(error) => found.fact(TOPIC, format!("{shown}: cannot be listed: {error}")),
    }
}

fn beside(found: &mut Findings, path: &Path, point: &Path, source: &Path) {
    let shown = path.display();
    if is_within(point, source) {
        found.problem(TOPIC, format!("{shown}: lies in the source"), "choose a folder outside of it");
    } else if is_within(source, point) {
        found.problem(TOPIC, format!("{shown}: the source lies in it and would be hidden"), "choose another folder");
    }
}
