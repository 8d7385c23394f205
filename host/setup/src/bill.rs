//! The bill of materials (SBOM) of an image or a package, for whoever must know whether an advisory concerns the box: CycloneDX
//! 1.6 in JSON, in a file beside what it is of.
//!
//! What it lists: the crates that cargo links into the program, from its own resolution for the box or the computer; Debian's
//! packages; the model and the boot files of the Raspberry Pi, by their digests. Rust's standard library and the C library, which
//! are linked in as well, are not listed: the part about the program says of itself that it is incomplete. The same inputs make the
//! same bill.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::{Value, json};
use shared::{appliance::card, verdict::Digest};

use crate::{
    image::{Built, Package, Packages},
    program,
};

/// What the program itself is under.
const LICENCE: &str = "MIT OR Apache-2.0";
/// References within the bill.
const WHOLE: &str = "whole";
const PROGRAM: &str = "program";
const BOX: &str =
    "Clinic box that looks for pneumonia on chest X-rays of children; a research aid, not a medical device";
const COMPUTER: &str =
    "Program that looks for pneumonia on chest X-rays of children; a research aid, not a medical device";
/// The crate of the program for a computer, and for what it was compiled.
const HOST: &str = "host";
const HOST_TARGET: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
/// What was locked when this program was compiled.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// Why the crates of the program are not known.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// cargo is not there or may not be started
    #[error("cargo cannot be started: {0}; install rustup, or name a program with --program")]
    Cargo(#[source] io::Error),
    /// cargo fails
    #[error("`cargo tree` fails: {0}; see that the packages of Cargo.lock can be fetched")]
    Tree(String),
    /// what is locked cannot be read
    #[error("Cargo.lock cannot be read: {0}; fetch the repository again")]
    Lock(String),
    /// the bill cannot be written
    #[error("the bill of materials cannot be written: {0}; make room")]
    Write(#[source] io::Error),
}

/// The bill of a file lies beside it, under its name with this behind.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".cdx.json");
    name.into()
}

/// A crate that is linked into the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    name: String,
    version: String,
    licence: String,
    /// Of its archive in the registry, in hexadecimal digits; none of this repository's own.
    sha256: Option<String>,
    /// References of those that it calls.
    needs: BTreeSet<String>,
}

impl Crate {
    /// Its address among packages of all kinds (a "package URL"), which also identifies it within the bill.
    fn url(&self) -> String {
        url("cargo", &self.name, &self.version)
    }

    /// Name, version and licence in words, if it is not one of this repository's own.
    pub(crate) fn in_words(&self) -> Option<String> {
        self.sha256.as_ref()?;
        let licence = if self.licence.is_empty() { "licence in its sources" } else { &self.licence };
        Some(format!("{} {} ({licence})", self.name, self.version))
    }
}

fn url(kind: &str, name: &str, version: &str) -> String {
    format!("pkg:{kind}/{name}@{}", version.replace('+', "%2B").replace(':', "%3A"))
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The crates of the program as [`program::compiled`] makes it: what runs on the box only, neither macros nor build scripts.
///
/// # Errors
/// [`BillError`]: cargo does not tell.
pub fn crates() -> Result<Vec<Crate>, BillError> {
    crates_of(program::PACKAGE, program::TARGET, &[])
}

/// The crates of the program that runs, compiled with these features. Nobody knows them where it was not compiled from the
/// repository as it now is.
pub fn crates_of_this_program(features: &[&str]) -> Option<Vec<Crate>> {
    let now = std::fs::read_to_string(Path::new(program::WORKSPACE).join("Cargo.lock")).ok()?;
    if now != LOCK {
        return None;
    }
    crates_of(HOST, HOST_TARGET, features).ok()
}

/// The crates that cargo links into a program of this repository.
fn crates_of(package: &str, target: &str, features: &[&str]) -> Result<Vec<Crate>, BillError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--locked", "--package", package, "--target", target]);
    command.args(["--features", &features.join(",")]);
    command.args([
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "depth",
        "--format",
        "\t{p}\t{l}",
        "--charset",
        "ascii",
    ]);
    let output = command.current_dir(program::WORKSPACE).output().map_err(BillError::Cargo)?;
    if !output.status.success() {
        return Err(BillError::Tree(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let lock = std::fs::read_to_string(Path::new(program::WORKSPACE).join("Cargo.lock"));
    let lock = lock.map_err(|error| BillError::Lock(error.to_string()))?;
    let lock: Lock = toml::from_str(&lock).map_err(|error| BillError::Lock(error.to_string()))?;
    Ok(in_tree(&String::from_utf8_lossy(&output.stdout), &lock))
}

/// The crates in what `cargo tree` prints, a line each: depth, name, version and, behind a tab, the licence. What a crate needs is
/// listed where it comes first.
fn in_tree(tree: &str, lock: &Lock) -> Vec<Crate> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    let mut above: Vec<String> = Vec::new();
    for line in tree.lines() {
        let mut fields = line.split('\t');
        let (Some(depth), Some(package)) = (fields.next().and_then(|depth| depth.parse().ok()), fields.next()) else {
            continue;
        };
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next().and_then(|word| word.strip_prefix('v'))) else {
            continue;
        };
        let licence = fields.next().unwrap_or_default().trim_end_matches(" (*)").replace('/', " OR ");
        let locked =
            lock.package.iter().find(|locked| (locked.name.as_str(), locked.version.as_str()) == (name, version));
        let found = Crate {
            name: name.to_owned(),
            version: version.to_owned(),
            licence,
            sha256: locked.and_then(|locked| locked.checksum.clone()),
            needs: BTreeSet::new(),
        };
        let url = found.url();
        above.truncate(depth);
        if let Some(caller) = above.last().and_then(|caller| crates.get_mut(caller)) {
            caller.needs.insert(url.clone());
        }
        crates.entry(url.clone()).or_insert(found);
        above.push(url);
    }
    crates.into_values().collect()
}

/// A bill that is being written.
struct Bill {
    whole: Value,
    components: Vec<Value>,
    /// References of the parts of the whole.
    parts: Vec<String>,
    dependencies: Vec<Value>,
    is_program_known: bool,
}

impl Bill {
    fn new(kind: &str, [name, description]: [&str; 2], version: &str, sha256: &str) -> Self {
        let whole = json!({
            "type": kind, "bom-ref": WHOLE, "name": name, "version": version, "hashes": [hash(sha256)],
            "licenses": [{ "expression": LICENCE }],
            "description": description,
        });
        Self { whole, components: Vec::new(), parts: Vec::new(), dependencies: Vec::new(), is_program_known: false }
    }

    fn part(&mut self, reference: &str, component: Value) {
        self.parts.push(reference.to_owned());
        self.components.push(component);
    }

    /// `name`: of the program, and of its crate.
    fn program(&mut self, [name, package]: [&str; 2], version: &str, program: &[u8], crates: Option<&[Crate]>) {
        let component = json!({
            "type": "application", "bom-ref": PROGRAM, "name": name, "version": version,
            "hashes": [hash(&Digest::of(program).to_string())], "licenses": [{ "expression": LICENCE }],
        });
        self.part(PROGRAM, component);
        self.is_program_known = crates.is_some();
        let crates = crates.unwrap_or_default();
        // The first of them is the program.
        let (own, others): (Vec<_>, Vec<_>) = crates.iter().partition(|known| known.name == package);
        let needs: BTreeSet<_> = own.iter().flat_map(|own| &own.needs).collect();
        self.dependencies.push(json!({ "ref": PROGRAM, "dependsOn": needs }));
        for known in others {
            let url = known.url();
            let mut component = json!({
                "type": "library", "bom-ref": url, "name": known.name, "version": known.version, "purl": url,
            });
            if !known.licence.is_empty() {
                component["licenses"] = json!([{ "expression": known.licence }]);
            }
            if let Some(sha256) = &known.sha256 {
                component["hashes"] = json!([hash(sha256)]);
            }
            self.components.push(component);
            self.dependencies.push(json!({ "ref": url, "dependsOn": known.needs }));
        }
    }

    fn package(&mut self, package: &Package, kind: &str, licence: &str) {
        let name = package.file.split('_').next().unwrap_or_default();
        let url = format!("{}?arch=arm64&distro=debian-12", url("deb", &format!("debian/{name}"), &package.version));
        let component = json!({
            "type": kind, "bom-ref": url, "name": name, "version": package.version, "purl": url,
            "hashes": [hash(&package.sha256)], "licenses": [{ "license": { "id": licence } }],
        });
        self.part(&url, component);
    }

    fn file(&mut self, kind: &str, name: &str, sha256: &str) {
        self.part(name, json!({ "type": kind, "bom-ref": name, "name": name, "hashes": [hash(sha256)] }));
    }

    fn finish(mut self) -> Value {
        self.dependencies.insert(0, json!({ "ref": WHOLE, "dependsOn": self.parts }));
        let program = if self.is_program_known { "incomplete" } else { "unknown" };
        json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "metadata": { "component": self.whole },
            "components": self.components,
            "dependencies": self.dependencies,
            "compositions": [
                { "aggregate": "complete", "dependencies": [WHOLE] },
                { "aggregate": program, "dependencies": [PROGRAM] },
            ],
        })
    }
}

fn hash(sha256: &str) -> Value {
    json!({ "alg": "SHA-256", "content": sha256 })
}

/// The bill of an image. `crates` are those of its program, if they are known.
pub fn of_image(built: &Built, packages: &Packages, program: &[u8], crates: Option<&[Crate]>) -> Value {
    let version = &built.manifest.version;
    let mut bill = Bill::new("firmware", ["pumua-box-image", BOX], version, &built.file_sha256);
    bill.program(["pumua-box", program::PACKAGE], version, program, crates);
    bill.package(&packages.kernel, "operating-system", "GPL-2.0-only");
    bill.package(&packages.u_boot, "firmware", "GPL-2.0-or-later");
    bill.package(&packages.e2fsck, "application", "GPL-2.0-only");
    for file in &built.manifest.files {
        if file.name == card::MODEL {
            bill.file("machine-learning-model", &file.name, &file.sha256);
        } else if built.boot_files.contains(&file.name) {
            bill.file("firmware", &file.name, &file.sha256);
        }
    }
    bill.finish()
}

/// The bill of a Debian package. `crates` are those of its program, if they are known.
pub fn of_package(digest: &Digest, program: &[u8], crates: Option<&[Crate]>) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let mut bill = Bill::new("application", ["pumua-box-package", BOX], version, &digest.to_string());
    bill.program(["pumua-box", program::PACKAGE], version, program, crates);
    bill.finish()
}

/// The bill of the Debian package for a computer. `crates` are those of its program, if they are known.
pub fn of_package_for_computer(digest: &Digest, program: &[u8], crates: Option<&[Crate]>) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let mut bill = Bill::new("application", ["pumua-package", COMPUTER], version, &digest.to_string());
    bill.program(["pumua", HOST], version, program, crates);
    bill.finish()
}

/// Writes a bill [`beside`] what it is of and says what it is called. Beside a device or a pipe there is none.
///
/// # Errors
/// [`BillError::Write`].
pub fn write(path: &Path, bill: &Value) -> Result<Option<PathBuf>, BillError> {
    if base::files::is_written_through(path) {
        return Ok(None);
    }
    let file = beside(path);
    base::files::write_atomically(&file, format!("{bill:#}\n").as_bytes()).map_err(BillError::Write)?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0\tdevice v0.1.0 (/home/me/device)\tMIT OR Apache-2.0\n1\ta v1.0.0+x\tMIT/Apache-2.0\n\
                        2\tb v2.0.0\tMIT\n1\tb v2.0.0\tMIT (*)\n1\tc v0.1.0 (/home/me/c)\t\n2\ta v1.0.0+x\tMIT/Apache-2.0 (*)\n";

    fn few() -> Vec<Crate> {
        let locked = |name: &str, version: &str, checksum: Option<&str>| Locked {
            name: name.to_owned(),
            version: version.to_owned(),
            checksum: checksum.map(str::to_owned),
        };
        let digest = Digest::of(b"a").to_string();
        let lock = Lock {
            package: vec![
                locked("a", "0.9.0", Some("other")),
                locked("a", "1.0.0+x", Some(&digest)),
                locked("c", "0.1.0", None),
            ],
        };
        in_tree(TREE, &lock)
    }

    #[test]
    fn nothing_lies_beside_a_device() {
        assert_eq!(write(Path::new("/dev/null"), &json!({})).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let written = write(&folder.path().join("box.deb"), &json!({})).unwrap().unwrap();
        assert_eq!(std::fs::read(written).unwrap(), b"{}\n");
    }

    #[test]
    fn crates_are_listed_once_with_all_that_they_need() {
        let crates = few();
        let names: Vec<_> = crates.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "device"]);
        let needs = |n: usize| crates[n].needs.iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(needs(0), ["pkg:cargo/b@2.0.0"]);
        assert_eq!(needs(2), ["pkg:cargo/a@1.0.0%2Bx"]);
        assert_eq!(needs(3), ["pkg:cargo/a@1.0.0%2Bx", "pkg:cargo/b@2.0.0", "pkg:cargo/c@0.1.0"]);
        assert_eq!((crates[0].licence.as_str(), crates[0].sha256.as_ref().unwrap().len()), ("MIT OR Apache-2.0", 64));
        assert_eq!((crates[2].licence.as_str(), &crates[2].sha256), ("", &None));
    }

    #[test]
    fn crates_of_the_program_are_those_that_cargo_links() {
        let crates = crates().unwrap();
        let has = |name: &str| crates.iter().any(|known| known.name == name);
        assert!(has("device") && has("wire") && has("tract-core") && has("zune-jpeg"), "{}", crates.len());
        assert!(!has("burn") && !has("serde_derive") && !has("clap_derive") && !has("setup"), "{}", crates.len());
        let known: BTreeSet<_> = crates.iter().map(Crate::url).collect();
        assert!(crates.iter().flat_map(|known| &known.needs).all(|needed| known.contains(needed)));
        // Of those from the registry, the digest of each is locked.
        assert!(crates.iter().filter(|known| known.sha256.is_none()).count() < 12);
    }

    #[test]
    fn crates_of_the_program_that_runs_are_those_that_cargo_links() {
        let crates = crates_of_this_program(&[]).unwrap();
        let has = |name: &str| crates.iter().any(|known| known.name == name);
        assert!(has("host") && has("burn") && has("clap_mangen") && !has("device"), "{}", crates.len());
        let words: Vec<_> = crates.iter().filter_map(Crate::in_words).collect();
        assert!(words.iter().any(|words| words.starts_with("roff 1.") && words.ends_with(" (MIT OR Apache-2.0)")));
        assert!(!words.iter().any(|words| words.starts_with("host ")));
        let bill = of_package_for_computer(&Digest::default(), b"program", Some(&crates));
        let program = bill["dependencies"].as_array().unwrap().iter().find(|it| it["ref"] == PROGRAM).unwrap();
        assert!(program["dependsOn"].as_array().unwrap().len() > 10, "{program}");
    }

    /// `.ci/bill` holds the golden file against the schema.
    #[test]
    fn bills_are_as_the_golden_file_has_them() {
        let packages = Packages::pinned(Path::new("/nowhere"));
        let boot_files = vec!["start.elf".to_owned()];
        let entry = |name: &str| crate::image::Entry {
            name: name.to_owned(),
            bytes: 1,
            sha256: Digest::of(name.as_bytes()).to_string(),
        };
        let manifest = crate::image::Manifest {
            version: "0.0.0".to_owned(),
            note: "",
            kernel: String::new(),
            u_boot: String::new(),
            boards: Vec::new(),
            files: ["box.toml", card::MODEL, "start.elf"].map(entry).into(),
        };
        let (version, kernel, files) = ("0.0.0".to_owned(), String::new(), Vec::new());
        let slot = crate::image::SlotManifest { version, note: "", kernel, files };
        let digest = Digest::of(b"image").to_string();
        let (sha256, file_sha256) = (digest.clone(), digest);
        let built = Built { manifest, slot, sha256, file_sha256, checksum: None, content: 0, written: 0, boot_files };
        // Packages of Debian change often.
        let mut bill = of_image(&built, &packages, b"program", Some(&few())).to_string();
        let zeros = "0".repeat(64);
        for package in packages.all() {
            let name = package.file.split('_').next().unwrap();
            let encoded = package.version.replace('+', "%2B");
            for (old, new) in [(&package.version, "1+2"), (&encoded, "1%2B2"), (&package.sha256, &zeros)] {
                bill = bill.replace(old.as_str(), new);
            }
            bill = bill.replace(name, name.split("-6.").next().unwrap());
        }
        let bill: Value = serde_json::from_str(&bill).unwrap();
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bill.cdx.json");
        let text = format!("{bill:#}\n");
        if std::env::var("GOLDEN").is_ok_and(|word| word == "overwrite") {
            std::fs::write(golden, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(golden).unwrap());
        let unknown = of_package(&Digest::default(), b"program", None);
        assert_eq!(unknown["compositions"][1]["aggregate"], "unknown");
    }
}
