//! afbfs.
pub mod dtype;
pub mod grid;
pub mod layout;
pub mod runs;
pub mod source;
