//! The files under `.afbfs`: snapshots, made when they are opened.

use std::path::PathBuf;

use rustix::io::Errno;
use serde_json::{Value, json};

use super::facts;
use super::{Fs, Special, Tree};
use crate::catalog::{Catalog, Origin, Problem};

/// Calls `each` with the entry of every array of a catalog, and of every file that looked like one and is not served. Gives
/// the folders that cannot be read.
pub fn walk_arrays(catalog: &Catalog, read_only: bool, each: &mut dyn FnMut(Value)) -> Vec<(PathBuf, Errno)> {
    catalog.walk(&mut |path, origin| {
        let refused = |reason: &str| {
            let mut entry = json!({
                "file": facts::shown_file(catalog, &origin),
                "format": catalog.format_of(&origin),
                "error": reason,
            });
            // Of a container it may be one array among many.
            if matches!(origin, Origin::Member(..)) {
                entry["path"] = json!(path);
            }
            entry
        };
        let entry = match catalog.describe(&origin) {
            Ok(described) => match Tree::new(described.description, &[]) {
                Ok(tree) => facts::info(catalog, &tree, read_only),
                Err(error) => refused(&error.to_string()),
            },
            Err(Problem::Refused(reason)) => refused(&reason),
            Err(Problem::Errno(error)) => refused(&format!("cannot be opened: {error}")),
        };
        each(entry);
    })
}

impl Fs {
    /// The content of a special file, as of now.
    pub(super) fn special(&self, special: Special) -> String {
        let mut content = match special {
            Special::Version => env!("CARGO_PKG_VERSION").to_owned(),
            Special::Stats => facts::pretty(&self.stats()),
            Special::Overlay => facts::pretty(&crate::overlay::overview(&self.catalog)),
            Special::Usage => facts::pretty(&self.usage()),
            // Its last line is ended already.
            Special::Metrics => return self.metrics(),
            Special::Arrays => {
                // Written as they are found: there may be many.
                let mut text = String::new();
                walk_arrays(&self.catalog, self.settings.read_only, &mut |entry| {
                    text.push_str(if text.is_empty() { "[" } else { "," });
                    for line in facts::pretty(&entry).lines() {
                        text.push_str("\n  ");
                        text.push_str(line);
                    }
                });
                if text.is_empty() { "[]".to_owned() } else { text + "\n]" }
            }
        };
        content.push('\n');
        content
    }

    /// Whether a special file exists.
    pub(super) fn has_special(&self, special: Special) -> bool {
        special != Special::Overlay || self.catalog.store().shelf().is_some()
    }

    /// Whether opening an inode may take long, as it looks at every array of the source, or writes every overlay back.
    pub fn is_slow_to_open(&self, inode: u64) -> bool {
        [Special::Arrays.number(), Special::Overlay.number()].contains(&inode)
    }
}
