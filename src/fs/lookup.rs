//! Names in folders.

use std::ffi::OsStr;

use rustix::io::Errno;

use super::facts::Fact;
use super::nodes::{SPECIAL, Special};
use super::{Attr, Folder, Fs, Leaf, Node, Place, Step, count, error_text};
use crate::catalog::{Item, Origin, Problem};
use crate::form;
use crate::name;

/// What a name in a folder of views is.
enum Child {
    Folder(Folder),
    Leaf(Leaf),
}

impl Fs {
    /// Looks a name up in a folder, and takes a reference to what it stands for.
    ///
    /// # Errors
    /// ENOENT for what does not exist; ELOOP for `T/T`; ENOTDIR if the parent is no folder.
    pub fn lookup(&self, parent: u64, name: &OsStr) -> Result<Attr, Errno> {
        count(&self.counters.lookups, 1);
        let Node::Folder(folder) = self.node(parent)? else { return Err(Errno::NOTDIR) };
        // The tree shows no name that is not UTF-8: such names are escaped.
        let name = name.to_str().ok_or(Errno::NOENT)?;
        match &*folder {
            Folder::Source(path) => {
                if parent == super::ROOT && name == ".afbfs" {
                    return self.attr_of_folder(SPECIAL, &Folder::Special);
                }
                let folder = match self.catalog.lookup(path, name).ok_or(Errno::NOENT)? {
                    Item::Folder(path) => Folder::Source(path),
                    Item::Array(origin) => Folder::Views { origin, steps: Vec::new(), place: Place::Top },
                };
                self.enter(parent, name, folder)
            }
            Folder::Special => {
                let special = Special::ALL.into_iter().find(|special| special.name() == name);
                self.attr_of_special(special.ok_or(Errno::NOENT)?)
            }
            Folder::Views { origin, steps, place } => self.lookup_view(parent, origin, steps, *place, name),
        }
    }

    /// Takes a reference to a folder, if its attributes can be had.
    fn enter(&self, parent: u64, name: &str, folder: Folder) -> Result<Attr, Errno> {
        let mut attr = self.attr_of_folder(0, &folder)?;
        attr.inode = self.nodes.folder(parent, name, folder);
        Ok(attr)
    }

    fn lookup_view(
        &self,
        parent: u64,
        origin: &Origin,
        steps: &[Step],
        place: Place,
        name: &str,
    ) -> Result<Attr, Errno> {
        let (tree, described) = match self.tree(origin, steps) {
            Ok(found) => found,
            Err(Problem::Errno(error)) => return Err(error),
            Err(Problem::Refused(reason)) => {
                if place != Place::Top || !steps.is_empty() || name != "error" {
                    return Err(Errno::NOENT);
                }
                let len = error_text(&self.catalog, origin, &reason).len();
                let stat = self.catalog.stat(origin)?;
                return Ok(Attr::of_text(self.nodes.error(origin), len as u64, &stat));
            }
        };
        let views = |steps: Vec<Step>, place| Child::Folder(Folder::Views { origin: origin.clone(), steps, place });
        let with = |step: Step| steps.iter().cloned().chain([step]).collect::<Vec<Step>>();
        let child = match place {
            Place::Top => match name {
                "T" => views(with(Step::Transpose), Place::Top),
                "field" if !tree.dtype.part_names().is_empty() => views(steps.to_vec(), Place::Fields),
                "axis" if tree.selection.ndim() >= 1 => views(steps.to_vec(), Place::Axes),
                "row" if tree.selection.ndim() >= 1 => views(steps.to_vec(), Place::Axis(0)),
                "col" if tree.selection.ndim() >= 2 => views(steps.to_vec(), Place::Axis(1)),
                "range" => views(steps.to_vec(), Place::Range),
                "slice" => views(steps.to_vec(), Place::Slice),
                _ => match Fact::named(name) {
                    Some(fact) => Child::Leaf(Leaf::Fact(fact)),
                    None if split_form(name)? == "data" => Child::Leaf(Leaf::Data),
                    None => return Err(Errno::NOENT),
                },
            },
            Place::Axes => {
                let axis = name::axis(name, tree.selection.ndim()).ok_or(Errno::NOENT)?;
                views(steps.to_vec(), Place::Axis(axis))
            }
            Place::Axis(axis) => {
                let &length = tree.selection.shape().get(axis).ok_or(Errno::NOENT)?;
                let pick = name::pick(split_form(name)?, length).ok_or(Errno::NOENT)?;
                Child::Leaf(tree.on_axis(axis, pick))
            }
            Place::Range => {
                let pick = name::pick(split_form(name)?, tree.selection.count()).ok_or(Errno::NOENT)?;
                Child::Leaf(tree.raveled(pick))
            }
            Place::Slice => {
                let picks = name::expression(split_form(name)?, tree.selection.shape()).ok_or(Errno::NOENT)?;
                Child::Leaf(tree.slice(&picks))
            }
            Place::Fields => {
                let real = name::unescape(name).ok_or(Errno::NOENT)?;
                let real = std::str::from_utf8(&real).map_err(|_| Errno::NOENT)?;
                views(with(Step::Field(real.into())), Place::Top)
            }
        };
        match child {
            Child::Folder(folder) => {
                // Whether the steps are possible is known only by taking them.
                if let Folder::Views { steps, .. } = &folder {
                    super::Tree::new(tree.description.clone(), steps)?;
                }
                self.enter(parent, name, folder)
            }
            Child::Leaf(leaf) => {
                let (tree, leaf) = self.canonical(tree, leaf)?;
                let mut attr = self.attr_of_leaf(0, &tree, &leaf, &described.stat);
                attr.inode = self.nodes.leaf(&tree, &leaf);
                Ok(attr)
            }
        }
    }

    /// Drops references that lookups took.
    pub fn forget(&self, inode: u64, references: u64) {
        self.nodes.forget(inode, references);
        // The kernel may have looked it up anew meanwhile. Without an open handle no page is filled, and opening drops
        // those that have no mark.
        if self.inodes.file(inode).is_none() {
            self.coherence.forget(inode);
        }
    }
}

/// A slice's name without the suffix of its form.
fn split_form(name: &str) -> Result<&str, Errno> {
    let (bare, suffix) = name::split_form(name, form::SUFFIXES);
    form::of_suffix(suffix).map(|_| bare).ok_or(Errno::NOENT)
}
