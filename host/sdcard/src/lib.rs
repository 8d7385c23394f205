//! The memory card of the box: building its image, and writing it to a medium.

pub mod build;
pub mod flash;
mod mbr;
