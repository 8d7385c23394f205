//! Learning: [`network`]s, their [`training`] by recipes, and the [`study`] of many trainings.
//!
//! The only crate that knows burn.

pub mod network;
pub mod study;
pub mod training;
