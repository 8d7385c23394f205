//! The settings of all sources together.

use std::{path::PathBuf, time::Duration};

use shared::{
    appliance::{
        BLANK_MINUTES, Language, Override, Rotation, Share,
        line::{DEFAULT_BAUD, SLOWEST_BAUD, least_bytes_a_second},
    },
    verdict::Profile,
};
use trust::Roots;

use super::{ConfigError, flags::Layer};
use crate::screen::ScreenSize;

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

/// Everything that the box needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The line to the host.
    pub line: LineSettings,
    /// The model file; `None` for the built-in one. A model that a host has installed goes before it.
    pub model: Option<PathBuf>,
    /// Folder of the models that hosts have installed.
    pub models: PathBuf,
    /// Who names the keys that may sign models; `None` for the test key.
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
    /// What hosts may ask to override.
    pub overrides: Vec<Override>,
}

/// Layers from the strongest to the weakest → settings.
pub(super) fn resolve(layers: &[Layer; 3]) -> Result<Settings, ConfigError> {
    fn first<T: Clone>(layers: &[Layer], field: impl Fn(&Layer) -> &Option<T>) -> Option<T> {
        layers.iter().find_map(|layer| field(layer).clone())
    }
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
        models: state.join("models"),
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
        overrides: first(layers, |l| &l.overrides).unwrap_or_default(),
    })
}
