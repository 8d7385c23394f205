//! Hospitals: several folders or archives in one catalogue.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use base::Shown;
use serde::{Deserialize, Serialize};
use shared::{contract::InputContract, verdict::Digest};

use super::{
    Catalogue, DataError, Inputs,
    cache::{self, Cache},
    inputs::IN_MEMORY,
    load::load_into,
};

/// Longest name of a site, in characters.
const MAX_NAME: usize = 32;

/// Radiographs of one hospital, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// 1 to 32 letters and digits of ASCII, `-` and `_`: the first folder of its names in a catalogue.
    pub name: String,
    /// The folder or archive.
    #[serde(with = "super::path_text")]
    pub path: PathBuf,
}

impl Site {
    /// What the data are called that no site is named for.
    pub const HOME: &str = "home";
}

/// Not a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// no name and place
    #[error("give NAME=FOLDER, such as `clinic=radiographs/clinic`")]
    NoName,
    /// not a name
    #[error("`{name}` cannot be the name of a site: take 1 to {MAX_NAME} letters and digits, `-` and `_`", name = Shown(.0))]
    Name(String),
}

impl TryFrom<OsString> for Site {
    type Error = SiteError;

    fn try_from(text: OsString) -> Result<Self, SiteError> {
        let bytes = text.as_bytes();
        let end = bytes.iter().position(|&byte| byte == b'=').ok_or(SiteError::NoName)?;
        let (name, path) = (String::from_utf8_lossy(&bytes[..end]), OsStr::from_bytes(&bytes[end + 1..]));
        if path.is_empty() {
            return Err(SiteError::NoName);
        }
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !letters || !(1..=MAX_NAME).contains(&name.len()) {
            return Err(SiteError::Name(name.into_owned()));
        }
        Ok(Self { name: name.into_owned(), path: path.into() })
    }
}

/// Loads the radiographs of several hospitals, each with a layout of its own, as [`load`](super::load()) does. Names and
/// patients begin with the name of their site and `/`, and each sample says it. The order of the sites does not matter.
pub fn load_sites(sites: &[Site], contract: &InputContract) -> Result<(Catalogue, Inputs), DataError> {
    let mut sites: Vec<&Site> = sites.iter().collect();
    // As their radiographs are sorted.
    sites.sort_by_key(|site| format!("{}/", site.name));
    let (mut all, mut inputs) = (Catalogue::default(), Inputs::none(*contract));
    let mut cache = Cache::new(cache::folder(), IN_MEMORY);
    let mut first: BTreeMap<[u8; 32], String> = BTreeMap::new();
    let mut named_otherwise = false;
    for (number, site) in sites.iter().enumerate() {
        if sites[..number].iter().any(|other| other.name.eq_ignore_ascii_case(&site.name)) {
            return Err(DataError::SiteTwice(site.name.clone()));
        }
        let (mut one, its_inputs) = load_into(&site.path, contract, &mut cache)?;
        one.name_after(&site.name);
        for sample in &one.samples {
            if let Some(other) = first.insert(sample.digest.0, sample.name.clone()) {
                return Err(DataError::InTwoSites(other, sample.name.clone()));
            }
        }
        if one.former_names.is_empty() {
            all.former_names.extend(one.samples.iter().map(|sample| sample.name.clone()));
        } else {
            named_otherwise = true;
            all.former_names.append(&mut one.former_names);
        }
        all.samples.append(&mut one.samples);
        all.skipped.append(&mut one.skipped);
        all.notes.append(&mut one.notes);
        all.synthetic |= one.synthetic;
        inputs.append(its_inputs);
    }
    if !named_otherwise {
        all.former_names.clear();
    }
    cache.tidy();
    Ok((all, inputs))
}

impl Catalogue {
    /// Gives its radiographs to a site.
    fn name_after(&mut self, site: &str) {
        for sample in &mut self.samples {
            sample.name = format!("{site}/{}", sample.name);
            sample.patient = format!("{site}/{}", sample.patient);
            site.clone_into(&mut sample.site);
        }
        for name in &mut self.former_names {
            *name = format!("{site}/{name}");
        }
        for skipped in &mut self.skipped {
            skipped.name = format!("{site}/{}", skipped.name);
        }
        for note in &mut self.notes {
            *note = format!("{site}: {note}");
        }
    }

    /// The radiographs of each site, indices into [`Self::samples`], by its name; of one without a name, `""`.
    pub fn by_site(&self) -> BTreeMap<&str, Vec<usize>> {
        self.grouped_by_site((0..self.samples.len()).map(|index| (index, index)))
    }

    /// Something of each of some radiographs, given by their indices into [`Self::samples`], site by site in their order.
    pub fn grouped_by_site<T>(&self, of: impl IntoIterator<Item = (usize, T)>) -> BTreeMap<&str, Vec<T>> {
        let mut sites: BTreeMap<&str, Vec<T>> = BTreeMap::new();
        for (index, one) in of {
            sites.entry(&self.samples[index].site).or_default().push(one);
        }
        sites
    }

    /// [`Self::digest`] of the radiographs of a site as if they were loaded alone, whatever the site is called.
    pub fn digest_of_site(&self, site: &str) -> Digest {
        let here = self.samples.iter().filter(|sample| sample.site == site);
        Self::digest_of(here.map(|sample| (sample.name_at_site(), sample.patient_at_site(), sample)))
    }

    /// True if this is the [digest of a site](Self::digest_of_site), also if an earlier version made it.
    pub fn has_digest_at_site(&self, site: &str, digest: &str) -> bool {
        let former = self.formerly().map(|named| {
            let here = named.filter(|(_, sample)| sample.site == site);
            Self::digest_of(here.map(|(name, sample)| (sample.without_site(name), sample.patient_at_site(), sample)))
        });
        [Some(self.digest_of_site(site)), former].into_iter().flatten().any(|known| known.to_string() == digest)
    }
}

#[cfg(test)]
mod tests {
    use engine::{ModelCard, SiteRecord};

    use super::*;
    use crate::{Label, SkipReason, Skipped, load, split, synthetic};

    const CONTRACT: InputContract = InputContract::stretched(16);

    fn site(name: &str, folder: &tempfile::TempDir) -> Site {
        Site { name: name.to_owned(), path: folder.path().to_owned() }
    }

    fn folders() -> [tempfile::TempDir; 2] {
        [1, 2].map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            synthetic::write(folder.path(), 6, seed).unwrap();
            folder
        })
    }

    #[test]
    fn names_and_patients_of_sites_do_not_collide() {
        let [one, two] = folders();
        std::fs::write(two.path().join("NORMAL/broken.png"), "text").unwrap();
        let (a, b) = (site("a", &one), site("a-b", &two));
        let (all, inputs) = load_sites(&[a.clone(), b.clone()], &CONTRACT).unwrap();
        let (swapped, same) = load_sites(&[b, a], &CONTRACT).unwrap();
        assert_eq!((&swapped.samples, &swapped.skipped, &same), (&all.samples, &all.skipped, &inputs));
        assert_eq!((all.samples.len(), inputs.len(), all.synthetic), (12, 12, true));
        assert!(all.samples.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(
            all.skipped.iter().map(|skipped| skipped.name.as_str()).collect::<Vec<_>>(),
            ["a-b/NORMAL/broken.png"]
        );
        assert!(matches!(all.skipped[..], [Skipped { reason: SkipReason::Refused(_), .. }]));
        for (name, folder) in [("a", &one), ("a-b", &two)] {
            let (alone, pixels) = load(folder.path(), &CONTRACT).unwrap();
            let indices = &all.by_site()[name];
            assert_eq!(all.digest_of_site(name), alone.digest());
            assert_ne!(all.digest(), alone.digest());
            for (&index, (number, sample)) in indices.iter().zip(alone.samples.iter().enumerate()) {
                assert_eq!(all.samples[index].name, format!("{name}/{}", sample.name));
                assert_eq!(all.samples[index].name_at_site(), sample.name);
                assert_eq!(all.samples[index].patient_at_site(), sample.patient);
                assert_eq!((&*all.samples[index].site, &*sample.site), (name, ""));
                assert_eq!(inputs.of(index).unwrap(), pixels.of(number).unwrap());
            }
            assert_eq!(indices.len(), alone.samples.len());
        }
        assert_eq!(all.count(Label::Normal), 6);
    }

    #[test]
    fn sites_that_cannot_be_told_apart_are_refused() {
        let [one, two] = folders();
        let twice = load_sites(&[site("a", &one), site("A", &two)], &CONTRACT);
        assert!(matches!(twice, Err(DataError::SiteTwice(_))));
        std::fs::copy(
            one.path().join("NORMAL/synthetic-0000-normal.png"),
            two.path().join("PNEUMONIA/synthetic-0009-other.png"),
        )
        .unwrap();
        let shared = load_sites(&[site("b", &one), site("a", &two)], &CONTRACT).unwrap_err();
        let words = shared.to_string();
        assert!(words.contains("a/PNEUMONIA/synthetic-0009-other.png") && words.contains("b/NORMAL/"), "{words}");
    }

    #[test]
    fn sites_with_a_copy_are_known_by_the_digests_that_they_had() {
        let [one, two] = folders();
        let doubled = tempfile::tempdir().unwrap();
        for (drawn, name) in [
            ("NORMAL/synthetic-0000-normal.png", "NORMAL/IM-0001-0001.png"),
            ("PNEUMONIA/synthetic-0001-pneumonia.png", "PNEUMONIA/person1_virus_1.png"),
        ] {
            for copy in ["", "Copy/"] {
                let path = doubled.path().join(format!("{copy}{name}"));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::copy(one.path().join(drawn), path).unwrap();
            }
        }
        let (all, _) = load_sites(&[site("a", &doubled), site("b", &two)], &CONTRACT).unwrap();
        assert_eq!(all.by_site()["a"].len(), 2);
        // What earlier versions made of them: names of the copy, which comes first.
        let mut before = all.clone();
        before.former_names.clear();
        for sample in before.samples.iter_mut().filter(|sample| sample.site == "a") {
            sample.name = format!("a/Copy/{}", sample.name_at_site());
        }
        assert_ne!(before.digest(), all.digest());
        assert_ne!(before.digest_of_site("a"), all.digest_of_site("a"));
        assert!(all.has_digest(&before.digest().to_string()) && all.has_digest(&all.digest().to_string()));

        let record = |site: &str, left_out| SiteRecord {
            name: site.to_owned(),
            data_digest: before.digest_of_site(site).to_string(),
            left_out,
            ..SiteRecord::default()
        };
        let mut card = ModelCard::new("test", CONTRACT);
        card.provenance.data_digest = "other data beside these".to_owned();
        card.provenance.sites = vec![record("a", true), record("b", false)];
        assert_eq!(split::known_sites(&card, &all), ["a", "b"]);
        assert_eq!(split::left_out(&card, &all), Some("a"));
        let (b, _) = load_sites(&[site("b", &two)], &CONTRACT).unwrap();
        assert_eq!((b.former_digest(), split::known_sites(&card, &b)), (None, vec!["b"]));
    }

    #[test]
    fn names_are_short_and_plain() {
        let parsed = |text: &str| Site::try_from(OsString::from(text));
        assert_eq!(parsed("a_B-1=x=y"), Ok(Site { name: "a_B-1".to_owned(), path: "x=y".into() }));
        for text in ["", "a", "a="] {
            assert_eq!(parsed(text), Err(SiteError::NoName), "{text}");
        }
        for text in ["=x", "a/b=x", "..=x", "é=x", "a b=x", &format!("{}=x", "x".repeat(MAX_NAME + 1))] {
            assert!(matches!(parsed(text), Err(SiteError::Name(_))), "{text}");
        }
    }
}
