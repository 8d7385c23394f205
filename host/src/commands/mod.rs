//! The commands, one module each: its options (clap) and `run`.

pub mod augment;
pub mod bundle;
pub mod evaluate;
pub mod flash;
pub mod image;
pub mod info;
pub mod key;
pub mod keys;
pub mod machines;
mod model_for_box;
mod open;
pub mod package;
mod pairing;
pub mod points;
pub mod predict;
mod program;
pub mod quantize;
mod refusals;
pub mod results;
pub mod robustness;
pub mod screenshot;
pub mod send;
pub mod serve;
mod sheet;
pub mod sign;
mod site;
mod sites;
mod software;
pub mod study;
mod subset;
pub mod synthetic;
pub mod train;
pub mod update;
pub mod verify;
pub mod view;

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use base::{
    Shown,
    files::{self, OutputFile},
    shown::is_hidden,
};
use data::Label;
use setup::model_for_box::beside;
use trust::{MAX_SIGNATURE_BYTES, Signature, Statement};

use crate::exit::{Exit, Failure, WithExit};

/// Where the data are, from the root on, so that they are found again from another folder.
fn absolute(data: &Path) -> anyhow::Result<PathBuf> {
    data.canonicalize().with_context(|| {
        format!("cannot read {}: name a folder or a ZIP archive that exists and may be read", Shown(data.display()))
    })
}

/// Checks what a command writes, files and folders, against what it reads, before anything is done. Folders that it reads hold
/// labelled radiographs.
fn check_outputs(inputs: &[&Path], files: &[&Path], folders: &[&Path]) -> Result<(), Failure> {
    check_outputs_where(inputs, is_labelled, files, folders)
}

/// The same where of a folder that is read other files are read: `reads` tells them by their path in it.
fn check_outputs_where(
    inputs: &[&Path],
    reads: fn(&Path) -> bool,
    files: &[&Path],
    folders: &[&Path],
) -> Result<(), Failure> {
    files::check_outputs(inputs, reads, files, folders).exit(Exit::Usage)
}

/// True for what may be read in a folder of labelled radiographs: a file in the folder of a label, the table of labels, and
/// pictures elsewhere, because that table may list them.
fn is_labelled(below: &Path) -> bool {
    const PICTURES: [&str; 9] = ["bmp", "dcm", "dicom", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
    let is_label = |folder: &OsStr| {
        let name = folder.to_string_lossy();
        Label::ALL.iter().any(|label| label.folder().eq_ignore_ascii_case(name.trim()))
    };
    let ending = below.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    below.parent().is_some_and(|folders| folders.iter().any(is_label))
        || below.file_name().is_some_and(|name| name == "labels.csv")
        || PICTURES.contains(&&*ending)
}

/// The same as [`check_outputs_where`], of what is packed into one file, and of what comes to lie beside it. Its folder is made.
fn check_packed(
    inputs: &[&Path],
    reads: fn(&Path) -> bool,
    out: &OutputFile,
    beside: &[PathBuf],
) -> Result<(), Failure> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot make the folder {}: name a file in another one", Shown(folder.display()))
        })?;
    }
    let beside: &[PathBuf] = if files::is_written_through(out) { &[] } else { beside };
    let written: Vec<&Path> = std::iter::once(&**out).chain(beside.iter().map(PathBuf::as_path)).collect();
    check_outputs_where(inputs, reads, &written, &[])
}

/// Deletes the signature beside a model or an image that has just been written, unless it is of these very bytes, with this digest: it
/// is of what lay there before, and whoever looks at it would take the new file for one that somebody has changed.
fn drop_old_signature(written: &Path, digest: &str) -> anyhow::Result<()> {
    if files::is_written_through(written) {
        return Ok(());
    }
    let path = beside(written);
    let text = files::read_text(&path, MAX_SIGNATURE_BYTES as u64).unwrap_or_default();
    let signed = Signature::of_file(&text).ok().and_then(|signature| signature.comment.parse::<Statement>().ok());
    if signed.is_some_and(|statement| statement.digest.to_string() == digest) {
        return Ok(());
    }
    match fs::remove_file(&path) {
        Ok(()) => base::say!(
            "{} was of the file that lay there before, and is deleted: have the new one signed with `{} sign`",
            quoted(&path),
            started_as()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("{} is of the file that lay there before: delete it", Shown(path.display())));
        }
    }
    Ok(())
}

/// Says with an error of a disk which command continues: with one that is full nothing is lost but what was done since the last
/// epoch. What else fails would fail again.
fn or_continue<T, E>(result: Result<T, E>, is_of_disk: fn(&E) -> bool, command: &str) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| {
        let continues = is_of_disk(&error);
        let error = anyhow::Error::new(error);
        if continues { error.context(format!("what was kept is not lost, `{command}` continues")) } else { error }
    })
}

/// This program as it can be started again, for messages that name the next command: `pumua` alone is found by few shells, and
/// is another program on many systems. As a shell takes it, like all of an advised command.
fn started_as() -> String {
    let typed = std::env::args_os().next().map(PathBuf::from).filter(|name| name.components().count() > 1);
    let found = typed.or_else(|| std::env::current_exe().ok());
    found.map_or_else(|| "pumua".to_owned(), quoted)
}

/// A word of a command that a message advises, as a shell takes it: what may be special to one stands between quotes. What
/// cannot be seen, or is no text, is escaped (`$'…'`, as bash, zsh and BusyBox have it).
fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%".contains(c);
    let escaped = |&byte: &u8| match byte {
        b' '..=b'~' if !b"'\\".contains(&byte) => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if !text.contains(is_hidden) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => format!("$'{}'", word.as_bytes().iter().map(escaped).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use shared::verdict::Digest;
    use trust::{KeyId, Kind, LINE, SecretKey, Version};

    use super::*;

    #[test]
    fn a_shell_takes_an_advised_word_for_what_it_is() {
        let taken = |shell: &str, word: &OsStr| {
            let output = Command::new(shell).args(["-c", &format!("printf %s {}", quoted(word))]).output().ok()?;
            Some(output.stdout)
        };
        for (word, expected) in [
            ("runs/20260131-142500-adam", "runs/20260131-142500-adam"),
            ("Müller", "Müller"),
            ("", "''"),
            ("my run", "'my run'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("~", "'~'"),
            ("a;b`c`\\d\"*?[!#&|<>(){}", "'a;b`c`\\d\"*?[!#&|<>(){}'"),
        ] {
            assert_eq!(quoted(word), expected);
            assert_eq!(taken("sh", word.as_ref()).unwrap(), word.as_bytes());
        }
        for (word, expected) in [
            (&b"a\nb'\\ c"[..], r"$'a\012b\047\134 c'"),
            (b"\x1b[2J1", r"$'\033[2J1'"),
            (b"\xff1", r"$'\3771'"),
            ("\u{202e}gpj".as_bytes(), r"$'\342\200\256gpj'"),
        ] {
            let word = OsStr::from_bytes(word);
            assert_eq!(quoted(word), expected);
            match taken("bash", word) {
                Some(bytes) => assert_eq!(bytes, word.as_bytes()),
                None => println!("skipped: no bash"),
            }
        }
    }

    #[test]
    fn a_signature_stays_beside_the_bytes_that_were_signed_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (image, digest) = (folder.path().join("box.img"), Digest::of(b"an image"));
        let signature = beside(&image);
        let drop = |digest: Digest| drop_old_signature(&image, &digest.to_string());
        drop(digest).unwrap();
        let statement = Statement {
            kind: Kind::Image,
            line: LINE.to_owned(),
            counter: 1,
            least: Version([0, 1, 0]),
            made: "2026-01-31".to_owned(),
            name: "box.img".to_owned(),
            digest,
        };
        let key = SecretKey::of_seed(&[1; 32], KeyId([1; 8]));
        fs::write(&signature, Signature::new(&key, b"an image", statement.to_string()).to_file()).unwrap();
        drop(digest).unwrap();
        assert!(signature.exists());
        drop(Digest::of(b"another")).unwrap();
        assert!(!signature.exists());
        fs::write(&signature, "a letter\n").unwrap();
        drop(digest).unwrap();
        assert!(!signature.exists());
        fs::create_dir(&signature).unwrap();
        assert!(drop(digest).unwrap_err().to_string().contains("delete it"));
    }

    #[test]
    fn what_is_read_of_labelled_radiographs_is_told_from_what_is_not() {
        for read in ["NORMAL/a", "train/pneumonia/b/film.dcm", "labels.csv", "all/labels.csv", "images/film.PNG"] {
            assert!(is_labelled(Path::new(read)), "{read}");
        }
        for other in ["m2.onnx", "models/m2.int8.onnx", "NORMAL.onnx", "NORMALS/m2", "box.img", "report.json"] {
            assert!(!is_labelled(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn an_earlier_output_is_replaced_on_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("NORMAL")).unwrap();
        for name in ["m2.onnx", "NORMAL/m2.onnx", "film.png"] {
            fs::write(path(name), "earlier").unwrap();
        }
        let check = |name: &str| check_outputs(&[folder.path()], &[&path(name)], &[]);
        check("m2.onnx").unwrap();
        for read in ["NORMAL/m2.onnx", "film.png"] {
            assert_eq!(check(read).unwrap_err().exit, Exit::Usage, "{read}");
        }
    }

    #[test]
    fn no_folder_that_is_read_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("data/train/NORMAL")).unwrap();
        let check = |name: &str| check_outputs(&[&path("data")], &[], &[&path(name)]);
        for name in ["data", "data/train/NORMAL", "data/train/NORMAL/sheets", "data/new/sheets"] {
            assert_eq!(check(name).unwrap_err().exit, Exit::Usage, "{name}");
        }
        check("sheets").unwrap();
    }
}
