//! Files → catalogue and inputs.

mod copies;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use base::progress;
use rayon::prelude::*;
use shared::{
    contract::InputContract,
    verdict::{Digest, Refusal},
};

use self::copies::Copies;
use super::{
    Catalogue, DataError, Inputs, Label, Part, Sample, SkipReason, Skipped,
    cache::{self, Cache},
    inputs::{IN_MEMORY, Shard},
    labels::{Facts, Labels},
    metadata::{self, Place, file_name, is_no_picture},
    source::{Entry, Source},
};

/// The labelled files of a folder or an archive.
pub(super) struct Found {
    pub(super) source: Source,
    /// Sorted by name.
    pub(super) files: Vec<Labelled>,
    /// What is not even looked at.
    skipped: Vec<Skipped>,
    /// As of [`Catalogue`].
    notes: Vec<String>,
}

/// A labelled file.
pub(super) struct Labelled {
    pub(super) entry: Entry,
    pub(super) place: Place,
    /// Path below the folders that all files have in common.
    pub(super) name: String,
    /// What a table of labels says of it.
    facts: Option<Facts>,
}

/// What became of a file that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Read {
    pub(super) digest: Digest,
    /// Why there is no input of it, if there is none.
    pub(super) decoded: Result<(), Refusal>,
}

/// What became of a file, or why it was not read.
type Outcome = Result<Read, SkipReason>;

/// Loads the radiographs below a folder, or in a ZIP archive, brought to the input of `contract`.
///
/// A file belongs to the nearest folder `NORMAL` or `PNEUMONIA` above it, and to the official part whose folder
/// (`train`, `val` or `test`, or another word for it) lies directly above that one; folders that are linked are followed. Of
/// files that `labels.csv` lists, the table says label, patient, age and view; it lies in the folder itself, in the one folder
/// that holds everything, or in the folder above. A file that it does not list is taken from its folder. What cannot be used
/// is listed in `skipped`. Each file is read and hashed once. Inputs are cached: a file that is as it was the last time is not
/// decoded again. Without a place for the cache, or with a spoilt one, all are. Of the inputs a gibibyte stays in memory, and the
/// others are read from the cache when they are asked for.
///
/// # Errors
/// The data cannot be used; [`DataError::Cache`]: they need the cache, and it cannot be written; [`DataError::TooManyOpen`].
pub fn load(path: &Path, contract: &InputContract) -> Result<(Catalogue, Inputs), DataError> {
    let mut cache = Cache::new(cache::folder(), IN_MEMORY);
    let loaded = load_into(path, contract, &mut cache)?;
    cache.tidy();
    Ok(loaded)
}

/// The same with this cache.
pub(super) fn load_into(
    path: &Path,
    contract: &InputContract,
    cache: &mut Cache,
) -> Result<(Catalogue, Inputs), DataError> {
    let Found { source, mut files, mut skipped, notes } = Found::at(path)?;
    let count = files.len();
    let size = cache::shard_size(count, contract.len());
    let (read, shards) = read_all(&source, &files, contract, size, cache)?;

    let (mut samples, mut numbers) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let copied = copies::of(&files, &read);
    let before = if copied.is_empty() { Vec::new() } else { kept_names(&files, &read) };
    copies::leave_out(&copied, &mut files);
    skipped.extend(copied.values().map(copies::Copied::skipped));
    let repeated = repeated(&files, &read, &copied);
    for (index, ((file, read), repeated)) in files.into_iter().zip(read).zip(repeated).enumerate() {
        if copied.contains_key(&file.place.prefix) {
            continue;
        }
        let Labelled { place, name, facts, .. } = file;
        let kept = read.and_then(|Read { digest, decoded }| match (repeated, decoded) {
            (Some(reason), _) => Err(reason),
            (None, Err(refusal)) => Err(SkipReason::Refused(refusal)),
            (None, Ok(())) => Ok(digest),
        });
        match kept {
            Ok(digest) => {
                numbers.push(index);
                samples.push(sample(name, place, facts, digest));
            }
            Err(reason) => skipped.push(Skipped { name, reason }),
        }
    }
    skipped.sort_by(|a, b| a.name.cmp(&b.name));
    if let (true, Some(Skipped { name, reason })) = (samples.is_empty(), skipped.first()) {
        let first = format!("{name}: {reason}");
        return Err(DataError::NothingUsable { path: path.to_owned(), files: count, first });
    }
    let synthetic = samples.iter().any(|sample| metadata::is_synthetic(&sample.name));
    let former_names = former_names(before, &samples);
    let inputs = Inputs::of_shards(*contract, shards, size, numbers);
    Ok((Catalogue { samples, skipped, notes, synthetic, former_names }, inputs))
}

fn sample(name: String, place: Place, facts: Option<Facts>, digest: Digest) -> Sample {
    let listed = facts.is_some();
    let Facts { patient, age, view } = facts.unwrap_or_default();
    let patient = patient.unwrap_or_else(|| metadata::patient(&name, place.official));
    let subtype = metadata::subtype(&name).filter(|_| place.label == Label::Pneumonia);
    let official = place.official;
    Sample { subtype, age, view, listed, official, digest, ..Sample::new(name, place.label, patient) }
}

impl Found {
    /// Finds them; none is read yet.
    pub(super) fn at(path: &Path) -> Result<Self, DataError> {
        let source = Source::open(path)?;
        let (mut entries, mut skipped) = source.entries()?;
        let mut labels = Labels::find(path, &source, &mut entries)?;
        let (mut placed, mut others) = (Vec::new(), Vec::new());
        for entry in entries {
            match labels.take(&entry.path, metadata::place(&entry.path)) {
                Ok(Some((_, None))) if is_no_picture(&entry.path) => {
                    skipped.push(Skipped { name: entry.path, reason: SkipReason::NoPicture });
                }
                Ok(Some((place, facts))) => placed.push((entry, place, facts)),
                Ok(None) => others.push(entry.path),
                Err(reason) => skipped.push(Skipped { name: entry.path, reason }),
            }
        }
        skipped.extend(labels.in_vain());
        if placed.is_empty() {
            return Err(nothing_placed(path, &skipped));
        }
        source.check_form(path, placed.iter().map(|(entry, ..)| entry))?;
        let folders: Vec<LabelFolder<'_>> =
            placed.iter().filter_map(|(entry, ..)| LabelFolder::of(&entry.path)).collect();
        skipped.extend(in_other_folders(&folders, others));
        let notes = notes(&folders);
        Ok(Self { source, files: named(placed), skipped, notes })
    }

    /// Where the files are, and those that are not in a folder that is a copy, with the names that they have then. The files
    /// are read only where a folder is a copy by the names in it.
    pub(super) fn without_copies(self) -> (Source, Vec<Labelled>) {
        let Self { source, mut files, .. } = self;
        let by_name: Vec<Result<Read, SkipReason>> =
            vec![Ok(Read { digest: Digest::default(), decoded: Ok(()) }); files.len()];
        if !copies::of(&files, &by_name).is_empty() {
            let read = |file: &Labelled| {
                source.read(&file.entry).map(|bytes| Read { digest: Digest::of(&bytes), decoded: Ok(()) })
            };
            let read: Vec<Result<Read, SkipReason>> = files.par_iter().map(read).collect();
            let copied = copies::of(&files, &read);
            copies::leave_out(&copied, &mut files);
            files.retain(|file| !copied.contains_key(&file.place.prefix));
        }
        (source, files)
    }
}

/// Why there is no labelled file; what cannot be read comes first, as they may be behind it.
fn nothing_placed(path: &Path, skipped: &[Skipped]) -> DataError {
    let path = path.to_owned();
    let words = |Skipped { name, reason }: &Skipped| format!("{name}: {reason}");
    let mut unreadable: Vec<&Skipped> =
        skipped.iter().filter(|skipped| matches!(skipped.reason, SkipReason::Unreadable(_))).collect();
    unreadable.sort_by(|a, b| a.name.cmp(&b.name));
    match (unreadable.as_slice(), skipped) {
        ([first, ..], _) => DataError::NothingReadable { path, count: unreadable.len(), first: words(first) },
        ([], [first, ..]) => DataError::NothingUsable { path, files: skipped.len(), first: words(first) },
        ([], []) => DataError::NoImages(path),
    }
}

/// The folder that labels a file.
struct LabelFolder<'a> {
    /// Where it lies; empty at the top.
    above: &'a str,
    /// Its own name.
    name: &'a str,
    label: Label,
}

impl<'a> LabelFolder<'a> {
    /// `None` for a file that only a table labels.
    fn of(path: &'a str) -> Option<Self> {
        let (mut rest, _) = path.rsplit_once('/')?;
        loop {
            let (above, name) = rest.rsplit_once('/').unwrap_or(("", rest));
            if let Some(label) = Label::named(name) {
                return Some(Self { above, name, label });
            }
            rest = above;
            if rest.is_empty() {
                return None;
            }
        }
    }

    /// The folder above it, which may be that of a part.
    fn part(&self) -> &'a str {
        self.above.rsplit('/').next().unwrap_or_default()
    }
}

/// Those of other files that lie beside the folders of the labels, in a folder of their own: another class, probably.
fn in_other_folders(folders: &[LabelFolder<'_>], others: Vec<String>) -> Vec<Skipped> {
    let above: BTreeSet<&str> = folders.iter().map(|folder| folder.above).collect();
    let beside = |path: &str| {
        let ends = path.match_indices('/').map(|(end, _)| end);
        ends.map(|end| &path[..end])
            .find(|folder| above.contains(folder.rsplit_once('/').map_or("", |(above, _)| above)))
            .map(str::to_owned)
    };
    let others = others.into_iter().filter(|path| !metadata::is_hidden(path) && !is_no_picture(path));
    // The folder of a part that holds no labels of its own is none of a class.
    let class = |path: &String| beside(path).filter(|folder| Part::named(file_name(folder)).is_none());
    others
        .filter_map(|name| class(&name).map(|folder| Skipped { name, reason: SkipReason::OtherFolder(folder) }))
        .collect()
}

/// What folders are taken for whose names are not those of the publishers.
fn notes(folders: &[LabelFolder<'_>]) -> Vec<String> {
    let mut notes = BTreeSet::new();
    let mut without_part: BTreeMap<&str, usize> = BTreeMap::new();
    let parts = folders.iter().any(|folder| Part::named(folder.part()).is_some());
    for folder in folders {
        if !folder.label.folder().eq_ignore_ascii_case(folder.name) {
            notes.insert(format!("the folder `{}` is taken for {}", folder.name, folder.label.folder()));
        }
        match Part::named(folder.part()) {
            Some(part) if !part.folders()[0].eq_ignore_ascii_case(folder.part()) => {
                notes.insert(format!("the folder `{}` is taken for {part}", folder.part()));
            }
            None if parts => *without_part.entry(folder.above).or_default() += 1,
            _ => {}
        }
    }
    let of_no_part = without_part.into_iter().map(|(folder, count)| {
        let folder = if folder.is_empty() { "the top folder" } else { folder };
        format!(
            "{count} in {folder}, which does not name a part, so their patients may be in another part as well: call the folder \
             train, val or test"
        )
    });
    notes.into_iter().chain(of_no_part).collect()
}

/// Files with their names, sorted: folders that all files have in common above the labels are left out, so that an archive
/// and its unpacked folder give the same names.
fn named(placed: Vec<(Entry, Place, Option<Facts>)>) -> Vec<Labelled> {
    let labelled = |(entry, place, facts)| Labelled { entry, place, name: String::new(), facts };
    let mut named: Vec<_> = placed.into_iter().map(labelled).collect();
    name(named.iter_mut());
    named.sort_by(|a, b| a.name.cmp(&b.name));
    named
}

fn name<'a>(files: impl Iterator<Item = &'a mut Labelled>) {
    let files: Vec<_> = files.collect();
    let common = files.windows(2).all(|pair| pair[0].place.prefix == pair[1].place.prefix);
    for file in files {
        file.name = if common { file.place.rest.clone() } else { file.entry.path.clone() };
    }
}

/// Reads all files and gives their inputs in shards of `size`.
fn read_all(
    source: &Source,
    files: &[Labelled],
    contract: &InputContract,
    size: usize,
    cache: &mut Cache,
) -> Result<(Vec<Outcome>, Vec<Shard>), DataError> {
    let bar = progress::bar(files.len(), "reading");
    let parts: Vec<&[Labelled]> = files.chunks(size).collect();
    let mut made: Vec<Option<(Vec<Outcome>, Shard)>> = parts.iter().map(|_| None).collect();
    for number in cache::order(parts.len()) {
        made[number] = Some(read_shard(source, parts[number], contract, cache, &|| bar.inc(1))?);
    }
    bar.finish_and_clear();
    let (read, shards): (Vec<_>, Vec<_>) = made.into_iter().flatten().unzip();
    Ok((read.into_iter().flatten().collect(), shards))
}

/// The same of the files of one shard; `done` is called after each. Only files that are not what they were are decoded.
fn read_shard(
    source: &Source,
    files: &[Labelled],
    contract: &InputContract,
    cache: &mut Cache,
    done: &(dyn Fn() + Sync),
) -> Result<(Vec<Outcome>, Shard), DataError> {
    let key = cache::key(contract, files.iter().map(|file| file.name.as_str()));
    let mut kept = cache.fetch(key, files.len(), contract.len());
    let (known, mut pixels) = match &mut kept {
        Some(kept) => (kept.files.clone(), std::mem::take(&mut kept.pixels)),
        None => (vec![None; files.len()], vec![0; files.len() * contract.len()]),
    };
    let read: Vec<(Outcome, bool)> = files
        .par_iter()
        .zip(known.par_iter())
        .zip(pixels.par_chunks_exact_mut(contract.len()))
        .map(|((file, known), input)| {
            let bytes = source.read(&file.entry);
            done();
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(reason) => return (Err(reason), false),
            };
            let digest = Digest::of(&bytes);
            if let Some(known) = known.filter(|known| known.digest == digest) {
                return (Ok(known), false);
            }
            let decoded =
                decode::decode(&bytes).map(|radiograph| input.copy_from_slice(&radiograph.picture().prepare(contract)));
            (Ok(Read { digest, decoded }), true)
        })
        .collect();
    let is_new = read.iter().any(|(_, new)| *new);
    let read: Vec<Outcome> = read.into_iter().map(|(read, _)| read).collect();
    let shard = match kept {
        Some(mut kept) if !is_new => {
            kept.pixels = pixels;
            cache.take(kept)?
        }
        _ => {
            let files: Vec<Option<Read>> = read.iter().map(|read| read.as_ref().ok().copied()).collect();
            cache.keep(key, &files, pixels)?
        }
    };
    Ok((read, shard))
}

/// The files that were kept before copied folders were left out as such: digest, name and patient of each.
fn kept_names(files: &[Labelled], read: &[Result<Read, SkipReason>]) -> Vec<(Digest, String, String)> {
    let repeated = repeated(files, read, &BTreeMap::new());
    let kept = files.iter().zip(read).zip(repeated).filter_map(|((file, read), repeated)| {
        let read = read.as_ref().ok().filter(|read| read.decoded.is_ok() && repeated.is_none())?;
        let listed = file.facts.as_ref().and_then(|facts| facts.patient.clone());
        let patient = listed.unwrap_or_else(|| metadata::patient(&file.name, file.place.official));
        Some((read.digest, file.name.clone(), patient))
    });
    kept.collect()
}

/// The names that the same radiographs had in earlier versions, where they are split as then: in the same order, of the same
/// patients.
fn former_names(before: Vec<(Digest, String, String)>, samples: &[Sample]) -> Vec<String> {
    let is_same = |((digest, _, patient), sample): (&(Digest, String, String), &Sample)| {
        *digest == sample.digest && *patient == sample.patient
    };
    let same = before.len() == samples.len() && before.iter().zip(samples).all(is_same);
    if same { before.into_iter().map(|(_, name, _)| name).collect() } else { Vec::new() }
}

/// Why a file is left out for the sake of an equal one: the first of equal files is kept, and none of them where their
/// labels differ. Folders that are copies do not count.
fn repeated(files: &[Labelled], read: &[Result<Read, SkipReason>], copied: &Copies) -> Vec<Option<SkipReason>> {
    let digest = |file: &Labelled, read: &Result<Read, SkipReason>| {
        read.as_ref().ok().map(|read| read.digest.0).filter(|_| !copied.contains_key(&file.place.prefix))
    };
    let mut first: BTreeMap<[u8; 32], &Labelled> = BTreeMap::new();
    let mut contradicted: BTreeMap<[u8; 32], &str> = BTreeMap::new();
    for (file, read) in files.iter().zip(read) {
        let Some(digest) = digest(file, read) else { continue };
        let original = first.entry(digest).or_insert(file);
        if original.place.label != file.place.label {
            contradicted.entry(digest).or_insert(&file.name);
        }
    }
    let reason = |(file, read): (&Labelled, &Result<Read, SkipReason>)| {
        let digest = digest(file, read)?;
        let original = first.get(&digest)?;
        match contradicted.get(&digest) {
            Some(other) if original.place.label == file.place.label => {
                Some(SkipReason::Contradicts((*other).to_owned()))
            }
            Some(_) => Some(SkipReason::Contradicts(original.name.clone())),
            None => (original.name != file.name).then(|| SkipReason::DuplicateOf(original.name.clone())),
        }
    };
    files.iter().zip(read).map(reason).collect()
}

#[cfg(test)]
mod tests;
