//! The networks: what they are, how they compute, how they are handed over.

mod architecture;
mod block;
mod forward;
mod layers;
mod norm;
mod patches;
mod portable;

pub use architecture::{Architecture, Design, SideError};
pub use forward::{Network, binary_cross_entropy};
pub use layers::{Layer, Layers};
