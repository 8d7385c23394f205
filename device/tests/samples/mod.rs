//! Scenes to be drawn: every screen, with a radiograph that no patient has had.

#[path = "../../../shared/tests/sample/mod.rs"]
mod sample;

use std::{io, path::Path, sync::LazyLock};

use device::{
    journal::Standing,
    screen::{
        Announced, Confirm, Console, ConsoleRefused, Frame, Identity, Language, MeasuredRates, Offers, PAGE, Preview,
        Program, Prompt, Scene, SettingsNews, Step, StickTrouble, Trouble, View,
    },
    site::{SiteFile, Standing as SiteStanding},
    software::WayBack,
    stick::{Bundle, Film},
};
use embedded_graphics::{
    Drawable,
    geometry::Point,
    mono_font::{MonoTextStyle, ascii::FONT_10X20},
    pixelcolor::{Rgb888, RgbColor},
    text::{Alignment, Text},
};
use engine::{DEFAULT_MODEL, ModelCard, ModelError};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use shared::{
    age::{Age, AgeNote, Ages},
    contract::InputContract,
    evidence::{Cells, Evidence, Place},
    preprocess::Window,
    verdict::{
        Digest, ExamId, Fault, ModelRefusal, OperatingPoint, Refusal, ResultRecord, SiteRefusal, SoftwareRefusal,
        Trust, Verdict,
    },
};
use trust::{KeyId, PublicKey, SecretKey};
use wire::{MAX_OWN_KEYS, SiteStage};

/// What the model that ships says of itself.
static CARD: LazyLock<ModelCard> = LazyLock::new(|| {
    let card = || -> Result<ModelCard, ModelError> { Ok(engine::card(&engine::decode(DEFAULT_MODEL)?)?) };
    card().unwrap_or_else(|error| panic!("the model that ships: {error}"))
});

/// Probabilities that the model that ships calls normal, pneumonia, and one to refer.
pub(crate) const NORMAL: f32 = 0.02;
pub(crate) const PNEUMONIA: f32 = 0.97;
pub(crate) const REFER: f32 = 0.5;

fn identity() -> Identity {
    Identity {
        model: CARD.name.clone(),
        digest: Digest::of(DEFAULT_MODEL),
        synthetic: false,
        fell_back: false,
        trust: Some(Trust::Signed),
        takes_unsigned: false,
        changed: false,
        program: Program::Settled,
        software: "0.1.0".to_owned(),
        rates: MeasuredRates::of(&CARD),
        ages: CARD.ages(),
        journal: Standing { entries: 411, head: Digest::of(b"journal"), ..Standing::default() },
        way_back: None,
        settings: SettingsNews::Settled,
        has_site: false,
    }
}

/// The program of before.
fn way_back(name: &str) -> WayBack {
    WayBack { content: Digest::of(b"slot"), name: name.to_owned(), version: "0.1.0".to_owned() }
}

/// A box whose program was another one before, to which a person may go back.
fn with_way_back(view: View) -> Scene {
    of(Identity { way_back: Some(way_back("box-2026-11")), ..identity() }, view)
}

/// Two dark ovals in a bright one, which say that they are drawn: enough to see where a radiograph goes.
fn preview() -> Preview {
    let (width, height) = (256_u16, 208_u16);
    let oval = |x: f32, y: f32, cx: f32, cy: f32, rx: f32, ry: f32| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2);
    let grey = |index: u32| {
        let (x, y) = ((index % 256) as f32, (index / 256) as f32);
        let inside = |oval: f32| ((1.0 - oval) * 6.0).clamp(0.0, 1.0);
        let lung = oval(x, y, 76.0, 96.0, 38.0, 76.0).min(oval(x, y, 180.0, 96.0, 38.0, 76.0));
        let rib = if y % 28.0 < 7.0 { 24.0 } else { 0.0 };
        (inside(oval(x, y, 128.0, 120.0, 140.0, 130.0)) * 190.0 - inside(lung) * (120.0 - rib)) as u8
    };
    let mut letters = Frame::new(width.into(), height.into(), Rgb888::BLACK);
    let style = MonoTextStyle::new(&FONT_10X20, Rgb888::WHITE);
    let Ok(_) =
        Text::with_alignment("DRAWN, NO PATIENT", Point::new(128, 200), style, Alignment::Center).draw(&mut letters);
    let letters = letters.rgb().iter().step_by(3).copied();
    let pixels = (0..u32::from(width) * u32::from(height)).map(grey).zip(letters);
    Preview { width, height, pixels: pixels.map(|(grey, letter)| grey.max(letter)).collect(), judged: None }
}

/// Evidence in one lung, of which the mean goes with the probability.
fn evidence(probability: f32) -> Option<Evidence> {
    let contract = InputContract::stretched(128);
    let logit = (probability / (1.0 - probability)).ln().clamp(-8.0, 8.0);
    let cell = |index: usize| {
        let (row, column) = ((index / 6) as f32, (index % 6) as f32);
        let near = 1.0 / (1.0 + (row - 3.4).powi(2) + (column - 3.8).powi(2));
        logit + 20.0 * probability * (near - 0.16)
    };
    let [first, step] = [23.0, 16.0].map(|pixels| Place { down: pixels, right: pixels });
    let cells = Cells { rows: 6, columns: 6, local: (0..36).map(cell).collect(), first, step };
    Evidence::new(cells, &contract, [256, 208])
}

fn record(number: u64, probability: f32, exam: &str) -> ResultRecord {
    ResultRecord {
        boot: 3,
        exam: ExamId::new(exam).unwrap_or_default(),
        image: Digest::of(b"image"),
        model: Digest::of(DEFAULT_MODEL),
        probability,
        point: CARD.behaviour.point,
        verdict: CARD.behaviour.point.verdict(probability),
        age: known(18, AgeNote::Meant),
        ..sample::record(number)
    }
}

/// What is noted of an age in months.
fn known(months: u16, note: fn(Age) -> AgeNote) -> AgeNote {
    Age::months(months).map_or(AgeNote::Unknown, note)
}

/// A result.
pub(crate) fn result(probability: f32, exam: &str) -> View {
    let record = record(128, probability, exam);
    let evidence = evidence(probability).map(Box::new);
    View::Result { preview: preview(), evidence, record, identity: Box::new(identity()), nth: 1, minutes: 0 }
}

/// The same of an image that is not the first of its examination, some minutes later.
fn later(mut view: View, image: usize, age: u64) -> View {
    if let View::Result { nth, minutes, .. } = &mut view {
        (*nth, *minutes) = (image, age);
    }
    view
}

/// The same of an image in white collimators and a black letterbox.
fn framed(mut view: View) -> View {
    if let View::Result { preview, evidence, .. } = &mut view {
        let window = Window { left: 40, top: 52, width: 256, height: 208, of: [330, 300] };
        let [wide, high] = window.of.map(usize::from);
        let [columns, rows] = window.on(window.of.map(u32::from));
        let mut pixels: Vec<u8> =
            (0..wide * high).map(|i| if (24..high - 24).contains(&(i / wide)) { 250 } else { 0 }).collect();
        for (row, line) in rows.zip(preview.pixels.chunks_exact(usize::from(preview.width))) {
            let start = row as usize * wide + columns.start as usize;
            pixels[start..start + line.len()].copy_from_slice(line);
        }
        *preview = Preview { width: wide as u16, height: high as u16, pixels: pixels.into(), judged: Some(window) };
        *evidence = evidence.take().map(|evidence| Box::new(evidence.within(&window)));
    }
    view
}

/// The same of a patient of another age.
fn aged(mut view: View, age: AgeNote) -> View {
    if let View::Result { record, .. } = &mut view {
        record.age = age;
    }
    view
}

/// The same of an image that the host had prepared.
fn prepared(mut view: View) -> View {
    if let View::Result { record, .. } = &mut view {
        (record.number, record.prepared) = (9_999_999, true);
    }
    view
}

/// An image of an examination.
fn image(exam: &str, nth: usize) -> Announced {
    Announced { exam: ExamId::new(exam).unwrap_or_default(), nth }
}

/// An image that is refused.
fn refused(refusal: Refusal, image: Announced) -> View {
    View::Refused { image: Some(image), refusal }
}

/// An image that the box could not judge.
fn failed(fault: Fault, image: Announced) -> View {
    View::Error { image: Some(image), trouble: fault.into() }
}

/// An X-ray machine that may not send.
fn console(reason: Console, named: &str, own: &str) -> View {
    View::error(Trouble::Console(ConsoleRefused { reason, named: named.to_owned(), own: own.to_owned() }))
}

/// The same from a model that has no map.
pub(crate) fn without_map(mut view: View) -> View {
    if let View::Result { evidence, .. } = &mut view {
        *evidence = None;
    }
    view
}

/// A scene of a box, with a result of its model.
fn of(identity: Identity, mut view: View) -> Scene {
    if let View::Result { identity: own, .. } = &mut view {
        **own = identity.clone();
    }
    Scene { identity, view }
}

/// A scene of a model that was not trained on synthetic radiographs.
pub(crate) fn scene(view: View) -> Scene {
    of(identity(), view)
}

/// The same of one that was.
fn synthetic(view: View) -> Scene {
    let identity = identity();
    let (model, digest) = (format!("synthetic-{}", identity.model), Digest::of(b"a synthetic model"));
    of(Identity { model, digest, synthetic: true, ..identity }, view)
}

/// The same of one that stands in for another.
fn stand_in(view: View) -> Scene {
    of(Identity { fell_back: true, ..identity() }, view)
}

/// A scene of a box whose model anybody may have signed.
fn test_key(view: View) -> Scene {
    of(Identity { trust: Some(Trust::TestKey), ..identity() }, view)
}

/// The same of one that takes models which nobody has signed.
fn unsigned(view: View) -> Scene {
    of(Identity { trust: Some(Trust::Unsigned), takes_unsigned: true, ..identity() }, view)
}

/// The same on the day on which its model was installed.
fn changed(view: View) -> Scene {
    of(Identity { changed: true, ..identity() }, view)
}

/// Ready, with something to be said of the program.
fn program(program: Program) -> Scene {
    of(Identity { program, ..identity() }, View::Ready { results: 128 })
}

/// Ready, with something to be said of the clinic's own settings.
fn settings(settings: SettingsNews) -> Scene {
    of(Identity { settings, ..identity() }, View::Ready { results: 128 })
}

/// A key of the clinic.
fn clinic_key() -> PublicKey {
    SecretKey::of_seed(&[7; 32], KeyId([0xb7; 8])).public()
}

/// What the clinic's own settings are, under this name and counter and with so many keys.
fn site(stage: SiteStage, name: &str, counter: u64, keys: usize) -> View {
    let (name, key) = (name.to_owned(), clinic_key());
    let (digest, trust) = (Digest::of(b"site"), Trust::Signed);
    let file = SiteFile { name, counter, digest, key: key.id, trust, is_own: true };
    View::Site(Box::new(SiteStanding { stage, file: Some(file), keys: vec![key; keys], is_new: false }))
}

fn history() -> View {
    let probabilities = [PNEUMONIA, REFER, NORMAL, 0.003, 1.0, f32::NAN];
    let results = (0..PAGE).zip(probabilities).map(|(n, probability)| ResultRecord {
        unix_seconds: (n != 2).then_some(1_700_000_000 - 3_000 * n),
        model: Digest::of(if n < 5 { DEFAULT_MODEL } else { b"former" }),
        age: if n == 1 { known(108, AgeNote::Overridden) } else { AgeNote::Unknown },
        ..record(128 - n, probability, &format!("ward-3_{:04}", 8 - n))
    });
    View::History { results: results.collect(), page: 1, pages: 22 }
}

/// So many films on a stick, of which one is chosen.
fn films(count: u64, chosen: usize, prompt: Prompt) -> View {
    let film = |n: u64| Film {
        name: format!("IM{:06}.dcm", count - n),
        modified: 1_700_000_000 - 7_000 * n,
        size: 8_390_000 - 10_000 * n as u32,
    };
    View::Films { films: (0..count).map(film).collect(), offers: Offers::default(), chosen, prompt }
}

/// The same of a marked stick, with a bundle on it or not.
fn marked(mut view: View, program: Option<&str>, results: Option<u64>) -> View {
    if let View::Films { offers, .. } = &mut view {
        let program = program.map(|name| Bundle { name: name.to_owned(), size: 20_971_520 });
        *offers = Offers { program, results };
    }
    view
}

/// Films with the longest names and sizes.
fn long_films() -> View {
    let film = |n: u64| Film { name: "W".repeat(64), modified: 253_402_300_799 - n, size: 32 << 20 };
    let (films, offers) = ((0..100).map(film).collect(), Offers::default());
    View::Films { films, offers, chosen: 50, prompt: Prompt::Countdown(20) }
}

/// One scene for every screen.
pub(crate) fn main_scenes() -> Vec<(&'static str, Scene)> {
    let before = |view| Scene { identity: Identity::default(), view };
    vec![
        ("starting", before(View::Starting { step: Step::Model })),
        ("ready", scene(View::Ready { results: 127 })),
        ("receiving", scene(View::Receiving { image: image("ward-3_0009", 1), done: 431_000, total: 1_048_576 })),
        ("updating", scene(View::Updating { done: 150_000, total: 214_294 })),
        ("program", scene(View::Program { done: 7_130_000, total: 20_971_520 })),
        ("analysing", scene(View::Analysing(image("ward-3_0009", 2)))),
        ("result-normal", scene(result(NORMAL, "ward-3_0007"))),
        ("result-pneumonia", scene(later(result(PNEUMONIA, "ward-3_0008"), 2, 3))),
        ("result-refer", scene(aged(result(REFER, ""), AgeNote::Unknown))),
        ("result-overridden", scene(aged(result(PNEUMONIA, "ward-3_0008"), known(108, AgeNote::Overridden)))),
        ("result-past", scene(later(result(NORMAL, "ward-3_0007"), 1, 7))),
        ("result-framed", scene(framed(result(PNEUMONIA, "ward-3_0008")))),
        ("refused", scene(refused(Refusal::UpsideDown, image("ward-3_0009", 1)))),
        ("error", scene(failed(Fault::Timeout, image("ward-3_0009", 1)))),
        ("line-lost", scene(View::error(Trouble::LineLost))),
        ("safe-mode", scene(View::error(Trouble::SafeMode))),
        ("no-storage", scene(View::error(Trouble::NoStorage))),
        ("chain-broken", scene(View::error(Trouble::ChainBroken))),
        ("console-refused", scene(console(Console::NotCalled, "PACS1", "PUMUA"))),
        ("history", scene(history())),
        ("about", scene(View::About)),
        ("blanked", scene(View::Blanked { results: 128 })),
        ("code", scene(View::Code(40_721))),
        ("stick", scene(films(7, 0, Prompt::Countdown(17)))),
        ("stick-results", scene(marked(films(0, 0, Prompt::Choose), None, Some(128)))),
        ("stick-marked", scene(marked(films(3, 3, Prompt::Choose), None, Some(128)))),
        ("stick-writing", scene(View::Writing { done: 96, total: 128 })),
        ("stick-written", scene(View::Written { name: "results-00000128".to_owned() })),
        ("stick-program", scene(marked(films(0, 0, Prompt::Choose), Some("pumua-0.2.0.pumua"), None))),
        ("synthetic", synthetic(View::Ready { results: 0 })),
        ("stopped", before(View::Stopped)),
    ]
}

/// The pictures in `docs/screens`: every screen in English, and one result in each other language.
pub(crate) fn documented() -> Vec<(&'static str, Scene, Language)> {
    let english = main_scenes().into_iter().map(|(name, scene)| (name, scene, Language::English));
    let others = [
        ("stand-in", stand_in(View::Ready { results: 128 }), Language::English),
        ("test-key", test_key(View::Ready { results: 128 }), Language::English),
        ("unsigned", unsigned(result(NORMAL, "ward-3_0007")), Language::English),
        ("changed", changed(View::Ready { results: 128 }), Language::English),
        ("update-refused", scene(View::error(Trouble::Update(ModelRefusal::NotSigned))), Language::English),
        ("update-older", scene(View::error(Trouble::OlderModel)), Language::English),
        ("older-model", scene(View::Confirm(Confirm::OlderModel)), Language::English),
        ("about-way-back", with_way_back(View::About), Language::English),
        ("go-back", scene(View::Confirm(Confirm::GoBack(way_back("box-2026-11")))), Language::English),
        ("program-staged", program(Program::Staged), Language::English),
        ("program-new", program(Program::New), Language::English),
        ("program-went-back", program(Program::WentBack), Language::English),
        ("offered-key", scene(View::error(Trouble::OfferedKey(clinic_key()))), Language::English),
        ("add-key", scene(View::Confirm(Confirm::AddKey(clinic_key()))), Language::English),
        ("key-added", settings(SettingsNews::KeyAdded), Language::English),
        ("site", scene(site(SiteStage::InForce, "ward-3", 2, 1)), Language::English),
        ("result-normal-fr", scene(result(NORMAL, "ward-3_0007")), Language::French),
        ("result-refer-pt", scene(result(REFER, "ward-3_0009")), Language::Portuguese),
        ("result-pneumonia-sw", scene(result(PNEUMONIA, "ward-3_0008")), Language::Swahili),
    ];
    english.chain(others).collect()
}

/// Every screen with every text, and the longest values.
pub(crate) fn all_scenes() -> Vec<(String, Scene)> {
    let bare = |view| of(Identity { rates: None, ..identity() }, view);
    let unbanded = |mut view| {
        if let View::Result { record, .. } = &mut view {
            record.point = OperatingPoint::unbanded(record.point.threshold);
        }
        view
    };
    let of_so_many = |hospitals| {
        let rates = identity().rates.map(|measured| MeasuredRates { hospitals, ..measured });
        Identity { rates, ages: hospitals.map(|_| Ages { from: 10, to: 15 }), ..identity() }
    };
    let long = "x".repeat(64);
    let mut longest = synthetic(View::About).identity;
    longest.model = "m".repeat(64);
    longest.software = "10.20.30-candidate.4".to_owned();
    let records = (0..PAGE).map(|n| ResultRecord {
        unix_seconds: Some(253_402_300_799),
        model: Digest::of(b"former"),
        age: known(11, |age| AgeNote::Overridden(age.either(Age::months(Age::MOST).unwrap_or(age)))),
        ..record(9_999_999, 0.5 + n as f32 / 10.0, &long)
    });
    let contradicting = known(11, |age| AgeNote::Overridden(age.either(Age::months(Age::MOST).unwrap_or(age))));
    let cause = "the model /media/usb-stick/models/a-rather-long-name-of-a-model-file.onnx cannot be used: no such file \
                 or directory, and more words than any sensible error has, so that the text must become smaller to fit";
    let more = [
        ("result-prepared", scene(prepared(later(result(PNEUMONIA, &long), 22, 4)))),
        ("result-unbanded", scene(unbanded(result(PNEUMONIA, "ward-3_0008")))),
        ("result-without-map", bare(without_map(result(PNEUMONIA, "ward-3_0008")))),
        ("result-without-probability", scene(result(f32::NAN, "ward-3_0008"))),
        ("result-overridden-past", of(longest.clone(), later(aged(result(0.64, &long), contradicting), 1000, 60_000))),
        ("result-overridden-synthetic", of(longest.clone(), later(aged(result(0.64, &long), contradicting), 1000, 4))),
        ("result-synthetic", of(longest.clone(), later(result(1.0, &long), 1000, 4))),
        ("result-refer-synthetic", of(longest.clone(), later(result(0.64, &long), 1000, 1))),
        ("result-past-synthetic", of(longest.clone(), later(result(0.64, &long), 1000, 60_000))),
        ("result-past-without-map", bare(later(without_map(result(PNEUMONIA, "ward-3_0008")), 2, 59))),
        (
            "receiving-much",
            synthetic(View::Receiving { image: image(&long, 1000), done: 33_554_432, total: 33_554_432 }),
        ),
        ("analysing-nameless", scene(View::Analysing(image("", 1)))),
        ("stick-choose", synthetic(films(100, 99, Prompt::Choose))),
        ("stick-countdown", synthetic(films(2, 0, Prompt::Countdown(20)))),
        ("stick-reading", scene(films(1, 0, Prompt::Reading))),
        ("stick-long", synthetic(long_films())),
        ("stick-marked-long", synthetic(marked(films(3, 4, Prompt::Choose), Some(&"W".repeat(64)), Some(9_999_999)))),
        ("stick-marked-only", synthetic(marked(films(0, 1, Prompt::Choose), Some("pumua-0.2.0.pumua"), Some(1)))),
        ("stick-results-many", synthetic(marked(films(0, 0, Prompt::Choose), None, Some(9_999_999)))),
        ("stick-program-long", synthetic(marked(films(0, 0, Prompt::Choose), Some(&"W".repeat(64)), None))),
        ("stick-writing-many", synthetic(View::Writing { done: 1_234_567, total: 9_999_999 })),
        ("stick-written-again", synthetic(View::Written { name: "results-09999999-99".to_owned() })),
        ("history-empty", scene(View::History { results: Vec::new(), page: 1, pages: 0 })),
        (
            "history-long",
            Scene {
                identity: longest.clone(),
                view: View::History { results: records.collect(), page: 1_666_666, pages: 1_666_667 },
            },
        ),
        ("about-unmeasured", bare(View::About)),
        ("about-unknown", of(of_so_many(None), View::About)),
        ("result-unknown", of(of_so_many(None), result(PNEUMONIA, "ward-3_0008"))),
        ("about-many", of(of_so_many(Some(1000)), View::About)),
        ("result-many", of(of_so_many(Some(1000)), result(PNEUMONIA, "ward-3_0008"))),
        ("stand-in", stand_in(View::Ready { results: 128 })),
        ("about-stand-in", stand_in(View::About)),
        ("ready-test-key", test_key(View::Ready { results: 128 })),
        ("about-test-key", test_key(View::About)),
        (
            "ready-test-key-stand-in",
            of(Identity { trust: Some(Trust::TestKey), fell_back: true, ..identity() }, View::Ready { results: 128 }),
        ),
        ("ready-unsigned", unsigned(View::Ready { results: 128 })),
        ("about-unsigned", unsigned(View::About)),
        ("ready-changed", changed(View::Ready { results: 128 })),
        ("ready-program-staged", program(Program::Staged)),
        ("ready-program-new", program(Program::New)),
        ("ready-program-went-back", program(Program::WentBack)),
        (
            "ready-program-went-back-synthetic",
            of(Identity { program: Program::WentBack, ..longest.clone() }, View::Blanked { results: 9_999_999 }),
        ),
        ("about-way-back", with_way_back(View::About)),
        ("about-way-back-to-the-card", of(Identity { way_back: Some(way_back("")), ..identity() }, View::About)),
        ("about-way-back-long", of(Identity { way_back: Some(way_back(&long)), ..longest.clone() }, View::About)),
        ("about-with-settings", of(Identity { has_site: true, ..longest.clone() }, View::About)),
        ("go-back", synthetic(View::Confirm(Confirm::GoBack(way_back("box-2026-11"))))),
        ("go-back-long", synthetic(View::Confirm(Confirm::GoBack(way_back(&long))))),
        ("older-model", synthetic(View::Confirm(Confirm::OlderModel))),
        ("update-older-with-keys", synthetic(View::error(Trouble::OlderModel))),
        ("ready-settings-staged", settings(SettingsNews::Staged)),
        ("ready-settings-new", settings(SettingsNews::New)),
        ("ready-settings-not-used", settings(SettingsNews::NotUsed)),
        ("ready-settings-key-added", settings(SettingsNews::KeyAdded)),
        ("settings-offered-key", synthetic(View::error(Trouble::OfferedKey(clinic_key())))),
        ("add-key", synthetic(View::Confirm(Confirm::AddKey(clinic_key())))),
        ("forget-site", synthetic(View::Confirm(Confirm::ForgetSite))),
        ("site", synthetic(site(SiteStage::InForce, "ward-3", 2, 1))),
        ("site-long", synthetic(site(SiteStage::NotUsed, &long, u64::MAX, MAX_OWN_KEYS))),
        ("about-long", Scene { identity: longest, view: View::About }),
        ("ready-many", synthetic(View::Ready { results: 9_999_999 })),
        (
            "about-broken",
            of(
                Identity {
                    journal: Standing { entries: 9_999_999, broken: Some(9_999_998), ..identity().journal },
                    ..identity()
                },
                View::About,
            ),
        ),
        ("error-long", scene(View::error(Trouble::Failed(cause.to_owned())))),
    ];
    let scenes = main_scenes().into_iter().chain(more).map(|(name, scene)| (name.to_owned(), scene));
    let starting = Step::ALL.iter().map(|&step| (format!("starting-{step:?}"), scene(View::Starting { step })));
    let second = || image(&long, 2);
    let refused = Refusal::ALL.iter().map(|&r| (format!("refused-{}", r.as_str()), synthetic(refused(r, second()))));
    let failed = Fault::ALL.iter().map(|&f| (format!("error-{}", f.as_str()), synthetic(failed(f, second()))));
    let not_installed = ModelRefusal::ALL
        .iter()
        .map(|&r| (format!("update-{}", r.as_str()), synthetic(View::error(Trouble::Update(r)))));
    let not_taken = SoftwareRefusal::ALL
        .iter()
        .map(|&r| (format!("program-{}", r.as_str()), synthetic(View::error(Trouble::Program(r)))));
    let not_changed = SiteRefusal::ALL
        .iter()
        .map(|&r| (format!("settings-{}", r.as_str()), synthetic(View::error(Trouble::Settings(r)))));
    let sticks = StickTrouble::ALL
        .iter()
        .map(|&trouble| (format!("stick-{trouble:?}"), synthetic(View::error(Trouble::Stick(trouble)))));
    let wide = "W".repeat(16);
    let consoles = Console::ALL.iter().map(|&reason| {
        let named = if reason == Console::Stranger { "255.255.255.255" } else { wide.as_str() };
        (format!("console-{reason:?}"), synthetic(console(reason, named, &wide)))
    });
    let special = not_taken.chain(not_changed).chain(sticks).chain(consoles);
    scenes.chain(starting).chain(refused).chain(failed).chain(not_installed).chain(special).collect()
}

/// The same result with another verdict.
pub(crate) fn judged(verdict: Verdict) -> Scene {
    let mut view = result(REFER, "");
    if let View::Result { record, .. } = &mut view {
        record.verdict = verdict;
    }
    scene(view)
}

/// Writes a PNG file that is as small as it can be.
pub(crate) fn write(file: &Path, frame: &Frame) -> io::Result<()> {
    let mut smallest: Option<Vec<u8>> = None;
    for filter in [FilterType::NoFilter, FilterType::Up, FilterType::Paeth] {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, filter);
        let written = encoder.write_image(frame.rgb(), frame.width(), frame.height(), ExtendedColorType::Rgb8);
        written.map_err(io::Error::other)?;
        smallest = smallest.filter(|smallest| smallest.len() <= bytes.len()).or(Some(bytes));
    }
    std::fs::write(file, smallest.unwrap_or_default())
}
