//! What a signer says of a model, of a bundle of the box's own program, of the image of a memory card, or of a clinic's settings.

use std::{fmt, str::FromStr};

use shared::verdict::Digest;
use thiserror::Error;

/// The boxes of this project: what they show is for children's chest X-rays.
pub const LINE: &str = "screener";

/// Most characters of a name or a line.
const MAX_WORD: usize = 64;

/// A statement that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the signature says nothing that a box understands: sign the file with `pumua sign`, or have `minisign -t` sign the \
     comment that it prints"
)]
pub struct StatementError;

/// Three numbers, of which the first counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u16; 3]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl FromStr for Version {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        let numbers: Vec<u16> = text.split('.').map(number).collect::<Option<_>>().ok_or(StatementError)?;
        Ok(Self(numbers.try_into().map_err(|_| StatementError)?))
    }
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An ONNX model.
    Model,
    /// The file system of a slot: the box's own program, packed.
    Software,
    /// The image of a memory card, as its file lies there: compressed or not.
    Image,
    /// A site file: a clinic's own settings.
    Site,
}

impl Kind {
    /// All of them.
    const ALL: [Self; 4] = [Self::Model, Self::Software, Self::Image, Self::Site];

    /// The first word of a statement, with the version of its form.
    const fn word(self) -> &'static str {
        match self {
            Self::Model => "pumua-model-1",
            Self::Software => "pumua-software-1",
            Self::Image => "pumua-image-1",
            Self::Site => "pumua-site-1",
        }
    }
}

/// The trusted comment of a signature: one line, in which everything has its place and nothing may be left out.
///
/// ```text
/// pumua-model-1 line=screener counter=7 box=0.1.0 made=2026-11-30 name=pumua-9 sha256=ba78…15ad
/// ```
///
/// That of a bundle begins with `pumua-software-1`, that of a card's image with `pumua-image-1`, that of a site file with `pumua-site-1`. A
/// key that the list names may sign all of them; the signature of one is none of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is of.
    pub kind: Kind,
    /// For which kind of box it is: [`LINE`].
    pub line: String,
    /// Rises from one that is given out to the next of its kind. A box takes none with a smaller one than it has seen.
    pub counter: u64,
    /// The earliest version of the box's program that can use it; of an image, the earliest of the program that writes it.
    pub least: Version,
    /// The day on which it was signed, as the signer says: `YYYY-MM-DD`.
    pub made: String,
    /// Its name, for people.
    pub name: String,
    /// Digest of the file of a model, an image or settings, or of the payload of a bundle.
    pub digest: Digest,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, line, counter, least, made, name, digest } = self;
        let kind = kind.word();
        write!(f, "{kind} line={line} counter={counter} box={least} made={made} name={name} sha256={digest}")
    }
}

impl FromStr for Statement {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        let mut words = text.split(' ');
        let first = words.next();
        let kind = Kind::ALL.into_iter().find(|kind| first == Some(kind.word())).ok_or(StatementError)?;
        let mut value = |key: &str| {
            let word = words.next().and_then(|word| word.strip_prefix(key)).and_then(|rest| rest.strip_prefix('='));
            word.ok_or(StatementError)
        };
        let statement = Self {
            kind,
            line: word(value("line")?)?,
            counter: number(value("counter")?).ok_or(StatementError)?,
            least: value("box")?.parse()?,
            made: day(value("made")?)?,
            name: word(value("name")?)?,
            digest: digest(value("sha256")?)?,
        };
        // One way to write it: nothing behind it, no other digits.
        if statement.to_string() == text { Ok(statement) } else { Err(StatementError) }
    }
}

/// A number in decimal digits, without a sign or zeros before it.
pub(crate) fn number<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// A name: letters, digits, `.`, `_` and `-`.
fn word(text: &str) -> Result<String, StatementError> {
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(permitted);
    if fits { Ok(text.to_owned()) } else { Err(StatementError) }
}

fn day(text: &str) -> Result<String, StatementError> {
    let bytes = text.as_bytes();
    let fits = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, &byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    if fits { Ok(text.to_owned()) } else { Err(StatementError) }
}

fn digest(text: &str) -> Result<Digest, StatementError> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(StatementError);
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| StatementError)?;
    }
    Ok(Digest(bytes))
}
