//! afbfs.
pub mod catalog;
pub mod cli;
pub mod dtype;
pub mod form;
pub mod format;
pub mod fs;
pub mod fuse;
pub mod grid;
pub mod layout;
pub mod mount;
pub mod name;
pub mod runs;
pub mod source;
pub mod store;
