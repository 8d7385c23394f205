//! The files themselves, for code that needs more of a radiograph than the model's input.

use std::{collections::BTreeMap, path::Path};

use super::{
    DataError, Label, SkipReason,
    load::{Found, Labelled},
    source::{Entry, Source},
};

/// Labelled files under the names that they have in a [`super::Catalogue`].
pub struct Files {
    source: Source,
    entries: BTreeMap<String, (Entry, Label)>,
}

impl Files {
    /// Finds the labelled files below a folder or in a ZIP archive; none is read yet.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let Found { source, files, .. } = Found::at(path)?;
        let entries = files.into_iter().map(|Labelled { entry, place, name, .. }| (name, (entry, place.label)));
        Ok(Self { source, entries: entries.collect() })
    }

    /// Names and labels, in the order of the names.
    pub fn list(&self) -> impl Iterator<Item = (&str, Label)> {
        self.entries.iter().map(|(name, (_, label))| (name.as_str(), *label))
    }

    /// The bytes of a file, within the limit for images.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, SkipReason> {
        match self.entries.get(name) {
            Some((entry, _)) => self.source.read(entry),
            None => Err(SkipReason::Unreadable("it is not there any more".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn files_have_the_names_of_the_catalogue() {
        let folder = tempfile::tempdir().unwrap();
        synthetic::write(&folder.path().join("train"), 4, 1).unwrap();
        let files = Files::open(folder.path()).unwrap();
        let names: Vec<_> = files.list().collect();
        assert_eq!(names[0], ("train/NORMAL/synthetic-0000-normal.png", Label::Normal));
        assert_eq!(names[3], ("train/PNEUMONIA/synthetic-0003-pneumonia.png", Label::Pneumonia));
        let on_disk = std::fs::read(folder.path().join(names[3].0)).unwrap();
        assert_eq!(files.read(names[3].0), Ok(on_disk));
        assert!(matches!(files.read("NORMAL/other.png"), Err(SkipReason::Unreadable(_))));
        assert!(matches!(Files::open(&folder.path().join("train/NORMAL")), Err(DataError::NoImages(_))));
    }
}
