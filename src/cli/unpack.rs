//! `afbfs unpack`: plain, mappable copies of compressed arrays.

use std::path::PathBuf;

use super::Failure;
use super::progress::Progress;
use crate::unpack::{Request, unpack};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
OUT is what its name says: one array (OUT.npy), an archive whose members are stored (OUT.npz), or a new folder \
with a .npy file for each array, groups as folders. Of a file that was compressed as a whole (.gz, .zst, .bz2, .xz) \
it is the file inside.

OUT appears when it is whole, and not at all after an error. Arrays of which a folder cannot have a copy are \
named, and the exit status is then 1.

Examples:
  afbfs unpack a.npz plain.npz
  afbfs unpack run.h5 --array group/temperature temperature.npy
  afbfs unpack volume.zarr copies
  afbfs unpack scan.nii.gz scan.nii")]
pub(super) struct Args {
    /// A file, or a folder of arrays (Zarr)
    file: PathBuf,
    /// What is to be written
    out: PathBuf,
    /// Unpack this one of the arrays in FILE, by the name that `afbfs ls FILE` shows below that of the file
    #[arg(long, value_name = "NAME")]
    array: Option<String>,
    /// Replace OUT if it is there: a file, or a folder that holds .npy files alone
    #[arg(short, long)]
    force: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let progress = Progress::new(args.quiet)?;
    let request = Request { file: &args.file, out: &args.out, array: args.array.as_deref(), force: args.force };
    let outcome = unpack(&request, &progress);
    progress.clear();
    let report = outcome?;
    if report.left_out.is_empty() {
        return Ok(());
    }
    for (name, why) in &report.left_out {
        eprintln!("afbfs: {}: {name}: {why}", args.file.display());
    }
    let (left, all) = (report.left_out.len(), report.left_out.len() + report.written);
    Err(Failure(format!("{}: {left} of {all} arrays could not be unpacked; it has the others", args.out.display())))
}
