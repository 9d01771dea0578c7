//! What a mount gives up: the privileges that serving does not need, and the files outside of the source.
//!
//! Privileges belong to threads, and threads hand theirs on to those that they start. Three kinds of threads are told apart:
//!
//! - Those that serve ([`serving`]): everything that other users can cause happens in them.
//! - The one that unmounts ([`unmounting`]), which does nothing else; see [`super::unmounter`]. It is not kept within the
//!   source, as the kernel lets nobody unmount who is.
//! - An ordinary user has no capabilities. There all threads give up gaining any, but the one that unmounts: it runs the
//!   setuid helper.

use std::os::fd::{AsFd, BorrowedFd};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, make_bitflags,
};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What the thread keeps that serves those who wait for locks.
pub(super) const NONE: CapabilitySet = CapabilitySet::empty();

/// What root's threads that serve keep.
pub(super) fn serving(read_only: bool, passthrough: bool) -> CapabilitySet {
    let files = if read_only {
        // Array files of any owner are opened and read. The kernel has checked by then whether the program may.
        CapabilitySet::DAC_READ_SEARCH
    } else {
        // DAC_OVERRIDE: they are opened, read and written; files are made for missing pieces of arrays.
        // FOWNER: their times are set. CHOWN: a piece that was made is given to the owner of the array.
        CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::CHOWN
    };
    // SYS_ADMIN: files are passed through to the kernel (FUSE_DEV_IOC_BACKING_OPEN).
    if passthrough { files | CapabilitySet::SYS_ADMIN } else { files }
}

/// What root's threads keep that serve and write nothing but overlays, which lie in a folder of root's own.
pub(super) fn covered() -> CapabilitySet {
    // DAC_READ_SEARCH: as for serving what is read only. FOWNER: reading does not move the time of access.
    CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER
}

/// What root's thread that unmounts keeps.
pub(super) fn unmounting() -> CapabilitySet {
    // SYS_ADMIN: umount(2). DAC_READ_SEARCH: the way to the mount point, through folders of any owner.
    CapabilitySet::SYS_ADMIN | CapabilitySet::DAC_READ_SEARCH
}

/// Gives up all capabilities of this thread but some, for ever, and those that a program could have that it runs.
///
/// # Errors
/// What the kernel answers.
pub(super) fn keep(kept: CapabilitySet) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => match rustix::thread::remove_capability_from_bounding_set(capability) {
                // Who may not change this set (SETPCAP) cannot gain anything from it any more, either: see below.
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(error),
            },
            Ok(false) => {}
            // Past the last one that the kernel knows.
            Err(_) => break,
        }
    }
    let permitted = capabilities(None)?.permitted & kept;
    // The ambient set is always within the inheritable one.
    set_capabilities(None, CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() })?;
    rustix::thread::set_no_new_privs(true)
}

/// What may be done below the source.
fn rights(read_only: bool) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    // Missing pieces are made under another name, and renamed.
    if read_only { read } else { read | AccessFs::MakeDir | unnamed() }
}

/// What may be done in the folder for temporary files. Where there are no unnamed files, they are made and removed.
fn unnamed() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate | MakeReg | RemoveFile})
}

/// What may be done in the folder of overlays, and to it when it is removed.
fn overlays() -> BitFlags<AccessFs> {
    unnamed() | AccessFs::ReadDir
}

/// Keeps this thread within the source by Landlock: it can open no other file, but in the folder for temporary files, and
/// more descriptors of the mount. With a folder of overlays nothing is written to the source. What is open stays so. Done as far as the kernel can; says how far that was.
///
/// # Errors
/// What the kernel answers.
pub(super) fn stay_within(
    source: impl AsFd,
    read_only: bool,
    folder: Option<BorrowedFd<'_>>,
) -> Result<RulesetStatus, RulesetError> {
    // Later versions know of sockets and signals; the log's socket is connected by name.
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut ruleset = ruleset.handle_access(AccessFs::from_all(ABI::V5))?.create()?;
    ruleset = ruleset.add_rule(PathBeneath::new(source, rights(read_only || folder.is_some())))?;
    if let Ok(device) = PathFd::new("/dev/fuse") {
        let access = make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev});
        ruleset = ruleset.add_rule(PathBeneath::new(device, access))?;
    }
    if !read_only && let Ok(temporary) = PathFd::new(std::env::temp_dir()) {
        // Overlays that are not kept lie in a folder there, which is removed in the end.
        let more = if folder.is_some() { AccessFs::RemoveDir.into() } else { BitFlags::EMPTY };
        ruleset = ruleset.add_rule(PathBeneath::new(temporary, unnamed() | more))?;
    }
    if let Some(folder) = folder {
        ruleset = ruleset.add_rule(PathBeneath::new(folder, overlays()))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// What Landlock can do here, as a thread finds out that keeps itself from everything, and ends.
///
/// # Errors
/// What the kernel answers.
pub(super) fn landlock() -> Result<LandlockStatus, RulesetError> {
    let trial = || {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
        Ok(ruleset.handle_access(AccessFs::from_all(ABI::V5))?.create()?.restrict_self()?.landlock)
    };
    let outcome = std::thread::scope(|scope| scope.spawn(trial).join());
    outcome.unwrap_or(Ok(LandlockStatus::NotImplemented))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Runs a test in a thread of its own, whose privileges end with it.
    fn apart<T: Send>(test: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(test).join().unwrap())
    }

    #[test]
    fn a_thread_keeps_what_is_named_and_nothing_else() {
        let before = capabilities(None).unwrap();
        apart(|| {
            let kept = CapabilitySet::DAC_READ_SEARCH;
            keep(kept).unwrap();
            let sets = capabilities(None).unwrap();
            assert_eq!((sets.effective, sets.inheritable), (before.permitted & kept, CapabilitySet::empty()));
            assert_eq!(sets.permitted, sets.effective);
            assert!(rustix::thread::no_new_privs().unwrap());
            let wider = CapabilitySets { permitted: kept | CapabilitySet::CHOWN, ..sets };
            assert_eq!(set_capabilities(None, wider), Err(Errno::PERM));
        });
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn with_overlays_the_source_is_only_read() {
        let (source, folder) = (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
        let (array, data) = (source.path().join("a"), folder.path().join("0.data"));
        fs::write(&array, "array").unwrap();
        apart(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            let opened = fs::File::open(folder.path()).unwrap();
            let status = stay_within(fs::File::open(source.path()).unwrap(), false, Some(opened.as_fd())).unwrap();
            if status == RulesetStatus::NotEnforced {
                return eprintln!("this kernel has no Landlock");
            }
            assert_eq!(fs::read(&array).unwrap(), b"array");
            assert!(fs::File::options().write(true).open(&array).is_err());
            assert!(fs::write(source.path().join("b"), "").is_err());
            fs::write(&data, "changed").unwrap();
            fs::rename(&data, folder.path().join("1.data")).unwrap();
            fs::remove_file(folder.path().join("1.data")).unwrap();
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        });
    }

    #[test]
    fn a_thread_that_stays_within_the_source_opens_nothing_else() {
        // Not in the folder for temporary files, which stays open.
        let (source, outside) = (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
        let (inside, link, secret) =
            (source.path().join("a"), source.path().join("link"), outside.path().join("secret"));
        fs::write(&inside, "open").unwrap();
        fs::write(&secret, "secret").unwrap();
        symlink(&secret, &link).unwrap();
        let refused = Some(libc::EACCES);
        for read_only in [false, true] {
            apart(|| {
                rustix::thread::set_no_new_privs(true).unwrap();
                assert_eq!(fs::read(&link).unwrap(), b"secret");
                let status = stay_within(fs::File::open(source.path()).unwrap(), read_only, None).unwrap();
                if status == RulesetStatus::NotEnforced {
                    return eprintln!("this kernel has no Landlock");
                }
                assert_eq!(fs::read(&inside).unwrap(), b"open");
                assert_eq!(fs::write(&inside, "open").is_err(), read_only);
                assert_eq!(tempfile::tempfile().is_err(), read_only);
                for path in [&secret, &link] {
                    assert_eq!(fs::read(path).unwrap_err().raw_os_error(), refused);
                    assert_eq!(fs::write(path, "").unwrap_err().raw_os_error(), refused);
                }
                assert_eq!(fs::read_dir(outside.path()).unwrap_err().raw_os_error(), refused);
                assert!(fs::File::open("/proc/self/mem").is_err());
                assert!(symlink(&inside, source.path().join("other")).is_err());
            });
        }
        assert_eq!(fs::read(&link).unwrap(), b"secret");
    }
}
