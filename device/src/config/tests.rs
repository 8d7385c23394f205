//! Settings from every source.

use clap::{CommandFactory, Parser};
use shared::{
    appliance::{Language, Override, Rotation, Share, SiteSettings},
    verdict::Profile,
};

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
    let (_file, path) = file("port = \"/dev/file\"\nbaud = 9600\nmodel = \"file.onnx\"\njournal = \"file.journal\"");
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
fn nothing_may_be_overridden_unless_a_setting_says_so() {
    let overrides = |flags: &[&str], environment: &[(&str, &str)]| {
        settings(&[&["--simulate"], flags].concat(), environment).unwrap().overrides
    };
    assert_eq!(overrides(&[], &[]), []);
    assert_eq!(overrides(&["--override", "age"], &[]), [Override::Age]);
    assert_eq!(overrides(&[], &[("PUMUA_OVERRIDE", "age")]), [Override::Age]);
    let (_file, path) = file("override = [\"age\"]");
    assert_eq!(overrides(&["--config", &path], &[]), [Override::Age]);
    let (_file, path) = file("override = []");
    assert_eq!(overrides(&["--config", &path], &[]), []);
    let error = settings(&["--simulate"], &[("PUMUA_OVERRIDE", "view")]).unwrap_err().to_string();
    assert!(error.contains("PUMUA_OVERRIDE") && error.contains("age"), "{error}");
}

#[test]
fn sticks_are_read_unless_the_file_says_no_and_a_folder_can_be_played_as_one() {
    let default = settings(&["--simulate"], &[]).unwrap();
    assert_eq!((default.stick, default.stick_dir), (true, None));
    let (_file, path) = file("stick = false\nstick_dir = \"file\"");
    let chosen = settings(&["--simulate", "--config", &path], &[]).unwrap();
    assert_eq!((chosen.stick, chosen.stick_dir), (false, Some("file".into())));
    let named = settings(&["--simulate", "--stick-dir", "flag"], &[("PUMUA_STICK_DIR", "environment")]).unwrap();
    assert_eq!(named.stick_dir, Some("flag".into()));
}

#[test]
fn a_site_file_goes_before_the_card_and_gives_way_to_flags_and_environment() {
    let card = "language = \"sw\"\nrotate = 90\nblank_minutes = 5\nethernet = \"192.168.7.1/24\"\npeers = [\"192.168.7.20\"]\n";
    let (_file, path) = file(card);
    let sources = |flags: &[&str]| {
        let flags = Flags::try_parse_from([&["device", "--port", "x", "--config", &path], flags].concat()).unwrap();
        flags.sources(|name| (name == "PUMUA_ROTATE").then(|| "180".to_owned())).unwrap()
    };
    let site = |text: &str| toml::from_str::<SiteSettings>(text).unwrap();
    let all =
        site("language = \"fr\"\nrotate = 270\nblank_minutes = 0\noverride = [\"age\"]\npeers = [\"192.168.7.21\"]\n");
    let settings = sources(&[]).with_site(&all).unwrap();
    assert_eq!((settings.language, settings.rotation, settings.blank_after), (Language::French, Rotation::Half, None));
    assert_eq!(settings.overrides, [Override::Age]);
    let Some(NodeSettings::Wired(wired)) = &settings.node else { panic!("{settings:?}") };
    assert_eq!((wired.peers.len(), wired.peers[0].address.to_string().as_str()), (1, "192.168.7.21"));
    assert_eq!(sources(&["--language", "pt"]).with_site(&all).unwrap().language, Language::Portuguese);
    // Without one, and with an empty one, the card counts.
    let card = sources(&[]).settings().unwrap();
    assert_eq!((card.language, &card), (Language::Swahili, &sources(&[]).with_site(&site("")).unwrap()));
    let elsewhere = sources(&[]).with_site(&site("peers = [\"10.0.0.1\"]"));
    assert!(matches!(elsewhere, Err(ConfigError::Node(_))), "{elsewhere:?}");
    // Whether there is a network at all is for the card to say.
    let (_file, path) = file("language = \"sw\"\n");
    let flags = Flags::try_parse_from(["device", "--port", "x", "--config", &path]).unwrap();
    let without = flags.sources(|_| None).unwrap();
    assert_eq!(without.with_site(&all).unwrap().node, None);
    assert!(matches!(without.with_site(&site("peers = [\"console\"]")), Err(ConfigError::Node(_))));
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
    for (name, value, hint) in [("PUMUA_LANGUAGE", "xx", "sw"), ("PUMUA_ROTATE", "45", "270")] {
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
fn x_ray_machines_send_to_a_box_only_if_its_card_says_so_and_to_a_simulated_one_by_a_flag() {
    let node = |flags: &[&str]| settings(flags, &[]).map(|settings| settings.node);
    assert_eq!(node(&["--port", "x"]).unwrap(), None);
    let text = "ethernet = \"192.168.7.1/24\"\naet = \"BOX\"\nnode_port = 104\npeers = [\"192.168.7.20=CR1\"]";
    let (of_card, path) = file(text);
    let Ok(Some(NodeSettings::Wired(of_box))) = node(&["--port", "x", "--config", &path]) else { panic!("{path}") };
    assert_eq!((of_box.listen().to_string().as_str(), of_box.title.as_str()), ("192.168.7.1:104", "BOX"));
    assert_eq!(wired(of_card.path()).unwrap(), Some(of_box), "as the first process reads it");
    assert_eq!(node(&["--simulate", "--config", &path]).unwrap(), None, "it has no such port");
    let simulated = node(&["--simulate", "--node", "127.0.0.1:0"]).unwrap();
    assert!(matches!(simulated, Some(NodeSettings::Simulated(node)) if node.title.as_str() == "PUMUA"));
    assert!(matches!(node(&["--port", "x", "--node", "127.0.0.1:0"]), Err(ConfigError::NodeWithoutSimulation)));
    assert!(node(&["--simulate", "--node", "192.0.2.1:0"]).unwrap_err().to_string().contains("`peers` names nobody"));
    for wrong in [
        "ethernet = \"192.168.7.1\"",
        "ethernet = \"192.168.7.1/24\"",
        "aet = \"\"",
        "node_port = 80",
        "peers = [\"\"]",
    ] {
        let (of_card, path) = file(wrong);
        let error = node(&["--port", "x", "--config", &path]).unwrap_err();
        assert!(matches!(error, ConfigError::Node(_)), "{wrong}: {error}");
        assert!(wired(of_card.path()).is_err(), "{wrong}");
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

#[test]
fn every_flag_is_a_key_of_the_file() {
    for flag in Flags::command()
        .get_arguments()
        .map(clap::Arg::get_id)
        .filter(|flag| !["config", "safe_mode"].contains(&flag.as_str()))
    {
        // No setting is a table.
        let (_file, path) = file(&format!("{flag} = {{}}"));
        let error = settings(&["--config", &path], &[]).unwrap_err().to_string();
        assert!(error.contains("correct it") && !error.contains("unknown field"), "{flag}: {error}");
    }
}

#[test]
fn a_settings_file_of_which_a_part_is_lost_or_not_given_is_refused_and_no_default_takes_its_place() {
    let line = "profile = \"screening\" # keeps sensitivity high, at the price of more images that are referred\n";
    let comment =
        "# A line that fills the sectors of this file, as those of the file that is shipped with the box do.\n";
    let text = [&comment.repeat(9), line, &comment.repeat(9)].concat();
    let of = |bytes: &[u8]| {
        let (file, path) = file("");
        std::fs::write(file.path(), bytes).unwrap();
        settings(&["--config", &path, "--simulate"], &[]).map(|settings| settings.profile)
    };
    assert_eq!(of(text.as_bytes()).unwrap(), Some(Profile::Screening));
    for first in (0..text.len()).step_by(512) {
        for lost in [0, 0xff] {
            let mut bytes = text.clone().into_bytes();
            let end = bytes.len().min(first + 512);
            bytes[first..end].fill(lost);
            assert!(of(&bytes).is_err(), "sector {first} is {lost}");
        }
    }
    // A disk that gives no file.
    let folder = tempfile::tempdir().unwrap();
    let error = settings(&["--config", folder.path().to_str().unwrap()], &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }), "{error}");
}

#[test]
fn a_box_with_a_screen_asks_for_its_code() {
    let share = |flags: &[&str]| settings(flags, &[]).unwrap().share;
    assert_eq!(share(&["--port", "x", "--framebuffer", "/dev/fb0"]), Share::Code);
    assert_eq!(share(&["--port", "x"]), Share::Open, "nobody could read a code");
    assert_eq!(share(&["--simulate", "--share", "off"]), Share::Off);
    let (_file, path) = file("framebuffer = \"/dev/fb0\"\nshare = \"open\"\nblank_minutes = 0");
    let chosen = settings(&["--port", "x", "--config", &path], &[]).unwrap();
    assert_eq!((chosen.share, chosen.blank_after), (Share::Open, None));
    let default = settings(&["--simulate"], &[("PUMUA_BLANK_MINUTES", "")]).unwrap();
    assert_eq!(default.blank_after, Some(std::time::Duration::from_secs(900)));
    let error = settings(&["--simulate"], &[("PUMUA_SHARE", "all")]).unwrap_err().to_string();
    assert!(error.contains("PUMUA_SHARE") && error.contains("code, open and off"), "{error}");
}

#[test]
fn a_file_in_another_encoding_is_told_how_to_be_saved() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "port = '/dev/x'\n";
    let resolve = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).unwrap();
        settings(&["--config", file.path().to_str().unwrap()], &[])
    };
    assert!(resolve(format!("\u{feff}{text}").as_bytes()).is_ok());
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [&utf16, &[b"\xff\xfe", &utf16[..]].concat(), &b"# caf\xe9\n"[..]] {
        let error = resolve(bytes).unwrap_err().to_string();
        assert!(error.contains("save it as UTF-8") && error.contains(file.path().to_str().unwrap()), "{error}");
    }
    let error = resolve(&vec![b'#'; 100_000]).unwrap_err().to_string();
    assert!(error.contains("larger than 64 KiB"), "{error}");
}
