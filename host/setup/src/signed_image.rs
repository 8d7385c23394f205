//! Who vouches for the image of a memory card: the signature that lies beside it, as [minisign](https://jedisct1.github.io/minisign/)
//! writes it, and the list of keys.
//!
//! What is signed is the file as it lies there, compressed or not: an image that is unpacked is another file and has no signature. No
//! counter is remembered, for whoever writes a card may write an earlier image: the signature says who made it, and not that it is the
//! latest one.

use std::{error::Error, fmt, ops::ControlFlow, path::Path};

use trust::{CheckedImage, Digests, Gate, MAX_SIGNATURE_BYTES, PackageHead, Refused, Roots, SignatureError, Version};

use crate::{
    flash::{FlashError, Image},
    model_for_box::{ModelForBoxError, beside, list_beside, text_beside},
};

/// Most bytes that an image may have that is read without a medium to write to: a small file could hold any number, compressed.
const MOST: u64 = 16 << 30;

/// Why an image is not vouched for, in the words of an image: nothing in it is about a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRefused(pub Refused);

impl fmt::Display for ImageRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Refused::NotSigned => f.write_str(
                "nobody has signed this image: put its signature beside it, under the same name with .minisig behind, or have it signed \
                 with `pumua sign`",
            ),
            Refused::Signature(SignatureError::Wrong) | Refused::OtherDigest => f.write_str(
                "the signature beside the image is not that of this image: copy both again, or have it signed again if you made it anew; \
                 else somebody has changed one of them: do not use it",
            ),
            Refused::Signature(SignatureError::Form) => f.write_str(
                "what lies beside the image is not a signature of minisign: copy it again, or have the image signed with `pumua sign`",
            ),
            Refused::Signature(error @ SignatureError::Unhashed) => fmt::Display::fmt(error, f),
            Refused::Statement(_) => f.write_str(
                "the signature beside the image does not say what it is of: have the image signed with `pumua sign`, or have \
                 `minisign -t` sign the comment that it prints",
            ),
            Refused::List(error) => write!(
                f,
                "the list of keys beside the image cannot be used: {error}; or name the roots that have signed it with --root"
            ),
            Refused::KeyUnknown(key) => write!(
                f,
                "no list of keys names the key {key}: put the list that does beside the image, as keys.txt with keys.txt.minisig, and \
                 name the roots that have signed it with --root"
            ),
            Refused::KeyRevoked(key) => {
                write!(f, "the key {key} is revoked: do not use this image; have it signed by another key")
            }
            Refused::OtherKind => f.write_str(
                "the signature beside the image is for a model or a bundle, and not for an image: have the image signed with `pumua sign`",
            ),
            Refused::OtherLine(line) => write!(f, "the image is for boxes of the kind {line}: use one for this kind"),
            Refused::NeedsNewer(version) => {
                write!(f, "the image asks for the version {version} of Pumua: install that one, and write it then")
            }
            // Nobody counts images.
            Refused::Older { .. } => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl Error for ImageRefused {}

/// What lies beside an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BesideImage {
    signature: Option<String>,
    /// The list of keys, and its signatures; of an image without a signature they are not looked at.
    list: Option<[String; 2]>,
}

impl BesideImage {
    /// Reads the signature that lies beside an image, and the list of keys.
    ///
    /// # Errors
    /// [`ModelForBoxError`]: one of them is there and cannot be read, or half of the list is missing.
    pub fn read(image: &Path) -> Result<Self, ModelForBoxError> {
        let signature = text_beside(&beside(image), MAX_SIGNATURE_BYTES)?;
        let list = if signature.is_some() { list_beside(image)? } else { None };
        Ok(Self { signature, list })
    }

    /// Whether there is a signature, whatever it is worth.
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// Looks at who has signed the file with these digests. Without roots the test key is believed, with which anybody can sign: what
    /// comes back says so. `version` is that of the program that writes images.
    ///
    /// # Errors
    /// [`ImageRefused`]: nobody whom the roots have named says that it is good.
    pub fn check(
        &self,
        roots: Option<Roots>,
        version: Version,
        digests: &Digests,
    ) -> Result<CheckedImage, ImageRefused> {
        let list = self.list.as_ref().map(|texts| texts.each_ref().map(String::as_str));
        let mut gate = Gate::new(roots, false, version);
        gate.learn_head(&PackageHead::new(None, list)).map_err(ImageRefused)?;
        gate.check_image(self.signature.as_deref(), digests).map_err(ImageRefused)
    }
}

/// Reads an image to its end, to see that it is whole and one of a box, where there is no medium to write to.
///
/// # Errors
/// [`FlashError`]: it cannot be read, is damaged, has more than 16 GiB, or is not an image of a box.
pub fn read(path: &Path) -> Result<Image, FlashError> {
    Image::check(path, MOST, &mut |_, _, _| ControlFlow::Continue(())).map_err(|error| match error {
        FlashError::TooSmall { .. } => {
            FlashError::ImageUnlike { path: path.to_owned(), reason: format!("it has more than {} GiB", MOST >> 30) }
        }
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use shared::verdict::{Digest, Trust};
    use tempfile::TempDir;
    use trust::{KeyId, KeyList, Kind, LINE, SecretKey, Signature, Statement};

    use super::*;

    const CONTENT: &[u8] = b"an image, as far as a signature goes";
    const VERSION: Version = Version([0, 1, 0]);

    fn key(n: u8) -> SecretKey {
        SecretKey::of_seed(&[n; 32], KeyId([n; 8]))
    }

    fn roots() -> Option<Roots> {
        Some(Roots::new(vec![key(1).public()], 1).unwrap())
    }

    fn statement(kind: Kind) -> Statement {
        let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "box.img".to_owned());
        Statement { kind, line, counter: 1, least: VERSION, made, name, digest: Digest::of(CONTENT) }
    }

    /// An image in a folder, and a list beside it, which the root 1 has signed: the key 10 may sign, and 11 may not any more.
    struct Place(TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            let list = KeyList { counter: 1, keys: vec![key(10).public()], revoked: vec![KeyId([11; 8])] }.to_file();
            let signed = Signature::new(&key(1), list.as_bytes(), String::new()).to_file();
            place.put("keys.txt", &list);
            place.put("keys.txt.minisig", &signed);
            place
        }

        fn put(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }

        fn image(&self) -> PathBuf {
            self.0.path().join("box.img.gz")
        }

        fn sign(&self, n: u8, statement: &Statement) {
            self.put("box.img.gz.minisig", &Signature::new(&key(n), CONTENT, statement.to_string()).to_file());
        }

        fn check(&self, content: &[u8]) -> Result<CheckedImage, Refused> {
            let beside = BesideImage::read(&self.image()).unwrap();
            beside.check(roots(), VERSION, &Digests::of(content)).map_err(|ImageRefused(refused)| refused)
        }
    }

    #[test]
    fn an_image_is_vouched_for_as_it_was_signed_and_not_when_a_byte_of_it_is_another() {
        let place = Place::new();
        assert_eq!(place.check(CONTENT), Err(Refused::NotSigned));
        place.sign(10, &statement(Kind::Image));
        let checked = place.check(CONTENT).unwrap();
        assert_eq!((checked.trust, checked.key), (Trust::Signed, KeyId([10; 8])));
        assert_eq!(checked.statement, statement(Kind::Image));
        for at in [0, CONTENT.len() / 2, CONTENT.len() - 1] {
            let mut altered = CONTENT.to_vec();
            altered[at] ^= 1;
            assert_eq!(place.check(&altered), Err(Refused::Signature(SignatureError::Wrong)), "{at}");
        }
        for altered in [&CONTENT[1..], &CONTENT[..CONTENT.len() - 1], &[CONTENT, b"\0"].concat()] {
            assert_eq!(place.check(altered), Err(Refused::Signature(SignatureError::Wrong)));
        }
    }

    #[test]
    fn whoever_may_not_sign_or_signs_something_else_is_told_of() {
        let place = Place::new();
        let refused = |n: u8, statement: &Statement| {
            place.sign(n, statement);
            place.check(CONTENT).unwrap_err()
        };
        let other = |change: fn(&mut Statement)| {
            let mut statement = statement(Kind::Image);
            change(&mut statement);
            refused(10, &statement)
        };
        assert_eq!(refused(10, &statement(Kind::Model)), Refused::OtherKind);
        assert_eq!(refused(10, &statement(Kind::Software)), Refused::OtherKind);
        assert_eq!(refused(11, &statement(Kind::Image)), Refused::KeyRevoked(KeyId([11; 8])));
        assert_eq!(refused(12, &statement(Kind::Image)), Refused::KeyUnknown(KeyId([12; 8])));
        assert_eq!(other(|s| s.line = "other".to_owned()), Refused::OtherLine("other".to_owned()));
        assert_eq!(other(|s| s.least = Version([9, 0, 0])), Refused::NeedsNewer(Version([9, 0, 0])));
        assert_eq!(other(|s| s.digest = Digest::of(b"another")), Refused::OtherDigest);
        // The list is that of somebody else.
        place.sign(10, &statement(Kind::Image));
        let beside = BesideImage::read(&place.image()).unwrap();
        let others = Roots::new(vec![key(2).public()], 1).unwrap();
        for roots in [None, Some(others)] {
            let ImageRefused(refused) = beside.check(roots, VERSION, &Digests::of(CONTENT)).unwrap_err();
            assert!(matches!(refused, Refused::List(_)), "{refused}");
        }
        place.put("box.img.gz.minisig", "a letter\n");
        assert_eq!(place.check(CONTENT), Err(Refused::Signature(SignatureError::Form)));
    }

    #[test]
    fn what_lies_beside_counts_only_with_a_signature_and_is_never_long() {
        let place = Place::new();
        fs::remove_file(place.0.path().join("keys.txt.minisig")).unwrap();
        assert!(!BesideImage::read(&place.image()).unwrap().is_signed(), "half a list is nobody's concern");
        place.sign(10, &statement(Kind::Image));
        assert!(matches!(BesideImage::read(&place.image()), Err(ModelForBoxError::HalfAList { .. })));
        place.put("box.img.gz.minisig", &"x".repeat(MAX_SIGNATURE_BYTES + 1));
        assert!(matches!(BesideImage::read(&place.image()), Err(ModelForBoxError::Beside { .. })));
    }

    #[test]
    fn words_say_what_to_do_and_are_those_of_images() {
        let key = KeyId([10; 8]);
        for refused in [
            Refused::NotSigned,
            Refused::Signature(SignatureError::Form),
            Refused::Signature(SignatureError::Unhashed),
            Refused::Signature(SignatureError::Wrong),
            Refused::Statement(trust::StatementError),
            Refused::OtherDigest,
            Refused::KeyUnknown(key),
            Refused::KeyRevoked(key),
            Refused::OtherKind,
            Refused::OtherLine("other".to_owned()),
            Refused::NeedsNewer(VERSION),
        ] {
            let words = ImageRefused(refused).to_string();
            assert!(words.contains(':') && !words.contains("the model"), "{words}");
        }
    }
}
