//! What the box says of labelled radiographs, counted: the three verdicts and the refusals.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// What was said of radiographs of one kind: of those with pneumonia, or of normal ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Called normal.
    pub normal: u32,
    /// Referred to a clinician.
    pub refer: u32,
    /// Called pneumonia.
    pub pneumonia: u32,
    /// Not judged: a guard refuses them.
    pub refused: u32,
}

impl Outcomes {
    /// How many there are.
    pub fn total(&self) -> u64 {
        [self.normal, self.refer, self.pneumonia, self.refused].into_iter().map(u64::from).sum()
    }

    /// How many got this verdict.
    pub fn of(&self, verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Normal => self.normal,
            Verdict::Refer => self.refer,
            Verdict::Pneumonia => self.pneumonia,
        }
    }

    /// Counts one more, or several of the same kind; `None` stands for a refusal.
    pub fn count(&mut self, verdict: Option<Verdict>, several: u32) {
        *match verdict {
            Some(Verdict::Normal) => &mut self.normal,
            Some(Verdict::Refer) => &mut self.refer,
            Some(Verdict::Pneumonia) => &mut self.pneumonia,
            None => &mut self.refused,
        } += several;
    }
}

/// What was said of labelled radiographs at one operating point, apart by the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Of the normal ones.
    pub of_normal: Outcomes,
    /// Of those with pneumonia.
    pub of_pneumonia: Outcomes,
}

impl Rates {
    /// Those of the truth: true for pneumonia.
    pub fn of(&mut self, positive: bool) -> &mut Outcomes {
        if positive { &mut self.of_pneumonia } else { &mut self.of_normal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_once() {
        let mut rates = Rates::default();
        for (several, verdict) in (1..).zip(Verdict::ALL) {
            rates.of(true).count(Some(verdict), several);
            assert_eq!(rates.of_pneumonia.of(verdict), several);
        }
        rates.of(true).count(None, 4);
        rates.of(false).count(None, 5);
        assert_eq!((rates.of_pneumonia.total(), rates.of_pneumonia.refused), (10, 4));
        assert_eq!((rates.of_normal.total(), rates.of_normal.refused), (5, 5));
        let most = Outcomes { normal: u32::MAX, refer: u32::MAX, pneumonia: u32::MAX, refused: u32::MAX };
        assert_eq!(most.total(), 4 * u64::from(u32::MAX));
    }
}
