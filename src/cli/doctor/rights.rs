//! Who mounts: by the right to, or through the setuid helper.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access};
use rustix::thread::CapabilitySet;

use super::Findings;
use crate::cli::privileges;

/// The file in which root says what ordinary users may.
const CONF: &str = "/etc/fuse.conf";
const INSTALL: &str = "apt install fuse3 (elsewhere: the package fuse3)";

/// How this user mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// With mount(2).
    Directly,
    /// With `fusermount3`.
    Helper,
}

pub(super) fn check(found: &mut Findings) -> Means {
    let own = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let uid = rustix::process::geteuid();
    let means = if own.contains(CapabilitySet::SYS_ADMIN) { Means::Directly } else { Means::Helper };
    match (means, uid.is_root()) {
        (Means::Directly, _) => {
            let serving = privileges::serving(false, false);
            if own.contains(serving) {
                found.ok("rights", format!("user {uid} may mount, and serve the files of all users"));
            } else {
                let missing = format!("user {uid} may mount, but lacks {:?}", serving - own);
                found.note(
                    "rights",
                    missing,
                    "files of other users cannot be served; give the container these capabilities",
                );
            }
        }
        (Means::Helper, true) => found.problem(
            "rights",
            "root without the capability SYS_ADMIN may not mount",
            "start the container with --cap-add SYS_ADMIN",
        ),
        (Means::Helper, false) => found.ok("rights", format!("user {uid} mounts through fusermount3")),
    }
    helper(found, means);
    conf(found, means);
    means
}

fn helper(found: &mut Findings, means: Means) {
    let topic = "fusermount3";
    let in_the_way = means == Means::Helper;
    let Some(path) = in_path("fusermount3") else {
        let says = if in_the_way { "is not in PATH" } else { "is not in PATH; ordinary users need it for mounting" };
        return found.problem_if(in_the_way, topic, says, INSTALL);
    };
    let shown = path.display();
    let is_setuid = fs::metadata(&path).is_ok_and(|file| file.uid() == 0 && file.mode() & 0o4000 != 0);
    // Some systems give it a capability of its own instead.
    let is_capable = rustix::fs::getxattr(&path, "security.capability", &mut [0; 64]).is_ok();
    let flags = rustix::fs::statvfs(&path).map_or(StatVfsMountFlags::empty(), |file_system| file_system.f_flag);
    if !is_setuid && !is_capable {
        let remedy = format!("chown root {shown} && chmod 4755 {shown} (as root)");
        found.problem_if(in_the_way, topic, format!("{shown} is not setuid root"), remedy);
    } else if flags.contains(StatVfsMountFlags::NOSUID) {
        let says = format!("{shown} lies on a file system that is mounted nosuid, where it gains no rights");
        found.problem_if(in_the_way, topic, says, "put it on another file system, or mount that one with suid");
    } else if rustix::thread::no_new_privs().unwrap_or(false) {
        let says = "no_new_privs is set for this process, so that it gains no rights";
        let remedy = "start it without (systemd: NoNewPrivileges=no; docker: no --security-opt no-new-privileges)";
        found.problem_if(in_the_way, topic, says, remedy);
    } else {
        found.ok(topic, format!("{shown}, {}", if is_setuid { "setuid root" } else { "with a capability" }));
    }
}

/// Where a program lies that may be run.
fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    candidates.into_iter().find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())
}

fn conf(found: &mut Findings, means: Means) {
    let allows = |text: &str| text.lines().any(|line| line.trim() == "user_allow_other");
    match fs::read_to_string(Path::new(CONF)) {
        Ok(text) if allows(&text) => found.ok("fuse.conf", "users may let other users in (--allow-other)"),
        _ if means == Means::Directly => found.ok("fuse.conf", "root may let other users in (--allow-other)"),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            found.note("fuse.conf", format!("{CONF}: {error}"), "chmod a+r /etc/fuse.conf (as root)");
        }
        _ => found.note(
            "fuse.conf",
            "users may not let other users in: --allow-other fails",
            "add the line user_allow_other to /etc/fuse.conf (as root)",
        ),
    }
}
