//! The command line: parse, call, print. What it calls has crates of its own.
//!
//! Pumua is a research aid, not a medical device.

pub mod commands;
pub mod exit;
mod output;
#[cfg(test)]
#[path = "../../shared/tests/sample/mod.rs"]
mod sample;
