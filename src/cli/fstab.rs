//! `-o OPTIONS`, as mount(8) hands them over from `/etc/fstab`.

use super::mount::CacheMode;

/// One option that means something here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    ReadOnly,
    AllowOther,
    FollowLinks,
    Threads(u16),
    ListMax(u64),
    FetchGap(u64),
    UpdateChecksums,
    Cache(CacheMode),
    /// `shared` or `no_shared`.
    Shared(bool),
    /// Passed on to the kernel.
    Kernel(&'static str),
}

/// What the kernel is told.
const KERNEL: &[&str] = &["noexec", "noatime", "nodiratime"];

/// What mount(8), systemd and their kin keep to themselves, or what holds anyway.
const IGNORED: &[&str] = &[
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nofail",
    "_netdev",
    "rw",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "exec",
    "atime",
    "diratime",
    "relatime",
    "strictatime",
    "lazytime",
    "async",
    "sync",
    "silent",
    "loud",
    "group",
    "owner",
    "default_permissions",
];

/// Reads a comma-separated list.
///
/// # Errors
/// An option that is not known, or a value that is none.
pub(super) fn parse(list: &str) -> Result<Vec<Item>, String> {
    let options = list.split(',').map(str::trim).filter(|option| !option.is_empty());
    options.filter_map(|option| parse_one(option).transpose()).collect()
}

fn parse_one(option: &str) -> Result<Option<Item>, String> {
    let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
    let number = || value.and_then(|value| value.parse::<u64>().ok()).ok_or_else(|| format!("{option}: is no number"));
    Ok(Some(match (key, value) {
        ("ro", None) => Item::ReadOnly,
        ("allow_other", None) => Item::AllowOther,
        ("follow_links", None) => Item::FollowLinks,
        ("threads", _) => match u16::try_from(number()?) {
            Ok(threads @ 1..=256) => Item::Threads(threads),
            _ => return Err(format!("{option}: there can be 1 to 256 threads")),
        },
        ("update_checksums", None) => Item::UpdateChecksums,
        ("list_max", _) => Item::ListMax(number()?),
        ("fetch_gap", Some(size)) => Item::FetchGap(super::mount::parse_size(size)?),
        ("shared", None) => Item::Shared(true),
        ("no_shared", None) => Item::Shared(false),
        ("cache", Some("none")) => Item::Cache(CacheMode::None),
        ("cache", Some("pages")) => Item::Cache(CacheMode::Pages),
        (key, None) if IGNORED.contains(&key) => return Ok(None),
        (key, _) if key.starts_with("x-") || key == "comment" => return Ok(None),
        (key, None) if KERNEL.contains(&key) => {
            return Ok(KERNEL.iter().find(|known| **known == key).map(|k| Item::Kernel(k)));
        }
        _ => {
            return Err(format!(
                "{option}: is no option of afbfs; it knows ro, allow_other, follow_links, threads=N, list_max=N, cache=none|pages, fetch_gap=SIZE, update_checksums, shared, no_shared, {}",
                KERNEL.join(", ")
            ));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_fstab_is_understood() {
        let line = "ro,noatime,dev,suid,threads=2,x-systemd.automount,_netdev,nofail,allow_other,list_max=5";
        let expected = [Item::ReadOnly, Item::Kernel("noatime"), Item::Threads(2), Item::AllowOther, Item::ListMax(5)];
        assert_eq!(parse(line).unwrap(), expected);
        assert_eq!(parse("defaults").unwrap(), []);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn unknown_options_and_bad_values_are_refused_by_name() {
        for bad in ["frobnicate", "threads=many", "threads=0", "threads", "list_max=-1", "ro=1"] {
            assert!(parse(&format!("rw,{bad}")).unwrap_err().contains(bad), "{bad}");
        }
    }
}
