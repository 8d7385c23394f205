//! The same files, judged by everything that judges: the box, `pumua predict`, `pumua send --prepared`, and what measures a
//! model. Probabilities, refusals and evidence are the same to the bit.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool, mpsc::channel},
};

use data::{Files, Sample};
use device::{
    analysis::{Analyst, Judged, Report, Unjudged},
    decoder,
    models::Vouched,
};
use engine::{
    DEFAULT_MODEL, Model,
    judge::{Judgement, Prepared, admit},
};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, imageops::FilterType};
use indicatif::ProgressBar;
use measure::{evaluation, guard, robustness::Measurement};
use serde_json::Value;
use shared::{
    evidence::Evidence,
    verdict::{Digest, ExamId, ModelRefusal, Refusal},
};
use system_tests::{PLAIN_MODEL, SimulatedBox, files, host, json_lines, real_data, synthetic_radiographs};
use wire::Image;

/// The bits of a probability, or the code of a refusal.
type Answer = Result<u32, u16>;

/// A model for programs and in this process.
struct Judge {
    path: Option<&'static str>,
    model: Model,
}

impl Judge {
    fn shipped() -> Self {
        Self { path: None, model: Model::from_bytes(DEFAULT_MODEL).unwrap() }
    }

    /// It has no guard.
    fn plain() -> Self {
        Self { path: Some(PLAIN_MODEL), model: Model::open(Path::new(PLAIN_MODEL)).unwrap() }
    }
}

/// What a program says of each file.
fn of_programs(lines: &[Value]) -> Vec<Answer> {
    let answer = |line: &Value| match line["verdict"].as_str() {
        Some("refused") => Err(line["code"].as_u64().unwrap() as u16),
        Some(_) => Ok((line["probability"].as_f64().unwrap() as f32).to_bits()),
        None => panic!("not judged: {line}"),
    };
    lines.iter().map(answer).collect()
}

fn predicted(judge: &Judge, images: &[PathBuf]) -> Vec<Answer> {
    let model = judge.path.into_iter().flat_map(|path| ["--model", path]);
    let flags = ["predict", "--json"].into_iter().chain(model).map(OsStr::new);
    of_programs(&json_lines(&host(flags.chain(images.iter().map(|image| image.as_os_str())))))
}

fn sent(judge: &Judge, images: &[PathBuf], flags: &[&str]) -> Vec<Answer> {
    let device = match judge.path {
        Some(_) => SimulatedBox::start(&[]),
        None => SimulatedBox::start_as_shipped(&[]),
    };
    let flags = ["--json"].iter().chain(flags).map(OsStr::new);
    let arguments = flags.chain(images.iter().map(|image| image.as_os_str()));
    of_programs(&json_lines(&device.unwrap().host("send", arguments)))
}

/// What the box makes of images in either form.
fn analysed(model: Model, images: Vec<Image>) -> Vec<Result<Judged, Refusal>> {
    let (done, received) = channel();
    let install = Box::new(|_: &_| Err(ModelRefusal::NotRunnable));
    let decode = Box::new(|file: &[u8], contract: &_| Ok(decoder::prepare(file, contract)?));
    let analyst = Analyst::start(Arc::new(Vouched::by_nobody(model)), install, decode, move |report| {
        if let Report::Done(judged) = report {
            done.send(*judged).unwrap();
        }
    });
    let asked = images.len();
    images.into_iter().for_each(|image| analyst.judge(image));
    let answer = |judged| match judged {
        Ok(judged) => Ok(judged),
        Err(Unjudged::Refused(refusal)) => Err(refusal),
        Err(Unjudged::Failed(fault)) => panic!("{fault}"),
    };
    received.iter().take(asked).map(answer).collect()
}

/// The pictures, some as they are and all spoilt in every way, as files below `NORMAL` and `PNEUMONIA`.
fn spoilt(folder: &Path, pictures: &[DynamicImage]) -> Vec<PathBuf> {
    let write = |name: &str, number: usize, image: DynamicImage| {
        let label = folder.join(["NORMAL", "PNEUMONIA"][number % 2]);
        fs::create_dir_all(&label).unwrap();
        image.save(label.join(format!("synthetic-{number:02}-{name}.png"))).unwrap();
    };
    for (number, picture) in pictures.iter().enumerate() {
        let mut negative = picture.clone();
        negative.invert();
        write("whole", number, picture.clone());
        write("half", number, picture.rotate180());
        write("quarter", number, picture.rotate90());
        write("negative", number, negative);
        write("dark", number, image::imageops::brighten(&picture.to_luma8(), -200).into());
        write("corner", number, picture.crop_imm(0, 0, picture.width() / 2, picture.height() / 2));
    }
    write("blank", 90, GrayImage::from_pixel(100, 90, Luma([90])).into());
    write("stripes", 91, GrayImage::from_fn(100, 90, |_, y| Luma([(y / 9 % 2 * 160 + 40) as u8])).into());
    write("coloured", 92, RgbImage::from_fn(100, 90, |x, _| Rgb([200, 2 * x as u8, 30])).into());
    write("strip", 93, GrayImage::from_fn(500, 100, |x, y| Luma([(x / 3 + y / 2) as u8])).into());
    files(folder)
}

/// Everybody who judges says the same of all files; their answers.
fn judged_alike(folder: &Path, images: &[PathBuf], judge: &Judge) -> Vec<Answer> {
    let expected = predicted(judge, images);
    assert_eq!(expected.len(), images.len());
    assert_eq!(sent(judge, images, &[]), expected, "the box");
    assert_eq!(sent(judge, images, &["--prepared"]), expected, "the box, of what the host has prepared");

    let model = &judge.model;
    let (catalogue, inputs) = data::load(folder, &model.card().behaviour.contract).unwrap();
    let names: Vec<PathBuf> = catalogue.samples.iter().map(|sample| folder.join(&sample.name)).collect();
    assert_eq!(names, images);
    let all: Vec<usize> = (0..images.len()).collect();
    let samples: Vec<&Sample> = catalogue.samples.iter().collect();
    let measurement = Measurement {
        models: &[Model::open(Path::new(PLAIN_MODEL)).unwrap(), again(judge)],
        changes: &[],
        files: &Files::open(folder).unwrap(),
        samples: &samples,
        keep: None,
    };
    let robust = measurement.answers(&ProgressBar::hidden(), &AtomicBool::new(false)).unwrap();
    let judged = evaluation::judge(model, &catalogue, &inputs, &all).unwrap();
    for ((robust, judged), (path, expected)) in robust.iter().zip(&judged).zip(images.iter().zip(&expected)) {
        let answer = robust.base[1];
        assert_eq!(answer.withheld, expected.is_err(), "robustness: {}", path.display());
        // Those that are refused are measured as well.
        let probability = judged.scored.probability.to_bits();
        assert_eq!(answer.probability.to_bits(), probability, "evaluation: {}", path.display());
        match expected {
            Ok(bits) => assert_eq!((probability, judged.refused), (*bits, false), "evaluation: {}", path.display()),
            // The evaluation sees them grey and square.
            Err(code) if [Refusal::Coloured, Refusal::Elongated].map(Refusal::code).contains(code) => {}
            Err(_) => assert!(judged.refused, "evaluation: {}", path.display()),
        }
    }
    check_evidence(judge, images, &expected);
    expected
}

fn again(judge: &Judge) -> Model {
    judge.path.map_or_else(|| Judge::shipped().model, |path| Model::open(Path::new(path)).unwrap())
}

/// The box, in both forms of an image, and `pumua predict` draw the evidence of [`Model::judge`].
fn check_evidence(judge: &Judge, images: &[PathBuf], expected: &[Answer]) {
    let card = judge.model.card();
    let study = ExamId::default;
    let mut drawn = false;
    for (path, expected) in images.iter().zip(expected) {
        let bytes = fs::read(path).unwrap();
        let radiograph = decode::decode(&bytes).unwrap();
        let picture = radiograph.picture();
        let digest = Digest::of(&bytes);
        // As a host would send it that looks at nothing.
        let input = Prepared::of_any(&picture, &card.behaviour.contract).admit_any(card).into_pixels();
        let prepared = Image::prepared(input, &picture, &card.behaviour.contract, digest, study());
        let answers = analysed(again(judge), vec![Image::file(bytes, study()).unwrap(), prepared]);
        let Ok(bits) = expected else {
            assert_eq!(
                answers[0].as_ref().map_err(|refusal| refusal.code()).err(),
                expected.err(),
                "{}",
                path.display()
            );
            continue;
        };
        let judgement = judge.model.judge(&admit(&picture, None, card).unwrap()).unwrap();
        for answer in &answers {
            let answer = answer.as_ref().unwrap();
            let size = [answer.preview.width, answer.preview.height].map(u32::from);
            assert_eq!(answer.probability.to_bits(), *bits, "{}", path.display());
            assert_eq!(Ok(answer.verdict), judgement.verdict, "{}", path.display());
            assert!(answer.evidence == judgement.evidence(card, size), "{}", path.display());
            // The plain model does not say what its answer rests on.
            assert_eq!(answer.evidence.is_some(), judge.path.is_none(), "{}", path.display());
        }
        if !drawn && judge.path.is_none() && picture.width().max(picture.height()) > 384 {
            drawn = true;
            check_heatmap(judge, path, &judgement, [picture.width(), picture.height()]);
        }
    }
}

/// The picture that `pumua predict` draws is the radiograph, not enlarged, with this evidence over it.
fn check_heatmap(judge: &Judge, path: &Path, judgement: &Judgement, size: [u32; 2]) {
    let evidence: Evidence = judgement.evidence(judge.model.card(), size).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heatmap.png");
    let model = judge.path.into_iter().flat_map(|path| ["--model", path]);
    let flags = ["predict", "--heatmap"].map(OsStr::new).into_iter().chain([file.as_os_str(), path.as_os_str()]);
    host(flags.chain(model.map(OsStr::new)));
    let sheet = image::open(&file).unwrap().into_rgb8();
    let radiograph = decode::decode(&fs::read(path).unwrap()).unwrap();
    let (grey, width, height) = radiograph.picture().preview(1024);
    let (width, height) = (u32::from(width), u32::from(height));
    let painter = evidence.painter([width, height]);
    for (i, grey) in (0..).zip(grey) {
        let [x, y] = [i % width, i / width];
        assert_eq!(sheet.get_pixel(x, y).0, painter.row(y).paint(grey, x), "{x}, {y}");
    }
}

/// The refusals of `pumua evaluate --refusals` are those of `pumua predict`, of all files but those that cannot be seen any more
/// to be in colour or a strip once they are prepared.
fn check_refusals(folder: &Path, images: &[PathBuf], answers: &[Answer], model: &Model) {
    let (catalogue, inputs) = data::load(folder, &model.card().behaviour.contract).unwrap();
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    let mut indices = Vec::new();
    for (index, (path, answer)) in images.iter().zip(answers).enumerate() {
        let refusal = answer.err().map(|code| *Refusal::ALL.iter().find(|refusal| refusal.code() == code).unwrap());
        if !matches!(refusal, Some(Refusal::Coloured | Refusal::Elongated)) {
            assert!(path.ends_with(&catalogue.samples[index].name));
            indices.push(index);
            refusal.into_iter().for_each(|refusal| *expected.entry(refusal.as_str()).or_default() += 1);
        }
    }
    let rows = guard::measure(model, &catalogue, &inputs, &indices).unwrap();
    assert_eq!((rows[0].images, &rows[0].refused), (indices.len(), &expected));
}

fn refused(answers: &[Answer], refusal: Refusal) -> bool {
    answers.contains(&Err(refusal.code()))
}

#[test]
fn drawings_are_judged_alike_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = synthetic_radiographs(&folder.path().join("drawn"), 3);
    let mut pictures: Vec<DynamicImage> = drawn.iter().map(|path| image::open(path).unwrap()).collect();
    let enlarged = pictures[0].resize(500, 500, FilterType::Triangle);
    pictures.push(enlarged);
    let data = folder.path().join("data");
    let images = spoilt(&data, &pictures);

    let plain = judged_alike(&data, &images, &Judge::plain());
    assert!(plain.iter().filter(|answer| answer.is_ok()).count() > images.len() / 2, "{plain:?}");
    assert!([Refusal::Blank, Refusal::Coloured, Refusal::Elongated].iter().all(|r| refused(&plain, *r)), "{plain:?}");
    let shipped = Judge::shipped();
    let guarded = judged_alike(&data, &images, &shipped);
    assert!(guarded.iter().filter(|answer| answer.is_err()).count() > images.len() / 2, "{guarded:?}");
    check_refusals(&data, &images, &guarded, &shipped.model);
}

#[test]
fn real_radiographs_are_judged_alike_by_all() {
    let Some(real) = real_data() else { return };
    let originals = files(&real.join("originals"));
    let pictures: Vec<DynamicImage> =
        [&originals[0], &originals[originals.len() - 1]].map(|path| image::open(path).unwrap()).into();
    let folder = tempfile::tempdir().unwrap();
    let images = spoilt(folder.path(), &pictures);
    let shipped = Judge::shipped();
    let answers = judged_alike(folder.path(), &images, &shipped);
    assert!(answers.iter().any(Result::is_ok), "{answers:?}");
    let expected = [Refusal::UpsideDown, Refusal::OnItsSide, Refusal::Negative, Refusal::TooDark];
    assert!(expected.iter().all(|refusal| refused(&answers, *refusal)), "{answers:?}");
    check_refusals(folder.path(), &images, &answers, &shipped.model);
}
