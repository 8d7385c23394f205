//! The settings of a box, its `box.toml`: as `host` writes them, and as somebody else has written them for a card.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::{Shown, files::read_up_to};
use node::{Wired, WiredError};
use shared::{
    appliance::{
        BoxSettings, Language, Rotation,
        card::{self, FRAMEBUFFER, on_box},
        line::{self, DEFAULT_BAUD, SLOWEST_BAUD},
        listed,
    },
    text::{OtherEncoding, decoded},
    verdict::Profile,
};

use trust::{Gate, Roots, RootsError, Version};

use crate::image::Board;

/// Most bytes of settings that are read.
const MAX_BYTES: u64 = 64 << 10;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; name a file that you may read", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A box could not work with what somebody has written.
    #[error("the configuration {path} cannot be used: {source}", path = Shown(path.display()))]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Unfit,
    },
    /// The settings cannot be written as TOML.
    #[error("the settings of the box cannot be written: {0}; report this")]
    Write(#[from] toml::ser::Error),
}

/// Why a box could not work with settings, or not as is meant.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Nobody writes so much.
    #[error("it is larger than {} KiB", MAX_BYTES >> 10)]
    TooLarge,
    /// It is not in UTF-8.
    #[error(transparent)]
    NotText(#[from] OtherEncoding),
    /// It is not TOML, or has keys or values that [`BoxSettings`] does not have.
    #[error("correct it:\n{}", .0.to_string().trim_end())]
    Toml(toml::de::Error),
    /// The box would hear nothing.
    #[error("`port` names no line to the host: add one, such as {}", line::PINS)]
    NoPort,
    /// The box would leave the card's model aside.
    #[error(
        "add the line `model = \"{}\"`, or the box judges by its built-in model, not by the one on the card",
        on_box(card::MODEL)
    )]
    OtherModel,
    /// Nobody could sign a model for it.
    #[error("`roots` cannot be used: {0}")]
    Roots(#[from] RootsError),
    /// No X-ray machine could send to it.
    #[error(transparent)]
    Wired(#[from] WiredError),
    /// The box does not start with it.
    #[error("a `baud` below {SLOWEST_BAUD} is too slow: give more")]
    TooSlow,
}

/// Settings of a card, as text.
///
/// # Errors
/// [`SettingsError::Write`]: they cannot be written as TOML.
pub fn settings_for_sd_card(
    language: Language,
    profile: Option<Profile>,
    rotation: Rotation,
    unsigned: bool,
) -> Result<String, SettingsError> {
    let settings = BoxSettings {
        language: Some(language),
        profile,
        rotate: Some(rotation),
        port: Some([line::PINS, line::USB_DEVICE, line::USB_ADAPTER, line::EMULATED].map(str::to_owned).into()),
        baud: Some(DEFAULT_BAUD),
        framebuffer: Some(FRAMEBUFFER.to_owned()),
        // Without it the box judges by the one that is built in.
        model: Some(on_box(card::MODEL)),
        roots: None,
        roots_needed: None,
        unsigned: unsigned.then_some(true),
        keys: None,
        share: None,
        blank_minutes: None,
        stick: None,
        overrides: None,
        ethernet: None,
        aet: None,
        node_port: None,
        peers: None,
    };
    let ports = format!(
        "\
# Lines on which it listens for the host: the serial port of the pin header, USB as a device of the host ({}),
# a USB-serial adapter, and the console of an emulated machine. Those that are absent are waited for.
",
        boards_on_usb()
    );
    Ok(with_comments(&settings, &ports)?)
}

/// Settings of a Raspberry Pi OS, whose kernel has other names for the ports, as text. The program has its model in itself.
///
/// # Errors
/// [`SettingsError::Write`]: they cannot be written as TOML.
pub fn settings_for_raspberry_pi_os() -> Result<String, SettingsError> {
    let settings = BoxSettings {
        language: Some(Language::default()),
        profile: None,
        rotate: Some(Rotation::default()),
        port: Some([line::PINS_OF_RASPBERRY_PI_OS, line::USB_DEVICE, line::USB_ADAPTER].map(str::to_owned).into()),
        baud: Some(DEFAULT_BAUD),
        framebuffer: Some(FRAMEBUFFER.to_owned()),
        model: None,
        roots: None,
        roots_needed: None,
        unsigned: None,
        keys: None,
        share: None,
        blank_minutes: None,
        stick: None,
        overrides: None,
        ethernet: None,
        aet: None,
        node_port: None,
        peers: None,
    };
    let ports = format!(
        "\
# Lines on which it listens for the host: the serial port of the pin header and USB as a device of the host ({}),
# and a USB-serial adapter. docs/box.md says how to switch the first two on. Those that are absent are waited for.
",
        boards_on_usb()
    );
    Ok(with_comments(&settings, &ports)?)
}

/// The boards that can be a USB device of their host.
fn boards_on_usb() -> String {
    let boards: Vec<_> = Board::ALL.iter().filter(|board| board.is_usb_device).map(|board| board.short).collect();
    boards.join(", ")
}

/// The settings in the order of their keys, each below the comment that it has. A profile that nobody has chosen is shown as an
/// example.
fn with_comments(settings: &BoxSettings, ports: &str) -> Result<String, toml::ser::Error> {
    let shown = BoxSettings { profile: settings.profile.or(Some(Profile::Screening)), ..settings.clone() };
    let mut text = "# Settings of the box. It reads them when it starts. docs/box.md explains each.\n\n".to_owned();
    for line in toml::to_string(&shown)?.lines() {
        let key = line.split(' ').next().unwrap_or_default();
        text += &match key {
            "language" => format!("# Language of the screen: {}.\n", listed(Language::ALL, "or")),
            "profile" => {
                format!("# Which of the model's thresholds decides: {}.\n", listed(Profile::ALL, "or"))
            }
            "rotate" => {
                let degrees = listed(Rotation::ALL, "or");
                format!("# By how many degrees, clockwise, the panel is mounted turned: {degrees}.\n")
            }
            "port" => ports.to_owned(),
            "unsigned" => "# For development alone: anybody with a cable can exchange the model.\n".to_owned(),
            _ => String::new(),
        };
        if key == "profile" && settings.profile.is_none() {
            text += "# ";
        }
        text += line;
        text += "\n";
    }
    Ok(text)
}

/// Reads settings that somebody has written for a card. The box that cannot use them would say so and not start, far from
/// anyone who could correct them. Gives the text and what it says.
///
/// # Errors
/// [`SettingsError`]: the file cannot be read, or a box could not work with it.
pub fn read(path: &Path) -> Result<(String, BoxSettings), SettingsError> {
    let bytes =
        read_up_to(path, MAX_BYTES + 1).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    text_and_settings(bytes).map_err(|source| SettingsError::Unfit { path: path.to_owned(), source })
}

fn text_and_settings(bytes: Vec<u8>) -> Result<(String, BoxSettings), Unfit> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unfit::TooLarge);
    }
    let text = decoded(bytes)?;
    let settings = check(&text)?;
    Ok((text, settings))
}

/// Settings with which a box works from a card.
fn check(text: &str) -> Result<BoxSettings, Unfit> {
    let settings: BoxSettings = toml::from_str(text).map_err(Unfit::Toml)?;
    if settings.port.iter().flatten().all(String::is_empty) {
        return Err(Unfit::NoPort);
    }
    if settings.model != Some(on_box(card::MODEL)) {
        return Err(Unfit::OtherModel);
    }
    if settings.baud.is_some_and(|baud| baud < SLOWEST_BAUD) {
        return Err(Unfit::TooSlow);
    }
    roots(&settings)?;
    let BoxSettings { ethernet, aet, node_port, peers, .. } = &settings;
    Wired::of_settings(ethernet.as_deref(), aet.as_deref(), *node_port, peers.as_deref())?;
    Ok(settings)
}

/// The roots that settings name.
fn roots(settings: &BoxSettings) -> Result<Option<Roots>, RootsError> {
    Roots::of_settings(settings.roots.as_deref(), settings.roots_needed)
}

/// What a box with these settings takes.
///
/// # Errors
/// [`RootsError`]: nobody could sign a model for it.
pub fn gate(settings: &BoxSettings, version: Version) -> Result<Gate, RootsError> {
    Ok(Gate::new(roots(settings)?, settings.unsigned == Some(true), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_asked_for() {
        let text = settings_for_sd_card(Language::Swahili, Some(Profile::Balanced), Rotation::Right, false).unwrap();
        let settings = check(&text).unwrap();
        assert_eq!(settings.language, Some(Language::Swahili));
        assert_eq!(settings.profile, Some(Profile::Balanced));
        assert_eq!(settings.rotate, Some(Rotation::Right));
        let text = settings_for_sd_card(Language::English, None, Rotation::None, false).unwrap();
        assert_eq!(check(&text).unwrap().profile, None);
        let settings: BoxSettings = toml::from_str(&settings_for_raspberry_pi_os().unwrap()).unwrap();
        assert_eq!((settings.profile, settings.model), (None, None));
    }

    #[test]
    fn settings_are_written_as_the_golden_files_have_them() {
        let card = |language, profile, rotation| settings_for_sd_card(language, profile, rotation, false).unwrap();
        let golden = [
            (card(Language::English, None, Rotation::None), include_str!("../tests/golden/card.toml")),
            (
                card(Language::Swahili, Some(Profile::Screening), Rotation::Right),
                include_str!("../tests/golden/card-options.toml"),
            ),
            (settings_for_raspberry_pi_os().unwrap(), include_str!("../tests/golden/raspberry-pi-os.toml")),
        ];
        for (written, golden) in golden {
            assert_eq!(written, golden);
        }
    }

    #[test]
    fn settings_that_would_keep_a_box_from_starting_are_refused() {
        let good = "port = \"/dev/ttyS1\"\nmodel = \"/boot/model.onnx\"\nkeys = false\n";
        assert_eq!(check(good).unwrap().keys, Some(false));
        for (text, words) in [
            (good.replace("port", "prot"), "unknown field `prot`"),
            (good.replace("port = \"/dev/ttyS1\"", ""), "`port` names no line"),
            (good.replace("\"/dev/ttyS1\"", "[]"), "`port` names no line"),
            (good.replace("\"/dev/ttyS1\"", "7"), "a path or a list of paths"),
            (good.replace("model =", "# model ="), "add the line `model = \"/boot/model.onnx\"`"),
            (good.replace("/boot/model.onnx", "/boot/mine.onnx"), "add the line `model"),
            (format!("{good}language = \"xx\""), "the language of the screen is one of en, "),
            (format!("{good}rotate = 45"), "0, 90, 180 or 270"),
            (format!("{good}baud = 10"), "too slow"),
            (format!("{good}profile = \"bold\""), "profile"),
            (format!("{good}roots = [\"RWx\"]"), "`roots` cannot be used"),
            (format!("{good}roots = []"), "1 to 64 roots"),
            (format!("{good}roots_needed = 2"), "`roots` names none"),
            (format!("{good}ethernet = \"192.168.7.1\""), "`ethernet` is the address"),
            (format!("{good}ethernet = \"192.168.7.1/24\""), "`peers` names nobody"),
            (format!("{good}peers = [\"console\"]"), "`peers` cannot be used"),
            (format!("{good}aet = \"SEVENTEEN_LETTERS\""), "`aet` cannot be used"),
            (format!("{good}node_port = 22"), "`node_port` is 104"),
            (format!("{good}simulate = true"), "unknown field `simulate`"),
            (format!("{good}journal = \"/journal\""), "unknown field `journal`"),
            ("port: no".to_owned(), "correct it"),
        ] {
            let error = check(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn settings_in_another_encoding_are_told_how_to_be_saved() {
        let good = "port = \"/dev/ttyS1\"\nmodel = \"/boot/model.onnx\"\n";
        let (text, _) = text_and_settings([b"\xef\xbb\xbf", good.as_bytes()].concat()).unwrap();
        assert_eq!(text, good, "the box gets it without the mark");
        let utf16 = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [utf16, b"# caf\xe9\n".to_vec()] {
            let error = text_and_settings(bytes).unwrap_err().to_string();
            assert!(error.contains("save it as UTF-8"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_named() {
        let error = read("/dev/zero".as_ref()).unwrap_err().to_string();
        assert!(error.contains("/dev/zero cannot be used: it is larger than 64 KiB"), "{error}");
    }
}
