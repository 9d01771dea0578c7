//! What an input may cost in memory. libFuzzer's own limit counts only what is really touched, and its limit for a
//! single allocation needs a sanitizer; a claim of gigabytes that are never touched would pass both.

use allocation_counter::measure;

/// Runs `work`, which may hold at most so many bytes at any time.
pub(crate) fn within<T>(limit: u64, what: &str, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let peak = measure(|| result = Some(work())).bytes_max;
    assert!(peak <= limit, "{what}: took {peak} bytes of memory, more than {limit}");
    result.expect("the work was done")
}
