//! What a box takes.

use serde::{Deserialize, Serialize};
use shared::verdict::{Digest, Trust};

use crate::{
    Digests, KeyId, KeyList, Kind, LINE, Package, PackageHead, PublicKey, Refused, Roots, Signature, Statement,
    Version, test_keys,
};

/// Keys of which a box remembers the greatest counter; of more it forgets those that were seen first.
const MOST_SEEN: usize = 64;

/// What a box remembers of what it has seen. Nothing of it is a secret, and all of it was believed when it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Known {
    /// The model with the greatest counter of each key, in the order in which the keys were seen.
    pub seen: Vec<Seen>,
    /// The counter of the newest list of keys, and the keys that it revokes: also where other roots are believed by now.
    pub revoked: (u64, Vec<KeyId>),
    /// The newest list of keys, and its signatures.
    pub list: Option<[String; 2]>,
}

/// A model, or a bundle, that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The key that has signed it.
    pub key: KeyId,
    /// Its counter.
    pub counter: u64,
    /// Its digest: of a bundle that of its payload.
    pub model: Digest,
}

/// A model that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The ONNX file.
    pub model: &'a [u8],
    /// What is to be said of who made it.
    pub trust: Trust,
    /// What is to be remembered of it; `None` of one that nobody has signed.
    pub seen: Option<Seen>,
    /// What its signer says, likewise.
    pub statement: Option<Statement>,
}

/// A bundle of the box's own program that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSoftware {
    /// What is to be said of who made it.
    pub trust: Trust,
    /// What is to be remembered of it; `None` of one that nobody has signed.
    pub seen: Option<Seen>,
    /// What its signer says, likewise.
    pub statement: Option<Statement>,
}

/// The image of a memory card that somebody vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedImage {
    /// What is to be said of who made it.
    pub trust: Trust,
    /// The key that has signed it.
    pub key: KeyId,
    /// What its signer says.
    pub statement: Statement,
}

/// A site file that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSite {
    /// What is to be said of who made it.
    pub trust: Trust,
    /// What is to be remembered of it.
    pub seen: Seen,
    /// What its signer says.
    pub statement: Statement,
    /// Whether a key of the clinic's own has signed it, which no list names.
    pub is_own: bool,
}

/// Decides what a box takes. Models, bundles and site files each have a gate of their own, [`Gate::new`], [`Gate::for_software`] and
/// [`Gate::for_site`]: their counters have nothing to do with each other.
#[derive(Debug, Clone)]
pub struct Gate {
    roots: Roots,
    /// Whether the test key is among the roots.
    test: bool,
    /// Whether models are taken that nobody has signed.
    unsigned: bool,
    version: Version,
    known: Known,
    /// The newest list that these roots have signed.
    list: Option<KeyList>,
    /// Keys that a person has added at the box: they sign site files, and nothing else.
    own: Vec<PublicKey>,
}

impl Gate {
    /// A gate with these roots, or without any with the test key that is built in. `version` is that of the box's program.
    pub fn new(roots: Option<Roots>, unsigned: bool, version: Version) -> Self {
        let test_root = PublicKey::of_file(test_keys::ROOT).ok();
        // Whoever names it among others is no safer for that.
        let test = roots.as_ref().is_none_or(|roots| test_root.is_some_and(|key| roots.has(&key)));
        let roots = roots.or_else(|| Roots::new(vec![test_root?], 1).ok());
        // Without a root there is nobody whom anything is believed.
        let roots = roots.unwrap_or(Roots::NOBODY);
        let mut gate = Self { roots, test, unsigned, version, known: Known::default(), list: None, own: Vec::new() };
        if test {
            gate.remember(built_in());
        }
        gate
    }

    /// The same for bundles of the box's own program: the counter of the model that is built in is nothing to them.
    pub fn for_software(roots: Option<Roots>, unsigned: bool, version: Version) -> Self {
        let mut gate = Self::new(roots, unsigned, version);
        gate.known.seen.clear();
        gate
    }

    /// The same for site files, of which none is taken that nobody has signed.
    pub fn for_site(roots: Option<Roots>, version: Version) -> Self {
        Self::for_software(roots, false, version)
    }

    /// From now on these keys of a clinic may sign site files, and no others of its own.
    pub fn set_own(&mut self, keys: Vec<PublicKey>) {
        self.own = keys;
    }

    /// A gate that takes what nobody has signed, for development and tests.
    pub fn open() -> Self {
        Self::new(None, true, Version([u16::MAX; 3]))
    }

    /// What is to be said of the model that is part of the program.
    pub fn trust_in_built_in(&self) -> Trust {
        if self.test { Trust::TestKey } else { Trust::BuiltIn }
    }

    /// What the box remembers now.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Takes note of what a box has seen before. No counter falls; a list that these roots have not signed, or an older one, says
    /// nothing, but what it revoked when it was believed stays revoked until a newer one says otherwise.
    pub fn remember(&mut self, known: Known) {
        known.seen.into_iter().for_each(|seen| self.see(seen));
        if known.revoked.0 > self.known.revoked.0 {
            self.known.revoked = known.revoked;
        }
        if let Some([text, signatures]) = known.list
            && let Ok(list) = KeyList::verified(&text, &signatures, &self.roots)
        {
            self.take_list(list, [text, signatures]);
        }
    }

    /// Takes note of a model, or of a bundle, that is taken.
    pub fn see(&mut self, seen: Seen) {
        let all = &mut self.known.seen;
        match all.iter_mut().find(|other| other.key == seen.key) {
            Some(other) if other.counter < seen.counter => *other = seen,
            Some(_) => {}
            None => {
                all.push(seen);
                all.drain(..all.len().saturating_sub(MOST_SEEN));
            }
        }
    }

    fn take_list(&mut self, list: KeyList, text: [String; 2]) {
        if self.list.as_ref().is_some_and(|known| known.counter >= list.counter) {
            return;
        }
        if list.counter >= self.known.revoked.0 {
            self.known.revoked = (list.counter, list.revoked.clone());
        }
        self.list = Some(list);
        self.known.list = Some(text);
    }

    /// Takes over the list of keys that comes with a model, if it is newer. It counts from then on, whatever becomes of the model.
    ///
    /// # Errors
    /// [`Refused::List`]: it is not one that these roots have signed.
    pub fn learn(&mut self, package: &Package<'_>) -> Result<(), Refused> {
        self.learn_list(package.list)
    }

    /// The same of the list of keys in the head of a package.
    ///
    /// # Errors
    /// [`Refused::List`], likewise.
    pub fn learn_head(&mut self, head: &PackageHead<'_>) -> Result<(), Refused> {
        self.learn_list(head.list)
    }

    fn learn_list(&mut self, list: Option<[&str; 2]>) -> Result<(), Refused> {
        let Some([text, signatures]) = list else { return Ok(()) };
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
            let unsigned = Checked { model, trust: Trust::Unsigned, seen: None, statement: None };
            return if self.unsigned { Ok(unsigned) } else { Err(Refused::NotSigned) };
        };
        let (trust, seen, statement) = self.signed(text, Kind::Model, &Digests::of(model))?;
        Ok(Checked { model, trust, seen: Some(seen), statement: Some(statement) })
    }

    /// Looks at who made a bundle that the box is to have, of whose payload these are the digests. A list of keys in the head counts
    /// only after [`Self::learn_head`].
    ///
    /// # Errors
    /// [`Refused`]: who says that it is good, and of what, if anybody does.
    pub fn check_software(&self, head: &PackageHead<'_>, digests: &Digests) -> Result<CheckedSoftware, Refused> {
        let Some(text) = head.signature else {
            let unsigned = CheckedSoftware { trust: Trust::Unsigned, seen: None, statement: None };
            return if self.unsigned { Ok(unsigned) } else { Err(Refused::NotSigned) };
        };
        let (trust, seen, statement) = self.signed(text, Kind::Software, digests)?;
        Ok(CheckedSoftware { trust, seen: Some(seen), statement: Some(statement) })
    }

    /// Looks at who made the image of a memory card, of whose file these are the digests. Where images are written no counter is
    /// remembered: an earlier one passes.
    ///
    /// # Errors
    /// [`Refused`]: who says that it is good, and of what, if anybody does. One that nobody has signed never passes here.
    pub fn check_image(&self, signature: Option<&str>, digests: &Digests) -> Result<CheckedImage, Refused> {
        let text = signature.ok_or(Refused::NotSigned)?;
        let (trust, seen, statement) = self.signed(text, Kind::Image, digests)?;
        Ok(CheckedImage { trust, key: seen.key, statement })
    }

    /// Looks at who made a site file.
    ///
    /// # Errors
    /// [`Refused`]: who says that it is good, and of what, if anybody does.
    pub fn check_site(&self, signature: Option<&str>, file: &[u8]) -> Result<CheckedSite, Refused> {
        let text = signature.ok_or(Refused::NotSigned)?;
        let (trust, seen, statement) = self.signed(text, Kind::Site, &Digests::of(file))?;
        let is_own = self.list.as_ref().is_none_or(|list| list.key(seen.key).is_none());
        // A person has vouched for it, whatever the roots are; but whose key everybody has may have been anybody.
        let is_everybodys = self.own.iter().any(|key| key.id == seen.key && is_test_key(key));
        let trust = if is_own && !is_everybodys { Trust::Signed } else { trust };
        Ok(CheckedSite { trust, seen, statement, is_own })
    }

    /// Looks at the head of a bundle before its payload is there, so that nobody sends in vain what would be refused: at the key, which
    /// must have signed the statement, and at what that says. Nothing is to be believed yet, for the payload may be another one. A list
    /// of keys in the head counts here.
    ///
    /// # Errors
    /// [`Refused`]: the bundle would be refused, whatever its payload.
    pub fn glance_at_software(&self, head: &PackageHead<'_>) -> Result<Option<Statement>, Refused> {
        let Some(text) = head.signature else {
            return if self.unsigned { Ok(None) } else { Err(Refused::NotSigned) };
        };
        let mut gate = self.clone();
        gate.learn_head(head)?;
        let signature = Signature::of_file(text)?;
        signature.verify_comment(gate.key(signature.key, Kind::Software)?)?;
        let statement = gate.stated(&signature, Kind::Software)?;
        gate.may_follow(&Seen { key: signature.key, counter: statement.counter, model: statement.digest })?;
        Ok(Some(statement))
    }

    /// What a signature of a file with these digests says, and who says it.
    fn signed(&self, text: &str, kind: Kind, digests: &Digests) -> Result<(Trust, Seen, Statement), Refused> {
        let signature = Signature::of_file(text)?;
        let key = self.key(signature.key, kind)?;
        signature.verify_hash(key, &digests.blake2b)?;
        let statement = self.stated(&signature, kind)?;
        if statement.digest != digests.sha256 {
            return Err(Refused::OtherDigest);
        }
        let trust = if self.test || is_test_key(key) { Trust::TestKey } else { Trust::Signed };
        let seen = Seen { key: key.id, counter: statement.counter, model: statement.digest };
        Ok((trust, seen, statement))
    }

    /// What a signature says, if it is of this kind and for this box.
    fn stated(&self, signature: &Signature, kind: Kind) -> Result<Statement, Refused> {
        let statement: Statement = signature.comment.parse()?;
        if statement.kind != kind {
            return Err(Refused::OtherKind);
        }
        if statement.line != LINE {
            return Err(Refused::OtherLine(statement.line));
        }
        if statement.least > self.version {
            return Err(Refused::NeedsNewer(statement.least));
        }
        Ok(statement)
    }

    /// The key of this name, if it may sign such a thing. One of a list goes before one of a clinic that calls itself the same.
    fn key(&self, id: KeyId, kind: Kind) -> Result<&PublicKey, Refused> {
        if self.is_revoked(id) {
            return Err(Refused::KeyRevoked(id));
        }
        let listed = self.list.as_ref().and_then(|list| list.key(id));
        let own = || self.own.iter().find(|key| kind == Kind::Site && key.id == id);
        listed.or_else(own).ok_or(Refused::KeyUnknown(id))
    }

    fn is_revoked(&self, id: KeyId) -> bool {
        self.known.revoked.1.contains(&id) || self.list.as_ref().is_some_and(|list| list.revoked.contains(&id))
    }

    /// Looks whether a model that was checked may take the place of those that the box has had, by its counter: only the same one may
    /// have the same. Keys that may not sign any more have no say. [`Self::check`] looks at all but this: where a person at the box has let an
    /// older model in, only this does not count.
    ///
    /// # Errors
    /// [`Refused::Older`]: the box has had a later one.
    pub fn may_follow(&self, seen: &Seen) -> Result<(), Refused> {
        // A gate for something else has no keys of a clinic.
        let counts = |had: &&Seen| self.key(had.key, Kind::Site).is_ok();
        for had in self.known.seen.iter().filter(counts) {
            if had.counter > seen.counter || (had.counter == seen.counter && had.model != seen.model) {
                return Err(Refused::Older { counter: seen.counter, floor: had.counter });
            }
        }
        Ok(())
    }
}

/// What is known of the model that is part of the program, and of the test keys.
fn built_in() -> Known {
    let signature = Signature::of_file(test_keys::MODEL_SIGNATURE).ok();
    let seen = signature.and_then(|signature| {
        let Statement { counter, digest: model, .. } = signature.comment.parse().ok()?;
        Some(Seen { key: signature.key, counter, model })
    });
    let list = [test_keys::LIST, test_keys::LIST_SIGNATURE].map(ToOwned::to_owned);
    Known { seen: seen.into_iter().collect(), list: Some(list), ..Known::default() }
}

/// Whether anybody can sign with it: a list of others may name it, too.
fn is_test_key(key: &PublicKey) -> bool {
    let root = PublicKey::of_file(test_keys::ROOT);
    let named = KeyList::read(test_keys::LIST).map(|list| list.keys).unwrap_or_default();
    named.iter().chain(root.iter()).any(|test| test.key == key.key)
}
