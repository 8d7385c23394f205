//! What the command line and the environment say.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use shared::{
    appliance::{
        BLANK_MINUTES, Language, Override, Rotation, Share, card::INSTALLED_SETTINGS, line::DEFAULT_BAUD, listed,
    },
    verdict::Profile,
};

use super::{ConfigError, Settings, Sources};
use crate::screen::ScreenSize;

const AFTER_HELP: &str = "\
Precedence: flag, environment variable, site file that was sent, configuration file (TOML, the names of the flags with `_` for `-`), default.

Exit codes:
  0  stopped by a signal, everything left whole
  1  failed
  2  wrong usage or configuration
  3  the model cannot be used
  4  a port named by --port, or the address of --node, is not available

Pumua is a research aid, not a medical device.";

/// The clinic box: receives radiographs over a serial line and shows the verdict on its screen.
#[derive(Debug, Default, clap::Parser)]
#[command(name = "pumua-box", version, after_help = AFTER_HELP)]
pub struct Flags {
    /// Configuration file
    #[arg(long, value_name = "FILE", help = config_help())]
    pub config: Option<PathBuf>,
    /// Judge nothing, load no model and take none, but hand out the results: for a box that fails again and again
    #[arg(long)]
    pub safe_mode: bool,
    #[command(flatten)]
    settings: Layer,
}

/// One source of settings: all of them may be absent.
#[derive(Debug, Default, Clone, PartialEq, clap::Args)]
pub(super) struct Layer {
    /// Simulate a box on this computer: open a pseudo-terminal, print its path, keep a picture of the screen [env:
    /// PUMUA_SIMULATE]
    #[arg(long, num_args = 0, default_missing_value = "true", conflicts_with = "port")]
    pub(super) simulate: Option<bool>,
    /// Make the simulated line as slow as a real one of this many bits a second [env: PUMUA_PACE] [default: unlimited]
    #[arg(long, value_name = "BAUD")]
    pub(super) pace: Option<u32>,
    /// Serial port, or several to listen on at once: repeat the flag, separate by commas in the environment, give a list in
    /// the file. A port named by the flag must be there at the start; one named elsewhere is waited for [env: PUMUA_PORT]
    #[arg(long, value_name = "PATH")]
    pub(super) port: Option<Vec<PathBuf>>,
    #[arg(long, value_name = "BAUD", help = baud_help())]
    pub(super) baud: Option<u32>,
    /// ONNX model made by `pumua train`, until a host installs another one with `pumua update` [env: PUMUA_MODEL] [default:
    /// the one that is built in]
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    // Who is believed is said by the card alone.
    #[arg(skip)]
    pub(super) roots: Option<Vec<String>>,
    #[arg(skip)]
    pub(super) roots_needed: Option<u8>,
    #[arg(skip)]
    pub(super) unsigned: Option<bool>,
    /// Which of the model's operating points decides: screening (few pneumonias are called normal), balanced or confirming
    /// (few normal radiographs are called pneumonia) [env: PUMUA_PROFILE] [default: the model's own]
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<Profile>,
    /// Folder for what the box keeps [env: PUMUA_STATE_DIR] [default: /var/lib/pumua; runs/simulated-box with --simulate]
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Journal of the results [env: PUMUA_JOURNAL] [default: `journal` in the state folder]
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Folder in which `screen.png` is kept current [env: PUMUA_SCREEN_DIR] [default: none; the state folder with
    /// --simulate]
    #[arg(long, value_name = "DIR")]
    pub(super) screen_dir: Option<PathBuf>,
    /// Size of the picture in the screen folder, from 480x320 to 1920x1080 or 320x480 to 1080x1920 [env: PUMUA_SCREEN_SIZE]
    /// [default: 800x480]
    #[arg(long, value_name = "WxH")]
    pub(super) screen_size: Option<ScreenSize>,
    /// Linux framebuffer to show the screen on, e.g. /dev/fb0. One named by the flag must exist; without one named
    /// elsewhere the box continues [env: PUMUA_FRAMEBUFFER] [default: none]
    #[arg(long, value_name = "PATH")]
    pub(super) framebuffer: Option<PathBuf>,
    #[arg(long, value_name = "DEGREES", help = rotate_help())]
    pub(super) rotate: Option<Rotation>,
    #[arg(long, value_name = "LANGUAGE", help = language_help())]
    pub(super) language: Option<Language>,
    /// Read buttons and keyboards in /dev/input, with which somebody at the box turns to other screens, chooses and confirms
    /// [env: PUMUA_KEYS] [default: true with a framebuffer, but not with --simulate]
    #[arg(long, value_name = "BOOL")]
    pub(super) keys: Option<bool>,
    #[arg(long, value_name = "HOW", help = share_help())]
    pub(super) share: Option<Share>,
    #[arg(long, value_name = "MINUTES", help = blank_help())]
    pub(super) blank_minutes: Option<u32>,
    // What is plugged into the box is the business of the card alone.
    #[arg(skip)]
    pub(super) stick: Option<bool>,
    /// Folder that is played as a memory stick: plugged in while it is there, pulled out when it is renamed [env:
    /// PUMUA_STICK_DIR] [default: none]
    #[arg(long, value_name = "DIR")]
    pub(super) stick_dir: Option<PathBuf>,
    #[arg(id = "override", long = "override", value_name = "REASON", help = override_help())]
    pub(super) overrides: Option<Vec<Override>>,
    /// Let X-ray machines send to a simulated box by DICOM, at this address of this computer, e.g. 127.0.0.1:11112; port 0 for one
    /// that is free [env: PUMUA_NODE] [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) node: Option<SocketAddr>,
    // The Ethernet port of a box is set up by its first process, which reads the card alone.
    #[arg(skip)]
    pub(super) ethernet: Option<String>,
    #[arg(skip)]
    pub(super) aet: Option<String>,
    #[arg(skip)]
    pub(super) node_port: Option<u16>,
    #[arg(skip)]
    pub(super) peers: Option<Vec<String>>,
}

// The values of these flags are listed where they are defined; help that names them is made from there.

fn config_help() -> String {
    format!("Configuration file [env: PUMUA_CONFIG] [default: {INSTALLED_SETTINGS} if it exists]")
}

fn baud_help() -> String {
    format!("Speed of the serial ports in bits a second [env: PUMUA_BAUD] [default: {DEFAULT_BAUD}]")
}

fn rotate_help() -> String {
    format!(
        "Degrees, clockwise, by which the panel is mounted turned: {} [env: PUMUA_ROTATE] [default: {}]",
        listed(Rotation::ALL, "or"),
        Rotation::default()
    )
}

fn language_help() -> String {
    let (languages, default) = (listed(Language::ALL, "or"), Language::default());
    format!("Language of the screen: {languages} [env: PUMUA_LANGUAGE] [default: {default}]")
}

fn share_help() -> String {
    format!(
        "To whom results and screenshots are handed out over the line: {} [env: PUMUA_SHARE] [default: code with a \
         framebuffer, on which it is shown, else open]",
        listed(Share::ALL, "or")
    )
}

fn blank_help() -> String {
    format!(
        "Minutes after which a result is shown no longer, 0 for never [env: PUMUA_BLANK_MINUTES] [default: {BLANK_MINUTES}]"
    )
}

fn override_help() -> String {
    format!(
        "Let hosts ask to have images judged that are refused for this: {} [env: PUMUA_OVERRIDE] [default: nothing]",
        listed(Override::ALL, "or")
    )
}

impl Flags {
    /// Where the settings come from, with the environment as `environment` gives it.
    ///
    /// # Errors
    /// [`ConfigError`]: one of the sources cannot be used.
    pub fn sources(self, environment: impl Fn(&str) -> Option<String>) -> Result<Sources, ConfigError> {
        let named = self.config.or_else(|| set(&environment, "PUMUA_CONFIG").map(PathBuf::from));
        let environment = Layer::from_environment(environment)?;
        let file = Layer::from_file(named.as_deref())?;
        Ok(Sources { layers: [self.settings, environment, file], safe: self.safe_mode })
    }

    /// The settings of these sources.
    pub fn resolve(self, environment: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
        self.sources(environment)?.settings()
    }
}

/// The value of an environment variable; an empty one counts as absent.
fn set(environment: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

/// What a variable says; an error if it is not what it should be.
fn parsed<T: FromStr<Err: fmt::Display>>(
    name: &'static str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<T>, ConfigError> {
    let value = set(environment, name).map(|value| value.parse()).transpose();
    value.map_err(|error: T::Err| ConfigError::Environment { name, reason: error.to_string() })
}

impl Layer {
    fn from_environment(environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| set(&environment, name);
        let path = |name: &str| get(name).map(PathBuf::from);
        let number = |name: &'static str| {
            let reason = "it must be a number".to_owned();
            get(name).map(|value| value.parse()).transpose().map_err(|_| ConfigError::Environment { name, reason })
        };
        let flag = |name: &'static str| match get(name).as_deref() {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(_) => Err(ConfigError::Environment { name, reason: "it must be true or false".to_owned() }),
        };
        Ok(Self {
            simulate: flag("PUMUA_SIMULATE")?,
            pace: number("PUMUA_PACE")?,
            port: get("PUMUA_PORT").map(|ports| ports.split(',').map(|port| port.trim().into()).collect()),
            baud: number("PUMUA_BAUD")?,
            model: path("PUMUA_MODEL"),
            roots: None,
            roots_needed: None,
            unsigned: None,
            profile: parsed("PUMUA_PROFILE", &environment)?,
            state_dir: path("PUMUA_STATE_DIR"),
            journal: path("PUMUA_JOURNAL"),
            screen_dir: path("PUMUA_SCREEN_DIR"),
            screen_size: parsed("PUMUA_SCREEN_SIZE", &environment)?,
            framebuffer: path("PUMUA_FRAMEBUFFER"),
            rotate: parsed("PUMUA_ROTATE", &environment)?,
            language: parsed("PUMUA_LANGUAGE", &environment)?,
            keys: flag("PUMUA_KEYS")?,
            share: parsed("PUMUA_SHARE", &environment)?,
            blank_minutes: number("PUMUA_BLANK_MINUTES")?,
            stick: None,
            stick_dir: path("PUMUA_STICK_DIR"),
            overrides: parsed("PUMUA_OVERRIDE", &environment)?.map(|reason| vec![reason]),
            node: parsed("PUMUA_NODE", &environment)?,
            ethernet: None,
            aet: None,
            node_port: None,
            peers: None,
        })
    }

    /// The ports that this layer asks for: `Some(None)` for the simulated line.
    pub(super) fn line(&self) -> Option<Option<Vec<PathBuf>>> {
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
