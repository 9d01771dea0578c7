//! `afbfs mount`: checks what was asked, mounts, and serves; in the background, once the mount answers (see
//! [`super::background`]).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::size::parse_size;
use super::unmounter::Unmounter;
use super::{Failure, SourceArgs, absolute, background, fstab, logging, notify, privileges};
use crate::catalog::{self, Catalog};
use crate::fs::{Cache, Fs, Settings, Shown};
use crate::fuse::{Others, Server};
use crate::mount::{self, Mount, is_within};
use crate::overlay;
use crate::store::{Limits, Store, lock};

/// How often files that were removed are let go.
const SWEEP: Duration = Duration::from_secs(1);
/// Each user but the one who mounts may have so many-th a part of the descriptors open.
const SHARES: u64 = 4;
/// There is a thread that serves for so many descriptors, if there are not more than were asked for.
const THREADS: u64 = 8;
/// What is started beside those: the threads that drop pages, unmount, wait for signals and sweep, and a helper that unmounts.
const OTHERS: usize = 5;

#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  afbfs mount ./data /mnt/arrays && od -A d -t f8 /mnt/arrays/a/row/42\n\n\
    It stays in the background until afbfs umount, SIGTERM or SIGINT.")]
pub(super) struct Args {
    /// Folder of array files, or one array file
    source: PathBuf,
    /// Folder at which the arrays appear
    mountpoint: PathBuf,
    /// Stay in the foreground, and log to standard error
    #[arg(short, long)]
    foreground: bool,
    /// Refuse all writing
    #[arg(short, long)]
    read_only: bool,
    /// Let other users in; the kernel checks their rights by owner, mode and ACL of the array files
    #[arg(long)]
    allow_other: bool,
    /// Let root in beside the user who mounts, and nobody else
    #[arg(long, conflicts_with = "allow_other")]
    allow_root: bool,
    /// Show everything as owned by the user of this number. The kernel checks rights by what is shown; array files are opened with
    /// the rights of the user who mounts
    #[arg(long, value_name = "N", value_parser = fstab::parse_id)]
    uid: Option<u32>,
    /// Show everything as of the group of this number
    #[arg(long, value_name = "N", value_parser = fstab::parse_id)]
    gid: Option<u32>,
    /// Show all permission bits but these (octal), in place of those of the array files and of their access lists
    #[arg(long, value_name = "MODE", value_parser = fstab::parse_umask)]
    umask: Option<u32>,
    /// Threads that serve requests
    #[arg(long, value_name = "N", default_value_t = default_threads(), value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// List the indices of an axis if there are at most N, otherwise none
    #[arg(long, value_name = "N", default_value_t = Settings::default().list_max)]
    list_max: u64,
    /// Whether the kernel may keep what was read: "none" is coherent with every writer; "pages" is faster when the same is
    /// read again, and sees what other programs store into the array files themselves only at the next open
    #[arg(long, value_name = "MODE", default_value = "none")]
    cache: CacheMode,
    /// Of slices that are not in memory, read also what lies between two of their pieces if that is at most SIZE (bytes, or
    /// 64K, 1M): fewer and larger reads, of bytes that nobody asked for
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    fetch_gap: u64,
    /// Let arrays be written over which their file keeps a checksum (in ZIP archives: .npz, .pt), and bring that up to date with each
    /// write. After a crash between the two, the file's own programs may take the array for damaged
    #[arg(long)]
    update_checksums: bool,
    /// Copy on write: the array files never change. What is written is shown by this mount alone, and forgotten when it is
    /// unmounted, unless afbfs commit has written it into the array files
    #[arg(long, conflicts_with = "read_only")]
    cow: bool,
    /// Keep what is written with --cow in this folder (made where there is none), for the next mount of SOURCE with it
    #[arg(long, value_name = "DIR", conflicts_with = "read_only")]
    cow_dir: Option<PathBuf>,
    /// Log to this file instead of syslog (or standard error, in the foreground)
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Show this name as the source in the table of mounts, in place of the path
    #[arg(long, value_name = "NAME")]
    fsname: Option<String>,
    /// Bytes of a read that the kernel asks for at once, at most
    #[arg(long, value_name = "N")]
    max_read: Option<u32>,
    /// Have fusermount3 unmount should the process die
    #[arg(long)]
    auto_unmount: bool,
    /// Options as in /etc/fstab, separated by commas: ro, rw, noexec, noatime, nodiratime, and those above by their long names
    /// (threads=N, allow_other); those for mount(8) and systemd are ignored
    #[arg(short = 'o', value_name = "OPTIONS", value_parser = parse_options)]
    options: Vec<Options>,
    #[command(flatten)]
    source_args: SourceArgs,
    /// Report on standard output that the mount answers: set by the process in the foreground
    #[arg(long, hide = true)]
    background_child: bool,
    /// Be content if the source is mounted there already: for mount -a, which cannot tell
    #[arg(long, hide = true)]
    unless_mounted: bool,
    /// Mount nothing
    #[arg(long, hide = true)]
    check_only: bool,
}

/// How `--cache` spells [`Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CacheMode {
    None,
    Pages,
}

/// The contents of one `-o`.
#[derive(Clone, Debug)]
struct Options(Vec<fstab::Item>);

fn parse_options(list: &str) -> Result<Options, String> {
    fstab::parse(list).map(Options)
}

/// Takes the contents of `-o` over into the options that mean the same.
fn settle(mut args: Args) -> (Args, Vec<&'static str>) {
    let mut kernel = Vec::new();
    for item in args.options.drain(..).flat_map(|options| options.0) {
        match item {
            fstab::Item::ReadOnly(read_only) => args.read_only = read_only,
            fstab::Item::AllowOther => args.allow_other = true,
            fstab::Item::AllowRoot => args.allow_root = true,
            fstab::Item::Uid(uid) => args.uid = Some(uid),
            fstab::Item::Gid(gid) => args.gid = Some(gid),
            fstab::Item::Umask(mask) => args.umask = Some(mask),
            fstab::Item::FsName(name) => args.fsname = Some(name),
            fstab::Item::MaxRead(bytes) => args.max_read = Some(bytes),
            fstab::Item::AutoUnmount => args.auto_unmount = true,
            fstab::Item::LogFile(file) => args.log_file = Some(file),
            fstab::Item::FollowLinks => args.source_args.follow_links = true,
            fstab::Item::Threads(threads) => args.threads = threads,
            fstab::Item::ListMax(most) => args.list_max = most,
            fstab::Item::FetchGap(gap) => args.fetch_gap = gap,
            fstab::Item::UpdateChecksums => args.update_checksums = true,
            fstab::Item::Cow => args.cow = true,
            fstab::Item::CowDir(folder) => args.cow_dir = Some(folder),
            fstab::Item::Cache(mode) => args.cache = mode,
            fstab::Item::Kernel(option) => kernel.push(option),
        }
    }
    args.cow |= args.cow_dir.is_some();
    (args, kernel)
}

/// Twice the cores, so that a request that waits for the disk does not hold up the others.
fn default_threads() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (2 * cores).clamp(4, 16) as u16
}

impl Args {
    /// What is shown as the source.
    fn shown_source(&self) -> PathBuf {
        self.fsname.as_ref().map_or_else(|| absolute(&self.source), PathBuf::from)
    }

    /// Whether users other than the one who mounts are let in, root among them.
    fn is_shared(&self) -> bool {
        self.allow_other || self.allow_root
    }
}

/// `words`: the command line, with which the background process is started.
pub(super) fn run(args: Args, words: &[OsString]) -> Result<(), Failure> {
    let (args, kernel) = settle(args);
    if args.allow_other && args.allow_root {
        return Err(Failure::new(
            "allow_other and allow_root exclude each other: the one lets all in, the other root alone",
        ));
    }
    if args.foreground || args.background_child {
        return serve(&args, kernel);
    }
    if args.unless_mounted && is_mounted(&args) {
        return Ok(());
    }
    // What can be known beforehand is said at once, by the process that was asked.
    prepare(&args, raise_descriptor_limit())?;
    if args.check_only { Ok(()) } else { background::start(words) }
}

/// Whether the source is on top at the mount point.
fn is_mounted(args: &Args) -> bool {
    let entry = args.mountpoint.canonicalize().ok().and_then(|point| mount::find(&point));
    entry.is_some_and(|entry| entry.kind == mount::TYPE && entry.source == args.shown_source())
}

/// Everything but mounting: opens the source, and checks that the two places can go together.
fn prepare(args: &Args, descriptors: u64) -> Result<(Catalog, PathBuf), Failure> {
    if args.cow && args.read_only {
        return Err(Failure::new("ro and cow exclude each other: with cow the array files are not written either"));
    }
    let point = mount_point(&args.mountpoint)?;
    let limits = Limits { gap: args.fetch_gap, ..Limits::of_process(descriptors) };
    let options = catalog::Options {
        update_checksums: args.update_checksums,
        covered: args.cow,
        ..args.source_args.catalog_options(args.is_shared())
    };
    let catalog = Catalog::open(&args.source, options, Store::new(limits))?;
    let source = args.source.canonicalize()?;
    if is_within(&point, &source) {
        return Err(Failure(format!(
            "{}: the mount point lies in the source {}; choose one outside of it",
            args.mountpoint.display(),
            args.source.display()
        )));
    }
    if is_within(&source, &point) {
        return Err(Failure(format!(
            "{}: the source lies in the mount point {} and would be hidden by it; choose another mount point",
            args.source.display(),
            args.mountpoint.display()
        )));
    }
    if let Some(folder) = &args.cow_dir {
        let place = mount::absolute(folder)?;
        if is_within(&place, &source) || is_within(&place, &point) {
            return Err(Failure(format!(
                "{}: lies in the source or in the mount point; choose a folder outside of both",
                folder.display()
            )));
        }
    }
    Ok((catalog, point))
}

/// The absolute path of the mount point. A dead mount that is left there is cleared.
fn mount_point(path: &Path) -> Result<PathBuf, Failure> {
    let shown = path.display();
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            let point = path.canonicalize()?;
            match mount::find(&point) {
                Some(entry) if entry.kind == mount::TYPE => Err(Failure(format!(
                    "{shown}: arrays are mounted there already; unmount them with: afbfs umount {shown}"
                ))),
                _ => Ok(point),
            }
        }
        Ok(_) => Err(Failure(format!("{shown}: is not a folder; the mount point must be one"))),
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
            let point = mount::absolute(path)?;
            if mount::find(&point).is_none_or(|entry| entry.kind != mount::TYPE) {
                return Err(Failure(format!(
                    "{shown}: a dead mount that is none of afbfs; unmount it with: umount {shown}"
                )));
            }
            mount::unmount_path(&point, true)?;
            eprintln!("afbfs: {shown}: cleared a mount whose process had died");
            Ok(point)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure(format!("{shown}: does not exist; make it with: mkdir -p {shown}")))
        }
        Err(error) => Err(Failure(format!("{shown}: {error}"))),
    }
}

/// Mounts, and serves until somebody unmounts.
fn serve(args: &Args, kernel: Vec<&'static str>) -> Result<(), Failure> {
    if args.background_child {
        // A terminal that is closed, or a job that is ended, does not concern the mount.
        let _ = rustix::process::setsid();
    }
    let descriptors = raise_descriptor_limit();
    let (catalog, point) = prepare(args, descriptors)?;
    let destination = match &args.log_file {
        Some(path) => logging::Destination::File(path),
        None if args.foreground => logging::Destination::Stderr,
        None => logging::Destination::Syslog,
    };
    logging::start(destination).map_err(|error| match &args.log_file {
        Some(path) => Failure(format!("{}: {error}", path.display())),
        None => Failure::new(error),
    })?;
    // A write beyond RLIMIT_FSIZE is an error then, EFBIG, and not the end.
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let overlays = Overlays::open(args, &catalog)?;
    let catalog = Arc::new(catalog);
    let settings = Settings {
        read_only: args.read_only,
        list_max: args.list_max,
        cache: match args.cache {
            CacheMode::None => Cache::None,
            CacheMode::Pages => Cache::Pages,
        },
        // The variable by which the HDF5 library is told.
        lock: !std::env::var("HDF5_USE_FILE_LOCKING").is_ok_and(|value| ["FALSE", "0"].contains(&value.as_str())),
        shown: Shown { uid: args.uid, gid: args.gid, umask: args.umask },
        // With other users, whoever may not write to the file may not have its changes committed, either.
        readers_write: args.cow && !args.is_shared(),
    };
    let fs = Arc::new(Fs::new(catalog.clone(), settings));
    let options = mount::Options {
        source: args.shown_source(),
        read_only: args.read_only,
        allow_other: args.is_shared(),
        kernel,
        max_read: args.max_read,
        auto_unmount: args.auto_unmount,
    };
    let others = match (args.allow_other, args.allow_root) {
        (true, _) => Others::All { share: descriptors / SHARES },
        (false, true) => Others::Root,
        (false, false) => Others::None,
    };
    // Each has a descriptor, and uses some.
    let threads = u64::from(args.threads).min(descriptors / THREADS).max(1) as usize;
    try_threads(threads + OTHERS)?;
    let (device, mounted) = mount::mount(&point, &options)?;
    catalog.exclude_device(mounted.device);
    let server = match Server::new(fs.clone(), device, threads, others) {
        Ok(server) => server,
        Err(error) => {
            mounted.unmount()?;
            return Err(Failure(format!("{}: the kernel and afbfs do not agree: {error}", point.display())));
        }
    };
    log::info!("{} mounted at {}", args.source.display(), point.display());
    // All other threads are started by this one, with what it has left.
    let unmounter = match confine(args, &catalog, &mounted, overlays.as_ref()) {
        Ok(unmounter) => unmounter,
        Err(failure) => {
            mounted.unmount()?;
            return Err(failure);
        }
    };
    let by_signal = unmounter.clone();
    let started = start("signals", move || unmount_at(&mut signals, &by_signal))
        .and_then(|()| {
            let swept = catalog.clone();
            start("sweeper", move || {
                loop {
                    std::thread::sleep(SWEEP);
                    swept.forget_removed();
                }
            })
        })
        // Fails where the process that was asked is gone: nobody knows of the mount.
        .and_then(|()| if args.background_child { background::detach(&null) } else { Ok(()) });
    if let Err(failure) = started {
        unmounter.unmount()?;
        return Err(failure);
    }
    notify::send(&format!("READY=1\nSTATUS={} mounted at {}", args.source.display(), point.display()));
    let served = server.run();
    notify::send("STOPPING=1\nSTATUS=writing back");
    // Whether somebody unmounted or the connection broke: what was written is written back, and no dead mount stays.
    fs.sync_all();
    unmounter.unmount()?;
    log::info!("{} unmounted", point.display());
    if let Some(overlays) = overlays {
        overlays.close();
    }
    // A connection that was aborted ends the session with an error; the mount is gone either way.
    served.or_else(|error| if error.raw_os_error() == Some(libc::ECONNABORTED) { Ok(()) } else { Err(error) })?;
    Ok(())
}

/// What is written goes here, with `--cow`.
struct Overlays {
    folder: overlay::Folder,
    /// Nothing of it is kept.
    passing: Option<tempfile::TempDir>,
}

impl Overlays {
    /// Opens the folder, if there are to be overlays, and has the store use it.
    fn open(args: &Args, catalog: &Catalog) -> Result<Option<Overlays>, Failure> {
        if !args.cow {
            return Ok(None);
        }
        let (folder, passing) = match &args.cow_dir {
            Some(path) => (overlay::Folder::open(path, catalog.root_path(), true)?, None),
            None => {
                let passing = tempfile::Builder::new().prefix("afbfs-cow-").tempdir()?;
                (overlay::Folder::open(passing.path(), catalog.root_path(), false)?, Some(passing))
            }
        };
        folder.load(true)?;
        catalog.store().cover(folder.shelf.clone());
        Ok(Some(Overlays { folder, passing }))
    }

    /// Removes what is not kept.
    fn close(self) {
        if let Some(passing) = self.passing {
            let path = passing.path().to_owned();
            if let Err(error) = passing.close() {
                log::warn!("{}: cannot be removed: {error}", path.display());
            }
        }
    }
}

/// Tries whether so many threads can be had. Those that are missing after mounting would leave a mount that nobody serves, and that
/// no helper can be started to remove.
fn try_threads(count: usize) -> Result<(), Failure> {
    let gate = Mutex::new(());
    let started = std::thread::scope(|scope| {
        let closed = lock(&gate);
        let wait = || drop(lock(&gate));
        let started = (0..count).try_for_each(|_| std::thread::Builder::new().spawn_scoped(scope, wait).map(|_| ()));
        drop(closed);
        started
    });
    started.map_err(|error| too_few("the threads that serve", &error))
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let started = std::thread::Builder::new().name(name.into()).spawn(work);
    started.map(|_| ()).map_err(|error| too_few(&format!("the thread of {name}"), &error))
}

/// What is said where there are too few processes, or too little memory for another.
pub(super) fn too_few(what: &str, error: &std::io::Error) -> Failure {
    Failure(format!("{what} cannot be started: {error}; allow this user more processes (ulimit -u), or memory"))
}

/// Gives up what serving does not need: see [`privileges`]. Another thread keeps the right to unmount.
fn confine(args: &Args, catalog: &Catalog, mounted: &Mount, overlays: Option<&Overlays>) -> Result<Unmounter, Failure> {
    let unmounter = Unmounter::start(mounted.clone(), (!mounted.by_helper).then(privileges::unmounting))?;
    let kept = match overlays {
        Some(_) => privileges::covered(),
        None => privileges::serving(args.read_only, args.cache == CacheMode::Pages),
    };
    privileges::keep(kept)?;
    if catalog.is_wider_than_source()? {
        log::debug!("files outside of the source stay within reach, as was asked for");
    } else {
        let folder = overlays.map(|overlays| overlays.folder.shelf.folder());
        match privileges::stay_within(catalog.root(), args.read_only, folder) {
            Ok(status) => log::debug!("files outside of the source are out of reach by Landlock: {status:?}"),
            Err(error) => log::warn!("files outside of the source stay within reach: {error}"),
        }
    }
    Ok(unmounter)
}

/// Unmounts at the first signal. At a second one the process ends, should a detached mount still be in use.
fn unmount_at(signals: &mut Signals, unmounter: &Unmounter) {
    let mut first = true;
    for signal in signals.forever() {
        log::info!("signal {signal}: unmounting");
        if !first {
            std::process::exit(1);
        }
        first = false;
        if let Err(Failure(error)) = unmounter.unmount() {
            log::error!("{error}");
        }
    }
}

/// Handles pin descriptors, so as many as allowed are wanted. Gives how many that are.
fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    match rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            log::debug!("the limit of open files stays: {error}");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}
