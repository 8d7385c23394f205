//! The SHA-256 of an image or a package in a file beside it, named like it with `.sha256` behind, as `sha256sum --check` takes it.

use std::{
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use base::files::{is_written_through, read_up_to, write_atomically};
use shared::{text::unmarked, verdict::Digest};

/// Bytes that such a file may have: a digest and a path.
const MAX_BYTES: u64 = 8192;

/// The file with the digest of `path`.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

/// Writes the file with the digest of `path` and says what it is called. Beside a device or a pipe there is none.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, digest: &Digest) -> io::Result<Option<PathBuf>> {
    if is_written_through(path) {
        return Ok(None);
    }
    let file = beside(path);
    let mut line = digest.to_string().into_bytes();
    line.extend(b"  ");
    let mut is_plain = true;
    for &byte in path.file_name().unwrap_or_default().as_bytes() {
        let escaped: &[u8] = match byte {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => &[byte],
        };
        is_plain &= escaped.len() == 1;
        line.extend(escaped);
    }
    line.push(b'\n');
    if !is_plain {
        line.insert(0, b'\\');
    }
    write_atomically(&file, &line)?;
    Ok(Some(file))
}

/// The digest in the file beside `path`; nothing where there is no such file.
///
/// # Errors
/// It cannot be read or does not hold one digest.
pub fn read(path: &Path) -> io::Result<Option<Digest>> {
    let bytes = match read_up_to(&beside(path), MAX_BYTES + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    if bytes.len() as u64 > MAX_BYTES {
        return Err(invalid("it is too long"));
    }
    let text = unmarked(&bytes).map_err(|encoding| invalid(&encoding.to_string()))?;
    let mut lines = text.trim_ascii().split(|&byte| byte == b'\n');
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(invalid("it has several lines")) };
    let line = line.strip_prefix(b"\\").unwrap_or(line);
    let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let digest = str::from_utf8(word).ok().and_then(digest);
    digest.map(Some).ok_or_else(|| invalid("it does not begin with 64 hexadecimal digits"))
}

/// A digest in 64 hexadecimal digits.
pub fn digest(text: &str) -> Option<Digest> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut digest = Digest::default();
    if pairs.len() != digest.0.len() {
        return None;
    }
    for (byte, &[high, low]) in digest.0.iter_mut().zip(pairs) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = (value(high)? << 4 | value(low)?) as u8;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt as _, process::Command};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_is_what_sha256sum_checks() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["box.img.gz", "a b", "back\\slash", "line\nbreak\u{1b}[2J\r"] {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            let digest = Digest::of(name.as_bytes());
            assert_eq!(read(&path).unwrap(), None);
            let file = write(&path, &digest).unwrap().unwrap();
            assert_eq!(read(&path).unwrap(), Some(digest));
            let checked =
                Command::new("sha256sum").args(["--check", "--status"]).arg(file).current_dir(&folder).status();
            assert!(checked.unwrap().success(), "{name:?}");
        }
        let path = folder.path().join(OsString::from_vec(b"\xff\xfe".to_vec()));
        write(&path, &Digest::of(b"")).unwrap();
        assert_eq!(read(&path).unwrap(), Some(Digest::of(b"")));
    }

    #[test]
    fn nothing_lies_beside_a_device() {
        assert_eq!(write(Path::new("/dev/null"), &Digest::of(b"")).unwrap(), None);
        assert!(!Path::new("/dev/null.sha256").exists());
    }

    #[test]
    fn other_files_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let digits = Digest::of(b"x").to_string();
        for (text, words) in [
            (String::new(), "64 hexadecimal digits"),
            (digits[..63].to_owned(), "64 hexadecimal digits"),
            (format!("{digits}0  image"), "64 hexadecimal digits"),
            (digits.replacen(|_| true, "é", 1), "64 hexadecimal digits"),
            (format!("{digits}  image\n{digits}  other\n"), "several lines"),
            (format!("{digits}  {}", "x".repeat(9000)), "too long"),
            (digits.chars().flat_map(|digit| [digit, '\0']).collect(), "save it as UTF-8"),
        ] {
            fs::write(beside(&path), &text).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains(words), "{text}");
        }
        for text in [
            digits.clone(),
            format!("\u{feff}{digits}"),
            digits.to_uppercase(),
            format!("{digits} *image\n"),
            format!("\\{digits}  a\\nb\n"),
        ] {
            fs::write(beside(&path), &text).unwrap();
            assert_eq!(read(&path).unwrap(), Some(Digest::of(b"x")), "{text}");
        }
    }
}
