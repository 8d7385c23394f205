//! A model that a box is to judge by.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::{
    Shown,
    files::{read_text, read_up_to},
};
use engine::{DEFAULT_MODEL, Model, ModelError};
use shared::appliance::card::{KEYS, signature_of};
use trust::{MAX_LIST_BYTES, MAX_SIGNATURE_BYTES, Package, test_keys};

/// A model that has been tried as the box will.
pub struct ModelForBox {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// The signature that lies beside it.
    pub signature: Option<String>,
    /// The list of keys that lies beside it, and its signatures.
    pub list: Option<[String; 2]>,
    /// The same, ready to run.
    pub model: Model,
}

/// Why a model is not one for a box.
#[derive(Debug, thiserror::Error)]
pub enum ModelForBoxError {
    /// The file cannot be read.
    #[error("cannot read the model {path}: {source}: name a file that you may read", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What lies beside it cannot be read.
    #[error("cannot read {path}, which lies beside it: {source}: correct it, or take it away", path = Shown(path.display()))]
    Beside {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a list of keys without its signatures, or the other way round.
    #[error("the list of keys beside it lacks {missing}: put it there, or take both away", missing = Shown(missing.display()))]
    HalfAList {
        /// What is missing.
        missing: PathBuf,
    },
    /// The file has more bytes than the box takes.
    #[error("the model {path} is larger than {mebibytes} MiB: use a smaller network", path = Shown(path.display()))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What the box takes, in MiB.
        mebibytes: u64,
    },
    /// The box could not judge by it.
    #[error("the model {path} cannot be used: {source}", path = Shown(path.display()))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
    /// It was trained on drawings, which nobody has allowed.
    #[error(
        "the model {path} is not taken: name a model trained on radiographs, or add --allow-synthetic to try things with \
         this one",
        path = Shown(path.display())
    )]
    Synthetic {
        /// The file.
        path: PathBuf,
    },
    /// The model that ships cannot be used on this computer.
    #[error(transparent)]
    Shipped(#[from] ModelError),
}

impl ModelForBox {
    /// The model that ships.
    ///
    /// # Errors
    /// [`ModelForBoxError::Shipped`]: this computer cannot run it.
    pub fn shipped() -> Result<Self, ModelForBoxError> {
        let list = [test_keys::LIST, test_keys::LIST_SIGNATURE].map(ToOwned::to_owned);
        Ok(Self {
            bytes: DEFAULT_MODEL.to_vec(),
            signature: Some(test_keys::MODEL_SIGNATURE.to_owned()),
            list: Some(list),
            model: Model::for_box(DEFAULT_MODEL, None)?,
        })
    }

    /// Reads a model of at most `limit` bytes and tries it as the box will, so that what is wrong with it shows before the box
    /// has it.
    ///
    /// # Errors
    /// [`ModelForBoxError`]: the file cannot be read, is larger, or holds no model that runs.
    pub fn read(path: &Path, limit: u64) -> Result<Self, ModelForBoxError> {
        let bytes =
            read_up_to(path, limit + 1).map_err(|source| ModelForBoxError::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > limit {
            return Err(ModelForBoxError::TooLarge { path: path.to_owned(), mebibytes: limit >> 20 });
        }
        let model = Model::for_box(&bytes, None)
            .map_err(|source| ModelForBoxError::Unusable { path: path.to_owned(), source })?;
        let signature = text_beside(&beside(path), MAX_SIGNATURE_BYTES)?;
        Ok(Self { bytes, signature, list: list_beside(path)?, model })
    }

    /// Model, signature and list of keys together.
    pub fn package(&self) -> Package<'_> {
        let list = self.list.as_ref().map(|[list, signatures]| [list.as_str(), signatures]);
        Package { signature: self.signature.as_deref(), list, model: &self.bytes }
    }
}

/// Where the signature of a file lies.
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(signature_of(""));
    file.with_file_name(name)
}

/// The list of keys that lies beside a file, and its signatures, if they are there.
///
/// # Errors
/// [`ModelForBoxError`]: one of them cannot be read, or is missing.
pub fn list_beside(file: &Path) -> Result<Option<[String; 2]>, ModelForBoxError> {
    let keys = file.with_file_name(KEYS);
    match (text_beside(&keys, MAX_LIST_BYTES)?, text_beside(&beside(&keys), MAX_LIST_BYTES)?) {
        (Some(list), Some(signatures)) => Ok(Some([list, signatures])),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ModelForBoxError::HalfAList { missing: beside(&keys) }),
        (None, Some(_)) => Err(ModelForBoxError::HalfAList { missing: keys }),
    }
}

/// A text beside a file, if there is one.
pub(crate) fn text_beside(path: &Path, limit: usize) -> Result<Option<String>, ModelForBoxError> {
    match read_text(path, limit as u64) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ModelForBoxError::Beside { path: path.to_owned(), source }),
        Ok(text) => Ok(Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_shows_before_the_box_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let absent = ModelForBox::read(&path, 1000).err().unwrap();
        assert!(matches!(absent, ModelForBoxError::Read { .. }), "{absent}");
        let limit = DEFAULT_MODEL.len() as u64;
        for (bytes, cause) in [
            (vec![], "pumua.card"),
            (DEFAULT_MODEL[..DEFAULT_MODEL.len() / 2].to_vec(), "damaged"),
            (vec![0; DEFAULT_MODEL.len() + 1], "larger than 0 MiB"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let text = ModelForBox::read(&path, limit).err().unwrap().to_string();
            assert!(text.contains(cause) && text.contains("model.onnx"), "{text}");
        }
        // It never ends.
        let endless = ModelForBox::read("/dev/zero".as_ref(), limit).err().unwrap();
        assert!(matches!(endless, ModelForBoxError::TooLarge { .. }), "{endless}");
        std::fs::write(&path, DEFAULT_MODEL).unwrap();
        assert!(ModelForBox::read(&path, limit).unwrap().bytes == DEFAULT_MODEL);
    }
}
