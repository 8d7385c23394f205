//! `pumua view`: the picture and the words of every kind of file, and what must not be in them.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use serde_json::{Value, json};
use system_tests::{PLAIN_MODEL, code, command, host, json_lines, real_data, said, synthetic_radiographs};
use tempfile::TempDir;

const JUDGED: i32 = 0;
const REFUSED: i32 = 3;
const USAGE: i32 = 2;

/// Judges drawings, too.
const PLAIN: [&str; 2] = ["--model", PLAIN_MODEL];

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn view<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        command("pumua").current_dir(self.0.path()).arg("view").args(arguments).output().unwrap()
    }

    /// What `--json` says of a file by a model, and the picture.
    fn look(&self, file: &Path, model: &[&str], expected: i32) -> (Value, RgbImage) {
        let out = self.path("sheet.png");
        let mut arguments = vec![file.as_os_str(), "--json".as_ref(), "--out".as_ref(), out.as_os_str()];
        arguments.extend(model.iter().map(OsStr::new));
        let output = self.view(&arguments);
        assert_eq!(code(&output), expected, "{}", said(&output));
        let picture = image::open(&out).unwrap().into_rgb8();
        fs::remove_file(&out).unwrap();
        (json_lines(&output).remove(0), picture)
    }
}

/// The exit code of `pumua predict` for a file, and what it says.
fn predicted(file: &Path, model: &[&str]) -> (i32, Value) {
    let flags = [&["predict", "--json"][..], model].concat();
    let output = host(flags.into_iter().map(OsStr::new).chain([file.as_os_str()]));
    (code(&output), json_lines(&output).remove(0))
}

fn element(tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    value.resize(value.len().next_multiple_of(2), b' ');
    let head = [&((tag >> 16) as u16).to_le_bytes()[..], &(tag as u16).to_le_bytes(), vr].concat();
    let length = match vr {
        b"OB" | b"OW" => [&[0, 0][..], &(value.len() as u32).to_le_bytes()].concat(),
        _ => (value.len() as u16).to_le_bytes().to_vec(),
    };
    [head, length, value].concat()
}

/// A DICOM file whose lowest value is white, of this modality and of a child of four, full of what must not be told.
fn dicom(positive: &GrayImage, modality: &str, more: &[u8]) -> Vec<u8> {
    dicom_of_age(positive, modality, b"004Y", more)
}

fn dicom_of_age(positive: &GrayImage, modality: &str, age: &[u8], more: &[u8]) -> Vec<u8> {
    let number = |tag, value: u32| element(tag, b"US", &(value as u16).to_le_bytes());
    let pixels: Vec<u8> = positive.as_raw().iter().map(|grey| 255 - grey).collect();
    let data_set = [
        element(0x0008_0020, b"DA", b"20260414"),
        element(0x0008_0060, b"CS", modality.as_bytes()),
        element(0x0010_0010, b"PN", b"QZXJKV"),
        element(0x0010_0020, b"LO", b"73517351"),
        element(0x0010_1010, b"AS", age),
        element(0x0018_0015, b"CS", b"QZXJKV CHEST"),
        element(0x0018_5101, b"CS", b"PA"),
        number(0x0028_0002, 1),
        element(0x0028_0004, b"CS", b"MONOCHROME1"),
        number(0x0028_0010, positive.height()),
        number(0x0028_0011, positive.width()),
        number(0x0028_0100, 8),
        number(0x0028_0101, 8),
        number(0x0028_0102, 7),
        number(0x0028_0103, 0),
        more.to_vec(),
        element(0x7fe0_0010, b"OB", &pixels),
    ];
    let meta = element(0x0002_0010, b"UI", b"1.2.840.10008.1.2.1\0");
    [&[0; 128][..], b"DICM", &meta, &data_set.concat()].concat()
}

#[test]
fn a_film_is_judged_as_predict_does_and_its_header_is_told_in_known_words() {
    let place = Place::new();
    let drawn = synthetic_radiographs(&place.path("drawn"), 1);
    let film = image::open(&drawn[0]).unwrap().into_luma8();
    let window = [element(0x0028_1050, b"DS", b"128"), element(0x0028_1051, b"DS", b"256")].concat();
    let mut pictures = Vec::new();
    for (name, bytes) in [("a.dcm", dicom(&film, "DX", &window)), ("a.png", fs::read(&drawn[0]).unwrap())] {
        let path = place.write(name, &bytes);
        let (exit, judged) = predicted(&path, &PLAIN);
        assert_eq!(exit, JUDGED);
        let (said, picture) = place.look(&path, &PLAIN, exit);
        for field in ["verdict", "code", "probability"] {
            assert_eq!(said[field], judged[field], "{name}");
        }
        assert_eq!(said["size"], json!([film.width(), film.height()]));
        assert_eq!(said["bits"], 8);
        pictures.push(picture);
    }
    // The negative's film is shown as the positive is: both panes are the same.
    let pane = |picture: &RgbImage| image::imageops::crop_imm(picture, 0, 0, 504, 504).to_image();
    assert_eq!(pane(&pictures[0]), pane(&pictures[1]));
    let (said, _) = place.look(&place.path("a.dcm"), &PLAIN, JUDGED);
    assert_eq!(
        said["dicom"],
        json!({
            "modality": "DX", "body_part": "CHEST", "view": "PA", "age_months": 48, "photometric": "MONOCHROME1",
            "transfer_syntax": "uncompressed", "shades": { "by": "window", "centre": 128.0, "width": 256.0 },
        })
    );
}

#[test]
fn a_refused_file_has_a_picture_with_the_reason_and_no_name() {
    let place = Place::new();
    let drawn = synthetic_radiographs(&place.path("drawn"), 1);
    let film = image::open(&drawn[0]).unwrap().into_luma8();
    let whole = fs::read(&drawn[0]).unwrap();
    let hostile = dicom(&film, "QZXJKV", &element(0x0010_4000, b"LT", b"QZXJKV"));
    let cases = [
        ("scan.dcm", dicom(&film, "CT", &[]), 226, "other-modality"),
        ("hostile.dcm", hostile, 226, "other-modality"),
        ("broken.png", whole[..whole.len() - 40].to_vec(), 202, "corrupt"),
        ("notes.txt", b"not a picture".to_vec(), 201, "unknown-format"),
        ("empty.jpg", Vec::new(), 200, "empty"),
    ];
    for (name, bytes, number, word) in cases {
        let path = place.write(name, &bytes);
        let (facts, picture) = place.look(&path, &[], REFUSED);
        assert_eq!((facts["code"].as_u64(), facts["refusal"].as_str()), (Some(number), Some(word)), "{name}");
        assert!(facts.get("probability").is_none(), "{name}");
        assert!(picture.pixels().any(|pixel| pixel.0 == [255; 3]), "{name}: no words");
        let output = place.view(&[name, "--out", "x.png"]);
        assert_eq!(code(&output), REFUSED);
        let words = said(&output);
        assert!(words.contains(&format!("refused: {word} ({number}): ")), "{words}");
        for secret in ["QZXJKV", "73517351", "20260414"] {
            assert!(!words.contains(secret) && !facts.to_string().contains(secret), "{name}: {words}");
        }
    }
    let (facts, _) = place.look(&place.path("scan.dcm"), &[], REFUSED);
    assert_eq!(facts["dicom"]["modality"], "CT");
    let (facts, _) = place.look(&place.path("hostile.dcm"), &[], REFUSED);
    assert_eq!(facts["dicom"]["modality"], "another");
}

/// The age is said as `predict` says it, and overridden where that is asked for; the answer says so.
#[test]
fn ages_are_said_and_overridden_as_predict_does() {
    let place = Place::new();
    let drawn = synthetic_radiographs(&place.path("drawn"), 1);
    let film = image::open(&drawn[0]).unwrap().into_luma8();
    let any_age = [&PLAIN[..], &["--override", "age"]].concat();
    let said = |name: &str, model: &[&str]| {
        let flags = [&[name, "--out", "x.png"][..], model].concat();
        said(&place.view(&flags))
    };
    for (age, word) in [("018M", "18 months"), ("004Y", "4 years"), ("", "age unknown")] {
        place.write("a.dcm", &dicom_of_age(&film, "DX", age.as_bytes(), &[]));
        let words = said("a.dcm", &PLAIN);
        assert!(words.contains(&format!("view PA, {word}\n")), "{words}");
        assert!(words.contains("verdict: "), "{words}");
        assert_eq!(words.contains("age unknown: the model is for "), age.is_empty(), "{words}");
    }
    place.write("a.png", &fs::read(&drawn[0]).unwrap());
    assert!(said("a.png", &PLAIN).contains("age unknown: the model is for "));

    let infant = place.write("infant.dcm", &dicom_of_age(&film, "DX", b"003M", &[]));
    for (flags, expected) in [(&PLAIN[..], REFUSED), (&any_age, JUDGED)] {
        let (exit, judged) = predicted(&infant, flags);
        assert_eq!(exit, expected);
        let (facts, _) = place.look(&infant, flags, exit);
        for field in ["verdict", "code", "probability", "age_overridden"] {
            assert_eq!(facts.get(field), judged.get(field), "{field}");
        }
        assert_eq!(facts["dicom"]["age_months"], 3);
        let words = said("infant.dcm", flags);
        assert_eq!(words.contains("age overridden: 3 months: the model is for "), exit == JUDGED, "{words}");
        assert!(words.contains("view PA, 3 months\n"), "{words}");
    }
}

#[test]
fn the_kind_of_a_file_is_told() {
    let place = Place::new();
    let drawn = synthetic_radiographs(&place.path("drawn"), 1);
    let film = image::open(&drawn[0]).unwrap();
    let path = place.path("film");
    film.save_with_format(&path, ImageFormat::Bmp).unwrap();
    let (facts, _) = place.look(&path, &PLAIN, JUDGED);
    assert_eq!((&facts["format"], &facts["size"]), (&json!("bmp"), &json!([film.width(), film.height()])));
    let words = said(&place.view(&[&["film", "--out", "x.png"][..], &PLAIN].concat()));
    assert!(words.contains(&format!("format: BMP, {} x {} pixels", film.width(), film.height())), "{words}");
    for (bytes, kind, shown) in [
        (&b"%PDF-1.7"[..], json!("pdf"), "format: this is a PDF document: export"),
        (b"\x01\x02", Value::Null, "format: none that is known"),
    ] {
        let path = place.write("other", bytes);
        assert_eq!(place.look(&path, &[], REFUSED).0["format"], kind);
        let words = said(&place.view(&["other", "--out", "x.png"]));
        assert!(words.contains(shown), "{words}");
    }
}

#[test]
fn nothing_is_written_over_unless_it_is_named_and_never_the_radiograph() {
    let place = Place::new();
    let drawn = synthetic_radiographs(&place.path("drawn"), 1);
    let film = place.write("film.png", &fs::read(&drawn[0]).unwrap());
    let before = fs::read(&film).unwrap();
    let first = place.view(&["film.png"]);
    assert!([JUDGED, REFUSED].contains(&code(&first)), "{}", said(&first));
    let sheet = fs::read(place.path("view.png")).unwrap();
    let again = place.view(&["film.png"]);
    assert_eq!(code(&again), USAGE, "{}", said(&again));
    assert!(said(&again).contains("view.png is there already"), "{}", said(&again));
    assert_eq!(code(&place.view(&["film.png", "--out", "view.png"])), code(&first));
    assert_eq!(fs::read(place.path("view.png")).unwrap(), sheet, "the same file, the same picture");
    std::os::unix::fs::symlink("film.png", place.path("link.png")).unwrap();
    for [file, out] in [["film.png", "film.png"], ["link.png", "film.png"], ["film.png", "./film.png"]] {
        let output = place.view(&[file, "--out", out]);
        assert_eq!(code(&output), USAGE, "{}", said(&output));
        assert_eq!(fs::read(&film).unwrap(), before);
    }
    let missing = place.view(&["none.png", "--out", "y.png"]);
    assert_eq!(code(&missing), 1, "{}", said(&missing));
    assert!(!place.path("y.png").exists());
}

#[test]
fn names_from_outside_are_only_shown() {
    let place = Place::new();
    let name = "evil\u{1b}[2J\u{202e}\nNORMAL 0.010.png";
    place.write(name, b"x");
    for flags in [&["--out", "x.png"][..], &["--json", "--out", "x.png"]] {
        let text = said(&place.view(&[&[name][..], flags].concat()));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains("\nNORMAL"), "{text:?}");
    }
}

#[test]
fn the_films_of_a_folder_are_drawn_on_one_sheet() {
    let place = Place::new();
    let drawn = synthetic_radiographs(&place.path("drawn"), 3);
    let folder = place.path("films");
    fs::create_dir(&folder).unwrap();
    for (number, film) in drawn.iter().enumerate() {
        fs::copy(film, folder.join(format!("film-{number}.png"))).unwrap();
    }
    fs::write(folder.join("none.png"), b"GIF89a").unwrap();
    let sheet = |more: &[&str]| {
        let output = place.view(&[&["films", "--sheet", "many.png"][..], &PLAIN, more].concat());
        (code(&output), String::from_utf8(output.stdout.clone()).unwrap(), said(&output))
    };
    let (exit, listed, all) = sheet(&[]);
    assert_eq!(exit, REFUSED, "one is a GIF: {all}");
    assert_eq!(listed.lines().count(), drawn.len() + 1, "{listed}");
    assert!(listed.contains("film-0.png") && listed.contains("unsupported-kind"), "{listed}");
    let whole = image::open(place.path("many.png")).unwrap().into_rgb8();
    let (exit, listed, all) = sheet(&["--most", "1"]);
    assert_eq!(exit, JUDGED, "{all}");
    assert!(listed.lines().count() == 1 && all.contains("the first 1 of"), "{all}");
    assert!(image::open(place.path("many.png")).unwrap().width() < whole.width());
    for wrong in [&["--json"][..], &["--out", "x.png"], &["--most", "0"]] {
        assert_eq!(sheet(wrong).0, USAGE, "{wrong:?}");
    }
}

/// The model that ships leaves frames out, and the sheet says which part is judged.
#[test]
fn real_originals_and_framed_ones_have_a_picture() {
    let Some(data) = real_data() else { return };
    let originals = data.join("originals/NORMAL");
    let Ok(folder) = fs::read_dir(&originals) else {
        eprintln!("left out: {} is not there", originals.display());
        return;
    };
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let place = Place::new();
    let film = image::open(&files[0]).unwrap().into_luma8();
    let [width, height] = [film.width(), film.height()];
    let mut framed = GrayImage::from_pixel(width + 400, height, Luma([255]));
    image::imageops::replace(&mut framed, &film, 200, 0);
    let path = place.path("framed.png");
    DynamicImage::ImageLuma8(framed).save_with_format(&path, ImageFormat::Png).unwrap();
    for (path, is_framed) in [(&files[0], false), (&path, true)] {
        let (exit, judged) = predicted(path, &[]);
        let (facts, picture) = place.look(path, &[], exit);
        assert_eq!([&facts["verdict"], &facts["code"]], [&judged["verdict"], &judged["code"]]);
        assert_eq!(facts["probability"], judged["probability"]);
        assert_eq!(picture.width(), 1504);
        if is_framed {
            let [left, width] = [0, 2].map(|at| facts["window"][at].as_u64().unwrap());
            assert!(left > 0 && width > 0, "{facts}");
        }
    }
}
