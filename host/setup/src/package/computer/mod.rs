//! The Debian package of the program for a clinic's computer: the page as a service that nobody has to start by hand, an entry in
//! the menu that opens it, the udev rule for a box on USB, manual pages and completions.

#[cfg(test)]
mod tests;

use std::{
    io::{self, Write as _},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

use super::{CONTROL_FOLDER, Entry, PackageError, Packed, build, laid_out, sum_up};
use crate::{bill::Crate, program::ForComputer};

const CONTROL: &str = "\
Package: pumua
Version: VERSION
Architecture: ARCHITECTURE
Maintainer: The Pumua authors <https://github.com/pumua/pumua>
Installed-Size: SIZE
DEPENDSRecommends: xdg-utils
Section: science
Priority: optional
Homepage: https://github.com/pumua/pumua
Description: looks for pneumonia on chest X-rays of children
 Judges radiographs on a page in the browser, from a watched folder or as a
 DICOM node (service pumua-serve), or has a clinic box judge that is connected
 to this computer. It also trains, measures and signs the models.
 .
 A research aid, not a medical device.
";
const CHANGELOG: &str = "\
pumua (VERSION) unstable; urgency=medium

  * Release VERSION. What is new: CHANGELOG.md of the repository.

 -- The Pumua authors <https://github.com/pumua/pumua>  DATE
";
/// Before the text of the licence.
const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Pumua
Source: https://github.com/pumua/pumua
Comment:
 The two averages of X-rays that are built in are of Kermany, Zhang, Goldbaum,
 Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for
 Classification, doi:10.17632/rscbjbr9sj, under CC BY 4.0, changed: averaged.
";
const LICENCES: &str = "
Files: *
Copyright: 2026 The Pumua authors
License: MIT or Apache-2.0

License: MIT
";
const APACHE: &str = "
License: Apache-2.0
 On Debian the text of this licence is in
 /usr/share/common-licenses/Apache-2.0.
";
/// The time that all files have, in seconds since 1970, and as a changelog has it: the same inputs make the same package. No
/// package of Debian has files of 1970.
const TIME: &str = "1767225600";
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 +0000";
/// The options of the service, which an administrator changes.
const OPTIONS: &str = "etc/default/pumua-serve";

/// What is made of the command line of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// Manual pages, after the names of their files, such as `pumua-serve.1`.
    pub manuals: Vec<(String, Vec<u8>)>,
    /// Completions of bash.
    pub bash: Vec<u8>,
    /// Completions of zsh.
    pub zsh: Vec<u8>,
    /// Completions of fish.
    pub fish: Vec<u8>,
}

/// Makes the package with a program as [`crate::program::for_computer`] gives it, and writes it to `out`, and its digest [beside
/// it](crate::checksum::beside); a folder that is missing is made. `crates` are those in the program, if they are known. The same
/// inputs make the same package. A run that is stopped leaves no file.
///
/// # Errors
/// [`PackageError`]: something cannot be written, dpkg-deb or md5sum fails, or Ctrl-C was pressed.
pub fn pack_for_computer(
    program: &ForComputer,
    documents: &Documents,
    crates: Option<&[Crate]>,
    out: &Path,
) -> Result<Packed, PackageError> {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = CHANGELOG.replace("VERSION", version).replace("DATE", DATE);
    let mut files: Vec<Entry<'_>> = Vec::new();
    let mut file = |name: &'static str, bytes| files.push((name.into(), 0o644, bytes));
    file(
        "usr/lib/systemd/system/pumua-serve.service",
        include_bytes!("../../../package/computer/pumua-serve.service").into(),
    );
    file("usr/lib/udev/rules.d/60-pumua.rules", include_bytes!("../../../udev/60-pumua.rules").into());
    file(OPTIONS, include_bytes!("../../../package/computer/pumua-serve.default").into());
    file("usr/share/applications/pumua.desktop", include_bytes!("../../../package/computer/pumua.desktop").into());
    file(
        "usr/share/icons/hicolor/scalable/apps/pumua.svg",
        include_bytes!("../../../../serve/src/page/icon.svg").into(),
    );
    file("usr/share/bash-completion/completions/pumua", documents.bash.as_slice().into());
    file("usr/share/zsh/vendor-completions/_pumua", documents.zsh.as_slice().into());
    file("usr/share/fish/vendor_completions.d/pumua.fish", documents.fish.as_slice().into());
    file("usr/share/doc/pumua/copyright", copyright(crates).into_bytes().into());
    file("usr/share/doc/pumua/changelog.gz", compressed("changelog", changelog.as_bytes())?.into());
    file("usr/share/lintian/overrides/pumua", include_bytes!("../../../package/computer/lintian-overrides").into());
    for (name, page) in &documents.manuals {
        let page = compressed(name, page)?;
        files.push((format!("usr/share/man/man1/{name}.gz").into(), 0o644, page.into()));
    }
    files.push(("usr/bin/pumua".into(), 0o755, program.bytes.as_slice().into()));
    let control = control(program, &files);
    let installed = files.len();
    let scripts: [(&str, u32, &[u8]); 5] = [
        ("control", 0o644, control.as_bytes()),
        ("conffiles", 0o644, b"/etc/default/pumua-serve\n"),
        ("postinst", 0o755, include_bytes!("../../../package/computer/postinst")),
        ("prerm", 0o755, include_bytes!("../../../package/computer/prerm")),
        ("postrm", 0o755, include_bytes!("../../../package/computer/postrm")),
    ];
    for (name, mode, bytes) in scripts {
        files.push((format!("{CONTROL_FOLDER}{name}").into(), mode, bytes.into()));
    }
    let root = laid_out(&files)?;
    // What an administrator changes is no damage.
    let summed: Vec<&str> =
        files[..installed].iter().map(|(name, ..)| &**name).filter(|name| *name != OPTIONS).collect();
    sum_up(root.path(), &summed)?;
    build(root.path(), TIME, out)
}

fn control(program: &ForComputer, files: &[Entry<'_>]) -> String {
    let kilobytes: usize = files.iter().map(|(_, _, bytes)| bytes.len().div_ceil(1024)).sum();
    let depends = program.needs.depends().map_or_else(String::new, |packages| format!("Depends: {packages}\n"));
    let control = CONTROL.replace("VERSION", env!("CARGO_PKG_VERSION")).replace("SIZE", &kilobytes.to_string());
    control.replace("ARCHITECTURE", &program.needs.architecture.to_string()).replace("DEPENDS", &depends)
}

/// The licences, as machines read them, and the crates that are linked in with theirs.
fn copyright(crates: Option<&[Crate]>) -> String {
    let mut text = COPYRIGHT.to_owned();
    let linked: Vec<_> = crates.unwrap_or_default().iter().filter_map(Crate::in_words).collect();
    if !linked.is_empty() {
        text.push_str(" .\n These crates of crates.io are linked in, each under its own licence:\n");
        linked.iter().for_each(|words| text.extend(["  ", words.as_str(), "\n"]));
    }
    text.push_str(LICENCES);
    // Behind the title and the name of the authors, which stand above.
    let licence = include_str!("../../../../../LICENSE-MIT");
    let terms = licence.split_once("\n\n").and_then(|(_, rest)| rest.split_once("\n\n")).map_or(licence, |(_, it)| it);
    for line in terms.trim().lines() {
        text.extend([" ", if line.is_empty() { "." } else { line }, "\n"]);
    }
    text.push_str(APACHE);
    text
}

/// As small as gzip makes it, without a name or a time.
fn compressed(name: &str, bytes: &[u8]) -> Result<Vec<u8>, PackageError> {
    let pack = || -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes)?;
        encoder.finish()
    };
    pack().map_err(|source| PackageError::Part { name: name.to_owned(), source })
}
