//! Windows that touch many files: what they cost is opening those, one after the other, so that several threads share them.
//!
//! How many files a window touches is not known before it is walked over. So it is begun by one thread, and shared only
//! once that has met [`FEW`] files, if there are as many more for each thread as make up for starting it.

use std::ops::Range;
use std::thread;

use rustix::io::{Errno, Result};

use super::copy::gather_part;
use super::files::{Files, Used};
use crate::runs::View;

/// So many files a thread opens before others help.
pub(super) const FEW: usize = 16;
/// A thread is started for so many files or more.
const EACH: usize = 32;
/// At most so many threads share a window: more than there are cores, since they wait for the disk.
const THREADS: usize = 8;

/// Gathers a window of which a thread has just done so many bytes, and met [`FEW`] files in them.
pub(super) fn gather_rest(
    files: &Files,
    fill: &[u8],
    view: &View,
    window: Range<u64>,
    buffer: &mut [u8],
    done: usize,
) -> Result<()> {
    let touched = buffer.len() / done.div_ceil(FEW).max(1);
    let threads = (touched / EACH).clamp(1, THREADS);
    let size = buffer.len().div_ceil(threads).max(1);
    let gather = |number: usize, part: &mut [u8]| {
        let start = window.start + (number * size) as u64;
        let window = start..start + part.len() as u64;
        gather_part(view, fill, window, part, &mut Used::among(files, threads), usize::MAX).map(drop)
    };
    let spawned: Result<()> = thread::scope(|scope| {
        let mut parts = buffer.chunks_mut(size).enumerate();
        let own = parts.next();
        let (mut running, mut refused) = (Vec::with_capacity(threads), false);
        for (number, part) in parts {
            let gather = &gather;
            match thread::Builder::new().spawn_scoped(scope, move || gather(number, part)) {
                Ok(thread) => running.push(thread),
                Err(_) => refused = true,
            }
        }
        let first = own.map_or(Ok(()), |(number, part)| gather(number, part));
        // All of them are waited for, and the first error is the one that counts.
        let others = running.into_iter().map(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let others: Vec<Result<()>> = others.collect();
        if refused { Err(Errno::AGAIN) } else { first.and(others.into_iter().collect()) }
    });
    match spawned {
        // There can be no more threads: this one does it all.
        Err(Errno::AGAIN) => gather_part(view, fill, window, buffer, &mut Used::of(files), usize::MAX).map(drop),
        outcome => outcome,
    }
}
