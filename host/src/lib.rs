//! The host: trains, quantizes, evaluates, predicts, and talks to the clinic box.
//!
//! Pumua is a research aid, not a medical device.

mod algebra;
pub mod augment;
pub mod calendar;
pub mod calibration;
/// Tells whoever runs the program something, on stderr. Unlike `eprintln!` it does not panic when nobody reads there any
/// more: a training outlives the pager that its words went to.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

pub mod commands;
pub mod data;
pub mod delivery;
mod document;
pub mod evaluation;
pub mod exit;
pub mod files;
pub mod guard;
pub mod heatmap;
pub mod interrupt;
mod lettering;
pub mod link;
mod logistic;
pub mod network;
pub mod occlusion;
pub mod onnx;
pub mod plots;
pub mod progress;
pub mod quantize;
pub mod report;
pub mod robustness;
pub mod statistics;
pub mod study;
pub mod subtype;
pub mod synthetic;
pub mod training;
