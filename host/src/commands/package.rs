//! `host package`: makes a Debian package of the box, for a Raspberry Pi OS that runs already.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, anyhow};
use base::interrupt;
use serde_json::json;
use shared::verdict::Digest;

use super::{program, settings};
use crate::exit::{Exit, Failure};

/// Options of `host package`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Package to write
    #[arg(long, value_name = "FILE", default_value = "runs/pumua-box.deb")]
    out: PathBuf,
    /// Program of the box, a static one for aarch64 [default: it is compiled]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const CONTROL: &str = "\
Package: pumua-box
Version: VERSION
Architecture: arm64
Maintainer: The Pumua authors <https://github.com/pumua/pumua>
Section: science
Priority: optional
Description: clinic box that looks for pneumonia on chest X-rays of children
 Receives radiographs over a serial line or USB, runs a network in 8-bit
 integers and shows normal, pneumonia or refer to a clinician.
 .
 A research aid, not a medical device.
";
/// The time that all files have, in seconds since 1970: the same inputs make the same package.
const TIME: &str = "1";

/// Makes a Debian package of the box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    interrupt::listen();
    let program = program::ready(options.program)?;
    if let Some(folder) = options.out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    pack(&program, &options.out)?;
    let bytes = fs::read(&options.out).with_context(|| format!("cannot read {}", options.out.display()))?;
    let (path, digest) = (options.out.display().to_string(), Digest::of(&bytes).to_string());
    base::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", json!({"package": path, "bytes": bytes.len(), "sha256": digest}))?;
    } else {
        let name = options.out.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "package  {path} ({:.1} MB)\nsha256   {digest}", bytes.len() as f64 / 1e6)?;
        // Not apt: it takes a newer build of the same version for what is installed already. The package depends on nothing.
        writeln!(out, "next     copy it to the Raspberry Pi and run there: sudo dpkg --install {name}")?;
    }
    Ok(Exit::Done)
}

/// Writes the package. A run that is stopped leaves no file.
fn pack(program: &[u8], out: &Path) -> Result<(), Failure> {
    let root = tempfile::tempdir().context("cannot make a temporary folder")?;
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).context("cannot prepare the package")?;
    let settings = settings::of_raspberry_pi_os();
    let control = CONTROL.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let files: [(&str, u32, &[u8]); 9] = [
        ("DEBIAN/control", 0o644, control.as_bytes()),
        ("DEBIAN/conffiles", 0o644, b"/etc/pumua/box.toml\n"),
        ("DEBIAN/postinst", 0o755, include_bytes!("../../setup/package/postinst")),
        ("DEBIAN/prerm", 0o755, include_bytes!("../../setup/package/prerm")),
        ("DEBIAN/postrm", 0o755, include_bytes!("../../setup/package/postrm")),
        ("usr/bin/pumua-box", 0o755, program),
        ("usr/lib/systemd/system/pumua-box.service", 0o644, include_bytes!("../../setup/package/pumua-box.service")),
        ("etc/pumua/box.toml", 0o644, settings.as_bytes()),
        ("usr/share/doc/pumua-box/copyright", 0o644, include_bytes!("../../../LICENSE-MIT")),
    ];
    for (name, mode, bytes) in files {
        write(&root.path().join(name), mode, bytes).with_context(|| format!("cannot write {name} of the package"))?;
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}: name another with --out, or make room", out.display());
    // The permissions of any other file: whoever installs it may be somebody else.
    let mut beside = tempfile::Builder::new();
    let beside = beside.permissions(Permissions::from_mode(0o666)).tempfile_in(folder).with_context(failed)?;
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "-z6", "--build"]).arg(root.path()).arg(beside.path());
    // With more than one thread the compressed bytes would depend on their number.
    command.env("SOURCE_DATE_EPOCH", TIME).env("DPKG_DEB_THREADS_MAX", "1");
    let output = command.output().context("dpkg-deb cannot be started: install dpkg")?;
    if !interrupt::ended(output.status)? {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("dpkg-deb fails: {}; see that {} can be written", said.trim(), out.display()).into());
    }
    beside.as_file().sync_all().with_context(failed)?;
    beside.persist(out).with_context(failed)?;
    Ok(())
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    for folder in path.ancestors().skip(1).filter(|folder| !folder.exists()).collect::<Vec<_>>().into_iter().rev() {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "etc/systemd/system/multi-user.target.wants/pumua-box.service";
    const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

    /// Whether a program of the system is there; says so if not.
    fn has(program: &str) -> bool {
        let found = Command::new(program).arg("--version").output().is_ok();
        if !found {
            let _ = writeln!(io::stderr(), "skipped: no {program}");
        }
        found
    }

    fn unpacked(package: &Path, folder: &Path) -> PathBuf {
        let unpacked = folder.join("unpacked");
        let output = Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&unpacked).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        unpacked
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
        for script in SCRIPTS {
            let output = Command::new("sh").arg("-n").arg(unpacked.join("DEBIAN").join(script)).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        }
    }

    #[test]
    fn the_service_is_one_that_systemd_understands() {
        if !has("systemd-analyze") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pumua-box.service");
        let unit = include_str!("../../setup/package/pumua-box.service");
        // The program is not on this computer.
        fs::write(&path, unit.replace("/usr/bin/pumua-box", "/bin/true")).unwrap();
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
        // It looks at the units that this one names, too, which are this computer's business.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("pumua-box.service"), "{said}");
    }

    /// A system of its own in a folder, as far as dpkg needs one.
    struct Root(tempfile::TempDir);

    impl Root {
        fn new() -> Option<Self> {
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

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// The scripts run outside of the folder, and know of it.
        fn dpkg(&self, arguments: &[&str]) {
            let root = format!("--root={}", self.0.path().display());
            let mut command = Command::new("dpkg");
            command
                .args([&root, "--force-architecture", "--force-depends", "--force-script-chrootless"])
                .args(arguments);
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
}
