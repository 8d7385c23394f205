//! The host: trains, quantizes, evaluates, predicts, and talks to the clinic box.
//!
//! Pumua is a research aid, not a medical device.

pub mod data;
pub mod files;
pub mod network;
pub mod progress;
pub mod statistics;
pub mod synthetic;
pub mod training;
