//! What is in the package for a computer, and what dpkg, lintian, systemd and the desktop's tools say of it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use super::*;
use crate::{
    package::tests::{Root, assert_few_rights, assert_scripts_parse, has, unpacked},
    program::Needs,
};

/// The smallest file that passes for a program: the header of a static one, and what is to tell two of them apart.
fn program(words: &[u8]) -> ForComputer {
    let mut bytes = b"\x7fELF\x02\x01".to_vec();
    bytes.resize(64, 0);
    (bytes[18], bytes[54]) = (62, 56);
    bytes.extend(words);
    let needs = Needs::of(&bytes).unwrap();
    ForComputer { bytes, needs }
}

fn documents() -> Documents {
    let page = |name: &str| (format!("{name}.1"), format!(".TH {name} 1\n.SH NAME\n{name} \\- a page\n").into_bytes());
    Documents {
        manuals: ["pumua", "pumua-serve"].map(page).into(),
        bash: b"# bash\n".to_vec(),
        zsh: b"#compdef pumua\n".to_vec(),
        fish: b"# fish\n".to_vec(),
    }
}

fn packed(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    pack_for_computer(&program(b"program"), &documents(), None, &path).unwrap();
    path
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_same_inputs_make_the_same_package_and_all_files_are_in_it() {
    if !has("dpkg-deb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.deb", "second.deb"].map(|name| packed(folder.path(), name));
    assert!(fs::read(&first).unwrap() == fs::read(second).unwrap());
    let unpacked = unpacked(&first, folder.path());
    let read = |name: &str| fs::read_to_string(unpacked.join(name)).unwrap();
    assert_eq!(fs::read(unpacked.join("usr/bin/pumua")).unwrap(), program(b"program").bytes);
    let control = read("DEBIAN/control");
    for line in ["Package: pumua\n", "Architecture: amd64\n", "Installed-Size: ", "\nRecommends: xdg-utils\n"] {
        assert!(control.contains(line), "{control}");
    }
    assert!(!control.contains("Depends:"), "a static program needs nothing: {control}");
    let options = read(OPTIONS);
    assert!(options.lines().all(|line| line.starts_with('#') || line == "OPTIONS=\"\""), "{options}");
    assert_eq!(read("DEBIAN/conffiles"), format!("/{OPTIONS}\n"));
    let copyright = read("usr/share/doc/pumua/copyright");
    assert!(copyright.contains("\n Permission is hereby granted") && copyright.contains("\n .\n"), "{copyright}");
    // Every installed file has its sum but the one that may change, and every sum is right.
    let sums = read("DEBIAN/md5sums");
    assert!(!sums.contains("etc/"), "{sums}");
    for name in ["usr/bin/pumua", "usr/share/man/man1/pumua-serve.1.gz", "usr/lib/udev/rules.d/60-pumua.rules"] {
        assert!(sums.lines().any(|line| line.ends_with(&format!("  {name}"))), "{sums}");
    }
    let checked = Command::new("md5sum").args(["--check", "DEBIAN/md5sums"]).current_dir(&unpacked).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert_scripts_parse(&unpacked);
}

#[test]
fn crates_that_are_linked_in_are_named_with_their_licences() {
    let crates = crate::bill::crates().unwrap();
    let text = copyright(Some(&crates));
    assert!(text.contains("\n  tract-core 0."), "{text}");
    // What is listed is within its field.
    assert!(text.contains("\n\nFiles: *\n") && text.contains("\n\nLicense: MIT\n"), "{text}");
    assert!(!copyright(None).contains("linked in"));
}

#[test]
fn a_package_depends_on_what_its_program_is_linked_to() {
    let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
    let needs = Needs::of(&bytes).unwrap();
    let program = ForComputer { bytes, needs };
    let control = control(&program, &[]);
    let line = program.needs.depends().map(|packages| format!("Depends: {packages}\nRecommends: xdg-utils\n"));
    assert!(control.contains(&line.unwrap_or_default()), "{control}");
}

#[test]
fn the_desktop_understands_the_entry() {
    if !has("desktop-file-validate") {
        return;
    }
    let entry = concat!(env!("CARGO_MANIFEST_DIR"), "/package/computer/pumua.desktop");
    let output = Command::new("desktop-file-validate").arg(entry).output().unwrap();
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

#[test]
fn the_service_is_one_that_systemd_understands_and_has_few_rights() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pumua-serve.service");
    let unit = include_str!("../../../package/computer/pumua-serve.service");
    // The program is not on this computer.
    fs::write(&path, unit.replace("/usr/bin/pumua", "/bin/true")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    assert!(!said(&output).contains("pumua-serve.service"), "{}", said(&output));
    assert_few_rights(&path);
}

#[test]
fn the_package_is_installed_and_removed_and_what_an_administrator_has_set_stays() {
    let Some(root) = Root::new() else { return };
    let package = root.path("pumua.deb");
    let install = |words: &[u8]| {
        pack_for_computer(&program(words), &documents(), None, &package).unwrap();
        root.dpkg(&["--install", package.to_str().unwrap()]);
        assert!(fs::read(root.path("usr/bin/pumua")).unwrap().ends_with(words));
    };
    let enabled = root.path("etc/systemd/system/multi-user.target.wants/pumua-serve.service");
    install(b"first");
    assert!(!enabled.is_symlink(), "nobody has asked for it");
    fs::create_dir_all(enabled.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/usr/lib/systemd/system/pumua-serve.service", &enabled).unwrap();
    fs::write(root.path(OPTIONS), "OPTIONS=\"--language fr\"\n").unwrap();
    install(b"second");
    assert!(enabled.is_symlink());
    assert_eq!(fs::read_to_string(root.path(OPTIONS)).unwrap(), "OPTIONS=\"--language fr\"\n");
    fs::create_dir_all(root.path("var/lib/private/pumua-serve/films")).unwrap();
    root.dpkg(&["--remove", "pumua"]);
    assert!(!root.path("usr/bin/pumua").exists() && root.path(OPTIONS).exists());
    root.dpkg(&["--purge", "pumua"]);
    assert!(!root.path(OPTIONS).exists() && root.path("var/lib/private/pumua-serve/films").exists());
    assert!(!enabled.is_symlink(), "nothing is started that is not there");
}

#[test]
fn a_package_that_cannot_be_written_leaves_nothing() {
    if !has("dpkg-deb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    assert!(pack_for_computer(&program(b""), &documents(), None, &taken).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
