//! Any bytes as `box.toml`, or as a site file: settings that can be written and read again, or an error that says where.
#![no_main]

use clap::Parser;
use device::config::Flags;
use libfuzzer_sys::fuzz_target;
use shared::appliance::{BoxSettings, SiteSettings};

fuzz_target!(|bytes: &[u8]| {
    if let Some(settings) = std::str::from_utf8(bytes).ok().and_then(|text| toml::from_str::<BoxSettings>(text).ok()) {
        let text = toml::to_string(&settings).expect("no setting is a table");
        assert_eq!(toml::from_str::<BoxSettings>(&text).expect("it was written here"), settings);
    }
    if let Some(site) = std::str::from_utf8(bytes).ok().and_then(|text| toml::from_str::<SiteSettings>(text).ok()) {
        let text = toml::to_string(&site).expect("no setting is a table");
        assert_eq!(toml::from_str::<SiteSettings>(&text).expect("it was written here"), site);
        let flags = Flags::try_parse_from(["pumua-box", "--simulate", "--config", "/dev/null"]).expect("valid flags");
        // What cannot be used with the settings of the card is an error, too.
        let _ = flags.sources(|_| None).expect("an empty file").with_site(&site);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("room");
    let path = file.path().to_str().expect("a plain name").to_owned();
    let flags = Flags::try_parse_from(["pumua-box", "--simulate", "--config", &path]).expect("valid flags");
    if let Err(error) = flags.resolve(|_| None) {
        assert!(error.to_string().contains(&path), "{error}");
    }
});
