//! afbfs.
pub mod grid;
pub mod layout;
pub mod name;
pub mod runs;
pub mod source;
