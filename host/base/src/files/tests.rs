use std::{
    fs::Permissions,
    io::Write,
    os::unix::{
        ffi::OsStringExt,
        fs::{PermissionsExt, symlink},
    },
    process::Command,
    sync::mpsc,
    thread,
};

use rustix::fs::FileType;

use super::{
    draft::{Place, take_name},
    *,
};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| text_of(entry.unwrap().file_name().as_ref())).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn file_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("taken")).unwrap();
    let file = folder.path().join("file");
    for bytes in [&b"old"[..], b"new"] {
        write_atomically(&file, bytes).unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
    // A folder cannot be replaced by a file; nothing is left behind.
    assert!(write_atomically(&folder.path().join("taken"), b"x").is_err());
    let mut draft = Draft::begin(&file).unwrap();
    draft.write_all(b"half").unwrap();
    drop(draft);
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["file", "taken"]);
}

#[test]
fn links_and_modes_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("below")).unwrap();
    fs::write(path("below/file"), "old").unwrap();
    fs::set_permissions(path("below/file"), Permissions::from_mode(0o600)).unwrap();
    symlink("below/file", path("link")).unwrap();
    symlink("link", path("link to it")).unwrap();
    symlink("below/new", path("dangling")).unwrap();
    symlink("circle", path("circle")).unwrap();
    write_atomically(&path("link to it"), b"new").unwrap();
    write_atomically(&path("dangling"), b"made").unwrap();
    assert!(write_atomically(&path("circle"), b"x").is_err());
    assert_eq!(fs::read(path("below/file")).unwrap(), b"new");
    assert_eq!(mode(&path("below/file")), 0o600);
    assert_eq!(fs::read(path("below/new")).unwrap(), b"made");
    for link in ["link", "link to it", "dangling"] {
        assert!(fs::symlink_metadata(path(link)).unwrap().is_symlink(), "{link}");
    }
    fs::write(path("executable"), "old").unwrap();
    fs::set_permissions(path("executable"), Permissions::from_mode(0o755)).unwrap();
    write_atomically(&path("executable"), b"new").unwrap();
    assert_eq!(mode(&path("executable")), 0o755);
}

#[test]
fn a_file_that_may_not_be_written_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    if File::options().append(true).open(&file).is_ok() {
        eprintln!("skipped: this user may write everything");
        return;
    }
    assert_eq!(write_atomically(&file, b"new").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(fs::read(&file).unwrap(), b"old");
}

#[test]
fn what_is_no_file_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write_atomically(&pipe, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    write_atomically(Path::new("/dev/null"), b"away").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());

    // What a shell has opened: it is not replaced, and what is in it stays.
    let file = folder.path().join("opened");
    fs::write(&file, "before, ").unwrap();
    let opened = File::options().append(true).open(&file).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&opened);
    write_atomically(Path::new(&format!("/dev/fd/{number}")), b"behind").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"before, behind");
}

#[test]
fn a_pipe_gets_the_bytes_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut pipe = File::open(pipe).unwrap();
            let mut start = [0; 5];
            pipe.read_exact(&mut start).unwrap();
            sender.send(start).unwrap();
            let mut rest = Vec::new();
            pipe.read_to_end(&mut rest).unwrap();
            rest
        }
    });
    let mut draft = Draft::begin(&pipe).unwrap();
    draft.write_all(b"first").unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)).unwrap(), *b"first", "before it is finished");
    // What another program has made follows.
    fs::write(draft.path(), ", last").unwrap();
    draft.finish().unwrap();
    assert_eq!(reader.join().unwrap(), b", last");
}

#[test]
fn disks_are_not_written() {
    let place = |kind, is_open| Place::with(kind, "x".into(), is_open);
    assert_eq!(place(FileType::BlockDevice, false).unwrap(), Place::Disk);
    assert_eq!(place(FileType::BlockDevice, true).unwrap(), Place::Opened("x".into()), "by the shell");
    for kind in [FileType::CharacterDevice, FileType::Fifo] {
        assert_eq!(place(kind, false).unwrap(), Place::Through, "{kind:?}");
    }
    assert_eq!(place(FileType::RegularFile, false).unwrap(), Place::File("x".into()));
    for kind in [FileType::Directory, FileType::Socket, FileType::Unknown] {
        assert!(place(kind, false).is_err(), "{kind:?}");
    }
}

#[test]
fn unsynced_files_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    write_new_unsynced(&file, b"drawn").unwrap();
    assert_eq!(write_new_unsynced(&file, b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"drawn");
    write_unsynced(&file, b"again").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"again");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn what_is_new_needs_no_renaming_of_a_kind_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let draft = |bytes: &[u8]| {
        let mut draft = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        draft.write_all(bytes).unwrap();
        draft
    };
    take_name(draft(b"new"), &file).unwrap();
    assert_eq!(take_name(draft(b"x"), &file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn two_writers_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    thread::scope(|scope| {
        for letter in [b'a', b'b'] {
            let file = &file;
            scope.spawn(move || (0..50).for_each(|_| write_atomically(file, &[letter; 100_000]).unwrap()));
        }
        for _ in 0..200 {
            let bytes = fs::read(&file).unwrap_or_default();
            assert!(bytes.is_empty() || bytes.len() == 100_000 && bytes.iter().all(|byte| *byte == bytes[0]));
        }
    });
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn what_is_new_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let made: usize = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let file = &file;
                    move || write_new(file, &[n]).is_ok()
                })
            })
            .collect();
        writers.into_iter().map(|writer| usize::from(writer.join().unwrap())).sum()
    });
    assert_eq!(made, 1);
    symlink("nowhere", folder.path().join("link")).unwrap();
    assert_eq!(write_new(&folder.path().join("link"), b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn folders_of_one_name_are_several() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = folder.path().join("runs/now");
    let mut made: Vec<PathBuf> = thread::scope(|scope| {
        let makers: Vec<_> = (0..3).map(|_| scope.spawn(|| new_folder(&wanted).unwrap())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    made.sort();
    assert_eq!(made, ["now", "now-2", "now-3"].map(|name| folder.path().join("runs").join(name)));
}

#[test]
fn names_from_outside_stay_inside() {
    let folder = Path::new("folder");
    assert_eq!(below(folder, "a/b.png"), Some("folder/a/b.png".into()));
    for name in ["", "/", "/etc/x", "..", "a/../../x", "../x", "."] {
        assert_eq!(below(folder, name), None, "{name}");
    }
}

#[test]
fn names_of_any_bytes_are_told_apart() {
    let text = |bytes: &[u8]| text_of(Path::new(&std::ffi::OsString::from_vec(bytes.to_vec())));
    assert_eq!(text("é/a b".as_bytes()), "é/a b");
    assert_eq!((text(b"\xe9.png"), text(b"\xea.png")), ("\\xE9.png".to_owned(), "\\xEA.png".to_owned()));
}

#[test]
fn what_was_abandoned_is_removed_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    for (name, hours) in [(".pumua-old.part", 25), (".pumua-new.part", 1), ("other.part", 25)] {
        let file = File::create(folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }
    // The next file that is written there sees to it.
    write_atomically(&folder.path().join("file"), b"x").unwrap();
    assert_eq!(names(folder.path()), [".pumua-new.part", "file", "other.part"]);
}

#[test]
fn outputs_are_neither_inputs_nor_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("data")).unwrap();
    fs::write(path("data/film.png"), "film").unwrap();
    fs::hard_link(path("data/film.png"), path("hard")).unwrap();
    symlink("data/film.png", path("soft")).unwrap();
    symlink("data", path("same data")).unwrap();
    let check = |inputs: &[&str], files: &[&str], folders: &[&str]| {
        let [inputs, files, folders] =
            [inputs, files, folders].map(|names| names.iter().map(|name| path(name)).collect::<Vec<_>>());
        let [inputs, files, folders] =
            [&inputs, &files, &folders].map(|paths| paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        check_outputs(&inputs, |below| below.extension().is_some_and(|ending| ending == "png"), &files, &folders)
    };
    for name in ["data/film.png", "data/../data/film.png", "hard", "soft", "same data/film.png"] {
        assert!(matches!(check(&["data/film.png"], &[name], &[]), Err(OutputError::IsInput { .. })), "{name}");
    }
    for name in ["data/film.png", "soft", "same data/film.png"] {
        assert!(matches!(check(&["data"], &[name], &[]), Err(OutputError::InInput { .. })), "{name}");
    }
    assert!(matches!(check(&[], &["new", "data/../new"], &[]), Err(OutputError::Twice { .. })));
    assert!(matches!(check(&["new"], &["data/../new"], &[]), Err(OutputError::IsInput { .. })), "not there yet");
    assert!(matches!(check(&[], &["none/new"], &[]), Err(OutputError::NoFolder { .. })));
    assert!(matches!(check(&[], &["data"], &[]), Err(OutputError::IsFolder { .. })));
    assert!(matches!(check(&["data"], &[], &["same data"]), Err(OutputError::Folder { .. })));
    assert!(matches!(check(&[], &[], &["hard"]), Err(OutputError::NotAFolder { .. })));
    for name in ["data/sheets", "data/a/b", "same data/sheets"] {
        assert!(matches!(check(&["data"], &[], &[name]), Err(OutputError::Folder { .. })), "{name}");
    }
    check(&["data"], &["data/new.png", "new"], &["data sheets", "runs/a/b"]).unwrap();
    let nowhere = Path::new("/dev/null");
    check_outputs(&[nowhere], |_| true, &[nowhere, nowhere], &[]).unwrap();
}

#[test]
fn what_is_not_read_may_be_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("data")).unwrap();
    let outputs = ["data/model.onnx", "data/box.img", "data/film.png"].map(path);
    let reads: fn(&Path) -> bool = |below| below == Path::new("film.png");
    for times in 1..=2 {
        for output in &outputs[..2] {
            check_outputs(&[&path("data")], reads, &[output], &[]).unwrap();
            write_atomically(output, b"made").unwrap();
            assert!(check_outputs(&[output], reads, &[output], &[]).is_err(), "{times}");
        }
    }
    write_atomically(&outputs[2], b"film").unwrap();
    let refused = check_outputs(&[&path("data")], reads, &[&outputs[2]], &[]);
    assert!(matches!(refused, Err(OutputError::InInput { .. })));
}

#[test]
fn texts_are_read_within_limits_and_in_utf_8() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (bytes, text) in [
        (&b"\xef\xbb\xbfa = 1"[..], Ok("a = 1")),
        (b"0123456789", Ok("0123456789")),
        (b"0123456789a", Err("larger than")),
        (b"\xff\xfea\0", Err("UTF-16: save it as UTF-8")),
        (b"caf\xe9", Err("save it as UTF-8")),
        (b"a = \0", Err("NUL bytes")),
    ] {
        fs::write(file.path(), bytes).unwrap();
        match (read_text(file.path(), 10), text) {
            (Ok(read), Ok(text)) => assert_eq!(read, text),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (read, _) => panic!("{bytes:?}: {read:?}"),
        }
    }
}

#[test]
fn the_standard_input_is_no_file_of_other_commands() {
    let wrong = read_up_to(Path::new("-"), 10).unwrap_err();
    assert_eq!(wrong.kind(), io::ErrorKind::NotFound, "{wrong}");
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let wrong = read_up_to(&pipe, 10).unwrap_err().to_string();
    assert!(wrong.contains("named pipe") && !wrong.contains("`-`"), "{wrong}");
    match read_radiograph(&pipe) {
        Err(ReadError::Io(wrong)) => assert!(wrong.to_string().contains("`-`"), "{wrong}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_comes_in_is_named_once() {
    let check = |paths: &[&str]| check_piped(&Vec::from_iter(paths.iter().map(PathBuf::from)));
    for once in [&["-", "a.png", "a.png"][..], &["/dev/fd/63", "/dev/fd/62", "-"], &["./-", "-"], &[]] {
        assert!(check(once).is_ok(), "{once:?}");
    }
    for twice in [["-", "-"], ["-", "/dev/stdin"], ["/proc/self/fd/0", "-"], ["/dev/fd/63", "/proc/self/fd/63"]] {
        let wrong = check(&twice).unwrap_err().to_string();
        assert!(wrong.starts_with(twice[1]) && wrong.contains("name it once"), "{wrong}");
    }
}
