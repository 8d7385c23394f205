//! What a box takes.

use shared::verdict::{Digest, Trust};

use crate::{KeyId, KeyList, LINE, Package, PublicKey, Refused, Roots, Signature, Statement, Version, test_keys};

/// What a box remembers of what it has seen: the greatest counter of a model, and the newest list of keys with its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The greatest counter of a model that was taken.
    pub counter: u64,
    /// The newest list of keys, and its signatures.
    pub list: Option<[String; 2]>,
}

/// A model that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The ONNX file.
    pub model: &'a [u8],
    /// What is to be said of who made it.
    pub trust: Trust,
    /// What its signer says; `None` of one that nobody has signed.
    pub statement: Option<Statement>,
}

/// Decides what a box takes.
#[derive(Debug, Clone)]
pub struct Gate {
    roots: Roots,
    /// Whether the roots are the test keys.
    test: bool,
    /// Whether models are taken that nobody has signed.
    unsigned: bool,
    version: Version,
    /// What is part of the program.
    built_in: Known,
    known: Known,
    /// The keys of the newest list that there is.
    list: Option<KeyList>,
}

impl Gate {
    /// A gate with these roots, or without any with the test keys that are built in. `version` is that of the box's program.
    pub fn new(roots: Option<Roots>, unsigned: bool, version: Version) -> Self {
        let test_root = PublicKey::of_file(test_keys::ROOT).ok();
        // Whoever names it among others is no safer for that.
        let test = roots.as_ref().is_none_or(|roots| test_root.is_some_and(|key| roots.has(&key)));
        let roots = roots.or_else(|| Roots::new(vec![test_root?], 1).ok());
        let mut gate = Self {
            // Without a root there is nobody whom anything is believed.
            roots: roots.unwrap_or(Roots::NOBODY),
            test,
            unsigned,
            version,
            built_in: Known::default(),
            known: Known::default(),
            list: None,
        };
        if test {
            let signature = Signature::of_file(test_keys::MODEL_SIGNATURE).ok();
            let statement: Option<Statement> = signature.and_then(|signature| signature.comment.parse().ok());
            let list = [test_keys::LIST, test_keys::LIST_SIGNATURE].map(ToOwned::to_owned);
            gate.remember(Known { counter: statement.map_or(0, |statement| statement.counter), list: Some(list) });
            gate.built_in = gate.known.clone();
        }
        gate
    }

    /// A gate that takes what nobody has signed, for development and tests.
    pub fn open() -> Self {
        Self::new(None, true, Version([u16::MAX; 3]))
    }

    /// Whether models are taken that nobody has signed.
    pub fn takes_unsigned(&self) -> bool {
        self.unsigned
    }

    /// What is to be said of the model that is part of the program.
    pub fn trust_in_built_in(&self) -> Trust {
        if self.test { Trust::TestKey } else { Trust::Signed }
    }

    /// What is known without having seen anything.
    pub fn built_in(&self) -> &Known {
        &self.built_in
    }

    /// What the box remembers now.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Takes note of what a box has seen before. A counter never falls, and a list that these roots have not signed, or an older one,
    /// says nothing.
    pub fn remember(&mut self, known: Known) {
        self.known.counter = self.known.counter.max(known.counter);
        if let Some([text, signatures]) = known.list
            && let Ok(list) = KeyList::verified(&text, &signatures, &self.roots)
        {
            self.take_list(list, [text, signatures]);
        }
    }

    fn take_list(&mut self, list: KeyList, text: [String; 2]) {
        if self.list.as_ref().is_none_or(|known| known.counter < list.counter) {
            self.list = Some(list);
            self.known.list = Some(text);
        }
    }

    /// Takes over the list of keys that comes with a model, if it is newer. It counts from then on, whatever becomes of the model.
    ///
    /// # Errors
    /// [`Refused::List`]: it is not one that these roots have signed.
    pub fn learn(&mut self, package: &Package<'_>) -> Result<(), Refused> {
        let Some([text, signatures]) = package.list else { return Ok(()) };
        let list = KeyList::verified(text, signatures, &self.roots)?;
        self.take_list(list, [text.to_owned(), signatures.to_owned()]);
        Ok(())
    }

    /// Looks at who made a model that the box has, or is to have.
    ///
    /// # Errors
    /// [`Refused`]: who says that it is good, and of what, if anybody does.
    pub fn check<'a>(&self, package: &Package<'a>) -> Result<Checked<'a>, Refused> {
        let model = package.model;
        let Some(text) = package.signature else {
            let unsigned = Checked { model, trust: Trust::Unsigned, statement: None };
            return if self.unsigned { Ok(unsigned) } else { Err(Refused::NotSigned) };
        };
        let wrong = |error: &dyn std::error::Error| Refused::Wrong(error.to_string());
        let signature = Signature::of_file(text).map_err(|error| wrong(&error))?;
        let statement = self.signed(&signature, model)?;
        if statement.line != LINE {
            return Err(Refused::OtherLine(statement.line));
        }
        if statement.least > self.version {
            return Err(Refused::NeedsNewer(statement.least));
        }
        let trust = if self.test || is_test_key(signature.key) { Trust::TestKey } else { Trust::Signed };
        Ok(Checked { model, trust, statement: Some(statement) })
    }

    /// What a key that may sign says of a file.
    fn signed(&self, signature: &Signature, model: &[u8]) -> Result<Statement, Refused> {
        let revoked = |list: &KeyList| list.revoked.contains(&signature.key);
        let list = self.list.as_ref().ok_or(Refused::KeyUnknown(signature.key))?;
        if revoked(list) {
            return Err(Refused::KeyRevoked(signature.key));
        }
        let key = list.key(signature.key).ok_or(Refused::KeyUnknown(signature.key))?;
        signature.verify(key, model).map_err(|error| Refused::Wrong(error.to_string()))?;
        let statement: Statement =
            signature.comment.parse().map_err(|error: crate::StatementError| Refused::Wrong(error.to_string()))?;
        if statement.digest != Digest::of(model) {
            return Err(Refused::Wrong("it says the digest of another file: sign it again".to_owned()));
        }
        Ok(statement)
    }

    /// Looks whether a model may take the place of those that the box has had, by its counter.
    ///
    /// # Errors
    /// [`Refused::Older`]: the box has had a later one.
    pub fn may_follow(&self, statement: &Statement) -> Result<(), Refused> {
        let (counter, floor) = (statement.counter, self.known.counter);
        if counter < floor { Err(Refused::Older { counter, floor }) } else { Ok(()) }
    }
}

/// Whether the test root has named this key: a list of others may name it, too.
fn is_test_key(id: KeyId) -> bool {
    KeyList::read(test_keys::LIST).is_ok_and(|list| list.key(id).is_some())
}
