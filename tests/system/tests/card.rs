//! `pumua image` and `pumua package`: what goes onto a card is what the box takes, and Ctrl-C leaves nothing behind. Neither the
//! network nor a compiler for the box is needed.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use system_tests::{PATIENCE, code, command, files, said, within};
use tempfile::TempDir;

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const REFUSED: i32 = 3;
const INTERRUPTED: i32 = 130;

/// Every key that a card may have.
const SETTINGS: &str = r#"
port = ["/dev/ttyS1", "/dev/hvc0"]
model = "/boot/model.onnx"
baud = 115200
profile = "screening"
language = "sw"
rotate = 90
framebuffer = "/dev/fb0"
roots = ["RWSQTUrGBjCjbngJeo/arnq+6/xUoH/yp0nuxGGf529XxiK8/Sozsqx9"]
roots_needed = 1
unsigned = true
keys = false
share = "off"
blank_minutes = 0
stick = false
override = ["age"]
ethernet = "192.168.7.1/24"
aet = "PUMUA"
node_port = 11112
peers = ["192.168.7.20=CR1"]
"#;

/// Makes an image with these settings; where they are taken, it ends at the packages, for which there is no folder.
fn image(settings: &str, more: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mine.toml");
    fs::write(&path, settings).unwrap();
    let mut host = command("pumua");
    host.args(["image", "--packages", "/dev/null/packages", "--config"]).arg(path).args(more);
    host.output().unwrap()
}

/// What `device` says of these settings, with a screen and a model that are not there. It ends at the model.
fn device(settings: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("box.toml");
    let settings = settings.replace("/dev/fb0", "/nowhere/fb0").replace("/boot/model.onnx", "/nowhere/model.onnx");
    fs::write(&path, settings).unwrap();
    command("pumua-box").arg("--config").arg(path).arg("--state-dir").arg(folder.path()).output().unwrap()
}

#[test]
fn settings_that_a_card_may_have_are_those_that_the_box_takes() {
    let output = image(SETTINGS, &[]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("cannot keep packages in /dev/null/packages"), "{}", said(&output));
    let output = device(SETTINGS);
    assert!(code(&output) != USAGE && !said(&output).contains("configuration"), "{}", said(&output));
    // Both refuse another one, and the host names all that it takes: those above.
    let unknown = format!("{SETTINGS}nonsense = 1\n");
    let output = device(&unknown);
    assert_eq!(code(&output), USAGE, "{}", said(&output));
    let output = image(&unknown, &[]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    let said = said(&output);
    let named = said.split_once("expected one of ").unwrap_or_else(|| panic!("{said}")).1.lines().next().unwrap();
    let named: BTreeSet<_> = named.split(", ").map(|key| key.trim_matches('`')).collect();
    let tried: BTreeSet<_> = SETTINGS.lines().filter_map(|line| line.split_once(" =")).map(|(key, _)| key).collect();
    assert_eq!(named, tried);
}

#[test]
fn settings_with_which_the_box_would_judge_by_another_model_or_not_at_all_are_refused() {
    let output = image(&SETTINGS.replace("model =", "# model ="), &[]);
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("add the line `model = \"/boot/model.onnx\"`"), "{}", said(&output));
    // A model without the profile that the settings name.
    let output = image(SETTINGS, &["--model", system_tests::PLAIN_MODEL]);
    assert_eq!(code(&output), REFUSED, "{}", said(&output));
    assert!(said(&output).contains("profile"), "{}", said(&output));
}

/// A folder for temporary files, one for what is made, and one for programs.
struct Folders(TempDir);

impl Folders {
    fn new() -> Self {
        let this = Self(TempDir::new().unwrap());
        for name in ["tmp", "out", "programs"] {
            fs::create_dir(this.0.path().join(name)).unwrap();
        }
        this
    }

    /// Puts a program into the search path before those of the system.
    fn program(&self, name: &str, script: &str) {
        let path = self.0.path().join("programs").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn host(&self, subcommand: &str) -> Command {
        let mut host = command("pumua");
        let path = std::env::var("PATH").unwrap();
        host.env("PATH", format!("{}:{path}", self.0.path().join("programs").display()));
        host.env("TMPDIR", self.0.path().join("tmp")).current_dir(self.0.path().join("out")).arg(subcommand);
        host
    }

    fn left(&self) -> Vec<PathBuf> {
        ["tmp", "out"].iter().flat_map(|name| files(&self.0.path().join(name))).collect()
    }
}

/// The smallest file that passes for the program of a box: the header of a static one for aarch64.
fn program(folder: &Path) -> PathBuf {
    let mut bytes = [0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = 183;
    let path = folder.join("program");
    fs::write(&path, bytes).unwrap();
    path
}

/// Ctrl-C while another program works for `pumua package`: it ends, and so does the host.
#[test]
fn ctrl_c_leaves_neither_a_package_nor_temporary_files() {
    let folders = Folders::new();
    let program = program(folders.0.path());
    let strip = if cfg!(target_arch = "aarch64") { "strip" } else { "aarch64-linux-gnu-strip" };
    let (copies, packs) = ("#!/bin/sh\ncp \"$3\" \"$2\"\n", "#!/bin/sh\nfor out; do :; done\necho package >\"$out\"\n");
    let ctrl_c = "kill -INT $PPID\nsleep 1\n";
    for (strips, makes, exit) in [
        (copies.to_owned(), packs.to_owned(), 0),
        (format!("{copies}{ctrl_c}"), packs.to_owned(), INTERRUPTED),
        (copies.to_owned(), format!("{packs}{ctrl_c}"), INTERRUPTED),
        // All programs of a terminal hear it; this one ends by it, without a signal to the host.
        (copies.to_owned(), format!("{packs}kill -INT $$\n"), INTERRUPTED),
    ] {
        folders.program(strip, &strips);
        folders.program("dpkg-deb", &makes);
        let output = folders.host("package").args(["--out", "box.deb", "--program"]).arg(&program).output().unwrap();
        assert_eq!(code(&output), exit, "{}", said(&output));
        // The package, its bill of materials and its digest.
        let made =
            ["box.deb", "box.deb.cdx.json", "box.deb.sha256"].map(|name| folders.0.path().join("out").join(name));
        let expected: BTreeSet<_> = made.into_iter().filter(|_| exit == 0).collect();
        let left = folders.left();
        assert_eq!(left.iter().cloned().collect::<BTreeSet<_>>(), expected, "{}", said(&output));
        left.iter().for_each(|file| fs::remove_file(file).unwrap());
    }
}

/// A server that answers every request with the beginning of a file, and then waits, or goes away.
#[test]
fn a_download_that_is_interrupted_leaves_nothing_that_is_taken_for_the_package() {
    if !Path::new("/usr/lib/apt/apt-helper").exists() {
        let _ = writeln!(io::stderr(), "skipped: no apt-helper");
        return;
    }
    for waits in [true, false] {
        let folders = Folders::new();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("http://{}", server.local_addr().unwrap());
        let settings = folders.0.path().join("apt.conf");
        let text = format!(
            "Dir::Etc::Main \"/dev/null\";\nDir::Etc::Parts \"/nonexistent\";\nAcquire::Retries \"0\";\n\
             Acquire::http::Proxy \"{proxy}\";\nAcquire::https::Proxy \"{proxy}\";\n"
        );
        fs::write(&settings, text).unwrap();
        let mut host = folders.host("image");
        host.args(["--packages", "packages"]).env("APT_CONFIG", settings);
        // A group of its own, as a terminal has it.
        let host = host.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        let group = format!("-{}", host.id());
        let [tmp, out] = ["tmp", "out"].map(|name| folders.0.path().join(name));
        let serving = std::thread::spawn(move || {
            loop {
                let (mut line, _) = server.accept().unwrap();
                let mut request = [0; 4096];
                let count = line.read(&mut request).unwrap_or(0);
                if !request[..count].starts_with(b"GET ") {
                    // The second address, or the end.
                    if request[..count].starts_with(b"end") {
                        return;
                    }
                    continue;
                }
                let _ = line.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 59812568\r\n\r\nhalf of it");
                if waits {
                    let is_half = |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes == b"half of it");
                    assert!(within(PATIENCE, || [&tmp, &out].iter().any(|folder| files(folder).iter().any(is_half))));
                    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
                    let _ = line.read(&mut request);
                }
            }
        });
        let output = host.wait_with_output().unwrap();
        std::net::TcpStream::connect(proxy.trim_start_matches("http://")).unwrap().write_all(b"end").unwrap();
        serving.join().unwrap();
        assert_eq!(code(&output), if waits { INTERRUPTED } else { FAILED }, "{}", said(&output));
        assert_eq!(folders.left(), Vec::<PathBuf>::new(), "{}", said(&output));
        if !waits {
            for address in ["http://deb.debian.org/debian-security/pool/", "https://snapshot.debian.org/archive/"] {
                assert!(said(&output).contains(address), "{}", said(&output));
            }
        }
    }
}
