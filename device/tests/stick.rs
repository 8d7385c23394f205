//! The reader of a stick in its own process: that it gives what is on the stick within what it may do, and may do nothing else.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    fs,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use device::stick::{
    Film,
    message::{MOST_BYTES, MOST_LISTED, PART, Said, Told, Wish},
    reader::WORD,
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
        let (socket, theirs) = UnixDatagram::pair().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // As the first process gives it.
        theirs.set_nonblocking(true).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pumua-box"));
        command.arg(WORD).arg(folder).arg(STICK.to_string()).env_clear();
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
