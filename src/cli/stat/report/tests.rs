use serde_json::json;

use super::*;

fn snapshot(reads: u64, uptime: f64, arrays: &[(&str, u64)]) -> Snapshot {
    let entry = |(path, bytes): &(&str, u64)| json!({ "path": path, "reads": 1, "read_bytes": bytes });
    Snapshot {
        stats: json!({
            "pid": 7, "uptime_seconds": uptime, "reads": reads, "read_bytes": 1000 * reads, "errors": 2, "open_files": 3,
            "requests": { "lookup": 0, "read": reads, "poll": 0, "ioctl": 5 },
            "errors_by_errno": { "EPERM": 1, "EIO": 1 },
            "latency": { "read": { "sum_ns": reads * 1024, "max_ns": 1024, "buckets": [[1024, reads]] } },
        }),
        usage: Some(json!({ "arrays": arrays.iter().map(entry).collect::<Vec<_>>(), "others": { "arrays": 0 } })),
    }
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn look(arrays: usize) -> Look {
    Look { title: "mnt".into(), arrays }
}

#[test]
fn one_snapshot_shows_sums_and_percentiles() {
    let found = texts(&lines(&look(1), &snapshot(4, 70.0, &[("a", 4000), ("b", 10)]), None));
    for expected in [
        "mnt: up 1 min 10 s, process 7",
        "requests total p50 p90 p99 p99.9 max",
        "lookup 0",
        "read 4 1.02 us 1.02 us 1.02 us 1.02 us 1.02 us",
        "ioctl 5",
        "all 9",
        "read 3.91 KiB",
        "open files 3, mappings 0 of 0 B",
        "errors 2 (EPERM 1, EIO 1), faults 0, short overwrites 0",
        "reads read writes written array",
        "1 3.91 KiB 0 0 B a",
        "1 more: --arrays=2",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected} is not in {found:#?}");
    }
    assert!(!found.iter().any(|line| line.starts_with("poll")));
}

#[test]
fn two_snapshots_show_what_lies_between() {
    let before = snapshot(4, 70.0, &[("a", 4000), ("b", 10)]);
    let now = snapshot(14, 72.0, &[("a", 4000), ("b", 2058), ("c", 5)]);
    let found = lines(&look(9), &now, Some(&before));
    assert!(found.iter().all(|line| line.style != Style::Alarm));
    let found = texts(&found);
    for expected in
        ["read 14 5.00 1.02 us 1.02 us 1.02 us 1.02 us 1.02 us", "ioctl 5 0", "all 19 5.00", "read 13.7 KiB 4.88 KiB/s"]
    {
        assert!(found.iter().any(|line| line == expected), "{expected} is not in {found:#?}");
    }
    // What is used now stands first.
    let arrays: Vec<&str> = found.iter().rev().take(3).rev().map(String::as_str).collect();
    assert_eq!(arrays, ["2.01 KiB 1.00 KiB 0 B 0 B b", "5 B 2 B 0 B 0 B c", "3.91 KiB 0 B 0 B 0 B a"]);
}

#[test]
fn what_went_wrong_since_stands_out() {
    let (before, mut now) = (snapshot(4, 70.0, &[]), snapshot(4, 71.0, &[]));
    now.stats["errors"] = json!(3);
    assert!(lines(&look(0), &now, Some(&before)).iter().any(|line| line.style == Style::Alarm));
}

#[test]
fn names_bring_no_sequences_to_the_terminal() {
    let found = lines(&look(5), &snapshot(1, 1.0, &[("a\u{1b}[2J\nb", 1)]), None);
    assert!(found.iter().all(|line| !line.text.contains(char::is_control)));
    assert!(found.iter().any(|line| line.text.ends_with("a?[2J?b")));
}
