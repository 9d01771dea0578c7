//! The way through a file: from the root group along all links to everything that is an array.
//!
//! A group is visited once. Further links to it, which may lead around in circles, become members that say where it is;
//! a data set is a member under each of its names. Soft links are followed when all groups are known.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

use super::attribute::{self, Axes};
use super::file::File;
use super::group::{self, Link, Target};
use super::header::Header;
use super::{MAX_LINKS, MAX_SIZE, dataset};
use crate::dtype::literal::excerpt;
use crate::format::{Array, Container, Member, Refusal};

/// Groups nest at most so deep.
const MAX_DEPTH: usize = 64;

/// So many soft links may lead from one to the next; HDF5 itself follows as many.
const MAX_HOPS: usize = 16;

/// The most bytes of the paths that all soft links of a file lead along.
const MAX_FOLLOWED: usize = 64 << 20;

/// What an object is.
enum Object {
    Group,
    Dataset(Box<Dataset>),
    /// A named type, or something that is not known.
    Other,
    Broken(Refusal),
}

struct Dataset {
    found: Result<Array, Refusal>,
    axes: Axes,
    /// About the bytes that its attributes take.
    size: u64,
}

/// A group that was visited.
struct Group {
    path: Vec<String>,
    links: Vec<Link>,
    /// The numbers of links by their names, once they were asked for.
    by_name: Option<HashMap<String, usize>>,
}

/// What a name of the file stands for.
enum Found {
    /// The data set at an address.
    Dataset(u64),
    /// What a soft link of the group at an address leads to.
    Soft {
        group: u64,
        target: String,
    },
    Refused(Refusal),
}

struct Walk<'f> {
    file: &'f File<'f>,
    objects: HashMap<u64, Object>,
    groups: HashMap<u64, Group>,
    found: Vec<(Vec<String>, Found)>,
    /// The first name of each data set.
    names: HashMap<u64, String>,
    /// Chunks of all arrays.
    chunks: usize,
    /// Links that were seen.
    links: usize,
    /// About the bytes that the members take.
    size: u64,
    /// Bytes of the paths that soft links lead along.
    followed: usize,
}

/// All arrays of the file whose root group is at an address.
pub(super) fn container(file: &File<'_>, root: u64) -> Result<Container, Refusal> {
    let mut walk = Walk {
        file,
        objects: HashMap::new(),
        groups: HashMap::new(),
        found: Vec::new(),
        names: HashMap::new(),
        chunks: 0,
        links: 0,
        size: 0,
        followed: 0,
    };
    let header = Header::read(file, root)?;
    if !group::is_group(&header) {
        return Err(super::damaged("its root is no group"));
    }
    let (attributes, _) = attribute::read(file, &header);
    let links = group::links(file, &header)?;
    walk.visit(root, links)?;
    walk.members(root, attributes)
}

impl Walk<'_> {
    /// Visits the root group and everything below it.
    fn visit(&mut self, root: u64, links: Vec<Link>) -> Result<(), Refusal> {
        self.enter(root, Vec::new(), links)?;
        // Groups, and the number of the link that is next.
        let mut stack = vec![(root, 0)];
        while let Some((address, next)) = stack.last_mut() {
            let address = *address;
            let group = &self.groups[&address];
            let Some(link) = group.links.get(*next) else {
                stack.pop();
                continue;
            };
            *next += 1;
            let path = [&group.path[..], std::slice::from_ref(&link.name)].concat();
            self.size += path.iter().map(|name| weight(name)).sum::<u64>();
            if self.size > MAX_SIZE {
                return Err(Refusal(format!("the paths in it take more than {MAX_SIZE} bytes; use shorter names")));
            }
            let found = match &link.target {
                Target::Hard(object) => {
                    let object = *object;
                    match self.follow(object, &path)? {
                        Some(found) => found,
                        None if self.groups.contains_key(&object) => {
                            stack.push((object, 0));
                            continue;
                        }
                        None => continue,
                    }
                }
                Target::Refused(refusal) => Found::Refused(refusal.clone()),
                Target::Soft(target) => Found::Soft { group: address, target: target.clone() },
                Target::External(place) => Found::Refused(Refusal(format!(
                    "it is a link to another file ({}); open that file itself",
                    excerpt(place)
                ))),
                Target::Custom(kind) => Found::Refused(Refusal(format!(
                    "it is a link of type {kind}, which only the program that made it can follow; replace it with a \
                     hard or a soft link"
                ))),
            };
            self.found.push((path, found));
        }
        Ok(())
    }

    /// Remembers a group and its links.
    fn enter(&mut self, address: u64, path: Vec<String>, links: Vec<Link>) -> Result<(), Refusal> {
        self.links += links.len();
        if self.links > MAX_LINKS {
            return Err(Refusal(format!("it has more than {MAX_LINKS} links; spread its contents over several files")));
        }
        self.objects.insert(address, Object::Group);
        self.groups.insert(address, Group { path, links, by_name: None });
        Ok(())
    }

    /// What the object at an address is under this path; nothing if it shows no array by itself.
    fn follow(&mut self, address: u64, path: &[String]) -> Result<Option<Found>, Refusal> {
        if let Some(object) = self.objects.get(&address) {
            return Ok(match object {
                Object::Group => Some(Found::Refused(self.alias(address))),
                Object::Dataset(_) => Some(Found::Dataset(address)),
                Object::Other => None,
                Object::Broken(refusal) => Some(Found::Refused(refusal.clone())),
            });
        }
        let broken = |walk: &mut Self, refusal: Refusal| {
            walk.objects.insert(address, Object::Broken(refusal.clone()));
            Ok(Some(Found::Refused(refusal)))
        };
        let header = match Header::read(self.file, address) {
            Ok(header) => header,
            Err(refusal) => return broken(self, refusal),
        };
        if dataset::is_dataset(&header) {
            let object = self.dataset(&header);
            self.objects.insert(address, Object::Dataset(Box::new(object)));
            self.names.insert(address, path.last().cloned().unwrap_or_default());
            return Ok(Some(Found::Dataset(address)));
        }
        if !group::is_group(&header) {
            self.objects.insert(address, Object::Other);
            return Ok(None);
        }
        if path.len() >= MAX_DEPTH {
            return broken(self, Refusal(format!("it is a group more than {MAX_DEPTH} deep; move it further up")));
        }
        match group::links(self.file, &header) {
            Ok(links) => self.enter(address, path.to_vec(), links).map(|()| None),
            Err(refusal) => broken(self, refusal),
        }
    }

    fn dataset(&mut self, header: &Header) -> Dataset {
        let shown = self.file.shown.get();
        let (attributes, axes) = attribute::read(self.file, header);
        let mut size = shown - self.file.shown.get();
        let mut found = dataset::array(self.file, header, &mut self.chunks);
        if let Ok(array) = &mut found {
            // Names of an enumeration, at most 1024 of them.
            size += array.attributes.len() as u64 * 64;
            // An attribute of the file comes before what is known otherwise.
            array.attributes.extend(attributes);
        }
        Dataset { found, axes, size }
    }

    /// Why a group is not shown under another name.
    fn alias(&self, address: u64) -> Refusal {
        let path = self.groups.get(&address).map(|group| group.path.join("/")).unwrap_or_default();
        Refusal(format!("it is another name of the group {}; its arrays are there", excerpt(&format!("/{path}"))))
    }

    /// The members, once all groups were visited.
    fn members(mut self, root: u64, attributes: Map<String, Value>) -> Result<Container, Refusal> {
        self.name_axes();
        let mut container = Container { attributes, ..Container::default() };
        for (path, found) in std::mem::take(&mut self.found) {
            let found = match found {
                Found::Soft { group, target } => match self.resolve(root, group, &target) {
                    Ok(address) => match self.follow_soft(address, &path) {
                        Some(found) => found,
                        None => continue,
                    },
                    Err(refusal) => Found::Refused(refusal),
                },
                found => found,
            };
            let found = match found {
                Found::Dataset(address) => self.copy(address),
                Found::Refused(refusal) => Err(refusal),
                Found::Soft { .. } => continue,
            };
            container.members.push(Member { path, found });
        }
        if container.members.is_empty() {
            return Err(Refusal("it holds no data set, only groups: there is nothing to show".into()));
        }
        Ok(container)
    }

    fn follow_soft(&mut self, address: u64, path: &[String]) -> Option<Found> {
        // What a soft link leads to was visited: its path is one of links that were.
        self.objects.contains_key(&address).then(|| self.follow(address, path).ok().flatten()).flatten()
    }

    /// The array at an address, for one of its names. Many names of one data set could multiply what is said of it
    /// beyond all bounds, so that the attributes are left out at some point.
    fn copy(&mut self, address: u64) -> Result<Array, Refusal> {
        let Some(Object::Dataset(dataset)) = self.objects.get(&address) else {
            return Err(super::damaged("a data set is lost"));
        };
        let array = dataset.found.as_ref().map_err(Refusal::clone)?;
        self.size += array.fill.len() as u64 + array.dims.iter().map(|name| weight(name)).sum::<u64>();
        if self.size > MAX_SIZE {
            return Err(Refusal(format!(
                "what is said of all data sets takes more than {MAX_SIZE} bytes; spread them over several files"
            )));
        }
        let left = self.file.shown.get().checked_sub(dataset.size);
        self.file.shown.set(left.unwrap_or(0));
        Ok(Array {
            format: array.format,
            dtype: array.dtype.clone(),
            element: array.element,
            grid: array.grid.clone(),
            dims: array.dims.clone(),
            fill: array.fill.clone(),
            files: array.files.clone(),
            read_only: array.read_only.clone(),
            checksum: None,
            attributes: if left.is_some() { array.attributes.clone() } else { Map::new() },
        })
    }

    /// The address that a path leads to from a group.
    fn resolve(&mut self, root: u64, group: u64, target: &str) -> Result<u64, Refusal> {
        let lost = || Refusal(format!("it is a soft link to {}, which is not in the file", excerpt(target)));
        self.follow_path(target)?;
        let mut at = if target.starts_with('/') { root } else { group };
        let mut rest: Vec<String> = components(target);
        let mut hops = 0;
        while let Some(name) = rest.pop() {
            let Entry::Occupied(mut found) = self.groups.entry(at) else { return Err(lost()) };
            let group = found.get_mut();
            let links = &group.links;
            let by_name = group.by_name.get_or_insert_with(|| {
                links.iter().enumerate().map(|(number, link)| (link.name.clone(), number)).collect()
            });
            let number = *by_name.get(&name).ok_or_else(lost)?;
            match group.links[number].target.clone() {
                Target::Hard(address) => at = address,
                Target::Soft(inner) => {
                    self.follow_path(&inner)?;
                    hops += 1;
                    if hops > MAX_HOPS {
                        return Err(Refusal(format!(
                            "it is a soft link to {}, from which more than {MAX_HOPS} others lead on, perhaps in a \
                             circle",
                            excerpt(target)
                        )));
                    }
                    if inner.starts_with('/') {
                        at = root;
                    }
                    rest.extend(components(&inner));
                }
                Target::External(_) | Target::Custom(_) | Target::Refused(_) => {
                    return Err(Refusal(format!(
                        "it is a soft link to {}, which leads out of the file; open the other file itself",
                        excerpt(target)
                    )));
                }
            }
        }
        Ok(at)
    }

    /// Counts the bytes of a path that a soft link leads along.
    fn follow_path(&mut self, path: &str) -> Result<(), Refusal> {
        self.followed += path.len();
        if self.followed > MAX_FOLLOWED {
            return Err(Refusal(format!(
                "it is a soft link, and together their paths are longer than {MAX_FOLLOWED} bytes; use shorter ones"
            )));
        }
        Ok(())
    }

    /// Gives the axes of all data sets their names.
    fn name_axes(&mut self) {
        let mut numbered = HashMap::new();
        for (address, object) in &self.objects {
            if let (Object::Dataset(dataset), Some(name)) = (object, self.names.get(address))
                && dataset.axes.is_scale
                && let Some(number) = dataset.axes.number
            {
                numbered.insert(number, name.as_str());
            }
        }
        for (address, object) in &mut self.objects {
            if let Object::Dataset(dataset) = object
                && let Ok(array) = &mut dataset.found
            {
                let own = self.names.get(address).map_or("", String::as_str);
                let scale = |address: &u64| self.names.get(address).map(String::as_str);
                let number = |number: &u64| numbered.get(number).copied();
                array.dims = dims(&dataset.axes, array.grid.shape().len(), own, scale, number);
            }
        }
    }
}

/// About the bytes that a name takes in memory.
fn weight(name: &str) -> u64 {
    name.len() as u64 + 32
}

/// The components of a path, the last first.
fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").rev().map(str::to_owned).collect()
}

/// The names of `ndim` axes, or none if no axis has one. `own` is the name of the data set; scales are found by their
/// address, dimensions by their number.
fn dims<'a>(
    axes: &'a Axes,
    ndim: usize,
    own: &'a str,
    scale: impl Fn(&u64) -> Option<&'a str>,
    number: impl Fn(&u64) -> Option<&'a str>,
) -> Vec<String> {
    let name = |axis: usize| -> &str {
        let label = axes.labels.get(axis).map(String::as_str).filter(|label| !label.is_empty());
        label
            .or_else(|| axes.scales.get(axis)?.iter().find_map(&scale))
            .or_else(|| number(axes.numbers.get(axis)?))
            .or_else(|| (axes.is_scale && ndim == 1).then_some(own))
            .unwrap_or_default()
    };
    let names: Vec<String> = (0..ndim).map(|axis| name(axis).to_owned()).collect();
    if names.iter().all(String::is_empty) { Vec::new() } else { names }
}
