//! `afbfs mount`: checks what was asked, mounts, and serves; in the background, once the mount answers.
//!
//! The background process is this program started anew, before it has any thread: it reports on its standard
//! output that the mount answers, or fails with a message on the standard error that it shares with its
//! parent. So the parent's exit status is true, and no fork is needed.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::machines::Machines;
use super::unmounter::Unmounter;
use super::{Failure, SourceArgs, absolute, fstab, logging, privileges};
use crate::catalog::{self, Catalog};
use crate::fs::{Cache, Fs, Settings};
use crate::fuse::Server;
use crate::mount::{self, Mount, is_within};
use crate::store::{Limits, Store, lock};

/// For how long the background process may take to mount.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often files that were removed are let go.
const SWEEP: Duration = Duration::from_secs(1);
/// Each user but the one who mounts may have so many-th a part of the descriptors open.
const SHARES: u64 = 4;
/// There is a thread that serves for so many descriptors, if there are not more than were asked for.
const THREADS: u64 = 8;
/// What is started beside those: the threads that drop pages, unmount, wait for signals, sweep, and wait for locks, and a helper that
/// unmounts.
const OTHERS: usize = 6;
/// What it writes once the mount answers.
const READY: &[u8] = b"ready\n";

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
    /// Other machines write to SOURCE, too, which lies on a file system that they share: whoever opens a slice sees what was closed
    /// or synced before on any of them, no byte is written back that was not written here, and locks hold for all
    #[arg(long, overrides_with = "no_shared")]
    shared: bool,
    /// No other machine writes to SOURCE, though it lies on a file system that machines share
    #[arg(long, overrides_with = "shared")]
    no_shared: bool,
    /// Log to this file instead of syslog (or standard error, in the foreground)
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Options as in /etc/fstab, separated by commas: ro, allow_other, follow_links, threads=N, list_max=N,
    /// cache=MODE, fetch_gap=SIZE, update_checksums, shared, no_shared, noexec, noatime, nodiratime; those for mount(8) and systemd are ignored
    #[arg(short = 'o', value_name = "OPTIONS", value_parser = parse_options)]
    options: Vec<Options>,
    #[command(flatten)]
    source_args: SourceArgs,
    /// Report on standard output that the mount answers: set by the process in the foreground
    #[arg(long, hide = true)]
    background_child: bool,
}

/// A number of bytes, with K, M or G for the powers of 1024.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("K", 10), ("k", 10), ("M", 20), ("m", 20), ("G", 30), ("g", 30)];
    let with_unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = with_unit.unwrap_or((text, 0));
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let size = number.and_then(|number: u64| number.checked_mul(1 << shift));
    size.ok_or_else(|| format!("{text}: is no size; write bytes, or 64K, 1M, 1G"))
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
            fstab::Item::ReadOnly => args.read_only = true,
            fstab::Item::AllowOther => args.allow_other = true,
            fstab::Item::FollowLinks => args.source_args.follow_links = true,
            fstab::Item::Threads(threads) => args.threads = threads,
            fstab::Item::ListMax(most) => args.list_max = most,
            fstab::Item::FetchGap(gap) => args.fetch_gap = gap,
            fstab::Item::UpdateChecksums => args.update_checksums = true,
            fstab::Item::Cache(mode) => args.cache = mode,
            fstab::Item::Shared(shared) => (args.shared, args.no_shared) = (shared, !shared),
            fstab::Item::Kernel(option) => kernel.push(option),
        }
    }
    (args, kernel)
}

/// Twice the cores, so that a request that waits for the disk does not hold up the others.
fn default_threads() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (2 * cores).clamp(4, 16) as u16
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let (args, kernel) = settle(args);
    if args.foreground || args.background_child {
        return serve(&args, kernel);
    }
    // What can be known beforehand is said at once, by the process that was asked.
    prepare(&args, raise_descriptor_limit())?;
    start_background()
}

/// Everything but mounting: opens the source, and checks that the two places can go together.
fn prepare(args: &Args, descriptors: u64) -> Result<(Catalog, PathBuf), Failure> {
    let point = mount_point(&args.mountpoint)?;
    let machines = machines_of(args);
    machines.check(&args.source, args.update_checksums)?;
    let limits = Limits { gap: args.fetch_gap, remote: machines.several, ..Limits::of_process(descriptors) };
    let options = catalog::Options {
        update_checksums: args.update_checksums,
        ..args.source_args.catalog_options(args.allow_other)
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
    Ok((catalog, point))
}

fn machines_of(args: &Args) -> Machines {
    Machines::of(&args.source, (args.shared || args.no_shared).then_some(args.shared))
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

fn start_background() -> Result<(), Failure> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).chain(["--background-child".into()]).collect();
    // By its path, so that the process has the name of the program; by way of /proc should that be gone.
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let mut child = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()))
        .arg0("afbfs")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| too_few("the process in the background", &error))?;
    let Some(mut report) = child.stdout.take() else { return Err(Failure::new("no pipe to the background process")) };
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while said != READY {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let waited = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&report, PollFlags::IN)], Some(&timeout)))?;
        if waited == 0 {
            child.kill()?;
            child.wait()?;
            return Err(Failure(format!("the mount did not answer within {} seconds", PATIENCE.as_secs())));
        }
        let mut buffer = [0; 16];
        match report.read(&mut buffer)? {
            // It has said why on standard error.
            0 => std::process::exit(child.wait()?.code().unwrap_or(1)),
            count => said.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
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
    };
    let fs = Arc::new(Fs::new(catalog.clone(), settings));
    let options = mount::Options {
        source: absolute(&args.source),
        read_only: args.read_only,
        allow_other: args.allow_other,
        kernel,
    };
    let share = args.allow_other.then_some(descriptors / SHARES);
    // Each has a descriptor, and uses some.
    let threads = u64::from(args.threads).min(descriptors / THREADS).max(1) as usize;
    try_threads(threads + OTHERS)?;
    let (device, mounted) = mount::mount(&point, &options)?;
    catalog.exclude_device(mounted.device);
    let mut server = match Server::new(fs.clone(), device, threads, share) {
        Ok(server) => server,
        Err(error) => {
            mounted.unmount()?;
            return Err(Failure(format!("{}: the kernel and afbfs do not agree: {error}", point.display())));
        }
    };
    log::info!("{} mounted at {}", args.source.display(), point.display());
    machines_of(args).log(&args.source);
    if catalog.store().is_remote()
        && let Err(failure) = start_locks(&mut server)
    {
        mounted.unmount()?;
        return Err(failure);
    }
    // All other threads are started by this one, with what it has left.
    let unmounter = match confine(args, &catalog, &mounted) {
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
        .and_then(|()| if args.background_child { detach(&null) } else { Ok(()) });
    if let Err(failure) = started {
        unmounter.unmount()?;
        return Err(failure);
    }
    let served = server.run();
    // Whether somebody unmounted or the connection broke: what was written is written back, and no dead mount stays.
    fs.sync_all();
    unmounter.unmount()?;
    log::info!("{} unmounted", point.display());
    // A connection that was aborted ends the session with an error; the mount is gone either way.
    served.or_else(|error| if error.raw_os_error() == Some(libc::ECONNABORTED) { Ok(()) } else { Err(error) })?;
    Ok(())
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

/// Starts the thread that serves those who wait for a lock. It has no capability.
fn start_locks(server: &mut Server) -> Result<(), Failure> {
    let serve = server.lock_service();
    let (started, outcome) = std::sync::mpsc::channel();
    start("locks", move || {
        let kept = privileges::keep(privileges::NONE);
        let stays = kept.is_ok();
        // Whoever started it waits for it.
        let _ = started.send(kept);
        if stays {
            serve();
        }
    })?;
    outcome.recv().map_err(Failure::new)?.map_err(Failure::new)
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
fn confine(args: &Args, catalog: &Catalog, mounted: &Mount) -> Result<Unmounter, Failure> {
    let unmounter = Unmounter::start(mounted.clone(), (!mounted.by_helper).then(privileges::unmounting))?;
    privileges::keep(privileges::serving(args.read_only, args.cache == CacheMode::Pages))?;
    if catalog.is_wider_than_source()? {
        log::debug!("files outside of the source stay within reach, as was asked for");
    } else {
        match privileges::stay_within(catalog.root(), args.read_only) {
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

/// Tells the parent that the mount answers, and lets go of the terminal and the current folder.
fn detach(null: &std::fs::File) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    stdout.write_all(READY)?;
    stdout.flush()?;
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    rustix::stdio::dup2_stderr(null)?;
    std::env::set_current_dir("/")?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes() {
        for (text, size) in [("0", 0), ("512", 512), ("64K", 65536), ("1m", 1 << 20), ("3G", 3 << 30)] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for text in ["", "K", "5é", "1T", "-1", "+1", "1.5M", "99999999999G", "64 K"] {
            assert!(parse_size(text).unwrap_err().contains("is no size"), "{text}");
        }
    }
}
