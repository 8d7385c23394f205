//! How often a host may bring something about.
//!
//! The journal keeps the last 170,000 results and more. A host that sent as fast as the box judges would push them all out
//! in minutes to hours, and nobody would have them any more. The limits leave a clinic alone and make that take weeks:
//!
//! | | at the start | at most at once | then |
//! |---|---|---|---|
//! | results | 200 | 1,000 | 1 every 10 s, 8,640 a day |
//! | models | 10 | 10 | 1 every 10 min |
//! | events | 20 | 50 | 1 every 10 min |
//!
//! A clinic makes some hundred X-rays a day; a box that is switched on each morning may be sent those of the day before at
//! once. 170,000 results take 19 days of sending without a pause; each start gives 200 more. Only what makes a result counts: images that are not
//! judged take no room. What exceeds its limit is refused, and so a model never changes without an event; events that
//! exceed theirs are counted, and the next one says how many there were. The allowance at the start is small because a
//! program that is made to fail starts with it again: 850 such starts would push all results out.

/// How often something may happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// How often at once after the start.
    pub(super) at_start: u64,
    /// How often at once after a long time.
    pub(super) burst: u64,
    /// Milliseconds after which it may happen once more.
    pub(super) every: u64,
}

pub(super) const RESULTS: Rate = Rate { at_start: 200, burst: 1000, every: 10_000 };
pub(super) const MODELS: Rate = Rate { at_start: 10, burst: 10, every: 600_000 };
pub(super) const EVENTS: Rate = Rate { at_start: 20, burst: 50, every: 600_000 };

/// What is left of it.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    rate: Rate,
    /// In milliseconds of waiting.
    level: u64,
    /// When that was so.
    at: u64,
}

impl Allowance {
    /// The one after the start of a clock.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, level: rate.at_start * rate.every, at: 0 }
    }

    /// Without a limit.
    pub(super) fn unlimited() -> Self {
        Self::new(Rate { at_start: 0, burst: 0, every: 0 })
    }

    /// Whether it may happen now.
    pub(super) fn allows(&mut self, now: u64) -> bool {
        let Rate { burst, every, .. } = self.rate;
        if every == 0 {
            return true;
        }
        self.level = self.level.saturating_add(now.saturating_sub(self.at)).min(burst * every);
        self.at = self.at.max(now);
        self.level >= every
    }

    /// It happens, if it may.
    pub(super) fn take(&mut self, now: u64) -> bool {
        let allowed = self.allows(now);
        if allowed {
            self.level -= self.rate.every;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_fills_with_time() {
        let mut allowance = Allowance::new(Rate { at_start: 2, burst: 3, every: 10 });
        assert_eq!([0, 0, 0].map(|now| allowance.take(now)), [true, true, false]);
        assert_eq!([9, 10, 10].map(|now| allowance.take(now)), [false, true, false]);
        assert_eq!([1000, 1000, 1000, 1000].map(|now| allowance.take(now)), [true, true, true, false]);
        assert!(!allowance.take(500), "a clock that goes back gives nothing");
        assert!((0..1000).all(|_| Allowance::unlimited().take(0)));
    }

    #[test]
    fn pushing_out_the_results_that_are_kept_takes_weeks() {
        let mut allowance = Allowance::new(RESULTS);
        let (mut now, mut made) = (0, 0);
        while made < 170_000 {
            if allowance.take(now) { made += 1 } else { now += RESULTS.every }
        }
        let days = now / 86_400_000;
        assert!((19..30).contains(&days), "{days} days");
    }
}
