//! The thin adapter to FUSE: each callback converts, calls the file system, replies. Nothing else names `fuser`.
//!
//! *Capabilities.* Views are opened for direct I/O, so that programs' reads and writes pass the page cache by;
//! `DIRECT_IO_ALLOW_MMAP` makes shared mappings possible all the same. `POSIX_ACL` has the kernel check ACLs.
//! Never `ATOMIC_O_TRUNC`: with it, opening a view for truncation makes SIGBUS in other programs' mappings of it.
//! No readdirplus: it would make an inode of every listed name.
//!
//! *Passthrough.* Where a view is the whole array file (`data` of a raw file), the kernel reads that file itself, if it can
//! and the process may (`CAP_SYS_ADMIN`): as fast as the file, with no request.
//!
//! *Locks* of programs are kept by the kernel, unless other machines are to meet them: then they come here (`locks`).
//!
//! *Names* of slices and ranges that were looked up long ago are forgotten on demand of the thread that drops pages.
//!
//! *Cached pages.* A write whose bytes are in the kernel's cache is put off ([`Written::is_put_off`](crate::fs::Written::is_put_off)): a thread of its own
//! has those pages dropped and does it then. Dropping dirty pages makes the kernel write them back first, which the event
//! loops must be free to serve; so they never wait for it. A page written back is answered before pages are dropped, but not
//! the fsync of msync. Until a truncation is answered, the kernel holds back the writing of the file's own pages: zeros are put
//! into these instead, and only the pages of other files are dropped first; for a second at most, as waiting for them may end in a
//! circle.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags, ReplyAttr,
    ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek,
    ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use crate::fs::{Access, Changes, Fs, Op, Opened, Source};

mod convert;
mod counted;
mod locks;
mod passthrough;
mod probe;
mod replies;
mod server;
mod shares;

pub use probe::{Offer, probe};
pub use server::{Others, Server};

use convert::{file_attr, file_type, reply_empty, reply_xattr, set_time};
use locks::{Waiting, wanted};
use passthrough::Backings;
use server::{Job, Write, apart, negotiate};
use shares::Shares;

/// For how long the kernel may believe a name or an attribute.
const TTL: Duration = Duration::from_secs(1);

/// Bytes that are copied at once from one file to another.
const COPY: u64 = 8 << 20;

/// How a file is opened whose requests all come here.
const DIRECT: FopenFlags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES);

type Result<T> = std::result::Result<T, rustix::io::Errno>;

#[derive(Clone, Debug)]
struct Adapter {
    fs: Arc<Fs>,
    jobs: Sender<Job>,
    /// Where those go who wait for a lock.
    waits: Sender<Waiting>,
    backings: Arc<Backings>,
    /// Whether files may be passed through: until the kernel refuses it once.
    passthrough: Arc<AtomicBool>,
    shares: Arc<Shares>,
    /// Whether a truncation waits for pages.
    truncating: Arc<AtomicBool>,
}

impl Adapter {
    fn new(fs: Arc<Fs>, jobs: Sender<Job>, waits: Sender<Waiting>, shares: Shares) -> Adapter {
        let (backings, passthrough, truncating) = Default::default();
        Adapter { fs, jobs, waits, backings, passthrough, shares: Arc::new(shares), truncating }
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let passthrough = negotiate(config, self.fs.is_remote());
        self.passthrough.store(passthrough, Ordering::Relaxed);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let begun = self.fs.begin(Op::Lookup);
        let found = self.attempt(|fs| {
            let attr = fs.lookup(parent.0, name)?;
            Ok((attr, fs.outdated_by(attr.inode, parent.0, name)))
        });
        match found {
            Ok((attr, outdated)) => {
                reply.entry(&TTL, &file_attr(&attr), Generation(0));
                if let Some((folder, name)) = outdated {
                    self.send(Job::Forget(folder, name));
                }
            }
            Err(error) => reply.error(error),
        }
        self.fs.end(begun);
    }

    fn forget(&self, _req: &Request, inode: INodeNo, references: u64) {
        // There is no reply that could carry an error.
        let _ = self.run(Op::Forget, |fs| fs.forget(inode.0, references));
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.call(Op::Getattr, |fs| fs.getattr(inode.0)) {
            Ok(attr) => reply.attr(&TTL, &file_attr(&attr)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes { mode, uid, gid, size, atime: set_time(atime), mtime: set_time(mtime) };
        match self.call(Op::Setattr, |fs| fs.setattr(inode.0, &changes, handle.map(|handle| handle.0))) {
            Ok((attr, truncated)) => self.truncated(attr, truncated, reply),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let access = Access {
            write: flags.acc_mode() != OpenAccMode::O_RDONLY,
            // O_SYNC includes the bit of O_DSYNC.
            sync: flags.0 & libc::O_DSYNC != 0,
        };
        let (user, begun) = (req.uid(), self.fs.begin(Op::Open));
        let open = move |adapter: &Adapter, reply: ReplyOpen| {
            let opened = adapter.call_to_open(user, |opened: &Opened| opened.handle, |fs| fs.open(inode.0, access));
            match opened {
                Ok(opened) => adapter.opened(inode.0, access.write, opened, reply),
                Err(error) => reply.error(error),
            }
            adapter.fs.end(begun);
        };
        if self.fs.is_slow_to_open(inode.0) {
            let adapter = self.clone();
            apart(move || open(&adapter, reply));
        } else {
            open(self, reply);
        }
    }

    fn read(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // Only reads that fill the page cache carry no lock owner.
        let source = if lock_owner.is_some() { Source::Direct } else { Source::PageCache };
        let (mut reply, begun) = (Some(reply), self.fs.begin(Op::Read));
        let outcome = self.attempt(|fs| {
            fs.read(handle.0, offset, size as usize, source, |bytes| {
                if let Some(reply) = reply.take() {
                    reply.data(bytes);
                }
            })
        });
        if let (Err(error), Some(reply)) = (outcome, reply) {
            reply.error(error);
        }
        self.fs.end(begun);
    }

    fn write(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let begun = self.fs.begin(Op::Write);
        let from_cache = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let source = if from_cache { Source::PageCache } else { Source::Direct };
        let again = || -> Box<Write> {
            let data = data.to_vec();
            Box::new(move |fs, source| fs.write(handle.0, offset, &data, source))
        };
        self.written(begun, self.attempt(|fs| fs.write(handle.0, offset, data, source)), again, reply);
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _inode_in: INodeNo,
        handle_in: FileHandle,
        offset_in: u64,
        _inode_out: INodeNo,
        handle_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let begun = self.fs.begin(Op::CopyFileRange);
        // Whoever wants more asks again; others are not to wait for long meanwhile.
        let len = len.min(COPY);
        let copy = move |fs: &Fs, source| fs.copy((handle_in.0, offset_in), (handle_out.0, offset_out), len, source);
        self.written(begun, self.attempt(|fs| copy(fs, Source::Direct)), || Box::new(copy), reply);
    }

    fn flush(&self, _req: &Request, _inode: INodeNo, handle: FileHandle, owner: LockOwner, reply: ReplyEmpty) {
        if self.fs.is_remote() {
            self.fs.closes(handle.0, owner.0);
        }
        self.flushed(Op::Flush, Fs::flush, handle.0, reply);
    }

    fn release(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.released(inode.0);
        self.shares.closing(handle.0);
        let outcome = self.call(Op::Release, |fs| Ok(fs.release(handle.0)));
        reply_empty(outcome.map(|cached| self.drop_pages(cached)), reply);
    }

    fn fsync(&self, _req: &Request, _inode: INodeNo, handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.flushed(Op::Fsync, Fs::fsync, handle.0, reply);
    }

    fn opendir(&self, req: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.fs.count(Op::Opendir);
        match self.call_to_open(req.uid(), |&handle| handle, |fs| fs.opendir(inode.0)) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _req: &Request, _inode: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let outcome = self.call(Op::Readdir, |fs| {
            fs.readdir(handle.0, offset, &mut |entry| {
                !reply.add(INodeNo(entry.inode), entry.next, file_type(entry.kind), entry.name)
            })
        });
        match outcome {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn releasedir(&self, _req: &Request, _inode: INodeNo, handle: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.shares.closing(handle.0);
        reply_empty(self.run(Op::Releasedir, |fs| fs.releasedir(handle.0)), reply);
    }

    fn fsyncdir(&self, _req: &Request, _inode: INodeNo, _handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.fs.count(Op::Fsyncdir);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        match self.call(Op::Statfs, Fs::statfs) {
            Ok(s) => reply.statfs(
                s.f_blocks,
                s.f_bfree,
                s.f_bavail,
                s.f_files,
                s.f_ffree,
                s.f_bsize as u32,
                s.f_namemax as u32,
                s.f_frsize as u32,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn getxattr(&self, _req: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        reply_xattr(self.call(Op::Getxattr, |fs| fs.getxattr(inode.0, name)), size, reply);
    }

    fn listxattr(&self, _req: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        reply_xattr(self.call(Op::Listxattr, |fs| fs.listxattr(inode.0)), size, reply);
    }

    fn setxattr(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(Op::Setxattr, Errno::EOPNOTSUPP));
    }

    fn removexattr(&self, _req: &Request, _inode: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(Op::Removexattr, Errno::EOPNOTSUPP));
    }

    fn lseek(&self, _req: &Request, _inode: INodeNo, handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let outcome = self.call(Op::Lseek, |fs| {
            let offset = u64::try_from(offset).map_err(|_| rustix::io::Errno::NXIO)?;
            match whence {
                libc::SEEK_DATA => fs.seek(handle.0, offset, false),
                libc::SEEK_HOLE => fs.seek(handle.0, offset, true),
                _ => Err(rustix::io::Errno::INVAL),
            }
        });
        match outcome {
            Ok(found) => reply.offset(found as i64),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        reply_empty(self.call(Op::Fallocate, |fs| fs.allocate(handle.0, offset, len, mode)), reply);
    }

    fn getlk(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        owner: LockOwner,
        first: u64,
        last: u64,
        kind: i32,
        process: u32,
        reply: ReplyLock,
    ) {
        self.get_lock(handle.0, &wanted(owner.0, process, kind, (first, last)), (first, last), reply);
    }

    fn setlk(
        &self,
        req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        owner: LockOwner,
        first: u64,
        last: u64,
        kind: i32,
        process: u32,
        wait: bool,
        reply: ReplyEmpty,
    ) {
        self.set_lock(handle.0, wanted(owner.0, process, kind, (first, last)), wait.then(|| req.pid()), reply);
    }

    fn create(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(self.refuse(Op::Create, Errno::EPERM));
    }

    fn mknod(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(Op::Mknod, Errno::EPERM));
    }

    fn mkdir(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        reply.error(self.refuse(Op::Mkdir, Errno::EPERM));
    }

    fn symlink(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, _target: &std::path::Path, reply: ReplyEntry) {
        reply.error(self.refuse(Op::Symlink, Errno::EPERM));
    }

    fn link(&self, _req: &Request, _inode: INodeNo, _parent: INodeNo, _name: &OsStr, reply: ReplyEntry) {
        reply.error(self.refuse(Op::Link, Errno::EPERM));
    }

    fn unlink(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(Op::Unlink, Errno::EPERM));
    }

    fn rmdir(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(Op::Rmdir, Errno::EPERM));
    }

    fn rename(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(Op::Rename, Errno::EPERM));
    }

    fn readlink(&self, _req: &Request, _inode: INodeNo, reply: ReplyData) {
        reply.error(self.refuse(Op::Readlink, Errno::EINVAL));
    }

    fn ioctl(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(self.decline(Op::Ioctl, Errno::ENOTTY));
    }

    fn bmap(&self, _req: &Request, _inode: INodeNo, _block_size: u32, _index: u64, reply: ReplyBmap) {
        reply.error(self.decline(Op::Bmap, Errno::ENOSYS));
    }

    fn poll(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        // The kernel asks once and then takes files as always ready.
        reply.error(self.decline(Op::Poll, Errno::ENOSYS));
    }
}

#[cfg(test)]
mod tests;
