//! What an array file holds, remembered for as long as it does not change.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rustix::fs::{Access, AtFlags, CWD, OFlags, Stat};
use rustix::io::Errno;
use serde_json::{Map, Value};

use super::contents::Members;
use super::descriptors::is_short;
use super::fingerprint::{Fingerprint, continues};
use super::formats::format_of_content;
use super::pieces::ArrayFiles;
use super::reader::{Recorder, SiblingRecorder};
use super::stack;
use super::{Catalog, Origin, Stamp, is_regular};
use crate::format::{self, Array, Content, Member, Refusal, raw};
use crate::name;
use crate::store::{File, FileId, Files, Pieces, lock};

/// So many descriptions and open files are remembered. Handles keep what they use beyond that.
pub(super) const REMEMBERED: usize = 256;

/// How often in a row a file may be found replaced.
const REPLACED_AT_MOST: usize = 10;

/// An array, as it was described at some time.
#[derive(Debug)]
pub struct Description {
    /// Where it comes from.
    pub origin: Origin,
    /// Path of its file, from the root of the file system.
    pub path: Arc<Path>,
    /// Which file it is.
    pub id: FileId,
    /// What it holds.
    pub array: Array,
    /// What the format knows of the container that it lies in.
    pub container: Arc<Map<String, Value>>,
    /// Whether this process may write to it.
    pub writable: bool,
    /// Whether handles lock the file, as the programs of its format do.
    pub locked: bool,
    /// The files of an array in many.
    pieces: Option<Arc<dyn Pieces>>,
    fingerprint: Arc<Fingerprint>,
}

impl Description {
    /// Makes what was written durable, where the array lies in files of its own.
    ///
    /// # Errors
    /// What `fdatasync(2)` answers, of the first file that fails.
    pub fn sync_pieces(&self) -> Result<(), Errno> {
        self.pieces.as_ref().map_or(Ok(()), |pieces| pieces.sync())
    }

    /// Where the array's bytes lie; `file` is the file that was described.
    pub fn files(&self, file: &Arc<File>) -> Files {
        match &self.pieces {
            Some(pieces) => Files::Many(pieces.clone()),
            None => Files::One(file.clone()),
        }
    }
}

/// An array file, as it was described at some time.
#[derive(Debug)]
pub(super) struct Contents {
    writable: bool,
    fingerprint: Arc<Fingerprint>,
    pub(super) held: Held,
}

/// What a file holds.
#[derive(Debug)]
pub(super) enum Held {
    /// One array, which it is.
    One(Arc<Description>),
    /// Arrays under names.
    Many(Members),
}

/// An array file as it is now.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) contents: Arc<Contents>,
    file: Arc<File>,
    stat: Stat,
}

/// Why there is no description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is gone, or cannot be opened.
    Errno(Errno),
    /// The file cannot be served, with the reason and the remedy.
    Refused(Arc<str>),
}

impl From<Errno> for Problem {
    fn from(error: Errno) -> Problem {
        Problem::Errno(error)
    }
}

/// An array file as it is now.
#[derive(Clone, Debug)]
pub struct Described {
    /// What it holds.
    pub description: Arc<Description>,
    /// The open file.
    pub file: Arc<File>,
    /// Its attributes.
    pub stat: Stat,
}

/// A handle's memory of the last time that its file was found unchanged.
#[derive(Debug, Default)]
pub struct Validity(Mutex<Option<Stamps>>);

/// What is read of an array file.
struct Parsed {
    content: Content,
    locked: bool,
    /// The files of a stack.
    members: Option<Arc<dyn Pieces>>,
    fingerprint: Fingerprint,
}

/// What is remembered of a file.
#[derive(Debug)]
pub(super) struct Slot {
    stamps: Stamps,
    pub(super) known: Known,
}

/// What a file holds, and the file, or the reason why it cannot be served.
pub(super) type Known = Result<(Arc<Contents>, Arc<File>), Arc<str>>;

/// The file's stamp, its sidecar's, and those of what a stack is made of.
type Stamps = (Stamp, Option<Stamp>, Vec<Option<Stamp>>);

impl Held {
    /// The array of an origin, if there is one: of a file that is no array, none.
    fn get(&self, origin: &Origin) -> Option<Result<Arc<Description>, Arc<str>>> {
        match (self, origin) {
            (Held::One(description), Origin::File(_) | Origin::Named(_)) => Some(Ok(description.clone())),
            (Held::Many(members), Origin::Member(_, path)) => {
                let at = members.binary_search_by(|(other, _)| other.cmp(path)).ok()?;
                Some(members[at].1.clone())
            }
            _ => None,
        }
    }
}

impl Catalog {
    /// Describes an array as it is now, and opens its file.
    ///
    /// # Errors
    /// If it is gone, cannot be opened, or cannot be served.
    pub fn describe(&self, origin: &Origin) -> Result<Described, Problem> {
        let Found { contents, file, stat } = self.contents(origin)?;
        let description = contents.held.get(origin).ok_or(Errno::NOENT)?.map_err(Problem::Refused)?;
        Ok(Described { description, file, stat })
    }

    /// Says what the file of an origin holds now, and opens it.
    ///
    /// # Errors
    /// If it is gone, cannot be opened, or cannot be served.
    pub(super) fn contents(&self, origin: &Origin) -> Result<Found, Problem> {
        let whole;
        let origin = match origin {
            Origin::Member(path, _) => {
                whole = Origin::File(path.clone());
                &whole
            }
            Origin::File(_) | Origin::Named(_) => origin,
        };
        // A file that is replaced between two looks at it is looked at again.
        for _ in 0..REPLACED_AT_MOST {
            let stat = match self.stat(origin) {
                Ok(stat) => stat,
                Err(error) => {
                    let forgotten = lock(&self.cache).remove(origin);
                    drop(forgotten);
                    return Err(error.into());
                }
            };
            let stamp = Stamp::from(&stat);
            let known = lock(&self.cache).get(origin).and_then(|slot| slot.known.clone().ok());
            let watched = |contents: &Contents| self.watched_stamps(&contents.fingerprint);
            let before = known.as_ref().map(|(contents, _)| watched(contents)).unwrap_or_default();
            let mut stamps = (stamp, self.sidecar_stamp(origin), before);
            let found = |(contents, file)| Found { contents, file, stat };
            if let Some(slot) = lock(&self.cache).get(origin)
                && slot.stamps == stamps
            {
                return slot.known.clone().map(found).map_err(Problem::Refused);
            }
            let mut read = self.read_contents(origin, stamp);
            if is_short(&read) {
                drop(read);
                self.let_go();
                read = self.read_contents(origin, stamp);
            }
            let known = match read {
                Ok((_, file)) if file.id() != stamp.id => continue,
                Ok((contents, file)) if file.is_passing() => return Ok(found((contents, file))),
                Ok(known) => {
                    stamps.2 = watched(&known.0);
                    Ok(known)
                }
                // Its members may come, or change, and the sidecar does not.
                Err(Problem::Refused(reason)) if !stack::is_stack(origin) => Err(reason),
                Err(problem) => return Err(problem),
            };
            let forgotten = lock(&self.cache).put(origin.clone(), Slot { stamps, known: known.clone() });
            drop(forgotten);
            return known.map(found).map_err(Problem::Refused);
        }
        Err(Errno::STALE.into())
    }

    /// Opens the file and reads its header, or finds it as it was described before.
    fn read_contents(&self, origin: &Origin, stamp: Stamp) -> Result<(Arc<Contents>, Arc<File>), Problem> {
        let before = lock(&self.cache).get(origin).map(|slot| (slot.stamps.0, slot.known.clone()));
        let writable = self.may_write(origin);
        if let Some((old, Ok((contents, file)))) = before
            && old.id == stamp.id
            && old.size == stamp.size
            && contents.writable == writable
            && self.matches(&contents.fingerprint, &file)
        {
            return Ok((contents, file));
        }
        let opened = match origin {
            Origin::File(path) | Origin::Member(path, _) => {
                let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
                let opened = self.open_below(path, flags)?;
                // A device or a FIFO is not even read.
                if !is_regular(&rustix::fs::fstat(&opened)?) {
                    return Err(Errno::NOENT.into());
                }
                opened
            }
            Origin::Named(number) => self.open_named(*number)?,
        };
        let file = self.store.file(opened).map_err(|error| match error {
            Errno::INVAL => Problem::Refused("is neither a regular file nor a block device".into()),
            error => Problem::Errno(error),
        })?;
        let Parsed { content, locked, members, fingerprint } = self.parse(origin, &file)?;
        let (id, fingerprint) = (file.id(), Arc::new(fingerprint));
        let path: Arc<Path> = self.root.path.join(self.path_of(origin)).into();
        let describe = |origin: Origin, mut array: Array, container: &Arc<Map<String, Value>>| {
            if self.options.update_checksums && array.checksum.is_some() {
                array.read_only = None;
            }
            let (fingerprint, container) = (fingerprint.clone(), container.clone());
            let writable = writable && array.read_only.is_none();
            let pieces = match (&array.files, &origin, &members) {
                (_, _, Some(members)) => Some(members.clone()),
                (format::Files::Beside(names), Origin::File(path), None) => {
                    let (root, store, opened) = (self.root.clone(), self.store.clone(), self.opened.clone());
                    let (names, fill) = (names.clone(), array.fill.clone());
                    let files: Arc<dyn Pieces> = Arc::new(ArrayFiles::new(root, store, opened, path, names, fill));
                    Some(files)
                }
                _ => None,
            };
            Arc::new(Description {
                origin,
                path: path.clone(),
                id,
                array,
                container,
                writable,
                locked,
                pieces,
                fingerprint,
            })
        };
        let held = match (content, origin) {
            (Content::One(array), _) => Held::One(describe(origin.clone(), array, &Arc::default())),
            (Content::Many(container), Origin::File(path)) => {
                let attributes = Arc::new(container.attributes);
                let members = container.members.into_iter().map(|Member { path: name, found }| {
                    let origin = Origin::Member(path.clone(), name.clone());
                    let alone = found.and_then(|array| match array.files {
                        format::Files::Itself => Ok(array),
                        format::Files::Beside(_) => Err(Refusal("lies in files beside its container".into())),
                    });
                    let described = alone.map(|array| describe(origin, array, &attributes));
                    (name, described.map_err(|refusal| refusal.0.into()))
                });
                let mut members: Members = members.collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                members.dedup_by(|a, b| a.0 == b.0);
                Held::Many(members)
            }
            (Content::Many(_), _) => return Err(Problem::Refused("holds several arrays".into())),
        };
        Ok((Arc::new(Contents { writable, fingerprint, held }), file))
    }

    /// Reads the header of a file. What the disk does not give is no property of the file, which may be read again.
    fn parse(&self, origin: &Origin, file: &File) -> Result<Parsed, Problem> {
        self.headers_read.fetch_add(1, Ordering::Relaxed);
        let _whole = file.whole_sums();
        let (len, failed) = (file.len()?, Cell::new(None));
        let reader =
            Recorder { fd: file.fd(), len, parts: RefCell::default(), hasher: RefCell::default(), failed: &failed };
        match origin {
            Origin::Named(number) => {
                let spec = self.options.arrays.get(*number).ok_or(Errno::NOENT)?;
                let hash = reader.hasher.into_inner().finish();
                let array = spec.array(len).map_err(refused)?;
                let fingerprint = Fingerprint { hash, ..Fingerprint::default() };
                Ok(Parsed { content: Content::One(array), locked: false, members: None, fingerprint })
            }
            Origin::File(path) | Origin::Member(path, _) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                let siblings = SiblingRecorder { root: &self.root, folder, read: RefCell::default(), failed: &failed };
                let shown = shown_file_name(path);
                let name = path.file_name().unwrap_or_default();
                // What the content says comes before what the name says.
                let format = match format_of_content(file.fd())? {
                    Some(format) => Some(format),
                    None => self.format_of_name(folder, name)?,
                };
                let format = format.unwrap_or(&raw::Raw);
                let parsed = match format.plan(&reader) {
                    Ok(Some(plan)) => stack::join(&self.root, &self.store, &self.opened, path, plan)
                        .map(|(array, members, watched)| (Content::One(array), Some(members), Some(watched))),
                    Ok(None) => {
                        format.parse(&shown, &reader, &siblings).map_err(refused).map(|content| (content, None, None))
                    }
                    Err(refusal) => Err(refused(refusal)),
                };
                if let Some(error) = failed.get() {
                    return Err(error.into());
                }
                let (content, members, watched) = parsed?;
                let fingerprint = Fingerprint {
                    parts: reader.parts.into_inner(),
                    hash: reader.hasher.into_inner().finish(),
                    siblings: siblings.read.into_inner(),
                    watched,
                };
                Ok(Parsed { content, locked: format.is_locked(), members, fingerprint })
            }
        }
    }

    /// Checks before a write that the open file is still laid out as it was described: the same, or grown at its end.
    ///
    /// # Errors
    /// ESTALE if not; what reading it answers.
    pub fn revalidate(&self, description: &Description, file: &File, validity: &Validity) -> Result<(), Errno> {
        let stamp = Stamp::from(&rustix::fs::fstat(file.fd())?);
        let sibling = description.fingerprint.siblings.first().and_then(|(path, _)| self.stamp_below(path));
        let now = (stamp, sibling, self.watched_stamps(&description.fingerprint));
        if lock(&validity.0).as_ref() == Some(&now) {
            return Ok(());
        }
        if !self.matches(&description.fingerprint, file) {
            let parsed = self.parse(&description.origin, file).map_err(|problem| match problem {
                Problem::Errno(error) => error,
                Problem::Refused(_) => Errno::STALE,
            })?;
            let array = match (parsed.content, &description.origin) {
                (Content::One(array), _) => Some(array),
                (Content::Many(container), Origin::Member(_, path)) => {
                    let member = container.members.into_iter().find(|member| member.path == *path);
                    member.and_then(|member| member.found.ok())
                }
                (Content::Many(_), _) => None,
            };
            if !array.is_some_and(|array| continues(&description.array, &array)) {
                return Err(Errno::STALE);
            }
        }
        *lock(&validity.0) = Some(now);
        Ok(())
    }

    /// The files that are open though no handle may need them.
    pub fn remembered_files(&self) -> Vec<Arc<File>> {
        let cache = lock(&self.cache);
        cache.iter().filter_map(|(_, slot)| slot.known.as_ref().ok()).map(|(_, file)| file.clone()).collect()
    }

    /// The remembered arrays that lie in files of their own, not in the one that describes them.
    pub fn remembered_in_pieces(&self) -> Vec<Arc<Description>> {
        let cache = lock(&self.cache);
        let known = cache.iter().filter_map(|(_, slot)| slot.known.as_ref().ok());
        let arrays = known.filter_map(|(contents, _)| match &contents.held {
            Held::One(description) => Some(description.clone()),
            Held::Many(_) => None,
        });
        arrays.filter(|description| description.pieces.is_some()).collect()
    }

    /// Lets go of files that have been removed, so that their space is freed.
    pub fn forget_removed(&self) {
        // Asked, closed, and perhaps synced, without the lock: a disk may take its time.
        let is_removed = |file: &Arc<File>| rustix::fs::fstat(file.fd()).is_ok_and(|stat| stat.st_nlink == 0);
        let removed: HashSet<FileId> =
            self.remembered_files().iter().filter(|file| is_removed(file)).map(|file| file.id()).collect();
        let gone = |_: &Origin, _, slot: &Slot| slot.known.as_ref().is_ok_and(|(_, file)| removed.contains(&file.id()));
        let forgotten = lock(&self.cache).take(gone);
        drop(forgotten);
    }

    /// How often a header was read.
    pub fn headers_read(&self) -> u64 {
        self.headers_read.load(Ordering::Relaxed)
    }

    fn may_write(&self, origin: &Origin) -> bool {
        if self.options.covered {
            return true;
        }
        let Ok(place) = self.locate(origin) else { return false };
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place));
        rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    }
}

fn refused(refusal: Refusal) -> Problem {
    Problem::Refused(refusal.0.into())
}

fn shown_file_name(path: &Path) -> String {
    name::escape(path.file_name().unwrap_or_default().as_bytes()).into_owned()
}
