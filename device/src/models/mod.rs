//! The installed models: kept so that at every moment, whatever is interrupted, one can be loaded.
//!
//! The folder holds `current.model`, which the box starts with, and `previous.model`, the one before. A file opens with the
//! eight bytes `PUMUAM1\n` and the SHA-256 of the rest, an ONNX file, so that one that was damaged on the disk never judges.
//!
//! An update is loaded and tried before anything is written: one that makes the program fail leaves the disk as it was.
//! Then it is installed in four steps. If the power goes
//!
//! 1. while `incoming.model` is written and synced: it is never looked at; the current model comes back;
//! 2. after the current model was renamed to `previous.model`: there is no current model, so the previous one comes back,
//!    which is the one that was current;
//! 3. after `incoming.model` was renamed to `current.model`: the new model comes back, or, if the new names had not reached
//!    the disk, one of the states before;
//! 4. after the folder was synced: the new model comes back. Only now the host hears of it.
//!
//! Step 2 is left out if the box does not run the current model, or if that is damaged: what takes its place must not be
//! worse than the previous one.
//!
//! At the start the current model is tried, then the previous one, then the one of the settings. A file that is damaged or
//! cannot be run is kept aside with `.rejected` after its name; one that cannot be read now, or only lacks the profile of
//! the settings, stays. An installed model wins over that of the settings until the folder is removed.
//!
//! **A model that ends the program while it is loaded**, by taking all memory or more time than a start may take, would do so
//! at every start. So before a model is loaded, `starting` is written and synced: its digest, and how often it has been begun
//! with. Once it has been loaded and tried, whatever came of that, the file is removed. Found twice, the model is
//! set aside like one that cannot be run. The budget of [`Model::for_box`] keeps such models out in the first place; this is
//! for those of earlier releases, and for what nobody has thought of. Two power cuts within the moment in which a model
//! is loaded, one start after the other, look the same; then the model before it judges, and the screen says so.
//!
//! **Who made it** is looked at before anything else reads a model, when it is sent and at each start ([`trust::Gate`]): the rest of
//! a file is a [`trust::Package`]. A model with a smaller counter than one that the box has taken is refused. What is known of counters and
//! keys is kept twice (`memory.rs`), and is on the disk before a model is. At a start a model whose key was
//! revoked, or that nobody has signed, is passed over, and stays: it judges again where the settings allow it. What is
//! looked at then is who made it, not its counter, so that the model before a damaged one can stand in for it.
//!
//! **A person at the box** may have one such older model taken all the same ([`Permit`]): everything else of it is looked at as ever. It
//! stays after a start, because no counter is looked at then, and no counter falls: what may take its place is a model that may follow the
//! latest one that the box has had, or that one itself.

pub(crate) mod memory;
mod permit;
mod settings;
mod vouched;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{BudgetError, Model, ModelError};
use shared::{
    appliance::card::SOFTWARE,
    limits::MAX_UPDATE_BYTES,
    shown::Shown,
    verdict::{Digest, ModelRefusal, Profile},
};
use trust::{Checked, Gate, Known, Package, PackageError, Refused};
use wire::ModelFile;

pub use self::{
    permit::{PERMITTED_FOR, Permit},
    settings::{Configured, ConfiguredError},
    vouched::Vouched,
};
use crate::{
    disk::{Access, Card, Disk},
    site::{self, SITE},
};

/// The folder of the models, in that of the state of the box.
pub(crate) const MODELS: &str = "models";
const MAGIC: &[u8; 8] = b"PUMUAM1\n";
/// Bytes before the ONNX file.
const HEAD: usize = MAGIC.len() + size_of::<Digest>();
const CURRENT: &str = "current.model";
const PREVIOUS: &str = "previous.model";
const INCOMING: &str = "incoming.model";
/// Which model is being loaded: its digest, and a byte that counts the starts that have begun so.
const STARTING: &str = "starting";
/// The same before it is complete.
const NOTED: &str = "starting.new";
/// After so many starts that ended while a model was loaded, it is not tried again.
const STARTS: u8 = 2;
/// How long an update may take to be loaded and to answer for the first time.
const TRIAL_WITHIN: Duration = Duration::from_secs(5);

/// Why an update is not installed, or an installed model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It cannot be loaded or run, or lacks the profile.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nobody whom the box believes says that it is good, or says so of a later one.
    #[error(transparent)]
    Trust(#[from] Refused),
    /// A person had permitted it, for a time that is over.
    #[error(
        "the model is older than one that this box has had, and the time for which a person has permitted it is over: permit it again at \
         the box, then send it"
    )]
    Late,
    /// It did not come whole.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Loading or running it at the start has panicked.
    #[error("the program fails over the model: use a model made by this release of `pumua train`")]
    Panic,
    /// The program has ended whenever it was loaded.
    #[error(
        "the program has ended {STARTS} times while it was loaded: use a smaller model, made by this release of `pumua train`"
    )]
    Starts,
    /// The file is not what was written.
    #[error("the file is damaged: check the storage and install the model again")]
    Damaged,
    /// Reading or writing failed.
    #[error("cannot use the folder of the models: {0}: check the storage")]
    Io(#[from] io::Error),
}

impl InstallError {
    /// What the host is sent.
    pub fn refusal(&self) -> ModelRefusal {
        match self {
            Self::Model(error) => error.refusal(),
            Self::Trust(refused) => refused.refusal(),
            Self::Late => ModelRefusal::Older,
            Self::Package(_) => ModelRefusal::NotAModel,
            Self::Panic | Self::Starts => ModelRefusal::NotRunnable,
            Self::Damaged | Self::Io(_) => ModelRefusal::NotStored,
        }
    }

    /// Whether the file is to blame, and not the storage or the settings of today.
    fn condemns(&self) -> bool {
        match self {
            Self::Model(ModelError::Kernels(_) | ModelError::SelfTest) => false,
            Self::Model(error) => error.refusal() != ModelRefusal::NoProfile,
            Self::Panic | Self::Starts | Self::Damaged | Self::Package(_) => true,
            Self::Trust(_) | Self::Late | Self::Io(_) => false,
        }
    }
}

/// The installed models.
#[derive(Debug)]
pub struct Models {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    profile: Option<Profile>,
    /// Decides who is believed.
    gate: Gate,
    /// What of its knowledge needs no writing.
    kept: Known,
    /// Whether the box runs the current model.
    current: bool,
    /// Whether a model was not used at the start that comes before the one that judges.
    passed_over: bool,
    /// How long an update may take to be tried.
    trial_within: Duration,
    /// Whether a person lets an older model in.
    permit: Permit,
}

impl Models {
    /// The models in a folder, which need not exist yet, to be decided by a profile, as far as a gate lets them through.
    pub fn new(folder: PathBuf, profile: Option<Profile>, gate: Gate) -> Self {
        Self::on(Arc::new(Card), folder, profile, gate)
    }

    /// The same on any disk.
    pub fn on(disk: Arc<dyn Disk>, folder: PathBuf, profile: Option<Profile>, gate: Gate) -> Self {
        let kept = gate.known().clone();
        let (current, passed_over, trial_within) = (false, false, TRIAL_WITHIN);
        Self { disk, folder, profile, gate, kept, current, passed_over, trial_within, permit: Permit::default() }
    }

    /// What lets an older model in when a person at the box gives it.
    pub fn permit(&self) -> Permit {
        self.permit.clone()
    }

    /// The model to start with, if one is installed and can be loaded; reports on stderr which, or why none.
    pub fn load(&mut self) -> Option<Vouched> {
        self.load_in_steps(&mut |_| ())
    }

    /// Whether another model would judge that cannot be used now, or was set aside earlier. It is said until another one is
    /// installed.
    pub fn fell_back(&self) -> bool {
        let set_aside = || self.disk.open(&self.folder.join(rejected(CURRENT)), Access::Read).is_ok();
        !self.current && (self.passed_over || set_aside())
    }

    /// Loads the model to start with; `step` is called after each change, and while a model is being loaded.
    fn load_in_steps(&mut self, step: &mut impl FnMut(&str)) -> Option<Vouched> {
        self.remind();
        for name in [CURRENT, PREVIOUS] {
            let path = self.folder.join(name);
            let loaded = match read(&*self.disk, &path) {
                Ok(None) => continue,
                Ok(Some(file)) => self.begin_with(&file, step),
                Err(error) => Err(error),
            };
            let error = match loaded {
                Ok(model) => {
                    let name = &model.card().name;
                    crate::say(format_args!(
                        "{} takes precedence over the model of the settings: {name}",
                        Shown(path.display())
                    ));
                    self.current = path.ends_with(CURRENT);
                    return Some(model);
                }
                Err(error) => error,
            };
            crate::say(format_args!("{} is not used: {error}", Shown(path.display())));
            self.passed_over = true;
            if error.condemns() {
                let set_aside = self.disk.rename(&path, &self.folder.join(rejected(name))).and_then(|()| self.sync());
                step("set aside");
                // Otherwise it is condemned again at the next start. What has ended the program must not get another try.
                if set_aside.is_ok() {
                    self.unmark();
                    step("unmarked");
                }
            }
        }
        None
    }

    /// Loads and tries a model, unless the program has ended so before.
    fn begin_with(&mut self, file: &ModelFile, step: &mut impl FnMut(&str)) -> Result<Vouched, InstallError> {
        let package = Package::read(&file.bytes)?;
        // The box may have lost what it knew of the keys. An older list than it knows says nothing, and a false one neither.
        let _ = self.gate.learn(&package);
        let begun = self.starts(&file.digest);
        if begun >= STARTS {
            return Err(InstallError::Starts);
        }
        if let Err(error) = self.mark(&file.digest, begun + 1, step) {
            // Full or read-only storage must not keep the box from starting.
            crate::say(format_args!("it cannot be noted which model is being loaded: {error}"));
        }
        step("loading");
        let loaded = catch_unwind(AssertUnwindSafe(|| self.load_checked(self.gate.check(&package)?)));
        self.unmark();
        step("loaded");
        let model = loaded.unwrap_or(Err(InstallError::Panic))?;
        // Wherever it is from, nothing older takes its place.
        model.seen.into_iter().for_each(|seen| self.gate.see(seen));
        Ok(model)
    }

    /// How many starts have ended while a model was loaded.
    fn starts(&self, digest: &Digest) -> u8 {
        let marker = self.disk.open(&self.folder.join(STARTING), Access::Read).and_then(|file| file.read_up_to(0, 64));
        match marker.as_deref().map(<[u8]>::split_last) {
            Ok(Some((begun, named))) if named == digest.0 => *begun,
            _ => 0,
        }
    }

    fn mark(&self, digest: &Digest, begun: u8, step: &mut impl FnMut(&str)) -> io::Result<()> {
        self.disk.create_folder(&self.folder)?;
        let new = self.folder.join(NOTED);
        let file = self.disk.open(&new, Access::New)?;
        file.write_all_at(&[&digest.0[..], &[begun]].concat(), 0)?;
        file.sync()?;
        step("noted");
        self.disk.rename(&new, &self.folder.join(STARTING))?;
        self.sync()
    }

    fn unmark(&self) {
        let removed = match self.disk.remove(&self.folder.join(STARTING)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            removed => removed.and_then(|()| self.sync()),
        };
        if let Err(error) = removed {
            crate::say(format_args!("it cannot be noted that the model is loaded: {error}"));
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync_folder(&self.folder)
    }

    /// Checks an update and makes it the model that the box starts with. When this returns it is on the disk. One that
    /// makes the program panic does so before anything is written; [`crate::analysis::Analyst`] catches that.
    pub fn install(&mut self, file: &ModelFile) -> Result<Vouched, InstallError> {
        let package = Package::read(&file.bytes)?;
        let learnt = self.gate.learn(&package);
        self.keep_in_mind()?;
        learnt?;
        let checked = self.gate.check(&package)?;
        let follows = checked.seen.as_ref().map_or(Ok(()), |seen| self.gate.may_follow(seen));
        // Who made it has been looked at: nothing but its counter speaks against it.
        let is_permitted = matches!(follows, Err(Refused::Older { .. })) && self.permit.is_given();
        if !is_permitted {
            follows?;
        }
        let start = Instant::now();
        let model = self.load_checked(checked)?;
        let took = start.elapsed();
        if took > self.trial_within {
            return Err(ModelError::from(BudgetError::Time { seconds: took.as_secs() }).into());
        }
        // Once, and only for one that is fit to judge.
        if is_permitted && !self.permit.take() {
            return Err(InstallError::Late);
        }
        // Before the model: a box that has taken it goes back only if a person at the box lets an older one in.
        model.seen.into_iter().for_each(|seen| self.gate.see(seen));
        self.keep_in_mind()?;
        self.store(file, &mut |_| Ok(()))?;
        crate::say(format_args!("installed the model {} ({:.12})", model.card().name, model.digest()));
        Ok(model)
    }

    /// Loads a model as the box is to run it, and tries it. A bad one may panic.
    fn load_checked(&self, checked: Checked<'_>) -> Result<Vouched, InstallError> {
        let model = Model::for_box(checked.model, self.profile)?;
        Ok(Vouched { model, trust: checked.trust, seen: checked.seen })
    }

    /// Takes note of what the box has seen before. Where one of the two copies is damaged, or older, it is written again.
    fn remind(&mut self) {
        let copies = memory::read(&*self.disk, &self.folder);
        let differ = copies[0] != copies[1];
        copies.into_iter().flatten().for_each(|known| self.gate.remember(known));
        memory::lists(&*self.disk, &self.folder.with_file_name(SOFTWARE)).for_each(|known| self.gate.remember(known));
        site::lists(&*self.disk, &self.folder.with_file_name(SITE)).for_each(|known| self.gate.remember(known));
        self.kept = self.gate.known().clone();
        if differ && let Err(error) = memory::write(&*self.disk, &self.folder, &self.kept) {
            crate::say(format_args!("what is known of signed models cannot be written again: {error}"));
        }
    }

    /// Writes what the box knows of signed models, if there is something new. What is on the disk and could not be read before is not
    /// lost.
    fn keep_in_mind(&mut self) -> io::Result<()> {
        if *self.gate.known() == self.kept {
            return Ok(());
        }
        memory::read(&*self.disk, &self.folder).into_iter().flatten().for_each(|known| self.gate.remember(known));
        let known = self.gate.known().clone();
        memory::write(&*self.disk, &self.folder, &known)?;
        self.kept = known;
        Ok(())
    }

    /// Writes an update in the steps that the module's documentation lists; `step` is called after each change.
    fn store(&mut self, file: &ModelFile, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let before = match read(&*self.disk, &self.folder.join(CURRENT)) {
            // Installed once more, it must not become its own predecessor.
            Ok(Some(kept)) if kept.digest == file.digest => {
                self.current = true;
                return Ok(());
            }
            // Signed anew, neither.
            Ok(Some(kept)) if is_same_model(&kept, file) => Before::Replaced,
            Ok(Some(_)) if self.current => Before::Kept,
            Ok(Some(_) | None) | Err(_) => Before::Lost,
        };
        self.disk.create_folder(&self.folder)?;
        let stored = self.write(file, step).and_then(|()| self.promote(before, step));
        match stored {
            Ok(()) => self.current = true,
            Err(_) => drop(self.disk.remove(&self.folder.join(INCOMING))),
        }
        stored
    }

    fn write(&self, file: &ModelFile, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let out = self.disk.open(&self.folder.join(INCOMING), Access::New)?;
        step("created")?;
        out.write_all_at(MAGIC, 0)?;
        out.write_all_at(&file.digest.0, MAGIC.len() as u64)?;
        out.write_all_at(&file.bytes, HEAD as u64)?;
        step("written")?;
        out.sync()?;
        step("synced")
    }

    /// Gives the files their names, and takes back what it has done if it fails on the way.
    fn promote(&self, before: Before, step: &mut impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let [current, previous] = [CURRENT, PREVIOUS].map(|name| self.folder.join(name));
        if before == Before::Kept {
            self.disk.rename(&current, &previous)?;
        }
        let mut renamed = false;
        let promoted = self.rename(before, &mut renamed, step);
        if promoted.is_err() {
            // Nobody hears of the update, so it must not come back at the next start.
            let _ = match (before, renamed) {
                (Before::Kept, _) => self.disk.rename(&previous, &current),
                (Before::Lost, true) => self.disk.remove(&current),
                // It is the model that was there.
                (Before::Replaced, _) | (Before::Lost, false) => Ok(()),
            };
        }
        promoted
    }

    /// Makes the new file the current one; `renamed` says whether that was done.
    fn rename(
        &self,
        before: Before,
        renamed: &mut bool,
        step: &mut impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        if before == Before::Kept {
            step("kept")?;
        }
        self.disk.rename(&self.folder.join(INCOMING), &self.folder.join(CURRENT))?;
        *renamed = true;
        step("renamed")?;
        // A new name is on the disk only when its folder is, and the folder only when its parent is.
        self.sync()?;
        if let Some(parent) = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.disk.sync_folder(parent)?;
        }
        step("done")
    }
}

/// What becomes of the current model when another file takes its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// It is the previous one from then on.
    Kept,
    /// The other file holds it, too.
    Replaced,
    /// There is none, or the box does not run it: the previous one stays.
    Lost,
}

/// Whether two files hold the same model, with whatever beside it.
fn is_same_model(one: &ModelFile, other: &ModelFile) -> bool {
    let model = |file: &ModelFile| Package::read(&file.bytes).map(|package| Digest::of(package.model));
    model(one).is_ok_and(|digest| model(other) == Ok(digest))
}

/// The name of a model that is set aside.
fn rejected(name: &str) -> String {
    format!("{name}.rejected")
}

/// Reads an installed model and checks that it is what was written; `None` if there is none.
fn read(disk: &dyn Disk, path: &Path) -> Result<Option<ModelFile>, InstallError> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let most = HEAD as u64 + u64::from(MAX_UPDATE_BYTES) + 1;
    let length = usize::try_from(file.length()?.min(most)).unwrap_or(usize::MAX);
    let mut bytes = file.read_up_to(0, length)?;
    if bytes.len() < length {
        // The disk does not give the rest now. That is not the model's fault.
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let digest = bytes.get(MAGIC.len()..HEAD).and_then(|digest| digest.try_into().ok()).map(Digest);
    match digest {
        Some(digest) if bytes.starts_with(MAGIC) && Digest::of(&bytes[HEAD..]) == digest => {
            bytes.drain(..HEAD);
            Ok(Some(ModelFile { digest, bytes }))
        }
        _ => Err(InstallError::Damaged),
    }
}

#[cfg(test)]
mod signed;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod tests;
