//! The screens as pictures.
//!
//! `PUMUA_SCREENS=DIR cargo test -p device --test screens` writes every screen in every language at several sizes into a
//! folder, to be looked at. `PUMUA_REFRESH=1` replaces the reference pictures in `device/tests/screens`; those in
//! `docs/screens` are made by `cargo run -p device --example screens`.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod samples;

use std::path::{Path, PathBuf};

use device::screen::{
    Explanation, Frame, Language, Scene, ScreenSize, View, draw, language, layout,
    layout::{LEGIBLE, Placed, VERDICT},
    sink::png,
};
use shared::verdict::Verdict;

use crate::samples::{
    NORMAL, PNEUMONIA, REFER, all_scenes, documented, judged, main_scenes, result, scene, without_map,
};

/// The smallest and largest in both orientations, common panels, and those of odd shapes.
const SIZES: [(u32, u32); 13] = [
    (480, 320),
    (320, 480),
    (800, 480),
    (480, 800),
    (1024, 600),
    (600, 1024),
    (640, 480),
    (1920, 1080),
    (1080, 1920),
    (480, 480),
    (1080, 1080),
    (1920, 320),
    (320, 1920),
];

fn size((width, height): (u32, u32)) -> ScreenSize {
    ScreenSize::new(width, height).unwrap()
}

/// Calls with every scene in every language at every size.
fn everywhere(mut check: impl FnMut(&str, &Scene, ScreenSize, Language)) {
    for (name, scene) in all_scenes() {
        for language in Language::ALL {
            for sides in SIZES {
                check(&format!("{name}, {language}, {}x{}", sides.0, sides.1), &scene, size(sides), language);
            }
        }
    }
}

#[test]
fn no_text_is_cut_or_covered_or_too_small() {
    let mut wrong = Vec::new();
    everywhere(|name, scene, size, language| {
        let placed: Vec<Placed> = layout(scene, size, language).placed().collect();
        let (width, height) = (size.width as f32, size.height as f32);
        for (n, one) in placed.iter().enumerate() {
            let [left, top, right, bottom] = one.bounds;
            // Half a pixel, as positions are rounded.
            if left < -0.5 || top < -0.5 || right > width + 0.5 || bottom > height + 0.5 {
                wrong.push(format!("{name}: cut: {one:?}"));
            }
            if one.capitals < LEGIBLE - 0.01 {
                wrong.push(format!("{name}: too small: {one:?}"));
            }
            for other in &placed[..n] {
                let [l, t, r, b] = other.bounds;
                if left + 0.5 < r && l + 0.5 < right && top + 0.5 < b && t + 0.5 < bottom {
                    wrong.push(format!("{name}: {one:?} covers {other:?}"));
                }
            }
        }
    });
    let shown: Vec<&String> = wrong.iter().take(40).collect();
    assert!(wrong.is_empty(), "{} places: {shown:#?}", wrong.len());
}

#[test]
fn every_word_of_a_refusal_a_fault_or_settings_is_on_the_screen() {
    everywhere(|name, scene, size, language| {
        let Explanation { cause, remedy, .. } = match &scene.view {
            View::Refused { refusal, .. } => Explanation::of_refusal(*refusal, language),
            View::Error { trouble, .. } => Explanation::of_trouble(trouble, language),
            View::Site(site) => Explanation::of_site(site, language),
            _ => return,
        };
        let texts: Vec<String> = layout(scene, size, language).placed().map(|placed| placed.text).collect();
        // A long word, such as a path, may continue in the next line.
        let shown = texts.concat().replace(' ', "");
        let wanted = [cause, remedy].concat().replace(' ', "");
        assert!(shown.contains(&wanted), "{name}: {texts:?}");
    });
}

#[test]
fn the_verdict_is_read_at_two_metres() {
    for verdict in Verdict::ALL {
        let scene = judged(verdict);
        for language in Language::ALL {
            let word = (language::words(language).verdict)(verdict).word;
            for sides in SIZES {
                let placed: Vec<Placed> = layout(&scene, size(sides), language).placed().collect();
                let capitals = placed.iter().find(|placed| placed.text == word).unwrap().capitals;
                let least = VERDICT * sides.0.min(sides.1) as f32;
                assert!(capitals >= least, "{word} at {sides:?}: {capitals} of {least}");
            }
        }
    }
}

#[test]
fn the_samples_get_each_verdict_from_the_model_that_ships() {
    let verdicts = [NORMAL, PNEUMONIA, REFER].map(|probability| match result(probability, "") {
        View::Result { record, .. } => record.verdict,
        view => panic!("{view:?}"),
    });
    assert_eq!(verdicts, Verdict::ALL);
}

#[test]
fn every_screen_tells_disclaimer_and_model_once() {
    everywhere(|name, scene, size, language| {
        let words = language::words(language);
        let texts: Vec<String> = layout(scene, size, language).placed().map(|placed| placed.text).collect();
        // The disclaimer may take two lines.
        assert_eq!(texts.join(" ").matches(words.disclaimer).count(), 1, "{name}: {texts:?}");
        let model = &scene.identity.model;
        let known = usize::from(!model.is_empty());
        // Of a long name the end is always there.
        let end = model.get(model.len().saturating_sub(4)..).unwrap_or(model);
        let told = |text: &&String| text.ends_with(end) && known == 1;
        assert_eq!(texts.iter().filter(told).count(), known, "{name}: {texts:?}");
    });
}

#[test]
fn every_screen_is_drawn() {
    for (name, scene) in all_scenes() {
        for language in Language::ALL {
            let folder = std::env::var_os("PUMUA_SCREENS");
            let sizes = if folder.is_some() { &SIZES[..9] } else { &SIZES[1..2] };
            for &(width, height) in sizes {
                let frame = draw(&scene, size((width, height)), language);
                assert_eq!(frame.rgb().len(), (width * height * 3) as usize);
                if let Some(folder) = &folder {
                    let folder = Path::new(folder).join(format!("{width}x{height}-{language}"));
                    std::fs::create_dir_all(&folder).unwrap();
                    std::fs::write(folder.join(format!("{name}.png")), png(&frame).unwrap()).unwrap();
                }
            }
        }
    }
}

#[test]
fn reference_screens_have_not_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    for (name, sides, language) in [
        ("result-pneumonia", (480, 320), Language::French),
        ("result-refer", (480, 800), Language::Swahili),
        ("history", (480, 800), Language::Portuguese),
        ("refused", (480, 320), Language::French),
        ("about", (480, 320), Language::Swahili),
        ("ready", (480, 800), Language::French),
    ] {
        let (_, scene) = main_scenes().into_iter().find(|(n, _)| *n == name).unwrap();
        let frame = draw(&scene, size(sides), language);
        let file = folder.join(format!("{name}-{}x{}-{language}.png", sides.0, sides.1));
        if std::env::var_os("PUMUA_REFRESH").is_some() {
            samples::write(&file, &frame).unwrap();
        }
        assert_same(&frame, &file, "look at it with PUMUA_SCREENS, then refresh with PUMUA_REFRESH=1");
    }
}

#[test]
fn the_documented_screens_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screens");
    let hint = "make them again: cargo run -p device --example screens -- docs/screens";
    let documented = documented();
    for (name, scene, language) in &documented {
        let frame = draw(scene, ScreenSize::default(), *language);
        assert_same(&frame, &folder.join(format!("{name}.png")), hint);
    }
    let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut pictures: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pictures.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    assert_eq!(pictures.len(), documented.len(), "no other pictures");
    for picture in pictures {
        let name = picture.file_name().unwrap().to_str().unwrap();
        assert_eq!(page.matches(&format!("({name})")).count(), 1, "README.md shows {name}");
    }
}

fn assert_same(frame: &Frame, file: &Path, hint: &str) {
    let name = file.display();
    let reference = image::open(file).unwrap_or_else(|error| panic!("{name}: {error}; {hint}")).into_rgb8();
    assert_eq!((reference.width(), reference.height()), (frame.width(), frame.height()), "{name}: {hint}");
    assert_eq!(differing_pixels(frame, reference.as_raw()), 0, "{name}: {hint}");
}

fn differing_pixels(frame: &Frame, reference: &[u8]) -> usize {
    assert_eq!(frame.rgb().len(), reference.len());
    frame.rgb().chunks_exact(3).zip(reference.chunks_exact(3)).filter(|(a, b)| a != b).count()
}

#[test]
fn the_verdicts_differ_without_their_colour() {
    // The same grey for every pixel's brightest channel: what a person sees who cannot distinguish colours.
    let shape = |verdict: Verdict| {
        let frame = draw(&judged(verdict), ScreenSize::default(), Language::English);
        frame.rgb().chunks_exact(3).map(|rgb| rgb.iter().max() > Some(&128)).collect::<Vec<_>>()
    };
    let shapes = Verdict::ALL.map(shape);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let differing = shapes[a].iter().zip(&shapes[b]).filter(|(x, y)| x != y).count();
        assert!(differing > 500, "{a} and {b} differ in {differing} pixels");
    }
}

#[test]
fn a_normal_radiograph_shows_no_evidence() {
    let bare = |view: &View| draw(&scene(view.clone()), ScreenSize::default(), Language::English);
    for (probability, shown) in [(NORMAL, false), (REFER, true), (PNEUMONIA, true)] {
        let view = result(probability, "");
        let differing = differing_pixels(&bare(&view), bare(&without_map(view.clone())).rgb());
        assert_eq!(differing > 1000, shown, "{probability}: {differing} pixels");
        assert!(shown || differing == 0, "{probability}: {differing} pixels");
    }
}
