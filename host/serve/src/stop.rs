//! The end of everything that runs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base::interrupt;

/// Asks what runs to end; so does Ctrl-C.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked for it.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) || interrupt::asked()
    }
}

impl ::node::Ending for Stop {
    fn asked(&self) -> bool {
        self.asked()
    }
}
