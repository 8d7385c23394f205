//! Slowness on purpose.

use std::time::Duration;

/// What waiting too long may be made up for.
const SLACK: Duration = Duration::from_millis(20);

/// Lets bytes pass as slowly as a serial line of a given speed: ten bits a byte (start bit, eight of data, stop bit). It neither
/// waits nor looks at a clock; its times are those since any one moment.
#[derive(Debug)]
pub(super) struct Pace {
    byte: Duration,
    /// When the last byte has passed.
    until: Duration,
}

impl Pace {
    /// `baud`: bits a second, at least 1.
    pub(super) fn new(baud: u32) -> Self {
        Self { byte: Duration::from_secs(10) / baud, until: Duration::ZERO }
    }

    /// Lets bytes pass that are there at the time `now`: how long it takes until they have passed.
    pub(super) fn pass(&mut self, now: Duration, bytes: usize) -> Duration {
        let start = self.until.max(now.saturating_sub(SLACK));
        self.until = start + self.byte * u32::try_from(bytes).unwrap_or(u32::MAX);
        self.until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAUD: u32 = 115_200;

    /// When 23 portions of 100 bytes have passed that come as soon as the ones before have, each noticed `late`. The first is
    /// there at the time `from`.
    fn passed(from: Duration, late: Duration) -> Duration {
        let mut pace = Pace::new(BAUD);
        (0..23).fold(from, |now, _| now + pace.pass(now, 100) + late)
    }

    #[test]
    fn bytes_take_their_time() {
        let took = Duration::from_secs(10) / BAUD * 2300;
        assert_eq!(passed(Duration::ZERO, Duration::ZERO), took);
        // A line that has been silent is a little ahead.
        let from = Duration::from_secs(1);
        assert_eq!(passed(from, Duration::ZERO), from + took - SLACK);
        // Waking up late is made up for.
        let late = Duration::from_millis(5);
        assert_eq!(passed(Duration::ZERO, late), took + late);
        // Not for ever: time that the line could not use is lost.
        assert!(passed(Duration::ZERO, 3 * SLACK) > 2 * took);
    }
}
