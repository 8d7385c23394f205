//! The commands, one module each: its options (clap) and `run`.

pub mod augment;
pub mod evaluate;
pub mod info;
pub mod predict;
pub mod quantize;
pub mod results;
pub mod screenshot;
pub mod send;
pub mod study;
pub mod synthetic;
pub mod train;
