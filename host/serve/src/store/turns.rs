//! In which order films get their answers.

use std::collections::BTreeSet;

/// Films for which a person waits that get their answers in a row while others wait, too.
const IN_A_ROW: usize = 4;

/// After a start, the film that was being judged when the program ended before is among so many, unless a person had asked for one
/// that a console had sent.
pub const FIRST_TURNS: usize = IN_A_ROW + 1;

/// Films that wait. Those for which a person waits at the page go first, the oldest before; yet each fifth turn is another
/// one's, so that nothing waits for ever.
#[derive(Debug, Default)]
pub(super) struct Turns {
    asked: BTreeSet<u64>,
    others: BTreeSet<u64>,
    /// Of the first kind, since the last one of the others, while others wait.
    in_a_row: usize,
}

impl Turns {
    /// A film waits from now on; `asked`: a person waits for it.
    pub(super) fn enter(&mut self, number: u64, asked: bool) {
        if asked {
            self.others.remove(&number);
            self.asked.insert(number);
        } else if !self.asked.contains(&number) {
            self.others.insert(number);
        }
    }

    /// A film has its answer.
    pub(super) fn leave(&mut self, number: u64) {
        if self.asked.remove(&number) {
            self.in_a_row = if self.others.is_empty() { 0 } else { IN_A_ROW.min(self.in_a_row + 1) };
        } else if self.others.remove(&number) {
            self.in_a_row = 0;
        }
    }

    /// The film whose turn it is.
    pub(super) fn next(&self) -> Option<u64> {
        let [asked, other] = [&self.asked, &self.others].map(|films| films.first().copied());
        if self.in_a_row < IN_A_ROW { asked.or(other) } else { other.or(asked) }
    }

    /// How many films have their turn before one that waits.
    pub(super) fn before(&self, number: u64) -> Option<usize> {
        let place = |films: &BTreeSet<u64>| films.contains(&number).then(|| films.range(..number).count());
        if let Some(place) = place(&self.asked) {
            return Some(place + self.others.len().min((place + self.in_a_row) / IN_A_ROW));
        }
        let place = place(&self.others)?;
        Some(place + self.asked.len().min(IN_A_ROW * (place + 1) - self.in_a_row))
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.asked.contains(&number) || self.others.contains(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.asked.len() + self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(others: std::ops::Range<u64>, asked: std::ops::Range<u64>) -> Turns {
        let mut turns = Turns::default();
        others.for_each(|number| turns.enter(number, false));
        asked.for_each(|number| turns.enter(number, true));
        turns
    }

    fn order(mut turns: Turns) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(number) = turns.next() {
            let told: Vec<_> = turns.asked.union(&turns.others).map(|&it| (turns.before(it).unwrap(), it)).collect();
            turns.leave(number);
            order.push((number, told));
        }
        // What was told of each at each time is what came.
        let numbers: Vec<u64> = order.iter().map(|(number, _)| *number).collect();
        for (at, (_, mut told)) in order.into_iter().enumerate() {
            told.sort_unstable();
            assert_eq!(told, numbers[at..].iter().copied().enumerate().collect::<Vec<_>>(), "{numbers:?}");
        }
        numbers
    }

    #[test]
    fn a_person_waits_for_few_and_nobody_for_ever() {
        assert_eq!(order(turns(1..4, 11..21)), [11, 12, 13, 14, 1, 15, 16, 17, 18, 2, 19, 20, 3]);
        assert_eq!(order(turns(1..4, 11..12)), [11, 1, 2, 3]);
        assert_eq!(order(turns(0..0, 1..4)), [1, 2, 3]);
        assert_eq!(order(turns(1..100, 100..300)).len(), 299);
        // A person asks for one that a console has sent.
        let mut asked = turns(1..6, 0..0);
        asked.enter(4, true);
        asked.enter(4, false);
        assert_eq!((asked.len(), asked.before(4), asked.before(9)), (5, Some(0), None));
        assert_eq!(order(asked), [4, 1, 2, 3, 5]);
    }
}
