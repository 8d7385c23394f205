//! What people read: the reports of a [`training`], an [`evaluation`] and a [`study`], with [`plots`], the
//! [`evidence_map`], the [`view`] and the [`capture`] of one radiograph, and the [`contact_sheet`] of many.

pub mod capture;
pub mod contact_sheet;
mod document;
pub mod evaluation;
pub mod evidence_map;
pub mod plots;
pub mod study;
pub mod training;
pub mod view;

pub use document::markdown::escape as markdown_text;

/// What every reader must know.
pub const NOT_A_DEVICE: &str = "Pumua is a research aid, not a medical device.";

/// What a reader of figures from drawings must know.
pub const SYNTHETIC: &str =
    "These figures are from SYNTHETIC radiographs: they show that the program works and mean nothing medically.";

/// What a reader of a synthetic model's answers must know.
pub const SYNTHETIC_MODEL: &str =
    "This model has learnt from SYNTHETIC radiographs: its answers mean nothing medically.";
