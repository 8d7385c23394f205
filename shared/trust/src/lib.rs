//! Who says that a model, or the box's own program, is good: keys, signatures, statements, lists of keys, and what a box takes.
//!
//! A **signature** is a file as [minisign](https://jedisct1.github.io/minisign/) writes it, so that its program checks one, too:
//! Ed25519 (RFC 8032) over the BLAKE2b-512 of the file, and over that signature with the *trusted comment* behind it. The comment of
//! a model is its [`Statement`]: what the file is, for which boxes, and a counter by which a box tells an older one.
//!
//! Which keys may sign models is said by a [`KeyList`], a text that as many [`Roots`] sign as are asked for. It has a counter, too,
//! and names the keys that are revoked. The roots are part of the settings of the box, or else the test keys that are built in:
//! anybody can sign with those, and everything says so.
//!
//! What goes over the line and lies on the disk is a [`Package`]: a model with its signature and the list of keys. A [`Gate`] looks at
//! it before anything else reads the model.
//!
//! A bundle of the box's own program is signed in the same way, with a statement of another [`Kind`]: neither passes for the other. It is
//! too long for memory, so its [`PackageHead`] and the [`Digests`] of its payload are looked at instead.
//!
//! The image of a memory card has its signature beside it, as a model has, with a [`Kind`] of its own. No box sees it: the program that
//! writes the card looks at it.
//!
//! A **site file**, a clinic's own settings, is signed in the same way. For these alone a box may know other keys than those of the list: keys
//! of the clinic, each of which a person has added at the box.
//!
//! Signatures are verified as strictly as RFC 8032 allows (`verify_strict`): no second form of a signature, and no keys of small order.

mod gate;
mod key;
mod list;
mod package;
mod refused;
mod signature;
mod statement;
#[cfg(test)]
mod vectors;

pub use self::{
    gate::{Checked, CheckedImage, CheckedSite, CheckedSoftware, Gate, Known, Seen},
    key::{KeyError, KeyId, PublicKey, SecretKey},
    list::{KeyList, ListError, Roots, RootsError},
    package::{Digester, Digests, MAX_HEAD_BYTES, Package, PackageError, PackageHead},
    refused::Refused,
    signature::{Signature, SignatureError},
    statement::{Kind, LINE, Statement, StatementError, Version},
};

/// Most bytes of a signature's file, of which a statement is the longest part.
pub const MAX_SIGNATURE_BYTES: usize = 4 << 10;
/// Most bytes of a list of keys, and of its signatures.
pub const MAX_LIST_BYTES: usize = 16 << 10;

/// What the test keys of the repository have signed.
pub mod test_keys {
    /// The root, as its holder would publish it.
    pub const ROOT: &str = include_str!("../../../models/trust/test-root.pub");
    /// The list of keys that it has signed.
    pub const LIST: &str = include_str!("../../../models/trust/keys.txt");
    /// That signature.
    pub const LIST_SIGNATURE: &str = include_str!("../../../models/trust/keys.txt.minisig");
    /// The signature of the model that ships.
    pub const MODEL_SIGNATURE: &str = include_str!("../../../models/pumua.onnx.minisig");
}
