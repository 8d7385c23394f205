//! Files → dataset.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use base::progress;
use rayon::prelude::*;
use shared::{contract::InputContract, verdict::Digest};

use super::{
    DataError, Dataset, Label, Sample, SkipReason, Skipped,
    cache::{self, Decoded},
    metadata::{self, Place},
    source::{Entry, Source},
};

/// A labelled file before it is decoded.
struct Candidate {
    entry: Entry,
    place: Place,
    name: String,
    digest: Digest,
    /// What was read, as long as there was room for it among [`HELD_BYTES`].
    bytes: Option<Vec<u8>>,
}

/// Files are held from their digest until they are decoded, up to this many bytes in all; what lies beyond is read again.
const HELD_BYTES: usize = 256 * 1024 * 1024;

impl Dataset {
    /// Loads the radiographs below a folder, or in a ZIP archive, brought to the input of `contract`.
    ///
    /// A file belongs to the nearest folder `NORMAL` or `PNEUMONIA` above it, and to the official part whose folder
    /// (`train`, `val` or `test`) lies directly above that one. What cannot be used is listed in `skipped`. Decoded
    /// images are cached; without a place for the cache, or with a spoilt one, they are decoded again.
    pub fn load(path: &Path, contract: &InputContract) -> Result<Self, DataError> {
        Self::load_with_cache(path, contract, cache::folder().as_deref())
    }

    fn load_with_cache(path: &Path, contract: &InputContract, folder: Option<&Path>) -> Result<Self, DataError> {
        let source = Source::open(path)?;
        let mut skipped = Vec::new();
        let candidates = digest_all(&source, labelled(source.entries()?), HELD_BYTES, &mut skipped);
        let files = candidates.len() + skipped.len();
        if files == 0 {
            return Err(DataError::NoImages(path.to_owned()));
        }
        let mut candidates = without_duplicates(candidates, &mut skipped);
        let decoded = decode_all(&source, &mut candidates, contract, folder);

        let mut samples = Vec::with_capacity(candidates.len());
        for (candidate, decoded) in candidates.into_iter().zip(decoded) {
            let Candidate { place, name, digest, .. } = candidate;
            match decoded {
                Ok(pixels) => samples.push(Sample {
                    label: place.label,
                    subtype: metadata::subtype(&name).filter(|_| place.label == Label::Pneumonia),
                    patient: metadata::patient(&name, place.official),
                    official: place.official,
                    name,
                    digest,
                    pixels,
                }),
                Err(reason) => skipped.push(Skipped { name, reason }),
            }
        }
        skipped.sort_by(|a, b| a.name.cmp(&b.name));
        match (samples.is_empty(), skipped.first()) {
            (true, Some(Skipped { name, reason })) => {
                Err(DataError::NothingUsable { path: path.to_owned(), files, first: format!("{name}: {reason}") })
            }
            _ => {
                let synthetic = samples.iter().any(|sample| metadata::is_synthetic(&sample.name));
                Ok(Self { samples, skipped, synthetic })
            }
        }
    }
}

/// The labelled files with their names: folders that all files have in common above the labels are left out, so that
/// an archive and its unpacked folder give the same names.
pub(super) fn labelled(entries: Vec<Entry>) -> Vec<(Entry, Place, String)> {
    let placed: Vec<_> = entries.into_iter().filter_map(|e| metadata::place(&e.path).map(|p| (e, p))).collect();
    let common = placed.windows(2).all(|w| w[0].1.prefix == w[1].1.prefix);
    let mut named: Vec<_> = placed
        .into_iter()
        .map(|(entry, place)| {
            let name = if common { place.rest.clone() } else { entry.path.clone() };
            (entry, place, name)
        })
        .collect();
    named.sort_by(|a, b| a.2.cmp(&b.2));
    named
}

fn digest_all(
    source: &Source,
    files: Vec<(Entry, Place, String)>,
    held: usize,
    skipped: &mut Vec<Skipped>,
) -> Vec<Candidate> {
    let room = AtomicUsize::new(held);
    let hold = |bytes: Vec<u8>| {
        let taken = |room: usize| room.checked_sub(bytes.len());
        room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok().then_some(bytes)
    };
    let bar = progress::bar(files.len(), "reading");
    let digested: Vec<_> = files
        .into_par_iter()
        .map(|(entry, place, name)| {
            let digest = source.read(&entry).map(|bytes| (Digest::of(&bytes), hold(bytes)));
            bar.inc(1);
            match digest {
                Ok((digest, bytes)) => Ok(Candidate { entry, place, name, digest, bytes }),
                Err(reason) => Err(Skipped { name, reason }),
            }
        })
        .collect();
    bar.finish_and_clear();
    let mut candidates = Vec::with_capacity(digested.len());
    for d in digested {
        match d {
            Ok(candidate) => candidates.push(candidate),
            Err(s) => skipped.push(s),
        }
    }
    candidates
}

/// Keeps the first of equal files, and none of them where their labels differ.
fn without_duplicates(candidates: Vec<Candidate>, skipped: &mut Vec<Skipped>) -> Vec<Candidate> {
    let mut first: BTreeMap<[u8; 32], (String, Label)> = BTreeMap::new();
    let mut contradicted: BTreeMap<[u8; 32], String> = BTreeMap::new();
    for c in &candidates {
        match first.get(&c.digest.0) {
            None => {
                first.insert(c.digest.0, (c.name.clone(), c.place.label));
            }
            Some((_, label)) if *label != c.place.label => {
                contradicted.entry(c.digest.0).or_insert_with(|| c.name.clone());
            }
            Some(_) => {}
        }
    }
    let mut kept = Vec::with_capacity(candidates.len());
    for c in candidates {
        let Some((original, label)) = first.get(&c.digest.0) else { continue };
        let reason = match contradicted.get(&c.digest.0) {
            Some(other) => {
                SkipReason::Contradicts(if *label == c.place.label { other.clone() } else { original.clone() })
            }
            None if *original != c.name => SkipReason::DuplicateOf(original.clone()),
            None => {
                kept.push(c);
                continue;
            }
        };
        skipped.push(Skipped { name: c.name, reason });
    }
    kept
}

fn decode_all(
    source: &Source,
    candidates: &mut [Candidate],
    contract: &InputContract,
    folder: Option<&Path>,
) -> Vec<Result<Vec<u8>, SkipReason>> {
    let reasoned = |decoded: Decoded| decoded.map_err(SkipReason::Refused);
    let key = cache::key(contract, candidates.iter().map(|c| (c.name.as_str(), c.digest)));
    if let Some(decoded) = folder.and_then(|f| cache::load(f, key, candidates.len(), contract.len())) {
        return decoded.into_iter().map(reasoned).collect();
    }
    let bar = progress::bar(candidates.len(), "decoding");
    let read: Vec<Result<Decoded, SkipReason>> = candidates
        .par_iter_mut()
        .map(|c| {
            let decoded = decode_one(source, c, contract);
            bar.inc(1);
            decoded
        })
        .collect();
    bar.finish_and_clear();
    // What could not be read this time may be readable the next time: only whole sets are kept.
    if let (Some(folder), Some(decoded)) = (folder, read.iter().map(|r| r.as_ref().ok()).collect::<Option<Vec<_>>>())
        && let Err(error) = cache::store(folder, key, &decoded)
    {
        base::say!(
            "warning: the decoded images cannot be kept for the next time ({error}); set PUMUA_CACHE to a folder that can be written"
        );
    }
    read.into_iter().map(|r| r.and_then(reasoned)).collect()
}

fn decode_one(source: &Source, candidate: &mut Candidate, contract: &InputContract) -> Result<Decoded, SkipReason> {
    let bytes = match candidate.bytes.take() {
        Some(bytes) => bytes,
        None => {
            let bytes = source.read(&candidate.entry)?;
            if Digest::of(&bytes) != candidate.digest {
                return Err(SkipReason::Unreadable("it was changed while it was read".to_owned()));
            }
            bytes
        }
    };
    Ok(decode::decode(&bytes).map(|radiograph| radiograph.picture().prepare(contract)))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use image::{ColorType, ImageFormat};
    use shared::verdict::Refusal;

    use super::*;
    use crate::Part;

    const CONTRACT: InputContract = InputContract::stretched(16);

    fn png(shade: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let pixels = vec![shade; 40 * 32];
        image::write_buffer_with_format(&mut bytes, &pixels, 40, 32, ColorType::L8, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn files() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("train/NORMAL/IM-0001-0001.jpeg", png(10)),
            ("train/NORMAL/IM-0002-0001.jpeg", png(20)),
            ("train/NORMAL/copy.png", png(10)),
            ("train/PNEUMONIA/person1_virus_1.jpeg", png(30)),
            ("train/PNEUMONIA/broken.jpeg", b"no image".to_vec()),
            ("train/PNEUMONIA/contradiction.png", png(20)),
            ("test/PNEUMONIA/person1_bacteria_2.jpeg", png(40)),
            ("test/readme.txt", b"text".to_vec()),
        ]
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    fn archive(files: &[(&str, Vec<u8>)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
        for (name, bytes) in files {
            zip.start_file(format!("chest_xray/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        let hidden = "__MACOSX/chest_xray/train/NORMAL/._IM-0001-0001.jpeg";
        zip.start_file(hidden, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"metadata").unwrap();
        zip.finish().unwrap();
        file
    }

    #[test]
    fn folder_and_archive_give_the_same() {
        let (root, zip) = (folder(&files()), archive(&files()));
        let cache = tempfile::tempdir().unwrap();
        let data = Dataset::load_with_cache(root.path(), &CONTRACT, Some(cache.path())).unwrap();
        let names: Vec<_> = data.samples.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "test/PNEUMONIA/person1_bacteria_2.jpeg",
                "train/NORMAL/IM-0001-0001.jpeg",
                "train/PNEUMONIA/person1_virus_1.jpeg"
            ]
        );
        assert_eq!(data.samples[0].official, Some(Part::Test));
        assert_eq!(data.samples[1].pixels, [10; 256]);
        let reasons: Vec<_> = data.skipped.iter().map(|s| (s.name.as_str(), s.reason.clone())).collect();
        let contradicts = |name: &str| SkipReason::Contradicts(name.to_owned());
        assert_eq!(
            reasons,
            [
                ("train/NORMAL/IM-0002-0001.jpeg", contradicts("train/PNEUMONIA/contradiction.png")),
                ("train/NORMAL/copy.png", SkipReason::DuplicateOf("train/NORMAL/IM-0001-0001.jpeg".to_owned())),
                ("train/PNEUMONIA/broken.jpeg", SkipReason::Refused(Refusal::UnknownFormat)),
                ("train/PNEUMONIA/contradiction.png", contradicts("train/NORMAL/IM-0002-0001.jpeg")),
            ]
        );

        // The second time from the cache, and from the archive: the same.
        for path in [root.path(), zip.path()] {
            let again = Dataset::load_with_cache(path, &CONTRACT, Some(cache.path())).unwrap();
            assert_eq!(again.samples, data.samples);
            assert_eq!(again.skipped, data.skipped);
            assert_eq!(again.digest(), data.digest());
        }
    }

    #[test]
    fn drawings_stay_synthetic_when_they_are_read() {
        let root = tempfile::tempdir().unwrap();
        crate::synthetic::write(root.path(), 2, 1).unwrap();
        assert!(Dataset::load_with_cache(root.path(), &CONTRACT, None).unwrap().synthetic);
        assert!(!Dataset::load_with_cache(folder(&files()).path(), &CONTRACT, None).unwrap().synthetic);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let root = folder(&files());
        let occupied = tempfile::NamedTempFile::new().unwrap();
        let data = Dataset::load_with_cache(root.path(), &CONTRACT, Some(occupied.path())).unwrap();
        assert_eq!(data.samples.len(), 3);
    }

    #[test]
    fn what_changes_while_it_is_read_is_skipped_and_not_kept() {
        let root = folder(&files());
        let cache = tempfile::tempdir().unwrap();
        let source = Source::open(root.path()).unwrap();
        let mut candidates = digest_all(&source, labelled(source.entries().unwrap()), 0, &mut Vec::new());
        candidates[0].digest = Digest::of(b"what was there before");
        let decoded = decode_all(&source, &mut candidates, &CONTRACT, Some(cache.path()));
        assert!(matches!(decoded[0], Err(SkipReason::Unreadable(_))), "{:?}", decoded[0]);
        assert!(decoded[1].is_ok());
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_held_is_not_read_again() {
        let root = folder(&files());
        let source = Source::open(root.path()).unwrap();
        let digested = |held| digest_all(&source, labelled(source.entries().unwrap()), held, &mut Vec::new());
        let length = fs::metadata(root.path().join(files()[0].0)).unwrap().len() as usize;
        assert!(digested(0).iter().all(|candidate| candidate.bytes.is_none()));
        let some = digested(3 * length);
        let held: usize = some.iter().filter_map(|candidate| Some(candidate.bytes.as_ref()?.len())).sum();
        assert!(held > 0 && held <= 3 * length, "{held}");
        let (mut all, mut none) = (digested(HELD_BYTES), digested(0));
        let again = decode_all(&source, &mut none, &CONTRACT, None);
        // Gone, but held.
        fs::remove_dir_all(root.path().join("train")).unwrap();
        fs::remove_dir_all(root.path().join("test")).unwrap();
        assert_eq!(decode_all(&source, &mut all, &CONTRACT, None), again);
        assert!(all.iter().all(|candidate| candidate.bytes.is_none()));
    }

    #[test]
    fn data_that_cannot_be_used_say_so() {
        let load = |path: &Path| Dataset::load_with_cache(path, &CONTRACT, None);
        let empty = folder(&[("readme.txt", b"text".to_vec())]);
        assert!(matches!(load(empty.path()), Err(DataError::NoImages(_))));
        assert!(matches!(load(&empty.path().join("readme.txt")), Err(DataError::Zip { .. })));
        assert!(matches!(load(&empty.path().join("absent")), Err(DataError::Read { .. })));
        let text = folder(&[("NORMAL/a.jpeg", b"text".to_vec())]);
        assert!(matches!(load(text.path()), Err(DataError::NothingUsable { files: 1, .. })));
        let one = folder(&[("NORMAL/a.jpeg", png(1))]);
        let one = load(one.path()).unwrap();
        assert!(matches!(one.require_both_labels(), Err(DataError::OneClass { missing: Label::Pneumonia })));
    }
}
