//! A disk that fails on demand: a file system that shows the files of a folder, and refuses what it is told to refuse.
//!
//! `faulty-fuse FOLDER MOUNTPOINT RULES` reads the file RULES anew for each request. Each line of it is a rule of five
//! words, `OPERATION NAME START END ANSWER`: the operation (`lookup`, `getattr`, `open`, `read`, `write`, `fsync`) of the file NAME
//! is answered with an errno, given as a number, where it touches a byte from START to END. Operations that touch no
//! bytes count as touching the first. Where ANSWER is `wait`, the request waits until there is no such rule any more. A
//! rule `direct NAME 0 1 yes` has the file opened without the page cache, so that it cannot be mapped.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

/// Nothing is believed for longer than the moment: the folder is looked at each time.
const TTL: Duration = Duration::ZERO;
/// Requests that may wait at the same time.
const THREADS: usize = 16;
const GENERATION: Generation = Generation(0);

type Answer<T> = Result<T, Errno>;

struct Faulty {
    folder: PathBuf,
    rules: PathBuf,
    names: Mutex<HashMap<u64, OsString>>,
    files: Mutex<HashMap<u64, Arc<File>>>,
    opened: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faulty {
    /// What the rules say of an operation on these bytes: an error, or to wait, or nothing.
    fn rule(&self, operation: &str, name: &OsStr, start: u64, len: u64) -> Option<String> {
        let rules = fs::read_to_string(&self.rules).unwrap_or_default();
        rules.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[of, file, low, high, answer] = &words[..] else { return None };
            let touches = start < high.parse().ok()? && start + len > low.parse().ok()?;
            (of == operation && name == file && touches).then(|| answer.to_owned())
        })
    }

    fn check(&self, operation: &str, name: &OsStr, start: u64, len: u64) -> Answer<()> {
        loop {
            match self.rule(operation, name, start, len).as_deref() {
                None => return Ok(()),
                Some("wait") => std::thread::sleep(Duration::from_millis(2)),
                Some(number) => return Err(number.parse().map_or(Errno::EINVAL, Errno::from_i32)),
            }
        }
    }

    fn name(&self, inode: INodeNo) -> OsString {
        // The root is the folder itself.
        lock(&self.names).get(&inode.0).cloned().unwrap_or_default()
    }

    fn attr(&self, name: &OsStr) -> Answer<FileAttr> {
        let is_root = name.is_empty();
        let found = if is_root { fs::metadata(&self.folder) } else { fs::symlink_metadata(self.folder.join(name)) };
        let found = found?;
        let inode = if is_root { INodeNo::ROOT } else { INodeNo(found.ino()) };
        if !is_root {
            lock(&self.names).insert(inode.0, name.to_owned());
        }
        Ok(FileAttr {
            ino: inode,
            size: found.size(),
            blocks: found.blocks(),
            atime: UNIX_EPOCH,
            mtime: found.modified().unwrap_or(UNIX_EPOCH),
            ctime: changed(&found),
            crtime: UNIX_EPOCH,
            kind: if found.is_dir() { FileType::Directory } else { FileType::RegularFile },
            perm: found.mode() as u16 & 0o7777,
            nlink: found.nlink() as u32,
            uid: found.uid(),
            gid: found.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn file(&self, handle: FileHandle) -> Answer<Arc<File>> {
        lock(&self.files).get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn open_file(&self, inode: INodeNo, write: bool) -> Answer<(FileHandle, FopenFlags)> {
        let name = self.name(inode);
        self.check("open", &name, 0, 1)?;
        let file = File::options().read(true).write(write).open(self.folder.join(&name))?;
        let handle = self.opened.fetch_add(1, Ordering::Relaxed);
        lock(&self.files).insert(handle, Arc::new(file));
        let is_direct = self.rule("direct", &name, 0, 1).is_some();
        let flags = if is_direct { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE };
        Ok((FileHandle(handle), flags))
    }

    fn read_file(&self, inode: INodeNo, handle: FileHandle, offset: u64, size: u32) -> Answer<Vec<u8>> {
        self.check("read", &self.name(inode), offset, u64::from(size))?;
        let file = self.file(handle)?;
        let mut buffer = vec![0; size as usize];
        let mut done = 0;
        while done < buffer.len() {
            match file.read_at(&mut buffer[done..], offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        buffer.truncate(done);
        Ok(buffer)
    }

    fn write_file(&self, inode: INodeNo, handle: FileHandle, offset: u64, data: &[u8]) -> Answer<()> {
        self.check("write", &self.name(inode), offset, data.len() as u64)?;
        Ok(self.file(handle)?.write_all_at(data, offset)?)
    }

    fn sync_file(&self, inode: INodeNo, handle: FileHandle) -> Answer<()> {
        self.check("fsync", &self.name(inode), 0, 1)?;
        Ok(self.file(handle)?.sync_data()?)
    }
}

fn changed(found: &Metadata) -> SystemTime {
    UNIX_EPOCH + Duration::new(found.ctime() as u64, found.ctime_nsec() as u32)
}

impl Filesystem for Faulty {
    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.check("lookup", name, 0, 1).and_then(|()| self.attr(name)) {
            Ok(attr) => reply.entry(&TTL, &attr, GENERATION),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        let name = self.name(inode);
        match self.check("getattr", &name, 0, 1).and_then(|()| self.attr(&name)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        // Times are those of the folder's file, whatever else is asked for.
        match (size, self.attr(&self.name(inode))) {
            (None, Ok(attr)) => reply.attr(&TTL, &attr),
            (None, Err(error)) => reply.error(error),
            (Some(_), _) => reply.error(Errno::EPERM),
        }
    }

    fn open(&self, _req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_file(inode, flags.acc_mode() != OpenAccMode::O_RDONLY) {
            Ok((handle, flags)) => reply.opened(handle, flags),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_file(inode, handle, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _req: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_file(inode, handle, offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _req: &Request, _inode: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _req: &Request, inode: INodeNo, handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        match self.sync_file(inode, handle) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _req: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        lock(&self.files).remove(&handle.0);
        reply.ok();
    }

    fn readdir(&self, _req: &Request, _inode: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for (at, entry) in entries.enumerate().skip(offset as usize) {
            let inode = entry.metadata().map_or(0, |found| found.ino());
            if reply.add(INodeNo(inode), at as u64 + 1, FileType::RegularFile, entry.file_name()) {
                break;
            }
        }
        reply.ok();
    }
}

fn main() -> io::Result<()> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [folder, mountpoint, rules] = &words[..] else {
        return Err(io::Error::other("usage: faulty-fuse FOLDER MOUNTPOINT RULES"));
    };
    let (names, files) = (Mutex::default(), Mutex::default());
    let faulty = Faulty { folder: folder.into(), rules: rules.into(), names, files, opened: AtomicU64::new(1) };
    let mut config = Config::default();
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    fuser::mount(faulty, mountpoint, &config)
}
