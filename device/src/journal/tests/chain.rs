//! Links between entries, events among the results, and what the next start notices.

use shared::verdict::Verdict;

use super::*;

fn listed(journal: &Journal) -> Vec<Listed> {
    let mut all = Vec::new();
    let mut from = 1;
    while let Some(entry) = journal.entry_from(from).unwrap() {
        from = entry.sequence() + 1;
        all.push(entry);
    }
    all
}

/// The numbers of the entries that are not linked to those before them.
fn breaks(journal: &Journal) -> Vec<u64> {
    let linked = listed(journal).into_iter().filter_map(|entry| match entry {
        Listed::Linked(linked) => Some(linked),
        Listed::Unlinked(_) => None,
    });
    let linked: Vec<_> = linked.collect();
    let broken = linked.windows(2).filter(|pair| pair[1].before != pair[0].digest());
    broken.map(|pair| pair[1].sequence).collect()
}

fn clock(after: u64) -> EventKind {
    EventKind::ClockSet { before: None, after }
}

/// Writes the file anew with another verdict in one of its results, with the right checksum.
fn rewrite(path: &Path, number: u64) {
    let bytes = std::fs::read(path).unwrap();
    let mut anew = bytes[..MAGIC.len()].to_vec();
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let (mut entry, size) = Entry::decode(&bytes[at..]).unwrap();
        if let Entry::Linked(Linked { content: Content::Result(record), .. }) = &mut entry
            && record.number == number
        {
            (record.verdict, record.probability) = (Verdict::Normal, 0.25);
        }
        anew.extend(entry.encode().unwrap());
        at += size;
    }
    assert_eq!((anew.len(), anew == bytes), (bytes.len(), false));
    std::fs::write(path, anew).unwrap();
}

#[test]
fn results_and_events_are_one_chain_over_files_and_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    for _ in 0..3 {
        let (mut journal, _) = Journal::open_within(&path, Limits { files: 100, ..small() }).unwrap();
        journal.note_now(clock(7)).unwrap();
        let next = journal.next_number();
        push_to(&mut journal, next + 4);
        journal.note_now(clock(8)).unwrap();
    }
    let (journal, _) = Journal::open_within(&path, Limits { files: 100, ..small() }).unwrap();
    let all = listed(&journal);
    assert_eq!(all.iter().map(Listed::sequence).collect::<Vec<_>>(), Vec::from_iter(1..=21));
    assert_eq!(
        all.iter().filter_map(Listed::result).map(|record| record.number).collect::<Vec<_>>(),
        numbers(&journal)
    );
    assert_eq!((breaks(&journal), journal.standing().broken), (vec![], None));
    let Some(Listed::Linked(last)) = all.last() else { panic!() };
    assert_eq!((journal.standing().entries, journal.standing().head), (21, last.digest()));
    let Listed::Linked(first) = &all[0] else { panic!() };
    assert_eq!(first.before, Digest::default());
}

#[test]
fn a_result_that_is_written_anew_with_the_right_checksum_is_noticed_at_the_next_start() {
    for number in 1..=8 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
        push_to(&mut journal, 9);
        drop(journal);
        let first = (number - 1) / 3 * 3 + 1;
        rewrite(&path_of(&path, first), number);
        let (journal, repairs) = Journal::open_within(&path, small()).unwrap();
        assert_eq!(repairs, [], "its checksum is right");
        let Standing { broken, newly_broken, .. } = journal.standing();
        assert_eq!((broken, newly_broken), (Some(number + 1), true));
        let told = listed(&journal).into_iter().any(|entry| match entry {
            Listed::Linked(linked) => match linked.content {
                Content::Event(event) => event.kind == EventKind::ChainBroken { at: number + 1 },
                Content::Result(_) => false,
            },
            Listed::Unlinked(_) => false,
        });
        assert!(told, "an event says so");
        drop(journal);
        let (journal, _) = Journal::open_within(&path, small()).unwrap();
        assert!(!journal.standing().newly_broken, "once");
    }
}

#[test]
fn a_journal_of_an_earlier_version_goes_on_and_the_chain_begins_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut bytes = MAGIC.to_vec();
    bytes.extend(Entry::Boot(4).encode().unwrap());
    (1..=5).for_each(|number| bytes.extend(Entry::Result(record(number)).encode().unwrap()));
    std::fs::write(&path, &bytes).unwrap();
    let (mut journal, repairs) = Journal::open(&path).unwrap();
    assert_eq!((journal.boot(), numbers(&journal), repairs), (5, vec![1, 2, 3, 4, 5], vec![]));
    assert_eq!((journal.standing().entries, journal.standing().head), (5, Digest::default()));
    journal.note_now(clock(1)).unwrap();
    push_to(&mut journal, 6);
    drop(journal);
    let (journal, _) = Journal::open(&path).unwrap();
    let all = listed(&journal);
    assert_eq!(all.iter().map(Listed::sequence).collect::<Vec<_>>(), Vec::from_iter(1..=7));
    assert!(all[..5].iter().all(|entry| matches!(entry, Listed::Unlinked(_))));
    assert!(matches!(&all[5], Listed::Linked(Linked { before, .. }) if *before == Digest::default()));
    assert_eq!((breaks(&journal), numbers(&journal)), (vec![], vec![1, 2, 3, 4, 5, 6]));
    assert!(std::fs::read(&path).unwrap().starts_with(&bytes), "nothing of before is changed");
}

#[test]
fn entries_that_damage_has_taken_leave_a_gap_and_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal_of(folder.path(), 4);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (mut journal, _) = Journal::open(&path).unwrap();
    let number = journal.next_number();
    journal.push(&record(number)).unwrap();
    let all = listed(&journal);
    let Listed::Linked(event) = &all[3] else { panic!() };
    assert!(event.sequence > 4, "the number of the entry that was lost is not given again");
    let kind = EventKind::Damaged { results: 3 };
    assert!(matches!(&event.content, Content::Event(event) if event.kind == kind));
    assert_eq!((breaks(&journal), journal.standing().broken), (vec![], None), "what remains is linked");
}

#[test]
fn a_file_that_is_taken_away_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open_within(&path, small()).unwrap();
    push_to(&mut journal, 9);
    drop(journal);
    std::fs::remove_file(path_of(&path, 4)).unwrap();
    let (journal, _) = Journal::open_within(&path, small()).unwrap();
    assert_eq!((journal.standing().broken, journal.standing().newly_broken), (Some(7), true));
}

#[test]
fn the_chain_of_a_full_journal_is_followed_quickly() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("journal");
    let (mut journal, _) = Journal::open(&path).unwrap();
    push_to(&mut journal, 30_000);
    drop(journal);
    let length = path.metadata().unwrap().len();
    let start = std::time::Instant::now();
    let (journal, _) = Journal::open(&path).unwrap();
    println!("{length} bytes, {} results in {:?}", journal.kept(), start.elapsed());
    assert_eq!(journal.standing().broken, None);
}
