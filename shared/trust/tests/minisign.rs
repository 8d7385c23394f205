//! What minisign writes is read here, and the other way round.

use std::{fs, path::Path, process::Command};

use trust::{KeyId, PublicKey, SecretKey, Signature};

/// Runs minisign; `None` where it is not installed.
fn minisign(folder: &Path, arguments: &[&str]) -> Option<bool> {
    match Command::new("minisign").args(arguments).current_dir(folder).output() {
        Ok(output) => Some(output.status.success()),
        Err(_) => {
            println!("skipped: no minisign (Debian: minisign)");
            None
        }
    }
}

#[test]
fn minisign_verifies_what_is_signed_here() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let key = SecretKey::of_seed(&[7; 32], KeyId([1, 2, 3, 4, 5, 6, 7, 8]));
    write("file", "content");
    write("key.pub", &key.public().to_file());
    let comment = "pumua-model-1 line=screener";
    write("file.minisig", &Signature::new(&key, b"content", comment.to_owned()).to_file());
    let verify = ["-V", "-H", "-p", "key.pub", "-m", "file"];
    let Some(good) = minisign(folder.path(), &verify) else { return };
    assert!(good);
    write("file", "contents");
    assert_eq!(minisign(folder.path(), &verify), Some(false));
    // It signs with a key that was made here.
    write("key", &key.to_file());
    assert_eq!(minisign(folder.path(), &["-S", "-s", "key", "-m", "file", "-t", comment]), Some(true));
    let signature = Signature::of_file(&fs::read_to_string(folder.path().join("file.minisig")).unwrap()).unwrap();
    assert_eq!((signature.verify(&key.public(), b"contents"), signature.comment.as_str()), (Ok(()), comment));
    assert_eq!(signature, Signature::new(&key, b"contents", comment.to_owned()), "to the bit");
}

#[test]
fn what_minisign_signs_is_verified_here() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    let Some(made) = minisign(folder.path(), &["-G", "-W", "-p", "key.pub", "-s", "key"]) else { return };
    assert!(made);
    let sign = ["-S", "-s", "key", "-m", "file", "-t", "a comment"];
    assert_eq!(minisign(folder.path(), &sign), Some(true));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let public = PublicKey::of_file(&read("key.pub")).unwrap();
    assert_eq!(SecretKey::of_file(&read("key")).unwrap().public(), public);
    let signature = Signature::of_file(&read("file.minisig")).unwrap();
    assert_eq!(signature.verify(&public, b"content"), Ok(()));
    assert!(signature.verify(&public, b"contents").is_err());
    // The old kind, over the file itself.
    assert_eq!(minisign(folder.path(), &[&sign[..], &["-l"]].concat()), Some(true));
    assert_eq!(Signature::of_file(&read("file.minisig")), Err(trust::SignatureError::Unhashed));
}
