//! The host: trains, quantizes, evaluates, predicts, and talks to the clinic box.
//!
//! Pumua is a research aid, not a medical device.

pub mod calendar;
pub mod commands;
pub mod data;
pub mod delivery;
pub mod evaluation;
pub mod exit;
pub mod files;
pub mod interrupt;
pub mod link;
pub mod network;
pub mod onnx;
pub mod progress;
pub mod quantize;
pub mod report;
pub mod statistics;
pub mod synthetic;
pub mod training;
