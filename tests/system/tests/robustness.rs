//! `pumua robustness` on files: what it measures, and how far full-size radiographs and their small copies agree.

use std::path::Path;

use serde_json::Value;
use system_tests::{code, host, json_lines, real_data, said};

fn measure(arguments: &[&str]) -> Value {
    let output = host([&["robustness", "--json"], arguments].concat());
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output).remove(0)
}

#[test]
fn synthetic_radiographs_in_other_files_are_judged_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let drawn = host(["synthetic", path, "--count", "30"]);
    assert_eq!(code(&drawn), 0, "{}", said(&drawn));
    let all = ["--data", path, "--part", "all", "--only", "lossless", "mirrored"];
    let measured = measure(&all);
    assert_eq!(measured["synthetic_data"], true);
    assert_eq!((&measured["images"], &measured["patients"]), (&Value::from(30), &Value::from(30)));
    let rows = measured["models"][0]["rows"].as_array().unwrap();
    let largest: Vec<f64> =
        rows[1..].iter().map(|row| row["against_unchanged"]["largest_difference"].as_f64().unwrap()).collect();
    assert!(largest[..3] == [0.0; 3] && largest[3] > 0.0, "{largest:?}");
    assert_eq!(measure(&all), measured, "the same again");

    let limited = measure(&[&all[..], &["--limit", "7", "--originals", path]].concat());
    assert_eq!(limited["images"], 7);
    let originals = &limited["models"][0]["originals"];
    assert_eq!((&originals["pairs"], &originals["verdicts"]), (&Value::from(30), &Value::from(30)));
}

#[test]
fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for (arguments, exit, words) in [
        (["--data", path, "--only", "sorcery"], 2, "there is no change `sorcery`"),
        (["--data", path, "--part", "all"], 1, "holds no folders NORMAL and PNEUMONIA"),
    ] {
        let output = host([&["robustness"], &arguments[..]].concat());
        assert_eq!(code(&output), exit, "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

/// The 32 radiographs at their original size and their copies of 224 × 224 pixels.
#[test]
fn original_sizes_are_judged_as_the_small_copies() {
    let Some(data) = real_data() else { return };
    let of = |folder: &str| data.join(folder).to_str().map(str::to_owned).unwrap();
    if !Path::new(&of("originals")).is_dir() {
        return;
    }
    let (copies, originals) = (of("chest_xray"), of("originals"));
    let arguments =
        ["--data", &copies, "--originals", &originals, "--part", "validation", "--limit", "1", "--only", "png"];
    let measured = measure(&arguments);
    let originals = &measured["models"][0]["originals"];
    assert_eq!((&originals["pairs"], &originals["unpaired"]), (&Value::from(32), &Value::Array(Vec::new())));
    // A verdict at the edge of the band may fall to the other side.
    for agreeing in ["decisions", "verdicts"] {
        assert!(originals[agreeing].as_u64().is_some_and(|k| k >= 30), "{originals}");
    }
}
