//! The numbers in the text format of Prometheus, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>: of each metric a HELP and a TYPE, then its samples. Names of
//! counters end in `_total`; times are in seconds; a bucket of a histogram counts all requests that took no longer than `le`. No
//! label needs escapes.

use std::fmt::Result;

use super::figures::Type;
use super::{Fs, line};

/// The buckets that are told are powers of two of nanoseconds: from 1 us to 17 s.
const BOUNDS: std::ops::RangeInclusive<u32> = 10..=34;

fn heading(text: &mut String, name: &str, kind: &str, help: &str) -> Result {
    line(text, format_args!("# HELP {name} {help}."))?;
    line(text, format_args!("# TYPE {name} {kind}"))
}

/// A number of nanoseconds in seconds, exactly.
fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Fs {
    pub(super) fn write_metrics(&self, text: &mut String) -> Result {
        heading(text, "afbfs_build_info", "gauge", "The version of afbfs")?;
        line(text, format_args!("afbfs_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")))?;
        heading(text, "afbfs_start_time_seconds", "gauge", "When it was mounted, in seconds since 1970")?;
        line(text, format_args!("afbfs_start_time_seconds {:.3}", self.stats.started_seconds()))?;
        heading(text, "afbfs_uptime_seconds", "gauge", "For how long it has been mounted")?;
        line(text, format_args!("afbfs_uptime_seconds {:.3}", self.stats.started.elapsed().as_secs_f64()))?;
        // Those told by errno have the same sum.
        for figure in self.figures().into_iter().filter(|figure| figure.key != "errors") {
            let (kind, end) = match figure.kind {
                Type::Counter => ("counter", "_total"),
                Type::Gauge => ("gauge", ""),
            };
            let name = format!("afbfs_{}{end}", figure.key);
            heading(text, &name, kind, figure.help)?;
            line(text, format_args!("{name} {}", figure.value))?;
        }
        heading(text, "afbfs_requests_total", "counter", "Requests of the kernel")?;
        for (kind, count) in self.stats.requests() {
            line(text, format_args!("afbfs_requests_total{{kind=\"{}\"}} {count}", kind.name()))?;
        }
        heading(text, "afbfs_errors_total", "counter", "Answers that were errors, but for names that are not there")?;
        for (errno, count) in self.stats.errors() {
            line(text, format_args!("afbfs_errors_total{{errno=\"{errno}\"}} {count}"))?;
        }
        self.write_times(text)
    }

    fn write_times(&self, text: &mut String) -> Result {
        let name = "afbfs_request_duration_seconds";
        heading(text, name, "histogram", "For how long requests took to be answered")?;
        for (kind, times) in self.stats.times() {
            let kind = kind.name();
            for bound in BOUNDS.map(|power| 1 << power) {
                let (count, bound) = (times.at_most(bound), seconds(bound));
                line(text, format_args!("{name}_bucket{{kind=\"{kind}\",le=\"{bound}\"}} {count}"))?;
            }
            line(text, format_args!("{name}_bucket{{kind=\"{kind}\",le=\"+Inf\"}} {}", times.count()))?;
            line(text, format_args!("{name}_sum{{kind=\"{kind}\"}} {}", seconds(times.sum())))?;
            line(text, format_args!("{name}_count{{kind=\"{kind}\"}} {}", times.count()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn seconds_are_exact() {
        for (nanos, text) in [(0, "0"), (1024, "0.000001024"), (1 << 34, "17.179869184"), (3_000_000_000, "3")] {
            assert_eq!(seconds(nanos), text);
        }
    }
}
