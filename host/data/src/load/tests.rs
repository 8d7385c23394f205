use std::{fs, io::Write};

use image::{ColorType, ImageFormat};
use shared::{limits::MAX_IMAGE_BYTES, verdict::Refusal};

use super::*;
use crate::{Part, View};

const CONTRACT: InputContract = InputContract::stretched(16);

/// Loads with the cache in this folder, if any; the inputs stay in memory.
fn load_with_cache(
    path: &Path,
    contract: &InputContract,
    folder: Option<&Path>,
) -> Result<(Catalogue, Inputs), DataError> {
    load_into(path, contract, &mut Cache::new(folder.map(Path::to_owned), usize::MAX))
}

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
    assert_eq!(inputs.several(&[0, 1, 2]).unwrap(), [40_u8, 10, 30].map(|shade| vec![shade; 256]));
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
    let cache = || Cache::new(Some(kept.path().to_owned()), usize::MAX);
    let read = || {
        let (read, shards) = read_all(&source, &files, &CONTRACT, files.len(), &mut cache()).unwrap();
        let Ok([Shard::Memory(pixels)]) = <[Shard; 1]>::try_from(shards) else { panic!("one shard, in memory") };
        (read, pixels)
    };
    let (first, mut pixels) = read();
    let large = files.iter().position(|file| file.name.ends_with("IM-0003-0001.jpeg")).unwrap();
    assert!(first[large].is_err() && first.iter().filter(|read| read.is_err()).count() == 1);

    pixels.iter_mut().for_each(|pixel| *pixel = pixel.wrapping_add(1));
    let key = cache::key(&CONTRACT, files.iter().map(|file| file.name.as_str()));
    let entries: Vec<Option<Read>> = first.iter().map(|read| read.as_ref().ok().copied()).collect();
    cache().keep(key, &entries, pixels.clone()).unwrap();
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

/// The names of the shards in a folder, sorted.
fn shards_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn several_shards_are_put_together_in_order_wherever_they_lie() {
    let root = folder(&files());
    let kept = tempfile::tempdir().unwrap();
    let Found { source, files, .. } = Found::at(root.path()).unwrap();
    let read = |room: usize| {
        let mut cache = Cache::new(Some(kept.path().to_owned()), room);
        let (read, shards) = read_all(&source, &files, &CONTRACT, 2, &mut cache).unwrap();
        (read, Inputs::of_shards(CONTRACT, shards, 2, 0..files.len()))
    };
    let (first, in_memory) = read(usize::MAX);
    let names = shards_in(kept.path());
    assert_eq!((files.len(), names.len()), (7, 4));
    // All on disk, a part of them, and with one shard spoilt and one gone.
    for room in [0, 3 * CONTRACT.len()] {
        let (again, on_disk) = read(room);
        assert!(again == first && on_disk == in_memory, "{room}");
    }
    let spoilt = kept.path().join(&names[1]);
    let whole = fs::read(&spoilt).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&spoilt, bytes).unwrap();
    fs::remove_file(kept.path().join(&names[2])).unwrap();
    assert!(read(0) == (first, in_memory));
    assert_eq!(fs::read(&spoilt).unwrap(), whole, "it was made again");
    assert_eq!(shards_in(kept.path()), names);
}

#[test]
fn loaders_of_the_same_data_at_once_take_nothing_from_each_other() {
    let root = folder(&files());
    let kept = tempfile::tempdir().unwrap();
    let expected = load_with_cache(root.path(), &CONTRACT, None).unwrap().1;
    let load = || {
        let mut cache = Cache::new(Some(kept.path().to_owned()), 0);
        let loaded = load_into(root.path(), &CONTRACT, &mut cache).unwrap().1;
        cache.tidy();
        loaded
    };
    let all: Vec<Inputs> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|inputs| *inputs == expected));
    assert_eq!(shards_in(kept.path()).len(), 1, "no drafts are left");
    // What is open stays, whoever removes it.
    fs::remove_dir_all(kept.path()).unwrap();
    assert!(all.iter().all(|inputs| *inputs == expected));
}

#[test]
fn inputs_that_fit_nowhere_are_an_error() {
    let root = folder(&files());
    let error = load_into(root.path(), &CONTRACT, &mut Cache::new(None, 300)).unwrap_err();
    assert!(matches!(error, DataError::Cache(_)), "{error}");
    assert!(error.to_string().contains("PUMUA_CACHE"), "{error}");
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
    assert_eq!([0, 1, 2, 3].map(|i| inputs.of(i).unwrap()[0]), [1, 2, 4, 5]);

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

fn paths(data: &Catalogue) -> Vec<&str> {
    data.samples.iter().map(|sample| sample.name.as_str()).collect()
}

fn left_out(data: &Catalogue) -> Vec<(&str, String)> {
    data.skipped.iter().map(|skipped| (skipped.name.as_str(), skipped.reason.to_string())).collect()
}

#[test]
fn a_part_by_another_name_is_that_part() {
    let root = folder(&[
        ("train/NORMAL/IM-0001-0001.jpeg", png(1)),
        ("valid/NORMAL/IM-0001-0002.jpeg", png(2)),
        ("Testing/PNEUMONIA /person1_virus_1.jpeg", png(3)),
        ("holdout/NORMAL/a.jpeg", png(4)),
    ]);
    let (data, _) = load_with_cache(root.path(), &CONTRACT, None).unwrap();
    let known: Vec<_> = data.samples.iter().map(|sample| (sample.official, sample.patient.as_str())).collect();
    assert_eq!(
        known,
        [
            (Some(Part::Test), "test/person1"),
            (None, "file/holdout/NORMAL/a.jpeg"),
            (Some(Part::Train), "train/IM-0001"),
            (Some(Part::Validation), "train/IM-0001"),
        ]
    );
    let notes = data.notes.join("\n");
    for words in [
        "`Testing` is taken for test",
        "`valid` is taken for validation",
        "`PNEUMONIA ` is taken for PNEUMONIA",
        "1 in holdout, which",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    assert_eq!(data.notes.len(), 4);
}

#[test]
fn folders_beside_the_labels_are_named() {
    let root = folder(&[
        ("train/NORMAL/a.png", png(1)),
        ("train/PNEUMONIA/b.png", png(2)),
        ("train/PNEUMONIA/Thumbs.db", b"thumbs".to_vec()),
        ("train/COVID19/c.png", png(3)),
        ("train/COVID19/deep/d.png", png(4)),
        ("train/COVID19/.hidden", png(5)),
        ("test/readme.txt", b"text".to_vec()),
        ("elsewhere/e.png", png(6)),
    ]);
    let (data, _) = load_with_cache(root.path(), &CONTRACT, None).unwrap();
    let other = "in the folder train/COVID19, which is neither NORMAL nor PNEUMONIA".to_owned();
    assert_eq!(
        left_out(&data),
        [
            ("train/COVID19/c.png", other.clone()),
            ("train/COVID19/deep/d.png", other),
            ("train/PNEUMONIA/Thumbs.db", "no picture, by its name".to_owned()),
        ]
    );
}

#[test]
fn what_cannot_be_looked_into_is_left_out() {
    let root = folder(&[("train/NORMAL/a.png", png(1)), ("elsewhere/NORMAL/b.png", png(2))]);
    let path = |name: &str| root.path().join(name);
    std::os::unix::fs::symlink("nowhere", path("train/NORMAL/dangling.png")).unwrap();
    std::os::unix::fs::symlink(".", path("current")).unwrap();
    std::os::unix::fs::symlink("../elsewhere/NORMAL", path("train/PNEUMONIA")).unwrap();
    fs::create_dir(path("lost+found")).unwrap();
    fs::set_permissions(path("lost+found"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let may_read_all = fs::read_dir(path("lost+found")).is_ok();
    let (data, _) = load_with_cache(&path("train"), &CONTRACT, None).unwrap();
    assert_eq!(paths(&data), ["NORMAL/a.png", "PNEUMONIA/b.png"], "linked folders are followed");
    let (data, _) = load_with_cache(root.path(), &CONTRACT, None).unwrap();
    let unreadable = |why: &str| format!("cannot be read: {why}");
    let mut expected = vec![("current", unreadable("it is a link to a folder that it is in"))];
    if may_read_all {
        eprintln!("left out: this user may read everything");
    } else {
        expected.push(("lost+found", unreadable("Permission denied (os error 13)")));
    }
    expected.push(("train/NORMAL/dangling.png", unreadable("it is a link to nothing")));
    let found: Vec<_> = left_out(&data).into_iter().filter(|(_, reason)| reason.starts_with("cannot")).collect();
    assert_eq!(found, expected);
}

#[test]
fn names_of_any_bytes_are_names() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let above = tempfile::tempdir().unwrap();
    let root = above.path().join(OsStr::from_bytes(b"n\xe9"));
    fs::create_dir_all(root.join("NORMAL")).unwrap();
    for (name, shade) in [(b"\xe9.png", 1), (b"\xea.png", 2)] {
        fs::write(root.join("NORMAL").join(OsStr::from_bytes(name)), png(shade)).unwrap();
    }
    let (data, inputs) = load_with_cache(&root, &CONTRACT, None).unwrap();
    assert_eq!(paths(&data), ["NORMAL/\\xE9.png", "NORMAL/\\xEA.png"]);
    assert_eq!([0, 1].map(|i| inputs.of(i).unwrap()[0]), [1, 2]);
    let files = crate::Files::open(&root).unwrap();
    assert_eq!(files.read("NORMAL/\\xEA.png"), Ok(png(2)));
}

/// An archive of one file that says that it is compressed by this method, or has a password.
fn archive_by(method: u16, encrypted: bool) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("NORMAL/a.png", stored).unwrap();
    zip.write_all(&png(1)).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    // Flags and method in the file's own header, then in the directory.
    let directory = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for at in [6, directory + 8] {
        bytes[at] |= u8::from(encrypted);
        bytes[at + 2..at + 4].copy_from_slice(&method.to_le_bytes());
    }
    bytes
}

#[test]
fn archives_of_other_makes_say_how_to_make_another() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tar = [&[0; 257][..], b"ustar\x0000", &[0; 300]].concat();
    for (bytes, words) in [
        (archive_by(9, false), "compressed with Deflate64"),
        (archive_by(12, false), "compressed with bzip2"),
        (archive_by(14, false), "compressed with LZMA"),
        (archive_by(77, false), "a method that is not known"),
        (archive_by(0, true), "it has a password"),
        (b"7z\xBC\xAF\x27\x1C and more".to_vec(), "a 7z archive"),
        (b"Rar!\x1A\x07\x01\0".to_vec(), "a RAR archive"),
        (b"\x1F\x8B\x08".to_vec(), "gzip"),
        (tar, "a tar archive"),
    ] {
        fs::write(file.path(), bytes).unwrap();
        let error = load_with_cache(file.path(), &CONTRACT, None).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("zip -r data.zip"), "{words}: {error}");
    }
    fs::write(file.path(), archive_by(0, false)).unwrap();
    assert_eq!(load_with_cache(file.path(), &CONTRACT, None).unwrap().0.samples.len(), 1);
}

#[test]
fn how_an_archive_keeps_what_is_no_radiograph_does_not_matter() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in ["notes.txt", "NORMAL/a.png"] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&png(1)).unwrap();
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    // The first file says that it has a password, in its own header and in the directory.
    let directory = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for at in [6, directory + 8] {
        bytes[at] |= 1;
    }
    fs::write(file.path(), bytes).unwrap();
    let (data, _) = load_with_cache(file.path(), &CONTRACT, None).unwrap();
    assert_eq!(paths(&data), ["NORMAL/a.png"]);
}

#[test]
fn names_in_an_archive_that_are_not_utf8_are_of_code_page_437() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("NORMAL/a.png", stored).unwrap();
    zip.write_all(&png(1)).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    let is_name = |(_, name): &(usize, &[u8])| *name == b"NORMAL/a.png";
    let places: Vec<usize> = bytes.windows(12).enumerate().filter(is_name).map(|(at, _)| at).collect();
    for at in places {
        bytes[at + "NORMAL/".len()] = 0x82;
    }
    fs::write(file.path(), bytes).unwrap();
    let (data, _) = load_with_cache(file.path(), &CONTRACT, None).unwrap();
    assert_eq!(paths(&data), ["NORMAL/é.png"]);
}

#[test]
fn where_nothing_is_found_the_cause_is_told() {
    let root = tempfile::tempdir().unwrap();
    for label in ["NORMAL", "PNEUMONIA"] {
        std::os::unix::fs::symlink("nowhere", root.path().join(label)).unwrap();
    }
    let error = load_with_cache(root.path(), &CONTRACT, None).unwrap_err();
    assert!(matches!(error, DataError::NothingReadable { count: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("NORMAL: cannot be read: it is a link to nothing"), "{error}");
    let files = folder(&[("NORMAL/Thumbs.db", b"thumbs".to_vec())]);
    let error = load_with_cache(files.path(), &CONTRACT, None).unwrap_err();
    assert!(error.to_string().contains("NORMAL/Thumbs.db: no picture, by its name"), "{error}");
}

#[test]
fn what_a_table_says_of_a_copied_folder_is_kept() {
    let with_table = |table: &str| {
        folder(&[
            ("labels.csv", table.into()),
            ("NORMAL/a.png", png(1)),
            ("copy/NORMAL/a.png", png(1)),
            ("PNEUMONIA/b.png", png(2)),
            ("copy/PNEUMONIA/b.png", png(2)),
        ])
    };
    let loaded = |table: &str| load_with_cache(with_table(table).path(), &CONTRACT, None).unwrap().0;
    // The folder that is listed is kept, and named as if it were alone.
    let rows = "copy/NORMAL/a.png,NORMAL,p1\ncopy/PNEUMONIA/b.png,PNEUMONIA,p2\n";
    let data = loaded(&format!("path,label,patient\n{rows}"));
    let patients: Vec<_> = data.samples.iter().map(|sample| (&*sample.name, &*sample.patient)).collect();
    assert_eq!(patients, [("NORMAL/a.png", "p1"), ("PNEUMONIA/b.png", "p2")]);
    assert_eq!(left_out(&data), [("the top folder", "a copy: all 2 files of it are in copy as well".to_owned())]);
    // Where both are, and otherwise, each file is told.
    let data = loaded(&format!("path,label,patient\nNORMAL/a.png,NORMAL,p3\n{rows}"));
    assert_eq!(
        left_out(&data),
        [
            ("copy/NORMAL/a.png", "the same file as NORMAL/a.png".to_owned()),
            ("copy/PNEUMONIA/b.png", "the same file as PNEUMONIA/b.png".to_owned()),
        ]
    );
}

#[test]
fn names_of_an_archive_lead_nowhere_else() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
    for (name, shade) in [
        ("/tmp/NORMAL/a.png", 1),
        ("../../NORMAL/b.png", 2),
        ("C:\\films\\PNEUMONIA\\c.png", 3),
        ("x/../../PNEUMONIA/./d.png", 4),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&png(shade)).unwrap();
    }
    zip.finish().unwrap();
    let (data, _) = load_with_cache(file.path(), &CONTRACT, None).unwrap();
    assert_eq!(paths(&data), ["NORMAL/b.png", "films/PNEUMONIA/c.png", "tmp/NORMAL/a.png", "x/PNEUMONIA/d.png"]);
    let files = crate::Files::open(file.path()).unwrap();
    assert_eq!(files.read("tmp/NORMAL/a.png"), Ok(png(1)));
}

/// As the archive of the published data is: with a copy of itself in it.
fn with_a_copy(files: &[(&'static str, Vec<u8>)]) -> Vec<(&'static str, Vec<u8>)> {
    let copy =
        files.iter().map(|(name, bytes)| (&*Box::leak(format!("chest_xray/{name}").into_boxed_str()), bytes.clone()));
    copy.chain(files.iter().cloned()).collect()
}

#[test]
fn the_same_radiographs_are_the_same_data_whatever_they_are_wrapped_in() {
    let plain = load_with_cache(folder(&files()).path(), &CONTRACT, None).unwrap();
    let doubled = with_a_copy(&files());
    let zip = archive(&doubled);
    for (path, folder) in [(zip.path(), "chest_xray/chest_xray"), (folder(&doubled).keep().as_path(), "chest_xray")] {
        let (data, inputs) = load_with_cache(path, &CONTRACT, None).unwrap();
        assert_eq!((&data.samples, &inputs), (&plain.0.samples, &plain.1));
        assert_eq!(data.digest(), plain.0.digest());
        assert_eq!(data.skipped.len(), plain.0.skipped.len() + 1, "one line for the copy");
        let copy = data.skipped.iter().find(|skipped| skipped.name == folder).unwrap();
        assert!(matches!(copy.reason, SkipReason::CopyOf { files: 7, .. }), "{copy:?}");
        assert!(data.account().iter().any(|line| line.starts_with("      7  left out: all files of a folder")));
        let files = crate::Files::open(path).unwrap();
        for sample in &data.samples {
            assert_eq!(Digest::of(&files.read(&sample.name).unwrap()), sample.digest, "{}", sample.name);
        }
        let names: Vec<_> = files.list().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 7, "none of the copy: {names:?}");
        assert!(data.samples.iter().all(|sample| names.contains(&&*sample.name)), "{names:?}");
    }
}

#[test]
fn data_with_a_copy_are_known_by_the_digest_that_they_had() {
    let published: Vec<_> = files().into_iter().filter(|(name, _)| !name.ends_with("png")).collect();
    let (data, _) = load_with_cache(archive(&with_a_copy(&published)).path(), &CONTRACT, None).unwrap();
    // What earlier versions made of the same archive: names of the copy, which comes first.
    let mut before = data.clone();
    for sample in &mut before.samples {
        sample.name = format!("chest_xray/chest_xray/{}", sample.name);
    }
    assert_ne!(before.digest(), data.digest());
    assert!(data.has_digest(&before.digest().to_string()) && data.has_digest(&data.digest().to_string()));
    let plain = load_with_cache(folder(&published).path(), &CONTRACT, None).unwrap().0;
    assert_eq!(plain.former_digest(), None);

    // Where patients were called after their files, they were split otherwise.
    let mut unknown = published.clone();
    unknown.push(("train/NORMAL/scan.png", png(77)));
    let (data, _) = load_with_cache(archive(&with_a_copy(&unknown)).path(), &CONTRACT, None).unwrap();
    assert_eq!(data.former_digest(), None);
}

#[test]
fn a_folder_with_anything_of_its_own_is_no_copy() {
    let root = folder(&[
        ("a/NORMAL/1.png", png(1)),
        ("a/NORMAL/2.png", png(2)),
        ("b/NORMAL/1.png", png(1)),
        ("b/NORMAL/3.png", png(3)),
        ("c/NORMAL/2.png", png(2)),
    ]);
    let (data, _) = load_with_cache(root.path(), &CONTRACT, None).unwrap();
    assert_eq!(paths(&data), ["a/NORMAL/1.png", "a/NORMAL/2.png", "b/NORMAL/3.png"]);
    let reasons: Vec<_> = data.skipped.iter().map(|skipped| (skipped.name.as_str(), skipped.reason.clone())).collect();
    let other = "a".to_owned();
    assert_eq!(
        reasons,
        [
            ("b/NORMAL/1.png", SkipReason::DuplicateOf("a/NORMAL/1.png".to_owned())),
            ("c", SkipReason::CopyOf { files: 1, other }),
        ]
    );
}
