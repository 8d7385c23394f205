//! The permission of a person at the box to take one model that is older than one that it has had.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a person's permission lasts, unless a model is taken before.
pub const PERMITTED_FOR: Duration = Duration::from_secs(10 * 60);

/// Such a permission; clones are the same one. It is not kept: a box that is started anew has none.
#[derive(Debug, Clone, Default)]
pub struct Permit(Arc<Mutex<Option<Instant>>>);

impl Permit {
    /// Gives it, for [`PERMITTED_FOR`] from now on and for one model.
    pub fn give(&self) {
        *self.until() = Some(Instant::now() + PERMITTED_FOR);
    }

    /// Whether it is given now.
    pub(super) fn is_given(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    /// Takes it back. Returns whether it was given until now.
    pub(super) fn take(&self) -> bool {
        self.until().take().is_some_and(|until| Instant::now() < until)
    }

    /// A thread that has panicked has left nothing half-done in it.
    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_once_and_for_ten_minutes() {
        let permit = Permit::default();
        assert!(!permit.is_given() && !permit.take());
        permit.clone().give();
        assert!(permit.is_given() && permit.is_given());
        assert!(permit.take() && !permit.is_given() && !permit.take());
        permit.give();
        let early = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
        *permit.until() = Some(early);
        assert!(!permit.is_given() && !permit.take());
    }
}
