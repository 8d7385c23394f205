//! A damaged file is not judged: thousands of files that were cut, zeroed, joined or changed, and how many of them pass.
//!
//! Of a PNG file none does: it has checksums. A JPEG file has none, so that a damage shows only where it leaves another number
//! of blocks, a code that is in no table, or values out of range (`jpeg` says what is compared). After a damage, Huffman codes
//! soon fall into step again; where the blocks in between happen to be as many as before, nothing can be noticed. The tests
//! print how often that is, as `docs/model/refusals.md` reports it.

mod common;

use std::{env, fs, io::Write, path::Path};

use common::{Pair, Random, chunk, cut, joined, pairs, picture, without, zeroed};
use decode::decode;

/// How many files of a kind of damage were tried, and how many passed.
#[derive(Clone, Copy, Default)]
struct Count {
    tried: usize,
    judged: usize,
}

const KINDS: [&str; 8] = [
    "cut, and the end mark put behind",
    "the tail zeroed but for the end mark",
    "512 bytes zeroed",
    "16 bytes zeroed",
    "512 bytes lost",
    "16 bytes lost",
    "joined with another file",
    "one bit changed",
];

/// Each kind of damage to a pair of files, `rounds` times.
fn damage(files: [&[u8]; 2], rounds: usize, random: &mut Random) -> [Count; KINDS.len()] {
    let mut counts = [Count::default(); KINDS.len()];
    for round in 0..rounds {
        let [one, other] = if round % 2 == 0 { files } else { [files[1], files[0]] };
        let (mine, others) = (picture(one), picture(other));
        let mut part = |length: usize| {
            let at = random.within(mine.start..mine.end - length);
            at..at + length
        };
        let [long, short] = [512.min(mine.len() / 2), 16].map(&mut part);
        let at = random.within(mine.clone());
        // At the same place, or at the same share of the picture.
        let from = match round / 2 % 2 {
            0 => at.clamp(others.start, others.end - 1),
            _ => others.start + (at - mine.start) * others.len() / mine.len(),
        };
        let mut changed = one.to_vec();
        changed[random.within(mine.clone())] ^= 1 << random.below(8);
        let damaged = [
            cut(one, at),
            zeroed(one, at..mine.end),
            zeroed(one, long.clone()),
            zeroed(one, short.clone()),
            without(one, long),
            without(one, short),
            joined(one, at, other, from),
            changed,
        ];
        for (count, file) in counts.iter_mut().zip(damaged) {
            if file != one && file != other {
                count.tried += 1;
                count.judged += usize::from(decode(&file).is_ok());
            }
        }
    }
    counts
}

fn report(name: &str, counts: &[Count]) {
    let counts: Vec<String> = counts.iter().map(|count| format!("{:>3}/{}", count.judged, count.tried)).collect();
    // Not by `eprintln!`, which the test harness keeps to itself where a test passes.
    let _ = writeln!(std::io::stderr(), "{name:26} {}", counts.join(" | "));
}

/// Panics if more files passed than those in which nothing can be noticed.
fn check(name: &str, counts: &[Count; KINDS.len()]) {
    let [cut, tail, long_zeroed, _, long_lost, _, joined, _] = counts;
    assert_eq!(cut.judged, 0, "{name}: {}", KINDS[0]);
    for (kind, count) in [(1, tail), (2, long_zeroed), (4, long_lost)] {
        assert!(count.tried > 0 && 50 * count.judged <= count.tried, "{name}: {}", KINDS[kind]);
    }
    assert!(6 * joined.judged <= joined.tried, "{name}: {}", KINDS[6]);
}

#[test]
fn whole_files_are_judged() {
    for Pair { name, files } in pairs() {
        for file in files {
            assert!(decode(&file).is_ok(), "{name}: {:?}", decode(&file).err());
        }
    }
}

#[test]
fn files_that_lost_a_part_are_not_judged() {
    let mut random = Random(1);
    for Pair { name, files } in pairs() {
        let counts = damage([&files[0], &files[1]], 500, &mut random);
        report(&name, &counts);
        check(&name, &counts);
        let png = name.starts_with("png");
        assert!(!png || counts.iter().all(|count| count.judged == 0), "{name}");
    }
}

#[test]
fn png_chunks_that_do_not_belong_together_are_refused() {
    let pair = pairs().into_iter().find(|pair| pair.name == "png-interlaced").unwrap();
    let [(one, all), (_, others)] = pair.files.each_ref().map(|file| {
        // Signature and header; then the data of each chunk.
        let mut chunks = Vec::new();
        let mut rest = &file[33..];
        while &rest[4..8] == b"IDAT" {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            chunks.push(rest[8..8 + length].to_vec());
            rest = &rest[12 + length..];
        }
        (&file[..33], chunks)
    });
    let file = |data: &[Vec<u8>]| {
        let chunks: Vec<u8> = data.iter().flat_map(|data| chunk(b"IDAT", data)).collect();
        [one, &chunks, &chunk(b"IEND", &[])].concat()
    };
    assert!(decode(&file(&all)).is_ok());
    assert!(decode(&file(&[all.concat(), vec![], vec![]])).is_ok(), "empty chunks are allowed");
    for at in 0..all.len() {
        let lost = [&all[..at], &all[at + 1..]].concat();
        let doubled = [&all[..=at], &all[at..]].concat();
        let joined = [&all[..at], &others[at.min(others.len())..]].concat();
        for (kind, data) in [("lost", lost), ("doubled", doubled), ("joined", joined)] {
            assert!(at == 0 && kind == "joined" || decode(&file(&data)).is_err(), "chunk {at} {kind}");
        }
    }
    let data = all.concat();
    for surplus in [1, 4, 1000] {
        let more = [&data[..], &vec![0; surplus]].concat();
        assert!(decode(&file(&[more])).is_err(), "{surplus} bytes behind the checksum");
    }
    for missing in 1..=4 {
        assert!(
            decode(&file(&[data[..data.len() - missing].to_vec()])).is_err(),
            "{missing} bytes of the checksum lost"
        );
    }
    let mut other = data.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(decode(&file(&[other])).is_err(), "another checksum");
}

#[test]
fn real_radiographs_that_lost_a_part_are_not_judged() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = env::var_os("PUMUA_TEST_DATA").map_or(default, Into::into);
    let mut random = Random(2);
    for part in ["originals/NORMAL", "originals/PNEUMONIA", "chest_xray/val/NORMAL", "chest_xray/val/PNEUMONIA"] {
        let folder = folder.join(part);
        let Ok(entries) = fs::read_dir(&folder) else {
            let missing = folder.display();
            let _ = writeln!(
                std::io::stderr(),
                "skipped: no real radiographs in {missing} (PUMUA_TEST_DATA names another folder)"
            );
            continue;
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let files: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let mut counts = [Count::default(); KINDS.len()];
        for pair in files.chunks_exact(2) {
            for (count, more) in counts.iter_mut().zip(damage([&pair[0], &pair[1]], 25, &mut random)) {
                count.tried += more.tried;
                count.judged += more.judged;
            }
        }
        report(part, &counts);
        check(part, &counts);
    }
}
