//! The clinic's own settings: a site file, which comes over the line as a model does, signed by a key of the list or by a key of the
//! clinic, and goes before the settings of the card from the next start on.
//!
//! **A key of the clinic** comes with a site file that it has signed, named in the line of the signature that nobody signs. That makes it
//! nothing but an offer: the screen shows its fingerprint, a person compares it with what the computer shows, and holds a key twice
//! (`state/hold.rs`). Only then it is kept, for site files alone, and [`MAX_OWN_KEYS`] of them at most. Nothing over the line adds one. The
//! same person can have all of it forgotten; a list of keys that revokes one of them has the last word.
//!
//! **What is kept** is one record in two copies (`disk/copies.rs`): the site file with its signature, the keys, and what has been seen of counters
//! and lists. Each writing has a number that rises, so that of two copies the later one counts: a power cut leaves the settings of
//! before or the new ones, and with either a counter that is not smaller than theirs. No counter falls, also when all is forgotten; that of
//! a key counts as long as the key may sign.
//!
//! **At each start** the signature is looked at again, before anything reads the file. What cannot be used then, because it is damaged,
//! its key is revoked, or it does not go together with the card any more, stays on the disk, and those of the card are in force. In safe
//! mode none is used.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use shared::{
    appliance::{MAX_SITE_BYTES, SiteSettings, card::SOFTWARE},
    verdict::{Digest, SiteRefusal, Trust},
};
use trust::{CheckedSite, Gate, KeyId, Kind, Known, Package, PackageError, PublicKey, Refused, Signature, Statement};
use wire::{MAX_OWN_KEYS, ModelFile, SiteOnLine, SiteStage, SiteState};

use crate::{
    config::{ConfigError, Settings},
    disk::{Copies, Disk},
    models::{MODELS, memory},
};

/// The folder of the site file, in that of the state of the box.
pub const SITE: &str = "site";
const COPIES: Copies = Copies { magic: b"PUMUAC1\n", names: ["site.1", "site.2"], incoming: "site.new" };

/// What is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To take a site file.
    Take(ModelFile),
    /// To believe a key of the clinic from now on: a person at the box wants it.
    AddKey(PublicKey),
    /// To forget the site file and the keys of the clinic: likewise.
    Forget,
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// For this.
    Refused(SiteRefusal),
    /// The settings are good but for their key, which a person may add.
    Offered(Box<PublicKey>),
}

/// What is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Which settings are in force.
    pub stage: SiteStage,
    /// The site file that is stored.
    pub file: Option<SiteFile>,
    /// The keys of the clinic.
    pub keys: Vec<PublicKey>,
    /// Whether they are in force since this start.
    pub is_new: bool,
}

impl Standing {
    /// As a host is told.
    pub fn on_line(&self) -> SiteState {
        // A name has as many digits as have room.
        let name = |key: &PublicKey| key.id.to_string().as_str().try_into().unwrap_or_default();
        SiteState {
            stage: self.stage,
            file: self.file.as_ref().map(SiteFile::on_line),
            keys: self.keys.iter().take(MAX_OWN_KEYS).map(name).collect(),
        }
    }
}

/// A site file as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFile {
    /// Its name, as the signer says it.
    pub name: String,
    /// Its counter.
    pub counter: u64,
    /// Digest of its text.
    pub digest: Digest,
    /// The key that has signed it.
    pub key: KeyId,
    /// Who says that it is good.
    pub trust: Trust,
    /// Whether that is a key of the clinic.
    pub is_own: bool,
}

impl SiteFile {
    fn of(checked: &CheckedSite) -> Self {
        let CheckedSite { trust, seen, statement, is_own } = checked;
        let name = statement.name.clone();
        Self { name, counter: seen.counter, digest: seen.model, key: seen.key, trust: *trust, is_own: *is_own }
    }

    fn on_line(&self) -> SiteOnLine {
        SiteOnLine {
            digest: self.digest,
            // Those of a statement fit.
            name: self.name.as_str().try_into().unwrap_or_default(),
            counter: self.counter,
            key: self.key.to_string().as_str().try_into().unwrap_or_default(),
            trust: self.trust,
            own_key: self.is_own,
        }
    }
}

/// Why a site file is not taken, or not used.
#[derive(Debug, thiserror::Error)]
enum SiteError {
    /// Nobody whom the box believes says that it is good, or says so of a later one.
    #[error("{}", .0.site_refusal())]
    Trust(#[from] Refused),
    /// But for their key they are good, which a person may add.
    #[error("the key {key} is offered, of which the fingerprint is {fingerprint}", key = .0, fingerprint = .0.fingerprint())]
    Offered(Box<PublicKey>),
    /// It did not come whole.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It is too long, or no text.
    #[error("a site file is a text of at most {} KiB: shorten it", MAX_SITE_BYTES >> 10)]
    Text,
    /// It is not TOML, or has a key that is for the card alone.
    #[error("the site file cannot be used; correct it:\n{0}")]
    Toml(Box<toml::de::Error>),
    /// It does not go together with the other settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There are as many keys as are kept.
    #[error("the box has {MAX_OWN_KEYS} keys of the clinic: have them forgotten at the box first")]
    Keys,
    /// Reading or writing failed.
    #[error("the settings cannot be kept: {0}: check the storage")]
    Io(#[from] io::Error),
}

impl SiteError {
    fn refusal(&self) -> SiteRefusal {
        match self {
            Self::Trust(refused) => refused.site_refusal(),
            Self::Offered(_) => SiteRefusal::KeyOffered,
            Self::Package(_) | Self::Text | Self::Toml(_) => SiteRefusal::NotSettings,
            Self::Config(_) => SiteRefusal::Unfit,
            Self::Keys => SiteRefusal::TooManyKeys,
            Self::Io(_) => SiteRefusal::NotStored,
        }
    }
}

/// What is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Kept {
    /// Rises with each writing.
    serial: u64,
    /// What has been seen of counters and lists.
    known: Known,
    /// The keys of the clinic, as minisign writes them.
    keys: Vec<String>,
    /// The text of the site file and its signature.
    file: Option<[String; 2]>,
    /// Whether it was said that they are in force.
    told: bool,
}

/// All settings with those of a site file among them.
pub type With = Box<dyn Fn(&SiteSettings) -> Result<Settings, ConfigError> + Send>;

/// The clinic's own settings.
pub struct Site {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Decides who is believed.
    gate: Gate,
    with: With,
    kept: Kept,
    /// The site file that is in force, if one is.
    running: Option<Digest>,
    standing: Standing,
}

impl Site {
    /// Those in a folder, which need not exist yet, as far as a gate for site files lets them through and they go together with the
    /// others.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf, gate: Gate, with: With) -> Self {
        let (kept, standing) = (Kept::default(), Standing::default());
        Self { disk, folder, gate, with, kept, running: None, standing }
    }

    /// All settings with those of the site file, if there is one that can be used; reports on stderr which, or why not.
    pub fn load(&mut self) -> Option<Settings> {
        let differ = self.recall();
        let are_lost = self.kept == Kept::default() && COPIES.are_there(&*self.disk, &self.folder);
        self.remind();
        let known = self.gate.known().clone();
        if differ && let Err(error) = self.store(Kept { known, ..self.kept.clone() }) {
            crate::say(format_args!("the clinic's settings cannot be written again: {error}"));
        }
        let Some([text, signature]) = self.kept.file.clone() else {
            if are_lost {
                crate::say(format_args!("the clinic's settings are damaged, and those of the card are in force"));
                self.standing.stage = SiteStage::NotUsed;
            }
            return None;
        };
        let loaded = self.read(&signature, text.as_bytes());
        self.standing.file = loaded.as_ref().ok().map(|(checked, _)| SiteFile::of(checked));
        match loaded {
            Ok((CheckedSite { seen, statement, .. }, settings)) => {
                crate::say(format_args!("the settings {} of the clinic go before those of the card", statement.name));
                self.running = Some(seen.model);
                self.standing.stage = SiteStage::InForce;
                self.standing.is_new = !self.kept.told;
                Some(settings)
            }
            Err(error) => {
                crate::say(format_args!(
                    "the clinic's settings are not used, and those of the card are in force: {error}"
                ));
                self.standing.stage = SiteStage::NotUsed;
                None
            }
        }
    }

    /// For safe mode: uses nothing of it, and leaves it to a person to have it forgotten.
    pub fn set_aside(&mut self) {
        self.recall();
        if self.kept.file.is_some() {
            self.standing.stage = SiteStage::NotUsed;
        }
    }

    /// What is to be said of it.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// It was said that they are in force: at the next start they are not new.
    pub fn note_told(&mut self) {
        if let Err(error) = self.store(Kept { told: true, ..self.kept.clone() }) {
            crate::say(format_args!("it cannot be noted that the clinic's settings are in force: {error}"));
        }
    }

    /// Does what is asked. When this returns it is on the disk.
    pub fn carry_out(&mut self, ask: &Ask) -> Result<Standing, NotDone> {
        self.recall();
        let done = match ask {
            Ask::Take(file) => self.take(&file.bytes),
            Ask::AddKey(key) => self.add_key(*key),
            Ask::Forget => self.forget(),
        };
        done.map(|()| self.standing.clone()).map_err(|error| {
            crate::say(format_args!("the clinic's settings are not changed: {error}"));
            match error {
                SiteError::Offered(key) => NotDone::Offered(key),
                error => NotDone::Refused(error.refusal()),
            }
        })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SiteError> {
        let package = Package::read(bytes)?;
        self.remind();
        let learnt = self.gate.learn(&package);
        self.keep_in_mind()?;
        learnt?;
        let signature = package.signature.unwrap_or_default();
        let checked = match self.read(signature, package.model) {
            Err(SiteError::Trust(Refused::KeyUnknown(id))) => return Err(self.offer(signature, package.model, id)),
            read => read?.0,
        };
        self.gate.may_follow(&checked.seen)?;
        let text = String::from_utf8_lossy(package.model).into_owned();
        let is_same = self.kept.file.as_ref().is_some_and(|[kept, _]| *kept == text);
        let (file, told) = (Some([text, signature.to_owned()]), is_same && self.kept.told);
        self.gate.see(checked.seen);
        let known = self.gate.known().clone();
        self.store(Kept { known, file, told, ..self.kept.clone() })?;
        let is_running = self.running == Some(checked.seen.model);
        crate::say(format_args!("the settings {} are stored, for the next start", checked.statement.name));
        self.standing.stage = if is_running { SiteStage::InForce } else { SiteStage::NextStart };
        self.standing.file = Some(SiteFile::of(&checked));
        Ok(())
    }

    /// Who has signed a site file, and all settings with it. Nothing reads it before its signature is looked at.
    fn read(&self, signature: &str, file: &[u8]) -> Result<(CheckedSite, Settings), SiteError> {
        if file.len() > MAX_SITE_BYTES {
            // Whatever anybody sends would be hashed here, where lines and keys wait.
            return Err(SiteError::Text);
        }
        let signature = (!signature.is_empty()).then_some(signature);
        let checked = self.gate.check_site(signature, file)?;
        let text = str::from_utf8(file).map_err(|_| SiteError::Text)?;
        let site = toml::from_str::<SiteSettings>(text).map_err(|error| SiteError::Toml(Box::new(error)))?;
        let settings = (self.with)(&site)?;
        Ok((checked, settings))
    }

    /// Whether settings that an unknown key has signed would be taken if a person added it.
    fn offer(&self, signature: &str, file: &[u8], id: KeyId) -> SiteError {
        let named = Signature::of_file(signature).ok().and_then(|signature| signature.named);
        let Some(key) = named.filter(|key| key.id == id) else { return Refused::KeyUnknown(id).into() };
        let mut gate = self.gate.clone();
        gate.set_own(self.standing.keys.iter().copied().chain([key]).collect());
        let checked = gate.check_site(Some(signature), file).and_then(|checked| gate.may_follow(&checked.seen));
        match checked {
            Err(refused) => refused.into(),
            Ok(()) if self.standing.keys.len() >= MAX_OWN_KEYS => SiteError::Keys,
            Ok(()) => SiteError::Offered(Box::new(key)),
        }
    }

    fn add_key(&mut self, key: PublicKey) -> Result<(), SiteError> {
        if self.standing.keys.contains(&key) {
            return Ok(());
        }
        if self.standing.keys.len() >= MAX_OWN_KEYS {
            return Err(SiteError::Keys);
        }
        let mut kept = self.kept.clone();
        kept.keys.push(key.to_string());
        self.store(kept)?;
        crate::say(format_args!("a person has added the key {key}"));
        self.believe();
        Ok(())
    }

    fn forget(&mut self) -> Result<(), SiteError> {
        self.store(Kept { keys: Vec::new(), file: None, told: false, ..self.kept.clone() })?;
        crate::say(format_args!("a person has had the clinic's settings and keys forgotten"));
        self.believe();
        self.standing.file = None;
        self.standing.stage = if self.running.is_some() { SiteStage::NextStart } else { SiteStage::Card };
        Ok(())
    }

    /// Takes over what is on the disk, if it is later than what is known here: at the start, and what could not be read then. Returns
    /// whether the two copies differ.
    fn recall(&mut self) -> bool {
        let copies: [Option<Kept>; 2] = COPIES.read(&*self.disk, &self.folder);
        let differ = copies[0] != copies[1];
        for kept in copies.into_iter().flatten() {
            self.gate.remember(kept.known.clone());
            if kept.serial > self.kept.serial {
                self.kept = kept;
            }
        }
        self.believe();
        differ
    }

    /// Believes the keys that are kept, and no others of the clinic.
    fn believe(&mut self) {
        self.standing.keys = self.kept.keys.iter().filter_map(|key| key.parse().ok()).collect();
        self.gate.set_own(self.standing.keys.clone());
    }

    /// Takes over the lists of keys that came with models and bundles: what is revoked there signs nothing here.
    fn remind(&mut self) {
        for other in [MODELS, SOFTWARE] {
            memory::lists(&*self.disk, &self.folder.with_file_name(other)).for_each(|known| self.gate.remember(known));
        }
    }

    /// Writes what is known of keys and counters, if there is something new.
    fn keep_in_mind(&mut self) -> io::Result<()> {
        if *self.gate.known() == self.kept.known {
            return Ok(());
        }
        let known = self.gate.known().clone();
        self.store(Kept { known, ..self.kept.clone() })
    }

    fn store(&mut self, kept: Kept) -> io::Result<()> {
        // What fails may still be in one of the copies: no later writing has its number.
        self.kept.serial = self.kept.serial.saturating_add(1);
        let kept = Kept { serial: self.kept.serial, ..kept };
        COPIES.write(&*self.disk, &self.folder, &kept)?;
        self.kept = kept;
        Ok(())
    }
}

/// Whether what was sent is a site file and not a model, as its signature says. Nothing is to be believed yet: what says so falsely is
/// refused as the one or as the other.
pub fn is_one(bytes: &[u8]) -> bool {
    let said = || {
        let signature = Signature::of_file(Package::read(bytes).ok()?.signature?).ok()?;
        signature.comment.parse::<Statement>().ok()
    };
    said().is_some_and(|statement| statement.kind == Kind::Site)
}

/// The lists of keys that came with site files.
pub(crate) fn lists(disk: &dyn Disk, folder: &Path) -> impl Iterator<Item = Known> {
    let copies: [Option<Kept>; 2] = COPIES.read(disk, folder);
    copies.into_iter().flatten().map(|kept| Known { list: kept.known.list, ..Known::default() })
}

#[cfg(test)]
mod tests;
