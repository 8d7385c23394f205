//! The settings of a box.

use alloc::{string::String, vec, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize};

use super::{Language, Override, Rotation, Share};
use crate::verdict::Profile;

/// The keys of `box.toml`, which `pumua image` writes onto a card and the box reads when it starts. A key may be absent; others than
/// these are refused.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxSettings {
    /// Language of the screen; else English.
    pub language: Option<Language>,
    /// By which of the model's operating points the box decides; else by the model's own.
    pub profile: Option<Profile>,
    /// By how many degrees, clockwise, the panel is mounted turned, a number; else 0.
    pub rotate: Option<Rotation>,
    /// Serial ports to listen on: a path, or a list of them. Those that are absent are waited for.
    #[serde(default, deserialize_with = "one_or_more")]
    pub port: Option<Vec<String>>,
    /// Speed of these ports in bits a second, at least [`super::line::SLOWEST_BAUD`]; else [`super::line::DEFAULT_BAUD`].
    pub baud: Option<u32>,
    /// The Linux framebuffer to show the screen on; else there is no screen.
    pub framebuffer: Option<String>,
    /// The ONNX model; else the one that is built in.
    pub model: Option<String>,
    /// The root keys of those who name the keys that may sign models, programs and settings, as minisign writes them; else the test
    /// key, with which anybody can sign.
    pub roots: Option<Vec<String>>,
    /// How many of them must have signed the list of those keys; else all of them.
    pub roots_needed: Option<u8>,
    /// Whether models and programs are taken that nobody has signed, for development: every screen says so. Else they are refused.
    pub unsigned: Option<bool>,
    /// Whether buttons and keyboards are read; else they are where there is a framebuffer.
    pub keys: Option<bool>,
    /// To whom results and screenshots are handed out over the line; else by code where there is a framebuffer, and openly
    /// where nobody could read a code.
    pub share: Option<Share>,
    /// After how many minutes a result is shown no longer, 0 for never; else [`BLANK_MINUTES`].
    pub blank_minutes: Option<u32>,
    /// Whether memory sticks that are plugged into the box are used; else they are.
    pub stick: Option<bool>,
    /// What hosts may ask to override; else nothing.
    #[serde(rename = "override")]
    pub overrides: Option<Vec<Override>>,
    /// Address of the box on its own Ethernet port and the length of that network, such as `192.168.7.1/24`; else the port is off.
    pub ethernet: Option<String>,
    /// What the box is called there (AE title); else `PUMUA`.
    pub aet: Option<String>,
    /// To which port X-ray machines send there; else 11112.
    pub node_port: Option<u16>,
    /// Who may send there: addresses, each with the AE title behind `=` that is to be checked, if it is.
    pub peers: Option<Vec<String>>,
}

/// The keys of a site file: the settings in which clinics differ, and which a box takes over the line when somebody has signed them. They
/// go before those of the card. Whatever says who is believed, what the box is made of, what leaves it and to whom, or what can be plugged
/// in, is for the card alone: `roots`, `roots_needed`, `unsigned`, `model`, `profile`, `port`, `baud`, `framebuffer`, `keys`, `share`,
/// `stick`, `ethernet` and `node_port` are refused here.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSettings {
    /// As in [`BoxSettings::language`].
    pub language: Option<Language>,
    /// As in [`BoxSettings::rotate`].
    pub rotate: Option<Rotation>,
    /// As in [`BoxSettings::blank_minutes`].
    pub blank_minutes: Option<u32>,
    /// As in [`BoxSettings::overrides`].
    #[serde(rename = "override")]
    pub overrides: Option<Vec<Override>>,
    /// As in [`BoxSettings::aet`].
    pub aet: Option<String>,
    /// As in [`BoxSettings::peers`].
    pub peers: Option<Vec<String>>,
}

/// Most bytes of a site file.
pub const MAX_SITE_BYTES: usize = 8 << 10;

/// After this many minutes a result is shown no longer, unless set differently: three times as long as until it is marked as
/// past. Whoever is concerned has read it by then; who passes later has no business with it, and finds it under past results
/// otherwise.
pub const BLANK_MINUTES: u32 = 15;

/// A path, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path or a list of paths")]
    enum Ports {
        One(String),
        More(Vec<String>),
    }
    Ok(Some(match Ports::deserialize(deserializer)? {
        Ports::One(path) => vec![path],
        Ports::More(paths) => paths,
    }))
}

#[cfg(test)]
mod tests {
    use alloc::{borrow::ToOwned as _, string::ToString as _};

    use super::*;

    fn full() -> BoxSettings {
        BoxSettings {
            language: Some(Language::Swahili),
            profile: Some(Profile::Confirming),
            rotate: Some(Rotation::Left),
            port: Some(vec!["/dev/a".to_owned(), "/dev/b".to_owned()]),
            baud: Some(9600),
            framebuffer: Some("/dev/fb0".to_owned()),
            model: Some("/boot/model.onnx".to_owned()),
            roots: Some(vec!["RWa".to_owned()]),
            roots_needed: Some(1),
            unsigned: Some(true),
            keys: Some(true),
            share: Some(Share::Off),
            blank_minutes: Some(30),
            stick: Some(false),
            overrides: Some(vec![Override::Age]),
            ethernet: Some("192.168.7.1/24".to_owned()),
            aet: Some("PUMUA".to_owned()),
            node_port: Some(11_112),
            peers: Some(vec!["192.168.7.20=CR1".to_owned()]),
        }
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        for settings in [full(), BoxSettings::default()] {
            let text = toml::to_string(&settings).unwrap();
            assert_eq!(toml::from_str::<BoxSettings>(&text).unwrap(), settings, "{text}");
        }
    }

    #[test]
    fn a_site_file_has_keys_of_a_card_and_none_that_are_for_the_card_alone() {
        let card = toml::to_string(&full()).unwrap();
        let is_taken = |line: &&str| toml::from_str::<SiteSettings>(line).is_ok();
        let (taken, refused): (Vec<&str>, Vec<&str>) = card.lines().partition(is_taken);
        let keys = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(keys(&taken), ["language", "rotate", "blank_minutes", "override", "aet", "peers"]);
        let for_the_card = [
            "profile",
            "port",
            "baud",
            "framebuffer",
            "model",
            "roots",
            "roots_needed",
            "unsigned",
            "keys",
            "share",
            "stick",
            "ethernet",
            "node_port",
        ];
        assert_eq!(keys(&refused), for_the_card);
        let BoxSettings { language, rotate, blank_minutes, overrides, aet, peers, .. } = full();
        let site = SiteSettings { language, rotate, blank_minutes, overrides, aet, peers };
        assert_eq!(toml::from_str::<SiteSettings>(&taken.join("\n")).unwrap(), site);
        assert_eq!(toml::from_str::<SiteSettings>("").unwrap(), SiteSettings::default());
    }

    #[test]
    fn one_port_needs_no_list_and_what_is_wrong_is_named() {
        let settings: BoxSettings = toml::from_str("port = \"/dev/a\"").unwrap();
        assert_eq!(settings.port, Some(vec!["/dev/a".to_owned()]));
        for (text, words) in [
            ("port = 7", "a path or a list of paths"),
            ("prot = \"/dev/a\"", "unknown field `prot`, expected one of `language`, `profile`, `rotate`, `port`"),
            ("language = \"xx\"", "the language of the screen is one of en, "),
            ("rotate = 45", "0, 90, 180 or 270"),
            ("rotate = \"90\"", "rotate"),
            ("profile = \"bold\"", "profile"),
            ("override = [\"view\"]", "what can be overridden is age"),
        ] {
            let error = toml::from_str::<BoxSettings>(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
