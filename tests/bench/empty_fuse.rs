//! The floors of the benchmark: an empty FUSE file system, and a round trip between two processes.
//!
//! `empty-fuse MOUNTPOINT SIZE THREADS` serves one file, `zeros`, of SIZE bytes, as afbfs serves a slice: the same
//! library, threads, capabilities and flags, but no work. `empty-fuse ping COUNT` has one byte go to another process
//! and back COUNT times over pipes, and prints the nanoseconds of one round trip.

use std::ffi::OsStr;
use std::io::{Error, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, Request,
};

const TTL: Duration = Duration::from_secs(1);
const FILE: INodeNo = INodeNo(2);
const BACKGROUND: u16 = 64;
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

struct Empty {
    size: u64,
}

impl Empty {
    fn attr(&self, inode: INodeNo) -> FileAttr {
        let root = inode == INodeNo::ROOT;
        FileAttr {
            ino: inode,
            size: if root { 0 } else { self.size },
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if root { FileType::Directory } else { FileType::RegularFile },
            perm: if root { 0o755 } else { 0o644 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 1 << 20,
            flags: 0,
        }
    }
}

impl Filesystem for Empty {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let wanted = InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP
            | InitFlags::FUSE_POSIX_ACL
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_ASYNC_DIO;
        let _ = config.add_capabilities(wanted & config.capabilities());
        let _ = config.set_max_background(BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "zeros" {
            reply.entry(&TTL, &self.attr(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attr(inode));
    }

    fn open(&self, _req: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES | FopenFlags::FOPEN_NOFLUSH;
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let left = self.size.saturating_sub(offset).min(u64::from(size)) as usize;
        reply.data(&ZEROS[..left.min(ZEROS.len())]);
    }

    fn release(
        &self,
        _req: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }
}

/// Sends each byte back that comes.
fn pong() -> std::io::Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut byte = [0];
    while input.read(&mut byte)? == 1 {
        output.write_all(&byte)?;
        output.flush()?;
    }
    Ok(())
}

fn ping(count: u32) -> std::io::Result<()> {
    let itself = std::env::current_exe()?;
    let mut other = Command::new(itself).arg("pong").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut to), Some(mut from)) = (other.stdin.take(), other.stdout.take()) else {
        return Err(Error::other("no pipes"));
    };
    let mut byte = [0];
    let mut turn = |count: u32| -> std::io::Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            to.write_all(&byte)?;
            from.read_exact(&mut byte)?;
        }
        Ok(start.elapsed())
    };
    turn(count / 10 + 1)?;
    let elapsed = turn(count)?;
    drop(to);
    other.wait()?;
    println!("{}", elapsed.as_nanos() / u128::from(count));
    Ok(())
}

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().map_err(Error::other);
    match words[..] {
        ["pong"] => pong(),
        ["ping", count] => ping(number(count)? as u32),
        [mountpoint, size, threads] => {
            let mut config = Config::default();
            config.n_threads = Some(number(threads)? as usize);
            config.clone_fd = true;
            fuser::mount(Empty { size: number(size)? }, mountpoint, &config)
        }
        _ => Err(Error::other("usage: empty-fuse MOUNTPOINT SIZE THREADS | empty-fuse ping COUNT")),
    }
}
