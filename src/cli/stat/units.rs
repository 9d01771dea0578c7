//! Numbers as people read them.

/// Three digits of a number.
fn short(value: f64) -> String {
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$}")
}

/// Bytes, in powers of 1024.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1023.5 {
            return if unit == "B" { format!("{count} B") } else { format!("{} {unit}", short(value)) };
        }
        value /= 1024.0;
    }
    format!("{} PiB", short(value))
}

/// Nanoseconds.
pub(super) fn time(nanos: u64) -> String {
    let mut value = nanos as f64;
    for unit in ["ns", "us", "ms"] {
        if value < 999.5 {
            return if unit == "ns" { format!("{nanos} ns") } else { format!("{} {unit}", short(value)) };
        }
        value /= 1000.0;
    }
    format!("{} s", short(value))
}

/// So many in a second.
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// A number of times in a second.
pub(super) fn per_second(count: u64, seconds: f64) -> String {
    match rate(count, seconds) {
        0.0 => "0".to_owned(),
        value => short(value),
    }
}

/// A span of seconds.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (count, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1_048_000, "1023 KiB")] {
            assert_eq!(bytes(count), text);
        }
        for (count, text) in [(1_048_575, "1.00 MiB"), (10 << 30, "10.0 GiB"), (u64::MAX, "16384 PiB")] {
            assert_eq!(bytes(count), text);
        }
        for (nanos, text) in [(0, "0 ns"), (999, "999 ns"), (1_234, "1.23 us"), (45_600_000, "45.6 ms")] {
            assert_eq!(time(nanos), text);
        }
        for (nanos, text) in [(999_600, "1.00 ms"), (9_999, "10.0 us"), (70_000_000_000, "70.0 s")] {
            assert_eq!(time(nanos), text);
        }
        assert_eq!(
            (per_second(0, 1.0), per_second(3, 2.0), per_second(7, 0.0)),
            ("0".into(), "1.50".into(), "0".into())
        );
        for (seconds, text) in [(0.9, "0 s"), (61.0, "1 min 1 s"), (3600.0, "1 h 0 min"), (90_000.0, "1 d 1 h")] {
            assert_eq!(span(seconds), text);
        }
    }
}
