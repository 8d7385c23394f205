//! The host's side of the serial line: which port, opening it, and asking the box.

mod answer;
mod bundle;
mod chain;
mod connection;
mod error;
mod find;
mod port;
#[cfg(test)]
#[path = "../../../shared/tests/sample/mod.rs"]
mod sample;
mod settings;
#[cfg(test)]
mod tests;

pub use answer::{AnswerError, Awaited};
pub use bundle::{Delivered, Delivering, Delivery, Patience, deliver};
pub use chain::{Chain, ChainError, Head, HeadError};
pub use connection::{Connection, Sending};
pub use error::LinkError;
pub use settings::{PortOptions, exam_naming};
