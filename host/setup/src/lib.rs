//! Making a box: the image of its memory card, and writing that to a medium.

pub mod flash;
pub mod image;
mod mbr;
