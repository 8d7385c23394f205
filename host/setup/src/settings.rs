//! The settings of a box, its `box.toml`: as `host` writes them, and as somebody else has written them for a card.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::files::read_a_little_over;
use serde::Deserialize;
use shared::verdict::Profile;

/// Languages of the screen.
pub const LANGUAGES: [&str; 4] = ["en", "fr", "pt", "sw"];
/// Degrees by which the panel may be mounted turned.
pub const ROTATIONS: [&str; 4] = ["0", "90", "180", "270"];

/// Where the box finds the model of a card. Without it the box judges by the one that is built in.
const CARD_MODEL: &str = "/boot/model.onnx";
/// Slowest serial line in bits a second.
const SLOWEST: u32 = 300;
/// Most bytes of settings that are read.
const MAX_BYTES: u64 = 64 << 10;

/// Settings of a card.
pub fn settings_for_sd_card(language: &str, profile: Option<Profile>, rotate: &str) -> String {
    let lines = "\
# Lines on which it listens for the host: the serial port of the pin header, USB as a device of the host (Zero 2 W, Pi 4),
# a USB-serial adapter, and the console of an emulated machine. Those that are absent are waited for.
port = [\"/dev/ttyS1\", \"/dev/ttyGS0\", \"/dev/ttyUSB0\", \"/dev/hvc0\"]";
    written(language, profile, rotate, lines) + &format!("model = \"{CARD_MODEL}\"\n")
}

/// Settings of a Raspberry Pi OS, whose kernel has other names for the ports.
pub fn settings_for_raspberry_pi_os() -> String {
    let lines = "\
# Lines on which it listens for the host: the serial port of the pin header and USB as a device of the host (Zero 2 W, Pi 4),
# both of which docs/box.md tells how to switch on, and a USB-serial adapter. Those that are absent are waited for.
port = [\"/dev/serial0\", \"/dev/ttyGS0\", \"/dev/ttyUSB0\"]";
    written(LANGUAGES[0], None, ROTATIONS[0], lines)
}

fn written(language: &str, profile: Option<Profile>, rotate: &str, lines: &str) -> String {
    let profile = profile.map_or_else(|| "# profile = \"screening\"".to_owned(), |p| format!("profile = \"{p}\""));
    format!(
        "\
# Settings of the box. It reads them when it starts. docs/box.md explains each.

# Language of the screen: en, fr, pt or sw.
language = \"{language}\"
# By which of the model's thresholds it decides: screening, balanced or confirming.
{profile}
# By how many degrees, clockwise, the panel is mounted turned: 0, 90, 180 or 270.
rotate = {rotate}
{lines}
baud = 115200
framebuffer = \"/dev/fb0\"
"
    )
}

/// What the settings of a card may say. The box knows more, but on a card that would end it, or lose its results.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "of some keys only the name and the type are checked")]
struct OfCard {
    port: Ports,
    model: Option<String>,
    baud: Option<u32>,
    profile: Option<Profile>,
    language: Option<String>,
    rotate: Option<u16>,
    framebuffer: Option<String>,
    keys: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
enum Ports {
    One(String),
    More(Vec<String>),
}

/// Why the settings that somebody has written for a card are not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; name a file that you may read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A box could not work with them.
    #[error("the configuration {path} cannot be used: {source}", path = path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Unfit,
    },
}

/// Why a box could not work with settings, or not as is meant.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Nobody writes so much.
    #[error("it is larger than {} KiB", MAX_BYTES >> 10)]
    TooLarge,
    /// It is not UTF-8.
    #[error("it is no text")]
    NotText(#[source] std::string::FromUtf8Error),
    /// It is not TOML, or has keys or values that the settings of a card do not have.
    #[error("correct it:\n{}", .0.to_string().trim_end())]
    Toml(#[source] toml::de::Error),
    /// The box would hear nothing.
    #[error("`port` names no line to the host: add one, such as /dev/ttyS1")]
    NoPort,
    /// The box would leave the card's model aside.
    #[error(
        "add the line `model = \"{CARD_MODEL}\"`, or the box judges by its built-in model, not by the one on the card"
    )]
    OtherModel,
    /// The box does not start with it.
    #[error("a `baud` below {SLOWEST} is too slow: give more")]
    TooSlow,
    /// The screen has no such language.
    #[error("`language` must be one of {}", LANGUAGES.join(", "))]
    Language,
    /// The screen cannot be turned so.
    #[error("`rotate` must be one of {}", ROTATIONS.join(", "))]
    Rotation,
}

/// Reads settings that somebody has written for a card. The box that cannot use them would say so and not start, far from
/// whoever could correct them. Gives the text and the profile that they name.
///
/// # Errors
/// [`SettingsError`]: the file cannot be read, or a box could not work with it.
pub fn read(path: &Path) -> Result<(String, Option<Profile>), SettingsError> {
    let bytes =
        read_a_little_over(path, MAX_BYTES).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    text_and_profile(bytes).map_err(|source| SettingsError::Unfit { path: path.to_owned(), source })
}

fn text_and_profile(bytes: Vec<u8>) -> Result<(String, Option<Profile>), Unfit> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unfit::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(Unfit::NotText)?;
    let profile = check(&text)?;
    Ok((text, profile))
}

fn check(text: &str) -> Result<Option<Profile>, Unfit> {
    let settings: OfCard = toml::from_str(text).map_err(Unfit::Toml)?;
    let ports = match settings.port {
        Ports::One(port) => vec![port],
        Ports::More(ports) => ports,
    };
    if ports.iter().all(String::is_empty) {
        return Err(Unfit::NoPort);
    }
    if settings.model.as_deref() != Some(CARD_MODEL) {
        return Err(Unfit::OtherModel);
    }
    if settings.baud.is_some_and(|baud| baud < SLOWEST) {
        return Err(Unfit::TooSlow);
    }
    if settings.language.is_some_and(|language| !LANGUAGES.contains(&language.as_str())) {
        return Err(Unfit::Language);
    }
    if settings.rotate.is_some_and(|degrees| !ROTATIONS.contains(&degrees.to_string().as_str())) {
        return Err(Unfit::Rotation);
    }
    Ok(settings.profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_toml_with_what_was_asked_for() {
        let text = settings_for_sd_card("sw", Some(Profile::Screening), "90");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["language"].as_str(), Some("sw"));
        assert_eq!(table["rotate"].as_integer(), Some(90));
        assert_eq!(check(&text).unwrap(), Some(Profile::Screening));
        assert_eq!(check(&settings_for_sd_card("en", None, "0")).unwrap(), None);
        let table: toml::Table = settings_for_raspberry_pi_os().parse().unwrap();
        assert_eq!(table["port"][0].as_str(), Some("/dev/serial0"));
        assert!(!table.contains_key("model"), "the program has its model in itself");
    }

    #[test]
    fn settings_are_written_as_the_golden_files_have_them() {
        let golden = [
            (settings_for_sd_card("en", None, "0"), include_str!("../tests/golden/card.toml")),
            (
                settings_for_sd_card("sw", Some(Profile::Screening), "90"),
                include_str!("../tests/golden/card-options.toml"),
            ),
            (settings_for_raspberry_pi_os(), include_str!("../tests/golden/raspberry-pi-os.toml")),
        ];
        for (written, golden) in golden {
            assert_eq!(written, golden);
        }
    }

    #[test]
    fn settings_that_would_keep_a_box_from_starting_are_refused() {
        let good = "port = \"/dev/ttyS1\"\nmodel = \"/boot/model.onnx\"\nkeys = false\n";
        assert_eq!(check(good).unwrap(), None);
        for (text, words) in [
            (good.replace("port", "prot"), "unknown field `prot`"),
            (good.replace("port = \"/dev/ttyS1\"", ""), "missing field `port`"),
            (good.replace("\"/dev/ttyS1\"", "[]"), "`port` names no line"),
            (good.replace("\"/dev/ttyS1\"", "7"), "a path or a list of paths"),
            (good.replace("model =", "# model ="), "add the line `model = \"/boot/model.onnx\"`"),
            (good.replace("/boot/model.onnx", "/boot/mine.onnx"), "add the line `model"),
            (format!("{good}language = \"de\""), "en, fr, pt, sw"),
            (format!("{good}rotate = 45"), "0, 90, 180, 270"),
            (format!("{good}baud = 10"), "too slow"),
            (format!("{good}profile = \"bold\""), "profile"),
            (format!("{good}simulate = true"), "unknown field `simulate`"),
            (format!("{good}journal = \"/journal\""), "unknown field `journal`"),
            ("port: no".to_owned(), "correct it"),
        ] {
            let error = check(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_named() {
        let error = read("/dev/zero".as_ref()).unwrap_err().to_string();
        assert!(error.contains("/dev/zero cannot be used: it is larger than 64 KiB"), "{error}");
    }
}
