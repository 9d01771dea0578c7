//! Names in folders.

use std::ffi::OsStr;
use std::sync::Arc;

use rustix::io::Errno;

use super::facts::Fact;
use super::nodes::SPECIAL;
use super::{Attr, Folder, Fs, Leaf, Node, Place, Special, Step, Tree, Views, count, error_text};
use crate::catalog::Problem;
use crate::convert::Element;
use crate::form::{self, Form};
use crate::name;

/// What a name in a folder of views is.
enum Child {
    /// Another folder of the same tree.
    Beside(Place),
    /// A tree of its own, one step further.
    Below(Step),
    /// A file.
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
        match &folder {
            Folder::Source(path) => {
                if parent == super::ROOT && name == ".afbfs" {
                    return self.attr_of_folder(SPECIAL, &Folder::Special);
                }
                let item = self.catalog.lookup(path, name)?;
                self.enter(parent, name, Folder::of_item(item))
            }
            Folder::Group(group) => match self.catalog.lookup_in_group(group, name) {
                Some(item) => self.enter(parent, name, Folder::of_item(item)),
                None => Err(Errno::NOENT),
            },
            Folder::Special => {
                let special = Special::ALL.into_iter().find(|&special| special.name() == name);
                let special = special.filter(|&special| self.has_special(special));
                self.attr_of_special(special.ok_or(Errno::NOENT)?)
            }
            Folder::Views(views, place) => self.lookup_view(parent, views, *place, name),
        }
    }

    /// Takes a reference to a folder, if its attributes can be had.
    fn enter(&self, parent: u64, name: &str, folder: Folder) -> Result<Attr, Errno> {
        let mut attr = self.attr_of_folder(0, &folder)?;
        attr.inode = self.nodes.folder(parent, name, &folder);
        Ok(attr)
    }

    fn lookup_view(&self, parent: u64, views: &Arc<Views>, place: Place, name: &str) -> Result<Attr, Errno> {
        let Views { origin, steps } = &**views;
        let (tree, described) = match self.tree(origin, steps) {
            Ok(found) => found,
            Err(Problem::Errno(error)) => return Err(error),
            Err(Problem::Refused(reason)) => {
                if place != Place::Top || !steps.is_empty() || name != "error" {
                    return Err(Errno::NOENT);
                }
                let len = error_text(&self.catalog, origin, &reason).len();
                let stat = self.catalog.stat(origin)?;
                return Ok(Attr::of_text(self.nodes.error(origin), len as u64, &stat, self.settings.shown));
            }
        };
        let child = match place {
            Place::Top => match name {
                "T" => Child::Below(Step::Transpose),
                "as" if is_number(&tree) => Child::Beside(Place::As),
                "value" if is_number(&tree) => Child::Below(Step::Value),
                "field" if !tree.dtype.part_names().is_empty() => Child::Beside(Place::Fields),
                "axis" if tree.selection.ndim() >= 1 => Child::Beside(Place::Axes),
                "row" if tree.selection.ndim() >= 1 => Child::Beside(Place::Row),
                "col" if tree.selection.ndim() >= 2 => Child::Beside(Place::Col),
                "range" => Child::Beside(Place::Range),
                "slice" => Child::Beside(Place::Slice),
                _ => match Fact::named(name) {
                    Some(fact) => Child::Leaf(Leaf::Fact(fact)),
                    None => match split_form(name) {
                        ("data", form) => Child::Leaf(formed(Leaf::Data, form)),
                        _ => return Err(Errno::NOENT),
                    },
                },
            },
            Place::Axes => {
                let place = match name::axis(name, tree.selection.ndim()) {
                    Some(axis) => Place::Axis(axis),
                    None => {
                        let real = name::unescape(name).ok_or(Errno::NOENT)?;
                        let named = tree.dims.iter().position(|dim| !dim.is_empty() && dim.as_bytes() == &*real);
                        Place::Named(named.ok_or(Errno::NOENT)?)
                    }
                };
                Child::Beside(place)
            }
            Place::Row | Place::Col | Place::Axis(_) | Place::Named(_) => {
                let axis = place.axis().ok_or(Errno::NOENT)?;
                let &length = tree.selection.shape().get(axis).ok_or(Errno::NOENT)?;
                let (name, form) = split_form(name);
                let pick = name::pick(name, length).ok_or(Errno::NOENT)?;
                Child::Leaf(formed(tree.on_axis(axis, pick), form))
            }
            Place::Range => {
                let (name, form) = split_form(name);
                let pick = name::pick(name, tree.selection.count()).ok_or(Errno::NOENT)?;
                Child::Leaf(formed(tree.raveled(pick), form))
            }
            Place::Slice => {
                let (name, form) = split_form(name);
                let picks = name::expression(name, tree.selection.shape()).ok_or(Errno::NOENT)?;
                Child::Leaf(formed(tree.slice(&picks), form))
            }
            Place::As => Child::Below(Step::As(Element::parse(name).ok_or(Errno::NOENT)?)),
            Place::Fields => {
                let real = name::unescape(name).ok_or(Errno::NOENT)?;
                let real = std::str::from_utf8(&real).map_err(|_| Errno::NOENT)?;
                Child::Below(Step::Field(real.into()))
            }
        };
        match child {
            Child::Beside(place) => {
                let mut attr = self.attr_of_folder(0, &Folder::Views(views.clone(), place))?;
                attr.inode = self.nodes.beside(parent, place).ok_or(Errno::STALE)?;
                Ok(attr)
            }
            Child::Below(step) => {
                let steps: Vec<Step> = steps.iter().cloned().chain([step]).collect();
                // Whether the steps are possible is known only by taking them.
                super::Tree::new(tree.description.clone(), &steps)?;
                let below = Arc::new(Views { origin: origin.clone(), steps });
                self.enter(parent, name, Folder::Views(below, Place::Top))
            }
            Child::Leaf(leaf) => {
                let (tree, leaf) = self.canonical(tree, leaf)?;
                let mut attr = self.attr_of_leaf(0, &tree, &leaf, &described.stat)?;
                attr.inode = self.nodes.leaf(&tree, &leaf);
                Ok(attr)
            }
        }
    }

    /// A name of a folder that the kernel should forget, now that it knows this one: of the names that have an entry of their
    /// own here, only so many that were last looked up are left to its memory.
    pub fn outdated_by(&self, inode: u64, parent: u64, name: &OsStr) -> Option<(u64, Box<str>)> {
        if self.nodes.has_own_entry(inode) { self.nodes.remember(parent, name.to_str()?) } else { None }
    }

    /// Drops references that lookups took.
    pub fn forget(&self, inode: u64, references: u64) {
        self.nodes.forget(inode, references);
        // The kernel may have looked it up anew meanwhile. Without an open handle no page is filled, and opening drops
        // those that have no mark.
        if self.inodes.file(inode).is_none() {
            self.coherence.forget(inode);
            self.served.forget(inode);
        }
    }
}

/// A slice's name without the suffix of its form, and the form.
fn split_form(name: &str) -> (&str, Option<Form>) {
    let (bare, suffix) = name::split_form(name, form::SUFFIXES);
    (bare, suffix.and_then(Form::of_suffix))
}

fn formed(leaf: Leaf, form: Option<Form>) -> Leaf {
    match form {
        Some(form) => Leaf::Formed(form, Box::new(leaf)),
        None => leaf,
    }
}

/// Whether the elements are numbers, so that they can be converted.
pub(super) fn is_number(tree: &Tree) -> bool {
    Element::of(&tree.dtype, tree.element).is_some()
}
