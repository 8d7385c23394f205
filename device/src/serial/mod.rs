//! The line to the host: opening it, and carrying bytes in both directions on threads of its own.

mod line;
mod pace;
mod port;
mod pty;
#[cfg(test)]
mod tests;

pub use self::{
    line::{Line, LineEvent},
    port::{PortError, open_port},
    pty::Pty,
};
