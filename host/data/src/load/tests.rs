use std::{fs, io::Write};

use image::{ColorType, ImageFormat};
use shared::verdict::Refusal;

use super::*;
use crate::Part;

const CONTRACT: InputContract = InputContract::stretched(16);

fn png(shade: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = vec![shade; 40 * 32];
    image::write_buffer_with_format(&mut bytes, &pixels, 40, 32, ColorType::L8, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train/NORMAL/IM-0001-0001.jpeg", png(10)),
        ("train/NORMAL/IM-0002-0001.jpeg", png(20)),
        ("train/NORMAL/copy.png", png(10)),
        ("train/PNEUMONIA/person1_virus_1.jpeg", png(30)),
        ("train/PNEUMONIA/broken.jpeg", b"no image".to_vec()),
        ("train/PNEUMONIA/contradiction.png", png(20)),
        ("test/PNEUMONIA/person1_bacteria_2.jpeg", png(40)),
        ("test/readme.txt", b"text".to_vec()),
    ]
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn archive(files: &[(&str, Vec<u8>)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
    for (name, bytes) in files {
        zip.start_file(format!("chest_xray/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let hidden = "__MACOSX/chest_xray/train/NORMAL/._IM-0001-0001.jpeg";
    zip.start_file(hidden, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"metadata").unwrap();
    zip.finish().unwrap();
    file
}

#[test]
fn folder_and_archive_give_the_same() {
    let (root, zip) = (folder(&files()), archive(&files()));
    let cache = tempfile::tempdir().unwrap();
    let data = Dataset::load_with_cache(root.path(), &CONTRACT, Some(cache.path())).unwrap();
    let names: Vec<_> = data.samples.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "test/PNEUMONIA/person1_bacteria_2.jpeg",
            "train/NORMAL/IM-0001-0001.jpeg",
            "train/PNEUMONIA/person1_virus_1.jpeg"
        ]
    );
    assert_eq!(data.samples[0].official, Some(Part::Test));
    assert_eq!(data.samples[1].pixels, [10; 256]);
    let reasons: Vec<_> = data.skipped.iter().map(|s| (s.name.as_str(), s.reason.clone())).collect();
    let contradicts = |name: &str| SkipReason::Contradicts(name.to_owned());
    assert_eq!(
        reasons,
        [
            ("train/NORMAL/IM-0002-0001.jpeg", contradicts("train/PNEUMONIA/contradiction.png")),
            ("train/NORMAL/copy.png", SkipReason::DuplicateOf("train/NORMAL/IM-0001-0001.jpeg".to_owned())),
            ("train/PNEUMONIA/broken.jpeg", SkipReason::Refused(Refusal::UnknownFormat)),
            ("train/PNEUMONIA/contradiction.png", contradicts("train/NORMAL/IM-0002-0001.jpeg")),
        ]
    );

    // The second time from the cache, and from the archive: the same.
    for path in [root.path(), zip.path()] {
        let again = Dataset::load_with_cache(path, &CONTRACT, Some(cache.path())).unwrap();
        assert_eq!(again.samples, data.samples);
        assert_eq!(again.skipped, data.skipped);
        assert_eq!(again.digest(), data.digest());
    }
}

#[test]
fn drawings_stay_synthetic_when_they_are_read() {
    let root = tempfile::tempdir().unwrap();
    crate::synthetic::write(root.path(), 2, 1).unwrap();
    assert!(Dataset::load_with_cache(root.path(), &CONTRACT, None).unwrap().synthetic);
    assert!(!Dataset::load_with_cache(folder(&files()).path(), &CONTRACT, None).unwrap().synthetic);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let root = folder(&files());
    let occupied = tempfile::NamedTempFile::new().unwrap();
    let data = Dataset::load_with_cache(root.path(), &CONTRACT, Some(occupied.path())).unwrap();
    assert_eq!(data.samples.len(), 3);
}

#[test]
fn what_changes_while_it_is_read_is_skipped_and_not_kept() {
    let root = folder(&files());
    let cache = tempfile::tempdir().unwrap();
    let source = Source::open(root.path()).unwrap();
    let mut candidates = digest_all(&source, labelled(source.entries().unwrap()), 0, &mut Vec::new());
    candidates[0].digest = Digest::of(b"what was there before");
    let decoded = decode_all(&source, &mut candidates, &CONTRACT, Some(cache.path()));
    assert!(matches!(decoded[0], Err(SkipReason::Unreadable(_))), "{:?}", decoded[0]);
    assert!(decoded[1].is_ok());
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn what_is_held_is_not_read_again() {
    let root = folder(&files());
    let source = Source::open(root.path()).unwrap();
    let digested = |held| digest_all(&source, labelled(source.entries().unwrap()), held, &mut Vec::new());
    let length = fs::metadata(root.path().join(files()[0].0)).unwrap().len() as usize;
    assert!(digested(0).iter().all(|candidate| candidate.bytes.is_none()));
    let some = digested(3 * length);
    let held: usize = some.iter().filter_map(|candidate| Some(candidate.bytes.as_ref()?.len())).sum();
    assert!(held > 0 && held <= 3 * length, "{held}");
    let (mut all, mut none) = (digested(HELD_BYTES), digested(0));
    let again = decode_all(&source, &mut none, &CONTRACT, None);
    // Gone, but held.
    fs::remove_dir_all(root.path().join("train")).unwrap();
    fs::remove_dir_all(root.path().join("test")).unwrap();
    assert_eq!(decode_all(&source, &mut all, &CONTRACT, None), again);
    assert!(all.iter().all(|candidate| candidate.bytes.is_none()));
}

#[test]
fn data_that_cannot_be_used_say_so() {
    let load = |path: &Path| Dataset::load_with_cache(path, &CONTRACT, None);
    let empty = folder(&[("readme.txt", b"text".to_vec())]);
    assert!(matches!(load(empty.path()), Err(DataError::NoImages(_))));
    assert!(matches!(load(&empty.path().join("readme.txt")), Err(DataError::Zip { .. })));
    assert!(matches!(load(&empty.path().join("absent")), Err(DataError::Read { .. })));
    let text = folder(&[("NORMAL/a.jpeg", b"text".to_vec())]);
    assert!(matches!(load(text.path()), Err(DataError::NothingUsable { files: 1, .. })));
    let one = folder(&[("NORMAL/a.jpeg", png(1))]);
    let one = load(one.path()).unwrap();
    assert!(matches!(one.require_both_labels(), Err(DataError::OneClass { missing: Label::Pneumonia })));
}
