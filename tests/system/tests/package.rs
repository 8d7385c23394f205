//! `pumua package --computer`: what is in the package, and what the tools of Debian, the manual and the shells say of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use system_tests::{code, command, files, host, said};
use tempfile::TempDir;

const FAILED: i32 = 1;

/// Whether programs of the system are there; says so if not.
fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new(program).arg("--version").output().is_ok();
        if !found {
            let _ = writeln!(io::stderr(), "skipped: no {program}");
        }
        found
    })
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Output {
    Command::new(program).args(arguments).arg(path).env("LC_ALL", "C.UTF-8").output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Names of all commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = text(&host(["--help"]));
    let listed = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    // Lines that begin further right continue the one above.
    let lines = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    lines.filter_map(first).filter(|name| name != "help").collect()
}

/// The package of the program that these tests drive, as it is unpacked.
struct Unpacked {
    folder: TempDir,
    package: PathBuf,
}

impl Unpacked {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let package = folder.path().join("pumua.deb");
        let output = command("pumua").args(["package", "--computer", "--out"]).arg(&package).output().unwrap();
        assert_eq!(code(&output), 0, "{}", said(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("sudo apt install ./pumua.deb"), "{output:?}");
        let to = folder.path().join("root");
        let unpacked = Command::new("dpkg-deb").arg("-x").args([&package, &to]).output().unwrap();
        assert!(unpacked.status.success(), "{unpacked:?}");
        Self { folder, package }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn control(&self) {
        let control = text(&run("dpkg-deb", &["-I"], &self.package));
        for words in ["Package: pumua\n", "Architecture: ", "Depends: libc6 (>= 2.", "libgcc-s1", "research aid"] {
            assert!(control.contains(words), "{control}");
        }
        let contents = text(&run("dpkg-deb", &["-c"], &self.package));
        for line in [
            "-rwxr-xr-x root/root",
            "./usr/lib/systemd/system/pumua-serve.service\n",
            "./usr/lib/udev/rules.d/60-pumua.rules\n",
            "./usr/share/applications/pumua.desktop\n",
            "./usr/share/icons/hicolor/scalable/apps/pumua.svg\n",
            "./usr/share/man/man1/pumua-serve.1.gz\n",
            "./etc/default/pumua-serve\n",
        ] {
            assert!(contents.contains(line), "{contents}");
        }
        let copyright = fs::read_to_string(self.path("usr/share/doc/pumua/copyright")).unwrap();
        assert!(copyright.contains("\n  burn ") && copyright.contains("Permission is hereby granted"), "{copyright}");
    }

    /// What lies beside the package.
    fn beside(&self) {
        let folder = self.folder.path();
        let checked = Command::new("sha256sum").args(["--check", "pumua.deb.sha256"]).current_dir(folder).output();
        assert!(checked.unwrap().status.success());
        let bill = fs::read(folder.join("pumua.deb.cdx.json")).unwrap();
        let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap();
        assert!(bill["components"].as_array().unwrap().iter().any(|part| part["name"] == "burn"), "{bill}");
        assert_eq!(bill["components"][0]["name"], "pumua");
    }

    fn program(&self) {
        let program = self.path("usr/bin/pumua");
        assert_eq!(text(&run(program.to_str().unwrap(), &[], Path::new("--version"))), text(&host(["--version"])));
    }

    /// Each command has a page, and nothing else has one.
    fn manuals(&self) {
        let folder = self.path("usr/share/man/man1");
        let names: BTreeSet<String> =
            files(&folder).iter().map(|page| page.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        let expected = commands().into_iter().map(|name| format!("pumua-{name}.1.gz"));
        let expected: BTreeSet<String> = expected.chain(["pumua.1.gz".to_owned()]).collect();
        assert_eq!(names, expected);
        if !has(&["man"]) {
            return;
        }
        for name in &names {
            let output = run("man", &["-l"], &folder.join(name));
            let page = text(&output);
            if page.contains("minimized") {
                let _ =
                    writeln!(io::stderr(), "skipped: manual pages were removed from this system, and man with them");
                return;
            }
            assert!(page.contains("NAME") && page.contains("SYNOPSIS"), "{name}: {output:?}");
        }
        let page = text(&run("man", &["-l"], &folder.join("pumua-serve.1.gz")));
        assert!(page.contains("--store") && page.contains("PUMUA_PORT"), "{page}");
    }

    fn completions(&self) {
        for (shell, arguments, name) in [
            ("bash", &["-n"][..], "usr/share/bash-completion/completions/pumua"),
            ("zsh", &["-n"][..], "usr/share/zsh/vendor-completions/_pumua"),
            ("fish", &["--no-execute"][..], "usr/share/fish/vendor_completions.d/pumua.fish"),
        ] {
            let script = self.path(name);
            assert!(fs::read_to_string(&script).unwrap().contains("--store") || shell == "fish");
            if has(&[shell]) {
                let output = run(shell, arguments, &script);
                assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", said(&output));
            }
        }
        if has(&["bash"]) {
            let ask = "source \"$0\"; COMP_WORDS=(pumua serv); COMP_CWORD=1; _pumua pumua serv pumua; echo \"${COMPREPLY[@]}\"";
            let output = run("bash", &["--norc", "-c", ask], &self.path("usr/share/bash-completion/completions/pumua"));
            assert_eq!(text(&output), "serve\n", "{}", said(&output));
        }
    }

    fn lintian(&self) {
        if !has(&["lintian"]) {
            return;
        }
        let output = run("lintian", &["--allow-root", "--fail-on", "error"], &self.package);
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    }
}

#[test]
fn the_package_of_this_program_is_one_that_debian_takes() {
    if !has(&["dpkg-deb", "strip", "md5sum"]) {
        return;
    }
    let unpacked = Unpacked::new();
    unpacked.control();
    unpacked.beside();
    unpacked.program();
    unpacked.manuals();
    unpacked.completions();
    unpacked.lintian();
}

#[test]
fn the_same_program_makes_the_same_package_under_the_name_that_debian_gives_it() {
    if !has(&["dpkg-deb", "strip", "md5sum"]) {
        return;
    }
    // A program of every system, which is packed sooner than this one.
    let made = [(); 2].map(|()| {
        let folder = TempDir::new().unwrap();
        let mut host = command("pumua");
        host.args(["package", "--computer", "--program", "/bin/true"]).current_dir(folder.path());
        let output = host.output().unwrap();
        assert_eq!(code(&output), 0, "{}", said(&output));
        assert!(said(&output).contains("are not known"), "{}", said(&output));
        let package = files(&folder.path().join("runs")).into_iter().find(|file| file.extension().unwrap() == "deb");
        let package = package.unwrap();
        let name = package.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(package).unwrap())
    });
    assert!(made[0] == made[1]);
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!(made[0].0, format!("pumua_{}_{architecture}.deb", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_no_program_for_a_computer_is_not_packed() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let mut host = command("pumua");
    host.args(["package", "--computer", "--out", "a.deb", "--program"]).arg(&script).current_dir(folder.path());
    let output = host.output().unwrap();
    assert_eq!(code(&output), FAILED, "{}", said(&output));
    assert!(said(&output).contains("not a 64-bit ELF file"), "{}", said(&output));
    assert_eq!(files(folder.path()), [script]);
}
