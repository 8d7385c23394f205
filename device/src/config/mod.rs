//! Settings: flags win over environment, environment over the configuration file, the file over what is built in.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, de::Error as _};
use shared::verdict::{Profile, ProfileError};

use crate::screen::{
    Language,
    language::LanguageError,
    rotation::{Rotation, RotationError},
};

/// The configuration file that is read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "/etc/pumua/box.toml";

const DEFAULT_BAUD: u32 = 115_200;
const SLOWEST: u32 = 300;
const STATE: &str = "/var/lib/pumua";
const SIMULATED_STATE: &str = "runs/simulated-box";

const AFTER_HELP: &str = "\
Each setting is taken from the flag, else from the environment variable, else from the configuration file (TOML, the \
names of the flags with `_` for `-`), else it is the default.

Exit codes:
  0  stopped by a signal, everything left whole
  1  failed
  2  wrong usage or configuration
  3  the model cannot be used
  4  a port named by --port is not available

Pumua is a research aid, not a medical device.";

/// The clinic box: receives radiographs over a serial line and shows the verdict on its screen.
#[derive(Debug, Default, clap::Parser)]
#[command(name = "pumua-box", version, after_help = AFTER_HELP)]
pub struct Flags {
    /// Configuration file [env: PUMUA_CONFIG] [default: /etc/pumua/box.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    settings: Layer,
}

/// One source of settings: all of them may be absent.
#[derive(Debug, Default, Clone, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Be a box on this computer: open a pseudo-terminal, print its path on stdout, keep a picture of the screen
    /// [env: PUMUA_SIMULATE]
    #[arg(long, num_args = 0, default_missing_value = "true", conflicts_with = "port")]
    simulate: Option<bool>,
    /// Make the simulated line as slow as a real one of this many bits a second [env: PUMUA_PACE] [default: unlimited]
    #[arg(long, value_name = "BAUD")]
    pace: Option<u32>,
    /// Serial port, or several to listen on at once: repeat the flag, separate by commas in the environment, give a list in
    /// the file. A port named by the flag must be there at the start; one named elsewhere is waited for [env: PUMUA_PORT]
    #[arg(long, value_name = "PATH")]
    #[serde(default, deserialize_with = "one_or_more")]
    port: Option<Vec<PathBuf>>,
    /// Speed of the serial ports in bits a second [env: PUMUA_BAUD] [default: 115200]
    #[arg(long, value_name = "BAUD")]
    baud: Option<u32>,
    /// ONNX model made by `pumua train`, until a host installs another one with `pumua update` [env: PUMUA_MODEL] [default:
    /// the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// By which of the model's thresholds yes or no is told: screening (few pneumonias are missed), balanced or confirming
    /// (few normal radiographs are called pneumonia) [env: PUMUA_PROFILE] [default: the model's own threshold]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Folder for what the box keeps [env: PUMUA_STATE_DIR] [default: /var/lib/pumua; runs/simulated-box with --simulate]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Journal of the results [env: PUMUA_JOURNAL] [default: `journal` in the state folder]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Folder in which `screen.png` is kept current [env: PUMUA_SCREEN_DIR] [default: none; the state folder with
    /// --simulate]
    #[arg(long, value_name = "DIR")]
    screen_dir: Option<PathBuf>,
    /// Size of the picture in the screen folder, from 480x320 to 1920x1080 or 320x480 to 1080x1920 [env: PUMUA_SCREEN_SIZE]
    /// [default: 800x480]
    #[arg(long, value_name = "WxH")]
    screen_size: Option<ScreenSize>,
    /// Linux framebuffer to show the screen on, e.g. /dev/fb0. One named by the flag must be there; without one named
    /// elsewhere the box goes on [env: PUMUA_FRAMEBUFFER] [default: none]
    #[arg(long, value_name = "PATH")]
    framebuffer: Option<PathBuf>,
    /// By how many degrees the picture is turned to the right on the framebuffer, for a panel that is mounted turned: 0,
    /// 90, 180 or 270 [env: PUMUA_ROTATE] [default: 0]
    #[arg(long, value_name = "DEGREES")]
    rotate: Option<Rotation>,
    /// Language of the screen: en, fr, pt or sw [env: PUMUA_LANGUAGE] [default: en]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<Language>,
    /// Read buttons and keyboards in /dev/input: true or false [env: PUMUA_KEYS] [default: true with a framebuffer, but not
    /// with --simulate]
    #[arg(long, value_name = "BOOL")]
    keys: Option<bool>,
}

/// Width and height of a screen in pixels, within the range that the layout is made for, in either orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenSize {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Text that is no screen size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a screen size is written 800x480 and lies between 480x320 and 1920x1080, or 320x480 and 1080x1920")]
pub struct ScreenSizeError;

impl ScreenSize {
    /// Most pixels of the longer and of the shorter side.
    pub const LONGEST: (u32, u32) = (1920, 1080);

    /// Checks the range: the longer side 480..=1920, the shorter one 320..=1080.
    pub fn new(width: u32, height: u32) -> Result<Self, ScreenSizeError> {
        let (long, short) = Self::LONGEST;
        if (480..=long).contains(&width.max(height)) && (320..=short).contains(&width.min(height)) {
            Ok(Self { width, height })
        } else {
            Err(ScreenSizeError)
        }
    }
}

impl Default for ScreenSize {
    fn default() -> Self {
        Self { width: 800, height: 480 }
    }
}

impl FromStr for ScreenSize {
    type Err = ScreenSizeError;

    fn from_str(text: &str) -> Result<Self, ScreenSizeError> {
        let (width, height) = text.split_once('x').ok_or(ScreenSizeError)?;
        let side = |text: &str| text.parse().map_err(|_| ScreenSizeError);
        Self::new(side(width)?, side(height)?)
    }
}

impl fmt::Display for ScreenSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl<'de> Deserialize<'de> for ScreenSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A path, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path or a list of paths")]
    enum Ports {
        One(PathBuf),
        More(Vec<PathBuf>),
    }
    Ok(Some(match Ports::deserialize(deserializer)? {
        Ports::One(path) => vec![path],
        Ports::More(paths) => paths,
    }))
}

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

/// Everything that the box needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The line to the host.
    pub line: LineSettings,
    /// The model file; `None` for the built-in one. A model that a host has installed goes before it.
    pub model: Option<PathBuf>,
    /// Folder of the models that hosts have installed.
    pub models: PathBuf,
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
    /// Whether the box goes on without it if it cannot be used.
    pub framebuffer_optional: bool,
    /// How the picture is turned on it.
    pub rotation: Rotation,
    /// Language of the screen.
    pub language: Language,
    /// Whether buttons and keyboards are read.
    pub keys: bool,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// the configuration file cannot be read
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the configuration file is not what it should be
    #[error("the configuration file {path} cannot be used; correct it:\n{source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// an environment variable is not what it should be
    #[error("the environment variable {name} cannot be used: {reason}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// neither a port nor a simulation is asked for
    #[error("no line to the host is named: give --port PATH for a serial port or --simulate to try the box here")]
    NoLine,
    /// a line is asked for that is slower than any
    #[error("a line of {0} bits a second is too slow: give at least 300")]
    Rate(u32),
    /// a pace is asked for where there is a real line
    #[error("--pace is for the simulated line: add --simulate, or use --baud for a serial port")]
    PaceWithoutSimulation,
}

impl Flags {
    /// The settings, with the environment as `environment` gives it.
    pub fn resolve(self, environment: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
        let named = self.config.or_else(|| set(&environment, "PUMUA_CONFIG").map(PathBuf::from));
        let environment = Layer::from_environment(environment)?;
        let file = Layer::from_file(named.as_deref())?;
        resolve(&[self.settings, environment, file])
    }
}

/// The value of an environment variable; an empty one counts as absent.
fn set(environment: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

impl Layer {
    fn from_environment(environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| set(&environment, name);
        let path = |name: &str| get(name).map(PathBuf::from);
        let baud = |name: &'static str| {
            let reason = "it must be a number".to_owned();
            get(name).map(|value| value.parse()).transpose().map_err(|_| ConfigError::Environment { name, reason })
        };
        let flag = |name: &'static str| match get(name).as_deref() {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(_) => Err(ConfigError::Environment { name, reason: "it must be 1 or 0".to_owned() }),
        };
        let size = |value: String| {
            let reason = |error: ScreenSizeError| error.to_string();
            value.parse().map_err(|e| ConfigError::Environment { name: "PUMUA_SCREEN_SIZE", reason: reason(e) })
        };
        let profile = |value: String| {
            let reason = |error: ProfileError| error.to_string();
            value.parse().map_err(|e| ConfigError::Environment { name: "PUMUA_PROFILE", reason: reason(e) })
        };
        let rotation = |value: String| {
            let reason = |error: RotationError| error.to_string();
            value.parse().map_err(|e| ConfigError::Environment { name: "PUMUA_ROTATE", reason: reason(e) })
        };
        let language = |value: String| {
            let reason = |error: LanguageError| error.to_string();
            value.parse().map_err(|e| ConfigError::Environment { name: "PUMUA_LANGUAGE", reason: reason(e) })
        };
        Ok(Self {
            simulate: flag("PUMUA_SIMULATE")?,
            pace: baud("PUMUA_PACE")?,
            port: get("PUMUA_PORT").map(|ports| ports.split(',').map(|port| port.trim().into()).collect()),
            baud: baud("PUMUA_BAUD")?,
            model: path("PUMUA_MODEL"),
            profile: get("PUMUA_PROFILE").map(profile).transpose()?,
            state_dir: path("PUMUA_STATE_DIR"),
            journal: path("PUMUA_JOURNAL"),
            screen_dir: path("PUMUA_SCREEN_DIR"),
            screen_size: get("PUMUA_SCREEN_SIZE").map(size).transpose()?,
            framebuffer: path("PUMUA_FRAMEBUFFER"),
            rotate: get("PUMUA_ROTATE").map(rotation).transpose()?,
            language: get("PUMUA_LANGUAGE").map(language).transpose()?,
            keys: flag("PUMUA_KEYS")?,
        })
    }

    fn from_file(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) })
    }

    /// The ports that this layer asks for: `Some(None)` for the simulated line.
    fn line(&self) -> Option<Option<Vec<PathBuf>>> {
        if self.simulate == Some(true) {
            return Some(None);
        }
        let mut ports = Vec::new();
        for port in self.port.iter().flatten().filter(|port| !port.as_os_str().is_empty()) {
            if !ports.contains(port) {
                ports.push(port.clone());
            }
        }
        (!ports.is_empty()).then_some(Some(ports))
    }
}

/// Layers from the strongest to the weakest → settings.
fn resolve(layers: &[Layer; 3]) -> Result<Settings, ConfigError> {
    fn first<T: Clone>(layers: &[Layer], field: impl Fn(&Layer) -> &Option<T>) -> Option<T> {
        layers.iter().find_map(|layer| field(layer).clone())
    }
    // A stronger layer's port wins over a weaker one's simulation, and the other way round.
    let pace = first(layers, |l| &l.pace);
    let baud = first(layers, |l| &l.baud).unwrap_or(DEFAULT_BAUD);
    if let Some(slow) = pace.into_iter().chain([baud]).find(|&rate| rate < SLOWEST) {
        return Err(ConfigError::Rate(slow));
    }
    let line = match layers.iter().find_map(Layer::line).ok_or(ConfigError::NoLine)? {
        None => LineSettings::Simulated { pace },
        Some(_) if layers[0].pace.is_some() => return Err(ConfigError::PaceWithoutSimulation),
        // Whoever types a name wants to know that it is wrong; a box that starts by itself has to go on.
        Some(paths) => LineSettings::Ports { paths, baud, wait: layers[0].line().is_none() },
    };
    let simulated = matches!(line, LineSettings::Simulated { .. });
    let state = first(layers, |l| &l.state_dir)
        .unwrap_or_else(|| PathBuf::from(if simulated { SIMULATED_STATE } else { STATE }));
    let framebuffer = first(layers, |l| &l.framebuffer);
    // The keyboard of a computer on which a box is simulated is another's business.
    let keys = first(layers, |l| &l.keys).unwrap_or(framebuffer.is_some() && !simulated);
    Ok(Settings {
        line,
        model: first(layers, |l| &l.model),
        models: state.join("models"),
        profile: first(layers, |l| &l.profile),
        journal: first(layers, |l| &l.journal).unwrap_or_else(|| state.join("journal")),
        screen_dir: first(layers, |l| &l.screen_dir).or_else(|| simulated.then_some(state)),
        screen_size: first(layers, |l| &l.screen_size).unwrap_or_default(),
        framebuffer,
        framebuffer_optional: layers[0].framebuffer.is_none(),
        rotation: first(layers, |l| &l.rotate).unwrap_or_default(),
        language: first(layers, |l| &l.language).unwrap_or_default(),
        keys,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn settings(flags: &[&str], environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let flags = Flags::try_parse_from([&["device"], flags].concat()).expect("valid flags");
        flags.resolve(|name| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    fn ports(paths: &[&str], baud: u32, wait: bool) -> LineSettings {
        LineSettings::Ports { paths: paths.iter().map(PathBuf::from).collect(), baud, wait }
    }

    #[test]
    fn several_ports_can_be_named_in_each_way_and_only_those_of_the_flag_must_be_there() {
        let line = |flags: &[&str], environment: &[(&str, &str)]| settings(flags, environment).unwrap().line;
        let both = |wait| ports(&["/dev/ttyS1", "/dev/ttyGS0"], 115_200, wait);
        let flags = ["--port", "/dev/ttyS1", "--port", "/dev/ttyGS0", "--port", "/dev/ttyS1"];
        assert_eq!(line(&flags, &[("PUMUA_PORT", "/dev/env")]), both(false));
        assert_eq!(line(&[], &[("PUMUA_PORT", "/dev/ttyS1, /dev/ttyGS0")]), both(true));
        let (_list, path) = file("port = [\"/dev/ttyS1\", \"/dev/ttyGS0\"]");
        assert_eq!(line(&["--config", &path], &[]), both(true));
        let (_none, path) = file("port = []");
        assert!(matches!(settings(&["--config", &path], &[]), Err(ConfigError::NoLine)));
        let (_number, path) = file("port = 7");
        let error = settings(&["--config", &path], &[]).unwrap_err().to_string();
        assert!(error.contains("a path or a list of paths"), "{error}");
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_file() {
        let (_file, path) =
            file("port = \"/dev/file\"\nbaud = 9600\nmodel = \"file.onnx\"\njournal = \"file.journal\"");
        let environment = [
            ("PUMUA_CONFIG", path.as_str()),
            ("PUMUA_BAUD", "19200"),
            ("PUMUA_MODEL", "env.onnx"),
            ("PUMUA_PROFILE", "screening"),
        ];
        let settings = settings(&["--model", "flag.onnx"], &environment).unwrap();
        assert_eq!(settings.line, ports(&["/dev/file"], 19200, true));
        assert_eq!(settings.model, Some("flag.onnx".into()));
        assert_eq!(settings.profile, Some(Profile::Screening));
        assert_eq!(settings.journal, PathBuf::from("file.journal"));
    }

    #[test]
    fn the_strongest_layer_that_names_a_line_decides() {
        let simulated = LineSettings::Simulated { pace: None };
        assert_eq!(settings(&["--simulate"], &[("PUMUA_PORT", "/dev/env")]).unwrap().line, simulated);
        assert_eq!(
            settings(&["--port", "/dev/flag"], &[("PUMUA_SIMULATE", "1")]).unwrap().line,
            ports(&["/dev/flag"], 115_200, false)
        );
        assert!(matches!(settings(&[], &[]), Err(ConfigError::NoLine)));
        assert!(matches!(settings(&[], &[("PUMUA_CONFIG", ""), ("PUMUA_PORT", "")]), Err(ConfigError::NoLine)));
    }

    #[test]
    fn a_simulated_box_keeps_everything_in_one_folder() {
        let default = settings(&["--simulate", "--pace", "115200"], &[]).unwrap();
        assert_eq!(default.line, LineSettings::Simulated { pace: Some(115_200) });
        assert_eq!(default.journal, PathBuf::from("runs/simulated-box/journal"));
        assert_eq!(default.screen_dir, Some("runs/simulated-box".into()));
        assert_eq!(default.screen_size.to_string(), "800x480");
        let other = settings(&["--simulate", "--state-dir", "x"], &[]).unwrap();
        assert_eq!((other.journal, other.screen_dir), ("x/journal".into(), Some("x".into())));
    }

    #[test]
    fn the_screen_is_set_in_every_layer() {
        let (_file, path) = file("language = \"sw\"\nrotate = 90\nkeys = false\nframebuffer = \"/dev/fb0\"");
        let chosen = settings(&["--port", "x", "--config", &path], &[]).unwrap();
        assert_eq!((chosen.language, chosen.rotation, chosen.keys), (Language::Swahili, Rotation::Right, false));
        let environment = [("PUMUA_LANGUAGE", "pt"), ("PUMUA_ROTATE", "270"), ("PUMUA_KEYS", "1")];
        let chosen = settings(&["--port", "x", "--config", &path, "--language", "fr"], &environment).unwrap();
        assert_eq!((chosen.language, chosen.rotation, chosen.keys), (Language::French, Rotation::Left, true));
        let default = settings(&["--port", "x"], &[]).unwrap();
        assert_eq!((default.language, default.rotation, default.keys), (Language::English, Rotation::None, false));
        for (name, value, hint) in [("PUMUA_LANGUAGE", "de", "sw"), ("PUMUA_ROTATE", "45", "270")] {
            let error = settings(&["--port", "x"], &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(hint), "{error}");
        }
        let (_file, path) = file("rotate = 45");
        let error = settings(&["--port", "x", "--config", &path], &[]).unwrap_err().to_string();
        assert!(error.contains("0, 90, 180 or 270"), "{error}");
    }

    #[test]
    fn keys_are_read_where_there_is_a_screen_of_the_box() {
        assert!(settings(&["--port", "x", "--framebuffer", "/dev/fb0"], &[]).unwrap().keys);
        assert!(!settings(&["--simulate", "--framebuffer", "/dev/fb0"], &[]).unwrap().keys);
        assert!(settings(&["--simulate", "--keys", "true"], &[]).unwrap().keys);
    }

    #[test]
    fn screens_stand_or_lie() {
        for (width, height) in [(480, 320), (320, 480), (1920, 1080), (1080, 1920), (480, 480)] {
            assert!(ScreenSize::new(width, height).is_ok(), "{width}x{height}");
        }
        for (width, height) in [(320, 320), (479, 320), (319, 480), (1080, 1921), (1100, 1100)] {
            assert_eq!(ScreenSize::new(width, height), Err(ScreenSizeError), "{width}x{height}");
        }
    }

    #[test]
    fn wrong_settings_name_their_source() {
        let (_file, path) = file("prot = \"/dev/ttyS1\"");
        let error = settings(&["--config", &path], &[]).unwrap_err().to_string();
        assert!(error.contains(&path) && error.contains("prot"), "{error}");
        let error = settings(&[], &[("PUMUA_BAUD", "fast")]).unwrap_err().to_string();
        assert!(error.contains("PUMUA_BAUD"), "{error}");
        let error = settings(&[], &[("PUMUA_PROFILE", "bold")]).unwrap_err().to_string();
        assert!(error.contains("PUMUA_PROFILE") && error.contains("confirming"), "{error}");
        let error = settings(&["--config", "/nowhere/box.toml", "--simulate"], &[]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/box.toml"), "{error}");
        assert!(matches!(settings(&["--simulate", "--pace", "0"], &[]), Err(ConfigError::Rate(0))));
        assert!(matches!(
            settings(&["--port", "/dev/ttyS1", "--pace", "9600"], &[]),
            Err(ConfigError::PaceWithoutSimulation)
        ));
        assert!(Flags::try_parse_from(["device", "--simulate", "--screen-size", "10x10"]).is_err());
        assert!(Flags::try_parse_from(["device", "--simulate", "--port", "x"]).is_err());
    }
}
