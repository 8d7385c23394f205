//! The host's side of the serial line: which port, opening it, and asking the box.

mod connection;
mod error;
mod find;
mod port;
mod settings;
#[cfg(test)]
mod tests;

pub use connection::{Connection, Sending};
pub use error::LinkError;
pub use settings::PortOptions;
