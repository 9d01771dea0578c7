//! What lies in containers, and which folders are arrays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::describe::Held;
use super::{Catalog, Description, Group, Item, Origin, Problem};
use crate::format::zarr;
use crate::name;

/// The arrays of a container, sorted by their paths; of those that are not served, why.
pub(super) type Members = Vec<(Vec<String>, Result<Arc<Description>, Arc<str>>)>;

/// Whether a folder is an array: a file in it says so.
pub(crate) fn is_array_folder(folder: &Path) -> bool {
    let says_so = |name: &&str| {
        let path = folder.join(name);
        // No FIFO that would be waited for, and no file without end.
        path.metadata().is_ok_and(|found| found.is_file() && found.len() <= zarr::MAX_METADATA as u64)
            && std::fs::read(path).is_ok_and(|bytes| zarr::is_array(name, &bytes))
    };
    zarr::METADATA.iter().any(says_so)
}

impl Catalog {
    /// What a folder of the source is: an array, if a file in it says so.
    pub(super) fn item_of_folder(&self, folder: PathBuf) -> Option<Item> {
        for name in zarr::METADATA {
            let path = folder.join(name);
            if let Ok(Some(bytes)) = self.read_small(&path, zarr::MAX_METADATA)
                && zarr::is_array(name, &bytes)
            {
                return Some(Item::Array(Origin::File(path)));
            }
        }
        // Where one array is the source, nothing beside it is served.
        self.only.is_none().then_some(Item::Folder(folder))
    }

    /// What an array file is: a container, or an array, or not served.
    pub(super) fn item_of_file(&self, file: PathBuf) -> Item {
        let origin = Origin::File(file);
        if self.may_hold_many(&origin)
            && let Ok(found) = self.contents(&origin)
            && matches!(found.contents.held, Held::Many(_))
            && let Origin::File(file) = origin
        {
            return Item::Group(Group { file, path: Vec::new() });
        }
        Item::Array(origin)
    }

    /// What a name in a group of a container stands for.
    pub fn lookup_in_group(&self, group: &Group, name: &str) -> Option<Item> {
        let found = self.contents(&Origin::File(group.file.clone())).ok()?;
        let Held::Many(members) = &found.contents.held else { return None };
        let unescaped = name::unescape(name)?;
        let child = std::str::from_utf8(&unescaped).ok()?;
        let path_of = |child: &str| group.path.iter().cloned().chain([child.to_owned()]).collect::<Vec<String>>();
        let array = |child: &str| members.binary_search_by(|(other, _)| other[..].cmp(&path_of(child)[..])).is_ok();
        let is_group = |path: &[String]| {
            let start = members.partition_point(|(other, _)| other[..] <= *path);
            members.get(start).is_some_and(|(other, _)| other.starts_with(path))
        };
        if array(child) {
            return Some(Item::Array(Origin::Member(group.file.clone(), path_of(child))));
        }
        let child = child.strip_suffix('/').filter(|child| array(child)).unwrap_or(child);
        let path = path_of(child);
        is_group(&path).then(|| Item::Group(Group { file: group.file.clone(), path }))
    }

    /// What a group of a container holds, and under which names.
    ///
    /// # Errors
    /// As describing the container; ESTALE if it is no container any more.
    pub fn group_items(&self, group: &Group) -> Result<Vec<(String, Item)>, Problem> {
        let found = self.contents(&Origin::File(group.file.clone()))?;
        let Held::Many(members) = &found.contents.held else { return Err(rustix::io::Errno::STALE.into()) };
        let depth = group.path.len();
        let start = members.partition_point(|(path, _)| path[..] < group.path[..]);
        let mut items: Vec<(String, Item)> = Vec::new();
        let (mut array, mut last): (Option<&String>, Option<&String>) = (None, None);
        for (path, _) in members[start..].iter().take_while(|(path, _)| path.starts_with(&group.path)) {
            let Some(child) = path.get(depth) else { continue };
            if path.len() == depth + 1 {
                array = Some(child);
                items.push((shown(child), Item::Array(Origin::Member(group.file.clone(), path.clone()))));
            } else if last != Some(child) {
                last = Some(child);
                // Where an array has the name already, the group's is told from it by a slash at its end.
                let name = if array == Some(child) { shown(&format!("{child}/")) } else { shown(child) };
                let path = path[..=depth].to_vec();
                items.push((name, Item::Group(Group { file: group.file.clone(), path })));
            }
        }
        Ok(items)
    }

    /// Calls `each` with the arrays of a file that is to appear at `path`: itself, or those that it holds.
    pub(super) fn walk_file(&self, path: &str, origin: Origin, each: &mut dyn FnMut(String, Origin)) {
        if self.may_hold_many(&origin)
            && let Ok(found) = self.contents(&origin)
            && let (Held::Many(members), Origin::File(file)) = (&found.contents.held, &origin)
        {
            for (member, _) in members {
                let names: Vec<String> = member.iter().map(|name| shown(name)).collect();
                each(format!("{path}/{}", names.join("/")), Origin::Member(file.clone(), member.clone()));
            }
        } else {
            each(path.to_owned(), origin);
        }
    }
}

/// How the tree shows the name of an array or group in a container.
pub(super) fn shown(name: &str) -> String {
    name::escape(name.as_bytes()).into_owned()
}
