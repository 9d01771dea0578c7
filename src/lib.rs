//! afbfs.
pub mod dtype;
pub mod format;
pub mod grid;
pub mod layout;
pub mod name;
pub mod runs;
pub mod source;
