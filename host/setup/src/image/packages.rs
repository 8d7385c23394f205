//! The packages of Debian from which kernel, boot loader and the check of the file system are taken.

use std::{
    fs::{create_dir_all, remove_dir_all, rename, write},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use base::interrupt::{self, Interrupted};
use serde::Deserialize;

use super::{BuildError, go_on, hex, read};
use crate::program;

/// The program of Debian's package manager that fetches a file and knows the proxies of this computer.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// A package, fixed by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// Release of what it holds, as its own paths name it.
    pub release: String,
    /// Version of the package.
    pub version: String,
    /// Name of its file.
    pub file: String,
    /// Where it is available, tried in this order: the mirrors forget a package when a newer one comes, the archive never.
    pub urls: [String; 2],
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 digest in hexadecimal digits.
    pub sha256: String,
}

/// The packages of an image, and the folder that keeps them.
#[derive(Debug, Clone)]
pub struct Packages {
    /// The kernel with its drivers and device trees.
    pub kernel: Package,
    /// The boot loader.
    pub u_boot: Package,
    /// The program that checks the data partition.
    pub e2fsck: Package,
    folder: PathBuf,
}

#[derive(Deserialize)]
struct List {
    kernel: Package,
    u_boot: Package,
    e2fsck: Package,
}

impl Packages {
    /// The folder that packages are kept in unless another is named: `pumua` in `$XDG_CACHE_HOME`, or in `~/.cache`.
    ///
    /// # Errors
    /// [`BuildError::NoHome`]: neither is known.
    pub fn usual_folder() -> Result<PathBuf, BuildError> {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        let cache = named("XDG_CACHE_HOME").filter(|folder| !folder.as_os_str().is_empty());
        let folder = cache.or_else(|| named("HOME").map(|home| home.join(".cache"))).ok_or(BuildError::NoHome)?;
        Ok(folder.join("pumua"))
    }

    /// The packages that this version is made with, kept in `folder`.
    pub fn pinned(folder: &Path) -> Self {
        #[expect(clippy::expect_used, reason = "the list is part of this program and a test reads it")]
        let list: List = toml::from_str(include_str!("packages.toml")).expect("the list is well formed");
        Self { kernel: list.kernel, u_boot: list.u_boot, e2fsck: list.e2fsck, folder: folder.to_owned() }
    }

    #[cfg(test)]
    pub(super) fn of([kernel, u_boot, e2fsck]: [Package; 3], folder: &Path) -> Self {
        Self { kernel, u_boot, e2fsck, folder: folder.to_owned() }
    }

    /// All of them.
    pub fn all(&self) -> [&Package; 3] {
        [&self.kernel, &self.u_boot, &self.e2fsck]
    }

    /// Fetches what is not in the folder yet. `told` is given the name and the length in bytes of each file that is fetched;
    /// `stop` is asked whether to give up.
    pub fn fetch(&self, stop: fn() -> bool, mut told: impl FnMut(&str, u64)) -> Result<(), BuildError> {
        for package in self.all() {
            if !self.folder.join(&package.file).exists() {
                told(&package.file, package.size);
                self.fetch_one(package, stop)?;
            }
            checked(&self.folder.join(&package.file), &package.sha256)?;
        }
        Ok(())
    }

    /// Fetches a package from the first of its addresses that has it.
    fn fetch_one(&self, package: &Package, stop: fn() -> bool) -> Result<(), BuildError> {
        let mut reasons = String::new();
        for url in &package.urls {
            match self.download(package, url) {
                Ok(()) => return Ok(()),
                Err(_) if stop() => return Err(Interrupted.into()),
                Err(BuildError::Tool { program, reason, .. }) => {
                    reasons += &format!("\n  {url}: `{program}` fails: {}", reason.replace('\n', "; "));
                }
                Err(error) => return Err(error),
            }
        }
        let file = package.file.clone();
        Err(BuildError::Fetch { file, folder: self.folder.clone(), reasons })
    }

    /// In a folder of its own, from which the file comes when it is whole: what an interrupted download leaves would be taken
    /// for the package the next time.
    fn download(&self, package: &Package, url: &str) -> Result<(), BuildError> {
        let folder = self.folder.join(format!("{}.part", package.file));
        let failed = |source| BuildError::Keep { folder: self.folder.clone(), source };
        // The program would continue with what an earlier run has left there.
        let _ = remove_dir_all(&folder);
        create_dir_all(&folder).map_err(failed)?;
        let part = folder.join(&package.file);
        let mut command = Command::new(HELPER);
        command.args(["-q", "download-file", url]).arg(&part).arg(format!("SHA256:{}", package.sha256));
        let fetched = run(&mut command, "").and_then(|()| {
            checked(&part, &package.sha256)?;
            rename(&part, self.folder.join(&package.file)).map_err(failed)
        });
        let _ = remove_dir_all(&folder);
        fetched
    }

    /// Unpacks all into a temporary folder.
    pub(super) fn unpack(&self, stop: fn() -> bool) -> Result<Unpacked, BuildError> {
        let cannot_write = |source| BuildError::Write { path: std::env::temp_dir(), source };
        let folder = tempfile::tempdir().map_err(cannot_write)?;
        for package in self.all() {
            go_on(stop)?;
            // What is unpacked is what has been checked, whatever happens to the file meanwhile.
            let copy = folder.path().join("package.deb");
            let bytes = checked(&self.folder.join(&package.file), &package.sha256)?;
            write(&copy, bytes).map_err(cannot_write)?;
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(&copy).arg(folder.path());
            run(&mut command, "install dpkg, or make room in the folder for temporary files")?;
        }
        Ok(Unpacked { folder, release: self.kernel.release.clone() })
    }
}

/// The bytes of a package that is the pinned one.
fn checked(path: &Path, sha256: &str) -> Result<Vec<u8>, BuildError> {
    let bytes = read(path)?;
    if hex(&bytes) == sha256 {
        Ok(bytes)
    } else {
        Err(BuildError::WrongPackage { path: path.to_owned(), sha256: sha256.to_owned() })
    }
}

/// What was in the packages.
#[derive(Debug)]
pub(super) struct Unpacked {
    folder: tempfile::TempDir,
    release: String,
}

impl Unpacked {
    /// The kernel.
    pub(super) fn kernel(&self) -> Result<Vec<u8>, BuildError> {
        read(&self.folder.path().join(format!("boot/vmlinuz-{}", self.release)))
    }

    /// The folder of the kernel's modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.path().join("lib/modules").join(&self.release)
    }

    /// The boot loader, one for every 64-bit Raspberry Pi.
    pub(super) fn u_boot(&self) -> Result<Vec<u8>, BuildError> {
        read(&self.folder.path().join("usr/lib/u-boot/rpi_arm64/u-boot.bin"))
    }

    /// The program that checks the data partition: static, for there is nothing else in the initial file system.
    pub(super) fn e2fsck(&self) -> Result<Vec<u8>, BuildError> {
        let bytes = read(&self.folder.path().join("sbin/e2fsck.static"))?;
        program::check(&bytes)?;
        Ok(bytes)
    }

    /// A device tree by its path among all.
    pub(super) fn device_tree(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        read(&self.folder.path().join(format!("usr/lib/linux-image-{}", self.release)).join(path))
    }
}

/// Runs another program to its end.
pub(super) fn run(command: &mut Command, remedy: &str) -> Result<(), BuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: String| BuildError::Tool { program, reason, remedy: remedy.to_owned() };
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(failed("it is not installed".to_owned())),
        Err(error) => return Err(failed(error.to_string())),
    };
    // Ctrl-C is meant for all programs of a terminal.
    if interrupt::ended(output.status)? {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!("{}: {}", output.status, said.trim())))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{has, package},
        *,
    };

    #[test]
    fn the_list_is_well_formed() {
        let packages = Packages::pinned(Path::new("/nowhere"));
        for Package { file, urls: [mirror, archive], sha256, version, .. } in packages.all() {
            for url in [mirror, archive] {
                assert!(url.ends_with(file) && file.contains(version) && sha256.len() == 64, "{url}");
            }
            let pool = |url: &str| url.split_once("/pool/").map(|(_, path)| path.to_owned());
            assert!(pool(mirror).is_some() && pool(mirror) == pool(archive), "{mirror} {archive}");
            assert!(archive.starts_with("https://snapshot.debian.org/archive/"), "{archive}");
        }
    }

    #[test]
    fn another_file_of_the_same_name_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::pinned(folder.path());
        std::fs::write(folder.path().join(&packages.kernel.file), "something else").unwrap();
        let error = packages.fetch(|| false, |_, _| ()).unwrap_err();
        assert!(matches!(error, BuildError::WrongPackage { .. }), "{error}");
    }

    #[test]
    fn a_package_comes_from_the_second_address_or_leaves_nothing() {
        if !has(&["dpkg-deb", HELPER]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [kernel, mut u_boot, e2fsck] = ["kernel", "u-boot", "e2fsck"].map(|name| package(folder.path(), name, &[]));
        let cache = folder.path().join("cache");
        let names = || {
            let entries = std::fs::read_dir(&cache).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        u_boot.sha256 = "0".repeat(64);
        // What an earlier run may have left.
        create_dir_all(cache.join("kernel.deb.part")).unwrap();
        write(cache.join("kernel.deb.part/kernel.deb"), "half of it").unwrap();
        let packages = Packages::of([kernel.clone(), u_boot, e2fsck], &cache);
        let mut told = Vec::new();
        let error = packages.fetch(|| false, |name, _| told.push(name.to_owned())).unwrap_err();
        assert!(matches!(error, BuildError::Fetch { .. }), "{error}");
        let text = error.to_string();
        assert!(packages.u_boot.urls.iter().all(|url| text.contains(url)), "{text}");
        assert_eq!(
            (told.as_slice(), names()),
            (&["kernel.deb".to_owned(), "u-boot.deb".to_owned()][..], vec!["kernel.deb".to_owned()])
        );
        assert_eq!(hex(&read(&cache.join("kernel.deb")).unwrap()), kernel.sha256);
        let error = packages.fetch(|| true, |_, _| ()).unwrap_err();
        assert!(matches!(error, BuildError::Stopped(_)), "{error}");
    }
}
