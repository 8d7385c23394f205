//! What the configuration file says.

use std::{
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use shared::{
    appliance::{BoxSettings, SiteSettings, card::INSTALLED_SETTINGS},
    text::decoded,
};
use toml::{Spanned, de::DeTable};

use super::{ConfigError, flags::Layer};
use crate::screen::ScreenSize;

/// Most bytes of the file.
pub(super) const MAX_BYTES: u64 = 64 << 10;

/// What the file may say beside [`BoxSettings`]: where a box is on a computer that is something else, too, a developer's or one
/// with a Raspberry Pi OS.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComputerSettings {
    simulate: Option<bool>,
    pace: Option<u32>,
    state_dir: Option<PathBuf>,
    journal: Option<PathBuf>,
    screen_dir: Option<PathBuf>,
    screen_size: Option<ScreenSize>,
    stick_dir: Option<PathBuf>,
    node: Option<SocketAddr>,
}

impl ComputerSettings {
    /// The names of its fields.
    const KEYS: [&str; 8] =
        ["simulate", "pace", "state_dir", "journal", "screen_dir", "screen_size", "stick_dir", "node"];
}

impl Layer {
    /// From the file that is named, or else from the usual one if there is one.
    pub(super) fn from_file(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(INSTALLED_SETTINGS));
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
            Ok(_) if bytes.len() as u64 > MAX_BYTES => return Err(ConfigError::TooLarge(path.to_owned())),
            Ok(_) => {}
        }
        let text = decoded(bytes).map_err(|source| ConfigError::Encoding { path: path.to_owned(), source })?;
        Self::from_toml(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) })
    }

    /// From a site file.
    pub(super) fn of_site(site: &SiteSettings) -> Self {
        // Without `..`, so that no setting is forgotten.
        let SiteSettings { language, rotate, blank_minutes, overrides, aet, peers } = site.clone();
        Self { language, rotate, blank_minutes, overrides, aet, peers, ..Self::default() }
    }

    /// The keys of [`ComputerSettings`], and [`BoxSettings`] from all others.
    fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        let table = DeTable::parse(text)?;
        let span = table.span();
        let is_of_computer = |key: &str| ComputerSettings::KEYS.contains(&key);
        let (of_computer, of_box): (DeTable<'_>, DeTable<'_>) =
            table.into_inner().into_iter().partition(|(key, _)| is_of_computer(key.get_ref()));
        let [of_computer, of_box] =
            [of_computer, of_box].map(|keys| toml::Deserializer::from(Spanned::new(span.clone(), keys)));
        let in_text = |mut error: toml::de::Error| {
            error.set_input(Some(text));
            error
        };
        let of_computer = ComputerSettings::deserialize(of_computer).map_err(in_text)?;
        let of_box = BoxSettings::deserialize(of_box).map_err(in_text)?;
        // Without `..`, so that no setting is forgotten.
        let ComputerSettings { simulate, pace, state_dir, journal, screen_dir, screen_size, stick_dir, node } =
            of_computer;
        let BoxSettings {
            language,
            profile,
            rotate,
            port,
            baud,
            framebuffer,
            model,
            roots,
            roots_needed,
            unsigned,
            keys,
            share,
            blank_minutes,
            stick,
            overrides,
            ethernet,
            aet,
            node_port,
            peers,
        } = of_box;
        Ok(Self {
            simulate,
            pace,
            port: port.map(|ports| ports.into_iter().map(PathBuf::from).collect()),
            baud,
            model: model.map(PathBuf::from),
            roots,
            roots_needed,
            unsigned,
            profile,
            state_dir,
            journal,
            screen_dir,
            screen_size,
            framebuffer: framebuffer.map(PathBuf::from),
            rotate,
            language,
            keys,
            share,
            blank_minutes,
            stick,
            stick_dir,
            overrides,
            node,
            ethernet,
            aet,
            node_port,
            peers,
        })
    }
}
