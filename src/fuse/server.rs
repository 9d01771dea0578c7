//! The session: the handshake, the event loops, and the thread that drops cached pages.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuser::{
    Config, INodeNo, InitFlags, KernelConfig, Notifier, ReplyAttr, ReplyEmpty, ReplyWrite, Session, SessionACL,
};

use super::convert::file_attr;
use super::locks::{self, Waiting};
use super::shares::Shares;
use super::{Adapter, Result, TTL};
use crate::fs::{Attr, Begun, Cached, Fs, Op, Source, Truncated, Written};
use crate::store::{has_room_for_a_thread, lock};

/// Requests that may wait in the kernel before it holds background ones back.
const BACKGROUND: u16 = 64;

/// Who is let in beside the user who mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nobody.
    None,
    /// Root.
    Root,
    /// All, of whom each may have so much open.
    All {
        /// Number of handles.
        share: u64,
    },
}

/// A mount that answers, ready to serve.
#[derive(Debug)]
pub struct Server {
    session: Session<Adapter>,
    adapter: Adapter,
    jobs: Receiver<Job>,
    waits: Receiver<Waiting>,
}

impl Server {
    /// Shakes hands with the kernel over a descriptor of `/dev/fuse` that is mounted. Afterwards the mount answers.
    ///
    /// # Errors
    /// If the kernel is too old, or the mount is gone already.
    pub fn new(fs: Arc<Fs>, device: OwnedFd, threads: usize, others: Others) -> std::io::Result<Server> {
        let ((sender, jobs), (waiter, waits)) = (channel(), channel());
        let share = if let Others::All { share } = others { Some(share) } else { None };
        let adapter = Adapter::new(fs, sender, waiter, Shares::new(share));
        let mut config = Config::default();
        config.n_threads = Some(threads);
        config.clone_fd = threads > 1;
        let acl = match others {
            Others::None => SessionACL::Owner,
            Others::Root => SessionACL::RootAndOwner,
            Others::All { .. } => SessionACL::All,
        };
        config.acl = acl;
        let session = Session::from_fd(adapter.clone(), device, acl, config)?;
        Ok(Server { session, adapter, jobs, waits })
    }

    /// What a thread has to do that is not kept within the source, if locks are to reach other machines: it serves those who wait
    /// for one, and looks at `/proc` for whether they still do.
    pub fn lock_service(&mut self) -> impl FnOnce() + Send + 'static {
        let waits = std::mem::replace(&mut self.waits, channel().1);
        let adapter = self.adapter.clone();
        move || locks::serve(&adapter, &waits)
    }

    /// Serves requests until the file system is unmounted.
    ///
    /// # Errors
    /// What reading requests met.
    pub fn run(self) -> std::io::Result<()> {
        let notifier = self.session.notifier();
        let (adapter, jobs) = (self.adapter, self.jobs);
        std::thread::Builder::new().name("notifier".into()).spawn(move || work(&adapter, &notifier, &jobs))?;
        self.session.run()
    }
}

/// Asks the kernel for what serves here, as far as it offers it. Gives whether files may be passed through.
pub(super) fn negotiate(config: &mut KernelConfig, remote: bool) -> bool {
    let mut wanted = InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP
        | InitFlags::FUSE_POSIX_ACL
        | InitFlags::FUSE_PASSTHROUGH
        | InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_ASYNC_DIO;
    if remote {
        wanted |= InitFlags::FUSE_POSIX_LOCKS | InitFlags::FUSE_FLOCK_LOCKS;
    }
    // What the kernel does not offer is done without.
    let offered = wanted & config.capabilities();
    if let Err(missing) = config.add_capabilities(offered) {
        log::warn!("the kernel refuses {missing:?}");
    }
    if !offered.contains(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP) {
        log::warn!("this kernel cannot map files shared that are read directly (Linux 6.6 can)");
    }
    // One level: the array file's own file system must not be stacked itself.
    let passthrough = offered.contains(InitFlags::FUSE_PASSTHROUGH) && config.set_max_stack_depth(1).is_ok();
    if let Err(nearest) = config.set_max_background(BACKGROUND) {
        log::debug!("max_background: the nearest value is {nearest}");
    }
    passthrough
}

/// Does what may take long in a thread of its own; in this one, if there is none to be had.
pub(super) fn apart(work: impl FnOnce() + Send + 'static) {
    let work = Arc::new(Mutex::new(Some(work)));
    let theirs = work.clone();
    let run = move || {
        let work = lock(&theirs).take();
        if let Some(work) = work {
            work();
        }
    };
    let is_started = has_room_for_a_thread() && std::thread::Builder::new().spawn(run).is_ok();
    if !is_started && let Some(work) = { lock(&work).take() } {
        work();
    }
}

/// How often a write is put off while other programs have its pages cached again and again.
const PATIENCE: usize = 100;

/// A write, to be tried again.
pub(super) type Write = dyn Fn(&Fs, Source) -> Result<Written> + Send;

/// A flush or an fsync of a handle, to be tried again.
pub(super) type Flush = fn(&Fs, u64, Source) -> Result<Vec<Cached>>;

/// What is done beside the event loops, since it may wait for them.
pub(super) enum Job {
    /// Pages are dropped.
    Drop(Vec<Cached>),
    /// Pages are dropped, and then the write is done that waits for it.
    Write(Begun, Vec<Cached>, Box<Write>, ReplyWrite),
    /// Pages are dropped, and then what waits in a handle is stored.
    Flush(Vec<Cached>, Flush, u64, ReplyEmpty),
    /// Pages are dropped or filled with zeros for a truncation of an inode, and then whoever answers it is told.
    Truncate(u64, Truncated, Sender<()>),
    /// A request is answered once the pages are dropped that are to be dropped by now.
    Answer(ReplyEmpty),
    /// The kernel forgets a name in a folder.
    Forget(u64, Box<str>),
}

fn work(adapter: &Adapter, notifier: &Notifier, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Drop(cached) => drop_pages(adapter, notifier, &cached),
            Job::Write(begun, cached, write, reply) => {
                drop_pages(adapter, notifier, &cached);
                write_again(adapter, notifier, &write, reply);
                adapter.fs.end(begun);
            }
            Job::Flush(cached, flush, handle, reply) => {
                drop_pages(adapter, notifier, &cached);
                flush_again(adapter, notifier, flush, handle, reply);
            }
            Job::Truncate(inode, truncated, done) => {
                show_zeros(adapter, notifier, inode, truncated);
                adapter.truncating.store(false, Ordering::Release);
                // Nobody listens any more if it took too long.
                let _ = done.send(());
            }
            Job::Answer(reply) => reply.ok(),
            Job::Forget(folder, name) => {
                // What it does not know any more need not be forgotten.
                let _ = notifier.inval_entry(INodeNo(folder), name.as_ref().as_ref());
            }
        }
    }
}

fn write_again(adapter: &Adapter, notifier: &Notifier, write: &Write, reply: ReplyWrite) {
    let mut tries = 0;
    let outcome = loop {
        tries += 1;
        let source = if tries < PATIENCE { Source::Direct } else { Source::Insistent };
        match adapter.attempt(|fs| write(fs, source)) {
            Ok(written) if written.is_put_off() => drop_pages(adapter, notifier, &written.cached),
            outcome => break outcome,
        }
    };
    match outcome {
        Ok(written) => {
            drop_pages(adapter, notifier, &written.cached);
            reply.written(written.count as u32);
        }
        Err(error) => reply.error(error),
    }
}

/// Zeros for pages of a file that was truncated and made longer again.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// So many bytes of zeros are put into pages at most.
const STORED: u64 = 1 << 20;

/// For how long a truncation waits for pages.
const HELD: Duration = Duration::from_secs(1);

impl Adapter {
    /// Answers a truncation, once the kernel's pages show the zeros that it brought.
    ///
    /// Until then the kernel writes no page of the file back, and whoever waits for that may hold a page that we wait for: another
    /// truncation that drops pages of this file, or a program that stores to a page of it. So only one truncation at a time
    /// waits for pages, and that for a while only.
    pub(super) fn truncated(&self, attr: Attr, truncated: Truncated, reply: ReplyAttr) {
        let Truncated { zeros, cached } = &truncated;
        let is_short = zeros.end - zeros.start <= STORED || cached.iter().all(|cached| cached.inode != attr.inode);
        if cached.is_empty() || !is_short || self.truncating.swap(true, Ordering::AcqRel) {
            reply.attr(&TTL, &file_attr(&attr));
            return self.drop_pages(truncated.cached);
        }
        let (done, wait) = channel();
        self.send(Job::Truncate(attr.inode, truncated, done));
        apart(move || {
            let _ = wait.recv_timeout(HELD);
            reply.attr(&TTL, &file_attr(&attr));
        });
    }

    /// Flushes or syncs a handle, and answers when the pages are dropped that are in its way or that show what was written
    /// back before.
    pub(super) fn flushed(&self, op: Op, flush: Flush, handle: u64, reply: ReplyEmpty) {
        match self.call(op, |fs| Ok((flush(fs, handle, Source::Direct)?, fs.keeps_pages()))) {
            Ok((cached, _)) if !cached.is_empty() => self.send(Job::Flush(cached, flush, handle, reply)),
            Ok((_, true)) => self.send(Job::Answer(reply)),
            Ok((_, false)) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}

fn show_zeros(adapter: &Adapter, notifier: &Notifier, inode: u64, truncated: Truncated) {
    let Truncated { zeros, cached } = truncated;
    let (own, others): (Vec<_>, Vec<_>) = cached.into_iter().partition(|cached| cached.inode == inode);
    drop_pages(adapter, notifier, &others);
    for cached in own {
        adapter.fs.keeps_again(&cached);
        for start in zeros.clone().step_by(ZEROS.len()) {
            let len = (zeros.end - start).min(ZEROS.len() as u64) as usize;
            if let Err(error) = notifier.store(INodeNo(inode), start, &ZEROS[..len]) {
                log::warn!("inode {inode}: zeros in cached pages: {error}");
            }
        }
    }
}

fn flush_again(adapter: &Adapter, notifier: &Notifier, flush: Flush, handle: u64, reply: ReplyEmpty) {
    let mut tries = 0;
    loop {
        tries += 1;
        let source = if tries < PATIENCE { Source::Direct } else { Source::Insistent };
        match adapter.attempt(|fs| flush(fs, handle, source)) {
            Ok(cached) if !cached.is_empty() => drop_pages(adapter, notifier, &cached),
            Ok(_) => return reply.ok(),
            Err(error) => return reply.error(error),
        }
    }
}

fn drop_pages(adapter: &Adapter, notifier: &Notifier, cached: &[Cached]) {
    for Cached { inode, .. } in cached {
        // An inode that the kernel has forgotten has no pages.
        if let Err(error) = notifier.inval_inode(INodeNo(*inode), 0, 0)
            && error.raw_os_error() != Some(libc::ENOENT)
        {
            log::warn!("inode {inode}: dropping cached pages: {error}");
        }
    }
    // Nobody waits for an answer.
    let _ = adapter.attempt(|fs| {
        fs.dropped(cached);
        Ok(())
    });
}
