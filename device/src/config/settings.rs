//! The settings of all sources together.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ::node::{Node, Wired, WiredError};
use shared::{
    appliance::{
        BLANK_MINUTES, Language, Override, Rotation, Share, SiteSettings,
        card::SOFTWARE,
        line::{DEFAULT_BAUD, SLOWEST_BAUD, least_bytes_a_second},
    },
    verdict::Profile,
};
use trust::Roots;

use super::{ConfigError, flags::Layer};
use crate::{models::MODELS, screen::ScreenSize};

const STATE: &str = "/var/lib/pumua";
const SIMULATED_STATE: &str = "runs/simulated-box";

/// The lines to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineSettings {
    /// A pseudo-terminal of this computer.
    Simulated {
        /// Bits a second of the line that it imitates; `None` for no limit.
        pace: Option<u32>,
    },
    /// Serial ports, one at least.
    Ports {
        /// Their devices, each once.
        paths: Vec<PathBuf>,
        /// Bits a second.
        baud: u32,
        /// Whether those that cannot be opened at the start are waited for.
        wait: bool,
    },
}

impl LineSettings {
    /// Bytes a second that each line carries at least.
    pub fn least_bytes_a_second(&self) -> u64 {
        least_bytes_a_second(match self {
            Self::Simulated { pace } => pace.unwrap_or(DEFAULT_BAUD),
            Self::Ports { baud, .. } => *baud,
        })
    }
}

/// How X-ray machines send to the box by DICOM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeSettings {
    /// Over its own Ethernet port, which its first process sets up.
    Wired(Wired),
    /// To a simulated box, at an address of this computer.
    Simulated(Node),
}

/// Everything that the box needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The line to the host.
    pub line: LineSettings,
    /// The model file; `None` for the built-in one. A model that a host has installed goes before it.
    pub model: Option<PathBuf>,
    /// Folder of the models that hosts have installed.
    pub models: PathBuf,
    /// Folder of bundles of the whole program; only a card with two slots has it.
    pub software: PathBuf,
    /// Who names the keys that may sign models and bundles; `None` for the test key.
    pub roots: Option<Roots>,
    /// Whether models are taken that nobody has signed.
    pub unsigned: bool,
    /// By which of the model's operating points it decides; `None` for its own choice.
    pub profile: Option<Profile>,
    /// The journal.
    pub journal: PathBuf,
    /// Where `screen.png` is kept.
    pub screen_dir: Option<PathBuf>,
    /// Size of that picture; on a framebuffer, the framebuffer's.
    pub screen_size: ScreenSize,
    /// The framebuffer device.
    pub framebuffer: Option<PathBuf>,
    /// Whether the box continues without it if it cannot be used.
    pub framebuffer_optional: bool,
    /// How the picture is turned on it.
    pub rotation: Rotation,
    /// Language of the screen.
    pub language: Language,
    /// Whether buttons and keyboards are read.
    pub keys: bool,
    /// Whether nothing is judged.
    pub safe: bool,
    /// To whom results and screenshots are handed out.
    pub share: Share,
    /// After how long a result is shown no longer, if ever.
    pub blank_after: Option<Duration>,
    /// Whether memory sticks are used: films on them, results onto them, programs from them.
    pub stick: bool,
    /// A folder that is played as a memory stick.
    pub stick_dir: Option<PathBuf>,
    /// What hosts may ask to override.
    pub overrides: Vec<Override>,
    /// How X-ray machines send to it, if they may.
    pub node: Option<NodeSettings>,
}

/// A field of the strongest layer that has it.
fn first<T: Clone>(layers: &[Layer], field: impl Fn(&Layer) -> &Option<T>) -> Option<T> {
    layers.iter().find_map(|layer| field(layer).clone())
}

/// What layers say of the Ethernet port of a box.
pub(super) fn wired(layers: &[Layer]) -> Result<Option<Wired>, WiredError> {
    let (ethernet, title) = (first(layers, |l| &l.ethernet), first(layers, |l| &l.aet));
    let (port, peers) = (first(layers, |l| &l.node_port), first(layers, |l| &l.peers));
    Wired::of_settings(ethernet.as_deref(), title.as_deref(), port, peers.as_deref())
}

/// How X-ray machines send to a box that is simulated, or is not.
fn node(layers: &[Layer], simulated: bool) -> Result<Option<NodeSettings>, ConfigError> {
    let wired = wired(layers)?;
    match first(layers, |l| &l.node) {
        Some(_) if !simulated => Err(ConfigError::NodeWithoutSimulation),
        Some(listen) => {
            let (title, peers) = (first(layers, |l| &l.aet), first(layers, |l| &l.peers));
            let node = Wired::elsewhere(listen, title.as_deref(), peers.as_deref())?;
            Ok(Some(NodeSettings::Simulated(node)))
        }
        // It has no Ethernet port of its own.
        None if simulated => Ok(None),
        None => Ok(wired.map(NodeSettings::Wired)),
    }
}

impl Settings {
    /// What a configuration file says alone, without command line and environment.
    ///
    /// # Errors
    /// [`ConfigError`]: it cannot be read, or cannot be used.
    pub fn of_file(path: &Path) -> Result<Self, ConfigError> {
        resolve(&[Layer::default(), Layer::default(), Layer::from_file(Some(path))?])
    }
}

/// Where settings come from, but for a site file.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The command line, the environment and the configuration file.
    pub(super) layers: [Layer; 3],
    /// Whether nothing is to be judged.
    pub(super) safe: bool,
}

impl Sources {
    /// The settings, without a site file.
    ///
    /// # Errors
    /// [`ConfigError`]: they cannot be used.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Ok(Settings { safe: self.safe, ..resolve(&self.layers)? })
    }

    /// The settings with a site file, which goes before the configuration file.
    ///
    /// # Errors
    /// [`ConfigError`]: together they cannot be used.
    pub fn with_site(&self, site: &SiteSettings) -> Result<Settings, ConfigError> {
        let [flags, environment, file] = self.layers.clone();
        Ok(Settings { safe: self.safe, ..resolve(&[flags, environment, Layer::of_site(site), file])? })
    }
}

/// Layers from the strongest, the command line, to the weakest → settings.
fn resolve(layers: &[Layer]) -> Result<Settings, ConfigError> {
    // A stronger layer's port wins over a weaker one's simulation, and the other way round.
    let pace = first(layers, |l| &l.pace);
    let baud = first(layers, |l| &l.baud).unwrap_or(DEFAULT_BAUD);
    if let Some(slow) = pace.into_iter().chain([baud]).find(|&rate| rate < SLOWEST_BAUD) {
        return Err(ConfigError::Rate(slow));
    }
    let line = match layers.iter().find_map(Layer::line).ok_or(ConfigError::NoLine)? {
        None => LineSettings::Simulated { pace },
        Some(_) if layers[0].pace.is_some() => return Err(ConfigError::PaceWithoutSimulation),
        // A person who types a name wants to know that it is wrong; a box that starts by itself has to continue.
        Some(paths) => LineSettings::Ports { paths, baud, wait: layers[0].line().is_none() },
    };
    let simulated = matches!(line, LineSettings::Simulated { .. });
    let state = first(layers, |l| &l.state_dir)
        .unwrap_or_else(|| PathBuf::from(if simulated { SIMULATED_STATE } else { STATE }));
    let framebuffer = first(layers, |l| &l.framebuffer);
    // The keyboard of a computer on which a box is simulated is another's business.
    let keys = first(layers, |l| &l.keys).unwrap_or(framebuffer.is_some() && !simulated);
    // Also where the framebuffer that is named cannot be used: pulling the screen out must not open the box.
    let share = first(layers, |l| &l.share).unwrap_or(if framebuffer.is_some() { Share::Code } else { Share::Open });
    let blank = first(layers, |l| &l.blank_minutes).unwrap_or(BLANK_MINUTES);
    Ok(Settings {
        line,
        model: first(layers, |l| &l.model),
        models: state.join(MODELS),
        software: state.join(SOFTWARE),
        roots: Roots::of_settings(first(layers, |l| &l.roots).as_deref(), first(layers, |l| &l.roots_needed))?,
        // A simulated box is where models are developed.
        unsigned: first(layers, |l| &l.unsigned).unwrap_or(simulated),
        profile: first(layers, |l| &l.profile),
        journal: first(layers, |l| &l.journal).unwrap_or_else(|| state.join("journal")),
        screen_dir: first(layers, |l| &l.screen_dir).or_else(|| simulated.then_some(state)),
        screen_size: first(layers, |l| &l.screen_size).unwrap_or_default(),
        framebuffer,
        framebuffer_optional: layers[0].framebuffer.is_none(),
        rotation: first(layers, |l| &l.rotate).unwrap_or_default(),
        language: first(layers, |l| &l.language).unwrap_or_default(),
        keys,
        safe: false,
        share,
        blank_after: (blank > 0).then(|| Duration::from_secs(60 * u64::from(blank))),
        stick: first(layers, |l| &l.stick).unwrap_or(true),
        stick_dir: first(layers, |l| &l.stick_dir),
        overrides: first(layers, |l| &l.overrides).unwrap_or_default(),
        node: node(layers, simulated)?,
    })
}
