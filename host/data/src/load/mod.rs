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
mod tests;
