//! Which keys may sign models.

use thiserror::Error;

use crate::{KeyError, KeyId, MAX_LIST_BYTES, PublicKey, Signature, statement::number};

/// Its first line, with the version of its form.
const KIND: &str = "pumua-keys-1";
/// Most keys on a list, and most roots.
const MOST: usize = 64;

/// A list of keys that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ListError {
    /// It is not one, or names a key twice, or revokes one that it names.
    #[error("this is not a list of keys: use a file that `pumua keys` has made")]
    Form,
    /// Too few of the roots have signed it.
    #[error("{signed} of the roots have signed the list of keys, and {needed} are needed: have others sign it, too")]
    Threshold {
        /// How many have.
        signed: usize,
        /// How many must.
        needed: usize,
    },
}

/// Roots that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RootsError {
    /// So many of none.
    #[error("`roots_needed` says how many of the roots sign, and `roots` names none: name them, or take it away")]
    None,
    /// One of them is not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not as many as must sign.
    #[error(
        "there are {keys} different roots, and {needed} of them are to sign: name 1 to {MOST} roots, and no more to sign than there are"
    )]
    Count {
        /// How many there are.
        keys: usize,
        /// How many must sign.
        needed: usize,
    },
}

/// The keys that everything begins with, and how many of them sign together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    keys: Vec<PublicKey>,
    needed: usize,
}

impl Roots {
    /// Nobody can sign anything.
    pub(crate) const NOBODY: Self = Self { keys: Vec::new(), needed: 1 };

    /// So many of these keys are needed.
    ///
    /// # Errors
    /// [`RootsError`]: there are not so many different ones.
    pub fn new(keys: Vec<PublicKey>, needed: usize) -> Result<Self, RootsError> {
        let ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
        let points: Vec<_> = keys.iter().map(|key| key.key).collect();
        if different(&ids) && different(&points) && (1..=keys.len()).contains(&needed) && keys.len() <= MOST {
            Ok(Self { keys, needed })
        } else {
            Err(RootsError::Count { keys: keys.len(), needed })
        }
    }

    /// Those that settings name, of which so many are needed, or all; `None` where they name none.
    ///
    /// # Errors
    /// [`RootsError`]: one of them is not a key, or there are not so many.
    pub fn of_settings(keys: Option<&[String]>, needed: Option<u8>) -> Result<Option<Self>, RootsError> {
        let Some(keys) = keys else { return if needed.is_some() { Err(RootsError::None) } else { Ok(None) } };
        let keys: Vec<PublicKey> = keys.iter().map(|key| key.parse()).collect::<Result<_, KeyError>>()?;
        let needed = needed.map_or(keys.len(), usize::from);
        Self::new(keys, needed).map(Some)
    }

    /// Whether this is one of them.
    pub(crate) fn has(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|root| root.key == key.key)
    }

    /// How many of them have signed this: each counts once.
    fn signed(&self, text: &str, signatures: &[Signature]) -> usize {
        let has = |key: &&PublicKey| signatures.iter().any(|signature| signature.verify(key, text.as_bytes()).is_ok());
        self.keys.iter().filter(has).count()
    }
}

/// A list of keys, of which the roots have been looked at.
///
/// ```text
/// pumua-keys-1
/// counter 3
/// key RWTx…
/// revoked 4F1DE2A6C09B3377
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyList {
    /// Rises from one list to the next. A box takes none with a smaller one than it has.
    pub counter: u64,
    /// The keys that may sign models.
    pub keys: Vec<PublicKey>,
    /// Those that may not any more.
    pub revoked: Vec<KeyId>,
}

impl KeyList {
    /// Reads a list that the roots have signed, and looks at their signatures first.
    ///
    /// # Errors
    /// [`ListError`]: too few of the roots have signed it, or it is none.
    pub fn verified(text: &str, signatures: &str, roots: &Roots) -> Result<Self, ListError> {
        if text.len() > MAX_LIST_BYTES || signatures.len() > MAX_LIST_BYTES {
            return Err(ListError::Form);
        }
        let signatures = Signature::several(signatures).map_err(|_| ListError::Form)?;
        if signatures.len() > MOST {
            return Err(ListError::Form);
        }
        let (signed, needed) = (roots.signed(text, &signatures), roots.needed);
        if signed < needed {
            return Err(ListError::Threshold { signed, needed });
        }
        Self::read(text)
    }

    /// Reads a list, whoever has made it.
    ///
    /// # Errors
    /// [`ListError::Form`]: it is none.
    pub fn read(text: &str) -> Result<Self, ListError> {
        let mut lines = text.lines();
        if lines.next() != Some(KIND) {
            return Err(ListError::Form);
        }
        let counter = lines.next().and_then(|line| line.strip_prefix("counter ")).and_then(number);
        let mut list = Self { counter: counter.ok_or(ListError::Form)?, keys: Vec::new(), revoked: Vec::new() };
        for line in lines {
            match line.split_once(' ') {
                Some(("key", key)) => list.keys.push(key.parse().map_err(|_| ListError::Form)?),
                Some(("revoked", id)) => list.revoked.push(id.parse().map_err(|_| ListError::Form)?),
                _ => return Err(ListError::Form),
            }
        }
        // One way to write it, so that nobody reads another list than was signed.
        let fits = list.keys.len() <= MOST && list.revoked.len() <= MOST && list.to_file() == text;
        if fits && list.is_plain() { Ok(list) } else { Err(ListError::Form) }
    }

    /// Whether each key has one name and one place.
    fn is_plain(&self) -> bool {
        let named = self.keys.iter().map(|key| key.id);
        let ids: Vec<KeyId> = named.chain(self.revoked.iter().copied()).collect();
        let keys: Vec<_> = self.keys.iter().map(|key| key.key).collect();
        different(&ids) && different(&keys)
    }

    /// The text that the roots sign.
    pub fn to_file(&self) -> String {
        let keys = self.keys.iter().map(|key| format!("key {key}\n"));
        let revoked = self.revoked.iter().map(|id| format!("revoked {id}\n"));
        let head = [format!("{KIND}\ncounter {}\n", self.counter)];
        head.into_iter().chain(keys).chain(revoked).collect()
    }

    /// The key of this id, if it may sign.
    pub(crate) fn key(&self, id: KeyId) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

/// Whether none of these is there twice.
fn different<T: PartialEq>(all: &[T]) -> bool {
    (0..all.len()).all(|n| !all[..n].contains(&all[n]))
}
