//! afbfs mounts a folder of array files and shows every slice of every array as a plain file. What it promises stands
//! in `README.md`; here is how it is built.
//!
//! # Code map
//!
//! Data flows one way: names become a view, a view is put on a layout, that is walked as runs, and runs are copied. The
//! modules in their order; each imports only from those before it, and less than that where the table says so.
//!
//! | module | what it is for | imports |
//! |---|---|---|
//! | [`dtype`] | element types, as NumPy knows and writes them | nothing |
//! | [`layout`] | offset, shape and strides; selections (index, slice, transpose, field) as pure arithmetic | nothing |
//! | [`grid`] | in which piece of which file an element lies; one array in one file is the grid of one cell, and arrays may be joined of others | `layout` |
//! | [`runs`] | the bytes of a window of a view, as strided pieces of files | `layout`, `grid` |
//! | [`convert`] | conversions of elements, both ways | `dtype` |
//! | [`name`] | the grammar of slice names and of NumPy expressions, both ways; escapes | `layout` |
//! | [`source`] | the traits that formats read through | nothing |
//! | [`form`] | the suffixes of slice names: what the file of a slice looks like in each | `dtype`, `layout`, `convert` |
//! | [`format`](mod@format) | array formats: bytes in, descriptions out; containers are trees of arrays | `dtype`, `layout`, `grid`, `convert`, `source` |
//! | [`store`] | the bytes of array files: mapped, gathered, scattered, synced; and of overlays over them | `runs` |
//! | [`catalog`] | which arrays a folder holds, found on demand, kept within the folder | `name`, `source`, `format`, `store` |
//! | [`unpack`] | plain copies of compressed arrays; finds arrays as `catalog` does, writes through `store`, and knows no file system | `dtype` to `catalog` |
//! | [`overlay`] | which overlay belongs to which array file, what they differ in, and writing that back (`--cow`) | `format` to `catalog` |
//! | [`fs`] | the file system as an ordinary struct: inodes, attributes, handles, coherence | all before it |
//! | [`fuse`] | the thin adapter to the kernel | `fs` |
//! | [`mount`] | mounting and unmounting, the kernel's table of mounts, who keeps one busy | nothing |
//! | [`cli`] | the command | all before it |
//!
//! `dtype` to `name` are pure: no files, no system calls, no log. `tests/tidy.rs` checks the order, the purity, and the
//! first three invariants below.
//!
//! The life of a read of `a/row/3`: [`fs::Fs::lookup`] asks the catalog what `a` is (it resolves the name below the
//! source folder, and has the format describe the file unless that is remembered), parses `3` with [`name`], and answers
//! with the inode of the canonical view. [`fs::Fs::open`] makes a [`runs::View`]; [`fs::Fs::read`] hands the window to
//! [`store::read`], which lends the mapping where the window is contiguous and gathers it where not.
//!
//! # Invariants that span modules
//!
//! 1. Unsafe code stands in `store::sys` only: copies that survive a fault, and system calls that no safe crate wraps.
//! 2. Only [`fuse`] names `fuser`. [`fs`] runs, and is tested, without a kernel.
//! 3. A module imports only from those before it.
//! 4. The elements of an array are read and written through [`store`] alone. Formats see headers and sidecars, through
//!    [`source`] and `pread(2)`, so that a file that shrinks while it is parsed is an error and never a fault. So does
//!    [`unpack`] see compressed bytes; its copies belong to nobody else until they are done.
//! 5. *Inode numbers* are never used twice. A slice file has one for each canonical view, whatever path led there; a
//!    folder has one for each path. What can be counted (the indices of every axis) is numbered by arithmetic, so that
//!    memory grows with the trees and slices that the kernel holds, not with the names that were listed.
//! 6. *Coherence.* All views alias the bytes of the mapping, and programs' own reads and writes bypass the kernel's
//!    page cache, so there is nothing to keep coherent but the pages that mappings and `sendfile(2)` use (and
//!    reads, where [`fs::Cache::Pages`] says so), and of them not those of views that the kernel takes from the
//!    array file itself. Whoever lets the kernel fill such a page marks the inode before the bytes are read; whoever
//!    writes looks for marks first, by file and range of bytes, and is put off until those pages are dropped. Fills
//!    and writes of one file exclude each other. The marks are kept for each file (device and inode), not for each
//!    array: hard links and overlapping descriptions alias too.
//! 7. *Faults.* Whatever lies past the end of a file is EIO, exact to the byte. Every load and store in a mapping happens in
//!    the assembly of `store::sys`, from which the SIGBUS handler can return, or in the kernel, which checks by itself.
//!    A SIGBUS anywhere else is a bug and ends the process; a panic in a request is a bug and costs that request (EIO).
//! 8. Handles pin descriptors, never mappings. A file that was written is synced before its descriptor is let go, and
//!    its write errors stick to it until every handle has heard of them.
//! 9. Nothing that is kept grows without bound: descriptions, mappings and remembered folders have limits, what the
//!    kernel references goes with the kernel's last reference, and of the names of slices and ranges, which have no end, the
//!    kernel is told to forget the old ones.
//!
//! # What is deliberately absent
//!
//! - A cache of elements. The page cache of the array file is the one cache, shared with every other program.
//! - A record of names. Every name is parsed when it is looked up.
//! - Reading ahead, opening ahead, an index of the source. A folder is listed by names alone.
//! - A configuration file, and state between mounts (but for `--cow-dir`, which is asked for).
//! - Owners and modes of our own: views have those of the array file, or those that options name, and the kernel checks them.
//!
//! # Decisions that may surprise
//!
//! - *Up to 64 axes*, as in NumPy 2; many programs stop at 32. Arrays that NumPy writes can be shown.
//! - *Mounting and unmounting is done in [`mount`]*, and not by fuser: in 0.18 that unmounts whatever is mounted at the
//!   path once our own mount has been removed by somebody else. Here a mount is known by its device number.
//! - *Overlays are below the store, and what is asked of them above the catalog.* To whoever reads and writes through [`store`], an array file with
//!   an overlay is a file like any other; only [`store::File`] knows that some of its pages lie elsewhere. [`overlay`] decides whose they are.
//! - *The command commits, not the process behind the mount*, which has given up writing to the source: so that nothing that it does can
//!   change an array file. The two work together by orders that the command writes to `.afbfs/overlay.json`, and neither waits for the other: what is
//!   written in between is known, and stays in the overlay.
//! - *Integers wrap in `as/`*, as `astype` has it, though floats saturate, where NumPy leaves open what comes out.
//! - *A text is read as it is written*, front to back, and what it says is stored when it is complete. A program that goes back to
//!   an earlier place of a new text gets ESPIPE: the text itself is not kept, only its numbers.
//! - *NIfTI, NRRD and MATLAB forms come in Fortran order*, whatever order the array has, so that the library of each reads an array of the
//!   shape that the slice has.
//! - *A write returns the inodes whose pages are in the way* ([`fs::Written`]), and the adapter drops these and writes again. A notifier
//!   that `fs` calls would do so from within the request, where dropping dirty pages waits for the kernel, which
//!   waits for us.
//! - *The background process is this program started anew*, before it has any thread, and not a fork: that needs no unsafe
//!   code, and the parent's exit status is true.
//! - *`arrays.json` and `usage.json` are for the user who mounted.* They name what lies in folders that others may not enter.
//! - *Privileges are given up by threads, not by the process*: `umount(2)` needs CAP_SYS_ADMIN, and a thread that Landlock keeps within a
//!   folder may not unmount at all. So the thread that unmounts is started first, and every other one by the thread that has given
//!   up the rest.
//! - *Slices are opened for direct I/O*, unless [`fs::Cache::Pages`] is asked for. With the page cache a write through one
//!   view makes pages of every overlapping view stale, and a write to the array file itself goes unnoticed.
//! - *No readdirplus*: it would make an inode of every name that is listed.
//!
//! # Adding a form
//!
//! Write `src/form/NAME.rs`, its specification on top, with a function that makes a [`form::Face`] of a [`form::Slice`], or nothing where the
//! form does not fit: mostly a [`form::Binary`], a computed header and how the elements follow it (transposed, some axes
//! reversed, in which byte order, rows padded). Add its line to `FORMS` in `src/form.rs`. `fs` does the rest: the size, reads at
//! any offset, and writes, for which the form says which headers mean the same as its own. A test in `tests/mount/test_forms.py` has the
//! program that owns the form read it and write it.

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    target_endian = "little",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("afbfs runs on Linux on 64-bit, little-endian x86-64 and aarch64, and nowhere else");

pub mod catalog;
pub mod cli;
pub mod convert;
pub mod dtype;
pub mod form;
pub mod format;
pub mod fs;
pub mod fuse;
pub mod grid;
pub mod layout;
pub mod mount;
pub mod name;
pub mod overlay;
pub mod runs;
pub mod source;
pub mod store;
pub mod unpack;
