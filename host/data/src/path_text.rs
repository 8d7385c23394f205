//! Paths in settings that are kept as text: one that is not UTF-8 is kept as its bytes.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Text(String),
    Bytes(Vec<u8>),
}

/// For `#[serde(with)]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => path.as_os_str().as_bytes().serialize(serializer),
    }
}

/// For `#[serde(with)]`.
///
/// # Errors
/// It is neither text nor bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(match Kept::deserialize(deserializer)? {
        Kept::Text(text) => text.into(),
        Kept::Bytes(bytes) => OsString::from_vec(bytes).into(),
    })
}

/// The same of paths that may be absent.
pub mod option {
    use super::{Deserializer, Path, PathBuf, Serializer};

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => super::serialize(Path::new(path), serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with, default)]`: what is absent is not asked for.
    ///
    /// # Errors
    /// It is neither text nor bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Settings {
        #[serde(default, skip_serializing_if = "Option::is_none", with = "option")]
        data: Option<PathBuf>,
    }

    #[test]
    fn paths_of_any_bytes_come_back() {
        for (bytes, text) in [(&b"a/b"[..], "data = \"a/b\"\n"), (b"n\xe9", "data = [110, 233]\n")] {
            let settings = Settings { data: Some(OsString::from_vec(bytes.to_vec()).into()) };
            assert_eq!(toml::to_string(&settings).unwrap(), text);
            assert_eq!(toml::from_str::<Settings>(text).unwrap(), settings);
        }
        let none = Settings { data: None };
        assert_eq!(toml::from_str::<Settings>(&toml::to_string(&none).unwrap()).unwrap(), none);
    }
}
