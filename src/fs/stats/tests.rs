use rustix::io::Errno;

use super::super::tests::{inode, serve};
use super::*;
use crate::fs::{Access, Source};

fn content(fs: &Fs, name: &str) -> String {
    let handle = fs.open(inode(fs, &format!(".afbfs/{name}")), Access::default()).unwrap().handle;
    let text = fs.read(handle, 0, 1 << 20, Source::Direct, <[u8]>::to_vec).unwrap();
    fs.release(handle);
    String::from_utf8(text).unwrap()
}

#[test]
fn requests_errors_and_times_are_told_by_name() {
    let (_folder, fs) = serve(&[("a", &[8, 5])]);
    for _ in 0..3 {
        fs.count(Op::Getattr);
        fs.end(fs.begin(Op::Read));
    }
    // It is not timed.
    fs.end(fs.begin(Op::CopyFileRange));
    for error in [Errno::PERM, Errno::PERM, Errno::NOENT, Errno::NODATA, Errno::from_raw_os_error(4095)] {
        fs.count_error(error);
    }
    let stats: Value = serde_json::from_str(&content(&fs, "stats.json")).unwrap();
    let requests = stats["requests"].as_object().unwrap();
    let counted: Vec<_> = requests.iter().filter(|(_, count)| **count != json!(0)).collect();
    assert_eq!(json!(counted), json!([["read", 3], ["getattr", 3], ["copy_file_range", 1]]));
    assert_eq!((&stats["errors"], &stats["not_found"]), (&json!(3), &json!(2)));
    assert_eq!(stats["errors_by_errno"], json!({ "EPERM": 2, "0": 1 }));
    assert_eq!((&stats["latency"]["read"]["count"], &stats["latency"]["open"]["count"]), (&json!(3), &json!(0)));
    let metrics = content(&fs, "metrics");
    for line in ["afbfs_requests_total{kind=\"read\"} 3", "afbfs_errors_total{errno=\"EPERM\"} 2"] {
        assert!(metrics.lines().any(|other| other == line), "{line} is not in {metrics}");
    }
}

#[test]
fn every_kind_has_a_name_of_its_own_and_the_first_ones_are_timed() {
    let names: std::collections::HashSet<_> = Op::ALL.iter().map(|op| op.name()).collect();
    assert_eq!(names.len(), Op::ALL.len());
    assert!(Op::ALL.iter().enumerate().all(|(number, op)| *op as usize == number));
    let timed: Vec<_> = Op::ALL[..Op::TIMED].iter().map(|op| op.name()).collect();
    assert_eq!(timed, ["lookup", "open", "read", "write"]);
}

#[test]
fn what_is_read_counts_for_its_array() {
    let (_folder, fs) = serve(&[("a", &[8, 5]), ("b", &[3])]);
    let handle = fs.open(inode(&fs, "a/row/1"), Access::default()).unwrap().handle;
    fs.read(handle, 1, 100, Source::Direct, <[u8]>::len).unwrap();
    fs.open(inode(&fs, "b/shape"), Access::default()).unwrap();
    let usage: Value = serde_json::from_str(&content(&fs, "usage.json")).unwrap();
    let entry = json!({
        "path": "a.npy", "opens": 1, "reads": 1, "read_bytes": 4, "writes": 0, "written_bytes": 0,
    });
    assert_eq!(usage["arrays"], json!([entry]));
}
