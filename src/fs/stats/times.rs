//! How long requests took: a histogram whose buckets are as wide as an eighth of the power of two that they lie behind.
//!
//! A bucket holds the times above the last bucket's end, up to and including its own, so that a percentile is told as at most an
//! eighth too much. It is ours since what crates offer keeps a lock, or a histogram for each thread and a lock for their sum.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::get;

/// Buckets of each power of two.
const PARTS: u64 = 8;
const PARTS_LOG: u32 = PARTS.ilog2();
const BUCKETS: usize = (PARTS * (u64::BITS - PARTS_LOG + 1) as u64) as usize;

/// Times of requests, in nanoseconds, counted by any number of threads.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: [const { AtomicU64::new(0) }; _], sum: AtomicU64::new(0), longest: AtomicU64::new(0) }
    }
}

/// The bucket of a time.
fn bucket(time: u64) -> usize {
    // Ends belong to their bucket.
    let below = time.saturating_sub(1);
    let shift = (u64::BITS - below.leading_zeros()).saturating_sub(PARTS_LOG + 1);
    (u64::from(shift) * PARTS + (below >> shift)) as usize
}

/// The longest time in a bucket.
fn end_of(bucket: usize) -> u64 {
    let shift = (bucket as u64 / PARTS).saturating_sub(1);
    let part = bucket as u64 - shift * PARTS;
    // The end of the last one is the end of all numbers.
    u64::try_from((u128::from(part) + 1) << shift).unwrap_or(u64::MAX)
}

impl Histogram {
    pub(super) fn record(&self, time: u64) {
        self.buckets[bucket(time)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(time, Ordering::Relaxed);
        // Mostly there was a longer one before.
        if time > get(&self.longest) {
            self.longest.fetch_max(time, Ordering::Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> Times {
        let counts = self.buckets.iter().map(get).enumerate().filter(|(_, count)| *count > 0);
        Times {
            buckets: counts.map(|(bucket, count)| (end_of(bucket), count)).collect(),
            sum: get(&self.sum),
            longest: get(&self.longest),
        }
    }
}

/// Times of requests, in nanoseconds, as they were counted up to some moment, or since some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The longest time of each bucket that holds some, in order, and how many it holds.
    buckets: Vec<(u64, u64)>,
    sum: u64,
    longest: u64,
}

impl Times {
    /// How many requests were timed.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// All times together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The longest.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// How many took no longer than this, which must be a power of two.
    pub(super) fn at_most(&self, time: u64) -> u64 {
        self.buckets.iter().take_while(|(end, _)| *end <= time).map(|(_, count)| count).sum()
    }

    /// The time that so many thousandths of the requests did not exceed: at most an eighth more than the true one. None where
    /// there was no request.
    pub fn percentile(&self, thousandths: u64) -> Option<u64> {
        let rank = (u128::from(self.count()) * u128::from(thousandths)).div_ceil(1000).max(1) as u64;
        let mut seen = 0;
        let found = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.map(|(end, _)| (*end).min(self.longest))
    }

    /// What was added since an earlier snapshot. The longest time is known as far as its bucket tells.
    #[must_use]
    pub fn since(&self, before: &Times) -> Times {
        let before_at =
            |end: u64| before.buckets.iter().find(|(other, _)| *other == end).map_or(0, |(_, count)| *count);
        let new = self.buckets.iter().map(|&(end, count)| (end, count.saturating_sub(before_at(end))));
        let buckets: Vec<(u64, u64)> = new.filter(|(_, count)| *count > 0).collect();
        let longest = buckets.last().map_or(0, |(end, _)| (*end).min(self.longest));
        Times { buckets, sum: self.sum.saturating_sub(before.sum), longest }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "count": self.count(),
            "sum_ns": self.sum,
            "p50_ns": self.percentile(500),
            "p90_ns": self.percentile(900),
            "p99_ns": self.percentile(990),
            "p99_9_ns": self.percentile(999),
            "max_ns": self.longest,
            "buckets": self.buckets.iter().map(|&(end, count)| [end, count]).collect::<Vec<_>>(),
        })
    }

    /// What `stats.json` says of a kind of requests.
    pub fn of_json(value: &Value) -> Option<Times> {
        let pair = |pair: &Value| Some((pair.get(0)?.as_u64()?, pair.get(1)?.as_u64()?));
        Some(Times {
            buckets: value.get("buckets")?.as_array()?.iter().map(pair).collect::<Option<_>>()?,
            sum: value.get("sum_ns")?.as_u64()?,
            longest: value.get("max_ns")?.as_u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        assert_eq!((bucket(0), bucket(1), end_of(0)), (0, 0, 1));
        for number in 1..BUCKETS {
            let (start, end) = (end_of(number - 1) + 1, end_of(number));
            assert_eq!((bucket(start), bucket(end)), (number, number), "{start} to {end}");
            assert!(start <= end && (end - start) <= start / PARTS, "{start} to {end}");
        }
        assert_eq!((bucket(u64::MAX), end_of(BUCKETS - 1)), (BUCKETS - 1, u64::MAX));
        // Of each power of two, so that what took no longer is known to the request.
        (0..64).for_each(|power| assert_eq!(end_of(bucket(1 << power)), 1 << power));
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times_within_an_eighth() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let histogram = Histogram::default();
            let mut times: Vec<u64> = (0..rng.usize(1..3000)).map(|_| rng.u64(..) >> rng.u32(10..64)).collect();
            times.iter().for_each(|&time| histogram.record(time));
            times.sort_unstable();
            let found = histogram.snapshot();
            assert_eq!((found.count(), found.sum()), (times.len() as u64, times.iter().sum()));
            assert_eq!(found.longest(), times[times.len() - 1]);
            for thousandths in [1, 500, 900, 990, 999, 1000] {
                // The least one that so many do not exceed.
                let exact = times[(times.len() * thousandths).div_ceil(1000) - 1];
                let told = found.percentile(thousandths as u64).unwrap();
                assert!(exact <= told && told <= (exact + exact / 8).max(1), "{thousandths}: {exact}, told {told}");
            }
            for power in 0..54 {
                let exact = times.iter().filter(|&&time| time <= 1 << power).count();
                assert_eq!(found.at_most(1 << power), exact as u64);
            }
        }
        assert_eq!(Histogram::default().snapshot().percentile(500), None);
    }

    #[test]
    fn what_came_since_is_what_was_added() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (all, later) = (Histogram::default(), Histogram::default());
            (0..rng.usize(..200)).for_each(|_| all.record(rng.u64(..1 << 30)));
            let before = all.snapshot();
            for time in (0..rng.usize(..200)).map(|_| rng.u64(..1 << 30)).collect::<Vec<_>>() {
                all.record(time);
                later.record(time);
            }
            let (found, expected) = (all.snapshot().since(&before), later.snapshot());
            assert_eq!((&found.buckets, found.sum), (&expected.buckets, expected.sum));
            assert!(found.longest >= expected.longest);
        }
    }

    #[test]
    fn json_says_all() {
        let histogram = Histogram::default();
        [3, 3, 900, 1 << 40].into_iter().for_each(|time| histogram.record(time));
        let times = histogram.snapshot();
        let json = times.to_json();
        assert_eq!(Times::of_json(&json), Some(times));
        assert_eq!((&json["count"], &json["p50_ns"], &json["max_ns"]), (&json!(4), &json!(3), &json!(1u64 << 40)));
        assert_eq!(Times::of_json(&json!({ "buckets": [[1]], "sum_ns": 1, "max_ns": 1 })), None);
    }
}
