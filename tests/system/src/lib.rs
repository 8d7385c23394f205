//! Drives the real `pumua` and `device` binaries, over a real pseudo-terminal.
//!
//! Radiographs: the built-in synthetic ones, and the real ones of `../shared/data` (or of the folder that
//! `PUMUA_TEST_DATA` names) where they are; a test that needs real ones says so when it skips.
#![expect(clippy::expect_used, reason = "this library is part of the tests")]

pub mod bundle;
pub mod crates;
pub mod dicom;
pub mod line;
pub mod machine;
pub mod paced;
pub mod radiographs;
pub mod recording;

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// The program `name` of this workspace. Both programs are brought up to date first: `cargo test -p system-tests` alone does not
/// build them.
pub fn binary(name: &str) -> PathBuf {
    // Cargo itself lets only one process after another in.
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(build);
    FOLDER.join(name)
}

/// Builds the programs with the profile of this test and gives the folder where they lie.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let [target, profile] =
        [folder.parent(), folder.file_name().map(Path::new)].map(|part| part.expect("target/<profile>"));
    let profile = if profile == "debug" { Path::new("dev") } else { profile };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--package", "host", "--package", "device"]);
    build.arg("--profile").arg(profile).arg("--target-dir").arg(target);
    let built = build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).stdin(Stdio::null()).status();
    let built = built.expect("cargo can be started");
    assert!(built.success(), "`cargo build -p host -p device` fails, see above: these tests need both programs");
    folder.to_owned()
}

/// The folder of real radiographs, if it is there.
pub fn real_data() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("PUMUA_TEST_DATA").map_or(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not by `eprintln!`, which the test harness keeps to itself where a test passes. Without a stderr nobody reads it.
    let missing = folder.display();
    let _ = writeln!(io::stderr(), "skipped: no real radiographs in {missing} (PUMUA_TEST_DATA names another folder)");
    None
}

/// A model that judges drawings, too: the study's final recipe, without what refuses images that are unlike the X-rays it
/// has learnt from. What it says of a drawing means nothing.
pub const PLAIN_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/plain.onnx");

/// A command that ignores the settings of the person who runs the tests.
pub fn command(name: &str) -> Command {
    with_own_settings(Command::new(binary(name)))
}

fn with_own_settings(mut command: Command) -> Command {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("PUMUA_") {
            command.env_remove(variable);
        }
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// The same, started so that these signals are ignored: `HUP`, as `nohup` does, or `INT`, as a script does in the background.
pub fn ignoring(name: &str, signals: &str) -> Command {
    let mut shell = with_own_settings(Command::new("sh"));
    shell.args(["-c", &format!("trap '' {signals}; exec \"$0\" \"$@\"")]).arg(binary(name));
    shell
}

/// Sends a program a signal, by the name without `SIG`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} cannot be sent");
}

/// A library of these functions in C that a program takes instead of the system's, for `LD_PRELOAD`; `None` without a
/// compiler.
pub fn instead(folder: &Path, functions: &str) -> Option<PathBuf> {
    let (source, library) = (folder.join("instead.c"), folder.join("instead.so"));
    std::fs::write(&source, functions).expect("the folder can be written");
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).args([&library, &source]).status();
    if compiled.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    let _ = writeln!(io::stderr(), "skipped: no C compiler for a function in the place of the system's");
    None
}

/// Runs `pumua` to its end.
pub fn host<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    command("pumua").args(arguments).output().expect("host runs")
}

/// The exit code of a program that was not killed.
pub fn code(output: &Output) -> i32 {
    output.status.code().expect("the program exits by itself")
}

/// What a program said, for messages of failed tests.
pub fn said(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The JSON objects on stdout, one a line.
pub fn json_lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{}", said(output))))
        .collect()
}

/// What `pumua predict` says of images that it judges, by the model that is named, or else by the one that ships.
pub fn predicted(images: &[PathBuf], model: Option<&str>) -> Vec<Value> {
    let model = model.into_iter().flat_map(|model| ["--model", model]);
    let flags = ["predict", "--json"].into_iter().chain(model).map(OsStr::new);
    let output = host(flags.chain(images.iter().map(|image| image.as_os_str())));
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output)
}

/// `pumua send` has said the same of every image.
pub fn assert_same_answers(predicted: &[Value], sent: &[Value]) {
    assert_eq!(predicted.len(), sent.len());
    for (ours, theirs) in predicted.iter().zip(sent) {
        for field in ["path", "verdict", "code", "probability"] {
            assert!(!ours[field].is_null(), "no {field} in {ours}");
            assert_eq!(ours[field], theirs[field], "{field} of {ours} and {theirs}");
        }
    }
}

/// Writes synthetic radiographs into `folder` and gives their paths, in order.
pub fn synthetic_radiographs(folder: &Path, count: usize) -> Vec<PathBuf> {
    let output = host([OsStr::new("synthetic"), folder.as_os_str(), "--count".as_ref(), count.to_string().as_ref()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    files(folder)
}

/// Every file below a folder, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// `pumua-box --simulate`, running.
pub struct SimulatedBox {
    child: Child,
    /// The serial device that it printed.
    pub port: String,
    state: PathBuf,
    /// Holds the state folder of a box that is not given one.
    _own: Option<TempDir>,
}

impl SimulatedBox {
    /// Starts a box with an empty journal and [`PLAIN_MODEL`].
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_with(Some(PLAIN_MODEL), arguments)
    }

    /// Starts a box with an empty journal and the model that ships.
    pub fn start_as_shipped(arguments: &[&str]) -> Result<Self> {
        Self::start_with(None, arguments)
    }

    fn start_with(model: Option<&str>, arguments: &[&str]) -> Result<Self> {
        let own = TempDir::new()?;
        let mut this = Self::launch(command("pumua-box"), own.path(), model, arguments)?;
        this._own = Some(own);
        Ok(this)
    }

    /// Starts a box with [`PLAIN_MODEL`] that keeps its journal in `state`.
    pub fn start_in(state: &Path, arguments: &[&str]) -> Result<Self> {
        Self::launch(command("pumua-box"), state, Some(PLAIN_MODEL), arguments)
    }

    /// Starts a box with the built-in model and with these settings, among them `simulate`.
    pub fn start_with_config(state: &Path, settings: &Path) -> Result<Self> {
        let settings = settings.to_str().context("the path of the settings is not UTF-8")?;
        Self::launch(command("pumua-box"), state, None, &["--config", settings])
    }

    /// The same, but no file of the box can grow beyond this many blocks of 512 bytes, as on a full disk.
    pub fn start_cramped(state: &Path, blocks: u32) -> Result<Self> {
        let mut shell = with_own_settings(Command::new("sh"));
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(binary("pumua-box"));
        Self::launch(shell, state, Some(PLAIN_MODEL), &[])
    }

    /// Starts a box as `nohup` and a script start a program in the background: these signals are ignored.
    pub fn start_ignoring(state: &Path, signals: &str) -> Result<Self> {
        Self::launch(ignoring("pumua-box", signals), state, Some(PLAIN_MODEL), &[])
    }

    /// Starts a box that is told that everybody may read what it writes.
    pub fn start_open(state: &Path) -> Result<Self> {
        let mut shell = with_own_settings(Command::new("sh"));
        shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(binary("pumua-box"));
        Self::launch(shell, state, Some(PLAIN_MODEL), &[])
    }

    /// The same with a state folder that cannot be written, as on a worn card; the screen is kept in `screens`. `None` if
    /// this computer does not let us mount anything.
    pub fn start_read_only(state: &Path, screens: &Path) -> Result<Option<Self>> {
        let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
        let unshared = |program: &OsStr| {
            let mut command = with_own_settings(Command::new("unshare"));
            command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(state).arg(program);
            command
        };
        if !unshared("true".as_ref()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let screens = screens.to_str().context("the folder of the screen is not UTF-8")?;
        let command = unshared(binary("pumua-box").as_ref());
        Self::launch(command, state, Some(PLAIN_MODEL), &["--screen-dir", screens]).map(Some)
    }

    /// Starts a box with [`PLAIN_MODEL`] that keeps its journal in `state` and writes into a file what it says.
    pub fn start_logged(state: &Path, log: &Path) -> Result<Self> {
        Self::start_logged_with(state, log, &[])
    }

    /// The same, with these arguments.
    pub fn start_logged_with(state: &Path, log: &Path, arguments: &[&str]) -> Result<Self> {
        let mut shell = with_own_settings(Command::new("sh"));
        shell.env("LOG", log).args(["-c", "exec \"$0\" \"$@\" 2>\"$LOG\""]).arg(binary("pumua-box"));
        Self::launch(shell, state, Some(PLAIN_MODEL), arguments)
    }

    fn launch(mut command: Command, state: &Path, model: Option<&str>, arguments: &[&str]) -> Result<Self> {
        let mut child = command
            .args(["--simulate", "--state-dir"])
            .arg(state)
            .args(model.into_iter().flat_map(|model| ["--model", model]))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut port = String::new();
        BufReader::new(stdout).read_line(&mut port)?;
        let port = port.trim_end().to_owned();
        if !port.starts_with("/dev/") {
            bail!("the box printed `{port}` instead of its serial device; it ended with {}", child.wait()?);
        }
        Ok(Self { child, port, state: state.to_owned(), _own: None })
    }

    /// Runs a command of `pumua` on this box's port.
    pub fn host<S: AsRef<OsStr>>(&self, subcommand: &str, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(subcommand, arguments).output().expect("host runs")
    }

    /// A command of `pumua` on this box's port, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, subcommand: &str, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = command("pumua");
        command.arg(subcommand).args(arguments).args(["--port", &self.port]);
        command
    }

    /// What `pumua info --json` says: the box is READY if it answers.
    pub fn info(&self) -> Result<Value> {
        let output = self.host("info", ["--json"]);
        ensure!(output.status.success(), "{}", said(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The records that the box has stored.
    pub fn records(&self) -> Vec<Value> {
        let output = self.host("results", ["--json"]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        json_lines(&output)
    }

    /// Starts a command that sends something large to the box, and waits until the box shows that it is coming in.
    pub fn spawn_until_midway(&self, mut command: Command) -> Result<Child> {
        let screen = || std::fs::read(self.state.join("screen.png")).ok();
        // The picture is taken after all that was to be drawn before.
        let output = self.host("screenshot", [self.state.join("before.png")]);
        ensure!(output.status.success(), "{}", said(&output));
        let mut shown = screen();
        let mut child = command.spawn()?;
        // First that something is coming in, then how much of it has come.
        for _ in 0..2 {
            let changes = within(PATIENCE, || screen() != shown || !matches!(child.try_wait(), Ok(None)));
            ensure!(changes, "the screen of the box does not change");
            if let Some(status) = child.try_wait()? {
                bail!("the command has ended before its time: {status}");
            }
            shown = screen();
        }
        Ok(child)
    }

    /// The folder in which the box keeps its journal and its screen.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Sends the box a signal.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// The exit code of a box that ends by itself, within a time.
    pub fn ends(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        within(limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Ends the box as a power cut does.
    pub fn cut_power(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        // It may have ended by itself; then there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for SimulatedBox {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Longer than anything that these tests wait for takes on the busiest computer.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `done`, at most `limit`; false if it never was.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
