//! The host: trains, quantizes, evaluates, predicts, and talks to the clinic box.
//!
//! Pumua is a research aid, not a medical device.

mod algebra;
pub mod augment;
pub mod calibration;
pub mod commands;
pub mod data;
pub mod delivery;
mod document;
pub mod evaluation;
pub mod exit;
pub mod guard;
pub mod heatmap;
mod lettering;
pub mod link;
mod logistic;
pub mod network;
pub mod occlusion;
pub mod onnx;
pub mod plots;
pub mod quantize;
pub mod report;
pub mod robustness;
pub mod statistics;
pub mod study;
pub mod subtype;
pub mod synthetic;
pub mod training;
