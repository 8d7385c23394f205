//! Learning: [`network`]s, their [`training`] by recipes on a [`device`], and the [`study`] of many trainings.
//!
//! The only crate that knows burn.

pub mod device;
pub mod network;
pub mod study;
pub mod training;
