//! Forms: in which shape the bytes of a slice appear, chosen by the suffix of its name.
//!
//! So far there is one, the stored bytes themselves, written with no suffix or as `.raw`.

/// A form of a slice file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The elements as they are stored, in C order.
    Raw,
}

/// The suffixes of slice names, without the dot.
pub const SUFFIXES: &[&str] = &["raw"];

/// The form that a suffix asks for; without a suffix, the stored bytes.
pub fn of_suffix(suffix: Option<&str>) -> Option<Form> {
    match suffix {
        None | Some("raw") => Some(Form::Raw),
        Some(_) => None,
    }
}
