//! The reader of a stick, and the writer onto one, in their own processes: that they do what they are for, within what they may do, and
//! may do nothing else.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use device::stick::{
    Film,
    message::{MOST_BYTES, MOST_LISTED, PART, Said, Told, Unwritten, Wish},
    reader::WORD,
    writer,
};

/// Longer than anything takes here, on the busiest computer.
const PATIENCE: Duration = Duration::from_secs(60);
const STICK: u32 = 3;

struct Reader {
    child: Child,
    socket: UnixDatagram,
}

impl Reader {
    fn start(folder: &Path) -> Self {
        Self::start_as(&[WORD.as_ref(), folder.as_os_str(), STICK.to_string().as_ref()])
    }

    /// A writer in the place of a reader, for the results up to the seventh.
    fn start_writing(folder: &Path) -> Self {
        Self::start_as(&[writer::WORD.as_ref(), folder.as_os_str(), STICK.to_string().as_ref(), "7".as_ref()])
    }

    fn start_as(arguments: &[&OsStr]) -> Self {
        let (socket, theirs) = UnixDatagram::pair().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // As the first process gives it.
        theirs.set_nonblocking(true).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pumua-box"));
        command.args(arguments).env_clear();
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), socket }
    }

    /// What it has said, once it is ended.
    fn ended(mut self) -> (String, String) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (mut out, mut error) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (out, error)
    }

    fn hear(&self) -> Vec<u8> {
        let mut bytes = vec![0; MOST_BYTES];
        let count = self.socket.recv(&mut bytes).unwrap();
        bytes.truncate(count);
        bytes
    }

    fn list(&self) -> Vec<Film> {
        let bytes = self.hear();
        match Told::read(&bytes) {
            Some(Told { stick: STICK, said: Said::Films(films) }) => films,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a wish with what is to be written, and gives what is said to that.
    fn tell(&self, wish: Wish, bytes: &[u8]) -> Vec<u8> {
        self.socket.send(&[&wish.bytes().unwrap()[..], bytes].concat()).unwrap();
        self.hear()
    }

    fn ask(&self, stick: u32, film: u16, offset: u32) {
        self.socket.send(&Wish::Part { stick, film, offset }.bytes().unwrap()).unwrap();
    }

    /// All of a film.
    fn film(&self, number: u16, size: u32) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < size as usize {
            self.ask(STICK, number, all.len() as u32);
            let heard = self.hear();
            let Some(Told { said: Said::Part { film, offset, bytes }, .. }) = Told::read(&heard) else {
                panic!("{heard:?}")
            };
            assert_eq!((film, offset as usize), (number, all.len()));
            all.extend_from_slice(bytes);
        }
        all
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_reader_gives_every_byte_of_every_film_and_is_confined() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..2 * PART + 5).map(|n| (n % 241) as u8).collect();
    fs::create_dir(folder.path().join("DICOM")).unwrap();
    fs::write(folder.path().join("DICOM/a.png"), &bytes).unwrap();
    let dicom = [&[0; 128][..], b"DICM", &[7; 64]].concat();
    fs::write(folder.path().join("IM000001"), &dicom).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("passwd.png")).unwrap();
    let mut reader = Reader::start(folder.path());
    for (number, film) in (0..).zip(reader.list()) {
        let expected = if film.name == "a.png" { &bytes } else { &dicom };
        assert_eq!(reader.film(number, film.size), *expected, "{}", film.name);
    }
    // Nonsense, and what is asked of another stick, is passed over; what there is not is said.
    reader.socket.send(b"nonsense, and more of it than any wish has, so that it is cut off where it is read").unwrap();
    reader.ask(STICK + 1, 0, 0);
    for (film, offset) in [(2, 0), (u16::MAX, 0), (0, u32::MAX)] {
        reader.ask(STICK, film, offset);
        assert_eq!(Told::read(&reader.hear()), Some(Told { stick: STICK, said: Said::Lost { film } }));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", reader.child.id())).unwrap();
    if status.contains("Seccomp:\t0") {
        let _ = writeln!(io::stderr(), "skipped: this kernel has no filter of system calls");
    } else {
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    }
    assert!(reader.child.try_wait().unwrap().is_none(), "it waits for what is wanted next");
}

#[test]
fn a_reader_opens_nothing_beside_the_stick_and_says_when_it_is_through() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (film, hidden) = (folder.path().join("a.png"), folder.path().join(".b"));
    fs::write(other.path().join("secret"), b"secret").unwrap();
    for path in [&film, &hidden] {
        fs::write(path, b"a film").unwrap();
    }
    let reader = Reader::start(folder.path());
    assert_eq!(reader.list().len(), 1);
    // What was a film becomes a way out of the stick, and then one to another file on it.
    fs::remove_file(&film).unwrap();
    std::os::unix::fs::symlink(other.path().join("secret"), &film).unwrap();
    reader.ask(STICK, 0, 0);
    let outside = reader.hear();
    fs::remove_file(&film).unwrap();
    std::os::unix::fs::symlink(&hidden, &film).unwrap();
    reader.ask(STICK, 0, 0);
    let inside = reader.hear();
    let (out, error) = reader.ended();
    if error.contains("files of the reader are not restricted") {
        let _ = writeln!(io::stderr(), "skipped: this kernel has no Landlock: {error}");
    } else {
        assert_eq!(Told::read(&outside), Some(Told { stick: STICK, said: Said::Lost { film: 0 } }));
        let part = Said::Part { film: 0, offset: 0, bytes: b"a film" };
        assert_eq!(Told::read(&inside), Some(Told { stick: STICK, said: part }));
    }
    assert_eq!(out, "\n");
}

#[test]
fn the_newest_hundred_are_listed_and_a_stick_that_cannot_be_read_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..MOST_LISTED + 20 {
        fs::write(folder.path().join(format!("{n}.png")), b"x").unwrap();
    }
    assert_eq!(Reader::start(folder.path()).list().len(), MOST_LISTED);
    let reader = Reader::start(&folder.path().join("nowhere"));
    assert_eq!(Told::read(&reader.hear()), Some(Told { stick: STICK, said: Said::Unreadable }));
}

/// What a writer says.
#[track_caller]
fn assert_said(heard: &[u8], said: Said<'_>) {
    assert_eq!(Told::read(heard), Some(Told { stick: STICK, said }));
}

#[test]
fn a_writer_writes_new_files_into_the_marked_folder_and_is_confined() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("PUMUA");
    fs::create_dir(&mark).unwrap();
    fs::write(mark.join("results-00000007.html"), b"somebody's").unwrap();
    let mut writer = Reader::start_writing(folder.path());
    assert_said(&writer.hear(), Said::Begun { nth: 2 });
    let piece = vec![b'x'; PART as usize];
    for (file, ending) in ["csv", "html"].into_iter().enumerate() {
        for number in 0..3 {
            let offset = number * u64::from(PART);
            let heard = writer.tell(Wish::Bytes { stick: STICK, offset }, &piece);
            assert_said(&heard, Said::Kept { offset: offset + u64::from(PART) });
        }
        if file == 0 {
            let status = fs::read_to_string(format!("/proc/{}/status", writer.child.id())).unwrap();
            if status.contains("Seccomp:\t0") {
                let _ = writeln!(io::stderr(), "skipped: this kernel has no filter of system calls");
            } else {
                assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
            }
        }
        assert_said(&writer.tell(Wish::End { stick: STICK }, b""), Said::Stored);
        let written = fs::read(mark.join(format!("results-00000007-2.{ending}"))).unwrap();
        assert_eq!(written, piece.repeat(3));
    }
    assert!(writer.child.wait().unwrap().success(), "it ends by itself");
    assert_eq!(fs::read(mark.join("results-00000007.html")).unwrap(), b"somebody's");
    assert_eq!(fs::read_dir(&mark).unwrap().count(), 3);
}

#[test]
fn a_writer_cannot_write_beside_the_marked_folder_nor_over_a_file() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mark = folder.path().join("PUMUA");
    fs::create_dir(&mark).unwrap();
    // A name of the results that leads out of the stick, and is nothing there yet.
    std::os::unix::fs::symlink(other.path().join("outside"), mark.join("results-00000007.csv")).unwrap();
    let writer = Reader::start_writing(folder.path());
    assert_said(&writer.hear(), Said::Begun { nth: 2 });
    let heard = writer.tell(Wish::Bytes { stick: STICK, offset: 0 }, b"abc");
    assert_said(&heard, Said::Kept { offset: 3 });
    // The folder becomes another one while it is written: the file stays where it was begun.
    fs::rename(&mark, folder.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(other.path(), &mark).unwrap();
    assert_said(&writer.tell(Wish::End { stick: STICK }, b""), Said::Stored);
    assert_eq!(fs::read(folder.path().join("moved/results-00000007-2.csv")).unwrap(), b"abc");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    // A folder that is a link is no marked one.
    let (writer, unmarked) = (Reader::start_writing(folder.path()), Said::Unwritten(Unwritten::NoMark));
    assert_said(&writer.hear(), unmarked);
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}

#[test]
fn a_stick_that_cannot_be_written_is_said_and_an_unfinished_file_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("PUMUA");
    fs::create_dir(&mark).unwrap();
    let mut writer = Reader::start_writing(folder.path());
    assert_said(&writer.hear(), Said::Begun { nth: 1 });
    let heard = writer.tell(Wish::Bytes { stick: STICK, offset: 0 }, b"abc");
    assert_said(&heard, Said::Kept { offset: 3 });
    assert!(mark.join("results-00000007.csv").exists());
    writer.socket.send(&Wish::Stop.bytes().unwrap()).unwrap();
    assert!(writer.child.wait().unwrap().success());
    assert_eq!(fs::read_dir(&mark).unwrap().count(), 0);
    if rustix::process::geteuid().is_root() {
        let _ = writeln!(io::stderr(), "skipped: root may write everywhere");
        return;
    }
    fs::set_permissions(&mark, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    let writer = Reader::start_writing(folder.path());
    assert_said(&writer.hear(), Said::Unwritten(Unwritten::Protected));
    fs::set_permissions(&mark, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}
