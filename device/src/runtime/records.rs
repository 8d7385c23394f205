//! What the journal gives and takes: a result that cannot be read hides none of the others, and a host that asks for
//! many does not keep the box from its work.

use std::time::{Duration, Instant};

use shared::verdict::{Digest, ExamId, Fault, ResultRecord};
use wire::{FOUND_AMONG, Listed};

use crate::{
    journal::{Journal, JournalError},
    screen::PAGE,
    state::{Page, REMEMBERED},
};

/// Most results that are read for a memory stick between two events, and how long that may take.
const AT_ONCE: usize = 200;
const AT_ONCE_WITHIN: Duration = Duration::from_millis(50);
/// How long a result that can be read is looked for.
pub(super) const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// The first result from a number on that can be read: one that cannot be read does not hide those after it. After a time a
/// card that gives none is not asked further.
pub(super) fn record(journal: &Journal, mut number: u64, until: Instant) -> Result<Option<ResultRecord>, Fault> {
    loop {
        match journal.get_from(number) {
            Err(error @ JournalError::Unreadable { number: lost, .. }) if Instant::now() < until => {
                storage(&error);
                number = lost + 1;
            }
            record => return record.map_err(|error| storage(&error)),
        }
    }
}

/// The examinations of the last results, the newest last. A card that is slow to give them is not asked for all.
pub(super) fn recent_exams(journal: &Journal) -> Vec<ExamId> {
    let start = Instant::now();
    let numbers = journal.numbers().take(REMEMBERED).take_while(|_| start.elapsed() < RECORD_WITHIN);
    // One that cannot be read is told when somebody asks for it.
    let mut exams: Vec<ExamId> = numbers.filter_map(|number| Some(journal.get(number).ok()??.exam)).collect();
    exams.reverse();
    exams
}

/// Keeps an event, unless the journal cannot be written, which was said before.
pub(super) fn keep(journal: &mut Journal, note: impl FnOnce(&mut Journal) -> Result<(), JournalError>) {
    if !journal.standing().read_only
        && let Err(error) = note(journal)
    {
        storage(&error);
    }
}

/// Some results from a number on, as many as are read at once, and where the next ones begin if there are more up to the last one.
pub(super) fn results(journal: &Journal, from: u64, last: u64) -> Result<(Vec<ResultRecord>, Option<u64>), Fault> {
    let (mut results, mut next, start) = (Vec::new(), from, Instant::now());
    while next <= last {
        if results.len() >= AT_ONCE || (!results.is_empty() && start.elapsed() > AT_ONCE_WITHIN) {
            return Ok((results, Some(next)));
        }
        let Some(record) = record(journal, next, start + RECORD_WITHIN)? else { break };
        next = record.number.saturating_add(1);
        results.push(record);
    }
    Ok((results, None))
}

/// The first entry from a number on that can be read, as [`record`] gives results.
pub(super) fn entry(journal: &Journal, mut sequence: u64) -> Result<Option<Listed>, Fault> {
    let start = Instant::now();
    loop {
        match journal.entry_from(sequence) {
            Err(error @ JournalError::UnreadableEntry { sequence: lost, .. }) if start.elapsed() < RECORD_WITHIN => {
                storage(&error);
                sequence = lost + 1;
            }
            entry => return entry.map_err(|error| storage(&error)),
        }
    }
}

/// The first result of an image from a number on, among the last ones: a host that asks for one that is not there must
/// not keep the box from its work.
pub(super) fn find(journal: &Journal, image: &Digest, from: u64) -> Result<Option<ResultRecord>, Fault> {
    let first = (journal.last_number() + 1).saturating_sub(FOUND_AMONG);
    let (until, mut number) = (Instant::now() + RECORD_WITHIN, from.max(first));
    while Instant::now() < until {
        match record(journal, number, until)? {
            Some(record) if record.image == *image => return Ok(Some(record)),
            Some(record) => number = record.number + 1,
            None => return Ok(None),
        }
    }
    Err(Fault::Storage)
}

/// A page of past results, or the last one if there are fewer pages. One that cannot be read hides none of the others.
pub(super) fn recall(journal: &Journal, page: u64) -> Result<Page, Fault> {
    let pages = journal.kept().div_ceil(PAGE);
    let page = page.clamp(1, pages.max(1));
    let (mut results, mut fault) = (Vec::new(), None);
    for number in journal.numbers().skip(((page - 1) * PAGE) as usize).take(PAGE as usize) {
        match journal.get(number) {
            Ok(record) => results.extend(record),
            Err(error) => fault = Some(storage(&error)),
        }
    }
    fault.filter(|_| results.is_empty()).map_or(Ok(Page { results, page, pages }), Err)
}

/// Says why something cannot be read or written.
pub(super) fn storage(error: &JournalError) -> Fault {
    crate::say(format_args!("{error}"));
    Fault::Storage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn results_that_cannot_be_read_are_passed_over_while_there_is_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let digest = |number: u8| Digest([0xa0 + number; 32]);
        for number in 1..=3 {
            journal.push(&ResultRecord { image: digest(number), ..sample::record(number.into()) }).unwrap();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        for lost in [digest(1), digest(2)] {
            let at = bytes.windows(32).position(|window| window == lost.0).unwrap();
            bytes[at] ^= 1;
        }
        std::fs::write(&path, bytes).unwrap();
        let now = Instant::now();
        assert_eq!(record(&journal, 1, now), Err(Fault::Storage));
        let third = record(&journal, 1, now + Duration::from_secs(600)).unwrap();
        assert_eq!(third.map(|record| record.number), Some(3));
    }

    #[test]
    fn the_examinations_of_the_last_results_are_known_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(&folder.path().join("journal")).unwrap();
        assert_eq!(recent_exams(&journal), []);
        let exam = |number: u64| ExamId::new(&format!("exam-{number}")).unwrap();
        let last = REMEMBERED as u64 + 2;
        for number in 1..=last {
            journal.push(&ResultRecord { exam: exam(number), ..sample::record(number) }).unwrap();
        }
        assert_eq!(recent_exams(&journal), (3..=last).map(exam).collect::<Vec<_>>());
    }
}
