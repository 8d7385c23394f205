//! Slowness on purpose.

use std::{
    thread,
    time::{Duration, Instant},
};

/// What sleeping too long may be made up for.
const SLACK: Duration = Duration::from_millis(20);

/// Lets bytes pass as slowly as a serial line of a given speed: ten bits a byte (start bit, eight of data, stop bit).
#[derive(Debug)]
pub(super) struct Pace {
    byte: Duration,
    /// When the last byte has passed.
    until: Instant,
}

impl Pace {
    pub(super) fn new(baud: u32) -> Self {
        Self { byte: Duration::from_secs(10) / baud, until: Instant::now() }
    }

    /// Waits as long as so many bytes take.
    pub(super) fn pass(&mut self, bytes: usize) {
        let now = Instant::now();
        let start = self.until.max(now.checked_sub(SLACK).unwrap_or(now));
        self.until = start + self.byte * u32::try_from(bytes).unwrap_or(u32::MAX);
        thread::sleep(self.until.saturating_duration_since(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let mut pace = Pace::new(115_200);
        let start = Instant::now();
        for _ in 0..20 {
            pace.pass(115);
        }
        // 2,300 bytes take 0.2 s, less the slack.
        let took = start.elapsed();
        assert!((Duration::from_millis(175)..Duration::from_secs(2)).contains(&took), "{took:?}");
    }
}
