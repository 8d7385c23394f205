//! A site file: settings of a clinic's own, which a box takes over the line when somebody has signed them.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::{Shown, files::read_up_to};
use node::{Wired, WiredError};
use shared::{
    appliance::{MAX_SITE_BYTES, SiteSettings},
    verdict::{Digest, SiteRefusal},
};
use trust::{Kind, MAX_SIGNATURE_BYTES, Package, PublicKey, Signature, Statement};

use crate::model_for_box::{ModelForBoxError, beside, list_beside, text_beside};

/// How the names of site files end.
const ENDING: &str = "toml";

/// A site file that has been looked at as the box will.
#[derive(Debug)]
pub struct SiteFile {
    /// The file as it lies there: what is signed.
    pub bytes: Vec<u8>,
    /// The signature that lies beside it.
    signature: Option<String>,
    /// The list of keys that lies beside it, and its signatures.
    list: Option<[String; 2]>,
}

/// Why a file is no site file, or is not one to be sent.
#[derive(Debug, thiserror::Error)]
pub enum SiteFileError {
    /// The file cannot be read.
    #[error("cannot read the settings {path}: {source}: name a file that you may read", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What lies beside it cannot be read.
    #[error(transparent)]
    Beside(#[from] ModelForBoxError),
    /// It is too long, or no text.
    #[error("the settings {path} are no text of at most {} KiB: shorten them, and save them as UTF-8", MAX_SITE_BYTES >> 10, path = Shown(.0.display()))]
    Text(PathBuf),
    /// It is not TOML, or has keys or values that [`SiteSettings`] does not have.
    #[error("the settings {path} cannot be used; correct them:\n{}", .source.to_string().trim_end(), path = Shown(path.display()))]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// No X-ray machine could send.
    #[error("the settings {path} cannot be used: {source}", path = Shown(path.display()))]
    Wired {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WiredError,
    },
    /// The box would not take it, whoever is believed there.
    #[error(transparent)]
    Refused(#[from] SiteRefusal),
    /// Another key has signed it than is to be added.
    #[error(
        "the key that is to be added has not signed the settings: name the one that has with --add-key, or sign them with it"
    )]
    OtherKey,
}

impl SiteFile {
    /// Whether a file is one, as its name says.
    pub fn is_one(path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(ENDING))
    }

    /// Reads one as a box will, so that what is wrong with it shows before anybody signs it.
    ///
    /// # Errors
    /// [`SiteFileError`]: it cannot be read, or a box would not use it.
    pub fn read(path: &Path) -> Result<Self, SiteFileError> {
        let here = || path.to_owned();
        let bytes = read_up_to(path, MAX_SITE_BYTES as u64 + 1)
            .map_err(|source| SiteFileError::Read { path: here(), source })?;
        let text = str::from_utf8(&bytes).ok().filter(|text| text.len() <= MAX_SITE_BYTES);
        let text = text.ok_or_else(|| SiteFileError::Text(here()))?;
        let settings = toml::from_str::<SiteSettings>(text)
            .map_err(|source| SiteFileError::Toml { path: here(), source: Box::new(source) })?;
        Wired::of_settings(None, settings.aet.as_deref(), None, settings.peers.as_deref())
            .map_err(|source| SiteFileError::Wired { path: here(), source })?;
        let signature = text_beside(&beside(path), MAX_SIGNATURE_BYTES)?;
        Ok(Self { bytes, signature, list: list_beside(path)? })
    }

    /// What is stated when it is signed.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// What its signature says, as far as it can be seen here: it must be of this file.
    ///
    /// # Errors
    /// [`SiteFileError::Refused`]: every box would refuse it.
    pub fn statement(&self) -> Result<Statement, SiteFileError> {
        let signature = self.signed()?;
        let statement = signature.comment.parse::<Statement>().map_err(|_| SiteRefusal::WrongSignature)?;
        if statement.kind != Kind::Site {
            return Err(SiteRefusal::OtherKind.into());
        }
        if statement.digest != self.digest() {
            return Err(SiteRefusal::WrongSignature.into());
        }
        Ok(statement)
    }

    /// From now on it brings this key, which has signed it, for a person at the box to add; or none, whatever its signature names.
    ///
    /// # Errors
    /// [`SiteFileError`]: it is not this key that has signed it.
    pub fn bring_key(&mut self, key: Option<PublicKey>) -> Result<(), SiteFileError> {
        let mut signature = self.signed()?;
        if let Some(key) = &key {
            signature.verify(key, &self.bytes).map_err(|_| SiteFileError::OtherKey)?;
        }
        signature.named = key;
        self.signature = Some(signature.to_file());
        Ok(())
    }

    fn signed(&self) -> Result<Signature, SiteFileError> {
        let text = self.signature.as_deref().ok_or(SiteRefusal::NotSigned)?;
        Signature::of_file(text).map_err(|_| SiteRefusal::WrongSignature.into())
    }

    /// The file, its signature and the list of keys together.
    pub fn package(&self) -> Package<'_> {
        let list = self.list.as_ref().map(|[list, signatures]| [list.as_str(), signatures]);
        Package { signature: self.signature.as_deref(), list, model: &self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use trust::{KeyId, LINE, SecretKey, Version};

    use super::*;

    const TEXT: &str = "language = \"fr\"\npeers = [\"192.168.7.20=CR1\"]\n";

    fn key(n: u8) -> SecretKey {
        SecretKey::of_seed(&[n; 32], KeyId([n; 8]))
    }

    fn sign(path: &Path, kind: Kind, text: &str) {
        let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "ward-3".to_owned());
        let digest = Digest::of(text.as_bytes());
        let statement = Statement { kind, line, counter: 7, least: Version([0, 1, 0]), made, name, digest };
        let signature = Signature::new(&key(20), text.as_bytes(), statement.to_string()).to_file();
        std::fs::write(beside(path), signature).unwrap();
    }

    #[test]
    fn what_is_wrong_with_settings_shows_before_anybody_signs_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ward-3.toml");
        assert!(SiteFile::is_one(&path) && !SiteFile::is_one("model.onnx".as_ref()) && !SiteFile::is_one("".as_ref()));
        assert!(matches!(SiteFile::read(&path), Err(SiteFileError::Read { .. })));
        for (text, words) in [
            ("roots = []", "unknown field `roots`, expected one of `language`, `rotate`"),
            ("share = \"open\"", "unknown field `share`"),
            ("language = \"xx\"", "the language of the screen is one of en, "),
            ("peers = [\"console\"]", "`peers` cannot be used"),
            ("aet = \"\"", "`aet` cannot be used"),
            ("language", "correct them"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = SiteFile::read(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("ward-3.toml"), "{text}: {error}");
        }
        for bytes in [b"# caf\xe9\n".to_vec(), vec![b'#'; MAX_SITE_BYTES + 1]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(SiteFile::read(&path), Err(SiteFileError::Text(_))));
        }
        std::fs::write(&path, vec![b'#'; MAX_SITE_BYTES]).unwrap();
        SiteFile::read(&path).unwrap();
    }

    #[test]
    fn a_file_is_sent_only_with_a_signature_of_it_and_brings_no_key_but_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ward-3.toml");
        std::fs::write(&path, TEXT).unwrap();
        let refused = || SiteFile::read(&path).unwrap().statement().unwrap_err();
        let is = |error: &SiteFileError, refusal| matches!(error, SiteFileError::Refused(found) if *found == refusal);
        assert!(is(&refused(), SiteRefusal::NotSigned));
        sign(&path, Kind::Model, TEXT);
        assert!(is(&refused(), SiteRefusal::OtherKind));
        sign(&path, Kind::Site, "language = \"pt\"\n");
        assert!(is(&refused(), SiteRefusal::WrongSignature));
        sign(&path, Kind::Site, TEXT);
        let mut file = SiteFile::read(&path).unwrap();
        assert_eq!(file.statement().unwrap().counter, 7);
        assert!(matches!(file.bring_key(Some(key(21).public())), Err(SiteFileError::OtherKey)));
        // Of a file that names a key by itself nothing is asked of the box either.
        for brought in [Some(key(20).public()), None] {
            file.bring_key(brought).unwrap();
            let signature = Signature::of_file(file.package().signature.unwrap()).unwrap();
            assert_eq!(signature.named, brought);
            signature.verify(&key(20).public(), TEXT.as_bytes()).unwrap();
        }
    }
}
