use std::{os::unix::fs::symlink, sync::Arc};

use shared::accession::ExamNaming;

use super::*;
use crate::store::{Bounds, Filter, Store};

/// A file that is a film by its first bytes, of so many kinds.
fn film(n: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".as_slice(), &n.to_le_bytes()].concat()
}

struct Folders {
    watched: tempfile::TempDir,
    store: tempfile::TempDir,
}

impl Folders {
    fn new() -> Self {
        Self { watched: tempfile::tempdir().unwrap(), store: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.watched.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Watches while something is done with a way to look once.
    fn watching<T>(&self, after: After, bounds: Bounds, act: impl FnOnce(&mut dyn FnMut() -> usize) -> T) -> T {
        let watch = Watch { folder: self.watched.path().to_owned(), after, every: Duration::ZERO };
        let store = Arc::new(Store::open(self.store.path(), bounds).unwrap());
        let intake = Intake { store: store.clone(), naming: ExamNaming::default(), site: String::new() };
        let (watched, stop) = (Watched::default(), Stop::default());
        let mut watcher = Watcher::new(&watch, &intake, &watched);
        act(&mut || {
            watcher.look(&stop);
            store.find("", Filter::All, 0, 0).total
        })
    }
}

#[test]
fn a_file_is_taken_once_and_only_when_it_has_not_changed_between_two_looks() {
    let folders = Folders::new();
    folders.watching(After::Leave, Bounds::default(), |look| {
        folders.write("a.png", &film(1)[..9]);
        assert_eq!(look(), 0);
        folders.write("a.png", &film(1));
        assert_eq!(look(), 0, "it has grown");
        assert_eq!([look(), look()], [1, 1]);
        // Renamed, moved, linked: the same file.
        fs::rename(folders.path("a.png"), folders.path("b.png")).unwrap();
        fs::create_dir(folders.path("sub")).unwrap();
        assert_eq!([look(), look()], [1, 1]);
        fs::rename(folders.path("b.png"), folders.path("sub/c.png")).unwrap();
        assert_eq!([look(), look()], [1, 1]);
        // The same bytes in another file; and other bytes.
        folders.write("copy.png", &film(1));
        assert_eq!([look(), look()], [1, 1]);
        folders.write("copy.png", &film(2));
        assert_eq!([look(), look()], [1, 2]);
    });
    folders.watching(After::Leave, Bounds::default(), |look| assert_eq!([look(), look()], [2, 2], "after a restart"));
}

#[test]
fn renamed_between_two_looks_it_is_complete_and_unfinished_names_are_waited_for() {
    let folders = Folders::new();
    folders.watching(After::Leave, Bounds::default(), |look| {
        for (n, name) in [".hidden.png", "a.png.part", "b.tmp", "c.png~", "d.FILEPART", "e.pumua"].iter().enumerate() {
            folders.write(name, &film(n as u32));
        }
        assert_eq!([look(), look()], [0, 0]);
        fs::rename(folders.path("a.png.part"), folders.path("a.png")).unwrap();
        assert_eq!(look(), 0);
        fs::rename(folders.path("a.png"), folders.path("z.png")).unwrap();
        assert_eq!(look(), 1);
    });
}

#[test]
fn what_is_no_film_or_leads_elsewhere_is_left() {
    let folders = Folders::new();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("x.png"), film(7)).unwrap();
    symlink(elsewhere.path().join("x.png"), folders.path("link.png")).unwrap();
    symlink(elsewhere.path(), folders.path("folder")).unwrap();
    symlink(folders.watched.path(), folders.path("loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folders.path("pipe.png"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    folders.write("notes.txt", b"not a film");
    folders.write("DICOMDIR", &film(9));
    folders.write("empty.png", b"");
    folders.write("large.png", &[film(1), vec![0; MAX_IMAGE_BYTES as usize]].concat());
    folders.watching(After::Move, Bounds::default(), |look| {
        assert_eq!([look(), look(), look()], [0, 0, 0]);
        folders.write("a/b/c/d/e/f/g/deep.png", &film(2));
        folders.write("a/b/c/d/e/f/g/h/deeper.png", &film(3));
        assert_eq!([look(), look()], [0, 1]);
    });
    for name in ["notes.txt", "empty.png", "large.png", "link.png", "a/b/c/d/e/f/g/h/deeper.png"] {
        assert!(fs::symlink_metadata(folders.path(name)).is_ok(), "{name}");
    }
}

#[test]
fn taken_files_are_moved_or_marked_and_nothing_is_written_over() {
    let folders = Folders::new();
    let hostile = OsStr::from_bytes(b"\xff\n=cmd<b>.png");
    fs::write(folders.watched.path().join(hostile), film(1)).unwrap();
    folders.write("pumua-taken/00000002-x.png", b"was here");
    folders.write("sub/x.png", &film(2));
    folders.watching(After::Move, Bounds::default(), |look| assert_eq!([look(), look(), look()], [0, 2, 2]));
    let mut names: Vec<_> =
        fs::read_dir(folders.path("pumua-taken")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 3);
    assert!(
        names.iter().any(|name| name.as_bytes() == b"00000001-\xff\n=cmd<b>.png")
            || names[0].as_bytes().ends_with(b"x.png")
    );
    assert_eq!(fs::read(folders.path("pumua-taken/00000002-x.png")).unwrap(), b"was here");

    let folders = Folders::new();
    folders.write("x.png", &film(1));
    folders.write("kept.png", &film(2));
    folders.write("kept.png.pumua", b"mine");
    folders.watching(After::Mark, Bounds::default(), |look| assert_eq!([look(), look(), look()], [0, 1, 1]));
    assert!(folders.path("x.png").exists() && folders.path("x.png.pumua").exists());
    assert_eq!(fs::read(folders.path("kept.png.pumua")).unwrap(), b"mine");
    // The mark is enough where the store is another one.
    let again = Folders { watched: folders.watched, store: tempfile::tempdir().unwrap() };
    again.watching(After::Mark, Bounds::default(), |look| assert_eq!([look(), look()], [0, 0]));
}

#[test]
fn where_the_store_is_full_films_wait_in_the_folder() {
    let folders = Folders::new();
    for n in 0..3 {
        folders.write(&format!("{n}.png"), &film(n));
    }
    folders.watching(After::Move, Bounds { space: 24, results: 10 }, |look| {
        assert_eq!([look(), look(), look()], [0, 2, 2]);
    });
    assert_eq!(fs::read_dir(folders.watched.path()).unwrap().count(), 2);
    folders.watching(After::Move, Bounds::default(), |look| assert_eq!([look(), look()], [2, 3]));
}

#[test]
fn many_files_are_each_taken_once() {
    let folders = Folders::new();
    let many = 300;
    for n in 0..many {
        folders.write(&format!("{}/{n}.png", n % 7), &film(n));
    }
    folders.watching(After::Leave, Bounds::default(), |look| {
        assert_eq!([look(), look(), look()], [0, many as usize, many as usize]);
    });
}
