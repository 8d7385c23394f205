//! What a program for a computer with Debian needs: its processor, and packages with the libraries that it is linked to.

use std::{collections::BTreeMap, fmt};

/// A processor for which there are packages, as Debian calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// Takes away what only a debugger reads, of a program for this processor.
    pub(super) fn strip(self) -> &'static str {
        match self {
            Self::Amd64 if cfg!(not(target_arch = "x86_64")) => "x86_64-linux-gnu-strip",
            Self::Arm64 if cfg!(not(target_arch = "aarch64")) => "aarch64-linux-gnu-strip",
            Self::Amd64 | Self::Arm64 => "strip",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// Why a program cannot be packed for a computer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForAComputer {
    /// It is none for Linux, or none for a processor that there are packages for.
    #[error("the program is not one for a computer ({0}): name the `pumua` that cargo has built for amd64 or arm64")]
    Kind(&'static str),
    /// It needs what may not be there.
    #[error("the program needs the library {0}, and no package is known that has it: build one without it")]
    Library(String),
}

/// The first and the second number of a version.
type Version = (u32, u32);

/// What a program needs of the computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Its processor.
    pub architecture: Architecture,
    /// Packages of Debian, and from which version on.
    packages: BTreeMap<&'static str, Option<Version>>,
}

/// Packages of Debian, with the libraries in them and how their versions of symbols begin.
const PACKAGES: [(&str, &[&str], &str); 2] = [
    (
        "libc6",
        &[
            "libc.so.6",
            "libm.so.6",
            "libdl.so.2",
            "libpthread.so.0",
            "librt.so.1",
            "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1",
        ],
        "GLIBC_",
    ),
    ("libgcc-s1", &["libgcc_s.so.1"], "GCC_"),
];

/// A version of symbols without a number came with this version of the C library at the latest, so far.
const NUMBERLESS: Version = (2, 42);

impl Needs {
    /// Reads it from the program.
    ///
    /// # Errors
    /// [`NotForAComputer`].
    pub fn of(program: &[u8]) -> Result<Self, NotForAComputer> {
        if !program.starts_with(b"\x7fELF\x02\x01") {
            return Err(NotForAComputer::Kind("it is not a 64-bit ELF file"));
        }
        let elf = Elf(program);
        let architecture = match elf.number(18, 2) {
            Some(62) => Architecture::Amd64,
            Some(183) => Architecture::Arm64,
            _ => return Err(NotForAComputer::Kind("it is for another processor")),
        };
        let linked = elf.linked().ok_or(NotForAComputer::Kind("it is cut short"))?;
        let mut packages = BTreeMap::new();
        for library in linked.libraries {
            let known = PACKAGES.iter().find(|(_, libraries, _)| libraries.contains(&&*library));
            let &(package, _, prefix) = known.ok_or(NotForAComputer::Library(library))?;
            let versions = linked.versions.iter().filter_map(|version| version.strip_prefix(prefix));
            packages.insert(package, versions.map(numbers).max());
        }
        Ok(Self { architecture, packages })
    }

    /// The same, as the field `Depends` of a package has it; nothing of a static program.
    pub fn depends(&self) -> Option<String> {
        let of = |(package, version): (&&str, &Option<Version>)| match version {
            Some((major, minor)) => format!("{package} (>= {major}.{minor})"),
            None => (*package).to_owned(),
        };
        (!self.packages.is_empty()).then(|| self.packages.iter().map(of).collect::<Vec<_>>().join(", "))
    }
}

/// The first two numbers of `2.2.5`.
fn numbers(version: &str) -> Version {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => NUMBERLESS,
    }
}

/// What a program is linked to.
#[derive(Default)]
struct Linked {
    libraries: Vec<String>,
    /// Versions of symbols, of whatever library.
    versions: Vec<String>,
}

/// A 64-bit ELF file of a little-endian processor. Offsets and numbers are those of the System V ABI, chapters 4 and 5, and, of
/// versions, of the Linux Standard Base (symbol versioning).
struct Elf<'a>(&'a [u8]);

const LOADED: usize = 1;
const DYNAMIC: usize = 2;
/// Entries of the dynamic section.
const END: usize = 0;
const LIBRARY: usize = 1;
const STRINGS: usize = 5;
const VERSIONS: usize = 0x6fff_fffe;
const VERSION_COUNT: usize = 0x6fff_ffff;

impl Elf<'_> {
    fn number(&self, at: usize, length: usize) -> Option<usize> {
        let bytes = self.0.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn text(&self, at: usize) -> Option<String> {
        let bytes = self.0.get(at..)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Where in the file each program header is, with its kind.
    fn headers(&self) -> Option<Vec<(usize, usize)>> {
        let (table, size, count) = (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?);
        let header = |n: usize| {
            let at = table.checked_add(n * size)?;
            Some((self.number(at, 4)?, at))
        };
        (0..count).map(header).collect()
    }

    /// Where in the file what is loaded at an address is.
    fn offset(&self, headers: &[(usize, usize)], address: usize) -> Option<usize> {
        headers.iter().filter(|(kind, _)| *kind == LOADED).find_map(|&(_, at)| {
            let (offset, start, length) = (self.number(at + 8, 8)?, self.number(at + 16, 8)?, self.number(at + 32, 8)?);
            let within = address.checked_sub(start).filter(|&within| within < length)?;
            offset.checked_add(within)
        })
    }

    /// `None` where the file is cut short.
    fn linked(&self) -> Option<Linked> {
        let headers = self.headers()?;
        let Some(&(_, at)) = headers.iter().find(|(kind, _)| *kind == DYNAMIC) else {
            return Some(Linked::default());
        };
        let (start, length) = (self.number(at + 8, 8)?, self.number(at + 32, 8)?);
        let mut entries = Vec::new();
        for n in 0..length / 16 {
            let entry = start.checked_add(n * 16)?;
            match self.number(entry, 8)? {
                END => break,
                tag => entries.push((tag, self.number(entry.checked_add(8)?, 8)?)),
            }
        }
        let value = |wanted: usize| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let names: Vec<usize> = entries.iter().filter(|(tag, _)| *tag == LIBRARY).map(|(_, name)| *name).collect();
        if names.is_empty() {
            return Some(Linked::default());
        }
        let strings = self.offset(&headers, value(STRINGS)?)?;
        let text = |name: usize| self.text(strings.checked_add(name)?);
        let libraries = names.into_iter().map(text).collect::<Option<_>>()?;
        let mut versions = Vec::new();
        if let Some(table) = value(VERSIONS) {
            let mut of_library = self.offset(&headers, table)?;
            for _ in 0..value(VERSION_COUNT)? {
                let mut version = of_library.checked_add(self.number(of_library.checked_add(8)?, 4)?)?;
                for _ in 0..self.number(of_library.checked_add(2)?, 2)? {
                    versions.push(text(self.number(version.checked_add(8)?, 4)?)?);
                    match self.number(version.checked_add(12)?, 4)? {
                        0 => break,
                        next => version = version.checked_add(next)?,
                    }
                }
                match self.number(of_library.checked_add(12)?, 4)? {
                    0 => break,
                    next => of_library = of_library.checked_add(next)?,
                }
            }
        }
        Some(Linked { libraries, versions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is linked to these libraries, each with these versions of symbols. The only part of it that is loaded lies
    /// in the file at 0 and in the memory at 4096.
    fn linked(machine: u16, libraries: &[(&str, &[&str])]) -> Vec<u8> {
        const BASE: u64 = 4096;
        let mut strings = vec![0];
        let mut named = |name: &str| {
            let at = strings.len();
            strings.extend(name.bytes().chain([0]));
            at
        };
        let (mut names, mut versions) = (Vec::new(), Vec::new());
        for (n, (library, wanted)) in libraries.iter().enumerate() {
            let name = named(library);
            names.push(name as u64);
            let next = if n + 1 == libraries.len() { 0 } else { 16 + 16 * wanted.len() };
            for half in [1, wanted.len() as u16] {
                versions.extend(half.to_le_bytes());
            }
            for word in [name, 16, next] {
                versions.extend((word as u32).to_le_bytes());
            }
            for version in *wanted {
                for word in [0, 0, named(version), 16] {
                    versions.extend((word as u32).to_le_bytes());
                }
            }
        }
        let (at_strings, at_versions) = (1024_u64, 2048_u64);
        let mut entries: Vec<[u64; 2]> = names.into_iter().map(|name| [1, name]).collect();
        entries.extend([
            [5, BASE + at_strings],
            [0x6fff_fffe, BASE + at_versions],
            [0x6fff_ffff, libraries.len() as u64],
            [0, 0],
        ]);
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(3072, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 2);
        let mut put = |at: usize, numbers: &[u64]| {
            for (n, number) in numbers.iter().enumerate() {
                bytes[at + 8 * n..][..8].copy_from_slice(&number.to_le_bytes());
            }
        };
        put(64, &[1, 0, BASE, 0, 3072, 3072, 0]);
        put(120, &[2, 512, BASE + 512, 0, entries.len() as u64 * 16, 0, 0]);
        put(512, &entries.concat());
        bytes[at_strings as usize..][..strings.len()].copy_from_slice(&strings);
        bytes[at_versions as usize..][..versions.len()].copy_from_slice(&versions);
        bytes
    }

    #[test]
    fn packages_are_those_of_the_libraries_from_the_newest_symbol_on() {
        let libraries: [(&str, &[&str]); 3] = [
            ("libgcc_s.so.1", &["GCC_3.0", "GCC_4.2.0"]),
            ("libm.so.6", &["GLIBC_2.29", "GLIBC_2.2.5"]),
            ("libc.so.6", &["GLIBC_2.34", "GLIBC_2.4"]),
        ];
        let needs = Needs::of(&linked(62, &libraries)).unwrap();
        assert_eq!(needs.architecture, Architecture::Amd64);
        assert_eq!(needs.depends().unwrap(), "libc6 (>= 2.34), libgcc-s1 (>= 4.2)");
        let needs = Needs::of(&linked(183, &[("libc.so.6", &["GLIBC_2.17", "GLIBC_ABI_DT_RELR"])])).unwrap();
        assert_eq!(needs.architecture.to_string(), "arm64");
        assert_eq!(needs.depends().unwrap(), "libc6 (>= 2.42)");
        assert_eq!(Needs::of(&linked(62, &[("libc.so.6", &[])])).unwrap().depends().unwrap(), "libc6");
        assert_eq!(Needs::of(&linked(62, &[])).unwrap().depends(), None, "it is static");
    }

    #[test]
    fn this_program_runs_on_this_computer() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = Needs::of(&program).unwrap();
        assert_eq!(needs.architecture.strip(), "strip");
        if cfg!(target_env = "gnu") {
            assert!(needs.depends().unwrap().contains("libc6 (>= 2."), "{needs:?}");
        }
    }

    #[test]
    fn what_is_no_program_for_a_computer_is_told_of() {
        let reason = |program: &[u8]| Needs::of(program).unwrap_err().to_string();
        assert!(reason(b"#!/bin/sh").contains("not a 64-bit ELF file"));
        assert!(reason(&linked(40, &[])).contains("another processor"));
        assert!(reason(&linked(62, &[("libvulkan.so.1", &[])])).contains("the library libvulkan.so.1"));
        let whole = linked(62, &[("libc.so.6", &["GLIBC_2.34"])]);
        // Nothing of what is damaged is read beyond the end.
        for end in 0..whole.len() {
            let _ = Needs::of(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let _ = Needs::of(&damaged);
        }
        assert!(reason(&whole[..700]).contains("cut short"));
    }
}
