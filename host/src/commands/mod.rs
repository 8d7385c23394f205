//! The commands, one module each: its options (clap) and `run`.

pub mod evaluate;
pub mod predict;
pub mod quantize;
pub mod synthetic;
pub mod train;
