//! Results that outlive the flashing of a card.

use std::path::Path;

use super::{
    super::results::{DataPartition, restore},
    *,
};
use crate::checksum;

/// Where the data partition of the card of before begins, and how long it is, in sectors.
const OLD: (usize, usize) = (50, 200);
/// Where that of the image begins.
const NEW: usize = 108 * SECTOR;

/// A card with results: everything that is not in its data partition is lost.
fn card() -> Vec<u8> {
    let mut bytes = vec![0x5a; LENGTH + SECTOR];
    bytes[446..510].fill(0);
    for (entry, kind, (first, count)) in [(446, 0x0c, (8, 42)), (462, 0x83, OLD)] {
        bytes[entry + 4] = kind;
        bytes[entry + 8..entry + 12].copy_from_slice(&(first as u32).to_le_bytes());
        bytes[entry + 12..entry + 16].copy_from_slice(&(count as u32).to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes[OLD.0 * SECTOR..][..OLD.1 * SECTOR].copy_from_slice(&results());
    bytes
}

/// What is in that partition.
fn results() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..OLD.1 * SECTOR).map(|at| (at / 7) as u8).collect();
    bytes[1080..1082].copy_from_slice(&[0x53, 0xef]);
    bytes[1144..1160].copy_from_slice(b"pumua-data\0\0\0\0\0\0");
    bytes
}

/// What the card is to hold in the end.
fn kept() -> Vec<u8> {
    let mut bytes = image();
    bytes[NEW..][..OLD.1 * SECTOR].copy_from_slice(&results());
    bytes
}

fn with(bytes: Vec<u8>) -> Fake {
    Fake { bytes, ..Fake::new() }
}

/// As [`flash`] does it.
fn flash_keeping(
    image: &Image,
    fake: &mut Fake,
    path: &Path,
    progress: &mut Progress<'_>,
) -> Result<Saved, FlashError> {
    let length = fake.bytes.len() as u64;
    let data = DataPartition::find(fake, length)?;
    data.fits(image)?;
    let saved = data.save(fake, path, progress)?;
    super::super::write(image, Some(&saved), fake, progress)?;
    Ok(saved)
}

#[test]
fn results_are_saved_and_come_onto_the_new_card() {
    let files = Files::new();
    let path = files.0.path().join("results.ext4");
    let image_file = files.image();
    let mut fake = with(card());
    fake.at_a_time = 3 * SECTOR;
    let saved = flash_keeping(&image_file, &mut fake, &path, &mut go_on).unwrap();
    assert!(fake.bytes[..LENGTH] == kept() && fs::read(&path).unwrap() == results());
    assert_eq!((saved.length(), saved.path()), (results().len() as u64, path.as_path()));
    assert_eq!(checksum::read(&path).unwrap(), Some(saved.digest()));
    // Once more, over the card that has them in another place now: a copy is never replaced.
    let error = flash_keeping(&image_file, &mut fake, &path, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::ResultsFile { .. }), "{error}");
    let mut fake = Fake { at_a_time: CHUNK, ..fake };
    let again = files.0.path().join("again.ext4");
    flash_keeping(&image_file, &mut fake, &again, &mut go_on).unwrap();
    assert!(fs::read(&again).unwrap().starts_with(&results()) && fake.bytes[..LENGTH] == kept());
}

#[test]
fn stopping_anywhere_leaves_the_card_of_before_or_a_copy_from_which_it_is_made_again() {
    let files = Files::new();
    let image_file = files.image();
    let mut seen = [0; 2];
    for steps in 0.. {
        let path = files.0.path().join(format!("{steps}.ext4"));
        let mut left = steps;
        let mut progress = |_: Stage, _: u64, _: u64| match left {
            0 => ControlFlow::Break(()),
            _ => {
                left -= 1;
                ControlFlow::Continue(())
            }
        };
        let mut fake = with(card());
        match flash_keeping(&image_file, &mut fake, &path, &mut progress) {
            Ok(_) => {
                assert!(fake.bytes[..LENGTH] == kept());
                break;
            }
            Err(FlashError::StoppedBefore(_)) => {
                assert!(fake.bytes == card(), "{steps}");
                seen[0] += 1;
            }
            Err(error) => {
                assert!(matches!(error, FlashError::StoppedWriting { .. }) && !fake.has_a_table(), "{steps}: {error}");
                // What the card has now is not looked at.
                let saved = Saved::open(&path).unwrap();
                super::super::write(&image_file, Some(&saved), &mut fake, &mut go_on).unwrap();
                assert!(fake.bytes[..LENGTH] == kept(), "{steps}");
                seen[1] += 1;
            }
        }
    }
    assert!(seen[0] >= 2 && seen[1] >= 7, "{seen:?}");
}

#[test]
fn power_cut_leaves_the_card_of_before_or_one_without_table_or_all_of_it() {
    let files = Files::new();
    let old = card();
    let mut fake = with(old.clone());
    flash_keeping(&files.image(), &mut fake, &files.0.path().join("results"), &mut go_on).unwrap();
    check_cuts(&old, &fake);
}

#[test]
fn a_card_that_does_not_keep_the_results_gets_no_partition_table() {
    let files = Files::new();
    let image_file = files.image();
    let saved = Saved::open(&files.file("results", &results())).unwrap();
    for at in [0, 5000, OLD.1 * SECTOR - 1] {
        let mut fake = with(card());
        // The image is kept there, and the results are not.
        super::super::write(&image_file, None, &mut fake, &mut go_on).unwrap();
        fake.weak = Some(NEW + at);
        let error = restore(&saved, NEW as u64, &mut fake, &mut go_on).unwrap_err();
        assert!(matches!(error, FlashError::Differs { offset } if offset == (NEW + at) as u64), "{error}");
        let mut fake = with(card());
        fake.weak = Some(NEW + at);
        super::super::write(&image_file, Some(&saved), &mut fake, &mut go_on).unwrap_err();
        assert!(!fake.has_a_table());
    }
    // The file becomes another one after it was opened.
    let mut other = results();
    other[OLD.1 * SECTOR - 1] ^= 1;
    files.file("results", &other);
    let mut fake = with(card());
    let error = super::super::write(&image_file, Some(&saved), &mut fake, &mut go_on).unwrap_err();
    assert!(matches!(error, FlashError::ImageChanged) && !fake.has_a_table(), "{error}");
}

#[test]
fn results_that_cannot_be_read_or_do_not_fit_leave_everything_as_it_is() {
    let files = Files::new();
    let (image_file, path) = (files.image(), files.0.path().join("results"));
    let refused = |change: fn(&mut Fake)| {
        let mut fake = with(card());
        change(&mut fake);
        let before = fake.bytes.clone();
        let error = flash_keeping(&image_file, &mut fake, &path, &mut go_on).unwrap_err();
        assert!(fake.bytes == before && fake.done.is_empty() && !path.exists(), "{error}");
        error
    };
    let error = refused(|fake| {
        fake.at_a_time = SECTOR;
        fake.unreadable = Some((OLD.0 * SECTOR + 8192) as u64);
    });
    let offset = (OLD.0 * SECTOR + 8192) as u64;
    assert!(matches!(error, FlashError::ResultsUnreadable { offset: at, .. } if at == offset), "{error}");
    assert!(matches!(refused(|fake| fake.bytes[510] = 0), FlashError::NoTable));
    assert!(matches!(refused(|fake| fake.bytes[..SECTOR].fill(0)), FlashError::NoTable));
    // Another label, another file system, another type, or not all of it on the medium.
    assert!(matches!(refused(|fake| fake.bytes[OLD.0 * SECTOR + 1144] = b'P'), FlashError::NoResults));
    assert!(matches!(refused(|fake| fake.bytes[OLD.0 * SECTOR + 1080] = 0), FlashError::NoResults));
    assert!(matches!(refused(|fake| fake.bytes[466] = 0x07), FlashError::NoResults));
    assert!(matches!(refused(|fake| fake.bytes[477] = 0xff), FlashError::NoResults));
    assert!(matches!(refused(|fake| fake.bytes[474..478].fill(0)), FlashError::NoResults));
    // To the end of the medium: longer than in the image.
    let error = refused(|fake| {
        let sectors = (fake.bytes.len() / SECTOR - OLD.0) as u32;
        fake.bytes[474..478].copy_from_slice(&sectors.to_le_bytes());
    });
    assert!(matches!(error, FlashError::ResultsTooLarge { .. }), "{error}");
}

#[test]
fn other_files_than_copies_of_results_are_refused() {
    let files = Files::new();
    let path = files.file("results", &results());
    let digest = Saved::open(&path).unwrap().digest();
    for (bytes, words) in [
        (Vec::new(), "it is not a partition"),
        (results()[..SECTOR].to_vec(), "it is not a partition"),
        (results()[..OLD.1 * SECTOR - 1].to_vec(), "it is not a partition"),
        (vec![0; 8192], "it is not the file system of a box's data"),
    ] {
        let error = Saved::open(&files.file("other", &bytes)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    checksum::write(&path, &digest).unwrap();
    Saved::open(&path).unwrap();
    let mut damaged = results();
    damaged[9999] ^= 1;
    files.file("results", &damaged);
    let error = Saved::open(&path).unwrap_err().to_string();
    assert!(error.contains("its SHA-256 is not the one in the file beside it"), "{error}");
    assert!(matches!(Saved::open(files.0.path()), Err(FlashError::ResultsUnlike { .. })));
    assert!(matches!(Saved::open("/dev/zero".as_ref()), Err(FlashError::ResultsUnlike { .. })));
    assert!(matches!(Saved::open(&files.0.path().join("absent")), Err(FlashError::ResultsFile { .. })));
}
