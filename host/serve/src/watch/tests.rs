use std::{
    cell::Cell,
    os::unix::fs::{PermissionsExt, symlink},
    sync::Arc,
};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
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
        let store = Arc::new(Store::open(self.store.path(), bounds).unwrap());
        let intake = Intake { store: store.clone(), naming: ExamNaming::default(), site: String::new() };
        let take_in = |mut bytes: &[u8]| intake.take(&mut bytes, &ExamId::default(), Source::Folder);
        let (watch, watched, stop) = (self.watch(after, Duration::ZERO), Watched::default(), Stop::default());
        let mut watcher = Watcher::new(&watch, &take_in, &watched, store.place("", KNOWN));
        act(&mut || {
            watcher.look(&stop);
            store.find("", Filter::All, 0, 0).total
        })
    }

    fn watch(&self, after: After, quiet: Duration) -> Watch {
        Watch { folder: self.watched.path().to_owned(), after, every: Duration::ZERO, quiet }
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
    folders.watching(After::Mark, Bounds::default(), |look| assert_eq!([look(), look(), look()], [0, 2, 2]));
    assert!(folders.path("x.png").exists() && folders.path("x.png.pumua").exists());
    assert_eq!(fs::read(folders.path("kept.png.pumua")).unwrap(), b"mine");
    // The mark is enough where the store is another one.
    fs::remove_file(folders.path("kept.png")).unwrap();
    let again = Folders { watched: folders.watched, store: tempfile::tempdir().unwrap() };
    again.watching(After::Mark, Bounds::default(), |look| {
        assert_eq!([look(), look()], [0, 0]);
        // It is not for another film of that name, be that as old as it may.
        again.write("x.png", &film(3));
        File::options().write(true).open(again.path("x.png")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!([look(), look()], [0, 1]);
    });
    let another = Folders { watched: again.watched, store: tempfile::tempdir().unwrap() };
    another.watching(After::Mark, Bounds::default(), |look| assert_eq!([look(), look()], [0, 0], "it is marked anew"));
}

/// Counts what is taken, in place of a store.
fn counting(count: &Cell<u64>) -> impl Fn(&[u8]) -> Result<Receipt, IntakeError> + '_ {
    move |bytes: &[u8]| {
        assert!(bytes != film(13), "a program error");
        count.set(count.get() + 1);
        Ok(Receipt { number: count.get(), known: false })
    }
}

#[test]
fn a_file_of_full_length_is_waited_for_until_it_is_quiet() {
    let (folders, count, watched, stop) = (Folders::new(), Cell::new(0), Watched::default(), Stop::default());
    let (take_in, log) = (counting(&count), folders.store.path().join(KNOWN));
    folders.write("a.png", &film(1));
    let long = folders.watch(After::Leave, Duration::from_secs(3600));
    let mut watcher = Watcher::new(&long, &take_in, &watched, log.clone());
    (0..3).for_each(|_| watcher.look(&stop));
    assert_eq!(count.get(), 0);
    let short = folders.watch(After::Leave, Duration::from_millis(20));
    let mut watcher = Watcher::new(&short, &take_in, &watched, log);
    watcher.look(&stop);
    thread::sleep(Duration::from_millis(30));
    watcher.look(&stop);
    assert_eq!(count.get(), 1);
}

#[test]
fn what_is_still_written_after_it_was_moved_is_taken_again() {
    let folders = Folders::new();
    let mut console = File::create_new(folders.path("x.png")).unwrap();
    console.write_all(&film(1)).unwrap();
    folders.watching(After::Move, Bounds::default(), |look| {
        assert_eq!([look(), look()], [0, 1]);
        assert!(folders.path("x.png").exists(), "it is moved later than it is taken");
        assert_eq!(look(), 1);
        assert!(folders.path("pumua-taken/00000001-x.png").exists());
        console.write_all(b"the rest").unwrap();
        assert_eq!([look(), look(), look(), look()], [1, 2, 2, 2]);
    });
    let whole = fs::read(folders.path("pumua-taken/00000002-x.png")).unwrap();
    assert_eq!(whole, [film(1).as_slice(), b"the rest"].concat());
    // Also while nobody looked.
    console.write_all(b"and more").unwrap();
    folders.watching(After::Move, Bounds::default(), |look| assert_eq!([look(), look(), look(), look()], [2, 3, 3, 3]));
    assert!(folders.path("pumua-taken/00000003-x.png").exists());
    assert_eq!(fs::read_dir(folders.path("pumua-taken")).unwrap().count(), 1);
}

#[test]
fn what_was_taken_is_moved_after_a_restart() {
    let folders = Folders::new();
    folders.write("x.png", &film(1));
    folders.watching(After::Move, Bounds::default(), |look| assert_eq!([look(), look()], [0, 1]));
    assert!(folders.path("x.png").exists());
    folders.watching(After::Move, Bounds::default(), |look| assert_eq!([look(), look(), look()], [1, 1, 1]));
    assert!(folders.path("pumua-taken/00000001-x.png").exists());
}

#[test]
fn nothing_is_moved_through_a_link() {
    let (folders, elsewhere) = (Folders::new(), tempfile::tempdir().unwrap());
    symlink(elsewhere.path(), folders.path(TAKEN)).unwrap();
    folders.write("x.png", &film(1));
    folders.watching(After::Move, Bounds::default(), |look| assert_eq!([look(), look(), look()], [0, 1, 1]));
    assert!(folders.path("x.png").exists());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_program_error_on_one_file_leaves_the_others_taken() {
    let (folders, count, watched, stop) = (Folders::new(), Cell::new(0), Watched::default(), Stop::default());
    for n in 12..15 {
        folders.write(&format!("{n}.png"), &film(n));
    }
    let (take_in, watch) = (counting(&count), folders.watch(After::Leave, Duration::ZERO));
    let mut watcher = Watcher::new(&watch, &take_in, &watched, folders.store.path().join(KNOWN));
    (0..3).for_each(|_| watcher.look(&stop));
    let standing = watched.get();
    assert_eq!((standing.taken, standing.passed, count.get()), (2, 1, 2));
}

#[test]
fn what_cannot_be_read_is_told_after_some_looks() {
    let (folders, count, watched, stop) = (Folders::new(), Cell::new(0), Watched::default(), Stop::default());
    folders.write("closed.png", &film(1));
    folders.write("sub/x.png", &film(2));
    for name in ["closed.png", "sub"] {
        fs::set_permissions(folders.path(name), fs::Permissions::from_mode(0o0)).unwrap();
    }
    // Whoever is root reads everything; this thread no longer does.
    let mut able = capabilities(None).unwrap();
    able.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, able).unwrap();
    let (take_in, watch) = (counting(&count), folders.watch(After::Leave, Duration::ZERO));
    let mut watcher = Watcher::new(&watch, &take_in, &watched, folders.store.path().join(KNOWN));
    (0..UNREADABLE_LOOKS).for_each(|_| watcher.look(&stop));
    let told = watched.get().trouble.unwrap();
    assert!(told.contains("cannot be read: 2"), "{told}");
    for name in ["closed.png", "sub"] {
        fs::set_permissions(folders.path(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    (0..2).for_each(|_| watcher.look(&stop));
    assert_eq!((watched.get().trouble, count.get()), (None, 2));
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
