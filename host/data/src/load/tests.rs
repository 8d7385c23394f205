use std::{fs, io::Write};

use image::{ColorType, ImageFormat};
use shared::{limits::MAX_IMAGE_BYTES, verdict::Refusal};

use super::*;
use crate::{Part, View};

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
    let (data, inputs) = load_with_cache(root.path(), &CONTRACT, Some(cache.path())).unwrap();
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
    assert_eq!(inputs.len(), 3);
    assert_eq!([0, 1, 2].map(|i| inputs.of(i)), [40, 10, 30].map(|shade| [shade; 256]));
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
        let (again, same) = load_with_cache(path, &CONTRACT, Some(cache.path())).unwrap();
        assert_eq!(same, inputs);
        assert_eq!(again.samples, data.samples);
        assert_eq!(again.skipped, data.skipped);
        assert_eq!(again.digest(), data.digest());
    }
}

#[test]
fn drawings_stay_synthetic_when_they_are_read() {
    let root = tempfile::tempdir().unwrap();
    crate::synthetic::write(root.path(), 2, 1).unwrap();
    assert!(load_with_cache(root.path(), &CONTRACT, None).unwrap().0.synthetic);
    assert!(!load_with_cache(folder(&files()).path(), &CONTRACT, None).unwrap().0.synthetic);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let root = folder(&files());
    let occupied = tempfile::NamedTempFile::new().unwrap();
    let (data, _) = load_with_cache(root.path(), &CONTRACT, Some(occupied.path())).unwrap();
    assert_eq!(data.samples.len(), 3);
}

/// What is kept is believed: inputs that no decoder makes show which are not decoded again.
#[test]
fn only_files_that_changed_are_decoded_again() {
    let root = folder(&files());
    let too_large = fs::File::create(root.path().join("train/NORMAL/IM-0003-0001.jpeg")).unwrap();
    too_large.set_len(u64::from(MAX_IMAGE_BYTES) + 1).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let Found { source, files, .. } = Found::at(root.path()).unwrap();
    let read = || {
        let mut pixels = vec![0; files.len() * CONTRACT.len()];
        let read = read_all(&source, &files, &CONTRACT, Some(kept.path()), &mut pixels);
        (read, pixels)
    };
    let (first, mut pixels) = read();
    let large = files.iter().position(|file| file.name.ends_with("IM-0003-0001.jpeg")).unwrap();
    assert!(first[large].is_err() && first.iter().filter(|read| read.is_err()).count() == 1);

    pixels.iter_mut().for_each(|pixel| *pixel = pixel.wrapping_add(1));
    let key = cache::key(&CONTRACT, files.iter().map(|file| file.name.as_str()));
    cache::store(kept.path(), key, first.iter().map(|read| read.as_ref().ok()), &pixels).unwrap();
    fs::write(root.path().join(&files[0].name), png(99)).unwrap();
    too_large.set_len(0).unwrap();
    fs::write(root.path().join(&files[large].name), png(98)).unwrap();

    let (second, again) = read();
    assert!(second.iter().all(Result::is_ok));
    for (index, (input, kept)) in again.chunks(CONTRACT.len()).zip(pixels.chunks(CONTRACT.len())).enumerate() {
        match index {
            0 => assert_eq!(input, [99; 256]),
            index if index == large => assert_eq!(input, [98; 256]),
            index if second[index].as_ref().unwrap().decoded.is_ok() => assert_eq!(input, kept),
            _ => {}
        }
    }
    // And now the new ones are kept.
    assert_eq!(read().1, again);
}

#[test]
fn data_that_cannot_be_used_say_so() {
    let load = |path: &Path| load_with_cache(path, &CONTRACT, None);
    let empty = folder(&[("readme.txt", b"text".to_vec())]);
    assert!(matches!(load(empty.path()), Err(DataError::NoImages(_))));
    assert!(matches!(load(&empty.path().join("readme.txt")), Err(DataError::Zip { .. })));
    assert!(matches!(load(&empty.path().join("absent")), Err(DataError::Read { .. })));
    let text = folder(&[("NORMAL/a.jpeg", b"text".to_vec())]);
    assert!(matches!(load(text.path()), Err(DataError::NothingUsable { files: 1, .. })));
    let one = folder(&[("NORMAL/a.jpeg", png(1))]);
    let (one, _) = load(one.path()).unwrap();
    assert!(matches!(one.require_both_labels(), Err(DataError::OneClass { missing: Label::Pneumonia })));
}

const TABLE: &str = "path,label,patient,age,view\n\
                     images/1.png,NORMAL,p1,3.5,PA\n\
                     images/2.png,PNEUMONIA,p2,,AP\n\
                     train/NORMAL/IM-0001-0001.jpeg,NORMAL,p1,4,\n\
                     gone.png,NORMAL,p9,,\n";

fn listed() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("labels.csv", TABLE.into()),
        ("images/1.png", png(1)),
        ("images/2.png", png(2)),
        ("images/3.png", png(3)),
        ("train/NORMAL/IM-0001-0001.jpeg", png(4)),
        ("train/PNEUMONIA/person1_virus_1.jpeg", png(5)),
    ]
}

#[test]
fn a_table_says_what_it_lists_and_folders_say_the_rest() {
    let (root, zip) = (folder(&listed()), archive(&listed()));
    let (data, inputs) = load_with_cache(root.path(), &CONTRACT, None).unwrap();
    let samples: Vec<_> = data.samples.iter().map(|s| (s.name.as_str(), s.patient.as_str(), s.age, s.view)).collect();
    assert_eq!(
        samples,
        [
            ("images/1.png", "p1", Some(3.5), Some(View::Pa)),
            ("images/2.png", "p2", None, Some(View::Ap)),
            ("train/NORMAL/IM-0001-0001.jpeg", "p1", Some(4.0), None),
            ("train/PNEUMONIA/person1_virus_1.jpeg", "train/person1", None, None),
        ]
    );
    assert_eq!(data.samples[1].label, Label::Pneumonia);
    assert_eq!(data.samples[2].official, Some(Part::Train));
    assert_eq!(data.samples.iter().map(|s| s.listed).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(data.skipped, [Skipped { name: "gone.png".to_owned(), reason: SkipReason::Missing }]);
    assert_eq!([0, 1, 2, 3].map(|i| inputs.of(i)[0]), [1, 2, 4, 5]);

    let (packed, same) = load_with_cache(zip.path(), &CONTRACT, None).unwrap();
    assert_eq!((packed.samples, packed.skipped, same), (data.samples, data.skipped, inputs));
    let files = crate::Files::open(zip.path()).unwrap();
    assert_eq!(files.read("images/2.png"), Ok(png(2)), "the files have the names of the catalogue");
}

#[test]
fn what_a_table_says_is_part_of_the_digest() {
    let digest = |table: &str| {
        let mut files = listed();
        files[0].1 = table.into();
        load_with_cache(folder(&files).path(), &CONTRACT, None).unwrap().0.digest()
    };
    let as_it_is = digest(TABLE);
    assert_eq!(digest(&TABLE.replace("3.5", "3")), as_it_is, "ages decide nothing");
    assert_ne!(digest(&TABLE.replace("p2", "p1")), as_it_is);
    assert_ne!(digest(&TABLE.replace("2.png,PNEUMONIA", "2.png,NORMAL")), as_it_is);
}

#[test]
fn the_table_may_lie_in_the_folder_above() {
    let root = folder(&[
        ("labels.csv", b"path,label,age\nadults/NORMAL/a.png,NORMAL,40\nchildren/NORMAL/a.png,NORMAL,4\n".to_vec()),
        ("adults/NORMAL/a.png", png(1)),
        ("children/NORMAL/a.png", png(2)),
    ]);
    let ages = |path: &str| {
        let (data, _) = load_with_cache(&root.path().join(path), &CONTRACT, None).unwrap();
        assert_eq!(data.skipped, []);
        data.samples.iter().map(|s| (s.name.clone(), s.age)).collect::<Vec<_>>()
    };
    let named = |name: &str, age| (name.to_owned(), Some(age));
    assert_eq!(ages("adults"), [named("NORMAL/a.png", 40.0)]);
    assert_eq!(ages("children/../adults/."), [named("NORMAL/a.png", 40.0)]);
    assert_eq!(ages(""), [named("adults/NORMAL/a.png", 40.0), named("children/NORMAL/a.png", 4.0)]);

    fs::write(root.path().join("labels.csv"), "path,label\nadults/NORMAL/a.png,ill\n").unwrap();
    let error = load_with_cache(&root.path().join("adults"), &CONTRACT, None).unwrap_err();
    assert!(matches!(error, DataError::Labels { line: 2, fault: crate::LabelsFault::Label, .. }));
    assert!(error.to_string().contains("labels.csv, line 2: the label is neither"), "{error}");
    // A table in the folder itself comes before it.
    fs::write(root.path().join("adults/labels.csv"), "path,label,age\nNORMAL/a.png,NORMAL,50\n").unwrap();
    assert_eq!(ages("adults"), [named("NORMAL/a.png", 50.0)]);
}
