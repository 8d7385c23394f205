//! Radiographs over the line: the verdicts of the box are those of `pumua predict`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{ffi::OsStr, path::PathBuf};

use serde_json::Value;
use system_tests::{
    PLAIN_MODEL, SimulatedBox, assert_same_answers, code, files, json_lines, predicted, real_data, said,
    synthetic_radiographs,
};

fn sent(device: &SimulatedBox, images: &[PathBuf], flags: &[&str]) -> Vec<Value> {
    let arguments = flags.iter().map(OsStr::new).chain(images.iter().map(|p| p.as_os_str()));
    let output = device.host("send", arguments.chain(["--json".as_ref()]));
    assert_eq!(code(&output), 0, "{}", said(&output));
    json_lines(&output)
}

/// Both forms of every image get the verdict of `pumua predict`, and the journal holds them in order.
fn check_both_forms(images: &[PathBuf], device: &SimulatedBox, model: Option<&str>) {
    let expected = predicted(images, model);
    let whole = sent(device, images, &["--exam", "ward-3"]);
    assert_same_answers(&expected, &whole);
    let prepared = sent(device, images, &["--prepared"]);
    assert_same_answers(&expected, &prepared);

    let records = device.records();
    assert_eq!(records.len(), 2 * images.len());
    for (i, (record, answer)) in records.iter().zip(whole.iter().chain(&prepared)).enumerate() {
        assert_eq!(record["number"], i + 1);
        for field in ["verdict", "probability", "image"] {
            assert_eq!(record[field], answer[field], "{field}");
        }
        assert_eq!(record["study"], if i < images.len() { "ward-3" } else { "" });
    }
}

#[test]
fn synthetic_radiographs_get_the_verdicts_of_predict() {
    let folder = tempfile::tempdir().unwrap();
    let images = synthetic_radiographs(folder.path(), 6);
    check_both_forms(&images, &SimulatedBox::start(&[]).unwrap(), Some(PLAIN_MODEL));
}

#[test]
fn real_radiographs_get_the_verdicts_of_predict() {
    let Some(data) = real_data() else { return };
    let images = files(&data.join("originals"));
    assert_eq!(images.len(), 32);
    check_both_forms(&images, &SimulatedBox::start_as_shipped(&[]).unwrap(), None);
}

#[test]
fn the_box_says_what_it_is_and_shows_its_screen() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimulatedBox::start(&["--screen-size", "480x320"]).unwrap();
    let info = device.info().unwrap();
    assert_eq!((&info["records"], &info["boot"]), (&Value::from(0), &Value::from(1)), "{info}");

    let picture = folder.path().join("screen.png");
    let ready = fetch_screen(&device, &picture);
    assert_eq!((ready.width(), ready.height()), (480, 320));
    sent(&device, &synthetic_radiographs(&folder.path().join("images"), 1), &[]);
    let result = fetch_screen(&device, &picture);
    assert_ne!(ready, result, "the result is on the screen");
    assert_eq!(image::open(device.state().join("screen.png")).unwrap().into_rgb8(), result);
}

fn fetch_screen(device: &SimulatedBox, file: &PathBuf) -> image::RgbImage {
    let output = device.host("screenshot", [file]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    image::open(file).unwrap().into_rgb8()
}
