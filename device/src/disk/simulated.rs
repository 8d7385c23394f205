//! A disk in memory whose calls fail when they are told to, and of which a loss of power leaves what it may.
//!
//! What was written since the last sync survives a loss of power in pieces of a sector, each by chance; so do new names
//! since the folder was synced. A file may have grown although its bytes have not arrived.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{Access, Disk, DiskFile, ReadAt, folder_of};

/// Bytes that reach the disk together or not at all.
const SECTOR: u64 = 512;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// With an error of the system, and nothing is done.
    Error(io::ErrorKind),
    /// Every call from this one on fails so, but for reading.
    Forever(io::ErrorKind),
    /// A write takes only half of the bytes, and the next one has no room.
    Short,
    /// A sync fails, and what was written counts as clean from then on, whether it has arrived or not.
    Lies,
    /// The power goes: from this call on nothing is done.
    Power,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                let end = *at as usize + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at as usize..end].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length as usize, 0),
        }
    }
}

#[derive(Debug, Default)]
struct Inode {
    /// As programs see it.
    seen: Vec<u8>,
    /// As it is on the disk.
    kept: Vec<u8>,
    pending: Vec<Change>,
    locked: bool,
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    fn settle(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.kept);
        }
    }

    /// Brings to the disk what chance wants of what has not been synced.
    fn scatter(&mut self, random: &mut Random) {
        let length = self.seen.len();
        for change in self.pending.drain(..) {
            if random.coin() {
                change.apply(&mut self.kept);
            }
        }
        if self.kept.len() < length && random.coin() {
            self.kept.resize(length, 0);
        }
    }
}

/// A change of names that happens as a whole.
type Renaming = Vec<(PathBuf, Option<usize>)>;

#[derive(Debug, Default)]
struct Inner {
    inodes: Vec<Inode>,
    seen: BTreeMap<PathBuf, usize>,
    kept: BTreeMap<PathBuf, usize>,
    pending: Vec<Renaming>,
    calls: usize,
    failure: Option<(usize, Failure)>,
    random: Option<Random>,
    short: bool,
    free: Option<u64>,
}

impl Inner {
    /// Counts a call that changes something; an error if it is to fail.
    fn call(&mut self) -> io::Result<Option<Failure>> {
        let call = self.calls;
        self.calls += 1;
        if std::mem::take(&mut self.short) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.failure {
            Some((at, Failure::Error(kind))) if at == call => Err(kind.into()),
            Some((at, Failure::Forever(kind))) if at <= call => Err(kind.into()),
            Some((at, Failure::Power)) if at <= call => Err(io::Error::other("the power is gone")),
            Some((at, failure)) if at == call => Ok(Some(failure)),
            _ => Ok(None),
        }
    }

    fn rename(&mut self, renaming: Renaming) {
        for (path, inode) in &renaming {
            apply(&mut self.seen, path, *inode);
        }
        self.pending.push(renaming);
    }

    fn found(&self, path: &Path) -> io::Result<usize> {
        self.seen.get(path).copied().ok_or(io::ErrorKind::NotFound.into())
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, path: &Path, inode: Option<usize>) {
    match inode {
        Some(inode) => drop(names.insert(path.to_owned(), inode)),
        None => drop(names.remove(path)),
    }
}

/// The disk; its clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Simulated(Arc<Mutex<Inner>>);

impl Simulated {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Calls so far that change something.
    pub(crate) fn calls(&self) -> usize {
        self.inner().calls
    }

    /// Lets the call with this number fail, counted from 0 for the next one.
    pub(crate) fn fail(&self, call: usize, failure: Failure) {
        let mut inner = self.inner();
        inner.calls = 0;
        inner.failure = Some((call, failure));
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        let mut inner = self.inner();
        (inner.failure, inner.short) = (None, false);
    }

    /// Every program ends, and nothing else happens.
    pub(crate) fn restart(&self) {
        self.inner().inodes.iter_mut().for_each(|inode| inode.locked = false);
    }

    /// The power goes and comes back.
    pub(crate) fn cut_power(&self, random: &mut Random) {
        let inner = &mut *self.inner();
        for renaming in std::mem::take(&mut inner.pending) {
            if random.coin() {
                renaming.iter().for_each(|(path, inode)| apply(&mut inner.kept, path, *inode));
            }
        }
        inner.seen.clone_from(&inner.kept);
        for inode in &mut inner.inodes {
            inode.scatter(random);
            inode.seen.clone_from(&inode.kept);
            inode.locked = false;
        }
        (inner.failure, inner.short) = (None, false);
    }

    /// The chance with which a sync that fails leaves what was written.
    pub(crate) fn chance(&self, seed: u64) {
        self.inner().random = Some(Random(seed));
    }

    /// So many bytes are said to be free; without it, more than anybody needs.
    pub(crate) fn say_free(&self, bytes: u64) {
        self.inner().free = Some(bytes);
    }

    /// What a program reads in a file.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.found(path).ok().map(|inode| inner.inodes[inode].seen.clone())
    }
}

impl Disk for Simulated {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        if access != Access::Read {
            inner.call()?;
        }
        let inode = match (inner.found(path), access) {
            (Ok(inode), Access::Read | Access::Device | Access::Write) => inode,
            (Err(error), Access::Read | Access::Device) => return Err(error),
            (_, Access::Write | Access::New) => {
                inner.inodes.push(Inode::default());
                let inode = inner.inodes.len() - 1;
                inner.rename(vec![(path.to_owned(), Some(inode))]);
                inode
            }
        };
        Ok(Box::new(OpenFile { disk: self.clone(), inode }))
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.inner().call().map(drop)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let inner = self.inner();
        let files = inner.seen.keys().filter(|path| folder_of(path) == folder);
        Ok(files.filter_map(|path| path.file_name().map(ToOwned::to_owned)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call()?;
        let inode = inner.found(from)?;
        inner.rename(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call()?;
        let inode = inner.found(from)?;
        inner.rename(vec![(to.to_owned(), Some(inode))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call()?;
        inner.found(path)?;
        inner.rename(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.inner().free.unwrap_or(u64::MAX))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let inner = &mut *self.inner();
        if inner.call()?.is_some() {
            // File systems stop when they cannot write names: nothing counts as clean.
            return Err(io::Error::other("a bad block"));
        }
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inner.pending).into_iter().partition(|all| folder_of(&all[0].0) == folder);
        inner.pending = elsewhere;
        here.iter().flatten().for_each(|(path, inode)| apply(&mut inner.kept, path, *inode));
        Ok(())
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: Simulated,
    inode: usize,
}

impl OpenFile {
    fn with<T>(&self, does: impl FnOnce(&mut Inode) -> T) -> T {
        does(&mut self.disk.inner().inodes[self.inode])
    }
}

impl ReadAt for OpenFile {
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.with(|inode| {
            let from = inode.seen.get(position as usize..).unwrap_or_default();
            let count = from.len().min(bytes.len());
            bytes[..count].copy_from_slice(&from[..count]);
            Ok(count)
        })
    }
}

impl DiskFile for OpenFile {
    fn write_at(&self, mut bytes: &[u8], position: u64) -> io::Result<usize> {
        let mut inner = self.disk.inner();
        if inner.call()? == Some(Failure::Short) {
            inner.short = true;
            bytes = &bytes[..bytes.len() / 2];
        }
        let (mut rest, mut at) = (bytes, position);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min((SECTOR - at % SECTOR) as usize));
            inner.inodes[self.inode].change(Change::Write(at, piece.to_vec()));
            (rest, at) = (after, at + piece.len() as u64);
        }
        Ok(bytes.len())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.with(|inode| inode.seen.len() as u64))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.call()?;
        inner.inodes[self.inode].change(Change::Length(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let inner = &mut *self.disk.inner();
        let failure = inner.call()?;
        let inode = &mut inner.inodes[self.inode];
        if failure == Some(Failure::Lies) {
            inode.scatter(inner.random.get_or_insert(Random(1)));
            return Err(io::Error::other("a bad block"));
        }
        inode.settle();
        Ok(())
    }

    fn lock(&self) -> Result<(), TryLockError> {
        self.with(
            |inode| if std::mem::replace(&mut inode.locked, true) { Err(TryLockError::WouldBlock) } else { Ok(()) },
        )
    }

    fn unlock(&self) {
        self.with(|inode| inode.locked = false);
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.inner().found(path).is_ok_and(|inode| inode == self.inode))
    }
}

#[test]
fn what_is_not_synced_may_be_lost_in_sectors_and_what_is_synced_is_not() {
    let (disk, path) = (Simulated::default(), Path::new("/data/file"));
    let file = disk.open(path, Access::New).unwrap();
    file.write_all_at(&[1; 2048], 0).unwrap();
    file.sync().unwrap();
    disk.sync_folder(Path::new("/data")).unwrap();
    let mut seen = std::collections::HashSet::new();
    for seed in 0..200 {
        let file = disk.open(path, Access::Write).unwrap();
        file.write_all_at(&[2; 2048], 1024).unwrap();
        disk.cut_power(&mut Random(seed));
        let bytes = disk.content(path).unwrap();
        assert_eq!(bytes[..1024], [1; 1024]);
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|&byte| byte == sector[0]), "a sector is not torn");
        }
        seen.insert(bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>());
        file.set_length(0).unwrap();
        file.write_all_at(&[1; 2048], 0).unwrap();
        file.sync().unwrap();
    }
    assert!(seen.len() > 20, "{}", seen.len());
}
