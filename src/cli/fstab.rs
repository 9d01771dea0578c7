//! `-o OPTIONS`, as mount(8) hands them over from `/etc/fstab`.

use std::path::PathBuf;

use super::mount::CacheMode;

/// One option that means something here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    ReadOnly(bool),
    AllowOther,
    AllowRoot,
    FollowLinks,
    Threads(u16),
    ListMax(u64),
    FetchGap(u64),
    UpdateChecksums,
    Cow,
    CowDir(PathBuf),
    Cache(CacheMode),
    Uid(u32),
    Gid(u32),
    Umask(u32),
    FsName(String),
    MaxRead(u32),
    AutoUnmount,
    LogFile(PathBuf),
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
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "exec",
    "atime",
    "diratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "async",
    "sync",
    "dirsync",
    "silent",
    "loud",
    "group",
    "owner",
    "default_permissions",
    "nonempty",
];

/// What begins with one of these is for others, too.
const OF_OTHERS: &[&str] = &["x-", "X-", "comment=", "user=", "uhelper=", "helper="];

/// Reads a comma-separated list.
///
/// # Errors
/// An option that is not known, or a value that is none.
pub(super) fn parse(list: &str) -> Result<Vec<Item>, String> {
    split(list).filter_map(|option| parse_one(option).transpose()).collect()
}

/// Leaves only what is known.
pub(super) fn known(list: &str) -> String {
    split(list).filter(|option| parse_one(option).is_ok()).collect::<Vec<_>>().join(",")
}

pub(super) fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|option| !option.is_empty())
}

fn parse_one(option: &str) -> Result<Option<Item>, String> {
    let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
    let number = || value.and_then(|value| value.parse::<u64>().ok()).ok_or_else(|| format!("{option}: is no number"));
    Ok(Some(match (key, value) {
        ("ro", None) => Item::ReadOnly(true),
        ("rw", None) => Item::ReadOnly(false),
        ("allow_other", None) => Item::AllowOther,
        ("allow_root", None) => Item::AllowRoot,
        ("follow_links", None) => Item::FollowLinks,
        ("threads", _) => match u16::try_from(number()?) {
            Ok(threads @ 1..=256) => Item::Threads(threads),
            _ => return Err(format!("{option}: there can be 1 to 256 threads")),
        },
        ("update_checksums", None) => Item::UpdateChecksums,
        ("cow", None) => Item::Cow,
        ("cow_dir", Some(folder)) if !folder.is_empty() => Item::CowDir(folder.into()),
        ("list_max", _) => Item::ListMax(number()?),
        ("fetch_gap", Some(size)) => Item::FetchGap(super::size::parse_size(size)?),
        ("cache", Some("none")) => Item::Cache(CacheMode::None),
        ("cache", Some("pages")) => Item::Cache(CacheMode::Pages),
        ("uid", Some(text)) => Item::Uid(parse_id(text)?),
        ("gid", Some(text)) => Item::Gid(parse_id(text)?),
        ("umask", Some(text)) => Item::Umask(parse_umask(text)?),
        ("fsname", Some(name)) if !name.is_empty() => Item::FsName(name.to_owned()),
        ("subtype", Some("afbfs")) => return Ok(None),
        ("subtype", _) => return Err(format!("{option}: the type is always fuse.afbfs, by which umount finds it")),
        ("max_read", _) => Item::MaxRead(u32::try_from(number()?).map_err(|_| format!("{option}: is too large"))?),
        ("auto_unmount", None) => Item::AutoUnmount,
        ("log_file", Some(file)) if !file.is_empty() => Item::LogFile(file.into()),
        ("remount", None) => {
            return Err("remount: a mount keeps the options that it began with; unmount it, and mount it anew".into());
        }
        (key, None) if IGNORED.contains(&key) => return Ok(None),
        _ if OF_OTHERS.iter().any(|start| option.starts_with(start)) => return Ok(None),
        (key, None) if KERNEL.contains(&key) => {
            return Ok(KERNEL.iter().find(|known| **known == key).map(|k| Item::Kernel(k)));
        }
        _ => {
            return Err(format!(
                "{option}: is no option of afbfs; it knows ro, rw, allow_other, allow_root, uid=N, gid=N, umask=MODE, \
                 follow_links, threads=N, list_max=N, cache=none|pages, fetch_gap=SIZE, update_checksums, fsname=NAME, \
                 max_read=N, auto_unmount, log_file=FILE, cow, cow_dir=DIR, {}",
                KERNEL.join(", ")
            ));
        }
    }))
}

/// The number of a user or a group. Names are turned into numbers by mount(8).
///
/// # Errors
/// What is no number, or the one that stands for nobody.
pub(super) fn parse_id(text: &str) -> Result<u32, String> {
    let id = text.parse().ok().filter(|&id| id != u32::MAX);
    id.ok_or_else(|| format!("{text}: is no number of a user or a group (id -u NAME, id -g NAME say it)"))
}

/// Permission bits in octal.
///
/// # Errors
/// What is no octal number, or has other bits.
pub(super) fn parse_umask(text: &str) -> Result<u32, String> {
    let mask = u32::from_str_radix(text, 8).ok().filter(|&mask| mask <= 0o777 && !text.starts_with('+'));
    mask.ok_or_else(|| format!("{text}: is no mask; write the bits that nobody gets in octal, as in 027"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_fstab_is_understood() {
        let line = "ro,noatime,dev,suid,threads=2,x-systemd.automount,_netdev,nofail,allow_other,list_max=5,user=me";
        let expected =
            [Item::ReadOnly(true), Item::Kernel("noatime"), Item::Threads(2), Item::AllowOther, Item::ListMax(5)];
        assert_eq!(parse(line).unwrap(), expected);
        let line = "uid=1000,gid=0,umask=027,fsname=lab,subtype=afbfs,max_read=65536,auto_unmount,log_file=/x,rw";
        let expected = [
            Item::Uid(1000),
            Item::Gid(0),
            Item::Umask(0o027),
            Item::FsName("lab".into()),
            Item::MaxRead(65536),
            Item::AutoUnmount,
            Item::LogFile("/x".into()),
            Item::ReadOnly(false),
        ];
        assert_eq!(parse(line).unwrap(), expected);
        let cow = [Item::Cow, Item::CowDir("/var/tmp/changes".into())];
        assert_eq!(parse("cow,cow_dir=/var/tmp/changes").unwrap(), cow);
        assert_eq!(parse("defaults").unwrap(), []);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn unknown_options_and_bad_values_are_refused_by_name() {
        let all = "frobnicate,threads=many,threads=0,threads,list_max=-1,ro=1,uid=me,uid=4294967295,gid=-1,umask=8,\
                   umask=1000,umask=+7,subtype=x,fsname=,max_read=x,log_file=,remount,cow=1,cow_dir,cow_dir=";
        for bad in all.split(',') {
            let said = parse(&format!("rw,{bad}")).unwrap_err();
            assert!(said.contains(bad.rsplit('=').next().unwrap()), "{bad}: {said}");
        }
        assert_eq!(known(&format!("rw,{all},threads=3")), "rw,threads=3");
    }
}
