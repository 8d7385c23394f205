//! The files themselves, for code that needs more of a radiograph than the model's input.

use std::{collections::BTreeMap, path::Path};

use super::{
    DataError, Label, Site, SkipReason,
    load::{Found, Labelled},
    source::{Entry, Source},
};

/// Labelled files under the names that they have in a [`super::Catalogue`], without folders that are copies of others.
#[derive(Default)]
pub struct Files {
    sources: Vec<Source>,
    /// With the number of their source.
    entries: BTreeMap<String, (usize, Entry, Label)>,
}

impl Files {
    /// Finds the labelled files below a folder or in a ZIP archive. They are read only where a folder seems to be a copy of
    /// another one.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let mut files = Self::default();
        files.add(path, |name| name)?;
        Ok(files)
    }

    /// Those of several hospitals, as [`super::load_sites`] names them.
    pub fn open_sites(sites: &[Site]) -> Result<Self, DataError> {
        let mut files = Self::default();
        for Site { name: site, path } in sites {
            files.add(path, |name| format!("{site}/{name}"))?;
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path, name_of: impl Fn(String) -> String) -> Result<(), DataError> {
        let (source, files) = Found::at(path)?.without_copies();
        let number = self.sources.len();
        let entry = |Labelled { entry, place, name, .. }| (name_of(name), (number, entry, place.label));
        self.entries.extend(files.into_iter().map(entry));
        self.sources.push(source);
        Ok(())
    }

    /// Names and labels, in the order of the names.
    pub fn list(&self) -> impl Iterator<Item = (&str, Label)> {
        self.entries.iter().map(|(name, (.., label))| (name.as_str(), *label))
    }

    /// The bytes of a file, within the limit for images.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, SkipReason> {
        match self.entries.get(name) {
            Some((number, entry, _)) => self.sources[*number].read(entry),
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
        let sites = ["a", "b"].map(|name| Site { name: name.to_owned(), path: folder.path().to_owned() });
        let both = Files::open_sites(&sites).unwrap();
        assert_eq!((both.list().count(), both.read(&format!("b/{}", names[3].0))), (8, files.read(names[3].0)));
        assert!(matches!(Files::open(&folder.path().join("train/NORMAL")), Err(DataError::NoImages(_))));
    }
}
