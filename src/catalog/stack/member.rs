//! One member of a stack: its file is opened, and described.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;

use crate::catalog::describe::Problem;
use crate::catalog::reader::{Recorder, SiblingRecorder, read_at};
use crate::catalog::resolve::Root;
use crate::catalog::{Stamp, is_regular};
use crate::format::raw::{self, Spec};
use crate::format::stack::{Glob, Named, Plan};
use crate::format::{Array, Container, Content, FORMATS, Format, HEAD, Refusal};
use crate::name;
use crate::source::ReadAt;
use crate::store::{File, Store};

/// Where the members of a stack are looked for.
#[derive(Debug)]
pub(super) struct Site {
    root: Arc<Root>,
    store: Arc<Store>,
    pub(super) sidecar: PathBuf,
    pub(super) folder: PathBuf,
    raw: Option<Spec>,
}

/// What a member turns out to be.
pub(super) enum Found {
    /// An array.
    Array { array: Box<Array>, file: Arc<File>, stamp: Stamp },
    /// Nothing.
    Missing,
    /// Something else; why, in a clause that follows its name.
    Odd(String),
}

impl Site {
    pub(super) fn new(root: &Arc<Root>, store: &Arc<Store>, sidecar: &Path, plan: &Plan) -> Site {
        Site {
            root: root.clone(),
            store: store.clone(),
            sidecar: sidecar.to_owned(),
            folder: sidecar.parent().unwrap_or(Path::new("")).to_owned(),
            raw: plan.raw.clone(),
        }
    }

    /// Path of a member below the source.
    pub(super) fn path(&self, names: &Named, number: u64) -> PathBuf {
        self.folder.join(names.member(number))
    }

    /// The names of files that match.
    pub(super) fn matching(&self, glob: &Glob) -> Result<Vec<String>, Problem> {
        let (mut names, mut foreign) = (Vec::new(), None);
        let folder = self.folder.join(&glob.folder);
        let listed = self.root.each_name(&folder, &mut |name| match name.to_str() {
            Some(name) if glob.matches(name) => names.push(name.to_owned()),
            Some(_) => {}
            None if glob.matches(&name.to_string_lossy()) => foreign = Some(name::escape(name.as_bytes()).into_owned()),
            None => {}
        });
        match (listed, foreign) {
            (Err(error), _) => Err(Refusal(format!("its folder {} cannot be listed: {error}", glob.folder)).into()),
            (_, Some(name)) => Err(Refusal(format!("the name of the file {name} is not UTF-8; rename it")).into()),
            (Ok(()), None) => Ok(names),
        }
    }

    /// What a member is now.
    ///
    /// # Errors
    /// What the disk answers, where that leaves it open.
    pub(super) fn look(&self, names: &Named, number: u64) -> Result<Found, Errno> {
        let name = names.member(number);
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
        let mut path = self.folder.join(&name);
        let mut inside: Vec<String> = Vec::new();
        let opened = match self.root.open_with_stat(&path, flags) {
            Err(Errno::NOTDIR) => match self.container(&name)? {
                Some((file, rest)) => {
                    (path, inside) = (self.folder.join(file), rest);
                    self.root.open_with_stat(&path, flags)
                }
                None => return Ok(Found::Missing),
            },
            opened => opened,
        };
        let (fd, stat) = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Found::Missing),
            Err(error) => return Err(error),
        };
        if !is_regular(&stat) {
            return Ok(Found::Odd("is no regular file; a member is one piece in one file".into()));
        }
        self.check_rights(&path, &stat)?;
        let file = self.store.file(fd)?;
        match self.parse(&path, &file, stat.st_size as u64) {
            Ok(content) => Ok(match pick(content, &inside) {
                Ok(array) => Found::Array { array: Box::new(array), file, stamp: Stamp::from(&stat) },
                Err(why) => Found::Odd(why),
            }),
            Err(Problem::Errno(error)) => Err(error),
            Err(Problem::Refused(why)) => Ok(Found::Odd(format!("cannot be served: {why}"))),
        }
    }

    fn check_rights(&self, path: &Path, stat: &Stat) -> Result<(), Errno> {
        if self.root.shared { self.root.check_rights(&self.sidecar, path, stat) } else { Ok(()) }
    }

    /// The file in the midst of a path, and the names in it that follow.
    fn container(&self, name: &str) -> Result<Option<(String, Vec<String>)>, Errno> {
        for (end, _) in name.match_indices('/') {
            match self.root.open_with_stat(&self.folder.join(&name[..end]), OFlags::PATH) {
                Ok((_, stat)) if is_regular(&stat) => {
                    let rest = name[end + 1..].split('/').map(str::to_owned).collect();
                    return Ok(Some((name[..end].to_owned(), rest)));
                }
                Ok(_) => {}
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn parse(&self, path: &Path, file: &File, len: u64) -> Result<Content, Problem> {
        let _whole = file.whole_sums();
        if let Some(spec) = &self.raw {
            return Ok(Content::One(spec.array(len)?));
        }
        let failed = Cell::new(None);
        let recorder =
            Recorder { fd: file.fd(), len, parts: RefCell::default(), hasher: RefCell::default(), failed: &failed };
        let mut head = [0; HEAD];
        let count = read_at(file.fd(), &mut head, 0)?;
        let reader = Headed { head: &head[..count], rest: &recorder };
        let folder = path.parent().unwrap_or(Path::new(""));
        let siblings = SiblingRecorder { root: &self.root, folder, read: RefCell::default(), failed: &failed };
        let shown = name::escape(path.file_name().unwrap_or_default().as_bytes());
        let by_name = || FORMATS.iter().copied().find(|format| format.stem(&shown).is_some());
        let format = match FORMATS.iter().copied().find(|format| format.knows(reader.head)) {
            Some(format) => format,
            None => by_name().unwrap_or(&raw::Raw as &dyn Format),
        };
        if format.plan(&reader)?.is_some() {
            return Err(Refusal("it is itself a stack, and a member is one piece in one file".into()).into());
        }
        let parsed = format.parse(&shown, &reader, &siblings);
        match failed.get() {
            Some(error) => Err(error.into()),
            None => Ok(parsed?),
        }
    }
}

/// A file of which the first bytes have been read.
struct Headed<'a> {
    head: &'a [u8],
    rest: &'a Recorder<'a>,
}

impl ReadAt for Headed<'_> {
    fn len(&self) -> u64 {
        self.rest.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.head.len() as u64 { self.rest.read_at(buffer, offset) } else { self.head.read_at(buffer, offset) }
    }
}

/// The array of a file, or one in it.
fn pick(content: Content, inside: &[String]) -> Result<Array, String> {
    match content {
        Content::One(array) if inside.is_empty() => Ok(array),
        Content::One(_) => Err("is one array, in which there are no others".into()),
        Content::Many(Container { members, .. }) if inside.is_empty() => {
            let first = members.first().map(|member| member.path.join("/")).unwrap_or_default();
            Err(format!("holds several arrays; name one of them, as in FILE/{first}"))
        }
        Content::Many(Container { members, .. }) => {
            let member = members.into_iter().find(|member| member.path == inside);
            let found = member.ok_or("is not there: its file holds no such array")?.found;
            found.map_err(|Refusal(why)| format!("cannot be served: {why}"))
        }
    }
}
