//! The model of the settings: on the appliance `/boot/model.onnx`, on a file system without checksums.
//!
//! An image of the memory card has a `manifest.json` with the digest of every file. Where one lies beside the model:
//!
//! - **the model** must be the one that it names, to the bit. If not, or if the manifest cannot be read, the model that is built
//!   into the program judges, and a banner on every screen says that another one was meant. A flipped bit in a card of a
//!   model moves a threshold without any other sign, and nobody edits a model by hand;
//! - **the settings** may differ: people edit them, as `docs/box.md` tells them to. What they may hold is checked when they are
//!   read. That they are not those of the image is said in the log, so that a change that nobody has made can be found.
//!
//! Without a manifest (a package, a model named on the command line) nothing is compared: then the file system is trusted.

use std::{fs::File, io::Read, path::Path};

use engine::{DEFAULT_MODEL, Model, ModelError};
use serde::Deserialize;
use shared::{
    appliance::card::{KEYS, MANIFEST, SETTINGS, signature_of},
    shown::Shown,
    verdict::Digest,
};
use trust::{MAX_LIST_BYTES, MAX_SIGNATURE_BYTES, Package};
use wire::ModelFile;

use super::{InstallError, Models, Vouched};

/// Most bytes of a manifest: one has a few thousand.
const MAX_MANIFEST: u64 = 256 * 1024;

/// The model of the settings, or the one that is built in.
pub struct Configured {
    /// The model.
    pub model: Vouched,
    /// Whether another one was meant.
    pub fell_back: bool,
}

/// Why the model of the settings cannot be used, and no other one is to stand for it.
#[derive(Debug, thiserror::Error)]
pub enum ConfiguredError {
    /// It cannot be read.
    #[error("{0}: name a file that can be read")]
    Read(#[from] std::io::Error),
    /// It cannot be run or decided by.
    #[error(transparent)]
    Model(#[from] InstallError),
    /// The one that is built in cannot be used.
    #[error("the model that is built in cannot be used: {0}")]
    BuiltIn(ModelError),
}

/// What an image was made of, as far as it matters here.
#[derive(Deserialize)]
struct Manifest {
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    sha256: String,
}

impl Manifest {
    /// The manifest beside a file; `None` if there is none.
    fn beside(file: &Path) -> Option<Result<Self, String>> {
        let path = file.with_file_name(MANIFEST);
        match bytes(&path, MAX_MANIFEST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error.to_string())),
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| error.to_string())),
        }
    }

    /// Whether it names a file with this content.
    fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        let digest = Digest::of(bytes).to_string();
        self.files.iter().any(|file| file.name == name && file.sha256 == digest)
    }
}

impl Models {
    /// The model of the settings at this path, or without one the built-in model; reports on stderr if it is not used.
    ///
    /// # Errors
    /// [`ConfiguredError`]: none can be used; or this one cannot, and no manifest says that it was meant to be another.
    pub fn configured(&mut self, path: Option<&Path>) -> Result<Configured, ConfiguredError> {
        let Some(path) = path else { return self.built_in(false) };
        let name = Shown(path.display());
        let manifest = Manifest::beside(path);
        let read = bytes(path, engine::MAX_MODEL_BYTES + 1);
        let bytes = match (read, &manifest) {
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(_)) => {
                crate::say(format_args!("{name} is not used: {error}"));
                return self.built_in(true);
            }
            (Ok(bytes), _) => bytes,
        };
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let whole = match &manifest {
            Some(Ok(manifest)) => {
                tell_settings(path, manifest);
                manifest
                    .holds(&file_name, &bytes)
                    .then_some(())
                    .ok_or("it is not the one that the image had".to_owned())
            }
            Some(Err(error)) => Err(format!("the manifest beside it cannot be used: {error}")),
            None => Ok(()),
        };
        if let Err(error) = whole {
            crate::say(format_args!(
                "{name} is not used: {error}; flash the card again, or send a model with `pumua update`"
            ));
            return self.built_in(true);
        }
        let file = with_signature(path, &bytes);
        match self.begin_with(&file, &mut |_| ()) {
            Ok(model) => Ok(Configured { model, fell_back: false }),
            // A box that judges by its own model, and says so, is better than none: a list of keys from the line may have revoked
            // the key of this one.
            Err(error @ (InstallError::Starts | InstallError::Trust(_))) => {
                crate::say(format_args!("{name} is not used: {error}"));
                self.built_in(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn built_in(&self, fell_back: bool) -> Result<Configured, ConfiguredError> {
        let model = Model::for_box(DEFAULT_MODEL, self.profile).map_err(ConfiguredError::BuiltIn)?;
        let trust = self.gate.trust_in_built_in();
        Ok(Configured { model: Vouched { model, trust, seen: None }, fell_back })
    }
}

/// The model in a file, with the signature and the list of keys that lie beside it.
fn with_signature(path: &Path, model: &[u8]) -> ModelFile {
    let text = |name: &str, most: usize| {
        let bytes = bytes(&path.with_file_name(name), most as u64).ok()?;
        String::from_utf8(bytes).ok()
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let signature = text(&signature_of(&name), MAX_SIGNATURE_BYTES);
    let list = text(KEYS, MAX_LIST_BYTES).zip(text(&signature_of(KEYS), MAX_LIST_BYTES));
    let list = list.as_ref().map(|(list, signatures)| [list.as_str(), signatures]);
    let bytes = Package { signature: signature.as_deref(), list, model }.to_bytes();
    ModelFile { digest: Digest::of(&bytes), bytes }
}

/// Says if the settings beside a model are not those of the image.
fn tell_settings(model: &Path, manifest: &Manifest) {
    let path = model.with_file_name(SETTINGS);
    if let Ok(settings) = bytes(&path, MAX_MANIFEST)
        && !manifest.holds(SETTINGS, &settings)
    {
        crate::say(format_args!(
            "{} is not as the image had it: somebody has edited it, or it is damaged",
            Shown(path.display())
        ));
    }
}

/// What is in a file, up to a limit.
fn bytes(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
