//! The screens as pictures.
//!
//! `PUMUA_SCREENS=DIR cargo test -p device --test screens` writes every screen at three sizes into a folder, to be looked
//! at. `PUMUA_REFRESH=1` replaces the reference pictures in `device/tests/screens`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use device::{
    config::ScreenSize,
    screen::{Frame, Identity, Preview, Scene, Trouble, View, draw, sink::png},
};
use shared::{
    contract::{Fit, InputContract},
    evidence::Evidence,
    verdict::{Digest, Fault, OperatingPoint, Refusal, ResultRecord, StudyId, Verdict},
};

const POINT: OperatingPoint = OperatingPoint { threshold: 0.52, refer_from: 0.35, refer_to: 0.65 };

fn identity(synthetic: bool) -> Identity {
    Identity { model: "deeper-int8".to_owned(), digest: Digest::of(b"model"), synthetic, software: "0.1.0".to_owned() }
}

/// Two dark ovals in a bright one: enough to see where a radiograph goes.
fn preview() -> Preview {
    let (width, height) = (256_u16, 208_u16);
    let oval = |x: f32, y: f32, cx: f32, cy: f32, rx: f32, ry: f32| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2);
    let grey = |index: u32| {
        let (x, y) = ((index % 256) as f32, (index / 256) as f32);
        let body = (235.0 - 150.0 * oval(x, y, 128.0, 120.0, 130.0, 125.0)).max(0.0);
        let lung = oval(x, y, 76.0, 104.0, 38.0, 76.0).min(oval(x, y, 180.0, 104.0, 38.0, 76.0));
        let ribs = 14.0 * (y / 9.0).sin();
        (body - (1.0 - lung).max(0.0).sqrt() * 130.0 + ribs).clamp(0.0, 255.0) as u8
    };
    Preview { width, height, pixels: (0..u32::from(width) * u32::from(height)).map(grey).collect() }
}

/// Evidence in one lung, of which the mean goes with the probability.
fn evidence(probability: f32) -> Option<Evidence> {
    let contract = InputContract { side: 128, fit: Fit::Stretch, scale: 1.0 / 255.0, zero_point: 0 };
    let logit = (probability / (1.0 - probability)).ln().clamp(-8.0, 8.0);
    let cell = |index: usize| {
        let (row, column) = ((index / 6) as f32, (index % 6) as f32);
        let near = 1.0 / (1.0 + (row - 3.4).powi(2) + (column - 3.8).powi(2));
        logit + 20.0 * probability * (near - 0.16)
    };
    Evidence::new([6; 2], (0..36).map(cell).collect(), [[23.0; 2], [16.0; 2]], &contract, [256, 208])
}

fn result(probability: f32, study: &str) -> View {
    let verdict = POINT.verdict(probability);
    let record = ResultRecord {
        number: 128,
        boot: 3,
        unix_seconds: None,
        study: StudyId::new(study).unwrap(),
        image: Digest::of(b"image"),
        model: Digest::of(b"model"),
        probability,
        point: POINT,
        verdict,
    };
    View::Result { preview: preview(), evidence: evidence(probability).map(Box::new), record }
}

/// The same from a model that has no map.
fn without_map(mut view: View) -> View {
    if let View::Result { evidence, .. } = &mut view {
        *evidence = None;
    }
    view
}

fn scenes() -> Vec<(String, Scene)> {
    let scene = |view| Scene { identity: identity(false), view };
    let mut scenes = vec![
        ("starting".to_owned(), Scene { identity: Identity::default(), view: View::Starting }),
        ("stopped".to_owned(), Scene { identity: Identity::default(), view: View::Stopped }),
        ("ready".to_owned(), scene(View::Ready { results: 127 })),
        ("ready-synthetic".to_owned(), Scene { identity: identity(true), view: View::Ready { results: 0 } }),
        ("receiving".to_owned(), scene(View::Receiving { done: 431_000, total: 1_048_576 })),
        ("updating".to_owned(), scene(View::Updating { done: 150_000, total: 213_516 })),
        ("analysing".to_owned(), scene(View::Analysing)),
        ("result-normal".to_owned(), scene(result(0.08, "ward-3_0007"))),
        ("result-pneumonia".to_owned(), scene(result(0.97, "ward-3_0008"))),
        ("result-refer".to_owned(), scene(result(0.5, ""))),
        ("result-without-map".to_owned(), scene(without_map(result(0.97, "ward-3_0008")))),
        ("result-synthetic".to_owned(), Scene { identity: identity(true), view: result(1.0, &"x".repeat(64)) }),
    ];
    let cause =
        "Cannot read the model /media/usb-stick/models/a-rather-long-name-of-a-model-file.onnx: no such file or \
                 directory, and more words than any sensible error has, so that the text must become smaller to fit."
            .to_owned();
    let trouble = Trouble { code: None, cause, remedy: "Correct this and start the box again.".to_owned() };
    scenes.push(("error-long".to_owned(), scene(View::Error(trouble))));
    scenes.extend(Refusal::ALL.iter().map(|&r| (format!("refused-{}", r.as_str()), scene(View::Refused(r.into())))));
    scenes.extend(Fault::ALL.iter().map(|&f| (format!("error-{}", f.as_str()), scene(View::Error(f.into())))));
    scenes
}

#[test]
fn every_screen_is_drawn_at_every_size() {
    for (width, height) in [(800, 480), (480, 320), (1920, 1080), (480, 1080), (1920, 320)] {
        for (name, scene) in scenes() {
            let frame = draw(&scene, ScreenSize::new(width, height).unwrap());
            assert_eq!(frame.rgb().len(), (width * height * 3) as usize);
            if let Some(folder) = std::env::var_os("PUMUA_SCREENS") {
                std::fs::create_dir_all(&folder).unwrap();
                let file = Path::new(&folder).join(format!("{name}-{width}x{height}.png"));
                std::fs::write(file, png(&frame).unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn reference_screens_have_not_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    for name in ["ready", "result-pneumonia", "refused-too-small"] {
        let (_, scene) = scenes().into_iter().find(|(n, _)| n == name).unwrap();
        let frame = draw(&scene, ScreenSize::default());
        let file = folder.join(format!("{name}.png"));
        if std::env::var_os("PUMUA_REFRESH").is_some() {
            std::fs::write(&file, png(&frame).unwrap()).unwrap();
        }
        let reference = image::open(&file).unwrap().into_rgb8();
        let differing = differing_pixels(&frame, reference.as_raw());
        assert_eq!(differing, 0, "{name}: look at it with PUMUA_SCREENS, then refresh with PUMUA_REFRESH=1");
    }
}

fn differing_pixels(frame: &Frame, reference: &[u8]) -> usize {
    assert_eq!(frame.rgb().len(), reference.len());
    frame.rgb().chunks_exact(3).zip(reference.chunks_exact(3)).filter(|(a, b)| a != b).count()
}

#[test]
fn the_verdicts_differ_without_their_colour() {
    // The same grey for every pixel's brightest channel: what a person sees who does not tell colours apart.
    let shape = |verdict: Verdict| {
        let View::Result { preview, evidence, mut record } = result(0.5, "") else { unreachable!() };
        record.verdict = verdict;
        let scene = Scene { identity: identity(false), view: View::Result { preview, evidence, record } };
        let frame = draw(&scene, ScreenSize::default());
        frame.rgb().chunks_exact(3).map(|rgb| rgb.iter().max() > Some(&128)).collect::<Vec<_>>()
    };
    let shapes = [Verdict::Normal, Verdict::Pneumonia, Verdict::Refer].map(shape);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let differing = shapes[a].iter().zip(&shapes[b]).filter(|(x, y)| x != y).count();
        assert!(differing > 500, "{a} and {b} differ in {differing} pixels");
    }
}

#[test]
fn a_normal_radiograph_shows_no_evidence() {
    let bare = |view: &View| draw(&Scene { identity: identity(false), view: view.clone() }, ScreenSize::default());
    for (probability, shown) in [(0.08, false), (0.5, true), (0.97, true)] {
        let view = result(probability, "");
        let differing = differing_pixels(&bare(&view), bare(&without_map(view.clone())).rgb());
        assert_eq!(differing > 1000, shown, "{probability}: {differing} pixels");
        assert!(shown || differing == 0, "{probability}: {differing} pixels");
    }
}
