//! Any bytes as the newest file of a journal: it opens, what it gives can be read, and what is written next is read again.
//!
//! Real files make a good corpus: `runs/simulated-box/journal`.
#![no_main]

#[path = "../../../shared/tests/sample/mod.rs"]
mod sample;

use device::journal::Journal;
use libfuzzer_sys::fuzz_target;
use shared::verdict::ResultRecord;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    // As a journal of this version names its parts.
    let made = Journal::open(&path).expect("an empty folder");
    drop(made);
    for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten() {
        let part = entry.path();
        let whole = std::fs::read(&part).unwrap_or_default();
        // Behind what is right, or instead of it.
        let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let content = if *first < 128 { [&whole[..], rest].concat() } else { rest.to_vec() };
        std::fs::write(&part, content).expect("room");
    }
    let Ok((mut journal, _)) = Journal::open(&path) else { return };
    for number in journal.numbers().take(100).collect::<Vec<_>>() {
        let _ = journal.get(number);
    }
    let _ = journal.get_from(1);
    let Some(number) = journal.last_number().checked_add(1) else { return };
    let record = ResultRecord { boot: journal.boot(), ..sample::record(number) };
    if journal.push(&record).is_ok() {
        drop(journal);
        let (journal, _) = Journal::open(&path).expect("it has been opened before");
        assert_eq!(journal.get(number).expect("it has been written"), Some(record));
    }
});
