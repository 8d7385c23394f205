//! What is in the package, and what dpkg and systemd say of it.

use std::io::Write as _;

use super::*;

const SERVICE: &str = "etc/systemd/system/multi-user.target.wants/pumua-box.service";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Whether a program of the system is there; says so if not.
pub(super) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        let _ = writeln!(io::stderr(), "skipped: no {program}");
    }
    found
}

pub(super) fn unpacked(package: &Path, folder: &Path) -> PathBuf {
    let unpacked = folder.join("unpacked");
    let output = Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&unpacked).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    unpacked
}

/// Looks at the scripts of an unpacked package.
pub(super) fn assert_scripts_parse(unpacked: &Path) {
    for script in SCRIPTS {
        let output = Command::new("sh").arg("-n").arg(unpacked.join("DEBIAN").join(script)).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

/// Has systemd count the rights of a service, in tenths of a hundred for one that may do everything: those that are left are the
/// devices and the user's groups.
pub(super) fn assert_few_rights(unit: &Path) {
    let arguments = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unrecognized option") {
        let _ = writeln!(io::stderr(), "skipped: this systemd-analyze does not judge files (before 250)");
        return;
    }
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_same_inputs_make_the_same_package_and_all_files_are_in_it() {
    if !has("dpkg-deb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.deb", "second.deb"].map(|name| {
        let path = folder.path().join(name);
        pack(b"program", &path).unwrap();
        path
    });
    assert!(fs::read(&first).unwrap() == fs::read(second).unwrap());
    let unpacked = unpacked(&first, folder.path());
    assert_eq!(fs::read(unpacked.join("usr/bin/pumua-box")).unwrap(), b"program");
    let settings: toml::Table = fs::read_to_string(unpacked.join("etc/pumua/box.toml")).unwrap().parse().unwrap();
    assert_eq!(settings["port"][0].as_str(), Some("/dev/serial0"));
    assert!(fs::read_to_string(unpacked.join("DEBIAN/control")).unwrap().contains("Architecture: arm64\n"));
    assert_scripts_parse(&unpacked);
}

#[test]
fn the_service_is_one_that_systemd_understands() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pumua-box.service");
    let unit = include_str!("../../package/pumua-box.service");
    // The program is not on this computer.
    fs::write(&path, unit.replace("/usr/bin/pumua-box", "/bin/true")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    // It looks at the units that this one names, too, which are this computer's business.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("pumua-box.service"), "{said}");
}

#[test]
fn the_service_has_few_rights() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pumua-box.service");
    fs::write(&path, include_str!("../../package/pumua-box.service").replace("/usr/bin/pumua-box", "/bin/true"))
        .unwrap();
    assert_few_rights(&path);
}

/// A system of its own in a folder, as far as dpkg needs one.
pub(super) struct Root(tempfile::TempDir);

impl Root {
    pub(super) fn new() -> Option<Self> {
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        if !is_root {
            let _ = writeln!(io::stderr(), "skipped: only the superuser can install a package into a folder");
        }
        if !is_root || !has("dpkg") || !has("deb-systemd-helper") {
            return None;
        }
        let this = Self(tempfile::tempdir().unwrap());
        for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"] {
            fs::create_dir_all(this.path(folder)).unwrap();
        }
        fs::write(this.path("var/lib/dpkg/status"), "").unwrap();
        Some(this)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The scripts run outside of the folder, and know of it.
    pub(super) fn dpkg(&self, arguments: &[&str]) {
        let root = format!("--root={}", self.0.path().display());
        let mut command = Command::new("dpkg");
        command.args([&root, "--force-architecture", "--force-depends", "--force-script-chrootless"]).args(arguments);
        // dpkg wants programs there that others run.
        let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn enabled(&self) -> bool {
        self.path(SERVICE).is_symlink()
    }
}

#[test]
fn the_package_is_installed_upgraded_and_removed_and_what_an_administrator_has_set_stays() {
    let Some(root) = Root::new() else { return };
    let package = root.path("pumua-box.deb");
    let path = package.to_str().unwrap();
    let install = |program: &[u8]| {
        pack(program, &package).unwrap();
        root.dpkg(&["--install", path]);
        assert_eq!(fs::read(root.path("usr/bin/pumua-box")).unwrap(), program);
    };
    install(b"first");
    assert!(root.enabled());
    // Another build of the same version.
    install(b"second");
    assert!(root.enabled());
    fs::remove_file(root.path(SERVICE)).unwrap();
    fs::write(root.path("etc/pumua/box.toml"), "port = \"/dev/mine\"\n").unwrap();
    install(b"third");
    assert!(!root.enabled(), "it was disabled");
    assert_eq!(fs::read_to_string(root.path("etc/pumua/box.toml")).unwrap(), "port = \"/dev/mine\"\n");
    let mask = root.path("etc/systemd/system/pumua-box.service");
    std::os::unix::fs::symlink("/dev/null", &mask).unwrap();
    install(b"fourth");
    assert!(mask.is_symlink() && !root.enabled(), "it was masked");
    fs::remove_file(mask).unwrap();
    fs::create_dir_all(root.path("var/lib/private/pumua")).unwrap();
    root.dpkg(&["--remove", "pumua-box"]);
    assert!(!root.path("usr/bin/pumua-box").exists() && root.path("etc/pumua/box.toml").exists());
    root.dpkg(&["--purge", "pumua-box"]);
    assert!(!root.path("etc/pumua").exists() && root.path("var/lib/private/pumua").exists());
    let kept = root.path("var/lib/systemd/deb-systemd-helper-enabled");
    assert!(!kept.join("pumua-box.service.dsh-also").exists(), "what was remembered of the service");
    install(b"fifth");
    assert!(root.enabled());
    root.dpkg(&["--purge", "pumua-box"]);
    assert!(!root.enabled());
}

#[test]
fn a_package_that_cannot_be_written_leaves_nothing() {
    if !has("dpkg-deb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    assert!(pack(b"program", &taken).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
