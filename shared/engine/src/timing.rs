//! Where the time of a network goes.

use std::time::Duration;

use kernels::Shape;

/// What an image takes, as medians.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The whole network, as [`crate::Model::classify`] runs it.
    pub network: Duration,
    /// Its layers, each run by itself without tract around it.
    pub layers: Vec<LayerTiming>,
}

/// What a layer takes.
#[derive(Clone, Debug)]
pub struct LayerTiming {
    /// Name of the node in the file that it begins with.
    pub node: String,
    /// What it computes.
    pub kind: &'static str,
    /// How it is computed.
    pub algorithm: &'static str,
    /// Extent of its output.
    pub output: Shape,
    /// Time for an image.
    pub time: Duration,
}

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
