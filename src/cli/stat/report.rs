//! What is shown: lines of text, of one snapshot or of two and what lies between them.

use serde_json::Value;

use super::Snapshot;
use super::units::{bytes, per_second, rate, span, time};
use crate::fs::Times;

/// What is to be shown.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// What stands on top.
    pub(super) title: String,
    /// So many arrays at most.
    pub(super) arrays: usize,
}

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Title,
    Heading,
    /// Something went wrong.
    Alarm,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) style: Style,
}

/// Requests of these kinds are shown though there were none.
const ALWAYS: [&str; 4] = ["lookup", "open", "read", "write"];

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

/// Two snapshots, or one.
struct Pair<'a> {
    now: &'a Value,
    before: Option<&'a Value>,
}

impl Pair<'_> {
    fn total(&self, key: &str) -> u64 {
        number(self.now, key)
    }

    /// What was added; of one snapshot nothing is known.
    fn added(&self, key: &str) -> u64 {
        self.before.map_or(0, |before| self.total(key).saturating_sub(number(before, key)))
    }

    fn seconds(&self) -> f64 {
        let uptime = |value: &Value| value["uptime_seconds"].as_f64().unwrap_or(0.0);
        self.before.map_or(0.0, |before| uptime(self.now) - uptime(before))
    }

    fn member(&self, key: &str) -> Pair<'_> {
        Pair { now: &self.now[key], before: self.before.map(|before| &before[key]) }
    }

    /// The times of a kind of requests: since the snapshot before, if there is one.
    fn times(&self, kind: &str) -> Option<Times> {
        let now = Times::of_json(&self.now["latency"][kind])?;
        match self.before {
            Some(before) => Some(now.since(&Times::of_json(&before["latency"][kind])?)),
            None => Some(now),
        }
    }
}

/// Names come from files: nothing in them is to reach the terminal but what can be seen.
fn visible(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// All lines.
pub(super) fn lines(look: &Look, now: &Snapshot, before: Option<&Snapshot>) -> Vec<Line> {
    let stats = Pair { now: &now.stats, before: before.map(|before| &before.stats) };
    let mut lines = vec![title(look, &stats), plain(String::new())];
    requests(&stats, &mut lines);
    lines.push(plain(String::new()));
    volumes(&stats, &mut lines);
    lines.push(plain(String::new()));
    state(&stats, &mut lines);
    if let Some(usage) = &now.usage {
        lines.push(plain(String::new()));
        let before = before.and_then(|before| before.usage.as_ref());
        arrays(&Pair { now: usage, before }, stats.seconds(), look.arrays, &mut lines);
    }
    for line in &mut lines {
        line.text.truncate(line.text.trim_end().len());
    }
    lines
}

fn plain(text: String) -> Line {
    Line { text, style: Style::Plain }
}

fn title(look: &Look, stats: &Pair<'_>) -> Line {
    let up = span(stats.now["uptime_seconds"].as_f64().unwrap_or(0.0));
    let text = format!("{}: up {up}, process {}", visible(&look.title), stats.total("pid"));
    Line { text, style: Style::Title }
}

fn requests(stats: &Pair<'_>, lines: &mut Vec<Line>) {
    let is_live = stats.before.is_some();
    let rates = |text: String| if is_live { format!("{text:>10}") } else { String::new() };
    let row = |name: &str, total: &str, rate: String, times: [String; 5]| {
        let times: String = times.iter().map(|time| format!("{time:>9}")).collect();
        format!("{name:<16}{total:>12}{}{times}", rates(rate))
    };
    let heading = row("requests", "total", "/s".into(), ["p50", "p90", "p99", "p99.9", "max"].map(str::to_owned));
    lines.push(Line { text: heading, style: Style::Heading });
    let all = stats.member("requests");
    let empty = serde_json::Map::new();
    let kinds = all.now.as_object().unwrap_or(&empty);
    for kind in kinds.keys().filter(|kind| all.total(kind) > 0 || ALWAYS.contains(&kind.as_str())) {
        let found = stats.times(kind);
        let percentile = |thousandths| match &found {
            Some(times) => times.percentile(thousandths).map_or("-".to_owned(), time),
            None => String::new(),
        };
        let longest = match &found {
            Some(times) if times.count() > 0 => time(times.longest()),
            Some(_) => "-".to_owned(),
            None => String::new(),
        };
        let times = [percentile(500), percentile(900), percentile(990), percentile(999), longest];
        let rate = per_second(all.added(kind), stats.seconds());
        lines.push(plain(row(kind, &all.total(kind).to_string(), rate, times)));
    }
    let total = kinds.values().filter_map(Value::as_u64).sum::<u64>();
    let added = kinds.keys().map(|kind| all.added(kind)).sum();
    let row = row("all", &total.to_string(), per_second(added, stats.seconds()), [const { String::new() }; 5]);
    lines.push(plain(row));
}

fn volumes(stats: &Pair<'_>, lines: &mut Vec<Line>) {
    let is_live = stats.before.is_some();
    let mut push = |name: &str, key: &str, note: String| {
        let rate = rate(stats.added(key), stats.seconds()) as u64;
        let rate = if is_live { format!("{:>12}/s", bytes(rate)) } else { String::new() };
        lines.push(plain(format!("{name:<16}{:>12}{rate}{note}", bytes(stats.total(key)))));
    };
    push("read", "read_bytes", String::new());
    push("written", "written_bytes", String::new());
    let pages = stats.total("disk_pages");
    let (waited, ahead) = (stats.total("major_faults"), stats.total("prefetched_pages"));
    let note = format!("   {pages} pages: {waited} waited for, {ahead} asked for ahead");
    push("read from disk", "disk_read_bytes", note);
}

fn state(stats: &Pair<'_>, lines: &mut Vec<Line>) {
    let total = |key: &str| stats.total(key);
    let private = stats.now["rss_anon_bytes"]
        .as_u64()
        .map_or(String::new(), |count| format!(", private memory {}", bytes(count)));
    lines.push(plain(format!(
        "open files {}, mappings {} of {}{private}",
        total("open_files"),
        total("mappings"),
        bytes(total("mapped_bytes")),
    )));
    let by_errno = stats.now["errors_by_errno"].as_object();
    let names: Vec<String> = by_errno.into_iter().flatten().map(|(name, count)| format!("{name} {count}")).collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let text = format!(
        "errors {}{names}, faults {}, short overwrites {}",
        total("errors"),
        total("faults"),
        total("short_overwrites"),
    );
    let is_new = ["errors", "faults", "short_overwrites"].iter().any(|key| stats.added(key) > 0);
    lines.push(Line { text, style: if is_new { Style::Alarm } else { Style::Plain } });
}

/// The arrays of which most was read and written: since the snapshot before, if there is one, and then ever.
fn arrays(usage: &Pair<'_>, seconds: f64, most: usize, lines: &mut Vec<Line>) {
    let list = |value: &Value| value["arrays"].as_array().cloned().unwrap_or_default();
    let (now, before) = (list(usage.now), usage.before.map(list));
    let key = |entry: &Value| entry["path"].to_string();
    let known: std::collections::HashMap<_, _> = before.iter().flatten().map(|entry| (key(entry), entry)).collect();
    let nothing = Value::Null;
    let mut pairs: Vec<Pair<'_>> = now
        .iter()
        .map(|now| Pair { now, before: before.as_ref().map(|_| *known.get(&key(now)).unwrap_or(&&nothing)) })
        .collect();
    // Those that are equal keep their order: the most used first.
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.added("read_bytes") + pair.added("written_bytes")));
    let columns =
        if before.is_some() { ["read", "/s", "written", "/s"] } else { ["reads", "read", "writes", "written"] };
    let row = |columns: &[String], name: &str| {
        let columns: String = columns.iter().map(|column| format!("{column:>11}")).collect();
        format!("{columns}  {name}")
    };
    let heading = row(&columns.map(str::to_owned), "array");
    lines.push(Line { text: heading, style: Style::Heading });
    let cells = |pair: &Pair<'_>| {
        let total = |key| bytes(pair.total(key));
        let live = |key| bytes(rate(pair.added(key), seconds) as u64);
        if pair.before.is_some() {
            [total("read_bytes"), live("read_bytes"), total("written_bytes"), live("written_bytes")]
        } else {
            let (reads, writes) = (pair.total("reads").to_string(), pair.total("writes").to_string());
            [reads, total("read_bytes"), writes, total("written_bytes")]
        }
    };
    for pair in pairs.iter().take(most) {
        lines.push(plain(row(&cells(pair), &visible(pair.now["path"].as_str().unwrap_or_default()))));
    }
    let (others, hidden) = (usage.member("others"), pairs.len().saturating_sub(most) as u64);
    if others.total("arrays") > 0 {
        lines.push(plain(row(&cells(&others), "others, no longer told apart")));
    }
    if hidden > 0 {
        lines.push(plain(format!("{hidden} more: --arrays={}", pairs.len())));
    }
}

#[cfg(test)]
mod tests;
