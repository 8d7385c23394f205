//! Which crate may rest on which.

use std::{fs, path::Path};

use system_tests::crates::{crates, drawing};

#[test]
fn host_and_device_meet_only_in_shared() {
    let crates = crates().unwrap();
    for (name, it) in &crates {
        for other in &it.rests_on {
            let to = crates[other].side.as_str();
            let allowed = match it.side.as_str() {
                "shared" => to == "shared",
                side @ ("host" | "device") => to == "shared" || to == side,
                _ => true,
            };
            assert!(allowed, "{name} ({}) rests on {other} ({to})", it.side);
        }
    }
    assert!(crates["host"].rests_on.contains("engine") && crates["device"].rests_on.contains("engine"));
}

#[test]
fn each_of_the_large_dependencies_has_one_owner() {
    let crates = crates().unwrap();
    for (dependency, owner) in
        [("burn", "learn"), ("serialport", "link"), ("plotters", "report"), ("tract-onnx", "engine")]
    {
        let owners: Vec<&str> = crates
            .iter()
            .filter(|(_, it)| it.side != "tests" && it.foreign.contains(dependency))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(owners, [owner], "{dependency}");
    }
}

#[test]
fn the_drawing_in_the_documents_is_that_of_these_crates() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/crates.svg");
    let drawn = fs::read_to_string(file).unwrap();
    assert!(
        drawn == drawing(&crates().unwrap()),
        "draw it again: cargo run -p system-tests --example crates > docs/crates.svg"
    );
}
