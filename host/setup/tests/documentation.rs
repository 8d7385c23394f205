//! What can be set on a card, and for which boards there is one, stands in `docs/box.md`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use setup::image::Board;
use shared::{
    appliance::{BoxSettings, Language, Rotation, Share, card, line},
    verdict::Profile,
};

const GUIDE: &str = include_str!("../../../docs/box.md");

/// Settings with every key.
fn full() -> BoxSettings {
    BoxSettings {
        language: Some(Language::default()),
        profile: Some(Profile::default()),
        rotate: Some(Rotation::default()),
        port: Some(Vec::new()),
        baud: Some(line::DEFAULT_BAUD),
        framebuffer: Some(card::FRAMEBUFFER.to_owned()),
        model: Some(card::on_box(card::MODEL)),
        roots: Some(Vec::new()),
        roots_needed: Some(1),
        unsigned: Some(false),
        keys: Some(true),
        share: Some(Share::default()),
        blank_minutes: Some(15),
        stick: Some(true),
        overrides: Some(Vec::new()),
        ethernet: Some(String::new()),
        aet: Some(String::new()),
        node_port: Some(11_112),
        peers: Some(Vec::new()),
    }
}

#[test]
fn the_guide_names_every_key_and_every_value_of_the_settings() {
    let keys = toml::Table::try_from(full()).unwrap();
    let keys = keys.keys().map(|key| format!("| `{key}` |"));
    let languages = Language::ALL.map(|language| format!("`\"{language}\"`"));
    let profiles = Profile::ALL.map(|profile| format!("`\"{profile}\"`"));
    let rotations = Rotation::ALL.map(|rotation| format!("`{rotation}`"));
    let shares = Share::ALL.map(|share| format!("`\"{share}\"`"));
    let ports = [line::PINS, line::PINS_OF_RASPBERRY_PI_OS, line::USB_DEVICE, line::USB_ADAPTER, line::EMULATED];
    let ports = ports.map(|port| format!("`{port}`"));
    let speeds = [line::DEFAULT_BAUD, line::SLOWEST_BAUD].map(|baud| baud.to_string());
    let named = [card::BOOT_LABEL, card::DATA_LABEL, card::SETTINGS, card::MODEL].map(|name| format!("`{name}`"));
    let values =
        languages.into_iter().chain(profiles).chain(rotations).chain(shares).chain(ports).chain(speeds).chain(named);
    for words in keys.chain(values) {
        assert!(GUIDE.contains(&words), "docs/box.md does not name {words}");
    }
}

#[test]
fn the_guide_names_every_board_and_its_boot_files() {
    for board in Board::ALL {
        assert!(GUIDE.contains(board.name), "docs/box.md does not name {}", board.name);
        for file in board.boot_files {
            assert!(GUIDE.contains(file), "docs/box.md does not name {file}");
        }
    }
}
