//! The fuzz targets, all in one program: `AFBFS_FUZZ` names the one that runs, `AFBFS_FUZZ=list` prints their names.
//!
//! A target is a function of bytes that panics where afbfs breaks a promise. Every format of
//! [`FORMATS`](afbfs::format::FORMATS) is one, under its own name; the others stand in [`OTHERS`].

#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use afbfs::format::{FORMATS, Format};
use libfuzzer_sys::fuzz_target;

mod convert;
mod dtype;
mod format;
mod heads;
mod memory;
mod model;
mod name;
mod runs;
mod text;

/// The targets that are no formats.
const OTHERS: &[(&str, fn(&[u8]))] = &[
    ("dtype", dtype::target),
    ("name", name::target),
    ("runs", runs::target),
    ("convert", convert::target),
    ("text", text::target),
    ("heads", heads::target),
];

enum Target {
    Format(&'static dyn Format),
    Other(fn(&[u8])),
}

static TARGET: OnceLock<Target> = OnceLock::new();

/// Where the input that runs is kept, if somewhere: whoever dies of a stack overflow, or is killed, cannot tell it.
static LAST: OnceLock<File> = OnceLock::new();

fn target(name: &str) -> Option<Target> {
    let format = FORMATS.iter().find(|format| format.name() == name);
    let other = OTHERS.iter().find(|other| other.0 == name);
    format.map(|&format| Target::Format(format)).or(other.map(|other| Target::Other(other.1)))
}

fn choose() {
    let name = std::env::var("AFBFS_FUZZ").unwrap_or_default();
    if name == "list" {
        let names = FORMATS.iter().map(|format| format.name()).chain(OTHERS.iter().map(|other| other.0));
        names.for_each(|name| println!("{name}"));
        std::process::exit(0);
    }
    let Some(chosen) = target(&name) else {
        eprintln!("AFBFS_FUZZ={name} is no target; AFBFS_FUZZ=list prints them");
        std::process::exit(2);
    };
    TARGET.get_or_init(|| chosen);
    if let Some(path) = std::env::var_os("AFBFS_FUZZ_LAST") {
        LAST.get_or_init(|| File::create(path).expect("a file for the last input"));
    }
}

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(last) = LAST.get() {
        last.write_all_at(data, 0).and_then(|()| last.set_len(data.len() as u64)).expect("a file for the last input");
    }
    match TARGET.get().expect("chosen before the first input") {
        Target::Format(format) => format::check(*format, data),
        Target::Other(check) => check(data),
    }
});
