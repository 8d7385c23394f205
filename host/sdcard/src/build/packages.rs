//! The packages of Debian from which kernel and boot loader are taken.

use std::{
    fs::create_dir_all,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{BuildError, hex, read};

/// A package, fixed by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// Release of what it holds, as its own paths name it.
    pub release: String,
    /// Version of the package.
    pub version: String,
    /// Name of its file.
    pub file: String,
    /// Where it is to be had.
    pub url: String,
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
    folder: PathBuf,
}

#[derive(Deserialize)]
struct List {
    kernel: Package,
    u_boot: Package,
}

impl Packages {
    /// The packages that this version is made with, kept in `folder`.
    pub fn pinned(folder: &Path) -> Self {
        #[expect(clippy::expect_used, reason = "the list is part of this program and a test reads it")]
        let List { kernel, u_boot } = toml::from_str(include_str!("packages.toml")).expect("the list is well formed");
        Self { kernel, u_boot, folder: folder.to_owned() }
    }

    /// Fetches what is not in the folder yet. `told` hears the name and the length in bytes of each file that is fetched.
    pub fn fetch(&self, mut told: impl FnMut(&str, u64)) -> Result<(), BuildError> {
        for package in [&self.kernel, &self.u_boot] {
            let path = self.folder.join(&package.file);
            if !path.exists() {
                told(&package.file, package.size);
                self.fetch_one(package, &path)?;
            }
            if hex(&read(&path)?) != package.sha256 {
                return Err(BuildError::WrongPackage { path, sha256: package.sha256.clone() });
            }
        }
        Ok(())
    }

    /// By the program of Debian's package manager that knows the proxies of this computer and checks the digest before the
    /// file gets its name.
    fn fetch_one(&self, package: &Package, path: &Path) -> Result<(), BuildError> {
        let failed = |reason: String| BuildError::Fetch {
            file: package.file.clone(),
            url: package.url.clone(),
            folder: self.folder.clone(),
            reason,
        };
        create_dir_all(&self.folder).map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new("/usr/lib/apt/apt-helper");
        command.args(["-q", "download-file", &package.url]).arg(path).arg(format!("SHA256:{}", package.sha256));
        run(&mut command, "").map_err(|error| match error {
            BuildError::Tool { program, reason, .. } => failed(format!("`{program}` fails: {reason}")),
            other => other,
        })
    }

    /// Unpacks both into a temporary folder.
    pub(super) fn unpack(&self) -> Result<Unpacked, BuildError> {
        let folder = tempfile::tempdir().map_err(|source| BuildError::Write { path: std::env::temp_dir(), source })?;
        for package in [&self.kernel, &self.u_boot] {
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(self.folder.join(&package.file)).arg(folder.path());
            run(&mut command, "install dpkg, or make room in the folder for temporary files")?;
        }
        Ok(Unpacked { folder, release: self.kernel.release.clone() })
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

    /// A device tree by its path among all.
    pub(super) fn device_tree(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        read(&self.folder.path().join(format!("usr/lib/linux-image-{}", self.release)).join(path))
    }
}

/// Runs another program to its end.
pub(super) fn run(command: &mut Command, remedy: &str) -> Result<(), BuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: String| BuildError::Tool { program, reason, remedy: remedy.to_owned() };
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("{}: {}", output.status, said.trim())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(failed("it is not installed".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_well_formed() {
        let packages = Packages::pinned(Path::new("/nowhere"));
        for Package { file, url, sha256, version, .. } in [packages.kernel, packages.u_boot] {
            assert!(url.ends_with(&file) && file.contains(&version) && sha256.len() == 64, "{url}");
        }
    }

    #[test]
    fn another_file_of_the_same_name_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::pinned(folder.path());
        std::fs::write(folder.path().join(&packages.kernel.file), "something else").unwrap();
        let error = packages.fetch(|_, _| ()).unwrap_err();
        assert!(matches!(error, BuildError::WrongPackage { .. }), "{error}");
    }
}
