//! The radiographs of a catalogue as a model sees them, in memory or on disk.

use std::{borrow::Cow, fs::File, io, os::unix::fs::FileExt, path::Path};

use rayon::prelude::*;
use shared::{contract::InputContract, verdict::Digest};

use super::{
    DataError,
    cache::{self, Cache},
    load::Read,
};

/// Bytes of the inputs of a catalogue that stay in memory. Those beyond are read from the cache when they are asked for.
pub(super) const IN_MEMORY: usize = 1 << 30;

/// The radiographs of a catalogue as inputs of one contract.
///
/// Of many, some are in memory, and the others are read when they are asked for: what is given is the same either way. Each takes 8
/// bytes of memory besides.
#[derive(Debug)]
pub struct Inputs {
    contract: InputContract,
    shards: Vec<Shard>,
    /// The shard of each radiograph and its number there, in the order of the catalogue.
    places: Vec<(u32, u32)>,
}

/// Some inputs, one after the other.
#[derive(Debug)]
pub(super) enum Shard {
    Memory(Vec<u8>),
    /// From a place in a file on, which was checked.
    File {
        file: File,
        start: u64,
    },
}

/// A radiograph that was decoded and cannot be read any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "a decoded radiograph cannot be read from the cache any more ({0}): see whether the disk of the folder that PUMUA_CACHE names \
     works, then start again"
)]
pub struct InputError(io::Error);

impl Shard {
    /// Input `number` of those that have `length` bytes each.
    pub(super) fn input(&self, number: usize, length: usize) -> Result<Cow<'_, [u8]>, InputError> {
        match self {
            Self::Memory(pixels) => Ok(Cow::Borrowed(&pixels[number * length..][..length])),
            Self::File { file, start } => {
                let mut input = vec![0; length];
                file.read_exact_at(&mut input, start + (number * length) as u64).map_err(InputError)?;
                Ok(Cow::Owned(input))
            }
        }
    }
}

impl Inputs {
    /// Inputs of radiographs that are made rather than read: `side * side` bytes in rows each, in the order of their
    /// catalogue. All stay in memory.
    ///
    /// # Panics
    ///
    /// If one of them has another size.
    pub fn new(contract: InputContract, inputs: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut pixels = Vec::new();
        for input in inputs {
            assert_eq!(input.len(), contract.len(), "an input of another contract");
            pixels.extend_from_slice(&input);
        }
        let count = pixels.len() / contract.len();
        Self {
            contract,
            shards: vec![Shard::Memory(pixels)],
            places: (0..count as u32).map(|number| (0, number)).collect(),
        }
    }

    /// The same of more than fit into memory: `count` of them, of which `make` writes each into its `side * side` bytes. They are
    /// kept in `folder`, as those of a data set are in the cache, and are not made again if there are such of this `name`; at most
    /// `room` bytes of them stay in memory.
    ///
    /// # Errors
    /// [`DataError::Cache`]: they cannot be written; [`DataError::TooManyOpen`]: they cannot be held open.
    pub fn made(
        contract: InputContract,
        count: usize,
        name: &str,
        folder: &Path,
        room: usize,
        make: impl Fn(usize, &mut [u8]) + Sync,
    ) -> Result<Self, DataError> {
        let mut cache = Cache::new(Some(folder.to_owned()), room);
        let size = cache::shard_size(count, contract.len());
        let mut shards: Vec<Option<Shard>> = (0..count.div_ceil(size)).map(|_| None).collect();
        for part in cache::order(shards.len()) {
            let start = part * size;
            let number = size.min(count - start);
            let key = cache::key(&contract, [name, &*start.to_string(), &*number.to_string()].into_iter());
            shards[part] = Some(match cache.fetch(key, number, contract.len()) {
                Some(kept) => cache.take(kept)?,
                None => {
                    let mut pixels = vec![0; number * contract.len()];
                    let inputs = pixels.par_chunks_exact_mut(contract.len()).enumerate();
                    inputs.for_each(|(index, input)| make(start + index, input));
                    let files = vec![Some(Read { digest: Digest::default(), decoded: Ok(()) }); number];
                    cache.keep(key, &files, pixels)?
                }
            });
        }
        Ok(Self::of_shards(contract, shards.into_iter().flatten().collect(), size, 0..count))
    }

    /// Of inputs in shards of `size` each those with these numbers.
    pub(super) fn of_shards(
        contract: InputContract,
        shards: Vec<Shard>,
        size: usize,
        numbers: impl IntoIterator<Item = usize>,
    ) -> Self {
        let places = numbers.into_iter().map(|number| ((number / size) as u32, (number % size) as u32)).collect();
        Self { contract, shards, places }
    }

    /// None yet.
    pub(super) fn none(contract: InputContract) -> Self {
        Self { contract, shards: Vec::new(), places: Vec::new() }
    }

    /// Adds others of the same contract behind these.
    pub(super) fn append(&mut self, others: Self) {
        let before = self.shards.len() as u32;
        self.shards.extend(others.shards);
        self.places.extend(others.places.into_iter().map(|(shard, number)| (before + shard, number)));
    }

    /// What they were brought to.
    pub fn contract(&self) -> &InputContract {
        &self.contract
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The input of radiograph `index` of the catalogue: `side * side` bytes in rows.
    ///
    /// # Errors
    /// It is not in memory, and the disk does not give it any more.
    ///
    /// # Panics
    ///
    /// If the catalogue has no such radiograph.
    pub fn of(&self, index: usize) -> Result<Cow<'_, [u8]>, InputError> {
        let (shard, number) = self.places[index];
        self.shards[shard as usize].input(number as usize, self.contract.len())
    }

    /// Those of several radiographs, all in memory at once.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn several(&self, indices: &[usize]) -> Result<Vec<Cow<'_, [u8]>>, InputError> {
        indices.iter().map(|&index| self.of(index)).collect()
    }
}

/// Equal if all inputs are, wherever they lie; what cannot be read equals nothing.
impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |index| matches!((self.of(index), other.of(index)), (Ok(one), Ok(other)) if one == other);
        self.contract == other.contract && self.len() == other.len() && (0..self.len()).all(is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: InputContract = InputContract::stretched(16);

    fn made(folder: &Path, room: usize, make: impl Fn(usize, &mut [u8]) + Sync) -> Inputs {
        Inputs::made(CONTRACT, 5, "numbers", folder, room, make).unwrap()
    }

    #[test]
    fn inputs_are_the_same_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let number = |index: usize, input: &mut [u8]| input.fill(index as u8);
        let on_disk = made(folder.path(), 0, number);
        let in_memory = made(folder.path(), usize::MAX, |_, _| panic!("they are there"));
        assert!(matches!((&on_disk.shards[0], &in_memory.shards[0]), (Shard::File { .. }, Shard::Memory(_))));
        let plain = Inputs::new(CONTRACT, (0..5).map(|index| vec![index; 256]));
        assert!(on_disk == plain && in_memory == plain);
        assert_eq!(on_disk.several(&[3, 0]).unwrap(), [vec![3_u8; 256], vec![0; 256]]);

        let mut all = Inputs::none(CONTRACT);
        all.append(on_disk);
        all.append(plain);
        assert_eq!((all.len(), all.of(1).unwrap()[0], all.of(9).unwrap()[255]), (10, 1, 4));
    }

    #[test]
    fn a_disk_that_fails_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = made(folder.path(), 0, |_, input| input.fill(1));
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        File::options().write(true).open(path).unwrap().set_len(500).unwrap();
        let error = inputs.of(4).unwrap_err().to_string();
        assert!(error.contains("PUMUA_CACHE"), "{error}");
        assert!(inputs.several(&[0, 4]).is_err());
        // Made again, not trusted.
        assert!(made(folder.path(), 0, |_, input| input.fill(2)).of(4).unwrap().iter().all(|&pixel| pixel == 2));
    }
}
