//! Arrays whose elements lie in files beside the one that describes them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::dtype::literal::excerpt;
use crate::format::{Files, Names, Refusal};
use crate::name;
use crate::source::Siblings;

/// Files of given names, in the folder of the file that describes them. None is made where it is missing.
#[derive(Debug)]
pub(super) struct Listed(Vec<String>);

impl Listed {
    /// These files.
    pub(super) fn files(names: Vec<String>) -> Files {
        Files::Beside(Arc::new(Listed(names)))
    }
}

impl Names for Listed {
    fn name(&self, piece: u64) -> String {
        usize::try_from(piece).ok().and_then(|piece| self.0.get(piece)).cloned().unwrap_or_default()
    }

    fn created_len(&self) -> Option<u64> {
        None
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

/// The length of a file that the described one names.
pub(super) fn len(siblings: &dyn Siblings, name: &str) -> Result<u64, Refusal> {
    if name.contains('/') {
        return Err(Refusal(format!(
            "its elements lie in another folder, in {}, and only files beside it are looked for; put both \
             into one folder",
            excerpt(name)
        )));
    }
    if matches!(name, "" | "." | "..") || name.contains('\0') {
        return Err(Refusal(format!(
            "it names {} as the file with its elements, which is no file's name",
            excerpt(name)
        )));
    }
    let held = siblings.sibling_len(&name::escape(name.as_bytes()))?;
    held.ok_or_else(|| {
        Refusal(format!("its elements lie in the file {}, which is not beside it; copy both", excerpt(name)))
    })
}

/// The first of these files that there is, and its length.
pub(super) fn first(
    siblings: &dyn Siblings,
    names: impl Iterator<Item = String>,
) -> Result<Option<(String, u64)>, Refusal> {
    for name in names.filter(|name| !matches!(&**name, "" | "." | "..")) {
        if let Some(held) = siblings.sibling_len(&name::escape(name.as_bytes()))? {
            return Ok(Some((name, held)));
        }
    }
    Ok(None)
}

/// The length of a file, where it may have been compressed, and then has another name.
pub(super) fn len_of_plain(siblings: &dyn Siblings, name: &str) -> Result<u64, Refusal> {
    let missing = match len(siblings, name) {
        Ok(held) => return Ok(held),
        Err(missing) => missing,
    };
    for (extension, command) in [(".gz", "afbfs unpack"), (".bz2", "afbfs unpack"), (".Z", "uncompress")] {
        let compressed = format!("{name}{extension}");
        if len(siblings, &compressed).is_ok() {
            return Err(Refusal(format!(
                "its elements are compressed as a whole, in {}; `{command}` writes a plain copy of that file",
                excerpt(&compressed)
            )));
        }
    }
    Err(missing)
}

/// Sees to it that the file of this name has all elements, up to byte `end`.
pub(super) fn complete(name: &str, end: u64, held: u64) -> Result<(), Refusal> {
    if end <= held {
        return Ok(());
    }
    Err(Refusal(format!(
        "its elements lie up to byte {end} of {}, which holds only {held}: it was truncated, or is still being \
         written; copy or save it again",
        excerpt(name)
    )))
}

/// The name of a file that stands beside the one of this name, as the source spells it: with another extension, of
/// which the first is taken where the extension is in small letters, and the second elsewhere.
pub(super) fn partner(file_name: &str, small: &str, capital: &str) -> Option<String> {
    let real = String::from_utf8(name::unescape(file_name)?.into_owned()).ok()?;
    let (stem, extension) = real.rsplit_once('.')?;
    let is_small = extension.bytes().all(|byte| !byte.is_ascii_uppercase());
    Some(format!("{stem}{}", if is_small { small } else { capital }))
}
